"""Tables that people send and receive, as bytes: CSV, Parquet and XLSX to a frame of text, and back.

The idea: whatever the file type, every cell becomes text, so one set of parsers judges them all, and a fault names the
row, the field, the value and the rule that it breaks. A table is read whole or not at all. Everything that can grow
has a named limit, checked before the memory is spent. Bytes in, bytes out: no file is opened here.

A `Column` says what a column is called, what it means and how its text becomes a value; a tuple of columns is the
one place that documents, prints and validates a table.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import polars as pl

BYTES_MAX = 256 << 20
"""Largest file read."""
ROWS_MAX = 1_000_000
COLUMNS_MAX = 400
CELL_CHARACTERS_MAX = 2_000
FAULTS_MAX = 1_000
"""Faults kept; the rest are counted."""
XLSX_UNPACKED_BYTES_MAX = 512 << 20
XLSX_PARTS_MAX = 2_000
XLSX_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    KeyError,
    IndexError,
    ValueError,
    TypeError,
    SyntaxError,
    EOFError,
    RuntimeError,
)
"""What a broken workbook makes zipfile and openpyxl raise: RuntimeError where it says that it is encrypted, or is
packed in a way that Python does not know."""
SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")
"""China has kept one offset without summer time since 1991."""
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""A text cell that opens with one of these may be run as a formula by a spreadsheet (CWE-1236)."""
MILLIFEN = {"yuan": 100_000, "fen": 1_000, "millifen": 1}
"""Units of money that a header may end in, in 1/1000 fen."""


class Rule(ValueError):
    """A value breaks a rule: its code and parameters. Faces turn the code into a sentence."""

    def __init__(self, code: str, **params: Any) -> None:
        super().__init__(code)
        self.code, self.params = code, params


@dataclass(frozen=True)
class Fault:
    """One broken rule. row is the row of the file (the header is row 1) or, for a frame, its index from 0."""

    table: str
    row: int | None
    field: str
    value: str
    rule: str
    params: dict[str, Any] = dataclass_field(default_factory=dict)

    def __str__(self) -> str:
        row = "" if self.row is None else f" row {self.row}"
        params = "".join(f" {name}={value}" for name, value in self.params.items())
        return f"{self.table}{row}: {self.field} = {self.value!r} breaks {self.rule}{params}"


class BadTable(ValueError):
    """A table was not read. `faults` holds the first FAULTS_MAX of `total` broken rules, in row order."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.total = len(faults)
        self.faults = tuple(sorted(faults, key=lambda fault: (fault.table, fault.row or 0))[:FAULTS_MAX])
        lines = [str(fault) for fault in self.faults[:20]]
        more = [f"and {self.total - len(lines)} more"] if self.total > len(lines) else []
        super().__init__("\n".join(lines + more))


# --- bytes to frames of text --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Text:
    """A table as text: column headers and, per row, its number in the file and its cells ('' when empty)."""

    table: str
    headers: tuple[str, ...]
    numbers: tuple[int, ...]
    columns: tuple[tuple[str, ...], ...]


def read(table: str, name: str, data: bytes) -> Text:
    """The table in a file. `name` gives the type by its ending: .csv, .parquet or .xlsx. Raises BadTable."""
    ending = name.rsplit(".", 1)[-1].lower()
    readers: dict[str, Callable[[str, bytes], Text]] = {"csv": _csv, "parquet": _parquet, "xlsx": _xlsx}
    if ending not in readers:
        raise _refused(table, "file", name, "file_type", one_of="csv, parquet, xlsx")
    if len(data) > BYTES_MAX:
        raise _refused(table, "file", name, "bytes_at_most", maximum=BYTES_MAX, found=len(data))
    return readers[ending](table, data)


def of_frame(table: str, frame: pl.DataFrame) -> Text:
    """A Polars frame as text; rows are numbered from 0."""
    if frame.height > ROWS_MAX:
        raise _refused(table, "rows", str(frame.height), "rows_at_most", maximum=ROWS_MAX)
    columns = tuple(tuple(_series(frame[name])) for name in frame.columns)
    return Text(table, tuple(map(_header, frame.columns)), tuple(range(frame.height)), columns)


def _refused(table: str, what: str, value: str, rule: str, **params: Any) -> BadTable:
    return BadTable([Fault(table, None, what, value, rule, params)])


def _header(cell: str) -> str:
    return cell.strip().replace("(", "（").replace(")", "）").replace("：", ":")


def _series(series: pl.Series) -> list[str]:
    """A column of any type as stripped text."""
    if isinstance(series.dtype, pl.Datetime):
        zone = "%:z" if series.dtype.time_zone else ""
        series = series.dt.to_string("%Y-%m-%dT%H:%M:%S%.f" + zone)
    return [cell.strip() for cell in series.cast(pl.String).fill_null("")]


def _csv(table: str, data: bytes) -> Text:
    encoding = next((name for name in ("utf-8-sig", "gb18030") if _decodes(data, name)), None)
    if encoding is None or b"\x00" in data:
        raise _refused(table, "file", "NUL" if encoding else "bytes", "encoding", one_of="UTF-8, GBK")
    lines = io.TextIOWrapper(io.BytesIO(data), encoding, newline="")
    try:
        return _rows(table, csv.reader(lines, strict=True), unquote=True)
    except csv.Error as error:
        raise _refused(table, "file", str(error), "csv") from None


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _parquet(table: str, data: bytes) -> Text:
    try:
        height = pl.scan_parquet(io.BytesIO(data)).select(pl.len()).collect().item()
        if height > ROWS_MAX:
            raise _refused(table, "rows", str(height), "rows_at_most", maximum=ROWS_MAX)
        frame = pl.read_parquet(io.BytesIO(data))
    except pl.exceptions.PolarsError as error:
        raise _refused(table, "file", str(error)[:80], "parquet") from None
    text = of_frame(table, frame)
    return Text(table, text.headers, tuple(number + 2 for number in text.numbers), text.columns)


def _xlsx(table: str, data: bytes) -> Text:
    """The first sheet. Formulas count as the value last computed for them."""
    from openpyxl import load_workbook

    try:
        _check_parts(table, data)
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()
        cells = sheet.iter_rows(max_col=COLUMNS_MAX + 1, values_only=True)
        return _rows(table, ([_cell(value) for value in row] for row in cells), unquote=False)
    except XLSX_ERRORS as error:
        if isinstance(error, BadTable):
            raise
        raise _refused(table, "file", str(error)[:80], "xlsx") from None


def _check_parts(table: str, data: bytes) -> None:
    """Refuse a workbook that unpacks to more than the limit, or whose XML declares entities."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = archive.infolist()
        unpacked = sum(part.file_size for part in parts)  # zipfile never reads past the declared size
        if len(parts) > XLSX_PARTS_MAX or unpacked > XLSX_UNPACKED_BYTES_MAX:
            limit = {"maximum": XLSX_UNPACKED_BYTES_MAX, "parts": XLSX_PARTS_MAX}
            raise _refused(table, "file", f"{unpacked} bytes in {len(parts)} parts", "unpacked_at_most", **limit)
        for part in parts:
            with archive.open(part) as stream:
                if b"<!DOCTYPE" in stream.read(4_096):
                    raise _refused(table, "file", part.filename, "no_doctype")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _rows(table: str, rows: Iterable[Sequence[str]], *, unquote: bool) -> Text:
    """Header and rows of a sheet; empty rows are passed over, every other must be as wide as the header."""
    iterator = iter(rows)
    headers = [_header(cell) for cell in next(iterator, [])]
    while headers and not headers[-1]:
        headers.pop()
    if not headers:
        raise _refused(table, "header", "", "required")
    if len(headers) > COLUMNS_MAX:
        raise _refused(table, "header", str(len(headers)), "columns_at_most", maximum=COLUMNS_MAX)
    numbers: list[int] = []
    kept: list[list[str]] = []
    faults: list[Fault] = []
    for number, row in enumerate(iterator, start=2):
        cells = [(_unquoted(cell) if unquote else cell).strip() for cell in row]
        while len(cells) > len(headers) and not cells[-1]:
            cells.pop()
        if not any(cells):
            continue
        if len(kept) == ROWS_MAX:
            raise _refused(table, "rows", f"more than {ROWS_MAX}", "rows_at_most", maximum=ROWS_MAX)
        if len(cells) > len(headers) or (unquote and len(cells) < len(headers)):
            params = {"expected": len(headers), "found": len(cells)}
            faults.append(Fault(table, number, "row", cells[-1], "cells", params))
        cells += [""] * (len(headers) - len(cells))
        numbers.append(number)
        kept.append(cells)
    if faults:
        raise BadTable(faults)
    columns = tuple(zip(*kept, strict=True)) if kept else ((),) * len(headers)
    return Text(table, tuple(headers), tuple(numbers), columns)


# --- parsers: text to a value, or Rule ----------------------------------------------------------------------------

Parser = Callable[[str], Any]
_WHOLE = re.compile(r"[+-]?\d{1,18}(\.0+)?")
_DECIMAL = re.compile(r"([+-]?)(\d{1,15})(?:\.(\d+))?")
_HOUR = re.compile(
    r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})[T ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:\.0+)?)?\s*(Z|[+-]\d{2}:?\d{2})?"
)


def words(characters_max: int = 64) -> Parser:
    """Text of printable characters."""

    def parse(text: str) -> str:
        if len(text) > characters_max:
            raise Rule("characters_at_most", maximum=characters_max)
        if not text.isprintable():
            raise Rule("printable")
        return text

    return parse


def whole(minimum: int, maximum: int) -> Parser:
    """A whole number between two limits, both allowed."""

    def parse(text: str) -> int:
        if not _WHOLE.fullmatch(text):
            raise Rule("whole_number")
        return _between(int(text.split(".")[0]), minimum, maximum, "")

    return parse


def money(maximum: int, minimum: int = 0) -> Callable[[str], Parser]:
    """An amount, by the unit in the header: yuan with at most two decimals, whole fen, or whole 1/1000 fen.

    minimum and maximum are in 1/1000 fen; so is the value.
    """

    def in_unit(unit: str) -> Parser:
        decimals_max = 2 if unit == "yuan" else 0

        def parse(text: str) -> int:
            match = _DECIMAL.fullmatch(text.replace(",", ""))
            if not match:
                raise Rule("amount")
            sign, units, decimals = match[1], match[2], (match[3] or "").rstrip("0")
            if len(decimals) > decimals_max:
                raise Rule("decimals_at_most", maximum=decimals_max, unit=unit)
            amount = int(units + decimals.ljust(decimals_max, "0")) * MILLIFEN[unit] // 10**decimals_max
            return _between(-amount if sign == "-" else amount, minimum, maximum, unit)

        return parse

    return in_unit


def _between(value: int, minimum: int, maximum: int, unit: str) -> int:
    scale = MILLIFEN.get(unit, 1)
    if value < minimum:
        raise Rule("at_least", minimum=-(-minimum // scale))
    if value > maximum:
        raise Rule("at_most", maximum=maximum // scale)
    return value


def hour(text: str) -> int:
    """A whole hour, in hours since the epoch. ISO 8601; without an offset it is Asia/Shanghai time."""
    match = _HOUR.fullmatch(text)
    if not match:
        raise Rule("local_time", example="2026-12-07T08:00")
    year, month, day, hours, minutes, seconds = (int(match[i] or 0) for i in range(1, 7))
    try:
        moment = datetime(year, month, day, 0, minutes, seconds, tzinfo=_zone(match[7])) + timedelta(hours=hours)
    except (ValueError, OverflowError):
        raise Rule("local_time", example="2026-12-07T08:00") from None
    if hours > 24 or (hours == 24 and minutes + seconds):
        raise Rule("local_time", example="2026-12-07T08:00")
    if not 2000 <= year <= 2100:
        raise Rule("year_between", minimum=2000, maximum=2100)
    since, rest = divmod(int(moment.timestamp()), 3600)
    if rest:
        raise Rule("whole_hour")
    return since


def _zone(offset: str | None) -> timezone:
    if offset is None:
        return SHANGHAI
    if offset == "Z":
        return UTC
    sign = -1 if offset[0] == "-" else 1
    digits = offset[1:].replace(":", "")
    return timezone(sign * timedelta(hours=int(digits[:2]), minutes=int(digits[2:])))


def choice(**spellings: str) -> Parser:
    """One of some words: `choice(rigid="rigid 不可中断")` accepts any of the spellings of each value."""
    known = {spelling: value for value, group in spellings.items() for spelling in group.split()}

    def parse(text: str) -> str:
        if text.lower() not in known:
            raise Rule("one_of", one_of=", ".join(known))
        return known[text.lower()]

    return parse


def yes_no(text: str) -> bool:
    """yes/no, true/false, 1/0, 是/否."""
    return bool(choice(yes="yes true 1 是", no="no false 0 否")(text) == "yes")


def several(text: str) -> tuple[str, ...]:
    """Names separated by `;` or `；`."""
    return tuple(dict.fromkeys(part.strip() for part in re.split("[;；]", text) if part.strip()))


# --- specified columns --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    """A column of a table: header, Chinese header, meaning, and how its text becomes a value.

    parse is a Parser; for money (`is_money`) it takes the unit first, and the header ends in _yuan, _fen or
    _millifen (Chinese: （元）, （分）, （千分之一分）). `family` columns repeat: `name:KEY`, one column for each KEY.
    """

    name: str
    zh: str
    parse: Callable[[str], Any]
    meaning: str
    required: bool = True
    default: Any = None
    is_money: bool = False
    family: bool = False

    def headers(self) -> dict[str, str]:
        """Accepted headers, each with its unit ('' when none)."""
        if not self.is_money:
            return {self.name: "", self.zh: ""}
        zh_units = {"yuan": "元", "fen": "分", "millifen": "千分之一分"}
        names = {f"{self.name}_{unit}": unit for unit in MILLIFEN}
        return names | {f"{self.zh}（{zh}）": unit for unit, zh in zh_units.items()}

    def shown(self) -> str:
        """The header as people's files write it."""
        return f"{self.name}{'_yuan' if self.is_money else ''}{':KEY' if self.family else ''}"

    def both(self) -> str:
        """The header in both languages, for a message."""
        return f"{self.zh} ({self.shown()})" if self.zh else self.shown()


@dataclass(frozen=True)
class Parsed:
    """A table read without a fault: row numbers, values by column, values by column and key for families."""

    numbers: tuple[int, ...]
    values: dict[str, list[Any]]
    families: dict[str, dict[str, list[Any]]]


def parse(text: Text, columns: Sequence[Column]) -> Parsed:
    """Every cell by its column. Raises BadTable with every fault of every row; reads nothing of a bad table."""
    faults: list[Fault] = []
    values: dict[str, list[Any]] = {}
    families: dict[str, dict[str, list[Any]]] = {column.name: {} for column in columns if column.family}
    for position, header in enumerate(text.headers):
        found = _column_of(header, columns)
        if found is None:
            known = ", ".join(column.both() for column in columns)
            faults.append(Fault(text.table, None, "header", header, "known_column", {"known": known}))
            continue
        column, unit, key = found
        target, name = (families[column.name], key) if column.family else (values, column.name)
        if name in target:
            faults.append(Fault(text.table, None, "header", header, "once"))
        target[name] = list(_parsed(text, position, header, column, unit, faults))
    for column in columns:
        if not column.family and column.name not in values:
            if column.required:
                faults.append(Fault(text.table, None, "header", column.both(), "required"))
            values[column.name] = [column.default] * len(text.numbers)
    if faults:
        raise BadTable(faults)
    return Parsed(text.numbers, values, families)


def _column_of(header: str, columns: Sequence[Column]) -> tuple[Column, str, str] | None:
    for column in columns:
        name, _, key = header.partition(":") if column.family else (header, "", "")
        units = column.headers()
        if name in units and bool(key) == column.family:
            return column, units[name], key.strip()
    return None


def _parsed(text: Text, position: int, header: str, column: Column, unit: str, faults: list[Fault]) -> Iterator[Any]:
    """Values of one column; each different text is parsed once."""
    parse_cell: Parser = column.parse(unit) if column.is_money else column.parse
    known: dict[str, Any] = {}
    for number, cell in zip(text.numbers, text.columns[position], strict=True):
        if cell not in known:
            known[cell] = _value(parse_cell, column, cell)
        value = known[cell]
        if isinstance(value, Rule):
            faults.append(Fault(text.table, number, header, cell[:80], value.code, value.params))
        yield value


def _value(parse_cell: Parser, column: Column, cell: str) -> Any:
    """The value of a cell, or the Rule that it breaks."""
    if not cell:
        return Rule("required") if column.required else column.default
    if len(cell) > CELL_CHARACTERS_MAX:
        return Rule("characters_at_most", maximum=CELL_CHARACTERS_MAX)
    try:
        return parse_cell(cell)
    except Rule as rule:
        return rule


# --- frames to bytes, for people ----------------------------------------------------------------------------------


def to_csv(frame: pl.DataFrame) -> bytes:
    """CSV with a byte order mark (spreadsheets then read it as UTF-8); no cell can start a formula."""
    safe = frame.rename(_quoted).with_columns(
        pl.col(name).map_elements(_quoted, return_dtype=pl.String)
        for name in map(_quoted, frame.columns)
        if frame.rename(_quoted)[name].dtype == pl.String
    )
    return b"\xef\xbb\xbf" + safe.write_csv(line_terminator="\r\n").encode()


def to_xlsx(sheets: dict[str, pl.DataFrame]) -> bytes:
    """A workbook with one sheet a frame; every text is stored as text, so none is run as a formula."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    book = Workbook(write_only=True)
    for title, frame in sheets.items():
        sheet = book.create_sheet(title)
        for row in (tuple(frame.columns), *frame.iter_rows()):
            cells = [WriteOnlyCell(sheet, value) for value in row]
            for cell, value in zip(cells, row, strict=True):
                if isinstance(value, str):
                    cell.data_type = "s"
            sheet.append(cells)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def _quoted(cell: str) -> str:
    """A leading apostrophe keeps a spreadsheet from running the cell; `read` takes it off again."""
    return f"'{cell}" if cell.lstrip("'").startswith(FORMULA_STARTS) else cell


def _unquoted(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(FORMULA_STARTS) else cell
