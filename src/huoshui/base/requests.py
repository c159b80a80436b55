"""From an HTTP request to the Actor behind it: a signed-in session, or `Authorization: Bearer TOKEN`."""

from django.http import HttpRequest

from huoshui.base import clock
from huoshui.base.access import ANONYMOUS, Actor
from huoshui.base.models import Token
from huoshui.base.secrets import token_digest


def actor_of(request: HttpRequest) -> Actor:
    """The signed-in person; ANONYMOUS otherwise."""
    found: Actor | None = getattr(request, "_actor", None)
    if found is None:
        found = Actor(request.user) if request.user.is_authenticated else ANONYMOUS
        request._actor = found  # type: ignore[attr-defined]
    return found


def bearer(secret: str) -> Actor | None:
    """The actor of an API token, or None when it is unknown, revoked or expired."""
    token = (
        Token.objects.select_related("user")
        .filter(digest=token_digest(secret), revoked_at=None, expires_at__gt=clock.now(), user__is_active=True)
        .first()
    )
    return Actor(token.user, token) if token else None
