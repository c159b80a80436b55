"""Facts about the yardstick: its plans are feasible, its value is exact, and the rules do what their names say."""

import numpy as np
import pytest
from benchmarks import baselines
from benchmarks.generator import generate
from benchmarks.plans import Plan, value_of
from hypothesis import given, settings
from hypothesis import strategies as st

from huoshui.clearing import capacity
from huoshui.clearing.capacity.queues import Wish, first_come, hour_by_hour, in_order


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 150), st.integers(0, 1_000), st.sampled_from([0.8, 1.5, 2.0]))
def test_every_rule_gives_a_feasible_plan(requests, seed, load):
    problem = generate(requests, load, seed)
    for rule in baselines.RULES.values():
        value_of(problem, rule(problem))


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 150), st.integers(0, 1_000))
def test_the_value_of_a_queue_is_what_an_independent_count_gives(requests, seed):
    problem = generate(requests, seed=seed)
    queued = first_come(problem)
    assert queued.value == value_of(problem, Plan(queued.pool, queued.hours))


def test_nobody_waits_past_an_hour_in_which_it_could_have_started():
    """With first come first, the first in line starts at the first hour that any empty pool allows."""
    problem = generate(200)
    order = np.argsort(problem.earliest, kind="stable")
    alone = hour_by_hour(problem, order[:1])
    queued = first_come(problem)
    assert np.array_equal(queued.hours[order[0]], alone.hours[order[0]])


def test_a_request_that_prefers_the_cheapest_place_gets_it_when_alone():
    problem = generate(200)
    for request in range(20):
        one = np.array([request])
        cheap, early = (in_order(problem, one, wish) for wish in (Wish.CHEAPEST, Wish.EARLIEST))
        assert (cheap.pool[request] >= 0) == (early.pool[request] >= 0)
        assert cheap.value >= early.value


@pytest.mark.parametrize("seed", range(3))
def test_clearing_is_worth_at_least_what_any_rule_gives(seed):
    problem = generate(150, seed=seed)
    result = capacity.clear(problem, options=capacity.Options.quick(150))
    for rule in baselines.RULES.values():
        assert result.bound >= value_of(problem, rule(problem))
    assert result.objective >= first_come(problem).value


def test_the_linear_model_is_the_same_problem():
    """Its proven integer optimum lies between our plan and our bound, and its plan passes the check."""
    problem = generate(25, load=2.0, seed=5)
    result = capacity.clear(problem, options=capacity.Options.for_size(25))
    attempt = baselines.mip(problem, 120)
    assert attempt.plan is not None
    optimum = value_of(problem, attempt.plan)
    assert optimum <= result.bound
    assert result.objective <= attempt.bound_yuan * 100_000 + 1


def test_a_broken_plan_does_not_pass_the_check():
    problem = generate(60)
    queued = first_come(problem)
    served = next(request for request, hours in enumerate(queued.hours) if len(hours) > 1)
    for hours in (queued.hours[served][:-1], queued.hours[served] + 168, queued.hours[served][::-1]):
        broken = list(queued.hours)
        broken[served] = hours
        with pytest.raises((AssertionError, IndexError)):
            value_of(problem, Plan(queued.pool, tuple(broken)))
