"""What everybody may see: the catalogue, a product, products side by side. Nobody needs to sign in."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.errors import Invalid, Refused
from huoshui.base.figures import Figure, heat_map
from huoshui.base.requests import actor_of
from huoshui.base.views import page, page_errors, post_action, show_refusal
from huoshui.jobs.services import free_cards
from huoshui.market import queries, shelf, showing
from huoshui.market.actions import carts
from huoshui.market.actions.orders import faults_of, quoted
from huoshui.market.browsing import Browsing, keys_of
from huoshui.market.forms import TermForm
from huoshui.market.models import Comment, Product
from huoshui.market.permissions import ORDER, SELL

CALENDAR_DAYS = 7
COMMENTS_SHOWN_MAX = 10
KEY_DIGITS_MAX = 19


@page_errors
def catalogue(request: HttpRequest) -> HttpResponse:
    """Products on sale: search, facets with counts, chips, order, pages."""
    browsing = Browsing(request.GET)
    products, found = queries.search(browsing.wanted(browsing.page))
    pages = Paginator(range(found.total), shelf.PAGE_ROWS)
    if not products and found.total:
        products, found = queries.search(browsing.wanted(pages.num_pages))
    context = {
        "form": browsing.form, "page_obj": pages.get_page(browsing.page), "total": found.total,
        "rows": [(row, browsing.compare_url(row.pk), row.pk in browsing.compared) for row in products],
        "facets": browsing.choices(found), "chips": browsing.chips(), "hidden": browsing.hidden(),
        "sorts": browsing.sorts(), "compared": queries.compared(browsing.compared),
        "compare_query": browsing.query.urlencode(), "may_sell": actor_of(request).can(SELL),
    }  # fmt: skip
    return render(request, "market/catalogue.html", context)


@page_errors
def product(request: HttpRequest, pk: int) -> HttpResponse:
    """One product: what it is, what an order would cost, when its cards are free, what was delivered."""
    found = queries.product(actor_of(request), pk)
    return _shown(request, found, TermForm(found, request.GET))


def _shown(request: HttpRequest, found: Product, form: TermForm, status: int = 200) -> HttpResponse:
    actor = actor_of(request)
    units, start, hours, cap_fen = form.chosen()
    problems = faults_of(found, units, start, hours, clock.hour_of(clock.now()), cap_fen)
    if form.is_bound and problems:
        show_refusal(form, Invalid(*problems))
    fits = not (form.errors or problems)
    asked = {name: request.GET[name] for name in form.fields if name in request.GET}
    context = {
        "product": found, "form": form, "item": _item(request), "asked": urlencode(asked),
        "rating": queries.rating(found),
        "quote": quoted(found, units, hours, cap_fen) if fits else None,
        "free": int(free_cards([found.pool], start, start + hours).min()) if fits else None,
        "cards": units * found.cards_per_unit, "calendar": availability(found), "sections": showing.sections(found),
        "comments": Comment.objects.filter(order__product__pool=found.pool).order_by("-id")[:COMMENTS_SHOWN_MAX],
        "may_order": actor.can(ORDER), "may_sell": actor.can(SELL, found),
        "on_sale": found.state == Product.State.LISTED,
    }  # fmt: skip
    return render(request, "market/product.html", context, status=status)


def _item(request: HttpRequest) -> int:
    """The key of the cart's item that is being changed; 0 for none."""
    given = (request.POST if request.method == "POST" else request.GET).get("item", "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < KEY_DIGITS_MAX else 0


def availability(product: Product) -> Figure:
    """Free cards of the product's pool, hour by hour of the next days."""
    first = clock.hour_of(clock.day_start(clock.today()))
    free = free_cards([product.pool], first, first + 24 * CALENDAR_DAYS)[0].reshape(CALENDAR_DAYS, 24)
    now = clock.hour_of(clock.now()) - first
    values: list[list[float | None]] = [
        [None if 24 * day + hour < now else int(count) for hour, count in enumerate(row)]
        for day, row in enumerate(free)
    ]
    days = [clock.local(clock.instant_of(first + 24 * day)).strftime("%m-%d") for day in range(CALENDAR_DAYS)]
    hours = [f"{hour:02d}" for hour in range(24)]
    return heat_map(_("Free cards in the next seven days"), days, hours, values, _("cards"))


@page_errors
def compare(request: HttpRequest) -> HttpResponse:
    """Up to four products side by side; rows in which they differ are marked."""
    products = queries.compared(keys_of(request.GET))
    only = "differences" in request.GET
    rows = [row for row in showing.compared(products) if row.differs or not only]
    query = request.GET.copy()
    for name in ("differences", *(["c"] if not products else [])):
        query.pop(name, None)
    context: dict[str, Any] = {
        "products": products, "rows": rows, "only": only, "back": query.urlencode(),
        "dropped": [(row, _without(request, row.pk)) for row in products],
    }  # fmt: skip
    return render(request, "market/compare.html", context)


def _without(request: HttpRequest, key: int) -> str:
    query = request.GET.copy()
    query.setlist("c", [one for one in query.getlist("c") if one != str(key)])
    return f"?{query.urlencode()}"


@page(ORDER)
def put_into_cart(request: HttpRequest, pk: int) -> HttpResponse:
    """Put a product into the cart (POST) as the calculator's form says; its other button only reckons."""
    found = queries.product(actor_of(request), pk)
    form = TermForm(found, request.POST)
    if request.method != "POST" or not form.is_bound:
        return redirect("market:product", pk)
    if "reckon" in request.POST:
        asked = {name: request.POST.get(name, "") for name in (*form.fields, "item") if name in request.POST}
        return redirect(f"{reverse('market:product', args=[pk])}?{urlencode(asked)}#order")
    if form.is_valid():
        units, start, hours, cap_fen = form.chosen()
        try:
            post_action(
                request, carts.put, None, _("It is in your cart."), product=found, units=units, start_hour=start,
                hours=hours, cap_fen=cap_fen, instead=_item(request),
            )  # fmt: skip
            return redirect("market:cart")
        except Refused as error:
            show_refusal(form, error)
    return _shown(request, found, form, status=422)
