"""An upper bound on every plan, from a price for each cell: Lagrangian relaxation by the volume method.

For any prices pi >= 0 no plan is worth more than

    D(pi) = sum over requests of max(0, budget - cheapest option at pi) + sum over rungs of cards * max(0, pi - reserve)

so every price vector proves a bound, and the best one found is returned (docs/algorithms/capacity.md has the
proof). D is convex and piecewise linear; (demand - supply) at pi is the direction in which prices should move.
The volume method averages these directions, steps from the best prices so far, adapts step and target to
success, and starts its average afresh when the step has become too short. D is evaluated in int64; the path
uses only IEEE addition, multiplication, division and square root in fixed order, so it is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numba as nb
import numpy as np

from huoshui.clearing.capacity.grid import Grid, take
from huoshui.clearing.capacity.oracle import Answer, respond_all
from huoshui.clearing.capacity.problem import PRICE_MAX, Int64

STEP_START, STEP_MAX, STEP_MIN = 0.1, 2.0, 1e-3
STALL = 3
"""Steps without a better bound before the step shrinks."""
BLEND_EARLY, BLEND_LATE = 0.1, 0.05
"""Weight of the newest direction in the average."""
SAMPLE_MAX, SAMPLE_STEP = 6_000, 4
"""Requests above which prices start on a sample, and how much coarser each level is."""


class Bound(NamedTuple):
    """value: the bound; prices int64[1+K,P,T] that prove it; answer to those prices; steps done."""

    value: int
    prices: Int64
    answer: Answer
    steps: int


def dual_value(grid: Grid, prices: Int64, answer: Answer, weight: int = 1) -> int:
    """D(prices), exact, each request counted `weight` times."""
    surplus = int((grid.budget - answer.cost).sum())
    cards = int(_supply_value(grid.rung_from, grid.rung_cards, grid.rung_price, prices[0].ravel()))
    return weight * surplus + cards + int((prices[1:] * whole_gangs(grid)).sum())


def whole_gangs(grid: Grid) -> Int64:
    """Cards of each cell that gangs of each cut size can use, int64[K,P,T]."""
    size = grid.cuts[:, None, None]
    return grid.capacity // size * size


def start_prices(grid: Grid) -> Int64:
    """The cheapest reserve of each cell, and nothing for gangs."""
    prices = np.zeros((len(grid.cuts) + 1, grid.capacity.size), np.int64)
    offered = grid.rung_from[:-1] < grid.rung_from[1:]
    prices[0, offered] = grid.rung_price[grid.rung_from[:-1][offered]]
    return prices.reshape(-1, *grid.capacity.shape)


def find_bound(
    grid: Grid, steps: int, coarse_steps: int, threads: ThreadPoolExecutor, on_step: Callable[[int, int], bool]
) -> Bound:
    """The best bound after `steps` full steps, with prices first found on samples of the requests when there are many.

    A sample of every 4**k-th request by size, each counted 4**k times, has nearly the same prices at a fraction of the
    work; it only gives a start, the bound itself always counts every request. `on_step(done, bound)` may stop the work.
    """
    n, prices, done = len(grid.cards), start_prices(grid), 0
    trivial = int(grid.budget.sum())
    by_size = np.lexsort((np.arange(n), grid.cards))
    level = 1
    while n // level > SAMPLE_MAX:
        level *= SAMPLE_STEP
    while level > 1:
        sample = take(grid, np.sort(by_size[level // 2 :: level]))
        before = done
        coarse = _descend(sample, prices, coarse_steps, level, threads, lambda k, _: on_step(before + k, trivial))  # noqa: B023
        prices, done, level = coarse.prices, done + coarse.steps, level // SAMPLE_STEP
    bound = _descend(grid, prices, steps, 1, threads, lambda k, value: on_step(done + k, value))
    return bound._replace(steps=done + bound.steps)


def _descend(
    grid: Grid, prices: Int64, steps: int, weight: int, threads: ThreadPoolExecutor, on_step: Callable[[int, int], bool]
) -> Bound:
    """`steps` steps of the volume method from `prices`, each request counted `weight` times."""
    answer = respond_all(grid, prices, threads)
    best = Bound(dual_value(grid, prices, answer, weight), prices, answer, 0)
    direction = _imbalance(grid, best, weight)
    target, step, stall, done = 0.9 * best.value, STEP_START, 0, 0
    while done < steps:
        length = _dot(direction, direction)
        if length == 0.0 or not on_step(done, best.value):
            break
        done += 1
        prices = _moved(grid, best.prices, direction, step * (best.value - target) / length)
        answer = respond_all(grid, prices, threads)
        trial = Bound(dual_value(grid, prices, answer, weight), prices, answer, done)
        fresh = _imbalance(grid, trial, weight)
        if trial.value < best.value:
            if _dot(direction, fresh) > 0.0:
                step = min(STEP_MAX, step * 1.1)
            best, stall = trial, 0
        else:
            stall += 1
            if stall % STALL == 0:
                step *= 0.66
        if step < STEP_MIN:
            step, direction = STEP_START, _imbalance(grid, best, weight)
            continue
        if best.value < target + 0.02 * abs(target):
            target = best.value - 0.05 * abs(best.value)
        blend = BLEND_EARLY if done < steps // 2 else BLEND_LATE
        direction = blend * fresh + (1.0 - blend) * direction
    return best._replace(steps=done)


def _imbalance(grid: Grid, at: Bound, weight: int) -> np.ndarray:
    """Demand minus supply, float64[(1+K)*P*T]; gangs have a price only where they cannot use every card."""
    load, cards = weight * at.answer.load, at.prices[0].ravel()
    low, high = _supply(grid.rung_from, grid.rung_cards, grid.rung_price, cards)
    excess = np.zeros(load.shape)
    excess[0] = load[0] - np.clip(load[0].ravel(), low, high).reshape(load[0].shape)
    usable = whole_gangs(grid)
    free = (at.prices[1:] == 0) & (load[1:] < usable)
    excess[1:] = np.where(free | (usable == grid.capacity), 0, load[1:] - usable)
    return excess.ravel()


@nb.njit(cache=True, nogil=True)
def _supply_value(rung_from, rung_cards, rung_price, prices):  # type: ignore[no-untyped-def]
    total = np.int64(0)
    for cell in range(len(prices)):
        for k in range(rung_from[cell], rung_from[cell + 1]):
            if prices[cell] > rung_price[k]:
                total += rung_cards[k] * (prices[cell] - rung_price[k])
    return total


@nb.njit(cache=True, nogil=True)
def _supply(rung_from, rung_cards, rung_price, prices):  # type: ignore[no-untyped-def]
    """Least and most cards that sellers want to sell in each cell at `prices`."""
    low, high = np.zeros(len(prices), np.int64), np.zeros(len(prices), np.int64)
    for cell in range(len(prices)):
        for k in range(rung_from[cell], rung_from[cell + 1]):
            low[cell] += rung_cards[k] if prices[cell] > rung_price[k] else 0
            high[cell] += rung_cards[k] if prices[cell] >= rung_price[k] else 0
    return low, high


def _moved(grid: Grid, prices: Int64, direction: np.ndarray, scale: float) -> Int64:
    cells = grid.capacity.size
    flat = prices.ravel()
    cards = _step_prices(grid.rung_from, grid.rung_price, flat[:cells], direction, scale)
    gangs = np.clip(np.floor(flat[cells:] + scale * direction[cells:] + 0.5), 0, PRICE_MAX).astype(np.int64)
    return np.concatenate((cards, gangs)).reshape(prices.shape)


@nb.njit(cache=True, nogil=True)
def _step_prices(rung_from, rung_price, prices, direction, scale):  # type: ignore[no-untyped-def]
    """prices + scale * direction in whole units; a price never falls through a reserve price, it rests there first."""
    moved = np.zeros(len(prices), np.int64)
    for cell in range(len(prices)):
        first, last = rung_from[cell], rung_from[cell + 1]
        if first == last:
            continue
        wanted = np.int64(np.floor(prices[cell] + scale * direction[cell] + 0.5))
        wanted = min(max(wanted, rung_price[first]), np.int64(PRICE_MAX))
        for k in range(last - 1, first - 1, -1):
            if wanted < rung_price[k] < prices[cell]:
                wanted = rung_price[k]
                break
        moved[cell] = wanted
    return moved


@nb.njit(cache=True, nogil=True)
def _dot(a, b):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(len(a)):
        total += a[i] * b[i]
    return total
