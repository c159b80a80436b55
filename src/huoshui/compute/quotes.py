"""Instant quote 估价: what a run would have cost at the newest published slot prices. An estimate, not an offer.

Low is the cheapest start in the round's hours, high the dearest tenth: between them lies what a firm pays that can
wait, and one that cannot. Where no price is published yet, the list price stands for both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from django.utils.translation import gettext as _

from huoshui.base.errors import Invalid, Problem
from huoshui.compute import needs, queries
from huoshui.compute.models import CardModel, Region, Round
from huoshui.compute.problems import MILLI

HIGH_PERCENTILE = 90
Int64 = npt.NDArray[np.int64]


class Quote(NamedTuple):
    """Fen for the whole run, None where nothing suits; `round` is the number of the round whose prices were used."""

    low_fen: int | None
    high_fen: int | None
    round: int | None


@lru_cache(maxsize=4)
def _grid(round_id: int, statement: str) -> queries.Grid:
    """The prices that a published statement (its digest) binds never change, so they are read once."""
    return queries.grid(Round.objects.get(pk=round_id))


def quote(cards: int, hours: Mapping[CardModel, int], regions: Sequence[Region]) -> Quote:
    """Price range of `cards` together for `hours[model]` unbroken hours on any one of the models in the regions."""
    round_ = queries.last_published()
    if round_ is None:
        listed = queries.list_price(cards, hours, regions)
        return Quote(listed, listed, None)
    grid = _grid(round_.pk, round_.digests.get("statement", ""))
    wanted = {model.code: need for model, need in hours.items()}
    accepted = {region.pk for region in regions}
    costs = [
        run_costs(grid.price[index], grid.offered[index] >= cards, wanted[pool.card_model.code])
        for index, pool in enumerate(grid.pools)
        if pool.card_model.code in wanted and pool.site.region_id in accepted
    ]
    found = np.sort(np.concatenate(costs)) if costs else np.zeros(0, np.int64)
    if not len(found):
        return Quote(None, None, round_.number)
    low, high = int(found[0]), int(found[(len(found) - 1) * HIGH_PERCENTILE // 100])
    return Quote(-(-low * cards // MILLI), -(-high * cards // MILLI), round_.number)


def run_costs(price: Int64, open_: npt.NDArray[np.bool_], need: int) -> Int64:
    """Cost of one card over every unbroken run of `need` open hours (int64[starts], 1/1000 fen)."""
    if need > len(price):
        return np.zeros(0, np.int64)
    total = np.concatenate(([0], np.cumsum(price)))
    closed = np.concatenate(([0], np.cumsum(~open_)))
    fits = closed[need:] == closed[:-need]
    cost: Int64 = (total[need:] - total[:-need])[fits]
    return cost


def priced(task: needs.Task, hours_wanted: int = 24) -> list[dict[str, Any]]:
    """Needs of a task on every model with the quote for each, cheapest first. Raises Invalid out of range."""
    if faults := needs.check(task):
        rule = _("between %(low)s and %(high)s")
        raise Invalid(
            *(
                Problem(name, str(getattr(task, name)), rule % {"low": low, "high": high})
                for name, (low, high) in faults.items()
            )
        )
    models = {model.code: model for model in CardModel.objects.order_by("id")}
    regions = list(Region.objects.all())
    rows = []
    for need in needs.estimate(task, models.values(), hours_wanted):
        price = quote(need.cards, {models[need.model]: need.hours}, regions)
        rows.append(vars(need) | {"low_fen": price.low_fen, "high_fen": price.high_fen})
    return sorted(rows, key=lambda row: (row["low_fen"] is None, row["low_fen"]))
