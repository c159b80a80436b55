"""Delivery reports: what operators say ran, one by one or by file, and the schedule they work from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from huoshui.base import clock, export
from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action
from huoshui.compute import queries, schedules, settle, uploads
from huoshui.compute.actions import delivery
from huoshui.compute.actions.delivery import ROWS_MAX
from huoshui.compute.forms_deposits import DeliveryForm
from huoshui.compute.models import Allocation, Run
from huoshui.compute.permissions import DELIVER
from huoshui.registry.models import RoleKind
from huoshui.registry.queries import parties_of
from huoshui.terms.rounding import MILLI

ROWS_PER_PAGE = 25
TABS = ("due", "coming", "finished")


@page(DELIVER)
def delivery_list(request: HttpRequest) -> HttpResponse:
    """Allocations at the person's sites: those with hours to report, those to come, those that are finished."""
    show = request.GET.get("show", TABS[0])
    rows, now = queries.allocations(actor_of(request)), clock.hour_of(clock.now())
    if show == "finished":
        rows = rows.exclude(state=Allocation.State.PLANNED)
    else:
        rows = queries.dated(rows.filter(state=Allocation.State.PLANNED))
        rows = rows.filter(first_hour__gt=now) if show == "coming" else rows.filter(first_hour__lte=now)
    listed = Paginator(rows, ROWS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "page_obj": listed, "rows": queries.delivery_progress(listed), "show": show, "now": now,
        "grace_hours": settle.REPORT_GRACE_HOURS,
    }  # fmt: skip
    return render(request, "compute/deliveries.html", context)


@page(DELIVER)
def delivery_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One allocation: its runs, what is reported, and the form for what ran next."""
    allocation = queries.allocation_at(actor_of(request), pk)
    runs, reports = queries.schedule(allocation), schedules.reports_of(allocation)
    form = DeliveryForm(request.POST or None, initial=_next_stretch(allocation, runs, reports))
    if form.is_valid():
        data = form.cleaned_data
        named = {
            "allocation": allocation, "start_hour": data["start"], "end_hour": data["end"],
            "milli_card_hours": data["card_hours"], "evidence": data["evidence"],
        }  # fmt: skip
        if post_action(request, delivery.report_delivery, form, _("The report is stored."), **named):
            return redirect("compute:delivery", pk)
    given = sum(run.end_hour - run.start_hour for run in runs) * allocation.request.cards * MILLI
    context = {
        "allocation": allocation, "runs": runs, "reports": allocation.deliveries.order_by("start_hour"),
        "form": form, "given": given, "reported": sum(report.milli_card_hours for report in reports),
        "open": allocation.state == Allocation.State.PLANNED, "statement": delivery.statement_of(allocation),
        "report_until": runs[-1].end_hour + settle.REPORT_GRACE_HOURS if runs else None,
    }  # fmt: skip
    return render(request, "compute/delivery.html", context)


def _next_stretch(allocation: Allocation, runs: list[Run], reports: Iterable[Any]) -> dict[str, Any]:
    """The first hours that are over and not reported, as if all of them had run in full."""
    now, known = clock.hour_of(clock.now()), set(settle.spread_over_hours(reports))
    for run in runs:
        open_hours = [hour for hour in range(run.start_hour, min(run.end_hour, now)) if hour not in known]
        if open_hours:
            start = end = open_hours[0]
            while end in open_hours:
                end += 1
            return {"start": start, "end": end, "card_hours": allocation.request.cards * (end - start)}
    return {}


def _reported(count: int) -> str:
    return ngettext("%(count)s report was taken in.", "%(count)s reports were taken in.", count) % {"count": count}


def _delivered(rows: Sequence[delivery.Row]) -> dict[str, int]:
    return {
        "requests": len({row.request for row in rows}),
        "milli_card_hours": sum(row.milli_card_hours for row in rows),
    }


UPLOAD = uploads.Upload(
    "compute/delivery_upload.html", delivery.COLUMNS, delivery.read_file, delivery.import_deliveries,
    party="operator", then="compute:deliveries", said=_reported, summary=_delivered,
)  # fmt: skip


@page(DELIVER)
def delivery_upload(request: HttpRequest) -> HttpResponse:
    """Delivery reports by file: shown first, taken in when confirmed."""
    parties = parties_of(actor_of(request), DELIVER)
    return UPLOAD.page(request, parties.filter(roles__kind=RoleKind.OPERATOR).distinct())


@page(DELIVER)
def delivery_template(request: HttpRequest, kind: str) -> HttpResponse:
    """What is over and not reported, as a file to fill in and send back; card-hours as if all had run."""
    open_rows = queries.allocations(actor_of(request)).filter(state=Allocation.State.PLANNED)
    rows = queries.dated(open_rows).filter(first_hour__lt=clock.hour_of(clock.now()))
    found = []
    for allocation in rows.prefetch_related("runs", "deliveries")[:ROWS_MAX]:
        runs = sorted((run for run in allocation.runs.all() if run.version == allocation.version), key=_start)
        if known := _next_stretch(allocation, runs, allocation.deliveries.all()):
            found.append((
                allocation.request.number, _written(known["start"]), _written(known["end"]), known["card_hours"], "",
            ))  # fmt: skip
    return export.response(kind, _("delivery"), [column.zh for column in delivery.COLUMNS], found)


@page(DELIVER)
def schedule_file(request: HttpRequest, kind: str) -> HttpResponse:
    """The schedule of the person's sites from now on: who runs where, on how many cards, up to which amount."""
    rows = queries.schedule_ahead(actor_of(request))[:ROWS_MAX]
    headers = [
        _("Request"), _("Entity"), _("Site"), _("Card model"), _("Start"), _("End"), _("Cards"),
        _("Spending cap (yuan)"),
    ]  # fmt: skip
    cells = (
        (
            run.allocation.request.number, run.allocation.request.entity.name, run.pool.site.name,
            run.pool.card_model.name, _written(run.start_hour), _written(run.end_hour), run.allocation.request.cards,
            export.yuan(run.allocation.spending_cap_fen),
        )
        for run in rows
    )  # fmt: skip
    return export.response(kind, _("schedule"), headers, cells)


def _start(run: Run) -> int:
    return run.start_hour


def _written(hour: int) -> str:
    return clock.local(clock.instant_of(hour)).strftime("%Y-%m-%d %H:%M")
