"""Files that people send in: read to text within named limits, and the parsers for what their cells mean.

Reading itself is `huoshui.clearing.tables` (every cell becomes text, a fault names row, field, value and rule). This
module adds the tighter limits of an upload and the values that offices write: 万元 and 元, dates as text or as Excel
serial numbers, periods, yes and no. No Django: faults carry codes, faces make sentences of them.
"""

import io
import re
import unicodedata
import zipfile
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from huoshui import terms
from huoshui.clearing.tables import BadTable, Fault, Rule, Text
from huoshui.clearing.tables import read as read_table

UPLOAD_BYTES_MAX = 20 << 20
UPLOAD_ROWS_MAX = 50_000
UPLOAD_COLUMNS_MAX = 100
UNPACKED_BYTES_MAX = 200 << 20
UNPACKED_RATIO_MAX = 200
UNPACKED_RATIO_FROM_BYTES = 10 << 20
"""Small files may be packed as tightly as they like."""
SERIAL_MIN, SERIAL_MAX = 10_000, 80_000
"""Excel's day numbers taken as dates: 1927-05-18 to 2119-01-10."""
EXCEL_EPOCH = date(1899, 12, 30)
YEAR_MIN, YEAR_MAX = 1900, 2100
UNITS = {"yuan": terms.MoneyUnit.YUAN, "wan_yuan": terms.MoneyUnit.WAN_YUAN}


def read(name: str, data: bytes) -> Text:
    """The table of an uploaded file: .csv (UTF-8 or GB 18030), .xlsx (first sheet) or .parquet.

    Raises BadTable, naming the limit that was passed; larger files go through the command line.
    """
    if len(data) > UPLOAD_BYTES_MAX:
        raise _refused("file", f"{len(data)}", "bytes_at_most", maximum=UPLOAD_BYTES_MAX)
    if name.lower().endswith(".xlsx"):
        _check_unpacked(data)
    text = read_table("upload", name, data)
    if len(text.numbers) > UPLOAD_ROWS_MAX:
        raise _refused("rows", str(len(text.numbers)), "rows_at_most", maximum=UPLOAD_ROWS_MAX)
    if len(text.headers) > UPLOAD_COLUMNS_MAX:
        raise _refused("header", str(len(text.headers)), "columns_at_most", maximum=UPLOAD_COLUMNS_MAX)
    if len(set(text.headers)) < len(text.headers):
        twice = next(header for header in text.headers if text.headers.count(header) > 1)
        raise _refused("header", twice, "once")
    return text


def _refused(field: str, value: str, rule: str, **params: object) -> BadTable:
    return BadTable([Fault("upload", None, field, value, rule, params)])


def _check_unpacked(data: bytes) -> None:
    """Refuse a workbook that unpacks to far more than it weighs (a bomb), before anything is unpacked."""
    try:
        unpacked = sum(part.file_size for part in zipfile.ZipFile(io.BytesIO(data)).infolist())
    except (zipfile.BadZipFile, ValueError) as error:
        raise _refused("file", str(error)[:80], "xlsx") from None
    ratio = unpacked // max(1, len(data))
    if unpacked > UNPACKED_BYTES_MAX or (unpacked > UNPACKED_RATIO_FROM_BYTES and ratio > UNPACKED_RATIO_MAX):
        raise _refused("file", str(unpacked), "unpacked_at_most", maximum=UNPACKED_BYTES_MAX)


# --- cells: text to a value, or Rule ------------------------------------------------------------------------------


def normal(text: str) -> str:
    """Full-width characters as their ordinary twins, no spaces at the ends."""
    return unicodedata.normalize("NFKC", text).strip()


_DATE = re.compile(r"(\d{4})(?:-|/|\.|年)(\d{1,2})(?:-|/|\.|月)(\d{1,2})日?(?:[T ]00:00(?::00(?:\.0+)?)?)?")
_DIGITS = re.compile(r"(\d{4})(\d{2})(\d{2})")
_SERIAL = re.compile(r"(\d{5})(?:\.0+)?")


def day(text: str) -> date:
    """A date: 2024-01-31, 2024/1/31, 2024.1.31, 2024年1月31日, 20240131 or Excel's day number. Raises Rule."""
    text = normal(text)
    if match := _SERIAL.fullmatch(text):
        serial = int(match[1])
        if SERIAL_MIN <= serial <= SERIAL_MAX:
            return EXCEL_EPOCH + timedelta(days=serial)
    elif match := _DATE.fullmatch(text) or _DIGITS.fullmatch(text):
        try:
            found = date(int(match[1]), int(match[2]), int(match[3]))
        except ValueError:
            raise Rule("date") from None
        if YEAR_MIN <= found.year <= YEAR_MAX:
            return found
    raise Rule("date")


_YEAR = re.compile(r"(\d{4})(?:年度?)?")
_QUARTER = re.compile(r"(\d{4})(?:年?第?|-?)(?:[Qq]([1-4])|([一二三四1-4])季度)")
_MONTH = re.compile(r"(\d{4})(?:-|/|\.|年)(\d{1,2})月?")


@dataclass(frozen=True)
class Span:
    """A period of whole days, both ends included."""

    first: date
    last: date


def period(text: str) -> Span:
    """A year (2024, 2024年度), a quarter (2024Q1, 2024年第一季度) or a month (2024-06, 2024年6月). Raises Rule."""
    text = normal(text)
    if match := _QUARTER.fullmatch(text):
        quarter = int(match[2] or str("一二三四".find(match[3]) + 1 or match[3]))
        return _months(int(match[1]), quarter * 3 - 2, 3)
    if match := _YEAR.fullmatch(text):
        return _months(int(match[1]), 1, 12)
    if (match := _MONTH.fullmatch(text)) and 1 <= int(match[2]) <= 12:
        return _months(int(match[1]), int(match[2]), 1)
    raise Rule("period")


def _months(year: int, month: int, count: int) -> Span:
    if not YEAR_MIN <= year <= YEAR_MAX:
        raise Rule("year_between", minimum=YEAR_MIN, maximum=YEAR_MAX)
    after = date(year + (month + count > 12), (month + count - 1) % 12 + 1, 1)
    return Span(date(year, month, 1), after - timedelta(days=1))


def money(text: str, unit: str) -> int:
    """Fen from an amount in `yuan` or `wan_yuan`; a unit written in the cell itself wins. Raises Rule."""
    try:
        return terms.parse_money(_plain(text), UNITS[unit], signed=True)
    except terms.TermError as error:
        raise Rule(error.rule, **error.params) from None


_NUMBER = re.compile(r"([+-]?)(\d{1,15}|\d{1,3}(?:,\d{3})+)(?:\.(\d+))?")


def decimal(text: str, places: int) -> int:
    """A number times 10^places, exactly: more decimals than places are refused, never rounded. Raises Rule."""
    match = _NUMBER.fullmatch(_plain(normal(text)))
    if not match:
        raise Rule("number")
    fraction = (match[3] or "").rstrip("0")
    if len(fraction) > places:
        raise Rule("decimals_at_most", maximum=places, unit="")
    value = int(match[2].replace(",", "") + fraction.ljust(places, "0"))
    return -value if match[1] == "-" else value


def _plain(text: str) -> str:
    """A spreadsheet's 1.2E+3 as plain digits; anything else as it came."""
    if re.fullmatch(r"[+-]?\d+(\.\d+)?[eE][+-]?\d{1,2}", text):
        return f"{Decimal(text):f}"
    return text


def yes_no(text: str) -> bool:
    """是/否, yes/no, true/false, 1/0. Raises Rule."""
    words = {"是": True, "有": True, "yes": True, "true": True, "1": True, "y": True, "√": True}
    words |= {"否": False, "无": False, "no": False, "false": False, "0": False, "n": False, "×": False}
    found = words.get(normal(text).lower())
    if found is None:
        raise Rule("one_of", one_of="是, 否")
    return found
