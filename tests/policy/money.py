"""A small world of public money for tests: an authority with a fund, a firm with a voucher, statements it has paid.

Everything goes through the product's own functions, except that an application is written down as approved: what leads
to it is not what these tests are about. Works in a test and in a sandbox process alike.
"""

import csv
import io
import itertools
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tests.book import helpers

from huoshui.base import access, clock
from huoshui.base.act import Act, action
from huoshui.book import actions as book
from huoshui.book.banks import COLUMNS
from huoshui.book.models import State, Statement
from huoshui.book.services import LineDraft, statement_total
from huoshui.policy.actions import funds, payouts, redemptions, vouchers
from huoshui.policy.actions.redemptions import InvoiceIn
from huoshui.policy.models import Application, Fund, Payout, Redemption, Voucher
from huoshui.registry import actions as registry
from huoshui.registry import services
from huoshui.registry.models import Party, Publication
from huoshui.terms.rounding import format_yuan

SYSTEM = access.system("test")
NOON = datetime(2026, 6, 1, 12, tzinfo=clock.LOCAL).astimezone(UTC)
USED = (date(2026, 5, 4), date(2026, 5, 8))
SIGNED = date(2026, 5, 1)
numbers = itertools.count(1)

PACK = """
kind: rule_pack
id: {id}
title: {title}
authority: 示例市经济和信息化局
source: 测试
status: in_force
effective_from: 2026-01-01
body:
  audience: {{text: 企业}}
  criteria:
    - {{id: entity, title: 依法经营, kind: veto, clause: 第一条, quote: 列入异常名录的不予支持,
       test: {{op: is, of: abnormal, value: true}}}}
    - {{id: related, title: 买卖双方存在关联关系, kind: veto, stage: claim, clause: 第三条,
       quote: 关联交易不予支持, test: {{op: is, of: claim.related-party, value: true}}}}
    - {{id: listed, title: 供应方在名录内, kind: hard, stage: claim, clause: 第四条, quote: 向名录内供应方采购,
       test: {{op: is, of: claim.supplier-listed, value: true}}}}
{more}
  benefit:
    kind: voucher
    text: 不超过合同实际发生金额的30%
    clause: 第五条
    quote: 每家企业每年最高1000元
    cap: {{value: 1000, unit: 元}}
    amount:
      least:
        - share: {{of: claim.claimed}}
          rate:
            cases: [{{when: {{op: in, of: claim.facility, values: [a]}}, then: {a}}}]
            otherwise: 20
        - {{remainder: {{fixed: 1000, unit: 元}}, less: {{of: subsidy.compute, period: this_year}}}}
{stacking}
"""
ON_PLATFORM = """
    - {id: platform, title: 通过平台采购, kind: hard, stage: claim, clause: 第六条, quote: 通过市级平台采购,
       test: {op: is, of: claim.on-platform, value: true}}
"""
STACKING = "  stacking: {group: compute, max: 40, clause: 第七条, quote: 叠加不超过40%}"
GRANT = """
kind: rule_pack
id: test-grant
title: 测试补助
authority: 示例市经济和信息化局
source: 测试
status: in_force
effective_from: 2026-01-01
body:
  audience: {text: 企业}
  criteria:
    - {id: clean, title: 依法经营, kind: veto, clause: 第一条, quote: 列入异常名录的不予支持,
       test: {op: is, of: abnormal, value: true}}
  benefit: {kind: grant, text: 一次性补助500元, clause: 第二条, quote: 补助500元, amount: {fixed: 500, unit: 元}}
"""


def publish(text: str) -> Publication:
    """Put a publication in force, by two persons."""
    made = registry.submit_publication(access.system("first"), text=text)
    registry.review_publication(access.system("second"), publication=made)
    return registry.activate_publication(access.system("second"), publication=made)


def pack(
    identifier: str = "test-voucher", *, a: int = 30, stacking: bool = False, platform: bool = False
) -> Publication:
    """A voucher pack: `a` % at facilities of type a, 20 % elsewhere, at most 1000 yuan a firm a year."""
    return publish(
        PACK.format(
            id=identifier, title=identifier, a=a, stacking=STACKING if stacking else "",
            more=ON_PLATFORM if platform else "",
        )
    )  # fmt: skip


@action("test.money")
def _step(act: Act, *, application: Application, what: str) -> Any:
    act.checked = True
    act.record(application, {"test": what})
    return (vouchers.issue_for if what == "issue" else payouts.order_for)(act, application)


@action("test.approved")
def _approved(
    act: Act, *, party: Party, publication: Publication, amount_fen: int | None, account: bool
) -> Application:
    act.checked = True
    decision = services.decide(
        act, party=party, kind="test", subject="test", verdict="met", digests=[publication.digest], trace={}
    )
    return Application.objects.create(
        party=party, publication=publication, pack=publication.identifier, decision=decision, state="approved",
        amount_fen=amount_fen, salt="0" * 32, submitted_at=act.at, record=decision.record,
        **({"bank_name": "示例银行", "account_number": "6200000000000000", "account_confirmed_at": act.at}
           if account else {}),
    )  # fmt: skip


def issue(application: Application) -> Voucher:
    """Issue its voucher."""
    return _step(SYSTEM, application=application, what="issue")


def grant(application: Application) -> Payout:
    """Order its grant."""
    return _step(SYSTEM, application=application, what="order")


@dataclass
class Money:
    """Who there is. The fund's list has `seller` (type a) and `other` (type b)."""

    authority: Party
    bank: Party
    firm: Party
    seller: Party
    other: Party
    publication: Publication
    fund: Fund

    def approved(
        self, amount_fen: int | None = 100_000, *, firm: Party | None = None, account: bool = True,
        publication: Publication | None = None,
    ) -> Application:  # fmt: skip
        """An approved application."""
        return _approved(
            SYSTEM, party=firm or self.firm, publication=publication or self.publication, amount_fen=amount_fen,
            account=account,
        )  # fmt: skip

    def voucher(self, amount_fen: int = 100_000, **named: Any) -> Voucher:
        """A voucher for the firm; the one that it has, where the year's cap leaves no other."""
        firm, pack = named.get("firm", self.firm), named.get("publication", self.publication).identifier
        open_funds = Fund.objects.filter(open=True, pack=pack)
        had = Voucher.objects.filter(party=firm, fund__in=open_funds, state="active", amount_fen=amount_fen).first()
        return had or issue(self.approved(amount_fen, **named))

    def statement(
        self, fen: int = 100_000, *, sellers: dict[Party, int] | None = None, paid: int | None = None,
        firm: Party | None = None, concession: int = 0, fee: int = 0, **named: Any,
    ) -> Statement:  # fmt: skip
        """An accepted statement of the firm, paid by the bank's report (all of it, unless told less)."""
        firm, subject = firm or self.firm, f"test.request:{next(numbers)}"
        shares = sellers or {self.seller: fen}
        lines = [LineDraft(party, "card_hours", 600, "test.line", amount=amount) for party, amount in shares.items()]
        if fee:
            lines += [LineDraft(self.seller, "fee", 600, "test.line", amount=-fee),
                      LineDraft(centre(), "fee", 600, "test.line", amount=fee)]  # fmt: skip
        if concession:
            lines.append(LineDraft(centre(), "concession", 600, "test.line", amount=-concession))
        total = sum(line.total for line in lines)
        held = services_balance(firm)
        helpers.limit(firm, self.bank, held + total)
        helpers.hold(firm, subject, total)
        helpers.commit(firm, subject, total)
        made = issue_statement(firm, subject, lines, **{"signed_on": SIGNED, "used": USED, **named})
        helpers.accept(made)
        report(self.bank, made, total if paid is None else paid)
        return Statement.objects.get(pk=made.pk)

    def supply(self, party: Party, facility: str, fund: Fund | None = None) -> None:
        """Put a party on the list."""
        funds.list_supplier(
            SYSTEM, fund=fund or self.fund, party=party, facility=facility, service="compute", source="测试名录",
            since=date(2026, 1, 1),
        )  # fmt: skip


def services_balance(firm: Party) -> int:
    """What already stands in the firm's chain of authority."""
    from huoshui.book.services import balances

    sums = balances(firm)
    return sums["limit"] + sums["held"] + sums["committed"] + sums["payable"]


def centre() -> Party:
    """The centre, made when there is none."""
    found = Party.objects.filter(roles__kind="centre").first()
    return found or helpers.party("示例中心", "centre")


def issue_statement(firm: Party, subject: str, lines: list[LineDraft], **named: Any) -> Statement:
    """Issue a statement of lines."""
    from huoshui.book import services as book_services

    named.setdefault("contract", subject)
    return helpers.run(
        firm,
        lambda act, record: book_services.issue_statement(
            act, record, desk="compute", subject=subject, payer=firm, lines=lines,
            contest_until=clock.today() + timedelta(days=5), **named,
        ),
    )  # fmt: skip


def report(bank: Party, statement: Statement, amount_fen: int | None = None) -> None:
    """The bank reports a payment on a statement, by file, as banks do."""
    total = statement_total(statement) if amount_fen is None else amount_fen
    if not total:
        return
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(column.zh for column in COLUMNS)
    table.writerow(["付款", f"T-{next(numbers):06d}", clock.today().isoformat(), statement.payer.uscc,
                    format_yuan(total, grouping=False), statement.number, ""])  # fmt: skip
    book.import_bank_report(SYSTEM, bank=bank, name="test.csv", data=out.getvalue().encode("utf-8-sig"))


def fund(publication: Publication, authority: Party, yearly_fen: int, **named: Any) -> Fund:
    """A fund of 2026."""
    terms: dict[str, Any] = {
        "year": 2026, "title": f"{publication.identifier} 2026", "basis": "示例市〔2026〕1号第二条",
        "used_from": date(2026, 1, 1), "used_until": date(2026, 12, 31), "redeem_until": date(2026, 12, 31),
        "notice_days": 5,
    }  # fmt: skip
    return funds.open_fund(
        SYSTEM, authority=authority, publication=publication, yearly_fen=yearly_fen, **(terms | named)
    )


def build(yearly_fen: int = 10_000_000, publication: Publication | None = None, **named: Any) -> Money:
    """The world. Call it with the clock at NOON."""
    from importlib import resources

    centre()
    for year in ("cn-2026", "cn-2027"):
        publish(resources.files("huoshui.publications").joinpath("calendar", f"{year}.yaml").read_text())
    authority, bank = helpers.party("示例市经济和信息化局", "institution"), helpers.party("示例银行", "bank")
    firm, seller, other = (helpers.party(name) for name in ("示例企业", "示例算力甲", "示例算力乙"))
    publication = publication or pack()
    world = Money(authority, bank, firm, seller, other, publication, fund(publication, authority, yearly_fen, **named))
    world.supply(seller, "a")
    world.supply(other, "b")
    state_clean(firm)
    return world


def state_clean(firm: Party) -> None:
    """An official source says that a firm is on no list."""
    registry.state_fact(
        SYSTEM, party=firm, code="abnormal", value=False, source="official", observed_on=date(2026, 1, 1)
    )


def submit(voucher: Voucher, statement: Statement, **named: Any) -> Redemption:
    """Ask for it, with an invoice of its own."""
    invoices = [InvoiceIn(number) for number in named.pop("invoices", [f"INV{next(numbers):08d}"])]
    return redemptions.submit(SYSTEM, voucher=voucher, statement=statement, invoices=invoices, **named)


def approve(redemption: Redemption, **named: Any) -> Redemption:
    """Approve it, having seen that the invoice belongs to the statement."""
    named.setdefault("findings", {"invoice": True})
    return redemptions.approve(SYSTEM, redemption=redemption, **named)


def after_notice(redemption: Redemption) -> Any:
    """The clock on the day after the public notice."""
    assert redemption.notice_until
    day = redemption.notice_until + timedelta(days=1)
    return clock.moved_to(datetime(day.year, day.month, day.day, 10, tzinfo=clock.LOCAL).astimezone(UTC))


def paid_out(world: Money, redemption: Redemption) -> Payout:
    """Approved, through its notice, ordered and reported by the bank."""
    approve(redemption)
    redemption.refresh_from_db()
    with after_notice(redemption):
        payout = payouts.order(SYSTEM, redemption=redemption)
        report(world.bank, payout.statement)
    payout.refresh_from_db()
    assert payout.statement.state in State.values
    return payout
