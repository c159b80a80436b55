"""Batches paid without an application (免申即享): the list, one batch with its rows and why some fell out."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.db.models import Count, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from huoshui.base import export
from huoshui.base.errors import Missing
from huoshui.base.models import TaskProgress
from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action
from huoshui.policy import reach
from huoshui.policy.actions import batches
from huoshui.policy.models import Batch, BatchRow
from huoshui.policy.permissions import OUTREACH, OVERSEE
from huoshui.rules import Pack

ROWS_PER_PAGE = 50
State = BatchRow.State


def _with_sums() -> QuerySet[Batch]:
    """Batches with how many rows stand, fell out, wait for an account and are paid, and what they come to."""
    confirmed = Q(rows__state=State.CONFIRMED)
    return Batch.objects.select_related("publication", "run").defer("publication__text").annotate(
        size=Count("rows"), amount_fen=Sum("rows__amount_fen"), confirmed=Count("rows", confirmed),
        confirmed_fen=Sum("rows__amount_fen", filter=confirmed), dropped=Count("rows", Q(rows__state=State.DROPPED)),
        no_account=Count("rows", confirmed & Q(rows__application__account_confirmed_at=None)),
        paid=Count("rows", confirmed & Q(rows__application__state="paid_out")),
        paid_fen=Sum("rows__amount_fen", filter=confirmed & Q(rows__application__state="paid_out")),
    ).order_by("-id")  # fmt: skip


def _get(pk: int) -> Batch:
    found = _with_sums().filter(pk=pk).first()
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


@page(OVERSEE)
def batch_list(request: HttpRequest) -> HttpResponse:
    """All batches, newest first, and packs out of which one may be proposed."""
    run = reach.latest()
    packs = [
        row for row in (reach.standings(run) if run else ())
        if row.no_application and row.kind == batches.KIND and not row.draft
    ]
    listed = Paginator(_with_sums(), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    context = {"page_obj": listed, "packs": packs, "run": run, "may_propose": actor_of(request).can(OUTREACH)}
    return render(request, "policy/batches.html", context)


@page(OVERSEE)
def batch_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One batch; `?show=` confirmed, dropped or proposed narrows its rows."""
    batch, actor = _get(pk), actor_of(request)
    show = request.GET.get("show", "")
    rows = batch.rows.select_related("party", "application").order_by("-amount_fen", "id")
    if show in State.values:
        rows = rows.filter(state=show)
    listed = Paginator(rows, ROWS_PER_PAGE).get_page(request.GET.get("page"))
    pack: Pack = batch.publication.loaded()
    reasons = batch.rows.filter(state=State.DROPPED).values_list("why").annotate(n=Count("id")).order_by("-n")
    mine = batch.proposed_by == actor.principal
    waits = batch.state == Batch.State.PROPOSED and actor.can(OUTREACH)
    context = {
        "batch": batch, "page_obj": listed, "rows": [(row, _criterion(pack, row.criterion)) for row in listed],
        "show": show, "reasons": [(BatchRow.Why(why).label, count) for why, count in reasons if why],
        "may_confirm": waits and not mine, "may_discard": waits, "mine": waits and mine,
        "progress": TaskProgress.objects.filter(task=batch.task).first() if batch.task else None,
    }  # fmt: skip
    return render(request, "policy/batch.html", context)


def _criterion(pack: Pack, identifier: str) -> str:
    return next((one.title for one in pack.criteria if one.id == identifier), "")


@page(OVERSEE)
def batch_export(request: HttpRequest, pk: int, kind: str) -> HttpResponse:
    """The rows of a batch as a file; accounts are not in it."""
    batch = _get(pk)
    rows = batch.rows.select_related("party", "application").order_by("id")
    headers = [_("Entity"), _("USCC"), _("Amount (yuan)"), _("State"), _("Why it fell out"), _("Application")]
    cells = (
        [
            row.party.name, row.party.uscc or "", export.yuan(row.amount_fen), row.get_state_display(),
            row.get_why_display() if row.why else "", row.application.number if row.application else "",
        ]
        for row in rows.iterator()
    )  # fmt: skip
    return export.response(kind, f"{batch.number} {batch.publication.title}", headers, cells)


@require_POST
@page(OUTREACH)
def propose(request: HttpRequest, pack: str) -> HttpResponse:
    """Propose everybody who qualifies."""
    run = reach.latest()
    if run is None:
        raise Missing(_("There is no match run yet."))
    batch = post_action(request, batches.propose, None, _("The batch waits for a second person."), run=run, pack=pack)
    assert batch is not None
    return redirect("policy:batch", batch.pk)


@require_POST
@page(OUTREACH)
def confirm(request: HttpRequest, pk: int) -> HttpResponse:
    """The second person says yes."""
    post_action(request, batches.confirm, None, _("Confirmed. Every row is checked again."), batch=_get(pk))
    return redirect("policy:batch", pk)


@require_POST
@page(OUTREACH)
def discard(request: HttpRequest, pk: int) -> HttpResponse:
    """Take the proposal back."""
    post_action(request, batches.discard, None, _("The batch is discarded."), batch=_get(pk))
    return redirect("policy:batch", pk)
