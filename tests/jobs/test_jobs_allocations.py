"""What the bank gives becomes a booking and follows every change; what stood reserved is reported as delivered."""

from datetime import timedelta

from tests.compute.world import NOON, SYSTEM, World, ask, clear, moment, party
from tests.jobs.site import RUNNER, numbers

from huoshui.base import clock
from huoshui.compute.actions import allocations
from huoshui.compute.actions.recalls import recall_cards
from huoshui.compute.models import Allocation, Delivery, Deposit, Pool, Site
from huoshui.jobs import deliveries, sources
from huoshui.jobs.actions.jobs import submit_job
from huoshui.jobs.calendar import booked_cards, free_cards
from huoshui.jobs.models import BookedStretch, Booking, Connection, Job, Outage


def bookings(allocation: Allocation) -> list[Booking]:
    return list(Booking.objects.filter(source__startswith=f"compute.allocation:{allocation.pk}@").order_by("id"))


def cards(world: World, booking: Booking, end: int = 10) -> list[int]:
    return booked_cards(booking, world.start, world.start + end).tolist()


def test_each_allocation_is_a_booking_that_takes_no_card_twice(world: World) -> None:
    deposit = world.offer(900, hours=(0, 6))
    allocation = world.give([(1, 3), (4, 6)], [(deposit, 1, 3, 8), (deposit, 4, 6, 8)])
    (booking,) = bookings(allocation)
    assert cards(world, booking, 7) == [0, 8, 8, 0, 8, 8, 0]
    assert (booking.party, booking.pool, booking.billing, booking.cap_fen) == (
        world.entity, world.pool, "whole", allocation.payment_fen,
    )  # fmt: skip
    assert free_cards([world.pool], world.start, world.start + 7)[0].tolist() == [100] * 6 + [1000]
    title, address = sources.tell(booking)
    assert allocation.request.number in title
    assert address


def test_an_early_end_and_a_lower_cap_shorten_the_booking(world: World) -> None:
    deposit = world.offer(100)
    allocation = world.give([(0, 10)], [(deposit, 0, 10, 2)])
    with clock.moved_to(moment(world, -1)):
        allocations.set_spending_cap(
            SYSTEM, key="cap", allocation=allocation, cap_fen=allocation.payment_fen // 2
        )
    (booking,) = bookings(allocation)
    stop = cards(world, booking).index(0)
    assert 4 <= stop <= 5
    with clock.moved_to(moment(world, -1)):
        allocations.set_spending_cap(SYSTEM, key="cap/2", allocation=allocation, cap_fen=allocation.payment_fen)
    assert cards(world, bookings(allocation)[0]) == [2] * 10
    with clock.moved_to(moment(world, 0.5)):
        allocations.finish_early(SYSTEM, key="early", allocation=allocation, hour=world.start + 2)
    (booking,) = bookings(allocation)
    assert booking.end_hour < world.start + 10
    assert cards(world, booking)[9] == 0


def test_a_cap_that_is_lowered_to_nothing_and_raised_again_makes_further_bookings(world: World) -> None:
    allocation = world.give([(0, 10)], [(world.offer(100), 0, 10, 2)])
    for number, cap_fen in enumerate((0, allocation.payment_fen) * 2):
        with clock.moved_to(moment(world, -1)):
            allocations.set_spending_cap(SYSTEM, key=f"cap/{number}", allocation=allocation, cap_fen=cap_fen)
    assert [(one.source.partition("@")[2], one.state) for one in bookings(allocation)] == [
        ("1", "cancelled"), ("1.1", "cancelled"), ("1.2", "planned"),
    ]  # fmt: skip
    assert cards(world, bookings(allocation)[-1]) == [2] * 10


def test_a_cancelled_allocation_ends_its_booking(world: World) -> None:
    allocation = world.give([(0, 4)], [(world.offer(100), 0, 4, 2)])
    with clock.moved_to(moment(world, -11)):
        allocations.cancel_allocation(SYSTEM, key="cancel", allocation=allocation)
    (booking,) = bookings(allocation)
    assert booking.state == "cancelled"
    assert not booking.stretches.exists()


def test_resold_hours_are_their_buyers(world: World) -> None:
    mine = world.give([(0, 6)], [(world.offer(100), 0, 6, 8)])
    resold = world.offer(3, world.entity, resold_from=mine, hours=(2, 4))
    buyer = party("示例买方", "entity")
    world.limit(buyer)
    theirs = world.give([(2, 4)], [(resold, 2, 4, 3)], entity=buyer)
    assert cards(world, bookings(mine)[0], 6) == [8, 8, 5, 5, 8, 8]
    assert cards(world, bookings(theirs)[0], 6) == [0, 0, 3, 3, 0, 0]
    assert bookings(theirs)[0].party == buyer


def elsewhere(world: World) -> Pool:
    """A pool at another site of the operator, with a deposit as large as the first."""
    site = Site.objects.create(
        operator=world.operator, code="t", name="另一站", region=world.region, division="330100", tariff="-"
    )
    return Pool.objects.create(site=site, card_model=world.pool.card_model, cards=1000, list_price_fen=2000)


def given(world: World) -> tuple[Allocation, Deposit]:
    """Ten cards over four hours, by a real round, and the deposit that gives them."""
    deposit = world.offer(10, notice=0)
    request = ask(world, 10, 4, (2, 6))
    clear(world)
    return request.allocations.get(), deposit


def fail(world: World, deposit: Deposit) -> None:
    with clock.moved_to(moment(world, -1)):
        recall_cards(
            SYSTEM, key="recall", deposit=deposit, start_hour=world.start + 2, end_hour=world.start + 6, cards=10,
            reason="failure",
        )  # fmt: skip


def test_jobs_move_with_an_allocation_that_moves(world: World) -> None:
    home, other = world.pool, elsewhere(world)
    world.pool = other
    world.offer(10, notice=0, base=200)
    world.pool = home
    allocation, deposit = given(world)
    (before,) = bookings(allocation)
    with clock.moved_to(NOON):
        job = submit_job(
            SYSTEM, key="job", booking=before, title="x", template="command", parameters={"arguments": "/bin/true"}
        )
    fail(world, deposit)
    old, new = bookings(allocation)
    assert (old.pool, old.state, old.fault) == (home, "cancelled", "rescheduled")
    assert (new.pool, new.state, new.source[-2:]) == (other, "planned", "@2")
    assert cards(world, new, 6) == [0, 0, 10, 10, 10, 10]
    assert Job.objects.get(pk=job.pk).booking == new


def test_an_allocation_that_finds_no_place_ends_its_booking(world: World) -> None:
    allocation, deposit = given(world)
    fail(world, deposit)
    (booking,) = bookings(allocation)
    assert (booking.state, booking.stretches.count()) == ("cancelled", 0)


def connected(world: World) -> Connection:
    return Connection.objects.create(
        site=world.pool.site, kind="local", tag=f"d{next(numbers)}", state="up", settings={"workdir": "-"}
    )


def test_delivery_is_the_time_that_the_reservation_stood_on_a_working_engine(world: World) -> None:
    allocation = world.give([(0, 4)], [(world.offer(100), 0, 4, 2)])
    connection = connected(world)
    BookedStretch.objects.update(reserved_at=moment(world, 0.5))
    Outage.objects.create(connection=connection, since=moment(world, 1), until=moment(world, 1) + timedelta(minutes=15))
    with clock.moved_to(moment(world, 3.9)):
        assert deliveries.report(RUNNER, connection) == 0
    with clock.moved_to(moment(world, 4.1)):
        assert deliveries.report(RUNNER, connection) == 1
        assert deliveries.report(RUNNER, connection) == 0
    report = Delivery.objects.get(allocation=allocation)
    assert (report.start_hour, report.end_hour) == (world.start, world.start + 4)
    assert report.milli_card_hours == 2 * (4000 - 500 - 250)
    assert len(report.evidence) == 64


def test_what_was_never_reserved_or_reported_by_hand_is_left_alone(world: World) -> None:
    world.give([(0, 2)], [(world.offer(100), 0, 2, 2)])
    connection = connected(world)
    with clock.moved_to(moment(world, 3)):
        assert deliveries.report(RUNNER, connection) == 0
    assert not Delivery.objects.exists()
