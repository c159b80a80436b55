"""What may be called: offers with their upstreams, keys, endpoints. Read on a thread, kept for a second.

What is kept here only chooses. Whether a call may begin, and at what price, is decided with the hold, on rows read in
that very transaction: a key that was revoked, a wallet that was frozen, a price that ended count at once. What was
newly allowed counts within KEPT_SECONDS.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from huoshui.gateway.database import Database, Gone, NoDatabase
from huoshui.gateway.ledger import Expire, Key, Refused
from huoshui.gateway.meter import KEY, Unavailable, expired, extend, now_ms, read_key

KEPT_SECONDS = 1.0
KEYS_MAX = 10_000
LOOK_UPS_MAX = 256
"""Keys looked up at once: whoever floods the gateway with invented ones waits for no more."""
WANTED_SECONDS = 60
"""An endpoint that is called is wanted for so long; running calls push it on."""
OFFERS = """
SELECT o.id, o.model, o.upstream_model, o.kind, o.input_fen, o.cached_fen, o.output_fen, o.context_tokens,
 o.output_tokens_max, o.since_ms, o.until_ms, o.private, u.id, u.name, u.base_url, u.secret, u.endpoint_id, r.code,
 u.concurrency_max, u.connect_seconds, u.first_token_seconds, u.gap_seconds, u.provider_id
FROM maas_offer o JOIN maas_upstream u ON u.id = o.upstream_id JOIN compute_region r ON r.id = u.region_id
WHERE u.state = 'active' AND (u.endpoint_id IS NOT NULL OR u.approved_at IS NOT NULL)
 AND (o.until_ms IS NULL OR o.until_ms > ?)
ORDER BY o.id"""
PARTY = "(SELECT party_id FROM maas_wallet WHERE maas_wallet.id = maas_key.wallet_id)"
T = TypeVar("T")


@dataclass(frozen=True)
class Upstream:
    id: int
    name: str
    base_url: str
    secret: str
    endpoint: int | None
    region: str
    concurrency_max: int
    connect_seconds: int
    first_token_seconds: int
    gap_seconds: int
    provider: int


@dataclass(frozen=True)
class Offer:
    """`private`: for keys of the provider itself only."""

    id: int
    model: str
    upstream_model: str
    kind: str
    input_fen: int
    cached_fen: int
    output_fen: int
    context_tokens: int
    output_tokens_max: int
    since_ms: int
    until_ms: int | None
    private: bool
    upstream: Upstream

    def open_to(self, key: Key) -> bool:
        """Whether it is for such keys at all, and where they may run."""
        if self.private and self.upstream.provider != key.party:
            return False
        return not key.allowed_regions or self.upstream.region in key.allowed_regions

    def open_at(self, at_ms: int) -> bool:
        return self.since_ms <= at_ms and (self.until_ms is None or at_ms < self.until_ms)


@dataclass(frozen=True)
class Replica:
    """How an endpoint stands."""

    state: str
    address: str
    key: str


class Desk:
    """One thread with one connection: blocking questions, asked from the event loop. Raises Unavailable."""

    def __init__(self, open_database: Callable[[], Database], name: str) -> None:
        self._open = open_database
        self._db: Database | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def ask(self, question: Callable[..., T], *arguments: Any) -> T:
        """`question(database, *arguments)` on the thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._ask, question, arguments)

    def _ask(self, question: Callable[..., T], arguments: Sequence[Any]) -> T:
        try:
            if self._db is None:
                self._db = self._open()
            return question(self._db, *arguments)
        except (*Gone, NoDatabase) as error:
            if self._db is not None:
                self._db.close()
                self._db = None
            raise Unavailable(type(error).__name__) from None

    def close(self) -> None:
        self._thread.shutdown()
        if self._db is not None:
            self._db.close()


class Catalogue:
    """Offers (`offers`, by model) and keys as of about a second ago."""

    def __init__(self, open_database: Callable[[], Database]) -> None:
        self._reader = Desk(open_database, "reader")
        self._keeper = Desk(open_database, "keeper")
        self.offers: dict[str, list[Offer]] = {}
        self.read_ms = 0
        self._read_at = float("-inf")
        self._keys: dict[str, tuple[float, Key]] = {}
        self._looking: dict[str, asyncio.Future[Any]] = {}

    async def refresh(self) -> None:
        """Read the offers anew; the gateway does it every KEPT_SECONDS."""
        begun_at, begun_ms = time.monotonic(), now_ms()
        self.offers = await self._reader.ask(_offers)
        self._read_at, self.read_ms = begun_at, begun_ms

    async def fresh(self) -> int:
        """The instant (ms) as of which the offers are known, at most KEPT_SECONDS ago. Raises Unavailable."""
        if time.monotonic() - self._read_at > KEPT_SECONDS:
            await self._once("", self.refresh)
        return self.read_ms

    async def key(self, digest: str) -> Key | None:
        """The key of which this is the SHA-256; its figures may be a second old. Raises Refused, Unavailable."""
        kept = self._keys.get(digest)
        if kept is not None and time.monotonic() - kept[0] <= KEPT_SECONDS:
            return kept[1]
        if digest not in self._looking and len(self._looking) >= LOOK_UPS_MAX:
            raise Refused("too_many_calls", wait_seconds=1)
        return await self._once(digest, lambda: self._look_up(digest))

    async def _once(self, name: str, look: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """One look at a time under a name: who comes meanwhile gets its answer too."""
        looking = self._looking.get(name)
        if looking is None:
            looking = self._looking[name] = asyncio.ensure_future(look())
            looking.add_done_callback(lambda done: (self._looking.pop(name), done.cancelled() or done.exception()))
        return await asyncio.shield(looking)

    async def _look_up(self, digest: str) -> Key | None:
        found = await self._reader.ask(_key, digest)
        if found is None:
            self._keys.pop(digest, None)
            return None
        if len(self._keys) >= KEYS_MAX:
            self._keys.clear()
        self._keys[digest] = (time.monotonic(), found)
        return found

    async def replica(self, endpoint: int) -> Replica | None:
        return await self._reader.ask(_replica, endpoint)

    async def want(self, endpoints: Sequence[int]) -> None:
        """Say that these endpoints are called now."""
        await self._keeper.ask(_want, endpoints, now_ms() + WANTED_SECONDS * 1000)

    async def extend(self, calls: Sequence[str], expires_ms: int) -> None:
        await self._keeper.ask(extend, calls, expires_ms)

    async def expired(self) -> list[Expire]:
        return await self._keeper.ask(expired, now_ms())

    async def tidy(self) -> None:
        await self._keeper.ask(Database.tidy)

    def close(self) -> None:
        self._reader.close()
        self._keeper.close()


def _offers(db: Database) -> dict[str, list[Offer]]:
    offers: dict[str, list[Offer]] = defaultdict(list)
    for row in db.rows(OFFERS, (now_ms(),)):
        offer = Offer(*row[:12], Upstream(*row[12:]))  # type: ignore[call-arg, arg-type, misc, unused-ignore]
        offers[offer.model].append(offer)
    return dict(offers)


def _key(db: Database, digest: str) -> Key | None:
    found = db.rows(f"SELECT {KEY}, {PARTY} FROM maas_key WHERE digest = ?", (digest,))  # noqa: S608
    return read_key(found[0]) if found else None


def _replica(db: Database, endpoint: int) -> Replica | None:
    found = db.rows("SELECT state, address, key FROM jobs_endpoint WHERE id = ?", (endpoint,))
    return Replica(*found[0]) if found else None


def _want(db: Database, endpoints: Sequence[int], until_ms: int) -> None:
    until = db.instant(until_ms)
    with db.transaction():
        db.many(
            "UPDATE jobs_endpoint SET wanted_until = ? WHERE id = ? AND (wanted_until IS NULL OR wanted_until < ?)",
            [(until, endpoint, until) for endpoint in sorted(set(endpoints))],
        )
