"""What a trade costs in the end: from the booking that ended to a statement.

* **By use**: the card-seconds of the engine's accounting, never more than the trade's amount.
* **As a whole**: the card-time that the cards stood ready on a working engine, used or not; what was recalled or lost,
  what was not reserved yet and the time in which the engine was silent are not billed, unless something ran in it.
  Hours that the buyer resold count as taken: it is paid for them by the next buyer.
* **Lost in other hands.** When hours are lost that were resold, nobody pays for them to whoever sold last, and each
  seller before gives its own buyer back what it got of what that buyer paid for them, and the centre the fee
  (statements of their own, not secured). Who sold them before they came here is told (`jobs.services.tell_lost`).
* **Balances** of compute accounts are passed on at once, and billed at once.

The fee is one floored share of the amount, out of the seller's revenue. Every fen of the commitment is billed or comes
back to the limit.
"""

from collections.abc import Iterator
from datetime import date

from huoshui.base import canonical, clock
from huoshui.base.act import Act
from huoshui.base.models import LogRecord
from huoshui.book import services as book
from huoshui.book.models import Statement
from huoshui.book.services import LineDraft
from huoshui.exchange.models import Listing, Order, Trade
from huoshui.jobs.models import Booking
from huoshui.jobs.services import MFEN_SECONDS, Used, stood_seconds, tell_lost
from huoshui.registry.models import Party
from huoshui.registry.queries import centre
from huoshui.terms.rounding import floor_share

DESK = "exchange"
CARD_HOURS, BALANCE, FEE, LOST = "card_hours", "balance", "fee", "lost"
HOUR_SECONDS = 3600
MILLI = 1000
TAKEN_BACK = ("recall", "failure")
"""Why a booking ended that its holder did not give up."""


def trade_ended(act: Act, record: LogRecord, booking: Booking, used: Used) -> None:
    """Issue the statement of a trade whose booking closed (from `jobs.services.on_ended`)."""
    trade = Trade.objects.select_for_update(of=("self",)).get(booking=booking)
    if trade.state != Trade.State.OPEN or trade.contract is None:
        return
    seconds = used.billed_seconds
    if trade.contract.billing == Booking.Billing.WHOLE:
        lost = lost_seconds(booking, used, trade.card_hours)
        seconds = trade.card_hours * HOUR_SECONDS - lost
        _make_whole(act, record, trade.resold_from, lost)
    days = (_day(trade.contract.start_hour), _day(trade.contract.end_hour - 1))
    draft = LineDraft(
        trade.seller, CARD_HOURS, trade.terms.vat_bps, "exchange.card_hours", card_seconds=seconds,
        price_mfen=trade.price_mfen, evidence=used.evidence, params={"trade": trade.number},
    )  # fmt: skip
    bill(act, record, trade, draft, days)


def aside_ended(act: Act, record: LogRecord, booking: Booking, used: Used) -> None:
    """Cards that were set aside and not sold: their listing closes with them, and what was lost of resold ones is given
    back up the chain."""
    source = _source(booking)
    if isinstance(source, Listing) and source.state == Listing.State.OPEN:  # its cards were lost
        source.state = Listing.State.EXPIRED
        source.save(update_fields=["state"])
    contract = source.contract if isinstance(source, Listing) else source.auction.contract
    if source.resold_from is None or contract is None:
        return
    sold = sum(trade.card_hours for trade in Trade.objects.filter(source=booking.source).select_related("contract"))
    lost = lost_seconds(booking, used, source.lots * contract.hours - sold)
    _make_whole(act, record, source.resold_from, lost)


def _source(aside: Booking) -> Listing | Order:
    """The sell order for which cards were set aside."""
    kind, _colon, key = aside.source.partition(":")
    if kind == "exchange.listing":
        return Listing.objects.get(pk=int(key))
    return Order.objects.get(pk=int(key))


def _origin(booking: Booking | None) -> Booking | None:
    """The booking by which its holder got a booking's hours: cards set aside came with another."""
    while booking is not None and booking.source.startswith(("exchange.listing:", "exchange.order:")):
        booking = _source(booking).resold_from
    return booking


def balance_passed_on(act: Act, record: LogRecord, trade: Trade) -> None:
    """Issue the statement of a balance that was sold."""
    today = clock.local(act.at).date()
    draft = LineDraft(
        trade.seller, BALANCE, trade.terms.vat_bps, "exchange.balance", quantity_mch=trade.lots * MILLI,
        price_mfen=trade.price_mfen, params={"trade": trade.number},
    )  # fmt: skip
    bill(act, record, trade, draft, (today, today))


def bill(act: Act, record: LogRecord, trade: Trade, draft: LineDraft, days: tuple[date, date]) -> None:
    """The statement of a trade: what was taken, and the fee; nothing taken, nothing billed."""
    assert 0 <= draft.total <= trade.amount_fen, "never more than was committed"
    subject = canonical.label(trade)
    if draft.total == 0:
        trade.state = Trade.State.VOID
        book.release_commitment(act, record, trade.buyer, subject)
    else:
        trade.state = Trade.State.BILLED
        trade.statement = book.issue_statement(
            act, record, desk=DESK, subject=subject, payer=trade.buyer, lines=[draft, *_fee(trade, draft.total)],
            contest_until=_contest_until(act, trade), contract=trade.number,
            signed_on=clock.local(trade.made_at).date(), used=days,
        )  # fmt: skip
    trade.save(update_fields=["state", "statement"])


def lost_seconds(booking: Booking, used: Used, had: int) -> int:
    """Card-seconds of a booking of `had` card-hours that were recalled or lost, or that no working engine kept.

    What its holder gave up or passed on was not lost, nor was the time in which something ran.
    """
    if booking.state == Booking.State.CANCELLED and booking.fault not in TAKEN_BACK:
        return 0
    given = max(stood_seconds(booking), used.card_seconds)
    return max((had - _passed_on(booking)) * HOUR_SECONDS - given, 0)


def _passed_on(booking: Booking) -> int:
    """Card-hours that were set aside out of a booking to be resold, or resold out of it at once."""
    listed, ordered = (
        booking.listings.select_related("contract"), booking.exchange_orders.select_related("auction__contract")
    )  # fmt: skip
    aside = {canonical.label(row): row.lots * row.contract.hours for row in listed if row.contract}
    aside |= {canonical.label(row): row.lots * row.auction.contract.hours for row in ordered}
    sold = booking.resales.select_related("contract")
    return sum(aside.values()) + sum(trade.card_hours for trade in sold if trade.source not in aside)


def _fee(trade: Trade, amount_fen: int) -> Iterator[LineDraft]:
    """The fee passes from the seller to the centre; the buyer pays no more for it."""
    terms = trade.terms
    if fee := floor_share(amount_fen, terms.fee_bps):
        yield _amount(trade, trade.seller, FEE, "exchange.fee_deducted", -fee)
        yield _amount(trade, centre(), FEE, "exchange.fee", fee)


def _make_whole(act: Act, record: LogRecord, resold_from: Booking | None, lost: int) -> None:
    """What was paid for card-seconds that were lost after they had been resold comes back, link by link, from the
    seller and, for the fee, from the centre; whoever sold the first of them elsewhere is told."""
    origin = _origin(resold_from)
    while lost and origin is not None:
        link = Trade.objects.filter(booking=origin).select_related("seller", "buyer").first()
        if link is None:
            tell_lost(act, record, origin, lost)
            return
        amount = lost * link.price_mfen // MFEN_SECONDS
        fee = floor_share(amount, link.terms.fee_bps)
        _give_back(act, record, link, link.seller, amount - fee)
        _give_back(act, record, link, centre(), fee)
        origin = _origin(link.resold_from)


def _give_back(act: Act, record: LogRecord, trade: Trade, payer: Party, amount: int) -> None:
    """What somebody got for lost hours of a trade, back to its buyer."""
    if not amount:
        return
    today = clock.local(act.at).date()
    book.issue_statement(
        act, record, desk=DESK, subject=canonical.label(trade), payer=payer, secured=False, final=False,
        lines=[_amount(trade, trade.buyer, LOST, "exchange.lost", amount)], contract=trade.number,
        contest_until=_contest_until(act, trade), signed_on=clock.local(trade.made_at).date(), used=(today, today),
    )  # fmt: skip


def _amount(trade: Trade, payee: Party, kind: str, description: str, amount: int) -> LineDraft:
    params = {"trade": trade.number}
    return LineDraft(payee, kind, trade.terms.vat_bps, description, amount=amount, params=params)


def _contest_until(act: Act, trade: Trade) -> date:
    return book.contest_deadline(clock.local(act.at).date(), trade.terms.contest_working_days)


def _day(hour: int) -> date:
    return clock.local(clock.instant_of(hour)).date()


def statements_of(trade: Trade) -> list[Statement]:
    """Every statement about a trade, oldest first."""
    return list(Statement.objects.filter(subject=canonical.label(trade)).order_by("id"))
