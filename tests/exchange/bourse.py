"""A small exchange for tests: the compute bank of `tests.compute.world`, the demo terms, and steps that firms take.

Everything goes through the product's own actions. Steps happen at NOON of the world; `at(…)` moves the clock.
"""

import itertools
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.compute import world as worlds
from tests.compute.world import NOON, SYSTEM, World

from huoshui.base import access, clock
from huoshui.book import services as book
from huoshui.book.models import Kind
from huoshui.book.services import statement_total
from huoshui.compute.models import Pool, Site
from huoshui.exchange.actions import auctions, listings
from huoshui.exchange.models import Auction, Listing, Order, Trade
from huoshui.exchange.settle import statements_of
from huoshui.exchange.solving import solve
from huoshui.jobs import services
from huoshui.jobs.models import Booking, Connection
from huoshui.registry.models import Party

PRICE = 2_000_000
"""The reference price: the list price of the world's pool, 20 yuan."""
WINDOW = (24, 34)
"""Hours of the world that contracts are about."""
SECOND = access.system("second")
numbers = itertools.count(1)


@dataclass
class Bourse:
    """The world, with more firms that have money and a second site."""

    world: World
    firms: list[Party] = field(default_factory=list)
    pool2: Pool | None = None

    @property
    def operator(self) -> Party:
        return self.world.operator

    @property
    def window(self) -> dict[str, int]:
        return {"start_hour": self.world.start + WINDOW[0], "end_hour": self.world.start + WINDOW[1]}

    @property
    def expires(self) -> datetime:
        return clock.instant_of(self.world.start + WINDOW[0]) - timedelta(hours=4)

    def sell(self, lots: int = 8, price: int = PRICE, party: Party | None = None, **more: Any) -> Listing:
        """A sell listing of free cards, or of a booking (`resold_from`)."""
        values = {"pool": self.world.pool, "expires_at": self.expires, **self.window, **more}
        with clock.moved_to(NOON):
            return listings.sell_cards(
                SYSTEM, key=f"sell/{next(numbers)}", party=party or self.operator, lots=lots, price_mfen=price, **values
            )

    def seek(self, party: Party, lots: int = 8, price: int = PRICE, **more: Any) -> Listing:
        """A buy listing."""
        values = {
            "card_model": self.world.pool.card_model, "region": self.world.region, "expires_at": self.expires,
            **self.window, **more,
        }  # fmt: skip
        with clock.moved_to(NOON):
            return listings.seek_cards(
                SYSTEM, key=f"seek/{next(numbers)}", party=party, lots=lots, price_mfen=price, **values
            )

    def take(self, listing: Listing, party: Party, lots: int = 1, **more: Any) -> Trade:
        """Take up lots of a listing."""
        with clock.moved_to(NOON):
            return listings.take(
                SYSTEM, key=f"take/{next(numbers)}", listing=listing, party=party, lots=lots, **more
            )

    def auction(self, **more: Any) -> Auction:
        """An auction in the afternoon session of the world's day."""
        values = {
            "card_model": self.world.pool.card_model, "region": self.world.region, "session": "afternoon",
            "day": clock.local(NOON).date(), **self.window, **more,
        }  # fmt: skip
        with clock.moved_to(NOON):
            return auctions.open_auction(SYSTEM, key=f"auction/{next(numbers)}", **values)

    def order(self, auction: Auction, party: Party, side: str, lots: int, price: int = PRICE, **more: Any) -> Order:
        """A sealed order within the session."""
        if side == "sell":
            more.setdefault("pool", self.world.pool)
        with clock.moved_to(auction.opens_at + timedelta(minutes=5)):
            return auctions.place_order(
                SYSTEM, key=f"order/{next(numbers)}", auction=auction, party=party, side=side, lots=lots,
                price_mfen=price, **more,
            )  # fmt: skip

    def cleared(self, auction: Auction) -> Auction:
        """Freeze, solve and store, as the worker does."""
        with clock.moved_to(auction.closes_at + timedelta(minutes=1)):
            auctions.freeze(SYSTEM, key=f"auction/{auction.pk}/freeze", auction=auction)
            content, figures = solve(auctions.problem_bytes(auction), lambda *_a, **_k: True)
            return auctions.record_result(
                SYSTEM, key=f"auction/{auction.pk}/result", auction=auction, content=content, figures=figures
            )

    def published(self, auction: Auction) -> Auction:
        """From closing to publication by a second person."""
        self.cleared(auction)
        with clock.moved_to(auction.closes_at + timedelta(minutes=5)):
            return auctions.publish(SECOND, key=f"auction/{auction.pk}/publish", auction=auction)

    def end(self, booking: Booking, kept: bool = True, **state: Any) -> None:
        """Close a booking as the runner does after its last hour; its engine `kept` the cards, unless the test says
        when."""
        if kept:
            booking.stretches.filter(reserved_at=None).update(reserved_at=NOON)
        Booking.objects.filter(pk=booking.pk).update(**({"state": Booking.State.ENDED} | state))
        booking.refresh_from_db()
        with clock.moved_to(clock.instant_of(self.world.start + WINDOW[1] + 1)):
            worlds.run(lambda act, record: services.tell_source(act, record, booking))


def build() -> Bourse:
    """The world under the demo terms of the exchange, four firms with money, a second site of another operator."""
    world = worlds.build()
    with clock.moved_to(NOON):
        worlds.publish("exchange_terms", "demo-2026")
    firms = [worlds.party(f"示例{name}公司", "entity") for name in "甲乙丙丁"]
    for firm in (*firms, world.operator):
        world.limit(firm)
    other = worlds.party("示例乙算力", "operator")
    site = Site.objects.create(
        operator=other, code="s2", name="测试二站", region=world.region, division="330100", tariff="-"
    )
    pool2 = Pool.objects.create(site=site, card_model=world.pool.card_model, cards=100, list_price_fen=2000)
    for joined in (world.pool.site, site):
        Connection.objects.create(site=joined, kind="local", tag=f"s{joined.pk}", state=Connection.State.UP)
    return Bourse(world, firms, pool2)


def money(party: Party) -> dict[str, int]:
    """Limit, held, committed and payable of a party, in fen."""
    found = book.balances(party)
    return {kind: found[kind] for kind in (Kind.LIMIT, Kind.HELD, Kind.COMMITTED, Kind.PAYABLE)}


def free(bourse: Bourse, pool: Pool | None = None) -> int:
    """Fewest cards of a pool that are free in an hour of the window."""
    start, end = bourse.window.values()
    return int(services.free_cards([pool or bourse.world.pool], start, end)[0].min())


def held(booking: Booking | None) -> int:
    """Cards of a booking in every hour of its contract."""
    assert booking is not None
    booking.refresh_from_db()
    return sum(s.cards * (s.end_hour - s.start_hour) for s in booking.stretches.all())


def returned(bourse: Bourse, trade: Trade) -> int:
    """What came back to the buyer of a trade whose hours were lost after it had resold them: from the seller what it
    got, from the centre its fee."""
    back = {row.payer: statement_total(row) for row in statements_of(trade) if not row.secured}
    total = sum(back.values())
    assert back == {trade.seller: total - total // 100, bourse.world.centre: total // 100}
    return total
