"""Answering a missing fact: which facts may be answered here, as whom, and in which type. The registry writes it."""

from datetime import date
from typing import Any

from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.base.errors import Missing, invalid
from huoshui.policy.matching import Match, Value
from huoshui.registry import actions as registry
from huoshui.registry import sentences
from huoshui.registry.models import Fact, FactSource, Party
from huoshui.registry.permissions import DECLARE, RECORD_FACT
from huoshui.rules import Field, Stage


def asked(found: Match, column: str) -> tuple[Field, int | None]:
    """The field and year of a column that some pack reads. Raises Missing: nobody states here what nobody asked."""
    known = found.shelf.library.columns(found.on, Stage.ENTITLEMENT)
    if column not in known or known[column][0].of_claim:
        raise Missing(_("No policy asks for this."))
    return known[column]


def may_answer(actor: Actor, party: Party) -> bool:
    """Whether the actor may state facts of the party."""
    return actor.can(RECORD_FACT, party) or actor.can(DECLARE, party)


def state(actor: Actor, *, key: str, party: Party, column: tuple[Field, int | None], value: Value) -> Fact:
    """Record the answer: as the centre's where the actor is its officer, else as the party's own word."""
    field, year = column
    source = FactSource.OFFICER if actor.can(RECORD_FACT, party) else FactSource.SELF
    span = {} if year is None else {"period_start": date(year, 1, 1), "period_end": date(year, 12, 31)}
    return registry.state_fact(
        actor, key=key, party=party, code=field.code, value=value, source=source, observed_on=clock.today(), **span
    )


def typed(value: Any, field: Field) -> Value:
    """A JSON value in the type of its field: there are no dates in JSON. Raises Invalid."""
    if field.kind != "date" or not isinstance(value, str):
        return value
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise invalid("value", value, sentences.sentence("date")) from None
