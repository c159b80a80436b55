"""The compute account as people use it: passing a balance on, expiry, and what accepting a statement does to it."""

from collections import defaultdict
from datetime import timedelta

from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.act import Act, action
from huoshui.base.errors import invalid
from huoshui.base.models import LogRecord
from huoshui.book import services
from huoshui.book.models import Statement
from huoshui.compute import accounts, settle
from huoshui.compute.models import Allocation, Deposit, Request
from huoshui.compute.permissions import ACCOUNT, REQUEST, SETTLE
from huoshui.registry.models import Party, RoleKind

NOTE_MAX = 500


@action("compute.account.transfer")
def transfer_balance(act: Act, *, giver: Party, taker: Party, milli: int) -> int:
    """Pass milli standard card-hours on to another entity; they keep their expiry dates. Returns what moved.

    Raises Invalid for no amount, for oneself or for a taker that is no entity; Refused(code="over_limit").
    """
    act.require(ACCOUNT, giver)
    if milli <= 0:
        raise invalid("milli", milli, _("must be above zero"))
    if giver == taker:
        raise invalid("taker", taker, _("is the giver"))
    if not taker.has_role(RoleKind.ENTITY):
        raise invalid("taker", taker, _("is not an entity"))
    record = act.record(giver, {"giver": giver, "taker": taker, "milli": milli})
    accounts.transfer(act, record, giver, taker, milli)
    return milli


@action("compute.account.expire")
def expire_balances(act: Act) -> int:
    """Balances whose day has passed go back to the centre (daily). Returns the milli standard card-hours."""
    act.require(SETTLE)
    today = clock.local(act.at).date()
    if not (keys := accounts.expired(today)):
        act.nothing_changed()
        return 0
    record = act.record("compute.account", {"before": today, "accounts": len(keys)})
    return accounts.expire(act, record, keys)


@action("compute.account.contest")
def contest_withdrawal(act: Act, *, request: Request, reason: str) -> Statement:
    """Contest the statement of a request that draws on the account: the centre pays it, the entity used it."""
    act.require(REQUEST, request)
    reason = reason.strip()
    if not 0 < len(reason) <= NOTE_MAX:
        raise invalid("reason", reason[:80], _("say it in 1 to %(max)s characters") % {"max": NOTE_MAX})
    record = act.record(request, {"contested": True})
    return services.contest(act, record, _withdrawal(request), reason)


@action("compute.account.accept")
def accept_withdrawal(act: Act, *, request: Request) -> Statement:
    """Accept the statement of a request that draws on the account."""
    act.require(REQUEST, request)
    statement = _withdrawal(request)
    record = act.record(request, {"accepted": services.statement_total(statement)})
    return services.accept(act, record, statement)


def _withdrawal(request: Request) -> Statement:
    rows = Statement.objects.filter(subject=f"compute.request:{request.pk}", secured=True)
    statement = rows.order_by("id").last()
    if request.pay_with != Request.PayWith.ACCOUNT or statement is None:
        raise invalid("request", request.number, _("has no statement paid from the compute account"))
    return statement


def on_accepted(act: Act, record: LogRecord, statements: list[Statement]) -> None:
    """What accepting does to compute accounts: depositors are credited, withdrawals are used up."""
    credits: dict[tuple[Party, int], int] = defaultdict(int)
    used: dict[Request, int] = {}
    for statement in statements:
        for depositor, days, milli in _credits(statement):
            credits[depositor, days] += milli
        if statement.secured and (allocation := _drawn_by(statement)):
            total = sum(statement.lines.values_list("amount", flat=True))  # also what the centre would pay itself
            index = allocation.round.index_price_mfen or accounts.INDEX_PRICE_FIRST_MFEN
            used[allocation.request] = accounts.standard_of_fen(total, index)
    today = clock.local(act.at).date()
    accounts.credit_many(
        act, record, [(party, milli, today + timedelta(days=days)) for (party, days), milli in credits.items()]
    )
    accounts.consume_many(act, record, used)


def _credits(statement: Statement) -> list[tuple[Party, int, int]]:
    """(depositor, days until it expires, milli standard card-hours) of each bank line, less what was given back."""
    lines = list(statement.lines.all())
    given_back: dict[int, int] = defaultdict(int)
    for line in lines:
        if "line" in line.params:
            given_back[line.params["line"]] -= line.amount
    bank = [line for line in lines if line.kind == settle.BANK]
    depositors = Deposit.objects.select_related("depositor").in_bulk(int(x.params["deposit"][1:]) for x in bank)
    return [
        (
            depositors[int(line.params["deposit"][1:])].depositor,
            line.params["expiry_days"],
            accounts.standard_credit(line.amount - given_back[line.position], line.params["index_price_mfen"]),
        )
        for line in bank
    ]


def _drawn_by(statement: Statement) -> Allocation | None:
    """The allocation of a request that draws on the compute account."""
    rows = Allocation.objects.filter(
        request=int(statement.subject.rpartition(":")[2]), request__pay_with=Request.PayWith.ACCOUNT
    )
    return rows.select_related("request__entity", "round").order_by("id").last()
