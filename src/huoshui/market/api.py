"""REST operations of the supermarket, under /api/market/. Searching and looking need no token. Money in fen, prices in
fen per card and `unit_hours` (an hour, or a month of 720), hours as whole hours since the Unix epoch (UTC)."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja import Field, Query, Router, Schema

from huoshui.base import access, clock
from huoshui.base.apikit import Cut, Id, Page, Paging, actor, cut, key
from huoshui.base.errors import invalid
from huoshui.compute.api import hour_of
from huoshui.compute.models import Pool
from huoshui.jobs.services import free_cards
from huoshui.market import queries, shelf
from huoshui.market.actions import orders, products
from huoshui.market.actions.products import ProductDraft
from huoshui.market.models import Order, Product
from huoshui.market.permissions import SELL
from huoshui.market.prices import Tier

router = Router(tags=["market"])
Fen = int
FIRST_MAX = 10_000_000
Values = Annotated[list[str], Field(max_length=50)]


class TierIn(Schema):
    """A lower price from so many cards and hours on."""

    cards_from: int = Field(ge=1, le=products.CARDS_PER_UNIT_MAX)
    hours_from: int = Field(ge=1, le=products.HOURS_MAX)
    price_fen: int = Field(ge=1, le=products.PRICE_FEN_MAX)


class RatingOut(Schema):
    """Measured, of settled orders; null: nothing measured."""

    orders: int
    delivered_bps: int | None
    failed_bps: int | None
    answer_minutes: int | None


class ProductOut(Schema):
    id: int
    code: str
    title: str
    state: str
    kind: str
    billing: str
    operator: str
    site: str
    region: str
    division: str
    card_model: str
    domestic: bool
    card_memory_gib: int
    card_fp16_tflops: int
    cards_per_unit: int
    cpu_cores: int | None
    ram_gib: int | None
    disk_gib: int | None
    disk_mb_s: int | None
    storage_gib: int | None
    network_mbit_s: int | None
    interconnect: str
    interconnect_gbit_s: int | None
    driver: str
    frameworks: str
    images: str
    label: str
    hours_min: int
    hours_max: int
    price_fen: Fen
    unit_hours: int
    tiers: list[TierIn]
    vat_bps: int
    sla_bps: int | None
    sla_compensation_bps: int
    recall_notice_hours: int | None
    auto_accept: bool
    about: str
    conditions: str
    rating: RatingOut | None

    @staticmethod
    def of(row: Product) -> dict[str, Any]:
        """A product as it is told."""
        site, card = row.pool.site, row.pool.card_model
        told = {name: getattr(row, name) for name in ProductOut.model_fields if hasattr(row, name)}
        return told | {
            "operator": site.operator.name, "site": site.code, "region": site.region.code, "division": site.division,
            "card_model": card.code, "domestic": card.domestic, "card_memory_gib": card.memory_gib,
            "card_fp16_tflops": card.fp16_tflops, "tiers": [asdict(tier.tier) for tier in row.tiers.all()],
            "rating": queries.rating(row),
        }  # fmt: skip


class Found(Schema):
    """A page of the catalogue; `facets` counts what fits by value, each facet as if only it were chosen anew."""

    total: int
    facets: dict[str, dict[str, int]]
    items: list[ProductOut]


class SearchIn(Schema):
    """Every condition may be left out. `start` and `hours`: `cards` must be free throughout."""

    text: str = Field("", max_length=100)
    kind: Values = Field(default_factory=list)
    billing: Values = Field(default_factory=list)
    model: Values = Field(default_factory=list)
    region: Values = Field(default_factory=list)
    domestic: Values = Field(default_factory=list)
    division: str = Field("", max_length=6)
    memory_gib: int | None = Field(None, ge=1, le=100_000)
    tflops: int | None = Field(None, ge=1, le=1_000_000)
    price_from_fen: int | None = Field(None, ge=0, le=products.PRICE_FEN_MAX)
    price_to_fen: int | None = Field(None, ge=0, le=products.PRICE_FEN_MAX)
    sla_bps: int | None = Field(None, ge=1, le=10_000)
    delivered_bps: int | None = Field(None, ge=1, le=10_000)
    cards: int | None = Field(None, ge=1, le=1_000_000)
    start: datetime | None = None
    hours: int | None = Field(None, ge=1, le=products.HOURS_MAX)
    sort: Literal["price", "pflops", "memory", "rating", "newest"] = "price"
    first: int = Field(0, ge=0, le=FIRST_MAX)
    limit: int = Field(shelf.PAGE_ROWS, ge=1, le=100)


class DraftIn(Schema):
    """See the table of fields in the documentation."""

    code: str = Field(min_length=1, max_length=40)
    title: str = Field(min_length=1, max_length=80)
    kind: Literal["cards", "node", "cluster"]
    billing: Literal["hourly", "monthly", "reserved", "spot"]
    price_fen: int = Field(ge=1, le=products.PRICE_FEN_MAX)
    cards_per_unit: int = Field(1, ge=1, le=products.CARDS_PER_UNIT_MAX)
    cpu_cores: int | None = None
    ram_gib: int | None = None
    disk_gib: int | None = None
    disk_mb_s: int | None = None
    storage_gib: int | None = None
    network_mbit_s: int | None = None
    interconnect: Literal["none", "pcie", "nvlink", "hccs", "mlu-link", "roce", "infiniband"] = "none"
    interconnect_gbit_s: int | None = None
    driver: str = Field("", max_length=60)
    frameworks: str = Field("", max_length=200)
    images: str = Field("", max_length=300)
    label: str = Field("", max_length=60)
    hours_min: int = 1
    hours_max: int = 720
    vat_bps: int = 600
    sla_bps: int | None = None
    sla_compensation_bps: int = 0
    recall_notice_hours: int | None = None
    auto_accept: bool = False
    about: str = Field("", max_length=500)
    conditions: str = Field("", max_length=500)
    tiers: list[TierIn] = Field(default_factory=list, max_length=products.TIERS_MAX)

    def draft(self) -> ProductDraft:
        return ProductDraft(**self.model_dump(exclude={"tiers", "pool"}))

    def lower(self) -> list[Tier]:
        return [Tier(**tier.model_dump()) for tier in self.tiers]


class NewProductIn(DraftIn):
    pool: Id


class PriceIn(Schema):
    price_fen: int = Field(ge=1, le=products.PRICE_FEN_MAX)
    tiers: list[TierIn] = Field(default_factory=list, max_length=products.TIERS_MAX)
    auto_accept: bool = False


class TermIn(Schema):
    """Units from an instant on the hour, for whole hours."""

    units: int = Field(ge=1, le=orders.UNITS_MAX)
    start: datetime
    hours: int = Field(ge=1, le=products.HOURS_MAX)


class QuoteIn(TermIn):
    """`cap_fen`: the most at the product's price, only of what is billed by use."""

    cap_fen: int | None = Field(None, ge=1, le=orders.AMOUNT_FEN_MAX)


class QuoteOut(Schema):
    """`problems` says why it cannot be ordered as asked; then nothing else is said."""

    cards: int | None = None
    price_fen: Fen | None = None
    gross_fen: Fen | None = None
    total_fen: Fen | None = None
    free_cards: int | None = None
    problems: list[dict[str, Any]] = []


class OrderIn(TermIn):
    """`expected_fen`: what you were shown; another price is refused. `cap_fen`: the most, at the product's price."""

    buyer: Id
    product: Id
    purpose: str = Field(min_length=1, max_length=120)
    contract: str = Field("", max_length=100)
    cap_fen: int | None = Field(None, ge=1, le=orders.AMOUNT_FEN_MAX)
    expected_fen: int | None = Field(None, ge=0, le=orders.AMOUNT_FEN_MAX)


class OrderOut(Schema):
    id: int
    number: str
    buyer: int = Field(alias="buyer_id")
    product: int = Field(alias="product_id")
    state: str
    purpose: str
    contract: str
    units: int
    cards: int
    start_hour: int
    end_hour: int
    billing: str
    price_fen: Fen
    unit_hours: int
    cap_fen: Fen
    total_fen: Fen
    booking: int | None = Field(alias="booking_id")
    follows: int | None = Field(alias="follows_id")
    note: str
    placed_at: datetime
    answer_until: datetime


class NoteIn(Schema):
    note: str = Field(min_length=1, max_length=200)


class RecallIn(Schema):
    from_: datetime = Field(alias="from")
    cards: int = Field(ge=1, le=products.CARDS_PER_UNIT_MAX)
    reason: Literal["recall", "failure"]


class ExtendIn(Schema):
    hours: int = Field(ge=1, le=products.HOURS_MAX)
    expected_fen: int | None = Field(None, ge=0, le=orders.AMOUNT_FEN_MAX)


# --- what everybody may ask -------------------------------------------------------------------------------------------


@router.get("/products", response=Found, auth=None)
def search(request: HttpRequest, wanted: Query[SearchIn]) -> dict[str, Any]:
    """Products on sale."""
    facets = {name: getattr(wanted, name) for name in ("kind", "billing", "model", "region", "domestic")}
    items, found = queries.search(
        shelf.Wanted(
            text=wanted.text, facets={name: values for name, values in facets.items() if values},
            division=wanted.division, memory_gib=wanted.memory_gib, tflops=wanted.tflops,
            price_from_fen=wanted.price_from_fen, price_to_fen=wanted.price_to_fen, sla_bps=wanted.sla_bps,
            delivered_bps=wanted.delivered_bps, cards=wanted.cards, hours=wanted.hours, sort=wanted.sort,
            start_hour=hour_of("start", wanted.start) if wanted.start else None, first=wanted.first, rows=wanted.limit,
        )
    )  # fmt: skip
    return {"total": found.total, "facets": found.facets, "items": [ProductOut.of(row) for row in items]}


@router.get("/products/{pk}", response=ProductOut, auth=None)
def one_product(request: HttpRequest, pk: Id) -> dict[str, Any]:
    """One product."""
    return ProductOut.of(queries.product(actor(request), pk))


@router.get("/products/{pk}/quote", response=QuoteOut, auth=None)
def quote(request: HttpRequest, pk: Id, term: Query[QuoteIn]) -> dict[str, Any]:
    """What units of a product over hours would cost at most, and how many cards are free throughout."""
    product, start = queries.product(actor(request), pk), hour_of("start", term.start)
    if found := orders.faults_of(product, term.units, start, term.hours, clock.hour_of(clock.now()), term.cap_fen):
        return {"problems": [vars(problem) for problem in found]}
    told = orders.quoted(product, term.units, term.hours, term.cap_fen)
    free = int(free_cards([product.pool], start, start + term.hours).min())
    return {
        "cards": told.cards, "price_fen": told.price_fen, "gross_fen": told.gross_fen, "total_fen": told.total_fen,
        "free_cards": free,
    }  # fmt: skip


# --- products ---------------------------------------------------------------------------------------------------------


def _own(request: HttpRequest, pk: int) -> Product:
    return queries.own_product(actor(request), pk)


@router.post("/products", response=ProductOut)
def draft_product(request: HttpRequest, body: NewProductIn) -> dict[str, Any]:
    """Draw up a product of a pool of yours."""
    who = actor(request)
    pool = access.visible(Pool.objects.all(), who, SELL).filter(pk=body.pool).first()
    if pool is None:
        raise invalid("pool", body.pool, _("no such pool"))
    made = products.draft_product(who, key=key(request), pool=pool, draft=body.draft(), tiers=body.lower())
    return ProductOut.of(_own(request, made.pk))


@router.put("/products/{pk}", response=ProductOut)
def change_product(request: HttpRequest, pk: Id, body: DraftIn) -> dict[str, Any]:
    """Change what is said of a product that is not on sale."""
    products.change_product(
        actor(request), key=key(request), product=_own(request, pk), draft=body.draft(), tiers=body.lower()
    )
    return ProductOut.of(_own(request, pk))


@router.put("/products/{pk}/price", response=ProductOut)
def set_price(request: HttpRequest, pk: Id, body: PriceIn) -> dict[str, Any]:
    """Change the price, on sale or not."""
    tiers = [Tier(**tier.model_dump()) for tier in body.tiers]
    products.set_price(
        actor(request), key=key(request), product=_own(request, pk), price_fen=body.price_fen, tiers=tiers,
        auto_accept=body.auto_accept,
    )  # fmt: skip
    return ProductOut.of(_own(request, pk))


STEPS = {
    "submit": products.submit_product, "approve": products.approve_product, "pause": products.pause_product,
    "resume": products.resume_product, "end": products.end_product,
}  # fmt: skip


@router.post("/products/{pk}/step/{step}", response=ProductOut)
def step(
    request: HttpRequest, pk: Id, step: Literal["submit", "approve", "pause", "resume", "end"]
) -> dict[str, Any]:
    """Submit for a second look; put on sale (the centre); pause, resume, end."""
    STEPS[step](actor(request), key=key(request), product=_own(request, pk))
    return ProductOut.of(_own(request, pk))


@router.post("/products/{pk}/return", response=ProductOut)
def return_product(request: HttpRequest, pk: Id, body: NoteIn) -> dict[str, Any]:
    """Give a product back to its operator (the centre)."""
    products.return_product(actor(request), key=key(request), product=_own(request, pk), note=body.note)
    return ProductOut.of(_own(request, pk))


# --- orders -----------------------------------------------------------------------------------------------------------


@router.get("/orders", response=Page[OrderOut])
def list_orders(request: HttpRequest, paging: Query[Paging]) -> Cut:
    """Orders that you may see, as buyer or as operator, newest first."""
    return cut(queries.orders(actor(request)), paging)


@router.post("/orders", response=OrderOut)
def place_order(request: HttpRequest, body: OrderIn) -> Order:
    """Order units of a product: the most that it may cost is held."""
    who = actor(request)
    buyer = queries.buyers(who).filter(pk=body.buyer).first()
    if buyer is None:
        raise invalid("buyer", body.buyer, _("no such party, or you may not order for it"))
    return orders.place_order(
        who, key=key(request), buyer=buyer, product=queries.product(who, body.product), units=body.units,
        start_hour=hour_of("start", body.start), hours=body.hours, purpose=body.purpose, contract=body.contract,
        cap_fen=body.cap_fen, expected_fen=body.expected_fen,
    )  # fmt: skip


@router.get("/orders/{pk}", response=OrderOut)
def one_order(request: HttpRequest, pk: Id) -> Order:
    """One order."""
    return queries.order(actor(request), pk)


@router.post("/orders/{pk}/confirm", response=OrderOut)
def confirm_order(request: HttpRequest, pk: Id) -> Order:
    """Take an order on (its operator)."""
    return orders.confirm_order(actor(request), key=key(request), order=queries.order(actor(request), pk))


@router.post("/orders/{pk}/refuse", response=OrderOut)
def refuse_order(request: HttpRequest, pk: Id, body: NoteIn) -> Order:
    """Turn an order down (its operator)."""
    found = queries.order(actor(request), pk)
    return orders.refuse_order(actor(request), key=key(request), order=found, note=body.note)


@router.post("/orders/{pk}/cancel", response=OrderOut)
def cancel_order(request: HttpRequest, pk: Id) -> Order:
    """Give an order up (its buyer)."""
    return orders.cancel_order(actor(request), key=key(request), order=queries.order(actor(request), pk))


@router.post("/orders/{pk}/extend", response=OrderOut)
def extend_order(request: HttpRequest, pk: Id, body: ExtendIn) -> Order:
    """Order the same units for the hours that follow (its buyer)."""
    found = queries.order(actor(request), pk)
    return orders.extend_order(
        actor(request), key=key(request), order=found, hours=body.hours, expected_fen=body.expected_fen
    )


@router.post("/orders/{pk}/recall", response=OrderOut)
def recall_order(request: HttpRequest, pk: Id, body: RecallIn) -> Order:
    """Take cards back, or report that they failed (its operator)."""
    return orders.recall_order(
        actor(request), key=key(request), order=queries.order(actor(request), pk),
        from_hour=hour_of("from", body.from_), cards=body.cards, reason=body.reason,
    )  # fmt: skip
