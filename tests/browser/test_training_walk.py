"""Train, register, serve and ask in a real browser: upload a text, watch the training, give the model a name, wake it.

The console and the runner are processes of their own; the engine is this machine's, the server llama.cpp's.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.browser.conftest import CHROMIUM, ROOT, Visit, free_port, wait_for
from tests.jobs.storage import TEXT

pytestmark = pytest.mark.browser
SETUP_SECONDS_MAX = 400
TRAIN_MS_MAX, WAKE_MS_MAX = 120_000, 60_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a console with one firm that has a booking at one site (instead of the demo's)."""
    for package in ("jax", "gguf", "xllamacpp"):
        pytest.importorskip(package)
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    home = tmp_path_factory.mktemp("walk")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUOSHUI_")}
    env = kept | {"HUOSHUI_HOME": str(home), "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    setup = [sys.executable, "-m", "tests.browser.walk_site", str(home)]
    subprocess.run(setup, env=env, cwd=ROOT, check=True, timeout=SETUP_SECONDS_MAX)
    port = free_port()
    console = [str(ROOT / "manage.py"), "runserver", "--noreload", "--insecure", f"127.0.0.1:{port}"]
    runner = ["-m", "huoshui.cli.main", "runner"]
    with (home / "server.log").open("wb") as out:
        started = [
            subprocess.Popen([sys.executable, *command], env=env, cwd=home, stdout=out, stderr=out)
            for command in (console, runner)
        ]
    try:
        wait_for(f"http://127.0.0.1:{port}/healthz")
        yield f"http://127.0.0.1:{port}"
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(30)


def test_a_firm_trains_registers_serves_and_asks(visit: Callable[..., Visit], tmp_path: Path) -> None:
    here = visit(390)
    page = here.page
    here.sign_in("trainer")

    here.open("/jobs/data/new/")
    (tmp_path / "问答.txt").write_text(TEXT, encoding="utf-8")
    page.set_input_files("#id_file", tmp_path / "问答.txt")
    page.click("main button.primary")
    assert "算力券是政府" in page.locator("pre").first.inner_text()

    here.open("/jobs/bookings/1/new/?template=fine-tune")
    answers = {"steps": 80, "batch": 8, "context": 32, "width": 32, "layers": 1, "learning_rate_ppm": 10_000}
    page.click("main form details summary")
    for name, value in answers.items():
        page.fill(f"#id_answer_{name}", str(value))
    page.select_option("#id_file_text", index=1)
    page.click("main button.primary")
    expect(page.locator(".lead .badge")).to_have_text(re.compile("成功|succeeded"), timeout=TRAIN_MS_MAX)
    assert page.locator("figure svg, .figure svg, main svg[role=img]").count() >= 2, "two curves"
    assert "step 80/80" in page.locator("pre.log").inner_text()
    assert here.overflow() == []

    page.get_by_role("link", name="sample.txt").click()
    said = page.locator("pre").first.inner_text().strip()
    page.go_back()
    page.get_by_role("link", name="登记为模型").first.click()
    page.fill("#id_name", "qa-writer")
    page.click("main button.primary")
    assert "问答.txt" in page.locator(".tree").inner_text()
    assert here.overflow() == []

    page.get_by_role("link", name="开通推理服务").click()
    page.click("main button.primary")
    page.get_by_role("button", name="唤醒").click()
    expect(page.locator(".lead .badge")).to_have_text(re.compile("就绪"), timeout=WAKE_MS_MAX)
    page.fill("#id_prompt", "算力")
    page.fill("#id_tokens", "48")
    page.get_by_role("button", name="提问").click()
    answer = page.locator("pre").first.inner_text().strip()
    assert answer
    assert said.startswith("算力" + answer) or ("算力" + answer).startswith(said)
    assert here.overflow() == []
    assert here.complaints == []
