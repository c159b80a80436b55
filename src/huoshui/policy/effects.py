"""Who gains and who loses by a change of rules: both packs over the same facts. Runs in a child process: no Django.

An amount counts where the verdict is met; it is zero where a pack says no, and not known where a fact is missing or a
person decides. A voucher pays nothing until something is bought, so its amount is that of the firm's declared compute
contracts of the year, delivered and paid in full in facilities of the first type, without another voucher (`planned`):
the same supposition for both packs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import polars as pl

from huoshui import rules
from huoshui.rules import Library, Pack, Verdict
from huoshui.rules.diff import diff
from huoshui.rules.fields import CLAIM
from huoshui.rules.model import Stage

CHUNK_ROWS: Final = 1 << 18
ROWS_MAX: Final = 20_000
"""Entities kept by name: those whose amounts change most, then those whose verdicts do."""
PARTY: Final = "party"
CONTRACTS: Final = "compute.contracts"
CLAIM_AMOUNTS: Final = ("claim.contract-amount", "claim.settled", "claim.paid", "claim.claimed")
SUPPOSED: Final = {
    "claim.service": "compute", "claim.facility": "a", "claim.on-platform": True, "claim.other-vouchers": 0,
    "claim.other-rate": 0,
}  # fmt: skip
Report = Callable[..., bool]


@dataclass(frozen=True)
class Job:
    """The texts of two packs, of all others that they may name, and the day."""

    old: str
    new: str
    others: tuple[str, ...]
    on: date


def columns(packs: Iterable[Pack], pack: Pack, on: date) -> set[str]:
    """The facts of an entity that judging it by one of the packs, and what it would be paid, may read."""
    library = Library({each.id: each for each in (*packs, pack)}.values())
    wanted = {name for name in library.columns(on, Stage.CLAIM, [pack.id]) if not name.startswith(CLAIM)}
    return wanted | {f"{CONTRACTS}@{on.year}"}


def compare(job: Job, source: str, progress: Report) -> dict[str, Any]:
    """Evaluate a file of facts (a row for each entity) by both packs.

    Returns {totals, rows, digest}: totals as in `totals`, rows as (party, old verdict, new verdict, old fen, new fen),
    the digest of the file. Raises RuntimeError when asked to stop.
    """
    old, new = rules.load(job.old), rules.load(job.new)
    known = {pack.id: pack for pack in map(rules.load, job.others)}
    scan = pl.scan_parquet(source)
    count = int(scan.select(pl.len()).collect().item())
    parts = []
    for start in range(0, max(count, 1), CHUNK_ROWS):
        if not progress("evaluating", start, count):
            raise RuntimeError("stopped")
        chunk = planned(scan.slice(start, CHUNK_ROWS).collect(), job.on)
        effect = diff(old, new, chunk, job.on, known_packs=known).effect
        assert effect is not None, "a frame has an effect"
        parts.append(effect.entities.insert_column(0, chunk[PARTY]))
    both = pl.concat(parts)
    changed = both.filter((pl.col("before") != pl.col("after")) | (pl.col("delta_fen").fill_null(0) != 0))
    kept = changed.sort(pl.col("delta_fen").abs().fill_null(-1), PARTY, descending=[True, False]).head(ROWS_MAX)
    with Path(source).open("rb") as data:
        digest = hashlib.file_digest(data, "sha256").hexdigest()
    rows = kept.select(PARTY, "before", "after", "before_fen", "after_fen").rows()
    return {"totals": totals(both), "rows": rows, "digest": digest}


def planned(chunk: pl.DataFrame, on: date) -> pl.DataFrame:
    """With the claim that the declared contracts of the year would become."""
    name = f"{CONTRACTS}@{on.year}"
    contracts = pl.col(name) if name in chunk.columns else pl.lit(None, pl.Int64)
    return chunk.with_columns(
        *(contracts.alias(each) for each in CLAIM_AMOUNTS),
        *(pl.lit(value).alias(name) for name, value in SUPPOSED.items()),
    )  # fmt: skip


def totals(both: pl.DataFrame) -> dict[str, Any]:
    """Counts and sums over all entities.

    `verdicts`: [before, after, entities]; `gain`, `lose`: entities, fen and the largest single amount of those that
    are paid more, less; `enter`, `leave`: entities that become entitled, are no longer; `open`: entities for which one
    of the packs needs a fact or a person.
    """
    before, after = pl.col("before"), pl.col("after")
    met, no = Verdict.MET.value, [Verdict.UNMET.value, Verdict.NA.value]
    unsure = [Verdict.UNKNOWN.value, Verdict.MANUAL.value]
    paid = {name: int(both[f"{name}_fen"].sum() or 0) for name in ("before", "after")}
    delta = both["delta_fen"]
    return {
        "entities": both.height, "open": both.filter(before.is_in(unsure) | after.is_in(unsure)).height,
        "verdicts": [list(row) for row in both.group_by("before", "after").len().sort("before", "after").rows()],
        "enter": both.filter((after == met) & before.is_in(no)).height,
        "leave": both.filter((before == met) & after.is_in(no)).height,
        "gain": _side(delta.filter(delta > 0)), "lose": _side(-delta.filter(delta < 0)),
        "before_fen": paid["before"], "after_fen": paid["after"], "money": sum(paid.values()) > 0,
    }  # fmt: skip


def _side(amounts: pl.Series) -> dict[str, int]:
    return {"entities": len(amounts), "fen": int(amounts.sum()), "largest": max(amounts.to_list(), default=0)}
