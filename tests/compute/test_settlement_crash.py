"""Settlement survives a kill at any point, and two who report or settle at once do not count twice."""

import pytest
from tests.sandbox import Sandbox

SETUP = """
from tests.compute.world import build, moment, party
from huoshui.base import clock
from huoshui.compute.actions import delivery
world = build((800_000, 600_000))
saver = party("示例存户", "entity")
money, account = world.offer(3), world.offer(1, saver, settle_in="account")
allocation = world.give([(2, 8)], [(money, 2, 8, 3), (account, 2, 8, 1)], transfer_fen=3000)
"""
FIND = """
from tests.compute.world import moment
from huoshui.base import clock
from huoshui.book import actions as book
from huoshui.book import ledger, services
from huoshui.book.models import Statement
from huoshui.compute import accounts
from huoshui.compute.actions import delivery
from huoshui.compute.models import Allocation, Delivery
from huoshui.registry.models import Party
allocation = Allocation.objects.get()
start = allocation.round.start_hour
def at(hour):
    return clock.moved_to(clock.instant_of(start + hour))
def report():
    with at(9):
        delivery.report_delivery(
            system, key="report", allocation=allocation, start_hour=start + 2, end_hour=start + 8,
            milli_card_hours=24_000,
        )
def settle():
    with at(9):
        return delivery.settle_due(system)
def accept():
    with at(9):
        book.accept(system, key="accept", statement=Statement.objects.get())
"""
STATE = """
saver = Party.objects.get(name="示例存户")
print(Delivery.objects.count(), Statement.objects.count(), allocation.state, accounts.outstanding(), ledger.replay())
"""


def test_a_kill_while_reporting_leaves_no_report(sandbox: Sandbox) -> None:
    sandbox.run(SETUP)
    sandbox.run(FIND + "report()", crash_at="huoshui.base.log:seal")
    assert sandbox.run(FIND + STATE) == "0 0 planned 0 []"
    sandbox.run(FIND + "report()")
    assert sandbox.run(FIND + STATE) == "1 0 planned 0 []"


@pytest.mark.parametrize(
    "place",
    ["huoshui.compute.actions.delivery:issue", "huoshui.book.services:_add_lines", "huoshui.base.log:seal"],
)
@pytest.mark.parametrize("after", [False, True])
def test_a_kill_while_settling_leaves_nothing_half_done(sandbox: Sandbox, place: str, after: bool) -> None:
    sandbox.run(SETUP)
    sandbox.run(FIND + "report()")
    sandbox.run(FIND + "settle()", crash_at=place, after=after)
    assert sandbox.run(FIND + STATE) == "1 0 planned 0 []"
    assert sandbox.run(FIND + "print(settle(), settle())") == "1 0"
    assert sandbox.run(FIND + STATE) == "1 1 finished 0 []"


@pytest.mark.parametrize("place", ["huoshui.compute.accounts:credit_many", "huoshui.base.log:seal"])
@pytest.mark.parametrize("after", [False, True])
def test_a_kill_while_accepting_credits_nothing_and_then_once(sandbox: Sandbox, place: str, after: bool) -> None:
    sandbox.run(SETUP)
    sandbox.run(FIND + "report(); settle()")
    sandbox.run(FIND + "accept()", crash_at=place, after=after)
    assert sandbox.run(FIND + STATE) == "1 1 finished 0 []"
    sandbox.run(FIND + "accept(); accept()")
    standard = 3 * (800 + 600) * 1000 // 800
    assert sandbox.run(FIND + STATE) == f"1 1 finished {standard} []"


def test_of_two_reports_of_the_same_hours_one_counts(sandbox: Sandbox) -> None:
    sandbox.run(SETUP)
    once = FIND + "report()"
    children = [sandbox.start(once.replace('"report"', f'"report {number}"')) for number in range(3)]
    codes = sorted(child.wait(60) for child in children)
    for child in children:
        child.communicate()
    assert codes == [0, 1, 1]
    assert sandbox.run(FIND + STATE) == "1 0 planned 0 []"


def test_three_workers_that_settle_at_once_issue_one_statement(sandbox: Sandbox) -> None:
    sandbox.run(SETUP)
    sandbox.run(FIND + "report()")
    children = [sandbox.start(FIND + "print(settle())") for _number in range(3)]
    said = [child.communicate(timeout=60) for child in children]
    assert all(child.returncode == 0 for child in children), said
    assert sandbox.run(FIND + STATE) == "1 1 finished 0 []"
