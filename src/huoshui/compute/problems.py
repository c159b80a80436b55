"""From the desk's tables to the arrays of one round: what is offered, at what reserve, and what is asked.

The solver never sees a publication or a row. Three steps happen here and nowhere else:

* **Offers**: open deposits within the horizon, less what was recalled, less what earlier rounds gave away, and not more
  than the pool still has when what else takes its cards (bookings, cards out of order) is counted.
* **Reserve price** of a card-hour = (base price + energy) / (1 − fee), rounded up to the price step, where
  energy = watts × PUE × tariff, or watts × the marginal price of the site's energy plan where one is in force. So the
  depositor still has its reserve after the fee.
* **Requests**: windows and hours relative to the horizon, transfer lead time and cost from the round terms, and whether
  a request is small or goes first.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, time
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db.models import F, QuerySet

from huoshui.base import clock
from huoshui.clearing import capacity
from huoshui.clearing.capacity.problem import PRICE_MAX
from huoshui.compute import energy_prices
from huoshui.compute.models import (
    Allocation,
    CardModel,
    Deposit,
    DepositStretch,
    Pool,
    Recall,
    Region,
    Request,
    RequestModel,
    Round,
    Share,
    Site,
)
from huoshui.registry.models import Publication
from huoshui.registry.queries import calendar, publication_in_force
from huoshui.terms.round_terms import RoundTerms
from huoshui.terms.rounding import BPS

Int64 = npt.NDArray[np.int64]
MILLI = 1000


def terms_of(round_: Round) -> RoundTerms:
    """The terms that the round was opened under, by digest."""
    terms: RoundTerms = Publication.objects.get(kind="round_terms", digest=round_.terms_digest).loaded()
    return terms


def unpublished(start: int, end: int) -> QuerySet[Round]:
    """Rounds over some of these hours that may still sell cards; one with stored data has taken deposits in."""
    waiting = (Round.State.DRAFT, Round.State.CLEARED)
    return Round.objects.filter(state__in=waiting, start_hour__lt=end, end_hour__gt=start)


def energy_price_mfen(site: Site, model: CardModel, hours: Int64) -> Int64:
    """Energy of one card for one hour in 1/1000 fen, rounded up, for hours since the epoch (int64[T], ascending).

    When another tariff comes into force within the hours, it holds from its first day. Where a hook of `energy_prices`
    knows what a kWh at the card costs, that stands instead of tariff × PUE.
    """
    days = [clock.local(clock.instant_of(int(hour))).date() for hour in (hours[0], hours[-1])]
    first, last = (publication_in_force("tariff", site.tariff, day) for day in days)
    known = calendar()
    per_kwh = first.loaded().hourly_prices(hours, known)
    if last.pk != first.pk:
        change = clock.hour_of(datetime.combine(last.effective_from, time(), clock.LOCAL))
        per_kwh = np.where(hours < change, per_kwh, last.loaded().hourly_prices(hours, known))
    by_tariff = -(-per_kwh * model.watts * site.pue_bps // (1000 * BPS))
    planned = energy_prices.known(site, hours)
    return np.where(planned == energy_prices.UNKNOWN, by_tariff, -(-planned * model.watts // 1000))


def gross_reserve_mfen(net_mfen: Int64, terms: RoundTerms) -> Int64:
    """Lowest slot price that leaves the depositor `net_mfen` after the fee, on the price step (int64)."""
    gross = -(-net_mfen * BPS // (BPS - terms.fee_bps))
    return -(-gross // terms.price_step) * terms.price_step


@dataclass(frozen=True)
class Offers:
    """Deposits of a horizon as columns: rows in the order of `deposits`."""

    deposits: list[Deposit]
    cards: npt.NDArray[np.int32]
    reserve: Int64


@dataclass(frozen=True)
class Built:
    """A problem with the rows that its indices stand for."""

    problem: capacity.Problem
    pools: list[Pool]
    deposits: list[Deposit]
    requests: list[Request]

    @cached_property
    def pool_index(self) -> dict[int, int]:
        return {pool.pk: index for index, pool in enumerate(self.pools)}


def free_cards(
    deposits: list[Deposit], start: int, end: int, given: QuerySet[Share] | None = None
) -> npt.NDArray[np.int32]:
    """Cards that each deposit still has to offer, int32[D, end−start]: offered − recalled − given away.

    `given`: the shares that count as given away (default: all that hold).
    """
    row = {deposit.pk: index for index, deposit in enumerate(deposits)}
    cards = np.zeros((len(deposits), end - start), np.int32)

    def add(rows: Any, sign: int) -> None:
        for pk, first, last, count in rows:
            if pk in row:
                cards[row[pk], max(first, start) - start : min(last, end) - start] += sign * count

    def within(queryset: Any) -> Any:
        found = queryset.filter(start_hour__lt=end, end_hour__gt=start)
        return found.values_list("deposit_id", "start_hour", "end_hour", "cards")

    add(within(DepositStretch.objects), 1)
    add(within(Recall.objects), -1)
    add(within(live_shares() if given is None else given), -1)
    return np.maximum(cards, 0)


def live_shares() -> QuerySet[Share]:
    """Shares of the newest schedule of allocations that still hold."""
    return Share.objects.filter(
        version=F("allocation__version"),
        allocation__state__in=[Allocation.State.PLANNED, Allocation.State.FINISHED],
    )


def offers(start: int, end: int, terms: RoundTerms) -> Offers:
    """All that is on offer between two hours. Hours whose reserve is above the solver's highest price are not."""
    deposits = list(
        Deposit.objects.filter(state=Deposit.State.OPEN, stretches__start_hour__lt=end, stretches__end_hour__gt=start)
        .select_related("pool__site__region", "pool__card_model", "pool__site__operator")
        .distinct()
        .order_by("id")
    )
    hours = np.arange(start, end, dtype=np.int64)
    energy: dict[int, Int64] = {}
    reserve = np.zeros((len(deposits), end - start), np.int64)
    for index, deposit in enumerate(deposits):
        net = np.full(end - start, deposit.base_price_fen * MILLI, np.int64)
        if deposit.energy:
            pool = deposit.pool
            if pool.pk not in energy:
                energy[pool.pk] = energy_price_mfen(pool.site, pool.card_model, hours)
            net = net + energy[pool.pk]
        reserve[index] = gross_reserve_mfen(net, terms)
    cards = free_cards(deposits, start, end)
    _leave_out(deposits, cards, start, end)
    cards[reserve > PRICE_MAX] = 0
    return Offers(deposits, cards, np.minimum(reserve, PRICE_MAX))


def _leave_out(deposits: list[Deposit], cards: npt.NDArray[np.int32], start: int, end: int) -> None:
    """Take off `cards`, in place and off the newest deposits first, what a pool has promised beyond its cards: some of
    them do not work, or it was lowered."""
    from huoshui.compute.depositing import taken  # which stands on this module

    rows = defaultdict[Pool, list[int]](list)
    for index, deposit in enumerate(deposits):
        if deposit.resold_from_id is None:
            rows[deposit.pool].append(index)
    for pool, own in rows.items():
        offered = free_cards([deposits[index] for index in own], start, end, live_shares().none()).sum(axis=0)
        over = np.maximum(offered + taken(pool, start, end) - pool.cards, 0)
        for index in reversed(own):
            left_out = np.minimum(cards[index], over)
            cards[index] -= left_out.astype(np.int32)
            over -= left_out


def build(round_: Round) -> Built:
    """The problem of a round, as its tables stand now."""
    terms = terms_of(round_)
    offered = offers(round_.start_hour, round_.end_hour, terms)
    requests = list(
        Request.objects.filter(round=round_, state=Request.State.IN_ROUND)
        .select_related("origin")
        .prefetch_related("regions")
        .order_by("id")
    )
    pools = list({deposit.pool_id: deposit.pool for deposit in offered.deposits}.values())
    pools.sort(key=lambda pool: pool.pk)
    models = list(CardModel.objects.filter(pools__in=pools).distinct().order_by("id"))
    regions = list(Region.objects.order_by("id"))
    columns = _supply_columns(offered, pools, models, regions) | _demand_columns(
        requests, models, regions, terms, round_
    )
    problem = capacity.Problem(horizon_start=round_.start_hour, hours=round_.hours, **columns)
    return Built(problem, pools, offered.deposits, requests)


def restore(problem: capacity.Problem) -> Built:
    """A stored problem with the rows that its names stand for."""
    sites = {site.code: site.pk for site in Site.objects.filter(code__in=problem.sites)}
    models = {model.code: model.pk for model in CardModel.objects.filter(code__in=problem.models)}
    pools = {(pool.site_id, pool.card_model_id): pool for pool in _pools().filter(site__code__in=problem.sites)}
    deposits = Deposit.objects.select_related("depositor").in_bulk(_keys(problem.deposit_id))
    requests = Request.objects.select_related("entity").in_bulk(_keys(problem.request_id))
    return Built(
        problem,
        [
            pools[sites[problem.sites[site]], models[problem.models[model]]]
            for site, model in zip(problem.pool_site, problem.pool_model, strict=True)
        ],
        [deposits[pk] for pk in _keys(problem.deposit_id)],
        [requests[pk] for pk in _keys(problem.request_id)],
    )


def _pools() -> QuerySet[Pool]:
    return Pool.objects.select_related("site__region", "site__operator", "card_model")


def _keys(numbers: tuple[str, ...]) -> list[int]:
    """Primary keys out of numbers such as D000012."""
    return [int(number[1:]) for number in numbers]


def _supply_columns(
    offered: Offers, pools: list[Pool], models: list[CardModel], regions: list[Region]
) -> dict[str, Any]:
    sites = sorted({pool.site for pool in pools}, key=lambda site: site.pk)
    site_index = {site.pk: index for index, site in enumerate(sites)}
    model_index = {model.pk: index for index, model in enumerate(models)}
    region_index = {region.pk: index for index, region in enumerate(regions)}
    pool_index = {pool.pk: index for index, pool in enumerate(pools)}

    def column(values: Any) -> npt.NDArray[np.int32]:
        return np.array(list(values), np.int32)

    return {
        "sites": tuple(site.code for site in sites),
        "models": tuple(model.code for model in models),
        "regions": tuple(region.code for region in regions),
        "pool_site": column(site_index[pool.site_id] for pool in pools),
        "pool_model": column(model_index[pool.card_model_id] for pool in pools),
        "pool_region": column(region_index[pool.site.region_id] for pool in pools),
        "deposit_id": tuple(deposit.number for deposit in offered.deposits),
        "deposit_pool": column(pool_index[deposit.pool_id] for deposit in offered.deposits),
        "deposit_order": np.array([deposit.pk for deposit in offered.deposits], np.int64),
        "deposit_cards": offered.cards,
        "deposit_reserve": offered.reserve,
    }


def _demand_columns(
    requests: list[Request], models: list[CardModel], regions: list[Region], terms: RoundTerms, round_: Round
) -> dict[str, Any]:
    size = len(requests)
    row = {request.pk: index for index, request in enumerate(requests)}
    model_index = {model.pk: index for index, model in enumerate(models)}
    run_hours = np.zeros((size, len(models)), np.int32)
    needs = RequestModel.objects.filter(request__round=round_, request__state=Request.State.IN_ROUND)
    shortest: dict[int, int] = defaultdict(lambda: 0)
    for request_id, model_id, hours in needs.values_list("request_id", "card_model_id", "hours"):
        shortest[request_id] = min(shortest[request_id] or hours, hours)
        if model_id in model_index:
            run_hours[row[request_id], model_index[model_id]] = hours
    lead = np.full((size, len(regions)), -1, np.int32)
    transfer = np.zeros((size, len(regions)), np.int64)
    for index, request in enumerate(requests):
        accepted = {region.pk for region in request.regions.all()}
        for place, region in enumerate(regions):
            way = terms.transfer(request.origin.code, region.code)
            if region.pk in accepted and way is not None:
                lead[index, place] = way.lead_hours
                transfer[index, place] = way.cost_fen * MILLI

    def column(values: Any, dtype: Any = np.int32) -> npt.NDArray[Any]:
        return np.array(list(values), dtype)

    return {
        "request_id": tuple(request.number for request in requests),
        "cards": column(request.cards for request in requests),
        "run_hours": run_hours,
        "earliest": column(max(request.earliest_hour - round_.start_hour, 0) for request in requests),
        "deadline": column(min(request.deadline_hour, round_.end_hour) - round_.start_hour for request in requests),
        "budget": column((request.budget_fen * MILLI for request in requests), np.int64),
        "preemptible": column((request.mode == Request.Mode.PREEMPTIBLE for request in requests), np.bool_),
        "min_piece": column(request.min_piece_hours for request in requests),
        "small": column(
            (terms.is_small(request.cards * shortest[request.pk]) for request in requests), np.bool_
        ),
        "priority": column(request.priority for request in requests),
        "lead_hours": lead,
        "transfer_cost": transfer,
    }
