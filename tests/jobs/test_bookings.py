"""A card of a pool is deposited, booked or free: never two of them. What is passed on or taken back adds up."""

import itertools
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.compute.world import NOON, SYSTEM, World, moment, party
from tests.compute.world import run as in_action
from tests.jobs.rows import attempt
from tests.jobs.site import RUNNER, connect

from huoshui.base import clock
from huoshui.base.errors import Invalid, Refused
from huoshui.compute import problems
from huoshui.compute.actions.deposits import Stretch, submit_deposit
from huoshui.compute.actions.recalls import recall_cards
from huoshui.compute.models import Deposit
from huoshui.jobs import panel, services
from huoshui.jobs.actions.connections import note_short, switch_off
from huoshui.jobs.calendar import booked_cards, free_cards
from huoshui.jobs.models import Attempt, BookedStretch, Booking, Connection
from huoshui.jobs.services import BookingDraft

numbers = itertools.count(1)


def draft(world: World, cards: int, *hours: tuple[int, int], **more: Any) -> BookingDraft:
    """A booking of the world's entity over hours of its round."""
    values: dict[str, Any] = {
        "party": world.entity, "pool": world.pool, "cards": cards, "source": f"test.sale:{next(numbers)}",
        "stretches": [(world.start + start, world.start + end) for start, end in hours],
        "price_mfen": 800_000, "cap_fen": 10**6, "billing": "used",
    }  # fmt: skip
    return BookingDraft(**values | more)


def done(step: Any) -> Any:
    """Run a step (act, record) inside an action at noon and return what it returns."""
    said: list[Any] = []
    with clock.moved_to(NOON):
        in_action(lambda act, record: said.append(step(act, record)))
    return said[0]


def booked(world: World, cards: int, *hours: tuple[int, int], **more: Any) -> Booking:
    return done(lambda act, record: services.book(act, record, draft(world, cards, *hours, **more)))


def free(world: World, start: int, end: int) -> list[int]:
    return free_cards([world.pool], world.start + start, world.start + end)[0].tolist()


def deposit(world: World, cards: int, start: int, end: int) -> Any:
    with clock.moved_to(NOON):
        return submit_deposit(
            SYSTEM, key=f"deposit/{next(numbers)}", depositor=world.operator, pool=world.pool, base_price_fen=100,
            stretches=[Stretch(world.start + start, world.start + end, cards)], recall_notice_hours=0,
        )  # fmt: skip


def test_free_cards_are_those_neither_deposited_nor_booked(world: World) -> None:
    deposit(world, 300, 0, 4)
    booked(world, 200, (2, 6))
    booked(world, 50, (5, 6), (3, 4), (4, 5))
    assert free(world, 0, 7) == [700, 700, 500, 450, 750, 750, 1000]


def test_cards_from_deposits_are_not_counted_twice(world: World) -> None:
    deposit(world, 1000, 0, 4)
    booking = booked(world, 1000, (0, 4), from_deposits=True)
    assert booking.from_deposits
    assert free(world, 0, 5) == [0, 0, 0, 0, 1000]


def test_more_cards_than_free_in_one_hour_are_refused_and_nothing_is_booked(world: World) -> None:
    booked(world, 600, (3, 5))
    with pytest.raises(Refused) as refused:
        booked(world, 401, (0, 10))
    assert refused.value.code == "no_cards"
    assert refused.value.params == {"hour": world.start + 3, "day": "2026-03-03", "free": 400}
    assert Booking.objects.count() == 1
    booked(world, 401, (0, 3), (5, 10))


def test_deposits_cannot_take_booked_cards_and_bookings_cannot_take_deposited_ones(world: World) -> None:
    booked(world, 600, (3, 5))
    with pytest.raises(Invalid) as refused:
        deposit(world, 401, 0, 10)
    assert [problem.field for problem in refused.value.problems] == ["cards"]
    deposit(world, 400, 0, 10)
    with pytest.raises(Refused, match=world.pool.site.name):
        booked(world, 1, (4, 5))


def test_recalled_cards_are_free_again_and_failed_ones_are_not(world: World) -> None:
    offered = deposit(world, 1000, 0, 4)
    with clock.moved_to(moment(world, -1)):
        for start, reason in ((0, "recall"), (2, "failure")):
            recall_cards(
                SYSTEM, key=f"recall/{start}", deposit=offered, start_hour=world.start + start,
                end_hour=world.start + start + 1, cards=70, reason=reason,
            )  # fmt: skip
    assert free(world, 0, 4) == [70, 0, 0, 0]


def engine_of(world: World, **more: Any) -> Connection:
    values: dict[str, Any] = {"kind": "local", "tag": "t", "state": Connection.State.UP}
    return Connection.objects.create(site=world.pool.site, **values | more)


def counted(connection: Connection, working: int | None, hour: float = -12) -> None:
    """The runner has counted so many of the pool's 1,000 cards; None: all of them."""
    with clock.moved_to(NOON + timedelta(hours=12 + hour)):
        note_short(RUNNER, connection=connection, short={} if working is None else {"test": (working, 1000)})


def test_cards_that_do_not_work_are_not_sold_until_they_do(world: World) -> None:
    connection = engine_of(world)
    deposit(world, 300, 0, 2)
    booked(world, 200, (1, 3))
    counted(connection, 600)
    assert free(world, 0, 5) == [300, 100, 400, 600, 600]
    assert free(world, 500, 501) == [600]
    with pytest.raises(Refused) as refused:
        booked(world, 601, (3, 4))
    assert (refused.value.code, refused.value.params["free"]) == ("no_cards", 600)
    with pytest.raises(Invalid):
        deposit(world, 401, 2, 3)
    deposit(world, 400, 2, 3)
    counted(connection, 100)
    assert free(world, 0, 5) == [0, 0, 0, 100, 100]
    counted(connection, None)
    assert free(world, 0, 5) == [700, 500, 400, 1000, 1000]


def test_a_pool_that_was_lowered_to_the_cards_that_work_sells_them(world: World) -> None:
    counted(engine_of(world), 600)
    world.pool.cards = 600
    world.pool.save()
    assert free(world, 0, 1) == [600]


def test_an_engine_that_is_down_sells_nothing_of_the_next_day(world: World) -> None:
    engine_of(world, failing_since=NOON - timedelta(minutes=6))
    with clock.moved_to(NOON):
        assert free(world, 0, 14) == [0] * 12 + [1000] * 2
        Connection.objects.update(failing_since=NOON - timedelta(minutes=4))
        assert free(world, 0, 1) == [1000]


def test_a_round_does_not_sell_deposited_cards_that_do_not_work(world: World) -> None:
    for cards in (500, 300):
        deposit(world, cards, 0, 2)
    Deposit.objects.update(energy=False)
    booked(world, 150, (0, 1))

    def offered() -> list[list[int]]:
        found = problems.offers(world.start, world.start + 2, problems.terms_of(world.round))
        return found.cards.tolist()

    connection = engine_of(world)
    assert offered() == [[500, 500], [300, 300]]
    counted(connection, 700)
    assert offered() == [[500, 500], [50, 200]]
    counted(connection, 400)
    assert offered() == [[250, 400], [0, 0]]
    counted(connection, None)
    assert offered() == [[500, 500], [300, 300]]


def test_what_an_engine_lacked_is_forgotten_when_it_is_switched_off(world: World) -> None:
    connection = engine_of(world)
    counted(connection, 0)
    assert free(world, 0, 1) == [0]
    switch_off(SYSTEM, key="off", connection=connection)
    assert free(world, 0, 1) == [1000]
    assert not list(panel.engines_down(RUNNER))


def test_a_shortage_lasts_from_the_newest_loss_of_cards(world: World) -> None:
    connection = engine_of(world)
    for hour, working, since in ((-12, 8, -12), (-10, 4, -10), (-8, 6, -10), (-6, 5, -6)):
        counted(connection, working, hour)
        assert clock.hour_of(connection.shortages.get().since) == world.start + since
    counted(connection, None)
    assert not connection.shortages.exists()


@pytest.mark.parametrize(
    ("hours", "more"),
    [
        ([(-13, 4)], {}), ([(2, 2)], {}), ([(2, 5), (4, 6)], {}), ([], {}), ([(0, 1)], {"cards": 0}),
        ([(0, 9000)], {}), ([(0, 1)], {"price_mfen": -1}), ([(0, 1)], {"billing": "later"}),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(world: World, hours: list[tuple[int, int]], more: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        booked(world, more.pop("cards", 1), *hours, **more)
    assert not Booking.objects.exists()


def test_passing_on_moves_cards_without_making_any(world: World) -> None:
    booking = booked(world, 8, (0, 10))
    buyer = party("示例买方", "entity")
    passed = done(
        lambda act, record: services.hand_over(
            act, record, booking, cards=3, from_hour=world.start + 4, to_hour=world.start + 6,
            draft=draft(world, 3, party=buyer, price_mfen=900_000),
        )
    )  # fmt: skip
    hours = (world.start, world.start + 10)
    assert booked_cards(booking, *hours).tolist() == [8] * 4 + [5] * 2 + [8] * 4
    assert booked_cards(passed, *hours).tolist() == [0] * 4 + [3] * 2 + [0] * 4
    assert (passed.party, passed.pool, passed.price_mfen) == (buyer, world.pool, 900_000)
    assert free(world, 0, 10) == [992] * 10


def test_what_a_booking_has_not_cannot_be_passed_on(world: World) -> None:
    booking = booked(world, 8, (0, 4))

    def pass_on(cards: int, start: int, end: int) -> None:
        done(
            lambda act, record: services.hand_over(
                act, record, booking, cards=cards, from_hour=world.start + start, to_hour=world.start + end,
                draft=draft(world, cards),
            )
        )  # fmt: skip

    for cards, start, end in ((9, 0, 4), (1, 4, 6), (0, 0, 2)):
        with pytest.raises(Refused) as refused:
            pass_on(cards, start, end)
        assert refused.value.code == "not_held"
    with pytest.raises(Invalid):
        pass_on(1, -12, 2)
    pass_on(8, 0, 4)
    assert not booking.stretches.exists()


def test_a_cancelled_booking_frees_what_has_not_begun(world: World) -> None:
    booking = booked(world, 8, (0, 10))
    with clock.moved_to(moment(world, 3.5)):
        in_action(lambda act, record: services.cancel(act, record, booking, "withdrawn"))
        with pytest.raises(Refused, match=booking.number):
            in_action(lambda act, record: services.cancel(act, record, booking, "withdrawn"))
    booking.refresh_from_db()
    assert booking.state == "cancelled"
    assert free(world, 0, 10) == [1000] * 10
    assert booked_cards(booking, world.start, world.start + 10).tolist() == [8] * 4 + [0] * 6


def test_spot_cards_are_recalled_with_notice_and_failures_need_none(world: World) -> None:
    fixed, spot = booked(world, 8, (0, 10)), booked(world, 8, (0, 10), recall_notice_hours=2)

    def take(booking: Booking, hour: int, cards: int, reason: str) -> None:
        with clock.moved_to(moment(world, 0.9)):
            in_action(
                lambda act, record: services.recall(
                    act, record, booking, from_hour=world.start + hour, cards=cards, reason=reason
                )
            )

    for booking, hour in ((fixed, 9), (spot, 2)):
        with pytest.raises(Refused) as refused:
            take(booking, hour, 1, "recall")
        assert refused.value.code == "recall_notice"
    take(spot, 3, 5, "recall")
    assert booked_cards(spot, world.start, world.start + 10).tolist() == [8] * 3 + [3] * 7
    take(fixed, 5, 8, "failure")
    fixed.refresh_from_db()
    assert (fixed.state, fixed.end_hour) == ("planned", world.start + 5)
    take(fixed, 0, 8, "failure")
    fixed.refresh_from_db()
    assert fixed.state == "lost"
    assert not fixed.stretches.exists()


def test_a_stretch_that_is_cut_keeps_its_reservation(world: World) -> None:
    booking = booked(world, 8, (0, 10))
    row = booking.stretches.get()
    BookedStretch.objects.update(reserved_at=NOON)
    done(
        lambda act, record: services.hand_over(
            act, record, booking, cards=3, from_hour=world.start + 4, to_hour=world.start + 6, draft=draft(world, 3)
        )
    )
    first, *rest = booking.stretches.order_by("start_hour")
    assert (first.pk, first.end_hour, first.reserved_at) == (row.pk, world.start + 4, NOON)
    assert all(stretch.reserved_at is None for stretch in rest)


@settings(max_examples=80)
@given(fen=st.integers(0, 10**9), price=st.integers(1, 10**8))
def test_the_seconds_that_a_cap_pays_for_are_the_most_that_cost_no_more(fen: int, price: int) -> None:
    most = services.seconds_within(fen, price)
    assert most is not None
    assert most * price // services.MFEN_SECONDS <= fen < (most + 1) * price // services.MFEN_SECONDS
    assert services.seconds_within(fen, 0) is None


def test_used_adds_up_attempts_and_stops_at_the_cap(world: World) -> None:
    booking = booked(world, 8, (0, 10), cap_fen=800, price_mfen=800_000)
    assert (services.used(booking).card_seconds, services.used(booking).evidence) == (0, "")
    attempt(booking, card_seconds=3000, evidence="a" * 64)
    first = services.used(booking)
    assert (first.card_seconds, first.billed_seconds, first.cost_fen, first.attempts) == (3000, 3000, 666, 1)
    attempt(booking, card_seconds=5000, evidence="b" * 64)
    attempt(booking, card_seconds=None, state=Attempt.State.RUNNING)
    second = services.used(booking)
    assert (second.card_seconds, second.cost_fen, second.attempts) == (8000, 800, 2)
    assert second.billed_seconds * 800_000 // services.MFEN_SECONDS == 800
    assert len({"", first.evidence, second.evidence}) == 3


# --- what no working engine kept --------------------------------------------------------------------------------------


def engine(world: World, **values: Any) -> Connection:
    values = {"kind": "local", "tag": f"t{next(numbers)}", "state": "up"} | values
    return Connection.objects.create(site=world.pool.site, **values)


def stood(booking: Booking, *hours: int) -> float:
    """Card-hours that stood until long after the booking."""
    with clock.moved_to(clock.instant_of(booking.end_hour + 5)):
        return services.stood_seconds(booking, *hours) / 3600


def test_cards_stand_where_no_engine_is_connected_and_from_their_reservation_on_where_one_is(world: World) -> None:
    booking = booked(world, 8, (0, 4), (6, 8))
    assert stood(booking) == 8 * 6
    connection = engine(world)
    assert stood(booking) == 0
    booking.stretches.filter(start_hour=world.start).update(reserved_at=NOON)
    booking.stretches.filter(start_hour=world.start + 6).update(reserved_at=moment(world, 7.5))
    assert stood(booking) == 8 * 4.5
    connection.outages.create(since=moment(world, 3), until=moment(world, 7))
    connection.outages.create(since=moment(world, 7.75))
    assert stood(booking) == 8 * 3.25
    assert stood(booking, world.start + 2, world.start + 7) == 8
    assert [(one.since, one.until) for one in services.absences(booking, until_hour=world.start + 4)] == [
        (moment(world, 3), moment(world, 4))
    ]
    Connection.objects.update(state="off")
    assert stood(booking) == 8 * 6


def test_the_platforms_own_time_to_ask_for_a_reservation_is_not_lost(world: World) -> None:
    booking = booked(world, 8, (0, 4))
    engine(world)
    booking.stretches.update(reserved_at=moment(world, 1 / 60))
    assert stood(booking) == 8 * 4
    booking.stretches.update(reserved_at=moment(world, 0.5))
    assert stood(booking) == 8 * 3.5
    Booking.objects.update(created_at=moment(world, 0.49))  # it was bought in the hour that had begun
    booking.refresh_from_db()
    assert stood(booking) == 8 * 4


def test_what_a_changed_booking_takes_over_from_the_stretch_before_was_kept_all_along(world: World) -> None:
    booking = booked(world, 8, (0, 4))
    engine(world)
    booking.stretches.update(reserved_at=NOON)
    with clock.moved_to(moment(world, 2.5)):
        in_action(
            lambda act, record: services.recall(
                act, record, booking, from_hour=world.start + 2, cards=3, reason="failure"
            )
        )
    booking.stretches.filter(reserved_at=None).update(reserved_at=moment(world, 2.51))
    assert stood(booking) == 8 * 2 + 5 * 2


def test_hours_before_the_engine_was_connected_were_given_by_other_ways(world: World, tmp_path: Path) -> None:
    booking = booked(world, 8, (0, 4))
    with clock.moved_to(moment(world, 3)):
        connect(world, tmp_path / "jobs")
    assert stood(booking) == pytest.approx(8 * 3, abs=0.01)
