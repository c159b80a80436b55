"""The compute bank over REST: own objects only, one effect for one key, money in fen, every fault named."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from tests.compute import market
from tests.compute.market import ask
from tests.compute.world import HOURS, NOON, World, moment, party
from tests.conftest import People

from huoshui.base import actions, clock
from huoshui.base.access import Actor
from huoshui.book import services
from huoshui.compute.models import Deposit, Request

pytestmark = pytest.mark.django_db
Call = Callable[..., tuple[int, Any]]


@pytest.fixture
def call(client: Client) -> Call:
    """`call(actor, "requests", {…})` posts, without a body gets: (status, answer). At NOON of the world."""
    tokens: dict[int, str] = {}

    def run(actor: Actor | None, address: str, body: dict[str, Any] | None = None, key: str = "k") -> tuple[int, Any]:
        headers = {}
        if actor is not None and actor.user is not None:
            if actor.user.pk not in tokens:
                held = sorted({p for row in actor.user.assignments.all() for p in row.role.permissions})
                tokens[actor.user.pk] = actions.issue_token(actor, name="t", permissions=held)["secret"]
            headers["Authorization"] = f"Bearer {tokens[actor.user.pk]}"
        if key:
            headers["Idempotency-Key"] = key
        way = f"/api/compute/{address}"
        with clock.moved_to(NOON):
            if body is None:
                response = client.get(way, headers=headers)
            else:
                response = client.post(way, body, content_type="application/json", headers=headers)
        return response.status_code, response.json()

    return run


@pytest.fixture
def agent(world: World, people: People) -> Actor:
    return people("agent", f"party:{world.entity.pk}")


@pytest.fixture
def stranger(people: People) -> Actor:
    return people("agent", f"party:{party('示例乙', 'entity').pk}")


def instant(world: World, hour: float) -> str:
    return moment(world, hour).isoformat()


def body(world: World, **changes: Any) -> dict[str, Any]:
    """A request that is accepted."""
    return {
        "entity": world.entity.pk, "title": "测试", "cards": 2, "hours": {"test": 4}, "earliest": instant(world, 0),
        "deadline": instant(world, 24), "budget_fen": 10_001, "origin": "east", "regions": ["east"],
    } | changes  # fmt: skip


def offer(world: World, **changes: Any) -> dict[str, Any]:
    stretch = {"start": instant(world, 0), "end": instant(world, 8), "cards": 3}
    return {
        "depositor": world.operator.pk, "pool": world.pool.pk, "stretches": [stretch], "base_price_fen": 300,
    } | changes  # fmt: skip


def fields(answer: Any) -> set[str]:
    return {problem["field"] for problem in answer["problems"]}


# --- requests ---------------------------------------------------------------------------------------------------------


def test_a_request_is_asked_for_read_and_withdrawn_in_fen(world: World, agent: Actor, call: Call) -> None:
    status, made = call(agent, "requests", body(world))
    assert (status, made["budget_fen"], made["state"], made["entity"]) == (200, 10_001, "open", world.entity.pk)
    assert services.balances(world.entity)["held"] == 10_001
    assert call(agent, f"requests/{made['id']}") == (200, made)
    status, gone = call(agent, f"requests/{made['id']}/withdraw", {}, key="w")
    assert (status, gone["state"], services.balances(world.entity)["held"]) == (200, "withdrawn", 0)


def test_one_key_is_one_request_another_body_a_conflict_and_no_key_refused(
    world: World, agent: Actor, call: Call
) -> None:
    first, again = call(agent, "requests", body(world)), call(agent, "requests", body(world))
    assert first == again
    assert Request.objects.count() == 1
    status, answer = call(agent, "requests", body(world, cards=3))
    assert (status, answer["code"]) == (409, "conflict")
    status, answer = call(agent, "requests", body(world), key="")
    assert (status, fields(answer)) == (422, {"Idempotency-Key"})
    assert Request.objects.count() == 1


def test_two_firms_may_use_the_same_key(world: World, agent: Actor, people: People, call: Call) -> None:
    other = party("示例丙", "entity")
    world.limit(other)
    theirs = people("agent", f"party:{other.pk}")
    assert call(agent, "requests", body(world))[0] == 200
    assert call(theirs, "requests", body(world, entity=other.pk))[0] == 200
    assert Request.objects.count() == 2


@pytest.mark.parametrize("address", ["requests/{}", "requests/{}/allocations", "requests/{}/proof"])
def test_another_firms_request_looks_like_none(
    world: World, stranger: Actor, call: Call, address: str
) -> None:
    mine = ask(world)
    assert call(stranger, address.format(mine.pk)) == call(stranger, address.format(10**9))
    assert call(stranger, address.format(mine.pk))[0] == 404
    assert call(None, address.format(mine.pk))[0] == 401


def test_nobody_acts_on_what_is_not_theirs(world: World, agent: Actor, stranger: Actor, call: Call) -> None:
    mine, deposit = ask(world), world.offer(3)
    assert call(stranger, "requests", body(world))[0] == 404
    assert call(stranger, f"requests/{mine.pk}/withdraw", {})[0] == 404
    assert call(stranger, "deposits", offer(world))[0] == 404
    for actor in (agent, stranger):
        assert call(actor, f"deposits/{deposit.pk}/withdraw", {})[0] == 404
    mine.refresh_from_db()
    assert (mine.state, Deposit.objects.get(pk=deposit.pk).state) == ("open", "open")


def test_lists_show_ones_own_and_an_auditor_sees_all_but_writes_nothing(
    world: World, agent: Actor, stranger: Actor, people: People, call: Call
) -> None:
    mine = ask(world)
    auditor = people("auditor")
    assert [row["id"] for row in call(agent, "requests")[1]["items"]] == [mine.pk]
    assert call(stranger, "requests")[1]["items"] == []
    assert [row["id"] for row in call(auditor, "requests")[1]["items"]] == [mine.pk]
    assert call(auditor, f"requests/{mine.pk}/withdraw", {})[0] == 403
    assert call(None, "requests")[0] == 401


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"cards": 0}, "cards"), ({"cards": -1}, "cards"), ({"budget_fen": 0}, "budget_fen"),
        ({"budget_fen": 10.001}, "budget_fen"), ({"hours": {"nothing": 3}}, "hours"), ({"hours": {"test": 0}}, "hours"),
        ({"regions": ["moon"]}, "regions"), ({"origin": "moon"}, "regions"), ({"mode": "sometimes"}, "mode"),
        ({"earliest": "2026-03-03T08:00:00"}, "earliest"), ({"earliest": "2026-03-03T08:30:00+08:00"}, "earliest"),
        ({"earliest": "2020-01-01T00:00:00Z"}, "earliest"), ({"deadline": "2020-01-01T00:00:00Z"}, "deadline"),
        ({"title": ""}, "title"), ({"entity": 0}, "entity"),
    ],
)  # fmt: skip
def test_a_bad_field_is_named(world: World, agent: Actor, call: Call, changes: dict[str, Any], named: str) -> None:
    status, answer = call(agent, "requests", body(world, **changes))
    assert (status, answer["code"]) == (422, "invalid")
    assert any(named in field for field in fields(answer)), answer
    assert Request.objects.count() == 0


def test_above_the_limit_is_a_clear_refusal(world: World, agent: Actor, call: Call) -> None:
    status, answer = call(agent, "requests", body(world, budget_fen=10**9 + 1))
    assert (status, answer["code"], Request.objects.count()) == (409, "over_limit", 0)


# --- deposits ---------------------------------------------------------------------------------------------------------


def test_an_operator_offers_and_withdraws(world: World, people: People, call: Call) -> None:
    operator = people("operator", f"party:{world.operator.pk}")
    status, made = call(operator, "deposits", offer(world))
    assert (status, made["base_price_fen"], made["state"]) == (200, 300, "open")
    assert call(operator, "deposits", offer(world)) == (200, made)
    assert call(operator, f"deposits/{made['id']}/withdraw", {}, key="w")[1]["state"] == "withdrawn"
    status, answer = call(operator, "deposits", offer(world, pool=10**9), key="x")
    assert (status, fields(answer)) == (422, {"pool"})


# --- rounds -----------------------------------------------------------------------------------------------------------


def test_what_a_round_gave_is_read_by_its_firm_and_published_by_officers_only(
    world: World, agent: Actor, people: People, call: Call
) -> None:
    world.offer(2, base=500)
    request = ask(world, 2, 4, 60_000)
    round_ = market.cleared(world)
    way = f"rounds/{round_.number}"
    assert call(agent, f"{way}/publish", {})[0] in (403, 404)
    assert call(agent, f"{way}/verify")[0] in (403, 404)
    assert call(None, f"{way}/public")[0] == 404
    assert call(None, f"{way}/prices")[0] == 404
    officer = people("officer")
    first = call(officer, f"{way}/publish", {})
    assert (first[0], first[1]["state"]) == (200, "published")
    assert call(officer, f"{way}/publish", {}) == first
    status, answer = call(people("officer"), f"{way}/publish", {})
    assert (status, answer["code"]) == (409, "round_state")
    assert call(officer, f"{way}/verify") == (200, [])
    (given,) = call(agent, f"requests/{request.pk}/allocations")[1]
    allocation = request.allocations.get()
    assert (given["payment_fen"], given["concession_fen"]) == (allocation.payment_fen, allocation.concession_fen)
    assert sum(run["end_hour"] - run["start_hour"] for run in given["runs"]) == 4
    proof = call(agent, f"requests/{request.pk}/proof")[1]
    assert proof["commitments_root"] == call(None, f"{way}/public")[1]["statement"]["commitments_root"]
    assert len(call(None, f"{way}/prices?hours=1000")[1]) == 24


def test_verifying_a_round_without_a_result_is_said_clearly(world: World, people: People, call: Call) -> None:
    world.offer(1)
    draft = market.opened(world)
    assert call(people("auditor"), f"rounds/{draft.number}/verify")[0] == 404
    assert call(people("auditor"), "rounds/999/verify")[0] in (404, 422)


def test_drafts_are_for_those_who_verify_rounds(world: World, agent: Actor, people: People, call: Call) -> None:
    draft = market.opened(world)
    assert [row["number"] for row in call(agent, "rounds")[1]["items"]] == [1]
    assert [row["number"] for row in call(people("auditor"), "rounds")[1]["items"]] == [draft.number, 1]


# --- estimate and quote -----------------------------------------------------------------------------------------------


def test_anyone_may_ask_for_an_estimate_and_a_quote(world: World, call: Call) -> None:
    status, rows = call(None, "estimate?text=微调 7B 模型，2000 万 tokens")
    assert status == 200
    assert [row["model"] for row in rows] == ["test"]
    assert rows[0]["low_fen"] <= rows[0]["high_fen"]
    need = rows[0]["hours"]
    found = call(None, f"quote?cards={rows[0]['cards']}&need=test:{need}")
    assert found == (200, {"low_fen": rows[0]["low_fen"], "high_fen": rows[0]["high_fen"], "round": 1})
    assert call(None, f"quote?cards=1&need=test:{HOURS + 1}")[1]["low_fen"] is None


@pytest.mark.parametrize(
    "address",
    [
        "quote?cards=0&need=test:1", "quote?cards=1", "quote?cards=1&need=test:0", "quote?cards=1&need=moon:1",
        "quote?cards=1&need=test:1&regions=moon", "estimate?text=99999999999B",
        "estimate?text=10张4090卡跑三天", "estimate?text=", "estimate",
        "estimate?kind=rendering&reference_hours=0",
        "estimate?kind=dancing",
    ],
)  # fmt: skip
def test_what_cannot_be_priced_is_refused_by_field(world: World, call: Call, address: str) -> None:
    status, answer = call(None, address)
    assert (status, answer["code"]) == (422, "invalid")
    assert answer["problems"]


def test_a_list_of_many_asks_the_database_as_often_as_a_list_of_one(
    world: World, agent: Actor, call: Call, people: People
) -> None:
    auditor = people("auditor")
    ask(world)
    call(auditor, "requests")
    with CaptureQueriesContext(connection) as one:
        call(auditor, "requests")
    for _time in range(9):
        ask(world)
    with CaptureQueriesContext(connection) as many:
        assert len(call(auditor, "requests")[1]["items"]) == 10
    assert len(many) == len(one)
