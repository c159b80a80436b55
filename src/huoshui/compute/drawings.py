"""Figures of the desk: prices by hour and place, utilisation before and after, why requests were refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from django.utils.translation import gettext as _

from huoshui.base import clock, figures
from huoshui.base.figures import Figure
from huoshui.compute.depositing import DepositCalendar
from huoshui.compute.queries import Grid

HOURS_PER_DAY = 24
YUAN_MFEN = 100_000


def _yuan(mfen: int) -> float:
    """For drawing only: 1/1000 fen as yuan."""
    return round(mfen / YUAN_MFEN, 2)


def hour_of_day(grid: Grid) -> list[int]:
    """Local hour of the day of each hour of the round."""
    return [clock.local(clock.instant_of(grid.round.start_hour + hour)).hour for hour in range(grid.round.hours)]


def price_map(grid: Grid) -> Figure:
    """Mean slot price of each pool by hour of the day, weighted by offered cards (yuan per card-hour)."""
    day = np.array(hour_of_day(grid))
    values: list[list[float | None]] = []
    for index in range(len(grid.pools)):
        row: list[float | None] = []
        for hour in range(HOURS_PER_DAY):
            at = np.flatnonzero(day == hour)
            cards = int(grid.offered[index, at].sum())
            amount = int((grid.offered[index, at] * grid.price[index, at]).sum())
            row.append(_yuan(amount // cards) if cards else None)
        values.append(row)
    return figures.heat_map(
        _("Price by pool and hour of the day"), [str(pool) for pool in grid.pools],
        [f"{hour:02d}" for hour in range(HOURS_PER_DAY)], values, _("yuan per card-hour"),
    )  # fmt: skip


def region_curves(grid: Grid) -> Figure:
    """Price of each region over the round, as mean of every six hours (yuan per card-hour)."""
    step = 6
    columns = [
        clock.local(clock.instant_of(grid.round.start_hour + hour)).strftime("%m-%d %H:00")
        for hour in range(0, grid.round.hours, step)
    ]
    series = {
        name: [_yuan(int(price[start : start + step].mean())) for start in range(0, grid.round.hours, step)]
        for name, price in grid.by_region().items()
    }
    return figures.lines(_("Price by region"), columns, series, _("yuan per card-hour"), step=True)


def utilisation(grid: Grid) -> Figure:
    """Cards in use at each site, of those installed (%): before, what was not offered; after, with what was sold."""
    sites: dict[str, list[int]] = {}
    for index, pool in enumerate(grid.pools):
        sites.setdefault(pool.site.name, []).append(index)
    before, after = [], []
    for rows in sites.values():
        installed = sum(grid.pools[row].cards for row in rows) * grid.round.hours
        idle, sold = int(grid.offered[rows].sum()), int(grid.sold[rows].sum())
        before.append(round(100 * (installed - idle) / installed, 1))
        after.append(round(100 * (installed - idle + sold) / installed, 1))
    return figures.before_after(
        _("Utilisation before and after the round"), list(sites), before, after, "%", (_("before"), _("after"))
    )


def refusal_bars(counts: Mapping[str, int]) -> Figure:
    """Refused requests by reason."""
    return figures.bars(_("Refused requests by reason"), list(counts), list(counts.values()), _("requests"))


# --- the desk and one deposit at a glance ----------------------------------------------------------------------------


def offered_and_sold(grid: Grid) -> Figure:
    """Card-hours of every six hours of a round: sold, and idle still."""
    step = 6
    starts = range(0, grid.round.hours, step)
    columns = [clock.local(clock.instant_of(grid.round.start_hour + hour)).strftime("%m-%d %H:00") for hour in starts]
    sold, free = ([int(cards[:, hour : hour + step].sum()) for hour in starts] for cards in (grid.sold, grid.free))
    title = _("Idle card-hours and what was sold of them")
    return figures.stacked(title, columns, {_("sold"): sold, _("still idle"): free}, _("card-hours"))


def deposit_map(calendar: DepositCalendar, days: Iterable[int], show: str) -> Figure:
    """Days × hours of a deposit: cards sold unless `show` asks for those offered, free or recalled."""
    titles = {"offered": _("Cards offered"), "free": _("Cards not sold"), "recalled": _("Cards recalled")}
    cards = getattr(calendar, show if show in titles else "sold")
    chosen = list(days)
    values = [
        [int(count) if there else None for count, there in zip(cards[day], calendar.offered[day], strict=True)]
        for day in chosen
    ]
    names = [calendar.days[day].strftime("%m-%d") for day in chosen]
    columns = [f"{hour:02d}" for hour in range(HOURS_PER_DAY)]
    return figures.heat_map(titles.get(show, _("Cards sold")), names, columns, values, _("cards"))


def deposit_money(calendar: DepositCalendar, days: Iterable[int]) -> Figure:
    """Earnings of each day after the fee, against the energy of what was sold (yuan)."""
    chosen = list(days)
    energy = calendar.energy_mfen
    series: dict[str, list[float | None]] = {
        _("earnings after the fee"): [_yuan(int(calendar.earned_mfen[day].sum())) for day in chosen],
        _("energy cost"): [None if energy is None else _yuan(int(energy[day].sum())) for day in chosen],
    }
    names = [calendar.days[day].strftime("%m-%d") for day in chosen]
    return figures.lines(_("Earnings against energy cost"), names, series, _("yuan"), step=True)
