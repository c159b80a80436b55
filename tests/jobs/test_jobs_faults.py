"""Engines that lie, are late, answer twice or not at all: a clear outcome, nothing lost, nothing billed falsely."""

import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st
from tests.compute.world import World
from tests.jobs import rows
from tests.jobs.site import RUNNER, book, connect, over, state_of, submit, turn_until

from huoshui.base import clock
from huoshui.base.errors import Refused
from huoshui.cases.models import Case
from huoshui.compute.models import Recall
from huoshui.engines import EngineError, JobSpec, Usage
from huoshui.engines.base import REFUSED, UNREACHABLE
from huoshui.engines.local import LocalEngine
from huoshui.jobs import copies, endpoints, folders, panel, runner, services
from huoshui.jobs.accounting import ROUNDING_SECONDS, SLACK, judge
from huoshui.jobs.actions.attempts import account
from huoshui.jobs.actions.connections import connect as join
from huoshui.jobs.actions.connections import note_failure, switch_off
from huoshui.jobs.actions.jobs import cancel_job
from huoshui.jobs.models import Attempt, Booking, Connection, Job, Outage

AT = datetime(2026, 11, 21, 8, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SUBMIT = LocalEngine.submit


def judged(usage: Usage | None, **more: Any) -> Any:
    values: dict[str, Any] = {
        "cards": 2, "submitted": AT, "now": AT + timedelta(seconds=200), "started": AT, "seen": None,
    }  # fmt: skip
    return judge(usage, **values | more)


TRUE = Usage(2, 200, AT, AT + timedelta(seconds=100), "test", "raw")


def test_a_true_account_counts_as_it_is() -> None:
    assert judged(TRUE) == judged(TRUE, seen=AT + timedelta(seconds=90))
    assert (judged(TRUE).card_seconds, judged(TRUE).faults) == (200, ())


@pytest.mark.parametrize(
    ("changes", "fault", "seconds"),
    [
        ({"cards": 4, "card_seconds": 400}, "more_cards", 202),
        ({"card_seconds": 10**9}, "more_than_possible", 202),
        ({"card_seconds": -5}, "negative", 0),
        ({"started": AT - MINUTE}, "started_before_sent", 200),
        ({"ended": AT - MINUTE, "card_seconds": 10}, "ended_before_started", 0),
        ({"ended": AT + timedelta(hours=1), "card_seconds": 7200}, "ended_in_future", 412),
        ({"started": AT + timedelta(seconds=30), "card_seconds": 140}, "start_moved", 140),
    ],
)  # fmt: skip
def test_what_cannot_be_true_is_named_and_not_billed(changes: dict[str, Any], fault: str, seconds: int) -> None:
    found = judged(replace(TRUE, **changes))
    assert fault in found.faults
    assert found.card_seconds == seconds


def test_an_account_that_shrinks_or_is_missing_is_named() -> None:
    assert judged(replace(TRUE, card_seconds=50), seen=AT + timedelta(seconds=90)).faults == ("less_than_seen",)
    assert judged(None).faults == ("account_missing",)
    assert judged(None, started=None) == judged(None, started=None, seen=None)
    assert judged(None, started=None).faults == ()


@given(
    cards=st.integers(-3, 100), seconds=st.integers(-(10**12), 10**12), started=st.integers(-(10**6), 10**6),
    ended=st.none() | st.integers(-(10**6), 10**6), seen=st.none() | st.integers(0, 200),
)  # fmt: skip
def test_whatever_an_engine_says_no_more_is_billed_than_can_have_run(
    cards: int, seconds: int, started: int, ended: int | None, seen: int | None
) -> None:
    def instant(second: int | None) -> Any:
        return None if second is None else AT + timedelta(seconds=second)

    said = Usage(cards, seconds, instant(started), instant(ended), "test", "raw")
    found = judged(said, seen=instant(seen))
    most = 2 * (200 + 2 * SLACK.total_seconds() + ROUNDING_SECONDS)
    assert 0 <= found.card_seconds <= most
    assert found.faults or found.card_seconds == seconds


def lying(monkeypatch: pytest.MonkeyPatch, lie: Callable[[Usage], Usage | None]) -> None:
    """The engine tells accounts changed by `lie`."""
    true = LocalEngine.usage

    def usage(self: LocalEngine, names: Sequence[str]) -> dict[str, Usage]:
        told = {name: lie(said) if said.ended else said for name, said in true(self, names).items()}
        return {name: said for name, said in told.items() if said is not None}

    monkeypatch.setattr(LocalEngine, "usage", usage)


def test_an_engine_that_lies_is_bounded_and_its_operator_gets_a_case(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(world, tmp_path / "jobs")
    lying(monkeypatch, lambda said: replace(said, card_seconds=10**6))
    job = submit(book(world), "sleep 1")
    turn_until(over(job))
    attempt = Attempt.objects.get()
    assert attempt.disputed == "more_than_possible"
    assert attempt.card_seconds is not None
    assert attempt.card_seconds <= 30
    case = Case.objects.get()
    assert (case.kind, case.party) == ("jobs.account", world.operator)
    assert state_of(job) == "succeeded"


def test_an_account_that_is_late_is_waited_for(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(world, tmp_path / "jobs")
    late = [True]
    lying(monkeypatch, lambda said: None if late[0] else said)
    job = submit(book(world), "sleep 0.3")
    turn_until(lambda: Attempt.objects.filter(sent_at__isnull=False).exists())
    for _turn in range(20):
        runner.turn(RUNNER)
    assert Attempt.objects.get().state != Attempt.State.ENDED
    late[0] = False
    turn_until(over(job))
    assert Attempt.objects.get().disputed == ""


def test_an_account_that_comes_twice_counts_once(world: World, tmp_path: Path) -> None:
    connect(world, tmp_path / "jobs")
    booking = book(world)
    job = submit(booking, "sleep 0.5")
    turn_until(over(job))
    before = services.used(booking)
    attempt = Attempt.objects.get()
    for seconds in (attempt.card_seconds or 0, 10**6):
        said = Usage(1, seconds, AT, AT + MINUTE, "test", "again")
        account(RUNNER, attempt=attempt, exit_code=1, reason="", usage=said)
    assert services.used(booking) == before
    assert state_of(job) == "succeeded"


class Dead:
    """Makes engines of this machine unreachable while `dead`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.dead, true = False, LocalEngine.reservations

        def reservations(engine: LocalEngine) -> Any:
            if self.dead:
                raise EngineError(UNREACHABLE, "no route to host")
            return true(engine)

        monkeypatch.setattr(LocalEngine, "reservations", reservations)


def turn_at(later: timedelta) -> None:
    with clock.moved_to(clock.real_now() + later):
        runner.turn(RUNNER)


def test_an_engine_that_does_not_answer_is_noticed_shown_and_forgiven(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, connection = Dead(monkeypatch), connect(world, tmp_path / "jobs")
    job = submit(book(world), "sleep 1")
    turn_until(lambda: state_of(job) == "running")
    engine.dead = True
    turn_at(timedelta())
    connection.refresh_from_db()
    assert (connection.state, connection.failing_since is None) == (Connection.State.UP, False)
    turn_at(6 * MINUTE)
    connection.refresh_from_db()
    assert connection.state == Connection.State.DOWN
    assert state_of(job) == "running"
    engine.dead = False
    turn_until(over(job), later=7 * MINUTE)
    connection.refresh_from_db()
    assert (connection.state, connection.failing_since, state_of(job)) == ("up", None, "succeeded")
    outage = Outage.objects.get()
    assert outage.until is not None
    assert outage.until > outage.since


def test_an_engine_that_refuses_has_no_outage_until_it_is_silent(world: World, tmp_path: Path) -> None:
    connection = connect(world, tmp_path / "jobs")
    note_failure(RUNNER, connection=connection, code=REFUSED, text="still in use")
    assert not Outage.objects.exists()
    for text in ("time-out", "no route to host"):
        note_failure(RUNNER, connection=connection, code=UNREACHABLE, text=text)
    assert Outage.objects.get().until is None


def test_a_site_lost_for_long_loses_its_bookings_and_what_ran_is_settled_when_it_returns(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[tuple[str, services.Used]] = []
    monkeypatch.setitem(
        services._ended, "test.sale", lambda act, record, booking, used: said.append((booking.state, used))
    )
    engine = Dead(monkeypatch)
    connect(world, tmp_path / "jobs")
    booking, longer = book(world), book(world, cards=1, hours=48)
    job = submit(booking, "sleep 600")
    turn_until(lambda: state_of(job) == "running")
    engine.dead = True
    turn_at(timedelta())
    turn_at(31 * MINUTE)
    booking.refresh_from_db()
    longer.refresh_from_db()
    assert (booking.state, longer.state) == (Booking.State.LOST, Booking.State.RESERVED)
    assert (state_of(job), Job.objects.get().reason) == ("failed", "engine_lost")
    assert not said
    engine.dead = False
    turn_until(lambda: said, later=32 * MINUTE)
    state, used = said[0]
    assert (state, used.attempts) == ("lost", 1)
    assert used.card_seconds == Attempt.objects.get().card_seconds


def test_what_was_last_seen_settles_a_site_that_never_returns(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Dead(monkeypatch)
    connect(world, tmp_path / "jobs")
    job = submit(book(world), "sleep 600")
    turn_until(lambda: Attempt.objects.filter(seen_at__isnull=False).exists())
    engine.dead = True
    turn_at(timedelta())
    turn_at(31 * MINUTE)
    turn_at(timedelta(hours=25))
    attempt = Attempt.objects.get()
    assert (attempt.state, attempt.account_source) == ("ended", "seen by the runner")
    assert (attempt.card_seconds or 0) <= 60
    assert Booking.objects.get().closed_at is not None
    engine.dead = False
    submit_name = attempt.name
    LocalEngine(Connection.objects.get().settings).cancel(submit_name)
    assert job.number in submit_name


def test_outputs_do_not_wait_for_an_attempt_that_was_left_behind_at_a_lost_site(world: World) -> None:
    left = rows.attempt(book(world), state="running", ended_at=None, reason="engine_lost")
    Connection.objects.update(state=Connection.State.DOWN)
    Job.objects.update(state=Job.State.SUCCEEDED, ended_at=AT)
    there = world.pool.site
    there.pk, there.code = None, "elsewhere"
    there.save()
    place = Connection.objects.create(site=there, kind="local", tag="there", state=Connection.State.UP)
    assert not list(copies._outputs())
    ran = Attempt.objects.create(
        job=left.job, number=2, name="t-there", connection=place, booking=left.booking, cards=1, seconds_max=9,
        until=AT, submitted_at=AT, sent_at=AT, started_at=AT, state=Attempt.State.RUNNING,
    )  # fmt: skip
    assert not list(copies._outputs())
    Attempt.objects.filter(pk=ran.pk).update(state=Attempt.State.ENDED)
    assert [site for site, _name, _work in copies._outputs()] == [place.pk]


def test_an_engine_stays_until_the_outputs_of_its_jobs_are_fetched(world: World) -> None:
    old = rows.attempt(book(world)).job
    made = Connection.objects.get()
    settings.ENGINE_PATHS = [Path("/srv")]
    Booking.objects.update(state=Booking.State.SETTLED)
    Job.objects.update(state=Job.State.SUCCEEDED, ended_at=clock.now())
    moved = {"workdir": "/srv/other", "cards": "test=4"}
    with pytest.raises(Refused) as caught:
        switch_off(RUNNER, key="off", connection=made)
    assert caught.value.code == "outputs_there"
    with pytest.raises(Refused, match="1"):
        join(RUNNER, key="move", site=made.site, kind="local", settings=moved)
    Job.objects.filter(pk=old.pk).update(ended_at=clock.now() - timedelta(days=8))
    assert join(RUNNER, key="move 2", site=made.site, kind="local", settings=moved).settings == moved
    assert switch_off(RUNNER, key="off 2", connection=made).state == "off"


def test_a_lost_site_reports_its_deposits_as_failed_once(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Dead(monkeypatch)
    connect(world, tmp_path / "jobs")
    hour = clock.hour_of(clock.now())
    offered = world.offer(3, hours=(hour - world.start, hour - world.start + 6))
    engine.dead = True
    turn_at(timedelta())
    for minutes in (31, 32, 33):
        turn_at(minutes * MINUTE)
    recall = Recall.objects.get()
    assert (recall.deposit, recall.cards, recall.reason) == (offered, 3, "failure")
    assert recall.end_hour == hour + 6


def left_of(booking: Booking) -> list[tuple[int, int]]:
    """(hours, cards) of each stretch of a booking."""
    return [(one.end_hour - one.start_hour, one.cards) for one in booking.stretches.order_by("start_hour")]


def test_cards_of_a_lost_node_fail_in_the_hours_of_the_next_day_and_what_the_bank_sold_goes_first(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connect(world, tmp_path / "jobs")
    hour = clock.hour_of(clock.now())
    offered = world.offer(1, hours=(hour - world.start, hour - world.start + 6))
    old, new = book(world, cards=1, hours=30), book(world, cards=2, hours=6)
    monkeypatch.setattr(LocalEngine, "cards", lambda _self: {"test": 2})
    turn_at(timedelta())
    assert [(one.word, one.working, one.wanted) for one in connection.shortages.all()] == [("test", 2, 4)]
    assert [todo.kind for todo in panel.engines_down(RUNNER)] == ["jobs.engine"]
    turn_at(29 * MINUTE)
    assert (left_of(old), left_of(new), Recall.objects.count()) == ([(30, 1)], [(6, 2)], 0)
    for minutes in (31, 32, 33):
        turn_at(minutes * MINUTE)
    recall = Recall.objects.get()
    assert (recall.deposit, recall.cards, recall.end_hour, recall.reason) == (offered, 1, hour + 6, "failure")
    assert left_of(old) == [(30, 1)]
    assert left_of(new)[-1][1] == 1
    assert services.lost_with_engine(new) == sum(hours for hours, cards in left_of(new) if cards == 1)
    assert connection.shortages.exists()
    assert services.free_cards([world.pool], hour, hour + 6)[0].max() == 0


def test_cards_that_are_lost_later_have_their_half_hour_too(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(world, tmp_path / "jobs")
    booking, working = book(world, cards=4, hours=20), {"test": 3}
    monkeypatch.setattr(LocalEngine, "cards", lambda _self: working)
    for minutes in (0, 31):
        turn_at(minutes * MINUTE)
    working["test"] = 0
    for minutes in (33, 62):
        turn_at(minutes * MINUTE)
    assert left_of(booking)[-1][1] == 3
    turn_at(65 * MINUTE)
    assert Booking.objects.get().state == "lost"


def test_a_longer_booking_loses_the_next_day_only_and_a_node_that_is_back_ends_it(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(world, tmp_path / "jobs")
    booking = book(world, cards=4, hours=60)
    working = {"test": 3}
    monkeypatch.setattr(LocalEngine, "cards", lambda _self: working)
    for minutes in (0, 31):
        turn_at(minutes * MINUTE)
    assert [cards for _hours, cards in left_of(booking)][-2:] == [3, 4]
    kept = left_of(booking)
    working["test"] = 4
    for minutes in (62, 93, 124):
        turn_at(minutes * MINUTE)
    assert left_of(booking) == kept
    booking.refresh_from_db()
    assert booking.state in ("planned", "reserved")


def test_jobs_that_still_fit_go_on_when_a_card_of_their_booking_is_lost(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(world, tmp_path / "jobs")
    booking, working = book(world, cards=4, hours=60), {"test": 4}
    monkeypatch.setattr(LocalEngine, "cards", lambda _self: working)
    jobs = [submit(booking, "sleep 300", seconds_max=36_000, attempts_max=2) for _number in range(3)]
    turn_until(lambda: all(state_of(job) == "running" for job in jobs))
    working["test"] = 2
    later = timedelta(hours=2)  # so the stretch is cut behind its beginning
    turn_at(later)
    turn_at(later + 31 * MINUTE)
    turn_until(lambda: state_of(jobs[2]) == "queued", later=later + 32 * MINUTE)
    assert Job.objects.get(pk=jobs[2].pk).reason == "recalled"
    assert [state_of(job) for job in jobs[:2]] == ["running", "running"]
    assert [one.cards for one in booking.stretches.order_by("start_hour")] == [4, 2, 4]
    assert all(one.reserved_at for one in booking.stretches.order_by("start_hour"))
    for job in jobs:
        cancel_job(RUNNER, job=job)
    turn_until(over(*jobs), later=later + 33 * MINUTE)


def test_a_job_whose_cards_are_all_lost_for_a_day_waits_for_the_hours_after_it(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(world, tmp_path / "jobs")
    booking, working = book(world, cards=2, hours=60), {"test": 4}
    monkeypatch.setattr(LocalEngine, "cards", lambda _self: working)
    job = submit(booking, "sleep 300", seconds_max=36_000, attempts_max=2)
    turn_until(lambda: state_of(job) == "running")
    working["test"] = 0
    for minutes in (1, 32):
        turn_at(minutes * MINUTE)
    assert Attempt.objects.get().reason == "recalled"  # before its reservation is given up, which ends it too
    turn_until(lambda: state_of(job) != "running", later=33 * MINUTE)
    assert (state_of(job), Job.objects.get().reason) == ("queued", "recalled")


def test_a_card_that_the_engine_does_not_name_is_not_missing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(world, tmp_path / "jobs")
    booking = book(world, cards=4)
    monkeypatch.setattr(LocalEngine, "cards", lambda _self: {"another": 0})
    for minutes in (0, 31, 62):
        turn_at(minutes * MINUTE)
    assert services.lost_with_engine(booking) == 0


def test_a_job_that_the_engine_forgot_fails_after_a_while_and_costs_nothing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(world, tmp_path / "jobs")
    booking = book(world)
    monkeypatch.setattr(LocalEngine, "submit", lambda self, spec: None)
    job = submit(booking, "true", attempts_max=1)
    turn_at(timedelta())
    turn_at(timedelta(seconds=30))
    assert state_of(job) == "queued"
    turn_at(timedelta(seconds=70))
    assert (state_of(job), Job.objects.get().reason) == ("failed", "lost")
    assert services.used(booking).card_seconds == 0


def test_a_submission_whose_answer_was_lost_runs_once(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(world, tmp_path / "jobs")
    true, asked = LocalEngine.submit, list[str]()

    def unsure(self: LocalEngine, spec: Any) -> None:
        true(self, spec)
        asked.append(spec.name)
        if len(asked) == 1:
            raise EngineError(UNREACHABLE, "time-out")

    monkeypatch.setattr(LocalEngine, "submit", unsure)
    job = submit(book(world), "echo x >> $HUOSHUI_CHECKPOINT/runs; cp $HUOSHUI_CHECKPOINT/runs $HUOSHUI_OUTPUTS/runs")
    turn_at(timedelta())
    turn_until(over(job), later=MINUTE)
    assert len(asked) == 2
    assert len(set(asked)) == 1
    assert job.artefacts.get().bytes == 2


def unheard(self: LocalEngine, spec: Any) -> None:
    """A submission that the engine takes without answering."""
    SUBMIT(self, spec)
    raise EngineError(UNREACHABLE, "time-out")


def test_what_an_engine_took_unheard_is_accounted_for_after_its_hours(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(world, tmp_path / "jobs")
    job = submit(book(world), "sleep 600")
    monkeypatch.setattr(LocalEngine, "submit", unheard)
    turn_at(timedelta())
    assert Attempt.objects.get().sent_at is None
    time.sleep(1)
    turn_until(over(job), later=timedelta(hours=4))
    attempt = Attempt.objects.get()
    assert (attempt.reason, attempt.account_source) == ("stretch_ended", "local")
    assert attempt.sent_at is not None


def test_what_never_reached_a_faulty_engine_ends_with_its_hours(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(self: LocalEngine, spec: Any) -> None:
        raise EngineError(UNREACHABLE, "time-out")

    connect(world, tmp_path / "jobs")
    job = submit(book(world), "true")
    monkeypatch.setattr(LocalEngine, "submit", silent)
    turn_at(timedelta())
    Connection.objects.update(state=Connection.State.FAULTY, failing_since=None)
    turn_at(timedelta(hours=1))
    assert state_of(job) == "queued"
    turn_until(over(job), seconds=2, later=timedelta(hours=4))
    assert Attempt.objects.get().reason == "stretch_ended"
    assert Booking.objects.get().closed_at is not None


def test_the_engine_of_one_site_does_not_hold_up_another(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Dead(monkeypatch)
    connect(world, tmp_path / "jobs")
    engine.dead = True
    turn_at(timedelta())
    asked = threading.Event()
    monkeypatch.setattr(LocalEngine, "reservations", lambda self: asked.set() or {})
    turn_at(timedelta(seconds=10))
    assert not asked.is_set()
    turn_at(timedelta(seconds=40))
    assert asked.is_set()


def test_what_fails_by_itself_holds_up_nothing_else(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: Any) -> Any:
        raise RuntimeError("broken")

    closed: list[int] = []

    def settle(act: Any, record: Any, booking: Booking, used: services.Used) -> None:
        if booking == first:
            broken()
        closed.append(booking.pk)

    connect(world, tmp_path / "jobs")
    first, second = book(world, cards=1), book(world, cards=1)
    monkeypatch.setitem(services._ended, "test.sale", settle)
    monkeypatch.setattr(endpoints, "turn", broken)
    monkeypatch.setattr(LocalEngine, "reservations", broken)
    turn_at(timedelta(hours=4))
    assert closed == [second.pk]
    first.refresh_from_db()
    assert (first.state, first.closed_at) == ("ended", None)


def test_a_folder_that_cannot_be_made_fails_its_job_only(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: Any) -> Any:
        raise OSError("no space left on device")

    connect(world, tmp_path / "jobs")
    monkeypatch.setattr(folders, "prepare", full)
    job = submit(book(world), "true")
    turn_until(over(job), seconds=2)
    assert (state_of(job), Job.objects.get().reason) == ("failed", "store")
    assert Connection.objects.get().failing_since is None


def test_an_engine_whose_folder_is_spoilt_says_so_as_an_engine(world: World, tmp_path: Path) -> None:
    connect(world, tmp_path / "jobs")
    (tmp_path / "jobs" / ".engine" / "jobs" / "spoilt").touch()
    spec = JobSpec("spoilt", ("/bin/true",), tmp_path, tmp_path / "log", 1, "test", 10, 0)
    with pytest.raises(EngineError, match="unreachable"):
        LocalEngine(Connection.objects.get().settings).submit(spec)


def test_a_replica_that_speaks_no_http_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak() -> None:
            caller = server.accept()[0]
            caller.recv(1000)
            caller.sendall(b"nonsense\r\n\r\n")
            caller.close()

        thread = threading.Thread(target=speak)
        thread.start()
        assert not endpoints.answers(f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join()
