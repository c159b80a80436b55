"""The desk's indicators say what happened, and say nothing when nothing did."""

from collections.abc import Callable
from datetime import datetime

import pytest
from tests.compute.world import SYSTEM, World, build, moment

from huoshui.base import clock
from huoshui.compute import indicators
from huoshui.compute.actions import delivery
from huoshui.indicators import catalogue

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    return build((800_000,))


@pytest.mark.parametrize(
    "compute",
    [
        indicators.reserve_ratio, indicators.over_subscription, indicators.utilisation, indicators.delivered,
        indicators.served, indicators.small_share, indicators.domestic_share,
    ],
)  # fmt: skip
def test_before_anything_happened_there_is_no_data(compute: Callable[[datetime], int | None]) -> None:
    assert compute(clock.now()) is None


def test_what_happened_is_counted(world: World) -> None:
    small = world.give([(2, 8)], [(world.offer(4), 2, 8, 4)])
    world.give([(0, 20)], [(world.offer(8), 0, 20, 8)])
    with clock.moved_to(moment(world, 9)):
        delivery.report_delivery(
            SYSTEM, allocation=small, start_hour=world.start + 2, end_hour=world.start + 8, milli_card_hours=18_000
        )
    assert indicators.utilisation(moment(world, 24)) == 0
    assert indicators.delivered(moment(world, 24 + 72)) == 18 * 10_000 // 184
    with clock.moved_to(moment(world, 9)):
        now = clock.now()
        assert indicators.served(now) == 10_000
        assert indicators.small_share(now) == 24 * 10_000 // 184
        assert indicators.domestic_share(now) == 10_000
        assert indicators.over_subscription(now) == 8 * 10_000 // 12


def test_all_are_in_the_catalogue_with_a_published_rule_or_none() -> None:
    mine = [row for row in catalogue.registered() if row.code.startswith("compute.")]
    assert len(mine) == 7
    assert all(row.rule_words for row in mine)
