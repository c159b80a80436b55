"""The per-request oracle is exact: it finds the cheapest hours that exist."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.clearing.rounds import hour_choices

from huoshui.clearing.capacity.oracle import FAR, cheapest_hours, new_scratch

PRICES = st.lists(st.one_of(st.integers(0, 9), st.just(FAR)), min_size=1, max_size=11)


@settings(max_examples=50, deadline=None)
@given(PRICES, st.integers(1, 6), st.integers(0, 4), st.integers(1, 40))
def test_cheapest_hours_equals_trying_everything(prices: list[int], need: int, min_piece: int, limit: int) -> None:
    if need > len(prices):
        return
    scratch = new_scratch(len(prices))
    scratch.price[:] = prices
    choices = hour_choices(range(len(prices)), need, min_piece)
    costs = [sum(prices[t] for t in choice) for choice in choices if all(prices[t] < FAR for t in choice)]
    least = min(costs, default=FAR)
    found = cheapest_hours(scratch, len(prices), need, min_piece, limit)
    assert found == (least if least < limit else FAR)
    if found < FAR:
        taken = tuple(scratch.taken[:need].tolist())
        assert taken in choices
        assert sum(np.array(prices)[list(taken)]) == found
