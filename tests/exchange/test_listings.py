"""A listing stands on cards or money; what is taken up becomes a booking and a commitment; the rest comes back."""

from datetime import timedelta
from typing import Any

import pytest
from tests.compute import world as worlds
from tests.compute.world import LIMIT_FEN, NOON, SYSTEM
from tests.exchange.bourse import PRICE, WINDOW, Bourse, free, held, money, returned
from tests.jobs.rows import attempt

from huoshui.base import clock
from huoshui.base.errors import Invalid, Refused
from huoshui.book import services as book
from huoshui.book.models import State
from huoshui.book.services import accept, statement_total
from huoshui.compute import accounts
from huoshui.exchange import tasks
from huoshui.exchange.actions import listings
from huoshui.exchange.models import Alert, Listing, Trade
from huoshui.jobs.models import BookedStretch, Booking, Connection
from huoshui.registry.models import Relation, RelationKind

HOURS = WINDOW[1] - WINDOW[0]
LOT_FEN = HOURS * PRICE // 1000


def test_cards_of_a_sell_listing_are_set_aside_and_handed_to_who_takes_them(bourse: Bourse) -> None:
    before = free(bourse)
    listing = bourse.sell(8)
    assert free(bourse) == before - 8
    trade = bourse.take(listing, bourse.firms[0], 3)
    listing.refresh_from_db()
    assert (listing.left, listing.state) == (5, Listing.State.OPEN)
    assert trade.booking is not None
    assert (trade.booking.party, trade.booking.cards, trade.booking.cap_fen) == (bourse.firms[0], 3, 3 * LOT_FEN)
    assert held(trade.booking) == 3 * HOURS
    assert held(listing.booking) == 5 * HOURS
    assert free(bourse) == before - 8
    assert money(bourse.firms[0]) == {
        "limit": LIMIT_FEN - 3 * LOT_FEN, "held": 0, "committed": 3 * LOT_FEN, "payable": 0,
    }  # fmt: skip


def test_a_listing_is_filled_by_several_and_never_beyond_its_lots(bourse: Bourse) -> None:
    listing = bourse.sell(5)
    bourse.take(listing, bourse.firms[0], 3)
    with pytest.raises(Refused) as refused:
        bourse.take(listing, bourse.firms[1], 3)
    assert refused.value.code == "lots_left"
    bourse.take(listing, bourse.firms[1], 2)
    listing.refresh_from_db()
    assert listing.state == Listing.State.FILLED
    with pytest.raises(Refused) as refused:
        bourse.take(listing, bourse.firms[1], 1)
    assert refused.value.code == "listing_state"


def test_withdrawing_gives_unsold_cards_back_and_keeps_what_was_sold(bourse: Bourse) -> None:
    before = free(bourse)
    listing = bourse.sell(8)
    bourse.take(listing, bourse.firms[0], 3)
    with clock.moved_to(NOON):
        listings.withdraw(SYSTEM, key="w", listing=listing)
    assert free(bourse) == before - 3


def test_a_buy_listing_holds_its_money_and_a_seller_takes_it_with_its_own_cards(bourse: Bourse) -> None:
    firm, before = bourse.firms[0], free(bourse)
    listing = bourse.seek(firm, 4)
    assert money(firm)["held"] == 4 * LOT_FEN
    trade = bourse.take(listing, bourse.operator, 3, pool=bourse.world.pool)
    assert trade.booking is not None
    assert trade.booking.party == firm
    assert free(bourse) == before - 3
    assert (money(firm)["held"], money(firm)["committed"]) == (LOT_FEN, 3 * LOT_FEN)
    with clock.moved_to(bourse.expires + timedelta(minutes=1)):
        tasks.keep.call()
    assert (money(firm)["held"], money(firm)["committed"]) == (0, 3 * LOT_FEN)


def test_an_expired_listing_cannot_be_taken_and_is_closed_by_the_clock(bourse: Bourse) -> None:
    before, listing = free(bourse), bourse.sell(8)
    with clock.moved_to(bourse.expires + timedelta(minutes=1)):
        with pytest.raises(Refused):
            listings.take(SYSTEM, key="late", listing=listing, party=bourse.firms[0], lots=1)
        assert tasks.keep.call() == 1
        assert tasks.keep.call() == 0
    listing.refresh_from_db()
    assert listing.state == Listing.State.EXPIRED
    assert free(bourse) == before


def test_the_statement_bills_what_the_engine_counted_and_the_rest_comes_back(bourse: Bourse) -> None:
    listing = bourse.sell(2, billing=Booking.Billing.USED)
    trade = bourse.take(listing, bourse.firms[0], 2)
    assert trade.booking is not None
    bourse.end(trade.booking)  # no job ran
    trade.refresh_from_db()
    assert (trade.state, trade.statement) == (Trade.State.VOID, None)
    assert money(bourse.firms[0]) == {"limit": LIMIT_FEN, "held": 0, "committed": 0, "payable": 0}


def test_hours_sold_as_a_whole_are_billed_whole_with_the_fee_out_of_the_sellers_part(bourse: Bourse) -> None:
    trade = bourse.take(bourse.sell(2), bourse.firms[0], 2)
    assert trade.booking is not None
    bourse.end(trade.booking)
    trade.refresh_from_db()
    statement = trade.statement
    assert statement is not None
    assert statement_total(statement) == 2 * LOT_FEN
    nets = book.by_payee(statement)
    fee = 2 * LOT_FEN * 100 // 10_000
    assert nets == {bourse.operator.pk: 2 * LOT_FEN - fee, bourse.world.centre.pk: fee}
    worlds.run(lambda act, record: accept(act, record, statement))
    assert money(bourse.firms[0]) == {
        "limit": LIMIT_FEN - 2 * LOT_FEN, "held": 0, "committed": 0, "payable": 2 * LOT_FEN,
    }  # fmt: skip
    statement.refresh_from_db()
    assert statement.state == State.ACCEPTED
    assert book.check_zero() == []


def test_a_booking_that_closes_twice_is_billed_once(bourse: Bourse) -> None:
    trade = bourse.take(bourse.sell(2), bourse.firms[0], 2)
    assert trade.booking is not None
    bourse.end(trade.booking)
    bourse.end(trade.booking)
    trade.refresh_from_db()
    assert trade.statement is not None
    assert trade.statement.lines.count() == 3


# --- abuse ------------------------------------------------------------------------------------------------------------


def refusal(call: Any, *args: Any, **named: Any) -> str:
    with pytest.raises(Refused) as refused:
        call(*args, **named)
    return refused.value.code


def test_nobody_trades_with_its_own_group_and_the_refusal_is_remembered(bourse: Bourse) -> None:
    listing, firm, daughter = bourse.sell(2), bourse.firms[0], bourse.firms[1]
    assert refusal(bourse.take, listing, bourse.operator) == "self_trade"
    for holder, owned in ((bourse.operator, firm), (firm, daughter)):
        Relation.objects.create(
            holder=holder, held=owned, kind=RelationKind.CONTROL, since=clock.local(NOON).date()
        )
    assert refusal(bourse.take, listing, daughter) == "self_trade"
    alerts = Alert.objects.order_by("id")
    assert [(row.code, row.refused, row.party) for row in alerts] == [
        ("self_trade", True, bourse.operator), ("self_trade", True, daughter),
    ]  # fmt: skip
    listing.refresh_from_db()
    assert listing.left == 2


def test_a_price_outside_the_limits_or_off_the_tick_is_refused(bourse: Bourse) -> None:
    assert refusal(bourse.sell, 1, PRICE * 131 // 100 // 5000 * 5000) == "price_limit"
    assert refusal(bourse.sell, 1, PRICE + 1000) == "invalid"
    bourse.sell(1, PRICE * 13 // 10)
    assert Alert.objects.get().detail["high"] == PRICE * 13 // 10


def test_a_flood_of_listings_is_stopped(bourse: Bourse) -> None:
    for _time in range(20):
        bourse.sell(1)
    assert refusal(bourse.sell, 1) == "order_limit"
    assert Alert.objects.get().code == "order_limit"


def test_a_trade_that_leads_back_is_a_wash_trade(bourse: Bourse) -> None:
    first, second, third, _other = bourse.firms
    bought = bourse.take(bourse.sell(4), first, 4)
    resold = bourse.take(bourse.sell(4, party=first, resold_from=bought.booking), second, 4)
    again = bourse.sell(4, party=second, resold_from=resold.booking)
    assert refusal(bourse.take, again, first) == "wash_trade", "A → B → A"
    passed = bourse.take(again, third, 2)
    round_trip = bourse.sell(2, party=third, resold_from=passed.booking)
    assert refusal(bourse.take, round_trip, first) == "wash_trade", "A → B → C → A"
    assert {row.code for row in Alert.objects.all()} == {"wash_trade"}
    bourse.take(round_trip, bourse.firms[3], 2)


# --- resale -----------------------------------------------------------------------------------------------------------


def test_resold_hours_leave_the_first_buyer_and_never_the_calendar(bourse: Bourse) -> None:
    before = free(bourse)
    first, second = bourse.firms[:2]
    bought = bourse.take(bourse.sell(8), first, 8)
    part = {"start_hour": bourse.window["start_hour"] + 2, "end_hour": bourse.window["end_hour"]}
    listing = bourse.sell(3, PRICE * 8 // 10, party=first, resold_from=bought.booking, **part)
    assert held(bought.booking) == 8 * HOURS - 3 * (HOURS - 2)
    assert refusal(bourse.sell, 6, party=first, resold_from=bought.booking) == "not_held"
    trade = bourse.take(listing, second, 2)
    assert held(trade.booking) == 2 * (HOURS - 2)
    assert free(bourse) == before - 8
    with clock.moved_to(NOON):
        listings.withdraw(SYSTEM, key="w", listing=listing)
    assert held(listing.booking) == HOURS - 2, "what was not resold stays with the seller"
    again = bourse.sell(1, PRICE, party=first, resold_from=listing.booking, **part)
    assert refusal(bourse.sell, 1, party=first, resold_from=again.booking, **part) == "on_offer"
    assert free(bourse) == before - 8
    assert bought.booking is not None
    bourse.end(bought.booking)
    bought.refresh_from_db()
    assert bought.statement is not None
    assert statement_total(bought.statement) == 8 * LOT_FEN, "resold hours are still paid for"


def test_hours_lost_in_the_hands_of_the_last_buyer_are_paid_back_up_the_chain(bourse: Bourse) -> None:
    first, second = bourse.firms[:2]
    bought = bourse.take(bourse.sell(4), first, 4)
    trade = bourse.take(bourse.sell(4, PRICE * 9 // 10, party=first, resold_from=bought.booking), second, 4)
    assert trade.booking is not None
    trade.booking.stretches.all().delete()
    bourse.end(trade.booking, state=Booking.State.LOST, fault="failure")
    trade.refresh_from_db()
    assert trade.state == Trade.State.VOID
    assert money(second)["limit"] == LIMIT_FEN
    assert returned(bourse, bought) == 4 * LOT_FEN


def test_hours_that_a_connected_engine_never_reserved_are_not_billed(bourse: Bourse) -> None:
    buyer = bourse.firms[0]
    trade = bourse.take(bourse.sell(4), buyer, 4)
    assert trade.booking is not None
    bourse.end(trade.booking, kept=False)
    trade.refresh_from_db()
    assert (trade.state, money(buyer)["limit"]) == (Trade.State.VOID, LIMIT_FEN)


def test_a_site_sells_nothing_where_no_engine_counts_what_runs(bourse: Bourse) -> None:
    Connection.objects.update(state=Connection.State.OFF)
    wanted, auction = bourse.seek(bourse.firms[0]), bourse.auction()
    for sale in (
        bourse.sell, lambda: bourse.take(wanted, bourse.operator, pool=bourse.world.pool),
        lambda: bourse.order(auction, bourse.operator, "sell", 1),
    ):  # fmt: skip
        with pytest.raises(Refused) as refused:
            sale()
        assert refused.value.code == "no_engine"


def connected(bourse: Bourse, booking: Booking | None, reserved: float, *silent: tuple[float, float]) -> None:
    """An engine at the site that reserved a booking at an hour of the window and was silent between others."""
    first = clock.instant_of(bourse.window["start_hour"])
    connection = Connection.objects.get(site=bourse.world.pool.site)
    BookedStretch.objects.filter(booking=booking).update(reserved_at=first + timedelta(hours=reserved))
    for since, until in silent:
        connection.outages.create(since=first + timedelta(hours=since), until=first + timedelta(hours=until))


@pytest.mark.parametrize(
    ("reserved", "silent", "stood"),
    [
        (-20, [(1, 4)], 7), (-20, [(-3, 0.5), (9, 12)], 8.5), (9, [], 1), (0.02, [], 10), (5, [(3, 6)], 4),
        (-20, [(-1, 11)], 0),
    ],
)  # fmt: skip
def test_hours_in_which_no_working_engine_kept_the_cards_are_not_billed(
    bourse: Bourse, reserved: float, silent: list[tuple[float, float]], stood: float
) -> None:
    trade = bourse.take(bourse.sell(4), bourse.firms[0], 4)
    assert trade.booking is not None
    connected(bourse, trade.booking, reserved, *silent)
    bourse.end(trade.booking)
    trade.refresh_from_db()
    paid = statement_total(trade.statement) if trade.statement else 0
    assert paid == int(4 * stood * PRICE // 1000)


def test_hours_in_which_jobs_ran_are_billed_though_the_engine_was_silent(bourse: Bourse) -> None:
    trade = bourse.take(bourse.sell(4), bourse.firms[0], 4)
    assert trade.booking is not None
    connected(bourse, trade.booking, -20, (1, 10))
    attempt(trade.booking, card_seconds=4 * 8 * 3600, evidence="e" * 64)
    bourse.end(trade.booking)
    trade.refresh_from_db()
    assert trade.statement is not None
    assert statement_total(trade.statement) == 4 * 8 * PRICE // 1000


def test_hours_lost_to_a_silent_engine_are_paid_back_up_the_chain(bourse: Bourse) -> None:
    first, second = bourse.firms[:2]
    bought = bourse.take(bourse.sell(4), first, 4)
    trade = bourse.take(bourse.sell(4, PRICE * 9 // 10, party=first, resold_from=bought.booking), second, 4)
    assert trade.booking is not None
    connected(bourse, trade.booking, -20, (2, 4.5))
    bourse.end(trade.booking)
    assert returned(bourse, bought) == 10 * PRICE // 1000


def test_resold_hours_come_from_the_pool_that_is_named(bourse: Bourse) -> None:
    first = bourse.firms[0]
    bought = bourse.take(bourse.sell(4), first, 4)
    assert bourse.pool2 is not None
    with pytest.raises(Invalid) as refused:
        bourse.sell(2, party=first, resold_from=bought.booking, pool=bourse.pool2)
    assert [problem.field for problem in refused.value.problems] == ["pool"]


def test_hours_lost_while_on_offer_are_paid_back_too(bourse: Bourse) -> None:
    first = bourse.firms[0]
    bought = bourse.take(bourse.sell(4), first, 4)
    listing = bourse.sell(3, party=first, resold_from=bought.booking)
    assert listing.booking is not None
    listing.booking.stretches.update(cards=1)
    bourse.end(listing.booking)
    assert returned(bourse, bought) == 2 * LOT_FEN


def test_a_listing_whose_cards_were_lost_is_closed(bourse: Bourse) -> None:
    listing = bourse.sell(4)
    assert listing.booking is not None
    listing.booking.stretches.all().delete()
    bourse.end(listing.booking, state=Booking.State.LOST, fault="failure")
    assert refusal(bourse.take, listing, bourse.firms[0]) == "listing_state"


def test_what_its_holder_gives_up_is_billed_all_the_same(bourse: Bourse) -> None:
    trade = bourse.take(bourse.sell(2), bourse.firms[0], 2)
    assert trade.booking is not None
    trade.booking.stretches.all().delete()
    bourse.end(trade.booking, state=Booking.State.CANCELLED, fault="withdrawn")
    trade.refresh_from_db()
    assert trade.statement is not None
    assert statement_total(trade.statement) == 2 * LOT_FEN


def test_hours_billed_by_use_or_of_the_bank_are_not_resold_here(bourse: Bourse) -> None:
    used = bourse.take(bourse.sell(2, billing=Booking.Billing.USED), bourse.firms[0], 2)
    assert refusal(bourse.sell, 1, party=bourse.firms[0], resold_from=used.booking) == "by_use"
    Booking.objects.filter(pk=used.booking_id).update(from_deposits=True, billing=Booking.Billing.WHOLE)
    assert used.booking is not None
    used.booking.refresh_from_db()
    assert refusal(bourse.sell, 1, party=bourse.firms[0], resold_from=used.booking) == "of_the_bank"
    assert refusal(bourse.sell, 1, party=bourse.firms[1], resold_from=used.booking) == "invalid"


# --- balances of compute accounts -------------------------------------------------------------------------------------


def test_a_balance_is_sold_with_its_expiry_date_and_billed_at_once(bourse: Bourse) -> None:
    seller, buyer = bourse.firms[:2]
    early, late = clock.local(NOON).date() + timedelta(days=10), clock.local(NOON).date() + timedelta(days=90)
    worlds.run(lambda a, r: accounts.credit_many(a, r, [(seller, 5_000, early), (seller, 5_000, late)]))
    with clock.moved_to(NOON):
        listing = listings.sell_balance(
            SYSTEM, key="b", party=seller, lots=8, price_mfen=800_000, expires_at=NOON + timedelta(days=5)
        )
    assert accounts.balances(seller) == {late: 2_000}
    trade = bourse.take(listing, buyer, 6)
    assert accounts.balances(buyer) == {early: 5_000, late: 1_000}
    assert trade.statement is not None
    assert statement_total(trade.statement) == 6 * 800
    with clock.moved_to(NOON):
        listings.withdraw(SYSTEM, key="w", listing=listing)
    assert accounts.balances(seller) == {late: 4_000}
    assert accounts.outstanding() == 10_000
    assert book.check_zero() == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"lots": 0}, "lots"), ({"lots": 257}, "lots"), ({"start_hour": 0}, "start_hour"),
        ({"expires_at": NOON - timedelta(hours=1)}, "expires_at"), ({"billing": "guess"}, "billing"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_and_nothing_is_written(bourse: Bourse, change: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as error:
        bourse.sell(**change)
    assert error.value.problems[0].field in (field, "end_hour")
    assert not Listing.objects.exists()
    assert not Booking.objects.exists()


def test_who_has_not_the_money_or_the_cards_gets_neither(bourse: Bourse) -> None:
    poor = worlds.party("示例戊公司", "entity")
    listing = bourse.sell(2)
    assert refusal(bourse.take, listing, poor) == "over_limit"
    assert refusal(bourse.seek, poor, 1) == "over_limit"
    assert bourse.pool2 is not None
    assert refusal(bourse.sell, 101, party=bourse.pool2.site.operator, pool=bourse.pool2) == "no_cards"
    listing.refresh_from_db()
    assert listing.left == 2
    assert not Trade.objects.exists()
