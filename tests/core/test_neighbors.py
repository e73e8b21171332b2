"""Conformance group N: Hellos and neighbours (RFC 7761 4.3), a test a row, named after it. N8 to N11: test_dr.py."""

from __future__ import annotations

from random import Random

import pytest
from attrs import evolve
from network import Net
from node import Port
from speakers import Peer
from stand import US, Stand

from pimpy.config.model import Config
from pimpy.core.pim.neighbor import PimInterface
from pimpy.wire import pim
from pimpy.wire.family import IPV4, Address, Family, format_address
from pimpy.wire.pim import Hello, LanPruneDelay

DELAY = LanPruneDelay(False, 500, 2500)


def lonely(family: Family, seed: int = 1, config: Config | None = None) -> Stand:
    """A router that nobody has spoken to yet, just started."""
    return Stand(family, up=(), down=(), seed=seed, warm_up=0.0, config=config)


def secondaries(stand: Stand, link: str = "down") -> tuple[Address, ...] | None:
    """What our Address List should be: all but the primary address, None if there are no others."""
    return tuple(address for address, _ in stand.r1.ports[link].addresses[1:]) or None


def pim_interface(stand: Stand, link: str = "down") -> PimInterface:
    return stand.router.pim.interfaces[stand.r1.ports[link].ifindex]


def raw_hello(peer: Peer, options: bytes) -> None:
    """A Hello with these very bytes as options."""
    group = peer.net.family.all_pim_routers
    peer.send_bytes(pim.seal(peer.net.family, peer.address, group, b"\x20\0\0\0" + options))


# Our Hellos.


def test_N1_T1_T3_first_hello_within_5_s_then_every_30_s(family: Family) -> None:
    firsts = []
    for seed in range(20):
        stand = lonely(family, seed)
        stand.run(100)
        times = [when for when, _ in stand.hellos()]
        assert 0 <= times[0] <= 5
        assert times == pytest.approx([times[0] + 30 * n for n in range(4)], abs=0.01)
        firsts.append(times[0])
    assert min(firsts) < 1.5 and max(firsts) > 3.5, "rand(0, 5)"


def test_N1_hellos_go_to_all_pim_routers_from_the_primary_address(family: Family) -> None:
    stand = lonely(family)
    stand.run(40)
    for link in (stand.up, stand.down):
        packets = [packet for _, packet, _ in link.spoken("r1")]
        assert len(packets) == 2
        assert {packet.destination for packet in packets} == {family.all_pim_routers}
        assert {packet.source for packet in packets} == {stand.us(link.name)}
    assert (family is IPV4) or family.is_link_local(stand.us())


def test_N1_hello_timers_of_two_interfaces_are_drawn_apart(family: Family) -> None:
    stand = lonely(family)
    stand.run(5)
    assert stand.hellos("up")[0][0] != stand.hellos("down")[0][0]


def test_N2_T2_T4_T5_T16_what_a_hello_carries(family: Family) -> None:
    stand = lonely(family)
    stand.run(5)
    (_, hello), *_ = stand.hellos()
    assert hello == Hello(105, DELAY, 1, hello.generation_id, secondaries(stand))


def test_N2_golden_bytes() -> None:
    stand = lonely(IPV4)
    stand.run(5)
    ((_, packet, _),) = stand.down.spoken("r1")
    golden = bytes.fromhex("20006af90001000200690002000401f409c400130004000000010014000412345678")
    assert packet.data[:2] + packet.data[4:30] == golden[:2] + golden[4:30], "all but the checksum and the GenID"
    assert len(packet.data) == len(golden)


def test_N2_T2_the_holdtime_is_three_and_a_half_hello_intervals(family: Family) -> None:
    stand = lonely(family, config=Config(hello_interval=10))
    stand.run(26)
    times = [when for when, _ in stand.hellos()]
    assert times == pytest.approx([times[0] + 10 * n for n in range(len(times))], abs=0.01) and len(times) >= 3
    assert {hello.holdtime for _, hello in stand.hellos()} == {35}


def test_N5_the_genid_is_new_at_each_start_and_constant_between(family: Family) -> None:
    stand = lonely(family)
    stand.run(100)
    first = {hello.generation_id for _, hello in stand.hellos()}
    assert len(first) == 1
    stand.net.set_link("down", False)
    stand.run(1)
    stand.mark()
    stand.net.set_link("down", True)
    stand.run(100)
    second = {hello.generation_id for _, hello in stand.hellos()}
    assert len(second) == 1 and second != first
    assert len({lonely(family, seed).router.pim.random.getrandbits(32) for seed in range(9)}) == 9, "32 random bits"
    assert max(max(first), max(second)) > 0xFFFF


def test_N6_T3_a_new_neighbour_is_greeted_within_5_s_and_the_schedule_stays(family: Family) -> None:
    delays = []
    for seed in range(20):
        stand = lonely(family, seed)
        stand.run(5)
        first = stand.hellos()[0][0]
        stand.run(first + 10 - stand.now)
        stand.mark()
        stand.peer("down", 2).hello()
        stand.run(60)
        times = [when for when, _ in stand.hellos()]
        assert times[1:] == pytest.approx([20, 50], abs=0.01), "the periodic schedule does not move"
        assert 0 <= times[0] <= 5
        delays.append(times[0])
    assert min(delays) < 1.5 and max(delays) > 3.5, "rand(0, 5)"


def test_N6_no_extra_hello_if_the_periodic_one_comes_sooner(family: Family) -> None:
    counts = set()
    for seed in range(30):
        stand = lonely(family, seed)
        stand.run(5)
        stand.run(stand.hellos()[0][0] + 28 - stand.now)
        stand.mark()
        stand.peer("down", 2).hello()
        stand.run(10)
        times = [when for when, _ in stand.hellos()]
        assert 2.0 in times and all(when <= 2 for when in times)
        counts.add(len(times))
    assert counts == {1, 2}


def test_N6_a_changed_genid_is_answered_and_an_unchanged_one_is_not(family: Family) -> None:
    stand = Stand(family)
    stand.run(35.0 - stand.net.now % 30)
    peer = stand.peer("down", 2)

    def answers() -> int:
        stand.mark()
        before = pim_interface(stand).hello_timer.deadline
        stand.run(5)
        periodic = before <= stand.net.now
        return len(stand.hellos()) - periodic

    peer.hello()
    assert answers() == 0
    peer.hello(generation_id=0x2222)
    assert answers() == 1


# Their Hellos.


@pytest.mark.parametrize(("holdtime", "life"), [(None, 105.0), (35, 35.0), (1, 1.0), (65534, 65534.0)])
def test_N3_a_neighbour_lives_for_its_holdtime(family: Family, holdtime: int | None, life: float) -> None:
    stand = lonely(family)
    stand.peer("down", 2).hello(holdtime=holdtime)
    stand.run(life - 0.01)
    assert stand.neighbors() == {2}
    stand.run(0.02)
    assert stand.neighbors() == set()


def test_N3_ffff_never_expires_and_0_removes_at_once(family: Family) -> None:
    stand = lonely(family)
    peer = stand.peer("down", 2)
    peer.hello(holdtime=0xFFFF)
    stand.run(100_000)
    assert stand.neighbors() == {2}
    assert stand.row("neighbors", interface="down").expiration is None
    peer.hello(holdtime=0)
    stand.run(0)
    assert stand.neighbors() == set()
    peer.hello(holdtime=0)
    stand.run(0)
    assert stand.neighbors() == set(), "nor does a good-bye make a neighbour"


def test_N3_a_shorter_holdtime_counts_from_its_hello_on(family: Family) -> None:
    stand = lonely(family)
    stand.peer("down", 2).hello(holdtime=105)
    stand.run(1)
    stand.peer("down", 2).hello(holdtime=10)
    stand.run(9.99)
    assert stand.neighbors() == {2}
    stand.run(0.01)
    assert stand.neighbors() == set()


HOLDTIME = bytes.fromhex("000100020023")
PRIORITY = bytes.fromhex("0013000400000007")
UNKNOWN = bytes.fromhex("0003000401020304") + bytes.fromhex("fde90000") + bytes.fromhex("001500040100003c")


@pytest.mark.parametrize(
    "options",
    [UNKNOWN + HOLDTIME + PRIORITY, HOLDTIME + UNKNOWN + PRIORITY, HOLDTIME + PRIORITY + UNKNOWN],
    ids=["before", "between", "after"],
)
def test_N4_TH16_unknown_options_are_skipped_by_length(family: Family, options: bytes) -> None:
    stand = lonely(family)
    raw_hello(stand.peer("down", 2), options)
    stand.run(0)
    row = stand.row("neighbors", interface="down")
    assert (row.expiration, row.dr_priority, row.gen_id) == (35.0, 7, None)
    assert stand.counted("hello_bad_option", "hello") == 0


def test_N12_neighbours_are_keyed_by_interface(family: Family) -> None:
    stand = lonely(family)
    for link, holdtime in (("up", 50), ("down", 60)):
        stand.peer(link, 1).hello(holdtime=holdtime, dr_priority=holdtime)
    stand.run(50)
    assert (stand.neighbors("up"), stand.neighbors("down")) == (set(), {1})
    assert stand.row("neighbors", interface="down").dr_priority == 60
    if family.size == 16:
        assert stand.peer("up", 1).address == stand.peer("down", 1).address, "fe80::1 on both"


@pytest.mark.parametrize(
    ("delays", "propagation", "override"),
    [
        ([], 0.5, 2.5),
        ([(100, 1000)], 0.5, 2.5),
        ([(700, 1000)], 0.7, 2.5),
        ([(700, 1000), (600, 4000)], 0.7, 4.0),
        ([(700, 1000), None], 0.5, 2.5),
        ([None, (700, 9000)], 0.5, 2.5),
        ([(32767, 65535)], 32.767, 65.535),
    ],
)
def test_N13_T4_T5_effective_delays_are_the_largest_of_all(
    family: Family, delays: list[tuple[int, int] | None], propagation: float, override: float
) -> None:
    stand = lonely(family)
    for number, delay in enumerate(delays, start=2):
        said = None if delay is None else LanPruneDelay(False, *delay)
        stand.peer("down", number).hello(lan_prune_delay=said)
    stand.run(0)
    row = stand.row("interfaces", interface="down")
    assert (row.propagation_delay, row.override_interval) == pytest.approx((propagation, override))
    if delays:
        stand.run(200)
        row = stand.row("interfaces", interface="down")
        assert (row.propagation_delay, row.override_interval) == (0.5, 2.5), (
            "the neighbours are gone, and what they said"
        )


@pytest.mark.parametrize(
    ("ours", "theirs", "suppression"),
    [
        (True, [True], False),
        (True, [True, True], False),
        (True, [True, False], True),
        (True, [True, None], True),
        (False, [True, True], True),
    ],
)
def test_N14_suppression_ends_only_when_all_set_the_t_bit(
    family: Family, ours: bool, theirs: list[bool | None], suppression: bool
) -> None:
    stand = lonely(family)
    stand.router.pim.settings = evolve(stand.router.pim.settings, t_bit=ours)
    for number, t_bit in enumerate(theirs, start=2):
        said = None if t_bit is None else LanPruneDelay(t_bit, 500, 2500)
        stand.peer("down", number).hello(lan_prune_delay=said)
    stand.run(5)
    assert stand.row("interfaces", interface="down").suppression == suppression
    assert {hello.lan_prune_delay for _, hello in stand.hellos()} == {LanPruneDelay(ours, 500, 2500)}


# Address lists.


def listed(stand: Stand, number: int = 2) -> set[int]:
    """The numbers of the secondary addresses that count as a neighbour's."""
    address = stand.peer("down", number).address
    return {secondary[-1] for secondary, owner in pim_interface(stand).secondary_of.items() if owner.address == address}


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
    assert stand.neighbors() == set() and not pim_interface(stand).secondary_of


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
    assert (hello.holdtime, hello.generation_id) == (105, pim_interface(stand).generation_id)
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
    stand = Stand(IPV4, up=(), down=(), p2p=True)
    port: Port = stand.r1.ports["up"]
    port.readdress((stand.net.address("up", 5), length))
    far_end = stand.peer("up", 4)
    far_end.keep_saying_hello()
    stand.run(5)
    channel = stand.channel()
    stand.r1.static_route(channel[0], "up", far_end.address)
    stand.peer("down", 2).hello()
    stand.joined()
    assert [verb for _, verb, _ in stand.said(to=far_end.address)] == []
    assert stand.row("mroute", row="entry").rpf_state == "neighbor"


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
    orders = set()
    for seed in range(12):
        stand = lonely(family, seed)
        two, three = stand.peer("down", 2), stand.peer("down", 3)
        stand.run(0)
        first = pim_interface(stand).hello_timer.deadline - stand.zero
        for peer in (two, three):
            peer.hello()
        two.join(stand.us(), stand.channel())
        two.prune(stand.us(), stand.channel())
        stand.run(3)
        kinds = [type(message).__name__ for _, message in stand.down.pim("r1")]
        assert kinds[0] == "Hello" and kinds[-1] == "JoinPrune"
        orders.add((first > 3, len(kinds)))
    assert (True, 2) in orders, "once at least the echo came before the Hello was due"


def test_N7_a_new_or_restarted_neighbour_gets_its_hello_before_its_join(family: Family) -> None:
    stand = Stand(family)
    assert stand.neighbors("up") == {9}
    eight = stand.peer("up", 8)
    for genid in (0x8001, 0x8002):
        eight.hello(generation_id=genid)
        stand.run(0)
        stand.mark()
        source = stand.channel(genid & 15)[0]
        stand.r1.static_route(source, "up", eight.address)
        stand.joined(genid & 15)
        stand.mark()
        stand.run(0)
        stand.peer("down", 2).prune(stand.us(), stand.channel(genid & 15))
        stand.run(0)
        stand.run(6)
    stand.mark()
    eight.hello(generation_id=0x8003)
    stand.r1.static_route(stand.channel(7)[0], "up", eight.address)
    stand.peer("down", 2).join(stand.us(), stand.channel(7))
    stand.run(0)
    kinds = [type(message).__name__ for _, message in stand.up.pim("r1")]
    assert kinds == ["Hello", "JoinPrune"]
    stand.mark()
    stand.run(0)
    stand.peer("down", 2).prune(stand.us(), stand.channel(7))
    stand.run(0)
    assert [type(message).__name__ for _, message in stand.up.pim("r1")] == ["JoinPrune"], "once is enough"


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
    assert stand.r1.kernel.contents() == ({}, {}, set())


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
    from pimpy.config.model import Phyint

    stand.r1.configure(phyints=(Phyint("down", enabled=False),))
    stand.run(0)
    assert goodbyes(stand) == [stand.us()] and goodbyes(stand, "up") == []
    assert "down" not in {row.interface for row in stand.router.rows("interfaces") if row.oper_status == "up"}


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


def test_N21_a_neighbour_on_another_link_is_a_stranger_here(family: Family) -> None:
    stand = Stand(family)
    channel = stand.channel()
    stand.peer("up", 9).net.peer("down", 9).join(stand.us(), channel)
    stand.run(0)
    assert stand.counted("jp_non_nbr") == 1 and stand.entry(channel) is None


def test_every_draw_comes_from_the_random_numbers_handed_in(family: Family) -> None:
    first, second = (Net(family, seed=7) for _ in range(2))
    for net in (first, second):
        net.router("r1")
        net.link("lan", "r1")
        net.start()
        net.run(60)
    log = [(when, packet) for when, _, packet in first.links["lan"].log]
    assert log == [(when, packet) for when, _, packet in second.links["lan"].log] and log
    assert Random(7).random() == Random(7).random()
