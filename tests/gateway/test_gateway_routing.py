"""Which offer answers, whom failures concern, and how long anybody waits."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.gateway.books import Books
from tests.gateway.processes import Server, until
from tests.gateway.test_gateway_faults import leave

from huoshui.gateway import asks, routing, upstream
from huoshui.gateway.catalogue import Offer, Upstream
from huoshui.gateway.ledger import Key
from huoshui.gateway.routing import FAILURES_MAX, FORGET_SECONDS, Router

Model = Callable[..., str]
PLACE = Upstream(1, "one", "http://127.0.0.1:9", "", None, "east", 9, 1, 60, 9, 1)
OFFER = Offer(1, "m", "m", "chat", 20, 2, 80, 32_768, 4_096, 0, None, False, PLACE)
KEY = Key(1, 1, [], [], "total", None, 0, 0, 0, None, None, 0, None, "latency")


def chat(content: str = "x", **more: Any) -> asks.Ask:
    body = {"model": "m", "messages": [{"role": "user", "content": content}]} | more
    return asks.read("/v1/chat/completions", json.dumps(body).encode())


# --- order ------------------------------------------------------------------------------------------------------------


def test_prices_are_compared_for_the_same_tokens() -> None:
    """An offer is not dear because it may answer at length."""
    long = replace(OFFER, id=2, input_fen=19, cached_fen=2, output_fen=79, output_tokens_max=32_768)
    ask = chat("x" * 40_000)
    for key in (KEY, replace(KEY, routing="price")):
        assert [offer.id for offer in Router().order(key, ask, [OFFER, long], 1)] == [2, 1]
    wide = replace(OFFER, id=3, input_fen=19, cached_fen=2, context_tokens=1_000_000)
    assert [offer.id for offer in Router().order(KEY, ask, [OFFER, wide], 1)] == [3, 1]


def test_a_slow_offer_is_tried_anew_by_one_stream_after_some_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(routing.time, "monotonic", lambda: now)
    router, other = Router(), replace(OFFER, id=2)

    def first(**more: Any) -> int:
        return router.order(KEY, chat(**more), [OFFER, other], 1)[0].id

    router.measured(OFFER, 5.0)
    router.measured(other, 0.1)
    assert first(stream=True) == 2
    now += FORGET_SECONDS - 1
    router.measured(other, 0.1)
    assert first(stream=True) == 2
    now += 1
    assert first() == 2, "only a stream has a first token to measure"
    assert [first(stream=True) for _call in range(3)] == [1, 2, 2]
    router.measured(OFFER, 0.05)
    assert first(stream=True) == 1, "what it was like long ago counts no more"


def test_only_streams_tell_the_time_to_the_first_token(shop: Books, server: Server, upstream: Server) -> None:
    """A whole answer takes as long as all of its tokens: that says nothing of the first."""
    name = "示例-首字"
    quick = shop.offer(shop.upstream(upstream.url), name, "slow", output_fen=80)
    dear = shop.offer(shop.upstream(upstream.url), name, "slow", output_fen=90)
    server.read_anew()
    key = shop.key(routing="latency")
    for _call in range(3):
        call = shop.call(server.ask(key, model=name).call)
        assert (call["offer_id"], call["first_token_ms"]) == (quick, None)
    called = [shop.call(server.ask(key, model=name, stream=True).call) for _call in range(2)]
    assert {call["offer_id"] for call in called} == {quick, dear}, "neither is measured before its first stream"
    assert all(call["first_token_ms"] for call in called)


def test_what_is_too_long_may_go_to_a_larger_context(
    shop: Books, server: Server, model: Model, upstream: Server
) -> None:
    name = "示例-长文"
    for rank, (script, context) in enumerate((("long:30", 600), ("ok", 500), ("ok", 5_000))):
        shop.offer(shop.upstream(upstream.url), name, script, context_tokens=context, input_fen=20 + rank)
    server.read_anew()
    key, long = shop.key(), [{"role": "user", "content": "x" * 400}]
    upstream.seen()
    said = server.ask(key, model=name, messages=long, max_tokens=4)
    assert said.status == 200
    assert shop.call(said.call)["tries"] == 2
    assert [entry["body"]["model"] for entry in upstream.seen()["seen"]] == ["long:30", "ok"]
    said = server.ask(key, model=model("status:400", "ok", context_tokens=600), messages=long)
    assert (said.status, said.reason) == (400, "upstream_refused"), "none is larger"
    assert len(upstream.seen()["seen"]) == 1


# --- health -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["404", "500"])
def test_nobody_closes_an_offer_for_the_others(
    shop: Books, server: Server, upstream: Server, status: str
) -> None:
    """Failures that one wallet alone met close the offer to that wallet; other offers of the upstream stay open."""
    place, name = shop.upstream(upstream.url), f"示例-坏-{status}"
    shop.offer(place, name, f"status:{status}")
    shop.offer(place, f"{name}-好", "ok")
    server.read_anew()
    guilty, again, other = shop.key(), shop.key(), shop.key()
    more = shop.key(guilty.wallet)
    reasons = [server.ask(guilty, model=name).reason for _call in range(FAILURES_MAX + 1)]
    assert reasons == ["upstream_error"] * FAILURES_MAX + ["no_upstream"]
    assert server.ask(more, model=name).reason == "no_upstream", "another key of the same wallet"
    assert server.ask(guilty, model=f"{name}-好").status == 200
    assert server.ask(other, model=name).reason == "upstream_error", "it is asked still"
    assert server.ask(again, model=name).reason == "no_upstream", "two wallets met it: it is closed to all"


def test_whom_a_row_of_failures_concerns() -> None:
    health = routing.Health()
    for _failure in range(FAILURES_MAX):
        assert health.takes(0.0, 1)
        health.failed(0.0, 1)
    assert (health.takes(1.0, 1), health.takes(1.0, 2), health.takes(6.0, 1)) == (False, True, True)
    health.failed(1.0, 2)
    assert not health.takes(2.0, 3)
    health.begins()
    assert health.takes(2.0, 3), "a stream's first token lets others in"
    health.failed(2.0, 2)
    assert not health.takes(3.0, 3), "but only a whole answer ends the row"
    health.begins()
    health.well()
    health.failed(3.0, 2)
    assert health.takes(3.0, 2)
    health.cool(2.0, 30)
    assert (health.takes(3.0, 9), health.takes(33.0, 9)) == (False, True)


# --- time -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "tokens", "waits"), [(60, 100, 70), (60, 8_192, 300), (900, 8_192, 900), (1, 1, 1.1)]
)
def test_a_whole_answer_has_one_deadline(seconds: int, tokens: int, waits: float) -> None:
    offer = replace(OFFER, output_tokens_max=tokens, upstream=replace(PLACE, first_token_seconds=seconds))
    assert upstream.answer_seconds(offer, chat()) == waits
    assert upstream.answer_seconds(offer, chat(stream=True)) == seconds


def test_an_upstream_on_which_clients_give_up_is_left_alone(
    shop: Books, server: Server, model: Model, upstream: Server
) -> None:
    key, name = shop.key(), model("hang", "ok")

    def give_up() -> None:
        leave(server, upstream, key, b"", seconds=1.3, model=name)

    threads = [threading.Thread(target=give_up) for _number in range(FAILURES_MAX)]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    until(lambda: all(shop.call(number)["state"] == "released" for number in shop.calls(key)))
    upstream.seen()
    said = server.ask(key, model=name)
    assert (said.status, shop.call(said.call)["tries"]) == (200, 1)
    assert [entry["body"]["model"] for entry in upstream.seen()["seen"]] == ["ok"]
