"""Endpoints on a real engine with llama.cpp's server: they wake, answer, sleep, start again, give up and close."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from tests.compute.world import SYSTEM, World, party
from tests.jobs.recipe_runs import TRAIN, folder
from tests.jobs.site import RUNNER, book, connect, turn_until
from tests.jobs.storage import TEXT, put

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.base.errors import Forbidden, Invalid, Refused
from huoshui.base.models import LogRecord
from huoshui.jobs import endpoints, panel, services, serving, trying
from huoshui.jobs.actions import endpoints as actions
from huoshui.jobs.actions.jobs import cancel_job
from huoshui.jobs.actions.models import register_model
from huoshui.jobs.models import Booking, Endpoint, Job, TrainedModel
from huoshui.registry.models import Party

GGUF = b"GGUF and the rest"


@pytest.fixture(autouse=True)
def own_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings, "HOME", tmp_path)
    monkeypatch.setattr(settings, "STORE", "")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, str]:
    """A trained model, and what its trainer says after 算力."""
    for package in ("jax", "gguf", "xllamacpp"):
        pytest.importorskip(package)
    made = folder(tmp_path_factory.mktemp("trained"), "fine-tune", TRAIN, {"text": TEXT.encode()})
    made.run()
    return made.output("model.gguf").read_bytes(), made.output("sample.txt").read_text().rstrip("\n")


def model(world: World, content: bytes = GGUF) -> TrainedModel:
    return register_model(SYSTEM, artefact=put(world.entity, "m.gguf", content, "model"), name="m-one")


def opened(world: World, booking: Booking, content: bytes = GGUF, **more: Any) -> Endpoint:
    values: dict[str, Any] = {"name": "writer", "idle_seconds": 60}
    return actions.open_endpoint(SYSTEM, model=model(world, content), booking=booking, **values | more)


def now(endpoint: Endpoint) -> Endpoint:
    return Endpoint.objects.select_related("job", "model", "booking").get(pk=endpoint.pk)


def is_in(endpoint: Endpoint, state: str) -> Callable[[], bool]:
    return lambda: now(endpoint).state == state


def test_an_endpoint_wakes_answers_and_sleeps_and_its_card_seconds_are_billed(
    world: World, tmp_path: Path, trained: tuple[bytes, str]
) -> None:
    connect(world, tmp_path / "jobs")
    booking = book(world)
    endpoint = opened(world, booking, trained[0])
    endpoints.turn(RUNNER)
    assert now(endpoint).state == Endpoint.State.ASLEEP  # nobody asked for it
    with pytest.raises(Refused):
        actions.try_endpoint(SYSTEM, endpoint=now(endpoint), prompt_characters=1, tokens_max=1)
    actions.wake_endpoint(SYSTEM, endpoint=endpoint)
    turn_until(is_in(endpoint, "ready"))

    ready = now(endpoint)
    assert ready.address.startswith("http://127.0.0.1:")
    assert len(ready.key) == 48
    said = trying.ask(ready, "算力", TRAIN["sample_tokens"])
    assert "算力" + said.text == trained[1]
    assert said.answer_tokens == TRAIN["sample_tokens"]
    events = b"".join(trying.stream(ready, "算力", 4)).decode()
    assert events.startswith("data: {")
    assert events.rstrip().endswith("data: [DONE]")

    job = ready.job
    assert job is not None
    time.sleep(1.1)
    idle = actions.WAKE + timedelta(seconds=61)
    turn_until(is_in(endpoint, "asleep"), later=idle)
    turn_until(lambda: Job.objects.get(pk=job.pk).state == "cancelled", later=idle)
    seconds = job.attempts.get().card_seconds
    assert seconds
    assert services.used(booking).card_seconds == serving.card_seconds(endpoint) == seconds
    assert now(endpoint).key == ""
    assert not job.artefacts.exists()  # its address is no artefact
    with pytest.raises(Refused):
        trying.ask(ready, "算力", 4)

    actions.wake_endpoint(SYSTEM, endpoint=endpoint)
    turn_until(is_in(endpoint, "ready"))
    assert now(endpoint).key != ready.key
    actions.close_endpoint(SYSTEM, endpoint=endpoint)
    turn_until(lambda: not booking.jobs.filter(ended_at=None).exists())
    assert now(endpoint).state == Endpoint.State.CLOSED
    kept = "".join(LogRecord.objects.values_list("payload", flat=True))
    assert ready.key not in kept
    assert "算力" not in kept


def test_a_replica_that_dies_is_started_again_and_after_three_times_given_up(
    world: World, tmp_path: Path, trained: tuple[bytes, str]
) -> None:
    connect(world, tmp_path / "jobs")
    endpoint = opened(world, book(world), trained[0])
    actions.wake_endpoint(SYSTEM, endpoint=endpoint)
    jobs = []
    for _again in range(endpoints.CRASHES_MAX):
        turn_until(is_in(endpoint, "ready"))
        job = now(endpoint).job
        assert job is not None
        jobs.append(job.pk)
        for pid in _processes_in(tmp_path / "jobs" / job.number):
            os.kill(pid, signal.SIGKILL)
        turn_until(lambda: now(endpoint).job_id != jobs[-1] or now(endpoint).state == "failed")
    assert now(endpoint).state == Endpoint.State.FAILED
    assert len(set(jobs)) == 3
    assert endpoints.fault_words(now(endpoint)) != now(endpoint).fault
    endpoints.turn(RUNNER)
    assert now(endpoint).state == Endpoint.State.FAILED
    actions.wake_endpoint(SYSTEM, endpoint=endpoint)
    turn_until(is_in(endpoint, "ready"))
    actions.close_endpoint(SYSTEM, endpoint=endpoint)


def _processes_in(directory: Path) -> list[int]:
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and Path(os.readlink(process / "cwd")) == directory:
                found.append(int(process.name))
        except OSError:
            continue
    return found


def test_a_model_that_cannot_be_loaded_fails_with_its_reason(world: World, tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    connect(world, tmp_path / "jobs")
    endpoint = opened(world, book(world))
    actions.wake_endpoint(SYSTEM, endpoint=endpoint)
    turn_until(is_in(endpoint, "failed"), 60)
    assert now(endpoint).fault == "exit_code"
    assert now(endpoint).crashes == endpoints.CRASHES_MAX
    last = now(endpoint).job
    assert last is not None
    assert "cannot be served" in (tmp_path / "jobs" / last.number / "log.1").read_text()


def test_an_endpoint_whose_booking_is_over_waits_for_its_owner_to_choose_another(
    world: World, people: Callable[..., Actor], tmp_path: Path
) -> None:
    def waiting(whose: Party) -> str:
        return " ".join(todo.title for todo in panel.endpoints_waiting(people("agent", f"party:{whose.pk}")))

    connect(world, tmp_path / "jobs")
    endpoint = opened(world, book(world, hours=2))
    turn_until(is_in(endpoint, "failed"), later=timedelta(hours=3))
    assert now(endpoint).fault == actions.BOOKING_OVER
    assert endpoint.name in waiting(world.entity)
    assert waiting(party("邻居")) == ""
    with pytest.raises(Refused) as refused:
        actions.wake_endpoint(SYSTEM, endpoint=endpoint)
    assert refused.value.code == "booking_over"
    with pytest.raises(Invalid):
        actions.move_endpoint(SYSTEM, endpoint=endpoint, booking=book(world, party=party("别家")))
    another = book(world, hours=8)
    actions.move_endpoint(SYSTEM, endpoint=endpoint, booking=another)
    assert (now(endpoint).state, now(endpoint).fault, now(endpoint).booking) == ("asleep", "", another)
    assert waiting(world.entity) == ""
    actions.wake_endpoint(SYSTEM, endpoint=endpoint)
    turn_until(lambda: another.jobs.exists())


def test_an_endpoint_sleeps_between_the_stretches_of_its_booking_and_a_call_wakes_it_again(
    world: World, tmp_path: Path
) -> None:
    connect(world, tmp_path / "jobs")
    first = clock.hour_of(clock.now())
    booking = book(world, stretches=[(first, first + 1), (first + 5, first + 6)])
    Booking.objects.filter(pk=booking.pk).update(state=Booking.State.RESERVED)
    endpoint = opened(world, booking)
    for _day in range(endpoints.CRASHES_MAX):  # evenings, however many, are no crashes
        Endpoint.objects.filter(pk=endpoint.pk).update(wanted_until=clock.now() + timedelta(hours=1))
        endpoints.turn(RUNNER)
        job = now(endpoint).job
        assert job is not None
        Job.objects.filter(pk=job.pk).update(
            state=Job.State.CANCELLED, reason="stretch_ended", ended_at=clock.now(), cancel_asked=False
        )
        endpoints.turn(RUNNER)
        assert (now(endpoint).state, now(endpoint).fault) == ("asleep", "stretch_ended")
    with clock.moved_to(clock.instant_of(first + 2)):
        Endpoint.objects.filter(pk=endpoint.pk).update(wanted_until=clock.now() + actions.WAKE)
        endpoints.turn(RUNNER)
        assert now(endpoint).state == "asleep"
    with clock.moved_to(clock.instant_of(first + 5)):
        Endpoint.objects.filter(pk=endpoint.pk).update(wanted_until=clock.now() + actions.WAKE)
        endpoints.turn(RUNNER)
    assert now(endpoint).state == "starting"
    assert booking.jobs.count() == endpoints.CRASHES_MAX + 1


def test_an_endpoint_follows_its_booking_to_the_one_that_took_its_place(world: World, tmp_path: Path) -> None:
    connect(world, tmp_path / "jobs")
    booking = book(world, cards=1, source="compute.allocation:7@1")
    Booking.objects.filter(pk=booking.pk).update(state=Booking.State.RESERVED)
    endpoint = opened(world, booking)
    actions.wake_endpoint(SYSTEM, endpoint=endpoint)
    endpoints.turn(RUNNER)
    job = now(endpoint).job
    Booking.objects.filter(pk=booking.pk).update(state=Booking.State.CANCELLED)
    home = book(world, cards=1, source="compute.allocation:7@2")
    endpoints.turn(RUNNER)
    assert (now(endpoint).state, now(endpoint).booking) == ("asleep", home)
    assert job is not None
    assert Job.objects.get(pk=job.pk).cancel_asked


def test_what_the_owner_answered_reaches_the_serving_job(world: World) -> None:
    booking = book(world)
    Booking.objects.filter(pk=booking.pk).update(state=Booking.State.RESERVED)
    with pytest.raises(Invalid):
        opened(world, booking, parameters={"context": 1})
    endpoint = opened(world, booking, parameters={"context": 8192, "parallel": 4})
    actions.wake_endpoint(SYSTEM, endpoint=endpoint)
    endpoints.turn(RUNNER)
    job = now(endpoint).job
    assert job is not None
    assert job.parameters == {"context": 8192, "parallel": 4, "threads": 1, "alias": "writer"}


def test_a_job_that_somebody_cancelled_is_not_started_again(world: World, tmp_path: Path) -> None:
    connect(world, tmp_path / "jobs")
    booking = book(world)
    turn_until(lambda: Booking.objects.get(pk=booking.pk).state == "reserved")
    endpoint = opened(world, booking)
    actions.wake_endpoint(SYSTEM, endpoint=endpoint)
    endpoints.turn(RUNNER)
    job = now(endpoint).job
    assert job is not None
    cancel_job(SYSTEM, job=job)
    endpoints.turn(RUNNER)
    assert (now(endpoint).state, now(endpoint).fault) == ("failed", "cancelled")


# --- looking at replicas: a server that hangs, one that says it is ill, one that lies about where it is -------------


class Replica(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(type(self).status)
        self.end_headers()

    def log_message(self, *_args: Any) -> None:
        pass


@pytest.fixture
def replica() -> Iterator[tuple[str, type[Replica]]]:
    kind = type("Own", (Replica,), {})
    server = HTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", kind
    server.shutdown()
    server.server_close()


@pytest.fixture
def ready(world: World, replica: tuple[str, type[Replica]]) -> Endpoint:
    """An endpoint whose replica is a server of the test."""
    booking = book(world)
    Booking.objects.filter(pk=booking.pk).update(state=Booking.State.RESERVED)
    endpoint = opened(world, booking)
    actions.wake_endpoint(SYSTEM, endpoint=endpoint)
    endpoints.turn(RUNNER)
    job = now(endpoint).job
    assert job is not None
    Job.objects.filter(pk=job.pk).update(state=Job.State.RUNNING)
    return actions.ready_endpoint(RUNNER, endpoint=endpoint, job=job, address=replica[0])


def test_one_missed_answer_is_forgiven_two_are_not(ready: Endpoint, replica: tuple[str, type[Replica]]) -> None:
    endpoints.turn(RUNNER)
    assert now(ready).fault == ""
    replica[1].status = 503
    endpoints.turn(RUNNER)
    assert (now(ready).state, now(ready).fault) == ("ready", endpoints.NO_ANSWER)
    replica[1].status = 200
    endpoints.turn(RUNNER)
    assert now(ready).fault == ""
    replica[1].status = 503
    endpoints.turn(RUNNER)
    endpoints.turn(RUNNER)
    assert (now(ready).state, now(ready).crashes) == ("asleep", 1)
    assert now(ready).job.cancel_asked  # type: ignore[union-attr]


def test_calls_keep_it_awake_and_idle_time_ends_it(
    ready: Endpoint, moved_clock: Callable[..., Any], replica: tuple[str, type[Replica]]
) -> None:
    until = now(ready).wanted_until
    assert until is not None
    with moved_clock(until + timedelta(seconds=59)):
        endpoints.turn(RUNNER)
        assert now(ready).state == "ready"
        actions.try_endpoint(SYSTEM, endpoint=now(ready), prompt_characters=2, tokens_max=8)
    with moved_clock(until + timedelta(seconds=119)):
        endpoints.turn(RUNNER)
        assert now(ready).state == "ready"
    with moved_clock(until + timedelta(seconds=59) + actions.WAKE + timedelta(seconds=61)):
        endpoints.turn(RUNNER)
    assert (now(ready).state, now(ready).crashes) == ("asleep", 0)


def test_an_old_job_of_an_endpoint_changes_nothing_any_more(ready: Endpoint) -> None:
    old = now(ready).job
    actions.rest_endpoint(RUNNER, endpoint=ready, job=old, state="asleep")
    again = actions.rest_endpoint(RUNNER, endpoint=ready, job=old, state="failed")
    assert again.state == "asleep"
    assert actions.ready_endpoint(RUNNER, endpoint=ready, job=old, address="http://127.0.0.1:5000").state == "asleep"


def test_tries_are_limited_and_written_down_without_content(ready: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "TRIES_PER_MINUTE", 2)
    for _again in range(2):
        actions.try_endpoint(SYSTEM, endpoint=ready, prompt_characters=3, tokens_max=8)
    with pytest.raises(Refused) as refused:
        actions.try_endpoint(SYSTEM, endpoint=ready, prompt_characters=3, tokens_max=8)
    assert refused.value.code == "too_many_tries"
    record = LogRecord.objects.filter(action="jobs.endpoint.try").last()
    assert record is not None
    assert record.payload == '{"prompt_characters":3,"tokens_max":8}'


def test_a_replica_that_says_nonsense_is_a_plain_refusal(ready: Endpoint) -> None:
    with pytest.raises(Refused) as refused:
        trying.ask(now(ready), "secret words", 4)  # it knows no POST
    assert refused.value.code == "endpoint_refused"
    assert "secret" not in refused.value.message


@pytest.mark.parametrize(
    "address",
    ["https://127.0.0.1:5000", "http://169.254.169.254:8000", "http://127.0.0.1:80", "http://a b:5000", "ftp://x:5000",
     "http://host:5000/path", "http://u@host:5000", "http://host:99999", "http://HOST:5000", ""],
)  # fmt: skip
def test_addresses_that_no_replica_can_have_are_not_believed(address: str) -> None:
    assert not endpoints.is_address(address)
    assert endpoints.is_address("http://n1.cluster:5000")


# --- who may, what may not be ---------------------------------------------------------------------------------------


def test_an_endpoint_needs_a_booking_of_the_same_party_and_a_free_name(world: World, people: Any) -> None:
    booking, made = book(world), model(world)
    other = party("别家")
    elsewhere = book(world, party=other)
    cases: list[dict[str, Any]] = [
        {"booking": elsewhere}, {"cards": 0}, {"cards": 99}, {"idle_seconds": 1}, {"name": "No Name"},
    ]  # fmt: skip
    values: dict[str, Any] = {"model": made, "booking": booking, "name": "writer"}
    for wrong in cases:
        with pytest.raises(Invalid):
            actions.open_endpoint(SYSTEM, **values | wrong)
    stranger = people("agent", f"party:{other.pk}")
    with pytest.raises(Forbidden):
        actions.open_endpoint(stranger, **values)
    agent = people("agent", f"party:{world.entity.pk}")
    endpoint = actions.open_endpoint(agent, **values)
    with pytest.raises(Invalid):
        actions.open_endpoint(agent, **values)
    for action in (actions.wake_endpoint, actions.close_endpoint):
        with pytest.raises(Forbidden):
            action(stranger, endpoint=endpoint)
    assert actions.close_endpoint(agent, endpoint=endpoint).state == "closed"
