"""Vouchers in a real browser: a paid statement is redeemed, reviewed, ordered, reported by the bank, and traced."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.browser.conftest import Visit

from huoshui.base import clock
from huoshui.book.banks import COLUMNS

pytestmark = pytest.mark.browser
PUBLIC = ["/policy/funds/", "/policy/funds/1/", "/policy/public-notice/"]
OFFICER = ["/policy/vouchers/", "/policy/redemptions/", "/policy/payouts/", "/policy/funds/new/"]
STATEMENT = re.compile(r"JS\d{6}-\d{6}")


def main_text(here: Visit) -> str:
    return here.page.locator("main").inner_text()


def confirm(here: Visit, button: str) -> None:
    """Open the question of a button and answer yes."""
    here.page.locator(".confirm > summary", has_text=button).click()
    here.page.locator(".confirm[open] .confirm-body button").click()


def test_a_paid_statement_is_redeemed_and_an_officer_approves_it(visit: Callable[..., Visit]) -> None:
    here = visit()
    here.sign_in("agent4")
    here.open("/policy/vouchers/")
    here.page.locator("tbody th a").first.click()
    here.page.get_by_role("link", name="兑付", exact=True).click()
    here.page.get_by_role("link", name="兑付这张").first.click()
    whole = here.page.locator("#amount .tile").first.inner_text()
    here.page.fill("#id_claimed_fen", "1")
    here.page.wait_for_function("old => document.querySelector('#amount .tile').innerText !== old", arg=whole)
    assert "0.50" in here.page.locator("#amount .tile").first.inner_text(), "half, for a firm with small contracts"
    here.page.fill("#id_claimed_fen", "20")
    here.page.fill("#id_invoice_1", "26332000999999999999")
    here.page.get_by_role("button", name="申请兑付").click()
    here.page.wait_for_url(re.compile(r"/policy/redemptions/\d+/"))
    redemption = here.page.url.removeprefix(here.site)
    assert "10.00" in main_text(here)
    assert here.complaints == []

    officer = visit()
    officer.sign_in("officer")
    officer.open(redemption)
    officer.page.locator("#id_finding_invoice").check()
    officer.page.locator("form[action$='/approve/'] button.primary").click()
    assert "公示" in officer.page.locator(".messages").first.inner_text()
    number = STATEMENT.search(main_text(officer))
    assert number is not None
    assert officer.complaints == []

    anybody = visit()
    anybody.open("/policy/public-notice/")
    assert "10.00" in main_text(anybody)
    anybody.open("/policy/funds/")
    assert "示例市经济和信息化局" in main_text(anybody)


def test_a_payout_is_ordered_paid_by_the_bank_and_traced_to_the_lines(
    visit: Callable[..., Visit], tmp_path: Path
) -> None:
    officer = visit()
    officer.sign_in("officer2")
    officer.open("/policy/payouts/")
    confirm(officer, "下达到期的")
    officer.open("/policy/payouts/?state=ordered")
    link = officer.page.locator("tbody tr", has_text="示例市算力券").first.locator("th a")
    number, address = link.inner_text(), link.get_attribute("href")
    assert address is not None
    exported = officer.page.request.get(officer.site + "/policy/payouts/file.csv").text().lstrip("\ufeff")
    row = next(row for row in csv.reader(io.StringIO(exported)) if row[0] == number)
    assert (row[1], len(row[2]), len(row[4])) == ("示例市经济和信息化局", 18, 18)

    bank = visit()
    bank.sign_in("bank")
    report = tmp_path / "report.csv"
    with report.open("w", encoding="utf-8-sig", newline="") as out:
        table = csv.writer(out)
        table.writerow(column.zh for column in COLUMNS)
        table.writerow(["付款", f"BROWSER-{number}", clock.today().isoformat(), row[2], row[7], number, row[4]])
    bank.open("/book/bank/")
    bank.page.set_input_files("#id_file", report)
    bank.page.click("main button.primary")
    bank.page.wait_for_selector(".messages")

    officer.open(address)
    text = main_text(officer)
    assert "已到账" in text
    source = STATEMENT.findall(text)[-1]
    assert source != number, "the payout's own statement is another"
    officer.page.get_by_role("link", name=source).click()
    assert source in officer.page.locator("h1").inner_text()
    assert row[7] in main_text(officer), "the statement's page shows what public money gave"
    assert officer.complaints + bank.complaints == []


@pytest.mark.parametrize("language", ["zh-CN", "en-US"])
def test_pages_fit_the_screen(visit: Callable[..., Visit], language: str) -> None:
    here = visit(language=language)
    assert here.misfits(*PUBLIC) == []
    here.sign_in("officer")
    assert here.misfits(*OFFICER, "/policy/redemptions/1/", "/policy/payouts/1/") == []
    assert here.complaints == []
