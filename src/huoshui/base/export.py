"""Tables that people take away: CSV and XLSX with the unit in the header, amounts in yuan, and no live formulas.

A text that a spreadsheet would run as a formula (CWE-1236) gets an apostrophe in front; in XLSX it is stored as text.
While the installation shows demo data, the last row says so.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from urllib.parse import quote

from django.conf import settings
from django.http import HttpResponse
from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.clearing.tables import FORMULA_STARTS

Cell = str | int | bool | Decimal | date | datetime | None
TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def yuan(fen: int | None) -> Decimal | None:
    """An amount for a column whose header says yuan; nothing stays nothing."""
    return None if fen is None else Decimal(fen).scaleb(-2).quantize(Decimal("0.01"))


def safe(text: str) -> str:
    """The text with an apostrophe in front when a spreadsheet might run it."""
    return f"'{text}" if text.lstrip().lstrip("'").startswith(FORMULA_STARTS) or text.startswith(("\t", "\r")) else text


def table(kind: str, headers: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """A file of kind `csv` or `xlsx`. Instants are told in Asia/Shanghai, as the header's reader expects."""
    content = ([_shown(cell) for cell in row] for row in rows)
    closing = [[_("Demo data")]] if settings.DEMO else []
    return _csv(headers, content, closing) if kind == "csv" else _xlsx(headers, content, closing)


def response(kind: str, name: str, headers: Sequence[str], rows: Iterable[Sequence[Cell]]) -> HttpResponse:
    """The file as a download called `name` (without its ending); any kind but xlsx is csv."""
    kind = kind if kind in TYPES else "csv"
    answer = HttpResponse(table(kind, headers, rows), content_type=TYPES[kind])
    answer["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(f'{name}.{kind}')}"
    return answer


def _shown(cell: Cell) -> Cell:
    if isinstance(cell, bool):
        return _("yes") if cell else _("no")
    if isinstance(cell, datetime):
        return clock.local(cell).strftime("%Y-%m-%d %H:%M:%S")
    return cell


def _csv(headers: Sequence[str], *parts: Iterable[Sequence[Cell]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    for part in ([headers], *parts):
        for row in part:
            writer.writerow([safe(cell) if isinstance(cell, str) else cell for cell in row])
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def _xlsx(headers: Sequence[str], *parts: Iterable[Sequence[Cell]]) -> bytes:
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    for part in ([headers], *parts):
        for row in part:
            cells = []
            for value in row:
                cell = WriteOnlyCell(sheet, ILLEGAL_CHARACTERS_RE.sub("", value) if isinstance(value, str) else value)
                if isinstance(value, str):
                    cell.data_type = "s"
                cells.append(cell)
            sheet.append(cells)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()
