"""Writes of indicators: one, recording what they are worth."""

from collections.abc import Iterable
from datetime import datetime

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.base.act import Act, action
from huoshui.indicators import catalogue
from huoshui.indicators.catalogue import RECORD
from huoshui.indicators.models import IndicatorValue
from huoshui.indicators.queries import Measured, measure


def record_values(actor: Actor, *, at: datetime | None = None, codes: Iterable[str] = ()) -> list[IndicatorValue]:
    """Compute the indicators (see `queries.measure`) and keep what is new. Returns the rows added.

    Computing comes first, outside the writing transaction: it may take long and needs no lock.
    """
    actor.require(RECORD)
    return store(actor, measured=tuple(measure(at, codes)))


@action("indicators.record")
def store(act: Act, *, measured: tuple[Measured, ...]) -> list[IndicatorValue]:
    """Append measured values that differ from the last word on their period; the same again adds nothing."""
    act.require(RECORD)
    fresh = [row for row in measured if _last(row) != (row.value, row.fault)]
    if not fresh:
        act.nothing_changed()
        return []
    record = act.record("indicators", [{"code": m.code, "end": m.period_end, "value": m.value} for m in fresh])
    return [
        IndicatorValue.objects.create(
            code=row.code, period=catalogue.get(row.code).period, period_end=row.period_end, value=row.value,
            level=catalogue.get(row.code).level(row.value), fault=row.fault, recorded_at=clock.real_now(),
            record=record,
        )
        for row in fresh
    ]


def _last(row: Measured) -> tuple[int | None, str] | None:
    """The last word on the same indicator and period."""
    found = IndicatorValue.objects.filter(code=row.code, period_end=row.period_end).order_by("-id")
    return found.values_list("value", "fault").first()
