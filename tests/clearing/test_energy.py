"""The cheapest schedule of a data centre: whole watts, an exact proof, and prices that mean something."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huoshui.clearing import energy
from huoshui.clearing.energy import Breach, Code, Multipliers, NoPlan, Problem

DAY, NIGHT = 120_000, 40_000


def column(*values: int) -> energy.Int64:
    return np.array(values, np.int64)


def problem(steps: int = 24, **changes: Any) -> Problem:
    """A megawatt all day, dear from 8 to 20 hours, with a tank that holds four hours of cold."""
    hours = np.arange(steps) % 24
    full = lambda value: np.full(steps, value, np.int64)  # noqa: E731
    values: dict[str, Any] = {
        "step_minutes": 60, "price": np.where((hours >= 8) & (hours < 20), DAY, NIGHT), "it_w": full(1_000_000),
        "movable_w": full(0), "window": full(0), "other_w": full(0), "pv_w": full(0), "cop_milli": full(4000),
        "movable_max_w": 0, "chiller_w": 2_000_000, "grid_w": 3_000_000, "tank_wh": 4_000_000,
        "charge_w": 1_000_000, "discharge_w": 1_000_000,
    }  # fmt: skip
    return Problem(**values | changes)


def test_a_tank_saves_what_arithmetic_says() -> None:
    """Four MWh of cold at COP 4 move 1 MWh of electricity from 1.20 to 0.40 yuan: 800 yuan, less the watts to spare."""
    found = energy.clear(problem())
    assert energy.verify(problem(), found) == []
    assert 79_990 <= found.saved_fen <= 80_000
    assert found.gap_fen <= 10


def test_movable_load_goes_to_the_cheap_hours_of_its_window() -> None:
    """100 kW that runs by day runs by night, with its cooling: 12 h x 100 kW x 1.25 x 0.80 yuan."""
    hours = np.arange(24)
    asked = problem(
        tank_wh=0, charge_w=0, discharge_w=0, movable_w=np.where((hours >= 8) & (hours < 20), 100_000, 0),
        movable_max_w=200_000,
    )  # fmt: skip
    found = energy.clear(asked)
    assert energy.verify(asked, found) == []
    assert found.moved_w[8:20].sum() == 0
    assert found.moved_w.sum() == 1_200_000
    assert 119_990 <= found.saved_fen <= 120_000


def test_the_price_of_a_step_is_what_one_more_kilowatt_hour_costs() -> None:
    """Ten kWh more cost at least ten times the hour's price, ten less save at most that: it is the marginal price."""
    asked = problem(demand_price=160_000, pv_w=np.where(np.arange(24) == 12, 500_000, 0), loss_bps=50)
    found = energy.clear(asked)
    rounding = 10  # fen: the watts to spare, and three sums rounded up
    for hour in range(24):
        ten = np.where(np.arange(24) == hour, 10_000, 0)
        more, less = (energy.clear(replace(asked, it_w=asked.it_w + sign * ten)).cost_fen for sign in (1, -1))
        ten_kwh_fen = int(found.energy_price[hour]) * 10 // 1000
        assert found.cost_fen - less - rounding <= ten_kwh_fen <= more - found.cost_fen + rounding


def test_a_dear_peak_is_shaved() -> None:
    """A demand charge makes the plan flatter than the day without it, and never dearer than today."""
    load = np.full(24, 1_000_000)
    load[10] = 1_600_000
    asked = problem(it_w=load, price=np.full(24, NIGHT), demand_price=5_000_000)
    found = energy.clear(asked)
    assert found.peak_w < found.now_import_w.max() - 100_000
    assert found.saved_fen > 0


def test_pv_that_nobody_needs_costs_nothing_and_earns_nothing() -> None:
    asked = problem(pv_w=np.full(24, 5_000_000), tank_wh=0, charge_w=0, discharge_w=0)
    found = energy.clear(asked)
    assert (found.cost_fen, found.bound_fen, found.energy_price.max()) == (0, 0, 0)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"grid_w": 1_000_000}, Code.GRID),
        ({"chiller_w": 900_000}, Code.CHILLER),
        ({"tank_end_wh": 4_000_000, "charge_w": 10_000}, Code.TANK_END),
        ({"price": column(*[2_000_000] * 24)}, Code.FIELD),
        ({"tank_end_wh": 5_000_000}, Code.FIELD),
        ({"pv_w": column(0)}, Code.SHAPE),
        ({"movable_w": np.full(24, 5), "movable_max_w": 4}, Code.FIELD),
    ],
)
def test_what_cannot_be_planned_says_why(changes: dict[str, Any], code: Code) -> None:
    with pytest.raises(NoPlan) as refusal:
        energy.clear(problem(**changes))
    assert refusal.value.code == code


@st.composite
def problems(draw: st.DrawFn, tight: bool = True) -> Problem:
    """Any small site: odd numbers, quarter-hours, free electricity, no tank, negative net load; or one with room."""
    steps, tank = draw(st.integers(1, 12)), draw(st.sampled_from([0, 1, 3_333, 5_000_000]))

    def each(low: int, high: int) -> energy.Int64:
        return np.array(draw(st.lists(st.integers(low, high), min_size=steps, max_size=steps)), np.int64)

    movable_max = draw(st.sampled_from([0, 7, 900_000]))
    limits = st.one_of(st.just(9_000_000), st.integers(0, 5_000_000))
    rate = st.integers(1_000, 2_000_000) if tank else st.just(0)
    return Problem(
        step_minutes=draw(st.sampled_from([15, 30, 60])), price=each(0, 200_000), it_w=each(0, 2_000_000),
        movable_w=each(0, movable_max), window=each(0, 2), other_w=each(0, 50_000), pv_w=each(0, 3_000_000),
        cop_milli=each(2_000, 9_000), movable_max_w=movable_max,
        chiller_w=draw(limits) if tight else 9_000_000, grid_w=draw(limits) if tight else 9_000_000,
        tank_wh=tank, charge_w=draw(rate), discharge_w=draw(rate), loss_bps=draw(st.integers(0, 10_000)),
        tank_start_wh=draw(st.integers(0, tank)), demand_price=draw(st.sampled_from([0, 1, 160_000])),
    )  # fmt: skip


@settings(max_examples=80)
@given(problems())
def test_every_plan_is_proved_near_the_best(asked: Problem) -> None:
    """Whatever the site, a plan is feasible to the watt, its bound lies below its cost, and they are close."""
    try:
        found = energy.clear(asked)
    except NoPlan:
        return
    assert energy.verify(asked, found) == []
    spare = asked.steps * energy.MARGIN_W * 3 * int(asked.price.max() + asked.demand_price * 4) // (10**6 * 4)
    assert 0 <= found.gap_fen <= 2 + spare


@settings(max_examples=60)
@given(problems(tight=False), st.data())
def test_no_multipliers_prove_more_than_is_true(asked: Problem, data: st.DataObject) -> None:
    """Weak duality: multipliers out of thin air never give a bound above the cost of a plan."""
    found = energy.clear(asked)
    some = st.integers(0, 10**15)

    def drawn(size: int, low: int = 0) -> energy.Int64:
        return np.array(data.draw(st.lists(st.one_of(st.just(0), some), min_size=size, max_size=size))) * (low or 1)

    steps, labels = asked.steps, len(np.unique(asked.window))
    invented = Multipliers(drawn(steps), drawn(steps), drawn(steps), drawn(steps, -1), drawn(labels))
    assert energy.bound_of(asked, invented) <= found.cost_fen


MUTATIONS = {
    "import_w": Breach.POWER, "moved_w": Breach.MOVED, "discharge_w": Breach.STORE, "stock": Breach.STORE,
    "peak_w": Breach.COST, "cost_fen": Breach.COST, "bound_fen": Breach.BOUND, "now_import_w": Breach.NOW,
    "now_cost_fen": Breach.NOW, "energy_price": Breach.PRICE,
}  # fmt: skip


@pytest.mark.parametrize("field", MUTATIONS)
def test_the_verifier_rejects_every_false_statement(field: str) -> None:
    asked = problem(movable_w=np.full(24, 50_000), movable_max_w=100_000, demand_price=160_000)
    found = energy.clear(asked)
    value = getattr(found, field)
    if isinstance(value, int):
        changed: Any = value + 1_000
    else:
        changed = value.copy()
        changed[5] += -1_000 if field == "import_w" else 1_000
    assert MUTATIONS[field] in energy.verify(asked, replace(found, **{field: changed}))


def test_a_problem_is_named_by_its_digest() -> None:
    assert problem().digest() == problem().digest()
    assert problem().digest() != problem(loss_bps=1).digest()
