"""Is public money arriving? Indicators of funds and payouts. A share without a denominator is no data, never zero."""

from datetime import datetime

from django.db.models import Sum
from django.utils.translation import gettext_lazy as _l

from huoshui.base import clock
from huoshui.book.models import StatementEvent
from huoshui.indicators.catalogue import ColourRule, Indicator, Period, desk, period_start, register
from huoshui.policy.fund_queries import use_of
from huoshui.policy.models import Fund, Payout, Redemption

DESK = desk("policy", _l("Policies"))


def paid_in_month(end: datetime) -> int | None:
    """What banks reported as paid out of funds in the month, fen; no data before the first fund."""
    first = period_start(Period.MONTH, end)
    if not Fund.objects.filter(created_at__lt=end).exists():
        return None
    rows = StatementEvent.objects.filter(
        what=StatementEvent.What.PAYMENT, statement__payout__isnull=False, at__gte=first, at__lt=end
    )
    return rows.aggregate(total=Sum("amount"))["total"] or 0


def approved_in_month(end: datetime) -> int | None:
    """Subsidies approved in the month, fen; no data before the first fund."""
    first = period_start(Period.MONTH, end)
    if not Fund.objects.filter(created_at__lt=end).exists():
        return None
    redeemed = Redemption.objects.filter(live=True, reviewed_at__gte=first, reviewed_at__lt=end)
    granted = Payout.objects.filter(redemption=None, ordered_at__gte=first, ordered_at__lt=end)
    return sum(rows.aggregate(total=Sum("amount_fen"))["total"] or 0 for rows in (redeemed, granted))


def days_to_account(end: datetime) -> int | None:
    """Mean days from asking to the bank's report, of payouts that the month saw paid; no data without one."""
    first = period_start(Period.MONTH, end)
    rows = Payout.objects.filter(paid_at__gte=first, paid_at__lt=end).select_related("redemption", "application")
    waits = [
        (clock.local(payout.paid_at).date() - clock.local(asked.submitted_at).date()).days
        for payout in rows
        if payout.paid_at and (asked := payout.redemption or payout.application)
    ]
    return sum(waits) // len(waits) if waits else None


def funds_used(_at: datetime) -> int | None:
    """Approved or paid over the yearly amounts of this year's funds, basis points."""
    uses = [use_of(fund) for fund in Fund.objects.filter(year=clock.today().year).select_related("authority")]
    yearly = sum(use.yearly_fen for use in uses)
    return sum(use.approved_fen + use.paid_fen for use in uses) * 10_000 // yearly if yearly else None


def register_money() -> None:
    """Tell the catalogue (called once, from wiring_funds)."""
    book = _l("redemptions, payouts, bank reports in the book")
    register(Indicator(
        "policy.approved_month", DESK, _l("subsidies approved in the month"),
        _l("redemptions and grants approved in the month, from all funds"), book, Period.MONTH, "fen",
        approved_in_month,
    ))  # fmt: skip
    register(Indicator(
        "policy.paid_month", DESK, _l("subsidies paid in the month"),
        _l("what banks reported in the month as paid out of funds"), book, Period.MONTH, "fen", paid_in_month,
    ))  # fmt: skip
    register(Indicator(
        "policy.days_to_account", DESK, _l("days to account"),
        _l("mean days from asking for a subsidy to the bank's report of its payment, of payouts paid in the month"),
        book, Period.MONTH, "days", days_to_account, ColourRule(good=30, watch=60, higher_is_better=False),
    ))  # fmt: skip
    register(Indicator(
        "policy.funds_used", DESK, _l("share of funds used"),
        _l("approved or paid over the yearly amounts of this year's funds"), book, Period.NOW, "bps", funds_used,
    ))  # fmt: skip
