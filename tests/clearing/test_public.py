"""Facts about the public document: anyone can check it with bare Python, and no false statement passes."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.generator import generate
from hypothesis import example, given, settings
from hypothesis import strategies as st

from huoshui.clearing import capacity
from huoshui.clearing.capacity import public, public_verify

SECRET = bytes(range(32))
PROBLEM = generate(120, seed=7)
RESULT = capacity.clear(PROBLEM, options=capacity.Options.quick(120))
SALTS = public.salts_of(SECRET, PROBLEM)
VERIFIER = Path(public_verify.__file__)


def document():
    return public.public_document(PROBLEM, RESULT, salts=SALTS, opened=True)


def logged(found, size=5, index=3):
    """The document with a log of `size` records in which its statement stands at `index`."""
    payload = {"digests": {"statement": public.statement_digest(found)}}
    records = [{"v": 1, "id": number, "payload": "00"} for number in range(size)]
    records[index]["payload"] = public_verify.digest(payload)
    leaves = [public_verify.canonical(record) for record in records]
    log = {"record": records[index], "payload": payload, "index": index, "size": size}
    log["root"] = public_verify.merkle_root(leaves).hex()
    log["path"] = [item.hex() for item in path(leaves, index)]
    log["consistency"] = {str(old): [item.hex() for item in growth(leaves, old)] for old in range(1, size)}
    return found | {"log": log}, leaves


def split(size):
    return 1 << (size - 1).bit_length() - 1


def path(leaves, index):
    """RFC 6962 2.1.1, as written there."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return [*path(leaves[:k], index), public_verify.merkle_root(leaves[k:])]
    return [*path(leaves[k:], index - k), public_verify.merkle_root(leaves[:k])]


def growth(leaves, old, whole=True):
    """RFC 6962 2.1.2, as written there."""
    if old == len(leaves):
        return [] if whole else [public_verify.merkle_root(leaves)]
    k = split(len(leaves))
    if old <= k:
        return [*growth(leaves[:k], old, whole), public_verify.merkle_root(leaves[k:])]
    return [*growth(leaves[k:], old - k, False), public_verify.merkle_root(leaves[:k])]


def test_a_true_document_passes_every_check():
    found, _ = logged(document())
    titles = [title for title, check in public_verify.checks(found) if check]
    assert len(titles) == 9
    assert public_verify.failures(found) == []


def test_the_document_survives_json_and_bare_python_outside_the_project(tmp_path):
    copied = tmp_path / "public_verify.py"
    copied.write_bytes(VERIFIER.read_bytes())
    (tmp_path / "public.json").write_text(json.dumps(document(), ensure_ascii=False), "utf-8")
    done = subprocess.run(
        [sys.executable, "-I", "-S", copied, tmp_path / "public.json"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "120 rows open" in done.stdout


def test_before_opening_only_the_commitments_are_public():
    closed = public.public_document(PROBLEM, RESULT, salts=SALTS)
    assert set(closed) == {"statement", "commitments"}
    assert public_verify.failures(closed) == []
    assert not [name for name in PROBLEM.request_id if f'"{name}"' in json.dumps(closed)]


def test_the_table_cannot_be_opened_without_its_salts():
    with pytest.raises(ValueError, match="without its salts"):
        public.public_document(PROBLEM, RESULT, opened=True)


def test_a_party_checks_its_own_request_before_the_table_is_opened():
    row, salt = public.request_rows(PROBLEM)[17], SALTS[17]
    assert public.commitment(salt, row) == public.public_document(PROBLEM, RESULT, salts=SALTS)["commitments"][17]
    assert public.commitment(salt, row | {"budget": row["budget"] + 1}) != public.commitment(salt, row)


def numbers(value, at=()):
    """Paths to every whole number, text and truth value in a JSON value."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers(item, (*at, key))
    elif value is not None:
        yield at


TRUE, _ = logged(document())
PLACES = sorted(
    (at for at in numbers(TRUE) if at[0] != "log"),
    key=lambda at: (at[0], at[1] in ("offered", "sold", "slot_price"), str(at)),
)


@settings(max_examples=50, deadline=None)
@example(("statement", "hours"), 10**9)
@given(st.sampled_from(PLACES), st.sampled_from([1, -1, 1_000, 10**9]))
def test_no_changed_value_passes(at, change):
    """Whatever is changed, a check fails: at least the statement is no longer the one in the log."""
    found = copy.deepcopy(TRUE)
    parent = found
    for key in at[:-1]:
        parent = parent[key]
    value = parent[at[-1]]
    parent[at[-1]] = (
        (not value) if isinstance(value, bool) else value + change if isinstance(value, int) else value + "0"
    )
    assert public_verify.failures(found)


@pytest.mark.parametrize(
    "mutate",
    [
        lambda s: s["totals"].update(objective=s["totals"]["objective"] + 1),
        lambda s: s["totals"].update(bound=s["totals"]["objective"] - 1),
        lambda s: s["totals"].update(payment=s["totals"]["payment"] - 1000),
        lambda s: s["totals"].update(served=s["totals"]["served"] + 1),
        lambda s: s["totals"].update(card_hours_sold=s["totals"]["card_hours_sold"] + 1),
        lambda s: s["totals"].update(reserve_cost=s["totals"]["deposit_revenue"] + 1),
        lambda s: s["refused"].update(PRICE=s["refused"]["PRICE"] + 1),
        lambda s: s["sold"][0].__setitem__(0, s["offered"][0][0] + 1),
        lambda s: s["slot_price"].__setitem__(0, [price + 1000 for price in s["slot_price"][0]][::-1]),
        lambda s: s["offered"].pop(),
        lambda s: s["slot_price"][0].__setitem__(0, 1.5),
    ],
)
def test_a_false_statement_fails_without_table_and_log(mutate):
    found = {"statement": public.public_document(PROBLEM, RESULT)["statement"]}
    assert public_verify.failures(found) == []
    mutate(found["statement"])
    assert public_verify.failures(found)


def test_swapping_two_outcomes_fails():
    found = document()
    first, second = [row["outcome"] for row in found["table"] if row["outcome"]["pool"] is not None][:2]
    first["runs"], second["runs"] = second["runs"], first["runs"]
    assert any("root of the outcomes" in failure for failure in public_verify.failures(found))


@settings(deadline=None)
@given(st.integers(1, 40), st.data())
def test_proofs_hold_exactly_for_the_tree_they_come_from(size, data):
    leaves = [bytes([number]) for number in range(size)]
    root = public_verify.merkle_root(leaves)
    index = data.draw(st.integers(0, size - 1))
    proof = path(leaves, index)
    assert public_verify.included(public_verify.leaf_hash(leaves[index]), index, size, proof, root)
    assert not public_verify.included(public_verify.leaf_hash(b"other"), index, size, proof, root)
    assert not public_verify.included(public_verify.leaf_hash(leaves[index]), index, size, [*proof, root], root)
    old = data.draw(st.integers(1, size))
    before = public_verify.merkle_root(leaves[:old])
    assert public_verify.consistent(old, size, before, root, growth(leaves, old))
    assert not public_verify.consistent(old, size, public_verify.leaf_hash(b"x"), root, growth(leaves, old))


def test_the_log_may_only_grow():
    later, leaves = logged(document(), size=6)
    earlier = {"statement": {}, "log": {"size": 4, "root": public_verify.merkle_root(leaves[:4]).hex()}}
    assert public_verify.failures(later, earlier) == []
    earlier["log"]["root"] = public_verify.merkle_root(leaves[1:5]).hex()
    assert any("does not begin with" in failure for failure in public_verify.failures(later, earlier))


def test_a_document_with_floating_point_is_refused(tmp_path):
    (tmp_path / "public.json").write_text('{"statement": {"hours": 1.0}}')
    assert public_verify.main([str(tmp_path / "public.json")]) == 2
