"""Tables of entities: headers name a field, a year and a unit; every cell is exact, or a fault and never a guess."""

import datetime as dt
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huoshui.rules import FIELDS
from huoshui.rules.entity_tables import Source, parse, recognise

ON = dt.date(2026, 6, 1)


@pytest.mark.parametrize(
    ("header", "column", "factor"),
    [
        ("revenue@2025", "revenue@2025", 100),
        ("revenue@last_year_fen", "revenue@2025", 1),
        ("revenue@this_year（万元）", "revenue@2026", 1_000_000),
        ("营业收入（2025年，万元）", "revenue@2025", 1_000_000),
        ("2024年研发费用(元)", "rd@2024", 100),
        ("上一年从业人员（人）", "staff@2025", 1),
        ("职工总数", None, 0),
        ("成立日期", "founded", 1),
        ("founded", "founded", 1),
        ("高新技术企业", "high-tech", 1),
        ("高新技术企业：有效期至", "high-tech.until", 1),
        ("主营业务收入（2025年）（亿元）", "revenue.main@2025", 10_000_000_000),
        ("revenue", None, 0),
        ("founded@2025", None, 0),
        ("营业收入（2025年，人）", None, 0),
        ("联系电话", None, 0),
    ],
)
def test_headers(header: str, column: str | None, factor: int) -> None:
    found, unknown = recognise([header], FIELDS, ON)
    if column is None:
        assert (found, unknown) == ([], [header])
    else:
        assert [(each.column, each.factor) for each in found] == [(column, factor)]


def test_two_headers_for_one_fact_are_refused() -> None:
    with pytest.raises(ValueError, match="revenue@2025"):
        recognise(["revenue@2025", "营业收入（2025年，万元）"], FIELDS, ON)


def cells(code: str, values: list[object], factor: int = 1, dtype: type[pl.DataType] = pl.String) -> pl.DataFrame:
    source = Source("x", code, FIELDS[code], factor)
    good, faults = parse(pl.DataFrame({"x": pl.Series(values, dtype=dtype)}), [source], 2)
    return good, faults  # type: ignore[return-value]


def read(code: str, text: object, factor: int = 1, dtype: type[pl.DataType] = pl.String) -> object:
    """The value of a cell, or the rule that it breaks."""
    good, faults = cells(code, [text], factor, dtype)  # type: ignore[misc]
    return good[code][0] if faults.is_empty() else faults["rule"][0]


@given(st.integers(0, 10**15), st.sampled_from([(100, 2), (1_000_000, 6), (10_000_000_000, 10), (1, 0)]))
def test_amounts_are_exact_to_the_fen(fen: int, unit: tuple[int, int]) -> None:
    factor, places = unit
    text = f"{Decimal(fen).scaleb(-places):f}"
    assert read("revenue", text, factor) == fen
    whole, _, part = text.partition(".")
    assert read("revenue", f"{int(whole):,}" + (f".{part}" if part else ""), factor) == fen


@pytest.mark.parametrize(
    ("code", "text", "factor", "wanted"),
    [
        ("revenue", "3.141", 100, "number"),
        ("revenue", "1e5", 100, "number"),
        ("revenue", "1.2.3", 100, "number"),
        ("revenue", "1.-5", 100, "number"),
        ("revenue", "-0.01", 100, "negative"),
        ("assets.net", "-0.01", 100, -1),
        ("revenue", "99999999999999", 100, "too_great"),
        ("revenue", "99999999999999999999", 100, "number"),
        ("staff", "30.0", 1, 30),
        ("staff", "30.5", 1, "number"),
        ("staff", "20000000", 1, "too_great"),
        ("segment.share", "12.5%", 100, 1_250),
        ("segment.share", "101", 100, "too_great"),
        ("founded", "2020年1月2日", 1, dt.date(2020, 1, 2)),
        ("founded", "2020/1/2", 1, dt.date(2020, 1, 2)),
        ("founded", "20200102", 1, dt.date(2020, 1, 2)),
        ("founded", "2020-13-01", 1, "date"),
        ("founded", "0020-01-01", 1, "year"),
        ("high-tech", "是", 1, True),
        ("high-tech", "否", 1, False),
        ("high-tech", "可能", 1, "yes_no"),
        ("sme.size", "小型", 1, "small"),
        ("sme.size", "巨型", 1, "value"),
        ("revenue", " 不详 ", 100, None),
        ("revenue", "", 100, None),
        ("industry", "x" * 201, 1, "text"),
    ],
)
def test_cells(code: str, text: str, factor: int, wanted: object) -> None:
    assert read(code, text, factor) == wanted


def test_columns_that_have_their_type_already_are_taken_as_they_are() -> None:
    assert read("revenue", 150, 100, pl.Int32) == 15_000
    assert read("revenue", 10**18, 1_000_000, pl.Int64) == "too_great"
    assert read("founded", dt.date(2020, 1, 2), 1, pl.Date) == dt.date(2020, 1, 2)
    assert read("high-tech", True, 1, pl.Boolean) is True


def test_a_row_with_one_bad_cell_is_left_out_and_told_with_its_number() -> None:
    sources = [Source("a", "revenue@2025", FIELDS["revenue"], 100), Source("b", "staff@2025", FIELDS["staff"], 1)]
    texts = pl.DataFrame({"a": ["1", "x", "3"], "b": ["5", "6", "y"]})
    good, faults = parse(texts, sources, 2)
    assert good.rows() == [(2, 100, 5)]
    assert faults.rows() == [(3, "a", "x", "number"), (4, "b", "y", "number")]
