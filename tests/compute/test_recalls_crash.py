"""A recall that is killed at any point leaves the old schedule whole; asked again, it happens once."""

import pytest
from tests.sandbox import Sandbox

SETUP = """
from tests.compute.world import ask, build, clear, party
world = build()
world.offer(10, base=100)
world.offer(8, party("示例乙", "operator"), base=300)
ask(world, 8, 4, (0, 4))
ask(world, 6, 4, (0, 4))
clear(world)
"""
RECALL = """
from tests.compute.world import NOON
from huoshui.base import clock
from huoshui.compute.actions.recalls import recall_cards
from huoshui.compute.models import Deposit, Round
deposit, round_ = Deposit.objects.order_by("id").first(), Round.objects.order_by("id").last()
with clock.moved_to(NOON):
    recall_cards(
        system, key="recall", deposit=deposit, start_hour=round_.start_hour, end_hour=round_.end_hour, cards=10,
    )
"""
STATE = """
from huoshui.book import ledger
from huoshui.book.models import Statement
from huoshui.compute.models import Allocation, Move, Recall
states = sorted(Allocation.objects.values_list("state", "version"))
print(states, Recall.objects.count(), Move.objects.count(), Statement.objects.count(), ledger.replay())
"""
BEFORE = "[('planned', 1), ('planned', 1)] 0 0 0 []"


@pytest.mark.parametrize(
    ("place", "nth", "after"),
    [
        ("huoshui.compute.actions.recalls:_apply", 2, False),
        ("huoshui.book.services:release_commitment", 1, True),
        ("huoshui.base.log:seal", 1, True),
    ],
)
def test_a_kill_in_the_middle_changes_nothing(sandbox: Sandbox, place: str, nth: int, after: bool) -> None:
    sandbox.run(SETUP)
    assert sandbox.run(STATE) == BEFORE
    sandbox.run(RECALL, crash_at=place, nth=nth, after=after)
    assert sandbox.run(STATE) == BEFORE
    sandbox.run(RECALL + RECALL)
    after_it = sandbox.run(STATE)
    assert after_it.startswith("[('displaced', 1), ('planned', ")
    assert after_it.endswith((" 1 2 1 []", " 1 1 1 []"))
