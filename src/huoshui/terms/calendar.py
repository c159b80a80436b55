"""Working days and deadlines on a calendar that is data, and that says how far it is known.

The idea: which days are worked is decided year by year in a notice of the State Council (holidays, and weekend days
worked instead). Each notice is one publication of kind `calendar`; `Calendar` joins several. A year without a
confirmed notice is computed from weekends alone and every answer that touched it says so, so that a page can show
"provisional" instead of a date that next month's notice will move.

Deadlines follow the Civil Code (民法典) art. 200-204, in local dates (Asia/Shanghai): the first day is not counted
(201), a month or year ends on the day of the same number or else on the month's last day (202), a last day that is
no working day moves to the next working day (203), and the period ends at 24:00 of it.
"""

import datetime as dt
import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Final

from .errors import TermError
from .publication import Fields, Publication, check_date

# China keeps UTC+8 all year; its last daylight saving time ended in 1991.
SHANGHAI_OFFSET_HOURS: Final = 8
SHANGHAI: Final = dt.timezone(dt.timedelta(hours=SHANGHAI_OFFSET_HOURS), "Asia/Shanghai")
YEAR_MIN: Final = 1992
YEAR_MAX: Final = 2100
WORKING_DAYS_MAX: Final = 10_000
HOLIDAYS: Final = (
    "new_year", "spring_festival", "qingming", "labour_day", "dragon_boat", "mid_autumn", "national_day", "other",
)


class Period(enum.Enum):
    """The unit in which a law or a contract gives a period."""

    DAYS = "days"
    WORKING_DAYS = "working_days"
    MONTHS = "months"
    YEARS = "years"


@dataclass(frozen=True)
class Holiday:
    """Consecutive days off, first and last included, under the name (or joined names) the notice gives them."""

    names: tuple[str, ...]
    first: dt.date
    last: dt.date

    @property
    def days(self) -> list[dt.date]:
        return [self.first + dt.timedelta(days=n) for n in range((self.last - self.first).days + 1)]


@dataclass(frozen=True)
class CalendarYear:
    """One year's notice. `workdays` are weekend days that are worked."""

    year: int
    confirmed: bool
    notice: str | None
    holidays: tuple[Holiday, ...]
    workdays: frozenset[dt.date]


@dataclass(frozen=True)
class DayAnswer:
    """A local date, and the years without a confirmed notice that it depends on."""

    date: dt.date
    unconfirmed_years: tuple[int, ...]

    @property
    def confirmed(self) -> bool:
        return not self.unconfirmed_years


@dataclass(frozen=True)
class CountAnswer:
    """A number of working days, and the years without a confirmed notice that it depends on."""

    count: int
    unconfirmed_years: tuple[int, ...]

    @property
    def confirmed(self) -> bool:
        return not self.unconfirmed_years


@dataclass(frozen=True)
class Deadline:
    """The last day of a period. `nominal` is the day before art. 203 moved it to a working day."""

    date: dt.date
    nominal: dt.date
    unconfirmed_years: tuple[int, ...]

    @property
    def confirmed(self) -> bool:
        return not self.unconfirmed_years

    @property
    def expires_at(self) -> dt.datetime:
        """The first instant after the deadline: 24:00 local time of its last day (art. 203), in UTC."""
        return day_start(self.date + dt.timedelta(days=1))


def local_date(instant: dt.datetime) -> dt.date:
    """The date in Asia/Shanghai at an aware instant. Raises ValueError for a naive one."""
    if instant.tzinfo is None:
        raise ValueError("local_date needs an aware datetime")
    return instant.astimezone(SHANGHAI).date()


def day_start(day: dt.date) -> dt.datetime:
    """00:00 Asia/Shanghai of a local date, as an aware UTC instant."""
    return dt.datetime.combine(day, dt.time(), SHANGHAI).astimezone(dt.UTC)


def add_months(day: dt.date, months: int) -> dt.date:
    """The day of the same number `months` later, or the last day of that month where it has none (art. 202)."""
    year, month_index = divmod(day.year * 12 + day.month - 1 + months, 12)
    first = dt.date(year, month_index + 1, 1)
    month_days = ((first + dt.timedelta(days=31)).replace(day=1) - first).days
    return first.replace(day=min(day.day, month_days))


@dataclass(frozen=True)
class Calendar:
    """Years of notices joined. Years that are missing count as unconfirmed: weekends only."""

    years: Mapping[int, CalendarYear] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def of(cls, years: Iterable[CalendarYear]) -> "Calendar":
        """Join years; the same year twice is an error (the superseded one must be left out)."""
        joined: dict[int, CalendarYear] = {}
        for year in years:
            if year.year in joined:
                raise TermError("year", year.year, "unique")
            joined[year.year] = year
        return cls(MappingProxyType(joined))

    @cached_property
    def _days_off(self) -> Mapping[dt.date, Holiday]:
        return {day: holiday for year in self.years.values() for holiday in year.holidays for day in holiday.days}

    @cached_property
    def _workdays(self) -> frozenset[dt.date]:
        return frozenset().union(*(year.workdays for year in self.years.values()))

    def holiday(self, day: dt.date) -> Holiday | None:
        """The holiday that this day belongs to, if a notice says so (an ordinary weekend is none)."""
        return self._days_off.get(day)

    def is_working_day(self, day: dt.date) -> bool:
        """Whether the day is worked, by the notice of its year or by weekends alone; see `is_confirmed`."""
        return day in self._workdays or (day.weekday() < 5 and day not in self._days_off)

    def is_confirmed(self, year: int) -> bool:
        return year in self.years and self.years[year].confirmed

    def unconfirmed(self, first: dt.date, last: dt.date) -> tuple[int, ...]:
        """The years from `first` to `last` that have no confirmed notice."""
        return tuple(year for year in range(first.year, last.year + 1) if not self.is_confirmed(year))

    def confirmed_through(self, day: dt.date) -> dt.date | None:
        """The last day of the unbroken confirmed years from `day` on; None when its own year is not confirmed."""
        year = day.year
        while self.is_confirmed(year):
            year += 1
        return dt.date(year - 1, 12, 31) if year > day.year else None

    def _next_working_day(self, day: dt.date) -> dt.date:
        """`day` itself if worked, else the next day that is."""
        while not self.is_working_day(day):
            day += dt.timedelta(days=1)
        return day

    def add_working_days(self, start: dt.date, count: int) -> DayAnswer:
        """The `count`-th working day after `start`, `start` not counted; 0 gives `start` or the next working day."""
        if not 0 <= count <= WORKING_DAYS_MAX:
            raise TermError("count", count, "working_days_range", max=WORKING_DAYS_MAX)
        day = start if count else self._next_working_day(start)
        for _ in range(count):
            day = self._next_working_day(day + dt.timedelta(days=1))
        first_asked = start + dt.timedelta(days=1 if count else 0)
        return DayAnswer(day, self.unconfirmed(first_asked, day))

    def working_days_between(self, start: dt.date, end: dt.date) -> CountAnswer:
        """Working days after `start` up to and including `end`; negative when `end` comes first.

        It undoes `add_working_days`: working_days_between(d, add_working_days(d, n).date) is n.
        """
        first, last = min(start, end), max(start, end)
        counted = [first + dt.timedelta(days=n) for n in range(1, (last - first).days + 1)]
        worked = sum(self.is_working_day(day) for day in counted)
        unconfirmed_years = self.unconfirmed(counted[0], last) if counted else ()
        return CountAnswer(worked if start <= end else -worked, unconfirmed_years)

    def deadline(self, start: dt.date, length: int, period: Period) -> Deadline:
        """The last day of a period that starts by an event on the local date `start` (Civil Code art. 200-204).

        A law or a contract that counts otherwise (art. 204) must not be computed here. Raises TermError for a
        length that is not positive.
        """
        if length <= 0:
            raise TermError("length", length, "positive")
        if period is Period.WORKING_DAYS:
            answer = self.add_working_days(start, length)
            return Deadline(answer.date, answer.date, answer.unconfirmed_years)
        if period is Period.DAYS:
            nominal = start + dt.timedelta(days=length)
        else:
            nominal = add_months(start, length * (12 if period is Period.YEARS else 1))
        date = self._next_working_day(nominal)
        return Deadline(date, nominal, self.unconfirmed(nominal, date))


def _read_holiday(row: Fields, year: int) -> Holiday:
    names = tuple(row.text("names").split("+"))
    for name in names:
        if name not in HOLIDAYS:
            raise TermError(row.path("names"), name, "choice", choices=", ".join(HOLIDAYS))
    first, last = row.date("first"), row.date("last")
    if last < first:
        raise TermError(row.path("last"), last.isoformat(), "order", other="first")
    if year not in (first.year, last.year) or (last - first).days > 31:
        raise TermError(row.path("first"), first.isoformat(), "in_year", year=year)
    return Holiday(names, first, last)


def from_publication(publication: Publication) -> CalendarYear:
    """Body: `year`, `confirmed`, `notice`, `holidays` (names joined by +, first, last), `workdays` (dates)."""
    fields = publication.body_fields()
    year = fields.integer("year", YEAR_MIN, YEAR_MAX)
    confirmed = fields.boolean("confirmed")
    holidays = tuple(_read_holiday(row, year) for row in fields.rows("holidays", minimum=1 if confirmed else 0))
    days_off = [day for holiday in holidays for day in holiday.days]
    if len(set(days_off)) != len(days_off):
        raise TermError("body.holidays", str(max(days_off, key=days_off.count)), "unique")
    workdays = set[dt.date]()
    for where, value in fields.items("workdays"):
        day = check_date(value, where)
        if abs(day.year - year) > 1:
            raise TermError(where, value, "in_year", year=year)
        if day.weekday() < 5 or day in days_off:
            raise TermError(where, value, "on_weekend")
        workdays.add(day)
    notice = fields.text("notice") if confirmed or "notice" in fields else None
    fields.done()
    return CalendarYear(year, confirmed, notice, holidays, frozenset(workdays))
