"""What other modules call to move authority and money, always inside an action of theirs.

The chain of authority is limit → held → committed → payable. Each function takes the `Act` under way and the log
record that its postings cite. Functions that end in `_many` do the same for a batch under one locking of balances, in
the order of their ids; an action that touches several balances should call one of them once.

A limit may be earmarked: given for one purpose only, such as a fund (`policy.fund:3`). Its account has the earmark as
subject, its grant is `grant/registry.party:ID@EARMARK`, and what is drawn on it goes back to it or is paid out of it.

| step | postings (payer unless said) |
|---|---|
| `set_limit` | grantor limit `grant/registry.party:ID` −, limit + (or back, as far as it is free) |
| `commit_part` | held −, committed +; the rest stays held |
| `hold`, `release_hold` | limit −, held + (and back) |
| `commit` | held −, committed +; the rest of the hold back to limit |
| `release_commitment` | committed −, limit + |
| `accept` | committed −, payable +; receivable + of each payee, receivable − of the payer |
| `pay` | payable −, grants +; receivable − of the payee, + of the payer; paid + of the payee, − of the payer |
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.db.models import Max, Sum
from django.utils.translation import gettext as _

from huoshui import terms
from huoshui.base import canonical, clock
from huoshui.base.act import Act
from huoshui.base.errors import Conflict, Invalid, Problem, Refused, invalid
from huoshui.base.models import LogRecord
from huoshui.book.ledger import ASSETS, CNY, SCH, Key, Leg, Working, check_zero, register_asset, replay, show
from huoshui.book.models import (
    GRANT,
    OPEN,
    Account,
    Balance,
    BankReport,
    Kind,
    LimitGrant,
    Posting,
    State,
    Statement,
    StatementEvent,
    StatementLine,
)
from huoshui.registry.models import Party
from huoshui.registry.queries import calendar

__all__ = [
    "ASSETS", "CNY", "SCH", "Hold", "Leg", "LineDraft", "Settlement", "accept", "accept_many", "adjust", "balance",
    "balances", "by_payee", "cancel", "check_zero", "commit", "commit_many", "commit_part", "contest",
    "contest_deadline", "grant_subject", "hold", "hold_many", "issue_statement", "on_accepted", "on_paid", "pay",
    "post", "post_many", "register_asset", "release_commitment", "release_commitment_many", "release_hold",
    "release_hold_many", "replay", "set_limit", "show", "statement_total",
]  # fmt: skip

LINES_MAX = 5_000
MFEN_SECONDS = 3_600_000
"""Card-seconds × price (1/1000 fen per card-hour) over this is fen."""
EVENT = StatementEvent.What
Hook = Callable[[Act, LogRecord, list[Statement]], None]
_accepted: dict[str, Hook] = {}
_paid: dict[str, Hook] = {}


def on_accepted(desk: str, hook: Hook) -> None:
    """Say what a desk does when statements of its are accepted, in the same transaction (from `AppConfig.ready`)."""
    _accepted[desk] = hook


def on_paid(desk: str, hook: Hook) -> None:
    """Say what a desk does when banks have reported all of some statements of its paid, in the same transaction."""
    _paid[desk] = hook


def _call(hooks: dict[str, Hook], act: Act, record: LogRecord, statements: Sequence[Statement]) -> None:
    for desk, hook in hooks.items():
        if mine := [statement for statement in statements if statement.desk == desk]:
            hook(act, record, mine)


# --- reading ----------------------------------------------------------------------------------------------------------


def grant_subject(party: Party, earmark: str = "") -> str:
    """Subject of the account in which a grantor's limits for a party stand."""
    return f"{GRANT}{canonical.label(party)}" + (f"@{earmark}" if earmark else "")


def balance(party: Party, kind: str, asset: str = CNY, subject: str = "") -> int:
    """The balance of one account; 0 when nothing ever moved there. Without a lock: for showing, not for deciding."""
    found = Balance.objects.filter(
        account__party=party, account__kind=kind, account__asset=asset, account__subject=subject
    )
    return found.values_list("amount", flat=True).first() or 0


def balances(party: Party, asset: str = CNY) -> dict[str, int]:
    """Sum by kind over all subjects of a party, every kind present; what the party granted to others is left out."""
    rows = Account.objects.filter(party=party, asset=asset).exclude(subject__startswith=GRANT)
    sums = dict(rows.values_list("kind").annotate(total=Sum("balance__amount")).order_by())
    return {kind: sums.get(kind) or 0 for kind in Kind.values}


# --- postings ---------------------------------------------------------------------------------------------------------


def post(
    act: Act, record: LogRecord, legs: Sequence[Leg], effective_on: date | None = None, memo: str = ""
) -> Posting:
    """One posting. Its legs sum to zero per asset within each circle: authority, receivable, paid (AssertionError
    else). Raises Refused(code="over_limit") when limit, held, committed or payable would fall below zero."""
    return post_many(act, record, [legs], effective_on, memo)[0]


def post_many(
    act: Act, record: LogRecord, postings: Sequence[Sequence[Leg]], effective_on: date | None = None, memo: str = ""
) -> list[Posting]:
    """Several postings under one locking, in order."""
    working = Working(act, record, (leg.key for legs in postings for leg in legs))
    for legs in postings:
        working.post(legs, memo or act.name, effective_on)
    return working.write()


@dataclass(frozen=True)
class Hold:
    """An amount under a subject (canonical label, such as `compute.request:12`) of a party.

    `amount` None means all that is there, where the step allows it. `earmark` names the limit that it draws on.
    """

    party: Party
    subject: str
    amount: int | None = None
    asset: str = CNY
    earmark: str = ""

    def key(self, kind: str) -> Key:
        """The account of a kind that this is about."""
        return Key(self.party.pk, str(kind), self.asset, self.earmark if kind == Kind.LIMIT else self.subject)


def _leg(key: Key, amount: int) -> Leg:
    return Leg(key.party, key.kind, key.asset, key.subject, amount)


def _move(working: Working, item: Hold, source: str, target: str, amount: int, memo: str) -> None:
    if amount < 0:
        raise invalid("amount", amount, _("must not be negative"))
    if amount:
        working.post([_leg(item.key(source), -amount), _leg(item.key(target), amount)], memo)


def hold_many(act: Act, record: LogRecord, items: Sequence[Hold]) -> list[Posting]:
    """limit → held for each item; all or none."""
    working = Working(act, record, [item.key(kind) for item in items for kind in (Kind.LIMIT, Kind.HELD)])
    for item in items:
        if item.amount is None or item.amount <= 0:
            raise invalid("amount", item.amount, _("must be greater than zero"))
        _move(working, item, Kind.LIMIT, Kind.HELD, item.amount, "book.hold")
    return working.write()


def release_hold_many(act: Act, record: LogRecord, items: Sequence[Hold]) -> list[Posting]:
    """held → limit for each item; all of the hold where no amount is given."""
    return _release(act, record, items, Kind.HELD, "book.release_hold")


def release_commitment_many(act: Act, record: LogRecord, items: Sequence[Hold]) -> list[Posting]:
    """committed → limit for each item; all of the commitment where no amount is given."""
    return _release(act, record, items, Kind.COMMITTED, "book.release_commitment")


def _release(act: Act, record: LogRecord, items: Sequence[Hold], source: str, memo: str) -> list[Posting]:
    working = Working(act, record, [item.key(kind) for item in items for kind in (source, Kind.LIMIT)])
    for item in items:
        amount = working[item.key(source)] if item.amount is None else item.amount
        _move(working, item, source, Kind.LIMIT, amount, memo)
    return working.write()


def commit_part(act: Act, record: LogRecord, item: Hold) -> list[Posting]:
    """held → committed of the item's amount; the rest of its hold stays held."""
    working = Working(act, record, [item.key(kind) for kind in (Kind.HELD, Kind.COMMITTED)])
    if item.amount is None:
        raise invalid("amount", item.amount, _("says how much is committed"))
    _move(working, item, Kind.HELD, Kind.COMMITTED, item.amount, "book.commit")
    return working.write()


def commit_many(act: Act, record: LogRecord, items: Sequence[Hold]) -> list[Posting]:
    """held → committed for each item's amount; the rest of its hold goes back to limit. 0 commits nothing."""
    kinds = (Kind.LIMIT, Kind.HELD, Kind.COMMITTED)
    working = Working(act, record, [item.key(kind) for item in items for kind in kinds])
    for item in items:
        if item.amount is None:
            raise invalid("amount", item.amount, _("says how much is committed"))
        _move(working, item, Kind.HELD, Kind.COMMITTED, item.amount, "book.commit")
        _move(working, item, Kind.HELD, Kind.LIMIT, working[item.key(Kind.HELD)], "book.release_hold")
    return working.write()


def hold(act: Act, record: LogRecord, party: Party, subject: str, amount: int, asset: str = CNY) -> None:
    """Reserve an amount of the party's limit under a subject. Raises Refused(code="over_limit")."""
    hold_many(act, record, [Hold(party, subject, amount, asset)])


def release_hold(
    act: Act, record: LogRecord, party: Party, subject: str, amount: int | None = None, asset: str = CNY
) -> None:
    """Give back a hold, or a part of it."""
    release_hold_many(act, record, [Hold(party, subject, amount, asset)])


def commit(act: Act, record: LogRecord, party: Party, subject: str, amount: int, asset: str = CNY) -> None:
    """Commit an amount of the hold and give back the rest of it."""
    commit_many(act, record, [Hold(party, subject, amount, asset)])


def release_commitment(
    act: Act, record: LogRecord, party: Party, subject: str, amount: int | None = None, asset: str = CNY
) -> None:
    """Give back a commitment, or a part of it."""
    release_commitment_many(act, record, [Hold(party, subject, amount, asset)])


# --- statements -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LineDraft:
    """A line to be: card-time at a price (1/1000 fen per card-hour), or a fixed amount in fen.

    The amount of card-time at a price is floor(milli-card-hours × price / 1,000,000), or floor(card-seconds × price /
    3,600,000) where an engine counted it, floored once per line.
    A negative amount is a concession or a credit. `description` is a code with `params`; `evidence` a SHA-256 digest.
    """

    payee: Party
    kind: str
    vat_bps: int
    description: str
    amount: int | None = None
    quantity_mch: int | None = None
    card_seconds: int | None = None
    price_mfen: int | None = None
    params: dict[str, Any] = field(default_factory=dict)
    evidence: str = ""

    @property
    def total(self) -> int:
        """The line's amount in fen."""
        if self.price_mfen is None:
            assert self.amount is not None, "a line without price needs an amount"
            return self.amount
        assert self.amount is None, "quantity and price give the amount"
        if self.card_seconds is not None:
            assert self.quantity_mch is None, "card-time is counted once"
            return self.card_seconds * self.price_mfen // MFEN_SECONDS
        assert self.quantity_mch is not None, "a price needs a quantity"
        return terms.amount_fen(self.quantity_mch, self.price_mfen) // 1000


def contest_deadline(on: date, working_days: int) -> date:
    """The last day on which a statement issued on a day may be contested, by the published calendars."""
    return calendar().add_working_days(on, working_days).date


def statement_total(statement: Statement) -> int:
    """What the payer owes to others in all, in fen, VAT included."""
    return sum(by_payee(statement).values())


def by_payee(statement: Statement) -> dict[int, int]:
    """Net amount of each payee's lines, by party key. Lines that a payer would pay itself are nobody's claim."""
    lines = statement.lines.exclude(payee=statement.payer_id).order_by()
    rows = lines.values_list("payee").annotate(total=Sum("amount"))
    return {payee: total for payee, total in rows if total}


def _event(
    act: Act, record: LogRecord, statement: Statement, what: str, state: str, note: str = "", amount: int | None = None
) -> None:
    StatementEvent.objects.create(statement=statement, what=what, at=act.at, note=note, amount=amount, record=record)
    if statement.state != state:
        statement.state = state
        statement.save(update_fields=["state"])


def _lock(statements: Iterable[Statement], *states: str) -> list[Statement]:
    """The statements, locked in id order and read anew. Raises Conflict when one is in another state."""
    keys = {statement.pk for statement in statements}
    found = list(Statement.objects.select_for_update().filter(pk__in=keys).order_by("pk"))
    for statement in found:
        if statement.state not in states:
            raise Conflict(
                _("Statement %(number)s is %(state)s.")
                % {"number": statement.number, "state": State(statement.state).label},
                code="statement_state", number=statement.number, state=statement.state,
            )
    return found


def _add_lines(record: LogRecord, statement: Statement, lines: Sequence[LineDraft]) -> None:
    last = statement.lines.aggregate(last=Max("position"))["last"] or 0
    if last + len(lines) > LINES_MAX:
        raise invalid("lines", last + len(lines), _("at most %(max)s lines") % {"max": LINES_MAX})
    StatementLine.objects.bulk_create(
        StatementLine(
            statement=statement, position=position, payee=line.payee, kind=line.kind, quantity_mch=line.quantity_mch,
            card_seconds=line.card_seconds, price_mfen=line.price_mfen, amount=line.total, vat_bps=line.vat_bps,
            description=line.description, params=canonical.plain(line.params), evidence=line.evidence, record=record,
        )
        for position, line in enumerate(lines, last + 1)
    )
    names = {line.payee_id: line.payee.name for line in statement.lines.select_related("payee")}
    problems = [
        Problem("lines", show(total, statement.asset), _("what %(payee)s gets is below zero") % {"payee": names[payee]})
        for payee, total in by_payee(statement).items()
        if total < 0
    ]
    if problems:
        raise Invalid(*problems)


def issue_statement(
    act: Act,
    record: LogRecord,
    *,
    desk: str,
    subject: str,
    payer: Party,
    lines: Sequence[LineDraft],
    contest_until: date,
    contract: str = "",
    asset: str = CNY,
    secured: bool = True,
    final: bool = True,
    earmark: str = "",
    signed_on: date | None = None,
    used: tuple[date, date] | None = None,
) -> Statement:
    """Tell the payer what is owed to whom. Moves nothing: that is `accept`'s part.

    Secured statements are paid out of what is committed under `subject`; once a `final` one is accepted, what no open
    one needs is released. Each payee's lines must not sum below zero (a payee who owes gets a statement of its own, not
    secured).
    `earmark`: the limit that was drawn on; `signed_on`, `used`: day of the contract, first and last day of use.
    """
    used_from, used_to = used or (None, None)
    statement = Statement.objects.create(
        desk=desk, subject=subject, payer=payer, asset=asset, secured=secured, final=final, contract=contract,
        issued_at=act.at, contest_until=contest_until, earmark=earmark, signed_on=signed_on, used_from=used_from,
        used_to=used_to,
    )  # fmt: skip
    statement.number = f"JS{clock.local(act.at):%Y%m}-{statement.pk:06d}"
    statement.save(update_fields=["number"])
    _add_lines(record, statement, lines)
    _event(act, record, statement, EVENT.ISSUED, State.ISSUED)
    return statement


def adjust(
    act: Act, record: LogRecord, statement: Statement, lines: Sequence[LineDraft], note: str, contest_until: date
) -> Statement:
    """Answer a contest or mend a statement before it is accepted: credit lines (none: it stands) and a new period."""
    (statement,) = _lock([statement], *OPEN)
    _add_lines(record, statement, lines)
    statement.contest_until = contest_until
    statement.save(update_fields=["contest_until"])
    _event(act, record, statement, EVENT.ANSWERED, State.ISSUED, note, sum(line.total for line in lines))
    return statement


def contest(act: Act, record: LogRecord, statement: Statement, note: str) -> Statement:
    """Keep a statement from being accepted until it is answered. Raises Refused after the contest period."""
    (statement,) = _lock([statement], State.ISSUED)
    if clock.local(act.at).date() > statement.contest_until:
        raise Refused(
            _("Statement %(number)s could be contested until %(until)s.")
            % {"number": statement.number, "until": statement.contest_until},
            code="contest_late",
        )
    _event(act, record, statement, EVENT.CONTESTED, State.CONTESTED, note)
    return statement


def cancel(act: Act, record: LogRecord, statement: Statement, note: str) -> Statement:
    """Take back a statement that is not accepted yet. Its commitment stays."""
    (statement,) = _lock([statement], *OPEN)
    _event(act, record, statement, EVENT.CANCELLED, State.CANCELLED, note)
    return statement


def take_back(act: Act, record: LogRecord, statement: Statement, note: str) -> Statement:
    """Cancel an accepted, secured statement of which nothing is paid: it is owed no more, and its total is committed
    again under its subject. What accepting it released stays released. Raises Conflict(code="part_paid").
    """
    (statement,) = _lock([statement], State.ACCEPTED)
    if not statement.secured:
        raise Conflict(
            _("Statement %(number)s is not secured.") % {"number": statement.number}, code="not_secured"
        )
    net, label = by_payee(statement), canonical.label(statement)
    working = Working(act, record, _accept_keys(statement, net))
    owed = {payee: Key(payee, Kind.RECEIVABLE, statement.asset, label) for payee in net}
    if any(working[owed[payee]] != amount for payee, amount in net.items()):
        raise Conflict(
            _("A part of statement %(number)s is paid already.") % {"number": statement.number}, code="part_paid"
        )
    total = sum(net.values())
    item = Hold(statement.payer, statement.subject, total, statement.asset, statement.earmark)
    payable = item.key(Kind.PAYABLE)._replace(subject=label)
    working.post([_leg(payable, -total), _leg(item.key(Kind.COMMITTED), total)], "book.take_back")
    debt = Leg(statement.payer_id, Kind.RECEIVABLE, statement.asset, label, total)
    working.post([debt, *(_leg(owed[payee], -amount) for payee, amount in net.items())], "book.owed_no_more")
    _event(act, record, statement, EVENT.CANCELLED, State.CANCELLED, note, total)
    working.write()
    return statement


def accept(act: Act, record: LogRecord, statement: Statement) -> Statement:
    """See `accept_many`."""
    return accept_many(act, record, [statement])[0]


def accept_many(
    act: Act, record: LogRecord, statements: Sequence[Statement], what: str = EVENT.ACCEPTED
) -> list[Statement]:
    """committed → payable of each total, and what each payee is owed. Raises Conflict for one already accepted."""
    found = _lock(statements, State.ISSUED)
    nets = {statement.pk: by_payee(statement) for statement in found}
    working = Working(act, record, [key for row in found for key in _accept_keys(row, nets[row.pk])])
    for statement in found:
        net = nets[statement.pk]
        total, label = sum(net.values()), canonical.label(statement)
        item = Hold(statement.payer, statement.subject, total, statement.asset, statement.earmark)
        payable = item.key(Kind.PAYABLE)._replace(subject=label)
        if statement.secured and total:
            working.post([_leg(item.key(Kind.COMMITTED), -total), _leg(payable, total)], "book.accept")
        if total:
            owed = [Leg(payee, Kind.RECEIVABLE, statement.asset, label, amount) for payee, amount in net.items()]
            working.post([*owed, Leg(statement.payer_id, Kind.RECEIVABLE, statement.asset, label, -total)], "book.owed")
        if statement.secured:
            spare = _spare(statement, working[item.key(Kind.COMMITTED)])
            _move(working, item, Kind.COMMITTED, Kind.LIMIT, spare, "book.release_commitment")
        _event(act, record, statement, what, State.ACCEPTED if total else State.PAID, amount=total)
    working.write()
    _call(_accepted, act, record, found)
    return found


def _spare(statement: Statement, committed: int) -> int:
    """What of a commitment is needed no more when a statement is accepted: nothing while others may follow; once the
    final one is accepted, what is left beyond those that are still open."""
    others = list(
        Statement.objects.filter(
            secured=True, payer=statement.payer_id, subject=statement.subject, asset=statement.asset,
            earmark=statement.earmark,
        ).exclude(pk=statement.pk)
    )  # fmt: skip
    if not statement.final and not any(one.final and one.state in (State.ACCEPTED, State.PAID) for one in others):
        return 0
    return max(committed - sum(statement_total(one) for one in others if one.state in OPEN), 0)


def _accept_keys(statement: Statement, net: dict[int, int]) -> list[Key]:
    label, payer, asset = canonical.label(statement), statement.payer_id, statement.asset
    keys = [Key(party, Kind.RECEIVABLE, asset, label) for party in {payer, *net}]
    if statement.secured:
        keys += [
            Key(payer, Kind.COMMITTED, asset, statement.subject),
            Key(payer, Kind.PAYABLE, asset, label),
            Key(payer, Kind.LIMIT, asset, statement.earmark),
        ]
    return keys


# --- what banks and grantors say --------------------------------------------------------------------------------------


class Settlement:
    """Payments and limits of one transaction, under one locking: name all statements and limits first.

    `limits` are (party, grantor) pairs, or (party, grantor, earmark); `bank` is whose grants a payment uses up first,
    then those of others by key.
    """

    def __init__(
        self, act: Act, record: LogRecord, *, bank: Party | None = None, statements: Iterable[Statement] = (),
        limits: Iterable[tuple[Party, Party] | tuple[Party, Party, str]] = (), asset: str = CNY,
    ) -> None:  # fmt: skip
        self.act, self.record, self.asset, self.bank = act, record, asset, bank
        self.statements = {statement.pk: statement for statement in _lock(statements, *State.values)}
        self._payees = {pk: sorted(by_payee(statement)) for pk, statement in self.statements.items()}
        self._grants: dict[int, list[Key]] = {}
        self._settled: list[Statement] = []
        keys = [key for limit in limits for key in self._limit_keys(*limit)]
        for statement in self.statements.values():
            keys += self._pay_keys(statement)
        self._working = Working(act, record, keys)

    def _limit_keys(self, party: Party, grantor: Party, earmark: str = "") -> tuple[Key, Key]:
        grant = Key(grantor.pk, Kind.LIMIT, self.asset, grant_subject(party, earmark))
        return grant, Key(party.pk, Kind.LIMIT, self.asset, earmark)

    def _pay_keys(self, statement: Statement) -> list[Key]:
        subject = grant_subject(statement.payer, statement.earmark)
        rows = Account.objects.filter(kind=Kind.LIMIT, asset=self.asset, subject=subject)
        first = self.bank.pk if self.bank else None
        grantors = sorted(rows.values_list("party", flat=True), key=lambda party: (party != first, party))
        grants = self._grants[statement.pk] = [Key(party, Kind.LIMIT, self.asset, subject) for party in grantors]
        label = canonical.label(statement)
        parties = {statement.payer_id, *self._payees[statement.pk]}
        sides = [Key(party, kind, self.asset, label) for party in parties for kind in (Kind.RECEIVABLE, Kind.PAID)]
        return [*sides, Key(statement.payer_id, Kind.PAYABLE, self.asset, label), *grants]

    def owed(self, statement: Statement, payee: Party | None = None) -> dict[int, int]:
        """What each payee (or one) is still owed, by party key."""
        label = canonical.label(statement)
        due = {key: self._working[Key(key, Kind.RECEIVABLE, self.asset, label)] for key in self._payees[statement.pk]}
        return {key: amount for key, amount in due.items() if amount > 0 and (payee is None or payee.pk == key)}

    def pay(
        self, statement: Statement, amount: int, payee: Party | None = None, on: date | None = None, note: str = ""
    ) -> int:
        """Settle as much of an accepted statement as the amount covers; returns how much was used.

        Without a payee the amount is split over what payees are still owed, by largest remainder, ties by party key.
        """
        statement = self.statements[statement.pk]
        owed = self.owed(statement, payee) if statement.state == State.ACCEPTED else {}
        used = min(amount, sum(owed.values()))
        if used <= 0:
            return 0
        shares = terms.split_largest_remainder(used, list(owed.values()), [f"{party:020d}" for party in owed])
        label, payer = canonical.label(statement), statement.payer_id
        settled = [
            Leg(party, kind, self.asset, label, amount)
            for creditor, share in zip(owed, shares, strict=True)
            for kind, sign in ((Kind.RECEIVABLE, -1), (Kind.PAID, 1))
            for party, amount in ((creditor, sign * share), (payer, -sign * share))
        ]
        self._working.post(settled, "book.pay", on)
        if statement.secured:
            payable = Leg(payer, Kind.PAYABLE, self.asset, label, -used)
            self._working.post([payable, *self._use_grants(statement, used)], "book.discharge", on)
        state = State.ACCEPTED if self.owed(statement) else State.PAID
        if state == State.PAID:
            self._settled.append(statement)
        _event(self.act, self.record, statement, EVENT.PAYMENT, state, note, used)
        return used

    def _use_grants(self, statement: Statement, amount: int) -> list[Leg]:
        legs = []
        for key in self._grants[statement.pk]:
            part = min(amount, -self._working[key])
            if part:
                legs.append(_leg(key, part))
                amount -= part
        return legs

    def stands_for(self, party: Party, grantor: Party, earmark: str = "") -> int:
        """What a grantor stands for now, less what banks have paid out of it."""
        return -self._working[self._limit_keys(party, grantor, earmark)[0]]

    def set_limit(
        self, party: Party, grantor: Party, amount: int, evidence: str, earmark: str = ""
    ) -> LimitGrant:
        """Say what a grantor stands for (see `services.set_limit`)."""
        if amount < 0:
            raise invalid("amount", amount, _("must not be negative"))
        grant, limit = self._limit_keys(party, grantor, earmark)
        change = max(amount + self._working[grant], -self._working[limit])
        if change:
            self._working.post([_leg(grant, -change), _leg(limit, change)], "book.limit")
        return LimitGrant.objects.create(
            party=party, grantor=grantor, asset=self.asset, amount=amount, short=-self._working[grant] - amount,
            earmark=earmark, evidence=evidence, granted_at=self.act.at, record=self.record,
        )  # fmt: skip

    def write(self) -> list[Posting]:
        """Store what was posted, and tell desks which of their statements are paid."""
        postings = self._working.write()
        _call(_paid, self.act, self.record, self._settled)
        self._settled = []
        return postings


def set_limit(
    act: Act, record: LogRecord, party: Party, granted_by: Party, amount: int, evidence: str, asset: str = CNY,
    earmark: str = "",
) -> LimitGrant:  # fmt: skip
    """Say what a grantor stands for: the balance that a bank reports, or credit that the centre approved.

    The party's limit moves by the difference to what this grantor stood for before, so with one grantor it becomes
    amount − held − committed − payable. What is already reserved is never taken away: the limit then becomes 0 and the
    grant's `short` says how much is not covered.
    """
    settlement = Settlement(act, record, limits=[(party, granted_by, earmark)], asset=asset)
    grant = settlement.set_limit(party, granted_by, amount, evidence, earmark)
    settlement.write()
    return grant


def pay(
    act: Act, record: LogRecord, report: BankReport, statement: Statement, amount: int, payee: Party | None = None
) -> int:
    """Settle an accepted statement out of a payment that a bank reported (see `Settlement.pay`)."""
    settlement = Settlement(act, record, bank=report.bank, statements=[statement], asset=statement.asset)
    used = settlement.pay(statement, amount, payee, report.on, report.reference)
    settlement.write()
    return used
