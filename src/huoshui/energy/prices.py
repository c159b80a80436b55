"""What the plan in force says an hour of IT load costs: the bank asks here before it asks the tariff."""

from __future__ import annotations

import numpy as np

from huoshui.clearing.energy import Int64
from huoshui.compute.models import Site
from huoshui.energy.models import EnergyPlan

UNKNOWN = -1


def in_force(site: Site, start_hour: int, end_hour: int) -> list[EnergyPlan]:
    """Approved plans that have some of the hours, in the order of approval: a later one holds where they overlap."""
    rows = EnergyPlan.objects.filter(
        site=site, state=EnergyPlan.State.APPROVED, start_hour__lt=end_hour, end_hour__gt=start_hour
    )
    return list(rows.defer("problem").order_by("approved_at", "id"))


def marginal(site: Site, hours: Int64) -> Int64:
    """1/1000 fen for one more kWh of IT load in each hour (ascending, since the epoch), -1 where no plan is in force.

    An hour of several steps costs their mean, rounded up.
    """
    found = np.full(len(hours), UNKNOWN, np.int64)
    for plan in in_force(site, int(hours[0]), int(hours[-1]) + 1):
        steps = np.array(plan.result["energy_price"], np.int64).reshape(plan.end_hour - plan.start_hour, -1)
        price = -(-steps.sum(axis=1) // steps.shape[1])
        known = (hours >= plan.start_hour) & (hours < plan.end_hour)
        found[known] = price[hours[known] - plan.start_hour]
    return found
