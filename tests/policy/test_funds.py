"""Funds in the book: an earmarked limit is reserved, committed and paid out by itself; nothing is spent twice."""

from contextlib import suppress
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from tests.book import helpers
from tests.policy import money
from tests.policy.money import NOON, SYSTEM, Money, build, report

from huoshui.base import clock
from huoshui.base.errors import Conflict, Forbidden, Invalid, Refused
from huoshui.book import services
from huoshui.book.models import Kind, Statement
from huoshui.policy import fund_queries
from huoshui.policy.actions import funds, vouchers
from huoshui.policy.models import Fund, Voucher
from huoshui.registry.models import Party


@pytest.fixture
def world(db):
    with clock.moved_to(NOON):
        yield build()


def free(fund: Fund) -> int:
    return services.balance(fund.authority, Kind.LIMIT, subject=fund.earmark)


def test_a_fund_is_an_earmarked_limit_that_the_centre_stands_for(world: Money) -> None:
    grant = services.balance(
        money.centre(), Kind.LIMIT, subject=f"grant/registry.party:{world.authority.pk}@{world.fund.earmark}"
    )
    assert (free(world.fund), grant) == (10_000_000, -10_000_000)
    assert services.balance(world.authority, Kind.LIMIT) == 0  # nothing of it can be spent on anything else
    assert services.replay() == []


def test_a_hold_draws_on_its_earmark_only(world: Money) -> None:
    helpers.limit(world.authority, world.bank, 500)
    with pytest.raises(Refused) as refused:
        helpers.run(world.authority, lambda act, record: services.hold_many(
            act, record, [services.Hold(world.authority, "test:1", 10_000_001, earmark=world.fund.earmark)]
        ))  # fmt: skip
    assert refused.value.code == "over_limit"
    assert services.balance(world.authority, Kind.LIMIT) == 500


def test_issuing_reserves_and_an_exhausted_fund_refuses_with_its_clause(world: Money) -> None:
    funds.change_amount(SYSTEM, fund=world.fund, yearly_fen=70_000, basis="示例市〔2026〕1号第二条")
    first = world.voucher(69_999)
    assert (first.amount_fen, free(world.fund)) == (69_999, 1)
    other = helpers.party("示例企业二")
    with pytest.raises(Refused) as refused:
        world.voucher(2, firm=other)
    assert refused.value.code == "fund_exhausted"
    assert refused.value.params["clause"] == "示例市〔2026〕1号第二条"
    assert refused.value.params["left"] == 1
    assert "0.01" in str(refused.value)
    assert Voucher.objects.count() == 1


def test_a_firm_reserves_no_more_than_it_may_get_this_year_however_often_it_applies(world: Money) -> None:
    world.voucher(70_000)
    assert money.issue(world.approved(100_000)).amount_fen == 30_000
    with pytest.raises(Refused) as refused:
        money.issue(world.approved(1))
    assert (refused.value.code, refused.value.params["clause"]) == ("firm_cap", "第五条")
    assert free(world.fund) == 10_000_000 - 100_000
    assert money.issue(world.approved(100_000, firm=helpers.party("示例企业四"))).amount_fen == 100_000


def test_issuing_again_for_one_application_gives_the_same_voucher(world: Money) -> None:
    application = world.approved(70_000)
    assert money.issue(application) == money.issue(application)
    assert free(world.fund) == 10_000_000 - 70_000


@pytest.mark.parametrize(("amount", "code"), [(None, "no_amount"), (0, "no_amount")])
def test_what_is_not_known_is_not_reserved(world: Money, amount: int | None, code: str) -> None:
    with pytest.raises(Refused) as refused:
        money.issue(world.approved(amount))
    assert refused.value.code == code


def test_a_stopped_fund_and_a_pack_without_fund_issue_nothing(world: Money) -> None:
    funds.set_issuing(SYSTEM, fund=world.fund, issues=False)
    with pytest.raises(Refused) as refused:
        world.voucher()
    assert refused.value.code == "fund_closed"
    funds.set_issuing(SYSTEM, fund=world.fund, issues=True)
    with pytest.raises(Refused) as refused:
        world.voucher(publication=money.pack("unfunded"))
    assert refused.value.code == "no_fund"


def test_expiry_gives_back_what_nobody_redeemed(world: Money) -> None:
    voucher = world.voucher(70_000)
    assert vouchers.expire_due(SYSTEM) == 0
    with clock.moved_to(NOON + timedelta(days=250)):
        assert vouchers.expire_due(SYSTEM) == 1
        assert vouchers.expire_due(SYSTEM) == 0
    voucher.refresh_from_db()
    assert (voucher.state, free(world.fund)) == ("expired", 10_000_000)
    assert services.replay() == []


def test_a_voucher_in_review_does_not_expire_under_the_firm(world: Money) -> None:
    voucher = world.voucher()
    redemption = money.submit(voucher, world.statement())
    with clock.moved_to(NOON + timedelta(days=250)):
        assert vouchers.expire_due(SYSTEM) == 0
        money.redemptions.withdraw(SYSTEM, redemption=redemption)
        assert vouchers.expire_due(SYSTEM) == 1


def test_the_amount_of_a_fund_changes_but_never_below_what_is_used(world: Money) -> None:
    world.voucher(70_000)
    funds.change_amount(SYSTEM, fund=world.fund, yearly_fen=70_000, basis="示例市〔2026〕2号")
    assert free(Fund.objects.get()) == 0
    with pytest.raises(Invalid):
        funds.change_amount(SYSTEM, fund=world.fund, yearly_fen=69_999, basis="示例市〔2026〕3号")


def test_changing_the_amount_after_a_payout_counts_what_was_paid(world: Money) -> None:
    payout = money.paid_out(world, money.submit(world.voucher(), world.statement()))
    fund = funds.change_amount(SYSTEM, fund=world.fund, yearly_fen=20_000_000, basis="示例市〔2026〕2号")
    use = fund_queries.use_of(fund)
    assert use.paid_fen == payout.amount_fen == 30_000
    assert use.free_fen + use.reserved_fen + use.approved_fen + use.paid_fen == 20_000_000
    assert services.replay() == []


def test_only_who_manages_funds_opens_one_and_only_for_a_pack_that_pays(world: Money, people) -> None:
    with pytest.raises(Forbidden):
        funds.set_issuing(people("agent", f"party:{world.firm.pk}"), fund=world.fund, issues=False)
    with pytest.raises(Conflict):
        money.fund(world.publication, world.authority, 1)
    with pytest.raises(Invalid):
        money.fund(world.publication, world.bank, 1, used_until=date(2025, 1, 1))


def test_a_bank_that_pays_the_payout_uses_the_fund_not_the_authority_s_own_limit(world: Money) -> None:
    helpers.limit(world.authority, world.bank, 1_000_000)
    money.paid_out(world, money.submit(world.voucher(), world.statement()))
    assert services.balance(world.authority, Kind.LIMIT) == 1_000_000
    assert fund_queries.use_of(world.fund).paid_fen == 30_000
    assert services.replay() == []


def test_a_payout_that_the_bank_pays_in_parts_is_paid_with_the_last(world: Money) -> None:
    redemption = money.approve(money.submit(world.voucher(), world.statement()))
    with money.after_notice(redemption):
        payout = money.payouts.order(SYSTEM, redemption=redemption)
        report(world.bank, payout.statement, 10_000)
        payout.refresh_from_db()
        redemption.refresh_from_db()
        assert (payout.paid_at, redemption.state) == (None, "ordered")
        assert fund_queries.use_of(world.fund).paid_fen == 10_000
        report(world.bank, payout.statement, 20_000)
    payout.refresh_from_db()
    redemption.refresh_from_db()
    assert payout.paid_at is not None
    assert redemption.state == "paid"


def test_grants_are_ordered_from_their_fund_once(world: Money) -> None:
    publication = money.publish(money.GRANT)
    fund = money.fund(publication, world.authority, 120_000)
    application = world.approved(50_000, publication=publication)
    payout = money.grant(application)
    assert money.grant(application) == payout
    assert free(fund) == 70_000
    report(world.bank, payout.statement)
    application.refresh_from_db()
    assert application.state == "paid_out"
    assert application.events.get().kind == "paid_out"
    with pytest.raises(Refused) as refused:
        money.grant(world.approved(50_000, publication=publication, account=False))
    assert refused.value.code == "no_account"
    money.grant(world.approved(70_000, publication=publication))
    with pytest.raises(Refused) as refused:
        money.grant(world.approved(1, publication=publication))
    assert refused.value.code == "fund_exhausted"
    assert services.replay() == []


def test_a_grant_keeps_to_what_the_fund_gives_one_firm(world: Money) -> None:
    publication = money.publish(money.GRANT)
    fund = money.fund(publication, world.authority, 120_000, firm_cap_fen=60_000)
    money.grant(world.approved(50_000, publication=publication))
    with pytest.raises(Refused) as refused:
        money.grant(world.approved(10_001, publication=publication))
    assert (refused.value.code, refused.value.params["clause"]) == ("firm_cap", fund.basis)
    assert free(fund) == 70_000


def test_the_amount_of_a_fund_changes_by_the_difference_whoever_is_the_centre_now(world: Money) -> None:
    Party.objects.get(name="示例中心").roles.update(until=clock.today() - timedelta(days=1))
    helpers.party("新中心", "centre")
    funds.change_amount(SYSTEM, fund=world.fund, yearly_fen=10_000_100, basis="示例市〔2026〕2号")
    assert free(world.fund) == 10_000_100


def test_months_have_no_gaps_and_sum_to_the_fund(world: Money) -> None:
    payout = money.paid_out(world, money.submit(world.voucher(), world.statement()))
    with clock.moved_to(NOON + timedelta(days=95)):
        world.voucher(1_000, firm=helpers.party("示例企业三"))
    found = fund_queries.by_month([world.fund])
    assert [month.month for month in found] == [f"2026-{number:02d}" for number in range(1, 10)]
    assert sum(month.paid_fen for month in found) == payout.amount_fen
    assert [month.issued_fen for month in found][5:] == [100_000, 0, 0, 1_000]
    assert fund_queries.by_month([]) == []


class AnyLife(TestCase):
    """Whatever happens to vouchers, the fund's parts are never below zero and sum to its amount."""

    @settings(max_examples=6, deadline=None)
    @given(st.lists(st.tuples(st.integers(1, 60_000), st.integers(1, 90_000), st.booleans()), min_size=1, max_size=4))
    def test_the_parts_of_a_fund_sum_to_its_amount(self, lives: list[tuple[int, int, bool]]) -> None:
        with clock.moved_to(NOON):
            world = build(100_000)
            for reserved, used, goes_on in lives:
                firm = helpers.party()
                money.state_clean(firm)
                with suppress(Refused):  # an exhausted fund, a share below a fen
                    voucher = world.voucher(reserved, firm=firm)
                    redemption = money.submit(voucher, world.statement(used, firm=firm))
                    if goes_on:
                        money.paid_out(world, redemption)
                use = fund_queries.use_of(world.fund)
                parts = (use.free_fen, use.reserved_fen, use.approved_fen, use.paid_fen)
                assert sum(parts) == 100_000
                assert min(parts) >= 0
            held = sum(fund_queries.left_of(Voucher.objects.all()).values())
            assert held == fund_queries.use_of(world.fund).reserved_fen
            assert services.replay() == []
            assert not Statement.objects.filter(desk="policy").exclude(payer=world.authority).exists()
