"""All packs on all entities, from Parquet to Parquet. Runs in a child process, so nothing here knows Django.

The idea: a file of facts (a row for each entity: `party`, `division`, one column for each fact that the packs read) is
taken a chunk at a time; each chunk goes through the one evaluator of `huoshui.rules`, which keeps memory flat, and each
pack's rows are written beside one another: `OUT/PACK/0000.parquet`. A row that a pack does not concern (n/a) is counted
and not written. What an officer asks first (how many, how much, which condition, which fact) is summed on the way.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from huoshui import rules
from huoshui.rules import Library, Pack, Stage, Verdict
from huoshui.rules.algebra import full
from huoshui.rules.evaluate import judged_slices
from huoshui.rules.missing import undecided
from huoshui.rules.table import Table

CHUNK_ROWS = 1 << 18
"""Two slices of the evaluator: it has two threads on a small machine."""
PARTY, DIVISION = "party", "division"
COMPRESSION: Any = "lz4"
RESULT = ("verdict", "via", "blocker", "margin", "amount_fen", "amount_max_fen")
Report = Callable[..., bool]


@dataclass(frozen=True)
class Job:
    """What to evaluate: the texts of all packs of a shelf, which of them are asked, and the day."""

    texts: tuple[str, ...]
    listed: tuple[str, ...]
    on: date


@dataclass
class Tally:
    """What one pack's rows add up to. `blockers`: (transition by which another pack judged, index of the sole blocking
    criterion) → entities. `decides`: column → entities of which it alone is missing; `concerns`: of which it is one."""

    verdicts: Counter[str] = field(default_factory=Counter)
    amount_fen: int = 0
    amounts_unknown: int = 0
    blockers: Counter[tuple[int, int]] = field(default_factory=Counter)
    decides: Counter[str] = field(default_factory=Counter)
    concerns: Counter[str] = field(default_factory=Counter)
    decides_fen: Counter[str] = field(default_factory=Counter)

    def plain(self) -> dict[str, Any]:
        """As JSON types."""
        return {
            "verdicts": {verdict.name.lower(): self.verdicts[verdict.name.lower()] for verdict in Verdict},
            "amount_fen": self.amount_fen, "amounts_unknown": self.amounts_unknown,
            "blockers": [[*where, count] for where, count in sorted(self.blockers.items(), key=_most_first)],
            "facts": [
                [column, self.decides[column], entities, self.decides_fen[column]]
                for column, entities in sorted(
                    self.concerns.items(), key=lambda pair: (-self.decides[pair[0]], -pair[1], pair[0])
                )
            ],
        }  # fmt: skip


def _most_first(pair: tuple[tuple[int, int], int]) -> tuple[int, tuple[int, int]]:
    return -pair[1], pair[0]


def evaluate_file(job: Job, source: str, out: str, progress: Report) -> dict[str, Any]:
    """Evaluate a file of facts; returns {entities, packs: {id: Tally.plain()}, files: {name: SHA-256}}.

    Raises RuntimeError when asked to stop: half a run is no run.
    """
    library = Library(map(rules.load, job.texts))
    tallies = {name: Tally() for name in job.listed}
    scan = pl.scan_parquet(source)
    rows = int(scan.select(pl.len()).collect().item())
    for number, start in enumerate(range(0, rows, CHUNK_ROWS)):
        if not progress("evaluating", start, rows):
            raise RuntimeError("stopped")
        chunk = scan.slice(start, CHUNK_ROWS).collect()
        for name, found in evaluated(library, job.listed, chunk, job.on, tallies):
            _write(Path(out) / name, number, found)
    progress("evaluating", rows, rows)
    return {
        "entities": rows, "packs": {name: tally.plain() for name, tally in tallies.items()}, "files": digests(out),
    }  # fmt: skip


def _write(folder: Path, number: int, rows: pl.DataFrame) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows.write_parquet(folder / f"{number:04d}.parquet", compression=COMPRESSION)


def digests(out: str) -> dict[str, str]:
    """SHA-256 of each file of results, by its name within the directory."""
    found = {}
    for path in sorted(Path(out).glob("*/*.parquet")):
        with path.open("rb") as data:
            found[str(path.relative_to(out))] = hashlib.file_digest(data, "sha256").hexdigest()
    return found


# --- one chunk --------------------------------------------------------------------------------------------------------


def evaluated(
    library: Library, listed: Sequence[str], chunk: pl.DataFrame, on: date, tallies: Mapping[str, Tally]
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Each listed pack's rows that it concerns, added to its tally.

    Columns: party, division, those of RESULT as `rules.evaluate` gives them, and `fact`: the column that alone keeps
    the verdict unknown (null: none or several).
    """
    division = pl.col(DIVISION) if DIVISION in chunk.columns else pl.lit(None, pl.String).alias(DIVISION)
    who = chunk.select(PARTY, division)
    for name, verdicts in rules.evaluate(library, chunk, on, packs=listed).items():
        pack = library[name]
        facts = _missing(library, pack, chunk, verdicts, on, tallies[name])
        rows = who.hstack(verdicts.select(RESULT).with_columns(facts))
        _add(tallies[name], pack, rows)
        yield name, rows.filter(pl.col("verdict") != Verdict.NA)


def _add(tally: Tally, pack: Pack, rows: pl.DataFrame) -> None:
    """Count what an officer asks first."""
    for verdict, count in rows["verdict"].value_counts().iter_rows():
        tally.verdicts[Verdict(verdict).name.lower()] += count
    met = rows.filter(pl.col("verdict") == Verdict.MET)["amount_fen"]
    tally.amount_fen += int(met.sum())
    if pack.benefit is not None and pack.benefit.amount is not None:
        tally.amounts_unknown += met.null_count()
    blocked = rows.filter((pl.col("verdict") == Verdict.UNMET) & (pl.col("blocker") >= 0))
    for via, blocker, count in blocked.group_by("via", "blocker").len().iter_rows():
        tally.blockers[via, blocker] += count


def _missing(
    library: Library, pack: Pack, chunk: pl.DataFrame, verdicts: pl.DataFrame, on: date, tally: Tally
) -> pl.Series:
    """The column that alone keeps each verdict unknown; adds to the tally which columns do so, and which take part."""
    nothing = pl.Series("fact", [None], dtype=pl.String).new_from_index(0, len(chunk))
    unknown = (verdicts["verdict"] == Verdict.UNKNOWN).arg_true()
    if not len(unknown):
        return nothing

    def look(table: Table) -> pl.DataFrame:
        open_ = undecided(library, pack, table, Stage.ENTITLEMENT)
        return pl.DataFrame([full(rows, table.rows, pl.Boolean, name).fill_null(False) for name, rows in open_.items()])

    parts = judged_slices(library, chunk[unknown], on, look)
    taking = pl.concat(parts, how="diagonal").fill_null(False)
    count = taking.select(pl.sum_horizontal(pl.all().cast(pl.UInt16)).alias("n"))["n"]
    first = pl.coalesce(pl.when(name).then(pl.lit(name)) for name in taking.columns)
    sole = taking.select(pl.when(count == 1).then(first).alias("fact"))["fact"]
    for name in taking.columns:
        if entities := int(taking[name].sum()):
            tally.concerns[name] += entities
    alone = pl.DataFrame([sole, verdicts["amount_max_fen"][unknown]]).drop_nulls("fact")
    for name, entities, fen in alone.group_by("fact").agg(pl.len(), pl.col("amount_max_fen").sum()).iter_rows():
        tally.decides[name] += entities
        tally.decides_fen[name] += fen
    return nothing.scatter(unknown, sole)
