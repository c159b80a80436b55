"""Use of cards by pool and month: what engines tell, what was booked, what ran; no data is not zero."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from tests.compute.world import NOON, World, build
from tests.compute.world import run as in_action
from tests.jobs.rows import attempt

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.jobs import services, use
from huoshui.jobs.indicators import MEASURES, month
from huoshui.jobs.models import Booking, IdleProfile
from huoshui.jobs.use import Use

HOUR = 3600


@pytest.fixture
def world(db: None) -> Iterator[World]:
    made = build()
    made.pool.cards = 10
    made.pool.save()
    with clock.moved_to(NOON):
        yield made


def booked(world: World, cards: int = 4, hours: int = 10) -> Booking:
    said: list[Booking] = []
    draft = services.BookingDraft(
        party=world.entity, pool=world.pool, cards=cards, stretches=[(world.start, world.start + hours)],
        source="test.sale:1", price_mfen=800_000, cap_fen=10**6, billing="used",
    )  # fmt: skip
    in_action(lambda act, record: said.append(services.book(act, record, draft)))
    return said[0]


def ran(booking: Booking, world: World, begin: float, hours: float, seconds: int) -> None:
    start = clock.instant_of(world.start) + timedelta(hours=begin)
    attempt(booking, card_seconds=seconds, started_at=start, ended_at=start + timedelta(hours=hours))


def of(world: World, hours: int = 10, later: int = 0) -> Use:
    first = world.start + later
    return use.by_pool([world.pool], first, first + hours)[world.pool.pk]


def test_a_pool_of_which_nobody_tells_has_no_data(world: World) -> None:
    found = of(world)
    assert (found.used_bps, found.rented_bps, found.ran_bps) == (None, None, None)
    assert use.total(world.start, world.start + 10) == Use()


def test_attempts_count_in_the_hours_in_which_they_ran(world: World) -> None:
    """4 cards for two hours from 9:30 on: half an hour before the border, an hour and a half after it."""
    booking = booked(world, hours=20)
    ran(booking, world, 9.5, 2, 4 * 2 * HOUR)
    assert (of(world).used, of(world, later=10).used) == (4 * HOUR // 2, 4 * HOUR * 3 // 2)
    assert of(world).used_bps == 2 * HOUR * 10_000 // (10 * 10 * HOUR)


def test_what_an_engine_tells_of_an_hour_counts_instead_of_our_attempts(world: World) -> None:
    """In the first hour the engine says 7 cards, ours among them; in the second it says nothing."""
    ran(booked(world), world, 0, 2, 4 * 2 * HOUR)
    IdleProfile.objects.create(pool=world.pool, hour=world.start, cards_used=7, source="slurm")
    assert of(world).used == 7 * HOUR + 4 * HOUR


def test_rented_counts_bookings_in_the_hours_over_installed(world: World) -> None:
    booking = booked(world, cards=4, hours=10)
    assert of(world).rented_bps == 4_000
    assert of(world, hours=5, later=5).rented == 4 * 5 * HOUR
    Booking.objects.filter(pk=booking.pk).update(state=Booking.State.CANCELLED)
    assert of(world).rented_bps is None


def test_what_ran_is_compared_with_what_was_sold_when_the_booking_is_over(world: World) -> None:
    booking = booked(world, cards=4, hours=10)
    ran(booking, world, 0, 5, 4 * 5 * HOUR)
    assert of(world).ran_bps is None
    with clock.moved_to(clock.instant_of(world.start + 11)):
        assert of(world).ran_bps == 5_000


def test_the_indicators_judge_the_month_that_is_over(world: World) -> None:
    ran(booked(world, cards=10, hours=10), world, 0, 10, 100 * HOUR)
    end = clock.day_start(clock.local(NOON).date().replace(month=4, day=1))
    hours = 31 * 24
    with clock.moved_to(end):
        assert [month(measure, end) for measure in MEASURES] == [10 * 10_000 // hours, 10 * 10_000 // hours, 10_000]


def test_the_page_shows_sites_by_month(world: World, people: Callable[..., Actor], client: Client) -> None:
    ran(booked(world), world, 0, 1, 4 * HOUR)
    officer: Any = people("officer").user
    client.force_login(officer)
    with clock.moved_to(clock.instant_of(world.start + 24)):
        for measure in MEASURES:
            page = client.get("/jobs/use/", {"show": measure.name}).content.decode()
            assert world.pool.site.name in page
            assert "2026-03" in page
