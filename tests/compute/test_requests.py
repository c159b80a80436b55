"""A request holds its whole budget or is refused with every reason, and nothing is written."""

from typing import Any

import pytest
from tests.compute import market
from tests.compute.market import ask
from tests.compute.world import LIMIT_FEN, NOON, SYSTEM, World, party
from tests.conftest import People

from huoshui.base import clock, log
from huoshui.base.errors import Conflict, Forbidden, Invalid, Refused
from huoshui.base.models import IdempotencyKey, LogRecord
from huoshui.book import services
from huoshui.compute.actions import requests
from huoshui.compute.models import Request

pytestmark = pytest.mark.django_db


def written() -> tuple[int, ...]:
    return Request.objects.count(), LogRecord.objects.count(), IdempotencyKey.objects.count(), log.size()


def test_submitting_holds_the_whole_budget_and_withdrawing_gives_it_back(world: World) -> None:
    request = ask(world, budget_fen=12_345)
    assert services.balances(world.entity)["held"] == 12_345
    assert services.balances(world.entity)["limit"] == LIMIT_FEN - 12_345
    requests.withdraw_request(SYSTEM, request=request)
    requests.withdraw_request(SYSTEM, request=request)
    assert services.balances(world.entity)["held"] == 0
    assert services.balances(world.entity)["limit"] == LIMIT_FEN
    assert services.check_zero() == services.replay() == []


def test_the_limit_is_the_end_and_above_it_nothing_is_written(world: World) -> None:
    ask(world, budget_fen=LIMIT_FEN - 100)
    before = written()
    with pytest.raises(Refused) as refused:
        ask(world, budget_fen=101)
    assert refused.value.code == "over_limit"
    assert written() == before
    assert ask(world, budget_fen=100).state == Request.State.OPEN


def test_the_same_key_asks_once_and_another_body_is_a_conflict(world: World) -> None:
    first, again = ask(world, key="k", budget_fen=500), ask(world, key="k", budget_fen=500)
    assert first == again
    assert services.balances(world.entity)["held"] == 500
    with pytest.raises(Conflict):
        ask(world, key="k", budget_fen=501)
    assert services.balances(world.entity)["held"] == 500


def test_nobody_asks_or_withdraws_for_another_firm(world: World, people: People) -> None:
    other = party("示例乙", "entity")
    stranger = people("agent", f"party:{other.pk}")
    mine = ask(world)
    with pytest.raises(Forbidden):
        requests.withdraw_request(stranger, request=mine)
    for actor in (stranger, people("officer"), people("auditor"), people.nobody()):
        with clock.moved_to(NOON), pytest.raises(Forbidden):
            submit(world, actor)
    assert Request.objects.get().state == Request.State.OPEN


def submit(world: World, actor: Any = SYSTEM, **changes: Any) -> Request:
    values = {
        "entity": world.entity, "title": "测试", "cards": 1, "hours": {world.pool.card_model: 4},
        "earliest_hour": world.start, "deadline_hour": world.start + 24, "budget_fen": 1000, "origin": world.region,
        "regions": [world.region],
    }  # fmt: skip
    return requests.submit_request(actor, **(values | changes))


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"title": "  "}, {"title"}),
        ({"title": "长" * 121}, {"title"}),
        ({"cards": 0}, {"cards"}),
        ({"cards": -3}, {"cards"}),
        ({"cards": requests.CARDS_MAX + 1}, {"cards"}),
        ({"budget_fen": 0}, {"budget"}),
        ({"budget_fen": -1}, {"budget"}),
        ({"budget_fen": requests.BUDGET_FEN_MAX + 1}, {"budget"}),
        ({"hours": {}}, {"models"}),
        ({"regions": []}, {"regions"}),
        ({"mode": "sometimes"}, {"mode"}),
        ({"pay_with": "coins"}, {"pay_with"}),
        ({"mode": "preemptible"}, {"min_piece_hours"}),
        ({"mode": "preemptible", "min_piece_hours": 673}, {"min_piece_hours"}),
    ],
)
def test_a_bad_field_is_named(world: World, changes: dict[str, Any], fields: set[str]) -> None:
    before = written()
    with clock.moved_to(NOON), pytest.raises(Invalid) as refused:
        submit(world, **changes)
    assert {problem.field for problem in refused.value.problems} == fields
    assert written() == before


@pytest.mark.parametrize(
    ("window", "hours", "fields"),
    [
        ((-100, 24), 4, {"earliest"}),
        ((24, 0), 4, {"deadline", "hours"}),
        ((8, 8), 4, {"deadline", "hours"}),
        ((0, 24 * 91), 4, {"deadline"}),
        ((0, 24), 25, {"hours"}),
        ((0, 24), 0, {"hours"}),
        ((0, 24), -1, {"hours"}),
    ],
)
def test_a_window_is_ahead_forward_and_wide_enough(
    world: World, window: tuple[int, int], hours: int, fields: set[str]
) -> None:
    with pytest.raises(Invalid) as refused:
        ask(world, hours=hours, window=window)
    assert {problem.field for problem in refused.value.problems} == fields


def test_all_that_is_wrong_is_said_at_once(world: World) -> None:
    with clock.moved_to(NOON), pytest.raises(Invalid) as refused:
        submit(world, title="", cards=0, budget_fen=0, regions=[], mode="x", deadline_hour=world.start - 5)
    found = {problem.field for problem in refused.value.problems}
    assert found == {"title", "cards", "budget", "regions", "mode", "deadline", "hours"}


def test_no_valid_request_keeps_a_round_from_being_frozen(world: World) -> None:
    world.offer(1)
    ask(world, mode="preemptible", min_piece_hours=672, hours=4)
    ask(world, cards=requests.CARDS_MAX, hours=48, window=(0, 24 * 89), budget_fen=LIMIT_FEN - 100_000)
    assert market.published(world).figures["served"] == 1


def test_who_was_displaced_goes_first_once(world: World) -> None:
    displaced = ask(world)
    Request.objects.filter(pk=displaced.pk).update(state="displaced")
    assert [ask(world).priority for _time in range(2)] == [0, 1]
    first = Request.objects.get(priority=0)
    requests.withdraw_request(SYSTEM, request=first)
    assert [ask(world).priority for _time in range(2)] == [0, 1]
