"""From a result's arrays to the rows and postings of a published round.

Within an hour of a pool the cheapest reserve serves first, then the earlier deposit, and requests take cards in the
order of their numbers: so it is determined which deposit serves whom. Equal neighbouring hours become one row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from huoshui.base.act import Act
from huoshui.base.models import LogRecord
from huoshui.book import services
from huoshui.book.services import Hold
from huoshui.clearing import capacity
from huoshui.compute import accounts, allocating
from huoshui.compute.budgets import payer_of, subject_of
from huoshui.compute.models import Allocation, Request, Round, Run, Share, SlotPrice
from huoshui.compute.problems import MILLI, Built, terms_of
from huoshui.terms.rounding import floor_share

Stretch = tuple[int, int]


@dataclass
class Served:
    """One served request: indices into the problem, hours relative to the horizon, money in fen."""

    request: int
    pool: int
    payment_fen: int
    transfer_fen: int
    concession_fen: int
    runs: list[Stretch]
    shares: list[tuple[int, int, int, int]] = field(default_factory=list)
    """(deposit, start, end, cards)"""


def slot_prices(round_: Round, built: Built, result: capacity.Result) -> list[SlotPrice]:
    """One row for every pool and hour of the round."""
    offered = built.problem.capacity
    sold = np.zeros(offered.shape, np.int64)
    np.add.at(sold, built.problem.deposit_pool, result.deposit_sold)
    return [
        SlotPrice(
            round=round_, pool=pool, hour=round_.start_hour + hour,
            price_mfen=int(result.slot_price[index, hour]), shadow_price_mfen=int(result.shadow_price[index, hour]),
            offered_cards=int(offered[index, hour]), sold_cards=int(sold[index, hour]),
        )
        for index, pool in enumerate(built.pools)
        for hour in range(round_.hours)
    ]  # fmt: skip


def allocations(round_: Round, built: Built, result: capacity.Result) -> list[Served]:
    """What each served request gets and pays at most."""
    problem, terms = built.problem, terms_of(round_)
    runs: dict[int, list[Stretch]] = defaultdict(list)
    for request, start, end in zip(result.run_request, result.run_start, result.run_end, strict=True):
        runs[int(request)].append((int(start), int(end)))
    served = []
    for request in np.flatnonzero(result.served):
        index, pool = int(request), int(result.pool[request])
        transfer = int(problem.transfer_cost[index, problem.pool_region[pool]]) // MILLI
        payment = int(result.payment[index]) // MILLI
        concession = floor_share(payment - transfer, terms.concession_bps)
        served.append(Served(index, pool, payment - concession, transfer, concession, runs[index]))
    uses = [(s.request, s.pool, int(problem.cards[s.request]), s.runs) for s in served]
    shares = merit_order(built, uses)
    for one in served:
        one.shares = shares[one.request]
    return served


def merit_order(
    built: Built, uses: list[tuple[int, int, int, list[Stretch]]]
) -> Mapping[int, list[tuple[int, int, int, int]]]:
    """Which deposits serve which request. `uses` = (request, pool, cards, runs), in the order in which they take."""
    problem = built.problem
    by_pool: dict[int, dict[int, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    for request, pool, cards, runs in uses:
        for start, end in runs:
            for hour in range(start, end):
                by_pool[pool][hour].append((request, cards))
    hourly: dict[tuple[int, int], dict[int, int]] = defaultdict(dict)
    for pool, hours in by_pool.items():
        deposits = np.flatnonzero(problem.deposit_pool == pool)
        for hour, takers in hours.items():
            for request, deposit, cards in _fill(built, deposits, hour, takers):
                hourly[request, deposit][hour] = cards
    found: dict[int, list[tuple[int, int, int, int]]] = defaultdict(list)
    for (request, deposit), cards_by_hour in hourly.items():
        found[request] += [(deposit, start, end, cards) for start, end, cards in stretches(cards_by_hour)]
    return found


def _fill(
    built: Built, deposits: np.ndarray[tuple[int], np.dtype[np.int64]], hour: int, takers: list[tuple[int, int]]
) -> Iterator[tuple[int, int, int]]:
    """(request, deposit, cards) in one cell: takers in order, along the ladder of deposits."""
    problem = built.problem
    ladder = sorted(
        deposits.tolist(), key=lambda d: (int(problem.deposit_reserve[d, hour]), int(problem.deposit_order[d]))
    )
    rungs = iter((deposit, int(problem.deposit_cards[deposit, hour])) for deposit in ladder)
    deposit, left = next(rungs)
    for request, wanted in takers:
        while wanted:
            while not left:
                deposit, left = next(rungs)
            taken = min(wanted, left)
            yield request, deposit, taken
            wanted, left = wanted - taken, left - taken


def stretches(cards_by_hour: Mapping[int, int]) -> Iterator[tuple[int, int, int]]:
    """Neighbouring hours with the same number of cards as (start, end, cards)."""
    start = previous = None
    for hour in sorted(cards_by_hour):
        if previous is not None and hour == previous + 1 and cards_by_hour[hour] == cards_by_hour[previous]:
            previous = hour
            continue
        if start is not None and previous is not None:
            yield start, previous + 1, cards_by_hour[previous]
        start = previous = hour
    if start is not None and previous is not None:
        yield start, previous + 1, cards_by_hour[previous]


def save(act: Act, record: LogRecord, round_: Round, built: Built, served: list[Served]) -> None:
    """Write allocations, runs and shares, keep what each pays at most and release the rest of its hold."""
    rows = [
        Allocation(
            request=built.requests[one.request], round=round_, pool=built.pools[one.pool],
            payment_fen=one.payment_fen, transfer_fen=one.transfer_fen, concession_fen=one.concession_fen,
            spending_cap_fen=one.payment_fen,
        )
        for one in served
    ]  # fmt: skip
    Allocation.objects.bulk_create(rows, batch_size=500)
    start = round_.start_hour
    Run.objects.bulk_create(
        (
            Run(
                allocation=row, version=1, pool=row.pool, record=record, start_hour=start + first, end_hour=start + last
            )
            for row, one in zip(rows, served, strict=True)
            for first, last in one.runs
        ),
        batch_size=500,
    )
    Share.objects.bulk_create(
        (
            Share(
                allocation=row, version=1, deposit=built.deposits[deposit], cards=cards,
                start_hour=start + first, end_hour=start + last,
            )
            for row, one in zip(rows, served, strict=True)
            for deposit, first, last, cards in one.shares
        ),
        batch_size=500,
    )  # fmt: skip
    requests = [row.request for row in rows]
    for request in requests:
        request.state = Request.State.SERVED
    Request.objects.bulk_update(requests, ["state"], batch_size=500)
    keep_budgets(act, record, round_, rows)
    allocating.tell(act, record, rows)


def keep_budgets(act: Act, record: LogRecord, round_: Round, rows: list[Allocation]) -> None:
    """held → committed for what is paid at most; the rest of each hold comes back."""
    services.commit_many(
        act, record, [Hold(payer_of(row.request), subject_of(row.request), row.payment_fen) for row in rows]
    )
    from_account = [row for row in rows if row.request.pay_with == Request.PayWith.ACCOUNT]
    accounts.commit_many(act, record, from_account, round_)
