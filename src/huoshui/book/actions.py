"""Writes of the book that people do: limits, bank reports, statements contested and accepted, exceptions resolved."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any, TypeVar

from django.db.models import Model
from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.base.act import Act, action
from huoshui.base.errors import Conflict, Invalid, Problem, Refused, invalid
from huoshui.base.models import LogRecord
from huoshui.book import banks, services
from huoshui.book.banks import Row
from huoshui.book.ledger import AMOUNT_MAX, show
from huoshui.book.models import (
    BankException,
    BankFile,
    BankReport,
    Invoice,
    LimitGrant,
    Resolution,
    State,
    Statement,
    StatementEvent,
    StatementLine,
)
from huoshui.book.permissions import ACCEPT, ANSWER, CONTEST, GRANT, INVOICE, REPORT, RESOLVE
from huoshui.book.services import LineDraft, Settlement
from huoshui.registry.models import Party, RoleKind
from huoshui.registry.queries import centre

ANSWER_WORKING_DAYS = 5
NOTE_MAX = 500
LOOKUP = 400
LAPSED_PER_RUN_MAX = 10_000
CREDIT = "credit"
REASON = BankException.Reason


def _note(field_name: str, text: str) -> str:
    text = text.strip()
    if not text or len(text) > NOTE_MAX:
        raise invalid(field_name, text[:80], _("say it in 1 to %(max)s characters") % {"max": NOTE_MAX})
    return text


# --- limits -----------------------------------------------------------------------------------------------------------


@action("book.limit.grant")
def grant_limit(act: Act, *, party: Party, amount: int, evidence: str) -> LimitGrant:
    """The centre approves credit of `amount` fen in all for a party (replacing what it approved before)."""
    act.require(GRANT, party)
    evidence = _note("evidence", evidence)[:200]
    if not 0 <= amount <= AMOUNT_MAX:
        raise invalid("amount", amount, _("between 0 and %(max)s fen") % {"max": AMOUNT_MAX})
    record = act.record(party, {"credit": amount, "evidence": evidence})
    return services.set_limit(act, record, party, centre(), amount, evidence)


# --- statements -------------------------------------------------------------------------------------------------------


@action("book.statement.contest")
def contest(act: Act, *, statement: Statement, reason: str) -> Statement:
    """The payer says what is wrong with a statement, within its contest period."""
    act.require(CONTEST, statement.payer)
    reason = _note("reason", reason)
    record = act.record(statement, {"contested": True})
    return services.contest(act, record, statement, reason)


@action("book.statement.answer")
def answer(act: Act, *, statement: Statement, reason: str, credits: dict[int, int]) -> Statement:
    """Answer a contested statement: fen to give back by line position (none: it stands). A new contest period runs."""
    act.require(ANSWER, statement)
    if statement.state != State.CONTESTED:
        raise Conflict(_("Statement %(number)s is not contested.") % {"number": statement.number})
    reason = _note("reason", reason)
    lines = {line.position: line for line in statement.lines.select_related("payee")}
    given = {position: amount for position, amount in sorted(credits.items()) if amount}
    back: dict[int, int] = defaultdict(int)  # what earlier answers gave back on each line
    for line in lines.values():
        if line.kind == CREDIT:
            back[line.params["line"]] -= line.amount
    for position, amount in given.items():
        if position not in lines or not 0 < amount <= lines[position].amount - back[position]:
            raise invalid(f"line {position}", show(amount, statement.asset), _("at most the amount of the line"))
    record = act.record(statement, {"answered": True, "credits": given})
    until = services.contest_deadline(clock.today(), ANSWER_WORKING_DAYS)
    drafts = [_credit(lines[position], amount) for position, amount in given.items()]
    return services.adjust(act, record, statement, drafts, reason, until)


def _credit(line: StatementLine, amount: int) -> LineDraft:
    return LineDraft(line.payee, CREDIT, line.vat_bps, "book.credit", amount=-amount, params={"line": line.position})


@action("book.statement.accept")
def accept(act: Act, *, statement: Statement) -> Statement:
    """The payer accepts a statement: what was committed becomes payable."""
    act.require(ACCEPT, statement.payer)
    record = act.record(statement, {"accepted": services.statement_total(statement)})
    return services.accept(act, record, statement)


@action("book.statement.lapse")
def lapse(act: Act, *, statement: Statement) -> Statement:
    """A statement that nobody contested in time counts as accepted."""
    act.require(ACCEPT, statement.payer)
    if clock.today() <= statement.contest_until:
        raise Conflict(_("Statement %(number)s can still be contested.") % {"number": statement.number})
    record = act.record(statement, {"lapsed": services.statement_total(statement)})
    return services.accept_many(act, record, [statement], StatementEvent.What.LAPSED)[0]


def lapse_due(actor: Actor) -> int:
    """Accept every statement whose contest period has ended; returns how many. Safe to repeat."""
    due = Statement.objects.filter(state=State.ISSUED, contest_until__lt=clock.today()).order_by("pk")
    done = 0
    for statement in due[:LAPSED_PER_RUN_MAX]:
        try:
            lapse(actor, statement=statement)
        except Refused as refused:
            if refused.code not in ("statement_state", "over_limit"):
                raise
        else:
            done += 1
    return done


@action("book.statement.invoice")
def give_invoice(act: Act, *, statement: Statement, payee: Party, number: str) -> Invoice:
    """A payee gives the number of its invoice for its lines of a statement."""
    act.require(INVOICE, payee)
    number = number.strip()
    if not 1 <= len(number) <= 40:
        raise invalid("number", number[:80], _("between 1 and 40 characters"))
    if not statement.lines.filter(payee=payee).exists():
        raise invalid("payee", payee.name, _("has no line on this statement"))
    record = act.record(statement, {"invoice": number, "payee": payee})
    made, _created = Invoice.objects.get_or_create(
        statement=statement, payee=payee, number=number, defaults={"record": record}
    )
    what = StatementEvent.What.INVOICED
    StatementEvent.objects.create(statement=statement, what=what, at=act.at, note=number, record=record)
    return made


# --- bank reports -----------------------------------------------------------------------------------------------------


@action("book.bank.report")
def import_bank_report(act: Act, *, bank: Party, name: str, data: bytes, adapter: str = "files") -> BankFile:
    """Take in a bank's file: payments settle statements, balances set limits, what does not fit becomes an exception.

    The same file, or the same row under the same bank reference, is taken in once. Raises Invalid, and takes in
    nothing, when the file itself is malformed.
    """
    act.require(REPORT, bank)
    if not bank.has_role(RoleKind.BANK):
        raise invalid("bank", bank.name, _("is not a bank"))
    digest = hashlib.sha256(data).hexdigest()
    if known := BankFile.objects.filter(bank=bank, digest=digest).first():
        act.nothing_changed()
        return known
    rows = banks.adapters[adapter].read(name, data)
    _check_days(rows)
    record = act.record(bank, {"file": digest, "name": name, "rows": len(rows)})
    file = BankFile.objects.create(
        bank=bank, name=name[-200:], digest=digest, rows=len(rows), imported_at=act.at, record=record
    )
    _Import(act, record, file).run(rows)
    return file


def _check_days(rows: Iterable[Row]) -> None:
    late = [
        Problem("date", row.on.isoformat(), _("lies in the future"), row.line) for row in rows if row.on > clock.today()
    ]
    if late:
        raise Invalid(*late)


@dataclass
class _Import:
    """One file on its way into the book."""

    act: Act
    record: LogRecord
    file: BankFile
    exceptions: list[BankException] = field(default_factory=list)

    def run(self, rows: list[Row]) -> None:
        fresh = self._fresh(rows)
        parties = _by(Party, "uscc", [code for row in fresh for code in (row.uscc, row.payee_uscc) if code])
        numbers = [row.statement_number for row in fresh if row.statement_number]
        statements = _by(Statement, "number", numbers)
        # Told before anything of this file is stored: the newest balance day of each party so far.
        newest = self._newest_balances(parties.values())
        reports = BankReport.objects.bulk_create(self._report(row, parties.get(row.uscc)) for row in fresh)
        balances = self._balances([report for report in reports if report.kind == BankReport.Kind.BALANCE], newest)
        payments = [report for report in reports if report.kind == BankReport.Kind.PAYMENT]
        settlement = Settlement(
            self.act, self.record, bank=self.file.bank, statements=statements.values(),
            limits=[(report.party, self.file.bank) for report in balances if report.party],
        )  # fmt: skip
        for report in sorted(payments, key=lambda report: (report.on, report.pk)):
            self._pay(settlement, report, parties, statements.get(report.statement_number))
        for report in balances:
            self._limit(settlement, report)
        settlement.write()
        self._unknown(reports)
        BankException.objects.bulk_create(self.exceptions)

    def _fresh(self, rows: list[Row]) -> list[Row]:
        """Rows under references that are new; the same reference with other content is an exception."""
        stored = _by(BankReport, "reference", [row.reference for row in rows], bank=self.file.bank)
        known: dict[str, BankReport | Row] = {**stored}
        fresh = []
        for row in rows:
            before = known.setdefault(row.reference, row)
            if before is row:
                fresh.append(row)
            elif row.content != before.content:
                detail = {"row": row.line, "reference": row.reference, "uscc": row.uscc, "on": row.on.isoformat()}
                self._exception(REASON.DUPLICATE, row.amount, None, detail)
        return fresh

    def _report(self, row: Row, party: Party | None) -> BankReport:
        return BankReport(
            file=self.file, bank=self.file.bank, kind=row.kind, reference=row.reference, uscc=row.uscc, party=party,
            payee_uscc=row.payee_uscc, amount=row.amount, on=row.on, statement_number=row.statement_number,
            record=self.record,
        )  # fmt: skip

    def _newest_balances(self, parties: Iterable[Party]) -> dict[int, date]:
        rows = BankReport.objects.filter(bank=self.file.bank, party__in=list(parties), kind=BankReport.Kind.BALANCE)
        return dict(rows.order_by("on").values_list("party", "on"))

    def _balances(self, reports: list[BankReport], newest: dict[int, date]) -> list[BankReport]:
        """The last balance of each party, unless the bank has told a later day's before."""
        last: dict[int, BankReport] = {}
        for report in sorted(reports, key=lambda report: (report.on, report.pk)):
            if report.party_id and report.on >= newest.get(report.party_id, report.on):
                last[report.party_id] = report
        return list(last.values())

    def _pay(
        self, settlement: Settlement, report: BankReport, parties: dict[str, Party], statement: Statement | None
    ) -> None:
        if report.party is None:
            return
        found = settlement.statements.get(statement.pk) if statement else None
        payee = parties.get(report.payee_uscc)
        if found is None or not _payable(found, report) or (report.payee_uscc and payee is None):
            self._exception(REASON.UNMATCHED, report.amount, report)
            return
        used = settlement.pay(found, report.amount, payee, report.on, report.reference)
        if used < report.amount:
            self._exception(REASON.AMOUNT_DIFFERS, report.amount - used, report)

    def _limit(self, settlement: Settlement, report: BankReport) -> None:
        assert report.party is not None
        grant = settlement.set_limit(report.party, self.file.bank, report.amount, f"{report.on} {report.reference}")
        if grant.short:
            self._exception(REASON.OVER_RESERVED, grant.short, report)

    def _unknown(self, reports: Iterable[BankReport]) -> None:
        for report in reports:
            if report.party_id is None:
                self._exception(REASON.UNKNOWN_ACCOUNT, report.amount, report)

    def _exception(
        self, reason: str, amount: int, report: BankReport | None, detail: dict[str, object] | None = None
    ) -> None:
        self.exceptions.append(
            BankException(file=self.file, report=report, reason=reason, amount=amount, detail=detail or {})
        )


def _payable(statement: Statement, report: BankReport) -> bool:
    return statement.payer_id == report.party_id and statement.state in (State.ACCEPTED, State.PAID)


M = TypeVar("M", bound=Model)


def _by(model: type[M], name: str, values: Iterable[str], **more: Any) -> dict[str, M]:
    """Rows by one of their fields."""
    wanted = sorted(set(values))
    found: dict[str, M] = {}
    for start in range(0, len(wanted), LOOKUP):
        rows = model._default_manager.filter(**{f"{name}__in": wanted[start : start + LOOKUP]}, **more)
        found |= {getattr(row, name): row for row in rows}
    return found


def import_waiting(actor: Actor, bank: Party) -> list[BankFile]:
    """Take in every document that any adapter holds for a bank; those taken in before change nothing."""
    return [
        import_bank_report(actor, bank=bank, name=name, data=data, adapter=code)
        for code, adapter in banks.adapters.items()
        for name, data in adapter.waiting(bank)
    ]


@action("book.exception.resolve")
def resolve_exception(
    act: Act, *, exception: BankException, reason: str, statement: Statement | None = None
) -> Resolution:
    """Settle an exception by a reason, or by matching its amount to an accepted statement."""
    act.require(RESOLVE, exception)
    reason = _note("reason", reason)
    if Resolution.objects.filter(exception=exception).exists():
        raise Conflict(_("This exception is settled already."))
    record = act.record(exception, {"reason": reason, "statement": statement})
    if statement is not None:
        _match(act, record, exception, statement)
    return Resolution.objects.create(exception=exception, statement=statement, reason=reason, at=act.at, record=record)


def _match(act: Act, record: LogRecord, exception: BankException, statement: Statement) -> None:
    report = exception.report
    if report is None or report.kind != BankReport.Kind.PAYMENT:
        raise invalid("statement", statement.number, _("only a payment can settle a statement"))
    if report.uscc != statement.payer.uscc:
        raise invalid("statement", statement.number, _("the payment came from another party"))
    if services.pay(act, record, report, statement, exception.amount) < exception.amount:
        raise invalid("statement", statement.number, _("less is owed on it than was paid"))
