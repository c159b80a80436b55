"""The import of facts: one row states what one source says of one party, for one period where there is one.

Columns follow the kinds of fact in the database; amounts have one column for 元 and one for 万元.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from huoshui import terms
from huoshui.base import clock, intake
from huoshui.base.act import Act
from huoshui.base.models import LogRecord
from huoshui.clearing.tables import Rule, words
from huoshui.registry import permissions, plausible, sentences
from huoshui.registry.import_parties import PARTY_COLUMNS, Known, chunks
from huoshui.registry.imports import CHUNK, Column, ImportKind, Row, register
from huoshui.registry.models import (
    Fact,
    FactSource,
    FactType,
    Party,
    RowChange,
    ValueKind,
)

UNIT_TITLES = {"yuan": "元", "wan_yuan": "万元"}
SOURCE_WORDS = {
    "官方": FactSource.OFFICIAL, "官方登记": FactSource.OFFICIAL, "official": FactSource.OFFICIAL,
    "税务": FactSource.TAX, "税务数据": FactSource.TAX, "tax": FactSource.TAX,
    "中心核实": FactSource.OFFICER, "专员": FactSource.OFFICER, "officer": FactSource.OFFICER,
}


ALIASES = {
    "industry": ("行业", "国民经济行业", "所属行业"), "founded": ("注册日期", "设立日期"),
    "staff": ("职工人数", "从业人数", "员工人数", "人员"), "tax.grade": ("纳税信用级别",),
}
"""Other headers under which offices keep a fact."""


def _source(text: str) -> str:
    found = SOURCE_WORDS.get(intake.normal(text).lower())
    if found is None:
        raise Rule("one_of", one_of="、".join(SOURCE_WORDS))
    return found.value


def _day(text: str) -> str:
    return intake.day(text).isoformat()


def _period(text: str) -> list[str]:
    span = intake.period(text)
    return [span.first.isoformat(), span.last.isoformat()]


def _fact_text(text: str) -> str:
    return str(words(500)(text))


def value_columns() -> list[Column]:
    """A column for each kind of fact; for an amount one in 元 and one in 万元."""
    return [column for kind in FactType.objects.all() for column in _value_columns(kind)]


def _fact_columns() -> list[Column]:
    return [
        *PARTY_COLUMNS[:2],
        Column("period", gettext_lazy("period"), _period, ("期间", "年度", "年份", "所属期", "period"),
               _show_period),
        Column("source", gettext_lazy("source"), _source, ("来源", "数据来源", "source"), _show_source),
        Column("source_name", gettext_lazy("name of the source"), words(100), ("来源名称", "登记部门")),
        Column("observed_on", gettext_lazy("observed on"), _day, ("观察日期", "数据日期", "取得日期")),
        *value_columns(),
    ]


def _value_columns(kind: FactType) -> list[Column]:
    code, title = f"fact.{kind.code}", kind.title
    if kind.kind == ValueKind.DECIMAL and kind.unit == "元" and kind.places == 2:
        return [
            Column(
                f"{code}/{unit}", f"{title}（{word}）", partial(_plausible, kind, partial(intake.money, unit=unit)),
                (f"{kind.code}_{unit}",), _show_yuan,
            )
            for unit, word in UNIT_TITLES.items()
        ]
    parsers: dict[str, Callable[[str], Any]] = {
        ValueKind.INTEGER: partial(intake.decimal, places=0),
        ValueKind.DECIMAL: partial(intake.decimal, places=kind.places),
        ValueKind.TEXT: _fact_text, ValueKind.DATE: _day, ValueKind.BOOLEAN: intake.yes_no,
    }
    plain = title.partition("（")[0]
    unit = (plain, *((f"{title}（{kind.unit}）", f"{plain}（{kind.unit}）") if kind.unit else ()))
    shows: dict[ValueKind, Callable[[Any], str]] = {
        ValueKind.DECIMAL: partial(_show_decimal, places=kind.places), ValueKind.BOOLEAN: _show_yes_no,
    }
    others = ALIASES.get(kind.code, ())
    shown = shows.get(ValueKind(kind.kind), str)
    return [Column(code, title, partial(_plausible, kind, parsers[kind.kind]), (kind.code, *unit, *others), shown)]


def _plausible(kind: FactType, parse: Callable[[str], Any], cell: str) -> Any:
    """The value of a cell, unless no firm can be that. Raises Rule."""
    value = parse(cell)
    told = date.fromisoformat(value) if kind.kind == ValueKind.DATE else value
    plausible.check(kind, told, clock.today())
    return value


def _show_yuan(fen: int) -> str:
    return f"{terms.format_yuan(fen)} 元"


def _show_decimal(value: int, places: int) -> str:
    return f"{Decimal(value).scaleb(-places):f}"


def _show_yes_no(value: bool | int) -> str:
    return _("yes") if value else _("no")


def _show_period(span: list[str]) -> str:
    return " – ".join(span)


def _show_source(source: str) -> str:
    return str(FactSource(source).label)


def _statements(row: Row) -> dict[str, tuple[int | None, str | None]]:
    """Fact code → (number, text) of a row's values."""
    return {
        name.removeprefix("fact."): (None, value) if isinstance(value, str) else (int(value), None)
        for name, value in row.values.items() if name.startswith("fact.")
    }


@dataclass(frozen=True)
class _Said:
    """What sources said last: (party, fact, period end, source, name of source) → (number, text)."""

    words: dict[tuple[Any, ...], tuple[int | None, str | None]]

    @classmethod
    def of(cls, parties: Iterable[int]) -> "_Said":
        words: dict[tuple[Any, ...], tuple[int | None, str | None]] = {}
        fields = ("party", "type__code", "period_end", "source", "source_name", "number", "text")
        for chunk in chunks(parties):
            for fact in Fact.objects.filter(party__in=chunk).order_by("observed_on", "pk").values_list(*fields):
                words[fact[:5]] = (fact[5], fact[6])
        return cls(words)

    def before(self, party: Party, row: Row, periodic: set[str]) -> dict[str, Any]:
        """Fact code → what stands now, for every statement of the row that would change something."""
        found: dict[str, Any] = {}
        for code, (number, text) in _statements(row).items():
            end = date.fromisoformat(row.values["period"][1]) if code in periodic else None
            said = self.words.get((party.pk, code, end, _source_of(row), row.values.get("source_name", "")))
            if said != (number, text):
                found[f"fact.{code}"] = None if said is None else said[0] if said[0] is not None else said[1]
        return found


def _source_of(row: Row) -> str:
    return str(row.values.get("source", FactSource.OFFICER.value))


def _compare_facts(rows: Sequence[Row]) -> None:
    known = Known.of(rows)
    readable = [row for row in rows if row.change != RowChange.BAD]
    means = {row.number: party for row in readable if (party := known.party(row)) is not None}
    said = _Said.of(party.pk for party in means.values())
    periodic = set(FactType.objects.filter(periodic=True).values_list("code", flat=True))
    today = clock.today().isoformat()
    seen: dict[tuple[Any, ...], int] = {}
    for row in readable:
        if row.change == RowChange.BAD:
            continue
        party = means.get(row.number)
        if party is None:
            who = row.values.get("uscc") or row.values.get("name")
            row.fault(PARTY_COLUMNS[1].title, who, _("no such party in the registry"))
            continue
        if not _statements(row):
            row.fault(_("facts"), "", sentences.sentence("required"))
        if periodic & set(_statements(row)) and "period" not in row.values:
            row.fault(_("period"), "", sentences.sentence("required"))
        if row.values.get("observed_on", today) > today:
            row.fault(_("observed on"), row.values["observed_on"], _("lies in the future"))
        key = (party.pk, *row.values.get("period", ()), _source_of(row), row.values.get("source_name"))
        if key in seen:
            rule = _("the same party stands in row %(row)s") % {"row": seen[key]}
            row.fault(PARTY_COLUMNS[1].title, party.name, rule)
        seen.setdefault(key, row.number)
        if row.change == RowChange.BAD:
            continue
        row.before = said.before(party, row, periodic)
        anew = all(value is None for value in row.before.values())
        row.change = RowChange.SAME if not row.before else RowChange.NEW if anew else RowChange.CHANGED


def _apply_facts(act: Act, record: LogRecord, rows: Sequence[Row]) -> None:
    known = Known.of(rows)
    types = {kind.code: kind for kind in FactType.objects.all()}
    official = {FactSource.OFFICIAL.value, FactSource.TAX.value}
    fresh = []
    for row in rows:
        party = known.party(row)
        if party is None:
            raise AssertionError(f"row {row.number} lost its party")
        act.require(permissions.OFFICIAL_FACT if _source_of(row) in official else permissions.RECORD_FACT, party)
        for code, (number, text) in _statements(row).items():
            if f"fact.{code}" in row.before:
                span = [date.fromisoformat(end) for end in row.values["period"]] if types[code].periodic else [None] * 2
                fresh.append(Fact(
                    party=party, type=types[code], number=number, text=text, period_start=span[0], period_end=span[1],
                    source=_source_of(row), source_name=row.values.get("source_name", ""),
                    observed_on=date.fromisoformat(row.values.get("observed_on", clock.today().isoformat())),
                    recorded_at=record.recorded_at, record=record,
                ))
    Fact.objects.bulk_create(fresh, batch_size=CHUNK)


register(ImportKind(
    "facts", gettext_lazy("facts about parties"), permissions.IMPORT, _fact_columns, (("uscc", "name"),),
    _compare_facts, _apply_facts,
))
