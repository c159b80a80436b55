"""What people can do to a case, what they cannot, and what is written when they do."""

from typing import Any

import pytest
from django.db import DatabaseError, transaction
from tests.cases.conftest import Does

from huoshui.base import clock, log
from huoshui.base.access import Actor, system
from huoshui.base.errors import Conflict, Forbidden, Invalid, Missing, Refused
from huoshui.base.models import LogRecord
from huoshui.cases import actions, files, queries, tasks, todo
from huoshui.cases.files import Upload
from huoshui.cases.models import Attachment, Case, CaseEvent
from huoshui.cases.types import CaseType, register
from huoshui.registry.models import Party

pytestmark = pytest.mark.django_db


def test_an_agent_opens_a_case_for_the_own_party_only(agent: Actor, firm: Party, other_firm: Party) -> None:
    case = actions.open_case(agent, kind="service.question", party=firm, title=" 如何开票 ")
    assert (case.title, case.status, case.legal_due is None) == ("如何开票", "open", False)
    with pytest.raises(Forbidden):
        actions.open_case(agent, kind="service.question", party=other_firm, title="如何开票")
    with pytest.raises(Missing):
        actions.open_case(agent, kind="no.such", party=firm, title="如何开票")
    with pytest.raises(Invalid):
        actions.open_case(agent, kind="service.question", party=firm, title="  ")
    assert Case.objects.count() == 1


def test_the_same_key_opens_one_case(agent: Actor, firm: Party) -> None:
    named = {"kind": "service.question", "party": firm, "title": "如何开票"}
    assert actions.open_case(agent, key="k", **named) == actions.open_case(agent, key="k", **named)
    with pytest.raises(Conflict):
        actions.open_case(agent, key="k", **{**named, "title": "如何退款"})
    assert CaseEvent.objects.count() == 1


def test_a_case_goes_from_question_to_satisfied_answer(
    case: Case, does: Does, agent: Actor, officer: Actor, colleague: Actor
) -> None:
    does(colleague, "assigned", assignee=officer.user)
    assert case.handler == officer.user
    does(officer, "accepted")
    does(officer, "paused", text="请补充合同编号")
    assert (case.status, case.legal_due) == ("paused", None)
    does(agent, "resumed", text="合同编号 示例-001")
    assert case.legal_due is not None
    does(officer, "resolved", text="已答复")
    does(agent, "called_back", satisfied=True)
    assert case.status == "closed"
    kinds = [event.kind for event in case.events.all()]
    assert kinds == ["opened", "assigned", "accepted", "paused", "resumed", "resolved", "called_back", "closed"]
    assert log.replay() == []


def test_an_unsatisfied_call_back_reopens_the_case(case: Case, does: Does, officer: Actor, colleague: Actor) -> None:
    does(officer, "accepted")
    does(officer, "resolved", text="已答复")
    does(colleague, "called_back", satisfied=False, text="没有答复所问")
    assert case.status == "accepted"
    assert case.events.last().kind == "reopened"
    assert queries.clock_of(case).days_used == 0


def test_the_handler_neither_calls_back_nor_extends(case: Case, does: Does, officer: Actor, colleague: Actor) -> None:
    does(officer, "accepted")
    with pytest.raises(Refused) as refused:
        does(officer, "extended", days=2, text="还需核对")
    assert refused.value.code == "second_person"
    does(colleague, "extended", days=2, text="还需核对")
    with pytest.raises(Refused) as refused:
        does(colleague, "extended", days=2, text="还需核对")
    assert refused.value.code == "extension_used"
    does(officer, "resolved", text="已答复")
    with pytest.raises(Refused) as refused:
        does(officer, "called_back", satisfied=True)
    assert refused.value.code == "second_person"


def test_an_extension_comes_before_the_deadline_and_within_its_limit(
    case: Case, does: Does, officer: Actor, colleague: Actor, moved_clock: Any
) -> None:
    does(officer, "accepted")
    with pytest.raises(Invalid, match="days"):
        does(colleague, "extended", days=6, text="还需核对")
    with moved_clock("2099-01-05 10:00"), pytest.raises(Refused) as refused:
        does(colleague, "extended", days=2, text="还需核对")
    assert refused.value.code == "past_deadline"


def test_what_an_event_needs_must_be_given(case: Case, does: Does, officer: Actor, agent: Actor) -> None:
    for event, field in (("assigned", "assignee"), ("supervised", "text"), ("copied", "copied_to")):
        with pytest.raises(Invalid) as invalid:
            does(officer, event)
        assert invalid.value.problems[0].field == field
    with pytest.raises(Invalid, match="assignee"):
        does(officer, "assigned", assignee=agent.user)
    with pytest.raises(Invalid, match="event"):
        does(officer, "opened")


@pytest.mark.parametrize("event", ["assigned", "accepted", "supervised", "copied", "extended", "escalated", "replied"])
def test_the_applicant_cannot_do_the_centres_part(case: Case, does: Does, agent: Actor, event: str) -> None:
    with pytest.raises(Forbidden):
        does(agent, event, text="x")
    assert case.events.count() == 1


def test_nobody_else_can_do_anything(case: Case, people: Any, other_firm: Party) -> None:
    for actor in (people("agent", f"party:{other_firm.pk}"), people("auditor"), people.nobody()):
        assert queries.possible_events(actor, case) == []
        with pytest.raises(Forbidden):
            actions.add_event(actor, case=case, event="commented", text="x")


def test_only_a_supervisor_closes_without_a_call_back(case: Case, does: Does, people: Any) -> None:
    handler = people.holding("cases.read", "cases.handle")
    does(handler, "accepted")
    does(handler, "resolved", text="已答复")
    with pytest.raises(Refused) as refused:
        does(handler, "closed")
    assert refused.value.code == "call_back_first"
    does(people("officer"), "closed", text="三次电话无人接听")
    assert case.status == "closed"


def test_what_is_possible_is_what_the_action_accepts(case: Case, does: Does, officer: Actor, agent: Actor) -> None:
    does(officer, "accepted")
    for actor in (officer, agent):
        possible = queries.possible_events(actor, case)
        for kind in actions.machine.RULES:
            hindered = actions.hindrance(actor, case, [event.pure for event in case.events.all()], kind)
            assert (kind in possible) == (hindered == "")
    assert set(queries.possible_events(agent, case)) == {"withdrawn", "commented"}


def test_the_applicant_sees_no_internal_event(
    case: Case, does: Does, officer: Actor, agent: Actor, people: Any, bureau: Party
) -> None:
    does(officer, "commented", text="内部意见", shared=False)
    does(officer, "supervised", text="请尽快")
    does(officer, "copied", copied_to=bureau)
    does(agent, "commented", text="补充说明", shared=False)  # an applicant hides nothing
    assert [event.kind for event in queries.events(agent, case)] == ["opened", "commented"]
    assert len(queries.events(people("auditor"), case)) == 5
    assert case.supervised


def test_a_case_is_seen_by_its_party_its_copies_and_the_centre(
    case: Case, does: Does, officer: Actor, agent: Actor, people: Any, bureau: Party, other_firm: Party
) -> None:
    clerk = people("agent", f"party:{bureau.pk}")
    stranger = people("agent", f"party:{other_firm.pk}")
    assert not queries.cases(clerk).exists()
    does(officer, "copied", copied_to=bureau)
    for actor in (clerk, agent, officer, people("auditor")):
        assert queries.case(actor, case.pk) == case
    assert queries.possible_events(clerk, case) == []
    with pytest.raises(Missing):
        queries.case(stranger, case.pk)


def test_the_log_holds_no_word_that_somebody_wrote(case: Case, does: Does, officer: Actor) -> None:
    does(officer, "accepted")
    does(officer, "replied", text="张某某 13800000000")
    assert not LogRecord.objects.filter(payload__contains="13800000000").exists()
    assert not LogRecord.objects.filter(payload__contains="额度何时生效").exists()
    assert CaseEvent.objects.filter(case=case, record__isnull=False).count() == 3


def test_events_cannot_be_changed_or_deleted(case: Case) -> None:
    for change in (lambda: CaseEvent.objects.update(text="x"), lambda: CaseEvent.objects.all()._raw_delete("default")):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            change()


def test_what_a_case_caches_is_rebuilt_from_its_events(case: Case, does: Does, officer: Actor) -> None:
    does(officer, "accepted")
    cached = Case.objects.filter(pk=case.pk).values().get()
    Case.objects.filter(pk=case.pk).update(status="closed", handler=None, target_due=None, legal_due=None)
    actions.refresh(Case.objects.get(pk=case.pk))
    assert Case.objects.filter(pk=case.pk).values().get() == cached


def test_attachments_are_kept_under_their_digest_and_limited(agent: Actor, case: Case, does: Does, people: Any) -> None:
    content = "合同".encode()
    event = does(agent, "commented", text="附件", uploads=(Upload("合同.pdf", content),))
    found = Attachment.objects.get(event=event)
    assert files.read(queries.attachment(agent, found.pk).digest) == content
    for uploads in (
        (Upload("a.exe", b"x"),), (Upload("a.pdf", b""),), (Upload("a.pdf", b"x" * (files.BYTES_MAX + 1)),),
        (Upload("a.pdf", b"x"),) * (files.FILES_PER_EVENT_MAX + 1),
    ):
        with pytest.raises(Invalid, match="uploads"):
            does(agent, "commented", text="附件", uploads=uploads)
    assert Attachment.objects.count() == 1
    with pytest.raises(Missing):
        queries.attachment(people("agent", "party:999999"), found.pk)


def test_a_damaged_file_is_not_served(home: Any) -> None:
    digest = files.store(b"whole")
    (home / "files" / digest[:2] / digest).write_bytes(b"other")
    with pytest.raises(Missing):
        files.read(digest)


def test_an_attachment_of_an_internal_event_is_not_the_applicants(
    case: Case, does: Does, officer: Actor, agent: Actor
) -> None:
    event = does(officer, "commented", text="内部", shared=False, uploads=(Upload("a.txt", b"x"),))
    with pytest.raises(Missing):
        queries.attachment(agent, event.attachments.get().pk)


def test_the_worker_escalates_once_for_each_step(case: Case, moved_clock: Any) -> None:
    opened = clock.local(case.opened_at).date()
    assert tasks.watch.func() == 1
    assert not case.events.filter(kind="escalated").exists()
    with moved_clock(f"{opened.year + 1}-06-15 10:00"):
        tasks.watch.func()
        tasks.watch.func()
        assert case.events.filter(kind="escalated").count() == len(case.type.escalate_bps)
        assert queries.overdue_share_bps(clock.now()) == 10_000


def test_a_type_promises_something_possible_and_is_registered_once() -> None:
    with pytest.raises(ValueError, match="target"):
        CaseType("t.bad", "t", target_days=5, legal_days=3)
    with pytest.raises(ValueError, match="escalation"):
        CaseType("t.bad", "t", 1, 2, escalate_bps=(8000, 5000))
    with pytest.raises(ValueError, match="twice"):
        register(CaseType("service.question", "other", 1, 2))


# --- to-do --------------------------------------------------------------------------------------------------------


def titles(actor: Actor) -> list[str]:
    return [item.title.partition(":")[0].partition("：")[0] for item in todo.for_actor(actor)]


def test_the_to_do_moves_with_the_case(
    case: Case, does: Does, agent: Actor, officer: Actor, colleague: Actor, settings: Any
) -> None:
    def waiting() -> tuple[int, int, int]:
        return len(titles(agent)), len(titles(officer)), len(titles(colleague))

    assert waiting() == (0, 1, 1)  # anyone of the centre may take it
    does(officer, "accepted")
    assert waiting() == (0, 1, 0)
    does(officer, "paused", text="请补充")
    assert waiting() == (1, 0, 0)
    does(agent, "resumed", text="补充")
    does(officer, "resolved", text="已答复")
    assert waiting() == (1, 0, 1)  # the applicant says, or a colleague asks
    does(agent, "called_back", satisfied=True)
    assert waiting() == (0, 0, 0)


def test_the_system_has_no_to_do(case: Case) -> None:
    assert todo.for_actor(system("test")) == []
