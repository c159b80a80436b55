"""Background work survives its worker, happens once, and stops when asked."""

import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from tests.sandbox import Sandbox

WAIT_SECONDS_MAX = 40


def worker(sandbox: Sandbox) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "django", "db_worker", "--no-reload", "--interval", "0.1", "--no-startup-delay"],
        env=sandbox.environment(), cwd=sandbox.home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_SECONDS_MAX
    while not what():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.1)


ENQUEUE = """
from huoshui.base import tasks
from huoshui.base.models import LogHead
from tests.base import sample_tasks
print(tasks.enqueue(sample_tasks.{task}, LogHead.objects.get(), *{args}))
"""
STATE = """
from django_tasks_db.models import DBTaskResult
from huoshui.base import log
from huoshui.base.models import Role, TaskProgress
row, progress = DBTaskResult.objects.get(), TaskProgress.objects.get()
print(row.status, progress.attempt, progress.finished_at is not None, progress.error.strip().split("\\n")[-1])
print(Role.objects.filter(code__in=["r", "r2"]).count(), log.size(), len(log.replay()))
"""
REAP = """
import datetime
from huoshui.base import tasks
tasks.LEASE = datetime.timedelta(seconds={lease})
print(tasks.reap())
"""


def test_a_task_whose_worker_was_killed_is_finished_by_another_with_one_effect(sandbox: Sandbox) -> None:
    flag = sandbox.home / "flag"
    sandbox.run(ENQUEUE.format(task="make_role", args=(str(flag), 60)))
    first = worker(sandbox)
    until(flag.exists)
    until(lambda: sandbox.run(STATE).split("\n")[1].startswith("1 "))
    first.kill()
    first.wait()
    assert sandbox.run(REAP.format(lease=60)) == "0"
    time.sleep(1.2)
    assert sandbox.run(REAP.format(lease=1)) == "1"
    second = worker(sandbox)
    try:
        until(lambda: sandbox.run(STATE).startswith("SUCCESSFUL"))
    finally:
        second.terminate()
        second.wait(20)
    state, effects = sandbox.run(STATE).split("\n")
    assert state.split() == ["SUCCESSFUL", "2", "True"]
    assert effects == "2 2 0"


def test_a_task_is_given_up_after_some_dead_workers(sandbox: Sandbox) -> None:
    """The row is set as a killed worker leaves it."""
    sandbox.run(ENQUEUE.format(task="count", args=(1, -1)))
    said = sandbox.run(
        """
        from datetime import timedelta
        from django_tasks_db.models import DBTaskResult
        from huoshui.base import clock, tasks
        from huoshui.base.models import TaskProgress
        long_ago = clock.real_now() - timedelta(hours=1)
        for attempt in range(tasks.ATTEMPTS_MAX):
            DBTaskResult.objects.update(status="RUNNING", started_at=long_ago)
            TaskProgress.objects.update(heartbeat_at=long_ago)
            print(tasks.reap(), DBTaskResult.objects.get().status)
        print(tasks.reap())
        """
    )
    assert said.split() == ["1", "READY", "1", "READY", "1", "FAILED", "0"]
    assert "3" in sandbox.run(STATE).split("\n")[0].split(maxsplit=3)[3]


def test_a_task_just_claimed_is_not_taken_for_dead_though_it_waited_long(sandbox: Sandbox) -> None:
    sandbox.run(ENQUEUE.format(task="count", args=(1, -1)))
    said = sandbox.run(
        """
        from datetime import timedelta
        from django_tasks_db.models import DBTaskResult
        from huoshui.base import clock, tasks
        from huoshui.base.models import TaskProgress
        TaskProgress.objects.update(heartbeat_at=clock.real_now() - timedelta(hours=1))
        DBTaskResult.objects.get().claim("w")
        print(tasks.reap())
        """
    )
    assert said == "0"


def test_a_worker_that_was_only_slow_finds_its_attempt_over(sandbox: Sandbox) -> None:
    sandbox.run(ENQUEUE.format(task="count", args=(1, -1)))
    said = sandbox.run(
        """
        from django.db.models import F
        from huoshui.base import tasks
        from huoshui.base.models import TaskProgress
        slow = tasks.Watch(TaskProgress.objects.get().task, attempt=1)
        print(slow.beat("a", 1, 2))
        TaskProgress.objects.update(attempt=F("attempt") + 1)
        slow.written = 0.0
        print(slow.beat("b", 2, 2))
        slow.finish("too late")
        row = TaskProgress.objects.get()
        print(row.phase, row.finished_at, row.error)
        """
    )
    assert said.split() == ["True", "False", "a", "None"]


def test_the_heart_beats_while_the_task_computes(sandbox: Sandbox) -> None:
    sandbox.run(ENQUEUE.format(task="count", args=(1, -1)))
    said = sandbox.run(
        """
        import time
        from huoshui.base import tasks
        from huoshui.base.models import TaskProgress
        tasks.HEARTBEAT_SECONDS = 0.05
        before = TaskProgress.objects.get()
        with tasks.Watch(before.task, attempt=1).alive():
            time.sleep(0.6)
        print(TaskProgress.objects.get().heartbeat_at > before.heartbeat_at)
        """
    )
    assert said == "True"


@pytest.mark.parametrize(
    ("task", "args", "status", "error"),
    [
        ("count", (30, -1), "SUCCESSFUL", ""),
        ("count", (30, 7), "FAILED", "ArithmeticError: as told"),
        ("crash", (), "FAILED", "RuntimeError: the calculation ended with exit code 9"),
    ],
)
def test_a_calculation_in_a_child_ends_in_every_way(
    sandbox: Sandbox, task: str, args: tuple[int, ...], status: str, error: str
) -> None:
    sandbox.run(ENQUEUE.format(task=task, args=args))
    sandbox.manage("db_worker", "--no-reload", "--batch", "--no-startup-delay")
    state = sandbox.run(STATE).split("\n")[0].split(maxsplit=3)
    assert state[:3] == [status, "1", "True"]
    assert (state[3:] or [""])[0] == error


def test_a_task_stops_when_asked_and_its_child_with_it(sandbox: Sandbox) -> None:
    task = sandbox.run(ENQUEUE.format(task="count", args=(10**6, -1)))
    process = worker(sandbox)
    try:
        until(lambda: "counting" in sandbox.run(
            "from huoshui.base.models import TaskProgress; print(TaskProgress.objects.get().phase)"
        ))
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        assert not children.exists() or children.read_text().split()
        sandbox.run(f"import uuid; from huoshui.base import tasks; tasks.stop(uuid.UUID('{task}'))")
        until(lambda: "True" in sandbox.run(STATE).split("\n")[0])
        until(lambda: sandbox.run(STATE).startswith("SUCCESSFUL"))
    finally:
        process.terminate()
        process.wait(20)


def test_the_lease_is_longer_than_a_few_heartbeats() -> None:
    from huoshui.base import tasks

    assert timedelta(seconds=4 * tasks.HEARTBEAT_SECONDS) < tasks.LEASE
