"""The desk at a glance: what is idle, asked, served and sold, at which prices, and what comes next."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from huoshui.base import access, clock
from huoshui.base.requests import actor_of
from huoshui.base.views import page
from huoshui.compute import drawings, panel, queries
from huoshui.compute.models import Pool, Request
from huoshui.compute.permissions import DEPOSIT, MANAGE_SITES, READ, REQUEST, RUN_ROUND
from huoshui.registry.queries import parties_of

PARTIES_MAX = 5
STEPS_SHOWN = 8
ROUNDS_SHOWN = 4


@page(READ)
def overview(request: HttpRequest) -> HttpResponse:
    """The whole desk for the centre; for everyone else the published market, and their own part of it."""
    actor = actor_of(request)
    last = queries.last_published()
    everywhere = access.EVERYWHERE in actor.scopes(READ)
    demand = queries.demand(actor)
    context: dict[str, Any] = {
        "last": last, "everywhere": everywhere, "supply": queries.supply(actor),
        "now": clock.now(), "waiting": demand.get(Request.State.OPEN, 0) + demand.get(Request.State.IN_ROUND, 0),
        "running": demand.get(Request.State.SERVED, 0),
        "rounds": queries.rounds_for(actor)[:ROUNDS_SHOWN], "steps": _steps(actor, everywhere),
        "may_deposit": access.visible(Pool.objects.all(), actor, DEPOSIT).exists(),
        "may_request": actor.can(REQUEST), "may_run": actor.can(RUN_ROUND),
    }  # fmt: skip
    if last is not None:
        own = set() if everywhere else set(access.ids(actor.scopes(MANAGE_SITES), "party"))
        grid = queries.own_first(queries.grid(last), own)
        context |= {
            "own_first": any(pool.site.operator_id in own for pool in grid.pools),
            "heat": drawings.price_map(grid), "curves": drawings.region_curves(grid),
            "use": drawings.utilisation(grid), "flow": drawings.offered_and_sold(grid),
        }  # fmt: skip
    return render(request, "compute/overview.html", context)


def _steps(actor: access.Actor, everywhere: bool) -> list[panel.Step]:
    """What happens next: at the desk, and to the parties for which the person acts."""
    steps = list(panel.desk_steps(actor))
    if not everywhere:
        for party in parties_of(actor, READ)[:PARTIES_MAX]:
            steps += panel.deadlines(actor, party)
    return sorted(steps, key=lambda step: step.due)[:STEPS_SHOWN]
