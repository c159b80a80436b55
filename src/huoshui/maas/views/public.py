"""What everybody may read: models and prices, the quality table and how it is measured."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from huoshui.base import clock, export
from huoshui.base.errors import Missing
from huoshui.base.requests import actor_of
from huoshui.base.views import page_errors
from huoshui.maas import probing, published, queries
from huoshui.maas.permissions import FUND
from huoshui.maas.queries import Measured

FAR = 1 << 62
SORTS: dict[str, Callable[[Measured], Any]] = {
    "model": lambda row: (row.offer.model, row.offer.output_fen),
    "price": lambda row: (row.offer.output_fen, row.offer.input_fen),
    "ttft": lambda row: _last(row.quality.ttft.p50),
    "tpot": lambda row: _last(row.quality.tpot.p50),
    "e2e": lambda row: _last(row.quality.e2e.p50),
    "speed": lambda row: -(row.quality.speed_mtps or 0),
    "success": lambda row: -(row.quality.success_bps or 0),
    "good": lambda row: -(row.quality.good_bps or 0),
}


def _scaled(value: int | None, places: int) -> Decimal | None:
    return None if value is None else Decimal(value).scaleb(-places)


def _last(value: int | None) -> int:
    return FAR if value is None else value


@page_errors
def model_list(request: HttpRequest) -> HttpResponse:
    """Every model on offer: who offers it, where, at what price, and what the probe measured."""
    found = list(queries.offers())
    actor = actor_of(request)
    context = {
        "rows": queries.measured(found), "models": len({offer.model for offer in found}),
        "providers": len({offer.upstream.provider_id for offer in found}),
        "may_fund": actor.user is not None and actor.can(FUND), "days": published.WINDOW.days,
    }  # fmt: skip
    return render(request, "maas/models.html", context)


@page_errors
def model(request: HttpRequest, name: str) -> HttpResponse:
    """One model: its offers, cell by cell of the quality table, and every price that it ever had."""
    history = list(queries.price_history(name))
    if not history:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    found = list(queries.offers(name))
    context = {
        "name": name, "offers": found, "rows": queries.measured(found, by_cell=True), "history": history,
        "live": [(offer, told[offer.pk]) for told in [queries.live(found)] for offer in found if offer.pk in told],
        "days": published.WINDOW.days,
    }  # fmt: skip
    return render(request, "maas/model.html", context)


@page_errors
def quality(request: HttpRequest) -> HttpResponse:
    """The quality table 量化评估, sorted as asked for."""
    sort = request.GET.get("sort", "model")
    by_cell = request.GET.get("by") == "cell"
    rows = queries.measured(queries.offers(), by_cell)
    known = sorted(rows, key=SORTS.get(sort, SORTS["model"]))
    titles = {
        "model": _("model"), "price": _("price"), "ttft": "TTFT", "tpot": "TPOT", "e2e": "E2E",
        "speed": _("output (tokens/s)"), "success": _("success rate"), "good": _("goodput"),
    }  # fmt: skip
    context = {
        "rows": known, "sort": sort, "by_cell": by_cell,
        "measured": sum(row.quality.calls for row in rows), "days": published.WINDOW.days, "sorts": titles.items(),
    }  # fmt: skip
    return render(request, "maas/quality.html", context)


@page_errors
def method(request: HttpRequest) -> HttpResponse:
    """How the table is measured and how calls are billed: the published rules in words."""
    return render(request, "maas/method.html", {
        "buckets": published.INPUT_BUCKETS, "concurrencies": published.CONCURRENCIES,
        "calls": published.PROBES_PER_CELL, "output_tokens": published.OUTPUT_TOKENS,
        "minutes": int(published.PROBE_EVERY.total_seconds() // 60), "days": published.WINDOW.days,
        "day_fen": published.PROBE_DAY_FEN, "ttft_us": published.SLO_TTFT_US, "tpot_us": published.SLO_TPOT_US,
        "seconds_max": published.PROBE_SECONDS_MAX, "live_calls": published.LIVE_CALLS_MIN,
        "live_wallets": published.LIVE_WALLETS_MIN, "bill_fen": published.BILL_AT_FEN,
        "contest_days": published.CONTEST_WORKING_DAYS, "vat_bps": published.VAT_BPS, "outcomes": probing.OUTCOMES,
    })  # fmt: skip


@page_errors
def quality_file(request: HttpRequest, kind: str) -> HttpResponse:
    """The table cell by cell."""
    headers = [
        _("model"), _("upstream"), _("provider"), _("region"), _("input (tokens)"), _("calls at once"),
        _("calls measured"), _("last measured"), *(f"TTFT {part} (ms)" for part in ("p50", "p95", "p99")),
        *(f"TPOT {part} (ms)" for part in ("p50", "p95", "p99")),
        *(f"E2E {part} (ms)" for part in ("p50", "p95", "p99")),
        _("output (tokens/s)"), _("success rate (%)"), _("availability (%)"), _("goodput (%)"), _("errors"),
        _("input (yuan per million tokens)"), _("output (yuan per million tokens)"),
    ]  # fmt: skip
    rows = [_cells(row) for row in queries.measured(queries.offers(), by_cell=True)]
    return export.response(kind, f"model-quality-{clock.today()}", headers, rows)


def _cells(row: Measured) -> list[export.Cell]:
    told, offer = row.quality, row.offer
    times = [
        _scaled(value, 3)
        for spread in (told.ttft, told.tpot, told.e2e) for value in (spread.p50, spread.p95, spread.p99)
    ]  # fmt: skip
    shares = [
        _scaled(value, 2)
        for value in (told.success_bps, told.availability_bps, told.good_bps)
    ]
    return [
        offer.model, offer.upstream.name, offer.upstream.provider.name, offer.upstream.region.name,
        row.bucket or None, row.concurrency or None, told.calls, told.last, *times,
        _scaled(told.speed_mtps, 3), *shares,
        " ".join(f"{code}:{count}" for code, count in told.errors), export.yuan(offer.input_fen),
        export.yuan(offer.output_fen),
    ]  # fmt: skip
