"""The registry's own lines of the timeline: what the log says was done to a party."""

from collections.abc import Iterator

from django.utils.translation import gettext_lazy as _

from huoshui.base import canonical
from huoshui.base.access import Actor
from huoshui.base.models import LogRecord
from huoshui.registry.models import Party
from huoshui.registry.timeline import Event

TITLES = {
    "registry.party.create": _("Entered in the registry"),
    "registry.party.update": _("Name, code or division changed"),
    "registry.role.add": _("Role added"),
    "registry.role.end": _("Role ended"),
    "registry.relation.add": _("Relation entered"),
    "registry.relation.end": _("Relation ended"),
    "registry.group.join": _("Joined a cluster or park"),
    "registry.group.leave": _("Left a cluster or park"),
    "registry.fact.state": _("Fact stated"),
    "registry.consent.give": _("Consent to the sharing of facts"),
    "registry.consent.withdraw": _("Consent withdrawn"),
    "registry.person.assign": _("A person was given a role"),
    "registry.import.activate": _("Entered or changed by an import"),
}


def events(_actor: Actor, party: Party, limit: int) -> Iterator[Event]:
    """Whoever sees the party sees what the registry did to it. An import stands in the log once, for all its rows."""
    own = LogRecord.objects.filter(subject=canonical.label(party), action__in=TITLES)
    for record in own.order_by("-id")[:limit]:
        yield Event(record.effective_at, str(TITLES[record.action]), kind="registry")
    imported = party.revisions.filter(record__action="registry.import.activate").select_related("record")
    for revision in imported.order_by("-id")[:limit]:
        yield Event(revision.record.effective_at, str(TITLES[revision.record.action]), kind="registry")
