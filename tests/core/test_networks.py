"""Random networks against the oracle: after all mishaps the streams flow where they must, and nowhere else.

PIMPY_NETWORKS=N plays N networks of each family (`make test`: 200, always the same; `make soak`: thousands, new
ones each time). The invariants of `invariants.py` hold after every event of every router. A failure names its seed:
PIMPY_SEED=N plays that network alone.
"""

from __future__ import annotations

import os

import oracle
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from network import Link
from scenario import Scenario, name_of

from pimpy.wire.family import FAMILIES, Family

SOAK = bool(os.environ.get("PIMPY_SOAK"))
NETWORKS = int(os.environ.get("PIMPY_NETWORKS") or (4000 if SOAK else 200))
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
    for link in net.links.values():
        agreed(link)


def agreed(link: Link) -> None:
    """On a link that has settled all believe in one DR, and one is the querier."""
    routers = [
        (port, port.node.router) for port in link.ports.values() if port.running and port.node.router is not None
    ]
    interfaces = [router.pim.interfaces[port.ifindex] for port, router in routers]
    drs = {i.address if i.dr is None else i.dr.address for i in interfaces if not i.passive}
    assert len(drs) <= 1, f"on {link.name} they believe in the DRs {drs}"
    queriers = [port.node.name for port, router in routers if router.memberships[port.ifindex].link.is_querier]
    assert len(queriers) == min(1, len(routers)), f"on {link.name} the queriers are {queriers}"


@pytest.mark.skipif("PIMPY_SEED" in os.environ, reason="one network is asked for")
@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@settings(
    max_examples=max(1, NETWORKS // CHUNKS),
    derandomize=not SOAK,
    database=None,
    phases=[Phase.generate],  # a smaller seed is not a smaller network
    suppress_health_check=list(HealthCheck),
)
@given(number=st.integers(0, 2**24 - 1))
def test_random_networks_end_as_the_oracle_says(family: Family, chunk: int, number: int) -> None:
    play(family, chunk << 24 | number)


def test_the_network_of_pimpy_seed(family: Family) -> None:
    play(family, int(os.environ.get("PIMPY_SEED", "0")))
