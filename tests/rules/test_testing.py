"""Test files of packs: read strictly, compared exactly, and silent about nothing that no case shows."""

from typing import Any

import pytest
from tests.rules.packs import document, dump, pack_with, test_of, text_with

from huoshui.rules import FIELDS, Verdict, load
from huoshui.rules.testing import possible, run_tests, value_of
from huoshui.terms.errors import TermError

STAFF = "{op: le, of: staff, period: last_year, value: 300, unit: 人}"
CASES = """
pack: example
on: 2026-06-01
base: {staff@last_year: 300 人}
cases:
  - {name: 刚好, expect: {verdict: met, criteria: {only: met}, blocker: none}}
  - {name: 多一人, facts: {staff@2025: 301 人}, expect: {verdict: unmet, criteria: {only: unmet}, blocker: only}}
  - {name: 不详, facts: {staff@-1: unknown}, expect: {verdict: unknown, criteria: {only: unknown}}}
"""


def report(text: str = CASES, **criterion: Any) -> Any:
    return run_tests(pack_with(test=STAFF, **criterion), text)


def test_every_verdict_of_every_criterion_seen_is_a_pass() -> None:
    assert report().passed


@pytest.mark.parametrize(
    ("before", "after", "what", "expected", "found"),
    [
        ("300 人}", "301 人}", "verdict", "met", "unmet"),
        ("verdict: met, criteria", "verdict: na, criteria", "verdict", "na", "met"),
        ("blocker: none", "blocker: only", "blocker", "only", "none"),
        ("{only: unmet}", "{only: met}", "only", "met", "unmet"),
    ],
)
def test_what_comes_out_otherwise_is_told(before: str, after: str, what: str, expected: str, found: str) -> None:
    failed = [each for result in report(CASES.replace(before, after, 1)).results for each in result.mismatches]
    assert (what, expected, found) in {(each.what, each.expected, each.found) for each in failed}


def test_a_verdict_that_no_case_expects_is_missing() -> None:
    without = "\n".join(line for line in CASES.splitlines() if "不详" not in line)
    found = report(without)
    assert not found.passed
    assert [line.missing for line in found.coverage] == [{Verdict.UNKNOWN}]


def test_a_verdict_that_comes_out_but_is_not_expected_does_not_count() -> None:
    blind = CASES.replace("criteria: {only: unknown}", "blocker: none")
    assert [line.missing for line in report(blind).coverage] == [{Verdict.UNKNOWN}]


@pytest.mark.parametrize(
    ("before", "after", "rule"),
    [
        ("staff@last_year", "staf@last_year", "field_unknown"),
        ("staff@last_year", "staff", "period_needed"),
        ("300 人}", "300 万元}", "unit_mismatch"),
        ("300 人}", "300.5 人}", "threshold_places"),
        ("pack: example", "pack: other", "choice"),
        ("verdict: met", "verdict: fine", "choice"),
        ("{only: met}", "{onli: met}", "criterion_unknown"),
        ("staff@-1", "staff@soon", "choice"),
        ("name: 刚好", "naem: 刚好", "required"),
        ("on: 2026-06-01", "on: 2026-06-31", "date"),
    ],
)
def test_a_file_that_says_what_it_cannot_is_refused(before: str, after: str, rule: str) -> None:
    with pytest.raises(TermError) as caught:
        report(CASES.replace(before, after, 1))
    assert caught.value.rule == rule


def test_values_are_read_with_their_unit_to_the_fen() -> None:
    assert value_of(FIELDS["revenue"], "1500 万元", "") == 1_500_000_000
    assert value_of(FIELDS["revenue"], "14999999.99 元", "") == 1_499_999_999
    assert value_of(FIELDS["revenue"], 12, "") == 1_200
    assert value_of(FIELDS["segment.share"], "12.5 %", "") == 1_250
    assert value_of(FIELDS["revenue"], "unknown", "") is None
    with pytest.raises(TermError):
        value_of(FIELDS["revenue"], True, "")


MET, UNMET, UNKNOWN, MANUAL = Verdict.MET, Verdict.UNMET, Verdict.UNKNOWN, Verdict.MANUAL
FLAG, ASK = "{op: is, of: legal-entity, value: true}", "{op: manual, question: 是否先进？}"


@pytest.mark.parametrize(
    ("test", "verdicts"),
    [
        (FLAG, {MET, UNMET, UNKNOWN}),
        (ASK, {MANUAL}),
        (f"{{op: all_of, tests: [{FLAG}, {ASK}]}}", {MANUAL, UNMET, UNKNOWN}),
        (f"{{op: any_of, tests: [{FLAG}, {ASK}]}}", {MET, MANUAL}),
    ],
)
def test_which_verdicts_a_test_can_have(test: str, verdicts: set[Verdict]) -> None:
    assert possible(test_of(test)[0]) == verdicts


def test_a_veto_turns_met_and_unmet_round_and_applies_when_adds_not_applicable() -> None:
    content = document(text_with(test="{op: is, of: abnormal, value: true}", kind="veto", quote="未列入经营异常名录"))
    content["body"]["criteria"][0]["applies_when"] = document("{op: is, of: resident, value: true}")
    found = run_tests(load(dump(content)), """
pack: example
on: 2026-06-01
base: {resident: true}
cases:
  - {name: 列入, facts: {abnormal: true}, expect: {verdict: unmet, criteria: {only: unmet}}}
  - {name: 未列入, facts: {abnormal: false}, expect: {verdict: met, criteria: {only: met}}}
  - {name: 不详, expect: {verdict: unknown, criteria: {only: unknown}}}
""")  # fmt: skip
    assert [each for result in found.results for each in result.mismatches] == []
    assert [line.missing for line in found.coverage] == [{Verdict.NA}]
