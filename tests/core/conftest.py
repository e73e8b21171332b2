"""What the core's tests share."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from pimpy.wire.family import FAMILIES, Family

settings.register_profile("soak", max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(params=FAMILIES, ids=lambda family: family.name)
def family(request: pytest.FixtureRequest) -> Family:
    """Both families: the code is the same, and so are the tests."""
    found: Family = request.param
    return found
