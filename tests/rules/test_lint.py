"""Lint: each kind of error is found where it was made, and what is right is left alone."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rules.packs import document, dump, text_with

from huoshui.publications import shipped
from huoshui.rules import at, load, quotes
from huoshui.rules.findings import LEVELS
from huoshui.rules.lint import lint
from huoshui.rules.lint_words import SENTENCES, sentence
from huoshui.rules.model import Op

SHIPPED = shipped("rule_pack")
ON = dt.date(2026, 6, 1)
REVENUE = "{op: ge, of: revenue, period: last_year, value: 1500, unit: 万元}"
SAYS = "上年度营业收入不低于1500万元"


def found(text: str, **more: Any) -> set[tuple[str, str]]:
    return {(each.code, each.path) for each in lint(text, **more) if each.level != "note"}


def of_test(test: str, quote: str, title: str = "条件", kind: str = "hard", **more: Any) -> set[str]:
    """Codes found in a pack of one criterion."""
    return {code for code, _ in found(text_with(test=test, quote=quote, title=title, kind=kind, **more))}


# --- the quote against the test ---------------------------------------------------------------------------------------

RIGHT = [
    (REVENUE, SAYS, "hard"),
    ("{op: ge, of: {ratio: [rd, revenue]}, period: {each: 2}, value: 3, unit: '%'}",
     "近两年研发费用占营业收入比重均不低于百分之三", "hard"),
    ("{op: le, of: {ratio: [liabilities, assets]}, period: last_year, value: 75, unit: '%'}",
     "上年末资产负债率控制在75%以下", "hard"),
    ("{op: ge, of: {age: founded}, value: 1, unit: 年}", "企业申请认定时须注册成立一年以上", "hard"),
    ("{op: ge, of: {age: founded}, value: 12, unit: 月}", "注册成立时间满365天", "hard"),
    ("{op: gt, of: srdi.score, period: last_year, value: 70, unit: 分}", "评价得分达到70分以上（不含70分）", "hard"),
    ("{op: is, of: dishonest, value: true}", "未被列入严重失信主体名单", "veto"),
    ("{op: gt, of: {ratio: [liabilities, assets]}, period: last_year, value: 80, unit: '%'}",
     "上年末资产负债率高于80%的，不予认定", "veto"),
    ("{op: ge, of: rd, period: {sum: 2}, value: 1200, unit: 万元}", "近2年研发费用合计不低于一千二百万元", "hard"),
    ("{op: le, of: revenue, period: last_year, value: 2, unit: 亿元}", "年销售收入不超过2亿元", "hard"),
]  # fmt: skip


@pytest.mark.parametrize(("test", "quote", "kind"), RIGHT)
def test_what_the_quote_says_is_not_complained_of(test: str, quote: str, kind: str) -> None:
    assert of_test(test, quote, kind=kind) == set()


WRONG = {
    "number_differs": ("{op: ge, of: revenue, period: last_year, value: 1600, unit: 万元}", SAYS),
    "unit_differs": ("{op: ge, of: revenue, period: last_year, value: 1500, unit: 元}", SAYS),
    "direction_differs": ("{op: le, of: revenue, period: last_year, value: 1500, unit: 万元}", SAYS),
    "strictness_differs": ("{op: gt, of: revenue, period: last_year, value: 1500, unit: 万元}", SAYS),
    "period_differs": ("{op: ge, of: revenue, period: year_before_last, value: 1500, unit: 万元}", SAYS),
    "field_differs": ("{op: ge, of: revenue.main, period: last_year, value: 1500, unit: 万元}", SAYS),
    "number_not_asked": (REVENUE, "上年度营业收入不低于1500万元，研发费用不低于100万元"),
    "number_not_quoted": (REVENUE, "上年度营业收入达到规定标准"),
    "ratio_inverted": (
        "{op: ge, of: {ratio: [revenue, rd]}, period: last_year, value: 3, unit: '%'}",
        "上年度研发费用占营业收入比重不低于3%",
    ),
    "period_each": (
        "{op: ge, of: {ratio: [rd, revenue]}, period: {sum: 2}, value: 3, unit: '%'}",
        "近2年研发费用占营业收入比重每年不低于3%",
    ),
    "growth_differs": (
        "{op: ge, of: {ratio: [revenue.main, revenue]}, period: last_year, value: 5, unit: '%'}",
        "上年度营业收入、主营业务收入增长率不低于5%",
    ),
    "requires_bad": ("{op: is, of: dishonest, value: true}", "未被列入严重失信主体名单"),
    "date_differs": (
        "{op: on_or_before, of: loan.due, value: 2026-09-30}",
        "对2027年9月30日前到期的流动资金贷款",
    ),
    "joint_any": (
        "{op: any_of, tests: [{op: is, of: legal-entity, value: true}, {op: is, of: resident, value: true}]}",
        "具有独立法人资格且在中国境内注册的居民企业",
    ),
    "joint_all": (
        "{op: all_of, tests: [{op: valid, of: high-tech}, {op: valid, of: tech-sme}]}",
        "有效的高新技术企业或科技型中小企业",
    ),
    "field_not_asked": (
        "{op: valid, of: high-tech}",
        "有效的高新技术企业或科技型中小企业",
    ),
    "citation_placeholder": (REVENUE, "TODO 待粘贴"),
}  # fmt: skip


@pytest.mark.parametrize("code", WRONG)
def test_what_the_quote_does_not_say_is_found(code: str) -> None:
    test, quote = WRONG[code]
    assert (code, "body.criteria[0]") in {
        (each, path.partition("].")[0].rstrip("]") + "]") for each, path in found(text_with(test=test, quote=quote))
    }


def test_a_veto_of_something_good_and_a_hard_denial_are_the_wrong_way_round() -> None:
    good = "{op: is, of: legal-entity, value: true}"
    assert "veto_not_negative" in of_test(good, "具有独立法人资格", kind="veto")
    assert "excludes_good" in of_test("{op: is, of: legal-entity, value: false}", "具有独立法人资格")


def test_a_hard_criterion_that_asks_a_person_should_be_manual_and_the_other_way_round() -> None:
    assert "hard_manual" in of_test("{op: manual, question: 是否先进？}", "技术先进")
    assert "manual_computable" in of_test(REVENUE, SAYS, kind="manual")


# --- tests against one another ----------------------------------------------------------------------------------------


def joined(op: str, *tests: str) -> str:
    return f"{{op: {op}, tests: [{', '.join(tests)}]}}"


def staff(op: str, value: int) -> str:
    return f"{{op: {op}, of: staff, period: last_year, value: {value}, unit: 人}}"


def test_contradictions_and_what_is_always_or_never_met() -> None:
    assert "contradiction" in of_test(joined("all_of", staff("gt", 300), staff("lt", 100)), "职工")
    assert "redundant" in of_test(joined("all_of", staff("ge", 300), staff("ge", 100)), "职工")
    assert "always_met" in of_test(joined("any_of", staff("ge", 100), staff("lt", 200)), "职工100人以上或200人以下")
    assert "always_met" in of_test(staff("ge", 0), "职工")
    assert "never_met" in of_test(staff("lt", 0), "职工")
    share = "{op: ge, of: segment.share, period: last_year, value: 120, unit: '%'}"
    assert "never_met" in of_test(share, "市场占有率不低于120%")
    part = "{op: ge, of: {ratio: [revenue.main, revenue]}, period: last_year, value: 150, unit: '%'}"
    assert "share_over_whole" in of_test(part, "主营业务收入占营业收入比重不低于150%")


@given(low=st.integers(1, 10_000), high=st.integers(1, 10_000))
def test_two_bounds_contradict_exactly_when_no_number_lies_between(low: int, high: int) -> None:
    codes = of_test(joined("all_of", staff("ge", low), staff("le", high)), "职工")
    assert ("contradiction" in codes) == (not any(low <= number <= high for number in (low, high)))


def test_a_hard_criterion_that_contradicts_the_audience_is_found() -> None:
    body = "audience: {text: 大型企业, test: {op: in, of: sme.size, values: [large]}}"
    text = text_with(body, test="{op: in, of: sme.size, values: [small, micro]}", quote="小微企业")
    assert ("contradiction", "body.criteria[0].test") in found(text)


def test_a_cycle_an_unknown_pack_and_an_overlap_of_variants() -> None:
    step = {"id": "old", "title": "旧", "when": document(REVENUE), "clause": "第九条", "quote": SAYS}
    first = document(text_with()) | {"id": "first"}
    first["body"]["transitions"] = [step | {"pack": "second"}]
    second = document(text_with()) | {"id": "second"}
    second["body"]["transitions"] = [step | {"pack": "first"}]
    known = {"second": load(dump(second))}
    assert ("cycle", "body.transitions[0].pack") in found(dump(first), known_packs=known)
    assert ("pack_unknown", "body.transitions[0].pack") in found(dump(first), known_packs={})
    variant = {"title": "甲", "division": "330100", "parameters": {"months": 6}, "source": "甲市", "clause": "一",
               "quote": "成立6个月以上"}  # fmt: skip
    third = document(text_with(test="{op: ge, of: {age: founded}, parameter: months, unit: 月}", quote="成立满12个月"))
    third["body"]["parameters"] = [{"id": "months", "title": "最短", "value": 12, "unit": "月"}]
    third["body"]["variants"] = [variant | {"id": "a"}, variant | {"id": "b"}]
    assert ("variants_overlap", "body.variants[1]") in found(dump(third))
    assert at(load(dump(third)), "a").parameters[0].value == 6


# --- scores and money -------------------------------------------------------------------------------------------------

SCORED = """
scoring:
  threshold: 60
  parts: [{id: all, title: 全部, minimum: 20, criteria: [only]}]
  clause: 附件1
  quote: 总分60分以上，全部不低于20分
"""


def scored(bands: str) -> set[tuple[str, str]]:
    quote = "研发费用占营业收入比重5%以上100分，3%以上50分，3%以下0分"
    return found(text_with(
        SCORED, test="{}", kind="score", quote=quote, title="研发费用占比",
        score={"of": {"ratio": ["rd", "revenue"]}, "period": "last_year", "unit": "%", "bands": document(bands)},
    ).replace("    test: {}\n", ""))  # fmt: skip


def test_bands_that_touch_and_cover_are_left_alone() -> None:
    whole = "[{from: 5, points: 100}, {from: 3, to: 5, points: 50}, {to: 3, points: 0}]"
    assert scored(whole) == set()


@pytest.mark.parametrize(
    ("bands", "code", "path"),
    [
        ("[{from: 5, points: 100}, {from: 3, to: 4, points: 50}, {to: 3, points: 0}]", "band_gap", "bands[0]"),
        ("[{from: 5, points: 100}, {from: 3, to: 6, points: 50}, {to: 3, points: 0}]", "band_overlap", "bands[0]"),
        ("[{from: 5, to: 9, points: 100}, {from: 3, to: 5, points: 50}, {to: 3, points: 0}]", "bands_open_high",
         "bands[0]"),
        ("[{from: 5, points: 100}, {from: 3, to: 5, points: 50}]", None, ""),
        ("[{from: 5, points: 50}, {from: 3, to: 5, points: 100}, {to: 3, points: 0}]", "points_not_monotone",
         "bands[0]"),
        ("[{from: 5, points: 90}, {from: 3, to: 5, points: 50}, {to: 3, points: 0}]", "number_differs",
         "bands[0].points"),
    ],
)  # fmt: skip
def test_bands_with_a_fault_are_found_at_the_band(bands: str, code: str | None, path: str) -> None:
    codes = scored(bands)
    if code is None:
        assert ("bands_open_low", "body.criteria[0].score.bands[1]") in codes
    else:
        assert (code, f"body.criteria[0].score.{path}") in codes


def test_a_threshold_that_cannot_be_reached() -> None:
    text = text_with(SCORED, test="{}", kind="score", title="研发", quote="研发机构20分，没有0分",
                     score=document("{steps: [{points: 20, test: {op: is, of: rd-body, value: true}}], otherwise: 0}"))
    codes = found(text.replace("    test: {}\n", ""))  # fmt: skip
    assert ("score_unreachable", "body.scoring.threshold") in codes


GRANT = """
benefit:
  kind: grant
  text: 按研发费用的10%%补助，每家企业每年最高100万元
  clause: 第五条
  quote: 按上年度研发费用的10%%给予补助，每家企业每年最高100万元
  cap: {value: %s, unit: %s}
  amount: {least: [{share: {of: rd, period: last_year}, rate: {otherwise: %s}}, {fixed: 100, unit: 万元}]}
"""


@pytest.mark.parametrize(
    ("cap", "unit", "rate", "wanted"),
    [
        (100, "万元", 10, set()),
        (100, "元", 10, {"unit_differs", "amount_over_cap"}),
        (120, "万元", 10, {"number_differs", "cap_unreachable"}),
        (100, "万元", 15, {"number_differs", "number_not_asked"}),
        (100, "万元", 150, {"share_over_whole", "number_differs", "number_not_asked"}),
    ],
)  # fmt: skip
def test_rates_and_caps_are_those_of_the_quote(cap: int, unit: str, rate: int, wanted: set[str]) -> None:
    assert {code for code, _ in found(text_with(GRANT % (cap, unit, rate)))} == wanted


# --- dates, notice, text ----------------------------------------------------------------------------------------------


def test_what_ends_within_twelve_months_is_told_on_the_day() -> None:
    text = dump(document(text_with()) | {"effective_to": "2027-05-31"})
    assert ("ends_soon", "effective_to") in found(text, on=dt.date(2026, 6, 1))
    assert ("ends_soon", "effective_to") not in found(text, on=dt.date(2026, 5, 1))
    assert ("ended", "effective_to") in found(text, on=dt.date(2027, 6, 1))


def test_a_quote_must_stand_in_the_notice_and_a_sentence_between_quotes_is_not_passed_over() -> None:
    text = text_with(test=REVENUE, quote=SAYS)
    assert found(text, notice=f"一、条件\n（一）{SAYS}；") == set()
    assert ("quote_not_in_notice", "body.criteria[0].quote") in found(text, notice="上年度营业收入不低于1000万元")
    said = lint(text, notice=f"{SAYS}\n上年末资产负债率不高于70%")
    assert [(each.path, each.level) for each in said if each.code == "notice_unquoted"] == [("notice[2]", "note")]


@pytest.mark.parametrize("change", ["quote", "clause", "test", "kind"])
def test_a_text_that_does_not_load_is_one_error_at_its_place(change: str) -> None:
    content = document(text_with())
    del content["body"]["criteria"][0][change]
    errors = lint(dump(content))
    assert [(each.level, each.path.startswith("body.criteria[0]")) for each in errors] == [("error", True)]


# --- the packs that ship, and words -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def known() -> dict[str, Any]:
    return {pack.id: pack for pack in map(load, SHIPPED.values())}


@pytest.mark.parametrize("name", SHIPPED)
def test_packs_that_ship_have_no_error(name: str, known: dict[str, Any]) -> None:
    assert [each for each in lint(SHIPPED[name], on=ON, known_packs=known) if each.level == "error"] == []


def test_every_finding_has_a_sentence_in_both_languages(known: dict[str, Any]) -> None:
    for name in SHIPPED:
        for each in lint(SHIPPED[name], on=ON, known_packs=known):
            assert each.code in SENTENCES
            assert each.level in LEVELS
            for language in ("zh", "en"):
                assert "{" not in sentence(each, language)


READ: dict[str, Callable[[quotes.Said], object]] = {
    "不低于1,500万元": lambda said: (said.stated[0].value, set(said.stated[0].ops)) == (150_000_0000, {Op.GE}),
    "一千五百万元": lambda said: said.stated[0].value == 150_000_0000,
    "百分之六十以上": lambda said: (said.stated[0].value, set(said.stated[0].ops)) == (6_000, {Op.GE}),
    "小于5,000万元（含）": lambda said: set(said.stated[0].ops) == {Op.LE},
    "30%或20%": lambda said: [each.value for each in said.stated] == [3_000, 2_000],
    "10—15%": lambda said: [each.value for each in said.stated] == [1_000, 1_500],
    "第十一条第（三）项，工信部企业〔2026〕2号": lambda said: said.stated == (),
    "2023年1月1日至2027年12月31日": lambda said: len(said.dates) == 2 and said.stated == (),
    "近三年、最近2个会计年度": lambda said: said.spans == {2, 3},
    "上年度": lambda said: said.last,
    "经统一规划，一般由唯一单位一次性申报": lambda said: said.stated == (),
}


@pytest.mark.parametrize("text", READ)
def test_a_sentence_states_these_numbers_and_no_others(text: str) -> None:
    assert READ[text](quotes.read(text))


def test_of_a_declared_field_nobody_knows_which_answer_speaks_for_the_firm() -> None:
    text = """
kind: rule_pack
id: declared
title: 示例
authority: 示例市
source: 示例
status: draft
effective_from: 2026-01-01
note: 示例
body:
  audience: {text: 全部}
  fields: [{code: own.zombie, title: 僵尸企业, kind: boolean}]
  criteria:
    - id: zombie
      title: 僵尸企业
      kind: veto
      clause: 三
      quote: 僵尸企业不予支持
      test: {op: is, of: own.zombie, value: true}
"""
    codes = {finding.code for finding in lint(text, on=ON) if finding.path.startswith("zombie")}
    assert not codes & {"excludes_good", "veto_not_negative"}
