"""REST routes of the book, under /api/book/. Amounts are fen, card-time milli-card-hours, prices 1/1000 fen."""

from datetime import date, datetime
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja import File, Form, Query, Router, Schema
from ninja.files import UploadedFile
from pydantic import Field

from huoshui.base import intake, log
from huoshui.base.access import get_visible
from huoshui.base.apikit import Cut, Id, Page, Paging, actor, cut, key
from huoshui.base.errors import invalid
from huoshui.book import actions, queries
from huoshui.book.ledger import AMOUNT_MAX
from huoshui.book.models import BankException, BankFile, Entry, Kind, Resolution, State, Statement
from huoshui.book.permissions import ANSWER, GRANT, REPORT
from huoshui.registry.models import Party
from huoshui.registry.queries import parties_of

router = Router(tags=["book"])


class AccountOut(Schema):
    """An account and its balance."""

    id: int
    party: int = Field(alias="party_id")
    kind: Kind
    asset: str
    subject: str
    balance: int = Field(alias="balance.amount")


class EntryOut(Schema):
    """An entry: `record` is the log record that it cites."""

    id: int
    amount: int
    memo: str = Field(alias="posting.memo")
    effective_on: date = Field(alias="posting.effective_on")
    recorded_at: datetime = Field(alias="posting.recorded_at")
    record: int = Field(alias="posting.record_id")


class StatementOut(Schema):
    """A statement without its lines."""

    id: int
    number: str
    desk: str
    subject: str
    payer: int = Field(alias="payer_id")
    asset: str
    contract: str
    issued_at: datetime
    contest_until: date
    state: State


class LineOut(Schema):
    """A line; `amount` includes VAT. Card-time is in milli-card-hours or, counted by an engine, card-seconds."""

    position: int
    payee: int = Field(alias="payee_id")
    kind: str
    quantity_mch: int | None
    card_seconds: int | None
    price_mfen: int | None
    amount: int
    vat_bps: int
    description: str
    params: dict[str, Any]
    evidence: str
    record: int = Field(alias="record_id")


class ReasonIn(Schema):
    reason: str = Field(min_length=1, max_length=500)


class AnswerIn(ReasonIn):
    """`credits`: fen to give back, by line position."""

    credits: dict[str, int] = {}


class LimitIn(Schema):
    amount: int = Field(ge=0, le=AMOUNT_MAX)
    evidence: str = Field(min_length=1, max_length=200)


class LimitOut(Schema):
    id: int
    party: int = Field(alias="party_id")
    grantor: int = Field(alias="grantor_id")
    asset: str
    amount: int
    short: int
    record: int = Field(alias="record_id")


class FileOut(Schema):
    id: int
    bank: int = Field(alias="bank_id")
    name: str
    digest: str
    rows: int
    imported_at: datetime
    record: int = Field(alias="record_id")


class ExceptionOut(Schema):
    id: int
    file: int = Field(alias="file_id")
    report: int | None = Field(None, alias="report_id")
    reason: BankException.Reason
    amount: int


class ResolveIn(ReasonIn):
    statement: int | None = Field(None, ge=1, le=2**63 - 1)


class ResolutionOut(Schema):
    id: int
    exception: int = Field(alias="exception_id")
    reason: str
    record: int = Field(alias="record_id")


@router.get("/parties/{pk}/balances/", response=dict[str, int])
def balances(request: HttpRequest, pk: Id) -> dict[str, int]:
    """Balances of a party in fen, by kind of account."""
    return {str(kind.value): amount for kind, amount in queries.sums(queries.party(actor(request), pk))}


@router.get("/parties/{pk}/accounts/", response=Page[AccountOut])
def accounts(request: HttpRequest, pk: Id, paging: Query[Paging]) -> Cut:
    """Accounts of a party that are not empty."""
    who = actor(request)
    return cut(queries.accounts(who, queries.party(who, pk)), paging)


@router.post("/parties/{pk}/limit/", response=LimitOut)
def grant_limit(request: HttpRequest, pk: Id, body: LimitIn) -> Any:
    """Approve credit as the centre."""
    party = get_visible(Party.objects.all(), actor(request), GRANT, pk=pk)
    return actions.grant_limit(
        actor(request), key=key(request), party=party, amount=body.amount, evidence=body.evidence
    )


@router.get("/accounts/{pk}/entries/", response=Page[EntryOut])
def entries(request: HttpRequest, pk: Id, paging: Query[Paging]) -> Cut:
    """Entries of an account, newest first."""
    account = queries.account(actor(request), pk)
    return cut(Entry.objects.filter(account=account).select_related("posting"), paging)


@router.get("/statements/", response=Page[StatementOut])
def statements(request: HttpRequest, paging: Query[Paging], state: State | None = None) -> Cut:
    """Statements, newest first."""
    return cut(queries.statements(actor(request), state=state or ""), paging)


@router.get("/statements/{pk}/", response=StatementOut)
def statement(request: HttpRequest, pk: Id) -> Statement:
    """One statement."""
    return queries.statement(actor(request), pk)


@router.get("/statements/{pk}/lines/", response=list[LineOut])
def lines(request: HttpRequest, pk: Id) -> list[Any]:
    """The lines that the caller may see."""
    return queries.lines(actor(request), queries.statement(actor(request), pk))


@router.post("/statements/{pk}/accept/", response=StatementOut)
def accept(request: HttpRequest, pk: Id) -> Statement:
    """Accept as the payer."""
    return actions.accept(actor(request), key=key(request), statement=queries.statement(actor(request), pk))


@router.post("/statements/{pk}/contest/", response=StatementOut)
def contest(request: HttpRequest, pk: Id, body: ReasonIn) -> Statement:
    """Contest as the payer."""
    found = queries.statement(actor(request), pk)
    return actions.contest(actor(request), key=key(request), statement=found, reason=body.reason)


@router.post("/statements/{pk}/answer/", response=StatementOut)
def answer(request: HttpRequest, pk: Id, body: AnswerIn) -> Statement:
    """Answer a contest as the centre."""
    found = get_visible(Statement.objects.all(), actor(request), ANSWER, pk=pk)
    wrong = [position for position in body.credits if not position.isdecimal() or len(position) > 6]
    if wrong:
        raise invalid("credits", wrong[0], _("a line's position"))
    credits = {int(position): amount for position, amount in body.credits.items()}
    return actions.answer(actor(request), key=key(request), statement=found, reason=body.reason, credits=credits)


@router.get("/bank/files/", response=Page[FileOut])
def bank_files(request: HttpRequest, paging: Query[Paging]) -> Cut:
    """Bank files taken in, newest first."""
    return cut(queries.bank_files(actor(request)), paging)


@router.post("/bank/files/", response=FileOut)
def import_bank_report(request: HttpRequest, bank: Form[Id], file: File[UploadedFile]) -> BankFile:
    """Take in a bank's file (CSV or XLSX)."""
    found = get_visible(parties_of(actor(request), REPORT), actor(request), REPORT, pk=bank)
    return actions.import_bank_report(
        actor(request), key=key(request), bank=found, name=file.name or "",
        data=file.read(intake.UPLOAD_BYTES_MAX + 1),
    )  # fmt: skip


@router.get("/exceptions/", response=Page[ExceptionOut])
def exceptions(request: HttpRequest, paging: Query[Paging], resolved: bool = False) -> Cut:
    """What in bank reports needs a person."""
    return cut(queries.exceptions(actor(request), resolved=resolved), paging)


@router.post("/exceptions/{pk}/resolve/", response=ResolutionOut)
def resolve(request: HttpRequest, pk: Id, body: ResolveIn) -> Resolution:
    """Settle an exception, by a reason or by a statement that its amount pays."""
    who = actor(request)
    found = queries.statement(who, body.statement) if body.statement else None
    exception = queries.exception(who, pk)
    return actions.resolve_exception(
        who, key=key(request), exception=exception, reason=body.reason, statement=found
    )


@router.get("/records/{pk}/proof/", response=dict[str, Any])
def proof(request: HttpRequest, pk: Id) -> dict[str, Any]:
    """Inclusion proof of a record that concerns a party of the caller's."""
    return log.inclusion(queries.record(actor(request), pk))
