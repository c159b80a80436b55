"""What an agent may ask of the supermarket: search, orders; and an order as a draft."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l
from pydantic import Field

from huoshui.base import clock, tools
from huoshui.base.access import Actor, get_visible
from huoshui.base.act import rehearse
from huoshui.base.tools import Arguments, DraftArguments, DraftTool, Plain, Prepared, Tool
from huoshui.market import queries, shelf
from huoshui.market.actions import orders as actions
from huoshui.market.models import Order, Product
from huoshui.market.permissions import ORDER, READ
from huoshui.registry.models import Party


class SearchArguments(Arguments):
    """What is looked for; what is left out does not matter. Prices are fen per card-hour."""

    text: str = Field("", max_length=80, description="Words of the title, card model, site or operator.")
    memory_gib: int | None = Field(None, ge=1, le=10_000, description="Memory of a card, at least.")
    tflops: int | None = Field(None, ge=1, le=100_000, description="FP16 throughput of a card, at least.")
    price_to_fen: int | None = Field(None, ge=1, le=10**9)
    cards: int | None = Field(None, ge=1, le=100_000, description="Cards of one pool, in whole units of the product.")
    start: datetime | None = Field(
        None, description="The cards must be free from this whole hour on, ISO 8601; without an offset Asia/Shanghai."
    )
    hours: int | None = Field(None, ge=1, le=10_000, description="For so many hours; products are sold for that term.")
    billing: Literal["hourly", "monthly", "reserved", "spot"] | None = None
    region: str = Field("", max_length=30, description="The region by its code.")
    domestic: bool | None = None
    sort: Literal["price", "pflops", "memory", "rating", "newest"] = "price"
    limit: int = Field(10, ge=1, le=tools.LIST_LENGTH_MAX)


def search(_actor: Actor, told: SearchArguments) -> Plain:
    """Products on sale that fit, the cheapest first."""
    domestic = "" if told.domestic is None else str(told.domestic).lower()
    chosen = {"billing": told.billing, "region": told.region, "domestic": domestic}
    wanted = shelf.Wanted(
        text=told.text, facets={name: [value] for name, value in chosen.items() if value}, memory_gib=told.memory_gib,
        tflops=told.tflops, price_to_fen=told.price_to_fen, cards=told.cards, hours=told.hours, sort=told.sort,
        start_hour=tools.whole_hour("start", told.start) if told.start else None, rows=told.limit,
    )  # fmt: skip
    products, found = queries.search(wanted)
    return {"total": found.total, "products": [_product(row) for row in products]}


def _product(row: Product) -> Plain:
    model, site = row.pool.card_model, row.pool.site
    return {
        "id": row.pk, "title": row.title, "operator": site.operator.name, "site": site.name,
        "region": site.region.code, "card_model": model.code, "memory_gib": model.memory_gib,
        "fp16_tflops": model.fp16_tflops, "domestic": model.domestic, "kind": row.kind, "billing": row.billing,
        "cards_per_unit": row.cards_per_unit, "hours_min": row.hours_min, "hours_max": row.hours_max,
        "unit_hours": row.unit_hours, "price_fen": row.price_fen, "sla_bps": row.sla_bps,
        "recall_notice_hours": row.recall_notice_hours,
    }  # fmt: skip


def recent(actor: Actor, limit: int) -> Iterable[Plain]:
    """The newest orders that the actor may see."""
    return [
        {
            "id": row.pk, "number": row.number, "product": row.product.title, "purpose": row.purpose,
            "state": row.state, "cards": row.cards, "start": clock.instant_of(row.start_hour),
            "end": clock.instant_of(row.end_hour), "pays_at_most_fen": row.total_fen,
            "booking": row.booking_id,
        } for row in queries.orders(actor)[:limit]
    ]  # fmt: skip


class OrderArguments(DraftArguments):
    """An order of one product."""

    buyer: int = Field(ge=1, le=10**18, description="The entity that buys, by its id (tool list_entities).")
    product: int = Field(ge=1, le=10**18, description="The product by its id (tool search_products).")
    units: int = Field(ge=1, le=1_000)
    start: datetime = Field(description="First whole hour, ISO 8601; without an offset it is Asia/Shanghai.")
    hours: int = Field(ge=1, le=10_000)
    purpose: str = Field(min_length=1, max_length=120)
    contract: str = Field("", max_length=100)
    cap_fen: int | None = Field(
        None, ge=1, le=actions.AMOUNT_FEN_MAX,
        description="The most at the product's price, before the concession; only of what is billed by use.",
    )  # fmt: skip


def _named(actor: Actor, told: OrderArguments) -> dict[str, Any]:
    """The arguments of the action. Raises Invalid, Missing."""
    return {
        "buyer": get_visible(Party.objects.all(), actor, ORDER, pk=told.buyer),
        "product": queries.product(actor, told.product), "units": told.units, "hours": told.hours,
        "start_hour": tools.whole_hour("start", told.start), "purpose": told.purpose, "contract": told.contract,
        "cap_fen": told.cap_fen,
    }  # fmt: skip


def prepare(actor: Actor, told: OrderArguments) -> Prepared:
    """What the order would be and cost. Raises what placing it now would raise."""
    named = _named(actor, told)
    order: Order = rehearse(lambda: actions.place_order(actor, **named))
    product: Product = named["product"]
    capped = [(_("spending cap (yuan)"), tools.yuan(order.cap_fen))] if told.cap_fen else []
    return Prepared(named["buyer"], order.total_fen, [
        (_("Order for"), named["buyer"].name), (_("product"), product.title),
        (_("operator"), product.operator.name), (_("what it is for"), order.purpose),
        (_("units"), str(told.units)), (_("cards"), str(order.cards)),
        (_("hours"), f"{tools.hour_words(order.start_hour)} – {tools.hour_words(order.end_hour)}"),
        *capped, (_("pays at most (yuan)"), tools.yuan(order.total_fen)),
    ])  # fmt: skip


def place(actor: Actor, key: str, told: OrderArguments) -> Order:
    """The action itself, when a person has confirmed."""
    made: Order = actions.place_order(actor, key=key, **_named(actor, told))
    return made


def register() -> None:
    """Offer the tools (from `AppConfig.ready`)."""
    tools.register(Tool(
        "search_products", _l("Search products"),
        _l("Products of the compute supermarket that fit, with price (fen), terms and who sells them."),
        READ, SearchArguments, search,
    ))  # fmt: skip
    tools.register_draft(DraftTool(
        "draft_order", _l("Draft an order"),
        _l("Prepare an order of a product. A person must confirm it; its price is then held."),
        "market.order.place", OrderArguments, prepare, place,
    ))  # fmt: skip
    tools.on_status("orders", recent)
