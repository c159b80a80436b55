"""Drafts among what waits for a person."""

from collections.abc import Iterator

from django.urls import reverse
from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.cases.todo import TODO_PER_SOURCE_MAX, Todo
from huoshui.mcp import queries


def waiting(actor: Actor) -> Iterator[Todo]:
    """Drafts that the person can still confirm."""
    for draft in queries.waiting(actor)[:TODO_PER_SOURCE_MAX]:
        title = _("Look at draft %(number)s of “%(token)s”") % {"number": draft.number, "token": draft.token.name}
        due = clock.local(draft.expires_at).date()
        yield Todo(title, reverse("mcp:draft", args=[draft.pk]), due, 1, _("draft"))
