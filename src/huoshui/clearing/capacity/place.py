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
from huoshui.clearing.capacity.problem import Int32, Int64

RUIN_MAX = 24
FRESH_MAX = 16
TOUCHED_MAX = 400
OPTIONS_TRIED_MAX = 8


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


@nb.njit(cache=True, nogil=True)
def anneal(  # type: ignore[no-untyped-def]
    grid, plan, guide, rank, members, group_of, group, steps, threshold, seed
):
    """Ruin and recreate inside one group of pools `steps` times; the change in the objective.

    members: requests of the group, best prospects first; rank int64[n]: value per card-hour used for orders.
    """
    n, size = len(grid.cards), len(members)
    state = np.array([seed], np.uint64)
    scratch, found = new_scratch(grid.hours), np.zeros(grid.hours, np.int32)
    total = np.int64(0)
    if size == 0:
        return total
    pools = len(plan.load)
    # placed requests per pool: linked arrays with room for every member
    slot = np.full(n, -1, np.int64)
    wanted = np.zeros(pools, np.int64)
    for r in members:
        for o in range(grid.option_from[r], grid.option_from[r + 1]):
            wanted[grid.option_pool[o]] += 1
    base = np.zeros(pools + 1, np.int64)
    for p in range(pools):
        base[p + 1] = base[p] + (wanted[p] if group_of[p] == group else 0)
    placed, placed_count = np.zeros(base[pools], np.int64), np.zeros(pools, np.int64)
    able = np.zeros(base[pools], np.int64)
    able_count = np.zeros(pools, np.int64)
    for r in members:
        for o in range(grid.option_from[r], grid.option_from[r + 1]):
            p = grid.option_pool[o]
            if group_of[p] == group:
                able[base[p] + able_count[p]] = r
                able_count[p] += 1
        if plan.option[r] >= 0:
            p = grid.option_pool[plan.option[r]]
            slot[r] = placed_count[p]
            placed[base[p] + placed_count[p]] = r
            placed_count[p] += 1
    touched = np.zeros(TOUCHED_MAX, np.int64)
    old_option = np.zeros(TOUCHED_MAX, np.int64)
    old_taken = np.zeros((TOUCHED_MAX, grid.hours), np.int32)
    key = np.zeros(TOUCHED_MAX, np.int64)
    mark = np.zeros(n, np.bool_)
    for _ in range(steps):
        count = 0
        delta = np.int64(0)
        c = members[_below(state, size)]
        if plan.option[c] < 0:
            k = _below(state, size)
            c = members[(k * _below(state, size)) // size]
        forced = plan.option[c] < 0
        touched[0], count, mark[c] = c, 1, True
        old_option[0] = plan.option[c]
        if forced:
            o = _aim(grid, c, guide, group_of, group, state, scratch, found)
            if o < 0:
                mark[c] = False
                continue
            pool = np.int64(grid.option_pool[o])
            need = grid.option_hours[o]
            here = placed_count[pool]
            at = _below(state, here) if here > 0 else 0
            over = 0
            for k in range(need):
                over += plan.load[pool, found[k]] + grid.cards[c] > grid.capacity[pool, found[k]]
            for step in range(here):
                if over == 0 or count >= TOUCHED_MAX - FRESH_MAX:
                    break
                r = placed[base[pool] + (at + step) % here]
                f = plan.taken_from[r]
                last = grid.option_hours[plan.option[r]]
                begin, end = plan.taken[f], plan.taken[f + last - 1]
                if begin > found[need - 1] or end < found[0]:
                    continue
                hit, j = False, 0
                for k in range(last):
                    t = plan.taken[f + k]
                    while j < need and found[j] < t:
                        j += 1
                    if j < need and found[j] == t and plan.load[pool, t] + grid.cards[c] > grid.capacity[pool, t]:
                        hit = True
                        break
                if not hit:
                    continue
                touched[count], old_option[count], mark[r] = r, plan.option[r], True
                for k in range(last):
                    old_taken[count, k] = plan.taken[f + k]
                count += 1
                delta += remove(grid, plan, r)
                over = 0
                for k in range(need):
                    over += plan.load[pool, found[k]] + grid.cards[c] > grid.capacity[pool, found[k]]
            if over == 0 and _room_ok(grid, plan, c, o, found):
                plan.option[c] = o
                for k in range(need):
                    plan.taken[plan.taken_from[c] + k] = found[k]
                delta += grid.budget[c] - grid.option_transfer[o] - _apply(grid, plan, c, 1)
            parts = 0
        else:
            o = plan.option[c]
            pool = np.int64(grid.option_pool[o])
            lo = plan.taken[plan.taken_from[c]]
            hi = lo + grid.option_hours[o]
            pad = _below(state, 6)
            lo, hi = lo - pad, hi + pad
            parts = 1 + _below(state, 2)
            ruin = 1 + _below(state, RUIN_MAX)
        for part in range(parts):
            if part == 1:
                q = touched[_below(state, count)]
                span = grid.option_from[q + 1] - grid.option_from[q]
                o2 = grid.option_from[q] + _below(state, span)
                if group_of[grid.option_pool[o2]] != group:
                    break
                pool = np.int64(grid.option_pool[o2])
            here = placed_count[pool]
            got = 0
            if here > 0:
                at = _below(state, here)
                for step in range(here):
                    r = placed[base[pool] + (at + step) % here]
                    if mark[r]:
                        continue
                    f = plan.taken_from[r]
                    begin, end = plan.taken[f], plan.taken[f + grid.option_hours[plan.option[r]] - 1]
                    if begin >= hi or end < lo:
                        continue
                    touched[count], old_option[count], mark[r] = r, plan.option[r], True
                    count += 1
                    got += 1
                    if got >= ruin:
                        break
        if not forced:
            for i in range(count):
                r = touched[i]
                for k in range(grid.option_hours[old_option[i]]):
                    old_taken[i, k] = plan.taken[plan.taken_from[r] + k]
                delta += remove(grid, plan, r)
        fresh = _below(state, FRESH_MAX)
        for _try in range(fresh):
            k = _below(state, able_count[pool])
            r = able[base[pool] + (k * _below(state, able_count[pool])) // able_count[pool]]
            if plan.option[r] < 0 and not mark[r]:
                touched[count], old_option[count], mark[r] = r, -1, True
                count += 1
        # order
        mode = _below(state, 4)
        for i in range(count):
            r = touched[i]
            noise = 768 + _below(state, 512)
            if mode == 0:
                key[i] = _below(state, 1 << 30)
            elif mode == 1:
                key[i] = -(grid.cards[r] * noise)
            else:
                key[i] = -((rank[r] * noise) >> 10)
        order = np.argsort(key[:count])
        weight = _below(state, 5)
        for i in range(count):
            r = touched[order[i]]
            if plan.option[r] < 0:
                delta += insert(grid, plan, r, guide, weight, group_of, group, 2, state, scratch, found)
        u = _below(state, 1024)
        if delta >= -((threshold * u * u) >> 20):
            total += delta
            for i in range(count):
                r = touched[i]
                if old_option[i] >= 0:
                    p = grid.option_pool[old_option[i]]
                    placed_count[p] -= 1
                    tail = placed[base[p] + placed_count[p]]
                    placed[base[p] + slot[r]] = tail
                    slot[tail] = slot[r]
                if plan.option[r] >= 0:
                    p = grid.option_pool[plan.option[r]]
                    slot[r] = placed_count[p]
                    placed[base[p] + placed_count[p]] = r
                    placed_count[p] += 1
                mark[r] = False
        else:
            for i in range(count):
                r = touched[i]
                if plan.option[r] >= 0:
                    remove(grid, plan, r)
            for i in range(count):
                r = touched[i]
                if old_option[i] >= 0:
                    plan.option[r] = old_option[i]
                    for k in range(grid.option_hours[old_option[i]]):
                        plan.taken[plan.taken_from[r] + k] = old_taken[i, k]
                    _apply(grid, plan, r, 1)
                mark[r] = False
    return total
