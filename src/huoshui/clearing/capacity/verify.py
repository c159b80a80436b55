"""Checks every statement of a Result against its Problem, with an oracle of its own in plain numpy.

Nothing here is shared with the solver beyond the two records and the codes: the verifier rebuilds capacity,
merit order, option filter, reserve cost and the Lagrangian bound from the columns, request by request, the
plain way. An empty answer means that every statement holds; otherwise each Violation names what is false and
where.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from huoshui.clearing.capacity.codes import Breach, Refusal
from huoshui.clearing.capacity.problem import PRICE_MAX, Int64, Problem
from huoshui.clearing.capacity.result import PARAMS, Result

NONE = 1 << 60


@dataclass(frozen=True)
class Violation:
    """A false statement: its code, the field and index it concerns, and the values that show it."""

    code: Breach
    where: str
    params: tuple[int, ...] = ()


def verify(problem: Problem, result: Result) -> tuple[Violation, ...]:
    """All false statements of `result` about `problem`; empty when the result holds."""
    shape = tuple(_shape(problem, result))
    if shape:
        return shape
    runs = tuple(_runs(problem, result))
    if runs:
        return runs
    load = _load(problem, result)
    found = [*_capacity(problem, result, load), *_money(problem, result, load), *_totals(problem, result, load)]
    return (*found, *_bound_and_refusals(problem, result))


def _shape(problem: Problem, result: Result) -> Iterator[Violation]:
    n, cells = problem.requests, (problem.pools, problem.hours)
    k, g = len(result.run_request), len(result.gang_size)
    wanted = {
        "served": (n,), "pool": (n,), "payment": (n,), "refusal": (n,), "dropped": (n,), "refusal_params": (n, PARAMS),
        "run_start": (k,), "run_end": (k,), "shadow_price": cells, "slot_price": cells, "gang_price": (g, *cells),
        "deposit_sold": problem.deposit_cards.shape,
    }  # fmt: skip
    for name, shape in wanted.items():
        if getattr(result, name).shape != shape:
            yield Violation(Breach.SHAPE, name, getattr(result, name).shape)
    if result.problem_digest != problem.digest():
        yield Violation(Breach.DIGEST, "problem_digest")


def _runs(problem: Problem, result: Result) -> Iterator[Violation]:
    """Every served request runs in one acceptable pool, inside its window, for its hours, in pieces long enough."""
    order = np.lexsort((result.run_start, result.run_request))
    if (order != np.arange(len(order))).any() or (
        (result.run_request < 0) | (result.run_request >= problem.requests)
    ).any():
        yield Violation(Breach.RUNS, "run_request")
        return
    first = np.searchsorted(result.run_request, np.arange(problem.requests + 1))
    for r in range(problem.requests):
        start, end = result.run_start[first[r] : first[r + 1]], result.run_end[first[r] : first[r + 1]]
        pool = int(result.pool[r])
        if not result.served[r]:
            if len(start) or pool != -1:
                yield Violation(Breach.RUNS, f"pool[{r}]", (pool, len(start)))
            continue
        if not 0 <= pool < problem.pools:
            yield Violation(Breach.POOL, f"pool[{r}]", (pool,))
            continue
        need = int(problem.run_hours[r, problem.pool_model[pool]])
        lead = int(problem.lead_hours[r, problem.pool_region[pool]])
        if need == 0 or lead < 0:
            yield Violation(Breach.POOL, f"pool[{r}]", (pool,))
        elif len(start) == 0 or (end <= start).any() or (start[1:] <= end[:-1]).any():
            yield Violation(Breach.RUNS, f"run_start[request {r}]")
        elif start[0] < problem.earliest[r] + lead or end[-1] > problem.deadline[r]:
            yield Violation(Breach.WINDOW, f"run_start[request {r}]", (int(start[0]), int(end[-1])))
        elif (end - start).sum() != need or not _pieces_ok(problem, r, need, end - start):
            yield Violation(Breach.PIECES, f"run_end[request {r}]", tuple(int(h) for h in end - start))


def _pieces_ok(problem: Problem, r: int, need: int, lengths: np.ndarray) -> bool:
    if not problem.preemptible[r] or need <= problem.min_piece[r]:
        return len(lengths) == 1
    return bool((lengths >= problem.min_piece[r]).all())


def _load(problem: Problem, result: Result) -> Int64:
    load = np.zeros((problem.pools, problem.hours), np.int64)
    for r, start, end in zip(result.run_request, result.run_start, result.run_end, strict=True):
        load[result.pool[r], start:end] += problem.cards[r]
    return load


def _merit_order(problem: Problem, pool: int) -> np.ndarray:
    """Deposits of a pool per hour in the order they serve, int[deposits, T]: reserve, then deposit order, then row."""
    rows = np.flatnonzero(problem.deposit_pool == pool)
    rows = rows[np.argsort(problem.deposit_order[rows], kind="stable")]
    return rows[np.argsort(problem.deposit_reserve[rows], axis=0, kind="stable")]


def _capacity(problem: Problem, result: Result, load: Int64) -> Iterator[Violation]:
    """Within capacity; cards sold of each deposit follow the merit order; prices are at least every reserve used."""
    for p, t in np.argwhere(load > problem.capacity):
        yield Violation(Breach.CAPACITY, f"cell[{p}, {t}]", (int(load[p, t]), int(problem.capacity[p, t])))
    hour = np.arange(problem.hours)
    for p in range(problem.pools):
        left = load[p].copy()
        for row in _merit_order(problem, p):
            sold = np.minimum(left, problem.deposit_cards[row, hour])
            left -= sold
            for t in np.flatnonzero(result.deposit_sold[row, hour] != sold):
                yield Violation(Breach.SOLD, f"deposit_sold[{row[t]}, {t}]", (int(sold[t]),))
            for t in np.flatnonzero((sold > 0) & (result.slot_price[p] < problem.deposit_reserve[row, hour])):
                yield Violation(Breach.FLOOR, f"slot_price[{p}, {t}]", (int(problem.deposit_reserve[row[t], t]),))


def _money(problem: Problem, result: Result, load: Int64) -> Iterator[Violation]:
    """Prices are whole steps; payments follow, stay within budgets, and equal what sellers and carriers get."""
    for p, t in np.argwhere((result.slot_price < 0) | (result.slot_price % result.price_step != 0)):
        yield Violation(Breach.PRICE_RANGE, f"slot_price[{p}, {t}]", (int(result.slot_price[p, t]),))
    due = _transfers(problem, result)
    carried = int(due.sum())
    for r, start, end in zip(result.run_request, result.run_start, result.run_end, strict=True):
        due[r] += problem.cards[r] * result.slot_price[result.pool[r], start:end].sum()
    for r in np.flatnonzero(result.payment != due):
        yield Violation(Breach.PAYMENT, f"payment[{r}]", (int(result.payment[r]), int(due[r])))
    for r in np.flatnonzero(due > problem.budget):
        yield Violation(Breach.OVER_BUDGET, f"payment[{r}]", (int(due[r]), int(problem.budget[r])))
    revenue = sum(
        int((result.deposit_sold[problem.deposit_pool == p] * result.slot_price[p]).sum()) for p in range(problem.pools)
    )
    if int(result.payment.sum()) != revenue + carried:
        yield Violation(Breach.CONSERVATION, "payment", (int(result.payment.sum()), revenue, carried))


def _transfers(problem: Problem, result: Result) -> Int64:
    due = np.zeros(problem.requests, np.int64)
    served = np.flatnonzero(result.served)
    due[served] = problem.transfer_cost[served, problem.pool_region[result.pool[served]]]
    return due


def _totals(problem: Problem, result: Result, load: Int64) -> Iterator[Violation]:
    """Objective, gap and what the rules cost."""
    cost = int((result.deposit_sold * problem.deposit_reserve).sum())
    value = int(problem.budget[result.served].sum()) - int(_transfers(problem, result).sum()) - cost
    if result.objective != value:
        yield Violation(Breach.OBJECTIVE, "objective", (result.objective, value))
    spread = result.bound - result.objective
    gap = -(-spread * 10_000 // result.bound) if result.bound > 0 else 0
    if spread < 0 or result.gap_bps != gap:
        yield Violation(Breach.GAP, "gap_bps", (result.gap_bps, gap))
    if result.price_rule_loss > spread or (result.price_rule_loss != 0 and not result.dropped.any()):
        yield Violation(Breach.TOTALS, "price_rule_loss", (result.price_rule_loss,))
    if (result.dropped & result.served).any():
        yield Violation(Breach.TOTALS, "dropped", (int(np.flatnonzero(result.dropped & result.served)[0]),))
    share, ranked = result.reserved_share_bps > 0, len(np.unique(problem.priority)) > 1
    for name, used in (("share_cost", share), ("priority_cost", ranked)):
        low, high = getattr(result, f"{name}_low"), getattr(result, f"{name}_high")
        if high != (spread if used else 0) or not 0 <= low <= high:
            yield Violation(Breach.RULE_COST, name, (low, high))


def _bound_and_refusals(problem: Problem, result: Result) -> Iterator[Violation]:
    """The bound is what its prices prove, and every refusal has the reason and the amounts given."""
    if (result.shadow_price < 0).any() or (result.gang_price < 0).any() or (result.gang_size < 1).any():
        yield Violation(Breach.BOUND, "shadow_price")
        return
    if max(result.shadow_price.max(initial=0), result.gang_price.max(initial=0)) > PRICE_MAX:
        yield Violation(Breach.BOUND, "shadow_price")
        return
    total = _supply_value(problem, result)
    orders = [_merit_order(problem, pool) for pool in range(problem.pools)]
    for r in range(problem.requests):
        options = _options(problem, r, orders)
        total += max(0, int(problem.budget[r]) - _at_shadow(problem, result, r, options))
        yield from _refusal(problem, result, r, options)
    if total != result.bound:
        yield Violation(Breach.BOUND, "bound", (result.bound, total))


def _supply_value(problem: Problem, result: Result) -> int:
    above = np.maximum(0, result.shadow_price[problem.deposit_pool] - problem.deposit_reserve)
    total = int((above * problem.deposit_cards).sum())
    for size, price in zip(result.gang_size, result.gang_price, strict=True):
        total += int((problem.capacity // size * size * price).sum())
    return total


@dataclass(frozen=True)
class _Option:
    """Request r in one pool: window, hours, transfer and its reserve cost on an empty grid (NONE: does not fit)."""

    pool: int
    start: int
    end: int
    need: int
    transfer: int
    reserve_cost: int


def _options(problem: Problem, r: int, orders: list[np.ndarray]) -> list[_Option]:
    """One option per acceptable pool, also those that do not fit."""
    found = []
    need, lead = problem.run_hours[r, problem.pool_model], problem.lead_hours[r, problem.pool_region]
    for pool in np.flatnonzero((need > 0) & (lead >= 0)):
        start, end = int(problem.earliest[r] + lead[pool]), int(problem.deadline[r])
        transfer = int(problem.transfer_cost[r, problem.pool_region[pool]])
        cost = NONE
        if start + need[pool] <= end:
            cost = _cheapest(problem, r, int(need[pool]), _empty_cost(problem, r, orders[pool], start, end))
        found.append(_Option(int(pool), start, end, int(need[pool]), transfer, min(NONE, cost + transfer)))
    return found


def _empty_cost(problem: Problem, r: int, order: np.ndarray, start: int, end: int) -> Int64:
    """Reserve cost of the request's cards in each hour if it were alone; NONE where the pool has fewer cards."""
    left = np.full(end - start, int(problem.cards[r]), np.int64)
    cost = np.zeros(end - start, np.int64)
    hour = np.arange(start, end)
    for row in order[:, start:end]:
        used = np.minimum(left, problem.deposit_cards[row, hour])
        cost += used * problem.deposit_reserve[row, hour]
        left -= used
    return np.where(left > 0, NONE, cost)


def _cheapest(problem: Problem, r: int, need: int, price: Int64) -> int:
    """Least total price of `need` hours in pieces that the request allows, or NONE."""
    piece = int(problem.min_piece[r]) if problem.preemptible[r] else need
    piece = min(piece, need)
    if piece == need:
        windows = np.lib.stride_tricks.sliding_window_view(price, need)
        return int(np.where(windows.max(axis=1) < NONE, np.minimum(windows, NONE // need).sum(axis=1), NONE).min())
    total = np.full((len(price) + 1, need + 1), NONE, np.int64)
    ending = np.full((len(price) + 1, need + 1), NONE, np.int64)
    total[:, 0] = 0
    for t in range(1, len(price) + 1):
        fresh = price[t - piece : t] if t >= piece else price[:0]
        if len(fresh) and fresh.max() < NONE:
            ending[t, piece:] = total[t - piece, : need + 1 - piece] + fresh.sum()
        if price[t - 1] < NONE and piece < need:
            ending[t, 1:] = np.minimum(ending[t, 1:], ending[t - 1, :-1] + price[t - 1])
        total[t] = np.minimum(np.minimum(total[t - 1], ending[t]), NONE)
        ending[t] = np.minimum(ending[t], NONE)
    return int(total[-1, need])


def _at_shadow(problem: Problem, result: Result, r: int, options: list[_Option]) -> int:
    """Cheapest option at the shadow prices among those that fit and whose reserve cost is within the budget."""
    cards, best = int(problem.cards[r]), NONE
    for option in options:
        if option.reserve_cost <= problem.budget[r]:
            span = slice(option.start, option.end)
            price = cards * result.shadow_price[option.pool, span]
            for size, gang in zip(result.gang_size, result.gang_price, strict=True):
                price = price + cards // size * size * gang[option.pool, span]
            best = min(best, option.transfer + _at(problem, r, option, price))
    return best


def _at(problem: Problem, r: int, option: _Option, price: Int64) -> int:
    fits = problem.capacity[option.pool, option.start : option.end] >= problem.cards[r]
    return _cheapest(problem, r, option.need, np.where(fits, price, NONE))


def _refusal(problem: Problem, result: Result, r: int, options: list[_Option]) -> Iterator[Violation]:
    code, params = int(result.refusal[r]), tuple(int(v) for v in result.refusal_params[r])
    if result.served[r] or not options or min(o.reserve_cost for o in options) >= NONE:
        reason = _plain_reason(problem, r, options) if not result.served[r] else Refusal.SERVED
        if code != reason or params != (0, -1, 0):
            yield Violation(Breach.REFUSAL, f"refusal[{r}]", (code, reason))
        return
    within = [o for o in options if o.reserve_cost <= problem.budget[r]]
    if not within:
        cost = {o.pool: o.reserve_cost for o in options}
        if code != Refusal.BUDGET:
            yield Violation(Breach.REFUSAL, f"refusal[{r}]", (code, Refusal.BUDGET))
    else:
        slot = result.slot_price
        cards = problem.cards[r]
        cost = {o.pool: o.transfer + _at(problem, r, o, cards * slot[o.pool, o.start : o.end]) for o in within}
        missed = max(0, int(problem.budget[r]) - min(cost.values()))
        reason = _priced_reason(problem, result, r, missed, params[1])
        if code != reason:
            yield Violation(Breach.REFUSAL, f"refusal[{r}]", (code, reason))
    least = min(cost.values())
    missed = max(0, int(problem.budget[r]) - least)
    if params != (least, params[1], missed) or cost.get(params[1]) != least:
        yield Violation(Breach.REFUSAL_PARAMS, f"refusal_params[{r}]", params)


def _plain_reason(problem: Problem, r: int, options: list[_Option]) -> Refusal:
    if options:
        return Refusal.NO_CAPACITY
    return Refusal.REGION if (problem.run_hours[r, problem.pool_model] > 0).any() else Refusal.MODEL


def _priced_reason(problem: Problem, result: Result, r: int, missed: int, pool: int) -> Refusal:
    if missed == 0:
        return Refusal.PRICE
    if result.reserved_share_bps == 0 or problem.small[r] or not 0 <= pool < problem.pools:
        return Refusal.MISSED
    lead = problem.lead_hours[r, problem.pool_region[pool]]
    window = np.arange(problem.earliest[r] + lead, problem.deadline[r])
    day = (problem.horizon_start + 8 + np.arange(problem.hours)) // 24
    for d in np.unique(day[window]):
        part = int(problem.capacity[pool, day == d].sum()) * (10_000 - result.reserved_share_bps) // 10_000
        most = int(problem.cards[r]) * min(
            int(problem.run_hours[r, problem.pool_model[pool]]), int((day[window] == d).sum())
        )
        if _others_used(problem, result, pool, day == d) + most > part:
            return Refusal.KEPT_FOR_SMALL
    return Refusal.MISSED


def _others_used(problem: Problem, result: Result, pool: int, hours: np.ndarray) -> int:
    """Card-hours in a pool during `hours` by requests that are not small."""
    mine = (result.pool[result.run_request] == pool) & ~problem.small[result.run_request]
    rows = zip(result.run_request[mine], result.run_start[mine], result.run_end[mine], strict=True)
    return sum(int(problem.cards[r]) * int(hours[a:b].sum()) for r, a, b in rows)
