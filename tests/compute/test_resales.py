"""Cards that are passed on must exist and be paid for: what a reseller can still give up, and what it cannot."""

import pytest
from tests.compute.world import SYSTEM, World, moment, party

from huoshui.base import clock
from huoshui.base.errors import Invalid, Refused
from huoshui.book import services
from huoshui.compute.actions import allocations, delivery
from huoshui.compute.actions.deposits import Stretch, submit_deposit, withdraw_deposit
from huoshui.compute.models import Allocation, Deposit


def rented(world: World) -> Allocation:
    return world.give([(2, 8)], [(world.offer(4), 2, 8, 4)])


def resell(world: World, allocation: Allocation, start: int, end: int) -> Deposit:
    stretch = Stretch(world.start + start, world.start + end, 4)
    made: Deposit = submit_deposit(
        SYSTEM, depositor=world.entity, pool=world.pool, stretches=[stretch], base_price_fen=1, energy=False,
        resold_from=allocation,
    )  # fmt: skip
    world.deposits.append(made)
    return made


def test_hours_on_offer_again_cannot_be_given_up_until_the_offer_is_withdrawn(world: World) -> None:
    allocation = rented(world)
    with clock.moved_to(moment(world, 0)):
        resale = resell(world, allocation, 4, 8)
        with pytest.raises(Refused) as refused:
            allocations.cancel_allocation(SYSTEM, allocation=allocation)
        assert refused.value.code == "hours_resold"
        withdraw_deposit(SYSTEM, deposit=resale)
        allocations.cancel_allocation(SYSTEM, allocation=allocation)


def test_unsold_hours_on_offer_again_are_not_freed_early(world: World) -> None:
    allocation = rented(world)
    with clock.moved_to(moment(world, 0)):
        resell(world, allocation, 6, 8)
    with clock.moved_to(moment(world, 3)), pytest.raises(Refused) as refused:
        allocations.finish_early(SYSTEM, allocation=allocation, hour=world.start + 4)
    assert refused.value.code == "hours_resold"


def test_a_spending_cap_cannot_keep_hours_on_offer_again_from_being_billed(world: World) -> None:
    allocation = rented(world)
    with clock.moved_to(moment(world, 0)):
        resale = resell(world, allocation, 4, 8)
        with pytest.raises(Invalid):
            allocations.set_spending_cap(SYSTEM, allocation=allocation, cap_fen=allocation.payment_fen - 1)
    buyer = party("示例买方", "entity")
    world.limit(buyer)
    world.give([(4, 8)], [(resale, 4, 8, 4)], entity=buyer)
    with clock.moved_to(moment(world, 9)):
        delivery.report_delivery(
            SYSTEM, allocation=allocation, start_hour=world.start + 2, end_hour=world.start + 4, milli_card_hours=8_000
        )
        statement = delivery.settle_allocation(SYSTEM, allocation=allocation)
    assert statement is not None
    assert services.statement_total(statement) == allocation.payment_fen


def test_what_stops_at_a_cap_cannot_be_resold(world: World) -> None:
    allocation = rented(world)
    with clock.moved_to(moment(world, 0)):
        allocations.set_spending_cap(SYSTEM, allocation=allocation, cap_fen=0)
        with pytest.raises(Invalid) as refused:
            resell(world, allocation, 4, 8)
    assert [problem.field for problem in refused.value.problems] == ["resold_from"]
