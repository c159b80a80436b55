"""How long a case has run and when it is due: derived from its events and a calendar, never stored as truth. Pure.

The idea: the day of an event is not counted (Civil Code art. 201). So a period runs from the day after the case was
opened (or reopened: a new period begins), a pause takes out the days after the one on which it began, up to and
including the one on which it ended, and a due date is simply the n-th day that counts. Types count working days, or
calendar days whose last one moves to a working day (art. 203). The one extension lengthens target and legal period
alike; it belongs to the case, not to a period, and so keeps its days when the case is reopened.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import count
from typing import Protocol

from huoshui.cases.machine import ENDED, Event, Kind, Status, fold
from huoshui.terms.calendar import Calendar, local_date

DAYS_MAX = 3660  # ten years: a case that counts longer is an error in its events
BPS = 10_000


class Timing(Protocol):
    """What the clock needs of a case type."""

    @property
    def target_days(self) -> int: ...
    @property
    def legal_days(self) -> int: ...
    @property
    def working_days(self) -> bool: ...
    @property
    def soon_days(self) -> int: ...
    @property
    def escalate_bps(self) -> tuple[int, ...]: ...


class ClockState(StrEnum):
    """ok; soon: the target is near; late: the target has passed; overdue: the legal deadline has; the rest stand."""

    OK = "ok"
    SOON = "soon"
    LATE = "late"
    OVERDUE = "overdue"
    PAUSED = "paused"
    STOPPED = "stopped"


@dataclass(frozen=True)
class CaseClock:
    """The clock of a case at an instant.

    Due dates are local dates, both None while paused (nobody knows them then). `days_used`, `days_allowed` and
    `target_days` count in the type's unit; `met` says whether a stopped clock stopped in time. `escalation` is how
    many of the type's steps are reached. A date that touches `unconfirmed_years` may still move with the notice.
    """

    state: ClockState
    start: date
    target_due: date | None
    legal_due: date | None
    days_used: int
    days_paused: int
    target_days: int
    days_allowed: int
    extension_used: bool
    paused: bool
    met: bool | None
    escalation: int
    unconfirmed_years: tuple[int, ...]

    @property
    def days_left(self) -> int:
        """Days until the legal deadline, in the type's unit; negative when it has passed."""
        return self.days_allowed - self.days_used


def derive(events: Sequence[Event], case_type: Timing, calendar: Calendar, at: datetime) -> CaseClock:
    """The clock at the instant `at`, from events oldest first. Later events are as if they had not happened yet.

    Raises ValueError when the case does not exist yet at `at` or its events are no case.
    """
    past = [event for event in events if event.at <= at]
    status = fold(past).status
    period = past[max(n for n, event in enumerate(past) if event.kind in (Kind.OPENED, Kind.REOPENED)) :]
    start, today = local_date(period[0].at), local_date(at)
    extension = sum(event.days or 0 for event in past if event.kind is Kind.EXTENDED)
    stopped_on = next((local_date(e.at) for e in period if e.kind in (Kind.RESOLVED, Kind.WITHDRAWN)), None)
    pauses = list(_pauses(period, today))
    paused = status is Status.PAUSED
    target_days, days_allowed = case_type.target_days + extension, case_type.legal_days + extension

    def counts(day: date) -> bool:
        return (not case_type.working_days or calendar.is_working_day(day)) and not any(
            first < day <= last for first, last in pauses
        )

    used = sum(map(counts, _days(start, stopped_on or today)))
    target_due = legal_due = None
    if not paused:
        target_due = _due(start, target_days, counts, calendar)
        legal_due = _due(start, days_allowed, counts, calendar)
    last = stopped_on or today
    overdue = last > legal_due if legal_due else used > days_allowed
    if status in ENDED:
        state = ClockState.STOPPED
    elif paused:
        state = ClockState.PAUSED
    elif overdue:
        state = ClockState.OVERDUE
    elif target_due and today > target_due:
        state = ClockState.LATE
    else:
        state = ClockState.SOON if target_days - used <= case_type.soon_days else ClockState.OK
    # Art. 203 may let a calendar-day period end later than its number of days: until then it is not used up.
    spent = used if overdue else min(used, days_allowed)
    return CaseClock(
        state=state, start=start, target_due=target_due, legal_due=legal_due, days_used=used,
        days_paused=sum((last - first).days for first, last in pauses),
        target_days=target_days, days_allowed=days_allowed, extension_used=extension > 0, paused=paused,
        met=not overdue if status in ENDED else None,
        escalation=sum(spent * BPS > step * days_allowed for step in case_type.escalate_bps),
        unconfirmed_years=calendar.unconfirmed(start, max(last, legal_due or last)),
    )


def _pauses(period: Sequence[Event], today: date) -> Iterator[tuple[date, date]]:
    """(day of pausing, day of going on) of each pause; one that still lasts ends today."""
    began: date | None = None
    for event in period:
        if event.kind is Kind.PAUSED:
            began = local_date(event.at)
        elif began is not None and event.kind in (Kind.RESUMED, Kind.WITHDRAWN):
            yield began, local_date(event.at)
            began = None
    if began is not None:
        yield began, today


def _days(start: date, last: date) -> Iterator[date]:
    """The days after `start`, up to and including `last`."""
    return (start + timedelta(days=n) for n in range(1, (last - start).days + 1))


def _due(start: date, length: int, counts: "Counts", calendar: Calendar) -> date:
    """The `length`-th day after `start` that counts, moved to a working day (art. 203)."""
    day = start
    for step in count(1):
        if step > DAYS_MAX:
            raise ValueError(f"no due date within {DAYS_MAX} days of {start}")
        day += timedelta(days=1)
        length -= counts(day)
        if length == 0:
            break
    return calendar.add_working_days(day, 0).date


class Counts(Protocol):
    """Whether a day counts towards the period."""

    def __call__(self, day: date, /) -> bool: ...
