"""Idle hours of a site: read them, see what may be offered, put it into the bank."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from huoshui.base import access
from huoshui.base.errors import Missing, Refused
from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action, show_refusal
from huoshui.compute.actions.deposits import submit_deposit
from huoshui.compute.forms_deposits import TermsForm
from huoshui.compute.models import Pool
from huoshui.compute.permissions import DEPOSIT
from huoshui.jobs import forms, proposals, queries
from huoshui.jobs.actions.profiles import record_profile
from huoshui.jobs.models import Connection
from huoshui.jobs.permissions import CONNECT

QUANTILE = 90


def _connection(request: HttpRequest, pk: int) -> Connection:
    found = queries.connection_of(queries.site(actor_of(request), pk))
    if found is None:
        raise Missing(_("This site has no engine."))
    return found


@page(CONNECT)
def proposal_list(request: HttpRequest, pk: int) -> HttpResponse:
    """What was read of each pool; read it from the engine or from what Prometheus kept."""
    connection = _connection(request, pk)
    by_file = "file" in request.FILES
    history = forms.HistoryForm(None if by_file else request.POST or None)
    text = forms.PrometheusForm(request.POST if by_file else None, request.FILES or None)
    chosen: Any = text if by_file else history
    if chosen.is_valid():
        try:
            profile = (
                proposals.read_prometheus(connection, *(chosen.cleaned_data[n] for n in ("file", "metric", "label")))
                if by_file
                else proposals.read_engine(connection, chosen.cleaned_data["weeks"])
            )
        except Refused as error:
            show_refusal(chosen, error)
        else:
            source = "prometheus" if by_file else connection.kind
            named = {"connection": connection, "source": source, "profile": profile}
            if post_action(request, record_profile, chosen, _("The idle hours are read."), **named) is not None:
                return redirect("jobs:proposals", pk)
    pools = [(pool, *proposals.observed(pool)) for pool in proposals.words_of(connection)]
    context = {"site": connection.site, "connection": connection, "history": history, "text": text, "pools": pools}
    context["command"] = proposals.export_command()
    return render(request, "jobs/proposals.html", context)


@page(DEPOSIT)
def proposal(request: HttpRequest, pk: int) -> HttpResponse:
    """The proposal for a pool; confirmed, it becomes a deposit."""
    rows = Pool.objects.select_related("site__operator", "card_model")
    pool = access.get_visible(rows, actor_of(request), CONNECT, pk=pk)
    quantiles = forms.QuantileForm(request.GET or None)
    quantile = (quantiles.cleaned_data.get("quantile") if quantiles.is_valid() else None) or QUANTILE
    found = proposals.propose(pool, quantile * 100)
    form = TermsForm(request.POST or None)
    if found and form.is_valid():
        made = post_action(
            request, submit_deposit, form, _("The deposit is open."), depositor=pool.site.operator, pool=pool,
            stretches=found, **form.cleaned_data,
        )  # fmt: skip
        if made is not None:
            return redirect("compute:deposit", made.pk)
    context = {
        "pool": pool, "stretches": found, "form": form, "quantiles": quantiles, "quantile": quantile,
        "hours": proposals.observed(pool)[0], "card_hours": sum(s.cards * (s.end_hour - s.start_hour) for s in found),
    }  # fmt: skip
    return render(request, "jobs/proposal.html", context)
