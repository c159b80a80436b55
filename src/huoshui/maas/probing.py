"""One measured call: what a client of an OpenAI-compatible upstream sees, to the microsecond.

The probe streams an answer and notes when the request left, when the first token came and when the stream ended; an
embedding comes whole. It trusts the upstream's own count of tokens only as far as it can be true: more than was asked
for is counted anew, by pieces of the stream. Nothing is followed, kept or logged of what the upstream says.
"""

import asyncio
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

BYTES_MAX = 4 << 20
TOKENS_PER_WORD_MAX = 3
"""More tokens of input than this for a word of the probe is not believed."""
OK, QUOTA, RATE_LIMITED, UPSTREAM_ERROR = "ok", "quota", "rate_limited", "upstream_error"
REFUSED, TIMEOUT, UNREACHABLE, TRUNCATED = "upstream_refused", "timeout", "unreachable", "truncated"
BAD_ANSWER = "bad_answer"
OUTCOMES = (
    OK, QUOTA, RATE_LIMITED, UPSTREAM_ERROR, REFUSED, TIMEOUT, UNREACHABLE, TRUNCATED, BAD_ANSWER,
)  # fmt: skip
WORDS = (
    "river", "stone", "light", "green", "paper", "north", "apple", "glass", "cloud", "train", "music", "table",
    "water", "field", "bread", "clock", "house", "sound", "white", "plant", "metal", "ocean", "chair", "smile",
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """Where to call. `url` ends before `/v1`; `key` is sent as bearer token when there is one. `embeds`: it
    answers with a vector, not with words."""

    url: str
    key: str
    model: str
    connect_seconds: int
    first_token_seconds: int
    seconds_max: int
    embeds: bool = False


@dataclass(frozen=True)
class Measured:
    """What one call was like. Times count from the moment the request was sent; None: it did not come so far."""

    outcome: str
    status: int | None = None
    ttft_us: int | None = None
    e2e_us: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


def prompt(input_tokens: int, seed: int) -> str:
    """About so many tokens of plain words, different for each seed from the first word on (no cache of prefixes)."""
    dice = random.Random(seed)  # noqa: S311
    return " ".join([str(seed), *(dice.choice(WORDS) for _word in range(input_tokens - 1))])


def measure(target: Target, prompts: Sequence[str], output_tokens: int, concurrency: int) -> list[Measured]:
    """Call once for each prompt, `concurrency` at a time."""
    return asyncio.run(_measure(target, prompts, output_tokens, concurrency))


async def _measure(target: Target, prompts: Sequence[str], output_tokens: int, concurrency: int) -> list[Measured]:
    places = asyncio.Semaphore(concurrency)
    timeout = aiohttp.ClientTimeout(
        total=target.seconds_max, sock_connect=target.connect_seconds, sock_read=target.first_token_seconds
    )

    async def one(session: aiohttp.ClientSession, text: str) -> Measured:
        async with places:
            return await _call(session, target, text, output_tokens)

    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
        return await asyncio.gather(*(one(session, text) for text in prompts))


async def _call(session: aiohttp.ClientSession, target: Target, text: str, output_tokens: int) -> Measured:
    headers = {"Authorization": f"Bearer {target.key}"} if target.key else {}
    seen = (_Vector if target.embeds else _Stream)(TOKENS_PER_WORD_MAX * len(text.split()), output_tokens)
    url, body = target.url + seen.path, seen.body(target.model, text)
    try:
        async with session.post(url, json=body, headers=headers, allow_redirects=False) as answer:
            seen.status = answer.status
            if answer.status != 200:
                return seen.measured(_refusal(answer.status, await answer.content.read(BYTES_MAX)))
            await seen.read(answer.content)
    except TimeoutError:
        return seen.measured(TIMEOUT)
    except aiohttp.ClientPayloadError:
        return seen.measured(TRUNCATED)
    except (aiohttp.ClientError, OSError):
        return seen.measured(UNREACHABLE if seen.status is None else TRUNCATED)
    except (ValueError, TypeError, AttributeError, RecursionError):  # a shape that no completion has
        return seen.measured(BAD_ANSWER)
    return seen.measured(OK if seen.finished else TRUNCATED)


def _refusal(status: int, body: bytes) -> str:
    """The class of an answer that is none."""
    if status == 402 or (status in (403, 429) and b"quota" in body.lower()):
        return QUOTA
    if status == 429:
        return RATE_LIMITED
    return UPSTREAM_ERROR if status >= 500 else REFUSED


class _Vector:
    """One embedding."""

    path = "/v1/embeddings"

    def __init__(self, input_tokens_max: int, output_tokens_max: int) -> None:
        self.started_ns, self.input_max = time.perf_counter_ns(), input_tokens_max
        self.status: int | None = None
        self.last_ns = 0
        self.usage: Any = None

    @property
    def finished(self) -> bool:
        """Whether it is whole."""
        return self.last_ns > 0

    def body(self, model: str, text: str) -> dict[str, Any]:
        """What is asked."""
        return {"model": model, "input": text}

    async def read(self, content: aiohttp.StreamReader) -> None:
        """Until the end. Raises ValueError, TypeError, AttributeError: not one vector with a number in it."""
        raw = b""
        while data := await content.readany():
            raw += data
            if len(raw) > BYTES_MAX:
                raise ValueError("too long")
        told = json.loads(raw)
        (row,) = told.get("data")
        vector = row.get("embedding")
        if not isinstance(vector, list) or not vector or type(vector[0]) not in (int, float):
            raise ValueError("not a vector")
        self.last_ns, self.usage = time.perf_counter_ns(), told.get("usage")

    def measured(self, outcome: str) -> Measured:
        """The figures: all of the time, no first token."""
        usage = self.usage if isinstance(self.usage, dict) else {}
        return Measured(
            outcome, self.status, e2e_us=(self.last_ns - self.started_ns) // 1_000 if outcome == OK else None,
            input_tokens=_count(usage.get("prompt_tokens"), self.input_max),
        )  # fmt: skip


class _Stream:
    """What has come so far of one stream of server-sent events."""

    path = "/v1/chat/completions"

    def __init__(self, input_tokens_max: int, output_tokens_max: int) -> None:
        self.started_ns, self.input_max, self.output_max = time.perf_counter_ns(), input_tokens_max, output_tokens_max
        self.status: int | None = None
        self.first_ns = self.last_ns = 0
        self.pieces = 0
        self.usage: dict[str, Any] = {}
        self.finished = self.done = False

    def body(self, model: str, text: str) -> dict[str, Any]:
        """What is asked."""
        return {
            "model": model, "messages": [{"role": "user", "content": text}], "max_tokens": self.output_max,
            "temperature": 0, "stream": True, "stream_options": {"include_usage": True},
        }  # fmt: skip

    async def read(self, content: aiohttp.StreamReader) -> None:
        """Until the end of the stream. Raises ValueError, TypeError, AttributeError: not a stream of a completion."""
        size = 0
        async for line in content:
            size += len(line)
            if size > BYTES_MAX:
                raise ValueError("too long")
            self.take(line)
            if self.done:
                break

    def take(self, line: bytes) -> None:
        """One line. Raises ValueError when it is no event of a completion."""
        if not line.startswith(b"data:"):
            return
        data = line[5:].strip()
        if data == b"[DONE]":
            self.finished = self.done = True
            return
        event = json.loads(data)
        if not isinstance(event, dict) or "error" in event:
            raise ValueError("not an event of a completion")
        if isinstance(event.get("usage"), dict):
            self.usage = event["usage"]
        for choice in event.get("choices") or []:
            delta = choice.get("delta") or {}
            if delta.get("content") or delta.get("reasoning_content") or delta.get("reasoning"):
                self.last_ns = time.perf_counter_ns()
                self.first_ns = self.first_ns or self.last_ns
                self.pieces += 1
            self.finished = self.finished or bool(choice.get("finish_reason"))

    def measured(self, outcome: str) -> Measured:
        """The figures. Success without a single token is a bad answer."""
        if outcome == OK and not self.pieces:
            outcome = BAD_ANSWER
        since = self.started_ns
        return Measured(
            outcome, self.status,
            ttft_us=(self.first_ns - since) // 1_000 if self.first_ns else None,
            e2e_us=(self.last_ns - since) // 1_000 if outcome == OK else None,
            input_tokens=_count(self.usage.get("prompt_tokens"), self.input_max),
            output_tokens=_count(self.usage.get("completion_tokens"), self.output_max) or (self.pieces or None),
        )  # fmt: skip


def _count(value: Any, most: int) -> int | None:
    """A number of tokens that can be true, else None."""
    return value if type(value) is int and 0 < value <= most else None
