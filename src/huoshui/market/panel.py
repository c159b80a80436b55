"""What the supermarket adds to the page of an entity, and what waits for whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from huoshui.base import access, clock
from huoshui.base.access import Actor
from huoshui.cases.todo import Todo
from huoshui.jobs import sources
from huoshui.jobs.models import Booking
from huoshui.market.models import Order, Product
from huoshui.market.permissions import REVIEW, SELL
from huoshui.registry.deadlines import Deadline
from huoshui.registry.models import Party
from huoshui.registry.timeline import Event

ROWS_MAX = 20
LATEST_SHOWN = 5


def context(actor: Actor, party: Party) -> dict[str, Any] | None:
    """The party's orders; None when it has none."""
    rows = Order.objects.filter(buyer=party).select_related("product")
    if not rows.exists():
        return None
    return {
        "latest": rows.order_by("-id")[:LATEST_SHOWN],
        "waiting": rows.filter(state=Order.State.PLACED).count(),
        "running": rows.filter(state=Order.State.CONFIRMED).count(),
        "settled": rows.filter(state=Order.State.SETTLED).count(),
    }


def timeline(actor: Actor, party: Party, limit: int) -> Iterable[Event]:
    """Orders placed."""
    for order in Order.objects.filter(buyer=party).select_related("product").order_by("-placed_at")[:limit]:
        title = _("Order %(number)s placed: %(product)s") % {"number": order.number, "product": order.product.title}
        yield Event(order.placed_at, title, reverse("market:order", args=[order.pk]), "market.order")


def deadlines(actor: Actor, party: Party) -> Iterable[Deadline]:
    """Cards that start for the party, and orders that it has to answer."""
    now = clock.now()
    ahead = Order.objects.filter(buyer=party, state=Order.State.CONFIRMED, start_hour__gt=clock.hour_of(now))
    for order in ahead.order_by("start_hour")[:ROWS_MAX]:
        title = _("The cards of %(number)s start") % {"number": order.number}
        yield Deadline(clock.instant_of(order.start_hour), title, _url(order), "market.start")
    asked = Order.objects.filter(product__pool__site__operator=party, state=Order.State.PLACED, answer_until__gt=now)
    for order in asked.order_by("answer_until")[:ROWS_MAX]:
        yield Deadline(order.answer_until, _answer_title(order), _url(order), "market.answer")


def source(booking: Booking) -> tuple[str, str]:
    """The order that a booking came from."""
    order = Order.objects.get(pk=sources.key_of(booking))
    return _("Compute supermarket, order %(number)s") % {"number": order.number}, _url(order)


def _url(order: Order) -> str:
    return reverse("market:order", args=[order.pk])


def _answer_title(order: Order) -> str:
    return _("Order %(number)s waits for an answer") % {"number": order.number}


def orders_to_answer(actor: Actor) -> Iterator[Todo]:
    """Orders that wait for the operator."""
    if not actor.can(SELL):
        return
    products = access.visible(Product.objects.all(), actor, SELL)
    rows = Order.objects.filter(state=Order.State.PLACED, product__in=products, answer_until__gt=clock.now())
    for order in rows.order_by("answer_until")[:ROWS_MAX]:
        due = clock.local(order.answer_until).date()
        yield Todo(_answer_title(order), _url(order), due, 4, "market.order")


def products_to_review(actor: Actor) -> Iterator[Todo]:
    """Products that wait for a second look."""
    if not actor.can(REVIEW):
        return
    for product in Product.objects.filter(state=Product.State.SUBMITTED).order_by("id")[:ROWS_MAX]:
        title = _("“%(title)s” waits for a second look") % {"title": product.title}
        yield Todo(title, reverse("market:my_product", args=[product.pk]), None, 2, "market.product")
