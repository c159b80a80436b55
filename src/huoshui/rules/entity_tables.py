"""Tables of entities from people's files, as the columns that the evaluator reads.

The idea: a header names a field, a year and a unit (`revenue@2025`, `rd@last_year_fen`, 营业收入（2025年，万元）);
cells are text, or already of the column's type, and every cell of a column is read at once by Polars expressions: a
million rows take seconds. Amounts without a unit are in yuan. An empty cell is unknown. A cell that breaks a rule is a
fault by row, field, value and rule, and its row is not evaluated: it is never taken for unknown.
"""

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import polars as pl

from .fields import MONEY, SHARE, Field
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
    titles = {_bare(field.title): field for field in fields.values()}
    titles |= {_bare(field.title.partition("（")[0]): field for field in fields.values()}
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
    numbered = texts.with_row_index(ROW, first_row)
    typed = {source.column: _typed(source, texts.schema[source.header]) for source in sources}
    cleaned = numbered.select(ROW, *(_cleaned(source, typed[source.column]) for source in sources))
    values = (_typed_value(source) if typed[source.column] else _value(source) for source in sources)
    read = cleaned.select(ROW, *(value.alias(source.column) for source, value in zip(sources, values, strict=True)))
    broken = [
        cleaned.select(
            ROW,
            pl.col(source.column).cast(pl.String).alias("value"),
            _rule(source, read[source.column]).alias("rule"),
        )
        .filter(pl.col("rule").is_not_null())
        .select(ROW, pl.lit(source.header).alias("field"), "value", "rule")
        for source in sources
    ]  # fmt: skip
    faults = pl.concat(broken).sort(ROW) if broken else pl.DataFrame(schema=FAULTS)
    bad = faults[ROW].unique()
    good = read if faults.is_empty() else read.filter(~pl.col(ROW).is_in(bad.implode()))
    return good, faults.cast(FAULTS)  # type: ignore[arg-type]


FAULTS: Final = MappingProxyType({ROW: pl.UInt32, "field": pl.String, "value": pl.String, "rule": pl.String})


def _typed(source: Source, dtype: pl.DataType) -> bool:
    """Whether the file holds this column in a type that needs no reading."""
    kind = source.field.kind
    return (
        (source.field.is_number and dtype.is_integer())
        or (kind == "date" and dtype == pl.Date)
        or (kind == "boolean" and dtype == pl.Boolean)
    )


def _typed_value(source: Source) -> pl.Expr:
    value = pl.col(source.column)
    if not source.field.is_number:
        return value
    value = value.cast(pl.Int64, strict=False)
    most = NUMBER_MAX // source.factor + 1  # what is greater breaks the rule, and is not multiplied
    return value.clip(-most, most) * source.factor


def _cleaned(source: Source, typed: bool) -> pl.Expr:
    if typed:
        return pl.col(source.header).alias(source.column)
    text = pl.col(source.header).cast(pl.String).str.strip_chars()
    return pl.when(text.is_in(EMPTY)).then(None).otherwise(text).alias(source.column)


def _value(source: Source) -> pl.Expr:
    text, field = pl.col(source.column), source.field
    if field.kind == "boolean":
        return text.replace_strict([*TRUE, *FALSE], [True] * len(TRUE) + [False] * len(FALSE), default=None)
    if field.kind == "date":
        return _date(text)
    if field.kind == "text":
        spelt = {zh: code for code, (zh, _) in VALUES.get(field.code, {}).items()}
        return text.replace(list(spelt), list(spelt.values())) if spelt else text
    return _number(text, source.factor)


def _date(text: pl.Expr) -> pl.Expr:
    plain = text.str.replace_all(r"[年月/.]", "-").str.replace_all("日", "").str.slice(0, 10)
    return pl.coalesce(
        plain.str.to_date("%Y-%m-%d", strict=False), text.str.to_date("%Y%m%d", strict=False)
    )  # fmt: skip


def _number(text: pl.Expr, factor: int) -> pl.Expr:
    """A decimal times `factor` as a whole number, exactly; null where it is none."""
    places = len(str(factor)) - 1
    plain = text.str.replace_all(",", "").str.strip_suffix(SHARE).str.strip_suffix(".0")
    parts = plain.str.extract_groups(r"^(?<sign>[+-]?)(?<whole>\d{1,15})(?:\.(?<part>\d+))?$")
    part = parts.struct.field("part").fill_null("").str.strip_chars_end("0")
    digits = part.str.pad_end(places, "0")
    scaled = (
        parts.struct.field("whole").cast(pl.Int64) * 10**places
        + pl.when(digits == "").then(pl.lit("0")).otherwise(digits).cast(pl.Int64, strict=False)
    )
    fits = part.str.len_chars() <= places
    whole = parts.struct.field("whole").str.strip_chars_start("0").str.len_chars() + places <= 18
    sign = pl.when(parts.struct.field("sign") == "-").then(-1).otherwise(1)
    return pl.when(fits & whole).then(scaled * sign * factor // 10**places)


def _rule(source: Source, values: pl.Series) -> pl.Expr:
    """The code of the rule that a cell breaks; null where it breaks none."""
    field, given = source.field, pl.col(source.column).is_not_null()
    value = pl.lit(values)
    unread = {"boolean": "yes_no", "date": "date", "text": "text"}.get(field.kind, "number")
    rules = [(value.is_null(), unread)]
    if field.is_number:
        signed = any(word in field.title for word in SIGNED)
        most = COUNT_MAX if field.kind == "integer" else 100 * 10**field.places if field.unit == SHARE else NUMBER_MAX
        rules += [(value < (-NUMBER_MAX if signed else 0), "negative"), (value > most, "too_great")]
    elif field.kind == "date":
        rules.append((~value.dt.year().is_between(YEAR_MIN, YEAR_MAX), "year"))
    elif field.code in VALUES:
        rules.append((~value.is_in(list(VALUES[field.code])), "value"))
    elif field.kind == "text":
        rules.append((value.str.len_chars() > TEXT_CHARACTERS_MAX, "text"))
    return pl.coalesce(*(pl.when(given & broken).then(pl.lit(rule)) for broken, rule in rules))


def dtypes(sources: Iterable[Source]) -> dict[str, type[pl.DataType]]:
    """The dtypes of the good rows, `row` aside."""
    return {source.column: dtype_of(source.field) for source in sources}
