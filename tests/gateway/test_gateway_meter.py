"""The meter: no fen is sold twice, lost or made up, whatever happens at once, dies or is told twice."""

import asyncio
import itertools
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from tests.gateway.books import DAY_MS, UFEN, Books, Made

from huoshui.gateway import meter
from huoshui.gateway.ledger import (
    HOLD_SECONDS,
    LOCAL,
    Answer,
    Expire,
    Hold,
    Move,
    Operation,
    Refused,
    Release,
    Settle,
)
from huoshui.gateway.meter import Meter, Unavailable, expired, extend, now_ms, run_batch

MOST = 100 * 20 + 10 * 80
"""µfen that a hold of 100 input and 10 output tokens takes."""


def hold(made: Made, offer: int, input_tokens: int = 100, output_tokens: int = 10) -> Hold:
    path, model = "/v1/chat/completions", "示例"
    return Hold(
        uuid.uuid4().hex, made.key, made.wallet, offer, path, model, False, input_tokens, output_tokens
    )  # fmt: skip


def settle(of: Hold, input_tokens: int = 100, output_tokens: int = 10, cached_tokens: int = 0) -> Settle:
    return Settle(
        of.call, of.key, of.wallet, "ok", 200, 1, input_tokens, cached_tokens, output_tokens, "upstream", None
    )


def release(of: Hold) -> Release:
    return Release(of.call, of.key, of.wallet, "aborted", 499, 1)


def one(books: Books, operation: Operation, at: int | None = None) -> Answer:
    """Do one operation; raises what it was refused with."""
    (outcome,) = run_batch(books.db, [operation], now=lambda: at or now_ms())
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def refusal(books: Books, operation: Operation, at: int | None = None) -> str:
    with pytest.raises(Refused) as refused:
        one(books, operation, at)
    return refused.value.code


@pytest.fixture
def offer(books: Books) -> int:
    return books.offer(books.upstream("http://127.0.0.1:9"), "示例")


# --- hold, settle, release --------------------------------------------------------------------------------------------


def test_a_hold_takes_the_most_and_settling_returns_the_rest(books: Books, offer: int) -> None:
    key = books.key(budget_ufen=10 * MOST)
    first = hold(key, offer)
    assert one(books, first) == Answer("held", MOST, 0, 9 * MOST)
    assert books.money(key) == (MOST, 0)
    assert one(books, settle(first, 30, 4, cached_tokens=10)).cost_ufen == 20 * 20 + 10 * 2 + 4 * 80 == 740
    assert books.money(key) == (0, 740)
    assert books.row("maas_key", key.key, "held_ufen", "spent_ufen") == (0, 740)
    second = hold(key, offer)
    one(books, second)
    assert one(books, release(second)).state == "released"
    assert books.money(key) == (0, 740)


def test_what_ended_does_not_end_again(books: Books, offer: int) -> None:
    key = books.key()
    call = hold(key, offer)
    one(books, call)
    for _time in range(2):
        assert one(books, settle(call, 30, 4)).cost_ufen == 920
        assert one(books, release(call)).state == "settled"
    assert books.money(key) == (0, 920)


def test_a_settlement_never_exceeds_what_was_held(books: Books, offer: int) -> None:
    key = books.key()
    call = hold(key, offer)
    one(books, call)
    assert one(books, settle(call, 10**9, 10**9)).cost_ufen == MOST
    assert books.money(key) == (0, MOST)


def test_a_hold_moves_to_a_dearer_offer_only_when_there_is_money(books: Books, offer: int) -> None:
    dear = books.offer(books.upstream("http://127.0.0.1:9"), "示例", input_fen=40, output_fen=160)
    rich, poor = books.key(books.wallet(2 * MOST)), books.key(books.wallet(2 * MOST - 1))
    for key in (rich, poor):
        call = hold(key, offer)
        one(books, call)
        move = Move(call.call, key.key, key.wallet, dear, 100, 10)
        if key is rich:
            assert one(books, move).hold_ufen == 2 * MOST
            assert one(books, settle(call)).cost_ufen == 2 * MOST
        else:
            assert refusal(books, move) == "wallet_empty"
            assert books.money(key) == (MOST, 0)
            one(books, release(call))


def test_everything_is_read_again_with_the_hold(books: Books, offer: int) -> None:
    at = now_ms()
    key = books.key(models=["示例"], regions=["east"])
    one(books, release(replace_call(books, key, offer)))
    for table, number, values, reason in (
        ("maas_key", key.key, {"revoked_ms": at}, "key_revoked"),
        ("maas_key", key.key, {"revoked_ms": None, "expires_ms": at}, "key_expired"),
        ("maas_key", key.key, {"expires_ms": at + DAY_MS, "allowed_models": '["other"]'}, "model_not_allowed"),
        ("maas_key", key.key, {"allowed_models": "[]", "allowed_regions": '["west"]'}, "region_not_allowed"),
        ("maas_key", key.key, {"allowed_regions": "[]", "budget_ufen": MOST - 1}, "budget_spent"),
        ("maas_key", key.key, {"budget_ufen": None, "calls_per_minute": 1}, "calls_per_minute"),
        ("maas_key", key.key, {"calls_per_minute": None}, ""),
        ("maas_wallet", key.wallet, {"frozen": True}, "wallet_frozen"),
        ("maas_wallet", key.wallet, {"frozen": False, "funded_ufen": MOST - 1}, "wallet_empty"),
        ("maas_wallet", key.wallet, {"funded_ufen": MOST}, ""),
        ("maas_offer", offer, {"until_ms": at}, "offer_ended"),
        ("maas_offer", offer, {"until_ms": None, "since_ms": at + DAY_MS}, "offer_ended"),
    ):
        books.change(table, number, **values)
        call = hold(key, offer)
        if reason:
            assert refusal(books, call, at + 1) == reason
        else:
            one(books, call, at + 1)
            one(books, release(call), at + 1)
    assert books.money(key) == (0, 0)


def replace_call(books: Books, key: Made, offer: int) -> Hold:
    call = hold(key, offer)
    one(books, call)
    return call


# --- at once ----------------------------------------------------------------------------------------------------------


def test_fifty_calls_on_the_last_fen(books: Books, offer: int) -> None:
    """A wallet that pays for 6 of 50 calls at once grants exactly 6."""
    key = books.key(books.wallet(6 * MOST + MOST - 1))

    async def rush() -> list[Any]:
        gate = Meter(books.open)
        try:
            return await asyncio.gather(*(gate.submit(hold(key, offer)) for _ in range(50)), return_exceptions=True)
        finally:
            await gate.close()

    outcomes = asyncio.run(rush())
    assert sum(isinstance(outcome, Answer) for outcome in outcomes) == 6
    refused = [outcome.code for outcome in outcomes if isinstance(outcome, Refused)]
    assert refused == ["wallet_empty"] * 44
    assert books.money(key) == (6 * MOST, 0)


def test_many_connections_at_once_are_right_together(books: Books, offer: int) -> None:
    """As several gateway processes are: each thread has a connection of its own, and one wallet pays for 20 calls."""
    wallet = books.wallet(20 * MOST)
    keys = [books.key(wallet) for _key in range(4)]

    def work(key: Made) -> int:
        db, granted = books.open(), 0
        try:
            for _call in range(15):
                call = hold(key, offer)
                (outcome,) = run_batch(db, [call])
                granted += isinstance(outcome, Answer)
        finally:
            db.close()
        return granted

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, keys)) == 20
    assert books.money(keys[0]) == (20 * MOST, 0)


def test_rate_limits_hold_at_once_and_slide(books: Books, offer: int) -> None:
    key, at = books.key(calls_per_minute=10), now_ms()
    outcomes = run_batch(books.db, [hold(key, offer) for _call in range(50)], now=lambda: at)
    assert sum(isinstance(outcome, Answer) for outcome in outcomes) == 10
    with pytest.raises(Refused) as refused:
        one(books, hold(key, offer), at + 40_000)
    assert refused.value.figures == {"limit": 10, "wait_seconds": 20}
    assert one(books, hold(key, offer), at + 60_000).state == "held"


def test_tokens_per_minute_count_what_runs_at_its_most_and_what_ended_as_it_was(books: Books, offer: int) -> None:
    key, at = books.key(tokens_per_minute=250), now_ms()
    first, second = hold(key, offer), hold(key, offer)
    one(books, first, at)
    one(books, second, at)
    assert refusal(books, hold(key, offer), at) == "tokens_per_minute"
    one(books, settle(first, 20, 5), at + 1)
    assert one(books, hold(key, offer), at + 2).state == "held", "25 + 110 + 110 tokens"


def test_a_hold_moves_to_a_longer_offer_only_within_the_rate(books: Books, offer: int) -> None:
    key, at = books.key(tokens_per_minute=250, calls_per_minute=1), now_ms()
    call = hold(key, offer)
    one(books, call, at)
    assert refusal(books, Move(call.call, key.key, key.wallet, offer, 100, 151), at) == "tokens_per_minute"
    moves = [Move(call.call, key.key, key.wallet, offer, 100, 150) for _again in range(2)]
    assert all(isinstance(outcome, Answer) for outcome in run_batch(books.db, moves, now=lambda: at))
    assert one(books, Move(call.call, key.key, key.wallet, offer, 50, 10), at).hold_ufen == 50 * 20 + 10 * 80
    one(books, release(call))


def test_a_name_that_is_asked_again_counts_again(books: Books, offer: int) -> None:
    """A released call leaves one row, however often it was begun; a name that rested for a minute begins anew."""
    key, at = books.key(calls_per_minute=2), now_ms()
    call = replace(hold(key, offer), named=True)
    for later in (0, 30_000):
        one(books, call, at + later)
        one(books, release(call), at + later)
    assert refusal(books, call, at + 40_000) == "calls_per_minute"
    one(books, call, at + 90_000)
    assert books.row("maas_call", call.call, "asks") == (1,)


def local_ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=LOCAL).timestamp()) * 1000


# --- budgets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("period", "before", "after"),
    [("day", "2026-03-01 23:59:59", "2026-03-02 00:00:00"), ("month", "2026-02-28 23:59:59", "2026-03-01 00:00:00")],
)
def test_a_budget_begins_anew_at_local_midnight(books: Books, offer: int, period: str, before: str, after: str) -> None:
    """A call counts in the period in which it began, even when it is settled in the next."""
    early, late = map(local_ms, (before, after))
    books.change("maas_offer", offer, since_ms=early - DAY_MS)
    key = books.key(period=period, budget_ufen=2 * MOST, expires_ms=late + 40 * DAY_MS)
    first, running = hold(key, offer), hold(key, offer)
    one(books, first, early)
    one(books, settle(first), early)
    one(books, running, early)
    assert refusal(books, hold(key, offer), early) == "budget_spent"
    fresh = hold(key, offer)
    one(books, fresh, late)
    assert books.row("maas_key", key.key, "held_ufen", "spent_ufen") == (2 * MOST, 0)
    one(books, settle(running), late)
    assert books.row("maas_key", key.key, "held_ufen", "spent_ufen", "period_start_ms") == (MOST, 0, late)
    one(books, settle(fresh), late)
    assert books.row("maas_key", key.key, "held_ufen", "spent_ufen") == (0, MOST)
    assert books.money(key) == (0, 3 * MOST)


# --- death and late news ----------------------------------------------------------------------------------------------


def test_a_hold_that_nobody_extends_expires_and_is_whole_again(books: Books, offer: int) -> None:
    key, at = books.key(), now_ms()
    dead, alive = hold(key, offer), hold(key, offer)
    run_batch(books.db, [dead, alive], now=lambda: at)
    end = at + HOLD_SECONDS * 1000
    extend(books.db, [alive.call], end + 1)
    (found,) = expired(books.db, end)
    assert found == Expire(dead.call, key.key, key.wallet)
    assert one(books, found, end).state == "expired"
    assert books.call(dead.call)["outcome"] == "lost"
    assert one(books, Expire(alive.call, key.key, key.wallet), end).state == "held"
    assert books.money(key) == (MOST, 0)


def test_a_late_settlement_is_paid_when_the_money_is_still_free(books: Books, offer: int) -> None:
    key, at = books.key(books.wallet(MOST)), now_ms()
    end = at + HOLD_SECONDS * 1000
    call = hold(key, offer)
    one(books, call, at)
    one(books, Expire(call.call, key.key, key.wallet), end)
    assert one(books, settle(call, 30, 4), end).cost_ufen == 920
    assert books.call(call.call)["state"] == "settled"
    assert books.money(key) == (0, 920)


def test_a_late_settlement_never_takes_what_another_call_holds(books: Books, offer: int) -> None:
    key, at = books.key(books.wallet(MOST)), now_ms()
    end = at + HOLD_SECONDS * 1000
    call = hold(key, offer)
    one(books, call, at)
    one(books, Expire(call.call, key.key, key.wallet), end)
    one(books, hold(key, offer), end)
    assert one(books, settle(call, 30, 4), end).cost_ufen == 0
    assert books.call(call.call)["state"] == "expired"
    assert books.money(key) == (MOST, 0)


def test_a_commit_that_was_not_heard_of_is_not_repeated(books: Books, offer: int) -> None:
    key = books.key()
    call = hold(key, offer)
    operations: list[Operation] = [call]
    run_batch(books.db, operations)
    (outcome,) = run_batch(books.db, operations, again=True)
    assert outcome == Answer("held", MOST, 0, 1_000 * UFEN - MOST)
    assert books.money(key) == (MOST, 0)
    run_batch(books.db, [settle(call)])
    assert run_batch(books.db, [settle(call)], again=True) == [Answer("settled", MOST, MOST, 1_000 * UFEN - MOST)]
    assert books.money(key) == (0, MOST)


def test_a_database_that_fails_for_a_moment_is_asked_again(
    books: Books, offer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the commit the connection breaks: the answer is lost, the money is not."""
    key, calls, real = books.key(), itertools.count(), meter.run_batch

    def unlucky(*arguments: Any, **named: Any) -> Any:
        outcomes = real(*arguments, **named)
        if next(calls) == 0:
            raise meter.Gone[1]("the connection broke")
        return outcomes

    monkeypatch.setattr(meter, "run_batch", unlucky)

    async def ask() -> Answer:
        gate = Meter(books.open)
        try:
            return await gate.submit(hold(key, offer))
        finally:
            await gate.close()

    assert asyncio.run(ask()).state == "held"
    assert books.money(key) == (MOST, 0)


def test_a_database_that_is_gone_refuses_and_holds_nothing(
    books: Books, offer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*arguments: Any, **named: Any) -> Any:
        raise meter.Gone[0]("gone")

    monkeypatch.setattr(meter, "run_batch", gone)
    monkeypatch.setattr(meter, "PAUSE_SECONDS", 0.001)

    async def ask() -> Answer:
        gate = Meter(books.open)
        try:
            return await gate.submit(hold(books.key(), offer))
        finally:
            await gate.close()

    with pytest.raises(Unavailable):
        asyncio.run(ask())


def test_one_impossible_operation_does_not_take_the_others_along(books: Books, offer: int) -> None:
    key = books.key()
    stranger = Made(key.key, 10**9, "")

    async def ask() -> list[Any]:
        gate = Meter(books.open)
        try:
            asked = [gate.submit(hold(made, offer)) for made in (key, stranger, key)]
            return await asyncio.gather(*asked, return_exceptions=True)
        finally:
            await gate.close()

    first, second, third = asyncio.run(ask())
    assert (first.state, third.state) == ("held", "held")
    assert isinstance(second, KeyError)
    assert books.money(key) == (2 * MOST, 0)


# --- any order of anything --------------------------------------------------------------------------------------------


def test_money_is_conserved_whatever_happens(books: Books, offer: int) -> None:
    """A machine of its own keeps the books of every step; wallet, keys and calls must say the same, to the µfen."""
    dear = books.offer(books.upstream("http://127.0.0.1:9"), "示例", input_fen=33, cached_fen=33, output_fen=0)
    prices = {offer: (20, 2, 80), dear: (33, 33, 0)}
    tokens = st.integers(0, 120)

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.at = now_ms()
            self.funded = 10_000
            self.wallet = books.wallet(self.funded)
            self.keys = [books.key(self.wallet), books.key(self.wallet, budget_ufen=6_000)]
            self.budgets = {self.keys[0].key: 10**9, self.keys[1].key: 6_000}
            self.open: dict[str, tuple[Hold, int, int]] = {}
            self.late: dict[str, tuple[Hold, int, int]] = {}
            self.spent = {key.key: 0 for key in self.keys}

        def free(self, key: int) -> int:
            held = sum(amount for _hold, amount, _offer in self.open.values())
            mine = sum(amount for one, amount, _offer in self.open.values() if one.key == key)
            return min(self.funded - held - sum(self.spent.values()), self.budgets[key] - mine - self.spent[key])

        def do(self, operation: Operation) -> Answer | Exception:
            (outcome,) = run_batch(books.db, [operation], now=lambda: self.at)
            return outcome

        @rule(which=st.integers(0, 1), dearer=st.booleans(), read=tokens, said=tokens)
        def begin(self, which: int, dearer: bool, read: int, said: int) -> None:
            key, chosen = self.keys[which], dear if dearer else offer
            call, amount = hold(key, chosen, read, said), read * prices[chosen][0] + said * prices[chosen][2]
            fits = amount <= self.free(key.key)
            assert isinstance(self.do(call), Answer if fits else Refused)
            if fits:
                self.open[call.call] = (call, amount, chosen)

        @rule(number=st.integers(0, 9), read=tokens, said=tokens)
        def move(self, number: int, read: int, said: int) -> None:
            if not self.open:
                return
            call, amount, chosen = list(self.open.values())[number % len(self.open)]
            other = dear if chosen == offer else offer
            more = read * prices[other][0] + said * prices[other][2] - amount
            fits = more <= max(0, self.free(call.key))
            outcome = self.do(Move(call.call, call.key, call.wallet, other, read, said))
            assert isinstance(outcome, Answer if fits else Refused)
            if fits:
                moved = replace(call, input_tokens=read, output_tokens=said)
                self.open[call.call] = (moved, amount + more, other)

        @rule(number=st.integers(0, 9), read=tokens, cached=tokens, said=tokens, twice=st.booleans())
        def end(self, number: int, read: int, cached: int, said: int, twice: bool) -> None:
            if not self.open:
                return
            call, _amount, chosen = self.open.pop(list(self.open)[number % len(self.open)])
            operation = settle(call, read, said, cached)
            answer = self.do(operation)
            read, said = min(read, call.input_tokens), min(said, call.output_tokens)
            cached = min(cached, read)
            fresh, again, out = prices[chosen]
            cost = (read - cached) * fresh + cached * again + said * out
            assert isinstance(answer, Answer)
            assert answer.cost_ufen == cost
            self.spent[call.key] += cost
            if twice:
                assert self.do(operation) == answer

        @rule(number=st.integers(0, 9))
        def give_up(self, number: int) -> None:
            if self.open:
                call, _amount, _offer = self.open.pop(list(self.open)[number % len(self.open)])
                self.do(release(call))

        @rule(seconds=st.integers(1, 50))
        def time_passes(self, seconds: int) -> None:
            self.at += seconds * 1000
            for operation in expired(books.db, self.at):
                if operation.call in self.open:
                    self.late[operation.call] = self.open.pop(operation.call)
                    self.do(operation)

        @rule(number=st.integers(0, 9), read=tokens, said=tokens)
        def settle_late(self, number: int, read: int, said: int) -> None:
            if not self.late:
                return
            call, amount, chosen = self.late.pop(list(self.late)[number % len(self.late)])
            cost = read * prices[chosen][0] + said * prices[chosen][2]
            paid = cost if cost <= min(amount, self.free(call.key)) else 0
            answer = self.do(settle(call, read, said))
            assert isinstance(answer, Answer)
            assert answer.cost_ufen == paid
            self.spent[call.key] += paid

        @invariant()
        def books_agree(self) -> None:
            held = sum(amount for _hold, amount, _offer in self.open.values())
            assert books.money(self.keys[0]) == (held, sum(self.spent.values()))
            for key in self.keys:
                mine = sum(amount for one, amount, _offer in self.open.values() if one.key == key.key)
                assert books.row("maas_key", key.key, "held_ufen", "spent_ufen") == (mine, self.spent[key.key])
            assert held + sum(self.spent.values()) <= self.funded

    quick = settings(
        max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    run_state_machine_as_test(Machine, settings=quick)
