"""Sentences say exactly what a test asks: the measure, its period, the direction, the number with its unit."""

import datetime as dt

import pytest
from tests.rules.packs import test_of

from huoshui.rules import FIELDS, words
from huoshui.rules.titles import ENGLISH

CASES = {
    "{op: ge, of: revenue, period: last_year, value: 1500, unit: 万元}": (
        "营业收入（上一年）不低于 1,500 万元",
        "revenue (last year) is at least 15,000,000 yuan",
    ),
    "{op: lt, of: {ratio: [liabilities, assets]}, period: last_year, value: '55.5', unit: '%'}": (
        "负债总额 ÷ 资产总额（上一年）低于 55.5%",
        "total liabilities ÷ total assets (last year) is less than 55.5%",
    ),
    "{op: ge, of: {ratio: [rd, revenue]}, period: {each: 2}, value: 3, unit: '%'}": (
        "近 2 年每年：研发费用 ÷ 营业收入不低于 3%",
        "in each of the last 2 years: R&D expenses ÷ revenue is at least 3%",
    ),
    "{op: ge, of: rd, period: {sum: 2}, value: 1200, unit: 万元}": (
        "研发费用（近 2 年合计）不低于 1,200 万元",
        "R&D expenses (last 2 years together) is at least 12,000,000 yuan",
    ),
    "{op: le, of: staff, period: last_year, value: 500, unit: 人}": (
        "从业人员（职工总数）（上一年）不超过 500 人",
        "staff (last year) is at most 500 people",
    ),
    "{op: ge, of: {age: founded}, value: 1, unit: 年}": (
        "自成立日期至评价当日已满 1 年",
        "time since date of establishment: at least 1 years",
    ),
    "{op: ge, of: {growth: revenue}, period: {growth: 3}, value: 5, unit: '%'}": (
        "营业收入 2 年年均复合增长率（至上一年）不低于 5%",
        "yearly growth of revenue over 2 years (to last year) is at least 5%",
    ),
    "{op: valid, of: high-tech}": (
        "持有有效期内的“高新技术企业”资格",
        "holds a valid certificate: high-tech enterprise",
    ),
    "{op: is, of: legal-entity, value: true}": ("具有独立法人资格", "independent legal person"),
    "{op: is, of: abnormal, value: false}": (
        "无此情形：列入经营异常名录",
        "not: on the list of abnormal operations",
    ),
    "{op: starts_with, of: division, values: ['3301']}": (
        "登记地行政区划代码以 3301 开头",
        "division of registration begins with 3301",
    ),
    "{op: on_or_before, of: loan.due, value: 2027-09-30}": (
        "流动资金贷款到期日不晚于 2027-09-30",
        "due date of the working-capital loan is on or before 2027-09-30",
    ),
    "{op: in, of: sme.size, values: [small, micro]}": (
        "企业规模属于：小型、微型",
        "size of the enterprise is one of: small, micro",
    ),
}


@pytest.mark.parametrize("text", CASES)
def test_a_test_reads_as_what_it_asks(text: str) -> None:
    test, pack = test_of(text)
    assert (words.test(test, pack, "zh-hans"), words.test(test, pack, "en")) == CASES[text]


def test_with_the_day_of_evaluation_a_period_is_a_calendar_year() -> None:
    test, pack = test_of("{op: ge, of: rd, period: {sum: 2}, value: 1200, unit: 万元}")
    assert words.test(test, pack, "zh", dt.date(2026, 5, 1)) == "研发费用（2024—2025 年合计）不低于 1,200 万元"


def test_every_field_of_the_catalogue_has_an_english_title() -> None:
    wanted = {code for code in FIELDS if not code.endswith(".until")}
    assert wanted == set(ENGLISH)
    assert words.field("srdi.until", FIELDS, "en").endswith("valid until")


@pytest.mark.parametrize(
    ("fen", "zh", "en"),
    [
        (1, "0.01 元", "0.01 yuan"),
        (0, "0 元", "0 yuan"),
        (150_000_000, "150 万元", "1,500,000 yuan"),
        (12_345_678, "123,456.78 元", "123,456.78 yuan"),
        (-1_250_000, "-1.25 万元", "-12,500 yuan"),
        (25_000_000_000, "2.5 亿元", "250,000,000 yuan"),
    ],
)
def test_money_is_exact(fen: int, zh: str, en: str) -> None:
    assert (words.money(fen, "zh"), words.money(fen, "en")) == (zh, en)
