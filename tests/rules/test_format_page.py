"""The page for policy officers is right: its example loads, is not complained of, and passes its own test file."""

from pathlib import Path

import pytest
from tests.rules.packs import document, dump, text_with

from huoshui.rules import load
from huoshui.rules.lint import lint
from huoshui.rules.testing import run_tests

DOCS = Path(__file__).parents[2] / "docs" / "rules"
PAGES = ("format.md", "format.zh.md")


def blocks(page: str) -> list[str]:
    """The YAML examples of a page, in order: pack, own field, scoring, the rest, test file."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [part.partition("```")[0] for part in text.split("```yaml\n")[1:]]


@pytest.mark.parametrize("page", PAGES)
def test_the_example_loads_without_a_complaint_and_its_cases_pass(page: str) -> None:
    pack, tests = blocks(page)[0], blocks(page)[-1]
    assert [each for each in lint(pack) if each.level != "note"] == []
    report = run_tests(load(pack), tests)
    assert report.passed, [each for result in report.results for each in result.mismatches]


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_scoring_and_of_a_field_load(page: str) -> None:
    _, field, scoring, _, _ = blocks(page)
    content = document(text_with())
    content["body"] |= document(field)
    text = scoring.replace("  scoring:", "scoring:", 1)
    criteria, _, rest = text.partition("scoring:")
    content["body"]["criteria"] += document(f"rows:\n{criteria}")["rows"]
    content["body"]["scoring"] = document("scoring:" + rest)["scoring"]
    assert load(dump(content)).scoring is not None


def test_both_pages_have_the_same_examples_in_the_same_order() -> None:
    first, second = (blocks(page) for page in PAGES)
    assert load(first[0]).criteria == load(second[0]).criteria
    assert len(first) == len(second)
