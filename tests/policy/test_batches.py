"""Paid without an application: proposed, confirmed by a second person, checked again, nobody twice."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import IntegrityError, connections, transaction
from django.test import Client
from tests.book import helpers
from tests.book.test_concurrency import at_once
from tests.policy import money, outreach
from tests.policy.outreach import GRANT, GRANT_FEN, SYSTEM, Town
from tests.sandbox import Sandbox

from huoshui.base.access import Actor
from huoshui.base.errors import Forbidden, Refused
from huoshui.base.models import LogRecord
from huoshui.cases import todo
from huoshui.policy import matching, reach
from huoshui.policy.actions import applications, batches, payouts
from huoshui.policy.models import Application, Batch, BatchRow, Payout
from huoshui.registry import actions as registry
from huoshui.registry.models import Decision

Why = BatchRow.Why


@pytest.fixture
def town(people: Any) -> Iterator[Town]:
    with outreach.at_noon():
        yield outreach.build(people)


def proposed(town: Town) -> Batch:
    return batches.propose(town.officer, run=town.run(), pack=GRANT)


def carried_out(town: Town, batch: Batch) -> Batch:
    """Confirmed by the second officer and checked again."""
    batches.confirm(town.second, batch=batch)
    for _done in batches.check_all(SYSTEM, batch):
        pass
    batch.refresh_from_db()
    return batch


def test_the_decision_of_a_row_can_be_read_and_verified_by_who_it_concerns(
    town: Town, client: Client, people: Any
) -> None:
    carried_out(town, proposed(town))
    client.force_login(people("agent", f"party:{town.good[0].pk}").user)
    for firm, status in ((town.good[0], 200), (town.good[1], 404)):
        decision = Application.objects.get(party=firm).decision
        assert client.get(f"/policy/decisions/{decision.pk}/?verify").status_code == status


def test_who_qualifies_becomes_an_approved_application_with_its_decision(town: Town) -> None:
    batch = carried_out(town, proposed(town))
    assert batch.state == Batch.State.DONE
    made = Application.objects.filter(channel="no_application")
    assert {row.party for row in made} == set(town.good)
    for application in made:
        assert (application.state, application.amount_fen) == ("approved", GRANT_FEN)
        assert application.decision.verdict == "met"
        assert matching.replay(application.decision).same
        assert application.batch_row.batch == batch
        assert application.checked_by != application.decided_by
    assert Decision.objects.filter(kind=batches.DECIDED).count() == 3


def test_the_firm_confirms_its_account_the_grant_is_ordered_and_the_bank_reports_it(town: Town, people: Any) -> None:
    batch = carried_out(town, proposed(town))
    money.centre()
    authority, bank = helpers.party("示例市经济和信息化局", "institution"), helpers.party("示例银行", "bank")
    money.fund(batch.publication, authority, 10_000_000)
    application = Application.objects.get(party=town.good[0])
    agent = people("agent", f"party:{town.good[0].pk}")
    assert any(f"/applications/{application.pk}/" in item.url for item in todo.for_actor(agent))
    applications.confirm_account(agent, application=application, bank_name="示例银行", account_number="1234567890123")
    payout = Payout.objects.get(application=application)
    money.report(bank, payout.statement)
    application.refresh_from_db()
    assert (application.state, payout.amount_fen) == ("paid_out", GRANT_FEN)


def test_an_account_told_before_there_is_a_fund_stays_and_the_grant_is_ordered_later(
    town: Town, people: Any, client: Client
) -> None:
    batch = carried_out(town, proposed(town))
    application = Application.objects.get(party=town.good[0])
    agent = people("agent", f"party:{town.good[0].pk}")
    applications.confirm_account(agent, application=application, bank_name="示例银行", account_number="1234567890123")
    application.refresh_from_db()
    assert application.account_confirmed
    assert any("/payouts/" in item.url for item in todo.for_actor(town.officer))
    done, refused = payouts.order_due(town.officer)
    assert (done, [(row, error.code) for row, error in refused]) == (0, [(application, "no_fund")])
    client.force_login(town.officer.user)
    assert application.number in client.post("/policy/payouts/order/").content.decode()
    money.centre()
    money.fund(batch.publication, helpers.party("示例市经济和信息化局", "institution"), 10_000_000)
    assert payouts.order_due(town.second)[1][0][1].code == "second_person"
    assert payouts.order_due(town.officer) == (1, [])
    assert Payout.objects.get().application == application


def test_rows_that_changed_since_the_run_fall_out_and_say_why(town: Town) -> None:
    batch = proposed(town)
    first, second, third = town.good
    outreach.say(first, "abnormal", True)
    registry.state_fact(SYSTEM, party=second, code="tech-sme", value=None, source="official", source_name="示例名录")
    batch.rows.filter(party=third).update(amount_fen=GRANT_FEN - 1)
    carried_out(town, batch)
    told = {row.party: (row.state, row.why, row.criterion) for row in batch.rows.all()}
    assert told == {
        first: ("dropped", Why.UNMET, "abnormal"), second: ("dropped", Why.UNKNOWN, "tech-sme"),
        third: ("dropped", Why.AMOUNT, ""),
    }  # fmt: skip
    assert not Application.objects.exists()


def test_what_only_the_firm_declared_pays_nobody_until_somebody_else_has_said_it(town: Town) -> None:
    firm = town.open_
    registry.state_fact(SYSTEM, party=firm, code="abnormal", value=False, source="self")
    batch = carried_out(town, proposed(town))
    told = {row.party: (row.state, row.why) for row in batch.rows.all()}
    assert told.pop(firm) == ("dropped", Why.DECLARED)
    assert set(told.values()) == {("confirmed", "")}
    assert not len(reach.batchable(batch.run, GRANT, 10)), "not offered again out of the same run"
    outreach.say(firm, "abnormal", False)
    again = carried_out(town, proposed(town))
    assert {(row.party, row.state) for row in again.rows.all()} == {(firm, "confirmed")}


def test_who_applied_or_was_paid_meanwhile_is_not_paid_again(town: Town) -> None:
    batch, run = proposed(town), reach.latest()
    assert run is not None
    with pytest.raises(Refused) as refused:
        batches.propose(town.second, run=run, pack=GRANT)
    assert refused.value.code == "nobody_left", "who waits in a batch is in no other"
    carried_out(town, batch)
    with pytest.raises(Refused):
        batches.propose(town.officer, run=town.run(), pack=GRANT)
    other = Batch.objects.create(
        run=run, publication=batch.publication, pack=GRANT, period=batch.period, proposed_by="user:1",
        proposed_at=batch.proposed_at, record=batch.record,
    )  # fmt: skip
    with pytest.raises(IntegrityError), transaction.atomic():
        BatchRow.objects.create(batch=other, party=town.good[0], pack=GRANT, period=batch.period, amount_fen=1)


def test_a_superseded_text_pays_nobody(town: Town) -> None:
    batch = proposed(town)
    newer = outreach.pack_text(GRANT).replace("value: 5000, unit: 元", "value: 4000, unit: 元")
    outreach.publish(newer, town.officer, town.second)
    carried_out(town, batch)
    assert set(batch.rows.values_list("why", flat=True)) == {Why.PACK}


def test_a_discarded_proposal_frees_its_entities(town: Town) -> None:
    batch = proposed(town)
    batches.discard(town.officer, batch=batch)
    with pytest.raises(Refused):
        batches.confirm(town.second, batch=batch)
    assert batches.propose(town.officer, run=reach.latest(), pack=GRANT).rows.count() == 3


def test_the_second_person_is_another_one(town: Town) -> None:
    batch = proposed(town)
    with pytest.raises(Refused) as refused:
        batches.confirm(town.officer, batch=batch)
    assert refused.value.code == "second_person"
    with pytest.raises(IntegrityError), transaction.atomic():
        Batch.objects.filter(pk=batch.pk).update(confirmed_by=batch.proposed_by)


def test_agents_and_auditors_propose_and_confirm_nothing(town: Town, people: Any) -> None:
    batch = proposed(town)
    for actor in (people("auditor"), people("agent", f"party:{town.good[0].pk}")):
        for what in (
            lambda a: batches.confirm(a, batch=batch), lambda a: batches.discard(a, batch=batch),
            lambda a: batches.propose(a, run=batch.run, pack=GRANT),
        ):  # fmt: skip
            with pytest.raises(Forbidden):
                what(actor)


def test_a_pack_that_wants_an_application_is_not_batched(town: Town) -> None:
    wants = outreach.pack_text(GRANT).replace("no_application: true", "no_application: false")
    outreach.publish(wants, town.officer, town.second)
    with pytest.raises(Refused) as refused:
        batches.propose(town.officer, run=town.run(), pack=GRANT)
    assert refused.value.code == "needs_application"


def test_only_the_last_run_is_proposed_from(town: Town) -> None:
    first, _second = town.run(), town.run()
    with pytest.raises(Refused) as refused:
        batches.propose(town.officer, run=first, pack=GRANT)
    assert refused.value.code == "run_replaced"


def test_checking_twice_does_nothing_twice(town: Town) -> None:
    batch = carried_out(town, proposed(town))
    before = LogRecord.objects.count()
    assert list(batches.check_all(SYSTEM, batch)) == []
    assert LogRecord.objects.count() == before
    told = json.loads(LogRecord.objects.get(action="policy.batch.finish").payload)
    assert (told["confirmed"], told["dropped"], told["amount_fen"]) == (3, 0, 3 * GRANT_FEN)


def test_pages_of_a_batch(town: Town, client: Client) -> None:
    client.force_login(town.officer.user)
    assert client.get("/policy/batches/").status_code == 200
    town.run()
    page = client.post(f"/policy/who/{GRANT}/propose/", {"idempotency_key": "k1"}, follow=True).content.decode()
    batch = Batch.objects.get()
    assert "/confirm/" not in page, "who proposed does not confirm"
    client.force_login(town.second.user)
    assert any(item.url == f"/policy/batches/{batch.pk}/" for item in todo.for_actor(town.second))
    client.post(f"/policy/batches/{batch.pk}/confirm/", {"idempotency_key": "k2"})
    outreach.say(town.good[0], "abnormal", True)
    for _done in batches.check_all(SYSTEM, batch):
        pass
    page = client.get(f"/policy/batches/{batch.pk}/?show=dropped").content.decode()
    assert town.good[0].name in page
    assert town.good[1].name not in page
    assert client.get("/policy/batches/").status_code == 200
    assert town.good[1].name in client.get(f"/policy/batches/{batch.pk}/export.csv").content.decode("utf-8-sig")


# --- faults -----------------------------------------------------------------------------------------------------------

SETUP = """
from tests.conftest import People
from tests.policy import outreach
from huoshui.policy.actions import batches
with outreach.at_noon():
    town = outreach.build(People())
    batch = batches.propose(town.officer, run=town.run(), pack=outreach.GRANT)
    batches.confirm(town.second, batch=batch)
"""
CHECK = """
from tests.policy import outreach
from huoshui.policy.actions import batches
from huoshui.policy.models import Application, Batch, BatchRow
batches.ROWS_PER_STEP = 1
with outreach.at_noon():
    for _done in batches.check_all(system, Batch.objects.get()):
        pass
"""
STATE = """
from huoshui.policy.models import Application, Batch, BatchRow
print(Application.objects.count(), BatchRow.objects.filter(state="confirmed").count(), Batch.objects.get().state)
"""


def test_a_kill_while_checking_pays_nobody_twice_and_leaves_nobody_out(sandbox: Sandbox) -> None:
    """The power fails within the second of three rows."""
    sandbox.run(SETUP)
    sandbox.run(CHECK, crash_at="huoshui.base.log:seal", nth=2)
    assert sandbox.run(STATE) == "1 1 confirmed"
    sandbox.run(CHECK)
    assert sandbox.run(STATE) == "3 3 done"


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_workers_and_two_officers_at_once_confirm_once(people: Any) -> None:
    with outreach.at_noon():
        town = outreach.build(people, good=4)
        batch = proposed(town)
    thirds = [people("officer") for _number in range(3)]

    def confirm(actor: Actor) -> None:
        with outreach.at_noon():
            batches.confirm(actor, batch=batch)

    answers = at_once([lambda a=actor: confirm(a) for actor in (*thirds, town.second)])
    assert sum(answer is None for answer in answers) == 1
    assert all(isinstance(answer, Refused) and answer.code == "batch_state" for answer in answers if answer)

    def check() -> None:
        with outreach.at_noon():
            for _done in batches.check_all(SYSTEM, batch):
                pass

    assert at_once([check] * 4) == [None] * 4
    connections.close_all()
    assert Application.objects.count() == batch.rows.filter(state="confirmed").count() == 4


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_two_who_propose_at_once_one_does(people: Any) -> None:
    with outreach.at_noon():
        town = outreach.build(people)
        run = town.run()

    def propose(actor: Actor) -> None:
        with outreach.at_noon():
            batches.propose(actor, run=run, pack=GRANT)

    answers = at_once([lambda a=actor: propose(a) for actor in (town.officer, town.second)])
    assert sorted(type(answer).__name__ for answer in answers) == ["NoneType", "Refused"]
    assert BatchRow.objects.count() == 3
