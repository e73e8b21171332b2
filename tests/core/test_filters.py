"""Conformance rows Y1, Y5, Y9 and TH18, TH39: whom and what the operator lets in. Without filters everything passes."""

from __future__ import annotations

import pytest
from asm_stand import AsmStand
from digest import digest
from speakers import Channel, group_sets
from stand import Stand

from pimpy.config.model import Config, Phyint
from pimpy.core.engine.events import NoCache
from pimpy.core.interface import REGISTER_VIF
from pimpy.wire import pim
from pimpy.wire.family import Family, Prefix, format_address, parse_address, parse_prefix
from pimpy.wire.join_prune import JoinPrune


def host(address: bytes) -> Prefix:
    return Prefix(address, 8 * len(address))


def elsewhere(family: Family) -> Prefix:
    """A range that holds nobody here."""
    return parse_prefix("198.51.100.0/24" if family.size == 4 else "2001:db8:ffff::/48")


def other_family(family: Family) -> Prefix:
    """A range of the other family: it says nothing of this one."""
    return parse_prefix("198.51.100.0/24" if family.size == 16 else "2001:db8:ffff::/48")


# Neighbours.


def neighbors_allowed(family: Family, *numbers: int) -> Config:
    """On `down` messages are taken from these numbers alone."""
    stand = Stand(family, warm_up=0.0)
    ranges = tuple(host(stand.peer("down", number).address) for number in numbers)
    return Config(phyints=(Phyint("down", neighbor_filter=ranges),))


def test_Y1_TH18_only_neighbours_of_the_filter_are_heard(family: Family) -> None:
    stand = Stand(family, down=(2,), config=neighbors_allowed(family, 2))
    channel = stand.channel()
    three = stand.peer("down", 3)
    before = digest(stand.router)
    three.hello(dr_priority=2**32 - 1)
    three.join(stand.us(), channel)
    three.send(pim.Assert(channel[1], channel[0], False, 0, 0))
    stand.run(0)
    assert digest(stand.router) == before and stand.i_am_dr() and stand.neighbors() == {2}
    assert [stand.counted("nbr_filtered", kind) for kind in ("hello", "join_prune", "assert")] == [1, 1, 1]
    stand.peer("down", 2).join(stand.us(), channel)
    stand.run(0)
    assert stand.forwards(channel) == {"down"} and stand.neighbors("up") == {9}, "the others stay as they were"


def test_Y1_the_filter_of_all_interfaces_holds_where_none_is_named(family: Family) -> None:
    nobody = Config(neighbor_filter=(elsewhere(family),))
    stand = Stand(family, down=(2,), config=nobody)
    assert stand.neighbors() == stand.neighbors("up") == set()
    two = Config(neighbor_filter=(elsewhere(family),), phyints=neighbors_allowed(family, 2).phyints)
    stand = Stand(family, down=(2,), config=two)
    assert stand.neighbors() == {2} and stand.neighbors("up") == set()


def test_Y1_a_filter_of_the_other_family_lets_everybody_in(family: Family) -> None:
    config = Config(neighbor_filter=(other_family(family),), join_filter=(other_family(family),))
    stand = Stand(family, config=config)
    (channel,) = stand.joined()
    assert stand.neighbors() == {2} and stand.forwards(channel) == {"down"}


def test_Y1_who_is_filtered_out_later_goes_at_once(family: Family) -> None:
    stand = Stand(family, down=(2, 3))
    stand.r1.configure(phyints=neighbors_allowed(family, 2).phyints)
    stand.run(0)
    assert stand.neighbors() == {2} and stand.r1.reasons().count("neighbor_down") == 1
    stand.r1.configure(phyints=())
    stand.run(31)
    assert stand.neighbors() == {2, 3}


# Joins.


def joins_allowed(*ranges: Prefix) -> Config:
    return Config(phyints=(Phyint("down", join_filter=ranges),))


def test_Y9_groups_outside_the_filter_are_not_joined(family: Family) -> None:
    good, bad = Stand(family).channel(1), Stand(family).channel(2)
    stand = Stand(family, config=joins_allowed(host(good[1])))
    stand.channel(1), stand.channel(2)
    stand.peer("down", 2).send(JoinPrune(stand.us(), 210, group_sets(joins=(bad, good))))
    stand.run(0)
    assert stand.forwards(good) == {"down"} and stand.entry(bad) is None
    assert stand.counted("jp_filtered") == 1 and stand.said()[-1][2] == good


def test_Y9_nor_are_sources(family: Family) -> None:
    good, bad = Stand(family).channel(1), Stand(family).channel(2)
    stand = Stand(family, config=joins_allowed(host(good[0])))
    stand.channel(1), stand.channel(2)
    stand.peer("down", 2).send(JoinPrune(stand.us(), 210, group_sets(joins=(bad, good))))
    stand.run(0)
    assert stand.forwards(good) == {"down"} and stand.entry(bad) is None and stand.counted("jp_filtered") == 1


def test_Y9_shared_trees_have_groups_alone(family: Family) -> None:
    group = AsmStand(family).group()
    for allowed, expected in ((elsewhere(family), True), (host(group), True), (family.ssm_ranges[0], False)):
        stand = AsmStand(family, config=joins_allowed(allowed))
        stand.say("Join(*,G)")
        assert (stand.star is not None) == expected
        assert stand.counted("jp_filtered") == (not expected)


def test_Y9_prunes_of_a_filtered_group_make_nothing(family: Family) -> None:
    stand = AsmStand(family, config=joins_allowed(family.ssm_ranges[0]))
    stand.far()
    before = digest(stand.router)
    stand.say("Prune(S,G,rpt)", "Prune(*,G)", "Prune(S,G)")
    assert digest(stand.router) == before and stand.counted("jp_filtered") == 1


def test_Y9_a_change_applies_to_what_stands(family: Family) -> None:
    stand = Stand(family, down=(2,))
    one, two, three = stand.joined(1, 2, 3)
    stand.r1.configure(phyints=joins_allowed(host(one[1]), host(two[1]), host(two[0]), host(one[0])).phyints)
    stand.run(0)
    assert stand.forwards(one) == stand.forwards(two) == {"down"} and stand.entry(three) is None
    assert ("prune", three) in [(verb, channel) for _, verb, channel in stand.said()]
    stand.r1.configure(phyints=joins_allowed(host(two[0])).phyints)
    stand.run(0)
    assert stand.entry(one) is None and stand.forwards(two) == {"down"}


def test_Y9_a_change_applies_to_shared_trees_too(family: Family) -> None:
    stand = AsmStand(family, down=(2, 3))
    source = stand.far()
    stand.say("Join(*,G)", "Prune(S,G,rpt)")
    stand.say("Join(*,G)", by=3)
    stand.run(4)
    stand.configure(join_filter=(family.ssm_ranges[0],))
    assert stand.star is None and stand.entry(source) is None


def test_Y9_members_are_none_of_its_business(family: Family) -> None:
    stand = Stand(family, config=joins_allowed(elsewhere(family)))
    source, group = stand.channel()
    stand.host().join(group, source)
    stand.run(0)
    assert stand.forwards((source, group)) == {"down"}


# Registers.


def at_rp(family: Family, **config: object) -> tuple[AsmStand, Channel]:
    """An RP with a receiver, and a source that is registered to it by 10.7.7.7."""
    stand = AsmStand(family, rp="me", down=(2,))
    stand.configure(spt_threshold="infinity", **config)
    source = stand.far()
    stand.say("Join(*,G)", holdtime=0xFFFF)
    stand.mark()
    return stand, source


@pytest.mark.parametrize("null", [False, True], ids=["data", "null"])
@pytest.mark.parametrize("by", ["register_accept", "register_accept_from"])
def test_Y5_TH39_what_is_not_accepted_makes_no_state_and_is_stopped(family: Family, by: str, null: bool) -> None:
    stand, source = at_rp(family, **{by: (elsewhere(family),)})
    before = digest(stand.router)
    stand.register(source, null=null)
    assert stand.stops() == [0.0] and stand.counted("reg_filtered", "register") == 1
    assert stand.entry(source) is None and stand.net.copies("down", stand.net.sent) == 0
    if null:
        assert digest(stand.router) == before
    stand.run(20)
    stand.register(source, null=null)
    assert stand.entry(source) is None and stand.net.copies("down", stand.net.sent) == 0


def test_Y5_TH39_what_is_accepted_is_taken(family: Family) -> None:
    stand = AsmStand(family)
    accepted = {"register_accept": (host(stand.far()[0]),), "register_accept_from": (host(stand.dr),)}
    for words in (("register_accept",), ("register_accept_from",), tuple(accepted)):
        stand, source = at_rp(family, **{word: accepted[word] for word in words})
        stand.register(source)
        assert stand.stops() == [] and stand.counted("reg_filtered", "register") == 0
        assert stand.net.copies("down", stand.net.sent) == 1, "the first packet too"


def test_Y5_a_packet_that_the_kernel_tells_of_before_its_register_is_not_lost(family: Family) -> None:
    stand, source = at_rp(family)
    stand.configure(register_accept_from=(host(stand.dr),))
    kernel, tunnel = stand.r1.kernel, REGISTER_VIF
    stand.r1.handle(NoCache(tunnel, *source))
    stand.run(0.5)
    assert source not in kernel.mfc, "the kernel holds it"
    stand.register(source)
    assert kernel.mfc[source][0] == tunnel and kernel.mfc[source][1], "and sends it on"


def test_Y5_a_packet_whose_register_never_comes_is_dropped_after_a_second(family: Family) -> None:
    stand, source = at_rp(family)
    stand.configure(register_accept_from=(elsewhere(family),))
    stand.r1.handle(NoCache(REGISTER_VIF, *source))
    stand.run(0.99)
    assert source not in stand.r1.kernel.mfc and stand.entry(source) is None
    stand.run(0.02)
    assert stand.r1.kernel.mfc[source] == (REGISTER_VIF, 0)
    stand.run(31)
    assert source not in stand.r1.kernel.mfc


def test_Y5_sources_refused_later_go_at_once(family: Family) -> None:
    stand, source = at_rp(family)
    stand.register(source)
    assert stand.entry(source) is not None
    stand.configure(register_accept=(elsewhere(family),))
    assert stand.entry(source) is None
    stand.register(source)
    assert stand.entry(source) is None and stand.net.copies("down", stand.net.sent) == 0


def test_Y5_a_refused_source_may_come_by_its_own_tree(family: Family) -> None:
    stand, source = at_rp(family, register_accept=(elsewhere(family),))
    stand.say("Join(S,G)")
    stand.register(source)
    assert stand.net.copies("down", stand.data(source, "up")) == 1


# Where our Registers come from.


def registers_from(stand: AsmStand) -> list[bytes]:
    """The source addresses of the Registers that were sent."""
    packets = [
        (when, packet)
        for link in stand.net.links.values()
        for when, packet, message in link.spoken("r1")
        if isinstance(message, pim.Register)
    ]
    return [packet.source for _, packet in sorted(packets, key=lambda pair: pair[0])]


def test_register_source_by_address_or_interface(family: Family) -> None:
    stand = AsmStand(family)
    on_src, on_up = stand.net.address("src", 5), stand.net.address("up", 5)
    source = stand.near()
    stand.data(source)
    assert registers_from(stand) == [on_src], "by default what is on the source's link"
    for word, expected in ((format_address(on_up), on_up), ("rpt", stand.net.address("rpt", 5))):
        stand.configure(register_sources=(word,))
        stand.mark()
        stand.data(source)
        assert registers_from(stand) == [expected]
    stand.configure(register_sources=("198.51.100.1", "2001:db8:ffff::1", "nowhere0"))
    stand.mark()
    stand.data(source)
    assert registers_from(stand) == [on_src], "none of these is ours"


def test_register_source_follows_our_addresses(family: Family) -> None:
    stand = AsmStand(family)
    on_src, more = stand.net.address("src", 5), stand.net.address("up", 77)
    stand.configure(register_sources=(format_address(more),))
    source = stand.near()
    port = stand.r1.ports["up"]
    before = port.addresses
    for addresses, expected in ((before, on_src), ((*before, (more, stand.net.subnet_bits)), more), (before, on_src)):
        port.readdress(*addresses)
        stand.run(0)
        stand.mark()
        stand.data(source)
        assert registers_from(stand) == [expected]


def test_Y1_without_filters_everything_passes(family: Family) -> None:
    interface = Stand(family).pim_interface()
    for text in ("10.0.0.1", "239.1.1.1", "2001:db8::1", "ff1e::1"):
        assert interface.neighbor_filter.passes(parse_address(text))
        assert interface.join_filter.groups.passes(parse_address(text))
        assert interface.join_filter.sources.passes(parse_address(text))
