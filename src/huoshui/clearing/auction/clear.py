"""Clear a call auction: one price for everybody, the most lots traded, price and then time decide who trades.

The published rule, in order:

1. **Nobody trades with himself.** Of a group that has orders on both sides only the side of its earliest order takes
   part; its other orders are left out before any price is looked at.
2. **Price.** Of all prices on the grid within the limits take those that trade the most lots; of these those that
   leave the smallest difference between demand and supply; of these the nearest to the reference price; of two the
   lower. When nothing can be traded there is no price.
3. **Who trades.** Buyers by falling, sellers by rising limit, at equal limits the earlier order first, until the
   volume is used up; the last one may get a part.
4. **With whom.** Both queues are laid side by side in that order; so there is no choice.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from huoshui.clearing.auction.problem import NO_PRICE, Bool, Int64, Problem, Result


def clear(problem: Problem) -> Result:
    """The outcome of the auction. O(n log n); the same orders always give the same result."""
    admitted = _admitted(problem)
    buys, sells = _queue(problem, admitted & problem.buy), _queue(problem, admitted & ~problem.buy)
    level = _levels(problem, problem.price[buys], problem.price[sells])
    demand, supply = _demand(problem, buys, level), _supply(problem, sells, level)
    best = _best(level, demand, supply, problem.reference)
    volume = int(min(demand[best], supply[best]))
    filled = np.zeros(len(problem.order_id), np.int64)
    for queue in (buys, sells):
        filled[queue] = _filled(problem.lots[queue], volume)
    return Result(
        problem.digest(), admitted, int(level[best]) if volume else NO_PRICE, volume, filled, level, demand, supply,
        *_trades(filled, buys, sells),
    )  # fmt: skip


def _admitted(problem: Problem) -> Bool:
    """True for the orders on the side of their group's earliest order."""
    by_time = np.argsort(problem.time, kind="stable")
    _groups, first, of = np.unique(problem.group[by_time], return_index=True, return_inverse=True)
    side = np.empty(len(by_time), np.bool_)
    side[by_time] = problem.buy[by_time][first][of]
    return cast(Bool, side == problem.buy)


def _queue(problem: Problem, among: Bool) -> Int64:
    """Orders of one side, who trades first in front."""
    rows = np.flatnonzero(among)
    sign = np.where(problem.buy[rows], -1, 1)
    return rows[np.lexsort((problem.time[rows], sign * problem.price[rows]))].astype(np.int64)


def _levels(problem: Problem, bids: Int64, asks: Int64) -> Int64:
    """Prices among which the best one is: the ends of each stretch on which neither demand nor supply changes, and the
    two next to the reference price."""
    tick, below = problem.tick, problem.reference // problem.tick * problem.tick
    near = np.array([problem.low, problem.high, below, -(-problem.reference // tick) * tick], np.int64)
    level = np.unique(np.concatenate([near, bids, bids + tick, asks, asks - tick]))
    return level[(level >= problem.low) & (level <= problem.high)]


def _demand(problem: Problem, buys: Int64, level: Int64) -> Int64:
    """Lots of buyers whose limit is at least each price."""
    total = np.concatenate([[0], np.cumsum(problem.lots[buys])]).astype(np.int64)
    return total[np.searchsorted(-problem.price[buys], -level, side="right")]


def _supply(problem: Problem, sells: Int64, level: Int64) -> Int64:
    """Lots of sellers whose limit is at most each price."""
    total = np.concatenate([[0], np.cumsum(problem.lots[sells])]).astype(np.int64)
    return total[np.searchsorted(problem.price[sells], level, side="right")]


def _best(level: Int64, demand: Int64, supply: Int64, reference: int) -> int:
    """Most volume, least imbalance, nearest to the reference, lowest."""
    order = np.lexsort((level, abs(level - reference), abs(demand - supply), -np.minimum(demand, supply)))
    return int(order[0])


def _filled(lots: Int64, volume: int) -> Int64:
    """The volume over a queue: whole orders, then a part of the next, then nothing."""
    before = np.cumsum(lots) - lots
    return np.clip(volume - before, 0, lots)


def _trades(filled: Int64, buys: Int64, sells: Int64) -> tuple[Int64, Int64, Int64]:
    """(buy, sell, lots): both queues side by side, cut wherever an order of either ends."""
    buys, sells = buys[filled[buys] > 0], sells[filled[sells] > 0]
    bought, sold = np.cumsum(filled[buys]), np.cumsum(filled[sells])
    ends = np.union1d(bought, sold).astype(np.int64)
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64) if len(ends) else ends
    by, to = np.searchsorted(bought, starts, side="right"), np.searchsorted(sold, starts, side="right")
    return buys[by], sells[to], ends - starts
