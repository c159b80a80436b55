"""`huoshui rules`: what it prints, what it writes, and how it ends."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from tests.rules.packs import document, dump, text_with
from typer.testing import CliRunner

from huoshui.cli.main import app
from huoshui.publications import shipped

STAFF = "{op: le, of: staff, period: last_year, value: 300, unit: 人}"
QUOTE = "职工总数不超过300人"
GRANT = """
benefit:
  kind: grant
  text: 按研发费用的10%补助，每家企业每年最高100万元
  clause: 第五条
  quote: 按研发费用的10%补助，每家企业每年最高100万元
  cap: {value: 100, unit: 万元}
  amount: {least: [{share: {of: rd, period: last_year}, rate: {otherwise: 10}}, {fixed: 100, unit: 万元}]}
"""
TESTS = """
pack: example
on: 2026-06-01
cases:
  - {name: 刚好, facts: {staff@last_year: 300 人}, expect: {verdict: met, criteria: {only: met}}}
  - {name: 多一人, facts: {staff@last_year: 301 人}, expect: {verdict: unmet, criteria: {only: unmet}}}
  - {name: 不详, expect: {verdict: unknown, criteria: {only: unknown}}}
"""
TABLE = """\
统一社会信用代码,上一年职工总数（人）,研发费用（2025年，万元）,备注
A,300,5000,
B,301,10,
C,,10,
D,-1,10,坏行
E,30,12.345678,
"""


def run(*arguments: object, language: str = "zh") -> tuple[int, str]:
    found = CliRunner().invoke(app, ["rules", *map(str, arguments)], env={"HUOSHUI_LANGUAGE": language})
    return found.exit_code, found.output


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    path = tmp_path / "example.yaml"
    path.write_text(text_with(GRANT, test=STAFF, quote=QUOTE), encoding="utf-8")
    return path


def test_lint_names_the_criterion_and_both_sides_and_fails_on_errors(pack: Path) -> None:
    assert run("lint", pack)[0] == 0
    pack.write_text(pack.read_text(encoding="utf-8").replace("value: 300", "value: 3000"), encoding="utf-8")
    status, text = run("lint", pack)
    assert status == 1
    assert "only.test" in text
    assert "3000 人" in text
    assert "300人" in text
    assert "the quote says" in run("lint", pack, language="en")[1]


def test_lint_with_the_notice_finds_a_quote_that_is_not_in_it(pack: Path, tmp_path: Path) -> None:
    notice = tmp_path / "notice.txt"
    notice.write_text("职工总数不超过500人", encoding="utf-8")
    assert run("lint", pack, "--text", notice)[0] == 1


def test_a_file_that_cannot_be_read_ends_with_its_path(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("kind: rule_pack\nid: [", encoding="utf-8")
    assert run("show", bad)[0] == 2
    assert run("show", tmp_path / "none.yaml")[0] == 2
    status, text = run("lint", bad)
    assert status == 1
    assert "YAML" in text


def test_show_prints_and_writes_html(pack: Path, tmp_path: Path) -> None:
    assert "不超过 300 人" in run("show", pack)[1]
    assert "is at most 300 people" in run("show", pack, language="en")[1]
    page = tmp_path / "page.html"
    assert run("show", pack, "--html", page)[0] == 0
    assert page.read_text(encoding="utf-8").startswith('<!doctype html><html lang="zh-Hans">')


def test_test_files_beside_the_pack_pass_and_fail(pack: Path) -> None:
    file = pack.with_name("example.tests.yaml")
    assert run("test", pack)[0] == 2
    file.write_text(TESTS, encoding="utf-8")
    status, text = run("test", pack)
    assert (status, "3/3" in text) == (0, True)
    file.write_text(TESTS.replace("301", "299"), encoding="utf-8")
    status, text = run("test", pack)
    assert status == 1
    assert "多一人" in text


def test_a_pack_that_ships_passes_its_tests() -> None:
    assert run("test", "srdi-2026")[0] == 0


def test_diff_with_entities_says_who_gains_how_much(pack: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.yaml"
    content = document(pack.read_text(encoding="utf-8"))
    content["body"]["criteria"][0]["test"]["value"] = 400
    new.write_text(dump(content), encoding="utf-8")
    table, out = tmp_path / "firms.csv", tmp_path / "change.parquet"
    table.write_text(TABLE, encoding="utf-8")
    status, text = run("diff", pack, new, "--entities", table, "--on", "2026-06-01", "--out", out)
    assert status == 0
    assert "新符合 1 家" in text
    assert "增加 1 家共 1 万元" in text
    assert pl.read_parquet(out).select("row", "delta_fen").rows() == [(2, 0), (3, 1_000_000), (4, None), (6, 0)]


@pytest.mark.parametrize("kind", ["csv", "gbk", "xlsx", "parquet"])
def test_check_gives_the_same_from_every_kind_of_file(kind: str, pack: Path, tmp_path: Path) -> None:
    frame = pl.read_csv(TABLE.encode(), infer_schema=False)
    path = tmp_path / f"firms.{'csv' if kind == 'gbk' else kind}"
    if kind == "xlsx":
        from openpyxl import Workbook

        book = Workbook()
        for row in (frame.columns, *frame.rows()):
            book.active.append(list(row))
        book.save(path)
    elif kind == "parquet":
        frame.write_parquet(path)
    else:
        path.write_bytes(TABLE.encode("gbk" if kind == "gbk" else "utf-8"))
    out = tmp_path / "out"
    status, text = run("check", pack, "--entities", path, "--out", out, "--on", "2026-06-01")
    assert status == 0, text
    result = pl.read_parquet(out / "example.parquet")
    assert result.select("row", "统一社会信用代码", "verdict", "blocker", "margin", "amount_fen").rows() == [
        (2, "A", "met", None, None, 100_000_000),
        (3, "B", "unmet", "only", -1, 1_000_000),
        (4, "C", "unknown", None, None, 1_000_000),
        (6, "E", "met", None, None, 1_234_567),
    ]
    bad = pl.read_csv(out / "bad_rows.csv")
    assert bad.rows() == [(5, "上一年职工总数（人）", -1, "negative")]
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert (summary["rows"], summary["bad_rows"]) == (5, 1)
    assert summary["packs"]["example"]["met_amount_fen"] == 101_234_567
    assert "备注" in text


def test_check_never_writes_over_what_it_did_not_write(pack: Path, tmp_path: Path) -> None:
    table, out = tmp_path / "firms.csv", tmp_path / "out"
    table.write_text(TABLE, encoding="utf-8")
    arguments = ("check", pack, "--entities", table, "--out", out, "--on", "2026-06-01")
    assert run(*arguments)[0] == 0
    assert run(*arguments)[0] == 0
    (out / "summary.json").unlink()
    assert run(*arguments)[0] == 2
    foreign = tmp_path / "foreign.csv"
    foreign.write_text("a,b\n1,2\n", encoding="utf-8")
    status, text = run("check", pack, "--entities", foreign, "--out", tmp_path / "new", "--on", "2026-06-01")
    assert status == 2
    assert "staff@2025" in text
    assert not (tmp_path / "new").exists()


def test_check_of_all_packs_that_ship_on_a_small_file(tmp_path: Path) -> None:
    table = tmp_path / "firms.csv"
    table.write_text(TABLE, encoding="utf-8")
    status, _ = run("check", "all", "--entities", table, "--out", tmp_path / "out", "--on", "2026-06-01")
    assert status == 0
    assert len(list((tmp_path / "out").glob("*.parquet"))) == len(shipped("rule_pack"))


def test_schema_and_fields() -> None:
    assert json.loads(run("schema")[1])["title"].startswith("Huoshui rule pack")
    assert "revenue.main" in run("fields", "revenue")[1]


def test_rules_start_without_django(pack: Path) -> None:
    program = f"import sys; from huoshui.cli.main import app; sys.argv = ['huoshui', 'rules', 'lint', {str(pack)!r}]\n"
    program += "try: app()\nexcept SystemExit: pass\nassert 'django' not in sys.modules, 'Django was loaded'\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
