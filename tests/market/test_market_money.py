"""Whatever happens to an order, what was held is what was billed plus what came back, and the book is whole."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.compute.world import LIMIT_FEN, SYSTEM, World, moment, run
from tests.market.shop import COMMITTED, HELD, LIMIT, bought, ended, listed, money, pass_on, placed, ran, reserved

from huoshui.base import clock
from huoshui.base.errors import Refused
from huoshui.book import services as book
from huoshui.book.models import Statement, StatementLine
from huoshui.jobs import services as jobs
from huoshui.jobs.models import BookedStretch, Booking, Connection
from huoshui.market.actions import orders, settlement
from huoshui.market.models import DeliveryRecord, Order
from huoshui.registry import actions as registry

cases = st.fixed_dictionaries(
    {
        "billing": st.sampled_from(["hourly", "spot", "reserved", "monthly"]), "price": st.integers(1, 99_999),
        "units": st.integers(1, 3), "hours": st.integers(1, 1500), "ran": st.integers(0, 4_000_000),
        "fails": st.integers(0, 1500), "failing": st.integers(1, 24), "backwards": st.booleans(),
        "sla": st.sampled_from([None, 9000, 9990, 10_000]),
        "compensation": st.integers(0, 30_000), "cap": st.one_of(st.none(), st.integers(1, 10_000)),
    }
)  # fmt: skip


@given(case=cases)
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
def test_held_is_billed_plus_released(
    world: World, undone: Callable[[], AbstractContextManager[None]], case: dict[str, Any]  # noqa: F811
) -> None:
    with undone():
        order = _through(world, case)
        paid = 0
        found = Statement.objects.filter(subject=f"market.order:{order.pk}")
        for statement in found.order_by("-id" if case["backwards"] else "id"):
            if statement.secured:
                paid += book.statement_total(statement)
                run(lambda act, record, one=statement: book.accept(act, record, one))
        assert paid <= order.total_fen
        after = money(world)
        assert (after[HELD], after[COMMITTED], after["payable"]) == (0, 0, paid)
        assert after[LIMIT] == LIMIT_FEN - paid
        assert book.check_zero() == []
        assert book.replay() == []


def _through(world: World, case: dict[str, Any]) -> Order:
    """An order from checkout to its last statement."""
    billing, hours = case["billing"], case["hours"]
    more: dict[str, Any] = {"hours_max": 24 * 70}
    if billing == "monthly":
        hours = 720 * (1 + hours // 720)
        more = {"hours_min": 720, "hours_max": 2160}
    if billing == "spot":
        more["recall_notice_hours"] = 0
    if case["sla"] is not None:
        more |= {"sla_bps": case["sla"], "sla_compensation_bps": case["compensation"]}
    product = listed(world, billing=billing, price_fen=case["price"], **more)
    by_use = billing in ("hourly", "spot")
    full = case["units"] * 8 * hours * case["price"]
    named = {"cap_fen": min(case["cap"], full)} if by_use and case["cap"] else {}
    order = bought(world, product, case["units"], 0, hours, **named)
    fails = 0 < case["fails"] < hours
    if fails:
        with clock.moved_to(moment(world, case["fails"] - 0.5)):
            cards = min(case["failing"], order.cards)
            orders.recall_order(
                SYSTEM, order=order, from_hour=world.start + case["fails"], cards=cards, reason="failure"
            )
        fails = cards == order.cards  # nothing is left of it then
    if by_use and case["ran"]:
        ran(world, order, min(case["ran"], order.card_seconds))
    reserved(order)
    with clock.moved_to(moment(world, hours - 0.5)):
        settlement.bill_due(SYSTEM)
    return ended(world, order, at=case["fails"] if fails else None)


def test_fifty_buyers_of_the_last_cards_get_exactly_those_that_there_are(world: World) -> None:
    product = listed(world, cards_per_unit=100, auto_accept=True)
    served = 0
    for _number in range(12):
        try:
            served += placed(world, product).state == Order.State.CONFIRMED
        except Refused as refused:
            assert refused.code == "no_cards"  # noqa: PT017
    assert served == 10


# --- delivery ---------------------------------------------------------------------------------------------------------


def record(world: World) -> DeliveryRecord:
    return DeliveryRecord.objects.get(pool=world.pool)


def test_what_a_buyer_does_not_use_is_not_lost(world: World) -> None:
    order = bought(world, listed(world), hours=10)
    ran(world, order, 3600)
    ended(world, order)
    told = record(world)
    assert (told.sold_seconds, told.lost_seconds, told.delivered_bps) == (8 * 10 * 3600, 0, 10_000)
    assert (told.attempts, told.failed, told.failed_bps) == (1, 0, 0)


def test_the_time_between_a_node_failure_and_the_next_start_is_lost(world: World) -> None:
    order = bought(world, listed(world), hours=10)
    ran(world, order, 8 * 3600, at=1, seconds=3600, reason="node_lost")
    ran(world, order, 8 * 3600, at=2.5, seconds=3600)
    ended(world, order)
    told = record(world)
    assert (told.lost_seconds, told.failed, told.attempts) == (8 * 1800, 1, 2)


def test_a_job_that_fails_by_itself_is_the_buyers_matter(world: World) -> None:
    order = bought(world, listed(world), hours=10)
    ran(world, order, 100, reason="memory")
    ended(world, order)
    assert (record(world).lost_seconds, record(world).failed) == (0, 0)


def test_a_failure_that_nothing_follows_counts_an_hour(world: World) -> None:
    order = bought(world, listed(world), hours=10)
    ran(world, order, 0, at=1, seconds=0, reason="no_start")
    ended(world, order)
    assert record(world).lost_seconds == 8 * 3600


def test_a_booking_that_is_lost_loses_all_that_is_left(world: World) -> None:
    order = ended(world, bought(world, listed(world), hours=10), at=4, state=Booking.State.LOST)
    assert record(world).lost_seconds == pytest.approx(8 * 6 * 3600, abs=8 * 30)  # the clock goes on
    assert record(world).sold_seconds == order.card_seconds


def test_hours_that_the_buyer_resold_before_the_booking_was_lost_are_not_lost_again(world: World) -> None:
    order = bought(world, listed(world, billing="reserved"), hours=10)
    assert order.booking is not None
    pass_on(world, order.booking, 8, 6, 10)
    ended(world, order, at=4, state=Booking.State.LOST)
    closed(world, order, 10)
    assert record(world).lost_seconds == 8 * 2 * 3600


def closed(world: World, order: Order, hour: int) -> None:
    """The runner closed the order's booking; the term is over."""
    Booking.objects.filter(pk=order.booking_id).update(closed_at=moment(world, 1))
    with clock.moved_to(moment(world, hour)):
        assert settlement.close_due(SYSTEM) == 1
        assert settlement.close_due(SYSTEM) == 0


def test_an_order_whose_last_hours_were_resold_is_billed_by_period_to_its_end(world: World) -> None:
    order = bought(world, listed(world, billing="reserved", hours_max=2000), hours=2000)
    assert order.booking is not None
    pass_on(world, order.booking, 8, 700, 2000)
    ended(world, order, at=700)
    found = Statement.objects.filter(subject=f"market.order:{order.pk}").order_by("id")
    assert not found, "nothing is due before a period is over"
    for hour, count in ((720, 1), (1440, 2), (1999, 2)):
        with clock.moved_to(moment(world, hour)):
            settlement.bill_due(SYSTEM)
            assert settlement.close_due(SYSTEM) == 0
        assert len(found.all()) == count
    closed(world, order, 2000)
    assert [one.final for one in found.all()] == [False, False, True]
    assert sum(map(book.statement_total, found.all())) == order.total_fen
    assert Order.objects.get(pk=order.pk).state == Order.State.SETTLED


def lost_elsewhere(world: World, order: Order, card_hours: int) -> None:
    """Hours that the buyer resold are lost in other hands, as the exchange tells it."""
    booking = Order.objects.get(pk=order.pk).booking
    assert booking is not None
    run(lambda act, record: jobs.tell_lost(act, record, booking, card_hours * 3600))


def compensation(order: Order) -> int:
    """What statements gave for missing the promise."""
    lines = StatementLine.objects.filter(statement__subject=f"market.order:{order.pk}", kind="compensation")
    return sum(abs(line.amount) for line in lines)


@pytest.mark.parametrize("after", [False, True])
def test_what_is_lost_after_a_resale_counts_for_the_rating_and_the_compensation(world: World, after: bool) -> None:
    product = listed(world, billing="reserved", sla_bps=9000, sla_compensation_bps=5000)
    order = bought(world, product, hours=10)
    assert order.booking is not None
    pass_on(world, order.booking, 8, 6, 10)
    if not after:
        lost_elsewhere(world, order, 24)
        assert compensation(order) == 0, "it is in the final statement"
    ended(world, order)
    if after:
        assert (record(world).delivered_bps, compensation(order)) == (10_000, 0)
        lost_elsewhere(world, order, 24)
    assert (record(world).sold_seconds, record(world).lost_seconds) == (80 * 3600, 24 * 3600)
    assert compensation(order) == (24 - 8) * 960 // 2, "a tenth of eighty card-hours may be missing"
    lost_elsewhere(world, order, 8)
    assert record(world).lost_seconds == 32 * 3600
    assert compensation(order) == (32 - 8) * 960 // 2
    told = Statement.objects.filter(subject=f"market.order:{order.pk}", secured=False)
    paid = sum(gross - gross * 200 // 10_000 for gross in (24 * 960, 8 * 960))
    assert sum(map(book.statement_total, told)) == paid + (compensation(order) if after else 8 * 960 // 2)


def test_a_loss_adds_to_what_was_reported_as_failed(world: World) -> None:
    order = bought(world, listed(world), hours=10)
    with clock.moved_to(moment(world, 1)):
        orders.recall_order(SYSTEM, order=order, from_hour=world.start + 8, cards=8, reason="failure")
    ended(world, order, at=4, state=Booking.State.LOST)
    assert (record(world).lost_seconds, record(world).sold_seconds) == (8 * 6 * 3600, order.card_seconds)


def test_cards_that_a_connected_engine_never_reserved_are_lost(world: World) -> None:
    order = bought(world, listed(world, billing="reserved"), hours=10)
    BookedStretch.objects.update(reserved_at=None)
    ended(world, order, kept=False)
    assert record(world).lost_seconds == order.card_seconds
    assert book.statement_total(Statement.objects.get(subject=f"market.order:{order.pk}")) == 0


def silent(world: World, since: float, until: float) -> None:
    """The site's engine does not answer between two hours."""
    engine = Connection.objects.get(site=world.pool.site)
    engine.outages.create(since=moment(world, since), until=moment(world, until))


def test_the_time_in_which_the_engine_was_silent_is_lost_and_not_paid(world: World) -> None:
    order = bought(world, listed(world, billing="reserved"), hours=10)
    silent(world, -2, 1.5)
    silent(world, 4, 7)
    ended(world, order)
    assert record(world).lost_seconds == 8 * 4.5 * 3600
    (told,) = Statement.objects.filter(subject=f"market.order:{order.pk}")
    (lost,) = told.lines.filter(kind="lost")
    assert lost.amount == -8 * 960 * 9 // 2


def test_cards_that_were_reserved_in_the_last_hour_are_lost_until_then(world: World) -> None:
    order = bought(world, listed(world, billing="reserved"), hours=10)
    BookedStretch.objects.update(reserved_at=moment(world, 9))
    ended(world, order, kept=False)
    assert record(world).lost_seconds == 8 * 9 * 3600


def test_a_failure_while_the_engine_was_silent_is_lost_once(world: World) -> None:
    order = bought(world, listed(world), hours=10)
    ran(world, order, 8 * 3600, at=1, seconds=3600, reason="engine_lost")
    ran(world, order, 8 * 3600, at=5, seconds=3600)
    silent(world, 2.5, 4.5)
    ended(world, order)
    assert record(world).lost_seconds == 8 * 3 * 3600, "from 2 to 5"


def test_given_up_hours_are_neither_sold_nor_lost(world: World) -> None:
    order = bought(world, listed(world), hours=10)
    with clock.moved_to(moment(world, 3.5)):
        orders.cancel_order(SYSTEM, order=order)
    ended(world, order, at=3.6, state=Booking.State.CANCELLED)
    assert (record(world).sold_seconds, record(world).lost_seconds) == (8 * 4 * 3600, 0)


def test_orders_between_related_parties_make_no_rating(world: World) -> None:
    tie = {"holder": world.operator, "held": world.entity, "kind": "control", "source": "测试"}
    registry.relate(SYSTEM, since=date(2020, 1, 1), **tie)
    ended(world, bought(world, listed(world)))
    assert not DeliveryRecord.objects.exists()


def test_the_answer_time_counts_only_orders_that_waited(world: World) -> None:
    ended(world, bought(world, listed(world, auto_accept=True)))
    assert record(world).answer_minutes is None
    order = placed(world, listed(world))
    with clock.moved_to(moment(world, -11)):
        orders.confirm_order(SYSTEM, order=order)
    assert record(world).answer_minutes == pytest.approx(60, abs=1)
