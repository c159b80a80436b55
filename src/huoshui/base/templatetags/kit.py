"""Template tags of the page kit."""

from django import template

register = template.Library()
