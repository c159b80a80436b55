"""Merkle tree arithmetic of RFC 6962 (Certificate Transparency), section 2.1: pure functions over hashes.

The tree over n leaves splits at the largest power of two below n. Complete subtrees never change, so a store that
keeps the hash of every complete subtree can give the root and any proof with O(log² n) look-ups. `subtree` is that
store, seen as a function `(level, position) -> hash` for the leaves [position·2^level, (position+1)·2^level).
"""

import hashlib
from collections.abc import Callable, Sequence

Subtree = Callable[[int, int], bytes]
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """Hash of a leaf (RFC 6962 2.1: prefix 0x00)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node (RFC 6962 2.1: prefix 0x01)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def _split(size: int) -> int:
    """Largest power of two smaller than size (size ≥ 2)."""
    return 1 << (size - 1).bit_length() - 1


def range_hash(subtree: Subtree, start: int, end: int) -> bytes:
    """Hash of the leaves [start, end), where start is a multiple of the power of two that covers the range."""
    size = end - start
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return subtree(level, start >> level)
    middle = start + _split(size)
    return node_hash(range_hash(subtree, start, middle), range_hash(subtree, middle, end))


def root(subtree: Subtree, size: int) -> bytes:
    """Root over the first `size` leaves."""
    return range_hash(subtree, 0, size) if size else EMPTY_ROOT


def peaks(size: int) -> list[tuple[int, int]]:
    """Level and position of the largest complete subtrees that make up `size` leaves, from the left."""
    levels = [level for level in range(size.bit_length() - 1, -1, -1) if size >> level & 1]
    return [(level, (size >> level) - 1) for level in levels]


def grow(hashes: list[bytes], size: int, leaf: bytes) -> list[tuple[int, int, bytes]]:
    """Add a leaf to a tree of `size` leaves, given by the hashes of its peaks (changed in place).

    Returns level, position and hash of each subtree that became complete, the smallest first.
    """
    grown = [(0, size, leaf)]
    level, position, found = grown[0]
    while position & 1:
        level, position, found = level + 1, position >> 1, node_hash(hashes.pop(), found)
        grown.append((level, position, found))
    hashes.append(found)
    return grown


def inclusion_proof(subtree: Subtree, index: int, size: int) -> list[bytes]:
    """Audit path of leaf `index` in the tree of `size` leaves (RFC 6962 2.1.1), from the leaf upwards."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(range_hash(subtree, middle, end))
            end = middle
        else:
            path.append(range_hash(subtree, start, middle))
            start = middle
    return path[::-1]


def consistency_proof(subtree: Subtree, old: int, new: int) -> list[bytes]:
    """Proof that the tree of `old` leaves is a prefix of the tree of `new` leaves (RFC 6962 2.1.2)."""
    if not 0 < old <= new:
        raise ValueError(f"no consistency proof from {old} to {new} leaves")

    def walk(start: int, end: int, rest: int, whole: bool) -> list[bytes]:
        if rest == end - start:
            return [] if whole else [range_hash(subtree, start, end)]
        half = _split(end - start)
        middle = start + half
        if rest <= half:
            return [*walk(start, middle, rest, whole), range_hash(subtree, middle, end)]
        return [*walk(middle, end, rest - half, False), range_hash(subtree, start, middle)]

    return walk(0, new, old, True)


def check_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], expected_root: bytes) -> bool:
    """True when the audit path leads from the leaf hash to the root (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    position, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if position & 1 or position == last:
            found = node_hash(sibling, found)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and found == expected_root


def check_consistency(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> bool:
    """True when the path shows that the old tree is a prefix of the new one (RFC 9162 2.1.4.2)."""
    if old == new:
        return not path and old_root == new_root
    if not 0 < old < new:
        return False
    nodes = [old_root, *path] if old & (old - 1) == 0 else list(path)
    if not nodes:
        return False
    position, last = old - 1, new - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old_found = new_found = nodes[0]
    for sibling in nodes[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            old_found, new_found = node_hash(sibling, old_found), node_hash(sibling, new_found)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            new_found = node_hash(new_found, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and old_found == old_root and new_found == new_root
