"""Is the supermarket working? Its indicators. A ratio without a denominator is no data, never zero."""

from datetime import datetime, timedelta
from statistics import median_low

from django.db.models import F, Sum
from django.utils.translation import gettext_lazy as _l

from huoshui.indicators.catalogue import ColourRule, Indicator, Period, desk, register
from huoshui.market.models import Billing, DeliveryRecord, Order, Product
from huoshui.market.prices import MONTH_HOURS
from huoshui.terms.rounding import BPS, MILLI

RECENT = timedelta(days=30)
DONE = (Order.State.CONFIRMED, Order.State.SETTLED)


def orders(at: datetime) -> int:
    """Orders placed in the last 30 days."""
    return Order.objects.filter(placed_at__gt=at - RECENT, placed_at__lte=at).count()


def sold(at: datetime) -> int:
    """Milli-card-hours of orders confirmed in the last 30 days."""
    rows = Order.objects.filter(answered_at__gt=at - RECENT, answered_at__lte=at, state__in=DONE)
    hours = rows.aggregate(sum=Sum(F("cards") * (F("end_hour") - F("start_hour"))))["sum"]
    return (hours or 0) * MILLI


def median_price(at: datetime) -> int | None:
    """Median price of a card-hour on sale, 1/1000 fen."""
    rows = Product.objects.filter(state=Product.State.LISTED).values_list("price_fen", "billing")
    prices = [fen * 1000 // (MONTH_HOURS if billing == Billing.MONTHLY else 1) for fen, billing in rows]
    return median_low(prices) if prices else None


def delivered(at: datetime) -> int | None:
    """Card-time not lost over card-time sold, of settled orders, basis points."""
    sums = DeliveryRecord.objects.aggregate(sold=Sum("sold_seconds"), lost=Sum("lost_seconds"))
    return (sums["sold"] - sums["lost"]) * BPS // sums["sold"] if sums["sold"] else None


def answered(at: datetime) -> int | None:
    """Orders answered over orders that were not confirmed at once and whose time is over, last 30 days."""
    rows = Order.objects.filter(placed_at__gt=at - RECENT, placed_at__lte=at).exclude(answered_at=F("placed_at"))
    over = rows.exclude(state__in=[Order.State.PLACED, Order.State.CANCELLED])
    count = over.count()
    return over.exclude(state=Order.State.LAPSED).count() * BPS // count if count else None


def register_all() -> None:
    """Register with the catalogue (from `AppConfig.ready`)."""
    code = desk("market", _l("Compute supermarket"))
    rows = _l("orders and products")
    register(Indicator(
        "market.orders", code, _l("orders"), _l("orders placed in the last 30 days"), rows, Period.NOW, "count", orders,
    ))  # fmt: skip
    register(Indicator(
        "market.sold", code, _l("card-hours sold"), _l("card-hours of orders confirmed in the last 30 days"), rows,
        Period.NOW, "milli_card_hours", sold,
    ))  # fmt: skip
    register(Indicator(
        "market.median_price", code, _l("median price"), _l("median price of a card-hour of the products on sale"),
        rows, Period.NOW, "milli_fen", median_price,
    ))  # fmt: skip
    register(Indicator(
        "market.delivered", code, _l("delivered share of orders"),
        _l("card-time that was not lost by the operator's fault over card-time sold, of settled orders"),
        _l("the engines' accounting"), Period.NOW, "bps", delivered, ColourRule(good=9_900, watch=9_500),
    ))  # fmt: skip
    register(Indicator(
        "market.answered", code, _l("orders answered in time"),
        _l("orders answered over orders that had to be answered, last 30 days"), rows, Period.NOW, "bps", answered,
        ColourRule(good=9_500, watch=8_000),
    ))  # fmt: skip
