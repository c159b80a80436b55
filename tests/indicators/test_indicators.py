"""Indicators: recorded once, corrected by a new row, never zero when unknown, judged by a published rule."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from hypothesis import given
from hypothesis import strategies as st

from huoshui.base.errors import Forbidden, Missing
from huoshui.indicators import actions, catalogue, demo_data, queries, tasks
from huoshui.indicators.catalogue import ColourRule, Indicator, Level, Period, period_end, period_start
from huoshui.indicators.models import IndicatorValue

NOON = datetime(2026, 3, 1, 4, tzinfo=UTC)  # 12:00 on 1 March in Shanghai


class Source:
    """What the test's indicator answers next; an exception is raised."""

    value: int | None | Exception = 1

    def __call__(self, end: datetime) -> int | None:
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


@pytest.fixture
def source() -> Iterator[Source]:
    """Registers `t.share`, a daily indicator that says what the test wants."""
    answers = Source()
    catalogue.register(
        Indicator("t.share", "t", "share", "a share", "test", Period.DAY, "bps", answers, ColourRule(9000, 5000))
    )
    yield answers
    del catalogue._indicators["t.share"]


def record(system_actor: Any, at: datetime = NOON) -> list[IndicatorValue]:
    return actions.record_values(system_actor, at=at, codes=["t.share"])


def test_periods_end_at_local_midnight() -> None:
    assert period_end(Period.DAY, NOON) == datetime(2026, 2, 28, 16, tzinfo=UTC)
    assert period_end(Period.MONTH, NOON) == datetime(2026, 2, 28, 16, tzinfo=UTC)
    assert period_end(Period.YEAR, NOON) == datetime(2025, 12, 31, 16, tzinfo=UTC)
    assert period_start(Period.MONTH, period_end(Period.MONTH, NOON)) == datetime(2026, 1, 31, 16, tzinfo=UTC)


@given(st.sampled_from([Period.DAY, Period.MONTH, Period.YEAR]), st.datetimes(datetime(2000, 1, 2)))
def test_periods_follow_one_another_without_gap(period: Period, naive: datetime) -> None:
    at = naive.replace(tzinfo=UTC)
    end = period_end(period, at)
    assert period_start(period, end) < end <= at
    assert period_end(period, end) == end


@given(st.integers(-100, 100), st.integers(-100, 100), st.integers(-200, 200), st.booleans())
def test_a_better_value_never_has_a_worse_level(first: int, second: int, value: int, higher: bool) -> None:
    good, watch = (max(first, second), min(first, second)) if higher else (min(first, second), max(first, second))
    rule = ColourRule(good, watch, higher)
    order = [Level.BAD, Level.WATCH, Level.GOOD]
    better = value + 1 if higher else value - 1
    assert order.index(rule.level(better)) >= order.index(rule.level(value))
    assert rule.level(good) is Level.GOOD
    assert rule.level(None) is Level.NONE


def test_a_rule_whose_watch_is_better_than_its_good_is_refused() -> None:
    with pytest.raises(ValueError, match="better"):
        ColourRule(good=1, watch=2)
    with pytest.raises(ValueError, match="better"):
        ColourRule(good=2, watch=1, higher_is_better=False)


@pytest.mark.django_db
def test_the_same_value_is_kept_once_and_another_corrects_it(source: Source, system_actor: Any) -> None:
    source.value = 4000
    assert [row.level for row in record(system_actor)] == ["bad"]
    assert record(system_actor) == []
    source.value = 9500
    assert [row.level for row in record(system_actor)] == ["good"]
    assert IndicatorValue.objects.count() == 2
    reading = queries.readings([catalogue.get("t.share")])[0]
    assert [(row.value, row.level) for row in reading.history] == [(9500, "good")]
    assert reading.value_words == "95%"


@pytest.mark.django_db
def test_no_data_is_a_state_and_not_zero(source: Source, system_actor: Any) -> None:
    source.value = None
    record(system_actor)
    reading = queries.readings([catalogue.get("t.share")])[0]
    assert (reading.level, reading.value_words) == (Level.NONE, "—")
    source.value = 0
    record(system_actor)
    reading = queries.readings([catalogue.get("t.share")])[0]
    assert (reading.level, reading.value_words) == (Level.BAD, "0%")


@pytest.mark.django_db
def test_a_failing_indicator_does_not_silence_the_others(source: Source, system_actor: Any) -> None:
    source.value = ZeroDivisionError("no requests")
    rows = {row.code: row for row in actions.record_values(system_actor)}
    assert (rows["t.share"].value, rows["t.share"].level) == (None, "none")
    assert "ZeroDivisionError" in rows["t.share"].fault
    assert rows["book.open_exceptions"].value == 0
    assert all(not row.fault for code, row in rows.items() if code != "t.share")


@pytest.mark.django_db
def test_the_past_has_no_present(system_actor: Any) -> None:
    rows = actions.record_values(system_actor, at=NOON)
    assert rows
    assert all(row.period != Period.NOW for row in rows)


@pytest.mark.django_db
def test_values_cannot_be_changed(source: Source, system_actor: Any) -> None:
    record(system_actor)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        IndicatorValue.objects.update(value=7)


@pytest.mark.django_db
def test_recording_takes_a_permission_and_reading_too(source: Source, people: Any) -> None:
    with pytest.raises(Forbidden):
        record(people("auditor"))
    assert IndicatorValue.objects.count() == 0
    assert record(people("officer"))
    assert queries.visible(people("auditor"))
    assert queries.visible(people.nobody()) == []
    with pytest.raises(Missing):
        queries.indicator(people.nobody(), "t.share")


@pytest.mark.django_db
def test_all_indicators_are_read_in_one_query(system_actor: Any, django_assert_num_queries: Any) -> None:
    actions.record_values(system_actor)
    with django_assert_num_queries(1):
        queries.readings(catalogue.registered())


@pytest.mark.django_db
def test_the_history_is_limited_and_keeps_the_latest(source: Source, system_actor: Any) -> None:
    for day in range(10):
        source.value = day
        record(system_actor, NOON + timedelta(days=day))
    history = queries.readings([catalogue.get("t.share")], periods=4)[0].history
    assert [row.value for row in history] == [6, 7, 8, 9]


@pytest.mark.django_db
def test_the_worker_records_everything_and_a_second_demo_load_adds_nothing() -> None:
    assert tasks.record.func() == len(catalogue.registered())
    assert list(demo_data.load()) == []


@pytest.mark.django_db
class TestPages:
    def test_the_page_shows_value_word_rule_and_no_data(self, client: Any, people: Any) -> None:
        client.force_login(people("officer").user)
        before = client.get("/indicators/", headers={"accept-language": "en"}).content.decode()
        assert "no data" in before
        assert client.post("/indicators/record/").status_code == 302
        after = client.get("/indicators/", headers={"accept-language": "en"}).content.decode()
        assert "good up to 0, watch up to 5, bad above" in after

    def test_one_indicator_and_the_files(self, client: Any, people: Any) -> None:
        client.force_login(people("officer").user)
        client.post("/indicators/record/")
        assert client.get("/indicators/book.open_exceptions/").status_code == 200
        assert client.get("/indicators/log.checkpoint_age/").status_code == 200
        assert client.get("/indicators/no.such/").status_code == 404
        assert b"book.open_exceptions" in client.get("/indicators/download.csv").content
        assert client.get("/indicators/download.xlsx").content.startswith(b"PK")

    def test_it_is_closed_to_agents_and_recording_to_auditors(self, client: Any, people: Any) -> None:
        client.force_login(people("agent", "party:1").user)
        assert client.get("/indicators/").status_code == 403
        client.force_login(people("auditor").user)
        assert client.post("/indicators/record/").status_code == 403
        assert client.get("/indicators/record/").status_code == 405
