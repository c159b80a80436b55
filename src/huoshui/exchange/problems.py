"""From sealed orders to the arrays of an auction, and back; what binds an order before anybody may see it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from django.utils.translation import gettext as _

from huoshui.base import canonical
from huoshui.base.errors import Missing, Refused
from huoshui.base.merkle import inclusion_proof
from huoshui.clearing import auction
from huoshui.clearing.capacity import archive, public_verify
from huoshui.exchange.guards import Groups
from huoshui.exchange.models import MFEN, Auction, Order, Side


def build(auction_: Auction, orders: Sequence[Order]) -> auction.Problem:
    """The orders as columns, in the order in which they came."""
    groups = Groups()
    return auction.Problem(
        order_id=tuple(order.number for order in orders),
        buy=np.array([order.side == Side.BUY for order in orders], np.bool_),
        price=np.array([order.price_mfen for order in orders], np.int64),
        lots=np.array([order.lots for order in orders], np.int64),
        time=np.array([order.pk for order in orders], np.int64),
        group=np.array([groups[order.party] for order in orders], np.int64),
        tick=auction_.terms.tick_fen * MFEN,
        low=auction_.low_mfen,
        high=auction_.high_mfen,
        reference=auction_.reference_mfen,
    )


def stored(auction_: Auction) -> tuple[auction.Problem, auction.Result]:
    """The stored orders and result. Raises Missing before the auction is cleared, Refused when they do not match the
    digests in the log."""
    data = {row.kind: bytes(row.content) for row in auction_.data.all()}
    if "result" not in data:
        raise Missing(_("The auction is not cleared."))
    problem = archive.unpack(auction.Problem, data["problem"])
    result = archive.unpack(auction.Result, data["result"])
    if problem.digest() != auction_.digests["problem"] or result.digest() != auction_.digests["result"]:
        raise Refused(_("The stored auction does not match its digests in the log."), code="auction_tampered")
    return problem, result


def row(side: str, price_mfen: int, lots: int) -> dict[str, Any]:
    """An order as it is committed to and, later, opened: whose it is stands in the log beside the commitment."""
    return {"side": str(side), "price": price_mfen, "lots": lots}


def commitment(salt: str, content: Any) -> str:
    """SHA-256 (hex) of a salt (hex) and canonical content: binds it and, while the salt is secret, hides it."""
    return hashlib.sha256(bytes.fromhex(salt) + canonical.encode(content)).hexdigest()


def root(commitments: Sequence[str]) -> str:
    """Merkle root (hex, RFC 6962) over commitments (hex)."""
    return public_verify.merkle_root([bytes.fromhex(item) for item in commitments]).hex()


def path(commitments: Sequence[str], index: int) -> list[str]:
    """The path from one commitment to the root."""
    leaves = [public_verify.leaf_hash(bytes.fromhex(item)) for item in commitments]

    def subtree(level: int, place: int) -> bytes:
        if level == 0:
            return leaves[place]
        return public_verify.node_hash(subtree(level - 1, 2 * place), subtree(level - 1, 2 * place + 1))

    return [step.hex() for step in inclusion_proof(subtree, index, len(leaves))]
