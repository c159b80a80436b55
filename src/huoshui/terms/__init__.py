"""Terms: the published numbers and dates that every desk computes with. Pure Python: no Django, no I/O, no clock.

    from huoshui import terms
    publication, tariff = terms.load(text)            # any kind in KINDS
    tariff.hourly_price(utc_hour, calendar)           # 1/1000 fen per kWh
    calendar.deadline(day, 30, terms.Period.DAYS)     # with the years that are not confirmed

A kind is a name and a loader from `Publication` to a frozen value. Layers above read their own kinds beside these with
`publication.load(text, {**terms.KINDS, "rule_pack": load_pack})`.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from . import calendar, exchange_terms, market_terms, publication, rates, round_terms, tariff
from .calendar import Calendar, CalendarYear, Deadline, Period, local_date
from .errors import RULES, TermError
from .exchange_terms import ExchangeTerms
from .market_terms import MarketTerms
from .publication import Publication, canonical_bytes, parse
from .rates import DayCount, Rate, RateSeries, simple_interest_fen
from .round_terms import NoticeSteps, RoundTerms, Transfer
from .rounding import (
    MoneyUnit,
    Rounding,
    amount_fen,
    floor_share,
    format_yuan,
    parse_money,
    parse_yuan,
    split_largest_remainder,
)
from .tariff import Tariff

KINDS: Final[Mapping[str, Callable[[Publication], Any]]] = MappingProxyType(
    {
        "calendar": calendar.from_publication,
        "exchange_terms": exchange_terms.from_publication,
        "market_terms": market_terms.from_publication,
        "rate_series": rates.from_publication,
        "round_terms": round_terms.from_publication,
        "tariff": tariff.from_publication,
    }
)


def load(text: str) -> tuple[Publication, Any]:
    """Read a publication of a kind in KINDS: its header and the checked value. Raises TermError."""
    return publication.load(text, KINDS)


__all__ = [
    "KINDS", "RULES", "Calendar", "CalendarYear", "DayCount", "Deadline", "ExchangeTerms", "MarketTerms", "MoneyUnit",
    "NoticeSteps", "Period", "Publication", "Rate", "RateSeries", "RoundTerms", "Rounding", "Tariff", "TermError",
    "Transfer", "amount_fen", "canonical_bytes", "floor_share", "format_yuan", "load", "local_date", "parse",
    "parse_money", "parse_yuan", "simple_interest_fen", "split_largest_remainder",
]
