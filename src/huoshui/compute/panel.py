"""What the desk adds to the page of an entity: a panel, events, deadlines; and what waits for whom (to-dos)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.cases.todo import Todo
from huoshui.compute import accounts, queries
from huoshui.compute.models import Allocation, Deposit, Request, Round
from huoshui.compute.permissions import DELIVER, PUBLISH_ROUND, VERIFY
from huoshui.compute.settle import REPORT_GRACE_HOURS
from huoshui.registry.deadlines import Deadline
from huoshui.registry.models import Party
from huoshui.registry.timeline import Event

ROWS_MAX = 20
LATEST_SHOWN = 5
Step = Deadline


def context(actor: Actor, party: Party) -> dict[str, Any] | None:
    """The party's part in the compute bank; None when it has none."""
    asked = Request.objects.filter(entity=party)
    offered = Deposit.objects.filter(depositor=party)
    if not asked.exists() and not offered.exists():
        return None
    return {
        "party": party,
        "latest": asked.order_by("-id")[:LATEST_SHOWN],
        "waiting": asked.filter(state__in=[Request.State.OPEN, Request.State.IN_ROUND]).count(),
        "served": asked.filter(state=Request.State.SERVED).count(),
        "deposits": offered.filter(state=Deposit.State.OPEN).count(),
        "account_milli": accounts.available(party, clock.today()),
    }


def timeline(actor: Actor, party: Party, limit: int) -> Iterable[Event]:
    """Deposits and requests submitted, and what rounds decided."""
    for deposit in Deposit.objects.filter(depositor=party).order_by("-submitted_at")[:limit]:
        title = _("Deposit %(number)s opened") % {"number": deposit.number}
        yield Event(deposit.submitted_at, title, reverse("compute:deposit", args=[deposit.pk]), "compute.deposit")
    for request in Request.objects.filter(entity=party).select_related("round").order_by("-submitted_at")[:limit]:
        url, named = reverse("compute:request", args=[request.pk]), {"number": request.number}
        yield Event(request.submitted_at, _("Request %(number)s submitted") % named, url, "compute.request")
        if request.round and request.round.published_at:
            refused = request.state == Request.State.REFUSED
            title = (_("Request %(number)s not served") if refused else _("Request %(number)s served")) % named
            yield Event(request.round.published_at, title, url, "compute.round")


def deadlines(actor: Actor, party: Party) -> Iterable[Deadline]:
    """Cards that start for the party, and reports that it owes for its sites."""
    now = clock.hour_of(clock.now())
    for row in _dated(Allocation.objects.filter(request__entity=party)).filter(first_hour__gt=now)[:ROWS_MAX]:
        title = _("The cards of %(number)s start") % {"number": row.request.number}
        url = reverse("compute:request", args=[row.request_id])
        yield Deadline(clock.instant_of(row.first_hour), title, url, "compute.start")
    for row in _dated(Allocation.objects.filter(pool__site__operator=party)).filter(last_hour__lte=now)[:ROWS_MAX]:
        yield Deadline(
            clock.instant_of(row.last_hour + REPORT_GRACE_HOURS), _report_title(row), _report_url(row), "compute.report"
        )


def _dated(rows: QuerySet[Allocation]) -> Any:
    """Planned allocations with their hours, the earliest first."""
    return queries.dated(rows.filter(state=Allocation.State.PLANNED).select_related("request"))


def _report_title(row: Allocation) -> str:
    return _("Delivery to %(number)s is to be reported") % {"number": row.request.number}


def _report_url(row: Allocation) -> str:
    return reverse("compute:delivery", args=[row.pk])


def desk_steps(actor: Actor) -> Iterator[Deadline]:
    """When rounds begin and end; for those who run them also until when they must be published."""
    now = clock.hour_of(clock.now())
    for row in queries.rounds_for(actor).filter(end_hour__gt=now).exclude(state=Round.State.CANCELLED)[:ROWS_MAX]:
        named, url = {"round": str(row)}, _round_url(actor, row)
        if row.state in (Round.State.DRAFT, Round.State.CLEARED):
            title = _("%(round)s must be published") % named
            yield Deadline(clock.instant_of(row.start_hour), title, url, "compute.round")
        elif row.start_hour > now:
            title = _("The hours of %(round)s begin") % named
            yield Deadline(clock.instant_of(row.start_hour), title, url, "compute.round")
        else:
            title = _("The hours of %(round)s end") % named
            yield Deadline(clock.instant_of(row.end_hour), title, url, "compute.round")


def _round_url(actor: Actor, row: Round) -> str:
    return reverse("compute:round" if actor.can(VERIFY) else "compute:public_round", args=[row.number])


def reports_due(actor: Actor) -> Iterator[Todo]:
    """Delivery reports that operators owe for their own sites."""
    if not actor.can(DELIVER):
        return
    now = clock.hour_of(clock.now())
    for row in _dated(queries.allocations(actor)).filter(last_hour__lte=now)[:ROWS_MAX]:
        due = clock.local(clock.instant_of(row.last_hour + REPORT_GRACE_HOURS)).date()
        yield Todo(_report_title(row), _report_url(row), due, 1, "compute.report")


def rounds_to_publish(actor: Actor) -> Iterator[Todo]:
    """Cleared rounds that wait for an officer."""
    if not actor.can(PUBLISH_ROUND):
        return
    for row in Round.objects.filter(state=Round.State.CLEARED).order_by("number")[:ROWS_MAX]:
        due = clock.local(clock.instant_of(row.start_hour)).date()
        title = _("%(round)s is cleared and waits to be published") % {"round": str(row)}
        yield Todo(title, reverse("compute:round", args=[row.number]), due, 5, "compute.round")
