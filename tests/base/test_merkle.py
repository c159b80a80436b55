"""The log's tree is that of RFC 6962, checked against the recursive definition in the RFC itself."""

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huoshui.base import merkle

SIZE_MAX = 70


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """RFC 6962 2.1.1, word for word."""
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


class Tree:
    """A store of complete subtrees, grown leaf by leaf as the log grows it."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.nodes: dict[tuple[int, int], bytes] = {}
        peaks: list[bytes] = []
        for size, leaf in enumerate(leaves):
            assert peaks == [self.nodes[place] for place in merkle.peaks(size)]
            for level, position, found in merkle.grow(peaks, size, merkle.leaf_hash(leaf)):
                self.nodes[level, position] = found

    def subtree(self, level: int, position: int) -> bytes:
        return self.nodes[level, position]


LEAVES = [f"leaf {number}".encode() for number in range(SIZE_MAX)]
TREE = Tree(LEAVES)


@given(st.lists(st.binary(max_size=40), max_size=200))
def test_root_is_the_rfcs(leaves: list[bytes]) -> None:
    assert merkle.root(Tree(leaves).subtree, len(leaves)) == naive_root(leaves)


def test_known_roots() -> None:
    """Test vectors of the Certificate Transparency project's reference trees."""
    vectors = [
        ("", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        ("00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
    ]
    leaves = [bytes.fromhex(text) for text, _root in vectors]
    for size, (_text, root) in enumerate(vectors, start=1):
        assert merkle.root(Tree(leaves[:size]).subtree, size).hex() == root


@pytest.mark.parametrize("size", range(1, SIZE_MAX + 1))
def test_every_leaf_of_every_tree_is_proved(size: int) -> None:
    root = naive_root(LEAVES[:size])
    for index in range(size):
        path = merkle.inclusion_proof(TREE.subtree, index, size)
        assert path == naive_path(index, LEAVES[:size])
        assert merkle.check_inclusion(merkle.leaf_hash(LEAVES[index]), index, size, path, root)


@pytest.mark.parametrize("new", range(1, SIZE_MAX + 1))
def test_every_tree_is_proved_to_contain_every_earlier_one(new: int) -> None:
    new_root = naive_root(LEAVES[:new])
    for old in range(1, new + 1):
        path = merkle.consistency_proof(TREE.subtree, old, new)
        old_root = naive_root(LEAVES[:old])
        assert merkle.check_consistency(old, new, old_root, new_root, path)
        if old < new:
            assert not merkle.check_consistency(old, new, new_root, new_root, path)
            assert not merkle.check_consistency(old, new, old_root, old_root, path)


@given(st.integers(1, SIZE_MAX), st.data())
def test_a_changed_inclusion_proof_proves_nothing(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    path = merkle.inclusion_proof(TREE.subtree, index, size)
    leaf, root = merkle.leaf_hash(LEAVES[index]), naive_root(LEAVES[:size])
    other = data.draw(st.integers(0, SIZE_MAX - 1).filter(lambda number: number != index))
    assert not merkle.check_inclusion(merkle.leaf_hash(LEAVES[other]), index, size, path, root)
    assert not merkle.check_inclusion(leaf, other, size, path, root)
    assert not merkle.check_inclusion(leaf, index, size, [*path, leaf], root)
    if path:
        assert not merkle.check_inclusion(leaf, index, size, path[:-1], root)
        spoilt = data.draw(st.integers(0, len(path) - 1))
        path[spoilt] = bytes(32)
        assert not merkle.check_inclusion(leaf, index, size, path, root)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 3), (3, 3)])
def test_no_proof_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="not in a tree"):
        merkle.inclusion_proof(TREE.subtree, index, size)


@pytest.mark.parametrize(("old", "new"), [(0, 1), (2, 1), (0, 0)])
def test_no_proof_between_sizes_out_of_order(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="no consistency proof"):
        merkle.consistency_proof(TREE.subtree, old, new)
