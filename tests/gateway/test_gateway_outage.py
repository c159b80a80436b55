"""The database goes away between an answer and its settlement: what was delivered is charged once, nothing else is."""

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from tests.gateway.books import Books, Made
from tests.gateway.processes import Server
from tests.gateway.test_gateway_calls import PRICE

from huoshui.gateway import meter
from huoshui.gateway.ledger import HOLD_SECONDS, Settle
from huoshui.gateway.meter import now_ms
from huoshui.gateway.server import Gateway

NAME = "示例-断库"


class Outage:
    """A database that takes no settlement while it is `down`. `commits`: it did what it does not answer."""

    def __init__(self, commits: bool) -> None:
        self.down, self.commits, self.real = True, commits, meter.run_batch

    def run_batch(self, *arguments: Any, **named: Any) -> Any:
        if not self.down or not any(isinstance(operation, Settle) for operation in arguments[1]):
            return self.real(*arguments, **named)
        if self.commits:
            self.real(*arguments, **named)
        raise meter.Gone[0]("gone")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("commits", [False, True])
def test_what_was_delivered_while_the_database_was_gone_is_charged_once(
    books: Books, upstream: Server, monkeypatch: pytest.MonkeyPatch, stream: bool, commits: bool
) -> None:
    outage = Outage(commits)
    monkeypatch.setattr(meter, "run_batch", outage.run_batch)
    monkeypatch.setattr(meter, "PAUSE_SECONDS", 0.001)
    books.offer(books.upstream(upstream.url), NAME)
    key = books.key()

    async def call() -> tuple[int, str]:
        gateway = Gateway(books.open)
        async with TestServer(gateway.app()) as place:
            told = await ask(place, key, stream)
            (number,) = gateway.owed
            assert books.call(number)["state"] == ("settled" if commits else "held")
            books.change("maas_call", number, expires_ms=1)
            await gateway._extend()
            (expires_ms,) = books.row("maas_call", number, "expires_ms")
            assert commits or expires_ms > now_ms() + HOLD_SECONDS * 900, "its hold lives on"
            await gateway._pay()
            assert list(gateway.owed) == [number], "the database is gone still"
            outage.down = False
            await gateway._pay()
            assert not gateway.owed
            await gateway._pay()
        return told

    status, told = asyncio.run(call())
    assert status == 200
    assert ("词11。" if stream else r"\u8bcd11\u3002") in told, "the answer went out, whole"
    assert ("[DONE]" in told) == stream
    assert books.money(key) == (0, PRICE)


def test_a_client_that_leaves_while_the_database_is_gone_pays_for_what_it_got(
    books: Books, upstream: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    outage = Outage(commits=False)
    monkeypatch.setattr(meter, "run_batch", outage.run_batch)
    monkeypatch.setattr(meter, "PAUSE_SECONDS", 0.02)
    books.offer(books.upstream(upstream.url), NAME)
    key = books.key()

    async def call() -> None:
        gateway = Gateway(books.open)
        async with TestServer(gateway.app()) as place:
            reading = asyncio.create_task(ask(place, key, True))
            while not any(running.ended for running in gateway.live.values()):
                await asyncio.sleep(0.001)
            reading.cancel()
            async with asyncio.timeout(10):
                while not gateway.owed:
                    await asyncio.sleep(0.01)
            assert not gateway.live
            outage.down = False
            await gateway._pay()
            assert not gateway.owed

    asyncio.run(call())
    assert books.money(key) == (0, PRICE)


async def ask(place: TestServer, key: Made, stream: bool) -> tuple[int, str]:
    """A call's status and body."""
    body = {"model": NAME, "stream": stream, "messages": [{"role": "user", "content": "你好"}]}
    headers = {"Authorization": f"Bearer {key.token}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(place.make_url("/v1/chat/completions"), json=body, headers=headers) as answer,
    ):
        return answer.status, await answer.text()
