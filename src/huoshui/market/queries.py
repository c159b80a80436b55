"""Reads of the supermarket that more than one face needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Case, Q, QuerySet, Sum, When
from django.utils.translation import gettext as _

from huoshui.base import access, clock
from huoshui.base.access import Actor
from huoshui.base.errors import Missing, Problem
from huoshui.book.models import Kind, Statement
from huoshui.book.permissions import READ as READ_BOOK
from huoshui.book.services import balance
from huoshui.jobs import services as jobs
from huoshui.market import shelf
from huoshui.market.actions.orders import faults_of, quoted
from huoshui.market.models import CartItem, DeliveryRecord, Order, Product
from huoshui.market.permissions import ORDER, READ, REVIEW, SELL
from huoshui.market.prices import Quote
from huoshui.registry.models import Party

DIGITS_MAX = 18
COMPARED_MAX = 4
STATEMENTS_MAX = 50
_PRODUCT = ("pool__site__operator", "pool__site__region", "pool__card_model", "pool__delivery_record")


def rows() -> QuerySet[Product]:
    """Products with everything that a page says of them."""
    return Product.objects.select_related(*_PRODUCT).prefetch_related("tiers")


def search(wanted: shelf.Wanted) -> tuple[list[Product], shelf.Found]:
    """The products of a page of the public catalogue, in order, and the counts beside them."""
    found = shelf.current().search(wanted)
    order = Case(*[When(pk=key, then=place) for place, key in enumerate(found.keys)])
    products = rows().filter(pk__in=found.keys, state=Product.State.LISTED)
    return list(products.order_by(order)) if found.keys else [], found


def product(actor: Actor, pk: int) -> Product:
    """A product on sale or ended for anybody, another for those who sell or review it. Raises Missing."""
    public = (Product.State.LISTED, Product.State.PAUSED, Product.State.ENDED)
    found = rows().filter(pk=pk).first()
    if found is None or (
        (found.state not in public or found.listed_at is None) and not actor.can(SELL, found) and not actor.can(REVIEW)
    ):
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


def own_products(actor: Actor, *, text: str = "", state: str = "") -> QuerySet[Product]:
    """Products that the actor sells, or all for those who review them, newest first."""
    found = rows() if actor.can(REVIEW) else access.visible(rows(), actor, SELL)
    if state:
        found = found.filter(state=state)
    if text := text.strip():
        found = found.filter(Q(title__icontains=text) | Q(code__icontains=text) | Q(pool__site__name__icontains=text))
    return found.order_by("-id")


def own_product(actor: Actor, pk: int) -> Product:
    """One of them. Raises Missing."""
    found = own_products(actor).filter(pk=pk).first()
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


def compared(keys: Sequence[int]) -> list[Product]:
    """Up to four products on sale, in the order asked for."""
    wanted = list(dict.fromkeys(keys))[:COMPARED_MAX]
    found = {row.pk: row for row in rows().filter(pk__in=wanted, state=Product.State.LISTED)}
    return [found[key] for key in wanted if key in found]


def rating(product: Product) -> DeliveryRecord | None:
    """What the pool of a product delivered; None before anything was settled."""
    return getattr(product.pool, "delivery_record", None)


# --- orders -----------------------------------------------------------------------------------------------------------


def orders(actor: Actor, *, text: str = "", state: str = "") -> QuerySet[Order]:
    """Orders that the actor may see, as buyer or as operator, newest first. `text`: a number or part of a name."""
    found = access.visible(Order.objects.all(), actor, READ).select_related(
        "buyer", "product__pool__site__operator", "product__pool__card_model", "booking"
    )
    if state:
        found = found.filter(state=state)
    if text := text.strip():
        named = Q(product__title__icontains=text) | Q(purpose__icontains=text) | Q(buyer__name__icontains=text)
        digits = text.upper().removeprefix("S")
        numbered = Q(pk=int(digits)) if digits.isdecimal() and len(digits) <= DIGITS_MAX else Q()
        found = found.filter(named | numbered if numbered else named)
    return found.order_by("-id")


def order(actor: Actor, pk: int) -> Order:
    """One order. Raises Missing."""
    found = orders(actor).select_related("follows", "comment").filter(pk=pk).first()
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


def statements(actor: Actor, order: Order) -> list[Statement]:
    """Statements of an order that the actor may see, with `total`, oldest first."""
    found = access.visible(Statement.objects.all(), actor, READ_BOOK).filter(
        desk="market", subject=f"market.order:{order.pk}"
    )
    return list(found.annotate(total=Sum("lines__amount")).order_by("id")[:STATEMENTS_MAX])


# --- cart -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CartRow:
    """An item, what it costs now, and why it could not be ordered now."""

    item: CartItem
    quote: Quote
    problems: tuple[Problem, ...]

    @property
    def changed(self) -> bool:
        return self.quote.total_fen != self.item.seen_fen


@dataclass(frozen=True)
class Cart:
    """What a person put aside."""

    rows: list[CartRow]

    @property
    def total_fen(self) -> int:
        return sum(row.quote.total_fen for row in self.rows)

    @property
    def ready(self) -> bool:
        return bool(self.rows) and not any(row.problems for row in self.rows)


def cart(actor: Actor) -> Cart:
    """The actor's cart, each item at today's price."""
    items = CartItem.objects.filter(user=actor.user) if actor.user else CartItem.objects.none()
    known = items.select_related(*(f"product__{path}" for path in _PRODUCT)).prefetch_related("product__tiers")
    return Cart([_cart_row(item) for item in known.order_by("id")])


def _cart_row(item: CartItem) -> CartRow:
    product = item.product
    found = faults_of(product, item.units, item.start_hour, item.hours, clock.hour_of(clock.now()), item.cap_fen)
    if product.state != Product.State.LISTED:
        found.append(Problem("product", product.title, _("is not on sale any more")))
    elif not found:
        free = int(jobs.free_cards([product.pool], item.start_hour, item.start_hour + item.hours).min())
        if free < item.units * product.cards_per_unit:
            found.append(Problem("units", str(item.units), _("only %(free)s cards are free") % {"free": free}))
    return CartRow(item, quoted(product, item.units, item.hours, item.cap_fen), tuple(found))


def buyers(actor: Actor) -> QuerySet[Party]:
    """Parties for which the actor may order."""
    return access.visible(Party.objects.all(), actor, ORDER).order_by("name", "id")


def free_fen(buyer: Party) -> int:
    """What of a buyer's limit is free."""
    return balance(buyer, Kind.LIMIT)
