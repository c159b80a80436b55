"""From an order to a statement through a real engine: this machine's. The bill is its accounting to the card-second."""

from datetime import timedelta
from pathlib import Path

from tests.compute.world import SYSTEM, World
from tests.jobs.site import connect, over, submit, turn_until
from tests.market.shop import draft

from huoshui.base import access, clock
from huoshui.book import services as book
from huoshui.book.models import Statement
from huoshui.jobs.models import Attempt
from huoshui.market.actions import orders, products
from huoshui.market.models import DeliveryRecord, Order, Product

HOUR = timedelta(hours=1)


def on_sale(world: World, **values: object) -> Product:
    """A product of the world's pool, confirmed at once."""
    said = draft(cards_per_unit=2, auto_accept=True, price_fen=360_000, **values)
    made = products.draft_product(SYSTEM, pool=world.pool, draft=said)
    products.submit_product(SYSTEM, product=made)
    return products.approve_product(access.system("second"), product=made)


def test_what_is_billed_is_what_the_engine_counted(world: World, tmp_path: Path) -> None:
    connect(world, tmp_path / "jobs")
    product = on_sale(world, sla_bps=10_000, sla_compensation_bps=10_000)
    order = orders.place_order(
        SYSTEM, buyer=world.entity, product=product, units=1, start_hour=clock.hour_of(clock.now()), hours=1,
        purpose="测试",
    )  # fmt: skip
    assert order.booking is not None
    first, second = submit(order.booking, "sleep 1.1", cards=2), submit(order.booking, "exit 3", cards=1)
    turn_until(over(first, second))
    turn_until(lambda: Order.objects.get(pk=order.pk).state == Order.State.SETTLED, later=2 * HOUR)
    counted = sum(Attempt.objects.filter(booking=order.booking).values_list("card_seconds", flat=True))  # type: ignore[arg-type]
    statement = Statement.objects.get(subject=f"market.order:{order.pk}")
    line = statement.lines.get(kind="card_time")
    assert counted >= 2
    assert (line.card_seconds, line.amount) == (counted, counted * 100)  # 3,600 yuan a card-hour is one a card-second
    assert line.evidence
    assert book.statement_total(statement) == line.amount - line.amount * 200 // 10_000
    told = DeliveryRecord.objects.get()
    assert (told.delivered_bps, told.failed, told.attempts) == (10_000, 0, 2)  # a job that fails is its owner's matter


def test_the_cap_stops_the_work_and_bounds_the_bill(world: World, tmp_path: Path) -> None:
    connect(world, tmp_path / "jobs")
    order = orders.place_order(
        SYSTEM, buyer=world.entity, product=on_sale(world), units=1, start_hour=clock.hour_of(clock.now()), hours=1,
        purpose="测试", cap_fen=200,
    )  # fmt: skip
    assert order.booking is not None
    job = submit(order.booking, "sleep 600", cards=1)
    turn_until(over(job))
    turn_until(lambda: Order.objects.get(pk=order.pk).state == Order.State.SETTLED, later=2 * HOUR)
    statement = Statement.objects.get(subject=f"market.order:{order.pk}")
    assert statement.lines.get(kind="card_time").amount <= 200
    assert book.statement_total(statement) <= order.total_fen == 196
