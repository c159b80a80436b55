"""Applying, checking, approving, refusing, withdrawing, confirming the account.

One filing carries any number of applications. An application is taken only where the pack's verdict, from the facts
on record, is met or waits for a person; the decision is stored with it. Two officers look at it: one checks what only
a person can say, another approves. A refusal names the criterion that stands against it. Approval asks the pack once
more, so nobody is approved on facts that have changed since.

The account and whatever people write are never in the log, only salted digests of them.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from django.utils.translation import gettext as _

from huoshui.base import canonical, clock
from huoshui.base.act import Act, action
from huoshui.base.canonical import salted
from huoshui.base.errors import Conflict, Missing, Refused, invalid
from huoshui.base.models import LogRecord
from huoshui.cases import actions as cases
from huoshui.cases import files
from huoshui.cases.files import Upload
from huoshui.cases.machine import BEFORE_RESOLUTION, Status
from huoshui.cases.machine import Kind as CaseEventKind
from huoshui.policy import matching, needs, words
from huoshui.policy.models import Application, ApplicationEvent, FiledMaterial, Filing, Payout
from huoshui.policy.permissions import APPLY, REVIEW
from huoshui.registry import consents
from huoshui.registry import queries as registry
from huoshui.registry.models import Party
from huoshui.rules import Explanation, Pack, Stage, Verdict

CASE: Final = "policy.application"
REVIEWED: Final = "policy.review"
PACKS_MAX: Final = 30
TEXT_MAX: Final = 2_000
PLANNED_FEN_MAX: Final = 10**13
ACCOUNT_DIGITS: Final = (8, 32)
BANK_MAX: Final = 100
ONCE: Final = ("certificate", "grant", "tax", "credit")
"""Kinds of benefit that a firm gets once a year; vouchers may be asked for again until the cap."""
PAYS: Final = ("grant", "voucher")
CASE_FROM: Final = {
    CaseEventKind.ACCEPTED: (Status.OPEN, Status.ASSIGNED), CaseEventKind.RESOLVED: (Status.ACCEPTED,),
    CaseEventKind.CLOSED: (Status.RESOLVED,), CaseEventKind.WITHDRAWN: tuple(BEFORE_RESOLUTION),
}  # fmt: skip
State = Application.State
EventKind = ApplicationEvent.Kind


@dataclass(frozen=True)
class Wish:
    """One benefit that is applied for. `planned_fen`: the contract to be paid for with a voucher."""

    pack: str
    planned_fen: int | None = None


@dataclass(frozen=True)
class Handed:
    """One document handed in: which material it is (`needs.Need.key`) and the file."""

    material: str
    upload: Upload


# --- applying ---------------------------------------------------------------------------------------------------------


@action("policy.apply")
def apply(
    act: Act, *, party: Party, wishes: Sequence[Wish], handed: Sequence[Handed] = (), consent: bool = False
) -> Filing:
    """One file, many applications: every pack is judged, each missing document handed in once, consent recorded.

    Raises Refused (a pack that is a draft, closed, not met, not known yet, applied for already), Invalid (a document
    that is missing, no consent).
    """
    act.require(APPLY, party)
    if not 1 <= len(wishes) <= PACKS_MAX or len({wish.pack for wish in wishes}) < len(wishes):
        raise invalid("packs", len(wishes), _("between 1 and %(max)s, each once") % {"max": PACKS_MAX})
    if not consent:
        raise invalid("consent", "", _("the reviewing office needs your consent to see the facts"))
    for one in handed:
        files.check((one.upload,))
    Party.objects.select_for_update(no_key=True).get(pk=party.pk)  # a batch that is checking it is waited for
    found = matching.match(party, clock.today())
    packs = [found.shelf.pack(wish.pack) for wish in wishes]
    for wish, pack in zip(wishes, packs, strict=True):
        _check_open(party, pack, found.on)
        _check_planned(wish, pack)
    _check_handed(needs.of(found, packs), handed)
    packed = [{"pack": wish.pack, "planned_fen": wish.planned_fen} for wish in wishes]
    record = act.record(party, {"applications": packed, "documents": len(handed)})
    filing = Filing.objects.create(party=party, submitted_at=act.at, submitted_by=act.actor.principal, record=record)
    _keep(filing, needs.of(found, packs), handed)
    _consent(act, party, packs)
    for wish, pack in zip(wishes, packs, strict=True):
        _apply_for(act, filing, pack, wish.planned_fen, found.on)
    return filing


def _check_open(party: Party, pack: Pack, on: date) -> None:
    named = {"title": pack.header.title}
    if matching.is_draft(pack):
        raise Refused(_("“%(title)s” is a draft: nobody can apply for it yet.") % named, code="draft", pack=pack.id)
    if not needs.by_application(pack):
        raise Refused(_("“%(title)s” is not given by application.") % named, code="no_application", pack=pack.id)
    if needs.is_closed(pack, on):
        raise Refused(_("“%(title)s” takes no applications today.") % named, code="closed", pack=pack.id)
    standing = Application.objects.filter(party=party, pack=pack.id)
    if standing.filter(state=State.SUBMITTED).exists():
        raise Conflict(_("“%(title)s” is applied for already and in review.") % named, code="in_review", pack=pack.id)
    kind = pack.benefit.kind if pack.benefit else "certificate"
    had = standing.filter(state__in=(State.APPROVED, State.PAID_OUT), submitted_at__gte=clock.day_start(
        date(on.year, 1, 1)
    ))  # fmt: skip
    if kind in ONCE and had.exists():
        raise Conflict(_("“%(title)s” was given to you this year already.") % named, code="had", pack=pack.id)


def _check_planned(wish: Wish, pack: Pack) -> None:
    voucher = pack.benefit is not None and pack.benefit.kind == "voucher"
    if voucher and (wish.planned_fen is None or not 0 < wish.planned_fen <= PLANNED_FEN_MAX):
        raise invalid(f"planned_{pack.id}", wish.planned_fen, _("say how large the planned contract is"))
    if not voucher and wish.planned_fen is not None:
        raise invalid(f"planned_{pack.id}", wish.planned_fen, _("only a voucher has a planned contract"))


def _check_handed(wanted: Sequence[needs.Need], handed: Sequence[Handed]) -> None:
    given = {one.material for one in handed}
    missing = [need for need in wanted if need.asked and need.key not in given]
    if missing:
        raise invalid(f"file_{missing[0].key}", "", _("this document is needed: %(title)s") % {
            "title": missing[0].title
        })  # fmt: skip
    if unknown := given - {need.key for need in wanted if need.asked}:
        raise invalid("materials", sorted(unknown)[0], _("nobody asked for this document"))


def _keep(filing: Filing, wanted: Sequence[needs.Need], handed: Sequence[Handed]) -> None:
    titles = {need.key: need.title for need in wanted}
    FiledMaterial.objects.bulk_create(
        FiledMaterial(
            filing=filing, material=one.material, title=titles[one.material], name=one.upload.name,
            size=len(one.upload.content), digest=files.store(one.upload.content),
        )
        for one in handed
    )  # fmt: skip


def _consent(act: Act, party: Party, packs: Sequence[Pack]) -> None:
    """Record that the facts the packs read may be seen by the office that reviews."""
    codes = sorted({term.field for pack in packs for term in needs.reads(pack)})
    titles = "、".join(pack.header.title for pack in packs)
    text = _("Review of the applications: %(packs)s") % {"packs": titles}
    consents.give(
        act.actor, party=party, recipient=registry.centre(), purpose="review", codes=codes,
        text=text[: consents.TEXT_CHARACTERS_MAX],
    )  # fmt: skip


def _apply_for(act: Act, filing: Filing, pack: Pack, planned_fen: int | None, on: date) -> Application:
    party = filing.party
    subject = f"{canonical.label(filing)}/{pack.id}"
    decision, explanation = matching.decide(act, party=party, pack_id=pack.id, on=on, subject=subject)
    _check_verdict(explanation, pack)
    application = Application(
        party=party, filing=filing, publication_id=matching.shelf(on).publications[pack.id],
        pack=pack.id, decision=decision, amount_fen=_amount(party, pack, explanation, planned_fen, on),
        planned_fen=planned_fen, salt=secrets.token_hex(16), submitted_at=act.at, record=decision.record,
    )  # fmt: skip
    application.save()
    application.record = record_event(act, application, EventKind.SUBMITTED, {"decision": decision.pk})
    application.case = cases.open_case(
        act.actor, kind=CASE, party=party, title=_("Application: %(title)s") % {"title": pack.header.title},
        subject=canonical.label(application),
    )  # fmt: skip
    application.save(update_fields=["record", "case"])
    return application


def _check_verdict(explanation: Explanation, pack: Pack) -> None:
    """Only what is met, or waits for a person, can be applied for. The refusal cites the clause."""
    if explanation.verdict in (Verdict.MET, Verdict.MANUAL):
        return
    code = "unknown" if explanation.verdict is Verdict.UNKNOWN else "not_met"
    against = next((one for one in explanation.criteria if one.verdict is explanation.verdict), None)
    raise Refused(
        words.why_not(explanation), code=code, pack=pack.id,
        criterion=against.criterion.id if against else "", clause=against.criterion.clause if against else "",
    )  # fmt: skip


def _amount(party: Party, pack: Pack, explanation: Explanation, planned_fen: int | None, on: date) -> int | None:
    """What the benefit comes to; of a voucher, what the planned contract would be reimbursed at most."""
    if planned_fen is None:
        return explanation.amount_fen
    claim = matching.planned_claim(planned_fen)
    found = matching.explain_claim(pack.id, party, claim, on, stage=Stage.ENTITLEMENT)
    return found.amount_fen if found.amount_fen is not None else found.amount_max_fen


# --- reviewing --------------------------------------------------------------------------------------------------------


@action("policy.application.check")
def check(act: Act, *, application: Application, findings: Mapping[str, bool], text: str = "") -> Application:
    """An officer has looked at the documents and says of each criterion that waits for a person whether it is met.

    `findings`: criterion id → met. All must be met; else the application is to be refused. Raises Refused, Invalid.
    """
    act.require(REVIEW)
    application = _locked(application, State.SUBMITTED)
    if application.checked_by:
        raise Conflict(_("It is checked already and waits for a second officer."), code="checked")
    pack, explanation = judged(application)
    waiting = {one.criterion.id: one.criterion for one in explanation.criteria if one.verdict is Verdict.MANUAL}
    for name, criterion in waiting.items():
        if name not in findings:
            raise invalid(name, "", _("say whether it is met: %(title)s") % {"title": criterion.title})
        if not findings[name]:
            raise Refused(
                _("“%(title)s” is not met: refuse the application and name this criterion.")
                % {"title": criterion.title}, code="not_met", criterion=name, clause=criterion.clause,
            )  # fmt: skip
    _check_verdict(explanation, pack)
    application.checked_at, application.checked_by = act.at, act.actor.principal
    application.save(update_fields=["checked_at", "checked_by"])
    record_event(act, application, EventKind.CHECKED, {"findings": dict.fromkeys(sorted(waiting), True)}, text)
    _case(act, application, CaseEventKind.ACCEPTED)
    return application


@action("policy.application.approve")
def approve(act: Act, *, application: Application, text: str = "") -> Application:
    """A second officer approves; what the benefit brings is set going. Raises Refused when the facts no longer hold."""
    act.require(REVIEW)
    application = _locked(application, State.SUBMITTED)
    if not application.checked_by:
        raise Refused(_("Another officer has to check it first."), code="unchecked")
    if act.actor.user is not None and application.checked_by == act.actor.principal:
        raise Refused(_("Who checked an application cannot approve it."), code="second_person")
    pack, explanation = judged(application)
    _check_verdict(explanation, pack)
    content = application.events.filter(kind=EventKind.CHECKED).values_list("content", flat=True).last() or {}
    findings = content.get("findings", {})
    _check_found(explanation, findings)
    application.amount_fen = _amount(application.party, pack, explanation, application.planned_fen, clock.today())
    decision, _now = matching.decide(
        act, party=application.party, pack_id=pack.id, on=clock.today(), subject=canonical.label(application),
        kind=REVIEWED, extra={"approved": True, "findings": findings},
    )  # fmt: skip
    application.state, application.decided_at, application.decided_by = State.APPROVED, act.at, act.actor.principal
    application.save(update_fields=["state", "decided_at", "decided_by", "amount_fen"])
    told = {"decision": decision.pk, "amount_fen": application.amount_fen}
    record_event(act, application, EventKind.APPROVED, told, text)
    _case(act, application, CaseEventKind.ACCEPTED)
    _case(act, application, CaseEventKind.RESOLVED, text or _("Approved."))
    _case(act, application, CaseEventKind.CLOSED)
    carry_out(act, application, pack)
    return application


def _check_found(explanation: Explanation, findings: Mapping[str, bool]) -> None:
    """Of everything that waits for a person now, the first officer has said that it is met. Raises Refused."""
    for one in explanation.criteria:
        if one.verdict is Verdict.MANUAL and not findings.get(one.criterion.id):
            raise Refused(
                _("Since it was checked, “%(title)s” waits for a person as well: refuse it, or the firm applies again.")
                % {"title": one.criterion.title}, code="unchecked", criterion=one.criterion.id,
                clause=one.criterion.clause,
            )  # fmt: skip


def carry_out(act: Act, application: Application, pack: Pack) -> None:
    """What follows an approval: a voucher is issued, a grant ordered once the account is confirmed.

    A grant that no fund can bear now waits, and officers order it later: approval and account stay.
    """
    from huoshui.policy.actions import payouts, vouchers

    kind = pack.benefit.kind if pack.benefit else ""
    if kind == "voucher":
        vouchers.issue_for(act, application)
    elif kind == "grant" and application.account_confirmed and application.amount_fen:
        try:
            payouts.check_grant(application)
        except Refused:
            return
        payouts.order_for(act, application)


@action("policy.application.refuse")
def refuse(act: Act, *, application: Application, criterion: str, text: str) -> Application:
    """An officer refuses, naming the criterion (or `scoring`) that stands against it and why. Raises Invalid."""
    act.require(REVIEW)
    application = _locked(application, State.SUBMITTED)
    clause, quote = clause_of(pack_of(application), criterion)
    if not text.strip():
        raise invalid("text", text, _("say why"))
    application.state, application.decided_at, application.decided_by = State.REFUSED, act.at, act.actor.principal
    application.save(update_fields=["state", "decided_at", "decided_by"])
    content = {"criterion": criterion, "clause": clause, "quote": quote}
    record_event(act, application, EventKind.REFUSED, content, text)
    _case(act, application, CaseEventKind.ACCEPTED)
    _case(act, application, CaseEventKind.RESOLVED, f"{clause}　{text}")
    _case(act, application, CaseEventKind.CLOSED)
    return application


def clause_of(pack: Pack, criterion: str) -> tuple[str, str]:
    """Clause and quote of a criterion, or of the scoring. Raises Invalid."""
    if criterion == "scoring" and pack.scoring is not None:
        return pack.scoring.clause, pack.scoring.quote
    try:
        found = pack.criterion(criterion)
    except KeyError:
        raise invalid("criterion", criterion, _("name the criterion that is not met")) from None
    return found.clause, found.quote


@action("policy.application.withdraw")
def withdraw(act: Act, *, application: Application) -> Application:
    """The entity takes its application back while it is in review."""
    act.require(APPLY, application)
    application = _locked(application, State.SUBMITTED)
    application.state = State.WITHDRAWN
    application.save(update_fields=["state"])
    record_event(act, application, EventKind.WITHDRAWN, {})
    _case(act, application, CaseEventKind.WITHDRAWN)
    return application


# --- the account ------------------------------------------------------------------------------------------------------


@action("policy.application.account", secret=frozenset({"bank_name", "account_number"}))
def confirm_account(act: Act, *, application: Application, bank_name: str, account_number: str) -> Application:
    """The entity says to which of its accounts the money goes. An approved grant is ordered with it.

    The account is kept with the application; the log has a salted digest. Raises Invalid.
    """
    act.require(APPLY, application)
    application = _locked(application, State.SUBMITTED, State.APPROVED)
    bank, number = " ".join(bank_name.split()), account_number.replace(" ", "").replace("-", "")
    if not 0 < len(bank) <= BANK_MAX or not bank.isprintable():
        raise invalid("bank_name", bank, _("the name of the bank and its branch"))
    if not (number.isascii() and number.isdigit() and ACCOUNT_DIGITS[0] <= len(number) <= ACCOUNT_DIGITS[1]):
        low, high = ACCOUNT_DIGITS
        raise invalid("account_number", "…", _("%(low)s to %(high)s digits") % {"low": low, "high": high})
    if application.account_confirmed and _is_ordered(application):
        raise Conflict(_("The payment is ordered already: the account cannot change."), code="ordered")
    application.bank_name, application.account_number = bank, number
    application.account_confirmed_at, application.account_confirmed_by = act.at, act.actor.principal
    application.save(
        update_fields=["bank_name", "account_number", "account_confirmed_at", "account_confirmed_by"]
    )
    record_event(act, application, EventKind.ACCOUNT, {"account": salted(application.salt, f"{bank}|{number}")})
    pack = pack_of(application)
    if application.state == State.APPROVED and pack.benefit is not None and pack.benefit.kind == "grant":
        carry_out(act, application, pack)
    return application


def _is_ordered(application: Application) -> bool:
    """Whether a payout of the grant stands already."""
    return Payout.objects.filter(application=application).exists()


def paid_out(act: Act, application: Application) -> None:
    """The bank has reported the payment (called by the payout's action)."""
    application.state = State.PAID_OUT
    application.save(update_fields=["state"])
    record_event(act, application, EventKind.PAID_OUT, {})


# --- parts ------------------------------------------------------------------------------------------------------------


def record_event(
    act: Act, application: Application, kind: str, content: Mapping[str, Any], text: str = ""
) -> LogRecord:
    """Append what happened, with its log record; what people wrote is in the log as a salted digest."""
    text = text.strip()
    if len(text) > TEXT_MAX:
        raise invalid("text", text[:20], _("at most %(max)s characters") % {"max": TEXT_MAX})
    told = {"event": kind, **content} | ({"text": salted(application.salt, text)} if text else {})
    record = act.record(application, told)
    ApplicationEvent.objects.create(
        application=application, kind=kind, at=act.at, actor=act.actor.user, text=text, content=dict(content),
        record=record,
    )
    return record


def pack_of(application: Application) -> Pack:
    """The pack under which it was applied, by its stored text."""
    pack: Pack = application.publication.loaded()
    return pack


def judged(application: Application) -> tuple[Pack, Explanation]:
    """The pack of the application and what it says today."""
    on = clock.today()
    try:
        found = matching.match(application.party, on)
        return found.shelf.pack(application.pack), found.of(application.pack)
    except Missing:
        raise Refused(_("The rules of this application are no longer in force."), code="not_in_force") from None


def _locked(application: Application, *states: str) -> Application:
    fresh = (
        Application.objects.select_related("party", "publication", "case", "decision")
        .select_for_update(of=("self",)).get(pk=application.pk)
    )
    if fresh.state not in states:
        raise Conflict(
            _("The application is already: %(state)s") % {"state": fresh.get_state_display()}, code="application_state"
        )
    return fresh


def _case(act: Act, application: Application, event: CaseEventKind, text: str = "") -> None:
    """Let the case follow, where it has not gone there already."""
    case = application.case
    if case is None:
        return
    case.refresh_from_db()
    if case.status in CASE_FROM[event]:
        cases.add_event(act.actor, case=case, event=event, text=text)
        case.refresh_from_db()
