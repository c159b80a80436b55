"""Check a published compute round with bare Python: `python public_verify.py public.json [--earlier old.json]`.

This file needs nothing but the Python standard library (3.10 or newer) and imports nothing of the platform, so that
a member of the public can read it whole and run it alone. It reads the public document of a round (format
`huoshui.capacity.public/1`, described in docs/formats/public-round.md) and recomputes every statement in it that
can be recomputed: the money adds up, no hour is sold twice, the bound stands above the value, the commitments
open, and the round entered the log. Money is in 1/1000 fen, time in hours since 1970-01-01T00:00Z.

Exit status: 0 when every check passes, 1 when one fails, 2 when the document cannot be read.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

FORMAT = "huoshui.capacity.public/1"
FREEZE = "compute.round.freeze"
FREEZE_SAYS = {"terms", "problem", "commitments_root", "requests", "deposits"}
"""All that the record of taking the requests in says: nothing of an outcome."""
DOCUMENT_BYTES_MAX = 1 << 30
SALT_BYTES = 32
Json = dict[str, Any]


class Failed(Exception):
    """A statement of the document is false; the message says which one, and where."""


def canonical(value: Any) -> bytes:
    """The one spelling of a JSON value: sorted keys, no spaces, UTF-8, no floating point."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(value: Any) -> str:
    """SHA-256 of the canonical spelling, in hexadecimal."""
    return hashlib.sha256(canonical(value)).hexdigest()


def commitment(salt: bytes, row: Json) -> bytes:
    """SHA-256 of salt and canonical row: binds the row and, while the salt is secret, hides it."""
    return hashlib.sha256(salt + canonical(row)).digest()


# --- RFC 6962 section 2.1: Merkle trees ---------------------------------------------------------------------------


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Root over the leaves; SHA-256 of nothing when there are none."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    level = [leaf_hash(leaf) for leaf in leaves]
    while len(level) > 1:  # pairing level by level gives the same tree as the recursive definition
        paired = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = paired + level[len(paired) * 2 :]
    return level[0]


def included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """True when the audit path leads from the leaf hash at `index` to the root of `size` leaves."""
    if not 0 <= index < size:
        return False
    last, found = size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if index & 1 or index == last:
            found = node_hash(sibling, found)
            while index and not index & 1:
                index, last = index >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        index, last = index >> 1, last >> 1
    return last == 0 and found == root


def consistent(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> bool:
    """True when the path proves that the tree of `old` leaves is the beginning of the tree of `new` leaves."""
    if old == new:
        return not path and old_root == new_root
    if not 0 < old < new:
        return False
    nodes = [old_root, *path] if old & (old - 1) == 0 else list(path)
    if not nodes:
        return False
    index, last = old - 1, new - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    before = after = nodes[0]
    for sibling in nodes[1:]:
        if last == 0:
            return False
        if index & 1 or index == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while index and not index & 1:
                index, last = index >> 1, last >> 1
        else:
            after = node_hash(after, sibling)
        index, last = index >> 1, last >> 1
    return last == 0 and before == old_root and after == new_root


# --- checks on the statement --------------------------------------------------------------------------------------


def need(holds: bool, message: str) -> None:
    if not holds:
        raise Failed(message)


def same(name: str, stated: Any, found: Any) -> None:
    need(stated == found, f"{name}: stated {stated}, recomputed {found}")


def check_shape(statement: Json) -> str:
    """Every table has one row per pool, one whole number that is not negative per hour."""
    same("format", statement["format"], FORMAT)
    pools, hours = len(statement["pools"]), statement["hours"]
    for name in ("offered", "sold", "slot_price"):
        table = statement[name]
        same(f"{name}: pools", len(table), pools)
        for pool, row in enumerate(table):
            same(f"{name}, pool {pool}: hours", len(row), hours)
            whole = all(type(cell) is int and cell >= 0 for cell in row)
            need(whole, f"{name}, pool {pool}: a cell is not a whole number of zero or more")
    for group in ("totals", "refused"):
        for name, amount in statement[group].items():
            need(type(amount) is int, f"{group}, {name}: {amount!r} is not a whole number")
    return f"{pools} pools, {hours} hours"


def check_cells(statement: Json) -> str:
    """In no pool and hour are more cards sold than were offered, and the totals are their sums."""
    totals = statement["totals"]
    for pool, (offered, sold) in enumerate(zip(statement["offered"], statement["sold"], strict=True)):
        for hour, (most, cards) in enumerate(zip(offered, sold, strict=True)):
            need(cards <= most, f"pool {pool}, hour {hour}: {cards} cards sold of {most} offered")
    same("card-hours offered", totals["card_hours_offered"], sum(map(sum, statement["offered"])))
    same("card-hours sold", totals["card_hours_sold"], sum(map(sum, statement["sold"])))
    return f"{totals['card_hours_sold']} of {totals['card_hours_offered']} card-hours sold"


def check_money(statement: Json) -> str:
    """What buyers pay is what depositors and carriers receive, to 1/1000 fen."""
    totals = statement["totals"]
    revenue = sum(
        price * cards
        for prices, sold in zip(statement["slot_price"], statement["sold"], strict=True)
        for price, cards in zip(prices, sold, strict=True)
    )
    same("deposit revenue", totals["deposit_revenue"], revenue)
    same("payments", totals["payment"], totals["deposit_revenue"] + totals["transfer"])
    need(totals["reserve_cost"] <= revenue, "depositors receive less than their reserve prices")
    need(totals["payment"] <= totals["budget_served"], "buyers pay more than their budgets")
    return f"{yuan(totals['payment'])} yuan at slot prices, before concessions, on both sides"


def check_bound(statement: Json) -> str:
    """The value is budgets less transfers less reserve cost, and the proven bound is not below it."""
    totals = statement["totals"]
    value = totals["budget_served"] - totals["transfer"] - totals["reserve_cost"]
    same("objective", totals["objective"], value)
    need(totals["bound"] >= value, f"bound {totals['bound']} is below the value {value}")
    same("gap in basis points", totals["gap_bps"], gap_bps(value, totals["bound"]))
    return f"gap {totals['gap_bps'] / 100:.2f} %"


def check_counts(statement: Json) -> str:
    """Every request is either served or refused for exactly one reason."""
    totals = statement["totals"]
    same("requests", totals["requests"], totals["served"] + sum(statement["refused"].values()))
    return f"{totals['served']} of {totals['requests']} requests served"


def gap_bps(value: int, bound: int) -> int:
    """Distance of the value from the bound in basis points of the bound, rounded up."""
    return -(-(bound - value) * 10_000 // bound) if bound > 0 else 0


def yuan(millifen: int) -> str:
    """An amount in yuan with as many decimals (2 to 5) as it needs to be exact."""
    sign, millifen = "-" if millifen < 0 else "", abs(millifen)
    whole, rest = divmod(millifen, 100_000)
    decimals = f"{rest:05d}".rstrip("0").ljust(2, "0")
    return f"{sign}{whole}.{decimals}"


# --- checks on the request table ----------------------------------------------------------------------------------


def check_commitments(document: Json) -> str:
    """The commitments have the stated root."""
    commitments = [bytes.fromhex(item) for item in document["commitments"]]
    same("number of commitments", len(commitments), document["statement"]["totals"]["requests"])
    same("root of the commitments", document["statement"]["commitments_root"], merkle_root(commitments).hex())
    return f"{len(commitments)} commitments"


def check_opened(document: Json) -> str:
    """Every request of the opened table is the one committed to, and the outcomes are those of publication."""
    table, statement = document["table"], document["statement"]
    same("rows", len(table), len(document["commitments"]))
    outcomes = []
    for number, (row, committed) in enumerate(zip(table, document["commitments"], strict=True)):
        salt = bytes.fromhex(row["salt"])
        same(f"row {number}: bytes of salt", len(salt), SALT_BYTES)
        same(f"row {number}: commitment", committed, commitment(salt, row["request"]).hex())
        same(f"row {number}: request of the outcome", row["outcome"]["request"], row["request"]["request"])
        outcomes.append(commitment(salt, row["outcome"]))
    same("root of the outcomes", statement["outcomes_root"], merkle_root(outcomes).hex())
    same("different requests", len({row["request"]["request"] for row in table}), len(table))
    return f"{len(table)} rows open"


def check_row(statement: Json, request: Json, outcome: Json) -> None:
    """A served request gets its own terms: pool, window, length, pieces, price and budget."""
    pool, runs = outcome["pool"], outcome["runs"]
    place = statement["pools"][pool]
    hours, lead = request["hours"].get(place["model"]), request["lead_hours"].get(place["region"])
    need(hours is not None, f"runs on model {place['model']}, which it does not accept")
    need(lead is not None, f"runs in region {place['region']}, which it does not accept")
    clock = request["earliest"] + lead
    for start, end in runs:
        need(clock <= start < end, f"run [{start}, {end}) starts before {clock} or has no length")
        clock = end
    need(clock <= request["deadline"], f"ends at {clock}, after its deadline {request['deadline']}")
    pieces = [end - start for start, end in runs]
    same("hours run", sum(pieces), hours)
    if request["preemptible"]:
        shortest = min(request["min_piece"], hours)
        need(min(pieces) >= shortest, f"a piece is shorter than {shortest} hours")
    else:
        same("pieces of an unbroken run", len(pieces), 1)
    slots = sum(sum(statement["slot_price"][pool][start:end]) for start, end in runs)
    same("transfer", outcome["transfer"], request["transfer_cost"][place["region"]])
    same("payment", outcome["payment"], slots * request["cards"] + outcome["transfer"])
    budget = request["budget"]
    need(outcome["payment"] <= budget, f"pays {outcome['payment']}, more than its budget {budget}")


def check_table(document: Json) -> str:
    """Row by row, then in sum: the opened table gives exactly the published cells, counts and totals."""
    statement = document["statement"]
    sold = [[0] * len(stated) for stated in statement["sold"]]
    refused = dict.fromkeys(statement["refused"], 0)
    sums = {"served": 0, "budget_served": 0, "transfer": 0, "payment": 0}
    for row in document["table"]:
        request, outcome = row["request"], row["outcome"]
        name, pool = request["request"], outcome["pool"]
        if pool is None:
            need(outcome["refusal"] in refused, f"request {name}: unknown reason {outcome['refusal']}")
            need(not outcome["runs"] and outcome["payment"] == 0, f"request {name}: refused, yet runs or pays")
            refused[outcome["refusal"]] += 1
            continue
        need(0 <= pool < len(sold), f"request {name}: runs in pool {pool}, which does not exist")
        try:
            check_row(statement, request, outcome)
        except Failed as failure:
            raise Failed(f"request {name}: {failure}") from None
        for start, end in outcome["runs"]:
            for hour in range(start, end):
                sold[pool][hour] += request["cards"]
        parts = {"served": 1, "budget_served": request["budget"]}
        for total, amount in (parts | {part: outcome[part] for part in ("transfer", "payment")}).items():
            sums[total] += amount
    for name, amount in sums.items():
        same(f"total {name}", statement["totals"][name], amount)
    same("refused by reason", statement["refused"], refused)
    for pool, (stated, found) in enumerate(zip(statement["sold"], sold, strict=True)):
        same(f"cards sold by hour in pool {pool}", stated, found)
    return f"{sums['served']} served requests get their own terms"


# --- checks on the log --------------------------------------------------------------------------------------------


def strings(value: Any) -> Iterator[str]:
    """Every text inside a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)


def check_log(document: Json) -> str:
    """A record of the log carries the digest of this statement, and the record is in the tree."""
    log = document["log"]
    named = digest(document["statement"]) in strings(log["payload"])
    need(named, "the record's payload does not carry the digest of this statement")
    check_included(log, log)
    return f"record {log['index']} of {log['size']}"


def check_included(entry: Json, log: Json) -> None:
    """A record with this payload is in the tree of the log."""
    same("payload digest in the record", entry["record"]["payload"], digest(entry["payload"]))
    path = [bytes.fromhex(item) for item in entry["path"]]
    leaf, root = leaf_hash(canonical(entry["record"])), bytes.fromhex(log["root"])
    need(included(leaf, entry["index"], log["size"], path, root), "the record is not in the tree of the log")


def check_frozen(document: Json) -> str:
    """The requests were taken in, and bound by the root over their commitments, in an earlier record."""
    log, statement = document["log"], document["statement"]
    frozen = log["frozen"]
    record, payload = frozen["record"], frozen["payload"]
    check_included(frozen, log)
    same("action and subject", [record["action"], record["subject"]], [FREEZE, log["record"]["subject"]])
    need(frozen["index"] < log["index"], "the requests were taken in after the round was published")
    same("what the record says", sorted(payload), sorted(FREEZE_SAYS))
    for name, key in (("problem", "problem_digest"), ("commitments_root", "commitments_root")):
        same(name, payload[name], statement[key])
    same("requests", payload["requests"], statement["totals"]["requests"])
    return f"record {frozen['index']}, before {log['index']}"


def check_grown(document: Json, earlier: Json) -> str:
    """The log of the earlier document is the beginning of this one: nothing was changed or taken out."""
    now, old = document["log"], earlier["log"]
    path = [bytes.fromhex(item) for item in now["consistency"][str(old["size"])]]
    grown = consistent(old["size"], now["size"], bytes.fromhex(old["root"]), bytes.fromhex(now["root"]), path)
    need(grown, f"the log of {now['size']} records does not begin with the earlier log of {old['size']}")
    return f"{old['size']} records unchanged, {now['size'] - old['size']} added"


# --- running ------------------------------------------------------------------------------------------------------

Check = Callable[[], str]


def checks(document: Json, earlier: Json | None = None) -> Iterator[tuple[str, Check | None]]:
    """Every check with its title; None where the document does not carry what the check needs."""
    statement = document["statement"]
    table, log = "table" in document, "log" in document
    yield "形式 form of the tables", lambda: check_shape(statement)
    yield "售出不超过存入 nothing sold twice", lambda: check_cells(statement)
    yield "收支相等 money in is money out", lambda: check_money(statement)
    yield "上界与差距 bound and gap", lambda: check_bound(statement)
    yield "笔数 counts of requests", lambda: check_counts(statement)
    yield "承诺 commitments", (lambda: check_commitments(document)) if "commitments" in document else None
    yield "承诺已打开 opened rows match", (lambda: check_opened(document)) if table else None
    yield "逐笔核对 every request gets its terms", (lambda: check_table(document)) if table else None
    yield "存证 entered in the log", (lambda: check_log(document)) if log else None
    frozen = log and "frozen" in document["log"]
    yield "清算前已承诺 committed before clearing", (lambda: check_frozen(document)) if frozen else None
    yield "存证只增 the log only grew", (lambda: check_grown(document, earlier)) if log and earlier else None


def failures(document: Json, earlier: Json | None = None) -> list[str]:
    """Messages of the checks that fail; empty when every statement that can be checked is true."""
    found = []
    for title, check in checks(document, earlier):
        try:
            if check:
                check()
        except Failed as failure:
            found.append(f"{title}: {failure}")
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            found.append(f"{title}: malformed document ({type(error).__name__}: {error})")
    return found


def read(path: str) -> Json:
    """A document from a file. Raises ValueError when it is too large or not JSON of whole numbers."""

    def no_float(text: str) -> Any:
        raise ValueError(f"{text} is not a whole number")

    size = Path(path).stat().st_size
    if size > DOCUMENT_BYTES_MAX:
        raise ValueError(f"{path} has {size} bytes, more than {DOCUMENT_BYTES_MAX}")
    document = json.loads(Path(path).read_text("utf-8"), parse_float=no_float, parse_constant=no_float)
    if not isinstance(document, dict) or not isinstance(document.get("statement"), dict):
        raise ValueError(f"{path} has no statement")
    return document


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check the public document of a compute round.")
    parser.add_argument("document", help="the public document of the round (JSON)")
    parser.add_argument("--earlier", help="an earlier public document: check that the log has only grown since")
    options = parser.parse_args(arguments)
    try:
        document = read(options.document)
        earlier = read(options.earlier) if options.earlier else None
    except (OSError, ValueError) as error:
        print(f"cannot read: {error}", file=sys.stderr)
        return 2
    failed = failures(document, earlier)
    for title, check in checks(document, earlier):
        message = next((text for text in failed if text.startswith(f"{title}: ")), None)
        if message:
            print(f"不符 FAILED  {message}")
        else:
            print(f"通过 ok      {title}: {check()}" if check else f"未含 absent  {title}")
    print(f"statement {digest(document['statement'])}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
