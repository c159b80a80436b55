"""What Slurm says of jobs: lines of squeue and sacct read, and which of them are meant by our names."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

from huoshui.engines import batch_script
from huoshui.engines.base import MALFORMED, EngineError, Phase, Status

NAMES_PER_CALL = 500
OUTPUT_BYTES_MAX = 64 << 20
REPEAT_SECONDS_MAX = 10
"""How long a run may have been that found that the job ran before; more is a run of the job, and is billed."""
ENDED: Final[Mapping[str, str]] = {
    "COMPLETED": "", "FAILED": "", "TIMEOUT": "time_limit", "DEADLINE": "time_limit", "OUT_OF_MEMORY": "memory",
    "NODE_FAIL": "node_lost", "BOOT_FAIL": "node_lost", "REQUEUED": "node_lost", "REVOKED": "node_lost",
    "PREEMPTED": "preempted", "CANCELLED": "cancelled",
}  # fmt: skip
"""States in which nothing runs any more, and what they mean to us."""
WORKING = ("idle", "mixed", "allocated", "completing", "planned", "reserved")
AT_REST = "~#!%@+-"
"""Marks behind a node's state (sinfo): switched off while nothing needs it, on the way there or back, to be rebooted
when it is idle, still ending a job, planned for one. Slurm takes jobs for it, so its cards can be sold. A node with
another mark does not answer, is being rebooted or kept for maintenance."""
WAITING = ("PENDING", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD", "SPECIAL_EXIT", "CONFIGURING", "RESIZING")


@dataclass(frozen=True)
class SlurmRun:
    """One line of squeue or sacct. Times are seconds since the epoch; 0: not yet."""

    job: int
    name: str
    uid: int
    state: str
    node: str
    exit_code: int = 0
    signal: int = 0
    start: int = 0
    end: int = 0
    elapsed: int = 0
    cards: int = 0
    again: bool = False
    raw: str = ""

    @property
    def over(self) -> bool:
        """Nothing of it will run: it ended, waits to run again (which its script refuses), or for what is no more."""
        return self.state in ENDED or (self.state in WAITING and self.again)

    @property
    def refused(self) -> bool:
        """Slurm keeps a record of what it refused at submission: such a job never was."""
        return self.state == "FAILED" and not self.node

    @property
    def repeated(self) -> bool:
        """The script found that the job had run before."""
        refused = self.state == "FAILED" and self.exit_code == batch_script.RAN_BEFORE
        return refused and self.elapsed <= REPEAT_SECONDS_MAX

    def status(self) -> Status:
        if self.state in ENDED:
            code = 128 + self.signal if self.signal else self.exit_code
            reason = batch_script.REASONS.get(code, ENDED[self.state])
            return Status(Phase.ENDED, code if self.start else None, reason, self.node)
        if self.state in WAITING:
            return Status(Phase.WAITING)
        return Status(Phase.RUNNING, None, "", self.node, instant_of(self.start) if self.start else None)


@dataclass(frozen=True)
class Ours:
    """Which runs are meant by names: those of the numbers that Slurm gave, until it did those of the name and user."""

    notes: Mapping[str, Mapping[str, Any]]

    @cached_property
    def found(self) -> dict[int, str]:
        return {job: name for name, note in self.notes.items() if note.get("found") for job in note["jobs"]}

    def name_of(self, run: SlurmRun) -> str:
        """Empty: none of these."""
        known = self.found.get(run.job, run.name)
        return known if known in self.notes and is_meant(self.notes[known], run.job, run.uid) else ""

    def in_queue(self) -> list[str]:
        """What squeue is asked for; it refuses numbers that it has forgotten."""
        users = sorted({str(self.notes[name]["uid"]) for name in self.found.values()})
        return [*self._names(), *([f"--user={','.join(users)}"] if users else [])]

    def in_accounts(self) -> list[str]:
        return [*self._names(), *(f"--jobs={','.join(part)}" for part in in_parts([str(job) for job in self.found]))]

    def _names(self) -> list[str]:
        named = [name for name, note in self.notes.items() if not note.get("found")]
        return [f"--name={','.join(part)}" for part in in_parts(named)]


def is_meant(note: Mapping[str, Any], job: int, uid: int) -> bool:
    """Whether a note of a submission is of the job with this number, of this user."""
    return bool(note["uid"] == uid and (job in note["jobs"] if note.get("jobs") else True))


def in_parts(names: Sequence[str]) -> list[Sequence[str]]:
    """As many names as one command takes."""
    return [names[at : at + NAMES_PER_CALL] for at in range(0, len(names), NAMES_PER_CALL)]


def the_one(runs: Sequence[SlurmRun]) -> SlurmRun:
    """The run that counts among those of one name: the one that runs, else that ran, else that waits."""

    def rank(run: SlurmRun) -> tuple[int, int, int]:
        if run.state in WAITING:
            return (2, run.start, run.job)
        if run.state not in ENDED:
            return (0, run.start, run.job)
        return (1 if run.start and not run.repeated else 3, run.start, run.job)

    return min(runs, key=rank)


def still_running(run: SlurmRun) -> SlurmRun:
    """A run that ended a moment ago, whose account is not written yet: as good as running."""
    if run.state in WAITING:
        return run
    return SlurmRun(run.job, run.name, run.uid, "COMPLETING", run.node, start=run.start)


def with_cards(run: SlurmRun, cards: int) -> SlurmRun:
    """A run whose account tells no cards has those that were asked for."""
    return run if run.cards else replace(run, cards=cards)


def works(state: str) -> bool:
    """Whether a node in this state runs jobs, or will as soon as one needs it."""
    return state.rstrip(AT_REST) in WORKING


def read_rows(text: str, width: int) -> list[list[str]]:
    """Lines of so many fields. Raises EngineError(MALFORMED)."""
    if len(text) > OUTPUT_BYTES_MAX:
        raise EngineError(MALFORMED, f"{len(text)} characters")
    rows = [line.split("|") for line in text.splitlines() if line.strip()]
    for row in rows:
        if len(row) != width:
            raise EngineError(MALFORMED, f"{width} fields expected: {'|'.join(row)[:200]}")
    return rows


def whole(text: str) -> int:
    """Raises EngineError(MALFORMED)."""
    if not re.fullmatch(r"\d{1,15}", text):
        raise EngineError(MALFORMED, f"a whole number expected: {text[:80]!r}")
    return int(text)


def epoch(text: str) -> int:
    """Seconds since the epoch; 0: Slurm knows none. Raises EngineError(MALFORMED)."""
    return 0 if text in ("Unknown", "None", "N/A", "") else whole(text)


def instant_of(seconds: str | int) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


def allocated(tres: str, words: Iterable[str]) -> int:
    """Cards in `billing=1,cpu=1,gres/gpu:a100=2,gres/gpu=2`: of these models; of all where models are not counted."""
    counts = {key: value for key, _sign, value in (part.partition("=") for part in tres.split(","))}
    if any(key.startswith("gres/gpu:") for key in counts):
        return sum(whole(counts.get(f"gres/gpu:{word}", "0")) for word in words)
    return whole(counts.get("gres/gpu", "0"))


def requested(text: str, words: Iterable[str]) -> int:
    """Cards in what a job asked for, such as `a100:2` of licences or `gres:gpu:a100:2`, `gres:gpu:2`."""
    model = "|".join(map(re.escape, words))
    found = re.findall(rf"(?:^|,)(?:gres[:/])?(?:gpu[:=])?(?:(?:{model})[:=])?(\d+)(?=,|\(|$)", text)
    return sum(map(int, found))


def gres_cards(text: str, word: str) -> int:
    """Cards of a type in a node's GRES, such as `gpu:a100:8(S:0-1),gpu:h20:4`."""
    return sum(int(count) for count in re.findall(rf"(?:^|,)gpu:{re.escape(word)}:(\d+)", text))
