"""Call auctions: the list, one with its orders, what runs it, and what everybody may see of a published one."""

from __future__ import annotations

from importlib import resources

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from huoshui.base.models import TaskProgress
from huoshui.base.requests import actor_of
from huoshui.base.views import page, page_errors, post_action
from huoshui.clearing import auction as clearing
from huoshui.exchange import drawings, forms, problems, public, queries
from huoshui.exchange.actions import auctions
from huoshui.exchange.models import Auction
from huoshui.exchange.permissions import MONITOR, PUBLISH, READ, RUN, TRADE

ROWS_PER_PAGE = 25


@page(READ)
def auction_list(request: HttpRequest) -> HttpResponse:
    """All auctions, newest first."""
    actor = actor_of(request)
    listed = Paginator(queries.auctions(actor), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "exchange/auctions.html", {"page_obj": listed, "may_run": actor.can(RUN)})


@page(RUN)
def auction_new(request: HttpRequest) -> HttpResponse:
    """Announce an auction."""
    form = forms.AuctionForm(forms.terms_now(), request.POST or None)
    if form.is_valid():
        made = post_action(request, auctions.open_auction, form, _("The auction is announced."), **form.cleaned_data)
        if made is not None:
            return redirect("exchange:auction", made.number)
    return render(request, "exchange/auction_form.html", {"form": form})


@page(READ)
def auction_page(request: HttpRequest, number: int) -> HttpResponse:
    """One auction: orders while it is open, then what came of it."""
    actor = actor_of(request)
    row = queries.auction(actor, number)
    form = None
    if row.takes_orders and actor.can(TRADE):
        parties, cards = queries.parties(actor), queries.cards_for(actor, row.contract)
        form = forms.OrderForm(row, parties, cards, request.POST or None)
        if form.is_valid():
            data = dict(form.cleaned_data)
            pool, booking = data.pop("cards", None) or (None, None)
            made = post_action(
                request, auctions.place_order, form, _("The order is sealed."), auction=row, pool=pool,
                resold_from=booking, **data,
            )  # fmt: skip
            if made is not None:
                return redirect("exchange:auction", number)
    may_see = row.state == Auction.State.PUBLISHED or (row.state == Auction.State.CLEARED and actor.can(PUBLISH))
    principal = actor.principal
    context = {
        "auction": row, "form": form, "orders": queries.orders(actor, row)[:200], "terms": row.terms,
        "progress": TaskProgress.objects.filter(task=row.task).first() if row.task else None,
        "may_clear": actor.can(RUN) and (row.closed or row.state == Auction.State.FROZEN),
        "may_publish": actor.can(PUBLISH) and row.state == Auction.State.CLEARED,
        "second": principal not in (row.opened_by, row.cleared_by),
        "may_cancel": actor.can(RUN) and row.state not in (Auction.State.PUBLISHED, Auction.State.CANCELLED),
        "may_verify": actor.can(MONITOR) and row.state == Auction.State.PUBLISHED,
        "reason_form": forms.ReasonForm(), "shown": may_see, "figure": _curve(row) if may_see else None,
    }  # fmt: skip
    return render(request, "exchange/auction.html", context)


@require_POST
@page(RUN)
def auction_clear(request: HttpRequest, number: int) -> HttpResponse:
    """Queue the clearing."""
    row = queries.auction(actor_of(request), number)
    post_action(request, auctions.start_clearing, None, _("The auction is being cleared."), auction=row)
    return redirect("exchange:auction", number)


@require_POST
@page(PUBLISH)
def auction_publish(request: HttpRequest, number: int) -> HttpResponse:
    """Publish."""
    row = queries.auction(actor_of(request), number)
    post_action(request, auctions.publish, None, _("The auction is published."), auction=row)
    return redirect("exchange:auction", number)


@page(RUN)
def auction_cancel(request: HttpRequest, number: int) -> HttpResponse:
    """Call it off, with a reason."""
    row = queries.auction(actor_of(request), number)
    form = forms.ReasonForm(request.POST or None)
    if form.is_valid():
        done = post_action(
            request, auctions.cancel_auction, form, _("The auction is cancelled."), auction=row, **form.cleaned_data
        )
        if done is not None:
            return redirect("exchange:auction", number)
    return render(request, "exchange/auction_cancel.html", {"form": form, "auction": row})


@require_POST
@page(TRADE)
def order_withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a sealed order back."""
    order = queries.order(actor_of(request), pk)
    post_action(request, auctions.withdraw_order, None, _("The order is withdrawn."), order=order)
    return redirect("exchange:auction", order.auction.number)


@page(TRADE)
def order_proof(request: HttpRequest, pk: int) -> HttpResponse:
    """One's own order as the log has it."""
    order = queries.order(actor_of(request), pk)
    response = JsonResponse(public.own_proof(order), json_dumps_params={"ensure_ascii": False})
    response["Content-Disposition"] = f'attachment; filename="{order.number}-proof.json"'
    return response


@page(MONITOR)
def auction_verify(request: HttpRequest, number: int) -> HttpResponse:
    """Run the verifier on the stored auction and show what it found."""
    row = queries.auction(actor_of(request), number)
    return render(request, "exchange/auction_verify.html", {"auction": row, "faults": public.verify(row)})


@require_GET
@page_errors
def public_auction(request: HttpRequest, number: int) -> HttpResponse:
    """Price, volume and curve of a published auction, for anyone."""
    row = queries.published_auction(number)
    context = {"auction": row, "figure": _curve(row), "opens_at": public.opens_at(row)}
    return render(request, "exchange/public_auction.html", context)


@require_GET
@page_errors
def public_document(request: HttpRequest, number: int) -> HttpResponse:
    """The public document."""
    row = queries.published_auction(number)
    response = JsonResponse(public.document(row), json_dumps_params={"ensure_ascii": False})
    response["Content-Disposition"] = f'attachment; filename="auction-{number}-public.json"'
    return response


@require_GET
def public_verifier(request: HttpRequest) -> HttpResponse:
    """The one-file verifier, as it stands in the source."""
    source = resources.files("huoshui.clearing.auction").joinpath("public_verify.py").read_text("utf-8")
    response = HttpResponse(source, content_type="text/x-python; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="public_verify.py"'
    return response


def _curve(row: Auction) -> object:
    _problem, result = problems.stored(row)
    price = result.price if result.price != clearing.NO_PRICE else None
    return drawings.curve(
        result.level_price.tolist(), result.level_demand.tolist(), result.level_supply.tolist(), price
    )
