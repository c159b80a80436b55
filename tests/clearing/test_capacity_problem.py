"""A problem refuses columns that break a rule, and its digest follows every value."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tests.clearing.rounds import make_round

from huoshui.clearing.capacity import Problem, ProblemError
from huoshui.clearing.capacity.problem import COLUMNS


@pytest.mark.parametrize(
    ("column", "index", "value", "says"),
    [
        ("cards", 2, 0, r"cards\[2\] = 0: must be 1 to"),
        ("deadline", 1, 25, r"deadline\[1\] = 25: must be at most the horizon"),
        ("earliest", 0, 24, r"earliest\[0\] = 24: must be at least 0 and before the deadline"),
        ("budget", 3, -1, r"budget\[3\] = -1"),
        ("run_hours", (0, 1), -2, r"run_hours\[0, 1\] = -2"),
        ("deposit_reserve", (0, 0), 10**9, r"deposit_reserve\[0, 0\] = 1000000000"),
        ("deposit_pool", 0, 3, r"deposit_pool\[0\] = 3"),
        ("pool_region", 0, 1, "one region per site"),
        ("pool_model", 1, 0, "a different pair for each pool"),
        ("lead_hours", (0, 0), -2, r"lead_hours\[0, 0\] = -2"),
    ],
)
def test_a_bad_value_is_named_with_row_value_and_rule(column: str, index: object, value: int, says: str) -> None:
    good = make_round(1)
    bad = getattr(good, column).copy()
    bad[index] = value
    with pytest.raises(ProblemError, match=says):
        dataclasses.replace(good, **{column: bad})


def test_a_value_too_large_for_the_column_is_refused_not_wrapped() -> None:
    with pytest.raises(ProblemError, match="within int32"):
        make_round(1, cards=np.full(12, 2**32 + 1))


def test_floats_and_wrong_shapes_are_refused() -> None:
    with pytest.raises(ProblemError, match="int64, not float64"):
        make_round(1, budget=np.ones(12))
    with pytest.raises(ProblemError, match="of shape"):
        make_round(1, budget=np.ones(11, np.int64))


def test_rigid_requests_have_no_shortest_piece() -> None:
    with pytest.raises(ProblemError, match="0 for a rigid request"):
        make_round(1, preemptible=np.zeros(12, bool), min_piece=np.full(12, 1))


def test_repeated_names_are_refused() -> None:
    with pytest.raises(ProblemError, match="request_id: must be without repeated names"):
        make_round(1, request_id=("same",) * 12)


@pytest.mark.parametrize("column", sorted(COLUMNS))
def test_the_digest_changes_with_every_column(column: str) -> None:
    one = make_round(1)
    flat = getattr(one, column).copy()
    other = object.__new__(Problem)
    flat.flat[0] = not flat.flat[0] if flat.dtype == bool else flat.flat[0] + 1
    for field in dataclasses.fields(one):
        object.__setattr__(other, field.name, flat if field.name == column else getattr(one, field.name))
    assert other.digest() != one.digest()


def test_columns_are_copies_and_cannot_be_written() -> None:
    cards = np.array([1, 1, 2, 3, 4, 8, 1, 1, 1, 1, 1, 1])
    problem = make_round(1, cards=cards)
    before = problem.digest()
    cards[0] = 7
    assert problem.digest() == before
    with pytest.raises(ValueError, match="read-only"):
        problem.cards[0] = 7
