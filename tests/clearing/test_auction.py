"""A call auction trades the most lots at one price, by a rule that leaves no choice, and proves it."""

from __future__ import annotations

import dataclasses
import heapq
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from huoshui.clearing import auction
from huoshui.clearing.auction import NO_PRICE, Breach, Problem, Result, clear, verify
from huoshui.clearing.capacity import ProblemError, archive

TICK, LOW, HIGH = 10, 500, 700
Order = tuple[bool, int, int, int]
"""(buy, price, lots, group)"""


def problem_of(orders: list[Order], reference: int = 600, **changes: Any) -> Problem:
    """Orders in the order in which they came."""
    columns = list(zip(*orders, strict=True)) or [(), (), (), ()]
    values = {
        "order_id": tuple(f"O{index}" for index in range(len(orders))), "buy": np.array(columns[0], np.bool_),
        "price": np.array(columns[1], np.int64), "lots": np.array(columns[2], np.int64),
        "time": np.arange(len(orders)), "group": np.array(columns[3], np.int64), "tick": TICK, "low": LOW,
        "high": HIGH, "reference": reference,
    } | changes  # fmt: skip
    return Problem(**values)


def orders(groups: int = 1_000) -> st.SearchStrategy[list[Order]]:
    price = st.integers(LOW // TICK, HIGH // TICK).map(lambda ticks: ticks * TICK)
    return st.lists(st.tuples(st.booleans(), price, st.integers(1, 9), st.integers(1, groups)), max_size=14)


def spread_out(found: list[Order]) -> list[Order]:
    """The same orders, each of a group of its own."""
    return [(buy, price, lots, index) for index, (buy, price, lots, _group) in enumerate(found)]


def at(found: list[Order], price: int) -> tuple[int, int]:
    """Demand and supply at a price, by adding up."""
    demand = sum(lots for buy, limit, lots, _group in found if buy and limit >= price)
    return demand, sum(lots for buy, limit, lots, _group in found if not buy and limit <= price)


@given(orders(), st.integers(LOW, HIGH))
def test_the_price_is_the_best_of_the_whole_grid_by_the_published_rule(found: list[Order], reference: int) -> None:
    found = spread_out(found)
    result = clear(problem_of(found, reference))
    best = min(
        (-min(at(found, p)), abs(at(found, p)[0] - at(found, p)[1]), abs(p - reference), p)
        for p in range(LOW, HIGH + 1, TICK)
    )
    assert result.volume == -best[0]
    assert result.price == (best[3] if result.volume else NO_PRICE)


@given(orders(groups=4), st.integers(LOW, HIGH))
def test_lots_bought_are_lots_sold_within_every_limit_and_never_within_a_group(
    found: list[Order], reference: int
) -> None:
    problem = problem_of(found, reference)
    result = clear(problem)
    assert verify(problem, result) == ()
    buy, sell = result.trade_buy, result.trade_sell
    assert result.filled[problem.buy].sum() == result.filled[~problem.buy].sum() == result.trade_lots.sum()
    assert (np.bincount(buy, result.trade_lots, len(found)) == np.where(problem.buy, result.filled, 0)).all()
    assert (np.bincount(sell, result.trade_lots, len(found)) == np.where(problem.buy, 0, result.filled)).all()
    assert (problem.price[buy] >= result.price).all()
    assert (problem.price[sell] <= result.price).all()
    assert (problem.group[buy] != problem.group[sell]).all()
    assert (result.filled <= problem.lots).all()


@given(orders(groups=5))
def test_nobody_is_passed_over_for_a_worse_or_later_order(found: list[Order]) -> None:
    problem = problem_of(found)
    result = clear(problem)
    for i, (buy, price, lots, _group) in enumerate(found):
        for j, (other_buy, other_price, _lots, _g) in enumerate(found):
            if not (result.admitted[i] and result.admitted[j]) or buy != other_buy or i == j:
                continue
            ahead = (price > other_price if buy else price < other_price) or (price == other_price and i < j)
            if ahead and result.filled[j]:
                assert result.filled[i] == lots


def test_of_a_group_on_both_sides_the_side_of_its_earliest_order_takes_part() -> None:
    problem = problem_of([(True, 650, 2, 1), (False, 600, 2, 1), (False, 640, 1, 2), (True, 660, 1, 1)])
    result = clear(problem)
    assert result.admitted.tolist() == [True, False, True, True]
    assert result.filled.tolist() == [0, 0, 1, 1]


def test_an_auction_without_a_match_has_no_price() -> None:
    for found in ([], [(True, 500, 3, 1)], [(True, 500, 3, 1), (False, 510, 3, 2)]):
        problem = problem_of(found)  # type: ignore[arg-type]
        result = clear(problem)
        assert (result.price, result.volume, len(result.trade_lots)) == (NO_PRICE, 0, 0)
        assert verify(problem, result) == ()


@given(orders())
def test_one_price_trades_no_less_than_matching_one_after_another_at_one_price(found: list[Order]) -> None:
    """Continuous matching of the same orders, told at the best single price, never trades more."""
    found = spread_out(found)
    result = clear(problem_of(found))
    asks: list[tuple[int, int]] = []
    bids: list[tuple[int, int]] = []
    traded: list[tuple[int, int, int]] = []
    for buy, price, lots, _group in found:
        mine, theirs = (bids, asks) if buy else (asks, bids)
        while lots and theirs and (theirs[0][0] <= price if buy else -theirs[0][0] >= price):
            other, left = heapq.heappop(theirs)
            taken = min(lots, left)
            traded.append((price if buy else -other, other if buy else price, taken))
            lots -= taken
            if left - taken:
                heapq.heappush(theirs, (other, left - taken))
        if lots:
            heapq.heappush(mine, (-price if buy else price, lots))
    for p in range(LOW, HIGH + 1, TICK):
        assert sum(lots for bid, ask, lots in traded if ask <= p <= bid) <= result.volume


MIXED: list[Order] = [
    (True, 640, 5, 1), (False, 560, 3, 2), (True, 600, 4, 3), (False, 600, 6, 4), (True, 620, 2, 5),
    (False, 580, 2, 6), (False, 690, 9, 7), (True, 510, 1, 8), (False, 540, 3, 1),
]  # fmt: skip
PROBLEM = problem_of(MIXED, 595)
RESULT = clear(PROBLEM)


def codes(**changes: Any) -> set[Breach]:
    return {violation.code for violation in verify(PROBLEM, dataclasses.replace(RESULT, **changes))}


COLUMNS = ["filled", "level_price", "level_demand", "level_supply", "trade_buy", "trade_sell", "trade_lots"]


@settings(max_examples=80)
@given(st.sampled_from([*COLUMNS, "admitted"]), st.data(), st.integers(-9, 9))
def test_any_changed_value_of_a_column_is_rejected(column: str, data: st.DataObject, by: int) -> None:
    assume(by)
    values = getattr(RESULT, column).copy()
    index = data.draw(st.integers(0, len(values) - 1))
    values[index] = not values[index] if column == "admitted" else values[index] + by
    assert codes(**{column: values})


@given(st.sampled_from(["price", "volume"]), st.integers(-100, 100))
def test_another_price_or_volume_is_rejected(name: str, by: int) -> None:
    assume(by)
    assert codes(**{name: getattr(RESULT, name) + by})


@given(orders(groups=6), orders(groups=6))
def test_the_result_of_other_orders_is_rejected(mine: list[Order], other: list[Order]) -> None:
    assume(mine != other)
    assert verify(problem_of(mine), clear(problem_of(other)))


def test_a_level_left_out_is_rejected() -> None:
    assert RESULT.volume > 0
    for index in range(len(RESULT.level_price)):
        names = ("level_price", "level_demand", "level_supply")
        assert codes(**{name: np.delete(getattr(RESULT, name), index) for name in names}) == {Breach.CURVE}


def test_columns_of_the_wrong_length_are_rejected() -> None:
    assert codes(filled=RESULT.filled[:-1]) == {Breach.SHAPE}
    assert codes(trade_lots=RESULT.trade_lots[:-1]) == {Breach.SHAPE}


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"tick": 0}, "tick"), ({"low": 505}, "low"), ({"reference": 701}, "reference"), ({"high": 610}, "price"),
        ({"lots": np.zeros(len(MIXED), np.int64)}, "lots"), ({"time": np.zeros(len(MIXED), np.int64)}, "time"),
        ({"order_id": ("A",) * len(MIXED)}, "order_id"), ({"price": np.full(len(MIXED), 605)}, "price"),
        ({"group": np.zeros(3, np.int64)}, "group"),
    ],
)  # fmt: skip
def test_bad_orders_are_named(changes: dict[str, Any], column: str) -> None:
    with pytest.raises(ProblemError, match=column):
        dataclasses.replace(PROBLEM, **changes)


def test_problem_and_result_survive_the_archive() -> None:
    for kind, record in ((Problem, PROBLEM), (Result, RESULT)):
        assert archive.unpack(kind, archive.pack(record)).digest() == record.digest()  # type: ignore[attr-defined]


def test_the_order_of_rows_does_not_matter() -> None:
    turned = np.arange(len(MIXED))[::-1]
    changes = {name: getattr(PROBLEM, name)[turned] for name in ("buy", "price", "lots", "time", "group")}
    other = clear(dataclasses.replace(PROBLEM, order_id=PROBLEM.order_id[::-1], **changes))
    assert (other.price, other.filled[turned].tolist()) == (RESULT.price, RESULT.filled.tolist())
    assert auction.verify(PROBLEM, RESULT) == ()
