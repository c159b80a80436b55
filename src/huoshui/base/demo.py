"""Demo data: each module registers a loader; `load` runs them in order, each in its own steps, all repeatable.

Loaders call actions under keys that begin with `demo/`, so a second load adds nothing and a load that was cut short
goes on where it stopped. They yield sentences that say what was made.
"""

from collections.abc import Callable, Iterator

Loader = Callable[[], Iterator[str]]
_loaders: list[tuple[int, Loader]] = []


def register(order: int, loader: Loader) -> None:
    """Add a loader; lower orders run first."""
    _loaders.append((order, loader))


def load() -> Iterator[str]:
    """Run all loaders; yields what each says."""
    for _order, loader in sorted(_loaders, key=lambda pair: pair[0]):
        yield from loader()
