"""Redemptions: the amount to the fen, and every guard with its clause."""

from datetime import date, timedelta

import pytest
from django.db import IntegrityError, transaction
from tests.book import helpers
from tests.policy import money
from tests.policy.money import NOON, SYSTEM, Money, build, submit

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.base.errors import Conflict, Forbidden, Invalid, Missing, Refused
from huoshui.base.models import Assignment, LogRecord, Role
from huoshui.book import services
from huoshui.book.models import Kind, Statement
from huoshui.cases.files import Upload
from huoshui.policy import claims, fund_queries, matching, redeeming
from huoshui.policy.actions import funds, redemptions, vouchers
from huoshui.policy.actions.redemptions import DECIDED, InvoiceIn, Outside
from huoshui.policy.models import ClaimedInvoice, Redemption
from huoshui.registry import actions as registry
from huoshui.registry.models import Decision

SEEN = {"invoice": True}


@pytest.fixture
def world(db):
    with clock.moved_to(NOON):
        yield build()


def refusal(call) -> Refused:
    """The refusal of a call, which left nothing behind."""
    before = Redemption.objects.count(), ClaimedInvoice.objects.count(), Decision.objects.filter(kind=DECIDED).count()
    with pytest.raises(Refused) as caught:
        call()
    after = Redemption.objects.count(), ClaimedInvoice.objects.count(), Decision.objects.filter(kind=DECIDED).count()
    assert after == before
    return caught.value


# --- the amount -------------------------------------------------------------------------------------------------------


def test_the_pack_s_share_of_what_was_paid_is_floored_once(world: Money) -> None:
    redemption = submit(world.voucher(), world.statement(33_333))
    assert (redemption.settled_fen, redemption.paid_fen, redemption.claimed_fen) == (33_333, 33_333, 33_333)
    assert redemption.amount_fen == 9_999  # floor(9999.9)


def test_each_type_of_facility_has_its_share_and_the_parts_sum_to_the_claim(world: Money) -> None:
    statement = world.statement(sellers={world.seller: 10_001, world.other: 5_001}, concession=101, fee=200)
    redemption = submit(world.voucher(), statement)
    assert redemption.claimed_fen == 14_901
    a, b = redemption.parts
    assert (a["facility"], b["facility"]) == ("a", "b")
    assert a["claimed_fen"] + b["claimed_fen"] == 14_901
    assert a["amount_fen"] == a["claimed_fen"] * 30 // 100
    assert b["amount_fen"] == b["claimed_fen"] * 20 // 100
    assert redemption.amount_fen == a["amount_fen"] + b["amount_fen"]


def test_an_unlisted_supplier_s_part_counts_nothing_and_says_why(world: Money) -> None:
    stranger = helpers.party("示例散户")
    redemption = submit(world.voucher(), world.statement(sellers={world.seller: 10_000, stranger: 10_000}))
    counted, refused = redemption.parts
    assert (counted["amount_fen"], refused["amount_fen"]) == (3_000, 0)
    assert (refused["code"], refused["clause"]) == ("not_met", "第四条")
    alone = refusal(lambda: submit(world.voucher(firm=world.firm), world.statement(sellers={stranger: 10_000})))
    assert alone.params["clause"] == "第四条"
    assert "向名录内供应方采购" in str(alone)


def test_a_part_of_what_was_paid_may_be_claimed_and_no_more_than_paid(world: Money) -> None:
    half = submit(world.voucher(), world.statement(50_000, paid=20_000), claimed_fen=10_000)
    assert (half.paid_fen, half.amount_fen) == (20_000, 3_000)
    error = refusal(lambda: submit(world.voucher(), world.statement(50_000, paid=20_000), claimed_fen=20_001))
    assert error.code == "paid_less"
    assert error.params["clause"]
    assert "200.01" in str(error)
    assert refusal(lambda: submit(world.voucher(), world.statement(50_000, paid=0))).code == "not_paid"


def test_the_yearly_cap_of_the_pack_counts_earlier_redemptions(world: Money) -> None:
    first = submit(world.voucher(90_000), world.statement(290_000))
    second = submit(world.voucher(90_000), world.statement(290_000))
    assert (first.amount_fen, second.amount_fen) == (87_000, 13_000)
    third = refusal(lambda: submit(world.voucher(90_000), world.statement(290_000)))
    assert (third.code, third.params["clause"]) == ("firm_cap", "第五条")
    redemptions.refuse(SYSTEM, redemption=first, clause="第五条", text="演示")
    assert submit(world.voucher(90_000), world.statement(290_000)).amount_fen == 87_000


def test_a_fund_may_cap_a_firm_lower_than_the_pack(db) -> None:
    with clock.moved_to(NOON):
        world = build(firm_cap_fen=5_000)
        assert submit(world.voucher(), world.statement(100_000)).amount_fen == 5_000
        error = refusal(lambda: submit(world.voucher(), world.statement(100_000)))
        assert (error.code, error.params["clause"]) == ("firm_cap", "示例市〔2026〕1号第二条")


def test_no_more_than_the_voucher_reserves(world: Money) -> None:
    voucher = world.voucher(10_000)
    first = money.approve(submit(voucher, world.statement(30_000)))
    assert first.amount_fen == 9_000
    second = money.approve(submit(voucher, world.statement(30_000)))
    assert second.amount_fen == 1_000
    assert refusal(lambda: submit(voucher, world.statement(30_000))).code == "voucher_left"
    assert services.replay() == []


def test_two_in_review_share_what_the_voucher_holds_in_the_order_of_approval(world: Money) -> None:
    voucher = world.voucher(10_000)
    first, second = (submit(voucher, world.statement(30_000)) for _ in range(2))
    assert money.approve(second).amount_fen == 9_000
    assert money.approve(first).amount_fen == 1_000


def test_what_else_is_known_is_asked_for_never_assumed(world: Money) -> None:
    firm = helpers.party("示例新企业")
    voucher = world.voucher(firm=firm)
    error = refusal(lambda: submit(voucher, world.statement(firm=firm)))
    assert error.code == "unknown"
    money.state_clean(firm)
    assert submit(voucher, world.statement(firm=firm)).amount_fen == 30_000


# --- guards -----------------------------------------------------------------------------------------------------------


def test_another_s_statement_and_one_that_is_not_accepted_are_refused(world: Money) -> None:
    other = helpers.party("示例企业二")
    theirs = world.statement(firm=other)
    error = refusal(lambda: submit(world.voucher(), theirs))
    assert error.code == "not_yours"
    assert error.params["clause"]
    mine = world.statement()
    Statement.objects.filter(pk=mine.pk).update(state="contested")
    assert refusal(lambda: submit(world.voucher(), mine)).code == "not_accepted"


def test_related_parties_are_refused_with_the_pack_s_clause(world: Money) -> None:
    registry.relate(
        SYSTEM, holder=world.firm, held=world.seller, kind="ownership", share_bps=2_500, source="测试",
        since=date(2026, 1, 1),
    )  # fmt: skip
    error = refusal(lambda: submit(world.voucher(), world.statement()))
    assert error.params["clause"] == "第三条"
    assert "关联交易不予支持" in str(error)


def test_an_invoice_counts_once_anywhere(world: Money) -> None:
    first = submit(world.voucher(), world.statement(), invoices=["2426 0001"])
    other = helpers.party("示例企业二")
    money.state_clean(other)
    voucher = world.voucher(firm=other)
    error = refusal(lambda: submit(voucher, world.statement(firm=other), invoices=["24260001"]))
    assert error.code == "invoice_used"
    assert error.params["clause"]
    redemptions.withdraw(SYSTEM, redemption=first)
    assert submit(voucher, world.statement(firm=other), invoices=["24260001"]).amount_fen == 30_000


def test_the_database_itself_counts_an_invoice_and_a_statement_once(world: Money) -> None:
    first = submit(world.voucher(), world.statement(), invoices=["A1"])
    second = submit(world.voucher(), world.statement(), invoices=["A2"])
    with pytest.raises(IntegrityError), transaction.atomic():
        ClaimedInvoice.objects.create(
            invoice=first.invoices.get().invoice, redemption=second, pack=first.pack
        )
    with pytest.raises(IntegrityError), transaction.atomic():
        Redemption.objects.filter(pk=second.pk).update(statement=first.statement)
    with pytest.raises(IntegrityError), transaction.atomic():
        Redemption.objects.filter(pk=second.pk).update(amount_fen=second.claimed_fen + 1)


def test_the_same_invoice_file_under_another_number_is_found(world: Money) -> None:
    upload = Upload("发票.pdf", b"%PDF one")
    redemptions.submit(
        SYSTEM, voucher=world.voucher(), statement=world.statement(), invoices=[InvoiceIn("B1", upload)]
    )
    error = refusal(lambda: redemptions.submit(
        SYSTEM, voucher=world.voucher(), statement=world.statement(), invoices=[InvoiceIn("B2", upload)]
    ))  # fmt: skip
    assert error.code == "invoice_used"


def test_one_statement_is_redeemed_once_by_a_pack(world: Money) -> None:
    statement = world.statement()
    submit(world.voucher(), statement)
    assert refusal(lambda: submit(world.voucher(), statement)).code == "contract_used"


@pytest.mark.parametrize(
    "used", [(date(2025, 12, 31), date(2026, 1, 2)), (date(2026, 12, 30), date(2027, 1, 1)), None]
)
def test_days_of_use_outside_the_fund_s_window_are_refused(world: Money, used) -> None:
    error = refusal(lambda: submit(world.voucher(), world.statement(used=used)))
    assert error.code == ("outside_window" if used else "use_unknown")
    assert error.params["clause"].startswith("示例市〔2026〕1号第二条")


def test_an_expired_voucher_and_one_taken_back_are_refused(world: Money) -> None:
    voucher, statement = world.voucher(), world.statement()
    with clock.moved_to(NOON + timedelta(days=250)):
        error = refusal(lambda: submit(voucher, statement))
    assert (error.code, error.params["until"]) == ("voucher_expired", date(2026, 12, 31))
    vouchers.take_back(SYSTEM, voucher=voucher, reason="演示")
    assert refusal(lambda: submit(voucher, statement)).code == "voucher_expired"


def test_what_was_asked_for_on_the_last_day_is_reviewed_after_it(world: Money) -> None:
    with clock.moved_to(NOON + timedelta(days=213)):
        assert clock.today() == date(2026, 12, 31)
        redemption = submit(world.voucher(), world.statement())
    with clock.moved_to(NOON + timedelta(days=218)):
        assert vouchers.expire_due(SYSTEM) == 0
        assert money.approve(redemption).state == "notice"


def test_what_the_registry_tells_of_subsidies_got_elsewhere_counts_beside_the_platform_s(world: Money) -> None:
    def said(fen: int, source_name: str) -> None:
        registry.state_fact(
            SYSTEM, party=world.firm, code="subsidy.compute", value=fen, source="official", source_name=source_name,
            period_start=date(2026, 1, 1), period_end=date(2026, 12, 31), observed_on=date(2026, 5, 1),
        )  # fmt: skip

    voucher, statement = world.voucher(), world.statement(300_000)
    said(75_000, world.authority.name)  # what the platform paid, told by the authority that paid it
    assert redeeming.assess(claims.of_statement(voucher, statement)).by_pack_fen == 90_000
    registry.state_fact(
        SYSTEM, party=world.firm, code="subsidy.compute", value=None, source="official", observed_on=date(2026, 5, 2),
        source_name=world.authority.name, period_start=date(2026, 1, 1), period_end=date(2026, 12, 31),
    )  # fmt: skip
    said(60_000, "示例省科技厅")
    assert submit(voucher, statement).amount_fen == 40_000
    left = claims.of_statement(voucher, world.statement(10_000))
    assert redeeming.assess(left).by_pack_fen == 0  # 60 000 elsewhere and 40 000 here are the year's 100 000
    said(61_000, "示例市财政局")
    assert redeeming.assess(left).parts[0].reason.code == "unknown"  # two sources disagree


def test_the_rules_of_a_superseded_pack_read_the_facts_of_today(world: Money) -> None:
    voucher, statement = world.voucher(), world.statement()
    text = money.PACK.format(id="test-voucher", title="test-voucher", a=10, stacking="", more="")
    money.publish(text.replace("effective_from: 2026-01-01", "effective_from: 2026-05-20"))
    redemption = submit(voucher, statement)
    assert redemption.amount_fen == 30_000  # by the rules that were in force when the fund was opened
    assert matching.replay(redemption.decision).same
    registry.state_fact(SYSTEM, party=world.firm, code="abnormal", value=True, source="official",
                        observed_on=date(2026, 6, 1))  # fmt: skip
    assert refusal(lambda: money.approve(redemption)).params["clause"] == "第一条"


def test_the_yearly_cap_of_a_pack_holds_over_the_funds_of_all_authorities(world: Money) -> None:
    assert submit(world.voucher(), world.statement(400_000)).amount_fen == 100_000
    funds.set_issuing(SYSTEM, fund=world.fund, issues=False)
    district = money.fund(world.publication, helpers.party("示例区经济信息化局", "institution"), 1_000_000)
    world.supply(world.seller, "a", district)
    error = refusal(world.voucher)
    assert (error.code, error.params["clause"]) == ("firm_cap", "第五条")


def test_a_text_put_right_from_its_first_day_on_is_the_text_that_counts(world: Money) -> None:
    money.pack(a=25)
    assert submit(world.voucher(), world.statement()).amount_fen == 25_000


def test_one_person_does_not_ask_and_approve_nor_approve_and_pay(world: Money, people) -> None:
    both, first, second = people("agent", f"party:{world.firm.pk}"), people("officer"), people("officer")
    officer = Role.objects.get(code="officer")
    Assignment.objects.create(user=both.user, role=officer, scope="*", since=date(2026, 1, 1))
    both = Actor(both.user)
    redemption = redemptions.submit(
        both, voucher=world.voucher(), statement=world.statement(), invoices=[InvoiceIn("D1")]
    )
    with pytest.raises(Refused) as refused:
        redemptions.approve(both, redemption=redemption, findings=SEEN)
    assert refused.value.code == "second_person"
    redemption = redemptions.approve(first, redemption=redemption, findings=SEEN)
    with money.after_notice(redemption):
        with pytest.raises(Refused) as refused:
            money.payouts.order(first, redemption=redemption)
        assert refused.value.code == "second_person"
        done, held_back = money.payouts.order_due(first)
        assert (done, [error.code for _row, error in held_back]) == (0, ["second_person"])
        assert money.payouts.order(second, redemption=redemption).amount_fen == 30_000


@pytest.mark.parametrize("written", ["2426-0001", "２４２６０００１", "2426\u20130001", " 2426 0001\u3000"])
def test_an_invoice_number_written_otherwise_is_the_same(world: Money, written: str) -> None:
    submit(world.voucher(), world.statement(), invoices=["24260001"])
    error = refusal(lambda: submit(world.voucher(), world.statement(), invoices=[written]))
    assert error.code == "invoice_used"


def test_only_the_firm_s_own_people_redeem(world: Money, people) -> None:
    voucher, statement = world.voucher(), world.statement()
    agent = people("agent", f"party:{world.firm.pk}")
    stranger = people("agent", f"party:{world.other.pk}")
    with pytest.raises(Forbidden):
        redemptions.submit(stranger, voucher=voucher, statement=statement, invoices=[InvoiceIn("C1")])
    with pytest.raises(Missing):
        fund_queries.voucher(stranger, voucher.pk)
    redemption = redemptions.submit(agent, voucher=voucher, statement=statement, invoices=[InvoiceIn("C1")])
    with pytest.raises(Forbidden):
        redemptions.approve(agent, redemption=redemption, findings=SEEN)
    assert redemptions.approve(people("officer"), redemption=redemption, findings=SEEN).state == "notice"
    assert redemption.case.kind == "policy.redemption"
    redemption.case.refresh_from_db()
    assert redemption.case.status == "closed"


@pytest.mark.parametrize("numbers", [[], ["X"] * 6, ["1", "1"], ["<script>"], ["9" * 41]])
def test_invoice_numbers_that_are_none_are_refused(world: Money, numbers: list[str]) -> None:
    voucher, statement = world.voucher(), world.statement()
    with pytest.raises(Invalid):
        submit(voucher, statement, invoices=numbers)


# --- stacking ---------------------------------------------------------------------------------------------------------


def test_two_vouchers_of_one_group_stack_up_to_their_limit(db) -> None:
    with clock.moved_to(NOON):
        world = build(publication=money.pack("city", stacking=True))
        nation = money.pack("nation", stacking=True)
        fund = money.fund(nation, world.authority, 1_000_000)
        world.supply(world.seller, "a", fund)
        statement = world.statement(100_000)
        first = submit(world.voucher(), statement, invoices=["S1"])
        second = submit(world.voucher(publication=nation), statement, invoices=["S1"])
        assert (first.amount_fen, second.amount_fen) == (30_000, 10_000)  # at most 40 % together
        claim = claims.of_redemption(second)
        found = redeeming.assess(claim)
        assert [cut.code for cut in found.cuts] == ["stacking"]
        assert found.cuts[0].clause == "第七条"
        alone = money.pack("alone")
        third = money.fund(alone, world.authority, 1_000_000)
        world.supply(world.seller, "a", third)
        voucher = world.voucher(publication=alone)
        assert refusal(lambda: submit(voucher, statement, invoices=["S1"])).code == "invoice_used"
        assert refusal(lambda: submit(voucher, statement, invoices=["S2"])).code == "contract_used"


# --- outside the platform ---------------------------------------------------------------------------------------------

PAPER = Upload("合同.pdf", b"%PDF contract")


def outside(voucher, party=None, **changes) -> Redemption:
    named = {
        "seller": "", "seller_uscc": party.uscc if party else "", "service": "compute", "contract": "HT-1",
        "signed_on": date(2026, 3, 1), "used_from": date(2026, 3, 2), "used_to": date(2026, 4, 1),
        "contract_fen": 50_000, "settled_fen": 40_000, "paid_fen": 40_000,
    } | changes  # fmt: skip
    number = f"P{next(money.numbers)}"
    invoice = InvoiceIn(number, Upload("发票.pdf", number.encode()))
    return redemptions.submit(
        SYSTEM, voucher=voucher, outside=Outside(**named), invoices=[invoice], documents=(PAPER, PAPER)
    )


def test_a_contract_outside_the_platform_needs_documents_and_an_officer_s_check(world: Money) -> None:
    voucher = world.voucher()
    redemption = outside(voucher, party=world.seller)
    assert (redemption.on_platform, redemption.amount_fen) == (False, 12_000)
    with pytest.raises(Invalid):
        redemptions.approve(SYSTEM, redemption=redemption)
    with pytest.raises(Refused):
        redemptions.approve(SYSTEM, redemption=redemption, findings={"documents": False})
    assert redemptions.approve(SYSTEM, redemption=redemption, findings={"documents": True}).state == "notice"
    with pytest.raises(Invalid):
        redemptions.submit(SYSTEM, voucher=voucher, outside=None, invoices=[InvoiceIn("Z1")])


def test_an_unknown_supplier_s_relation_is_for_the_officer_to_find(db) -> None:
    with clock.moved_to(NOON):
        text = money.PACK.format(id="any-seller", title="any-seller", a=30, stacking="", more="")
        listed, paper = "claim.supplier-listed, value: true", "claim.on-platform, value: false"
        text = text.replace(listed, paper).replace("claim.facility", "claim.service")
        world = build(publication=money.publish(text))
        redemption = outside(world.voucher(), seller="名录外供应方")
        assert (redemption.amount_fen, redemption.decision.verdict) == (8_000, "unknown")
        with pytest.raises(Invalid):
            redemptions.approve(SYSTEM, redemption=redemption, findings={"documents": True})
        with pytest.raises(Refused):
            redemptions.approve(SYSTEM, redemption=redemption, findings={"documents": True, "unrelated": False})
        approved = redemptions.approve(SYSTEM, redemption=redemption, findings={"documents": True, "unrelated": True})
        assert (approved.state, approved.amount_fen, approved.decision.verdict) == ("notice", 8_000, "met")
        assert matching.replay(approved.decision).same


def test_a_pack_that_asks_for_the_platform_refuses_paper(db) -> None:
    with clock.moved_to(NOON):
        world = build(publication=money.pack("platform-only", platform=True))
        voucher = world.voucher()
        error = refusal(lambda: outside(voucher, party=world.seller))
        assert error.params["clause"] == "第六条"
        assert submit(voucher, world.statement()).amount_fen == 30_000


def test_contracts_that_were_split_are_refused(world: Money) -> None:
    voucher = world.voucher()
    outside(voucher, party=world.seller)
    split = {"contract": "HT-2", "used_from": date(2026, 4, 2), "used_to": date(2026, 4, 30)}
    error = refusal(lambda: outside(voucher, party=world.seller, signed_on=date(2026, 3, 31), **split))
    assert error.code == "split"
    assert error.params["clause"]
    assert outside(voucher, party=world.seller, signed_on=date(2026, 4, 1), **split).amount_fen == 12_000
    assert outside(voucher, party=world.other, signed_on=date(2026, 3, 2), **split).amount_fen == 8_000


def test_one_contract_on_paper_is_supported_once_for_the_same_days(world: Money) -> None:
    voucher = world.voucher()
    outside(voucher, party=world.seller)
    assert refusal(lambda: outside(voucher, party=world.seller)).code == "contract_used"
    assert refusal(lambda: outside(voucher, party=world.seller, contract="ｈｔ 1")).code == "contract_used"
    later = {"used_from": date(2026, 4, 2), "used_to": date(2026, 5, 1)}
    assert outside(voucher, party=world.seller, **later).amount_fen == 12_000


# --- review and notice ------------------------------------------------------------------------------------------------


def test_approval_asks_again_and_the_notice_counts_working_days(world: Money) -> None:
    redemption = submit(world.voucher(), world.statement())
    approved = money.approve(redemption)
    assert approved.notice_until == date(2026, 6, 8)  # five working days after Monday, 1 June
    assert [row.pk for row in fund_queries.in_notice()] == [redemption.pk]
    with pytest.raises(Conflict):
        money.approve(redemption)
    late = submit(world.voucher(), world.statement())
    registry.state_fact(SYSTEM, party=world.firm, code="abnormal", value=True, source="official",
                        observed_on=date(2026, 6, 1))  # fmt: skip
    error = refusal(lambda: money.approve(late))
    assert error.params["clause"] == "第一条"


def test_an_objection_stops_the_payout_until_it_is_answered(world: Money) -> None:
    redemption = money.approve(submit(world.voucher(), world.statement()))
    redemptions.object_to(SYSTEM, redemption=redemption, objector=world.other, text="演示异议")
    with money.after_notice(redemption), pytest.raises(Conflict):
        money.payouts.order(SYSTEM, redemption=redemption)
    redemptions.answer_objection(SYSTEM, redemption=redemption, upheld=False, text="理由不成立")
    with pytest.raises(Conflict):
        redemptions.answer_objection(SYSTEM, redemption=redemption, upheld=False, text="再答")
    redemptions.object_to(SYSTEM, redemption=redemption, objector=world.other, text="演示异议二")
    redemptions.answer_objection(SYSTEM, redemption=redemption, upheld=True, text="成立")
    redemption.refresh_from_db()
    assert (redemption.state, redemption.live) == ("refused", False)
    voucher = redemption.voucher
    assert redeeming.left_on(voucher) == voucher.amount_fen
    assert services.balance(world.authority, Kind.COMMITTED, subject=voucher.label) == 0
    assert services.replay() == []


def test_everybody_is_heard_before_the_notice_goes_on(world: Money) -> None:
    redemption = money.approve(submit(world.voucher(), world.statement()))
    for text in ("异议甲", "异议乙"):
        redemptions.object_to(SYSTEM, redemption=redemption, objector=world.other, text=text)
    assert redemptions.answer_objection(SYSTEM, redemption=redemption, upheld=False, text="不成立").state == "objected"
    assert redemptions.answer_objection(SYSTEM, redemption=redemption, upheld=False, text="不成立").state == "notice"


def test_an_officer_says_that_the_invoice_belongs_to_the_statement(world: Money) -> None:
    redemption = submit(world.voucher(), world.statement())
    with pytest.raises(Invalid) as missing:
        redemptions.approve(SYSTEM, redemption=redemption)
    assert missing.value.problems[0].field == "invoice"
    with pytest.raises(Refused):
        redemptions.approve(SYSTEM, redemption=redemption, findings={"invoice": False})
    assert redemptions.approve(SYSTEM, redemption=redemption, findings=SEEN).state == "notice"


def test_an_objection_after_the_notice_is_too_late(world: Money) -> None:
    redemption = money.approve(submit(world.voucher(), world.statement()))
    with money.after_notice(redemption), pytest.raises(Refused) as refused:
        redemptions.object_to(SYSTEM, redemption=redemption, objector=world.other, text="晚了")
    assert refused.value.code == "notice_over"


def test_the_decision_of_each_part_replays(world: Money, client, people) -> None:
    redemption = submit(world.voucher(), world.statement(sellers={world.seller: 9_999, world.other: 5_555}))
    found = list(Decision.objects.filter(kind="policy.redemption").order_by("pk"))
    assert len(found) == 2
    assert redemption.decision in found
    for decision in found:
        assert matching.replay(decision).same, decision.trace
        client.force_login(people("agent", f"party:{world.firm.pk}").user)
        assert client.get(f"/policy/decisions/{decision.pk}/?verify").status_code == 200
        client.force_login(people("agent", f"party:{world.other.pk}").user)
        assert client.get(f"/policy/decisions/{decision.pk}/").status_code == 404


def test_what_people_write_is_in_the_log_as_digests_only(world: Money) -> None:
    redemption = submit(world.voucher(), world.statement(), invoices=["SECRET123"])
    redemptions.refuse(SYSTEM, redemption=redemption, clause="保密的条款", text="保密的理由")
    told = str(list(LogRecord.objects.values_list("payload", flat=True)))
    assert "SECRET123" not in told
    assert "保密的理由" not in told
    assert "保密的条款" not in told
