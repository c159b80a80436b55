"""Commands that need the database: prepare it, fill it with the demo, serve, back up, check.

`run` is what a newcomer starts: it backs up, migrates, loads the demo when asked, then serves. An operator may call
the steps one by one (docs/operations.md).
"""

import os
import signal
import socket
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Annotated

import django
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from huoshui.base import messages
from huoshui.cli import gateway, mcp
from huoshui.cli.backup import BackupFailed, backup, keep_files
from huoshui.cli.supervisor import Child, Supervisor

REAP_SECONDS = 5.0
FACTS = "facts"
"""The folder of the files of facts (`registry.snapshots`)."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
app = typer.Typer()
console = Console(highlight=False, soft_wrap=True)

Host = Annotated[str, typer.Option(envvar="HUOSHUI_HOST", help="Address to listen on.")]
Port = Annotated[int, typer.Option(envvar="HUOSHUI_PORT", min=1, max=65535, help="Port to listen on.")]
Demo = Annotated[bool, typer.Option("--demo", envvar="HUOSHUI_DEMO", help="Load and mark the demo province.")]
Processes = Annotated[int, typer.Option(min=1, max=64, help="Web processes (one for SQLite).")]
Threads = Annotated[int, typer.Option(min=1, max=64, help="Threads of each web process.")]
Workers = Annotated[int, typer.Option(min=0, max=64, help="Background workers.")]
GatewayPort = Annotated[
    int, typer.Option(envvar="HUOSHUI_GATEWAY_PORT", min=0, max=65535, help="Port of the model gateway (0: none).")
]
McpPort = Annotated[
    int, typer.Option(envvar="HUOSHUI_MCP_PORT", min=0, max=65535, help="Loopback port of the agents' tools (0: none).")
]
NoBackup = Annotated[bool, typer.Option("--no-backup", help="Migrate without a copy of the database.")]


def setup() -> None:
    """Make Django ready in this process."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "huoshui.settings")
    django.setup()


def _fail(message: str) -> typer.Exit:
    Console(stderr=True, highlight=False).print(message, style="bold red")
    return typer.Exit(1)


def _require_free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise _fail(
                f"Cannot listen on {host}:{port} ({error.strerror}). "
                "Is Huoshui running already? Choose another port with --port or HUOSHUI_PORT."
            ) from error


def _backup() -> Path | None:
    from django.conf import settings

    from huoshui.base import clock

    try:
        made = backup(settings.DATABASES["default"], settings.HOME / "backups", clock.local(clock.real_now()))
    except BackupFailed as error:
        raise _fail(str(error)) from error
    keep_files(settings.HOME / FACTS, settings.HOME / "backups" / FACTS)
    return made


def _migrate(no_backup: bool) -> None:
    from django.core.management import call_command

    if not no_backup and (made := _backup()):
        console.print(f"Backed up to {made}")
    call_command("migrate", verbosity=0, interactive=False)


def _load_demo() -> None:
    """Load the demo once, with a bar for long steps; afterwards repeat what it said."""
    from huoshui.base import access, demo
    from huoshui.base.actions import keep_demo_story
    from huoshui.base.queries import demo_story

    if told := demo_story():
        console.print(*told, sep="\n")
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bars:
        bar = bars.add_task("", total=None, visible=False)
        for step in demo.load():
            if isinstance(step, demo.Progress):
                bars.update(bar, description=step.phase, completed=step.done, total=step.total, visible=True)
            else:
                bars.update(bar, visible=False)
                console.print(step)
                told.append(step)
    keep_demo_story(access.system("demo"), key="demo/story", told=told)


def _prepare(demo: bool, no_backup: bool) -> None:
    if demo:
        os.environ["HUOSHUI_DEMO"] = "1"
    setup()
    with suppress(PermissionError):  # an installed package is not ours to write in, and brings its catalogues
        messages.compile_all()
    _migrate(no_backup)
    _assert_guarded()
    if demo:
        _load_demo()


def _assert_guarded() -> None:
    from huoshui.base import triggers

    if faults := triggers.check(databases=["default"]):
        raise _fail("\n".join(str(fault.msg) for fault in faults))


def _print_sign_ins() -> None:
    from huoshui.base.demo import DEMO_PASSWORD
    from huoshui.base.models import Assignment

    rows = Assignment.objects.select_related("user", "role").order_by("role_id", "user_id")
    first = {row.role.title: row.user.username for row in reversed(rows)}
    names = ", ".join(f"{username} ({title})" for title, username in reversed(first.items()))
    console.print(f"Demo sign-ins: {names}; password {DEMO_PASSWORD}")


@app.command()
def migrate(no_backup: NoBackup = False) -> None:
    """Back up the database, then bring its tables up to date."""
    setup()
    _migrate(no_backup)
    console.print("The database is up to date.")


@app.command()
def demo() -> None:
    """Load the demo province, clear a round and print what it achieved. Repeating it adds nothing."""
    _prepare(demo=True, no_backup=False)


@app.command()
def worker() -> None:
    """Run background tasks, and put those of dead workers back into the queue."""
    setup()
    from django.core.management import call_command

    threading.Thread(target=_reap_forever, name="reaper", daemon=True).start()
    call_command("db_worker", reload=False, interval=0.5, startup_delay=False, verbosity=0)


def _reap_forever() -> None:
    from django.db import DatabaseError, close_old_connections

    from huoshui.base import schedule, tasks

    pause = threading.Event()
    while not pause.wait(REAP_SECONDS):
        close_old_connections()
        try:
            tasks.reap()
            schedule.tick()
        except DatabaseError as error:
            print(f"reaper: {error}", file=sys.stderr)


@app.command()
def runner() -> None:
    """Run what was booked on the sites' engines: reserve, start, watch, account for. One for each installation."""
    setup()
    from huoshui.base import access
    from huoshui.jobs.runner import run_forever

    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_signal: over.set())
    run_forever(access.system("runner"), over)


@app.command()
def serve(
    host: Host = "127.0.0.1", port: Port = 8000, processes: Processes = 1, threads: Threads = 4, workers: Workers = 1,
    gateway_port: GatewayPort = gateway.PORT, mcp_port: McpPort = 0,
) -> None:  # fmt: skip
    """Serve console, REST API and model gateway, with background workers and the runner. Ends on Ctrl+C or SIGTERM."""
    for wanted in filter(None, (port, gateway_port, mcp_port)):
        _require_free(host, wanted)
    setup()
    from django.conf import settings

    if settings.DEMO and host not in LOOPBACK:
        raise _fail("The demo's passwords are public: it is served on 127.0.0.1 only.")
    web = [
        sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws", "--log-level", "warning",
        "--host", host, "--port", str(port), "--workers", str(processes), "--blocking-threads", str(threads),
        "huoshui.web.wsgi:application",
    ]
    background = [sys.executable, "-m", "huoshui.cli.main", "worker"]
    children = [Child("web", web), *(Child(f"worker {number + 1}", background) for number in range(workers))]
    children.append(Child("runner", [sys.executable, "-m", "huoshui.cli.main", "runner"]))
    os.environ["HUOSHUI_GATEWAY_PORT"] = str(gateway_port or gateway.PORT)  # ready commands name the gateway's address
    if gateway_port:
        children.append(Child("gateway", gateway.command(host, gateway_port)))
        console.print(f"Model calls go to http://{host}:{gateway_port}/v1")
    if mcp_port:
        children.append(Child("mcp", mcp.command(mcp_port)))
        console.print(f"Agents connect to http://127.0.0.1:{mcp_port}/mcp")
    if settings.DEMO:
        _print_sign_ins()
    console.print(f"Huoshui is at http://{host}:{port}/ (Ctrl+C ends it)")
    Supervisor(children, console.print).run()


@app.command()
def run(
    host: Host = "127.0.0.1", port: Port = 8000, demo: Demo = False, no_backup: NoBackup = False,
    gateway_port: GatewayPort = gateway.PORT, mcp_port: McpPort = 0,
) -> None:  # fmt: skip
    """Back up, migrate, load the demo when asked, and serve."""
    for wanted in filter(None, (port, gateway_port, mcp_port)):
        _require_free(host, wanted)
    _prepare(demo, no_backup)
    serve(host=host, port=port, processes=1, threads=4, workers=1, gateway_port=gateway_port, mcp_port=mcp_port)


@app.command(name="backup")
def backup_now() -> None:
    """Copy the database into HUOSHUI_HOME/backups while the service runs."""
    setup()
    made = _backup()
    console.print(f"Backed up to {made}" if made else "There is no database yet.")


@app.command()
def check() -> None:
    """Check settings, migrations and the triggers that keep records from being changed."""
    setup()
    from django.core.management import CommandError, call_command

    try:
        call_command("check", databases=["default"], verbosity=1)
        call_command("migrate", check_unapplied=True, verbosity=1)
    except CommandError as error:
        raise _fail(str(error)) from error
    except SystemExit as error:
        raise _fail("Some migrations have not been applied: huoshui migrate") from error


@app.command()
def replay() -> None:
    """Rebuild the log's tree and the book's balances from their records; print what does not agree."""
    setup()
    from huoshui.base import log
    from huoshui.book import ledger

    faults = [*(f"log: {fault}" for fault in log.replay()), *(f"book: {fault}" for fault in ledger.replay())]
    for fault in faults:
        console.print(fault)
    if faults:
        raise _fail(f"{len(faults)} faults")
    console.print(f"The log ({log.size()} records, root {log.root().hex()}) and the book agree with their records.")
