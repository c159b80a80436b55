"""What the console's navigation shows. Desks register their entries; a person sees those they may open."""

from dataclasses import dataclass

from django.urls import reverse
from django.utils.functional import Promise

from huoshui.base.access import Actor


@dataclass(frozen=True)
class Entry:
    """One line of the navigation: `group` is the desk, `url_name` the page, `permission` what it takes to see it."""

    group: str | Promise
    title: str | Promise
    url_name: str
    permission: str = ""
    order: int = 100

    @property
    def url(self) -> str:
        return reverse(self.url_name)


_entries: list[Entry] = []


def register(*entries: Entry) -> None:
    """Add entries (called from a desk's apps.py)."""
    _entries.extend(entries)


def entries(actor: Actor) -> dict[str, list[Entry]]:
    """The entries that the actor may open, by group, in order."""
    groups: dict[str, list[Entry]] = {}
    for entry in sorted(_entries, key=lambda entry: entry.order):
        if not entry.permission or actor.can(entry.permission):
            groups.setdefault(str(entry.group), []).append(entry)
    return groups
