"""Slot prices: what buyers pay and sellers receive in each cell.

The rule: at least the highest reserve price used in the cell; every served request pays at most its budget;
among such prices, little missed surplus of refused requests plus (price - reserve) x unsold card-hours. That
sum is convex and piecewise linear in the prices. We start from the floors and from the shadow prices, follow
subgradients with an exact penalty for budgets overrun, and repair each trial into prices that obey the rule.
The cheapest repaired trial is kept. A served request is dropped only when the floors themselves exceed its
budget.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba as nb
import numpy as np

from huoshui.clearing.capacity.grid import Grid
from huoshui.clearing.capacity.oracle import respond_all
from huoshui.clearing.capacity.place import Plan, remove
from huoshui.clearing.capacity.problem import PRICE_MAX, Bool, Int64

SHARE_BITS = 20
EXCESS_MAX = 1 << 40
PENALTY = 2


def drop_unsupported(grid: Grid, plan: Plan, price_step: int) -> Bool:
    """Remove from `plan` the requests that cannot pay even the floors, worst first; who they were, bool[n]."""
    dropped = np.zeros(len(grid.cards), np.bool_)
    while True:
        short = grid.budget - charge(grid, plan, floor_prices(grid, plan, price_step))
        short[plan.option < 0] = 0
        if short.min(initial=0) >= 0:
            return dropped
        worst = int(short.argmin())
        remove(grid, plan, worst)
        dropped[worst] = True


def floor_prices(grid: Grid, plan: Plan, price_step: int) -> Int64:
    """Least price of each cell: its highest reserve in use (lowest on offer when idle), up to a whole price_step."""
    top = _top_reserve(grid.rung_from, grid.rung_cards, grid.rung_price, plan.load.ravel())
    return (-(-top // price_step) * price_step).reshape(plan.load.shape)


@nb.njit(cache=True, nogil=True)
def _top_reserve(rung_from, rung_cards, rung_price, load):  # type: ignore[no-untyped-def]
    top = np.zeros(len(load), np.int64)
    for cell in range(len(load)):
        left = load[cell]
        for k in range(rung_from[cell], rung_from[cell + 1]):
            if k == rung_from[cell] or left > 0:
                top[cell] = rung_price[k]
            left -= rung_cards[k]
    return top


@nb.njit(cache=True, nogil=True)
def charge(grid, plan, prices):  # type: ignore[no-untyped-def]
    """What each served request pays at `prices` int64[P,T], transfer included, int64[n]; 0 when refused."""
    due = np.zeros(len(grid.cards), np.int64)
    for r in range(len(due)):
        o = plan.option[r]
        if o >= 0:
            for k in range(plan.taken_from[r], plan.taken_from[r] + grid.option_hours[o]):
                due[r] += prices[grid.option_pool[o], plan.taken[k]]
            due[r] = due[r] * grid.cards[r] + grid.option_transfer[o]
    return due


@nb.njit(cache=True, nogil=True)
def _repair(grid, plan, floors, prices, price_step):  # type: ignore[no-untyped-def]
    """Lower prices towards `floors` until every served request pays at most its budget; multiples of price_step."""
    fixed = floors + np.maximum(0, prices - floors) // price_step * price_step
    for r in range(len(grid.cards)):
        o = plan.option[r]
        if o < 0:
            continue
        least, now, p = np.int64(0), np.int64(0), grid.option_pool[o]
        for k in range(plan.taken_from[r], plan.taken_from[r] + grid.option_hours[o]):
            least += floors[p, plan.taken[k]] * grid.cards[r]
            now += fixed[p, plan.taken[k]] * grid.cards[r]
        room, excess = grid.budget[r] - grid.option_transfer[o] - least, now - least
        if excess <= room:
            continue
        while excess >= EXCESS_MAX:
            room, excess = room >> 1, (excess + 1) >> 1
        part = (room << SHARE_BITS) // excess
        for k in range(plan.taken_from[r], plan.taken_from[r] + grid.option_hours[o]):
            over = fixed[p, plan.taken[k]] - floors[p, plan.taken[k]]
            fixed[p, plan.taken[k]] = (
                floors[p, plan.taken[k]] + ((over * part) >> SHARE_BITS) // price_step * price_step
            )
    return fixed


@nb.njit(cache=True, nogil=True)
def _idle_premium(rung_from, rung_cards, rung_price, load, prices):  # type: ignore[no-untyped-def]
    """Sum of (price - reserve) x unsold cards where positive, and per cell the unsold cards below the price."""
    total, idle = np.int64(0), np.zeros(len(load), np.int64)
    for cell in range(len(load)):
        left = load[cell]
        for k in range(rung_from[cell], rung_from[cell + 1]):
            unsold = rung_cards[k] - min(left, rung_cards[k])
            left = max(0, left - rung_cards[k])
            if prices[cell] > rung_price[k]:
                total += unsold * (prices[cell] - rung_price[k])
                idle[cell] += unsold
    return total, idle


def slot_prices(
    grid: Grid, plan: Plan, shadow: Int64, steps: int, price_step: int, threads: ThreadPoolExecutor,
    on_step: Callable[[int], bool],
) -> Int64:  # fmt: skip
    """Prices int64[P,T] that obey the rule for `plan`, from `shadow` int64[P,T] in `steps` trials."""
    waiting = grid._replace(budget=np.where(plan.option < 0, grid.budget, 0), cuts=grid.cuts[:0])
    floors = floor_prices(grid, plan, price_step)
    ladder = (grid.rung_from, grid.rung_cards, grid.rung_price)

    def regret(prices: Int64) -> tuple[int, Int64]:
        """The sum to minimise and the refused demand minus idle supply per cell."""
        answer = respond_all(waiting, prices[None], threads)
        premium, idle = _idle_premium(*ladder, plan.load.ravel(), prices.ravel())
        missed = int((waiting.budget - answer.cost).sum())
        return missed + int(premium), answer.load[0] - idle.reshape(prices.shape)

    trial = np.maximum(floors, shadow)
    best = _repair(grid, plan, floors, floors, price_step)
    least, _ = regret(best)
    for done in range(1, steps + 1):
        if not on_step(done):
            break
        fixed = _repair(grid, plan, floors, trial, price_step)
        value, pull = regret(fixed)
        if value < least:
            least, best = value, fixed
        over = charge(grid, plan, trial) > grid.budget
        push = pull - PENALTY * _load_of(grid, plan, over)
        length = _square(push.ravel())
        if value == 0 or length == 0:
            break
        scale = value / (length * (1.0 + done / 4.0))
        moved = np.floor(trial + scale * push + 0.5)
        trial = np.clip(moved, floors, PRICE_MAX // price_step * price_step).astype(np.int64)
    return best


@nb.njit(cache=True, nogil=True)
def _load_of(grid, plan, chosen):  # type: ignore[no-untyped-def]
    load = np.zeros_like(plan.load)
    for r in range(len(chosen)):
        o = plan.option[r]
        if chosen[r] and o >= 0:
            for k in range(plan.taken_from[r], plan.taken_from[r] + grid.option_hours[o]):
                load[grid.option_pool[o], plan.taken[k]] += grid.cards[r]
    return load


@nb.njit(cache=True, nogil=True)
def _square(values):  # type: ignore[no-untyped-def]
    total = 0.0
    for value in values:
        total += float(value) * float(value)
    return total
