"""What an agent's token needs besides what it reads."""

from django.utils.translation import gettext_lazy as _

from huoshui.base.access import register

DRAFT = register("mcp.draft", _("prepare drafts that a person confirms"))

BY_ROLE = {"agent": (DRAFT,), "operator": (DRAFT,)}
