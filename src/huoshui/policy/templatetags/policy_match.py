"""Filters of the match and of applications."""

from django import template

from huoshui.policy.models import Application

register = template.Library()
LEVELS: dict[str, str] = {
    Application.State.SUBMITTED: "info", Application.State.APPROVED: "good", Application.State.REFUSED: "bad",
    Application.State.WITHDRAWN: "none", Application.State.PAID_OUT: "good",
}  # fmt: skip


@register.filter
def application_level(state: str) -> str:
    """The kit's level of an application's state."""
    return LEVELS.get(state, "none")
