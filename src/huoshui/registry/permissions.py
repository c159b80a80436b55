"""The permissions of the registry and which built-in role holds them."""

from django.utils.translation import gettext_lazy as _

from huoshui.base import access
from huoshui.registry import roles

READ = access.register("registry.party.read", _("see parties"))
EDIT = access.register("registry.party.edit", _("edit parties, their roles, relations and groups"))
DECLARE = access.register("registry.fact.declare", _("declare facts about one's own party"))
RECORD_FACT = access.register("registry.fact.record", _("record facts as a centre officer"))
OFFICIAL_FACT = access.register("registry.fact.official", _("record facts from official registers and tax files"))
CONSENT = access.register("registry.consent.give", _("agree to the sharing of facts about one's own party"))
IMPORT = access.register("registry.import.run", _("import files into the registry"))
SUBMIT = access.register("registry.publication.submit", _("submit publications"), everywhere_only=True)
REVIEW = access.register(
    "registry.publication.review", _("review publications of others"), everywhere_only=True
)
ACTIVATE = access.register(
    "registry.publication.activate", _("put reviewed publications in force"), everywhere_only=True
)


def grant() -> None:
    """Give the built-in roles what they need of `registry` and `base`."""
    roles.grant("agent", READ, DECLARE, CONSENT)
    roles.grant("operator", READ, DECLARE, CONSENT)
    roles.grant("bank", READ)
    roles.grant("officer", READ, EDIT, RECORD_FACT, OFFICIAL_FACT, IMPORT, SUBMIT, REVIEW, ACTIVATE)
    roles.grant("auditor", READ, "base.log.read")
    roles.grant("administrator", READ, "base.people.manage")
