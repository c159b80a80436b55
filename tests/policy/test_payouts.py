"""Payouts: ordered once, paid by the bank only, traced both ways, claimed back."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.policy import money
from tests.policy.money import NOON, SYSTEM, Money, build, submit

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.base.errors import Conflict, Invalid, Refused
from huoshui.base.models import Token
from huoshui.book import services, subsidies
from huoshui.book.models import Kind, State, Statement
from huoshui.policy import claims
from huoshui.policy.actions import applications, payouts, redemptions
from huoshui.policy.claims import Shares
from huoshui.policy.models import Payout
from huoshui.policy.permissions import PAY_OUT


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
    other = money.helpers.party("示例企业五")
    money.state_clean(other)
    good = money.approve(submit(world.voucher(firm=other), world.statement(firm=other)))
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


def test_what_a_cancelled_statement_claimed_may_be_claimed_again_by_a_second_person(world: Money, people) -> None:
    first, second = people("officer"), people("officer")
    redemption = money.approve(submit(world.voucher(), world.statement()))
    with money.after_notice(redemption):
        payout = payouts.order(Actor(first.user, Token(pk=7, permissions=[PAY_OUT])), redemption=redemption)
        with pytest.raises(Refused) as refused:
            payouts.cancel(first, payout=payout, reason="账户有误")
        assert refused.value.code == "second_person", "a token of its own is the same person"
        money.report(world.bank, payout.statement)
        whole = {"payout": payout, "amount_fen": payout.amount_fen, "reason": "用途与申报不符"}
        with pytest.raises(Refused) as refused:
            payouts.claw_back(first, **whole)
        assert refused.value.code == "second_person"
        back = payouts.claw_back(second, **whole)
        with pytest.raises(Invalid):
            payouts.claw_back(second, **whole)
        Statement.objects.filter(pk=back.statement_id).update(state=State.CANCELLED)
        assert payouts.claw_back(second, **whole).amount_fen == payout.amount_fen


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


def test_an_ordered_payout_is_stopped_and_ordered_again_to_another_account(world: Money) -> None:
    redemption = money.approve(submit(world.voucher(), world.statement()))
    application = redemption.voucher.application
    with money.after_notice(redemption):
        payout = payouts.order(SYSTEM, redemption=redemption)
        stopped = payouts.cancel(SYSTEM, payout=payout, reason="账户有误")
        assert (stopped.statement.pk, stopped.amount_fen) == (payout.statement_id, 30_000)
        with pytest.raises(Conflict):
            payouts.cancel(SYSTEM, payout=payout, reason="再次")
        money.report(world.bank, payout.statement)
        payout.statement.refresh_from_db()
        assert payout.statement.state == State.CANCELLED, "what a bank still pays is no payment of it"
        assert services.balance(world.authority, Kind.COMMITTED, subject=redemption.voucher.label) == 30_000
        assert "账户有误" not in stopped.record.payload
        redemptions.answer_objection(SYSTEM, redemption=redemption, upheld=False, text="已核实")
        with pytest.raises(Refused) as refused:
            payouts.order(SYSTEM, redemption=redemption)
        assert refused.value.code == "no_account"
        applications.confirm_account(
            SYSTEM, application=application, bank_name="示例银行城西支行", account_number="6200990000000002"
        )
        again = payouts.order(SYSTEM, redemption=redemption)
        assert again.account_number == "6200990000000002"
        money.report(world.bank, again.statement)
    redemption.refresh_from_db()
    assert redemption.state == "paid"
    assert services.replay() == []


def test_a_stopped_grant_gives_back_to_the_fund_and_waits_for_an_account(world: Money) -> None:
    left = services.balance(world.authority, Kind.LIMIT, subject=world.fund.earmark)
    application = world.approved(50_000)
    payout = money.grant(application)
    payouts.cancel(SYSTEM, payout=payout, reason="账户有误")
    application.refresh_from_db()
    assert (application.state, application.account_confirmed) == ("approved", False)
    assert services.balance(world.authority, Kind.LIMIT, subject=world.fund.earmark) == left
    assert claims.got_from_fund(world.fund, world.firm) == 0
    assert services.replay() == []


def test_who_ordered_a_payout_cannot_stop_it_and_what_is_paid_is_not_stopped(world: Money, people, client) -> None:
    redemption = money.approve(submit(world.voucher(), world.statement()))
    first, second = people("officer"), people("officer")
    with money.after_notice(redemption):
        payout = payouts.order(first, redemption=redemption)
        with pytest.raises(Refused) as refused:
            payouts.cancel(first, payout=payout, reason="账户有误")
        assert refused.value.code == "second_person"
        client.force_login(second.user)
        assert client.get(f"/policy/payouts/{payout.pk}/stop/").status_code == 200
        money.report(world.bank, payout.statement, 1)
        with pytest.raises(Conflict) as conflict:
            payouts.cancel(second, payout=payout, reason="账户有误")
        assert conflict.value.code == "part_paid"
