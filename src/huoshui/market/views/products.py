"""My products: an operator's own, with their second look by the centre."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from huoshui.base import access, export
from huoshui.base.access import Actor
from huoshui.base.errors import Missing
from huoshui.base.requests import actor_of
from huoshui.base.views import page, page_errors, post_action
from huoshui.compute import uploads
from huoshui.compute.models import Pool
from huoshui.jobs.connections import looked_after
from huoshui.market import queries, showing
from huoshui.market.actions import product_files
from huoshui.market.actions import products as actions
from huoshui.market.forms import FindProduct, NoteForm, PriceForm, ProductForm
from huoshui.market.models import Product
from huoshui.market.permissions import REVIEW, SELL
from huoshui.registry.models import RoleKind
from huoshui.registry.queries import parties_of

ROWS_PER_PAGE = 25
STEPS: dict[str, Callable[..., Any]] = {
    "submit": actions.submit_product, "approve": actions.approve_product, "pause": actions.pause_product,
    "resume": actions.resume_product, "end": actions.end_product,
}  # fmt: skip


def _need(actor: Actor) -> None:
    """Raises Forbidden for who neither sells nor reviews."""
    if not actor.can(REVIEW):
        actor.require(SELL)


@page()
def product_list(request: HttpRequest) -> HttpResponse:
    """Own products, or all for those who review them."""
    actor = actor_of(request)
    _need(actor)
    form = FindProduct(request.GET or None)
    wanted = {name: given for name, given in form.cleaned_data.items() if given} if form.is_valid() else {}
    found = Paginator(queries.own_products(actor, **wanted), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    context = {"form": form, "page_obj": found, "narrowed": bool(wanted), "may_sell": actor.can(SELL)}
    return render(request, "market/my_products.html", context)


@page()
def product(request: HttpRequest, pk: int) -> HttpResponse:
    """One of them, with what may be done now."""
    actor = actor_of(request)
    _need(actor)
    found = queries.own_product(actor, pk)
    sells = actor.can(SELL, found)
    mine = actor.user is not None and found.submitted_by_id == actor.user.pk
    waits = found.state == Product.State.SUBMITTED
    context = {
        "product": found, "may_change": sells and found.state in actions.EDITABLE,
        "may_price": sells and found.state != Product.State.ENDED, "sells": sells, "states": Product.State,
        "may_review": actor.can(REVIEW) and waits, "second": not mine, "has_engine": looked_after(found.pool.site),
        "sections": showing.sections(found),
        "orders": found.orders.select_related("buyer").order_by("-id")[:10] if sells else [],
    }  # fmt: skip
    return render(request, "market/my_product.html", context)


def _pools(actor: Actor) -> Any:
    return access.visible(Pool.objects.all(), actor, SELL).select_related("site", "card_model").order_by("site", "id")


@page(SELL)
def product_new(request: HttpRequest) -> HttpResponse:
    """Draw up a product."""
    form = ProductForm(_pools(actor_of(request)), request.POST or None)
    if form.is_valid():
        named = {"pool": form.cleaned_data["pool"], "draft": form.draft(), "tiers": form.cleaned_data["tiers"]}
        made = post_action(request, actions.draft_product, form, _("The product is drawn up."), **named)
        if made is not None:
            return redirect("market:my_product", made.pk)
    return render(request, "market/product_form.html", {"form": form})


@page(SELL)
def product_change(request: HttpRequest, pk: int) -> HttpResponse:
    """Change what is said of a product that is not on sale."""
    found = queries.own_product(actor_of(request), pk)
    form = ProductForm(Pool.objects.none(), request.POST or None, product=found)
    if form.is_valid():
        named = {"product": found, "draft": form.draft(found.code), "tiers": form.cleaned_data["tiers"]}
        if post_action(request, actions.change_product, form, _("The product is changed."), **named) is not None:
            return redirect("market:my_product", pk)
    return render(request, "market/product_form.html", {"form": form, "product": found})


@page(SELL)
def product_price(request: HttpRequest, pk: int) -> HttpResponse:
    """Change the price and its tiers."""
    found = queries.own_product(actor_of(request), pk)
    form = PriceForm(request.POST or None, product=found)
    if form.is_valid():
        named = {"product": found} | form.cleaned_data
        if post_action(request, actions.set_price, form, _("The price is changed."), **named) is not None:
            return redirect("market:my_product", pk)
    return render(request, "market/product_price.html", {"form": form, "product": found})


@page()
@require_POST
def product_step(request: HttpRequest, pk: int, step: str) -> HttpResponse:
    """Submit, approve, pause, resume, end."""
    if step not in STEPS:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    _need(actor_of(request))
    post_action(request, STEPS[step], None, _("Done."), product=queries.own_product(actor_of(request), pk))
    return redirect("market:my_product", pk)


@page(REVIEW)
def product_return(request: HttpRequest, pk: int) -> HttpResponse:
    """Give a product back with a reason."""
    found = queries.own_product(actor_of(request), pk)
    form = NoteForm(request.POST or None)
    if form.is_valid():
        named = {"product": found} | form.cleaned_data
        if post_action(request, actions.return_product, form, _("It is given back."), **named) is not None:
            return redirect("market:my_product", pk)
    return render(request, "market/product_return.html", {"form": form, "product": found})


def _drawn_up(count: int) -> str:
    said = ngettext("%(count)s product was drawn up.", "%(count)s products were drawn up.", count)
    return said % {"count": count}


UPLOAD = uploads.Upload(
    "market/product_upload.html", product_files.COLUMNS, product_files.read_file, product_files.import_products,
    party="operator", then="market:my_products", said=_drawn_up,
)  # fmt: skip


@page(SELL)
def product_upload(request: HttpRequest) -> HttpResponse:
    """Products by file: shown first, taken in when confirmed."""
    parties = parties_of(actor_of(request), SELL)
    return UPLOAD.page(request, parties.filter(roles__kind=RoleKind.OPERATOR).distinct())


@page_errors
def product_template(request: HttpRequest, kind: str) -> HttpResponse:
    """An empty file with one example row."""
    headers = [f"{column.zh}（元）" if column.is_money else column.zh for column in product_files.COLUMNS]
    return export.response(kind, _("products"), headers, [[column.meaning for column in product_files.COLUMNS]])
