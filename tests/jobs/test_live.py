"""A job while it runs, and the pages of data, models and endpoints: what is shown, to whom, and nothing unescaped."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from tests.compute.world import SYSTEM, World, party
from tests.jobs.storage import attempt_of, booked, command, put

from huoshui.jobs import folders, live
from huoshui.jobs.actions import endpoints as endpoint_actions
from huoshui.jobs.actions.models import register_model
from huoshui.jobs.models import Artefact, Attempt, Endpoint, Job, Metric
from huoshui.jobs.views.live import STOP_POLLING

QUERIES_PER_LIST_MAX = 12
KEY = {"idempotency_key": "form/test"}
GGUF = b"GGUF and the rest"


@pytest.fixture(autouse=True)
def own_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings, "HOME", tmp_path)
    monkeypatch.setattr(settings, "STORE", "")


@pytest.fixture
def agent(world: World, people: Any) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(people("agent", f"party:{world.entity.pk}").user)
    return client


@pytest.fixture
def stranger(people: Any, world: World) -> Client:
    client = Client()
    client.force_login(people("agent", f"party:{party('别家').pk}").user)
    return client


@pytest.fixture
def job(world: World) -> Job:
    return command(booked(world))


@pytest.fixture
def attempt(job: Job, tmp_path: Path) -> Attempt:
    made = attempt_of(job, tmp_path / "work")
    folders.prepare(job, made, tmp_path / "work")
    return made


def say(attempt: Attempt, data: bytes) -> None:
    with open(folders.log_of(attempt, live.workdir_of(attempt)), "ab") as out:
        out.write(data)


# --- the log --------------------------------------------------------------------------------------------------------


def test_a_terminal_s_language_is_taken_out() -> None:
    said = b"\x1b[1;32mgreen\x1b[0m\x1b]0;title\x07 10%\r 55%\r100%\nnul\x00 bell\x07 \xe2\x80\xaereversed\ttab\r\n"
    assert live.plain(said) == "100%\nnul bell reversed\ttab\n"
    assert live.plain("一行\n".encode() + b"\xff") == "一行\n\ufffd"


@given(st.binary(max_size=300))
def test_any_bytes_become_text_without_control_characters(data: bytes) -> None:
    text = live.plain(data)
    assert all(letter in "\n\t" or letter >= " " for letter in text)
    assert "\x7f" not in text


def test_a_log_is_shown_line_by_line_and_ends(attempt: Attempt) -> None:
    say(attempt, "第一行\nhalf of".encode())
    first = live.log_piece(attempt)
    assert first.text == "第一行\n"
    assert live.log_piece(attempt, first.offset).text == ""
    say(attempt, b" a line\nlast")
    second = live.log_piece(attempt, first.offset)
    assert second.text == "half of a line\n"
    attempt.state = Attempt.State.ENDED
    assert live.log_piece(attempt, second.offset).text == "last"


def test_a_long_log_shows_its_end_and_says_what_is_missing(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LOG_FIRST_MAX", 100)
    say(attempt, b"".join(b"line %03d\n" % number for number in range(100)))
    piece = live.log_piece(attempt)
    assert (piece.skipped, piece.offset) == (800, 900)
    assert piece.text.endswith("line 099\n")
    assert len(piece.text) <= 100


def test_a_flood_without_line_ends_is_shown_bounded(attempt: Attempt) -> None:
    say(attempt, b"x" * (3 * live.LOG_NEXT_MAX))
    piece = live.log_piece(attempt, 0)
    assert piece.offset == len(piece.text) == live.LOG_NEXT_MAX


def test_the_log_is_polled_escaped_and_stops(agent: Client, job: Job, attempt: Attempt) -> None:
    address = f"/jobs/jobs/{job.pk}/log/1/"
    assert agent.get(address).status_code == 204
    say(attempt, b"<script>alert(1)</script>\n")
    answer = agent.get(address)
    assert "&lt;script&gt;" in answer.text
    assert "<script>" not in answer.text
    assert f"{address}?offset=26" in answer.text
    assert agent.get(address, {"offset": 26}).status_code == 204
    page = agent.get(f"/jobs/jobs/{job.pk}/").text
    assert "&lt;script&gt;alert(1)" in page
    assert "hx-get" in page
    for wrong in ("-1", "x", str(1 << 60)):
        assert agent.get(address, {"offset": wrong}).status_code == 404
    Attempt.objects.filter(pk=attempt.pk).update(state=Attempt.State.ENDED)
    assert agent.get(address, {"offset": 26}).status_code == STOP_POLLING
    assert agent.get(f"{address}file/").content == b"<script>alert(1)</script>\n"
    assert agent.get(f"/jobs/jobs/{job.pk}/log/2/").status_code == 404


def test_progress_and_curves_come_with_their_table(agent: Client, job: Job, attempt: Attempt) -> None:
    (folders.folder_of(job, live.workdir_of(attempt)) / "metrics.jsonl").write_text(
        "\n".join(json.dumps({"step": n, "total": 8, "loss": 4 / n, "learning_rate": n / 1e4}) for n in range(1, 5))
    )
    folders.read_metrics(attempt, live.workdir_of(attempt))
    shown = agent.get(f"/jobs/jobs/{job.pk}/progress/").text
    assert '<progress max="100" value="50"' in shown
    assert "<svg" in shown
    assert "Loss (nats a token)" in shown
    assert "Learning rate (millionths) 400" in shown
    assert "hx-get" in shown
    Job.objects.filter(pk=job.pk).update(ended_at=job.submitted_at, state=Job.State.SUCCEEDED)
    over = agent.get(f"/jobs/jobs/{job.pk}/progress/")
    assert over.headers["HX-Refresh"] == "true"
    assert "hx-get" not in over.text


def test_long_curves_are_thinned_with_both_ends(world: World, job: Job) -> None:
    Metric.objects.bulk_create(Metric(job=job, name="loss", step=step, value=step) for step in range(1000))
    rows = live.curves(job)[0].rows
    assert len(rows) == live.POINTS_DRAWN
    assert (rows[0][0], rows[-1][0]) == ("0", "999")


def test_another_party_sees_none_of_it(stranger: Client, world: World, job: Job, attempt: Attempt) -> None:
    artefact = put(world.entity, "m.gguf", GGUF, "model")
    model = register_model(SYSTEM, artefact=artefact, name="m-one")
    endpoint = endpoint_actions.open_endpoint(SYSTEM, model=model, booking=job.booking, name="m-one")
    paths = [
        f"jobs/{job.pk}/log/1/", f"jobs/{job.pk}/log/1/file/", f"jobs/{job.pk}/progress/", f"data/{artefact.pk}/",
        f"data/{artefact.pk}/file/", f"models/{model.pk}/", f"models/{model.pk}/lineage/", f"models/{model.pk}/serve/",
        f"endpoints/{endpoint.pk}/", f"endpoints/{endpoint.pk}/waking/",
    ]  # fmt: skip
    assert [stranger.get(f"/jobs/{path}").status_code for path in paths] == [404] * len(paths)
    for path in (f"data/{artefact.pk}/delete/", f"endpoints/{endpoint.pk}/wake/", f"endpoints/{endpoint.pk}/close/"):
        assert stranger.post(f"/jobs/{path}", KEY).status_code == 404
    for path in ("data", "models", "endpoints"):
        assert "m-one" not in stranger.get(f"/jobs/{path}/").text


# --- pages ----------------------------------------------------------------------------------------------------------


def test_a_file_is_uploaded_looked_at_downloaded_and_deleted(agent: Client, world: World) -> None:
    file = SimpleUploadedFile("说明.txt", "第一行 <b>\n".encode())
    answer = agent.post("/jobs/data/new/", KEY | {"party": world.entity.pk, "kind": "data", "file": file})
    row = Artefact.objects.get()
    assert answer.headers["Location"] == f"/jobs/data/{row.pk}/"
    assert "第一行 &lt;b&gt;" in agent.get(f"/jobs/data/{row.pk}/").text
    download = agent.get(f"/jobs/data/{row.pk}/file/")
    assert b"".join(download.streaming_content) == "第一行 <b>\n".encode()  # type: ignore[attr-defined]
    assert download.headers["Content-Disposition"].startswith("attachment; filename*=utf-8''")
    assert download.headers["Content-Length"] == str(row.bytes)
    agent.post(f"/jobs/data/{row.pk}/delete/", KEY)
    row.refresh_from_db()
    assert row.deleted_at is not None
    assert agent.get(f"/jobs/data/{row.pk}/").status_code == 200


def test_a_form_says_what_is_wrong_with_a_file(agent: Client, world: World) -> None:
    named = {"party": world.entity.pk, "kind": "data"}
    wrong = agent.post("/jobs/data/new/", KEY | named | {"file": SimpleUploadedFile("-rf", b"x")})
    assert "a file name without path" in wrong.text
    empty = agent.post("/jobs/data/new/", KEY | named)
    assert empty.status_code == 200
    other = agent.post("/jobs/data/new/", KEY | named | {
        "party": world.operator.pk, "file": SimpleUploadedFile("a", b"x"),
    })  # fmt: skip
    assert other.status_code == 200
    assert not Artefact.objects.exists()


def test_a_model_is_registered_served_and_tried_from_pages(agent: Client, world: World, job: Job) -> None:
    artefact = put(world.entity, "m.gguf", GGUF, "model")
    assert agent.post(f"/jobs/data/{artefact.pk}/register/", KEY | {"name": "m-one"}).status_code == 302
    model = artefact.models.get()
    assert "m.gguf" in agent.get(f"/jobs/models/{model.pk}/").text
    told = json.loads(agent.get(f"/jobs/models/{model.pk}/lineage/").content)
    assert told["uploaded_as"] == "m.gguf"
    fields = {"booking": job.booking_id, "name": "m-one", "cards": 1, "idle_seconds": 60}
    fields |= {"answer_context": 4096, "answer_parallel": 2, "answer_threads": 1}
    assert agent.post(f"/jobs/models/{model.pk}/serve/", KEY | fields).status_code == 302
    endpoint = Endpoint.objects.get()
    address = f"/jobs/endpoints/{endpoint.pk}/"
    assert "It is asleep" in agent.get(address).text
    assert agent.post(f"{address}wake/", KEY).status_code == 302
    assert "hx-get" in agent.get(address).text  # it is looked at until it is there
    assert agent.post(address, {"prompt": "你好", "tokens": 8}).status_code == 200  # not ready: said on the page
    Endpoint.objects.filter(pk=endpoint.pk).update(state=Endpoint.State.FAILED, fault="no_answer")
    assert "The model did not answer." in agent.get(address).text
    assert agent.get(f"{address}waking/").headers["HX-Refresh"] == "true"
    another = booked(world)
    assert agent.post(f"{address}move/", KEY | {"booking": another.pk}).status_code == 302
    endpoint.refresh_from_db()
    assert (endpoint.state, endpoint.booking, endpoint.parameters["context"]) == ("asleep", another, 4096)
    agent.post(f"{address}close/", KEY)
    endpoint.refresh_from_db()
    assert endpoint.state == Endpoint.State.CLOSED


@pytest.mark.parametrize("path", ["data", "models", "endpoints"])
def test_lists_stay_within_their_queries(
    path: str, agent: Client, world: World, job: Job, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    for number in range(6):
        model = register_model(
            SYSTEM, artefact=put(world.entity, f"m{number}.gguf", GGUF + bytes([number]), "model"), name=f"m-{number}"
        )
        endpoint_actions.open_endpoint(SYSTEM, model=model, booking=job.booking, name=f"e-{number}")
    with django_assert_max_num_queries(QUERIES_PER_LIST_MAX):
        assert "示例企业" in agent.get(f"/jobs/{path}/").text


# --- REST -----------------------------------------------------------------------------------------------------------


def test_the_same_through_rest(agent: Client, stranger: Client, world: World, job: Job) -> None:
    def send(path: str, body: Any = None, method: str = "post", key: str = "k", client: Client = agent) -> Any:
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        data = body if isinstance(body, bytes) else json.dumps(body or {})
        call = getattr(client, method)
        return call(f"/api/jobs/{path}", data, content_type=kind, headers={"Idempotency-Key": key})

    place = f"parties/{world.entity.pk}/data/m.gguf?kind=model"
    big = GGUF + b"x" * (3 << 20)  # more than a form may hold in memory
    made = send(place, big, "put").json()
    assert (made["bytes"], made["kind"]) == (len(big), "model")
    assert send(place, big, "put").json()["id"] == made["id"]
    assert send(place, GGUF, "put").status_code == 409
    assert send(place, GGUF, "put", client=stranger).status_code == 404
    assert b"".join(agent.get(f"/api/jobs/data/{made['id']}/content/").streaming_content) == big  # type: ignore[attr-defined]
    model = send(f"data/{made['id']}/register/", {"name": "m-one"}).json()
    assert (model["version"], model["lineage"]["digest"]) == (1, made["digest"])
    assert agent.get(f"/api/jobs/models/{model['id']}/lineage/").json()["model"] == "m-one:1"
    endpoint = send(f"models/{model['id']}/serve/", {"booking": job.booking_id, "name": "m-one"}).json()
    assert endpoint["state"] == "asleep"
    assert "key" not in endpoint
    assert send(f"models/{model['id']}/serve/", {"booking": 999, "name": "m-two"}, key="2").status_code == 404
    assert send(f"endpoints/{endpoint['id']}/wake/").json()["wanted_until"] is not None
    refused = send(f"endpoints/{endpoint['id']}/try/", {"prompt": "hello"}, key="3")
    assert (refused.status_code, refused.json()["code"]) == (409, "endpoint_asleep")
    assert send(f"endpoints/{endpoint['id']}/close/", key="4").json()["state"] == "closed"
    assert send(f"data/{made['id']}/", method="delete", key="5").json()["code"] == "in_use"
    assert len(agent.get("/api/jobs/data/").json()["items"]) == 1
    assert stranger.get("/api/jobs/data/").json()["items"] == []


# --- who may open what a party keeps --------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["officer", "auditor"])
def test_the_centre_sees_that_files_and_logs_are_there_not_what_is_in_them(
    role: str, world: World, people: Any, job: Job, attempt: Attempt
) -> None:
    say(attempt, b"secret words\n")
    artefact = put(world.entity, "m.gguf", b"GGUF secret words", "model")
    model = register_model(SYSTEM, artefact=artefact, name="m-one")
    client = Client(headers={"accept-language": "en"})
    client.force_login(people(role, "*").user)
    closed = [
        f"/jobs/data/{artefact.pk}/file/", f"/api/jobs/data/{artefact.pk}/content/", f"/jobs/jobs/{job.pk}/log/1/",
        f"/jobs/jobs/{job.pk}/log/1/file/", f"/api/jobs/jobs/{job.pk}/log/",
    ]  # fmt: skip
    assert [client.get(path).status_code for path in closed] == [403] * len(closed)
    for path in (f"data/{artefact.pk}/", f"jobs/{job.pk}/", f"jobs/{job.pk}/progress/", f"models/{model.pk}/"):
        page = client.get(f"/jobs/{path}")
        assert page.status_code == 200
        assert "secret words" not in page.text
        assert "Download" not in page.text
    assert artefact.digest in client.get(f"/jobs/data/{artefact.pk}/").text
