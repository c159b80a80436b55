"""Which prices are allowed: the terms in force, the reference price, the limits around it and the tick.

The reference price of a card model in a region is, in this order: the price of its last call auction within the days
that the terms say; the mean slot price of the bank's last published round, weighted by cards sold; the mean list price
of its pools. Compute-account balances have the bank's index price. It is rounded down to the tick.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Count, F, QuerySet, Sum
from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.errors import Missing, Refused, invalid
from huoshui.compute import accounts
from huoshui.compute.models import CardModel, Pool, Region, Round, SlotPrice
from huoshui.exchange.models import MFEN, Auction, Contract
from huoshui.registry.models import Party, Publication
from huoshui.registry.queries import publications_in_force
from huoshui.terms import ExchangeTerms
from huoshui.terms.rounding import BPS, format_yuan

KIND = "exchange_terms"
POOL = {"card_model": "card_model", "region": "site__region"}
"""Where a pool has what a price is known by."""


class Limits(NamedTuple):
    """Reference price and the lowest and highest price allowed, 1/1000 fen per card-hour."""

    reference: int
    low: int
    high: int


def terms_in_force() -> Publication:
    """The terms of the exchange in force today. Raises Missing."""
    found = publications_in_force(KIND).last()
    if found is None:
        raise Missing(_("No terms of the exchange are in force."))
    return found


def limits_of(contract: Contract | None, terms: ExchangeTerms, at: datetime) -> Limits:
    """Price limits of a contract, or of compute-account balances. Raises Missing where nothing tells a price."""
    if contract is None:
        return _around(accounts.index_price(), terms)
    return limits_at(contract.card_model, contract.region, terms, at)


def limits_at(card_model: CardModel, region: Region, terms: ExchangeTerms, at: datetime) -> Limits:
    """Price limits of cards of a model in a region. Raises Missing where nothing tells a price."""
    found = all_limits(terms, at, card_model=card_model, region=region).get((card_model.pk, region.pk))
    if found is None:
        raise Missing(_("Nothing tells a price of %(model)s in %(region)s.") % {"model": card_model, "region": region})
    return found


class Range(NamedTuple):
    """The lowest and highest price allowed of something, 1/1000 fen per card-hour."""

    what: str
    low: int
    high: int


def ranges(pools: Iterable[Pool] | None = None) -> list[Range]:
    """What is allowed now of the card models and regions of some pools, or of all."""
    found = all_limits(terms_in_force().loaded(), clock.now())
    rows = Pool.objects.select_related("card_model", "site__region") if pools is None else pools
    named = {(pool.card_model_id, pool.site.region_id): f"{pool.card_model} · {pool.site.region}" for pool in rows}
    known = {name: found[pair] for pair, name in named.items() if pair in found}
    return [Range(name, limits.low, limits.high) for name, limits in sorted(known.items())]


def all_limits(terms: ExchangeTerms, at: datetime, **of: CardModel | Region) -> dict[tuple[int, int], Limits]:
    """Price limits by the keys of card model and region, wherever something tells a price; `of` narrows to one."""
    pools = Pool.objects.filter(**{POOL[name]: row for name, row in of.items()})
    known = _list_prices(pools) | _slot_prices(pools) | _auction_prices(terms, at, of)
    return {pair: _around(price, terms) for pair, price in known.items()}


def _list_prices(pools: QuerySet[Pool]) -> dict[tuple[int, int], int]:
    sums = pools.filter(list_price_fen__gt=0).order_by().values_list(*POOL.values())
    found = sums.annotate(sum=Sum("list_price_fen"), count=Count("pk"))
    return {(model, region): total * MFEN // count for model, region, total, count in found}


def _slot_prices(pools: QuerySet[Pool]) -> dict[tuple[int, int], int]:
    rounds = Round.objects.filter(state__in=[Round.State.PUBLISHED, Round.State.SETTLED])
    sold = SlotPrice.objects.filter(round=rounds.order_by("-number").first(), pool__in=pools, sold_cards__gt=0)
    sums = sold.order_by().values_list(*(f"pool__{path}" for path in POOL.values()))
    found = sums.annotate(amount=Sum(F("price_mfen") * F("sold_cards")), cards=Sum("sold_cards"))
    return {(model, region): amount // cards for model, region, amount, cards in found if amount >= cards}


def _auction_prices(
    terms: ExchangeTerms, at: datetime, of: Mapping[str, CardModel | Region]
) -> dict[tuple[int, int], int]:
    found = Auction.objects.filter(
        state=Auction.State.PUBLISHED, price_mfen__isnull=False,
        published_at__gt=at - timedelta(days=terms.reference_days),
        **{f"contract__{name}": row for name, row in of.items()},
    ).order_by("published_at")  # fmt: skip
    rows = found.values_list("contract__card_model", "contract__region", "price_mfen")
    return {(model, region): price for model, region, price in rows if price}


def _around(price: int, terms: ExchangeTerms) -> Limits:
    tick = terms.tick_fen * MFEN
    reference = max(price // tick, 1) * tick
    low = -(-reference * (BPS - terms.price_limit_bps) // (BPS * tick)) * tick
    high = reference * (BPS + terms.price_limit_bps) // (BPS * tick) * tick
    return Limits(reference, max(low, tick), max(high, reference))


def check_price(price_mfen: int, limits: Limits, terms: ExchangeTerms, party: Party, subject: str) -> None:
    """Raises Invalid off the tick, Refused(code="price_limit") outside the limits."""
    tick = terms.tick_fen * MFEN
    if price_mfen % tick or price_mfen <= 0:
        raise invalid("price", shown(price_mfen), _("must be a multiple of %(tick)s yuan") % {"tick": shown(tick)})
    if not limits.low <= price_mfen <= limits.high:
        raise Refused(
            _("%(price)s yuan lies outside the limits of %(low)s to %(high)s yuan.")
            % {"price": shown(price_mfen), "low": shown(limits.low), "high": shown(limits.high)},
            code="price_limit", party=party.pk, subject=subject, price=price_mfen, low=limits.low, high=limits.high,
        )  # fmt: skip


def shown(mfen: int) -> str:
    """A price in yuan per card-hour."""
    return format_yuan(mfen // MFEN, grouping=False)


def check_lead(contract: Contract, terms: ExchangeTerms, at: datetime) -> None:
    """Raises Refused(code="too_late") when the cards begin too soon to be traded."""
    if contract.start_hour < clock.hour_of(at) + 1 + terms.lead_hours:
        raise Refused(
            _("Cards are traded until %(hours)s hours before they begin.") % {"hours": terms.lead_hours},
            code="too_late",
        )
