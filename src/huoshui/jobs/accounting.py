"""What an engine's account of an attempt is worth, and what becomes of its job. Pure: no database, no clock.

An engine is asked, never believed at once. Card-seconds that cannot have run are not billed: not more than the cards
that were asked for, not before the attempt was handed over, not after now. What is wrong is named by codes and kept
with the attempt; the operator of the site gets a case.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from huoshui.engines import Usage

SLACK = timedelta(seconds=5)
"""Clocks of engine and platform may differ by so much."""
ROUNDING_SECONDS = 1
"""An engine may round a run up by so much."""
RETRIED = frozenset({"stretch_ended", "recalled", "nodes", "node_lost", "preempted", "lost", "no_start", "engine_lost"})
"""Reasons that are not the job's own fault: it starts again when attempts and hours are left."""
PLATFORM = frozenset({"stretch_ended", "recalled", "nodes", "booking_over"})


@dataclass(frozen=True)
class Judged:
    """Card-seconds that count, and codes of what cannot be true."""

    card_seconds: int
    faults: tuple[str, ...]


def judge(
    usage: Usage | None, *, cards: int, submitted: datetime, now: datetime, started: datetime | None,
    seen: datetime | None,
) -> Judged:  # fmt: skip
    """The account of an attempt with `cards` cards that has ended.

    `started` is what the engine said while it ran, `seen` when it was last seen running (None: it was not).
    """
    if usage is None:
        return Judged(0, ("account_missing",) if started else ())
    ended = usage.ended or now
    first, last = max(usage.started, submitted - SLACK), min(ended, now + SLACK)
    possible = cards * max(ceil((last - first).total_seconds()) + ROUNDING_SECONDS, 0)
    seen_seconds = cards * int(max(seen - usage.started - SLACK, timedelta()).total_seconds()) if seen else 0
    wrong = {
        "more_cards": usage.cards > cards,
        "started_before_sent": usage.started < submitted - SLACK,
        "ended_before_started": ended < usage.started,
        "ended_in_future": ended > now + SLACK,
        "more_than_possible": usage.card_seconds > possible,
        "negative": usage.card_seconds < 0,
        "less_than_seen": usage.card_seconds < seen_seconds,
        "start_moved": started is not None and abs(usage.started - started) > SLACK,
    }
    return Judged(max(min(usage.card_seconds, possible), 0), tuple(code for code, is_so in wrong.items() if is_so))


@dataclass(frozen=True)
class Outcome:
    """The state of a job after an attempt (a `Job.State`) and the reason, empty when it succeeded."""

    state: str
    reason: str


def outcome(
    *, exit_code: int | None, engine_reason: str, asked: str, cancel_asked: bool, limits: Sequence[tuple[str, bool]],
    again: bool,
) -> Outcome:  # fmt: skip
    """What becomes of a job whose attempt ended.

    `asked`: why the platform asked it to end, if it did; `limits`: (reason, was it so) for a time limit of the engine
    that was really another one; `again`: attempts and hours are left.
    """
    if exit_code == 0 and not engine_reason:
        return Outcome("succeeded", "")
    if cancel_asked:
        return Outcome("cancelled", "cancelled")
    reason = asked or engine_reason or "exit_code"
    if reason == "time_limit":
        reason = next((named for named, is_so in limits if is_so), reason)
    if reason == "capped":
        return Outcome("capped", reason)
    if reason in RETRIED and again:
        return Outcome("queued", reason)
    return Outcome("cancelled" if reason in PLATFORM else "failed", reason)
