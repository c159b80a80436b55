"""Tables of entities from people's files, as the columns that the evaluator reads.

The idea: a header names a field, a year and a unit (`revenue@2025`, `rd@last_year_fen`, 营业收入（2025年，万元）);
cells are text, or already of the column's type, and every cell of a column is read at once by Polars expressions: a
million rows take seconds. Amounts without a unit are in yuan. An empty cell is unknown. A cell that breaks a rule is a
fault by row, field, value and rule, and its row is not evaluated: it is never taken for unknown.
"""

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import polars as pl

from .fields import MONEY, SHARE, Field
from .lexicon import words_of
from .quotes import narrow
from .reader import YEARS
from .table import column_name, dtype_of
from .titles import VALUES

ROW: Final = "row"
COUNT_MAX: Final = 10_000_000
NUMBER_MAX: Final = 10**15
TEXT_CHARACTERS_MAX: Final = 200
YEAR_MIN, YEAR_MAX = 1900, 2100
SIGNED: Final = ("净利润", "净资产", "应纳税所得额")
EMPTY: Final = ("", "-", "—", "/", "不详", "未知", "unknown", "null", "NULL", "None")
TRUE: Final = ("true", "True", "TRUE", "是", "有", "1", "Y", "y", "yes")
FALSE: Final = ("false", "False", "FALSE", "否", "无", "0", "N", "n", "no")
UNITS: Final[Mapping[str, int]] = MappingProxyType({"yuan": 100, "fen": 1, "分": 1, **MONEY})
_YEAR: Final = re.compile(r"(\d{4})\s*年?(?:度|末)?|上一?年(?:度|末)?|当年|本年度?|上上年度?|前年")
_RELATIVE: Final = MappingProxyType({"上上年": -2, "前年": -2, "上": -1, "当": 0, "本": 0})


@dataclass(frozen=True)
class Source:
    """A column of the file: the evaluator's column that it fills, its field, smallest units in one of its unit."""

    header: str
    column: str
    field: Field
    factor: int


def recognise(
    headers: Iterable[str], fields: Mapping[str, Field], on: dt.date
) -> tuple[list[Source], list[str]]:  # fmt: skip
    """The columns that a header names, and the headers that name none. Raises ValueError where two name the same."""
    titles = dict(_names(fields))
    found, unknown = dict[str, Source](), list[str]()
    for header in headers:
        source = _by_code(header.strip(), fields, on) or _by_title(header, titles, on)
        if source is None:
            unknown.append(header)
        elif source.column in found:
            raise ValueError(f"{found[source.column].header}, {header}: {source.column}")
        else:
            found[source.column] = source
    return list(found.values()), unknown


def _names(fields: Mapping[str, Field]) -> Iterator[tuple[str, Field]]:
    """What people call fields: words of notices that mean one field only, and titles with and without brackets."""
    words = [(word, field) for field in fields.values() for word in words_of(field)]
    meant = Counter(word for word, _ in words)
    yield from ((_bare(word), field) for word, field in words if meant[word] == 1)
    for field in fields.values():
        yield _bare(field.title.partition("（")[0]), field
        yield _bare(field.title), field


def _bare(title: str) -> str:
    return re.sub(r"[\s，,（）()：:]", "", narrow(title))


def _factor(field: Field, unit: str) -> int | None:
    if not field.is_number:
        return 1 if not unit else None
    if field.is_money:
        return UNITS.get(unit or "元")
    if field.unit == SHARE:
        return 100 if unit in ("", SHARE) else None
    return 10**field.places if unit in ("", field.unit) else None


def _source(header: str, field: Field, year: int | None, unit: str) -> Source | None:
    factor = _factor(field, unit)
    if factor is None or field.periodic != (year is not None):
        return None
    return Source(header, column_name(field.code, year), field, factor)


def _by_code(header: str, fields: Mapping[str, Field], on: dt.date) -> Source | None:
    """revenue@2025, revenue@last_year_fen, founded, revenue@2025（万元）."""
    text, _, bracket = narrow(header).partition("(")
    text, unit = text.strip(), bracket.rstrip(") ").strip()
    for ending in ("_fen", "_yuan"):
        if text.endswith(ending) and not unit:
            text, unit = text.removesuffix(ending), ending[1:]
    code, _, when = text.partition("@")
    if code not in fields:
        return None
    year: int | None = None
    if when:
        if when not in YEARS and not re.fullmatch(r"\d{4}", when):
            return None
        year = on.year + YEARS[when] if when in YEARS else int(when)
    return _source(header, fields[code], year, unit)


def _by_title(header: str, titles: Mapping[str, Field], on: dt.date) -> Source | None:
    """营业收入（2025年，万元）, 2025年营业收入(万元), 上一年职工总数, 成立日期."""
    text = _bare(header)
    for title in sorted(titles, key=len, reverse=True):
        if title and title in text:
            rest = text.replace(title, "", 1)
            break
    else:
        return None
    year: int | None = None
    match = _YEAR.search(rest)
    if match:
        relative = next((years for word, years in _RELATIVE.items() if match.group().startswith(word)), 0)
        year = int(match.group(1)) if match.group(1) else on.year + relative
        rest = rest.replace(match.group(), "", 1)
    return _source(header, titles[title], year, rest)


# --- cells ------------------------------------------------------------------------------------------------------------


def parse(texts: pl.DataFrame, sources: Sequence[Source], first_row: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(rows that are good, faults). `texts`: a column for each source, by header; `first_row`: number of the first row
    in the file.

    The good rows have `row` and the evaluator's columns; a fault is (row, field, value, rule).
    """
    rows = pl.int_range(first_row, first_row + texts.height, dtype=pl.UInt32, eager=True).alias(ROW)
    columns, broken = [rows], [pl.DataFrame(schema=FAULTS)]
    for source in sources:
        given = texts.get_column(source.header)
        typed = _typed(source, given.dtype)
        given = given if typed else _cleaned(given)
        value = (_typed_value(source, given) if typed else _value(source, given)).alias(source.column)
        columns.append(value)
        broken.append(_faults(source, rows, given, value))
    faults = pl.concat(broken).sort(ROW, maintain_order=True)
    read = pl.DataFrame(columns)
    bad = faults[ROW].unique()
    return (read if faults.is_empty() else read.filter(~pl.col(ROW).is_in(bad.implode()))), faults


FAULTS: Final = MappingProxyType({ROW: pl.UInt32, "field": pl.String, "value": pl.String, "rule": pl.String})


def _typed(source: Source, dtype: pl.DataType) -> bool:
    """Whether the file holds this column in a type that needs no reading."""
    kind = source.field.kind
    return (
        (source.field.is_number and dtype.is_integer())
        or (kind == "date" and dtype == pl.Date)
        or (kind == "boolean" and dtype == pl.Boolean)
    )


def _typed_value(source: Source, given: pl.Series) -> pl.Series:
    return _scaled(given.cast(pl.Int64, strict=False), source.factor) if source.field.is_number else given


def _scaled(whole: pl.Series, factor: int) -> pl.Series:
    most = NUMBER_MAX // factor + 1  # what is greater breaks the rule, and is not multiplied
    return whole.clip(-most, most) * factor


def _cleaned(given: pl.Series) -> pl.Series:
    text = given.cast(pl.String).str.strip_chars()
    return text.set(text.is_in(EMPTY).fill_null(False), None)


def _value(source: Source, text: pl.Series) -> pl.Series:
    field = source.field
    if field.kind == "boolean":
        return text.replace_strict([*TRUE, *FALSE], [True] * len(TRUE) + [False] * len(FALSE), default=None,
                                   return_dtype=pl.Boolean)  # fmt: skip
    if field.kind == "date":
        return _date(text)
    if field.kind == "text":
        spelt = {zh: code for code, (zh, _) in VALUES.get(field.code, {}).items()}
        return text.replace(list(spelt), list(spelt.values())) if spelt else text
    whole = text.cast(pl.Int64, strict=False)
    if whole.null_count() == text.null_count():
        return _scaled(whole, source.factor)
    return text.to_frame("text").select(value=_number(pl.col("text"), source.factor)).to_series()


def _date(text: pl.Series) -> pl.Series:
    days = text.str.to_date("%Y-%m-%d", strict=False)
    if days.null_count() == text.null_count():
        return days
    plain = text.str.replace_all(r"[年月/.]", "-").str.replace_all("日", "").str.slice(0, 10)
    return plain.str.to_date("%Y-%m-%d", strict=False).fill_null(text.str.to_date("%Y%m%d", strict=False))


def _number(text: pl.Expr, factor: int) -> pl.Expr:
    """A decimal times `factor` as a whole number, exactly; null where it is none. (Patterns would take several times as
    long: the text is split at the point and both sides are read as whole numbers.)"""
    places = len(str(factor)) - 1
    plain = text.str.replace_all(",", "", literal=True).str.strip_suffix(SHARE)
    sides = plain.str.splitn(".", 2)
    left, right = sides.struct.field("field_0"), sides.struct.field("field_1").fill_null("")
    part = right.str.strip_chars_end("0")
    padded = pl.when(part == "").then(pl.lit("0")).otherwise(part.str.pad_end(places, "0"))
    whole, fraction = left.cast(pl.Int64, strict=False).abs(), padded.cast(pl.Int64, strict=False)
    most = NUMBER_MAX // 10**places + 1  # what is greater breaks a rule, and is not multiplied
    scaled = whole.clip(0, most) * 10**places + fraction
    exact = (part.str.len_bytes() <= places) & ~part.str.starts_with("-") & ~part.str.starts_with("+")
    value = pl.when(plain.str.starts_with("-")).then(-scaled).otherwise(scaled)
    return pl.when(exact).then(value if factor == 10**places else value * factor // 10**places)


def _faults(source: Source, rows: pl.Series, given: pl.Series, value: pl.Series) -> pl.DataFrame:
    """The cells of a column that break a rule, with the first rule that each breaks."""
    found = list[pl.DataFrame]()
    seen = pl.repeat(False, len(rows), eager=True)
    for broken, rule in _rules(source, given, value):
        fresh = broken.fill_null(False) & ~seen
        if fresh.any():
            seen = seen | fresh
            cells = {ROW: rows.filter(fresh), "value": given.filter(fresh).cast(pl.String)}
            found.append(pl.DataFrame(cells).select(
                ROW, pl.lit(source.header).alias("field"), "value", pl.lit(rule).alias("rule")
            ))  # fmt: skip
    return pl.concat(found) if found else pl.DataFrame(schema=FAULTS)


def _rules(source: Source, given: pl.Series, value: pl.Series) -> Iterator[tuple[pl.Series, str]]:
    """(where it is broken, its code) of every rule for a column."""
    field = source.field
    unread = {"boolean": "yes_no", "date": "date", "text": "text"}.get(field.kind, "number")
    yield given.is_not_null() & value.is_null(), unread
    if field.is_number:
        signed = any(word in field.title for word in SIGNED)
        most = COUNT_MAX if field.kind == "integer" else 100 * 10**field.places if field.unit == SHARE else NUMBER_MAX
        yield value < (-NUMBER_MAX if signed else 0), "negative"
        yield value > most, "too_great"
    elif field.kind == "date":
        yield ~value.dt.year().is_between(YEAR_MIN, YEAR_MAX), "year"
    elif field.code in VALUES:
        yield ~value.is_in(list(VALUES[field.code])), "value"
    elif field.kind == "text":
        yield value.str.len_chars() > TEXT_CHARACTERS_MAX, "text"


def dtypes(sources: Iterable[Source]) -> dict[str, type[pl.DataType]]:
    """The dtypes of the good rows, `row` aside."""
    return {source.column: dtype_of(source.field) for source in sources}
