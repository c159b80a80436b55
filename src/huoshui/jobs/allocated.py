"""Bookings of what the bank gave: one for each allocation, kept in step with its schedule.

A published round makes a booking for each allocation, paid for as a whole by the bank's own statement. A reschedule
within the pool changes its stretches, so what runs goes on where it can; one that moves to another pool ends the
booking and makes another under the next version, and waiting jobs move along. Cards that the entity resold are its
buyers' for those hours; hours beyond the spending cap are not run.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from django.db.models import Q

from huoshui.base import canonical, clock
from huoshui.base.act import Act
from huoshui.base.models import LogRecord
from huoshui.compute import schedules
from huoshui.compute.actions.allocations import stops_at
from huoshui.compute.allocate import stretches as by_cards
from huoshui.compute.models import Allocation, Run
from huoshui.jobs import services
from huoshui.jobs.bookings import OPEN
from huoshui.jobs.calendar import LIVE, joined
from huoshui.jobs.models import BookedStretch, Booking, Job

CHUNK = 400


def follow(act: Act, record: LogRecord, allocations: Sequence[Allocation]) -> None:
    """Bring bookings into step with allocations, and with those of which their cards were resold."""
    new = [allocation for allocation in allocations if allocation.version == 1 and _is_new(allocation)]
    for first in range(0, len(new), CHUNK):
        _make(act, record, new[first : first + CHUNK])
    known = {allocation.pk for allocation in new}
    changed = [allocation for allocation in allocations if allocation.pk not in known]
    for allocation in [*changed, *_resellers(allocations)]:
        _follow(act, record, allocation)


def _is_new(allocation: Allocation) -> bool:
    planned = allocation.state == Allocation.State.PLANNED
    return planned and not Booking.objects.filter(source=_source(allocation)).exists()


def _source(allocation: Allocation) -> str:
    return f"{_family(allocation)}{allocation.version}"


def _next_source(allocation: Allocation) -> str:
    """The source of another booking: one version may have several, one after another (`…@2`, `…@2.1`)."""
    source = _source(allocation)
    before = Booking.objects.filter(Q(source=source) | Q(source__startswith=f"{source}.")).count()
    return f"{source}.{before}" if before else source


def _family(allocation: Allocation) -> str:
    """How the sources of all its bookings begin."""
    return f"{canonical.label(allocation)}@"


def _resellers(allocations: Sequence[Allocation]) -> Iterator[Allocation]:
    """Allocations out of whose cards these were served."""
    keys = [allocation.pk for allocation in allocations]
    for first in range(0, len(keys), CHUNK):
        sold = Allocation.objects.filter(resales__shares__allocation__in=keys[first : first + CHUNK])
        yield from sold.select_related("request__entity", "round", "pool").distinct().order_by("id")


def _make(act: Act, record: LogRecord, allocations: Sequence[Allocation]) -> None:
    """Bookings of new allocations, in a few queries."""
    runs: dict[int, list[tuple[int, int]]] = defaultdict(list)
    rows = Run.objects.filter(allocation__in=[allocation.pk for allocation in allocations], version=1)
    for pk, start, end in rows.values_list("allocation_id", "start_hour", "end_hour"):
        runs[pk].append((start, end))
    made = [_booking(act, record, one, _source(one), joined(runs[one.pk])) for one in allocations]
    Booking.objects.bulk_create(made)
    BookedStretch.objects.bulk_create(
        BookedStretch(booking=booking, start_hour=start, end_hour=end, cards=booking.cards)
        for booking, one in zip(made, allocations, strict=True)
        for start, end in joined(runs[one.pk])
    )


def _booking(
    act: Act, record: LogRecord, allocation: Allocation, source: str, hours: Sequence[tuple[int, int]]
) -> Booking:
    request = allocation.request
    card_hours = request.cards * sum(end - start for start, end in hours)
    return Booking(
        party=request.entity, pool=allocation.pool, cards=request.cards, start_hour=hours[0][0], end_hour=hours[-1][1],
        source=source, billing=Booking.Billing.WHOLE, cap_fen=allocation.payment_fen, from_deposits=True,
        price_mfen=allocation.payment_fen * 1000 // card_hours, created_at=act.at, record=record,
    )  # fmt: skip


def _follow(act: Act, record: LogRecord, allocation: Allocation) -> None:
    """Bring one booking into step with a changed allocation."""
    now = clock.hour_of(act.at)
    wanted = _cards(allocation)
    rows = Booking.objects.select_for_update().filter(source__startswith=_family(allocation), state__in=LIVE)
    booking = rows.order_by("-id").first()
    if booking is not None and booking.pool_id == allocation.pool_id and any(hour >= now for hour in wanted):
        services.reshape(booking, wanted)
        booking.cap_fen = allocation.payment_fen
        booking.save(update_fields=["cap_fen"])
        return
    if booking is not None:
        services.give_up(act, booking, Booking.State.CANCELLED, "rescheduled")
    ahead = {hour: cards for hour, cards in wanted.items() if hour > now and cards}
    if not ahead:
        return
    hours = list(by_cards(ahead))
    source = _next_source(allocation)
    made = _booking(act, record, allocation, source, [(start, end) for start, end, _cards in hours])
    made.save()
    BookedStretch.objects.bulk_create(
        BookedStretch(booking=made, start_hour=start, end_hour=end, cards=cards) for start, end, cards in hours
    )
    if booking is not None:
        waiting = booking.jobs.filter(state=Job.State.QUEUED).exclude(attempts__in=booking.attempts.filter(OPEN))
        Job.objects.filter(pk__in=list(waiting.values_list("pk", flat=True))).update(booking=made)


def _cards(allocation: Allocation) -> dict[int, int]:
    """Cards by hour that the entity uses itself in the allocation's pool."""
    if allocation.state not in (Allocation.State.PLANNED, Allocation.State.FINISHED):
        return {}
    resold, end = schedules.resold_of(allocation), None
    if allocation.spending_cap_fen < allocation.payment_fen:
        end = stops_at(allocation)
    return {
        hour: max(allocation.request.cards - resold.get(hour, 0), 0)
        for run in schedules.runs_of(allocation)
        for hour in range(run.start_hour, run.end_hour)
        if run.pool_id == allocation.pool_id and (end is None or hour < end)
    }
