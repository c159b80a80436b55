"""The facts of some rows as columns, by name, on one day: what tests are judged on.

A table is made of a frame (bulk) or of one row (explain). It remembers what was judged on it, so that a test which
several criteria or packs share is judged once. `where` gives the table of some of the rows, for work that only they
need (a margin, an upper bound, a transition).
"""

import datetime as dt
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import reduce
from typing import Any, Final, TypeVar

import numpy as np
import polars as pl

from .algebra import Bits, Number, both, choose, either, plus, yes
from .fields import Field
from .model import Pack, Term

EPOCH: Final = dt.date(1970, 1, 1).toordinal()
PREFIXES_ALONE_MAX: Final = 2
"""So many beginnings are looked for in the texts themselves; more of them by number."""
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


class Lexicon:
    """The texts of a column by number, growing as slices bring new ones, and which of them a test lists."""

    def __init__(self, names: Sequence[str], categories: pl.Categories | None = None) -> None:
        self.names, self.categories = names, categories
        self._listed = dict[Hashable, np.ndarray]()
        # Polars forgets the numbers of categories that no series has: this one keeps them for the slices to come
        self._keeper = None if categories is None else pl.Series([], dtype=pl.Categorical(categories))

    def reach(self, code: int) -> None:
        """Know the texts up to a code (which is one more than the index)."""
        if code > len(self.names) and self.categories is not None:
            self.names = self.categories.to_series().to_list()

    def listed(self, values: tuple[str, ...], prefix: bool) -> np.ndarray:
        """For each code, whether the text is one of `values` (or starts with one); code 0 is no text."""
        names, held = self.names, self._listed.get((values, prefix))
        if held is None or len(held) <= len(names):
            wanted = set(values)
            held = np.array([False, *(name.startswith(values) if prefix else name in wanted for name in names)])
            self._listed[values, prefix] = held
        return held


class Text:
    """A column of texts. As numbers (`codes` 0 where unknown, else one more than the index into the lexicon), from the
    second test on: for one test alone, numbering costs more than it saves."""

    def __init__(self, codes: int | np.ndarray | None, lexicon: Lexicon, series: pl.Series | None = None) -> None:
        self._codes, self.lexicon, self._series = codes, lexicon, series
        self._asked = False

    @property
    def codes(self) -> int | np.ndarray:
        if self._codes is None:
            assert self._series is not None, "a text has codes or a series"
            self._codes = _coded(self._series, self.lexicon)
        return self._codes

    @property
    def name(self) -> str | None:
        """The text of a table of one row."""
        assert isinstance(self._codes, int), "a table of one row is constants"
        return self.lexicon.names[self._codes - 1] if self._codes else None

    def among(self, values: tuple[str, ...], prefix: bool) -> Bits:
        """In which rows the text is one of `values`, or starts with one; no where it is unknown."""
        if isinstance(self._codes, int):
            name = self.name
            return name is not None and (name.startswith(values) if prefix else name in values)
        texts = self._series
        if self._codes is None and not self._asked and texts is not None and texts.dtype == pl.String:
            self._asked = True
            if not prefix:
                return yes(texts.is_in(values))
            if len(values) <= PREFIXES_ALONE_MAX:
                return reduce(either, (yes(texts.str.starts_with(value)) for value in values))
        codes = self.codes  # first: it makes the lexicon grow
        return np.take(self.lexicon.listed(values, prefix), codes)

    def filled(self, index: Number, names: Sequence[str]) -> "Text":
        """With `names[index]` where the text is unknown."""
        codes = self.codes  # first: it makes the lexicon grow
        offset = 1 + len(self.lexicon.names)
        code = plus(index, offset)
        if isinstance(code, pl.Series):
            code = code.fill_null(0).to_numpy()
        return Text(choose(codes > 0, codes, 0 if code is None else code), Lexicon([*self.lexicon.names, *names]))  # type: ignore[arg-type]

    def where(self, rows: np.ndarray) -> "Text":
        if isinstance(self._codes, int):
            return self
        if self._codes is None and self._series is not None:
            return Text(None, self.lexicon, self._series.filter(pl.Series(rows)))
        return Text(self.codes[rows], self.lexicon)  # type: ignore[index]


NO_TEXT: Final = Text(0, Lexicon([]))


class Table:
    """Rows on a day. `rows` is how many."""

    def __init__(
        self, rows: int, on: dt.date, source: Callable[[str], Any], given: Callable[[str], Any] | None = None
    ) -> None:
        self.rows, self.on, self._given = rows, on, given
        self._source, self._columns, self._memo = source, dict[str, Any](), dict[Any, tuple[Any, Any]]()
        self._source_known: Callable[[str], Bits] = lambda name: self._column(name) is not None
        self.classes: dict[str, list[Pack]] = {}

    @classmethod
    def of_row(cls, row: Mapping[str, Any], on: dt.date) -> "Table":
        """One entity: every column is a constant."""

        def source(name: str) -> Any:
            value = row.get(name)
            if isinstance(value, str):
                return Text(1, Lexicon([value]))
            return value.toordinal() - EPOCH if isinstance(value, dt.date) else value

        return cls(1, on, source, row.get)

    @classmethod
    def of_frame(cls, frame: pl.DataFrame, on: dt.date, lexicons: Mapping[str, Lexicon]) -> "Table":
        """Rows of a frame. `lexicons`: see `lexicons_of`; all slices of a frame share them."""

        def source(name: str) -> Any:
            if name not in schema:
                return None
            series = frame.get_column(name)
            if series.null_count() == len(series):
                return None
            if name in lexicons:
                return Text(None, lexicons[name], series)
            return series.cast(pl.Int32) if series.dtype == pl.Date else series

        def source_known(name: str) -> Bits:
            series = frame.get_column(name)
            return True if series.null_count() == 0 else series.is_not_null().to_numpy()

        schema = frame.schema
        table = cls(frame.height, on, source)
        table._source_known = lambda name: table.kept(("known", name), name, lambda: source_known(name))
        return table

    def _column(self, name: str) -> Any:
        if name not in self._columns:
            self._columns[name] = self._source(name)
        return self._columns[name]

    def number(self, name: str) -> Number:
        """An integer, null where it is unknown."""
        value: Number = self._column(name)
        return value

    def values(self, name: str) -> Any:
        """An integer, a date as days since 1970-01-01, or a Boolean. Anything where it is unknown; None if it is so in
        every row."""
        value = self._column(name)
        return self.kept(("values", name), name, lambda: _values(value)) if isinstance(value, pl.Series) else value

    def text(self, name: str) -> Text:
        value = self._column(name)
        return NO_TEXT if value is None else value

    def raw(self, name: str) -> Any:
        """The value in a table of one row as a person knows it: text as text, a date as a date. None where unknown."""
        value = self._column(name)
        if isinstance(value, Text):
            return value.name
        return self._given(name) if self._given is not None else value

    def known(self, name: str) -> Bits:
        """Where the column is known."""
        value = self._column(name)
        if isinstance(value, Text) and name in self.classes:
            return value.codes > 0
        if isinstance(value, Text) and isinstance(value._codes, int):
            return value.codes > 0
        return self._source_known(name) if isinstance(value, (pl.Series, Text)) else value is not None

    def all_known(self, names: Iterable[str]) -> Bits:
        """Where all of these columns are."""
        found: Bits = True
        for name in names:
            found = both(found, self.known(name))
        return found

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
        part._source_known = lambda name: part.kept(("known", name), name, lambda: _rows(self.known(name), rows))
        return part

    def _part(self, name: str, rows: np.ndarray) -> Any:
        value = self._column(name)
        if isinstance(value, Text):
            return value.where(rows)
        return value.filter(pl.Series(rows)) if isinstance(value, pl.Series) else value


def _rows(bits: Bits, rows: np.ndarray) -> Bits:
    return bits if isinstance(bits, bool) else bits[rows]


def _values(series: pl.Series) -> np.ndarray:
    if series.null_count():
        series = series.fill_null(False if series.dtype == pl.Boolean else 0)
    return series.to_numpy()


def lexicons_of(frame: pl.DataFrame) -> dict[str, Lexicon]:
    """A lexicon for each column of texts."""
    found = dict[str, Lexicon]()
    for name, dtype in frame.schema.items():
        if isinstance(dtype, pl.Enum):
            found[name] = Lexicon(dtype.categories.to_list())
        elif isinstance(dtype, pl.Categorical):
            found[name] = Lexicon([], dtype.categories)
        elif dtype == pl.String:
            found[name] = Lexicon([], pl.Categories.random())
    return found


def _coded(series: pl.Series, lexicon: Lexicon) -> np.ndarray:
    column = pl.col(series.name)
    if series.dtype == pl.String:
        column = column.cast(pl.Categorical(lexicon.categories))
    code = column.to_physical().cast(pl.UInt32) + 1
    codes = series.to_frame().select(code if series.null_count() == 0 else code.fill_null(0)).to_series().to_numpy()
    lexicon.reach(int(codes.max(initial=0)))
    return codes
