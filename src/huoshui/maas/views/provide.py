"""Upstreams and prices, for who offers models."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from huoshui.base import access
from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action
from huoshui.maas import queries
from huoshui.maas.actions import upstreams
from huoshui.maas.forms import EndpointForm, OfferForm, UpstreamForm
from huoshui.maas.models import Offer, Upstream
from huoshui.maas.permissions import APPROVE, PROVIDE, READ


@page(READ)
def upstream_list(request: HttpRequest) -> HttpResponse:
    """Upstreams of one's own; all of them for the centre."""
    actor = actor_of(request)
    context = {
        "rows": queries.upstreams(actor), "may_provide": actor.can(PROVIDE),
        "endpoints": queries.free_endpoints(actor).exists(),
    }  # fmt: skip
    return render(request, "maas/upstreams.html", context)


@page(PROVIDE)
def upstream_new(request: HttpRequest) -> HttpResponse:
    """Register an address."""
    form = UpstreamForm(actor_of(request), request.POST or None)
    if form.is_valid():
        said = _("Registered: it takes calls when the centre has looked at the address.")
        made = post_action(request, upstreams.register_upstream, form, said, **form.cleaned_data)
        if made is not None:
            return redirect("maas:upstream", made.pk)
    return render(request, "maas/upstream_form.html", {"form": form, "title": _("Register an upstream")})


@page(PROVIDE)
def endpoint_new(request: HttpRequest) -> HttpResponse:
    """Let an endpoint of the platform answer calls."""
    form = EndpointForm(actor_of(request), request.POST or None)
    if form.is_valid():
        said = _("The endpoint is an upstream now: publish a price.")
        made = post_action(request, upstreams.take_endpoint, form, said, **form.cleaned_data)
        if made is not None:
            return redirect("maas:upstream", made.pk)
    return render(request, "maas/upstream_form.html", {"form": form, "title": _("Offer an endpoint")})


@page(READ)
def upstream(request: HttpRequest, pk: int) -> HttpResponse:
    """One upstream, its prices, and what the probe measured of them."""
    actor = actor_of(request)
    found = queries.upstream(actor, pk)
    now = list(queries.open_offers().filter(upstream=found))
    context = {
        "upstream": found, "rows": queries.measured(offer for offer in now if not offer.private),
        "history": found.offers.order_by("-since_ms", "-pk"), "open": {offer.pk for offer in now},
        "may_provide": actor.can(PROVIDE, found), "may_approve": actor.can(APPROVE),
        "active": found.state == Upstream.State.ACTIVE,
    }  # fmt: skip
    return render(request, "maas/upstream.html", context)


@require_POST
@page(APPROVE)
def upstream_approve(request: HttpRequest, pk: int) -> HttpResponse:
    """The address was looked at."""
    found = queries.upstream(actor_of(request), pk)
    post_action(request, upstreams.approve_upstream, None, _("It takes calls."), upstream=found)
    return redirect("maas:upstream", pk)


@require_POST
@page(READ)
def upstream_switch(request: HttpRequest, pk: int) -> HttpResponse:
    """Take calls, or none for now."""
    found = queries.upstream(actor_of(request), pk)
    active = request.POST.get("active") == "yes"
    post_action(request, upstreams.switch_upstream, None, _("Saved."), upstream=found, active=active)
    return redirect("maas:upstream", pk)


@page(PROVIDE)
def offer_new(request: HttpRequest, pk: int) -> HttpResponse:
    """Publish a price."""
    found = access.get_visible(Upstream.objects.all(), actor_of(request), PROVIDE, pk=pk)
    form = OfferForm(request.POST or None, initial={"private": found.endpoint_id is not None})
    if form.is_valid():
        said = _("The price is published.")
        if post_action(request, upstreams.publish_offer, form, said, upstream=found, **form.cleaned_data) is not None:
            return redirect("maas:upstream", pk)
    context = {"form": form, "title": _("Publish a price"), "upstream": found}
    return render(request, "maas/upstream_form.html", context)


@require_POST
@page(PROVIDE)
def offer_end(request: HttpRequest, pk: int) -> HttpResponse:
    """Take no new calls at a price."""
    actor = actor_of(request)
    upstream = access.get_visible(Upstream.objects.all(), actor, PROVIDE, offers__pk=pk)
    offer = Offer.objects.get(pk=pk)
    post_action(request, upstreams.end_offer, None, _("It takes no new calls."), offer=offer)
    return redirect("maas:upstream", upstream.pk)
