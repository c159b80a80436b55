"""Payouts: order what is approved, stop what is not paid, take note when the bank reports it, claim it back.

A payout is a statement in the book: the authority pays the firm, out of what the fund committed. Ordering issues and
accepts it in one step (committed → payable); only a bank's report makes it paid, by statement number and payer.
"""

from collections.abc import Sequence

from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.base.act import Act, action
from huoshui.base.canonical import salted
from huoshui.base.errors import Conflict, Refused, invalid
from huoshui.base.models import LogRecord
from huoshui.book import services
from huoshui.book.models import Kind, Statement
from huoshui.book.models import State as StatementState
from huoshui.book.services import Hold, LineDraft
from huoshui.policy import claims, fund_queries
from huoshui.policy.actions import redemptions, vouchers
from huoshui.policy.models import (
    Application,
    ApplicationEvent,
    ClawBack,
    Fund,
    Payout,
    Redemption,
    RedemptionEvent,
    StoppedPayout,
)
from huoshui.policy.permissions import PAY_OUT

DESK = "policy"
ORDERED_PER_RUN_MAX = 2_000
CONTEST_WORKING_DAYS = 5
REASON_MAX = 500
State = Redemption.State


# --- ordering ---------------------------------------------------------------------------------------------------------


@action("policy.payout.order")
def order(act: Act, *, redemption: Redemption) -> Payout:
    """Order the payout of a redemption whose public notice is over. Asked again, it repeats nothing."""
    act.require(PAY_OUT)
    if found := Payout.objects.filter(redemption=redemption).first():
        act.nothing_changed()
        return found
    redemption = redemptions.lock(redemption, State.NOTICE)
    assert redemption.notice_until is not None
    if clock.today() <= redemption.notice_until:
        raise Refused(
            _("The public notice runs until %(day)s.") % {"day": redemption.notice_until}, code="notice_runs"
        )
    if redemptions.did(act.actor, redemption, RedemptionEvent.Kind.APPROVED):
        raise Refused(_("Who approved a redemption cannot order its payout."), code="second_person")
    application, voucher = redemption.voucher.application, redemption.voucher
    _check_account(application)
    record = redemptions.record_event(
        act, redemption, RedemptionEvent.Kind.ORDERED, {"amount_fen": redemption.amount_fen},
        amount=redemption.amount_fen,
    )
    source = str(redemption.statement or redemption.contract)
    line = _line(redemption, "policy.subsidy", redemption.amount_fen, {
        "redemption": redemption.number, "source": source
    })  # fmt: skip
    statement = _pay(act, record, voucher.fund, voucher.label, line, redemption.number, final=False)
    redemption.state = State.ORDERED
    redemption.save(update_fields=["state"])
    return _keep(act, record, voucher.fund, statement, application, redemption=redemption)


@action("policy.payout.order_grant")
def order_grant(act: Act, *, application: Application) -> Payout:
    """Order a grant that could not be ordered when its account was confirmed. Asked again, it repeats nothing."""
    act.require(PAY_OUT)
    application = Application.objects.select_for_update(of=("self",)).get(pk=application.pk)
    if found := Payout.objects.filter(application=application).first():
        act.nothing_changed()
        return found
    if not fund_queries.waiting_grants().filter(pk=application.pk).exists():
        raise Conflict(_("This application waits for no payout."), code="not_waiting")
    if act.actor.user is not None and application.decided_by == act.actor.principal:
        raise Refused(_("Who approved a grant cannot order its payout."), code="second_person")
    return order_for(act, application)


def order_due(actor: Actor) -> tuple[int, list[tuple[Redemption | Application, Refused]]]:
    """Order every payout whose public notice is over, and grants that wait for their fund; returns how many, and which
    were refused and why."""
    due = Redemption.objects.filter(state=State.NOTICE, notice_until__lt=clock.today()).order_by("id")
    done = 0
    refused: list[tuple[Redemption | Application, Refused]] = []
    for redemption in due.select_related("voucher")[:ORDERED_PER_RUN_MAX]:
        try:
            order(actor, redemption=redemption)
        except Refused as error:
            refused.append((redemption, error))
        else:
            done += 1
    for application in fund_queries.waiting_grants().order_by("id")[:ORDERED_PER_RUN_MAX]:
        try:
            order_grant(actor, application=application)
        except Refused as error:
            refused.append((application, error))
        else:
            done += 1
    return done, refused


def order_for(act: Act, application: Application) -> Payout:
    """Order the grant of an approved application, inside the action that approves it. Asked again, the same one.

    Raises Refused: no fund, the fund is exhausted, no account, no amount.
    """
    if found := Payout.objects.filter(application=application).first():
        return found
    fund = check_grant(application)
    assert application.amount_fen
    subject = f"policy.application:{application.pk}"
    record = act.record(application, {"fund": fund, "amount_fen": application.amount_fen, "ordered": True})
    item = Hold(fund.authority, subject, application.amount_fen, earmark=fund.earmark)
    vouchers.reserve(act, fund, item, record)
    services.commit_part(act, record, item)
    line = _line(application, "policy.grant", application.amount_fen, {"application": application.number})
    statement = _pay(act, record, fund, subject, line, application.number, final=True)
    return _keep(act, record, fund, statement, application, granted=application)


def check_grant(application: Application) -> Fund:
    """The fund that can pay a grant now, locked. Raises Refused with the clause that stands against it."""
    fund = vouchers.fund_for(application)
    if not application.amount_fen:
        raise vouchers.refusal(fund, "no_amount")
    cap = fund.firm_cap_fen
    if cap is not None and claims.got_from_fund(fund, application.party) + application.amount_fen > cap:
        raise vouchers.refusal(fund, "firm_cap", cap=cap)
    _check_account(application)
    left = services.balance(fund.authority, Kind.LIMIT, subject=fund.earmark)
    if left < application.amount_fen:
        raise vouchers.refusal(fund, "fund_exhausted", left=left, needs=application.amount_fen)
    return fund


def _check_account(application: Application) -> None:
    if not application.account_confirmed:
        raise Refused(
            _("The firm has not confirmed to which account the money goes."), code="no_account",
            application=application.pk,
        )


def _line(owner: Redemption | Application, description: str, amount: int, params: dict[str, str]) -> LineDraft:
    return LineDraft(owner.party, "subsidy", 0, description, amount=amount, params=params)


def _pay(
    act: Act, record: LogRecord, fund: Fund, subject: str, line: LineDraft, contract: str, *, final: bool
) -> Statement:
    """The authority's statement, issued and accepted at once."""
    statement = services.issue_statement(
        act, record, desk=DESK, subject=subject, payer=fund.authority, lines=[line], contract=contract, final=final,
        earmark=fund.earmark, contest_until=clock.today(),
    )  # fmt: skip
    return services.accept(act, record, statement)


def _keep(
    act: Act, record: LogRecord, fund: Fund, statement: Statement, application: Application, *,
    redemption: Redemption | None = None, granted: Application | None = None,
) -> Payout:  # fmt: skip
    owner = redemption or granted
    assert owner is not None
    assert owner.amount_fen
    return Payout.objects.create(
        fund=fund, party=owner.party, redemption=redemption, application=granted, statement=statement,
        amount_fen=owner.amount_fen, bank_name=application.bank_name, account_number=application.account_number,
        ordered_at=act.at, record=record,
    )  # fmt: skip


# --- stopping ---------------------------------------------------------------------------------------------------------


@action("policy.payout.cancel")
def cancel(act: Act, *, payout: Payout, reason: str) -> StoppedPayout:
    """Stop an ordered payout that is not paid: nothing is owed any more, and the account is to be confirmed anew.

    A redemption waits for an officer as if somebody had objected: dismissed, it can be ordered again; upheld, it is
    refused. A grant stays approved; what was reserved for it returns to the fund. Raises Conflict, Refused, Invalid.
    """
    act.require(PAY_OUT)
    if payout.application_id is not None:
        Application.objects.select_for_update().get(pk=payout.application_id)  # its firm locks it first too
    Fund.objects.select_for_update().get(pk=payout.fund_id)  # ordering waits here too
    redemption = redemptions.lock(payout.redemption, State.ORDERED) if payout.redemption else None
    found = Payout.objects.select_related("fund__authority", "party", "statement", "record").select_for_update(
        of=("self",)
    ).filter(pk=payout.pk).first()
    if found is None or found.paid_at is not None:
        raise Conflict(_("This payout is paid or stopped already."), code="not_ordered")
    if _ordered_it(act, found):
        raise Refused(_("Who ordered a payout cannot stop it."), code="second_person")
    reason = _reason(reason)
    application = redemption.voucher.application if redemption else found.application
    assert application is not None
    record = act.record(found, {"amount_fen": found.amount_fen, "reason": salted(application.salt, reason)})
    services.take_back(act, record, found.statement, "")
    if redemption is not None:
        redemption.state = State.OBJECTED
        redemption.save(update_fields=["state"])
        redemptions.record_event(act, redemption, RedemptionEvent.Kind.STOPPED, {}, reason, found.amount_fen)
    else:
        services.release_commitment_many(
            act, record, [Hold(found.fund.authority, found.statement.subject, earmark=found.fund.earmark)]
        )
        ApplicationEvent.objects.create(
            application=application, kind=ApplicationEvent.Kind.STOPPED, at=act.at, actor=act.actor.user, text=reason,
            content={"amount_fen": found.amount_fen}, record=record,
        )  # fmt: skip
    _forget_account(application)
    stopped = StoppedPayout.objects.create(
        party=found.party, redemption=redemption, application=found.application, statement=found.statement,
        amount_fen=found.amount_fen, bank_name=found.bank_name, account_number=found.account_number,
        ordered_at=found.ordered_at, reason=reason, at=act.at, record=record,
    )  # fmt: skip
    found.delete()
    return stopped


def _forget_account(application: Application) -> None:
    application.bank_name, application.account_number = "", ""
    application.account_confirmed_at, application.account_confirmed_by = None, ""
    application.save(update_fields=["bank_name", "account_number", "account_confirmed_at", "account_confirmed_by"])


def _ordered_it(act: Act, payout: Payout) -> bool:
    """Whether the person who acts ordered the payout, be it with a token."""
    return act.actor.user is not None and payout.record.actor.partition("/")[0] == act.actor.principal


def _reason(text: str) -> str:
    text = text.strip()
    if not 1 <= len(text) <= REASON_MAX:
        raise invalid("reason", text[:40], _("say why in 1 to %(max)s characters") % {"max": REASON_MAX})
    return text


# --- what the bank says -----------------------------------------------------------------------------------------------


def on_paid(act: Act, record: LogRecord, statements: Sequence[Statement]) -> None:
    """The bank has reported statements of this desk as paid (a hook of the book, in the same transaction)."""
    payouts = Payout.objects.filter(statement__in=statements).select_related("redemption", "application")
    for payout in payouts.order_by("id"):
        payout.paid_at = act.at
        payout.save(update_fields=["paid_at"])
        if payout.redemption is not None:
            payout.redemption.state = State.PAID
            payout.redemption.save(update_fields=["state"])
            RedemptionEvent.objects.create(
                redemption=payout.redemption, kind=RedemptionEvent.Kind.PAID, at=act.at, amount=payout.amount_fen,
                record=record,
            )
        if payout.application is not None:
            payout.application.state = Application.State.PAID_OUT
            payout.application.save(update_fields=["state"])
            ApplicationEvent.objects.create(
                application=payout.application, kind=ApplicationEvent.Kind.PAID_OUT, at=act.at,
                content={"amount_fen": payout.amount_fen}, record=record,
            )  # fmt: skip


# --- claiming back ----------------------------------------------------------------------------------------------------


@action("policy.payout.claw_back")
def claw_back(act: Act, *, payout: Payout, amount_fen: int, reason: str) -> ClawBack:
    """Claim a paid payout back, or a part of it: the firm gets a statement, which it may contest.

    What a cancelled statement claimed may be claimed again. Raises Conflict, Refused (who ordered it), Invalid.
    """
    act.require(PAY_OUT)
    payout = Payout.objects.select_related(
        "fund__authority", "party", "redemption", "statement", "record"
    ).select_for_update(of=("self",)).get(pk=payout.pk)
    reason = _reason(reason)
    if payout.paid_at is None:
        raise Conflict(_("This payout is not paid yet."), code="not_paid")
    if _ordered_it(act, payout):
        raise Refused(_("Who ordered a payout cannot claim it back."), code="second_person")
    standing = payout.claw_backs.exclude(statement__state=StatementState.CANCELLED)
    left = payout.amount_fen - sum(standing.values_list("amount_fen", flat=True))
    if not 0 < amount_fen <= left:
        raise invalid("amount", services.show(amount_fen, services.CNY), _("at most %(left)s yuan") % {
            "left": services.show(left, services.CNY)
        })  # fmt: skip
    salt = payout.redemption.salt if payout.redemption else f"{payout.pk}"
    told = {"amount_fen": amount_fen, "reason": salted(salt, reason)}
    record = act.record(payout, told)
    line = LineDraft(payout.fund.authority, "claw_back", 0, "policy.claw_back", amount=amount_fen,
                     params={"payout": str(payout)})  # fmt: skip
    statement = services.issue_statement(
        act, record, desk=DESK, subject=f"policy.payout:{payout.pk}", payer=payout.party, lines=[line], secured=False,
        contract=str(payout), contest_until=services.contest_deadline(clock.today(), CONTEST_WORKING_DAYS),
    )
    if payout.redemption is not None:
        redemptions.record_event(
            act, payout.redemption, RedemptionEvent.Kind.CLAWED_BACK, {"amount_fen": amount_fen}, reason, amount_fen
        )
    return ClawBack.objects.create(
        payout=payout, party=payout.party, amount_fen=amount_fen, reason=reason, statement=statement, at=act.at,
        record=record,
    )
