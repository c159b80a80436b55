"""Filters of the supermarket: levels of states, what an act did."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.translation import gettext as _

from huoshui.base import clock, export
from huoshui.base.models import LogRecord
from huoshui.market import book_words
from huoshui.market.models import Order, Product

register = template.Library()
LEVELS: dict[str, str] = {
    Order.State.PLACED: "watch", Order.State.CONFIRMED: "info", Order.State.SETTLED: "good",
    Order.State.REFUSED: "bad", Order.State.LAPSED: "none", Order.State.CANCELLED: "none",
    Product.State.DRAFT: "none", Product.State.SUBMITTED: "watch", Product.State.LISTED: "good",
    Product.State.PAUSED: "none", Product.State.ENDED: "none",
}  # fmt: skip


@register.filter
def level(state: str) -> str:
    """Level of the state of an order or a product."""
    return LEVELS.get(state, "none")


@register.filter
def did_what(record: LogRecord) -> str:
    """What a record of the log did to an order."""
    return book_words.act(record.action)


@register.filter
def price_unit(thing: Any) -> str:
    """The unit of a product's or an order's price."""
    return _("yuan per card and month") if thing.unit_hours > 1 else _("yuan per card-hour")


@register.filter
def rated(product: Product) -> str:
    """Measured delivery in a few words."""
    record = getattr(product.pool, "delivery_record", None)
    if record is None or record.delivered_bps is None:
        return _("not measured yet")
    return _("%(share)s delivered, %(orders)s orders") % {
        "share": f"{record.delivered_bps / 100:g}%", "orders": record.orders,
    }  # fmt: skip


@register.filter
def left(fen: int, taken_fen: int) -> int:
    """What is left of an amount."""
    return fen - taken_fen


@register.filter
def yuan_value(fen: int) -> str:
    """An amount as a form field sends it."""
    return str(export.yuan(fen))


@register.filter
def hour_value(hour: int) -> str:
    """An hour as a form field sends it."""
    return clock.local(clock.instant_of(hour)).strftime("%Y-%m-%dT%H:%M")
