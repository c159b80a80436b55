"""Steps of buyers and operators on the small bank of `tests.compute.world`. Hours count from `World.start`."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from tests.compute.world import NOON, SYSTEM, World, moment
from tests.compute.world import run as in_action
from tests.jobs.rows import attempt

from huoshui.base import access, clock
from huoshui.book import services as book
from huoshui.book.models import Kind
from huoshui.compute.models import Site
from huoshui.jobs import services as jobs
from huoshui.jobs.actions.bookings import lose_booking
from huoshui.jobs.models import BookedStretch, Booking, Connection
from huoshui.jobs.services import BookingDraft
from huoshui.market.actions import orders, products
from huoshui.market.actions.products import ProductDraft
from huoshui.market.models import Order, Product
from huoshui.market.prices import Tier
from huoshui.registry.models import Party

numbers = itertools.count(1)


def draft(**values: Any) -> ProductDraft:
    """A node of eight cards by the hour at 9.60 yuan a card-hour."""
    usual = {
        "code": f"p{next(numbers)}", "title": "示例八卡整机", "kind": "node", "billing": "hourly", "price_fen": 960,
        "cards_per_unit": 8, "hours_max": 24 * 60,
    }  # fmt: skip
    return ProductDraft(**usual | values)


def counted(site: Site) -> Connection:
    """A site joined to an engine that nobody asks."""
    usual = {"kind": "local", "tag": f"s{site.pk}", "state": Connection.State.UP}
    return Connection.objects.get_or_create(site=site, defaults=usual)[0]


def listed(world: World, tiers: Sequence[Tier] = (), pool: Any = None, **values: Any) -> Product:
    """A product on sale."""
    counted((pool or world.pool).site)
    with clock.moved_to(NOON):
        made = products.draft_product(SYSTEM, pool=pool or world.pool, draft=draft(**values), tiers=tiers)
        products.submit_product(SYSTEM, product=made)
        return products.approve_product(access.system("second"), product=made)


def placed(world: World, product: Product, units: int = 1, start: int = 0, hours: int = 4, **more: Any) -> Order:
    """An order of the world's entity."""
    named = {"buyer": world.entity, "purpose": "测试"} | more
    with clock.moved_to(NOON):
        return orders.place_order(
            SYSTEM, product=product, units=units, start_hour=world.start + start, hours=hours, **named
        )


def bought(world: World, product: Product, *args: Any, **more: Any) -> Order:
    """An order that the operator confirmed."""
    order = placed(world, product, *args, **more)
    if order.state == Order.State.PLACED:
        with clock.moved_to(NOON + timedelta(milliseconds=1)):
            orders.confirm_order(SYSTEM, order=order)
    reserved(order)
    return Order.objects.get(pk=order.pk)


def reserved(order: Order) -> None:
    """The engine keeps the cards of an order's booking, as the runner notes it."""
    BookedStretch.objects.filter(booking__source=orders.subject_of(order), reserved_at=None).update(reserved_at=NOON)


def ran(world: World, order: Order, card_seconds: int, at: float = 0, reason: str = "", seconds: int = 60) -> None:
    """An attempt in the order's booking, from an hour on, as an engine accounts for it."""
    assert order.booking is not None
    begun = moment(world, at)
    made = attempt(
        order.booking, card_seconds=card_seconds, started_at=begun, ended_at=begun + timedelta(seconds=seconds),
        evidence="e" * 64, reason=reason,
    )  # fmt: skip
    type(made).objects.filter(pk=made.pk).update(cards=order.cards)


def ended(
    world: World, order: Order, at: float | None = None, state: str = Booking.State.ENDED, kept: bool = True
) -> Order:
    """The booking closes at an hour, as the runner closes it; a lost one loses what is left of it then. `kept`: the
    engine reserved its cards."""
    booking = Order.objects.get(pk=order.pk).booking
    assert booking is not None
    if kept:
        reserved(order)
    with clock.moved_to(moment(world, order.end_hour - world.start if at is None else at)):
        if state == Booking.State.LOST and booking.state != state:
            lose_booking(access.system("runner"), booking=booking)
        elif booking.state in (Booking.State.PLANNED, Booking.State.RESERVED):
            Booking.objects.filter(pk=booking.pk).update(state=state)
        booking.refresh_from_db()
        in_action(lambda act, record: jobs.tell_source(act, record, booking))
    return Order.objects.get(pk=order.pk)


def pass_on(world: World, booking: Booking, cards: int, start: int, end: int, to: Party | None = None) -> None:
    """Part of a booking goes to another party, as the exchange resells it."""
    draft = BookingDraft(
        party=to or world.operator, pool=booking.pool, cards=cards, stretches=[], source="test.sale:1", price_mfen=0,
        cap_fen=0, billing="whole",
    )  # fmt: skip
    hours = {"from_hour": world.start + start, "to_hour": world.start + end}
    with noon():
        in_action(lambda act, record: jobs.hand_over(act, record, booking, cards=cards, draft=draft, **hours))


def money(world: World) -> dict[str, int]:
    """What the buyer has, by kind."""
    return {str(kind): amount for kind, amount in book.balances(world.entity).items()}


@contextmanager
def noon() -> Iterator[None]:
    """The hour before anything starts."""
    with clock.moved_to(NOON):
        yield


LIMIT, HELD, COMMITTED = (str(kind) for kind in (Kind.LIMIT, Kind.HELD, Kind.COMMITTED))
