"""Notices are read as people see them, and a file that means harm stays outside."""

import io
import zipfile
import zlib

import pytest

from huoshui.policy import notices
from huoshui.policy.notices import BadNotice

DOCUMENT = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
LINES = ["第十一条 应当同时满足下列条件：", "（三）上年度营业收入不低于1,500万元；"]


def docx(body: str, numbering: str = "", head: str = "") -> bytes:
    """A Word document with this body."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as out:
        document = f'<w:document xmlns:w="{DOCUMENT}"><w:body>{body}</w:body></w:document>'
        out.writestr("word/document.xml", head + document)
        if numbering:
            out.writestr("word/numbering.xml", f'<w:numbering xmlns:w="{DOCUMENT}">{numbering}</w:numbering>')
    return packed.getvalue()


def paragraph(text: str, properties: str = "") -> str:
    return f"<w:p>{properties}<w:r><w:t>{text}</w:t></w:r></w:p>"


def pdf(lines: list[str], *, encrypted: bool = False) -> bytes:
    """A PDF of one page whose Chinese font is named and not embedded, as office programs write it."""
    shown = b"".join(
        b"1 0 0 1 60 %d Tm <%s> Tj\n" % (780 - 20 * number, line.encode("utf-16-be").hex().encode())
        for number, line in enumerate(lines)
    )
    stream = zlib.compress(b"BT /F1 12 Tf\n" + shown + b"ET")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type0 /BaseFont /STSong-Light /Encoding /UniGB-UCS2-H /DescendantFonts [6 0 R] >>",
        b"<< /Type /Font /Subtype /CIDFontType0 /BaseFont /STSong-Light"
        b" /CIDSystemInfo << /Registry (Adobe) /Ordering (GB1) /Supplement 2 >> >>",
    ]  # fmt: skip
    out = b"%PDF-1.4\n"
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return out + b"xref\n0 7\n0000000000 65535 f \n%strailer\n<< /Size 7 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (
        table, len(out)
    )  # fmt: skip


def refusal(name: str, data: bytes) -> str:
    with pytest.raises(BadNotice) as caught:
        notices.paragraphs(name, data)
    return caught.value.code


# --- what is read -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_text_in_the_encodings_of_offices(encoding: str) -> None:
    assert notices.paragraphs("a.txt", "\r\n\r\n".join(LINES).encode(encoding)) == tuple(LINES)


def test_a_word_document_with_deletions_tables_and_breaks() -> None:
    body = (
        paragraph(LINES[0]) + "<w:p><w:del><w:r><w:delText>旧</w:delText></w:r></w:del>"
        "<w:ins><w:r><w:t>新</w:t></w:r></w:ins>"
        "<w:r><w:tab/><w:t>文</w:t></w:r></w:p>"
        f"<w:tbl><w:tr><w:tc>{paragraph('甲')}</w:tc><w:tc>{paragraph('乙')}</w:tc></w:tr></w:tbl>"
    )  # fmt: skip
    assert notices.paragraphs("a.docx", docx(body)) == (LINES[0], "新 文", "甲", "乙")


def test_numbers_that_word_writes_by_itself_are_part_of_the_text() -> None:
    numbering = (
        '<w:abstractNum w:abstractNumId="1">'
        '<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="chineseCountingThousand"/>'
        '<w:lvlText w:val="第%1条 "/></w:lvl>'
        '<w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="chineseCounting"/><w:lvlText w:val="（%2）"/></w:lvl>'
        '</w:abstractNum><w:num w:numId="7"><w:abstractNumId w:val="1"/></w:num>'
    )

    def numbered(text: str, level: int) -> str:
        return paragraph(
            text, f'<w:pPr><w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="7"/></w:numPr></w:pPr>'
        )

    said = [("总则", 0), ("条件", 0), ("甲", 1), ("乙", 1), ("附则", 0), ("丙", 1)]
    body = "".join(numbered(text, level) for text, level in said)
    assert notices.paragraphs("a.docx", docx(body, numbering)) == (
        "第一条 总则", "第二条 条件", "（一）甲", "（二）乙", "第三条 附则", "（一）丙",
    )  # fmt: skip


def test_a_pdf_whose_chinese_font_is_not_embedded() -> None:
    assert notices.paragraphs("a.pdf", pdf(LINES)) == tuple(LINES)


def test_lines_of_a_page_become_paragraphs() -> None:
    page = [
        "第一条 为支持企业发展，根据有关规定，结合本市实际，制定本办法，适用于在本市",
        "登记的企业。",
        "（一）上年度营业收入不低于1500万元，并且最近两年研究开发费用占营业收入比例不",
        "- 3 -",
    ]
    after = ["低于3%；", "（二）信用良好。"]
    assert list(notices.join_lines([page, after])) == [page[0] + page[1], page[2] + after[0], after[1]]


@pytest.mark.parametrize(("raw", "read"), [
    ("⼀年⻓期", "一年长期"), ("　上年\u00a0度\u200b ", "上年 度"), ("ﬁle", "file"), ("（三）", "（三）"),
    ("a\x07b", "ab"),
])  # fmt: skip
def test_lookalikes_become_what_people_type(raw: str, read: str) -> None:
    assert notices.plain(raw) == read


# --- what is refused ----------------------------------------------------------------------------------------------


def test_other_files_are_refused_by_name() -> None:
    assert refusal("a.exe", b"MZ") == "notice_type"
    assert refusal("a.doc", b"\xd0\xcf") == "notice_doc"
    assert refusal("a.txt", b"\xff\xfe\x00\x01\x80") == "notice_encoding"
    assert refusal("a.txt", b" \n ") == "notice_empty"
    assert refusal("a.docx", b"PK\x03\x04 broken") == "notice_docx"
    assert refusal("a.docx", b"") == "notice_docx"
    assert refusal("a.pdf", b"%PDF-1.4 nothing") == "notice_pdf"
    assert refusal("a.pdf", pdf([])) == "notice_scanned"
    assert refusal("a.txt", b"x" * (notices.BYTES_MAX + 1)) == "notice_bytes"
    assert refusal("a.txt", "行\n".encode() * (notices.PARAGRAPHS_MAX + 1)) == "notice_long"


def test_entities_and_bombs_in_a_word_document() -> None:
    laughs = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
    assert refusal("a.docx", docx(paragraph("&b;"), head=laughs)) == "notice_entities"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("word/document.xml", b"<a>" + b" " * (notices.UNPACKED_BYTES_MAX + 1))
    assert len(packed.getvalue()) < 100_000
    assert refusal("a.docx", packed.getvalue()) == "notice_unpacked"


def test_a_pdf_that_unpacks_without_end_costs_bounded_memory_and_time() -> None:
    """A stream of 7 MB behind 7 KB is given up when its time is over."""
    bomb = zlib.compress(b"BT /F1 12 Tf " + b"(x) Tj " * 1_000_000 + b"ET", 9)
    plain = pdf(LINES)
    head, tail = plain.split(b"4 0 obj\n")[0], plain.split(b"5 0 obj\n")[1]
    made = head + b"4 0 obj\n<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream\nendobj\n5 0 obj\n" % (
        len(bomb), bomb
    ) + tail  # fmt: skip
    with pytest.raises(BadNotice, match="notice_too_much"):
        notices.paragraphs("bomb.pdf", made, seconds=1)
