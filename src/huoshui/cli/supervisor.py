"""Keeps a few processes running: starts them, restarts one that dies, ends all of them when asked.

Children are in sessions of their own, so that Ctrl+C reaches only the supervisor, which then ends each child by its
process id: first asking, after GRACE_SECONDS by force. A child that keeps dying is restarted ever more slowly.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType

GRACE_SECONDS = 10.0
BACKOFF_SECONDS_MAX = 30.0
STEADY_SECONDS = 60.0
LOOK_SECONDS = 0.2
_PR_SET_PDEATHSIG = 1


def _end_with_parent() -> None:
    """In the child, before it starts: on Linux it is asked to end when the supervisor itself is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class Child:
    """One process that should always run."""

    name: str
    command: list[str]
    process: "subprocess.Popen[bytes] | None" = None
    failures: int = 0
    started: float = 0.0
    due: float = 0.0

    def start(self) -> None:
        self.started = time.monotonic()
        self.process = subprocess.Popen(  # noqa: S603
            self.command, start_new_session=True, preexec_fn=_end_with_parent
        )

    def look(self, say: Callable[[str], None]) -> None:
        """Start the process when it is due; when it has died, say so and set the time of its restart."""
        if self.process is None:
            if time.monotonic() >= self.due:
                self.start()
            return
        code = self.process.poll()
        if code is None:
            return
        self.failures = 1 if time.monotonic() - self.started > STEADY_SECONDS else self.failures + 1
        wait = min(2.0 ** (self.failures - 1), BACKOFF_SECONDS_MAX)
        say(f"{self.name} ended with code {code}; restarting in {wait:.0f} s")
        self.process, self.due = None, time.monotonic() + wait

    def end(self, deadline: float) -> None:
        """Ask the process to end and wait for it; end it by force at the deadline (monotonic seconds)."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass
class Supervisor:
    """Runs its children until SIGTERM, SIGINT or `ending` is set."""

    children: list[Child]
    say: Callable[[str], None]
    ending: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Returns when all children have ended."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked)
        try:
            while not self.ending.wait(LOOK_SECONDS):
                for child in self.children:
                    child.look(self.say)
        finally:
            self._end_all()

    def _asked(self, number: int, frame: FrameType | None) -> None:
        self.ending.set()

    def _end_all(self) -> None:
        for child in self.children:
            if child.process is not None and child.process.poll() is None:
                os.kill(child.process.pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        for child in self.children:
            child.end(deadline)
