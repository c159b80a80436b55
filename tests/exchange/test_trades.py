"""What is taken back of a trade: by whom, with what notice, and that nobody pays for it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.compute.world import LIMIT_FEN, NOON, SYSTEM, publish
from tests.exchange.bourse import PRICE, WINDOW, Bourse, held, money, returned
from tests.market import shop

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.base.errors import Forbidden, Invalid, Missing, Refused
from huoshui.book.models import Statement
from huoshui.book.services import statement_total
from huoshui.exchange import queries
from huoshui.exchange.actions import enquiries, listings, trades
from huoshui.exchange.models import Listing, Trade
from huoshui.jobs.models import Booking

HOURS = WINDOW[1] - WINDOW[0]
CARDS, NOTICE = 4, 6
LOT_FEN = HOURS * PRICE // 1000


def awarded(bourse: Bourse, notice: int | None = NOTICE, billing: str = Booking.Billing.WHOLE) -> Trade:
    """A trade out of an enquiry, with a notice."""
    with clock.moved_to(NOON):
        enquiry = enquiries.post_enquiry(
            SYSTEM, party=bourse.firms[0], title="测试", cards=CARDS, card_models=[bourse.world.pool.card_model],
            regions=[bourse.world.region], budget_fen=CARDS * LOT_FEN, weights={"price": 9_000, "firmness": 1_000},
            closes_at=NOON + timedelta(hours=8), billing=billing, **bourse.window,
        )  # fmt: skip
        offer = enquiries.submit_offer(
            SYSTEM, enquiry=enquiry, party=bourse.operator, pool=bourse.world.pool, price_mfen=PRICE,
            recall_notice_hours=notice,
        )  # fmt: skip
    with clock.moved_to(NOON + timedelta(hours=9)):
        enquiries.open_offers(SYSTEM, enquiry=enquiry)
        return enquiries.award(SYSTEM, enquiry=enquiry, offer=offer)


def take_back(
    bourse: Bourse, trade: Trade, hour: int, at: float, reason: str, cards: int = 1, by: Any = SYSTEM
) -> Trade:
    """Cards are taken back from an hour of the window on, said `at` hours after the window begins."""
    start = bourse.window["start_hour"]
    with clock.moved_to(clock.instant_of(start) + timedelta(hours=at)):
        return trades.recall_trade(by, trade=trade, from_hour=start + hour, cards=cards, reason=reason)


def refusal(call: Any, *args: Any, **named: Any) -> str:
    with pytest.raises(Refused) as refused:
        call(*args, **named)
    return refused.value.code


def test_cards_that_were_offered_with_a_notice_are_recalled_with_it_and_not_billed(bourse: Bourse) -> None:
    trade = awarded(bourse)
    assert refusal(take_back, bourse, trade, 5, 0, "recall", 3) == "recall_notice"
    take_back(bourse, trade, NOTICE, -0.01, "recall", 3)
    assert held(trade.booking) == CARDS * HOURS - 3 * (HOURS - NOTICE)
    assert trade.booking is not None
    bourse.end(trade.booking)
    trade.refresh_from_db()
    assert trade.statement is not None
    assert statement_total(trade.statement) == held(trade.booking) * PRICE // 1000
    assert queries.taken_back(trade) == [
        {"from": bourse.window["start_hour"] + NOTICE, "cards": 3, "reason": "recall", "card_hours": 3 * 4}
    ]


def test_cards_sold_without_a_notice_stay_but_failed_ones_may_be_reported(bourse: Bourse) -> None:
    trade = awarded(bourse, None)
    assert refusal(take_back, bourse, trade, 8, -5, "recall") == "recall_notice"
    take_back(bourse, trade, 2, 2.5, "failure", CARDS)
    assert trade.booking is not None
    trade.booking.refresh_from_db()
    assert (trade.booking.state, trade.booking.fault) == (Booking.State.LOST, "failure")
    bourse.end(trade.booking, state=trade.booking.state)
    trade.refresh_from_db()
    assert trade.statement is not None
    assert statement_total(trade.statement) == 2 * CARDS * PRICE // 1000


def test_only_who_runs_the_site_takes_cards_back(bourse: Bourse, people: Callable[..., Actor]) -> None:
    first, second = bourse.firms[:2]
    bought = bourse.take(bourse.sell(4), first, 4)
    resold = bourse.take(bourse.sell(4, party=first, resold_from=bought.booking), second, 4)
    assert bourse.pool2 is not None
    for party in (first, second, bourse.pool2.site.operator):
        with pytest.raises(Forbidden):
            take_back(bourse, resold, 0, -1, "failure", by=people("operator", f"party:{party.pk}"))
    site = people("operator", f"party:{bourse.operator.pk}")
    assert queries.trade(site, resold.pk) == resold, "it sees what is sold of its cards"
    with clock.moved_to(NOON):
        assert queries.may_recall(site, resold)
        assert not queries.may_recall(people("agent", f"party:{first.pk}"), resold)
    take_back(bourse, resold, 0, 0, "failure", 4, by=site)
    assert resold.booking is not None
    resold.booking.refresh_from_db()
    bourse.end(resold.booking, state=resold.booking.state)
    assert money(second)["limit"] == LIMIT_FEN
    assert returned(bourse, bought) == 4 * LOT_FEN


def test_hours_bought_in_the_supermarket_and_lost_after_they_were_resold_are_paid_back_there(bourse: Bourse) -> None:
    first, second = bourse.firms[:2]
    with clock.moved_to(NOON):
        publish("market_terms", "demo-2026")
    product = shop.listed(bourse.world, billing="reserved", price_fen=960)
    order = shop.bought(bourse.world, product, 1, WINDOW[0], HOURS, buyer=first)
    trade = bourse.take(bourse.sell(8, party=first, resold_from=order.booking), second, 8)
    assert trade.booking is not None
    trade.booking.stretches.update(reserved_at=NOON)
    take_back(bourse, trade, 5, 4.5, "failure", 8)
    bourse.end(trade.booking)
    trade.refresh_from_db()
    assert trade.statement is not None
    assert statement_total(trade.statement) == 8 * 5 * PRICE // 1000
    back = Statement.objects.filter(subject=f"market.order:{order.pk}", secured=False)
    assert {row.payer for row in back} <= {bourse.operator, bourse.world.centre}
    gross = 8 * 5 * 960
    assert sum(statement_total(row) for row in back) == gross - gross * 200 // 10_000, "what it had paid for them"
    assert {line.payee for row in back for line in row.lines.all()} == {first}
    assert order.booking is not None
    bourse.end(order.booking)
    (paid,) = Statement.objects.filter(subject=f"market.order:{order.pk}", secured=True)
    assert statement_total(paid) == order.total_fen


@pytest.mark.parametrize(
    ("hour", "cards", "reason", "field"),
    [(HOURS, 1, "failure", "from"), (-2, 1, "failure", "from"), (0, 5, "failure", "cards"), (0, 1, "guess", "reason")],
)
def test_what_cannot_be_taken_back_is_named(bourse: Bourse, hour: int, cards: int, reason: str, field: str) -> None:
    trade = awarded(bourse)
    with pytest.raises(Invalid) as error:
        take_back(bourse, trade, hour, -1, reason, cards)
    assert error.value.problems[0].field == field
    assert held(trade.booking) == CARDS * HOURS


def test_what_is_billed_by_use_is_taken_back_too(bourse: Bourse) -> None:
    trade = awarded(bourse, billing=Booking.Billing.USED)
    take_back(bourse, trade, NOTICE, -1, "recall", CARDS)
    assert held(trade.booking) == CARDS * NOTICE


# --- hours that stand aside to be resold ------------------------------------------------------------------------------


def fail_aside(bourse: Bourse, booking: Booking | None, hour: int, cards: int, by: Any = SYSTEM) -> None:
    """The site reports cards as failed from an hour of the window on, an hour before it begins."""
    assert booking is not None
    start = bourse.window["start_hour"]
    with clock.moved_to(clock.instant_of(start - 1)):
        trades.recall_aside(by, booking=booking, from_hour=start + hour, cards=cards, reason="failure")


def test_cards_that_fail_while_they_are_only_on_offer_are_reported_and_paid_back(
    bourse: Bourse, people: Callable[..., Actor]
) -> None:
    first, second = bourse.firms[:2]
    bought = bourse.take(bourse.sell(6), first, 6)
    listing = bourse.sell(6, party=first, resold_from=bought.booking)
    bourse.take(listing, second, 1)
    site, holder = people("operator", f"party:{bourse.operator.pk}"), people("agent", f"party:{first.pk}")
    with clock.moved_to(NOON):
        assert list(queries.aside(site)) == [listing.booking]
        assert list(queries.aside(holder)) == []
    with pytest.raises(Forbidden):
        fail_aside(bourse, listing.booking, 4, 2, by=holder)
    fail_aside(bourse, listing.booking, 4, 2, by=site)
    assert held(listing.booking) == 5 * HOURS - 2 * (HOURS - 4)
    listing.refresh_from_db()
    assert (listing.left, listing.state) == (3, Listing.State.OPEN), "what failed is not offered any more"
    bourse.take(listing, second, 3)
    assert listing.booking is not None
    bourse.end(listing.booking)
    assert returned(bourse, bought) == 2 * (HOURS - 4) * PRICE // 1000


def test_a_listing_of_which_every_card_failed_is_over(bourse: Bourse) -> None:
    bought = bourse.take(bourse.sell(2), bourse.firms[0], 2)
    listing = bourse.sell(2, party=bourse.firms[0], resold_from=bought.booking)
    fail_aside(bourse, listing.booking, 8, 2)
    listing.refresh_from_db()
    assert (listing.left, listing.state) == (0, Listing.State.EXPIRED)
    assert held(listing.booking) == 2 * 8, "the hours before stay with their seller"


def test_free_cards_of_a_site_are_withdrawn_not_recalled(bourse: Bourse) -> None:
    listing = bourse.sell(2)
    with pytest.raises(Missing):
        fail_aside(bourse, listing.booking, 0, 1)
    assert bourse.take(listing, bourse.firms[0], 2).booking is not None


def test_hours_that_may_be_recalled_are_not_sold_to_who_asked_for_cards_that_stay(
    bourse: Bourse, people: Callable[..., Actor]
) -> None:
    trade, wanted = awarded(bourse), bourse.seek(bourse.firms[1], 2)
    assert wanted.contract is not None
    with clock.moved_to(NOON + timedelta(hours=10)):
        named = {"listing": wanted, "party": bourse.firms[0], "lots": 2, "pool": bourse.world.pool}
        assert refusal(listings.take, SYSTEM, resold_from=trade.booking, **named) == "recallable"
        holder = people("agent", f"party:{bourse.firms[0].pk}")
        assert queries.cards_for(holder, wanted.contract) == ([], []), "it is not proposed either"
        listing = listings.sell_cards(
            SYSTEM, party=bourse.firms[0], pool=bourse.world.pool, lots=2, price_mfen=PRICE, resold_from=trade.booking,
            expires_at=bourse.expires, **bourse.window,
        )  # fmt: skip
    assert listing.booking is not None
    assert listing.booking.recall_notice_hours == NOTICE
