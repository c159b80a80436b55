"""A call auction: sealed, one price for all, published by a second person, money and cards to the last."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.compute.world import LIMIT_FEN, NOON, SYSTEM
from tests.exchange.bourse import PRICE, SECOND, WINDOW, Bourse, free, held, money

from huoshui.base import clock, log
from huoshui.base.access import Actor
from huoshui.base.errors import Invalid, Refused
from huoshui.base.models import LogRecord
from huoshui.book import services as book
from huoshui.exchange import problems, public, queries, tasks
from huoshui.exchange.actions import auctions
from huoshui.exchange.models import Alert, Auction, AuctionData, Order, Trade
from huoshui.jobs.models import Booking
from huoshui.registry.models import Relation, RelationKind

HOURS = WINDOW[1] - WINDOW[0]
TICK = 5_000


def refusal(call: Any, *args: Any, **named: Any) -> str:
    with pytest.raises(Refused) as refused:
        call(*args, **named)
    return refused.value.code


def test_one_price_for_all_and_the_rest_of_money_and_cards_comes_back(bourse: Bourse) -> None:
    before, auction = free(bourse), bourse.auction()
    high, low, _third, _fourth = bourse.firms
    bourse.order(auction, bourse.operator, "sell", 5, PRICE - 10 * TICK)
    bourse.order(auction, high, "buy", 4, PRICE + 10 * TICK)
    bourse.order(auction, low, "buy", 4, PRICE - 5 * TICK)
    assert free(bourse) == before - 5
    assert money(high)["held"] == 4 * HOURS * (PRICE + 10 * TICK) // 1000
    auction = bourse.published(auction)
    assert (auction.price_mfen, auction.figures["volume"]) == (PRICE - 5 * TICK, 5)
    paid = HOURS * (PRICE - 5 * TICK) // 1000
    assert money(high) == {"limit": LIMIT_FEN - 4 * paid, "held": 0, "committed": 4 * paid, "payable": 0}
    assert money(low) == {"limit": LIMIT_FEN - paid, "held": 0, "committed": paid, "payable": 0}
    assert {trade.buyer: held(trade.booking) for trade in Trade.objects.all()} == {high: 4 * HOURS, low: HOURS}
    assert free(bourse) == before - 5
    assert [order.outcome for order in Order.objects.order_by("pk")] == ["filled", "filled", "part"]


def test_nobody_sees_a_sealed_order_but_its_party(bourse: Bourse, people: Callable[..., Actor]) -> None:
    auction, firm = bourse.auction(), bourse.firms[0]
    order = bourse.order(auction, firm, "buy", 4)
    for actor in (people("officer"), people("auditor"), people("agent", f"party:{bourse.firms[1].pk}"),
                  people.holding("exchange.trade", "exchange.read")):  # type: ignore[attr-defined]  # fmt: skip
        assert not queries.orders(actor, auction).exists()
    assert list(queries.orders(people("agent", f"party:{firm.pk}"), auction)) == [order]
    logged = " ".join(LogRecord.objects.filter(action="exchange.order.place").values_list("payload", flat=True))
    assert order.commitment in logged
    assert "price" not in logged
    assert str(order.price_mfen) not in logged
    bourse.order(auction, bourse.operator, "sell", 4)
    auction = bourse.published(auction)
    assert queries.orders(people("auditor"), auction).count() == 2
    assert queries.orders(people("agent", f"party:{bourse.firms[1].pk}"), auction).count() == 0


def test_orders_come_in_while_the_session_is_open_and_stand_near_its_end(bourse: Bourse) -> None:
    auction, firm = bourse.auction(), bourse.firms[0]
    for moment in (auction.opens_at - timedelta(minutes=1), auction.closes_at):
        with clock.moved_to(moment):
            assert refusal(
                auctions.place_order, SYSTEM, key="o", auction=auction, party=firm, side="buy", lots=1, price_mfen=PRICE
            ) == "auction_closed"  # fmt: skip
    order = bourse.order(auction, firm, "buy", 2)
    with clock.moved_to(auction.closes_at - timedelta(minutes=14)):
        assert refusal(auctions.withdraw_order, SYSTEM, key="w", order=order) == "withdraw_late"
    with clock.moved_to(auction.closes_at - timedelta(minutes=16)):
        auctions.withdraw_order(SYSTEM, key="w", order=order)
    assert money(firm)["held"] == 0


def test_a_group_is_on_one_side_only(bourse: Bourse) -> None:
    auction, (first, second, _c, _d) = bourse.auction(), bourse.firms
    bourse.order(auction, bourse.operator, "sell", 4)
    assert refusal(bourse.order, auction, bourse.operator, "buy", 1) == "self_trade"
    bourse.order(auction, first, "buy", 2)
    Relation.objects.create(
        holder=bourse.operator, held=second, kind=RelationKind.CONTROL, since=clock.local(NOON).date()
    )
    assert refusal(bourse.order, auction, second, "buy", 2) == "self_trade"
    Relation.objects.create(
        holder=bourse.operator, held=first, kind=RelationKind.CONTROL, since=clock.local(NOON).date()
    )
    auction = bourse.published(auction)
    assert auction.price_mfen is None, "related since: the later side is left out"
    assert [order.outcome for order in Order.objects.order_by("pk")] == ["price", "own_group"]
    assert money(first)["held"] == 0


def test_whoever_opened_or_cleared_it_does_not_publish_it(bourse: Bourse) -> None:
    auction = bourse.auction()
    bourse.order(auction, bourse.operator, "sell", 1)
    bourse.cleared(auction)
    with clock.moved_to(auction.closes_at + timedelta(minutes=5)):
        assert refusal(auctions.publish, SYSTEM, key="p", auction=auction) == "second_person"
        auctions.publish(SECOND, key="p", auction=auction)


def test_cancelling_frees_everything(bourse: Bourse) -> None:
    before, auction = free(bourse), bourse.auction()
    bourse.order(auction, bourse.operator, "sell", 5)
    bourse.order(auction, bourse.firms[0], "buy", 5)
    bourse.cleared(auction)
    with clock.moved_to(auction.closes_at + timedelta(minutes=5)):
        auctions.cancel_auction(SYSTEM, key="c", auction=auction, reason="测试")
    assert free(bourse) == before
    assert money(bourse.firms[0])["held"] == 0


def test_a_sell_order_whose_cards_were_lost_takes_no_part(bourse: Bourse) -> None:
    auction = bourse.auction()
    lost = bourse.order(auction, bourse.operator, "sell", 5, PRICE - TICK)
    bourse.order(auction, bourse.operator, "sell", 2)
    bourse.order(auction, bourse.firms[0], "buy", 5)
    assert lost.booking is not None
    lost.booking.stretches.update(cards=4)
    auction = bourse.published(auction)
    lost.refresh_from_db()
    assert (lost.state, lost.outcome) == (Order.State.WITHDRAWN, "cards_lost")
    assert (auction.figures["orders"], auction.figures["volume"]) == (2, 2)
    assert public.verify(auction) == []


def test_cards_lost_before_publishing_stop_it(bourse: Bourse) -> None:
    auction = bourse.auction()
    order = bourse.order(auction, bourse.operator, "sell", 5)
    bourse.order(auction, bourse.firms[0], "buy", 5)
    bourse.cleared(auction)
    assert order.booking is not None
    order.booking.stretches.update(cards=3)
    with clock.moved_to(auction.closes_at + timedelta(minutes=5)):
        assert refusal(auctions.publish, SECOND, key="p", auction=auction) == "not_held"
    auction.refresh_from_db()
    assert auction.state == Auction.State.CLEARED
    assert not Trade.objects.exists()


def test_the_log_binds_orders_result_and_statement(bourse: Bourse) -> None:
    auction, firm = bourse.auction(), bourse.firms[0]
    bourse.order(auction, bourse.operator, "sell", 5)
    mine = bourse.order(auction, firm, "buy", 3)
    auction = bourse.published(auction)
    assert public.verify(auction) == []
    assert log.replay() == []
    proof = public.own_proof(Order.objects.get(pk=mine.pk))
    assert problems.commitment(proof["salt"], problems.row("buy", PRICE, 3)) == proof["commitment"]
    assert proof["commitments_root"] == auction.digests["commitments_root"]
    with clock.moved_to(auction.closes_at + timedelta(hours=1)):
        assert "orders" not in public.document(auction)
    with clock.moved_to(auction.closes_at + timedelta(hours=80)):
        told = public.document(auction)
    opened = [problems.commitment(row["salt"], problems.row(row["side"], row["price"], row["lots"]))
              for row in told["orders"]]  # fmt: skip
    assert opened == told["commitments"]
    assert problems.root(opened) == told["statement"]["commitments_root"]
    content = AuctionData.objects.get(auction=auction, kind="result")
    AuctionData.objects.filter(pk=content.pk).update(
        content=AuctionData.objects.get(auction=auction, kind="problem").content
    )
    with pytest.raises(Exception, match="archive"):
        public.verify(auction)


def test_circles_in_an_auction_are_flagged_for_officers_and_stand(bourse: Bourse) -> None:
    first, second = bourse.firms[:2]
    bought = bourse.take(bourse.sell(4), first, 4)
    back = bourse.take(bourse.sell(4, party=first, resold_from=bought.booking), second, 4)
    site = bourse.world.pool.site
    auction = bourse.auction(site=site)
    bourse.order(auction, second, "sell", 4, pool=bourse.world.pool, resold_from=back.booking)
    bourse.order(auction, first, "buy", 4)
    bourse.published(auction)
    assert {(row.code, row.refused, row.party) for row in Alert.objects.all()} == {
        ("wash_trade", False, first), ("wash_trade", False, second),
    }  # fmt: skip
    assert Trade.objects.count() == 3


def test_cards_that_may_be_recalled_are_not_auctioned(bourse: Bourse) -> None:
    bought = bourse.take(bourse.sell(4), bourse.firms[0], 4)
    Booking.objects.filter(pk=bought.booking_id).update(recall_notice_hours=6)
    assert bought.booking is not None
    bought.booking.refresh_from_db()
    assert refusal(
        bourse.order, bourse.auction(), bourse.firms[0], "sell", 1, resold_from=bought.booking
    ) == "recallable"  # fmt: skip


@pytest.mark.parametrize(
    ("change", "field"),
    [({"session": "night"}, "session"), ({"day": date(2026, 3, 7)}, "day"), ({"session": "morning"}, "session")],
)
def test_auctions_are_held_in_published_sessions_of_working_days(
    bourse: Bourse, change: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as error:
        bourse.auction(**change)
    assert error.value.problems[0].field == field


def test_the_clock_closes_a_session_and_the_price_becomes_the_next_reference(bourse: Bourse) -> None:
    auction = bourse.auction()
    bourse.order(auction, bourse.operator, "sell", 5, PRICE + 20 * TICK)
    bourse.order(auction, bourse.firms[0], "buy", 5, PRICE + 20 * TICK)
    assert refusal(bourse.auction) == "auction_exists"
    with clock.moved_to(auction.closes_at + timedelta(minutes=1)):
        assert tasks.keep.call() == 1
        assert tasks.keep.call() == 0
    auction.refresh_from_db()
    assert auction.task is not None
    bourse.published(auction)
    assert bourse.sell(1, PRICE).reference_mfen in (PRICE, PRICE + 20 * TICK)


Side = st.sampled_from(["buy", "sell"])
Sealed = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 6), st.integers(-20, 20), st.booleans()), min_size=1, max_size=8
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(Sealed)
def test_lots_money_and_cards_are_conserved(
    bourse: Bourse, undone: Callable[[], AbstractContextManager[None]], sealed: list[tuple[int, int, int, bool]]
) -> None:
    assert bourse.pool2 is not None
    with undone():
        sellers = {0: bourse.world.pool, 1: bourse.pool2}
        before = sum(free(bourse, pool) for pool in sellers.values())
        auction = bourse.auction()
        for who, lots, away, sell in sealed:
            pool = sellers.get(who)
            price = PRICE + away * TICK
            if sell and pool is not None:
                bourse.order(auction, pool.site.operator, "sell", lots, price, pool=pool)
            else:
                bourse.order(auction, bourse.firms[who], "buy", lots, price)
        auction = bourse.published(auction)
        trades = list(Trade.objects.select_related("booking", "buyer"))
        orders = list(Order.objects.all())
        assert sum(order.filled for order in orders if order.side == "sell") == auction.figures["volume"]
        assert sum(order.filled for order in orders if order.side == "buy") == auction.figures["volume"]
        assert sum(trade.lots for trade in trades) == auction.figures["volume"]
        assert sum(held(trade.booking) for trade in trades) == auction.figures["volume"] * HOURS
        assert before - sum(free(bourse, pool) for pool in sellers.values()) == auction.figures["volume"]
        for firm in bourse.firms:
            bought = sum(trade.amount_fen for trade in trades if trade.buyer == firm)
            assert money(firm) == {"limit": LIMIT_FEN - bought, "held": 0, "committed": bought, "payable": 0}
        assert book.check_zero() == []
