"""Orders: placed on a price that was seen, answered by the operator, cancelled, extended, taken back.

The most that an order may cost is held under `market.order:ID` when it is placed and committed when it is confirmed; a
confirmed order has a booking of `jobs`. Locks: booking, order, balances, pool, shelf, log.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from huoshui.base import canonical, clock
from huoshui.base.act import Act, action
from huoshui.base.errors import Conflict, Invalid, Problem, Refused, invalid
from huoshui.base.models import LogRecord
from huoshui.book import services as book
from huoshui.compute.actions.deposits import hour_text
from huoshui.compute.allocate import stretches as by_cards
from huoshui.jobs import services as jobs
from huoshui.jobs.connections import require_engine
from huoshui.jobs.models import Booking
from huoshui.market import billing, delivered, published
from huoshui.market.actions import settlement
from huoshui.market.models import CartItem, Comment, Order, Product
from huoshui.market.permissions import ORDER, SELL, SETTLE
from huoshui.market.prices import Quote, net_of, quote
from huoshui.registry.models import Party
from huoshui.terms.rounding import floor_share, format_yuan

UNITS_MAX = 100_000
AHEAD_HOURS_MAX = 24 * 366
AMOUNT_FEN_MAX = 10**13
LAPSED_PER_RUN_MAX = 1_000
EXPLAINED_CHARACTERS_MAX = 200
ENGINE_FAILURE = "failure"
GIVEN_UP = "order_cancelled"
"""Why the booking of an order ended that its buyer gave up."""


def quoted(product: Product, units: int, hours: int, cap_fen: int | None = None) -> Quote:
    """What so many units over so many hours cost today, at the published concession, within the buyer's cap."""
    tiers = [row.tier for row in product.tiers.all()]
    return quote(
        product.price_fen, tiers, units * product.cards_per_unit, hours, product.unit_hours, product.whole,
        published.concession_bps(), cap_fen,
    )  # fmt: skip


def faults_of(
    product: Product, units: int, start_hour: int, hours: int, now: int, cap_fen: int | None = None
) -> list[Problem]:
    """Why so many units over these hours cannot be ordered; free cards are another question."""
    found = []
    if not 0 < units <= UNITS_MAX or units * product.cards_per_unit > product.pool.cards:
        most = product.pool.cards // product.cards_per_unit
        found.append(Problem("units", str(units), _("between 1 and %(max)s") % {"max": most}))
    if not product.hours_min <= hours <= product.hours_max:
        rule = _("between %(min)s and %(max)s") % {"min": product.hours_min, "max": product.hours_max}
        found.append(Problem("hours", str(hours), rule))
    elif hours % product.unit_hours:
        found.append(Problem("hours", str(hours), _("whole months of 720 hours")))
    if start_hour < now:
        found.append(Problem("start", hour_text(start_hour), _("lies in the past")))
    elif start_hour + hours > now + AHEAD_HOURS_MAX:
        found.append(Problem("start", hour_text(start_hour), _("ends more than a year ahead")))
    full = quoted(product, units, hours).gross_fen
    if cap_fen is not None and product.whole:
        found.append(Problem("cap_fen", format_yuan(cap_fen), _("is for what is billed by use")))
    elif cap_fen is not None and not 0 < cap_fen <= full:
        rule = _("above zero and at most %(max)s yuan") % {"max": format_yuan(full)}
        found.append(Problem("cap_fen", format_yuan(cap_fen), rule))
    if full > AMOUNT_FEN_MAX:
        found.append(Problem("units", str(units), _("at most %(max)s yuan") % {"max": format_yuan(AMOUNT_FEN_MAX)}))
    return found


@action("market.order.place")
def place_order(
    act: Act, *, buyer: Party, product: Product, units: int, start_hour: int, hours: int, purpose: str,
    contract: str = "", cap_fen: int | None = None, expected_fen: int | None = None, follows: Order | None = None,
) -> Order:  # fmt: skip
    """Order units of a product from `start_hour` on. Returns the order: confirmed where the product says so.

    `cap_fen`: the most at the product's price (billed by use only; default: every hour in full). `expected_fen`: the
    most that the buyer was shown. Raises Invalid; Refused(code): not_on_sale, self_order, no_engine, price_changed
    (was, now), no_cards (hour, free), over_limit, no_terms.
    """
    act.require(ORDER, buyer)
    product = Product.objects.select_related("pool__site__operator", "pool__card_model").get(pk=product.pk)
    if product.state != Product.State.LISTED:
        raise Refused(_("“%(title)s” is not on sale.") % {"title": product.title}, code="not_on_sale")
    if product.operator == buyer:
        raise Refused(_("An operator does not order its own products."), code="self_order")
    require_engine(product.pool.site)
    cards, terms = units * product.cards_per_unit, published.terms()
    _check(act, product, units, start_hour, hours, purpose, contract, cap_fen)
    told = quoted(product, units, hours, cap_fen)
    if expected_fen is not None:
        _require_price(expected_fen, told.total_fen)
    order = Order.objects.create(
        buyer=buyer, product=product, purpose=purpose.strip(), contract=contract.strip(), units=units, cards=cards,
        start_hour=start_hour, end_hour=start_hour + hours, billing=product.billing, price_fen=told.price_fen,
        unit_hours=product.unit_hours, vat_bps=product.vat_bps, sla_bps=product.sla_bps,
        sla_compensation_bps=product.sla_compensation_bps, recall_notice_hours=product.recall_notice_hours,
        cap_fen=told.cap_fen, total_fen=told.total_fen, terms_digest=published.document().digest, follows=follows,
        billed_hour=start_hour, placed_at=act.at, answer_until=_answer_until(act, start_hour, terms.answer_hours),
    )  # fmt: skip
    record = act.record(
        order,
        {
            "buyer": buyer, "product": product, "cards": cards, "hours": [start_hour, start_hour + hours],
            "price_fen": order.price_fen, "total_fen": order.total_fen, "terms": order.terms_digest,
        },
    )  # fmt: skip
    book.hold(act, record, buyer, subject_of(order), order.total_fen)
    if product.auto_accept:
        _confirm(act, record, order)
    else:
        _require_free(order)
    return order


def subject_of(order: Order) -> str:
    """Name of the order in the book and in bookings."""
    return f"market.order:{order.pk}"


def _answer_until(act: Act, start_hour: int, answer_hours: int) -> datetime:
    """An order lapses when it is not answered in time, and at the latest when it should have begun."""
    begins = max(clock.instant_of(start_hour), act.at + timedelta(minutes=1))
    return min(act.at + timedelta(hours=answer_hours), begins)


def _check(
    act: Act, product: Product, units: int, start_hour: int, hours: int, purpose: str, contract: str,
    cap_fen: int | None,
) -> None:  # fmt: skip
    found = faults_of(product, units, start_hour, hours, clock.hour_of(act.at), cap_fen)
    if not purpose.strip() or len(purpose) > 120:
        found.append(Problem("purpose", purpose, _("between 1 and %(max)s characters") % {"max": 120}))
    if len(contract) > 100:
        found.append(Problem("contract", contract, _("at most %(max)s characters") % {"max": 100}))
    if found:
        raise Invalid(*found)


def _require_price(was: int, now: int) -> None:
    """Raises Refused when what is paid at most is not what was shown."""
    if was != now:
        raise Refused(
            _("The price has changed: %(now)s yuan, not %(was)s.")
            % {"now": format_yuan(now), "was": format_yuan(was)},
            code="price_changed", was=was, now=now,
        )  # fmt: skip


def _require_free(order: Order) -> None:
    free = jobs.free_cards([order.product.pool], order.start_hour, order.end_hour)[0]
    if int(free.min()) < order.cards:
        hour = order.start_hour + int((free < order.cards).argmax())
        raise Refused(
            _("%(pool)s has %(free)s free cards at %(hour)s, not %(cards)s.")
            % {"pool": order.product.pool, "free": int(free.min()), "hour": hour_text(hour), "cards": order.cards},
            code="no_cards", hour=hour, day=hour_text(hour)[:10], free=int(free.min()),
        )  # fmt: skip


def _confirm(act: Act, record: LogRecord, order: Order) -> Order:
    """held → committed, and the booking."""
    book.commit(act, record, order.buyer, subject_of(order), order.total_fen)
    order.booking = jobs.book(
        act,
        record,
        jobs.BookingDraft(
            party=order.buyer, pool=order.product.pool, cards=order.cards,
            stretches=[(order.start_hour, order.end_hour)], source=subject_of(order), price_mfen=order.price_mfen,
            cap_fen=order.cap_fen, billing=Booking.Billing.WHOLE if order.whole else Booking.Billing.USED,
            recall_notice_hours=order.recall_notice_hours,
        ),
    )  # fmt: skip
    order.state, order.answered_at = Order.State.CONFIRMED, act.at
    order.save(update_fields=["state", "booking", "answered_at"])
    return order


def lock(order: Order, *states: str) -> Order:
    """The order, locked after its booking, in one of the states. Raises Conflict."""
    if order.booking_id:
        Booking.objects.select_for_update().get(pk=order.booking_id)
    rows = Order.objects.select_for_update(of=("self",))
    found = rows.select_related("buyer", "booking", "product__pool__site__operator").get(pk=order.pk)
    if found.state not in states:
        raise Conflict(
            _("Order %(number)s is %(state)s.") % {"number": found.number, "state": found.get_state_display()},
            code="order_state", state=found.state,
        )  # fmt: skip
    return found


# --- the operator -----------------------------------------------------------------------------------------------------


@action("market.order.confirm")
def confirm_order(act: Act, *, order: Order) -> Order:
    """Take an order on: its cards are booked. Raises Refused(code="no_cards"), Conflict."""
    order = lock(order, Order.State.PLACED)
    act.require(SELL, order.product)
    _require_in_time(act, order)
    record = act.record(order, {"confirmed": True})
    _confirm(act, record, order)
    delivered.remember_answer(order, act.at)
    return order


@action("market.order.refuse")
def refuse_order(act: Act, *, order: Order, note: str) -> Order:
    """Turn an order down, with the reason that the buyer reads; its hold comes back."""
    order = lock(order, Order.State.PLACED)
    act.require(SELL, order.product)
    order.note = _reason(note)
    record = _end(act, order, Order.State.REFUSED, {"note": order.note})
    book.release_hold(act, record, order.buyer, subject_of(order))
    delivered.remember_answer(order, act.at)
    return order


def _require_in_time(act: Act, order: Order) -> None:
    if act.at >= order.answer_until:
        raise Refused(_("Order %(number)s had to be answered earlier.") % {"number": order.number}, code="answer_late")


def _reason(note: str) -> str:
    if not note.strip() or len(note) > EXPLAINED_CHARACTERS_MAX:
        raise invalid("note", note, _("between 1 and %(max)s characters") % {"max": EXPLAINED_CHARACTERS_MAX})
    return note.strip()


def _end(act: Act, order: Order, state: str, told: dict[str, object]) -> LogRecord:
    record = act.record(order, {"from": order.state, "to": state, **told})
    order.state, order.answered_at = state, order.answered_at or act.at
    order.save(update_fields=["state", "note", "answered_at"])
    return record


@action("market.order.recall")
def recall_order(act: Act, *, order: Order, from_hour: int, cards: int, reason: str) -> Order:
    """Take cards of a confirmed order back: `recall` of a spot product with its notice, or `failure` of any.

    Only what ran is billed; what failed counts as lost. Raises Refused(code="recall_notice"), Invalid, Conflict.
    """
    order = lock(order, Order.State.CONFIRMED)
    act.require(SELL, order.product)
    assert order.booking is not None
    first = max(from_hour, order.start_hour)
    if first >= order.end_hour:
        raise invalid("from", hour_text(from_hour), _("must lie before the end of the order"))
    held = jobs.booked_cards(order.booking, first, order.end_hour)
    taken = list(by_cards({hour: min(int(left), cards) for hour, left in enumerate(held, first) if left}))
    if not taken:
        rule = _("no cards of the order are left then; hours that its buyer resold are taken back at the exchange")
        raise invalid("from", hour_text(from_hour), rule)
    record = act.record(order, {"from": from_hour, "cards": cards, "reason": reason, "taken": taken})
    jobs.recall(act, record, order.booking, from_hour=from_hour, cards=cards, reason=reason)
    if reason == ENGINE_FAILURE:
        order.failed += taken
        order.save(update_fields=["failed"])
    return order


# --- the buyer --------------------------------------------------------------------------------------------------------


@action("market.order.checkout")
def checkout(
    act: Act, *, buyer: Party, items: Sequence[int], purpose: str, contract: str = "", expected_fen: int
) -> list[Order]:
    """Order what lies in the person's cart, all or nothing, for `expected_fen` in all as the page showed it.

    Raises Refused(code="price_changed") with what changed, and whatever `place_order` raises.
    """
    act.require(ORDER, buyer)
    own = CartItem.objects.filter(user=act.actor.user, pk__in=items)
    rows = list(own.select_related("product__pool").order_by("id"))
    if not rows or len(rows) != len(set(items)):
        raise Conflict(_("Your cart has changed. Look at it again."), code="cart_changed")
    totals = [quoted(row.product, row.units, row.hours, row.cap_fen).total_fen for row in rows]
    _require_price(expected_fen, sum(totals))
    orders = [
        place_order(
            act.actor, buyer=buyer, product=row.product, units=row.units, start_hour=row.start_hour, hours=row.hours,
            purpose=purpose, contract=contract, cap_fen=row.cap_fen, expected_fen=total,
        )
        for row, total in zip(rows, totals, strict=True)
    ]  # fmt: skip
    CartItem.objects.filter(pk__in=[row.pk for row in rows]).delete()
    act.nothing_changed()  # the orders have their own records; a cart is not a matter of record
    return orders


@action("market.order.cancel")
def cancel_order(act: Act, *, order: Order) -> Order:
    """Give an order up. Waiting for an answer: free. By use: free before it begins, after that what ran is billed when
    the booking closes. As a whole: before it begins, for the share that the terms keep; Refused(code="begun") after,
    Refused(code="resold") when hours were put on the exchange.
    """
    order = lock(order, Order.State.PLACED, Order.State.CONFIRMED)
    act.require(ORDER, order.buyer)
    if order.state == Order.State.PLACED:
        record = _end(act, order, Order.State.CANCELLED, {})
        book.release_hold(act, record, order.buyer, subject_of(order))
        return order
    assert order.booking is not None
    if not order.whole and clock.instant_of(order.start_hour) <= act.at:
        record = act.record(order, {"given_up": True})
        jobs.cancel(act, record, order.booking, GIVEN_UP)
        return order
    kept = kept_fen(order, act.at)
    record = _end(act, order, Order.State.CANCELLED, {"kept_fen": kept})
    jobs.cancel(act, record, order.booking, GIVEN_UP)
    settlement.issue(act, record, order, billing.cancellation_lines(order, kept), final=True)
    return order


def kept_fen(order: Order, at: datetime) -> int:
    """What cancelling an order costs now; of cards that failed nothing. Raises Refused for a whole order that has begun
    (code="begun") or that does not hold its hours any more (code="resold")."""
    if order.state == Order.State.PLACED or not order.whole:
        return 0
    notice = int((clock.instant_of(order.start_hour) - at).total_seconds() // 3600)
    if notice < 0:
        raise Refused(_("Order %(number)s has begun.") % {"number": order.number}, code="begun")
    if delivered.resold(order):
        text = _("Hours of order %(number)s were put on the exchange; it cannot be cancelled.")
        raise Refused(text % {"number": order.number}, code="resold")
    terms = published.terms_of(order)
    assert order.booking is not None
    failed = billing.lost_fen(order, delivered.failed_seconds(order, order.booking, order.end_hour))
    due = max(order.total_fen - net_of(failed, terms.concession_bps), 0)
    return due - floor_share(due, terms.cancellation_return_bps.bps(notice))


@action("market.order.extend")
def extend_order(act: Act, *, order: Order, hours: int, expected_fen: int | None = None) -> Order:
    """Order the same units for the hours that follow, at today's price; returns the new order."""
    act.require(ORDER, order.buyer)
    if order.state != Order.State.CONFIRMED:
        raise Conflict(
            _("Order %(number)s is %(state)s.") % {"number": order.number, "state": order.get_state_display()},
            code="order_state", state=order.state,
        )  # fmt: skip
    made = place_order(
        act.actor, buyer=order.buyer, product=order.product, units=order.units, start_hour=order.end_hour, hours=hours,
        purpose=order.purpose, contract=order.contract, expected_fen=expected_fen, follows=order,
    )  # fmt: skip
    act.record(order, {"extended_by": made.number})
    return made


@action("market.order.comment")
def comment(act: Act, *, order: Order, text: str) -> Comment:
    """One sentence of the buyer on a settled order, once."""
    order = lock(order, Order.State.SETTLED)
    act.require(ORDER, order.buyer)
    if Comment.objects.filter(order=order).exists():
        raise Conflict(_("There is a comment on this order already."), code="commented")
    if not text.strip() or len(text.strip()) > 120:
        raise invalid("text", text, _("between 1 and %(max)s characters") % {"max": 120})
    record = act.record(order, {"comment": canonical.digest(text.strip())})
    return Comment.objects.create(order=order, text=text.strip(), at=act.at, record=record)


# --- time -------------------------------------------------------------------------------------------------------------


@action("market.order.lapse")
def lapse_unanswered(act: Act) -> int:
    """End orders that their operators did not answer in time, and give their holds back; returns how many."""
    act.require(SETTLE)
    rows = Order.objects.select_for_update(of=("self",)).filter(state=Order.State.PLACED, answer_until__lte=act.at)
    due = list(rows.select_related("buyer").order_by("id")[:LAPSED_PER_RUN_MAX])
    if not due:
        act.nothing_changed()
        return 0
    record = act.record("market.order", {"lapsed": [order.pk for order in due]})
    for order in due:
        order.state = Order.State.LAPSED
    Order.objects.bulk_update(due, ["state"], batch_size=500)
    book.release_hold_many(act, record, [book.Hold(order.buyer, subject_of(order)) for order in due])
    return len(due)
