"""Which cards of a pool are free in which hour, and which cards of a booking are still its own.

A card of a pool is in one of three places: in the bank (an open deposit of the operator), in a booking, or free. What a
deposit recalled is free again; cards that failed are not. A booking whose cards come out of deposits takes nothing
from the pool, as the deposit has taken it already. Cards that do not work are not free, whatever becomes of them later:
nobody knows when they will work again.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db.models import Exists, OuterRef, Q, QuerySet

from huoshui.base import clock
from huoshui.compute.models import Deposit, DepositStretch, Pool, Recall
from huoshui.jobs import connections
from huoshui.jobs.models import BookedStretch, Booking, Connection, Shortage

Int64 = npt.NDArray[np.int64]
Row = tuple[int, int, int, int]
"""(key, start_hour, end_hour, cards)"""
LIVE = (Booking.State.PLANNED, Booking.State.RESERVED)
AHEAD_HOURS = 24
"""An engine that is down now is not expected back for so long."""


def free_cards(pools: Sequence[Pool], start_hour: int, end_hour: int) -> Int64:
    """Cards of each pool that work and are neither deposited nor booked, int64[pools, hours], never below 0.

    Four queries, six where cards of some pool do not work.
    """
    cards = np.repeat(np.array([pool.cards for pool in pools], np.int64), end_hour - start_hour)
    free = cards.reshape(len(pools), end_hour - start_hour)
    row = {pool.pk: index for index, pool in enumerate(pools)}
    own = {"deposit__pool__in": row, "deposit__state": Deposit.State.OPEN, "deposit__resold_from": None}

    def rows(queryset: Any, pool: str) -> Any:
        met = queryset.filter(start_hour__lt=end_hour, end_hour__gt=start_hour)
        return met.values_list(pool, "start_hour", "end_hour", "cards")

    _add(free, row, start_hour, rows(DepositStretch.objects.filter(**own), "deposit__pool"), -1)
    recalled = Recall.objects.filter(**own, reason=Recall.Reason.RECALL)
    _add(free, row, start_hour, rows(recalled, "deposit__pool"), 1)
    _add(free, row, start_hour, rows(_taken().filter(booking__pool__in=row), "booking__pool"), -1)
    return np.maximum(free - missing_cards(pools, start_hour, end_hour), 0)


def taken_cards(pool: Pool, start_hour: int, end_hour: int) -> Int64:
    """Cards of a pool that bookings took from it or that do not work, int64[hours]; deposits may not offer them."""
    taken = np.zeros((1, end_hour - start_hour), np.int64)
    met = _taken().filter(booking__pool=pool, start_hour__lt=end_hour, end_hour__gt=start_hour)
    _add(taken, {pool.pk: 0}, start_hour, met.values_list("booking__pool", "start_hour", "end_hour", "cards"), 1)
    return taken[0] + missing_cards([pool], start_hour, end_hour)[0]


def missing_cards(pools: Sequence[Pool], start_hour: int, end_hour: int) -> Int64:
    """Cards of each pool that do not work, int64[pools, hours]: what the engine's last count lacked, in every hour; all
    of them in the next AHEAD_HOURS while it is down."""
    missing = np.zeros((len(pools), end_hour - start_hour), np.int64)
    short = Exists(Shortage.objects.filter(connection=OuterRef("pk")))
    ailing = Q(short) | Q(failing_since__lte=clock.now() - connections.DOWN_AFTER)
    rows = Connection.objects.filter(ailing, state__in=connections.VISITED).prefetch_related("shortages")
    engines = {engine.site_id: engine for engine in rows}
    if not engines:
        return missing
    row, until = {pool.pk: index for index, pool in enumerate(pools)}, clock.hour_of(clock.now()) + AHEAD_HOURS
    there = Pool.objects.filter(site__in=engines).select_related("card_model")
    words = {pool: (pool.site_id, connections.word(engines[pool.site_id], pool.card_model.code)) for pool in there}
    wanted = Counter[tuple[int, str]]()
    for pool, word in words.items():
        wanted[word] += pool.cards
    working = {(site, one.word): one.working for site, engine in engines.items() for one in engine.shortages.all()}
    for pool, word in words.items():
        if pool.pk in row:
            lacks = missing[row[pool.pk]]
            lacks += max(wanted[word] - working.get(word, wanted[word]), 0)
            if connections.is_down(engines[pool.site_id]):
                lacks[: max(until - start_hour, 0)] = pool.cards
    return missing


def booked_cards(booking: Booking, start_hour: int, end_hour: int) -> Int64:
    """Cards of one booking by hour, int64[hours]: what is left of it after passing on and taking back."""
    cards = np.zeros((1, end_hour - start_hour), np.int64)
    met = booking.stretches.filter(start_hour__lt=end_hour, end_hour__gt=start_hour)
    _add(cards, {booking.pk: 0}, start_hour, met.values_list("booking", "start_hour", "end_hour", "cards"), 1)
    return cards[0]


def by_hour(stretches: Iterable[BookedStretch]) -> dict[int, int]:
    """Cards by hour."""
    return {hour: s.cards for s in stretches for hour in range(s.start_hour, s.end_hour)}


def joined(stretches: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Stretches in order, those that touch made one."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(stretches):
        if found and found[-1][1] == start:
            found[-1] = found[-1][0], end
        else:
            found.append((start, end))
    return found


def _taken() -> "QuerySet[BookedStretch]":
    return BookedStretch.objects.filter(booking__state__in=LIVE, booking__from_deposits=False)


def _add(cards: Int64, row: dict[int, int], first: int, rows: Iterable[Row], sign: int) -> None:
    """Add rows to the array in place, cut to its hours."""
    hours = cards.shape[1]
    for key, start, end, count in rows:
        cards[row[key], max(start - first, 0) : min(end - first, hours)] += sign * count
