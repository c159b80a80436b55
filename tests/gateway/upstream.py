"""A real HTTP server that answers as upstreams do, and misbehaves as they do. What it does is in the model's name.

    ok             answers; usage is what a tokeniser of one token for each 4 bytes would count
    usage:JSON     answers, with this as its usage (`usage:null`, `usage:{"prompt_tokens":-5}`)
    status:429     answers with this status
    hang           never answers
    stall          streams half of its tokens, then nothing more
    half           streams half of its tokens, then closes the connection
    early          sends a role and no token, then closes the connection
    garbage        says what is not JSON
    empty          answers {}
    slow           one token every 20 ms
    endless        streams on and on, whatever `max_tokens` says
    delta:JSON     streams these deltas and finishes; whole: the first of them is the message
    choices:JSON   streams these lists of choices, and closes without [DONE]
    long:N         refuses requests of more than N bytes of text (400); answers shorter ones
    wide:N         embeds in N numbers

Its log (`GET /seen`) tells what came: paths, bodies, keys, and whether the client went away. Run it with
`python -m tests.gateway.upstream PORT`.
"""

import asyncio
import itertools
import json
import sys
from contextlib import suppress
from typing import Any

from aiohttp import web

TOKENS = 12
WORDS = [f"词{number}。" for number in range(TOKENS)]
FOREVER = 3600


def counted(text: str) -> int:
    return -(-len(text.encode()) // 4)


class Upstream:
    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.left = 0
        self.running = 0
        self.running_max = 0
        self.delay_seconds = 0.0

    def app(self) -> web.Application:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        for path in ("/v1/chat/completions", "/v1/completions", "/v1/embeddings"):
            app.router.add_post(path, self.answer)
        app.router.add_get("/seen", self.tell)
        app.router.add_get("/health", self.health)
        return app

    async def health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def tell(self, request: web.Request) -> web.Response:
        told = {"seen": self.seen, "left": self.left, "running_max": self.running_max}
        self.seen, self.left, self.running_max = [], 0, 0
        return web.json_response(told)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.seen.append({"path": request.path, "body": body, "key": request.headers.get("Authorization", "")})
        self.running += 1
        self.running_max = max(self.running_max, self.running)
        try:
            return await self._answer(request, body)
        except (asyncio.CancelledError, ConnectionError):
            self.left += 1
            raise
        finally:
            self.running -= 1

    async def _answer(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        script, _, detail = body["model"].partition(":")
        if script == "status":
            headers = {"Retry-After": "3"} if detail == "429" else {}
            error = {"error": {"message": "the prompt is too long for me"}}
            return web.json_response(error, status=int(detail), headers=headers)
        if script == "hang":
            await asyncio.sleep(FOREVER)
        if script == "garbage":
            return web.Response(body=b"data: <html>\n\n" if body.get("stream") else b"<html>it works!</html>")
        if script == "empty":
            return web.Response(body=b"data: {}\n\n" if body.get("stream") else b"{}")
        if script == "long" and len(asked(body).encode()) > int(detail):
            return web.json_response({"error": {"message": "the prompt is too long for me"}}, status=400)
        if request.path == "/v1/embeddings":
            width = int(detail) if script == "wide" else 2
            return web.json_response(embeddings(body, usage_of(body, script, detail), width))
        if script in ("delta", "choices"):
            return await self._shapes(request, body, script, json.loads(detail))
        words = WORDS[: min(body.get("max_tokens") or TOKENS, TOKENS)]
        usage = usage_of(body, script, detail, words)
        if body.get("stream"):
            return await self._stream(request, body, script, words, usage)
        if script == "half":
            return await cut_off(request)
        await asyncio.sleep(0.02 * len(words) if script == "slow" else 0)
        return web.json_response(whole(request.path, body, words, usage))

    async def _shapes(
        self, request: web.Request, body: dict[str, Any], script: str, shapes: list[Any]
    ) -> web.StreamResponse:
        """In ASCII, as many upstreams write it: half of a surrogate pair goes through."""
        if not body.get("stream"):
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant"} | shapes[0]}
            return web.json_response({"id": "u", "model": body["model"], "choices": [choice]})
        out = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await out.prepare(request)
        if script == "delta":
            last = {"index": 0, "delta": {}, "finish_reason": "stop"}
            shapes = [*([{"index": 0, "delta": delta}] for delta in shapes), [last]]
        for choices in shapes:
            await out.write(b"data: " + json.dumps({"id": "u", "choices": choices, "usage": {}}).encode() + b"\n\n")
        await out.write_eof()
        return out

    async def _stream(
        self, request: web.Request, body: dict[str, Any], script: str, words: list[str], usage: Any
    ) -> web.StreamResponse:
        out = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await out.prepare(request)
        chat = request.path == "/v1/chat/completions"
        if chat:
            await out.write(piece(body, {"delta": {"role": "assistant", "content": ""}}))
        if script == "early":
            return cut(request, out)
        for number, word in enumerate(itertools.repeat("词") if script == "endless" else words):
            if number == TOKENS // 2 and script == "half":
                return cut(request, out)
            if number == TOKENS // 2 and script == "stall":
                await asyncio.sleep(FOREVER)
            if script == "slow":
                await asyncio.sleep(0.02)
            await out.write(piece(body, {"delta": {"content": word}} if chat else {"text": word}))
        last = {"delta": {}} if chat else {"text": ""}
        await out.write(piece(body, last | {"finish_reason": "stop"}))
        if usage is not None and body.get("stream_options", {}).get("include_usage"):
            told = {"id": "u", "model": body["model"], "choices": [], "usage": usage}
            await out.write(b"data: " + json.dumps(told).encode() + b"\n\n")
        await out.write(b"data: [DONE]\n\n")
        await out.write_eof()
        return out


def cut(request: web.Request, out: web.StreamResponse) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return out


async def cut_off(request: web.Request) -> web.StreamResponse:
    out = web.StreamResponse(headers={"Content-Length": "1000"})
    await out.prepare(request)
    await out.write(b'{"choices"')
    return cut(request, out)


def piece(body: dict[str, Any], choice: dict[str, Any]) -> bytes:
    told = {"id": "u", "model": body["model"], "choices": [{"index": 0, "finish_reason": None} | choice]}
    return b"data: " + json.dumps(told, ensure_ascii=False).encode() + b"\n\n"


def asked(body: dict[str, Any]) -> str:
    if "messages" in body:
        return "".join(message["content"] for message in body["messages"] if isinstance(message["content"], str))
    content = body.get("prompt", body.get("input"))
    return content if isinstance(content, str) else "".join(map(str, content))


def usage_of(body: dict[str, Any], script: str, detail: str, words: list[str] | None = None) -> Any:
    if script == "usage":
        return json.loads(detail)
    read = counted(asked(body))
    usage = {"prompt_tokens": read, "total_tokens": read}
    if words is not None:
        said = len(words) * body.get("n", 1)
        usage |= {"completion_tokens": said, "total_tokens": read + said}
    return usage


def whole(path: str, body: dict[str, Any], words: list[str], usage: Any) -> dict[str, Any]:
    text = "".join(words)
    said = {"text": text} if path == "/v1/completions" else {"message": {"role": "assistant", "content": text}}
    choices = [{"index": number, "finish_reason": "stop"} | said for number in range(body.get("n", 1))]
    return {"id": "u", "object": "x", "model": body["model"], "choices": choices, "usage": usage}


def embeddings(body: dict[str, Any], usage: Any, width: int) -> dict[str, Any]:
    count = 1 if isinstance(body["input"], str) else len(body["input"])
    vector = [(-1) ** number * 0.123456789012345 for number in range(width)]
    rows = [{"object": "embedding", "index": number, "embedding": vector} for number in range(count)]
    return {"object": "list", "model": body["model"], "data": rows, "usage": usage}


async def serve(port: int) -> None:
    runner = web.AppRunner(Upstream().app(), access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(int(sys.argv[1])))
