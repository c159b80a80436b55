"""Facts of the demo firms that make their matches interesting, and applications in every state."""

from collections.abc import Iterator


def load() -> Iterator[str]:
    """See below."""
    yield from ()
