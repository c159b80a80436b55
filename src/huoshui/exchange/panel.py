"""What the exchange adds to the page of an entity, and what waits for whom (to-dos)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db.models import Sum
from django.urls import reverse
from django.utils.translation import gettext as _

from huoshui.base import access, clock
from huoshui.base.access import Actor
from huoshui.cases.todo import Todo
from huoshui.exchange.models import Auction, Enquiry, Listing, Offer, Order, Trade
from huoshui.exchange.permissions import PUBLISH, TRADE
from huoshui.jobs import sources
from huoshui.jobs.models import Booking
from huoshui.registry.models import Party

LATEST_SHOWN = 5
ROWS_MAX = 20
DECIDE_HOURS = 24


def context(actor: Actor, party: Party) -> dict[str, Any] | None:
    """The party's part in the exchange; None when it has none."""
    listings = Listing.objects.filter(party=party)
    enquiries = Enquiry.objects.filter(party=party)
    trades = Trade.objects.filter(Trade.scope_filter({f"party:{party.pk}"}))
    if not listings.exists() and not enquiries.exists() and not trades.exists():
        return None
    return {
        "listings": listings.filter(state=Listing.State.OPEN).count(),
        "enquiries": enquiries.filter(state=Enquiry.State.OPEN).count(),
        "bought_fen": _amount(trades.filter(buyer=party)), "sold_fen": _amount(trades.filter(seller=party)),
        "latest": trades.select_related("contract__card_model", "contract__site", "contract__region")
        .order_by("-id")[:LATEST_SHOWN],
    }  # fmt: skip


def _amount(trades: Any) -> int:
    return trades.aggregate(total=Sum("amount_fen"))["total"] or 0


def auctions_to_publish(actor: Actor) -> Iterator[Todo]:
    """Cleared auctions that wait for an officer who neither opened nor cleared them."""
    if not actor.can(PUBLISH):
        return
    rows = Auction.objects.filter(state=Auction.State.CLEARED).exclude(opened_by=actor.principal)
    for row in rows.exclude(cleared_by=actor.principal).select_related("contract").order_by("number")[:ROWS_MAX]:
        title = _("%(auction)s is cleared and waits to be published") % {"auction": row}
        due = clock.local(row.contract.starts_at).date()
        yield Todo(title, reverse("exchange:auction", args=[row.number]), due, 5, "exchange.auction")


def enquiries_to_decide(actor: Actor) -> Iterator[Todo]:
    """Enquiries of one's own whose offers are opened."""
    if not actor.can(TRADE):
        return
    opened = Enquiry.objects.filter(state=Enquiry.State.OPEN, ranked_at__isnull=False)
    for row in access.visible(opened, actor, TRADE).order_by("start_hour")[:ROWS_MAX]:
        due = clock.local(clock.instant_of(row.start_hour) - timedelta(hours=DECIDE_HOURS)).date()
        title = _("The offers to %(number)s are opened: award one") % {"number": row.number}
        yield Todo(title, reverse("exchange:enquiry", args=[row.pk]), due, 4, "exchange.enquiry")


def _of_trade(booking: Booking) -> tuple[str, str]:
    trade = Trade.objects.get(pk=sources.key_of(booking))
    return _("Exchange, trade %(number)s") % {"number": trade.number}, reverse("exchange:trade", args=[trade.pk])


def _of_listing(booking: Booking) -> tuple[str, str]:
    row = Listing.objects.get(pk=sources.key_of(booking))
    return _("Set aside for listing %(number)s") % {"number": row.number}, reverse("exchange:listing", args=[row.pk])


def _of_order(booking: Booking) -> tuple[str, str]:
    row = Order.objects.select_related("auction").get(pk=sources.key_of(booking))
    address = reverse("exchange:auction", args=[row.auction.number])
    return _("Set aside for order %(number)s") % {"number": row.number}, address


def _of_offer(booking: Booking) -> tuple[str, str]:
    row = Offer.objects.get(pk=sources.key_of(booking))
    address = reverse("exchange:enquiry", args=[row.enquiry_id])
    return _("Set aside for offer %(number)s") % {"number": row.number}, address


SOURCES: dict[str, sources.Tell] = {
    "exchange.trade": _of_trade, "exchange.listing": _of_listing, "exchange.order": _of_order,
    "exchange.offer": _of_offer,
}  # fmt: skip
"""How to tell what a booking of the exchange came from."""
