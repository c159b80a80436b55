"""Energy plans and drafts in a real browser: what people read, press and print, at desk and phone width."""

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.browser
OPERATOR, AGENT = "operator1", "agent1"


@pytest.mark.parametrize("width", [1280, 390])
def test_a_plan_is_read_printed_and_downloaded(visit: Callable[..., Any], width: int) -> None:
    seen = visit(width)
    seen.sign_in(OPERATOR)
    seen.open("/energy/")
    seen.page.click("main table a >> nth=1")
    assert "/energy/plans/" in seen.page.url
    assert seen.page.locator("svg.chart").count() == 3
    assert seen.overflow() == []
    with seen.page.expect_download() as download:
        seen.page.click("text=DOCX")
    assert download.value.suggested_filename.endswith(".docx")
    seen.page.click("text=打印")
    assert seen.page.locator("tbody tr").count() >= 24
    assert seen.overflow() == []
    assert seen.complaints == []


def test_a_draft_is_done_only_when_its_person_says_so(visit: Callable[..., Any]) -> None:
    seen = visit(390)
    seen.sign_in(AGENT)
    seen.open("/agents/drafts/")
    assert seen.overflow() == []
    seen.page.click("tbody a >> nth=0")
    assert seen.page.locator("text=将执行的操作").count() == 1
    assert seen.overflow() == []
    seen.page.click("summary:has-text('确认')")
    seen.page.click("form button:has-text('确认') >> visible=true")
    seen.page.wait_for_selector("text=已按草稿执行")
    assert seen.page.locator("summary:has-text('确认')").count() == 0
    assert seen.complaints == []
