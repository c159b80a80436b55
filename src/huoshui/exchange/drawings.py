"""The figure of the exchange: demand and supply of an auction, by price."""

from collections.abc import Sequence

from django.utils.translation import gettext as _

from huoshui.base import figures
from huoshui.base.figures import Figure

POINTS_MAX = 60
YUAN_MFEN = 100_000


def curve(prices: Sequence[int], demand: Sequence[int], supply: Sequence[int], at: int | None) -> Figure:
    """Lots that buyers would take and sellers give at each price: at most POINTS_MAX prices, and the auction's."""
    every = -(-len(prices) // POINTS_MAX)
    rows = [row for row in range(len(prices)) if row % every == 0 or prices[row] == at]
    return figures.lines(
        _("Demand and supply by price (yuan per card-hour)"),
        [f"{prices[row] / YUAN_MFEN:.2f}" for row in rows],
        {_("demand"): [demand[row] for row in rows], _("supply"): [supply[row] for row in rows]},
        _("lots"), step=True,
    )  # fmt: skip
