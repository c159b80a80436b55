"""Consents: who may give them, what they cover and until when; the words stay out of the log."""

import json
from datetime import date
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from huoshui.base.access import Actor
from huoshui.base.errors import Conflict, Forbidden, Invalid, Missing
from huoshui.base.models import LogRecord
from huoshui.registry import actions, consents, queries, uscc
from huoshui.registry.models import Consent, Party

pytestmark = pytest.mark.django_db


@pytest.fixture
def officer(people: Any) -> Actor:
    return people("officer")


@pytest.fixture
def firm(officer: Actor) -> Party:
    return actions.create_party(officer, name="示例青禾公司", uscc=uscc.invented(101), kinds=["entity"])


@pytest.fixture
def bank(officer: Actor) -> Party:
    return actions.create_party(officer, name="示例银行", uscc=uscc.invented(2), kinds=["bank"])


@pytest.fixture
def agent(people: Any, firm: Party) -> Actor:
    return people("agent", f"party:{firm.pk}")


def test_a_consent_covers_its_facts_its_recipient_and_its_time(
    agent: Actor, firm: Party, bank: Party, officer: Actor
) -> None:
    other = actions.create_party(officer, name="别家银行", kinds=["bank"])
    consents.give(
        agent, party=firm, recipient=bank, purpose="review", codes=["revenue", "rd"], since=date(2026, 1, 1),
        until=date(2026, 6, 30),
    )
    in_time = date(2026, 6, 30)
    assert queries.consented(firm, bank, ["revenue"], in_time)
    assert queries.consented(firm, bank, ["revenue", "rd"], in_time, "review")
    assert not queries.consented(firm, bank, ["revenue", "staff"], in_time)
    assert not queries.consented(firm, bank, ["revenue"], in_time, "finance")
    assert not queries.consented(firm, bank, ["revenue"], date(2026, 7, 1))
    assert not queries.consented(firm, bank, ["revenue"], date(2025, 12, 31))
    assert not queries.consented(firm, other, ["revenue"], in_time)
    assert not queries.consented(other, bank, ["revenue"], in_time)
    consents.give(agent, party=firm, recipient=bank, purpose="review", codes=["staff"], since=date(2026, 1, 1))
    assert queries.consented(firm, bank, ["revenue", "staff"], in_time), "two consents together"


def test_without_facts_it_covers_those_that_the_purpose_names(agent: Actor, firm: Party, bank: Party) -> None:
    consents.give(agent, party=firm, recipient=bank, purpose="finance")
    assert queries.consented(firm, bank, ["revenue", "tax.grade"])
    assert not queries.consented(firm, bank, ["ip.class1"])
    consents.give(agent, party=firm, recipient_name="合作银行", purpose="review")
    assert queries.consented(firm, "合作银行", ["ip.class1"]), "this purpose names no facts: all"
    assert not queries.consented(firm, bank, ["ip.class1"])


def test_it_may_be_withdrawn_once(agent: Actor, firm: Party, bank: Party, moved_clock: Any) -> None:
    with moved_clock("2026-03-02 10:00"):
        given = consents.give(agent, party=firm, recipient=bank, purpose="finance")
    with moved_clock("2026-03-05 10:00"):
        consents.withdraw(agent, consent=given)
        assert not queries.consented(firm, bank, ["revenue"])
        assert queries.consented(firm, bank, ["revenue"], date(2026, 3, 4)), "what was shared then was agreed to"
        with pytest.raises(Conflict):
            consents.withdraw(agent, consent=given)


def test_only_who_acts_for_the_party_agrees(officer: Actor, people: Any, firm: Party, bank: Party) -> None:
    stranger = people("agent", f"party:{bank.pk}")
    for actor in (officer, stranger):
        with pytest.raises(Forbidden):
            consents.give(actor, party=firm, recipient=bank, purpose="finance")
    with pytest.raises(Missing):
        queries.consents(stranger, firm)


@pytest.mark.parametrize("wrong", [
    {"purpose": "nothing"}, {"recipient_name": "x"}, {"recipient": None}, {"codes": ["no.such.fact"]},
    {"since": date(2026, 2, 1), "until": date(2026, 1, 1)}, {"text": "长" * 501},
])
def test_what_is_wrong_is_refused(agent: Actor, firm: Party, bank: Party, wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        consents.give(agent, party=firm, **({"recipient": bank, "purpose": "finance"} | wrong))
    assert not Consent.objects.exists()


def test_words_are_in_the_log_only_as_digests(agent: Actor, firm: Party) -> None:
    consents.give(agent, party=firm, recipient_name="王先生的银行", purpose="finance", text="请联系王先生")
    payload = LogRecord.objects.filter(action="registry.consent.give").get().payload
    assert "王先生" not in payload
    assert json.loads(payload)["purpose"] == "finance"


def test_on_the_page_it_is_given_and_withdrawn(client: Client, agent: Actor, firm: Party, bank: Party) -> None:
    assert agent.user is not None
    client.force_login(agent.user)
    add = reverse("registry:party_add", args=[firm.pk, "consent"])
    answer = client.post(add, {"purpose": "finance", "recipient": "没有这家", "since": "2026-01-01"})
    assert "没有这家" in answer.content.decode()
    assert not Consent.objects.exists()
    client.post(add, {"purpose": "finance", "recipient": bank.name, "since": "2026-01-01", "codes": ["revenue", "rd"]})
    page = client.get(reverse("registry:party", args=[firm.pk])).content.decode()
    assert bank.name in page
    assert "研发费用、营业收入" in page
    given = Consent.objects.get()
    client.post(reverse("registry:consent_withdraw", args=[given.pk]))
    given.refresh_from_db()
    assert given.withdrawn_at is not None


def test_over_rest(client: Client, agent: Actor, firm: Party, bank: Party) -> None:
    assert agent.user is not None
    client.force_login(agent.user)
    url, body = f"/api/registry/parties/{firm.pk}/consents/", {"purpose": "finance", "recipient": bank.pk}
    made = client.post(url, body, "application/json", headers={"Idempotency-Key": "a"})
    assert made.status_code == 200, made.content
    again = client.post(url, body, "application/json", headers={"Idempotency-Key": "a"})
    assert again.json()["id"] == made.json()["id"]
    assert [row["recipient"] for row in client.get(url).json()] == [bank.pk]
    gone = client.post(f"/api/registry/consents/{made.json()['id']}/withdraw/", headers={"Idempotency-Key": "b"})
    assert gone.json()["withdrawn_at"]
