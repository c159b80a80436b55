"""Redemptions: ask, review, public notice, object; refuse or withdraw.

Locks are taken in one order: the fund, then the invoice numbers, then the book. Everything is asked again at approval,
since facts, other redemptions and the fund may have moved. What people write is in the log as salted digests only.
"""

import hashlib
import re
import secrets
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from django.utils.translation import gettext as _

from huoshui.base import canonical, clock
from huoshui.base.access import Actor
from huoshui.base.act import Act, action
from huoshui.base.canonical import salted
from huoshui.base.errors import Conflict, Refused, invalid
from huoshui.base.models import LogRecord
from huoshui.book import services
from huoshui.book.ledger import AMOUNT_MAX
from huoshui.book.models import Statement
from huoshui.cases import actions as cases
from huoshui.cases.files import Upload
from huoshui.cases.machine import Kind as CaseEvent
from huoshui.cases.models import TEXT_MAX
from huoshui.policy import claims, matching
from huoshui.policy.actions import vouchers
from huoshui.policy.claims import DECLARED, Claim, Seller
from huoshui.policy.models import ClaimedInvoice, InvoiceNumber, Redemption, RedemptionEvent, Voucher
from huoshui.policy.permissions import READ, REDEEM, REVIEW
from huoshui.policy.redeeming import Assessment, assess
from huoshui.registry.models import Decision, Party
from huoshui.registry.queries import calendar
from huoshui.rules import Stage

CASE: Final = "policy.redemption"
OBJECTION: Final = "policy.objection"
DECIDED: Final = "policy.redemption"
DOCUMENTS: Final = "documents"
"""The finding about a contract outside the platform: contract, invoice, payment and use agree with the documents."""
INVOICE: Final = "invoice"
"""The finding about a statement of the platform, which the book knows: that the invoice belongs to it."""
UNRELATED: Final = "unrelated"
"""The finding about a supplier that is not in the registry: buyer and supplier are not related."""
INVOICES_MAX: Final = 5
INVOICE_LENGTH: Final = 40
State = Redemption.State
Event = RedemptionEvent.Kind


@dataclass(frozen=True)
class InvoiceIn:
    """An invoice as handed in."""

    number: str
    upload: Upload | None = None


@dataclass(frozen=True)
class Outside:
    """A contract outside the platform as the firm states it; an officer checks it against the documents."""

    seller: str
    seller_uscc: str
    service: str
    contract: str
    signed_on: date
    used_from: date
    used_to: date
    contract_fen: int
    settled_fen: int
    paid_fen: int


# --- asking -----------------------------------------------------------------------------------------------------------


@action("policy.redemption.submit")
def submit(
    act: Act, *, voucher: Voucher, invoices: Sequence[InvoiceIn], statement: Statement | None = None,
    outside: Outside | None = None, claimed_fen: int | None = None, declared: Mapping[str, bool] | None = None,
    documents: tuple[Upload, ...] = (),
) -> Redemption:  # fmt: skip
    """Ask that the fund reimburse its share of what was paid on a statement, or on a contract outside the platform.

    Raises Refused with the clause that stands against it, Invalid (a field).
    """
    act.require(REDEEM, voucher)
    voucher = vouchers.lock(voucher)
    numbers = _numbers(invoices)
    _lock_numbers(numbers)
    told = {name: given for name, given in (declared or {}).items() if name in DECLARED}
    claim = _claim(voucher, statement, outside, claimed_fen, invoices, told, documents)
    claim = replace(claim, invoices=tuple(numbers))
    found = assess(claim)
    if found.refusal is not None:
        raise found.refusal.refused()
    redemption = _store(act, claim, found, invoices)
    _open_case(act, redemption, (*(one.upload for one in invoices if one.upload), *documents))
    return redemption


def _claim(
    voucher: Voucher, statement: Statement | None, outside: Outside | None, claimed_fen: int | None,
    invoices: Sequence[InvoiceIn], declared: Mapping[str, bool], documents: tuple[Upload, ...],
) -> Claim:  # fmt: skip
    if (statement is None) == (outside is None):
        raise invalid("statement", "", _("name a statement, or a contract outside the platform"))
    digests = [_digest(one.upload) for one in invoices if one.upload]
    if statement is not None:
        now = Statement.objects.select_related("payer").get(pk=statement.pk)  # it may have moved on since it was shown
        return claims.of_statement(
            voucher, now, claimed_fen=claimed_fen, invoices=[one.number for one in invoices], digests=digests,
            declared=declared,
        )  # fmt: skip
    assert outside is not None
    if len(digests) < len(invoices) or not documents:
        raise invalid("documents", "", _("the invoice, the contract and the proof of payment are needed as files"))
    for name in ("contract_fen", "settled_fen", "paid_fen"):
        if not 0 < getattr(outside, name) <= AMOUNT_MAX:
            raise invalid(name, getattr(outside, name), _("above zero"))
    if not outside.paid_fen <= outside.settled_fen:
        raise invalid("paid_fen", outside.paid_fen, _("not more than was settled"))
    party = Party.objects.filter(uscc=outside.seller_uscc).first() if outside.seller_uscc else None
    name = party.name if party else outside.seller.strip()
    contract = _plain(outside.contract)
    if not 1 <= len(name) <= 200 or not 1 <= len(contract) <= 100:
        raise invalid("seller", name[:40], _("name the supplier and the contract"))
    return Claim(
        voucher, None, (Seller(party, name, outside.settled_fen),), outside.service, contract,
        outside.signed_on, outside.used_from, outside.used_to, outside.contract_fen, outside.settled_fen,
        outside.paid_fen, outside.paid_fen if claimed_fen is None else claimed_fen, (), tuple(digests), declared,
    )  # fmt: skip


def _digest(upload: Upload) -> str:
    return hashlib.sha256(upload.content).hexdigest()


def _plain(number: str) -> str:
    """A number as it is compared: no spaces, no hyphens, half-width, capital letters."""
    return re.sub(r"[\s\-\u2010-\u2015]", "", unicodedata.normalize("NFKC", number)).upper()


def _numbers(invoices: Sequence[InvoiceIn]) -> list[str]:
    """Invoice numbers as they are compared."""
    if not 1 <= len(invoices) <= INVOICES_MAX:
        raise invalid("invoices", len(invoices), _("between 1 and %(max)s invoices") % {"max": INVOICES_MAX})
    numbers = [_plain(one.number) for one in invoices]
    for number in numbers:
        if not (1 <= len(number) <= INVOICE_LENGTH and number.isascii() and number.isalnum()):
            raise invalid("invoice", number[:INVOICE_LENGTH], _("letters and digits, at most %(max)s") % {
                "max": INVOICE_LENGTH
            })  # fmt: skip
    if len(set(numbers)) < len(numbers):
        raise invalid("invoice", numbers[0], _("each number once"))
    return numbers


def _lock_numbers(numbers: Sequence[str]) -> dict[str, InvoiceNumber]:
    """The rows of invoice numbers, locked in order: of two who claim one at once the second sees the first."""
    InvoiceNumber.objects.bulk_create([InvoiceNumber(number=number) for number in sorted(numbers)],
                                      ignore_conflicts=True)  # fmt: skip
    rows = InvoiceNumber.objects.select_for_update().filter(number__in=numbers).order_by("number")
    return {row.number: row for row in rows}


def _store(act: Act, claim: Claim, found: Assessment, invoices: Sequence[InvoiceIn]) -> Redemption:
    redemption = Redemption(
        voucher=claim.voucher, party=claim.firm, pack=found.pack.id, statement=claim.statement,
        seller=claim.seller_name[:200], seller_uscc=claim.seller_uscc, service=claim.service, contract=claim.contract,
        signed_on=claim.signed_on, used_from=claim.used_from, used_to=claim.used_to, contract_fen=claim.contract_fen,
        settled_fen=claim.settled_fen, paid_fen=claim.paid_fen, claimed_fen=claim.claimed_fen,
        declared=dict(claim.declared), amount_fen=found.amount_fen, parts=found.told,
        salt=secrets.token_hex(16), submitted_at=act.at, record=claim.voucher.record,
    )  # fmt: skip
    redemption.save()
    rows = _lock_numbers(claim.invoices)
    ClaimedInvoice.objects.bulk_create(
        ClaimedInvoice(
            invoice=rows[number], redemption=redemption, pack=found.pack.id,
            name=one.upload.name[-200:] if one.upload else "", digest=_digest(one.upload) if one.upload else "",
        )
        for number, one in zip(claim.invoices, invoices, strict=True)
    )  # fmt: skip
    told = {
        "voucher": claim.voucher, "statement": claim.statement, "claimed_fen": claim.claimed_fen,
        "amount_fen": found.amount_fen,
        "invoices": [salted(redemption.salt, number) for number in claim.invoices],
    }  # fmt: skip
    redemption.record = record_event(act, redemption, Event.SUBMITTED, told, amount=found.amount_fen)
    redemption.decision = _decide(act, redemption, found)
    redemption.save(update_fields=["record", "decision"])
    return redemption


def _decide(act: Act, redemption: Redemption, found: Assessment, **extra: Any) -> Decision:
    """Store what the pack said of each part; returns the decision about the first that counts."""
    decisions = [
        (each, matching.decide(
            act, party=redemption.party, pack_id=found.pack.id, on=found.on, as_of=found.as_of, claim=each.row,
            stage=Stage.CLAIM, subject=f"{canonical.label(redemption)}/{number}", kind=DECIDED,
            extra={"part": number, "amount_of_part_fen": each.amount_fen, **extra},
        )[0])
        for number, each in enumerate(found.parts, 1)
    ]  # fmt: skip
    return next((decision for each, decision in decisions if each.amount_fen), decisions[0][1])


def _open_case(act: Act, redemption: Redemption, uploads: tuple[Upload, ...]) -> None:
    redemption.case = cases.open_case(
        act.actor, kind=CASE, party=redemption.party, subject=canonical.label(redemption), uploads=uploads,
        title=_("Redemption %(number)s of voucher %(voucher)s") % {
            "number": redemption.number, "voucher": redemption.voucher.number
        },
    )  # fmt: skip
    redemption.save(update_fields=["case"])


# --- reviewing --------------------------------------------------------------------------------------------------------


@action("policy.redemption.approve")
def approve(
    act: Act, *, redemption: Redemption, findings: Mapping[str, bool] | None = None, text: str = ""
) -> Redemption:
    """An officer approves: held → committed in the book, and the public notice begins.

    `findings`: each criterion that waits for a person → met, and those of `findings_of`.
    Raises Refused with the clause when the claim no longer holds.
    """
    act.require(REVIEW)
    redemption = lock(redemption, State.SUBMITTED)
    if did(act.actor, redemption, Event.SUBMITTED):
        raise Refused(_("Who asked for a redemption cannot approve it."), code="second_person")
    _lock_numbers([row.number for row in redemption.invoices.select_related("invoice")])
    claim = claims.of_redemption(redemption)
    found = _holding(claim)
    checked = _findings(redemption, found, findings or {})
    if UNRELATED in checked:
        found = _holding(replace(claim, found_unrelated=True))
    fund = redemption.voucher.fund
    redemption.amount_fen, redemption.parts = found.amount_fen, found.told
    redemption.state, redemption.reviewed_at = State.NOTICE, act.at
    redemption.notice_until = notice_end(clock.today(), fund.notice_days)
    told = {"amount_fen": found.amount_fen, "notice_until": redemption.notice_until, "findings": checked}
    record = record_event(act, redemption, Event.APPROVED, told, text, found.amount_fen)
    redemption.decision = _decide(act, redemption, found, approved=True, findings=checked)
    redemption.save(
        update_fields=["amount_fen", "parts", "state", "reviewed_at", "notice_until", "decision"]
    )
    services.commit_part(act, record, vouchers.hold_of(redemption.voucher, found.amount_fen))
    _finish_case(act, redemption, text or _("Approved; in public notice until %(day)s.") % {
        "day": redemption.notice_until
    })  # fmt: skip
    return redemption


def _holding(claim: Claim) -> Assessment:
    """What a claim comes to. Raises Refused when it does not hold."""
    found = assess(claim)
    if found.refusal is not None:
        raise found.refusal.refused()
    return found


def findings_of(redemption: Redemption, found: Assessment) -> dict[str, str]:
    """What an officer has to look at, by title: criteria that wait for a person, and what the book cannot know."""
    wanted = dict(found.manual)
    if redemption.on_platform:
        wanted[INVOICE] = _("Invoice number, amount and buyer agree with the statement")
    else:
        wanted[DOCUMENTS] = _("Contract, invoice, payment and use agree with the documents")
    if found.relation_unknown:
        wanted[UNRELATED] = _("Buyer and supplier are not related")
    return wanted


def _findings(redemption: Redemption, found: Assessment, given: Mapping[str, bool]) -> dict[str, bool]:
    """What the officer found of everything that only a person can say; all of it must be met."""
    wanted = findings_of(redemption, found)
    for name, title in wanted.items():
        if name not in given:
            raise invalid(name, "", _("say whether it is met: %(title)s") % {"title": title})
        if not given[name]:
            raise Refused(_("“%(title)s” is not met: refuse the redemption.") % {"title": title}, code="not_met",
                          criterion=name)  # fmt: skip
    return dict.fromkeys(sorted(wanted), True)


def notice_end(first: date, working_days: int) -> date:
    """The last day of a public notice that begins on a day (which is not counted)."""
    return calendar().add_working_days(first, working_days).date if working_days else first


@action("policy.redemption.refuse")
def refuse(act: Act, *, redemption: Redemption, clause: str, text: str) -> Redemption:
    """An officer refuses, naming the clause and why; the invoice may be used again."""
    act.require(REVIEW)
    redemption = lock(redemption, State.SUBMITTED)
    if not clause.strip():
        raise invalid("clause", clause, _("name the clause"))
    if not text.strip():
        raise invalid("text", text, _("say why"))
    told = {"clause": salted(redemption.salt, clause.strip())}
    record_event(act, redemption, Event.REFUSED, told, f"{clause.strip()}　{text.strip()}")
    _end(redemption, State.REFUSED)
    _finish_case(act, redemption, f"{clause.strip()}　{text.strip()}")
    return redemption


@action("policy.redemption.withdraw")
def withdraw(act: Act, *, redemption: Redemption) -> Redemption:
    """The firm takes its redemption back while it is in review."""
    act.require(REDEEM, redemption)
    redemption = lock(redemption, State.SUBMITTED)
    record_event(act, redemption, Event.WITHDRAWN, {})
    _end(redemption, State.WITHDRAWN)
    if redemption.case is not None and redemption.case.running:
        cases.add_event(act.actor, case=redemption.case, event=CaseEvent.WITHDRAWN)
    return redemption


# --- the public notice ------------------------------------------------------------------------------------------------


@action("policy.redemption.object")
def object_to(act: Act, *, redemption: Redemption, objector: Party, text: str) -> Redemption:
    """A registered party objects while the public notice runs: no payout until an officer has answered all."""
    act.require(READ, objector)
    redemption = lock(redemption, State.NOTICE, State.OBJECTED)
    assert redemption.notice_until is not None
    if clock.today() > redemption.notice_until:
        raise Refused(_("The public notice ended on %(day)s.") % {"day": redemption.notice_until}, code="notice_over")
    if not text.strip():
        raise invalid("text", text, _("say what speaks against it"))
    redemption.state = State.OBJECTED
    redemption.save(update_fields=["state"])
    record_event(act, redemption, Event.OBJECTED, {"objector": objector}, text)
    cases.open_case(
        act.actor, kind=OBJECTION, party=objector, subject=canonical.label(redemption), body=text,
        title=_("Objection to redemption %(number)s") % {"number": redemption.number},
    )
    return redemption


@action("policy.redemption.answer")
def answer_objection(act: Act, *, redemption: Redemption, upheld: bool, text: str) -> Redemption:
    """An officer answers an objection: upheld, the redemption is refused and its commitment is held again;
    dismissed, the next one waits, and after the last the notice goes on."""
    act.require(REVIEW)
    redemption = lock(redemption, State.OBJECTED)
    if not text.strip():
        raise invalid("text", text, _("say why"))
    if not upheld:
        record_event(act, redemption, Event.DISMISSED, {}, text)
        if not _unanswered(redemption):
            redemption.state = State.NOTICE
            redemption.save(update_fields=["state"])
        return redemption
    record = record_event(act, redemption, Event.REFUSED, {"objection": "upheld"}, text)
    _uncommit(act, record, redemption)
    _end(redemption, State.REFUSED)
    return redemption


def _unanswered(redemption: Redemption) -> int:
    """How many objections, and stopped payouts, wait for an answer."""
    kinds = list(redemption.events.values_list("kind", flat=True))
    return kinds.count(Event.OBJECTED) + kinds.count(Event.STOPPED) - kinds.count(Event.DISMISSED)


def _uncommit(act: Act, record: LogRecord, redemption: Redemption) -> None:
    """committed → held: the voucher reserves the amount again (expired: it returns to the fund)."""
    voucher = redemption.voucher
    item = vouchers.hold_of(voucher, redemption.amount_fen)
    services.release_commitment_many(act, record, [item])
    if voucher.state == Voucher.State.ACTIVE:
        services.hold_many(act, record, [item])


# --- parts ------------------------------------------------------------------------------------------------------------


def lock(redemption: Redemption, *states: str) -> Redemption:
    """The redemption, its fund locked first. Raises Conflict when it is in another state."""
    voucher = vouchers.lock(redemption.voucher)
    found = Redemption.objects.select_related("party", "statement", "case").select_for_update(of=("self",)).get(
        pk=redemption.pk
    )
    found.voucher = voucher
    if found.state not in states:
        raise Conflict(
            _("The redemption is already: %(state)s") % {"state": found.get_state_display()}, code="redemption_state"
        )
    return found


def did(actor: Actor, redemption: Redemption, kind: str) -> bool:
    """Whether the actor is the person who did that to the redemption: money takes two."""
    return actor.user is not None and redemption.events.filter(kind=kind, actor=actor.user).exists()


def record_event(
    act: Act, redemption: Redemption, kind: str, content: Mapping[str, Any], text: str = "", amount: int | None = None
) -> LogRecord:
    """Append what happened, with its log record."""
    text = text.strip()
    if len(text) > TEXT_MAX:
        raise invalid("text", text[:20], _("at most %(max)s characters") % {"max": TEXT_MAX})
    told = {"event": kind, **content} | ({"text": salted(redemption.salt, text)} if text else {})
    record = act.record(redemption, told)
    RedemptionEvent.objects.create(
        redemption=redemption, kind=kind, at=act.at, actor=act.actor.user, text=text, amount=amount, record=record
    )
    return record


def _end(redemption: Redemption, state: str) -> None:
    """It counts no more: its invoices and its statement are free again."""
    redemption.state, redemption.live = state, False
    redemption.save(update_fields=["state", "live"])
    redemption.invoices.update(live=False)


def _finish_case(act: Act, redemption: Redemption, text: str) -> None:
    """Let the case follow, where nobody has moved it on by hand."""
    case = redemption.case
    if case is None:
        return
    for event in (CaseEvent.ACCEPTED, CaseEvent.RESOLVED, CaseEvent.CLOSED):
        case.refresh_from_db()
        past = [each.pure for each in case.events.order_by("sequence")]
        if not cases.hindrance(act.actor, case, past, event):
            cases.add_event(act.actor, case=case, event=event, text=text if event is CaseEvent.RESOLVED else "")
