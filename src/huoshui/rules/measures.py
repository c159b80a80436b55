"""Measures put against thresholds, exactly: no division, no rounding, no number too large.

A ratio a/b is at least q/p when a·p ≥ b·q; growth over y years is the same with q/p = (1 + g) ^ y. The facts are whole
numbers of at most 10^15, so every product has a known limit. Where that passes 64 bits the product has 128. Where it
would pass those (nine years of growth at 5.01 % have a denominator of 10^36) the threshold gives way to its nearest
fraction that such facts can form: between two neighbours of the Farey sequence there is no ratio of facts, so the
answer is the same.

`distance` is the signed distance of a measure from where the comparison begins to hold, in smallest units, rounded
away from it: it is below zero exactly where the comparison does not hold.
"""

import calendar
import datetime as dt
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache, reduce
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import polars as pl

from .algebra import (
    INT64_MAX,
    Bits,
    Number,
    Truth,
    all_of,
    both,
    choose,
    either,
    floor_of,
    holds,
    least,
    minus,
    no,
    opposite,
    plus,
    times,
    wide,
    yes,
)
from .model import BPS, Age, Amount, Growth, Measure, Op, terms_of_measure
from .table import EPOCH, Table, column_of

VALUE_MAX: Final = 10**15
"""The largest fact, either sign, in smallest units (as `registry` stores them)."""
INT128_SAFE: Final = 2**126

_COMPARE: Final[Mapping[Op, Callable[[Any, Any], Any]]] = MappingProxyType({
    Op.GE: operator.ge, Op.GT: operator.gt, Op.LE: operator.le, Op.LT: operator.lt, Op.EQ: operator.eq,
    Op.NE: operator.ne,
})  # fmt: skip
OPPOSITE: Final[Mapping[Op, Op]] = MappingProxyType({
    Op.GE: Op.LT, Op.LT: Op.GE, Op.GT: Op.LE, Op.LE: Op.GT, Op.EQ: Op.NE, Op.NE: Op.EQ,
})  # fmt: skip


@dataclass(frozen=True)
class _Read:
    """What a measure reads: it is known where all of `columns` are."""

    table: Table
    columns: tuple[str, ...]

    @cached_property
    def known(self) -> Bits:
        return self.table.all_known(self.columns)


@dataclass(frozen=True)
class Plain(_Read):
    """A whole number: an amount, a count."""

    value: Number

    def compare(self, op: Op, threshold: int) -> Truth:
        if self.value is None:
            return holds(False, False)
        return holds(_COMPARE[op](self.value, threshold), self.known)

    def floor(self) -> Number:
        return self.value

    def ceiling(self) -> Number:
        return self.value


@dataclass(frozen=True)
class Months(_Read):
    """Whole months from a date to `day`. `days` is the date in days since 1970-01-01."""

    days: Number
    day: dt.date

    def compare(self, op: Op, threshold: int) -> Truth:
        at_least = self._at_least
        if op is Op.GE:
            return at_least(threshold)
        if op is Op.GT:
            return at_least(threshold + 1)
        if op in (Op.LT, Op.LE):
            return opposite(at_least(threshold + (op is Op.LE)))
        equal = all_of((at_least(threshold), opposite(at_least(threshold + 1))))
        return equal if op is Op.EQ else opposite(equal)

    def _at_least(self, months: int) -> Truth:
        return Plain(self.table, self.columns, self.days).compare(Op.LE, latest_start(self.day, months))

    def floor(self) -> Number:
        if isinstance(self.days, np.ndarray):
            date = pl.Series(self.days).cast(pl.Int32).cast(pl.Date)
            year, month, day = date.dt.year(), date.dt.month().cast(pl.Int32), date.dt.day()
            whole = (self.day.year - year) * 12 + (self.day.month - month)
            late = False if _is_month_end(self.day) else day > self.day.day
            return minus(whole.cast(pl.Int64), late if isinstance(late, bool) else late.cast(pl.Int64))
        if not isinstance(self.days, int):
            return None
        start = dt.date.fromordinal(self.days + EPOCH)
        months = (self.day.year - start.year) * 12 + self.day.month - start.month
        return months - (start.day > self.day.day and not _is_month_end(self.day))

    ceiling = floor


@dataclass(frozen=True)
class Quotient(_Read):
    """a / b over `years` (0: a share; more: compound growth). MANUAL where b is not above zero.

    `a_max` and `b_max` bound the absolute values.
    """

    a: Number
    b: Number
    a_max: int
    b_max: int
    years: int

    def compare(self, op: Op, threshold: int) -> Truth:
        if self.a is None or self.b is None:
            return holds(False, False)
        defined = yes(self.b > 0)
        fact = self._compare(op, self._fraction(threshold))
        sure = both(both(self.known, defined), fact)
        if defined is True:
            return holds(fact, self.known)
        person = both(self.known, either(no(defined), fact))
        return Truth(sure, person, either(no(self.known), person))

    def _fraction(self, threshold: int) -> Fraction:
        if self.years == 0:
            return Fraction(threshold, BPS)
        return Fraction(max(0, BPS + threshold), BPS) ** self.years

    def _compare(self, op: Op, at: Fraction) -> Bits:
        largest = max(self.a_max * at.denominator, self.b_max * abs(at.numerator))
        if largest > INT128_SAFE:
            formed = formable(op, at, self.a_max, self.b_max)
            if isinstance(formed, bool):
                return formed
            op, at = formed
        a, b = (self.a, self.b) if largest <= INT64_MAX else (wide(self.a), wide(self.b))
        return yes(_COMPARE[op](times(a, at.denominator), times(b, at.numerator)))

    def floor(self) -> Number:
        if self.years:
            return self._growth(up=False)
        return floor_of(times(wide(self.a), BPS), wide(self.b))

    def ceiling(self) -> Number:
        if self.years:
            return self._growth(up=True)
        return minus(0, floor_of(times(wide(self.a), -BPS), wide(self.b)))

    def _growth(self, up: bool) -> Number:
        """Basis points a year, by whole-number roots: one row at a time, for the few rows that need it."""
        if isinstance(self.a, np.ndarray) or isinstance(self.b, np.ndarray):
            pairs = zip(_list(self.a, self.table.rows), _list(self.b, self.table.rows), strict=True)
            return pl.Series([growth_bps(a, b, self.years, up) for a, b in pairs], dtype=pl.Int128)
        (a,), (b,) = _list(self.a, 1), _list(self.b, 1)
        return growth_bps(a, b, self.years, up)


Value = Plain | Months | Quotient


def measured(measure: Measure, table: Table) -> Value:
    """The measure on a table; made once."""
    return table.once(measure, lambda: _measured(measure, table))


def _measured(measure: Measure, table: Table) -> Value:
    columns = tuple(column_of(term, table.on) for term in terms_of_measure(measure))
    if isinstance(measure, Amount):
        return Plain(table, columns, total(measure, table))
    if isinstance(measure, Age):
        day = dt.date(table.on.year - 1, 12, 31) if measure.at_year_end else table.on
        return Months(table, columns, table.values(measure.field), day)
    if isinstance(measure, Growth):
        a, b, years = Amount((measure.last,)), Amount((measure.first,)), measure.years
    else:
        a, b, years = measure.numerator, measure.denominator, 0
    return Quotient(table, columns, total(a, table), total(b, table), limit(a), limit(b), years)


def amount(measure: Amount, table: Table) -> Number:
    """The weighted sum; unknown where a term is."""
    return _weighted(measure, table.number, table)


def total(measure: Amount, table: Table) -> Number:
    """The weighted sum; anything where a term is unknown."""
    return _weighted(measure, table.values, table)


def _weighted(measure: Amount, read: Callable[[str], Number], table: Table) -> Number:
    values = ((read(column_of(term, table.on)), term.weight) for term in measure.terms)
    return reduce(plus, [value if weight == 1 else times(value, weight) for value, weight in values])


def limit(measure: Amount) -> int:
    """The largest absolute value that an amount can have."""
    return VALUE_MAX * sum(abs(term.weight) for term in measure.terms)


def compare(measure: Measure, op: Op, threshold: int, table: Table) -> Truth:
    """Whether `measure op threshold`; made once."""
    if table.rows == 1:
        return measured(measure, table).compare(op, threshold)
    return table.once((measure, op, threshold), lambda: measured(measure, table).compare(op, threshold))


def distance(measure: Measure, op: Op, threshold: int, table: Table) -> Number:
    """How far the measure is inside (≥ 0) or short of (< 0) the comparison. Anything where it is unknown; null where it
    is not defined."""
    value = measured(measure, table)
    low, high = value.floor(), value.ceiling()
    if isinstance(value, Quotient) and value.b is not None:
        defined = yes(value.b > 0)
        low, high = choose(defined, low, None), choose(defined, high, None)
    if isinstance(measure, Growth):
        threshold = max(-BPS, threshold)
    if op is Op.GE:
        return minus(low, threshold)
    if op is Op.GT:
        return minus(high, threshold + 1)
    if op is Op.LE:
        return minus(threshold, high)
    if op is Op.LT:
        return minus(threshold - 1, low)
    off = least(minus(threshold, high), minus(low, threshold))
    if op is Op.EQ or off is None:
        return off
    return choose(yes(off == 0), -1, minus(0, off))


# --- exact helpers ----------------------------------------------------------------------------------------------------


def formable(op: Op, at: Fraction, a_max: int, b_max: int) -> tuple[Op, Fraction] | bool:
    """A comparison of a/b (|a| ≤ a_max, 0 < b ≤ b_max, `at` ≥ 0) with a small fraction that decides as `op at` does.

    True or False where every a/b gives the same answer.
    """
    if at > a_max:
        return op in (Op.LE, Op.LT, Op.NE)
    flipped = at > 1
    low, high = neighbours(1 / at if flipped else at, a_max if flipped else b_max)
    if low == high:
        return op, at
    if flipped:
        low, high = 1 / high, 1 / low
    if op in (Op.EQ, Op.NE):
        return op is Op.NE
    return (Op.GE, high) if op in (Op.GE, Op.GT) else (Op.LE, low)


@lru_cache(maxsize=1_024)
def neighbours(at: Fraction, denominator_max: int) -> tuple[Fraction, Fraction]:
    """The greatest fraction ≤ `at` and the least ≥ `at` with denominators up to `denominator_max` (0 < at ≤ 1)."""
    if at.denominator <= denominator_max:
        return at, at
    n, d = at.numerator, at.denominator
    p0, q0, p1, q1 = 0, 1, 1, 0
    while q0 + (n // d) * q1 <= denominator_max:
        step = n // d
        p0, q0, p1, q1 = p1, q1, p0 + step * p1, q0 + step * q1
        n, d = d, n - step * d
    step = (denominator_max - q0) // q1
    one, other = Fraction(p0 + step * p1, q0 + step * q1), Fraction(p1, q1)
    return min(one, other), max(one, other)


def growth_bps(a: int | None, b: int | None, years: int, up: bool) -> int | None:
    """Compound yearly growth from b to a in basis points, floored or (`up`) raised; one less than -100 % below it."""
    if a is None or b is None or b <= 0:
        return None
    if a < 0:
        return -BPS if up else -BPS - 1
    scaled = a * BPS**years
    root = _root(scaled // b, years)
    return root - BPS + (up and root**years * b < scaled)


def _root(number: int, degree: int) -> int:
    """The greatest whole number whose power is at most `number`."""
    if degree == 1:
        return number
    root = round(number ** (1 / degree))
    while root**degree > number:
        root -= 1
    while (root + 1) ** degree <= number:
        root += 1
    return root


def latest_start(day: dt.date, months: int) -> int:
    """The last day (since 1970-01-01) from which `months` have passed by `day`, a shorter month ending all of it."""
    index = day.year * 12 + day.month - 1 - months
    year, month = divmod(index, 12)
    if not dt.MINYEAR <= year <= dt.MAXYEAR:
        return (dt.date.min if year < dt.MINYEAR else dt.date.max).toordinal() - EPOCH + (1 if months < 0 else -1)
    last = calendar.monthrange(year, month + 1)[1]
    return dt.date(year, month + 1, last if _is_month_end(day) else min(day.day, last)).toordinal() - EPOCH


def earliest_day(start: dt.date, months: int) -> dt.date | None:
    """The first day on which a date lies `months` back; None beyond the calendar."""
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    if not dt.MINYEAR <= year <= dt.MAXYEAR:
        return None
    return dt.date(year, month + 1, min(start.day, calendar.monthrange(year, month + 1)[1]))


def _is_month_end(day: dt.date) -> bool:
    return day.day == calendar.monthrange(day.year, day.month)[1]


def _list(number: Number, rows: int) -> list[int | None]:
    return number.tolist() if isinstance(number, np.ndarray) else [number] * rows  # type: ignore[list-item]
