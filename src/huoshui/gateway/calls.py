"""One call from its hold to its end, whatever happens in between.

    choose an offer → hold the most it can cost → try it → (another offer: move the hold) → settle → last byte

Nothing is called before the hold is durable, and the client gets the last byte (`[DONE]`, the whole body) only when
the settlement is. What ends early is settled by what was handed to the client: nothing delivered costs nothing, a
stream that broke off or was given up costs what was asked and what was delivered. The end runs to its end even when
the client is gone. When the books do not take a settlement (the database restarts), the answer goes out all the same,
and the gateway settles it when they do: what was delivered is charged, what is charged was delivered.
"""

import asyncio
import logging
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import ClientResponse, web

from huoshui.gateway import asks, events, metrics, refusals, upstream, usage
from huoshui.gateway.asks import Ask
from huoshui.gateway.catalogue import Offer
from huoshui.gateway.ledger import Answer, Hold, Key, Move, Operation, Refused, Release, Settle
from huoshui.gateway.meter import Unavailable, now_ms
from huoshui.gateway.upstream import Failure

if TYPE_CHECKING:
    from huoshui.gateway.server import Gateway

TRIES_MAX = 3
CLIENT_SECONDS_MAX = 60
"""A client that takes no byte for so long has given up."""
CLIENT_GONE = 499
EXCESS_BYTES, EXCESS_BYTES_PER_TOKEN = 1024, 64
"""A stream with more text than this for the tokens that were asked for does not keep to them: it is cut off."""
NO_ROOM = ("wallet_empty", "budget_spent", "tokens_per_minute", "region_not_allowed", "offer_ended")
"""Refusals that another offer of the model may not meet."""
logger = logging.getLogger("huoshui.gateway")


@dataclass
class Delivered:
    """What the client was handed so far, and what the upstream said about it."""

    started: bool = False
    text_bytes: int = 0
    answers: set[int] = field(default_factory=set)
    finished: set[int] = field(default_factory=set)
    usage: Any = None
    first_token_ms: int | None = None

    @property
    def whole(self) -> bool:
        """Whether every answer that began was finished."""
        return bool(self.finished) and self.finished >= self.answers


@dataclass
class Call:
    gateway: "Gateway"
    request: web.Request
    key: Key
    ask: Ask
    id: str
    named: bool
    offer: Offer | None = None
    bound: usage.Bound = usage.Bound(0, 0)
    tries: int = 0
    outcome: str = "aborted"
    status: int = CLIENT_GONE
    delivered: Delivered = field(default_factory=Delivered)
    held: "asyncio.Future[Answer] | None" = None
    ended: bool = False
    remaining_ufen: int = 0

    # --- the whole ---

    async def answer(self) -> web.StreamResponse:
        """Serve the call. Raises Refused."""
        try:
            return await self._served()
        except Unavailable:
            self.outcome, self.status = "lost", 503
            raise Refused("unavailable") from None
        finally:
            closing = asyncio.ensure_future(self._close())
            self.gateway.closing.add(closing)
            closing.add_done_callback(self.gateway.closing.discard)
            await asyncio.shield(closing)

    async def _served(self) -> web.StreamResponse:
        """Try the offers in order; once more with prices read anew when one of them has just ended."""
        try:
            return await self._among(self._offers())
        except Refused as refused:
            if refused.code != "offer_ended" or self.tries:
                raise
        await self.gateway.catalogue.refresh()
        return await self._among(self._offers())

    async def _among(self, offers: list[Offer]) -> web.StreamResponse:
        last: Refused | None = None
        too_short = 0  # a context of so many tokens
        for offer in offers:
            if offer.context_tokens <= too_short:
                continue
            with self.gateway.router.place(offer, self.key.wallet) as free:
                if not free:
                    continue
                try:
                    await self._hold(offer)
                except Refused as refused:
                    if refused.code not in NO_ROOM:
                        raise
                    last = last or refused
                    continue
                self.tries += 1
                try:
                    return await self._try(offer)
                except Failure as failure:
                    last = self._failed(offer, failure)
                    if self.tries == TRIES_MAX:
                        break
                    if failure.outcome == "upstream_refused":
                        if failure.status == 415 or self.ask.fits(offer.context_tokens, self.bound.output_tokens):
                            break
                        too_short = offer.context_tokens
        raise last or Refused("no_upstream", wait_seconds=1)

    def _offers(self) -> list[Offer]:
        named = self.gateway.catalogue.offers.get(self.ask.model, [])
        allowed = not self.key.allowed_models or self.ask.model in self.key.allowed_models
        offers = self.gateway.router.order(self.key, self.ask, named, now_ms()) if allowed else []
        if not offers:
            raise Refused("model_not_found", model=self.ask.model)
        return offers

    def _failed(self, offer: Offer, failure: Failure) -> Refused:
        """Remember a failed try; the refusal that the client gets when no other offer does better."""
        router, place = self.gateway.router, offer.upstream
        if failure.blames:
            router.failed(offer, self.key.wallet)
        elif failure.outcome == "rate_limited":
            router.cool(offer, failure.wait_seconds)
        metrics.TRIES.labels(place.name, failure.outcome).inc()
        logger.warning("call %s: upstream %s: %s %s", self.id, place.name, failure.outcome, failure.status or "")
        self.outcome = failure.outcome
        self.status = refusals.KINDS[failure.outcome].status
        if failure.outcome == "upstream_refused":
            self.status = failure.status or self.status
            return Refused(failure.outcome, message=failure.message, status=self.status)
        return Refused(failure.outcome, **({"wait_seconds": int(failure.wait_seconds)} if failure.wait_seconds else {}))

    # --- money ---

    async def _hold(self, offer: Offer) -> None:
        """Hold the most it can cost at this offer, durably. Raises Refused, Unavailable."""
        most = self.ask.most(offer.context_tokens, offer.output_tokens_max)
        named = (self.id, self.key.id, self.key.wallet)
        if self.held is None:
            hold = Hold(*named, offer.id, self.ask.path, self.ask.model, self.ask.stream, *most, self.named)
            self.held = self.gateway.meter.submit(hold)
            try:
                answer = await asyncio.shield(self.held)
            except (Refused, Unavailable):
                self.held = None
                raise
            self.gateway.live[self.id] = self
        else:
            answer = await self._submit(Move(*named, offer.id, *most))
        self.offer, self.bound, self.remaining_ufen = offer, usage.Bound(*most), answer.remaining_ufen

    async def _submit(self, operation: Operation) -> Answer:
        return await asyncio.shield(self.gateway.meter.submit(operation))

    def _count(self) -> usage.Count:
        return usage.count(self.delivered.usage, self.bound, self.ask.text_bytes, self.delivered.text_bytes)

    async def _settle(self, count: usage.Count) -> Answer | None:
        """None: the books do not answer; the gateway owes them the settlement."""
        settle = Settle(
            self.id, self.key.id, self.key.wallet, self.outcome, self.status, self.tries, count.input_tokens,
            count.cached_tokens, count.output_tokens, count.counted, self.delivered.first_token_ms,
        )  # fmt: skip
        self.ended = True
        told = self.gateway.meter.submit(settle)
        told.add_done_callback(lambda done: self._owe(settle, done))  # also when the client leaves meanwhile
        try:
            answer = await asyncio.shield(told)
        except Unavailable:
            return None
        for kind, tokens in (("input", count.input_tokens), ("output", count.output_tokens)):
            metrics.TOKENS.labels(self.ask.model, kind).inc(tokens)
        metrics.COST.labels(self.ask.model).inc(answer.cost_ufen)
        return answer

    def _owe(self, settle: Settle, done: "asyncio.Future[Answer]") -> None:
        if not done.cancelled() and isinstance(done.exception(), Unavailable):
            logger.error("call %s: the books do not answer; it is settled when they do", self.id)
            self.gateway.owed[self.id] = settle

    async def _close(self) -> None:
        """Settle or release what is still held. Runs whether or not somebody waits for it."""
        if self.held is None:
            return
        try:
            await self.held
            if not self.ended and self.delivered.started:
                await self._settle(self._count())
            elif not self.ended:
                self.ended = True
                release = Release(self.id, self.key.id, self.key.wallet, self.outcome, self.status, self.tries)
                await self._submit(release)
            metrics.CALLS.labels(self.ask.path, self.ask.model, self.outcome).inc()
        except Refused:
            pass  # cancelled while the hold was asked for, and the hold was refused
        except Unavailable:
            logger.error("call %s: the books do not answer; its hold expires", self.id)
        finally:
            if self.gateway.live.get(self.id) is self:  # not the running call of which this is a duplicate
                del self.gateway.live[self.id]

    # --- one try ---

    async def _try(self, offer: Offer) -> web.StreamResponse:
        place = await upstream.target(self.gateway.catalogue, offer.upstream)
        began, came, self.delivered = asyncio.get_running_loop().time(), False, Delivered()
        deadline = began + upstream.answer_seconds(offer, self.ask)
        try:
            async with upstream.opened(self.gateway.session, place, offer, self.ask, deadline) as answer:
                came = True
                if self.ask.stream:
                    return await self._stream(offer, answer, began, deadline)
                return await self._whole(offer, answer, deadline)
        except asyncio.CancelledError:
            waited = asyncio.get_running_loop().time() - began
            if not came and waited > offer.upstream.first_token_seconds:  # the client gave up on a silent upstream
                self.gateway.router.failed(offer, self.key.wallet)
            raise

    def _well(self, offer: Offer) -> None:
        """It answered, wholly."""
        self.gateway.router.well(offer)
        metrics.TRIES.labels(offer.upstream.name, "ok").inc()

    async def _whole(self, offer: Offer, answer: ClientResponse, deadline: float) -> web.StreamResponse:
        with ExitStack() as stack:
            told, raw = await upstream.whole(
                answer, deadline, upstream.answer_bytes_max(self.ask), lambda: self._make_room(stack)
            )
            self.delivered.text_bytes = _text_bytes(self.ask, told)
            self._well(offer)
            self.delivered.usage = told.get("usage")
            count = self._count()
            body = await self._written(offer, told, raw, count)
        self.delivered.started, self.outcome, self.status = True, "ok", 200
        headers = {"x-huoshui-call": self.id}
        if settled := await self._settle(count):
            headers = self._headers(settled.remaining_ufen) | {"x-huoshui-cost-fen": refusals.fen(settled.cost_ufen)}
        return web.Response(body=body, content_type="application/json", headers=headers)

    def _make_room(self, stack: ExitStack) -> None:
        """Raises Refused."""
        try:
            stack.enter_context(self.gateway.large_answer())
        except Refused:
            self.outcome, self.status = "lost", 503
            raise

    async def _written(self, offer: Offer, told: dict[str, Any], raw: bytes, count: usage.Count) -> bytes:
        """The answer as the client gets it: under its name of the model, with the usage that is billed."""
        large, names = len(raw) > upstream.LARGE_BYTES, (None, self.ask.model, offer.upstream_model)
        if large and count.counted == usage.UPSTREAM and told.get("model") in names:  # numbers take long to write anew
            return events.renamed(raw, events.names(self.ask.model, offer.upstream_model))
        if "model" in told:
            told["model"] = self.ask.model
        if count.counted == usage.PLATFORM:
            told["usage"] = count.as_usage()
        return await asyncio.to_thread(events.dump_giving_way, told) if large else events.dump(told)

    async def _stream(
        self, offer: Offer, answer: ClientResponse, began: float, deadline: float
    ) -> web.StreamResponse:
        """Pass a stream on. Until its first token nothing is sent, so that another offer may still be tried."""
        reader = events.Reader(self.ask.path, self.ask.model, offer.upstream_model)
        client = web.StreamResponse(headers=self._headers(self.remaining_ufen) | {
            "Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache", "X-Accel-Buffering": "no",
        })  # fmt: skip
        try:
            await self._relay(offer, answer, reader, client, began, deadline)
        except Failure as failure:
            if not self.delivered.started:
                raise
            self._failed(offer, failure)
            await self._settle(self._count())
            told = refusals.body(Refused("truncated"), self.id)
            await self._write(client, b"data: " + events.dump(told) + b"\n\n")
            await client.write_eof()
            return client
        self._well(offer)
        self.outcome, self.status = "ok", 200
        count = self._count()
        settled = await self._settle(count)
        await self._write(client, self._last_events(count, settled))
        await client.write_eof()
        return client

    async def _relay(
        self, offer: Offer, answer: ClientResponse, reader: events.Reader, client: web.StreamResponse, began: float,
        deadline: float,
    ) -> None:  # fmt: skip
        """Until the stream is whole; `deadline` is that of its first token. Raises Failure."""
        loop, waiting, done, ended = asyncio.get_running_loop(), b"", False, False
        while not done:
            data = await upstream.piece(answer, deadline)
            try:
                read = list(reader.feed(data) if data else reader.end())
            except events.Malformed:
                raise Failure("bad_answer") from None
            ended = any(event.done for event in read)
            done = ended or not data
            said = sum(event.text_bytes for event in read)
            self.delivered.answers.update(*(event.answers for event in read))
            self.delivered.finished.update(*(event.finished for event in read))
            self.delivered.usage = next((event.usage for event in reversed(read) if event.usage), self.delivered.usage)
            waiting += b"".join(event.raw for event in read)
            if not self.delivered.started and not said and not (done and self.delivered.whole):
                if len(waiting) > events.EVENT_BYTES_MAX:
                    raise Failure("bad_answer")
                continue
            if not self.delivered.started:
                seconds = loop.time() - began
                self.gateway.router.begins(offer)
                self.gateway.router.measured(offer, seconds)
                metrics.FIRST_TOKEN.labels(offer.upstream.name).observe(seconds)
                self.delivered.started, self.delivered.first_token_ms = True, now_ms()
                await client.prepare(self.request)
            if read:
                deadline = loop.time() + offer.upstream.gap_seconds
            self.delivered.text_bytes += said
            if self.delivered.text_bytes > EXCESS_BYTES + EXCESS_BYTES_PER_TOKEN * self.bound.output_tokens:
                raise Failure("bad_answer")
            out, waiting = waiting, b""
            await self._write(client, out)
        expected = 1 if ended else self.ask.answers * self.ask.texts
        if not self.delivered.whole or len(self.delivered.finished) < expected:
            raise Failure("truncated")

    async def _write(self, client: web.StreamResponse, data: bytes) -> None:
        """Raises Gone when the client takes nothing more."""
        if not data:
            return
        try:
            async with asyncio.timeout(CLIENT_SECONDS_MAX):
                await client.write(data)
        except (TimeoutError, ConnectionError) as error:
            raise Gone from error

    def _last_events(self, count: usage.Count, settled: Answer | None) -> bytes:
        told = b""
        if self.ask.usage_wanted:
            told = events.usage_event(self.ask.model, self.ask.path, self.id, now_ms() // 1000, count.as_usage())
        if settled is not None:
            cost, left = refusals.fen(settled.cost_ufen), refusals.fen(settled.remaining_ufen)
            told += f": huoshui cost-fen={cost} remaining-fen={left}\n\n".encode()
        return told + b"data: [DONE]\n\n"

    def _headers(self, remaining_ufen: int) -> dict[str, str]:
        return {"x-huoshui-call": self.id, "x-huoshui-remaining-fen": refusals.fen(remaining_ufen)}


class Gone(Exception):
    """The client is no longer there."""


def _text_bytes(ask: Ask, told: dict[str, Any]) -> int:
    """Bytes of text in a whole answer. Raises Failure when it is none of what was asked."""
    rows = told.get("data" if ask.kind == "embedding" else "choices")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise Failure("bad_answer")
    if ask.kind == "embedding":
        return 0
    if ask.path == "/v1/chat/completions" and not all(isinstance(row.get("message"), dict) for row in rows):
        raise Failure("bad_answer")
    return sum(asks.text_size(text) for row in rows for text in events.choice_texts(ask.path, row))
