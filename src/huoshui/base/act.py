"""How anything is written: one function = idempotency + transaction + permission + change + log record.

    @action("registry.party.create")
    def create_party(act: Act, *, name: str) -> Party:
        act.require("registry.edit")
        party = Party.objects.create(name=name)
        act.record(party, {"name": name})
        return party

    create_party(actor, key="import/7/row/3", name="…")

The caller passes an Actor and, for anything that creates, an idempotency key. The same key with the same arguments
returns the first answer and repeats nothing; with other arguments it raises Conflict. An action that checks no
permission or leaves no record is a programming error and is rolled back. Actions may call actions: they share one
transaction, and the log is sealed once, last.
"""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from django.apps import apps
from django.db import OperationalError, connection, transaction
from django.db.models import Model
from django.utils.translation import gettext as _

from huoshui.base import canonical, clock, log
from huoshui.base.access import Actor, Scoped
from huoshui.base.errors import Conflict, Missing
from huoshui.base.models import IdempotencyKey, LogRecord

P = ParamSpec("P")
R = TypeVar("R")
KEY_LENGTH_MAX = 200
ATTEMPTS_MAX = 4
DEADLOCKS = ("40P01", "40001")
"""SQLSTATE of a detected deadlock and of a serialization failure."""
_pending: ContextVar[list[LogRecord] | None] = ContextVar("pending_log_records", default=None)


@dataclass
class Act:
    """One action under way."""

    name: str
    actor: Actor
    key: str
    at: datetime
    records: list[LogRecord] = field(default_factory=list)
    checked: bool = False
    unchanged: bool = False

    def require(self, permission: str, obj: Scoped | None = None) -> None:
        """Check the permission; raises Forbidden."""
        self.checked = True
        self.actor.require(permission, obj)

    def record(self, subject: Model | str, payload: Any, effective_at: datetime | None = None) -> LogRecord:
        """Write the log record of this change; entries and events cite it."""
        record = log.write(self.actor.label, self.name, subject, payload, effective_at or self.at)
        self.records.append(record)
        cast(list[LogRecord], _pending.get()).append(record)
        return record

    def nothing_changed(self) -> None:
        """Say that the action found everything as it should be already."""
        self.unchanged = True


def action(
    name: str, *, secret: frozenset[str] = frozenset()
) -> Callable[[Callable[Concatenate[Act, P], R]], Callable[..., R]]:
    """Make a function an action (see the module's page). Arguments named in `secret` leave not even a hash."""

    def wrap(function: Callable[Concatenate[Act, P], R]) -> Callable[..., R]:
        @wraps(function)
        def run(actor: Actor, *args: Any, key: str = "", **kwargs: Any) -> R:
            if args:
                raise TypeError(f"{name}: arguments are named")
            for _attempt in range(ATTEMPTS_MAX - 1):
                try:
                    return _run(Act(name, actor, key, clock.now()), function, kwargs, secret)
                except OperationalError as error:
                    # PostgreSQL ends one of two transactions that wait for each other: nothing of it stays.
                    if connection.in_atomic_block or getattr(error.__cause__, "sqlstate", "") not in DEADLOCKS:
                        raise
            return _run(Act(name, actor, key, clock.now()), function, kwargs, secret)

        run.action_name = name  # type: ignore[attr-defined]
        return run

    return wrap


def rehearse(run: Callable[[], R]) -> R:
    """Do what `run` does and take it all back: what it returns says what would happen, what it raises why not.

    Nothing stays, neither rows nor log records; so it must do nothing outside the database.
    """
    token = _pending.set([])
    try:
        with transaction.atomic():
            found = run()
            transaction.set_rollback(True)
        return found
    finally:
        _pending.reset(token)


def _run(act: Act, function: Callable[..., R], kwargs: dict[str, Any], secret: frozenset[str]) -> R:
    outer = _pending.get()
    mine: list[LogRecord] = []
    token = _pending.set(mine)
    try:
        with transaction.atomic():
            told = {name: value for name, value in kwargs.items() if name not in secret}
            slot = _claim(act, told) if act.key else None
            if slot is not None and slot.response is not None:
                return cast(R, _from_response(slot.response))
            result = function(act, **kwargs)
            if not act.checked:
                raise AssertionError(f"{act.name} checked no permission")
            if not act.records and not act.unchanged:
                raise AssertionError(f"{act.name} left no log record")
            if slot is not None:
                slot.response = _to_response(result)
                slot.save(update_fields=["response"])
            if outer is None and mine:
                log.seal(mine)
        if outer is not None:
            outer.extend(mine)  # only now: what an action that failed recorded is rolled back
        return result
    finally:
        _pending.reset(token)


def _claim(act: Act, kwargs: dict[str, Any]) -> IdempotencyKey:
    """The key's row: new (without a response) when the key is ours to use, else with the earlier answer.

    When two callers use a key at once, the database makes the second wait here for the first one's answer.
    Raises Conflict when the arguments differ.
    """
    if len(act.key) > KEY_LENGTH_MAX:
        raise Conflict(_("The idempotency key is longer than %(max)s characters.") % {"max": KEY_LENGTH_MAX})
    name = {"actor": act.actor.principal, "action": act.name, "key": act.key}
    digest = canonical.digest(kwargs)
    claim = IdempotencyKey(**name, request_digest=digest, created_at=clock.real_now())
    IdempotencyKey.objects.bulk_create([claim], ignore_conflicts=True)
    slot = IdempotencyKey.objects.get(**name)
    if slot.request_digest != digest:
        raise Conflict(_("The idempotency key “%(key)s” was used with other content.") % {"key": act.key})
    return slot


def _to_response(result: Any) -> Any:
    if isinstance(result, Model):
        return {"model": result._meta.label_lower, "pk": result.pk}
    if isinstance(result, list | tuple):
        return {"list": [_to_response(item) for item in result]}
    return {"value": canonical.plain(result)}


def _from_response(response: Any) -> Any:
    if "model" in response:
        found = apps.get_model(response["model"])._default_manager.filter(pk=response["pk"]).first()
        if found is None:
            raise Missing(_("What this request once made is no longer there."))
        return found
    if "list" in response:
        return [_from_response(item) for item in response["list"]]
    return response["value"]
