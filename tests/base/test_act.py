"""An action happens once, with permission, with its log record, or not at all."""

import threading
from typing import Any

import pytest
from django.db import connection, transaction

from huoshui.base import access, actions, log
from huoshui.base.access import ANONYMOUS, Actor
from huoshui.base.act import KEY_LENGTH_MAX, Act, action
from huoshui.base.errors import Conflict, Forbidden, Invalid, Missing, invalid
from huoshui.base.models import Assignment, IdempotencyKey, LogRecord, Role, User

pytestmark = pytest.mark.django_db


def role(actor: Actor, code: str = "r", title: str = "R", key: str = "") -> Role:
    return actions.define_role(actor, key=key, code=code, title=title, permissions=[])


@action("test.pair")
def pair(act: Act, *, codes: list[str], tolerant: bool = False) -> list[Role]:
    """An action that calls actions."""
    act.require(actions.MANAGE_PEOPLE)
    made = []
    for code in codes:
        try:
            made.append(fragile(act.actor, code=code))
        except Invalid:
            if not tolerant:
                raise
    act.record("test:pair", {"codes": codes})
    return made


@action("test.fragile")
def fragile(act: Act, *, code: str) -> Role:
    act.require(actions.MANAGE_PEOPLE)
    made = Role.objects.create(code=code, title=code)
    act.record(made, {"code": code})
    if code.startswith("bad"):
        raise invalid("code", code, "bad")
    return made


@action("test.unchecked")
def unchecked(act: Act) -> None:
    act.record("test:1", {"made": str(Role.objects.create(code="x", title="x").pk)})


@action("test.unrecorded")
def unrecorded(act: Act) -> None:
    act.require(actions.MANAGE_PEOPLE)
    Role.objects.create(code="x", title="x")


def test_the_same_key_and_content_acts_once_and_answers_the_same(system_actor: Actor) -> None:
    assert role(system_actor, key="a") == role(system_actor, key="a")
    assert LogRecord.objects.count() == 1


def test_the_same_key_with_other_content_is_a_conflict(system_actor: Actor) -> None:
    role(system_actor, key="a")
    with pytest.raises(Conflict):
        role(system_actor, title="other", key="a")
    assert Role.objects.get(code="r").title == "R"


def test_keys_belong_to_their_owner_and_their_action(people: Any, system_actor: Actor) -> None:
    manager = people.holding("base.people.manage")
    assert role(system_actor, "r1", key="a") != role(manager, "r2", key="a")
    pair(manager, key="a", codes=["r3"])
    assert Role.objects.filter(code__in=["r1", "r2", "r3"]).count() == 3


def test_a_refused_action_leaves_its_key_free(system_actor: Actor) -> None:
    with pytest.raises(Invalid):
        pair(system_actor, key="a", codes=["good", "bad"])
    assert (Role.objects.count(), IdempotencyKey.objects.count(), log.size()) == (Role.objects.count(), 0, 0)
    assert not Role.objects.filter(code="good").exists()
    assert [made.code for made in pair(system_actor, key="a", codes=["fine"])] == ["fine"]


def test_answers_of_every_kind_come_back(system_actor: Actor) -> None:
    first = pair(system_actor, key="list", codes=["a", "b"])
    assert pair(system_actor, key="list", codes=["a", "b"]) == first


def test_the_answer_of_a_row_that_is_gone_is_missing(system_actor: Actor) -> None:
    role(system_actor, key="a").delete()
    with pytest.raises(Missing):
        role(system_actor, key="a")


def test_a_key_has_a_length_limit(system_actor: Actor) -> None:
    role(system_actor, key="k" * KEY_LENGTH_MAX)
    with pytest.raises(Conflict, match=str(KEY_LENGTH_MAX)):
        role(system_actor, "r2", key="k" * (KEY_LENGTH_MAX + 1))


def test_without_permission_nothing_is_written(people: Any) -> None:
    for stranger in (people.nobody(), people.holding("base.log.read"), ANONYMOUS):
        with pytest.raises(Forbidden, match=str(access.permissions[actions.MANAGE_PEOPLE])):
            role(stranger, key="a")
    assert not Role.objects.filter(code="r").exists()
    assert (LogRecord.objects.count(), IdempotencyKey.objects.count()) == (0, 0)


@pytest.mark.parametrize(("wrong", "words"), [(unchecked, "checked no permission"), (unrecorded, "left no log")])
def test_an_action_that_forgets_its_duties_is_undone(wrong: Any, words: str, system_actor: Actor) -> None:
    with pytest.raises(AssertionError, match=words):
        wrong(system_actor)
    assert not Role.objects.filter(code="x").exists()
    assert LogRecord.objects.count() == 0


def test_an_action_within_an_action_shares_its_fate(system_actor: Actor) -> None:
    with pytest.raises(Invalid):
        pair(system_actor, codes=["good", "bad"])
    assert (Role.objects.filter(code="good").exists(), log.size()) == (False, 0)
    pair(system_actor, codes=["good", "better"])
    assert log.size() == 3
    assert log.replay() == []


def test_an_outer_action_may_survive_a_refusal_within(system_actor: Actor) -> None:
    made = pair(system_actor, codes=["good", "bad", "better"], tolerant=True)
    assert [item.code for item in made] == ["good", "better"]
    assert list(LogRecord.objects.order_by("leaf__index").values_list("action", flat=True)) == [
        "test.fragile", "test.fragile", "test.pair",
    ]
    assert log.replay() == []


def test_arguments_are_named(system_actor: Actor) -> None:
    with pytest.raises(TypeError, match="named"):
        actions.define_role(system_actor, "r")


def test_finding_everything_as_it_should_be_writes_nothing(system_actor: Actor) -> None:
    role(system_actor)
    role(system_actor)
    assert log.size() == 1


def test_withdrawing_a_role_works_today_and_later(people: Any, system_actor: Actor, moved_clock: Any) -> None:
    manager = people.holding("base.people.manage")
    actions.withdraw(system_actor, assignment=Assignment.objects.get(user=manager.user))
    assert not Actor(manager.user).can("base.people.manage")
    assigned = actions.assign(system_actor, user=manager.user, role=role(system_actor, "new"), scope="*")
    actions.withdraw(system_actor, assignment=assigned)
    assert Assignment.objects.filter(user=manager.user).count() == 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_one_key_used_at_once_from_many_places_acts_once(system_actor: Actor) -> None:
    together, answers = threading.Barrier(8), []

    def call() -> None:
        try:
            together.wait(10)
            answers.append(role(system_actor, key="a").pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=call) for _number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(answers) == 8
    assert len(set(answers)) == 1
    assert (LogRecord.objects.count(), log.replay()) == (1, [])


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_second_caller_waits_for_the_first_and_acts_when_it_failed(system_actor: Actor) -> None:
    started, go = threading.Event(), threading.Event()

    def fail() -> None:
        try:
            with transaction.atomic():
                role(system_actor, key="a")
                started.set()
                go.wait(10)
                transaction.set_rollback(True)
        finally:
            connection.close()

    first = threading.Thread(target=fail)
    first.start()
    started.wait(10)
    threading.Timer(0.3, go.set).start()
    assert role(system_actor, key="a").pk
    first.join(10)
    assert (Role.objects.filter(code="r").count(), log.replay()) == (1, [])


MAKE_ROLE = """
from huoshui.base import actions
role = actions.define_role(system, key="a", code="r", title="R", permissions=[])
print(role.code)
"""
LOOK = """
from huoshui.base import log
from huoshui.base.models import IdempotencyKey, LogRecord, Role
print(Role.objects.filter(code="r").count(), LogRecord.objects.count(), IdempotencyKey.objects.count())
print(log.size(), log.replay())
"""


@pytest.mark.parametrize(
    ("place", "after"),
    [
        ("huoshui.base.models:IdempotencyKey.save", False),
        ("huoshui.base.log:write", True),
        ("huoshui.base.log:seal", False),
        ("huoshui.base.log:seal", True),
    ],
)
def test_a_process_that_dies_before_the_commit_leaves_nothing(sandbox: Any, place: str, after: bool) -> None:
    before = sandbox.run(LOOK)
    sandbox.run(MAKE_ROLE, crash_at=place, after=after)
    assert sandbox.run(LOOK) == before
    assert sandbox.run(MAKE_ROLE) == "r"


def test_a_process_that_dies_after_the_commit_has_acted_and_may_ask_again(sandbox: Any) -> None:
    sandbox.run(MAKE_ROLE, crash_at="huoshui.base.act:_run", after=True)
    made = sandbox.run(LOOK)
    assert made.startswith("1 ")
    assert sandbox.run(MAKE_ROLE) == "r"
    assert sandbox.run(LOOK) == made


def test_personal_data_is_in_the_log_only_as_a_salted_digest(system_actor: Actor) -> None:
    user = actions.create_user(
        system_actor, username="zhang", name="张三", password="long-enough-9", email="z@example.org", phone="13800001"
    )
    payload = LogRecord.objects.get().payload
    for personal in ("zhang", "张三", "example", "13800001"):
        assert personal not in payload
    assert User.objects.get(pk=user.pk).check_password("long-enough-9")


@pytest.mark.parametrize("password", ["hua5", "password123", "zhangzhang"])
def test_a_weak_password_is_refused(system_actor: Actor, password: str) -> None:
    with pytest.raises(Invalid) as caught:
        actions.create_user(system_actor, username="zhangzhang", name="n", password=password)
    assert caught.value.problems[0].field == "password"
    assert password not in str(caught.value)
