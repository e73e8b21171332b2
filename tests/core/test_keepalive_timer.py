"""`keepalive-timer`: Keepalive_Period as the configuration has it (RFC 7761 4.11; conformance T12, T15)."""

from __future__ import annotations

import pytest
from asm_stand import AsmStand

from pimpy.wire.family import Family

RP_KEEPALIVE_PERIOD = 3 * 60 + 5
POLL = 30
"""Seconds between two looks at the kernel's counters, which may show the last packet so late."""


@pytest.mark.parametrize("seconds", [60, 300])
def test_T12_a_silent_source_is_forgotten_after_it(family: Family, seconds: int) -> None:
    stand = AsmStand(family)
    stand.configure(keepalive_timer=seconds)
    source = stand.near()
    stand.data(source)
    assert stand.keepalive(source) == seconds
    stand.run(seconds - 0.01)
    assert stand.entry(source) is not None
    stand.run(POLL + 0.02)
    assert stand.entry(source) is None


@pytest.mark.parametrize(("seconds", "stopped"), [(60, RP_KEEPALIVE_PERIOD), (300, 300)])
def test_T15_the_rp_remembers_a_source_that_it_stopped_longer(family: Family, seconds: int, stopped: int) -> None:
    stand = AsmStand(family, rp="me")
    stand.configure(keepalive_timer=seconds)
    source = stand.far()
    stand.register(source)
    assert stand.stops() and stand.keepalive(source) == stopped


def test_T12_the_rp_remembers_a_source_that_it_listens_to_as_long_as_others(family: Family) -> None:
    stand = AsmStand(family, rp="me")
    stand.configure(keepalive_timer=60)
    source = stand.far()
    stand.say("Join(*,G)")
    stand.register(source)
    assert not stand.stops() and stand.keepalive(source) == 60


def test_T12_another_period_holds_from_the_next_packet_on(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.near()
    stand.data(source)
    stand.configure(keepalive_timer=60)
    assert stand.keepalive(source) == 210
    stand.run(100)
    assert stand.keepalive(source) == 110
