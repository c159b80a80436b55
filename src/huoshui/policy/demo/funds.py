"""Demo data of public money (written below)."""

from collections.abc import Iterator


def load() -> Iterator[str]:
    yield from ()
