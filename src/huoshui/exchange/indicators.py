"""Is the exchange working? Its indicators. A price or a spread of nothing is no data, never zero."""

from datetime import datetime, timedelta

from django.db.models import F, Sum
from django.utils.translation import gettext_lazy as _l

from huoshui.exchange import queries
from huoshui.exchange.models import Alert, Trade
from huoshui.indicators.catalogue import Indicator, Period, desk, register

RECENT = timedelta(days=30)


def _recent(at: datetime) -> dict[str, int | None]:
    rows = Trade.objects.filter(made_at__gt=at - RECENT, made_at__lte=at, contract__isnull=False)
    hours = F("lots") * (F("contract__end_hour") - F("contract__start_hour"))
    return rows.aggregate(hours=Sum(hours), amount=Sum("amount_fen"))


def volume(at: datetime) -> int | None:
    """Card-hours traded in the last 30 days."""
    return _recent(at)["hours"] or 0


def mean_price(at: datetime) -> int | None:
    """Amount over card-hours of the trades of the last 30 days, fen per card-hour."""
    found = _recent(at)
    return (found["amount"] or 0) // found["hours"] if found["hours"] else None


def spread(_at: datetime) -> int | None:
    """Lowest sale against highest purchase, over cards and hours with both sides listed, basis points of their mean."""
    return queries.spread_bps()


def abuse(at: datetime) -> int | None:
    """Alerts of the last 30 days."""
    return Alert.objects.filter(at__gt=at - RECENT, at__lte=at).count()


def register_all() -> None:
    """Register with the catalogue (from `AppConfig.ready`)."""
    code, log = desk("exchange", _l("Exchange")), _l("trades and listings")
    register(Indicator(
        "exchange.volume", code, _l("card-hours traded"), _l("card-hours of the trades of the last 30 days"), log,
        Period.NOW, "count", volume,
    ))  # fmt: skip
    register(Indicator(
        "exchange.price", code, _l("mean price"),
        _l("amount over card-hours of the trades of the last 30 days"), log, Period.NOW, "fen", mean_price,
    ))  # fmt: skip
    register(Indicator(
        "exchange.spread", code, _l("spread"),
        _l("lowest sale less highest purchase over their mean, of cards and hours with both sides listed"), log,
        Period.NOW, "bps", spread,
    ))  # fmt: skip
    register(Indicator(
        "exchange.alerts", code, _l("alerts"), _l("orders refused or flagged by the rules against abuse, 30 days"),
        log, Period.NOW, "count", abuse,
    ))  # fmt: skip
