"""Work that comes round by itself: a module registers a background task and how often it should run.

    schedule.register(watch, timedelta(minutes=10))        # in apps.py; `watch` is a task without arguments

Every worker calls `tick` now and then; what is due is queued. When two workers tick at once a task may be queued twice,
so scheduled tasks must be safe to repeat. The queue itself remembers what ran: there is no second table to keep true.
"""

from datetime import timedelta

from django_tasks.base import Task
from django_tasks_db.models import DBTaskResult

from huoshui.base import clock

_tasks: dict[str, tuple[Task, timedelta]] = {}


def register(task: Task, every: timedelta) -> None:
    """Run the task about this often."""
    _tasks[task.module_path] = task, every


def tick() -> int:
    """Queue every task that was not queued within its interval. Returns how many."""
    queued = 0
    for path, (task, every) in _tasks.items():
        if not DBTaskResult.objects.filter(task_path=path, enqueued_at__gt=clock.real_now() - every).exists():
            task.enqueue()
            queued += 1
    return queued
