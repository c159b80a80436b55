"""The match of one entity: groups, reasons, answers in place, other days, who may look, what a decision keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.policy import match_world
from tests.policy.match_world import GRANT, NOON, OPEN, SYSTEM, TODAY, World, publish, say, text

from huoshui.base import clock
from huoshui.base.act import Act, action
from huoshui.base.errors import Forbidden, Missing
from huoshui.book import subsidies
from huoshui.policy import match_rows, matching, panel
from huoshui.registry.models import Decision, Fact, Party
from huoshui.rules import Verdict

pytestmark = pytest.mark.django_db
QUERIES_MAX = 16


@pytest.fixture
def world(people: Any) -> Iterator[World]:
    with clock.moved_to(NOON):
        yield match_world.build(people)


@pytest.fixture
def enter(client: Client) -> Callable[[Any], Client]:
    def sign_in(actor: Any) -> Client:
        client.force_login(actor.user)
        return client

    return sign_in


def verdicts(party: Party) -> dict[str, str]:
    return {one.pack.id: one.verdict.name for one in matching.match(party, clock.today()).explanations}


def page(client: Client, name: str, *args: Any, status: int = 200, **query: Any) -> str:
    response = client.get(reverse(f"policy:{name}", args=args), query)
    assert response.status_code == status, response.content.decode()[:300]
    return response.content.decode()


# --- what it says -----------------------------------------------------------------------------------------------------


def test_every_pack_in_force_is_in_the_group_that_it_means(world: World) -> None:
    found = match_rows.groups(matching.match(world.firm, TODAY))
    ids = {name: [row.id for row in getattr(found, name)] for name in ("get", "nearly", "waiting", "person", "others")}
    assert ids == {
        "get": ["voucher"], "nearly": ["scored"], "waiting": ["draft", "open"], "person": ["grant"], "others": [],
    }  # fmt: skip


def test_what_is_short_is_told_with_its_distance_and_the_cheapest_step(world: World) -> None:
    with translation.override("zh-hans"):
        (row,) = match_rows.groups(matching.match(world.firm, TODAY)).nearly
        assert "还差 6 分" in row.why
        assert row.steps[0] == "再增加 1 项Ⅱ类知识产权可得 24 分，总分 54 分"
        say(world.firm, "rd", 2_000_000, 2025, "official")
        (grant,) = [row for row in match_rows.groups(matching.match(world.firm, TODAY)).nearly if row.id == "grant"]
        assert "现为 2%，还差 1%" in grant.why
        assert "第三条" in grant.why


def test_amounts_are_whole_fen_and_a_missing_fact_is_no_zero(world: World) -> None:
    found = matching.match(world.firm, TODAY)
    assert found.of("grant").amount_fen == 400_000
    say(world.firm, "rd", None, 2025, "tax")
    assert matching.match(world.firm, TODAY).of("grant").amount_fen is None
    assert matching.match(world.firm, TODAY).of("grant").verdict is Verdict.UNKNOWN


def test_the_page_says_who_says_what_and_by_which_clause(world: World, enter: Any) -> None:
    shown = page(enter(world.agent), "match_pack", world.firm.pk, "grant")
    assert "第三条" in shown
    assert "研发费用占营业收入不低于3%" in shown
    assert "4 万元" in shown
    assert "税务资料" in shown
    assert "产品是否属于重点领域？" in shown


def test_a_draft_says_so_loudly_and_cannot_be_applied_for(world: World, enter: Any) -> None:
    client = enter(world.agent)
    assert "草案" in page(client, "match_pack", world.firm.pk, "draft")
    say(world.firm, "premises.fixed", True)
    shown = page(client, "match", world.firm.pk)
    assert 'value="open"' in shown
    assert 'value="draft"' not in shown


def test_sources_of_one_rank_that_disagree_stand_side_by_side_and_decide_nothing(world: World, enter: Any) -> None:
    say(world.firm, "dishonest", True, source_name="示例信用平台")
    assert verdicts(world.firm)["voucher"] == "UNKNOWN"
    shown = page(enter(world.agent), "match", world.firm.pk)
    assert "示例信用平台" in shown
    assert 'name="q-dishonest-value"' not in shown, "nobody is asked to outvote a register"


def test_a_pack_that_a_transition_names_stays_on_the_shelf(world: World) -> None:
    more = """  transitions:
    - {id: old, title: 旧证沿用, pack: open, until: 2026-12-31, clause: 第九条, quote: 沿用,
       when: {op: is, of: abnormal, value: false}}
"""
    publish(text("newer", OPEN + more, since="2026-05-01", more="supersedes: open\n"))
    shelf = matching.shelf(TODAY)
    assert "open" not in shelf.listed
    assert "open" in shelf.publications
    found = matching.match(world.firm, TODAY).of("newer")
    assert (found.via, found.judged_by.id) == (0, "open")


# --- answers ----------------------------------------------------------------------------------------------------------


def answer(client: Client, party: Party, column: str, value: Any, **headers: str) -> Any:
    data = {"column": column, f"{match_rows.prefix_of(column)}-column": column,
            f"{match_rows.prefix_of(column)}-value": value}  # fmt: skip
    return client.post(reverse("policy:answer", args=[party.pk]), data, headers=headers)


def test_an_answer_in_place_changes_the_verdict_at_once(world: World, enter: Any) -> None:
    client = enter(world.agent)
    assert "premises.fixed" in page(client, "match", world.firm.pk)
    response = answer(client, world.firm, "premises.fixed", "yes", **{"HX-Request": "true"})
    assert response.status_code == 200
    assert response.content.decode().lstrip().startswith('<div id="match">')
    assert verdicts(world.firm)["open"] == "MET"
    said = Fact.objects.get(party=world.firm, type__code="premises.fixed")
    assert (said.source, said.observed_on) == ("self", TODAY)


@pytest.mark.parametrize(
    ("given", "stored"), [("400", 40_000), ("4万", 4_000_000), ("1,234.56 元", 123_456), ("-5", -500)]
)
def test_money_is_understood_as_accountants_write_it(world: World, enter: Any, given: str, stored: int) -> None:
    say(world.firm, "rd", None, 2025, "tax")
    answer(enter(world.agent), world.firm, "rd@2025", given)
    said = Fact.objects.filter(party=world.firm, type__code="rd", source="self").first()
    assert (said.number if said else None) == (stored if stored > 0 else None), "nobody spends less than nothing"


@pytest.mark.parametrize("given", ["", "abc", "1.234", "1e999", "9" * 40])
def test_an_answer_that_cannot_be_read_stands_beside_its_field(world: World, enter: Any, given: str) -> None:
    say(world.firm, "rd", None, 2025, "tax")
    response = answer(enter(world.agent), world.firm, "rd@2025", given)
    assert response.status_code == 200
    assert "aria-invalid" in response.content.decode()
    assert not Fact.objects.filter(party=world.firm, type__code="rd", source="self").exists()


@pytest.mark.parametrize("column", ["claim.settled", "nonsense", "revenue@1990", "segment.share@2025", ""])
def test_nobody_states_here_what_no_policy_asks(world: World, enter: Any, column: str) -> None:
    before = Fact.objects.count()
    assert answer(enter(world.agent), world.firm, column, "1").status_code == 404
    assert Fact.objects.count() == before


def test_an_officer_answers_as_the_centre(world: World, enter: Any) -> None:
    answer(enter(world.officer), world.firm, "premises.fixed", "no")
    assert Fact.objects.get(party=world.firm, type__code="premises.fixed").source == "officer"


# --- who may look -----------------------------------------------------------------------------------------------------


def test_an_agent_sees_and_answers_for_its_own_party_only(world: World, enter: Any, people: Any) -> None:
    client = enter(world.stranger)
    for name, args in (("match", []), ("match_pack", ["grant"]), ("apply", [])):
        page(client, name, world.firm.pk, *args, status=404)
    assert answer(client, world.firm, "premises.fixed", "yes").status_code == 404
    assert client.get(reverse("policy:find")).url == reverse("policy:match", args=[world.other.pk])
    with pytest.raises(Forbidden):
        matching.explanations(world.stranger, world.firm)
    assert panel.context(world.officer, world.firm)
    auditor = enter(people("auditor"))
    assert "premises.fixed" not in page(auditor, "match", world.firm.pk), "an auditor answers nothing"


def test_the_api_shows_the_same_match_and_takes_the_same_answers(world: World, enter: Any) -> None:
    client = enter(world.agent)
    url = f"/api/policy/parties/{world.firm.pk}/match/"
    packs = {row["pack"]: row for row in client.get(url).json()["packs"]}
    assert packs["scored"]["blocker"] == "scoring"
    assert packs["scored"]["margin"] == -6
    assert packs["draft"]["draft"] is True
    detail = client.get(f"{url}packs/grant/").json()
    assert detail["facts"]["rd@2025"]["source"] == "tax"
    assert [row["verdict"] for row in detail["criteria"]] == ["met", "met", "manual"]
    body = {"column": "premises.fixed", "value": True}
    headers = {"Idempotency-Key": "a1", "X-CSRFToken": client.cookies.get("csrftoken", "")}
    url = f"/api/policy/parties/{world.firm.pk}/answers/"
    done = client.post(url, body, content_type="application/json", headers=headers)
    assert done.status_code == 200, done.content
    assert {row["pack"]: row["verdict"] for row in done.json()["packs"]}["open"] == "met"
    assert client.get(f"/api/policy/parties/{world.other.pk}/match/").status_code == 404


def test_a_match_takes_few_queries_however_many_packs_there_are(
    world: World, enter: Any, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    for number in range(8):
        publish(text(f"more{number}", GRANT))
    client = enter(world.agent)
    page(client, "match", world.firm.pk)
    with django_assert_max_num_queries(QUERIES_MAX):
        page(client, "match", world.firm.pk)


# --- other days -------------------------------------------------------------------------------------------------------


def test_another_day_is_read_with_the_rules_and_facts_of_that_day(world: World, enter: Any) -> None:
    with clock.moved_to(NOON + timedelta(days=10)):
        say(world.firm, "premises.fixed", True)
        publish(text("later", OPEN, since="2026-06-05"))
        assert verdicts(world.firm)["open"] == "MET"
        then = matching.match(world.firm, TODAY)
        assert then.of("open").verdict is Verdict.UNKNOWN
        assert "later" not in then.shelf.listed
        shown = page(enter(world.agent), "match", world.firm.pk, on="2026-06-01")
        assert "历史回看" in shown
        assert "q-premises-fixed-value" not in shown, "a past day is for reading only"
        page(enter(world.agent), "match", world.firm.pk, on="1900-01-01", status=422)


# --- decisions --------------------------------------------------------------------------------------------------------


@action("test.decide")
def decide(act: Act, *, party: Party, pack: str) -> Decision:
    act.checked = True
    return matching.decide(act, party=party, pack_id=pack, on=clock.today(), subject="test")[0]


def test_a_decision_keeps_texts_facts_and_trace_and_replays_alike(world: World, enter: Any) -> None:
    made = decide(SYSTEM, party=world.firm, pack="grant")
    assert made.verdict == "manual"
    assert made.trace["facts"]["rd@2025"]["value"] == 4_000_000
    assert made.trace["facts"]["rd@2025"]["facts"] == [Fact.objects.get(type__code="rd", party=world.firm).pk]
    with clock.moved_to(NOON + timedelta(days=400)):
        say(world.firm, "rd", 1, 2025, "official")
        publish(text("grant", GRANT.replace("3%", "5%").replace("value: 3,", "value: 5,"), since="2027-01-01"))
        again = matching.replay(made)
        assert again.same
        assert again.explanation.amount_fen == 400_000
        assert "结果一致" in page(enter(world.officer), "decision", made.pk, verify="")
        page(enter(world.stranger), "decision", made.pk, status=404)


def test_a_decision_that_was_changed_behind_its_back_is_found_out(world: World) -> None:
    made = decide(SYSTEM, party=world.firm, pack="grant")
    made.trace["criteria"]["rd"] = "unmet"
    made.trace["facts"]["revenue@2025"]["value"] = 1
    again = matching.replay(made)
    assert not again.same
    assert "criteria" in again.differs
    assert again.facts == ("revenue@2025",)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rd=st.none() | st.integers(0, 10**12), revenue=st.none() | st.integers(0, 10**12),
    abnormal=st.none() | st.booleans(), staff=st.none() | st.integers(0, 500),
    pack=st.sampled_from(["grant", "scored"]),
)  # fmt: skip
def test_whatever_is_known_a_decision_replays_to_the_same(
    world: World, rd: int | None, revenue: int | None, abnormal: bool | None, staff: int | None, pack: str
) -> None:
    say(world.firm, "rd", rd, 2025, "tax")
    say(world.firm, "revenue", revenue, 2025, "tax")
    say(world.firm, "abnormal", abnormal)
    say(world.firm, "staff", staff, 2025)
    assert matching.replay(decide(SYSTEM, party=world.firm, pack=pack)).same


# --- expected reimbursement -------------------------------------------------------------------------------------------


def test_what_a_voucher_would_reimburse_is_told_and_never_guessed(world: World) -> None:
    assert subsidies.expected(world.firm, 100_000) == 30_000
    assert subsidies.expected(world.firm, 10**9) == 10_000_000, "the cap of the pack"
    assert subsidies.expected(world.other, 100_000) is None, "nobody knows whether it is on the list"
    say(world.firm, "dishonest", True, source="official")
    assert subsidies.expected(world.firm, 100_000) is None


def test_a_pack_that_is_not_there_is_missing(world: World) -> None:
    with pytest.raises(Missing):
        matching.match(world.firm, TODAY).explain("nonsense")


def test_deadlines_are_the_ends_of_windows_that_matter(world: World) -> None:
    window = "  windows: [{from: 2026-05-01, to: 2026-07-15, text: 集中申报}]\n"
    publish(text("windowed", OPEN + window))
    (due,) = [row for row in panel.deadlines(world.agent, world.firm) if row.kind == "policy.window"]
    assert due.due == datetime(2026, 7, 16, tzinfo=clock.LOCAL)
