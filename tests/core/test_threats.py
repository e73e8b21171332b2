"""Threats (reliability.md, section 2) to the PIM part of the core, and conformance rows V3, V4 and V14.

What is dropped leaves the state as it was, digest by digest, and counts under its reason word; where only an entry,
an option or a part is dropped, the state is that of the message without it. Beside each message that is dropped
stands one that differs in just that and is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from attrs import evolve, frozen
from digest import digest
from speakers import Peer, group_sets
from stand import Stand, star_entries

from pimpy.config.model import Config, Phyint
from pimpy.core.engine.events import PacketReceived
from pimpy.wire import pim
from pimpy.wire.family import IPV4, Address, Family, parse_address
from pimpy.wire.join_prune import SG, SG_RPT, GroupSet, JoinPrune
from pimpy.wire.pim import Hello, Register, RegisterStop

HELLO = Hello(105, pim.LanPruneDelay(False, 500, 2500), 1, 0x77)
JOIN_SIZE = {4: 34, 16: 70}
"""Bytes of a Join/Prune message with one source."""


@frozen
class Threat:
    """A message from number 2 on `down` that is dropped, and one like it that is taken."""

    id: str
    reason: str
    kind: str
    bad: Callable[[Stand, Peer], None]
    good: Callable[[Stand, Peer], None]


def raw(stand: Stand, message: pim.Message) -> bytearray:
    """The bytes of a message from number 2."""
    two = stand.peer("down", 2)
    return bytearray(pim.encode(stand.family, two.address, stand.family.all_pim_routers, message))


def sealed(stand: Stand, data: bytes, to: Address | None = None, source: Address | None = None) -> bytes:
    """With the right checksum."""
    two, group = stand.peer("down", 2), stand.family.all_pim_routers
    return pim.seal(stand.family, source or two.address, to or group, bytes(data))


def joining(stand: Stand) -> JoinPrune:
    """A Join/Prune that makes state."""
    return JoinPrune(stand.us(), 210, group_sets(joins=(stand.channel(),)))


def patched(message: Callable[[Stand], pim.Message], **changes: int) -> Callable[[Stand, Peer], None]:
    """Send a message with bytes changed, `at_N=value`, and the checksum made right again."""

    def send(stand: Stand, peer: Peer) -> None:
        data = raw(stand, message(stand))
        for place, value in changes.items():
            data[int(place[3:])] = value
        peer.send_bytes(sealed(stand, data))

    return send


def hello(_: Stand) -> Hello:
    return HELLO


def said(message: Callable[[Stand], pim.Message]) -> Callable[[Stand, Peer], None]:
    """Send a message as it is."""
    return lambda stand, peer: peer.send(message(stand))


def bad_checksum(stand: Stand, peer: Peer) -> None:
    data = raw(stand, joining(stand))
    data[2] ^= 0x40
    peer.send_bytes(bytes(data))


def to_unicast(message: Callable[[Stand], pim.Message]) -> Callable[[Stand, Peer], None]:
    return lambda stand, peer: peer.send(message(stand), to=stand.us())


def cut(stand: Stand, peer: Peer) -> None:
    peer.send_bytes(sealed(stand, raw(stand, joining(stand))[:-1]))


def too_many_groups(stand: Stand, peer: Peer) -> None:
    """The second of two group sets is not there; the first must not be applied (V6)."""
    patched(joining, **{f"at_{4 + 2 + stand.family.size + 1}": 2})(stand, peer)


def short_option(stand: Stand, peer: Peer) -> None:
    peer.send_bytes(sealed(stand, b"\x20\0\0\0" + bytes.fromhex("0001000200")))


def source_mask(stand: Stand, peer: Peer) -> None:
    size = stand.family.size
    patched(joining, **{f"at_{JOIN_SIZE[size] - size - 1}": 8 * size - 1})(stand, peer)


def from_global(stand: Stand, peer: Peer) -> None:
    source = parse_address("0.0.0.0") if stand.family is IPV4 else stand.net.address("down", 2)
    peer.send(HELLO, source=source)


def register(stand: Stand) -> Register:
    return Register(False, False, b"\x45" + bytes(40))


def bare(type_number: int) -> Callable[[Stand, Peer], None]:
    return lambda stand, peer: peer.send_bytes(bytes((0x20 | type_number, 0, 0, 0)) + bytes(20))


THREATS = [
    Threat("TH1_bad_checksum", "bad_checksum", "join_prune", bad_checksum, said(joining)),
    Threat("TH2_version_3", "bad_version", "join_prune", patched(joining, at_0=0x33), said(joining)),
    Threat("TH3_V3_unicast_hello", "bad_dest", "hello", to_unicast(hello), said(hello)),
    Threat("TH3_V3_unicast_join", "bad_dest", "join_prune", to_unicast(joining), said(joining)),
    Threat("V3_not_from_this_link", "bad_source", "hello", from_global, said(hello)),
    Threat("TH16_option_past_the_end", "hello_bad_option", "hello", short_option, said(hello)),
    Threat("TH23_source_mask", "jp_bad_mask", "join_prune", source_mask, said(joining)),
    Threat("TH29_cut_short", "jp_malformed", "join_prune", cut, said(joining)),
    Threat("TH29_V6_counts_beyond_the_body", "jp_malformed", "join_prune", too_many_groups, said(joining)),
    *(
        Threat(f"TH61_type_{n}", "unsupported_type", "unknown", bare(n), said(joining))
        for n in (6, 7, 9, 10, 11, 12, 15)
    ),
    Threat("V3_register_to_the_group", "bad_dest", "register", said(register), said(joining)),
]


@pytest.mark.parametrize("threat", THREATS, ids=lambda threat: threat.id)
def test_threats_dropped_is_unchanged(family: Family, threat: Threat) -> None:
    stand = Stand(family)
    two = stand.peer("down", 2)
    stand.channel()
    before = digest(stand.router)
    for count in (1, 2, 3):
        threat.bad(stand, two)
        stand.run(0)
        assert digest(stand.router) == before
        assert stand.counted(threat.reason, threat.kind) == count
    assert not stand.up.log and not [entry for entry in stand.down.log if entry[1]], "no answer"
    threat.good(stand, two)
    stand.run(0)
    assert digest(stand.router) != before and stand.counted(threat.reason, threat.kind) == 3


def truncations(stand: Stand) -> Iterator[bytes]:
    """A Hello and a Join/Prune, cut at every offset and sealed again."""
    for message in (HELLO, joining(stand)):
        whole = bytes(raw(stand, message))
        for size in range(len(whole)):
            yield (
                pim.seal(stand.family, stand.peer("down", 2).address, stand.family.all_pim_routers, whole[:size])
                if size >= 4
                else whole[:size]
            )


def test_TH29_V5_cut_at_every_offset(family: Family) -> None:
    stand = Stand(family)
    two = stand.peer("down", 2)
    stand.channel()
    for data in truncations(stand):
        before = digest(stand.router) if data[:1] != b"\x20" else None
        two.send_bytes(data)
        stand.run(0)
        assert not stand.router.pim.tib.sg
        assert before is None or digest(stand.router) == before
    assert stand.neighbors() == {2}, "a Hello cut between two options is a Hello"
    two.send(joining(stand))
    stand.run(0)
    assert stand.router.pim.tib.sg


# Neighbours.


def flood_of_neighbors(stand: Stand, count: int) -> None:
    """Hellos from so many sources, none of them twice."""
    base = stand.peer("down", 2).address
    for number in range(count):
        source = base[:-2] + (0x1000 + number).to_bytes(2, "big")
        data = pim.encode(stand.family, source, stand.family.all_pim_routers, HELLO)
        port = stand.r1.ports["down"]
        stand.r1.handle(PacketReceived("pim", port.ifindex, source, stand.family.all_pim_routers, 1, False, data))


def test_TH15_a_flood_of_neighbours_is_capped_and_the_old_ones_stay(family: Family) -> None:
    stand = Stand(family)
    stand.router.pim.settings = evolve(stand.router.pim.settings, max_neighbors=16)
    stand.net.checker.on = False
    flood_of_neighbors(stand, 1000)
    stand.run(0)
    row = stand.row("interfaces", interface="down")
    assert row.neighbor_count == 16 and 2 in stand.neighbors()
    assert stand.counted("nbr_limit", "hello") == 1000 - 15
    assert stand.r1.reasons().count("nbr_limit") == 1, "one line a minute"
    before = digest(stand.router)
    flood_of_neighbors(stand, 200)
    stand.peer("down", 2).hello()
    assert stand.row("interfaces", interface="up").neighbor_count == 1
    stand.run(0)
    assert stand.counted("nbr_limit", "hello") == 985 + 185 and len(before) > 0
    stand.run(61)
    flood_of_neighbors(stand, 1000)
    stand.run(0)
    assert stand.r1.reasons().count("nbr_limit") == 2


@pytest.mark.parametrize(
    "option",
    ["0001000400000001", "00130002ffff", "001400020001", "0002000101", "00180003010000"],
    ids=["holdtime", "priority", "genid", "delay", "addresses"],
)
def test_TH16_an_option_of_wrong_length_is_ignored_and_the_hello_used(family: Family, option: str) -> None:
    one, other = Stand(family, down=()), Stand(family, down=())
    good = bytes.fromhex("0001000200c8")
    for stand, options in ((one, bytes.fromhex(option) + good), (other, good)):
        stand.peer("down", 2).send_bytes(sealed(stand, b"\x20\0\0\0" + options))
        stand.run(0)
    assert digest(one.router) == digest(other.router), "as if the option were not there"
    assert one.row("neighbors", interface="down").expiration == 200
    assert one.counted("hello_bad_option", "hello") == 1 and other.counted("hello_bad_option", "hello") == 0


def test_TH16_of_two_equal_options_the_last_counts(family: Family) -> None:
    stand = Stand(family, down=())
    options = bytes.fromhex("0001000200c8" + "000100020064")
    stand.peer("down", 2).send_bytes(sealed(stand, b"\x20\0\0\0" + options))
    stand.run(0)
    assert stand.row("neighbors", interface="down").expiration == 100


def test_TH17_our_own_address_in_a_list_is_skipped(family: Family) -> None:
    one, other = Stand(family), Stand(family)
    mine = one.r1.ports["down"].addresses[-1][0]
    theirs = one.net.address("down", 21)
    one.peer("down", 2).hello(addresses=(mine, theirs))
    other.peer("down", 2).hello(addresses=(theirs,))
    for stand in (one, other):
        stand.run(0)
    assert digest(one.router) == digest(other.router)
    assert one.counted("secondary_conflict", "hello") == 1


def test_TH17_a_hello_from_our_address_that_is_not_ours_is_warned_of_once(family: Family) -> None:
    stand = Stand(family)
    double = stand.peer("down", 5)
    assert double.address == stand.us()
    before = digest(stand.router)
    for _ in range(5):
        double.hello(generation_id=0x6666)
        stand.run(0)
    assert digest(stand.router) == before and stand.counted("own_packet", "hello") == 5
    assert stand.r1.reasons().count("own_addr") == 1


def test_TH18_a_stolen_dr_is_told_and_a_passive_interface_cannot_lose_it(family: Family) -> None:
    stand = Stand(family)
    stand.peer("down", 3).hello(dr_priority=2**32 - 1)
    stand.run(0)
    assert not stand.i_am_dr() and stand.r1.reasons().count("dr_change") >= 1
    passive = Stand(family, config=Config(phyints=(Phyint("down", passive=True),)))
    three, port = passive.peer("down", 3), passive.r1.ports["down"]
    data = pim.encode(family, three.address, family.all_pim_routers, evolve(HELLO, dr_priority=2**32 - 1))
    passive.r1.handle(
        PacketReceived("pim", port.ifindex, three.address, family.all_pim_routers, 1, False, data),
    )
    passive.run(0)
    assert passive.i_am_dr() and passive.counted("if_not_enabled", "any") == 1


def test_TH20_N3_a_forged_good_bye_lasts_until_the_next_hello(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined()
    stand.peer("up", 9).hello(holdtime=0)
    stand.run(0)
    assert not stand.neighbors("up")
    stand.run(30)
    assert stand.neighbors("up") == {9}
    assert ("join", channel) in [(verb, joined) for _, verb, joined in stand.said(to=stand.nine)]


# Join/Prune: where a part is dropped, the rest counts.


def same_as(family: Family, whole: JoinPrune, rest: JoinPrune, reason: str, count: int = 1) -> None:
    """A message does what it would without a part of it, and the part is counted."""
    one, other = Stand(family), Stand(family)
    for stand, message in ((one, whole), (other, rest)):
        stand.channel(), stand.channel(2)
        stand.peer("down", 2).send(message)
        stand.run(0)
    assert digest(one.router) == digest(other.router)
    assert (one.counted(reason), other.counted(reason)) == (count, 0)
    assert one.said() == other.said()


def test_TH26_J8_a_join_star_with_an_unknown_rp(family: Family) -> None:
    stand = Stand(family)
    group = parse_address("239.1.1.1" if family.size == 4 else "ff1e::1")
    good = ((stand.channel()[0], SG),)
    bad = (*star_entries(stand.net.address("up", 77)), (stand.channel(2)[0], SG_RPT))
    whole = JoinPrune(stand.us(), 210, (GroupSet(group, bad + good, ()),))
    same_as(family, whole, JoinPrune(stand.us(), 210, (GroupSet(group, good, ()),)), "jp_wrong_rp", 1)


def test_TH27_S3_shared_tree_entries_in_the_ssm_range(family: Family) -> None:
    stand = Stand(family)
    source, group = stand.channel()
    bad = (*star_entries(stand.net.address("up", 77)), (stand.channel(2)[0], SG_RPT))
    whole = JoinPrune(stand.us(), 210, (GroupSet(group, ((source, SG), *bad), ()),))
    same_as(family, whole, JoinPrune(stand.us(), 210, group_sets(joins=((source, group),))), "jp_ssm", 2)


def test_TH24_V8_wc_without_rpt_is_ignored_and_the_others_processed(family: Family) -> None:
    one, other = Stand(family), Stand(family)
    first, second = one.channel(1, group=1), one.channel(2, group=1)
    other.channel(1), other.channel(2)
    message = JoinPrune(one.us(), 210, group_sets(joins=(first, second)))
    data = raw(one, message)
    data[len(data) - 2 * family.size - 4 - 2] = 0x06  # S and WC, without RPT, in the first entry
    one.peer("down", 2).send_bytes(sealed(one, data))
    other.peer("down", 2).send(JoinPrune(one.us(), 210, group_sets(joins=(second,))))
    for stand in (one, other):
        stand.run(0)
    assert set(one.router.pim.tib.sg) == set(other.router.pim.tib.sg) == {second[0] + second[1]}
    assert digest(one.router) == digest(other.router) and one.counted("jp_bad_flags") == 1


def test_TH25_V9_entries_of_the_other_family_are_ignored(family: Family) -> None:
    stand = Stand(family)
    (source, group) = stand.channel()
    data = raw(stand, joining(stand))
    foreign = bytes((3 - family.pim_number, 0, 4, 32 if family.size == 16 else 128)) + bytes(20 - family.size)
    data += foreign
    data[-len(foreign) - family.size - 4 - 3] = 2  # two joined sources
    stand.peer("down", 2).send_bytes(sealed(stand, data))
    stand.run(0)
    assert stand.counted("jp_mixed_af") == 1 and set(stand.router.pim.tib.sg) == {source + group}


@pytest.mark.parametrize("source", ["multicast", "zero", "loopback"])
def test_TH28_a_source_that_can_be_nobody_makes_no_state(family: Family, source: str) -> None:
    texts = {"multicast": ("232.9.9.9", "ff0e::1"), "zero": ("0.0.0.0", "::"), "loopback": ("127.0.0.1", "::1")}
    bad = parse_address(texts[source][family.size == 16])
    stand = Stand(family)
    good = stand.channel()
    same_as(
        family,
        JoinPrune(stand.us(), 210, group_sets(joins=((bad, good[1]), good))),
        JoinPrune(stand.us(), 210, group_sets(joins=(good,))),
        "jp_bad_source",
    )


def test_TH28_Y2_a_flood_of_joins_is_capped_and_the_old_state_stays(family: Family) -> None:
    stand = Stand(family)
    stand.router.pim.settings = evolve(stand.router.pim.settings, max_sg=5)
    old = stand.joined(1, 2, 3)
    two = stand.peer("down", 2)
    two.join(stand.us(), *(stand.channel(number) for number in range(4, 104)))
    stand.run(0)
    assert len(stand.router.pim.tib.sg) == 5 and stand.counted("jp_limit") == 98
    assert all(stand.forwards(channel) == {"down"} for channel in old)
    assert stand.r1.reasons().count("jp_limit") == 1
    before = digest(stand.router)
    two.join(stand.us(), stand.channel(200))
    stand.run(0)
    assert digest(stand.router) == before and stand.counted("jp_limit") == 99
    two.join(stand.us(), *old, holdtime=300)
    two.prune(stand.us(), old[0])
    two.join(stand.us(), stand.channel(200))
    stand.run(0)
    assert stand.forwards(stand.channel(200)) == {"down"}, "room again"


def test_TH28_Y2_members_are_capped_too(family: Family) -> None:
    stand = Stand(family)
    stand.router.pim.settings = evolve(stand.router.pim.settings, max_sg=3)
    host = stand.host()
    for number in range(1, 10):
        source, group = stand.channel(number)
        host.join(group, source)
    stand.run(0)
    assert len(stand.router.pim.tib.sg) == 3
    assert stand.counted("sg_limit", "report", family.gmp) == 6
    assert stand.r1.reasons().count("sg_limit") == 1


def test_TH30_U23_impossible_combinations_are_joins_then_prunes(family: Family) -> None:
    stand = Stand(family, down=(2, 3))
    channel = stand.channel()
    message = JoinPrune(stand.us(), 210, group_sets(joins=(channel,), prunes=(channel,)))
    stand.peer("down", 2).send_bytes(bytes(raw(stand, message)))
    stand.run(0)
    assert stand.counted("jp_odd_combo") == 1
    assert stand.row("mroute", row="outgoing").jp_state == "prune_pending"
    stand.run(3)
    assert stand.entry(channel) is None


def test_TH31_J1_a_short_holdtime_is_used_as_given_and_counted(family: Family) -> None:
    stand = Stand(family)
    channel = stand.channel()
    stand.peer("down", 2).join(stand.us(), channel, holdtime=2)
    stand.run(1.99)
    assert stand.counted("jp_short_holdtime") == 1 and stand.forwards(channel) == {"down"}
    stand.run(0.01)
    assert stand.forwards(channel) == set()
    stand.peer("down", 2).join(stand.us(), channel, holdtime=3)
    stand.run(0)
    assert stand.counted("jp_short_holdtime") == 1


def test_TH21_a_join_does_not_refresh_the_neighbour(family: Family) -> None:
    stand = Stand(family, down=())
    two = stand.peer("down", 2)
    two.hello(holdtime=20)
    stand.run(10)
    two.join(stand.us(), stand.channel())
    stand.run(9.99)
    assert stand.neighbors() == {2}
    stand.run(0.01)
    assert stand.neighbors() == set()


# Destinations, TTLs, interfaces.


def test_V4_TH4_a_larger_ttl_is_counted_and_taken(family: Family) -> None:
    stand = Stand(family, down=())
    two = stand.peer("down", 2)
    data = bytes(raw(stand, HELLO))
    two.send_bytes(data, ttl=1)
    stand.run(0)
    assert stand.counted("ttl_not_1", "hello") == 0
    for ttl in (2, 64, 255):
        two.send_bytes(data, ttl=ttl)
    stand.run(0)
    assert stand.neighbors() == {2} and stand.counted("ttl_not_1", "hello") == 3


@pytest.mark.parametrize("own", ["primary", "other"])
def test_V14_TH66_own_packets_are_dropped_without_a_log(family: Family, own: str) -> None:
    stand = Stand(family)
    stand.run(60)
    spoken = [packet for _, packet, _ in stand.down.spoken("r1")]
    port = stand.r1.ports["down"]
    stand.r1.notices.clear()
    before = digest(stand.router)
    for packet in spoken:
        source = port.addresses[0 if own == "primary" else -1][0]
        data = sealed(stand, packet.data, source=source)
        stand.r1.handle(PacketReceived("pim", port.ifindex, source, packet.destination, 1, False, data))
        stand.run(0)
    assert spoken and digest(stand.router) == before and not stand.r1.notices
    assert stand.counted("own_packet", "hello") == len(spoken)


def test_V14_the_address_counts_on_its_own_interface_only(family: Family) -> None:
    stand = Stand(family, down=())
    stand.net.peer("down", 9).send(HELLO)
    stand.run(0)
    assert stand.neighbors() == {9}, "the same number as on `up`"
    if family.size == 16:
        assert stand.us("up") == stand.us("down")


@pytest.mark.parametrize("why", ["passive", "disabled", "unknown"])
def test_TH62_Y6_pim_on_an_interface_that_takes_no_part(family: Family, why: str) -> None:
    settings = {"passive": Phyint("down", passive=True), "disabled": Phyint("down", enabled=False)}
    config = Config(phyints=(settings[why],)) if why in settings else Config()
    stand = Stand(family, down=(), config=config)
    two, group = stand.peer("down", 2), stand.family.all_pim_routers
    ifindex = 99 if why == "unknown" else stand.r1.ports["down"].ifindex
    before = digest(stand.router)
    for message in (HELLO, joining(stand)):
        stand.r1.handle(PacketReceived("pim", ifindex, two.address, group, 1, False, bytes(raw(stand, message))))
    stand.run(0)
    assert stand.counted("if_not_enabled", "any") == 2
    assert digest(stand.router) == before and not stand.router.pim.tib.sg
    assert why != "passive" or stand.i_am_dr()
    assert not stand.hellos(), "and none is sent there"


def test_Y6_on_a_passive_interface_members_are_served(family: Family) -> None:
    stand = Stand(family, down=(), config=Config(phyints=(Phyint("down", passive=True),)))
    source, group = stand.channel()
    stand.host().join(group, source)
    stand.run(0)
    assert stand.forwards((source, group)) == {"down"}
    stand.run(130)
    queries = [packet for _, name, packet in stand.down.log if name == "r1"]
    assert queries and {packet.protocol for packet in queries} == {family.gmp}


def test_TH65_V15_reserved_bits_are_ignored(family: Family) -> None:
    one, other = Stand(family), Stand(family)
    size = family.size
    for stand in (one, other):
        stand.channel()
    source_flags = JOIN_SIZE[size] - size - 2
    group_flags = JOIN_SIZE[size] - 2 * size - 4 - 4 - 2
    reserved = {"at_1": 0xFF, f"at_{4 + 2 + size}": 0xFF, f"at_{group_flags}": 0x7E, f"at_{source_flags}": 0xFC}
    patched(joining, **reserved)(one, one.peer("down", 2))
    patched(joining)(other, other.peer("down", 2))
    for stand in (one, other):
        stand.run(0)
    assert digest(one.router) == digest(other.router) and len(one.router.pim.tib.sg) == 1


def test_V3_a_register_stop_to_the_group_changes_nothing(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined()
    source, group = channel
    before = digest(stand.router)
    stand.peer("down", 2).send(RegisterStop(group, source))
    stand.run(0)
    assert digest(stand.router) == before and stand.counted("bad_dest", "register_stop") == 1
    assert stand.forwards(channel) == {"down"}
