"""The clock of a case: which days count, when it is due, what pauses, extensions and reopenings do."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from huoshui.cases.clocks import ClockState, derive
from huoshui.cases.machine import Event, Kind
from huoshui.terms.calendar import Calendar, CalendarYear, Holiday

HOLIDAY = Holiday(("national_day",), date(2026, 10, 1), date(2026, 10, 7))
WORKED_WEEKENDS = frozenset({date(2026, 9, 20), date(2026, 10, 10)})
CALENDAR = Calendar.of([CalendarYear(2026, True, "test", (HOLIDAY,), WORKED_WEEKENDS)])


@dataclass(frozen=True)
class Terms:
    target_days: int = 3
    legal_days: int = 5
    working_days: bool = True
    soon_days: int = 1
    escalate_bps: tuple[int, ...] = (5000, 8000, 10_000)


def at(day: date, hour: int = 10) -> datetime:
    """That hour of the day in Asia/Shanghai."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=hour - 8)


MONDAY = date(2026, 9, 7)
OPENED = Event(Kind.OPENED, at(MONDAY))


def case(*later: tuple[Kind, int] | tuple[Kind, int, int]) -> list[Event]:
    """Opened on Monday, then (kind, days later[, days granted])."""
    return [OPENED, *(Event(step[0], at(MONDAY + timedelta(days=step[1])), *step[2:]) for step in later)]


def test_the_day_of_opening_is_not_counted() -> None:
    clock = derive([OPENED], Terms(), CALENDAR, at(MONDAY, 23))
    assert (clock.days_used, clock.target_due, clock.legal_due) == (0, date(2026, 9, 10), date(2026, 9, 14))


def test_the_local_date_counts_not_the_utc_date() -> None:
    late_evening_utc = Event(Kind.OPENED, datetime(2026, 9, 6, 17, tzinfo=UTC))  # 01:00 on Monday in Shanghai
    assert derive([late_evening_utc], Terms(), CALENDAR, at(MONDAY)).start == MONDAY


def test_holidays_and_weekends_do_not_count_and_worked_weekends_do() -> None:
    wednesday = Event(Kind.OPENED, at(date(2026, 9, 30)))
    clock = derive([wednesday], Terms(), CALENDAR, at(date(2026, 10, 8)))
    assert (clock.target_due, clock.legal_due) == (date(2026, 10, 10), date(2026, 10, 13))


@pytest.mark.parametrize(
    ("days_later", "state"),
    [(0, "ok"), (1, "ok"), (2, "soon"), (3, "soon"), (4, "late"), (7, "late"), (8, "overdue")],
)
def test_the_state_follows_the_days(days_later: int, state: str) -> None:
    assert derive([OPENED], Terms(), CALENDAR, at(MONDAY + timedelta(days=days_later))).state == state


def test_while_paused_nobody_knows_the_due_date_and_no_day_is_used() -> None:
    clock = derive(case((Kind.ACCEPTED, 0), (Kind.PAUSED, 1)), Terms(), CALENDAR, at(MONDAY + timedelta(days=60)))
    assert (clock.state, clock.target_due, clock.legal_due) == (ClockState.PAUSED, None, None)
    assert (clock.days_used, clock.days_paused) == (1, 59)


def test_a_pause_of_two_working_days_moves_the_deadline_by_two() -> None:
    events = case((Kind.ACCEPTED, 0), (Kind.PAUSED, 1), (Kind.RESUMED, 3))
    assert derive(events, Terms(), CALENDAR, at(MONDAY + timedelta(days=4))).legal_due == date(2026, 9, 16)


def test_a_pause_within_one_day_takes_nothing_out() -> None:
    events = case((Kind.ACCEPTED, 0), (Kind.PAUSED, 1), (Kind.RESUMED, 1))
    assert derive(events, Terms(), CALENDAR, at(MONDAY + timedelta(days=2))).legal_due == date(2026, 9, 14)


def test_an_extension_lengthens_target_and_legal_period() -> None:
    clock = derive(case((Kind.ACCEPTED, 0), (Kind.EXTENDED, 1, 4)), Terms(), CALENDAR, at(MONDAY + timedelta(days=1)))
    assert (clock.target_due, clock.legal_due, clock.extension_used) == (date(2026, 9, 16), date(2026, 9, 18), True)


def test_a_stopped_clock_says_whether_it_was_in_time() -> None:
    far = at(MONDAY + timedelta(days=100))
    in_time = derive(case((Kind.ACCEPTED, 0), (Kind.RESOLVED, 7)), Terms(), CALENDAR, far)
    too_late = derive(case((Kind.ACCEPTED, 0), (Kind.RESOLVED, 8)), Terms(), CALENDAR, far)
    assert (in_time.state, in_time.met, in_time.days_used) == (ClockState.STOPPED, True, 5)
    assert (too_late.met, too_late.days_used) == (False, 6)


def test_reopening_begins_a_new_period() -> None:
    events = case((Kind.ACCEPTED, 0), (Kind.RESOLVED, 2), (Kind.REOPENED, 14))
    clock = derive(events, Terms(), CALENDAR, at(MONDAY + timedelta(days=15)))
    assert (clock.start, clock.days_used, clock.legal_due) == (date(2026, 9, 21), 1, date(2026, 9, 28))


def test_calendar_days_end_on_a_working_day_and_are_not_overdue_before() -> None:
    terms = Terms(working_days=False)
    opened = [Event(Kind.OPENED, at(date(2026, 9, 29)))]  # the fifth day, 4 October, lies in the holidays
    clock = derive(opened, terms, CALENDAR, at(date(2026, 10, 6)))
    assert clock.legal_due == date(2026, 10, 8)
    assert clock.state is not ClockState.OVERDUE
    assert clock.escalation == 2
    assert derive(opened, terms, CALENDAR, at(date(2026, 10, 9))).state is ClockState.OVERDUE


def test_a_date_in_a_year_without_notice_is_provisional() -> None:
    opened = [Event(Kind.OPENED, at(date(2026, 12, 30)))]
    assert derive(opened, Terms(), CALENDAR, at(date(2026, 12, 30))).unconfirmed_years == (2027,)


def test_escalation_steps_are_reached_when_more_than_their_share_is_used() -> None:
    reached = [
        derive([OPENED], Terms(legal_days=10), CALENDAR, at(MONDAY + timedelta(days=day))).escalation
        for day in range(20)
    ]
    assert reached == sorted(reached)
    assert set(reached) == {0, 1, 2, 3}


def test_a_case_that_does_not_exist_yet_has_no_clock() -> None:
    with pytest.raises(ValueError, match="at least one event"):
        derive([OPENED], Terms(), CALENDAR, at(MONDAY) - timedelta(hours=1))


# --- properties ---------------------------------------------------------------------------------------------------

terms = st.builds(
    lambda target, more, working: Terms(target, target + more, working),
    st.integers(1, 30), st.integers(0, 60), st.booleans(),
)
pauses = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=5)


def with_pauses(gaps: list[tuple[int, int]]) -> list[Event]:
    """Opened, accepted, then run for `gap` days and paused for `length` days, again and again."""
    day, steps = 0, [(Kind.ACCEPTED, 0)]
    for gap, length in gaps:
        steps += [(Kind.PAUSED, day + gap), (Kind.RESUMED, day + gap + length)]
        day += gap + length
    return case(*steps)


@given(terms, pauses, st.integers(0, 200))
def test_overdue_is_exactly_the_day_after_the_due_date(terms: Terms, gaps: list[tuple[int, int]], later: int) -> None:
    events = with_pauses(gaps)
    today = MONDAY + timedelta(days=later)
    assume(at(today) >= events[-1].at)
    clock = derive(events, terms, CALENDAR, at(today))
    assert clock.legal_due is not None
    assert clock.target_due is not None
    assert clock.target_due <= clock.legal_due
    assert (clock.state is ClockState.OVERDUE) == (today > clock.legal_due)
    if terms.working_days:
        assert (clock.days_used > clock.days_allowed) == (today > clock.legal_due)


@given(terms, pauses, st.integers(1, 20))
def test_due_dates_are_working_days_and_an_extension_never_shortens(
    terms: Terms, gaps: list[tuple[int, int]], extra: int
) -> None:
    events = with_pauses(gaps)
    plain = derive(events, terms, CALENDAR, events[-1].at)
    longer = derive([*events, Event(Kind.EXTENDED, events[-1].at, extra)], terms, CALENDAR, events[-1].at)
    assert plain.legal_due is not None
    assert longer.legal_due is not None
    assert CALENDAR.is_working_day(plain.legal_due)
    assert longer.legal_due >= plain.legal_due
    if terms.working_days:
        assert CALENDAR.working_days_between(MONDAY, plain.legal_due).count >= terms.legal_days


@given(terms, pauses, st.integers(0, 60), st.integers(0, 60))
def test_days_used_never_fall_as_time_passes(
    terms: Terms, gaps: list[tuple[int, int]], first: int, second: int
) -> None:
    events = with_pauses(gaps)
    earlier, later = sorted((first, second))
    clocks = [derive(events, terms, CALENDAR, at(MONDAY + timedelta(days=day), 23)) for day in (earlier, later)]
    assert clocks[0].days_used <= clocks[1].days_used
    assert clocks[0].escalation <= clocks[1].escalation


@given(terms, pauses, st.integers(0, 60))
def test_what_happens_later_does_not_change_the_clock_now(
    terms: Terms, gaps: list[tuple[int, int]], day: int
) -> None:
    events = with_pauses(gaps)
    moment = at(MONDAY + timedelta(days=day), 23)
    known = [event for event in events if event.at <= moment]
    assert derive(events, terms, CALENDAR, moment) == derive(known, terms, CALENDAR, moment)


@given(terms, pauses)
def test_pausing_and_resuming_at_once_changes_no_date(terms: Terms, gaps: list[tuple[int, int]]) -> None:
    events = with_pauses(gaps)
    moment = events[-1].at
    with_blink = [*events, Event(Kind.PAUSED, moment), Event(Kind.RESUMED, moment)]
    assert derive(with_blink, terms, CALENDAR, moment) == derive(events, terms, CALENDAR, moment)
