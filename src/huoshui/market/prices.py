"""What cards over hours cost: tiers, the most that is paid, periods. Pure integer arithmetic.

A price is fen per card and `unit_hours` (1, or a month of 30 days). Of the tiers whose cards and hours are both reached
the lowest price counts, so buying more never costs more per card-hour; amounts are exact wherever hours are whole units
and floored once elsewhere. The platform gives up a share of the amount (concession), floored as well.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from huoshui.terms.rounding import floor_share

MONTH_HOURS = 720
"""A month is 30 days wherever a product is priced or billed by the month."""


@dataclass(frozen=True)
class Tier:
    """`price_fen` from `cards_from` cards and `hours_from` hours on."""

    cards_from: int
    hours_from: int
    price_fen: int

    def reached(self, cards: int, hours: int) -> bool:
        return cards >= self.cards_from and hours >= self.hours_from


def price_of(base_fen: int, tiers: Iterable[Tier], cards: int, hours: int) -> int:
    """The price that holds for so many cards over so many hours."""
    return min([base_fen, *(tier.price_fen for tier in tiers if tier.reached(cards, hours))])


def gross_of(cards: int, hours: int, price_fen: int, unit_hours: int) -> int:
    """Card-hours at a price, floored once."""
    return cards * hours * price_fen // unit_hours


def net_of(gross_fen: int, concession_bps: int) -> int:
    """What is paid of an amount after the platform's concession. It never falls while the amount rises."""
    return gross_fen - floor_share(gross_fen, concession_bps)


def periods(start_hour: int, end_hour: int) -> list[tuple[int, int]]:
    """The billing periods of a term: months of 30 days from its start, the last one as long as is left."""
    return [(first, min(first + MONTH_HOURS, end_hour)) for first in range(start_hour, end_hour, MONTH_HOURS)]


def total_of(start_hour: int, end_hour: int, cards: int, price_fen: int, unit_hours: int, whole: bool, bps: int) -> int:
    """The most that is paid for a term after a concession of `bps`: billed in periods where it is paid as a whole."""
    parts = periods(start_hour, end_hour) if whole else [(start_hour, end_hour)]
    return sum(net_of(gross_of(cards, last - first, price_fen, unit_hours), bps) for first, last in parts)


@dataclass(frozen=True)
class Quote:
    """What an order would cost, and the next tier that would lower its price.

    `cap_fen` is the most at the price: the gross amount, or less where the buyer says so; `total_fen` is that less the
    concession.
    """

    cards: int
    hours: int
    price_fen: int
    gross_fen: int
    cap_fen: int
    total_fen: int
    next_tier: Tier | None

    @property
    def concession_fen(self) -> int:
        """What the platform gives up."""
        return self.cap_fen - self.total_fen


def quote(
    base_fen: int, tiers: Iterable[Tier], cards: int, hours: int, unit_hours: int, whole: bool, bps: int,
    cap_fen: int | None = None,
) -> Quote:  # fmt: skip
    """Work out an order of so many cards over so many hours, with a concession of `bps` and a cap, if one is set."""
    known = list(tiers)
    price = price_of(base_fen, known, cards, hours)
    better = [tier for tier in known if tier.price_fen < price]
    nearest = min(better, key=lambda tier: (tier.cards_from * tier.hours_from, tier.price_fen), default=None)
    gross = gross_of(cards, hours, price, unit_hours)
    if cap_fen is not None:
        return Quote(cards, hours, price, gross, cap_fen, net_of(cap_fen, bps), nearest)
    return Quote(cards, hours, price, gross, gross, total_of(0, hours, cards, price, unit_hours, whole, bps), nearest)
