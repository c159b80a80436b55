"""Anybody checks a published auction with one file of bare Python; whatever is changed in the document is found."""

import copy
import json
import subprocess
import sys
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from tests.exchange.bourse import PRICE, Bourse

from huoshui.base import clock
from huoshui.clearing.auction import public_verify
from huoshui.exchange import public

TICK = 5_000


@pytest.fixture
def document(bourse: Bourse) -> dict[str, Any]:
    """The opened document of an auction with orders on both sides."""
    auction = bourse.auction()
    bourse.order(auction, bourse.operator, "sell", 5, PRICE - 4 * TICK)
    bourse.order(auction, bourse.operator, "sell", 3, PRICE + 9 * TICK)
    for index, firm in enumerate(bourse.firms):
        bourse.order(auction, firm, "buy", 1 + index, PRICE + (6 - 4 * index) * TICK)
    auction = bourse.published(auction)
    with clock.moved_to(auction.closes_at + timedelta(hours=100)):
        return json.loads(json.dumps(public.document(auction)))  # type: ignore[no-any-return]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every number, text and truth value of a document."""
    if isinstance(value, dict):
        return [found for key, item in value.items() for found in places(item, (*path, key))]
    if isinstance(value, list):
        return [found for index, item in enumerate(value) for found in places(item, (*path, index))]
    return [path]


def changed(document: dict[str, Any], path: tuple[Any, ...]) -> dict[str, Any]:
    """The document with one value changed."""
    other = copy.deepcopy(document)
    at: Any = other
    for step in path[:-1]:
        at = at[step]
    value = at[path[-1]]
    if isinstance(value, bool):
        at[path[-1]] = not value
    elif isinstance(value, int):
        at[path[-1]] = value + 1
    elif isinstance(value, str):
        at[path[-1]] = value[:-1] + ("0" if value[-1:] != "0" else "1")
    else:
        at[path[-1]] = 1
    return other


def test_the_document_holds_and_every_changed_value_is_found(document: dict[str, Any], tmp_path: Path) -> None:
    assert list(public_verify.failures(document)) == []
    assert document["statement"]["volume"] > 0
    for path in places(document):
        assert list(public_verify.failures(changed(document, path))), path
    sealed = {name: value for name, value in document.items() if name != "orders"}
    assert list(public_verify.failures(sealed)) == []


def test_orders_are_bound_in_the_log_before_its_price(document: dict[str, Any]) -> None:
    frozen, published = document["frozen"], document["log"]
    assert frozen["index"] < published["index"]
    assert (frozen["root"], frozen["size"]) == (published["root"], published["size"])
    assert frozen["payload"]["commitments_root"] == document["statement"]["commitments_root"]
    assert not {"price", "result", "volume"} & set(frozen["payload"])
    without = {name: value for name, value in document.items() if name != "frozen"}
    assert list(public_verify.failures(without)), "the document that could not show it"
    after = document | {"frozen": published, "log": frozen}
    assert list(public_verify.failures(after))
    taken = document | {"frozen": published}
    assert any("not the record" in fault for fault in public_verify.failures(taken))


def test_the_verifier_runs_alone(document: dict[str, Any], tmp_path: Path) -> None:
    script = tmp_path / "public_verify.py"
    script.write_text(resources.files("huoshui.clearing.auction").joinpath("public_verify.py").read_text("utf-8"))
    file = tmp_path / "auction.json"
    for content, status in ((document, 0), (changed(document, ("statement", "price")), 1)):
        file.write_text(json.dumps(content))
        done = subprocess.run([sys.executable, "-I", str(script), str(file)], capture_output=True, timeout=60)
        assert done.returncode == status, done.stdout
    file.write_text("[")
    assert subprocess.run([sys.executable, "-I", str(script), str(file)], timeout=60).returncode == 2
