"""What a firm was told, for the pages of its match."""

from typing import Any

from django import template
from django.template import Context

from huoshui.base.requests import actor_of
from huoshui.policy import outreach_panel
from huoshui.registry.models import Party

register = template.Library()


@register.simple_tag(takes_context=True)
def told(context: Context, party: Party) -> list[tuple[Any, str]]:
    """`{% told party as messages %}`: what the firm was told lately and has not acted on, each with its sentence."""
    return outreach_panel.messages(actor_of(context["request"]), party)
