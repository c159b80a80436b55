"""Writes about energy: what a site has, its curves, plans made, put in force and taken back."""

from django.utils.translation import gettext as _

from huoshui.base import canonical, clock
from huoshui.base.act import Act, action
from huoshui.base.errors import Refused, invalid
from huoshui.clearing import energy
from huoshui.compute.models import Site
from huoshui.energy import planning
from huoshui.energy.curves import Curve
from huoshui.energy.models import EnergyPlan, Installation, LoadCurve
from huoshui.energy.permissions import APPROVE, PLAN
from huoshui.terms.rounding import BPS

NAME_LENGTH_MAX = 120
DEMAND_FEN_MAX = 100_000


@action("energy.installation.describe")
def describe(
    act: Act, *, site: Site, chiller_w: int, cop_milli: int, grid_w: int, tank_wh: int = 0, charge_w: int = 0,
    discharge_w: int = 0, loss_bps: int = 0, tank_fill_bps: int = 0, movable_max_w: int = 0, demand_fen: int = 0,
) -> Installation:  # fmt: skip
    """Say what a site has. Plans made before keep what they were made with. Raises Invalid."""
    act.require(PLAN, site)
    rates = (energy.RATE_MIN_W, energy.POWER_MAX_W) if tank_wh else (0, 0)
    values = {
        "chiller_w": (chiller_w, 1, energy.POWER_MAX_W), "grid_w": (grid_w, 1, energy.POWER_MAX_W),
        "cop_milli": (cop_milli, energy.COP_MILLI_MIN, energy.COP_MILLI_MAX),
        "tank_wh": (tank_wh, 0, energy.TANK_MAX_WH), "charge_w": (charge_w, *rates),
        "discharge_w": (discharge_w, *rates), "loss_bps": (loss_bps, 0, BPS),
        "tank_fill_bps": (tank_fill_bps, 0, BPS), "movable_max_w": (movable_max_w, 0, energy.POWER_MAX_W),
        "demand_fen": (demand_fen, 0, DEMAND_FEN_MAX),
    }  # fmt: skip
    for field, (value, low, high) in values.items():
        if not low <= value <= high:
            raise invalid(field, value, _("between %(min)s and %(max)s") % {"min": low, "max": high})
    told = {field: value for field, (value, _low, _high) in values.items()}
    installation = Installation.objects.filter(site=site).first() or Installation(site=site)
    if installation.pk and all(getattr(installation, field) == value for field, value in told.items()):
        act.nothing_changed()
        return installation
    for field, value in told.items():
        setattr(installation, field, value)
    installation.save()
    act.record(installation, {"site": site} | told)
    return installation


@action("energy.curve.upload")
def upload_curve(act: Act, *, site: Site, name: str, curve: Curve) -> LoadCurve:
    """Take in a load curve that `curves.read_file` has read."""
    act.require(PLAN, site)
    if not 0 < len(name.strip()) <= NAME_LENGTH_MAX:
        raise invalid("name", name, _("1 to %(max)s characters") % {"max": NAME_LENGTH_MAX})
    digest = canonical.digest(curve)
    record = act.record(site, {"curve": digest, "hours": [curve.start_hour, curve.end_hour]})
    return LoadCurve.objects.create(
        site=site, name=name.strip(), start_hour=curve.start_hour, end_hour=curve.end_hour,
        step_minutes=curve.step_minutes, columns=curve.columns, digest=digest, uploaded_at=act.at, record=record,
    )  # fmt: skip


@action("energy.plan.make")
def make_plan(act: Act, *, curve: LoadCurve) -> EnergyPlan:
    """Compute the cheapest schedule of a curve at the site's tariff, with its proof.

    Raises Missing without a tariff in force, Refused when there is no installation or no plan (`clearing.energy.Code`).
    """
    act.require(PLAN, curve)
    installation = Installation.objects.filter(site=curve.site).first()
    if installation is None:
        message = _("Say first what the site has: chillers, cold store, contract demand.")
        raise Refused(message, code="energy_no_installation")
    prices = planning.tariff_prices(curve, curve.site.tariff)
    problem = planning.problem_of(installation, curve, prices.per_step)
    plan = planning.solve(problem)
    told, found = planning.plain(problem), planning.plain(plan)
    digests = {
        "curve": curve.digest, "tariffs": prices.digests, "problem": planning.digest(told),
        "result": planning.digest(found),
    }  # fmt: skip
    sums = {"cost_fen": plan.cost_fen, "now_cost_fen": plan.now_cost_fen, "bound_fen": plan.bound_fen}
    record = act.record(curve.site, {"digests": digests} | sums)
    return EnergyPlan.objects.create(
        site=curve.site, curve=curve, start_hour=curve.start_hour, end_hour=curve.end_hour, problem=told, result=found,
        digests=digests, made_at=act.at, record=record, **sums,
    )  # fmt: skip


@action("energy.plan.approve")
def approve(act: Act, *, plan: EnergyPlan) -> EnergyPlan:
    """Put a plan in force for its hours. Rounds prepared from now on take its prices."""
    plan = EnergyPlan.objects.select_for_update().get(pk=plan.pk)
    act.require(APPROVE, plan)
    if plan.state == EnergyPlan.State.APPROVED:
        act.nothing_changed()
        return plan
    if plan.state != EnergyPlan.State.DRAFT:
        raise Refused(_("Plan %(number)s was withdrawn.") % {"number": plan.number}, code="energy_plan_withdrawn")
    if plan.end_hour <= clock.hour_of(act.at):
        raise Refused(_("The hours of plan %(number)s are over.") % {"number": plan.number}, code="energy_plan_over")
    plan.state, plan.approved_at, plan.approved_by = EnergyPlan.State.APPROVED, act.at, act.actor.user
    plan.save(update_fields=["state", "approved_at", "approved_by"])
    act.record(plan, {"approved": True, "problem": plan.digests["problem"], "result": plan.digests["result"]})
    return plan


@action("energy.plan.withdraw")
def withdraw(act: Act, *, plan: EnergyPlan) -> EnergyPlan:
    """Take a plan back: it gives no more prices. Rounds that took its prices keep them."""
    plan = EnergyPlan.objects.select_for_update().get(pk=plan.pk)
    act.require(APPROVE, plan)
    if plan.state == EnergyPlan.State.WITHDRAWN:
        act.nothing_changed()
        return plan
    plan.state = EnergyPlan.State.WITHDRAWN
    plan.save(update_fields=["state"])
    act.record(plan, {"withdrawn": True})
    return plan
