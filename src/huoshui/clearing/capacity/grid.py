"""The problem as flat arrays that compiled loops can walk: supply ladders per cell and options per request.

An *option* is a request in one pool: its window after the transfer lead time, the hours that the pool's model
needs and the transfer cost. Options that cannot fit (cards above the capacity of every needed hour) or that
cost more than the budget even on an empty grid are dropped here. Dropping them is what makes the bound tight: a
linear relaxation would otherwise serve a tenth of a request that no site could ever run.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np

from huoshui.clearing.capacity.codes import Refusal
from huoshui.clearing.capacity.oracle import FAR, cheapest_hours, new_scratch
from huoshui.clearing.capacity.problem import Bool, Int32, Int64, Problem

MODEL, REGION = int(Refusal.MODEL), int(Refusal.REGION)
NO_CAPACITY, BUDGET = int(Refusal.NO_CAPACITY), int(Refusal.BUDGET)


class Grid(NamedTuple):
    """T hours; P pools; cell = pool * T + hour; n requests; O options in request order.

    capacity int64[P,T]; ladder of cell c is rungs rung_from[c]..rung_from[c+1], cheapest first: rung_cards,
    rung_price, rung_deposit. Options of request r are option_from[r]..option_from[r+1]: option_pool, option_start and
    option_end (window), option_hours, option_transfer. cards, budget, min_piece (0 = rigid), small: as in Problem.
    cuts int64[K], ascending: gang sizes that get a price of their own in the bound.
    day int32[T]: local day of each hour.
    """

    hours: int
    capacity: Int64
    rung_from: Int64
    rung_cards: Int64
    rung_price: Int64
    rung_deposit: Int32
    option_from: Int64
    option_pool: Int32
    option_start: Int32
    option_end: Int32
    option_hours: Int32
    option_transfer: Int64
    cards: Int64
    budget: Int64
    min_piece: Int32
    small: Bool
    cuts: Int64
    day: Int32


CUTS_MAX = 8


class Screening(NamedTuple):
    """Why a request has no option: refusal int8[n], 0 = has one; for BUDGET the cheapest cost and its pool."""

    refusal: np.ndarray
    cheapest: Int64
    pool: Int32


def build(problem: Problem) -> tuple[Grid, Screening]:
    """Flatten `problem` and drop hopeless options."""
    rung_from, rung_cards, rung_price, rung_deposit = _ladders(problem)
    supply = (problem.capacity, rung_from, rung_cards, rung_price, problem.pool_model, problem.pool_region)
    cards = problem.cards.astype(np.int64)
    columns = (cards, problem.run_hours, problem.earliest, problem.deadline, problem.budget)
    more = (problem.min_piece, problem.lead_hours, problem.transfer_cost)
    keep, refusal, cheapest, pool = _screen(problem.hours, *supply, *columns, *more)
    request, at = np.nonzero(keep)
    region = problem.pool_region[at]
    grid = Grid(
        hours=problem.hours,
        capacity=np.array(problem.capacity),
        rung_from=rung_from,
        rung_cards=rung_cards,
        rung_price=rung_price,
        rung_deposit=rung_deposit,
        option_from=np.concatenate(([0], np.cumsum(keep.sum(axis=1)))).astype(np.int64),
        option_pool=at.astype(np.int32),
        option_start=(problem.earliest[request] + problem.lead_hours[request, region]).astype(np.int32),
        option_end=np.array(problem.deadline[request]),
        option_hours=np.array(problem.run_hours[request, problem.pool_model[at]]),
        option_transfer=np.array(problem.transfer_cost[request, region]),
        cards=cards,
        budget=np.array(problem.budget),
        min_piece=np.array(problem.min_piece),
        small=np.array(problem.small),
        cuts=_cuts(problem),
        day=local_day(problem.horizon_start, problem.hours),
    )
    return grid, Screening(refusal, cheapest, pool)


def take(grid: Grid, rows: Int64) -> Grid:
    """The same grid with only the requests `rows`, in that order."""
    count = np.diff(grid.option_from)[rows]
    start = np.concatenate(([0], np.cumsum(count))).astype(np.int64)
    options = np.repeat(grid.option_from[rows] - start[:-1], count) + np.arange(start[-1])
    return grid._replace(
        option_from=start,
        option_pool=grid.option_pool[options],
        option_start=grid.option_start[options],
        option_end=grid.option_end[options],
        option_hours=grid.option_hours[options],
        option_transfer=grid.option_transfer[options],
        cards=grid.cards[rows],
        budget=grid.budget[rows],
        min_piece=grid.min_piece[rows],
        small=grid.small[rows],
    )


def local_day(horizon_start: int, hours: int) -> Int32:
    """Day of each hour in Asia/Shanghai (UTC+8, no daylight saving), counted from the first, int32[T]."""
    local = (horizon_start + 8 + np.arange(hours, dtype=np.int64)) // 24
    return (local - local[0]).astype(np.int32)


def _cuts(problem: Problem) -> Int64:
    """The gang sizes above one card that carry the most budget, at most CUTS_MAX of them."""
    sizes, owner = np.unique(problem.cards, return_inverse=True)
    weight = np.zeros(len(sizes), np.int64)
    np.add.at(weight, owner, problem.budget)
    heavy = np.lexsort((sizes, -weight))
    return np.sort(sizes[heavy[sizes[heavy] > 1][:CUTS_MAX]]).astype(np.int64)


def _ladders(problem: Problem) -> tuple[Int64, Int64, Int64, Int32]:
    """Rungs of every cell: cheapest reserve first, then the earlier deposit, then its position."""
    deposit, hour = np.nonzero(problem.deposit_cards)
    cell = problem.deposit_pool[deposit].astype(np.int64) * problem.hours + hour
    price = problem.deposit_reserve[deposit, hour]
    order = np.lexsort((deposit, problem.deposit_order[deposit], price, cell))
    cells = problem.pools * problem.hours
    start = np.concatenate(([0], np.cumsum(np.bincount(cell, minlength=cells)))).astype(np.int64)
    cards = problem.deposit_cards[deposit, hour][order].astype(np.int64)
    return start, cards, price[order], deposit[order].astype(np.int32)


@nb.njit(cache=True, nogil=True)
def added_cost(rung_from, rung_cards, rung_price, cell, load, cards):  # type: ignore[no-untyped-def]
    """Reserve cost of `cards` more cards in a cell that already sells `load`; FAR when they do not fit."""
    below, cost, left = load, np.int64(0), cards
    for k in range(rung_from[cell], rung_from[cell + 1]):
        free = rung_cards[k] - below
        if free <= 0:
            below -= rung_cards[k]
            continue
        below = 0
        take = min(free, left)
        cost += take * rung_price[k]
        left -= take
        if left == 0:
            return cost
    return FAR


@nb.njit(cache=True, nogil=True)
def _screen(  # type: ignore[no-untyped-def]
    hours, capacity, rung_from, rung_cards, rung_price, pool_model, pool_region,
    cards, run_hours, earliest, deadline, budget, min_piece, lead_hours, transfer_cost,
):  # fmt: skip
    n, pools = len(cards), len(pool_model)
    keep = np.zeros((n, pools), np.bool_)
    refusal = np.zeros(n, np.int8)
    cheapest = np.full(n, np.int64(0))
    where = np.full(n, np.int32(-1))
    scratch = new_scratch(hours)
    for r in range(n):
        stage, best, best_pool = MODEL, FAR, -1
        for p in range(pools):
            need, lead = run_hours[r, pool_model[p]], lead_hours[r, pool_region[p]]
            if need == 0:
                continue
            if lead < 0:
                stage = max(stage, REGION)
                continue
            stage = max(stage, NO_CAPACITY)
            lo, hi = earliest[r] + lead, deadline[r]
            if lo + need > hi:
                continue
            for t in range(lo, hi):
                cell = p * hours + t
                fits = cards[r] <= capacity[p, t]
                scratch.price[t - lo] = (
                    added_cost(rung_from, rung_cards, rung_price, cell, np.int64(0), cards[r]) if fits else FAR
                )
            cost = cheapest_hours(scratch, hi - lo, need, min_piece[r], FAR)
            if cost >= FAR:
                continue
            stage = max(stage, BUDGET)
            cost += transfer_cost[r, pool_region[p]]
            if cost <= budget[r]:
                keep[r, p] = True
            if cost < best:
                best, best_pool = cost, p
        if not keep[r].any():
            refusal[r] = stage
            if stage == BUDGET:
                cheapest[r], where[r] = best, best_pool
    return keep, refusal, cheapest, where
