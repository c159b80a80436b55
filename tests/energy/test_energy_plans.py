"""A site's plan: from files to whole watts, put in force by the operator, followed by the bank's prices."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.compute import market
from tests.compute.world import SYSTEM, World, build
from tests.energy import plant

from huoshui.base import access, clock
from huoshui.base.errors import Forbidden, Invalid, Refused
from huoshui.base.models import LogRecord
from huoshui.clearing import energy
from huoshui.compute.models import Deposit, Request, Run, Site, SlotPrice
from huoshui.compute.problems import energy_price_mfen
from huoshui.energy import actions, planning, prices
from huoshui.energy.curves import read_file
from huoshui.energy.models import EnergyPlan, LoadCurve


@pytest.fixture
def world(db: None) -> World:
    return build()


@pytest.fixture
def place(world: World) -> Site:
    found = plant.site(world)
    plant.installed(found)
    return found


def test_a_plan_is_what_the_solver_proves_and_can_be_read_back(place: Site) -> None:
    made = plant.planned(place)
    problem, plan = planning.problem(made), planning.result(made)
    assert energy.verify(problem, plan) == []
    assert made.saved_fen == plan.now_cost_fen - plan.cost_fen > 0
    assert made.digests["problem"] == planning.digest(planning.plain(problem))
    assert made.bound_fen <= made.cost_fen <= made.bound_fen + 10
    assert LogRecord.objects.filter(action="energy.plan.make").count() == 1


def test_prices_of_a_quarter_hour_come_from_the_half_hours_of_the_tariff(place: Site) -> None:
    fine = planning.tariff_prices(plant.curve(place, plant.day_file(15)), place.tariff)
    hourly = planning.tariff_prices(plant.curve(place), place.tariff)
    assert len(fine.per_step) == 96
    assert fine.per_step.reshape(24, 4).mean(axis=1).tolist() == pytest.approx(hourly.per_step.tolist(), abs=1)
    assert fine.digests == hourly.digests


def test_a_day_bears_a_days_part_of_the_demand_charge(place: Site) -> None:
    """48 yuan per kW and month, March: a day costs 1/31 of it, rounded up to 1/1000 fen."""
    assert planning.problem(plant.planned(place)).demand_price == -(-4_800_000 // 31)


@pytest.mark.parametrize(
    ("text", "row", "field", "value"),
    [
        ("2026-03-03 00:00,1000,0,0,0,\n2026-03-03 02:00,1000,0,0,0,\n", 3, "time", "2026-03-03 02:00"),
        ("2026-03-03 00:00,1000,0,0,0,\n2026-03-03 01:00,abc,0,0,0,\n", 3, "it_kw", "abc"),
        ("2026-03-03 00:00,1000,0,0,0,\n2026-03-03 01:00,1000,-5,0,0,\n", 3, "movable_kw", "-5"),
        ("2026-03-03 00:00,1000,0,0,0,0.1\n2026-03-03 01:00,1000,0,0,0,\n", 2, "cop", "0.1"),
        ("2026-03-03 00:30,1000,0,0,0,\n2026-03-03 01:30,1000,0,0,0,\n", 2, "time", "2026-03-03 00:30"),
        ("2026-03-03 00:00,1000,0,0,0,\n2026-03-03 00:15,1000,0,0,0,\n", 3, "time", "2026-03-03 00:15"),
        ("yesterday,1000,0,0,0,\n2026-03-03 00:15,1000,0,0,0,\n", 2, "time", "yesterday"),
        ("0001-01-01 00:00,1000,0,0,0,\n0001-01-01 01:00,1000,0,0,0,\n", 2, "time", "0001-01-01 00:00"),
        ("9999-12-31 22:00,1000,0,0,0,\n9999-12-31 23:00,1000,0,0,0,\n", 2, "time", "9999-12-31 22:00"),
        ("2026-03-03 00:00,,0,0,0,\n2026-03-03 01:00,1000,0,0,0,\n", 2, "it_kw", ""),
    ],
)
def test_a_bad_curve_says_row_field_value_and_rule(text: str, row: int, field: str, value: str) -> None:
    with pytest.raises(Invalid) as refusal:
        read_file("curve.csv", (plant.HEADER + text).encode())
    problem = refusal.value.problems[0]
    assert (problem.row, problem.value) == (row, value)
    assert problem.field in (field, {c.name: c.zh for c in plant_columns()}[field])
    assert problem.rule


def plant_columns() -> Any:
    from huoshui.energy.curves import COLUMNS

    return COLUMNS


def test_missing_is_not_zero(place: Site) -> None:
    """An empty IT load is refused; an empty coefficient is the installation's; movable load may be left out."""
    text = "时间,IT负荷（千瓦）\n2026-03-03 00:00,10\n2026-03-03 01:00,10.5\n"
    found = read_file("a.csv", text.encode())
    assert found.columns["it_w"] == [10_000, 10_500]
    assert found.columns["cop_milli"] == [None, None]
    stored = actions.upload_curve(SYSTEM, key="c", site=place, name="两小时", curve=found)
    with clock.moved_to(plant.MORNING):
        made = actions.make_plan(SYSTEM, key="p", curve=stored)
    assert made.problem["cop_milli"] == [4_000, 4_000]


def test_without_an_installation_or_within_too_little_nothing_is_planned(world: World) -> None:
    place = plant.site(world)
    with pytest.raises(Refused) as refusal:
        plant.planned(place)
    assert refusal.value.code == "energy_no_installation"
    plant.installed(place, grid_w=1_100_000)
    with pytest.raises(Refused) as refusal:
        plant.planned(place)
    assert refusal.value.code == "energy_grid_too_small"
    assert not EnergyPlan.objects.exists()


def test_only_who_runs_the_site_plans_and_approves(place: Site, people: Callable[..., access.Actor]) -> None:
    made = plant.planned(place)
    own, other = people("operator", f"party:{place.operator_id}"), people("operator", "party:999999")
    for who in (other, people("officer"), people("auditor")):
        with pytest.raises(Forbidden):
            actions.approve(who, key="no", plan=made)
        with pytest.raises(Forbidden):
            actions.make_plan(who, key="no", curve=made.curve)
    with clock.moved_to(plant.MORNING):
        approved = actions.approve(own, key="yes", plan=made)
    assert (approved.state, approved.approved_by) == (EnergyPlan.State.APPROVED, own.user)


def test_a_plan_whose_hours_are_over_is_not_put_in_force(place: Site) -> None:
    made = plant.planned(place)
    with clock.moved_to(clock.instant_of(made.end_hour)), pytest.raises(Refused) as refusal:
        actions.approve(SYSTEM, key="late", plan=made)
    assert refusal.value.code == "energy_plan_over"


def test_the_plan_in_force_prices_its_hours_and_the_tariff_the_others(world: World, place: Site) -> None:
    hours = np.arange(world.start - 24, world.start + 48, dtype=np.int64)
    model = world.pool.card_model
    before = energy_price_mfen(place, model, hours)
    draft = plant.planned(place)
    assert (energy_price_mfen(place, model, hours) == before).all()
    with clock.moved_to(plant.MORNING):
        actions.approve(SYSTEM, key="a", plan=draft)
    after = energy_price_mfen(place, model, hours)
    inside = (hours >= draft.start_hour) & (hours < draft.end_hour)
    assert (after[~inside] == before[~inside]).all()
    told = np.array(draft.result["energy_price"])
    assert (after[inside] == -(-told * model.watts // 1000)).all()
    with clock.moved_to(plant.MORNING):
        actions.withdraw(SYSTEM, key="w", plan=draft)
    assert (energy_price_mfen(place, model, hours) == before).all()


def test_the_plan_approved_last_holds_where_two_overlap(world: World, place: Site) -> None:
    first = plant.planned(place, approve=True)
    second = plant.planned(place, approve=True, data=plant.day_file(it_kw=2_000))
    hours = np.arange(second.start_hour, second.end_hour, dtype=np.int64)
    assert prices.marginal(place, hours).tolist() == second.result["energy_price"]
    with clock.moved_to(plant.MORNING):
        actions.withdraw(SYSTEM, key="w", plan=second)
    assert prices.marginal(place, hours).tolist() == first.result["energy_price"]


def test_a_job_that_can_wait_goes_to_the_hours_that_the_plan_makes_cheap(world: World, place: Site) -> None:
    """PV in excess from 11 to 13 makes two hours of the day almost free: the round puts the request there."""
    lines = plant.day_file().decode().splitlines()
    lines = [
        line.rpartition(",")[0].rpartition(",")[0] + (",4000," if line[11:13] in ("11", "12") else ",0,")
        if line.startswith("2026") else line for line in lines
    ]  # fmt: skip
    sunny = ("\n".join(lines) + "\n").encode()
    deposit = world.offer(8, base=1)
    Deposit.objects.filter(pk=deposit.pk).update(energy=True)
    plant.planned(place, approve=True, data=sunny)
    request = market.ask(world, cards=2, hours=2, budget_fen=50_000)
    round_ = market.published(world)
    run = Run.objects.get(allocation__request=request)
    noon = clock.hour_of(clock.day_start(plant.DAY)) + 11
    assert (run.start_hour, run.end_hour) == (noon, noon + 2)
    price = dict(SlotPrice.objects.filter(round=round_).values_list("hour", "price_mfen"))
    assert price[noon] < min(price[hour] for hour in range(world.start, world.start + 9))
    assert Request.objects.get(pk=request.pk).state == Request.State.SERVED


def test_a_round_keeps_the_prices_it_was_prepared_with(world: World, place: Site) -> None:
    """A plan approved after the round was frozen changes nothing in it: its stored problem is what is solved."""
    deposit = world.offer(8, base=1)
    Deposit.objects.filter(pk=deposit.pk).update(energy=True)
    market.ask(world, cards=2, hours=2, budget_fen=50_000)
    frozen = market.frozen(world)
    digest = frozen.digests["problem"]
    plant.planned(place, approve=True)
    market.solved(frozen)
    frozen.refresh_from_db()
    assert frozen.digests["problem"] == digest


def test_the_same_key_makes_one_plan(place: Site) -> None:
    found = plant.curve(place)
    with clock.moved_to(plant.MORNING):
        first = actions.make_plan(SYSTEM, key="once", curve=found)
        assert actions.make_plan(SYSTEM, key="once", curve=found).pk == first.pk
    assert EnergyPlan.objects.count() == 1
    assert LoadCurve.objects.count() == 1
