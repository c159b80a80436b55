"""Packs are public law: anyone reads them, sees what a change did, and learns nothing of a single firm."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from huoshui.base import canonical, tasks
from huoshui.base.access import Actor
from huoshui.base.models import TaskProgress
from huoshui.policy import comparing, pack_queries
from huoshui.policy.actions import authoring as actions
from huoshui.policy.models import ComparisonRow, PackComparison
from huoshui.registry import actions as registry
from huoshui.registry.models import Publication

pytestmark = pytest.mark.django_db
FIRMS = 24


def pack(identifier: str, since: str, least: int, grant: int, **header: str) -> str:
    extra = "".join(f"{key}: {value}\n" for key, value in header.items())
    return f"""\
kind: rule_pack
id: {identifier}
title: 示例奖励（{since[:4]}年）
authority: 示例局
source: 示例局网站
status: in_force
effective_from: {since}
{extra}body:
  audience: {{text: 本市企业}}
  criteria:
    - id: revenue
      title: 上年营业收入
      kind: hard
      clause: 第二条
      quote: 上年度营业收入不低于{least}万元
      test: {{op: ge, of: revenue, period: last_year, value: {least}, unit: 万元}}
  windows:
    - {{from: 2026-05-01, to: 2026-12-10, text: 网上申报}}
  benefit:
    kind: grant
    text: 一次性奖励{grant}万元
    clause: 第三条
    quote: 一次性奖励{grant}万元
    amount: {{fixed: {grant}, unit: 万元}}
"""


@pytest.fixture
def two(people: Any) -> tuple[Actor, Actor]:
    return people("officer"), people("officer")


def publish(two: tuple[Actor, Actor], text: str) -> Publication:
    made = registry.submit_publication(two[0], text=text)
    return registry.activate_publication(
        two[1], publication=registry.review_publication(two[1], publication=made)
    )  # fmt: skip


@pytest.fixture
def law(two: tuple[Actor, Actor], moved_clock: Callable[[str], AbstractContextManager[None]]) -> Any:
    """Two texts, the second of which asks more revenue and pays more; firms with 100, 200, … 万元 of revenue."""
    with moved_clock("2026-11-22 10:00"):
        old = publish(two, pack("award-2024", "2024-01-01", 500, 10))
        header = {"supersedes": "award-2024", "effective_to": "2027-06-30"}
        new = publish(two, pack("award-2026", "2026-01-01", 1500, 20, **header))
        for number in range(1, FIRMS + 1):
            firm = registry.create_party(two[0], name=f"示例企业{number}", kinds=["entity"])
            registry.state_fact(
                two[0], party=firm, code="revenue", value=number * 100_000_000, source="tax",
                observed_on=date(2026, 3, 1), period_start=date(2025, 1, 1), period_end=date(2025, 12, 31),
            )  # fmt: skip
        yield old, new


@pytest.fixture
def counted(two: tuple[Actor, Actor], law: Any) -> PackComparison:
    asked = actions.ask_comparison(two[0], old=law[0], new=law[1], on=date(2026, 11, 22))
    comparing.count_here(asked)
    asked.refresh_from_db()
    return asked


# --- reading ------------------------------------------------------------------------------------------------------


def test_anyone_reads_the_law_without_signing_in(client: Client, law: Any) -> None:
    for name, args in (("packs", []), ("expiry", []), ("pack", ["award-2026"]), ("pack", ["award-2024"]),
                       ("pack_diff", ["award-2026"]), ("pack_text", ["award-2026", law[1].pk])):  # fmt: skip
        assert client.get(reverse(f"policy:{name}", args=args)).status_code == 200
    page = client.get(reverse("policy:pack", args=["award-2026"])).content.decode()
    assert "上年度营业收入不低于1500万元" in page
    assert "第二条" in page
    assert law[1].digest in page
    assert client.get(reverse("policy:pack_text", args=["award-2026", law[1].pk])).content.decode() == law[1].text


def test_a_draft_is_for_those_who_work_on_it(client: Client, two: tuple[Actor, Actor], law: Any) -> None:
    waiting = registry.submit_publication(two[0], text=pack("award-2028", "2028-01-01", 10, 1))
    url = reverse("policy:pack_version", args=["award-2028", waiting.pk])
    assert client.get(url).status_code == 404
    assert "award-2028" not in client.get(reverse("policy:packs")).content.decode()
    client.force_login(two[1].user)
    assert client.get(url).status_code == 200
    assert client.get(reverse("policy:packs")).context["groups"][1][1][0].publication == waiting


def test_unknown_packs_are_missing(client: Client, law: Any) -> None:
    assert client.get(reverse("policy:pack", args=["no-such"])).status_code == 404
    assert client.get(reverse("policy:pack_version", args=["award-2026", law[0].pk])).status_code == 404


def test_the_list_says_how_packs_stand_today(client: Client, law: Any) -> None:
    groups = dict(client.get(reverse("policy:packs")).context["groups"])
    listed = {title: [row.publication.identifier for row in rows] for title, rows in groups.items()}
    assert sorted(listed.values()) == [["award-2024"], ["award-2026"]]
    (row,) = next(rows for rows in groups.values() if rows[0].publication.identifier == "award-2026")
    assert row.ends_soon


# --- the calendar -------------------------------------------------------------------------------------------------


def test_the_calendar_knows_what_ends_opens_and_closes(client: Client, two: tuple[Actor, Actor], law: Any) -> None:
    publish(two, pack("other", "2026-02-01", 1, 1, effective_to="2027-06-30"))
    found = [(date_.on.isoformat(), date_.code, date_.pack.id) for date_ in pack_queries.dates(date(2026, 11, 22))]
    assert found == [
        ("2026-12-10", "closes", "award-2026"), ("2026-12-10", "closes", "other"),
        ("2027-06-30", "ends", "award-2026"), ("2027-06-30", "ends", "other"),
    ]  # fmt: skip
    context = client.get(reverse("policy:expiry")).context
    assert context["soon"] == 2
    assert [(day.isoformat(), len(listed)) for day, listed in context["cliffs"]] == [("2027-06-30", 2)]
    assert [month.first.isoformat() for month in context["months"]] == ["2026-12-01", "2027-06-01"]


def test_what_ends_within_the_year_is_to_be_done(two: tuple[Actor, Actor], people: Any, law: Any) -> None:
    (due,) = pack_queries.successors_due(two[0])
    assert due.due == date(2027, 6, 30)
    assert list(pack_queries.successors_due(people("agent", "party:1"))) == []


def test_twelve_months_end_with_their_month() -> None:
    assert pack_queries.ahead(date(2026, 11, 22)) == date(2027, 11, 30)
    assert pack_queries.ahead(date(2024, 2, 29)) == date(2025, 2, 28)
    assert pack_queries.ahead(date(2026, 12, 1)) == date(2027, 12, 31)


# --- who gains and loses ------------------------------------------------------------------------------------------


def test_gains_and_losses_are_counted_to_the_fen(counted: PackComparison) -> None:
    """Firms of 500 to 1400 万元 lose 10 万元, those from 1500 on gain 10 万元."""
    kept = counted.totals
    assert (kept["entities"], kept["enter"], kept["leave"], kept["open"]) == (FIRMS, 0, 10, 0)
    assert kept["lose"] == {"entities": 10, "fen": 100_000_000, "largest": 10_000_000}
    assert kept["gain"] == {"entities": 10, "fen": 100_000_000, "largest": 10_000_000}
    assert (kept["before_fen"], kept["after_fen"]) == (200_000_000, 200_000_000)
    assert len(counted.facts_digest) == 64
    rows = ComparisonRow.objects.filter(comparison=counted)
    assert sorted(row.new_fen - row.old_fen for row in rows) == [-10_000_000] * 10 + [10_000_000] * 10


def test_a_second_count_changes_nothing(two: tuple[Actor, Actor], counted: PackComparison) -> None:
    comparing.count_here(PackComparison(pk=counted.pk, old=counted.old, new=counted.new, on=counted.on))
    assert ComparisonRow.objects.filter(comparison=counted).count() == 20
    again = actions.ask_comparison(two[1], old=counted.old, new=counted.new, on=counted.on)
    assert again == counted


def test_officers_see_firms_and_the_public_only_counts(
    client: Client, two: tuple[Actor, Actor], counted: PackComparison
) -> None:
    url = reverse("policy:pack_diff", args=["award-2026"])
    public = client.get(url).content.decode()
    assert "示例企业" not in public
    assert "1,000,000.00" in public
    client.force_login(two[0].user)
    office = client.get(url)
    assert "示例企业12" in office.content.decode()
    assert any("1500" in change.after or "1,500" in change.after for change in office.context["changes"])


def test_small_counts_and_sums_of_one_firm_are_hidden(counted: PackComparison) -> None:
    counted.totals |= {
        "leave": 9, "lose": {"entities": 9, "fen": 900, "largest": 100},
        "gain": {"entities": 12, "fen": 1_000, "largest": 501}, "enter": 0,
    }  # fmt: skip
    enter, leave, gain, lose = comparing.totals_shown(counted, exact=False)
    assert (enter.entities, enter.hidden) == (0, False)
    assert (leave.entities, leave.hidden) == (None, True)
    assert (gain.entities, gain.fen) == (12, None)
    assert (lose.entities, lose.fen, lose.hidden) == (None, None, True)
    exact = comparing.totals_shown(counted, exact=True)
    assert [line.entities for line in exact] == [0, 9, 12, 9, 0, FIRMS]


def test_the_count_is_asked_for_by_officers_alone(client: Client, people: Any, law: Any) -> None:
    url = reverse("policy:pack_compare", args=["award-2026", law[1].pk])
    client.force_login(people("auditor").user)
    assert client.get(reverse("policy:pack_diff", args=["award-2026"])).context["oversees"]
    assert client.post(url).status_code == 403
    client.force_login(people("agent", "party:1").user)
    assert client.post(url).status_code == 403
    client.force_login(people("officer").user)
    assert client.post(url).status_code == 302
    waiting = PackComparison.objects.get(finished_at=None)
    assert client.get(reverse("policy:pack_diff", args=["award-2026"])).context["running"] is not None
    comparing.count_here(waiting)
    assert client.get(reverse("policy:pack_diff", args=["award-2026"])).context["running"] is None


def test_the_worker_counts_in_a_child(two: tuple[Actor, Actor], law: Any) -> None:
    asked = actions.ask_comparison(two[0], old=law[0], new=law[1], on=date(2026, 11, 22))
    comparing.enqueue(asked)
    comparing.count(asked, tasks.Watch(TaskProgress.objects.get(subject=canonical.label(asked)).task, 1))
    asked.refresh_from_db()
    assert (asked.totals["entities"], asked.totals["leave"]) == (FIRMS, 10)


def test_every_earlier_text_can_be_compared_with(client: Client, two: tuple[Actor, Actor], law: Any) -> None:
    newest = publish(two, pack("award-2027", "2026-06-01", 1600, 20, supersedes="award-2026"))
    assert pack_queries.ancestors(newest) == [law[1], law[0]]
    page = client.get(reverse("policy:pack_diff", args=["award-2027"]), {"against": law[0].pk})
    assert page.context["old"] == law[0]
    assert page.context["others"] == [law[1]]
