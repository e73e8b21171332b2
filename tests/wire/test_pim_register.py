"""Register, Null-Register and the packets inside, and Register-Stop (RFC 7761 4.9.3, 4.9.4)."""

from __future__ import annotations

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pim_samples import FOREIGN, NETS, body, encode, inner_packet, masked, messages, reason_of, unicast, word_sum

from pimpy.wire import pim
from pimpy.wire.family import FAMILIES, IPV4, IPV6, Address, Family, parse_address
from pimpy.wire.reader import Malformed


def addressed(family: Family, source: Address, group: Address) -> bytes:
    """The sample data packet with other addresses, its IPv4 header checksum right again."""
    packet = inner_packet(family)
    if family is IPV6:
        return packet[:8] + source + group + packet[40:]
    header = packet[:10] + b"\0\0" + source + group
    return header[:10] + word_sum(header).to_bytes(2, "big") + header[12:] + packet[20:]


@pytest.mark.parametrize("border", [False, True])
@pytest.mark.parametrize("null", [False, True])
def test_R19_border_and_null_bits(family: Family, border: bool, null: bool) -> None:
    packet = inner_packet(family)
    first = 0x80 * border | 0x40 * null
    data = encode(family, pim.Register(border, null, packet))
    assert data[4:8] == bytes((first, 0, 0, 0))
    assert data[8:] == packet
    assert body(family, 1, bytes((first, 0, 0, 0)), packet) == pim.Register(border, null, packet)


def test_V15_reserved_bits_of_a_register_are_ignored(family: Family) -> None:
    assert body(family, 1, b"\x3f\xff\xff\xff", b"x") == pim.Register(False, False, b"x")


@pytest.mark.parametrize("size", range(4, 8))
def test_register_shorter_than_8_bytes(family: Family, size: int) -> None:
    data = b"\x21\0\xde\xff\0\0\0"[:size]
    assert reason_of(pim.decode, family, family.any, family.any, data) == "truncated"


def test_R17_golden_dummy_header_ipv4() -> None:
    header = pim.dummy_header(IPV4, parse_address("192.0.2.5"), parse_address("239.1.1.1"))
    assert header.hex() == "45000014000000000067087cc0000205ef010101"


def test_R17_golden_dummy_header_ipv6() -> None:
    source, group = parse_address("2001:db8::5"), parse_address("ff0e::1234")
    header = pim.dummy_header(IPV6, source, group)
    assert header[:8] == bytes.fromhex("60000000 0004 67 00")
    assert header[8:40] == source + group
    assert header[40:] == bytes.fromhex("0000c093")


def test_R17_dpkt_reads_the_dummy_header(family: Family) -> None:
    net = NETS[family]
    header = pim.dummy_header(family, net.source, net.group)
    if family is IPV4:
        ip = dpkt.ip.IP(header)
        assert (ip.v, ip.hl, ip.len, ip.p, ip.src, ip.dst) == (4, 5, 20, 103, net.source, net.group)
        assert dpkt.in_cksum(header) == 0
    else:
        ip6 = dpkt.ip6.IP6(header)
        assert (ip6.v, ip6.plen, ip6.nxt, ip6.src, ip6.dst) == (6, 4, 103, net.source, net.group)


def test_dummy_header_needs_addresses_of_its_family(family: Family) -> None:
    net, other = NETS[family], NETS[FOREIGN[family]]
    for source, group in ((other.source, net.group), (net.source, other.group)):
        with pytest.raises(ValueError):
            pim.dummy_header(family, source, group)


def test_R17_our_own_null_register_is_accepted(family: Family) -> None:
    net = NETS[family]
    packet = pim.dummy_header(family, net.source, net.group)
    assert pim.inner_addresses(family, packet, null=True) == (net.source, net.group)


def test_R17_ipv4_dummy_checksum_0_is_never_checked() -> None:
    net = NETS[IPV4]
    good = pim.dummy_header(IPV4, net.source, net.group)
    zero = good[:10] + b"\0\0" + good[12:]
    assert pim.inner_addresses(IPV4, zero, null=True) == (net.source, net.group)


def test_R17_ipv4_dummy_checksum_that_is_wrong_drops() -> None:
    net = NETS[IPV4]
    good = pim.dummy_header(IPV4, net.source, net.group)
    for wrong in (b"\0\1", b"\x08\x7d", b"\xff\xff"):
        packet = good[:10] + wrong + good[12:]
        assert reason_of(pim.inner_addresses, IPV4, packet, null=True) == "nullreg_csum"


def test_R17_ipv6_dummy_pim_header_is_checked_if_present() -> None:
    net = NETS[IPV6]
    good = pim.dummy_header(IPV6, net.source, net.group)
    for wrong in (b"\0\0\0\0", b"\0\0\xc0\x94", b"\x20\0" + good[42:]):
        packet = good[:40] + wrong
        assert reason_of(pim.inner_addresses, IPV6, packet, null=True) == "nullreg_csum"
    for size in (40, 41, 43):
        assert pim.inner_addresses(IPV6, good[:size], null=True) == (net.source, net.group)


def test_R17_no_other_field_of_the_dummy_header_is_checked(family: Family) -> None:
    """Peers send a payload length in the wrong byte order, another protocol, any TTL, version 0."""
    net = NETS[family]
    good = pim.dummy_header(family, net.source, net.group)
    spared = {10, 11} if family is IPV4 else {6}
    for position in set(range(8 if family is IPV6 else 12)) - spared:
        for value in (0x00, 0x41, 0x4F, 0xFF):
            packet = good[:position] + bytes((value,)) + good[position + 1 :]
            if family is IPV4:
                blank = packet[:10] + b"\0\0" + packet[12:]
                packet = blank[:10] + word_sum(blank).to_bytes(2, "big") + blank[12:]
                assert pim.inner_addresses(family, blank, null=True) == (net.source, net.group)
            assert pim.inner_addresses(family, packet, null=True) == (net.source, net.group)


def test_R17_ipv6_dummy_of_another_protocol_has_no_pim_header_to_check() -> None:
    net = NETS[IPV6]
    packet = bytes.fromhex("60000000 0004 11 ff") + net.source + net.group + b"\1\2\3\4"
    assert pim.inner_addresses(IPV6, packet, null=True) == (net.source, net.group)


def test_R17_ipv4_dummy_header_with_options_is_summed_whole() -> None:
    net = NETS[IPV4]
    header = b"\x46\0\0\x18\0\0\0\0\0\x67\0\0" + net.source + net.group + b"\x94\x04\0\0"
    right = header[:10] + word_sum(header).to_bytes(2, "big") + header[12:]
    assert pim.inner_addresses(IPV4, right, null=True) == (net.source, net.group)


@pytest.mark.parametrize("null", [False, True])
def test_inner_packet_shorter_than_its_header(family: Family, null: bool) -> None:
    packet = pim.dummy_header(family, *(NETS[family].source, NETS[family].group)) if null else inner_packet(family)
    for size in range(20 if family is IPV4 else 40):
        cut = packet[:size]
        assert reason_of(pim.inner_addresses, family, cut, null) == "reg_inner_malformed"


def test_inner_data_packet_is_accepted(family: Family) -> None:
    net = NETS[family]
    packet = inner_packet(family)
    assert pim.inner_addresses(family, packet) == (net.source, net.group)
    assert pim.inner_addresses(family, packet + b"padding") == (net.source, net.group)


def test_reg_inner_len_packet_longer_than_delivered(family: Family) -> None:
    packet = inner_packet(family)
    header = 20 if family is IPV4 else 40
    for size in range(header, len(packet)):
        cut = packet[:size]
        assert reason_of(pim.inner_addresses, family, cut) == "reg_inner_len"


def test_reg_inner_len_is_a_number_of_two_bytes(family: Family) -> None:
    net = NETS[family]
    packet = inner_packet(family, bytes(600))
    assert pim.inner_addresses(family, packet) == (net.source, net.group)
    for size in (len(packet) - 1, len(packet) - 256, 100):
        assert reason_of(pim.inner_addresses, family, packet[:size]) == "reg_inner_len"


def test_inner_ipv4_packet_without_payload_is_accepted() -> None:
    net = NETS[IPV4]
    packet = pim.dummy_header(IPV4, net.source, net.group)
    assert pim.inner_addresses(IPV4, packet, null=False) == (net.source, net.group)


def test_reg_inner_malformed_other_version(family: Family) -> None:
    packet = inner_packet(family)
    for version in set(range(16)) - {4 if family is IPV4 else 6}:
        changed = bytes((version << 4 | packet[0] & 0x0F,)) + packet[1:]
        assert reason_of(pim.inner_addresses, family, changed) == "reg_inner_malformed"
    foreign = inner_packet(FOREIGN[family])
    assert reason_of(pim.inner_addresses, family, foreign) == "reg_inner_malformed"


def test_reg_inner_malformed_ipv4_header_length() -> None:
    packet = inner_packet(IPV4)
    for words in (0, 1, 4, 9, 15):
        changed = bytes((0x40 | words,)) + packet[1:10] + b"\0\0" + packet[12:]
        assert reason_of(pim.inner_addresses, IPV4, changed) == "reg_inner_malformed"


@pytest.mark.parametrize("total", [0, 1, 19])
def test_reg_inner_malformed_ipv4_total_length_below_the_header(total: int) -> None:
    packet = inner_packet(IPV4)
    changed = packet[:2] + total.to_bytes(2, "big") + packet[4:10] + b"\0\0" + packet[12:]
    assert reason_of(pim.inner_addresses, IPV4, changed) == "reg_inner_malformed"


def test_reg_inner_malformed_ipv6_length_0() -> None:
    packet = inner_packet(IPV6)
    changed = packet[:4] + b"\0\0" + packet[6:]
    assert reason_of(pim.inner_addresses, IPV6, changed) == "reg_inner_malformed"


def test_reg_inner_malformed_ipv4_header_checksum() -> None:
    packet = inner_packet(IPV4)
    for position in set(range(4, 20)) - {10, 11}:
        changed = packet[:position] + bytes((packet[position] ^ 0x01,)) + packet[position + 1 :]
        assert reason_of(pim.inner_addresses, IPV4, changed) == "reg_inner_malformed"


BAD_SOURCES = {
    IPV4: ("0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.0.1", "239.1.1.1", "169.254.1.1", "255.255.255.255"),
    IPV6: ("::", "::1", "ff0e::1", "ff02::1", "fe80::1", "febf::1"),
}
BAD_GROUPS = {
    IPV4: ("224.0.0.1", "224.0.0.255", "192.0.2.1", "240.0.0.1", "0.0.0.0"),
    IPV6: ("ff00::1", "ff01::1", "ff02::1", "ff12::1", "ff31::1", "2001:db8::1", "::"),
}


@pytest.mark.parametrize("null", [False, True])
def test_R18_sources_that_make_no_state(family: Family, null: bool) -> None:
    net = NETS[family]
    for text in BAD_SOURCES[family]:
        source = parse_address(text)
        make = pim.dummy_header if null else addressed
        packet = make(family, source, net.group)
        assert reason_of(pim.inner_addresses, family, packet, null) == "reg_inner_source", text


@pytest.mark.parametrize("null", [False, True])
def test_R18_groups_that_make_no_state(family: Family, null: bool) -> None:
    net = NETS[family]
    for text in BAD_GROUPS[family]:
        group = parse_address(text)
        make = pim.dummy_header if null else addressed
        packet = make(family, net.source, group)
        assert reason_of(pim.inner_addresses, family, packet, null) == "reg_inner_group", text


@given(st.sampled_from(FAMILIES), st.binary(max_size=80), st.booleans(), st.integers(0, 15))
def test_any_bytes_inside(family: Family, packet: bytes, null: bool, version: int) -> None:
    packet = bytes((version << 4 | 5,)) + packet
    try:
        source, group = pim.inner_addresses(family, packet, null)
    except Malformed as problem:
        assert problem.reason in {
            "reg_inner_malformed",
            "reg_inner_len",
            "reg_inner_source",
            "reg_inner_group",
            "nullreg_csum",
        }
    else:
        assert family.is_unicast(source) and family.is_routable_group(group)


def test_golden_register_stop_ipv4() -> None:
    net = NETS[IPV4]
    stop = pim.RegisterStop(net.group, net.source)
    data = encode(IPV4, stop)
    assert data.hex() == "220029d701000020ef0101010100c0000205"
    assert pim.decode(IPV4, net.rp, net.dr, data) == stop


def test_golden_register_stop_sizes(family: Family) -> None:
    data = encode(family, messages(family)["register_stop"])
    assert len(data) == (18 if family is IPV4 else 42)
    net = NETS[family]
    assert data[4:] == masked(family, net.group) + unicast(family, net.source)


def test_R7_register_stop_for_all_sources(family: Family) -> None:
    net = NETS[family]
    message = body(family, 2, masked(family, net.group), unicast(family, family.any))
    assert message == pim.RegisterStop(net.group, family.any)


def test_register_stop_needs_the_full_mask(family: Family) -> None:
    net = NETS[family]
    for length in (0, 8, family.bits - 1, family.bits + 1, 255):
        group = masked(family, net.group, length=length)
        assert reason_of(body, family, 2, group, unicast(family, net.source)) == "bad_mask"


def test_register_stop_addresses(family: Family) -> None:
    net, other = NETS[family], NETS[FOREIGN[family]]
    source, group = unicast(family, net.source), masked(family, net.group)
    foreign = FOREIGN[family]
    bad = {
        "regstop_bad_addr": [(masked(family, net.rp), source), (group, unicast(family, net.group))],
        "bad_address_family": [
            (masked(foreign, other.group), source),
            (group, unicast(foreign, other.source)),
            (bytes((0, 0, 0, family.bits)) + net.group, source),
            (group, bytes((3, 0)) + net.source),
        ],
        "bad_encoding": [
            (bytes((family.pim_number, 1, 0, family.bits)) + net.group, source),
            (group, bytes((family.pim_number, 7)) + net.source),
        ],
    }
    for reason, pairs in bad.items():
        for pair in pairs:
            # Bytes behind, so that a longer address is not just cut off.
            assert reason_of(body, family, 2, *pair, bytes(32)) == reason
    assert body(family, 2, group, source) == pim.RegisterStop(net.group, net.source)
