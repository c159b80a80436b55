"""What a site's operator may name on the platform's own machine: nothing there that a job can have written."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.compute.world import World
from tests.jobs.site import book, connect, over, submit, turn_until

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.base.errors import Invalid
from huoshui.engines import EngineError, JobSpec
from huoshui.engines.local import LocalEngine
from huoshui.jobs import connections, folders
from huoshui.jobs.actions.connections import connect as join
from huoshui.jobs.models import Artefact, Connection, JobInput


@pytest.fixture
def operator(world: World, people: Callable[..., Actor]) -> Actor:
    return people("operator", f"party:{world.operator.pk}")


@pytest.fixture
def ground(tmp_path: Path, settings: Any) -> Path:
    """What the installation allows: a directory for jobs, one of programs."""
    settings.ENGINE_PATHS, settings.ENGINE_ADDRESSES = [tmp_path], ["http://ray.example:8265"]
    (tmp_path / "jobs" / "J000012" / "outputs").mkdir(parents=True)
    (tmp_path / "software").mkdir()
    for path in (tmp_path / "jobs" / "J000012" / "outputs" / "p", tmp_path / "software" / "python"):
        path.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        path.chmod(0o755)
    (tmp_path / "link").symlink_to(tmp_path / "jobs" / "J000012")
    (tmp_path / "jobs" / "J000012" / "outputs" / "away").symlink_to(tmp_path / "software")
    return tmp_path


def refused(operator: Actor, world: World, kind: str, ground: Path, **more: str) -> list[str]:
    """The fields that are refused."""
    given = {"workdir": str(ground / "jobs"), "cards": "test=a100" if kind == "slurm" else "test=4"} | more
    with pytest.raises(Invalid) as caught:
        join(operator, key="x", site=world.pool.site, kind=kind, settings=given)
    return [problem.field for problem in caught.value.problems]


@pytest.mark.parametrize(
    "path",
    [
        "jobs/J000012/outputs/p", "link/outputs/p", "jobs/J000012/outputs/away/python", "link/outputs/away/python",
        "software/../jobs/J000012/outputs/p", "jobs", "",
    ],
)  # fmt: skip
def test_the_platform_runs_and_reads_nothing_that_a_job_can_have_written(
    world: World, operator: Actor, ground: Path, path: str
) -> None:
    named = str(ground / path)
    assert refused(operator, world, "local", ground, python=named) == ["python"]
    for name in ("python", "bin", "conf", "readable"):
        assert refused(operator, world, "slurm", ground, **{name: named}) == [name]
    assert not Connection.objects.exists()
    assert not (ground / "ran").exists()


@pytest.mark.parametrize("path", ["/usr/bin/python3", "python3", "/etc"])
def test_what_the_installation_did_not_name_is_not_run(
    world: World, operator: Actor, ground: Path, path: str
) -> None:
    assert refused(operator, world, "local", ground, python=path) == ["python"]


def test_the_platforms_own_python_and_what_the_installation_named_may_be_run(
    world: World, operator: Actor, ground: Path
) -> None:
    for number, python in enumerate((sys.executable, str(ground / "software" / "python"))):
        given = {"workdir": str(ground / "jobs"), "cards": "test=4", "python": python}
        assert join(operator, key=str(number), site=world.pool.site, kind="local", settings=given).settings == given


def test_a_directory_for_jobs_is_not_put_where_another_site_keeps_its_programs(
    world: World, operator: Actor, ground: Path
) -> None:
    given = {"workdir": str(ground / "jobs"), "cards": "test=a100", "bin": str(ground / "software")}
    join(operator, key="1", site=world.pool.site, kind="slurm", settings=given)
    there = world.pool.site
    there.pk, there.code = None, "elsewhere"
    there.save()
    for workdir in ("software", "software/jobs", ""):
        named = {"workdir": str(ground / workdir), "cards": "test=4"}
        with pytest.raises(Invalid) as caught:
            join(operator, key=f"2 {workdir}", site=there, kind="local", settings=named)
        assert [problem.field for problem in caught.value.problems] == ["workdir"]


def test_settings_that_were_written_before_are_asked_again_when_the_engine_is_opened(
    world: World, tmp_path: Path, settings: Any
) -> None:
    made = connect(world, tmp_path / "jobs")
    job = submit(book(world), "cp /bin/true $HUOSHUI_OUTPUTS/p")
    turn_until(over(job))
    Connection.objects.update(settings=made.settings | {"python": str(tmp_path / "jobs" / job.number / "outputs/p")})
    with pytest.raises(EngineError, match="settings: python"):
        connections.open_engine(Connection.objects.get())
    settings.ENGINE_PATHS = []
    Connection.objects.update(settings=made.settings)
    with pytest.raises(EngineError, match="settings: workdir"):
        connections.open_engine(Connection.objects.get())


def test_the_platform_asks_only_addresses_that_the_installation_named(
    world: World, operator: Actor, ground: Path
) -> None:
    for address in ("http://169.254.169.254/", "http://127.0.0.1:8000", "http://ray.example:8265.evil", "file:///etc"):
        assert refused(operator, world, "ray", ground, address=address) == ["address"]
    given = {"workdir": str(ground / "jobs"), "cards": "test=4", "address": "http://ray.example:8265/"}
    assert join(operator, key="r", site=world.pool.site, kind="ray", settings=given).settings == given


def test_a_job_may_use_what_the_site_gives_for_each_card_and_its_inputs_besides(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = connect(world, tmp_path / "jobs", memory_gib="120", disk_gib="200", processes="512")
    job = submit(book(world, cards=4), "true", cards=4)
    data = Artefact.objects.create(
        party=world.entity, name="data", kind="data", digest="0" * 64, bytes=11 << 30, created_at=clock.now()
    )  # fmt: skip
    asked: list[JobSpec] = []
    monkeypatch.setattr(LocalEngine, "submit", lambda _engine, spec: asked.append(spec))
    monkeypatch.setattr(folders, "prepare", lambda *_given: None)
    JobInput.objects.create(job=job, artefact=data, name="data")
    turn_until(lambda: asked)
    (spec,) = asked
    assert (spec.memory_mib, spec.disk_mib, spec.processes_max) == (480 << 10, (800 << 10) + (11 << 10), 2048)
    site.kind, site.settings = "slurm", {}
    two = connections.bounds(site, 16, 2, 1)
    assert two == {"memory_mib": 64 << 10, "disk_mib": (800 << 10) + 1, "processes_max": 8192, "cpus": 32}
    assert connections.bounds(Connection(kind="local"), 1, 1, 0) == {
        "memory_mib": 4096, "disk_mib": 10_240, "processes_max": 256, "cpus": 0,
    }  # fmt: skip


def test_bounds_are_whole_numbers(world: World, operator: Actor, ground: Path) -> None:
    for wrong in ("0", "-1", "1.5", "x", "1000000"):
        assert refused(operator, world, "local", ground, memory_gib=wrong) == ["memory_gib"]
