"""The exchange in a real browser: a site lists, a firm takes and resells, an auction is read, a need is posted."""

from collections.abc import Callable

import pytest
from tests.browser.conftest import Visit

pytestmark = pytest.mark.browser
FIRM = [
    "/exchange/", "/exchange/rules/", "/exchange/auctions/", "/exchange/auctions/1/", "/exchange/enquiries/",
    "/exchange/enquiries/1/", "/exchange/enquiries/2/", "/exchange/enquiries/new/", "/exchange/mine/",
    "/exchange/trades/", "/exchange/listings/1/", "/exchange/listings/seek/", "/exchange/listings/balance/",
]  # fmt: skip


@pytest.mark.parametrize("script", [True, False])
def test_a_firm_takes_lots_and_lists_some_of_them_again(visit: Callable[..., Visit], script: bool) -> None:
    here = visit(390 if script else 1280, script=script)
    here.sign_in("agent3")
    here.open("/exchange/?side=sell")
    here.page.locator("main tbody tr").filter(has_not_text="转售").first.locator("a").first.click()
    here.page.fill("#id_lots", "1")
    here.page.click("main form button.primary")
    assert "/exchange/trades/" in here.page.url
    assert here.page.locator("h1").inner_text().startswith("成交 T")
    here.open("/exchange/mine/")
    assert here.overflow() == []
    here.page.get_by_role("link", name="转售", exact=True).first.click()
    here.page.fill("#id_lots", "1")
    here.page.click("main form button.primary")
    assert here.page.locator("h1").inner_text().startswith("挂牌出售")
    assert here.complaints == []


def test_a_price_beyond_the_limits_is_said_in_words_and_shown_to_officers(visit: Callable[..., Visit]) -> None:
    here = visit(390)
    here.sign_in("operator1")
    here.open("/exchange/listings/sell/")
    here.page.fill("#id_lots", "1")
    here.page.fill("#id_price_mfen", "900")
    here.page.click("main form button.primary")
    assert "900.00" in here.page.locator("main form").inner_text()
    assert here.page.input_value("#id_lots") == "1", "what was typed is kept"
    assert here.overflow() == []
    officer = visit()
    officer.sign_in("officer")
    officer.open("/exchange/monitor/")
    assert "超出价格限制" in officer.page.locator("main tbody tr").first.inner_text()


def test_a_need_is_posted_and_its_offers_stay_sealed(visit: Callable[..., Visit]) -> None:
    here = visit()
    here.sign_in("agent1")
    here.open("/exchange/enquiries/new/")
    here.page.fill("#id_title", "浏览器测试")
    here.page.fill("#id_cards", "1")
    here.page.locator("input[name=card_models]").first.check()
    here.page.locator("input[name=regions]").first.check()
    here.page.fill("#id_budget_fen", "500")
    here.page.click("main form button.primary")
    assert "浏览器测试" in here.page.locator("h1").inner_text()
    assert here.page.locator(".message.info").is_visible()
    here.open("/exchange/enquiries/2/")
    assert here.page.get_by_text("你的密封报价").count() == 0


def test_everybody_reads_the_proof_of_an_auction(visit: Callable[..., Visit]) -> None:
    here = visit(390, script=False)
    assert here.open("/exchange/public/1/") == 200
    assert here.page.locator("svg.chart").count() == 1
    assert here.overflow() == []
    auditor = visit()
    auditor.sign_in("auditor")
    auditor.open("/exchange/auctions/1/verify/")
    assert auditor.page.locator(".message.good").is_visible()


@pytest.mark.parametrize("language", ["zh-CN", "en-US"])
def test_pages_fit_the_screen(visit: Callable[..., Visit], language: str) -> None:
    here = visit(language=language)
    here.sign_in("agent1")
    assert here.misfits(*FIRM) == []
    assert here.complaints == []
