"""Use of the sites: a measure by site and month, with its published rule."""

from __future__ import annotations

from datetime import timedelta

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from huoshui.base import access, clock
from huoshui.base.requests import actor_of
from huoshui.base.views import page
from huoshui.compute.models import Pool, Site
from huoshui.indicators import catalogue
from huoshui.jobs import use
from huoshui.jobs.indicators import MEASURES
from huoshui.jobs.permissions import READ

MONTHS = 6
ROWS_PER_PAGE = 25


@page(READ)
def by_site(request: HttpRequest) -> HttpResponse:
    """One measure of every site that the person may see, for the present month and those before it."""
    actor = actor_of(request)
    measure = next((one for one in MEASURES if one.name == request.GET.get("show")), MEASURES[0])
    sites = access.visible(Site.objects.all(), actor, READ).select_related("operator").order_by("name", "id")
    found = Paginator(sites, ROWS_PER_PAGE).get_page(request.GET.get("page"))
    pools = list(Pool.objects.filter(site__in=list(found)))
    months = _months()
    uses = [use.by_site(pools, first, last) for _name, first, last in months]
    unit = catalogue.UNITS["bps"]
    rows = []
    for site in found:
        values = [measure.of(one.get(site.pk, use.Use())) for one in uses]
        levels = [measure.rule.level(value) for value in values]
        rows.append((site, [
            (unit.words(value), level, catalogue.LEVELS[level])
            for value, level in zip(values, levels, strict=True)
        ]))  # fmt: skip
    views = [(one.title, f"{request.path}?show={one.name}" if at else request.path) for at, one in enumerate(MEASURES)]
    context = {
        "page_obj": found, "rows": rows, "months": [name for name, _first, _last in months], "measure": measure,
        "tabs": views, "rule": measure.rule.words(unit),
    }  # fmt: skip
    return render(request, "jobs/use.html", context)


def _months() -> list[tuple[str, int, int]]:
    """The present month up to the present hour and those before it: name, first hour, last hour; newest first."""
    last = clock.hour_of(clock.now()) + 1
    found = []
    for _month in range(MONTHS):
        day = clock.local(clock.instant_of(last - 1)).date().replace(day=1)
        first = clock.hour_of(clock.day_start(day))
        found.append((f"{day:%Y-%m}", first, last))
        last = clock.hour_of(clock.day_start(day - timedelta(days=1)) + timedelta(days=1))
    return found
