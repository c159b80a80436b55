"""The table of R&D costs as a form, and as a file that fills it.

A row without an amount is passed over, so there is nothing to delete: empty it. A file fills the form and stores
nothing; what is saved is what the accountant saw.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from huoshui.base import export, intake
from huoshui.base.errors import Invalid, Problem
from huoshui.book.forms import YuanField
from huoshui.clearing.tables import BadTable, Column, Rule, choice, parse, words, yes_no
from huoshui.policy import rd
from huoshui.policy.rd import Asset, Category, Line
from huoshui.policy.rd_words import CATEGORIES, SPELLINGS, rule
from huoshui.registry import sentences

NAME_MAX = 100
SPARE_LINES, SPARE_ASSETS = 5, 2
_MONTH = re.compile(r"(\d{4})\s*(?:-|/|\.|年)\s*(\d{1,2})\s*月?")


class MonthField(forms.CharField):
    """A month such as 2024-05, as (year, month)."""

    def to_python(self, value: Any) -> Any:
        text = intake.normal(super().to_python(value) or "")
        if not text:
            return None
        match = _MONTH.fullmatch(text)
        if not match or not 1 <= int(match[2]) <= 12:
            raise forms.ValidationError(_("must be a month such as 2024-05"))
        return int(match[1]), int(match[2])

    def prepare_value(self, value: Any) -> Any:
        return f"{value[0]}-{value[1]:02d}" if isinstance(value, tuple) else value


class RdForm(forms.Form):
    """Lines and assets, row by row. Field names: project, category, amount, kept (capitalised); name, cost, first …"""

    LINE = ("project", "category", "amount", "kept")
    ASSET = ("name", "cost", "first", "months", "last")

    def __init__(self, data: Any = None, *, filled: rd.Year | None = None, more: bool = False) -> None:
        super().__init__(data)
        lines, assets = (filled.lines, filled.assets) if filled else ((), ())
        spare = (SPARE_LINES, SPARE_ASSETS) if filled is not None or more or data is None else (0, 0)
        self.line_rows = min(max(len(lines), self._given("amount")) + spare[0], rd.LINES_MAX)
        self.asset_rows = min(max(len(assets), self._given("cost")) + spare[1], rd.ASSETS_MAX)
        for row in range(self.line_rows):
            self._line(row, lines[row] if row < len(lines) else None)
        for row in range(self.asset_rows):
            self._asset(row, assets[row] if row < len(assets) else None)
        for field in self.fields.values():  # the heading of the column is their label on the page
            field.widget.attrs["aria-label"] = field.label

    def _given(self, name: str) -> int:
        """How many rows the browser sent."""
        return sum(1 for key in self.data if re.fullmatch(rf"{name}\d+", str(key)))

    def _line(self, row: int, line: Line | None) -> None:
        self.fields |= {
            f"project{row}": forms.CharField(
                label=_("Project"), max_length=NAME_MAX, required=False, initial=line and line.project
            ),
            f"category{row}": forms.ChoiceField(
                label=_("Category"), required=False, initial=line and line.category.value,
                choices=[("", "—"), *((each.value, title) for each, title in CATEGORIES.items())],
            ),
            f"amount{row}": YuanField(
                label=_("Amount (yuan)"), required=False, initial=line and export.yuan(line.amount_fen)
            ),
            f"kept{row}": forms.BooleanField(
                label=_("Capitalised"), required=False, initial=bool(line and line.capitalised)
            ),
        }

    def _asset(self, row: int, asset: Asset | None) -> None:
        first = (asset.first_year, asset.first_month) if asset else None
        last = (asset.last_year, asset.last_month) if asset and asset.last_year else None
        self.fields |= {
            f"name{row}": forms.CharField(
                label=_("Asset"), max_length=NAME_MAX, required=False, initial=asset and asset.name
            ),
            f"cost{row}": YuanField(
                label=_("Cost (yuan)"), required=False, initial=asset and export.yuan(asset.cost_fen)
            ),
            f"first{row}": MonthField(label=_("Ready for use (month)"), required=False, initial=first),
            f"months{row}": forms.IntegerField(
                label=_("Useful months"), required=False, min_value=rd.MONTHS_MIN, max_value=rd.MONTHS_MAX,
                initial=asset and asset.months,
            ),
            f"last{row}": MonthField(label=_("Disposed of (month)"), required=False, initial=last),
        }

    @property
    def lines(self) -> list[list[forms.BoundField]]:
        return [[self[f"{name}{row}"] for name in self.LINE] for row in range(self.line_rows)]

    @property
    def assets(self) -> list[list[forms.BoundField]]:
        return [[self[f"{name}{row}"] for name in self.ASSET] for row in range(self.asset_rows)]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        for row in range(self.line_rows):
            self._needs(cleaned, row, ("project", "category", "amount"))
        for row in range(self.asset_rows):
            self._needs(cleaned, row, ("name", "cost", "first"))
        return cleaned

    def _needs(self, cleaned: dict[str, Any], row: int, names: Sequence[str]) -> None:
        """A row that is used is whole."""
        given = [name for name in names if cleaned.get(f"{name}{row}") not in (None, "")]
        for name in names:
            field = f"{name}{row}"
            if given and name not in given and field not in self.errors:
                self.add_error(field, _("is needed when the row is used"))

    def year(self, year: int) -> rd.Year:
        """What was filled in."""
        return rd.Year(year, tuple(self._lines()), tuple(self._assets()))

    def _lines(self) -> Iterator[Line]:
        data = self.cleaned_data
        for row in range(self.line_rows):
            if data.get(f"amount{row}") is not None:
                category = Category(data[f"category{row}"])
                yield Line(data[f"project{row}"], category, data[f"amount{row}"], bool(data[f"kept{row}"]))

    def _assets(self) -> Iterator[Asset]:
        data = self.cleaned_data
        for row in range(self.asset_rows):
            if data.get(f"cost{row}") is not None:
                months = data.get(f"months{row}") or rd.MONTHS_USUAL
                (year, month), (last_year, last_month) = data[f"first{row}"], data.get(f"last{row}") or (None, None)
                yield Asset(data[f"name{row}"], data[f"cost{row}"], year, month, months, last_year, last_month)

    def show(self, error: Invalid) -> None:
        """Mark the fields that an action objected to; rows of the refusal count what was filled in."""
        rows = {
            "lines": [row for row in range(self.line_rows) if self.cleaned_data.get(f"amount{row}") is not None],
            "assets": [row for row in range(self.asset_rows) if self.cleaned_data.get(f"cost{row}") is not None],
        }
        for problem in error.problems:
            part, _dot, name = problem.field.partition(".")
            row = rows.get(part, [])[(problem.row or 1) - 1 : problem.row]
            field = f"{name}{row[0]}" if row else ""
            self.add_error(field if field in self.fields else None, problem.rule)


def _amount(text: str) -> int:
    fen = intake.decimal(text, 2)
    if not 0 < fen <= rd.AMOUNT_FEN_MAX:
        raise Rule("amount_range", min=1, max=rd.AMOUNT_FEN_MAX)
    return fen


COLUMNS: Sequence[Column] = (
    Column("project", "项目", words(NAME_MAX), "示例智能排产软件"),
    Column("category", "费用类别", choice(**{each.value: " ".join(known) for each, known in SPELLINGS.items()}),
           SPELLINGS[Category.PERSONNEL][0]),
    Column("amount_yuan", "金额（元）", _amount, "120000.00"),
    Column("capitalised", "资本化", yes_no, "否", required=False, default=False),
)  # fmt: skip


def read_file(name: str, data: bytes) -> list[Line]:
    """The lines of a file (CSV, XLSX). Raises Invalid with every fault by row, field, value and rule."""
    try:
        parsed = parse(intake.read(name, data), COLUMNS)
    except BadTable as error:
        raise sentences.of_table(error) from None
    cells = zip(*(parsed.values[column.name] for column in COLUMNS), strict=True)
    lines = [Line(project, Category(category), fen, kept) for project, category, fen, kept in cells]
    if len(lines) > rd.LINES_MAX:
        raise Invalid(Problem("rows", str(len(lines)), rule("lines_max")))
    return lines


class FileForm(forms.Form):
    """A file that fills the table."""

    file = forms.FileField(label=_l("File (CSV or XLSX)"))
