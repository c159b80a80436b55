"""The runner may be killed anywhere: the next one repeats nothing and loses nothing."""

import pytest
from tests.sandbox import Sandbox

SETUP = """
from pathlib import Path
from django.conf import settings
from tests.compute.world import build
from tests.jobs.site import book, connect, submit
world = build()
connect(world, Path(settings.HOME) / "jobs")
submit(book(world), "echo x >> $HUOSHUI_CHECKPOINT/runs; sleep 0.3; cp $HUOSHUI_CHECKPOINT/runs $HUOSHUI_OUTPUTS/runs")
"""
TURN = """
import time
from datetime import timedelta
from pathlib import Path
from django.conf import settings
from huoshui.base import access, clock
from huoshui.base.models import LogRecord
from huoshui.book import ledger
from huoshui.jobs import runner, services
from huoshui.jobs.models import Attempt, Booking, Job
settings.ENGINE_PATHS = [settings.HOME]
def turn_until(done, later=timedelta()):
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end
        with clock.moved_to(clock.real_now() + later):
            runner.turn(access.system("runner"))
def finish():
    turn_until(lambda: Job.objects.get().collected_at)
    turn_until(lambda: Booking.objects.get().closed_at, timedelta(hours=4))
"""
TELL = """
job, booking = Job.objects.get(), Booking.objects.get()
print(job.state, job.attempts.count(), job.artefacts.get().bytes, booking.state,
      services.used(booking).card_seconds == Attempt.objects.get().card_seconds,
      LogRecord.objects.filter(action="jobs.booking.close").count(), ledger.replay())
"""
WHOLE = "succeeded 1 2 settled True 1 []"
PLACES = [
    ("huoshui.jobs.folders:prepare", False),
    ("huoshui.engines.local:LocalEngine.submit", True),
    ("huoshui.jobs.actions.attempts:judge", True),
    ("huoshui.jobs.folders:collect", True),
    ("huoshui.jobs.services:tell_source", True),
]


@pytest.mark.parametrize(("place", "after"), PLACES)
def test_a_runner_killed_there_goes_on_and_the_job_ran_once(sandbox: Sandbox, place: str, after: bool) -> None:
    sandbox.run(SETUP)
    sandbox.run(TURN + "finish()", crash_at=place, after=after)
    assert sandbox.run(TURN + "finish()" + TELL) == WHOLE


def test_two_runners_at_once_run_a_job_once(sandbox: Sandbox) -> None:
    sandbox.run(SETUP)
    runners = [sandbox.start(TURN + "finish()") for _runner in range(2)]
    said = [child.communicate(timeout=90) for child in runners]
    assert any(child.returncode == 0 for child in runners), said
    assert sandbox.run(TURN + "finish()" + TELL) == WHOLE
