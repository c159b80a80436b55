"""Python processes that start at once: forked from one that has imported the product already.

Starting Python with Django and the solver's libraries takes two seconds, a fork a hundredth of that. A `ForkServer`
imports everything once, without touching a database, and then forks a child for each snippet: the child takes the
environment, directory and pipes it is given, points the settings at its own home and database, and runs. A child dies
as a process of its own: by its exit code, by a signal, by `os._exit`.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

MESSAGE_BYTES_MAX = 1 << 20
END = b"\0"


def serve(channel: socket.socket) -> None:
    """The server's loop: a request is JSON (code, environment, directory) with two pipes; the answers are the child's
    id and, when it has ended, its return code as `subprocess` tells it."""
    import django

    django.setup()
    from django.urls import get_resolver

    get_resolver().url_patterns  # noqa: B018  (imports every page and API)
    while True:
        data, pipes, _flags, _address = socket.recv_fds(channel, MESSAGE_BYTES_MAX, 3)
        if not data:
            return
        out, errors, report = pipes
        child = os.fork()
        if child == 0:
            channel.close()
            _become(json.loads(data), out, errors)
        for pipe in (out, errors):
            os.close(pipe)
        os.write(report, b"%d\n" % child)
        threading.Thread(target=_report, args=(child, report), daemon=True).start()


def _report(child: int, report: int) -> None:
    _pid, status = os.waitpid(child, 0)
    with suppress(BrokenPipeError):
        os.write(report, b"%d\n" % os.waitstatus_to_exitcode(status))
    os.close(report)


def _become(asked: dict[str, Any], out: int, errors: int) -> None:
    """In the child: run the snippet to its end. Never returns."""
    code = 1
    try:
        os.dup2(out, 1)
        os.dup2(errors, 2)
        os.environ.clear()
        os.environ.update(asked["environment"])
        os.chdir(asked["directory"])
        _settle_in()
        exec(compile(asked["code"], "<snippet>", "exec"), {"__name__": "__main__"})  # noqa: S102
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        threading._shutdown()  # type: ignore[attr-defined]  (as the interpreter does: threads end first)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _settle_in() -> None:
    """Point the settings at the home and the database that the environment names."""
    from django.conf import settings
    from django.db import connections

    import huoshui.settings as ours

    ours.HOME = settings.HOME = Path(os.environ["HUOSHUI_HOME"])
    settings.DATABASES["default"].clear()
    settings.DATABASES["default"].update(ours.database(os.environ.get("HUOSHUI_DATABASE", "")))
    connections.configure_settings(None)  # type: ignore[arg-type]
    with suppress(AttributeError):
        del connections["default"]


class Forked:
    """A running child, as far as tests ask: what of `subprocess.Popen` they use."""

    def __init__(self, out: int, errors: int, report: int) -> None:
        self._report = os.fdopen(report, "rb")
        self._texts = ["", ""]
        self.pid = int(self._report.readline())
        self.returncode: int | None = None
        pipes = ((0, out), (1, errors))
        self._readers = [threading.Thread(target=self._read, args=pair, daemon=True) for pair in pipes]
        self._waiter = threading.Thread(target=self._await, daemon=True)
        for thread in (*self._readers, self._waiter):
            thread.start()

    def _read(self, which: int, pipe: int) -> None:
        with os.fdopen(pipe, "r", errors="replace") as stream:
            self._texts[which] = stream.read()

    def _await(self) -> None:
        told = self._report.readline()
        self.returncode = int(told) if told else -signal.SIGKILL

    def poll(self) -> int | None:
        """The return code, None while it runs."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end. Raises subprocess.TimeoutExpired."""
        self._waiter.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("snippet", timeout or 0)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it printed, and its errors, once it has ended."""
        self.wait(timeout)
        for reader in self._readers:
            reader.join(timeout)
        return self._texts[0], self._texts[1]

    def kill(self) -> None:
        """End it by force."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


class ForkServer:
    """A server process and the way to ask it; one for each process that runs tests."""

    def __init__(self, environment: dict[str, str]) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MESSAGE_BYTES_MAX)
        self._channel = ours
        code = f"import socket; from tests.forks import serve; serve(socket.socket(fileno={theirs.fileno()}))"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code], env=environment, pass_fds=[theirs.fileno()], start_new_session=True
        )
        theirs.close()

    def start(self, code: str, environment: dict[str, str], directory: Path) -> Forked:
        """Run a snippet in a fork."""
        message = json.dumps({"code": code, "environment": environment, "directory": str(directory)}).encode()
        ends = [os.pipe() for _pipe in range(3)]
        socket.send_fds(self._channel, [message], [write for _read, write in ends])
        for _read, write in ends:
            os.close(write)
        return Forked(*(read for read, _write in ends))

    def close(self) -> None:
        """End the server."""
        self._channel.close()
        self._process.wait(10)
