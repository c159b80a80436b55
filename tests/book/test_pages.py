"""Pages of the book: each role sees its own and nothing else; what a person may do works from the page."""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from tests.book import helpers
from tests.book.helpers import party
from tests.book.test_bank import a_file, day

from huoshui.base import merkle
from huoshui.book.models import Account, BankException, Statement

pytestmark = pytest.mark.django_db
QUERIES_MAX = 30


@pytest.fixture
def world(people):
    """Two firms with statements, a bank, a seller and a carrier, and someone for each."""

    class World:
        bank, firm, other = party("虚构银行", "bank"), party("虚构甲"), party("虚构乙")
        seller, carrier = party("虚构算力", "operator"), party("虚构网络", "carrier")

    world = World()
    world.statement = helpers.accepted(world.firm, world.bank, {world.seller: 70_00, world.carrier: 30_00})
    world.foreign = helpers.accepted(world.other, world.bank, {world.carrier: 10_00})
    world.agent = people("agent", f"party:{world.firm.pk}").user
    world.operator = people("operator", f"party:{world.seller.pk}").user
    world.clerk = people("bank", f"party:{world.bank.pk}").user
    world.officer, world.auditor = people("officer").user, people("auditor").user
    return world


def issued(world):
    helpers.limit(world.firm, world.bank, 500_00)
    helpers.hold(world.firm, "test.request:9", 100_00)
    helpers.commit(world.firm, "test.request:9", 100_00)
    return helpers.issue(world.firm, "test.request:9", {world.seller: 60_00, world.carrier: 20_00})


def post(client, name, pk=None, **fields):
    return client.post(reverse(f"book:{name}", args=[pk] if pk else []), {"idempotency_key": name, **fields})


def test_every_page_opens_for_those_who_may_see_it_with_few_queries(world, client):
    account = Account.objects.filter(party=world.firm)[0]
    pages = [
        reverse("book:accounts"), reverse("book:party", args=[world.firm.pk]),
        reverse("book:account", args=[account.pk]), reverse("book:statements"),
        *(reverse(f"book:{name}", args=[world.statement.pk]) for name in ("statement", "statement_print")),
        reverse("book:statement_file", args=[world.statement.pk, "csv"]), reverse("book:bank"),
        reverse("book:exceptions"), reverse("book:proofs"), reverse("book:proofs") + "?old=1",
        reverse("book:proof", args=[world.statement.events.first().record_id]),
    ]  # fmt: skip
    for user in (world.officer, world.auditor, world.agent):
        client.force_login(user)
        for address in pages:
            with CaptureQueriesContext(connection) as seen:
                response = client.get(address)
            assert response.status_code == 200, (user.name, address)
            assert len(seen) <= QUERIES_MAX, (address, len(seen))


def test_lists_take_the_same_number_of_queries_however_long(world, client):
    client.force_login(world.officer)
    for name in ("accounts", "statements"):
        counts = []
        for _again in range(2):
            with CaptureQueriesContext(connection) as seen:
                client.get(reverse(f"book:{name}"))
            counts.append(len(seen))
            for _more in range(5):
                helpers.accepted(party(), world.bank, {world.seller: 5_00})
        assert counts[0] == counts[1], name


def test_an_agent_finds_nothing_of_another_firm(world, client):
    client.force_login(world.agent)
    account = Account.objects.filter(party=world.other).first()
    record = world.foreign.events.first().record_id
    for address in (
        reverse("book:party", args=[world.other.pk]), reverse("book:account", args=[account.pk]),
        reverse("book:statement", args=[world.foreign.pk]), reverse("book:statement_print", args=[world.foreign.pk]),
        reverse("book:statement_file", args=[world.foreign.pk, "csv"]), reverse("book:proof", args=[record]),
        reverse("book:receipt", args=[record]),
    ):  # fmt: skip
        assert client.get(address).status_code == 404, address
    assert world.foreign.number not in client.get(reverse("book:statements")).content.decode()
    assert "虚构乙" not in client.get(reverse("book:accounts")).content.decode()


def test_a_payee_sees_its_own_lines_of_a_statement_only(world, client):
    client.force_login(world.operator)
    text = client.get(reverse("book:statement", args=[world.statement.pk])).content.decode()
    assert "70.00" in text
    assert "虚构网络" not in text
    assert "100.00" not in text
    listed = client.get(reverse("book:statements")).content.decode()
    assert "70.00" in listed
    assert "100.00" not in listed


def test_what_is_owed_is_not_told_before_a_statement_is_accepted(world, client):
    client.force_login(world.agent)
    (share, *_rest) = client.get(reverse("book:statement", args=[issued(world).pk])).context["shares"]
    assert share.owed is None
    (share, *_rest) = client.get(reverse("book:statement", args=[world.statement.pk])).context["shares"]
    assert share.owed == 70_00


def test_a_payee_cannot_accept_or_contest_for_the_payer(world, client):
    statement = issued(world)
    client.force_login(world.operator)
    assert post(client, "accept", statement.pk).status_code == 403
    assert post(client, "contest", statement.pk, reason="no").status_code == 403
    assert Statement.objects.get(pk=statement.pk).state == "issued"


def test_a_statement_is_contested_answered_with_a_credit_and_accepted(world, client):
    statement = issued(world)
    client.force_login(world.agent)
    assert post(client, "contest", statement.pk, reason="少了两小时").status_code == 302
    assert post(client, "accept", statement.pk).status_code == 409
    client.force_login(world.officer)
    answer = {"reason": "属实", "line 1": "10.00"}
    assert client.get(reverse("book:answer", args=[statement.pk])).status_code == 200
    assert post(client, "answer", statement.pk, **answer).status_code == 302
    client.force_login(world.agent)
    post(client, "accept", statement.pk)
    found = Statement.objects.get(pk=statement.pk)
    assert found.state == "accepted"
    balances = helpers.services.balances(world.firm)
    # 100.00 accepted before the test, 50.00 + 20.00 now; what was committed beyond that is free again.
    assert (balances["payable"], balances["committed"], balances["limit"]) == (170_00, 0, 330_00)
    assert client.get(reverse("book:statement", args=[statement.pk])).status_code == 200


def test_nobody_can_give_back_more_than_a_line_holds(world, client):
    statement = issued(world)
    client.force_login(world.agent)
    post(client, "contest", statement.pk, reason="?")
    client.force_login(world.officer)
    response = post(client, "answer", statement.pk, **{"reason": "?", "line 1": "60.01"})
    assert response.status_code == 200
    assert Statement.objects.get(pk=statement.pk).state == "contested"


def test_a_bank_officer_uploads_a_file_and_an_officer_resolves_what_is_left(world, client):
    client.force_login(world.clerk)
    file = SimpleUploadedFile("报告.csv", a_file(f"付款,P1,{day()},{world.firm.uscc},100.00,,"))
    assert client.get(reverse("book:bank")).status_code == 200
    assert post(client, "bank", bank=world.bank.pk, file=file).status_code == 302
    (exception,) = BankException.objects.all()
    assert client.get(reverse("book:bank_file", args=[exception.file_id])).status_code == 200
    client.force_login(world.officer)
    assert client.get(reverse("book:resolve", args=[exception.pk])).status_code == 200
    answer = post(client, "resolve", exception.pk, reason="附言缺号", statement=world.statement.number)
    assert answer.status_code == 302
    assert Statement.objects.get(pk=world.statement.pk).state == "paid"
    assert "附言缺号" in client.get(reverse("book:exceptions") + "?state=resolved").content.decode()


def test_a_malformed_file_is_explained_row_by_row(world, client):
    client.force_login(world.clerk)
    file = SimpleUploadedFile("报告.csv", a_file(f"余额,B1,{day()},{world.firm.uscc},1.005,,"))
    response = post(client, "bank", bank=world.bank.pk, file=file)
    assert response.status_code == 200
    assert "1.005" in response.content.decode()
    assert not BankException.objects.exists()


def test_an_officer_approves_credit_and_an_agent_cannot(world, client):
    centre = party("虚构中心", "centre")
    client.force_login(world.agent)
    assert post(client, "grant", world.firm.pk, amount="1", evidence="x").status_code == 403
    client.force_login(world.officer)
    assert post(client, "grant", world.firm.pk, amount="500.005", evidence="x").status_code == 200
    assert post(client, "grant", world.firm.pk, amount="500", evidence="〔2026〕1号").status_code == 302
    assert helpers.services.balances(world.firm)["limit"] == 500_00
    assert Account.objects.get(party=centre).balance.amount == -500_00


def test_a_downloaded_receipt_proves_itself(world, client):
    client.force_login(world.agent)
    record = world.statement.events.first().record_id
    receipt = json.loads(client.get(reverse("book:receipt", args=[record])).content)
    path = [bytes.fromhex(step) for step in receipt["path"]]
    leaf, root = merkle.leaf_hash(receipt["leaf"].encode()), bytes.fromhex(receipt["root"])
    assert merkle.check_inclusion(leaf, receipt["index"], receipt["size"], path, root)


def test_a_payee_gives_its_invoice_number(world, client):
    client.force_login(world.operator)
    assert client.get(reverse("book:invoice", args=[world.statement.pk])).status_code == 200
    assert post(client, "invoice", world.statement.pk, payee=world.carrier.pk, number="1").status_code == 200
    assert post(client, "invoice", world.statement.pk, payee=world.seller.pk, number="26000001").status_code == 302
    assert "26000001" in client.get(reverse("book:statement", args=[world.statement.pk])).content.decode()


def test_an_exported_line_cannot_run_as_a_formula(world, client):
    world.carrier.name = "=HYPERLINK(1)"
    world.carrier.save()
    client.force_login(world.agent)
    text = client.get(reverse("book:statement_file", args=[world.statement.pk, "csv"])).content.decode("utf-8-sig")
    assert "'=HYPERLINK(1)" in text
    assert "30.00" in text
