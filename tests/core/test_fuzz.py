"""The fuzzer, with the same chance each time: 20,000 messages of each type (`make fuzz` throws a million)."""

from __future__ import annotations

import pytest
from fuzzing import Fuzzer

from pimpy.wire.family import Family

EACH = 20_000
TYPES = [kind for kind in Fuzzer.TYPES if kind not in ("query", "report")]
"""PIM's; those of IGMP and MLD are among the others that stir up what these meet."""
STIR = 0.05


@pytest.mark.parametrize("kind", TYPES)
def test_messages_of_a_type_do_no_harm(family: Family, kind: str) -> None:
    fuzzer = Fuzzer(family, seed=TYPES.index(kind))
    for _ in range(EACH):
        fuzzer.throw(kind)
        if fuzzer.chance(STIR):
            fuzzer.throw(fuzzer.random.choice(list(Fuzzer.TYPES)))
    fuzzer.check()
    refused = fuzzer.refused(kind)
    assert len(refused) >= 3, f"spoiled ones are refused for different reasons, not for {refused}"
    assert fuzzer.taken(kind) > EACH / 20 or kind == "unknown", "and many get through"
