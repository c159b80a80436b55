"""Filters of the desk: µfen, times and codes in words."""

from __future__ import annotations

from datetime import datetime

from django import template

from huoshui.jobs.models import Endpoint
from huoshui.maas import instants, queries, words
from huoshui.maas.models import UFEN, Call, Key, Upstream
from huoshui.maas.quality import Spread

register = template.Library()
YUAN_UFEN = 100 * UFEN
ENDPOINT_LEVELS = {
    Endpoint.State.READY: "good", Endpoint.State.STARTING: "watch", Endpoint.State.FAILED: "bad",
}  # fmt: skip


@register.filter
def ufen(amount: int | None, places: int = 4) -> str:
    """µfen as yuan, rounded down to some decimals (at most 8: exact); — when unknown."""
    if amount is None:
        return "—"
    units = amount // (YUAN_UFEN // 10**places)
    whole, rest = divmod(units, 10**places)
    return f"{whole:,}.{rest:0{places}d}"


@register.filter
def exact(amount: int | None) -> str:
    """µfen as exact yuan, without zeros at the end."""
    return "—" if amount is None else f"{ufen(amount, 8)}".rstrip("0").rstrip(".")


@register.filter
def millis(micros: int | None) -> str:
    """µs as milliseconds; — when unknown."""
    if micros is None:
        return "—"
    return f"{micros / 1000:,.1f}" if micros < 100_000 else f"{micros // 1000:,}"


@register.filter
def spread(told: Spread) -> str:
    """p50 / p95 / p99 in milliseconds."""
    return " / ".join(millis(value) for value in (told.p50, told.p95, told.p99)) if told.count else "—"


@register.filter
def per_second(milli: int | None) -> str:
    """1/1000 tokens per second as tokens per second."""
    return "—" if milli is None else f"{milli / 1000:,.1f}"


@register.filter
def instant(ms: int | None) -> datetime | None:
    """Milliseconds since the epoch as an instant."""
    return instants.at(ms)


@register.filter
def ended(code: str) -> str:
    """How a call ended."""
    return words.outcome(code)


@register.filter
def call_level(call: Call) -> str:
    """The badge's level for a call."""
    if call.state == Call.State.SETTLED and call.outcome != "ok":
        return "watch"
    return words.CALL_LEVELS[Call.State(call.state)]


@register.filter
def took(call: Call) -> str:
    """Milliseconds from begin to end."""
    return "—" if call.ended_ms is None else f"{call.ended_ms - call.started_ms:,}"


@register.filter
def key_level(key: Key) -> str:
    """The badge's level for a key."""
    return words.KEY_STATES[queries.key_state(key)][0]


@register.filter
def key_word(key: Key) -> str:
    """What state a key is in."""
    return str(words.KEY_STATES[queries.key_state(key)][1])


@register.filter
def is_live(key: Key) -> bool:
    """Whether a key may call."""
    return queries.key_state(key) in ("live", "soon")


@register.filter
def upstream_level(upstream: Upstream) -> str:
    """The badge's level for an upstream."""
    if upstream.approved_at is None:
        return "watch"
    return "good" if upstream.state == Upstream.State.ACTIVE else "none"


@register.filter
def listed(names: list[str]) -> str:
    """Names of a key's scope."""
    return "、".join(names)
