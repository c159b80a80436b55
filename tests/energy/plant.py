"""A small data centre for tests: one site at the Jiangsu tariff, a cold store, a day whose figures fit in the head."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from tests.compute.world import SYSTEM, World, numbers, publish

from huoshui.base import clock
from huoshui.compute.models import Site
from huoshui.energy import actions
from huoshui.energy.curves import read_file
from huoshui.energy.models import EnergyPlan, Installation, LoadCurve

TARIFF = "tariff-jiangsu-2025"
DAY = date(2026, 3, 3)
MORNING = datetime(2026, 3, 2, 0, tzinfo=clock.LOCAL).astimezone(UTC)
"""The morning before the day."""
HEADER = "时间,IT负荷（千瓦）,可移负荷（千瓦）,其他负荷（千瓦）,光伏（千瓦）,制冷性能系数\n"


def site(world: World) -> Site:
    """The world's site, paying a real tariff."""
    with clock.moved_to(MORNING):
        publish("tariff", "jiangsu-2025")
    Site.objects.filter(pk=world.pool.site_id).update(tariff=TARIFF)
    return Site.objects.get(pk=world.pool.site_id)


def installed(place: Site, **changes: int) -> Installation:
    """Chillers with room, a cold store of eight hours."""
    values = {
        "chiller_w": 3_000_000, "cop_milli": 4_000, "grid_w": 5_000_000, "tank_wh": 8_000_000, "charge_w": 1_500_000,
        "discharge_w": 1_000_000, "loss_bps": 20, "tank_fill_bps": 2_500, "movable_max_w": 400_000,
        "demand_fen": 4_800,
    }  # fmt: skip
    return actions.describe(SYSTEM, key=f"describe/{next(numbers)}", site=place, **values | changes)


def day_file(minutes: int = 60, it_kw: int = 1000, day: date = DAY) -> bytes:
    """A day: steady IT load, 200 kW that can wait in office hours, PV at noon."""
    rows = []
    for step in range(24 * 60 // minutes):
        hour, minute = divmod(step * minutes, 60)
        movable, pv = (200 if 9 <= hour < 17 else 0), (300 if 10 <= hour < 15 else 0)
        rows.append(f"{day} {hour:02d}:{minute:02d},{it_kw},{movable},50.5,{pv},")
    return (HEADER + "\n".join(rows) + "\n").encode()


def curve(place: Site, data: bytes | None = None) -> LoadCurve:
    """A day's curve in the database."""
    with clock.moved_to(MORNING):
        read = read_file("day.csv", data or day_file())
        return actions.upload_curve(SYSTEM, key=f"curve/{next(numbers)}", site=place, name="示例日", curve=read)


def planned(place: Site, approve: bool = False, data: bytes | None = None) -> EnergyPlan:
    """A plan of a day, in force when `approve`."""
    with clock.moved_to(MORNING + timedelta(minutes=1 + EnergyPlan.objects.count())):
        made = actions.make_plan(SYSTEM, key=f"plan/{next(numbers)}", curve=curve(place, data))
        return actions.approve(SYSTEM, key=f"approve/{made.pk}", plan=made) if approve else made


def written(path: Path, data: bytes) -> Path:
    """A file for a browser to send in."""
    path.write_bytes(data)
    return path
