"""A quick upstream for measuring gateways: fixed answers and exact usage, as a process of its own.

    python -m benchmarks.gateway_mock PORT

The body's `max_tokens` says how many tokens the answer has; its prompt is one token for each 4 bytes. With `stream`
every token is an event. It keeps the sums of what it counted: `GET /sums` tells calls, input and output tokens of
each model.
"""

import asyncio
import json
import sys

import uvloop
from aiohttp import web

TOKEN = "字"
PIECE = b'data: {"id":"m","object":"chat.completion.chunk","model":"mock","choices":[{"index":0,"delta":{"content":"\xe5\xad\x97"},"finish_reason":null}]}\n\n'  # noqa: E501
LAST = b'data: {"id":"m","object":"chat.completion.chunk","model":"mock","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'  # noqa: E501
sums: dict[str, dict[str, int]] = {
    model: {"calls": 0, "input_tokens": 0, "output_tokens": 0} for model in ("mock", "mock-left")
}


async def answer(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    read = -(-len(body["messages"][0]["content"].encode()) // 4)
    said = body.get("max_tokens", 16)
    usage = {"prompt_tokens": read, "completion_tokens": said, "total_tokens": read + said}
    for name, amount in (("calls", 1), ("input_tokens", read), ("output_tokens", said)):
        sums[body["model"]][name] += amount
    if body.get("stream"):
        return await stream(request, said, usage)
    message = {"role": "assistant", "content": TOKEN * said}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return web.json_response({
        "id": "m", "object": "chat.completion", "created": 1, "model": "mock", "choices": choices, "usage": usage,
    })  # fmt: skip


async def stream(request: web.Request, said: int, usage: dict[str, int]) -> web.StreamResponse:
    out = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await out.prepare(request)
    for start in range(0, said, 8):
        await out.write(PIECE * min(8, said - start))
    told = {"id": "m", "object": "chat.completion.chunk", "model": "mock", "choices": [], "usage": usage}
    await out.write(LAST + b"data: " + json.dumps(told).encode() + b"\n\ndata: [DONE]\n\n")
    await out.write_eof()
    return out


async def tell(request: web.Request) -> web.Response:
    return web.json_response(sums)


async def serve(port: int) -> None:
    app = web.Application(client_max_size=16 * 1024 * 1024)
    app.router.add_post("/v1/chat/completions", answer)
    app.router.add_get("/sums", tell)
    app.router.add_get("/health", tell)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=2048).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
