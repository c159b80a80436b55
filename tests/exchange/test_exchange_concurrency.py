"""Many at once for the last lots: exactly as many get one as there are, and every fen and card is accounted for."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from tests.compute import world as worlds
from tests.compute.world import LIMIT_FEN, NOON, SYSTEM
from tests.exchange.bourse import Bourse, build, free, held, money

from huoshui.base import clock, log
from huoshui.base.errors import Refused
from huoshui.book import services as book
from huoshui.exchange.actions import auctions, listings
from huoshui.exchange.models import Listing, Order, Trade
from huoshui.registry.models import Party

FIRMS, WORKERS = 40, 20


def all_at_once(steps: Sequence[Callable[[], Any]]) -> Counter[str]:
    """Run the steps on many threads; how often each refusal came, `done` for what went through."""

    def run(step: Callable[[], Any]) -> str:
        try:
            step()
        except Refused as error:
            return error.code
        else:
            return "done"
        finally:
            connections.close_all()

    with ThreadPoolExecutor(WORKERS) as pool:
        return Counter(pool.map(run, steps))


def firms(bourse: Bourse) -> list[Party]:
    made = [worlds.party(f"示例{number}号公司", "entity") for number in range(FIRMS)]
    for firm in made:
        bourse.world.limit(firm)
    return made


def take(listing: Listing, firm: Party) -> None:
    with clock.moved_to(NOON):
        listings.take(SYSTEM, key=f"take/{firm.pk}", listing=listing, party=firm, lots=1)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_forty_firms_take_the_last_ten_lots() -> None:
    bourse = build()
    buyers, before = firms(bourse), free(bourse)
    listing = bourse.sell(10)
    answers = all_at_once([lambda firm=firm: take(listing, firm) for firm in buyers])  # type: ignore[misc]
    assert answers["done"] == 10
    assert set(answers) <= {"done", "lots_left", "listing_state"}
    trades = list(Trade.objects.select_related("booking", "buyer"))
    assert len({trade.buyer for trade in trades}) == len(trades) == 10
    assert sum(held(trade.booking) for trade in trades) == 10 * 10
    assert free(bourse) == before - 10
    assert sum(money(firm)["committed"] for firm in buyers) == sum(trade.amount_fen for trade in trades)
    assert sum(money(firm)["limit"] + money(firm)["committed"] for firm in buyers) == FIRMS * LIMIT_FEN
    assert book.check_zero() == book.replay() == log.replay() == []


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_orders_that_come_at_once_are_all_sealed_and_all_cleared() -> None:
    bourse = build()
    buyers = firms(bourse)
    auction = bourse.auction()
    bourse.order(auction, bourse.operator, "sell", 30)

    def place(firm: Party) -> None:
        with clock.moved_to(auction.opens_at + timedelta(minutes=5)):
            auctions.place_order(
                SYSTEM, key=f"order/{firm.pk}", auction=auction, party=firm, side="buy", lots=1, price_mfen=2_000_000
            )

    assert all_at_once([lambda firm=firm: place(firm) for firm in buyers]) == {"done": FIRMS}  # type: ignore[misc]
    bourse.published(auction)
    assert Order.objects.filter(side="buy", filled=1).count() == 30
    assert sum(money(firm)["held"] for firm in buyers) == 0
    assert book.check_zero() == book.replay() == log.replay() == []
