"""What jobs add to the page of an entity (a panel, events, deadlines) and what waits for whom (to-dos)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import Exists, OuterRef, Q
from django.urls import reverse
from django.utils.translation import gettext as _

from huoshui.base import access, clock
from huoshui.base.access import Actor
from huoshui.cases.todo import Todo
from huoshui.jobs.actions.endpoints import BOOKING_OVER
from huoshui.jobs.calendar import LIVE
from huoshui.jobs.models import Booking, Connection, Endpoint, Job, Shortage
from huoshui.jobs.permissions import CONNECT, SERVE
from huoshui.registry.deadlines import Deadline
from huoshui.registry.models import Party
from huoshui.registry.timeline import Event

ROWS_MAX = 20
LATEST_SHOWN = 5


def context(actor: Actor, party: Party) -> dict[str, Any] | None:
    """The party's bookings, jobs and models; None when it has none."""
    booked = Booking.objects.filter(party=party)
    if not booked.exists():
        return None
    jobs = Job.objects.filter(booking__party=party)
    return {
        "live": booked.filter(state__in=LIVE).count(), "running": jobs.filter(state=Job.State.RUNNING).count(),
        "waiting": jobs.filter(state=Job.State.QUEUED).count(), "models": party.trained_models.count(),
        "latest": jobs.select_related("booking").order_by("-id")[:LATEST_SHOWN],
    }  # fmt: skip


def timeline(actor: Actor, party: Party, limit: int) -> Iterable[Event]:
    """Jobs that ended."""
    ended = Job.objects.filter(booking__party=party, ended_at__isnull=False).order_by("-ended_at")
    for job in ended[:limit]:
        title = _("Job %(number)s: %(state)s") % {"number": job.number, "state": job.get_state_display()}
        yield Event(job.ended_at or job.submitted_at, title, reverse("jobs:job", args=[job.pk]), "jobs.job")


def deadlines(actor: Actor, party: Party) -> Iterable[Deadline]:
    """When booked hours end."""
    now = clock.hour_of(clock.now())
    for row in Booking.objects.filter(party=party, state__in=LIVE, end_hour__gt=now).order_by("end_hour")[:ROWS_MAX]:
        title = _("The hours of booking %(number)s end") % {"number": row.number}
        yield Deadline(clock.instant_of(row.end_hour), title, reverse("jobs:booking", args=[row.pk]), "jobs.booking")


def engines_down(actor: Actor) -> Iterator[Todo]:
    """Engines of the actor's sites that do not answer, have fewer cards than there should be, or that nobody has
    checked."""
    rows = access.visible(Connection.objects.all(), actor, CONNECT).select_related("site")
    rows = rows.annotate(short=Exists(Shortage.objects.filter(connection=OuterRef("pk"))))
    states = (Connection.State.DOWN, Connection.State.FAULTY, Connection.State.UNCHECKED)
    for row in rows.filter(Q(state__in=states) | Q(short=True)).order_by("id")[:ROWS_MAX]:
        if row.state == Connection.State.DOWN:
            sentence, weight = _("The engine of %(site)s does not answer"), 5
        elif row.short:
            sentence, weight = _("Fewer cards work at %(site)s than its pools have"), 5
        else:
            sentence, weight = _("Check the engine of %(site)s"), 1
        url = reverse("jobs:connection", args=[row.site_id])
        yield Todo(sentence % {"site": row.site.name}, url, clock.today(), weight, "jobs.engine")


def bookings_refused(actor: Actor) -> Iterator[Todo]:
    """Bookings whose cards the engine of the actor's site would not keep."""
    rows = Booking.objects.filter(state__in=LIVE, pool__site__in=_sites(actor)).exclude(fault="")
    for row in rows.order_by("start_hour", "id")[:ROWS_MAX]:
        due = clock.local(clock.instant_of(row.start_hour)).date()
        title = _("The engine does not keep the cards of booking %(number)s") % {"number": row.number}
        yield Todo(title, reverse("jobs:booking", args=[row.pk]), due, 4, "jobs.booking")


def endpoints_waiting(actor: Actor) -> Iterator[Todo]:
    """Endpoints of the actor's parties that stay failed until somebody does something, and were not ended by hand."""
    failed = Endpoint.objects.filter(state=Endpoint.State.FAILED).exclude(fault="cancelled")
    for row in access.visible(failed, actor, SERVE).order_by("id")[:ROWS_MAX]:
        over = row.fault == BOOKING_OVER
        title = _("Choose another booking for endpoint %(name)s") if over else _("Endpoint %(name)s does not run")
        url = reverse("jobs:endpoint", args=[row.pk])
        yield Todo(title % {"name": row.name}, url, clock.today(), 3, "jobs.endpoint")


def _sites(actor: Actor) -> Any:
    return access.visible(Connection.objects.all(), actor, CONNECT).values("site")
