"""The verifier rejects every change that makes a statement of the result false."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.clearing.rounds import make_round

from huoshui.clearing.capacity import Breach, Options, Refusal, Result, clear, verify

LIGHT = Options(bound_steps=60, place_passes=2, place_moves=200, price_steps=10)
PROBLEM = make_round(11, requests=24)
RESULT = clear(PROBLEM, options=LIGHT)


def codes(**changes: Any) -> set[Breach]:
    return {violation.code for violation in verify(PROBLEM, dataclasses.replace(RESULT, **changes))}


def nudged(column: str, index: Any, by: int) -> Any:
    values = getattr(RESULT, column).copy()
    values[index] += by
    return values


def test_the_untouched_result_holds() -> None:
    assert RESULT.served.any()
    assert not RESULT.served.all()
    assert verify(PROBLEM, RESULT) == ()


COLUMNS = ["payment", "deposit_sold", "shadow_price", "gang_price", "refusal_params", "pool", "run_start", "run_end"]


@settings(max_examples=80, deadline=None)
@given(st.sampled_from([*COLUMNS, "refusal", "run_request"]), st.data(), st.sampled_from([-7, -1, 1, 5]))
def test_any_changed_value_of_a_column_is_rejected(column: str, data: st.DataObject, by: int) -> None:
    size = getattr(RESULT, column).size
    at = data.draw(st.integers(0, size - 1))
    index = np.unravel_index(at, getattr(RESULT, column).shape)
    changed = dataclasses.replace(RESULT, **{column: nudged(column, index, by)})
    if column in ("shadow_price", "gang_price"):
        assume(_dual(changed) != RESULT.bound)
    assert verify(PROBLEM, changed) != ()


def _dual(result: Result) -> int:
    """The bound that the prices of `result` prove, read off the verifier's complaint; the stated one if it has none."""
    for violation in verify(PROBLEM, result):
        if violation.code is Breach.BOUND and violation.params:
            return violation.params[1]
    return result.bound


@settings(max_examples=60, deadline=None)
@given(st.integers(0, PROBLEM.requests - 1))
def test_a_flipped_served_flag_is_rejected(r: int) -> None:
    served = RESULT.served.copy()
    served[r] = not served[r]
    assert verify(PROBLEM, dataclasses.replace(RESULT, served=served)) != ()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2), st.integers(0, 23), st.sampled_from([-1000, 1000, 1]))
def test_a_changed_price_of_an_hour_in_use_is_rejected(pool: int, hour: int, by: int) -> None:
    assume(by == 1 or RESULT.deposit_sold[PROBLEM.deposit_pool == pool, hour].sum() > 0)
    assert codes(slot_price=nudged("slot_price", (pool, hour), by)) != set()


@pytest.mark.parametrize(
    ("field", "by", "code"),
    [
        ("objective", 1, Breach.OBJECTIVE),
        ("bound", -1, Breach.BOUND),
        ("bound", 1, Breach.BOUND),
        ("gap_bps", 1, Breach.GAP),
        ("price_rule_loss", 10**15, Breach.TOTALS),
        ("share_cost_high", 1, Breach.RULE_COST),
        ("priority_cost_low", 1, Breach.RULE_COST),
    ],
)
def test_changed_totals_are_rejected(field: str, by: int, code: Breach) -> None:
    assert code in codes(**{field: getattr(RESULT, field) + by})


def test_a_bound_below_the_objective_is_rejected() -> None:
    assert Breach.BOUND in codes(bound=RESULT.objective - 1)


def test_prices_that_prove_less_than_the_bound_says_are_rejected() -> None:
    assert Breach.BOUND in codes(shadow_price=np.zeros_like(RESULT.shadow_price))


def test_a_request_moved_onto_a_full_cell_is_rejected() -> None:
    doubled = np.repeat(np.flatnonzero(RESULT.served)[:1], 1)
    more = dataclasses.replace(PROBLEM, cards=np.where(np.isin(np.arange(24), doubled), 1000, PROBLEM.cards))
    found = {violation.code for violation in verify(more, dataclasses.replace(RESULT, problem_digest=more.digest()))}
    assert Breach.CAPACITY in found


def test_another_problem_is_rejected() -> None:
    assert [violation.code for violation in verify(make_round(12, requests=24), RESULT)] == [Breach.DIGEST]


def test_a_served_request_cannot_be_called_dropped() -> None:
    dropped = RESULT.dropped.copy()
    dropped[np.flatnonzero(RESULT.served)[0]] = True
    assert Breach.TOTALS in codes(dropped=dropped)


def test_a_missed_request_cannot_be_called_too_cheap() -> None:
    for seed in range(40):
        problem = make_round(seed, requests=24)
        result = clear(problem, options=LIGHT)
        missed = np.flatnonzero(result.refusal == Refusal.MISSED)
        if len(missed):
            refusal = result.refusal.copy()
            refusal[missed[0]] = Refusal.PRICE
            wrong = dataclasses.replace(result, refusal=refusal)
            assert Breach.REFUSAL in {violation.code for violation in verify(problem, wrong)}
            return
    pytest.fail("no seed gave a missed request")
