"""Figures of the desk, each with its table beneath: cost by day, by model and by key."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from django.utils.translation import gettext as _

from huoshui.base import figures
from huoshui.maas.models import UFEN
from huoshui.maas.queries import Sums

DAYS_DRAWN_MAX = 92
BARS_MAX = 12


def _yuan(ufen: int) -> float:
    return round(ufen / (100 * UFEN), 2)


def by_day(sums: Mapping[date, Sums]) -> figures.Figure | None:
    """Cost of each day, days without calls included; None of nothing."""
    if not sums:
        return None
    last = max(sums)
    first = max(min(sums), last - timedelta(days=DAYS_DRAWN_MAX - 1))
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    values = [_yuan(sums[day].cost_ufen) if day in sums else 0 for day in days]
    return figures.lines(_("Cost by day"), [f"{day:%m-%d}" for day in days], {_("Cost"): values}, _("yuan"))


def by_name(title: str, sums: Mapping[str, Sums]) -> figures.Figure | None:
    """Cost of each model or key, the dearest first; None of nothing."""
    dearest = sorted(sums.items(), key=lambda pair: (-pair[1].cost_ufen, pair[0]))[:BARS_MAX]
    if not dearest:
        return None
    names, costs = zip(*((name, _yuan(row.cost_ufen)) for name, row in dearest), strict=True)
    return figures.bars(title, list(names), list(costs), _("yuan"))
