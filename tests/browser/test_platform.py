"""From a site's Slurm to a paid answer: everybody's part, in the browser, with real engines and a real model server.

A site connects its Slurm and deposits what stands idle. A firm reckons what it needs, buys cards, trains a small model,
serves it, calls it with a key through the gateway, and gets statements: the one of its cards says to the card-second
what Slurm's own accounting says.
"""

import csv
import json
import re
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from tests.browser.conftest import Console, Visit, free_port, wait_for
from tests.engines.slurm_cluster import Cluster, cluster  # noqa: F401  (a fixture)

from huoshui.base.clock import LOCAL

pytestmark = pytest.mark.browser
pytest.importorskip("jax", reason="the extra `models` is not installed")
pytest.importorskip("xllamacpp", reason="the extra `models` is not installed")
OPERATOR, FIRM, SITE, CARD = "operator2", "agent1", "示例江南数据港", "a800-80g"
SECONDS_MAX = 240
TEXT = "算力券由市级专项资金支持。企业先购买算力，再凭结算单和发票申请兑付。算力券只抵实际支付的金额。\n" * 40


@pytest.fixture(scope="module")
def gateway(console: Console) -> Iterator[str]:
    """Address of the gateway; the runner works beside it."""
    port = free_port()
    processes = [console.start("runner"), console.start("gateway", "--port", str(port))]
    try:
        wait_for(f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}"
    finally:
        for process in processes:
            process.terminate()
            process.wait(20)


def until(here: Visit, path: str, text: str) -> None:
    """Open a page until its content shows a text."""
    end = time.monotonic() + SECONDS_MAX
    while True:
        here.open(path)
        shown = here.page.locator("main").inner_text()
        if text in shown:
            return
        assert time.monotonic() < end, f"“{text}” never came: {shown[:1500]}"
        time.sleep(1)


def send(here: Visit) -> None:
    """Press the main button of the page's form and follow it."""
    before = here.page.url
    here.page.locator("main form[method=post] button.primary").last.click()
    here.page.wait_for_load_state()
    errors = here.page.locator("main .error, main .message.bad, main [aria-invalid=true]").all_inner_texts()
    assert here.page.url != before or not errors, here.page.locator("main").inner_text()[:3000]


def number_in(url: str) -> int:
    found = re.search(r"/(\d+)/", url)
    assert found, url
    return int(found[1])


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jobs")


def test_what_was_bought_runs_and_what_ran_is_what_is_paid(
    console: Console,
    gateway: str,
    visit: Callable[..., Visit],
    cluster: Cluster,  # noqa: F811
    workdir: Path,
) -> None:
    operator, firm = visit(language="en-US"), visit(language="en-US")
    operator.sign_in(OPERATOR)
    firm.sign_in(FIRM)
    site = _connect(operator, cluster, workdir)
    _deposit_what_is_idle(operator, site)
    order, booking = _buy(firm, operator)
    model = _train(firm, booking)
    endpoint = _serve(firm, model, booking)
    answer = _call(firm, gateway, endpoint)
    assert answer["choices"][0]["message"]["content"]
    billed = _settle(firm, order, booking, endpoint)
    assert billed == _accounted(cluster, workdir) > 0
    assert operator.complaints == firm.complaints == []


def _connect(operator: Visit, cluster: Cluster, workdir: Path) -> int:  # noqa: F811
    operator.open("/jobs/engines/")
    link = operator.page.locator("main a", has_text=SITE).first.get_attribute("href")
    assert link is not None
    site = number_in(link)
    operator.open(f"/jobs/engines/{site}/edit/?kind=slurm")
    settings = cluster.settings(workdir, python=sys.executable) | {"cards": f"{CARD}=a100,l20-48g=ascend910b"}
    operator.page.click("main form details summary")
    for name, value in settings.items():
        operator.page.fill(f"#id_{name}", value)
    send(operator)
    shown = operator.page.locator("main").inner_text()
    assert "in order" in shown
    assert "fault" not in operator.page.locator("main table").first.inner_text()
    return site


def _deposit_what_is_idle(operator: Visit, site: int) -> None:
    """Two past weeks of utilisation, as an exporter of metrics writes them; a proposal; the deposit."""
    now = int(time.time())
    samples = [
        f'gpu_utilisation{{model="{CARD}",card="{card}"}} {0 if card < 6 else 90} {(now - hour * 3600) * 1000}'
        for card in range(8)
        for hour in range(1, 24 * 15)
    ]
    file = {"name": "metrics.txt", "mimeType": "text/plain", "buffer": "\n".join([*samples, ""]).encode()}
    operator.open(f"/jobs/engines/{site}/idle/")
    operator.page.set_input_files("#id_file", file)
    operator.page.fill("#id_metric", "gpu_utilisation")
    operator.page.fill("#id_label", "model")
    operator.page.locator("main form[enctype] button").first.click()
    operator.page.wait_for_load_state()
    proposed = operator.page.locator("main a[href$='/proposal/']").first.get_attribute("href")
    assert proposed is not None
    operator.open(proposed)
    operator.page.fill("#id_base_price_fen", "4.00")
    send(operator)
    assert "/compute/deposits/" in operator.page.url
    assert "A800" in operator.page.locator("main").inner_text()


def _buy(firm: Visit, operator: Visit) -> tuple[int, int]:
    """A need, the products that fit it, an order by the hour that the operator confirms."""
    firm.open("/compute/requests/estimate/?text=微调 1B 模型，100 万 tokens")
    assert firm.page.locator("main a[href*='/market/']").count() > 0, "the estimate leads to products that fit"
    firm.open(f"/market/?model={CARD}&billing=hourly")
    product = firm.page.locator("main a[href*='/market/products/']").first.get_attribute("href")
    assert product is not None
    firm.open(product)
    firm.page.fill("#id_start", f"{datetime.now(LOCAL):%Y-%m-%dT%H:00}")
    firm.page.fill("#id_hours", "3")
    firm.page.locator("#order button[name=reckon]").click()
    firm.page.wait_for_url("**hours=3**")
    firm.page.locator("#quote button").click()
    firm.page.wait_for_url(re.compile("/market/cart/"))
    firm.open("/market/checkout/")
    firm.page.fill("#id_purpose", "客服问答模型微调")
    send(firm)
    firm.open("/market/orders/")
    order = number_in(firm.page.locator("main tbody a[href*='/market/orders/']").first.get_attribute("href") or "")
    operator.open(f"/market/orders/{order}/")
    confirm = operator.page.locator("form[action$='/confirm/'] button")
    if confirm.count():
        confirm.first.click()
        operator.page.wait_for_load_state()
    firm.open(f"/market/orders/{order}/")
    booking = firm.page.locator("main a[href*='/jobs/bookings/']").first.get_attribute("href")
    assert booking is not None
    return order, number_in(booking)


def _train(firm: Visit, booking: int) -> int:
    """Upload a text, train on it, register what came out. Returns the model's number."""
    firm.open("/jobs/data/new/")
    firm.page.set_input_files("#id_file", {"name": "vouchers.txt", "mimeType": "text/plain", "buffer": TEXT.encode()})
    send(firm)
    firm.open(f"/jobs/bookings/{booking}/new/?template=fine-tune")
    asked = {"steps": "60", "batch": "8", "context": "32", "width": "64", "layers": "1", "checkpoint_steps": "20"}
    firm.page.click("main form details summary")
    for name, value in asked.items():
        firm.page.fill(f"#id_answer_{name}", value)
    firm.page.locator("select[name^=file_]").first.select_option(index=1)
    send(firm)
    job = f"/jobs/jobs/{number_in(firm.page.url)}/"
    until(firm, job, "succeeded")
    until(firm, job, "model.gguf")
    assert firm.page.locator("main svg").count() > 0, "a curve of the loss"
    made = firm.page.locator("main a[href$='/register/']").first.get_attribute("href")
    assert made is not None
    firm.open(made)
    firm.page.fill("#id_name", "voucher-clerk")
    send(firm)
    assert "vouchers.txt" in firm.page.locator("main").inner_text(), "the lineage names what it was trained on"
    return number_in(firm.page.url)


def _serve(firm: Visit, model: int, booking: int) -> int:
    firm.open(f"/jobs/models/{model}/serve/")
    firm.page.locator("#id_booking").select_option(str(booking))
    firm.page.fill("#id_name", "voucher-clerk")
    send(firm)
    return number_in(firm.page.url)


def _call(firm: Visit, gateway: str, endpoint: int) -> dict:
    """Put the endpoint behind the gateway at a price, make a key, call."""
    firm.open("/models/upstreams/endpoint/")
    firm.page.locator("#id_endpoint").select_option(index=1)
    firm.page.fill("#id_name", "voucher-clerk")
    send(firm)
    upstream = number_in(firm.page.url)
    firm.open(f"/models/upstreams/{upstream}/offer/")
    named = {"model": "voucher-clerk", "upstream_model": "model", "context_tokens": "2048", "output_tokens_max": "64"}
    for name, value in (named | {"input_fen": "1", "output_fen": "2", "cached_fen": "1"}).items():
        firm.page.fill(f"#id_{name}", value)
    send(firm)
    firm.open("/models/keys/new/")
    firm.page.fill("#id_name", "e2e")
    send(firm)
    secret = firm.page.locator("#secret").inner_text()
    time.sleep(2)  # the gateway sees a new price within a second
    body = {"model": "voucher-clerk", "messages": [{"role": "user", "content": "算力券"}], "max_tokens": 12}
    request = urllib.request.Request(  # noqa: S310
        f"{gateway}/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {secret}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=SECONDS_MAX) as answered:  # noqa: S310
        found: dict = json.load(answered)
    firm.open("/models/calls/")
    assert "voucher-clerk" in firm.page.locator("main table").inner_text()
    return found


def _settle(firm: Visit, order: int, booking: int, endpoint: int) -> int:
    """Give the rest of the order up; returns the card-seconds on its statement."""
    firm.open(f"/market/orders/{order}/")
    asked = firm.page.locator("details", has=firm.page.locator("form[action$='/cancel/']")).first
    asked.locator("summary").first.click()
    asked.locator("form button").first.click()
    firm.page.wait_for_load_state()
    until(firm, f"/market/orders/{order}/", "Statement")
    link = firm.page.locator("main a[href*='/book/statements/']").first.get_attribute("href")
    assert link is not None
    file = firm.page.request.get(f"{firm.site}{link}lines.csv")
    assert file.status == 200
    header, *rows = csv.reader(file.text().lstrip("\ufeff").splitlines())
    column = next(index for index, title in enumerate(header) if title in ("card-seconds", "卡秒"))
    return sum(int(row[column]) for row in rows if len(row) == len(header) and row[column])


def _accounted(cluster: Cluster, workdir: Path) -> int:  # noqa: F811
    """Card-seconds of everything that ran in the site's directory, by Slurm's own accounting."""
    told = cluster.run("sacct", "-n", "-P", "-X", "-o", "elapsedraw,alloctres,workdir")
    found = 0
    for line in told.splitlines():
        seconds, tres, folder = line.split("|")
        cards = re.search(r"gres/gpu=(\d+)", tres)
        if cards and folder.startswith(str(workdir)):
            found += int(seconds) * int(cards[1])
    return found
