"""What tests of the compute desk may use beside the common fixtures."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from django.db import transaction
from tests.compute.world import World, build


@pytest.fixture
def world(db: None) -> World:
    """A small compute bank under the demo terms (see tests/compute/world.py)."""
    return build()


@pytest.fixture
def undone(db: None) -> Callable[[], AbstractContextManager[None]]:
    """`with undone(): …` leaves no trace in the database: one example of a property test."""

    @contextmanager
    def block() -> Iterator[None]:
        with transaction.atomic():
            yield
            transaction.set_rollback(True)

    return block
