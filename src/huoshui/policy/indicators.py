"""Do policies find their firms? What could be had and was not asked for, and what telling people brings."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from django.utils.translation import gettext_lazy as _l

from huoshui.base import clock
from huoshui.indicators.catalogue import ColourRule, Indicator, Period, desk, register
from huoshui.policy import reach
from huoshui.policy.models import Application, MatchRun, Push, Telling
from huoshui.policy.permissions import OVERSEE
from huoshui.terms.rounding import BPS

TOLD_DAYS = 90
"""Tellings of so many days count."""
SETTLED_DAYS = 14
"""Whoever was told within so few days has not had the time to apply."""


def no_form_share(end: datetime) -> int | None:
    """Benefits approved in the year without an application over all approved, basis points."""
    year = clock.local(end - timedelta(seconds=1)).year
    states = (Application.State.APPROVED, Application.State.PAID_OUT)
    rows = Application.objects.filter(
        state__in=states, amount_fen__gt=0, decided_at__lt=end, decided_at__gte=clock.day_start(date(year, 1, 1))
    )
    whole = rows.count()
    return rows.filter(channel=Application.Channel.NO_APPLICATION).count() * BPS // whole if whole else None


def unclaimed(_end: datetime) -> int | None:
    """Fen that entities qualify for and have not applied for, by the last run."""
    run = reach.latest()
    return sum(row.unclaimed_fen or 0 for row in reach.standings(run)) if run else None


def told_applied(end: datetime) -> int | None:
    """Of those who were told that they qualify, who applied, basis points."""
    rows = Telling.objects.filter(
        reason=Push.Reason.QUALIFIES, told_at__gt=end - timedelta(days=TOLD_DAYS),
        told_at__lte=end - timedelta(days=SETTLED_DAYS),
    )  # fmt: skip
    outcomes = [reach.outcome(row) for row in reach.tellings(rows)]
    return outcomes.count("applied") * BPS // len(outcomes) if outcomes else None


def unknown_share(_end: datetime) -> int | None:
    """Verdicts that a missing fact leaves open over all that concern somebody, basis points."""
    run = reach.latest()
    return unknown_of(run) if run else None


def unknown_of(run: MatchRun) -> int | None:
    """The same of one run."""
    counts = [row["verdicts"] for row in run.figures.values()]
    judged = sum(sum(each.values()) - each["na"] for each in counts)
    return sum(each["unknown"] for each in counts) * BPS // judged if judged else None


def register_outreach() -> None:
    """Register with the catalogue (from `AppConfig.ready`)."""
    code = desk("policy", _l("Policies"))
    runs, lists = _l("match runs and applications"), _l("push lists and applications")
    register(Indicator(
        "policy.no_form_share", code, _l("paid without a form"),
        _l("benefits in money approved in the calendar year without an application, over all approved"),
        _l("applications"), Period.NOW, "bps", no_form_share, ColourRule(good=5_000, watch=2_000), permission=OVERSEE,
    ))  # fmt: skip
    register(Indicator(
        "policy.unclaimed", code, _l("unclaimed entitlement"),
        _l("grants and vouchers that entities qualify for in the last match run and have not applied for this year"),
        runs, Period.NOW, "fen", unclaimed, permission=OVERSEE,
    ))  # fmt: skip
    register(Indicator(
        "policy.told_applied", code, _l("told and applied"),
        _l("entities that applied after they were told that they qualify, over all told so between 90 and 14 days ago"),
        lists, Period.NOW, "bps", told_applied, ColourRule(good=3_000, watch=1_000), permission=OVERSEE,
    ))  # fmt: skip
    register(Indicator(
        "policy.unknown_share", code, _l("verdicts left open"),
        _l("verdicts that are unknown because facts are missing or contested, over all that concern somebody, in the "
           "last match run"),
        runs, Period.NOW, "bps", unknown_share, ColourRule(good=1_000, watch=3_000, higher_is_better=False),
        permission=OVERSEE,
    ))  # fmt: skip
