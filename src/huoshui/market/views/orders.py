"""Cart, checkout and orders: the buyer's side and the operator's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.paginator import Paginator
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.base.errors import Invalid
from huoshui.base.models import LogRecord
from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action, show_refusal
from huoshui.book.permissions import READ as READ_BOOK
from huoshui.jobs import services as jobs
from huoshui.jobs.calendar import LIVE
from huoshui.market import delivered, queries
from huoshui.market.actions import carts
from huoshui.market.actions import orders as actions
from huoshui.market.actions.orders import faults_of, quoted
from huoshui.market.forms import CheckoutForm, CommentForm, ExtendForm, FindOrder, NoteForm, RecallForm
from huoshui.market.models import Order
from huoshui.market.permissions import ORDER, READ, SELL

ROWS_PER_PAGE = 25
RECORDS_SHOWN_MAX = 20


# --- cart and checkout ------------------------------------------------------------------------------------------------


@page(ORDER)
def cart(request: HttpRequest) -> HttpResponse:
    """What the person put aside, at today's prices; changed ones are shown until they are seen."""
    found = queries.cart(actor_of(request))
    return render(request, "market/cart.html", {"cart": found, "changes": any(row.changed for row in found.rows)})


@page(ORDER)
@require_POST
def cart_take(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a product out of the cart."""
    post_action(request, carts.take, item=pk)
    return redirect("market:cart")


@page(ORDER)
@require_POST
def cart_see(request: HttpRequest) -> HttpResponse:
    """The changed prices were seen."""
    post_action(request, carts.see)
    return redirect("market:cart")


@page(ORDER)
def checkout(request: HttpRequest) -> HttpResponse:
    """Who buys and what for; what is free of the buyer's limit; then everything is held at once."""
    actor = actor_of(request)
    found, buyers = queries.cart(actor), queries.buyers(actor)
    form = CheckoutForm(buyers, request.POST or None, initial={"buyer": request.GET.get("buyer") or buyers.first()})
    if form.is_valid():
        named = form.cleaned_data | {
            "items": _shown_items(request), "expected_fen": _shown_total(request),
        }  # fmt: skip
        made = post_action(request, actions.checkout, form, **named)
        if made is not None:
            return redirect("market:order", made[0].pk) if len(made) == 1 else redirect("market:orders")
    free = [(party, queries.free_fen(party)) for party in buyers[:20]]
    context = {"cart": found, "form": form, "free": [(party, fen, fen >= found.total_fen) for party, fen in free]}
    return render(request, "market/checkout.html", context)


def _shown_total(request: HttpRequest) -> int:
    """The total that the page had shown; 0 (which never fits) when it did not arrive."""
    text = request.POST.get("expected_fen", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 17 else 0


def _shown_items(request: HttpRequest) -> list[int]:
    """Keys of the items that the page had shown: what is sent twice is the same order."""
    given = request.POST.getlist("item")
    return [int(key) for key in given if key.isascii() and key.isdecimal() and len(key) < 19]


# --- orders -----------------------------------------------------------------------------------------------------------


@page(READ)
def order_list(request: HttpRequest) -> HttpResponse:
    """Orders that the person may see, newest first."""
    actor = actor_of(request)
    form = FindOrder(request.GET or None)
    wanted = {name: given for name, given in form.cleaned_data.items() if given} if form.is_valid() else {}
    found = Paginator(queries.orders(actor, **wanted), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    context = {"form": form, "page_obj": found, "narrowed": bool(wanted), "may_order": actor.can(ORDER)}
    return render(request, "market/orders.html", context)


@page(READ)
def order(request: HttpRequest, pk: int) -> HttpResponse:
    """One order: what was bought, what ran, what was billed, and what may be done now."""
    actor = actor_of(request)
    found = queries.order(actor, pk)
    used = jobs.used(found.booking) if found.booking else None
    context: dict[str, Any] = {
        "order": found, "used": used, "statements": queries.statements(actor, found), "states": Order.State,
        "records": list(_records(found)), "extensions": found.extensions.order_by("id"),
        "may_read_book": actor.can(READ_BOOK), "comment": getattr(found, "comment", None),
    } | may(actor, found)  # fmt: skip
    return render(request, "market/order.html", context)


def _records(order: Order) -> Any:
    return LogRecord.objects.filter(subject=f"market.order:{order.pk}").order_by("-id")[:RECORDS_SHOWN_MAX]


def may(actor: Actor, order: Order) -> dict[str, Any]:
    """What a person may do with the order in its present state."""
    now = clock.now()
    buys, sells = actor.can(ORDER, order.buyer), actor.can(SELL, order.product)
    confirmed, over = order.state == Order.State.CONFIRMED, clock.instant_of(order.end_hour) <= now
    begun = clock.instant_of(order.start_hour) <= now
    live = confirmed and order.booking is not None and order.booking.state in LIVE
    given_up = confirmed and order.booking is not None and order.booking.fault == actions.GIVEN_UP
    resold = live and order.whole and not begun and delivered.resold(order)
    may_end = live and not over and not (order.whole and begun) and not resold
    cancel = buys and (order.state == Order.State.PLACED or may_end)
    return {
        "may_cancel": cancel, "kept_fen": actions.kept_fen(order, now) if cancel else None,
        "may_extend": buys and confirmed and not over and not given_up,
        "given_up": given_up, "resold": resold, "may_answer": sells and order.state == Order.State.PLACED,
        "live": live, "may_recall": sells and live and not over, "begun": begun,
        "may_comment": buys and order.state == Order.State.SETTLED and not hasattr(order, "comment"),
    }  # fmt: skip


@page(SELL)
@require_POST
def order_confirm(request: HttpRequest, pk: int) -> HttpResponse:
    """Take an order on."""
    found = queries.order(actor_of(request), pk)
    said = _("The order is confirmed and its cards are booked.")
    post_action(request, actions.confirm_order, None, said, order=found)
    return redirect("market:order", pk)


@page(ORDER)
@require_POST
def order_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Give an order up."""
    found = queries.order(actor_of(request), pk)
    post_action(request, actions.cancel_order, None, _("The order is cancelled."), order=found)
    return redirect("market:order", pk)


@page(SELL)
def order_refuse(request: HttpRequest, pk: int) -> HttpResponse:
    """Turn an order down, with a reason."""
    title, said = _("Turn the order down"), _("The order is turned down.")
    return _answer(request, pk, NoteForm, actions.refuse_order, title, said)


@page(SELL)
def order_recall(request: HttpRequest, pk: int) -> HttpResponse:
    """Take cards back."""
    return _answer(request, pk, RecallForm, actions.recall_order, _("Take cards back"), _("The cards are taken back."))


@page(ORDER)
def order_comment(request: HttpRequest, pk: int) -> HttpResponse:
    """One sentence for others."""
    return _answer(request, pk, CommentForm, actions.comment, _("Comment"), _("Thank you. The comment is public."))


def _answer(
    request: HttpRequest, pk: int, kind: type[Form], action: Callable[..., Any], title: str, said: str
) -> HttpResponse:
    """A page with one form about an order."""
    found = queries.order(actor_of(request), pk)
    form = kind(request.POST or None)
    if form.is_valid() and post_action(request, action, form, said, order=found, **form.cleaned_data) is not None:
        return redirect("market:order", pk)
    return render(request, "market/order_act.html", {"order": found, "form": form, "title": title})


@page(ORDER)
def order_extend(request: HttpRequest, pk: int) -> HttpResponse:
    """Order the same units for the hours that follow: first how long, then at which price."""
    found = queries.order(actor_of(request), pk)
    product = queries.rows().get(pk=found.product_id)
    form = ExtendForm(request.POST or request.GET or None, initial={"hours": product.hours_min})
    context: dict[str, Any] = {"order": found, "form": form, "product": product}
    if form.is_valid():
        hours = form.cleaned_data["hours"]
        if faults := faults_of(product, found.units, found.end_hour, hours, clock.hour_of(clock.now())):
            show_refusal(form, Invalid(*faults))
            return render(request, "market/order_extend.html", context)
        context |= {"quote": quoted(product, found.units, hours), "hours": hours, "until": found.end_hour + hours}
        if request.method == "POST":
            named = {"order": found, "hours": hours, "expected_fen": _shown_total(request)}
            made = post_action(request, actions.extend_order, form, _("The extension is ordered."), **named)
            if made is not None:
                return redirect("market:order", made.pk)
    return render(request, "market/order_extend.html", context)
