"""Reads of the desk that more than one face needs: whose match, which applications, documents, decisions."""

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from huoshui.base import access
from huoshui.base.access import Actor
from huoshui.base.errors import Missing
from huoshui.policy.models import Application, FiledMaterial
from huoshui.policy.permissions import READ, REVIEW
from huoshui.registry import uscc
from huoshui.registry.models import Decision, Party, RoleKind

DECISIONS = ("policy.match", "policy.review", "policy.batch", "policy.redemption")


def entities(actor: Actor, text: str = "") -> QuerySet[Party]:
    """The entities whose entitlements the actor may see, by name."""
    found = access.visible(Party.objects.filter(roles__kind=RoleKind.ENTITY).distinct(), actor, READ)
    if text := text.strip():
        found = found.filter(Q(name__icontains=text) | Q(uscc__startswith=uscc.normal(text)))
    return found.select_related("division").order_by("name", "id")


def own_entity(actor: Actor) -> Party | None:
    """The one entity for which the actor acts, None when there are several or none."""
    scopes = actor.scopes(READ)
    keys = access.ids(scopes, "party")
    if len(keys) != 1 or len(scopes) != 1:
        return None
    return Party.objects.select_related("division").filter(pk=keys[0]).first()


def entity(actor: Actor, pk: int) -> Party:
    """A party whose entitlements the actor may see. Raises Missing."""
    return access.get_visible(Party.objects.select_related("division"), actor, READ, pk=pk)


def applications(
    actor: Actor, *, text: str = "", state: str = "", pack: str = "", party: Party | None = None
) -> QuerySet[Application]:
    """Applications that the actor may see, newest first."""
    found = access.visible(Application.objects.all(), actor, READ).select_related("party", "publication")
    found = found.defer("publication__text")
    if text := text.strip():
        found = found.filter(Q(party__name__icontains=text) | Q(party__uscc__startswith=uscc.normal(text)))
    if state:
        found = found.filter(state=state)
    if pack := pack.strip():
        found = found.filter(Q(pack=pack) | Q(publication__title__icontains=pack))
    if party is not None:
        found = found.filter(party=party)
    return found.order_by("-id")


def application(actor: Actor, pk: int) -> Application:
    """One application. Raises Missing."""
    rows = Application.objects.select_related("party__division", "publication", "decision__record", "case", "filing")
    return access.get_visible(rows, actor, READ, pk=pk)


def to_review(actor: Actor) -> QuerySet[Application]:
    """Applications that wait for this officer: to be checked, or to be approved by somebody else than the checker."""
    if not actor.can(REVIEW):
        return Application.objects.none()
    waiting = applications(actor, state=Application.State.SUBMITTED)
    return waiting.exclude(checked_by=actor.principal)


def material(actor: Actor, pk: int) -> FiledMaterial:
    """One document of a filing that the actor may see. Raises Missing."""
    filings = access.visible(Application.objects.all(), actor, READ).values("filing")
    found = FiledMaterial.objects.filter(pk=pk, filing__in=filings).first()
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


def decision(actor: Actor, pk: int) -> Decision:
    """One decision of the desk. Raises Missing."""
    rows = Decision.objects.select_related("party__division", "record").filter(kind__in=DECISIONS)
    return access.get_visible(rows, actor, READ, pk=pk)
