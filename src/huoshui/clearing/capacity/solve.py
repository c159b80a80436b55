"""`clear`: from a problem to a plan, its prices and its proof."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from huoshui.clearing.capacity.bound import Bound, find_bound
from huoshui.clearing.capacity.codes import Phase, Refusal
from huoshui.clearing.capacity.grid import Grid, Screening, build
from huoshui.clearing.capacity.options import Options, Progress
from huoshui.clearing.capacity.oracle import FAR, respond_all
from huoshui.clearing.capacity.place import Plan, plan_value
from huoshui.clearing.capacity.prices import charge, drop_unsupported, slot_prices
from huoshui.clearing.capacity.problem import Bool, Int32, Int64, Problem
from huoshui.clearing.capacity.result import PARAMS, Result, gap_bps
from huoshui.clearing.capacity.search import Search, others_part, prospects


def clear(problem: Problem, *, options: Options | None = None, progress: Progress | None = None) -> Result:
    """Decide which requests are served, where and when, at which slot prices, and prove how good that is.

    Same problem and options, same result on every machine and with any number of workers. `progress` may return
    False to stop early; the result then holds what was found, with the steps done.
    """
    options = options or Options.for_size(problem.requests)
    grid, screening = build(problem)
    with ThreadPoolExecutor(options.workers) as threads:
        bound = find_bound(grid, options.bound_steps, options.coarse_steps, threads, _bound_watch(options, progress))
        plans = _plans(problem, grid, bound, options, threads, progress)
        planned = plan_value(grid, plans.best)
        dropped = drop_unsupported(grid, plans.best, options.price_step)
        watch = _price_watch(options, progress, plan_value(grid, plans.best), bound.value)
        prices = slot_prices(grid, plans.best, bound.prices[0], options.price_steps, options.price_step, threads, watch)
        refusal, params = _refusals(grid, screening, plans.best, prices, options, threads)
    return _result(problem, grid, bound, plans, prices, dropped, planned, refusal, params, options)


class Plans(NamedTuple):
    """The plan of the round, and what plans without the reserved share or without classes are worth."""

    best: Plan
    steps: int
    without_share: int
    without_priority: int


def _plans(
    problem: Problem, grid: Grid, bound: Bound, options: Options, threads: ThreadPoolExecutor, progress: Progress | None
) -> Plans:
    share, passes = options.reserved_share_bps, options.place_passes
    flat = np.zeros_like(problem.priority)
    ranked = len(np.unique(problem.priority)) > 1
    total = passes * (2 if share else 1) + passes * (share > 0) + passes * (2 if share else 1) * ranked

    def on_pass(done: int, value: int) -> bool:
        return progress is None or progress(Phase.PLACE, done, int(total), value, bound.value) is not False

    search = Search(grid, bound, prospects(grid, bound, threads), options, threads, on_pass)
    best = search.run(problem.priority, grid.small, share, passes)
    value = plan_value(grid, best)
    free = plan_value(grid, search.run(problem.priority, grid.small, 0, passes)) if share else value
    equal = plan_value(grid, search.run(flat, grid.small, share, passes)) if ranked else value
    return Plans(best, search.passes, free, equal)


def _bound_watch(options: Options, progress: Progress | None):  # type: ignore[no-untyped-def]
    def on_step(done: int, value: int) -> bool:
        go_on = progress is None or progress(Phase.BOUND, done, options.bound_steps, 0, value) is not False
        return go_on and done < options.bound_stop

    return on_step


def _price_watch(options: Options, progress: Progress | None, value: int, bound: int):  # type: ignore[no-untyped-def]
    def on_step(done: int) -> bool:
        if progress is not None:
            progress(Phase.PRICES, done, options.price_steps, value, bound)
        return True

    return on_step


def _refusals(
    grid: Grid, screening: Screening, plan: Plan, prices: Int64, options: Options, threads: ThreadPoolExecutor
) -> tuple[np.ndarray, Int64]:
    """Code and parameters for every refused request."""
    refused = plan.option < 0
    able = np.diff(grid.option_from) > 0
    priced = grid._replace(budget=np.where(refused & able, FAR, 0), cuts=grid.cuts[:0])
    answer = respond_all(priced, prices[None], threads)
    open_ = refused & able
    missed = np.where(open_, np.maximum(0, grid.budget - answer.cost), 0)
    code = np.where(refused, np.where(able, Refusal.PRICE, screening.refusal), Refusal.SERVED).astype(np.int8)
    code[missed > 0] = Refusal.MISSED
    params = np.zeros((len(code), PARAMS), np.int64)
    params[:, 0] = np.where(open_, answer.cost, np.where(refused, screening.cheapest, 0))
    params[:, 1] = np.where(open_, _pool_of(grid, answer.option), np.where(refused, screening.pool, -1))
    params[:, 2] = missed
    if options.reserved_share_bps:
        full = others_part(grid.capacity, grid.day, options.reserved_share_bps) - _others_load(grid, plan)
        for r in np.flatnonzero((code == Refusal.MISSED) & ~grid.small):
            o = answer.option[r]
            days, hours = np.unique(grid.day[grid.option_start[o] : grid.option_end[o]], return_counts=True)
            most = grid.cards[r] * np.minimum(hours, grid.option_hours[o])
            if (full[grid.option_pool[o], days] < most).any():
                code[r] = Refusal.KEPT_FOR_SMALL
    return code, params


def _pool_of(grid: Grid, option: Int64) -> Int64:
    if len(grid.option_pool) == 0:
        return np.full(len(option), -1, np.int64)
    return np.where(option >= 0, grid.option_pool[np.maximum(option, 0)], -1).astype(np.int64)


def _others_load(grid: Grid, plan: Plan) -> Int64:
    """Card-hours of each pool and local day that requests which are not small use."""
    used = np.zeros((len(grid.capacity), int(grid.day[-1]) + 1), np.int64)
    for r in np.flatnonzero((plan.option >= 0) & ~grid.small).tolist():
        np.add.at(used[grid.option_pool[plan.option[r]]], grid.day[hours_of(grid, plan, r)], grid.cards[r])
    return used


def hours_of(grid: Grid, plan: Plan, r: int) -> Int32:
    """The hours that served request r runs, ascending."""
    start = plan.taken_from[r]
    return plan.taken[start : start + grid.option_hours[plan.option[r]]]


def runs_of(grid: Grid, plan: Plan) -> tuple[Int32, Int32, Int32]:
    """Unbroken runs of all served requests: request, start, end, by request and start."""
    rows: list[tuple[int, int, int]] = []
    for r in np.flatnonzero(plan.option >= 0).tolist():
        hours = hours_of(grid, plan, r)
        breaks = np.flatnonzero(np.diff(hours) > 1)
        starts, ends = np.concatenate(([0], breaks + 1)), np.concatenate((breaks, [len(hours) - 1]))
        rows.extend((int(r), int(hours[a]), int(hours[b]) + 1) for a, b in zip(starts, ends, strict=True))
    table = np.array(rows, np.int32).reshape(-1, 3)
    return table[:, 0].copy(), table[:, 1].copy(), table[:, 2].copy()


def sold_of(problem: Problem, grid: Grid, load: Int64) -> Int32:
    """Cards of each deposit in use, int32[D,T]: the cheapest reserve first, then the earlier deposit."""
    sold = np.zeros(problem.deposit_cards.shape, np.int32)
    rungs = np.diff(grid.rung_from)
    cell = np.repeat(np.arange(len(rungs)), rungs)
    before = np.cumsum(grid.rung_cards) - grid.rung_cards
    below = before - before[grid.rung_from[:-1][cell]] if len(cell) else before
    use = np.clip(load.ravel()[cell] - below, 0, grid.rung_cards)
    sold[grid.rung_deposit, cell % problem.hours] = use
    return sold


def _result(
    problem: Problem, grid: Grid, bound: Bound, plans: Plans, prices: Int64, dropped: Bool, planned: int,
    refusal: np.ndarray, params: Int64, options: Options,
) -> Result:  # fmt: skip
    plan, served = plans.best, plans.best.option >= 0
    value, runs = plan_value(grid, plan), runs_of(grid, plan)
    spread = bound.value - value
    share, ranked = options.reserved_share_bps > 0, len(np.unique(problem.priority)) > 1
    return Result(
        problem_digest=problem.digest(),
        served=served,
        pool=_pool_of(grid, plan.option).astype(np.int32),
        run_request=runs[0],
        run_start=runs[1],
        run_end=runs[2],
        shadow_price=bound.prices[0],
        gang_size=grid.cuts,
        gang_price=bound.prices[1:],
        slot_price=prices,
        payment=charge(grid, plan, prices),
        deposit_sold=sold_of(problem, grid, plan.load),
        objective=value,
        bound=bound.value,
        gap_bps=gap_bps(bound.value, value),
        refusal=refusal,
        refusal_params=params,
        dropped=dropped,
        price_rule_loss=planned - value,
        share_cost_low=max(0, plans.without_share - value) if share else 0,
        share_cost_high=spread if share else 0,
        priority_cost_low=max(0, plans.without_priority - value) if ranked else 0,
        priority_cost_high=spread if ranked else 0,
        reserved_share_bps=options.reserved_share_bps,
        price_step=options.price_step,
        bound_steps=bound.steps,
        place_steps=plans.steps,
    )
