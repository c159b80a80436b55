"""What a booking is doing now: its stretch, the cards that run in it, what is left under its cap, what follows it.

While an attempt runs, its card-time is told by the clock; only the engine's accounting at its end is billed.
"""

from collections.abc import Iterable
from datetime import datetime
from math import ceil

from django.db.models import Q, Sum

from huoshui.base import clock
from huoshui.base.act import Act
from huoshui.jobs import services
from huoshui.jobs.calendar import LIVE
from huoshui.jobs.models import Attempt, BookedStretch, Booking

OPEN = Q(state__in=[Attempt.State.SUBMITTED, Attempt.State.RUNNING])


def stretch_at(booking: Booking, hour: int) -> BookedStretch | None:
    """The stretch that contains an hour; None when the booking has none there or is not live."""
    if booking.state not in LIVE:
        return None
    return booking.stretches.filter(start_hour__lte=hour, end_hour__gt=hour).first()


def cards_running(booking: Booking) -> int:
    """Cards of attempts that are handed over and not accounted for."""
    return booking.attempts.filter(OPEN).aggregate(cards=Sum("cards"))["cards"] or 0


def seconds_so_far(booking: Booking, now: datetime) -> int:
    """Card-seconds accounted for, and of what runs by the clock."""
    accounted = booking.attempts.exclude(OPEN).aggregate(seconds=Sum("card_seconds"))["seconds"] or 0
    return accounted + sum(seconds_running(booking.attempts.filter(OPEN), now))


def seconds_running(attempts: Iterable[Attempt], now: datetime) -> Iterable[int]:
    """Card-seconds of each attempt that runs, by the clock."""
    for attempt in attempts:
        started = attempt.started_at
        yield attempt.cards * ceil(max((now - started).total_seconds(), 0)) if started else 0


def seconds_left(booking: Booking, now: datetime) -> int | None:
    """Card-seconds that the spending cap still pays for; None: as many as the hours give."""
    if booking.billing == Booking.Billing.WHOLE:
        return None
    most = services.seconds_within(booking.cap_fen, booking.price_mfen)
    return None if most is None else max(most - seconds_so_far(booking, now), 0)


def where_it_goes_on(act: Act, booking: Booking) -> Booking | None:
    """Where jobs of a booking may start again: in itself while it has hours ahead, or in the one that replaced it."""
    hour = clock.hour_of(act.at)
    ahead = Booking.objects.filter(state__in=LIVE, stretches__end_hour__gt=hour).distinct()
    if ahead.filter(pk=booking.pk).exists():
        return booking
    family, at, _version = booking.source.partition("@")
    return ahead.filter(source__startswith=f"{family}@").order_by("-id").first() if at else None
