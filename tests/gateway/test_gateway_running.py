"""How the gateway runs: endpoints that sleep, several processes, what is written where, the commands."""

import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.gateway import processes
from tests.gateway.books import Books, numbers
from tests.gateway.processes import Server, until
from tests.gateway.test_gateway_calls import PRICE, Model

from huoshui.gateway.check import drifts

SECRETS = ("天知地知的配方", "这是回答词", "词0", "prompt is too long", "of-a-client", "secret-of-the-provider")


@pytest.fixture(scope="module")
def endpoint(shop: Books, server: Server) -> int:
    """An endpoint that sleeps, its upstream, and an offer of model `示例-端点`."""
    number = int(shop.sandbox.run(ENDPOINT.format(name=f"e{next(numbers)}")))
    upstream = shop.upstream("", endpoint_id=number, approved_at=None, name=f"up-{next(numbers)}")
    shop.offer(upstream, f"示例-端点-{number}")
    server.read_anew()
    return number


ENDPOINT = """
from datetime import timedelta
from huoshui.base import clock
from huoshui.base.models import LogRecord
from huoshui.compute.models import CardModel, Pool, Region, Site
from huoshui.jobs.models import Artefact, Booking, Endpoint, TrainedModel
from tests.compute.world import party, run
made = []
def step(act, record):
    owner = party("示例运营方", "operator")
    region, _ = Region.objects.get_or_create(code="east", defaults={{"name": "east"}})
    site = Site.objects.create(operator=owner, name="示例中心", region=region)
    card, _ = CardModel.objects.get_or_create(
        code="card", defaults=dict(name="card", memory_gib=1, fp16_tflops=1, domestic=True, watts=1))
    pool = Pool.objects.create(site=site, card_model=card, cards=1, list_price_fen=1)
    booking = Booking.objects.create(party=owner, pool=pool, cards=1, start_hour=0, end_hour=1, source="test:{name}",
        billing="used", price_mfen=0, cap_fen=0, created_at=clock.now(), record=record)
    file = Artefact.objects.create(
        party=owner, name="m", kind="model", digest="0" * 64, bytes=1, created_at=clock.now())
    model = TrainedModel.objects.create(party=owner, name="{name}", artefact=file, created_at=clock.now())
    made.append(Endpoint.objects.create(
        party=owner, name="{name}", model=model, booking=booking, created_at=clock.now()))
run(step)
print(made[0].pk)
"""


def test_a_call_wakes_an_endpoint_and_waits_for_it(
    shop: Books, server: Server, upstream: Server, endpoint: int
) -> None:
    key, said = shop.key(), []
    asking = threading.Thread(target=lambda: said.append(server.ask(key, model=f"示例-端点-{endpoint}")))
    asking.start()
    until(lambda: shop.row("jobs_endpoint", endpoint, "wanted_until")[0], 10)
    (number,) = shop.calls(key)
    assert shop.call(number)["state"] == "held", "nothing is woken without money"
    upstream.seen()
    shop.change("jobs_endpoint", endpoint, state="ready", address=upstream.url, key="key-of-the-replica")
    asking.join()
    assert said[0].status == 200
    assert upstream.seen()["seen"][0]["key"] == "Bearer key-of-the-replica"
    assert shop.money(key) == (0, PRICE)


def test_an_endpoint_that_cannot_start_refuses_and_costs_nothing(
    shop: Books, server: Server, endpoint: int
) -> None:
    shop.change("jobs_endpoint", endpoint, state="failed")
    key = shop.key()
    assert server.ask(key, model=f"示例-端点-{endpoint}").reason == "unreachable"
    assert shop.money(key) == (0, 0)


def test_nothing_that_was_said_is_written_anywhere(shop: Books, upstream: Server) -> None:
    """Prompts, answers, keys: not in the log, the figures, or the database, whatever goes wrong."""
    scripts = ("ok", "half", "garbage", "status:400", "status:500", "usage:null", "early", "slow")
    names = {script: f"示例-写-{number}" for number, script in enumerate(scripts)}
    for script, name in names.items():
        shop.offer(shop.upstream(upstream.url), name, script)
    key = shop.key()
    messages = [{"role": "user", "content": SECRETS[0]}, {"role": "assistant", "content": SECRETS[1]}]
    with processes.gateway(shop.sandbox) as server:
        for name in names.values():
            for stream in (False, True):
                server.ask(key, model=name, messages=messages, stream=stream, idempotency=f"{name[-1]}{stream}")
        server.ask(key, model=SECRETS[0], messages=messages)
        server.ask(key, model="m", messages=[{"content": SECRETS[0]}])
        server.request("POST", "/v1/chat/completions", SECRETS[0].encode(), {"Authorization": f"Bearer {key.token}"})
        for head in (
            f"Authorization: Bearer {key.token}\x01\r\nContent-Length: 0",
            f"Authorization: Bearer {key.token}\r\nContent-Length: {len(SECRETS[0])}",
        ):  # a bad line; a length counted in characters, so that the rest of the body is read as the next request
            raw(server.port, f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n{SECRETS[0]}")
        figures = server.request("GET", "/metrics").raw
        log = server.end()
    assert b"upstream_error" in log, "failures are logged, by code"
    written = [log, figures]
    if shop.db.postgres:
        written += [str(shop.db.rows("SELECT * FROM maas_call")).encode()]
    else:
        files = [path for path in Path(shop.sandbox.home).rglob("*") if path.is_file()]
        written += [subprocess.run(["cat", *files], capture_output=True, check=True).stdout]  # ours would unlock SQLite
    for secret in SECRETS:
        forms = (secret.encode(), repr(secret.encode())[2:-1].encode())
        assert not any(form in data for form in forms for data in written), secret


def raw(port: int, request: str) -> None:
    """Send it, and read until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request.encode())
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass


def test_several_processes_share_port_money_and_figures(shop: Books, upstream: Server) -> None:
    """Two processes on one database: of 40 calls at once as many succeed as the wallet pays for."""
    name = "示例-双"
    usage = '{"prompt_tokens":300,"completion_tokens":12}'
    shop.offer(shop.upstream(upstream.url), name, f"usage:{usage}", context_tokens=300)
    most = 300 * 20 + 12 * 80
    key = shop.key(shop.wallet(15 * most))
    body = {"messages": [{"role": "user", "content": "好" * 20}], "max_tokens": 12}
    with processes.gateway(shop.sandbox, "--processes", "2") as server:
        until(lambda: len(workers(server)) == 2)
        with ThreadPoolExecutor(40) as pool:
            statuses = [said.status for said in pool.map(lambda _n: server.ask(key, model=name, **body), range(40))]
        figures = server.request("GET", "/metrics").raw.decode()
    assert statuses.count(200) == 15
    assert set(statuses) == {200, 402}
    assert shop.money(key) == (0, 15 * most)
    assert f'huoshui_gateway_cost_ufen_total{{model="{name}"}} {float(15 * most)}' in figures, "of both together"


def workers(server: Server) -> list[str]:
    return Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()


def command(shop: Books, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "huoshui.cli.main", *arguments], env=shop.sandbox.environment(),
        cwd=shop.sandbox.home, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_the_check_finds_a_single_millionth_of_a_fen(shop: Books, server: Server, model: Model) -> None:
    key = shop.key()
    number = server.ask(key, model=model("ok")).call
    assert command(shop, "gateway-check").returncode == 0
    for table, row, column, wrong in (
        ("maas_wallet", key.wallet, "spent_ufen", PRICE + 1), ("maas_wallet", key.wallet, "held_ufen", 1),
        ("maas_key", key.key, "spent_ufen", PRICE - 1), ("maas_call", number, "cost_ufen", PRICE + 1),
    ):  # fmt: skip
        (right,) = shop.row(table, row, column)
        shop.change(table, row, **{column: wrong})
        assert wrong in [drift.told_ufen for drift in drifts(shop.db)]
        if table == "maas_call":
            found = command(shop, "gateway-check")
            assert (found.returncode, f"call {number}, cost: {wrong} µfen" in found.stdout) == (1, True)
        shop.change(table, row, **{column: right})


@pytest.mark.parametrize("there", [False, True])
def test_a_gateway_without_a_database_says_what_to_do(tmp_path: Path, shop: Books, there: bool) -> None:
    """No file, or a file without tables."""
    if there:
        (tmp_path / "huoshui.sqlite3").touch()
    done = subprocess.run(
        [sys.executable, "-m", "huoshui.cli.main", "gateway", "--port", str(processes.free_port())],
        env=shop.sandbox.environment(HUOSHUI_HOME=str(tmp_path), HUOSHUI_DATABASE=""), capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "huoshui migrate" in done.stderr


def test_a_port_in_use_is_said(shop: Books, server: Server) -> None:
    done = command(shop, "gateway", "--port", str(server.port))
    assert done.returncode == 1
    assert f"127.0.0.1:{server.port}" in done.stderr
