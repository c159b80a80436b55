"""What falls due for an entity, from all modules, next first. A module registers a source in its `apps.py`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from huoshui.base.access import Actor
from huoshui.registry.models import Party

DEADLINES_MAX = 50


@dataclass(frozen=True)
class Deadline:
    """One thing that is due: the instant at which it is late, and a translated sentence."""

    due: datetime
    title: str
    url: str = ""
    kind: str = ""


Source = Callable[[Actor, Party], Iterable[Deadline]]
_sources: dict[str, Source] = {}


def register(code: str, source: Source) -> None:
    """Add a source of deadlines (called once, from apps.py)."""
    _sources[code] = source


def upcoming(actor: Actor, party: Party, limit: int = 10) -> list[Deadline]:
    """The next deadlines of all sources, overdue ones first."""
    found = [deadline for source in _sources.values() for deadline in source(actor, party)]
    return sorted(found, key=lambda deadline: deadline.due)[: min(limit, DEADLINES_MAX)]
