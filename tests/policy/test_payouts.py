"""Payouts: ordered once, paid by the bank only, traced both ways, claimed back."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.policy import money
from tests.policy.money import NOON, SYSTEM, Money, build, submit

from huoshui.base import clock
from huoshui.base.errors import Conflict, Invalid, Refused
from huoshui.book import services, subsidies
from huoshui.book.models import Kind, State
from huoshui.policy import claims
from huoshui.policy.actions import payouts
from huoshui.policy.claims import Shares
from huoshui.policy.models import Payout


@pytest.fixture
def world(db):
    with clock.moved_to(NOON):
        yield build()


def test_a_payout_is_a_statement_that_only_the_bank_makes_paid(world: Money) -> None:
    redemption = submit(world.voucher(), world.statement())
    with pytest.raises(Conflict):
        payouts.order(SYSTEM, redemption=redemption)
    money.approve(redemption)
    with pytest.raises(Refused) as refused:
        payouts.order(SYSTEM, redemption=redemption)
    assert refused.value.code == "notice_runs"
    redemption.refresh_from_db()
    with money.after_notice(redemption):
        payout = payouts.order(SYSTEM, redemption=redemption)
        assert payouts.order(SYSTEM, redemption=redemption) == payout
        statement = payout.statement
        assert (statement.payer, statement.state, statement.secured) == (world.authority, State.ACCEPTED, True)
        assert services.by_payee(statement) == {world.firm.pk: 30_000}
        assert services.balance(world.authority, Kind.PAYABLE, subject=f"book.statement:{statement.pk}") == 30_000
        assert payout.paid_at is None
        money.report(world.bank, statement)
    payout.refresh_from_db()
    redemption.refresh_from_db()
    assert payout.paid_at is not None
    assert redemption.state == "paid"
    assert services.balance(world.firm, Kind.PAID, subject=f"book.statement:{statement.pk}") == 30_000
    assert services.replay() == []


def test_without_an_account_nothing_is_ordered_and_the_batch_goes_on(world: Money) -> None:
    bad = money.approve(submit(world.voucher(account=False), world.statement()))
    good = money.approve(submit(world.voucher(), world.statement()))
    with money.after_notice(good):
        done, refused = payouts.order_due(SYSTEM)
    assert done == 1
    assert [(row.pk, error.code) for row, error in refused] == [(bad.pk, "no_account")]
    assert Payout.objects.get().redemption == good


def test_the_statement_s_page_and_the_payout_name_each_other(world: Money) -> None:
    redemption = submit(world.voucher(), world.statement())
    told = subsidies.of_statement(SYSTEM, redemption.statement)
    assert [(row.amount_fen, row.url) for row in told] == [(30_000, f"/policy/redemptions/{redemption.pk}/")]
    payout = money.paid_out(world, redemption)
    back = subsidies.of_statement(SYSTEM, payout.statement)
    assert {row.url for row in back} == {f"/policy/redemptions/{redemption.pk}/", f"/policy/payouts/{payout.pk}/"}


def test_cost_sharing_is_whole_to_the_fen(world: Money) -> None:
    statement = world.statement(sellers={world.seller: 60_001, world.other: 40_000}, concession=777, fee=2_001)
    redemption = submit(world.voucher(), statement)
    shares = claims.cost_sharing(statement, redemption.amount_fen)
    assert shares.concession_fen == 777
    assert shares.fee_fen == 2_001
    assert shares.provider_fen == 98_000
    assert shares.enterprise_fen + shares.subsidy_fen == 99_224 == redemption.settled_fen
    assert shares.enterprise_fen + shares.subsidy_fen + shares.concession_fen == shares.provider_fen + shares.fee_fen


@given(*(st.integers(0, 10**12) for _ in range(4)))
def test_cost_sharing_that_does_not_add_up_is_a_fault(subsidy: int, concession: int, provider: int, fee: int) -> None:
    paid = provider + fee - concession
    assert Shares(paid - subsidy, subsidy, concession, provider, fee).check()
    with pytest.raises(AssertionError):
        Shares(paid - subsidy + 1, subsidy, concession, provider, fee).check()


def test_a_payout_is_claimed_back_with_a_reason_by_a_statement_of_the_firm(world: Money) -> None:
    payout = money.paid_out(world, submit(world.voucher(), world.statement()))
    back = payouts.claw_back(SYSTEM, payout=payout, amount_fen=10_000, reason="用途与申报不符")
    statement = back.statement
    assert (statement.payer, statement.secured, statement.state) == (world.firm, False, State.ISSUED)
    assert services.by_payee(statement) == {world.authority.pk: 10_000}
    with pytest.raises(Invalid):
        payouts.claw_back(SYSTEM, payout=payout, amount_fen=20_001, reason="再次")
    with pytest.raises(Invalid):
        payouts.claw_back(SYSTEM, payout=payout, amount_fen=1, reason=" ")
    assert payout.redemption.events.filter(kind="clawed_back").get().amount == 10_000
    with clock.moved_to(NOON + timedelta(days=60)):
        money.book.lapse_due(SYSTEM)
        money.report(world.bank, statement)
    statement.refresh_from_db()
    assert statement.state == State.PAID
    assert services.replay() == []


def test_what_is_not_paid_is_not_claimed_back(world: Money) -> None:
    redemption = money.approve(submit(world.voucher(), world.statement()))
    with money.after_notice(redemption):
        payout = payouts.order(SYSTEM, redemption=redemption)
    with pytest.raises(Conflict):
        payouts.claw_back(SYSTEM, payout=payout, amount_fen=1, reason="太早")
