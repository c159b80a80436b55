"""What a clearing promises: a plan that holds, a bound that no plan exceeds, the same answer everywhere."""

from __future__ import annotations

import dataclasses

import highspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.clearing.rounds import best_value, hour_choices, make_round

from huoshui.clearing.capacity import Options, Phase, Problem, Refusal, clear, verify
from huoshui.clearing.capacity.grid import added_cost, build

LIGHT = Options(bound_steps=60, place_passes=4, place_moves=200, price_steps=10)


def light(**changes: int) -> Options:
    return dataclasses.replace(LIGHT, **changes)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0, 1000, 5000]), st.booleans())
def test_every_statement_of_a_result_holds(seed: int, share: int, ranked: bool) -> None:
    problem = make_round(seed)
    if ranked:
        problem = dataclasses.replace(problem, priority=np.arange(12, dtype=np.int32) % 3)
    assert verify(problem, clear(problem, options=light(reserved_share_bps=share, seed=seed))) == ()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_bound_and_plan_enclose_the_exact_optimum(seed: int) -> None:
    problem = make_round(seed, requests=4, hours=9, deadline=np.full(4, 8), earliest=np.array([0, 1, 2, 0]))
    result = clear(problem, options=light(bound_steps=200))
    optimum = best_value(problem)
    assert result.objective + result.price_rule_loss <= optimum <= result.bound


def test_the_plan_of_tiny_rounds_is_usually_the_exact_optimum() -> None:
    short = 0
    for seed in range(12):
        problem = make_round(seed, requests=4, hours=9, deadline=np.full(4, 8), earliest=np.array([0, 1, 2, 0]))
        result = clear(problem, options=LIGHT)
        short += result.objective + result.price_rule_loss < best_value(problem)
    assert short <= 2


def test_threads_do_not_change_the_result() -> None:
    problem = make_round(3, requests=60)
    digests = {clear(problem, options=light(workers=workers)).digest() for workers in (1, 2, 5)}
    assert len(digests) == 1


def test_a_stopped_run_is_whole_and_can_be_replayed() -> None:
    problem = make_round(5, requests=40)

    def stop(phase: Phase, done: int, total: int, objective: int, bound: int) -> bool:
        return done < (7 if phase is Phase.BOUND else 2)

    stopped = clear(problem, options=LIGHT, progress=stop)
    assert (stopped.bound_steps, stopped.place_steps) == (7, 2)
    assert verify(problem, stopped) == ()
    again = clear(problem, options=light(bound_stop=7, place_stop=2))
    assert again.digest() == stopped.digest()


def test_rounds_without_requests_or_without_cards_clear() -> None:
    empty = make_round(1, requests=0)
    result = clear(empty, options=LIGHT)
    assert (result.objective, verify(empty, result)) == (0, ())
    bare = make_round(1, deposit_cards=np.zeros((6, 24), np.int32))
    result = clear(bare, options=LIGHT)
    assert not result.served.any()
    assert verify(bare, result) == ()


def test_cheapest_reserve_serves_first_and_then_the_earlier_deposit() -> None:
    reserve = np.full((6, 24), 200_000)
    reserve[3] = 150_000
    one = make_round(
        1, requests=1, cards=[3], run_hours=[[2, 0]], earliest=[0], deadline=[2], budget=[10**8], preemptible=[False],
        min_piece=[0], small=[True], lead_hours=[[0, -1]], transfer_cost=[[0, 0]], deposit_cards=np.full((6, 24), 2),
        deposit_reserve=reserve, deposit_order=np.arange(6),
    )  # fmt: skip
    result = clear(one, options=LIGHT)
    assert result.deposit_sold[3, 0] == 2
    assert result.deposit_sold[0, 0] == 1
    assert result.slot_price[0, 0] >= 200_000
    level = dataclasses.replace(one, deposit_reserve=np.full((6, 24), 200_000), deposit_order=np.arange(6)[::-1])
    result = clear(level, options=LIGHT)
    assert (result.deposit_sold[3, 0], result.deposit_sold[0, 0]) == (2, 1)


def test_each_refusal_that_a_request_alone_decides() -> None:
    base = {"requests": 1, "earliest": [0], "preemptible": [False], "min_piece": [0], "small": [True]}
    base |= {"transfer_cost": [[0, 0]], "deposit_cards": np.full((6, 24), 2), "deadline": [20]}
    usual = {"cards": [1], "run_hours": [[2, 2]], "lead_hours": [[0, 0]], "budget": [10**8]}
    cases = {
        Refusal.MODEL: {"run_hours": [[0, 0]]},
        Refusal.REGION: {"lead_hours": [[-1, -1]]},
        Refusal.NO_CAPACITY: {"cards": [5]},
        Refusal.BUDGET: {"budget": [1000]},
        Refusal.SERVED: {},
    }
    for reason, change in cases.items():
        problem = make_round(2, **(base | usual | change))
        result = clear(problem, options=LIGHT)
        assert result.refusal[0] == reason
        assert verify(problem, result) == ()


def test_a_higher_class_is_never_displaced_by_a_lower_one() -> None:
    columns = {
        "requests": 2, "cards": [4, 4], "run_hours": [[4, 0]] * 2, "earliest": [0, 0], "deadline": [4, 4],
        "budget": [10**8, 10**9], "preemptible": [False] * 2, "min_piece": [0, 0], "small": [True] * 2,
        "lead_hours": [[0, -1]] * 2, "transfer_cost": [[0, 0]] * 2, "deposit_cards": np.full((6, 24), 2),
    }  # fmt: skip
    rich_first = make_round(4, **columns)
    assert clear(rich_first, options=LIGHT).served.tolist() == [False, True]
    poor_first = make_round(4, **columns, priority=[0, 1])
    result = clear(poor_first, options=LIGHT)
    assert result.served.tolist() == [True, False]
    assert result.priority_cost_low == 9 * 10**8
    assert verify(poor_first, result) == ()


def test_the_reserved_share_serves_small_requests_and_says_what_it_costs() -> None:
    columns = {
        "requests": 2, "cards": [1, 4], "run_hours": [[4, 0]] * 2, "earliest": [0, 0], "deadline": [4, 4],
        "budget": [10**8, 10**9], "preemptible": [False] * 2, "min_piece": [0, 0], "small": [True, False],
        "lead_hours": [[0, -1]] * 2, "transfer_cost": [[0, 0]] * 2, "deposit_cards": np.full((6, 24), 2), "hours": 24,
    }  # fmt: skip
    cards = np.zeros((6, 24), np.int32)
    cards[:, :4] = 2
    problem = make_round(4, **(columns | {"deposit_cards": cards}))
    assert clear(problem, options=LIGHT).served.tolist() == [False, True]
    kept = clear(problem, options=light(reserved_share_bps=1000))
    assert kept.served.tolist() == [True, False]
    assert kept.refusal[1] == Refusal.KEPT_FOR_SMALL
    assert kept.share_cost_low > 8 * 10**8
    nobody_small = dataclasses.replace(problem, small=np.zeros(2, bool))
    assert clear(nobody_small, options=light(reserved_share_bps=1000)).served.tolist() == [False, True]


@pytest.mark.parametrize("seed", range(4))
def test_the_bound_is_within_three_per_mille_of_the_linear_relaxation(seed: int) -> None:
    problem = make_round(seed, requests=60, min_piece=np.zeros(60, int), preemptible=np.zeros(60, bool))
    relaxed = _relaxation(problem)
    bound = clear(problem, options=light(bound_steps=2000)).bound
    assert bound <= relaxed * 1.003


def _relaxation(problem: Problem) -> float:
    """Optimum of the linear relaxation with a column per placement, by HiGHS: max budget - transfer - reserve cost."""
    grid, _ = build(problem)
    lp = highspy.Highs()
    lp.setOptionValue("output_flag", False)
    lp.addVars(0, np.zeros(0), np.zeros(0))
    one = {r: lp_row(lp, 1.0) for r in range(problem.requests)}
    cell = {}
    for p in range(problem.pools):
        for t in range(problem.hours):
            cell[p, t] = lp_row(lp, 0.0)
            at = p * problem.hours + t
            for k in range(grid.rung_from[at], grid.rung_from[at + 1]):
                lp.addCol(float(grid.rung_price[k]), 0.0, float(grid.rung_cards[k]), 1, [cell[p, t]], [-1.0])
    for r in range(problem.requests):
        for o in range(grid.option_from[r], grid.option_from[r + 1]):
            p = int(grid.option_pool[o])
            window = range(int(grid.option_start[o]), int(grid.option_end[o]))
            for hours in hour_choices(window, int(grid.option_hours[o]), 0):
                if all(grid.capacity[p, t] >= grid.cards[r] for t in hours):
                    rows = [one[r], *(cell[p, t] for t in hours)]
                    gain = float(grid.option_transfer[o] - grid.budget[r])
                    lp.addCol(gain, 0.0, 1.0, len(rows), rows, [1.0] + [float(grid.cards[r])] * len(hours))
    lp.run()
    return -lp.getObjectiveValue()


def lp_row(lp: highspy.Highs, upper: float) -> int:
    lp.addRow(-highspy.kHighsInf, upper, 0, [], [])
    return int(lp.getNumRow()) - 1


def test_merit_order_cost_is_the_sum_of_the_cheapest_cards() -> None:
    problem = make_round(7)
    grid, _ = build(problem)
    for load in range(int(problem.capacity[0, 5])):
        cost = added_cost(grid.rung_from, grid.rung_cards, grid.rung_price, 5, load, 1)
        rows = np.flatnonzero(problem.deposit_pool == 0)
        ladder = np.sort(np.repeat(problem.deposit_reserve[rows, 5], problem.deposit_cards[rows, 5]))
        assert cost == ladder[load]
