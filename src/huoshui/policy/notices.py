"""Reading a notice: a DOCX, PDF or TXT file becomes numbered paragraphs of plain text.

The idea: a file from elsewhere is hostile until it is text. It is parsed in a process of its own, which has a bound on
memory, on computing time and on waiting, and which can write no file; what can grow has a named limit, checked before
the memory is spent. Only text comes back. Faults carry codes; faces make sentences of them. No Django here.
"""

import io
import json
import re
import resource
import subprocess
import sys
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, Final

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

BYTES_MAX: Final = 10 << 20
UNPACKED_BYTES_MAX: Final = 40 << 20
PARTS_MAX: Final = 2_000
PAGES_MAX: Final = 300
PARAGRAPHS_MAX: Final = 5_000
CHARACTERS_MAX: Final = 300_000
MEMORY_BYTES_MAX: Final = 1 << 30
COMPUTING_SECONDS_MAX: Final = 20
WAITING_SECONDS_MAX: Final = 30
ENCODINGS: Final = ("utf-8-sig", "gb18030")
ENDINGS: Final = ("docx", "pdf", "txt")


class BadNotice(ValueError):
    """A file that was not read: a rule code and its parameters."""

    def __init__(self, code: str, **params: Any) -> None:
        super().__init__(code)
        self.code, self.params = code, params


def paragraphs(name: str, data: bytes, *, seconds: int = COMPUTING_SECONDS_MAX) -> tuple[str, ...]:
    """The paragraphs of a file, read in a process that may compute for `seconds`. `name` gives the type by its ending.

    Raises BadNotice.
    """
    ending = name.rsplit(".", 1)[-1].lower()
    if ending not in ENDINGS:
        raise BadNotice("notice_doc" if ending in ("doc", "wps", "ofd") else "notice_type", found=ending[:20])
    if len(data) > BYTES_MAX:
        raise BadNotice("notice_bytes", max=BYTES_MAX >> 20)
    command = [sys.executable, "-m", "huoshui.policy.notices", ending, str(seconds)]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=WAITING_SECONDS_MAX, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise BadNotice("notice_too_much", seconds=WAITING_SECONDS_MAX) from None
    if done.returncode != 0:  # out of memory or time, or a fault of the reader: in any case not text
        raise BadNotice("notice_too_much", seconds=seconds)
    answer = json.loads(done.stdout)
    if "code" in answer:
        raise BadNotice(answer["code"], **answer["params"])
    return tuple(answer["paragraphs"])


def main() -> None:
    """The child's side: bytes from standard input, JSON to standard output."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[2]),) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    answer: dict[str, Any]
    try:
        answer = {"paragraphs": read(sys.argv[1], sys.stdin.buffer.read(BYTES_MAX + 1))}
    except BadNotice as error:
        answer = {"code": error.code, "params": error.params}
    json.dump(answer, sys.stdout)


def read(ending: str, data: bytes) -> list[str]:
    """The paragraphs of a file, in this very process. Raises BadNotice."""
    readers = {"docx": _docx, "pdf": _pdf, "txt": _txt}
    found, characters = list[str](), 0
    for paragraph in map(plain, readers[ending](data)):
        if paragraph:
            found.append(paragraph)
            characters += len(paragraph)
        if len(found) > PARAGRAPHS_MAX or characters > CHARACTERS_MAX:
            raise BadNotice("notice_long", paragraphs=PARAGRAPHS_MAX, characters=CHARACTERS_MAX)
    if not found:
        raise BadNotice("notice_empty")
    return found


# --- characters ---------------------------------------------------------------------------------------------------

# A font that draws a character and its radical with one glyph makes PDF readers answer with the radical.
_RADICALS: Final = str.maketrans(
    "⺁⺇⺒⺓⺝⺟⺠⺩⺬⺮⺯⺶⺷⺸⺼⻁⻄⻅⻆⻇⻊⻋⻑⻓⻔⻘⻙⻚⻛⻜⻝⻢⻣⻤⻥⻦⻧⻨⻩⻬⻮⻰⻳",
    "厂几巳幺月母民王示竹糸羊羊羊月虎西见角角足车長长门青韦页风飞食马骨鬼鱼鸟卤麦黄齐齿龙龟",
)
_LOOKALIKE: Final = re.compile("[\u2f00-\u2fd5\uf900-\ufaff\ufb00-\ufb06]")
_BLANK: Final = re.compile(r"[\s\u3000\u00a0\u200b\ufeff]+")


def plain(text: str) -> str:
    """One paragraph: lookalikes as the characters that people type, one space for any blank, nothing unprintable."""
    text = text.translate(_RADICALS)
    text = _LOOKALIKE.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
    text = _BLANK.sub(" ", text).strip()
    return "".join(each for each in text if unicodedata.category(each) not in ("Cc", "Cf", "Cs", "Co", "Cn"))


# --- text ---------------------------------------------------------------------------------------------------------


def _txt(data: bytes) -> Iterator[str]:
    for encoding in ENCODINGS:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" in text:
            break
        yield from text.splitlines()
        return
    raise BadNotice("notice_encoding")


# --- DOCX ---------------------------------------------------------------------------------------------------------

_W: Final = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK: Final = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_DOCX_ERRORS: Final = (zipfile.BadZipFile, zlib.error, KeyError, ValueError, SyntaxError, RuntimeError, EOFError)


def _docx(data: bytes) -> Iterator[str]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            parts = packed.infolist()
            if len(parts) > PARTS_MAX or sum(part.file_size for part in parts) > UNPACKED_BYTES_MAX:
                raise BadNotice("notice_unpacked", max=UNPACKED_BYTES_MAX >> 20)
            root = ElementTree.fromstring(packed.read("word/document.xml"), forbid_dtd=True)
            numbers = _Numbering(packed)
    except BadNotice:
        raise
    except DefusedXmlException:
        raise BadNotice("notice_entities") from None
    except _DOCX_ERRORS:
        raise BadNotice("notice_docx") from None
    for paragraph in root.iter(f"{_W}p"):
        yield numbers.before(paragraph) + "".join(_runs(paragraph))


def _runs(node: Any) -> Iterator[str]:
    """The text of a paragraph; not that of paragraphs within it (they come by themselves), nor what was deleted."""
    for child in node:
        if child.tag == f"{_W}t":
            yield child.text or ""
        elif child.tag in (f"{_W}tab", f"{_W}br", f"{_W}cr"):
            yield " "
        elif child.tag not in (f"{_W}p", f"{_W}del", f"{_W}pPr", _FALLBACK):
            yield from _runs(child)


_DIGITS: Final = "零一二三四五六七八九"


def chinese(number: int) -> str:
    """1 to 99 in Chinese numerals; larger numbers as digits."""
    if not 0 < number < 100:
        return str(number)
    tens, ones = divmod(number, 10)
    head = "" if tens == 0 else "十" if tens == 1 else f"{_DIGITS[tens]}十"
    return head + (_DIGITS[ones] if ones else "")


class _Numbering:
    """The numbers that Word writes before paragraphs by itself: 第一条, （二）, 3. They are part of what is cited."""

    def __init__(self, packed: zipfile.ZipFile) -> None:
        self.levels: dict[tuple[str, str], tuple[str, str, int]] = {}
        self.counts: dict[str, dict[int, int]] = {}
        if "word/numbering.xml" not in packed.namelist():
            return
        root = ElementTree.fromstring(packed.read("word/numbering.xml"), forbid_dtd=True)
        schemes = {scheme.get(f"{_W}abstractNumId"): scheme for scheme in root.iter(f"{_W}abstractNum")}
        for number in root.iter(f"{_W}num"):
            scheme = schemes.get(_value(number, "abstractNumId"))
            for level in [] if scheme is None else scheme.iter(f"{_W}lvl"):
                start = _value(level, "start")
                self.levels[number.get(f"{_W}numId", ""), level.get(f"{_W}ilvl", "")] = (
                    _value(level, "numFmt"), _value(level, "lvlText"), int(start) if start.isdigit() else 1
                )  # fmt: skip

    def before(self, paragraph: Any) -> str:
        """The number before a paragraph, counted on; empty when it has none."""
        place = paragraph.find(f"{_W}pPr/{_W}numPr")
        if place is None:
            return ""
        number, depth = _value(place, "numId"), _value(place, "ilvl") or "0"
        if (number, depth) not in self.levels or not depth.isdigit():
            return ""
        counts, level = self.counts.setdefault(number, {}), int(depth)
        counts[level] = counts.get(level, self.levels[number, depth][2] - 1) + 1
        for deeper in [each for each in counts if each > level]:
            del counts[deeper]
        return re.sub(r"%(\d)", lambda match: self._written(number, int(match[1]) - 1), self.levels[number, depth][1])

    def _written(self, number: str, level: int) -> str:
        form, _text, start = self.levels.get((number, str(level)), ("decimal", "", 1))
        count = self.counts[number].get(level, start)
        return chinese(count) if "hinese" in form or "japanese" in form or "ideograph" in form else str(count)


def _value(node: Any, name: str) -> str:
    found = node.find(f"{_W}{name}")
    return "" if found is None else found.get(f"{_W}val", "")


# --- PDF ----------------------------------------------------------------------------------------------------------

_PAGE_NUMBER: Final = re.compile(r"[-—–―·. ]*(?:第 ?)?\d{1,4}(?: ?页)?(?: ?/ ?\d{1,4})?[-—–―·. ]*")
_BEGINS: Final = re.compile(
    r"第[一二三四五六七八九十百零\d]+[条章节]|[（(][一二三四五六七八九十\d]{1,3}[）)]|[一二三四五六七八九十]{1,3}、|\d{1,2}[.．、](?!\d)|附件"
)
_PDF_ERRORS: Final = (
    ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, NotImplementedError, AssertionError,
    OSError, zlib.error,
)  # fmt: skip
"""What a broken PDF makes pypdf raise, beside its own errors."""
_ENDS: Final = "。；：！？;:"
FULL_SHARE: Final = 0.85
"""A line at least this long, against the longest of its page, runs on in the next."""


def _pdf(data: bytes) -> Iterator[str]:
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise BadNotice("notice_encrypted")
        if len(reader.pages) > PAGES_MAX:
            raise BadNotice("notice_pages", max=PAGES_MAX)
        pages = [reader.pages[index].extract_text() for index in range(len(reader.pages))]
    except BadNotice:
        raise
    except (PyPdfError, *_PDF_ERRORS):
        raise BadNotice("notice_pdf") from None
    if not "".join(pages).strip():
        raise BadNotice("notice_scanned")
    yield from join_lines([page.splitlines() for page in pages])


def join_lines(pages: list[list[str]]) -> Iterator[str]:
    """Lines of pages as paragraphs: a line that fills its width and ends no sentence goes on in the next."""
    running, goes_on = "", False
    for page in pages:
        lines = [line for line in map(plain, page) if line and not _PAGE_NUMBER.fullmatch(line)]
        width = max(map(len, lines), default=0)
        for line in lines:
            if running and goes_on and not _BEGINS.match(line):
                both_latin = running[-1].isascii() and running[-1].isalnum() and line[0].isascii() and line[0].isalnum()
                running += (" " if both_latin else "") + line
            else:
                if running:
                    yield running
                running = line
            goes_on = len(line) >= FULL_SHARE * width and line[-1] not in _ENDS
    if running:
        yield running


if __name__ == "__main__":
    main()
