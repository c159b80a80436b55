"""Delivery reports of the bank, made by the runner: how long the reservation of a run stood on a working engine.

At the end of each run of an allocation at a connected site the card-time is counted that a working engine kept
(`services.stood_seconds`). What the operator reported by hand stays, and a run that
the engine never reserved is left to the operator.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from django.db.models import Exists, F, OuterRef

from huoshui.base import canonical, clock
from huoshui.base.access import Actor
from huoshui.base.errors import Refused
from huoshui.compute.actions.delivery import report_delivery
from huoshui.compute.models import Allocation, Delivery, Run
from huoshui.compute.settle import REPORT_GRACE_HOURS
from huoshui.jobs.models import BookedStretch, Connection
from huoshui.jobs.services import outages, stood_seconds

Span = tuple[datetime, datetime]


def report(actor: Actor, connection: Connection) -> int:
    """Report the runs at a site that have ended; returns how many."""
    now, done = clock.hour_of(clock.now()), 0
    for run in _ended(connection, now):
        stretches = list(_stretches(run))
        if not any(stretch.reserved_at for stretch in stretches):
            continue
        bookings = {stretch.booking_id: stretch.booking for stretch in stretches}
        stood = sum(stood_seconds(booking, run.start_hour, run.end_hour) for booking in bookings.values())
        silent = outages(connection, clock.instant_of(run.start_hour), clock.instant_of(run.end_hour))
        with suppress(Refused):  # settled or cancelled meanwhile
            report_delivery(
                actor, key=f"delivery/{run.allocation_id}@{run.version}/{run.start_hour}", allocation=run.allocation,
                start_hour=run.start_hour, end_hour=run.end_hour, evidence=_evidence(stretches, silent),
                milli_card_hours=stood * 1000 // 3600,
            )  # fmt: skip
            done += 1
    return done


def _ended(connection: Connection, now: int) -> Sequence[Run]:
    """Runs that ended lately and that nobody has reported."""
    reported = Delivery.objects.filter(
        allocation=OuterRef("allocation"), start_hour__lt=OuterRef("end_hour"), end_hour__gt=OuterRef("start_hour")
    )
    rows = Run.objects.filter(
        pool__site=connection.site_id, version=F("allocation__version"), end_hour__lte=now,
        end_hour__gt=now - REPORT_GRACE_HOURS, allocation__state=Allocation.State.PLANNED,
    )  # fmt: skip
    return list(rows.exclude(Exists(reported)).select_related("allocation").order_by("end_hour", "id"))


def _stretches(run: Run) -> Sequence[BookedStretch]:
    family = f"{canonical.label(run.allocation)}@"
    rows = BookedStretch.objects.filter(booking__source__startswith=family, booking__pool=run.pool_id)
    met = rows.filter(start_hour__lt=run.end_hour, end_hour__gt=run.start_hour)
    return list(met.order_by("start_hour", "id").prefetch_related("booking__attempts"))


def _evidence(stretches: Sequence[BookedStretch], silent: Sequence[Span]) -> str:
    """Digest of what the report was counted from: reservations, outages, the engine's accounts."""
    return canonical.digest(
        {
            "reserved": [[one.start_hour, one.end_hour, one.cards, one.reserved_at] for one in stretches],
            "outages": [list(span) for span in silent],
            "accounts": [
                [attempt.name, attempt.evidence] for one in stretches for attempt in one.booking.attempts.order_by("id")
            ],
        }
    )
