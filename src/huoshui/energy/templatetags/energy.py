"""How energy is shown: hours as local times, watts as kilowatts."""

from collections.abc import Iterable
from decimal import Decimal

from django import template

from huoshui.base import clock
from huoshui.energy.models import Installation

register = template.Library()


@register.filter
def slot(hour: int) -> str:
    """An hour since the epoch as local time."""
    return clock.local(clock.instant_of(hour)).strftime("%Y-%m-%d %H:%M")


@register.filter
def kilo(value: int | None) -> str:
    """Thousandths as a number with at most three decimals: watts as kilowatts."""
    if value is None:
        return "—"
    shown = f"{Decimal(int(value)) / 1000:,.3f}"
    return shown.rstrip("0").rstrip(".")


@register.filter
def rates(installation: Installation) -> str:
    """How fast the store is charged and used."""
    return f"{kilo(installation.charge_w)} / {kilo(installation.discharge_w)}"


@register.filter
def absolute(value: int) -> int:
    """Without its sign."""
    return abs(value)


@register.filter
def digests(found: Iterable[str]) -> str:
    """Digests, shortened."""
    return ", ".join(digest[:12] for digest in found)
