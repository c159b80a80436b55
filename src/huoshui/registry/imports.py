"""How a file becomes parties or facts: kinds of import, their columns, what a row would change.

The idea: a file goes through three steps, and only the last one counts. `stage` keeps its cells; `check` maps headers
to columns, parses every cell and compares every row with the registry, so that problems and differences are seen
before anything happens; `activate` compares once more and writes all rows in one transaction, or none.

A kind is data: columns with parsers, a `compare` that looks up what is there in a few queries for all rows, and an
`apply`. A desk may register its own kind.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from huoshui.base import intake
from huoshui.base.access import Actor
from huoshui.base.act import Act
from huoshui.base.errors import Invalid, Problem, invalid
from huoshui.base.models import LogRecord
from huoshui.clearing.tables import Rule
from huoshui.registry import sentences
from huoshui.registry.models import ImportRow, RowChange

CHUNK = 2_000
"""Rows in one statement to the database."""


@dataclass(frozen=True)
class Column:
    """A column of a kind: `code` is the field, or field/unit where people write in several units.

    `parse` makes a JSON value of a cell or raises Rule, `show` makes it readable again.
    """

    code: str
    title: str | Promise
    parse: Callable[[str], Any]
    aliases: tuple[str, ...] = ()
    show: Callable[[Any], str] = str

    @property
    def field(self) -> str:
        return self.code.partition("/")[0]


@dataclass
class Row:
    """A row on its way: its number in the file, its values by field, and what they would change."""

    number: int
    values: dict[str, Any] = field(default_factory=dict)
    change: str = RowChange.UNREAD
    before: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def fault(self, title: object, value: object, rule: str) -> None:
        """The row cannot be taken."""
        self.change = RowChange.BAD
        self.problems.append(Problem(str(title), "" if value is None else str(value)[:80], rule, self.number))


@dataclass(frozen=True)
class ImportKind:
    """A kind of file. `needs`: of each group of fields at least one column must be there.

    `compare(rows)` sets `change`, `before` and problems of every row; `apply(act, record, rows)` writes those that are
    new or changed, after checking the actor's permission for each party.
    """

    code: str
    title: str | Promise
    permission: str
    columns: Callable[[], Sequence[Column]]
    needs: tuple[tuple[str, ...], ...]
    compare: Callable[[Sequence[Row]], None]
    apply: Callable[[Act, LogRecord, Sequence[Row]], None]


_kinds: dict[str, ImportKind] = {}


def register(kind: ImportKind) -> None:
    """Add a kind of import (called once, from apps.py)."""
    _kinds[kind.code] = kind


def kind_of(code: str) -> ImportKind:
    """The kind with a code. Raises Invalid."""
    if code not in _kinds:
        raise invalid("kind", code, sentences.sentence("one_of", {"one_of": ", ".join(_kinds)}))
    return _kinds[code]


def kinds(actor: Actor) -> list[ImportKind]:
    """The kinds that the actor may import."""
    return [kind for kind in _kinds.values() if actor.can(kind.permission)]


# --- headers ------------------------------------------------------------------------------------------------------


def header_key(header: str) -> str:
    """A header as it is compared: without spaces, width and case."""
    return "".join(intake.normal(header).split()).lower()


def guess(kind: ImportKind, headers: Iterable[str], remembered: Mapping[str, str]) -> dict[str, str]:
    """Header → column code, from what the office chose before and else from titles and aliases.

    A money column without its unit in the header is not guessed: somebody must say whether it is 元 or 万元.
    """
    columns = kind.columns()
    known = {header_key(name): column.code for column in columns for name in (str(column.title), *column.aliases)}
    codes = {column.code for column in columns}
    known |= {header: code for header, code in remembered.items() if code in codes}
    found: dict[str, str] = {}
    for header in headers:
        code = known.get(header_key(header))
        if code and code.partition("/")[0] not in {taken.partition("/")[0] for taken in found.values()}:
            found[header] = code
    return found


def check_mapping(kind: ImportKind, headers: Sequence[str], mapping: Mapping[str, str]) -> dict[str, Column]:
    """Header → column. Raises Invalid for an unknown header or column, a field named twice, a need unmet."""
    columns = {column.code: column for column in kind.columns()}
    problems = [
        Problem(header, code, sentences.sentence("known_column", {"known": ", ".join(columns)}))
        for header, code in mapping.items() if code not in columns or header not in headers
    ]
    fields = Counter(code.partition("/")[0] for code in mapping.values())
    problems += [Problem(name, str(count), sentences.sentence("once")) for name, count in fields.items() if count > 1]
    titles = {column.field: str(column.title) for column in columns.values()}
    for group in kind.needs:
        if not set(group) & set(fields):
            names = _(" or ").join(titles[name] for name in group)
            problems.append(Problem(names, "", _("no column of the file is mapped to this")))
    if problems:
        raise Invalid(*problems)
    return {header: columns[code] for header, code in mapping.items()}


def parse_row(number: int, cells: Mapping[str, str], columns: Mapping[str, Column]) -> Row:
    """The values of a row; an empty cell has none. Faults become the row's problems."""
    row = Row(number)
    for header, column in columns.items():
        if cell := cells.get(header, ""):
            try:
                row.values[column.field] = column.parse(cell)
            except Rule as rule:
                row.fault(header, cell, sentences.of_rule(rule))
    return row


@dataclass(frozen=True)
class Difference:
    """One field of a staged row: what stands now ('' for nothing) and what would."""

    title: str
    before: str
    after: str
    changes: bool


def differences(columns: Sequence[Column], row: ImportRow) -> list[Difference]:
    """A checked row, field by field, as people read it."""
    by_field = {column.field: column for column in reversed(columns)}
    return [
        Difference(
            str(by_field[name].title),
            by_field[name].show(row.before[name]) if row.before.get(name) is not None else "",
            by_field[name].show(value),
            name in row.before or row.change == RowChange.NEW,
        )
        for name, value in row.values.items() if name in by_field
    ]


def compare(kind: ImportKind, rows: Sequence[Row]) -> None:
    """Say of every row what it would change; a row with a fault stays bad, and its other faults are found too."""
    kind.compare(rows)
