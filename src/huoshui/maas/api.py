"""REST operations of the model service, under /api/models/. Money in fen, or µfen (a millionth of a fen) where it says.

The calls themselves go to the gateway, not here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja import Field, Query, Router, Schema

from huoshui.base import access
from huoshui.base.apikit import PAGE_LIMIT_MAX, Cut, Id, Page, Paging, actor, cut, key
from huoshui.base.errors import invalid
from huoshui.book.ledger import AMOUNT_MAX
from huoshui.compute.models import Region
from huoshui.jobs.models import Endpoint
from huoshui.maas import queries
from huoshui.maas.actions import bills, keys, upstreams, wallets
from huoshui.maas.models import Key, Offer, Settled, Upstream, Wallet
from huoshui.maas.permissions import FUND, KEYS, PROVIDE
from huoshui.registry.models import Party

router = Router(tags=["models"])
FUNDED_FEN_MAX = wallets.FUNDED_FEN_MAX


class OfferOut(Schema):
    """Prices in fen per million tokens."""

    id: int
    model: str
    kind: str
    provider: str = Field(alias="upstream.provider.name")
    upstream: str = Field(alias="upstream.name")
    region: str = Field(alias="upstream.region.code")
    input_fen: int
    output_fen: int
    cached_fen: int
    context_tokens: int
    output_tokens_max: int
    private: bool


class SpreadOut(Schema):
    """Percentiles in µs; null: not measured."""

    count: int
    p50: int | None
    p95: int | None
    p99: int | None


class QualityOut(Schema):
    """Measured by the probe; shares in basis points, speed in 1/1000 tokens per second. No data is null, never zero."""

    offer: int
    model: str
    upstream: str
    input_tokens: int
    concurrency: int
    calls: int
    last: datetime | None
    ttft: SpreadOut
    tpot: SpreadOut
    e2e: SpreadOut
    speed_mtps: int | None
    success_bps: int | None
    availability_bps: int | None
    good_bps: int | None
    errors: dict[str, int]


class WalletOut(Schema):
    id: int
    party: int = Field(alias="party_id")
    funded_ufen: int
    held_ufen: int
    spent_ufen: int
    billed_ufen: int
    frozen: bool


class FundIn(Schema):
    party: Id
    amount_fen: int = Field(ge=1, le=FUNDED_FEN_MAX)


class AmountIn(Schema):
    amount_fen: int = Field(ge=1, le=AMOUNT_MAX)


class FreezeIn(Schema):
    frozen: bool
    reason: str = Field(min_length=1, max_length=200)


class ScopeIn(Schema):
    """Empty models or regions: all. No budget: what the wallet has."""

    models: list[str] = Field([], max_length=keys.NAMES_MAX)
    regions: list[str] = Field([], max_length=keys.NAMES_MAX)
    routing: Literal["price", "latency"] = "price"
    period: Literal["total", "day", "month"] = "total"
    budget_fen: int | None = Field(None, ge=1, le=FUNDED_FEN_MAX)
    calls_per_minute: int | None = Field(None, ge=1, le=keys.CALLS_PER_MINUTE_MAX)
    tokens_per_minute: int | None = Field(None, ge=1, le=keys.TOKENS_PER_MINUTE_MAX)

    def scope(self) -> keys.Scope:
        given = ScopeIn.model_fields.keys()
        return keys.Scope(**{name: value for name, value in self.model_dump().items() if name in given})


class KeyIn(ScopeIn):
    wallet: Id
    name: str = Field(min_length=1, max_length=80)
    agent: bool = False
    days: int = Field(90, ge=1, le=keys.DAYS_MAX)


class KeyOut(Schema):
    """`spent_ufen` is of the present budget period."""

    id: int
    wallet: int = Field(alias="wallet_id")
    name: str
    agent: bool
    prefix: str
    allowed_models: list[str]
    allowed_regions: list[str]
    routing: str
    period: str
    budget_ufen: int | None
    held_ufen: int
    spent_ufen: int = Field(alias="spent_now_ufen")
    calls_per_minute: int | None
    tokens_per_minute: int | None
    expires_ms: int
    revoked_ms: int | None


class MadeOut(Schema):
    """`secret` is shown this once."""

    key: KeyOut
    secret: str


class CallOut(Schema):
    """A call without its content."""

    id: str
    key: int = Field(alias="key_id")
    model: str
    offer: int | None = Field(alias="offer_id")
    state: str
    outcome: str
    status: int | None
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    counted: str
    hold_ufen: int
    cost_ufen: int
    started_ms: int
    first_token_ms: int | None
    ended_ms: int | None


class CallPage(Schema):
    """`next`: the cursor of the following part, null at the end."""

    items: list[CallOut]
    next: str | None = None


class CallPaging(Schema):
    """How much of the list, and after which cursor."""

    limit: int = Field(50, ge=1, le=PAGE_LIMIT_MAX)
    after: str | None = Field(None, pattern=r"^[0-9]{1,15}-[0-9a-f]{1,32}$")


class BillOut(Schema):
    id: int
    number: str
    wallet: int = Field(alias="wallet_id")
    until_ms: int
    calls_count: int
    cost_ufen: int
    billed_fen: int
    own_fen: int
    carried_ufen: int
    statement: int | None = Field(alias="statement_id")
    lines: list[dict[str, Any]]


class BilledOut(Schema):
    """`bill` is null when there was nothing to bill."""

    bill: BillOut | None


class UpstreamIn(Schema):
    provider: Id
    name: str = Field(min_length=1, max_length=60)
    base_url: str = Field(min_length=1, max_length=200)
    secret: str = Field("", max_length=80)
    region: str
    concurrency_max: int = Field(64, ge=1, le=upstreams.LIMITS["concurrency_max"])
    connect_seconds: int = Field(5, ge=1, le=upstreams.LIMITS["connect_seconds"])
    first_token_seconds: int = Field(60, ge=1, le=upstreams.LIMITS["first_token_seconds"])
    gap_seconds: int = Field(30, ge=1, le=upstreams.LIMITS["gap_seconds"])


class EndpointIn(Schema):
    endpoint: Id
    name: str = Field(min_length=1, max_length=60)


class UpstreamOut(Schema):
    id: int
    name: str
    provider: int = Field(alias="provider_id")
    endpoint: int | None = Field(alias="endpoint_id")
    base_url: str
    secret: str
    region: str = Field(alias="region.code")
    state: str
    approved_at: datetime | None


class OfferIn(Schema):
    """Fen per million tokens. `since`: an instant with an offset, now when absent. `private`: only for the provider's
    own keys; when absent, an endpoint's price is and an address's is not."""

    model: str = Field(min_length=1, max_length=80)
    upstream_model: str = Field(min_length=1, max_length=120)
    kind: Literal["chat", "embedding"] = "chat"
    input_fen: int = Field(ge=0, le=upstreams.PRICE_FEN_MAX)
    output_fen: int = Field(ge=0, le=upstreams.PRICE_FEN_MAX)
    cached_fen: int = Field(ge=0, le=upstreams.PRICE_FEN_MAX)
    context_tokens: int = Field(ge=1, le=upstreams.TOKENS_MAX)
    output_tokens_max: int = Field(ge=1, le=upstreams.TOKENS_MAX)
    since: datetime | None = None
    private: bool | None = None


@router.get("/offers", response=list[OfferOut], auth=None)
def offers(request: HttpRequest, model: str = "") -> Any:
    """Models on offer now, with prices (public)."""
    return queries.offers(model)


@router.get("/quality", response=list[QualityOut], auth=None)
def quality(request: HttpRequest) -> list[dict[str, Any]]:
    """The quality table, cell by cell (public)."""
    return [
        {
            "offer": row.offer.pk, "model": row.offer.model, "upstream": row.offer.upstream.name,
            "input_tokens": row.bucket, "concurrency": row.concurrency, "calls": row.quality.calls,
            "last": row.quality.last, "ttft": row.quality.ttft, "tpot": row.quality.tpot, "e2e": row.quality.e2e,
            "speed_mtps": row.quality.speed_mtps, "success_bps": row.quality.success_bps,
            "availability_bps": row.quality.availability_bps, "good_bps": row.quality.good_bps,
            "errors": dict(row.quality.errors),
        }
        for row in queries.measured(queries.offers(), by_cell=True)
    ]  # fmt: skip


@router.get("/wallets", response=Page[WalletOut])
def list_wallets(request: HttpRequest, paging: Query[Paging]) -> Cut:
    """Wallets that you may see."""
    return cut(queries.wallets(actor(request)), paging)


@router.post("/wallets/fund", response=WalletOut)
def fund(request: HttpRequest, body: FundIn) -> Wallet:
    """Set aside an amount of a party's limit."""
    who = actor(request)
    party = access.get_visible(Party.objects.all(), who, FUND, pk=body.party)
    return wallets.fund(who, key=key(request), party=party, amount_fen=body.amount_fen)


@router.get("/wallets/{pk}", response=WalletOut)
def one_wallet(request: HttpRequest, pk: Id) -> Wallet:
    """One wallet."""
    return queries.wallet(actor(request), pk)


@router.post("/wallets/{pk}/take-back", response=WalletOut)
def take_back(request: HttpRequest, pk: Id, body: AmountIn) -> Wallet:
    """Give an amount that no call needs back to the limit."""
    who = actor(request)
    return wallets.take_back(who, key=key(request), wallet=queries.wallet(who, pk), amount_fen=body.amount_fen)


@router.post("/wallets/{pk}/freeze", response=WalletOut)
def freeze(request: HttpRequest, pk: Id, body: FreezeIn) -> Wallet:
    """Let a wallet take no new calls, or let it again (officers)."""
    who = actor(request)
    found = queries.wallet(who, pk)
    return wallets.freeze(who, key=key(request), wallet=found, frozen=body.frozen, reason=body.reason)


@router.post("/wallets/{pk}/bill", response=BilledOut)
def bill(request: HttpRequest, pk: Id) -> dict[str, Settled | None]:
    """Bill what was called until now."""
    who = actor(request)
    return {"bill": bills.bill(who, key=key(request), wallet=queries.wallet(who, pk))}


@router.get("/bills", response=Page[BillOut])
def list_bills(request: HttpRequest, paging: Query[Paging]) -> Cut:
    """Bills of wallets that you may see."""
    return cut(queries.bills(actor(request)), paging)


@router.get("/keys", response=Page[KeyOut])
def list_keys(request: HttpRequest, paging: Query[Paging]) -> Cut:
    """Keys of wallets that you may see."""
    return cut(queries.keys(actor(request)), paging)


@router.post("/keys", response=MadeOut)
def make_key(request: HttpRequest, body: KeyIn) -> keys.Made:
    """Make a key. Its secret is in this answer only: a repeated request makes another key."""
    key(request)
    who = actor(request)
    wallet = access.get_visible(Wallet.objects.all(), who, KEYS, pk=body.wallet)
    return keys.make_key(
        who, wallet=wallet, name=body.name, days=body.days, agent=body.agent, scope=body.scope()
    )


@router.post("/keys/{pk}/scope", response=KeyOut)
def change_key(request: HttpRequest, pk: Id, body: ScopeIn) -> Key:
    """Change what a key may do."""
    who = actor(request)
    return keys.change_key(who, key=key(request), target=queries.key(who, pk), scope=body.scope())


@router.post("/keys/{pk}/rotate", response=MadeOut)
def rotate_key(request: HttpRequest, pk: Id) -> keys.Made:
    """Give a key a new secret, which is in this answer only."""
    key(request)
    who = actor(request)
    return keys.rotate_key(who, target=queries.key(who, pk))


@router.post("/keys/{pk}/revoke", response=KeyOut)
def revoke_key(request: HttpRequest, pk: Id) -> Key:
    """The key calls nothing any more."""
    who = actor(request)
    return keys.revoke_key(who, key=key(request), target=queries.key(who, pk))


@router.get("/calls", response=CallPage)
def list_calls(request: HttpRequest, paging: Query[CallPaging]) -> dict[str, Any]:
    """Calls of wallets that you may see, newest first."""
    rows = queries.calls(actor(request))
    if paging.after is not None:
        began, _colon, last = paging.after.partition("-")
        rows = rows.filter(Q(started_ms__lt=int(began)) | Q(started_ms=int(began), pk__gt=last))
    found = list(rows[: paging.limit + 1])
    items = found[: paging.limit]
    return {"items": items, "next": f"{items[-1].started_ms}-{items[-1].pk}" if len(found) > paging.limit else None}


@router.get("/upstreams", response=Page[UpstreamOut])
def list_upstreams(request: HttpRequest, paging: Query[Paging]) -> Cut:
    """Upstreams of your own; all of them for the centre."""
    return cut(queries.upstreams(actor(request)), paging)


@router.post("/upstreams", response=UpstreamOut)
def register_upstream(request: HttpRequest, body: UpstreamIn) -> Upstream:
    """Register a provider's address; the centre looks at it before it takes calls."""
    who = actor(request)
    region = Region.objects.filter(code=body.region).first()
    if region is None:
        raise invalid("region", body.region, _("no such region"))
    given = body.model_dump(exclude={"provider", "region"})
    provider = access.get_visible(Party.objects.all(), who, PROVIDE, pk=body.provider)
    return upstreams.register_upstream(who, key=key(request), provider=provider, region=region, **given)


@router.post("/upstreams/endpoint", response=UpstreamOut)
def take_endpoint(request: HttpRequest, body: EndpointIn) -> Upstream:
    """Let an endpoint of the platform answer calls."""
    who = actor(request)
    endpoint = access.get_visible(Endpoint.objects.all(), who, PROVIDE, pk=body.endpoint)
    return upstreams.take_endpoint(who, key=key(request), endpoint=endpoint, name=body.name)


@router.post("/upstreams/{pk}/approve", response=UpstreamOut)
def approve_upstream(request: HttpRequest, pk: Id) -> Upstream:
    """Somebody of the centre has looked at the address: it takes calls."""
    who = actor(request)
    return upstreams.approve_upstream(who, key=key(request), upstream=queries.upstream(who, pk))


@router.post("/upstreams/{pk}/offers", response=OfferOut)
def publish_offer(request: HttpRequest, pk: Id, body: OfferIn) -> Offer:
    """Publish a price of a model; it ends the one before."""
    who = actor(request)
    upstream = access.get_visible(Upstream.objects.all(), who, PROVIDE, pk=pk)
    if body.since is not None and body.since.utcoffset() is None:
        raise invalid("since", body.since, _("an instant with an offset"))
    return upstreams.publish_offer(who, key=key(request), upstream=upstream, **body.model_dump())


@router.post("/offers/{pk}/end", response=OfferOut)
def end_offer(request: HttpRequest, pk: Id) -> Offer:
    """Take no new calls at a price."""
    who = actor(request)
    access.get_visible(Upstream.objects.all(), who, PROVIDE, offers__pk=pk)
    return upstreams.end_offer(who, key=key(request), offer=Offer.objects.select_related("upstream").get(pk=pk))
