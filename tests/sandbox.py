"""A database of its own for tests about crashes and several processes.

A test of the product cannot kill itself. So it runs a snippet of Python in a child process against a fresh
database (a SQLite file, or a PostgreSQL database when the suite runs on PostgreSQL), lets the child die at a named
function, and then looks at what the database says. The product knows nothing of this: the child's prelude replaces
the named function before the snippet runs.
"""

import atexit
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import psycopg
from psycopg import sql
from tests.forks import Forked, ForkServer

ROOT = Path(__file__).resolve().parent.parent
CRASHED = 70
_servers: list[ForkServer] = []
SECONDS_MAX = 120
MANAGE_SECONDS_MAX = 400
PRELUDE = """
import importlib, os

def _crash_at(place, nth, after):
    module_name, _, path = place.partition(":")
    owner = importlib.import_module(module_name)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    original, calls = getattr(owner, name), [0]

    def dying(*args, **kwargs):
        calls[0] += 1
        if calls[0] < nth:
            return original(*args, **kwargs)
        if after:
            original(*args, **kwargs)
        os._exit({crashed})

    setattr(owner, name, dying)

if os.environ.get("CRASH_AT"):
    _crash_at(os.environ["CRASH_AT"], int(os.environ["CRASH_NTH"]), os.environ["CRASH_AFTER"] == "1")
from huoshui.base import access
system = access.system("test")
""".replace("{crashed}", str(CRASHED))


@dataclass(frozen=True)
class Sandbox:
    """One database with every table and the directory (HUOSHUI_HOME) that goes with it."""

    home: Path
    database: str

    def environment(self, **more: str) -> dict[str, str]:
        """Environment of a process that lives in this sandbox."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HUOSHUI_")}
        return inherited | {
            "HUOSHUI_HOME": str(self.home),
            "HUOSHUI_DATABASE": self.database,
            "DJANGO_SETTINGS_MODULE": "huoshui.settings",
            "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
            **more,
        }

    def start(self, code: str, crash_at: str = "", nth: int = 1, after: bool = False) -> Forked:
        """Start a snippet (Django is set up, `system` is an actor that may do everything).

        `crash_at` names a function as `package.module:name` or `package.module:Class.name`; the process dies there
        with exit code CRASHED, before (or `after`) the `nth` call, as if its power had gone.
        """
        environment = self.environment(CRASH_AT=crash_at, CRASH_NTH=str(nth), CRASH_AFTER=str(int(after)))
        return _server(environment).start(PRELUDE + dedent(code), environment, self.home)

    def run(self, code: str, crash_at: str = "", nth: int = 1, after: bool = False) -> str:
        """Run a snippet to its end and return what it printed.

        Raises AssertionError when it fails, or when it does not reach the place where it was to die.
        """
        process = self.start(code, crash_at, nth, after)
        try:
            out, errors = process.communicate(timeout=SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        expected = CRASHED if crash_at else 0
        assert process.returncode == expected, f"exit code {process.returncode}, not {expected}\n{errors}"
        return out.strip()

    def manage(self, *arguments: str) -> str:
        """Run a management command here and return its output."""
        done = subprocess.run(
            [sys.executable, "-m", "django", *arguments], env=self.environment(), cwd=self.home,
            capture_output=True, text=True, timeout=MANAGE_SECONDS_MAX, check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def _server(environment: dict[str, str]) -> ForkServer:
    """The fork server of this process, started when it is first needed."""
    if not _servers:
        _servers.append(ForkServer(environment | {"HUOSHUI_DATABASE": ""}))
        atexit.register(_servers[0].close)
    return _servers[0]


def _administer(url: str, statement: str, *names: str) -> None:
    server = url.rpartition("/")[0] + "/postgres"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextmanager
def empty(home: Path, server: str) -> Iterator[Sandbox]:
    """A database without tables; `server` is the URL of any PostgreSQL database beside it, or empty for SQLite."""
    name = f"empty_{uuid.uuid4().hex[:12]}"
    if server:
        _administer(server, "CREATE DATABASE {}", name)
    try:
        yield Sandbox(home, server and f"{server.rpartition('/')[0]}/{name}")
    finally:
        if server:
            _administer(server, "DROP DATABASE {} WITH (FORCE)", name)


@contextmanager
def template(home: Path, server: str) -> Iterator[Sandbox]:
    """A database with every table, from which sandboxes are copied."""
    with empty(home, server) as made:
        made.run("from tests import tables; tables.make()")
        yield made


@contextmanager
def copy(source: Sandbox, home: Path) -> Iterator[Sandbox]:
    """A fresh copy of the template."""
    if not source.database:
        shutil.copytree(source.home, home, dirs_exist_ok=True)
        yield Sandbox(home, "")
        return
    server, _, original = source.database.rpartition("/")
    name = f"sandbox_{uuid.uuid4().hex[:12]}"
    _administer(source.database, "CREATE DATABASE {} TEMPLATE {}", name, original)
    try:
        yield Sandbox(home, f"{server}/{name}")
    finally:
        _administer(source.database, "DROP DATABASE {} WITH (FORCE)", name)
