"""Is it working? Indicators of the model service. A share without a denominator is no data, never zero."""

from datetime import datetime

from django.db.models import QuerySet, Sum
from django.utils.translation import gettext_lazy as _l

from huoshui.indicators.catalogue import ColourRule, Indicator, Period, desk, period_start, register
from huoshui.maas import checking
from huoshui.maas.instants import ms_of
from huoshui.maas.models import UFEN, Call, Key, Wallet
from huoshui.maas.probing import OK, OUTCOMES

BPS = 10_000


def _ended(end: datetime) -> "QuerySet[Call] | None":
    """Calls that began on the day and ended; None before the first wallet."""
    if not Wallet.objects.exists():
        return None
    first = ms_of(period_start(Period.DAY, end))
    return Call.objects.filter(started_ms__gte=first, started_ms__lt=ms_of(end)).exclude(state=Call.State.HELD)


def calls(end: datetime) -> int | None:
    """Calls of the day."""
    rows = _ended(end)
    return None if rows is None else rows.count()


def tokens(end: datetime) -> int | None:
    """Tokens in and out of the day."""
    rows = _ended(end)
    return None if rows is None else _sum(rows, "input_tokens") + _sum(rows, "output_tokens")


def cost(end: datetime) -> int | None:
    """What the day's calls cost, whole fen."""
    rows = _ended(end)
    return None if rows is None else _sum(rows, "cost_ufen") // UFEN


def success(end: datetime) -> int | None:
    """Calls answered whole over calls of which the upstream decided the end."""
    rows = _ended(end)
    told = 0 if rows is None else rows.filter(outcome__in=OUTCOMES).count()
    return None if rows is None or not told else rows.filter(outcome=OK).count() * BPS // told


def active_keys(at: datetime) -> int | None:
    """Keys that may call now."""
    if not Key.objects.exists():
        return None
    return Key.objects.filter(revoked_ms=None, expires_ms__gt=ms_of(at)).count()


def unexplained(at: datetime) -> int | None:
    """Differences between wallets, keys, calls, bills and the book."""
    return sum(1 for _row in checking.differences()) if Wallet.objects.exists() else None


def _sum(rows: "QuerySet[Call]", column: str) -> int:
    return rows.aggregate(total=Sum(column))["total"] or 0


def register_all() -> None:
    """Register with the catalogue (from `AppConfig.ready`)."""
    code = desk("maas", _l("Model service"))
    source = _l("calls of the gateway")
    register(Indicator(
        "maas.calls", code, _l("model calls"), _l("calls through the gateway that ended"), source, Period.DAY,
        "count", calls,
    ))  # fmt: skip
    register(Indicator(
        "maas.tokens", code, _l("tokens"), _l("input and output tokens of the day's calls"), source, Period.DAY,
        "count", tokens,
    ))  # fmt: skip
    register(Indicator(
        "maas.cost", code, _l("cost of model calls"), _l("what the day's calls cost, before any reimbursement"),
        source, Period.DAY, "fen", cost,
    ))  # fmt: skip
    register(Indicator(
        "maas.success", code, _l("success rate of model calls"),
        _l("calls answered whole over all calls whose end the upstream decided"), source, Period.DAY, "bps", success,
        ColourRule(good=9_900, watch=9_500),
    ))  # fmt: skip
    register(Indicator(
        "maas.keys", code, _l("valid keys"), _l("keys that are neither revoked nor expired"), _l("keys"), Period.NOW,
        "count", active_keys,
    ))  # fmt: skip
    register(Indicator(
        "maas.unexplained", code, _l("differences not explained"),
        _l("wallets and keys whose figures differ from their calls, bills or the book"),
        _l("wallets, keys, calls, bills and the book"), Period.NOW, "count", unexplained,
        ColourRule(good=0, watch=0, higher_is_better=False),
    ))  # fmt: skip
