"""What is known, what is not, and what only a person can say: one algebra for a million entities and for one.

The idea: every fact, verdict and amount is a **column** over the rows of a table, and a column that is the same in
every row is held as that one Python value. A table of one row is all such constants, so explaining one entity runs the
very code that judges a million, without the cost of a column for each value (as Polars expressions on one row, a page
of 18 packs takes longer than 60 ms); a fact that nobody states is a constant too. Facts and results are Polars; yes and
no are arrays of bytes between them, because counting, picking and placing rows costs less than with bits.

A verdict is three bits, each a yes or no: does the test hold for **sure**; would it hold if **persons** decide all that
is theirs in its favour; could it hold if the **missing** facts turn out well too. Each bit implies the next:

    met 1 1 1    manual 0 1 1    unknown 0 0 1    unmet 0 0 0

All-of is AND of each bit, any-of is OR, and this is exactly the order of `model.Verdict`: nothing else to remember.
The same three attitudes make the points of a score an interval, and let a score be met although a fact is missing.
"""

import operator
from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

Bits = bool | np.ndarray
"""Yes or no in each row."""
Number = int | np.ndarray | pl.Series | None
"""A whole number in each row: an array where every row has one that counts, a series with nulls where it may be
unknown. None where it is unknown in every row."""

INT64_MAX: Final = 2**63 - 1


# --- yes and no -------------------------------------------------------------------------------------------------------


def both(a: Bits, b: Bits) -> Bits:
    if isinstance(a, bool):
        return b if a else False
    if isinstance(b, bool):
        return a if b else False
    return a & b


def either(a: Bits, b: Bits) -> Bits:
    if isinstance(a, bool):
        return True if a else b
    if isinstance(b, bool):
        return True if b else a
    return a | b


def no(a: Bits) -> Bits:
    return not a if isinstance(a, bool) else ~a


def some(bits: Bits) -> bool:
    """Whether it is yes in any row."""
    return bits if isinstance(bits, bool) else bool(bits.any())


def yes(bits: bool | np.ndarray | pl.Series) -> Bits:
    """What a comparison says; no where it compares with what is unknown."""
    if isinstance(bits, pl.Series):
        return (bits.fill_null(False) if bits.null_count() else bits).to_numpy()
    return bits


def bit(bits: Bits) -> int | np.ndarray:
    """1 for yes, 0 for no."""
    return int(bits) if isinstance(bits, bool) else bits.view(np.uint8)


def count(bits: Iterable[Bits]) -> int | np.ndarray:
    """How many are yes in each row (at most 255)."""
    return reduce(operator.add, (bit(each) for each in bits), 0)


# --- verdicts ---------------------------------------------------------------------------------------------------------


class Truth(NamedTuple):
    """A verdict in each row. The same object twice says that no person (or no missing fact) can change it."""

    sure: Bits
    person: Bits
    may: Bits

    @property
    def unmet(self) -> Bits:
        return no(self.may)

    @property
    def unknown(self) -> Bits:
        return False if self.may is self.person else both(self.may, no(self.person))

    @property
    def manual(self) -> Bits:
        return False if self.person is self.sure else both(self.person, no(self.sure))

    @property
    def open(self) -> Bits:
        """Neither met nor unmet."""
        return False if self.may is self.sure else both(self.may, no(self.sure))


MET: Final = Truth(True, True, True)
MANUAL: Final = Truth(False, True, True)
UNKNOWN: Final = Truth(False, False, True)
UNMET: Final = Truth(False, False, False)


def holds(fact: Bits, known: Bits) -> Truth:
    """What is read off a fact: `fact` may be anything where it is not known."""
    if known is True:
        return Truth(fact, fact, fact)
    sure = both(known, fact)
    return Truth(sure, sure, either(no(known), fact))


def all_of(truths: Iterable[Truth]) -> Truth:
    sure, person, may = MET
    for each in truths:
        same, certain = person is sure and each.person is each.sure, may is person and each.may is each.person
        sure = both(sure, each.sure)
        person = sure if same else both(person, each.person)
        may = person if certain else both(may, each.may)
    return Truth(sure, person, may)


def any_of(truths: Iterable[Truth]) -> Truth:
    sure, person, may = UNMET
    for each in truths:
        same, certain = person is sure and each.person is each.sure, may is person and each.may is each.person
        sure = either(sure, each.sure)
        person = sure if same else either(person, each.person)
        may = person if certain else either(may, each.may)
    return Truth(sure, person, may)


def opposite(truth: Truth) -> Truth:
    """Met and unmet change places; what is unknown or a person's to say stays so."""
    sure, may = no(truth.may), no(truth.sure)
    if truth.may is truth.sure:
        return Truth(sure, sure, sure)
    if truth.person is truth.sure:
        return Truth(sure, sure, may)
    return Truth(sure, either(sure, truth.manual), may)


def verdict(truth: Truth) -> int | np.ndarray:
    """The number of `model.Verdict` in each row (UInt8); n/a is not known here."""
    if truth.may is truth.sure:
        return 4 - 3 * bit(truth.sure)
    if truth.person is truth.sure:
        return 4 - bit(truth.may) - 2 * bit(truth.sure)
    return 4 - bit(truth.may) - bit(truth.person) - bit(truth.sure)


# --- numbers ----------------------------------------------------------------------------------------------------------


def known(number: Number) -> Bits:
    if isinstance(number, pl.Series):
        return True if number.null_count() == 0 else number.is_not_null().to_numpy()
    return number is not None


def choose(where: Bits, a: Number, b: Number) -> Number:
    """`a` in the rows that say yes, `b` in the others."""
    if isinstance(where, bool):
        return a if where else b
    if a is b:
        return a
    if a is None or b is None or isinstance(a, pl.Series) or isinstance(b, pl.Series):
        return _pick(pl.Series(where), a, b)
    return np.where(where, a, b)


def _pick(where: pl.Series, a: Number, b: Number) -> pl.Series:
    """`a` where it says yes, `b` where it says no or null."""
    kinds = [number.dtype for number in (a, b) if isinstance(number, pl.Series)]
    dtype = pl.Int128 if pl.Int128 in kinds else kinds[0] if kinds else pl.Int64
    first, second = _series(a, dtype), _series(b, dtype)
    if len(first) == len(second) == 1:
        second = second.new_from_index(0, len(where))
    return first.zip_with(where, second)


def _series(number: Number, dtype: pl.DataType | type[pl.DataType]) -> pl.Series:
    series = pl.Series([number] if number is None or isinstance(number, int) else number)
    return series if series.dtype == dtype else series.cast(dtype)


def wide(number: Number) -> Number:
    """The number where products may pass 64 bits. (A Python integer has no width.)"""
    return number if number is None or isinstance(number, int) else _series(number, pl.Int128)


def narrow(number: Number) -> Number:
    """Back to 64 bits; what does not fit becomes unknown."""
    if isinstance(number, pl.Series):
        return number if number.dtype == pl.Int64 else number.cast(pl.Int64, strict=False)
    if isinstance(number, int):
        return number if -INT64_MAX - 1 <= number <= INT64_MAX else None
    return number


def _pair(a: Number, b: Number) -> tuple[Any, Any] | None:
    """Both as operands of one kind; None if one of them is unknown in every row."""
    if a is None or b is None:
        return None
    kinds = [number.dtype for number in (a, b) if isinstance(number, pl.Series)]
    if not kinds:
        return a, b
    if pl.Int128 in kinds:
        return _series(a, pl.Int128), _series(b, pl.Int128)
    return tuple(pl.Series(each) if isinstance(each, np.ndarray) else each for each in (a, b))  # type: ignore[return-value]


def plus(a: Number, b: Number) -> Number:
    pair = _pair(a, b)
    return None if pair is None else pair[0] + pair[1]


def minus(a: Number, b: Number) -> Number:
    pair = _pair(a, b)
    return None if pair is None else pair[0] - pair[1]


def times(a: Number, b: Number) -> Number:
    pair = _pair(a, b)
    return None if pair is None else pair[0] * pair[1]


def floor_of(a: Number, b: Number) -> Number:
    """Floor of a / b. Unknown where b is 0."""
    pair = _pair(a, b)
    if pair is None or (isinstance(b, int) and b == 0):
        return None
    return pair[0] // pair[1]


def least(a: Number, b: Number) -> Number:
    """The smaller; unknown if one is."""
    return _first_of(a, b, operator.lt, np.minimum)


def most(a: Number, b: Number) -> Number:
    """The greater; unknown if one is."""
    return _first_of(a, b, operator.gt, np.maximum)


def _first_of(a: Number, b: Number, before: Callable[[Any, Any], Any], of_arrays: np.ufunc) -> Number:
    pair = _pair(a, b)
    if pair is None:
        return None
    a, b = pair
    if isinstance(a, int) and isinstance(b, int):
        return a if before(a, b) else b
    if not isinstance(a, pl.Series) and not isinstance(b, pl.Series):
        found: np.ndarray = of_arrays(a, b)
        return found
    if isinstance(b, int) and not before(b, a).any():
        return a
    first = before(a, b)  # null where one is, which takes what stands last
    if isinstance(a, pl.Series) and a.null_count():
        a, b, first = b, a, ~first
        if isinstance(a, pl.Series) and a.null_count():
            return _pick(a.is_not_null(), _pick(first, a, b), None)
    return _pick(first, a, b)


def full(number: Number, rows: int, dtype: type[pl.DataType], name: str) -> pl.Series:
    """The column as a series with a value for each row."""
    if number is None or isinstance(number, int):
        return pl.Series(name, [number], dtype=dtype).new_from_index(0, rows)
    return _series(number, dtype).alias(name)
