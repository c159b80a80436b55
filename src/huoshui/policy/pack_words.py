"""Sentences of the pages on which packs are written and read: faults of notices and texts, kinds, verdicts."""

from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from huoshui.registry import sentences
from huoshui.rules import words
from huoshui.rules.model import Kind
from huoshui.terms import TermError

RULES: Mapping[str, str | Promise] = {
    # notices
    "notice_type": _("must be a .docx, .pdf or .txt file; this is .%(found)s"),
    "notice_doc": _("files of type .%(found)s cannot be read: save it as .docx or PDF"),
    "notice_bytes": _("the file may have at most %(max)s MB"),
    "notice_too_much": _("reading it takes more memory or time (%(seconds)s s) than a notice should"),
    "notice_long": _("a notice may have at most %(paragraphs)s paragraphs and %(characters)s characters"),
    "notice_empty": _("there is no text in it"),
    "notice_encoding": _("must be text in UTF-8 or GB 18030"),
    "notice_unpacked": _("the document unpacks to more than %(max)s MB, or has too many parts"),
    "notice_entities": _("the document declares XML entities"),
    "notice_docx": _("not readable as a Word document (.docx)"),
    "notice_encrypted": _("the PDF is locked with a password"),
    "notice_pages": _("the PDF may have at most %(max)s pages"),
    "notice_pdf": _("not readable as PDF"),
    "notice_scanned": _("the PDF has no text: it is a picture of the notice; take the text from the authority's page"),
    # texts
    "draft_unreadable": _("The text of the draft cannot be read: put it right first."),
    "draft_shape": _("The text has no list of criteria to write into: its body must be a block, not one line."),
    "draft_has_part": _("The text has this part already."),
}


def sentence(code: str, params: Mapping[str, Any] | None = None) -> str:
    """The sentence of a code, in the reader's language."""
    if code in RULES:
        return str(RULES[code]) % dict(params or {})
    return sentences.sentence(code, params)


def language() -> str:
    """The reader's language, as `rules.words` wants it."""
    return get_language() or "zh-hans"


def kind(of: Kind) -> str:
    """The kind of a criterion in words."""
    return words.kind(of, language())


def of_error(error: TermError) -> str:
    """The sentence of a rule that a text broke."""
    return sentence(error.rule, error.params)
