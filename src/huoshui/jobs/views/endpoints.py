"""Endpoints 推理服务: the list, serving a model, one endpoint with a box to try it."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from huoshui.base import clock
from huoshui.base.errors import Refused
from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action, show_refusal
from huoshui.jobs import forms_serving as forms
from huoshui.jobs import queries, serving, trying
from huoshui.jobs.actions.endpoints import (
    AWAKE,
    BOOKING_OVER,
    close_endpoint,
    move_endpoint,
    open_endpoint,
    try_endpoint,
    wake_endpoint,
)
from huoshui.jobs.models import Endpoint
from huoshui.jobs.permissions import READ, SERVE
from huoshui.jobs.templates import TEMPLATES

ROWS_PER_PAGE = 25


@page(READ)
def endpoint_list(request: HttpRequest) -> HttpResponse:
    """Endpoints that the person may see."""
    rows = Paginator(serving.endpoints(actor_of(request)), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "jobs/endpoints.html", {"rows": rows, "page_obj": rows})


@page(SERVE)
def endpoint_new(request: HttpRequest, pk: int) -> HttpResponse:
    """Serve a model in one of its party's bookings."""
    actor = actor_of(request)
    model = serving.model(actor, pk)
    places = serving.places(actor, model.party)
    form = forms.EndpointForm(places, request.POST or None, initial={"name": model.name, "booking": places.first()})
    if form.is_valid():
        said = _("The endpoint is there. It wakes at its first call.")
        made = post_action(request, open_endpoint, form, said, model=model, **form.named())
        if made is not None:
            return redirect("jobs:endpoint", made.pk)
    return render(request, "jobs/endpoint_form.html", {"form": form, "model": model, "places": places.exists()})


@page(READ)
def endpoint_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One endpoint; a prompt sent from here is answered on the same page and kept nowhere."""
    actor = actor_of(request)
    endpoint = serving.endpoint(actor, pk)
    may = actor.can(SERVE, endpoint)
    form = forms.TryForm(request.POST or None)
    answer = None
    if request.method == "POST" and may and form.is_valid():
        try:
            prompt, tokens = form.cleaned_data["prompt"], form.cleaned_data["tokens"]
            try_endpoint(actor, endpoint=endpoint, prompt_characters=len(prompt), tokens_max=tokens)
            answer = trying.ask(endpoint, prompt, tokens)
        except Refused as error:
            show_refusal(form, error)
    opens = _opens(endpoint)
    context = {
        "endpoint": endpoint,
        "form": form,
        "answer": answer,
        "opens": opens,
        "starting": _starting(endpoint),
        "may_serve": may and endpoint.state != Endpoint.State.CLOSED,
        "may_wake": endpoint.state not in AWAKE and endpoint.fault != BOOKING_OVER and opens is None,
        "answers": TEMPLATES["serve"].answers({k: v for k, v in endpoint.parameters.items() if k != "alias"}),
        "used": serving.card_seconds(endpoint),
    }
    return render(request, "jobs/endpoint.html", context)


def _opens(endpoint: Endpoint) -> int | None:
    """When the hours of its booking go on, while it sleeps between them."""
    stretch = queries.next_stretch(endpoint.booking) if endpoint.state == Endpoint.State.ASLEEP else None
    return stretch.start_hour if stretch is not None and stretch.start_hour > clock.hour_of(clock.now()) else None


def _starting(endpoint: Endpoint) -> bool:
    """Has somebody asked for it in the hours of its booking, and is it not there yet?"""
    asleep = endpoint.state == Endpoint.State.ASLEEP
    asked = asleep and serving.is_wanted(endpoint) and _opens(endpoint) is None
    return asked or endpoint.state == Endpoint.State.STARTING


@page(READ)
def endpoint_waking(request: HttpRequest, pk: int) -> HttpResponse:
    """Polled while an endpoint wakes; the page is loaded again when it is there or has failed."""
    endpoint = serving.endpoint(actor_of(request), pk)
    answer = render(request, "jobs/_waking.html", {"endpoint": endpoint})
    if not _starting(endpoint):
        answer["HX-Refresh"] = "true"
    return answer


@require_POST
@page(SERVE)
def endpoint_wake(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for it."""
    post_action(request, wake_endpoint, endpoint=serving.endpoint(actor_of(request), pk))
    return redirect("jobs:endpoint", pk)


@page(SERVE)
def endpoint_move(request: HttpRequest, pk: int) -> HttpResponse:
    """Serve from another booking on."""
    actor = actor_of(request)
    endpoint = serving.endpoint(actor, pk)
    places = serving.places(actor, endpoint.party).exclude(pk=endpoint.booking_id)
    form = forms.PlaceForm(places, request.POST or None)
    if form.is_valid():
        said = _("It is served from there on.")
        if post_action(request, move_endpoint, form, said, endpoint=endpoint, **form.cleaned_data) is not None:
            return redirect("jobs:endpoint", pk)
    return render(request, "jobs/endpoint_move.html", {"form": form, "endpoint": endpoint, "places": places.exists()})


@require_POST
@page(SERVE)
def endpoint_close(request: HttpRequest, pk: int) -> HttpResponse:
    """End it for good."""
    endpoint = serving.endpoint(actor_of(request), pk)
    post_action(request, close_endpoint, None, _("The endpoint is closed."), endpoint=endpoint)
    return redirect("jobs:endpoint", pk)
