"""The officer writes a pack beside its notice, a second person puts it in force, and nobody's work is lost."""

from datetime import date
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import translation

from huoshui.base.access import Actor
from huoshui.base.errors import Conflict, Forbidden, Invalid, Refused
from huoshui.policy import checking, pack_text
from huoshui.policy.actions import authoring as actions
from huoshui.policy.models import DraftVersion, Notice, PackDraft
from huoshui.registry import actions as registry
from huoshui.registry import queries, sentences
from huoshui.rules import RuleError

pytestmark = pytest.mark.django_db

SAID = [
    "示例市专精特新企业奖励办法",
    "第三条 申请企业应当同时满足下列条件：",
    "（一）在本市登记满一年以上；",
    "（二）上年度营业收入总额不低于1,500万元；",
    "（三）未被列入经营异常名录或严重失信主体名单。",
    "第四条 符合条件的企业，一次性奖励20万元。",
]


def criterion(**changes: Any) -> dict[str, Any]:
    return {
        "id": "revenue", "title": "上年营业收入", "kind": "hard", "clause": "第三条（二）",
        "quote": "上年度营业收入总额不低于1,500万元",
        "test": {"op": "ge", "of": "revenue", "period": "last_year", "value": 1500, "unit": "万元"},
        "evidence": ["审计报告"],
    } | changes  # fmt: skip


BENEFIT = """\
benefit:
  kind: grant
  text: 一次性奖励20万元
  clause: 第四条
  quote: 一次性奖励20万元
  cap: {value: 20, unit: 万元}
  amount: {fixed: 20, unit: 万元}"""
CASES = """\
pack: test-award
on: 2026-06-01
cases:
  - name: 刚好达到
    facts: {revenue@last_year: 1500 万元}
    expect: {verdict: met, criteria: {revenue: met}, amount: 20 万元}
  - name: 差一分钱
    facts: {revenue@last_year: 14999999.99 元}
    expect: {verdict: unmet, criteria: {revenue: unmet}, blocker: revenue}
  - name: 收入不详
    expect: {verdict: unknown, criteria: {revenue: unknown}}
"""


@pytest.fixture
def two(people: Any) -> tuple[Actor, Actor]:
    return people("officer"), people("officer")


@pytest.fixture
def notice(two: tuple[Actor, Actor]) -> Notice:
    return actions.add_notice(
        two[0], title="示例市专精特新企业奖励办法", authority="示例市经信局", document_number="示经信〔2026〕1号",
        source="示例市经信局网站", filename="n.txt", digest="a" * 64, paragraphs=SAID,
    )  # fmt: skip


@pytest.fixture
def draft(two: tuple[Actor, Actor], notice: Notice) -> PackDraft:
    header = {"identifier": "test-award", "title": notice.title, "authority": notice.authority,
              "document_number": notice.document_number, "source": notice.source}  # fmt: skip
    return actions.start_draft(two[0], text=pack_text.skeleton(header, date(2026, 1, 1)), notice=notice)


@pytest.fixture
def whole(two: tuple[Actor, Actor], draft: PackDraft) -> PackDraft:
    """A draft that can be submitted."""
    text = pack_text.add_part(pack_text.put(draft.text, criterion()), BENEFIT)
    return actions.save_draft(two[0], draft=draft, version=draft.version, text=text, tests=CASES)


@pytest.fixture
def office(client: Client, two: tuple[Actor, Actor]) -> Client:
    client.force_login(two[0].user)
    return client


# --- checks -------------------------------------------------------------------------------------------------------


def test_a_whole_draft_may_be_submitted_and_an_empty_one_not(draft: PackDraft, whole: PackDraft) -> None:
    checked = checking.check(whole.text, whole.tests, whole.notice)
    assert [each.sentence for each in checked.errors] == []
    assert not checked.blocking
    assert [case.faults for case in checked.cases] == [(), (), ()]
    assert checked.uncovered == ()
    empty = checking.check(draft.versions.get(number=1).text, "", draft.notice)
    assert empty.blocking


def test_a_quote_that_is_not_in_the_notice_is_an_error(whole: PackDraft) -> None:
    text = whole.text.replace("quote: 一次性奖励20万元", "quote: 一次性奖励二十万元")
    assert any("二十万元" in each.sentence for each in checking.check(text, whole.tests, whole.notice).errors)


def test_a_test_case_that_fails_blocks_and_says_what_was_found(whole: PackDraft) -> None:
    wrong = whole.tests.replace("verdict: unmet", "verdict: met")
    checked = checking.check(whole.text, wrong, whole.notice)
    assert checked.blocking
    assert [case.name for case in checked.cases if case.faults] == ["差一分钱"]


@pytest.mark.parametrize(("old", "new", "path"), [
    ("of: revenue", "of: revenu", "body.criteria[0].test.of"),
    ("unit: 万元", "unit: 人", "body.criteria[0].test.unit"),
    ("kind: hard", "kind: !!python/object/apply:os.system ['true']", "line"),
    ("title: 上年营业收入", "title: &a 上年营业收入", "line"),
    ("clause: 第三条（二）\n      ", "", "body.criteria[0].clause"),
    ("status: in_force", "status: in_force\nsurprise: 1", "surprise"),
])  # fmt: skip
def test_bad_input_is_one_error_with_its_place(whole: PackDraft, old: str, new: str, path: str) -> None:
    assert old in whole.text
    checked = checking.check(whole.text.replace(old, new, 1), whole.tests, whole.notice)
    assert checked.pack is None
    (found,) = checked.errors
    assert found.path.startswith(path)
    assert found.sentence


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_rule_that_a_text_can_break_has_a_sentence(language: str) -> None:
    with translation.override(language):
        for code in RuleError.rules:
            said = str(sentences.RULES.get(code, ""))
            assert said, code
            assert language == "en" or not said.isascii(), code


def test_markup_in_a_title_is_text(office: Client, whole: PackDraft) -> None:
    text = whole.text.replace("title: 上年营业收入", "title: <script>alert(1)</script>")
    page = office.post(reverse("policy:draft_check", args=[whole.pk]), {"text": text, "tests": ""}).content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_bomb_and_a_pack_that_names_itself_are_errors(whole: PackDraft) -> None:
    deep = "a: " + "[" * 100 + "]" * 100
    assert checking.check(deep, "", None).blocking
    assert checking.check("x: 1\n" * 300_000, "", None).blocking
    circle = pack_text.add_part(whole.text, (
        "transitions:\n  - {id: t, title: 过渡, when: {op: valid, of: srdi}, pack: test-award, clause: 一, quote: 过渡}"
    ))  # fmt: skip
    assert any(each.path.startswith("body.transitions") for each in checking.check(circle, CASES, None).errors)


# --- drafts -------------------------------------------------------------------------------------------------------


def test_a_notice_is_kept_once_and_needs_its_source(two: tuple[Actor, Actor], notice: Notice) -> None:
    again = {"title": "x", "authority": "y", "document_number": "", "filename": "n.txt", "paragraphs": SAID}
    with pytest.raises(Conflict):
        actions.add_notice(two[0], **again, source="z", digest="a" * 64)
    with pytest.raises(Invalid):
        actions.add_notice(two[0], **again, source=" ", digest="b" * 64)


def test_two_writers_do_not_overwrite_each_other(two: tuple[Actor, Actor], draft: PackDraft) -> None:
    first = pack_text.put(draft.text, criterion())
    saved = actions.save_draft(two[0], draft=draft, version=1, text=first, tests="")
    with pytest.raises(Conflict) as caught:
        actions.save_draft(two[1], draft=draft, version=1, text=draft.text + "# mine\n", tests="")
    assert caught.value.code == "draft_moved_on"
    with pytest.raises(Conflict):
        actions.put_criterion(two[1], draft=draft, version=1, criterion=criterion(id="other"))
    again = actions.put_criterion(two[1], draft=draft, version=saved.version, criterion=criterion(id="other"))
    assert [row["id"] for row in pack_text.criteria(again.text)] == ["revenue", "other"]
    assert [(each.number, each.changed_by) for each in DraftVersion.objects.filter(draft=draft)] == [
        (3, two[1].principal), (2, two[0].principal), (1, two[0].principal),
    ]  # fmt: skip


def test_saving_the_same_text_makes_no_version(two: tuple[Actor, Actor], whole: PackDraft) -> None:
    same = actions.save_draft(two[1], draft=whole, version=whole.version, text=whole.text, tests=whole.tests)
    assert same.version == whole.version


def test_only_authors_write(people: Any, draft: PackDraft) -> None:
    agent = people("agent", "party:1")
    with pytest.raises(Forbidden):
        actions.save_draft(agent, draft=draft, version=1, text="x", tests="")


def test_errors_block_and_warnings_need_a_word(two: tuple[Actor, Actor], whole: PackDraft) -> None:
    broken = whole.text.replace("value: 1500", "value: 1600")
    wrong = actions.save_draft(two[0], draft=whole, version=whole.version, text=broken, tests=whole.tests)
    with pytest.raises(Refused) as caught:
        actions.submit_draft(two[0], draft=wrong, version=wrong.version, word="x")
    assert caught.value.code == "draft_errors"
    assert caught.value.problems
    doubtful = actions.save_draft(
        two[0], draft=whole, version=wrong.version, text=whole.text, tests=""
    )  # no test case is a warning
    with pytest.raises(Invalid) as asked:
        actions.submit_draft(two[0], draft=doubtful, version=doubtful.version)
    assert asked.value.problems[0].field == "word"
    done = actions.submit_draft(two[0], draft=doubtful, version=doubtful.version, word="样例齐全前先送审")
    assert done.publication is not None
    assert done.word == "样例齐全前先送审"


def test_from_the_notice_to_the_pack_in_force(two: tuple[Actor, Actor], whole: PackDraft) -> None:
    done = actions.submit_draft(two[0], draft=whole, version=whole.version, word="-")
    assert done.publication is not None
    with pytest.raises(Conflict):
        actions.save_draft(two[0], draft=done, version=done.version, text="x", tests="")
    with pytest.raises(Refused):
        registry.review_publication(two[0], publication=done.publication)
    reviewed = registry.review_publication(two[1], publication=done.publication)
    registry.activate_publication(two[1], publication=reviewed)
    found = queries.publication_in_force("rule_pack", "test-award", date(2026, 6, 1))
    assert found.loaded().criteria[0].quote == "上年度营业收入总额不低于1,500万元"


def test_a_withdrawn_publication_opens_the_draft_again(two: tuple[Actor, Actor], whole: PackDraft) -> None:
    done = actions.submit_draft(two[0], draft=whole, version=whole.version, word="-")
    assert done.publication is not None
    registry.withdraw_publication(two[1], publication=done.publication, reason="引文有误")
    again = actions.save_draft(two[0], draft=done, version=done.version, text=done.text + "# 改\n", tests=done.tests)
    assert again.version == whole.version + 1


# --- pages --------------------------------------------------------------------------------------------------------


def test_a_notice_comes_in_by_its_file_and_a_bad_file_says_why(office: Client) -> None:
    given = {"title": "办法", "authority": "示例局", "source": "示例局网站"}
    bad = office.post(reverse("policy:notice_new"), given | {"file": SimpleUploadedFile("a.docx", b"PK")})
    assert bad.status_code == 200
    assert Notice.objects.count() == 0
    file = SimpleUploadedFile("a.txt", "\n".join(SAID).encode("gb18030"))
    assert office.post(reverse("policy:notice_new"), given | {"file": file}).status_code == 302
    notice = Notice.objects.get()
    assert notice.paragraphs == SAID
    begun = office.post(reverse("policy:notice", args=[notice.pk]), {
        "identifier": "test-award", "effective_from": "2026-01-01",
    })  # fmt: skip
    assert begun.status_code == 302
    assert PackDraft.objects.get().notice == notice


def test_the_editor_proposes_the_marked_clause_and_puts_it_in_the_text(office: Client, draft: PackDraft) -> None:
    url = reverse("policy:draft_criterion", args=[draft.pk])
    form = office.get(url, {"s": ["3.0"]}).context
    initial = form["form"].initial
    assert (initial["clause"], initial["quote"]) == ("第三条（二）", "上年度营业收入总额不低于1,500万元")
    first = form["conditions"][0].initial
    assert (first["field"], first["op"], first["value"], first["unit"]) == ("revenue", "ge", "1500", "万元")
    sent = {"version": 1, **initial} | {f"c0-{name}": value for name, value in first.items()}
    sent |= {f"c{n}-measure": "amount" for n in (1, 2, 3)}
    wrong = office.post(url, sent | {"c0-unit": "人"})
    assert wrong.status_code == 200
    assert draft.versions.count() == 1
    assert office.post(url, sent).status_code == 302
    draft.refresh_from_db()
    (row,) = pack_text.criteria(draft.text)
    assert row["test"] == {"op": "ge", "of": "revenue", "period": "last_year", "value": 1500, "unit": "万元"}
    shown = office.get(url, {"id": row["id"]}).context
    assert shown["form"].initial["quote"] == row["quote"]
    page = office.get(reverse("policy:draft", args=[draft.pk])).content.decode()
    assert "第三条（二）" in page


def test_htmx_keeps_what_stands_in_the_boxes(office: Client, draft: PackDraft) -> None:
    url = reverse("policy:draft_criterion", args=[draft.pk])
    form = office.get(url, {"s": ["3.0"]}).context
    sent = {"version": 1, **form["form"].initial} | {f"c0-{k}": v for k, v in form["conditions"][0].initial.items()}
    sent |= {f"c{n}-measure": "amount" for n in (1, 2, 3)}
    sent |= {"text": draft.text + "# not saved yet\n", "tests": "# nor this"}
    answer = office.post(url, sent, headers={"HX-Request": "true"})
    assert answer["HX-Redirect"] == reverse("policy:draft", args=[draft.pk])
    draft.refresh_from_db()
    assert "# not saved yet" in draft.text
    assert draft.tests == "# nor this"
    assert draft.version == 2


def test_a_second_writer_sees_both_texts(office: Client, two: tuple[Actor, Actor], draft: PackDraft) -> None:
    actions.save_draft(two[1], draft=draft, version=1, text=draft.text + "# theirs\n", tests="")
    answer = office.post(reverse("policy:draft_save", args=[draft.pk]), {
        "version": 1, "text": draft.text + "# mine\n", "tests": "",
    })  # fmt: skip
    page = answer.content.decode()
    assert answer.status_code == 409
    assert "-# theirs" in page
    assert "+# mine" in page
    again = office.post(reverse("policy:draft_save", args=[draft.pk]), {
        "version": answer.context["form"].data["version"], "text": draft.text + "# mine\n", "tests": "",
    })  # fmt: skip
    assert again.status_code == 302


def test_the_checks_follow_what_is_written(office: Client, whole: PackDraft) -> None:
    url = reverse("policy:draft_check", args=[whole.pk])
    good = office.post(url, {"text": whole.text, "tests": whole.tests})
    assert not good.context["checked"].blocking
    bad = office.post(url, {"text": whole.text.replace("value: 1500", "value: 150"), "tests": whole.tests})
    assert bad.context["checked"].blocking


def test_a_draft_is_tried_on_a_firm(office: Client, two: tuple[Actor, Actor], whole: PackDraft) -> None:
    firm = registry.create_party(two[0], name="示例机械厂", division="330106", kinds=["entity"])
    registry.state_fact(
        two[0], party=firm, code="revenue", value=1_600_000_000, source="tax", observed_on=date(2026, 3, 1),
        period_start=date(2025, 1, 1), period_end=date(2025, 12, 31),
    )  # fmt: skip
    tried = office.post(reverse("policy:draft_try", args=[whole.pk]), {"firm": "示例机械"}).context["tried"]
    assert (tried.problem, len(tried.criteria)) == ("", 1)
    assert [shown for _name, shown in tried.criteria[0].values] != []
    nobody = office.post(reverse("policy:draft_try", args=[whole.pk]), {"firm": "没有这家"})
    assert nobody.context["tried"].problem


def test_parts_and_a_first_case_are_put_in(office: Client, two: tuple[Actor, Actor], draft: PackDraft) -> None:
    office.post(reverse("policy:draft_part", args=[draft.pk, "windows"]), {"version": 1})
    draft.refresh_from_db()
    assert "windows:" in draft.text
    refused = office.post(reverse("policy:draft_part", args=[draft.pk, "windows"]), {"version": 2})
    assert refused.status_code == 409
    actions.put_criterion(two[0], draft=draft, version=2, criterion=criterion())
    office.post(reverse("policy:draft_tests", args=[draft.pk]), {"version": 3})
    draft.refresh_from_db()
    assert [case.faults for case in checking.check(draft.text, draft.tests, draft.notice).cases] == [()]


def test_the_pages_of_a_draft_through_its_life(office: Client, two: tuple[Actor, Actor], whole: PackDraft) -> None:
    for name in ("drafts", "notices", "notice_new"):
        assert office.get(reverse(f"policy:{name}")).status_code == 200
    assert office.get(reverse("policy:draft_version", args=[whole.pk, 2])).status_code == 200
    assert office.get(reverse("policy:draft_version", args=[whole.pk, 9])).status_code == 404
    done = office.post(reverse("policy:draft_submit", args=[whole.pk]), {"version": whole.version, "word": "-"})
    whole.refresh_from_db()
    assert whole.publication is not None
    assert done.url == reverse("policy:pack_version", args=["test-award", whole.publication_id])
    assert office.get(done.url).status_code == 200
    assert office.get(reverse("policy:draft", args=[whole.pk])).status_code == 200
    successor = office.post(reverse("policy:draft_from", args=[whole.publication_id]))
    assert office.get(successor.url).context["draft"].tests == whole.tests
    other = PackDraft.objects.get(publication=None)
    assert office.post(reverse("policy:draft_discard", args=[other.pk])).status_code == 302
    assert office.get(reverse("policy:draft", args=[other.pk])).status_code == 404
