"""A real console (own process, own database with the demo in it) and a real browser."""

import os
import socket
import subprocess
import sys
import tempfile
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
WIDTHS, HEIGHT = (1280, 360), 860
"""Of a desk's screen and of a small phone's."""
PREPARE = """
import os, django
os.environ["DJANGO_SETTINGS_MODULE"] = "huoshui.settings"
django.setup()
from huoshui.base import demo, messages
from huoshui.clearing.capacity import options
from tests import tables
options.SIZES = ((1 << 60, 60, 30, 8, 2_000, 20),)  # rounds like any other, in less work
messages.compile_all()
tables.make()
for sentence in demo.load():
    print(sentence)
"""


@dataclass(frozen=True)
class Console:
    """A console of its own with the demo in it: its address, and what a process needs that works beside it."""

    address: str
    home: Path
    environment: dict[str, str]

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """One more process of the service, such as `runner`; its output goes to the home."""
        with (self.home / f"{arguments[0]}.log").open("wb") as out:
            command = [sys.executable, "-m", "huoshui.cli.main", *arguments]
            return subprocess.Popen(command, env=self.environment, cwd=self.home, stdout=out, stderr=out)


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """The demo, served."""
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    home = tmp_path_factory.mktemp("site")
    home.chmod(0o711)  # the folders of jobs lie in it, each its tenant's own
    env = os.environ | {
        "HUOSHUI_HOME": str(home),
        "HUOSHUI_DEMO": "1",
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
        "HUOSHUI_DATABASE": "",
        "HUOSHUI_ENGINE_PATHS": f"{tempfile.gettempdir()}:/dev/shm",
    }
    subprocess.run([sys.executable, "-c", PREPARE], env=env, cwd=home, check=True, timeout=DEMO_SECONDS_MAX)
    port = free_port()
    command = [sys.executable, str(ROOT / "manage.py"), "runserver", "--noreload", "--insecure", f"127.0.0.1:{port}"]
    with (home / "server.log").open("wb") as out:
        server = subprocess.Popen(command, env=env, cwd=home, stdout=out, stderr=out)
    try:
        wait_for(f"http://127.0.0.1:{port}/healthz")
        yield Console(f"http://127.0.0.1:{port}", home, env)
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(scope="session")
def site(request: pytest.FixtureRequest) -> str:
    """Address of a console with demo data. HUOSHUI_SITE names one that runs already."""
    given = os.environ.get("HUOSHUI_SITE")
    console: Console | None = None if given else request.getfixturevalue("console")
    return given or console.address  # type: ignore[union-attr]


def wait_for(url: str) -> None:
    for _second in range(START_SECONDS_MAX):
        try:
            urllib.request.urlopen(url, timeout=5)  # noqa: S310
            return
        except OSError:
            time.sleep(1)
    raise TimeoutError(f"{url} did not answer within {START_SECONDS_MAX} s")


@pytest.fixture(scope="module")  # Playwright keeps an event loop running; other tests start their own
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

    def misfits(self, *paths: str) -> list[str]:
        """Pages that do not open, or are wider than the screen of a desk or a phone."""
        found = []
        for path in paths:
            if (status := self.open(path)) != 200:
                found.append(f"{path}: status {status}")
            for width in WIDTHS:
                self.page.set_viewport_size({"width": width, "height": HEIGHT})
                if wide := self.overflow():
                    found.append(f"{path}: wider than {width}: {', '.join(wide)}")
        return found

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
            viewport={"width": width, "height": HEIGHT}, locale=language, java_script_enabled=script
        )
        contexts.append(context)
        return Visit(context.new_page(), site)

    yield start
    for context in contexts:
        context.close()
