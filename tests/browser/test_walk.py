"""Every page of the navigation, for each role, at a desk and on a phone."""

from collections.abc import Callable

import pytest
from tests.browser.conftest import Visit

pytestmark = pytest.mark.browser
ROLES = ["agent1", "operator1", "officer", "bank", "auditor", "admin"]
DETAILS_MAX = 1


@pytest.mark.parametrize("username", ROLES)
def test_every_page_stands(visit: Callable[..., Visit], username: str) -> None:
    """Status 200, one heading, a title, nothing wider than the screen, no complaint of the browser."""
    here = visit()
    here.sign_in(username)
    links = here.page.eval_on_selector_all(".side nav a", "links => links.map(link => link.getAttribute('href'))")
    assert links, "the navigation is empty"
    faults = []
    for path in [*links, "/my/tokens/", "/kit/"]:
        faults += _faults(here, path)
        details = here.page.eval_on_selector_all(
            "main tbody a[href^='/']", "links => links.map(link => link.getAttribute('href'))"
        )
        for detail in [path for path in dict.fromkeys(details) if "." not in path][:DETAILS_MAX]:
            faults += _faults(here, detail)
    assert faults + here.complaints == []


def _faults(here: Visit, path: str) -> list[str]:
    found = here.misfits(path)
    if not here.page.title().split("·")[0].strip():
        found.append(f"{path}: no title")
    headings = here.page.locator("h1").all_inner_texts()
    if len([text for text in headings if text.strip()]) != 1:
        found.append(f"{path}: headings {headings}")
    return found


def test_the_pages_before_sign_in(visit: Callable[..., Visit]) -> None:
    here = visit()
    assert _faults(here, "/sign-in/") + _faults(here, "/kit/") + here.complaints == []


def test_controls_on_a_phone_can_be_hit(visit: Callable[..., Visit]) -> None:
    """44 px high, whatever is to be touched."""
    here = visit(390)
    here.open("/kit/")
    heights = here.page.eval_on_selector_all(
        "main .button, main input:not([type=checkbox], [type=hidden]), main select, .pages a, .tabs a",
        """found => found.filter(e => e.offsetParent)
                 .map(e => [e.outerHTML.slice(0, 60), e.getBoundingClientRect().height])""",
    )
    assert heights
    assert [text for text, height in heights if height < 43.9] == []


def test_reading_and_deciding_work_without_scripts(visit: Callable[..., Visit]) -> None:
    here = visit(390, script=False)
    here.sign_in("officer")
    here.page.click(".nav-phone > summary")
    assert here.page.locator(".nav-phone nav a").first.is_visible()
    here.open("/kit/")
    here.page.click(".confirm > summary")
    assert here.page.locator(".confirm-body").is_visible()


def test_the_language_is_changed_and_kept(visit: Callable[..., Visit]) -> None:
    here = visit()
    here.open("/sign-in/")
    assert here.page.locator("h1").inner_text() == "登录"
    here.page.click("button[value=en]")
    assert here.page.locator("h1").inner_text() == "Sign in"
    here.open("/kit/")
    assert here.page.locator("html").get_attribute("lang") == "en"


def test_a_keyboard_reaches_the_content_first(visit: Callable[..., Visit]) -> None:
    here = visit()
    here.open("/kit/")
    here.page.keyboard.press("Tab")
    here.page.keyboard.press("Enter")
    assert here.page.evaluate("location.hash") == "#content"
