"""Facts of whole files, kept as Parquet in HUOSHUI_HOME/facts: a column `party`, sorted, and a column for each fact.

A snapshot is named by the digest of its bytes and never changes, so it can be copied at any moment and what was read
of it once may be kept. The row groups are small and sorted: the facts of one party are found by the statistics of the
`party` column, without reading the rest. A snapshot counts from the moment that its row `FactFile` is committed; one
without a row is left over from an import that did not end.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import polars as pl
from django.conf import settings

FOLDER = "facts"
PARTY = "party"
ROW_GROUP_ROWS = 8_192
ROWS_KEPT = 4_096
"""Rows of single parties that a process remembers."""


class SnapshotMissing(Exception):
    """A file of facts that the database names is not there: never the same as nothing being known."""


def folder() -> Path:
    """Where snapshots lie."""
    return Path(settings.HOME) / FOLDER


def path(digest: str) -> Path:
    """The file of a snapshot. Raises SnapshotMissing."""
    found = folder() / f"{digest}.parquet"
    if not found.is_file():
        raise SnapshotMissing(f"{found} is missing: restore it from the backup of the facts")
    return found


def write(frame: pl.DataFrame) -> str:
    """Keep a frame sorted by party; returns its digest. A reader never sees half of it, power may fail at any point."""
    folder().mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = folder() / f".{os.getpid()}.part"
    frame.write_parquet(unfinished, row_group_size=ROW_GROUP_ROWS, statistics=True, compression="zstd")
    with unfinished.open("rb") as data:
        os.fsync(data.fileno())
        digest = hashlib.file_digest(data, "sha256").hexdigest()
    unfinished.replace(folder() / f"{digest}.parquet")
    return digest


def of_party(digests: Iterable[str], party: int) -> dict[str, Mapping[str, Any]]:
    """What each snapshot says of one party: digest → values by fact code. Snapshots without the party are left out."""
    rows = {digest: _row(digest, party) for digest in digests}
    return {digest: row for digest, row in rows.items() if row is not None}


@lru_cache(maxsize=ROWS_KEPT)
def _row(digest: str, party: int) -> Mapping[str, Any] | None:
    rows = pl.scan_parquet(path(digest)).filter(pl.col(PARTY) == party).collect().to_dicts()
    return MappingProxyType(rows[0]) if rows else None


def of_parties(digest: str, codes: Sequence[str], parties: pl.Series) -> pl.DataFrame:
    """The columns `codes` of a snapshot, one row for each of `parties` in that order; null where it says nothing."""
    scanned = pl.scan_parquet(path(digest)).select(PARTY, *codes)
    if len(parties) < ROW_GROUP_ROWS:
        scanned = scanned.filter(pl.col(PARTY).is_in(parties.implode()))
    stored = scanned.collect()
    if not stored[PARTY].equals(parties):
        stored = parties.to_frame(PARTY).join(stored, on=PARTY, how="left", maintain_order="left")
    return stored.drop(PARTY)
