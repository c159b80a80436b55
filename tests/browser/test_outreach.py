"""Officers in a real browser: from the overview to a list, a second person's batch, a message and what comes of it."""

from collections.abc import Callable

import pytest
from tests.browser.conftest import Visit

pytestmark = pytest.mark.browser
GRANT = "demo-first-compute-grant"
PAGES = (
    "/policy/", f"/policy/who/{GRANT}/?show=one_step", f"/policy/who/{GRANT}/?show=unknown", "/policy/batches/",
    "/policy/batches/1/?show=dropped", "/policy/pushes/", "/policy/pushes/1/", "/policy/runs/", "/policy/runs/1/",
)  # fmt: skip


def test_the_overview_leads_to_a_list_and_the_list_to_a_firm(visit: Callable[..., Visit]) -> None:
    here = visit()
    here.sign_in("officer")
    assert here.open("/policy/") == 200
    here.page.click(f"main a[href='/policy/who/{GRANT}/']")
    here.page.click("main a[href='?show=one_step']")
    here.page.click("main table a[href^='/policy/match/']")
    assert here.page.locator("h1").inner_text() == "惠企政策匹配"
    assert here.complaints == []


@pytest.mark.parametrize("script", [True, False])
def test_who_proposed_a_batch_sees_that_somebody_else_confirms_it(visit: Callable[..., Visit], script: bool) -> None:
    here = visit(script=script)
    here.sign_in("officer")
    here.open("/policy/batches/2/")
    assert here.page.locator("form[action='/policy/batches/2/confirm/']").count() == 0
    other = visit(script=script)
    other.sign_in("officer2")
    other.open("/policy/batches/2/")
    assert other.page.locator("form[action='/policy/batches/2/confirm/']").count() == 1
    assert here.complaints == other.complaints == []


@pytest.mark.parametrize("language", ["zh-CN", "en-US"])
def test_lists_fit_the_screen(visit: Callable[..., Visit], language: str) -> None:
    here = visit(language=language)
    here.sign_in("officer")
    assert here.misfits(*PAGES) == []
    assert here.complaints == []
