"""Agents at the supermarket, the jobs and the model service: they search and draft; persons order, run and fund."""

from collections.abc import Callable, Iterator

import pytest
from tests.compute.world import World, build, publish
from tests.compute.world import run as in_action
from tests.market import shop
from tests.mcp import agents

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.base.act import rehearse
from huoshui.base.actions import issue_token
from huoshui.base.models import LogRecord
from huoshui.book import services as book
from huoshui.book.models import Kind
from huoshui.jobs import permissions as jobs
from huoshui.jobs import services
from huoshui.jobs.models import Booking, Job
from huoshui.maas import permissions as maas
from huoshui.maas.models import UFEN, Wallet
from huoshui.market import permissions as market
from huoshui.market.models import Order
from huoshui.mcp import actions
from huoshui.mcp.models import Draft
from huoshui.mcp.permissions import DRAFT
from huoshui.registry.models import Party


@pytest.fixture
def world(db: None) -> Iterator[World]:
    found = build()
    with agents.at_noon():
        publish("market_terms", "demo-2026")
        yield found


@pytest.fixture
def person(world: World, people: Callable[..., Actor]) -> Actor:
    return people("agent", f"party:{world.entity.pk}")


@pytest.fixture
def secret(person: Actor) -> str:
    return agents.token(person, DRAFT, market.READ, jobs.READ, maas.READ, limit_fen=10**7)


def free(firm: Party) -> int:
    return book.balances(firm)[Kind.LIMIT]


def booked(world: World, billing: str = "used") -> Booking:
    """Two cards for six hours at 8 yuan a card-hour, at most 60 yuan."""
    said: list[Booking] = []
    draft = services.BookingDraft(
        party=world.entity, pool=world.pool, cards=2, stretches=[(world.start, world.start + 6)], source="test.sale:1",
        price_mfen=800_000, cap_fen=6_000, billing=billing,
    )  # fmt: skip
    in_action(lambda act, record: said.append(services.book(act, record, draft)))
    return said[0]


def test_an_agent_finds_a_product_and_its_person_orders_it(world: World, person: Actor, secret: str) -> None:
    product = shop.listed(world, auto_accept=True)
    found = agents.ask(secret, "search_products", text="八卡", cards=8)["result"]
    assert [(row["id"], row["price_fen"], row["cards_per_unit"]) for row in found["products"]] == [(product.pk, 960, 8)]
    before = free(world.entity)
    start = clock.instant_of(world.start).isoformat()
    wanted = {"buyer": world.entity.pk, "product": product.pk, "units": 1, "start": start, "hours": 4, "purpose": "练"}
    told = agents.ask(secret, "draft_order", **wanted)["result"]
    assert free(world.entity) == before
    assert not Order.objects.exists()
    assert not LogRecord.objects.filter(action="market.order.place").exists()
    actions.confirm(person, key="c", draft=Draft.objects.get())
    order = Order.objects.get()
    assert (order.total_fen, order.state) == (told["costs_at_most_fen"], Order.State.CONFIRMED)
    assert before - free(world.entity) == order.total_fen
    listed = agents.ask(secret, "status")["result"]["orders"]
    assert [row["number"] for row in listed] == [order.number]
    capped = agents.ask(secret, "draft_order", **wanted, cap_fen=10_000)["result"]
    assert capped["costs_at_most_fen"] == 9_800


def test_an_order_that_could_not_be_placed_is_no_draft(world: World, secret: str) -> None:
    product = shop.listed(world)
    start = clock.instant_of(world.start).isoformat()
    wanted = {"buyer": world.entity.pk, "product": product.pk, "units": 900, "start": start, "hours": 4, "purpose": "x"}
    assert agents.ask(secret, "draft_order", **wanted)["error"]["code"] == "invalid"
    assert agents.ask(secret, "draft_order", **wanted | {"product": 10**6})["error"]["code"] == "missing"
    assert not Draft.objects.exists()


def test_a_job_waits_for_its_person_and_costs_at_most_what_the_booking_does(
    world: World, person: Actor, secret: str
) -> None:
    """Two cards for 3,600 s at 8 yuan, three attempts with checkpoints: 48 yuan; for 100,000 s the cap of 60."""
    booking = booked(world)
    codes = [row["code"] for row in agents.ask(secret, "list_templates")["result"]["templates"]]
    assert "command" in codes
    assert "serve" not in codes
    wanted = {
        "booking": booking.pk, "title": "作业", "template": "command", "parameters": {"arguments": "/bin/true"},
        "cards": 2,
    }  # fmt: skip
    assert agents.ask(secret, "draft_job", **wanted, seconds_max=3_600)["result"]["costs_at_most_fen"] == 4_800
    assert agents.ask(secret, "draft_job", **wanted, seconds_max=100_000)["result"]["costs_at_most_fen"] == 6_000
    assert not Job.objects.exists()
    actions.confirm(person, key="c", draft=Draft.objects.order_by("id")[0])
    job = Job.objects.get()
    assert (job.cards, job.seconds_max, job.submitted_by) == (2, 3_600, person.user)
    assert [row["id"] for row in agents.ask(secret, "status")["result"]["jobs"]] == [job.pk]


def test_a_job_in_a_booking_paid_as_a_whole_costs_nothing_more(world: World, secret: str) -> None:
    wanted = {
        "booking": booked(world, "whole").pk, "title": "作业", "template": "command",
        "parameters": {"arguments": "/bin/true"},
    }  # fmt: skip
    assert agents.ask(secret, "draft_job", **wanted)["result"]["costs_at_most_fen"] == 0
    wrong = agents.ask(secret, "draft_job", **wanted | {"parameters": {"arguments": 7, "more": 1}})["error"]
    assert {problem["field"] for problem in wrong["problems"]} >= {"arguments"}


def test_a_token_for_one_booking_drafts_in_that_booking_only(world: World, person: Actor) -> None:
    booking = booked(world)
    scope = f"jobs.booking:{booking.pk}"
    issued = issue_token(
        person, name="作业助手", permissions=[DRAFT, jobs.READ], within=booking, scope=scope, spending_limit_fen=10**6
    )
    wanted = {
        "booking": booking.pk, "title": "作业", "template": "command", "parameters": {"arguments": "/bin/true"},
    }  # fmt: skip
    assert agents.ask(issued["secret"], "draft_job", **wanted)["ok"]
    other = agents.ask(issued["secret"], "draft_wallet_funding", party=world.entity.pk, amount_fen=1)["error"]
    assert other["code"] == "forbidden"
    assert agents.ask(issued["secret"], "status")["result"]["requests"] == []


def test_a_wallet_is_funded_by_its_person_only(world: World, person: Actor, secret: str) -> None:
    before = free(world.entity)
    told = agents.ask(secret, "draft_wallet_funding", party=world.entity.pk, amount_fen=50_000)["result"]
    assert told["costs_at_most_fen"] == 50_000
    assert (free(world.entity), Wallet.objects.count()) == (before, 0)
    actions.confirm(person, key="c", draft=Draft.objects.get())
    assert Wallet.objects.get().funded_ufen == 50_000 * UFEN
    assert free(world.entity) == before - 50_000
    over = agents.ask(secret, "draft_wallet_funding", party=world.entity.pk, amount_fen=10**9)["error"]
    assert over["code"] == "over_limit"


def test_prices_and_quality_are_told_even_when_there_are_none(secret: str) -> None:
    assert agents.ask(secret, "model_prices")["result"] == {"offers": []}
    assert agents.ask(secret, "quality", model="nothing")["result"] == {"measured": []}


def test_a_rehearsal_leaves_neither_rows_nor_records(world: World, person: Actor) -> None:
    before = LogRecord.objects.count()
    order = shop.listed(world)
    listed = LogRecord.objects.count()
    made = rehearse(lambda: shop.placed(world, order))
    assert made.total_fen > 0
    assert LogRecord.objects.count() == listed > before
    assert not Order.objects.exists()
