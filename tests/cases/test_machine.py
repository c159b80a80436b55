"""Which events are legal: the table of rules, and what every legal sequence has in common."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huoshui.cases import machine, words
from huoshui.cases.machine import ENDED, RULES, Event, Kind, State, Status, fold, refusal

START = datetime(2026, 9, 7, tzinfo=UTC)


def told(*kinds: Kind) -> list[Event]:
    """Events one hour apart after the opening."""
    return [Event(kind, START + timedelta(hours=n)) for n, kind in enumerate((Kind.OPENED, *kinds))]


def test_a_case_runs_from_open_to_closed() -> None:
    state = fold([*told(Kind.ASSIGNED, Kind.ACCEPTED, Kind.PAUSED, Kind.RESUMED, Kind.RESOLVED),
                  Event(Kind.CALLED_BACK, START + timedelta(days=1), satisfied=True),
                  Event(Kind.CLOSED, START + timedelta(days=1))])
    assert state == State(Status.CLOSED, count=8, accepted=True, satisfied=True)


@pytest.mark.parametrize(
    ("past", "kind", "code"),
    [
        ((), Kind.RESOLVED, "wrong_status"),
        ((), Kind.REPLIED, "wrong_status"),
        ((Kind.ACCEPTED,), Kind.RESUMED, "wrong_status"),
        ((Kind.ACCEPTED, Kind.PAUSED), Kind.RESOLVED, "wrong_status"),
        ((Kind.ACCEPTED, Kind.RESOLVED), Kind.WITHDRAWN, "wrong_status"),
        ((Kind.ACCEPTED, Kind.EXTENDED), Kind.EXTENDED, "extension_used"),
        ((Kind.ACCEPTED, Kind.RESOLVED), Kind.CLOSED, "call_back_first"),
        ((Kind.ACCEPTED,), Kind.OPENED, "wrong_status"),
    ],
)
def test_an_illegal_event_is_refused_with_a_code_that_has_a_sentence(
    past: tuple[Kind, ...], kind: Kind, code: str
) -> None:
    state = fold(told(*past))
    assert refusal(state, kind, call_back=True) == code
    assert words.refusal(code, kind, state.status)


def test_without_call_back_a_resolved_case_closes() -> None:
    assert refusal(fold(told(Kind.ACCEPTED, Kind.RESOLVED)), Kind.CLOSED, call_back=False) == ""


def test_a_case_withdrawn_before_anyone_took_it_reopens_as_open() -> None:
    assert fold(told(Kind.WITHDRAWN, Kind.REOPENED)).status is Status.OPEN


def test_a_case_is_reopened_a_limited_number_of_times() -> None:
    events = told(Kind.ACCEPTED, *[Kind.RESOLVED, Kind.REOPENED] * machine.REOPENED_MAX, Kind.RESOLVED)
    assert refusal(fold(events), Kind.REOPENED) == "reopened_too_often"


def test_a_case_holds_a_limited_number_of_events() -> None:
    events = told(*[Kind.COMMENTED] * (machine.EVENTS_PER_CASE_MAX - 1))
    assert refusal(fold(events), Kind.COMMENTED) == "too_many_events"


def test_events_that_are_no_case_are_an_error() -> None:
    with pytest.raises(ValueError, match="begins with one opened"):
        fold(told()[:0] + [Event(Kind.ACCEPTED, START)])
    with pytest.raises(ValueError, match="begins with one opened"):
        fold([*told(), Event(Kind.OPENED, START)])


def test_every_event_and_status_has_words() -> None:
    assert set(words.EVENTS) == set(Kind)
    assert set(words.STATUSES) == set(Status)
    assert set(words.COMMANDS) == set(Kind) - {Kind.OPENED, Kind.ESCALATED}


@given(st.lists(st.tuples(st.sampled_from(sorted(RULES)), st.booleans()), max_size=60))
def test_every_legal_sequence_keeps_the_promises(attempts: list[tuple[Kind, bool]]) -> None:
    events = told()
    for kind, satisfied in attempts:
        if not refusal(fold(events), kind, call_back=True):
            events.append(Event(kind, events[-1].at + timedelta(hours=1), 1, satisfied))
    kinds = [event.kind for event in events]
    assert kinds.count(Kind.EXTENDED) <= 1
    assert kinds.count(Kind.REOPENED) <= machine.REOPENED_MAX
    for before, after in zip(events, events[1:], strict=False):
        if fold(events[: events.index(after)]).status is Status.CLOSED:
            assert after.kind in (Kind.REOPENED, Kind.COPIED, Kind.COMMENTED), before
    pauses = [kind for kind in kinds if kind in (Kind.PAUSED, Kind.RESUMED, Kind.WITHDRAWN)]
    assert all(pair != (Kind.PAUSED, Kind.PAUSED) for pair in zip(pauses, pauses[1:], strict=False))
    if fold(events).status in ENDED:
        assert set(kinds) & {Kind.RESOLVED, Kind.WITHDRAWN}
