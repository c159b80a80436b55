"""A real model behind a real gateway, measured by the probe and billed to the token."""

import importlib.util
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.gateway import processes
from tests.gateway.processes import gateway
from tests.jobs.recipe_runs import folder, serving
from tests.sandbox import Sandbox

from huoshui.maas import probing

needs_models = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("xllamacpp", "gguf", "numpy")),
    reason="needs the extra `models`",
)
KEY = "key-of-the-model"
INPUT_FEN, OUTPUT_FEN = 200, 800
OPEN = f"""
import json
from tests.maas.service import build
from huoshui.maas.actions import keys, upstreams
made = build(10_00)
upstream = upstreams.register_upstream(
    system, provider=made.provider, name="llama", base_url="%s", secret="HUOSHUI_UPSTREAM_LLAMA", region=made.region,
)
upstreams.approve_upstream(system, upstream=upstream)
made.offer_of(upstream, "tiny", {INPUT_FEN}, {OUTPUT_FEN}, {INPUT_FEN}, context_tokens=1_024)
print(keys.make_key(system, wallet=made.wallet, name="k", days=1).secret)
"""
BILL = """
import json
from huoshui.book import services
from huoshui.maas import checking
from huoshui.maas.actions import bills
from huoshui.maas.models import Call, Wallet
settled = bills.bill(system, wallet=Wallet.objects.get())
print(json.dumps({
    "calls": settled.calls_count, "cost": settled.cost_ufen, "fen": settled.billed_fen,
    "input": sum(row["input_tokens"] for row in settled.lines), "differences": list(checking.differences()),
    "output": sum(row["output_tokens"] for row in settled.lines), "zero": services.check_zero(),
}))
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """llama.cpp serving an untrained model that says only letters and never ends by itself."""
    from huoshui.recipes import gguf_file, llama, tokens

    letters = tokens.learn("abcdefghijklmnopqrstuvwxyz 0123456789")
    shape = llama.Shape(vocabulary=len(letters), context=1_024, width=64, layers=1)
    weights = llama.start(shape, 3)
    weights["output.weight"][: tokens.FIRST_CHARACTER] = 0
    path = tmp_path_factory.mktemp("model")
    gguf_file.write(path / "m.gguf", "tiny", shape, weights, letters)
    model = {"model": (path / "m.gguf").read_bytes()}
    served = folder(path / "job", "serve", {"context": 1_024, "alias": "tiny"}, model, HUOSHUI_ENDPOINT_KEY=KEY)
    with serving(served) as found:
        yield found


@needs_models
def test_the_probe_measures_a_real_model(address: str) -> None:
    target = probing.Target(address, KEY, "tiny", 5, 30, 30)
    told = probing.measure(target, [probing.prompt(20, number) for number in range(4)], 16, 2)
    assert [row.outcome for row in told] == ["ok"] * 4
    assert {row.output_tokens for row in told} == {16}
    assert all(0 < (row.ttft_us or 0) <= (row.e2e_us or 0) for row in told)
    (refused,) = probing.measure(probing.Target(address, "another", "tiny", 5, 30, 30), ["a"], 4, 1)
    assert (refused.outcome, refused.status) == ("upstream_refused", 401)


@needs_models
def test_what_the_gateway_metered_is_what_the_bill_says(address: str, sandbox: Sandbox) -> None:
    secret = sandbox.run(OPEN % address)
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    used = []
    with gateway(sandbox, HUOSHUI_UPSTREAM_LLAMA=KEY) as server:
        for number in range(6):
            body = {
                "model": "tiny", "messages": [{"role": "user", "content": f"tell {number} more"}],
                "max_tokens": 5 + number, "stream": number % 2 == 1, "stream_options": {"include_usage": True},
            }  # fmt: skip
            if not body["stream"]:
                del body["stream_options"]
            said = server.request("POST", "/v1/chat/completions", json.dumps(body).encode(), headers)
            assert said.status == 200, said.raw
            usage = said.events[-1]["usage"] if body["stream"] else said.body["usage"]
            used.append((usage["prompt_tokens"], usage["completion_tokens"]))
            if number == 2:
                first = json.loads(sandbox.run(BILL))
        second = json.loads(sandbox.run(BILL))
    assert (first["calls"], second["calls"]) == (3, 3)
    for told, calls in ((first, used[:3]), (second, used[3:])):
        assert told["input"] == sum(tokens for tokens, _out in calls)
        assert told["output"] == sum(tokens for _in, tokens in calls)
        assert told["cost"] == told["input"] * INPUT_FEN + told["output"] * OUTPUT_FEN
        assert told["differences"] == told["zero"] == []
    assert sum(tokens for _in, tokens in used) == sum(5 + number for number in range(6))


SHOP = """
from tests.maas.service import build
from huoshui.maas.actions import keys, upstreams
made = build(10_00)
upstream = made.upstream_of(made.provider, base_url="%s")
upstreams.publish_offer(
    system, upstream=upstream, model="busy", upstream_model="ok", input_fen=37, output_fen=113, cached_fen=11,
    context_tokens=4_096, output_tokens_max=1_024,
)
print(keys.make_key(system, wallet=made.wallet, name="k", days=1).secret)
"""
MEANWHILE = """
from huoshui.base.errors import Refused
from huoshui.maas import checking
from huoshui.maas.actions import bills, wallets
from huoshui.maas.models import Wallet
made, found = 0, []
for number in range(12):
    wallet = Wallet.objects.get()
    made += bills.bill(system, wallet=wallet) is not None
    wallets.fund(system, key=f"f{number}", party=wallet.party, amount_fen=50)
    wallets.take_back(system, key=f"b{number}", wallet=wallet, amount_fen=50)
    try:
        wallets.take_back(system, wallet=wallet, amount_fen=10_00)
    except Refused:
        pass
    bills.expire_holds(system)
    found += checking.differences()
assert not found, found
print(made)
"""


def test_calls_and_bills_at_once_leave_nothing_unexplained(sandbox: Sandbox) -> None:
    """While a gateway meters, another process bills, funds and takes back: nothing drifts, at any moment."""
    with processes.upstream() as answering:
        secret = sandbox.run(SHOP % answering.url)
        with gateway(sandbox) as server, ThreadPoolExecutor(8) as pool:
            headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
            body = {"model": "busy", "messages": [{"role": "user", "content": "x"}], "max_tokens": 40}
            over = threading.Event()

            def call_until_over(_number: int) -> int:
                done = 0
                while not over.is_set():
                    said = server.request("POST", "/v1/chat/completions", json.dumps(body).encode(), headers)
                    assert said.status == 200, said.raw
                    done += 1
                return done

            callers = [pool.submit(call_until_over, number) for number in range(8)]
            try:
                bills_made = int(sandbox.run(MEANWHILE))
            finally:
                over.set()
            calls = sum(caller.result() for caller in callers)
        told = json.loads(sandbox.run(BILL))
    assert bills_made > 1
    assert told["differences"] == told["zero"] == []
    assert calls >= told["calls"] > 0
