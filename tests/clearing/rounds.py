"""Small random rounds and an independent exhaustive optimum for the facts below."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from huoshui.clearing.capacity import Problem


def make_round(seed: int, requests: int = 12, hours: int = 24, **changes: Any) -> Problem:
    """Three pools on two sites and two models, two deposits each, mixed requests; every kind of refusal can occur."""
    g = np.random.default_rng(seed)
    n, models, regions, deposits = requests, 2, 2, 6
    run_hours = g.integers(0, 6, (n, models))
    earliest = g.integers(0, hours - 8, n)
    preemptible = g.random(n) < 0.5
    cards = g.choice([1, 1, 2, 3, 4, 8], n)
    columns: dict[str, Any] = {
        "horizon_start": 490_003,
        "hours": hours,
        "sites": ("east", "west"),
        "models": ("a", "b"),
        "regions": ("coast", "inland"),
        "pool_site": np.array([0, 0, 1]),
        "pool_model": np.array([0, 1, 0]),
        "pool_region": np.array([0, 0, 1]),
        "deposit_id": tuple(f"d{k}" for k in range(deposits)),
        "deposit_pool": np.arange(deposits) % 3,
        "deposit_order": g.integers(0, 3, deposits),
        "deposit_cards": g.integers(0, 4, (deposits, hours)),
        "deposit_reserve": g.integers(100, 300, (deposits, hours)) * 777,
        "request_id": tuple(f"r{k}" for k in range(n)),
        "cards": cards,
        "run_hours": run_hours,
        "earliest": earliest,
        "deadline": np.minimum(hours, earliest + g.integers(3, 16, n)),
        "budget": cards * (run_hours.max(axis=1) + 1) * g.integers(50, 900, n) * 1000,
        "preemptible": preemptible,
        "min_piece": np.where(preemptible, g.integers(1, 4, n), 0),
        "small": cards <= 2,
        "priority": np.zeros(n, np.int32),
        "lead_hours": g.integers(-1, 3, (n, regions)),
        "transfer_cost": g.integers(0, 3, (n, regions)) * 5_000,
    }
    return Problem(**(columns | changes))


def hour_choices(hours: range, need: int, min_piece: int) -> list[tuple[int, ...]]:
    """All ways to take `need` of `hours` in pieces of at least min_piece (0 or need <= min_piece: one piece)."""
    least = need if min_piece == 0 else min(min_piece, need)
    return [c for c in combinations(hours, need) if all(length >= least for length in piece_lengths(c))]


def piece_lengths(hours: tuple[int, ...]) -> list[int]:
    breaks = [0, *(k for k in range(1, len(hours)) if hours[k] != hours[k - 1] + 1), len(hours)]
    return [b - a for a, b in zip(breaks, breaks[1:], strict=False)]


def best_value(problem: Problem) -> int:
    """The exact optimum of a tiny round by trying everything."""
    pools, hours = problem.pools, problem.hours
    ladder = [[cell_ladder(problem, p, t) for t in range(hours)] for p in range(pools)]

    def search(r: int, load: np.ndarray) -> int:
        if r == problem.requests:
            return -sum(sum(ladder[p][t][: load[p, t]]) for p in range(pools) for t in range(hours))
        best = search(r + 1, load)
        for p in range(pools):
            need = int(problem.run_hours[r, problem.pool_model[p]])
            lead = int(problem.lead_hours[r, problem.pool_region[p]])
            if need == 0 or lead < 0:
                continue
            window = range(int(problem.earliest[r]) + lead, int(problem.deadline[r]))
            for choice in hour_choices(window, need, int(problem.min_piece[r])):
                after = load.copy()
                after[p, list(choice)] += problem.cards[r]
                if (after[p] <= problem.capacity[p]).all():
                    gain = int(problem.budget[r]) - int(problem.transfer_cost[r, problem.pool_region[p]])
                    best = max(best, gain + search(r + 1, after))
        return best

    return search(0, np.zeros((pools, hours), np.int64))


def cell_ladder(problem: Problem, pool: int, hour: int) -> list[int]:
    """Reserve price of each card of a cell, cheapest first."""
    rows = np.flatnonzero(problem.deposit_pool == pool)
    return sorted(
        int(problem.deposit_reserve[d, hour]) for d in rows for _ in range(int(problem.deposit_cards[d, hour]))
    )
