"""Compute accounts 算力账户: what may be used until when, what moved, the published conversion, passing it on."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.errors import Missing
from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action
from huoshui.book.models import Kind
from huoshui.compute import accounts, queries, reserve
from huoshui.compute.actions.accounts import transfer_balance
from huoshui.compute.forms_requests import TransferForm
from huoshui.compute.permissions import ACCOUNT, READ, REQUEST
from huoshui.registry.models import Party
from huoshui.registry.queries import parties_of
from huoshui.terms.round_terms import RoundTerms

ROWS_PER_PAGE = 25
SOON_DAYS = 30


@page(READ)
def account_list(request: HttpRequest) -> HttpResponse:
    """Accounts that the person may see; the only one at once."""
    actor = actor_of(request)
    holders = queries.account_holders(actor)
    if len(only := holders[:2]) == 1:
        return redirect("compute:account", only[0].pk)
    found = Paginator(holders, ROWS_PER_PAGE).get_page(request.GET.get("page"))
    kinds = [queries.account_balances(found.object_list, kind) for kind in (Kind.LIMIT, Kind.HELD, Kind.COMMITTED)]
    rows = [(party, *(amounts.get(party.pk) for amounts in kinds)) for party in found]
    return render(request, "compute/accounts.html", {"page_obj": found, "rows": rows, **_rule()})


@page(READ)
def account(request: HttpRequest, pk: int) -> HttpResponse:
    """One party's account: balances by expiry, movements with receipts, how it converts."""
    actor = actor_of(request)
    party = queries.account_holder(actor, pk)
    today = clock.today()
    usable = {day: milli for day, milli in accounts.balances(party).items() if day >= today}
    balances = [
        {"day": day, "milli": milli, "left": (day - today).days, "soon": (day - today).days <= SOON_DAYS}
        for day, milli in usable.items()
    ]
    free = sum(usable.values())
    moved = Paginator(queries.movements(party), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    reserved = [queries.account_balances([party], kind).get(party.pk, 0) for kind in (Kind.HELD, Kind.COMMITTED)]
    rule = _rule()
    context = {
        "party": party, "balances": balances, "free": free, "reserved": sum(reserved), "first": balances[:1],
        "worth_fen": free * rule["index_mfen"] // accounts.MILLI**2,
        "page_obj": moved, "moved": [(entry, accounts.expiry_of(entry.account.subject)) for entry in moved],
        "may_transfer": actor.can(ACCOUNT, party), "may_withdraw": actor.can(REQUEST, party), **rule,
    }  # fmt: skip
    return render(request, "compute/account.html", context)


def _rule() -> dict[str, Any]:
    """The conversion in force and how well balances are covered."""
    terms: RoundTerms | None
    try:
        terms = reserve.current_terms()
    except Missing:
        terms = None
    ratio = reserve.ratio_bps()
    floor = terms.reserve_ratio_floor_bps if terms else None
    return {
        "index_mfen": accounts.index_price(), "ratio_bps": ratio, "floor_bps": floor,
        "below": ratio is not None and floor is not None and ratio < floor,
        "expiry_days": terms.account_expiry_days if terms else None,
    }  # fmt: skip


@page(ACCOUNT)
def account_transfer(request: HttpRequest, pk: int) -> HttpResponse:
    """Pass a balance on: fill in, read whose it will be, confirm."""
    actor = actor_of(request)
    giver: Party | None = parties_of(actor, ACCOUNT).filter(pk=pk).first()
    if giver is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    form = TransferForm(request.POST or None)
    context = {"party": giver, "form": form, "free": accounts.available(giver, clock.today())}
    if form.is_valid() and "edit" not in request.POST:
        given = form.cleaned_data
        if "sign" not in request.POST:
            return render(request, "compute/account_transfer_sign.html", context | given)
        said = _("The standard card-hours are passed on.")
        if post_action(request, transfer_balance, form, said, giver=giver, **given) is not None:
            return redirect("compute:account", pk)
    return render(request, "compute/account_transfer.html", context)
