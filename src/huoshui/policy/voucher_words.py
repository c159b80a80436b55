"""Sentences for the codes of funds, vouchers, redemptions and payouts: refusals, rules, lines, subjects."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from huoshui.book import words
from huoshui.rules import FIELDS
from huoshui.rules import words as rule_words
from huoshui.terms.rounding import format_yuan

RULES = {
    1: _l("A voucher is redeemed until its last day, while it is valid."),
    2: _l("Only the payer of an accepted statement redeems it; one that is contested, cancelled or not secured is not "
          "redeemed."),
    3: _l("No more is claimed than was paid, as banks reported it."),
    4: _l("All days of use lie within the period of the fund."),
    5: _l("An invoice counts once: its number and its file, for any firm, fund or voucher, unless vouchers may stack."),
    6: _l("A contract is supported once, unless the packs name the same stacking group; then up to its limit."),
    7: _l("Contracts with one supplier outside the platform, signed within 30 days, are claimed as one."),
    8: _l("Purchases from the firm itself or from related parties are not supported."),
    9: _l("The pack of the voucher decides share and cap; what is unknown is asked for, never assumed."),
    10: _l("No more is paid than the voucher reserves; what it reserved and nobody redeemed returns to the fund."),
    11: _l("Each approved amount is shown in public notice before it is paid; anyone registered may object."),
    12: _l("A subsidy got on wrong facts is claimed back."),
}
SENTENCES = {
    "voucher_expired": _l("The voucher could be redeemed until %(until)s."),
    "not_yours": _l("This statement was paid by another party."),
    "not_accepted": _l("Statement %(number)s is not accepted, or is none that a fund reimburses."),
    "not_paid": _l("No bank has reported a payment yet."),
    "paid_less": _l("%(claimed)s yuan is claimed, %(paid)s yuan was paid."),
    "use_unknown": _l("It is not known when the service was used."),
    "outside_window": _l("The days of use do not all lie between %(from)s and %(until)s."),
    "no_invoice": _l("No invoice is named."),
    "invoice_used": _l("Invoice %(number)s counts for another redemption."),
    "contract_used": _l("Contract %(contract)s is supported already."),
    "split": _l("Another contract with this supplier, signed within %(days)s days, is claimed as well."),
    "related_party": _l("%(supplier)s is related to the firm."),
    "not_met": _l("Not met: %(title)s (%(supplier)s)."),
    "not_for_you": _l("The pack is not for this firm."),
    "unknown": _l("Not known yet: %(facts)s (%(supplier)s)."),
    "nothing": _l("The pack gives nothing for this claim."),
    "stacking": _l("Vouchers for one contract together reach at most %(share)s of it."),
    "firm_cap": _l("A firm gets at most %(cap)s yuan a year from this fund."),
    "voucher_left": _l("The voucher reserves %(left)s yuan more."),
    "fund_exhausted": _l("The fund has %(left)s yuan left and %(needs)s yuan is needed."),
    "fund_closed": _l("The fund issues no vouchers any more."),
    "no_fund": _l("No authority has opened a fund for “%(pack)s” in %(year)s."),
    "no_amount": _l("How much the voucher should reserve cannot be told."),
}
MONEY = ("paid", "claimed", "cap", "left", "needs")
LINES = {
    "policy.subsidy": _l("subsidy for %(redemption)s, of what was paid on statement %(source)s"),
    "policy.grant": _l("grant on application %(application)s"),
    "policy.claw_back": _l("claimed back of payout %(payout)s"),
}
LINE_KINDS = {"subsidy": _l("subsidy"), "claw_back": _l("claw-back")}
SUBJECTS = {
    "policy.fund": _l("fund"), "policy.voucher": _l("voucher"), "policy.application": _l("application"),
    "policy.redemption": _l("redemption"),
}  # fmt: skip


def register() -> None:
    """Tell the book (called once, from apps.py)."""
    words.lines.update(LINES)
    words.line_kinds.update(LINE_KINDS)
    words.subjects.update(SUBJECTS)


def rule(number: int) -> str:
    """A rule as it is cited."""
    return _("Redemption rules, rule %(number)s") % {"number": number}


def sentence(code: str, params: Mapping[str, Any]) -> str:
    """Why, in a sentence."""
    said = {name: _shown(name, given) for name, given in params.items()}
    return str(SENTENCES[code]) % said


def _shown(name: str, given: Any) -> str:
    if name in MONEY and isinstance(given, int):
        return format_yuan(given)
    if name == "share" and isinstance(given, int):
        return rule_words.percent(given)
    return given.isoformat() if isinstance(given, date) else str(given)


def with_clause(said: str, clause: str, quote: str) -> str:
    """A sentence with where it stands."""
    cited = f"{clause}“{quote}”" if quote else clause
    return _("%(said)s (%(clause)s)") % {"said": said, "clause": cited}


def columns(names: Iterable[str]) -> str:
    """Facts by their titles."""
    language = get_language() or "zh-hans"
    return "、".join(rule_words.column(name, FIELDS, language) for name in names)
