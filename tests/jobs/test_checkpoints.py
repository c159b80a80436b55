"""Checkpoints in the store: whole or not at all, never older than what lies there, the last only, and they travel."""

import os
import resource
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from tests.compute.world import SYSTEM, World
from tests.compute.world import run as in_action
from tests.jobs.site import RUNNER, book, connect, over, state_of, submit, turn_until
from tests.jobs.storage import attempt_of, booked, command, put
from tests.sandbox import Sandbox

from huoshui.base import clock
from huoshui.base.errors import Refused
from huoshui.compute.models import Pool, Site
from huoshui.engines import EngineError, JobSpec
from huoshui.engines.base import UNREACHABLE
from huoshui.engines.local import LocalEngine
from huoshui.jobs import artefacts, beneath, checkpoints, copies, folders, runner, services, store
from huoshui.jobs.actions.attempts import note_refused
from huoshui.jobs.actions.jobs import cancel_job
from huoshui.jobs.beneath import Changing
from huoshui.jobs.models import Attempt, Connection, Job

COUNT = (
    "n=$(cat $HUOSHUI_CHECKPOINT/step || echo 0); from=$n; echo from $n; while [ $n -lt 200 ]; do n=$((n+1)); "
    "echo $n > $HUOSHUI_CHECKPOINT/step.part; mv $HUOSHUI_CHECKPOINT/step.part $HUOSHUI_CHECKPOINT/step; "
    "[ $from -gt 0 ] || sleep 0.05; done; echo $n > $HUOSHUI_OUTPUTS/counted"
)
"""Ten seconds from the beginning, none from a checkpoint."""


@pytest.fixture(autouse=True)
def own_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings, "HOME", tmp_path)
    monkeypatch.setattr(settings, "STORE", "")


def stored() -> set[str]:
    """What the store has after a sweep of all that nobody refers to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artefacts, "ORPHAN_AGE", timedelta(seconds=-60))
        artefacts.sweep()
    return contents()


def contents() -> set[str]:
    return {digest for digest, _put_at in store.contents()}


# --- from one site to another -------------------------------------------------------------------------------------


def another(site: Site) -> Site:
    """A further site of its operator."""
    return Site.objects.create(
        operator=site.operator, code=f"t{Site.objects.count()}", name="另一站", region=site.region, division="330100",
        tariff="-",
    )  # fmt: skip


def second_site(world: World) -> World:
    """The same world with a pool at another site."""
    site, model = another(world.pool.site), world.pool.card_model
    pool = Pool.objects.create(site=site, card_model=model, cards=4, list_price_fen=2000)
    return replace(world, pool=pool)


def counting(world: World, tmp_path: Path) -> Job:
    """A job that counts at the first of two sites and would go on at the second."""
    other = second_site(world)
    connect(world, tmp_path / "a")
    connect(other, tmp_path / "b")
    first = book(world, source="test.sale:900@1")
    book(other, source="test.sale:900@2")
    return submit(first, COUNT, attempts_max=3)


def step_at(folder: Path) -> int:
    file = folder / "checkpoint" / "step"
    return int(file.read_text() or 0) if file.exists() else 0


def test_a_job_that_moves_goes_on_from_where_it_ended_at_the_other_site(world: World, tmp_path: Path) -> None:
    job = counting(world, tmp_path)
    first = job.booking
    turn_until(lambda: step_at(tmp_path / "a" / job.number) >= 5)
    hour = clock.hour_of(clock.now())
    in_action(lambda act, record: services.recall(act, record, first, from_hour=hour, cards=2, reason="failure"))
    turn_until(over(job))
    ended = step_at(tmp_path / "a" / job.number)
    assert 5 <= ended < 200
    assert (tmp_path / "b" / job.number / "log.2").read_text() == f"from {ended}\n"
    assert state_of(job) == "succeeded"
    assert b"".join(store.read(job.artefacts.get().digest)) == b"200\n"
    assert stored() == {job.artefacts.get().digest}


def test_a_site_that_is_lost_with_its_disk_leaves_what_the_store_has(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "KEEP_EVERY", timedelta(seconds=0.2))
    job, dead, true = counting(world, tmp_path), threading.Event(), LocalEngine.reservations

    def reservations(engine: LocalEngine) -> Any:
        if dead.is_set() and engine.workdir.name == "a":
            raise EngineError(UNREACHABLE, "no route to host")
        return true(engine)

    monkeypatch.setattr(LocalEngine, "reservations", reservations)
    turn_until(lambda: job.checkpoint_files.exists())
    dead.set()
    kept = int(b"".join(store.read(job.checkpoint_files.get().digest)))
    attempt = job.attempts.get()
    LocalEngine(attempt.connection.settings).cancel(attempt.name)
    (tmp_path / "a" / job.number).rename(tmp_path / "lost")
    for later in (timedelta(), timedelta(minutes=31)):
        with clock.moved_to(clock.real_now() + later):
            runner.turn(RUNNER)
    turn_until(over(job), later=timedelta(minutes=42))  # ten minutes it waits for the folder to return
    assert (tmp_path / "b" / job.number / "log.2").read_text() == f"from {kept}\n"
    assert 0 < kept <= step_at(tmp_path / "lost")
    assert state_of(job) == "succeeded"


def test_a_job_waits_for_its_checkpoint_to_come_and_not_for_ever(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_arguments: Any) -> None:
        raise OSError("stale file handle")

    job = counting(world, tmp_path)
    first = job.booking
    turn_until(lambda: step_at(tmp_path / "a" / job.number) >= 5)
    monkeypatch.setattr(checkpoints, "take", unreadable)
    hour = clock.hour_of(clock.now())
    in_action(lambda act, record: services.recall(act, record, first, from_hour=hour, cards=2, reason="failure"))
    turn_until(lambda: state_of(job) == "queued" and job.attempts.get().state == "ended")
    runner.turn(RUNNER)
    assert job.attempts.count() == 1
    with clock.moved_to(clock.real_now() + timedelta(minutes=11)):
        runner.turn(RUNNER)
    assert not Attempt.objects.filter(keep_until__isnull=False).exists()
    again = job.attempts.get(number=2)
    LocalEngine(again.connection.settings).cancel(again.name)


# --- whole or not at all ------------------------------------------------------------------------------------------


@pytest.fixture
def attempt(world: World, tmp_path: Path) -> Attempt:
    """An attempt that runs, its folder ready."""
    return begun(command(booked(world), attempts_max=9), tmp_path / "work")


def begun(job: Job, workdir: Path) -> Attempt:
    """The next attempt of a job, its folder made ready in a directory; each is that of a site."""
    site = job.booking.pool.site
    home = Connection.objects.filter(site=site).first()
    made = attempt_of(job, Path(home.settings["workdir"]) if home else workdir)
    place = {"kind": "local", "state": "up", "settings": {"workdir": str(workdir)}}
    known = Connection.objects.filter(**place).first()
    made.connection = known or Connection.objects.create(site=another(site), tag=workdir.name, **place)
    made.save()
    folders.prepare(job, made, workdir)
    Attempt.objects.filter(pk=made.pk).update(prepared_at=clock.now())
    return Attempt.objects.select_related("job__booking__party", "connection").get(pk=made.pk)


def folder(attempt: Attempt) -> Path:
    return folders.folder_of(attempt.job, attempt.connection.settings["workdir"])


def written(attempt: Attempt, **files: str) -> Path:
    """The checkpoint folder with these files, each renamed into place."""
    place = folder(attempt) / "checkpoint"
    for name, text in files.items():
        (place / f"{name}.part").write_text(text)
        (place / f"{name}.part").rename(place / name)
    return place


def taken(attempt: Attempt) -> Job:
    """The attempt's job after its checkpoint was taken."""
    attempt.job.refresh_from_db()
    checkpoints.take(attempt, folder(attempt))
    return Job.objects.get(pk=attempt.job_id)


def lost(attempt: Attempt) -> Path:
    """The job's folder at a site whose disk was lost."""
    folder(attempt).rename(folder(attempt).with_name("lost"))
    return folder(begun(attempt.job, Path(attempt.connection.settings["workdir"]))) / "checkpoint"


def tree(place: Path) -> dict[str, str]:
    return {str(path.relative_to(place)): path.read_text() for path in place.rglob("*") if path.is_file()}


def test_a_checkpoint_comes_back_as_it_was_without_what_was_still_being_written(attempt: Attempt) -> None:
    place = written(attempt, weights="7", moments="8")
    (place / "shards").mkdir()
    (place / "shards" / ".metadata").write_text("of a library")
    (place / "more.part").write_text("half")
    (place / "next.part").mkdir()
    (place / "next.part" / "shard").symlink_to("more.part")
    os.utime(place / "weights", ns=(10**18, 10**18))
    assert taken(attempt).checkpoint_attempt == 1
    back = lost(attempt)
    assert tree(back) == {"weights": "7", "moments": "8", "shards/.metadata": "of a library"}
    assert (back / "weights").stat().st_mtime_ns == 10**18
    assert not checkpoints.staging(back.parent).exists()


def test_only_the_last_is_kept_apart_from_other_files_and_goes_with_its_job(attempt: Attempt) -> None:
    party, job = attempt.job.booking.party, attempt.job
    written(attempt, same="same", state="first")
    taken(attempt)
    uploaded = put(party, content=b"second")
    written(attempt, state="second")
    taken(attempt)
    assert len(stored()) == 2
    assert artefacts.used_bytes(party) == len("second")
    room = artefacts.checkpoint_room(command(job.booking))
    assert artefacts.CHECKPOINT_BYTES_MAX - room == len("same" + "second")
    Job.objects.filter(pk=job.pk).update(state="succeeded", ended_at=clock.now())
    Attempt.objects.update(state="ended")
    copies.turn(copies.at_once)
    assert stored() == {uploaded.digest}
    assert not job.checkpoint_files.exists()
    written(attempt, state="of a job that has ended")
    taken(attempt)
    assert stored() == {uploaded.digest}


def test_what_did_not_change_is_not_copied_again(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    written(attempt, state="1")
    first = taken(attempt)
    monkeypatch.setattr(store, "staged", None)
    assert taken(attempt).checkpoint_at == first.checkpoint_at


@pytest.mark.parametrize(
    ("trap", "fault"),
    [
        (lambda place: (place / "latest").symlink_to("/etc/passwd"), "odd"),
        (lambda place: (place / "others").symlink_to(place.parent.parent), "odd"),
        (lambda place: os.mkfifo(place / "pipe"), "odd"),
        (lambda place: (place / "a\nb").write_text("x"), "odd"),
        (lambda place: (place / "1/2/3/4/5").mkdir(parents=True), "odd"),
        (lambda place: [(place / f"f{number}").touch() for number in range(101)], "many"),
        (lambda place: os.truncate(os.open(place / "huge", os.O_CREAT | os.O_WRONLY), 1 << 40), "large"),
        (lambda place: os.truncate(os.open(place / "huge", os.O_CREAT | os.O_WRONLY), 2000), "room"),
    ],
)
def test_what_cannot_be_kept_is_said_and_the_one_before_stays(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch, trap: Any, fault: str
) -> None:
    monkeypatch.setattr(artefacts, "CHECKPOINT_BYTES_MAX", 1000)
    written(attempt, state="good")
    taken(attempt)
    trap(folder(attempt) / "checkpoint")
    assert taken(attempt).checkpoint_fault == fault
    assert len(stored()) == 1
    assert tree(lost(attempt)) == {"state": "good"}


def test_a_folder_that_became_a_link_is_not_followed(attempt: Attempt, tmp_path: Path) -> None:
    (tmp_path / "of-another").mkdir()
    (tmp_path / "of-another" / "secret").write_text("precious")
    (folder(attempt) / "checkpoint").rmdir()
    (folder(attempt) / "checkpoint").symlink_to(tmp_path / "of-another")
    assert taken(attempt).checkpoint_fault == "odd"
    assert stored() == set()


def meanwhile(monkeypatch: pytest.MonkeyPatch, do: Any, nth: int = 1) -> None:
    """Do something after the first or a later piece of a checkpoint was read."""
    true, read = os.pread, list[int]()

    def pread(handle: int, length: int, offset: int) -> bytes:
        piece = true(handle, length, offset)
        read.append(length)
        if len(read) == nth:
            do()
        return piece

    monkeypatch.setattr(os, "pread", pread)


def test_what_is_renamed_into_place_meanwhile_belongs_to_the_next(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(attempt, one="1", two="1")
    meanwhile(monkeypatch, lambda: written(attempt, one="2", two="2"))
    taken(attempt)
    assert tree(lost(attempt)) == {"one": "1", "two": "1"}


def test_a_file_that_grows_is_taken_as_far_as_it_reached(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = written(attempt, answers="line\n") / "answers"

    def append() -> None:
        with open(answers, "a") as out:
            out.write("half a li")

    meanwhile(monkeypatch, append)
    taken(attempt)
    assert tree(lost(attempt)) == {"answers": "line\n"}


@pytest.mark.parametrize("text", ["2" * 9, "2", "2" * 99])
def test_a_file_that_is_written_over_meanwhile_is_not_taken(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    state = written(attempt, state="1" * 9) / "state"
    monkeypatch.setattr(beneath, "CHUNK_BYTES", 4)
    written(attempt, before="1")
    meanwhile(monkeypatch, lambda: state.write_text(text), nth=3)  # the file before has a piece and an end
    Attempt.objects.update(sent_at=clock.now() - copies.KEEP_EVERY)
    assert copies.turn(copies.at_once) == 0
    assert not attempt.job.checkpoint_files.exists()
    assert contents() == set()
    assert Job.objects.get().checkpoint_fault == "changing"
    assert not list(copies._checkpoints())  # before KEEP_EVERY is over again


def test_a_folder_that_is_not_there_is_no_empty_checkpoint(attempt: Attempt) -> None:
    folder(attempt).parent.rename(folder(attempt).parent.with_name("unmounted"))
    with pytest.raises(FileNotFoundError):
        taken(attempt)


def test_a_folder_that_never_rests_is_tried_later(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    true, count = os.scandir, [0]

    def scandir(at: Any) -> Any:
        count[0] += 1
        written(attempt, state=str(count[0]))
        return true(at)

    monkeypatch.setattr(beneath, "LOOK_PAUSE_SECONDS", 0)
    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(Changing):
        taken(attempt)
    assert stored() == set()


def test_half_a_restoration_is_none(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    written(attempt, one="1", two="2")
    taken(attempt)
    true, count = store.fetch, [0]

    def breaking(digest: str, path: Path) -> None:
        count[0] += 1
        if count[0] == 2:
            raise Refused("away", code="store_down")
        true(digest, path)

    monkeypatch.setattr(store, "fetch", breaking)
    with pytest.raises(Refused):
        lost(attempt)
    assert tree(folder(attempt)) == {}
    assert tree(folder(begun(attempt.job, folder(attempt).parent)) / "checkpoint") == {"one": "1", "two": "2"}


def test_a_checkpoint_that_the_store_has_changed_is_forgotten(attempt: Attempt) -> None:
    written(attempt, state="1")
    taken(attempt)
    digest = attempt.job.checkpoint_files.get().digest
    (settings.HOME / "store" / digest[:2] / digest).write_text("other")
    with pytest.raises(Refused) as refused:
        lost(attempt)
    assert refused.value.code == "try_again"
    job = Job.objects.get(pk=attempt.job_id)
    assert (job.checkpoint_attempt, job.checkpoint_fault) == (None, "lost")
    again = begun(job, folder(attempt).parent)
    assert tree(folder(again) / "checkpoint") == {}
    assert taken(again).checkpoint_fault == "lost"  # until there is a newer one
    written(again, state="2")
    assert taken(again).checkpoint_fault == ""


def test_a_full_disk_is_waited_for_and_the_checkpoint_stays(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: Any) -> None:
        raise OSError("no space left on device")

    written(attempt, state="1")
    taken(attempt)
    with monkeypatch.context() as patch:
        patch.setattr(store, "fetch", full)
        with pytest.raises(Refused) as refused:
            lost(attempt)
    assert refused.value.code in copies.LATER
    assert not checkpoints.staging(folder(attempt)).exists()
    assert tree(folder(begun(attempt.job, folder(attempt).parent)) / "checkpoint") == {"state": "1"}


def test_what_is_put_back_fits_on_the_disk_of_its_job() -> None:
    disk_bytes = JobSpec.disk_mib << 20
    assert disk_bytes >= checkpoints.BYTES_MAX


# --- never older --------------------------------------------------------------------------------------------------


def test_what_lies_at_a_site_stays_unless_a_later_attempt_wrote_later(attempt: Attempt, tmp_path: Path) -> None:
    here = folder(attempt).parent
    written(attempt, state="1")
    taken(attempt)
    written(attempt, state="1, later")
    again = begun(attempt.job, here)
    assert tree(folder(again) / "checkpoint") == {"state": "1, later"}
    there = begun(attempt.job, tmp_path / "there")
    assert tree(folder(there) / "checkpoint") == {"state": "1"}
    written(there, state="3, at another site")
    assert taken(there).checkpoint_attempt == 3
    back = begun(attempt.job, here)
    assert tree(folder(back) / "checkpoint") == {"state": "3, at another site"}
    # An attempt here that was given up runs on: what it wrote is the newest.
    beyond = begun(attempt.job, tmp_path / "there")
    written(beyond, state="5")
    taken(beyond)
    state = here / attempt.job.number / "checkpoint" / "state"
    state.write_text("4, given up")
    os.utime(state, ns=(time.time_ns() + 10**9,) * 2)
    assert tree(folder(begun(attempt.job, here)) / "checkpoint") == {"state": "4, given up"}


def test_a_copy_that_comes_late_replaces_nothing_newer(attempt: Attempt, tmp_path: Path) -> None:
    written(attempt, state="1")
    later = begun(attempt.job, tmp_path / "there")
    written(later, state="2")
    taken(later)
    assert taken(attempt).checkpoint_attempt == 2
    assert len(stored()) == 1


# --- before it starts ---------------------------------------------------------------------------------------------


def away(*_arguments: Any) -> None:
    raise Refused("away", code="store_down")


def test_a_job_waits_for_a_store_that_does_not_answer(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(world, tmp_path / "jobs")
    booking = book(world)
    with monkeypatch.context() as down:
        down.setattr(folders, "prepare", away)
        job, withdrawn = submit(booking, "true"), submit(booking, "true")
        for _turn in range(3):
            runner.turn(RUNNER)
        assert (state_of(job), job.attempts.get().sent_at) == ("queued", None)
        cancel_job(SYSTEM, key="cancel", job=withdrawn)
        runner.turn(RUNNER)
        assert state_of(withdrawn) == "cancelled"
    turn_until(over(job))
    assert (state_of(job), job.attempts.count()) == ("succeeded", 1)


def test_a_job_whose_cards_went_before_its_files_came_starts_where_they_are_now(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as down:
        down.setattr(folders, "prepare", away)
        job = counting(world, tmp_path)
        runner.turn(RUNNER)
        first, hour = job.booking, clock.hour_of(clock.now())
        in_action(lambda act, record: services.recall(act, record, first, from_hour=hour, cards=2, reason="failure"))
        runner.turn(RUNNER)
        assert [row.reason for row in job.attempts.all()][:1] == ["stretch_ended"]
    turn_until(lambda: state_of(job) == "running")
    again = job.attempts.get(number=2)
    assert again.connection.settings["workdir"] == str(tmp_path / "b")
    LocalEngine(again.connection.settings).cancel(again.name)


def test_what_was_given_up_before_it_was_handed_over_does_not_end_its_job(attempt: Attempt) -> None:
    Attempt.objects.update(reason="engine_lost", sent_at=None, state="submitted")
    note_refused(RUNNER, attempt=attempt, code="stretch_ended", text="")
    assert (Attempt.objects.get().state, state_of(attempt.job)) == ("ended", "queued")


# --- killed, and apart from the turn ------------------------------------------------------------------------------

RUNNING = """
from pathlib import Path
from django.conf import settings
from tests.compute.world import build
from tests.jobs.storage import attempt_of, booked, command
from huoshui.jobs import checkpoints, folders, store
from huoshui.jobs.models import Attempt
workdir = Path(settings.HOME) / "jobs"
if not Attempt.objects.exists():
    made = attempt_of(command(booked(build()), attempts_max=2), workdir)
    (folders.prepare(made.job, made, workdir) / "checkpoint" / "state").write_text("7")
attempt = Attempt.objects.get()
def tell():
    print(attempt.job.checkpoint_files.count(), len(list(store.contents())))
"""
TAKE = "checkpoints.take(attempt, folders.folder_of(attempt.job, workdir))\n"
SWEEP = """
from datetime import timedelta
from huoshui.jobs import artefacts
artefacts.ORPHAN_AGE = timedelta(seconds=-60)
artefacts.sweep()
"""


def test_a_copy_that_died_before_it_was_written_down_is_made_again_or_swept(sandbox: Sandbox) -> None:
    sandbox.run(RUNNING + TAKE, crash_at="huoshui.jobs.checkpoints:note")
    assert sandbox.run(RUNNING + "tell()\n" + SWEEP + "tell()") == "0 1\n0 0"
    assert sandbox.run(RUNNING + TAKE + SWEEP + "tell()") == "1 1"


SLOW = """
import threading, time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from django.conf import settings
from django.db import connection
from huoshui.base import access
from tests.compute.world import build
from tests.jobs.site import book, connect, state_of, submit
from tests.jobs.test_checkpoints import second_site
from huoshui.jobs import copies, runner, store
from huoshui.jobs.models import Job
world = build()
other = second_site(world)
connect(world, Path(settings.HOME) / "a")
connect(other, Path(settings.HOME) / "b")
answers, true = threading.Event(), store.keep
def keep(content):
    assert connection.connection is None  # which might not live as long as the copy
    answers.wait(60)
    true(content)
store.keep = keep
actor, copying = access.system("runner"), copies.Threads()
def turn_until(done):
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end
        runner.turn(actor, copying)
        time.sleep(0.02)
slow = submit(book(world), "echo made > $HUOSHUI_OUTPUTS/made")
turn_until(lambda: state_of(slow) == "succeeded")
quick = submit(book(other), "true")
turn_until(lambda: Job.objects.get(pk=quick.pk).collected_at)
print(state_of(quick), Job.objects.get(pk=slow.pk).collected_at, copying.wait(0))
answers.set()
turn_until(lambda: Job.objects.get(pk=slow.pk).collected_at)
print(slow.artefacts.get().bytes, copying.wait(5))
"""


def test_a_slow_store_does_not_hold_up_another_site(sandbox: Sandbox) -> None:
    assert sandbox.run(SLOW) == "succeeded None False\n5 True"


def test_copies_are_one_of_a_name_so_many_at_a_place_and_rest_after_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, ran, copying = threading.Event(), list[tuple[copies.Place, str]](), copies.Threads()

    def ask(place: copies.Place, name: str, fault: bool = False) -> bool:
        def work() -> None:
            ran.append((place, name))
            assert go_on.wait(10)
            if fault:
                raise OSError("no space left on device")

        return copying(place, name, work)

    slow = [(copies.OUT_OF, site) for site in (1, 2, 3)]
    assert [ask(slow[0], "a", True), ask(slow[0], "a")] == [True, False]
    assert all(ask(place, f"{place}{name}") for place in slow for name in "bcdef")
    assert not copying.wait(0.1)
    assert len(ran) == 4 * len(slow)
    assert ask((copies.INTO, 1), "start")
    assert ask((copies.OUT_OF, 4), "another site")
    assert not copying.wait(0.1)
    assert [name for _place, name in ran[12:]] == ["start", "another site"]
    go_on.set()
    assert copying.wait(10)
    assert len(ran) == 18
    assert [ask(slow[0], "a"), ask(slow[0], "b")] == [False, True]
    monkeypatch.setattr(time, "monotonic", lambda then=time.monotonic() + 31: then)
    assert ask(slow[0], "a")


def test_a_copy_that_got_no_thread_leaves_its_slot_and_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    copying, ran, place = copies.Threads(), list[int](), (copies.INTO, 1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none_left)
        for number in range(copies.AT_PLACE_MAX):
            with pytest.raises(RuntimeError):
                copying(place, str(number), lambda: None)
    assert copying(place, "5", lambda: ran.append(5))
    assert copying.wait(5)
    assert ran == [5]


def test_copies_may_hold_many_files_open() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, before[1]), before[1]))
    try:
        copies.Threads()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(copies.OPEN_FILES_MAX, before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_outputs_wait_for_a_disk_that_is_not_there(attempt: Attempt) -> None:
    (folder(attempt) / "outputs" / "made").write_text("made")
    folder(attempt).parent.rename(folder(attempt).parent.with_name("away"))
    Job.objects.update(state="succeeded", ended_at=clock.now())
    Attempt.objects.update(state="ended")
    assert copies.turn(copies.at_once) == 0
    folder(attempt).parent.with_name("away").rename(folder(attempt).parent)
    assert copies.turn(copies.at_once) == 1
    assert attempt.job.artefacts.get().name == "made"


def test_outputs_are_those_of_the_site_where_the_job_ran_last(attempt: Attempt, tmp_path: Path) -> None:
    (folder(attempt) / "outputs" / "old").write_text("of the first site")
    later = begun(attempt.job, tmp_path / "there")
    (folder(later) / "outputs" / "new").write_text("of the second")
    Job.objects.update(state="succeeded", ended_at=clock.now())
    Attempt.objects.update(state="ended")
    copies.turn(copies.at_once)
    assert [row.name for row in attempt.job.artefacts.all()] == ["new"]


def test_outputs_are_not_sought_where_a_later_attempt_never_started(attempt: Attempt, tmp_path: Path) -> None:
    (folder(attempt) / "outputs" / "made").write_text("made")
    begun(attempt.job, tmp_path / "there")
    Attempt.objects.filter(number=2).update(started_at=None)
    Job.objects.update(state="succeeded", ended_at=clock.now())
    Attempt.objects.update(state="ended")
    copies.turn(copies.at_once)
    assert [row.name for row in attempt.job.artefacts.all()] == ["made"]


def test_a_job_of_a_site_that_was_switched_off_is_collected_in_the_end(attempt: Attempt) -> None:
    written(attempt, state="1")
    taken(attempt)
    (folder(attempt) / "outputs" / "made").write_text("made")
    Job.objects.update(state="succeeded", ended_at=clock.now())
    Attempt.objects.update(state="ended")
    Connection.objects.update(state=Connection.State.OFF)
    assert copies.turn(copies.at_once) == 0
    with clock.moved_to(clock.now() + copies.GONE_AFTER + timedelta(hours=1)):
        assert copies.turn(copies.at_once) == 1
    assert stored() == {attempt.job.artefacts.get().digest}


# --- the same content of several ----------------------------------------------------------------------------------


def aged(age: timedelta) -> None:
    """All content as if it had been put in so long ago."""
    then = time.time() - age.total_seconds()
    for path in (settings.HOME / "store").glob("*/*"):
        os.utime(path, (then, then))


@pytest.mark.parametrize("age", [timedelta(), store.FRESH - timedelta(minutes=5), timedelta(days=3)])
def test_content_that_another_forgets_stays_for_who_has_kept_it(attempt: Attempt, age: timedelta) -> None:
    written(attempt, tokenizer="same")
    taken(attempt)
    aged(age)
    with store.staged([b"same"], 10) as content:
        store.keep(content)
    checkpoints.drop(attempt.job)
    artefacts.sweep()
    assert contents() == {content.digest}


def test_content_that_is_kept_again_while_the_store_is_swept_stays(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = store.contents

    def kept_meanwhile() -> Any:
        yield from list(true())
        store.keep(content)

    with store.staged([b"same"], 10) as content:
        store.keep(content)
        aged(timedelta(days=3))
        monkeypatch.setattr(store, "contents", kept_meanwhile)
        assert artefacts.sweep() == 0
    assert store.put_at(content.digest) is not None


def test_outputs_whose_content_is_gone_are_not_noted(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder(attempt) / "outputs" / "made").write_text("made")
    with monkeypatch.context() as patch:
        patch.setattr(store, "keep", lambda content: None)
        with pytest.raises(Refused) as refused:
            folders.collect(attempt.job, folder(attempt).parent)
    assert refused.value.code == "try_again"
    assert len(folders.collect(attempt.job, folder(attempt).parent)) == 1
