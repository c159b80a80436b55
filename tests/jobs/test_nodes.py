"""How a job's cards lie in the nodes of a site: the person need not know, and what cannot run is refused at once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import translation
from tests.compute.world import World
from tests.jobs.site import RUNNER, SYSTEM, book, connect, over, state_of, submit, turn_until

from huoshui.base.errors import Invalid
from huoshui.engines.local import LocalEngine
from huoshui.jobs import connections, runner
from huoshui.jobs.actions import connections as sites
from huoshui.jobs.actions.connections import record_check
from huoshui.jobs.actions.jobs import submit_job
from huoshui.jobs.forms import JobForm
from huoshui.jobs.models import Booking, Connection, Job
from huoshui.jobs.templates import TEMPLATES


@pytest.mark.parametrize(
    ("sizes", "cards", "nodes"),
    [
        ([8, 8], 1, 1), ([8, 8], 8, 1), ([8, 8], 10, 2), ([8, 8], 16, 2), ([8, 8], 9, 0), ([8, 8, 8], 9, 3),
        ([8, 4, 4], 12, 3), ([8, 8, 4], 12, 2), ([8, 8], 18, 0), ([4], 5, 0), ([8] * 100, 11, 11),
    ],
)  # fmt: skip
def test_the_fewest_nodes_with_equally_many_cards_on_each(sizes: list[int], cards: int, nodes: int) -> None:
    assert connections.spread(sizes, cards) == nodes


@pytest.fixture(autouse=True)
def _in_english() -> Iterator[None]:
    with translation.override("en"):
        yield


@pytest.fixture
def booking(world: World) -> Booking:
    """Sixteen cards at a site of which a check said that they lie in two nodes."""
    Connection.objects.create(
        site=world.pool.site, kind="slurm", tag="two", state="up", nodes={"a100": [8, 8]},
        settings={"cards": f"{world.pool.card_model.code}=a100", "workdir": "-"},
    )  # fmt: skip
    return book(world, cards=16)


def fault(booking: Booking, template: str, cards: int, **parameters: Any) -> str:
    with pytest.raises(Invalid) as caught:
        submit_job(
            SYSTEM, key=f"x/{cards}", booking=booking, title="x", template=template, cards=cards, parameters=parameters
        )
    (problem,) = caught.value.problems
    assert problem.field == "cards"
    return problem.rule


def test_cards_that_the_nodes_cannot_take_are_refused_when_the_job_is_submitted(booking: Booking) -> None:
    assert submit(booking, "true", cards=16).cards == 16
    assert "at most 8 cards" in fault(booking, "command", 9, arguments="true")
    assert Job.objects.count() == 1


def test_a_recipe_runs_on_one_node(booking: Booking) -> None:
    command, recipe = (JobForm(booking, TEMPLATES[code]) for code in ("command", "fine-tune"))
    assert "several nodes" in str(command.fields["cards"].help_text)
    assert "runs on one node" in str(recipe.fields["cards"].help_text)
    with pytest.raises(Invalid, match="at most 8 cards here"):
        connections.require_nodes(booking.pool, TEMPLATES["fine-tune"], 10)


def test_this_machine_is_one_node(world: World, tmp_path: Any) -> None:
    connection = connect(world, tmp_path / "jobs")
    assert connection.nodes == {"test": [4]}
    job = submit(book(world, cards=4), "true", cards=4)
    turn_until(over(job))
    Connection.objects.update(nodes={"test": [3]})
    assert "runs on one node, which has at most 3 cards here" in fault(job.booking, "command", 4, arguments="true")


def test_a_job_of_several_cards_waits_until_it_is_known_how_they_lie_in_nodes(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(world, tmp_path / "jobs")
    booking = book(world, cards=2)
    Connection.objects.update(nodes={})
    job = submit(booking, "true", cards=2)
    for sizes, reason in (([], ""), ([1], "nodes")):
        monkeypatch.setattr(LocalEngine, "nodes", lambda _engine, sizes=sizes: {"test": sizes})
        runner.turn(RUNNER)
        job.refresh_from_db()
        assert (job.state, job.reason, job.attempts.count()) == ("queued", reason, 0)
    Connection.objects.update(nodes={})
    monkeypatch.undo()
    turn_until(over(job))
    assert state_of(job) == "succeeded"
    assert Connection.objects.get().nodes == {"test": [4]}


def test_nodes_that_cannot_take_a_job_any_more_send_it_into_the_queue(world: World, tmp_path: Path) -> None:
    connect(world, tmp_path / "jobs")
    job = submit(book(world), "true", cards=2)
    runner.turn(RUNNER, lambda *_asked: False)
    Connection.objects.update(nodes={"test": [1]})
    runner.turn(RUNNER)
    job.refresh_from_db()
    assert (job.state, job.reason, job.attempts.get().sent_at) == ("queued", "nodes", None)


def test_what_is_known_of_the_nodes_stays_when_other_settings_change(world: World, tmp_path: Path) -> None:
    made = connect(world, tmp_path / "jobs")
    for changed, nodes in (({"workdir": str(tmp_path / "b")}, {"test": [4]}), ({"cards": "test=2"}, {})):
        given = made.settings | changed
        made = sites.connect(SYSTEM, key=str(changed), site=made.site, kind="local", settings=given)
        assert made.nodes == nodes


def test_what_a_check_did_not_hear_of_the_nodes_stays_as_it_was(booking: Booking) -> None:
    connection = record_check(SYSTEM, connection=Connection.objects.get(), findings=[])
    assert connection.nodes == {"a100": [8, 8]}
    assert connections.spread([], 3) == 0
    Connection.objects.update(nodes={})
    assert submit(booking, "true", cards=9).cards == 9
