"""What a fact may be at most: far more is a wrong unit or a slip, and is refused wherever it is stated.

Limits follow from unit and kind, so that a new kind of fact has them at once. They are wide: nothing that a firm can
truly be is refused. Amounts may be negative only where the field's own sense allows it (a loss, debts above assets).
"""

import re
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from huoshui.clearing.tables import Rule
from huoshui.registry.models import FactType, ValueKind

MONEY_FEN_MAX: Final = 10**15
"""Ten trillion yuan: above the revenue of any firm."""
COUNT_MAX: Final = 10_000_000
"""Ten million people or patents: above any firm."""
NUMBER_MAX: Final = 10**17
SIGNED: Final = frozenset({"taxable-income", "assets.net"})
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "sme.size": ("large", "medium", "small", "micro"), "tax.grade": ("A", "B", "M", "C", "D"),
}
INDUSTRY: Final = re.compile(r"\d{2,4}")
"""GB/T 4754-2017: division, group or class, without the letter of the section: rules look for how a code begins."""
DATE_FIRST: Final = date(1900, 1, 1)
DATE_LAST: Final = date(2100, 12, 31)
PAST: Final = frozenset({"founded", "segment.since"})


def bounds(kind: FactType) -> tuple[int, int]:
    """Least and greatest value of a number, in its smallest unit."""
    scale = 10**kind.places
    if kind.unit == "元":
        return (-MONEY_FEN_MAX if kind.code in SIGNED else 0), MONEY_FEN_MAX
    if kind.unit in ("%", "分"):
        return 0, 100 * scale
    if kind.kind == ValueKind.INTEGER and kind.unit:
        return 0, COUNT_MAX
    return -NUMBER_MAX, NUMBER_MAX


def check(kind: FactType, value: Any, today: date) -> None:
    """Raises Rule when no firm can be that."""
    if isinstance(value, date):
        if not DATE_FIRST <= value <= DATE_LAST:
            raise Rule("year_between", minimum=DATE_FIRST.year, maximum=DATE_LAST.year)
        if kind.code in PAST and value > today:
            raise Rule("in_future")
    elif isinstance(value, str):
        if kind.code in CHOICES and value not in CHOICES[kind.code]:
            raise Rule("one_of", one_of="、".join(CHOICES[kind.code]))
        if kind.code == "industry" and not INDUSTRY.fullmatch(value):
            raise Rule("industry")
    elif isinstance(value, int) and not isinstance(value, bool):
        _check_number(kind, value)


def _check_number(kind: FactType, value: int) -> None:
    low, high = bounds(kind)
    scale = 10**kind.places
    if value < low:
        raise Rule("at_least", minimum=f"{low // scale} {kind.unit}".strip())
    if value > high:
        raise Rule("at_most", maximum=f"{high // scale:,} {kind.unit}".strip())
