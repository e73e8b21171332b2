"""The scripted cases of the MLDv2 router conformance suite, and their IGMPv3 twins."""

from __future__ import annotations

from pathlib import Path

import mld_script
import pytest

from pimpy.wire.family import FAMILIES, Family

CASES = mld_script.read((Path(__file__).parent / "mld_states.txt").read_text())


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.gmp)
@pytest.mark.parametrize("number", CASES)
def test_case(number: str, family: Family) -> None:
    mld_script.holds(family, CASES[number])
