"""A real HTTP upstream with known delays: OpenAI-style streams over a socket, in a thread of its own.

`behaviour` says what it does next: `ok`, an HTTP status (`429`, `503`, `402`), `half` (the stream breaks off), `quiet`
(the stream ends without saying so), `silent` (never answers), `nonsense` (events that are none), `lies` (a usage that
cannot be), or the JSON of the only event that it sends.
"""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class Upstream:
    """The server's address, how it behaves, and what it was asked."""

    url: str = ""
    behaviour: str = "ok"
    first_seconds: float = 0.08
    gap_seconds: float = 0.01
    tokens: int = 8
    said: str = "content"
    asked: list[dict] = field(default_factory=list)
    headers: list[dict] = field(default_factory=list)
    at_once: int = 0
    at_once_max: int = 0

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(body)
        self.headers.append(dict(request.headers))
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        try:
            return await self._answer(request, body)
        finally:
            self.at_once -= 1

    async def embeddings(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(body)
        self.headers.append(dict(request.headers))
        if self.behaviour.isdigit():
            return web.json_response({"error": {"message": "no"}}, status=int(self.behaviour))
        if self.behaviour.startswith("{"):
            return web.json_response(text=self.behaviour)
        await asyncio.sleep(self.first_seconds)
        vectors = [{"index": 0, "embedding": [0.25] * 20_000}]
        return web.json_response({"data": vectors, "usage": {"prompt_tokens": len(body["input"].split())}})

    async def _answer(self, request: web.Request, body: dict) -> web.StreamResponse:
        if self.behaviour.isdigit():
            text = "insufficient_quota" if self.behaviour == "402" else "no"
            return web.json_response({"error": {"message": text}}, status=int(self.behaviour))
        if self.behaviour == "silent":
            await asyncio.sleep(30)
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        await asyncio.sleep(self.first_seconds)
        for number in range(self.tokens):
            if number:
                await asyncio.sleep(self.gap_seconds)
            if self.behaviour == "nonsense":
                await answer.write(b"data: {not json\n\n")
                return answer
            if self.behaviour.startswith("{"):
                await answer.write(b"data: " + self.behaviour.encode() + b"\n\n")
                return answer
            await self._event(answer, {"choices": [{"index": 0, "delta": {self.said: "水"}}]})
            if self.behaviour == "half" and number == 2:
                assert request.transport is not None
                request.transport.abort()
                return answer
        if self.behaviour == "quiet":
            return answer
        await self._event(answer, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        usage = {"prompt_tokens": len(body["messages"][0]["content"].split()), "completion_tokens": self.tokens}
        if self.behaviour == "lies":
            usage = {"prompt_tokens": 10**9, "completion_tokens": 10**9}
        await self._event(answer, {"choices": [], "usage": usage})
        await answer.write(b"data: [DONE]\n\n")
        return answer

    @staticmethod
    async def _event(answer: web.StreamResponse, event: dict) -> None:
        await answer.write(f"data: {json.dumps(event)}\n\n".encode())


@contextmanager
def serving() -> Iterator[Upstream]:
    """The server, running."""
    upstream, ready, loop = Upstream(), threading.Event(), asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve() -> None:
        application = web.Application()
        application.router.add_post("/v1/chat/completions", upstream.chat)
        application.router.add_post("/v1/embeddings", upstream.embeddings)
        runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        upstream.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        ready.set()
        await over.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield upstream
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)
        loop.close()
