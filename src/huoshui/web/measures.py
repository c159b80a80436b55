"""Indicators about cases. `cases` and `indicators` know nothing of each other; the assembly joins them."""

from datetime import datetime

from django.utils.translation import gettext_lazy as _

from huoshui.base import clock
from huoshui.cases import queries
from huoshui.cases.actions import working_days
from huoshui.indicators.catalogue import ColourRule, Indicator, Period, desk, period_start, register


def opened(end: datetime) -> int:
    """Cases opened in the day that ends at `end`."""
    return queries.opened_count(period_start(Period.DAY, end), end)


def satisfied(end: datetime) -> int | None:
    """Share of satisfied call-backs in the month that ends at `end`."""
    return queries.satisfied_share_bps(period_start(Period.MONTH, end), end)


def calendar_days(at: datetime) -> int:
    """Days for which the working-day calendar is confirmed from today on."""
    today = clock.local(at).date()
    last = working_days().confirmed_through(today)
    return (last - today).days + 1 if last else 0


def register_all() -> None:
    """Called from apps.py."""
    cases = desk("cases", _("cases"))
    register(Indicator(
        "cases.overdue_share", cases, _("overdue cases"),
        _("Share of unresolved cases that are past their legal deadline."), _("events of cases"),
        Period.NOW, "bps", queries.overdue_share_bps, ColourRule(0, 500, higher_is_better=False),
    ))
    register(Indicator(
        "cases.opened", cases, _("cases opened"), _("Cases opened in a day."), _("events of cases"),
        Period.DAY, "count", opened,
    ))
    register(Indicator(
        "cases.satisfied_share", cases, _("satisfied call-backs"),
        _("Share of call-backs in a month whose answer was “satisfied”."), _("events of cases"),
        Period.MONTH, "bps", satisfied, ColourRule(9000, 8000),
    ))
    register(Indicator(
        "cases.calendar_days", cases, _("confirmed working-day calendar"),
        _("Days from today for which the State Council's holiday notice is in force here; deadlines beyond may move."),
        _("publications of kind calendar"), Period.NOW, "days", calendar_days, ColourRule(60, 30),
    ))
