"""REST routes of energy: plans, and what an hour of IT load costs under them."""

from datetime import datetime
from typing import Any

import numpy as np
from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from huoshui.base import clock
from huoshui.base.apikit import Cut, Id, Page, Paging, actor, cut, key
from huoshui.energy import actions, prices, queries
from huoshui.energy.models import EnergyPlan

HOURS_MAX = 744
router = Router(tags=["energy"])


class PlanOut(Schema):
    """A plan in sums (fen). `bound_fen`: no plan costs less."""

    id: int
    number: str
    site: int = Field(alias="site_id")
    start: datetime
    end: datetime
    state: str
    cost_fen: int
    now_cost_fen: int
    bound_fen: int
    digests: dict[str, Any]

    @staticmethod
    def resolve_start(row: EnergyPlan) -> datetime:
        return clock.instant_of(row.start_hour)

    @staticmethod
    def resolve_end(row: EnergyPlan) -> datetime:
        return clock.instant_of(row.end_hour)


class PriceOut(Schema):
    """What one more kWh of IT load costs in an hour (1/1000 fen); None where no plan is in force."""

    start: datetime
    price_mfen: int | None


class HoursIn(Schema):
    """Which hours: `first_hour` counts from the Unix epoch; without it, from the present hour on."""

    first_hour: int | None = Field(None, ge=0, le=1_000_000)
    hours: int = Field(24, ge=1, le=HOURS_MAX)


@router.get("/plans/", response=Page[PlanOut])
def plans(request: HttpRequest, paging: Query[Paging]) -> Cut:
    """Energy plans, newest first."""
    return cut(queries.plans(actor(request)), paging)


@router.get("/plans/{pk}/", response=PlanOut)
def plan(request: HttpRequest, pk: Id) -> EnergyPlan:
    """One plan."""
    return queries.plan(actor(request), pk)


@router.post("/curves/{pk}/plan/", response=PlanOut)
def make_plan(request: HttpRequest, pk: Id) -> EnergyPlan:
    """Compute the cheapest schedule of a load curve."""
    made: EnergyPlan = actions.make_plan(actor(request), key=key(request), curve=queries.curve(actor(request), pk))
    return made


@router.post("/plans/{pk}/approve/", response=PlanOut)
def approve(request: HttpRequest, pk: Id) -> EnergyPlan:
    """Put a plan in force."""
    done: EnergyPlan = actions.approve(actor(request), key=key(request), plan=queries.plan(actor(request), pk))
    return done


@router.get("/sites/{pk}/prices/", response=list[PriceOut])
def site_prices(request: HttpRequest, pk: Id, wanted: Query[HoursIn]) -> list[dict[str, Any]]:
    """Marginal prices of a site under the plans in force."""
    site = queries.site(actor(request), pk)
    first = clock.hour_of(clock.now()) if wanted.first_hour is None else wanted.first_hour
    hours = np.arange(first, first + wanted.hours, dtype=np.int64)
    found = prices.marginal(site, hours).tolist()
    return [
        {"start": clock.instant_of(hour), "price_mfen": None if price == prices.UNKNOWN else price}
        for hour, price in zip(hours.tolist(), found, strict=True)
    ]
