"""The permissions of cases and which built-in role holds them."""

from django.utils.translation import gettext_lazy as _

from huoshui.base import access
from huoshui.registry import roles

READ = access.register("cases.read", _("see cases"))
OPEN = access.register("cases.open", _("open cases and take part in one's own"))
HANDLE = access.register("cases.handle", _("handle cases"))
SUPERVISE = access.register("cases.supervise", _("supervise cases and extend their deadlines"))


def grant() -> None:
    """Give the built-in roles what they need."""
    for role in ("agent", "operator", "bank"):
        roles.grant(role, READ, OPEN)
    roles.grant("officer", READ, OPEN, HANDLE, SUPERVISE)
    roles.grant("auditor", READ)
