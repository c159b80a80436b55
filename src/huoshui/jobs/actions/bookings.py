"""Bookings: an operator's own, and what the runner sees of all of them: reserved, refused, over, closed."""

from collections.abc import Sequence

from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.act import Act, action
from huoshui.base.errors import Refused, invalid
from huoshui.compute.models import Pool
from huoshui.jobs import services
from huoshui.jobs.bookings import OPEN
from huoshui.jobs.calendar import LIVE
from huoshui.jobs.models import BookedStretch, Booking, Job
from huoshui.jobs.permissions import CONNECT, RUNNER

FAULT_LENGTH = 300
OWN = "jobs.own"
"""Source of bookings that an operator makes for itself."""
OWN_HOURS_MAX = 24 * 7


@action("jobs.booking.own")
def book_own(act: Act, *, pool: Pool, cards: int, hours: int) -> Booking:
    """An operator keeps free cards of its own from the present hour on: to try the engine, or for its own work.

    Nobody pays. Raises Invalid for the hours, Refused(code="no_cards") when they are deposited or booked.
    """
    act.require(CONNECT, pool)
    if not 0 < hours <= OWN_HOURS_MAX:
        raise invalid("hours", hours, _("between 1 and %(max)s") % {"max": OWN_HOURS_MAX})
    start = clock.hour_of(act.at)
    record = act.record(pool, {"own": True, "cards": cards, "from": start, "hours": hours})
    draft = services.BookingDraft(
        party=pool.site.operator, pool=pool, cards=cards, stretches=[(start, start + hours)],
        source=f"{OWN}:{record.pk}", price_mfen=0, cap_fen=0, billing=Booking.Billing.USED,
    )  # fmt: skip
    return services.book(act, record, draft)


@action("jobs.booking.own.cancel")
def cancel_own(act: Act, *, booking: Booking) -> Booking:
    """An operator gives own cards back before their hours are over."""
    act.require(CONNECT, booking.pool)
    if not booking.source.startswith(f"{OWN}:"):
        raise Refused(_("Only the seller cancels what was sold."), code="not_own")
    record = act.record(booking, {"cancelled": True})
    return services.cancel(act, record, booking, "withdrawn")


@action("jobs.booking.reserved")
def note_reserved(act: Act, *, booking: Booking, stretches: Sequence[BookedStretch]) -> Booking:
    """The engine keeps the cards of some stretches."""
    act.require(RUNNER)
    booking = Booking.objects.select_for_update().get(pk=booking.pk)
    new = booking.stretches.filter(pk__in=[stretch.pk for stretch in stretches], reserved_at=None)
    keys = sorted(new.values_list("pk", flat=True))
    if not keys or booking.state not in LIVE:
        act.nothing_changed()
        return booking
    new.update(reserved_at=act.at)
    booking.state, booking.fault = Booking.State.RESERVED, ""
    booking.save(update_fields=["state", "fault"])
    act.record(booking, {"reserved": keys})
    return booking


@action("jobs.booking.fault")
def note_fault(act: Act, *, booking: Booking, text: str) -> Booking:
    """The engine would not keep the cards; said once."""
    act.require(RUNNER)
    booking = Booking.objects.select_for_update().get(pk=booking.pk)
    if booking.state not in LIVE or booking.fault == text[:FAULT_LENGTH]:
        act.nothing_changed()
        return booking
    booking.fault = text[:FAULT_LENGTH]
    booking.save(update_fields=["fault"])
    act.record(booking, {"fault": booking.fault})
    return booking


@action("jobs.booking.end")
def end_booking(act: Act, *, booking: Booking) -> Booking:
    """The last hour is over: jobs that never started are over too."""
    act.require(RUNNER)
    booking = Booking.objects.select_for_update().get(pk=booking.pk)
    if booking.state not in LIVE:
        act.nothing_changed()
        return booking
    if booking.stretches.filter(end_hour__gt=clock.hour_of(act.at)).exists():
        raise Refused(_("Booking %(number)s has hours ahead.") % {"number": booking.number}, code="booking_runs")
    booking.state = Booking.State.ENDED
    booking.save(update_fields=["state"])
    act.record(booking, {"ended": True})
    return booking


@action("jobs.booking.close")
def close_booking(act: Act, *, booking: Booking) -> Booking:
    """All that ran is accounted for: tell the source, once. In that transaction the seller issues its statement.

    Raises Refused while hours lie ahead (code="booking_runs") or attempts are open (code="attempts_open").
    """
    act.require(RUNNER)
    booking = Booking.objects.select_for_update(of=("self",)).select_related("party", "pool__site").get(pk=booking.pk)
    if booking.closed_at is not None:
        act.nothing_changed()
        return booking
    if booking.state in LIVE:
        raise Refused(_("Booking %(number)s has hours ahead.") % {"number": booking.number}, code="booking_runs")
    if booking.attempts.filter(OPEN).exists():
        raise Refused(_("Jobs of %(number)s still run.") % {"number": booking.number}, code="attempts_open")
    booking.jobs.filter(state=Job.State.QUEUED).update(
        state=Job.State.CANCELLED, reason="booking_over", ended_at=act.at
    )
    used = services.used(booking)
    record = act.record(
        booking,
        {
            "card_seconds": used.card_seconds, "billed_seconds": used.billed_seconds, "cost_fen": used.cost_fen,
            "attempts": used.attempts, "evidence": used.evidence,
        },
    )  # fmt: skip
    if booking.state == Booking.State.ENDED:
        booking.state = Booking.State.SETTLED
    booking.closed_at = act.at
    booking.save(update_fields=["state", "closed_at"])
    services.tell_source(act, record, booking)
    return booking


@action(services.LOSE)
def lose_booking(
    act: Act, *, booking: Booking, start_hour: int | None = None, end_hour: int | None = None, cards: int | None = None
) -> Booking:
    """What no engine can give is lost: so many cards (default: all) of the hours in [start_hour, end_hour)."""
    act.require(RUNNER)
    booking = services.live(booking)
    first, gone = start_hour or clock.hour_of(act.at), cards or booking.cards
    record = act.record(booking, {"lost": services.card_hours_from(booking, first, gone, end_hour)})
    return services.recall(
        act, record, booking, from_hour=first, until_hour=end_hour, cards=gone, reason="failure"
    )
