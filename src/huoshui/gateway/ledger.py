"""What an operation does to wallet, key and call. Pure: rows in, rows out, no I/O, no clock.

A call goes held → settled or released; a hold that nobody extended expires. All steps are written down here once:

| operation | wallet | key | call |
|---|---|---|---|
| Hold | held + most | held + most | held; its token fields say the most it may count |
| Move | held ± difference | the same | still held, at another offer's price |
| Settle | held − hold, spent + cost | the same | settled; cost = tokens × prices of its offer, exact in µfen |
| Release | held − hold | the same | released |
| Expire | held − hold | the same | expired |
| Settle after Expire | spent + cost, if so much is free | the same | settled; else it stays expired and costs 0 |

Always held + spent ≤ funded (wallet) and ≤ budget (key), so a cost is never above what was held and the last fen is
never sold twice. Repeating an operation changes nothing. A cost counts in the key's budget period in which its call
began: `spent` of a key is the cost of its calls since `period_start_ms`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

LOCAL = ZoneInfo("Asia/Shanghai")
HOLD_SECONDS = 90
"""A hold lives this long unless extended; the gateway extends the holds of its calls every third of it."""
MINUTE_MS = 60_000
ASKS_MAX = 32_767
"""What a row of a call can hold."""
NO_ROOM = 1 << 62


class Refused(Exception):
    """The call may not begin (or go on). `code` is stable; `figures` say why in numbers."""

    def __init__(self, code: str, **figures: int | str) -> None:
        super().__init__(code)
        self.code = code
        self.figures = figures


# --- rows -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Wallet:
    id: int
    funded_ufen: int
    held_ufen: int
    spent_ufen: int
    frozen: bool

    @property
    def free_ufen(self) -> int:
        return self.funded_ufen - self.held_ufen - self.spent_ufen


@dataclass(slots=True)
class Key:
    id: int
    wallet: int
    allowed_models: list[str]
    allowed_regions: list[str]
    period: str
    budget_ufen: int | None
    period_start_ms: int
    held_ufen: int
    spent_ufen: int
    calls_per_minute: int | None
    tokens_per_minute: int | None
    expires_ms: int
    revoked_ms: int | None
    routing: str
    party: int = 0
    """Whose it is; known where offers are chosen."""

    @property
    def free_ufen(self) -> int:
        """What its budget still allows; without a budget the wallet alone decides."""
        return NO_ROOM if self.budget_ufen is None else self.budget_ufen - self.held_ufen - self.spent_ufen

    def roll(self, now_ms: int) -> None:
        """Begin the budget period of `now_ms`, unless it (or a later one) has begun."""
        start = period_start(self.period, now_ms)
        if self.period_start_ms < start:
            self.period_start_ms, self.spent_ufen = start, 0

    def check(self, now_ms: int) -> None:
        """Raises Refused when the key is no longer good."""
        if self.revoked_ms is not None and self.revoked_ms <= now_ms:
            raise Refused("key_revoked")
        if self.expires_ms <= now_ms:
            raise Refused("key_expired")


@dataclass(frozen=True, slots=True)
class Price:
    """An offer's prices in fen per million tokens, which is µfen per token."""

    offer: int
    input_fen: int
    cached_fen: int
    output_fen: int
    since_ms: int
    until_ms: int | None
    open: bool
    region: str

    def cost_ufen(self, input_tokens: int, cached_tokens: int, output_tokens: int) -> int:
        fresh = input_tokens - cached_tokens
        return fresh * self.input_fen + cached_tokens * self.cached_fen + output_tokens * self.output_fen


@dataclass(slots=True)
class Call:
    """`asks`: how often it was begun under its name, each less than a minute after the one before."""

    id: str
    key: int
    wallet: int
    offer: int
    path: str
    model: str
    stream: bool
    state: str
    hold_ufen: int
    started_ms: int
    expires_ms: int
    input_tokens: int
    output_tokens: int
    cost_ufen: int = 0
    cached_tokens: int = 0
    counted: str = ""
    outcome: str = ""
    status: int | None = None
    tries: int = 0
    first_token_ms: int | None = None
    ended_ms: int | None = None
    asks: int = 1


@dataclass(slots=True)
class Window:
    """A key's calls and tokens of the minute before now; `oldest_ms` is when the first of them began."""

    calls: int = 0
    tokens: int = 0
    oldest_ms: int | None = None


# --- operations and answers -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Operation:
    call: str
    key: int
    wallet: int


@dataclass(frozen=True, slots=True)
class Hold(Operation):
    """`named`: the client named the call (Idempotency-Key), so it may exist. Tokens are the most it may count."""

    offer: int
    path: str
    model: str
    stream: bool
    input_tokens: int
    output_tokens: int
    named: bool = False


@dataclass(frozen=True, slots=True)
class Move(Operation):
    """The call goes to another offer, at whose price it is held now. Tokens are the most it may count there."""

    offer: int
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Ending(Operation):
    outcome: str
    status: int | None
    tries: int


@dataclass(frozen=True, slots=True)
class Settle(Ending):
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    counted: str
    first_token_ms: int | None


@dataclass(frozen=True, slots=True)
class Release(Ending):
    pass


@dataclass(frozen=True, slots=True)
class Expire(Operation):
    pass


@dataclass(frozen=True, slots=True)
class Answer:
    """How the call stands, and what its key may still spend (of wallet and budget, the lesser)."""

    state: str
    hold_ufen: int
    cost_ufen: int
    remaining_ufen: int


# --- the ledger -------------------------------------------------------------------------------------------------------


@dataclass
class Ledger:
    """The rows that a batch of operations touches, at one instant. `apply` changes them; the meter writes them."""

    now_ms: int
    wallets: dict[int, Wallet]
    keys: dict[int, Key]
    prices: dict[int, Price]
    calls: dict[str, Call]
    windows: dict[int, Window] = field(default_factory=dict)
    touched_calls: dict[str, None] = field(default_factory=dict)
    new_calls: dict[str, None] = field(default_factory=dict)

    def apply(self, operation: Operation) -> Answer:
        """Raises Refused; then nothing has changed."""
        return _STEPS[type(operation)](self, operation)

    def _hold(self, asked: Hold) -> Answer:
        key, wallet = self._key(asked), self.wallets[asked.wallet]
        key.check(self.now_ms)
        known = self.calls.get(asked.call)
        if known is not None and known.state != "released":  # a released call cost nothing and may be asked again
            if known.state == "held" and not asked.named:  # this very hold, whose commit was not heard of
                return self._answer(known)
            raise Refused("duplicate_call", call=known.id, state=known.state)
        if wallet.frozen:
            raise Refused("wallet_frozen")
        if key.allowed_models and asked.model not in key.allowed_models:
            raise Refused("model_not_allowed", model=asked.model)
        price = self._open_price(asked.offer, key)
        key.roll(self.now_ms)
        window = self._check_rates(key, asked.input_tokens + asked.output_tokens)
        most = price.cost_ufen(asked.input_tokens, 0, asked.output_tokens)
        _check_room(wallet, key, most)
        self._reserve(wallet, key, most)
        window.calls += 1
        window.tokens += asked.input_tokens + asked.output_tokens
        call = Call(
            asked.call, asked.key, asked.wallet, asked.offer, asked.path, asked.model, asked.stream, "held", most,
            self.now_ms, self.now_ms + HOLD_SECONDS * 1000, asked.input_tokens, asked.output_tokens,
            asks=_asks(known, self.now_ms),
        )  # fmt: skip
        (self.new_calls if known is None else self.touched_calls)[call.id] = None
        self.calls[call.id] = call
        return self._answer(call)

    def _move(self, asked: Move) -> Answer:
        call, key, wallet = self.calls[asked.call], self._key(asked), self.wallets[asked.wallet]
        if call.state != "held":
            raise Refused("hold_lost", call=call.id)
        price = self._open_price(asked.offer, key)
        tokens = asked.input_tokens + asked.output_tokens - call.input_tokens - call.output_tokens
        window = self._check_rates(key, tokens, calls=0)
        more = price.cost_ufen(asked.input_tokens, 0, asked.output_tokens) - call.hold_ufen
        _check_room(wallet, key, more)
        self._reserve(wallet, key, more)
        window.tokens += tokens
        self._change(replace(
            call, offer=asked.offer, hold_ufen=call.hold_ufen + more,
            input_tokens=asked.input_tokens, output_tokens=asked.output_tokens,
        ))  # fmt: skip
        return self._answer(self.calls[call.id])

    def _settle(self, asked: Settle) -> Answer:
        call, key, wallet = self.calls[asked.call], self._key(asked), self.wallets[asked.wallet]
        if call.state not in ("held", "expired"):
            return self._answer(call)
        counted_input = min(asked.input_tokens, call.input_tokens) if call.state == "held" else asked.input_tokens
        counted_output = min(asked.output_tokens, call.output_tokens) if call.state == "held" else asked.output_tokens
        cached = min(asked.cached_tokens, counted_input)
        cost = self.prices[call.offer].cost_ufen(counted_input, cached, counted_output)
        of_this_period = call.started_ms >= key.period_start_ms
        if call.state == "held":
            self._reserve(wallet, key, -call.hold_ufen)
        elif cost > min(call.hold_ufen, wallet.free_ufen, key.free_ufen if of_this_period else NO_ROOM):
            return self._answer(call)
        wallet.spent_ufen += cost
        if of_this_period:
            key.spent_ufen += cost
        ended = self._ended(call, asked, "settled")
        self._change(replace(
            ended, cost_ufen=cost, input_tokens=counted_input, cached_tokens=cached, output_tokens=counted_output,
            counted=asked.counted, first_token_ms=asked.first_token_ms,
        ))  # fmt: skip
        return self._answer(self.calls[call.id])

    def _release(self, asked: Release) -> Answer:
        call = self.calls[asked.call]
        if call.state == "held":
            self._reserve(self.wallets[asked.wallet], self._key(asked), -call.hold_ufen)
            self._change(replace(self._ended(call, asked, "released"), input_tokens=0, output_tokens=0))
        return self._answer(self.calls[call.id])

    def _expire(self, asked: Expire) -> Answer:
        call = self.calls[asked.call]
        if call.state == "held" and call.expires_ms <= self.now_ms:
            self._reserve(self.wallets[asked.wallet], self._key(asked), -call.hold_ufen)
            lost = Release(call.id, call.key, call.wallet, "lost", None, call.tries)
            self._change(replace(self._ended(call, lost, "expired"), input_tokens=0, output_tokens=0))
        return self._answer(self.calls[call.id])

    def _key(self, asked: Operation) -> Key:
        return self.keys[asked.key]

    def _open_price(self, offer: int, key: Key) -> Price:
        price = self.prices.get(offer)
        if price is None or not price.open or price.since_ms > self.now_ms:
            raise Refused("offer_ended")
        if price.until_ms is not None and price.until_ms <= self.now_ms:
            raise Refused("offer_ended")
        if key.allowed_regions and price.region not in key.allowed_regions:
            raise Refused("region_not_allowed", region=price.region)
        return price

    def _check_rates(self, key: Key, tokens: int, calls: int = 1) -> Window:
        """The key's window, when so many more fit into it. Raises Refused."""
        window = self.windows.setdefault(key.id, Window())
        since = self.now_ms if window.oldest_ms is None else window.oldest_ms
        wait = max(1, -(-(since + MINUTE_MS - self.now_ms) // 1000))
        if key.calls_per_minute is not None and calls and window.calls + calls > key.calls_per_minute:
            raise Refused("calls_per_minute", limit=key.calls_per_minute, wait_seconds=wait)
        if key.tokens_per_minute is not None and tokens > 0 and window.tokens + tokens > key.tokens_per_minute:
            raise Refused(
                "tokens_per_minute", limit=key.tokens_per_minute, counted=window.tokens, most=tokens, wait_seconds=wait
            )
        return window

    def _reserve(self, wallet: Wallet, key: Key, amount_ufen: int) -> None:
        wallet.held_ufen += amount_ufen
        key.held_ufen += amount_ufen

    def _ended(self, call: Call, asked: Ending, state: str) -> Call:
        return replace(
            call, state=state, outcome=asked.outcome, status=asked.status, tries=asked.tries, ended_ms=self.now_ms
        )

    def _change(self, call: Call) -> None:
        self.calls[call.id] = call
        if call.id not in self.new_calls:
            self.touched_calls[call.id] = None

    def _answer(self, call: Call) -> Answer:
        remaining = min(self.wallets[call.wallet].free_ufen, self.keys[call.key].free_ufen)
        return Answer(call.state, call.hold_ufen, call.cost_ufen, max(0, remaining))


def _asks(known: Call | None, now_ms: int) -> int:
    """A call that is asked again counts again: only names that rested for a minute begin anew."""
    again = known is not None and known.started_ms > now_ms - MINUTE_MS
    return min(known.asks + 1, ASKS_MAX) if known is not None and again else 1


def _check_room(wallet: Wallet, key: Key, amount_ufen: int) -> None:
    if amount_ufen <= 0:
        return
    if wallet.free_ufen < amount_ufen:
        raise Refused("wallet_empty", needed_ufen=amount_ufen, free_ufen=wallet.free_ufen)
    if key.free_ufen < amount_ufen:
        raise Refused("budget_spent", needed_ufen=amount_ufen, free_ufen=max(0, key.free_ufen))


def period_start(period: str, now_ms: int) -> int:
    """Milliseconds at which the budget period of `now_ms` began: local midnight, the month's first, or 0 (in all)."""
    if period not in ("day", "month"):
        return 0
    local = datetime.fromtimestamp(now_ms // 1000, UTC).astimezone(LOCAL)
    start = local.replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "month":
        start -= timedelta(days=start.day - 1)
    return int(start.timestamp()) * 1000


_STEPS: dict[type[Operation], Callable[[Ledger, Any], Answer]] = {
    Hold: Ledger._hold,
    Move: Ledger._move,
    Settle: Ledger._settle,
    Release: Ledger._release,
    Expire: Ledger._expire,
}
