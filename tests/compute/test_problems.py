"""From tables to the arrays of a round: what is offered, at what reserve, and what is asked."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.compute import market
from tests.compute.market import ask, opened
from tests.compute.world import NOON, SYSTEM, World, build, moment, publish

from huoshui import publications, terms
from huoshui.base import access, clock
from huoshui.clearing.capacity.problem import PRICE_MAX
from huoshui.compute import problems
from huoshui.compute.actions.allocations import cancel_allocation
from huoshui.compute.actions.recalls import recall_cards
from huoshui.compute.models import Deposit, Region, Request, Site
from huoshui.registry import actions as registry
from huoshui.terms import RoundTerms

TERMS: RoundTerms = terms.load(publications.shipped("round_terms")["round_terms/demo-2026.yaml"])[1]


# --- reserve prices ---------------------------------------------------------------------------------------------------


@given(net=st.integers(0, 10**8), fee=st.integers(0, 9_000), step=st.sampled_from([1, 7, 100, 1000]))
def test_after_the_fee_the_depositor_has_its_reserve_and_a_step_less_would_not_do(
    net: int, fee: int, step: int
) -> None:
    agreed = replace(TERMS, fee_bps=fee, price_step=step)
    gross = int(problems.gross_reserve_mfen(np.array([net], np.int64), agreed)[0])
    left = 10_000 - fee
    assert gross % step == 0
    assert gross * left >= net * 10_000
    assert gross == 0 or (gross - step) * left < net * 10_000


def with_tariff(world: World, name: str) -> Site:
    with clock.moved_to(NOON):
        publish("tariff", name)
    world.pool.site.tariff = f"tariff-{name}"
    world.pool.site.save()
    return world.pool.site


@pytest.mark.django_db
def test_energy_is_power_times_pue_times_the_tariff_of_the_hour(world: World) -> None:
    site = with_tariff(world, "guangdong-2021")
    hours = np.arange(world.start, world.start + 24, dtype=np.int64)
    energy = problems.energy_price_mfen(site, world.pool.card_model, hours)
    tariff = problems.publication_in_force("tariff", site.tariff, clock.local(NOON).date()).loaded()
    kwh = Fraction(world.pool.card_model.watts, 1000) * Fraction(site.pue_bps, 10_000)
    for hour, price in zip(hours.tolist(), energy.tolist(), strict=True):
        exact = kwh * int(tariff.hourly_prices([hour], problems.calendar())[0])
        assert exact <= price < exact + 1
    assert len(set(energy.tolist())) > 1


@pytest.mark.django_db
def test_a_tariff_that_changes_within_a_round_holds_from_its_first_day(world: World) -> None:
    site = with_tariff(world, "guangdong-2021")
    text = publications.shipped("tariff")["tariff/guangdong-2021.yaml"]
    since = next(line for line in text.splitlines() if line.startswith("effective_from:"))
    price = next(line for line in text.splitlines() if line.startswith("  flat_price:"))
    text = text.replace(since, "effective_from: 2026-03-04").replace(price, "  flat_price: 140000")
    with clock.moved_to(NOON):
        later = registry.submit_publication(access.system("first"), text=text)
        registry.review_publication(access.system("second"), publication=later)
        registry.activate_publication(access.system("second"), publication=later)
    hours = np.arange(world.start, world.start + 48, dtype=np.int64)
    both = problems.energy_price_mfen(site, world.pool.card_model, hours)
    first, second = (problems.energy_price_mfen(site, world.pool.card_model, part) for part in (hours[:24], hours[24:]))
    assert both.tolist() == [*first.tolist(), *second.tolist()]
    assert (second > first).all()


@pytest.mark.django_db
def test_a_deposit_with_energy_asks_for_base_and_energy_before_the_fee(world: World) -> None:
    site = with_tariff(world, "guangdong-2021")
    plain = world.offer(1, base=300)
    with_energy = world.offer(1, base=300)
    Deposit.objects.filter(pk=with_energy.pk).update(energy=True)
    round_ = opened(world)
    reserve = problems.build(round_).problem.deposit_reserve
    energy = problems.energy_price_mfen(site, world.pool.card_model, np.arange(world.start, world.start + 24))
    agreed = problems.terms_of(round_)
    assert plain.number < with_energy.number
    assert set(reserve[0].tolist()) == {310_000}, "300 fen are 309.28 before a fee of 3 %, rounded up to whole fen"
    assert reserve[1].tolist() == problems.gross_reserve_mfen(300_000 + energy, agreed).tolist()


@pytest.mark.django_db
def test_a_reserve_above_every_possible_price_offers_nothing_and_does_not_block_the_round(world: World) -> None:
    world.offer(2, base=PRICE_MAX // 1000)
    world.offer(1, base=100)
    problem = problems.build(opened(world)).problem
    assert problem.deposit_cards.max(axis=1).tolist() == [0, 1]


# --- free cards -------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_sold_and_recalled_cards_are_not_on_offer_and_cancelled_ones_are_again(world: World) -> None:
    deposit = world.offer(5, hours=(0, 24))
    allocation = world.give([(2, 8)], [(deposit, 2, 8, 2)])
    with clock.moved_to(NOON):
        recall_cards(
            SYSTEM, deposit=deposit, start_hour=world.start + 8, end_hour=world.start + 10, cards=1, reason="failure"
        )
    free = problems.free_cards([deposit], world.start, world.start + 12)
    assert free.tolist() == [[5, 5, 3, 3, 3, 3, 3, 3, 4, 4, 5, 5]]
    with clock.moved_to(moment(world, 0)):
        cancel_allocation(SYSTEM, allocation=allocation)
    assert problems.free_cards([deposit], world.start, world.start + 12).tolist() == [[5] * 8 + [4] * 2 + [5] * 2]


@pytest.mark.django_db
def test_only_open_deposits_within_the_hours_are_offered(world: World) -> None:
    inside = world.offer(1, hours=(23, 30))
    world.offer(1, hours=(24, 30))
    withdrawn = world.offer(1, hours=(0, 24))
    Deposit.objects.filter(pk=withdrawn.pk).update(state="withdrawn")
    built = problems.build(opened(world))
    assert built.deposits == [inside]
    assert built.problem.deposit_cards.tolist() == [[0] * 23 + [1]]


# --- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_small_requests_priority_and_transfers_come_from_the_terms() -> None:
    world = build(small_request_card_hours="64")
    south, moon = (Region.objects.create(code=code, name=code) for code in ("south", "moon"))
    world.offer(20)
    asked = [ask(world, 8, 8), ask(world, 13, 5), ask(world, 1, 4, regions=[south, moon], origin=world.region)]
    Request.objects.filter(pk=asked[1].pk).update(priority=0)
    round_ = market.frozen(world)
    problem = problems.build(round_).problem
    assert problem.small.tolist() == [True, False, True]
    assert problem.priority.tolist() == [1, 0, 1]
    assert problem.regions == ("east", "south", "moon")
    assert problem.lead_hours.tolist() == [[0, -1, -1], [0, -1, -1], [-1, 2, -1]]
    assert problem.transfer_cost[2].tolist() == [0, 3_000_000, 0]


@pytest.mark.django_db
def test_windows_are_cut_to_the_round_and_budgets_are_thousandths_of_fen(world: World) -> None:
    world.offer(1)
    ask(world, window=(-6, 12), budget_fen=12_345)
    ask(world, window=(20, 40), hours=3, mode="preemptible", min_piece_hours=2)
    ask(world, window=(24, 40))
    problem = problems.build(market.frozen(world)).problem
    assert (problem.earliest.tolist(), problem.deadline.tolist()) == ([0, 20], [12, 24])
    assert problem.budget.tolist() == [12_345_000, 100_000_000]
    assert (problem.preemptible.tolist(), problem.min_piece.tolist()) == ([False, True], [0, 2])


@pytest.mark.django_db
def test_a_stored_problem_finds_its_rows_again(world: World) -> None:
    world.offer(1)
    world.offer(2)
    ask(world)
    built = problems.build(market.frozen(world))
    again = problems.restore(built.problem)
    assert (again.pools, again.deposits, again.requests) == (built.pools, built.deposits, built.requests)


def test_the_terms_are_those_under_which_the_round_was_opened(world: World) -> None:
    assert problems.terms_of(opened(world)).id == market.TERMS
