"""REST routes of vouchers, redemptions, payouts and funds, under /api/policy/. Amounts are fen."""

from datetime import date, datetime
from typing import Any

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from huoshui.base.access import get_visible
from huoshui.base.apikit import Cut, Id, Page, Paging, actor, cut, key
from huoshui.book.ledger import AMOUNT_MAX
from huoshui.book.queries import statement
from huoshui.policy import claims, fund_queries, redeeming
from huoshui.policy.actions import payouts, redemptions
from huoshui.policy.actions.redemptions import INVOICE_LENGTH, INVOICES_MAX, InvoiceIn
from huoshui.policy.models import Fund, Payout, Redemption, Voucher
from huoshui.policy.permissions import OVERSEE, REVIEW
from huoshui.policy.redeeming import Assessment, Reason

router = Router(tags=["policy"])


class VoucherOut(Schema):
    """A voucher; `left_fen` is what it still reserves."""

    id: int
    number: str
    party: int = Field(alias="party_id")
    fund: int = Field(alias="fund_id")
    amount_fen: int
    issued_at: datetime
    redeem_until: date
    state: Voucher.State


class VoucherLeft(VoucherOut):
    left_fen: int


class ReasonOut(Schema):
    """Why something is refused or counts less, with its clause."""

    code: str
    said: str
    clause: str
    quote: str


class PartOut(Schema):
    """How a claim falls on one type of facility."""

    facility: str
    suppliers: list[str]
    settled_fen: int
    claimed_fen: int
    amount_fen: int
    code: str
    clause: str


class AssessmentOut(Schema):
    """What a claim would come to today."""

    amount_fen: int
    by_pack_fen: int
    refusal: ReasonOut | None
    cuts: list[ReasonOut]
    parts: list[PartOut]


class RedemptionIn(Schema):
    """`claimed_fen` left out: all that was paid. `declared`: facts of the claim that only the firm can tell."""

    statement: Id
    claimed_fen: int | None = Field(None, ge=1, le=AMOUNT_MAX)
    invoices: list[str] = Field(min_length=1, max_length=INVOICES_MAX)
    declared: dict[str, bool] = {}


class RedemptionOut(Schema):
    id: int
    number: str
    voucher: int = Field(alias="voucher_id")
    party: int = Field(alias="party_id")
    statement: int | None = Field(None, alias="statement_id")
    contract: str
    settled_fen: int
    paid_fen: int
    claimed_fen: int
    amount_fen: int
    parts: list[dict[str, Any]]
    state: Redemption.State
    submitted_at: datetime
    notice_until: date | None
    record: int = Field(alias="record_id")


class ApproveIn(Schema):
    """`findings`: each criterion that waits for a person → met."""

    findings: dict[str, bool] = {}
    text: str = Field("", max_length=2_000)


class RefuseIn(Schema):
    clause: str = Field(min_length=1, max_length=200)
    text: str = Field(min_length=1, max_length=2_000)


class PayoutOut(Schema):
    """A payout: its statement in the book, and what it is for."""

    id: int
    party: int = Field(alias="party_id")
    fund: int = Field(alias="fund_id")
    redemption: int | None = Field(None, alias="redemption_id")
    application: int | None = Field(None, alias="application_id")
    statement: int = Field(alias="statement_id")
    amount_fen: int
    ordered_at: datetime
    paid_at: datetime | None
    record: int = Field(alias="record_id")


class FundOut(Schema):
    """A fund and where its yearly amount stands."""

    id: int
    title: str
    authority: int
    pack: str
    year: int
    yearly_fen: int
    free_fen: int
    reserved_fen: int
    approved_fen: int
    paid_fen: int


def _reason(reason: Reason) -> dict[str, str]:
    return {"code": reason.code, "said": reason.sentence, "clause": reason.clause, "quote": reason.quote}


def _told(found: Assessment) -> dict[str, Any]:
    return {
        "amount_fen": 0 if found.refusal else found.amount_fen, "by_pack_fen": found.by_pack_fen,
        "refusal": _reason(found.refusal) if found.refusal else None, "cuts": [_reason(cut) for cut in found.cuts],
        "parts": found.told,
    }  # fmt: skip


@router.get("/funds/", response=list[FundOut])
def funds(request: HttpRequest) -> list[dict[str, Any]]:
    """Funds, the newest year first, with what is free, reserved, approved and paid."""
    actor(request)
    return [
        {
            "id": fund.pk, "title": fund.title, "authority": fund.authority_id, "pack": fund.pack, "year": fund.year,
            "yearly_fen": use.yearly_fen, "free_fen": use.free_fen, "reserved_fen": use.reserved_fen,
            "approved_fen": use.approved_fen, "paid_fen": use.paid_fen,
        }
        for fund in Fund.objects.select_related("authority")
        for use in [fund_queries.use_of(fund)]
    ]  # fmt: skip


@router.get("/vouchers/", response=Page[VoucherOut])
def vouchers(request: HttpRequest, paging: Query[Paging]) -> Cut:
    """Vouchers, newest first."""
    return cut(fund_queries.vouchers(actor(request)), paging)


@router.get("/vouchers/{pk}/", response=VoucherLeft)
def voucher(request: HttpRequest, pk: Id) -> Voucher:
    """One voucher."""
    found = fund_queries.voucher(actor(request), pk)
    found.left_fen = redeeming.left_on(found)  # type: ignore[attr-defined]
    return found


@router.get("/vouchers/{pk}/assess/", response=AssessmentOut)
def assess(
    request: HttpRequest, pk: Id, of: Query[Id], claimed_fen: int | None = Query(None, ge=1, le=AMOUNT_MAX)
) -> dict[str, Any]:  # fmt: skip
    """What redeeming a statement (`of`) would come to today, what is refused and why. Nothing is stored."""
    who = actor(request)
    claim = claims.of_statement(
        fund_queries.voucher(who, pk), statement(who, of), claimed_fen=claimed_fen, invoices=["—"]
    )
    return _told(redeeming.assess(claim))


@router.post("/vouchers/{pk}/redemptions/", response=RedemptionOut)
def redeem(request: HttpRequest, pk: Id, body: RedemptionIn) -> Redemption:
    """Ask that the fund reimburse its share of what was paid on a statement."""
    who = actor(request)
    found = fund_queries.voucher(who, pk)
    source = statement(who, body.statement)
    invoices = [InvoiceIn(number[: INVOICE_LENGTH + 1]) for number in body.invoices]
    return redemptions.submit(
        who, key=key(request), voucher=found, statement=source, invoices=invoices, claimed_fen=body.claimed_fen,
        declared=body.declared,
    )  # fmt: skip


@router.get("/redemptions/", response=Page[RedemptionOut])
def redemption_list(request: HttpRequest, paging: Query[Paging], state: Redemption.State | None = None) -> Cut:
    """Redemptions, newest first."""
    rows = fund_queries.redemptions(actor(request))
    return cut(rows.filter(state=state) if state else rows, paging)


@router.get("/redemptions/{pk}/", response=RedemptionOut)
def redemption(request: HttpRequest, pk: Id) -> Redemption:
    """One redemption."""
    return fund_queries.redemption(actor(request), pk)


@router.post("/redemptions/{pk}/approve/", response=RedemptionOut)
def approve(request: HttpRequest, pk: Id, body: ApproveIn) -> Redemption:
    """Approve as an officer: the public notice begins."""
    who = actor(request)
    found = get_visible(Redemption.objects.all(), who, REVIEW, pk=pk)
    return redemptions.approve(who, key=key(request), redemption=found, findings=body.findings, text=body.text)


@router.post("/redemptions/{pk}/refuse/", response=RedemptionOut)
def refuse(request: HttpRequest, pk: Id, body: RefuseIn) -> Redemption:
    """Refuse as an officer, naming the clause."""
    who = actor(request)
    found = get_visible(Redemption.objects.all(), who, REVIEW, pk=pk)
    return redemptions.refuse(who, key=key(request), redemption=found, clause=body.clause, text=body.text)


@router.post("/redemptions/{pk}/withdraw/", response=RedemptionOut)
def withdraw(request: HttpRequest, pk: Id) -> Redemption:
    """Take a redemption back while it is in review."""
    who = actor(request)
    return redemptions.withdraw(who, key=key(request), redemption=fund_queries.redemption(who, pk))


@router.post("/redemptions/{pk}/payout/", response=PayoutOut)
def order(request: HttpRequest, pk: Id) -> Payout:
    """Order the payout of a redemption whose public notice is over."""
    who = actor(request)
    found = get_visible(Redemption.objects.all(), who, OVERSEE, pk=pk)
    return payouts.order(who, key=key(request), redemption=found)


@router.get("/payouts/", response=Page[PayoutOut])
def payout_list(request: HttpRequest, paging: Query[Paging]) -> Cut:
    """Payouts, newest first."""
    return cut(fund_queries.payouts(actor(request)), paging)


@router.get("/payouts/{pk}/", response=PayoutOut)
def payout(request: HttpRequest, pk: Id) -> Payout:
    """One payout."""
    return fund_queries.payout(actor(request), pk)
