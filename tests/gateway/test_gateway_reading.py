"""What the gateway reads: requests and their bounds, usage and whether it can be, events however they are cut."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huoshui.gateway import asks, events, usage
from huoshui.gateway.ledger import Price, Refused, period_start
from huoshui.gateway.refusals import KINDS, body, fen
from huoshui.gateway.usage import Bound

CHAT = "/v1/chat/completions"
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def chat(*contents: Any, **more: Any) -> asks.Ask:
    messages = [{"role": "user", "content": content} for content in contents]
    return asks.read(CHAT, json.dumps({"model": "m", "messages": messages} | more).encode())


# --- bounds -----------------------------------------------------------------------------------------------------------


@given(st.lists(text, min_size=1, max_size=5), st.booleans())
def test_no_tokeniser_makes_more_tokens_than_were_held_for(contents: list[str], ascii_only: bool) -> None:
    """A token is at least a byte: every byte of what is sent on is within the bound, however the client escaped it."""
    raw = {"model": "m", "messages": [{"role": "user", "content": content} for content in contents]}
    ask = asks.read(CHAT, json.dumps(raw, ensure_ascii=ascii_only).encode())
    read, _said = ask.most(1_000_000, 100)
    assert read >= sum(len(content.encode()) for content in contents) + asks.MESSAGE_TOKENS * len(contents)
    assert read >= len(json.loads(ask.forward("m", 1_000_000, 100))["messages"][0]["content"].encode())
    assert ask.text_bytes == sum(len(content.encode()) for content in contents)


def test_the_context_bounds_input_and_alone_bounds_what_is_no_text() -> None:
    assert chat("好" * 1000).most(50, 10) == (50, 10)
    picture = [{"type": "text", "text": "看"}, {"type": "image_url", "image_url": {"url": "https://example.org/x.png"}}]
    assert chat(picture).most(128_000, 10) == (128_000, 10)
    assert chat(picture).text_bytes == len("看".encode())
    many = asks.read("/v1/embeddings", json.dumps({"model": "m", "input": ["好" * 99] * 3}).encode())
    assert many.most(10, 0) == (30, 0)


@pytest.mark.parametrize(
    ("fields", "most"),
    [
        ({}, 4096), ({"max_tokens": 10}, 10), ({"max_tokens": 9999}, 4096), ({"max_completion_tokens": 20}, 20),
        ({"max_tokens": 10, "max_completion_tokens": 20}, 20), ({"max_tokens": None}, 4096),
        ({"max_tokens": 5, "n": 4}, 20),
    ],
)  # fmt: skip
def test_the_bound_on_output(fields: dict[str, Any], most: int) -> None:
    assert chat("x", **fields).most(1000, 4096)[1] == most


def test_a_bound_that_no_row_can_hold_is_refused() -> None:
    body = {"model": "m", "prompt": ["a"] * asks.ITEMS_MAX, "n": 8, "max_tokens": asks.TOKENS_MAX}
    ask = asks.read("/v1/completions", json.dumps(body).encode())
    assert ask.most(100, 100_000)[1] == 100_000 * 8 * asks.ITEMS_MAX < asks.BOUND_MAX
    for context, output in ((100, 200_000), (100_000, 10_000_000)):
        with pytest.raises(Refused) as refused:
            ask.most(context, output)
        assert refused.value.code == "invalid_field"


@pytest.mark.parametrize("code", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "gb18030"])
def test_a_body_is_utf_8_or_nothing(code: str) -> None:
    said = json.dumps({"model": "m", "messages": [{"role": "user", "content": "好" * 99}]}, ensure_ascii=False)
    assert asks.read(CHAT, said.encode()).model == "m"
    with pytest.raises(Refused) as refused:
        asks.read(CHAT, said.encode(code))
    assert refused.value.code == "invalid_json"


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", '["\\ud800"]'])
def test_what_json_cannot_say_is_refused(number: str) -> None:
    with pytest.raises(Refused) as refused:
        asks.read(CHAT, b'{"model":"m","messages":[{"role":"user","content":"x"}],"stop":%b}' % number.encode())
    assert refused.value.code == "invalid_json"


def test_tokens_as_numbers_and_lists_of_prompts() -> None:
    def prompt(value: Any, **more: Any) -> asks.Ask:
        return asks.read("/v1/completions", json.dumps({"model": "m", "prompt": value} | more).encode())

    assert prompt([1, 2, 3]).most(1000, 70)[1] == asks.PROMPT_TOKENS
    assert prompt([1, 2, 3]).most(1000, 7)[1] == 7
    assert prompt([[1], [2, 3]]).most(1000, 7)[1] == 14
    assert prompt(["a", "b"], best_of=3, max_tokens=2).most(1000, 7)[1] == 12
    assert prompt([5, 6, 7]).text_bytes == 12, "a token is counted as one"
    with pytest.raises(Refused):
        prompt([1, "a"])


def test_the_last_of_two_fields_of_one_name_is_what_is_sent() -> None:
    """What was checked is what goes out: the request is written anew, never passed on as bytes."""
    ask = asks.read(CHAT, b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}],"max_tokens":3}')
    assert ask.most(1000, 100)[1] == json.loads(ask.forward("m", 1_000_000, 100))["max_tokens"] == 3


# --- usage ------------------------------------------------------------------------------------------------------------

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["cached_tokens"]), inner),
    max_leaves=4,
)
figures = st.dictionaries(
    st.sampled_from(["prompt_tokens", "completion_tokens", "prompt_tokens_details", "prompt_cache_hit_tokens"]),
    anything | st.integers(0, 100),
)


@given(figures | anything, st.integers(1, 60), st.integers(0, 60), st.integers(0, 400), st.integers(0, 400))
def test_whatever_an_upstream_says_the_bill_is_within_the_hold(
    told: Any, read: int, said: int, asked_bytes: int, delivered_bytes: int
) -> None:
    bound = Bound(read, said)
    counted = usage.count(told, bound, asked_bytes, delivered_bytes)
    assert 0 <= counted.cached_tokens <= counted.input_tokens <= read
    assert 0 <= counted.output_tokens <= said
    price = Price(1, 20, 2, 80, 0, None, True, "east")
    cost = price.cost_ufen(counted.input_tokens, counted.cached_tokens, counted.output_tokens)
    assert 0 <= cost <= price.cost_ufen(read, 0, said)
    if counted.counted == usage.PLATFORM:
        assert counted.input_tokens == min(read, -(-asked_bytes // 4))


@given(st.integers(1, 60), st.integers(0, 60), st.integers(1, 60))
def test_figures_that_can_be_are_taken_as_they_are(read: int, cached: int, said: int) -> None:
    told = {"prompt_tokens": read, "completion_tokens": said, "prompt_tokens_details": {"cached_tokens": cached}}
    counted = usage.count(told, Bound(60, 60), 8, 8)
    expected = (read, cached, said, "upstream") if cached <= read else (2, 0, 2, "platform")
    assert (counted.input_tokens, counted.cached_tokens, counted.output_tokens, counted.counted) == expected


# --- events -----------------------------------------------------------------------------------------------------------


def stream(*pieces: Any, end: str = "\n\n") -> bytes:
    lines = [piece if isinstance(piece, str) else "data: " + json.dumps(piece, ensure_ascii=False) for piece in pieces]
    return "".join(line + end for line in lines).encode()


def word(content: str, **more: Any) -> dict[str, Any]:
    return {"model": "theirs", "choices": [{"index": 0, "delta": {"content": content}, "finish_reason": None}]} | more


WHOLE = stream(
    ": awake", word("你"), word('"model": "theirs"'), word("", usage={"prompt_tokens": 1}),
    {"model": "theirs", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"model": "theirs", "choices": [], "usage": {"prompt_tokens": 2}}, "data: [DONE]",
)  # fmt: skip


@given(st.lists(st.integers(1, 40), min_size=1), st.sampled_from(["\n\n", "\r\n\r\n"]))
def test_a_stream_reads_the_same_however_it_is_cut(sizes: list[int], end: str) -> None:
    reader, raw, read = events.Reader(CHAT, "ours", "theirs"), WHOLE.replace(b"\n\n", end.encode()), []
    for size in [*sizes, len(raw)]:
        read += reader.feed(raw[:size])
        raw = raw[size:]
    read += reader.end()
    out = b"".join(event.raw for event in read)
    pieces = [json.loads(line[6:]) for line in out.split(b"\n\n") if line]
    assert [piece["model"] for piece in pieces] == ["ours"] * 4
    assert [choice["delta"].get("content") for piece in pieces for choice in piece["choices"]] == [
        "你", '"model": "theirs"', "", None,
    ], "the name of a model inside a text is text"  # fmt: skip
    assert not any("usage" in piece for piece in pieces)
    assert sum(event.text_bytes for event in read) == len('你"model": "theirs"'.encode())
    assert [event.usage for event in read if event.usage] == [{"prompt_tokens": 1}, {"prompt_tokens": 2}]
    assert [event.finished for event in read if event.finished] == [(0,)]
    assert read[-1].done


@pytest.mark.parametrize("raw", [b"{", b"7", b'{"error":{}}', b'{"choices":[1]}'])
def test_what_is_no_completion_is_malformed(raw: bytes) -> None:
    with pytest.raises(events.Malformed):
        list(events.Reader(CHAT, "m", "m").feed(b"data: " + raw + b"\n\n"))


def test_an_event_without_end_is_malformed() -> None:
    reader = events.Reader(CHAT, "m", "m")
    assert list(reader.feed(b"data: " + b"x" * 1_000_000)) == []
    with pytest.raises(events.Malformed):
        list(reader.feed(b"x" * 100_000))


@pytest.mark.parametrize(
    "message",
    [
        {"content": "好的"}, {"reasoning_content": "好的"}, {"refusal": "好的"},
        {"tool_calls": [{"function": {"name": "ab", "arguments": "{ }x"}}]}, {"content": [{"text": "好的"}]},
    ],
)  # fmt: skip
def test_thoughts_refusals_and_tools_are_delivered_text_too(message: dict[str, Any]) -> None:
    assert sum(len(said.encode()) for said in asks.message_texts(message)) == 6


# --- small things -----------------------------------------------------------------------------------------------------


@given(st.integers(0, 10**18))
def test_fen_are_told_exactly(ufen: int) -> None:
    whole, _, rest = fen(ufen).partition(".")
    assert int(whole) * 10**6 + int(rest.ljust(6, "0")) == ufen


def test_every_refusal_has_a_sentence() -> None:
    every = {
        "model": "m", "region": "r", "method": "GET", "path": "/", "bytes_max": 1, "seconds_max": 1, "rule": "x",
        "param": "p", "state": "held", "needed_ufen": 1_500_000, "free_ufen": 0, "limit": 1, "counted": 1, "most": 1,
        "message": "no",
    }  # fmt: skip
    for code, kind in KINDS.items():
        error = body(Refused(code, **every), "c1")["error"]
        assert "{" not in error["message"]
        assert (error["reason"], error["code"], error["type"], error["call"]) == (code, kind.code, kind.type, "c1")
    assert "1.5 fen" in body(Refused("wallet_empty", **every))["error"]["message"]


def test_periods_begin_at_local_midnight() -> None:
    at = 1_772_380_800_000  # 2026-03-02 00:00 in Shanghai, 2026-03-01 16:00 UTC
    assert period_start("day", at) == period_start("day", at + 86_399_999) == at
    assert period_start("day", at - 1) == at - 86_400_000
    assert period_start("month", at) == at - 86_400_000
    assert period_start("total", at) == 0
