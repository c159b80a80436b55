"""This machine as an engine: each job under a supervisor of its own (`local_shim`), cards by count (`local_cards`).

There is no daemon. The engine's folder, `<workdir>/.engine`, is all that it knows: `cards.json` (who has which cards)
and, for each job, `jobs/<name>/` with what was ordered (`spec.json`), the account (`state.json`) and the lock that its
living supervisor holds (`alive`). Any process that opens the same folder sees the same engine, so a restart of the
platform disturbs no job.

A job whose supervisor died is lost: what it left running is ended, and its account is that of its last heartbeat.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import huoshui
from huoshui.engines import confine
from huoshui.engines.base import (
    LOG_READ_MAX,
    NAME,
    REFUSED,
    SETTINGS,
    UNREACHABLE,
    EngineError,
    Finding,
    Found,
    JobSpec,
    Phase,
    Reservation,
    Status,
    Usage,
    pairs,
    paths,
    read_log,
)
from huoshui.engines.local_cards import Kept, Taker, write
from huoshui.engines.local_shim import alive, cards_of

START_SECONDS_MAX = 30
PROBE_SECONDS_MAX = 20
GRACE_SECONDS = 5.0
"""Between asking a command to end and ending it."""
KEPT_DAYS = 90
"""Accounts of ended jobs stay this long; the runner reads them within minutes."""
WAITING_MAX = 128
"""Jobs that wait or run at once: each has a supervisor."""
SOURCE = "local"
MARK = "HUOSHUI_SUPERVISOR"
"""Variable that every process of a job bears, unless it cleared its own environment."""
PROBE = """
import json, os, sys
def can(call, path):
    try:
        call(path)
        return True
    except OSError:
        return False
print(json.dumps({
    "uid": os.getuid(), "pid": os.getpid(),
    "platform": can(os.listdir, sys.argv[1]), "tenant": can(os.listdir, sys.argv[2]),
    "elsewhere": can(lambda path: os.close(os.open(path, os.O_CREAT | os.O_WRONLY)), sys.argv[3]),
}))
"""
"""Run as a job of a tenant by `check`: what can it reach that it should not?"""


class LocalEngine:
    """Settings: `workdir`, `cards` (`a100=8`), `python` (of job templates; this one by default), `uid_base`,
    `readable`.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.workdir = Path(settings["workdir"]).absolute()
        self.python = settings.get("python") or sys.executable
        self.readable = paths(settings.get("readable", ""))
        self.folder = self.workdir / ".engine"
        try:
            self.total = {card: int(cards) for card, cards in pairs(settings["cards"]).items()}
            self.uid_base = int(settings.get("uid_base") or 200_000)
        except ValueError as error:
            raise EngineError(SETTINGS, f"cards, uid_base: {error}") from error
        if not self.total or min(self.total.values()) < 1:
            raise EngineError(SETTINGS, "cards: at least one")
        if self.uid_base < 1_000:
            raise EngineError(SETTINGS, "uid_base: 1000 or more")

    # cards

    def cards(self) -> dict[str, int]:
        return dict(self.total)

    def nodes(self) -> dict[str, list[int]]:
        return {card: [cards] for card, cards in self.total.items()}

    def reserve(self, wanted: Reservation) -> None:
        if not NAME.fullmatch(wanted.name):
            raise EngineError(REFUSED, f"name {wanted.name!r}")
        self._prepare()
        with cards_of(self.folder) as cards:
            cards.total = self.total
            cards.reserve(
                wanted.name, Kept(wanted.card, wanted.cards, wanted.start.timestamp(), wanted.end.timestamp())
            )

    def release(self, name: str) -> None:
        self._prepare()
        with cards_of(self.folder) as cards:
            cards.reservations.pop(name, None)
            jobs = [job for job, taker in cards.takers.items() if taker.reservation == name]
        for job in jobs:
            self.cancel(job)

    def reservations(self) -> dict[str, Reservation]:
        self._prepare()
        now = time.time()
        with cards_of(self.folder) as cards:
            return {
                name: Reservation(name, kept.card, kept.cards, _instant(kept.start), _instant(kept.end))
                for name, kept in cards.reservations.items()
                if kept.end > now
            }

    # jobs

    def submit(self, spec: JobSpec) -> None:
        if spec.nodes > 1:
            raise EngineError(REFUSED, f"{spec.name}: this machine is one node, not {spec.nodes}")
        self._prepare()
        folder = self._folder(spec.name)
        if (folder / "state.json").exists():
            return
        if not spec.directory.is_dir():
            raise EngineError(REFUSED, f"{spec.name}: no folder {spec.directory}")
        try:
            with cards_of(self.folder) as cards:
                cards.total = self.total
                if spec.name in cards.takers:
                    return
                if len(cards.takers) >= WAITING_MAX:
                    raise EngineError(UNREACHABLE, f"{WAITING_MAX} jobs wait or run")
                cards.queue(spec.name, Taker(spec.card, spec.cards, spec.reservation, spec.seconds_max, 0))
                self._write_order(folder, spec)
                self._supervise(folder)
        except OSError as error:
            raise EngineError(UNREACHABLE, str(error)) from error

    def watch(self, names: Sequence[str]) -> dict[str, Status]:
        return {name: self._status(name) for name in names}

    def usage(self, names: Sequence[str]) -> dict[str, Usage]:
        found = {}
        for name in names:
            raw = self._read(name)
            state = json.loads(raw) if raw else {}
            if "started" not in state:
                continue
            ended = state.get("ended")
            if ended is None and self._status(name).phase is Phase.LOST:
                ended = state["updated"]
            found[name] = Usage(
                cards=state["cards"],
                card_seconds=int(state.get("seconds", 0)) * state["cards"],
                started=datetime.fromisoformat(state["started"]),
                ended=datetime.fromisoformat(ended) if ended else None,
                source=SOURCE,
                raw=raw,
            )
        return found

    def find(self, reservations: Sequence[str], since: datetime | None = None) -> list[Found]:
        return []

    def logs(self, spec: JobSpec, offset: int, limit: int = LOG_READ_MAX) -> bytes:
        return read_log(spec.log, offset, limit)

    def cancel(self, name: str) -> None:
        if (self._folder(name) / "spec.json").exists():
            (self._folder(name) / "cancel").touch(mode=0o600)

    # check

    def check(self) -> list[Finding]:
        try:
            self._prepare()
            self._forget_old()
            return [Finding("ok", "cards", ", ".join(f"{card}: {n}" for card, n in self.total.items())), *self._walls()]
        except EngineError as error:
            return [Finding("fault", error.code, error.text)]
        except OSError as error:
            return [Finding("fault", "workdir", str(error))]

    def _walls(self) -> list[Finding]:
        """Run a probe as a tenant would be run, and say what it could and could not do."""
        name = f"probe-{secrets.token_hex(4)}"
        directory, other, outside = self.workdir / name, self.workdir / f"{name}-other", self.workdir / f"{name}-file"
        try:
            directory.mkdir(mode=0o700)
            other.mkdir(mode=0o700)
            outside.touch(mode=0o666)
            outside.chmod(0o666)
            uid = self._uid(0)
            if uid is not None:
                os.chown(other, uid + 1, uid + 1)
            answer = self._probe(name, directory, (str(self.folder), str(other), str(outside)))
        finally:
            for path in (directory, other, self._folder(name)):
                shutil.rmtree(path, ignore_errors=True)
            outside.unlink(missing_ok=True)
        if isinstance(answer, str):
            return [Finding("fault", "probe", answer)]
        parts = [f"user {answer['uid']}" if uid is not None else "the platform's own user"]
        parts += [f"Landlock {confine.landlock_version()}"] if confine.landlock_version() else []
        apart = not answer["platform"] and not answer["tenant"]
        findings = [Finding("ok" if apart else "fault", "separation", ", ".join(parts))]
        if answer["elsewhere"]:
            findings.append(Finding("warning", "elsewhere", "jobs write outside their folder: no Landlock"))
        if answer["pid"] > 100:
            findings.append(Finding("warning", "namespaces", "no own process namespace: jobs see command lines"))
        return findings

    def _probe(self, name: str, directory: Path, paths: tuple[str, ...]) -> dict[str, Any] | str:
        """What the probe printed, or why it did not."""
        argv = (self.python, "-c", PROBE, *paths)
        card = next(iter(self.total))
        spec = JobSpec(
            name, argv, directory, directory / "log", cards=1, card=card, seconds_max=PROBE_SECONDS_MAX, tenant=0
        )
        folder = self._folder(name)
        self._write_order(folder, spec, probe=True)
        self._supervise(folder)
        deadline = time.monotonic() + PROBE_SECONDS_MAX
        while (status := self._status(name)).phase is not Phase.ENDED and time.monotonic() < deadline:
            time.sleep(0.02)
        said = read_log(spec.log, 0, LOG_READ_MAX).decode(errors="replace")
        if status.exit_code != 0:
            return said.strip() or f"the probe did not run: {status.phase} {status.reason}"
        answer: dict[str, Any] = json.loads(said)
        return answer

    # parts

    def _prepare(self) -> None:
        """Make the engine's folder; tenants pass through the workdir without seeing what is in it."""
        try:
            self.workdir.mkdir(parents=True, exist_ok=True)
            if os.geteuid() == 0:
                self.workdir.chmod(0o711)
            (self.folder / "jobs").mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
        except OSError as error:
            raise EngineError(UNREACHABLE, str(error)) from error

    def _forget_old(self) -> None:
        oldest = time.time() - KEPT_DAYS * 86_400
        for folder in (self.folder / "jobs").iterdir():
            if folder.stat().st_mtime < oldest and not alive(folder):
                shutil.rmtree(folder, ignore_errors=True)

    def _folder(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise EngineError(REFUSED, f"name {name!r}")
        return self.folder / "jobs" / name

    def _uid(self, tenant: int) -> int | None:
        """User number of a tenant; None: the platform is no root and cannot give it one."""
        return self.uid_base + tenant if os.geteuid() == 0 else None

    def _write_order(self, folder: Path, spec: JobSpec, *, probe: bool = False) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        directory = str(spec.directory.absolute())
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": directory, "TMPDIR": f"{directory}/tmp",  # noqa: S108
            **spec.environment, MARK: str(folder),
        }  # fmt: skip
        order = {
            "name": spec.name, "argv": spec.argv, "directory": directory, "log": str(spec.log.absolute()),
            "seconds_max": spec.seconds_max, "memory_mib": spec.memory_mib, "disk_mib": spec.disk_mib,
            "processes_max": spec.processes_max, "grace_seconds": GRACE_SECONDS,
            "uid": self._uid(spec.tenant), "readable": self._readable,
            "environment": environment, "probe": probe,
        }  # fmt: skip
        write(folder / "spec.json", json.dumps(order))

    def _supervise(self, folder: Path) -> None:
        """Start the supervisor and wait until it holds its lock. Raises EngineError when it does not."""
        source = str(Path(huoshui.__file__).parents[1])
        environment = {"PYTHONPATH": source, "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-S", "-m", "huoshui.engines.local_shim", str(folder)]
        with open(folder / "shim.log", "a") as log:
            try:
                subprocess.run(  # noqa: S603
                    command, env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True,
                    timeout=START_SECONDS_MAX,
                )  # fmt: skip
            except (OSError, subprocess.SubprocessError) as error:
                raise EngineError(UNREACHABLE, f"supervisor: {error}") from error

    @cached_property
    def _readable(self) -> list[str]:
        """Where the Python of job templates lies, with what it imports, and what else the site lets jobs read."""
        try:
            return [*confine.paths_of(self.python), *self.readable]
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise EngineError(SETTINGS, f"python: {error}") from error

    def _read(self, name: str) -> str:
        with suppress(FileNotFoundError):
            return (self._folder(name) / "state.json").read_text()
        return ""

    def _status(self, name: str) -> Status:
        lives = alive(self._folder(name))  # before the account: a supervisor writes its last word before it dies
        raw = self._read(name)
        if not raw:
            return Status(Phase.LOST)
        state = json.loads(raw)
        if state["phase"] == "ended":
            return Status(Phase.ENDED, state["exit_code"], state["reason"], state["host"])
        if lives:
            started = datetime.fromisoformat(state["started"]) if "started" in state else None
            return Status(Phase(state["phase"]), None, "", state["host"], started)
        self._end_left_over(name)
        return Status(Phase.LOST, None, "node_lost", state["host"])

    def _end_left_over(self, name: str) -> None:
        """End what a dead supervisor left: with namespaces nothing, else what still bears its mark."""
        mark = f"{MARK}={self._folder(name)}".encode()
        for process in Path("/proc").iterdir():
            if process.name.isdigit():
                with suppress(OSError):
                    if mark in (process / "environ").read_bytes().split(b"\0"):
                        os.kill(int(process.name), signal.SIGKILL)


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
