"""Tasks for the tests about workers: they run in worker processes, so they are in a module."""

import time
from pathlib import Path

from django_tasks import TaskContext, task
from tests.base.sample_calculations import count_up, die

from huoshui.base import access, actions, tasks


@task(takes_context=True)
def make_role(context: TaskContext, flag: str, seconds: float) -> None:
    """Make a role under a derived key; wait before it the first time (`flag` is a file that says so)."""

    def body(watch: tasks.Watch) -> None:
        first = not Path(flag).exists()
        Path(flag).touch()
        actions.define_role(access.system("task"), key=f"task/{flag}", code="r", title="R", permissions=[])
        if first:
            time.sleep(seconds)
        actions.define_role(access.system("task"), key=f"task/{flag}/2", code="r2", title="R", permissions=[])

    tasks.watched(context, body)


@task(takes_context=True)
def count(context: TaskContext, steps: int, fail_at: int) -> None:
    """Count in a child process."""
    tasks.watched(context, lambda watch: tasks.in_child(watch, count_up, steps, fail_at) and None)


@task(takes_context=True)
def crash(context: TaskContext) -> None:
    """Crash in a child process."""
    tasks.watched(context, lambda watch: tasks.in_child(watch, die))
