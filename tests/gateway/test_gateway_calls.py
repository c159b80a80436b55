"""Calls that go well: what a client of OpenAI's interface gets, and what it costs."""

import threading
import time
from collections.abc import Callable

from tests.gateway.books import UFEN, Books, Made
from tests.gateway.processes import Said, Server, until
from tests.gateway.upstream import TOKENS, WORDS

from huoshui.gateway.upstream import ANSWER_BYTES_MAX

Model = Callable[..., str]
PRICE = 2 * 20 + TOKENS * 80
"""µfen of a call: 你好 is 2 tokens at 20 fen per million, the answer 12 at 80."""


def test_a_call_costs_its_tokens_and_says_so(shop: Books, server: Server, model: Model) -> None:
    key, name = shop.key(), model("ok")
    said = server.ask(key, model=name)
    assert said.status == 200
    assert said.body["model"] == name
    assert said.body["choices"][0]["message"]["content"] == "".join(WORDS)
    assert said.headers["x-huoshui-cost-fen"] == "0.001"
    assert said.headers["x-huoshui-remaining-fen"] == "999.999"
    call = shop.call(said.call)
    assert (call["state"], call["outcome"], call["counted"], call["status"]) == ("settled", "ok", "upstream", 200)
    assert call["cost_ufen"] == PRICE == 1000
    assert shop.money(key) == (0, PRICE)


def test_a_stream_is_passed_on_and_settled_before_its_last_byte(shop: Books, server: Server, model: Model) -> None:
    key, name = shop.key(), model("ok")
    said = server.ask(key, model=name, stream=True)
    assert said.text == "".join(WORDS)
    assert said.done
    assert {event["model"] for event in said.events} == {name}
    assert ": huoshui cost-fen=0.001 remaining-fen=999.999" in said.raw.decode()
    assert shop.money(key) == (0, PRICE)
    assert shop.call(said.call)["counted"] == "upstream"


def test_usage_in_a_stream_is_for_those_who_asked(shop: Books, server: Server, model: Model, upstream: Server) -> None:
    key, name = shop.key(), model("ok")
    without = server.ask(key, model=name, stream=True)
    assert not any("usage" in event for event in without.events)
    wanted = server.ask(key, model=name, stream=True, stream_options={"include_usage": True})
    assert wanted.events[-1]["usage"]["completion_tokens"] == TOKENS
    assert wanted.events[-1]["choices"] == []
    sent = [entry["body"]["stream_options"] for entry in upstream.seen()["seen"]]
    assert sent == [{"include_usage": True}] * 2, "the upstream is always asked to count"


def test_completions_and_embeddings(shop: Books, server: Server, model: Model) -> None:
    key, name = shop.key(), model("ok")
    said = server.ask(key, "/v1/completions", model=name, prompt="你好")
    assert said.body["choices"][0]["text"] == "".join(WORDS)
    assert server.ask(key, "/v1/completions", model=name, prompt="你好", stream=True).text == "".join(WORDS)
    assert shop.money(key) == (0, 2 * PRICE)
    vectors = model("ok", kind="embedding", input_fen=7)
    said = server.ask(key, "/v1/embeddings", model=vectors, input=["你好", "世界！"])
    assert len(said.body["data"]) == 2
    assert said.headers["x-huoshui-cost-fen"] == "0.000028", "15 bytes are 4 tokens"
    assert server.ask(key, "/v1/embeddings", model=name, input="x").reason == "model_not_found"


def test_as_many_texts_as_promised_are_embedded_at_once(
    shop: Books, server: Server, model: Model, upstream: Server
) -> None:
    """23 MB of numbers pass, unchanged; other calls are answered meanwhile."""
    key = shop.key()
    patient = {"kind": "embedding", "upstream_values": {"first_token_seconds": 30}}
    name = model("wide:1024", **patient)
    said: list[Said] = []
    texts = ["好"] * 1_200
    asking = threading.Thread(target=lambda: said.append(server.ask(key, "/v1/embeddings", model=name, input=texts)))
    asking.start()
    while asking.is_alive():
        began = time.monotonic()
        assert server.request("GET", "/health").status == 200
        assert time.monotonic() - began < 2
    assert said[0].status == 200
    assert len(said[0].raw) > ANSWER_BYTES_MAX
    assert (said[0].body["model"], len(said[0].body["data"])) == (name, 1_200)
    assert said[0].body["data"][-1]["embedding"] == [0.123456789012345, -0.123456789012345] * 512
    assert shop.call(said[0].call)["input_tokens"] == 900, "as its upstream counted"
    wrong = server.ask(key, "/v1/embeddings", model=model("wide:12000", **patient), input=["x"] * 90)
    assert (wrong.status, wrong.reason) == (502, "bad_answer"), "longer than so many texts can be"


def test_the_provider_is_called_under_its_own_name_for_the_model_and_its_own_key(
    shop: Books, server: Server, model: Model, upstream: Server
) -> None:
    key = shop.key()
    name = model("ok", upstream_values={"secret": "HUOSHUI_UPSTREAM_TEST"})
    server.ask(key, model=name, max_tokens=5, temperature=0.5)
    (entry,) = upstream.seen()["seen"]
    assert entry["key"] == "Bearer secret-of-the-provider"
    assert entry["body"] == {
        "model": "ok", "messages": [{"role": "user", "content": "你好"}], "max_tokens": 5, "temperature": 0.5,
    }  # fmt: skip


def test_the_longest_answer_of_the_offer_bounds_what_is_asked_for(
    shop: Books, server: Server, model: Model, upstream: Server
) -> None:
    server.ask(shop.key(), model=model("ok", output_tokens_max=6), max_tokens=1_000_000)
    assert upstream.seen()["seen"][0]["body"]["max_tokens"] == 6


def test_an_answer_is_bounded_for_clients_that_name_no_bound(
    shop: Books, server: Server, model: Model, upstream: Server
) -> None:
    """What is billed at most is what the upstream may say at most; a prompt has 16, as OpenAI's default is."""
    key, name = shop.key(), model("ok", output_tokens_max=512)
    for path, asked, sent in (
        ("/v1/chat/completions", {}, 512), ("/v1/chat/completions", {"max_completion_tokens": 700}, None),
        ("/v1/completions", {"prompt": "x"}, 16), ("/v1/completions", {"prompt": "x", "max_tokens": 700}, 512),
    ):  # fmt: skip
        said = server.ask(key, path, model=name, **asked)
        (entry,) = upstream.seen()["seen"]
        assert entry["body"].get("max_tokens") == sent
        most = min(sent or 512, 512) * 80
        assert most < shop.call(said.call)["hold_ufen"] < most + 512 * 20
    assert entry["body"].get("max_completion_tokens") is None
    server.ask(key, model=model("ok", output_tokens_max=512, context_tokens=700))
    (entry,) = upstream.seen()["seen"]
    assert "max_tokens" not in entry["body"], "prompt and answer might not fit together: the context ends the answer"


def test_several_answers_are_held_for_and_counted(shop: Books, server: Server, model: Model) -> None:
    key, name = shop.key(), model("ok")
    said = server.ask(key, model=name, n=3, max_tokens=12)
    assert len(said.body["choices"]) == 3
    call = shop.call(said.call)
    assert call["output_tokens"] == 3 * TOKENS
    assert call["hold_ufen"] >= 3 * TOKENS * 80
    assert shop.money(key) == (0, 2 * 20 + 3 * TOKENS * 80)


def test_a_list_of_prompts_is_held_for_and_counted(shop: Books, server: Server, model: Model) -> None:
    key, name = shop.key(), model('usage:{"prompt_tokens":4,"completion_tokens":24}')
    said = server.ask(key, "/v1/completions", model=name, prompt=["你好", "你好"], max_tokens=12)
    assert shop.call(said.call)["output_tokens"] == 24


def test_cached_input_has_its_own_price(shop: Books, server: Server, model: Model) -> None:
    key = shop.key()
    usage = '{"prompt_tokens":60,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":50}}'
    said = server.ask(key, model=model("usage:" + usage))
    assert shop.call(said.call)["cached_tokens"] == 50
    assert shop.money(key) == (0, 10 * 20 + 50 * 2 + 3 * 80)
    usage = '{"prompt_tokens":60,"completion_tokens":3,"prompt_cache_hit_tokens":40}'
    server.ask(key, model=model("usage:" + usage))
    assert shop.money(key)[1] == 10 * 20 + 50 * 2 + 3 * 80 + 20 * 20 + 40 * 2 + 3 * 80


def test_models_are_those_that_the_key_may_call(shop: Books, server: Server, model: Model) -> None:
    east, west = model("ok"), model("ok", upstream_values={"region": "west"})
    paused = model("ok", upstream_values={"state": "paused"})
    unseen = model("ok", upstream_values={"approved_at": None})
    ended = model("ok", until_ms=1)

    def told(**values: object) -> set[str]:
        made = shop.key(**values)
        rows = server.request("GET", "/v1/models", headers={"Authorization": f"Bearer {made.token}"}).body["data"]
        return {row["id"] for row in rows} & {east, west, paused, unseen, ended}

    assert told() == {east, west}
    assert told(models=[west, paused]) == {west}
    assert told(regions=["east"]) == {east}
    assert server.request("GET", "/v1/models").status == 401


def test_a_key_calls_only_its_models_and_regions(shop: Books, server: Server, model: Model, upstream: Server) -> None:
    east, west = model("ok"), model("ok", upstream_values={"region": "west"})
    key = shop.key(models=[east, west], regions=["east"])
    assert server.ask(key, model=east).status == 200
    assert server.ask(key, model=west).reason == "model_not_found"
    assert server.ask(key, model=model("ok")).reason == "model_not_found"
    assert len(upstream.seen()["seen"]) == 0


def test_a_private_offer_is_for_keys_of_its_provider_only(shop: Books, server: Server, upstream: Server) -> None:
    owner = shop.party("示例自有")
    place = shop.upstream(upstream.url, provider_id=owner)
    shop.offer(place, "示例-自有", "ok", private=True)
    shop.offer(place, "示例-两家", "slow", input_fen=1, cached_fen=1, private=True)
    shop.offer(shop.upstream(upstream.url), "示例-两家", "ok")
    server.read_anew()
    own = shop.key(shop.insert(
        "maas_wallet", party_id=owner, funded_ufen=UFEN, held_ufen=0, spent_ufen=0, billed_ufen=0, frozen=False
    ))  # fmt: skip
    other = shop.key()

    def told(made: Made) -> set[str]:
        rows = server.request("GET", "/v1/models", headers={"Authorization": f"Bearer {made.token}"}).body["data"]
        return {row["id"] for row in rows} & {"示例-自有", "示例-两家"}

    assert (told(own), told(other)) == ({"示例-自有", "示例-两家"}, {"示例-两家"})
    assert server.ask(own, model="示例-自有").status == 200
    assert server.ask(other, model="示例-自有").reason == "model_not_found"
    upstream.seen()
    for made in (own, other):
        server.ask(made, model="示例-两家", max_tokens=2)
    assert [entry["body"]["model"] for entry in upstream.seen()["seen"]] == ["slow", "ok"]


def test_routing_by_price_and_by_latency(shop: Books, server: Server, upstream: Server) -> None:
    name = "示例-路由"
    slow = shop.offer(shop.upstream(upstream.url), name, "slow", output_fen=10)
    quick = shop.offer(shop.upstream(upstream.url), name, "ok", output_fen=90)
    server.read_anew()
    cheapest, fastest = shop.key(), shop.key(routing="latency")

    def offer(key: object) -> int:
        return int(shop.call(server.ask(key, model=name, stream=True).call)["offer_id"])  # type: ignore[arg-type]

    assert offer(cheapest) == slow
    assert {offer(fastest), offer(fastest)} <= {slow, quick}, "what was not measured yet is tried"
    assert [offer(fastest) for _call in range(3)] == [quick] * 3
    assert offer(cheapest) == slow


def test_no_more_calls_at_once_than_an_upstream_takes(
    shop: Books, server: Server, model: Model, upstream: Server
) -> None:
    key, name = shop.key(), model("slow", upstream_values={"concurrency_max": 3})
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda: answers.append(server.ask(key, model=name).status)) for _number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert upstream.seen()["running_max"] <= 3
    assert set(answers) == {200, 503}
    assert shop.money(key) == (0, answers.count(200) * PRICE)


def test_health_and_metrics(shop: Books, server: Server, model: Model) -> None:
    key, name = shop.key(), model("ok")
    server.ask(key, model=name)
    text = server.request("GET", "/metrics").raw.decode()
    assert f'huoshui_gateway_calls_total{{model="{name}",outcome="ok",path="/v1/chat/completions"}} 1.0' in text
    assert f'huoshui_gateway_cost_ufen_total{{model="{name}"}} {float(PRICE)}' in text
    assert key.token not in text
    forwarded = server.request("GET", "/metrics", headers={"X-Forwarded-For": "203.0.113.9"})
    assert forwarded.status == 404, "the figures of all customers are the operator's"


def test_a_new_price_holds_from_its_instant(shop: Books, server: Server, model: Model) -> None:
    """The old offer ends and a new one begins: no call is refused, each is billed at its own offer's price."""
    key, name = shop.key(), model("ok")
    assert server.ask(key, model=name).headers["x-huoshui-cost-fen"] == "0.001"
    ((old, place),) = shop.db.rows("SELECT id, upstream_id FROM maas_offer WHERE model = ?", (name,))
    with shop.db.transaction():
        shop.db.run("UPDATE maas_offer SET until_ms = since_ms + 1 WHERE id = ?", (old,))
    shop.offer(place, name, "ok", output_fen=800)
    said = server.ask(key, model=name)
    assert said.headers["x-huoshui-cost-fen"] == "0.00964"
    assert shop.call(said.call)["offer_id"] != old
    assert shop.money(key)[1] == 1000 + 9640
    assert UFEN > 9640


def test_an_idempotency_key_is_never_charged_twice(shop: Books, server: Server, model: Model) -> None:
    key, other, name = shop.key(), shop.key(), model("slow")
    said: list[object] = []
    first = threading.Thread(target=lambda: said.append(server.ask(key, model=name, idempotency="order-1")))
    first.start()
    (number,) = until(lambda: shop.calls(key))
    running = server.ask(key, model=name, idempotency="order-1")
    assert (running.status, running.reason, running.body["error"]["call"]) == (409, "duplicate_call", number)
    first.join()
    done = server.ask(key, model=name, idempotency="order-1")
    assert (done.status, done.headers["x-huoshui-call"]) == (409, number)
    assert shop.money(key) == (0, PRICE)
    assert server.ask(other, model=name, idempotency="order-1").status == 200, "names are each key's own"


def test_a_call_that_cost_nothing_may_be_asked_again_under_its_name(
    shop: Books, server: Server, model: Model
) -> None:
    key = shop.key()
    assert server.ask(key, model=model("status:500"), idempotency="again").status == 502
    said = server.ask(key, model=model("ok"), idempotency="again")
    assert said.status == 200
    assert shop.calls(key) == [said.call]
    assert shop.money(key) == (0, PRICE)


def test_a_name_does_not_go_round_the_rate_limit(
    shop: Books, server: Server, model: Model, upstream: Server
) -> None:
    key, name = shop.key(calls_per_minute=3), model("status:500")
    reasons = [server.ask(key, model=name, idempotency="again").reason for _call in range(5)]
    assert reasons == ["upstream_error"] * 3 + ["calls_per_minute"] * 2
    assert len(upstream.seen()["seen"]) == 3
