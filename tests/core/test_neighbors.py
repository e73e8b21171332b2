"""Conformance rows N7 and N15 to N21: neighbours, their addresses, and what is said to them (RFC 7761 4.3).

N1 to N6 and N12 to N14 stand in test_hello.py, N8 to N11 in test_dr.py.
"""

from __future__ import annotations

import pytest
from speakers import Channel, Peer
from stand import US, Stand, lonely, secondaries

from pimpy.config.model import Config, Phyint
from pimpy.wire.family import IPV4, Address, Family, format_address
from pimpy.wire.pim import Hello

# Address lists.


def listed(stand: Stand, number: int = 2) -> set[int]:
    """The numbers of the secondary addresses that count as a neighbour's."""
    neighbor = stand.pim_interface().neighbors[stand.peer("down", number).address]
    return {secondary[-1] for secondary, owner in stand.pim_interface().secondary_of.items() if owner is neighbor}


def test_N15_a_list_replaces_the_earlier_one(family: Family) -> None:
    stand = lonely(family)
    peer = stand.peer("down", 2)
    first, second, third = (stand.net.address("down", number) for number in (21, 22, 23))
    for said, numbers in (((first, second), {21, 22}), ((second, third), {22, 23}), ((), set()), ((first,), {21})):
        peer.hello(addresses=said)
        stand.run(0)
        assert listed(stand) == numbers
    peer.hello(addresses=None)
    stand.run(0)
    assert listed(stand) == set()


def test_N15_the_senders_primary_address_in_its_list_is_skipped(family: Family) -> None:
    stand = lonely(family)
    peer = stand.peer("down", 2)
    peer.hello(addresses=(stand.net.address("down", 21), peer.address))
    stand.run(0)
    assert listed(stand) == {21}
    assert stand.neighbors() == {2}


def test_N15_an_address_that_stands_there_twice_counts_once(family: Family) -> None:
    stand = lonely(family)
    peer, alias = stand.peer("down", 2), stand.net.address("down", 21)
    peer.hello(addresses=(alias, alias))
    stand.run(0)
    assert stand.row("neighbors", interface="down").secondary_addresses == format_address(alias)
    peer.hello(holdtime=0)
    stand.run(0)
    assert stand.neighbors() == set() and not stand.pim_interface().secondary_of


def test_N15_TH17_an_address_of_two_belongs_to_the_last_that_announced_it(family: Family) -> None:
    stand = lonely(family)
    shared = stand.net.address("down", 21)
    two, three = stand.peer("down", 2), stand.peer("down", 3)
    two.hello(addresses=(shared,))
    stand.run(1)
    three.hello(addresses=(shared,))
    stand.run(1)
    assert (listed(stand, 2), listed(stand, 3)) == (set(), {21})
    assert stand.r1.reasons().count("secondary_conflict") == 1
    assert stand.counted("secondary_conflict", "hello") == 1
    two.hello(addresses=(shared,))
    stand.run(1)
    assert (listed(stand, 2), listed(stand, 3)) == ({21}, set()), "announced again"
    assert stand.r1.reasons().count("secondary_conflict") == 1, "one line a minute"


def test_N15_an_address_whose_second_owner_left_is_the_first_ones_again(family: Family) -> None:
    stand = lonely(family)
    shared = stand.net.address("down", 21)
    two, three = stand.peer("down", 2), stand.peer("down", 3)
    two.hello(addresses=(shared,))
    stand.run(1)
    three.hello(addresses=(shared,))
    stand.run(1)
    three.hello(holdtime=0)
    two.hello(addresses=(shared,))
    stand.run(0)
    assert listed(stand, 2) == {21}


def test_N16_hellos_list_every_other_address_and_never_the_primary(family: Family) -> None:
    stand = lonely(family)
    port = stand.r1.ports["down"]
    others = tuple(stand.net.address("down", number) for number in (31, 32))
    port.readdress(*port.addresses, *((other, stand.net.subnet_bits) for other in others))
    stand.run(0)
    (when, hello), *_ = stand.hellos()
    assert when == 0, "at once"
    assert set(hello.addresses or ()) == {*(secondaries(stand) or ()), *others} - {port.address}
    assert set(others) <= set(hello.addresses or ()) and port.address not in (hello.addresses or ())
    assert (hello.holdtime, hello.generation_id) == (105, stand.pim_interface().generation_id)
    stand.mark()
    port.readdress(*port.addresses[:-1])
    stand.run(0)
    ((_, hello),) = stand.hellos()
    assert others[0] in (hello.addresses or ()) and others[1] not in (hello.addresses or ())


def test_N16_an_address_list_never_makes_a_hello_larger_than_the_mtu(family: Family) -> None:
    stand = lonely(family)
    port = stand.r1.ports["down"]
    many = tuple((stand.net.address("down", number), stand.net.subnet_bits) for number in range(1, 251) if number != US)
    port.readdress(port.addresses[0], *many)
    stand.run(0)
    ((_, hello),) = stand.hellos()
    assert len(hello.addresses or ()) >= (78 if family.size == 16 else 239)


# Who is RPF'.


def test_N17_a_next_hop_is_found_by_secondary_address(family: Family) -> None:
    stand = Stand(family)
    alias = stand.net.address("up", 77)
    channel = stand.channel()
    stand.r1.static_route(channel[0], "up", alias)
    stand.joined()
    assert stand.row("mroute", row="entry").rpf_state == "no_neighbor" and not stand.said()
    stand.peer("up", 9).hello(addresses=(alias,))
    stand.run(0)
    assert stand.said(to=stand.nine) == [(0.0, "join", channel)], "to the primary address"
    stand.peer("up", 9).hello(addresses=())
    stand.run(0)
    assert stand.row("mroute", row="entry").rpf_state == "no_neighbor"


def test_N18_a_join_waits_for_the_next_hops_first_hello(family: Family) -> None:
    stand = Stand(family, up=())
    channel = stand.channel()
    stand.joined()
    stand.run(130)
    assert not stand.messages(), "RPF' is NULL: nothing is sent"
    assert stand.entry(channel) is not None and stand.forwards(channel) == {"down"}
    stand.mark()
    stand.peer("up", 9).hello()
    stand.run(0.1)
    assert stand.said(to=stand.nine) == [(0.0, "join", channel)]
    kinds = [type(message).__name__ for _, message in stand.up.pim("r1")]
    assert kinds == ["Hello", "JoinPrune"], "our own Hello in front of it (N7)"


def test_N20_hellos_and_the_dr_on_a_point_to_point_link(family: Family) -> None:
    stand = Stand(family, p2p=True)
    assert stand.neighbors() == {2} and stand.i_am_dr()
    stand.peer("down", 2).hello(dr_priority=2)
    stand.run(0)
    assert not stand.i_am_dr()
    stand.run(100)
    assert len(stand.hellos()) >= 3


@pytest.mark.parametrize("length", [30, 31])
def test_N20_subnets_of_two(length: int) -> None:
    stand = Stand(IPV4, up=(), p2p=True)
    stand.r1.ports["up"].readdress((stand.net.address("up", 5), length))
    far_end = stand.peer("up", 4)
    far_end.keep_saying_hello()
    stand.run(5)
    stand.mark()
    channel = stand.channel()
    stand.r1.static_route(channel[0], "up", far_end.address)
    stand.peer("down", 2).join(stand.us(), channel)
    stand.run(0)
    assert stand.neighbors("up") == {4} and stand.said(to=far_end.address) == [(0.0, "join", channel)]


def test_N20_a_route_that_names_only_the_interface_leads_to_the_far_end(family: Family) -> None:
    stand = Stand(family, p2p=True)
    channel = stand.channel()
    stand.r1.static_route(channel[0], "up", None)
    stand.peer("down", 2).join(stand.us(), channel)
    stand.run(0)
    assert stand.said(to=stand.nine) == [(0.0, "join", channel)]
    stand.mark()
    stand.peer("up", 9).hello(generation_id=0x9999)
    stand.run(2.5)
    assert [verb for _, verb, _ in stand.said(to=stand.nine)] == ["join"], "it restarted: joined again (U7)"


def test_N20_a_route_that_names_only_a_lan_leads_to_nobody(family: Family) -> None:
    stand = Stand(family)
    channel = stand.channel()
    stand.r1.static_route(channel[0], "up", None)
    stand.peer("down", 2).join(stand.us(), channel)
    stand.run(0)
    assert not stand.said()


# Before anything else is said.


def test_N7_a_join_before_our_first_hello_lets_the_hello_out_first(family: Family) -> None:
    stand = lonely(family, seed=3)
    assert not stand.hellos("up")
    channel = stand.channel()
    stand.peer("up", 9).hello()
    stand.peer("down", 2).hello()
    stand.peer("down", 2).join(stand.us(), channel)
    stand.run(0)
    kinds = [(when - stand.zero, type(message).__name__) for when, message in stand.up.pim("r1")]
    assert kinds == [(0.0, "Hello"), (0.0, "JoinPrune")]
    assert not stand.hellos("down"), "only where it is needed"


def test_N7_a_prune_echo_before_our_first_hello_lets_the_hello_out_first(family: Family) -> None:
    stand = lonely(family, seed=2, config=Config(triggered_hello_delay=1000.0))
    two, three = stand.peer("down", 2), stand.peer("down", 3)
    for peer in (two, three):
        peer.hello()
    two.join(stand.us(), stand.channel())
    two.prune(stand.us(), stand.channel())
    stand.run(3)
    said = [(when - stand.zero, type(message).__name__) for when, message in stand.down.pim("r1")]
    assert said == [(3.0, "Hello"), (3.0, "JoinPrune")]


def test_N7_a_new_or_restarted_neighbour_gets_its_hello_before_its_join(family: Family) -> None:
    stand = Stand(family)
    eight = stand.peer("up", 8)
    for genid in (0x8001, 0x8002):
        eight.hello(generation_id=genid)
        stand.run(0)
        stand.mark()
        first, second = stand.channel(genid & 15), stand.channel(genid & 15 | 16)
        for channel in (first, second):
            stand.r1.static_route(channel[0], "up", eight.address)
            stand.peer("down", 2).join(stand.us(), channel)
            stand.run(0)
        kinds = [type(message).__name__ for _, message in stand.up.pim("r1")]
        assert kinds == ["Hello", "JoinPrune", "JoinPrune"], "once is enough"
        stand.run(6)


def test_N7_a_neighbour_that_left_and_came_back_at_once_gets_a_hello_first(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined()
    nine = stand.peer("up", 9)
    stand.run(1)
    stand.mark()
    nine.prune(stand.nine, channel)
    stand.run(2.5)
    assert [verb for _, verb, _ in stand.said()] == ["join"]
    stand.mark()
    nine.hello(holdtime=0)
    nine.hello(generation_id=0x4444)
    stand.run(0)
    kinds = [type(message).__name__ for _, message in stand.up.pim("r1")]
    assert kinds == ["Hello", "JoinPrune"]
    assert stand.said(to=stand.nine) == [(0.0, "join", channel)]


def test_N7_after_a_change_of_address_the_first_word_is_a_hello(family: Family) -> None:
    stand = Stand(family)
    stand.joined()
    port = stand.r1.ports["up"]
    new = stand.net.link_local("up", 6)
    port.readdress((new, stand.net.subnet_bits))
    stand.peer("down", 2).join(stand.us(), stand.channel(2))
    stand.run(0)
    said = [(packet.source[-1], type(message).__name__) for _, packet, message in stand.up.spoken("r1")]
    assert [word for word in said if word[1] != "Hello"] == [(6, "JoinPrune")]
    assert said.index((6, "Hello")) < said.index((6, "JoinPrune"))


# Good-byes.


def goodbyes(stand: Stand, link: str = "down") -> list[Address]:
    """The sources of the Hellos with holdtime 0."""
    spoken = stand.net.links[link].spoken("r1")
    return [packet.source for _, packet, message in spoken if isinstance(message, Hello) and message.holdtime == 0]


def test_N19_good_bye_on_shutdown(family: Family) -> None:
    stand = Stand(family)
    stand.joined()
    stand.r1.shutdown()
    for link in ("up", "down"):
        assert goodbyes(stand, link) == [stand.us(link)]
        last = stand.net.links[link].pim("r1")[-1][1]
        assert isinstance(last, Hello) and last.holdtime == 0, "the last word"
    assert stand.said(to=stand.nine) == [(0.0, "prune", stand.channel())]
    assert stand.r1.kernel.contents() == ({}, {}, set(), set(), {})


def test_N19_good_bye_on_loss_of_the_primary_address(family: Family) -> None:
    stand = Stand(family)
    old = stand.us()
    stand.r1.ports["down"].readdress()
    stand.run(0)
    assert goodbyes(stand) == [old]
    stand.mark()
    stand.run(100)
    assert not stand.hellos(), "and then silence"


def test_N19_a_new_address_says_good_bye_from_the_old_one_and_hello_from_the_new(family: Family) -> None:
    stand = Stand(family)
    old, new = stand.us(), stand.net.link_local("down", 6)
    stand.mark()
    stand.r1.ports["down"].readdress((new, stand.net.subnet_bits))
    stand.run(0)
    said = [(packet.source, message.holdtime) for _, packet, message in stand.down.spoken("r1")]  # type: ignore[union-attr]
    assert said == [(old, 0), (new, 105)]


def test_N19_an_interface_that_the_configuration_disables_says_good_bye(family: Family) -> None:
    stand = Stand(family)
    stand.r1.configure(phyints=(Phyint("down", enabled=False),))
    stand.run(0)
    assert goodbyes(stand) == [stand.us()] and goodbyes(stand, "up") == []
    assert "down" not in {row.interface for row in stand.rows("interfaces") if row.oper_status == "up"}


def test_N21_TH21_join_prune_from_a_stranger_is_dropped_and_counted(family: Family) -> None:
    stand = Stand(family)
    stranger, channel = stand.peer("down", 3), stand.channel()
    stranger.join(stand.us(), channel)
    stand.run(0)
    assert stand.counted("jp_non_nbr") == 1 and stand.entry(channel) is None
    stranger.hello()
    stranger.join(stand.us(), channel)
    stand.run(0)
    assert stand.counted("jp_non_nbr") == 1 and stand.entry(channel) is not None, "the same after its Hello"
    stranger.hello(holdtime=0)
    stranger.prune(stand.us(), channel)
    stand.run(10)
    assert stand.counted("jp_non_nbr") == 2 and stand.entry(channel) is not None


def silent(family: Family, *, optional: bool = True, p2p: bool = True) -> tuple[Stand, Peer, Channel]:
    """A router, and one on `down` that never says Hello."""
    config = Config(phyints=(Phyint("down", hello_optional=optional),))
    stand = Stand(family, down=(), config=config, p2p=p2p)
    return stand, stand.peer("down", 3), stand.channel()


def test_N21_on_a_point_to_point_link_a_join_may_stand_for_a_hello(family: Family) -> None:
    stand, stranger, channel = silent(family)
    stand.mark()
    stranger.join(stand.us(), channel)
    stand.run(0)
    assert stand.neighbors() == {3} and stand.forwards(channel) == {"down"} and stand.counted("jp_non_nbr") == 0
    stand.run(60)
    stranger.join(stand.us(), channel)
    stand.run(104.99)
    assert stand.neighbors() == {3}, "105 s, as by a Hello without options"
    stand.run(0.01)
    assert stand.neighbors() == set()


def test_N21_who_says_hello_is_judged_by_its_hellos(family: Family) -> None:
    stand, stranger, channel = silent(family)
    stranger.hello(holdtime=30)
    stand.run(29)
    stranger.join(stand.us(), channel)
    stand.run(1)
    assert stand.neighbors() == set(), "its Join prolonged nothing"


@pytest.mark.parametrize(("optional", "p2p"), [(False, True), (True, False)], ids=["off", "a LAN"])
def test_N21_the_option_is_off_and_never_holds_on_a_lan(family: Family, optional: bool, p2p: bool) -> None:
    stand, stranger, channel = silent(family, optional=optional, p2p=p2p)
    stranger.join(stand.us(), channel)
    stand.run(0)
    assert stand.neighbors() == set() and stand.counted("jp_non_nbr") == 1 and stand.entry(channel) is None


def test_N21_a_neighbour_on_another_link_is_a_stranger_here(family: Family) -> None:
    stand = Stand(family)
    channel = stand.channel()
    stand.peer("down", 9).join(stand.us(), channel)
    stand.run(0)
    assert stand.counted("jp_non_nbr") == 1 and stand.entry(channel) is None
