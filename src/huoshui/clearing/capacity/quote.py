"""An estimate for one request at published slot prices: the cheapest placement in what is still free.

Nothing is decided or held here. The range goes from the cheapest placement in the window to the price of the
unbroken run that ends first, so a buyer sees what waiting is worth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np

from huoshui.clearing.capacity.oracle import FAR, cheapest_hours, new_scratch
from huoshui.clearing.capacity.problem import Int32, Int64, Problem
from huoshui.clearing.capacity.result import Result


@dataclass(frozen=True, eq=False)
class Market:
    """pool_model, pool_region int32[P]; slot_price int64[P,T], 1/1000 fen per card-hour; free int64[P,T] cards."""

    pool_model: Int32
    pool_region: Int32
    slot_price: Int64
    free: Int64

    @classmethod
    def after(cls, problem: Problem, result: Result) -> Market:
        """What a cleared round left free, at its slot prices."""
        free = problem.capacity.copy()
        np.subtract.at(free, problem.deposit_pool, result.deposit_sold.astype(np.int64))
        return cls(problem.pool_model, problem.pool_region, result.slot_price, free)


@dataclass(frozen=True, eq=False)
class Ask:
    """One request without a budget, as in Problem: run_hours int32[M], lead_hours int32[R], transfer_cost int64[R]."""

    cards: int
    run_hours: Int32
    earliest: int
    deadline: int
    lead_hours: Int32
    transfer_cost: Int64
    min_piece: int = 0


@dataclass(frozen=True)
class Quote:
    """The cheapest placement: pool, runs [start, end), low = its cost; high = cost of the soonest unbroken run.

    1/1000 fen, transfer included. high equals low when no unbroken run fits or when it is not dearer.
    """

    pool: int
    runs: tuple[tuple[int, int], ...]
    low: int
    high: int


def quote(market: Market, ask: Ask) -> Quote | None:
    """The cheapest placement of `ask` in free capacity at slot prices, or None when it does not fit."""
    if not (0 <= ask.earliest < ask.deadline <= market.free.shape[1]) or ask.cards < 1:
        window = f"[{ask.earliest}, {ask.deadline}), cards {ask.cards}"
        raise ValueError(f"{window}: the window must lie in 0..{market.free.shape[1]} and cards be at least 1")
    columns = (np.asarray(ask.run_hours, np.int32), np.asarray(ask.lead_hours, np.int32))
    pool, low, high, taken = _quote(
        market.pool_model, market.pool_region, market.slot_price, market.free, ask.cards, *columns,
        ask.earliest, ask.deadline, np.asarray(ask.transfer_cost, np.int64), ask.min_piece,
    )  # fmt: skip
    return None if pool < 0 else Quote(int(pool), unbroken(taken), int(low), int(max(low, high)))


def unbroken(hours: Int32) -> tuple[tuple[int, int], ...]:
    """Ascending hours as runs [start, end)."""
    edges = np.flatnonzero(np.diff(hours) > 1)
    starts, ends = np.concatenate(([0], edges + 1)), np.concatenate((edges, [len(hours) - 1]))
    return tuple((int(hours[a]), int(hours[b]) + 1) for a, b in zip(starts, ends, strict=True))


@nb.njit(cache=True, nogil=True)
def _quote(  # type: ignore[no-untyped-def]
    pool_model,
    pool_region,
    slot_price,
    free,
    cards,
    run_hours,
    lead_hours,
    earliest,
    deadline,
    transfer_cost,
    min_piece,
):
    scratch, pools = new_scratch(free.shape[1]), len(pool_model)
    least, soonest, high = np.full(pools, FAR), free.shape[1] + 1, np.int64(0)
    for p in range(pools):
        need, lead = run_hours[pool_model[p]], lead_hours[pool_region[p]]
        width = deadline - earliest - lead
        if need == 0 or lead < 0 or width < need:
            continue
        _fill_prices(scratch, slot_price, free, cards, p, earliest + lead, width)
        least[p] = _cheapest_apart(scratch, width, need)
        end, cost = _first_run(scratch, width, need)
        if earliest + lead + end < soonest:
            soonest, high = earliest + lead + end, cost * cards + transfer_cost[pool_region[p]]
        least[p] = min(FAR, least[p] * cards + transfer_cost[pool_region[p]]) if least[p] < FAR else FAR
    best, best_pool, best_taken = FAR, -1, np.zeros(0, np.int32)
    for p in np.argsort(least):
        if least[p] >= best:
            break
        need, lead = run_hours[pool_model[p]], lead_hours[pool_region[p]]
        transfer, width = transfer_cost[pool_region[p]], deadline - earliest - lead
        _fill_prices(scratch, slot_price, free, cards, p, earliest + lead, width)
        cost = cheapest_hours(scratch, width, need, min_piece, (best - transfer + cards - 1) // cards)
        if cost < FAR:
            best, best_pool = cost * cards + transfer, p
            best_taken = scratch.taken[:need] + np.int32(earliest + lead)
    return best_pool, best, high, best_taken


@nb.njit(cache=True, nogil=True)
def _fill_prices(scratch, slot_price, free, cards, pool, start, width):  # type: ignore[no-untyped-def]
    for w in range(width):
        scratch.price[w] = slot_price[pool, start + w] if free[pool, start + w] >= cards else FAR


@nb.njit(cache=True, nogil=True)
def _cheapest_apart(scratch, width, need):  # type: ignore[no-untyped-def]
    """Price of the cheapest hours however scattered: no placement in this pool costs less."""
    ranked = np.sort(scratch.price[:width])
    total = np.int64(0)
    for k in range(need):
        if ranked[k] >= FAR:
            return FAR
        total += ranked[k]
    return total


@nb.njit(cache=True, nogil=True)
def _first_run(scratch, width, need):  # type: ignore[no-untyped-def]
    """Last hour and price of the unbroken run that ends first; (FAR, 0) when there is none."""
    run, total = 0, np.int64(0)
    for w in range(width):
        if scratch.price[w] >= FAR:
            run, total = 0, np.int64(0)
            continue
        run, total = run + 1, total + scratch.price[w]
        if run > need:
            total -= scratch.price[w - need]
        if run >= need:
            return np.int64(w), total
    return np.int64(FAR), np.int64(0)
