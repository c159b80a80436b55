"""What the codes of the exchange mean to people: postings and lines of the book, outcomes, alerts, criteria."""

from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from huoshui.book import words
from huoshui.exchange.models import Alert, Order
from huoshui.exchange.prices import shown

OUTCOMES: dict[str, str | Promise] = {
    "filled": _("all lots were traded"),
    "part": _("a part was traded; the other side had no more"),
    "price": _("the price was beyond your limit, or there was none"),
    "queue": _("others with a better limit, or earlier at the same limit, took all there was"),
    "own_group": _("your group had an earlier order on the other side: nobody trades with itself"),
    "cancelled": _("the auction was cancelled"),
    "cards_lost": _("the cards that stood behind it were lost before the session closed"),
}
CRITERIA: dict[str, str | Promise] = {
    "price": _("price"), "throughput": _("FP16 throughput"), "memory": _("memory"), "firmness": _("firmness"),
    "record": _("record"), "total": _("total"),
}  # fmt: skip
FORMULAS: dict[str, str | Promise] = {
    "price": _("lowest price ÷ own price"),
    "throughput": _("own FP16 throughput of a card ÷ highest"),
    "memory": _("own memory of a card ÷ highest"),
    "firmness": _("all points when the cards cannot be recalled, else hours of notice ÷ 168, at most 90"),
    "record": _("share of the site's bookings that ended and were not lost"),
}
TAKEN_BACK: dict[str, str | Promise] = {"recall": _("recalled with notice"), "failure": _("they failed")}
ALERTS: dict[str, str | Promise] = {
    "self_trade": _("Both sides are of one group: nobody trades with itself."),
    "wash_trade": _("With %(trades)s the cards come back to where they began within the days that the terms watch."),
    "price_limit": _("%(price)s yuan lies outside the limits of %(low)s to %(high)s yuan."),
    "order_limit": _("More than %(max)s were to be open at once."),
}


def register() -> None:
    """Tell the book (called once, from apps.py)."""
    words.postings["exchange.commit"] = _("committed for a trade")
    words.lines.update({
        "exchange.card_hours": _("card-hours of trade %(trade)s"),
        "exchange.balance": _("standard card-hours of trade %(trade)s"),
        "exchange.fee": _("service fee of trade %(trade)s"),
        "exchange.fee_deducted": _("service fee, out of the seller's revenue"),
        "exchange.lost": _("hours of trade %(trade)s that were lost after they had been resold"),
    })  # fmt: skip
    words.line_kinds.update({"card_hours": _("card-hours"), "balance": _("balance"), "lost": _("lost hours")})
    words.subjects.update({
        "exchange.listing": _("listing"), "exchange.order": _("sealed order"), "exchange.enquiry": _("enquiry"),
        "exchange.trade": _("trade"), "exchange.auction": _("call auction"),
    })  # fmt: skip


def outcome(order: Order) -> str:
    """Why an order got what it got."""
    return str(OUTCOMES.get(order.outcome, ""))


def criterion(code: str) -> str:
    """Name of a criterion."""
    return str(CRITERIA.get(code, code))


def alert(row: Alert) -> str:
    """What an alert is about, with its figures."""
    detail: dict[str, Any] = dict(row.detail)
    for name in ("price", "low", "high"):
        if name in detail:
            detail[name] = shown(detail[name])
    if "trades" in detail:
        detail["trades"] = gettext(", ").join(detail["trades"])
    return str(ALERTS[row.code]) % detail
