"""What tests of the supermarket may use beside the common fixtures."""

import pytest
from tests.compute.world import World, build, publish

from huoshui.base import clock


@pytest.fixture
def world(db: None) -> World:
    """A small compute bank with one pool of 1,000 cards, and the demo terms of the supermarket in force."""
    made = build()
    with clock.moved_to(clock.instant_of(made.start - 12)):
        publish("market_terms", "demo-2026")
    return made
