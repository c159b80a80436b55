"""What is known, what is not, and what only a person can say: one algebra for a million entities and for one.

The idea: every fact, verdict and amount is a **column** over the rows of a table, and a column that is the same in
every row is held as that one Python value. A table of one row is all such constants, so explaining one entity runs the
very code that judges a million, without the cost of a column for each value (as Polars expressions on one row, a page
of 18 packs takes longer than 60 ms); a fact that nobody states is a constant too.

A verdict is three bits, each a yes or no: does the test hold for **sure**; would it hold if **persons** decide all that
is theirs in its favour; could it hold if the **missing** facts turn out well too. Each bit implies the next:

    met 1 1 1    manual 0 1 1    unknown 0 0 1    unmet 0 0 0

All-of is AND of each bit, any-of is OR, and this is exactly the order of `model.Verdict`: nothing else to remember.
The same three attitudes make the points of a score an interval, and let a score be met although a fact is missing.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
import polars as pl

Bits = bool | pl.Series
"""Yes or no in each row, never null."""
Number = int | pl.Series | None
"""A whole number in each row, null where it is unknown; None where it is unknown in every row."""

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


def bit(bits: Bits, dtype: type[pl.DataType] = pl.UInt8) -> int | pl.Series:
    """1 for yes, 0 for no."""
    return int(bits) if isinstance(bits, bool) else bits.cast(dtype)


def count(bits: Iterable[Bits]) -> int | pl.Series:
    """How many are yes in each row (UInt8).

    Added as a binary counter of bit masks, 64 rows to an instruction; only its few digits become bytes.
    """
    fixed, digits, added = 0, list[pl.Series](), 0
    for carry in bits:
        if isinstance(carry, bool):
            fixed += carry
            continue
        added += 1
        for place, digit in enumerate(digits):
            digits[place], carry = digit ^ carry, digit & carry
        if added >= 2 ** len(digits):
            digits.append(carry)
    return weighted(digits, pl.UInt8, fixed)


def weighted(digits: Sequence[Bits], dtype: type[pl.DataType], start: int = 0) -> int | pl.Series:
    """The number with these binary digits, lowest first, plus `start`."""
    total: int | pl.Series = start
    for place, digit in enumerate(digits):
        if digit is not False:
            total = bit(digit, dtype) * 2**place + total
    return total


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
    """What is read off a fact: `fact` may be null, or anything, where it is not known."""
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


def verdict(truth: Truth) -> int | pl.Series:
    """The number of `model.Verdict` in each row (UInt8); n/a is not known here."""
    if truth.may is truth.sure:
        return 4 - 3 * bit(truth.sure)
    if truth.person is truth.sure:
        return 4 - bit(truth.may) - 2 * bit(truth.sure)
    return 4 - bit(truth.may) - bit(truth.person) - bit(truth.sure)


# --- numbers ----------------------------------------------------------------------------------------------------------


def known(number: Number) -> Bits:
    if isinstance(number, pl.Series):
        return True if number.null_count() == 0 else number.is_not_null()
    return number is not None


def choose(where: Bits, a: Number, b: Number) -> Number:
    """`a` in the rows that say yes, `b` in the others."""
    if isinstance(where, bool):
        return a if where else b
    if a is b:
        return a
    kinds = [number.dtype for number in (a, b) if isinstance(number, pl.Series)]
    dtype = pl.Int128 if pl.Int128 in kinds else kinds[0] if kinds else pl.Int64
    first, second = _series(a, dtype), _series(b, dtype)
    if len(first) == len(second) == 1:
        second = second.new_from_index(0, len(where))
    return first.zip_with(where, second)


def _series(number: Number, dtype: pl.DataType | type[pl.DataType]) -> pl.Series:
    if isinstance(number, pl.Series):
        return number if number.dtype == dtype else number.cast(dtype)
    return pl.Series([number], dtype=dtype)


def wide(number: Number) -> Number:
    """The number where products may pass 64 bits. (A Python integer has no width.)"""
    return number.cast(pl.Int128) if isinstance(number, pl.Series) else number


def narrow(number: Number) -> Number:
    """Back to 64 bits; what does not fit becomes unknown."""
    if isinstance(number, pl.Series):
        return number if number.dtype == pl.Int64 else number.cast(pl.Int64, strict=False)
    return number if number is not None and -INT64_MAX - 1 <= number <= INT64_MAX else None


def _pair(a: Number, b: Number) -> tuple[int | pl.Series, int | pl.Series] | None:
    """Both as operands of one width; None if one of them is unknown in every row."""
    if a is None or b is None:
        return None
    if isinstance(a, pl.Series) and a.dtype == pl.Int128:
        return a, _series(b, pl.Int128)
    if isinstance(b, pl.Series) and b.dtype == pl.Int128:
        return _series(a, pl.Int128), b
    return a, b


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
    if isinstance(a, pl.Series) and isinstance(b, int) and not some(a > b):
        return a
    pair = _pair(a, b)
    return None if pair is None else _first_of(pair[0] < pair[1], *pair)


def most(a: Number, b: Number) -> Number:
    """The greater; unknown if one is."""
    if isinstance(a, pl.Series) and isinstance(b, int) and not some(a < b):
        return a
    pair = _pair(a, b)
    return None if pair is None else _first_of(pair[0] > pair[1], *pair)


def _first_of(first: Bits, a: int | pl.Series, b: int | pl.Series) -> Number:
    """`a` where `first`, else `b`, and null where one is. `first` is null there too, which takes what stands last."""
    if isinstance(first, bool):
        return a if first else b
    if isinstance(a, pl.Series) and a.null_count():
        a, b, first = b, a, ~first
        if isinstance(a, pl.Series) and a.null_count():
            return choose(known(a), choose(first, a, b), None)
    return choose(first, a, b)


def full(number: Number, rows: int, dtype: type[pl.DataType], name: str) -> pl.Series:
    """The column as a series with a value for each row."""
    if isinstance(number, pl.Series):
        return (number if number.dtype == dtype else number.cast(dtype)).alias(name)
    return pl.Series(name, [number], dtype=dtype).new_from_index(0, rows)


def positions(where: pl.Series) -> np.ndarray:
    """The numbers of the rows that say yes."""
    return np.flatnonzero(where.to_numpy())
