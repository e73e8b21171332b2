"""Addresses, messages of every kind and hypothesis strategies for the tests of PIM's wire format."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from struct import pack

import pytest
from hypothesis import strategies as st

from pimpy.wire import pim
from pimpy.wire.bootstrap import Bootstrap, CandidateRpAdvertisement, GroupRange, RpEntry, RpRange
from pimpy.wire.family import IPV4, IPV6, Address, Family, Prefix, parse_address, parse_prefix
from pimpy.wire.join_prune import SG, SG_RPT, STAR_G, GroupSet, JoinPrune
from pimpy.wire.reader import Malformed
from pimpy.wire.record import frozen
from pimpy.wire.value import Value


@frozen
class Net(Value):
    """The addresses of one family that the samples use."""

    me: Address
    """Hello source (IPv6: link-local)."""
    neighbor: Address
    secondary: Address
    dr: Address
    """Source of Registers: routable."""
    rp: Address
    source: Address
    other_source: Address
    group: Address
    other_group: Address
    range: Prefix
    """Of 16 bits at least."""


NETS = {
    IPV4: Net(
        me=parse_address("10.0.0.1"),
        neighbor=parse_address("10.0.0.2"),
        secondary=parse_address("10.0.5.2"),
        dr=parse_address("10.0.0.1"),
        rp=parse_address("10.9.9.9"),
        source=parse_address("192.0.2.5"),
        other_source=parse_address("192.0.2.6"),
        group=parse_address("239.1.1.1"),
        other_group=parse_address("239.1.1.2"),
        range=parse_prefix("239.1.0.0/16"),
    ),
    IPV6: Net(
        me=parse_address("fe80::1"),
        neighbor=parse_address("fe80::2"),
        secondary=parse_address("2001:db8:5::2"),
        dr=parse_address("2001:db8::1"),
        rp=parse_address("2001:db8:9::9"),
        source=parse_address("2001:db8::5"),
        other_source=parse_address("2001:db8::6"),
        group=parse_address("ff0e::1234"),
        other_group=parse_address("ff0e::1235"),
        range=parse_prefix("ff0e::/16"),
    ),
}

FOREIGN = {IPV4: IPV6, IPV6: IPV4}


def inner_packet(family: Family, payload: bytes = b"data") -> bytes:
    """A UDP packet of the sample source to the sample group, built here by hand (UDP checksum left out for IPv4)."""
    net = NETS[family]
    udp = pack(">HHHH", 40000, 40001, 8 + len(payload), 0) + payload
    if family is IPV4:
        header = pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 7, 0, 15, 17, 0) + net.source + net.group
        return header[:10] + pack(">H", word_sum(header)) + header[12:] + udp
    pseudo = net.source + net.group + pack(">II", len(udp), 17)
    udp = udp[:6] + pack(">H", word_sum(pseudo + udp)) + udp[8:]
    return pack(">IHBB", 0x60000000, len(udp), 17, 15) + net.source + net.group + udp


def word_sum(data: bytes) -> int:
    """The Internet checksum of `data`, word by word as RFC 1071 4.1 describes it."""
    total = 0
    for position in range(0, len(data), 2):
        total += int.from_bytes(data[position : position + 2].ljust(2, b"\0"), "big")
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def messages(family: Family) -> dict[str, pim.Message]:
    """Messages of every type and shape, by a name that begins with the message's label."""
    net = NETS[family]
    delay = pim.LanPruneDelay(False, 500, 2500)
    star = GroupSet(net.group, ((net.rp, STAR_G),), ((net.source, SG_RPT), (net.other_source, SG_RPT)))
    tree = GroupSet(net.other_group, ((net.source, SG), (net.other_source, SG)), ())
    rps = (RpEntry(net.rp, 150, 192), RpEntry(net.dr, 0, 1))
    everything = RpRange(family.multicast, True, False, 0, ())
    dummy = pim.dummy_header(family, net.source, net.group)
    return {
        "hello": pim.Hello(105, delay, 1, 0x12345678),
        "hello all": pim.Hello(105, pim.LanPruneDelay(True, 0x7FFF, 0xFFFF), 2**32 - 1, 0, (net.secondary, net.rp)),
        "hello empty": pim.Hello(),
        "hello goodbye": pim.Hello(holdtime=0),
        "hello for ever": pim.Hello(holdtime=0xFFFF, addresses=()),
        "register": pim.Register(False, False, inner_packet(family)),
        "register border": pim.Register(True, False, inner_packet(family, b"odd")),
        "null_register": pim.Register(False, True, dummy),
        "register_stop": pim.RegisterStop(net.group, net.source),
        "register_stop all sources": pim.RegisterStop(net.group, family.any),
        "join_prune": JoinPrune(net.neighbor, 210, (star, tree)),
        "join_prune singles": JoinPrune(
            net.neighbor,
            0xFFFF,
            (
                GroupSet(net.group, ((net.source, SG),), ()),
                GroupSet(net.other_group, ((net.rp, STAR_G),), ()),
            ),
        ),
        "join_prune prune": JoinPrune(net.neighbor, 0, (GroupSet(net.group, (), ((net.source, SG),)),)),
        "join_prune no groups": JoinPrune(net.neighbor, 210, ()),
        "assert": pim.Assert(net.group, net.source, False, 110, 20),
        "assert cancel": pim.Assert(net.group, net.source, True, 0x7FFFFFFF, 0xFFFFFFFF),
        "assert star": pim.Assert(net.group, family.any, True, 0, 0),
        "bootstrap": Bootstrap(0x1234, 30, 64, net.rp, False, (RpRange(net.range, False, False, 2, rps), everything)),
        "bootstrap zone": Bootstrap(0, 0, 255, net.rp, True, (RpRange(net.range, False, True, 9, rps[:1]),)),
        "bootstrap empty": Bootstrap(0xFFFF, family.bits, 0, net.rp, False, ()),
        "candidate_rp_advertisement": CandidateRpAdvertisement(
            net.rp, 192, 150, (GroupRange(net.range), GroupRange(family.multicast, True, True))
        ),
        "candidate_rp_advertisement withdrawn": CandidateRpAdvertisement(net.rp, 255, 0, ()),
    }


def ends(family: Family, message: pim.Message) -> tuple[Address, Address]:
    """(source, destination) that such a message goes between."""
    net = NETS[family]
    row = next(row for row in pim.ROWS.values() if row.message is type(message))
    return (net.me, family.all_pim_routers) if row.to_all_routers else (net.dr, net.rp)


def encode(family: Family, message: pim.Message) -> bytes:
    """The bytes of `message` between its usual ends."""
    return pim.encode(family, *ends(family, message), message)


def decode(family: Family, data: bytes) -> pim.Message:
    """What `data` decodes to between the usual ends of its type."""
    number = data[0] & 0x0F if data else 0
    net = NETS[family]
    row = pim.ROWS.get(number)
    if row is None or row.to_all_routers:
        return pim.decode(family, net.me, family.all_pim_routers, data)
    return pim.decode(family, net.dr, net.rp, data)


def sealed(family: Family, data: bytes) -> bytes:
    """`data` with the right checksum between the usual ends of its type; as it is if it is too short for one."""
    row = pim.ROWS.get(data[0] & 0x0F) if data else None
    if row is None or len(data) < (8 if row.message is pim.Register else 4):
        return data
    net = NETS[family]
    if row.to_all_routers:
        return pim.seal(family, net.me, family.all_pim_routers, data)
    return pim.seal(family, net.dr, net.rp, data)


def body(family: Family, number: int, *parts: bytes) -> pim.Message:
    """What the message of type `number` with these bytes behind its header decodes to."""
    return decode(family, sealed(family, bytes((0x20 | number, 0, 0, 0)) + b"".join(parts)))


def reason_of(call: Callable[..., object], *arguments: object, **named: object) -> str:
    """The reason word with which the call raises Malformed."""
    with pytest.raises(Malformed) as caught:
        call(*arguments, **named)
    return caught.value.reason


def unicast(family: Family, address: Address) -> bytes:
    """An encoded unicast address, by hand."""
    return bytes((family.pim_number, 0)) + address


def masked(family: Family, address: Address, flags: int = 0, length: int | None = None) -> bytes:
    """An encoded group or source address, by hand; with the full mask unless told otherwise."""
    return bytes((family.pim_number, 0, flags, family.bits if length is None else length)) + address


# Strategies


def unicast_addresses(family: Family) -> st.SearchStrategy[Address]:
    """Addresses that can be a router's or a source's."""
    return st.binary(min_size=family.size, max_size=family.size).filter(family.is_unicast)


def group_addresses(family: Family) -> st.SearchStrategy[Address]:
    """Multicast addresses."""
    first = st.integers(0xE0, 0xEF) if family is IPV4 else st.just(0xFF)
    rest = st.binary(min_size=family.size - 1, max_size=family.size - 1)
    return st.builds(lambda head, tail: bytes((head,)) + tail, first, rest)


def group_ranges(family: Family) -> st.SearchStrategy[Prefix]:
    """Ranges of multicast addresses, of 16 bits at least."""

    def cut(address: Address, length: int) -> Prefix:
        shift = family.bits - length
        return Prefix((int.from_bytes(address, "big") >> shift << shift).to_bytes(family.size, "big"), length)

    return st.builds(cut, group_addresses(family), st.integers(16, family.bits))


def source_entries(
    family: Family, kinds: tuple[int, ...] = (SG, SG_RPT, STAR_G)
) -> st.SearchStrategy[tuple[bytes, int]]:
    """Source entries; few different sources, so that they meet."""
    few = st.integers(1, 6).map(lambda number: NETS[family].source[:-1] + bytes((number,)))
    return st.tuples(few | unicast_addresses(family), st.sampled_from(kinds))


def group_sets(family: Family, size: int = 4) -> st.SearchStrategy[GroupSet]:
    """Group sets, forbidden combinations included."""
    few = st.integers(1, 4).map(lambda number: NETS[family].group[:-1] + bytes((number,)))
    entries = st.lists(source_entries(family), max_size=size).map(tuple)
    return st.builds(GroupSet, few | group_addresses(family), entries, entries)


@cache
def any_message(family: Family) -> st.SearchStrategy[pim.Message]:
    """Any valid message."""
    return st.one_of(*message_strategies(family).values())


@cache
def message_strategies(family: Family) -> dict[str, st.SearchStrategy[pim.Message]]:
    """Valid messages by label."""
    u8, u16, u32 = st.integers(0, 0xFF), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
    u15, u31, flag = st.integers(0, 0x7FFF), st.integers(0, 0x7FFFFFFF), st.booleans()
    address, group = unicast_addresses(family), group_addresses(family)
    ranges, any_address = group_ranges(family), st.just(family.any)
    delay = st.builds(pim.LanPruneDelay, flag, u15, u16)
    addresses = st.lists(address, max_size=5).map(tuple)
    rps = st.lists(st.builds(RpEntry, address, u16, u8), max_size=4).map(tuple)
    rp_range = st.builds(
        lambda prefix, bidir, zone, entries, more: RpRange(prefix, bidir, zone, len(entries) + more, entries),
        *(ranges, flag, flag, rps, st.integers(0, 200)),
    )
    tree = st.builds(pim.Assert, group, address, flag, u31, u32)
    shared = st.builds(pim.Assert, group, any_address, st.just(True), u31, u32)
    return {
        "hello": st.builds(pim.Hello, *(st.none() | each for each in (u16, delay, u32, u32, addresses))),
        "register": st.builds(pim.Register, flag, flag, st.binary(max_size=60)),
        "register_stop": st.builds(pim.RegisterStop, group, address | any_address),
        "join_prune": st.builds(JoinPrune, address, u16, st.lists(group_sets(family), max_size=4).map(tuple)),
        "assert": tree | shared,
        "bootstrap": st.builds(
            Bootstrap, u16, st.integers(0, family.bits), u8, address, flag, st.lists(rp_range, max_size=3).map(tuple)
        ),
        "candidate_rp_advertisement": st.builds(
            CandidateRpAdvertisement,
            *(address, u8, u16, st.lists(st.builds(GroupRange, ranges, flag, flag), max_size=4).map(tuple)),
        ),
    }
