"""What an engine does: reserve cards, submit jobs, watch them, read their logs and accounts, cancel them, check itself.

Rules that every engine keeps, and `tests/engines/contract.py` proves of each:

* Names are ours and unique; `reserve` (of the same cards and hours) and `submit` with a name that is known already
  change nothing and answer the same, so a caller that died between asking and writing down the answer asks again.
* `usage` comes from the engine's own accounting, in whole card-seconds, with the raw record it was read from: the
  SHA-256 of that record is the evidence on a statement.
* `watch` tells of every name it was asked about; one that the engine does not know, or whose supervisor died, is
  `Phase.LOST`. What ran before it was lost is in `usage`.
* No job runs twice under one name, whatever a time-out or a restart did to the answer of `submit`.
* A reservation binds: a job waits until it begins, uses no more than its cards, and is ended with it (time_limit).
* A job of several nodes is one job: it starts on all of them at once, the first node that fails ends it on all, and its
  account is that of all its cards. An engine whose jobs stay on one node refuses it.
* Whatever a job writes is its tenant's and may be a trap (a link, a pipe, a device): `read_log` shows how to read it.
* Whatever fails raises EngineError with a stable code; `unreachable` may be tried again, the others may not.
"""

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

UNREACHABLE, REFUSED, UNKNOWN_CARD, MALFORMED, SETTINGS = (
    "unreachable", "refused", "unknown_card", "malformed", "settings",
)  # fmt: skip
ENVIRONMENT_MAX = 100
LOG_READ_MAX = 1 << 20
"""Bytes of a log that are read at once."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
"""Names of reservations and jobs."""


class EngineError(Exception):
    """The engine did not do what it was asked. `code` is stable; `text` is what the engine said, for its operator."""

    def __init__(self, code: str, text: str = "") -> None:
        super().__init__(f"{code}: {text}")
        self.code, self.text = code, text


class Phase(StrEnum):
    """Where a job is. ENDED says nothing of success: see `Status.exit_code` and `Status.reason`."""

    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"
    LOST = "lost"


@dataclass(frozen=True)
class Reservation:
    """Cards kept for one booking over [start, end): aware UTC instants.

    `tenant`: whose people may submit in it by themselves, where the engine knows them; None: nobody's.
    """

    name: str
    card: str
    cards: int
    start: datetime
    end: datetime
    tenant: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class JobSpec:
    """One run. `card` is the engine's word for the card model; `tenant` keeps the files of parties apart.

    The job runs `argv` in `directory` (on storage that the engine's nodes share) with `environment` and nothing else
    of the platform's environment; stdout and stderr go to `log`, a file right in `directory`. Bounds: wall seconds,
    memory of all its processes together, what lies in `directory`, processes. Whatever it leaves running is ended
    with it. Raises EngineError(REFUSED) for a name, an environment or bounds that no engine takes.

    `cards` are the cards of all `nodes`, equally many on each. On several nodes the command runs once on each, knows
    its place by HUOSHUI_NODES, HUOSHUI_NODE (0, 1, …) and HUOSHUI_FIRST_NODE (the name of node 0), and has the bounds
    of memory, processes and processors on each. `cpus`: processors that are its own where the engine gives them out;
    0: as many as that gives.
    """

    name: str
    argv: tuple[str, ...]
    directory: Path
    log: Path
    cards: int
    card: str
    seconds_max: int
    tenant: int
    memory_mib: int = 4_096
    disk_mib: int = 10_240
    processes_max: int = 256
    environment: Mapping[str, str] = field(default_factory=dict)
    reservation: str = ""
    nodes: int = 1
    cpus: int = 0

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name) or (self.reservation and not NAME.fullmatch(self.reservation)):
            raise EngineError(REFUSED, f"name {self.name!r}, reservation {self.reservation!r}: letters, digits, . _ -")
        if min(self.cards, self.seconds_max, self.memory_mib, self.disk_mib, self.processes_max) < 1 or self.tenant < 0:
            raise EngineError(REFUSED, f"{self.name}: bounds are at least 1")
        if self.nodes < 1 or self.cards % self.nodes:
            raise EngineError(REFUSED, f"{self.name}: {self.cards} cards on {self.nodes} nodes: equally many on each")
        if not self.argv or any("\0" in word for word in self.argv):
            raise EngineError(REFUSED, f"{self.name}: no command")
        if len(self.environment) > ENVIRONMENT_MAX:
            raise EngineError(REFUSED, f"{self.name}: more than {ENVIRONMENT_MAX} variables")
        for name, value in self.environment.items():
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or "\0" in value or "\n" in value:
                raise EngineError(REFUSED, f"{self.name}: variable {name!r}")
        if self.log.parent != self.directory:
            raise EngineError(REFUSED, f"{self.name}: the log lies in the job's directory")


@dataclass(frozen=True)
class Status:
    """What the engine says of a job.

    `reason`: "", time_limit, memory, disk, node_lost, preempted, cancelled, no_start. `started` (aware UTC): since when
    it runs, told of every job that does, also while its account is not written yet: the spending cap counts from it.
    """

    phase: Phase
    exit_code: int | None = None
    reason: str = ""
    node: str = ""
    started: datetime | None = None


@dataclass(frozen=True)
class Usage:
    """A job's account: from `started` to `ended` (aware UTC; None: still running) on `cards` cards.

    `card_seconds` is the engine's own figure; `raw` the record it was read from (text), `source` names where from.
    """

    cards: int
    card_seconds: int
    started: datetime
    ended: datetime | None
    source: str
    raw: str


@dataclass(frozen=True)
class Found:
    """A job with cards in one of our reservations that somebody else submitted: from now on the engine knows it by
    `name`, like those that were submitted here.
    """

    name: str
    reservation: str
    cards: int
    started: datetime


@dataclass(frozen=True)
class Finding:
    """One thing that `check` found. `level`: ok, warning, fault. `code` is stable, `text` for the operator."""

    level: str
    code: str
    text: str = ""


class Engine(Protocol):
    """One site's engine."""

    def check(self) -> list[Finding]:
        """Is everything in order? Never raises: what is wrong is a finding."""

    def cards(self) -> dict[str, int]:
        """Cards that work now, by the engine's word for the model. Raises EngineError."""

    def nodes(self) -> dict[str, list[int]]:
        """Cards of each node that one job may use together, by the engine's word for the model.

        Nodes that are down count too. An engine whose jobs stay on one node names its largest. Raises EngineError.
        """

    def reserve(self, wanted: Reservation) -> None:
        """Keep cards; a reservation of this name with other cards or another end is changed to what is wanted now.

        Raises EngineError(REFUSED) when they are not there.
        """

    def release(self, name: str) -> None:
        """Give a reservation up and end what runs in it; one that is gone already is no error."""

    def reservations(self) -> dict[str, Reservation]:
        """Reservations that stand, by name."""

    def submit(self, spec: JobSpec) -> None:
        """Run a job as soon as its reservation (or any free cards) allow."""

    def watch(self, names: Sequence[str]) -> dict[str, Status]:
        """The status of each named job. One that ended is told as ended when its account is there, not before."""

    def usage(self, names: Sequence[str]) -> dict[str, Usage]:
        """The account of each named job that has started; a job that never started is not in it."""

    def find(self, reservations: Sequence[str], since: datetime | None = None) -> list[Found]:
        """Jobs of others that run in these reservations, or ended lately; all since an instant where accounts tell.

        Asked again it tells the same. Only the engine whose people submit by themselves knows any.
        """

    def logs(self, spec: JobSpec, offset: int, limit: int = LOG_READ_MAX) -> bytes:
        """Output of a job from a byte on; empty when there is no more yet."""

    def cancel(self, name: str) -> None:
        """End a job and all it started; one that has ended is no error."""


@dataclass(frozen=True)
class Setting:
    """One thing that an operator says of an engine.

    `kind`: text, number, secret (the name of a variable); path (a directory for jobs); installed (paths of what the
    installation put there, which the platform runs, loads or lets jobs read: never where jobs write); address (of a
    service that the platform asks).
    """

    name: str
    title: str
    kind: str = "text"
    default: str = ""
    required: bool = True


@dataclass(frozen=True)
class Kind:
    """A kind of engine: where its class is, and what its settings are."""

    title: str
    path: str
    settings: tuple[Setting, ...]

    def load(self) -> Any:
        module, _colon, name = self.path.partition(":")
        return getattr(import_module(module), name)


def pairs(text: str) -> dict[str, str]:
    """`a100=8, ascend910b=8` as a mapping. Raises EngineError(SETTINGS) naming what is not `word=word`."""
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        ours, sign, theirs = (piece.strip() for piece in part.partition("="))
        if not sign or not NAME.fullmatch(ours) or not NAME.fullmatch(theirs) or ours in found:
            raise EngineError(SETTINGS, f"cards: {part!r}")
        found[ours] = theirs
    return found


def paths(text: str) -> list[str]:
    """`/opt/data:/shared/software` as a list. Raises EngineError(SETTINGS) naming what is not absolute."""
    found = [path for path in text.split(":") if path]
    for path in found:
        if not path.startswith("/") or path == "/":
            raise EngineError(SETTINGS, f"not the path of a directory from the root on: {path!r}")
    return found


def card_words(kind: str, settings: Mapping[str, str]) -> dict[str, str]:
    """Our card model's code → the engine's word for it, which `Reservation.card` and `JobSpec.card` use."""
    found = pairs(settings.get("cards", ""))
    return found if kind == "slurm" else {code: code for code in found}


def read_log(path: Path, offset: int, limit: int) -> bytes:
    """Bytes of a log that its tenant could have replaced: links, pipes and devices are not followed, but empty."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        state = os.fstat(handle)
        if not stat.S_ISREG(state.st_mode) or state.st_nlink != 1:
            return b""
        return os.pread(handle, min(limit, LOG_READ_MAX), max(offset, 0))
    finally:
        os.close(handle)


WORKDIR: Final = Setting("workdir", "directory for jobs, shared with the nodes", "path")
CARDS: Final = Setting("cards", "cards, such as a100=8,ascend910b=8")
PYTHON: Final = Setting("python", "Python on the nodes, for job templates", "installed", required=False)
READABLE: Final = Setting(
    "readable", "what jobs may read besides, such as /shared/software:/data", "installed", required=False
)
def bounds(memory_gib: int, disk_gib: int, processes: int) -> tuple[Setting, ...]:
    """What a job may use for each of its cards."""
    return (
        Setting("memory_gib", "memory for each card (GiB)", "number", str(memory_gib), required=False),
        Setting("disk_gib", "disk for each card, inputs not counted (GiB)", "number", str(disk_gib), required=False),
        Setting("processes", "processes for each card", "number", str(processes), required=False),
    )


KINDS: dict[str, Kind] = {
    "local": Kind(
        "This machine", "huoshui.engines.local:LocalEngine",
        (
            WORKDIR, CARDS, PYTHON, READABLE,
            Setting("uid_base", "first user number of tenants (when run by root)", "number", "200000", required=False),
            *bounds(4, 10, 256),
        ),
    ),
    "slurm": Kind(
        "Slurm", "huoshui.engines.slurm:SlurmEngine",
        (
            WORKDIR, PYTHON, READABLE, Setting("conf", "slurm.conf", "installed", required=False),
            Setting("bin", "directory of sbatch and scontrol", "installed", required=False),
            Setting("partition", "partition", required=False), Setting("account", "account", required=False),
            Setting("cards", "our card model = Slurm's GRES type, such as a100=a100"),
            Setting("users", "user of a tenant's jobs, such as tenant%d (when run by root)", required=False),
            Setting("shared_user", "yes: jobs of all tenants may run as one user", required=False),
            Setting("enclose", "no: run jobs also on nodes that cannot enclose them", required=False),
            *bounds(8, 50, 1024), Setting("cpus", "processors for each card", "number", "4", required=False),
        ),
    ),
    "ray": Kind(
        "Ray (optional extra)", "huoshui.engines.ray:RayEngine",
        (WORKDIR, PYTHON, Setting("address", "address of the Jobs API", "address"), CARDS, *bounds(4, 10, 256)),
    ),
}  # fmt: skip
"""Kinds of engine. A plugin adds its own before the site's form is shown."""


def open_engine(kind: str, settings: Mapping[str, str]) -> Engine:
    """The engine of a site. Raises EngineError(SETTINGS) naming what is missing or malformed."""
    known = KINDS.get(kind)
    if known is None:
        raise EngineError(SETTINGS, f"kind {kind!r}")
    missing = [setting.name for setting in known.settings if setting.required and not settings.get(setting.name)]
    if missing:
        raise EngineError(SETTINGS, f"missing: {', '.join(missing)}")
    engine: Engine = known.load()(settings)
    return engine
