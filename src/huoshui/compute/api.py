"""REST operations of the compute bank, under /api/compute/. Money in fen, prices in 1/1000 fen per card-hour, hours as
whole hours since the Unix epoch (UTC) beside ISO instants."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja import Field, Query, Router, Schema

from huoshui.base import access, clock
from huoshui.base.apikit import Cut, Id, Page, Paging, actor, cut, key
from huoshui.base.errors import Missing, invalid
from huoshui.compute import needs, public, queries, quotes
from huoshui.compute.actions import accounts, allocations, catalogue, delivery, deposits, recalls, rounds
from huoshui.compute.actions import requests as request_actions
from huoshui.compute.models import (
    HOURS_PER_ROUND_MAX,
    Allocation,
    CardModel,
    Delivery,
    Deposit,
    Pool,
    Region,
    Request,
    Round,
    Site,
)
from huoshui.compute.permissions import ACCOUNT, DEPOSIT, MANAGE_SITES, READ, REQUEST, VERIFY
from huoshui.registry.models import Party

router = Router(tags=["compute"])
LIST_MAX = 2_000
Hour = int
Fen = int


class CardModelOut(Schema):
    code: str
    name: str
    vendor: str
    memory_gib: int
    fp16_tflops: int
    domestic: bool
    watts: int


class PoolOut(Schema):
    id: int
    site: str = Field(alias="site.code")
    site_name: str = Field(alias="site.name")
    region: str = Field(alias="site.region.code")
    model: str = Field(alias="card_model.code")
    cards: int
    list_price_fen: int


class StretchIn(Schema):
    """`cards` over [start, end): instants with an offset, on the hour."""

    start: datetime
    end: datetime
    cards: int = Field(ge=1, le=1_000_000)


class DepositIn(Schema):
    depositor: Id
    pool: Id
    stretches: list[StretchIn] = Field(min_length=1, max_length=LIST_MAX)
    base_price_fen: int = Field(ge=0, le=deposits.BASE_PRICE_FEN_MAX)
    energy: bool = True
    settle_in: Literal["money", "account"] = "money"
    recall_notice_hours: int = Field(24, ge=0, le=deposits.RECALL_NOTICE_HOURS_MAX)
    resold_from: Id | None = None


class DepositOut(Schema):
    id: int
    number: str
    depositor: int = Field(alias="depositor_id")
    pool: int = Field(alias="pool_id")
    base_price_fen: int
    energy: bool
    settle_in: str
    recall_notice_hours: int
    state: str
    submitted_at: datetime


class RecallIn(Schema):
    start: datetime
    end: datetime
    cards: int = Field(ge=1, le=1_000_000)
    reason: Literal["recall", "failure"]


class RequestIn(Schema):
    """`hours`: hours needed on each acceptable card model, by its code. `regions`: acceptable regions, by code."""

    entity: Id
    title: str = Field(min_length=1, max_length=120)
    cards: int = Field(ge=1, le=request_actions.CARDS_MAX)
    hours: dict[str, int] = Field(min_length=1, max_length=50)
    earliest: datetime
    deadline: datetime
    budget_fen: int = Field(ge=1, le=request_actions.BUDGET_FEN_MAX)
    origin: str
    regions: list[str] = Field(min_length=1, max_length=50)
    mode: Literal["rigid", "preemptible"] = "rigid"
    min_piece_hours: int = Field(0, ge=0, le=672)
    pay_with: Literal["money", "account"] = "money"
    carry_over: bool = False


class RefusalOut(Schema):
    code: str
    params: list[int]
    round: int


class RequestOut(Schema):
    id: int
    number: str
    entity: int = Field(alias="entity_id")
    title: str
    cards: int
    earliest_hour: Hour
    deadline_hour: Hour
    mode: str
    budget_fen: Fen
    pay_with: str
    state: str
    round: int | None
    refusal: RefusalOut | None = None
    submitted_at: datetime

    @staticmethod
    def resolve_round(row: Request) -> int | None:
        return row.round.number if row.round else None


class RunOut(Schema):
    pool: int = Field(alias="pool_id")
    start_hour: Hour
    end_hour: Hour


class AllocationOut(Schema):
    id: int
    round: int = Field(alias="round.number")
    pool: int = Field(alias="pool_id")
    payment_fen: Fen
    transfer_fen: Fen
    concession_fen: Fen
    spending_cap_fen: Fen
    state: str
    runs: list[RunOut]

    @staticmethod
    def resolve_runs(row: Allocation) -> list[Any]:
        return queries.schedule(row)


class DeliveryIn(Schema):
    start: datetime
    end: datetime
    milli_card_hours: int = Field(ge=0, le=10**12)
    evidence: str = Field("", pattern=r"^([0-9a-f]{64})?$")


class DeliveryOut(Schema):
    id: int
    start_hour: Hour
    end_hour: Hour
    milli_card_hours: int


class FinishIn(Schema):
    at: datetime


class CapIn(Schema):
    cap_fen: Fen = Field(ge=0, le=request_actions.BUDGET_FEN_MAX)


class TransferIn(Schema):
    """`milli`: milli standard card-hours."""

    giver: Id
    taker: Id
    milli: int = Field(ge=1, le=10**15)


class TransferOut(Schema):
    milli: int


class RoundIn(Schema):
    """`start`: an instant with an offset, on the hour. `terms`: identifier of round terms in force."""

    title: str = Field(min_length=1, max_length=100)
    start: datetime
    hours: int = Field(168, ge=rounds.HOURS_PER_ROUND_MIN, le=HOURS_PER_ROUND_MAX)
    terms: str = Field(min_length=1, max_length=100)


class RegionIn(Schema):
    code: str = Field(pattern=r"^[-\w]{1,30}$")
    name: str = Field(min_length=1, max_length=50)


class RegionOut(Schema):
    code: str
    name: str


class CardModelIn(Schema):
    code: str = Field(pattern=r"^[-\w]{1,40}$")
    name: str = Field(min_length=1, max_length=60)
    vendor: str = Field("", max_length=60)
    memory_gib: int = Field(ge=1, le=100_000)
    fp16_tflops: int = Field(ge=1, le=1_000_000)
    domestic: bool
    watts: int = Field(ge=1, le=100_000)
    source: str = Field("", max_length=200)


class SiteIn(Schema):
    """`tariff`: identifier of a tariff in force. `pue_bps`: power usage effectiveness in 1/10000."""

    operator: Id
    code: str = Field(pattern=r"^[-\w]{1,40}$")
    name: str = Field(min_length=1, max_length=80)
    region: str
    division: str = Field(pattern=r"^\d{6}$")
    tariff: str = Field(min_length=1, max_length=80)
    pue_bps: int = Field(13_000, ge=catalogue.PUE_BPS_MIN, le=catalogue.PUE_BPS_MAX)


class SiteOut(Schema):
    id: int
    code: str
    name: str
    operator: int = Field(alias="operator_id")
    region: str = Field(alias="region.code")
    division: str
    tariff: str
    pue_bps: int


class PoolIn(Schema):
    site: str
    model: str
    cards: int = Field(ge=1, le=catalogue.CARDS_MAX)
    list_price_fen: Fen = Field(ge=1, le=catalogue.LIST_PRICE_FEN_MAX)


class RoundOut(Schema):
    number: int
    title: str
    start_hour: Hour
    end_hour: Hour
    state: str
    digests: dict[str, str]
    figures: dict[str, Any]
    index_price_mfen: int | None
    published_at: datetime | None


class SlotPriceOut(Schema):
    pool: int = Field(alias="pool_id")
    hour: Hour
    price_mfen: int
    offered_cards: int
    sold_cards: int


class TaskIn(Schema):
    """A task in words, or its figures; figures given win over words."""

    text: str = Field("", max_length=500)
    kind: needs.Kind | None = None
    parameters_million: int | None = Field(None, ge=1, le=needs.PARAMETERS_MILLION_MAX)
    tokens_thousand: int | None = Field(None, ge=1, le=needs.TOKENS_THOUSAND_MAX)
    reference_hours: int | None = Field(None, ge=1, le=needs.CARDS_MAX * needs.HOURS_MAX)


class NeedOut(Schema):
    """What a task needs on one model and what it would cost at the newest slot prices (None: no price known)."""

    model: str
    cards: int
    hours: int
    memory_gib: int
    low_fen: Fen | None
    high_fen: Fen | None


class QuoteIn(Schema):
    """`need`: hours on each acceptable model, as `code:hours`; no regions means all."""

    cards: int = Field(ge=1, le=request_actions.CARDS_MAX)
    need: list[Annotated[str, Field(pattern=r"^[-\w]{1,40}:[1-9]\d{0,2}$")]] = Field(min_length=1, max_length=50)
    regions: list[str] = Field(default=[], max_length=50)


class QuoteOut(Schema):
    """An estimate from the last published round, not an offer."""

    low_fen: Fen | None
    high_fen: Fen | None
    round: int | None


def hour_of(field: str, instant: datetime) -> int:
    """The hour slot that begins at the instant. Raises Invalid off the hour or without an offset."""
    if instant.tzinfo is None or instant.utcoffset() is None:
        raise invalid(field, instant, _("an instant with an offset, such as 2026-11-21T08:00:00+08:00"))
    if instant.timestamp() % 3600:
        raise invalid(field, instant, _("on the hour"))
    return clock.hour_of(instant)


def _models(hours: dict[str, int]) -> dict[CardModel, int]:
    known = {model.code: model for model in CardModel.objects.filter(code__in=hours)}
    for code in hours:
        if code not in known:
            raise invalid("hours", code, _("no such card model"))
    return {known[code]: need for code, need in hours.items()}


def _regions(codes: list[str]) -> list[Region]:
    known = {region.code: region for region in Region.objects.filter(code__in=codes)}
    for code in codes:
        if code not in known:
            raise invalid("regions", code, _("no such region"))
    return [known[code] for code in dict.fromkeys(codes)]


def _party(request: HttpRequest, permission: str, pk: int) -> Party:
    return access.get_visible(Party.objects.all(), actor(request), permission, pk=pk)


def _round(request: HttpRequest, number: int) -> Round:
    found = queries.rounds_for(actor(request)).filter(number=number).first()
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


@router.get("/card-models", response=list[CardModelOut])
def card_models(request: HttpRequest) -> Any:
    """All card models."""
    actor(request).require(READ)
    return CardModel.objects.order_by("code")[:LIST_MAX]


@router.post("/card-models", response=CardModelOut)
def define_card_model(request: HttpRequest, body: CardModelIn) -> CardModel:
    """Create a card model or correct its figures (officers)."""
    return catalogue.define_card_model(actor(request), key=key(request), **body.model_dump())


@router.get("/regions", response=list[RegionOut])
def list_regions(request: HttpRequest) -> Any:
    """All scheduling regions."""
    actor(request).require(READ)
    return Region.objects.order_by("code")[:LIST_MAX]


@router.post("/regions", response=RegionOut)
def define_region(request: HttpRequest, body: RegionIn) -> Region:
    """Create a scheduling region or rename it (officers)."""
    return catalogue.define_region(actor(request), key=key(request), **body.model_dump())


@router.get("/sites", response=list[SiteOut])
def sites(request: HttpRequest) -> Any:
    """All sites."""
    actor(request).require(READ)
    return Site.objects.select_related("region").order_by("id")[:LIST_MAX]


@router.post("/sites", response=SiteOut)
def define_site(request: HttpRequest, body: SiteIn) -> Site:
    """Create a site of an operator or change it."""
    return catalogue.define_site(
        actor(request), key=key(request), operator=_party(request, MANAGE_SITES, body.operator),
        region=_regions([body.region])[0], **body.model_dump(exclude={"operator", "region"}),
    )  # fmt: skip


@router.post("/pools", response=PoolOut)
def define_pool(request: HttpRequest, body: PoolIn) -> Pool:
    """Say how many cards of a model a site has and what they cost off the bank."""
    who = actor(request)
    site = access.get_visible(Site.objects.all(), who, MANAGE_SITES, code=body.site)
    model = next(iter(_models({body.model: 1})))
    return catalogue.define_pool(
        who, key=key(request), site=site, card_model=model, cards=body.cards, list_price_fen=body.list_price_fen
    )


@router.get("/pools", response=list[PoolOut])
def pools(request: HttpRequest) -> Any:
    """All pools."""
    actor(request).require(READ)
    return Pool.objects.select_related("site__region", "card_model").order_by("id")[:LIST_MAX]


@router.get("/deposits", response=Page[DepositOut])
def list_deposits(request: HttpRequest, paging: Query[Paging]) -> Cut:
    """Deposits that you may see, newest first."""
    return cut(queries.deposits(actor(request)), paging)


@router.post("/deposits", response=DepositOut)
def submit_deposit(request: HttpRequest, body: DepositIn) -> Deposit:
    """Offer idle cards."""
    who = actor(request)
    resold = None
    if body.resold_from is not None:
        resold = access.get_visible(Allocation.objects.all(), who, DEPOSIT, pk=body.resold_from)
    pool = Pool.objects.filter(pk=body.pool).first()
    if pool is None:
        raise invalid("pool", body.pool, _("no such pool"))
    return deposits.submit_deposit(
        who, key=key(request), depositor=_party(request, DEPOSIT, body.depositor), pool=pool,
        stretches=[
            deposits.Stretch(hour_of("start", item.start), hour_of("end", item.end), item.cards)
            for item in body.stretches
        ],
        base_price_fen=body.base_price_fen, energy=body.energy, settle_in=body.settle_in,
        recall_notice_hours=body.recall_notice_hours, resold_from=resold,
    )  # fmt: skip


@router.get("/deposits/{pk}", response=DepositOut)
def one_deposit(request: HttpRequest, pk: Id) -> Deposit:
    """One deposit."""
    return queries.deposit(actor(request), pk)


@router.post("/deposits/{pk}/withdraw", response=DepositOut)
def withdraw_deposit(request: HttpRequest, pk: Id) -> Deposit:
    """Take back a deposit of which nothing was sold."""
    who = actor(request)
    return deposits.withdraw_deposit(who, key=key(request), deposit=queries.deposit(who, pk))


@router.post("/deposits/{pk}/recall", response=DepositOut)
def recall(request: HttpRequest, pk: Id, body: RecallIn) -> Deposit:
    """Take cards back or report that they failed; what is affected is rescheduled."""
    who = actor(request)
    found = queries.deposit(who, pk)
    recalls.recall_cards(
        who, key=key(request), deposit=found, start_hour=hour_of("start", body.start),
        end_hour=hour_of("end", body.end), cards=body.cards, reason=body.reason,
    )  # fmt: skip
    return queries.deposit(who, pk)


@router.get("/requests", response=Page[RequestOut])
def list_requests(request: HttpRequest, paging: Query[Paging]) -> Cut:
    """Requests that you may see, newest first."""
    return cut(queries.requests(actor(request)), paging)


@router.post("/requests", response=RequestOut)
def submit_request(request: HttpRequest, body: RequestIn) -> Request:
    """Ask for cards: holds the whole budget."""
    return request_actions.submit_request(
        actor(request), key=key(request), entity=_party(request, REQUEST, body.entity), title=body.title,
        cards=body.cards, hours=_models(body.hours), earliest_hour=hour_of("earliest", body.earliest),
        deadline_hour=hour_of("deadline", body.deadline), budget_fen=body.budget_fen,
        origin=_regions([body.origin])[0], regions=_regions(body.regions), mode=body.mode,
        min_piece_hours=body.min_piece_hours, pay_with=body.pay_with, carry_over=body.carry_over,
    )  # fmt: skip


@router.get("/requests/{pk}", response=RequestOut)
def one_request(request: HttpRequest, pk: Id) -> Request:
    """One request."""
    return queries.request(actor(request), pk)


@router.post("/requests/{pk}/withdraw", response=RequestOut)
def withdraw_request(request: HttpRequest, pk: Id) -> Request:
    """Withdraw a request that no round has taken yet."""
    who = actor(request)
    return request_actions.withdraw_request(who, key=key(request), request=queries.request(who, pk))


@router.get("/requests/{pk}/allocations", response=list[AllocationOut])
def request_allocations(request: HttpRequest, pk: Id) -> Any:
    """What rounds gave a request."""
    return queries.request(actor(request), pk).allocations.select_related("round").order_by("id")


@router.get("/requests/{pk}/proof", response=dict[str, Any])
def request_proof(request: HttpRequest, pk: Id) -> dict[str, Any]:
    """Your row as it entered the round, its salt, and its place under the published commitments root."""
    found = queries.request(actor(request), pk)
    if found.round is None or found.round.published_at is None:
        raise invalid("pk", pk, _("its round is not published"))
    return public.own_row(found.round, found)


@router.post("/allocations/{pk}/deliveries", response=DeliveryOut)
def report_delivery(request: HttpRequest, pk: Id, body: DeliveryIn) -> Delivery:
    """Report card-time delivered to an allocation at your site."""
    who = actor(request)
    return delivery.report_delivery(
        who, key=key(request), allocation=queries.allocation_at(who, pk), start_hour=hour_of("start", body.start),
        end_hour=hour_of("end", body.end), milli_card_hours=body.milli_card_hours, evidence=body.evidence,
    )  # fmt: skip


@router.get("/allocations", response=Page[AllocationOut])
def list_allocations(request: HttpRequest, paging: Query[Paging]) -> Cut:
    """Allocations at the sites for which you report delivery."""
    return cut(queries.allocations(actor(request)), paging)


@router.post("/allocations/{pk}/finish", response=AllocationOut)
def finish_early(request: HttpRequest, pk: Id, body: FinishIn) -> Allocation:
    """The job ends at this hour: whole hours after the published notice are freed."""
    who = actor(request)
    return allocations.finish_early(
        who, key=key(request), allocation=_own(request, pk), hour=hour_of("at", body.at)
    )


@router.post("/allocations/{pk}/cancel", response=AllocationOut)
def cancel(request: HttpRequest, pk: Id) -> Allocation:
    """Cancel before the first hour: what comes back follows the published table."""
    allocations.cancel_allocation(actor(request), key=key(request), allocation=_own(request, pk))
    return _own(request, pk)


@router.post("/allocations/{pk}/cap", response=AllocationOut)
def cap(request: HttpRequest, pk: Id, body: CapIn) -> Allocation:
    """Set the spending cap at which work stops."""
    return allocations.set_spending_cap(
        actor(request), key=key(request), allocation=_own(request, pk), cap_fen=body.cap_fen
    )


@router.post("/accounts/transfer", response=TransferOut)
def transfer(request: HttpRequest, body: TransferIn) -> dict[str, int]:
    """Pass standard card-hours of a compute account to another entity; their expiry stays."""
    taker = Party.objects.filter(pk=body.taker).first()
    if taker is None:
        raise invalid("taker", body.taker, _("no such party"))
    moved = accounts.transfer_balance(
        actor(request), key=key(request), giver=_party(request, ACCOUNT, body.giver), taker=taker, milli=body.milli
    )
    return {"milli": moved}


def _own(request: HttpRequest, pk: int) -> Allocation:
    return access.get_visible(Allocation.objects.select_related("round"), actor(request), REQUEST, pk=pk)


@router.get("/rounds", response=Page[RoundOut])
def list_rounds(request: HttpRequest, paging: Query[Paging]) -> Cut:
    """Published rounds; drafts and cleared rounds too for those who verify rounds."""
    return cut(queries.rounds_for(actor(request)), paging)


@router.get("/rounds/{number}/prices", response=list[SlotPriceOut], auth=None)
def prices(request: HttpRequest, number: Id, first_hour: Hour | None = None, hours: int = 24) -> Any:
    """Slot prices of a published round (public), at most a week of hours from `first_hour`."""
    return queries.slot_prices(_published(number), first_hour, min(max(hours, 1), 168))


@router.get("/rounds/{number}/public", response=dict[str, Any], auth=None)
def public_document(request: HttpRequest, number: Id) -> dict[str, Any]:
    """The public document of a published round, for the one-file verifier (public)."""
    return public.document(_published(number))


@router.get("/rounds/{number}", response=RoundOut)
def one_round(request: HttpRequest, number: Id) -> Round:
    """One round."""
    return _round(request, number)


@router.post("/rounds", response=RoundOut)
def open_round(request: HttpRequest, body: RoundIn) -> Round:
    """Open a round over whole days."""
    return rounds.open_round(
        actor(request), key=key(request), title=body.title, start_hour=hour_of("start", body.start),
        hours=body.hours, terms=body.terms,
    )  # fmt: skip


@router.post("/rounds/{number}/clear", response=RoundOut)
def clear(request: HttpRequest, number: Id) -> Round:
    """Queue the clearing of a draft round; a worker does it."""
    return rounds.start_clearing(actor(request), key=key(request), round=_round(request, number))


@router.post("/rounds/{number}/cancel", response=RoundOut)
def cancel_round(request: HttpRequest, number: Id) -> Round:
    """Cancel a round that is not published; its requests wait for the next."""
    return rounds.reopen(actor(request), key=key(request), round=_round(request, number))


@router.post("/rounds/{number}/settle", response=RoundOut)
def settle_round(request: HttpRequest, number: Id) -> Round:
    """Close a round in which every allocation is finished."""
    return rounds.settle(actor(request), key=key(request), round=_round(request, number))


@router.post("/rounds/{number}/publish", response=RoundOut)
def publish(request: HttpRequest, number: Id) -> Round:
    """Publish a cleared round."""
    return rounds.publish(actor(request), key=key(request), round=_round(request, number))


@router.get("/rounds/{number}/verify", response=list[str])
def verify(request: HttpRequest, number: Id) -> list[str]:
    """Verify the stored result of a round (auditors, officers): what is false, empty when all holds."""
    actor(request).require(VERIFY)
    return public.verify(_round(request, number))


def _published(number: int) -> Round:
    found = Round.objects.filter(number=number, state__in=queries.PUBLISHED).first()
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


@router.get("/estimate", response=list[NeedOut], auth=None)
def estimate(request: HttpRequest, body: Query[TaskIn]) -> list[NeedOut]:
    """Needs estimate: from a task to cards, memory, hours and a price range on each model (public)."""
    given = body.model_dump(include={"parameters_million", "tokens_thousand", "reference_hours"}, exclude_none=True)
    task = needs.DEFAULTS[body.kind] if body.kind else needs.from_words(body.text)
    if task is None and not {"parameters_million", "tokens_thousand"} & given.keys():
        raise invalid("text", body.text, _("not understood: say the kind of task, the parameters or the tokens"))
    task = task or needs.DEFAULTS[needs.Kind.LORA_TUNE]
    return [NeedOut(**row) for row in quotes.priced(needs.replace(task, **given))]


@router.get("/quote", response=QuoteOut, auth=None)
def quote(request: HttpRequest, body: Query[QuoteIn]) -> dict[str, Any]:
    """Instant quote from the newest published slot prices (public)."""
    regions = _regions(body.regions) if body.regions else list(Region.objects.all())
    hours = {code: int(need) for code, _colon, need in (item.rpartition(":") for item in body.need)}
    return quotes.quote(body.cards, _models(hours), regions)._asdict()
