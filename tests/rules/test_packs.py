"""The packs that ship: each loads, is clean for the lint, and its test file passes and leaves nothing unseen."""

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from huoshui import publications, rules
from huoshui.rules.findings import ERROR
from huoshui.rules.lint import lint
from huoshui.rules.model import Band, Pack, Stage, Threshold, pack_reads
from huoshui.rules.testing import run_tests

PAGE = Path(__file__).parents[2] / "docs" / "rules" / "packs.md"
TODAY = dt.date(2026, 11, 21)
TEXTS = publications.shipped("rule_pack")
CASES = publications.shipped(publications.TESTS)
IDS = [name.removeprefix("rule_pack/").removesuffix(".yaml") for name in TEXTS]


@cache
def packs() -> dict[str, Pack]:
    return {pack.id: pack for pack in map(rules.load, TEXTS.values())}


def test_every_pack_has_the_name_of_its_file_and_a_test_file() -> None:
    assert list(packs()) == IDS
    assert [f"{publications.TESTS}/{name}.yaml" for name in IDS] == list(CASES)
    assert not any(name.startswith(publications.TESTS) for name in publications.shipped())


@pytest.mark.parametrize("name", IDS)
def test_the_lint_finds_no_error(name: str) -> None:
    found = lint(TEXTS[f"rule_pack/{name}.yaml"], on=TODAY, known_packs=packs())
    assert [each for each in found if each.level == ERROR] == []


@pytest.mark.parametrize("name", IDS)
def test_every_case_comes_out_and_every_verdict_is_seen(name: str) -> None:
    report = run_tests(packs()[name], CASES[f"{publications.TESTS}/{name}.yaml"], packs())
    assert {result.case.name: result.mismatches for result in report.results if result.mismatches} == {}
    assert {each.criterion: each.missing for each in report.coverage if each.missing} == {}
    assert report.passed


def moved(node: Any) -> Iterator[Any]:
    """The node with one threshold or one edge of a band moved by its smallest unit, in every way there is."""
    if isinstance(node, Threshold):
        yield from (replace(node, value=node.value + step) for step in (-1, 1))
    elif isinstance(node, Band) and node.low is not None:
        yield from (replace(node, low=node.low + step) for step in (-1, 1))
    elif isinstance(node, tuple):
        yield from (node[:i] + (new,) + node[i + 1 :] for i, member in enumerate(node) for new in moved(member))
    elif is_dataclass(node) and not isinstance(node, type):
        for field in fields(node):
            yield from (replace(node, **{field.name: new}) for new in moved(getattr(node, field.name)))


@pytest.mark.parametrize("name", ["hangzhou-compute-voucher-2025", "no-repayment-renewal", "small-profit"])
def test_a_threshold_moved_by_the_smallest_unit_fails_a_case(name: str) -> None:
    cases = CASES[f"{publications.TESTS}/{name}.yaml"]
    for part in ("criteria", "benefit"):
        for number, new in enumerate(moved(getattr(packs()[name], part))):
            report = run_tests(replace(packs()[name], **{part: new}), cases, packs())
            assert not report.passed, (part, number)


def test_drafts_and_inventions_say_so() -> None:
    for pack in packs().values():
        header = pack.header
        assert header.note if header.status == "draft" else header.document_number
        assert header.demo == header.title.startswith("示例")
        assert pack.no_application <= header.demo


def test_the_benefits_of_three_tax_packs_end_with_2027() -> None:
    ending = {pack.id for pack in packs().values() if pack.header.effective_to == dt.date(2027, 12, 31)}
    assert {"rd-deduction-120", "small-profit", "vat-advanced-manufacturing"} <= ending


def test_a_pack_whose_claims_pay_asks_for_every_guard() -> None:
    guards = (
        "related-party invoice-used contract-used split supplier-listed contract-signed used-from used-to paid settled"
    )
    paying = 0
    for pack in packs().values():
        if pack.benefit is not None and pack.benefit.kind == "voucher" and pack.benefit.amount is not None:
            paying += 1
            asked = {term.field for term in pack_reads(pack, Stage.CLAIM)}
            assert {f"claim.{guard}" for guard in guards.split()} <= asked
            assert pack.benefit.cap_fen is not None
    assert paying == 3


def test_the_page_lists_every_pack_with_its_status_and_its_last_day() -> None:
    rows = dict(re.findall(r"^\| `([a-z0-9-]+)` \|(.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert list(rows) == IDS
    for name, pack in packs().items():
        header = pack.header
        assert ("draft" in rows[name]) == (header.status == "draft")
        assert header.effective_from.isoformat() in rows[name]
        assert header.effective_to is None or header.effective_to.isoformat() in rows[name]
