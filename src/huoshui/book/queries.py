"""Reads of the book that more than one face needs. Each takes the actor and shows what that actor may see."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import F, Q, QuerySet, Sum, Window
from django.urls import reverse
from django.utils.translation import gettext as _

from huoshui.base import canonical, clock
from huoshui.base.access import Actor, get_visible, visible
from huoshui.base.errors import Missing
from huoshui.base.models import LogRecord
from huoshui.base.queries import log_records
from huoshui.book.ledger import CNY, show
from huoshui.book.models import (
    GRANT,
    Account,
    BankException,
    BankFile,
    BankReport,
    Entry,
    Kind,
    LimitGrant,
    State,
    Statement,
)
from huoshui.book.models import StatementLine as Line
from huoshui.book.permissions import READ
from huoshui.registry.models import Party
from huoshui.registry.queries import parties_of

BPS = 10_000


# --- accounts ---------------------------------------------------------------------------------------------------------


def parties(actor: Actor) -> QuerySet[Party]:
    """Parties whose accounts the actor may see."""
    return parties_of(actor, READ)


def with_balances(found: Iterable[Party], asset: str = CNY) -> list[tuple[Party, dict[str, int]]]:
    """Each party with its balances by kind, every kind present; what it granted to others is left out."""
    listed = list(found)
    sums: dict[int, dict[str, int]] = defaultdict(lambda: dict.fromkeys(Kind.values, 0))
    rows = Account.objects.filter(party__in=listed, asset=asset).exclude(subject__startswith=GRANT)
    for party, kind, total in rows.order_by().values_list("party", "kind").annotate(total=Sum("balance__amount")):
        sums[party][kind] = total or 0
    return [(party, sums[party.pk]) for party in listed]


def party(actor: Actor, pk: int) -> Party:
    """One party whose accounts the actor may see. Raises Missing."""
    return get_visible(Party.objects.all(), actor, READ, pk=pk)


def sums(party: Party, asset: str = CNY) -> list[tuple[Kind, int]]:
    """A party's balances by kind, in the order of the chain."""
    ((_party, found),) = with_balances([party], asset)
    return [(Kind(kind), found[kind]) for kind in Kind.values]


def grants(actor: Actor, party: Party) -> list[LimitGrant]:
    """The last word of each grantor about a party's limit."""
    last: dict[tuple[int, str, str], LimitGrant] = {}
    for grant in visible(LimitGrant.objects.filter(party=party), actor, READ).select_related("grantor").order_by("pk"):
        last[grant.grantor_id, grant.asset, grant.earmark] = grant
    return list(last.values())


def accounts(actor: Actor, party: Party) -> QuerySet[Account]:
    """A party's accounts with a balance other than zero, by asset and kind."""
    rows = visible(Account.objects.all(), actor, READ).filter(party=party)
    return rows.exclude(balance__amount=0).select_related("balance").order_by("asset", "kind", "subject")


def account(actor: Actor, pk: int) -> Account:
    """One account. Raises Missing."""
    return get_visible(Account.objects.select_related("party", "balance"), actor, READ, pk=pk)


def entries(account: Account) -> QuerySet[Entry]:
    """An account's entries, newest first, each with the balance after it (`after`)."""
    rows = Entry.objects.filter(account=account).select_related("posting__record")
    return rows.annotate(after=Window(Sum("amount"), order_by=F("id").asc())).order_by("-id")


# --- statements -------------------------------------------------------------------------------------------------------


def statements(actor: Actor, *, state: str = "", text: str = "", party: int | None = None) -> QuerySet[Statement]:
    """The statements that the actor may see, newest first, with `total` in fen."""
    found = visible(Statement.objects.select_related("payer"), actor, READ)
    if state:
        found = found.filter(state=state)
    if text := text.strip():
        found = found.filter(Q(number__icontains=text) | Q(payer__name__icontains=text) | Q(contract__icontains=text))
    if party:
        found = found.filter(Q(payer=party) | Q(pk__in=Line.objects.filter(payee=party).values("statement")))
    return found.order_by("-pk")


def statement(actor: Actor, pk: int) -> Statement:
    """One statement. Raises Missing."""
    return get_visible(Statement.objects.select_related("payer"), actor, READ, pk=pk)


def lines(actor: Actor, statement: Statement) -> list[Line]:
    """The lines that the actor may see: the payer's people all of them, a payee's people their own."""
    rows = statement.lines.select_related("payee", "record").order_by("position")
    if actor.can(READ, statement.payer):
        return list(rows)
    own = set(parties_of(actor, READ).filter(statement_lines__statement=statement).values_list("pk", flat=True))
    return [line for line in rows if line.payee_id in own]


def totals(found: Iterable[Statement], actor: Actor) -> dict[int, int]:
    """What the lines that the actor may see sum to, by statement key."""
    payers = {row.pk: row.payer_id for row in found}
    rows = Line.objects.filter(statement__in=payers).order_by().values_list("statement", "payee")
    sums = list(rows.annotate(total=Sum("amount")))
    named = {payee for _statement, payee, _total in sums} | set(payers.values())
    own = set(parties_of(actor, READ).filter(pk__in=named).values_list("pk", flat=True))
    totals: dict[int, int] = defaultdict(int)
    for statement, payee, total in sums:
        if payers[statement] in own or payee in own:
            totals[statement] += total
    return totals


@dataclass(frozen=True)
class Share:
    """What one payee gets by a statement, of it the VAT, and what is still owed (fen; None before it is accepted)."""

    payee: Party
    amount: int
    vat: int
    owed: int | None


def vat_of(amount: int, vat_bps: int) -> int:
    """The VAT inside an amount that includes it: amount − amount / (1 + rate), the net rounded half away from zero."""
    base = BPS + vat_bps
    net = (2 * abs(amount) * BPS + base) // (2 * base)
    return amount - net if amount >= 0 else amount + net


def shares(found: Iterable[Line]) -> list[Share]:
    """Lines of one statement summed by payee."""
    listed = list(found)
    label = canonical.label(listed[0].statement) if listed else ""
    due = Account.objects.filter(kind=Kind.RECEIVABLE, subject=label, balance__amount__gt=0)
    owed = dict(due.values_list("party", "balance__amount"))
    told = bool(listed) and listed[0].statement.state in (State.ACCEPTED, State.PAID)
    by_payee: dict[int, list[Line]] = defaultdict(list)
    for line in listed:
        by_payee[line.payee_id].append(line)
    return [
        Share(
            own[0].payee, sum(line.amount for line in own), sum(vat_of(line.amount, line.vat_bps) for line in own),
            owed.get(payee, 0) if told else None,
        )
        for payee, own in by_payee.items()
    ]  # fmt: skip


def events(statement: Statement) -> list[dict[str, Any]]:
    """A statement's life for the timeline, newest first."""
    rows = statement.events.select_related("record").order_by("-pk")
    return [
        {
            "at": event.at,
            "title": event.get_what_display(),
            "body": " ".join([event.note, "" if event.amount is None else show(event.amount, statement.asset)]).strip(),
            "url": reverse("book:proof", args=[event.record_id]),
        }
        for event in rows
    ]


def scaled(value: int | None, places: int) -> Decimal | None:
    """An integer as the decimal number that it stands for."""
    return None if value is None else Decimal(value).scaleb(-places)


def to_answer(actor: Actor) -> QuerySet[Statement]:
    """Contested statements, the longest waiting first."""
    return visible(Statement.objects.filter(state=State.CONTESTED), actor, READ).order_by("pk")


def to_accept(actor: Actor) -> QuerySet[Statement]:
    """Statements issued whose contest period runs, the first to end first."""
    rows = visible(Statement.objects.filter(state=State.ISSUED, contest_until__gte=clock.today()), actor, READ)
    return rows.order_by("contest_until", "pk")


# --- bank -------------------------------------------------------------------------------------------------------------


def bank_files(actor: Actor) -> QuerySet[BankFile]:
    """Files taken in, newest first."""
    return visible(BankFile.objects.select_related("bank"), actor, READ).order_by("-pk")


def bank_file(actor: Actor, pk: int) -> BankFile:
    """One file. Raises Missing."""
    return get_visible(BankFile.objects.select_related("bank"), actor, READ, pk=pk)


def bank_reports(actor: Actor) -> QuerySet[BankReport]:
    """Reports taken in, newest first."""
    return visible(BankReport.objects.select_related("bank", "party"), actor, READ).order_by("-pk")


def exceptions(actor: Actor, *, resolved: bool = False) -> QuerySet[BankException]:
    """Exceptions of bank reports, newest first."""
    rows = BankException.objects.select_related("file__bank", "report__party", "resolution__statement")
    return visible(rows, actor, READ).filter(resolution__isnull=not resolved).order_by("-pk")


def exception(actor: Actor, pk: int) -> BankException:
    """One exception. Raises Missing."""
    return get_visible(BankException.objects.select_related("file__bank", "report__party"), actor, READ, pk=pk)


# --- proof ------------------------------------------------------------------------------------------------------------


def record(actor: Actor, pk: int) -> LogRecord:
    """A sealed record that the actor may have proved: their own acts, the whole log with that permission, and every
    record that moved or concerns something of a party whose book they may see. Raises Missing."""
    own = log_records(actor).filter(pk=pk).first()
    if own is not None:
        return own
    found = LogRecord.objects.filter(pk=pk, leaf__isnull=False).select_related("leaf").first()
    if found is not None and _concerns(actor, found):
        return found
    raise Missing(_("There is nothing here, or it is not yours to see."))


def _concerns(actor: Actor, record: LogRecord) -> bool:
    moved = Account.objects.filter(entries__posting__record=record)
    told = Statement.objects.filter(Q(events__record=record) | Q(lines__record=record))
    taken_in = BankFile.objects.filter(record=record)
    return any(visible(rows, actor, READ).exists() for rows in (moved, told, taken_in))
