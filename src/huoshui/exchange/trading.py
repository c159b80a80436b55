"""From a match to a trade: the buyer's money is committed, the cards are handed over, both in the caller's action.

Each trade has a subject of its own in the book, `exchange.trade:ID`, and its statement is final there. What a buy order
held turns into the commitments of its trades: held − (order), committed + (trade), and what is too much back to limit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from huoshui.base import canonical
from huoshui.base.act import Act
from huoshui.base.models import LogRecord
from huoshui.book import services as book
from huoshui.book.models import Kind
from huoshui.book.services import CNY, Leg
from huoshui.exchange import backing
from huoshui.exchange.backing import Cards
from huoshui.exchange.models import MFEN, Auction, Contract, Trade
from huoshui.jobs.models import Booking
from huoshui.registry.models import Party

MEMO = "exchange.commit"


class Held(NamedTuple):
    """What a buyer held under a subject and gives up for this trade (fen), never less than the trade costs."""

    subject: str
    fen: int


@dataclass(frozen=True)
class Deal:
    """A trade to be: `cards` are the seller's (None: a balance), `held` the buyer's held money (None: free)."""

    way: str
    source: str
    seller: Party
    buyer: Party
    contract: Contract | None
    lots: int
    price_mfen: int
    cards: Cards | None = None
    resold_from: Booking | None = None
    held: Held | None = None
    auction: Auction | None = None

    @property
    def amount_fen(self) -> int:
        """What the buyer pays at most."""
        hours = self.contract.hours if self.contract else 1
        return self.lots * hours * self.price_mfen // MFEN


def make(act: Act, record: LogRecord, deals: Sequence[Deal], terms_digest: str) -> list[Trade]:
    """All trades or none. Raises Refused(code="over_limit") when a buyer's limit does not cover what was not held,
    Refused(code="not_held") when cards that were set aside are no longer there."""
    trades = [
        Trade.objects.create(
            way=deal.way, contract=deal.contract, auction=deal.auction, source=deal.source, seller=deal.seller,
            buyer=deal.buyer, lots=deal.lots, price_mfen=deal.price_mfen, amount_fen=deal.amount_fen,
            resold_from=deal.resold_from, terms_digest=terms_digest, made_at=act.at, record=record,
        )
        for deal in deals
    ]  # fmt: skip
    for deal, trade in zip(deals, trades, strict=True):
        if deal.cards is not None and deal.contract is not None:
            trade.booking = backing.deliver(
                act, record, deal.cards, deal.contract, deal.lots, deal.buyer, trade, deal.price_mfen
            )
            trade.save(update_fields=["booking"])
    book.post_many(
        act, record, [_legs(deal, trade) for deal, trade in zip(deals, trades, strict=True)], memo=MEMO
    )
    return trades


def _legs(deal: Deal, trade: Trade) -> list[Leg]:
    payer, amount = deal.buyer.pk, deal.amount_fen
    committed = Leg(payer, Kind.COMMITTED, CNY, canonical.label(trade), amount)
    if deal.held is None:
        return [Leg(payer, Kind.LIMIT, CNY, "", -amount), committed]
    legs = [Leg(payer, Kind.HELD, CNY, deal.held.subject, -deal.held.fen), committed]
    rest = deal.held.fen - amount
    return [*legs, Leg(payer, Kind.LIMIT, CNY, "", rest)] if rest else legs
