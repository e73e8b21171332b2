"""Assert messages (RFC 7761 4.9.6)."""

from __future__ import annotations

from struct import pack

import pytest
from pim_samples import FOREIGN, NETS, body, encode, masked, messages, reason_of, unicast

from pimpy.wire import pim
from pimpy.wire.family import IPV4, Family, parse_address


def metric(rpt: bool, preference: int, value: int) -> bytes:
    return pack(">II", rpt << 31 | preference, value)


def test_A15_golden_assert_cancel_ipv4() -> None:
    net = NETS[IPV4]
    cancel = pim.Assert(net.group, net.source, True, 0x7FFFFFFF, 0xFFFFFFFF)
    data = encode(IPV4, cancel)
    assert data.hex() == "250026d701000020ef0101010100c0000205ffffffffffffffff"
    assert pim.decode(IPV4, net.me, IPV4.all_pim_routers, data) == cancel


def test_A15_assert_cancel_sizes_and_star_cancel(family: Family) -> None:
    assert len(encode(family, messages(family)["assert cancel"])) == (26 if family is IPV4 else 50)
    net = NETS[family]
    star = pim.Assert(net.group, family.any, True, 0x7FFFFFFF, 0xFFFFFFFF)
    expected = masked(family, net.group) + unicast(family, family.any) + b"\xff" * 8
    assert encode(family, star)[4:] == expected


@pytest.mark.parametrize("rpt", [False, True])
@pytest.mark.parametrize("preference", [0, 1, 0x7FFFFFFF])
@pytest.mark.parametrize("value", [0, 0x80000000, 0xFFFFFFFF])
def test_A3_numbers_are_unsigned_and_apart_from_the_r_bit(
    family: Family, rpt: bool, preference: int, value: int
) -> None:
    net = NETS[family]
    data = (masked(family, net.group), unicast(family, net.source), metric(rpt, preference, value))
    message = body(family, 5, *data)
    assert message == pim.Assert(net.group, net.source, rpt, preference, value)
    assert encode(family, message)[4:] == b"".join(data)


def test_A24_source_0_with_the_r_bit_or_the_data_source(family: Family) -> None:
    net = NETS[family]
    for source in (family.any, net.source):
        message = body(family, 5, masked(family, net.group), unicast(family, source), metric(True, 1, 2))
        assert message == pim.Assert(net.group, source, True, 1, 2)


BAD_SOURCES = {
    4: ("127.0.0.1", "0.0.0.1", "239.1.1.1", "255.255.255.255"),
    16: ("::1", "ff0e::1"),
}


@pytest.mark.parametrize("rpt", [False, True])
def test_TH34_bad_addresses(family: Family, rpt: bool) -> None:
    net = NETS[family]
    tail = metric(rpt, 1, 2)
    for text in BAD_SOURCES[family.size]:
        source = unicast(family, parse_address(text))
        assert reason_of(body, family, 5, masked(family, net.group), source, tail) == "assert_bad_addr"
    for group in (net.rp, family.any):
        data = masked(family, group), unicast(family, net.source), tail
        assert reason_of(body, family, 5, *data) == "assert_bad_addr"


def test_TH34_source_0_without_the_r_bit(family: Family) -> None:
    data = masked(family, NETS[family].group), unicast(family, family.any), metric(False, 1, 2)
    assert reason_of(body, family, 5, *data) == "assert_bad_addr"


def test_group_needs_the_full_mask(family: Family) -> None:
    net = NETS[family]
    for length in (0, 4, family.bits - 1, family.bits + 1, 255):
        data = masked(family, net.group, length=length), unicast(family, net.source), metric(False, 1, 2)
        assert reason_of(body, family, 5, *data) == "bad_mask"


def test_V9_families_and_encodings(family: Family) -> None:
    net, foreign = NETS[family], FOREIGN[family]
    group, source = masked(family, net.group), unicast(family, net.source)
    others = masked(foreign, NETS[foreign].group), unicast(foreign, NETS[foreign].source)
    tail = metric(False, 1, 2) + bytes(32)
    for pair in ((others[0], source), (group, others[1]), others, (b"\x03" + group[1:], source)):
        assert reason_of(body, family, 5, *pair, tail) == "bad_address_family"
    for pair in ((group[:1] + b"\1" + group[2:], source), (group, source[:1] + b"\xff" + source[2:])):
        assert reason_of(body, family, 5, *pair, tail) == "bad_encoding"


def test_V15_group_flags_are_ignored(family: Family) -> None:
    net = NETS[family]
    data = masked(family, net.group, flags=0xFF), unicast(family, net.source), metric(False, 1, 2)
    assert body(family, 5, *data) == pim.Assert(net.group, net.source, False, 1, 2)


def test_what_cannot_be_written(family: Family) -> None:
    net, other = NETS[family], NETS[FOREIGN[family]]
    for message in (
        pim.Assert(net.group, net.source, False, 0x80000000, 0),
        pim.Assert(net.group, net.source, False, -1, 0),
        pim.Assert(net.group, net.source, False, 0, 2**32),
        pim.Assert(other.group, net.source, False, 0, 0),
        pim.Assert(net.group, other.source, False, 0, 0),
    ):
        with pytest.raises(ValueError):
            encode(family, message)
