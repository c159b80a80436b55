"""Applications: one file for many, two officers, refusals with their clause, the account, what follows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from tests.policy import match_world
from tests.policy.match_world import GRANT, NOON, OPEN, SYSTEM, TODAY, World, publish, say, text

from huoshui.base import clock
from huoshui.base.errors import Conflict, Forbidden, Invalid, Refused
from huoshui.base.models import LogRecord
from huoshui.book import services
from huoshui.cases import todo
from huoshui.cases.files import Upload
from huoshui.policy import matching, needs, queries
from huoshui.policy.actions import applications as actions
from huoshui.policy.actions import funds
from huoshui.policy.actions.applications import Handed, Wish
from huoshui.policy.models import Application, FiledMaterial, Filing, Payout, Voucher
from huoshui.registry.models import Consent, Decision, Publication

pytestmark = pytest.mark.django_db
ACCOUNT = {"bank_name": "示例银行高新支行", "account_number": "6222 0000 1111 2222"}
MANUAL = {"field": True}


@pytest.fixture
def world(people: Any) -> Iterator[World]:
    with clock.moved_to(NOON):
        made = match_world.build(people)
        say(made.firm, "ip.class2", 4)
        yield made


@pytest.fixture
def enter(client: Client) -> Callable[[Any], Client]:
    def sign_in(actor: Any) -> Client:
        client.force_login(actor.user)
        return client

    return sign_in


def papers(world: World, *names: str) -> tuple[Handed, ...]:
    """A file for every document that is asked for."""
    found = matching.match(world.firm, TODAY)
    wanted = needs.of(found, [found.shelf.pack(name) for name in names])
    return tuple(Handed(need.key, Upload("文件.pdf", need.title.encode())) for need in wanted if need.asked)


def apply(world: World, *names: str, actor: Any = None, planned: int | None = None) -> list[Application]:
    wishes = tuple(Wish(name, planned if name == "voucher" else None) for name in names)
    filing = actions.apply(
        actor or world.agent, party=world.firm, wishes=wishes, handed=papers(world, *names), consent=True
    )
    return list(filing.applications.order_by("id"))


def approved(world: World, name: str, **named: Any) -> Application:
    (application,) = apply(world, name, **named)
    actions.check(world.officer, application=application, findings=MANUAL if name == "grant" else {})
    return actions.approve(world.second, application=application)


def open_fund(world: World, name: str, yearly_fen: int = 10**9) -> None:
    funds.open_fund(
        SYSTEM, authority=world.centre, publication=Publication.objects.get(identifier=name), yearly_fen=yearly_fen,
        year=2026, title="示例资金", basis="示例办法第二条", used_from=date(2026, 1, 1), used_until=date(2026, 12, 31),
        redeem_until=date(2026, 12, 31), notice_days=5,
    )  # fmt: skip


# --- applying ---------------------------------------------------------------------------------------------------------


def test_one_file_carries_many_applications_and_each_document_once(world: World) -> None:
    wanted = needs.of(matching.match(world.firm, TODAY), list(matching.shelf(TODAY).library.packs.values()))
    assert [(need.title, need.state, len(need.packs)) for need in wanted] == [
        ("审计报告", "asked", 2), ("营业执照", "kept", 2),
    ]  # fmt: skip
    grant, scored = apply(world, "grant", "scored")
    assert grant.filing == scored.filing
    assert FiledMaterial.objects.count() == 1
    consent = Consent.objects.get(party=world.firm)
    assert consent.recipient == world.centre
    assert {"rd", "revenue", "abnormal", "ip.class2"} <= set(consent.codes)
    assert (grant.amount_fen, scored.amount_fen) == (400_000, None)
    assert grant.decision.digests == [grant.publication.digest]
    assert grant.case is not None
    assert grant.case.kind == "policy.application"
    later = needs.of(matching.match(world.firm, TODAY), [matching.shelf(TODAY).pack("grant")])
    assert {need.state for need in later} == {"kept", "filed"}, "what was handed in is not asked for again"


@pytest.mark.parametrize(
    ("names", "change", "code"),
    [
        (["draft"], ("premises.fixed", True, None), "draft"),
        (["open"], None, "unknown"),
        (["open"], ("premises.fixed", False, None), "not_met"),
        (["grant"], ("rd", 1_000_000, 2025), "not_met"),
    ],
)
def test_only_what_is_met_can_be_applied_for_and_the_clause_is_cited(
    world: World, names: list[str], change: Any, code: str
) -> None:
    if change:
        say(world.firm, *change)
    with pytest.raises(Refused) as refused:
        apply(world, *names)
    assert refused.value.code == code
    if code == "not_met":
        assert refused.value.params["clause"] in ("第一条", "第三条")
        assert refused.value.params["clause"] in refused.value.message
    assert not Filing.objects.exists()


def test_nothing_is_half_applied_for(world: World) -> None:
    with pytest.raises(Refused):
        apply(world, "grant", "open")
    assert (Application.objects.count(), Filing.objects.count(), Consent.objects.count()) == (0, 0, 0)
    assert not Decision.objects.exists()


def test_consent_documents_and_the_planned_contract_must_be_there(world: World) -> None:
    wishes = (Wish("grant"),)
    with pytest.raises(Invalid, match="consent"):
        actions.apply(world.agent, party=world.firm, wishes=wishes, handed=papers(world, "grant"))
    with pytest.raises(Invalid, match="审计报告"):
        actions.apply(world.agent, party=world.firm, wishes=wishes, consent=True)
    with pytest.raises(Invalid, match="planned_voucher"):
        apply(world, "voucher")
    with pytest.raises(Invalid, match="materials"):
        actions.apply(
            world.agent, party=world.firm, wishes=wishes, consent=True,
            handed=(*papers(world, "grant"), Handed("m000", Upload("x.pdf", b"x"))),
        )  # fmt: skip


def test_the_same_benefit_is_not_applied_for_twice_nor_out_of_its_window(world: World) -> None:
    apply(world, "scored")
    with pytest.raises(Conflict):
        apply(world, "scored")
    window = "  windows: [{from: 2026-01-01, to: 2026-05-31, text: 集中申报}]\n"
    publish(text("windowed", OPEN + window))
    say(world.firm, "premises.fixed", True)
    with pytest.raises(Refused) as refused:
        apply(world, "windowed")
    assert refused.value.code == "closed"


def test_what_was_given_this_year_is_not_given_again(world: World) -> None:
    approved(world, "scored")
    with pytest.raises(Conflict) as refused:
        apply(world, "scored")
    assert refused.value.code == "had"


def test_repeating_a_filing_under_its_key_repeats_nothing(world: World) -> None:
    named: dict[str, Any] = {
        "party": world.firm, "wishes": (Wish("grant"),), "handed": papers(world, "grant"), "consent": True,
    }  # fmt: skip
    assert actions.apply(world.agent, key="k", **named) == actions.apply(world.agent, key="k", **named)
    assert Application.objects.count() == 1


def test_an_agent_applies_for_its_own_party_only(world: World) -> None:
    with pytest.raises(Forbidden):
        apply(world, "grant", actor=world.stranger)
    (application,) = apply(world, "grant")
    for act in (actions.withdraw, actions.check, actions.approve):
        with pytest.raises(Forbidden):
            act(world.stranger, application=application, **({"findings": MANUAL} if act is actions.check else {}))
    assert not queries.applications(world.stranger).exists()
    assert queries.applications(world.agent).count() == 1


# --- reviewing --------------------------------------------------------------------------------------------------------


def test_two_officers_look_and_what_a_person_judges_is_said(world: World) -> None:
    (application,) = apply(world, "grant")
    with pytest.raises(Refused) as refused:
        actions.approve(world.second, application=application)
    assert refused.value.code == "unchecked"
    with pytest.raises(Invalid, match="field"):
        actions.check(world.officer, application=application, findings={})
    with pytest.raises(Refused, match="重点领域"):
        actions.check(world.officer, application=application, findings={"field": False})
    actions.check(world.officer, application=application, findings=MANUAL)
    with pytest.raises(Refused) as refused:
        actions.approve(world.officer, application=application)
    assert refused.value.code == "second_person"
    done = actions.approve(world.second, application=application)
    assert (done.state, done.decided_by) == ("approved", world.second.principal)
    assert done.case is not None
    assert done.case.status == "closed"
    judged = Decision.objects.get(kind="policy.review")
    assert judged.trace["findings"] == MANUAL
    assert matching.replay(judged).same


def test_the_database_itself_wants_two_persons(world: World) -> None:
    (application,) = apply(world, "grant")
    with pytest.raises(IntegrityError), transaction.atomic():
        Application.objects.filter(pk=application.pk).update(checked_by="user:1", decided_by="user:1")


def test_nobody_is_approved_on_facts_that_have_changed_since(world: World) -> None:
    (application,) = apply(world, "grant")
    actions.check(world.officer, application=application, findings=MANUAL)
    say(world.firm, "abnormal", True)
    with pytest.raises(Refused) as refused:
        actions.approve(world.second, application=application)
    assert refused.value.params["criterion"] == "clean"
    assert refused.value.params["clause"] == "第四条"
    application.refresh_from_db()
    assert application.state == "submitted"


def test_the_amount_is_that_of_the_day_of_approval(world: World) -> None:
    (application,) = apply(world, "grant")
    actions.check(world.officer, application=application, findings=MANUAL)
    say(world.firm, "rd", 3_500_000, 2025, "tax")
    assert application.amount_fen == 400_000
    assert actions.approve(world.second, application=application).amount_fen == 350_000
    application.refresh_from_db()
    assert application.amount_fen == 350_000


def test_nobody_is_approved_on_what_nobody_has_looked_at(world: World) -> None:
    (application,) = apply(world, "grant")
    actions.check(world.officer, application=application, findings=MANUAL)
    visit = """    - {id: visit, title: 实地核查, kind: manual, clause: 第七条, quote: 须经核查,
       test: {op: manual, question: 实地核查是否通过？}}
"""
    publish(text("grant", GRANT.replace("  benefit:", visit + "  benefit:", 1), since=TODAY.isoformat()))
    with pytest.raises(Refused) as refused:
        actions.approve(world.second, application=application)
    assert (refused.value.code, refused.value.params["criterion"]) == ("unchecked", "visit")


def test_an_application_under_rules_no_longer_in_force_is_refused_with_their_clause(world: World) -> None:
    publish(text("short", OPEN, more="effective_to: 2026-06-15\n"))
    say(world.firm, "premises.fixed", True)
    (application,) = apply(world, "short")
    with clock.moved_to(NOON + timedelta(days=30)):
        with pytest.raises(Refused) as refused:
            actions.check(world.officer, application=application, findings={})
        assert refused.value.code == "not_in_force"
        done = actions.refuse(world.officer, application=application, criterion="premises", text="政策已到期")
    assert done.state == "refused"


def test_every_document_is_looked_at_not_only_the_first_five(world: World) -> None:
    (paper,) = papers(world, "grant")
    bad = Handed(paper.material, Upload("x.exe", b"MZ"))
    with pytest.raises(Invalid):
        actions.apply(
            world.agent, party=world.firm, wishes=(Wish("grant"),), handed=(*[paper] * 5, bad), consent=True
        )


def test_a_refusal_cites_clause_and_quote_and_closes_the_case(world: World, enter: Any) -> None:
    (application,) = apply(world, "grant")
    with pytest.raises(Invalid, match="criterion"):
        actions.refuse(world.officer, application=application, criterion="nonsense", text="不符")
    with pytest.raises(Invalid, match="text"):
        actions.refuse(world.officer, application=application, criterion="field", text=" ")
    actions.refuse(world.officer, application=application, criterion="field", text="产品不属于重点领域")
    event = application.events.get(kind="refused")
    assert event.content == {"criterion": "field", "clause": "第五条", "quote": "属于本市重点发展领域"}
    shown = enter(world.agent).get(reverse("policy:application", args=[application.pk])).content.decode()
    assert "第五条" in shown
    assert "产品不属于重点领域" in shown
    assert "产品不属于重点领域" not in "".join(LogRecord.objects.values_list("payload", flat=True))
    application.refresh_from_db()
    assert application.case is not None
    assert application.case.status == "closed"


def test_who_checked_may_refuse_still(world: World) -> None:
    (application,) = apply(world, "grant")
    actions.check(world.officer, application=application, findings=MANUAL)
    assert actions.refuse(world.officer, application=application, criterion="rd", text="核实不符").state == "refused"


def test_withdrawing_ends_the_application_and_its_case(world: World) -> None:
    (application,) = apply(world, "scored")
    done = actions.withdraw(world.agent, application=application)
    assert done.case is not None
    assert (done.state, done.case.status) == ("withdrawn", "closed")
    with pytest.raises(Conflict):
        actions.check(world.officer, application=application, findings={})
    apply(world, "scored")


def test_what_waits_for_whom(world: World) -> None:
    (application,) = apply(world, "grant")
    assert any("grant" in item.title for item in todo.for_actor(world.officer))
    actions.check(world.officer, application=application, findings=MANUAL)
    waiting = [item for item in todo.for_actor(world.officer) if item.url.startswith("/policy/applications/")]
    assert waiting == [], "the checker has done their part"
    assert any("grant" in item.title for item in todo.for_actor(world.second))
    actions.approve(world.second, application=application)
    assert any(item.kind == "申请" and item.weight == 3 for item in todo.for_actor(world.agent))


# --- what it brings ---------------------------------------------------------------------------------------------------


def test_an_approved_voucher_is_issued_for_what_the_contract_would_be_reimbursed(world: World) -> None:
    open_fund(world, "voucher")
    application = approved(world, "voucher", planned=200_000)
    voucher = Voucher.objects.get(application=application)
    assert (application.amount_fen, voucher.amount_fen) == (60_000, 60_000)
    assert services.balance(world.centre, "held", subject=voucher.label) == 60_000


def test_a_voucher_without_a_fund_is_not_approved_and_nothing_stays(world: World) -> None:
    (application,) = apply(world, "voucher", planned=200_000)
    actions.check(world.officer, application=application, findings={})
    with pytest.raises(Refused) as refused:
        actions.approve(world.second, application=application)
    assert refused.value.code == "no_fund"
    application.refresh_from_db()
    assert application.state == "submitted"


def test_a_grant_is_ordered_once_the_account_is_confirmed(world: World) -> None:
    open_fund(world, "grant")
    application = approved(world, "grant")
    assert not Payout.objects.exists()
    actions.confirm_account(world.agent, application=application, **ACCOUNT)
    payout = Payout.objects.get(application=application)
    assert (payout.amount_fen, payout.account_number) == (400_000, "6222000011112222")
    with pytest.raises(Conflict):
        actions.confirm_account(world.agent, application=application, **ACCOUNT)
    assert Payout.objects.count() == 1


@pytest.mark.parametrize("number", ["", "123", "abcdefghij", "1" * 40, "62220000１111222２"])
def test_an_account_is_digits_and_stays_out_of_the_log(world: World, number: str) -> None:
    (application,) = apply(world, "grant")
    with pytest.raises(Invalid):
        actions.confirm_account(world.agent, application=application, bank_name="示例银行", account_number=number)
    actions.confirm_account(world.agent, key="a", application=application, **ACCOUNT)
    told = "".join(LogRecord.objects.values_list("payload", flat=True))
    assert "6222000011112222" not in told
    assert "高新支行" not in told


# --- pages and routes -------------------------------------------------------------------------------------------------


def test_the_page_walks_from_the_match_to_the_filing(world: World, enter: Any) -> None:
    client = enter(world.agent)
    url = reverse("policy:apply", args=[world.firm.pk]) + "?pack=grant&pack=scored&pack=draft-or-nonsense"
    shown = client.get(url)
    (field,) = [name for name in shown.context["form"].fields if name.startswith("file_")]
    missing = client.post(url, {"consent": "on"})
    assert missing.status_code == 200
    assert not Filing.objects.exists()
    done = client.post(url, {"consent": "on", field: SimpleUploadedFile("报告.pdf", b"report"), "idempotency_key": "f"})
    filing = Filing.objects.get()
    assert done.url == f"{reverse('policy:applications')}?filing={filing.pk}"
    assert client.get(done.url).content.decode().count("示例grant") == 1
    material = filing.materials.get()
    assert client.get(reverse("policy:material", args=[material.pk])).content == b"report"
    for strange in (world.stranger,):
        other = enter(strange)
        assert other.get(reverse("policy:material", args=[material.pk])).status_code == 404
        assert other.get(reverse("policy:application", args=[filing.applications.first().pk])).status_code == 404


def test_officers_work_through_the_pages(world: World, enter: Any) -> None:
    (application,) = apply(world, "grant")
    client = enter(world.officer)
    assert "示例grant" in client.get(reverse("policy:applications") + "?show=mine").content.decode()
    shown = client.get(reverse("policy:application", args=[application.pk])).content.decode()
    assert "属于本市重点发展领域" in shown
    url = reverse("policy:application_check", args=[application.pk])
    assert client.post(url, {"met_field": "no"}).status_code == 200
    assert client.post(url, {"met_field": "yes"}).status_code == 302
    client = enter(world.second)
    assert client.post(reverse("policy:application_approve", args=[application.pk])).status_code == 302
    application.refresh_from_db()
    assert application.state == "approved"
    client = enter(world.agent)
    url = reverse("policy:application_account", args=[application.pk])
    assert client.post(url, ACCOUNT | {"account_number": "12"}).status_code == 200


def test_list_and_page_of_an_application_take_few_queries(
    world: World, enter: Any, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    (application,) = apply(world, "grant")
    client = enter(world.officer)
    for name, args, most in (("applications", [], 12), ("application", [application.pk], 26)):
        client.get(reverse(f"policy:{name}", args=args))
        with django_assert_max_num_queries(most):
            assert client.get(reverse(f"policy:{name}", args=args)).status_code == 200


def test_the_api_applies_reviews_and_replays(world: World, enter: Any) -> None:
    numbers = iter(range(100))

    def post(actor: Any, path: str, body: dict[str, Any] | None = None) -> Any:
        client = enter(actor)
        headers = {"Idempotency-Key": f"k{next(numbers)}", "X-CSRFToken": "x"}
        return client.post(f"/api/policy/{path}", body or {}, content_type="application/json", headers=headers)

    (need,) = [row for row in enter(world.agent).get(
        f"/api/policy/parties/{world.firm.pk}/needs/?pack=grant").json() if row["state"] == "asked"]  # fmt: skip
    body = {
        "applications": [{"pack": "grant"}], "consent": True,
        "documents": [{"material": need["key"], "name": "报告.pdf", "content": "cmVwb3J0"}],
    }  # fmt: skip
    filing = post(world.agent, f"parties/{world.firm.pk}/applications/", body)
    assert filing.status_code == 200, filing.content
    (made,) = filing.json()["applications"]
    assert post(world.stranger, f"parties/{world.firm.pk}/applications/", body).status_code == 404
    assert post(world.officer, f"applications/{made['id']}/check/", {"findings": MANUAL}).json()["checked_at"]
    assert post(world.second, f"applications/{made['id']}/approve/").json()["state"] == "approved"
    kept = post(world.agent, f"applications/{made['id']}/account/", ACCOUNT)
    assert kept.status_code == 200, "without a fund the account is kept, and the grant waits"
    assert not Payout.objects.exists()
    replayed = enter(world.agent).get(f"/api/policy/decisions/{made['decision']}/replay/").json()
    assert (replayed["same"], replayed["verdict"]) == (True, "manual")


def test_another_year_is_another_benefit(world: World) -> None:
    approved(world, "scored")
    with clock.moved_to(NOON + timedelta(days=365)):
        say(world.firm, "staff", 20, 2026)
        say(world.firm, "staff.rd", 4, 2026)
        found = matching.match(world.firm, clock.today())
        wanted = needs.of(found, [found.shelf.pack("scored")])
        assert [need.state for need in wanted] == ["filed", "kept"] or wanted[0].asked
        handed = tuple(Handed(need.key, Upload("x.pdf", b"x")) for need in wanted if need.asked)
        actions.apply(world.agent, party=world.firm, wishes=(Wish("scored"),), handed=handed, consent=True)
    assert Application.objects.filter(pack="scored").count() == 2
