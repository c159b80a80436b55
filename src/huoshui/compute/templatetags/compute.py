"""Filters of the desk: hours, states and figures of rounds in words."""

from __future__ import annotations

from typing import Any

from django import template
from django.urls import reverse
from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.models import LogRecord
from huoshui.base.requests import actor_of
from huoshui.compute import book_words
from huoshui.compute.depositing import Tally
from huoshui.compute.models import Allocation, Deposit, Request, Round
from huoshui.compute.permissions import VERIFY
from huoshui.compute.words import refusal_sentence, refusal_title
from huoshui.terms.round_terms import NoticeSteps

register = template.Library()
LEVELS = {
    Round.State.DRAFT: "info", Round.State.CLEARED: "watch", Round.State.PUBLISHED: "good",
    Round.State.SETTLED: "good", Round.State.CANCELLED: "none",
}  # fmt: skip
ROW_LEVELS: dict[str, str] = {
    Request.State.OPEN: "info", Request.State.IN_ROUND: "info", Request.State.SERVED: "good",
    Request.State.REFUSED: "bad", Request.State.WITHDRAWN: "none", Request.State.DISPLACED: "bad",
    Request.State.COMPLETED: "good", Allocation.State.PLANNED: "info", Allocation.State.FINISHED: "good",
    Allocation.State.CANCELLED: "none", Deposit.State.OPEN: "good",
}  # fmt: skip


@register.filter
def hour_slot(hour: int | None, form: str = "") -> str:
    """An hour since the epoch as local date and time (`short`: no year; `day`: no time); — when unknown."""
    shape = {"short": "%m-%d %H:%M", "day": "%m-%d"}.get(form, "%Y-%m-%d %H:%M")
    return "—" if hour is None else clock.local(clock.instant_of(hour)).strftime(shape)


@register.filter
def reach(tally: Tally) -> str:
    """From the first to the last hour of a deposit."""
    return f"{hour_slot(tally.first_hour)} – {hour_slot(tally.last_hour)}"


@register.filter
def round_level(state: str) -> str:
    """Level of a round's state."""
    return LEVELS.get(Round.State(state), "none")


@register.filter
def state_level(state: str) -> str:
    """Level of the state of a request, an allocation or a deposit."""
    return ROW_LEVELS.get(state, "none")


@register.filter
def served_note(round_: Round) -> str:
    """How many were asked."""
    return _("of %(count)s requests") % {"count": f"{round_.figures.get('requests', 0):,}"}


@register.filter
def offered_note(round_: Round) -> str:
    """How many card-hours were offered."""
    return _("of %(count)s offered") % {"count": f"{round_.figures.get('offered_card_hours', 0):,}"}


@register.filter
def value_ratio(told: dict[str, Any]) -> str | None:
    """Value of the plan over first come, first served, in percent."""
    if not told.get("first_come_mfen"):
        return None
    return f"{told['objective_mfen'] * 100 / told['first_come_mfen']:.1f}"


@register.filter
def gross_yuan(told: dict[str, Any]) -> str:
    """What buyers would pay without the concession, in yuan: the sum that the public document states."""
    if "paid_fen" not in told:
        return "—"
    fen = told["paid_fen"] + told["concession_fen"]
    return f"{fen // 100:,}.{fen % 100:02d}"


@register.filter
def mfen_yuan(mfen: int | None) -> str:
    """1/1000 fen as yuan; — when unknown (a round without figures)."""
    return f"{mfen / 100_000:,.2f}" if isinstance(mfen, int) else "—"


@register.filter
def pue(bps: int) -> str:
    """Power usage effectiveness: 12500 → 1.25."""
    return f"{bps / 10_000:.4f}".rstrip("0").ljust(4, "0")


@register.filter
def digest_title(name: str) -> str:
    """What a digest of a round is of."""
    return {
        "terms": _("round terms"), "problem": _("problem"), "result": _("result"),
        "commitments_root": _("commitments to the requests"), "statement": _("public statement"),
    }.get(name, name)  # fmt: skip


@register.simple_tag(takes_context=True)
def round_url(context: template.Context, round_: Round) -> str:
    """The page of a round: the whole of it for those who verify rounds, else what is public."""
    name = "compute:round" if actor_of(context["request"]).can(VERIFY) else "compute:public_round"
    return reverse(name, args=[round_.number])


@register.filter
def steps(table: NoticeSteps) -> list[tuple[int, int]]:
    """Hours of notice and basis points, step by step."""
    return list(zip(table.hours, table.values_bps, strict=True))


@register.filter
def request_level(state: str) -> str:
    """Level of a request's state; waiting is no success yet."""
    return "info" if state == Request.State.OPEN else state_level(state)


@register.filter
def why(refusal: dict[str, Any]) -> str:
    """Why a request was not served, with the amounts."""
    return refusal_sentence(refusal)


@register.filter
def why_short(code: str) -> str:
    """Short name of a refusal reason."""
    return refusal_title(code)


@register.filter
def moved(memo: str) -> str:
    """What a posting did to a compute account."""
    return book_words.words.posting(memo)


@register.filter
def did_what(record: LogRecord) -> str:
    """What a log record of a request says was done."""
    return book_words.act(record.action)
