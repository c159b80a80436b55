"""After a recall or a failure: move as few requests as possible, and nobody else.

Commitments of published rounds are frozen. Hours before `now` have happened. When a cell offers fewer cards
than are committed, the fewest requests that relieve all such cells are chosen (greedy cover, then every choice
that proves needless is taken back), and re-placed at the published slot prices in what is free:

- not started, or rigid: the whole run again, in any acceptable pool, inside the original window, from `now` on;
- preemptible and started: the hours that remain (scaled, rounded up, when the new pool's model has another speed).

A card that must be bought above the slot price because of a dearer deposit is charged at that deposit's
reserve. The request pays at most what it would have paid; `difference` is the rest, for whoever recalled.
Requests that find no place are displaced: they keep the hours already run, and the desk compensates them and
lets them go first in the next round.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from huoshui.clearing.capacity.codes import Breach
from huoshui.clearing.capacity.oracle import FAR, cheapest_hours, new_scratch
from huoshui.clearing.capacity.problem import Bool, Int32, Int64, Problem
from huoshui.clearing.capacity.quote import unbroken
from huoshui.clearing.capacity.result import Result
from huoshui.clearing.capacity.verify import Violation


@dataclass(frozen=True, eq=False)
class Reschedule:
    """The schedule after a change; money in 1/1000 fen.

    now             hour offset from which the schedule may differ
    run_request, run_pool, run_start, run_end  int32[k]: all runs, past and future, by request and start
    moved, displaced bool[n]; nobody is both
    before          int64[n]: what the work to be done again or still to do cost under the old schedule (0 unless moved)
    cost            int64[n]: what it costs now, extra transfer included; the request pays min(before, cost)
    difference      int64[n]: max(0, cost - before), for whoever recalled
    deposit_sold    int32[D,T]: cards of each deposit in use, hours before `now` as they were
    """

    now: int
    run_request: Int32
    run_pool: Int32
    run_start: Int32
    run_end: Int32
    moved: Bool
    displaced: Bool
    before: Int64
    cost: Int64
    difference: Int64
    deposit_sold: Int32


def reschedule(
    problem: Problem, result: Result, *, now: int, new_deposit_cards: Int32 | None = None, failed: Sequence[int] = ()
) -> Reschedule:
    """Re-place what no longer fits.

    `new_deposit_cards` int32[D,T]: cards that are left; `failed`: requests to re-place anyway.
    Raises ValueError when hours before `now` are changed or a failed request has no hours left.
    """
    cards = _checked(problem, result, now, new_deposit_cards, failed)
    state = _Board(problem, result, now, cards)
    affected = _fewest(state, sorted(set(failed)))
    orders = (sorted(affected, key=lambda r: (-state.size(r), r)), sorted(affected, key=lambda r: (state.size(r), r)))
    tries = [_replace(state, order) for order in orders]
    return _record(state, affected, min(tries, key=lambda placed: (len(affected) - len(placed), _extra(state, placed))))


def _checked(
    problem: Problem, result: Result, now: int, new_deposit_cards: Int32 | None, failed: Sequence[int]
) -> Int32:
    if not 0 <= now <= problem.hours:
        raise ValueError(f"now = {now}: must be 0 to {problem.hours}")
    for r in failed:
        if not (result.run_end[result.run_request == r] > now).any():
            raise ValueError(f"failed: request {problem.request_id[r]} has no hours left to run at hour {now}")
    cards = problem.deposit_cards if new_deposit_cards is None else np.asarray(new_deposit_cards, np.int32)
    if cards.shape != problem.deposit_cards.shape or (cards < 0).any():
        raise ValueError(f"new_deposit_cards: must be of shape {problem.deposit_cards.shape} and not negative")
    if (cards[:, :now] != problem.deposit_cards[:, :now]).any():
        raise ValueError(f"new_deposit_cards: hours before {now} have happened and must not change")
    return cards


@dataclass(frozen=True)
class _Placement:
    pool: int
    hours: Int32
    cost: int


class _Board:
    """The old schedule on the new capacity."""

    def __init__(self, problem: Problem, result: Result, now: int, deposit_cards: Int32) -> None:
        self.problem, self.result, self.now, self.deposit_cards = problem, result, now, deposit_cards
        self.capacity = np.zeros((problem.pools, problem.hours), np.int64)
        np.add.at(self.capacity, problem.deposit_pool, deposit_cards.astype(np.int64))
        self.first = np.searchsorted(result.run_request, np.arange(problem.requests + 1))
        self.load = np.zeros_like(self.capacity)
        for r in np.flatnonzero(result.served).tolist():
            self.load[result.pool[r], self.hours(r)] += problem.cards[r]
        self.ladders = _ladders(problem, deposit_cards)

    def hours(self, r: int) -> Int32:
        """Hours that request r runs under the old schedule."""
        span = range(self.first[r], self.first[r + 1])
        return np.concatenate([np.arange(self.result.run_start[k], self.result.run_end[k]) for k in span]).astype(
            np.int32
        )

    def future(self, r: int) -> Int32:
        hours = self.hours(r)
        return hours[hours >= self.now]

    def again(self, r: int) -> Int32:
        """Old hours whose work has to be placed anew: all of them for a rigid run, else those still to come."""
        return self.future(r) if self.problem.preemptible[r] else self.hours(r)

    def size(self, r: int) -> int:
        return int(self.problem.cards[r]) * len(self.again(r))

    def before(self, r: int) -> int:
        price = self.result.slot_price[self.result.pool[r], self.again(r)]
        return int(self.problem.cards[r]) * int(price.sum())


def _merit_rows(problem: Problem, pool: int) -> Int64:
    """Deposits of a pool per hour in the order they serve, int64[deposits, T]."""
    rows = np.flatnonzero(problem.deposit_pool == pool)
    rows = rows[np.argsort(problem.deposit_order[rows], kind="stable")]
    return rows[np.argsort(problem.deposit_reserve[rows], axis=0, kind="stable")]


def _ladders(problem: Problem, deposit_cards: Int32) -> list[tuple[Int64, Int64]]:
    """Per pool: cumulative cards and reserve prices of its deposits in merit order, int64[deposits, T] each."""
    hour, ladders = np.arange(problem.hours), []
    for p in range(problem.pools):
        rows = _merit_rows(problem, p)
        ladders.append(
            (np.cumsum(deposit_cards[rows, hour], axis=0, dtype=np.int64), problem.deposit_reserve[rows, hour])
        )
    return ladders


def _fewest(state: _Board, forced: list[int]) -> list[int]:
    """Few requests whose future hours, given up, relieve every overloaded cell; the forced ones are among them."""
    problem, result, now = state.problem, state.result, state.now
    load = state.load.copy()

    def shift(r: int, sign: int) -> None:
        load[result.pool[r], state.future(r)] += sign * problem.cards[r]

    for r in forced:
        shift(r, -1)
    chosen: list[int] = []
    over = np.maximum(0, load - state.capacity)
    over[:, :now] = 0
    touching = [r for r in np.flatnonzero(result.served).tolist() if over[result.pool[r], state.future(r)].any()]
    waiting = set(touching) - set(forced)
    while over.any():
        relief = {r: int(np.minimum(over[result.pool[r], state.future(r)], problem.cards[r]).sum()) for r in waiting}
        best = min(waiting, key=lambda r: (-relief[r], problem.cards[r], r))
        shift(best, -1)
        chosen.append(best)
        waiting = {r for r in waiting if relief[r] > 0} - {best}
        over = np.maximum(0, load - state.capacity)
        over[:, :now] = 0
    kept = []
    for r in reversed(chosen):
        shift(r, 1)
        pool, hours = result.pool[r], state.future(r)
        if (load[pool, hours] > state.capacity[pool, hours]).any():
            shift(r, -1)
            kept.append(r)
    return sorted({*forced, *kept})


def _replace(state: _Board, order: list[int]) -> dict[int, _Placement]:
    """Place the requests of `order` one after another at the least cost; those that fit."""
    load = state.load.copy()
    for r in order:
        load[state.result.pool[r], state.future(r)] -= state.problem.cards[r]
    placed = {}
    scratch = new_scratch(state.problem.hours)
    for r in order:
        best = _best_place(state, load, r, scratch)
        if best is not None:
            load[best.pool, best.hours] += state.problem.cards[r]
            placed[r] = best
    return placed


def _best_place(state: _Board, load: Int64, r: int, scratch) -> _Placement | None:  # type: ignore[no-untyped-def]
    problem, best = state.problem, None
    for pool in range(problem.pools):
        terms = _terms(state, r, pool)
        if terms is None:
            continue
        start, need, transfer = terms
        width, cards = int(problem.deadline[r]) - start, int(problem.cards[r])
        if width < need:
            continue
        scratch.price[:width] = _prices(state, load, pool, start, width, cards)
        piece = int(problem.min_piece[r]) if problem.preemptible[r] else 0
        found = cheapest_hours(scratch, width, need, piece, FAR)
        if found < FAR and (best is None or found * cards + transfer < best.cost):
            best = _Placement(pool, scratch.taken[:need] + np.int32(start), int(found) * cards + transfer)
    return best


def _terms(state: _Board, r: int, pool: int) -> tuple[int, int, int] | None:
    """First hour, hours needed and extra transfer cost for the rest of request r in `pool`; None if not acceptable."""
    problem, old = state.problem, int(state.result.pool[r])
    region = problem.pool_region[pool]
    whole, lead = int(problem.run_hours[r, problem.pool_model[pool]]), int(problem.lead_hours[r, region])
    if whole == 0 or lead < 0:
        return None
    old_whole = int(problem.run_hours[r, problem.pool_model[old]])
    need = -(-len(state.again(r)) * whole // old_whole)
    transfer = int(problem.transfer_cost[r, region])
    if region == problem.pool_region[old]:
        return max(state.now, int(problem.earliest[r]) + lead), need, 0
    return max(state.now, int(problem.earliest[r])) + lead, need, transfer


def _prices(state: _Board, load: Int64, pool: int, start: int, width: int, cards: int) -> Int64:
    """Price per card of each hour: the slot price, or the dearest reserve that `cards` more would use; FAR if full."""
    hours = slice(start, start + width)
    amount, reserve = state.ladders[pool]
    price = np.full(width, FAR, np.int64)
    wanted = load[pool, hours] + cards
    if len(amount):
        rung = (amount[:, hours] < wanted).sum(axis=0)
        fits = rung < len(amount)
        dearest = np.take_along_axis(reserve[:, hours], np.minimum(rung, len(amount) - 1)[None], axis=0)[0]
        price[fits] = np.maximum(state.result.slot_price[pool, hours], dearest)[fits]
    return price


def _extra(state: _Board, placed: dict[int, _Placement]) -> int:
    return sum(max(0, place.cost - state.before(r)) for r, place in placed.items())


def _record(state: _Board, affected: list[int], placed: dict[int, _Placement]) -> Reschedule:
    problem, result, now = state.problem, state.result, state.now
    n, rows = problem.requests, []
    load = np.zeros_like(state.load)
    before, cost = np.zeros(n, np.int64), np.zeros(n, np.int64)
    touched = set(affected)
    for r in np.flatnonzero(result.served).tolist():
        old = state.hours(r)
        parts = [(int(result.pool[r]), old[old < now] if r in touched else old)]
        if r in placed:
            parts.append((placed[r].pool, placed[r].hours))
            before[r], cost[r] = state.before(r), placed[r].cost
        for pool, hours in parts:
            load[pool, hours] += problem.cards[r]
            rows += [(r, pool, start, end) for start, end in unbroken(hours)] if len(hours) else []
    table = np.array(sorted(rows, key=lambda row: (row[0], row[2])), np.int32).reshape(-1, 4)
    moved, displaced = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    moved[list(placed)] = True
    displaced[[r for r in affected if r not in placed]] = True
    sold = _sold(problem, state.deposit_cards, load)
    return Reschedule(
        now=now,
        run_request=table[:, 0].copy(),
        run_pool=table[:, 1].copy(),
        run_start=table[:, 2].copy(),
        run_end=table[:, 3].copy(),
        moved=moved,
        displaced=displaced,
        before=before,
        cost=cost,
        difference=np.maximum(0, cost - before),
        deposit_sold=sold,
    )


def _sold(problem: Problem, deposit_cards: Int32, load: Int64) -> Int32:
    """Cards of each deposit in use, int32[D,T], in merit order."""
    sold = np.zeros_like(deposit_cards)
    hour = np.arange(problem.hours)
    for p in range(problem.pools):
        left = load[p].copy()
        for row in _merit_rows(problem, p):
            sold[row, hour] = np.minimum(left, deposit_cards[row, hour])
            left -= sold[row, hour]
    return sold


def verify_reschedule(
    problem: Problem,
    result: Result,
    plan: Reschedule,
    new_deposit_cards: Int32 | None = None,
    failed: Sequence[int] = (),
) -> tuple[Violation, ...]:
    """All false statements of `plan`; empty when it holds. Arguments as in `reschedule`."""
    cards = problem.deposit_cards if new_deposit_cards is None else new_deposit_cards
    return tuple(_check(problem, result, plan, np.asarray(cards), set(failed)))


def _check(problem: Problem, result: Result, plan: Reschedule, cards: Int32, failed: set[int]) -> Iterator[Violation]:
    old = _hour_sets(result.run_request, result.pool[result.run_request], result.run_start, result.run_end)
    new = _hour_sets(plan.run_request, plan.run_pool, plan.run_start, plan.run_end)
    capacity, load = np.zeros((2, problem.pools, problem.hours), np.int64)
    np.add.at(capacity, problem.deposit_pool, cards.astype(np.int64))
    for r, cells in new.items():
        for cell in cells:
            load[cell] += problem.cards[r]
    for p, t in np.argwhere(load > capacity):
        yield Violation(Breach.CAPACITY, f"cell[{p}, {t}]", (int(load[p, t]), int(capacity[p, t])))
    for row, t in np.argwhere(plan.deposit_sold != _sold(problem, cards, load)):
        yield Violation(Breach.SOLD, f"deposit_sold[{row}, {t}]")
    if (plan.moved & plan.displaced).any() or (plan.difference != np.maximum(0, plan.cost - plan.before)).any():
        yield Violation(Breach.TOTALS, "moved, displaced, difference")
    stay = np.zeros_like(load)
    for r, cells in old.items():
        past = {cell for cell in cells if cell[1] < plan.now}
        if not (plan.moved[r] or plan.displaced[r]):
            if new.get(r) != cells:
                yield Violation(Breach.MOVED, f"request {r}")
            for cell in cells:
                stay[cell] += problem.cards[r]
        elif {cell for cell in new.get(r, set()) if cell[1] < plan.now} != past:
            yield Violation(Breach.MOVED, f"request {r}: hours before now")
        elif plan.displaced[r] and new.get(r, set()) != past:
            yield Violation(Breach.DISPLACED, f"request {r}")
    for r in np.flatnonzero(plan.moved | plan.displaced).tolist():
        future = [cell for cell in old.get(r, ()) if cell[1] >= plan.now]
        if r not in failed and not any(stay[cell] + problem.cards[r] > capacity[cell] for cell in future):
            yield Violation(Breach.MOVED, f"request {r}: could have stayed")
        if plan.moved[r]:
            yield from _check_move(problem, result, plan, r, old[r], new.get(r, set()))


def _check_move(
    problem: Problem, result: Result, plan: Reschedule, r: int, old: set[tuple[int, int]], new: set[tuple[int, int]]
) -> Iterator[Violation]:
    """The new work of one moved request: one pool, enough hours, inside the window, in whole pieces, at its cost."""
    done = [cell for cell in new if cell[1] >= plan.now]
    again = sorted(t for _, t in old if t >= plan.now or not problem.preemptible[r])
    hours, pools = np.array(sorted(t for _, t in done), np.int32), {pool for pool, _ in done}
    if len(pools) != 1:
        yield Violation(Breach.POOL, f"request {r}", tuple(sorted(pools)))
        return
    pool, was = pools.pop(), int(result.pool[r])
    whole, region = problem.run_hours[r], problem.pool_region
    need = -(-len(again) * int(whole[problem.pool_model[pool]]) // int(whole[problem.pool_model[was]]))
    pieces = [end - start for start, end in unbroken(hours)]
    least = min(int(problem.min_piece[r]), need) if problem.preemptible[r] else need
    lead = int(problem.lead_hours[r, region[pool]])
    same = region[pool] == region[was]
    first = max(plan.now, int(problem.earliest[r]) + lead) if same else max(plan.now, int(problem.earliest[r])) + lead
    if len(hours) != need or min(pieces) < least or need == 0:
        yield Violation(Breach.PIECES, f"request {r}", tuple(pieces))
    if lead < 0 or hours[0] < first or hours[-1] >= problem.deadline[r]:
        yield Violation(Breach.WINDOW, f"request {r}", (int(hours[0]), int(hours[-1]) + 1))
    price, cards = result.slot_price, int(problem.cards[r])
    least_cost = cards * int(price[pool, hours].sum()) + (0 if same else int(problem.transfer_cost[r, region[pool]]))
    if plan.before[r] != cards * int(price[was, again].sum()) or plan.cost[r] < least_cost:
        yield Violation(Breach.PAYMENT, f"request {r}", (int(plan.before[r]), int(plan.cost[r])))


def _hour_sets(request: Int32, pool: Int32, start: Int32, end: Int32) -> dict[int, set[tuple[int, int]]]:
    """Cells (pool, hour) of each request."""
    cells: dict[int, set[tuple[int, int]]] = {}
    for r, p, a, b in zip(request.tolist(), pool.tolist(), start.tolist(), end.tolist(), strict=True):
        cells.setdefault(r, set()).update((p, t) for t in range(a, b))
    return cells
