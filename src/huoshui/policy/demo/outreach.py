"""Demo of lists and batches."""

from collections.abc import Iterator


def load() -> Iterator[str]:
    yield from ()
