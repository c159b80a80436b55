"""Usage and cost by day, model and key; the list of calls, which holds no content."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from huoshui.base import clock, export
from huoshui.base.requests import actor_of
from huoshui.base.views import page
from huoshui.maas import drawings, queries, words
from huoshui.maas.forms import CallFilter, UsageFilter
from huoshui.maas.instants import at
from huoshui.maas.models import UFEN
from huoshui.maas.permissions import READ

ROWS_PER_PAGE = 50
DAYS = 30
CALLS_EXPORTED_MAX = 100_000


def _begin() -> dict[str, Any]:
    """What page and file narrow to when nothing is said."""
    return {"since": clock.today() - timedelta(days=DAYS - 1), "until": clock.today()}


def _narrowed(request: HttpRequest) -> tuple[UsageFilter, dict[str, Any]]:
    form = UsageFilter(actor_of(request), request.GET or None, initial=_begin())
    return form, form.narrowed() if form.is_bound else _begin()


@page(READ)
def usage(request: HttpRequest) -> HttpResponse:
    """What was called and what it cost."""
    actor = actor_of(request)
    form, narrowed = _narrowed(request)
    by_day, by_model, by_key = (queries.usage_by(actor, narrowed, by) for by in ("day", "model", "key"))
    names = queries.key_names(by_key)
    by_key = {names[pk]: sums for pk, sums in by_key.items()}
    context = {
        "form": form, "total": queries.usage_total(actor, narrowed), "by_day": by_day, "by_model": by_model,
        "by_key": by_key, "groups_max": queries.GROUPS_MAX,
        "cut": max(map(len, (by_day, by_model, by_key))) == queries.GROUPS_MAX,
        "figures": [
            drawn for drawn in (
                drawings.by_day(by_day), drawings.by_name(_("Cost by model"), by_model),
                drawings.by_name(_("Cost by key"), by_key),
            ) if drawn is not None
        ],
    }  # fmt: skip
    return render(request, "maas/usage.html", context)


@page(READ)
def usage_file(request: HttpRequest, kind: str) -> HttpResponse:
    """The same as a file, by day, model and key."""
    actor = actor_of(request)
    _form, narrowed = _narrowed(request)
    rows = queries.usage(actor, narrowed)
    headers = [
        _("day"), _("model"), _("key"), _("calls"), _("not answered"), _("tokens in"), _("of these cached"),
        _("tokens out"), _("cost (yuan)"),
    ]  # fmt: skip
    table: list[list[export.Cell]] = [
        [
            row.day, row.model, row.key_name, row.calls, row.failed, row.input_tokens, row.cached_tokens,
            row.output_tokens, yuan(row.cost_ufen),
        ]
        for row in rows
    ]  # fmt: skip
    return export.response(kind, f"model-usage-{clock.today()}", headers, table)


@page(READ)
def call_list(request: HttpRequest) -> HttpResponse:
    """Calls, newest first: who, what, how long, what it cost. Never what was said."""
    actor = actor_of(request)
    form = CallFilter(actor, request.GET or None)
    found = queries.calls(actor, form.narrowed() if form.is_bound else {})
    listed = Paginator(found, ROWS_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "maas/calls.html", {"form": form, "page_obj": listed})


@page(READ)
def call_file(request: HttpRequest, kind: str) -> HttpResponse:
    """Calls as a file."""
    actor = actor_of(request)
    form = CallFilter(actor, request.GET or None)
    headers = [
        _("call"), _("began"), _("key"), _("model"), _("upstream"), _("tokens in"), _("of these cached"),
        _("tokens out"), _("counted by"), _("outcome"), _("first token (ms)"), _("in all (ms)"), _("cost (yuan)"),
    ]  # fmt: skip
    found = queries.calls(actor, form.narrowed() if form.is_bound else {})[:CALLS_EXPORTED_MAX]
    table = (
        [
            row.pk, at(row.started_ms), row.key.name, row.model, row.offer.upstream.name if row.offer else None,
            row.input_tokens, row.cached_tokens, row.output_tokens, str(words.COUNTED.get(row.counted, row.counted)),
            words.outcome(row.outcome), row.first_token_ms and row.first_token_ms - row.started_ms,
            row.ended_ms and row.ended_ms - row.started_ms, yuan(row.cost_ufen),
        ]
        for row in found
    )  # fmt: skip
    return export.response(kind, f"model-calls-{clock.today()}", headers, table)


def yuan(ufen: int) -> Decimal:
    """Exact yuan of µfen: calls cost parts of a fen, so files show eight decimals."""
    return (Decimal(ufen) / (100 * UFEN)).quantize(Decimal("0.00000001"))
