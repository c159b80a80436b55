"""Reads of drafts. A draft is its person's own affair: nobody else sees it, and tokens see what their person sees."""

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.base.errors import Missing
from huoshui.mcp.models import Draft


def drafts(actor: Actor) -> QuerySet[Draft]:
    """The actor's drafts, newest first; a token's own ones when a token asks."""
    rows = Draft.objects.filter(user=actor.user).select_related("token")
    return (rows.filter(token=actor.token) if actor.token else rows).order_by("-id")


def waiting(actor: Actor) -> QuerySet[Draft]:
    """Those that can still be confirmed."""
    return drafts(actor).filter(state=Draft.State.OPEN, expires_at__gt=clock.now())


def draft(actor: Actor, pk: int) -> Draft:
    """One of them. Raises Missing."""
    found = drafts(actor).filter(pk=pk).first()
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found
