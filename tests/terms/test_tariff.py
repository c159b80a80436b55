"""A kilowatt-hour costs what the notice says in that hour of that day."""

import datetime as dt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huoshui import publications, terms
from huoshui.terms import Calendar, Tariff, TermError

CALENDAR = Calendar.of(terms.load(text)[1] for text in publications.shipped("calendar").values())
TEXTS = publications.shipped("tariff")
TARIFFS: dict[str, Tariff] = {name[7:-5]: terms.load(text)[1] for name, text in TEXTS.items()}


def utc_hour(day: str, hour: int) -> int:
    """Hours since the epoch of a local hour in Asia/Shanghai."""
    instant = dt.datetime.fromisoformat(f"{day}T{hour:02d}:00:00+08:00")
    return int(instant.timestamp()) // 3600


def multiple(name: str, day: str, hour: int) -> float:
    tariff = TARIFFS[name]
    return tariff.hourly_price(utc_hour(day, hour), CALENDAR) / tariff.flat_price


@pytest.mark.parametrize(
    ("name", "day", "hour", "expected"),
    [
        ("zhejiang-2026", "2026-07-15", 19, 2.05),
        ("zhejiang-2026", "2026-09-15", 19, 1.85),
        ("zhejiang-2026", "2026-09-15", 12, 0.4),
        ("zhejiang-2026", "2026-09-15", 15, 1.0),
        ("zhejiang-2026", "2026-10-01", 12, 0.2),  # holiday deep valley
        ("zhejiang-2026", "2026-10-03", 9, 0.2),
        ("zhejiang-2026", "2026-10-04", 9, 1.0),  # only the first three days
        ("jiangsu-2025", "2026-07-15", 14, 2.04),
        ("jiangsu-2025", "2026-07-15", 19, (1.7 + 2.04) / 2),  # sharp from 19:30
        ("jiangsu-2025", "2026-01-15", 19, 2.04),
        ("jiangsu-2025", "2026-04-15", 1, 1.0),
        ("jiangsu-2025", "2026-04-15", 10, 0.35),
        ("shanghai-2022", "2026-08-15", 13, 2.25),
        ("shanghai-2022", "2026-09-15", 13, 1.8),
        ("shanghai-2022", "2026-05-15", 9, 1.6),
        ("shanghai-2022", "2026-05-15", 23, 0.5),
        ("anhui-2025", "2026-07-14", 20, 1.843),
        ("anhui-2025", "2026-07-15", 20, 2.2116),
        ("anhui-2025", "2026-12-14", 19, 1.843),
        ("anhui-2025", "2026-01-31", 19, 2.2116),
        ("anhui-2025", "2026-04-05", 12, 0.3056),  # a holiday of exactly three days
        ("anhui-2025", "2025-01-01", 12, 0.382),  # a holiday of one day has no deep valley
        ("shandong-2026", "2026-04-15", 12, 0.1),
        ("shandong-2026", "2026-06-15", 12, 1.0),
        ("guangdong-2021", "2026-08-15", 16, 2.125),
        ("guangdong-2021", "2026-03-15", 7, 0.38),
        ("shanxi-2026", "2026-11-15", 23, 1.6),
        ("shanxi-2026", "2026-10-02", 14, 0.36),
        ("shaanxi-2025", "2026-12-15", 18, 1.9),
        ("shaanxi-2025", "2026-12-15", 13, 0.3),
        ("yunnan-2026", "2026-12-15", 13, 0.5),
        ("guangxi-2021", "2026-12-15", 11, 1.8),
    ],
)
def test_the_hour_costs_the_multiple_of_the_notice(name: str, day: str, hour: int, expected: float) -> None:
    assert multiple(name, day, hour) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("name", sorted(TARIFFS))
@settings(deadline=None)
@given(
    start=st.integers(utc_hour("2024-01-01", 0), utc_hour("2026-12-30", 0)),
    shape=st.sampled_from([(0,), (50,), (5, 7)]),
)
def test_the_vector_of_prices_is_the_price_of_each_hour(name: str, start: int, shape: tuple[int, ...]) -> None:
    hours = start + np.arange(np.prod(shape)).reshape(shape)
    prices = TARIFFS[name].hourly_prices(hours, CALENDAR)
    assert prices.dtype == np.int64
    assert prices.shape == shape
    assert prices.ravel().tolist() == [TARIFFS[name].hourly_price(int(hour), CALENDAR) for hour in hours.ravel()]


@pytest.mark.parametrize("name", sorted(TARIFFS))
def test_valley_is_below_flat_and_flat_below_peak_every_day_of_the_year(name: str) -> None:
    tariff = TARIFFS[name]
    for ordinal in range(dt.date(2026, 1, 1).toordinal(), dt.date(2027, 1, 1).toordinal()):
        prices = tariff.day_prices(dt.date.fromordinal(ordinal), CALENDAR)
        assert min(prices) < tariff.flat_price < max(prices)


def test_night_is_not_the_only_cheap_time() -> None:
    noon_valley = {name for name in TARIFFS if multiple(name, "2026-04-15", 12) < 1}
    assert noon_valley == {
        "anhui-2025", "jiangsu-2025", "shaanxi-2025", "shandong-2026", "shanxi-2026", "yunnan-2026", "zhejiang-2026",
    }  # fmt: skip


def test_a_fixed_part_does_not_float() -> None:
    text = TEXTS["tariff/yunnan-2026.yaml"].replace("fixed_price: 0", "fixed_price: 20000")
    tariff = terms.load(text)[1]
    assert tariff.hourly_price(utc_hour("2026-12-15", 13)) == 48_000 * 5_000 // 10_000 + 20_000


def test_holiday_prices_need_a_calendar() -> None:
    with pytest.raises(TermError) as caught:
        TARIFFS["zhejiang-2026"].hourly_price(utc_hour("2026-12-15", 13))
    assert caught.value.rule == "calendar_needed"


@pytest.mark.parametrize(
    ("old", "new", "field", "rule"),
    [
        ('valley: ["2-6", "12-16"]', 'valley: ["2-6", "8-16"]', "body.seasons[0].hours.valley", "hours_overlap"),
        ('"2-6"', '"22-6"', "body.seasons[0].hours.valley[0]", "hours"),
        ('"2-6"', '"2:15-6"', "body.seasons[0].hours.valley[0]", "hours"),
        ('"2-6"', '"2-25"', "body.seasons[0].hours.valley[0]", "hours"),
        ("valley: [", "sharp: [", "body.seasons[0].hours.sharp", "multiplier_missing"),
        ("valley: [", "night: [", "body.seasons[0].hours.night", "choice"),
        (", 11, 12]", ", 11]", "body.seasons", "seasons_cover"),
        (", 11, 12]", ", 11, 13]", "body.seasons[0].months[11]", "integer"),
        ("      months:", "      days: [02-30/03-01]\n      months:", "body.seasons[0].days[0]", "month_day"),
        ("flat_price: 48000", "flat_price: 0.48", "body.flat_price", "integer"),
        ("flat_price: 48000", "flat_price: 0", "body.flat_price", "integer"),
    ],
)
def test_a_wrong_tariff_is_refused_by_field_and_rule(old: str, new: str, field: str, rule: str) -> None:
    text = TEXTS["tariff/yunnan-2026.yaml"]
    assert old in text
    with pytest.raises(TermError) as caught:
        terms.load(text.replace(old, new, 1))
    assert caught.value.field.startswith(field)
    assert caught.value.rule == rule
