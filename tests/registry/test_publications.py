"""A publication takes two people, is never changed, and is found by the day on which it applies."""

from datetime import date
from typing import Any

import pytest

from huoshui import rules, terms
from huoshui.base.access import Actor
from huoshui.base.errors import Conflict, Forbidden, Invalid, Missing, Refused
from huoshui.registry import actions, demo, queries, sentences
from huoshui.registry.models import FactType, Publication

pytestmark = pytest.mark.django_db


def rates(identifier: str = "lpr-test", since: str = "2026-01-01", supersedes: str = "", bps: int = 300) -> str:
    return f"""
kind: rate_series
id: {identifier}
title: 测试利率
authority: 测试
source: tests
status: in_force
effective_from: {since}
supersedes: {supersedes}
body:
  basis: year
  known_through: 2026-12-31
  points:
    - {{from: 2026-01-01, bps: {bps}}}
"""


@pytest.fixture
def two(people: Any) -> tuple[Actor, Actor]:
    return people("officer"), people("officer")


def in_force(two: tuple[Actor, Actor], text: str) -> Publication:
    first, second = two
    publication = actions.submit_publication(first, text=text)
    actions.review_publication(second, publication=publication)
    return actions.activate_publication(second, publication=publication)


def test_every_shipped_publication_can_be_submitted(two: tuple[Actor, Actor]) -> None:
    shipped = list(demo._shipped())
    assert shipped
    for path in shipped:
        actions.submit_publication(two[0], text=path.read_text())


def test_the_submitter_cannot_review(two: tuple[Actor, Actor]) -> None:
    publication = actions.submit_publication(two[0], text=rates())
    with pytest.raises(Refused, match="."):
        actions.review_publication(two[0], publication=publication)
    with pytest.raises(Conflict):
        actions.activate_publication(two[1], publication=publication)
    with pytest.raises(Missing):
        queries.publication_in_force("rate_series", "lpr-test", date(2026, 2, 1))


def test_it_is_in_force_from_its_date_and_loads(two: tuple[Actor, Actor]) -> None:
    publication = in_force(two, rates())
    found = queries.publication_in_force("rate_series", "lpr-test", date(2026, 1, 1))
    assert found == publication
    assert isinstance(found.loaded(), terms.RateSeries)
    with pytest.raises(Missing):
        queries.publication_in_force("rate_series", "lpr-test", date(2025, 12, 31))


def test_a_successor_takes_over_on_its_day(two: tuple[Actor, Actor]) -> None:
    old = in_force(two, rates())
    new = in_force(two, rates("lpr-next", "2026-07-01", supersedes="lpr-test"))
    assert queries.publication_in_force("rate_series", "lpr-test", date(2026, 6, 30)) == old
    assert queries.publication_in_force("rate_series", "lpr-test", date(2026, 7, 1)) == new
    assert list(queries.publications_in_force("rate_series", date(2026, 7, 1))) == [new]
    with pytest.raises(Refused):
        in_force(two, rates("lpr-other", "2026-06-01", supersedes="lpr-next"))


def test_a_corrected_text_of_the_same_day_replaces_the_first(two: tuple[Actor, Actor]) -> None:
    in_force(two, rates())
    new = in_force(two, rates(bps=310))
    assert queries.publication_in_force("rate_series", "lpr-test", date(2026, 3, 1)) == new


def test_bad_documents_are_named(two: tuple[Actor, Actor]) -> None:
    with pytest.raises(Invalid) as caught:
        actions.submit_publication(two[0], text=rates().replace("effective_from: 2026-01-01", "effective_from: soon"))
    assert caught.value.problems[0].field == "effective_from"
    actions.submit_publication(two[0], text=rates())
    with pytest.raises(Invalid):
        actions.submit_publication(two[0], text=rates())


def test_a_draft_can_be_withdrawn_with_a_reason(two: tuple[Actor, Actor], people: Any) -> None:
    publication = actions.submit_publication(two[0], text=rates())
    with pytest.raises(Invalid):
        actions.withdraw_publication(two[1], publication=publication, reason=" ")
    with pytest.raises(Forbidden):
        actions.withdraw_publication(people("agent", "party:1"), publication=publication, reason="x")
    actions.withdraw_publication(two[1], publication=publication, reason="typo")
    with pytest.raises(Conflict):
        actions.review_publication(two[1], publication=publication)


def test_a_changed_text_does_not_load(two: tuple[Actor, Actor]) -> None:
    publication = in_force(two, rates())
    publication.text = rates("lpr-forged")
    publication.digest = "0" * 64
    with pytest.raises(ValueError, match="digest"):
        publication.loaded()


PACK = """
kind: rule_pack
id: test-pack
title: 测试规则
authority: 测试
source: tests
status: in_force
effective_from: 2026-01-01
body:
  fields:
    - {code: test.mark, title: 测试标记, kind: boolean}
  audience:
    text: 全部企业
  criteria:
    - id: mark
      title: 有标记
      kind: hard
      clause: 第一条
      quote: 有标记
      test: {op: is, of: test.mark, value: true}
"""


def test_every_rule_of_packs_has_a_sentence() -> None:
    assert set(rules.RULES) <= set(sentences.RULES)


def test_a_bad_pack_is_refused_in_words(two: tuple[Actor, Actor]) -> None:
    text = PACK.replace("of: test.mark", "of: no.such")
    with pytest.raises(Invalid) as refused:
        actions.submit_publication(two[0], text=text)
    [problem] = refused.value.problems
    assert problem.value == "no.such"
    assert problem.rule == sentences.sentence("field_unknown") != "field_unknown"


def test_a_pack_brings_its_own_kinds_of_facts(two: tuple[Actor, Actor]) -> None:
    first, second = two
    publication = actions.submit_publication(first, text=PACK)
    actions.review_publication(second, publication=publication)
    assert not FactType.objects.filter(code="test.mark").exists()
    actions.activate_publication(second, publication=publication)
    kind = FactType.objects.get(code="test.mark")
    assert (kind.title, kind.kind, kind.periodic) == ("测试标记", "bool", False)
