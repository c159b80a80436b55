"""Whoever changes the log behind the product's back is found out."""

from collections.abc import Callable

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import trigger_names

from huoshui.base import actions, log, merkle
from huoshui.base.access import Actor
from huoshui.base.models import LogRecord

pytestmark = pytest.mark.django_db


def fill(actor: Actor, count: int) -> None:
    for number in range(count):
        actions.define_role(actor, code=f"r{number}", title=f"R{number}", permissions=[])


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture
def unguarded() -> Callable[[], None]:
    """What somebody does who owns the database: take the triggers away."""

    def drop() -> None:
        if connection.vendor == "postgresql":
            execute("SET CONSTRAINTS ALL IMMEDIATE")
        for name, on in trigger_names(connection):
            if "_base_" in name:
                execute(f'DROP TRIGGER "{name}"{on}')

    return drop


TAMPERING = {
    "the actor of a record": "UPDATE base_logrecord SET actor = 'system:else' WHERE id = {id}",
    "the payload": "UPDATE base_logrecord SET payload = '{{}}' WHERE id = {id}",
    "payload and digest": (
        "UPDATE base_logrecord SET payload = '{{}}', "
        "payload_digest = '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a' WHERE id = {id}"
    ),
    "the time of effect": "UPDATE base_logrecord SET effective_at = '2020-01-01 00:00:00+00:00' WHERE id = {id}",
    "a record taken out": (
        "DELETE FROM base_logleaf WHERE record_id = {id}; DELETE FROM base_logrecord WHERE id = {id}"
    ),
    "the head": "UPDATE base_loghead SET size = 4",
    "a stored subtree": (
        "UPDATE base_lognode SET hash = (SELECT hash FROM base_lognode WHERE level = 1 AND position = 0) "
        "WHERE level = 0 AND position = 2"
    ),
    "the last leaf and its subtrees": (
        "DELETE FROM base_lognode WHERE id IN (SELECT id FROM base_lognode ORDER BY id DESC LIMIT 1); "
        "DELETE FROM base_logleaf WHERE \"index\" = 4; UPDATE base_loghead SET size = 4"
    ),
    "two leaves exchanged": (
        'UPDATE base_logleaf SET "index" = -1 WHERE "index" = 1; '
        'UPDATE base_logleaf SET "index" = 1 WHERE "index" = 2; '
        'UPDATE base_logleaf SET "index" = 2 WHERE "index" = -1'
    ),
}


@pytest.mark.parametrize("what", TAMPERING)
def test_replay_finds(what: str, system_actor: Actor, unguarded: Callable[[], None]) -> None:
    fill(system_actor, 5)
    assert log.replay() == []
    third = LogRecord.objects.get(leaf__index=2)
    unguarded()
    for statement in TAMPERING[what].format(id=third.pk).split("; "):
        execute(statement)
    assert log.replay() != []


def test_a_log_rewritten_from_the_start_contradicts_the_root_that_was_published(
    system_actor: Actor, unguarded: Callable[[], None]
) -> None:
    fill(system_actor, 3)
    published = log.checkpoint()
    unguarded()
    for table in ("base_lognode", "base_logleaf"):
        execute(f"DELETE FROM {table}")
    execute("UPDATE base_logrecord SET actor = 'system:else'")
    execute("UPDATE base_loghead SET size = 0")
    log.seal(LogRecord.objects.order_by("pk"))
    assert log.replay() == [f"the root at {published.size} differs from the one published"]


def test_a_log_cut_short_contradicts_the_root_that_was_published(
    system_actor: Actor, unguarded: Callable[[], None]
) -> None:
    fill(system_actor, 3)
    log.checkpoint()
    unguarded()
    for table in ("base_lognode", "base_logleaf", "base_logrecord"):
        execute(f"DELETE FROM {table}")
    execute("UPDATE base_loghead SET size = 0")
    assert log.replay() == ["a root was published at 3, but there are 0 leaves"]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_records_sealed_in_any_portions_make_the_same_proofs(portions: list[int]) -> None:
    before = log.size()
    for portion in portions:
        log.seal([log.write("system:test", "test.act", "test:1", {"n": n}, log.clock.now()) for n in range(portion)])
    assert log.size() == before + sum(portions)
    assert log.replay() == []
    record = LogRecord.objects.get(leaf__index=before)
    receipt = log.inclusion(record)
    leaf = merkle.leaf_hash(receipt["leaf"].encode())
    path = [bytes.fromhex(step) for step in receipt["path"]]
    assert merkle.check_inclusion(leaf, receipt["index"], receipt["size"], path, bytes.fromhex(receipt["root"]))


def test_an_action_costs_the_log_few_queries_however_long_it_is(
    system_actor: Actor, django_assert_max_num_queries: Callable[[int], object]
) -> None:
    fill(system_actor, 31)
    with django_assert_max_num_queries(6):  # type: ignore[attr-defined]
        log.seal([log.write("system:test", "test.act", "test:1", {}, log.clock.now())])


def test_replay_says_only_the_first_faults(system_actor: Actor, unguarded: Callable[[], None]) -> None:
    fill(system_actor, log.FAULTS_MAX + 10)
    unguarded()
    execute("UPDATE base_logrecord SET actor = 'system:else'")
    faults = log.replay()
    assert len(faults) == log.FAULTS_MAX + 1
