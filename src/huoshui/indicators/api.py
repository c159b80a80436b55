"""REST routes of indicators, under /api/indicators/."""

from datetime import datetime
from typing import Annotated

from django.http import HttpRequest
from ninja import Path, Router, Schema
from pydantic import Field

from huoshui.base.apikit import actor
from huoshui.indicators import actions, queries
from huoshui.indicators.catalogue import Indicator, Level, Period
from huoshui.indicators.models import IndicatorValue
from huoshui.indicators.queries import Reading

router = Router(tags=["indicators"])
Code = Annotated[str, Path(max_length=80)]


class ValueOut(Schema):
    """A recorded value, an integer in the indicator's unit; null is no data. `fault`: why it could not be computed."""

    period_end: datetime
    value: int | None
    level: Level
    fault: str
    recorded_at: datetime
    log_record: int = Field(alias="record_id")


class IndicatorOut(Schema):
    """An indicator with its published rule in words and its latest value."""

    code: str
    desk: str
    title: str
    definition: str
    source: str
    period: Period
    unit: str
    rule: str
    level: Level
    last: ValueOut | None


def _out(reading: Reading) -> dict[str, object]:
    row: Indicator = reading.indicator
    return {
        "code": row.code, "desk": row.desk, "title": str(row.title), "definition": str(row.definition),
        "source": str(row.source), "period": row.period, "unit": row.unit, "rule": row.rule_words,
        "level": reading.level, "last": reading.last,
    }


@router.get("/", response=list[IndicatorOut])
def indicators(request: HttpRequest) -> list[dict[str, object]]:
    """Every indicator that the caller may see."""
    return [_out(reading) for reading in queries.readings(queries.visible(actor(request)), 1)]


@router.get("/{code}/values/", response=list[ValueOut])
def values(request: HttpRequest, code: Code) -> list[IndicatorValue]:
    """The history of one indicator: the last word on each period, oldest first."""
    found = queries.indicator(actor(request), code)
    return list(queries.readings([found])[0].history)


@router.post("/record/", response=list[ValueOut])
def record(request: HttpRequest) -> list[IndicatorValue]:
    """Compute and record everything now; answers with the values that are new. Safe to repeat."""
    return actions.record_values(actor(request))
