"""An officer writes a pack beside its notice, a second one puts it in force, and a firm finds it in its match."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.browser.conftest import Visit

pytestmark = pytest.mark.browser

NOTICE = """\
示例区首用算力奖励办法
第二条 申请企业应当同时满足下列条件：
（一）成立满一年以上；
（二）上年度营业收入总额不低于100万元。
第三条 符合条件的企业，一次性奖励5万元。
第四条 本办法自2026年1月1日起施行。
"""
BENEFIT = """\
  benefit:
    kind: grant
    text: 一次性奖励5万元
    clause: 第三条
    quote: 一次性奖励5万元
    cap: {value: 5, unit: 万元}
    amount: {fixed: 5, unit: 万元}
"""
CASES = """\
pack: walk-award-2026
on: 2026-06-01
cases:
  - name: 刚好达到
    facts: {revenue@last_year: 100 万元}
    expect: {verdict: met, criteria: {revenue: met}, amount: 5 万元}
  - name: 差一分钱
    facts: {revenue@last_year: 999999.99 元}
    expect: {verdict: unmet, criteria: {revenue: unmet}}
  - name: 收入不详
    expect: {verdict: unknown, criteria: {revenue: unknown}}
"""


def test_from_a_notice_to_the_match_of_a_firm(visit: Callable[..., Visit], tmp_path: Path) -> None:
    file = tmp_path / "notice.txt"
    file.write_text(NOTICE, "gb18030")
    writer = visit()
    writer.sign_in("officer")
    page = writer.page

    # the notice comes in and a draft begins with its header
    writer.open("/policy/notices/new/")
    page.set_input_files("#id_file", file)
    for name, text in (("title", "示例区首用算力奖励"), ("authority", "示例区经信局"), ("source", "示例区网站")):
        page.fill(f"#id_{name}", text)
    page.click("main .form button.primary")
    page.fill("#id_identifier", "walk-award-2026")
    page.fill("#id_effective_from", "2026-01-01")
    page.click("main .form button.primary")
    page.wait_for_selector("#notice .sentence")

    # a sentence becomes a criterion: the form knows its clause and what it asks
    page.locator("label.sentence", has_text="上年度营业收入").locator("input").check()
    page.click("#notice button.primary")
    page.wait_for_selector("#criterion-panel")
    assert page.input_value("#criterion #id_clause") == "第二条（二）"
    assert page.input_value("#criterion #id_quote") == "上年度营业收入总额不低于100万元"
    assert [page.input_value(f"#id_c0-{name}") for name in ("field", "op", "value", "unit", "period")] == [
        "revenue", "ge", "100", "万元", "last_year",
    ]  # fmt: skip
    page.click("#criterion-panel button.primary")
    page.wait_for_selector("#criterion-revenue")
    assert page.locator(".marked-paragraph .badge", has_text="revenue").count() == 1

    # while the text is written the checks follow: a number that the notice does not say is an error
    text = page.input_value("#id_text") + BENEFIT
    page.fill("#id_text", text.replace("value: 100", "value: 200"))
    page.wait_for_selector("#checks .badge.bad")
    page.fill("#id_text", text)
    page.fill("#id_tests", CASES)
    page.wait_for_selector("#checks .findings li:has-text('差一分钱') .badge.good")
    assert page.locator("#checks .badge.bad").count() == 0
    page.click("#text-form button.primary")
    page.wait_for_load_state()

    # tried on a firm, then handed to the second person
    page.fill("#id_firm", "示例")
    page.click("#try button")
    page.wait_for_selector("#tried h3")
    page.fill("#id_word", "（一）由登记机关核验，不另设条件")
    page.click("#submit button.primary")
    page.wait_for_url("**/policy/packs/walk-award-2026/**")

    second = visit()
    second.sign_in("officer2")
    second.open("/policy/packs/walk-award-2026/")
    assert "不另设条件" in second.page.inner_text("main")
    second.page.click(".page-actions a.primary")
    for _step in ("review", "activate"):
        second.page.click(".page-actions .confirm > summary")
        second.page.click(".page-actions .confirm-body button")
        second.page.wait_for_load_state()

    # anyone reads it without signing in; a firm finds it in its match
    reader = visit(390)
    assert reader.open("/policy/packs/walk-award-2026/") == 200
    assert "上年度营业收入总额不低于100万元" in reader.page.inner_text("main")
    assert reader.overflow() == []
    firm = visit()
    firm.sign_in("agent1")
    firm.open("/policy/match/")
    assert "示例区首用算力奖励" in firm.page.inner_text("main")
    assert writer.complaints + second.complaints + reader.complaints + firm.complaints == []


def test_the_public_pages_of_packs(visit: Callable[..., Visit]) -> None:
    """What changed with the vouchers of Hangzhou and with the rules of 2026 is published, and names no firm."""
    reader = visit()
    paths = ("/policy/packs/", "/policy/calendar/", "/policy/packs/hangzhou-compute-voucher-2025/diff/",
             "/policy/packs/srdi-2026/diff/")  # fmt: skip
    assert reader.misfits(*paths) == []
    assert reader.page.locator("#effects table").count() == 1
    assert reader.page.locator("#entities").count() == 0
    assert "2027-12-31" in (reader.open("/policy/calendar/") and reader.page.inner_text("#cliff"))
    assert reader.complaints == []
