"""The columnar view of facts: one party and many parties give the same answer, as of any day and any moment."""

from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from huoshui.base import clock
from huoshui.base import log as base_log
from huoshui.base.access import Actor
from huoshui.base.models import LogRecord
from huoshui.registry import actions, precedence, queries, snapshots, uscc, view
from huoshui.registry.models import Fact, FactFile, FactType, Party
from huoshui.rules.fields import FIELDS

pytestmark = pytest.mark.django_db
DAY = date(2026, 3, 2)
START = clock.day_start(DAY)
COLUMNS = ("staff@2024", "staff@2025", "industry", "founded", "high-tech", "division")
VALUES: dict[str, tuple[Any, ...]] = {
    "staff": (0, 1), "industry": ("6510", "6520"), "founded": (date(2020, 1, 1), date(2021, 2, 3)),
    "high-tech": (True, False),
}
SOURCES = [(source, name) for source in precedence.RANK for name in ("", "乙")]


@pytest.fixture
def officer(people: Any) -> Actor:
    return people("officer")


def firms(officer: Actor, count: int = 3) -> list[Party]:
    return [
        actions.create_party(officer, name=f"示例{n}", uscc=uscc.invented(n), division="330106", kinds=["entity"])
        for n in range(count)
    ]


def record() -> LogRecord:
    return base_log.write("system:test", "test", "test:1", {}, START)


def span(code: str, year: int) -> dict[str, date]:
    whole = {"period_start": date(year, 1, 1), "period_end": date(year, 12, 31)}
    return whole if FIELDS[code].periodic else {}


def keep_file(parties: list[Party], rows: dict[int, dict[str, Any]], at: int, moment: int, source: int, year: int,
              wrote: LogRecord) -> None:
    """A snapshot of `rows` (place of the party → values by code)."""
    types = {"staff": pl.Int64, "industry": pl.String, "founded": pl.Date, "high-tech": pl.Boolean}
    held = sorted(rows)
    columns = {code: pl.Series(code, [rows[n].get(code) for n in held], dtype=dtype) for code, dtype in types.items()}
    frame = pl.DataFrame({"party": pl.Series([parties[n].pk for n in held], dtype=pl.Int64), **columns})
    FactFile.objects.create(
        digest=snapshots.write(frame), origin="0" * 64, filename="a.csv", codes=list(types), rows=len(held),
        source=SOURCES[source][0], source_name=SOURCES[source][1], period_start=date(year, 1, 1),
        period_end=date(year, 12, 31), observed_on=DAY + timedelta(at), recorded_at=START + timedelta(minutes=moment),
        record=wrote,
    )


DAYS, MOMENTS, PLACES = st.integers(0, 3), st.integers(0, 9), st.integers(0, 2)
CODES = st.sampled_from(sorted(VALUES))
SINGLES = st.lists(
    st.tuples(PLACES, CODES, st.sampled_from((2024, 2025)), st.integers(0, 7), DAYS, MOMENTS, st.integers(-1, 1)),
    max_size=12,
)
FILES = st.lists(
    st.tuples(
        DAYS, MOMENTS, st.integers(0, 7), st.sampled_from((2024, 2025)),
        st.dictionaries(PLACES, st.dictionaries(CODES, st.integers(0, 1), min_size=1), min_size=1),
    ),
    max_size=3,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(singles=SINGLES, files=FILES, as_of=DAYS, known=MOMENTS)
def test_many_parties_and_one_give_the_same(
    officer: Actor, singles: list[Any], files: list[Any], as_of: int, known: int
) -> None:
    """Statements of all sources, in the table and in files, withdrawn or in conflict, seen from any day and moment."""
    from django.db import transaction

    with transaction.atomic():
        parties, wrote = firms(officer), record()
        types = {kind.code: kind for kind in FactType.objects.filter(code__in=VALUES)}
        for place, code, year, source, at, moment, value in singles:
            number, text = actions.stored_value(types[code], VALUES[code][value] if value >= 0 else None)
            Fact.objects.create(
                party=parties[place], type=types[code], number=number, text=text, source=SOURCES[source][0],
                source_name=SOURCES[source][1], observed_on=DAY + timedelta(at),
                recorded_at=START + timedelta(minutes=moment), record=wrote, **span(code, year),
            )
        for at, moment, source, year, rows in files:
            told = {n: {code: VALUES[code][value] for code, value in row.items()} for n, row in rows.items()}
            keep_file(parties, told, at, moment, source, year, wrote)
        day = DAY + timedelta(as_of)
        for known_at in (None, START + timedelta(minutes=known)):
            _agree(parties, day, known_at)
        transaction.set_rollback(True)


def _agree(parties: list[Party], day: date, known_at: datetime | None) -> None:
    wanted = COLUMNS if known_at is None else COLUMNS[:-1]
    bulk = view.frame([firm.pk for firm in reversed(parties)], wanted, day, known_at)
    for firm, row in zip(reversed(parties), bulk.to_dicts(), strict=True):
        cells = view.of_party(firm, day, known_at)
        assert row == {"party": firm.pk} | {name: cells[name].value if name in cells else None for name in wanted}
        if known_at is None:
            latest = {found.type.code: found.value for found in queries.facts(firm, day)}
            for code in ("industry", "founded", "high-tech"):
                assert latest.get(code) == row[code]
    if known_at is None:
        assert view.frame(None, wanted, day).equals(bulk.reverse())
