"""Figures of the desk: prices by hour and place, utilisation before and after, why requests were refused."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from django.utils.translation import gettext as _

from huoshui.base import clock, figures
from huoshui.base.figures import Figure
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
    return figures.before_after(_("Utilisation before and after the round"), list(sites), before, after, "%")


def refusal_bars(counts: Mapping[str, int]) -> Figure:
    """Refused requests by reason."""
    return figures.bars(_("Refused requests by reason"), list(counts), list(counts.values()), _("requests"))
