"""Background work of the desk: clearing a round; settling what is due and expiring balances, both safe to repeat."""

from __future__ import annotations

from functools import partial

from django_tasks import task
from django_tasks.base import TaskContext

from huoshui.base import access, tasks
from huoshui.compute.actions import accounts, delivery, requests, rounds
from huoshui.compute.models import Round
from huoshui.compute.solving import solve
from huoshui.compute.words import phase_title

WORKER = access.system("worker")


@task(takes_context=True)
def clear_round(context: TaskContext, round_id: int) -> None:
    """Freeze, solve, verify, store. Safe to run again after a crash: each step has its key."""
    tasks.watched(context, partial(clear, Round.objects.get(pk=round_id)))


class RoundWatch(tasks.Watch):
    """Tells people what is being worked on; value and bound are not for the progress bar."""

    def beat(self, phase: str = "", done: int = 0, total: int = 0, **_figures: int) -> bool:
        return super().beat(phase_title(phase), done, total)


def clear(round_: Round, watch: tasks.Watch) -> None:
    """The steps of clearing; the solve runs in a child process."""
    if round_.state != Round.State.DRAFT:
        return  # an earlier attempt stored the result and died before it could say so
    rounds.freeze(WORKER, key=f"round/{round_.pk}/freeze", round=round_)
    told = RoundWatch(watch.task, watch.attempt)
    content, figures = tasks.in_child(told, solve, rounds.problem_bytes(round_), rounds.solver_settings(round_))
    rounds.record_result(WORKER, key=f"round/{round_.pk}/result", round=round_, content=content, figures=figures)


@task()
def settle() -> int:
    """Close requests whose window has passed, issue the statements that are due; returns how many of both."""
    return requests.close_passed(WORKER) + delivery.settle_due(WORKER)


@task()
def expire() -> int:
    """Let balances of compute accounts lapse whose day has passed; returns how many accounts."""
    return accounts.expire_balances(WORKER)
