"""A real console (own process, own database with the demo in it) and a real browser."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from huoshui.base.demo import DEMO_PASSWORD

ROOT = Path(__file__).resolve().parent.parent.parent
CHROMIUM = os.environ.get("HUOSHUI_CHROMIUM", "/usr/bin/chromium")
START_SECONDS_MAX = 60
DEMO_SECONDS_MAX = 400
PREPARE = """
import os, django
os.environ["DJANGO_SETTINGS_MODULE"] = "huoshui.settings"
django.setup()
from django.core.management import call_command
from huoshui.base import demo, messages
messages.compile_all()
call_command("migrate", verbosity=0)
for sentence in demo.load():
    print(sentence)
"""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a console with demo data. HUOSHUI_SITE names one that runs already."""
    if given := os.environ.get("HUOSHUI_SITE"):
        yield given
        return
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    home = tmp_path_factory.mktemp("site")
    env = os.environ | {
        "HUOSHUI_HOME": str(home),
        "HUOSHUI_DEMO": "1",
        "PYTHONPATH": str(ROOT / "src"),
        "HUOSHUI_DATABASE": "",
    }
    subprocess.run([sys.executable, "-c", PREPARE], env=env, cwd=home, check=True, timeout=DEMO_SECONDS_MAX)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(ROOT / "manage.py"), "runserver", "--noreload", "--insecure", f"127.0.0.1:{port}"]
    with (home / "server.log").open("wb") as out:
        server = subprocess.Popen(command, env=env, cwd=home, stdout=out, stderr=out)
    try:
        _wait(f"http://127.0.0.1:{port}/healthz")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


def _wait(url: str) -> None:
    for _second in range(START_SECONDS_MAX):
        try:
            urllib.request.urlopen(url, timeout=5)  # noqa: S310
            return
        except OSError:
            time.sleep(1)
    raise TimeoutError(f"{url} did not answer within {START_SECONDS_MAX} s")


@pytest.fixture(scope="session")
def browser(site: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@dataclass
class Visit:
    """One person at one screen; remembers everything the browser complained about."""

    page: Page
    site: str
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda said: self._note(said.type, said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(f"{self.page.url}: {error}"))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(f"{self.page.url}: {text}")

    def open(self, path: str) -> int:
        """Open an address of the console; returns the status."""
        response = self.page.goto(self.site + path)
        assert response is not None
        return response.status

    def sign_in(self, username: str) -> None:
        self.open("/sign-in/")
        self.page.fill("#id_username", username)
        self.page.fill("#id_password", DEMO_PASSWORD)
        self.page.click("main button.primary")
        self.page.wait_for_url(f"{self.site}/")

    def overflow(self) -> list[str]:
        """Elements that make the page wider than the screen."""
        return self.page.evaluate(
            """() => document.documentElement.scrollWidth <= innerWidth ? [] :
               [...document.querySelectorAll("main *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1)
               .slice(0, 5).map(e => `${e.tagName}.${e.className}`).concat(["page"])"""
        )


@pytest.fixture
def visit(browser: Browser, site: str) -> Iterator[Callable[..., Visit]]:
    """`visit(width=390)` is a fresh browser window; nothing is shared between windows."""
    contexts = []

    def start(width: int = 1280, script: bool = True, language: str = "zh-CN") -> Visit:
        context = browser.new_context(
            viewport={"width": width, "height": 860}, locale=language, java_script_enabled=script
        )
        contexts.append(context)
        return Visit(context.new_page(), site)

    yield start
    for context in contexts:
        context.close()
