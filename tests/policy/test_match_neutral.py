"""The subsidy never changes who wins: a round clears the same with vouchers, funds and the hook as without them."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.db import connection, transaction
from tests.compute.market import ask, published
from tests.compute.world import NOON, SYSTEM, World, build, party
from tests.policy import match_world

from huoshui.base import clock
from huoshui.book import subsidies
from huoshui.compute import previews
from huoshui.compute.models import Request, Round, SlotPrice
from huoshui.policy import matching
from huoshui.policy.actions import applications, funds
from huoshui.policy.actions.applications import Wish
from huoshui.policy.models import Voucher
from huoshui.registry.models import Party, Publication

pytestmark = pytest.mark.django_db
Outcome = dict[str, Any]


def cleared(world: World, rival: Party) -> Outcome:
    """A round in which the subsidised firm and its rival want the same cards: what came of it, and the digests of what
    was solved and found. (What is salted, so that nobody can guess it, differs each time.)"""
    world.offer(2, hours=(0, 24), base=500)
    for budget, entity in ((60_000, rival), (40_000, world.entity), (39_000, rival), (20_000, world.entity)):
        ask(world, 2, 12, budget, entity=entity)
    round_ = published(world)
    requests = Request.objects.filter(round=round_).order_by("id")
    return {
        "digests": {name: Round.objects.get(pk=round_.pk).digests[name] for name in ("terms", "problem", "result")},
        "figures": round_.figures,
        "states": list(requests.values_list("state", "entity__name", "budget_fen")),
        "paid": sorted(round_.allocations.values_list("request__budget_fen", "payment_fen", "concession_fen")),
        "prices": list(SlotPrice.objects.filter(round=round_).order_by("hour").values_list("hour", "price_mfen")),
    }  # fmt: skip


def subsidise(world: World, people: Any) -> None:
    """The firm holds a voucher of a fund, and everybody who asks is told what it would be reimbursed."""
    with clock.moved_to(NOON):
        match_world.publish(match_world.text("voucher", match_world.VOUCHER))
        for code, value in (("resident", True), ("dishonest", False)):
            match_world.say(world.entity, code, value)
        funds.open_fund(
            SYSTEM, authority=world.centre, publication=Publication.objects.get(identifier="voucher"),
            yearly_fen=10**9, year=2026, title="示例资金", basis="示例办法第二条", used_from=date(2026, 1, 1),
            used_until=date(2026, 12, 31), redeem_until=date(2026, 12, 31), notice_days=5,
        )  # fmt: skip
        filing = applications.apply(
            SYSTEM, party=world.entity, wishes=(Wish("voucher", 30_000_000),), consent=True
        )
        (application,) = filing.applications.all()
        officer, second = people("officer"), people("officer")
        applications.check(officer, application=application, findings={})
        applications.approve(second, application=application)
        assert Voucher.objects.get().amount_fen == 9_000_000
        assert subsidies.expected(world.entity, 40_000) == 12_000


@pytest.fixture
def world(db: None) -> World:
    return build()


def test_who_wins_and_what_they_pay_is_the_same_with_and_without_public_money(world: World, people: Any) -> None:
    rival = party("示例对手", "entity")
    world.limit(rival)
    with transaction.atomic():
        plain = cleared(world, rival)
        transaction.set_rollback(True)
    world.deposits.clear()
    subsidise(world, people)
    assert matching.expected_subsidy in subsidies._hooks
    again = cleared(world, rival)
    if connection.vendor == "postgresql":  # its sequences are not rolled back: the same rows have other keys
        del plain["digests"], again["digests"]
    assert again == plain
    assert plain["paid"], "somebody was served"


def test_a_preview_shows_the_subsidy_and_still_holds_the_whole_budget(world: World, people: Any) -> None:
    subsidise(world, people)
    with clock.moved_to(NOON):
        seen = previews.preview(
            entity=world.entity, cards=2, hours={world.pool.card_model: 4}, origin=world.region,
            regions=[world.region], budget_fen=100_000, pay_with="money",
        )  # fmt: skip
    assert (seen.expected_subsidy_fen, seen.pays_at_most_fen) == (30_000, 100_000)
