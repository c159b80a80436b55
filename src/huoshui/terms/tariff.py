"""Dated time-of-use electricity tariffs: the price of one kilowatt-hour in any hour.

The idea: a tariff is a table of half-hours. Every day of the year belongs to one season; a season names the period
(sharp, peak, flat, valley, deep valley) of each of its 48 half-hours and the multiplier of the flat price in it;
special days (holidays) put a deep valley over some of them. From that one table come the price of an hour and, by
indexing, the prices of a whole horizon. Notices set some borders at half past, hence half-hours; the price of an
hour is the floored mean of its halves.

Prices are 1/1000 fen per kWh, multipliers basis points of the flat price, hours count from the epoch in UTC while
the table is in local hours (Asia/Shanghai). Only part of a bill floats in many provinces: `fixed_price` is added
after the multiplier.
"""

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from .calendar import HOLIDAYS, SHANGHAI_OFFSET_HOURS, Calendar, Holiday
from .errors import TermError
from .publication import Fields, Publication, check_integer
from .rounding import BPS

PERIODS: Final = ("sharp", "peak", "flat", "valley", "deep_valley")
FLAT: Final = PERIODS.index("flat")
HALF_HOURS: Final = 48
SEASONS_MAX: Final = 24
MULTIPLIER_BPS_MAX: Final = 100_000
PRICE_MAX: Final = 1_000_000  # 10 yuan per kWh, in 1/1000 fen
HOURS_MAX: Final = 24 * 366 * 100

_LEAP_YEAR: Final = 2000  # the calendar of days on which seasons are written, 29 February included
_EPOCH_DAY: Final = dt.date(1970, 1, 1).toordinal()

MultipliersBps = Mapping[str, int]
HalfHours = tuple[int, ...]


@dataclass(frozen=True)
class Season:
    """Days of the year that share one table. `days` are (month, day) pairs; `periods` index PERIODS by half-hour."""

    name: str
    days: frozenset[tuple[int, int]]
    periods: HalfHours
    multipliers_bps: MultipliersBps

    def price_halves(self, flat_price: int, fixed_price: int, overlay: HalfHours | None = None) -> list[int]:
        """Price of each half-hour in 1/1000 fen per kWh, `overlay` replacing the periods where it is not -1."""
        overlaid = zip(self.periods, overlay or self.periods, strict=True)
        periods = [period if over == -1 else over for period, over in overlaid]
        return [flat_price * self.multipliers_bps[PERIODS[period]] // BPS + fixed_price for period in periods]


@dataclass(frozen=True)
class HolidayRule:
    """Days that get `overlay` (period by half-hour, -1 = as the season says): which holidays, how long, first days."""

    names: tuple[str, ...]
    length_days_min: int
    first_days: int | None
    overlay: HalfHours

    def applies(self, holiday: Holiday, day: dt.date) -> bool:
        return (
            any(name in self.names for name in holiday.names)
            and len(holiday.days) >= self.length_days_min
            and (self.first_days is None or (day - holiday.first).days < self.first_days)
        )


@dataclass(frozen=True)
class Tariff:
    """One province's tariff for one class of user. Prices in 1/1000 fen per kWh."""

    id: str
    division: str
    province: str
    user_class: str
    flat_price: int
    fixed_price: int
    flat_price_assumed: bool
    seasons: tuple[Season, ...]
    holiday_rules: tuple[HolidayRule, ...]

    @cached_property
    def _season_by_day(self) -> Mapping[tuple[int, int], int]:
        return {day: index for index, season in enumerate(self.seasons) for day in season.days}

    def half_hour_prices(self, day: dt.date, calendar: Calendar | None = None) -> list[int]:
        """The 48 prices of a local date. Raises TermError if the tariff has holiday prices and no calendar."""
        season = self.seasons[self._season_by_day[day.month, day.day]]
        return season.price_halves(self.flat_price, self.fixed_price, self._overlay(day, calendar))

    def day_prices(self, day: dt.date, calendar: Calendar | None = None) -> list[int]:
        """The 24 hourly prices of a local date, as `half_hour_prices`."""
        halves = self.half_hour_prices(day, calendar)
        return [(halves[2 * hour] + halves[2 * hour + 1]) // 2 for hour in range(24)]

    def _overlay(self, day: dt.date, calendar: Calendar | None) -> HalfHours | None:
        if not self.holiday_rules:
            return None
        if calendar is None:
            raise TermError("calendar", None, "calendar_needed")
        holiday = calendar.holiday(day)
        if holiday is None:
            return None
        return next((rule.overlay for rule in self.holiday_rules if rule.applies(holiday, day)), None)

    def hourly_price(self, utc_hour: int, calendar: Calendar | None = None) -> int:
        """Price in the hour that starts `utc_hour` hours after the epoch (UTC), in 1/1000 fen per kWh."""
        day, hour = divmod(utc_hour + SHANGHAI_OFFSET_HOURS, 24)
        return self.day_prices(dt.date.fromordinal(_EPOCH_DAY + day), calendar)[hour]

    def hourly_prices(self, utc_hours: npt.ArrayLike, calendar: Calendar | None = None) -> npt.NDArray[np.int64]:
        """`hourly_price` for an array of hours since the epoch (any shape, whole numbers): int64 of that shape."""
        hours = np.asarray(utc_hours, dtype=np.int64)
        if hours.size > HOURS_MAX:
            raise TermError("utc_hours", hours.size, "integer", min=0, max=HOURS_MAX)
        days, local_hours = np.divmod(hours + SHANGHAI_OFFSET_HOURS, 24)
        distinct_days, inverse = np.unique(days.ravel(), return_inverse=True)
        dates = (dt.date.fromordinal(_EPOCH_DAY + int(day)) for day in distinct_days)
        table = np.array([self.day_prices(date, calendar) for date in dates], dtype=np.int64).reshape(-1, 24)
        return table[inverse.ravel(), local_hours.ravel()].reshape(hours.shape)


def _half_hour(text: str) -> int:
    hour, _, minute = text.partition(":")
    return int(hour) * 2 + (1 if minute else 0)


def _mark_hours(ranges: Iterable[tuple[str, object]], period: int, halves: list[int]) -> None:
    """Write `period` over the half-hours of ranges such as `16-23` or `19:30-21:30`; free ones are -1."""
    for where, value in ranges:
        match = re.fullmatch(r"(\d{1,2}(?::30)?)-(\d{1,2}(?::30)?)", str(value), re.ASCII)
        first, last = (_half_hour(match.group(1)), _half_hour(match.group(2))) if match else (0, 0)
        if not 0 <= first < last <= HALF_HOURS:
            raise TermError(where, value, "hours")
        for half in range(first, last):
            if halves[half] != -1:
                raise TermError(where, value, "hours_overlap")
            halves[half] = period


def _read_hours(fields: Fields) -> list[int]:
    """Half-hours by period, -1 where nothing is said; `flat` is what is left and is not written."""
    halves = [-1] * HALF_HOURS
    for key in fields.names():
        if key not in PERIODS or key == "flat":
            raise TermError(fields.path(key), key, "choice", choices=", ".join(p for p in PERIODS if p != "flat"))
        _mark_hours(fields.items(key, minimum=1), PERIODS.index(key), halves)
    return halves


def _read_days(row: Fields) -> frozenset[tuple[int, int]]:
    """Days of a season: `months: [2, 3]`, or `days: [07-15/08-31]` with both ends included, over the new year too."""
    days = set[tuple[int, int]]()
    year = [(day.month, day.day) for day in (dt.date(_LEAP_YEAR, 1, 1) + dt.timedelta(days=n) for n in range(366))]
    if "months" in row:
        months = {check_integer(value, where, 1, 12) for where, value in row.items("months")}
        days.update(day for day in year if day[0] in months)
    if "days" in row:
        for where, value in row.items("days"):
            match = re.fullmatch(r"(\d\d)-(\d\d)/(\d\d)-(\d\d)", str(value), re.ASCII)
            if match is None:
                raise TermError(where, value, "month_day")
            numbers = [int(group) for group in match.groups()]
            first, last = (numbers[0], numbers[1]), (numbers[2], numbers[3])
            if first not in year or last not in year:
                raise TermError(where, value, "month_day")
            start, stop = year.index(first), year.index(last) + 1
            days.update(year[start:stop] if start < stop else year[start:] + year[:stop])
    return frozenset(days)


def _read_multipliers(fields: Fields, inherited: MultipliersBps) -> dict[str, int]:
    multipliers = {**inherited}
    for period in PERIODS:
        if period != "flat" and period in fields:
            multipliers[period] = fields.integer(period, 0, MULTIPLIER_BPS_MAX)
    fields.done()
    return multipliers


def _read_season(row: Fields, inherited: MultipliersBps) -> Season:
    multipliers = _read_multipliers(row.fields("multipliers_bps"), inherited) if "multipliers_bps" in row else inherited
    hours = row.fields("hours")
    halves = _read_hours(hours)
    for period in hours.names():
        if period not in multipliers:
            raise TermError(hours.path(period), period, "multiplier_missing")
    periods = tuple(FLAT if half == -1 else half for half in halves)
    return Season(row.text("name"), _read_days(row), periods, multipliers)


def _read_holiday_rule(row: Fields, seasons: Iterable[Season]) -> HolidayRule:
    names = []
    for where, name in row.items("holidays", minimum=1):
        if name not in HOLIDAYS:
            raise TermError(where, name, "choice", choices=", ".join(HOLIDAYS))
        names.append(name)
    hours = row.fields("hours")
    overlay = tuple(_read_hours(hours))
    for period in hours.names():
        if any(period not in season.multipliers_bps for season in seasons):
            raise TermError(hours.path(period), period, "multiplier_missing")
    length_days_min = row.integer("length_days_min", 1, 31) if "length_days_min" in row else 1
    first_days = row.integer("first_days", 1, 31) if "first_days" in row else None
    return HolidayRule(tuple(names), length_days_min, first_days, overlay)


def from_publication(publication: Publication) -> Tariff:
    """Body: `division`, `province`, `user_class`, `flat_price` and `fixed_price` with `flat_price_assumed`,
    `multipliers_bps`, `seasons` (name, months or days, hours by period, own multipliers), `holiday_rules`."""
    fields = publication.body_fields()
    multipliers = _read_multipliers(fields.fields("multipliers_bps"), {"flat": BPS})
    seasons = tuple(_read_season(row, multipliers) for row in fields.rows("seasons", minimum=1, maximum=SEASONS_MAX))
    days = [day for season in seasons for day in season.days]
    if len(days) != 366 or len(set(days)) != 366:
        missing_or_double = {day for day in days if days.count(day) > 1} or "days are missing"
        raise TermError("body.seasons", missing_or_double, "seasons_cover")
    tariff = Tariff(
        id=publication.id,
        division=fields.identifier("division"),
        province=fields.text("province"),
        user_class=fields.text("user_class"),
        flat_price=fields.integer("flat_price", 1, PRICE_MAX),
        fixed_price=fields.integer("fixed_price", 0, PRICE_MAX),
        flat_price_assumed=fields.boolean("flat_price_assumed"),
        seasons=seasons,
        holiday_rules=tuple(_read_holiday_rule(row, seasons) for row in fields.rows("holiday_rules"))
        if "holiday_rules" in fields
        else (),
    )
    fields.done()
    return tariff
