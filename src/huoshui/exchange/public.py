"""What everybody may see of a published auction: price, volume, the curve that proves them, and bound orders.

The statement is public at once. It names the digest of the orders and the root over the salted commitments. Both stand
in an earlier record of the log, made when the orders were taken in, which the document carries with its place. After
the delay of the terms the orders are opened, without names: anybody can check that they are the ones committed to, that
they make this curve, and that the curve makes this price.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _

from huoshui.base import canonical, clock, log
from huoshui.base.errors import Missing
from huoshui.base.models import LogRecord
from huoshui.clearing import auction as clearing
from huoshui.clearing.auction.public_verify import FORMAT, FREEZE
from huoshui.exchange import problems
from huoshui.exchange.models import Auction, Order, Side


def verify(auction: Auction) -> list[str]:
    """What `auction.verify` finds false in the stored result; empty when every statement holds."""
    return [str(violation) for violation in clearing.verify(*problems.stored(auction))]


def opens_at(auction: Auction) -> datetime | None:
    """When the orders are opened to the public; None before publishing."""
    delay = timedelta(hours=auction.terms.table_delay_hours)
    return None if auction.published_at is None else auction.published_at + delay


def statement(auction: Auction, problem: clearing.Problem, result: clearing.Result) -> dict[str, Any]:
    """What the log record of publishing carries the digest of. Prices in 1/1000 fen per card-hour."""
    contract = auction.contract
    return {
        "format": FORMAT,
        "auction": auction.number,
        "contract": {
            "model": contract.card_model.code, "region": contract.region.code,
            "site": contract.site.code if contract.site else None, "start_hour": contract.start_hour,
            "end_hour": contract.end_hour, "billing": contract.billing,
        },
        "tick": problem.tick, "low": problem.low, "high": problem.high, "reference": problem.reference,
        "price": result.price if result.volume else None,
        "volume": result.volume,
        "orders": len(problem.order_id),
        "left_out": int((~result.admitted).sum()),
        "curve": {
            "price": result.level_price.tolist(), "demand": result.level_demand.tolist(),
            "supply": result.level_supply.tolist(),
        },
        "problem_digest": problem.digest(),
        "result_digest": result.digest(),
        "commitments_root": auction.digests["commitments_root"],
    }  # fmt: skip


def statement_digest(auction: Auction, problem: clearing.Problem, result: clearing.Result) -> str:
    """SHA-256 of the canonical statement."""
    return canonical.digest(statement(auction, problem, result))


def document(auction: Auction) -> dict[str, Any]:
    """The public document as of now. Raises Missing before the auction is published."""
    opening = opens_at(auction)
    if opening is None or auction.record is None:
        raise Missing(_("The auction is not published."))
    problem, result = problems.stored(auction)
    orders, size = taken_in(auction), log.size()
    found: dict[str, Any] = {
        "statement": statement(auction, problem, result),
        "commitments": [order.commitment for order in orders],
        "frozen": _logged(LogRecord.objects.get(subject=canonical.label(auction), action=FREEZE), size),
        "log": _logged(auction.record, size),
    }
    if clock.now() >= opening:
        found["orders"] = [
            problems.row(order.side, order.price_mfen, order.lots)
            | {"salt": order.salt, "admitted": bool(result.admitted[index]), "filled": int(result.filled[index])}
            for index, order in enumerate(orders)
        ]
    return found


def _logged(record: LogRecord, size: int) -> dict[str, Any]:
    """A record with its place in the log of a size."""
    return log.inclusion(record, size) | {"payload": json.loads(record.payload)}


def taken_in(auction: Auction) -> list[Order]:
    """The orders that were cleared, in the order in which they came."""
    return list(auction.orders.filter(state=Order.State.DONE).order_by("pk"))


def own_proof(order: Order) -> dict[str, Any]:
    """A party's own order as it was committed to, and its place under the root that the log has."""
    found: dict[str, Any] = problems.row(Side(order.side), order.price_mfen, order.lots) | {
        "salt": order.salt, "commitment": order.commitment,
    }  # fmt: skip
    if order.state == Order.State.DONE:
        commitments = [row.commitment for row in taken_in(order.auction)]
        index = commitments.index(order.commitment)
        found |= {
            "index": index, "size": len(commitments), "path": problems.path(commitments, index),
            "commitments_root": order.auction.digests["commitments_root"],
        }  # fmt: skip
    return found
