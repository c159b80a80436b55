"""Reads of the desk that more than one face needs. Each takes the actor and shows only what is theirs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db.models import Count, F, Max, Min, Prefetch, Q, QuerySet, Sum, Value
from django.db.models.functions import Greatest
from django.utils.translation import gettext as _

from huoshui.base import access, canonical, clock
from huoshui.base.access import Actor
from huoshui.base.errors import Missing
from huoshui.base.models import LogRecord
from huoshui.base.queries import log_records
from huoshui.book.models import GRANT, Account, Entry, Kind, Statement
from huoshui.book.permissions import READ as READ_BOOK
from huoshui.book.services import SCH
from huoshui.compute.accounts import EXPIRES
from huoshui.compute.budgets import subject_of
from huoshui.compute.models import (
    Allocation,
    CardModel,
    Delivery,
    Deposit,
    Pool,
    Region,
    Request,
    Round,
    Run,
    Site,
    SlotPrice,
)
from huoshui.compute.permissions import DELIVER, DEPOSIT, MANAGE_SITES, READ, REQUEST, VERIFY
from huoshui.registry.models import Party, RoleKind
from huoshui.registry.queries import parties_of, publications_in_force
from huoshui.terms.round_terms import RoundTerms
from huoshui.terms.rounding import MILLI

DIGITS_MAX = 18
PUBLISHED = (Round.State.PUBLISHED, Round.State.SETTLED)
Int64 = npt.NDArray[np.int64]


def deposits(actor: Actor, *, text: str = "", state: str = "", pool: int | None = None) -> QuerySet[Deposit]:
    """Deposits that the actor may see, newest first. `text` is a number or a part of the depositor's name."""
    found = access.visible(Deposit.objects.all(), actor, READ).select_related(
        "depositor", "pool__site", "pool__card_model"
    )
    if state:
        found = found.filter(state=state)
    if pool:
        found = found.filter(pool=pool)
    if text := text.strip():
        found = found.filter(_found(text, "D", Q(depositor__name__icontains=text)))
    return found.order_by("-id")


def deposit(actor: Actor, pk: int) -> Deposit:
    """One deposit. Raises Missing."""
    rows = Deposit.objects.select_related("depositor", "pool__site__region", "pool__card_model", "resold_from")
    return access.get_visible(rows, actor, READ, pk=pk)


def requests(actor: Actor, *, text: str = "", state: str = "", round: int | None = None) -> QuerySet[Request]:
    """Requests that the actor may see, newest first. `text`: a number, a part of the title or of the entity's name."""
    found = access.visible(Request.objects.all(), actor, READ).select_related("entity", "origin", "round")
    if state:
        found = found.filter(state=state)
    if round:
        found = found.filter(round__number=round)
    if text := text.strip():
        named = Party.objects.filter(name__icontains=text).values("pk")
        found = found.filter(_found(text, "R", Q(title__icontains=text) | Q(entity__in=named)))
    return found.order_by("-id")


def request(actor: Actor, pk: int) -> Request:
    """One request. Raises Missing."""
    rows = Request.objects.select_related("entity", "origin", "round").prefetch_related("models__card_model", "regions")
    return access.get_visible(rows, actor, READ, pk=pk)


def allocations(actor: Actor) -> QuerySet[Allocation]:
    """Allocations at the sites for which the actor reports delivery, newest first."""
    found = Allocation.objects.filter(pk__in=_at_sites(actor)).select_related(
        "request__entity", "pool__site", "pool__card_model", "round"
    )
    return found.order_by("-id")


def _at_sites(actor: Actor) -> Any:
    """Keys of the allocations whose newest schedule runs, at least in part, at the actor's sites."""
    sites = access.visible(Site.objects.all(), actor, DELIVER)
    return Run.objects.filter(version=F("allocation__version"), pool__site__in=sites).values("allocation")


def dated(rows: QuerySet[Allocation]) -> Any:
    """The same with the first and last hour of their schedule, the earliest end first."""
    current = Q(runs__version=F("version"))
    return rows.annotate(
        first_hour=Min("runs__start_hour", filter=current), last_hour=Max("runs__end_hour", filter=current)
    ).order_by("last_hour", "id")


def allocation_at(actor: Actor, pk: int) -> Allocation:
    """One allocation at a site of the actor. Raises Missing."""
    rows = Allocation.objects.filter(pk__in=_at_sites(actor)).select_related("request__entity", "pool__site", "round")
    found = rows.filter(pk=pk).first()
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


def schedule(allocation: Allocation) -> list[Run]:
    """The runs of the newest schedule, in order."""
    return list(allocation.runs.filter(version=allocation.version).select_related("pool").order_by("start_hour"))


@dataclass(frozen=True)
class Progress:
    """An allocation with the hours of its schedule, and the milli-card-hours to deliver and reported."""

    allocation: Allocation
    first_hour: int
    last_hour: int
    given: int
    reported: int


def delivery_progress(rows: Iterable[Allocation]) -> list[Progress]:
    """How far the delivery of each allocation is, in two queries."""
    found = list(rows)
    runs = Run.objects.filter(allocation__in=found, version=F("allocation__version")).values("allocation").order_by()
    hours = {
        row["allocation"]: (row["first"], row["last"], row["hours"])
        for row in runs.annotate(
            first=Min("start_hour"), last=Max("end_hour"), hours=Sum(F("end_hour") - F("start_hour"))
        )
    }
    reports = Delivery.objects.filter(allocation__in=found).values("allocation").annotate(all=Sum("milli_card_hours"))
    reported = {row["allocation"]: row["all"] for row in reports.order_by()}
    return [
        Progress(row, first, last, length * row.request.cards * MILLI, reported.get(row.pk, 0))
        for row in found
        for first, last, length in [hours[row.pk]]
    ]


def schedule_ahead(actor: Actor) -> QuerySet[Run]:
    """Runs at the actor's sites that are not over, in order of time."""
    sites = access.visible(Site.objects.all(), actor, DELIVER)
    rows = Run.objects.filter(
        pool__site__in=sites, end_hour__gt=clock.hour_of(clock.now()), version=F("allocation__version"),
        allocation__state=Allocation.State.PLANNED,
    )  # fmt: skip
    rows = rows.select_related("allocation__request__entity", "pool__site", "pool__card_model")
    return rows.order_by("start_hour", "id")


def rounds() -> QuerySet[Round]:
    """All rounds, newest first. What of a round may be seen depends on its state and the actor's role."""
    return Round.objects.order_by("-number")


def rounds_for(actor: Actor) -> QuerySet[Round]:
    """Published rounds for everyone who sees the desk; all of them for those who verify rounds."""
    actor.require(READ)
    return rounds() if actor.can(VERIFY) else rounds().filter(state__in=PUBLISHED)


def slot_prices(round_: Round, first_hour: int | None, hours: int) -> QuerySet[SlotPrice]:
    """Slot prices of a published round from an hour on (default: its first), by pool and hour."""
    start = round_.start_hour if first_hour is None else first_hour
    return SlotPrice.objects.filter(round=round_, hour__gte=start, hour__lt=start + hours).order_by("pool_id", "hour")


def next_open_hour() -> int:
    """The first local midnight ahead that no round has taken yet."""
    tomorrow = clock.hour_of(clock.day_start(clock.today() + timedelta(days=1)))
    taken = Round.objects.exclude(state=Round.State.CANCELLED).aggregate(last=Max("end_hour"))["last"]
    return max(tomorrow, taken or 0)


def last_published() -> Round | None:
    """The newest round with published prices."""
    return Round.objects.filter(state__in=PUBLISHED).order_by("-number").first()


def terms_in_force() -> RoundTerms | None:
    """The round terms that hold today; None before any are published."""
    publication = publications_in_force("round_terms").last()
    return publication.loaded() if publication else None


def depositing_parties(actor: Actor) -> QuerySet[Party]:
    """Parties for which the actor may deposit."""
    return parties_of(actor, DEPOSIT).order_by("name")


def requesting_parties(actor: Actor) -> QuerySet[Party]:
    """Entities, and operators with what they deposited, for which the actor may ask for cards."""
    kinds = (RoleKind.ENTITY, RoleKind.OPERATOR)
    return parties_of(actor, REQUEST).filter(roles__kind__in=kinds).distinct().order_by("name")


def sites(actor: Actor, *, text: str = "", region: Region | None = None) -> QuerySet[Site]:
    """Sites that the actor manages, with pools, by name. `text`: a code, a part of a name or of the operator's."""
    found = access.visible(Site.objects.all(), actor, MANAGE_SITES).select_related("operator", "region")
    if region:
        found = found.filter(region=region)
    if text := text.strip():
        found = found.filter(Q(name__icontains=text) | Q(code=text) | Q(operator__name__icontains=text))
    pools = Pool.objects.select_related("card_model").order_by("card_model__name")
    return found.prefetch_related(Prefetch("pools", pools)).order_by("name", "id")


def regions() -> QuerySet[Region]:
    """All regions by code, with `sites`, the number of their sites."""
    return Region.objects.annotate(sites=Count("site")).order_by("code")


def _found(text: str, letter: str, words: Q) -> Q:
    """What a text finds: `R000012` just that row, `12` also rows with it in their words, else those words."""
    digits = text.upper().removeprefix(letter)
    if not digits.isdecimal() or len(digits) > DIGITS_MAX:
        return words
    return Q(pk=int(digits)) | words if digits == text else Q(pk=int(digits))


# --- what came of a request -------------------------------------------------------------------------------------------


def allocation_of(request: Request) -> Allocation | None:
    """The newest allocation of a request; None when no round served it."""
    rows = request.allocations.select_related("request__entity", "round", "pool__site__region", "pool__card_model")
    return rows.order_by("-id").first()


def payments(found: Iterable[Request]) -> dict[int, int]:
    """What the newest allocation of each request pays at most (fen), by the request's key."""
    rows = Allocation.objects.filter(request__in=[request.pk for request in found]).order_by("id")
    return dict(rows.values_list("request", "payment_fen"))


def statements(request: Request) -> list[Statement]:
    """The buyer's statement of a request and the compensations beside it, oldest first, each with `total` in fen."""
    rows = Statement.objects.filter(desk="compute", subject=subject_of(request)).select_related("payer")
    return list(rows.annotate(total=Sum("lines__amount")).order_by("id"))


def receipts(request: Request) -> list[LogRecord]:
    """Sealed log records of a request, its allocations and their schedules, oldest first."""
    labels = [canonical.label(row) for row in (request, *request.allocations.all())]
    placed = Run.objects.filter(allocation__request=request).values("record")
    rows = LogRecord.objects.filter(Q(subject__in=labels) | Q(pk__in=placed), leaf__isnull=False)
    return list(rows.order_by("id"))


def provable(actor: Actor, records: Iterable[LogRecord]) -> set[int]:
    """Keys of the records whose receipt the actor may see (`book.queries.record` decides the same for one)."""
    keys = [record.pk for record in records]
    moved = access.visible(Account.objects.filter(entries__posting__record__in=keys), actor, READ_BOOK)
    told = access.visible(Statement.objects.filter(events__record__in=keys), actor, READ_BOOK)
    found = set(log_records(actor).filter(pk__in=keys).values_list("pk", flat=True))
    found |= set(moved.values_list("entries__posting__record", flat=True))
    return found | set(told.values_list("events__record", flat=True))


# --- compute accounts -------------------------------------------------------------------------------------------------


def account_holders(actor: Actor) -> QuerySet[Party]:
    """Parties whose compute account the actor may see: their own, and with a role everywhere all that ever had one."""
    found = parties_of(actor, READ)
    if access.EVERYWHERE in actor.scopes(READ):
        found = found.filter(accounts__asset=SCH).exclude(roles__kind=RoleKind.CENTRE)
    return found.distinct().order_by("name")


def account_holder(actor: Actor, pk: int) -> Party:
    """One of them. Raises Missing."""
    return access.get_visible(Party.objects.all(), actor, READ, pk=pk)


def account_balances(found: Iterable[Party], kind: str) -> dict[int, int]:
    """Milli standard card-hours of one kind of account, by the party's key."""
    rows = Account.objects.filter(party__in=[party.pk for party in found], asset=SCH, kind=kind)
    totals = rows.exclude(subject__startswith=GRANT).values_list("party").annotate(total=Sum("balance__amount"))
    return dict(totals.order_by())


def movements(party: Party) -> QuerySet[Entry]:
    """Entries of what a party may use of its compute account, newest first."""
    rows = Entry.objects.filter(account__party=party, account__asset=SCH, account__kind=Kind.LIMIT)
    rows = rows.filter(account__subject__startswith=EXPIRES)
    return rows.select_related("account", "posting__record").order_by("-id")


# --- prices -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Grid:
    """Prices and cards of a published round: arrays int64[pools, hours], 1/1000 fen per card-hour and cards."""

    round: Round
    pools: list[Pool]
    price: Int64
    shadow: Int64
    offered: Int64
    sold: Int64

    @property
    def free(self) -> Int64:
        return self.offered - self.sold

    def by_region(self) -> dict[str, Int64]:
        """Mean price of each region and hour, weighted by offered cards; 0 where nothing is offered (int64[hours])."""
        found: dict[str, Int64] = {}
        for region in dict.fromkeys(pool.site.region.name for pool in self.pools):
            rows = [index for index, pool in enumerate(self.pools) if pool.site.region.name == region]
            weight = self.offered[rows].sum(axis=0)
            found[region] = (self.price[rows] * self.offered[rows]).sum(axis=0) // np.maximum(weight, 1)
        return found


def grid(round_: Round) -> Grid:
    """The published grid of a round, in two queries."""
    rows = SlotPrice.objects.filter(round=round_).order_by("pool_id", "hour")
    values = np.array(
        list(rows.values_list("pool_id", "hour", "price_mfen", "shadow_price_mfen", "offered_cards", "sold_cards")),
        np.int64,
    ).reshape(-1, 6)
    pools = list(
        Pool.objects.filter(pk__in=np.unique(values[:, 0]).tolist())
        .select_related("site__region", "site__operator", "card_model")
        .order_by("id")
    )
    columns = values[:, 2:].T.reshape(4, len(pools), round_.hours) if len(pools) else np.zeros((4, 0, round_.hours))
    price, shadow, offered, sold = (np.ascontiguousarray(column, np.int64) for column in columns)
    return Grid(round_, pools, price, shadow, offered, sold)


def own_first(grid: Grid, operators: set[int]) -> Grid:
    """The same grid with the pools of some operators before the others."""
    order = sorted(range(len(grid.pools)), key=lambda row: grid.pools[row].site.operator_id not in operators)
    columns = (column[order] for column in (grid.price, grid.shadow, grid.offered, grid.sold))
    return Grid(grid.round, [grid.pools[row] for row in order], *columns)


# --- before signing ---------------------------------------------------------------------------------------------------


def list_price(cards: int, hours: Mapping[CardModel, int], regions: Sequence[Region]) -> int | None:
    """The cheapest list price of the whole run over acceptable pools (fen)."""
    pools = Pool.objects.filter(card_model__in=hours.keys(), site__region__in=regions)
    prices = [pool.list_price_fen * cards * hours[pool.card_model] for pool in pools.select_related("card_model")]
    return min(prices, default=None)


# --- the desk at a glance ---------------------------------------------------------------------------------------------


def supply(actor: Actor) -> dict[str, int]:
    """Card-hours from now on: offered by open deposits the actor may see, and sold of them."""
    now = clock.hour_of(clock.now())
    mine = access.visible(Deposit.objects.filter(state=Deposit.State.OPEN), actor, READ)

    def ahead(rows: QuerySet[Deposit], of: str) -> int:
        hours = F(f"{of}__end_hour") - Greatest(F(f"{of}__start_hour"), Value(now))
        return rows.aggregate(all=Sum(F(f"{of}__cards") * hours))["all"] or 0

    sold = Q(
        shares__end_hour__gt=now, shares__version=F("shares__allocation__version"),
        shares__allocation__state=Allocation.State.PLANNED,
    )  # fmt: skip
    return {
        "offered": ahead(mine.filter(stretches__end_hour__gt=now), "stretches"),
        "sold": ahead(mine.filter(sold), "shares"),
    }


def demand(actor: Actor) -> dict[str, int]:
    """How many requests the actor may see, by state."""
    rows = access.visible(Request.objects.all(), actor, READ).values("state").annotate(count=Count("id")).order_by()
    return {row["state"]: row["count"] for row in rows}


def refusals(round_: Round) -> dict[str, int]:
    """Refused requests of a round by reason code, most frequent first."""
    counts: dict[str, int] = {}
    for refusal in Request.objects.filter(round=round_, refusal__isnull=False).values_list("refusal", flat=True):
        code = refusal["code"] if refusal else ""
        counts[code] = counts.get(code, 0) + 1
    return dict(sorted(counts.items(), key=lambda pair: -pair[1]))
