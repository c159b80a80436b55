"""What can happen to a case, and when: the events, the statuses, and the table that joins them. Pure.

The idea: a case is nothing but its events, in order. `fold` reads them into a `State`; `RULES` says for each kind of
event from which statuses it may come, to which it leads, who may do it and what it must carry. `refusal` answers with
a code, never with a sentence. Nothing else decides what is legal, so the form, the API and the worker cannot differ.

    open ─ assigned ─ accepted ⇄ paused
                        │
                     resolved ─ (called back) ─ closed
                        └───────── reopened ─────┘
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

EVENTS_PER_CASE_MAX: Final = 500
REOPENED_MAX: Final = 5


class Status(StrEnum):
    """Where a case stands."""

    OPEN = "open"
    ASSIGNED = "assigned"
    ACCEPTED = "accepted"
    PAUSED = "paused"
    RESOLVED = "resolved"
    CLOSED = "closed"


class Kind(StrEnum):
    """What can happen."""

    OPENED = "opened"
    ASSIGNED = "assigned"
    ACCEPTED = "accepted"
    REPLIED = "replied"
    PAUSED = "paused"
    RESUMED = "resumed"
    EXTENDED = "extended"
    SUPERVISED = "supervised"
    COPIED = "copied"
    RESOLVED = "resolved"
    CALLED_BACK = "called_back"
    REOPENED = "reopened"
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"
    COMMENTED = "commented"
    ESCALATED = "escalated"


class Who(StrEnum):
    """In which capacity somebody acts on a case."""

    PARTY = "party"
    HANDLER = "handler"
    SUPERVISOR = "supervisor"
    SYSTEM = "system"


BEFORE_RESOLUTION: Final = frozenset({Status.OPEN, Status.ASSIGNED, Status.ACCEPTED, Status.PAUSED})
ENDED: Final = frozenset({Status.RESOLVED, Status.CLOSED})
ANY: Final = frozenset(Status)


@dataclass(frozen=True)
class Rule:
    """When one kind of event may happen.

    `to` None leaves the status as it is. `needs` are the fields that must be filled in. `second_person` keeps out the
    handler: nobody approves their own delay or asks whether their own work was good. `shared` is whether the
    applicant sees the event.
    """

    sources: frozenset[Status]
    to: Status | None
    who: tuple[Who, ...]
    needs: tuple[str, ...] = ()
    second_person: bool = False
    shared: bool = True


def _from(*statuses: Status) -> frozenset[Status]:
    return frozenset(statuses)


RULES: Final[Mapping[Kind, Rule]] = MappingProxyType(
    {
        Kind.ASSIGNED: Rule(
            _from(Status.OPEN, Status.ASSIGNED, Status.ACCEPTED), Status.ASSIGNED,
            (Who.HANDLER, Who.SUPERVISOR), ("assignee",),
        ),
        Kind.ACCEPTED: Rule(_from(Status.OPEN, Status.ASSIGNED), Status.ACCEPTED, (Who.HANDLER,)),
        Kind.REPLIED: Rule(_from(Status.ACCEPTED), None, (Who.HANDLER,), ("text",)),
        Kind.PAUSED: Rule(_from(Status.ACCEPTED), Status.PAUSED, (Who.HANDLER,), ("text",)),
        Kind.RESUMED: Rule(_from(Status.PAUSED), Status.ACCEPTED, (Who.PARTY, Who.HANDLER), ("text",)),
        Kind.EXTENDED: Rule(
            _from(Status.OPEN, Status.ASSIGNED, Status.ACCEPTED), None, (Who.SUPERVISOR,), ("days", "text"),
            second_person=True,
        ),
        Kind.RESOLVED: Rule(_from(Status.ACCEPTED), Status.RESOLVED, (Who.HANDLER,), ("text",)),
        Kind.CALLED_BACK: Rule(
            _from(Status.RESOLVED), None, (Who.PARTY, Who.HANDLER), ("satisfied",), second_person=True
        ),
        Kind.REOPENED: Rule(
            _from(Status.RESOLVED, Status.CLOSED), Status.ACCEPTED, (Who.PARTY, Who.SUPERVISOR), ("text",)
        ),
        Kind.CLOSED: Rule(_from(Status.RESOLVED), Status.CLOSED, (Who.HANDLER, Who.SUPERVISOR)),
        Kind.WITHDRAWN: Rule(BEFORE_RESOLUTION, Status.CLOSED, (Who.PARTY,)),
        Kind.SUPERVISED: Rule(BEFORE_RESOLUTION, None, (Who.SUPERVISOR,), ("text",), shared=False),
        Kind.COPIED: Rule(ANY, None, (Who.HANDLER, Who.SUPERVISOR), ("copied_to",), shared=False),
        Kind.COMMENTED: Rule(ANY, None, (Who.PARTY, Who.HANDLER, Who.SUPERVISOR), ("text",)),
        Kind.ESCALATED: Rule(
            _from(Status.OPEN, Status.ASSIGNED, Status.ACCEPTED), None, (Who.SYSTEM,), shared=False
        ),
    }
)


@dataclass(frozen=True)
class Event:
    """One event as the pure functions see it. `at` is aware; `days` is what an extension granted."""

    kind: Kind
    at: datetime
    days: int | None = None
    satisfied: bool | None = None


@dataclass(frozen=True)
class State:
    """What the events amount to."""

    status: Status
    count: int = 1
    accepted: bool = False
    extended: bool = False
    supervised: bool = False
    satisfied: bool | None = None
    reopened: int = 0


def fold(events: Iterable[Event]) -> State:
    """Read events, oldest first, into a state. Raises ValueError when they do not begin with `opened`."""
    state: State | None = None
    for event in events:
        if (state is None) != (event.kind is Kind.OPENED):
            raise ValueError(f"a case begins with one opened event, found {event.kind}")
        state = State(Status.OPEN) if state is None else _step(state, event)
    if state is None:
        raise ValueError("a case has at least one event")
    return state


def _step(state: State, event: Event) -> State:
    to = RULES[event.kind].to or state.status
    state = replace(state, status=to, count=state.count + 1)
    match event.kind:
        case Kind.ACCEPTED:
            return replace(state, accepted=True)
        case Kind.EXTENDED:
            return replace(state, extended=True)
        case Kind.SUPERVISED:
            return replace(state, supervised=True)
        case Kind.CALLED_BACK:
            return replace(state, satisfied=event.satisfied)
        case Kind.REOPENED:
            return replace(
                state, status=to if state.accepted else Status.OPEN, satisfied=None, reopened=state.reopened + 1
            )
        case _:
            return state


def refusal(state: State, kind: Kind, *, call_back: bool = False) -> str:
    """Why this event may not happen now, as a code; empty when it may.

    `call_back`: the case's type asks the applicant before it closes, so `closed` waits for a satisfied call-back.
    """
    rule = RULES.get(kind)
    if rule is None or state.status not in rule.sources:
        return "wrong_status"
    if state.count >= EVENTS_PER_CASE_MAX:
        return "too_many_events"
    if kind is Kind.EXTENDED and state.extended:
        return "extension_used"
    if kind is Kind.REOPENED and state.reopened >= REOPENED_MAX:
        return "reopened_too_often"
    if kind is Kind.CLOSED and call_back and not state.satisfied:
        return "call_back_first"
    return ""
