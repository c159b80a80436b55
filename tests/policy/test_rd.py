"""R&D costs of a year: limits, amortisation to the fen, and the way from the table to facts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huoshui.policy import rd
from huoshui.policy.rd import Asset, Category, Line, Year

WAN = 1_000_000
amounts = st.integers(1, rd.AMOUNT_FEN_MAX)
lines = st.builds(Line, st.sampled_from(["甲", "乙"]), st.sampled_from(Category), amounts, st.booleans())
years = st.builds(Year, st.integers(2020, 2030), st.lists(lines, max_size=30).map(tuple))
assets = st.builds(
    Asset, st.just("软件"), amounts, st.integers(2000, 2020), st.integers(1, 12), st.integers(1, rd.MONTHS_MAX)
)


def line(category: Category, amount_fen: int, **more: Any) -> Line:
    return Line("甲", category, amount_fen, **more)


def test_other_costs_are_limited_to_a_tenth_of_the_total_that_they_are_part_of() -> None:
    """900,000 of own costs admit 100,000 of others: one tenth of 1,000,000."""
    result = rd.collect(Year(2025, (line(Category.PERSONNEL, 90 * WAN), line(Category.OTHER, 15 * WAN))))
    assert result.other_limit_fen == result.other_fen == 10 * WAN
    assert result.expensed_fen == 100 * WAN


def test_entrusted_counts_for_four_fifths_and_abroad_for_at_most_two_thirds_of_what_qualifies_at_home() -> None:
    result = rd.collect(Year(2025, (
        line(Category.DIRECT, 50 * WAN), line(Category.ENTRUSTED, 50 * WAN), line(Category.ABROAD, 100 * WAN),
    )))  # fmt: skip
    assert result.entrusted_fen == 40 * WAN
    assert result.domestic_fen == 90 * WAN
    assert (result.abroad_share_fen, result.abroad_limit_fen, result.abroad_fen) == (80 * WAN, 60 * WAN, 60 * WAN)


def test_capitalised_costs_wait_for_the_asset() -> None:
    result = rd.collect(Year(2025, (line(Category.DIRECT, 7, capitalised=True), line(Category.DIRECT, 3))))
    assert (result.expensed_fen, result.to_assets_fen, result.spent_fen) == (3, 7, 10)
    assert result.projects == (rd.Project("甲", 3, 7),)


def test_an_asset_is_amortised_from_its_first_month_until_the_month_before_it_is_disposed_of() -> None:
    asset = Asset("软件", 1_200_00, 2024, 11, 120)
    assert [rd.amortised_in(asset, year) for year in (2023, 2024, 2025)] == [0, 20_00, 120_00]
    sold = Asset("软件", 1_200_00, 2024, 11, 120, 2025, 3)
    assert rd.amortised_in(sold, 2025) == 20_00
    assert rd.amortised_in(sold, 2026) == 0


@given(assets)
def test_amortisation_sums_to_the_cost_and_is_even_within_a_fen_a_year(asset: Asset) -> None:
    years = [rd.amortised_in(asset, year) for year in range(asset.first_year, asset.first_year + 52)]
    assert sum(years) == asset.cost_fen
    assert min(years) >= 0
    whole = years[1 : asset.months // 12]
    assert all(abs(amount * asset.months - asset.cost_fen * 12) < asset.months for amount in whole)


@given(years)
def test_limits_hold_for_any_costs(year: Year) -> None:
    """Stated as the law does, by cross-multiplication, apart from how the sums are computed."""
    result = rd.collect(year)
    spent = {category: result.sum_of(category) for category in Category}
    assert 10 * result.other_fen <= result.own_fen
    assert result.other_fen == spent[Category.OTHER] or 10 * (result.other_fen + 1) > result.own_fen + 1
    assert 5 * result.entrusted_fen <= 4 * spent[Category.ENTRUSTED]
    assert 3 * result.abroad_fen <= 2 * result.domestic_fen
    assert result.expensed_fen <= sum(spent.values()) == result.spent_fen - result.to_assets_fen
    assert sum(p.expensed_fen + p.capitalised_fen for p in result.projects) == sum(x.amount_fen for x in year.lines)


@given(years, lines)
def test_spending_more_never_qualifies_less(year: Year, more: Line) -> None:
    after = rd.collect(Year(year.year, (*year.lines, more)))
    assert after.expensed_fen >= rd.collect(year).expensed_fen


@pytest.mark.parametrize(
    ("year", "field", "rule"),
    [
        (Year(1999), "year", "year"),
        (Year(2025, (Line(" ", Category.DIRECT, 1),)), "project", "needed"),
        (Year(2025, (line(Category.DIRECT, 0),)), "amount", "amount"),
        (Year(2025, (line(Category.DIRECT, rd.AMOUNT_FEN_MAX + 1),)), "amount", "amount"),
        (Year(2025, (), (Asset("软件", 1, 2026, 1),)), "first", "first"),
        (Year(2025, (), (Asset("软件", 1, 2024, 13),)), "first", "first"),
        (Year(2025, (), (Asset("软件", 1, 2024, 5, 0),)), "months", "months"),
        (Year(2025, (), (Asset("软件", 1, 2024, 5, 120, 2024, 4),)), "last", "last"),
        (Year(2025, (), (Asset("软件", 1, 2024, 5, 120, 2024, None),)), "last", "last"),
        (Year(2025, tuple(line(Category.DIRECT, 1) for _ in range(rd.LINES_MAX + 1))), "lines", "lines_max"),
    ],
)
def test_what_cannot_be_right_is_named(year: Year, field: str, rule: str) -> None:
    assert [(fault.field, fault.rule) for fault in rd.faults(year)] == [(field, rule)]
