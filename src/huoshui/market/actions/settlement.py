"""Statements of orders: by use when the booking has ended, by period while an order that is paid as a whole goes on.

What is lost is credited in the first statement that can know it (`delivered.measure`); how much was credited is read
from the statements' own lines, so that nothing is credited twice.
"""

from collections.abc import Sequence
from datetime import date

from django.db.models import F, Sum
from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.base.act import Act, action
from huoshui.base.errors import Conflict
from huoshui.base.models import LogRecord
from huoshui.book import services as book
from huoshui.book.actions import CREDIT
from huoshui.book.models import State, Statement, StatementLine
from huoshui.jobs import services as jobs
from huoshui.jobs.models import Booking
from huoshui.jobs.services import Used
from huoshui.market import billing, delivered, published
from huoshui.market.delivered import Delivered
from huoshui.market.models import WHOLE, Order
from huoshui.market.permissions import SETTLE
from huoshui.market.prices import MONTH_HOURS, periods
from huoshui.registry.models import Party
from huoshui.registry.queries import centre

DESK = "market"
BILLED_PER_RUN_MAX = 2_000


def on_ended(act: Act, record: LogRecord, booking: Booking, used: Used) -> None:
    """A booking of ours ended and is accounted for: the final statement, and the rating. When it ended before the term
    because its buyer had resold the last hours, both wait for the end of the term (`close_due`)."""
    rows = Order.objects.select_for_update(of=("self",)).select_related("buyer", "product__pool__site__operator")
    order = rows.get(booking=booking)
    if order.state != Order.State.CONFIRMED:
        return  # cancelled before it began: settled then
    if not (order.whole and order.end_hour > clock.hour_of(act.at) and delivered.resold(order)):
        _settle(act, record, order, booking, used)


def _settle(act: Act, record: LogRecord, order: Order, booking: Booking, used: Used) -> None:
    told = delivered.measure(order, booking, used, order.end_hour)
    lines = billing.period_lines(order, open_periods(order)) if order.whole else billing.use_lines(order, used)
    bill = billing.final_bill(
        order, lines, _uncredited_fen(order, told), _uncompensated_fen(order, told), published.terms_of(order), centre()
    )
    issue(act, record, order, bill.lines, final=True)
    for payer, owed in bill.owed.items():
        _issue(act, record, order, payer, owed, secured=False)
    order.state, order.billed_hour = Order.State.SETTLED, order.end_hour
    order.save(update_fields=["state", "billed_hour"])
    delivered.remember(order, told)


def lost_elsewhere(act: Act, record: LogRecord, booking: Booking, card_seconds: int) -> None:
    """Hours of an order that its buyer had resold were lost: nobody pays the buyer for them, so their price comes back
    to it. The statement of the order bills them, as hours that were resold count as taken. They count for compensation
    and rating as all that is lost: in the final statement, or at once when that is issued already."""
    rows = Order.objects.select_for_update(of=("self",)).select_related("buyer", "product__pool__site__operator")
    order = rows.get(booking=booking)
    order.lost_elsewhere += card_seconds
    order.save(update_fields=["lost_elsewhere"])
    compensation = 0
    if order.state == Order.State.SETTLED:
        told = delivered.measure(order, booking, jobs.used(booking), order.end_hour)
        compensation = _uncompensated_fen(order, told)
        delivered.remember_loss(order, card_seconds)
    lost = billing.lost_fen(order, card_seconds)
    for payer, owed in billing.owed_back(order, lost, compensation, published.terms_of(order), centre()).items():
        _issue(act, record, order, payer, owed, secured=False)


def open_periods(order: Order) -> list[tuple[int, int]]:
    """Periods of an order that no statement has billed."""
    return [period for period in periods(order.start_hour, order.end_hour) if period[0] >= order.billed_hour]


def _uncredited_fen(order: Order, told: Delivered) -> int:
    """The price of card-time that was lost, less what statements gave back for card-time: as lost, or contested."""
    given = StatementLine.objects.filter(
        statement__desk=DESK, statement__subject=f"market.order:{order.pk}", statement__payer=order.buyer,
        payee=order.product.operator, kind__in=(billing.LOST, CREDIT),
    ).exclude(statement__state=State.CANCELLED)  # fmt: skip
    credited = -(given.aggregate(sum=Sum("amount"))["sum"] or 0)
    return max(billing.lost_fen(order, told.lost_seconds) - credited, 0)


def _uncompensated_fen(order: Order, told: Delivered) -> int:
    """The compensation for all that is missing, less what statements gave: off the operator's part, or owed by it."""
    lines = StatementLine.objects.filter(
        statement__desk=DESK, statement__subject=f"market.order:{order.pk}", kind=billing.COMPENSATION
    ).exclude(statement__state=State.CANCELLED)
    given = sum(abs(amount) for amount in lines.values_list("amount", flat=True))
    return max(billing.compensation_fen(order, told.sold_seconds, told.missing_seconds) - given, 0)


def issue(
    act: Act, record: LogRecord, order: Order, lines: Sequence[book.LineDraft], *, final: bool
) -> Statement | None:
    """The buyer's statement; a final one without lines gives the commitment back at once."""
    if lines:
        return _issue(act, record, order, order.buyer, lines, final=final)
    if final:
        book.release_commitment(act, record, order.buyer, f"market.order:{order.pk}")
    return None


def _issue(
    act: Act, record: LogRecord, order: Order, payer: Party, lines: Sequence[book.LineDraft], *,
    secured: bool = True, final: bool = True,
) -> Statement:  # fmt: skip
    terms = published.terms_of(order)
    return book.issue_statement(
        act, record, desk=DESK, subject=f"market.order:{order.pk}", payer=payer, lines=lines, secured=secured,
        final=final, contract=order.contract or order.number, signed_on=clock.local(order.placed_at).date(),
        used=(_day(order.start_hour), _day(order.end_hour - 1)),
        contest_until=book.contest_deadline(clock.today(), terms.contest_working_days),
    )  # fmt: skip


def _day(hour: int) -> date:
    return clock.local(clock.instant_of(hour)).date()


@action("market.order.bill")
def bill_periods(act: Act, *, order: Order, until_hour: int) -> Statement | None:
    """Bill the periods of a whole order that were over at `until_hour`, but for the last: that is the final one."""
    act.require(SETTLE)
    rows = Order.objects.select_for_update(of=("self",))
    order = rows.select_related("buyer", "booking", "product__pool__site__operator").get(pk=order.pk)
    if order.state != Order.State.CONFIRMED or not order.whole:
        raise Conflict(_("There is nothing to bill."), code="order_state", state=order.state)
    due = [period for period in open_periods(order) if period[1] <= until_hour and period[1] < order.end_hour]
    if not due:
        act.nothing_changed()
        return None
    record = act.record(order, {"billed": due})
    order.billed_hour = due[-1][1]
    order.save(update_fields=["billed_hour"])
    made = None
    assert order.booking is not None
    used = jobs.used(order.booking)
    for period in due:  # a statement for each period: each is floored on its own, as the order's total was
        lost = _uncredited_fen(order, delivered.measure(order, order.booking, used, period[1]))
        lines = billing.period_bill(order, period, lost, published.terms_of(order), centre())
        made = issue(act, record, order, lines, final=False)
    return made


def bill_due(actor: Actor) -> int:
    """Bill every period that is over; returns how many orders. Safe to repeat."""
    now = clock.hour_of(clock.now())
    rows = Order.objects.filter(
        state=Order.State.CONFIRMED, billing__in=WHOLE, billed_hour__lte=now - MONTH_HOURS,
        end_hour__gt=F("billed_hour") + MONTH_HOURS,
    ).order_by("id")  # fmt: skip
    done = 0
    for order in rows[:BILLED_PER_RUN_MAX]:
        key = f"order/{order.pk}/bill/{order.billed_hour}"
        done += bill_periods(actor, key=key, order=order, until_hour=now) is not None
    return done


@action("market.order.close")
def close_order(act: Act, *, order: Order) -> Order:
    """Settle an order whose term is over and whose booking closed before. Raises Conflict for any other."""
    act.require(SETTLE)
    rows = Order.objects.select_for_update(of=("self",)).select_related(
        "buyer", "booking", "product__pool__site__operator"
    )
    found = rows.get(pk=order.pk)
    booking, over = found.booking, found.end_hour <= clock.hour_of(act.at)
    if found.state != Order.State.CONFIRMED or booking is None or booking.closed_at is None or not over:
        raise Conflict(_("There is nothing to bill."), code="order_state", state=found.state)
    _settle(act, act.record(found, {"closed": True}), found, booking, jobs.used(booking))
    return found


def close_due(actor: Actor) -> int:
    """Settle every such order; returns how many. Safe to repeat."""
    rows = Order.objects.filter(
        state=Order.State.CONFIRMED, booking__closed_at__isnull=False, end_hour__lte=clock.hour_of(clock.now())
    ).order_by("id")
    due = list(rows[:BILLED_PER_RUN_MAX])
    for order in due:
        close_order(actor, key=f"order/{order.pk}/close", order=order)
    return len(due)
