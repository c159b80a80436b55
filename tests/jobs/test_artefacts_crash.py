"""Power goes while content comes or leaves: an artefact always has its content, content without one is swept."""

import pytest
from tests.sandbox import Sandbox

MAKE = """
from tests.compute.world import party
from huoshui.jobs.actions.artefacts import upload
from huoshui.registry.models import Party
owner = Party.objects.filter(name="示例企业").first() or party("示例企业", "entity")
def put(key="put"):
    return upload(system, key=key, party=owner, name="a.txt", kind="data", chunks=[b"content"])
"""
DELETE = """
from huoshui.jobs.actions.artefacts import delete_artefact
delete_artefact(system, key="delete", artefact=put())
"""
LOOK = """
from datetime import timedelta
from huoshui.jobs import artefacts, store
from huoshui.jobs.models import Artefact
living = Artefact.objects.filter(deleted_at=None)
print(living.count(), all(store.put_at(row.digest) for row in living), len(list(store.contents())))
"""
SWEEP = """
artefacts.ORPHAN_AGE = timedelta(seconds=-60)
print(artefacts.sweep(), len(list(store.contents())))
"""


@pytest.mark.parametrize(
    ("place", "kept"),
    [("jobs.store:keep", 0), ("jobs.actions.artefacts:create_artefact", 1), ("base.log:seal", 1)],
)
def test_an_upload_that_died_leaves_no_artefact_and_is_sent_again(sandbox: Sandbox, place: str, kept: int) -> None:
    sandbox.run(MAKE + "put()", crash_at=f"huoshui.{place}")
    assert sandbox.run(LOOK + SWEEP).splitlines() == [f"0 True {kept}", f"{kept} 0"]
    assert sandbox.run(MAKE + "put()\n" + LOOK + SWEEP).splitlines() == ["1 True 1", "0 1"]


def test_what_was_deleted_is_swept(sandbox: Sandbox) -> None:
    sandbox.run(MAKE + DELETE)
    assert sandbox.run(LOOK + SWEEP).splitlines() == ["0 True 1", "1 0"]


def test_a_deletion_that_died_before_its_commit_has_not_happened(sandbox: Sandbox) -> None:
    sandbox.run(MAKE + DELETE, crash_at="huoshui.base.log:seal", nth=2)
    assert sandbox.run(LOOK).strip() == "1 True 1"
