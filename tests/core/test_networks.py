"""Random networks against the oracle: after all mishaps the streams flow where they must, and nowhere else.

PIMPY_NETWORKS=N plays N networks of each family (`make test`: 200, `make soak`: thousands). The invariants of
`invariants.py` hold after every event of every router. A failure names its seed: play it again with PIMPY_SEED.
"""

from __future__ import annotations

import os

import oracle
import pytest
from scenario import Scenario, name_of

from pimpy.wire.family import Family

SOAK = 4000
NETWORKS = int(os.environ.get("PIMPY_NETWORKS") or (SOAK if os.environ.get("PIMPY_SOAK") else 200))
CHUNKS = 10
"""Tests that the networks are spread over, so that several processors can share them."""


def play(family: Family, seed: int) -> None:
    """One network from beginning to end."""
    scenario = Scenario(family, seed)
    try:
        scenario.play()
        judge(scenario)
    except Exception as problem:
        story = "\n  ".join(scenario.story)
        raise AssertionError(f"{family.name}, PIMPY_SEED={seed}: {problem}\n  {story}") from problem


def judge(scenario: Scenario) -> None:
    """The set of links on which each stream is present is the oracle's; nothing is left that nobody asked for."""
    world, net = scenario.world(), scenario.net
    wanted = {channel for host in scenario.hosts for channel in host.channels()}
    for channel in scenario.channels:
        expected = oracle.flows(world, name_of(channel), net.sources[channel[0]])
        assert net.flows(*channel) == expected, f"flows on {sorted(net.flows(*channel))}, should on {sorted(expected)}"
        if channel not in wanted:
            assert expected <= {net.sources[channel[0]]}
    for node in net.nodes.values():
        if node.router is not None:
            entries = {(sg.source, sg.group) for sg in node.router.pim.tib.sg.values()}
            assert entries <= wanted, f"{node.name} has state that nobody asked for"
            assert not wanted or set(node.told) <= {source for source, _ in wanted}
        net.packet(*scenario.channels[0])


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_networks_end_as_the_oracle_says(family: Family, chunk: int) -> None:
    alone = os.environ.get("PIMPY_SEED")
    seeds = [int(alone)] if alone else range(chunk, NETWORKS, CHUNKS)
    for seed in seeds:
        play(family, seed)
