"""A job while it runs, for its page: the end of its log, its curves, how far it is.

A log is the job's own words and may hold anything: terminal colours are taken out, control characters dropped, a line
that was written over itself (a progress bar) shows its last state, and the page never carries more than LOG_SHOWN_MAX.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from huoshui.base import figures
from huoshui.jobs import folders
from huoshui.jobs.models import Attempt, Job, Metric

LOG_FIRST_MAX = 64 << 10
"""Bytes of the end of a log that a page shows when it is opened."""
LOG_NEXT_MAX = 32 << 10
LOG_LINE_WAIT = 4 << 10
"""A line longer than this is shown before it is whole."""
POINTS_DRAWN = 120
_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Piece:
    """A piece of a log: plain text, where the next one begins, how many bytes before it are not shown."""

    text: str
    offset: int
    skipped: int = 0


def workdir_of(attempt: Attempt) -> str:
    """Where the site of an attempt keeps the folders of jobs."""
    return str(attempt.connection.settings.get("workdir", ""))


def log_piece(attempt: Attempt, offset: int | None = None) -> Piece:
    """The log from a byte on; without an offset its end."""
    if offset is None:
        data, size = folders.read_log(attempt, workdir_of(attempt), -LOG_FIRST_MAX, LOG_FIRST_MAX)
        begin = size - len(data) if size > LOG_FIRST_MAX else 0
    else:
        data, size = folders.read_log(attempt, workdir_of(attempt), offset, LOG_NEXT_MAX)
        begin = min(offset, size)
    whole = _whole_lines(data, begin + len(data) < size, attempt.state == Attempt.State.ENDED)
    return Piece(plain(whole), begin + len(whole), begin if offset is None else 0)


def _whole_lines(data: bytes, more: bool, ended: bool) -> bytes:
    """Up to the last end of a line, unless nothing more will come or the line is very long."""
    cut = data.rfind(b"\n") + 1
    if ended and not more or len(data) - cut > LOG_LINE_WAIT:
        return data
    return data[:cut]


def plain(data: bytes) -> str:
    """The text of a log without what only a terminal understands."""
    text = _TERMINAL.sub("", data.decode(errors="replace")).replace("\r\n", "\n")
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return _CONTROL.sub("", "\n".join(lines))


SHOWN = {"learning_rate": 1_000_000}
"""Factors by which metrics are shown, so that their figures can be read."""
LAST = ("learning_rate",)
"""Metrics that stand behind the others."""


def curves(job: Job) -> list[figures.Figure]:
    """One figure for each metric of a job that has more than one point, at most POINTS_DRAWN points each."""
    return [_curve(name, _drawn(rows)) for name, rows in _points(job).items() if len(rows) > 1]


def latest(job: Job) -> list[tuple[str, str]]:
    """(title, last value) of each metric."""
    return [(title(name), f"{rows[-1][1]:,.4g}") for name, rows in _points(job).items()]


def _points(job: Job) -> dict[str, list[tuple[int, float]]]:
    """(step, value as shown) of each metric, by name."""
    points: dict[str, list[tuple[int, float]]] = {}
    rows = Metric.objects.filter(job=job).order_by("step").values_list("name", "step", "value")
    for name, step, value in rows:
        points.setdefault(name, []).append((step, _shown(name, value)))
    return {name: points[name] for name in sorted(points, key=lambda name: (name in LAST, name))}


def _shown(name: str, value: float) -> float:
    return float(f"{value * SHOWN.get(name, 1):.6g}")


def figure(name: str, value: str) -> tuple[str, str]:
    """A figure of a lineage as it is shown: (title, value)."""
    return title(name), f"{_shown(name, float(value)):,.4g}"


def _curve(name: str, rows: Sequence[tuple[int, float]]) -> figures.Figure:
    values = {title(name): [value for _step, value in rows]}
    return figures.lines(title(name), [str(step) for step, _value in rows], values)


def _drawn(rows: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    return [rows[at] for at in folders.evenly([step for step, _value in rows], POINTS_DRAWN)]


def title(name: str) -> str:
    """A metric's name in words; an unknown one as the job wrote it."""
    known = {
        "loss": _("Loss (nats a token)"), "learning_rate": _("Learning rate (millionths)"),
        "perplexity": _("Perplexity"), "exact_match": _("Exact answers (share)"), "tokens": _("Tokens (of text)"),
    }  # fmt: skip
    return known.get(name, name)


def progress(job: Job) -> dict[str, Any]:
    """What `_metrics.html` shows of a job."""
    return {
        "job": job,
        "running": job.ended_at is None,
        "percent": min(100, job.done * 100 // job.total) if job.total else None,
        "curves": curves(job),
        "latest": latest(job),
    }


def log(job: Job, number: int | None, may_open: bool) -> dict[str, Any]:
    """What `_log.html` shows of a job's attempts; `number`: which attempt, else the newest."""
    attempts = list(job.attempts.select_related("connection").order_by("number"))
    shown = next((row for row in attempts if row.number == number), attempts[-1] if attempts else None)
    return {
        "attempts": attempts,
        "attempt": shown,
        "piece": log_piece(shown) if shown is not None and may_open else None,
        "log_goes_on": shown is not None and shown.state != Attempt.State.ENDED,
    }
