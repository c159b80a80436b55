"""Operations of many calls in one transaction: whatever waits when a commit ends goes into the next one.

`Meter` owns a thread with a connection. Each operation gets its own answer (or Refused), after the commit that made it
durable. A transaction locks what its operations touch (wallets by id, keys by id, calls by id; in SQLite it is alone
anyway), lets `ledger` decide, and writes back the differences; so several gateway processes and Django itself are
right together. A transaction that the database gave up (locked, deadlocked, restarted) is done again: repeating an
operation changes nothing. What it still cannot write fails with Unavailable: a call is refused, a settlement is owed
(`server.Gateway.owed`), a hold that nobody releases expires.
"""

import asyncio
import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from huoshui.gateway import metrics
from huoshui.gateway.database import Database, Gone, NoDatabase
from huoshui.gateway.ledger import (
    MINUTE_MS,
    Answer,
    Call,
    Expire,
    Hold,
    Key,
    Ledger,
    Move,
    Operation,
    Price,
    Refused,
    Wallet,
    Window,
)

BATCH_MAX = 256
ATTEMPTS_MAX = 6
PAUSE_SECONDS = 0.05
"""Before the second attempt; doubled for each further one."""
logger = logging.getLogger("huoshui.gateway")
Outcome = Answer | Exception

WALLET = "id, funded_ufen, held_ufen, spent_ufen, frozen"
KEY = (
    "id, wallet_id, allowed_models, allowed_regions, period, budget_ufen, period_start_ms, held_ufen, spent_ufen,"
    " calls_per_minute, tokens_per_minute, expires_ms, revoked_ms, routing"
)
PRICE = """
SELECT o.id, o.input_fen, o.cached_fen, o.output_fen, o.since_ms, o.until_ms, u.state = 'active', r.code
FROM maas_offer o JOIN maas_upstream u ON u.id = o.upstream_id JOIN compute_region r ON r.id = u.region_id WHERE """
CALL = (
    "id, key_id, wallet_id, offer_id, path, model, stream, state, hold_ufen, started_ms, expires_ms, input_tokens,"
    " output_tokens, cost_ufen, cached_tokens, counted, outcome, status, tries, first_token_ms, ended_ms, asks"
)
COLUMNS = CALL.split(", ")
INSERT = f"INSERT INTO maas_call ({CALL}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608
UPDATE = f"UPDATE maas_call SET {', '.join(f'{name} = ?' for name in COLUMNS[1:])} WHERE id = ?"  # noqa: S608
WINDOW = """
SELECT coalesce(sum(asks), 0), coalesce(sum(input_tokens + output_tokens), 0), min(started_ms)
FROM maas_call WHERE key_id = ? AND started_ms > ?"""


class Unavailable(Exception):
    """The database did not take the operation."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


# --- one batch --------------------------------------------------------------------------------------------------------


def run_batch(
    db: Database, operations: Sequence[Operation], again: bool = False, now: Callable[[], int] = now_ms
) -> list[Outcome]:
    """Do the operations in one transaction, in order; what each of them got. `again`: some may be done already."""
    with db.transaction():
        ledger = _load(db, operations, again, now)
        wallets = {row.id: replace(row) for row in ledger.wallets.values()}
        keys = {row.id: replace(row) for row in ledger.keys.values()}
        outcomes = [_apply(ledger, operation) for operation in operations]
        _write(db, ledger, wallets, keys)
    return outcomes


def _apply(ledger: Ledger, operation: Operation) -> Outcome:
    try:
        return ledger.apply(operation)
    except Refused as refused:
        return refused


def _load(db: Database, operations: Sequence[Operation], again: bool, now: Callable[[], int]) -> Ledger:
    """Lock and read every row that the operations touch."""
    wallets = [Wallet(*row) for row in _locked(db, WALLET, "maas_wallet", {op.wallet for op in operations})]
    keys = [read_key(row) for row in _locked(db, KEY, "maas_key", {op.key for op in operations})]
    known = {op.call for op in operations if again or not isinstance(op, Hold) or op.named}
    calls = [Call(*row) for row in _locked(db, CALL, "maas_call", known)]
    offers = {call.offer for call in calls} | {op.offer for op in operations if isinstance(op, Hold | Move)}
    at = now()
    limited = {op.key for op in operations if isinstance(op, Hold | Move)}
    return Ledger(
        at,
        {row.id: row for row in wallets},
        {row.id: row for row in keys},
        {row.offer: row for row in _prices(db, offers)},
        {row.id: row for row in calls},
        {key.id: _window(db, key.id, at) for key in keys if key.id in limited and _rated(key)},
    )


def _locked(db: Database, columns: str, table: str, ids: set[Any]) -> list[Any]:
    if not ids:
        return []
    condition, values = db.among("id", sorted(ids))
    lock = db.for_key_update
    return db.rows(f"SELECT {columns} FROM {table} WHERE {condition} ORDER BY id{lock}", values)  # noqa: S608


def _prices(db: Database, offers: set[int]) -> list[Price]:
    if not offers:
        return []
    condition, values = db.among("o.id", sorted(offers))
    return [Price(*row) for row in db.rows(PRICE + condition, values)]


def read_key(row: tuple[Any, ...]) -> Key:
    """A key from its columns KEY; lists are JSON text in SQLite."""
    number, wallet, models, regions, *rest = row
    return Key(number, wallet, _names(models), _names(regions), *rest)


def _names(value: Any) -> list[str]:
    return list(_parsed(value)) if isinstance(value, str) else value


@lru_cache(maxsize=1024)
def _parsed(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


def _rated(key: Key) -> bool:
    return key.calls_per_minute is not None or key.tokens_per_minute is not None


def _window(db: Database, key: int, at: int) -> Window:
    return Window(*db.rows(WINDOW, (key, at - MINUTE_MS))[0])


def _write(db: Database, ledger: Ledger, wallets: dict[int, Wallet], keys: dict[int, Key]) -> None:
    """Write what differs. Wallets and keys were locked, so their sums are as read."""
    db.many(
        "UPDATE maas_wallet SET held_ufen = ?, spent_ufen = ? WHERE id = ?",
        [(row.held_ufen, row.spent_ufen, row.id) for row in ledger.wallets.values() if row != wallets[row.id]],
    )
    db.many(
        "UPDATE maas_key SET held_ufen = ?, spent_ufen = ?, period_start_ms = ? WHERE id = ?",
        [
            (row.held_ufen, row.spent_ufen, row.period_start_ms, row.id)
            for row in ledger.keys.values()
            if row != keys[row.id]
        ],
    )
    db.many(INSERT, [_row(ledger.calls[number]) for number in ledger.new_calls])
    db.many(UPDATE, [(*_row(ledger.calls[number])[1:], number) for number in sorted(ledger.touched_calls)])


def _row(call: Call) -> tuple[Any, ...]:
    return (
        call.id, call.key, call.wallet, call.offer, call.path, call.model, call.stream, call.state, call.hold_ufen,
        call.started_ms, call.expires_ms, call.input_tokens, call.output_tokens, call.cost_ufen, call.cached_tokens,
        call.counted, call.outcome, call.status, call.tries, call.first_token_ms, call.ended_ms,
        call.asks,
    )  # fmt: skip


# --- the thread -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Waiting:
    operation: Operation
    future: "asyncio.Future[Answer]"


class Meter:
    """Takes operations from the event loop it was made in, and answers them there. Raises NoDatabase."""

    def __init__(self, open_database: Callable[[], Database]) -> None:
        self._open = open_database
        self._db: Database | None = open_database()
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="meter", daemon=True)
        self._thread.start()

    def submit(self, operation: Operation) -> "asyncio.Future[Answer]":
        """Resolves when the operation is durable; fails with Refused or Unavailable. Cancelling undoes nothing."""
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._queue.put(_Waiting(operation, future))
        return future

    async def close(self) -> None:
        """Finish what waits, then end."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, ending = [first], False
            while len(batch) < BATCH_MAX:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    ending = True
                    break
                batch.append(more)
            began = time.perf_counter()
            outcomes = self._done([waiting.operation for waiting in batch])
            metrics.COMMIT_SECONDS.observe(time.perf_counter() - began)
            metrics.BATCH.observe(len(batch))
            self._loop.call_soon_threadsafe(_resolve, batch, outcomes)
            if ending:
                break
        if self._db is not None:
            self._db.close()

    def _done(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        for attempt in range(ATTEMPTS_MAX):
            if attempt:
                time.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))
            try:
                if self._db is None:
                    self._db = self._open()
                return run_batch(self._db, operations, again=attempt > 0)
            except (*Gone, NoDatabase) as error:
                logger.warning("meter: %s, attempt %d", type(error).__name__, attempt + 1)
                self._reconnect()
            except Exception as error:  # noqa: BLE001 - one operation must not take the others along
                logger.error("meter: %s in a batch of %d", type(error).__name__, len(operations))
                if len(operations) == 1:
                    return [error]
                return [outcome for one in operations for outcome in self._done([one])]
        return [Unavailable()] * len(operations)

    def _reconnect(self) -> None:
        if self._db is not None and self._db.postgres:
            self._db.close()
            self._db = None


def _resolve(batch: Sequence[_Waiting], outcomes: Sequence[Outcome]) -> None:
    for waiting, outcome in zip(batch, outcomes, strict=True):
        if waiting.future.done():
            continue
        if isinstance(outcome, Exception):
            waiting.future.set_exception(outcome)
        else:
            waiting.future.set_result(outcome)


# --- keeping house ----------------------------------------------------------------------------------------------------


def extend(db: Database, calls: Sequence[str], expires_ms: int) -> None:
    """Let the holds of running calls live on."""
    with db.transaction():
        db.many(
            "UPDATE maas_call SET expires_ms = ? WHERE id = ? AND state = 'held'",
            [(expires_ms, call) for call in sorted(calls)],
        )


def expired(db: Database, now: int, limit: int = BATCH_MAX) -> list[Expire]:
    """Operations that end holds which nobody extended."""
    rows = db.rows(
        "SELECT id, key_id, wallet_id FROM maas_call WHERE state = 'held' AND expires_ms <= ? ORDER BY expires_ms"
        " LIMIT ?",
        (now, limit),
    )
    return [Expire(*row) for row in rows]
