"""What banks report: taken in once, matched to statements, and what does not fit waits for a person."""

from datetime import timedelta

import pytest
from tests.book import helpers
from tests.book.helpers import party

from huoshui.base import clock
from huoshui.base.errors import Conflict, Forbidden, Invalid
from huoshui.book import actions, banks, services
from huoshui.book.models import BankException, BankReport, Statement

pytestmark = pytest.mark.django_db
HEADER = "类型,银行流水号,日期,统一社会信用代码,金额（元）,结算单号,收款方统一社会信用代码"


def a_file(*rows: str) -> bytes:
    return "\n".join([HEADER, *rows]).encode()


@pytest.fixture
def bank():
    return party("虚构银行", "bank")


@pytest.fixture
def firm():
    return party("虚构企业")


@pytest.fixture
def send(people, bank):
    clerk = people("bank", f"party:{bank.pk}")
    return lambda *rows: actions.import_bank_report(clerk, bank=bank, name="报告.csv", data=a_file(*rows))


def reasons():
    return sorted(BankException.objects.values_list("reason", "amount"))


def day(offset=0):
    return (clock.today() - timedelta(days=offset)).isoformat()


def test_a_balance_sets_the_limit_to_what_is_not_reserved(send, firm, bank):
    send(f"余额,B1,{day(2)},{firm.uscc},100.00,,")
    helpers.hold(firm, "test.request:1", 40_00)
    send(f"余额,B2,{day(1)},{firm.uscc},90.00,,")
    assert services.balances(firm)["limit"] == 50_00


def test_an_older_balance_that_comes_late_changes_nothing(send, firm):
    send(f"余额,B2,{day(1)},{firm.uscc},90.00,,")
    send(f"余额,B1,{day(2)},{firm.uscc},100.00,,")
    assert services.balances(firm)["limit"] == 90_00
    assert BankReport.objects.count() == 2


def test_a_balance_below_what_is_reserved_leaves_the_reservation_and_tells_a_person(send, firm):
    send(f"余额,B1,{day(2)},{firm.uscc},100.00,,")
    helpers.hold(firm, "test.request:1", 40_00)
    send(f"余额,B2,{day(1)},{firm.uscc},30.00,,")
    found = services.balances(firm)
    assert (found["limit"], found["held"]) == (0, 40_00)
    assert reasons() == [("over_reserved", 10_00)]


def test_the_same_file_and_the_same_row_are_taken_in_once(send, firm):
    first = send(f"余额,B1,{day()},{firm.uscc},100.00,,")
    assert send(f"余额,B1,{day()},{firm.uscc},100.00,,") == first
    send(f"余额,B1,{day()},{firm.uscc},100.00,,", f"余额,B2,{day()},{firm.uscc},70.00,,")
    assert BankReport.objects.count() == 2
    assert services.balances(firm)["limit"] == 70_00
    assert reasons() == []


def test_a_reference_with_other_content_is_not_taken_in(send, firm):
    send(f"余额,B1,{day()},{firm.uscc},100.00,,")
    send(f"余额,B1,{day()},{firm.uscc},999.00,,")
    assert services.balances(firm)["limit"] == 100_00
    assert reasons() == [("duplicate_reference", 999_00)]


def test_a_payment_settles_its_statement_in_proportion_and_then_in_full(send, firm, bank):
    seller, carrier = party("seller"), party("carrier")
    statement = helpers.accepted(firm, bank, {seller: 70_00, carrier: 30_00})
    send(f"付款,P1,{day()},{firm.uscc},10.01,{statement.number},")
    assert services.balances(seller)["paid"] == 7_01
    assert services.balances(carrier)["paid"] == 3_00
    send(f"付款,P2,{day()},{firm.uscc},89.99,{statement.number},")
    assert Statement.objects.get(pk=statement.pk).state == "paid"
    found = services.balances(firm)
    assert (found["payable"], found["receivable"], found["paid"]) == (0, 0, -100_00)
    assert services.replay() == []


def test_a_payment_that_names_a_payee_pays_only_that_one(send, firm, bank):
    seller, carrier = party("seller"), party("carrier")
    statement = helpers.accepted(firm, bank, {seller: 70_00, carrier: 30_00})
    send(f"付款,P1,{day()},{firm.uscc},40.00,{statement.number},{carrier.uscc}")
    assert services.balances(carrier)["paid"] == 30_00
    assert services.balances(seller)["paid"] == 0
    assert reasons() == [("amount_differs", 10_00)]


def test_what_cannot_be_matched_waits_for_a_person(send, firm, bank):
    other = party("other")
    statement = helpers.accepted(firm, bank, {party("seller"): 70_00})
    unknown = party("gone")
    code = unknown.uscc
    unknown.uscc = None
    unknown.save()
    send(
        f"付款,P1,{day()},{firm.uscc},1.00,JS000000-000000,",
        f"付款,P2,{day()},{other.uscc},2.00,{statement.number},",
        f"付款,P3,{day()},{code},3.00,{statement.number},",
        f"付款,P4,{day()},{firm.uscc},80.00,{statement.number},",
    )
    assert reasons() == [
        ("amount_differs", 10_00), ("unknown_account", 3_00), ("unmatched_payment", 1_00), ("unmatched_payment", 2_00),
    ]  # fmt: skip
    assert Statement.objects.get(pk=statement.pk).state == "paid"


def test_an_officer_matches_an_unmatched_payment_to_its_statement(send, firm, bank, people):
    statement = helpers.accepted(firm, bank, {party("seller"): 70_00})
    send(f"付款,P1,{day()},{firm.uscc},70.00,,")
    (exception,) = BankException.objects.all()
    actions.resolve_exception(people("officer"), exception=exception, reason="附言写错", statement=statement)
    assert Statement.objects.get(pk=statement.pk).state == "paid"
    with pytest.raises(Conflict):
        actions.resolve_exception(people("officer"), exception=exception, reason="again", statement=statement)


def test_a_payment_of_one_party_cannot_be_matched_to_anothers_statement(send, firm, bank, people):
    statement = helpers.accepted(party("other"), bank, {party("seller"): 70_00})
    send(f"付款,P1,{day()},{firm.uscc},70.00,,")
    with pytest.raises(Invalid):
        actions.resolve_exception(
            people("officer"), exception=BankException.objects.get(), reason="guess", statement=statement
        )


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("余额,B1,{day},{uscc},1.005,,", "金额（元）"),
        ("余额,B1,{day},{uscc},-1,,", "金额（元）"),
        ("余额,B1,{day},91990000000000000X,1,,", "统一社会信用代码"),
        ("余额,B1,2026-02-30,{uscc},1,,", "日期"),
        ("转账,B1,{day},{uscc},1,,", "类型"),
        ("余额,,{day},{uscc},1,,", "银行流水号"),
        ("余额,B1,{tomorrow},{uscc},1,,", "date"),
    ],
)
def test_a_malformed_row_is_named_and_nothing_is_taken_in(send, firm, row, field):
    bad = row.format(day=day(), uscc=firm.uscc, tomorrow=day(-1))
    with pytest.raises(Invalid) as refused:
        send(f"余额,B0,{day()},{firm.uscc},100.00,,", bad)
    assert [(problem.row, problem.field) for problem in refused.value.problems] == [(3, field)]
    assert not BankReport.objects.exists()
    assert services.balances(firm)["limit"] == 0


def test_a_bank_reports_only_for_itself(people, bank, firm):
    other = people("bank", f"party:{party('other bank', 'bank').pk}")
    with pytest.raises(Forbidden):
        actions.import_bank_report(other, bank=bank, name="x.csv", data=a_file())


def test_files_laid_into_the_banks_folder_are_taken_in_once(people, bank, firm):
    adapter = banks.adapters["files"]
    assert adapter.check(bank) != []
    folder = banks.Files().folder(bank)
    folder.mkdir(parents=True)
    (folder / "1.csv").write_bytes(a_file(f"余额,B1,{day()},{firm.uscc},100.00,,"))
    assert adapter.check(bank) == []
    clerk = people("bank", f"party:{bank.pk}")
    assert len(actions.import_waiting(clerk, bank)) == 1
    actions.import_waiting(clerk, bank)
    assert BankReport.objects.count() == 1
    assert services.balances(firm)["limit"] == 100_00
