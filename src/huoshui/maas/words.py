"""What the desk's codes mean where pages, files, the book and the log show them."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from huoshui.book import words
from huoshui.maas.models import Call

OUTCOMES: dict[str, str | Promise] = {
    "ok": pgettext_lazy("call", "answered"),
    "aborted": _("ended by the client"),
    "truncated": _("cut off"),
    "timeout": _("timed out"),
    "quota": _("quota of the upstream used up"),
    "rate_limited": _("rate limit of the upstream"),
    "upstream_error": _("error of the upstream"),
    "upstream_refused": _("refused by the upstream"),
    "unreachable": _("not reachable"),
    "bad_answer": _("answer not understood"),
    "lost": _("lost: the gateway stopped"),
}
KEY_STATES: dict[str, tuple[str, str | Promise]] = {
    "live": ("good", _("valid")),
    "soon": ("watch", _("expires soon")),
    "expired": ("none", pgettext_lazy("key", "expired")),
    "revoked": ("none", _("revoked")),
}
CALL_LEVELS = {
    Call.State.HELD: "info", Call.State.SETTLED: "good", Call.State.RELEASED: "none", Call.State.EXPIRED: "watch",
}  # fmt: skip
COUNTED: dict[str, str | Promise] = {"upstream": _("the upstream"), "platform": _("the platform"), "": "—"}


def register() -> None:
    """Tell the book (called once, from apps.py)."""
    words.lines["maas.tokens"] = _(
        "%(model)s: %(calls)s calls, tokens in %(input)s (cached %(cached)s), out %(output)s"
    )
    words.lines["maas.probes"] = _("%(model)s: %(calls)s measured calls")
    words.line_kinds["tokens"] = _("tokens")
    words.subjects["maas.wallet"] = _("wallet of the model service")


def outcome(code: str) -> str:
    """How a call ended."""
    return str(OUTCOMES.get(code, code)) if code else "—"
