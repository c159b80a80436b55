"""Clearing on files, without the server: `clear capacity`, `verify`, `formats capacity`.

Reads tables, calls the solver, writes a directory that appears whole or not at all. A bad file ends with status 2 and
every fault by row, field, value and rule; a round that does not verify ends with status 1.
"""

from __future__ import annotations

import json
import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from huoshui.clearing import tables
from huoshui.clearing.tables import BadTable, Text
from huoshui.cli.folders import replacing

clear_app = typer.Typer(no_args_is_help=True, help="Clear offers against needs.")
formats_app = typer.Typer(no_args_is_help=True, help="Print the columns of the tables that commands read.")
console = Console()
errors = Console(stderr=True)
PHASES = {"bound": "上界 bound", "place": "安排 plan", "prices": "价格 prices"}
FAULTS_SHOWN = 50
PUBLIC = "public.json"


class Effort(StrEnum):
    """How much work a clearing does."""

    quick = "quick"
    full = "full"


@clear_app.command("capacity")
def clear_capacity(
    deposits: Annotated[Path, typer.Option(help="Deposits: CSV, Parquet or XLSX")],
    requests: Annotated[Path, typer.Option(help="Requests: CSV, Parquet or XLSX")],
    out: Annotated[Path, typer.Option(help="Directory to write; must not exist, or hold an earlier round")],
    transfers: Annotated[Path | None, typer.Option(help="Transfers between regions: CSV, Parquet or XLSX")] = None,
    model: Annotated[list[str] | None, typer.Option(help="A card model that nobody deposits this time")] = None,
    steps: Annotated[Effort, typer.Option(help="How much work: quick is about a tenth of full")] = Effort.full,
    seed: Annotated[int, typer.Option(help="Seed of the search")] = 0,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Threads; do not change the result")] = 2,
    reserved_share_bps: Annotated[int, typer.Option(min=0, max=10_000, help="Share kept for small requests")] = 0,
    public: Annotated[bool, typer.Option(help="Also write public.json, with the request table opened")] = False,
) -> None:
    """Clear deposits against requests and write plan, prices, refusals, earnings, summary and proof to a directory.

    Ctrl-C stops the search; the best plan so far is then written, with the steps done.
    """
    from huoshui.clearing import capacity
    from huoshui.clearing.capacity import report
    from huoshui.clearing.capacity.frames import from_texts

    _check_target(out)
    try:
        texts = {name: _read(name, path) for name, path in _given(deposits, requests, transfers).items()}
        problem = from_texts(texts["deposits"], texts["requests"], texts.get("transfers"), models=model or ())
    except BadTable as bad:
        _print_faults(bad)
    except capacity.ProblemError as error:
        _fail(str(error), 2)
    preset = capacity.Options.quick if steps is Effort.quick else capacity.Options.for_size
    chosen = {"seed": seed, "workers": workers, "reserved_share_bps": reserved_share_bps}
    start = time.monotonic()
    with _progress() as progress:
        result = capacity.clear(problem, options=preset(problem.requests, **chosen), progress=progress)
    seconds = time.monotonic() - start
    written = report.files(problem, result)
    if public:
        from huoshui.clearing.capacity.public import public_document, salts_of

        salts = salts_of(secrets.token_bytes(32), problem)
        document = public_document(problem, result, salts=salts, opened=True)
        written[PUBLIC] = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    _write(out, written)
    _print_summary(json.loads(written["summary.json"]), seconds)
    console.print(f"written to {out}; check it with: huoshui verify {out}")


def verify(directory: Annotated[Path, typer.Argument(help="A directory that `huoshui clear capacity` wrote")]) -> None:
    """Check a cleared round: every statement of the result, and that every file follows from problem and result."""
    from huoshui.clearing import capacity
    from huoshui.clearing.capacity import archive, report

    try:
        problem = archive.unpack(capacity.Problem, (directory / "problem.npz").read_bytes())
        result = archive.unpack(capacity.Result, (directory / "result.npz").read_bytes())
    except (OSError, archive.ArchiveError) as error:
        _fail(f"cannot read the round: {error}", 2)
    found = [
        f"{fault.code} in {fault.where} {fault.params or ''}".rstrip() for fault in capacity.verify(problem, result)
    ]
    if not found:
        for name, data in report.files(problem, result).items():
            path = directory / name
            if not path.is_file() or path.read_bytes() != data:
                found.append(f"{name}: is not what problem and result give")
    if (directory / PUBLIC).exists():
        found += [f"{PUBLIC}: {failure}" for failure in _public_failures(directory / PUBLIC, problem, result)]
    for line in found[:FAULTS_SHOWN]:
        errors.print(f"不符 FAILED  {line}", markup=False)
    if found:
        _fail(f"{len(found)} statements are false", 1)
    console.print("通过 ok: every statement of this round is true")
    console.print(f"problem {problem.digest()}\nresult  {result.digest()}")


@formats_app.command("capacity")
def formats_capacity(
    markdown: Annotated[bool, typer.Option(help="As Markdown, the page docs/formats/capacity.md")] = False,
) -> None:
    """Print the columns of the tables of deposits, requests and transfers."""
    from huoshui.clearing.capacity.frames import TABLES

    if markdown:
        print(_page(TABLES), end="")
        return
    for name, columns in TABLES.items():
        shown = Table(title=name, title_justify="left")
        for heading in ("column", "中文表头", "required", "meaning"):
            shown.add_column(heading, overflow="fold")
        for column in columns:
            shown.add_row(*_described(column))
        console.print(shown)
    console.print("Amounts: the header may end in _yuan (at most two decimals), _fen or _millifen (1/1000 fen).")


# --- reading and writing ------------------------------------------------------------------------------------------


def _given(deposits: Path, requests: Path, transfers: Path | None) -> dict[str, Path]:
    found = {"deposits": deposits, "requests": requests}
    return found | ({"transfers": transfers} if transfers else {})


def _read(name: str, path: Path) -> Text:
    """A table from a file; its size is checked before it is read."""
    try:
        size = path.stat().st_size
        if size > tables.BYTES_MAX:
            _fail(f"{name}: {path} has {size:,} bytes; the limit is {tables.BYTES_MAX:,}", 2)
        return tables.read(name, path.name, path.read_bytes())
    except OSError as error:
        _fail(f"{name}: cannot read {path}: {error.strerror}", 2)


def _check_target(out: Path) -> None:
    """Before any work: the target is free, or holds what an earlier run wrote."""
    if out.exists() and not (out / "summary.json").is_file() and (not out.is_dir() or any(out.iterdir())):
        _fail(f"{out} exists and is not a cleared round; choose another directory", 2)


def _write(out: Path, files: dict[str, bytes]) -> None:
    """All files of a cleared round."""
    with replacing(out) as fresh:
        for name, data in files.items():
            (fresh / name).write_bytes(data)


def _public_failures(path: Path, problem: Any, result: Any) -> list[str]:
    """What the public verifier finds, and whether the document is what problem and result give for its salts."""
    from huoshui.clearing.capacity import public, public_verify

    try:
        document = public_verify.read(str(path))
        failures = public_verify.failures(document)
        if failures:
            return failures
        salts = [row["salt"] for row in document["table"]]
        same = document == public.public_document(problem, result, salts=salts, opened=True)
        return [] if same else ["is not what problem and result give"]
    except (KeyError, TypeError, ValueError) as error:
        return [f"malformed: {error}"]


# --- showing ------------------------------------------------------------------------------------------------------


@contextmanager
def _progress() -> Iterator[Any]:
    """A live bar per phase; Ctrl-C asks the solver to stop instead of ending the command."""
    stopped: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.append(number)

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"), TimeElapsedColumn())
    before = signal.signal(signal.SIGINT, stop)
    try:
        with Progress(*columns, console=console) as bars:
            tasks: dict[str, Any] = {}

            def report(phase: str, done: int, total: int, objective: int, bound: int) -> bool:
                name = str(phase)
                if name not in tasks:
                    tasks[name] = bars.add_task(PHASES.get(name, name), total=total, note="")
                gap = f"差距 gap {(bound - objective) / bound:.2%}" if objective > 0 and bound > 0 else ""
                bars.update(tasks[name], completed=done, total=total, note=gap)
                return not stopped

            yield report
            for task in tasks.values():  # a phase that needs fewer steps than allowed is done all the same
                bars.update(task, completed=bars.tasks[task].total)
    finally:
        signal.signal(signal.SIGINT, before)
    if stopped:
        console.print("stopped: the best plan so far is kept")


def _print_summary(summary: dict[str, Any], seconds: float) -> None:
    from huoshui.clearing.capacity.public_verify import yuan

    value, queue = summary["value_millifen"], summary["first_come_value_millifen"]
    more = f" ({(value - queue) / queue:+.1%})" if queue else ""
    offered = summary["card_hours_offered"]
    sold = f" ({summary['card_hours_sold'] / offered:.1%})" if offered else ""
    rows = (
        ("成交申请 requests served", f"{summary['served']:,} / {summary['requests']:,}"),
        ("售出卡时 card-hours sold", f"{summary['card_hours_sold']:,} / {offered:,}{sold}"),
        ("价值 value", f"{yuan(value)} yuan"),
        ("先到先得 first come, first served", f"{yuan(queue)} yuan{more}"),
        ("上界 proven bound", f"{yuan(summary['bound_millifen'])} yuan, gap {summary['gap_bps'] / 100:.2f} %"),
        ("买方支付 paid by buyers", f"{yuan(summary['paid_millifen'])} yuan"),
        ("存入方收入 received by depositors", f"{yuan(summary['deposit_revenue_millifen'])} yuan"),
        ("传输 paid to carriers", f"{yuan(summary['transfer_millifen'])} yuan"),
        ("未成交 refused", ", ".join(f"{name} {count:,}" for name, count in summary["refused"].items()) or "0"),
        ("用时 time", f"{seconds:.1f} s"),
    )
    shown = Table(show_header=False, box=None)
    for row in rows:
        shown.add_row(*row)
    console.print(shown)


def _print_faults(bad: BadTable) -> NoReturn:
    shown = Table(title=f"{bad.total} faults; nothing was read", title_justify="left")
    for heading in ("table", "row", "field", "value", "rule"):
        shown.add_column(heading, overflow="fold")
    for fault in bad.faults[:FAULTS_SHOWN]:
        rule = " ".join([fault.rule.replace("_", " "), *(f"{name}={value}" for name, value in fault.params.items())])
        row = "" if fault.row is None else str(fault.row)
        shown.add_row(*map(_plain, (fault.table, row, fault.field, fault.value, rule)))
    errors.print(shown)
    raise typer.Exit(2)


def _plain(text: str) -> str:
    """Text of a file is shown as it is, never as markup or control codes."""
    from rich.markup import escape

    return escape("".join(character if character.isprintable() else "�" for character in text))


def _fail(message: str, status: int) -> NoReturn:
    errors.print(message, markup=False)
    raise typer.Exit(status)


def _described(column: tables.Column) -> tuple[str, str, str, str]:
    zh = f"{column.zh}{'（元）' if column.is_money else ''}{':KEY' if column.family else ''}"
    return column.shown(), zh, "yes" if column.required else "no", column.meaning


def _page(specified: dict[str, tuple[tables.Column, ...]]) -> str:
    """docs/formats/capacity.md."""
    parts = [PAGE_HEAD]
    for name, columns in specified.items():
        parts.append(f"## {name}\n\n| column | Chinese header | required | meaning |\n|---|---|---|---|\n")
        parts += ["| `{}` | {} | {} | {} |\n".format(*_described(column)) for column in columns]
        parts.append("\n")
    return "".join(parts).rstrip() + "\n"


PAGE_HEAD = f"""\
# Tables of a capacity round

Printed by `huoshui formats capacity --markdown`. Files are CSV (UTF-8 or GBK), Parquet or XLSX (first sheet), at most
{tables.BYTES_MAX >> 20} MB, {tables.ROWS_MAX:,} rows and {tables.COLUMNS_MAX} columns; the first row is the header,
in English or Chinese.

- Amounts are in yuan with at most two decimals (`_yuan`); instead, the header may end in `_fen` or in `_millifen`
  (1/1000 fen), both whole numbers. Chinese headers: （元）, （分）, （千分之一分）.
- Times are whole hours, `2026-12-07T08:00` or `2026/12/7 8:00`, in Asia/Shanghai unless an offset is written.
- `:KEY` stands for a card model or a region: `hours:MODEL-A`, `lead_hours:west`.
- The horizon is what the deposits span, at most 672 hours. Windows of requests are cut to it.
- A model must stand in the deposits or be named by `--model`; a region in the deposits or the transfers.
- A row with any fault stops the whole read; every fault is reported by row, field, value and rule.

"""
