"""The built-in roles. They are data, kept in step after each migration; an office may define others beside them.

A module grants its permissions to built-in roles in its `apps.py`:

    roles.grant("officer", "compute.round.publish", "compute.round.clear")

Syncing only adds, so what an office has added by hand to a built-in role stays.
"""

from typing import Any

from huoshui.base import access
from huoshui.base.models import Role

BUILT_IN = {
    "agent": "经办人",
    "operator": "算力运营方",
    "officer": "中心专员",
    "bank": "银行专员",
    "auditor": "审计员",
    "administrator": "系统管理员",
}
PARTY_KIND_OF_ROLE = {"agent": "entity", "operator": "operator", "bank": "bank"}
"""A role within `party:ID` needs a party of this kind."""
_granted: dict[str, set[str]] = {code: set() for code in BUILT_IN}


def grant(role: str, *permissions: str) -> None:
    """Give permissions to a built-in role. Raises KeyError for another role, LookupError for an unknown permission."""
    for permission in permissions:
        if permission not in access.permissions:
            raise LookupError(f"permission {permission} is not registered")
    _granted[role].update(permissions)


def sync(using: str = "default", **_kwargs: Any) -> None:
    """Create the built-in roles and add what was granted (called after each migration)."""
    for code, title in BUILT_IN.items():
        role, _created = Role.objects.using(using).get_or_create(code=code, defaults={"title": title})
        missing = _granted[code].difference(role.permissions)
        if missing:
            role.permissions = sorted(missing.union(role.permissions))
            role.save(using=using, update_fields=["permissions"])
