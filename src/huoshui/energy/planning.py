"""From an installation, a curve and the tariff to the solver's problem, and back from what is stored.

The demand charge is for a month; a plan bears the part of it that its hours are of the month, so that a day's plan and
the price of an hour carry a day's part of the peak. The cold store ends a plan as full as it began: no plan lives on
what another one stored.
"""

from __future__ import annotations

import calendar as months
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from typing import Any

import numpy as np
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from huoshui.base import canonical, clock
from huoshui.base.errors import Refused
from huoshui.clearing import energy
from huoshui.clearing.energy import Code, Int64, NoPlan
from huoshui.energy.models import EnergyPlan, Installation, LoadCurve
from huoshui.registry.queries import calendar, publication_in_force
from huoshui.terms.rounding import BPS

MILLI = 1000
HALF_HOUR_MINUTES, MINUTES_PER_HOUR, MINUTES_PER_DAY = 30, 60, 1440
FIELDS = {
    "movable_w": _l("load that can wait (W)"),
    "price": _l("price of a kWh (1/1000 fen)"),
    "peak_floor_w": _l("peak (W)"),
    "demand_price": _l("demand charge (1/1000 fen per kW)"),
}
"""What the solver calls fields that a curve or a tariff gives; those of the installation were checked when given."""


@dataclass(frozen=True)
class Prices:
    """Price of each step (1/1000 fen per kWh) and the digests of the tariffs that gave it."""

    per_step: Int64
    digests: list[str]


def tariff_prices(curve: LoadCurve, tariff: str) -> Prices:
    """What the site's tariff charges in each step; the tariff in force on each day holds. Raises Missing."""
    known, digests, days = calendar(), [], {}
    values = []
    for step in range((curve.end_hour - curve.start_hour) * MINUTES_PER_HOUR // curve.step_minutes):
        at = clock.local(clock.instant_of(curve.start_hour) + timedelta(minutes=step * curve.step_minutes))
        day = at.date()
        if day not in days:
            publication = publication_in_force("tariff", tariff, day)
            digests.append(publication.digest)
            days[day] = publication.loaded().half_hour_prices(day, known)
        first = (at.hour * MINUTES_PER_HOUR + at.minute) // HALF_HOUR_MINUTES
        halves = days[day][first : first + max(curve.step_minutes // HALF_HOUR_MINUTES, 1)]
        values.append(sum(halves) // len(halves))
    return Prices(np.array(values, np.int64), sorted(set(digests)))


def problem_of(installation: Installation, curve: LoadCurve, price: Int64) -> energy.Problem:
    """The problem of a curve at the prices of its steps. Raises Refused (the codes of `clearing.energy.Code`)."""
    held = installation.tank_wh * installation.tank_fill_bps // BPS
    cop = [installation.cop_milli if given is None else given for given in curve.columns["cop_milli"]]
    it, movable, other, pv = (_column(curve.columns[name]) for name in ("it_w", "movable_w", "other_w", "pv_w"))
    try:
        return energy.Problem(
            step_minutes=curve.step_minutes, price=price, it_w=it, movable_w=movable, window=_local_days(curve),
            other_w=other, pv_w=pv, cop_milli=_column(cop),
            movable_max_w=installation.movable_max_w, chiller_w=installation.chiller_w, grid_w=installation.grid_w,
            tank_wh=installation.tank_wh, charge_w=installation.charge_w, discharge_w=installation.discharge_w,
            loss_bps=installation.loss_bps, tank_start_wh=held, tank_end_wh=held,
            demand_price=_demand_price(installation, curve),
        )  # fmt: skip
    except NoPlan as error:
        raise refusal(error) from None


def _column(values: list[int]) -> Int64:
    return np.array(values, np.int64)


def _local_days(curve: LoadCurve) -> Int64:
    """Which local day each step lies in, from 0: a load that can wait stays within its day."""
    first = clock.local(clock.instant_of(curve.start_hour))
    steps = np.arange(len(curve.columns["it_w"]), dtype=np.int64)
    days: Int64 = (first.hour * MINUTES_PER_HOUR + steps * curve.step_minutes) // MINUTES_PER_DAY
    return days


def _demand_price(installation: Installation, curve: LoadCurve) -> int:
    """The part of the month's demand charge that falls on the hours of a curve (1/1000 fen per kW, rounded up)."""
    first = clock.local(clock.instant_of(curve.start_hour))
    hours = 24 * months.monthrange(first.year, first.month)[1]
    return -(-installation.demand_fen * MILLI * (curve.end_hour - curve.start_hour) // hours)


def solve(problem: energy.Problem) -> energy.Plan:
    """The cheapest plan, verified. Raises Refused."""
    try:
        plan = energy.clear(problem)
    except NoPlan as error:
        raise refusal(error) from None
    if breaches := energy.verify(problem, plan):
        raise AssertionError(f"the plan states what is not so: {breaches}")
    return plan


def refusal(error: NoPlan) -> Refused:
    """Why there is no plan, in words."""
    told = {"field": "", "value": "", "min": "", "max": ""} | error.params
    told["field"] = FIELDS.get(told["field"], told["field"])
    words = {
        Code.FIELD: _("“%(field)s” is %(value)s; it must lie between %(min)s and %(max)s."),
        Code.SHAPE: _("The column “%(field)s” has another length than the others."),
        Code.GRID: _("The load cannot be met within the contract demand, whatever is stored or moved."),
        Code.CHILLER: _("The chillers and the cold store cannot make the cold that the load needs."),
        Code.TANK_END: _("The cold store cannot be as full at the end as it was at the start."),
    }
    return Refused(words[error.code] % told, code=str(error.code), **error.params)


# --- stored and restored ----------------------------------------------------------------------------------------------


def plain(value: Any) -> dict[str, Any]:
    """A frozen dataclass of numbers and columns as JSON types."""
    return {name: _listed(item) for name, item in asdict(value).items()}


def _listed(item: Any) -> Any:
    if isinstance(item, dict):
        return {name: _listed(value) for name, value in item.items()}
    return item.tolist() if isinstance(item, np.ndarray) else int(item)


def _restored(kind: type[Any], stored: dict[str, Any]) -> Any:
    columns = {field.name: field.type for field in fields(kind)}
    return kind(**{
        name: np.array(value, np.int64) if columns[name] == "Int64" else value for name, value in stored.items()
    })  # fmt: skip


def problem(plan: EnergyPlan) -> energy.Problem:
    """The problem that a plan solves."""
    found: energy.Problem = _restored(energy.Problem, plan.problem)
    return found


def result(plan: EnergyPlan) -> energy.Plan:
    """The stored plan as the verifier takes it."""
    multipliers = _restored(energy.Multipliers, plan.result["multipliers"])
    found: energy.Plan = _restored(energy.Plan, plan.result | {"multipliers": multipliers})
    return found


def digest(stored: dict[str, Any]) -> str:
    """SHA-256 of stored numbers."""
    return canonical.digest(stored)
