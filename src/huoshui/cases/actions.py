"""Writes of cases: open one, add an event, let the clock escalate.

Everything that happens is an event; `add_event` asks `hindrance` whether it may, appends it with its log record, and
lets the answer of a call-back follow by itself: satisfied closes the case, unsatisfied reopens it.
"""

import secrets
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.base.act import Act, action
from huoshui.base.canonical import salted
from huoshui.base.errors import Forbidden, Refused, invalid
from huoshui.base.models import User
from huoshui.cases import files, machine, types, words
from huoshui.cases.clocks import CaseClock, ClockState, derive
from huoshui.cases.files import Upload
from huoshui.cases.machine import Kind, Who
from huoshui.cases.models import TEXT_MAX, TITLE_MAX, Attachment, Case, CaseEvent
from huoshui.cases.permissions import HANDLE
from huoshui.registry.models import Party, Publication
from huoshui.terms.calendar import Calendar, CalendarYear

CALENDARS_MAX = 200
FOLLOW_UPS = {True: Kind.CLOSED, False: Kind.REOPENED}


def working_days() -> Calendar:
    """All working-day calendars ever put in force, joined: cases cross years. Of two for a year the later counts."""
    activated = Publication.objects.filter(kind="calendar", activated_at__isnull=False)
    years: dict[int, CalendarYear] = {}
    for publication in activated.order_by("activated_at", "id")[:CALENDARS_MAX]:
        year = publication.loaded()
        years[year.year] = year
    return Calendar.of(years.values())


# --- may it happen? -----------------------------------------------------------------------------------------------


def capacities(actor: Actor, case: Case) -> set[Who]:
    """In which capacities the actor may act on the case."""
    if actor.system:
        return set(Who)
    found = set()
    if actor.can(case.type.open_permission, case.party):
        found.add(Who.PARTY)
    if actor.can(case.type.handle_permission, case.party) or (
        case.handler is not None and actor.user == case.handler and actor.can(case.type.handle_permission)
    ):
        found.add(Who.HANDLER)
    if actor.can(case.type.supervise_permission, case.party):
        found.add(Who.SUPERVISOR)
    return found


def hindrance(
    actor: Actor, case: Case, past: Sequence[machine.Event], kind: Kind, now: CaseClock | None = None
) -> str:
    """Why the actor may not do this to the case, as a code of `words.REFUSALS` or `forbidden`; empty when they may.

    `now` is the case's clock, derived here unless given.
    """
    rule = machine.RULES.get(kind)
    if rule is None:
        return "wrong_status"
    held = capacities(actor, case).intersection(rule.who)
    if not held:
        return "forbidden"
    # A supervisor may close a case whose applicant cannot be reached.
    call_back = case.type.call_back and Who.SUPERVISOR not in held
    if code := machine.refusal(machine.fold(past), kind, call_back=call_back):
        return code
    if rule.second_person and actor.user is not None and actor.user == case.handler:
        return "second_person"
    if kind is Kind.EXTENDED:
        if not case.type.extension_days:
            return "no_extension"
        now = now or derive(past, case.type, working_days(), clock.now())
        if now.state is ClockState.OVERDUE:
            return "past_deadline"
    return ""


def _require(act: Act, case: Case, past: Sequence[machine.Event], kind: Kind) -> None:
    act.checked = True
    code = hindrance(act.actor, case, past, kind)
    if code == "forbidden":
        raise Forbidden(_("You may not do this to this case."))
    if code:
        raise Refused(words.refusal(code, kind, case.status), code=code, event=kind, status=case.status)


# --- writing ------------------------------------------------------------------------------------------------------


@action("cases.open")
def open_case(
    act: Act, *, kind: str, party: Party, title: str, body: str = "", subject: str = "",
    uploads: tuple[Upload, ...] = (),
) -> Case:
    """Open a case of a type for a party. `subject`: the object it is about, as `canonical.label`.

    Raises Missing (no such type), Forbidden, Invalid (title, body, uploads).
    """
    case_type = types.get(kind)
    act.require(case_type.open_permission, party)
    title = title.strip()
    if not 1 <= len(title) <= TITLE_MAX:
        raise invalid("title", title, _("between 1 and %(max)s characters") % {"max": TITLE_MAX})
    case = Case.objects.create(
        kind=kind, party=party, subject=subject, title=title, salt=secrets.token_hex(16), opened_at=act.at
    )
    _append(act, case, Kind.OPENED, 1, act.at, text=body, uploads=uploads, title=salted(case.salt, title))
    refresh(case)
    return case


@action("cases.event")
def add_event(
    act: Act, *, case: Case, event: str, text: str = "", days: int | None = None, satisfied: bool | None = None,
    assignee: User | None = None, copied_to: Party | None = None, shared: bool = True,
    uploads: tuple[Upload, ...] = (),
) -> CaseEvent:
    """Let something happen to a case (`machine.Kind`). Returns the event.

    `days`: of an extension; `satisfied`: the answer of a call-back; `shared` False keeps an officer's comment from the
    applicant. Raises Forbidden, Invalid (a field), Refused with a code of `words.REFUSALS`.
    """
    if event not in machine.RULES:
        raise invalid("event", event, _("no such event; possible: %(known)s") % {"known": ", ".join(machine.RULES)})
    kind = Kind(event)
    case = _locked(case)
    past = _past(case)
    _require(act, case, past, kind)
    fields: dict[str, Any] = {
        "text": text.strip(), "days": days, "satisfied": satisfied, "assignee": assignee, "copied_to": copied_to,
    }
    _check_fields(case, kind, fields)
    kept = {name: given for name, given in fields.items() if name in machine.RULES[kind].needs or name == "text"}
    insider = capacities(act.actor, case) & {Who.HANDLER, Who.SUPERVISOR}
    shared = machine.RULES[kind].shared and (shared or kind is not Kind.COMMENTED or not insider)
    at = max(act.at, past[-1].at)
    written = _append(act, case, kind, len(past) + 1, at, shared=shared, uploads=uploads, **kept)
    if kind is Kind.CALLED_BACK:
        follow_up = FOLLOW_UPS[bool(satisfied)]
        if not machine.refusal(machine.fold([*past, written.pure]), follow_up):
            _append(act, case, follow_up, len(past) + 2, at)
    refresh(case)
    return written


def _check_fields(case: Case, kind: Kind, fields: dict[str, Any]) -> None:
    for name in machine.RULES[kind].needs:
        if fields[name] in (None, ""):
            raise invalid(name, fields[name], _("must be given for this event"))
    days, assignee = fields["days"], fields["assignee"]
    if kind is Kind.EXTENDED and not (isinstance(days, int) and 1 <= days <= case.type.extension_days):
        raise invalid("days", days, _("between 1 and %(max)s") % {"max": case.type.extension_days})
    if kind is Kind.ASSIGNED and not (
        isinstance(assignee, User) and assignee.is_active and Actor(assignee).can(case.type.handle_permission)
    ):
        raise invalid("assignee", assignee, _("this person does not handle such cases"))


@action("cases.escalate")
def escalate(act: Act, *, case: Case) -> Case:
    """Append the escalations that the clock has reached since the last look; called by the worker."""
    act.require(HANDLE, case.party)
    case = _locked(case)
    now = refresh(case)
    past = _past(case)
    raised = 0
    for event in past:
        raised = 0 if event.kind is Kind.REOPENED else raised + (event.kind is Kind.ESCALATED)
    wanted = 0 if machine.refusal(machine.fold(past), Kind.ESCALATED) else now.escalation - raised
    for number in range(wanted):
        _append(act, case, Kind.ESCALATED, len(past) + 1 + number, max(act.at, past[-1].at), shared=False)
    if wanted <= 0:
        act.nothing_changed()
    return case


def _locked(case: Case) -> Case:
    return Case.objects.select_related("party").select_for_update(of=("self",)).get(pk=case.pk)


def _past(case: Case) -> list[machine.Event]:
    return [event.pure for event in case.events.order_by("sequence")]


def _append(
    act: Act, case: Case, kind: Kind, sequence: int, at: datetime, *, text: str = "", shared: bool = True,
    uploads: tuple[Upload, ...] = (), title: str = "", **fields: Any,
) -> CaseEvent:
    if len(text) > TEXT_MAX:
        raise invalid("text", text, _("at most %(max)s characters") % {"max": TEXT_MAX})
    files.check(uploads)
    stored = [(upload, files.store(upload.content)) for upload in uploads]
    # What people write may name people: the log knows it by salted digests only.
    payload = {"event": kind, "sequence": sequence, "text": salted(case.salt, text) if text else "", "shared": shared}
    payload |= {name: given for name, given in fields.items() if given is not None}
    payload |= {"title": title} if title else {}
    payload |= {"files": [salted(case.salt, digest) for _upload, digest in stored]} if stored else {}
    record = act.record(case, payload, at)
    event = CaseEvent.objects.create(
        case=case, sequence=sequence, kind=kind, at=at, actor=act.actor.user, text=text, shared=shared,
        record=record, **fields,
    )
    Attachment.objects.bulk_create(
        Attachment(event=event, name=upload.name, size=len(upload.content), digest=digest)
        for upload, digest in stored
    )
    return event


def refresh(case: Case, calendar: Calendar | None = None) -> CaseClock:
    """Rebuild what `Case` caches of its events (status, handler, due dates); saves it when it differs."""
    events = list(case.events.order_by("sequence"))
    pure = [event.pure for event in events]
    state = machine.fold(pure)
    now = derive(pure, case.type, calendar or working_days(), max(clock.now(), pure[-1].at))
    cached: dict[str, str | int | bool | date | None] = {
        "status": state.status, "handler_id": _handler(events), "supervised": state.supervised,
        "target_due": now.target_due, "legal_due": now.legal_due,
    }
    if any(getattr(case, name) != wanted for name, wanted in cached.items()):
        for name, wanted in cached.items():
            setattr(case, name, wanted)
        case.save(update_fields=list(cached))
    return now


def _handler(events: Sequence[CaseEvent]) -> int | None:
    """Who was assigned last; without an assignment, who accepted."""
    found = None
    for event in events:
        if event.kind == Kind.ASSIGNED:
            found = event.assignee_id
        elif event.kind == Kind.ACCEPTED:
            found = event.actor_id or found
    return found
