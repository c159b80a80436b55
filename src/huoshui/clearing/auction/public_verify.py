"""Check a published call auction with bare Python: `python public_verify.py auction-1-public.json`.

This file needs nothing but the Python standard library (3.10 or newer) and imports nothing of the platform, so that a
member of the public can read it whole and run it alone. It reads the public document of an auction (format
`huoshui.auction.public/1`) and recomputes what can be recomputed: no price of the curve is better than the published
one by the published rule; the statement is the one that the log carries; the orders were committed to in an earlier
record of the same log, which names no price; and, once the orders are opened, they are those committed to, they make
this curve, and the lots went to the right ones. Prices are 1/1000 fen per card-hour. Which orders are of one group is
secret: `admitted` is taken as said.

Exit status: 0 when every check passes, 1 when one fails, 2 when the document cannot be read.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

FORMAT = "huoshui.auction.public/1"
FREEZE = "exchange.auction.freeze"
FREEZE_SAYS = {"terms", "problem", "commitments_root", "orders", "cards_lost"}
"""All that the record of taking the orders in says: nothing of a price."""
DOCUMENT_BYTES_MAX = 1 << 30
Json = dict[str, Any]


class Failed(Exception):
    """A statement of the document is false; the message says which one."""


def canonical(value: Any) -> bytes:
    """The one spelling of a JSON value: sorted keys, no spaces, UTF-8, no floating point."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962, section 2.1."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return node_hash(merkle_root(leaves[:split]), merkle_root(leaves[split:]))


def root_from_path(leaf: bytes, index: int, size: int, path: Sequence[str]) -> bytes:
    """The root that an inclusion path leads to (RFC 9162, section 2.1.3.2)."""
    found, last = leaf_hash(leaf), size - 1
    if not 0 <= index < size:
        raise Failed("log: the index lies outside the tree")
    for step in path:
        if last == 0:
            raise Failed("log: the path is too long")
        if index % 2 or index == last:
            found = node_hash(bytes.fromhex(step), found)
            while index % 2 == 0 and index:
                index, last = index >> 1, last >> 1
        else:
            found = node_hash(found, bytes.fromhex(step))
        index, last = index >> 1, last >> 1
    if last:
        raise Failed("log: the path is too short")
    return found


def require(ok: bool, message: str) -> None:
    if not ok:
        raise Failed(message)


def check_curve(document: Json) -> None:
    """No level is better than the published price: most volume, least imbalance, nearest to the reference, lowest."""
    told = document["statement"]
    curve = told["curve"]
    rows = list(zip(curve["price"], curve["demand"], curve["supply"], strict=True))
    prices = curve["price"]
    require(bool(rows) and prices == sorted(set(prices)), "curve: prices must rise")
    require((prices[0], prices[-1]) == (told["low"], told["high"]), "curve: must reach from limit to limit")
    require(all(price % told["tick"] == 0 for price in prices), "curve: prices must be multiples of the tick")
    require(all(a[1] >= b[1] and a[2] <= b[2] for a, b in zip(rows, rows[1:], strict=False)), "curve: must be monotone")
    best = min((-min(d, s), abs(d - s), abs(p - told["reference"]), p) for p, d, s in rows)
    require(told["volume"] == -best[0], f"volume: {told['volume']}, but {-best[0]} lots can be traded")
    price = best[3] if told["volume"] else None
    require(told["price"] == price, f"price: {told['price']}, but the rule gives {price}")


def check_log(document: Json) -> None:
    """The log carries the digest of this statement, and its root covers the record."""
    receipt = document["log"]
    digest = hashlib.sha256(canonical(document["statement"])).hexdigest()
    digests = receipt["payload"]["digests"]
    require(digests["statement"] == digest, "log: another statement was published")
    told = document["statement"]
    for name, key in (("problem", "problem_digest"), ("result", "result_digest")):
        require(digests[name] == told[key], f"log: another digest of the {name}")
    require(digests["commitments_root"] == told["commitments_root"], "log: other commitments")
    check_included(receipt)


def check_included(receipt: Json) -> Json:
    """A record with this payload is in the log; returns the record."""
    leaf: Json = json.loads(receipt["leaf"])
    payload = hashlib.sha256(canonical(receipt["payload"])).hexdigest()
    require(leaf["payload"] == payload, "log: the record has another payload")
    found = root_from_path(receipt["leaf"].encode(), receipt["index"], receipt["size"], receipt["path"])
    require(found.hex() == receipt["root"], "log: the path does not lead to the root")
    return leaf


def check_frozen(document: Json) -> None:
    """The orders were taken in, and bound by the root over their commitments, before the log had a price of theirs."""
    frozen, published, told = document["frozen"], document["log"], document["statement"]
    record, later = check_included(frozen), json.loads(published["leaf"])
    same_log = (frozen["root"], frozen["size"]) == (published["root"], published["size"])
    require(same_log, "frozen: stands in another log")
    same_auction = (record["action"], record["subject"]) == (FREEZE, later["subject"])
    require(same_auction, "frozen: is not the record of taking in these orders")
    require(frozen["index"] < published["index"], "frozen: the orders were taken in after the price was published")
    payload = frozen["payload"]
    require(set(payload) == FREEZE_SAYS, "frozen: the record says more or less than what was taken in")
    require(payload["problem"] == told["problem_digest"], "frozen: other orders were taken in")
    require(payload["commitments_root"] == told["commitments_root"], "frozen: other orders were committed to")
    require(payload["orders"] == told["orders"], "frozen: another number of orders was taken in")


def check_commitments(document: Json) -> None:
    """The commitments make the root that the log has."""
    told = document["statement"]
    require(len(document["commitments"]) == told["orders"], "commitments: one for each order")
    found = merkle_root([bytes.fromhex(item) for item in document["commitments"]]).hex()
    require(found == told["commitments_root"], "commitments: other orders were committed to")


def check_orders(document: Json) -> None:
    """The opened orders are those committed to, make this curve, and got what the rule gives them."""
    orders = document.get("orders")
    if orders is None:
        return
    told = document["statement"]
    for place, (order, said) in enumerate(zip(orders, document["commitments"], strict=True)):
        row = {name: order[name] for name in ("side", "price", "lots")}
        found = hashlib.sha256(bytes.fromhex(order["salt"]) + canonical(row)).hexdigest()
        require(found == said, f"orders[{place}]: is not what was committed to")
    require(sum(not order["admitted"] for order in orders) == told["left_out"], "orders: another number is left out")
    inside = [order for order in orders if order["admitted"]]
    require(_levels(told, inside) == told["curve"]["price"], "curve: leaves out or adds a step")
    for price, demand, supply in zip(*(told["curve"][name] for name in ("price", "demand", "supply")), strict=True):
        bought = sum(o["lots"] for o in inside if o["side"] == "buy" and o["price"] >= price)
        sold = sum(o["lots"] for o in inside if o["side"] == "sell" and o["price"] <= price)
        require((bought, sold) == (demand, supply), f"curve: demand and supply at {price} are {bought} and {sold}")
    for side in ("buy", "sell"):
        left = told["volume"]
        for order in _queue(inside, side):
            require(order["filled"] == min(order["lots"], left), f"orders: a {side} order got the wrong lots")
            left -= order["filled"]
    require(all(not o["filled"] for o in orders if not o["admitted"]), "orders: one that was left out got lots")


def _queue(inside: Sequence[Json], side: str) -> list[Json]:
    """Who trades first in front. Sorting is stable: at equal limits the earlier order comes first."""
    mine = [order for order in inside if order["side"] == side]
    return sorted(mine, key=lambda o: -int(o["price"]) if side == "buy" else int(o["price"]))


def _levels(told: Json, inside: Sequence[Json]) -> list[int]:
    tick, near = told["tick"], told["reference"] // told["tick"] * told["tick"]
    steps = {told["low"], told["high"], near, -(-told["reference"] // tick) * tick}
    for order in inside:
        steps |= {order["price"], order["price"] + (tick if order["side"] == "buy" else -tick)}
    return sorted(step for step in steps if told["low"] <= step <= told["high"])


CHECKS: tuple[Callable[[Json], None], ...] = (
    check_curve, check_log, check_frozen, check_commitments, check_orders,
)  # fmt: skip


def failures(document: Any) -> Iterator[str]:
    """What is false in a document; nothing when every check passes."""
    if not isinstance(document, dict) or document.get("statement", {}).get("format") != FORMAT:
        yield f"format: must be {FORMAT}"
        return
    for check in CHECKS:
        try:
            check(document)
        except Failed as error:
            yield str(error)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            yield f"{check.__name__}: the document is malformed ({error!r})"


def main(arguments: Sequence[str]) -> int:
    """Check the document named on the command line."""
    try:
        data = Path(arguments[0]).read_bytes()
        document = json.loads(data[: DOCUMENT_BYTES_MAX + 1])
    except (IndexError, OSError, ValueError) as error:
        print(f"cannot be read: {error}")
        return 2
    found = list(failures(document))
    for sentence in found:
        print(f"FALSE  {sentence}")
    opened = "orders" in document if isinstance(document, dict) else False
    if not found:
        print("every statement holds" + ("" if opened else " (the orders are not opened yet)"))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
