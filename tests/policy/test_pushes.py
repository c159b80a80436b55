"""Telling entities: who, why, when, and what came of it; nobody the same too often; nothing false."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from tests.policy import outreach
from tests.policy.outreach import GRANT, SYSTEM, Town

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.base.errors import Forbidden, Invalid, Refused
from huoshui.base.models import LogRecord
from huoshui.cases import todo
from huoshui.policy import outreach_panel, reach
from huoshui.policy.actions import batches, pushes
from huoshui.policy.models import Push, Telling
from huoshui.registry.models import Party

Reason = Push.Reason


@pytest.fixture
def town(people: Any) -> Iterator[Town]:
    with outreach.at_noon():
        yield outreach.build(people)


def tell(town: Town, reason: str = Reason.QUALIFIES, detail: str = "", parties: Any = None, **more: Any) -> Push:
    run = reach.latest() or town.run()
    told = [party.pk for party in parties or Party.objects.all()]
    return pushes.push(town.officer, run=run, pack=GRANT, reason=reason, detail=detail, parties=told, **more)


def agent_of(people: Any, party: Party) -> Actor:
    return people("agent", f"party:{party.pk}")


def outcomes() -> dict[str, str]:
    return {row.party.name: reach.outcome(row) for row in reach.tellings(Telling.objects.all())}


@pytest.mark.parametrize(
    ("reason", "detail", "told"),
    [
        (Reason.QUALIFIES, "", {"示例企业601", "示例企业602", "示例企业603"}),
        (Reason.ONE_STEP, "", {"示例企业651"}),
        (Reason.ONE_STEP, "tech-sme", {"示例企业651"}),
        (Reason.MISSING, "abnormal", {"示例企业652"}),
    ],
)
def test_only_those_are_told_of_whom_the_reason_is_true(town: Town, reason: str, detail: str, told: set[str]) -> None:
    push = tell(town, reason, detail)
    assert {row.party.name for row in push.tellings.all()} == told


def test_nobody_is_told_the_same_within_the_limit(town: Town, moved_clock: Any) -> None:
    first = tell(town, parties=town.good[:1])
    second = tell(town)
    assert first.tellings.count() == 1
    assert {row.party for row in second.tellings.all()} == set(town.good[1:])
    with pytest.raises(Refused) as refused:
        tell(town)
    assert refused.value.code == "told_lately"
    with clock.moved_to(outreach.NOON + timedelta(days=pushes.TOLD_AGAIN_AFTER_DAYS + 1)):
        assert tell(town).tellings.count() == 3
    with pytest.raises(IntegrityError), transaction.atomic():
        Telling.objects.create(push=first, party=town.good[0], pack=GRANT, reason=first.reason, told_at=first.told_at)


def test_what_came_of_it_is_seen_from_what_firms_did(town: Town, people: Any) -> None:
    tell(town)
    first, second, third = town.good
    pushes.see(agent_of(people, first), telling=Telling.objects.get(party=first))
    declined = Telling.objects.get(party=second)
    pushes.decline(agent_of(people, second), telling=declined, reason="今年不采购算力")
    assert outcomes() == {first.name: "seen", second.name: "declined", third.name: "nothing"}
    batch = batches.propose(town.officer, run=reach.latest(), pack=GRANT)
    batch.rows.exclude(party=third).delete()
    batches.confirm(town.second, batch=batch)
    list(batches.check_all(SYSTEM, batch))
    assert outcomes()[third.name] == "applied"


def test_an_answered_fact_is_an_outcome_and_an_older_one_is_none(town: Town) -> None:
    tell(town, Reason.MISSING, "abnormal")
    assert outcomes() == {town.open_.name: "nothing"}
    with clock.moved_to(outreach.NOON + timedelta(hours=1)):
        outreach.say(town.open_, "abnormal", False)
    assert outcomes() == {town.open_.name: "answered"}


def test_the_firms_agents_find_it_among_their_to_dos_until_they_decline(town: Town, people: Any) -> None:
    tell(town, text="可带合同到中心办理")
    agent, telling = agent_of(people, town.good[0]), Telling.objects.get(party=town.good[0])
    assert [item.url for item in todo.for_actor(agent)] == [f"/policy/told/{telling.pk}/"]
    assert [row.pk for row, _sentence in outreach_panel.messages(agent, town.good[0])] == [telling.pk]
    client = Client()
    client.force_login(agent.user)
    page = client.get(f"/policy/told/{telling.pk}/").content.decode()
    assert "可带合同到中心办理" in page
    telling.refresh_from_db()
    assert telling.seen_at is not None
    client.post(f"/policy/told/{telling.pk}/", {"reason": "不需要", "idempotency_key": "k"})
    assert todo.for_actor(agent) == []
    assert outreach_panel.messages(agent, town.good[0]) == []


def test_an_officer_who_looks_leaves_no_receipt_and_strangers_see_nothing(town: Town, people: Any) -> None:
    tell(town)
    telling = Telling.objects.get(party=town.good[0])
    client = Client()
    client.force_login(town.officer.user)
    assert client.get(f"/policy/told/{telling.pk}/").status_code == 200
    telling.refresh_from_db()
    assert telling.seen_at is None
    client.force_login(agent_of(people, town.good[1]).user)
    assert client.get(f"/policy/told/{telling.pk}/").status_code == 404
    assert client.get("/policy/pushes/").status_code == 403


def test_what_people_write_is_not_in_the_log(town: Town, people: Any) -> None:
    tell(town, text="王经理电话")
    telling = Telling.objects.get(party=town.good[0])
    pushes.decline(agent_of(people, town.good[0]), telling=telling, reason="老板出国了")
    logged = "".join(LogRecord.objects.filter(action__startswith="policy.push").values_list("payload", flat=True))
    assert "王经理" not in logged
    assert "老板" not in logged
    assert str(town.good[1].pk) in logged, "who was told is on record"


def test_only_officers_tell_and_only_the_firm_declines(town: Town, people: Any) -> None:
    run = town.run()
    everybody = [party.pk for party in Party.objects.all()]
    for actor in (people("auditor"), agent_of(people, town.good[0])):
        with pytest.raises(Forbidden):
            pushes.push(actor, run=run, pack=GRANT, reason=Reason.QUALIFIES, parties=everybody)
    tell(town)
    telling = Telling.objects.get(party=town.good[0])
    with pytest.raises(Forbidden):
        pushes.decline(agent_of(people, town.good[1]), telling=telling, reason="不要")
    with pytest.raises(Forbidden):
        pushes.decline(town.officer, telling=telling, reason="不要")


@pytest.mark.parametrize(
    "wrong",
    [
        {"parties": []}, {"channel": "pigeon"}, {"reason": "why-not"}, {"text": "长" * (pushes.TEXT_MAX + 1)},
        {"reason": Reason.ONE_STEP, "detail": "no-such-criterion"},
    ],
)  # fmt: skip
def test_bad_input_is_refused(town: Town, wrong: dict[str, Any]) -> None:
    named = {"run": town.run(), "pack": GRANT, "reason": Reason.QUALIFIES, "parties": [town.good[0].pk]} | wrong
    with pytest.raises(Invalid):
        pushes.push(town.officer, **named)
    assert not Push.objects.exists()


def test_a_list_becomes_a_push_in_the_browser(town: Town, client: Client) -> None:
    client.force_login(town.officer.user)
    town.run()
    address = f"/policy/who/{GRANT}/tell/?show=one_step&condition=tech-sme"
    page = client.get(address).content.decode()
    assert "科技型中小企业" in page
    done = client.post(address, {"channel": "phone", "text": "", "idempotency_key": "k1"}, follow=True)
    push = Push.objects.get()
    assert (push.reason, push.detail, push.channel) == ("one_step", "tech-sme", "phone")
    assert town.short.name in done.content.decode()
    again = client.post(address, {"channel": "phone", "text": "", "idempotency_key": "k2"})
    assert again.status_code == 200
    assert Push.objects.count() == 1
    assert client.get("/policy/pushes/").status_code == 200
    assert town.short.name in client.get(f"/policy/pushes/{push.pk}/export.csv").content.decode("utf-8-sig")
    assert client.get(f"/policy/who/{GRANT}/tell/?show=unmet").status_code == 404
