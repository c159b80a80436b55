"""Reads of jobs that more than one face needs: bookings, jobs and engines that an actor may see."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from huoshui import engines
from huoshui.base import access, clock
from huoshui.base.access import Actor
from huoshui.base.errors import Missing
from huoshui.compute.models import Site
from huoshui.jobs import bookings as doing
from huoshui.jobs import connections, services
from huoshui.jobs.calendar import LIVE
from huoshui.jobs.models import BookedStretch, Booking, Connection, Job
from huoshui.jobs.permissions import CONNECT, READ, RUN


def bookings(actor: Actor, *, state: str = "", pool: int | None = None, site: int | None = None) -> QuerySet[Booking]:
    """Bookings that the actor may see, newest first: its parties' own, and those at sites whose engines it runs."""
    rows = Booking.objects.select_related("party", "pool__site__connection", "pool__card_model")
    seen = Q(pk__in=access.visible(Booking.objects.all(), actor, READ).values("pk"))
    if not actor.limited_to:
        seen |= Q(pool__site__in=access.visible(Site.objects.all(), actor, CONNECT))
    rows = rows.filter(seen)
    if state:
        rows = rows.filter(state=state)
    if pool is not None:
        rows = rows.filter(pool=pool)
    if site is not None:
        rows = rows.filter(pool__site=site)
    return rows.order_by("-id")


def booking(actor: Actor, pk: int) -> Booking:
    """One booking. Raises Missing."""
    found = bookings(actor).filter(pk=pk).first()
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


def bookable(actor: Actor) -> QuerySet[Booking]:
    """Bookings in which the actor may run jobs now or later."""
    rows = access.visible(Booking.objects.filter(state__in=LIVE), actor, RUN)
    return rows.select_related("pool__site", "pool__card_model", "party").order_by("start_hour", "id")


def jobs(actor: Actor, *, state: str = "", booking: int | None = None) -> QuerySet[Job]:
    """Jobs that the actor may see, newest first. Who runs a site does not see what its guests run."""
    rows = access.visible(Job.objects.all(), actor, READ)
    rows = rows.select_related("booking__party", "booking__pool__site", "booking__pool__card_model")
    if state:
        rows = rows.filter(state=state)
    if booking is not None:
        rows = rows.filter(booking=booking)
    return rows.order_by("-id")


def job(actor: Actor, pk: int) -> Job:
    """One job. Raises Missing."""
    return access.get_visible(jobs(actor), actor, READ, pk=pk)


def logs_of(actor: Actor, pk: int) -> Job:
    """One job whose logs the actor may open. Raises Missing, Forbidden to who only oversees."""
    found = job(actor, pk)
    actor.require(RUN, found)
    return found


def sites(actor: Actor) -> QuerySet[Site]:
    """Sites whose engine the actor may connect."""
    rows = access.visible(Site.objects.all(), actor, CONNECT)
    return rows.select_related("operator", "connection", "region").order_by("name", "id")


def site(actor: Actor, pk: int) -> Site:
    """One site whose engine the actor may connect. Raises Missing."""
    return access.get_visible(sites(actor), actor, CONNECT, pk=pk)


def connection_of(site: Site) -> Connection | None:
    """The engine of a site."""
    return Connection.objects.select_related("site__operator").filter(site=site).first()


@dataclass(frozen=True)
class Use:
    """What a booking has used until now: accounted for and, by the clock, running; `cost_fen` within the cap."""

    accounted_seconds: int
    running_seconds: int
    cost_fen: int
    percent: int | None


def use_of(booking: Booking, now: datetime) -> Use:
    """The use of a booking so far; what runs is an estimate until the engine's accounting says it."""
    used = services.used(booking)
    so_far = doing.seconds_so_far(booking, now)
    if booking.billing == Booking.Billing.WHOLE:
        return Use(used.card_seconds, so_far - used.card_seconds, booking.cap_fen, None)
    cost = min(so_far * booking.price_mfen // services.MFEN_SECONDS, booking.cap_fen)
    percent = cost * 100 // booking.cap_fen if booking.cap_fen else None
    return Use(used.card_seconds, so_far - used.card_seconds, cost, percent)


def next_stretch(booking: Booking) -> BookedStretch | None:
    """The stretch that runs now, else the next one."""
    return booking.stretches.filter(end_hour__gt=clock.hour_of(clock.now())).order_by("start_hour").first()


def slurm_line(booking: Booking, stretch: BookedStretch | None) -> str:
    """The command for the holder's user of a Slurm site; empty when it has none or there is no reservation yet."""
    connection = connection_of(booking.pool.site)
    users = connection.settings.get("users") if connection is not None else ""
    if connection is None or not users or stretch is None or stretch.reserved_at is None:
        return ""
    word = connections.word(connection, booking.pool.card_model.code)
    name, count = reservation_name(connection, stretch), stretch.cards
    nodes = connections.spread(connections.node_sizes(connection, booking.pool), count) or 1
    wanted = (f"-N {nodes} " if nodes > 1 else "") + f"--gres=gpu:{word}:{count // nodes}"
    return f"sbatch --reservation={name} -L {word}:{count} {wanted} job.sh  # as {users % booking.party_id}"


def reservation_name(connection: Connection, stretch: BookedStretch | None = None) -> str:
    """The engine's name for a stretch's reservation; without one, how the names of all of them begin."""
    return f"hs{connection.tag}-S" + (str(stretch.pk) if stretch else "")


def kinds() -> dict[str, Any]:
    """Kinds of engine that this installation allows, by code."""
    from django.conf import settings

    return {code: kind for code, kind in engines.KINDS.items() if code in settings.ENGINE_KINDS}
