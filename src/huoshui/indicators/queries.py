"""Reads of indicators: what they are worth now, what they were, and the computation itself."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import F, Window
from django.db.models.functions import RowNumber
from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.base.errors import Missing
from huoshui.indicators import catalogue
from huoshui.indicators.catalogue import UNITS, Indicator, Level, Period, Unit
from huoshui.indicators.models import FAULT_MAX, IndicatorValue

HISTORY_MAX = 60
# A period may have been corrected: read a few rows more than periods are shown.
ROWS_PER_PERIOD = 3


@dataclass(frozen=True)
class Measured:
    """What `compute` said for a period. `fault` says why it could not be computed."""

    code: str
    period_end: datetime
    value: int | None
    fault: str = ""


@dataclass(frozen=True)
class Reading:
    """An indicator with its recorded values: one for each period, the latest word for it, oldest period first."""

    indicator: Indicator
    history: tuple[IndicatorValue, ...]

    @property
    def unit(self) -> Unit:
        return UNITS[self.indicator.unit]

    @property
    def last(self) -> IndicatorValue | None:
        return self.history[-1] if self.history else None

    @property
    def level(self) -> Level:
        return Level(self.last.level) if self.last else Level.NONE

    @property
    def level_word(self) -> str:
        if self.last is not None and self.last.fault:
            return _("could not be computed")
        return str(catalogue.LEVELS[self.level])

    @property
    def value_words(self) -> str:
        return self.unit.words(self.last.value if self.last else None)


def visible(actor: Actor) -> list[Indicator]:
    """The indicators that the actor may see, by desk."""
    return [indicator for indicator in catalogue.registered() if actor.can(indicator.permission)]


def indicator(actor: Actor, code: str) -> Indicator:
    """One of them. Raises Missing."""
    found = catalogue.get(code)
    if not actor.can(found.permission):
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


def readings(indicators: Iterable[Indicator], periods: int = HISTORY_MAX) -> list[Reading]:
    """The recorded values of the indicators, in one query."""
    wanted = list(indicators)
    periods = min(periods, HISTORY_MAX)
    numbered = IndicatorValue.objects.filter(code__in=[row.code for row in wanted]).annotate(
        number=Window(RowNumber(), partition_by="code", order_by=[F("period_end").desc(), F("id").desc()])
    )
    by_code: dict[str, dict[datetime, IndicatorValue]] = defaultdict(dict)
    for row in numbered.filter(number__lte=periods * ROWS_PER_PERIOD).order_by("period_end", "id"):
        by_code[row.code][row.period_end] = row
    return [Reading(row, tuple(by_code[row.code].values())[-periods:]) for row in wanted]


def by_desk(actor: Actor, periods: int = HISTORY_MAX) -> list[tuple[str, list[Reading]]]:
    """(name of the desk, its readings) for everything that the actor may see."""
    groups: dict[str, list[Reading]] = {}
    for reading in readings(visible(actor), periods):
        groups.setdefault(catalogue.desk_title(reading.indicator.desk), []).append(reading)
    return list(groups.items())


def measure(at: datetime | None = None, codes: Iterable[str] = ()) -> Iterator[Measured]:
    """Compute indicators for the last period that is over at `at`; without `at` also those of the present moment.

    `codes` narrows it. A computation that fails becomes a fault of its own indicator, not of the others.
    """
    present = at is None
    moment = at or clock.now()
    wanted = [catalogue.get(code) for code in codes] or catalogue.registered()
    for row in wanted:
        if row.period is not Period.NOW or present:
            yield _measured(row, catalogue.period_end(row.period, moment))


def _measured(row: Indicator, end: datetime) -> Measured:
    try:
        with transaction.atomic():
            return Measured(row.code, end, row.compute(end))
    except Exception as error:
        # A desk's mistake must not silence the other desks; the page shows it and the log of the process has it whole.
        logging.getLogger(__name__).exception("indicator %s", row.code)
        return Measured(row.code, end, None, f"{type(error).__name__}: {error}"[:FAULT_MAX])
