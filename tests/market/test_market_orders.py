"""An order holds its most, books its cards, bills what its engine counted, and gives the rest back."""

from datetime import timedelta
from typing import Any

import pytest
from tests.compute.world import LIMIT_FEN, NOON, SYSTEM, World, moment, party
from tests.conftest import People
from tests.market.shop import COMMITTED, HELD, LIMIT, bought, ended, listed, money, noon, pass_on, placed, ran, reserved

from huoshui.base import access, clock
from huoshui.base.errors import Conflict, Forbidden, Invalid, Refused
from huoshui.book import actions as answers
from huoshui.book import services as book
from huoshui.book.models import Statement, StatementLine
from huoshui.book.queries import shares, vat_of
from huoshui.jobs.actions.bookings import lose_booking
from huoshui.jobs.calendar import LIVE, free_cards
from huoshui.jobs.models import Booking
from huoshui.market.actions import carts, orders, settlement
from huoshui.market.actions.orders import quoted
from huoshui.market.models import CartItem, Order, Product
from huoshui.market.prices import Quote, Tier
from huoshui.market.queries import cart
from huoshui.market.views.orders import may
from huoshui.registry.queries import centre

FULL = 8 * 4 * 960
"""Eight cards, four hours, 9.60 yuan."""
NET = FULL - FULL * 200 // 10_000


def statements(order: Order) -> list[Statement]:
    return list(Statement.objects.filter(subject=f"market.order:{order.pk}").order_by("id"))


def lines(statement: Statement) -> list[tuple[str, str, int]]:
    return [(line.payee.name, line.description, line.amount) for line in statement.lines.select_related("payee")]


def test_placing_holds_the_most_and_confirming_books_the_cards(world: World) -> None:
    order = placed(world, listed(world))
    assert (order.state, order.total_fen) == (Order.State.PLACED, NET)
    assert money(world) | {LIMIT: LIMIT_FEN - NET, HELD: NET} == money(world)
    with noon():
        orders.confirm_order(SYSTEM, order=order)
    order.refresh_from_db()
    assert order.booking is not None
    assert (order.booking.billing, order.booking.cards, order.booking.cap_fen) == ("used", 8, FULL)
    assert money(world) | {HELD: 0, COMMITTED: NET} == money(world)
    assert free_cards([world.pool], world.start, world.start + 5)[0].tolist() == [992] * 4 + [1000]


def test_a_product_that_says_so_confirms_at_once(world: World) -> None:
    order = placed(world, listed(world, auto_accept=True))
    assert order.state == Order.State.CONFIRMED
    assert money(world)[COMMITTED] == NET


def test_the_statement_bills_the_engines_card_seconds_and_nothing_else(world: World) -> None:
    order = bought(world, listed(world))
    ran(world, order, 12_345)
    order = ended(world, order)
    gross = 12_345 * 960_000 // 3_600_000
    fee, concession = gross * 300 // 10_000, gross * 200 // 10_000
    (statement,) = statements(order)
    assert order.state == Order.State.SETTLED
    assert lines(statement) == [
        ("示例算力", "market.card_time", gross), ("示例算力", "market.fee_deducted", -fee),
        ("示例中心", "market.fee", fee), ("示例中心", "market.concession", -concession),
    ]  # fmt: skip
    assert (statement.lines.first().card_seconds, statement.contract) == (12_345, order.number)  # type: ignore[union-attr]


def test_accepting_the_statement_releases_the_rest(world: World) -> None:
    order = bought(world, listed(world))
    ran(world, order, 3_600)
    ended(world, order)
    (statement,) = statements(order)
    total = book.statement_total(statement)
    from tests.compute.world import run

    run(lambda act, record: book.accept(act, record, statement))
    assert money(world) | {LIMIT: LIMIT_FEN - total, COMMITTED: 0, "payable": total} == money(world)


def test_an_order_in_which_nothing_ran_costs_nothing(world: World) -> None:
    order = ended(world, bought(world, listed(world)))
    assert statements(order) == []
    assert money(world)[LIMIT] == LIMIT_FEN


def test_a_cap_bounds_what_is_held_and_billed(world: World) -> None:
    order = bought(world, listed(world), cap_fen=1000)
    assert money(world)[COMMITTED] == 980
    ran(world, order, 8 * 4 * 3600)
    order = ended(world, order)
    (statement,) = statements(order)
    assert book.statement_total(statement) <= 980
    told = statement.lines.first()
    assert told is not None
    assert told.params["ran"] == 8 * 4 * 3600
    assert told.amount == 1000


def test_a_changed_price_is_shown_before_anything_is_held(world: World) -> None:
    with pytest.raises(Refused) as refused:
        placed(world, listed(world), expected_fen=NET - 1)
    assert (refused.value.code, refused.value.params) == ("price_changed", {"was": NET - 1, "now": NET})
    assert not Order.objects.exists()


def test_an_order_beyond_the_limit_is_refused_whole(world: World) -> None:
    poor = party("示例小厂", "entity")
    world.limit(poor, NET - 1)
    product = listed(world)
    with pytest.raises(Refused) as refused:
        placed(world, product, buyer=poor)
    assert refused.value.code == "over_limit"
    world.limit(poor, NET)
    assert placed(world, product, buyer=poor).total_fen == NET


def test_cards_that_others_booked_cannot_be_ordered(world: World) -> None:
    product = listed(world)
    bought(world, product, 120, 2, 2)
    with pytest.raises(Refused) as refused:
        placed(world, product, 6, 0, 4)
    assert (refused.value.code, refused.value.params["hour"]) == ("no_cards", world.start + 2)
    waiting = placed(world, product, 5, 0, 4)
    bought(world, product, 1, 3, 1)
    with pytest.raises(Refused), noon():
        orders.confirm_order(SYSTEM, order=waiting)
    waiting.refresh_from_db()
    assert waiting.state == Order.State.PLACED
    assert money(world)[HELD] == waiting.total_fen


def test_an_operator_cannot_order_its_own_products(world: World) -> None:
    world.limit(world.operator)
    with pytest.raises(Refused) as refused:
        placed(world, listed(world), buyer=world.operator)
    assert refused.value.code == "self_order"


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("units", {"units": 0}), ("units", {"units": 126}), ("hours", {"hours": 0}), ("hours", {"hours": 24 * 60 + 1}),
        ("start", {"start": -13}), ("start", {"start": 24 * 366}), ("purpose", {"purpose": " "}),
        ("cap_fen", {"cap_fen": FULL + 1}), ("cap_fen", {"cap_fen": 0}), ("contract", {"contract": "x" * 101}),
    ],
)  # fmt: skip
def test_bad_input_names_the_field_and_holds_nothing(world: World, field: str, values: dict[str, object]) -> None:
    with pytest.raises(Invalid) as refused:
        placed(world, listed(world), **values)  # type: ignore[arg-type]
    assert [problem.field for problem in refused.value.problems] == [field]
    assert money(world)[LIMIT] == LIMIT_FEN


def test_refusing_and_letting_lapse_give_everything_back(world: World) -> None:
    product = listed(world)
    refused, forgotten = placed(world, product), placed(world, product)
    with noon():
        orders.refuse_order(SYSTEM, order=refused, note="维护")
    with clock.moved_to(moment(world, 0)):
        with pytest.raises(Refused) as late:
            orders.confirm_order(SYSTEM, order=forgotten)
        assert late.value.code == "answer_late"
        assert orders.lapse_unanswered(SYSTEM) == 1
        assert orders.lapse_unanswered(SYSTEM) == 0
    forgotten.refresh_from_db()
    assert forgotten.state == Order.State.LAPSED
    assert money(world)[LIMIT] == LIMIT_FEN


def test_cancelling_by_use_before_it_begins_is_free(world: World) -> None:
    order = bought(world, listed(world))
    with noon():
        orders.cancel_order(SYSTEM, order=order)
    order.refresh_from_db()
    assert (order.state, money(world)[LIMIT], statements(order)) == (Order.State.CANCELLED, LIMIT_FEN, [])
    assert ended(world, order, state=Booking.State.CANCELLED).state == Order.State.CANCELLED


def test_cancelling_by_use_bills_only_what_ran(world: World) -> None:
    order = bought(world, listed(world))
    ran(world, order, 7200)
    with clock.moved_to(moment(world, 1.5)):
        orders.cancel_order(SYSTEM, order=order)
    assert free_cards([world.pool], world.start, world.start + 4)[0].tolist() == [1000] * 4
    order = ended(world, order, at=1.6, state=Booking.State.CANCELLED)
    (statement,) = statements(order)
    assert statement.lines.first().amount == 7200 * 960_000 // 3_600_000  # type: ignore[union-attr]


@pytest.mark.parametrize(("before", "kept_bps"), [(80, 0), (72, 0), (71, 1000), (24, 1000), (23, 3000), (0, 3000)])
def test_cancelling_a_whole_order_keeps_the_published_share(world: World, before: int, kept_bps: int) -> None:
    order = bought(world, listed(world, billing="reserved"), start=100, hours=24)
    with clock.moved_to(moment(world, 99.99 - before)):
        orders.cancel_order(SYSTEM, order=order)
    kept = sum(book.statement_total(statement) for statement in statements(order))
    assert kept == order.total_fen - order.total_fen * (10_000 - kept_bps) // 10_000
    if not kept:
        assert money(world)[LIMIT] == LIMIT_FEN
    assert free_cards([world.pool], world.start + 100, world.start + 124).min() == 1000


def test_a_whole_order_that_has_begun_cannot_be_cancelled(world: World) -> None:
    order = bought(world, listed(world, billing="reserved"))
    with pytest.raises(Refused) as refused, clock.moved_to(moment(world, 1)):
        orders.cancel_order(SYSTEM, order=order)
    assert refused.value.code == "begun"


def test_hours_that_were_put_on_the_exchange_cannot_be_cancelled(world: World, people: People) -> None:
    order = bought(world, listed(world, billing="reserved"), start=240, hours=24)
    assert order.booking is not None
    with noon():
        orders.recall_order(SYSTEM, order=order, from_hour=order.end_hour - 4, cards=2, reason="failure")
    pass_on(world, order.booking, 5, 240, 264, to=world.entity)  # what listing them does
    with pytest.raises(Refused) as refused, noon():
        orders.cancel_order(SYSTEM, order=order)
    assert refused.value.code == "resold"
    assert money(world)[COMMITTED] == order.total_fen
    with noon():
        assert not may(people("agent", f"party:{world.entity.pk}"), order)["may_cancel"]


def test_cards_that_the_buyer_resold_are_not_taken_back_by_its_order(world: World) -> None:
    order = bought(world, listed(world, billing="reserved"), start=10, hours=10)
    assert order.booking is not None
    pass_on(world, order.booking, 8, 15, 20)
    with noon(), pytest.raises(Invalid) as refused:
        orders.recall_order(SYSTEM, order=order, from_hour=world.start + 16, cards=8, reason="failure")
    assert [problem.field for problem in refused.value.problems] == ["from"]
    assert Booking.objects.get(pk=order.booking_id).state in LIVE


def test_cards_that_failed_before_the_start_keep_nobody_from_cancelling_and_are_not_paid(world: World) -> None:
    order = bought(world, listed(world, billing="reserved"), start=100, hours=24)
    with noon():
        orders.recall_order(SYSTEM, order=order, from_hour=world.start + 100, cards=4, reason="failure")
    with clock.moved_to(moment(world, 99)):
        orders.cancel_order(SYSTEM, order=order)
    (statement,) = statements(order)
    assert book.statement_total(statement) == order.total_fen // 2 - order.total_fen // 2 * 7 // 10


def test_cards_that_an_engine_lost_before_the_start_are_not_taken_for_resold(world: World) -> None:
    order = bought(world, listed(world, billing="reserved"), start=10, hours=24)
    with noon():
        hours = {"start_hour": world.start + 10, "end_hour": world.start + 34}
        lose_booking(access.system("runner"), booking=order.booking, cards=4, **hours)
    with clock.moved_to(moment(world, 9)):
        orders.cancel_order(SYSTEM, order=order)
    (statement,) = statements(order)
    assert book.statement_total(statement) == order.total_fen // 2 - order.total_fen // 2 * 7 // 10


def test_months_are_billed_as_they_pass_and_the_last_one_at_the_end(world: World) -> None:
    month = 7_777
    product = listed(world, billing="monthly", price_fen=month, hours_min=720, hours_max=720 * 6, cards_per_unit=1)
    order = bought(world, product, units=3, hours=720 * 3)
    for hour, count in ((719, 0), (720, 1), (720, 1), (1500, 2), (2200, 2)):
        with clock.moved_to(moment(world, hour)):
            settlement.bill_due(SYSTEM)
        assert len(statements(order)) == count
    order = ended(world, order)
    made = statements(order)
    assert [statement.final for statement in made] == [False, False, True]
    assert sum(book.statement_total(statement) for statement in made) == order.total_fen
    assert order.state == Order.State.SETTLED


def failing(world: World) -> Order:
    """Eight cards for twelve months of 30 days at 10 yuan a card-hour; four of them fail after the first month."""
    month = 720 * 1000
    product = listed(world, billing="monthly", price_fen=month, hours_min=720, hours_max=720 * 12)
    order = bought(world, product, hours=720 * 12)
    with clock.moved_to(moment(world, 719.5)):
        orders.recall_order(SYSTEM, order=order, from_hour=world.start + 720, cards=4, reason="failure")
    reserved(order)
    return order


def test_cards_that_failed_are_credited_in_the_statement_of_each_period(world: World) -> None:
    order, month = failing(world), 8 * 720 * 1000
    for number in range(1, 12):
        with clock.moved_to(moment(world, 720 * number)):
            settlement.bill_due(SYSTEM)
    order = ended(world, order)
    made = statements(order)
    assert [book.statement_total(one) for one in made] == [month * 98 // 100, *[month // 2 * 98 // 100] * 11]
    assert all(one.secured for one in made)
    fees = sum(line.amount for one in made for line in one.lines.filter(description="market.fee"))
    assert fees == (month + 11 * month // 2) * 300 // 10_000


def test_what_a_contest_gave_back_of_lost_cards_is_not_given_back_again(world: World) -> None:
    order, month = failing(world), 8 * 720 * 1000
    with clock.moved_to(moment(world, 1440)):
        settlement.bill_due(SYSTEM)
    with clock.moved_to(moment(world, 1441)):
        second = statements(order)[1]
        answers.contest(SYSTEM, statement=second, reason="四张卡坏了")
        answers.answer(SYSTEM, statement=Statement.objects.get(pk=second.pk), reason="属实", credits={1: month // 4})
    for number in range(3, 12):
        with clock.moved_to(moment(world, 720 * number)):
            settlement.bill_due(SYSTEM)
    order = ended(world, order)
    given = StatementLine.objects.filter(statement__in=statements(order), kind__in=["lost", "credit"])
    assert sum(line.amount for line in given) == -11 * month // 2


def test_losses_that_the_last_statement_cannot_bear_come_back_as_they_were_paid(world: World) -> None:
    """A node fails at once and nothing starts until the last hour: known at the end, a month was billed before."""
    order = bought(world, listed(world, billing="reserved", price_fen=1000), hours=721)
    ran(world, order, 0, at=0, seconds=0, reason="no_start")
    with clock.moved_to(moment(world, 720)):
        settlement.bill_due(SYSTEM)
    ran(world, order, 8 * 60, at=720.5)
    order = ended(world, order)
    lost = 8 * 1000 * 720 + 8 * 500
    bearable = 8 * 1000
    first, last, *owed = statements(order)
    credited = -sum(line.amount for line in first.lines.filter(kind="lost"))
    assert credited == 8 * 1000  # an hour, as nothing had followed
    assert book.statement_total(last) == 0
    rest = lost - credited - bearable
    fee, concession = rest * 300 // 10_000, rest * 200 // 10_000
    told = {one.payer: book.statement_total(one) for one in owed}
    assert told == {world.operator: rest - fee, centre(): fee - concession}
    assert {one.secured for one in owed} == {False}


def test_the_vat_inside_the_operators_part_is_at_the_products_rate(world: World) -> None:
    order = bought(world, listed(world, vat_bps=1300, price_fen=100_000), hours=1)
    ran(world, order, 3600)
    order = ended(world, order)
    (statement,) = statements(order)
    told = {share.payee: share for share in shares(statement.lines.all())}
    part = told[world.operator]
    assert (part.amount, part.vat) == (97_000, vat_of(97_000, 1300))
    assert told[centre()].vat == vat_of(told[centre()].amount, 600)


def test_spot_is_recalled_with_its_notice_and_bills_what_ran(world: World) -> None:
    order = bought(world, listed(world, billing="spot", recall_notice_hours=2), hours=10)
    with clock.moved_to(moment(world, 2.9)):
        with pytest.raises(Refused) as refused:
            orders.recall_order(SYSTEM, order=order, from_hour=world.start + 4, cards=8, reason="recall")
        assert refused.value.code == "recall_notice"
        orders.recall_order(SYSTEM, order=order, from_hour=world.start + 5, cards=8, reason="recall")
    ran(world, order, 5 * 8 * 3600)
    order = ended(world, order, at=5)
    (statement,) = statements(order)
    assert statement.lines.first().amount == 5 * 8 * 960  # type: ignore[union-attr]
    assert not statement.lines.filter(kind="compensation").exists()


def test_only_spot_may_be_recalled_without_a_failure(world: World) -> None:
    order = bought(world, listed(world))
    with pytest.raises(Refused), noon():
        orders.recall_order(SYSTEM, order=order, from_hour=world.start + 1, cards=8, reason="recall")


def test_cards_that_fail_cost_the_operator_the_published_compensation(world: World) -> None:
    order = bought(world, listed(world, sla_bps=9900, sla_compensation_bps=5000), hours=100)
    with clock.moved_to(moment(world, 50)):
        orders.recall_order(SYSTEM, order=order, from_hour=world.start + 60, cards=8, reason="failure")
    ran(world, order, 8 * 60 * 3600)
    order = ended(world, order)
    missing = 8 * 40 * 3600 - 8 * 100 * 3600 // 100
    (statement,) = statements(order)
    assert statement.lines.get(kind="compensation").amount == -(missing * 960_000 * 5000 // (3_600_000 * 10_000))


def test_lost_hours_of_a_whole_order_are_not_paid_and_what_the_operator_cannot_bear_it_owes(world: World) -> None:
    product = listed(world, billing="reserved", sla_bps=10_000, sla_compensation_bps=10_000)
    order = bought(world, product, hours=10)
    with clock.moved_to(moment(world, 1)):
        orders.recall_order(SYSTEM, order=order, from_hour=world.start + 2, cards=8, reason="failure")
    order = ended(world, order, at=2)
    secured, owed = statements(order)
    lost = 8 * 8 * 960
    gross = 8 * 10 * 960 - lost
    fee, concession = gross * 300 // 10_000, gross * 200 // 10_000
    assert book.statement_total(secured) == fee - concession  # the operator's part is used up
    assert (owed.payer, owed.secured) == (world.operator, False)
    assert book.statement_total(owed) == lost - (gross - fee)


def test_an_extension_is_an_order_that_follows_at_todays_price(world: World) -> None:
    product = listed(world)
    order = bought(world, product)
    from huoshui.market.actions import products

    with noon():
        products.set_price(SYSTEM, product=product, price_fen=1000)
        made = orders.extend_order(SYSTEM, order=order, hours=6)
    assert (made.follows, made.start_hour, made.hours, made.price_fen) == (order, order.end_hour, 6, 1000)


def test_a_cart_is_ordered_all_or_nothing_at_the_price_that_was_shown(world: World, people: People) -> None:
    person, product = people("agent", f"party:{world.entity.pk}"), listed(world)
    dear = listed(world, tiers=[Tier(16, 1, 900)])
    with noon():
        for item, units in ((product, 1), (dear, 2)):
            carts.put(person, product=item, units=units, start_hour=world.start, hours=4)
        found = cart(person)
        keys = [row.item.pk for row in found.rows]
        named = {"buyer": world.entity, "items": keys, "purpose": "测试"}
        with pytest.raises(Refused) as refused:
            orders.checkout(person, key="one", expected_fen=found.total_fen + 1, **named)
        assert refused.value.code == "price_changed"
        assert not Order.objects.exists()
        made = orders.checkout(person, key="two", expected_fen=found.total_fen, **named)
        assert [order.price_fen for order in made] == [960, 900]
        again = orders.checkout(person, key="two", expected_fen=found.total_fen, **named)
    assert [order.pk for order in again] == [order.pk for order in made]
    assert not CartItem.objects.exists()
    assert money(world)[HELD] == found.total_fen


def test_a_price_that_rises_during_checkout_orders_nothing(world: World, people: People, monkeypatch: Any) -> None:
    person, product = people("agent", f"party:{world.entity.pk}"), listed(world)

    def then_dearer(*args: Any) -> Quote:
        told = quoted(*args)
        Product.objects.filter(pk=product.pk).update(price_fen=2 * product.price_fen)
        return told

    with noon():
        carts.put(person, product=product, units=1, start_hour=world.start, hours=4)
        found = cart(person)
        monkeypatch.setattr(orders, "quoted", then_dearer)
        named = {"buyer": world.entity, "items": [row.item.pk for row in found.rows], "purpose": "测试"}
        with pytest.raises(Refused) as refused:
            orders.checkout(person, expected_fen=found.total_fen, **named)
    assert (refused.value.code, refused.value.params) == ("price_changed", {"was": NET, "now": 2 * NET})
    assert not Order.objects.exists()


def test_each_side_does_its_own_part_only(world: World, people: People) -> None:
    other = party("示例别家", "entity", "operator")
    buyer, stranger = people("agent", f"party:{world.entity.pk}"), people("operator", f"party:{other.pk}")
    seller, order = people("operator", f"party:{world.operator.pk}"), placed(world, listed(world))
    with noon():
        for actor, do in (
            (buyer, orders.confirm_order), (stranger, orders.confirm_order), (seller, orders.cancel_order),
            (stranger, orders.cancel_order),
        ):  # fmt: skip
            with pytest.raises(Forbidden):
                do(actor, order=order)
        orders.confirm_order(seller, order=order)
        with pytest.raises(Conflict):
            orders.confirm_order(seller, order=order)


def test_an_unanswered_order_waits_until_the_published_hours_or_its_start(world: World) -> None:
    product = listed(world)
    assert placed(world, product).answer_until == moment(world, 0)
    assert abs(placed(world, product, start=200).answer_until - (NOON + timedelta(hours=48))) < timedelta(minutes=1)


def test_cards_are_not_taken_back_after_the_end_of_an_order(world: World) -> None:
    order = bought(world, listed(world), hours=4)
    with noon(), pytest.raises(Invalid) as refused:
        orders.recall_order(SYSTEM, order=order, from_hour=order.end_hour + 1, cards=1, reason="failure")
    assert [problem.field for problem in refused.value.problems] == ["from"]
