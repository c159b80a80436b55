"""What a claim comes to: every rule and every criterion asked, the amount by the pack, and what keeps it lower.

`assess` reads and decides nothing: the form shows it while one types, the actions refuse or store by it. The pack is
asked about each part of the claim; a part that it refuses counts nothing and says why. The sum is then cut, in this
order, to what stacking leaves, to what the firm may still get this year, and to what the voucher still holds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any

from huoshui.base import canonical, clock
from huoshui.base.errors import Refused
from huoshui.book import services
from huoshui.book.models import Kind
from huoshui.policy import claims, matching, voucher_words
from huoshui.policy.claims import Breach, Claim, Part, Value
from huoshui.policy.models import Fund, Voucher
from huoshui.rules import Explanation, Pack, Verdict
from huoshui.rules.model import BPS, criterion_reads

ADMITTED = (Verdict.MET, Verdict.MANUAL)
RELATED = "claim.related-party"
"""The fact that an officer finds at approval where the registry does not know a supplier."""
FIELDS: Mapping[str, tuple[str, ...]] = {
    "not_yours": (), "not_accepted": (), "paid_less": ("claim.paid", "claim.claimed"),
    "not_paid": (),
    "outside_window": ("claim.used-from", "claim.used-to", "claim.contract-signed"),
    "invoice_used": ("claim.invoice-used",), "contract_used": ("claim.contract-used",), "split": ("claim.split",),
    "related_party": ("claim.related-party",),
}  # fmt: skip
"""Fields of the pack's own criterion on the matter of a rule: it is cited where the pack has one."""


@dataclass(frozen=True)
class Reason:
    """Why something is refused or counts less: a code, the clause that says so, and its words (may be empty)."""

    code: str
    clause: str
    quote: str
    params: Mapping[str, str | int | date]

    @property
    def sentence(self) -> str:
        return voucher_words.sentence(self.code, self.params)

    @property
    def cited(self) -> str:
        """The sentence with its clause and quote."""
        return voucher_words.with_clause(self.sentence, self.clause, self.quote)

    def refused(self) -> Refused:
        said = self.cited
        params: dict[str, Any] = dict(self.params)
        return Refused(said, code=self.code, clause=self.clause, quote=self.quote, **params)


@dataclass(frozen=True)
class Judged:
    """A part of the claim, what the pack says of it and what it comes to."""

    part: Part
    row: Mapping[str, Value | None]
    explanation: Explanation
    amount_fen: int
    reason: Reason | None

    @property
    def relation_unknown(self) -> bool:
        """Whether somebody has to find that buyer and supplier are not related."""
        return self.row[RELATED] is None


@dataclass(frozen=True)
class Assessment:
    """What a claim comes to by the rules of a day (`on`) and the facts of another (`as_of`).

    `cuts` are the limits that made it less than the pack's amount.
    """

    claim: Claim
    pack: Pack
    on: date
    as_of: date
    parts: tuple[Judged, ...]
    reasons: tuple[Reason, ...]
    by_pack_fen: int
    amount_fen: int
    cuts: tuple[Reason, ...]

    @property
    def refusal(self) -> Reason | None:
        """Why nothing can be redeemed; None when something can."""
        if self.reasons:
            return self.reasons[0]
        if self.amount_fen > 0:
            return None
        parts = (each.reason for each in self.parts if each.reason)
        return next(iter([*self.cuts, *parts]), Reason("nothing", voucher_words.rule(9), "", {}))

    @property
    def told(self) -> list[dict[str, Any]]:
        """The parts in plain words: stored with the redemption, shown in the form."""
        return [_told(judged) for judged in self.parts]

    @property
    def relation_unknown(self) -> bool:
        """Whether an admitted part has a supplier of which the registry cannot tell that it is not related."""
        return any(judged.relation_unknown for judged in self.parts if not judged.reason)

    @cached_property
    def manual(self) -> dict[str, str]:
        """Criteria of admitted parts that a person has to judge: id → title."""
        found = [
            each.criterion for judged in self.parts if not judged.reason for each in judged.explanation.criteria
            if each.verdict is Verdict.MANUAL
        ]  # fmt: skip
        return {criterion.id: criterion.title for criterion in found}


def _told(judged: Judged) -> dict[str, Any]:
    part, reason = judged.part, judged.reason
    return {
        "facility": part.facility, "service": part.service, "listed": part.listed,
        "suppliers": [seller.name for seller in part.sellers], "settled_fen": part.settled_fen,
        "claimed_fen": part.claimed_fen, "amount_fen": judged.amount_fen, "code": reason.code if reason else "",
        "clause": reason.clause if reason else "", "params": canonical.plain(dict(reason.params)) if reason else {},
    }  # fmt: skip


def judged_on(fund: Fund, today: date | None = None) -> date:
    """The day whose rules judge a fund's claims: today, but within its year and while its pack was in force.

    Only the rules are of that day: the facts are those of today.
    """
    publication = fund.publication
    while (later := publication.superseded_by) and later.effective_from <= publication.effective_from:
        publication = later  # a text put right from its own first day on
    ends = [today or clock.today(), date(fund.year, 12, 31)]
    if publication.effective_to:
        ends.append(publication.effective_to)
    if publication.superseded_by:
        ends.append(publication.superseded_by.effective_from - timedelta(days=1))
    return min(ends)


def left_on(voucher: Voucher) -> int:
    """What a voucher still holds, in fen (from the book)."""
    return services.balance(voucher.fund.authority, Kind.HELD, subject=voucher.label)


def assess(claim: Claim, today: date | None = None) -> Assessment:
    """Ask every rule and every criterion about a claim."""
    on = judged_on(claim.fund, today)
    pack = matching.shelf(on).pack(claim.fund.pack)
    as_of = today or clock.today()
    parts = tuple(_judge_parts(claim, pack, on, as_of))
    by_pack = sum(each.amount_fen for each in parts)
    amount, cuts = by_pack, list[Reason]()
    for room, reason in _limits(claim, pack):
        if room <= 0 or amount > room:
            amount = min(amount, max(room, 0))
            cuts.append(reason)
    reasons = tuple(
        _of_breach(breach, claim.fund, parts) for breach in claims.breaches(claim, pack, as_of)
    )
    return Assessment(claim, pack, on, as_of, parts, reasons, by_pack, amount, tuple(cuts))


def _judge_parts(claim: Claim, pack: Pack, on: date, as_of: date) -> Iterator[Judged]:
    got, cells = 0, matching.row(claim.firm, as_of).cells
    for part in claims.parts_of(claim):
        row = claims.facts_of(claim, part, pack, got, cells)
        explanation = matching.explain_claim(pack.id, claim.firm, row, on, as_of=as_of)
        reason = _part_reason(claim, part, explanation)
        amount = 0 if reason or explanation.amount_fen is None else min(explanation.amount_fen, part.claimed_fen)
        got += amount
        yield Judged(part, row, explanation, amount, reason)


def _part_reason(claim: Claim, part: Part, explanation: Explanation) -> Reason | None:
    """Why a part counts nothing; the pack's own criterion is cited before the rules."""
    named = {"supplier": "、".join(seller.name for seller in part.sellers)}
    if explanation.verdict not in ADMITTED:
        for each in explanation.criteria:
            if each.verdict is explanation.verdict and explanation.verdict is Verdict.UNMET:
                criterion = each.criterion
                return Reason("not_met", criterion.clause, criterion.quote, named | {"title": criterion.title})
    if claims.is_related(claim, part):
        return Reason("related_party", voucher_words.rule(8), "", named)
    if explanation.verdict is Verdict.NA:
        return Reason("not_for_you", voucher_words.rule(9), "", named)
    waits = explanation.verdict is Verdict.UNKNOWN and set(explanation.unknown) != {RELATED}
    if waits or explanation.amount_fen is None:
        columns = voucher_words.columns(explanation.unknown)
        return Reason("unknown", voucher_words.rule(9), "", named | {"facts": columns})
    return None


def _limits(claim: Claim, pack: Pack) -> Iterator[tuple[int, Reason]]:
    """What the amount may not exceed, with the clause that says so."""
    if pack.stacking is not None:
        room = claim.settled_fen * pack.stacking.max_bps // BPS - claims.others_on_contract(claim, pack)
        yield room, Reason("stacking", pack.stacking.clause, pack.stacking.quote, {"share": pack.stacking.max_bps})
    if pack.benefit is not None and pack.benefit.cap_fen is not None:
        cap = pack.benefit.cap_fen
        reason = Reason("firm_cap", pack.benefit.clause, pack.benefit.quote, {"cap": cap})
        yield cap - claims.got_by_pack(claim.fund, claim.firm, claim.own), reason
    if claim.fund.firm_cap_fen is not None:
        cap = claim.fund.firm_cap_fen
        got = claims.got_from_fund(claim.fund, claim.firm, claim.own)
        yield cap - got, Reason("firm_cap", claim.fund.basis, "", {"cap": cap})
    left = left_on(claim.voucher)
    yield left, Reason("voucher_left", voucher_words.rule(10), "", {"left": left})


def _of_breach(breach: Breach, fund: Fund, parts: tuple[Judged, ...]) -> Reason:
    """A breach with its clause: the pack's own criterion that is not met, the fund's terms, or the published rule."""
    wanted = set(FIELDS.get(breach.code, ()))
    for judged in parts:
        for each in judged.explanation.criteria:
            reads = {term.field for term in criterion_reads(each.criterion)}
            if each.verdict is Verdict.UNMET and wanted & reads:
                return Reason(breach.code, each.criterion.clause, each.criterion.quote, breach.params)
    clause = voucher_words.rule(breach.rule)
    return Reason(breach.code, f"{fund.basis} · {clause}" if breach.rule in (1, 4) else clause, "", breach.params)
