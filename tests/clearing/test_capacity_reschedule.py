"""After a recall nobody moves without need, nobody pays more, and the verifier knows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.clearing.rounds import make_round

from huoshui.clearing.capacity import Options, clear, reschedule, verify_reschedule

LIGHT = Options(bound_steps=40, place_passes=2, place_moves=200, price_steps=5)
PROBLEM = make_round(21, requests=40, earliest=np.arange(40) % 12, deadline=np.full(40, 24))
RESULT = clear(PROBLEM, options=LIGHT)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 20), st.lists(st.integers(0, 5), max_size=3), st.integers(0, 3))
def test_any_recall_gives_a_schedule_that_holds(now: int, deposits: list[int], left: int) -> None:
    cards = PROBLEM.deposit_cards.copy()
    cards[deposits, now:] = np.minimum(cards[deposits, now:], left)
    failed = sorted({int(r) for r, end in zip(RESULT.run_request, RESULT.run_end, strict=True) if end > now})[:2]
    plan = reschedule(PROBLEM, RESULT, now=now, new_deposit_cards=cards, failed=failed)
    assert verify_reschedule(PROBLEM, RESULT, plan, cards, failed) == ()
    assert (plan.moved | plan.displaced)[failed].all()


def test_without_a_change_nothing_moves() -> None:
    plan = reschedule(PROBLEM, RESULT, now=5)
    assert not (plan.moved | plan.displaced).any()
    assert (plan.deposit_sold == RESULT.deposit_sold).all()


def test_when_every_card_is_recalled_all_that_still_run_are_displaced() -> None:
    cards = PROBLEM.deposit_cards.copy()
    cards[:, 6:] = 0
    plan = reschedule(PROBLEM, RESULT, now=6, new_deposit_cards=cards)
    running = np.unique(RESULT.run_request[RESULT.run_end > 6])
    assert np.flatnonzero(plan.displaced).tolist() == running.tolist()


def test_the_verifier_rejects_a_moved_bystander_and_a_changed_cost() -> None:
    cards = PROBLEM.deposit_cards.copy()
    cards[[0, 3], 4:] = 0
    plan = reschedule(PROBLEM, RESULT, now=4, new_deposit_cards=cards)
    assert plan.moved.any()
    shifted = plan.run_start.copy()
    stays = np.flatnonzero(~(plan.moved | plan.displaced)[plan.run_request])[0]
    shifted[stays] += 1
    assert verify_reschedule(PROBLEM, RESULT, dataclasses.replace(plan, run_start=shifted), cards) != ()
    for column in ("before", "cost", "difference"):
        values = getattr(plan, column).copy()
        values[np.flatnonzero(plan.moved)[0]] -= 1
        assert verify_reschedule(PROBLEM, RESULT, dataclasses.replace(plan, **{column: values}), cards) != ()


def test_the_past_cannot_be_changed() -> None:
    cards = PROBLEM.deposit_cards.copy()
    cards[:, 3] = 0
    with pytest.raises(ValueError, match="hours before 5 have happened"):
        reschedule(PROBLEM, RESULT, now=5, new_deposit_cards=cards)
