"""What the desk's codes mean where the book and the log are shown: postings, lines of statements, acts."""

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from huoshui.book import words

POSTINGS = {
    "compute.account.credit": _("credited for deposited card-hours"),
    "compute.account.hold": _("held for a request"),
    "compute.account.commit": _("kept for an allocation"),
    "compute.account.use": _("used"),
    "compute.account.release": _("given back"),
    "compute.account.transfer": _("passed on"),
    "compute.account.expire": _("expired"),
}
LINES = {
    "compute.card_hours": _("card-hours of deposit %(deposit)s"),
    "compute.fee": _("service fee"),
    "compute.fee_deducted": _("service fee, out of the depositor's revenue"),
    "compute.concession": _("concession of the platform"),
    "compute.transfer": _("data transfer"),
    "compute.shortfall": _("compensation for card-hours not delivered"),
    "compute.cancellation": _("share kept on cancellation, deposit %(deposit)s"),
    "compute.displacement": _("compensation for being displaced"),
    "compute.difference": _("difference of price, borne by who recalled"),
    "compute.difference_elsewhere": _("difference of price after a recall, advanced for who recalled"),
}
LINE_KINDS = {
    "card_hours": _("card-hours"), "bank": _("card-hours, credited to the compute account"), "fee": _("service fee"),
    "concession": _("concession"), "transfer": _("data transfer"), "shortfall": _("shortfall"),
    "cancellation": _("cancellation"), "displacement": _("displacement"), "difference": _("difference of price"),
}  # fmt: skip
SUBJECTS = {"compute.request": _("request")}
ACTS = {
    "compute.request.submit": _("submitted"),
    "compute.request.withdraw": pgettext_lazy("compute", "withdrawn"),
    "compute.allocation.cap": _("spending cap set"),
    "compute.allocation.finish_early": _("finished early"),
    "compute.allocation.cancel": _("allocation cancelled"),
    "compute.allocation.settle": _("delivery settled"),
    "compute.delivery.report": _("delivery reported"),
    "compute.delivery.import": _("delivery reported"),
    "compute.round.publish": _("round published: given a place"),
    "compute.account.contest": _("statement contested"),
    "compute.account.accept": _("statement accepted"),
}


def register() -> None:
    """Tell the book (called once, from apps.py)."""
    words.postings.update(POSTINGS)
    words.lines.update(LINES)
    words.line_kinds.update(LINE_KINDS)
    words.subjects.update(SUBJECTS)


def act(name: str) -> str:
    """What an action did to a request, as its page says it."""
    return str(ACTS.get(name, name))
