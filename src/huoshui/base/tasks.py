"""Work that takes longer than a page may: queued by django-tasks in the same database, watched here.

django-tasks stores, orders and runs the tasks; it does not notice a worker that was killed. So every running task
keeps a `TaskProgress` row with a heartbeat, and `reap` puts tasks whose heartbeat stopped back into the queue (at most
ATTEMPTS_MAX times). Task functions must therefore be safe to run again: they call actions under derived keys.

A long calculation runs in a child process (`in_child`): it can be stopped, and a crash in it does not take the worker
down. The child knows no database; it reports through a pipe, and the parent writes the progress row at most twice a
second, outside any business transaction.
"""

import multiprocessing
import time
import traceback
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any

from django.db import transaction
from django.db.models import Model
from django.utils.translation import gettext as _
from django_tasks import TaskResultStatus
from django_tasks.base import Task, TaskContext
from django_tasks_db.models import DBTaskResult

from huoshui.base import canonical, clock
from huoshui.base.errors import Refused
from huoshui.base.models import TaskProgress

ATTEMPTS_MAX = 3
LEASE = timedelta(seconds=20)
WRITE_INTERVAL_SECONDS = 0.5


class Stopped(Exception):
    """Somebody asked the task to stop."""


def enqueue(task: Task, subject: Model, *args: Any) -> uuid.UUID:
    """Queue a task about an object, in the present transaction. Returns the task's id."""
    result = task.enqueue(*args)
    TaskProgress.objects.create(
        task=result.id, kind=task.name, subject=canonical.label(subject), heartbeat_at=clock.real_now()
    )
    return uuid.UUID(str(result.id))


@dataclass
class Watch:
    """Handle on the progress row of the running task."""

    task: uuid.UUID
    written: float = 0.0

    def beat(self, phase: str = "", done: int = 0, total: int = 0, **figures: int) -> bool:
        """Report progress; False when somebody asked to stop. Writes at most twice a second."""
        if time.monotonic() - self.written < WRITE_INTERVAL_SECONDS:
            return True
        self.written = time.monotonic()
        rows = TaskProgress.objects.filter(task=self.task)
        changes: dict[str, Any] = {"heartbeat_at": clock.real_now()}
        if phase:
            changes |= {"phase": phase, "done": done, "total": total, "figures": figures}
        rows.update(**changes)
        return not rows.filter(stop_requested=True).exists()

    def finish(self, error: str = "") -> None:
        """Close the row."""
        TaskProgress.objects.filter(task=self.task).update(finished_at=clock.real_now(), error=error)


def watched(context: TaskContext, function: Callable[[Watch], None]) -> None:
    """Run a task's body under a watch: closes the progress row, keeps the error's sentence for the page."""
    watch = Watch(uuid.UUID(str(context.task_result.id)))
    watch.beat()
    try:
        function(watch)
    except Stopped:
        watch.finish(_("stopped"))
    except Refused as error:
        watch.finish(error.message)
        raise
    except Exception as error:
        watch.finish(f"{type(error).__name__}: {error}")
        raise
    else:
        watch.finish()


def _child(pipe: Connection, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    def progress(phase: str, done: int, total: int, **figures: int) -> bool:
        with suppress(BrokenPipeError):
            pipe.send(("progress", phase, done, total, figures))
            return not pipe.poll() or pipe.recv() != "stop"
        return False

    try:
        pipe.send(("result", function(*args, progress=progress)))
    except Exception:
        pipe.send(("error", traceback.format_exc()))


def in_child(watch: Watch, function: Callable[..., Any], *args: Any) -> Any:
    """Call `function(*args, progress=…)` in a child process and return its result.

    `function` must be importable, its arguments and result picklable. Raises Stopped when the watch was asked to stop,
    RuntimeError when the child died or raised.
    """
    parent_end, child_end = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=_child, args=(child_end, function, args))
    child.start()
    child_end.close()
    try:
        while True:
            if not parent_end.poll(WRITE_INTERVAL_SECONDS):
                if not watch.beat():
                    raise Stopped
                if not child.is_alive() and not parent_end.poll():
                    raise RuntimeError(f"the calculation ended with exit code {child.exitcode}")
                continue
            try:
                kind, *content = parent_end.recv()
            except EOFError:
                child.join()
                raise RuntimeError(f"the calculation ended with exit code {child.exitcode}") from None
            if kind == "result":
                return content[0]
            if kind == "error":
                raise RuntimeError(content[0])
            if not watch.beat(*content[:3], **content[3]):
                raise Stopped
    finally:
        parent_end.close()
        if child.is_alive():
            child.terminate()
        child.join(5)
        if child.is_alive():
            child.kill()
            child.join()


def stop(task: uuid.UUID) -> None:
    """Ask a task to stop; it does so at its next progress report."""
    TaskProgress.objects.filter(task=task, finished_at=None).update(stop_requested=True)


def reap() -> int:
    """Put tasks whose worker died back into the queue, or fail them after ATTEMPTS_MAX. Returns how many."""
    dead = TaskProgress.objects.filter(finished_at=None, heartbeat_at__lt=clock.real_now() - LEASE)
    reaped = 0
    for progress in dead:
        with transaction.atomic():
            row = (
                DBTaskResult.objects.select_for_update()
                .filter(id=progress.task, status=TaskResultStatus.RUNNING)
                .first()
            )
            if row is None:
                continue
            reaped += 1
            if progress.attempt >= ATTEMPTS_MAX:
                row.status = TaskResultStatus.FAILED
                row.finished_at = clock.real_now()
                progress.finished_at, progress.error = clock.real_now(), _("The worker died three times.")
            else:
                row.status, row.started_at = TaskResultStatus.READY, None
                progress.attempt += 1
                progress.heartbeat_at = clock.real_now()
            row.save()
            progress.save()
    return reaped
