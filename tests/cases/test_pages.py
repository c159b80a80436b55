"""The pages and routes of cases: each role its own, forms that say what is wrong, lists with few queries."""

import json
from datetime import date
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from tests.cases.conftest import Does

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.cases import actions
from huoshui.cases.models import Attachment, Case
from huoshui.cases.words import COMMANDS
from huoshui.registry.models import Party, Publication

pytestmark = pytest.mark.django_db
LIST_QUERIES_MAX = 12
CASE_QUERIES_MAX = 25


def signed_in(actor: Actor) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(actor.user)
    return client


def test_an_agent_opens_a_case_with_a_file_and_reads_it(agent: Actor, firm: Party) -> None:
    client = signed_in(agent)
    assert client.get("/cases/new/service.question/").status_code == 200
    content = {
        "party": firm.pk, "title": "如何开票", "body": "第一行\n<b>第二行</b>", "idempotency_key": "form/1",
        "uploads": [SimpleUploadedFile("合同.pdf", b"%PDF"), SimpleUploadedFile("清单.csv", b"a,b")],
    }
    answer = client.post("/cases/new/service.question/", content)
    assert answer.status_code == 302, answer.content.decode()
    page = client.get(answer["Location"]).content.decode()
    assert "如何开票" in page
    assert "&lt;b&gt;" in page
    assert "合同.pdf" in page
    file = Attachment.objects.get(name="合同.pdf")
    download = client.get(f"/cases/files/{file.pk}/")
    assert (download.content, "attachment" in download["Content-Disposition"]) == (b"%PDF", True)
    assert "如何开票" in client.get("/cases/?text=开票&status=running").content.decode()


def test_a_form_says_what_is_wrong(agent: Actor, firm: Party, other_firm: Party) -> None:
    client = signed_in(agent)
    for content in ({"party": firm.pk, "title": ""}, {"party": other_firm.pk, "title": "x"}):
        answer = client.post("/cases/new/service.question/", content)
        assert answer.status_code == 200
        assert "Not saved" in answer.content.decode()
    exe = {"party": firm.pk, "title": "x", "uploads": [SimpleUploadedFile("x.exe", b"MZ")]}
    assert "one of these kinds" in client.post("/cases/new/service.question/", exe).content.decode()
    assert not Case.objects.exists()


def test_among_many_parties_one_is_named_by_its_code(officer: Actor) -> None:
    Party.objects.bulk_create(Party(name=f"示例企业{number}") for number in range(101))
    client = signed_in(officer)
    answer = client.post("/cases/new/service.question/", {"party": "示例企业7", "title": "x"})
    assert answer.status_code == 302
    assert Case.objects.get().party.name == "示例企业7"
    assert client.post("/cases/new/service.question/", {"party": "示例企业", "title": "x"}).status_code == 200


def test_every_event_has_a_form_and_only_possible_ones_are_offered(case: Case, officer: Actor) -> None:
    client = signed_in(officer)
    for kind in COMMANDS:
        assert client.get(f"/cases/{case.pk}/{kind}/").status_code == 200, kind
    page = client.get(f"/cases/{case.pk}/").content.decode()
    assert f"/cases/{case.pk}/accepted/" in page
    assert f"/cases/{case.pk}/resolved/" not in page
    assert client.get(f"/cases/{case.pk}/escalated/").status_code == 404
    assert client.get(f"/cases/{case.pk}/nonsense/").status_code == 404


def test_a_case_runs_through_its_forms(case: Case, officer: Actor, agent: Actor, bureau: Party) -> None:
    centre, applicant = signed_in(officer), signed_in(agent)
    steps = [
        (centre, "assigned", {"assignee": officer.user.pk}), (centre, "accepted", {}),
        (centre, "copied", {"copied_to": bureau.pk}), (centre, "paused", {"text": "请补充"}),
        (applicant, "resumed", {"text": "补充"}), (centre, "resolved", {"text": "已答复"}),
        (applicant, "called_back", {"satisfied": "no", "text": "没有答复所问"}),
        (centre, "resolved", {"text": "再答复"}), (applicant, "called_back", {"satisfied": "yes"}),
    ]
    for client, event, content in steps:
        answer = client.post(f"/cases/{case.pk}/{event}/", content)
        assert answer.status_code == 302, (event, answer.content.decode())
    case.refresh_from_db()
    assert case.status == "closed"
    late = centre.post(f"/cases/{case.pk}/resolved/", {"text": "x"})
    assert "is not possible while the case is" in late.content.decode()


def test_someone_elses_case_looks_like_none(case: Case, people: Any, other_firm: Party) -> None:
    client = signed_in(people("agent", f"party:{other_firm.pk}"))
    assert client.get(f"/cases/{case.pk}/").status_code == 404
    assert client.post(f"/cases/{case.pk}/commented/", {"text": "x"}).status_code == 404
    assert case.title not in client.get("/cases/").content.decode()
    assert signed_in(people.nobody()).get("/cases/").status_code == 403
    assert Client().get("/cases/").status_code == 302


def test_the_auditor_reads_and_is_offered_nothing(case: Case, people: Any) -> None:
    client = signed_in(people("auditor"))
    page = client.get(f"/cases/{case.pk}/")
    assert page.status_code == 200
    assert f"/cases/{case.pk}/commented/" not in page.content.decode()
    assert client.post(f"/cases/{case.pk}/commented/", {"text": "x"}).status_code == 403


def test_my_to_do_is_for_everyone(case: Case, officer: Actor, people: Any) -> None:
    assert case.title in signed_in(officer).get("/cases/to-do/").content.decode()
    assert "Nothing waits for you" in signed_in(people.nobody()).get("/cases/to-do/").content.decode()


def test_lists_and_pages_take_few_queries_however_many_rows(
    case: Case, does: Does, officer: Actor, firm: Party, django_assert_max_num_queries: Any
) -> None:
    for number in range(60):
        actions.open_case(officer, kind="service.question", party=firm, title=f"问题{number}")
    for number in range(20):
        does(officer, "commented", text=f"意见{number}")
    client = signed_in(officer)
    with django_assert_max_num_queries(LIST_QUERIES_MAX):
        assert client.get("/cases/").status_code == 200
    with django_assert_max_num_queries(CASE_QUERIES_MAX):
        assert client.get(f"/cases/{case.pk}/").status_code == 200


class TestApi:
    def post(self, client: Client, path: str, content: dict[str, Any], key: str) -> Any:
        return client.post(
            f"/api/cases{path}", json.dumps(content), content_type="application/json",
            headers={"Idempotency-Key": key},
        )

    def test_a_case_is_opened_and_answered(self, agent: Actor, officer: Actor, firm: Party) -> None:
        applicant, centre = signed_in(agent), signed_in(officer)
        assert applicant.get("/api/cases/types/").json()[0]["legal_days"] == 5
        content = {"kind": "service.question", "party": firm.pk, "title": "如何开票"}
        opened = self.post(applicant, "/", content, "k1")
        assert opened.status_code == 200, opened.content
        assert self.post(applicant, "/", content, "k1").json() == opened.json()
        path = f"/{opened.json()['id']}/events/"
        assert self.post(applicant, path, {"event": "accepted"}, "k2").status_code == 403
        assert self.post(centre, path, {"event": "accepted"}, "k3").json()["kind"] == "accepted"
        assert self.post(centre, path, {"event": "commented", "text": "内部", "shared": False}, "k4").status_code == 200
        detail = applicant.get(f"/api/cases/{opened.json()['id']}/").json()
        assert [event["kind"] for event in detail["events"]] == ["opened", "accepted"]
        assert (detail["clock"]["state"], detail["status"]) == ("ok", "accepted")
        assert set(detail["possible"]) == {"withdrawn", "commented"}
        assert [row["id"] for row in centre.get("/api/cases/?mine=true").json()["items"]] == [opened.json()["id"]]

    def test_refusals_say_why(self, case: Case, agent: Actor, officer: Actor, other_firm: Party) -> None:
        applicant, centre = signed_in(agent), signed_in(officer)
        wrong = {"kind": "service.question", "party": other_firm.pk, "title": "x"}
        assert self.post(applicant, "/", wrong, "k1").status_code == 404
        assert self.post(applicant, "/", wrong | {"kind": "no.such"}, "k2").status_code == 404
        early = self.post(centre, f"/{case.pk}/events/", {"event": "resolved", "text": "x"}, "k3")
        assert (early.status_code, early.json()["code"]) == (409, "wrong_status")
        nobody = self.post(centre, f"/{case.pk}/events/", {"event": "assigned", "assignee": 10**9}, "k4")
        assert (nobody.status_code, nobody.json()["problems"][0]["field"]) == (422, "assignee")

    def test_the_to_do_is_the_same(self, case: Case, officer: Actor) -> None:
        items = signed_in(officer).get("/api/cases/to-do/").json()
        assert [item["url"] for item in items] == [f"/cases/{case.pk}/"]




def test_the_entity_page_shows_its_cases_deadlines_and_events(case: Case, agent: Actor, firm: Party) -> None:
    page = signed_in(agent).get(f"/registry/parties/{firm.pk}/")
    assert page.status_code == 200
    assert page.content.decode().count(case.title) >= 3


def test_a_draft_waits_for_a_second_person(officer: Actor, colleague: Actor) -> None:
    draft = Publication.objects.create(
        kind="calendar", identifier="t", title="示例工作日历", text="", digest="0" * 64,
        effective_from=date(2026, 1, 1),
        submitted_by=officer.principal, submitted_at=clock.now(),
    )
    assert draft.title not in signed_in(officer).get("/cases/to-do/").content.decode()
    assert draft.title in signed_in(colleague).get("/cases/to-do/").content.decode()
