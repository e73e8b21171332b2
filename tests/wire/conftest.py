"""What all tests of `pimpy.wire` share."""

from __future__ import annotations

import pytest

from pimpy.wire.family import FAMILIES, Family


@pytest.fixture(params=FAMILIES, ids=lambda family: family.name)
def family(request: pytest.FixtureRequest) -> Family:
    """Each test that takes it runs for IPv4 and for IPv6."""
    value = request.param
    assert isinstance(value, Family)
    return value
