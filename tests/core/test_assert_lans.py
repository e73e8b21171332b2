"""Conformance row A23: several routers that could forward onto one LAN, with data (RFC 7761 4.6)."""

from __future__ import annotations

import pytest
from asm_stand import AsmStand
from network import Net

from pimpy.config.model import Config, StaticRp
from pimpy.wire.family import Family, parse_address

T_OVERRIDE = 2.5 + 0.1
"""Seconds in which routers join after an Assert has changed RPF' (4.11, 4.5.4), and what it takes on the way."""


@pytest.mark.parametrize("end", ["good-bye", "crash"])
@pytest.mark.parametrize("threshold", ["infinity", "immediate"])
def test_A23_one_forwarder_on_a_lan_and_another_when_it_dies(family: Family, threshold: str, end: str) -> None:
    net = two_forwarders(family, threshold)
    source, group = net.source("src"), parse_address("239.1.1.1" if family.size == 4 else "ff1e::1")
    for leaf in ("h4", "h5"):
        net.host(leaf).want_any(group)
    net.run(5)
    net.stream(source, group, 1.0)
    assert {net.copies("lan", n) for n in net.stream(source, group, 10.0)} == {1}
    for _ in range(20):
        net.stream(source, group, 30.0, 5.0)
        assert {net.copies("lan", n) for n in net.stream(source, group, 1.0)} == {1}
    (winner,) = [name for name in ("r2", "r3") if "lan" in net.forwards(name, source, group)]
    if end == "crash":
        net.nodes[winner].crash()
        net.stream(source, group, 106, 1.0)
    else:
        net.nodes[winner].shutdown()
        net.stream(source, group, T_OVERRIDE)
    assert {net.copies("lan", n) for n in net.stream(source, group, 5.0)} == {1}
    assert {net.copies(leaf, net.sent) for leaf in ("h4", "h5")} == {1}


@pytest.mark.parametrize("threshold", ["infinity", "immediate"])
def test_A23_U9_who_still_has_state_takes_over_with_the_good_bye(family: Family, threshold: str) -> None:
    """4.6.4: the cancel "will cause any other router that has forwarding state [...] to take over forwarding".

    So it is here, less than a HoldTime after the Assert: the loser has the Joins from before. Later on it has none,
    and RPF' changes due to an Assert, so routers join it within t_override (4.5.4, 4.5.5), not sooner: the row's "1 s"
    is of this case.
    """
    net = two_forwarders(family, threshold)
    source, group = net.source("src"), parse_address("239.1.1.1" if family.size == 4 else "ff1e::1")
    for leaf in ("h4", "h5"):
        net.host(leaf).want_any(group)
    net.run(5)
    net.stream(source, group, 60.0, 0.5)
    (winner,) = [name for name in ("r2", "r3") if "lan" in net.forwards(name, source, group)]
    net.nodes[winner].shutdown()
    net.run(0)
    assert {net.copies("lan", n) for n in net.stream(source, group, 10.0, 0.05)} == {1}
    assert {net.copies(leaf, net.sent) for leaf in ("h4", "h5")} == {1}


def test_A1_F4_A23_what_a_loser_sees_that_forwards_again_is_told_at_once(family: Family) -> None:
    """The kernel tells of a wrong packet once in 3 s: that of the (*,G) Assert must hide neither the first native one
    (F4) nor the one of the (S,G) Assert."""
    stand = AsmStand(family, config=Config(spt_threshold="infinity"))
    source = stand.far()
    stand.say("Join(*,G)")
    stand.data(source, "rpt")
    stand.data(source, "down")
    stand.hear_assert(family.any, (True, 0, 1))
    assert stand.assert_state(None) == "loser" and stand.forwards(source) == set()
    stand.say("Join(S,G)")
    stand.data(source, "up")
    assert stand.forwards(source) == {"down"}
    stand.mark()
    stand.data(source, "down")
    assert [(when, message.rpt) for when, message in stand.asserts()] == [(0.0, False)]
    upcalls = stand.r1.kernel.upcalls
    for _ in range(100):
        stand.data(source, "down")
    assert stand.r1.kernel.upcalls == upcalls, "once"


def two_forwarders(family: Family, threshold: str) -> Net:
    """src - r1 (RP) - r2, r3 - lan - r4, r5: r4 reaches r1 by r2, r5 by r3, so that both forward onto the LAN."""
    net = Net(family)
    net.logging = False
    for name in ("r1", "r2", "r3", "r4", "r5"):
        net.router(name)
    net.link("src", "r1")
    net.link("a", "r1", "r2", p2p=True)
    net.link("b", "r1", "r3", p2p=True)
    net.link("lan", "r2", "r3", "r4", "r5")
    net.link("h4", "r4"), net.link("h5", "r5")
    rp = net.address("src", 1)
    config = Config(rp_addresses=(StaticRp(rp, family.multicast),), spt_threshold=threshold)
    source = net.address("src", 200)
    for node in net.nodes.values():
        node.config = config
    for target in (rp, source):
        net.nodes["r4"].static_route(target, "lan", net.nodes["r2"].address("lan"))
        net.nodes["r5"].static_route(target, "lan", net.nodes["r3"].address("lan"))
    net.start()
    net.run(30)
    return net
