"""A firm with an agent, two officers, and a case of theirs."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from huoshui.base.access import Actor
from huoshui.cases import actions
from huoshui.cases.models import Case, CaseEvent
from huoshui.registry.models import Party, PartyRole


@pytest.fixture
def firm(db: None) -> Party:
    return Party.objects.create(name="示例一号机械厂")


@pytest.fixture
def other_firm(db: None) -> Party:
    return Party.objects.create(name="示例二号纺织厂")


@pytest.fixture
def bureau(db: None) -> Party:
    party = Party.objects.create(name="示例市经信局")
    PartyRole.objects.create(party=party, kind="institution", since=date(2020, 1, 1))
    return party


@pytest.fixture
def agent(people: Any, firm: Party) -> Actor:
    return people("agent", f"party:{firm.pk}")


@pytest.fixture
def officer(people: Any) -> Actor:
    return people("officer")


@pytest.fixture
def colleague(people: Any) -> Actor:
    return people("officer")


@pytest.fixture
def case(agent: Actor, firm: Party) -> Case:
    return actions.open_case(agent, key="t/1", kind="service.question", party=firm, title="额度何时生效", body="请问")


Does = Callable[..., CaseEvent]


@pytest.fixture
def does(case: Case) -> Does:
    """`does(actor, "accepted", text=…)` on the case; the case is read again."""

    def run(actor: Actor, event: str, **named: Any) -> CaseEvent:
        written = actions.add_event(actor, case=case, event=event, **named)
        case.refresh_from_db()
        return written

    return run
