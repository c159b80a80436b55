"""Files too large for the console: `registry import-parties FILE`, `registry import-facts FILE`.

Reads, checks every cell, says what it found, and only then imports, in one step. A file with bad rows ends with status
2 and a table of them beside it, unless they are to be left out.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

app = typer.Typer(no_args_is_help=True, help="Import large files of parties and facts.")
console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False)
FAULTS_SHOWN = 20
ATTEMPTS_MAX = 3

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV (UTF-8 or GB 18030) or Parquet")]
Officer = Annotated[str, typer.Option(help="User name of who imports: a person stands behind every entry")]
ObservedOn = Annotated[str, typer.Option(help="Day on which the source knew this: 2026-03-31; default today")]
SourceName = Annotated[str, typer.Option(help="Name of the source, to tell two registers of one rank apart")]
Period = Annotated[str, typer.Option(help="Period of the facts that have one: 2025, 2025Q1 or 2025-06")]
Map = Annotated[list[str] | None, typer.Option("--map", help="HEADER=COLUMN, such as 收入=fact.revenue/wan_yuan")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Import the good rows, leave the bad ones out")]
BadRows = Annotated[Path | None, typer.Option(help="Where the faults of bad rows go; default FILE.bad.csv")]
CheckOnly = Annotated[bool, typer.Option("--check", help="Say what the file would do, and import nothing")]


@app.command("import-parties")
def import_parties(
    file: File, officer: Officer, source_name: SourceName = "", observed_on: ObservedOn = "", period: Period = "",
    map: Map = None, skip_bad: SkipBad = False, bad_rows: BadRows = None, check: CheckOnly = False,
) -> None:  # fmt: skip
    """Enter the parties of a register, with the facts that it holds of them (source: official register)."""
    _import("parties", file, officer, "official", source_name, observed_on, period, map, skip_bad, bad_rows, check)


@app.command("import-facts")
def import_facts(
    file: File, officer: Officer, source: Annotated[str, typer.Option(help="official, tax or officer")],
    source_name: SourceName = "", observed_on: ObservedOn = "", period: Period = "", map: Map = None,
    skip_bad: SkipBad = False, bad_rows: BadRows = None, check: CheckOnly = False,
) -> None:  # fmt: skip
    """Take down what one source says of many parties: one row a party, one column a fact."""
    _import("facts", file, officer, source, source_name, observed_on, period, map, skip_bad, bad_rows, check)


@app.command("columns")
def columns(facts: Annotated[bool, typer.Option(help="Of a file of facts, else of a register")] = False) -> None:
    """Print the columns of a file: code, and the headers that are known."""
    from huoshui.cli import server

    server.setup()
    from huoshui.registry import bulk

    shown = Table("column", "headers", title="facts" if facts else "parties", title_justify="left")
    for column in bulk.columns(bulk.FACTS if facts else bulk.PARTIES):
        shown.add_row(column.code, "、".join(dict.fromkeys((str(column.title), *column.aliases))))
    console.print(shown)


def _import(
    kind: str, file: Path, officer: str, source: str, source_name: str, observed_on: str, period: str,
    chosen: list[str] | None, skip_bad: bool, bad_rows: Path | None, check_only: bool,
) -> None:  # fmt: skip
    from huoshui.cli import server

    server.setup()
    from huoshui.base import clock, intake
    from huoshui.base.errors import Conflict, Refused
    from huoshui.clearing.tables import Rule
    from huoshui.registry import bulk, sentences

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,}/{task.total:,}"))
    try:
        actor = _actor(officer)
        told = bulk.Told(
            source, date.fromisoformat(observed_on) if observed_on else clock.today(), source_name,
            intake.period(period) if period else None,
        )
        mapping = dict(entry.rsplit("=", 1) for entry in chosen or ())
        with Progress(*columns, TimeElapsedColumn(), console=console) as bars:
            report = _Bars(bars)
            report("read", 0, 1)
            read = bulk.read(file)
            report("read", 1, 1)
            for attempt in range(ATTEMPTS_MAX):
                checked = bulk.check(kind, read, told, mapping, report)
                if check_only or (checked.bad_rows and not skip_bad):
                    break
                try:
                    bulk.take(actor, checked, skip_bad=skip_bad, report=report)
                    break
                except Conflict:
                    if attempt == ATTEMPTS_MAX - 1:
                        raise
    except Refused as refused:
        raise _fail(refused.message) from refused
    except Rule as rule:
        raise _fail(f"--period {period}: {sentences.of_rule(rule)}") from rule
    except ValueError as error:
        raise _fail(str(error)) from error
    _print(checked)
    if checked.bad_rows:
        target = bad_rows or file.with_name(f"{file.name}.bad.csv")
        target.write_bytes(bulk.bad_file(checked))
        errors.print(f"{checked.bad_rows:,} bad rows, {checked.bad.height:,} faults: {target}")
        if not skip_bad:
            raise _fail("Nothing was imported. Put the rows right, or leave them out with --skip-bad.", 2)
    console.print("Checked; nothing was imported." if check_only else "Imported.")


class _Bars:
    """One bar for each phase."""

    def __init__(self, bars: Progress) -> None:
        self.bars, self.tasks = bars, dict[str, Any]()

    def __call__(self, phase: str, done: int, total: int) -> None:
        if phase not in self.tasks:
            self.tasks[phase] = self.bars.add_task(phase, total=total)
        self.bars.update(self.tasks[phase], completed=done, total=total)


def _actor(username: str) -> Any:
    from huoshui.base.access import Actor
    from huoshui.base.models import User

    user = User.objects.filter(username=username, is_active=True).first()
    if user is None:
        raise ValueError(f"--officer {username}: there is no such user")
    return Actor(user)


def _print(checked: Any) -> None:
    console.print("  ".join(f"{name} {count:,}" for name, count in checked.counts.items()))
    if checked.left_out:
        console.print(f"left out (no column of this name): {'、'.join(checked.left_out)}", markup=False)
    if checked.differences:
        shown = Table("fact", "values", "nobody said before", "differs from what counts now", "agrees")
        for code, counts in checked.differences.items():
            shown.add_row(code, *(f"{counts[name]:,}" if name in counts else "" for name in
                                  ("said", "new", "changed", "same")))
        console.print(shown)
    for row, field, value, rule in checked.bad.head(FAULTS_SHOWN).iter_rows():
        errors.print(f"row {row}  {field}  {value!r}  {rule}", markup=False)


def _fail(message: str, status: int = 1) -> typer.Exit:
    errors.print(message, style="bold red", markup=False)
    return typer.Exit(status)
