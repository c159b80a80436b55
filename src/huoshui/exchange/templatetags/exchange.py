"""Filters of the exchange: states, codes and points in words."""

from __future__ import annotations

from typing import Any

from django import template

from huoshui.exchange import words
from huoshui.exchange.models import Alert, Auction, Enquiry, Listing, Offer, Order, Trade

register = template.Library()
LEVELS: dict[str, str] = {
    Listing.State.OPEN: "info", Listing.State.FILLED: "good", Listing.State.WITHDRAWN: "none",
    Listing.State.EXPIRED: "none", Auction.State.FROZEN: "watch", Auction.State.CLEARED: "watch",
    Auction.State.PUBLISHED: "good", Auction.State.CANCELLED: "none", Order.State.DONE: "good",
    Enquiry.State.AWARDED: "good", Enquiry.State.ENDED: "none", Offer.State.SEALED: "info",
    Offer.State.UNSUCCESSFUL: "none", Trade.State.BILLED: "good", Trade.State.VOID: "none",
}  # fmt: skip


@register.filter
def level(row: Any) -> str:
    """Level of the state of anything that is traded."""
    return LEVELS.get(row.state, "info")


@register.filter
def outcome(order: Order) -> str:
    """Why an order got what it got."""
    return words.outcome(order)


@register.filter
def alert(row: Alert) -> str:
    """What an alert is about."""
    return words.alert(row)


@register.filter
def criterion(code: str) -> str:
    """Name of a criterion."""
    return words.criterion(code)


@register.filter
def formula(code: str) -> str:
    """How a criterion gives points."""
    return str(words.FORMULAS.get(code, ""))


@register.filter
def taken_back(reason: str) -> str:
    """Why cards were taken back."""
    return str(words.TAKEN_BACK.get(reason, reason))


@register.filter
def percent(bps: int | None) -> str:
    """Points or a weight: 8,750 of 10,000 → 87.5."""
    return "—" if bps is None else f"{bps / 100:g}"


@register.filter
def get(mapping: dict[str, Any] | None, key: str) -> Any:
    """A value of a mapping; None when it is not there."""
    return (mapping or {}).get(key)
