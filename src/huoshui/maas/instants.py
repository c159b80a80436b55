"""Instants of the tables that the gateway shares: whole milliseconds since the Unix epoch."""

from datetime import date, datetime, timedelta

from huoshui.base import clock

MILLISECOND = timedelta(milliseconds=1)
DAY_MS = 86_400_000
LOCAL_MS = 8 * 3_600_000
"""Asia/Shanghai is eight hours ahead of UTC, all year."""


def ms_of(instant: datetime) -> int:
    """Milliseconds since the epoch of an aware instant."""
    return (instant - clock.EPOCH) // MILLISECOND


def at(ms: int | None) -> datetime | None:
    """The instant again; None stays None."""
    return None if ms is None else clock.EPOCH + ms * MILLISECOND


def day_start_ms(day: date) -> int:
    """When a local day begins."""
    return ms_of(clock.day_start(day))


def period_start_ms(period: str, today: date) -> int:
    """When the budget period of a day began: with the day, with its month, or never (0: in all)."""
    if period not in ("day", "month"):
        return 0
    return day_start_ms(today if period == "day" else today.replace(day=1))


def day_number(day: date) -> int:
    """Local days since 1970-01-01: what `(ms + LOCAL_MS) / DAY_MS` gives in SQL."""
    return (day - date(1970, 1, 1)).days


def day_of(number: int) -> date:
    """The local day under a number."""
    return date(1970, 1, 1) + timedelta(days=number)
