"""Reads that more than one face needs. What is sealed is shown to its own party only, whatever else one may see.

`sealed_to` asks for a permission to trade for a *named* party: what an officer, an auditor or anybody else holds
everywhere opens nothing.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from django.db.models import Count, Q, QuerySet, Sum
from django.utils.translation import gettext as _

from huoshui.base import access, canonical, clock
from huoshui.base.access import Actor
from huoshui.base.errors import Missing
from huoshui.base.models import LogRecord
from huoshui.compute.models import Pool
from huoshui.exchange import backing
from huoshui.exchange.actions.trades import RECALL
from huoshui.exchange.models import Alert, Auction, Contract, Enquiry, Listing, Offer, Order, Trade
from huoshui.exchange.permissions import MONITOR, READ, RUN, TRADE
from huoshui.jobs import services
from huoshui.jobs.models import Booking
from huoshui.registry.models import Party
from huoshui.registry.queries import parties_of

CONTRACT = ("contract__card_model", "contract__region", "contract__site")
RECENT_TRADES = 20


def parties(actor: Actor) -> QuerySet[Party]:
    """The parties for which the actor trades."""
    return parties_of(actor, TRADE).order_by("name", "id")


def sealed_to(rows: Any, actor: Actor) -> Any:
    """The rows of parties for which the actor trades by name."""
    named = {scope for scope in actor.scopes(TRADE) if scope.startswith("party:")}
    if actor.limited_to:
        named &= {actor.limited_to}
    return rows.filter(rows.model.scope_filter(named)) if named else rows.none()


def _own(actor: Actor, rows: Any) -> Any:
    return access.visible(rows, actor, TRADE)


# --- listings ---------------------------------------------------------------------------------------------------------


def open_listings(actor: Actor) -> QuerySet[Listing]:
    """What is on offer now: the best price of each side first."""
    actor.require(READ)
    rows = Listing.objects.filter(state=Listing.State.OPEN, expires_at__gt=clock.now())
    return rows.select_related("party", *CONTRACT, "booking").order_by("price_mfen", "id")


def listing(actor: Actor, pk: int) -> Listing:
    """One listing: an open one for everybody, a closed one for its party, for who took it up and for who watches.
    Raises Missing."""
    actor.require(READ)
    rows = Listing.objects.select_related("party", *CONTRACT, "booking__pool__site", "resold_from")
    found = rows.filter(pk=pk).first()
    if found is None or not (
        found.state == Listing.State.OPEN or actor.can(TRADE, found) or actor.can(MONITOR)
        or trades(actor).filter(source=canonical.label(found)).exists()
    ):  # fmt: skip
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


def own_listings(actor: Actor) -> QuerySet[Listing]:
    """The listings of the actor's parties, newest first."""
    return _own(actor, Listing.objects.select_related("party", *CONTRACT)).order_by("-id")


# --- auctions ---------------------------------------------------------------------------------------------------------


def auctions(actor: Actor) -> QuerySet[Auction]:
    """All auctions, newest first; cancelled ones for who runs them."""
    actor.require(READ)
    rows = Auction.objects.select_related(*CONTRACT).order_by("-number")
    return rows if actor.can(RUN) else rows.exclude(state=Auction.State.CANCELLED)


def auction(actor: Actor, number: int) -> Auction:
    """One auction. Raises Missing."""
    found = auctions(actor).filter(number=number).first()
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


def published_auction(number: int) -> Auction:
    """A published auction, for anyone. Raises Missing."""
    rows = Auction.objects.select_related(*CONTRACT, "record").filter(number=number, state=Auction.State.PUBLISHED)
    if (found := rows.first()) is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


def orders(actor: Actor, auction: Auction) -> QuerySet[Order]:
    """The orders of an auction that the actor may see: sealed ones of its own parties only; once published, also all
    for who watches."""
    rows = auction.orders.select_related("party", "booking").order_by("pk")
    if auction.state != Auction.State.PUBLISHED or not actor.can(MONITOR):
        return sealed_to(rows, actor)
    return rows


def own_orders(actor: Actor) -> QuerySet[Order]:
    """Orders of the actor's parties, newest first."""
    rows = Order.objects.select_related(
        "party", "auction__contract__card_model", "auction__contract__region", "auction__contract__site"
    )
    return sealed_to(rows, actor).order_by("-id")


def order(actor: Actor, pk: int) -> Order:
    """One order of the actor's own. Raises Missing."""
    found = own_orders(actor).filter(pk=pk).first()
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


# --- enquiries --------------------------------------------------------------------------------------------------------


def enquiries(actor: Actor) -> QuerySet[Enquiry]:
    """Needs posted, newest first, with `offered`: how many offers were opened."""
    actor.require(READ)
    opened = Count("offers", filter=Q(offers__rank__isnull=False))
    rows = Enquiry.objects.select_related("party", "award").prefetch_related("card_models", "regions")
    return rows.annotate(offered=opened).order_by("-id")


def enquiry(actor: Actor, pk: int) -> Enquiry:
    """One enquiry. Raises Missing."""
    found = enquiries(actor).filter(pk=pk).first()
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


def offers(actor: Actor, enquiry: Enquiry) -> QuerySet[Offer]:
    """Offers that the actor may see. Until they are opened: its own. Then the buyer and who watches see all, in order
    of rank; every seller its own."""
    rows = enquiry.offers.exclude(state=Offer.State.WITHDRAWN).select_related(
        "party", "pool__card_model", "pool__site__region", "enquiry"
    )
    if enquiry.ranked_at is None or not (actor.can(TRADE, enquiry) or actor.can(MONITOR)):
        return sealed_to(rows, actor).order_by("rank", "pk")
    return rows.order_by("rank", "pk")


def own_offers(actor: Actor) -> QuerySet[Offer]:
    """Offers of the actor's parties, newest first."""
    rows = Offer.objects.select_related("enquiry", "pool__card_model", "pool__site")
    return sealed_to(rows, actor).order_by("-id")


def offer(actor: Actor, pk: int) -> Offer:
    """One offer that the actor may see. Raises Missing."""
    row = Offer.objects.select_related("enquiry__party").filter(pk=pk).first()
    found = offers(actor, row.enquiry).filter(pk=pk).first() if row else None
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


# --- trades -----------------------------------------------------------------------------------------------------------


def trades(actor: Actor) -> QuerySet[Trade]:
    """Trades of the actor's parties and of cards at their sites, newest first; all for who watches."""
    joined = ("seller", "buyer", *CONTRACT, "booking__pool__site__operator", "statement", "auction")
    rows = Trade.objects.select_related(*joined).order_by("-id")
    return rows if actor.can(MONITOR) else access.visible(rows, actor, TRADE)


def trade(actor: Actor, pk: int) -> Trade:
    """One trade. Raises Missing."""
    found = trades(actor).filter(pk=pk).first()
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


def may_recall(actor: Actor, trade: Trade) -> bool:
    """Whether the actor runs the site of a trade's cards, and they can still be taken back."""
    booking = trade.booking
    if booking is None or booking.state not in services.LIVE or not actor.can(TRADE, booking.pool.site.operator):
        return False
    return booking.end_hour > clock.hour_of(clock.now())


def aside(actor: Actor) -> QuerySet[Booking]:
    """Hours at the actor's sites that their holders set aside to resell and nobody bought, and that can still be taken
    back. What is asked for them is not said."""
    rows = backing.resold_aside().filter(
        state__in=services.LIVE, stretches__end_hour__gt=clock.hour_of(clock.now()),
        pool__site__operator__in=parties(actor),
    )  # fmt: skip
    return rows.select_related("pool__site", "pool__card_model").distinct().order_by("start_hour", "id")


def one_aside(actor: Actor, pk: int) -> Booking:
    """One of them. Raises Missing."""
    found = aside(actor).filter(pk=pk).first()
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


def taken_back(trade: Trade) -> list[dict[str, Any]]:
    """What was taken back of a trade, oldest first: `from` (hour), `cards`, `reason`, `card_hours`."""
    records = LogRecord.objects.filter(subject=canonical.label(trade), action=RECALL).order_by("id")
    return [json.loads(record.payload) for record in records]


def last_prices() -> "QuerySet[Trade]":
    """The newest trades of cards, without their sides: the public tape."""
    rows = Trade.objects.filter(contract__isnull=False).select_related(*CONTRACT)
    return rows.order_by("-made_at", "-id")[:RECENT_TRADES]


def alerts(actor: Actor) -> QuerySet[Alert]:
    """What the rules against abuse refused or flagged: all for who watches, their own for others."""
    rows = Alert.objects.select_related("party", "record").order_by("-id")
    return rows if actor.can(MONITOR) else access.visible(rows, actor, TRADE)


def alert_counts() -> dict[str, int]:
    """How many alerts there are by rule, every rule present."""
    counts = dict(Alert.objects.values_list("code").annotate(count=Count("pk")).order_by())
    return {str(code.label): counts.get(code.value, 0) for code in Alert.Code}


# --- what one can sell ------------------------------------------------------------------------------------------------


def own_pools(actor: Actor) -> QuerySet[Pool]:
    """Pools of the sites of the actor's parties."""
    rows = Pool.objects.select_related("site__region", "site__operator", "card_model")
    return rows.filter(site__operator__in=parties(actor)).order_by("site__name", "card_model__name")


def resellable(actor: Actor) -> QuerySet[Booking]:
    """Bookings of the actor's parties whose hours may be resold: sold as a whole, not out of the bank, not on offer
    already, still ahead."""
    rows = Booking.objects.filter(
        party__in=parties(actor), billing=Booking.Billing.WHOLE, from_deposits=False, state__in=services.LIVE,
        end_hour__gt=clock.hour_of(clock.now()) + 1, stretches__isnull=False,
    ).exclude(pk__in=backing.on_offer()).distinct()  # fmt: skip
    return rows.select_related("party", "pool__site", "pool__card_model").order_by("start_hour", "id")


def cards_for(actor: Actor, contract: Contract) -> tuple[Sequence[Pool], Sequence[Booking]]:
    """What the actor could sell to a bid for a contract: pools with free cards, and bookings that cover it and that
    nobody can recall."""
    pools = [pool for pool in own_pools(actor) if contract.fits(pool)]
    free = services.free_cards(pools, contract.start_hour, contract.end_hour).min(axis=1) if pools else np.zeros(0)
    bookings = [
        booking for booking in resellable(actor)
        if contract.fits(booking.pool) and booking.recall_notice_hours is None
        and services.booked_cards(booking, contract.start_hour, contract.end_hour).min() > 0
    ]  # fmt: skip
    return [pool for pool, cards in zip(pools, free, strict=True) if cards > 0], bookings


def spread_bps() -> int | None:
    """Mean, over models, regions and windows with both sides listed, of (lowest sell − highest buy) over their mean,
    basis points."""
    best: dict[Any, dict[str, int]] = {}
    rows = Listing.objects.filter(state=Listing.State.OPEN, expires_at__gt=clock.now(), contract__isnull=False)
    meant = ("contract__card_model", "contract__region", "contract__start_hour", "contract__end_hour")
    for *what, side, price in rows.values_list(*meant, "side", "price_mfen"):
        sides = best.setdefault(tuple(what), {})
        better = min if side == "sell" else max
        sides[side] = better(sides.get(side, price), price)
    spreads = [
        (sides["sell"] - sides["buy"]) * 20_000 // (sides["sell"] + sides["buy"])
        for sides in best.values() if len(sides) == 2
    ]  # fmt: skip
    return sum(spreads) // len(spreads) if spreads else None


def turnover(first_hour: int) -> dict[str, int]:
    """Trades since an hour: how many, and their amount in fen."""
    rows = Trade.objects.filter(made_at__gte=clock.instant_of(first_hour))
    sums = rows.aggregate(count=Count("pk"), amount=Sum("amount_fen"))
    return {"count": sums["count"], "amount_fen": sums["amount"] or 0}
