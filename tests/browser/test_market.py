"""A firm buys cards as people buy things: search, compare, cart, checkout, order; at a desk and on a telephone."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect
from tests.browser.conftest import Visit

pytestmark = pytest.mark.browser


def shop(visit: Visit) -> str:
    """From the catalogue to the order; returns the order's address."""
    page = visit.page
    assert visit.open("/market/?billing=hourly") == 200
    total = page.locator(".goods > li").count()
    assert total > 0
    page.fill("#id_text", "昇腾")
    page.click("form[role=search] button.primary")
    expect(page.locator(".chips a")).to_have_count(2)
    assert 0 < page.locator(".goods > li").count() < total
    page.locator(".chips a").first.click()
    expect(page.locator(".chips a")).to_have_count(1)
    for place in (0, 1):
        page.locator(".goods > li").nth(place).locator(".actions a").nth(1).click()
    assert visit.overflow() == []
    page.locator(".compare-bar a").click()
    expect(page.locator(".compare-table thead th")).to_have_count(3)
    assert page.locator(".compare-table tr.differs").count() > 0
    assert visit.overflow() == []
    page.locator(".compare-table thead th a").first.click()
    page.fill("#id_hours", "3")
    page.locator("#order button[name=reckon]").click()
    page.wait_for_url("**hours=3**")
    total_shown = page.locator("#order .sum dd.total").inner_text()
    assert re.fullmatch(r"[\d,]+\.\d\d", total_shown)
    assert visit.overflow() == []
    page.locator("#quote button").click()
    page.wait_for_url("**/market/cart/")
    expect(page.locator("main")).to_contain_text(total_shown)
    assert visit.overflow() == []
    page.locator("main a.primary").first.click()
    page.fill("#id_purpose", "浏览器测试")
    expect(page.locator("dd.total")).to_have_text(total_shown)
    assert visit.overflow() == []
    page.locator("main form button.primary").click()
    page.wait_for_url("**/market/orders/*/")
    expect(page.locator(".grid.tiles")).to_contain_text(total_shown)
    assert visit.overflow() == []
    return page.url


@pytest.mark.parametrize("width", [1280, 390])
def test_search_compare_cart_checkout_order(visit: Callable[..., Visit], width: int) -> None:
    here = visit(width)
    here.sign_in("agent1")
    address = shop(here)
    cancel(here.page)
    expect(here.page.locator(".lead .badge")).to_contain_text("已取消")
    assert here.page.url == address
    assert here.complaints == []


def cancel(page: Page) -> None:
    """Give the order up again: the kit's question, then yes."""
    page.locator(".confirm > summary").click()
    page.locator(".confirm-body button").first.click()
    page.wait_for_load_state()


def test_who_has_not_signed_in_looks_but_does_not_buy(visit: Callable[..., Visit]) -> None:
    here = visit()
    here.open("/market/")
    here.page.locator(".goods h3 a").first.click()
    expect(here.page.locator("#order form[method=post]")).to_have_count(0)
    expect(here.page.locator("#order a.primary")).to_be_visible()
    assert here.complaints == []
