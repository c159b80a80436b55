"""The only source of time. Business code asks `now()` or `today()`; tests and the demo move the whole clock.

Instants are aware UTC datetimes; law and people count dates in Asia/Shanghai; compute slots are whole hours
counted since the Unix epoch.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

LOCAL = ZoneInfo("Asia/Shanghai")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
_shift: ContextVar[timedelta] = ContextVar("clock_shift", default=timedelta())


def real_now() -> datetime:
    """The time at which something is recorded, whatever the moved clock says."""
    return datetime.now(UTC)


def now() -> datetime:
    """The present instant (aware, UTC)."""
    return real_now() + _shift.get()


def today() -> date:
    """The present date in Asia/Shanghai."""
    return local(now()).date()


def local(instant: datetime) -> datetime:
    """The same instant, told in Asia/Shanghai. Raises ValueError on a naive datetime."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} has no time zone")
    return instant.astimezone(LOCAL)


def day_start(day: date) -> datetime:
    """The instant at which a local day begins."""
    return datetime.combine(day, time(), LOCAL).astimezone(UTC)


def hour_of(instant: datetime) -> int:
    """The hour slot since the epoch that contains the instant."""
    return (instant - EPOCH) // HOUR


def instant_of(hour: int) -> datetime:
    """The first instant of an hour slot (aware, UTC)."""
    return EPOCH + hour * HOUR


@contextmanager
def moved_to(instant: datetime) -> Iterator[None]:
    """Inside the block the clock starts at `instant` and goes on from there."""
    token = _shift.set(instant - real_now())
    try:
        yield
    finally:
        _shift.reset(token)
