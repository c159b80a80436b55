"""The one log: what was done, by whom, in which order, so that nobody can change it unseen.

Writing has two steps. `write` inserts the record where the action happens, so that entries and events can cite it.
`seal` runs last in the transaction: under one lock it gives the records their leaf indices and stores the hashes of
the subtrees that became complete. Nothing is ever updated. Trees and proofs are those of RFC 6962.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db.models import Model

from huoshui.base import canonical, clock, merkle
from huoshui.base.models import Checkpoint, LogHead, LogLeaf, LogNode, LogRecord


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
    leaves, nodes = [], {}
    size = head.size
    for record in records:
        leaves.append(LogLeaf(index=size, record=record))
        level, position, found = 0, size, merkle.leaf_hash(leaf_bytes(record))
        nodes[level, position] = found
        while position & 1:
            left = nodes.get((level, position - 1)) or _stored(level, position - 1)
            level, position, found = level + 1, position >> 1, merkle.node_hash(left, found)
            nodes[level, position] = found
        size += 1
    LogLeaf.objects.bulk_create(leaves)
    LogNode.objects.bulk_create(
        LogNode(level=level, position=position, hash=found) for (level, position), found in nodes.items()
    )
    head.size = size
    head.save(update_fields=["size"])


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
    """Rebuild the whole tree from the records; returns what does not agree (empty: the log is whole)."""
    faults: list[str] = []
    nodes: dict[tuple[int, int], bytes] = {}
    count = 0
    for leaf in LogLeaf.objects.select_related("record").order_by("index").iterator(2000):
        record = leaf.record
        if leaf.index != count:
            faults.append(f"leaf {count} is missing")
        if canonical.hashlib.sha256(record.payload.encode()).hexdigest() != record.payload_digest:
            faults.append(f"record {record.pk}: payload does not match its digest")
        level, position, found = 0, count, merkle.leaf_hash(leaf_bytes(record))
        nodes[level, position] = found
        while position & 1:
            found = merkle.node_hash(nodes.pop((level, position - 1)), nodes.pop((level, position)))
            level, position = level + 1, position >> 1
            nodes[level, position] = found
        count += 1
    unsealed = LogRecord.objects.filter(leaf__isnull=True).count()
    if unsealed:
        faults.append(f"{unsealed} records have no leaf")
    if count != size():
        faults.append(f"{count} leaves, but the head says {size()}")
    for (level, position), found in nodes.items():
        if _stored(level, position) != found:
            faults.append(f"subtree {level}/{position} does not match its records")
    for seen in Checkpoint.objects.filter(size__lte=count):
        if root(seen.size).hex() != seen.root:
            faults.append(f"the root at {seen.size} differs from the one published")
    return faults
