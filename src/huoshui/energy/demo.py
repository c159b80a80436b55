"""The demo's plan: the lake site with a cold store, tomorrow in quarter-hours, put in force."""

import random
from collections.abc import Iterator
from datetime import timedelta
from math import sin, tau

from django.utils.translation import gettext as _

from huoshui.base import access, clock
from huoshui.base.demo import Step
from huoshui.compute.demo import first_day, midday
from huoshui.compute.models import Site
from huoshui.energy import actions
from huoshui.energy.curves import Curve

ACTOR = access.system("demo")
SEED, SITE = 775, "hupan"
STEPS, MINUTES = 96, 15
DAYS = (1, 2, 8)
"""Days from the first one on: the last is the first of the round that is still open."""


def load() -> Iterator[Step]:
    """What the site has, three days of load, a plan for each, the first and the last in force."""
    site = Site.objects.filter(code=SITE).first()
    if site is None:
        return
    with clock.moved_to(midday(first_day())):
        actions.describe(
            ACTOR, key="demo/energy/site", site=site, chiller_w=4_200_000, cop_milli=4_300, grid_w=6_000_000,
            tank_wh=14_000_000, charge_w=2_000_000, discharge_w=2_000_000, loss_bps=30, tank_fill_bps=2_000,
            movable_max_w=600_000, demand_fen=4_800,
        )  # fmt: skip
        plans = []
        for day in DAYS:
            curve = actions.upload_curve(
                ACTOR, key=f"demo/energy/curve/{day}", site=site, curve=_curve(day),
                name=f"示例负荷 {day}",
            )  # fmt: skip
            plans.append(actions.make_plan(ACTOR, key=f"demo/energy/plan/{day}", curve=curve))
        for day in (0, -1):
            actions.approve(ACTOR, key=f"demo/energy/approve/{DAYS[day]}", plan=plans[day])
    yield _("An energy plan for %(site)s saves %(percent)s %% of a day's electricity") % {
        "site": site.name, "percent": (plans[0].saved_bps or 0) // 100,
    }  # fmt: skip


def _curve(day: int) -> Curve:
    """A day of invented load: steady IT, office hours that can wait, a roof of PV, warmer afternoons."""
    dice = random.Random(SEED + day)  # noqa: S311
    start = clock.hour_of(clock.day_start(first_day() + timedelta(days=day)))
    hours = [step * MINUTES / 60 for step in range(STEPS)]
    return Curve(start, start + 24, MINUTES, {
        "it_w": [2_600_000 + int(200_000 * sin(tau * (hour - 8) / 24)) + dice.randrange(40_000) for hour in hours],
        "movable_w": [400_000 if 9 <= hour < 18 else 0 for hour in hours],
        "other_w": [180_000] * STEPS,
        "pv_w": [max(0, int(900_000 * sin(tau * (hour - 6) / 24))) for hour in hours],
        "cop_milli": [4_300 - int(600 * sin(tau * (hour - 9) / 24)) for hour in hours],
    })  # fmt: skip
