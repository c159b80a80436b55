"""Who may do what to which object.

A permission is a dotted word that a module registers (`compute.request.submit`). A role is a set of permissions, an
assignment gives a role to a person within a scope: `*` or the name of one object of the layers above, such as
`party:12`. An object says which scopes it lies in (`access_scopes()`); a model says which rows lie in given scopes
(`scope_filter(scopes)`). A row that one may not see looks exactly like one that does not exist.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeVar

from django.db import models
from django.db.models import Q
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.errors import Forbidden, Missing
from huoshui.base.models import Assignment, Token, User

EVERYWHERE = "*"
permissions: dict[str, str | Promise] = {}
_everywhere_only: set[str] = set()


def register(code: str, title: str | Promise, *, everywhere_only: bool = False) -> str:
    """Declare a permission; returns its code.

    `everywhere_only`: it is about what concerns everybody, such as a round or a publication, so it counts for nothing
    when it is held in a part of the scopes.
    """
    permissions[code] = title
    if everywhere_only:
        _everywhere_only.add(code)
    return code


class Scoped(Protocol):
    def access_scopes(self) -> set[str]: ...


@dataclass(frozen=True)
class InScope:
    """Stands for a scope itself: `*` is reached only by what is held everywhere."""

    scope: str

    def access_scopes(self) -> set[str]:
        return {self.scope} - {EVERYWHERE}


WHOLE = InScope(EVERYWHERE)
"""What concerns everybody: open only to who holds a permission everywhere."""


@dataclass(frozen=True)
class Actor:
    """Who acts: a person, a person's token, or the system itself (which may do everything)."""

    user: User | None = None
    token: Token | None = None
    system: str = ""

    @property
    def label(self) -> str:
        if self.system:
            return f"system:{self.system}"
        if self.user is None or self.user.pk is None:
            return "anonymous"
        return f"user:{self.user.pk}" + (f"/token:{self.token.pk}" if self.token else "")

    @property
    def principal(self) -> str:
        """The owner of idempotency keys: tokens of one person share them with that person."""
        return self.label.partition("/")[0]

    @property
    def limited_to(self) -> str:
        """The one scope that the actor's token is limited to; empty: none."""
        return self.token.scope if self.token else ""

    @cached_property
    def _grants(self) -> list[tuple[frozenset[str], str]]:
        if self.user is None or self.user.pk is None or not self.user.is_active:
            return []
        today = clock.today()
        rows = Assignment.objects.filter(user=self.user, since__lte=today).filter(
            Q(until__isnull=True) | Q(until__gte=today)
        )
        return [(frozenset(row.role.permissions), row.scope) for row in rows.select_related("role")]

    def scopes(self, permission: str) -> set[str]:
        """Scopes in which the actor holds the permission."""
        if permission not in permissions:
            raise LookupError(f"permission {permission} is not registered")
        if self.system:
            return {EVERYWHERE}
        if self.token is not None and permission not in self.token.permissions:
            return set()
        held = {scope for granted, scope in self._grants if permission in granted}
        return held & {EVERYWHERE} if permission in _everywhere_only else held

    def can(self, permission: str, obj: Scoped | None = None) -> bool:
        """True when the permission is held everywhere or, given an object, in one of its scopes.

        Without an object: true when it is held anywhere (to show a page or a button). A token that is limited to one
        object reaches only what lies in that object's scope too.
        """
        scopes = self.scopes(permission)
        if obj is None:
            return bool(scopes) and not self.limited_to
        reached = obj.access_scopes()
        return (EVERYWHERE in scopes or bool(scopes & reached)) and (not self.limited_to or self.limited_to in reached)

    def require(self, permission: str, obj: Scoped | None = None) -> None:
        """Raises Forbidden unless `can`."""
        if not self.can(permission, obj):
            raise Forbidden(_("You may not do this: %(what)s") % {"what": permissions[permission]})


ANONYMOUS = Actor()


def system(name: str) -> Actor:
    """The platform acting by itself: a worker, an import, a clock."""
    return Actor(system=name)


M = TypeVar("M", bound=models.Model)


def visible(queryset: "models.QuerySet[M]", actor: Actor, permission: str) -> "models.QuerySet[M]":
    """The rows in which the actor holds the permission. The model's `scope_filter(scopes) -> Q` says how."""
    scopes = actor.scopes(permission)
    if not scopes:
        return queryset.none()
    model: Any = queryset.model
    if actor.limited_to:
        queryset = queryset.filter(model.scope_filter({actor.limited_to}))
    return queryset if EVERYWHERE in scopes else queryset.filter(model.scope_filter(scopes))


def get_visible(queryset: "models.QuerySet[M]", actor: Actor, permission: str, **lookup: Any) -> M:
    """One visible row. Raises Missing both for a row that does not exist and for one that is not the actor's."""
    row = visible(queryset, actor, permission).filter(**lookup).first()
    if row is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return row


def ids(scopes: set[str], kind: str) -> list[int]:
    """Primary keys out of scopes such as `party:12`."""
    return [int(scope.split(":", 1)[1]) for scope in scopes if scope.startswith(f"{kind}:")]
