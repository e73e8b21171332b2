"""A new run of the daemon takes over what the one before it left (reliability.md 4.3).

The daemon dies with `die()`, which leaves the table and what the sockets receive, and `resume()` starts the next one.
"""

from __future__ import annotations

import pytest
from network import Net
from stand import Stand

from pimpy.config.model import Config, StaticRp
from pimpy.wire.family import Address, Family, parse_address
from pimpy.wire.join_prune import JoinPrune
from pimpy.wire.pim import Assert, Hello


def restart(stand: Stand, gap: float = 0.0) -> None:
    stand.r1.die()
    stand.run(gap)
    stand.mark()
    stand.r1.resume()
    stand.run(0)


def test_Y11_hello_at_once_with_another_generation_id(family: Family) -> None:
    stand = Stand(family)
    stand.joined()
    before = stand.pim_interface().generation_id
    restart(stand)
    for link in ("up", "down"):
        (when, hello), *_ = stand.hellos(link)
        assert when == 0.0 and hello.generation_id not in (None, before)


def test_members_are_asked_at_once(family: Family) -> None:
    stand = Stand(family, down=())
    restart(stand)
    asked = [when for when, name, packet in stand.down.log if name == "r1" and packet.protocol == family.gmp]
    assert asked[0] == stand.net.now


def test_what_is_confirmed_is_never_removed(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined()
    before = stand.r1.kernel.mfc.copy()
    restart(stand, 0.4)
    assert stand.forwards(channel) == {"down"} and stand.r1.kernel.mfc == before
    stand.run(2.5)
    for _ in range(50):
        stand.peer("down", 2).join(stand.us(), channel)
        stand.run(4)
        assert stand.forwards(channel) == {"down"}
    assert stand.router.adoption is None and stand.router.health.swept == 0


def test_a_join_that_nobody_repeats_ends_with_its_hold_time(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined()
    restart(stand)
    stand.run(205)
    assert stand.forwards(channel) == {"down"}
    stand.run(5)
    assert stand.forwards(channel) == set() and channel not in stand.r1.kernel.mfc
    assert stand.router.health.swept == 1 and stand.router.adoption is None


def test_a_neighbour_that_said_all_it_wants_ends_the_rest(family: Family) -> None:
    """66 s after its first Join/Prune (1.1 intervals): that one proves nothing, as Joins are spread over time."""
    stand = Stand(family)
    first, second = stand.joined(1, 2)
    restart(stand)
    stand.peer("down", 2).hello()
    stand.run(1)
    stand.peer("down", 2).join(stand.us(), first)
    stand.run(60)
    stand.peer("down", 2).join(stand.us(), first)
    assert stand.forwards(first) == stand.forwards(second) == {"down"}
    stand.run(7)
    assert stand.forwards(first) == {"down"} and stand.forwards(second) == set()


def test_a_member_that_answers_stays_and_one_that_left_is_gone_in_45_s(family: Family) -> None:
    stand = Stand(family, down=())
    stays, leaves = stand.channel(1), stand.channel(2)
    here, gone = stand.host(number=100), stand.host(number=101)
    here.join(stays[1], stays[0])
    gone.join(leaves[1], leaves[0])
    stand.run(3)
    assert stand.forwards(leaves) == {"down"}
    stand.r1.die()
    stand.down.hosts.remove(gone)
    stand.run(1)
    stand.mark()
    stand.r1.resume()
    while stand.now < 44:
        stand.run(1)
        assert stand.forwards(stays) == stand.forwards(leaves) == {"down"}
    stand.run(1)
    assert stand.forwards(stays) == {"down"} and stand.forwards(leaves) == set()


def test_one_lost_query_costs_a_member_nothing(family: Family) -> None:
    stand = Stand(family, down=())
    channel = stand.channel()
    stand.host().join(channel[1], channel[0])
    stand.run(3)
    stand.r1.die()
    stand.mark()
    stand.down.loss = 1.0
    stand.r1.resume()
    stand.run(5)
    stand.down.loss = 0.0
    for _ in range(100):
        stand.run(1)
        assert stand.forwards(channel) == {"down"}


@pytest.mark.parametrize("neighbours", [1, 2])
def test_a_prune_ends_what_is_held(family: Family, neighbours: int) -> None:
    """At once where nobody else can want it, or else after the time to override it (J2)."""
    stand = Stand(family, down=range(2, 2 + neighbours))
    channel, other = stand.joined(1, 2)
    restart(stand)
    for number in range(2, 2 + neighbours):
        stand.peer("down", number).hello()
    stand.peer("down", 2).prune(stand.us(), channel)
    stand.run(0)
    assert stand.forwards(channel) == (set() if neighbours == 1 else {"down"})
    stand.run(3.1)
    assert stand.forwards(channel) == set() and stand.forwards(other) == {"down"}


def test_a_prune_is_overridden_while_entries_are_held(family: Family) -> None:
    stand = Stand(family, down=(2, 3))
    (channel,) = stand.joined()
    restart(stand)
    stand.peer("down", 2).hello()
    stand.peer("down", 3).hello()
    stand.peer("down", 2).prune(stand.us(), channel)
    stand.run(1)
    stand.peer("down", 3).join(stand.us(), channel)
    stand.run(60)
    assert stand.forwards(channel) == {"down"}


def test_an_assert_of_another_forwarder_ends_what_is_held(family: Family) -> None:
    stand = Stand(family, down=(2,))
    (channel,) = stand.joined()
    restart(stand)
    stand.peer("down", 2).hello()
    stand.peer("down", 2).send(Assert(channel[1], channel[0], False, 100, 10))
    stand.run(0)
    assert stand.forwards(channel) == set()


def test_the_incoming_interface_follows_rpf_at_once(family: Family) -> None:
    stand = Stand(family)
    stand.net.link("side", "r1")
    stand.run(10)
    (channel,) = stand.joined()
    stand.r1.die()
    stand.r1.static_route(channel[0], "side", stand.net.link_local("side", 9))
    stand.r1.resume()
    stand.run(0)
    assert stand.r1.kernel.mfc[channel] == (stand.r1.vif("side"), 1 << (stand.r1.vif("down") or 0))


def test_messages_of_the_gap_are_heard(family: Family) -> None:
    """A Join and a report that came while nobody was there: served as soon as somebody is."""
    stand = Stand(family)
    old, new, wanted = stand.channel(1), stand.channel(2), stand.channel(3)
    stand.joined(1)
    stand.r1.die()
    stand.peer("down", 2).hello()
    stand.peer("down", 2).join(stand.us(), old, new)
    stand.host().join(wanted[1], wanted[0])
    stand.run(0.3)
    stand.r1.resume()
    stand.run(0.01)
    assert [stand.forwards(channel) for channel in (old, new, wanted)] == [{"down"}] * 3


def test_an_interface_that_is_gone_is_purged_before_its_vif_is_used_again(family: Family) -> None:
    stand = Stand(family)
    stand.net.link("side", "r1")
    stand.run(10)
    stand.peer("side", 4).hello()
    (channel,) = stand.joined()
    stand.peer("side", 4).join(stand.us("side"), channel)
    stand.run(0)
    assert stand.forwards(channel) == {"down", "side"}
    vif = stand.r1.vif("side")
    stand.r1.die()
    stand.r1.detach("side")
    stand.net.link("fresh", "r1")
    stand.r1.resume()
    stand.run(1)
    assert stand.r1.vif("fresh") == vif, "the index is free again"
    assert stand.forwards(channel) == {"down"}, "and the old entry does not leak into it"


def test_disabled_interfaces_are_left(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined()
    stand.r1.die()
    stand.r1.config = Config(phyints_enabled=False)
    stand.r1.resume()
    stand.run(1)
    assert not stand.r1.kernel.mfc and not stand.r1.kernel.vifs
    assert channel not in stand.r1.kernel.mfc


def test_an_unwanted_stream_stays_unwanted(family: Family) -> None:
    stand = Stand(family)
    channel = stand.channel(7)
    stand.data(channel)
    assert stand.r1.kernel.mfc[channel] == (stand.r1.vif("up"), 0)
    restart(stand)
    for _ in range(30):
        stand.data(channel)
        assert stand.r1.kernel.mfc[channel] == (stand.r1.vif("up"), 0)
        stand.run(1)
    stand.run(31)
    assert channel not in stand.r1.kernel.mfc


def test_what_cannot_be_ours_is_removed(family: Family) -> None:
    """Entries of groups that no router forwards, vifs of nobody: somebody else's, and they go."""
    stand = Stand(family)
    (channel,) = stand.joined()
    stand.r1.die()
    kernel = stand.r1.kernel
    kernel.mfc[channel[0], family.all_pim_routers] = (0, 2)
    kernel.vifs[17] = (999, 1)
    kernel.vifs[31] = (998, 1)  # where the register tunnel belongs
    stand.r1.resume()
    stand.run(0)
    assert set(kernel.mfc) == {channel} and 17 not in kernel.vifs and 31 not in kernel.vifs


def test_an_empty_table_is_an_ordinary_start(family: Family) -> None:
    stand = Stand(family)
    stand.r1.crash()
    stand.r1.resume()
    stand.run(1)
    assert stand.router.adoption is None and stand.router.health.adopted == 0
    stand.peer("down", 2).hello()
    (channel,) = stand.joined()
    assert stand.forwards(channel) == {"down"}


# Whole networks, under traffic.


def chain(family: Family) -> tuple[Net, Address]:
    """src - r1 - r2 - r3 - lan, with a stream's source."""
    net = Net(family)
    for name in ("r1", "r2", "r3"):
        net.router(name)
    net.link("src", "r1")
    net.link("a", "r1", "r2")
    net.link("b", "r2", "r3")
    net.link("lan", "r3")
    return net, net.source("src")


def assert_all_once(net: Net, numbers: range) -> None:
    wrong = {number: net.copies("lan", number) for number in numbers if net.copies("lan", number) != 1}
    assert not wrong, f"{len(wrong)} of {len(numbers)} packets did not arrive once: {dict(list(wrong.items())[:10])}"


@pytest.mark.parametrize("router", ["r1", "r2", "r3"])
@pytest.mark.parametrize("gap", [0.3, 2.0])
def test_a_source_specific_stream_loses_nothing(family: Family, router: str, gap: float) -> None:
    net, source = chain(family)
    group = parse_address("232.1.1.1" if family.size == 4 else "ff3e::8000:1")
    host = net.host("lan")
    net.start()
    net.run(40)
    host.join(group, source)
    net.stream(source, group, 20)
    first = net.sent + 1
    for _ in range(3):
        net.nodes[router].die()
        net.stream(source, group, gap)
        net.nodes[router].resume()
        net.run(0)
        net.stream(source, group, 100)
    assert_all_once(net, range(first, net.sent + 1))


@pytest.mark.parametrize("rp", ["r1", "r2", "r3"])
@pytest.mark.parametrize("router", ["r1", "r2", "r3"])
def test_an_any_source_stream_loses_nothing(family: Family, router: str, rp: str) -> None:
    net, source = chain(family)
    group = parse_address("239.1.1.1" if family.size == 4 else "ff1e::1")
    link = {"r1": "src", "r2": "b", "r3": "lan"}[rp]
    address = net.address(link, net.nodes[rp].number)
    for node in net.nodes.values():
        node.config = Config(rp_addresses=(StaticRp(address, family.multicast),))
    host = net.host("lan")
    net.start()
    net.run(40)
    host.want_any(group)
    net.run(5)
    net.stream(source, group, 20)
    first = net.sent + 1
    for _ in range(2):
        net.nodes[router].die()
        net.stream(source, group, 0.5)
        net.nodes[router].resume()
        net.run(0)
        net.stream(source, group, 120, 0.2)
    assert_all_once(net, range(first, net.sent + 1))


@pytest.mark.parametrize("router", ["r1", "r2", "r3"])
def test_registers_under_way_are_late_and_not_lost(family: Family, router: str) -> None:
    """The RP never joins towards the source: all of the stream goes in Registers, by way of the daemon at r1."""
    net, source = chain(family)
    group = parse_address("239.1.1.1" if family.size == 4 else "ff1e::1")
    rp = net.address("b", net.nodes["r2"].number)
    for node in net.nodes.values():
        node.config = Config(rp_addresses=(StaticRp(rp, family.multicast),), spt_threshold="infinity")
    host = net.host("lan")
    net.start()
    net.run(40)
    host.want_any(group)
    net.run(5)
    net.stream(source, group, 20)
    first = net.sent + 1
    for _ in range(2):
        net.nodes[router].die()
        net.stream(source, group, 0.5)
        net.nodes[router].resume()
        net.run(0)
        net.stream(source, group, 60, 0.2)
    net.run(1)
    assert_all_once(net, range(first, net.sent + 1))


def test_routers_say_the_joins_of_a_restarted_neighbour_again(family: Family) -> None:
    net, source = chain(family)
    group = parse_address("232.1.1.1" if family.size == 4 else "ff3e::8000:1")
    host = net.host("lan")
    net.start()
    net.run(40)
    host.join(group, source)
    net.run(20)
    net.nodes["r2"].die()
    net.run(0.3)
    began = net.now
    net.links["b"].forget()
    net.nodes["r2"].resume()
    net.run(5)
    joins = [when for when, message in net.links["b"].pim("r3", JoinPrune) if message.groups]
    hellos = [when for when, _ in net.links["b"].pim("r2", Hello)]
    assert hellos[0] == began and joins and joins[0] <= began + 2.5
    assert net.nodes["r2"].router is not None and net.nodes["r2"].router.adoption is None
