"""What the core's tests share."""

from __future__ import annotations

import pytest

from pimpy.wire.family import FAMILIES, Family


@pytest.fixture(params=FAMILIES, ids=lambda family: family.name)
def family(request: pytest.FixtureRequest) -> Family:
    """Both families: the code is the same, and so are the tests."""
    found: Family = request.param
    return found
