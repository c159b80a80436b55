"""What became of installed cards in a month: used, rented, and how much of what was rented ran. By pool, site, in all.

*Used* counts what the engine tells of an hour (its idle profile) and, in hours of which it tells nothing, the
card-seconds that it accounted for our attempts. *Rented* counts what bookings were given. A pool of which nobody tells
anything is not part of a ratio; without any such pool the ratio is no data, never zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
from django.db.models import Exists, Min, OuterRef, Q

from huoshui.base import clock
from huoshui.base.models import LogRecord
from huoshui.compute.models import Deposit, Pool
from huoshui.jobs.models import Attempt, BookedStretch, Booking, Connection, IdleProfile
from huoshui.terms.rounding import BPS

HOUR_SECONDS = 3600
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Use:
    """Card-seconds of some pools over some hours. `known`: installed where use is known; `open`: where cards were
    offered or rented. `ran` of `due`: what was accounted for, of what bookings that are over were given."""

    known: int = 0
    used: int = 0
    open: int = 0
    rented: int = 0
    due: int = 0
    ran: int = 0

    def __add__(self, other: Use) -> Use:
        return Use(*(mine + theirs for mine, theirs in zip(self._all(), other._all(), strict=True)))

    def _all(self) -> tuple[int, ...]:
        return self.known, self.used, self.open, self.rented, self.due, self.ran

    @property
    def used_bps(self) -> int | None:
        return _bps(self.used, self.known)

    @property
    def rented_bps(self) -> int | None:
        return _bps(self.rented, self.open)

    @property
    def ran_bps(self) -> int | None:
        return _bps(self.ran, self.due)


def _bps(part: int, whole: int) -> int | None:
    return part * BPS // whole if whole else None


def by_pool(pools: Iterable[Pool], first: int, last: int) -> dict[int, Use]:
    """The use of each pool, by its key, in the hours [first, last); seven queries for any number of pools."""
    listed = list(pools)
    keys, hours = [pool.pk for pool in listed], last - first
    told, profiled = _profiles(keys, first, last)
    attempts = _attempts(keys, first, last)
    connected = _connected(keys, last)
    rented, given = _rented(keys, first, last)
    offered = set(Deposit.objects.filter(
        Q(stretches__start_hour__lt=last, stretches__end_hour__gt=first), pool__in=keys
    ).values_list("pool", flat=True))  # fmt: skip
    found = {}
    for pool in listed:
        key, installed = pool.pk, pool.cards * hours * HOUR_SECONDS
        ours = attempts.get(key, np.zeros(hours, np.int64))
        known = key in connected or key in told or bool(ours.any())
        used = np.where(profiled[key], told[key] * HOUR_SECONDS, ours) if key in told else ours
        due, ran = given.get(key, (0, 0))
        is_open = key in offered or bool(rented.get(key))
        found[key] = Use(
            installed if known else 0, int(used.sum()), installed if is_open else 0, rented.get(key, 0), due, ran
        )
    return found


def total(first: int, last: int) -> Use:
    """The use of all pools together."""
    return sum(by_pool(Pool.objects.all(), first, last).values(), Use())


def by_site(pools: Iterable[Pool], first: int, last: int) -> dict[int, Use]:
    """The use of each site's pools together, by the site's key."""
    listed, found = list(pools), defaultdict[int, Use](Use)
    uses = by_pool(listed, first, last)
    for pool in listed:
        found[pool.site_id] += uses[pool.pk]
    return dict(found)


def _connected(keys: list[int], last: int) -> set[int]:
    """Pools whose site had an engine before the hour: what nobody could tell of earlier is no zero."""
    rows = list(Connection.objects.filter(site__pools__in=keys).values_list("pk", "site__pools"))
    label = Connection._meta.label_lower
    told = LogRecord.objects.filter(subject__in={f"{label}:{pk}" for pk, _pool in rows}, action="jobs.connection.set")
    since = dict(told.values_list("subject").annotate(first=Min("recorded_at")).order_by())
    end = clock.instant_of(last)
    return {pool for pk, pool in rows if since.get(f"{label}:{pk}", clock.EPOCH) < end}


def _profiles(keys: list[int], first: int, last: int) -> tuple[dict[int, Int64], dict[int, npt.NDArray[np.bool_]]]:
    """Cards in use by hour where the engine told, and in which hours it did."""
    used: dict[int, Int64] = defaultdict(lambda: np.zeros(last - first, np.int64))
    known: dict[int, npt.NDArray[np.bool_]] = defaultdict(lambda: np.zeros(last - first, np.bool_))
    rows = IdleProfile.objects.filter(pool__in=keys, hour__gte=first, hour__lt=last)
    for pool, hour, cards in rows.values_list("pool", "hour", "cards_used").iterator():
        used[pool][hour - first], known[pool][hour - first] = cards, True
    return dict(used), dict(known)


def _attempts(keys: list[int], first: int, last: int) -> dict[int, Int64]:
    """Card-seconds of our attempts by hour; an attempt's card-seconds are spread evenly over its run."""
    found: dict[int, Int64] = defaultdict(lambda: np.zeros(last - first, np.int64))
    start, end = clock.instant_of(first), clock.instant_of(last)
    rows = Attempt.objects.filter(
        booking__pool__in=keys, card_seconds__gt=0, started_at__lt=end, ended_at__gte=start
    ).values_list("booking__pool", "card_seconds", "started_at", "ended_at")
    for pool, seconds, since, until in rows.iterator():
        assert seconds is not None
        assert since is not None
        assert until is not None
        for hour, share in _spread(seconds, since, until):
            if first <= hour < last:
                found[pool][hour - first] += share
    return dict(found)


def _spread(seconds: int, since: datetime, until: datetime) -> list[tuple[int, int]]:
    """Card-seconds by hour, in proportion to the time in each; they add up to what was accounted."""
    begun, whole = (since - clock.EPOCH).total_seconds(), (until - since).total_seconds()
    if whole <= 0:
        return [(clock.hour_of(since), seconds)]
    shares, told = [], 0
    for hour in range(clock.hour_of(since), clock.hour_of(until) + 1):
        upto = min(max((hour + 1) * HOUR_SECONDS - begun, 0), whole)
        now = int(seconds * upto / whole)
        shares.append((hour, now - told))
        told = now
    return shares


def _rented(keys: list[int], first: int, last: int) -> tuple[dict[int, int], dict[int, tuple[int, int]]]:
    """Card-seconds that bookings were given in the hours; and of bookings whose last hour lies in them: given, ran."""
    rented: dict[int, int] = defaultdict(int)
    over: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    ended = Q(booking__end_hour__gt=first, booking__end_hour__lte=min(last, clock.hour_of(clock.now())))
    rows = BookedStretch.objects.filter(booking__pool__in=keys).exclude(booking__state=Booking.State.CANCELLED)
    columns = ("booking__pool", "start_hour", "end_hour", "cards")
    for pool, start, end, cards in rows.filter(start_hour__lt=last, end_hour__gt=first).values_list(*columns):
        rented[pool] += cards * (min(end, last) - max(start, first)) * HOUR_SECONDS
    for pool, start, end, cards in rows.filter(ended).values_list(*columns):
        over[pool][0] += cards * (end - start) * HOUR_SECONDS
    there = BookedStretch.objects.filter(booking=OuterRef("booking"))
    runs = Attempt.objects.filter(Exists(there), ended, booking__pool__in=keys, card_seconds__isnull=False)
    runs = runs.exclude(booking__state=Booking.State.CANCELLED)
    for pool, seconds in runs.values_list("booking__pool", "card_seconds").iterator():
        over[pool][1] += seconds or 0
    return dict(rented), {pool: (given, ran) for pool, (given, ran) in over.items()}
