"""A whole round: frozen, solved, recorded, published. What everybody pays, keeps and gets back adds up to the fen."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest
from django.db.models import F, Sum
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.compute import market
from tests.compute.market import ask, cleared, frozen, opened, published, solved
from tests.compute.world import LIMIT_FEN, NOON, SYSTEM, World, build, moment, party
from tests.conftest import People

from huoshui.base import clock, log
from huoshui.base.errors import Conflict, Forbidden, Invalid, Missing, Refused
from huoshui.base.models import LogRecord
from huoshui.book import services
from huoshui.clearing import capacity
from huoshui.compute import allocate, public
from huoshui.compute.actions import deposits, rounds
from huoshui.compute.actions.recalls import recall_cards
from huoshui.compute.actions.requests import withdraw_request
from huoshui.compute.models import Allocation, Deposit, Request, Round, Run, Share, SlotPrice
from huoshui.registry.models import Party

Undone = Callable[[], AbstractContextManager[None]]


def competition(world: World) -> list[Request]:
    """Two cards, three requests that each want both of them for half of the day, and one that asks for too much."""
    world.offer(2, hours=(0, 24), base=500)
    return [
        ask(world, 2, 12, 60_000), ask(world, 2, 12, 40_000), ask(world, 2, 12, 20_000), ask(world, 3, 2, 50_000),
    ]  # fmt: skip


# --- publication ------------------------------------------------------------------------------------------------------


def test_the_most_valuable_requests_are_served_and_the_others_know_why(world: World) -> None:
    best, second, third, wide = competition(world)
    round_ = published(world)
    states = [Request.objects.get(pk=row.pk).state for row in (best, second, third, wide)]
    assert states == ["served", "served", "refused", "refused"]
    third.refresh_from_db()
    wide.refresh_from_db()
    assert third.refusal is not None
    assert third.refusal["round"] == round_.number
    assert third.refusal["code"] in ("price", "missed", "budget")
    assert wide.refusal is not None
    assert wide.refusal["code"] == "no_capacity"


def test_what_is_committed_is_the_payment_and_the_rest_of_every_hold_comes_back(world: World) -> None:
    asked = competition(world)
    before = services.balances(world.entity)
    assert before["held"] == sum(row.budget_fen for row in asked)
    round_ = published(world)
    after = services.balances(world.entity)
    paid = sum(round_.allocations.values_list("payment_fen", flat=True))
    assert (after["held"], after["committed"], after["limit"]) == (0, paid, LIMIT_FEN - paid)
    assert paid == round_.figures["paid_fen"]


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    offers=st.lists(
        st.tuples(st.integers(1, 4), st.integers(0, 12), st.integers(1, 12), st.integers(50, 900)),
        min_size=1, max_size=3,
    ),
    asks=st.lists(
        st.tuples(
            st.integers(1, 4), st.integers(1, 8), st.integers(1_000, 90_000), st.integers(0, 12), st.booleans(),
            st.booleans(),
        ),
        max_size=7,
    ),
)  # fmt: skip
def test_every_small_round_adds_up(offers: list[tuple[int, ...]], asks: list[tuple[int, ...]], undone: Undone) -> None:
    with undone():
        world = build()
        other = party("示例乙", "entity")
        world.limit(other)
        for cards, start, hours, base in offers:
            world.offer(cards, hours=(start, start + hours), base=base)
        for cards, hours, budget, start, whole, mine in asks:
            ask(
                world, cards, hours, budget, (start, 24), entity=world.entity if mine else other,
                mode="rigid" if whole else "preemptible", min_piece_hours=0 if whole else 1,
            )  # fmt: skip
        round_ = published(world)
        adds_up(world, round_)
        assert public.verify(round_) == []
        assert services.check_zero() == services.replay() == log.replay() == []


def adds_up(world: World, round_: Round) -> None:
    """What is published, written, held and returned tells one story."""
    problem, result = public.stored(round_)
    prices = {(row.pool_id, row.hour): row for row in SlotPrice.objects.filter(round=round_)}
    told = round_.figures
    committed: dict[int, int] = {}
    for row in round_.allocations.select_related("request"):
        runs = [(run.start_hour, run.end_hour) for run in row.runs.all()]
        assert all(row.request.earliest_hour <= start < end <= row.request.deadline_hour for start, end in runs)
        hours = [hour for start, end in runs for hour in range(start, end)]
        assert len(hours) == row.request.models.get().hours
        gross = row.request.cards * sum(prices[row.pool_id, hour].price_mfen for hour in hours)
        assert gross % 1000 == 0
        assert row.concession_fen == gross // 1000 * 200 // 10_000
        assert row.payment_fen == gross // 1000 + row.transfer_fen - row.concession_fen <= row.request.budget_fen
        by_hour = row.shares.values_list("start_hour", "end_hour", "cards")
        assert all(sum(n for first, last, n in by_hour if first <= hour < last) == row.request.cards for hour in hours)
        committed[row.request.entity_id] = committed.get(row.request.entity_id, 0) + row.payment_fen
    assert sum(committed.values()) == told["paid_fen"]
    assert told["paid_fen"] == told["sellers_fen"] + told["carriers_fen"] + told["fee_fen"]
    budgets = Request.objects.values_list("entity").annotate(all=Sum("budget_fen"))
    for entity, there in budgets:
        found = services.balances(Party.objects.get(pk=entity))
        assert found["held"] == 0
        assert found["committed"] == committed.get(entity, 0) <= there
        assert found["limit"] == LIMIT_FEN - found["committed"]
    sold = np.zeros(result.deposit_sold.shape, np.int64)
    place = {number: index for index, number in enumerate(problem.deposit_id)}
    for share in Share.objects.select_related("deposit").filter(allocation__round=round_):
        sold[place[share.deposit.number], share.start_hour - world.start : share.end_hour - world.start] += share.cards
    assert (sold == result.deposit_sold).all()
    assert sum(row.sold_cards for row in prices.values()) == told["sold_card_hours"] == sold.sum()
    assert not Request.objects.filter(state=Request.State.IN_ROUND).exists()


def test_the_cheapest_deposit_serves_first_and_then_the_earlier_one(world: World) -> None:
    dear, early, late = world.offer(1, base=600), world.offer(1, base=300), world.offer(1, base=300)
    ask(world, 1, 24, 200_000)
    ask(world, 1, 24, 200_000)
    published(world)
    used = {share.deposit_id: share.cards * (share.end_hour - share.start_hour) for share in Share.objects.all()}
    assert used == {early.pk: 24, late.pk: 24}
    assert dear.pk not in used


@pytest.mark.parametrize("concession", ["0", "300"])
def test_what_the_platform_gives_up_never_changes_who_wins(db: None, concession: str) -> None:
    world = build(concession_bps=concession)
    competition(world)
    round_ = published(world)
    _problem, result = public.stored(round_)
    plain = capacity.clear(_problem, options=market_options(round_))
    assert result.served.tolist() == plain.served.tolist() == [True, True, False, False]
    assert (result.slot_price == plain.slot_price).all()
    assert round_.figures["fee_fen"] == round_.figures["paid_fen"] - round_.figures["sellers_fen"]
    assert (round_.figures["concession_fen"] > 0) == (concession == "300")


def market_options(round_: Round) -> capacity.Options:
    """Options that know neither fee nor concession."""
    return capacity.Options.for_size(1, **market.TINY, reserved_share_bps=1500)


def test_a_request_that_tries_again_keeps_its_hold_and_waits_for_the_next_round(world: World) -> None:
    world.offer(1, base=500)
    again = ask(world, 1, 4, 800, window=(0, 40), carry_over=True)
    never = ask(world, 1, 4, 900, window=(0, 24), carry_over=True)
    round_ = published(world)
    again.refresh_from_db()
    never.refresh_from_db()
    assert (again.state, again.round, never.state, never.round) == ("open", None, "refused", round_)
    assert again.refusal is not None
    assert services.balances(world.entity)["held"] == again.budget_fen


# --- what may be done when --------------------------------------------------------------------------------------------


def test_publishing_twice_under_one_key_has_one_effect(world: World) -> None:
    competition(world)
    round_ = cleared(world)
    first, second = market.publish(round_, "p"), market.publish(round_, "p")
    assert first == second
    assert LogRecord.objects.filter(action="compute.round.publish").count() == 1
    assert services.check_zero() == services.replay() == []


def test_a_second_officer_is_told_that_it_is_done(world: World, people: People) -> None:
    competition(world)
    round_ = cleared(world)
    market.publish(round_)
    with clock.moved_to(NOON), pytest.raises(Refused) as refused:
        rounds.publish(people("officer"), key="mine", round=round_)
    assert refused.value.code == "round_state"
    assert Allocation.objects.count() == 2


def test_only_an_officer_publishes(world: World, people: People) -> None:
    competition(world)
    round_ = cleared(world)
    for role, scope in (("auditor", "*"), ("operator", f"party:{world.operator.pk}"), ("administrator", "*")):
        with clock.moved_to(NOON), pytest.raises(Forbidden):
            rounds.publish(people(role, scope), key="mine", round=round_)
    assert Round.objects.get(pk=round_.pk).state == Round.State.CLEARED


def test_a_draft_cannot_be_published_nor_a_round_whose_hours_have_begun(world: World) -> None:
    competition(world)
    with pytest.raises(Refused) as refused:
        market.publish(frozen(world))
    assert refused.value.code == "round_state"
    Round.objects.filter(state="draft").update(state="cancelled")
    Request.objects.update(state="open", round=None)
    round_ = cleared(world)
    with clock.moved_to(moment(world, 0)), pytest.raises(Refused) as refused:
        rounds.publish(SYSTEM, key="late", round=round_)
    assert refused.value.code == "round_begun"


def test_nothing_on_offer_is_said_and_no_request_is_taken(world: World) -> None:
    asked = ask(world)
    with pytest.raises(Missing):
        frozen(world)
    asked.refresh_from_db()
    assert (asked.state, asked.round) == ("open", None)


def test_a_request_in_a_round_cannot_be_withdrawn_and_a_cancelled_round_gives_it_free(world: World) -> None:
    asked = competition(world)[0]
    round_ = cleared(world)
    with pytest.raises(Refused) as refused:
        withdraw_request(SYSTEM, request=asked)
    assert refused.value.code == "request_not_open"
    rounds.reopen(SYSTEM, round=round_)
    withdraw_request(SYSTEM, request=asked)
    assert services.balances(world.entity)["held"] == 110_000


def test_two_rounds_over_the_same_hours_do_not_sell_the_same_cards(world: World) -> None:
    competition(world)
    first = frozen(world)
    ask(world, 1, 2)
    with pytest.raises(Refused) as refused:
        frozen(world)
    assert refused.value.code == "round_rival"
    rounds.reopen(SYSTEM, round=first)
    assert published(world).figures["requests"] == 5


def test_what_is_left_of_a_round_is_offered_in_the_next_over_the_same_hours(world: World) -> None:
    world.offer(3)
    ask(world, 2, 24, 200_000)
    published(world)
    ask(world, 1, 24, 100_000)
    second = published(world)
    assert {row.offered_cards for row in second.slot_prices.all()} == {1}


def test_a_deposit_is_not_withdrawn_while_a_round_is_being_cleared(world: World) -> None:
    competition(world)
    round_ = cleared(world)
    deposit = world.deposits[0]
    with pytest.raises(Refused) as refused:
        deposits.withdraw_deposit(SYSTEM, deposit=deposit)
    assert refused.value.code == "in_round"
    rounds.reopen(SYSTEM, round=round_)
    assert deposits.withdraw_deposit(SYSTEM, deposit=deposit).state == Deposit.State.WITHDRAWN


def test_cards_that_failed_since_the_freeze_are_not_sold(world: World) -> None:
    competition(world)
    round_ = cleared(world)
    with clock.moved_to(NOON):
        recall_cards(
            SYSTEM, deposit=world.deposits[0], start_hour=world.start, end_hour=world.start + 1, cards=1,
            reason="failure",
        )  # fmt: skip
    with pytest.raises(Refused) as refused:
        market.publish(round_)
    assert refused.value.code == "offers_gone"
    assert refused.value.params == {"deposits": [world.deposits[0].number]}
    assert Allocation.objects.count() == 0
    rounds.reopen(SYSTEM, round=round_)
    again = published(world)
    assert again.slot_prices.get(hour=world.start).offered_cards == 1


def test_a_result_of_another_problem_or_a_second_result_is_not_recorded(world: World) -> None:
    competition(world)
    round_ = cleared(world)
    content, figures = solved(round_)
    with pytest.raises(Conflict):
        rounds.record_result(
            SYSTEM, key=f"round/{round_.pk}/result", round=round_, content=content, figures=figures | {"served": 0}
        )
    with pytest.raises(Refused) as refused:
        rounds.record_result(SYSTEM, key="other", round=round_, content=content, figures=figures)
    assert refused.value.code == "round_state"


def test_a_round_is_settled_only_when_everything_in_it_is_finished(world: World) -> None:
    competition(world)
    round_ = published(world)
    with pytest.raises(Refused) as refused:
        rounds.settle(SYSTEM, key="s", round=round_)
    assert refused.value.code == "round_unfinished"
    round_.allocations.update(state=Allocation.State.FINISHED)
    assert rounds.settle(SYSTEM, key="s", round=round_).state == Round.State.SETTLED


@pytest.mark.parametrize(
    ("start", "hours", "field"), [(0, 23, "hours"), (0, 673, "hours"), (-12, 24, "start"), (-100, 24, "start")]
)
def test_a_round_lies_ahead_and_lasts_a_day_to_four_weeks(world: World, start: int, hours: int, field: str) -> None:
    with clock.moved_to(NOON), pytest.raises(Invalid) as refused:
        rounds.open_round(SYSTEM, title="x", start_hour=world.start + start, hours=hours, terms=market.TERMS)
    assert [problem.field for problem in refused.value.problems] == [field]


def test_a_stopped_clearing_keeps_a_verified_result(world: World) -> None:
    competition(world)
    round_ = frozen(world, bound_steps=5_000)
    seen: list[str] = []

    def stop_at_once(phase: str, *_numbers: int, **_figures: int) -> bool:
        seen.append(phase)
        return False

    content, figures = solved(round_, stop_at_once)
    assert seen
    with clock.moved_to(NOON):
        rounds.record_result(SYSTEM, key="r", round=round_, content=content, figures=figures)
    round_.refresh_from_db()
    assert public.verify(round_) == []
    adds_up(world, market.publish(round_))


def test_runs_and_shares_are_equal_stretches_and_hours_that_follow_each_other(world: World) -> None:
    world.offer(2, hours=(0, 24))
    ask(world, 2, 6, 100_000, mode="preemptible", min_piece_hours=2)
    published(world)
    runs = Run.objects.annotate(hours=F("end_hour") - F("start_hour"))
    assert all(run.hours >= 2 for run in runs)
    assert sum(run.hours for run in runs) == 6
    assert list(allocate.stretches({3: 1, 4: 1, 5: 2, 8: 2})) == [(3, 5, 1), (5, 6, 2), (8, 9, 2)]


def test_draft_rounds_are_numbered_in_order(world: World) -> None:
    assert [opened(world).number for _time in range(2)] == [2, 3]
