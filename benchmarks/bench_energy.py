"""`python -m benchmarks.bench_energy`: the cheapest day and month of an invented data centre, solved and verified.

Bar: a day of quarter-hours within a few milliseconds. The gap is between the plan's cost and the proved bound.
"""

from __future__ import annotations

import time
from math import pi

import numpy as np
import numpy.typing as npt

from benchmarks.runner import median, publish, table
from huoshui.clearing import energy

SEED, REPEATS, BAR_MS = 1, 15, 10
CASES = ((1, 60), (1, 15), (7, 15), (30, 60), (30, 15))


def problem(days: int, minutes: int) -> energy.Problem:
    """4.5 MW of IT load, a store of 20 MWh, 1.5 MW of PV, three prices, a demand charge."""
    dice = np.random.default_rng(SEED)
    per_hour = 60 // minutes
    steps = 24 * per_hour * days
    hour = (np.arange(steps) / per_hour) % 24
    peak, valley = ((hour >= 9) & (hour < 11)) | ((hour >= 15) & (hour < 17)), (hour < 8) | ((hour >= 11) & (hour < 13))
    return energy.Problem(
        step_minutes=minutes, price=whole(np.where(peak, 137_000, np.where(valley, 40_000, 80_000))),
        it_w=whole(4_000_000 + 500_000 * np.sin(hour / 12 * pi) + dice.normal(0, 50_000, steps)),
        movable_w=whole(np.where((hour >= 8) & (hour < 20), 800_000, 100_000)),
        window=whole(np.arange(steps) // (24 * per_hour)), other_w=whole(np.full(steps, 200_000)),
        pv_w=whole(np.maximum(0, 1_500_000 * np.sin((hour - 6) / 12 * pi))),
        cop_milli=whole(4500 - 800 * np.sin((hour - 9) / 12 * pi)), movable_max_w=2_000_000, chiller_w=8_000_000,
        grid_w=12_000_000, tank_wh=20_000_000, charge_w=3_000_000, discharge_w=3_000_000, loss_bps=20,
        tank_start_wh=5_000_000, tank_end_wh=5_000_000, demand_price=160_000 * days,
    )  # fmt: skip


def whole(column: npt.ArrayLike) -> energy.Int64:
    """Whole watts, 1/1000 fen."""
    return np.asarray(column).astype(np.int64)


def _timed(days: int, minutes: int) -> list[str]:
    asked = problem(days, minutes)
    solving, proving = [], []
    plan = energy.clear(asked)
    for _repeat in range(REPEATS if days == 1 else 3):
        start = time.perf_counter()
        plan = energy.clear(asked)
        middle = time.perf_counter()
        breaches = energy.verify(asked, plan)
        proving.append((time.perf_counter() - middle) * 1000)
        solving.append((middle - start) * 1000)
        assert not breaches, breaches
    saved = plan.saved_fen * 1000 // plan.now_cost_fen / 10
    return [
        f"{days} × {minutes} min", f"{asked.steps:,}", f"{median(solving):.1f}", f"{median(proving):.1f}",
        f"{plan.cost_fen / 100:,.2f}", f"{plan.gap_fen / 100:.2f}", f"{saved:.1f} %",
    ]  # fmt: skip


def main() -> None:
    header = ("horizon (days × step)", "steps", "solve ms", "verify ms", "cost yuan", "gap yuan", "saved")
    rows = [_timed(days, minutes) for days, minutes in CASES]
    notes = (f"Bar: a day of quarter-hours within {BAR_MS} ms. One thread; medians of {REPEATS} runs (longer: 3).",)
    told = table("Energy of an invented data centre, planned and proved", header, rows, *notes)
    print(told)
    publish("energy", told)


if __name__ == "__main__":
    main()
