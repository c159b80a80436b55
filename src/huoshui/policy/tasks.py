"""Background work of the desk for officers: the nightly match of all entities, and batches being checked again."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from django.utils.translation import gettext as _
from django_tasks import task
from django_tasks.base import TaskContext

from huoshui.base import access, clock, tasks
from huoshui.base.errors import Refused
from huoshui.policy import bulk
from huoshui.policy.actions import batches, runs
from huoshui.policy.models import Batch, MatchRun

WORKER = access.system("worker")


@task()
def nightly() -> None:
    """Start the night's run; another one under way, or no pack in force, is no fault."""
    with suppress(Refused):
        runs.start(WORKER, key=f"run/nightly/{clock.today()}")
    runs.prune(WORKER)


@task(takes_context=True)
def match_all(context: TaskContext, run_id: int) -> None:
    """Evaluate a run. Safe to run again after a crash: it begins from nothing and is stored under a key."""
    tasks.watched(context, partial(evaluate, MatchRun.objects.get(pk=run_id)))


def evaluate(run: MatchRun, watch: tasks.Watch) -> None:
    """The steps of a run; the evaluation runs in a child process."""
    if run.state != MatchRun.State.WAITING:
        return  # an earlier attempt stored the result and died before it could say so
    watch.beat(_("reading facts"))
    told = RunWatch(watch.task, watch.attempt)
    try:
        runs.carry_out(WORKER, run, lambda it: tasks.in_child(told, bulk.evaluate_file, it.job, it.source, it.out))
    except Exception:
        if watch.current():
            runs.fail(WORKER, run=run)
        raise


class RunWatch(tasks.Watch):
    """Tells people what is being worked on."""

    def beat(self, phase: str = "", done: int = 0, total: int = 0, **_figures: int) -> bool:
        return super().beat(_("evaluating rule packs") if phase else "", done, total)


@task(takes_context=True)
def check_batch(context: TaskContext, batch_id: int) -> None:
    """Check the rows of a confirmed batch again. Safe to run again: each row is done once."""
    tasks.watched(context, partial(check, Batch.objects.get(pk=batch_id)))


def check(batch: Batch, watch: tasks.Watch) -> None:
    """The steps of a batch, with progress."""
    total = batch.rows.count()
    for done in batches.check_all(WORKER, batch):
        if not watch.beat(_("checking again"), done, total):
            raise tasks.Stopped
