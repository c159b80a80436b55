"""An enquiry: sealed offers, opened together, ranked by published arithmetic, awarded with reasons."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.compute.world import LIMIT_FEN, NOON, SYSTEM
from tests.exchange.bourse import PRICE, WINDOW, Bourse, free, held, money

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.base.errors import Invalid, Refused
from huoshui.base.models import LogRecord
from huoshui.exchange import problems, queries, ranking, tasks
from huoshui.exchange.actions import enquiries
from huoshui.exchange.models import Alert, Enquiry, Offer, Trade
from huoshui.exchange.ranking import Bid
from huoshui.jobs.models import Connection

HOURS = WINDOW[1] - WINDOW[0]
CARDS = 4
BUDGET = CARDS * HOURS * PRICE // 1000
WEIGHTS = {"price": 8_000, "firmness": 1_000, "record": 1_000}
CLOSES = NOON + timedelta(hours=8)
AFTER = CLOSES + timedelta(minutes=1)


def post(bourse: Bourse, **changes: Any) -> Enquiry:
    values = {
        "party": bourse.firms[0], "title": "测试", "cards": CARDS, "card_models": [bourse.world.pool.card_model],
        "regions": [bourse.world.region], "budget_fen": BUDGET, "weights": WEIGHTS, "closes_at": CLOSES,
        **bourse.window, **changes,
    }  # fmt: skip
    with clock.moved_to(NOON):
        return enquiries.post_enquiry(SYSTEM, **values)


def offer(bourse: Bourse, enquiry: Enquiry, price: int, *, second: bool = False, **more: Any) -> Offer:
    pool = bourse.pool2 if second else bourse.world.pool
    assert pool is not None
    with clock.moved_to(NOON):
        return enquiries.submit_offer(
            SYSTEM, enquiry=enquiry, party=pool.site.operator, pool=pool, price_mfen=price, **more
        )


def opened(bourse: Bourse, *prices: int, **more: Any) -> tuple[Enquiry, list[Offer]]:
    enquiry = post(bourse)
    made = [offer(bourse, enquiry, price, second=bool(index), **more) for index, price in enumerate(prices)]
    with clock.moved_to(AFTER):
        assert tasks.keep.call() == 1
    enquiry.refresh_from_db()
    return enquiry, [Offer.objects.get(pk=row.pk) for row in made]


def refusal(call: Any, *args: Any, **named: Any) -> str:
    with pytest.raises(Refused) as refused:
        call(*args, **named)
    return refused.value.code


def test_a_site_without_an_engine_offers_nothing(bourse: Bourse) -> None:
    Connection.objects.update(state=Connection.State.OFF)
    assert refusal(offer, bourse, post(bourse), PRICE) == "no_engine"


def test_the_best_offer_is_awarded_and_everything_else_comes_back(bourse: Bourse) -> None:
    assert bourse.pool2 is not None
    before = free(bourse), free(bourse, bourse.pool2)
    enquiry, (dear, cheap) = opened(bourse, PRICE, PRICE * 9 // 10)
    assert money(bourse.firms[0])["held"] == BUDGET
    assert (cheap.rank, dear.rank) == (1, 2)
    with clock.moved_to(AFTER):
        trade = enquiries.award(SYSTEM, enquiry=enquiry, offer=cheap)
    assert held(trade.booking) == CARDS * HOURS
    assert (free(bourse), free(bourse, bourse.pool2)) == (before[0], before[1] - CARDS)
    paid = BUDGET * 9 // 10
    assert money(bourse.firms[0]) == {"limit": LIMIT_FEN - paid, "held": 0, "committed": paid, "payable": 0}
    assert {row.state for row in Offer.objects.all()} == {Offer.State.AWARDED, Offer.State.UNSUCCESSFUL}


def test_another_than_the_first_needs_a_reason(bourse: Bourse) -> None:
    enquiry, (dear, _cheap) = opened(bourse, PRICE, PRICE * 9 // 10)
    with clock.moved_to(AFTER), pytest.raises(Invalid):
        enquiries.award(SYSTEM, enquiry=enquiry, offer=dear, reason=" ")
    assert not Trade.objects.exists()
    with clock.moved_to(AFTER):
        enquiries.award(SYSTEM, enquiry=enquiry, offer=dear, reason="数据已在该中心")
    enquiry.refresh_from_db()
    assert enquiry.reason == "数据已在该中心"


def test_nobody_sees_an_offer_before_it_is_opened(bourse: Bourse, people: Callable[..., Actor]) -> None:
    enquiry = post(bourse)
    made = offer(bourse, enquiry, PRICE)
    buyer, seller = people("agent", f"party:{bourse.firms[0].pk}"), people("operator", f"party:{bourse.operator.pk}")
    for actor in (buyer, people("officer"), people("auditor"), people("operator", "party:999"), SYSTEM):
        assert not queries.offers(actor, enquiry).exists()
        if actor is not SYSTEM:
            assert refusal(queries.offer, actor, made.pk) == "missing"
    assert list(queries.offers(seller, enquiry)) == [made]
    record = LogRecord.objects.get(action="exchange.offer.submit")
    assert made.commitment in record.payload
    assert str(PRICE) not in record.payload
    with clock.moved_to(AFTER):
        assert not queries.offers(buyer, enquiry).exists(), "closed, but not opened yet"
        tasks.keep.call()
    enquiry.refresh_from_db()
    made.refresh_from_db()
    assert list(queries.offers(buyer, enquiry)) == [made]
    assert problems.commitment(made.salt, enquiries.offer_row(made.pool, PRICE, None)) == made.commitment


def test_offers_come_before_the_deadline_and_are_opened_after_it(bourse: Bourse) -> None:
    enquiry = post(bourse)
    made = offer(bourse, enquiry, PRICE)
    assert refusal(offer, bourse, enquiry, PRICE) == "offered_already"
    with clock.moved_to(NOON):
        assert refusal(enquiries.open_offers, SYSTEM, enquiry=enquiry) == "sealed"
        assert refusal(enquiries.award, SYSTEM, enquiry=enquiry, offer=made) == "sealed"
        enquiries.withdraw_offer(SYSTEM, offer=made)
    again = offer(bourse, enquiry, PRICE * 9 // 10)
    with clock.moved_to(CLOSES):
        assert refusal(enquiries.withdraw_offer, SYSTEM, offer=again) == "enquiry_closed"
        assert refusal(
            enquiries.submit_offer, SYSTEM, enquiry=enquiry, party=bourse.operator, pool=bourse.world.pool,
            price_mfen=PRICE,
        ) == "enquiry_closed"  # fmt: skip


def test_an_enquiry_that_nobody_decides_ends_and_frees_money_and_cards(bourse: Bourse) -> None:
    before = free(bourse)
    enquiry, _offers = opened(bourse, PRICE)
    with clock.moved_to(clock.instant_of(enquiry.start_hour) - timedelta(minutes=30)):
        assert tasks.keep.call() == 1
    enquiry.refresh_from_db()
    assert enquiry.state == Enquiry.State.ENDED
    assert (free(bourse), money(bourse.firms[0])["held"]) == (before, 0)


def test_ending_without_award_needs_a_reason(bourse: Bourse) -> None:
    enquiry, _offers = opened(bourse, PRICE)
    with clock.moved_to(AFTER):
        assert refusal(enquiries.end_enquiry, SYSTEM, enquiry=enquiry, reason=" ") == "invalid"
        enquiries.end_enquiry(SYSTEM, enquiry=enquiry, reason="需求取消")
    assert money(bourse.firms[0])["held"] == 0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"weights": {"price": 3_000, "memory": 7_000}}, "weights"), ({"weights": {"price": 9_000}}, "weights"),
        ({"weights": {"price": 9_000, "luck": 1_000}}, "weights"), ({"closes_at": NOON}, "closes_at"),
        ({"closes_at": NOON + timedelta(days=9)}, "closes_at"), ({"cards": 0}, "cards"), ({"title": " "}, "title"),
        ({"regions": []}, "regions"), ({"budget_fen": 0}, "budget_fen"),
        ({"budget_fen": BUDGET * 69 // 100}, "budget_fen"),
    ],
)  # fmt: skip
def test_a_need_that_breaks_the_terms_is_refused(bourse: Bourse, change: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as error:
        post(bourse, **change)
    assert error.value.problems[0].field == field
    assert money(bourse.firms[0])["held"] == 0


def test_an_offer_keeps_to_the_need(bourse: Bourse) -> None:
    enquiry = post(bourse)
    for change in ({"price": PRICE + 5_000}, {"price": PRICE - 1}, {"price": PRICE, "recall_notice_hours": 0}):
        with pytest.raises(Invalid):
            offer(bourse, enquiry, **change)
    assert bourse.pool2 is not None
    with clock.moved_to(NOON), pytest.raises(Invalid):
        enquiries.submit_offer(
            SYSTEM, enquiry=enquiry, party=bourse.operator, pool=bourse.pool2, price_mfen=PRICE
        )


def test_an_offer_keeps_to_the_price_limits_and_a_refused_one_is_remembered(bourse: Bourse) -> None:
    enquiry = post(bourse, budget_fen=2 * BUDGET)
    for price in (PRICE * 7 // 10 - 5_000, PRICE * 13 // 10 + 5_000):
        assert refusal(offer, bourse, enquiry, price) == "price_limit"
    alerts = Alert.objects.order_by("id")
    assert [(row.code, row.party, row.subject) for row in alerts] == [
        ("price_limit", bourse.operator, f"exchange.enquiry:{enquiry.pk}")
    ] * 2
    offer(bourse, enquiry, PRICE * 13 // 10)


# --- ranking ----------------------------------------------------------------------------------------------------------

bids = st.lists(
    st.builds(
        Bid, st.just(0), st.integers(1, 10**7), st.integers(1, 2000), st.integers(1, 200),
        st.none() | st.integers(1, 720), st.none() | st.integers(0, 10_000),
    ), min_size=1, max_size=6,
).map(lambda found: [Bid(i, b.price_mfen, b.fp16_tflops, b.memory_gib, b.notice_hours, b.record_bps)
                     for i, b in enumerate(found)])  # fmt: skip
weights = st.tuples(*[st.integers(0, 50)] * 5).filter(any).map(
    lambda parts: dict(zip(("price", "throughput", "memory", "firmness", "record"), parts, strict=True))
)


@given(bids, weights)
def test_points_lie_between_none_and_all_and_order_the_bids(found: list[Bid], wanted: dict[str, int]) -> None:
    whole = sum(wanted.values())
    wanted = {code: part * 10_000 // whole for code, part in wanted.items()}
    scored = ranking.rank(found, wanted, 5_000)
    assert sorted(one.key for one in scored) == [bid.key for bid in found]
    assert [one.total for one in scored] == sorted((one.total for one in scored), reverse=True)
    for one in scored:
        assert all(0 <= points <= 10_000 for points in one.points.values())
        assert one.total == sum(points * wanted[code] for code, points in one.points.items()) // 10_000


@given(bids, st.integers(0, 5), st.integers(1, 10**6))
def test_a_lower_price_never_ranks_worse_by_price_alone(found: list[Bid], index: int, less: int) -> None:
    index %= len(found)
    bid = found[index]
    cheaper = [
        Bid(b.key, max(b.price_mfen - less, 1), b.fp16_tflops, b.memory_gib, b.notice_hours, b.record_bps)
        if b == bid else b
        for b in found
    ]  # fmt: skip
    place = [one.key for one in ranking.rank(found, {"price": 10_000}, 0)].index(bid.key)
    assert [one.key for one in ranking.rank(cheaper, {"price": 10_000}, 0)].index(bid.key) <= place


def test_a_site_of_which_nothing_is_known_gets_the_published_points() -> None:
    known, unknown = Bid(1, 100, 1, 1, None, 10_000), Bid(2, 100, 1, 1, None, None)
    assert {one.key: one.points["record"] for one in ranking.rank([known, unknown], {"record": 10_000}, 4_000)} == {
        1: 10_000, 2: 4_000,
    }  # fmt: skip
