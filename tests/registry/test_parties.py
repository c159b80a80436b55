"""Parties, their roles and relations, and what is known of them from whom."""

from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from huoshui.base import clock, log
from huoshui.base.access import Actor
from huoshui.base.errors import Conflict, Forbidden, Invalid, Missing, Refused
from huoshui.registry import actions, precedence, queries, scopes, uscc
from huoshui.registry.models import Fact, Party, PartyRole, Relation

pytestmark = pytest.mark.django_db
DAY = date(2026, 3, 2)


@pytest.fixture
def officer(people: Any) -> Actor:
    return people("officer")


def party(actor: Actor, serial: int, **more: Any) -> Party:
    named = {"name": f"示例{serial}号公司", "uscc": uscc.invented(serial), "kinds": ["entity"]} | more
    return actions.create_party(actor, **named)


def test_a_party_keeps_its_history(officer: Actor) -> None:
    firm = party(officer, 1, division="330106")
    actions.update_party(officer, party=firm, name="新名公司", uscc=firm.uscc, division="330108")
    names = list(firm.revisions.order_by("pk").values_list("name", "division_id"))
    assert names == [("示例1号公司", "330106"), ("新名公司", "330108")]
    assert log.replay() == []


def test_the_same_key_makes_one_party(officer: Actor) -> None:
    first = party(officer, 1, key="k")
    assert party(officer, 1, key="k") == first
    with pytest.raises(Conflict):
        party(officer, 2, key="k")


@pytest.mark.parametrize(
    ("change", "field"),
    [({"name": " "}, "name"), ({"name": "长" * 201}, "name"), ({"uscc": "91110000600037342L"}, "uscc"),
     ({"division": "999999"}, "division"), ({"kinds": ["king"]}, "kind")],
)
def test_bad_input_is_named_and_leaves_nothing(officer: Actor, change: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        party(officer, 1, **change)
    assert caught.value.problems[0].field == field
    assert not Party.objects.exists()


def test_a_uscc_belongs_to_one_party(officer: Actor) -> None:
    party(officer, 1)
    with pytest.raises(Invalid, match="示例1号公司"):
        party(officer, 1, name="另一公司")


def test_writing_takes_the_permission(people: Any) -> None:
    for role in ("agent", "operator", "bank", "auditor", "administrator"):
        with pytest.raises(Forbidden):
            party(people(role), 1)


def test_an_officer_of_a_division_writes_and_sees_there_only(people: Any, officer: Actor) -> None:
    local = people("officer", "division:330100")
    inside, outside = party(local, 1, division="330106"), party(officer, 2, division="320100")
    with pytest.raises(Forbidden):
        party(local, 3, division="320100")
    with pytest.raises(Forbidden):
        actions.update_party(local, party=inside, name="迁出", division="320100")
    assert list(queries.parties(local)) == [inside]
    with pytest.raises(Missing):
        queries.party(local, outside.pk)


@given(
    st.sampled_from(["330106", "330100", "330000", "110000"]), st.sampled_from(["330106", "330100", "330000", "320000"])
)
def test_scopes_and_filters_agree(code: str, held: str) -> None:
    inside = f"division:{held}" in scopes.of_party(Party(pk=1, division_id=code))
    assert inside == code.startswith(scopes.division_prefix(held))


def test_an_agent_sees_the_own_party(people: Any, officer: Actor) -> None:
    own, other = party(officer, 1), party(officer, 2)
    agent = people("agent", f"party:{own.pk}")
    assert list(queries.parties(agent)) == [own]
    with pytest.raises(Missing):
        queries.party(agent, other.pk)


def test_roles_are_dated_and_do_not_overlap(officer: Actor) -> None:
    firm = party(officer, 1)
    role = actions.add_role(officer, party=firm, kind="operator", since=DAY, until=DAY + timedelta(9))
    assert firm.has_role("operator", DAY)
    assert firm.has_role("operator", DAY + timedelta(9))
    assert not firm.has_role("operator", DAY + timedelta(10))
    with pytest.raises(Invalid):
        actions.add_role(officer, party=firm, kind="operator", since=DAY + timedelta(9))
    actions.add_role(officer, party=firm, kind="operator", since=DAY + timedelta(10))
    with pytest.raises(Invalid):
        actions.end_role(officer, role=role, until=DAY - timedelta(1))


def test_there_is_one_centre(officer: Actor) -> None:
    with pytest.raises(Missing):
        queries.centre()
    centre = party(officer, 1, kinds=["centre"])
    assert queries.centre() == centre
    with pytest.raises(Invalid):
        party(officer, 2, kinds=["centre"])
    assert PartyRole.objects.filter(kind="centre").count() == 1


def test_related_parties_either_way_and_through_others(officer: Actor) -> None:
    a, b, c, d, e = (party(officer, serial) for serial in range(5))
    actions.relate(officer, holder=a, held=b, kind="ownership", share_bps=6_000, since=DAY, source="章程")
    actions.relate(officer, holder=b, held=c, kind="control", since=DAY, source="协议")
    actions.relate(officer, holder=d, held=c, kind="ownership", share_bps=2_499, since=DAY, source="章程")
    ended = actions.relate(officer, holder=e, held=a, kind="control", since=DAY, source="协议")
    assert queries.related(c, DAY) == {a.pk, b.pk, e.pk}
    actions.end_relation(officer, relation=ended, until=DAY)
    assert queries.related(c, DAY + timedelta(1)) == {a.pk, b.pk}
    assert queries.related(d, DAY) == set()
    assert queries.related(a, DAY - timedelta(1)) == set()


@pytest.mark.parametrize(
    ("kind", "share"),
    [("ownership", None), ("ownership", 0), ("ownership", 10_001), ("control", 5_000), ("likes", None)],
)
def test_a_relation_makes_sense(officer: Actor, kind: str, share: int | None) -> None:
    a, b = party(officer, 1), party(officer, 2)
    with pytest.raises(Invalid):
        actions.relate(officer, holder=a, held=b, kind=kind, share_bps=share, source="章程")
    with pytest.raises(Invalid):
        actions.relate(officer, holder=a, held=a, kind="control", source="章程")
    assert not Relation.objects.exists()


def test_a_person_acts_for_what_the_party_is(people: Any, officer: Actor) -> None:
    firm, administrator = party(officer, 1), people("administrator")
    user = actions.invite_person(
        administrator, party=firm, username="a", name="甲", password="correct horse battery", role="agent"
    )
    assert list(queries.parties(Actor(user))) == [firm]
    with pytest.raises(Invalid):
        actions.assign_person(administrator, party=firm, user=user, role="bank")


# --- facts ---------------------------------------------------------------------------------------------------------


def state(actor: Actor, firm: Party, value: Any, source: str, **more: Any) -> Fact:
    return actions.state_fact(actor, party=firm, code="industry", value=value, source=source, **more)


def test_precedence_picks_and_shows_all_sources(officer: Actor, people: Any) -> None:
    firm = party(officer, 1)
    agent = people("agent", f"party:{firm.pk}")
    state(agent, firm, "6510", "self")
    assert queries.fact(firm, "industry").value == "6510"
    state(officer, firm, "6520", "officer", observed_on=DAY)
    state(officer, firm, "6530", "official", observed_on=DAY, source_name="登记机关")
    found = queries.fact(firm, "industry")
    assert (found.state, found.value) == ("known", "6530")
    assert [(said.source, said.value, said.chosen) for said in found.statements] == [
        ("official", "6530", True), ("officer", "6520", False), ("self", "6510", False),
    ]


def test_equal_rank_in_conflict_is_unknown(officer: Actor) -> None:
    firm = party(officer, 1)
    state(officer, firm, "6510", "official", source_name="甲局")
    state(officer, firm, "6520", "official", source_name="乙局")
    found = queries.fact(firm, "industry")
    assert (found.state, found.value, len(found.statements)) == ("conflict", None, 2)
    state(officer, firm, "6510", "official", source_name="乙局")
    assert queries.fact(firm, "industry").value == "6510"


def test_a_missing_fact_is_missing(officer: Actor) -> None:
    firm = party(officer, 1)
    assert (queries.fact(firm, "industry").state, queries.fact(firm, "industry").value) == ("missing", None)
    state(officer, firm, "6510", "official", observed_on=DAY)
    assert queries.fact(firm, "industry", DAY - timedelta(1)).state == "missing"
    state(officer, firm, None, "official")
    assert queries.fact(firm, "industry").state == "missing"


def test_the_latest_period_counts(officer: Actor) -> None:
    firm = party(officer, 1)
    for year, fen in ((2024, 100), (2025, 0)):
        span = {"period_start": date(year, 1, 1), "period_end": date(year, 12, 31)}
        actions.state_fact(officer, party=firm, code="revenue", value=fen, source="tax", **span)
    found = queries.fact(firm, "revenue")
    assert (found.value, found.period_end) == (0, date(2025, 12, 31))


@pytest.mark.parametrize(
    ("code", "value", "more"),
    [("staff", "12", {}), ("staff", True, {}), ("industry", 6510, {}), ("industry", "", {}), ("nothing", 1, {}),
     ("revenue", 1, {}), ("industry", "1", {"period_start": DAY, "period_end": DAY}),
     ("industry", "1", {"observed_on": date(2999, 1, 1)}), ("founded", "2020-01-01", {})],
)
def test_a_fact_of_the_wrong_kind_is_refused(officer: Actor, code: str, value: Any, more: dict[str, Any]) -> None:
    firm = party(officer, 1)
    with pytest.raises(Invalid):
        actions.state_fact(officer, party=firm, code=code, value=value, source="officer", **more)
    assert not Fact.objects.exists()


def test_nobody_speaks_for_another_source(officer: Actor, people: Any) -> None:
    firm, other = party(officer, 1), party(officer, 2)
    agent = people("agent", f"party:{firm.pk}")
    for target, source in ((firm, "official"), (firm, "tax"), (firm, "officer"), (other, "self")):
        with pytest.raises(Forbidden):
            state(agent, target, "6510", source)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(0, 2)), max_size=12))
def test_precedence_against_the_plain_rule(said: list[tuple[int, int, int]]) -> None:
    """The value is that of the best-ranked source, by its last word; two of one rank must agree."""
    ranks, at = list(precedence.RANK), clock.day_start(DAY)
    rows = [
        precedence.Statement(n, None, value, ranks[rank], str(name), DAY, at)
        for n, (rank, name, value) in enumerate(said)
    ]
    last = {(rank, name): value for rank, name, value in said}
    best = min((rank for rank, _name in last), default=None)
    values = {value for (rank, _name), value in last.items() if rank == best}
    found = precedence.weigh(rows)
    assert found.state == ("missing" if not values else "known" if len(values) == 1 else "conflict")
    assert found.value == (values.pop() if len(values) == 1 else None)


def test_facts_cannot_be_changed(officer: Actor) -> None:
    fact = state(officer, party(officer, 1), "6510", "officer")
    with pytest.raises(Exception, match="append-only"), connection.cursor() as cursor:
        cursor.execute("UPDATE registry_fact SET text = '1' WHERE id = %s", [fact.pk])


def test_searching_takes_few_queries(officer: Actor, django_assert_num_queries: Any) -> None:
    for serial in range(8):
        party(officer, serial, division="330106")
    actor = Actor(officer.user)
    with django_assert_num_queries(3):  # assignments, parties, their roles
        found = list(queries.parties(actor, text="号公司", role="entity", division="330100"))
        assert {role.kind for row in found for role in row.roles_now} == {"entity"}  # type: ignore[attr-defined]
        assert len({str(row.division) for row in found}) == 1
    assert [row.uscc for row in queries.parties(actor, text=uscc.invented(3).lower())] == [uscc.invented(3)]


def test_second_centre_is_refused_by_the_database_too(officer: Actor) -> None:
    a, b = party(officer, 1, kinds=["centre"]), party(officer, 2)
    with pytest.raises(Refused):
        actions.add_role(officer, party=b, kind="centre")
    assert a.has_role("centre")
