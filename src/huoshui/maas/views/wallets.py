"""Wallets 模型服务额度 and bills."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from huoshui.base import access
from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action
from huoshui.book import services
from huoshui.book.models import Kind
from huoshui.maas import published, queries
from huoshui.maas.actions import bills, wallets
from huoshui.maas.forms import AmountForm, FreezeForm, FundForm
from huoshui.maas.models import Offer
from huoshui.maas.permissions import BILL, FREEZE, FUND, KEYS, READ
from huoshui.registry.queries import parties_of

ROWS_PER_PAGE = 25
KEYS_SHOWN = 10
BILLS_SHOWN = 6
LIMITS_SHOWN = 5


@page(READ)
def wallet_list(request: HttpRequest) -> HttpResponse:
    """Wallets that the person may see; the only one at once."""
    actor = actor_of(request)
    found = queries.wallets(actor)
    if access.EVERYWHERE not in actor.scopes(READ) and len(only := found[:2]) == 1:
        return redirect("maas:wallet", only[0].pk)
    listed = Paginator(found, ROWS_PER_PAGE).get_page(request.GET.get("page"))
    rows = [(row, queries.free_ufen(row), queries.is_low(row)) for row in listed]
    return render(request, "maas/wallets.html", {"page_obj": listed, "rows": rows, "may_fund": actor.can(FUND)})


@page(READ)
def wallet(request: HttpRequest, pk: int) -> HttpResponse:
    """One wallet: what it has, its keys, its bills."""
    actor = actor_of(request)
    found = queries.wallet(actor, pk)
    context = {
        "wallet": found, "free_ufen": queries.free_ufen(found), "low": queries.is_low(found),
        "unbilled_ufen": queries.unbilled_ufen(found), "rest_ufen": found.funded_ufen - found.billed_ufen,
        "keys": queries.keys(actor).filter(wallet=found)[:KEYS_SHOWN],
        "bills": queries.bills(actor).filter(wallet=found)[:BILLS_SHOWN],
        "limit_fen": services.balance(found.party, Kind.LIMIT),
        "may_fund": actor.can(FUND, found), "may_key": actor.can(KEYS, found), "may_freeze": actor.can(FREEZE),
        "may_bill": actor.can(BILL) or actor.can(FUND, found), "bill_fen": published.BILL_AT_FEN,
    }  # fmt: skip
    return render(request, "maas/wallet.html", context)


@page(FUND)
def fund(request: HttpRequest) -> HttpResponse:
    """Set money aside; opens the wallet the first time."""
    actor = actor_of(request)
    form = FundForm(actor, request.POST or None)
    if form.is_valid():
        made = post_action(request, wallets.fund, form, _("Set aside."), **form.cleaned_data)
        if made is not None:
            return redirect("maas:wallet", made.pk)
    return render(request, "maas/form.html", {
        "form": form, "title": _("Set money aside for model calls"), "submit": _("Set money aside"),
        "limits": [
            (party.name, services.balance(party, Kind.LIMIT))
            for party in parties_of(actor, FUND).order_by("name")[:LIMITS_SHOWN]
        ],
    })  # fmt: skip


@page(FUND)
def take_back(request: HttpRequest, pk: int) -> HttpResponse:
    """Give back to the limit what no call needs."""
    found = queries.wallet(actor_of(request), pk)
    form = AmountForm(request.POST or None)
    if form.is_valid():
        said = _("It is free in the book again.")
        if post_action(request, wallets.take_back, form, said, wallet=found, **form.cleaned_data) is not None:
            return redirect("maas:wallet", pk)
    return render(request, "maas/form.html", {
        "form": form, "title": _("Take back"), "wallet": found, "submit": _("Take back"),
        "free_ufen": queries.free_ufen(found),
    })  # fmt: skip


@page(FREEZE)
def freeze(request: HttpRequest, pk: int) -> HttpResponse:
    """Freeze a wallet, or let it go."""
    found = queries.wallet(actor_of(request), pk)
    form = FreezeForm(request.POST or None)
    if form.is_valid():
        wanted = {"wallet": found, "frozen": not found.frozen, **form.cleaned_data}
        if post_action(request, wallets.freeze, form, _("Saved."), **wanted) is not None:
            return redirect("maas:wallet", pk)
    title = _("Let the wallet go") if found.frozen else _("Freeze the wallet")
    return render(request, "maas/form.html", {
        "form": form, "title": title, "wallet": found, "submit": title,
    })  # fmt: skip


@require_POST
@page(READ)
def bill_now(request: HttpRequest, pk: int) -> HttpResponse:
    """Bill what was called until now."""
    found = queries.wallet(actor_of(request), pk)
    made = post_action(request, bills.bill, None, wallet=found)
    if made is None:
        messages.info(request, _("There is nothing new to bill."))
        return redirect("maas:wallet", pk)
    messages.success(request, _("What was called until now is billed."))
    return redirect("maas:bill", made.pk)


@page(READ)
def bill_list(request: HttpRequest) -> HttpResponse:
    """Bills that the person may see."""
    listed = Paginator(queries.bills(actor_of(request)), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "maas/bills.html", {"page_obj": listed})


@page(READ)
def bill(request: HttpRequest, pk: int) -> HttpResponse:
    """One bill, offer by offer, to the µfen."""
    found = queries.bill(actor_of(request), pk)
    offers = Offer.objects.select_related("upstream__provider").in_bulk([row["offer"] for row in found.lines])
    lines = [(offers[row["offer"]], row) for row in found.lines]
    before = sum(row["before_ufen"] for row in found.lines)
    return render(request, "maas/bill.html", {"bill": found, "lines": lines, "before_ufen": before})
