"""One try at one upstream, and what its failure means.

| what happens | outcome | another upstream? | counts against its health |
|---|---|---|---|
| no connection, closed before an answer | unreachable | yes | yes |
| no answer, no token, a gap that is too long | timeout | yes, before the first token | yes |
| 429 | rate_limited | yes | no, it is left alone for a while |
| 400, 413, 415, 422 | upstream_refused | no: the request is at fault; of a larger context, if it may be too long | no |
| any other status that is not 200 | upstream_error | yes | yes |
| not JSON, not what was asked for, too long | bad_answer | yes, before the first token | yes |
| a stream that ends before it is finished | truncated | yes, before the first token | yes |

Health is kept for each offer: `routing` says whom a failure concerns.

Redirects are not followed, nothing of the client's headers is passed on, answers have a bound.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from huoshui.gateway.asks import Ask
from huoshui.gateway.catalogue import Catalogue, Offer, Upstream

ANSWER_BYTES_MAX = 16 * 1024 * 1024
NUMBER_BYTES_MAX, DIMENSIONS_USUAL, DIMENSIONS_MAX = 24, 4_096, 16_384
"""An embedding may be longer: for each text so many numbers (more when they were asked for), each of so many bytes."""
LARGE_BYTES = 1024 * 1024
"""A longer answer is read on a thread, which gives way at each row of it."""
REFUSAL_BYTES_MAX = 64 * 1024
MESSAGE_LENGTH_MAX = 400
TOKENS_PER_SECOND_MIN = 10
ANSWER_SECONDS_MAX = 300
"""A whole answer (not streamed) may take the seconds to the first token and those of its tokens at this pace, up to
this in all."""
WAKE_SECONDS_MAX = 180
WAKE_LOOK_SECONDS = 0.25
REFUSALS = (400, 413, 415, 422)
VARIABLES = "HUOSHUI_UPSTREAM_"
"""Only variables named so are keys of upstreams: nobody gets another secret of the environment by naming it."""


class Failure(Exception):
    """The try came to nothing. `outcome` is a reason of `refusals`; `blames`: it says something of the upstream."""

    def __init__(self, outcome: str, *, status: int | None = None, message: str = "", wait_seconds: float = 0) -> None:
        super().__init__(outcome)
        self.outcome, self.status, self.message, self.wait_seconds = outcome, status, message, wait_seconds

    @property
    def blames(self) -> bool:
        return self.outcome not in ("upstream_refused", "rate_limited")


@dataclass(frozen=True)
class Target:
    """Where an upstream is, and its key (empty: none)."""

    base_url: str
    key: str


async def target(catalogue: Catalogue, upstream: Upstream) -> Target:
    """The address to call; an endpoint is woken and waited for. Raises Failure."""
    if upstream.endpoint is None:
        named = upstream.secret.startswith(VARIABLES)
        return Target(upstream.base_url.rstrip("/"), os.environ.get(upstream.secret, "") if named else "")
    await catalogue.want([upstream.endpoint])
    try:
        async with asyncio.timeout(WAKE_SECONDS_MAX):
            while True:
                replica = await catalogue.replica(upstream.endpoint)
                if replica is None or replica.state in ("failed", "closed"):
                    raise Failure("unreachable")
                if replica.state == "ready":
                    return Target(replica.address.rstrip("/"), replica.key)
                await asyncio.sleep(WAKE_LOOK_SECONDS)
    except TimeoutError:
        raise Failure("timeout") from None


@asynccontextmanager
async def opened(
    session: aiohttp.ClientSession, place: Target, offer: Offer, ask: Ask, deadline: float
) -> AsyncIterator[aiohttp.ClientResponse]:
    """The upstream's answer, its status 200 and its body still to read. Leaving the block early cancels it. The
    deadline (event loop's time) is that of its head."""
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
    if place.key:
        headers["Authorization"] = f"Bearer {place.key}"
    answer = await _sent(session, place.base_url + ask.path, headers, offer, ask, deadline)
    try:
        if answer.status != 200:
            raise await _failure(answer)
        yield answer
    finally:
        if answer.content.at_eof():
            answer.release()
        else:
            answer.close()


async def _sent(
    session: aiohttp.ClientSession, url: str, headers: dict[str, str], offer: Offer, ask: Ask, deadline: float
) -> aiohttp.ClientResponse:
    """Send it; once more when a connection that was kept open turns out to be closed."""
    body = ask.forward(offer.upstream_model, offer.context_tokens, offer.output_tokens_max)
    limits = aiohttp.ClientTimeout(total=None, sock_connect=offer.upstream.connect_seconds)
    for attempt in (1, 2):
        try:
            async with asyncio.timeout_at(deadline):
                return await session.post(url, data=body, headers=headers, allow_redirects=False, timeout=limits)
        except aiohttp.ServerTimeoutError:
            raise Failure("unreachable") from None
        except TimeoutError:
            raise Failure("timeout") from None
        except aiohttp.ServerDisconnectedError:
            if attempt == 2:
                raise Failure("unreachable") from None
        except (aiohttp.ClientError, OSError, ValueError):
            raise Failure("unreachable") from None
    raise AssertionError


def answer_seconds(offer: Offer, ask: Ask) -> float:
    """How long an answer may take to come: the first token of a stream, or all of an answer that is not streamed."""
    seconds = offer.upstream.first_token_seconds
    if ask.stream:
        return seconds
    _read, said = ask.bound(offer.context_tokens, offer.output_tokens_max)
    return max(seconds, min(seconds + said / TOKENS_PER_SECOND_MIN, ANSWER_SECONDS_MAX))


async def _failure(answer: aiohttp.ClientResponse) -> Failure:
    if answer.status == 429:
        return Failure("rate_limited", status=429, wait_seconds=_seconds(answer.headers.get("Retry-After", "")))
    if answer.status in REFUSALS:
        return Failure("upstream_refused", status=answer.status, message=await _message(answer))
    return Failure("upstream_error", status=answer.status)


def _seconds(text: str) -> int:
    return min(int(text), 3600) if text.isascii() and text.isdigit() and len(text) < 7 else 1


async def _message(answer: aiohttp.ClientResponse) -> str:
    """What the upstream said about the request; it goes to the client who sent it, and nowhere else."""
    try:
        async with asyncio.timeout(5):
            told = json.loads(await answer.content.read(REFUSAL_BYTES_MAX))
        error = told.get("error", told)
        message = error if isinstance(error, str) else error.get("message")
    except (aiohttp.ClientError, TimeoutError, ValueError, AttributeError, RecursionError):
        return "no reason given"
    return message[:MESSAGE_LENGTH_MAX] if isinstance(message, str) else "no reason given"


def answer_bytes_max(ask: Ask) -> int:
    """How long a whole answer may be."""
    if ask.kind != "embedding":
        return ANSWER_BYTES_MAX
    asked = ask.body.get("dimensions")
    numbers = min(max(asked, DIMENSIONS_USUAL), DIMENSIONS_MAX) if type(asked) is int else DIMENSIONS_USUAL
    return max(ANSWER_BYTES_MAX, ask.items * numbers * NUMBER_BYTES_MAX)


async def whole(
    answer: aiohttp.ClientResponse, deadline: float, bytes_max: int, make_room: Callable[[], None]
) -> tuple[dict[str, Any], bytes]:
    """The body as a JSON object and as it came, by the deadline (event loop's time). Raises Failure.

    `make_room` is called before it grows beyond what usual answers take; what it raises ends the try.
    """
    parts, size = [], 0
    while data := await piece(answer, deadline):
        if size <= ANSWER_BYTES_MAX < size + len(data) <= bytes_max:
            make_room()
        size += len(data)
        if size > bytes_max:
            raise Failure("bad_answer")
        parts.append(data)
    raw = b"".join(parts)
    try:
        told = await asyncio.to_thread(_parsed_giving_way, raw) if size > LARGE_BYTES else json.loads(raw)
    except (ValueError, RecursionError):
        raise Failure("bad_answer") from None
    if not isinstance(told, dict):
        raise Failure("bad_answer")
    return told, raw


def _parsed_giving_way(raw: bytes) -> Any:
    """Parsed by C code, which lets other threads run only where it calls Python: at the end of each object."""
    return json.loads(raw, object_hook=lambda row: row)


async def piece(answer: aiohttp.ClientResponse, deadline: float) -> bytes:
    """What has come since the last look; empty at the end. Raises Failure: timeout, truncated."""
    try:
        async with asyncio.timeout_at(deadline):
            return await answer.content.readany()
    except TimeoutError:
        raise Failure("timeout") from None
    except (aiohttp.ClientError, OSError):
        raise Failure("truncated") from None
