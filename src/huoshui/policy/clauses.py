"""Where a sentence of a notice stands: its clause number, and its words as they may be quoted.

The idea: Chinese regulations number their parts in a fixed order (附件, 第十一条 or 一、, （三）, 1., （1）, ①).
Walking through the text with one open label for each level gives every sentence its clause, 第十一条（三）. A sentence
here ends at 。 or ； and begins anew at a numbered item. No Django.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

_NUMERAL: Final = r"[一二三四五六七八九十百零〇两]"
_LEVELS: Final = (
    re.compile(rf"附件 ?(?:\d{{1,2}}|{_NUMERAL}{{1,3}})?(?=[：: ]|$|\S{{0,30}}$)"),
    re.compile(rf"第(?:{_NUMERAL}{{1,5}}|\d{{1,3}})条|{_NUMERAL}{{1,3}}(?=、)"),
    re.compile(rf"[（(]{_NUMERAL}{{1,3}}[）)]"),
    re.compile(r"\d{1,2}(?=[.．、](?!\d))"),
    re.compile(r"[（(]\d{1,2}[）)]"),
    re.compile(r"[①-⑳]"),
)
"""How each level is numbered, outermost first."""
_ITEM: Final = rf"[（(](?:{_NUMERAL}{{1,3}}|\d{{1,2}})[）)]|\d{{1,2}}[.．](?!\d)|[①-⑳]"
_BREAK: Final = re.compile(rf"(?<=[。；;！？])(?!$)|(?<=[：:，,]) ?(?={_ITEM})")
_AFTER_LABEL: Final = re.compile(r"[、.．\s：:]*")
_ENDING: Final = "。；;：:，, "


@dataclass(frozen=True)
class Sentence:
    """A stretch of one paragraph, from `start` to `end`. `words` is what a criterion quotes: no number, no stop."""

    paragraph: int
    place: int
    start: int
    end: int
    clause: str
    words: str

    @property
    def id(self) -> str:
        return f"{self.paragraph}.{self.place}"


def sentences(paragraphs: Sequence[str]) -> tuple[Sentence, ...]:
    """Every sentence of a notice, in order."""
    found = list[Sentence]()
    labels = [""] * len(_LEVELS)
    for number, paragraph in enumerate(paragraphs):
        cuts = [0, *(match.start() for match in _BREAK.finditer(paragraph)), len(paragraph)]
        for place, (start, end) in enumerate(zip(cuts, cuts[1:], strict=False)):
            after = _open_labels(labels, paragraph[start:end], place == 0)
            words = paragraph[start + after : end].strip().rstrip(_ENDING)
            found.append(Sentence(number, place, start, end, "".join(labels), words))
    return tuple(found)


def _open_labels(labels: list[str], text: str, first: bool) -> int:
    """Open the labels that a sentence begins with, closing those within; returns where its words begin."""
    at = len(text) - len(text.lstrip())
    for level, form in enumerate(_LEVELS):
        if level < 2 and not first:
            continue
        match = form.match(text, at)
        if match:
            labels[level:] = [match[0].replace(" ", "")] + [""] * (len(labels) - level - 1)
            skipped = _AFTER_LABEL.match(text, match.end())
            at = skipped.end() if skipped else match.end()
    return at


@dataclass(frozen=True)
class Marked:
    """What somebody marked: the clause of its first sentence, and its words, verbatim."""

    clause: str
    quote: str


def marked(paragraphs: Sequence[str], chosen: Iterable[str]) -> Marked | None:
    """The words from the first to the last chosen sentence; None when nothing chosen exists.

    Sentences between them belong to the quote, so that it stays verbatim.
    """
    wanted = set(chosen)
    picked = [each for each in sentences(paragraphs) if each.id in wanted]
    if not picked:
        return None
    first, last = picked[0], picked[-1]
    if first.paragraph == last.paragraph:
        text = paragraphs[first.paragraph]
        begin = text.index(first.words, first.start) if first.words else first.start
        quote = text[begin : last.end]
    else:
        middle = paragraphs[first.paragraph + 1 : last.paragraph]
        begin = paragraphs[first.paragraph].index(first.words, first.start)
        quote = "\n".join([paragraphs[first.paragraph][begin:], *middle, paragraphs[last.paragraph][: last.end]])
    return Marked(first.clause, quote.strip().rstrip(_ENDING))


_LOOSE: Final = re.compile(r"[\s\u3000]+")


def _loose(text: str) -> str:
    return _LOOSE.sub("", text)


def where(paragraphs: Sequence[str], quote: str) -> tuple[int, ...]:
    """The paragraphs in which a quote stands, blanks aside; empty when it is not in the notice, word for word."""
    wanted = _loose(quote)
    if not wanted:
        return ()
    whole, starts = "", list[int]()
    for paragraph in paragraphs:
        starts.append(len(whole))
        whole += _loose(paragraph)
    at = whole.find(wanted)
    if at < 0:
        return ()
    return tuple(
        number
        for number, start in enumerate(starts)
        if start < at + len(wanted) and at < (starts[number + 1] if number + 1 < len(starts) else len(whole))
    )
