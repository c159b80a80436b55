"""A site with a real engine for tests of the runner: this machine's, four cards of the world's pool, hours from now.

Engines live in real time, so bookings here begin with the present hour; tests move the platform's clock on to see hours
end.
"""

import itertools
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from tests.compute.world import SYSTEM, World
from tests.compute.world import run as in_action

from huoshui.base import access, clock
from huoshui.jobs import connections, runner, services
from huoshui.jobs.actions import connections as sites
from huoshui.jobs.actions.jobs import submit_job
from huoshui.jobs.models import Booking, Connection, Job
from huoshui.jobs.services import BookingDraft

CARDS = 4
RUNNER = access.system("runner")
SECONDS_MAX = 30
numbers = itertools.count(1)


def connect(world: World, workdir: Path, kind: str = "local", **more: str) -> Connection:
    """The world's site joined to an engine of `CARDS` cards, checked."""
    world.pool.cards = CARDS
    world.pool.save()
    settings.ENGINE_PATHS = [workdir.parent]
    given = {"workdir": str(workdir), "cards": f"test={CARDS}", "python": sys.executable} | more
    made = sites.connect(SYSTEM, key=f"connect/{next(numbers)}", site=world.pool.site, kind=kind, settings=given)
    made = sites.record_check(SYSTEM, connection=made, **connections.check(made))
    assert made.state == Connection.State.UP, made.findings
    return made


def book(world: World, cards: int = 2, hours: int = 3, *, later: int = 0, **more: Any) -> Booking:
    """A booking of the world's entity from the present hour (or some hours later) on."""
    start = clock.hour_of(clock.now()) + later
    values: dict[str, Any] = {
        "party": world.entity, "pool": world.pool, "cards": cards, "stretches": [(start, start + hours)],
        "source": f"test.sale:{next(numbers)}", "price_mfen": 3_600_000, "cap_fen": 10**6, "billing": "used",
    }  # fmt: skip
    said: list[Booking] = []
    in_action(lambda act, record: said.append(services.book(act, record, BookingDraft(**values | more))))
    return said[0]


def submit(booking: Booking, command: str, cards: int = 1, **more: Any) -> Job:
    """A job that runs a shell command."""
    values: dict[str, Any] = {"seconds_max": 600, "title": "作业", "template": "command"}
    parameters = {"arguments": f"/bin/sh -c '{command}'"}
    return submit_job(
        SYSTEM, key=f"job/{next(numbers)}", booking=booking, cards=cards, parameters=parameters, **values | more
    )


def turn_until(done: Callable[[], Any], seconds: float = SECONDS_MAX, later: timedelta = timedelta()) -> None:
    """Turn the runner until something is so, with the platform's clock moved on by `later`."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not come about"
        with clock.moved_to(clock.real_now() + later):
            runner.turn(RUNNER)
        time.sleep(0.05)


def state_of(job: Job) -> str:
    """The state of a job as it stands."""
    return Job.objects.get(pk=job.pk).state


def over(*jobs: Job) -> Callable[[], bool]:
    """Whether jobs have ended."""
    return lambda: all(state_of(job) not in ("queued", "running") for job in jobs)
