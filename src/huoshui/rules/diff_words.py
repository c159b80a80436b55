"""A difference of two packs in words: what changed, before and after."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from . import words
from .diff import Change, Difference
from .model import Criterion, Pack, Part, Stacking
from .show_words import HEADINGS, LABELS, STATUSES

WHAT: Final[Mapping[str, tuple[str, str]]] = MappingProxyType({
    "title": ("名称", "title"), "criterion": ("条件", "criterion"), "scoring": ("评分", "scoring"),
    "scoring.threshold": ("及格线", "threshold"), "scoring.parts": ("各部分", "parts of the scoring"),
    "benefit.kind": ("方式", "kind of benefit"), "benefit.text": ("支持内容", "benefit"),
    "benefit.amount": ("金额公式", "formula"), "benefit.cap_fen": ("每家每年上限", "cap for a firm in a year"),
    "benefit.clause": ("支持内容的条款", "clause of the benefit"),
    "benefit.quote": ("支持内容的引文", "quote of the benefit"),
    "stacking": ("叠加", "stacking"),
})  # fmt: skip
NOTHING: Final = ("—", "—")
CHANGED: Final = ("有变化", "changed")


@dataclass(frozen=True)
class Beside:
    """One change: what, before and after ("—" where there was or is nothing)."""

    label: str
    before: str
    after: str


def changes(of: Difference, language: str, on: dt.date | None = None) -> list[Beside]:
    """Every change in words; of a criterion whose clause or quote only was reworded, these."""
    return [_beside(change, of, language, on) for change in of.changes]


def _beside(change: Change, of: Difference, language: str, on: dt.date | None) -> Beside:
    label = words.pick(WHAT.get(change.what) or LABELS.get(change.what) or HEADINGS.get(change.what)
                       or (change.what, change.what), language)  # fmt: skip
    if change.what == "criterion":
        label = (change.after or change.before).title
        if change.aspects and not set(change.aspects) - {"clause", "quote", "title"}:
            return Beside(label, *(_cited(side, change.aspects) for side in (change.before, change.after)))
    before, after = (
        _text(change.what, side, pack, language, on)
        for side, pack in ((change.before, of.before), (change.after, of.after))
    )
    return Beside(label, before, after)


def _cited(criterion: Criterion, aspects: tuple[str, ...]) -> str:
    return " · ".join(getattr(criterion, name) for name in ("title", "clause", "quote") if name in aspects)


def _text(what: str, value: Any, pack: Pack, language: str, on: dt.date | None) -> str:
    if value is None or value == () or value == {}:
        return words.pick(NOTHING, language)
    if what == "criterion":
        return f"{words.kind(value.kind, language)} · {words.criterion(value, pack, language, on)}"
    if what == "audience":
        return words.test(value, pack, language, on)
    if what == "benefit.amount":
        return words.formula(value, pack, language, on)
    if what == "benefit.cap_fen":
        return words.money(value, language)
    if what == "benefit.kind":
        return words.pick(words.BENEFITS[value], language)
    if what == "status":
        return words.pick(STATUSES[value], language)
    if isinstance(value, Stacking):
        return words.stacking(value, language)
    if isinstance(value, tuple):
        return ("；" if words.is_chinese(language) else "; ").join(_item(item, language) for item in value)
    if isinstance(value, (str, int, dt.date)):
        return str(value)
    return words.pick(CHANGED, language)


def _item(item: Any, language: str) -> str:
    if isinstance(item, Part):
        return f"{item.title} ≥ {item.minimum}"
    if hasattr(item, "first"):
        return f"{item.first} — {item.last or ''} {item.text}"
    return str(getattr(item, "title", words.pick(CHANGED, language)))
