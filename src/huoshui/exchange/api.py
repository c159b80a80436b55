"""REST operations of the exchange, under /api/exchange/. Money in fen, prices in 1/1000 fen per card-hour, hours as
instants on the hour; what is sealed is shown to its own party only."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja import Field, Query, Router, Schema

from huoshui.base import access
from huoshui.base.apikit import Cut, Id, Page, Paging, actor, cut, key
from huoshui.base.errors import invalid
from huoshui.compute.api import hour_of
from huoshui.compute.models import CardModel, Pool, Region, Site
from huoshui.exchange import public, queries
from huoshui.exchange.actions import auctions, enquiries, listings, trades
from huoshui.exchange.models import Auction, Enquiry, Listing, Offer, Order, Trade
from huoshui.exchange.permissions import TRADE
from huoshui.jobs.models import Booking
from huoshui.registry.models import Party

router = Router(tags=["exchange"])
PRICE_MAX = 100_000_000
LOTS_MAX = 1_000_000
Price = Annotated[int, Field(ge=1, le=PRICE_MAX)]
Lots = Annotated[int, Field(ge=1, le=LOTS_MAX)]
Code = Annotated[str, Field(min_length=1, max_length=40)]
Billing = Literal["whole", "used"]


class ContractOut(Schema):
    """What is traded: one lot is one card for the whole window. No site: anywhere in the region."""

    id: int
    model: str = Field(alias="card_model.code")
    region: str = Field(alias="region.code")
    site: str | None = Field(None, alias="site.code")
    start_hour: int
    end_hour: int
    billing: str


class ListingOut(Schema):
    """`contract` null: standard card-hours of the compute account."""

    id: int
    number: str
    party: int = Field(alias="party_id")
    contract: ContractOut | None
    side: str
    price_mfen: int
    lots: int
    left: int
    resold: bool
    expires_at: datetime
    state: str


class SellIn(Schema):
    """Cards of a pool of one's own, or of a booking that one holds (`booking`)."""

    party: Id
    pool: Id | None = None
    booking: Id | None = None
    start: datetime
    end: datetime
    lots: Lots
    price_mfen: Price
    expires_at: datetime
    billing: Billing = "whole"


class SeekIn(Schema):
    party: Id
    model: Code
    region: Code
    site: Code | None = None
    start: datetime
    end: datetime
    lots: Lots
    price_mfen: Price
    expires_at: datetime
    billing: Billing = "whole"


class BalanceIn(Schema):
    """Standard card-hours of the compute account, one lot each."""

    party: Id
    lots: Lots
    price_mfen: Price
    expires_at: datetime


class TakeIn(Schema):
    """Who takes a buy listing names its pool or its booking."""

    party: Id
    lots: Lots
    pool: Id | None = None
    booking: Id | None = None


class TradeOut(Schema):
    id: int
    number: str
    way: str
    contract: ContractOut | None
    seller: int = Field(alias="seller_id")
    buyer: int = Field(alias="buyer_id")
    lots: int
    price_mfen: int
    amount_fen: int
    booking: int | None = Field(None, alias="booking_id")
    statement: int | None = Field(None, alias="statement_id")
    state: str
    made_at: datetime


class RecallIn(Schema):
    """`recall`: with the notice of the trade; `failure`: they broke."""

    from_: datetime = Field(alias="from")
    cards: Lots
    reason: Literal["recall", "failure"]


class AsideOut(Schema):
    """A booking of hours that are to be resold; `cards` are what it had at first."""

    booking: int = Field(alias="pk")
    number: str
    pool: int = Field(alias="pool_id")
    cards: int
    start_hour: int
    end_hour: int
    state: str


class AuctionOut(Schema):
    """`price_mfen` and `volume` once it is published."""

    number: int
    contract: ContractOut
    session: str
    opens_at: datetime
    closes_at: datetime
    reference_mfen: int
    low_mfen: int
    high_mfen: int
    state: str
    price_mfen: int | None
    volume: int | None

    @staticmethod
    def resolve_price_mfen(row: Auction) -> int | None:
        return row.price_mfen if row.state == Auction.State.PUBLISHED else None

    @staticmethod
    def resolve_volume(row: Auction) -> int | None:
        return row.figures.get("volume") if row.state == Auction.State.PUBLISHED else None


class AuctionIn(Schema):
    model: Code
    region: Code
    site: Code | None = None
    start: datetime
    end: datetime
    billing: Billing = "whole"
    day: date
    session: Code


class OrderIn(Schema):
    """Who sells names its pool or its booking."""

    party: Id
    side: Literal["buy", "sell"]
    lots: Lots
    price_mfen: Price
    pool: Id | None = None
    booking: Id | None = None


class OrderOut(Schema):
    id: int
    number: str
    auction: int = Field(alias="auction.number")
    party: int = Field(alias="party_id")
    side: str
    lots: int
    price_mfen: int
    commitment: str
    state: str
    filled: int | None
    outcome: str

    @staticmethod
    def resolve_filled(row: Order) -> int | None:
        return row.filled if row.auction.state == Auction.State.PUBLISHED else None


class ReasonIn(Schema):
    reason: str = Field(min_length=1, max_length=500)


class EnquiryIn(Schema):
    """`weights`: basis points by criterion of the terms, summing to 10,000."""

    party: Id
    title: str = Field(min_length=1, max_length=120)
    cards: Lots
    models: list[Code] = Field(min_length=1, max_length=50)
    regions: list[Code] = Field(min_length=1, max_length=50)
    start: datetime
    end: datetime
    budget_fen: int = Field(ge=1, le=10**12)
    weights: dict[str, Annotated[int, Field(ge=0, le=10_000)]] = Field(min_length=1, max_length=10)
    closes_at: datetime
    billing: Billing = "used"


class EnquiryOut(Schema):
    id: int
    number: str
    party: int = Field(alias="party_id")
    title: str
    cards: int
    models: list[str]
    regions: list[str]
    start_hour: int
    end_hour: int
    budget_fen: int
    weights: dict[str, int]
    closes_at: datetime
    billing: str
    state: str
    reason: str

    @staticmethod
    def resolve_models(row: Enquiry) -> list[str]:
        return [model.code for model in row.card_models.all()]

    @staticmethod
    def resolve_regions(row: Enquiry) -> list[str]:
        return [region.code for region in row.regions.all()]


class OfferIn(Schema):
    """`recall_notice_hours` null: the cards cannot be recalled."""

    party: Id
    pool: Id
    price_mfen: Price
    recall_notice_hours: int | None = Field(None, ge=1, le=enquiries.RECALL_NOTICE_HOURS_MAX)


class OfferOut(Schema):
    id: int
    number: str
    party: int = Field(alias="party_id")
    pool: int = Field(alias="pool_id")
    price_mfen: int
    recall_notice_hours: int | None
    commitment: str
    state: str
    rank: int | None
    scores: dict[str, int] | None


class AwardIn(Schema):
    offer: Id
    reason: str = Field("", max_length=500)


class AlertOut(Schema):
    id: int
    code: str
    refused: bool
    party: int = Field(alias="party_id")
    subject: str
    detail: dict[str, Any]
    at: datetime


# --- what bodies name -------------------------------------------------------------------------------------------------


def _party(request: HttpRequest, pk: int) -> Party:
    return access.get_visible(Party.objects.all(), actor(request), TRADE, pk=pk)


def _by_code(model: Any, field: str, code: str | None) -> Any:
    if code is None:
        return None
    found = model.objects.filter(code=code).first()
    if found is None:
        raise invalid(field, code, _("no such code"))
    return found


def _place(body: SeekIn | AuctionIn) -> dict[str, Any]:
    return {
        "card_model": _by_code(CardModel, "model", body.model), "region": _by_code(Region, "region", body.region),
        "site": _by_code(Site, "site", body.site), "start_hour": hour_of("start", body.start),
        "end_hour": hour_of("end", body.end), "billing": body.billing,
    }  # fmt: skip


def _cards(request: HttpRequest, pool: int | None, booking: int | None) -> dict[str, Any]:
    """The pool, and the booking when cards are resold out of one."""
    if booking is not None:
        rows = Booking.objects.select_related("pool__site__region", "pool__card_model")
        found = access.get_visible(rows, actor(request), TRADE, pk=booking)
        return {"pool": found.pool, "resold_from": found}
    if pool is None:
        return {"pool": None}
    own = Pool.objects.select_related("site__region", "card_model")
    return {"pool": access.get_visible(own, actor(request), TRADE, pk=pool)}


# --- listings and trades ----------------------------------------------------------------------------------------------


@router.get("/listings", response=Page[ListingOut])
def list_listings(request: HttpRequest, paging: Query[Paging]) -> Cut:
    """What is on offer now."""
    return cut(queries.open_listings(actor(request)), paging)


@router.post("/listings/sell", response=ListingOut)
def sell_cards(request: HttpRequest, body: SellIn) -> Listing:
    """List cards at a fixed price; they are set aside at once."""
    cards = _cards(request, body.pool, body.booking)
    if cards["pool"] is None:
        raise invalid("pool", "", _("say which cards you sell"))
    return listings.sell_cards(
        actor(request), key=key(request), party=_party(request, body.party), start_hour=hour_of("start", body.start),
        end_hour=hour_of("end", body.end), lots=body.lots, price_mfen=body.price_mfen, expires_at=body.expires_at,
        billing=body.billing, **cards,
    )  # fmt: skip


@router.post("/listings/seek", response=ListingOut)
def seek_cards(request: HttpRequest, body: SeekIn) -> Listing:
    """Seek cards at a fixed price; what they cost is held."""
    return listings.seek_cards(
        actor(request), key=key(request), party=_party(request, body.party), lots=body.lots,
        price_mfen=body.price_mfen, expires_at=body.expires_at, **_place(body),
    )  # fmt: skip


@router.post("/listings/balance", response=ListingOut)
def sell_balance(request: HttpRequest, body: BalanceIn) -> Listing:
    """List standard card-hours of a compute account; they keep their expiry dates."""
    return listings.sell_balance(
        actor(request), key=key(request), party=_party(request, body.party), **body.model_dump(exclude={"party"})
    )


@router.get("/listings/{pk}", response=ListingOut)
def get_listing(request: HttpRequest, pk: Id) -> Listing:
    """One listing."""
    return queries.listing(actor(request), pk)


@router.post("/listings/{pk}/take", response=TradeOut)
def take(request: HttpRequest, pk: Id, body: TakeIn) -> Trade:
    """Take lots of a listing."""
    cards = _cards(request, body.pool, body.booking)
    return listings.take(
        actor(request), key=key(request), listing=queries.listing(actor(request), pk),
        party=_party(request, body.party), lots=body.lots, **cards,
    )  # fmt: skip


@router.post("/listings/{pk}/withdraw", response=ListingOut)
def withdraw(request: HttpRequest, pk: Id) -> Listing:
    """Take back what is left."""
    return listings.withdraw(actor(request), key=key(request), listing=queries.listing(actor(request), pk))


@router.get("/trades", response=Page[TradeOut])
def list_trades(request: HttpRequest, paging: Query[Paging]) -> Cut:
    """Trades of your parties, newest first."""
    return cut(queries.trades(actor(request)), paging)


@router.get("/trades/{pk}", response=TradeOut)
def get_trade(request: HttpRequest, pk: Id) -> Trade:
    """One trade."""
    return queries.trade(actor(request), pk)


@router.post("/trades/{pk}/recall", response=TradeOut)
def recall_trade(request: HttpRequest, pk: Id, body: RecallIn) -> Trade:
    """Take cards back, or report that they failed (who runs their site)."""
    return trades.recall_trade(
        actor(request), key=key(request), trade=queries.trade(actor(request), pk),
        from_hour=hour_of("from", body.from_), cards=body.cards, reason=body.reason,
    )  # fmt: skip


@router.get("/aside", response=Page[AsideOut])
def list_aside(request: HttpRequest, paging: Query[Paging]) -> Cut:
    """Hours at your sites that their holders set aside to resell and nobody bought yet."""
    return cut(queries.aside(actor(request)), paging)


@router.post("/aside/{pk}/recall", response=AsideOut)
def recall_aside(request: HttpRequest, pk: Id, body: RecallIn) -> Booking:
    """Take such cards back, or report that they failed (who runs their site). `pk` is that of the booking."""
    return trades.recall_aside(
        actor(request), key=key(request), booking=Booking(pk=pk), from_hour=hour_of("from", body.from_),
        cards=body.cards, reason=body.reason,
    )  # fmt: skip


@router.get("/alerts", response=Page[AlertOut])
def list_alerts(request: HttpRequest, paging: Query[Paging]) -> Cut:
    """What the rules against abuse refused or flagged."""
    return cut(queries.alerts(actor(request)), paging)


# --- call auctions ----------------------------------------------------------------------------------------------------


@router.get("/auctions", response=Page[AuctionOut])
def list_auctions(request: HttpRequest, paging: Query[Paging]) -> Cut:
    """Call auctions, newest first."""
    return cut(queries.auctions(actor(request)), paging)


@router.post("/auctions", response=AuctionOut)
def open_auction(request: HttpRequest, body: AuctionIn) -> Auction:
    """Announce an auction (officers)."""
    return auctions.open_auction(
        actor(request), key=key(request), day=body.day, session=body.session, **_place(body)
    )


@router.get("/auctions/{number}", response=AuctionOut)
def get_auction(request: HttpRequest, number: Id) -> Auction:
    """One auction."""
    return queries.auction(actor(request), number)


@router.post("/auctions/{number}/clear", response=AuctionOut)
def clear_auction(request: HttpRequest, number: Id) -> Auction:
    """Queue the clearing of an auction whose session is over (officers)."""
    return auctions.start_clearing(actor(request), key=key(request), auction=queries.auction(actor(request), number))


@router.post("/auctions/{number}/publish", response=AuctionOut)
def publish_auction(request: HttpRequest, number: Id) -> Auction:
    """Publish a cleared auction (an officer who neither opened nor cleared it)."""
    return auctions.publish(actor(request), key=key(request), auction=queries.auction(actor(request), number))


@router.post("/auctions/{number}/cancel", response=AuctionOut)
def cancel_auction(request: HttpRequest, number: Id, body: ReasonIn) -> Auction:
    """Call an auction off; everything held and set aside becomes free again (officers)."""
    found = queries.auction(actor(request), number)
    return auctions.cancel_auction(actor(request), key=key(request), auction=found, reason=body.reason)


@router.get("/auctions/{number}/orders", response=Page[OrderOut])
def list_orders(request: HttpRequest, number: Id, paging: Query[Paging]) -> Cut:
    """Orders that you may see: your own; all, once published, for who watches."""
    found = queries.auction(actor(request), number)
    return cut(queries.orders(actor(request), found).select_related("auction"), paging)


@router.post("/auctions/{number}/orders", response=OrderOut)
def place_order(request: HttpRequest, number: Id, body: OrderIn) -> Order:
    """Place a sealed order."""
    return auctions.place_order(
        actor(request), key=key(request), auction=queries.auction(actor(request), number),
        party=_party(request, body.party), side=body.side, lots=body.lots, price_mfen=body.price_mfen,
        **_cards(request, body.pool, body.booking),
    )  # fmt: skip


@router.post("/orders/{pk}/withdraw", response=OrderOut)
def withdraw_order(request: HttpRequest, pk: Id) -> Order:
    """Take a sealed order back."""
    return auctions.withdraw_order(actor(request), key=key(request), order=queries.order(actor(request), pk))


@router.get("/orders/{pk}/proof", response=dict[str, Any])
def order_proof(request: HttpRequest, pk: Id) -> dict[str, Any]:
    """Your own order as the log has it."""
    return public.own_proof(queries.order(actor(request), pk))


@router.get("/auctions/{number}/public", response=dict[str, Any], auth=None)
def public_auction(request: HttpRequest, number: Id) -> dict[str, Any]:
    """The public document of a published auction, for anyone."""
    return public.document(queries.published_auction(number))


# --- enquiries --------------------------------------------------------------------------------------------------------


@router.get("/enquiries", response=Page[EnquiryOut])
def list_enquiries(request: HttpRequest, paging: Query[Paging]) -> Cut:
    """Needs posted for offers, newest first."""
    return cut(queries.enquiries(actor(request)), paging)


@router.post("/enquiries", response=EnquiryOut)
def post_enquiry(request: HttpRequest, body: EnquiryIn) -> Enquiry:
    """Post a need; its budget is held."""
    return enquiries.post_enquiry(
        actor(request), key=key(request), party=_party(request, body.party), title=body.title, cards=body.cards,
        card_models=[_by_code(CardModel, "models", code) for code in dict.fromkeys(body.models)],
        regions=[_by_code(Region, "regions", code) for code in dict.fromkeys(body.regions)],
        start_hour=hour_of("start", body.start), end_hour=hour_of("end", body.end), budget_fen=body.budget_fen,
        weights=body.weights, closes_at=body.closes_at, billing=body.billing,
    )  # fmt: skip


@router.get("/enquiries/{pk}", response=EnquiryOut)
def get_enquiry(request: HttpRequest, pk: Id) -> Enquiry:
    """One enquiry."""
    return queries.enquiry(actor(request), pk)


@router.get("/enquiries/{pk}/offers", response=Page[OfferOut])
def list_offers(request: HttpRequest, pk: Id, paging: Query[Paging]) -> Cut:
    """Offers that you may see: your own; all, once opened, for the buyer and who watches."""
    return cut(queries.offers(actor(request), queries.enquiry(actor(request), pk)), paging)


@router.post("/enquiries/{pk}/offers", response=OfferOut)
def submit_offer(request: HttpRequest, pk: Id, body: OfferIn) -> Offer:
    """Make a sealed offer; the cards are set aside."""
    return enquiries.submit_offer(
        actor(request), key=key(request), enquiry=queries.enquiry(actor(request), pk),
        party=_party(request, body.party), pool=_cards(request, body.pool, None)["pool"], price_mfen=body.price_mfen,
        recall_notice_hours=body.recall_notice_hours,
    )  # fmt: skip


@router.post("/offers/{pk}/withdraw", response=OfferOut)
def withdraw_offer(request: HttpRequest, pk: Id) -> Offer:
    """Take a sealed offer back."""
    return enquiries.withdraw_offer(actor(request), key=key(request), offer=queries.offer(actor(request), pk))


@router.post("/enquiries/{pk}/award", response=TradeOut)
def award(request: HttpRequest, pk: Id, body: AwardIn) -> Trade:
    """Award an opened offer; a reason is needed when it is not the first."""
    found = queries.enquiry(actor(request), pk)
    offer = queries.offer(actor(request), body.offer)
    return enquiries.award(actor(request), key=key(request), enquiry=found, offer=offer, reason=body.reason)


@router.post("/enquiries/{pk}/end", response=EnquiryOut)
def end_enquiry(request: HttpRequest, pk: Id, body: ReasonIn) -> Enquiry:
    """End an enquiry without award."""
    found = queries.enquiry(actor(request), pk)
    return enquiries.end_enquiry(actor(request), key=key(request), enquiry=found, reason=body.reason)
