"""What became of a deposit, hour by hour: offered, sold, recalled, what it earns and what its energy costs.

Everything is counted from the rows that rounds and recalls left behind, as arrays over whole local days. Earnings are
card-hours sold at the published slot prices, less the fee of their round; they become final with the statements.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db.models import F, Max, Min, Sum

from huoshui.base import clock
from huoshui.base.errors import Missing
from huoshui.compute.models import Deposit, DepositStretch, Pool, Recall, Round, SlotPrice
from huoshui.compute.problems import energy_price_mfen, live_shares, terms_of
from huoshui.terms.rounding import BPS

Int64 = npt.NDArray[np.int64]
HOURS_PER_DAY = 24
MFEN_PER_FEN = 1000
Taken = Callable[[Pool, int, int], Int64]
"""`hook(pool, start_hour, end_hour)`: cards of the pool that something else took, int64[hours]."""
_taken: list[Taken] = []


def on_taken(hook: Taken) -> None:
    """Add what takes cards of pools beside deposits, such as bookings (called once, from its apps.py)."""
    _taken.append(hook)


def taken(pool: Pool, start: int, end: int) -> Int64:
    """Cards of a pool that cannot be deposited because something else took them, int64[end−start]."""
    return sum((hook(pool, start, end) for hook in _taken), np.zeros(end - start, np.int64))


@dataclass(frozen=True)
class Tally:
    """A deposit in one line: its hours (since the epoch) and its card-hours."""

    first_hour: int | None
    last_hour: int | None
    offered: int
    sold: int
    recalled: int

    @property
    def unsold(self) -> int:
        return max(self.offered - self.sold - self.recalled, 0)


def tallies(deposits: Iterable[Deposit]) -> dict[int, Tally]:
    """The tally of each deposit by its key, in three queries."""
    keys = [deposit.pk for deposit in deposits]
    size = Sum(F("cards") * (F("end_hour") - F("start_hour")))

    def by_deposit(rows: Any, **more: Any) -> dict[int, dict[str, Any]]:
        found = rows.filter(deposit__in=keys).values("deposit").annotate(size=size, **more).order_by()
        return {row["deposit"]: row for row in found}

    offered = by_deposit(DepositStretch.objects, first=Min("start_hour"), last=Max("end_hour"))
    sold, recalled = by_deposit(live_shares()), by_deposit(Recall.objects)
    none: dict[str, Any] = {"first": None, "last": None, "size": 0}
    found = {}
    for pk in keys:
        there = offered.get(pk, none)
        sizes = (there["size"], sold.get(pk, none)["size"], recalled.get(pk, none)["size"])
        found[pk] = Tally(there["first"], there["last"], *sizes)
    return found


@dataclass(frozen=True)
class DepositCalendar:
    """Whole local days × 24 hours: cards offered, sold and recalled; earnings and energy cost in 1/1000 fen.

    `earned_mfen` is after the fee. `energy_mfen` is the electricity of what was sold; None when no tariff is in force.
    """

    days: list[date]
    offered: Int64
    sold: Int64
    recalled: Int64
    earned_mfen: Int64
    energy_mfen: Int64 | None

    @property
    def free(self) -> Int64:
        return np.maximum(self.offered - self.sold - self.recalled, 0)

    @property
    def earned_fen(self) -> int:
        return int(self.earned_mfen.sum()) // MFEN_PER_FEN

    @property
    def energy_fen(self) -> int | None:
        return None if self.energy_mfen is None else -(-int(self.energy_mfen.sum()) // MFEN_PER_FEN)


def calendar_of(deposit: Deposit) -> DepositCalendar | None:
    """The calendar of all days on which a deposit offers cards; None when it offers nothing."""
    reach = deposit.stretches.aggregate(first=Min("start_hour"), last=Max("end_hour"))
    if reach["first"] is None:
        return None
    first_day = clock.local(clock.instant_of(reach["first"])).date()
    last_day = clock.local(clock.instant_of(reach["last"] - 1)).date()
    days = [first_day + timedelta(days=count) for count in range((last_day - first_day).days + 1)]
    start = clock.hour_of(datetime.combine(first_day, time(), clock.LOCAL))
    hours = start + np.arange(len(days) * HOURS_PER_DAY, dtype=np.int64)

    def cards(rows: Any) -> Int64:
        found = np.zeros(len(hours), np.int64)
        for first, last, count in rows.values_list("start_hour", "end_hour", "cards"):
            found[max(first - start, 0) : max(last - start, 0)] += count
        return found

    sold = cards(live_shares().filter(deposit=deposit))
    energy = _energy(deposit, hours)

    def by_day(column: Int64) -> Int64:
        return column.reshape(len(days), HOURS_PER_DAY)

    return DepositCalendar(
        days, by_day(cards(deposit.stretches)), by_day(sold), by_day(cards(deposit.recalls)),
        by_day(_earned(deposit, start, hours)), None if energy is None else by_day(energy * sold),
    )  # fmt: skip


def _earned(deposit: Deposit, start: int, hours: Int64) -> Int64:
    """What the cards sold bring in each hour, after the fee of their round (1/1000 fen).

    The price is the slot price, or the share's own after a reschedule.
    """
    earned = np.zeros(len(hours), np.int64)
    by_round: dict[int, list[tuple[int, int, int, int | None]]] = defaultdict(list)
    shares = live_shares().filter(deposit=deposit)
    rows = shares.values_list("allocation__round", "start_hour", "end_hour", "cards", "price_mfen")
    for number, first, last, cards, own in rows:
        by_round[number].append((first, last, cards, own))
    for round_ in Round.objects.filter(pk__in=by_round):
        keep_bps, price = BPS - terms_of(round_).fee_bps, np.zeros(len(hours), np.int64)
        prices = SlotPrice.objects.filter(round=round_, pool=deposit.pool_id, hour__gte=start, hour__lte=int(hours[-1]))
        for hour, value in prices.values_list("hour", "price_mfen"):
            price[hour - start] = value
        for first, last, cards, own in by_round[round_.pk]:
            within = slice(max(first - start, 0), max(last - start, 0))
            earned[within] += cards * (price[within] if own is None else own) * keep_bps // BPS
    return earned


def _energy(deposit: Deposit, hours: Int64) -> Int64 | None:
    """Energy of one card in each hour (1/1000 fen); None when no tariff is in force."""
    try:
        return energy_price_mfen(deposit.pool.site, deposit.pool.card_model, hours)
    except Missing:
        return None
