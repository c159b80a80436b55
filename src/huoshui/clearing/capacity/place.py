"""The plan: price-guided insertion, then ruin and recreate under a falling threshold.

The prices of the bound say what each hour is worth to others. Greedy insertion in order of surplus per
card-hour at those prices gives a first plan. Then small parts of it are ruined (requests that overlap in one or
two pools) and recreated in random orders together with refused requests; a result is kept when it is better, or
worse by less than a threshold that falls to zero. Pools are dealt anew into groups before each pass and groups
touch nothing in common, so threads work on groups without changing what is computed. All quantities are int64,
random numbers are splitmix64 from the seed.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np

from huoshui.clearing.capacity.grid import Grid, added_cost
from huoshui.clearing.capacity.oracle import FAR, cheapest_hours, gang_price, new_scratch
from huoshui.clearing.capacity.problem import Bool, Int32, Int64

RUIN_MAX, FRESH_MAX, TOUCHED_MAX = 24, 16, 400
"""Requests taken out per pool, refused ones invited, and all of them, in one move."""
PAD_MAX = 6
"""Hours before and after a request that are emptied with it, at most."""
SKIP = 2
"""Each option is passed over with this probability in 16 when recreating."""
RELOCATE = 4
"""One in so many moves of a served request aims at another place for it."""


class Plan(NamedTuple):
    """option int64[n], -1 = not served; hours of request r: taken[taken_from[r]:][:hours of its option], int32.

    load int64[P,T] cards in use; others_room int64[P,days]: card-hours still open to requests that are not small.
    """

    option: Int64
    taken_from: Int64
    taken: Int32
    load: Int64
    others_room: Int64


def empty_plan(grid: Grid, others_room: Int64) -> Plan:
    """A plan that serves nobody."""
    n = len(grid.cards)
    longest = np.zeros(n, np.int64)
    owner = np.repeat(np.arange(n), np.diff(grid.option_from))
    np.maximum.at(longest, owner, grid.option_hours.astype(np.int64))
    start = np.concatenate(([0], np.cumsum(longest))).astype(np.int64)
    return Plan(
        np.full(n, -1, np.int64), start, np.zeros(start[-1], np.int32), np.zeros_like(grid.capacity), others_room.copy()
    )


def copy_plan(plan: Plan) -> Plan:
    return Plan(plan.option.copy(), plan.taken_from, plan.taken.copy(), plan.load.copy(), plan.others_room.copy())


def plan_value(grid: Grid, plan: Plan) -> int:
    """Budgets minus transfers minus reserve cost in merit order, exact."""
    served = plan.option >= 0
    transfer = grid.option_transfer[plan.option[served]].sum()
    cost = _load_cost(grid.rung_from, grid.rung_cards, grid.rung_price, plan.load.ravel())
    return int(grid.budget[served].sum()) - int(transfer) - int(cost)


@nb.njit(cache=True, nogil=True)
def _load_cost(rung_from, rung_cards, rung_price, load):  # type: ignore[no-untyped-def]
    total = np.int64(0)
    for cell in range(len(load)):
        if load[cell] > 0:
            total += added_cost(rung_from, rung_cards, rung_price, cell, np.int64(0), load[cell])
    return total


@nb.njit(cache=True, nogil=True)
def _random(state):  # type: ignore[no-untyped-def]
    """splitmix64; state is uint64[1]."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@nb.njit(cache=True, nogil=True)
def _below(state, limit):  # type: ignore[no-untyped-def]
    """A whole number 0..limit-1, limit < 2**31."""
    return np.int64(((_random(state) >> np.uint64(33)) * np.uint64(limit)) >> np.uint64(31))


@nb.njit(cache=True, nogil=True)
def _apply(grid, plan, r, sign):  # type: ignore[no-untyped-def]
    """Add (sign 1) or take away (-1) the cards of request r; the change in reserve cost."""
    o = plan.option[r]
    pool, cards, change = grid.option_pool[o], grid.cards[r], np.int64(0)
    for k in range(plan.taken_from[r], plan.taken_from[r] + grid.option_hours[o]):
        t = plan.taken[k]
        if sign < 0:
            plan.load[pool, t] -= cards
        below = plan.load[pool, t]
        change += added_cost(grid.rung_from, grid.rung_cards, grid.rung_price, pool * grid.hours + t, below, cards)
        if sign > 0:
            plan.load[pool, t] += cards
        if not grid.small[r]:
            plan.others_room[pool, grid.day[t]] -= sign * cards
    return sign * change


@nb.njit(cache=True, nogil=True)
def _room_ok(grid, plan, r, o, taken):  # type: ignore[no-untyped-def]
    """Whether a request that is not small stays inside what is left for others in every day it touches."""
    if grid.small[r]:
        return True
    day, used = -1, np.int64(0)
    for k in range(grid.option_hours[o]):
        t = grid.day[taken[k]]
        if t != day:
            day, used = t, np.int64(0)
        used += grid.cards[r]
        if used > plan.others_room[grid.option_pool[o], day]:
            return False
    return True


@nb.njit(cache=True, nogil=True)
def insert(grid, plan, r, guide, weight, group_of, group, skip, state, scratch, found):  # type: ignore[no-untyped-def]
    """Serve request r at its cheapest guided position if its true profit is positive; the profit, or 0.

    The guided price of an hour is its added reserve cost, raised by weight/4 of the way to cards * guide.
    Options outside `group` are left out, and each other one with probability skip/16.
    """
    cards, best, best_option = grid.cards[r], FAR, np.int64(-1)
    first, last = grid.option_from[r], grid.option_from[r + 1]
    for o in range(first, last):
        p, lo = grid.option_pool[o], grid.option_start[o]
        if group_of[p] != group or (skip > 0 and _below(state, 16) < skip):
            continue
        width = grid.option_end[o] - lo
        for w in range(width):
            t = lo + w
            load = plan.load[p, t]
            if load + cards > grid.capacity[p, t] or (not grid.small[r] and plan.others_room[p, grid.day[t]] < cards):
                scratch.price[w] = FAR
                continue
            cost = added_cost(grid.rung_from, grid.rung_cards, grid.rung_price, p * grid.hours + t, load, cards)
            over = gang_price(grid.cuts, guide, cards, p, t) - cost
            scratch.price[w] = cost + (over * weight >> 2) if over > 0 else cost
        limit = best - grid.option_transfer[o]
        cost = cheapest_hours(scratch, width, grid.option_hours[o], grid.min_piece[r], limit)
        if cost < FAR:
            for k in range(grid.option_hours[o]):
                scratch.taken[k] += lo
            if _room_ok(grid, plan, r, o, scratch.taken):
                best, best_option = cost + grid.option_transfer[o], np.int64(o)
                for k in range(grid.option_hours[o]):
                    found[k] = scratch.taken[k]
    if best_option < 0:
        return np.int64(0)
    plan.option[r] = best_option
    for k in range(grid.option_hours[best_option]):
        plan.taken[plan.taken_from[r] + k] = found[k]
    profit = grid.budget[r] - grid.option_transfer[best_option] - _apply(grid, plan, r, 1)
    if profit <= 0:
        _apply(grid, plan, r, -1)
        plan.option[r] = -1
        return np.int64(0)
    return profit


@nb.njit(cache=True, nogil=True)
def remove(grid, plan, r):  # type: ignore[no-untyped-def]
    """Stop serving request r; the change in the objective (a loss is negative)."""
    saved = -_apply(grid, plan, r, -1)
    loss = saved + grid.option_transfer[plan.option[r]] - grid.budget[r]
    plan.option[r] = -1
    return loss


@nb.njit(cache=True, nogil=True)
def fill(grid, plan, order, guide, weight):  # type: ignore[no-untyped-def]
    """Insert the requests of `order` that are not served, one after another."""
    scratch, found = new_scratch(grid.hours), np.zeros(grid.hours, np.int32)
    groups, state = np.zeros(len(plan.load), np.int64), np.zeros(1, np.uint64)
    for r in order:
        if plan.option[r] < 0:
            insert(grid, plan, r, guide, weight, groups, 0, 0, state, scratch, found)


@nb.njit(cache=True, nogil=True)
def _aim(grid, r, guide, group_of, group, state, scratch, found):  # type: ignore[no-untyped-def]
    """A good position for request r if nobody else were there, at guide prices with noise per option and hour."""
    best, best_option = FAR, np.int64(-1)
    for o in range(grid.option_from[r], grid.option_from[r + 1]):
        p, lo = grid.option_pool[o], grid.option_start[o]
        if group_of[p] != group:
            continue
        width, tilt = grid.option_end[o] - lo, 896 + _below(state, 256)
        for w in range(width):
            fits = grid.capacity[p, lo + w] >= grid.cards[r]
            price = gang_price(grid.cuts, guide, grid.cards[r], p, lo + w)
            scratch.price[w] = (price >> 10) * (tilt + _below(state, 256)) if fits else FAR
        limit = best - grid.option_transfer[o]
        cost = cheapest_hours(scratch, width, grid.option_hours[o], grid.min_piece[r], limit)
        if cost < FAR:
            best, best_option = cost + grid.option_transfer[o], np.int64(o)
            for k in range(grid.option_hours[o]):
                found[k] = scratch.taken[k] + lo
    return best_option


class Bench(NamedTuple):
    """Working lists of one group. Pool p owns base[p]..base[p+1] of `placed` and `able`.

    placed: requests served in the pool (slot[r]: where r stands), able: requests that could be, best prospects first.
    touched[:count]: requests of the current move, with old_option and old_taken to undo it; mark: who they are.
    """

    base: Int64
    placed: Int64
    placed_count: Int64
    slot: Int64
    able: Int64
    able_count: Int64
    touched: Int64
    old_option: Int64
    old_taken: Int32
    mark: Bool


@nb.njit(cache=True, nogil=True)
def _new_bench(grid, plan, members, group_of, group):  # type: ignore[no-untyped-def]
    pools, n = len(plan.load), len(grid.cards)
    base = np.zeros(pools + 1, np.int64)
    for r in members:
        for o in range(grid.option_from[r], grid.option_from[r + 1]):
            if group_of[grid.option_pool[o]] == group:
                base[grid.option_pool[o] + 1] += 1
    base = np.cumsum(base)
    bench = Bench(
        base,
        np.zeros(base[pools], np.int64),
        np.zeros(pools, np.int64),
        np.full(n, -1, np.int64),
        np.zeros(base[pools], np.int64),
        np.zeros(pools, np.int64),
        np.zeros(TOUCHED_MAX, np.int64),
        np.zeros(TOUCHED_MAX, np.int64),
        np.zeros((TOUCHED_MAX, grid.hours), np.int32),
        np.zeros(n, np.bool_),
    )
    for r in members:
        for o in range(grid.option_from[r], grid.option_from[r + 1]):
            p = grid.option_pool[o]
            if group_of[p] == group:
                bench.able[base[p] + bench.able_count[p]] = r
                bench.able_count[p] += 1
        if plan.option[r] >= 0:
            _enlist(bench, r, grid.option_pool[plan.option[r]])
    return bench


@nb.njit(cache=True, nogil=True)
def _enlist(bench, r, pool):  # type: ignore[no-untyped-def]
    bench.slot[r] = bench.placed_count[pool]
    bench.placed[bench.base[pool] + bench.placed_count[pool]] = r
    bench.placed_count[pool] += 1


@nb.njit(cache=True, nogil=True)
def _delist(bench, r, pool):  # type: ignore[no-untyped-def]
    bench.placed_count[pool] -= 1
    tail = bench.placed[bench.base[pool] + bench.placed_count[pool]]
    bench.placed[bench.base[pool] + bench.slot[r]] = tail
    bench.slot[tail] = bench.slot[r]


@nb.njit(cache=True, nogil=True)
def _take_out(grid, plan, bench, count, r):  # type: ignore[no-untyped-def]
    """Remember request r as number `count` of this move and stop serving it; the change in the objective."""
    o = plan.option[r]
    bench.touched[count], bench.old_option[count], bench.mark[r] = r, o, True
    if o < 0:
        return np.int64(0)
    for k in range(grid.option_hours[o]):
        bench.old_taken[count, k] = plan.taken[plan.taken_from[r] + k]
    return remove(grid, plan, r)


@nb.njit(cache=True, nogil=True)
def _crowded(grid, plan, c, pool, hours):  # type: ignore[no-untyped-def]
    """How many of `hours` in `pool` have too few free cards for request c."""
    count = 0
    for t in hours:
        count += plan.load[pool, t] + grid.cards[c] > grid.capacity[pool, t]
    return count


@nb.njit(cache=True, nogil=True)
def _blocks(grid, plan, r, c, pool, hours):  # type: ignore[no-untyped-def]
    """Whether request r uses one of the hours that are too crowded for request c."""
    first = plan.taken_from[r]
    last, j = first + grid.option_hours[plan.option[r]], 0
    if plan.taken[first] > hours[-1] or plan.taken[last - 1] < hours[0]:
        return False
    for k in range(first, last):
        t = plan.taken[k]
        while j < len(hours) and hours[j] < t:
            j += 1
        if j == len(hours):
            return False
        if hours[j] == t and plan.load[pool, t] + grid.cards[c] > grid.capacity[pool, t]:
            return True
    return False


@nb.njit(cache=True, nogil=True)
def _push_in(grid, plan, bench, c, o, hours, state):  # type: ignore[no-untyped-def]
    """Take out whoever is in the way of request c at option o and `hours`, and serve it there; (touched, change)."""
    pool, count, change = np.int64(grid.option_pool[o]), 1, np.int64(0)
    here, over = bench.placed_count[pool], _crowded(grid, plan, c, pool, hours)
    at = _below(state, here) if here > 0 else 0
    for step in range(here):
        if over == 0 or count >= TOUCHED_MAX - FRESH_MAX:
            break
        r = bench.placed[bench.base[pool] + (at + step) % here]
        if not bench.mark[r] and _blocks(grid, plan, r, c, pool, hours):
            change += _take_out(grid, plan, bench, count, r)
            count += 1
            over = _crowded(grid, plan, c, pool, hours)
    if over == 0 and _room_ok(grid, plan, c, o, hours):
        plan.option[c] = o
        for k in range(len(hours)):
            plan.taken[plan.taken_from[c] + k] = hours[k]
        change += grid.budget[c] - grid.option_transfer[o] - _apply(grid, plan, c, 1)
    return count, change


@nb.njit(cache=True, nogil=True)
def _empty_area(grid, plan, bench, count, pool, lo, hi, most):  # type: ignore[no-untyped-def]
    """Take out up to `most` requests that run in `pool` between hours lo and hi; (touched, change)."""
    here, change, last = bench.placed_count[pool], np.int64(0), count + most
    for step in range(here):
        if count == last:
            break
        r = bench.placed[bench.base[pool] + (lo + step) % here]
        if bench.mark[r]:
            continue
        first = plan.taken_from[r]
        if plan.taken[first] < hi and plan.taken[first + grid.option_hours[plan.option[r]] - 1] >= lo:
            change += _take_out(grid, plan, bench, count, r)
            count += 1
    return count, change


@nb.njit(cache=True, nogil=True)
def _ruin_around(grid, plan, bench, c, group_of, group, state):  # type: ignore[no-untyped-def]
    """Empty part of the pool and hours of request c, and perhaps the same hours of another pool; (touched, change)."""
    pool, first = np.int64(grid.option_pool[plan.option[c]]), plan.taken_from[c]
    pad = _below(state, PAD_MAX)
    lo, hi = max(0, plan.taken[first] - pad), plan.taken[first] + grid.option_hours[plan.option[c]] + pad
    most = 1 + _below(state, RUIN_MAX)
    change = _take_out(grid, plan, bench, 0, c)
    count, more = _empty_area(grid, plan, bench, 1, pool, lo, hi, most)
    q = bench.touched[_below(state, count)]
    other = grid.option_from[q] + _below(state, grid.option_from[q + 1] - grid.option_from[q])
    if _below(state, 2) == 0 or group_of[grid.option_pool[other]] != group:
        return count, change + more
    count, rest = _empty_area(grid, plan, bench, count, np.int64(grid.option_pool[other]), lo, hi, most)
    return count, change + more + rest


@nb.njit(cache=True, nogil=True)
def _invite(grid, plan, bench, count, pool, state):  # type: ignore[no-untyped-def]
    """Add a few refused requests that could run in `pool`, good prospects more often; the number touched."""
    able = bench.able_count[pool]
    for _ in range(_below(state, FRESH_MAX)):
        r = bench.able[bench.base[pool] + _below(state, able) * _below(state, able) // able]
        if plan.option[r] < 0 and not bench.mark[r]:
            _take_out(grid, plan, bench, count, r)
            count += 1
    return count


@nb.njit(cache=True, nogil=True)
def _recreate(  # type: ignore[no-untyped-def]
    grid, plan, bench, count, guide, rank, group_of, group, state, scratch, found
):
    """Insert the touched requests in a random order: by chance, by size, or by rank with noise; the change."""
    key, mode, change = np.zeros(count, np.int64), _below(state, 4), np.int64(0)
    for i in range(count):
        r, noise = bench.touched[i], 768 + _below(state, 512)
        if mode == 0:
            key[i] = _below(state, 1 << 30)
        elif mode == 1:
            key[i] = -grid.cards[r] * noise
        else:
            key[i] = -((rank[r] * noise) >> 10)
    weight = _below(state, 5)
    for i in np.argsort(key):
        r = bench.touched[i]
        if plan.option[r] < 0:
            change += insert(grid, plan, r, guide, weight, group_of, group, SKIP, state, scratch, found)
    return change


@nb.njit(cache=True, nogil=True)
def _keep(grid, plan, bench, count):  # type: ignore[no-untyped-def]
    for i in range(count):
        r = bench.touched[i]
        if bench.old_option[i] >= 0:
            _delist(bench, r, grid.option_pool[bench.old_option[i]])
        if plan.option[r] >= 0:
            _enlist(bench, r, grid.option_pool[plan.option[r]])
        bench.mark[r] = False


@nb.njit(cache=True, nogil=True)
def _undo(grid, plan, bench, count):  # type: ignore[no-untyped-def]
    for i in range(count):
        if plan.option[bench.touched[i]] >= 0:
            remove(grid, plan, bench.touched[i])
    for i in range(count):
        r, o = bench.touched[i], bench.old_option[i]
        if o >= 0:
            plan.option[r] = o
            for k in range(grid.option_hours[o]):
                plan.taken[plan.taken_from[r] + k] = bench.old_taken[i, k]
            _apply(grid, plan, r, 1)
        bench.mark[r] = False


@nb.njit(cache=True, nogil=True)
def anneal(  # type: ignore[no-untyped-def]
    grid, plan, guide, rank, members, group_of, group, moves, threshold, seed
):
    """Ruin and recreate `moves` times inside one group of pools; the change in the objective.

    guide int64[1+K,P,T]: prices that show where room is dear; rank int64[n] >= 0: who tends to go first; members:
    requests of the group, best prospects first. A move that loses less than a random part of `threshold` is kept.
    """
    state, size, total = np.array([seed], np.uint64), len(members), np.int64(0)
    if size == 0:
        return total
    scratch, found = new_scratch(grid.hours), np.zeros(grid.hours, np.int32)
    bench = _new_bench(grid, plan, members, group_of, group)
    for _ in range(moves):
        c = members[_below(state, size)]
        if plan.option[c] < 0:
            c = members[_below(state, size) * _below(state, size) // size]
        if plan.option[c] < 0 or _below(state, RELOCATE) == 0:
            o = _aim(grid, c, guide, group_of, group, state, scratch, found)
            if o < 0:
                continue
            pool = np.int64(grid.option_pool[o])
            change = _take_out(grid, plan, bench, 0, c)
            count, more = _push_in(grid, plan, bench, c, o, found[: grid.option_hours[o]].copy(), state)
        else:
            pool = np.int64(grid.option_pool[plan.option[c]])
            change = np.int64(0)
            count, more = _ruin_around(grid, plan, bench, c, group_of, group, state)
        count = _invite(grid, plan, bench, count, pool, state)
        change += more + _recreate(grid, plan, bench, count, guide, rank, group_of, group, state, scratch, found)
        luck = _below(state, 1024)
        if change >= -((threshold * luck * luck) >> 20):
            total += change
            _keep(grid, plan, bench, count)
        else:
            _undo(grid, plan, bench, count)
    return total
