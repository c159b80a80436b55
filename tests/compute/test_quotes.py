"""A quote lies between the cheapest and the dearest run that the published prices allow."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.compute import market
from tests.compute.world import HOURS, World, build

from huoshui.base.errors import Invalid
from huoshui.compute import needs, quotes
from huoshui.compute.models import Region, Round, SlotPrice
from huoshui.compute.quotes import Quote, quote, run_costs

Undone = Callable[[], AbstractContextManager[None]]
PRICES = st.lists(st.tuples(st.integers(0, 5_000_000), st.booleans()), min_size=1, max_size=30)


@given(cells=PRICES, need=st.integers(1, 8))
def test_every_unbroken_run_of_open_hours_is_priced(cells: list[tuple[int, bool]], need: int) -> None:
    price, open_ = np.array([p for p, _o in cells], np.int64), np.array([o for _p, o in cells])
    expected = [
        int(price[start : start + need].sum())
        for start in range(len(cells) - need + 1)
        if open_[start : start + need].all()
    ]
    assert run_costs(price, open_, need).tolist() == expected


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    prices=st.lists(st.integers(0, 5_000_000), min_size=1, max_size=12), need=st.integers(1, 48),
    cards=st.integers(1, 100),
)  # fmt: skip
def test_low_is_never_above_high_nor_below_what_the_run_costs(
    prices: list[int], need: int, cards: int, undone: Undone
) -> None:
    with undone():
        world = build(prices)
        found = quote(cards, {world.pool.card_model: need}, [world.region])
    hourly = [prices[hour % len(prices)] for hour in range(HOURS)]
    runs = [sum(hourly[start : start + need]) for start in range(HOURS - need + 1)]
    assert found.low_fen == -(-min(runs) * cards // 1000)
    assert found.low_fen <= (found.high_fen or 0) <= -(-max(runs) * cards // 1000)


@pytest.mark.django_db
def test_the_quote_is_the_cheapest_run_and_the_dearest_tenth_of_the_last_published_round() -> None:
    world = build((800_000, 600_000, 300_000))
    found = quote(2, {world.pool.card_model: 2}, [world.region])
    assert found == Quote(2 * (300 + 600), 2 * (800 + 600), 1)


@pytest.mark.django_db
def test_before_any_round_the_list_price_stands_for_both() -> None:
    world = build()
    Round.objects.update(state=Round.State.CLEARED)
    listed = 3 * 4 * world.pool.list_price_fen
    assert quote(3, {world.pool.card_model: 4}, [world.region]) == Quote(listed, listed, None)
    assert quote(3, {world.pool.card_model: 4}, [Region.objects.create(code="x", name="x")]) == Quote(None, None, None)


@pytest.mark.django_db
def test_nothing_that_suits_is_none_and_never_zero(world: World) -> None:
    model = world.pool.card_model
    assert quote(101, {model: 1}, [world.region]).low_fen is None
    assert quote(1, {model: 49}, [world.region]).low_fen is None
    assert quote(1, {model: 48}, [world.region]).low_fen is not None
    assert quote(1, {model: 1}, [Region.objects.create(code="x", name="x")]).low_fen is None


@pytest.mark.django_db
def test_a_new_round_is_quoted_as_soon_as_it_is_published(world: World) -> None:
    asked = {world.pool.card_model: 4}
    assert quote(1, asked, [world.region]).round == 1
    world.offer(2, base=500)
    market.ask(world, 2, 24, 200_000)
    round_ = market.published(world)
    found = quote(1, asked, [world.region])
    first = SlotPrice.objects.filter(round=round_).order_by("hour").values_list("price_mfen", flat=True)[:4]
    assert (found.round, found.low_fen) == (round_.number, sum(first) // 1000)


@pytest.mark.django_db
def test_a_quote_asks_the_database_once(world: World) -> None:
    quote(1, {world.pool.card_model: 1}, [world.region])
    with CaptureQueriesContext(connection) as asked:
        quote(2, {world.pool.card_model: 3}, [world.region])
    assert len(asked) == 1


@pytest.mark.django_db
def test_an_estimate_is_priced_on_every_model_cheapest_first(world: World) -> None:
    rows = quotes.priced(needs.Task(needs.Kind.LORA_TUNE, 7_000, 20_000))
    assert [row["model"] for row in rows] == [world.pool.card_model.code]
    assert rows[0]["low_fen"] == rows[0]["cards"] * rows[0]["hours"] * 800


@pytest.mark.django_db
def test_an_estimate_out_of_range_names_the_field(world: World) -> None:
    with pytest.raises(Invalid) as refused:
        quotes.priced(needs.Task(needs.Kind.LORA_TUNE, 10**10, 20_000))
    assert [problem.field for problem in refused.value.problems] == ["parameters_million"]
