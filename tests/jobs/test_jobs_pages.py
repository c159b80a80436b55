"""Pages and REST of bookings, jobs and engines: who sees what, and what a token for one booking reaches."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from tests.compute.world import World, party
from tests.jobs.site import RUNNER, book, connect, over, submit, turn_until

from huoshui.base.access import Actor
from huoshui.base.errors import Invalid, Refused
from huoshui.jobs.actions.access import issue_booking_token
from huoshui.jobs.actions.bookings import cancel_own
from huoshui.jobs.actions.connections import connect as connect_engine
from huoshui.jobs.actions.connections import note_short
from huoshui.jobs.models import Booking, Connection, Job

People = Callable[..., Actor]


def client_of(actor: Actor) -> Client:
    made = Client()
    made.force_login(actor.user)  # type: ignore[arg-type]
    return made


@pytest.fixture
def agent(world: World, people: People) -> Actor:
    return people("agent", f"party:{world.entity.pk}")


@pytest.fixture
def operator(world: World, people: People) -> Actor:
    return people("operator", f"party:{world.operator.pk}")


def page(actor: Actor, name: str, *args: Any) -> str:
    answer = client_of(actor).get(reverse(name, args=args))
    assert answer.status_code == 200, (name, answer.status_code, answer.content[-500:])
    return answer.content.decode()


def test_every_page_stands_when_there_is_nothing_yet(world: World, agent: Actor, operator: Actor) -> None:
    for name in ("jobs:bookings", "jobs:jobs", "jobs:job_choose"):
        page(agent, name)
    assert world.pool.site.name in page(operator, "jobs:connections")


def test_a_firm_follows_its_job_from_the_booking_to_the_evidence(
    world: World, agent: Actor, operator: Actor, tmp_path: Path
) -> None:
    connect(world, tmp_path / "jobs")
    booking = book(world)
    assert booking.number in page(agent, "jobs:bookings")
    answer = client_of(agent).post(
        reverse("jobs:job_new", args=[booking.pk]) + "?template=command",
        {
            "title": "示例作业", "cards": 2, "minutes": 5, "attempts_max": 1,
            "answer_arguments": "/bin/sh -c 'echo 你好; sleep 1'", "idempotency_key": "page/1",
        },
    )  # fmt: skip
    job = Job.objects.get()
    assert answer.url == reverse("jobs:job", args=[job.pk])  # type: ignore[attr-defined]
    turn_until(over(job))
    attempt = job.attempts.get()
    shown = page(agent, "jobs:job", job.pk)
    assert "你好" in shown
    assert f"{attempt.card_seconds:,}" in shown
    assert attempt.evidence in shown
    assert job.number in page(agent, "jobs:booking", booking.pk)
    assert booking.number in page(operator, "jobs:connection", world.pool.site_id)
    assert job.number not in page(operator, "jobs:booking", booking.pk)


def test_an_operator_sees_that_cards_do_not_work(world: World, operator: Actor, agent: Actor) -> None:
    connection = Connection.objects.create(site=world.pool.site, kind="local", tag="t", state=Connection.State.UP)
    note_short(RUNNER, connection=connection, short={"test": (987, 1000)})
    shown = page(operator, "jobs:connection", world.pool.site_id)
    assert "987" in shown
    assert "1,000" in shown
    (told,) = client_of(operator).get("/api/jobs/engines/").json()
    assert [(one["word"], one["working"], one["wanted"]) for one in told["shortages"]] == [("test", 987, 1000)]
    assert client_of(agent).get("/api/jobs/engines/").json() == []
    assert world.pool.site.name in page(operator, "cases:todo")


def test_others_see_nothing_of_it(world: World, people: People, tmp_path: Path) -> None:
    stranger = people("agent", f"party:{party('示例他人', 'entity').pk}")
    connect(world, tmp_path / "jobs")
    booking = book(world)
    job = submit(booking, "true")
    client = client_of(stranger)
    for name, pk in (("jobs:booking", booking.pk), ("jobs:job", job.pk), ("jobs:job_new", booking.pk)):
        assert client.get(reverse(name, args=[pk])).status_code == 404
    assert client.get(reverse("jobs:connections")).status_code == 403
    assert booking.number not in page(stranger, "jobs:bookings")


def test_a_wrong_answer_stands_beside_its_question(world: World, agent: Actor) -> None:
    booking = book(world)
    answer = client_of(agent).post(
        reverse("jobs:job_new", args=[booking.pk]) + "?template=command",
        {
            "title": "x", "cards": 3, "minutes": 5, "attempts_max": 1, "answer_arguments": "'",
            "idempotency_key": "page/2",
        },
    )  # fmt: skip
    assert answer.status_code == 200
    assert not Job.objects.exists()
    assert answer.context["form"].errors


def test_training_asks_few_things_and_folds_the_rest_until_one_of_them_is_wrong(world: World, agent: Actor) -> None:
    booking = book(world)
    address = reverse("jobs:job_new", args=[booking.pk]) + "?template=fine-tune"
    form = client_of(agent).get(address).context["form"]
    assert [field.name for field in form.plain] == [
        "title", "cards", "minutes", "answer_steps", "file_text", "file_model"
    ]  # fmt: skip
    given = {field.name: field.initial for field in form if field.initial is not None}
    folded = '<details class="basis full">'
    assert folded in client_of(agent).post(address, given).content.decode()  # the text is missing, in view
    assert folded not in client_of(agent).post(address, given | {"answer_layers": 0}).content.decode()


def test_an_operator_connects_an_engine_and_sees_what_the_check_found(
    world: World, operator: Actor, tmp_path: Path, settings: Any
) -> None:
    world.pool.cards = 4
    world.pool.save()
    settings.ENGINE_PATHS = [tmp_path]
    edit = reverse("jobs:connection_edit", args=[world.pool.site_id])
    refused = client_of(operator).post(edit, {"workdir": "/etc", "cards": "test=4", "idempotency_key": "e/1"})
    assert refused.context["form"].errors["workdir"]
    assert not Connection.objects.exists()
    client_of(operator).post(
        edit, {"workdir": str(tmp_path / "jobs"), "cards": "test=3", "idempotency_key": "e/2"}
    )
    connection = Connection.objects.get()
    codes = {finding["code"]: finding["level"] for finding in connection.findings}
    assert codes["pool_cards_fewer"] == "warning"
    assert "test: 3/4" in page(operator, "jobs:connection", world.pool.site_id)


def test_a_token_for_a_booking_submits_there_and_reaches_nothing_else(
    world: World, agent: Actor, tmp_path: Path
) -> None:
    connect(world, tmp_path / "jobs")
    mine, other = book(world, cards=1), book(world, cards=1)
    hidden = submit(other, "true")
    secret = issue_booking_token(agent, booking=mine, days=1)["secret"]
    bearer = {"HTTP_AUTHORIZATION": f"Bearer {secret}"}
    body = {"title": "x", "template": "command", "parameters": {"arguments": "/bin/true"}, "seconds_max": 60}

    def post(pk: int, key: str) -> Any:
        return Client().post(
            f"/api/jobs/bookings/{pk}/jobs/", json.dumps(body), content_type="application/json",
            HTTP_IDEMPOTENCY_KEY=key, **bearer,
        )  # fmt: skip

    assert post(mine.pk, "t/1").json()["state"] == "queued"
    assert post(mine.pk, "t/1").json()["id"] == Job.objects.get(booking=mine).pk
    assert post(other.pk, "t/2").status_code == 404
    assert Client().get(f"/api/jobs/jobs/{hidden.pk}/", **bearer).status_code == 404
    seen = Client().get("/api/jobs/jobs/", **bearer).json()["items"]
    assert Client().get(f"/api/jobs/jobs/?booking={10**30}", **bearer).status_code == 422
    assert [job["booking"] for job in seen] == [mine.pk]
    assert Client().get("/api/book/statements/", **bearer).json().get("items", []) == []


def test_the_token_page_shows_the_secret_once(world: World, agent: Actor) -> None:
    booking = book(world)
    address = reverse("jobs:booking_token", args=[booking.pk])
    shown = client_of(agent).post(address, {"days": 7})
    assert shown.context["secret"]
    assert shown.context["secret"] in shown.content.decode()
    assert shown["Cache-Control"] == "no-store"
    assert client_of(agent).get(address).context["secret"] == ""


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("workdir", "/etc"), ("workdir", "relative"), ("workdir", "{home}/../../etc"), ("uid_base", "1000"),
        ("uid_base", "x"), ("readable", "{home}/jobs:/root"), ("secret_door", "x"), ("cards", ""),
    ],
)  # fmt: skip
def test_what_an_operator_may_not_set_on_the_platforms_machine(
    world: World, operator: Actor, tmp_path: Path, settings: Any, setting: str, value: str
) -> None:
    settings.ENGINE_PATHS = [tmp_path]
    given = {"workdir": str(tmp_path / "jobs"), "cards": "test=4"} | {setting: value.replace("{home}", str(tmp_path))}
    with pytest.raises(Invalid) as refused:
        connect_engine(operator, key="x", site=world.pool.site, kind="local", settings=given)
    assert [problem.field for problem in refused.value.problems] == [setting]


def test_an_installation_may_forbid_an_engine(world: World, operator: Actor, tmp_path: Path, settings: Any) -> None:
    settings.ENGINE_KINDS = ["slurm"]
    with pytest.raises(Invalid):
        connect_engine(operator, key="x", site=world.pool.site, kind="local", settings={"workdir": str(tmp_path)})


def test_an_operator_keeps_own_cards_and_gives_them_back(world: World, operator: Actor, tmp_path: Path) -> None:
    connect(world, tmp_path / "jobs")
    own = reverse("jobs:connection_own", args=[world.pool.site_id])
    client = client_of(operator)
    client.post(own, {"pool": world.pool.pk, "cards": 3, "hours": 2, "idempotency_key": "own/1"})
    booking = Booking.objects.get()
    assert (booking.party, booking.cards, booking.cap_fen) == (world.operator, 3, 0)
    job = submit(booking, "true", cards=3)
    turn_until(over(job))
    assert Job.objects.get(pk=job.pk).state == "succeeded"
    refused = client.post(own, {"pool": world.pool.pk, "cards": 2, "hours": 2, "idempotency_key": "own/2"})
    assert refused.context["form"].errors
    cancel_own(operator, key="own/3", booking=booking)
    with pytest.raises(Refused):
        cancel_own(operator, key="own/4", booking=book(world))
