"""Money bugs that other gateways had, each as a fact about this one. Numbers are those of their issue trackers."""

import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

from tests.gateway import processes
from tests.gateway.books import UFEN, Books
from tests.gateway.processes import Server, until
from tests.gateway.test_gateway_calls import PRICE, Model

from huoshui.gateway import asks

ASKED = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "你好"}]},
    "/v1/completions": {"prompt": "你好"},
    "/v1/embeddings": {"input": "你好"},
}


def test_litellm_38176_no_path_goes_round_the_budget(
    shop: Books, server: Server, model: Model, upstream: Server
) -> None:
    """Every path that reaches an upstream stops at an empty wallet and at a spent budget."""
    assert set(ASKED) == set(asks.FIELDS), "each path that the gateway serves is tried here"
    empty = shop.key(shop.wallet(0))
    spent = shop.key(budget_ufen=0)
    for path, body in ASKED.items():
        name = model("ok", kind="embedding" if path == "/v1/embeddings" else "chat")
        for stream in (False, True) if path != "/v1/embeddings" else (False,):
            asked = body | ({"stream": True} if stream else {})
            assert server.ask(empty, path, model=name, **asked).status == 402
            assert server.ask(spent, path, model=name, **asked).reason == "budget_spent"
    assert upstream.seen()["seen"] == []
    assert shop.calls(empty) == shop.calls(spent) == []


def test_litellm_36926_a_restart_makes_up_no_spending(shop: Books, upstream: Server) -> None:
    """There is no counter beside the rows: two gateways and a restart leave the figures as the calls say."""
    name = "示例-重启"
    shop.offer(shop.upstream(upstream.url), name)
    key = shop.key(budget_ufen=10 * UFEN, period="day")
    for started in range(1, 4):
        with processes.gateway(shop.sandbox) as server:
            assert server.ask(key, model=name).status == 200
        assert shop.money(key) == (0, started * PRICE)
        assert shop.row("maas_key", key.key, "held_ufen", "spent_ufen") == (0, started * PRICE)


def test_litellm_20615_a_key_without_a_budget_may_call(shop: Books, server: Server, model: Model) -> None:
    assert server.ask(shop.key(budget_ufen=None), model=model("ok")).status == 200


def test_litellm_12685_nothing_stays_behind_in_memory(shop: Books, server: Server, model: Model) -> None:
    """Calls leave one row each, no call stays alive, and the process does not grow with the number of calls."""
    key, name = shop.key(), model("ok")

    def memory_kb() -> int:
        with open(f"/proc/{server.process.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

    def rush(calls: int) -> None:
        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(lambda _n: server.ask(key, model=name, max_tokens=12).status == 200, range(calls)))

    rush(100)
    before = memory_kb()
    rush(300)
    assert memory_kb() - before < 4_000
    assert len(shop.calls(key)) == 400
    assert b"huoshui_gateway_live_calls 0.0" in server.request("GET", "/metrics").raw


def test_new_api_2071_rate_limits_hold_when_calls_come_at_once(
    shop: Books, server: Server, model: Model, upstream: Server
) -> None:
    key, name = shop.key(calls_per_minute=7), model("ok")
    with ThreadPoolExecutor(25) as pool:
        answers = list(pool.map(lambda _n: server.ask(key, model=name), range(50)))
    statuses = [said.status for said in answers]
    assert (statuses.count(200), statuses.count(429)) == (7, 43)
    assert len(upstream.seen()["seen"]) == 7
    refused = next(said for said in answers if said.status == 429)
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.reason == "calls_per_minute"


def test_the_last_fen_pays_for_exactly_as_many_calls_as_it_pays_for(
    shop: Books, server: Server, model: Model, upstream: Server
) -> None:
    """50 calls at once, each of which may cost as much as a ninth of the wallet and does cost all it may."""
    usage = '{"prompt_tokens":300,"completion_tokens":12}'
    name = model(f"usage:{usage}", context_tokens=300)
    most = 300 * 20 + 12 * 80
    key = shop.key(shop.wallet(9 * most + most // 2))
    body = {"messages": [{"role": "user", "content": "好" * 20}], "max_tokens": 12}
    with ThreadPoolExecutor(50) as pool:
        statuses = [said.status for said in pool.map(lambda _n: server.ask(key, model=name, **body), range(50))]
    assert (statuses.count(200), statuses.count(402)) == (9, 41)
    assert len(upstream.seen()["seen"]) == 9
    assert shop.money(key) == (0, 9 * most)


def test_new_api_4933_what_each_upstream_is_owed_is_known(
    shop: Books, server: Server, model: Model, upstream: Server
) -> None:
    """A call is paid at the price of the upstream that answered it, and says which: costs by upstream add up."""
    counted = 'usage:{"prompt_tokens":2,"completion_tokens":3}'
    key, name = shop.key(), model("status:500", counted, "ok")
    shop.offer(shop.upstream(upstream.url), f"{name}-另", "ok", input_fen=7, output_fen=9)
    server.read_anew()
    for asked in (name, name, f"{name}-另"):
        assert server.ask(key, model=asked).status == 200
    owed = dict(shop.db.rows(
        "SELECT o.upstream_model, sum(c.cost_ufen) FROM maas_call c JOIN maas_offer o ON o.id = c.offer_id"
        " WHERE c.key_id = ? GROUP BY o.id, o.upstream_model", (key.key,)
    ))  # fmt: skip
    assert owed == {counted: 2 * (2 * 21 + 3 * 81), "ok": 2 * 7 + 12 * 9}
    assert shop.money(key) == (0, sum(owed.values()))


def test_new_api_6520_a_customer_may_have_a_price_of_its_own(shop: Books, server: Server, upstream: Server) -> None:
    """A price is a row: one that was agreed is an offer under a name of its own. It is published like every price, so
    whose key is not narrowed may call it too: a price that is secret to one customer there is not."""
    place = shop.upstream(upstream.url)
    shop.offer(place, "示例-公开")
    shop.offer(place, "示例-专享", "ok", input_fen=10, output_fen=40)
    server.read_anew()
    member, other, anyone = shop.key(models=["示例-公开", "示例-专享"]), shop.key(models=["示例-公开"]), shop.key()
    assert server.ask(member, model="示例-专享").headers["x-huoshui-cost-fen"] == "0.0005"
    assert server.ask(other, model="示例-公开").headers["x-huoshui-cost-fen"] == "0.001"
    assert server.ask(other, model="示例-专享").status == 404
    assert server.ask(anyone, model="示例-专享").headers["x-huoshui-cost-fen"] == "0.0005"


def test_new_api_7210_what_takes_long_is_held_first_and_reconciled_after(
    shop: Books, server: Server, model: Model
) -> None:
    key, name = shop.key(), model("slow")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(server.ask, key, model=name, max_tokens=100)
        (number,) = until(lambda: shop.calls(key))
        held = shop.call(number)["hold_ufen"]
        assert held >= 100 * 80
        assert shop.money(key) == (held, 0)
        assert answer.result().status == 200
    assert shop.money(key) == (0, PRICE)


def test_new_api_6138_prices_are_exact(shop: Books, server: Server, model: Model) -> None:
    """Prices and tokens that no float multiplies and no fen holds: the books agree with decimals to the last digit."""
    usage = '{"prompt_tokens":333,"completion_tokens":777,"prompt_tokens_details":{"cached_tokens":111}}'
    name = model(f"usage:{usage}", input_fen=123_457, cached_fen=1_003, output_fen=1_999_999_973)
    key, total = shop.key(shop.wallet(10**15)), Decimal()
    body = {"messages": [{"role": "user", "content": "好" * 200}], "max_tokens": 777}
    exact = (222 * Decimal(123_457) + 111 * Decimal(1_003) + 777 * Decimal(1_999_999_973)) / 10**6
    for _call in range(3):
        said = server.ask(key, model=name, **body)
        assert Decimal(said.headers["x-huoshui-cost-fen"]) == exact
        total += exact
    assert shop.money(key) == (0, int(total * 10**6))
    assert Decimal(said.headers["x-huoshui-remaining-fen"]) == Decimal(10**15) / 10**6 - total


def test_a_gateway_killed_in_the_middle_of_a_stream_loses_no_fen(shop: Books, upstream: Server) -> None:
    """Its hold stands until it expires; then another gateway gives it back."""
    name = "示例-断电"
    shop.offer(shop.upstream(upstream.url), name, "slow")
    key = shop.key()
    with processes.gateway(shop.sandbox) as server, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(server.ask, key, model=name, stream=True)
        (number,) = until(lambda: shop.calls(key))
        time.sleep(0.1)
        server.kill()
        broken = answer.exception() or answer.result()
        assert isinstance(broken, Exception) or not broken.done
    held = shop.call(number)["hold_ufen"]
    assert shop.money(key) == (held, 0)
    with processes.gateway(shop.sandbox) as server:
        assert server.ask(key, model=name).status == 200
        assert shop.money(key) == (held, PRICE)
        shop.change("maas_call", number, expires_ms=1)
        until(lambda: shop.call(number)["state"] == "expired", 10)
    assert shop.call(number)["outcome"] == "lost"
    assert shop.money(key) == (0, PRICE)


def test_a_gateway_that_is_asked_to_end_settles_what_runs(shop: Books, upstream: Server) -> None:
    name = "示例-关机"
    shop.offer(shop.upstream(upstream.url), name, "slow")
    key = shop.key()
    with processes.gateway(shop.sandbox) as server, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(server.ask, key, model=name, stream=True)
        (number,) = until(lambda: shop.calls(key))
        server.end()
        assert answer.result().done
    assert shop.call(number)["state"] == "settled"
    assert shop.money(key) == (0, PRICE)
