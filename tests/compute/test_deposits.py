"""Idle cards are offered by who has them, once, ahead of time, and taken back while nobody needs them."""

from typing import Any

import pytest
from tests.compute import market
from tests.compute.world import NOON, SYSTEM, World, party
from tests.conftest import People

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.base.errors import Forbidden, Invalid, Refused
from huoshui.base.models import LogRecord
from huoshui.compute.actions import deposits
from huoshui.compute.actions.deposits import Stretch, submit_deposit, withdraw_deposit
from huoshui.compute.models import Allocation, Deposit

pytestmark = pytest.mark.django_db


def submit(world: World, *stretches: tuple[int, int, int], actor: Actor = SYSTEM, **changes: Any) -> Deposit:
    """A deposit of the world's operator; stretches count from the first hour of the round."""
    found = [Stretch(world.start + start, world.start + end, cards) for start, end, cards in stretches]
    values = {"depositor": world.operator, "pool": world.pool, "base_price_fen": 300, "stretches": found}
    with clock.moved_to(NOON):
        return submit_deposit(actor, **(values | changes))


def faults(world: World, *stretches: tuple[int, int, int], **changes: Any) -> list[tuple[str, int | None]]:
    before = Deposit.objects.count(), LogRecord.objects.count()
    with pytest.raises(Invalid) as refused:
        submit(world, *stretches, **changes)
    assert (Deposit.objects.count(), LogRecord.objects.count()) == before
    return [(problem.field, problem.row) for problem in refused.value.problems]


def test_an_operator_offers_its_own_cards(world: World, people: People) -> None:
    actor = people("operator", f"party:{world.operator.pk}")
    made = submit(world, (0, 8, 5), (12, 20, 3), actor=actor)
    assert list(made.stretches.order_by("start_hour").values_list("cards", flat=True)) == [5, 3]
    assert LogRecord.objects.get(subject=f"compute.deposit:{made.pk}").action == "compute.deposit.submit"


def test_nobody_offers_for_another(world: World, people: People) -> None:
    other = party("示例乙", "operator")
    for actor in (people("operator", f"party:{other.pk}"), people("auditor"), people.nobody()):
        with pytest.raises(Forbidden):
            submit(world, (0, 8, 5), actor=actor)
    assert faults(world, (0, 8, 5), depositor=other) == [("pool", None)]
    mine = submit(world, (0, 8, 5))
    with pytest.raises(Forbidden):
        withdraw_deposit(people("operator", f"party:{other.pk}"), deposit=mine)


@pytest.mark.parametrize(
    ("stretches", "found"),
    [
        ([(0, 8, 0)], [("cards", 1)]),
        ([(0, 8, -2)], [("cards", 1)]),
        ([(8, 0, 1)], [("end", 1)]),
        ([(8, 8, 1)], [("end", 1)]),
        ([(-30, 8, 1)], [("start", 1)]),
        ([(0, 24 * 400, 1)], [("end", 1)]),
        ([(0, 8, 1), (7, 9, 1)], [("start", 2)]),
        ([(4, 6, 1), (0, 10, 1)], [("start", 1)]),
        ([(0, 8, 1), (8, 9, 0), (9, 9, 1)], [("cards", 2), ("end", 3)]),
        ([(0, 8, 1001)], [("cards", 1)]),
        ([], [("stretches", None)]),
    ],
)
def test_each_bad_stretch_is_named_by_its_row(
    world: World, stretches: list[tuple[int, int, int]], found: list[tuple[str, int | None]]
) -> None:
    assert faults(world, *stretches) == found


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("base_price_fen", -1), ("base_price_fen", deposits.BASE_PRICE_FEN_MAX + 1), ("recall_notice_hours", -1),
        ("recall_notice_hours", 24 * 31), ("settle_in", "coins"),
    ],
)  # fmt: skip
def test_terms_out_of_range_are_named(world: World, field: str, value: Any) -> None:
    assert faults(world, (0, 8, 1), **{field: value}) == [(field, None)]


def test_a_pool_is_not_offered_twice_in_one_hour(world: World) -> None:
    first = submit(world, (0, 8, 600), (8, 16, 900))
    assert faults(world, (6, 10, 101)) == [("cards", 1)]
    submit(world, (6, 10, 100))
    assert faults(world, (7, 8, 301)) == [("cards", 1)]
    withdraw_deposit(SYSTEM, deposit=first)
    submit(world, (7, 8, 900))


def test_withdrawing_twice_is_one_withdrawal_and_what_is_sold_stays(world: World) -> None:
    idle = submit(world, (0, 8, 5))
    withdraw_deposit(SYSTEM, deposit=idle)
    withdraw_deposit(SYSTEM, deposit=idle)
    assert LogRecord.objects.filter(action="compute.deposit.withdraw").count() == 1
    sold = world.offer(2)
    world.give([(2, 8)], [(sold, 2, 8, 2)])
    with pytest.raises(Refused) as refused:
        withdraw_deposit(SYSTEM, deposit=sold)
    assert refused.value.code == "deposit_sold"


def test_a_withdrawn_deposit_is_not_in_the_next_round(world: World) -> None:
    withdrawn, left = world.offer(2), world.offer(1)
    withdraw_deposit(SYSTEM, deposit=withdrawn)
    market.ask(world)
    round_ = market.published(world)
    assert {row.offered_cards for row in round_.slot_prices.all()} == {1}
    assert Allocation.objects.get().shares.get().deposit == left


def test_rented_hours_are_resold_by_their_buyer_in_their_place_once(world: World, people: People) -> None:
    allocation = world.give([(2, 8)], [(world.offer(3), 2, 8, 3)])
    buyer = people("agent", f"party:{world.entity.pk}")
    mine = {"depositor": world.entity, "resold_from": allocation}
    assert faults(world, (0, 4, 1), **mine) == [("start", 1)]
    assert faults(world, (2, 4, 4), **mine) == [("cards", 1)]
    assert faults(world, (2, 4, 1), depositor=world.operator, resold_from=allocation) == [("resold_from", None)]
    submit(world, (2, 6, 2), actor=buyer, **mine)
    assert faults(world, (5, 8, 2), **mine) == [("cards", 1)]
    submit(world, (5, 8, 1), actor=buyer, **mine)
