"""The policy desk in a real browser: a missing fact becomes an answer, a verdict, an application, an approval."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from tests.browser.conftest import Visit

pytestmark = pytest.mark.browser
VOUCHER = "hangzhou-compute-voucher-2025"
PAGES = ["/policy/match/", "/policy/applications/"]


def answer_no(here: Visit, column: str) -> None:
    """Answer a yes-or-no question in place and wait for the match to be worked out anew."""
    here.page.click(f"#q-{column} button[value=no]")
    here.page.wait_for_selector("#match .message.good")


def apply_for(here: Visit, pack: str, planned: str) -> str:
    """Tick a policy, hand in the file; returns the address of the application."""
    here.page.check(f"#pack-{pack}")
    here.page.click("#apply button")
    here.page.wait_for_selector("h1")
    here.page.fill(f"#id_planned_{pack}", planned)
    here.page.check("#id_consent")
    here.page.click("main button.primary")
    here.page.wait_for_url(re.compile(r"/policy/applications/\?filing=\d+"))
    href = here.page.locator("tbody th a").first.get_attribute("href")
    assert href is not None
    return href


def test_from_a_missing_fact_to_an_application_that_two_officers_look_at(visit: Callable[..., Visit]) -> None:
    here = visit()
    here.sign_in("agent3")
    assert here.open("/policy/match/") == 200
    assert here.page.locator(f"#pack-{VOUCHER}").count() == 0, "not known yet"
    answer_no(here, "dishonest")
    assert here.page.locator(f"#get a[href*={VOUCHER}]").is_visible()
    application = apply_for(here, VOUCHER, "40万")
    assert here.open(application) == 200
    assert "200,000.00" in here.page.locator("main").inner_text(), "half of a small firm's contract"
    assert here.complaints == []

    officer = visit()
    officer.sign_in("officer")
    officer.open(application)
    officer.page.click("form[action$='/check/'] button.primary")
    assert "复审" in officer.page.locator(".messages").first.inner_text()
    assert officer.page.locator("form[action$='/approve/']").count() == 0, "the checker cannot approve"
    second = visit()
    second.sign_in("officer2")
    second.open(application)
    assert second.page.locator("form[action$='/approve/']").count() == 1
    assert officer.complaints + second.complaints == []


def test_a_question_answers_without_script_too(visit: Callable[..., Visit]) -> None:
    here = visit(script=False)
    here.sign_in("agent5")
    here.open("/policy/match/")
    before = here.page.locator("#questions tbody tr").count()
    first = here.page.locator("#questions form").first
    column = first.locator("input[name=column]").get_attribute("value")
    first.locator("button").last.click()
    assert here.page.locator(f"input[name=column][value='{column}']").count() == 0
    assert before
    assert here.complaints == []


def test_a_decision_is_verified_again(visit: Callable[..., Visit]) -> None:
    here = visit()
    here.sign_in("auditor")
    here.open("/policy/applications/")
    here.page.locator("tbody th a").last.click()
    here.page.get_by_role("link", name="查看决定和证明").click()
    here.page.get_by_role("link", name="重新验证").click()
    assert "结果一致" in here.page.locator(".message").first.inner_text()
    assert here.complaints == []


@pytest.mark.parametrize("language", ["zh-CN", "en-US"])
def test_match_pages_fit_the_screen(visit: Callable[..., Visit], language: str) -> None:
    here = visit(language=language)
    here.sign_in("agent2")
    here.open("/policy/match/")
    links = here.page.locator("#match th a").evaluate_all("all => all.map(one => one.getAttribute('href'))")
    assert here.misfits(*PAGES, *links[:4]) == []
    assert here.complaints == []
