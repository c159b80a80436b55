"""What a queue would do with the same problem: the yardstick that a clearing is held against.

Requests come in some order; each takes the place that it likes best among those still free, or waits. The idle calendar
is known, so a run is started only where it fits to its end, and nobody is served at more reserve cost and transfer than
its budget. `first_come` is what most centres do today: first come, first served, with backfill.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numba as nb
import numpy as np

from huoshui.clearing.capacity.grid import Grid, added_cost, build
from huoshui.clearing.capacity.oracle import FAR, cheapest_hours, new_scratch
from huoshui.clearing.capacity.problem import Int32, Int64, Problem


class Wish(IntEnum):
    """What a request prefers among the places that it can have."""

    EARLIEST = 0
    CHEAPEST = 1
    LEVEL = 2
    """The hours with the least load for their capacity."""


EARLIEST, CHEAPEST = int(Wish.EARLIEST), int(Wish.CHEAPEST)


@dataclass(frozen=True)
class Queued:
    """pool int64[n], -1 = not served; hours: for each request the hour offsets in which it runs; value, 1/1000 fen."""

    pool: Int64
    hours: tuple[Int32, ...]
    value: int


def first_come(problem: Problem) -> Queued:
    """First come, first served with backfill: hour by hour, whoever has waited longest starts now if it fits."""
    return hour_by_hour(problem, np.argsort(problem.earliest, kind="stable"))


def hour_by_hour(problem: Problem, order: Int64) -> Queued:
    """In every hour, those who wait start if they can, in the order given (int64[n], a permutation)."""
    early, late = problem.earliest, problem.deadline
    return _queued(problem, lambda grid, *state: _hour_by_hour(grid, order, early, late, *state))


def in_order(problem: Problem, order: Int64, wish: Wish) -> Queued:
    """Each request in turn reserves, anywhere in its window, the place that it likes best."""
    return _queued(problem, lambda grid, *state: _in_order(grid, order, int(wish), *state))


def _queued(problem: Problem, fill: Callable[..., None]) -> Queued:
    grid, _ = build(problem)
    n = problem.requests
    option = np.full(n, -1, np.int64)
    hours = np.zeros((n, int(problem.run_hours.max(initial=1))), np.int32)
    fill(grid, option, hours, np.zeros_like(grid.capacity))
    served = np.flatnonzero(option >= 0)
    pool = np.full(n, -1, np.int64)
    pool[served] = grid.option_pool[option[served]]
    taken = tuple(hours[r, : grid.option_hours[option[r]] if option[r] >= 0 else 0] for r in range(n))
    return Queued(pool, taken, _value(grid, option, served, taken))


def _value(grid: Grid, option: Int64, served: Int64, hours: tuple[Int32, ...]) -> int:
    """Budgets less transfers less the reserve cost of the cards in use, which does not depend on who came first."""
    load = np.zeros_like(grid.capacity)
    for request in served.tolist():
        load[grid.option_pool[option[request]], hours[request]] += grid.cards[request]
    cells = np.repeat(np.arange(load.size), np.diff(grid.rung_from))
    before = np.cumsum(grid.rung_cards) - grid.rung_cards
    before -= before[grid.rung_from[cells]]
    used = np.clip(load.ravel()[cells] - before, 0, grid.rung_cards)
    worth = grid.budget[served].sum() - grid.option_transfer[option[served]].sum()
    return int(worth - (used * grid.rung_price).sum())


@nb.njit(cache=True, nogil=True)
def _best_place(grid, r, load, wish, now, scratch, taken):  # type: ignore[no-untyped-def]
    """The option that request `r` likes best with `load` in place, its hours in `taken`; -1 when none is affordable.

    now >= 0: only places that start in this hour.
    """
    cards, best, best_score = grid.cards[r], -1, FAR
    for o in range(grid.option_from[r], grid.option_from[r + 1]):
        p, need = grid.option_pool[o], grid.option_hours[o]
        lo = max(grid.option_start[o], now)
        width = grid.option_end[o] - lo
        if width < need:
            continue
        for w in range(width):
            free = grid.capacity[p, lo + w] - load[p, lo + w]
            if free < cards:
                scratch.price[w] = FAR
            elif wish == EARLIEST:
                scratch.price[w] = w
            elif wish == CHEAPEST:
                scratch.price[w] = _cost(grid, p, lo + w, load, cards)
            else:
                scratch.price[w] = (load[p, lo + w] + cards) * 1_000_000 // grid.capacity[p, lo + w]
        score = cheapest_hours(scratch, width, need, grid.min_piece[r], FAR)
        if score >= FAR or (now >= 0 and scratch.taken[0] != 0):
            continue
        cost = grid.option_transfer[o]
        for k in range(need):
            cost += _cost(grid, p, lo + scratch.taken[k], load, cards)
        if cost > grid.budget[r]:
            continue
        if wish == EARLIEST:
            score = np.int64(lo + scratch.taken[need - 1])
        elif wish == CHEAPEST:
            score = cost
        if score < best_score:
            best, best_score = o, score
            for k in range(need):
                taken[k] = lo + scratch.taken[k]
    return best


@nb.njit(cache=True, nogil=True)
def _cost(grid, p, t, load, cards):  # type: ignore[no-untyped-def]
    cell = p * grid.hours + t
    return added_cost(grid.rung_from, grid.rung_cards, grid.rung_price, cell, load[p, t], cards)


@nb.njit(cache=True, nogil=True)
def _take(grid, r, o, taken, load, option, hours):  # type: ignore[no-untyped-def]
    option[r] = o
    for k in range(grid.option_hours[o]):
        hours[r, k] = taken[k]
        load[grid.option_pool[o], taken[k]] += grid.cards[r]


@nb.njit(cache=True, nogil=True)
def _in_order(grid, order, wish, option, hours, load):  # type: ignore[no-untyped-def]
    """Each request in turn takes the place that it likes best."""
    scratch, taken = new_scratch(grid.hours), np.zeros(grid.hours, np.int32)
    for r in order:
        o = _best_place(grid, r, load, wish, -1, scratch, taken)
        if o >= 0:
            _take(grid, r, o, taken, load, option, hours)


@nb.njit(cache=True, nogil=True)
def _hour_by_hour(grid, order, earliest, deadline, option, hours, load):  # type: ignore[no-untyped-def]
    """In every hour, those who wait start if they can, in the order given."""
    scratch, taken = new_scratch(grid.hours), np.zeros(grid.hours, np.int32)
    for now in range(grid.hours):
        for r in order:
            if option[r] < 0 and earliest[r] <= now < deadline[r]:
                o = _best_place(grid, r, load, EARLIEST, now, scratch, taken)
                if o >= 0:
                    _take(grid, r, o, taken, load, option, hours)
