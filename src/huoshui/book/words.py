"""Sentences for the codes of the book: what a posting did, what a line is for, what an account is about.

A desk registers its own in its `apps.py`: `words.postings["compute.expire"] = _("expired")`,
`words.lines["compute.run"] = _("%(cards)s cards from %(from)s")`, `words.subjects["compute.request"] = _("request")`.
"""

from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from huoshui.book.models import GRANT, Kind, State, Statement

postings: dict[str, str | Promise] = {
    "book.limit": gettext_lazy("limit set"),
    "book.hold": gettext_lazy("held"),
    "book.release_hold": gettext_lazy("hold released"),
    "book.commit": gettext_lazy("committed"),
    "book.release_commitment": gettext_lazy("commitment released"),
    "book.accept": gettext_lazy("statement accepted"),
    "book.owed": gettext_lazy("owed by statement"),
    "book.take_back": gettext_lazy("payment order taken back"),
    "book.owed_no_more": gettext_lazy("no longer owed"),
    "book.pay": gettext_lazy("payment reported by a bank"),
    "book.discharge": gettext_lazy("payment taken from the limit"),
}
lines: dict[str, str | Promise] = {"book.credit": gettext_lazy("credit for line %(line)s")}
subjects: dict[str, str | Promise] = {
    "book.statement": gettext_lazy("statement"),
    "registry.party": gettext_lazy("granted to"),
}
line_kinds: dict[str, str | Promise] = {"credit": gettext_lazy("credit")}
units: dict[str, str | Promise] = {"CNY": gettext_lazy("yuan"), "SCH": gettext_lazy("standard card-hours")}
LEVELS = {
    State.ISSUED: "info", State.CONTESTED: "watch", State.ACCEPTED: "info", State.PAID: "good", State.CANCELLED: "none",
}  # fmt: skip
KINDS: Mapping[str, str | Promise] = {
    Kind.LIMIT: gettext_lazy("free to be reserved"),
    Kind.HELD: gettext_lazy("reserved by what was asked for"),
    Kind.COMMITTED: gettext_lazy("reserved for what was published"),
    Kind.PAYABLE: gettext_lazy("accepted, to be paid"),
    Kind.RECEIVABLE: gettext_lazy("owed to this party; below zero: owed by it"),
    Kind.PAID: gettext_lazy("received by this party; below zero: paid by it"),
}


def posting(memo: str) -> str:
    """What a posting did."""
    return str(postings.get(memo, memo))


def line(description: str, params: dict[str, Any]) -> str:
    """What a line is for."""
    return str(lines.get(description, description)) % params


def line_kind(kind: str) -> str:
    """What kind of line it is."""
    return str(line_kinds.get(kind, kind))


def unit(asset: str) -> str:
    """The unit in which amounts of an asset are shown."""
    return str(units.get(asset, asset))


def subject(label: str) -> str:
    """What an account is about: `compute.request:12` → request 12."""
    if not label:
        return _("in all")
    about, _at, earmark = label.removeprefix(GRANT).partition("@")
    model, _colon, number = about.partition(":")
    named = f"{subjects[model]} {number}" if model in subjects else about
    if not earmark:
        return named
    return f"{named} · {subject(earmark)}" if ":" in earmark else f"{named}@{earmark}"


def level(statement: Statement) -> str:
    """The badge's level for a statement's state."""
    return LEVELS[State(statement.state)]
