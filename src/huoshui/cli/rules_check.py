"""Packs over a file of entities: read in parts, evaluated, written as Parquet, with bad rows beside.

The idea: a part of the file is read, checked and evaluated by every pack at once, and its results go to part files
that are joined at the end; so memory follows the part and not the file. The folder of results appears whole or not at
all. Rows with a cell that breaks a rule are listed in `bad_rows.csv` and are in no result.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import polars as pl
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from huoshui.clearing import tables
from huoshui.cli.folders import replacing
from huoshui.rules import words
from huoshui.rules.entity_tables import ROW, Source, parse, recognise
from huoshui.rules.evaluate import evaluate
from huoshui.rules.library import Library
from huoshui.rules.model import Pack, Stage, Verdict
from huoshui.rules.testing import NAMES

console = Console()
errors = Console(stderr=True)
PART_ROWS = 100_000
GBK_BYTES_MAX = 512 << 20
BAD_ROWS_SHOWN = 10
SUMMARY = "summary.json"
IDENTIFIERS = ("id", "uscc", "party", "name", "统一社会信用代码", "企业名称", "名称")
"""Headers whose text is carried into the results."""
VERDICTS = pl.Enum([NAMES[verdict] for verdict in Verdict])

Parts = Iterator[tuple[int, pl.DataFrame]]


def run(
    packs: list[Pack], known: Mapping[str, Pack], entities: Path, out: Path, on: dt.date, stage: str, tongue: str
) -> None:
    """Evaluate `packs` for every entity of the file and write the results to `out`."""
    if stage not in tuple(Stage):
        _fail(f"--stage {stage}: entitlement or claim", 2)
    if out.exists() and not (out / SUMMARY).is_file():
        _fail(f"{out} exists and holds no results of this command; choose another folder", 2)
    library = Library(_needed(packs, known))
    wanted = library.columns(on, Stage(stage), [pack.id for pack in packs])
    fields = {field.code: field for field, _ in wanted.values()}
    height, headers, parts = _open(entities)
    sources, left_out = _recognised(headers, fields, on)
    _say_columns(sources, left_out, wanted, tongue)
    carried = [header for header in headers if header.strip().lower() in IDENTIFIERS][:1]
    start = time.monotonic()
    with replacing(out) as fresh:
        summary = _evaluate_parts(packs, library, parts, height, sources, carried, on, Stage(stage), fresh)
        summary |= {"on": on.isoformat(), "stage": stage, "entities": entities.name}
        (fresh / SUMMARY).write_text(json.dumps(summary, ensure_ascii=False, indent=1), encoding="utf-8")
    _print_summary(summary, known, out, time.monotonic() - start, tongue)


def whole(
    entities: Path, packs: list[Pack], known: Mapping[str, Pack], on: dt.date, warn: Callable[[str], None]
) -> pl.DataFrame:
    """All good rows of a file in the evaluator's columns, with `row`; bad rows are told and left out."""
    library = Library(_needed(packs, known))
    wanted = library.columns(on, Stage.ENTITLEMENT, [pack.id for pack in packs])
    _, headers, parts = _open(entities)
    sources, left_out = _recognised(headers, {field.code: field for field, _ in wanted.values()}, on)
    good, bad = list[pl.DataFrame](), 0
    for first, texts in parts:
        rows, faults = parse(texts.select([source.header for source in sources]), sources, first)
        good.append(rows)
        bad += faults[ROW].n_unique()
    if bad:
        warn(f"{bad:,} rows break a rule and are left out; see huoshui rules check")
    return pl.concat(good)


def _needed(packs: list[Pack], known: Mapping[str, Pack]) -> list[Pack]:
    """The packs, those that may judge in their place, and those that say what an entity is."""
    found = {pack.id: pack for pack in packs}
    waiting = list(packs) + [pack for pack in known.values() if pack.classes is not None]
    while waiting:
        pack = waiting.pop()
        found[pack.id] = pack
        waiting += [known[step.pack] for step in pack.transitions if step.pack in known and step.pack not in found]
    return list(found.values())


# --- reading ----------------------------------------------------------------------------------------------------------


def _open(path: Path) -> tuple[int, list[str], Parts]:
    """(rows, headers, parts). A part is the number of its first row in the file (the header is row 1) and its rows."""
    ending = path.suffix.lower()
    try:
        if ending == ".parquet":
            scan = pl.scan_parquet(path)
            height = scan.select(pl.len()).collect().item()
            parts = _slices(height, lambda at: scan.slice(at, PART_ROWS).collect())
            return height, scan.collect_schema().names(), parts
        if ending == ".csv":
            return _csv(path)
        if ending == ".xlsx":
            text = tables.read("entities", path.name, path.read_bytes())
            frame = pl.DataFrame(dict(zip(text.headers, map(list, text.columns), strict=True)))
        else:
            _fail(f"{path}: CSV, Parquet or XLSX", 2)
    except tables.BadTable as bad:
        _fail("\n".join(str(fault) for fault in bad.faults[:BAD_ROWS_SHOWN]), 2)
    except (OSError, pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        _fail(f"{path}: {str(error).splitlines()[0]}", 2)
    return frame.height, frame.columns, _slices(frame.height, lambda at: frame.slice(at, PART_ROWS))


def _csv(path: Path) -> tuple[int, list[str], Parts]:
    """All cells as text; UTF-8 part by part, else GBK (then the whole file is in memory)."""
    with path.open("rb") as stream:
        head = stream.read(1 << 20)
    try:
        head[: head.rfind(b"\n") + 1].decode("utf-8")
    except UnicodeDecodeError:
        if path.stat().st_size > GBK_BYTES_MAX:
            _fail(f"{path}: more than {GBK_BYTES_MAX >> 20} MB and not UTF-8; save it as UTF-8", 2)
        frame = pl.read_csv(path, infer_schema=False, encoding="gb18030")
        return frame.height, frame.columns, _slices(frame.height, lambda at: frame.slice(at, PART_ROWS))
    scan = pl.scan_csv(path, infer_schema=False)
    height = scan.select(pl.len()).collect().item()
    return height, scan.collect_schema().names(), _batches(scan)


def _batches(scan: pl.LazyFrame) -> Parts:
    first = 2
    for part in scan.collect_batches(chunk_size=PART_ROWS, maintain_order=True):
        yield first, part
        first += part.height


def _slices(height: int, take: Callable[[int], pl.DataFrame]) -> Parts:
    for at in range(0, height, PART_ROWS):
        yield at + 2, take(at)


def _recognised(headers: list[str], fields: Mapping[str, Any], on: dt.date) -> tuple[list[Source], list[str]]:
    try:
        return recognise(headers, fields, on)
    except ValueError as error:
        _fail(f"two columns for one fact: {error}", 2)


def _say_columns(sources: list[Source], left_out: list[str], wanted: Mapping[str, Any], tongue: str) -> None:
    zh = words.is_chinese(tongue)
    given = {source.column for source in sources}
    missing = [name for name in wanted if name not in given]
    if not given & set(wanted):
        _fail(f"no column is one that the packs read; they read: {', '.join(wanted)}", 2)
    if left_out:
        listed = ", ".join(left_out[:30])
        console.print(f"{'未用到的列' if zh else 'columns that are not used'}: {listed}", markup=False, style="dim")
    if missing:
        listed = ", ".join(missing[:60])
        said = "文件中没有、按未知处理" if zh else "not in the file, taken as unknown"
        console.print(f"{said}: {listed}", markup=False, style="yellow")


# --- evaluating -------------------------------------------------------------------------------------------------------


def _evaluate_parts(
    packs: list[Pack],
    library: Library,
    parts: Parts,
    height: int,
    sources: list[Source],
    carried: list[str],
    on: dt.date,
    stage: Stage,
    out: Path,
) -> dict[str, Any]:
    counts = {pack.id: dict.fromkeys(VERDICTS.categories.to_list(), 0) for pack in packs}
    amounts = dict.fromkeys(counts, 0)
    bad_rows = 0
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
               TimeElapsedColumn())  # fmt: skip
    with Progress(*columns, console=errors) as bars, (out / "bad_rows.csv").open("wb") as bad_file:
        bad_file.write(b"\xef\xbb\xbf")
        task = bars.add_task("评价 evaluating", total=height)
        for number, (first, texts) in enumerate(parts):
            good, faults = parse(texts.select([source.header for source in sources]), sources, first)
            faults.write_csv(bad_file, include_header=number == 0)
            bad_rows += faults[ROW].n_unique()
            names = texts.select(pl.int_range(first, first + pl.len(), dtype=pl.UInt32).alias(ROW), *carried)
            identity = good.select(ROW).join(names, on=ROW, how="left", maintain_order="left")
            results = evaluate(library, good, on, stage=stage, packs=[pack.id for pack in packs])
            for pack in packs:
                result = results[pack.id]
                _count(result, counts[pack.id])
                amounts[pack.id] += _met_fen(result)
                folder = out / "parts" / pack.id
                folder.mkdir(parents=True, exist_ok=True)
                pl.concat([identity, _readable(result, pack)], how="horizontal").write_parquet(
                    folder / f"{number:05}.parquet", compression="lz4"
                )
            bars.update(task, advance=texts.height)
    for pack in packs:
        if (out / "parts" / pack.id).is_dir():
            pl.scan_parquet(out / "parts" / pack.id / "*.parquet").sink_parquet(out / f"{pack.id}.parquet")
    shutil.rmtree(out / "parts", ignore_errors=True)
    return {
        "rows": height,
        "bad_rows": bad_rows,
        "packs": {name: {"verdicts": counts[name], "met_amount_fen": amounts[name]} for name in counts},
    }


def _readable(result: pl.DataFrame, pack: Pack) -> pl.DataFrame:
    """Verdicts by name, and the blocking criterion by its id (`score` for the scoring) where this pack judged."""
    ids = [*(criterion.id for criterion in pack.criteria), "score"]
    return result.with_columns(
        verdict=pl.col("verdict").replace_strict(
            [verdict.value for verdict in Verdict], VERDICTS.categories, return_dtype=VERDICTS
        ),
        blocker=pl.when(pl.col("via") < 0).then(
            pl.col("blocker").replace_strict(list(range(len(ids))), ids, default=None, return_dtype=pl.String)
        ),
        via=pl.col("via").replace_strict(
            list(range(len(pack.transitions))), [step.id for step in pack.transitions], default=None,
            return_dtype=pl.String,
        ) if pack.transitions else pl.lit(None, pl.String),
    )  # fmt: skip


def _count(result: pl.DataFrame, counts: dict[str, int]) -> None:
    for value, count in result["verdict"].value_counts().iter_rows():
        counts[NAMES[Verdict(value)]] += count


def _met_fen(result: pl.DataFrame) -> int:
    return int(result.filter(pl.col("verdict") == Verdict.MET.value)["amount_fen"].sum() or 0)


def _print_summary(summary: dict[str, Any], known: Mapping[str, Pack], out: Path, seconds: float, tongue: str) -> None:
    zh = words.is_chinese(tongue)
    table = Table("政策" if zh else "policy", *(words.verdict(verdict, tongue) for verdict in Verdict),
                  "符合者金额" if zh else "amount of those met")  # fmt: skip
    for name, found in summary["packs"].items():
        verdicts = (f"{found['verdicts'][NAMES[verdict]]:,}" for verdict in Verdict)
        table.add_row(known[name].header.title, *verdicts, words.money(found["met_amount_fen"], tongue))
    console.print(table)
    rows, bad = summary["rows"], summary["bad_rows"]
    if zh:
        line = f"共 {rows:,} 行，{bad:,} 行有误（见 bad_rows.csv，未评价）；用时 {seconds:.1f} 秒；结果在 {out}"
    else:
        line = f"{rows:,} rows, {bad:,} bad (bad_rows.csv, not evaluated); {seconds:.1f} s; results in {out}"
    console.print(line, markup=False)


def _fail(message: str, status: int) -> NoReturn:
    errors.print(message, markup=False)
    raise typer.Exit(status)
