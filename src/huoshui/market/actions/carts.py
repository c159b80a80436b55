"""The cart of a person: products put aside with the price seen. It reserves nothing, so it is no matter of record."""

from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.act import Act, action
from huoshui.base.errors import Invalid, Refused
from huoshui.base.models import User
from huoshui.market.actions.orders import faults_of, quoted
from huoshui.market.models import CartItem, Product
from huoshui.market.permissions import ORDER

ITEMS_MAX = 30


@action("market.cart.put")
def put(
    act: Act, *, product: Product, units: int, start_hour: int, hours: int, cap_fen: int | None = None, instead: int = 0
) -> CartItem:
    """Put units of a product over hours into the own cart, `instead` of an item (its key) that is in it.

    `cap_fen`: the most at the product's price, as `place_order` takes it.

    Raises Invalid, Refused(code="not_on_sale", "cart_full").
    """
    user = _owner(act)
    if product.state != Product.State.LISTED:
        raise Refused(_("“%(title)s” is not on sale.") % {"title": product.title}, code="not_on_sale")
    if found := faults_of(product, units, start_hour, hours, clock.hour_of(act.at), cap_fen):
        raise Invalid(*found)
    others = CartItem.objects.filter(user=user).exclude(pk=instead)
    if others.count() >= ITEMS_MAX:
        raise Refused(_("A cart holds at most %(max)s products.") % {"max": ITEMS_MAX}, code="cart_full")
    seen = quoted(product, units, hours, cap_fen).total_fen
    act.nothing_changed()
    CartItem.objects.filter(user=user, pk=instead).delete()
    return CartItem.objects.create(
        user=user, product=product, units=units, start_hour=start_hour, hours=hours, cap_fen=cap_fen, seen_fen=seen,
        added_at=act.at,
    )  # fmt: skip


@action("market.cart.take")
def take(act: Act, *, item: int) -> bool:
    """Take a product out of the own cart; whether it was there."""
    user = _owner(act)
    act.nothing_changed()
    return CartItem.objects.filter(user=user, pk=item).delete()[0] > 0


@action("market.cart.see")
def see(act: Act) -> int:
    """Say that the prices in the own cart were seen as they are now; returns how many had changed."""
    user, changed = _owner(act), 0
    act.nothing_changed()
    for item in CartItem.objects.filter(user=user).select_related("product").prefetch_related("product__tiers"):
        now = quoted(item.product, item.units, item.hours, item.cap_fen).total_fen
        if now != item.seen_fen:
            changed += CartItem.objects.filter(pk=item.pk).update(seen_fen=now)
    return changed


def _owner(act: Act) -> User:
    act.require(ORDER)
    if act.actor.user is None:
        raise Refused(_("A cart belongs to a person."), code="no_person")
    return act.actor.user
