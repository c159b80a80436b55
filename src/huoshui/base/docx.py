"""Documents that people take away as DOCX: headings, paragraphs and tables, written as Office Open XML (ECMA-376).

Only what a notice or a plan needs, so the standard library is enough. The same content gives the same bytes.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

from django.conf import settings
from django.http import HttpResponse
from django.utils.translation import gettext as _

TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_EPOCH = (1980, 1, 1, 0, 0, 0)
SIZES = {1: 32, 2: 26}
"""Half-points of headings."""


@dataclass(frozen=True)
class Heading:
    """A heading of level 1 or 2."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows under headings."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


Block = Heading | Text | Table


def document(blocks: Iterable[Block]) -> bytes:
    """A DOCX file. While the installation shows demo data, its last paragraph says so."""
    closing = [Text(_("Demo data"))] if settings.DEMO else []
    body = "".join(map(_block, [*blocks, *closing]))
    page = '<w:sectPr><w:pgSz w:w="11906" w:h="16838"/><w:pgMar w:top="1134" w:bottom="1134" w:left="1134" w:right="1134" w:header="567" w:footer="567" w:gutter="0"/></w:sectPr>'  # noqa: E501
    parts = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{TYPE}.main+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{_RELATIONS}"><Relationship Id="rId1" '
        f'Type="{_OFFICE}/officeDocument" Target="word/document.xml"/></Relationships>',
        "word/document.xml": f'<w:document xmlns:w="{_W}"><w:body>{body}{page}</w:body></w:document>',
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), _HEAD + content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def response(name: str, blocks: Iterable[Block]) -> HttpResponse:
    """The file as a download called `name` (without its ending)."""
    answer = HttpResponse(document(blocks), content_type=TYPE)
    answer["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(f'{name}.docx')}"
    return answer


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        return _paragraph(block.text, bold=True, half_points=SIZES[block.level])
    if isinstance(block, Text):
        return _paragraph(block.text)
    edges = "".join(
        f'<w:{side} w:val="single" w:sz="4" w:space="0" w:color="808080"/>'
        for side in ("top", "left", "bottom", "right", "insideH", "insideV")
    )
    grid = "<w:gridCol/>" * len(block.headings)
    rows = "".join(_row(row, bold=not number) for number, row in enumerate([block.headings, *block.rows]))
    return (
        f'<w:tbl><w:tblPr><w:tblW w:w="5000" w:type="pct"/><w:tblBorders>{edges}</w:tblBorders></w:tblPr>'
        f"<w:tblGrid>{grid}</w:tblGrid>{rows}</w:tbl>{_paragraph('')}"
    )


def _row(cells: Sequence[str], bold: bool) -> str:
    shown = "".join(f"<w:tc>{_paragraph(cell, bold=bold, half_points=18)}</w:tc>" for cell in cells)
    header = "<w:trPr><w:tblHeader/></w:trPr>" if bold else ""
    return f"<w:tr>{header}{shown}</w:tr>"


def _paragraph(text: str, bold: bool = False, half_points: int = 21) -> str:
    """One paragraph; control characters, which XML cannot hold, are left out."""
    clean = escape("".join(letter for letter in text if letter >= " "))
    style = f'{"<w:b/>" if bold else ""}<w:sz w:val="{half_points}"/>'
    fonts = '<w:rFonts w:ascii="Arial" w:hAnsi="Arial" w:eastAsia="SimSun"/>'
    return f'<w:p><w:r><w:rPr>{fonts}{style}</w:rPr><w:t xml:space="preserve">{clean}</w:t></w:r></w:p>'
