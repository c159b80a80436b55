"""Facts about clearing on files: what is written, that it verifies, and that nothing bad is written or overwritten."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from benchmarks.generator import generate
from openpyxl import load_workbook
from typer.testing import CliRunner

from huoshui.clearing import tables
from huoshui.clearing.capacity import frames
from huoshui.cli.main import app

DOCS = Path(__file__).parents[2] / "docs"
FILES = {
    "SHA256SUMS",
    "earnings.csv",
    "plan.csv",
    "prices.csv",
    "problem.npz",
    "refusals.csv",
    "result.npz",
    "summary.json",
}


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def written(folder, ending="csv", problem=None):
    """Deposit and request files of a small round."""
    paths = []
    for name, frame in frames.to_frames(problem or generate(60, seed=3)).items():
        paths.append(folder / f"{name}.{ending}")
        if ending == "csv":
            paths[-1].write_bytes(tables.to_csv(frame))
        elif ending == "xlsx":
            paths[-1].write_bytes(tables.to_xlsx({name: frame}))
        else:
            frame.write_parquet(paths[-1])
    return paths


def clear(folder, *more, ending="csv", out="out"):
    deposits, requests = written(folder, ending)
    target = folder / out
    base = ("clear", "capacity", "--deposits", deposits, "--requests", requests, "--out", target, "--steps", "quick")
    return run(*base, *more), target


@pytest.fixture(scope="module")
def cleared(tmp_path_factory):
    """A cleared round with its public document."""
    done, target = clear(tmp_path_factory.mktemp("round"), "--public")
    assert done.exit_code == 0, done.output
    return target, done.output


def test_a_round_is_written_whole_and_summed_up(cleared):
    target, output = cleared
    assert {path.name for path in target.iterdir()} == FILES | {"public.json"}
    summary = json.loads((target / "summary.json").read_text("utf-8"))
    assert summary["served"] + sum(summary["refused"].values()) == summary["requests"] == 60
    assert summary["paid_millifen"] == summary["deposit_revenue_millifen"] + summary["transfer_millifen"]
    assert summary["bound_millifen"] >= summary["value_millifen"] >= summary["first_come_value_millifen"]
    assert "requests served" in output
    assert "first come, first served" in output


def test_the_plan_adds_up_to_the_payments(cleared):
    target, _ = cleared
    plan = pl.read_csv(target / "plan.csv", infer_schema=False)
    paid = sum(round(float(row[-2]) * 100) + round(float(row[-1]) * 100) for row in plan.iter_rows())
    assert paid * 1000 == json.loads((target / "summary.json").read_text("utf-8"))["paid_millifen"]


def test_the_sums_file_is_what_sha256sum_reads(cleared):
    assert subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=cleared[0]).returncode == 0


def test_a_written_round_verifies(cleared):
    done = run("verify", cleared[0])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("name", sorted(FILES | {"public.json"}))
def test_a_round_with_any_changed_file_does_not_verify(cleared, tmp_path, name):
    for path in cleared[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    data = bytearray((tmp_path / name).read_bytes())
    digit = next(
        place
        for place in range(len(data) // 2, len(data))
        if not name.endswith(("json", "csv")) or chr(data[place]).isdigit()
    )
    data[digit] = ord("7") if data[digit] == ord("6") else ord("6")
    (tmp_path / name).write_bytes(bytes(data))
    done = run("verify", tmp_path)
    assert (done.exit_code, "FAILED" in done.output) == (1, True) or "cannot read the round" in done.output


@pytest.mark.parametrize("ending", ["parquet", "xlsx"])
def test_every_file_type_gives_the_same_round(cleared, tmp_path, ending):
    done, target = clear(tmp_path, ending=ending)
    assert done.exit_code == 0, done.output
    assert (target / "SHA256SUMS").read_bytes() == (cleared[0] / "SHA256SUMS").read_bytes()


def test_the_number_of_threads_changes_nothing(cleared, tmp_path):
    _, target = clear(tmp_path, "--workers", "1")
    assert (target / "SHA256SUMS").read_bytes() == (cleared[0] / "SHA256SUMS").read_bytes()


def test_a_bad_row_is_named_and_nothing_is_written(tmp_path):
    deposits, requests = written(tmp_path)
    rows = requests.read_text("utf-8-sig").splitlines()
    rows[4] = rows[4].replace("R000003,", "R000003,-")
    requests.write_text("\n".join(rows), "utf-8")
    done = run("clear", "capacity", "--deposits", deposits, "--requests", requests, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert all(word in done.output for word in ("requests", "5", "cards", "at least", "nothing was read"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deposits.csv", "requests.csv"]


def test_a_cell_cannot_write_to_the_terminal(tmp_path):
    deposits, requests = written(tmp_path)
    evil = requests.read_bytes().replace(b"R000003,", b"\x1b[31m[bold]R000003,", 1)
    requests.write_bytes(evil)
    done = run("clear", "capacity", "--deposits", deposits, "--requests", requests, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "\x1b[31m" not in done.output


@pytest.mark.parametrize("name", ["missing.csv", "requests.pdf"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name):
    deposits, _ = written(tmp_path)
    (tmp_path / "requests.pdf").write_bytes(b"%PDF")
    done = run("clear", "capacity", "--deposits", deposits, "--requests", tmp_path / name, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert name in done.output.replace("\n", "")


def test_a_directory_that_is_not_a_round_is_never_overwritten(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    done, target = clear(tmp_path)
    assert done.exit_code == 2
    assert [path.name for path in target.iterdir()] == ["thesis.txt"]


def test_an_earlier_round_is_replaced_whole(tmp_path):
    clear(tmp_path, "--public")
    done, target = clear(tmp_path)
    assert done.exit_code == 0
    assert {path.name for path in target.iterdir()} == FILES
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_ctrl_c_keeps_the_best_plan_so_far(tmp_path):
    deposits, requests = written(tmp_path, problem=generate(1_000, seed=1))
    timer = threading.Timer(4, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    done = run("clear", "capacity", "--deposits", deposits, "--requests", requests, "--out", tmp_path / "out")
    timer.cancel()
    assert done.exit_code == 0, done.output
    assert "stopped" in done.output
    assert run("verify", tmp_path / "out").exit_code == 0


def test_the_formats_page_is_what_the_command_prints():
    assert run("formats", "capacity", "--markdown").output == (DOCS / "formats" / "capacity.md").read_text("utf-8")


def test_the_formats_are_printed_for_people():
    output = run("formats", "capacity").output
    assert "reserve_price_yuan" in output
    assert "取用申请" in output


def test_clearing_needs_no_django():
    code = "import sys, huoshui.cli.main, huoshui.clearing.capacity; print('django' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_workbook_from_a_spreadsheet_reads(tmp_path):
    """Dates as dates, numbers as numbers, empty rows below, as spreadsheets save them."""
    deposits, requests = written(tmp_path, "xlsx")
    book = load_workbook(requests)
    sheet = book.active
    columns = [cell.value for cell in sheet[1]]
    for row in sheet.iter_rows(min_row=2):
        for name in ("earliest", "deadline"):
            cell = row[columns.index(name)]
            cell.value = datetime.fromisoformat(cell.value)
    sheet.cell(sheet.max_row + 3, 1, " ")
    stream = io.BytesIO()
    book.save(stream)
    requests.write_bytes(stream.getvalue())
    done = run(
        "clear",
        "capacity",
        "--deposits",
        deposits,
        "--requests",
        requests,
        "--out",
        tmp_path / "out",
        "--steps",
        "quick",
    )
    assert done.exit_code == 0, done.output
