"""Training through the runner on a real engine: it is killed, goes on from its checkpoint, and becomes a model."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from tests.compute.world import SYSTEM, World
from tests.jobs.recipe_runs import TRAIN, folder
from tests.jobs.site import RUNNER, book, connect, over, turn_until
from tests.jobs.storage import TEXT, put

from huoshui.base.errors import Conflict, Forbidden, Invalid
from huoshui.jobs import artefacts, copies, lineage, runner, services, store
from huoshui.jobs.actions.jobs import submit_job
from huoshui.jobs.actions.models import register_model
from huoshui.jobs.models import Artefact, Attempt, Booking, Job, Metric, TrainedModel

GGUF = b"GGUF and the rest"


@pytest.fixture(autouse=True)
def own_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings, "HOME", tmp_path)
    monkeypatch.setattr(settings, "STORE", "")


def train(booking: Booking, **inputs: Artefact) -> Job:
    return submit_job(
        SYSTEM, key=f"train/{Job.objects.count()}", booking=booking, title="训练", template="fine-tune",
        parameters=TRAIN, inputs=inputs,
    )  # fmt: skip


def processes_of(workdir: Path) -> list[int]:
    """Processes of the recipe that run in a job's folder."""
    said = subprocess.run(["pgrep", "-f", "recipes.fine_tune"], capture_output=True, text=True, check=False).stdout
    found = []
    for pid in map(int, said.split()):
        try:
            if Path(os.readlink(f"/proc/{pid}/cwd")).is_relative_to(workdir):
                found.append(pid)
        except OSError:
            continue
    return found


def test_a_training_that_lost_node_and_disk_goes_on_from_its_stored_checkpoint_and_becomes_a_model(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("jax", "gguf"):
        pytest.importorskip(package)
    workdir = tmp_path / "jobs"
    connect(world, workdir)
    booking = book(world)
    monkeypatch.setattr(copies, "KEEP_EVERY", timedelta(seconds=0.1))
    job = train(booking, text=put(world.entity, "文本.txt", TEXT.encode()))
    turn_until(lambda: Metric.objects.filter(job=job, step__gte=40).exists() and job.checkpoint_files.exists(), 90)
    attempt = job.attempts.get()
    # The node is lost: everything of the job dies, and the engine says so.
    for pid in processes_of(workdir):
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(workdir / job.number / "checkpoint")
    Attempt.objects.filter(pk=attempt.pk).update(reason="node_lost")
    turn_until(over(job), 120)
    job.refresh_from_db()
    assert job.state == Job.State.SUCCEEDED, (job.reason, (workdir / job.number / "log.1").read_text())
    assert [row.number for row in job.attempts.all()] == [1, 2]
    assert "goes on from step" in (workdir / job.number / "log.2").read_text()
    steps = list(Metric.objects.filter(job=job, name="loss").order_by("pk").values_list("step", flat=True))
    assert steps == sorted(set(steps)) == list(range(10, 121, 10))
    turn_until(lambda: job.artefacts.filter(name="model.gguf").exists())
    assert services.used(booking).attempts == 2

    made = register_model(SYSTEM, artefact=job.artefacts.get(name="model.gguf"), name="policy-writer")
    told = made.lineage
    assert (told["job"], told["template"], told["parameters"]["steps"]) == (job.number, "fine-tune", 120)
    assert told["inputs"] == [
        {"name": "text", "file": "文本.txt", "digest": hashlib.sha256(TEXT.encode()).hexdigest()}
    ]
    assert [row["evidence"] for row in told["attempts"]] == [row.evidence for row in job.attempts.all()]
    assert float(told["metrics"]["loss"]) < 0.5

    alone = folder(tmp_path / "alone", "fine-tune", TRAIN, {"text": TEXT.encode()})
    alone.run()
    assert hashlib.sha256(alone.output("model.gguf").read_bytes()).hexdigest() == made.artefact.digest


def test_a_model_has_versions_and_knows_its_parents(world: World) -> None:
    text = put(world.entity, "text.txt")
    booking = book(world)

    def made_by(job: Job, content: bytes) -> Artefact:
        row = put(world.entity, "model.gguf", content, "model")
        Artefact.objects.filter(pk=row.pk).update(made_by=job)
        return Artefact.objects.get(pk=row.pk)

    first = register_model(SYSTEM, artefact=made_by(train(booking, text=text), GGUF + b"1"), name="m-one")
    second_job = train(booking, text=text, model=first.artefact)
    second = register_model(SYSTEM, artefact=made_by(second_job, GGUF + b"2"), name="m-one")
    again = register_model(SYSTEM, artefact=second.artefact, name="m-one")
    assert (str(first), str(second), again.pk) == ("m-one:1", "m-one:2", second.pk)
    told = lineage.document(second)
    assert told["parents"][0]["model"] == "m-one:1"
    assert told["parents"][0]["digest"] == first.artefact.digest
    json.dumps(told)
    tree = lineage.tree(second.artefact)
    assert [(above.name, above.models) for above in tree.inputs] == [("model", [first]), ("text", [])]
    assert tree.inputs[0].inputs[0].artefact == text


def test_only_a_model_file_of_ones_own_becomes_a_model(world: World, people: Any) -> None:
    data = put(world.entity, "a.txt")
    fake = put(world.entity, "a.gguf", b"no model", "model")
    good = put(world.entity, "b.gguf", GGUF, "model")
    for wrong in (data, fake):
        with pytest.raises(Invalid):
            register_model(SYSTEM, artefact=wrong, name="name")
    for name in ("x", "Upper", "a b", "-a", "a/b"):
        with pytest.raises(Invalid):
            register_model(SYSTEM, artefact=good, name=name)
    other = people("agent", f"party:{world.operator.pk}")
    with pytest.raises(Forbidden):
        register_model(other, artefact=good, name="name")
    register_model(SYSTEM, key="k", artefact=good, name="name")
    with pytest.raises(Conflict):
        register_model(SYSTEM, key="k", artefact=good, name="other")
    assert TrainedModel.objects.count() == 1


def test_a_lost_file_of_a_job_ends_its_attempt_plainly(world: World, tmp_path: Path) -> None:
    connect(world, tmp_path / "jobs")
    text = put(world.entity, "text.txt", TEXT.encode())
    job = train(book(world), text=text)
    store.delete(text.digest)
    turn_until(over(job))
    job.refresh_from_db()
    assert (job.state, job.reason) == (Job.State.FAILED, "store")


def test_outputs_wait_for_a_store_that_does_not_answer(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(world, tmp_path / "jobs")
    command = {"arguments": "/bin/sh -c 'echo made > $HUOSHUI_OUTPUTS/made.txt'"}
    job = submit_job(SYSTEM, booking=book(world), title="作业", template="command", parameters=command)
    with monkeypatch.context() as away:
        away.setattr(settings, "STORE", "s3://nobody/here")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
            away.setenv(name, "x")
        away.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        turn_until(over(job))
        runner.turn(RUNNER)
        assert not job.artefacts.exists()
    turn_until(lambda: job.artefacts.exists())
    assert artefacts.used_bytes(world.entity) == len("made\n")
