"""The demo's exchange: listings, a published auction, an enquiry that was awarded and one that is open.

All dates follow from the day on which the database was first filled; auctions are held on working days, so the past one
lies up to two weeks back.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import date, timedelta
from typing import Any

from django.utils.translation import gettext as _

from huoshui.base import access, clock
from huoshui.base.demo import Step
from huoshui.base.errors import Refused
from huoshui.compute.demo import first_day, hour_at, midday
from huoshui.compute.models import Pool
from huoshui.exchange.actions import auctions, enquiries, listings
from huoshui.exchange.models import Auction, Enquiry, Listing, Offer
from huoshui.exchange.prices import Limits, limits_at, terms_in_force
from huoshui.exchange.solving import solve
from huoshui.jobs import services
from huoshui.registry.models import Party, RoleKind
from huoshui.registry.queries import calendar, related

ACTOR, SECOND = access.system("demo"), access.system("demo-second")
TICK = 5_000
LOTS = 6
AHEAD_DAYS = 12
"""Contracts of the demo begin after the rounds of the bank's demo, where pools have free cards."""


def load() -> Iterator[Step]:
    """Listings and a balance for sale, the auction, two enquiries; repeatable."""
    today = first_day()
    pools = list(Pool.objects.select_related("site__operator", "site__region", "card_model").order_by("id"))
    firms = list(Party.objects.filter(roles__kind=RoleKind.ENTITY).exclude(sites__isnull=False).order_by("id")[:6])
    if len(pools) < 4 or len(firms) < 4:
        return
    start = hour_at(today + timedelta(days=AHEAD_DAYS), 8)
    pool = _popular(pools)
    auction = _auction(pool, pools, firms, today, start)
    if auction is not None:
        yield _("Demo: %(auction)s published, %(lots)s lots traded") % {
            "auction": auction, "lots": auction.figures["volume"],
        }  # fmt: skip
    _coming(pool, today, start)
    with clock.moved_to(midday(today)):
        made = _listings(pools, firms, start)
    yield _("Demo: %(count)s listings at the exchange") % {"count": made}
    yield _("Demo: %(count)s enquiries, one of them awarded") % {"count": _enquiries(pool, pools, firms, today, start)}


def _popular(pools: list[Pool]) -> Pool:
    """A pool whose model another site of its region has too."""
    for pool in pools:
        if any(_alike(pool, other) and other.site_id != pool.site_id for other in pools):
            return pool
    return pools[0]


def _alike(pool: Pool, other: Pool) -> bool:
    return pool.card_model_id == other.card_model_id and pool.site.region_id == other.site.region_id


def _limits(pool: Pool) -> Limits:
    return limits_at(pool.card_model, pool.site.region, terms_in_force().loaded(), clock.now())


def _price(limits: Limits, percent: int) -> int:
    """A price some percent off the reference, on the tick and within the limits."""
    wanted = limits.reference * (100 + percent) // 100 // TICK * TICK
    return min(max(wanted, limits.low), limits.high)


def _free(pool: Pool, start: int, end: int) -> int:
    return int(services.free_cards([pool], start, end).min())


def _listings(pools: list[Pool], firms: list[Party], start: int) -> int:
    """Free cards of some pools at prices around the reference, two of them partly taken; and needs beside them."""
    for index, pool in enumerate(pools[:6]):
        limits = _limits(pool)
        window = {"start_hour": start, "end_hour": start + 48, "expires_at": clock.instant_of(start - 24)}
        listing = _tried(
            listings.sell_cards, key=f"demo/listing/{pool.pk}", party=pool.site.operator, pool=pool, lots=LOTS,
            price_mfen=_price(limits, index * 4 - 10), billing=("whole", "used")[index % 2], **window,
        )  # fmt: skip
        if index < 2 and listing is not None:
            _tried(
                listings.take, key=f"demo/take/{pool.pk}", listing=listing, party=firms[index], lots=LOTS // 2
            )
        _tried(
            listings.seek_cards, key=f"demo/seek/{pool.pk}", party=firms[2 + index % 2], card_model=pool.card_model,
            region=pool.site.region, lots=2, price_mfen=_price(limits, index * 4 - 16), **window,
        )  # fmt: skip
    return Listing.objects.count()


def _auction(pool: Pool, pools: list[Pool], firms: list[Party], today: date, start: int) -> Auction | None:
    """An auction of the last working day before today, from announcement to publication by a second person."""
    day = today - timedelta(days=1)
    while not calendar().is_working_day(day):
        day -= timedelta(days=1)
    with clock.moved_to(midday(day - timedelta(days=1))):
        auction: Auction = auctions.open_auction(
            ACTOR, key="demo/auction", card_model=pool.card_model, region=pool.site.region, start_hour=start + 72,
            end_hour=start + 96, day=day, session="morning",
        )  # fmt: skip
    if auction.state != Auction.State.OPEN:
        return auction if auction.state == Auction.State.PUBLISHED else None
    limits = Limits(auction.reference_mfen, auction.low_mfen, auction.high_mfen)
    with clock.moved_to(auction.opens_at + timedelta(minutes=10)):
        for index, other in enumerate(row for row in pools if _alike(pool, row)):
            _order(auction, other.site.operator, "sell", LOTS, _price(limits, index * 6 - 12), pool=other)
        for index, firm in enumerate(firms):
            _order(auction, firm, "buy", 3 + index, _price(limits, 10 - index * 5))
    with clock.moved_to(auction.closes_at + timedelta(minutes=10)):
        auctions.freeze(ACTOR, key=f"auction/{auction.pk}/freeze", auction=auction)
        content, figures = solve(auctions.problem_bytes(auction), lambda *_a, **_k: True)
        auctions.record_result(
            ACTOR, key=f"auction/{auction.pk}/result", auction=auction, content=content, figures=figures
        )
        published: Auction = auctions.publish(SECOND, key="demo/auction/publish", auction=auction)
    return published


def _coming(pool: Pool, today: date, start: int) -> None:
    """An auction of the next working day."""
    day = today + timedelta(days=1)
    while not calendar().is_working_day(day):
        day += timedelta(days=1)
    with clock.moved_to(midday(today)):
        _tried(
            auctions.open_auction, key="demo/auction/next", card_model=pool.card_model, region=pool.site.region,
            start_hour=start + 96, end_hour=start + 120, day=day, session="morning",
        )  # fmt: skip


def _order(auction: Auction, party: Party, side: str, lots: int, price: int, **more: Any) -> None:
    _tried(
        auctions.place_order, key=f"demo/order/{side}/{party.pk}", auction=auction, party=party, side=side, lots=lots,
        price_mfen=price, **more,
    )  # fmt: skip


def _enquiries(pool: Pool, pools: list[Pool], firms: list[Party], today: date, start: int) -> int:
    """One enquiry of yesterday, opened and awarded; one that takes offers."""
    first = _enquiry(1, "质检图像批量推理", firms[0], pool, pools, start + 120, today - timedelta(days=1), 8)
    if first is not None and first.state == Enquiry.State.OPEN:
        with clock.moved_to(first.closes_at + timedelta(minutes=5)):
            enquiries.open_offers(ACTOR, key=f"enquiry/{first.pk}/open", enquiry=first)
            best = Offer.objects.filter(enquiry=first, rank=1).first()
            if best is not None:
                _tried(enquiries.award, key="demo/award", enquiry=first, offer=best)
    _enquiry(2, "行业知识库向量化", firms[1], pool, pools, start + 168, today, 72)
    return Enquiry.objects.count()


def _enquiry(
    number: int, title: str, firm: Party, pool: Pool, pools: list[Pool], start: int, day: date, open_hours: int
) -> Enquiry | None:
    wanted = [row for row in pools if row.site.region_id == pool.site.region_id]
    models = list({row.card_model_id: row.card_model for row in wanted}.values())
    dearest = max(row.list_price_fen for row in wanted)
    with clock.moved_to(midday(day)), suppress(Refused):
        enquiry: Enquiry = enquiries.post_enquiry(
            ACTOR, key=f"demo/enquiry/{number}", party=firm, title=title, cards=4, card_models=models,
            regions=[pool.site.region], start_hour=start, end_hour=start + 24, budget_fen=4 * 24 * dearest,
            weights={"price": 6_000, "throughput": 1_500, "firmness": 1_500, "record": 1_000},
            closes_at=clock.now() + timedelta(hours=open_hours),
        )  # fmt: skip
        _offers(number, enquiry, wanted, firm)
        return enquiry
    return None


def _offers(number: int, enquiry: Enquiry, pools: list[Pool], firm: Party) -> None:
    """One offer of each operator, out of its first pool that has the cards."""
    family, seen = {firm.pk} | related(firm), set[int]()
    for index, pool in enumerate(pools):
        seller = pool.site.operator
        if seller.pk in family | seen or _free(pool, enquiry.start_hour, enquiry.end_hour) < enquiry.cards:
            continue
        seen.add(seller.pk)
        _tried(
            enquiries.submit_offer, key=f"demo/offer/{number}/{pool.pk}", enquiry=enquiry, party=seller, pool=pool,
            price_mfen=_price(_limits(pool), index * 4 - 24),
            recall_notice_hours=None if index % 2 else 24,
        )  # fmt: skip


def _tried(action: Any, **named: Any) -> Any:
    """A step that somebody without means, or related to the other side, cannot take; None then."""
    with suppress(Refused):
        return action(ACTOR, **named)
    return None
