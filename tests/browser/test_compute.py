"""The desk in a real browser: cards are put in, a file is checked, a round is read and verified."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.browser.conftest import Visit

pytestmark = pytest.mark.browser
SUPPLY = [
    "/compute/", "/compute/deposits/new/", "/compute/deposits/new/?by=rows", "/compute/deposits/upload/",
    "/compute/deliveries/?show=coming", "/compute/deliveries/?show=finished", "/compute/deliveries/upload/",
]  # fmt: skip


def put_in(here: Visit, cards: str, price: str = "3.20") -> None:
    """Fill in the weekly pattern and send it."""
    assert here.open("/compute/deposits/new/") == 200
    here.page.fill("#id_base_price_fen", price)
    here.page.fill("#id_cards1", cards)
    here.page.click("main button.primary")


@pytest.mark.parametrize("script", [True, False])
def test_idle_cards_are_put_in_and_taken_back(visit: Callable[..., Visit], script: bool) -> None:
    here = visit(script=script)
    here.sign_in("operator1")
    put_in(here, "1")
    number = here.page.locator("h1").inner_text()
    assert re.fullmatch(r"算力存单 D\d{6}", number)
    assert "56" in here.page.locator(".tile").first.inner_text(), "seven nights of eight hours"
    here.page.click(".confirm > summary")
    here.page.click(".confirm-body button")
    assert here.page.locator(".lead .badge.none").inner_text().strip().startswith("已撤")
    assert here.complaints == []


def test_what_is_wrong_stands_beside_its_field(visit: Callable[..., Visit]) -> None:
    here = visit(390)
    here.sign_in("operator1")
    put_in(here, "1", price="3.205")
    field = here.page.locator("#id_base_price_fen")
    assert field.get_attribute("aria-invalid") == "true"
    assert here.page.locator("#id_base_price_fen_error").is_visible()
    assert here.page.input_value("#id_cards1") == "1", "what was typed is kept"
    assert here.overflow() == []


def test_a_file_is_checked_before_it_is_taken_in(visit: Callable[..., Visit], tmp_path: Path) -> None:
    here = visit()
    here.sign_in("operator1")
    here.open("/compute/deposits/upload/")
    file = tmp_path / "deposits.csv"
    header = "算力中心,算力卡型号,开始,结束,卡数,基础价（元）"
    file.write_text(f"{header}\n没有这个中心,A100 80G,2020-01-01 00:00,2020-01-01 08:00,1,3.20\n", encoding="utf-8-sig")
    here.page.set_input_files("#id_file", file)
    here.page.click("main button.primary")
    assert "没有这个中心" in here.page.locator("main code").first.inner_text()
    assert here.page.locator("input[name=confirmed]").count() == 0


@pytest.mark.parametrize("language", ["zh-CN", "en-US"])
def test_supply_pages_fit_the_screen(visit: Callable[..., Visit], language: str) -> None:
    here = visit(language=language)
    here.sign_in("operator1")
    assert here.misfits(*SUPPLY) == []
    assert here.complaints == []


def test_an_auditor_verifies_a_round_and_reads_the_basis_only_when_asked(visit: Callable[..., Visit]) -> None:
    here = visit()
    here.sign_in("auditor")
    here.open("/compute/rounds/1/")
    gap = here.page.get_by_text("差距不超过")
    assert not gap.is_visible()
    here.page.locator("details.basis > summary").last.click()
    assert gap.is_visible()
    here.page.click("text=立即核验")
    assert here.page.locator(".message.good").is_visible()


def test_the_public_sees_prices_without_signing_in(visit: Callable[..., Visit]) -> None:
    here = visit(390, script=False)
    assert here.open("/compute/public/") == 200
    here.page.locator("main tbody a").first.click()
    assert here.page.locator("svg.chart").count() >= 2
    assert here.overflow() == []
    assert here.complaints == []
