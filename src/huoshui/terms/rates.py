"""Dated rate series and simple interest in integer fen.

A series (the loan prime rate, the default rate of a regulation) is a list of dates from which a value holds, and the
date through which the list is known to be complete. A lookup before the first date has no value, which is not zero;
a lookup after the known end carries the last value and says that it is not confirmed.

Interest is simple: principal x rate x days, the day of payment not charged (half-open [start, end)). The day count
and the rounding are arguments without defaults, because each law and contract settles them.
"""

import bisect
import datetime as dt
import enum
from dataclasses import dataclass
from typing import Final

from .errors import TermError
from .publication import Publication
from .rounding import BPS, Rounding

POINTS_MAX: Final = 5_000
RATE_BPS_MAX: Final = 100_000


class DayCount(enum.Enum):
    """Days over which a rate is stated: a year of 360 or 365 days, or one day (a daily rate)."""

    ACTUAL_360 = 360
    ACTUAL_365 = 365
    DAILY = 1


@dataclass(frozen=True)
class Rate:
    """A rate as of a date: basis points, since when, and whether the series is known through that date."""

    bps: int
    since: dt.date
    confirmed: bool


@dataclass(frozen=True)
class RateSeries:
    """Values in basis points per `basis` (year or day), each from its date on."""

    id: str
    basis: str
    dates: tuple[dt.date, ...]
    values_bps: tuple[int, ...]
    known_through: dt.date

    def as_of(self, day: dt.date) -> Rate:
        """The rate that holds on a local date. Raises TermError before the first point."""
        index = bisect.bisect_right(self.dates, day) - 1
        if index < 0:
            raise TermError("day", day.isoformat(), "before_first", first=self.dates[0].isoformat())
        return Rate(self.values_bps[index], self.dates[index], day <= self.known_through)


def simple_interest_fen(
    principal_fen: int, rate_bps: int, start: dt.date, end: dt.date, *, day_count: DayCount, rounding: Rounding
) -> int:
    """Simple interest in fen on the days from `start` (charged) to `end` (not charged).

    Raises TermError for a negative principal or rate, or an end before the start.
    """
    if end < start:
        raise TermError("end", end.isoformat(), "order", other="start")
    if principal_fen < 0 or rate_bps < 0:
        raise TermError("principal_fen, rate_bps", (principal_fen, rate_bps), "amount_negative")
    return rounding.divide(principal_fen * rate_bps * (end - start).days, BPS * day_count.value)


def from_publication(publication: Publication) -> RateSeries:
    """Body: `basis` (year or day), `known_through`, `points` (from, bps), dates increasing."""
    fields = publication.body_fields()
    basis = fields.choice("basis", ("year", "day"))
    dates, values = list[dt.date](), list[int]()
    for row in fields.rows("points", minimum=1, maximum=POINTS_MAX):
        day = row.date("from")
        if dates and day <= dates[-1]:
            raise TermError(row.path("from"), day.isoformat(), "increasing")
        dates.append(day)
        values.append(row.integer("bps", 0, RATE_BPS_MAX))
    known_through = fields.date("known_through")
    if known_through < dates[-1]:
        raise TermError("body.known_through", known_through.isoformat(), "order", other="the last point")
    fields.done()
    return RateSeries(publication.id, basis, tuple(dates), tuple(values), known_through)
