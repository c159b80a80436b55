"""The supervisor of one job on this machine: `python -m huoshui.engines.local_shim FOLDER` (standard library only).

It leaves the process that started it, so that it outlives a restart of the platform, and holds a lock on `FOLDER/alive`
as long as it lives: that lock, not a process number, is how others know. It waits for cards, starts the command inside
the walls of `confine`, and watches: time, memory, disk, a wish to cancel. When the command ends, or must, everything it
started is ended with it. `FOLDER/state.json` is the account: replaced whole, at least every HEARTBEAT_SECONDS, by the
supervisor's user, whom no tenant can pass for.

    supervisor (platform's user) ── first (of its own process namespace) ── command (tenant's user) ── …
"""

import fcntl
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG
from typing import Any

from huoshui.engines import confine
from huoshui.engines.base import EngineError
from huoshui.engines.local_cards import Cards, Taker, locked, write

TICK_SECONDS = 0.1
TURN_SECONDS = 0.5
"""Between two questions whether it is a waiting job's turn."""
WATCH_SECONDS = 0.25
DISK_SECONDS = 1.0
HEARTBEAT_SECONDS = 2.0
END_SECONDS_MAX = 60
"""For processes that the kernel cannot end at once (waiting for a disk)."""
LOG_BYTES_MAX = 64 << 20
FLOOD_READ = 1 << 20
"""Bytes of output read at once; past the bound, once a tick and thrown away."""
F_SETPIPE_SZ = 1031
ENTRIES_MAX = 200_000
"""Files and folders of a job."""


class Account:
    """`state.json`. Seconds are of the monotonic clock: a clock that is set meanwhile bills nobody."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state.json"
        self.state: dict[str, Any] = {"phase": "waiting", "host": socket.gethostname()}
        self.began = 0.0
        self.put()

    def put(self, **news: Any) -> None:
        self.state |= news
        if self.state["phase"] == "running":
            self.state["seconds"] = round(time.monotonic() - self.began, 3)
        self.state["updated"] = datetime.now(UTC).isoformat()
        write(self.path, json.dumps(self.state))
        self.written = time.monotonic()

    def start(self, ids: list[int]) -> None:
        self.began = time.monotonic()
        self.put(phase="running", card_ids=ids, cards=len(ids), started=datetime.now(UTC).isoformat())

    def end(self, exit_code: int | None, reason: str) -> None:
        if "started" in self.state:
            self.put()
        self.put(phase="ended", exit_code=exit_code, reason=reason, ended=datetime.now(UTC).isoformat())


def main(folder: Path) -> None:
    """Become the supervisor of this job, unless it has or had one."""
    os.umask(0o077)
    lock = os.open(folder / "alive", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    if (folder / "state.json").exists():
        return
    account = Account(folder)
    if os.fork():
        os._exit(0)  # the child holds the lock on
    os.setsid()
    confine.adopt_orphans()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        supervise(folder, account, lock)
    except Exception:
        if "started" not in account.state:  # else the job is lost, with the account of its last heartbeat
            account.end(None, "no_start")
        raise
    finally:
        end_all()


def supervise(folder: Path, account: Account, lock: int) -> None:
    spec = json.loads((folder / "spec.json").read_text())
    with suppress(EngineError):
        taken = Taker("", 0, "", 0, 0, [], time.time() + 10) if spec["probe"] else await_cards(folder, spec["name"])
        if taken is None:
            return account.end(None, "cancelled")
        try:
            reason, code = run(folder, spec, taken, account, lock)
        finally:
            end_all()
        account.end(code, reason)
        with cards_of(folder.parents[1]) as cards:
            cards.takers.pop(spec["name"], None)
        return None
    return account.end(None, "no_start")


def await_cards(folder: Path, name: str) -> Taker | None:
    """The job's cards when its turn comes; None when it is cancelled before. Raises EngineError: they will not come."""
    while not (folder / "cancel").exists():
        with cards_of(folder.parents[1]) as cards:
            taken = cards.take(name)
        if taken is not None:
            return taken
        time.sleep(TURN_SECONDS)
    return None


@contextmanager
def cards_of(engine: Path) -> Iterator[Cards]:
    """The machine's cards, under their lock; `engine` is the engine's own folder."""
    with locked(engine, lambda name: alive(engine / "jobs" / name)) as cards:
        yield cards


def alive(folder: Path) -> bool:
    """Does the supervisor of the job in this folder live? Its own process cannot lock the file a second time either."""
    try:
        handle = os.open(folder / "alive", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def run(folder: Path, spec: dict[str, Any], taken: Taker, account: Account, lock: int) -> tuple[str, int | None]:
    """Start the command and watch it to its end: why it was ended ("" when it ended itself), and its exit status."""
    directory = Path(spec["directory"])
    with suppress(FileExistsError):
        (directory / "tmp").mkdir(mode=0o700)
    spec["processes_max"] += confine.processes_of(os.getuid() if spec["uid"] is None else spec["uid"])
    if spec["uid"] is not None:
        confine.hand_over(directory, spec["uid"], spec["uid"])
    log = open_log(Path(spec["log"]))
    environment = spec["environment"] | card_environment(taken.ids or [])
    output, theirs = os.pipe()
    with suppress(OSError):
        fcntl.fcntl(output, F_SETPIPE_SZ, FLOOD_READ)
    separate = confine.unshare()
    account.start(taken.ids or [])
    first = os.fork()
    if first == 0:
        os.close(lock)
        os.close(output)
        os.close(log)
        be_first(spec, environment, theirs, separate)
    os.close(theirs)
    os.set_blocking(output, False)
    watch = Watch(folder, spec, first, taken.until - time.time())
    reason, ask_until, code = "", float("inf"), None
    written = 0
    while code is None:
        written = drain(output, log, written)
        code, peak_kib = buried(first)
        if code is not None:
            if not reason and code and peak_kib >= spec["memory_mib"] * 1024 * 0.9:
                reason = "memory"
        elif not reason:
            reason = watch.fault()
            if reason:
                ask_until = time.monotonic() + spec["grace_seconds"]
                tell(signal.SIGTERM, besides=first)
        elif time.monotonic() > ask_until:
            os.kill(first, signal.SIGKILL)
            tell(signal.SIGKILL)
        if time.monotonic() - account.written > HEARTBEAT_SECONDS:
            account.put()
    while written < LOG_BYTES_MAX and (seen := drain(output, log, written)) > written:
        written = seen
    return reason, code


def buried(first: int) -> tuple[int | None, int]:
    """Bury what died: the first process's exit status once it did (a signal adds 128), and its peak memory in KiB."""
    with suppress(ChildProcessError):
        while True:
            ended, status, usage = os.wait4(-1, os.WNOHANG)
            if ended == first:
                code = os.waitstatus_to_exitcode(status)
                return 128 - code if code < 0 else code, usage.ru_maxrss
            if ended == 0:
                break
    return None, 0


def open_log(path: Path) -> int:
    """A fresh log that is ours: what the tenant put at its place is removed, not followed."""
    with suppress(FileNotFoundError):
        path.unlink()
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_APPEND | os.O_CLOEXEC, 0o600)


def card_environment(ids: list[int]) -> dict[str, str]:
    text = ",".join(map(str, ids))
    return {"HUOSHUI_CARD_IDS": text, "CUDA_VISIBLE_DEVICES": text, "ASCEND_RT_VISIBLE_DEVICES": text}


def be_first(spec: dict[str, Any], environment: dict[str, str], output: int, separate: bool) -> None:
    """First process of the job: starts the command, buries what dies, ends with the command's status."""
    confine.die_with_parent()
    if separate and confine.furnish(max(64, spec["memory_mib"] // 4)) and spec["uid"] is not None:
        confine.reveal((*spec["readable"], spec["directory"]), spec["uid"])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    command = os.fork()
    if command == 0:
        be_command(spec, environment, output)
    os.close(output)
    while True:
        ended, status = os.wait()
        if ended == command:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def be_command(spec: dict[str, Any], environment: dict[str, str], output: int) -> None:
    """Give up everything that is not the tenant's, and become the command."""
    try:
        os.setsid()
        os.umask(0o077)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.closerange(3, 1 << 16)
        confine.limit(
            seconds=spec["seconds_max"], memory_mib=spec["memory_mib"], disk_mib=spec["disk_mib"],
            processes=spec["processes_max"],
        )  # fmt: skip
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")
        if spec["uid"] is not None:
            confine.become(spec["uid"])
        confine.die_with_parent()
        confine.no_new_privileges()
        os.chdir(spec["directory"])
        if confine.landlock_version():
            confine.enclose(spec["directory"], spec["readable"])
        os.execvpe(spec["argv"][0], spec["argv"], environment)  # noqa: S606
    except BaseException as error:
        os.write(2, f"huoshui: cannot start {spec['argv'][0]!r}: {error}\n".encode())
        os._exit(confine.CANNOT_START)


def drain(output: int, log: int, written: int) -> int:
    """Move output to the log, at most LOG_BYTES_MAX in all; wait a tick when there is none. Bytes seen so far."""
    ready, _, _ = select.select([output], [], [], TICK_SECONDS)
    if not ready:
        return written
    try:
        block = os.read(output, FLOOD_READ)
    except BlockingIOError:
        return written
    if not block:
        time.sleep(TICK_SECONDS / 10)  # closed by the command, which may run on
    kept = block[: max(0, LOG_BYTES_MAX - written)]
    if kept:
        with suppress(OSError):
            os.write(log, kept)
    if len(kept) < len(block):
        if written <= LOG_BYTES_MAX:
            os.write(log, b"\n[huoshui: the rest of the output is not kept]\n")
        time.sleep(TICK_SECONDS)
    return written + len(block)


class Watch:
    """Bounds that the kernel does not keep for a whole job: time, memory of all processes, what lies in its folder."""

    def __init__(self, folder: Path, spec: dict[str, Any], first: int, seconds: float) -> None:
        self.cancel, self.spec, self.first = folder / "cancel", spec, first
        self.deadline = time.monotonic() + seconds
        self.next_look = self.next_disk = 0.0

    def fault(self) -> str:
        """Why the job must end now; "" when it may go on."""
        now = time.monotonic()
        if now >= self.deadline:
            return "time_limit"
        if now < self.next_look:
            return ""
        self.next_look = now + WATCH_SECONDS
        if self.cancel.exists():
            return "cancelled"
        if memory_bytes(self.first, self.spec["memory_mib"] << 20) > self.spec["memory_mib"] << 20:
            return "memory"
        if now >= self.next_disk:
            self.next_disk = now + DISK_SECONDS
            if self.disk_full():
                return "disk"
            self.next_disk = max(self.next_disk, time.monotonic() + 10 * (time.monotonic() - now))
        return ""

    def disk_full(self) -> bool:
        total, entries, bound = 0, 0, self.spec["disk_mib"] << 20
        for state in (*hidden_files(self.first), *contents(Path(self.spec["directory"]))):
            total, entries = total + state.st_blocks * 512, entries + 1
            if total > bound or entries > ENTRIES_MAX:
                return True
        return False


def contents(directory: Path) -> Iterator[os.stat_result]:
    """What lies below a folder that changes meanwhile, links not followed."""
    waiting = [str(directory)]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    yield entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)


def hidden_files(first: int) -> Iterator[os.stat_result]:
    """Files that processes hold open after removing them: they fill the disk and are in no folder."""
    seen = set()
    for process in descendants(first):
        with suppress(OSError), os.scandir(f"/proc/{process}/fd") as handles:
            for handle in handles:
                with suppress(OSError):
                    state = os.stat(handle.path)
                    if S_ISREG(state.st_mode) and state.st_nlink == 0 and (state.st_dev, state.st_ino) not in seen:
                        seen.add((state.st_dev, state.st_ino))
                        yield state


def memory_bytes(first: int, bound: int) -> int:
    """Memory of a job: resident sets summed; where that is too much, with shared pages counted once."""
    page = os.sysconf("SC_PAGE_SIZE")
    total = 0
    processes = [process for process in descendants(first) if process != first]
    for process in processes:
        with suppress(OSError, IndexError):
            total += int(Path(f"/proc/{process}/statm").read_text().split()[1]) * page
    if total <= bound:
        return total
    shares = 0
    for process in processes:
        with suppress(OSError):
            for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    shares += int(line.split()[1]) << 10
    return shares


def descendants(process: int) -> list[int]:
    """Process numbers below this one, as far as they can be seen now."""
    found, waiting = [], [process]
    while waiting:
        parent = waiting.pop()
        with suppress(OSError):
            for task in os.listdir(f"/proc/{parent}/task"):
                with suppress(OSError):
                    children = [int(word) for word in Path(f"/proc/{parent}/task/{task}/children").read_text().split()]
                    found += children
                    waiting += children
    return found


def tell(number: int, besides: int = 0) -> int:
    """Send a signal to all that the job started; how many there were."""
    processes = [process for process in descendants(os.getpid()) if process != besides]
    for process in processes:
        with suppress(OSError):
            os.kill(process, number)
    return len(processes)


def end_all() -> None:
    """End every descendant: first stop them, so that none starts another behind our back, then end them; repeat."""
    deadline = time.monotonic() + END_SECONDS_MAX
    while tell(signal.SIGSTOP) and time.monotonic() < deadline:
        tell(signal.SIGKILL)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(TICK_SECONDS / 10)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
