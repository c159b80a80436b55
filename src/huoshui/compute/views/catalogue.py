"""The catalogue 算力中心与卡型号: sites with their pools; card models and regions, which the centre keeps."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, TypeVar

from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from huoshui.base import access
from huoshui.base.access import WHOLE, Actor
from huoshui.base.errors import Missing
from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action
from huoshui.compute import forms_catalogue as forms
from huoshui.compute import queries
from huoshui.compute.actions import catalogue
from huoshui.compute.models import CardModel, Pool, Region, Site
from huoshui.compute.permissions import MANAGE_SITES
from huoshui.registry.models import Party, RoleKind
from huoshui.registry.queries import divisions, parties_of, publication_in_force, publications_in_force

ROWS_PER_PAGE = 25
M = TypeVar("M", bound=Model)


# --- sites and pools --------------------------------------------------------------------------------------------------


@page(MANAGE_SITES)
def site_list(request: HttpRequest) -> HttpResponse:
    """Sites that the person manages, with what cards they have."""
    actor = actor_of(request)
    form = forms.SiteFilter(request.GET or None)
    chosen = {name: value for name, value in (form.cleaned_data if form.is_valid() else {}).items() if value}
    found = Paginator(queries.sites(actor, **chosen), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    tariffs = _tariffs({row.tariff for row in found})
    context = {
        "form": form, "page_obj": found, "rows": [(row, tariffs.get(row.tariff)) for row in found],
        "narrowed": bool(chosen), "may_define": _operators(actor).exists(),
    }  # fmt: skip
    return render(request, "compute/sites.html", context)


def _tariffs(wanted: set[str]) -> dict[str, str]:
    """Titles of the tariffs in force, by identifier, an earlier one too; those not in force are not there."""
    found = {row.identifier: row.title for row in publications_in_force("tariff")}
    for identifier in wanted - found.keys():
        with suppress(Missing):
            found[identifier] = publication_in_force("tariff", identifier).title
    return found


def _operators(actor: Actor) -> Any:
    """Operators for whom the person manages sites."""
    return parties_of(actor, MANAGE_SITES).filter(roles__kind=RoleKind.OPERATOR).distinct().order_by("name")


def _site(actor: Actor, pk: int) -> Site:
    return access.get_visible(Site.objects.select_related("operator", "region"), actor, MANAGE_SITES, pk=pk)


@page(MANAGE_SITES)
def site(request: HttpRequest, pk: int) -> HttpResponse:
    """One site and its pools."""
    found = _site(actor_of(request), pk)
    pools = found.pools.select_related("card_model").order_by("card_model__name")
    context = {
        "site": found, "pools": pools, "tariff": _tariffs({found.tariff}).get(found.tariff),
        "division": divisions().filter(pk=found.division).first(),
    }  # fmt: skip
    return render(request, "compute/site.html", context)


@page(MANAGE_SITES)
def site_new(request: HttpRequest) -> HttpResponse:
    """A new site of an operator."""
    form = forms.SiteForm(_operators(actor_of(request)), request.POST or None)
    if form.is_valid():
        made = post_action(request, catalogue.define_site, form, _("The site is defined."), **form.cleaned_data)
        if made is not None:
            return redirect("compute:site", made.pk)
    return render(request, "compute/site_form.html", {"form": form})


@page(MANAGE_SITES)
def site_change(request: HttpRequest, pk: int) -> HttpResponse:
    """Change what a site is called, where it lies, which tariff it pays."""
    found = _site(actor_of(request), pk)
    form = forms.SiteForm(Party.objects.none(), request.POST or None, row=found)
    if form.is_valid():
        named = {"operator": found.operator, "code": found.code} | form.cleaned_data
        if post_action(request, catalogue.define_site, form, _("The site is changed."), **named) is not None:
            return redirect("compute:site", pk)
    return render(request, "compute/site_form.html", {"form": form, "site": found})


@page(MANAGE_SITES)
def pool_new(request: HttpRequest, pk: int) -> HttpResponse:
    """Cards of another model at a site."""
    return _pool_page(request, _site(actor_of(request), pk), None)


@page(MANAGE_SITES)
def pool_change(request: HttpRequest, pk: int) -> HttpResponse:
    """Change how many cards a pool has and their list price."""
    rows = Pool.objects.select_related("site__operator", "site__region", "card_model")
    pool = access.get_visible(rows, actor_of(request), MANAGE_SITES, pk=pk)
    return _pool_page(request, pool.site, pool)


def _pool_page(request: HttpRequest, site: Site, pool: Pool | None) -> HttpResponse:
    form = forms.PoolForm(site, request.POST or None, row=pool)
    if form.is_valid():
        named = {"card_model": pool.card_model} if pool else {}
        named |= form.cleaned_data
        if post_action(request, catalogue.define_pool, form, _("The pool is saved."), site=site, **named) is not None:
            return redirect("compute:site", site.pk)
    return render(request, "compute/pool_form.html", {"form": form, "site": site, "pool": pool})


# --- card models and regions ------------------------------------------------------------------------------------------


def _one(rows: QuerySet[M]) -> M:
    """The only row. Raises Missing."""
    found = rows.first()
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


@page(MANAGE_SITES)
def card_model_list(request: HttpRequest) -> HttpResponse:
    """All card models."""
    found = Paginator(CardModel.objects.order_by("name"), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    context = {"page_obj": found, "may_define": actor_of(request).can(MANAGE_SITES, WHOLE)}
    return render(request, "compute/card_models.html", context)


@page(MANAGE_SITES)
def card_model(request: HttpRequest, pk: int = 0) -> HttpResponse:
    """A new card model, or the figures of one corrected (the centre)."""
    actor = actor_of(request)
    actor.require(MANAGE_SITES, WHOLE)
    row = _one(CardModel.objects.filter(pk=pk)) if pk else None
    form = forms.CardModelForm(request.POST or None, row=row)
    if form.is_valid():
        named = ({"code": row.code} if row else {}) | form.cleaned_data
        if post_action(request, catalogue.define_card_model, form, _("The card model is saved."), **named) is not None:
            return redirect("compute:card_models")
    return render(request, "compute/card_model_form.html", {"form": form, "row": row})


@page(MANAGE_SITES)
def regions(request: HttpRequest, pk: int = 0) -> HttpResponse:
    """All regions and, for the centre, a form for a new one or for the name of one."""
    actor = actor_of(request)
    may_define = actor.can(MANAGE_SITES, WHOLE)
    if pk or request.method == "POST":
        actor.require(MANAGE_SITES, WHOLE)
    row = _one(Region.objects.filter(pk=pk)) if pk else None
    form = forms.RegionForm(request.POST or None, row=row)
    if form.is_valid():
        named = ({"code": row.code} if row else {}) | form.cleaned_data
        if post_action(request, catalogue.define_region, form, _("The region is saved."), **named) is not None:
            return redirect("compute:regions")
    rows = Paginator(queries.regions(), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    context = {"page_obj": rows, "form": form if may_define else None, "may_define": may_define, "row": row}
    return render(request, "compute/regions.html", context)
