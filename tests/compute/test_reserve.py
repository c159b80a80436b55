"""The reserve ratio: firm future capacity over balances; its floor; over-subscription."""

from datetime import date

import pytest
from tests.compute.world import NOON, SYSTEM, World, build, party, run

from huoshui.base import clock
from huoshui.base.errors import Refused
from huoshui.compute import accounts, reserve
from huoshui.compute.actions.deposits import Stretch, submit_deposit
from huoshui.compute.models import Recall

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    return build((800_000, 400_000))


def owe(world: World, milli: int) -> None:
    run(lambda act, record: accounts.credit_many(act, record, [(world.entity, milli, date(2026, 9, 1))]))


def test_without_balances_there_is_no_ratio_and_credit_is_open(world: World) -> None:
    with clock.moved_to(NOON):
        assert reserve.ratio_bps() is None
        reserve.require_open()


def test_capacity_counts_what_is_offered_and_not_sold_at_the_mean_price(world: World) -> None:
    deposit = world.offer(10, hours=(0, 20))
    world.give([(0, 4)], [(deposit, 0, 4, 6)])
    with clock.moved_to(NOON):
        # 200 − 24 card-hours at 600 over 800 fen
        assert reserve.firm_capacity() == 176 * 600 * 1000 // 800
        owe(world, 100_000)
        assert reserve.ratio_bps() == 13_200
        reserve.require_open()
    run(
        lambda act, record: Recall.objects.create(
            deposit=deposit, start_hour=world.start + 10, end_hour=world.start + 20, cards=2, reason="recall",
            notice_hours=1, reported_at=act.at, record=record,
        )
    )  # fmt: skip
    with clock.moved_to(NOON):
        assert reserve.firm_capacity() == 156 * 600 * 1000 // 800


def test_hours_that_are_over_do_not_count(world: World) -> None:
    world.offer(10, hours=(0, 20))
    with clock.moved_to(clock.instant_of(world.start + 9)):
        assert reserve.firm_capacity() == 100 * 600 * 1000 // 800


def test_below_the_floor_no_deposit_into_the_account_is_taken(world: World) -> None:
    world.offer(10, hours=(0, 20))
    with clock.moved_to(NOON):
        owe(world, 125_000)
        assert reserve.ratio_bps() == 12_000
        reserve.require_open()
        owe(world, 100)
        with pytest.raises(Refused) as refused:
            submit_deposit(
                SYSTEM, key="d", depositor=world.operator, pool=world.pool, base_price_fen=100, settle_in="account",
                stretches=[Stretch(world.start, world.start + 1, 1)],
            )  # fmt: skip
        assert refused.value.code == "reserve_floor"


def test_over_subscription_tells_the_worst_hour_and_all_hours(world: World) -> None:
    with clock.moved_to(NOON):
        assert reserve.over_subscription() is None
    deposit = world.offer(10, hours=(0, 20))
    world.give([(0, 4)], [(deposit, 0, 4, 6)])
    world.give([(2, 3)], [(deposit, 2, 3, 3)], entity=_rich(world))
    with clock.moved_to(NOON):
        assert reserve.over_subscription() == reserve.OverSubscription(9_000, (24 + 3) * 10_000 // 200)


def _rich(world: World):  # type: ignore[no-untyped-def]
    firm = party("示例富户", "entity")
    world.limit(firm)
    return firm
