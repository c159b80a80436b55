"""Call auctions 集中竞价: opened → orders sealed → frozen → cleared → published.

While the session is open, orders come in sealed: the log has only a salted commitment to each, and no query shows one
to anybody but its party. *Freezing* takes in what is there and stores it, *clearing* runs in a child process of the
worker, *publishing* is one transaction by somebody who neither opened nor cleared it: the price, the trades with their
bookings, what is committed and what comes back.
"""

from __future__ import annotations

import secrets
from datetime import date, datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _

from huoshui.base import canonical, clock, tasks
from huoshui.base.act import Act, action
from huoshui.base.errors import Refused, invalid
from huoshui.base.models import LogRecord, TaskProgress
from huoshui.book import services as book
from huoshui.book.services import Hold
from huoshui.clearing import auction as clearing
from huoshui.clearing.capacity import archive
from huoshui.compute.models import CardModel, Pool, Region, Site
from huoshui.exchange import backing, problems, public, trading
from huoshui.exchange.actions.contracts import contract_of
from huoshui.exchange.backing import Cards
from huoshui.exchange.guards import Circles, Groups, guarded, raise_alert, refuse_flood
from huoshui.exchange.models import Alert, Auction, AuctionData, Order, Side, Trade
from huoshui.exchange.permissions import PUBLISH, RUN, TRADE
from huoshui.exchange.prices import Limits, check_lead, check_price, limits_of, terms_in_force
from huoshui.exchange.trading import Deal, Held
from huoshui.jobs.models import Booking
from huoshui.registry.models import Party
from huoshui.registry.queries import calendar
from huoshui.terms import ExchangeTerms

SALT_BYTES = 32


@action("exchange.auction.open")
def open_auction(
    act: Act, *, card_model: CardModel, region: Region, start_hour: int, end_hour: int, day: date, session: str,
    site: Site | None = None, billing: str = Booking.Billing.WHOLE,
) -> Auction:  # fmt: skip
    """Announce an auction of a contract in a session of a working day.

    Raises Invalid for a session that the terms do not know or that is over, a day that is no working day;
    Refused(code="too_late") when the cards would begin too soon after it.
    """
    act.require(RUN)
    publication = terms_in_force()
    terms: ExchangeTerms = publication.loaded()
    contract = contract_of(
        card_model=card_model, region=region, site=site, start_hour=start_hour, end_hour=end_hour, billing=billing,
        now_hour=clock.hour_of(act.at),
    )  # fmt: skip
    found = terms.session(session)
    if found is None:
        raise invalid("session", session, _("one of: %(all)s") % {"all": ", ".join(s.code for s in terms.sessions)})
    if not calendar().is_working_day(day):
        raise invalid("day", day, _("is not a working day"))
    opens, closes = (_local(day, hour) for hour in (found.opens_hour, found.closes_hour))
    if closes <= act.at:
        raise invalid("session", found.title, _("is over"))
    check_lead(contract, terms, closes)
    if Auction.objects.filter(contract=contract, opens_at=opens).exclude(state=Auction.State.CANCELLED).exists():
        raise Refused(_("This contract is auctioned in this session already."), code="auction_exists")
    limits = limits_of(contract, terms, act.at)
    last = Auction.objects.select_for_update().order_by("-number").first()
    made = Auction.objects.create(
        number=last.number + 1 if last else 1, contract=contract, session=session, opens_at=opens, closes_at=closes,
        reference_mfen=limits.reference, low_mfen=limits.low, high_mfen=limits.high, opened_by=act.actor.principal,
        terms_digest=publication.digest, created_at=act.at,
    )  # fmt: skip
    act.record(
        made,
        {
            "contract": contract, "opens_at": opens, "closes_at": closes, "terms": publication.digest,
            "reference_mfen": limits.reference, "low_mfen": limits.low, "high_mfen": limits.high,
        },
    )  # fmt: skip
    return made


def _local(day: date, hour: int) -> datetime:
    return clock.day_start(day) + timedelta(hours=hour)


# --- orders -----------------------------------------------------------------------------------------------------------


@guarded
@action("exchange.order.place")
def place_order(
    act: Act, *, auction: Auction, party: Party, side: str, price_mfen: int, lots: int, pool: Pool | None = None,
    resold_from: Booking | None = None,
) -> Order:  # fmt: skip
    """Place a sealed order. A buyer's money is held up to its limit; a seller's cards are set aside.

    Raises Invalid; Refused(code="auction_closed", "self_trade", "order_limit", "price_limit", "over_limit", "no_cards",
    "not_held", "recallable", "no_engine").
    """
    act.require(TRADE, party)
    auction = Auction.objects.select_for_update(of=("self",)).select_related("contract").get(pk=auction.pk)
    terms, subject = auction.terms, canonical.label(auction)
    if not auction.takes_orders:
        raise Refused(_("%(auction)s takes no orders now.") % {"auction": auction}, code="auction_closed")
    if side not in Side.values:
        raise invalid("side", side, _("one of: %(all)s") % {"all": ", ".join(Side.values)})
    if not 0 < lots <= terms.lots_per_order_max:
        raise invalid("lots", lots, _("between 1 and %(max)s") % {"max": terms.lots_per_order_max})
    mine = auction.orders.filter(party=party, state=Order.State.OPEN)
    refuse_flood(party, mine.count(), terms, subject)
    check_price(price_mfen, Limits(auction.reference_mfen, auction.low_mfen, auction.high_mfen), terms, party, subject)
    _refuse_both_sides(auction, party, side)
    salt = secrets.token_hex(SALT_BYTES)
    sealed = problems.commitment(salt, problems.row(side, price_mfen, lots))
    record = act.record(auction, {"party": party, "commitment": sealed})
    order = Order.objects.create(
        auction=auction, party=party, side=side, price_mfen=price_mfen, lots=lots, resold_from=resold_from, salt=salt,
        commitment=sealed, submitted_at=act.at, record=record,
    )  # fmt: skip
    if side == Side.BUY:
        book.hold(act, record, party, canonical.label(order), order.amount_fen())
    else:
        order.booking = _set_aside(act, record, order, pool, resold_from)
        order.save(update_fields=["booking"])
    return order


def _refuse_both_sides(auction: Auction, party: Party, side: str) -> None:
    """A group is on one side of an auction. Whom it is with is not said: orders are sealed."""
    groups = Groups()
    others = auction.orders.filter(state=Order.State.OPEN).exclude(side=side).select_related("party")
    if any(groups[order.party] == groups[party] for order in others):
        raise Refused(
            _("Your group has an order on the other side of this auction: nobody trades with itself."),
            code="self_trade", party=party.pk, subject=canonical.label(auction),
        )  # fmt: skip


def _set_aside(act: Act, record: LogRecord, order: Order, pool: Pool | None, resold_from: Booking | None) -> Booking:
    contract = order.auction.contract
    if pool is None:
        raise invalid("pool", pool, _("say which cards you sell"))
    cards = Cards(pool, resold_from)
    backing.refuse_recallable(cards)
    backing.check(order.party, cards, contract)
    return backing.set_aside(act, record, order.party, cards, contract, order.lots, order)


@action("exchange.order.withdraw")
def withdraw_order(act: Act, *, order: Order) -> Order:
    """Take a sealed order back, until the terms' minutes before the session closes."""
    act.require(TRADE, order)
    auction = Auction.objects.select_for_update().get(pk=order.auction_id)
    order = Order.objects.select_for_update(of=("self",)).select_related("party", "booking").get(pk=order.pk)
    if order.state != Order.State.OPEN or auction.state != Auction.State.OPEN:
        raise Refused(
            _("Sealed order %(number)s is %(state)s.") % {"number": order.number, "state": order.get_state_display()},
            code="order_state",
        )
    if act.at > auction.closes_at - timedelta(minutes=auction.terms.withdraw_minutes):
        raise Refused(
            _("Orders stand from %(minutes)s minutes before the close.") % {"minutes": auction.terms.withdraw_minutes},
            code="withdraw_late",
        )
    record = act.record(order, {"withdrawn": True})
    _free(act, record, [order])
    order.state = Order.State.WITHDRAWN
    order.save(update_fields=["state"])
    return order


def _free(act: Act, record: LogRecord, orders: list[Order]) -> None:
    """What orders held and did not use becomes free again."""
    for order in orders:
        backing.give_back(act, record, order.booking, order.resold_from is not None, "withdrawn")
    holds = [Hold(order.party, canonical.label(order)) for order in orders if order.side == Side.BUY]
    book.release_hold_many(act, record, holds)


# --- clearing ---------------------------------------------------------------------------------------------------------


@action("exchange.auction.start_clearing")
def start_clearing(act: Act, *, auction: Auction) -> Auction:
    """Queue the clearing of an auction whose session is over."""
    from huoshui.exchange.tasks import clear_auction

    act.require(RUN)
    auction = _locked(auction, Auction.State.OPEN, Auction.State.FROZEN)
    if act.at < auction.closes_at:
        raise Refused(_("%(auction)s still takes orders.") % {"auction": auction}, code="session_open")
    if auction.task and TaskProgress.objects.filter(task=auction.task, finished_at=None).exists():
        raise Refused(_("%(auction)s is being cleared.") % {"auction": auction}, code="clearing_under_way")
    auction.task = tasks.enqueue(clear_auction, auction, auction.pk)
    auction.cleared_by = act.actor.principal
    auction.save(update_fields=["task", "cleared_by"])
    act.record(auction, {"clearing": str(auction.task)})
    return auction


@action("exchange.auction.freeze")
def freeze(act: Act, *, auction: Auction) -> Auction:
    """Take in the orders and store them; the log commits to all (by the worker, key `auction/ID/freeze`)."""
    act.require(RUN)
    auction = _locked(auction, Auction.State.OPEN)
    if act.at < auction.closes_at:
        raise Refused(_("%(auction)s still takes orders.") % {"auction": auction}, code="session_open")
    lost = _drop_lost(auction)
    orders = _orders(auction)
    problem = problems.build(auction, orders)
    AuctionData.objects.create(auction=auction, kind="problem", content=archive.pack(problem))
    auction.digests = {
        "terms": auction.terms_digest,
        "problem": problem.digest(),
        "commitments_root": problems.root([order.commitment for order in orders]),
    }
    auction.figures = {"orders": len(orders)}
    auction.state = Auction.State.FROZEN
    auction.save(update_fields=["digests", "figures", "state"])
    record = act.record(auction, auction.digests | auction.figures | {"cards_lost": lost})
    _free(act, record, lost)
    return auction


def _drop_lost(auction: Auction) -> list[Order]:
    """Sell orders whose cards were lost since they were set aside take no part; returns them."""
    lost = [
        order
        for order in _orders(auction)
        if order.booking is not None and backing.held(order.booking, auction.contract) < order.lots
    ]
    for order in lost:
        order.state, order.outcome = Order.State.WITHDRAWN, "cards_lost"
    Order.objects.bulk_update(lost, ["state", "outcome"])
    return lost


@action("exchange.auction.record_result")
def record_result(act: Act, *, auction: Auction, content: bytes, figures: dict[str, Any]) -> Auction:
    """Store a verified result (by the worker, key `auction/ID/result`)."""
    act.require(RUN)
    auction = _locked(auction, Auction.State.FROZEN)
    result = archive.unpack(clearing.Result, content)
    AuctionData.objects.create(auction=auction, kind="result", content=content)
    auction.digests |= {"result": result.digest()}
    auction.figures |= figures
    auction.price_mfen = figures["price_mfen"]
    auction.state = Auction.State.CLEARED
    auction.save(update_fields=["digests", "figures", "price_mfen", "state"])
    act.record(auction, {"digests": auction.digests, "figures": auction.figures})
    return auction


@action("exchange.auction.publish")
def publish(act: Act, *, auction: Auction) -> Auction:
    """Publish a cleared auction: trades, bookings, commitments, and what comes back. One transaction.

    Raises Refused(code="second_person") to whoever opened or cleared it, "too_late" when the cards begin, "not_held"
    when cards of a seller were lost meanwhile: such an auction can only be cancelled.
    """
    act.require(PUBLISH)
    auction = _locked(auction, Auction.State.CLEARED)
    if act.actor.principal in (auction.opened_by, auction.cleared_by):
        raise Refused(_("Whoever opened or cleared an auction does not publish it."), code="second_person")
    if auction.contract.start_hour <= clock.hour_of(act.at):
        raise Refused(_("The hours of this contract have begun; cancel the auction."), code="too_late")
    problem, result = problems.stored(auction)
    auction.digests |= {"statement": public.statement_digest(auction, problem, result)}
    record = act.record(auction, {"digests": auction.digests, "figures": auction.figures})
    orders = _orders(auction)
    _outcomes(orders, problem, result)
    trades = trading.make(act, record, _deals(auction, orders, result), auction.terms_digest)
    rest = [order for order in orders if order.side == Side.SELL or not order.filled]
    _free(act, record, rest)
    _flag_wash_trades(act, record, auction, trades)
    auction.state, auction.published_at, auction.record = Auction.State.PUBLISHED, act.at, record
    auction.save(update_fields=["state", "published_at", "record", "digests"])
    return auction


@action("exchange.auction.cancel")
def cancel_auction(act: Act, *, auction: Auction, reason: str) -> Auction:
    """Call off an auction that is not published: everything held and set aside becomes free again."""
    act.require(RUN)
    auction = _locked(auction, Auction.State.OPEN, Auction.State.FROZEN, Auction.State.CLEARED)
    if not reason.strip():
        raise invalid("reason", reason, _("say why"))
    if auction.task:
        tasks.stop(auction.task)
    record = act.record(auction, {"cancelled": reason.strip()})
    orders = _orders(auction)
    _free(act, record, orders)
    auction.orders.filter(state=Order.State.OPEN).update(state=Order.State.WITHDRAWN, outcome="cancelled")
    auction.state = Auction.State.CANCELLED
    auction.figures |= {"reason": reason.strip()}
    auction.save(update_fields=["state", "figures"])
    return auction


def problem_bytes(auction: Auction) -> bytes:
    """The stored orders, as bytes."""
    return bytes(auction.data.get(kind="problem").content)


def _orders(auction: Auction) -> list[Order]:
    """The orders that take part, in the order in which they came, locked."""
    rows = auction.orders.select_for_update(of=("self",)).filter(state=Order.State.OPEN)
    return list(rows.select_related("party", "booking__pool", "resold_from").order_by("pk"))


def _outcomes(orders: list[Order], problem: clearing.Problem, result: clearing.Result) -> None:
    """Write what became of each order, and why."""
    for index, order in enumerate(orders):
        order.filled = int(result.filled[index])
        order.state = Order.State.DONE
        reached = result.price != clearing.NO_PRICE and (
            order.price_mfen >= result.price if order.side == Side.BUY else order.price_mfen <= result.price
        )
        if not result.admitted[index]:
            order.outcome = "own_group"
        elif order.filled:
            order.outcome = "filled" if order.filled == order.lots else "part"
        else:
            order.outcome = "queue" if reached else "price"
    Order.objects.bulk_update(orders, ["filled", "state", "outcome"], batch_size=500)


def _deals(auction: Auction, orders: list[Order], result: clearing.Result) -> list[Deal]:
    """The trades; the last one of a buyer gives up all that its order still holds."""
    contract = auction.contract
    pairs = list(zip(result.trade_buy.tolist(), result.trade_sell.tolist(), result.trade_lots.tolist(), strict=True))
    last = {buy: index for index, (buy, _sell, _lots) in enumerate(pairs)}
    left = {buy: orders[buy].amount_fen() for buy in last}
    deals = []
    for index, (buy, sell, lots) in enumerate(pairs):
        bid, ask = orders[buy], orders[sell]
        assert ask.booking is not None, "a sell order has its cards"
        gives = left[buy] if last[buy] == index else contract.amount_fen(lots, result.price)
        left[buy] -= gives
        deals.append(
            Deal(
                Trade.Way.AUCTION, canonical.label(ask), ask.party, bid.party, contract, lots, result.price,
                Cards(ask.booking.pool, ask.booking), ask.resold_from, Held(canonical.label(bid), gives), auction,
            )
        )  # fmt: skip
    return deals


def _flag_wash_trades(act: Act, record: LogRecord, auction: Auction, trades: list[Trade]) -> None:
    """Nobody chose whom to trade with, so circles are shown to the officers and not undone."""
    circles = Circles(auction.contract, auction.terms, act.at, without=auction)
    for trade in trades:
        if numbers := circles.closed_by(trade.seller, trade.buyer):
            detail = {"trades": [trade.number, *numbers]}
            for party in (trade.seller, trade.buyer):
                raise_alert(act, record, Alert.Code.WASH_TRADE, party, canonical.label(auction), detail, refused=False)


def _locked(auction: Auction, *states: str) -> Auction:
    """The auction, locked, in one of the states; Refused otherwise."""
    found = Auction.objects.select_for_update(of=("self",)).select_related("contract").get(pk=auction.pk)
    if found.state not in states:
        raise Refused(
            _("%(auction)s: %(state)s.") % {"auction": found, "state": found.get_state_display()},
            code="auction_state", state=found.state,
        )  # fmt: skip
    return found
