"""A plan that a baseline made, and the check that it must pass before its value counts.

The check is plain numpy on the columns of the problem and shares nothing with any solver: windows, lengths, pieces,
models, regions, capacity; the value is budgets less transfers less the reserve cost in merit order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from huoshui.clearing.capacity import Problem


@dataclass(frozen=True)
class Plan:
    """pool int[n], -1 = not served; hours: for each request the hour offsets in which it runs, ascending."""

    pool: npt.NDArray[np.integer]
    hours: tuple[npt.NDArray[np.integer], ...]

    @property
    def served(self) -> int:
        return int((self.pool >= 0).sum())


def value_of(problem: Problem, plan: Plan) -> int:
    """Exact value of a plan in 1/1000 fen. Raises AssertionError when the plan breaks a rule of the problem."""
    load = np.zeros((problem.pools, problem.hours), np.int64)
    total = 0
    for request in np.flatnonzero(plan.pool >= 0).tolist():
        pool, hours = int(plan.pool[request]), np.asarray(plan.hours[request])
        model, region = problem.pool_model[pool], problem.pool_region[pool]
        lead = int(problem.lead_hours[request, region])
        assert lead >= 0, f"request {request}: region {region} is not acceptable"
        assert len(hours) == problem.run_hours[request, model] > 0, f"request {request}: runs {len(hours)} hours"
        assert (np.diff(hours) > 0).all(), f"request {request}: hours are not ascending"
        early = problem.earliest[request] + lead
        assert early <= hours[0], f"request {request}: starts before its window"
        assert hours[-1] < problem.deadline[request], f"request {request}: ends after its deadline"
        pieces = np.diff(np.flatnonzero(np.diff(hours, prepend=-9, append=10**6) != 1))
        shortest = min(problem.min_piece[request], len(hours)) if problem.preemptible[request] else len(hours)
        assert pieces.min() >= shortest, f"request {request}: a piece of {pieces.min()} hours, shortest {shortest}"
        load[pool, hours] += problem.cards[request]
        total += int(problem.budget[request]) - int(problem.transfer_cost[request, region])
    assert (load <= problem.capacity).all(), "a cell sells more cards than it offers"
    return total - reserve_cost(problem, load)


def reserve_cost(problem: Problem, load: npt.NDArray[np.int64]) -> int:
    """Reserve cost of the cards sold in every cell, cheapest deposits first. load int64[P, T]."""
    cost = 0
    for pool in range(problem.pools):
        deposits = np.flatnonzero(problem.deposit_pool == pool)
        reserve = problem.deposit_reserve[deposits]
        order = np.argsort(reserve, axis=0, kind="stable")
        cards = np.take_along_axis(problem.deposit_cards[deposits].astype(np.int64), order, 0)
        before = np.cumsum(cards, axis=0) - cards
        used = np.clip(load[pool] - before, 0, cards)
        cost += int((used * np.take_along_axis(reserve, order, 0)).sum())
    return cost
