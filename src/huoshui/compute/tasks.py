"""Background work of the desk: clearing a round."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django_tasks import task
from django_tasks.base import TaskContext

from huoshui.base import access, tasks
from huoshui.clearing import capacity
from huoshui.clearing.capacity import archive
from huoshui.compute import figures
from huoshui.compute.actions import rounds
from huoshui.compute.models import Round

Report = Callable[..., bool]
WORKER = access.system("worker")


@task(takes_context=True)
def clear_round(context: TaskContext, round_id: int) -> None:
    """Freeze, solve, verify, store. Safe to run again after a crash: each step has its key."""
    tasks.watched(context, partial(clear, Round.objects.get(pk=round_id)))


def clear(round_: Round, watch: tasks.Watch) -> None:
    """The steps of clearing; the solve runs in a child process."""
    rounds.freeze(WORKER, key=f"round/{round_.pk}/freeze", round=round_)
    content, found = tasks.in_child(watch, solve, rounds.problem_bytes(round_), figures.settings(round_))
    rounds.record_result(WORKER, key=f"round/{round_.pk}/result", round=round_, content=content, figures=found)


def solve(problem_bytes: bytes, chosen: dict[str, int], progress: Report) -> tuple[bytes, dict[str, Any]]:
    """Pure: bytes of a problem → bytes of a verified result and the figures that people read.

    Raises RuntimeError when `verify` finds a false statement: such a result is never stored.
    """
    problem = archive.unpack(capacity.Problem, problem_bytes)

    def told(phase: str, done: int, total: int, objective: int, bound: int) -> bool:
        return progress(str(phase), done, total, objective=objective, bound=bound)

    result = capacity.clear(problem, options=figures.solver_options(problem, chosen), progress=told)
    if faults := capacity.verify(problem, result):
        raise RuntimeError(f"the result does not verify: {faults[:5]}")
    return archive.pack(result), figures.of(problem, result, chosen)
