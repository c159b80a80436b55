"""Shares are floored, amounts are floored once, splits lose nothing, and yuan never round."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huoshui import terms
from huoshui.terms import MoneyUnit, Rounding, TermError

amounts = st.integers(0, 10**12)


@given(amounts, st.integers(0, 10_000))
def test_a_share_is_the_exact_share_rounded_down(amount: int, bps: int) -> None:
    share = terms.floor_share(amount, bps)
    assert share <= Fraction(amount * bps, 10_000) < share + 1


@given(amounts, st.integers(0, 10**6))
def test_an_amount_is_the_exact_product_rounded_down(milli_card_hours: int, price: int) -> None:
    amount = terms.amount_fen(milli_card_hours, price)
    assert amount <= Fraction(milli_card_hours * price, 1000) < amount + 1


def test_one_and_a_half_card_hours_at_333_fen_cost_499_fen() -> None:
    assert terms.amount_fen(1500, 333) == 499


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**9), min_size=1, max_size=20).filter(any), st.randoms())
def test_a_split_loses_nothing_and_is_fair_whatever_the_order(total: int, weights: list[int], random) -> None:  # type: ignore[no-untyped-def]
    ids = [f"id-{n:02d}" for n in range(len(weights))]
    parts = terms.split_largest_remainder(total, weights, ids)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(total * weight, sum(weights))) < 1
    order = list(range(len(ids)))
    random.shuffle(order)
    shuffled = terms.split_largest_remainder(total, [weights[i] for i in order], [ids[i] for i in order])
    assert shuffled == [parts[i] for i in order]


def test_equal_remainders_go_to_the_smaller_id() -> None:
    assert terms.split_largest_remainder(100, [1, 1, 1], ["c", "a", "b"]) == [33, 34, 33]


def test_the_largest_remainder_comes_before_the_id() -> None:
    # exact shares 0.5 / 0.9 / 1.6 of 3
    assert terms.split_largest_remainder(3, [5, 9, 16], ["a", "b", "c"]) == [0, 1, 2]


@pytest.mark.parametrize(
    ("total", "weights", "ids", "rule"),
    [
        (1, [0, 0], ["a", "b"], "weights_zero"),
        (1, [1, 1], ["a", "a"], "unique"),
        (1, [1, -1], ["a", "b"], "amount_negative"),
        (-1, [1], ["a"], "amount_negative"),
        (1, [1], ["a", "b"], "same_length"),
    ],
)
def test_an_impossible_split_is_refused(total: int, weights: list[int], ids: list[str], rule: str) -> None:
    with pytest.raises(TermError) as caught:
        terms.split_largest_remainder(total, weights, ids)
    assert caught.value.rule == rule


@given(st.integers(-(10**15), 10**15), st.booleans())
def test_yuan_written_are_read_back_to_the_fen(fen: int, grouping: bool) -> None:
    assert terms.parse_money(terms.format_yuan(fen, grouping=grouping), signed=True) == fen


@pytest.mark.parametrize(
    ("text", "unit", "fen"),
    [
        ("12,345.67", MoneyUnit.YUAN, 1_234_567),
        ("0.5", MoneyUnit.YUAN, 50),
        ("¥ 12345", MoneyUnit.YUAN, 1_234_500),
        ("１２，３４５．６７元", MoneyUnit.YUAN, 1_234_567),
        ("1.5", MoneyUnit.WAN_YUAN, 1_500_000),
        ("0.000001", MoneyUnit.WAN_YUAN, 1),
        ("1.5万元", MoneyUnit.YUAN, 1_500_000),
        ("15000元", MoneyUnit.WAN_YUAN, 1_500_000),
        ("7", MoneyUnit.FEN, 7),
    ],
)
def test_amounts_are_read_as_people_write_them(text: str, unit: MoneyUnit, fen: int) -> None:
    assert terms.parse_money(text, unit) == fen


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("12.345", "amount_decimals"),
        ("1.000", "amount_decimals"),
        ("-1", "amount_negative"),
        ("1,2345", "amount_format"),
        ("1e3", "amount_format"),
        ("", "amount_format"),
        ("=1+1", "amount_format"),
        (".5", "amount_format"),
        ("十元", "amount_format"),
        ("99999999999999", "amount_range"),
    ],
)
def test_a_bad_amount_is_refused_and_says_why(text: str, rule: str) -> None:
    with pytest.raises(TermError) as caught:
        terms.parse_yuan(text, field="预算上限")
    assert (caught.value.rule, caught.value.field, caught.value.value) == (rule, "预算上限", text)
    assert "预算上限" in str(caught.value)


@given(st.integers(0, 10**12), st.integers(1, 10**6))
def test_roundings_bracket_the_exact_quotient(numerator: int, denominator: int) -> None:
    exact = Fraction(numerator, denominator)
    assert Rounding.FLOOR.divide(numerator, denominator) <= exact <= Rounding.CEILING.divide(numerator, denominator)
    half_up = Rounding.HALF_UP.divide(numerator, denominator)
    assert -Fraction(1, 2) <= exact - half_up < Fraction(1, 2)
