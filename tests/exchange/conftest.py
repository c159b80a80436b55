"""What tests of the exchange may use beside the common fixtures."""

import pytest
from tests.exchange.bourse import Bourse, build


@pytest.fixture
def bourse(db: None) -> Bourse:
    """A small exchange under the demo terms (see tests/exchange/bourse.py)."""
    return build()
