"""`python -m benchmarks.bench_gateway`: what the gateway adds to a call, beside LiteLLM, and whether money drifts.

A mock upstream (`gateway_mock`), the gateway and the client are processes of this machine, so they share its cores.
*Added latency*: calls are sent at fixed instants (200 a second), directly and through each gateway in turns; latency
counts from the instant at which a call was due, so a late client or a queue shows. Ours includes hold and settlement,
each durable on disk; LiteLLM runs without a database (its interpreter: HUOSHUI_LITELLM_PYTHON) and keeps no money.
*Throughput*: as many calls as 32 connections get through, and the processor time of the gateway's process for each,
which says the same on a busy machine. *Drift*: calls in the shape of a public trace, streamed,
whole, given up half-way and refused, kept in three books: the client's decimals, the upstream's sums, ours.

The trace's shape is that of BurstGPT (Wang et al. 2024, arXiv 2401.17644): prompts and answers of log-normal length
(here with medians of 240 and 120 tokens, sigma 1.2 and 1.0, cut at 8,000 and 1,000), arrivals in bursts (gamma
intervals, shape 0.5). Its rows are not shipped; the generator is seeded.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import aiohttp
import uvloop
from tests import sandbox
from tests.gateway import processes
from tests.gateway.books import Books, Made
from tests.gateway.processes import Server

from benchmarks.runner import publish, table
from huoshui.gateway.check import drifts

RATE = 200
ROUNDS = 3
ADDED_P50_BAR_MS, ADDED_P99_BAR_MS, RATIO_BAR = 5.0, 15.0, 2.0
CONNECTIONS = 32
SEED = 7
PRICES = {"input_fen": 37, "cached_fen": 5, "output_fen": 211}
LITELLM = os.environ.get("HUOSHUI_LITELLM_PYTHON", "")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_gateway", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4, help="of each measurement")
    parser.add_argument("--calls", type=int, default=10_000, help="calls of the replay")
    parser.add_argument("--full", action="store_true", help="100,000 calls in the replay")
    parser.add_argument("--part", choices=["speed", "drift", "all"], default="all")
    options = parser.parse_args()
    with running() as places:
        parts = []
        if options.part in ("speed", "all"):
            rates, part = throughput(places, options.seconds)
            parts += [latency(places, options.seconds, rates), part]
        if options.part in ("drift", "all"):
            parts.append(uvloop.run(replay(places, 100_000 if options.full else options.calls)))
    for part in parts:
        print(part, end="\n\n", flush=True)
    if options.part == "all":
        publish("gateway_full" if options.full else "gateway", *parts)


# --- what runs --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """Somewhere to send calls to."""

    name: str
    server: Server
    key: str = "none"
    model: str = "mock"

    @property
    def url(self) -> str:
        return self.server.url

    def processor_seconds(self) -> float:
        """What its process has used so far (Linux)."""
        fields = Path(f"/proc/{self.server.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Places:
    direct: Place
    ours: Place
    peer: Place | None
    books: Books
    key: Made

    @property
    def all(self) -> list[Place]:
        return [self.direct, self.ours, *([self.peer] if self.peer else [])]


@contextmanager
def running() -> Iterator[Places]:
    """The mock, our gateway on a database of its own, LiteLLM when it is at hand."""
    with ExitStack() as stack, tempfile.TemporaryDirectory() as home:
        server = os.environ.get("HUOSHUI_TEST_POSTGRES", "")
        books = Books(stack.enter_context(sandbox.template(Path(home), server)))
        mock = stack.enter_context(_process([sys.executable, "-m", "benchmarks.gateway_mock"]))
        upstream = books.upstream(mock.url, concurrency_max=2_000, first_token_seconds=30, gap_seconds=30)
        for model in ("mock", "mock-left"):
            books.offer(upstream, model, model, **PRICES)
        key = books.key(books.wallet(10**15))
        ours = stack.enter_context(processes.gateway(books.sandbox))
        peer = None
        if LITELLM:
            command = [LITELLM, str(Path(__file__).parent / "peers" / "litellm_peer.py")]
            os.environ["LITELLM_MASTER_KEY"] = master = f"sk-{secrets.token_hex(32)}"
            served = stack.enter_context(_process(command, mock.url, health="/health/liveliness"))
            peer = Place("LiteLLM", served, master)
        yield Places(Place("direct", mock), Place("Huoshui", ours, key.token), peer, books, key)
        books.close()


@contextmanager
def _process(command: list[str], *arguments: str, health: str = "/health") -> Iterator[Server]:
    port = processes.free_port()
    with processes.started([*command, str(port), *arguments], port, dict(os.environ), health) as server:
        yield server


# --- speed ------------------------------------------------------------------------------------------------------------


def body(model: str, prompt: str = "请用一句话说明算力券怎么用。", tokens: int = 16, stream: bool = False) -> bytes:
    asked = {"model": model, "max_tokens": tokens, "stream": stream, "messages": [{"role": "user", "content": prompt}]}
    return json.dumps(asked, ensure_ascii=False).encode()


def session(place: Place, connections: int = 0) -> aiohttp.ClientSession:
    headers = {"Authorization": f"Bearer {place.key}", "Content-Type": "application/json"}
    return aiohttp.ClientSession(place.url, headers=headers, connector=aiohttp.TCPConnector(limit=connections))


async def call(client: aiohttp.ClientSession, sent: bytes) -> bytes:
    async with client.post("/v1/chat/completions", data=sent) as answer:
        raw = await answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status} {raw[:200]!r}")
        return raw


async def paced(place: Place, seconds: float, stream: bool) -> list[float]:
    """Milliseconds from the instant at which each call was due to its last byte."""
    sent, took = body(place.model, stream=stream), []

    async def one(due: float) -> None:
        await call(client, sent)
        took.append((time.perf_counter() - due) * 1000)

    async with session(place) as client:
        await asyncio.gather(*(call(client, sent) for _call in range(50)))
        start, tasks = time.perf_counter(), []
        for number in range(int(seconds * RATE)):
            due = start + number / RATE
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(one(due)))
        await asyncio.gather(*tasks)
    return took


async def flooded(place: Place, seconds: float) -> tuple[float, float]:
    """Calls a second through CONNECTIONS connections, and milliseconds of processor for each."""
    sent, done = body(place.model), 0

    async def worker(end: float) -> None:
        nonlocal done
        while time.perf_counter() < end:
            await call(client, sent)
            done += 1

    async with session(place, CONNECTIONS) as client:
        await asyncio.gather(*(call(client, sent) for _call in range(CONNECTIONS)))
        start, used = time.perf_counter(), place.processor_seconds()
        await asyncio.gather(*(worker(start + seconds) for _worker in range(CONNECTIONS)))
        return done / (time.perf_counter() - start), (place.processor_seconds() - used) / done * 1000


def quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def latency(places: Places, seconds: float, rates: dict[str, float]) -> str:
    """Direct and gateways take turns, so that what else the machine does hits all alike; medians over the rounds.

    Who cannot keep up with the pace is left out: its queue would only grow.
    """
    rows = []
    quick = [place for place in places.all if rates[place.name] > RATE]
    slow = [place.name for place in places.all if place not in quick]
    for stream in (False, True):
        took: dict[str, list[list[float]]] = {place.name: [] for place in quick}
        for _round in range(ROUNDS):
            for place in quick:
                took[place.name].append(uvloop.run(paced(place, seconds, stream)))
        figures = {
            name: [statistics.median(quantile(values, share) for values in rounds) for share in (0.5, 0.95, 0.99)]
            for name, rounds in took.items()
        }
        base = figures["direct"]
        for name, (p50, p95, p99) in figures.items():
            added = "" if name == "direct" else f"{p50 - base[0]:.2f} / {p99 - base[2]:.2f}"
            rows.append(["stream" if stream else "whole", name, f"{p50:.2f}", f"{p95:.2f}", f"{p99:.2f}", added])
        rows += [["stream" if stream else "whole", name, "cannot keep up", "", "", ""] for name in slow]
    return table(
        f"Latency at {RATE} calls/s (ms)", ["answers", "through", "p50", "p95", "p99", "added p50 / p99"], rows,
        f"Median of {ROUNDS} rounds of {seconds:g} s each, in turns. Huoshui holds and settles each call durably"
        f" ({'PostgreSQL' if places.books.db.postgres else 'SQLite'}). Bars: {ADDED_P50_BAR_MS:g} ms p50,"
        f" {ADDED_P99_BAR_MS:g} ms p99 added.",
    )


def throughput(places: Places, seconds: float) -> tuple[dict[str, float], str]:
    """Calls a second by name, and their table."""
    rates, rows = {}, []
    for place in places.all:
        rounds = [uvloop.run(flooded(place, seconds)) for _round in range(ROUNDS)]
        rates[place.name], used = (statistics.median(figures) for figures in zip(*rounds, strict=True))
        rows.append([place.name, f"{rates[place.name]:.0f}", f"{used:.2f}"])
    note = "LiteLLM was not measured: set HUOSHUI_LITELLM_PYTHON."
    if places.peer:
        note = f"Huoshui / LiteLLM = {rates['Huoshui'] / rates['LiteLLM']:.1f} (bar: {RATIO_BAR:g})."
    title = f"Throughput, one process each, {CONNECTIONS} connections"
    header = ["through", "calls/s", "processor ms/call"]
    return rates, table(title, header, rows, note)


# --- drift ------------------------------------------------------------------------------------------------------------


@dataclass
class Bookkeeper:
    """The client's own books: tokens that it sees, prices that it knows, decimals."""

    cost_fen: Decimal = Decimal()
    input_tokens: int = 0
    output_tokens: int = 0
    kinds: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("whole", "streamed", "left", "refused"), 0))

    def take(self, kind: str, read: int = 0, said: int = 0) -> None:
        self.kinds[kind] += 1
        self.input_tokens += read
        self.output_tokens += said
        self.cost_fen += (read * Decimal(PRICES["input_fen"]) + said * Decimal(PRICES["output_fen"])) / 10**6


@dataclass(frozen=True)
class Asked:
    prompt: str
    tokens: int
    kind: str
    wait_seconds: float


def trace(calls: int) -> Iterator[Asked]:
    """The seeded generator (see the module's page); intervals are shortened so that the gateway is always busy."""
    dice = random.Random(SEED)
    text = "企业综合服务中心把闲置算力、银行信贷、被拖欠的账款与惠企资金匹配给中小企业。"
    for _call in range(calls):
        read = min(8_000, max(1, round(dice.lognormvariate(5.48, 1.2))))
        said = min(1_000, max(1, round(dice.lognormvariate(4.79, 1.0))))
        kind = dice.choices(("whole", "streamed", "left", "refused"), (50, 40, 5, 5))[0]
        prompt = (text * (read * 4 // len(text.encode()) + 1))[: max(1, read * 4 // 3)]
        yield Asked(prompt, said, kind, dice.gammavariate(0.5, 2) / 2_000)


async def replay(places: Places, calls: int) -> str:
    before = places.books.money(places.key)[1]
    sums = await _sums(places.direct)
    keeper, start, slots, tasks = Bookkeeper(), time.perf_counter(), asyncio.Semaphore(64), set()
    async with session(places.ours, 64) as client:
        for asked in trace(calls):
            await asyncio.sleep(asked.wait_seconds)
            await slots.acquire()
            task = asyncio.create_task(_KINDS[asked.kind](client, asked, keeper))
            tasks.add(task)
            task.add_done_callback(lambda done: (tasks.discard(done), slots.release()))
        await asyncio.gather(*tasks)
    seconds = time.perf_counter() - start
    await asyncio.sleep(1)  # for the calls that were left
    after = await _sums(places.direct)
    return _compared(places, keeper, before, [b - a for a, b in zip(sums, after, strict=True)], calls, seconds)


def _compared(
    places: Places, keeper: Bookkeeper, before: int, upstream: Sequence[int], calls: int, seconds: float
) -> str:
    db = places.books.db
    told = db.rows(
        "SELECT coalesce(sum(cost_ufen), 0), coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0),"
        " count(*) FROM maas_call WHERE key_id = ? AND model = 'mock-left' AND state = 'settled'", (places.key.key,),
    )[0]  # fmt: skip
    book = Decimal(places.books.money(places.key)[1] - before - int(told[0])) / 10**6
    upstream_fen = sum(
        Decimal(count * PRICES[price]) for count, price in zip(upstream, ("input_fen", "output_fen"), strict=True)
    ) / Decimal(10**6)
    faults = drifts(db)
    rows = [
        ["the client's decimals", keeper.input_tokens, keeper.output_tokens, keeper.cost_fen, ""],
        ["the upstream's sums", *upstream, upstream_fen, upstream_fen - keeper.cost_fen],
        ["the wallet", "", "", book, book - keeper.cost_fen],
    ]
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in keeper.kinds.items())
    return table(
        f"Replay of {calls:,} calls", ["books", "input tokens", "output tokens", "fen", "difference (fen)"], rows,
        f"{kinds}; {calls / seconds:.0f} calls/s. {int(told[3])} calls that the client left half-way are billed by"
        f" what was delivered ({Decimal(int(told[0])) / 10**6} fen) and not in the rows above.",
        f"Wallets, keys and calls that do not agree to the millionth of a fen: {len(faults)}.",
    )  # fmt: skip


async def _sums(place: Place) -> list[int]:
    async with session(place) as client, client.get("/sums") as answer:
        told = (await answer.json())["mock"]
        return [told["input_tokens"], told["output_tokens"]]


async def _whole(client: aiohttp.ClientSession, asked: Asked, keeper: Bookkeeper) -> None:
    told = json.loads(await call(client, body("mock", asked.prompt, asked.tokens)))
    keeper.take("whole", _tokens(asked.prompt), len(told["choices"][0]["message"]["content"]))


async def _streamed(client: aiohttp.ClientSession, asked: Asked, keeper: Bookkeeper) -> None:
    raw = await call(client, body("mock", asked.prompt, asked.tokens, stream=True))
    keeper.take("streamed", _tokens(asked.prompt), raw.decode().count('"content":"字"'))


async def _left(client: aiohttp.ClientSession, asked: Asked, keeper: Bookkeeper) -> None:
    async with client.post("/v1/chat/completions", data=body("mock-left", asked.prompt, 1_000, stream=True)) as answer:
        await answer.content.readany()
        answer.close()
    keeper.take("left")


async def _refused(client: aiohttp.ClientSession, asked: Asked, keeper: Bookkeeper) -> None:
    async with client.post("/v1/chat/completions", data=body("no-such-model", asked.prompt)) as answer:
        if answer.status != 404:
            raise RuntimeError(f"{answer.status}")
    keeper.take("refused")


_KINDS = {"whole": _whole, "streamed": _streamed, "left": _left, "refused": _refused}


def _tokens(text: str) -> int:
    return -(-len(text.encode()) // 4)


if __name__ == "__main__":
    main()
