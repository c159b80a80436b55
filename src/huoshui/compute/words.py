"""Codes of the solver, put into words."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

YUAN_MFEN = 100_000


def refusal_title(code: str) -> str:
    """Short name of a refusal reason."""
    return {
        "model": _("card model not on offer"),
        "region": _("not on offer in the accepted regions"),
        "no_capacity": _("no capacity in the window"),
        "budget": _("budget below the lowest reserve price"),
        "price": _("budget below the slot prices"),
        "kept_for_small": _("kept for small requests"),
        "missed": _("would have been admitted at these prices"),
        "window_passed": _("the window passed"),
    }.get(code, code)


def phase_title(code: str) -> str:
    """What the solver is working on."""
    titles = {"bound": _("weighing demand"), "place": _("placing requests"), "prices": _("setting prices")}
    return titles.get(code, code)


def refusal_sentence(refusal: dict[str, Any]) -> str:
    """Why a request was not served, with the amount that would have been needed (params: cost, pool, missed amount)."""
    code = refusal["code"]
    cost, _pool, missed = (list(refusal.get("params") or []) + [0, 0, 0])[:3]
    yuan = {"cost": f"{cost / YUAN_MFEN:,.2f}", "missed": f"{missed / YUAN_MFEN:,.2f}"}
    return {
        "model": _("None of the card models you accept was on offer."),
        "region": _("Your card models were on offer, but not in the regions you accept."),
        "no_capacity": _("Nobody offered so many cards together for so long within your window."),
        "budget": _("Even without competition the cheapest offer costs %(cost)s yuan, more than the budget.") % yuan,
        "price": _("At the slot prices the cheapest place costs %(cost)s yuan, more than the budget.") % yuan,
        "window_passed": _("No round was cleared before your window ended."),
        "kept_for_small": _("The cheapest place is in the share kept for small requests."),
        "missed": _(
            "At the slot prices there is a place for %(cost)s yuan, within the budget, but the cards together did not "
            "fit beside the others. What was missed (%(missed)s yuan) is listed in the published result."
        ) % yuan,
    }.get(code, code)  # fmt: skip
