"""Several routers in small scenes: what the lab shows with real kernels, here to the millisecond."""

from __future__ import annotations

from network import Net
from speakers import Channel, Host

from pimpy.wire.family import Address, Family, parse_address
from pimpy.wire.join_prune import JoinPrune


def group(family: Family) -> Address:
    return parse_address("232.1.1.1" if family.size == 4 else "ff3e::8000:1")


def square(family: Family, seed: int = 1) -> tuple[Net, Channel, Host]:
    """The source at r1, the member at r4, and two ways between: over r2 (shorter) and over r3."""
    net = Net(family, seed)
    for name in ("r1", "r2", "r3", "r4"):
        net.router(name)
    net.link("src", "r1")
    for one, other, cost in (("r1", "r2", 1), ("r2", "r4", 1), ("r1", "r3", 2), ("r3", "r4", 2)):
        net.link(f"{one}-{other}", one, other, cost=cost, p2p=True, delay=0.001)
    net.link("lan", "r4")
    channel = net.source("src"), group(family)
    net.start()
    net.run(10)
    host = net.host("lan")
    host.join(channel[1], channel[0])
    net.run(1)
    return net, channel, host


LOWER = {"src", "r1-r2", "r2-r4", "lan"}
UPPER = {"src", "r1-r3", "r3-r4", "lan"}


def test_a_join_crosses_the_network_in_the_time_of_its_links(family: Family) -> None:
    net, channel, host = square(family)
    host.leave(channel[1], channel[0])
    net.run(5)
    assert net.flows(*channel) == {"src"}
    host.join(channel[1], channel[0])
    net.run(0.0)
    assert net.flows(*channel) == {"src"}
    net.run(0.002)
    assert net.flows(*channel) == LOWER


def test_U8_the_stream_moves_with_the_route_and_the_old_branch_is_pruned(family: Family) -> None:
    net, channel, _ = square(family)
    assert net.flows(*channel) == LOWER
    net.set_cost("r2-r4", 9)
    net.run(0.005)
    assert net.flows(*channel) == UPPER, "moved, and the old branch is silent"


def test_J21_U8_the_stream_moves_when_a_link_fails_and_back(family: Family) -> None:
    net, channel, _ = square(family)
    net.set_link("r2-r4", False)
    net.run(0.005)
    assert net.flows(*channel) >= UPPER
    net.set_link("r2-r4", True)
    net.run(10)
    assert net.flows(*channel) == LOWER, "r2 and r4 have greeted each other again (N18)"


def test_U7_N8_a_restarted_router_has_its_joins_back_within_the_override_interval(family: Family) -> None:
    for seed in range(10):
        net, channel, _ = square(family, seed)
        net.nodes["r2"].crash()
        assert net.flows(*channel) == {"src", "r1-r2"}
        net.nodes["r2"].start()
        net.run(5.0)  # its first Hello
        net.run(2.6)
        assert net.flows(*channel) == LOWER, f"seed {seed}"


def test_a_router_that_says_good_bye_is_left_at_once(family: Family) -> None:
    net, channel, _ = square(family)
    net.nodes["r2"].shutdown()
    net.run(0.01)
    assert net.flows(*channel) == {"src"}, "r1 was told by a Prune"
    net.set_cost("r2-r4", 9)
    net.run(0.01)
    assert net.flows(*channel) == UPPER


def lan_of_four(family: Family, seed: int = 1) -> tuple[Net, Channel, dict[str, Host]]:
    """r1 towards the source; r2, r3 and r4 behind it on one LAN, each with a host behind it, and one on the LAN."""
    net = Net(family, seed)
    for name in ("r1", "r2", "r3", "r4"):
        net.router(name)
    net.link("src", "r1")
    net.link("lan", "r1", "r2", "r3", "r4", delay=0.001)
    for number in (2, 3, 4):
        net.link(f"h{number}", f"r{number}")
    net.start()
    net.run(10)
    hosts = {link: net.host(link) for link in ("lan", "h2", "h3", "h4")}
    return net, (net.source("src"), group(family)), hosts


def test_N9_N10_the_dr_of_a_lan_fails_and_the_next_one_serves_the_members(family: Family) -> None:
    net, channel, hosts = lan_of_four(family)
    hosts["lan"].join(channel[1], channel[0])
    net.run(3)
    assert net.flows(*channel) == {"src", "lan"}
    served = [name for name in net.nodes if net.nodes[name].router and net.nodes[name].router.pim.tib.sg]  # type: ignore[union-attr]
    assert served == ["r1", "r2", "r3", "r4"], "all know the member"
    joined = [name for name in served if next(iter(net.nodes[name].router.pim.tib.sg.values())).joined]  # type: ignore[union-attr]
    assert joined == ["r1", "r4"], "the DR, and RPF' that it joined to"
    net.nodes["r4"].crash()
    net.run(105 + 0.1)
    joined = [name for name in ("r2", "r3") if next(iter(net.nodes[name].router.pim.tib.sg.values())).joined]  # type: ignore[union-attr]
    assert joined == ["r3"]
    net.run(300)
    assert net.flows(*channel) == {"src", "lan"}


def joins_on(net: Net, link: str, channel: Channel) -> list[tuple[float, str]]:
    """(time, router) of every Join of a channel on a link."""
    return [
        (when, name)
        for name in net.nodes
        for when, message in net.links[link].pim(name, JoinPrune)
        for group_set in message.groups
        if group_set.group == channel[1] and channel[0] in [source for source, _ in group_set.joins]
    ]


def test_U3_on_a_lan_one_router_joins_for_all(family: Family) -> None:
    net, channel, hosts = lan_of_four(family)
    for link in ("h2", "h3", "h4"):
        hosts[link].join(channel[1], channel[0])
        net.run(5)
    net.links["lan"].forget()
    start = net.now
    net.run(600)
    joins = joins_on(net, "lan", channel)
    assert len(joins) <= 600 / 60 + 3, "three routers, hardly more Joins than of one"
    gaps = [later - sooner for (sooner, _), (later, _) in zip(sorted(joins), sorted(joins)[1:], strict=False)]
    assert max([*gaps, sorted(joins)[0][0] - start]) <= 85
    assert net.flows(*channel) == {"src", "lan", "h2", "h3", "h4"}


def test_U5_J2_who_leaves_a_lan_takes_nothing_from_the_others(family: Family) -> None:
    net, channel, hosts = lan_of_four(family)
    for link in ("h2", "h3"):
        hosts[link].join(channel[1], channel[0])
    net.run(20)
    net.links["lan"].forget()
    hosts["h2"].leave(channel[1], channel[0])
    for _ in range(80):
        net.run(0.1)
        assert "h3" in net.flows(*channel)
    assert [name for _, name in joins_on(net, "lan", channel)] == ["r3"], "one override"
    hosts["h3"].leave(channel[1], channel[0])
    net.run(2.1 + 3.0 + 0.1)
    assert net.flows(*channel) == {"src"}
    assert all(not node.router.pim.tib.sg for node in net.nodes.values() if node.router is not None)


def test_each_router_forwards_a_packet_once(family: Family) -> None:
    net, channel, _ = square(family)
    assert sorted(net.packet(*channel)) == sorted(LOWER), "no link sees it twice"
