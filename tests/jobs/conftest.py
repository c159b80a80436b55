"""What tests of jobs may use beside the common fixtures."""

import pytest
from tests.compute.world import World, build


@pytest.fixture
def world(db: None) -> World:
    """A small compute bank under the demo terms (see tests/compute/world.py): one pool of 1,000 cards."""
    return build()
