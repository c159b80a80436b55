"""An engine that does not answer: first its operator is told, then its hours count as failed.

What the bank sold is rescheduled by the bank (`recall_cards` with reason failure); bookings that end within the day are
lost, longer ones wait; jobs go on where their hours now are. Attempts that nobody can ask after are accounted for when
the engine comes back, and after UNKNOWN_AFTER by what the runner itself last saw.

An engine that answers but has lost nodes: what does not work is not sold, deposited or booked anew (`jobs.calendar`).
Where fewer cards work than are promised within AHEAD_HOURS, what is missing counts as failed in those hours only, hour
by hour until they work again. Deposits go first, as the bank finds other cards for what it sold; then the newest
bookings.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

import numpy as np
import numpy.typing as npt
from django.db.models import Max, QuerySet

from huoshui.base import canonical, clock
from huoshui.base.access import Actor
from huoshui.base.errors import Refused
from huoshui.compute import problems
from huoshui.compute.actions.recalls import recall_cards
from huoshui.compute.allocate import stretches
from huoshui.compute.models import Deposit, Recall
from huoshui.engines import Usage
from huoshui.jobs import calendar
from huoshui.jobs.actions import attempts, connections
from huoshui.jobs.actions.bookings import lose_booking
from huoshui.jobs.bookings import OPEN
from huoshui.jobs.calendar import AHEAD_HOURS, LIVE
from huoshui.jobs.connections import DOWN_AFTER, word
from huoshui.jobs.models import Attempt, Booking, Connection

UNKNOWN_AFTER = timedelta(hours=24)
SEEN = "seen by the runner"
Int64 = npt.NDArray[np.int64]
Promise = tuple[Deposit | Booking, Int64]
"""Who was promised cards, and how many in each of the AHEAD_HOURS."""


def consider(actor: Actor, connection: Connection, lost_after: timedelta) -> int:
    """Do what follows from how long an engine has not answered; returns how many things were changed."""
    since = connection.failing_since
    if since is None or clock.now() - since < DOWN_AFTER:
        return 0
    connections.note_down(actor, connection=connection)
    if clock.now() - since < lost_after:
        return 0
    done = _recall(actor, connection) + _lose(actor, connection) + _abandon(actor, connection)
    return done + (_account(actor, connection) if clock.now() - since >= UNKNOWN_AFTER else 0)


def _recall(actor: Actor, connection: Connection) -> int:
    """Report the cards of the site's deposits as failed; what was reported already is not there any more."""
    now = clock.hour_of(clock.now())
    return sum(_fail(actor, deposit, _offered(deposit, now), now) for deposit in _deposits(connection, now))


def _deposits(connection: Connection, now: int) -> "QuerySet[Deposit]":
    """What the site's operator has in the bank within AHEAD_HOURS."""
    rows = Deposit.objects.filter(
        pool__site=connection.site_id, state=Deposit.State.OPEN, resold_from=None, stretches__end_hour__gt=now,
        stretches__start_hour__lt=now + AHEAD_HOURS,
    )  # fmt: skip
    return rows.select_related("pool__card_model").distinct().order_by("-id")


def _offered(deposit: Deposit, now: int) -> Int64:
    """Cards of a deposit that are on offer or sold, int64[AHEAD_HOURS]."""
    return problems.free_cards([deposit], now, now + AHEAD_HOURS, problems.live_shares().none())[0].astype(np.int64)


def _fail(actor: Actor, promise: Deposit | Booking, cards: Int64, now: int) -> int:
    """Report so many cards of each hour as failed; returns how many stretches were reported."""
    done = 0
    for start, end, count in stretches({now + offset: int(number) for offset, number in enumerate(cards) if number}):
        if isinstance(promise, Booking):
            lose_booking(actor, booking=promise, start_hour=start, end_hour=end, cards=count)
            done += 1
            continue
        with suppress(Refused):  # a round is being published; the next turn tries again
            recall_cards(
                actor, deposit=promise, start_hour=start, end_hour=end, cards=count, reason=Recall.Reason.FAILURE
            )
            done += 1
    return done


def shortage(connection: Connection, working: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """(working, wanted) of each card model of which fewer work than the site's pools have, or have promised within
    AHEAD_HOURS, by the engine's word.

    A model that the engine does not name is not counted: nobody knows of it.
    """
    wanted = Counter[str]()
    for pool in connection.site.pools.select_related("card_model"):
        wanted[word(connection, pool.card_model.code)] += pool.cards
    for said, promises in _promises(connection).items():
        wanted[said] = max(wanted[said], int(_sum(promises).max()))
    return {said: (working[said], count) for said, count in wanted.items() if working.get(said, count) < count}


def take_back(actor: Actor, connection: Connection, lost_after: timedelta) -> int:
    """Report what is promised beyond the cards that work as failed, where they have been too few for so long; returns
    how many things were changed."""
    now, done = clock.hour_of(clock.now()), 0
    lasting = connection.shortages.filter(since__lte=clock.now() - lost_after)
    working = dict(lasting.values_list("word", "working"))
    if not working:
        return 0
    for said, promises in _promises(connection).items():
        over = np.maximum(_sum(promises) - working.get(said, np.iinfo(np.int64).max), 0)
        for promise, cards in promises:
            failed = np.minimum(cards, over)
            over -= failed
            done += _fail(actor, promise, failed, now)
    return done


def _promises(connection: Connection) -> dict[str, list[Promise]]:
    """What is promised within AHEAD_HOURS by the engine's word for the card model: deposits, then bookings of other
    sellers, the newest first."""
    now, found = clock.hour_of(clock.now()), defaultdict[str, list[Promise]](list)
    for deposit in _deposits(connection, now):
        found[word(connection, deposit.pool.card_model.code)].append((deposit, _offered(deposit, now)))
    others = Booking.objects.filter(
        pool__site=connection.site_id, state__in=LIVE, from_deposits=False, end_hour__gt=now,
        start_hour__lt=now + AHEAD_HOURS,
    )  # fmt: skip
    for booking in others.select_related("pool__card_model").order_by("-id"):
        cards = calendar.booked_cards(booking, now, now + AHEAD_HOURS)
        found[word(connection, booking.pool.card_model.code)].append((booking, cards))
    return found


def _sum(promises: Sequence[Promise]) -> Int64:
    return np.sum([cards for _promise, cards in promises], axis=0, dtype=np.int64)


def _lose(actor: Actor, connection: Connection) -> int:
    """Bookings of other sellers that end within AHEAD_HOURS are lost."""
    now, done = clock.hour_of(clock.now()), 0
    live = Booking.objects.filter(pool__site=connection.site_id, state__in=LIVE, from_deposits=False)
    for booking in live.annotate(last=Max("stretches__end_hour")).filter(last__gt=now, last__lte=now + AHEAD_HOURS):
        lose_booking(actor, booking=booking)
        done += 1
    return done


def _abandon(actor: Actor, connection: Connection) -> int:
    """Jobs of bookings that are no longer live go on without their attempts here."""
    lost = connection.attempts.filter(OPEN).exclude(booking__state__in=LIVE).exclude(reason="engine_lost")
    for attempt in lost.order_by("id"):
        attempts.abandon(actor, attempt=attempt)
    return len(lost)


def _account(actor: Actor, connection: Connection) -> int:
    """Close attempts of bookings that are over by what the runner saw."""
    unknown = connection.attempts.filter(OPEN).exclude(booking__state__in=LIVE)
    for attempt in unknown.order_by("id"):
        attempts.account(actor, attempt=attempt, exit_code=None, reason="engine_lost", usage=_seen(attempt))
    return len(unknown)


def _seen(attempt: Attempt) -> Usage | None:
    """An account of what was last seen; None when it was never seen running."""
    if attempt.started_at is None or attempt.seen_at is None:
        return None
    seconds = max(int((attempt.seen_at - attempt.started_at).total_seconds()), 0)
    raw = canonical.encode({"name": attempt.name, "started": attempt.started_at, "seen": attempt.seen_at}).decode()
    return Usage(attempt.cards, attempt.cards * seconds, attempt.started_at, attempt.seen_at, SEEN[:20], raw)
