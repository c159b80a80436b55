"""Statements: amounts to the fen, VAT inside them, contest periods, and what accepting does to the commitment."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.book import helpers
from tests.book.helpers import party, run

from huoshui.base import clock
from huoshui.base.errors import Conflict, Invalid, Refused
from huoshui.book import actions, queries, services
from huoshui.book.models import Statement, StatementEvent
from huoshui.book.services import LineDraft
from huoshui.registry.models import Party


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_line_is_card_time_at_a_price_floored_once(quantity, price):
    line = LineDraft(Party(), "compute", 600, "x", quantity_mch=quantity, price_mfen=price)
    assert line.total * 1_000_000 <= quantity * price < (line.total + 1) * 1_000_000


@given(st.integers(-(10**12), 10**12), st.sampled_from([0, 100, 300, 600, 900, 1300]))
def test_vat_and_net_sum_to_the_amount_and_the_net_is_the_nearest_fen(amount, vat_bps):
    vat = queries.vat_of(amount, vat_bps)
    net = amount - vat
    assert abs(net * (10_000 + vat_bps) - amount * 10_000) * 2 <= 10_000 + vat_bps
    assert queries.vat_of(-amount, vat_bps) == -vat


@pytest.fixture
def firm(db):
    found, bank = party("firm"), party("bank", "bank")
    helpers.limit(found, bank, 1000)
    helpers.hold(found, "test.request:1", 600)
    helpers.commit(found, "test.request:1", 500)
    return found


def test_accepting_the_last_statement_frees_what_is_left_of_the_commitment(firm):
    helpers.accept(helpers.issue(firm, "test.request:1", {party(): 100}, final=False))
    assert services.balances(firm)["committed"] == 400
    helpers.accept(helpers.issue(firm, "test.request:1", {party(): 100}))
    found = services.balances(firm)
    assert (found["committed"], found["payable"], found["limit"]) == (0, 200, 800)


def test_the_last_statement_leaves_what_earlier_ones_still_need_and_the_rest_follows(firm, system_actor):
    early = helpers.issue(firm, "test.request:1", {party(): 300}, final=False)
    actions.contest(system_actor, statement=early, reason="wrong")
    helpers.accept(helpers.issue(firm, "test.request:1", {party(): 100}))
    assert services.balances(firm)["committed"] == 300
    early.refresh_from_db()
    actions.answer(system_actor, statement=early, reason="so be it", credits={1: 60})
    helpers.accept(early)
    found = services.balances(firm)
    assert (found["committed"], found["payable"], found["limit"]) == (0, 340, 660)
    assert services.replay() == []


def test_statements_accepted_in_one_go_leave_nothing_committed(firm):
    early = helpers.issue(firm, "test.request:1", {party(): 300}, final=False)
    last = helpers.issue(firm, "test.request:1", {party(): 100})
    run(firm, lambda act, record: services.accept_many(act, record, [early, last]))
    found = services.balances(firm)
    assert (found["committed"], found["payable"], found["limit"]) == (0, 400, 600)


def test_a_statement_is_accepted_once(firm):
    statement = helpers.issue(firm, "test.request:1", {party(): 100})
    helpers.accept(statement)
    with pytest.raises(Conflict):
        helpers.accept(statement)
    assert services.balances(firm)["payable"] == 100


def test_a_statement_beyond_its_commitment_is_refused(firm):
    statement = helpers.issue(firm, "test.request:1", {party(): 501})
    with pytest.raises(Refused) as refused:
        helpers.accept(statement)
    assert refused.value.code == "over_limit"
    assert Statement.objects.get(pk=statement.pk).state == "issued"


def test_a_concession_is_a_negative_line_and_no_payee_may_end_below_zero(firm):
    platform = party("platform")
    fee = LineDraft(platform, "fee", 600, "x", amount=30)
    lines = [fee, LineDraft(platform, "concession", 600, "x", amount=-20)]

    def issue(drafts):
        until = clock.today()
        return run(
            firm,
            lambda act, record: services.issue_statement(
                act, record, desk="test", subject="test.request:1", payer=firm, lines=drafts, contest_until=until
            ),
        )

    assert services.statement_total(issue(lines)) == 10
    with pytest.raises(Invalid):
        issue([fee, LineDraft(platform, "concession", 600, "x", amount=-31)])


def test_a_compensation_that_nobody_reserved_is_owed_without_touching_limits(firm):
    payee = party()
    helpers.accept(helpers.issue(firm, "test.recall:1", {payee: 70}, secured=False))
    found = services.balances(firm)
    assert (found["receivable"], found["payable"], found["limit"]) == (-70, 0, 500)
    assert services.balances(payee)["receivable"] == 70


def test_a_contest_after_its_period_is_refused(firm, system_actor):
    statement = helpers.issue(firm, "test.request:1", {party(): 100}, contest_until=clock.today() - timedelta(days=1))
    with pytest.raises(Refused) as refused:
        actions.contest(system_actor, statement=statement, reason="late")
    assert refused.value.code == "contest_late"


def test_what_nobody_contests_in_time_counts_as_accepted_unless_contested(firm, system_actor, moved_clock):
    due = helpers.issue(firm, "test.request:1", {party(): 100}, contest_until=clock.today())
    contested = helpers.issue(firm, "test.request:1", {party(): 50}, contest_until=clock.today())
    actions.contest(system_actor, statement=contested, reason="wrong")
    assert actions.lapse_due(system_actor) == 0
    with moved_clock(clock.now() + timedelta(days=1)):
        assert actions.lapse_due(system_actor) == 1
        assert actions.lapse_due(system_actor) == 0
    assert Statement.objects.get(pk=due.pk).state == "accepted"
    assert Statement.objects.get(pk=contested.pk).state == "contested"
    assert due.events.filter(what=StatementEvent.What.LAPSED).exists()


def test_the_contest_period_counts_working_days(db):
    friday = date(2026, 3, 6)
    assert services.contest_deadline(friday, 1) == date(2026, 3, 9)


def test_no_more_is_given_back_on_a_line_than_it_says_however_often_it_is_contested(firm, system_actor):
    payee = party()
    lines = [LineDraft(payee, "a", 600, "x", amount=100), LineDraft(payee, "b", 600, "x", amount=100)]
    statement = run(
        firm,
        lambda act, record: services.issue_statement(
            act, record, desk="test", subject="test.request:1", payer=firm, lines=lines, contest_until=clock.today()
        ),
    )

    def give_back(amount):
        actions.contest(system_actor, statement=statement, reason="wrong")
        actions.answer(
            system_actor, statement=Statement.objects.get(pk=statement.pk), reason="so be it", credits={1: amount}
        )

    give_back(60)
    with pytest.raises(Invalid):
        give_back(60)
    statement.refresh_from_db()
    assert services.statement_total(statement) == 140
