"""Reads of cases that more than one face needs. All take the actor and show what is theirs."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from huoshui.base import access, clock
from huoshui.base.access import Actor
from huoshui.base.errors import Missing
from huoshui.base.models import User
from huoshui.cases import machine, types
from huoshui.cases.actions import capacities, hindrance, working_days
from huoshui.cases.clocks import CaseClock, derive
from huoshui.cases.machine import Kind
from huoshui.cases.models import Attachment, Case, CaseEvent
from huoshui.cases.permissions import READ
from huoshui.cases.types import CaseType
from huoshui.registry.models import Party

BPS = 10_000
HANDLERS_MAX = 200


def cases(actor: Actor) -> QuerySet[Case]:
    """The cases an actor may read: in their scopes, copied to these, or handled by them."""
    rows = Case.objects.select_related("party", "handler")
    scopes = actor.scopes(READ)
    if access.EVERYWHERE in scopes:
        return rows
    if not scopes:
        return rows.none()
    return rows.filter(Case.scope_filter(scopes) | Q(handler=actor.user))


def not_found() -> Missing:
    """The same for what does not exist and for what is not the actor's."""
    return Missing(_("There is nothing here, or it is not yours to see."))


def case(actor: Actor, pk: int) -> Case:
    """One case. Raises Missing, also for one that is not the actor's."""
    found = cases(actor).filter(pk=pk).first()
    if found is None:
        raise not_found()
    return found


def search(
    actor: Actor, *, status: str = "", kind: str = "", due: str = "", mine: bool = False, text: str = ""
) -> QuerySet[Case]:
    """Cases by filters, the most urgent first. `status`: a status or `running`; `due`: `late` or `overdue`."""
    rows = cases(actor)
    if status:
        rows = rows.filter(status__in=machine.BEFORE_RESOLUTION if status == "running" else [status])
    if kind:
        rows = rows.filter(kind=kind)
    if due:
        field = "legal_due" if due == "overdue" else "target_due"
        rows = rows.filter(status__in=machine.BEFORE_RESOLUTION, **{f"{field}__lt": clock.today()})
    if mine:
        rows = rows.filter(handler=actor.user)
    if text:
        rows = rows.filter(_matching(text.strip()))
    return rows.order_by("-id")


def _matching(text: str) -> Q:
    condition = Q(title__icontains=text) | Q(party__name__icontains=text) | Q(party__uscc=text.upper())
    digits = text.rpartition("-")[2]
    return condition | Q(pk=int(digits)) if digits.isdecimal() and len(digits) < 19 else condition


def insider(actor: Actor, case: Case) -> bool:
    """Whether the actor sees what the applicant does not: comments among officers, supervision, copies."""
    if access.EVERYWHERE in actor.scopes(READ):
        return True
    return bool(capacities(actor, case) & {machine.Who.HANDLER, machine.Who.SUPERVISOR})


def events(actor: Actor, case: Case) -> list[CaseEvent]:
    """The events of a case that the actor may see, oldest first, with their attachments."""
    rows = case.events.select_related("actor", "assignee", "copied_to").prefetch_related("attachments")
    return list(rows if insider(actor, case) else rows.filter(shared=True))


def clock_of(case: Case, at: datetime | None = None) -> CaseClock:
    """The clock of a case, derived from all of its events."""
    return derive([event.pure for event in case.events.all()], case.type, working_days(), at or clock.now())


def possible_events(actor: Actor, case: Case) -> list[Kind]:
    """What the actor may do to the case now."""
    past: Sequence[machine.Event] = [event.pure for event in case.events.all()]
    return [kind for kind in machine.RULES if not hindrance(actor, case, past, kind)]


def types_to_open(actor: Actor) -> list[CaseType]:
    """The types that the actor may open by hand."""
    return [kind for kind in types.registered() if kind.opened_by_hand and actor.can(kind.open_permission)]


def type_to_open(actor: Actor, code: str) -> CaseType:
    """One of these types. Raises Missing."""
    found = types.get(code)
    if found not in types_to_open(actor):
        raise not_found()
    return found


def handlers(case: Case) -> list[User]:
    """The people to whom the case may be assigned."""
    people = User.objects.filter(is_active=True, assignments__isnull=False).distinct().order_by("name", "id")
    return [user for user in people[:HANDLERS_MAX] if Actor(user).can(case.type.handle_permission)]


def attachment(actor: Actor, pk: int) -> Attachment:
    """One attachment of an event that the actor may see. Raises Missing."""
    found = Attachment.objects.filter(pk=pk, event__case__in=cases(actor)).select_related("event__case").first()
    if found is None or not (found.event.shared or insider(actor, found.event.case)):
        raise not_found()
    return found


def parties_to_open_for(actor: Actor, case_type: CaseType) -> QuerySet[Party]:
    """The parties for which the actor may open a case."""
    return access.visible(Party.objects.all(), actor, case_type.open_permission).order_by("name")


def overdue_share_bps(at: datetime) -> int | None:
    """Share of running cases past their legal deadline, in basis points; None when no case runs."""
    running = Case.objects.filter(status__in=machine.BEFORE_RESOLUTION, opened_at__lte=at)
    total = running.count()
    overdue = running.filter(legal_due__lt=clock.local(at).date()).count()
    return overdue * BPS // total if total else None


def opened_count(since: datetime, until: datetime) -> int:
    """Cases opened in [since, until)."""
    return Case.objects.filter(opened_at__gte=since, opened_at__lt=until).count()


def satisfied_share_bps(since: datetime, until: datetime) -> int | None:
    """Share of call-backs in [since, until) that were satisfied, in basis points; None when there were none."""
    answers = CaseEvent.objects.filter(kind=Kind.CALLED_BACK, at__gte=since, at__lt=until)
    total = answers.count()
    return answers.filter(satisfied=True).count() * BPS // total if total else None
