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
from django.db import IntegrityError, transaction
from django.db.models import Model
from django.utils.translation import gettext as _

from huoshui.base import canonical, clock, log
from huoshui.base.access import Actor, Scoped
from huoshui.base.errors import Conflict
from huoshui.base.models import IdempotencyKey, LogRecord

P = ParamSpec("P")
R = TypeVar("R")
KEY_LENGTH_MAX = 200
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


def action(name: str) -> Callable[[Callable[Concatenate[Act, P], R]], Callable[..., R]]:
    """Make a function an action (see the module's page)."""

    def wrap(function: Callable[Concatenate[Act, P], R]) -> Callable[..., R]:
        @wraps(function)
        def run(actor: Actor, *args: Any, key: str = "", **kwargs: Any) -> R:
            if args:
                raise TypeError(f"{name}: arguments are named")
            act = Act(name, actor, key, clock.now())
            try:
                return _run(act, function, kwargs)
            except IntegrityError:
                # Two callers used the same key at once: the loser finds the winner's answer.
                if not key or _pending.get() is not None or not (found := _answered(act, kwargs)):
                    raise
                return cast(R, found[0])

        run.action_name = name  # type: ignore[attr-defined]
        return run

    return wrap


def _run(act: Act, function: Callable[..., R], kwargs: dict[str, Any]) -> R:
    outermost = _pending.get() is None
    token = _pending.set([]) if outermost else None
    try:
        with transaction.atomic():
            if act.key and (found := _answered(act, kwargs)):
                return cast(R, found[0])
            slot = _claim(act, kwargs) if act.key else None
            result = function(act, **kwargs)
            if not act.checked:
                raise AssertionError(f"{act.name} checked no permission")
            if not act.records and not act.unchanged:
                raise AssertionError(f"{act.name} left no log record")
            if slot is not None:
                slot.response = _to_response(result)
                slot.save(update_fields=["response"])
            if outermost and (pending := _pending.get()):
                log.seal(pending)
            return result
    finally:
        if token is not None:
            _pending.reset(token)


def _claim(act: Act, kwargs: dict[str, Any]) -> IdempotencyKey:
    if len(act.key) > KEY_LENGTH_MAX:
        raise Conflict(_("The idempotency key is longer than %(max)s characters.") % {"max": KEY_LENGTH_MAX})
    return IdempotencyKey.objects.create(
        actor=act.actor.principal,
        action=act.name,
        key=act.key,
        request_digest=canonical.digest(kwargs),
        created_at=clock.real_now(),
    )


def _answered(act: Act, kwargs: dict[str, Any]) -> tuple[Any] | None:
    """The earlier answer under this key, in a tuple, or None. Raises Conflict when the arguments differ."""
    found = IdempotencyKey.objects.filter(actor=act.actor.principal, action=act.name, key=act.key).first()
    if found is None:
        return None
    if found.request_digest != canonical.digest(kwargs):
        raise Conflict(_("The idempotency key “%(key)s” was used with other content.") % {"key": act.key})
    return (_from_response(found.response),)


def _to_response(result: Any) -> Any:
    if isinstance(result, Model):
        return {"model": result._meta.label_lower, "pk": result.pk}
    if isinstance(result, list | tuple):
        return {"list": [_to_response(item) for item in result]}
    return {"value": canonical.plain(result)}


def _from_response(response: Any) -> Any:
    if "model" in response:
        return apps.get_model(response["model"])._default_manager.get(pk=response["pk"])
    if "list" in response:
        return [_from_response(item) for item in response["list"]]
    return response["value"]
