"""A publication means one thing, says who published it, and cannot be used to exhaust the reader."""

import contextlib
import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huoshui import publications, terms
from huoshui.terms import TermError
from huoshui.terms.publication import (
    DOCUMENT_BYTES_MAX,
    DOCUMENT_DEPTH_MAX,
    DOCUMENT_NODES_MAX,
    canonical_bytes,
    parse_yaml,
)

HEADER = """
kind: rate_series
id: rate-test
title: 测试利率
authority: 演示机关
source: 演示数据
status: draft
effective_from: 2030-01-01
body:
  basis: year
  known_through: 2030-12-31
  points: [{from: 2030-01-01, bps: 300}]
"""


def test_every_shipped_publication_loads_under_its_own_kind_with_its_own_id() -> None:
    ids = set()
    own = [item for kind in terms.KINDS for item in publications.shipped(kind).items()]
    for name, text in own:
        publication, _ = terms.load(text)
        assert name.startswith(publication.kind + "/")
        assert publication.source
        ids.add(publication.id)
    assert len(ids) == len(own) >= 17


def test_every_draft_says_what_is_to_be_checked_and_every_assumed_price_is_marked() -> None:
    for text in [text for kind in terms.KINDS for text in publications.shipped(kind).values()]:
        publication, value = terms.load(text)
        assert publication.status == "in_force" or publication.note
        if publication.kind == "tariff":
            assert publication.document_number
            assert value.flat_price_assumed
            assert "assumption" in (publication.note or "")


def test_the_demo_terms_are_marked_as_demo() -> None:
    publication, _ = terms.load(publications.shipped("round_terms")["round_terms/demo-2026.yaml"])
    assert publication.demo


def test_the_digest_follows_the_meaning_and_not_the_layout() -> None:
    digest = terms.parse(HEADER).digest
    moved = HEADER.replace("status: draft\n", "")
    moved = moved.replace("kind: rate_series\n", "status: draft # why\nkind: 'rate_series'\n")
    assert terms.parse(moved).digest == digest
    assert terms.parse(HEADER.replace("bps: 300", "bps: 301")).digest != digest
    assert terms.parse(HEADER.replace("title: 测试利率", "title: 测试利率。")).digest != digest
    assert terms.parse(HEADER.replace("bps: 300", "bps: '300'")).digest != digest


def test_dates_bound_when_it_applies_both_ends_included() -> None:
    publication = terms.parse(HEADER.replace("body:", "effective_to: 2030-01-31\nbody:"))
    inside = [dt.date(2029, 12, 31), dt.date(2030, 1, 1), dt.date(2030, 1, 31), dt.date(2030, 2, 1)]
    assert [publication.in_effect(day) for day in inside] == [False, True, True, False]


@pytest.mark.parametrize(
    ("old", "new", "field", "rule"),
    [
        ("kind: rate_series", "kind: tarif", "kind", "kind_unknown"),
        ("kind: rate_series\n", "", "kind", "required"),
        ("id: rate-test", "id: Rate Test", "id", "identifier"),
        ("status: draft", "status: final", "status", "choice"),
        ("effective_from: 2030-01-01", "effective_from: 2030-02-30", "effective_from", "date"),
        ("body:\n", "effective_to: 2029-01-01\nbody:\n", "effective_to", "order"),
        ("title: 测试利率", "title: ''", "title", "text"),
        ("title: 测试利率", "title: 12", "title", "text"),
        ("bps: 300", "bps: 3.5", "body.points[0].bps", "integer"),
        ("bps: 300", "bps: -1", "body.points[0].bps", "integer"),
        ("bps: 300", "bps: true", "body.points[0].bps", "integer"),
        ("bps: 300", "bps: 300, note: x", "body.points[0].note", "unknown_field"),
        ("source: 演示数据", "source: 演示数据\ncolour: red", "colour", "unknown_field"),
        ("status: draft", "status: draft\nstatus: in_force", "line 8", "duplicate_key"),
        ("basis: year", "basis: &a year", "line 10", "no_alias"),
        ("basis: year", "basis: !!python/name:os.system year", "line 10", "no_tag"),
        ("body:", "---\nbody:", "line 9", "document_single"),
        ("basis: year", "basis: [year", "line 11", "document_yaml"),
        ("bps: 300", f"bps: {'9' * 5000}", "line 12", "integer"),
        ("effective_from: 2030-01-01", "body: 3\neffective_from: 2030-01-01", "line 10", "duplicate_key"),
    ],
)
def test_a_wrong_document_is_refused_by_field_and_rule(old: str, new: str, field: str, rule: str) -> None:
    assert old in HEADER
    with pytest.raises(TermError) as caught:
        terms.load(HEADER.replace(old, new, 1))
    assert (caught.value.field, caught.value.rule) == (field, rule)
    assert caught.value.field in str(caught.value)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("a: " + "[" * (DOCUMENT_DEPTH_MAX + 1) + "]" * (DOCUMENT_DEPTH_MAX + 1), "document_depth"),
        ("a: [" + "1," * DOCUMENT_NODES_MAX + "]", "document_nodes"),
        ("a: " + "x" * DOCUMENT_BYTES_MAX, "document_bytes"),
        ("a: &a [x]\nb: [*a, *a]", "no_alias"),
        ("a: \x00", "document_yaml"),
        ("", "document_single"),
        ("- 1", "mapping"),
        ("? [1, 2]\n: 3", "identifier"),
        ("true: 3", "identifier"),
        (r'a: "\ud800"', "text_characters"),
        (r'a: "\0"', "text_characters"),
        (r'a: "\UFFFFFFFF"', "document_yaml"),
    ],
)
def test_a_hostile_document_is_refused(text: str, rule: str) -> None:
    with pytest.raises(TermError) as caught:
        parse_yaml(text)
    assert caught.value.rule == rule


def test_yaml_guesses_nothing() -> None:
    content = parse_yaml("time: 16:30\nno: no\nday: 2030-01-01\nrate: 1.5\noctal: 010\n7: -12\nyes: true\nempty:")
    texts = {"time": "16:30", "no": "no", "day": "2030-01-01", "rate": "1.5", "octal": "010"}
    assert content == {**texts, "7": -12, "yes": True, "empty": None}


@given(st.text(max_size=200))
def test_any_text_is_read_and_hashed_or_refused_by_a_term_error(text: str) -> None:
    for document in (text, f"a: {text}", f'a: "{text}"', HEADER.replace("draft", text)):
        with contextlib.suppress(TermError):
            canonical_bytes(parse_yaml(document))
