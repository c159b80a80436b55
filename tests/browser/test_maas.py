"""The model service in a real browser: money is set aside, a key is made and shown once, usage is read."""

import re
from collections.abc import Callable

import pytest
from tests.browser.conftest import Visit

pytestmark = pytest.mark.browser
PAGES = [
    "/models/", "/models/quality/", "/models/quality/?by=cell", "/models/quality/method/", "/models/wallets/",
    "/models/keys/", "/models/keys/new/", "/models/usage/", "/models/calls/", "/models/bills/", "/models/upstreams/",
    "/models/wallets/fund/", "/models/by-name/shili-chat-7b/",
]  # fmt: skip


@pytest.mark.parametrize("script", [True, False])
def test_a_firm_makes_its_first_key(visit: Callable[..., Visit], script: bool) -> None:
    here = visit(script=script)
    here.sign_in("agent2")
    assert here.open("/models/wallets/fund/") == 200
    here.page.fill("#id_amount_fen", "25.50")
    here.page.click("main button.primary")
    assert here.page.locator("h1").inner_text() == "模型服务调用额度"
    assert here.open("/models/keys/new/") == 200
    here.page.fill("#id_name", "浏览器测试")
    here.page.select_option("#id_period", "day")
    here.page.fill("#id_budget_fen", "5")
    here.page.click("main button.primary")
    secret = here.page.locator("#secret").inner_text()
    assert re.fullmatch(r"hsk_[\w-]{43}", secret)
    assert "/v1/chat/completions" in here.page.locator("pre").first.inner_text()
    here.page.click("text=我已复制")
    assert secret not in here.page.content(), "shown once"
    assert secret[:12] in here.page.content()
    assert "5.00" in here.page.locator(".tiles").inner_text()
    here.page.locator(".confirm > summary", has_text="撤销").click()
    here.page.locator(".confirm[open] .confirm-body button").click()
    assert here.page.locator(".lead .badge.none").count() == 1
    assert here.complaints == []


def test_what_is_wrong_stands_beside_its_field(visit: Callable[..., Visit]) -> None:
    here = visit(390)
    here.sign_in("agent1")
    here.open("/models/wallets/fund/")
    here.page.fill("#id_amount_fen", "1.005")
    here.page.click("main button.primary")
    assert here.page.locator("#id_amount_fen_error").is_visible()
    assert here.page.input_value("#id_amount_fen") == "1.005", "what was typed is kept"
    assert here.overflow() == []


def test_usage_is_drawn_narrowed_and_explained(visit: Callable[..., Visit]) -> None:
    here = visit()
    here.sign_in("agent1")
    here.open("/models/usage/")
    assert here.page.locator("main svg[role=img]").count() == 3
    whole = here.page.locator(".tile").first.inner_text()
    here.page.select_option("#id_model", "shili-embed")
    here.page.click("main form button")
    assert here.page.locator(".tile").first.inner_text() != whole
    here.open("/models/bills/")
    here.page.locator("main tbody a").first.click()
    assert not here.page.get_by_text("此外再无任何取整").is_visible()
    here.page.locator("details.basis > summary").click()
    assert here.page.get_by_text("此外再无任何取整").is_visible()


@pytest.mark.parametrize("language", ["zh-CN", "en-US"])
def test_pages_fit_the_screen(visit: Callable[..., Visit], language: str) -> None:
    here = visit(language=language)
    here.sign_in("agent1")
    assert here.misfits(*PAGES) == []
    assert here.complaints == []


def test_prices_and_quality_are_open_to_everybody(visit: Callable[..., Visit]) -> None:
    here = visit()
    for path in ("/models/", "/models/quality/", "/models/quality/method/", "/models/by-name/shili-chat-7b/"):
        assert here.open(path) == 200, path
    assert here.complaints == []
