"""The board, listings, trades, what is one's own, the rules, and what officers watch."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from huoshui.base import clock
from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action
from huoshui.compute import accounts
from huoshui.exchange import forms, prices, queries, settle
from huoshui.exchange.actions import listings, trades
from huoshui.exchange.models import Auction, Listing, Side
from huoshui.exchange.permissions import MONITOR, READ, TRADE

ROWS_PER_PAGE = 25
BOARD_MAX = 200
MONTH_HOURS = 30 * 24


@page(READ)
def board(request: HttpRequest) -> HttpResponse:
    """What is on offer and sought now, the auctions to come, and what was traded last."""
    actor = actor_of(request)
    form = forms.BoardFilter(request.GET or None)
    chosen = {name: value for name, value in (form.cleaned_data if form.is_valid() else {}).items() if value}
    rows = queries.open_listings(actor)
    for name in ("card_model", "region"):
        if name in chosen:
            rows = rows.filter(**{f"contract__{name}": chosen[name]})
    side = chosen.get("side")
    sells = [] if side == Side.BUY else list(rows.filter(side=Side.SELL)[:BOARD_MAX])
    buys = [] if side == Side.SELL else list(rows.filter(side=Side.BUY).order_by("-price_mfen", "id")[:BOARD_MAX])
    context = {
        "form": form, "sells": sells, "buys": buys, "narrowed": bool(chosen), "may_trade": actor.can(TRADE),
        "own_pools": queries.own_pools(actor).exists(), "last": queries.last_prices(),
        "auctions": queries.auctions(actor).filter(state=Auction.State.OPEN, closes_at__gt=clock.now())[:10],
        "turnover": queries.turnover(clock.hour_of(clock.now()) - MONTH_HOURS), "spread": queries.spread_bps(),
    }  # fmt: skip
    return render(request, "exchange/board.html", context)


@page(READ)
def rules(request: HttpRequest) -> HttpResponse:
    """The terms in force, in words."""
    publication = prices.terms_in_force()
    return render(request, "exchange/rules.html", {"publication": publication, "terms": publication.loaded()})


@page(READ)
def listing_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One listing; others take lots of it here."""
    actor = actor_of(request)
    row = queries.listing(actor, pk)
    own = actor.can(TRADE, row)
    form = None
    is_open = row.state == Listing.State.OPEN and row.expires_at > clock.now()
    if actor.can(TRADE) and (is_open or request.method == "POST"):  # what is sent twice is answered as the first time
        others = queries.parties(actor).exclude(pk=row.party_id)
        cards = queries.cards_for(actor, row.contract) if row.contract and row.side == Side.BUY else ((), ())
        form = forms.TakeForm(row, others, cards, request.POST or None)
        if form.is_valid():
            data = dict(form.cleaned_data)
            pool, booking = data.pop("cards", None) or (None, None)
            made = post_action(
                request, listings.take, form, _("The trade is made."), listing=row, pool=pool, resold_from=booking,
                **data,
            )  # fmt: skip
            if made is not None:
                return redirect("exchange:trade", made.pk)
        if not others.exists():
            form = None
    context = {"listing": row, "own": own, "form": form, "lot_fen": row.amount_fen(1)}
    return render(request, "exchange/listing.html", context)


@require_POST
@page(TRADE)
def listing_withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """Take back what is left."""
    row = queries.listing(actor_of(request), pk)
    post_action(request, listings.withdraw, None, _("The listing is withdrawn."), listing=row)
    return redirect("exchange:listing", pk)


@page(TRADE)
def sell(request: HttpRequest) -> HttpResponse:
    """Sell cards of a pool of one's own."""
    form = forms.SellForm(queries.own_pools(actor_of(request)), request.POST or None)
    if form.is_valid():
        party = form.cleaned_data["pool"].site.operator
        return _posted(request, form, listings.sell_cards, _("Sell cards"), "sell", party=party)
    return _form(request, form, _("Sell cards"), "sell")


@page(TRADE)
def resell(request: HttpRequest, pk: int) -> HttpResponse:
    """Resell hours of a booking."""
    booking = queries.resellable(actor_of(request)).filter(pk=pk).first()
    if booking is None:
        raise Http404
    form, title = forms.ResellForm(booking, request.POST or None), _("Resell hours of %(b)s") % {"b": booking.number}
    if form.is_valid():
        more = {"party": booking.party, "pool": booking.pool, "resold_from": booking}
        return _posted(request, form, listings.sell_cards, title, "resell", **more)
    return _form(request, form, title, "resell", booking)


@page(TRADE)
def seek(request: HttpRequest) -> HttpResponse:
    """Seek cards at a fixed price."""
    form = forms.SeekForm(queries.parties(actor_of(request)), request.POST or None)
    if form.is_valid():
        return _posted(request, form, listings.seek_cards, _("Seek cards"), "seek")
    return _form(request, form, _("Seek cards"), "seek")


@page(TRADE)
def sell_balance(request: HttpRequest) -> HttpResponse:
    """Sell standard card-hours of a compute account."""
    form = forms.BalanceForm(queries.parties(actor_of(request)), request.POST or None)
    if form.is_valid():
        return _posted(request, form, listings.sell_balance, _("Sell a balance"), "balance")
    return _form(request, form, _("Sell a balance"), "balance")


def _posted(request: HttpRequest, form: Any, action: Any, title: str, kind: str, **more: Any) -> HttpResponse:
    made = post_action(request, action, form, _("The listing is open."), **form.cleaned_data, **more)
    if made is not None:
        return redirect("exchange:listing", made.pk)
    return _form(request, form, title, kind, more.get("resold_from"))


def _form(request: HttpRequest, form: Any, title: str, kind: str, booking: Any = None) -> HttpResponse:
    context = {
        "form": form, "title": title, "kind": kind, "booking": booking, "terms": forms.terms_now(),
        "index_mfen": accounts.index_price() if kind == "balance" else None,
    }  # fmt: skip
    return render(request, "exchange/listing_form.html", context)


@page(TRADE)
def mine(request: HttpRequest) -> HttpResponse:
    """Listings, orders, offers, enquiries of one's own, what can be resold, and what the rules refused."""
    actor = actor_of(request)
    context = {
        "listings": queries.own_listings(actor)[:ROWS_PER_PAGE], "orders": queries.own_orders(actor)[:ROWS_PER_PAGE],
        "offers": queries.own_offers(actor)[:ROWS_PER_PAGE], "resellable": queries.resellable(actor)[:ROWS_PER_PAGE],
        "alerts": queries.alerts(actor)[:ROWS_PER_PAGE],
    }  # fmt: skip
    return render(request, "exchange/mine.html", context)


@page(READ)
def trade_list(request: HttpRequest) -> HttpResponse:
    """Trades that the person may see, newest first."""
    actor = actor_of(request)
    listed = Paginator(queries.trades(actor), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "exchange/trades.html", {"page_obj": listed, "aside": queries.aside(actor)[:BOARD_MAX]})


@page(READ)
def trade_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One trade: what, at what price, where the cards are, what was billed."""
    actor = actor_of(request)
    row = queries.trade(actor, pk)
    mine = row.booking is not None and actor.can(TRADE, row.booking)
    context = {
        "trade": row, "holds": mine, "statements": settle.statements_of(row),
        "may_resell": mine and row.booking in queries.resellable(actor),
        "may_recall": queries.may_recall(actor, row), "taken_back": queries.taken_back(row),
    }  # fmt: skip
    return render(request, "exchange/trade.html", context)


@page(TRADE)
def trade_recall(request: HttpRequest, pk: int) -> HttpResponse:
    """Take cards back, or report that they failed."""
    actor = actor_of(request)
    row = queries.trade(actor, pk)
    if row.booking is None or not queries.may_recall(actor, row):
        raise Http404
    form = forms.RecallForm(row.booking, request.POST or None)
    if form.is_valid():
        said = _("The cards are taken back.")
        if post_action(request, trades.recall_trade, form, said, trade=row, **form.cleaned_data) is not None:
            return redirect("exchange:trade", pk)
    return render(request, "exchange/recall.html", {"form": form, "trade": row, "booking": row.booking})


@page(TRADE)
def aside_recall(request: HttpRequest, pk: int) -> HttpResponse:
    """Take cards back that their holder set aside to resell, or report that they failed."""
    row = queries.one_aside(actor_of(request), pk)
    form = forms.RecallForm(row, request.POST or None)
    if form.is_valid():
        said = _("The cards are taken back.")
        if post_action(request, trades.recall_aside, form, said, booking=row, **form.cleaned_data) is not None:
            return redirect("exchange:trades")
    return render(request, "exchange/recall.html", {"form": form, "booking": row})


@page(MONITOR)
def monitor(request: HttpRequest) -> HttpResponse:
    """What the rules against abuse refused or flagged."""
    rows = queries.alerts(actor_of(request))
    listed = Paginator(rows, ROWS_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "exchange/monitor.html", {"page_obj": listed, "counts": queries.alert_counts()})
