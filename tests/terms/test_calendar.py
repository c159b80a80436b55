"""Working days follow the notices; deadlines follow the Civil Code; what is not known yet is said."""

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huoshui import publications, terms
from huoshui.terms import Calendar, Period, TermError
from huoshui.terms.calendar import day_start, local_date

D = dt.date
CALENDAR = Calendar.of(terms.load(text)[1] for text in publications.shipped("calendar").values())
known_days = st.dates(D(2024, 1, 1), D(2025, 12, 31))


@pytest.mark.parametrize(("year", "worked"), [(2024, 251), (2025, 248), (2026, 248)])
def test_each_confirmed_year_has_the_working_days_of_its_notice(year: int, worked: int) -> None:
    days = (D(year, 1, 1) + dt.timedelta(days=n) for n in range(366))
    assert sum(CALENDAR.is_working_day(day) for day in days if day.year == year) == worked


@pytest.mark.parametrize(
    ("day", "worked"),
    [
        (D(2026, 1, 4), True),  # Sunday worked for New Year
        (D(2026, 2, 14), True),  # Saturday worked for the Spring Festival
        (D(2026, 2, 16), False),  # Monday in the Spring Festival
        (D(2026, 10, 10), True),
        (D(2026, 10, 11), False),
        (D(2025, 1, 26), True),
        (D(2024, 12, 31), True),
    ],
)
def test_make_up_days_are_worked_and_holidays_are_not(day: dt.date, worked: bool) -> None:
    assert CALENDAR.is_working_day(day) is worked


def test_working_days_step_over_the_spring_festival_and_count_the_make_up_saturday() -> None:
    answer = CALENDAR.add_working_days(D(2026, 2, 13), 2)
    assert (answer.date, answer.confirmed) == (D(2026, 2, 24), True)  # Saturday 14th, then Tuesday 24th


def test_an_answer_that_reaches_an_unconfirmed_year_says_so() -> None:
    answer = CALENDAR.add_working_days(D(2026, 12, 30), 2)
    assert answer.date == D(2027, 1, 1)
    assert answer.unconfirmed_years == (2027,)
    assert CALENDAR.working_days_between(D(2026, 12, 30), D(2027, 1, 1)).unconfirmed_years == (2027,)
    assert CALENDAR.deadline(D(2026, 12, 15), 30, Period.DAYS).unconfirmed_years == (2027,)
    assert CALENDAR.deadline(D(2026, 11, 15), 30, Period.DAYS).confirmed


def test_a_deadline_depends_on_every_year_from_its_nominal_day_to_its_last() -> None:
    deadline = CALENDAR.deadline(D(2023, 12, 1), 30, Period.DAYS)  # Sunday 31 December, then New Year
    assert (deadline.date, deadline.unconfirmed_years) == (D(2024, 1, 2), (2023,))


def test_a_year_without_any_publication_is_unconfirmed() -> None:
    assert Calendar().add_working_days(D(2030, 3, 1), 1).unconfirmed_years == (2030,)


def test_the_calendar_says_how_far_it_is_known() -> None:
    assert CALENDAR.confirmed_through(D(2025, 6, 1)) == D(2026, 12, 31)
    assert CALENDAR.confirmed_through(D(2027, 6, 1)) is None


@settings(deadline=None)
@given(known_days, st.integers(1, 200))
def test_counting_undoes_adding(day: dt.date, count: int) -> None:
    end = CALENDAR.add_working_days(day, count).date
    assert CALENDAR.is_working_day(end)
    assert CALENDAR.working_days_between(day, end).count == count
    assert CALENDAR.working_days_between(end, day).count == -count


@settings(deadline=None)
@given(known_days, st.integers(0, 120), st.integers(0, 120))
def test_adding_working_days_adds_up(day: dt.date, first: int, second: int) -> None:
    start = CALENDAR.add_working_days(day, 0).date
    once = CALENDAR.add_working_days(start, first + second).date
    assert CALENDAR.add_working_days(CALENDAR.add_working_days(start, first).date, second).date == once


@pytest.mark.parametrize(
    ("start", "length", "period", "nominal", "date"),
    [
        # the day of the event is not counted (art. 201)
        (D(2026, 3, 2), 30, Period.DAYS, D(2026, 4, 1), D(2026, 4, 1)),
        # a last day in Qingming moves past the holiday (art. 203)
        (D(2026, 3, 5), 30, Period.DAYS, D(2026, 4, 4), D(2026, 4, 7)),
        # a last day on a worked Saturday stays
        (D(2026, 4, 9), 30, Period.DAYS, D(2026, 5, 9), D(2026, 5, 9)),
        # no 31st in the last month: its last day (art. 202), here a worked Saturday
        (D(2026, 1, 31), 1, Period.MONTHS, D(2026, 2, 28), D(2026, 2, 28)),
        (D(2026, 3, 31), 1, Period.MONTHS, D(2026, 4, 30), D(2026, 4, 30)),
        (D(2025, 12, 31), 2, Period.MONTHS, D(2026, 2, 28), D(2026, 2, 28)),
        (D(2025, 7, 31), 1, Period.MONTHS, D(2025, 8, 31), D(2025, 9, 1)),  # a Sunday
        (D(2024, 2, 29), 1, Period.YEARS, D(2025, 2, 28), D(2025, 2, 28)),
        (D(2025, 10, 8), 60, Period.DAYS, D(2025, 12, 7), D(2025, 12, 8)),
        (D(2026, 9, 18), 10, Period.WORKING_DAYS, D(2026, 10, 9), D(2026, 10, 9)),
    ],
)
def test_deadlines_follow_the_civil_code(
    start: dt.date, length: int, period: Period, nominal: dt.date, date: dt.date
) -> None:
    deadline = CALENDAR.deadline(start, length, period)
    assert (deadline.nominal, deadline.date) == (nominal, date)


@settings(deadline=None)
@given(known_days, st.integers(1, 400), st.sampled_from(list(Period)))
def test_a_deadline_is_a_working_day_not_before_its_nominal_day(day: dt.date, length: int, period: Period) -> None:
    if period in (Period.MONTHS, Period.YEARS):
        length = 1 + length % 12
    deadline = CALENDAR.deadline(day, length, period)
    assert CALENDAR.is_working_day(deadline.date)
    assert day < deadline.nominal <= deadline.date


def test_a_period_must_have_a_length() -> None:
    with pytest.raises(TermError):
        CALENDAR.deadline(D(2026, 1, 1), 0, Period.DAYS)


def test_local_dates_turn_at_sixteen_hours_utc() -> None:
    assert local_date(dt.datetime(2026, 3, 1, 15, 59, tzinfo=dt.UTC)) == D(2026, 3, 1)
    assert local_date(dt.datetime(2026, 3, 1, 16, 0, tzinfo=dt.UTC)) == D(2026, 3, 2)
    assert day_start(D(2026, 3, 2)) == dt.datetime(2026, 3, 1, 16, 0, tzinfo=dt.UTC)
    deadline = CALENDAR.deadline(D(2026, 3, 2), 1, Period.DAYS)
    assert deadline.expires_at == dt.datetime(2026, 3, 3, 16, 0, tzinfo=dt.UTC)
    with pytest.raises(ValueError, match="aware"):
        local_date(dt.datetime(2026, 3, 1))  # noqa: DTZ001


YEAR = """
kind: calendar
id: calendar-test
title: 测试日历
authority: 演示机关
source: 演示数据
status: draft
effective_from: 2030-01-01
body:
  year: 2030
  confirmed: true
  notice: 演示
  holidays:
    - {names: new_year, first: 2030-01-01, last: 2030-01-01}
  workdays: [2030-01-05]
"""


@pytest.mark.parametrize(
    ("old", "new", "field", "rule"),
    [
        ("[2030-01-05]", "[2030-01-04]", "body.workdays[0]", "on_weekend"),
        ("[2030-01-05]", "[2030-13-05]", "body.workdays[0]", "date"),
        ("[2030-01-05]", "[2035-01-06]", "body.workdays[0]", "in_year"),
        ("last: 2030-01-01", "last: 2029-12-31", "body.holidays[0].last", "order"),
        ("names: new_year", "names: new_yaer", "body.holidays[0].names", "choice"),
        ("  notice: 演示\n", "", "body.notice", "required"),
        ("confirmed: true", "confirmed: yes", "body.confirmed", "boolean"),
        ("year: 2030", "year: 2030\n  color: red", "body.color", "unknown_field"),
    ],
)
def test_a_wrong_calendar_is_refused_by_field_and_rule(old: str, new: str, field: str, rule: str) -> None:
    assert terms.load(YEAR)[1].year == 2030
    with pytest.raises(TermError) as caught:
        terms.load(YEAR.replace(old, new))
    assert (caught.value.field, caught.value.rule) == (field, rule)


def test_the_same_year_twice_is_refused() -> None:
    year = terms.load(YEAR)[1]
    with pytest.raises(TermError):
        Calendar.of([year, year])
