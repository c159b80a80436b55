"""Indicators of lists and batches: no data before anything happened, then what happened."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from tests.policy import outreach
from tests.policy.outreach import GRANT, GRANT_FEN, SYSTEM, Town

from huoshui.base import clock
from huoshui.policy import indicators
from huoshui.policy.actions import batches, pushes
from huoshui.policy.models import Application

AT = outreach.NOON + timedelta(days=30)


@pytest.fixture
def town(people: Any) -> Iterator[Town]:
    with outreach.at_noon():
        yield outreach.build(people)


def test_nothing_yet_is_no_data_and_never_zero(town: Town) -> None:
    for compute in (
        indicators.no_form_share, indicators.unclaimed, indicators.told_applied, indicators.unknown_share
    ):
        assert compute(AT) is None


def test_unclaimed_money_falls_as_it_is_given(town: Town) -> None:
    run = town.run()
    assert indicators.unclaimed(AT) == 3 * GRANT_FEN
    assert indicators.unknown_share(AT) == 2_000, "one of five that the pack concerns"
    pushes.push(
        town.officer, run=run, pack=GRANT, reason="qualifies", parties=[party.pk for party in town.good],
    )
    with clock.moved_to(outreach.NOON + timedelta(days=1)):
        batch = batches.propose(town.officer, run=run, pack=GRANT)
        outreach.say(town.good[0], "abnormal", True)
        batches.confirm(town.second, batch=batch)
        list(batches.check_all(SYSTEM, batch))
        assert indicators.unclaimed(AT) == GRANT_FEN, "by the last run: the next one knows better"
        assert indicators.told_applied(AT) == 6_666
        assert indicators.told_applied(outreach.NOON + timedelta(days=2)) is None, "too early to tell"
        assert indicators.no_form_share(AT) == 10_000
        Application.objects.filter(party=town.good[1]).update(channel="applied")
        assert indicators.no_form_share(AT) == 5_000
