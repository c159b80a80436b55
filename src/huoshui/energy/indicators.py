"""What plans in force save: an indicator of the compute bank."""

from datetime import datetime

from django.db.models import Sum
from django.utils.translation import gettext_lazy as _l

from huoshui.base import clock
from huoshui.energy.models import EnergyPlan
from huoshui.indicators.catalogue import ColourRule, Indicator, Period, period_start, register
from huoshui.terms.rounding import BPS


def saved(end: datetime) -> int | None:
    """Saved over cost as it ran before, basis points, of approved plans that begin in the month; None without any."""
    first, last = clock.hour_of(period_start(Period.MONTH, end)), clock.hour_of(end)
    rows = EnergyPlan.objects.filter(
        state=EnergyPlan.State.APPROVED, start_hour__gte=first, start_hour__lt=last
    )
    sums = rows.aggregate(now=Sum("now_cost_fen"), cost=Sum("cost_fen"))
    return (sums["now"] - sums["cost"]) * BPS // sums["now"] if sums["now"] else None


def register_all() -> None:
    """Register with the catalogue (from `AppConfig.ready`)."""
    register(Indicator(
        "energy.saved", "compute", _l("electricity saved by plans"),
        _l("what the energy plans in force save over the cost of the same load as it ran before, of the month"),
        _l("approved energy plans"), Period.MONTH, "bps", saved, ColourRule(good=500, watch=100),
    ))  # fmt: skip
