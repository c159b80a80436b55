"""Pages of energy 用能优化: sites, what each has, its curves and plans; a plan with figures, and as a document."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from huoshui.base import clock, docx, export
from huoshui.base.errors import Refused
from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action, show_refusal
from huoshui.energy import actions, queries
from huoshui.energy.curves import COLUMNS, read_file
from huoshui.energy.describing import Described
from huoshui.energy.forms import CurveForm, InstallationForm
from huoshui.energy.models import EnergyPlan
from huoshui.energy.permissions import APPROVE, PLAN, READ

ROWS_PER_PAGE = 25
CURVES_SHOWN = 20


@page(READ)
def overview(request: HttpRequest) -> HttpResponse:
    """Sites with their plans."""
    actor = actor_of(request)
    found = Paginator(queries.sites(actor), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    context = {"page_obj": found, "rows": queries.overview(actor, list(found))}
    return render(request, "energy/overview.html", context)


@page(READ)
def site(request: HttpRequest, pk: int) -> HttpResponse:
    """One site: what it has, its curves, its plans."""
    actor = actor_of(request)
    found = queries.site(actor, pk)
    plans = Paginator(queries.plans(actor, found), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "site": found, "installation": queries.installation(found), "curves": queries.curves(found)[:CURVES_SHOWN],
        "plans": plans, "may_plan": actor.can(PLAN, found),
    }  # fmt: skip
    return render(request, "energy/site.html", context)


@page(PLAN)
def describe(request: HttpRequest, pk: int) -> HttpResponse:
    """Say what a site has."""
    actor = actor_of(request)
    found = queries.site(actor, pk)
    form = InstallationForm(request.POST or None, row=queries.installation(found))
    if form.is_valid():
        made = post_action(request, actions.describe, form, _("Saved."), site=found, **form.named)
        if made is not None:
            return redirect("energy:site", pk)
    return render(request, "energy/installation_form.html", {"site": found, "form": form})


@page(PLAN)
def curve_new(request: HttpRequest, pk: int) -> HttpResponse:
    """Send in a load curve."""
    found = queries.site(actor_of(request), pk)
    form = CurveForm(request.POST or None, request.FILES or None)
    if form.is_valid():
        file = form.cleaned_data["file"]
        try:
            curve = read_file(file.name, file.read())
        except Refused as error:
            show_refusal(form, error)
        else:
            named = {"site": found, "name": form.cleaned_data["name"], "curve": curve}
            if post_action(request, actions.upload_curve, form, _("The load curve is taken in."), **named) is not None:
                return redirect("energy:site", pk)
    return render(request, "energy/curve_form.html", {"site": found, "form": form, "columns": COLUMNS})


@page(PLAN)
def curve_template(request: HttpRequest, kind: str) -> HttpResponse:
    """An empty file: the headings and one row as an example."""
    headings, example = [column.zh for column in COLUMNS], [column.meaning for column in COLUMNS]
    return export.response(kind, _("Load curve"), headings, [example])


@require_POST
@page(PLAN)
def plan_make(request: HttpRequest, pk: int) -> HttpResponse:
    """Compute a plan for a curve."""
    curve = queries.curve(actor_of(request), pk)
    made = post_action(request, actions.make_plan, None, _("The plan is made."), curve=curve)
    assert made is not None
    return redirect("energy:plan", made.pk)


@page(READ)
def plan(request: HttpRequest, pk: int) -> HttpResponse:
    """A plan: what it brings, what to do, the figures, and behind them the proof."""
    actor = actor_of(request)
    found = queries.plan(actor, pk)
    described = Described(found)
    over = found.end_hour <= clock.hour_of(clock.now())
    context = {
        "plan": found, "described": described, "measures": described.measures(), "over": over,
        "figures": [described.power(), described.store(), described.prices()] if described.problem.tank_wh
        else [described.power(), described.prices()],
        "may_approve": actor.can(APPROVE, found) and found.state == EnergyPlan.State.DRAFT and not over,
        "may_withdraw": actor.can(APPROVE, found) and found.state == EnergyPlan.State.APPROVED,
        "peak_now_w": int(described.plan.now_import_w.max()), "gap_fen": found.cost_fen - found.bound_fen,
    }  # fmt: skip
    return render(request, "energy/plan.html", context)


@page(READ)
def plan_document(request: HttpRequest, pk: int) -> HttpResponse:
    """The plan as a page to print."""
    found = queries.plan(actor_of(request), pk)
    described = Described(found)
    context = {"plan": found, "described": described, "measures": described.measures()}
    return render(request, "energy/plan_document.html", context)


@page(READ)
def plan_docx(request: HttpRequest, pk: int) -> HttpResponse:
    """The plan as DOCX."""
    found = queries.plan(actor_of(request), pk)
    name = _("Plan for the use of electricity") + f" {found.number}"
    return docx.response(name, Described(found).document())


@require_POST
@page(APPROVE)
def plan_approve(request: HttpRequest, pk: int) -> HttpResponse:
    """Put a plan in force."""
    found = queries.plan(actor_of(request), pk)
    post_action(request, actions.approve, None, _("The plan is in force."), plan=found)
    return redirect("energy:plan", pk)


@require_POST
@page(APPROVE)
def plan_withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a plan back."""
    found = queries.plan(actor_of(request), pk)
    post_action(request, actions.withdraw, None, _("The plan is withdrawn."), plan=found)
    return redirect("energy:plan", pk)
