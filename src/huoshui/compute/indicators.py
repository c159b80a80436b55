"""Is the compute bank working? Its indicators. A ratio without a denominator is no data, never zero."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TypeVar

from django.db.models import ExpressionWrapper, F, IntegerField, Min, QuerySet, Sum
from django.utils.translation import gettext_lazy as _l

from huoshui.base import clock
from huoshui.compute import reserve
from huoshui.compute.models import Allocation, Delivery, Request, RequestModel, Round, Share, SlotPrice
from huoshui.compute.problems import live_shares, terms_of
from huoshui.compute.settle import REPORT_GRACE_HOURS
from huoshui.indicators.catalogue import ColourRule, Indicator, Period, desk, register
from huoshui.terms.rounding import BPS, MILLI

Stretched = TypeVar("Stretched", Share, Delivery)
RECENT = timedelta(days=30)
CARD_HOURS = ExpressionWrapper((F("end_hour") - F("start_hour")) * F("cards"), output_field=IntegerField())


def reserve_ratio(_at: datetime) -> int | None:
    """Firm future capacity over outstanding balances, basis points."""
    return reserve.ratio_bps()


def over_subscription(_at: datetime) -> int | None:
    """Committed over offered cards in the worst future hour, basis points."""
    found = reserve.over_subscription()
    return found.max_bps if found else None


def utilisation(end: datetime) -> int | None:
    """Sold over offered card-hours of the day, as published, basis points."""
    last = clock.hour_of(end)
    rows = SlotPrice.objects.filter(hour__gte=last - 24, hour__lt=last)
    sums = rows.aggregate(sold=Sum("sold_cards"), offered=Sum("offered_cards"))
    return _bps(sums["sold"], sums["offered"])


def delivered(end: datetime) -> int | None:
    """Reported over sold card-time of the day whose reports have just become complete, basis points."""
    last = clock.hour_of(end) - REPORT_GRACE_HOURS
    first = last - 24
    sold = sum(
        cards * _overlap(start, until, first, last)
        for start, until, cards in _within(live_shares(), first, last).values_list("start_hour", "end_hour", "cards")
    )
    reported = sum(
        milli * _overlap(start, until, first, last) // (until - start)
        for start, until, milli in _within(Delivery.objects.all(), first, last).values_list(
            "start_hour", "end_hour", "milli_card_hours"
        )
    )
    return _bps(reported, sold * MILLI)


def served(at: datetime) -> int | None:
    """Served over all requests that recent rounds decided, basis points."""
    rows = Request.objects.filter(round__in=_recent(at))
    return _bps(rows.filter(allocations__isnull=False).distinct().count(), rows.count())


def small_share(at: datetime) -> int | None:
    """Card-hours given to small requests over all card-hours given by recent rounds, basis points."""
    small = total = 0
    for round_ in _recent(at):
        terms = terms_of(round_)
        needs = RequestModel.objects.filter(request__round=round_).values_list("request")
        least = dict(needs.annotate(least=Min("hours")).order_by())
        given = _given(round_).values_list("allocation__request", "allocation__request__cards")
        for request, cards, hours in given.annotate(hours=Sum(CARD_HOURS)).order_by():
            total += hours
            small += hours if terms.is_small(cards * least[request]) else 0
    return _bps(small, total)


def domestic_share(at: datetime) -> int | None:
    """Card-hours on domestic cards over all card-hours given by recent rounds, basis points."""
    rows = [
        row
        for round_ in _recent(at)
        for row in _given(round_)
        .values_list("deposit__pool__card_model__domestic")
        .annotate(hours=Sum(CARD_HOURS))
        .order_by()
    ]
    return _bps(sum(hours for domestic, hours in rows if domestic), sum(hours for _domestic, hours in rows))


def _recent(at: datetime) -> Iterable[Round]:
    states = (Round.State.PUBLISHED, Round.State.SETTLED)
    return Round.objects.filter(state__in=states, published_at__gt=at - RECENT, published_at__lte=at).order_by("id")


def _given(round_: Round) -> "QuerySet[Share]":
    rows = Share.objects.filter(allocation__round=round_, version=F("allocation__version"))
    return rows.exclude(allocation__state=Allocation.State.CANCELLED)


def _within(rows: "QuerySet[Stretched]", first: int, last: int) -> "QuerySet[Stretched]":
    return rows.filter(start_hour__lt=last, end_hour__gt=first)


def _overlap(start: int, until: int, first: int, last: int) -> int:
    return min(until, last) - max(start, first)


def _bps(part: int | None, whole: int | None) -> int | None:
    return (part or 0) * BPS // whole if whole else None


def register_all() -> None:
    """Register with the catalogue (from `AppConfig.ready`)."""
    code = desk("compute", _l("Compute bank"))
    book, log = _l("deposits, allocations and the book"), _l("published rounds")
    register(Indicator(
        "compute.reserve_ratio", code, _l("reserve ratio"),
        _l("standard card-hours firmly offered for the future and not sold, over outstanding balances of compute "
           "accounts; below the floor in the round terms no new credit is given"),
        book, Period.NOW, "bps", reserve_ratio, ColourRule(good=15_000, watch=12_000),
    ))  # fmt: skip
    register(Indicator(
        "compute.over_subscription", code, _l("over-subscription"),
        _l("cards committed over cards offered, in the future hour in which this is highest"),
        book, Period.NOW, "bps", over_subscription, ColourRule(good=10_000, watch=10_500, higher_is_better=False),
    ))  # fmt: skip
    register(Indicator(
        "compute.utilisation", code, _l("utilisation"), _l("card-hours sold over card-hours offered"),
        log, Period.DAY, "bps", utilisation, ColourRule(good=6_000, watch=3_000),
    ))  # fmt: skip
    register(Indicator(
        "compute.delivered", code, _l("delivered share"),
        _l("card-time reported as delivered over card-time sold, of the day for which reporting has just closed"),
        _l("delivery reports"), Period.DAY, "bps", delivered, ColourRule(good=9_800, watch=9_500),
    ))  # fmt: skip
    register(Indicator(
        "compute.served", code, _l("requests served"),
        _l("requests served over requests decided by the rounds of the last 30 days"),
        log, Period.NOW, "bps", served, ColourRule(good=6_000, watch=4_000),
    ))  # fmt: skip
    register(Indicator(
        "compute.small_share", code, _l("card-hours for small requests"),
        _l("card-hours given to small requests, as the round terms define them, over all card-hours given by the "
           "rounds of the last 30 days"),
        log, Period.NOW, "bps", small_share,
    ))  # fmt: skip
    register(Indicator(
        "compute.domestic_share", code, _l("card-hours on domestic cards"),
        _l("card-hours on domestic cards over all card-hours given by the rounds of the last 30 days"),
        log, Period.NOW, "bps", domestic_share,
    ))  # fmt: skip
