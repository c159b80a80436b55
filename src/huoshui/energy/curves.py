"""Load curves as files: columns in kilowatts become whole watts in equal steps; every fault by row.

A step is 15, 30 or 60 minutes, told by the first two rows; the first row starts at a whole hour and the last step ends
one. What of the IT load may wait stands in its own column, at the hour at which it runs today, and may be moved within
its local day.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _

from huoshui.base import clock, intake
from huoshui.base.errors import Invalid, Problem
from huoshui.clearing import energy
from huoshui.clearing.tables import BadTable, Column, Rule, parse
from huoshui.registry import sentences

MINUTES_PER_HOUR = 60
KILO = 1000
YEARS = range(2000, 2101)
"""A load curve of other years is a slip of the pen, and the calendar may not reach so far."""
COLUMN_NAMES = ("it_w", "movable_w", "other_w", "pv_w", "cop_milli")


def _moment(text: str) -> datetime:
    """A local minute such as 2026-03-03 00:15."""
    found: datetime | None = None
    with suppress(ValueError):
        found = datetime.fromisoformat(intake.normal(text).replace("/", "-"))
    if found is None or found.year not in YEARS:
        raise Rule("local_time", example="2026-03-03 00:15")
    return found if found.tzinfo else found.replace(tzinfo=clock.LOCAL)


def _thousandths(low: int, high: int) -> Callable[[str], int]:
    """A number with at most three decimals as whole thousandths: kW as W, a coefficient as 1/1000."""

    def parsed(text: str) -> int:
        value = intake.decimal(text, 3)
        if value < low:
            raise Rule("at_least", minimum=low / KILO)
        if value > high:
            raise Rule("at_most", maximum=high / KILO)
        return value

    return parsed


_POWER = _thousandths(0, energy.POWER_MAX_W)
COLUMNS = (
    Column("time", "时间", _moment, "2026-03-03 00:15"),
    Column("it_kw", "IT负荷（千瓦）", _POWER, "1850.5"),
    Column("movable_kw", "可移负荷（千瓦）", _POWER, "120", required=False, default=0),
    Column("other_kw", "其他负荷（千瓦）", _POWER, "60", required=False, default=0),
    Column("pv_kw", "光伏（千瓦）", _POWER, "300", required=False, default=0),
    Column("cop", "制冷性能系数", _thousandths(energy.COP_MILLI_MIN, energy.COP_MILLI_MAX), "4.2", False, None),
)
"""`meaning` is an example cell. An empty coefficient of performance is the installation's."""


@dataclass(frozen=True)
class Curve:
    """A file's content: watts by name, `cop_milli` None where the file says nothing."""

    start_hour: int
    end_hour: int
    step_minutes: int
    columns: dict[str, list[Any]]


def read_file(name: str, data: bytes) -> Curve:
    """The curve of a file (CSV, XLSX). Raises Invalid with every fault by row, field, value and rule."""
    try:
        parsed = parse(intake.read(name, data), COLUMNS)
    except BadTable as error:
        raise sentences.of_table(error) from None
    times: list[datetime] = parsed.values["time"]
    if not 2 <= len(times) <= energy.STEPS_MAX:
        limits = {"min": 2, "max": energy.STEPS_MAX}
        raise Invalid(Problem("rows", str(len(times)), _("between %(min)s and %(max)s") % limits))
    minutes = _check_times(times, parsed.numbers)
    sources = ("it_kw", "movable_kw", "other_kw", "pv_kw", "cop")
    columns = {ours: parsed.values[theirs] for ours, theirs in zip(COLUMN_NAMES, sources, strict=True)}
    start = clock.hour_of(times[0])
    return Curve(start, start + len(times) * minutes // MINUTES_PER_HOUR, minutes, columns)


def _check_times(times: list[datetime], numbers: tuple[int, ...]) -> int:
    """Minutes of a step. Raises Invalid when steps are unequal or do not fill whole hours."""
    minutes = int((times[1] - times[0]).total_seconds()) // MINUTES_PER_HOUR
    problems = []

    def fault(row: int, rule: str) -> None:
        problems.append(Problem("time", times[row].strftime("%Y-%m-%d %H:%M"), rule, numbers[row]))

    if minutes not in energy.STEPS_OF_MINUTES:
        fault(1, _("must be 15, 30 or 60 minutes after the row before"))
    else:
        step = timedelta(minutes=minutes)
        for row in range(1, len(times)):
            if times[row] - times[row - 1] != step:
                fault(row, _("must be %(minutes)s minutes after the row before") % {"minutes": minutes})
        if clock.instant_of(clock.hour_of(times[0])) != times[0]:
            fault(0, _("the first row must start a whole hour"))
        if len(times) * minutes % MINUTES_PER_HOUR:
            fault(len(times) - 1, _("the last step must end a whole hour"))
    if problems:
        raise Invalid(*problems)
    return minutes
