"""Idle hours become a proposal and, confirmed, a deposit; what was not observed, or is booked, is never offered."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from tests.compute.world import SYSTEM, World
from tests.jobs.rows import attempt
from tests.jobs.site import CARDS, book, connect
from tests.jobs.test_jobs_pages import client_of

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.base.errors import Invalid
from huoshui.compute.models import Deposit
from huoshui.jobs import proposals
from huoshui.jobs.actions.profiles import record_profile
from huoshui.jobs.models import Connection

WEEK = 168


def observed(connection: Connection, weeks: int, used: Callable[[int], int]) -> None:
    now = clock.hour_of(clock.now())
    profile = {("test", hour): used(hour) for hour in range(now - weeks * WEEK, now)}
    record_profile(SYSTEM, connection=connection, source="test", profile=profile)


def offered(world: World, quantile_bps: int = 9000) -> dict[int, int]:
    return {
        hour: stretch.cards
        for stretch in proposals.propose(world.pool, quantile_bps)
        for hour in range(stretch.start_hour, stretch.end_hour)
    }


def test_hours_that_were_idle_in_past_weeks_are_proposed_less_what_is_booked(world: World, tmp_path: Path) -> None:
    connection = connect(world, tmp_path / "jobs")
    observed(connection, 4, lambda hour: 3 if hour % 24 < 8 else 1)
    start = clock.hour_of(clock.now()) + proposals.AHEAD_HOURS
    booking = book(world, cards=2, hours=3, later=proposals.AHEAD_HOURS)
    found = offered(world)
    for hour in range(start, start + WEEK):
        idle = CARDS - (3 if hour % 24 < 8 else 1)
        booked = 2 if booking.start_hour <= hour < booking.end_hour else 0
        assert found.get(hour, 0) == min(idle, CARDS - booked)


def test_one_week_is_too_little_and_a_busy_week_counts(world: World, tmp_path: Path) -> None:
    connection = connect(world, tmp_path / "jobs")
    observed(connection, 1, lambda hour: 0)
    assert offered(world) == {}
    now = clock.hour_of(clock.now())
    observed(connection, 4, lambda hour: CARDS if hour < now - 3 * WEEK else 0)
    assert offered(world, 10_000) == {}
    assert set(offered(world, 7_500).values()) == {CARDS}


def test_what_guests_ran_is_no_use_of_the_sites_own_and_is_proposed_again(world: World, tmp_path: Path) -> None:
    connection = connect(world, tmp_path / "jobs")
    now = clock.hour_of(clock.now())
    hour = now + proposals.AHEAD_HOURS + 3
    nights = [hour - WEEK, hour - 2 * WEEK]
    observed(connection, 6, lambda at: CARDS if at in nights else 0)
    assert hour not in offered(world)
    sold = book(world, cards=1, hours=1)
    for night in nights:
        at = clock.instant_of(night) + timedelta(minutes=20)
        attempt(sold, cards=CARDS - 1, started_at=at, ended_at=at + timedelta(minutes=30))
    assert offered(world)[hour] == CARDS - 1  # one card was the site's own
    own = book(world, cards=1, hours=1, party=world.operator)
    attempt(own, cards=1, started_at=clock.instant_of(nights[0]), ended_at=clock.instant_of(nights[0] + 1))
    assert offered(world)[hour] == CARDS - 1


def test_a_profile_of_other_cards_is_refused(world: World, tmp_path: Path) -> None:
    connection = connect(world, tmp_path / "jobs")
    with pytest.raises(Invalid):
        record_profile(SYSTEM, connection=connection, source="test", profile={("abacus", 1): 1})


def test_an_operator_reads_a_prometheus_text_and_confirms_the_deposit(
    world: World, tmp_path: Path, people: Callable[..., Actor]
) -> None:
    connection = connect(world, tmp_path / "jobs")
    client = client_of(people("operator", f"party:{world.operator.pk}"))
    now = clock.hour_of(clock.now())
    lines = ["# TYPE DCGM_FI_DEV_GPU_UTIL gauge"]
    for hour in range(now - 3 * WEEK, now):
        for card in range(CARDS):
            busy = 90 if card == 0 else 0
            lines.append(f'DCGM_FI_DEV_GPU_UTIL{{gpu="{card}",modelName="test"}} {busy} {hour * 3_600_000 + 1000}')
    text = SimpleUploadedFile("gauges.txt", "\n".join(lines).encode() + b"\n")
    address = reverse("jobs:proposals", args=[world.pool.site_id])
    answer = client.post(
        address, {"file": text, "metric": "DCGM_FI_DEV_GPU_UTIL", "label": "modelName", "idempotency_key": "p/1"}
    )
    assert answer.status_code == 302, answer.content.decode()[-2000:]
    assert set(offered(world).values()) == {CARDS - 1}
    shown = client.get(reverse("jobs:proposal", args=[world.pool.pk]))
    assert len(shown.context["stretches"]) == 1
    terms = {"base_price_fen": "8.50", "settle_in": "money", "recall_notice_hours": 4, "idempotency_key": "p/2"}
    client.post(reverse("jobs:proposal", args=[world.pool.pk]), terms)
    deposit = Deposit.objects.get()
    assert (deposit.depositor, deposit.pool, deposit.stretches.get().cards) == (world.operator, world.pool, CARDS - 1)
    assert deposit.base_price_fen == 850
    assert set(offered(world).values()) == {1}
    assert connection.site == world.pool.site


def test_a_scrape_is_refused_with_the_command_that_asks_for_past_weeks(
    world: World, tmp_path: Path, people: Callable[..., Actor]
) -> None:
    connect(world, tmp_path / "jobs")
    client = client_of(people("operator", f"party:{world.operator.pk}"))
    scrape = SimpleUploadedFile("gauges.txt", b'DCGM_FI_DEV_GPU_UTIL{gpu="0",modelName="test"} 5\n')
    sent = {"file": scrape, "metric": "DCGM_FI_DEV_GPU_UTIL", "label": "modelName", "idempotency_key": "p/3"}
    answer = client.post(reverse("jobs:proposals", args=[world.pool.site_id]), sent)
    assert answer.context["text"].errors["file"]
    assert "query_range" in answer.content.decode()
