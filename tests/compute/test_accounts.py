"""Compute accounts: credit on accepted statements, withdrawal, transfer, expiry; every posting sums to zero."""

from contextlib import suppress
from datetime import date, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from tests.compute.world import NOON, SYSTEM, World, build, moment, party, run

from huoshui.base import clock
from huoshui.base.errors import Forbidden, Invalid, Refused
from huoshui.book import actions as book
from huoshui.book import ledger, services
from huoshui.book.models import Kind, Statement
from huoshui.compute import accounts, settle
from huoshui.compute.actions import accounts as actions
from huoshui.compute.actions import allocations, delivery
from huoshui.compute.actions.requests import submit_request, withdraw_request
from huoshui.compute.models import Allocation, Request, Round
from huoshui.registry.models import Party

pytestmark = pytest.mark.django_db
SOON, LATER = date(2026, 4, 1), date(2026, 9, 1)


@pytest.fixture
def world() -> World:
    return build((800_000, 600_000, 300_000), reserve_ratio_floor_bps="0")


def credit(firm: Party, milli: int, day: date = LATER) -> None:
    run(lambda act, record: accounts.credit_many(act, record, [(firm, milli, day)]))


def deliver(world: World, allocation: Allocation, start: int, end: int) -> Statement:
    """Everything is reported as delivered and settled."""
    with clock.moved_to(moment(world, end + 1)):
        delivery.report_delivery(
            SYSTEM, allocation=allocation, start_hour=world.start + start, end_hour=world.start + end,
            milli_card_hours=(end - start) * allocation.request.cards * 1000,
        )  # fmt: skip
        statement = delivery.settle_allocation(SYSTEM, key=f"settle/{allocation.pk}", allocation=allocation)
    assert statement is not None
    return statement


def accept(world: World, statement: Statement, hour: float = 30) -> None:
    with clock.moved_to(moment(world, hour)):
        book.accept(SYSTEM, statement=statement)


def reserved(firm: Party, kind: Kind) -> int:
    return services.balances(firm, services.SCH)[kind]


def test_a_depositor_is_credited_when_the_statement_is_accepted(world: World) -> None:
    saver = party("示例存户", "entity")
    deposit = world.offer(4, saver, settle_in="account")
    allocation = world.give([(0, 3)], [(deposit, 0, 3, 4)])
    statement = deliver(world, allocation, 0, 3)
    assert accounts.balances(saver) == {}
    accept(world, statement)
    standard = 4 * (800 + 600 + 300) * 1000 // 800
    expires = clock.local(moment(world, 30)).date() + timedelta(days=180)
    assert accounts.balances(saver) == {expires: standard}
    assert accounts.outstanding() == standard
    assert services.by_payee(statement) == {world.centre.pk: allocation.payment_fen}
    assert ledger.replay() == []


def test_what_a_contest_gives_back_is_not_credited(world: World) -> None:
    saver = party("示例存户", "entity")
    allocation = world.give([(0, 1)], [(world.offer(4, saver, settle_in="account"), 0, 1, 4)])
    statement = deliver(world, allocation, 0, 1)
    with clock.moved_to(moment(world, 30)):
        book.contest(SYSTEM, statement=statement, reason="少用了一张卡")
        statement.refresh_from_db()
        book.answer(SYSTEM, statement=statement, reason="属实", credits={1: 800})
        statement.refresh_from_db()
        book.accept(SYSTEM, statement=statement)
    assert sum(accounts.balances(saver).values()) == 3 * 1000


def test_below_the_floor_the_depositor_is_paid_in_money() -> None:
    world = build((800_000,), reserve_ratio_floor_bps="1000000")
    saver = party("示例存户", "entity")
    credit(saver, 10**9)
    allocation = world.give([(0, 3)], [(world.offer(4, saver, settle_in="account"), 0, 3, 4)])
    statement = deliver(world, allocation, 0, 3)
    accept(world, statement)
    gross = 4 * 3 * 800
    assert services.by_payee(statement)[saver.pk] == gross - gross * 300 // 10_000
    assert sum(accounts.balances(saver).values()) == 10**9


def test_a_withdrawal_holds_commits_and_uses_standard_card_hours(world: World) -> None:
    credit(world.entity, 5_000, SOON)
    credit(world.entity, 50_000)
    allocation = world.give([(0, 3)], [(world.offer(4), 0, 3, 4)], pay_with="account", spare_fen=800)
    needed = accounts.standard_of_fen(allocation.payment_fen, 800_000)
    assert reserved(world.entity, Kind.COMMITTED) == needed
    assert accounts.balances(world.entity) == {LATER: 55_000 - needed}
    assert services.balances(world.centre)["committed"] == allocation.payment_fen
    statement = deliver(world, allocation, 0, 3)
    assert statement.payer == world.centre
    accept(world, statement)
    assert reserved(world.entity, Kind.COMMITTED) == 0
    assert accounts.outstanding() == 55_000 - needed
    assert services.balances(world.entity)["limit"] == 10**9
    centre = services.balances(world.centre)
    assert centre["committed"] == 0
    assert centre["payable"] == services.by_payee(statement)[world.operator.pk]
    assert centre["limit"] + centre["payable"] == 10**9
    assert ledger.replay() == []


def test_what_was_not_delivered_comes_back_to_its_expiry_date(world: World) -> None:
    credit(world.entity, 5_000, SOON)
    credit(world.entity, 50_000)
    allocation = world.give([(0, 3)], [(world.offer(4), 0, 3, 4)], pay_with="account")
    with clock.moved_to(moment(world, 3 + settle.REPORT_GRACE_HOURS)):
        assert delivery.settle_allocation(SYSTEM, key="s", allocation=allocation) is None
    assert accounts.balances(world.entity) == {SOON: 5_000, LATER: 50_000}
    assert services.balances(world.centre)["limit"] == 10**9


def test_withdrawing_the_request_gives_the_whole_hold_back(world: World) -> None:
    credit(world.entity, 20_000)
    allocation = world.give([(0, 1)], [(world.offer(4), 0, 1, 4)])
    with clock.moved_to(NOON):
        request = submit_request(
            SYSTEM, key="w", entity=world.entity, title="测试", cards=1, hours={world.pool.card_model: 1},
            earliest_hour=world.start, deadline_hour=world.start + 4, budget_fen=8_001, origin=world.region,
            regions=[world.region], pay_with="account",
        )  # fmt: skip
        assert reserved(world.entity, Kind.HELD) == 10_002
        with pytest.raises(Refused) as refused:
            submit_request(
                SYSTEM, key="v", entity=world.entity, title="测试", cards=1, hours={world.pool.card_model: 1},
                earliest_hour=world.start, deadline_hour=world.start + 4, budget_fen=8_000, origin=world.region,
                regions=[world.region], pay_with="account",
            )  # fmt: skip
        assert refused.value.code == "over_limit"
        withdraw_request(SYSTEM, request=request)
    assert accounts.balances(world.entity) == {LATER: 20_000}
    assert allocation.state == Allocation.State.PLANNED


def test_when_the_index_price_falls_no_more_is_asked_than_was_held(world: World) -> None:
    credit(world.entity, 12_000)
    Round.objects.update(index_price_mfen=1_600_000)
    world.round.refresh_from_db()
    with clock.moved_to(NOON):
        request = submit_request(
            SYSTEM, key="w", entity=world.entity, title="测试", cards=1, hours={world.pool.card_model: 1},
            earliest_hour=world.start, deadline_hour=world.start + 4, budget_fen=1_600, origin=world.region,
            regions=[world.region], pay_with="account",
        )  # fmt: skip
    held = reserved(world.entity, Kind.HELD)
    world.round.index_price_mfen = 400_000
    row = Allocation(request=request, payment_fen=1_500)
    run(lambda act, record: accounts.commit_many(act, record, [row], world.round))
    assert accounts.standard_of_fen(1_500, 400_000) > held
    assert reserved(world.entity, Kind.COMMITTED) == held


def test_cancelling_an_account_allocation_gives_both_sides_back(world: World) -> None:
    credit(world.entity, 50_000)
    allocation = world.give([(40, 43)], [(world.offer(4), 40, 43, 4)], pay_with="account")
    with clock.moved_to(moment(world, 10)):
        statement = allocations.cancel_allocation(SYSTEM, key="c", allocation=allocation)
        assert statement is not None
        kept = services.statement_total(statement)
        assert kept == allocation.payment_fen - allocation.payment_fen * 8_000 // 10_000
        actions.accept_withdrawal(SYSTEM, request=allocation.request)
    assert reserved(world.entity, Kind.COMMITTED) == 0
    assert services.balances(world.centre)["committed"] == 0
    assert accounts.outstanding() == 50_000 - accounts.standard_of_fen(kept, 800_000)


def test_the_entity_contests_and_accepts_what_its_account_pays(world: World, people: Any) -> None:
    credit(world.entity, 50_000)
    allocation = world.give([(0, 3)], [(world.offer(4), 0, 3, 4)], pay_with="account")
    deliver(world, allocation, 0, 3)
    agent, stranger = (people("agent", f"party:{firm.pk}") for firm in (world.entity, world.operator))
    with clock.moved_to(moment(world, 5)):
        with pytest.raises(Forbidden):
            actions.contest_withdrawal(stranger, request=allocation.request, reason="不对")
        statement = actions.contest_withdrawal(agent, request=allocation.request, reason="不对")
        book.answer(SYSTEM, statement=statement, reason="核对无误", credits={})
        actions.accept_withdrawal(agent, request=allocation.request)
    assert reserved(world.entity, Kind.COMMITTED) == 0


def test_a_transfer_takes_the_oldest_first_and_keeps_dates(world: World, people: Any) -> None:
    taker, stranger = party("示例受让", "entity"), party("示例别家", "entity")
    credit(world.entity, 5_000, SOON)
    credit(world.entity, 10_000)
    agent = people("agent", f"party:{world.entity.pk}")
    with clock.moved_to(NOON):
        actions.transfer_balance(agent, key="t", giver=world.entity, taker=taker, milli=7_000)
        actions.transfer_balance(agent, key="t", giver=world.entity, taker=taker, milli=7_000)
        assert accounts.balances(taker) == {SOON: 5_000, LATER: 2_000}
        assert accounts.balances(world.entity) == {LATER: 8_000}
        with pytest.raises(Refused) as refused:
            actions.transfer_balance(agent, key="u", giver=world.entity, taker=taker, milli=8_001)
        assert refused.value.code == "over_limit"
        for taken, milli in ((world.entity, 1), (world.carrier, 1), (stranger, 0)):
            with pytest.raises(Invalid):
                actions.transfer_balance(agent, giver=world.entity, taker=taken, milli=milli)
        with pytest.raises(Forbidden):
            actions.transfer_balance(agent, giver=stranger, taker=taker, milli=1)
    assert accounts.outstanding() == 15_000
    assert ledger.replay() == []


def test_balances_expire_after_their_day(world: World) -> None:
    credit(world.entity, 5_000, SOON)
    credit(world.entity, 10_000)
    with clock.moved_to(clock.instant_of(world.start)):
        assert actions.expire_balances(SYSTEM) == 0
    for day in (1, 2):
        with clock.moved_to(moment(world, 0).replace(month=4, day=day, hour=4)):
            assert accounts.available(world.entity, clock.today()) == (15_000 if day == 1 else 10_000)
            assert actions.expire_balances(SYSTEM) == (0 if day == 1 else 5_000)
    assert accounts.balances(world.entity) == {LATER: 10_000}
    assert accounts.outstanding() == 10_000
    assert ledger.replay() == []


class AnyHistory(TestCase):
    """Whatever happens to accounts, nothing is made or lost."""

    @given(st.lists(st.tuples(st.sampled_from("cthr"), st.integers(1, 30_000), st.booleans()), max_size=12))
    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def test_credits_less_uses_are_outstanding(self, steps: list[tuple[str, int, bool]]) -> None:
        world = build((800_000,), reserve_ratio_floor_bps="0")
        other, granted, taken = party("示例乙", "entity"), 0, 0
        open_requests: list[Request] = []
        with clock.moved_to(NOON):
            for what, milli, flag in steps:
                giver, taker = (world.entity, other) if flag else (other, world.entity)
                if what == "c":
                    credit(giver, milli, SOON if milli % 2 else LATER)
                    granted += milli
                with suppress(Refused):  # too little to pass on or to hold
                    if what == "t":
                        actions.transfer_balance(SYSTEM, giver=giver, taker=taker, milli=milli)
                    if what == "h":
                        request = _request(world, giver)
                        run(partial(accounts.hold, request=request))
                        open_requests.append(request)
                if what == "r" and open_requests:
                    row = Allocation(request=open_requests.pop(), payment_fen=milli % 9_000)
                    run(partial(accounts.commit_many, allocations=[row], round_=world.round))
                    before = accounts.outstanding()
                    run(partial(accounts.consume_many, used={row.request: milli}))
                    taken += before - accounts.outstanding()
                    assert before - accounts.outstanding() <= milli
        assert accounts.outstanding() == granted - taken
        everything = sum(
            services.balances(firm, services.SCH)[kind]
            for firm in (world.entity, other)
            for kind in (Kind.LIMIT, Kind.HELD, Kind.COMMITTED)
        )
        assert everything == granted - taken
        assert ledger.replay() == []


def _request(world: World, entity: Party) -> Request:
    return Request.objects.create(
        entity=entity, title="测试", cards=1, earliest_hour=world.start, deadline_hour=world.start + 1, mode="rigid",
        budget_fen=9_000, pay_with="account", origin=world.region, submitted_at=NOON,
    )  # fmt: skip
