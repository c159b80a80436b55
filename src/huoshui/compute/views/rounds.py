"""Rounds 集中撮合轮次 for the centre and its auditors; what everyone may see of a published one."""

from __future__ import annotations

from decimal import Decimal
from importlib import resources

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from huoshui.base import clock, export
from huoshui.base.models import TaskProgress
from huoshui.base.requests import actor_of
from huoshui.base.views import page, page_errors, post_action
from huoshui.compute import drawings, public, queries
from huoshui.compute.actions import rounds
from huoshui.compute.forms import RoundForm
from huoshui.compute.models import Allocation, Round
from huoshui.compute.permissions import PUBLISH_ROUND, RUN_ROUND, VERIFY
from huoshui.compute.words import refusal_title

ROWS_PER_PAGE = 25


@page(VERIFY)
def round_list(request: HttpRequest) -> HttpResponse:
    """All rounds, newest first."""
    listed = Paginator(queries.rounds(), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    actor = actor_of(request)
    waiting = queries.demand(actor).get("open", 0)
    context = {"page_obj": listed, "waiting": waiting, "may_run": actor.can(RUN_ROUND)}
    return render(request, "compute/rounds.html", context)


@page(RUN_ROUND)
def round_new(request: HttpRequest) -> HttpResponse:
    """Open a round."""
    form = RoundForm(request.POST or None)
    if form.is_valid():
        opened = post_action(request, rounds.open_round, form, _("The round is open."), **form.cleaned_data)
        if opened is not None:
            return redirect("compute:round", opened.number)
    return render(request, "compute/round_form.html", {"form": form})


@page(VERIFY)
def round_page(request: HttpRequest, number: int) -> HttpResponse:
    """One round: where it stands, what came of it, what can be done next."""
    round_ = _round(number)
    progress = TaskProgress.objects.filter(task=round_.task).first() if round_.task else None
    actor = actor_of(request)
    context = {
        "round": round_, "progress": progress, "figures": round_.figures, "state": Round.State,
        "may_run": actor.can(RUN_ROUND), "may_publish": actor.can(PUBLISH_ROUND),
    }  # fmt: skip
    if round_.state in queries.PUBLISHED:
        grid = queries.grid(round_)
        context |= {
            "unfinished": round_.allocations.filter(state=Allocation.State.PLANNED).count(),
            "heat": drawings.price_map(grid), "curves": drawings.region_curves(grid),
            "use": drawings.utilisation(grid), "opens_at": public.opens_at(round_),
        }  # fmt: skip
    if round_.figures.get("refused"):
        named = {refusal_title(code): count for code, count in round_.figures["refused"].items()}
        context["refusals"] = drawings.refusal_bars(named)
    return render(request, "compute/round.html", context)


@require_POST
@page(RUN_ROUND)
def round_clear(request: HttpRequest, number: int) -> HttpResponse:
    """Queue the clearing."""
    post_action(request, rounds.start_clearing, None, _("The round is being cleared."), round=_round(number))
    return redirect("compute:round", number)


@require_POST
@page(RUN_ROUND)
def round_stop(request: HttpRequest, number: int) -> HttpResponse:
    """Ask the running clearing to stop."""
    post_action(request, rounds.stop_clearing, None, _("It ends with what it has."), round=_round(number))
    return redirect("compute:round", number)


@require_POST
@page(RUN_ROUND)
def round_reopen(request: HttpRequest, number: int) -> HttpResponse:
    """Cancel a round that is not published; its requests wait for the next."""
    post_action(request, rounds.reopen, None, _("The round is cancelled."), round=_round(number))
    return redirect("compute:round", number)


@require_POST
@page(PUBLISH_ROUND)
def round_publish(request: HttpRequest, number: int) -> HttpResponse:
    """Publish."""
    post_action(request, rounds.publish, None, _("The round is published."), round=_round(number))
    return redirect("compute:round", number)


@require_POST
@page(PUBLISH_ROUND)
def round_settle(request: HttpRequest, number: int) -> HttpResponse:
    """Close a round in which everything is finished."""
    post_action(request, rounds.settle, None, _("The round is settled."), round=_round(number))
    return redirect("compute:round", number)


@page(VERIFY)
def round_verify(request: HttpRequest, number: int) -> HttpResponse:
    """Run the verifier on the stored round and show what it found."""
    round_ = _round(number)
    faults = public.verify(round_)
    return render(request, "compute/round_verify.html", {"round": round_, "faults": faults})


@page(VERIFY)
def round_data(request: HttpRequest, number: int, kind: str) -> HttpResponse:
    """The whole problem or result of a round, as the archive that `capacity.archive` reads."""
    row = _round(number).data.filter(kind=kind).first()
    if row is None:
        raise Http404
    response = HttpResponse(bytes(row.content), content_type="application/zip")
    response["Content-Disposition"] = f'attachment; filename="round-{number}-{kind}.zip"'
    return response


# --- for everyone -----------------------------------------------------------------------------------------------------


@require_GET
@page_errors
def public_list(request: HttpRequest) -> HttpResponse:
    """Published rounds, for anyone."""
    listed = Paginator(queries.rounds().filter(state__in=queries.PUBLISHED), ROWS_PER_PAGE)
    return render(request, "compute/public_rounds.html", {"page_obj": listed.get_page(request.GET.get("page"))})


@require_GET
@page_errors
def public_round(request: HttpRequest, number: int) -> HttpResponse:
    """Prices and totals of a published round, for anyone."""
    round_ = _published(number)
    grid = queries.grid(round_)
    return render(
        request, "compute/public_round.html",
        {
            "round": round_, "figures": round_.figures, "heat": drawings.price_map(grid),
            "curves": drawings.region_curves(grid), "opens_at": public.opens_at(round_),
            "document_url": reverse("compute:public_document", args=[number]),
        },
    )  # fmt: skip


@require_GET
@page_errors
def public_prices(request: HttpRequest, number: int, kind: str) -> HttpResponse:
    """All slot prices of a published round as a table, for anyone."""
    round_ = _published(number)
    prices = queries.slot_prices(round_, None, round_.hours).select_related("pool__site", "pool__card_model")
    headers = [
        _("Site"), _("Card model"), _("Hour"), _("Slot price (yuan per card-hour)"), _("Offered (cards)"),
        _("Sold (cards)"),
    ]  # fmt: skip
    rows = (
        (
            row.pool.site.name, row.pool.card_model.name,
            clock.local(clock.instant_of(row.hour)).strftime("%Y-%m-%d %H:%M"),
            Decimal(row.price_mfen).scaleb(-5), row.offered_cards, row.sold_cards,
        )
        for row in prices.iterator()
    )  # fmt: skip
    return export.response(kind, _("slot prices of round %(number)s") % {"number": number}, headers, rows)


@require_GET
@page_errors
def public_document(request: HttpRequest, number: int) -> HttpResponse:
    """The public document, to be checked with the one-file verifier."""
    response = JsonResponse(public.document(_published(number)), json_dumps_params={"ensure_ascii": False})
    response["Content-Disposition"] = f'attachment; filename="round-{number}-public.json"'
    return response


@require_GET
def public_verifier(request: HttpRequest) -> HttpResponse:
    """The one-file verifier, as it stands in the source."""
    source = resources.files("huoshui.clearing.capacity").joinpath("public_verify.py").read_text("utf-8")
    response = HttpResponse(source, content_type="text/x-python; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="public_verify.py"'
    return response


def _round(number: int) -> Round:
    found = Round.objects.filter(number=number).first()
    if found is None:
        raise Http404
    return found


def _published(number: int) -> Round:
    found = _round(number)
    if found.state not in queries.PUBLISHED:
        raise Http404
    return found
