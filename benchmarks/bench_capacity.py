"""Quality and speed of clearing: ours, schedulers' rules and general solvers on the same problems.

Ours runs to its own step limits, in a process of its own; rules run to their end; general solvers run to a time limit.
The bound that everyone is held against is ours, which `verify` recomputes. Compilation is measured apart, once.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks import baselines, traces
from benchmarks.generator import generate
from benchmarks.plans import value_of
from benchmarks.runner import Measured, measured, median, table
from huoshui.clearing import capacity
from huoshui.clearing.capacity import Options, Problem

SOLVE_SECONDS = 60
"""What a clearing should take at most."""
YUAN = 100_000


@dataclass(frozen=True)
class Scale:
    """What is run: (requests, seeds) for each size, loads, seconds for general solvers and the sizes they get."""

    sizes: tuple[tuple[int, int], ...]
    loads: tuple[float, ...]
    solver_seconds: tuple[int, ...]
    solver_sizes: tuple[int, ...]
    relaxation_sizes: tuple[int, ...]
    trace_sizes: tuple[int | None, ...]
    trace_seeds: int


BRIEF = Scale(
    ((300, 1), (1_000, 1), (5_000, 1), (20_000, 1)), (1.5,), (20,), (300,), (300,), (1_000, 5_000, None), 1
)
FULL = Scale(
    ((300, 3), (1_000, 3), (5_000, 3), (20_000, 3), (100_000, 3)),
    (0.8, 1.5, 2.0),
    (10, 60),
    (300, 1_000, 5_000),
    (300, 1_000, 5_000),
    (1_000, 5_000, None, 20_000, 100_000),
    3,
)


@dataclass(frozen=True)
class Ours:
    """A clearing: value and bound in 1/1000 fen, seconds of the solve alone, shares of requests and card-hours."""

    value: int
    bound: int
    seconds: float
    served: int
    sold: float

    @property
    def gap(self) -> float:
        return (self.bound - self.value) / self.bound


def clear_once(problem: Problem, seconds: float = 1e9) -> Ours:
    """One clearing with the options for its size, stopped by the clock when `seconds` are over."""
    warm_up()
    start = time.perf_counter()

    def in_time(*_: object) -> bool:
        return time.perf_counter() - start < seconds

    options = Options.for_size(problem.requests, workers=2)
    result = capacity.clear(problem, options=options, progress=in_time)
    took = time.perf_counter() - start
    sold = float(result.deposit_sold.sum() / problem.capacity.sum())
    return Ours(result.objective, result.bound, took, int(result.served.sum()), sold)


def warm_up() -> None:
    """Load (or compile) every compiled function, so that it is not counted."""
    capacity.clear(generate(40), options=replace(Options.quick(40), place_moves=50))


def compile_seconds() -> float:
    """Seconds that the first clearing of a fresh installation spends compiling."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NUMBA_CACHE_DIR"] = folder
        first = measured(_timed_warm_up, limit_seconds=300)
        second = measured(_timed_warm_up, limit_seconds=300)
        del os.environ["NUMBA_CACHE_DIR"]
    return float(first.answer - second.answer)


def _timed_warm_up() -> float:
    start = time.perf_counter()
    warm_up()
    return time.perf_counter() - start


# --- tables -------------------------------------------------------------------------------------------------------


def quality(name: str, problems: dict[str, list[Problem]]) -> str:
    """Ours and the rules on each group of problems; medians over the seeds of a group."""
    rules = list(baselines.RULES)
    rows = []
    for label, group in problems.items():
        runs = [measured(clear_once, problem, limit_seconds=SOLVE_SECONDS * 5) for problem in group]
        failed = next((run.failure for run in runs if run.failure), "")
        if failed:
            rows.append([label, *["–"] * (len(rules) + 6), failed])
            continue
        ours = [run.answer for run in runs]
        values = {rule: [value_of(p, baselines.RULES[rule](p)) for p in group] for rule in rules}
        shares = [_share([v / o.bound for v, o in zip(values[rule], ours, strict=True)]) for rule in rules]
        best = [max(values[rule][k] for rule in rules) for k in range(len(group))]
        rows.append(
            [
                label,
                *shares,
                f"**{_share([o.value / o.bound for o in ours])}**",
                f"{median([o.gap for o in ours]):.2%}",
                f"{median([o.value / b - 1 for o, b in zip(ours, best, strict=True)]):+.1%}",
                f"{median([o.sold for o in ours]):.0%}",
                f"{median([o.seconds for o in ours]):.1f} s",
                f"{max(run.peak_mb for run in runs):,.0f} MB",
            ]
        )
    header = ["requests", *rules, "ours", "gap", "over the best rule", "cards sold", "time", "peak memory"]
    note = "Value in % of the proven bound; gap = (bound - value) / bound. Medians over seeds; memory is the highest."
    return table(name, header, rows, note)


def _share(values: list[float]) -> str:
    return f"{median(values):.1%}"


def solvers(scale: Scale) -> str:
    """General solvers against ours stopped at the same time."""
    rows = []
    for size in scale.solver_sizes:
        problem = generate(size)
        for seconds in scale.solver_seconds:
            ours = measured(clear_once, problem, seconds, limit_seconds=seconds)
            full: Ours = ours.answer
            rows.append([f"{size:,}", f"{seconds} s", "ours", *_line(full.value, full.bound, full.bound, ours), ""])
            for name, solve in baselines.SOLVERS.items():
                run = measured(solve, problem, float(seconds), limit_seconds=seconds)
                rows.append([f"{size:,}", f"{seconds} s", name, *_attempt(problem, run, full.bound)])
    header = ["requests", "limit", "solver", "value", "of our bound", "its own bound / ours", "time", "memory", "note"]
    note = "Time includes building the model. Its own bound: below 100 % is tighter than ours."
    return table("General solvers, load 1.5", header, rows, note)


def _line(value: int, bound: int, own_bound: float | None, run: Measured) -> list[str]:
    own = "–" if own_bound is None else f"{own_bound / bound:.2%}"
    return [f"{value / YUAN:,.0f}", f"{value / bound:.2%}", own, f"{run.seconds:.1f} s", f"{run.peak_mb:,.0f} MB"]


def _attempt(problem: Problem, run: Measured, bound: int) -> list[str]:
    if run.answer is None:
        return ["did not finish", "–", "–", "–", "–", run.failure]
    attempt: baselines.Attempt = run.answer
    own = None if attempt.bound_yuan is None else attempt.bound_yuan * YUAN
    if attempt.plan is None:
        return ["–", *_line(0, bound, own, run)[1:], attempt.note]
    return [*_line(value_of(problem, attempt.plan), bound, own, run), attempt.note]


def relaxation(scale: Scale) -> str:
    """Our bound against the optimum of the linear relaxation."""
    rows = []
    for size in scale.relaxation_sizes:
        problem = generate(size)
        ours: Ours = measured(clear_once, problem, limit_seconds=SOLVE_SECONDS * 5).answer
        run = measured(baselines.lp_optimum, problem, 600.0, limit_seconds=600)
        optimum = run.answer
        ratio = "did not finish" if optimum is None else f"{ours.bound / YUAN / optimum - 1:+.3%}"
        shown = "–" if optimum is None else f"{optimum:,.0f}"
        rows.append(
            [f"{size:,}", f"{ours.bound / YUAN:,.0f}", shown, ratio, f"{ours.seconds:.1f} s", f"{run.seconds:.1f} s"]
        )
    header = ["requests", "our bound, yuan", "LP optimum, yuan", "ours over LP", "our time", "LP time"]
    return table("The bound against the linear relaxation, load 1.5", header, rows)


def quote_latency(requests: int = 1_000, tries: int = 200) -> str:
    """One quote on the last published round: 20 pools × 168 hours, and 100 pools × 672 hours."""
    rows = []
    for label, problem in (
        ("20 pools × 168 h", generate(requests)),
        ("100 pools × 672 h", repeated(generate(requests), 5, 4)),
    ):
        times = sorted(_quote_times(problem, tries))
        rows.append([label, f"{median(times) * 1000:.2f} ms", f"{times[int(tries * 0.95)] * 1000:.2f} ms"])
    return table("A quote for one request", ["grid", "median", "95 % within"], rows)


def generated(sizes: tuple[tuple[int, int], ...], load: float) -> dict[str, list[Problem]]:
    return {f"{size:,}": [generate(size, load, seed) for seed in range(seeds)] for size, seeds in sizes}


def real(folder: Path, scale: Scale) -> dict[str, list[Problem]]:
    """Problems on the real traces; what is larger than the week is labelled."""
    found = {}
    for size in scale.trace_sizes:
        label = "one week (9,999)" if size is None else f"{size:,}" + (" (resampled)" if size > 9_999 else "")
        found[label] = [traces.problem(folder, size, 1.5, seed) for seed in range(scale.trace_seeds)]
    return found


def _quote_times(problem: Problem, tries: int) -> list[float]:
    """Seconds of single quotes for requests of the problem at its slot prices, compiled beforehand."""
    result = capacity.clear(problem, options=Options.quick(problem.requests, bound_steps=20, place_moves=500))
    market = capacity.Market.after(problem, result)
    columns = (problem.cards, problem.run_hours, problem.earliest, problem.lead_hours, problem.min_piece)
    asks = [
        capacity.Ask(int(cards), hours, int(early), problem.hours, lead, problem.transfer_cost[request], int(piece))
        for request, (cards, hours, early, lead, piece) in enumerate(zip(*columns, strict=True))
    ][:tries]
    capacity.quote(market, asks[0])
    times = []
    for ask in asks:
        start = time.perf_counter()
        capacity.quote(market, ask)
        times.append(time.perf_counter() - start)
    return times


def repeated(problem: Problem, pools: int, weeks: int) -> Problem:
    """The same province `pools` times over and `weeks` weeks long: a large grid for quotes."""
    sites = tuple(f"{site}-{copy}" for copy in range(pools) for site in problem.sites)
    shift = np.repeat(np.arange(pools), problem.pools)
    deposits = len(problem.deposit_id)
    return replace(
        problem,
        hours=problem.hours * weeks,
        sites=sites,
        pool_site=np.tile(problem.pool_site, pools) + (shift * len(problem.sites)).astype(np.int32),
        pool_model=np.tile(problem.pool_model, pools),
        pool_region=np.tile(problem.pool_region, pools),
        deposit_id=tuple(f"{name}-{copy}" for copy in range(pools) for name in problem.deposit_id),
        deposit_pool=np.tile(problem.deposit_pool, pools)
        + np.repeat(np.arange(pools, dtype=np.int32) * problem.pools, deposits).astype(np.int32),
        deposit_order=np.tile(problem.deposit_order, pools),
        deposit_cards=np.tile(problem.deposit_cards, (pools, weeks)),
        deposit_reserve=np.tile(problem.deposit_reserve, (pools, weeks)),
    )


def tables(scale: Scale, folder: Path | None) -> Iterator[str]:
    """Every table, as it is ready."""
    yield f"Compilation at the first clearing of a fresh installation: {compile_seconds():.0f} s (not counted below)."
    for load in scale.loads:
        yield quality(f"Generated rounds, load {load}", generated(scale.sizes, load))
    if folder is None:
        yield f"Real traces: skipped, {traces.JOBS} and {traces.NODES} not found (--data or HUOSHUI_DATA)."
    else:
        yield quality("Philly jobs on idle cards of a 10,412-GPU fleet, load 1.5", real(folder, scale))
    yield solvers(scale)
    yield relaxation(scale)
    yield quote_latency()
