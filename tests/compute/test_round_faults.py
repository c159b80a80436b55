"""A round survives a kill at any point: nothing is half written, and asking again completes it with one effect."""

import time

import psycopg
import pytest
from tests.forks import Forked
from tests.sandbox import Sandbox

SETUP = """
from tests.compute import market
from tests.compute.world import build
world = build()
world.offer(2, base=500)
for budget in (60_000, 40_000, 20_000):
    market.ask(world, 2, 12, budget)
"""
FIND = """
from tests.compute import market
from tests.compute.world import NOON
from huoshui.base import access, clock, log, tasks
from huoshui.base.errors import Refused
from huoshui.base.models import TaskProgress
from huoshui.book import services
from huoshui.compute import public
from huoshui.compute.actions import rounds
from huoshui.compute.models import Allocation, Request, Round, RoundData, SlotPrice
from huoshui.registry.models import Party
round_ = Round.objects.order_by("number").last()
def work():
    from django.core.management import call_command
    with clock.moved_to(NOON):
        call_command("db_worker", batch=True, reload=False, interval=0.1, startup_delay=False, verbosity=0)
"""
OPEN = SETUP + "market.opened(world)"
FREEZE = FIND + """
with clock.moved_to(NOON):
    rounds.freeze(system, key="freeze", round=round_)
"""
RECORD = FIND + """
content, figures = market.solved(round_)
with clock.moved_to(NOON):
    rounds.record_result(system, key="result", round=round_, content=content, figures=figures)
"""
PUBLISH = FIND + 'market.publish(round_, "publish")'
QUEUE = SETUP + """
from huoshui.base import clock
from huoshui.compute.actions import rounds
from tests.compute.world import NOON
with clock.moved_to(NOON):
    rounds.start_clearing(system, round=market.opened(world), options=market.TINY | {options})
"""
STATE = FIND + """
states = sorted(Request.objects.values_list("state", flat=True))
money = services.balances(Party.objects.get(name="示例企业"))
kinds = sorted(round_.data.values_list("kind", flat=True))
print(round_.state, *kinds, *states, Allocation.objects.count(), SlotPrice.objects.filter(round=round_).count())
print(money["held"], money["committed"] == sum(Allocation.objects.values_list("payment_fen", flat=True)))
print(services.check_zero() + services.replay() + log.replay())
"""
HELD = "120000 True\n[]"
DRAFT = f"draft open open open 0 0\n{HELD}"
FROZEN = f"draft problem in_round in_round in_round 0 0\n{HELD}"
CLEARED = f"cleared problem result in_round in_round in_round 0 0\n{HELD}"
PUBLISHED = "published problem result refused served served 2 24\n0 True\n[]"


@pytest.mark.parametrize(
    ("place", "after"),
    [("huoshui.compute.problems:build", False), ("huoshui.base.log:seal", False), ("huoshui.base.log:seal", True)],
)
def test_a_kill_while_freezing_takes_no_request(sandbox: Sandbox, place: str, after: bool) -> None:
    sandbox.run(OPEN)
    sandbox.run(FREEZE, crash_at=place, after=after)
    assert sandbox.run(STATE) == DRAFT
    sandbox.run(FREEZE + "\nrounds.freeze(system, key='freeze', round=round_)")
    assert sandbox.run(STATE) == FROZEN


@pytest.mark.parametrize("after", [False, True])
def test_a_kill_while_recording_stores_no_result(sandbox: Sandbox, after: bool) -> None:
    sandbox.run(OPEN)
    sandbox.run(FREEZE)
    sandbox.run(RECORD, crash_at="huoshui.base.log:seal", after=after)
    assert sandbox.run(STATE) == FROZEN
    sandbox.run(RECORD)
    sandbox.run(RECORD)
    assert sandbox.run(STATE) == CLEARED


@pytest.mark.parametrize(
    ("place", "after"),
    [
        ("huoshui.compute.allocate:keep_budgets", False), ("huoshui.compute.allocate:save", True),
        ("huoshui.compute.budgets:release_budgets", False), ("huoshui.base.log:seal", False),
        ("huoshui.base.log:seal", True),
    ],
)  # fmt: skip
def test_a_kill_while_publishing_moves_no_money_and_then_moves_it_once(
    sandbox: Sandbox, place: str, after: bool
) -> None:
    place = place.replace("huoshui.compute.budgets", "huoshui.compute.actions.rounds")
    sandbox.run(OPEN)
    sandbox.run(FREEZE)
    sandbox.run(RECORD)
    sandbox.run(PUBLISH, crash_at=place, after=after)
    assert sandbox.run(STATE) == CLEARED
    sandbox.run(PUBLISH)
    sandbox.run(PUBLISH)
    assert sandbox.run(STATE) == PUBLISHED
    assert sandbox.run(FIND + "print(public.verify(round_))") == "[]"


def test_two_officers_who_publish_at_once_publish_once(sandbox: Sandbox) -> None:
    sandbox.run(OPEN)
    sandbox.run(FREEZE)
    sandbox.run(RECORD)
    code = FIND + """
try:
    with clock.moved_to(NOON):
        rounds.publish(access.system("officer {name}"), key="mine", round=round_)
    print("done")
except Refused as refused:
    print(refused.code)
"""
    children = [sandbox.start(code.format(name=name)) for name in "abc"]
    said = sorted(child.communicate(timeout=90)[0].strip() for child in children)
    assert said == ["done", "round_state", "round_state"]
    assert sandbox.run(STATE) == PUBLISHED


@pytest.mark.parametrize(
    ("place", "after", "left"),
    [
        ("huoshui.base.tasks:in_child", False, FROZEN), ("huoshui.base.tasks:_result", False, FROZEN),
        ("huoshui.compute.actions.rounds:record_result", True, CLEARED),
    ],
)  # fmt: skip
def test_a_worker_that_dies_in_a_round_is_followed_by_one_that_finishes_it(
    sandbox: Sandbox, place: str, after: bool, left: str
) -> None:
    sandbox.run(QUEUE.replace("{options}", "{}"))
    sandbox.run(FIND + "work()", crash_at=place, after=after)
    assert sandbox.run(STATE) == left
    sandbox.run(FIND + "work()")
    assert sandbox.run(STATE) == left, "nobody else has it before its lease is over"
    reap = "from datetime import timedelta; tasks.LEASE = timedelta(0); print(tasks.reap())"
    assert sandbox.run(FIND + reap) == "1"
    sandbox.run(FIND + "work()")
    assert sandbox.run(STATE) == CLEARED
    done = "row = TaskProgress.objects.get(); print(row.attempt, row.finished_at is not None, row.error == '')"
    assert sandbox.run(FIND + done) == "2 True True"


SLOW = '{"bound_steps": 40, "place_passes": 1_000_000, "place_moves": 300}'
"""More work than anybody waits for."""


def working(sandbox: Sandbox) -> Forked:
    """A worker in the middle of a solve that does not end by itself."""
    worker = sandbox.start(FIND + "work()")
    told = FIND + "print(TaskProgress.objects.get().phase)"
    end = time.monotonic() + 90
    while not sandbox.run(told):
        assert worker.poll() is None, worker.communicate()
        assert time.monotonic() < end, "the solve reports nothing"
    return worker


def test_a_clearing_that_is_asked_to_stop_keeps_its_verified_result(sandbox: Sandbox) -> None:
    sandbox.run(QUEUE.replace("{options}", SLOW))
    worker = working(sandbox)
    sandbox.run(FIND + "tasks.stop(round_.task)")
    worker.communicate(timeout=90)
    assert sandbox.run(STATE) == CLEARED
    assert sandbox.run(FIND + "print(public.verify(round_))") == "[]"
    sandbox.run(PUBLISH)
    assert sandbox.run(STATE) == PUBLISHED


@pytest.mark.postgres
def test_a_round_outlives_the_connections_to_its_database(sandbox: Sandbox) -> None:
    sandbox.run(QUEUE.replace("{options}", SLOW))
    worker = working(sandbox)
    address, _, name = sandbox.database.rpartition("/")
    end_all = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s"
    with psycopg.connect(f"{address}/postgres", autocommit=True) as server:
        for _time in range(2):
            assert server.execute(end_all, [name]).fetchone() != (0,)
            time.sleep(2)
    sandbox.run(FIND + "tasks.stop(round_.task)")
    worker.communicate(timeout=90)
    assert sandbox.run(STATE) == CLEARED
    assert sandbox.run(FIND + "row = TaskProgress.objects.get(); print(row.attempt, row.error == '')") == "1 True"
