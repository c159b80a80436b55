"""What a kilowatt-hour of IT load costs a site, when something knows better than tariff × PUE.

    energy_prices.on_energy(hook)        # from an app's ready()

A hook takes a site and hours since the epoch (int64[T], ascending) and returns int64[T]: the price in 1/1000 fen per
kWh at the card, cooling included, and -1 where it says nothing. The first hook that knows an hour is believed. A round
takes these prices when it is prepared; its stored problem keeps them.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from huoshui.compute.models import Site

Int64 = npt.NDArray[np.int64]
Hook = Callable[[Site, Int64], Int64]
UNKNOWN = -1
_hooks: list[Hook] = []


def on_energy(hook: Hook) -> None:
    """Ask `hook` before the tariff (called once, from apps.py)."""
    _hooks.append(hook)


def known(site: Site, hours: Int64) -> Int64:
    """Price of a kWh at the card in each hour, -1 where only the tariff is known."""
    found = np.full(len(hours), UNKNOWN, np.int64)
    for hook in _hooks:
        found = np.where(found == UNKNOWN, hook(site, hours), found)
    return found
