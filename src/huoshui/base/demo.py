"""Demo data: each module registers a loader; `load` runs them in order, each in its own steps, all repeatable.

Loaders call actions under keys that begin with `demo/`, so a second load adds nothing and a load that was cut short
goes on where it stopped. They yield sentences that say what was made, and `Progress` while something takes long.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

DEMO_PASSWORD = "huoshui-demo-2026"  # noqa: S105  (of invented people only; an installation in use loads no demo)

@dataclass(frozen=True)
class Progress:
    """How far a long step is; whoever prints may show a bar."""

    phase: str
    done: int
    total: int


Step = str | Progress
Loader = Callable[[], Iterator[Step]]
_loaders: list[tuple[int, Loader]] = []


def register(order: int, loader: Loader) -> None:
    """Add a loader; lower orders run first."""
    _loaders.append((order, loader))


def load() -> Iterator[Step]:
    """Run all loaders; yields what each says."""
    for _order, loader in sorted(_loaders, key=lambda pair: pair[0]):
        yield from loader()
