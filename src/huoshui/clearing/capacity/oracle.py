"""The per-request oracle: the cheapest hours for one request, and the best answer of many requests to given
prices.

`cheapest_hours` solves one request in one pool exactly. Rigid: the cheapest window of consecutive hours, by a
sliding sum. Preemptible: the cheapest set of hours whose unbroken pieces all reach the shortest length, by
dynamic programming over (hour, hours taken so far). `respond` maps it over a chunk of requests; it is a plain
function over columns, so that threads now and a cluster engine later run the same code. All arithmetic is int64
and ties go to the earlier hour and option.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numba as nb
import numpy as np

from huoshui.clearing.capacity.problem import Int32, Int64

if TYPE_CHECKING:
    from huoshui.clearing.capacity.grid import Grid

FAR = 1 << 60
"""Cost of what cannot be had: above every cost, and two of them still fit in int64."""
CHUNKS = 16
"""Pieces of the request table that threads take; sums over them are integers, so their number changes nothing."""


class Scratch(NamedTuple):
    """Working memory of one thread: price int64[T] in, taken int32[T] hours out, tables for the dynamic program."""

    price: Int64
    taken: Int32
    ordered: Int64
    total: Int64
    open: Int64


@nb.njit(cache=True, nogil=True)
def new_scratch(hours):  # type: ignore[no-untyped-def]
    width = hours + 1
    return Scratch(
        np.zeros(hours, np.int64),
        np.zeros(hours, np.int32),
        np.zeros(hours, np.int64),
        np.empty((width, width), np.int64),
        np.empty((width, width), np.int64),
    )


@nb.njit(cache=True, nogil=True)
def cheapest_hours(scratch, width, need, min_piece, limit):  # type: ignore[no-untyped-def]
    """Least total price of `need` of the hours 0..width-1 priced scratch.price, or FAR when it is not below `limit`.

    Fills scratch.taken[:need] with the hours, ascending, when the answer is below `limit`. min_piece 0 means rigid.
    """
    if min_piece == 0 or need <= min_piece or need == width:
        return _cheapest_run(scratch, width, need, limit)
    price, ordered = scratch.price, scratch.ordered
    count = 0
    for t in range(width):
        if price[t] < FAR:
            ordered[count] = price[t]
            count += 1
    if count < need:
        return FAR
    ranked = np.sort(ordered[:count])
    floor = np.int64(0)
    for k in range(need):
        floor += ranked[k]
    if floor >= limit:
        return FAR
    if min_piece > 1:
        return _cheapest_pieces(scratch, width, need, min_piece, limit)
    _take_cheapest(scratch, width, need, ranked[need - 1])
    return floor


@nb.njit(cache=True, nogil=True)
def _cheapest_run(scratch, width, need, limit):  # type: ignore[no-untyped-def]
    price = scratch.price
    best, best_start, run, total = min(FAR, limit), -1, 0, np.int64(0)
    for t in range(width):
        if price[t] >= FAR:
            run, total = 0, np.int64(0)
            continue
        run += 1
        total += price[t]
        if run > need:
            total -= price[t - need]
        if run >= need and total < best:
            best, best_start = total, t + 1 - need
    if best_start < 0:
        return FAR
    for k in range(need):
        scratch.taken[k] = best_start + k
    return best


@nb.njit(cache=True, nogil=True)
def _take_cheapest(scratch, width, need, last):  # type: ignore[no-untyped-def]
    """The hours below the price `last`, then the earliest at it."""
    below = 0
    for t in range(width):
        if scratch.price[t] < last:
            below += 1
    at_last, k = need - below, 0
    for t in range(width):
        if scratch.price[t] < last:
            scratch.taken[k] = t
            k += 1
        elif scratch.price[t] == last and at_last > 0:
            scratch.taken[k] = t
            k, at_last = k + 1, at_last - 1


@nb.njit(cache=True, nogil=True)
def _cheapest_pieces(scratch, width, need, min_piece, limit):  # type: ignore[no-untyped-def]
    """total[t,k]: least price of k hours before t in whole pieces; open[t,k]: the same, with a piece ending at t."""
    price, total, open_ = scratch.price, scratch.total, scratch.open
    spare = width - need
    total[0, 0] = 0
    open_[0, 0] = FAR
    piece, free = np.int64(0), 0
    for t in range(1, width + 1):
        here = price[t - 1]
        free = 0 if here >= FAR else free + 1
        piece = np.int64(0) if free == 0 else piece + here
        if free > min_piece:
            piece -= price[t - 1 - min_piece]
        for k in range(max(0, t - spare), min(need, t) + 1):
            longer = FAR
            if free > 0 and k > 0 and k - 1 >= t - 1 - spare:
                longer = min(FAR, open_[t - 1, k - 1] + here)
            fresh = FAR
            if free >= min_piece and k >= min_piece:
                fresh = min(FAR, total[t - min_piece, k - min_piece] + piece)
            open_[t, k] = min(longer, fresh)
            idle = total[t - 1, k] if k <= t - 1 else FAR
            total[t, k] = min(idle, open_[t, k])
    if total[width, need] >= limit:
        return FAR
    _trace_pieces(scratch, width, need, min_piece)
    return total[width, need]


@nb.njit(cache=True, nogil=True)
def _trace_pieces(scratch, width, need, min_piece):  # type: ignore[no-untyped-def]
    price, total, open_ = scratch.price, scratch.total, scratch.open
    t, k = width, need
    while k > 0:
        if k <= t - 1 and total[t - 1, k] == total[t, k]:
            t -= 1
            continue
        while True:
            t, k = t - 1, k - 1
            scratch.taken[k] = t
            grown = k >= max(0, t - (width - need)) and k > 0 and open_[t, k] + price[t] == open_[t + 1, k + 1]
            if not grown:
                break
        for _ in range(min_piece - 1):
            t, k = t - 1, k - 1
            scratch.taken[k] = t


@nb.njit(cache=True, nogil=True)
def gang_price(cuts, prices, cards, pool, hour):  # type: ignore[no-untyped-def]
    """Price of `cards` cards together for one hour: the card price, and the gang prices of the sizes that they fill."""
    total = cards * prices[0, pool, hour]
    for k in range(len(cuts)):
        if cuts[k] > cards:
            break
        total += cards // cuts[k] * cuts[k] * prices[k + 1, pool, hour]
    return total


@nb.njit(cache=True, nogil=True)
def respond(grid, prices, first, last, cost, option, load):  # type: ignore[no-untyped-def]
    """Best answer of requests first..last-1 to `prices` int64[1+K,P,T] (card price, then gang prices of grid.cuts).

    Writes the least cost (transfer included; the budget when no option is below it) and its option (-1: none), and
    adds the cards wanted to `load` int64[1+K,P,T], for each cut in whole gangs of that size.
    """
    scratch = new_scratch(grid.hours)
    best_taken = np.zeros(grid.hours, np.int32)
    for r in range(first, last):
        cards = grid.cards[r]
        cost[r], option[r] = grid.budget[r], -1
        for o in range(grid.option_from[r], grid.option_from[r + 1]):
            p, lo, width = grid.option_pool[o], grid.option_start[o], grid.option_end[o] - grid.option_start[o]
            for w in range(width):
                fits = grid.capacity[p, lo + w] >= cards
                scratch.price[w] = gang_price(grid.cuts, prices, cards, p, lo + w) if fits else FAR
            limit = cost[r] - grid.option_transfer[o]
            if limit <= 0:
                continue
            found = cheapest_hours(scratch, width, grid.option_hours[o], grid.min_piece[r], limit)
            if found < FAR:
                cost[r], option[r] = found + grid.option_transfer[o], o
                for k in range(grid.option_hours[o]):
                    best_taken[k] = lo + scratch.taken[k]
        if option[r] >= 0:
            p = grid.option_pool[option[r]]
            for k in range(grid.option_hours[option[r]]):
                load[0, p, best_taken[k]] += cards
                for j in range(len(grid.cuts)):
                    if grid.cuts[j] > cards:
                        break
                    load[j + 1, p, best_taken[k]] += cards // grid.cuts[j] * grid.cuts[j]


class Answer(NamedTuple):
    """Answers of all requests to one price vector: cost int64[n], option int64[n] (-1: none), load int64[1+K,P,T]."""

    cost: Int64
    option: Int64
    load: Int64


def respond_all(grid: Grid, prices: Int64, pool: ThreadPoolExecutor) -> Answer:
    """`respond` over all requests in chunks; the sums are integers, so the number of threads changes nothing."""
    n = len(grid.cards)
    answer = Answer(np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros_like(prices))
    edges = np.linspace(0, n, CHUNKS + 1).astype(np.int64)
    loads = np.zeros((CHUNKS, *prices.shape), np.int64)
    jobs = [
        pool.submit(respond, grid, prices, edges[c], edges[c + 1], answer.cost, answer.option, loads[c])
        for c in range(CHUNKS)
    ]
    for job in jobs:
        job.result()
    answer.load[:] = loads.sum(axis=0)
    return answer
