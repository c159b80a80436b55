"""Prices: buying more never costs more a card-hour, totals add up over periods, and the hold always covers the bill."""

from hypothesis import given
from hypothesis import strategies as st

from huoshui.market.prices import MONTH_HOURS, Tier, gross_of, net_of, periods, price_of, quote, total_of

money = st.integers(1, 10_000_000)
cards = st.integers(1, 2_000)
hours = st.integers(1, 24 * 366)
share = st.integers(0, 9_999)
tiers = st.lists(st.builds(Tier, cards, hours, money), max_size=10)


@given(money, tiers, cards, hours, cards, hours)
def test_more_cards_or_hours_never_raise_the_price(
    base: int, lower: list[Tier], count: int, term: int, more: int, longer: int
) -> None:
    assert price_of(base, lower, count + more, term + longer) <= price_of(base, lower, count, term) <= base


@given(money, tiers, cards, hours)
def test_the_price_is_the_base_or_that_of_a_reached_tier(
    base: int, lower: list[Tier], count: int, term: int
) -> None:
    price = price_of(base, lower, count, term)
    assert price == base or any(t.price_fen == price and t.reached(count, term) for t in lower)


@given(st.integers(0, 10**6), hours)
def test_periods_cover_the_term_without_gap_or_overlap(start: int, term: int) -> None:
    parts = periods(start, start + term)
    assert parts[0][0] == start
    assert parts[-1][1] == start + term
    assert all(first[1] == then[0] for first, then in zip(parts, parts[1:], strict=False))
    assert all(last - first == MONTH_HOURS for first, last in parts[:-1])
    assert 0 < parts[-1][1] - parts[-1][0] <= MONTH_HOURS


@given(st.integers(0, 10**12), st.integers(0, 10**12), share)
def test_paying_less_gross_never_costs_more_net(one: int, other: int, bps: int) -> None:
    small, large = sorted((one, other))
    assert 0 <= net_of(small, bps) <= net_of(large, bps) <= large


@given(cards, hours, money, share)
def test_what_the_periods_bill_is_what_was_held(count: int, term: int, price: int, bps: int) -> None:
    billed = sum(net_of(gross_of(count, last - first, price, 1), bps) for first, last in periods(0, term))
    assert billed == total_of(0, term, count, price, 1, True, bps)
    rest = net_of(sum(gross_of(count, last - first, price, 1) for first, last in periods(0, term)[1:]), bps)
    first = net_of(gross_of(count, periods(0, term)[0][1], price, 1), bps)
    assert first + rest <= billed  # several periods on one statement never cost more than one by one


@given(cards, st.integers(1, 24), money)
def test_whole_months_are_exact(count: int, months: int, price: int) -> None:
    assert gross_of(count, months * MONTH_HOURS, price, MONTH_HOURS) == count * months * price


@given(money, tiers, cards, hours, share, st.booleans())
def test_a_quote_explains_itself(
    base: int, lower: list[Tier], count: int, term: int, bps: int, whole: bool
) -> None:
    told = quote(base, lower, count, term, 1, whole, bps)
    assert told.gross_fen == count * term * told.price_fen
    assert told.total_fen + told.concession_fen == told.gross_fen
    assert told.concession_fen >= 0
    assert told.next_tier is None or told.next_tier.price_fen < told.price_fen


@given(cards, hours, money, share, st.integers(0, 10**12))
def test_card_seconds_within_the_cap_never_cost_more_than_was_held(
    count: int, term: int, price: int, bps: int, seconds: int
) -> None:
    cap = gross_of(count, term, price, 1)
    used = min(seconds, count * term * 3600) * price * 1000 // 3_600_000
    assert net_of(used, bps) <= net_of(cap, bps)
