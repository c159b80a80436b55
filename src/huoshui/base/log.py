"""The one log: what was done, by whom, in which order, so that nobody can change it unseen.

Writing has two steps. `write` inserts the record where the action happens, so that entries and events can cite it.
`seal` runs last in the transaction: under one lock it gives the records their leaf indices and stores the hashes of
the subtrees that became complete. Nothing is ever updated. Trees and proofs are those of RFC 6962.
"""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Model, Q

from huoshui.base import canonical, clock, merkle
from huoshui.base.models import Checkpoint, LogHead, LogLeaf, LogNode, LogRecord

FAULTS_MAX = 100


def write(actor: str, action: str, subject: Model | str, payload: Any, effective_at: datetime) -> LogRecord:
    """Insert a record that still lacks its leaf."""
    text = canonical.encode(payload)
    return LogRecord.objects.create(
        actor=actor,
        action=action,
        subject=subject if isinstance(subject, str) else canonical.label(subject),
        payload=text.decode(),
        payload_digest=canonical.digest(payload),
        effective_at=effective_at,
        recorded_at=clock.real_now(),
    )


def leaf_bytes(record: LogRecord) -> bytes:
    """What the leaf hash covers: everything of the record but the payload itself, which its digest stands for."""
    return canonical.encode(
        {
            "v": record.version,
            "id": record.pk,
            "actor": record.actor,
            "action": record.action,
            "subject": record.subject,
            "payload": record.payload_digest,
            "effective_at": record.effective_at,
            "recorded_at": record.recorded_at,
        }
    )


def seal(records: Iterable[LogRecord]) -> None:
    """Append the records to the tree. Call once, last in the transaction: it holds the log's lock until commit."""
    head = LogHead.objects.select_for_update().get(pk=1)
    leaves, nodes = [], []
    peaks = _peaks(head.size)
    for record in records:
        leaves.append(LogLeaf(index=head.size, record=record))
        grown = merkle.grow(peaks, head.size, merkle.leaf_hash(leaf_bytes(record)))
        nodes += [LogNode(level=level, position=position, hash=found) for level, position, found in grown]
        head.size += 1
    LogLeaf.objects.bulk_create(leaves)
    LogNode.objects.bulk_create(nodes)
    head.save(update_fields=["size"])


def _peaks(size: int) -> list[bytes]:
    places = merkle.peaks(size)
    wanted = [Q(level=level, position=position) for level, position in places]
    rows = LogNode.objects.filter(reduce(or_, wanted)).values_list("level", "position", "hash") if wanted else []
    found = {(level, position): bytes(node) for level, position, node in rows}
    return [found[place] for place in places]


def _stored(level: int, position: int) -> bytes:
    return bytes(LogNode.objects.values_list("hash", flat=True).get(level=level, position=position))


def size() -> int:
    """How many leaves the log has."""
    return LogHead.objects.values_list("size", flat=True).get(pk=1)


def root(at: int | None = None) -> bytes:
    """Root over the first `at` leaves (default: all)."""
    return merkle.root(_stored, size() if at is None else at)


def inclusion(record: LogRecord, at: int | None = None) -> dict[str, Any]:
    """A receipt that anyone can check with RFC 6962 arithmetic: leaf, its index, the path, the root and the size."""
    at = size() if at is None else at
    return {
        "leaf": leaf_bytes(record).decode(),
        "index": record.leaf.index,
        "size": at,
        "root": root(at).hex(),
        "path": [step.hex() for step in merkle.inclusion_proof(_stored, record.leaf.index, at)],
    }


def consistency(old: int, new: int | None = None) -> dict[str, Any]:
    """Proof that the first `old` leaves stand unchanged at the front of the first `new`."""
    new = size() if new is None else new
    return {
        "old": {"size": old, "root": root(old).hex()},
        "new": {"size": new, "root": root(new).hex()},
        "path": [step.hex() for step in merkle.consistency_proof(_stored, old, new)],
    }


def checkpoint() -> Checkpoint:
    """Remember the present root as one that the public may have seen."""
    at = size()
    found, _created = Checkpoint.objects.get_or_create(
        size=at, defaults={"root": root(at).hex(), "recorded_at": clock.real_now()}
    )
    return found


def replay() -> list[str]:
    """Rebuild the whole tree from the records; returns what does not agree (empty: the log is whole).

    Reads leaves and stored subtrees side by side in the order in which they were written, so that memory stays small;
    stops looking after FAULTS_MAX.
    """
    faults: list[str] = []
    peaks: list[bytes] = []
    stored = iter(_stored_nodes())
    count = 0
    for leaf in LogLeaf.objects.select_related("record").order_by("index").iterator(2000):
        record = leaf.record
        if leaf.index != count:
            faults.append(f"leaf {count} is missing: the next one is {leaf.index}")
        if hashlib.sha256(record.payload.encode()).hexdigest() != record.payload_digest:
            faults.append(f"record {record.pk}: payload does not match its digest")
        for level, position, found in merkle.grow(peaks, count, merkle.leaf_hash(leaf_bytes(record))):
            if next(stored, None) != (level, position, found):
                faults.append(f"record {record.pk}: subtree {level}/{position} does not match its records")
        count += 1
        if len(faults) >= FAULTS_MAX:
            return [*faults[:FAULTS_MAX], "…"]
    if next(stored, None) is not None:
        faults.append(f"there are subtrees beyond the {count} leaves")
    unsealed = LogRecord.objects.filter(leaf__isnull=True).count()
    if unsealed:
        faults.append(f"{unsealed} records have no leaf")
    if count != size():
        faults.append(f"{count} leaves, but the head says {size()}")
    return faults or _changed_checkpoints(count)


def _stored_nodes() -> Iterator[tuple[int, int, bytes]]:
    rows = LogNode.objects.order_by("pk").values_list("level", "position", "hash")
    return ((level, position, bytes(found)) for level, position, found in rows.iterator(2000))


def _changed_checkpoints(count: int) -> list[str]:
    """Published roots that the tree no longer has. Every stored subtree is known to be right by now."""
    faults = []
    for seen in Checkpoint.objects.order_by("size").iterator(2000):
        if seen.size > count:
            faults.append(f"a root was published at {seen.size}, but there are {count} leaves")
        elif root(seen.size).hex() != seen.root:
            faults.append(f"the root at {seen.size} differs from the one published")
    return faults[:FAULTS_MAX]
