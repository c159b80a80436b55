"""What modules add to the page of an entity (一企一档): panels. A desk registers them in its `apps.py`.

    panels.register(Panel("book.accounts", _("Accounts"), "book/_panel.html", context, permission="book.read"))

`context(actor, party)` returns what the template needs, or None when there is nothing to show.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise

from huoshui.base.access import Actor
from huoshui.registry.models import Party


@dataclass(frozen=True)
class Panel:
    """One panel: a template, and what it shows of a party to an actor."""

    code: str
    title: str | Promise
    template: str
    context: Callable[[Actor, Party], dict[str, Any] | None]
    permission: str = ""
    order: int = 100


_panels: dict[str, Panel] = {}


def register(panel: Panel) -> None:
    """Add a panel (called once, from apps.py)."""
    _panels[panel.code] = panel


def shown(actor: Actor, party: Party) -> Iterator[tuple[Panel, dict[str, Any]]]:
    """The panels that the actor may see of the party, in order, with their contexts."""
    for panel in sorted(_panels.values(), key=lambda panel: (panel.order, panel.code)):
        if panel.permission and not actor.can(panel.permission, party):
            continue
        context = panel.context(actor, party)
        if context is not None:
            yield panel, context
