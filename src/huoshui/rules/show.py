"""A pack as a page that people read: sections of rows, each a code and what it is about.

The idea: what stands on the page, and in which order, is decided once here; `show_words` makes sentences of it, and
the command line, the desk and a print-ready file lay them out. The rows hold the pack's own objects.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .model import Kind, Pack, Stage

KINDS_ORDER = (Kind.HARD, Kind.VETO, Kind.SCORE, Kind.EXEMPTION, Kind.MANUAL)


@dataclass(frozen=True)
class Row:
    """`code` says what it is, `value` is the thing: text, a date, a number, or an object of the pack."""

    code: str
    value: Any


@dataclass(frozen=True)
class Section:
    """`code` names the heading; sections without rows are left out."""

    code: str
    rows: tuple[Row, ...]


def show(pack: Pack) -> tuple[Section, ...]:
    """The page of a pack."""
    sections = (
        Section("about", tuple(_about(pack))),
        Section("audience", tuple(_audience(pack))),
        Section("benefit", tuple(_benefit(pack))),
        *(
            Section(f"criteria.{stage.value}.{kind.value}", tuple(
                Row("criterion", each) for each in pack.criteria if each.kind is kind and each.stage is stage
            ))
            for stage in Stage
            for kind in KINDS_ORDER
        ),
        Section("scoring", tuple(_scoring(pack))),
        Section("classes", tuple(Row("class", each) for each in pack.classes.classes) if pack.classes else ()),
        Section("parameters", tuple(Row("parameter", each) for each in pack.parameters)),
        Section("variants", tuple(Row("variant", each) for each in pack.variants)),
        Section("windows", tuple(Row("window", each) for each in pack.windows)),
        Section("transitions", tuple(Row("transition", each) for each in pack.transitions)),
        Section("materials", tuple(Row("material", each) for each in pack.materials)),
    )  # fmt: skip
    return tuple(section for section in sections if section.rows)


def _about(pack: Pack) -> Iterator[Row]:
    header = pack.header
    for code in (
        "authority", "document_number", "source", "status", "effective_from", "effective_to", "supersedes", "note",
    ):  # fmt: skip
        value = getattr(header, code)
        if value is not None:
            yield Row(code, value)
    yield Row("division", pack.division)
    yield Row("digest", pack.digest)


def _audience(pack: Pack) -> Iterator[Row]:
    yield Row("audience", pack.audience_text)
    if pack.audience is not None:
        yield Row("test", pack.audience)


def _benefit(pack: Pack) -> Iterator[Row]:
    if pack.benefit is None:
        return
    yield Row("benefit_kind", pack.benefit.kind)
    yield Row("benefit", pack.benefit.text)
    if pack.benefit.amount is not None:
        yield Row("amount", pack.benefit.amount)
    if pack.benefit.cap_fen is not None:
        yield Row("cap", pack.benefit.cap_fen)
    if pack.stacking is not None:
        yield Row("stacking", pack.stacking)
    if pack.no_application:
        yield Row("no_application", True)
    yield Row("cited", pack.benefit)


def _scoring(pack: Pack) -> Iterator[Row]:
    if pack.scoring is None:
        return
    yield Row("threshold", pack.scoring.threshold)
    for part in pack.scoring.parts:
        yield Row("part", part)
    yield Row("cited", pack.scoring)
