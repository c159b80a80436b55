"""What others do today, on the same problems: schedulers' rules, and general solvers under a time limit.

Rules (numba, milliseconds to seconds). All know the idle calendar, check capacity over the whole run and never serve a
request whose reserve cost and transfer exceed its budget:
- `fcfs`: first come, first served with backfill: hour by hour, whoever waits longest starts now if it fits somewhere;
- `edf`: the same with the earliest deadline first;
- `earliest_fit`: in order of arrival, reserve the earliest completion (YARN's GreedyReservationAgent, Rayon, SoCC'14);
- `low_cost`: in order of arrival, reserve the hours with the least load for their capacity (YARN-3656);
- `value_density`: highest budget per card-hour first, at the least reserve cost.

Solvers: one binary column for each (request, pool, start) of a rigid request; hour, piece and pool variables for a
preemptible one; a supply variable for each rung of each cell. `mip` (HiGHS), `pdlp` (OR-Tools PDLP, then rounding in
order of the fractional plan) and `cp_sat` (optional intervals) stop at a time limit; a model above ENTRIES_MAX
non-zeros is reported as not built. Every plan is checked by `plans.value_of`. HiGHS and OR-Tools cannot be loaded into
one process (both bring symbols of the same names), so each attempt runs in its own (`runner.measured`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.plans import Plan
from huoshui.clearing.capacity import Problem
from huoshui.clearing.capacity.grid import Grid, build
from huoshui.clearing.capacity.queues import Queued, Wish, first_come, hour_by_hour, in_order

ENTRIES_MAX = 12_000_000
"""Non-zeros of the largest model that is built: about 2 GB in the solvers."""
CP_SAT_INTERVALS_MAX = 60_000


class NotBuilt(Exception):
    """The model is larger than the limits."""


# --- rules --------------------------------------------------------------------------------------------------------


def _plan(queued: Queued) -> Plan:
    return Plan(queued.pool, queued.hours)


def _arrival(problem: Problem) -> npt.NDArray[np.int64]:
    return np.argsort(problem.earliest, kind="stable")


def _density(problem: Problem) -> npt.NDArray[np.int64]:
    """Highest budget per card-hour (on the quickest acceptable model) first."""
    hours = np.where(problem.run_hours > 0, problem.run_hours, np.iinfo(np.int32).max).min(1)
    return np.argsort(-problem.budget / (problem.cards * hours.astype(np.float64)), kind="stable")


def fcfs(problem: Problem) -> Plan:
    return _plan(first_come(problem))


def edf(problem: Problem) -> Plan:
    return _plan(hour_by_hour(problem, np.argsort(problem.deadline, kind="stable")))


def earliest_fit(problem: Problem) -> Plan:
    return _plan(in_order(problem, _arrival(problem), Wish.EARLIEST))


def low_cost(problem: Problem) -> Plan:
    return _plan(in_order(problem, _arrival(problem), Wish.LEVEL))


def value_density(problem: Problem) -> Plan:
    return _plan(in_order(problem, _density(problem), Wish.CHEAPEST))


RULES: dict[str, Callable[[Problem], Plan]] = {
    "first come, first served + backfill": fcfs,
    "earliest deadline first": edf,
    "Rayon-like earliest fit": earliest_fit,
    "LowCost (level load)": low_cost,
    "value density": value_density,
}


# --- the linear model ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Model:
    """max gain·x over 0 <= x <= upper, row_low <= A x <= row_high; A in column-compressed form.

    Of the `columns` first variables, variable v is "request takes place": request[v], pool[v], and hours[v] when it
    is a rigid run (its first hour and length) or one hour of a preemptible request (length 0: the hour).
    """

    gain: npt.NDArray[np.float64]
    upper: npt.NDArray[np.float64]
    row_low: npt.NDArray[np.float64]
    row_high: npt.NDArray[np.float64]
    start: npt.NDArray[np.int64]
    index: npt.NDArray[np.int32]
    entry: npt.NDArray[np.float64]
    integer: npt.NDArray[np.bool_]
    request: npt.NDArray[np.int64]
    pool: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]


YUAN = 100_000
"""Models are in yuan: general solvers work in floating point."""


class _Columns:
    """Variables of the model as they are written down: row indices and entries of each."""

    def __init__(self) -> None:
        self.gain: list[float] = []
        self.upper: list[float] = []
        self.integer: list[bool] = []
        self.place: list[tuple[int, int, int, int]] = []
        self.rows: list[npt.NDArray[np.int32]] = []
        self.entries: list[npt.NDArray[np.float64]] = []
        self.size = 0

    def add(self, gain: float, upper: float, integer: bool, place: tuple[int, int, int, int], *parts: Any) -> None:
        rows = np.concatenate([np.atleast_1d(rows) for rows, _ in parts]).astype(np.int32)
        entries = np.concatenate([np.broadcast_to(np.float64(e), np.atleast_1d(r).shape) for r, e in parts])
        self.gain.append(gain)
        self.upper.append(upper)
        self.integer.append(integer)
        self.place.append(place)
        self.rows.append(rows)
        self.entries.append(entries)
        self.size += len(rows)
        if self.size > ENTRIES_MAX:
            raise NotBuilt(f"more than {ENTRIES_MAX:,} non-zeros")


def linear_model(problem: Problem) -> Model:
    """The formulation of docs/algorithms/capacity.md as a mixed-integer model in yuan. Raises NotBuilt."""
    grid, _ = build(problem)
    columns = _Columns()
    cells = problem.pools * problem.hours
    row_low: list[float] = [-np.inf] * (cells + problem.requests)
    row_high: list[float] = [0.0] * cells + [1.0] * problem.requests
    for request in range(problem.requests):
        for option in range(grid.option_from[request], grid.option_from[request + 1]):
            if 0 < grid.min_piece[request] < grid.option_hours[option]:
                _pieces(grid, columns, request, option, cells, row_low, row_high)
            else:
                _runs(grid, columns, request, option, cells)
    for cell in range(cells):
        for rung in range(grid.rung_from[cell], grid.rung_from[cell + 1]):
            cost = -float(grid.rung_price[rung]) / YUAN
            columns.add(cost, float(grid.rung_cards[rung]), False, (-1, -1, -1, -1), (cell, -1.0))
    place = np.array(columns.place, np.int64)
    return Model(
        np.array(columns.gain),
        np.array(columns.upper),
        np.array(row_low),
        np.array(row_high),
        np.concatenate(([0], np.cumsum([len(rows) for rows in columns.rows]))).astype(np.int64),
        np.concatenate(columns.rows),
        np.concatenate(columns.entries),
        np.array(columns.integer),
        *place.T,
    )


def _worth(grid: Grid, request: int, option: int) -> float:
    return float(grid.budget[request] - grid.option_transfer[option]) / YUAN


def _fits(grid: Grid, request: int, option: int) -> npt.NDArray[np.int64]:
    """Hours of the option's window in which the cards exist at all."""
    window = np.arange(grid.option_start[option], grid.option_end[option])
    return window[grid.capacity[grid.option_pool[option], window] >= grid.cards[request]]


def _runs(grid: Grid, columns: _Columns, request: int, option: int, cells: int) -> None:
    """One binary for each start of an unbroken run."""
    pool, need, cards = int(grid.option_pool[option]), int(grid.option_hours[option]), float(grid.cards[request])
    fits = np.zeros(grid.hours + 1, np.int64)
    fits[_fits(grid, request, option) + 1] = 1
    run = np.cumsum(fits)
    worth = _worth(grid, request, option)
    for first in range(int(grid.option_start[option]), int(grid.option_end[option]) - need + 1):
        if run[first + need] - run[first] == need:
            hours = pool * grid.hours + np.arange(first, first + need)
            columns.add(worth, 1, True, (request, pool, first, need), (hours, cards), (cells + request, 1.0))


def _pieces(
    grid: Grid, columns: _Columns, request: int, option: int, cells: int, low: list[float], high: list[float]
) -> None:
    """y = the option is taken, x[t] = runs in hour t, s[t] = a piece starts in hour t.

    Rows: sum of x = need·y; x[t] <= y; x[t] - x[t-1] <= s[t]; the starts of the last min_piece hours <= x[t] (Rajan
    and Takriti, IBM report RC23628).
    """
    pool, need, cards = int(grid.option_pool[option]), int(grid.option_hours[option]), float(grid.cards[request])
    shortest = int(grid.min_piece[request])
    hours = _fits(grid, request, option).tolist()
    place, count, total = (request, pool, -1, -1), len(hours), len(low)
    taken, rise, last = ({t: total + 1 + kind * count + k for k, t in enumerate(hours)} for kind in range(3))
    low += [0.0] + [-np.inf] * (3 * count)
    high += [0.0] * (1 + 3 * count)
    within = (np.arange(total + 1, total + 1 + count), -1.0)
    worth = _worth(grid, request, option)
    columns.add(worth, 1, True, place, (cells + request, 1.0), (total, -float(need)), within)
    for t in hours:
        after = [(rise[t + 1], -1.0)] if t + 1 in rise else []
        here = ((pool * grid.hours + t, cards), (total, 1.0), (taken[t], 1.0), (rise[t], 1.0), (last[t], -1.0))
        columns.add(0.0, 1, True, (request, pool, t, 0), *here, *after)
        if all(t + k in last for k in range(shortest)):
            covers = np.array([last[t + k] for k in range(shortest)])
            columns.add(0.0, 1, True, place, (rise[t], -1.0), (covers, 1.0))


def highs_model(model: Model, *, integer: bool) -> Any:
    """The model inside HiGHS, one thread, silent."""
    import highspy

    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(model.gain), len(model.row_low)
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = -model.gain, np.zeros_like(model.upper), model.upper
    lp.row_lower_, lp.row_upper_ = model.row_low, model.row_high
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = model.start, model.index, model.entry
    if integer:
        kinds = {True: highspy.HighsVarType.kInteger, False: highspy.HighsVarType.kContinuous}
        lp.integrality_ = [kinds[flag] for flag in model.integer.tolist()]
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.passModel(lp)
    return solver


# --- solvers ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attempt:
    """What a solver gave: a plan (None: none found), its own upper bound in yuan (None: none), a note."""

    plan: Plan | None
    bound_yuan: float | None = None
    note: str = ""


def mip(problem: Problem, seconds: float) -> Attempt:
    """HiGHS branch and bound until the time limit, model building included."""
    end = time.monotonic() + seconds
    model = linear_model(problem)
    solver = highs_model(model, integer=True)
    solver.setOptionValue("time_limit", max(1.0, end - time.monotonic()))
    solver.run()
    info = solver.getInfo()
    values = np.array(solver.getSolution().col_value)
    found = info.primal_solution_status == 2 and len(values) == len(model.gain)
    bound = -info.mip_dual_bound if np.isfinite(info.mip_dual_bound) else None
    return Attempt(_exact(problem, model, values) if found else None, bound, "" if found else "no plan found")


def lp_optimum(problem: Problem, seconds: float) -> float | None:
    """Optimum of the linear relaxation in yuan by HiGHS (interior point, no crossover), None when it did not finish."""
    solver = highs_model(linear_model(problem), integer=False)
    solver.setOptionValue("solver", "ipm")
    solver.setOptionValue("run_crossover", "off")
    solver.setOptionValue("time_limit", seconds)
    solver.run()
    info = solver.getInfo()
    return -info.objective_function_value if info.primal_solution_status == 2 else None


def pdlp(problem: Problem, seconds: float) -> Attempt:
    """OR-Tools PDLP on the relaxation, then requests in order of how much of each the fractional plan serves."""
    try:
        from ortools.pdlp import solve_log_pb2, solvers_pb2
        from ortools.pdlp.python import pdlp as engine
        from scipy.sparse import csc_matrix
    except ImportError:
        return Attempt(None, None, "needs the bench extra (ortools)")
    end = time.monotonic() + seconds
    model = linear_model(problem)
    program = engine.QuadraticProgram()
    program.resize_and_initialize(len(model.gain), len(model.row_low))
    program.objective_vector, program.variable_lower_bounds = -model.gain, np.zeros_like(model.gain)
    program.variable_upper_bounds = model.upper
    program.constraint_lower_bounds, program.constraint_upper_bounds = model.row_low, model.row_high
    shape = (len(model.row_low), len(model.gain))
    program.constraint_matrix = csc_matrix((model.entry, model.index, model.start), shape=shape)
    limits = solvers_pb2.PrimalDualHybridGradientParams()
    limits.num_threads = 2
    limits.termination_criteria.simple_optimality_criteria.eps_optimal_relative = 1e-4
    limits.termination_criteria.time_sec_limit = max(1.0, end - time.monotonic())
    result = engine.primal_dual_hybrid_gradient(program, limits)
    done = result.solve_log.termination_reason == solve_log_pb2.TERMINATION_REASON_OPTIMAL
    optimum = float(model.gain @ result.primal_solution) if done else None
    return Attempt(
        _rounded(problem, model, np.asarray(result.primal_solution)), optimum, "" if done else "not converged"
    )


def cp_sat(problem: Problem, seconds: float) -> Attempt:
    """CP-SAT with optional intervals and cumulative capacity; preemptible requests run unbroken."""
    try:
        from ortools.sat.python import cp_model
    except ImportError:
        return Attempt(None, None, "needs the bench extra (ortools)")
    end = time.monotonic() + seconds
    grid, _ = build(problem)
    if len(grid.option_pool) > CP_SAT_INTERVALS_MAX:
        raise NotBuilt(f"more than {CP_SAT_INTERVALS_MAX:,} intervals")
    model = cp_model.CpModel()
    intervals: list[list[Any]] = [[] for _ in range(problem.pools)]
    demands: list[list[int]] = [[] for _ in range(problem.pools)]
    chosen: dict[int, tuple[Any, Any]] = {}
    gain: list[Any] = []
    mean = np.zeros(problem.pools)
    offered = problem.capacity.sum(1).clip(1)
    np.add.at(mean, problem.deposit_pool, (problem.deposit_cards * problem.deposit_reserve).sum(1))
    mean /= offered
    for request in range(problem.requests):
        takes = []
        for option in range(grid.option_from[request], grid.option_from[request + 1]):
            pool, need = int(grid.option_pool[option]), int(grid.option_hours[option])
            if grid.option_end[option] - grid.option_start[option] < need:
                continue
            start = model.new_int_var(int(grid.option_start[option]), int(grid.option_end[option]) - need, "")
            take = model.new_bool_var("")
            intervals[pool].append(model.new_optional_fixed_size_interval_var(start, need, take, ""))
            demands[pool].append(int(grid.cards[request]))
            # time-of-use prices are averaged: CP-SAT has no cheap way to price hours of an interval
            cost = int(mean[pool]) * need * int(grid.cards[request]) + int(grid.option_transfer[option])
            gain.append((int(grid.budget[request]) - cost) // 1000 * take)
            chosen[option] = (start, take)
            takes.append(take)
        if takes:
            model.add_at_most_one(takes)
    for pool in range(problem.pools):
        _close_missing(model, problem, pool, intervals[pool], demands[pool])
    model.maximize(sum(gain))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 2
    solver.parameters.max_time_in_seconds = max(1.0, end - time.monotonic())
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return Attempt(None, None, "no plan found")
    pool_of = np.full(problem.requests, -1, np.int64)
    hours: list[npt.NDArray[np.integer]] = [np.zeros(0, np.int64)] * problem.requests
    owner = np.repeat(np.arange(problem.requests), np.diff(grid.option_from))
    for option, (start, take) in chosen.items():
        if solver.value(take):
            first = solver.value(start)
            pool_of[owner[option]] = grid.option_pool[option]
            hours[owner[option]] = np.arange(first, first + grid.option_hours[option])
    return Attempt(Plan(pool_of, tuple(hours)))


def _close_missing(model: Any, problem: Problem, pool: int, intervals: list[Any], demands: list[int]) -> None:
    """Capacity that changes by the hour: the highest, less fixed blocks where it is lower."""
    capacity = problem.capacity[pool]
    most = int(capacity.max(initial=0))
    edges = [0, *(np.flatnonzero(np.diff(capacity)) + 1).tolist(), problem.hours]
    fixed, sizes = list(intervals), list(demands)
    for start, end in zip(edges, edges[1:], strict=False):
        if capacity[start] < most:
            fixed.append(model.new_fixed_size_interval_var(start, end - start, ""))
            sizes.append(most - int(capacity[start]))
    model.add_cumulative(fixed, sizes, most)


def _exact(problem: Problem, model: Model, values: npt.NDArray[np.float64]) -> Plan:
    """The plan that an integer solution describes."""
    pool = np.full(problem.requests, -1, np.int64)
    hours: list[list[int]] = [[] for _ in range(problem.requests)]
    for variable in np.flatnonzero((values > 0.5) & (model.request >= 0) & (model.first >= 0)).tolist():
        request, first, length = (int(column[variable]) for column in (model.request, model.first, model.length))
        pool[request] = model.pool[variable]
        hours[request] += range(first, first + max(1, length))
    return Plan(pool, tuple(np.array(sorted(taken), np.int64) for taken in hours))


def _rounded(problem: Problem, model: Model, values: npt.NDArray[np.float64]) -> Plan:
    """Requests take their cheapest place in order of the fraction served, then of budget per card-hour."""
    fraction = np.zeros(problem.requests)
    places = (model.request >= 0) & (model.length != 0)
    np.add.at(fraction, model.request[places], np.where(model.gain[places] > 0, values[places], 0))
    rank = np.empty(problem.requests)
    rank[_density(problem)] = np.arange(problem.requests)
    order = np.lexsort((rank, -np.round(fraction, 1)))
    return _plan(in_order(problem, order, Wish.CHEAPEST))


SOLVERS: dict[str, Callable[[Problem, float], Attempt]] = {"HiGHS MIP": mip, "PDLP + rounding": pdlp, "CP-SAT": cp_sat}
