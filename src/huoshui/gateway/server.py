"""The HTTP side: OpenAI's paths, each through a key and the meter; whatever else is asked for is refused.

Every POST path is made by `_metered`, so a path without the meter cannot be added by mistake. Logs hold call numbers,
names of upstreams and codes: no content, no keys.
"""

import asyncio
import hashlib
import logging
import traceback
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager

import aiohttp
from aiohttp import web

from huoshui.gateway import asks, metrics, refusals
from huoshui.gateway.calls import Call, Gone
from huoshui.gateway.catalogue import KEPT_SECONDS, Catalogue
from huoshui.gateway.database import Database
from huoshui.gateway.ledger import HOLD_SECONDS, Key, Refused, Settle
from huoshui.gateway.meter import Meter, Unavailable, now_ms
from huoshui.gateway.routing import Router

BODY_BYTES_MAX = 4 * 1024 * 1024
BODY_SECONDS_MAX = 30
LIVE_MAX = 2_000
"""Requests at once, from their first byte on: bodies still arriving take memory too."""
LIVE_PER_KEY_MAX = 1_000
LARGE_MAX = 2
"""Answers at once that are longer than usual ones may be (upstream.ANSWER_BYTES_MAX): each takes much memory."""
IDEMPOTENCY_LENGTH_MAX = 200
CALL_LENGTH = 32
REAP_SECONDS = 5.0
TIDY_SECONDS = 1.0
SHUTDOWN_SECONDS = 8.0
KEPT_ALIVE_SECONDS = 4.0
"""Shorter than the usual servers keep a connection, so that we seldom write to one just closed."""
LOOPBACK = ("127.0.0.1", "::1")
logger = logging.getLogger("huoshui.gateway")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Gateway:
    """One process of the gateway: its meter, its catalogue, its calls."""

    def __init__(self, open_database: Callable[[], Database] = Database.from_environment, share: int = 1) -> None:
        self._open = open_database
        self.router = Router(share)
        self.live: dict[str, Call] = {}
        self.serving = 0
        self.by_key: Counter[int] = Counter()
        self.large = 0
        self.owed: dict[str, Settle] = {}
        """Settlements that the books did not take, by call: paid when they do, their holds extended until then."""
        self.closing: set[asyncio.Future[None]] = set()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        for path in asks.FIELDS:
            app.router.add_post(path, self._metered(path))
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/health", self._health)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_route("*", "/{path:.*}", self._unknown)
        app.cleanup_ctx.append(self._running)
        return app

    async def _running(self, app: web.Application) -> AsyncIterator[None]:
        self.meter = Meter(self._open)
        self.catalogue = Catalogue(self._open)
        await self.catalogue.refresh()
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_ALIVE_SECONDS, ttl_dns_cache=60)
        self.session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, raise_for_status=False
        )
        keepers = [asyncio.create_task(_forever(every, task)) for every, task in (
            (KEPT_SECONDS, self.catalogue.refresh), (TIDY_SECONDS, self.catalogue.tidy), (REAP_SECONDS, self._pay),
            (REAP_SECONDS, self._reap), (HOLD_SECONDS / 3, self._extend),
        )]  # fmt: skip
        yield
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
        await asyncio.gather(*self.closing, return_exceptions=True)
        await self._pay()
        if self.owed:
            logger.error("%d calls are not settled; their holds expire", len(self.owed))
        await self.session.close()
        await self.meter.close()
        self.catalogue.close()

    # --- handlers ---

    def _metered(self, path: str) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            call: Call | None = None
            metrics.LIVE.inc()
            self.serving += 1
            try:
                if max(self.serving, len(self.live)) > LIVE_MAX:
                    raise Refused("too_many_calls", wait_seconds=1)
                key = await self._key(request)
                with self._place(key):
                    call = await self._call(path, key, request)
                    return await call.answer()
            except Refused as refused:
                return _refused(refused, call)
            except Unavailable:
                return _refused(Refused("unavailable", wait_seconds=1), call)
            except Gone:
                raise ConnectionResetError from None
            except Exception as error:  # noqa: BLE001 - its message might hold content, so only its place is logged
                place = "".join(traceback.format_tb(error.__traceback__))
                logger.error("call %s: %s at\n%s", call.id if call else "-", type(error).__name__, place)
                return _refused(Refused("internal"), call)
            finally:
                self.serving -= 1
                metrics.LIVE.dec()

        return handle

    @contextmanager
    def _place(self, key: Key) -> Iterator[None]:
        """One of the requests that a key may have at once. Raises Refused."""
        if self.by_key[key.id] >= LIVE_PER_KEY_MAX:
            raise Refused("too_many_calls", wait_seconds=1)
        self.by_key[key.id] += 1
        try:
            yield
        finally:
            self.by_key[key.id] -= 1
            if not self.by_key[key.id]:
                del self.by_key[key.id]

    @contextmanager
    def large_answer(self) -> Iterator[None]:
        """One of the large answers that are read at once. Raises Refused."""
        if self.large >= LARGE_MAX:
            raise Refused("too_many_calls", wait_seconds=1)
        self.large += 1
        try:
            yield
        finally:
            self.large -= 1

    async def _call(self, path: str, key: Key, request: web.Request) -> Call:
        ask = asks.read(path, await _body(request))
        named = request.headers.get("Idempotency-Key", "")
        if len(named) > IDEMPOTENCY_LENGTH_MAX:
            raise Refused("invalid_field", param="Idempotency-Key", rule=f"at most {IDEMPOTENCY_LENGTH_MAX} characters")
        number = hashlib.sha256(f"{key.id}\n{named}".encode()).hexdigest()[:CALL_LENGTH] if named else uuid.uuid4().hex
        return Call(self, request, key, ask, number, bool(named))

    async def _key(self, request: web.Request) -> Key:
        """The key of a request. Raises Refused."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Refused("no_key")
        key = await self.catalogue.key(hashlib.sha256(token.strip().encode()).hexdigest())
        if key is None:
            raise Refused("unknown_key")
        key.check(now_ms())
        return key

    async def _models(self, request: web.Request) -> web.StreamResponse:
        try:
            key = await self._key(request)
        except Refused as refused:
            return refusals.response(refused)
        except Unavailable:
            return refusals.response(Refused("unavailable", wait_seconds=1))
        at = now_ms()
        rows = [
            {"id": model, "object": "model", "created": min(offer.since_ms for offer in fit) // 1000,
             "owned_by": "huoshui"}
            for model, named in sorted(self.catalogue.offers.items())
            if (not key.allowed_models or model in key.allowed_models)
            and (fit := [
                offer for offer in named
                if offer.open_at(at) and offer.open_to(key)
            ])
        ]  # fmt: skip
        return web.json_response({"object": "list", "data": rows})

    async def _health(self, request: web.Request) -> web.StreamResponse:
        """200 while the database answers, or did a moment ago; `read_ms` says as of when the offers are known."""
        try:
            return web.json_response({"status": "ok", "read_ms": await self.catalogue.fresh()})
        except Unavailable:
            return web.json_response({"status": "unavailable"}, status=503)

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        """Only for this machine: figures of all customers together are the operator's."""
        if request.remote not in LOOPBACK or "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
            return await self._unknown(request)
        return web.Response(body=metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        return refusals.response(Refused("unknown_path", method=request.method, path=request.path[:100]))

    # --- keeping house ---

    async def _pay(self) -> None:
        """Settle what the books did not take."""
        owed = list(self.owed)
        told = await asyncio.gather(*(self.meter.submit(self.owed[call]) for call in owed), return_exceptions=True)
        for call, answer in zip(owed, told, strict=True):
            if not isinstance(answer, Unavailable):
                del self.owed[call]
            if isinstance(answer, Exception):
                logger.error("call %s: not settled: %s", call, type(answer).__name__)

    async def _reap(self) -> None:
        """End holds whose gateway died."""
        for operation in await self.catalogue.expired():
            self.meter.submit(operation).add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _extend(self) -> None:
        """Let running calls keep their holds, and their endpoints stay awake."""
        calls = list(self.live.values())
        if not calls and not self.owed:
            return
        await self.catalogue.extend([*{call.id for call in calls} | self.owed.keys()], now_ms() + HOLD_SECONDS * 1000)
        endpoints = {call.offer.upstream.endpoint for call in calls if call.offer is not None} - {None}
        if endpoints:
            await self.catalogue.want([endpoint for endpoint in endpoints if endpoint is not None])


def _refused(refused: Refused, call: Call | None) -> web.Response:
    metrics.REFUSED.labels(refused.code).inc()
    if call is not None and call.delivered.started and call.ask.stream:
        raise ConnectionResetError  # its headers are out: all that is left is to break off
    return refusals.response(refused, call.id if call is not None and call.held is not None else "")


async def _body(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            return await request.read()
    except TimeoutError:
        raise Refused("too_slow", seconds_max=BODY_SECONDS_MAX) from None
    except web.HTTPRequestEntityTooLarge:
        raise Refused("too_large", bytes_max=BODY_BYTES_MAX) from None


async def _forever(every: float, task: Callable[[], Awaitable[None]]) -> None:
    """What fails is said and tried again: a gateway that no longer extended its holds would lose them."""
    while True:
        try:
            await task()
        except Exception as error:  # noqa: BLE001
            logger.error("keeping house: %s", type(error).__name__)
        await asyncio.sleep(every)


async def serve(host: str, port: int, share: int = 1) -> None:
    """Serve until cancelled. With `share` > 1 the port is shared with the other processes. Raises OSError."""
    runner = web.AppRunner(
        Gateway(share=share).app(), handler_cancellation=True, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, reuse_port=share > 1 or None, backlog=1024).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
