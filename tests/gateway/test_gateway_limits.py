"""No flood takes the gateway's memory or its database: what is bounded, in one process that runs here."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from tests.gateway.books import Books, Made

from huoshui.gateway import asks, catalogue, server
from huoshui.gateway.calls import Call
from huoshui.gateway.ledger import Refused
from huoshui.gateway.server import Gateway

PATH = "/v1/chat/completions"


@asynccontextmanager
async def running(books: Books) -> AsyncIterator[TestServer]:
    made = TestServer(Gateway(books.open).app())
    await made.start_server()
    try:
        yield made
    finally:
        await made.close()


async def begun(place: TestServer, token: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A request whose body does not come."""
    reader, writer = await asyncio.open_connection(place.host, place.port)
    writer.write(
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 9\r\n\r\n".encode()
    )
    await writer.drain()
    return reader, writer


async def reason(reader: asyncio.StreamReader) -> str:
    """Why a request was refused."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    told: dict[str, Any] = json.loads(await reader.readexactly(size))
    return str(told["error"]["reason"])


@pytest.mark.parametrize("bound", ["LIVE_MAX", "LIVE_PER_KEY_MAX"])
def test_requests_count_before_their_bodies_have_come(
    books: Books, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(server, bound, 2)

    async def flood(first: Made, other: Made) -> list[str]:
        async with running(books) as place:
            waiting = [await begun(place, first.token) for _number in range(2)]
            await asyncio.sleep(0.3)
            third = await begun(place, first.token)
            said = [await reason(third[0])]
            waiting[0][1].write(b"not json}")
            said.append(await reason(waiting[0][0]))
            fourth = await begun(place, other.token)
            fourth[1].write(b"not json}")
            said.append(await reason(fourth[0]))
            for _reader, writer in (*waiting, third, fourth):
                writer.close()
            return said

    assert asyncio.run(flood(books.key(), books.key())) == ["too_many_calls", "invalid_json", "invalid_json"]


def test_health_and_invented_keys_do_not_wear_out_the_database(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    for name in ("_offers", "_key"):
        monkeypatch.setattr(catalogue, name, counted(asked, name, getattr(catalogue, name)))
    monkeypatch.setattr(catalogue, "LOOK_UPS_MAX", 3)

    async def flood(made: Made) -> tuple[list[int], list[str]]:
        async with running(books) as place, aiohttp.ClientSession(place.make_url("/")) as client:

            async def said(path: str, token: str) -> aiohttp.ClientResponse:
                return await client.get(path, headers={"Authorization": f"Bearer {token}"})

            answers = await asyncio.gather(*(said("/health", "") for _number in range(40)))
            invented = await asyncio.gather(*(said("/v1/models", f"invented-{number}") for number in range(40)))
            same = await asyncio.gather(*(said("/v1/models", made.token) for _number in range(40)))
            reasons = [(await answer.json())["error"]["reason"] for answer in invented]
            return [answer.status for answer in (*answers, *same)], reasons

    statuses, reasons = asyncio.run(flood(books.key()))
    assert set(statuses) == {200}
    assert set(reasons) == {"unknown_key", "too_many_calls"}
    assert asked.count("_offers") <= 4
    assert asked.count("_key") <= reasons.count("unknown_key") + 2


def test_a_duplicate_that_is_given_up_leaves_the_running_call_its_hold(books: Books) -> None:
    """Only calls in `live` have their holds extended: a client that sends a name twice and leaves takes nothing out."""

    async def duplicate(made: Made) -> bool:
        gateway = Gateway(books.open)
        key = catalogue._key(books.db, hashlib.sha256(made.token.encode()).hexdigest())
        assert key is not None
        ask = asks.read(PATH, b'{"model":"m","messages":[{"role":"user","content":"x"}]}')
        running, again = (Call(gateway, None, key, ask, "same", True) for _call in range(2))  # type: ignore[arg-type]
        gateway.live["same"] = running
        again.held = asyncio.get_running_loop().create_future()
        again.held.set_exception(Refused("duplicate_call", call="same", state="held"))
        await again._close()
        return gateway.live.get("same") is running

    assert asyncio.run(duplicate(books.key()))


def counted(asked: list[str], name: str, question: Callable[..., Any]) -> Callable[..., Any]:
    """The question, a little slower, noting that it was asked."""

    def ask(*arguments: Any) -> Any:
        asked.append(name)
        time.sleep(0.02)
        return question(*arguments)

    return ask
