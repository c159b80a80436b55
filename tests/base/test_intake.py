"""Uploaded files are read whole within named limits, and cells mean what offices write; exports cannot run."""

import csv
import io
import zipfile
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook

from huoshui.base import export, intake
from huoshui.clearing.tables import BadTable, Rule


def workbook(*rows: list[object]) -> bytes:
    book, stream = Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(stream)
    return stream.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8", "gb18030"])
def test_csv_in_the_encodings_of_offices(encoding: str) -> None:
    text = intake.read("名单.csv", "企业名称,地区\r\n示例甲公司,杭州市\r\n".encode(encoding))
    assert text.headers == ("企业名称", "地区")
    assert text.columns == (("示例甲公司",), ("杭州市",))


def test_a_workbook_and_its_dates() -> None:
    text = intake.read("a.xlsx", workbook(["名称", "成立日期"], ["甲", date(2020, 2, 29)], ["乙", 43890]))
    assert [intake.day(cell) for cell in text.columns[1]] == [date(2020, 2, 29), date(2020, 2, 29)]


def rule_of(name: str, data: bytes) -> str:
    with pytest.raises(BadTable) as caught:
        intake.read(name, data)
    return caught.value.faults[0].rule


def test_limits_have_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "UPLOAD_ROWS_MAX", 3)
    monkeypatch.setattr(intake, "UPLOAD_BYTES_MAX", 1_000)
    monkeypatch.setattr(intake, "UPLOAD_COLUMNS_MAX", 3)
    assert rule_of("a.csv", b"x" * 1_001) == "bytes_at_most"
    assert rule_of("a.csv", b"a\n1\n1\n1\n1\n") == "rows_at_most"
    assert rule_of("a.csv", b"a,b,c,d\n") == "columns_at_most"
    assert rule_of("a.csv", b"a,a\n1,2\n") == "once"
    assert rule_of("a.doc", b"a") == "file_type"


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * (11 << 20))
    assert rule_of("a.xlsx", stream.getvalue()) == "unpacked_at_most"
    assert rule_of("a.xlsx", b"not a workbook") == "xlsx"


@pytest.mark.parametrize(
    "text", ["2024-01-31", "2024/1/31", "2024.1.31", "2024年1月31日", "20240131", "２０２４-01-31", "45322", "45322.0",
             "2024-01-31T00:00:00"],
)
def test_one_day_many_spellings(text: str) -> None:
    assert intake.day(text) == date(2024, 1, 31)


@pytest.mark.parametrize("text", ["2024-02-30", "31/01/2024", "2024", "1", "99999", "2024-01-31T08:00", "today", ""])
def test_what_is_no_day(text: str) -> None:
    with pytest.raises(Rule, match="date"):
        intake.day(text)


@given(st.dates(date(1928, 1, 1), date(2099, 12, 31)))
def test_excel_day_numbers_are_days(day: date) -> None:
    assert intake.day(str((day - date(1899, 12, 30)).days)) == day


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [("2024", date(2024, 1, 1), date(2024, 12, 31)), ("2024年度", date(2024, 1, 1), date(2024, 12, 31)),
     ("2024Q4", date(2024, 10, 1), date(2024, 12, 31)), ("2024年第一季度", date(2024, 1, 1), date(2024, 3, 31)),
     ("2024-02", date(2024, 2, 1), date(2024, 2, 29)), ("2024年12月", date(2024, 12, 1), date(2024, 12, 31))],
)
def test_periods(text: str, first: date, last: date) -> None:
    assert intake.period(text) == intake.Span(first, last)


@pytest.mark.parametrize(
    ("text", "unit", "fen"),
    [("12,345.67", "yuan", 1_234_567), ("1.5", "wan_yuan", 1_500_000), ("1.5万元", "yuan", 1_500_000),
     ("1.2E+3", "yuan", 120_000), ("-3", "yuan", -300), ("0", "wan_yuan", 0)],
)
def test_money_in_its_unit(text: str, unit: str, fen: int) -> None:
    assert intake.money(text, unit) == fen


@pytest.mark.parametrize("text", ["1.005", "", "12,34", "a", "=1+1", "NaN"])
def test_money_is_never_guessed(text: str) -> None:
    with pytest.raises(Rule):
        intake.money(text, "yuan")


@given(st.integers(-(10**12), 10**12), st.integers(0, 6))
def test_decimals_are_exact(value: int, places: int) -> None:
    assert intake.decimal(f"{Decimal(value).scaleb(-places):f}", places) == value


def test_more_decimals_than_places_are_refused() -> None:
    with pytest.raises(Rule, match="decimals_at_most"):
        intake.decimal("1.25", 1)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "'=1"])
def test_exports_cannot_run(text: str) -> None:
    cells = list(csv.reader(io.StringIO(export.table("csv", [text], [[text]]).decode("utf-8-sig"))))
    assert cells[:2] == [[f"'{text}"], [f"'{text}"]]
    sheet = load_workbook(io.BytesIO(export.table("xlsx", ["a"], [[text]]))).active
    assert (sheet["A2"].data_type, sheet["A2"].value) == ("s", text)


def test_numbers_stay_numbers_and_nothing_stays_nothing(settings) -> None:  # type: ignore[no-untyped-def]
    settings.DEMO = True
    shown = export.table("csv", ["a", "b", "c"], [[-5, export.yuan(-1), export.yuan(None)]]).decode("utf-8-sig")
    assert shown.splitlines()[1] == "-5,-0.01,"
    assert len(shown.splitlines()) == 3, "the last row is the demo mark"
