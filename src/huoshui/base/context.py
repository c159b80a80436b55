"""What every page may use: the navigation, the actor, the demo mark."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from huoshui.base import nav
from huoshui.base.requests import actor_of


def page(request: HttpRequest) -> dict[str, Any]:
    """Context processor."""
    if not hasattr(request, "user"):
        return {"demo": settings.DEMO}
    return {
        "demo": settings.DEMO,
        "actor": actor_of(request),
        "navigation": SimpleLazyObject(lambda: nav.entries(actor_of(request))),
    }
