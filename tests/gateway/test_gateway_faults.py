"""Upstreams that fail, lie or break off, and clients that leave: a clear outcome, and every µfen explained."""

import http.client
import json
import time
from collections.abc import Callable

import pytest
from tests.gateway.books import Books, Made
from tests.gateway.processes import Server, free_port, until
from tests.gateway.upstream import TOKENS

from huoshui.gateway.routing import FAILURES_MAX

Model = Callable[..., str]
INPUT, OUTPUT = 20, 80
PRICE = 2 * INPUT + TOKENS * OUTPUT
BROKEN = [
    ("status:500", "upstream_error", 502), ("status:401", "upstream_error", 502), ("status:302", "upstream_error", 502),
    ("status:429", "rate_limited", 429), ("hang", "timeout", 504), ("garbage", "bad_answer", 502),
    ("empty", "bad_answer", 502),
]  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("script", "outcome", "status"), BROKEN)
def test_what_fails_before_the_first_token_costs_nothing(
    shop: Books, server: Server, model: Model, script: str, outcome: str, status: int, stream: bool
) -> None:
    key, name = shop.key(), model(script, output_tokens_max=1)
    said = server.ask(key, model=name, stream=stream)
    assert (said.status, said.reason) == (status, outcome)
    call = shop.call(said.call)
    assert (call["state"], call["outcome"], call["cost_ufen"]) == ("released", outcome, 0)
    assert (call["input_tokens"], call["output_tokens"], call["status"]) == (0, 0, status)
    assert shop.money(key) == (0, 0)
    if script == "status:429":
        assert said.headers["retry-after"] == "3"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("script", [script for script, _outcome, _status in BROKEN] + ["half"])
def test_another_upstream_takes_over_before_the_first_byte(
    shop: Books, server: Server, model: Model, script: str, stream: bool
) -> None:
    if script in ("half", "early"):  # the same fault, whole and streamed
        script = "early" if stream else "half"
    key, name = shop.key(), model(script, "ok")
    said = server.ask(key, model=name, stream=stream, max_tokens=TOKENS)
    assert said.status == 200
    call = shop.call(said.call)
    assert (call["outcome"], call["tries"]) == ("ok", 2)
    assert call["cost_ufen"] == 2 * (INPUT + 1) + TOKENS * (OUTPUT + 1), "at the price of the one that answered"
    assert shop.money(key) == (0, call["cost_ufen"])


def test_a_request_at_fault_is_not_tried_elsewhere(shop: Books, server: Server, model: Model) -> None:
    key = shop.key()
    said = server.ask(key, model=model("status:400", "ok"))
    assert (said.status, said.reason) == (400, "upstream_refused")
    assert said.body["error"]["message"].endswith("the prompt is too long for me")
    assert shop.call(said.call)["tries"] == 1
    assert shop.money(key) == (0, 0)


def test_who_cannot_be_reached_is_passed_over(shop: Books, server: Server, upstream: Server) -> None:
    shop.offer(shop.upstream(f"http://127.0.0.1:{free_port()}"), "示例-断", "ok", output_fen=1)
    server.read_anew()
    key = shop.key()
    said = server.ask(key, model="示例-断")
    assert (said.status, said.reason) == (502, "unreachable")
    shop.offer(shop.upstream(upstream.url), "示例-断", "ok")
    server.read_anew()
    assert server.ask(key, model="示例-断").status == 200


@pytest.mark.parametrize(("script", "outcome"), [("half", "truncated"), ("stall", "timeout")])
def test_a_stream_that_breaks_off_costs_what_was_delivered(
    shop: Books, server: Server, model: Model, script: str, outcome: str
) -> None:
    """6 of 12 words arrived: 6 × 7 bytes, counted by the platform as 11 tokens; what was asked is 2."""
    key = shop.key()
    said = server.ask(key, model=model(script, "ok"), stream=True)
    assert said.status == 200
    assert not said.done
    assert said.events[-1]["error"]["reason"] == "truncated"
    call = shop.call(said.call)
    assert (call["state"], call["outcome"], call["counted"], call["tries"]) == ("settled", outcome, "platform", 1)
    delivered = len(said.text.encode())
    assert delivered == 6 * len("词0。".encode())
    assert call["output_tokens"] == -(-delivered // 4)
    assert shop.money(key) == (0, 2 * INPUT + call["output_tokens"] * OUTPUT)


def test_a_stream_that_does_not_end_is_cut_off(shop: Books, server: Server, model: Model, upstream: Server) -> None:
    key = shop.key()
    said = server.ask(key, model=model("endless"), stream=True, max_tokens=5)
    assert not said.done
    call = shop.call(said.call)
    assert (call["state"], call["outcome"], call["counted"]) == ("settled", "bad_answer", "platform")
    assert call["output_tokens"] == 5, "not more than was asked for"
    assert shop.money(key) == (0, 2 * INPUT + 5 * OUTPUT)
    until(lambda: upstream.seen()["left"] == 1, 5)


NONSENSE = [
    "null", "7", "[]", "{}", '{"prompt_tokens":2}', '{"prompt_tokens":-5,"completion_tokens":-7}',
    '{"prompt_tokens":2,"completion_tokens":99999999}', '{"prompt_tokens":9e9,"completion_tokens":3}',
    '{"prompt_tokens":"2","completion_tokens":"12"}', '{"prompt_tokens":2.5,"completion_tokens":12}',
    '{"prompt_tokens":true,"completion_tokens":12}', '{"prompt_tokens":0,"completion_tokens":0}',
    '{"prompt_tokens":2,"completion_tokens":12,"prompt_tokens_details":{"cached_tokens":3}}',
]  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("usage", NONSENSE)
def test_usage_that_cannot_be_is_replaced_by_a_sober_count(
    shop: Books, server: Server, model: Model, usage: str, stream: bool
) -> None:
    key = shop.key()
    wanted = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    said = server.ask(key, model=model(f"usage:{usage}"), **wanted)
    call = shop.call(said.call)
    text = said.text if stream else said.body["choices"][0]["message"]["content"]
    assert (call["state"], call["counted"]) == ("settled", "platform")
    assert (call["input_tokens"], call["output_tokens"]) == (2, -(-len(text.encode()) // 4))
    assert call["cost_ufen"] == 2 * INPUT + call["output_tokens"] * OUTPUT <= call["hold_ufen"]
    told = said.events[-1]["usage"] if stream else said.body["usage"]
    assert told["completion_tokens"] == call["output_tokens"], "the client is told what is billed"


HALVES = '[{"content":"\\ud83d"},{"content":"\\ude00"}]'
SHAPES = [
    HALVES, '[{"content":"ab","x":"\\ud83d"}]', '[{"content":"ab","tool_calls":5}]',
    '[{"content":"ab","tool_calls":{"a":1}}]',
    '[{"content":"ab","tool_calls":[{"function":7},7]}]', '[{"content":["ab",{"text":"ab"}]}]',
]  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_no_shape_of_an_answer_escapes_settlement(
    shop: Books, server: Server, model: Model, shape: str, stream: bool
) -> None:
    """Whatever an upstream says is delivered and charged, or neither: never one without the other."""
    key = shop.key()
    said = server.ask(key, model=model(f"delta:{shape}"), stream=stream)
    (number,) = shop.calls(key)
    call = shop.call(number)
    assert said.status == 200
    assert said.done == stream
    assert (call["state"], call["outcome"], call["counted"]) == ("settled", "ok", "platform")
    assert call["output_tokens"] == 1
    assert shop.money(key) == (0, 2 * INPUT + OUTPUT)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("calls", [1, "x", {}, True])
def test_calls_of_tools_in_a_request_are_a_list(shop: Books, server: Server, calls: object, stream: bool) -> None:
    key = shop.key()
    said = server.ask(key, model="m", messages=[{"role": "user", "content": "x", "tool_calls": calls}], stream=stream)
    assert (said.status, said.reason) == (400, "invalid_field")
    assert said.body["error"]["param"] == "messages[0].tool_calls"


ENDS = [
    ('[[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"},{"index":1,"delta":{"content":"b"}}]]', "truncated"),
    ('[[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]]', "truncated"),
    ('[[{"index":0,"text":"a","finish_reason":"stop"},{"index":1,"text":"b","finish_reason":"stop"}]]', "ok"),
]  # fmt: skip


@pytest.mark.parametrize(("choices", "outcome"), ENDS)
def test_every_answer_of_a_stream_must_be_finished(
    shop: Books, server: Server, model: Model, choices: str, outcome: str
) -> None:
    key, name = shop.key(), model(f"choices:{choices}")
    if "text" in choices:
        said = server.ask(key, "/v1/completions", model=name, prompt="x", n=2, stream=True)
    else:
        said = server.ask(key, model=name, n=2, stream=True)
    assert said.done == (outcome == "ok")
    assert shop.call(said.call)["outcome"] == outcome


def leave(
    server: Server, upstream: Server, made: Made, after: bytes, seconds: float = 0, **body: object
) -> None:
    """Ask, read until `after` has come (empty: until the upstream was asked, or for some time), and leave."""
    content = json.dumps({"messages": [{"role": "user", "content": "你好"}]} | body).encode()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("POST", "/v1/chat/completions", content, {"Authorization": f"Bearer {made.token}"})
    assert connection.sock is not None
    if after:
        answer, seen = connection.getresponse(), b""
        while after not in seen:
            seen += answer.read1()
        answer.close()
    elif seconds:
        time.sleep(seconds)
    else:
        until(lambda: upstream.seen()["seen"])
    connection.close()


def settled(shop: Books, key: Made) -> dict[str, object]:
    (number,) = until(lambda: shop.calls(key))
    until(lambda: shop.call(number)["state"] != "held")
    return shop.call(number)


def test_a_client_that_leaves_a_stream_pays_for_what_it_got(
    shop: Books, server: Server, model: Model, upstream: Server
) -> None:
    key = shop.key()
    leave(server, upstream, key, "词2".encode(), model=model("slow"), stream=True)
    call = settled(shop, key)
    assert (call["state"], call["outcome"], call["counted"]) == ("settled", "aborted", "platform")
    assert 0 < call["output_tokens"] < -(-84 // 4), "not the whole answer"  # type: ignore[operator]
    assert shop.money(key) == (0, 2 * INPUT + call["output_tokens"] * OUTPUT)  # type: ignore[operator]
    until(lambda: upstream.seen()["left"] == 1, 5)


def test_a_client_that_leaves_before_anything_came_pays_nothing(
    shop: Books, server: Server, model: Model, upstream: Server
) -> None:
    for stream in (True, False):
        key = shop.key()
        name = model("hang", upstream_values={"first_token_seconds": 30})
        leave(server, upstream, key, b"", model=name, stream=stream)
        call = settled(shop, key)
        assert (call["state"], call["outcome"], call["status"]) == ("released", "aborted", 499)
        assert shop.money(key) == (0, 0)
        until(lambda: upstream.seen()["left"] == 1, 5)


def test_an_upstream_that_keeps_failing_is_left_alone_and_tried_again(
    shop: Books, server: Server, model: Model, upstream: Server
) -> None:
    key, name = shop.key(), model("status:500", "ok")
    for _call in range(10):
        assert server.ask(key, model=name).status == 200
    scripts = [entry["body"]["model"] for entry in upstream.seen()["seen"]]
    assert scripts.count("status:500") == 5
    assert scripts.count("ok") == 10
    only = model("status:500")
    reasons = [server.ask(key, model=only).reason for _call in range(6)]
    assert reasons == ["upstream_error"] * 5 + ["no_upstream"]


def test_an_upstream_that_breaks_every_stream_off_is_left_alone(
    shop: Books, server: Server, model: Model
) -> None:
    """Its first tokens come, and are paid for: but they make no upstream well."""
    key, name = shop.key(), model("half", "ok")
    said = [server.ask(key, model=name, stream=True) for _call in range(FAILURES_MAX + 2)]
    assert [one.done for one in said] == [False] * FAILURES_MAX + [True, True]
    assert [shop.call(one.call)["tries"] for one in said] == [1] * len(said)


def test_an_upstream_that_is_at_its_limit_is_left_alone_for_as_long_as_it_says(
    shop: Books, server: Server, model: Model, upstream: Server
) -> None:
    key, name = shop.key(), model("status:429", "ok")
    for _call in range(4):
        assert server.ask(key, model=name).status == 200
    scripts = [entry["body"]["model"] for entry in upstream.seen()["seen"]]
    assert scripts == ["status:429", "ok", "ok", "ok", "ok"]


BAD = [
    (b"", "invalid_json"), (b"{", "invalid_json"), (b"[]", "invalid_json"), (b'{"model":NaN}', "invalid_json"),
    (b'"\\ud800"', "invalid_json"), (b'{"model":"\\ud800"}', "invalid_json"), (b"[" * 100_000, "invalid_json"),
    (b'\xff{"model":1}', "invalid_json"), ('{"model":1}'.encode("utf-16"), "invalid_json"),
    ('{"model":1}'.encode("utf-32-le"), "invalid_json"), (b'\xef\xbb\xbf{"model":1}', "invalid_json"),
    (b'{"model":"m","temperature":1e999}', "invalid_json"), (b"{}", "missing_field"), (b'{"model":7}', "invalid_field"),
    (b'{"model":""}', "invalid_field"), (b'{"model":"m"}', "missing_field"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "reason"), BAD)
def test_bad_bodies_are_refused_with_the_reason(shop: Books, server: Server, raw: bytes, reason: str) -> None:
    key = shop.key()
    said = server.request("POST", "/v1/chat/completions", raw, {"Authorization": f"Bearer {key.token}"})
    assert (said.status, said.reason) == (400, reason)
    assert shop.calls(key) == []


FIELDS = [
    ({"messages": []}, "messages"), ({"messages": "你好"}, "messages"), ({"messages": ["你好"]}, "messages[0]"),
    ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"), ({"n": 0}, "n"), ({"n": 9}, "n"),
    ({"n": True}, "n"), ({"n": "2"}, "n"), ({"max_tokens": 0}, "max_tokens"), ({"max_tokens": -1}, "max_tokens"),
    ({"max_tokens": 1.5}, "max_tokens"), ({"max_completion_tokens": "9"}, "max_completion_tokens"),
    ({"stream": "yes"}, "stream"), ({"stream_options": {"include_usage": True}}, "stream_options"),
    ({"stream": True, "stream_options": {"x": 1}}, "stream_options"), ({"n_predict": 4096}, "n_predict"),
    ({"tools": [{"type": "web_search"}]}, "tools"), ({"best_of": 4}, "best_of"), ({"echo": True}, "echo"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "param"), FIELDS)
def test_a_bad_field_is_named(shop: Books, server: Server, fields: dict[str, object], param: str) -> None:
    """Fields that could change what a call costs without the gateway knowing are refused, not passed on."""
    said = server.ask(shop.key(), model="示例", **fields)
    assert said.status == 400
    assert said.body["error"]["param"] == param
    assert param in said.body["error"]["message"]


def test_too_large_and_unknown(shop: Books, server: Server) -> None:
    key = shop.key()
    headers = {"Authorization": f"Bearer {key.token}"}
    assert server.request("POST", "/v1/chat/completions", b" " * (5 * 1024 * 1024), headers).status == 413
    for method, path in (
        ("POST", "/v1/responses"), ("POST", "/v1/chat/completions/"), ("GET", "/v1/chat/completions"),
        ("POST", "/v1/engines/x/completions"), ("POST", "/chat/completions"), ("DELETE", "/v1/models"), ("GET", "/"),
    ):  # fmt: skip
        said = server.request(method, path, b"{}", headers)
        assert (said.status, said.reason) == (404, "unknown_path"), (method, path)


def test_keys_that_are_not_good_are_refused_at_once(shop: Books, server: Server, model: Model) -> None:
    name = model("ok")
    assert server.ask(None, model=name).reason == "no_key"
    key = shop.key()
    assert server.ask(key, model=name).status == 200
    shop.change("maas_key", key.key, revoked_ms=1)
    assert server.ask(key, model=name).reason == "key_revoked", "though its row was kept a moment ago"
    key = shop.key(expires_ms=1)
    assert server.ask(key, model=name).reason == "key_expired"
    key = shop.key()
    assert server.ask(key, model=name).status == 200
    shop.change("maas_wallet", key.wallet, frozen=True)
    assert (server.ask(key, model=name).reason, server.ask(key, model=name).status) == ("wallet_frozen", 403)
    unknown = Made(0, 0, "hs-invented")
    assert (server.ask(unknown, model=name).status, server.ask(unknown, model=name).reason) == (401, "unknown_key")

