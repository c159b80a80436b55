"""Demo of public money: a fund for compute vouchers, and five firms at five points of the way.

The statements are those of the compute demo's past round, which firms have paid. The first firm (of agent4) has a
voucher that it can redeem at once; one redemption is paid out, one in public notice, one in review, and of one the
public notice is over. Everything is told with the clock moved; repeatable.
"""

import csv
import io
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Sum
from django.utils.translation import gettext as _

from huoshui import rules
from huoshui.base import access, clock
from huoshui.base.access import Actor
from huoshui.base.models import User
from huoshui.book import actions as book
from huoshui.book.banks import COLUMNS
from huoshui.book.models import State, Statement
from huoshui.book.services import statement_total
from huoshui.cases.files import Upload
from huoshui.policy import matching, needs
from huoshui.policy.actions import applications, funds, payouts, redemptions
from huoshui.policy.actions.applications import Handed, Wish
from huoshui.policy.actions.redemptions import InvoiceIn
from huoshui.policy.claims import paid_on
from huoshui.policy.models import Application, Fund, Payout, Redemption, Voucher
from huoshui.registry import actions as registry
from huoshui.registry import uscc
from huoshui.registry.models import Party, Publication, RoleKind
from huoshui.registry.queries import publications_in_force
from huoshui.rules import Verdict
from huoshui.terms.rounding import format_yuan

SYSTEM = access.system("demo")
PACK = "hangzhou-compute-voucher-2025"
DIVISION = "3301"
AUTHORITY, AUTHORITY_SERIAL = "示例市经济和信息化局", 21
YEARLY_FEN = 25_000_000_000
NOTICE_DAYS = 5
SMALL_CONTRACTS_FEN, LARGE_CONTRACTS_FEN = 30_000_000, 90_000_000
PLANNED_FACTOR = 3
FIRST_SERIAL, ASKED_SERIAL = 104, 103
"""The firm that redeems first, and one whose facts other parts of the demo leave open."""


@dataclass(frozen=True)
class Story:
    """Days ago on which a firm applied, and on which it redeemed and was approved (None: not yet)."""

    applied: int
    redeemed: int | None
    approved: int | None
    ordered: bool
    contracts_fen: int


STORIES = (
    Story(10, None, None, False, SMALL_CONTRACTS_FEN),
    Story(19, 16, 15, True, LARGE_CONTRACTS_FEN),
    Story(14, 4, 3, False, SMALL_CONTRACTS_FEN),
    Story(12, 1, None, False, LARGE_CONTRACTS_FEN),
    Story(18, 14, 13, False, LARGE_CONTRACTS_FEN),
)


def load() -> Iterator[str]:
    """The fund, its list, and the firms; nothing when rules, people or paid statements are missing."""
    people = {user.username: Actor(user) for user in User.objects.filter(username__in=("officer", "officer2"))}
    publication = publications_in_force(rules.KIND).filter(identifier=PACK).last()
    paid = _paid_statements()
    if publication is None or len(people) < 2 or not paid:
        return
    assert paid[0].used_from
    fund = _fund(publication, paid[0].used_from.year)
    yield _("Demo: a fund of %(amount)s yuan for “%(pack)s” with %(count)s suppliers") % {
        "amount": format_yuan(fund.yearly_fen), "pack": publication.title, "count": fund.suppliers.count(),
    }  # fmt: skip
    for number, (story, statement) in enumerate(zip(STORIES, paid, strict=False), 1):
        _live(number, story, statement, people)
    yield _("Demo: %(vouchers)s vouchers, %(redemptions)s redemptions, %(paid)s paid out") % {
        "vouchers": Voucher.objects.filter(fund=fund).count(),
        "redemptions": Redemption.objects.filter(voucher__fund=fund).count(),
        "paid": Payout.objects.filter(fund=fund).exclude(paid_at=None).count(),
    }  # fmt: skip


def _ago(days: int, hour: int = 10) -> AbstractContextManager[None]:
    day = clock.today() - timedelta(days=days)
    return clock.moved_to(datetime(day.year, day.month, day.day, hour, tzinfo=clock.LOCAL))


def _paid_statements() -> list[Statement]:
    """The largest paid statement of each firm of the city: that of the first firm, then by amount."""
    rows = Statement.objects.filter(
        desk="compute", state=State.PAID, secured=True, used_from__isnull=False,
        payer__division__code__startswith=DIVISION, payer__roles__kind=RoleKind.ENTITY,
    ).exclude(payer__roles__kind=RoleKind.OPERATOR).exclude(payer__uscc=uscc.invented(ASKED_SERIAL))  # fmt: skip
    found: dict[str, Statement] = {}
    for row in rows.annotate(total=Sum("lines__amount")).select_related("payer").order_by("-total", "pk"):
        found.setdefault(row.payer.uscc or "", row)
    first = uscc.invented(FIRST_SERIAL)
    return [found[code] for code in sorted(found, key=lambda code: code != first)]


def _fund(publication: Publication, year: int) -> Fund:
    opening = datetime(year, 1, 8, 9, tzinfo=clock.LOCAL)
    with clock.moved_to(opening):
        authority = registry.create_party(
            SYSTEM, key="demo/authority", name=AUTHORITY, uscc=uscc.invented(AUTHORITY_SERIAL), division="330100",
            kinds=[RoleKind.INSTITUTION],
        )  # fmt: skip
        fund = funds.open_fund(
            SYSTEM, key=f"demo/fund/{year}", authority=authority, publication=publication, year=year,
            title=f"示例市算力券专项资金（{year}年）", basis=f"示经信〔{year}〕3号第四条", yearly_fen=YEARLY_FEN,
            used_from=date(year, 1, 1), used_until=date(year, 12, 31), redeem_until=date(year + 1, 3, 31),
            notice_days=NOTICE_DAYS,
        )  # fmt: skip
        sellers = Party.objects.filter(statement_lines__statement__desk="compute").exclude(roles__kind=RoleKind.CARRIER)
        for place, party in enumerate(sellers.distinct().order_by("pk")):
            funds.list_supplier(
                SYSTEM, key=f"demo/supplier/{year}/{party.pk}", fund=fund, party=party, service="compute",
                facility="ab"[place % 2], source=f"示例市算力服务名录（{year}年第一批）", since=date(year, 1, 1),
            )  # fmt: skip
    return fund


# --- a firm -----------------------------------------------------------------------------------------------------------


def _live(number: int, story: Story, statement: Statement, people: dict[str, Actor]) -> None:
    key = f"demo/voucher/{number}"
    application = _applied(key, story, statement, people)
    if application is None or story.redeemed is None:
        return
    voucher = Voucher.objects.get(application=application)
    with _ago(story.redeemed):
        redemption: Redemption = redemptions.submit(
            SYSTEM, key=f"{key}/redeem", voucher=voucher, statement=statement,
            invoices=[InvoiceIn(f"26332000{number:012d}", Upload("发票.txt", f"演示发票 {number}".encode()))],
        )  # fmt: skip
    if story.approved is None:
        return
    with _ago(story.approved):
        redemption = redemptions.approve(
            people["officer"], key=f"{key}/approve", redemption=redemption, findings={redemptions.INVOICE: True}
        )
    redemption.refresh_from_db()
    until = redemption.notice_until
    if story.ordered and until is not None and until < clock.today() - timedelta(days=2):
        _paid_out(key, redemption, (clock.today() - until).days - 1, people)


def _applied(key: str, story: Story, statement: Statement, people: dict[str, Actor]) -> Application | None:
    """Applied, checked, approved by a second officer, account told; None where the pack does not admit the firm."""
    firm = statement.payer
    with _ago(story.applied):
        _facts(key, story, firm)
        found = matching.match(firm, clock.today())
        if found.of(PACK).verdict not in (Verdict.MET, Verdict.MANUAL):
            return None
        wanted = [need for need in needs.of(found, [found.shelf.pack(PACK)]) if need.asked]
        handed = tuple(
            Handed(need.key, Upload(f"{need.title[:40]}.txt", f"演示材料：{need.title}".encode())) for need in wanted
        )
        planned = PLANNED_FACTOR * statement_total(statement)
        filing = applications.apply(
            SYSTEM, key=f"{key}/apply", party=firm, wishes=(Wish(PACK, planned),), handed=handed, consent=True
        )
    application: Application = filing.applications.get()
    with _ago(story.applied, 14):
        if application.state == Application.State.SUBMITTED and not application.checked_by:
            applications.check(people["officer"], key=f"{key}/check", application=application, findings={})
    with _ago(story.applied - 1):
        applications.approve(people["officer2"], key=f"{key}/approve", application=application)
        applications.confirm_account(
            SYSTEM, key=f"{key}/account", application=application, bank_name="示例银行湖畔支行",
            account_number=f"62009911{application.pk:08d}",
        )  # fmt: skip
    application.refresh_from_db()
    return application


def _facts(key: str, story: Story, firm: Party) -> None:
    """What the pack asks of a firm beside what the registers tell."""
    year = clock.today().year
    period = {"period_start": date(year, 1, 1), "period_end": date(year, 12, 31)}
    registry.state_fact(
        SYSTEM, key=f"{key}/contracts", party=firm, code="compute.contracts", value=story.contracts_fen,
        source="self", **period,
    )  # fmt: skip
    registry.state_fact(
        SYSTEM, key=f"{key}/dishonest", party=firm, code="dishonest", value=False, source="official",
        source_name="示例市信用平台",
    )  # fmt: skip


def _paid_out(key: str, redemption: Redemption, days_ago: int, people: dict[str, Actor]) -> None:
    """Ordered on the day after the notice; the bank reports it two days later."""
    with _ago(days_ago):
        payout: Payout = payouts.order(people["officer2"], key=f"{key}/order", redemption=redemption)
    bank = Party.objects.filter(roles__kind=RoleKind.BANK).order_by("pk").first()
    if bank is None or paid_on(payout.statement):
        return
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(column.zh for column in COLUMNS)
    with _ago(max(days_ago - 2, 0), 9):
        table.writerow([
            "付款", f"DEMO-SUBSIDY-{payout.pk:06d}", clock.today().isoformat(), payout.statement.payer.uscc,
            format_yuan(payout.amount_fen, grouping=False), payout.statement.number, payout.party.uscc,
        ])  # fmt: skip
        content = out.getvalue().encode("utf-8-sig")
        book.import_bank_report(SYSTEM, key=f"{key}/bank", bank=bank, name="demo-subsidies.csv", data=content)
