"""Facts about tables as files: what is read, what is refused, and that exports cannot run as formulas."""

import csv
import io
import zipfile

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook

from huoshui.clearing import tables
from huoshui.clearing.tables import BadTable, Rule

HEADER = "name,cards\r\n"


def workbook(*rows):
    book = Workbook()
    for row in rows:
        book.active.append(row)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def encrypted(data):
    """Its parts say that they are encrypted (ZIP, general purpose bit 0)."""
    return data.replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01")


def faults(call, *arguments):
    with pytest.raises(BadTable) as caught:
        call(*arguments)
    return caught.value.faults


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030"])
def test_csv_of_every_usual_encoding_reads_the_same(encoding):
    text = tables.read("t", "t.csv", "算力中心,卡数\r\n东海,3\r\n".encode(encoding))
    assert text.headers == ("算力中心", "卡数")
    assert text.columns == (("东海",), ("3",))


def test_every_file_type_gives_the_same_text():
    frame = pl.DataFrame({"name": ["a", "b"], "cards": [1, None]})
    parquet = io.BytesIO()
    frame.write_parquet(parquet)
    sources = {
        "t.csv": b"name,cards\na,1\nb,\n",
        "t.parquet": parquet.getvalue(),
        "t.xlsx": workbook(["name", "cards"], ["a", 1], ["b", None]),
    }
    texts = [tables.read("t", name, data) for name, data in sources.items()]
    assert texts[0] == texts[1] == texts[2]
    assert texts[0].numbers == (2, 3)


def test_empty_rows_are_passed_over_and_numbers_stay_those_of_the_file():
    assert tables.read("t", "t.csv", (HEADER + "a,1\r\n,\r\nb,2\r\n").encode()).numbers == (2, 4)


@pytest.mark.parametrize(
    ("name", "data", "rule"),
    [
        ("t.txt", b"", "file_type"),
        ("t.csv", b"", "required"),
        ("t.csv", b"name\n\xff\xff\xff\n", "encoding"),
        ("t.csv", b"name\n\x00\n", "encoding"),
        ("t.csv", b'name\n"open\n', "csv"),
        ("t.csv", b"name,cards\na,1,7\n", "cells"),
        ("t.csv", b"name,cards\na\n", "cells"),
        ("t.csv", b"," * 500 + b"x\n", "columns_at_most"),
        ("t.parquet", b"PAR1 not really", "parquet"),
        ("t.xlsx", b"PK not really", "xlsx"),
        ("t.xlsx", encrypted(workbook(["name", "cards"], ["a", 1])), "xlsx"),
    ],
)
def test_a_malformed_file_is_refused_with_its_rule(name, data, rule):
    assert [fault.rule for fault in faults(tables.read, "t", name, data)] == [rule]


def test_more_rows_than_the_limit_are_refused(monkeypatch):
    monkeypatch.setattr(tables, "ROWS_MAX", 10)
    data = (HEADER + "a,1\r\n" * 11).encode()
    assert faults(tables.read, "t", "t.csv", data)[0].rule == "rows_at_most"
    assert faults(tables.of_frame, "t", pl.DataFrame({"a": range(11)}))[0].rule == "rows_at_most"


def test_more_bytes_than_the_limit_are_refused(monkeypatch):
    monkeypatch.setattr(tables, "BYTES_MAX", 10)
    assert faults(tables.read, "t", "t.csv", b"name\n" + b"a" * 10)[0].rule == "bytes_at_most"


def test_a_workbook_that_unpacks_to_more_than_the_limit_is_refused_before_it_is_unpacked():
    bomb = io.BytesIO(workbook(["name"]))
    with (
        zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
        archive.open("xl/worksheets/sheet2.xml", "w", force_zip64=True) as part,
    ):
        for _ in range((tables.XLSX_UNPACKED_BYTES_MAX >> 22) + 1):
            part.write(b" " * (1 << 22))
    assert len(bomb.getvalue()) < 2 << 20
    assert faults(tables.read, "t", "t.xlsx", bomb.getvalue())[0].rule == "unpacked_at_most"


def test_a_workbook_that_declares_entities_is_refused():
    source, target = zipfile.ZipFile(io.BytesIO(workbook(["name"]))), io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for part in source.infolist():
            evil = b'<!DOCTYPE x [<!ENTITY a "aaaa">]>' if part.filename.endswith("sheet1.xml") else b""
            archive.writestr(part, evil + source.read(part))
    assert faults(tables.read, "t", "t.xlsx", target.getvalue())[0].rule == "no_doctype"


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("2026-12-06T16:00Z", 499_048),
        ("2026-12-07 00:00", 499_048),
        ("2026/12/7 0:00:00", 499_048),
        ("2026-12-06T24:00", 499_048),
        ("2026-12-06T17:00+01:00", 499_048),
    ],
)
def test_hours_are_local_unless_they_say_otherwise(text, hour):
    assert tables.hour(text) == hour


@pytest.mark.parametrize(
    "text", ["2026-12-07", "2026-02-30 08:00", "2026-12-07 08:30", "24:00", "2026-12-07 25:00", "1970-01-01 08:00"]
)
def test_what_is_not_a_whole_hour_is_refused(text):
    with pytest.raises(Rule, match=r"local_time|whole_hour|year_between"):
        tables.hour(text)


@pytest.mark.parametrize(
    ("unit", "text", "amount"),
    [("yuan", "12.5", 1_250_000), ("yuan", "1,234.56", 123_456_000), ("fen", "7", 7_000), ("millifen", "7", 7)],
)
def test_amounts_are_exact_in_every_unit(unit, text, amount):
    assert tables.money(10**12)(unit)(text) == amount


@pytest.mark.parametrize(
    ("unit", "text", "rule"),
    [
        ("yuan", "1.234", "decimals_at_most"),
        ("fen", "1.5", "decimals_at_most"),
        ("yuan", "-1", "at_least"),
        ("yuan", "0", "at_least"),
        ("yuan", "99999999", "at_most"),
        ("yuan", "1e3", "amount"),
        ("yuan", "nan", "amount"),
        ("yuan", "", "amount"),
    ],
)
def test_amounts_out_of_form_or_range_are_refused(unit, text, rule):
    with pytest.raises(Rule, match=rule):
        tables.money(10**12, 1)(unit)(text)


@given(st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc"))), min_size=1))
def test_no_exported_cell_starts_a_formula_and_reading_gives_the_text_back(cells):
    frame = pl.DataFrame({"name": [f"x{cell}" if not cell.strip() else cell for cell in cells]})
    data = tables.to_csv(frame)
    for row in csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")):
        assert not row[0].startswith(tables.FORMULA_STARTS)
    read = tables.read("t", "t.csv", data)
    assert read.columns[0] == tuple(cell.strip() for cell in frame["name"])


def test_a_workbook_keeps_formulas_as_text():
    data = tables.to_xlsx({"plan": pl.DataFrame({"request": ["=1+1"], "cards": [2]})})
    cell = load_workbook(io.BytesIO(data))["plan"]["A2"]
    assert (cell.value, cell.data_type) == ("=1+1", "s")
