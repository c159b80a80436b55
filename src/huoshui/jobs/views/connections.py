"""Engines of sites: connect, check, switch off; which hours stand idle, and a deposit out of them."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from huoshui.base import clock
from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action
from huoshui.jobs import connections, forms, queries, words
from huoshui.jobs.actions import connections as actions
from huoshui.jobs.actions.bookings import book_own
from huoshui.jobs.calendar import LIVE
from huoshui.jobs.models import Connection
from huoshui.jobs.permissions import CONNECT

ROWS_MAX = 20


@page(CONNECT)
def connection_list(request: HttpRequest) -> HttpResponse:
    """Sites of the person's parties, with their engines."""
    rows = queries.sites(actor_of(request)).prefetch_related("pools__card_model")
    return render(request, "jobs/connections.html", {"rows": rows})


@page(CONNECT)
def connection_page(request: HttpRequest, pk: int) -> HttpResponse:
    """A site's engine: what its check found, what is booked on it, when it did not answer."""
    actor = actor_of(request)
    site = queries.site(actor, pk)
    connection = queries.connection_of(site)
    if connection is None:
        return redirect("jobs:connection_edit", pk)
    booked = queries.bookings(actor, site=site.pk).filter(state__in=LIVE)
    context = {
        "site": site, "connection": connection, "title": words.KINDS.get(connection.kind, connection.kind),
        "settings": _settings(connection), "outages": connection.outages.order_by("-since")[:ROWS_MAX],
        "bookings": booked.order_by("start_hour", "id")[:ROWS_MAX], "now": clock.now(),
    }  # fmt: skip
    return render(request, "jobs/connection.html", context)


def _settings(connection: Connection) -> list[tuple[str, str]]:
    """Titles and values, in the order of the kind."""
    kind = queries.kinds().get(connection.kind)
    known = [setting.name for setting in kind.settings] if kind else sorted(connection.settings)
    return [(str(forms.SETTINGS.get(name, name)), connection.settings.get(name, "")) for name in known]


@page(CONNECT)
def connection_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Say which engine a site has; it is checked at once."""
    site = queries.site(actor_of(request), pk)
    connection = queries.connection_of(site)
    offered = queries.kinds()
    code = request.GET.get("kind") or (connection.kind if connection else "")
    code = code if code in offered else next(iter(offered))
    same = connection is not None and connection.kind == code
    initial = connection.settings if connection is not None and same else {}
    form = forms.ConnectionForm(offered[code], request.POST or None, initial=initial)
    if form.is_valid():
        made = post_action(request, actions.connect, form, site=site, kind=code, settings=form.cleaned_data)
        if made is not None:
            _check(request, made)
            return redirect("jobs:connection", pk)
    tabs = [(str(words.KINDS.get(one, kind.title)), f"?kind={one}") for one, kind in offered.items()]
    title = words.KINDS.get(code, offered[code].title)
    context = {"site": site, "form": form, "tabs": tabs, "title": title}
    return render(request, "jobs/connection_form.html", context)


def _check(request: HttpRequest, connection: Connection) -> None:
    """Ask the engine, then write down what it said."""
    actions.record_check(actor_of(request), connection=connection, **connections.check(connection))


@page(CONNECT)
def connection_own(request: HttpRequest, pk: int) -> HttpResponse:
    """Keep own cards from now on: to try the engine, or for the operator's own work."""
    site = queries.site(actor_of(request), pk)
    form = forms.OwnForm(site, request.POST or None)
    if form.is_valid():
        made = post_action(request, book_own, form, _("The cards are yours for these hours."), **form.cleaned_data)
        if made is not None:
            return redirect("jobs:booking", made.pk)
    return render(request, "jobs/connection_own.html", {"site": site, "form": form})


@require_POST
@page(CONNECT)
def connection_check(request: HttpRequest, pk: int) -> HttpResponse:
    """Check the engine now."""
    site = queries.site(actor_of(request), pk)
    connection = queries.connection_of(site)
    if connection is not None and connection.state != Connection.State.OFF:
        _check(request, connection)
    return redirect("jobs:connection", pk)


@require_POST
@page(CONNECT)
def connection_off(request: HttpRequest, pk: int) -> HttpResponse:
    """Switch the engine off."""
    site = queries.site(actor_of(request), pk)
    connection = queries.connection_of(site)
    if connection is not None:
        post_action(request, actions.switch_off, None, _("The engine is switched off."), connection=connection)
    return redirect("jobs:connection", pk)
