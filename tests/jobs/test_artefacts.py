"""Files of parties: who may, how much, when content goes; folders of jobs whose owner is hostile."""

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from tests.compute.world import SYSTEM, World, party
from tests.jobs.storage import attempt_of, booked, command, put

from huoshui.base import clock
from huoshui.base.errors import Conflict, Forbidden, Invalid, Refused
from huoshui.base.models import LogRecord
from huoshui.jobs import artefacts, folders, lineage, store, tasks
from huoshui.jobs.actions.artefacts import create_artefact, delete_artefact, upload
from huoshui.jobs.actions.models import register_model
from huoshui.jobs.models import Artefact, Attempt, Job, Metric

GGUF = b"GGUF and the rest"


@pytest.fixture(autouse=True)
def own_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings, "HOME", tmp_path)
    monkeypatch.setattr(settings, "STORE", "")


def stored() -> set[str]:
    return {digest for digest, _since in store.contents()}


def test_an_upload_becomes_an_artefact_once(world: World) -> None:
    def send(content: bytes) -> Artefact:
        return upload(SYSTEM, key="one", party=world.entity, name="文本.txt", kind="data", chunks=[content])

    first, again = send(b"abc"), send(b"abc")
    assert first.pk == again.pk
    assert first.bytes == 3
    assert Artefact.objects.count() == 1
    with pytest.raises(Conflict):
        send(b"abd")


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "-rf", "a\nb", "x" * 201, "con:1", "\u202eexe.txt"])
def test_a_name_that_is_a_path_or_a_trap_is_refused(world: World, name: str) -> None:
    with pytest.raises(Invalid):
        put(world.entity, name)
    assert stored() == set()


def test_outputs_cannot_be_uploaded_as_such(world: World) -> None:
    with pytest.raises(Invalid):
        put(world.entity, kind="output")


def test_only_who_acts_for_the_party_puts_in_and_takes_out(world: World, people: Any) -> None:
    mine, other = people("agent", f"party:{world.entity.pk}"), people("agent", f"party:{party('别家').pk}")
    with pytest.raises(Forbidden):
        upload(other, key="k", party=world.entity, name="a", kind="data", chunks=[b"x"])
    assert stored() == set()
    made = upload(mine, key="k", party=world.entity, name="a", kind="data", chunks=[b"x"])
    with pytest.raises(Forbidden):
        delete_artefact(other, artefact=made)
    assert list(artefacts.artefacts(other)) == []
    assert list(artefacts.artefacts(mine)) == [made]


def test_a_party_has_room_for_so_much_counting_content_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artefacts, "PARTY_BYTES_MAX", 10)
    put(world.entity, "a", b"123456")
    put(world.entity, "b", b"123456"[:4])
    assert artefacts.room_of(world.entity) == 0
    with pytest.raises(Invalid):
        put(world.entity, "c", b"7")
    delete_artefact(SYSTEM, artefact=Artefact.objects.get(name="b"))
    assert artefacts.room_of(world.entity) == 4


def test_two_uploads_at_once_cannot_both_take_the_last_room(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both were staged while there was room; the second action counts again."""
    monkeypatch.setattr(artefacts, "PARTY_BYTES_MAX", 10)
    with store.staged([b"12345678"], 10) as first, store.staged([b"abcdefgh"], 10) as second:
        store.keep(first)
        store.keep(second)
        named: dict[str, Any] = {"party": world.entity, "kind": "data"}
        create_artefact(SYSTEM, key="1", name="a", digest=first.digest, size=8, **named)
        with pytest.raises(Invalid):
            create_artefact(SYSTEM, key="2", name="b", digest=second.digest, size=8, **named)


def test_content_goes_after_its_last_artefact(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artefacts, "ORPHAN_AGE", timedelta(seconds=-10))
    mine, theirs = put(world.entity), put(world.operator)
    delete_artefact(SYSTEM, artefact=mine)
    assert artefacts.sweep() == 0
    delete_artefact(SYSTEM, artefact=theirs)
    assert stored() == {mine.digest}
    assert artefacts.sweep() == 1
    assert stored() == set()


def test_what_a_job_reads_or_a_model_is_made_of_stays(world: World) -> None:
    data, model = put(world.entity), put(world.entity, "m.gguf", GGUF, "model")
    job = command(booked(world), inputs={"data.txt": data})
    register_model(SYSTEM, artefact=model, name="m1")
    for artefact in (data, model):
        with pytest.raises(Refused) as refused:
            delete_artefact(SYSTEM, artefact=artefact)
        assert refused.value.code == "in_use"
    Job.objects.filter(pk=job.pk).update(state=Job.State.SUCCEEDED)
    assert delete_artefact(SYSTEM, artefact=data).deleted_at is not None


def test_a_job_does_not_begin_with_a_file_that_was_deleted_meanwhile(world: World) -> None:
    seen = put(world.entity)
    delete_artefact(SYSTEM, artefact=seen)
    with pytest.raises(Invalid, match="data.txt"):
        command(booked(world), inputs={"data.txt": seen})  # as it was seen before


def test_uploads_that_never_became_artefacts_are_swept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = put(world.entity)
    with store.staged([b"orphan"], 10) as content:
        store.keep(content)
    assert tasks.clear_store.call() == 0
    monkeypatch.setattr(artefacts, "ORPHAN_AGE", timedelta(seconds=-10))
    left, fresh = (settings.HOME / "staged" / f"put-{name}" for name in ("left", "fresh"))
    left.touch()
    fresh.touch()
    os.utime(left, (0, 0))
    assert tasks.clear_store.call() == 2
    assert stored() == {kept.digest}
    assert [fresh.exists(), left.exists()] == [True, False]


# --- folders ------------------------------------------------------------------------------------------------------


@pytest.fixture
def job(world: World) -> Job:
    return command(booked(world), inputs={"data.txt": put(world.entity, content=b"input")})


def prepared(job: Job, tmp_path: Path) -> Path:
    return folders.prepare(job, attempt_of(job, tmp_path / "work"), tmp_path / "work")


def test_a_folder_holds_the_inputs_and_stays_for_the_next_attempt(job: Job, tmp_path: Path) -> None:
    folder = prepared(job, tmp_path)
    assert (folder / "inputs/data.txt").read_bytes() == b"input"
    (folder / "checkpoint/state").write_text("7")
    (folder / "inputs/data.txt").write_text("changed by the job")
    assert prepared(job, tmp_path) == folder
    assert (folder / "inputs/data.txt").read_bytes() == b"input"
    assert (folder / "checkpoint/state").read_text() == "7"


def test_links_that_a_job_left_are_not_followed_when_the_folder_is_made_again(job: Job, tmp_path: Path) -> None:
    folder, victim = prepared(job, tmp_path), tmp_path / "victim"
    victim.mkdir()
    (victim / "data.txt").write_text("precious")
    for name in ("inputs", "outputs", "checkpoint"):
        folders._fresh(folder / name)
        (folder / name).rmdir()
        (folder / name).symlink_to(victim)
    prepared(job, tmp_path)
    assert (victim / "data.txt").read_text() == "precious"
    assert not (folder / "outputs").is_symlink()
    assert (folder / "inputs/data.txt").read_bytes() == b"input"


def test_an_input_that_the_store_has_changed_stops_the_attempt(job: Job, tmp_path: Path) -> None:
    digest = job.inputs.get().digest
    (settings.HOME / "store" / digest[:2] / digest).write_bytes(b"other")
    with pytest.raises(store.Damaged):
        prepared(job, tmp_path)


def test_outputs_become_artefacts_and_traps_are_named(job: Job, tmp_path: Path) -> None:
    outputs = prepared(job, tmp_path) / "outputs"
    (outputs / "model.gguf").write_bytes(GGUF)
    (outputs / "sub").mkdir()
    (outputs / "sub" / "报告.json").write_text("{}")
    (tmp_path / "secret").write_text("of another tenant")
    (outputs / "stolen.txt").symlink_to(tmp_path / "secret")
    (outputs / "linked").symlink_to(tmp_path)
    os.mkfifo(outputs / "pipe")
    (outputs / ".hidden").write_text("x")
    made = {row.name: row for row in folders.collect(job, tmp_path / "work")}
    assert set(made) == {"model.gguf", "sub/报告.json", folders.NOT_KEPT}
    assert made["model.gguf"].kind == "model"
    assert made["model.gguf"].made_by_id == job.pk
    told = b"".join(store.read(made[folders.NOT_KEPT].digest)).decode()
    assert all(name in told for name in ("stolen.txt", "linked", "pipe", ".hidden"))
    assert len(folders.collect(job, tmp_path / "work")) == 3
    assert Artefact.objects.filter(made_by=job).count() == 3
    assert LogRecord.objects.filter(action="jobs.artefact.collect").count() == 1


def test_outputs_have_bounds_of_number_and_size(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = prepared(job, tmp_path) / "outputs"
    monkeypatch.setattr(folders, "OUTPUTS_MAX", 2)
    monkeypatch.setattr(folders, "OUTPUT_BYTES_MAX", 100)
    with open(outputs / "a-sparse", "wb") as file:
        file.truncate(1 << 40)
    for name in "bcd":
        (outputs / name).write_bytes(b"x" * 10)
    names = {row.name for row in folders.collect(job, tmp_path / "work")}
    assert names == {"b", "c", folders.NOT_KEPT}


def test_metrics_are_taken_up_once_and_nonsense_is_passed_over(job: Job, tmp_path: Path) -> None:
    file = prepared(job, tmp_path) / "metrics.jsonl"
    lines = [
        '{"step": 1, "total": 4, "loss": 2.5}', "not json", "[1]", '{"step": -1, "loss": 1}', '{"step": "1"}',
        '{"step": 2, "total": 4, "loss": NaN, "rate": 1e999}', '{"step": 2, "loss": 2.0, "Bad Name": 1, "on": true}',
        '{"step": 3, "loss": 1.5, "total": -1', "[" * 10_000,
    ]  # fmt: skip
    file.write_text("\n".join(lines))
    folders.read_metrics(job.attempts.get(), tmp_path / "work")
    folders.read_metrics(job.attempts.get(), tmp_path / "work")
    found = list(Metric.objects.filter(job=job).order_by("step").values_list("name", "step", "value"))
    assert found == [("loss", 1, 2.5), ("loss", 2, 2.0)]
    with open(file, "a") as out:
        out.write('\n{"step": 2, "loss": 9}\n{"step": 4, "total": 4, "loss": 1}\n')
    folders.read_metrics(job.attempts.get(), tmp_path / "work")
    assert list(Metric.objects.filter(job=job).values_list("step", "value").order_by("step")) == [
        (1, 2.5), (2, 2.0), (4, 1.0),
    ]  # fmt: skip
    assert Job.objects.values_list("done", "total").get(pk=job.pk) == (4, 4)


def test_a_turn_reads_only_what_was_added_to_the_metrics(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = prepared(job, tmp_path) / "metrics.jsonl"
    attempt = job.attempts.get()
    read: list[int] = []
    objects = folders._objects
    monkeypatch.setattr(folders, "_objects", lambda data: read.append(len(data)) or objects(data))
    file.write_text('{"step": 1, "loss": 4}\n{"step": 2, "lo')
    folders.read_metrics(attempt, tmp_path / "work")
    folders.read_metrics(attempt, tmp_path / "work")
    with open(file, "a") as out:
        out.write('ss": 3}\n')
    folders.read_metrics(attempt, tmp_path / "work")
    folders.read_metrics(attempt, tmp_path / "work")
    assert read == [38, 15, 23]
    file.write_text('{"step": 3, "loss": 2}\n')  # the program wrote it anew
    folders.read_metrics(attempt, tmp_path / "work")
    found = Metric.objects.filter(job=job).order_by("step").values_list("step", "value")
    assert list(found) == [(1, 4), (2, 3), (3, 2)]


def test_long_curves_are_thinned_evenly_and_end_with_the_newest_point(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "METRIC_POINTS_MAX", 50)
    file = prepared(job, tmp_path) / "metrics.jsonl"
    for step in range(1000):
        with open(file, "a") as out:
            out.write(json.dumps({"step": step, "loss": 1000 - step}) + "\n")
        if step % 7 == 0 or step == 999:
            folders.read_metrics(job.attempts.get(), tmp_path / "work")
    steps = list(Metric.objects.filter(job=job).order_by("step").values_list("step", flat=True))
    assert (steps[0], steps[-1]) == (0, 999)
    assert 25 <= len(steps) <= 50
    assert max(later - earlier for earlier, later in zip(steps, steps[1:], strict=False)) <= 3 * 1000 // 25
    assert lineage.last_metrics(job) == {"loss": 1}


def test_of_a_flood_of_metrics_the_end_is_taken(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "METRICS_BYTES_MAX", 1000)
    file = prepared(job, tmp_path) / "metrics.jsonl"
    file.write_text("".join(json.dumps({"step": at, "loss": at}) + "\n" for at in range(5000)))
    folders.read_metrics(job.attempts.get(), tmp_path / "work")
    assert lineage.last_metrics(job) == {"loss": 4999}


def test_metrics_have_bounds(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "METRIC_POINTS_MAX", 5)
    file = prepared(job, tmp_path) / "metrics.jsonl"
    file.write_text("\n".join(json.dumps({"step": at, **{f"m{n}": at for n in range(20)}}) for at in range(50)))
    folders.read_metrics(job.attempts.get(), tmp_path / "work")
    assert Metric.objects.filter(job=job).values("name").distinct().count() == folders.METRIC_NAMES_MAX
    assert Metric.objects.filter(job=job).count() <= 5 * folders.METRIC_NAMES_MAX


def test_a_log_is_read_from_a_byte_on_and_never_through_a_link(job: Job, tmp_path: Path) -> None:
    folder = prepared(job, tmp_path)
    attempt = job.attempts.get()
    (folder / "log.1").write_bytes(b"0123456789")
    assert folders.read_log(attempt, tmp_path / "work", 4, 3) == (b"456", 10)
    assert folders.read_log(attempt, tmp_path / "work", -2, 100) == (b"89", 10)
    assert folders.read_log(attempt, tmp_path / "work", 99, 100) == (b"", 10)
    (folder / "log.1").unlink()
    (folder / "log.1").symlink_to("/etc/passwd")
    assert folders.read_log(attempt, tmp_path / "work", 0, 100) == (b"", 0)


def test_old_folders_are_cleared_and_keep_their_logs(job: Job, tmp_path: Path) -> None:
    folder = prepared(job, tmp_path)
    (folder / "log.1").write_text("said")
    (folder / "model.bin").write_bytes(b"x" * 1000)  # a job works in its folder, and that is its HOME too
    (folder / ".cache/pip").mkdir(parents=True)
    (folder / "log.2").write_text("no attempt's")
    (folder / "metrics.jsonl").write_text("")
    deep = folder
    for _level in range(1500):  # deeper than Python recurses
        deep /= "d"
        deep.mkdir()
    (folder / "locked/in").mkdir(parents=True)
    (folder / "locked").chmod(0)
    (folder / "outputs").rmdir()
    (folder / "outputs").symlink_to(tmp_path / "victim")
    (tmp_path / "victim").mkdir()
    (tmp_path / "work/not-a-job/inputs").mkdir(parents=True)
    now = clock.now()
    assert tasks.clear_folders.call() == 0  # the job has not ended
    Job.objects.filter(pk=job.pk).update(collected_at=now - tasks.FOLDERS_KEPT + timedelta(minutes=1))
    assert tasks.clear_folders.call() == 0
    Job.objects.filter(pk=job.pk).update(collected_at=now - tasks.FOLDERS_KEPT - timedelta(minutes=1))
    Attempt.objects.filter(job=job).update(state=Attempt.State.RUNNING)  # given up elsewhere, its engine is silent
    assert tasks.clear_folders.call() == 0
    Attempt.objects.filter(job=job).update(state=Attempt.State.ENDED)
    assert [tasks.clear_folders.call(), tasks.clear_folders.call()] == [1, 0]
    assert [path.name for path in folder.iterdir()] == ["log.1"]
    assert (tmp_path / "victim").exists()
    assert (tmp_path / "work/not-a-job/inputs").exists()


def test_the_environment_names_the_folders(job: Job, tmp_path: Path) -> None:
    told = folders.environment(job, tmp_path, 60)
    assert told["HUOSHUI_JOB"] == job.number
    assert told["HUOSHUI_SECONDS"] == "60"
    assert told["HUOSHUI_OUTPUTS"] == str(tmp_path / job.number / "outputs")
