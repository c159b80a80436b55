"""Which offer first: the key's choice of price or latency, over upstreams that are well and have room.

Prices are compared for the same tokens at every offer. Latency is the moving average of the time to the first token of
streams; every FORGET_SECONDS one stream tries an offer anew that was too slow to be chosen since.

Health is what this process saw of an offer. FAILURES_MAX failures in a row close it for REST_SECONDS, doubled up to
REST_SECONDS_MAX; then one call tries it, and its answer opens or closes it again. A stream that broke off is a failure
too: only a whole answer ends a row, its first token just lets others in again. A row that one wallet alone met closes
the offer for that wallet only: no customer can close it for the others with requests made to fail. An offer that
answers 429 is left alone for as long as it says. `concurrency_max` is the upstream's, over all its offers and all
processes of one gateway, each having its share.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from huoshui.gateway.asks import Ask
from huoshui.gateway.catalogue import Offer
from huoshui.gateway.ledger import Key

FAILURES_MAX = 5
REST_SECONDS, REST_SECONDS_MAX = 5.0, 60.0
COOL_SECONDS_MAX = 60.0
WITNESSES_MIN = 2
"""So many wallets must have met the failures of a row before it closes an offer for everybody."""
WEIGHT = 0.2
"""Of the newest measurement in the moving average of an offer's latency."""
FORGET_SECONDS = 300.0


@dataclass
class Health:
    failures: int = 0
    witnesses: set[int] = field(default_factory=set)
    closed_until: float = 0.0
    cool_until: float = 0.0
    probing: bool = False

    def closed_to(self, wallet: int) -> bool:
        """Whether it takes this wallet's calls one at a time at most."""
        met = wallet in self.witnesses or len(self.witnesses) >= WITNESSES_MIN
        return self.failures >= FAILURES_MAX and met

    def takes(self, now: float, wallet: int) -> bool:
        """A closed offer takes one call, once its rest is over."""
        if now < self.cool_until:
            return False
        return not self.closed_to(wallet) or (now >= self.closed_until and not self.probing)

    def begins(self) -> None:
        self.failures = min(self.failures, FAILURES_MAX - 1)

    def well(self) -> None:
        self.failures = 0
        self.witnesses.clear()

    def failed(self, now: float, wallet: int) -> None:
        self.failures += 1
        if len(self.witnesses) < WITNESSES_MIN:
            self.witnesses.add(wallet)
        if self.failures >= FAILURES_MAX:
            rests = min(self.failures - FAILURES_MAX, 10)
            self.closed_until = now + min(REST_SECONDS * 2**rests, REST_SECONDS_MAX)

    def cool(self, now: float, seconds: float) -> None:
        self.cool_until = max(self.cool_until, now + min(max(seconds, 1.0), COOL_SECONDS_MAX))


@dataclass
class Latency:
    """Seconds to the first token, as of an instant; `stale`: the next measurement says it anew."""

    seconds: float
    at: float
    stale: bool = False


@dataclass
class Router:
    """`share` is the number of processes that share the upstreams' limits."""

    share: int = 1
    running: Counter[int] = field(default_factory=Counter)
    health: dict[int, Health] = field(default_factory=lambda: defaultdict(Health))
    latency: dict[int, Latency] = field(default_factory=dict)

    def order(self, key: Key, ask: Ask, offers: Sequence[Offer], now_ms: int) -> list[Offer]:
        """Offers that may answer, best first. What is dear or slow comes last, never what is forbidden."""
        fit = [
            offer
            for offer in offers
            if offer.kind == ask.kind and offer.open_at(now_ms) and offer.open_to(key)
        ]
        if len(fit) < 2:
            return fit
        read, said = ask.bound(max(o.context_tokens for o in fit), max(o.output_tokens_max for o in fit))
        cost = {offer.id: read * offer.input_fen + said * offer.output_fen for offer in fit}
        anew = self._tried_anew(fit) if ask.stream and key.routing == "latency" else None
        seconds = {
            offer.id: known.seconds if (known := self.latency.get(offer.id)) and offer.id != anew else 0.0
            for offer in fit
        }
        if key.routing == "latency":
            return sorted(fit, key=lambda offer: (seconds[offer.id], cost[offer.id], offer.id))
        return sorted(fit, key=lambda offer: (cost[offer.id], seconds[offer.id], offer.id))

    def _tried_anew(self, offers: Sequence[Offer]) -> int | None:
        """The offer that was measured longest ago, when that is long enough; its turn is taken."""
        known = [(latency.at, offer.id) for offer in offers if (latency := self.latency.get(offer.id))]
        at, number = min(known, default=(float("inf"), 0))
        now = time.monotonic()
        if now - at < FORGET_SECONDS:
            return None
        self.latency[number] = Latency(self.latency[number].seconds, now, stale=True)
        return number

    @contextmanager
    def place(self, offer: Offer, wallet: int) -> Iterator[bool]:
        """Take one of the upstream's places while the block runs; False when the offer takes no call now."""
        health, upstream = self.health[offer.id], offer.upstream
        full = self.running[upstream.id] >= max(1, upstream.concurrency_max // self.share)
        if full or not health.takes(time.monotonic(), wallet):
            yield False
            return
        probes = health.closed_to(wallet)
        health.probing |= probes
        self.running[upstream.id] += 1
        try:
            yield True
        finally:
            self.running[upstream.id] -= 1
            if probes:
                health.probing = False

    def begins(self, offer: Offer) -> None:
        """A stream's first token is here: all may call it again, and the next failure closes it again."""
        self.health[offer.id].begins()

    def well(self, offer: Offer) -> None:
        """It answered, wholly."""
        self.health[offer.id].well()

    def measured(self, offer: Offer, seconds: float) -> None:
        """A stream's first token came after so many seconds."""
        before, now = self.latency.get(offer.id), time.monotonic()
        if before is not None and not before.stale:
            seconds = before.seconds + WEIGHT * (seconds - before.seconds)
        self.latency[offer.id] = Latency(seconds, now)

    def failed(self, offer: Offer, wallet: int) -> None:
        self.health[offer.id].failed(time.monotonic(), wallet)

    def cool(self, offer: Offer, seconds: float) -> None:
        self.health[offer.id].cool(time.monotonic(), seconds)
