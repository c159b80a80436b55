"""Filters of data, models and endpoints."""

from django import template

from huoshui.jobs.endpoints import fault_words
from huoshui.jobs.models import Endpoint

register = template.Library()
LEVELS: dict[str, str] = {
    Endpoint.State.ASLEEP: "none", Endpoint.State.STARTING: "info", Endpoint.State.READY: "good",
    Endpoint.State.FAILED: "bad", Endpoint.State.CLOSED: "none",
}  # fmt: skip


@register.filter
def endpoint_level(state: str) -> str:
    """Level of an endpoint's state."""
    return LEVELS.get(state, "none")


@register.filter
def endpoint_fault(endpoint: Endpoint) -> str:
    """What is wrong with an endpoint, in words."""
    return fault_words(endpoint)
