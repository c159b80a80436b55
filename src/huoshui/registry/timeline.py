"""What happened to an entity, from all modules, newest first. A module registers a source in its `apps.py`."""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from huoshui.base.access import Actor
from huoshui.registry.models import Party

EVENTS_MAX = 200


@dataclass(frozen=True)
class Event:
    """One thing that happened. `title` is a translated sentence; `url` leads to it, if anywhere."""

    at: datetime
    title: str
    url: str = ""
    kind: str = ""


Source = Callable[[Actor, Party, int], Iterable[Event]]
"""`source(actor, party, limit)` gives at most `limit` events that the actor may see, newest first."""
_sources: dict[str, Source] = {}


def register(code: str, source: Source) -> None:
    """Add a source of events (called once, from apps.py)."""
    _sources[code] = source


def events(actor: Actor, party: Party, limit: int = 30) -> list[Event]:
    """The latest events of all sources, newest first."""
    limit = min(limit, EVENTS_MAX)
    streams = [sorted(source(actor, party, limit), key=_newest) for source in _sources.values()]
    return list(islice(heapq.merge(*streams, key=_newest), limit))


def _newest(event: Event) -> float:
    return -event.at.timestamp()
