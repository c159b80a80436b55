"""The facts of some rows as columns, by name, on one day: what tests are judged on.

A table is made of a frame (bulk) or of one row (explain). It remembers what was judged on it, so that a test which
several criteria or packs share is judged once. `where` gives the table of some of the rows, for work that only they
need (a margin, an upper bound, a transition).
"""

import datetime as dt
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import polars as pl

from .algebra import Bits, Number, choose, known
from .fields import Field
from .model import Pack, Term

EPOCH: Final = dt.date(1970, 1, 1).toordinal()
T = TypeVar("T")


def column_name(code: str, year: int | None) -> str:
    """The column of a field: `revenue@2025` for a calendar year, `founded` for a field without years."""
    return code if year is None else f"{code}@{year}"


def column_of(term: Term, on: dt.date) -> str:
    """The column that a term reads when judged on a day."""
    return column_name(term.field, None if term.year is None else on.year + term.year)


def dtype_of(field: Field) -> type[pl.DataType]:
    """The dtype of a field's columns."""
    return {"text": pl.String, "date": pl.Date, "boolean": pl.Boolean}.get(field.kind, pl.Int64)


@dataclass(frozen=True)
class Text:
    """Texts as numbers: `codes` 0 where unknown, else one more than the index into `names`."""

    codes: int | pl.Series
    names: Sequence[str]

    @property
    def known(self) -> Bits:
        return self.codes > 0

    def among(self, wanted: Callable[[str], bool]) -> Bits:
        """In which rows the text is wanted; no where it is unknown."""
        listed = [False, *(wanted(name) for name in self.names)]
        if isinstance(self.codes, int):
            return listed[self.codes]
        return pl.Series(np.take(np.array(listed), self.codes.to_numpy()))

    def filled(self, index: Number, names: Sequence[str]) -> "Text":
        """With `names[index]` where the text is unknown."""
        offset = 1 + len(self.names)
        code = None if index is None else index + offset
        if isinstance(code, pl.Series):
            code = code.fill_null(0).cast(pl.UInt32)
        codes = choose(self.known, self.codes, 0 if code is None else code)
        assert codes is not None, "neither part is None"
        return Text(codes, [*self.names, *names])


class Table:
    """Rows on a day. `rows` is how many."""

    def __init__(
        self, rows: int, on: dt.date, source: Callable[[str], Any], given: Callable[[str], Any] | None = None
    ) -> None:
        self.rows, self.on, self._given = rows, on, given
        self._source, self._columns, self._memo = source, dict[str, Any](), dict[Any, tuple[Any, Any]]()
        self.classes: dict[str, list[Pack]] = {}

    @classmethod
    def of_row(cls, row: Mapping[str, Any], on: dt.date) -> "Table":
        """One entity: every column is a constant."""

        def source(name: str) -> Any:
            value = row.get(name)
            if isinstance(value, str):
                return Text(1, [value])
            return value.toordinal() - EPOCH if isinstance(value, dt.date) else value

        return cls(1, on, source, row.get)

    @classmethod
    def of_frame(cls, frame: pl.DataFrame, on: dt.date, categories: Mapping[str, pl.Categories]) -> "Table":
        """Rows of a frame. `categories` holds one for each column of dtype String; sharing it saves work."""

        def source(name: str) -> Any:
            if name not in frame.columns:
                return None
            series = frame.get_column(name)
            if series.null_count() == len(series):
                return None
            if series.dtype == pl.String:
                series = series.cast(pl.Categorical(categories[name]))
            if isinstance(series.dtype, (pl.Categorical, pl.Enum)):
                return _coded(series)
            return series.cast(pl.Int32).cast(pl.Int64) if series.dtype == pl.Date else series

        return cls(frame.height, on, source)

    def _column(self, name: str) -> Any:
        if name not in self._columns:
            self._columns[name] = self._source(name)
        return self._columns[name]

    def number(self, name: str) -> Number:
        """An integer, or a date as days since 1970-01-01."""
        value: Number = self._column(name)
        return value

    def flag(self, name: str) -> Bits:
        """A Boolean; what stands where it is unknown means nothing."""
        value = self._column(name)
        return False if value is None else value

    def text(self, name: str) -> Text:
        value = self._column(name)
        return Text(0, []) if value is None else value

    def raw(self, name: str) -> Any:
        """The value in a table of one row as a person knows it: text as text, a date as a date. None where unknown."""
        value = self._column(name)
        if isinstance(value, Text):
            assert isinstance(value.codes, int), "a table of one row is constants"
            return value.names[value.codes - 1] if value.codes else None
        return self._given(name) if self._given is not None else value

    def known(self, name: str) -> Bits:
        """Where the column is known."""
        value = self._column(name)
        if isinstance(value, Text):
            return value.known
        return self.once(("known", name), lambda: known(value)) if isinstance(value, pl.Series) else value is not None

    def once(self, key: Any, make: Callable[[], T]) -> T:
        """What `make` gives, made once for this table.

        Two tests that say the same are one in bulk. For one row it costs less to judge twice than to compare tests.
        """
        return self.kept(key if self._given is None else id(key), key, make)

    def kept(self, name: Hashable, key: Any, make: Callable[[], T]) -> T:
        """What `make` gives, made once under a name; `key` is kept so that an id as name stays its own."""
        found = self._memo.get(name)
        if found is None:
            found = self._memo[name] = key, make()
        value: T = found[1]
        return value

    def fill(self, pack: Pack, index: Number) -> None:
        """A text that no fact states is the class of `pack` by index from now on."""
        assert pack.classes is not None, "only a pack with classes fills a field"
        name = pack.classes.field
        self._columns[name] = self.text(name).filled(index, [each.id for each in pack.classes.classes])
        self.classes.setdefault(name, []).append(pack)

    def where(self, rows: Bits) -> "Table":
        """The rows that say yes."""
        if isinstance(rows, bool):
            return self if rows else Table(0, self.on, lambda name: None)
        part = Table(int(rows.sum()), self.on, lambda name: self._part(name, rows))
        part.classes = self.classes
        return part

    def _part(self, name: str, rows: pl.Series) -> Any:
        value = self._column(name)
        if isinstance(value, Text):
            return value if isinstance(value.codes, int) else Text(value.codes.filter(rows), value.names)
        return value.filter(rows) if isinstance(value, pl.Series) else value


def _coded(series: pl.Series) -> Text:
    dtype = series.dtype
    names = dtype.categories.to_list() if isinstance(dtype, pl.Enum) else dtype.categories.to_series().to_list()  # type: ignore[attr-defined]
    codes = series.to_physical().cast(pl.UInt32) + 1
    return Text(codes if codes.null_count() == 0 else codes.fill_null(0), names)
