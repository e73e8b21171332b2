"""Threats (reliability.md, section 2) to the PIM part of the core, and conformance rows V3, V4 and V14.

What is dropped leaves the state as it was, digest by digest, and counts under its reason word; where only an entry,
an option or a part is dropped, the state is that of the message without it. Beside each message that is dropped
stands one that differs in just that and is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from crafting import HELLO, JOIN_SIZE, joining, patched, raw, raw_hello, sealed
from digest import digest
from speakers import Peer
from stand import Stand

from pimpy.config.model import Config, Phyint
from pimpy.core.engine.events import PacketReceived
from pimpy.wire import pim
from pimpy.wire.family import IPV4, Family, parse_address
from pimpy.wire.pim import Hello, Register, RegisterStop
from pimpy.wire.record import evolve, frozen
from pimpy.wire.value import Value


@frozen
class Threat(Value):
    """A message from number 2 on `down` that is dropped, and one like it that is taken."""

    id: str
    reason: str
    kind: str
    bad: Callable[[Stand, Peer], None]
    good: Callable[[Stand, Peer], None]


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
    raw_hello(peer, bytes.fromhex("0001000200"))


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


@pytest.mark.parametrize("threat", THREATS, ids=lambda threat: threat.id)
def test_TH2_TH3_what_others_should_not_send_is_told_once_a_minute(family: Family, threat: Threat) -> None:
    stand = Stand(family)
    two = stand.peer("down", 2)
    stand.channel()
    told = threat.reason in ("bad_version", "unsupported_type", "bad_dest")
    for count in (1, 2):
        for _ in range(5):
            threat.bad(stand, two)
        stand.run(61)
        assert stand.r1.reasons().count(threat.reason) == (count if told else 0)


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
    stand = Stand(family, config=Config(state_limits=(("neighbors", 16),), message_limits=(("hello", 0),)))
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
        raw_hello(stand.peer("down", 2), options)
        stand.run(0)
    assert digest(one.router) == digest(other.router), "as if the option were not there"
    assert one.row("neighbors", interface="down").expiration == 200
    assert one.counted("hello_bad_option", "hello") == 1 and other.counted("hello_bad_option", "hello") == 0


def test_TH16_of_two_equal_options_the_last_counts(family: Family) -> None:
    stand = Stand(family, down=())
    options = bytes.fromhex("0001000200c8" + "000100020064")
    raw_hello(stand.peer("down", 2), options)
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


def test_V4_TH4_a_larger_ttl_is_dropped_where_that_is_asked_for(family: Family) -> None:
    stand = Stand(family, down=(), config=Config(phyints=(Phyint("down", require_ttl_1=True),)))
    two = stand.peer("down", 2)
    data = bytes(raw(stand, HELLO))
    two.send_bytes(data, ttl=2)
    stand.run(0)
    assert stand.neighbors() == set() and stand.counted("ttl_not_1", "hello") == 1
    two.send_bytes(data, ttl=1)
    stand.run(0)
    assert stand.neighbors() == {2}


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


def test_V3_a_register_stop_to_the_group_changes_nothing(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined()
    source, group = channel
    before = digest(stand.router)
    stand.peer("down", 2).send(RegisterStop(group, source))
    stand.run(0)
    assert digest(stand.router) == before and stand.counted("bad_dest", "register_stop") == 1
    assert stand.forwards(channel) == {"down"}
