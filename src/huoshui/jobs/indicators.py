"""Are the cards used? Indicators of the month that is over; the page `jobs:use` shows the same by site and month."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _l

from huoshui.base import clock
from huoshui.indicators.catalogue import ColourRule, Indicator, Period, desk, period_start, register
from huoshui.jobs import use
from huoshui.jobs.use import Use


@dataclass(frozen=True)
class Measure:
    """A ratio of `Use` with the rule by which it is judged."""

    name: str
    title: str | Promise
    definition: str | Promise
    rule: ColourRule

    def of(self, found: Use) -> int | None:
        """Basis points, None without data."""
        value: int | None = getattr(found, f"{self.name}_bps")
        return value


MEASURES = (
    Measure(
        "used", _l("cards in use"),
        _l("card-hours used, as engines tell, over card-hours installed, of pools whose engine is known"),
        ColourRule(good=6_000, watch=3_000),
    ),
    Measure(
        "rented", _l("rented share"),
        _l("card-hours booked over card-hours installed, of pools that offered or rented any in the month"),
        ColourRule(good=5_000, watch=2_000),
    ),
    Measure(
        "ran", _l("ran of what was sold"),
        _l("card-time in engines' accounts over card-time given, of bookings that ended in the month"),
        ColourRule(good=7_000, watch=4_000),
    ),
)  # fmt: skip


def month(measure: Measure, end: datetime) -> int | None:
    """A measure of the month that ends at `end`, over all pools."""
    return measure.of(use.total(clock.hour_of(period_start(Period.MONTH, end)), clock.hour_of(end)))


def register_all() -> None:
    """Register with the catalogue (from `AppConfig.ready`)."""
    code, source = desk("jobs", _l("Train and serve")), _l("engines' accounts, idle profiles, bookings")
    for measure in MEASURES:
        register(Indicator(
            f"jobs.{measure.name}", code, measure.title, measure.definition, source, Period.MONTH, "bps",
            partial(month, measure), measure.rule,
        ))  # fmt: skip
