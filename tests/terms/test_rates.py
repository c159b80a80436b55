"""A rate holds from its date on; interest counts days and rounds as told."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huoshui import publications, terms
from huoshui.terms import DayCount, RateSeries, Rounding, TermError, simple_interest_fen

D = dt.date
LPR_1Y: RateSeries = terms.load(publications.shipped("rate_series")["rate_series/lpr-1y.yaml"])[1]


@pytest.mark.parametrize(
    ("day", "bps", "since"),
    [
        (D(2019, 8, 20), 425, D(2019, 8, 20)),
        (D(2024, 10, 20), 335, D(2024, 7, 22)),
        (D(2024, 10, 21), 310, D(2024, 10, 21)),
        (D(2025, 5, 19), 310, D(2024, 10, 21)),
        (D(2025, 5, 20), 300, D(2025, 5, 20)),
    ],
)
def test_a_rate_holds_from_its_date_on(day: dt.date, bps: int, since: dt.date) -> None:
    rate = LPR_1Y.as_of(day)
    assert (rate.bps, rate.since, rate.confirmed) == (bps, since, True)


def test_before_the_first_date_there_is_no_rate_and_it_is_not_zero() -> None:
    with pytest.raises(TermError) as caught:
        LPR_1Y.as_of(D(2019, 8, 19))
    assert caught.value.rule == "before_first"


def test_after_the_known_end_the_last_rate_is_not_confirmed() -> None:
    rate = LPR_1Y.as_of(D(2026, 11, 21))
    assert (rate.bps, rate.confirmed) == (300, False)
    assert LPR_1Y.as_of(LPR_1Y.known_through).confirmed


def test_interest_by_hand() -> None:
    # 1,000,000.00 yuan at 0.05 % a day for 30 days: 15,000.00 yuan
    daily = simple_interest_fen(
        100_000_000, 5, D(2026, 3, 1), D(2026, 3, 31), day_count=DayCount.DAILY, rounding=Rounding.FLOOR
    )
    assert daily == 1_500_000
    # 100.00 yuan at 3.10 % for 17 days of 365: 14.438... fen
    kwargs = {"day_count": DayCount.ACTUAL_365}
    assert simple_interest_fen(10_000, 310, D(2026, 3, 1), D(2026, 3, 18), rounding=Rounding.FLOOR, **kwargs) == 14
    assert simple_interest_fen(10_000, 310, D(2026, 3, 1), D(2026, 3, 18), rounding=Rounding.CEILING, **kwargs) == 15


@given(st.integers(0, 10**12), st.integers(0, 5000), st.integers(0, 2000), st.integers(0, 2000))
def test_floored_interest_in_two_parts_never_exceeds_interest_in_one(principal: int, bps: int, a: int, b: int) -> None:
    start = D(2020, 1, 1)
    middle, end = start + dt.timedelta(days=a), start + dt.timedelta(days=a + b)

    def interest(first: dt.date, last: dt.date) -> int:
        return simple_interest_fen(
            principal, bps, first, last, day_count=DayCount.ACTUAL_360, rounding=Rounding.FLOOR
        )

    assert interest(start, end) - 1 <= interest(start, middle) + interest(middle, end) <= interest(start, end)


def test_interest_backwards_is_refused() -> None:
    with pytest.raises(TermError):
        simple_interest_fen(1, 1, D(2026, 1, 2), D(2026, 1, 1), day_count=DayCount.DAILY, rounding=Rounding.FLOOR)
