"""Pages of indicators: all by desk, one with its history, a file to take away."""

from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from huoshui.base import clock, export, figures
from huoshui.base.requests import actor_of
from huoshui.base.views import page
from huoshui.indicators import actions, catalogue, queries
from huoshui.indicators.catalogue import PERIODS, READ, RECORD, Period
from huoshui.indicators.queries import Reading

SPARKLINE_PERIODS = 30


@page(READ)
def index(request: HttpRequest) -> HttpResponse:
    """Every indicator that the person may see, by desk."""
    actor = actor_of(request)
    desks = [
        (title, [(reading, _sparkline(reading)) for reading in rows])
        for title, rows in queries.by_desk(actor, SPARKLINE_PERIODS)
    ]
    return render(request, "indicators/index.html", {"desks": desks, "may_record": actor.can(RECORD)})


@page(READ)
def detail(request: HttpRequest, code: str) -> HttpResponse:
    """One indicator: what it means, its rule, its history."""
    found = queries.indicator(actor_of(request), code)
    reading = queries.readings([found])[0]
    title, columns = str(found.title), [_period_name(found.period, row.period_end) for row in reading.history]
    drawn = figures.lines(title, columns, {title: _numbers(reading)}, unit=str(reading.unit.title)) if columns else None
    rows = [
        (name, row, reading.unit.words(row.value), catalogue.LEVELS[row.level])
        for name, row in zip(columns, reading.history, strict=True)
    ]
    context = {"reading": reading, "figure": drawn, "rows": rows[::-1], "period": PERIODS[found.period]}
    return render(request, "indicators/detail.html", context)


@page(READ)
def download(request: HttpRequest, kind: str) -> HttpResponse:
    """The latest values as a file."""
    headers = [
        _("desk"), _("code"), _("indicator"), _("definition"), _("source"), _("period"), _("period ends"), _("value"),
        _("unit"), _("level"), _("rule"),
    ]
    rows = (
        [
            desk, row.indicator.code, str(row.indicator.title), str(row.indicator.definition),
            str(row.indicator.source), str(PERIODS[row.indicator.period]), row.last.period_end if row.last else None,
            row.unit.number(row.last.value) if row.last else None, str(row.unit.title), row.level_word,
            row.indicator.rule_words,
        ]
        for desk, readings in queries.by_desk(actor_of(request), 1)
        for row in readings
    )
    return export.response(kind, _("indicators"), headers, rows)


@require_POST
@page(RECORD)
def record(request: HttpRequest) -> HttpResponse:
    """Compute everything now."""
    actions.record_values(actor_of(request))
    return redirect("indicators:index")


def _sparkline(reading: Reading) -> figures.Figure | None:
    """The history as a small curve, once there are two periods."""
    if len(reading.history) < 2:
        return None
    return figures.sparkline(str(reading.indicator.title), _numbers(reading))


def _numbers(reading: Reading) -> list[float | None]:
    """The history for a figure; a period without data stays a gap."""
    numbers = (reading.unit.number(row.value) for row in reading.history)
    return [None if number is None else float(number) for number in numbers]


PATTERNS = {Period.DAY: "%m-%d", Period.MONTH: "%Y-%m", Period.YEAR: "%Y", Period.NOW: "%m-%d %H:%M"}


def _period_name(period: Period, end: datetime) -> str:
    """The local day, month or year that ended at `end`, or the moment."""
    return clock.local(catalogue.period_start(period, end)).strftime(PATTERNS[period])
