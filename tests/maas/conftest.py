"""What tests of the model service may use beside the common fixtures."""

import pytest
from tests.maas.service import Service, build


@pytest.fixture
def service(db: None) -> Service:
    """One provider, one offer, one funded wallet with a key (see tests/maas/service.py)."""
    return build()
