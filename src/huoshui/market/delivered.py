"""What an order was given of what it bought, measured from its booking: the ground of compensation and of the rating.

Card-time is lost when the operator could not give it: cards reported as failed, the time in which no working engine
kept them (`jobs.services.absences`), the time from an attempt that failed by the operator's fault to the next attempt
in the booking, and what is left of a booking that was lost. No second is lost twice. Hours that a buyer resold count as
sold like the others, and as lost when they are lost in other hands (`Order.lost_elsewhere`). What a buyer does not use
is not lost, nor is what a spot product recalls with its published notice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F

from huoshui.base import clock
from huoshui.jobs.models import Attempt, BookedStretch, Booking
from huoshui.jobs.services import Absence, Used, absences, card_hours_from, lost_with_engine
from huoshui.market import shelf
from huoshui.market.models import DeliveryRecord, Order
from huoshui.registry.queries import related

OPERATOR_FAULTS = frozenset({"node_lost", "no_start", "lost", "engine_lost"})
"""Reasons of an attempt's end that are not the job's own (`jobs.words`)."""
UNFOLLOWED = timedelta(hours=1)
"""After a failure that no attempt follows, an hour counts as lost."""


@dataclass(frozen=True)
class Delivered:
    """Card-seconds sold (what was given up or recalled with notice is not), lost of them in the order's own booking and
    in other hands; attempts, and those that the operator failed."""

    sold_seconds: int
    lost_seconds: int
    elsewhere_seconds: int
    attempts: int
    failed: int

    @property
    def missing_seconds(self) -> int:
        """Card-seconds lost in all."""
        return self.lost_seconds + self.elsewhere_seconds


def measure(order: Order, booking: Booking, used: Used, until_hour: int) -> Delivered:
    """What came of an order until an hour, as far as is known now; all of it when its booking has closed."""
    parts = list(booking.stretches.all())
    failed_cards = failed_seconds(order, booking, until_hour)
    attempts = list(Attempt.objects.filter(booking=booking).order_by("started_at", "id"))
    failed = [attempt for attempt in attempts if attempt.reason in OPERATOR_FAULTS]
    until, away = clock.instant_of(until_hour), absences(booking, until_hour=until_hour)
    gaps = sum(_gap(attempt, attempts, until, away) for attempt in failed)
    lost = failed_cards + sum(absence.seconds for absence in away) + gaps
    own = _seconds(parts, until_hour) + failed_cards
    sold = order.cards * (min(until_hour, order.end_hour) - order.start_hour) * 3600 if order.whole else own
    lost = min(lost, max(own - used.card_seconds, 0))
    return Delivered(sold, lost, order.lost_elsewhere, len(attempts), len(failed))


def failed_seconds(order: Order, booking: Booking, until_hour: int) -> int:
    """Card-seconds that an order's booking does not hold any more, as the operator reported them as failed before an
    hour or an engine lost them."""
    return order.failed_seconds(until_hour) + lost_with_engine(booking) * 3600


def resold(order: Order) -> bool:
    """Whether the booking of a confirmed whole order holds less than was sold, beyond what failed: the exchange takes
    hours out of it, and what is not sold there does not come back into it."""
    assert order.booking is not None
    held = card_hours_from(order.booking, order.start_hour) * 3600
    return held + failed_seconds(order, order.booking, order.end_hour) < order.card_seconds


def _seconds(parts: Sequence[BookedStretch], until_hour: int) -> int:
    """Card-seconds of stretches before an hour."""
    return 3600 * sum(part.cards * max(min(part.end_hour, until_hour) - part.start_hour, 0) for part in parts)


def _gap(failed: Attempt, attempts: Sequence[Attempt], until: datetime, away: Sequence[Absence]) -> int:
    """Card-seconds from a failure to the next start of anything in the booking, but for those that were away anyway."""
    since = failed.ended_at or failed.submitted_at
    starts = (other.started_at for other in attempts if other != failed)
    later = [start for start in starts if start and start >= since]
    last = min(min(later) if later else since + UNFOLLOWED, until)
    counted = sum((_met(since, last, absence.since, absence.until) for absence in away), timedelta())
    return max(0, int((last - since - counted).total_seconds())) * failed.cards


def _met(since: datetime, until: datetime, other_since: datetime, other_until: datetime) -> timedelta:
    """How much two times have in common."""
    return max(min(until, other_until) - max(since, other_since), timedelta())


def remember(order: Order, told: Delivered) -> None:
    """Add an order to the delivery record of its pool, unless buyer and operator are related."""
    if not _counts(order):
        return
    shelf.changed()
    record, _made = DeliveryRecord.objects.get_or_create(pool=order.product.pool)
    DeliveryRecord.objects.filter(pk=record.pk).update(
        orders=F("orders") + 1, sold_seconds=F("sold_seconds") + told.sold_seconds,
        lost_seconds=F("lost_seconds") + told.missing_seconds, attempts=F("attempts") + told.attempts,
        failed=F("failed") + told.failed,
    )  # fmt: skip


def remember_loss(order: Order, card_seconds: int) -> None:
    """Add what was lost of an order after it was settled."""
    if _counts(order):
        shelf.changed()
        DeliveryRecord.objects.filter(pool=order.product.pool).update(lost_seconds=F("lost_seconds") + card_seconds)


def remember_answer(order: Order, at: datetime) -> None:
    """Add how long an order waited for its operator's answer."""
    if not _counts(order):
        return
    shelf.changed()
    record, _made = DeliveryRecord.objects.get_or_create(pool=order.product.pool)
    seconds = int((at - order.placed_at).total_seconds())
    DeliveryRecord.objects.filter(pk=record.pk).update(
        answers=F("answers") + 1, answer_seconds=F("answer_seconds") + seconds
    )


def _counts(order: Order) -> bool:
    return order.product.operator.pk not in related(order.buyer)
