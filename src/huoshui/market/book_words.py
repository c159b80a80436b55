"""What the supermarket's codes mean where the book and the log are shown."""

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from huoshui.book import words

LINES = {
    "market.card_time": _("%(product)s: card-time counted by the engine"),
    "market.period": _("%(product)s: %(cards)s cards, %(hours)s hours"),
    "market.fee": _("service fee"),
    "market.fee_deducted": _("service fee, out of the operator's revenue"),
    "market.concession": _("concession of the platform"),
    "market.lost": _("card-time that was lost"),
    "market.compensation": _("compensation: less was available than promised"),
    "market.cancellation": _("kept on cancellation"),
}
LINE_KINDS = {
    "card_time": _("card-time"), "fee": _("service fee"), "concession": _("concession"), "lost": _("lost card-time"),
    "compensation": _("compensation"), "cancellation": _("cancellation"),
}  # fmt: skip
SUBJECTS = {"market.order": _("order")}
ACTS = {
    "market.order.place": _("placed"),
    "market.order.confirm": pgettext_lazy("order", "confirmed"),
    "market.order.refuse": pgettext_lazy("order", "refused"),
    "market.order.cancel": pgettext_lazy("order", "cancelled"),
    "market.order.recall": _("cards taken back"),
    "market.order.extend": _("extended"),
    "market.order.bill": _("period billed"),
    "market.order.close": pgettext_lazy("order", "settled"),
    "market.order.comment": _("commented"),
    "market.product.draft": _("drawn up"),
    "market.product.import": _("drawn up from a file"),
    "market.product.change": _("changed"),
    "market.product.price": _("price changed"),
    "market.product.submit": _("submitted for a second look"),
    "market.product.approve": _("put on sale"),
    "market.product.return": _("given back"),
    "market.product.pause": pgettext_lazy("on sale", "paused"),
    "market.product.resume": _("on sale again"),
    "market.product.end": pgettext_lazy("product", "ended"),
}


def register() -> None:
    """Tell the book (called once, from apps.py)."""
    words.lines.update(LINES)
    words.line_kinds.update(LINE_KINDS)
    words.subjects.update(SUBJECTS)


def act(name: str) -> str:
    """What an action did, as pages say it."""
    return str(ACTS.get(name, name))
