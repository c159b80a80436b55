"""What the runner makes of bookings on a real engine, this machine's: nothing is lost, nothing runs or is billed twice.
"""

import os
import signal
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection
from tests.compute.world import SYSTEM, World
from tests.compute.world import run as in_action
from tests.jobs import rows
from tests.jobs.site import RUNNER, book, connect, over, state_of, submit, turn_until

from huoshui.base import clock
from huoshui.engines import EngineError, Finding, Reservation
from huoshui.engines.base import REFUSED
from huoshui.engines.local import LocalEngine
from huoshui.jobs import alone, runner, services
from huoshui.jobs.actions.attempts import note_refused
from huoshui.jobs.actions.connections import record_check
from huoshui.jobs.actions.jobs import cancel_job
from huoshui.jobs.models import Attempt, BookedStretch, Booking, Connection, Job
from huoshui.jobs.services import BookingDraft, Used

HOUR = timedelta(hours=1)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Used]]:
    """What the seller `test.sale` is told of its bookings."""
    said: list[tuple[str, Used]] = []
    monkeypatch.setitem(
        services._ended, "test.sale", lambda act, record, booking, used: said.append((booking.state, used))
    )
    return said


def attempts(job: Job) -> list[Attempt]:
    return list(Job.objects.get(pk=job.pk).attempts.order_by("number"))


def reason_of(job: Job) -> str:
    return Job.objects.get(pk=job.pk).reason


def test_a_job_runs_in_its_booking_and_its_card_seconds_are_the_engines(world: World, tmp_path: Path) -> None:
    connect(world, tmp_path / "jobs")
    booking = book(world)
    job = submit(booking, "sleep 1.2; echo done > $HUOSHUI_OUTPUTS/result.txt", cards=2)
    turn_until(over(job))
    attempt = attempts(job)[0]
    assert state_of(job) == "succeeded"
    assert attempt.card_seconds in (2, 4)
    assert attempt.account_source == "local"
    assert services.used(booking).card_seconds == attempt.card_seconds
    assert job.artefacts.get().name == "result.txt"


def test_jobs_wait_for_cards_of_their_booking_and_never_use_more(world: World, tmp_path: Path) -> None:
    connect(world, tmp_path / "jobs")
    booking = book(world, cards=2)
    jobs = [submit(booking, "sleep 0.5", cards=cards) for cards in (1, 2, 1)]
    most = 0
    while not over(*jobs)():
        runner.turn(RUNNER)
        most = max(most, sum(attempt.cards for attempt in Attempt.objects.filter(state__in=["submitted", "running"])))
    assert most == 2
    assert [state_of(job) for job in jobs] == ["succeeded"] * 3


def test_a_job_that_fails_or_is_cancelled_says_so(world: World, tmp_path: Path) -> None:
    connect(world, tmp_path / "jobs")
    booking = book(world, cards=3)
    failing, endless = submit(booking, "exit 3"), submit(booking, "sleep 600")
    waiting = submit(booking, "true", cards=3)
    turn_until(lambda: state_of(endless) == "running" and over(failing)())
    for job in (endless, waiting):
        cancel_job(SYSTEM, key=f"cancel/{job.pk}", job=job)
    assert state_of(waiting) == "cancelled"
    turn_until(over(endless))
    assert (state_of(failing), reason_of(failing), attempts(failing)[0].exit_code) == ("failed", "exit_code", 3)
    assert (state_of(endless), reason_of(endless)) == ("cancelled", "cancelled")


def test_a_job_longer_than_allowed_is_ended(world: World, tmp_path: Path) -> None:
    connect(world, tmp_path / "jobs")
    job = submit(book(world), "sleep 600", seconds_max=1)
    turn_until(over(job))
    assert (state_of(job), reason_of(job)) == ("failed", "time_limit")


def test_the_spending_cap_stops_jobs_and_the_bill_stays_within_it(
    world: World, tmp_path: Path, told: list[tuple[str, Used]]
) -> None:
    connect(world, tmp_path / "jobs")
    booking = book(world, cards=2, cap_fen=6)  # one fen a card-second
    first, second = submit(booking, "sleep 600", cards=2), submit(booking, "sleep 600", cards=2)
    turn_until(over(first, second))
    assert (state_of(first), state_of(second)) == ("capped", "capped")
    turn_until(lambda: told, later=4 * HOUR)
    state, used = told[0]
    assert state == "settled"
    assert 0 < used.billed_seconds <= 6
    assert used.cost_fen == used.billed_seconds <= used.card_seconds <= 14


def test_when_the_hours_end_jobs_end_and_the_seller_is_told_once(
    world: World, tmp_path: Path, told: list[tuple[str, Used]]
) -> None:
    connect(world, tmp_path / "jobs")
    booking = book(world)
    running, waiting = submit(booking, "sleep 600", cards=2), submit(booking, "true")
    turn_until(lambda: state_of(running) == "running")
    turn_until(lambda: told, later=4 * HOUR)
    for _again in range(3):
        with clock.moved_to(clock.real_now() + 4 * HOUR):
            runner.turn(RUNNER)
    assert len(told) == 1
    assert told[0][1].card_seconds == sum(attempt.card_seconds or 0 for attempt in attempts(running))
    assert (state_of(running), reason_of(running)) == ("cancelled", "stretch_ended")
    assert (state_of(waiting), reason_of(waiting)) == ("cancelled", "booking_over")
    booking.refresh_from_db()
    assert booking.state == Booking.State.SETTLED


def test_a_booking_that_was_passed_on_in_full_ends_with_its_hours(world: World, told: list[tuple[str, Used]]) -> None:
    booking = book(world, hours=2, later=1)
    part = BookingDraft(
        party=world.entity, pool=world.pool, cards=2, stretches=[], source="test.sale:next", price_mfen=0, cap_fen=0,
        billing="whole",
    )  # fmt: skip
    hours = {"from_hour": booking.start_hour, "to_hour": booking.end_hour}
    in_action(lambda act, record: services.hand_over(act, record, booking, cards=2, draft=part, **hours))
    runner.turn(RUNNER)
    assert not told
    turn_until(lambda: len(told) == 2, seconds=1, later=4 * HOUR)
    assert [state for state, _used in told] == ["settled", "settled"]


def test_a_job_with_checkpoints_goes_on_in_the_next_stretch(world: World, tmp_path: Path) -> None:
    connect(world, tmp_path / "jobs")
    start = clock.hour_of(clock.now())
    booking = book(world, stretches=[(start, start + 1), (start + 3, start + 5)])
    counting = "echo x >> $HUOSHUI_CHECKPOINT/runs; [ $(wc -l < $HUOSHUI_CHECKPOINT/runs) = 2 ] || sleep 600"
    job = submit(booking, counting, attempts_max=2)
    turn_until(lambda: state_of(job) == "running")
    turn_until(lambda: state_of(job) == "queued", later=1.5 * HOUR)
    first, *none = attempts(job)
    assert (first.state, first.reason, none) == ("ended", "stretch_ended", [])


def test_cards_taken_back_send_jobs_into_the_queue_again(world: World, tmp_path: Path) -> None:
    connect(world, tmp_path / "jobs")
    booking = book(world, cards=3, recall_notice_hours=0)
    older, newer = (submit(booking, "sleep 600", cards=cards, attempts_max=2) for cards in (2, 1))
    turn_until(lambda: state_of(older) == state_of(newer) == "running")
    hour = clock.hour_of(clock.now())
    in_action(
        lambda act, record: services.recall(act, record, booking, from_hour=hour, cards=1, reason="failure")
    )
    turn_until(lambda: state_of(newer) == "queued")
    assert (state_of(older), attempts(newer)[0].reason) == ("running", "recalled")


def not_yet(*_asked: object) -> bool:
    """Copies that have not come about."""
    return False


def test_cards_taken_back_while_a_folder_is_made_send_the_job_into_the_queue(world: World, tmp_path: Path) -> None:
    connect(world, tmp_path / "jobs")
    booking = book(world, cards=3, recall_notice_hours=0)
    job = submit(booking, "true", cards=3, attempts_max=1)
    runner.turn(RUNNER, not_yet)
    hour = clock.hour_of(clock.now())
    in_action(lambda act, record: services.recall(act, record, booking, from_hour=hour, cards=1, reason="failure"))
    runner.turn(RUNNER)
    (attempt,) = attempts(job)
    assert (attempt.state, attempt.reason, attempt.sent_at) == ("ended", "recalled", None)
    assert (state_of(job), reason_of(job)) == ("queued", "recalled")


def test_a_job_is_handed_over_only_into_cards_that_the_engine_keeps(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(self: LocalEngine, wanted: Reservation) -> None:
        raise EngineError(REFUSED, "in use")

    connect(world, tmp_path / "jobs")
    job = submit(book(world), "true")
    runner.turn(RUNNER, not_yet)
    BookedStretch.objects.update(reserved_at=None, cards=4)
    with monkeypatch.context() as patched:
        patched.setattr(LocalEngine, "reserve", refuses)
        for _turn in range(2):
            runner.turn(RUNNER)
    (attempt,) = attempts(job)
    assert (attempt.sent_at, attempt.prepared_at is None, state_of(job)) == (None, False, "queued")
    turn_until(over(job))
    assert state_of(job) == "succeeded"


def test_what_the_engine_has_taken_cannot_be_refused_any_more(world: World) -> None:
    attempt = rows.attempt(book(world), state="submitted", started_at=None, ended_at=None)
    note_refused(RUNNER, attempt=attempt, code="store", text="")
    attempt.refresh_from_db()
    assert (attempt.state, attempt.card_seconds, state_of(attempt.job)) == ("submitted", None, "queued")


def test_of_two_runners_one_works_and_the_other_stands_by(
    db: None, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.HOME = tmp_path
    over, turned = threading.Event(), threading.Event()
    monkeypatch.setattr(runner, "turn", lambda *_given: turned.set() or 0)
    monkeypatch.setattr(runner, "STAND_BY_SECONDS", 0.01)
    first = alone.Lock()
    assert first.take()
    second = threading.Thread(target=runner.run_forever, args=(RUNNER, over))
    second.start()
    assert not turned.wait(0.2)
    first.require()
    first.close()
    assert turned.wait(5)
    assert not first.take()
    over.set()
    second.join(5)
    assert first.take()
    if first._session is not None:  # PostgreSQL: a session that the server ends takes the lock along
        with connection.cursor() as cursor:
            pid = first._session.connection.info.backend_pid
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        with pytest.raises(DatabaseError):
            first.require()
    first.close()


def test_a_cancelled_booking_ends_its_jobs_and_gives_the_cards_to_the_next(
    world: World, tmp_path: Path, told: list[tuple[str, Used]]
) -> None:
    connect(world, tmp_path / "jobs")
    booking = book(world, cards=4)
    job = submit(booking, "sleep 600", cards=4)
    turn_until(lambda: state_of(job) == "running")
    in_action(lambda act, record: services.cancel(act, record, booking, "withdrawn"))
    turn_until(lambda: told)
    assert (told[0][0], reason_of(job)) == ("cancelled", "booking_over")
    next_job = submit(book(world, cards=4), "true", cards=4)
    turn_until(over(next_job))
    assert state_of(next_job) == "succeeded"


def test_a_card_model_that_the_engine_does_not_have_is_said(world: World, tmp_path: Path) -> None:
    connection = connect(world, tmp_path / "jobs")
    connection.settings = connection.settings | {"cards": "other=4"}
    connection.save()
    booking = book(world)
    runner.turn(RUNNER)
    booking.refresh_from_db()
    assert booking.state == Booking.State.PLANNED
    assert booking.fault


def test_an_engine_that_does_not_pass_its_check_starts_nothing_but_loses_nothing(world: World, tmp_path: Path) -> None:
    connection = connect(world, tmp_path / "jobs")
    booking = book(world)
    running = submit(booking, "sleep 1")
    turn_until(lambda: state_of(running) == "running")
    faulty = [Finding("fault", "separation", "")]
    connection = record_check(SYSTEM, connection=connection, findings=faulty)
    assert connection.state == "faulty"
    waiting = submit(booking, "true")
    turn_until(over(running))
    for _turn in range(3):
        runner.turn(RUNNER)
    assert (state_of(running), state_of(waiting)) == ("succeeded", "queued")
    assert Connection.objects.get().state == "faulty"
    record_check(SYSTEM, connection=connection, findings=[Finding("ok", "cards", "")])
    turn_until(over(waiting))


def test_turns_without_work_change_nothing(world: World, tmp_path: Path) -> None:
    connect(world, tmp_path / "jobs")
    book(world)
    runner.turn(RUNNER)
    assert [runner.turn(RUNNER) for _turn in range(3)] == [0, 0, 0]




def test_a_killed_supervisor_is_a_lost_node_and_the_job_starts_again(world: World, tmp_path: Path) -> None:
    connection = connect(world, tmp_path / "jobs")
    once = "[ -f $HUOSHUI_CHECKPOINT/x ] || { touch $HUOSHUI_CHECKPOINT/x; sleep 600; }"
    job = submit(book(world), once, attempts_max=2)
    turn_until(lambda: state_of(job) == "running")
    time.sleep(1)
    kill_supervisor(Path(connection.settings["workdir"]), attempts(job)[0].name)
    turn_until(over(job))
    first, second = attempts(job)
    assert (first.reason, second.exit_code, state_of(job)) == ("node_lost", 0, "succeeded")
    assert first.card_seconds is not None


def kill_supervisor(workdir: Path, name: str) -> None:
    """Kill what supervises an attempt, as if its node had gone."""
    mark = str(workdir / ".engine" / "jobs" / name)
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                line = (process / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if "local_shim" in line and mark in line:
                os.kill(int(process.name), signal.SIGKILL)
