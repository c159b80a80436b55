"""Reads for the pages of `web`."""

import json
from dataclasses import dataclass
from typing import Any

from django.db.models import Prefetch, Q, QuerySet

from huoshui.base import clock
from huoshui.base.access import EVERYWHERE, Actor
from huoshui.base.actions import MANAGE_PEOPLE, READ_LOG
from huoshui.base.errors import Missing
from huoshui.base.models import Assignment, LogRecord, User
from huoshui.registry.models import Division, Party


def people(actor: Actor, text: str = "") -> QuerySet[User]:
    """All people with their present assignments, for who manages them."""
    actor.require(MANAGE_PEOPLE)
    today = clock.today()
    held = Assignment.objects.filter(Q(until=None) | Q(until__gte=today)).select_related("role").order_by("since", "id")
    found = User.objects.prefetch_related(Prefetch("assignments", held, "held")).order_by("username")
    return found.filter(Q(username__icontains=text) | Q(name__icontains=text)) if text else found


def person(actor: Actor, pk: int) -> User:
    """One person. Raises Missing."""
    found = people(actor).filter(pk=pk).first()
    if found is None:
        raise Missing("")
    return found


def scope_names(scopes: set[str]) -> dict[str, str]:
    """What scopes such as `party:12` and `division:330100` are called; `*` is left to the template."""
    wanted: dict[str, set[str]] = {}
    for scope in scopes - {EVERYWHERE}:
        kind, _colon, which = scope.partition(":")
        wanted.setdefault(kind, set()).add(which)
    named = {f"party:{party.pk}": party.name for party in Party.objects.filter(pk__in=wanted.get("party", ()))}
    divisions = Division.objects.filter(pk__in=wanted.get("division", ()))
    return named | {f"division:{division.pk}": str(division) for division in divisions}


def log_records(actor: Actor, *, who: str = "", action: str = "", subject: str = "") -> QuerySet[LogRecord]:
    """The log, last first. `action` is the beginning of a name, `subject` and `who` are exact labels."""
    actor.require(READ_LOG)
    found = LogRecord.objects.select_related("leaf").order_by("-id")
    if who:
        found = found.filter(Q(actor=who) | Q(actor__startswith=f"{who}/"))
    if action:
        found = found.filter(action__startswith=action)
    return found.filter(subject=subject) if subject else found


@dataclass(frozen=True)
class Reading:
    """A log record as people read it."""

    record: LogRecord
    payload: str
    actor_name: str


def log_record(actor: Actor, pk: int) -> Reading:
    """One record. Raises Missing."""
    record = log_records(actor).filter(pk=pk).first()
    if record is None:
        raise Missing("")
    text = json.dumps(json.loads(record.payload), ensure_ascii=False, indent=2, sort_keys=True)
    return Reading(record, text, actor_names([record]).get(record.actor, record.actor))


def actor_names(records: Any) -> dict[str, str]:
    """Names of the people behind actor labels (`user:3`, `user:3/token:7`)."""
    keys = {
        record.actor: record.actor.split(":")[1].partition("/")[0] for record in records if record.actor[:5] == "user:"
    }
    names = {str(user.pk): str(user) for user in User.objects.filter(pk__in=set(keys.values()))}
    return {label: names.get(key, label) for label, key in keys.items()}
