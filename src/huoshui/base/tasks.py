"""Work that takes longer than a page may: queued by django-tasks in the same database, watched here.

django-tasks stores, orders and runs the tasks; it does not notice a worker that was killed. So every running task
keeps a `TaskProgress` row with a heartbeat (a thread, so that it beats during long steps too), and `reap` puts tasks
whose heartbeat stopped back into the queue (at most ATTEMPTS_MAX times). A worker that was only slow finds at its next
report that its attempt is over, and stops. Task functions must be safe to run again: they call actions under derived
keys.

A long calculation runs in a child process (`in_child`): it can be stopped, and a crash in it does not take the worker
down. The child knows no database; it reports through a pipe, and the parent writes the progress row at most twice a
second, outside any business transaction.
"""

import multiprocessing
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _
from django_tasks import TaskResultStatus
from django_tasks.base import Task, TaskContext
from django_tasks_db.models import DBTaskResult

from huoshui.base import canonical, clock
from huoshui.base.child import child_main
from huoshui.base.errors import Refused
from huoshui.base.models import TaskProgress

ATTEMPTS_MAX = 3
LEASE = timedelta(seconds=20)
HEARTBEAT_SECONDS = 4.0
WRITE_INTERVAL_SECONDS = 0.5
STOP_GRACE_SECONDS = 30


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
    """Handle on the progress row of the running task, for one attempt at it."""

    task: uuid.UUID
    attempt: int
    written: float = 0.0

    @property
    def _row(self) -> "QuerySet[TaskProgress]":
        return TaskProgress.objects.filter(task=self.task, attempt=self.attempt, finished_at=None)

    def beat(self, phase: str = "", done: int = 0, total: int = 0, **figures: int) -> bool:
        """Report progress; False when somebody asked to stop or the attempt is over. Writes at most twice a second."""
        if time.monotonic() - self.written < WRITE_INTERVAL_SECONDS:
            return True
        self.written = time.monotonic()
        changes: dict[str, Any] = {"heartbeat_at": clock.real_now()}
        if phase:
            changes |= {"phase": phase, "done": done, "total": total, "figures": figures}
        written = self._write(self._row.filter(stop_requested=False), changes)
        return written is None or written > 0

    @staticmethod
    def _write(rows: "QuerySet[TaskProgress]", changes: dict[str, Any]) -> int | None:
        """How many rows were changed; None when the database could not be reached.

        A missed beat is not a fault, many are noticed by `reap`; the next one asks for a new connection.
        """
        try:
            return rows.update(**changes)
        except (OperationalError, InterfaceError):
            connection.close()
            return None

    def current(self) -> bool:
        """False when a newer attempt at the task has begun."""
        return self._row.exists()

    def finish(self, error: str = "") -> None:
        """Close the row."""
        self._row.update(finished_at=clock.real_now(), error=error)

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Inside the block a thread keeps the heartbeat going."""
        over = threading.Event()

        def heart() -> None:
            while not over.wait(HEARTBEAT_SECONDS):
                self._write(self._row, {"heartbeat_at": clock.real_now()})
            connection.close()

        thread = threading.Thread(target=heart, name=f"heart of {self.task}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def watched(context: TaskContext, function: Callable[[Watch], None]) -> None:
    """Run a task's body under a watch: closes the progress row, keeps the error's sentence for the page."""
    progress = TaskProgress.objects.get(task=context.task_result.id)
    watch = Watch(progress.task, progress.attempt)
    try:
        if not watch.beat():
            raise Stopped
        with watch.alive():
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


def in_child(watch: Watch, function: Callable[..., Any], *args: Any) -> Any:
    """Call `function(*args, progress=…)` in a child process and return its result.

    `function` must be in a module that imports without Django set up, its arguments and result picklable. When the
    watch is asked to stop, `progress` returns False: a calculation that can end early then returns what it has. Raises
    Stopped when it does not within STOP_GRACE_SECONDS, RuntimeError when the child died or raised.
    """
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=child_main, args=(theirs, function, args))
    child.start()
    theirs.close()
    try:
        return _result(watch, ours, child)
    finally:
        ours.close()
        if child.is_alive():
            child.terminate()
        child.join(5)
        if child.is_alive():
            child.kill()
            child.join()


def _result(watch: Watch, pipe: Connection, child: SpawnProcess) -> Any:
    """Follow the child's reports to its result."""
    patience: float | None = None
    report: list[Any] = []
    while True:
        if not watch.beat(*report[:3], **(report[3] if report else {})):
            if not watch.current():
                raise Stopped
            if patience is None:
                patience = time.monotonic() + STOP_GRACE_SECONDS
                pipe.send("stop")
            elif time.monotonic() > patience:
                raise Stopped
        report = []
        if not pipe.poll(WRITE_INTERVAL_SECONDS):
            if not child.is_alive() and not pipe.poll():
                raise RuntimeError(f"the calculation ended with exit code {child.exitcode}")
            continue
        try:
            kind, *content = pipe.recv()
        except EOFError:
            child.join()
            raise RuntimeError(f"the calculation ended with exit code {child.exitcode}") from None
        if kind == "result":
            return content[0]
        if kind == "error":
            raise RuntimeError(content[0])
        report = content


def stop(task: uuid.UUID) -> None:
    """Ask a task to stop; it does so at its next progress report."""
    TaskProgress.objects.filter(task=task, finished_at=None).update(stop_requested=True)


def reap() -> int:
    """Put tasks whose worker died back into the queue, or fail them after ATTEMPTS_MAX. Returns how many."""
    late = {"finished_at": None, "heartbeat_at__lt": clock.real_now() - LEASE}
    return sum(_reap(task, late) for task in TaskProgress.objects.filter(**late).values_list("task", flat=True))


@transaction.atomic
def _reap(task: uuid.UUID, late: dict[str, Any]) -> bool:
    # A task just claimed has not beaten yet, so its claim must be late too.
    claimed = {"status": TaskResultStatus.RUNNING, "started_at__lt": late["heartbeat_at__lt"]}
    row = DBTaskResult.objects.select_for_update().filter(id=task, **claimed).first()
    progress = TaskProgress.objects.select_for_update().filter(task=task, **late).first()
    if row is None or progress is None:
        return False
    if progress.attempt >= ATTEMPTS_MAX:
        row.status, row.finished_at = TaskResultStatus.FAILED, clock.real_now()
        progress.finished_at = clock.real_now()
        progress.error = _("The worker died %(times)s times.") % {"times": ATTEMPTS_MAX}
    else:
        row.status, row.started_at = TaskResultStatus.READY, None
        progress.attempt += 1
        progress.heartbeat_at = clock.real_now()
    row.save(update_fields=["status", "started_at", "finished_at"])
    progress.save(update_fields=["attempt", "heartbeat_at", "finished_at", "error"])
    return True
