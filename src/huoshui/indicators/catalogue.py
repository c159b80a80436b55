"""Is it working? Each desk answers with indicators of its own, registered here from its `apps.py`.

    catalogue.desk("compute", _l("compute bank"))
    catalogue.register(Indicator(
        code="compute.utilisation", desk="compute", title=_l("…"), definition=_l("…"), source=_l("…"),
        period=Period.DAY, unit="bps", compute=utilisation, rule=ColourRule(good=6000, watch=3000),
    ))

`compute(period_end)` returns an integer in the indicator's unit, or None: no data, which is a state of its own and
never zero. The colour rule is published: the page prints it in words beside the value, and each level is a word and
a shape before it is a colour.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l
from django.utils.translation import pgettext_lazy

from huoshui.base import access, clock
from huoshui.base.errors import Missing
from huoshui.registry import roles

READ = access.register("indicators.read", _l("see indicators"))
RECORD = access.register("indicators.record", _l("record indicators"))
INDICATORS_MAX = 500


class Period(StrEnum):
    """What a value is about: the local day, month or year that ended, or the moment of recording."""

    DAY = "day"
    MONTH = "month"
    YEAR = "year"
    NOW = "now"


class Level(StrEnum):
    """How good a value is by its published rule. NONE: no data. INFO: a value without a rule."""

    GOOD = "good"
    WATCH = "watch"
    BAD = "bad"
    NONE = "none"
    INFO = "info"


PERIODS: dict[str, str | Promise] = {
    Period.DAY: _l("each day"), Period.MONTH: _l("each month"), Period.YEAR: _l("each year"), Period.NOW: _l("now"),
}
LEVELS: dict[str, str | Promise] = {
    Level.GOOD: pgettext_lazy("level", "good"),
    Level.WATCH: pgettext_lazy("level", "watch"),
    Level.BAD: pgettext_lazy("level", "bad"),
    Level.NONE: _l("no data"),
    Level.INFO: _l("not judged"),
}


@dataclass(frozen=True)
class Unit:
    """How an integer is shown: times 10^-places, followed by the title."""

    title: str | Promise
    places: int = 0

    def number(self, value: int | None) -> Decimal | None:
        """The value for files and figures."""
        return None if value is None else Decimal(value).scaleb(-self.places)

    def words(self, value: int | None) -> str:
        """The value with its unit; “—” when there is none."""
        if value is None:
            return "—"
        shown = f"{self.number(value):,f}"
        shown = shown.rstrip("0").rstrip(".") if "." in shown else shown
        return f"{shown}%" if str(self.title) == "%" else f"{shown} {self.title}".strip()


UNITS = MappingProxyType(
    {
        "count": Unit(""),
        "bps": Unit("%", 2),
        "fen": Unit(_l("yuan"), 2),
        "milli_fen": Unit(_l("yuan"), 5),
        "milli_card_hours": Unit(_l("card-hours"), 3),
        "hours": Unit(_l("hours")),
        "days": Unit(_l("days")),
    }
)


@dataclass(frozen=True)
class ColourRule:
    """Published thresholds, in the indicator's unit: `good` and better, `watch` and better, the rest is bad."""

    good: int
    watch: int
    higher_is_better: bool = True

    def __post_init__(self) -> None:
        if (self.good >= self.watch) != self.higher_is_better and self.good != self.watch:
            raise ValueError(f"{self}: the threshold of good must be the better one")

    def level(self, value: int | None) -> Level:
        """The level of a value; None is NONE."""
        if value is None:
            return Level.NONE
        sign = 1 if self.higher_is_better else -1
        if sign * value >= sign * self.good:
            return Level.GOOD
        return Level.WATCH if sign * value >= sign * self.watch else Level.BAD

    def words(self, unit: Unit) -> str:
        """The rule as a sentence."""
        numbers = {"good": unit.words(self.good), "watch": unit.words(self.watch)}
        if self.higher_is_better:
            return _("good from %(good)s, watch from %(watch)s, bad below") % numbers
        return _("good up to %(good)s, watch up to %(watch)s, bad above") % numbers


@dataclass(frozen=True)
class Indicator:
    """One indicator. `compute(period_end)` gets the exclusive end of the period (aware); NOW gets the present."""

    code: str
    desk: str
    title: str | Promise
    definition: str | Promise
    source: str | Promise
    period: Period
    unit: str
    compute: Callable[[datetime], int | None]
    rule: ColourRule | None = None
    permission: str = READ

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"{self.code}: unit {self.unit} is none of {', '.join(UNITS)}")

    def level(self, value: int | None) -> Level:
        """The level of a value by the rule."""
        if self.rule is not None:
            return self.rule.level(value)
        return Level.NONE if value is None else Level.INFO

    @property
    def rule_words(self) -> str:
        return self.rule.words(UNITS[self.unit]) if self.rule else _("no rule: the value is not judged")


_indicators: dict[str, Indicator] = {}
_desks: dict[str, str | Promise] = {}


def desk(code: str, title: str | Promise) -> str:
    """Name a desk for the page; returns its code."""
    _desks[code] = title
    return code


def desk_title(code: str) -> str:
    """The name of a desk; its code when nobody named it."""
    return str(_desks.get(code, code))


def register(indicator: Indicator) -> Indicator:
    """Add an indicator. Raises ValueError when its code is taken or there are too many."""
    if indicator.code in _indicators or len(_indicators) >= INDICATORS_MAX:
        raise ValueError(f"indicator {indicator.code}: code taken, or more than {INDICATORS_MAX} indicators")
    _indicators[indicator.code] = indicator
    return indicator


def registered() -> list[Indicator]:
    """All indicators: the desks in the order in which they were named, then by code."""
    order = {code: number for number, code in enumerate(_desks)}
    return sorted(_indicators.values(), key=lambda row: (order.get(row.desk, len(order)), row.desk, row.code))


def get(code: str) -> Indicator:
    """The indicator under a code. Raises Missing."""
    if code not in _indicators:
        raise Missing(_("There is no indicator “%(code)s”.") % {"code": code})
    return _indicators[code]


def period_end(period: Period, at: datetime) -> datetime:
    """The exclusive end of the last period that is over at `at` (local midnight); for NOW `at` to the minute."""
    if period is Period.NOW:
        return at.replace(second=0, microsecond=0)
    midnight = clock.local(at).replace(hour=0, minute=0, second=0, microsecond=0)
    if period is Period.MONTH:
        midnight = midnight.replace(day=1)
    elif period is Period.YEAR:
        midnight = midnight.replace(month=1, day=1)
    return midnight.astimezone(at.tzinfo)


def period_start(period: Period, end: datetime) -> datetime:
    """The first instant of the period that ends at `end`; for NOW `end` itself."""
    return end if period is Period.NOW else period_end(period, end - timedelta(seconds=1))


def grant() -> None:
    """Give the built-in roles what they need."""
    for role in ("officer", "auditor"):
        roles.grant(role, READ)
    roles.grant("officer", RECORD)
