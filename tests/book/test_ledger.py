"""The ledger's own rules: zero sums, signs, append-only rows, balances that entries explain."""

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from tests.book import helpers
from tests.book.helpers import party, run

from huoshui.base.errors import Refused
from huoshui.book import ledger, services
from huoshui.book.models import Balance, Entry, Posting
from huoshui.book.services import Hold, Leg

pytestmark = pytest.mark.django_db


def test_a_posting_that_does_not_sum_to_zero_is_refused_and_leaves_nothing():
    firm = party()
    with pytest.raises(AssertionError, match="do not sum to zero"):
        run(firm, lambda act, record: services.post(act, record, [Leg(firm, "paid", "CNY", "x", 1)]))
    assert not Posting.objects.exists()


def test_authority_cannot_turn_into_money_owed():
    firm, bank = party(), party()
    helpers.limit(firm, bank, 100)
    legs = [Leg(firm, "limit", "CNY", "", -100), Leg(firm, "receivable", "CNY", "x", 100)]
    with pytest.raises(AssertionError, match="do not sum to zero"):
        run(firm, lambda act, record: services.post(act, record, legs))


@pytest.mark.parametrize("amount", [0.5, 2**63, True])
def test_amounts_are_integers_of_64_bits(amount):
    firm, other = party(), party()
    legs = [Leg(firm, "paid", "CNY", "x", amount), Leg(other, "paid", "CNY", "x", -amount)]
    with pytest.raises(AssertionError):
        run(firm, lambda act, record: services.post(act, record, legs))


def test_a_balance_beyond_64_bits_is_refused():
    firm, other = party(), party()
    legs = [Leg(firm, "paid", "CNY", "x", 2**63 - 1), Leg(other, "paid", "CNY", "x", -(2**63) + 1)]
    run(firm, lambda act, record: services.post(act, record, legs))
    with pytest.raises(AssertionError, match="beyond int64"):
        run(firm, lambda act, record: services.post(act, record, legs))


def test_no_balance_of_authority_falls_below_zero():
    firm, bank = party(), party()
    helpers.limit(firm, bank, 100)
    with pytest.raises(Refused) as refused:
        helpers.hold(firm, "test.request:1", 101)
    assert refused.value.code == "over_limit"
    assert refused.value.params["needs"] == 101
    assert services.balances(firm)["limit"] == 100


def test_the_database_itself_refuses_a_balance_with_the_wrong_sign():
    firm, bank = party(), party()
    helpers.limit(firm, bank, 100)
    for kind, owner, wrong in (("limit", firm, -1), ("limit", bank, 1)):
        rows = Balance.objects.filter(account__party=owner, account__kind=kind)
        with pytest.raises(IntegrityError), transaction.atomic():
            rows.update(amount=wrong)


@pytest.mark.parametrize("table", ["book_entry", "book_posting", "book_statementline", "book_statementevent"])
@pytest.mark.parametrize("change", ["UPDATE {} SET id = id", "DELETE FROM {}"])
def test_entries_postings_lines_and_events_cannot_be_changed_by_anyone(table, change):
    helpers.accepted(party(), party(), {party(): 100})
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change.format(table))
    assert Entry.objects.exists()


def test_replay_names_a_balance_that_its_entries_do_not_explain_and_rebuild_mends_it():
    firm, bank = party(), party()
    helpers.limit(firm, bank, 100)
    assert services.replay() == []
    Balance.objects.filter(account__party=firm).update(amount=101)
    (fault,) = services.replay()
    assert "balance 101, entries sum to 100" in fault
    assert ledger.rebuild() == 1
    assert services.replay() == []


def test_a_batch_locks_and_writes_each_balance_once():
    firm, bank = party(), party()
    helpers.limit(firm, bank, 10_000)
    items = [Hold(firm, f"test.request:{n}", 3) for n in range(300)]
    run(firm, lambda act, record: services.hold_many(act, record, items[:1]))
    with CaptureQueriesContext(connection) as seen:
        run(firm, lambda act, record: services.hold_many(act, record, items[1:]))
    assert len(seen) < 40
    assert services.balances(firm)["held"] == 900
    assert services.replay() == []


def test_a_batch_is_all_or_nothing():
    firm, bank = party(), party()
    helpers.limit(firm, bank, 10)
    items = [Hold(firm, "test.request:1", 6), Hold(firm, "test.request:2", 5)]
    with pytest.raises(Refused):
        run(firm, lambda act, record: services.hold_many(act, record, items))
    assert services.balances(firm)["held"] == 0


def test_amounts_are_shown_in_the_unit_that_people_read():
    assert services.show(123456, "CNY") == "1,234.56"
    assert services.show(-1500, "SCH") == "-1.500"
