"""A quote is the cheapest placement in free capacity at slot prices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.clearing.rounds import hour_choices, make_round

from huoshui.clearing.capacity import Ask, Market, Options, clear, quote


def make_market(seed: int) -> Market:
    g = np.random.default_rng(seed)
    pools = (np.array([0, 1, 0], np.int32), np.array([0, 0, 1], np.int32))
    return Market(*pools, g.integers(1, 30, (3, 12)), g.integers(0, 4, (3, 12)))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 999), st.integers(1, 3), st.integers(0, 3), st.integers(1, 5), st.integers(1, 5))
def test_a_quote_equals_trying_everything(seed: int, cards: int, min_piece: int, hours_a: int, hours_b: int) -> None:
    market, transfer = make_market(seed), (3, 7)
    lead = (0, 2)
    ask = Ask(cards, np.array([hours_a, hours_b]), 1, 11, np.array(lead), np.array(transfer), min_piece)
    costs = []
    for p in range(3):
        need, region = (hours_a, hours_b)[market.pool_model[p]], market.pool_region[p]
        for hours in hour_choices(range(1 + lead[region], 11), need, min_piece):
            if (market.free[p, list(hours)] >= cards).all():
                costs.append(int(market.slot_price[p, list(hours)].sum()) * cards + transfer[region])
    found = quote(market, ask)
    if not costs:
        assert found is None
        return
    assert found is not None
    assert found.low == min(costs) <= found.high
    paid = sum(int(market.slot_price[found.pool, a:b].sum()) for a, b in found.runs)
    assert paid * cards + transfer[market.pool_region[found.pool]] == found.low


def test_the_market_after_a_round_offers_what_it_left() -> None:
    problem = make_round(3, requests=30)
    result = clear(problem, options=Options(bound_steps=20, place_passes=1, place_moves=50, price_steps=3))
    market = Market.after(problem, result)
    assert market.free.sum() == problem.deposit_cards.sum() - result.deposit_sold.sum()
    assert (market.free >= 0).all()


def test_an_inverted_window_is_refused() -> None:
    with pytest.raises(ValueError, match="window must lie in"):
        quote(make_market(1), Ask(1, np.array([1, 1]), 5, 5, np.zeros(2), np.zeros(2)))
