"""Measuring one thing in a process of its own, and printing tables.

A fresh process makes the peak memory that of the thing measured, keeps solvers that cannot be loaded together apart,
and can be ended when it overruns: a limit that a solver does not keep is kept here.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GRACE_SECONDS = 60
"""Beyond its own limit, what a solver may take to build its model and return."""
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Measured:
    """answer of the call (None when it failed), wall seconds, peak resident megabytes, why it failed."""

    answer: Any
    seconds: float
    peak_mb: float
    failure: str = ""


def measured(call: Callable[..., Any], *arguments: Any, limit_seconds: float) -> Measured:
    """`call(*arguments)` in a new process; `call` must be importable. Stopped GRACE_SECONDS after its limit."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(theirs, call, arguments))
    child.start()
    theirs.close()
    try:
        if not ours.poll(limit_seconds + GRACE_SECONDS):
            return Measured(None, limit_seconds, 0.0, "did not finish")
        return ours.recv()
    except EOFError:
        return Measured(None, 0.0, 0.0, "out of memory or crashed")
    finally:
        if child.is_alive():
            child.join(5)
            child.kill()
        child.join()


def _child(pipe: Any, call: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    start = time.perf_counter()
    try:
        answer, failure = call(*arguments), ""
    except Exception as error:  # noqa: BLE001 - a solver that fails is a row of the table
        answer, failure = None, f"{type(error).__name__}: {error}"[:120]
    pipe.send(Measured(answer, time.perf_counter() - start, _peak_mb(), failure))


def _peak_mb() -> float:
    """Peak resident memory of this process. Linux keeps the parent's peak in ru_maxrss across exec, so not that one."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]], *notes: str) -> str:
    """A Markdown table with its title and notes."""
    lines = [f"### {title}", "", f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    lines += [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join([*lines, "", *(f"{note}  " for note in notes)])


def machine() -> str:
    """What the figures were measured on."""
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


def publish(name: str, *parts: str) -> None:
    """Keep the parts in benchmarks/results/NAME.md."""
    text = "\n\n".join(["<!-- written by python -m benchmarks -->", *parts, f"Measured on {machine()}."])
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.md"
    path.write_text(text + "\n", "utf-8")
    print(f"written to {path.relative_to(RESULTS.parents[1])}")
