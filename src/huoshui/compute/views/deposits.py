"""Deposits 存入: the list, new ones by form, by file or out of rented hours, and the page of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from huoshui.base import access, clock, export
from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action
from huoshui.compute import depositing, drawings, queries, uploads
from huoshui.compute import forms_deposits as forms
from huoshui.compute.actions import deposit_files, deposits, recalls
from huoshui.compute.models import Allocation, Deposit, Pool
from huoshui.compute.permissions import DEPOSIT, READ, RECALL
from huoshui.registry.models import RoleKind

ROWS_PER_PAGE = 25
DAYS_SHOWN = 28


@page(READ)
def deposit_list(request: HttpRequest) -> HttpResponse:
    """Deposits that the person may see, newest first."""
    actor = actor_of(request)
    form = forms.DepositFilter(_pools_seen(actor), request.GET or None)
    chosen = {name: value for name, value in (form.cleaned_data if form.is_valid() else {}).items() if value}
    if pool := chosen.pop("pool", None):
        chosen["pool"] = pool.pk
    listed = Paginator(queries.deposits(actor, **chosen), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    tallies = depositing.tallies(listed)
    context = {
        "form": form, "page_obj": listed, "rows": [(row, tallies[row.pk]) for row in listed],
        "may_deposit": _own_pools(actor).exists(), "narrowed": bool(chosen), "now": clock.hour_of(clock.now()),
    }  # fmt: skip
    return render(request, "compute/deposits.html", context)


def _pools_seen(actor: access.Actor) -> Any:
    """Pools of the sites that the actor may see; those that have deposits they may see are among them."""
    return access.visible(Pool.objects.all(), actor, READ).select_related("site", "card_model").order_by("id")


def _own_pools(actor: access.Actor) -> Any:
    """Pools of which the actor may deposit cards."""
    rows = access.visible(Pool.objects.all(), actor, DEPOSIT)
    return rows.select_related("site__operator", "card_model").order_by("id")


@page(DEPOSIT)
def deposit_new(request: HttpRequest) -> HttpResponse:
    """A new deposit of own cards, its hours as a weekly pattern or row by row."""
    by_rows = request.GET.get("by") == "rows"
    pools = _own_pools(actor_of(request))
    form = forms.DepositForm(pools, request.POST or None)
    hours = (forms.RowsForm if by_rows else forms.PatternForm)(request.POST or None)
    if form.is_valid() & hours.is_valid():
        data = form.cleaned_data
        made = post_action(
            request, deposits.submit_deposit, form, _("The deposit is open."),
            depositor=data["pool"].site.operator, stretches=hours.stretches(), **data,
        )  # fmt: skip
        if made is not None:
            return redirect("compute:deposit", made.pk)
    context = {"form": form, "hours": hours, "by_rows": by_rows, "without_pools": not pools.exists()}
    return render(request, "compute/deposit_form.html", context)


@page(DEPOSIT)
def deposit_resell(request: HttpRequest, pk: int) -> HttpResponse:
    """Pass on hours that were rented: the pool is given, the hours are those of the allocation."""
    actor = actor_of(request)
    rows = Allocation.objects.select_related("request__entity", "pool__site", "pool__card_model")
    allocation = access.get_visible(rows, actor, DEPOSIT, pk=pk)
    form = forms.TermsForm(request.POST or None, initial={"energy": False})
    hours = forms.RowsForm(request.POST or None, filled=forms.rented(allocation))
    if form.is_valid() & hours.is_valid():
        made = post_action(
            request, deposits.submit_deposit, form, _("The deposit is open."), depositor=allocation.request.entity,
            pool=allocation.pool, stretches=hours.stretches(), resold_from=allocation, **form.cleaned_data,
        )  # fmt: skip
        if made is not None:
            return redirect("compute:deposit", made.pk)
    context = {"form": form, "hours": hours, "by_rows": True, "allocation": allocation}
    return render(request, "compute/deposit_form.html", context)


def _imported(made: Sequence[Deposit]) -> str:
    said = ngettext("%(count)s deposit was taken in.", "%(count)s deposits were taken in.", len(made))
    return said % {"count": len(made)}


def _offered(rows: Sequence[deposit_files.Row]) -> dict[str, int]:
    hours = sum(row.cards * max(row.end_hour - row.start_hour, 0) for row in rows)
    return {"deposits": len({row.deposit for row in rows}), "card_hours": hours}


UPLOAD = uploads.Upload(
    "compute/deposit_upload.html", deposit_files.COLUMNS, deposit_files.read_file, deposit_files.import_deposits,
    party="depositor", then="compute:deposits", said=_imported, summary=_offered,
)  # fmt: skip


@page(DEPOSIT)
def deposit_upload(request: HttpRequest) -> HttpResponse:
    """Deposits by file: shown first, taken in when confirmed."""
    parties = queries.depositing_parties(actor_of(request))
    return UPLOAD.page(request, parties.filter(roles__kind=RoleKind.OPERATOR).distinct())


@page(DEPOSIT)
def deposit_template(request: HttpRequest, kind: str) -> HttpResponse:
    """An empty file to fill in: the headings and one row as an example."""
    columns = deposit_files.COLUMNS
    return export.response(kind, _("deposits"), [column.zh for column in columns], [[c.meaning for c in columns]])


@page(READ)
def deposit_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One deposit: its conditions, its calendar, what it earns against what its energy costs."""
    actor = actor_of(request)
    deposit = queries.deposit(actor, pk)
    calendar = depositing.calendar_of(deposit)
    show = request.GET.get("show", "")
    tally = depositing.tallies([deposit])[deposit.pk]
    open_still = deposit.state == Deposit.State.OPEN and (tally.last_hour or 0) > clock.hour_of(clock.now())
    context: dict[str, Any] = {
        "deposit": deposit, "tally": tally, "calendar": calendar, "recalls": deposit.recalls.order_by("-id"),
        "may_withdraw": open_still and not tally.sold and actor.can(DEPOSIT, deposit),
        "may_recall": open_still and actor.can(RECALL, deposit), "open_still": open_still,
        "from_allocation": deposit.resold_from,
    }  # fmt: skip
    if calendar is not None:
        days = Paginator(range(len(calendar.days)), DAYS_SHOWN).get_page(request.GET.get("page"))
        context |= {
            "days": days, "money": drawings.deposit_money(calendar, days),
            "map": drawings.deposit_map(calendar, days, show),
        }  # fmt: skip
    return render(request, "compute/deposit.html", context)


@page(RECALL)
def deposit_recall(request: HttpRequest, pk: int) -> HttpResponse:
    """Take cards back or report that they failed; what that costs is shown beside the form."""
    actor = actor_of(request)
    deposit = queries.deposit(actor, pk)
    actor.require(RECALL, deposit)
    form = forms.RecallForm(request.POST or None, initial={"start": clock.hour_of(clock.now()) + 1})
    if form.is_valid():
        start, end, cards, reason = (form.cleaned_data[name] for name in ("start", "end", "cards", "reason"))
        said = _("The cards are taken back; what was sold of them is placed elsewhere.")
        recall = post_action(
            request, recalls.recall_cards, form, said, deposit=deposit, start_hour=start, end_hour=end, cards=cards,
            reason=reason,
        )  # fmt: skip
        if recall is not None:
            return redirect("compute:deposit", pk)
    context = {"deposit": deposit, "form": form, "terms": queries.terms_in_force()}
    return render(request, "compute/deposit_recall.html", context)


@require_POST
@page(DEPOSIT)
def deposit_withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """Take back a deposit of which nothing was sold."""
    deposit = queries.deposit(actor_of(request), pk)
    post_action(request, deposits.withdraw_deposit, None, _("The deposit is withdrawn."), deposit=deposit)
    return redirect("compute:deposit", pk)
