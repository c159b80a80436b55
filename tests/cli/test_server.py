"""Serving: what a newcomer and an operator do at the command line, with real processes."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.db import connection
from tests.sandbox import Sandbox

from huoshui.cli.backup import BACKUPS_KEPT, backup, keep_files
from huoshui.cli.supervisor import Child, Supervisor

WAIT_SECONDS_MAX = 60
AT = datetime(2026, 3, 2, 9, tzinfo=UTC)


def until(what: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_SECONDS_MAX
    while not what():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def huoshui(sandbox: Sandbox, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "huoshui.cli.main", *arguments],
        env=sandbox.environment(**environment),
        cwd=sandbox.home,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS_MAX,
        check=False,
    )


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "zombie" not in Path(f"/proc/{pid}/status").read_text()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/log/checkpoint/", timeout=5) as response:
            return response.status == 200
    except OSError:
        return False


def asks_for_a_token(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/mcp", timeout=5)
    except urllib.error.HTTPError as error:
        return error.code == 401
    except OSError:
        return False
    return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at processes through /proc")
def test_serve_restarts_what_dies_and_ends_everything_when_asked(sandbox: Sandbox) -> None:
    port, agents = free_port(), free_port()
    server = subprocess.Popen(
        [
            sys.executable, "-m", "huoshui.cli.main", "serve", "--port", str(port), "--gateway-port", str(free_port()),
            "--mcp-port", str(agents),
        ],  # fmt: skip
        env=sandbox.environment(),
        cwd=sandbox.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        until(lambda: answers(port))
        until(lambda: len(children(server.pid)) == 5)
        until(lambda: asks_for_a_token(agents))
        worker = next(
            child for child in children(server.pid) if b"worker\0" in Path(f"/proc/{child}/cmdline").read_bytes()
        )
        os.kill(worker, signal.SIGKILL)
        until(lambda: worker not in children(server.pid) and len(children(server.pid)) == 5)
        started = children(server.pid)
    finally:
        server.terminate()
        said, _ = server.communicate(timeout=30)
    assert server.returncode == 0
    assert "worker 1 ended with code -9; restarting in 1 s" in said
    until(lambda: not any(map(alive, started)))
    assert not answers(port)


def test_a_port_in_use_is_said_before_anything_is_done(sandbox: Sandbox) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        for command in ("serve", "run"):
            done = huoshui(sandbox, command, "--port", str(port))
            assert done.returncode == 1
            assert f"127.0.0.1:{port}" in done.stderr
            assert "--port" in done.stderr
    assert not (sandbox.home / "backups").exists()


def test_the_demo_with_its_public_passwords_is_not_served_to_the_world(sandbox: Sandbox) -> None:
    done = huoshui(sandbox, "serve", "--host", "0.0.0.0", "--port", str(free_port()), HUOSHUI_DEMO="1")
    assert done.returncode == 1
    assert "127.0.0.1 only" in done.stderr


def test_check_and_replay_say_that_all_is_well_or_what_is_not(sandbox: Sandbox) -> None:
    assert huoshui(sandbox, "check").returncode == 0
    sandbox.run("from huoshui.base import actions; actions.define_role(system, code='r', title='R', permissions=[])")
    assert huoshui(sandbox, "replay").returncode == 0
    sandbox.run(
        """
        from django.db import connection
        from huoshui.base import triggers
        name = triggers.name_of("base_logrecord", "UPDATE")
        on = ' ON "base_logrecord"' if connection.vendor == "postgresql" else ""
        with connection.cursor() as cursor:
            cursor.execute(f'DROP TRIGGER "{name}"{on}')
            cursor.execute("UPDATE base_logrecord SET actor = 'system:else'")
        """
    )
    checked, replayed = huoshui(sandbox, "check"), huoshui(sandbox, "replay")
    assert (checked.returncode, replayed.returncode) == (1, 1)
    assert "base_logrecord can be changed" in checked.stderr
    assert "subtree" in replayed.stdout


def test_migrate_leaves_a_copy_of_the_database_as_it_was(sandbox: Sandbox) -> None:
    if sandbox.database:
        pytest.importorskip("shutil")
        import shutil

        if shutil.which("pg_dump") is None:
            pytest.skip("pg_dump is not installed")
    done = huoshui(sandbox, "migrate")
    assert done.returncode == 0, done.stderr
    [copied] = (sandbox.home / "backups").iterdir()
    assert copied.stat().st_mode & 0o077 == 0
    assert copied.stat().st_size > 0


def test_a_copy_made_while_others_write_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "huoshui.sqlite3"
    with sqlite3.connect(file) as setting_up:
        setting_up.execute("PRAGMA journal_mode=WAL")
        setting_up.execute("CREATE TABLE pairs (a INTEGER, b INTEGER)")
    over = threading.Event()

    def write() -> None:
        with sqlite3.connect(file, timeout=20) as writing:
            number = 0
            while not over.is_set():
                number += 1
                writing.execute("INSERT INTO pairs VALUES (?, 0)", (number,))
                writing.execute("UPDATE pairs SET b = a WHERE a = ?", (number,))
                writing.commit()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        made = backup({"ENGINE": "django.db.backends.sqlite3", "NAME": file}, tmp_path / "backups", AT)
    finally:
        over.set()
        thread.join()
    assert made is not None
    with sqlite3.connect(made) as copied:
        assert copied.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert copied.execute("SELECT count(*) FROM pairs WHERE a <> b").fetchone() == (0,)


def test_only_the_latest_copies_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "huoshui.sqlite3"
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": file}
    assert backup(database, tmp_path / "backups", AT) is None
    sqlite3.connect(file).execute("CREATE TABLE t (a)")
    for minute in range(BACKUPS_KEPT + 3):
        backup(database, tmp_path / "backups", AT.replace(minute=minute))
    names = sorted(path.name for path in (tmp_path / "backups").iterdir())
    assert len(names) == BACKUPS_KEPT
    assert names[0] == "huoshui-20260302-090300.sqlite3"


def test_a_child_that_keeps_dying_is_restarted_ever_more_slowly() -> None:
    said: list[str] = []
    child = Child("sleeper", [sys.executable, "-c", "raise SystemExit(3)"])
    for _failure in range(4):
        child.due = 0.0
        child.look(said.append)
        assert child.process is not None
        child.process.wait()
        child.look(said.append)
    assert said == [f"sleeper ended with code 3; restarting in {wait} s" for wait in (1, 2, 4, 8)]


def test_a_child_that_will_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huoshui.cli.supervisor.GRACE_SECONDS", 0.5)
    stubborn = Child(
        "stubborn",
        [
            sys.executable,
            "-c",
            "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True);time.sleep(60)",
        ],
    )
    supervisor = Supervisor([stubborn], print)
    stubborn.start()
    time.sleep(0.5)
    supervisor.ending.set()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        supervisor.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert stubborn.process is not None
    assert stubborn.process.returncode == -signal.SIGKILL


def test_the_suite_knows_its_database() -> None:
    assert connection.vendor == ("postgresql" if os.environ.get("HUOSHUI_TEST_POSTGRES") else "sqlite")


def test_files_of_facts_are_copied_once_and_whole(tmp_path: Path) -> None:
    source, target = tmp_path / "facts", tmp_path / "backups" / "facts"
    assert keep_files(source, target) == 0
    source.mkdir()
    (source / "a.parquet").write_bytes(b"a")
    (source / ".7.part").write_bytes(b"half")
    assert keep_files(source, target) == 1
    (source / "b.parquet").write_bytes(b"b")
    assert keep_files(source, target) == 1
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {"a.parquet": b"a", "b.parquet": b"b"}
