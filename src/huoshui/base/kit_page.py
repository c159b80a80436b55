"""Sample content of the kit page."""

from typing import Any

from django.http import HttpRequest


def context(request: HttpRequest) -> dict[str, Any]:
    """Everything `base/kit.html` shows."""
    return {}
