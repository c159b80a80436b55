"""Pages and REST of vouchers: everybody sees the fund, a firm its own money, an officer everything; nobody more."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from tests.conftest import People
from tests.policy import money
from tests.policy.money import NOON, SYSTEM, Money, build, submit

from huoshui.base import actions, clock
from huoshui.base.access import Actor
from huoshui.policy.actions import payouts, redemptions
from huoshui.policy.models import Payout, Redemption


@pytest.fixture
def world(db):
    with clock.moved_to(NOON):
        yield build()


@pytest.fixture
def agent(world: Money, people: People) -> Actor:
    return people("agent", f"party:{world.firm.pk}")


def get(client: Client, name: str, *args: Any, status: int = 200) -> str:
    answer = client.get(reverse(f"policy:{name}", args=args), headers={"Accept-Language": "en"})
    assert answer.status_code == status
    return answer.content.decode()


def post(client: Client, name: str, *args: Any, status: int = 302, **body: Any) -> Any:
    answer = client.post(reverse(f"policy:{name}", args=args), body, headers={"Accept-Language": "en"})
    assert answer.status_code == status, answer.content.decode()[:2000]
    return answer


def test_funds_and_public_notice_are_open_to_everybody(world: Money, client: Client) -> None:
    redemption = money.approve(submit(world.voucher(), world.statement()))
    assert "99,000.00" in get(client, "funds")
    assert "示例市〔2026〕1号第二条" in get(client, "fund", world.fund.pk)
    notice = get(client, "public_notice")
    assert world.firm.name in notice
    assert "300.00" in notice
    assert redemption.notice_until.isoformat() in notice
    for name in ("vouchers", "redemptions", "payouts"):
        assert client.get(reverse(f"policy:{name}")).status_code == 302


def test_an_accountant_redeems_a_statement_and_follows_it_to_the_account(
    world: Money, client: Client, agent: Actor, people: People
) -> None:
    voucher, statement = world.voucher(), world.statement()
    client.force_login(agent.user)
    assert voucher.number in get(client, "vouchers")
    assert "300.00" in get(client, "redeem", voucher.pk)
    assert "300.00" in get(client, "redeem_statement", voucher.pk, statement.pk)
    part = client.get(reverse("policy:redeem_amount", args=[voucher.pk, statement.pk]), {"claimed_fen": "500"})
    assert "150.00" in part.content.decode()
    post(client, "redeem_statement", voucher.pk, statement.pk, claimed_fen="1000.01", invoice_1="I1", status=200)
    post(client, "redeem_statement", voucher.pk, statement.pk, claimed_fen="1000", invoice_1="I1")
    redemption = Redemption.objects.get()
    assert "700.00" in get(client, "redemption", redemption.pk)
    assert "300.00" in client.get(reverse("book:statement", args=[statement.pk])).content.decode()
    officer = Client()
    officer.force_login(people("officer").user)
    assert redemption.number in get(officer, "redemptions")
    post(officer, "redemption_approve", redemption.pk, finding_invoice="on")
    redemption.refresh_from_db()
    with money.after_notice(redemption):
        second = Client()
        second.force_login(people("officer").user)
        assert "1" in post(second, "payout_order", status=200).content.decode()
        payout = Payout.objects.get()
        exported = officer.get(reverse("policy:payout_file", args=["csv"])).content.decode("utf-8-sig")
        assert f"{payout.statement.number},{world.authority.name},{world.authority.uscc},{world.firm.name}" in exported
        assert ",300.00," in exported
        money.report(world.bank, payout.statement)
    traced = get(client, "payout", payout.pk)
    for told in (payout.statement.number, redemption.number, statement.number, world.seller.name):
        assert told in traced
    post(officer, "payout_claw_back", payout.pk, amount_fen="100", reason="用途不符")
    assert "用途不符" in get(client, "payout", payout.pk)


def test_a_stranger_sees_nothing_of_another_firm(world: Money, client: Client, people: People) -> None:
    voucher, statement = world.voucher(), world.statement()
    redemption = submit(voucher, statement)
    client.force_login(people("agent", f"party:{world.other.pk}").user)
    for name, args in (
        ("voucher", [voucher.pk]), ("redeem", [voucher.pk]), ("redemption", [redemption.pk]),
        ("redeem_statement", [voucher.pk, statement.pk]),
    ):  # fmt: skip
        get(client, name, *args, status=404)
    assert redemption.number not in get(client, "redemptions")
    for name in ("fund_new", "payout_order"):
        get(client, name, status=403)


def test_every_refusal_on_the_page_names_its_clause(world: Money, client: Client, agent: Actor) -> None:
    stranger = money.helpers.party("示例散户")
    world.statement(sellers={stranger: 10_000})
    client.force_login(agent.user)
    said = get(client, "redeem", world.voucher().pk)
    assert "供应方在名录内" in said
    assert "第四条" in said


def test_an_objection_by_page_and_its_answer(world: Money, client: Client, people: People) -> None:
    redemption = money.approve(submit(world.voucher(), world.statement()))
    client.force_login(people("agent", f"party:{world.other.pk}").user)
    post(client, "redemption_object", redemption.pk, objector=world.other.pk, text="演示")
    redemption.refresh_from_db()
    assert redemption.state == "objected"
    officer = Client()
    officer.force_login(people("officer").user)
    post(officer, "redemption_answer", redemption.pk, upheld="no", text="不成立")
    redemption.refresh_from_db()
    assert redemption.state == "notice"
    later = submit(world.voucher(), world.statement())
    post(officer, "redemption_refuse", later.pk, clause="第四条", text="材料不符")
    later.refresh_from_db()
    assert later.state == "refused"


def test_paper_is_handed_in_and_checked(world: Money, client: Client, agent: Actor, people: People) -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile

    voucher = world.voucher()
    client.force_login(agent.user)
    files = {name: SimpleUploadedFile(f"{name}.pdf", name.encode()) for name in
             ("file_1", "contract_file", "payment_file")}  # fmt: skip
    post(client, "redeem_outside", voucher.pk, seller="甲", seller_uscc=world.seller.uscc, service="compute",
         contract="HT-9", signed_on="2026-03-01", used_from="2026-03-02", used_to="2026-04-01", contract_fen="500",
         settled_fen="400", paid_fen="400", invoice_1="P1", **files)  # fmt: skip
    redemption = Redemption.objects.get()
    officer = Client()
    officer.force_login(people("officer").user)
    assert "HT9" in get(officer, "redemption", redemption.pk)
    post(officer, "redemption_approve", redemption.pk, status=200)
    post(officer, "redemption_approve", redemption.pk, finding_documents="on")
    assert Redemption.objects.get().state == "notice"


def test_a_fund_is_opened_and_kept_by_page(world: Money, client: Client, people: People) -> None:
    officer = people("officer")
    client.force_login(officer.user)
    publication = money.pack("second")
    post(client, "fund_new", authority=world.authority.pk, publication=publication.pk, title="第二", basis="二号",
         year="2026", yearly_fen="1000", used_from="2026-01-01", used_until="2026-12-31", redeem_until="2027-03-31",
         notice_days="3")  # fmt: skip
    made = publication.pk and world.fund.__class__.objects.get(title="第二")
    assert made.yearly_fen == 100_000
    post(client, "fund_amount", made.pk, yearly_fen="2000", basis="三号")
    post(client, "supplier_new", made.pk, party=world.seller.uscc, facility="a", service="compute", source="名录",
         since="2026-01-01")  # fmt: skip
    post(client, "fund_issuing", made.pk, issues="no")
    made.refresh_from_db()
    assert (made.yearly_fen, made.open, made.suppliers.count()) == (200_000, False, 1)
    post(client, "supplier_strike", made.suppliers.get().pk)
    assert made.suppliers.get().until is not None


def test_lists_do_not_ask_the_database_row_by_row(world: Money, client: Client, people: People) -> None:
    client.force_login(people("officer").user)

    def count(name: str) -> int:
        with CaptureQueriesContext(connection) as found:
            get(client, name)
        return len(found)

    for _number in range(2):
        submit(world.voucher(), world.statement(1_000))
    before = {name: count(name) for name in ("vouchers", "redemptions", "public_notice")}
    for _number in range(3):
        money.approve(submit(world.voucher(), world.statement(1_000)))
    for name, queries in before.items():
        assert count(name) <= queries + 1, name


def test_rest_assesses_redeems_and_orders_within_one_s_own_scope(
    world: Money, client: Client, agent: Actor, people: People
) -> None:
    voucher, statement = world.voucher(), world.statement()
    officer = people("officer")

    def call(actor: Actor, address: str, body: Any = None, key: str = "k") -> tuple[int, Any]:
        held = sorted({p for row in actor.user.assignments.all() for p in row.role.permissions})
        secret = actions.issue_token(actor, name="t", permissions=held)["secret"]
        headers = {"Authorization": f"Bearer {secret}", "Idempotency-Key": key, "Accept-Language": "en"}
        way = f"/api/policy/{address}"
        if body is None:
            answer = client.get(way, headers=headers)
        else:
            answer = client.post(way, body, content_type="application/json", headers=headers)
        return answer.status_code, answer.json()

    status, told = call(agent, f"vouchers/{voucher.pk}/assess/?of={statement.pk}")
    assert (status, told["amount_fen"], told["refusal"]) == (200, 30_000, None)
    status, told = call(agent, f"vouchers/{voucher.pk}/assess/?of={statement.pk}&claimed_fen=100001")
    assert (told["amount_fen"], told["refusal"]["code"]) == (0, "paid_less")
    body = {"statement": statement.pk, "invoices": ["R1"]}
    status, made = call(agent, f"vouchers/{voucher.pk}/redemptions/", body)
    assert (status, made["amount_fen"]) == (200, 30_000)
    assert call(agent, f"vouchers/{voucher.pk}/redemptions/", body)[1]["id"] == made["id"]
    stranger = people("agent", f"party:{world.other.pk}")
    assert call(stranger, f"redemptions/{made['id']}/")[0] == 404
    assert call(agent, f"redemptions/{made['id']}/approve/", {}, "a")[0] in (403, 404)
    seen = {"findings": {"invoice": True}}
    assert call(officer, f"redemptions/{made['id']}/approve/", seen, "b")[1]["state"] == "notice"
    status, told = call(officer, f"redemptions/{made['id']}/payout/", {}, "c")
    assert (status, told["code"]) == (409, "notice_runs")
    redemption = Redemption.objects.get()
    with money.after_notice(redemption):
        assert call(officer, f"redemptions/{made['id']}/payout/", {}, "d")[1]["code"] == "second_person"
        assert call(people("officer"), f"redemptions/{made['id']}/payout/", {}, "e")[1]["amount_fen"] == 30_000
    assert call(agent, "payouts/")[1]["items"][0]["redemption"] == made["id"]
    assert call(agent, "funds/")[1][0]["approved_fen"] == 30_000
    assert call(agent, f"vouchers/{voucher.pk}/")[1]["left_fen"] == 70_000


def test_what_waits_for_whom(world: Money, people: People) -> None:
    from huoshui.cases import todo

    officer = people("officer")
    redemption = submit(world.voucher(), world.statement())
    assert any(redemption.number in row.title for row in todo.for_actor(officer))
    money.approve(redemption)
    redemption.refresh_from_db()
    with money.after_notice(redemption):
        assert any(row.url == "/policy/payouts/" for row in todo.for_actor(officer))
        payouts.order(SYSTEM, redemption=redemption)
        assert not any(row.url == "/policy/payouts/" for row in todo.for_actor(officer))
    redemptions.withdraw(SYSTEM, redemption=submit(world.voucher(), world.statement()))
