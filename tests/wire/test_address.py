"""Encoded addresses (RFC 7761 4.9.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pim_samples import FOREIGN, NETS, group_ranges, masked, reason_of, unicast, unicast_addresses

from pimpy.wire import address
from pimpy.wire.family import FAMILIES, Family, Prefix
from pimpy.wire.reader import Reader


def test_golden(family: Family) -> None:
    net = NETS[family]
    number, bits = family.pim_number, family.bits
    assert address.write_unicast(family, net.rp) == bytes((number, 0)) + net.rp
    assert address.write_single_group(family, net.group) == bytes((number, 0, 0, bits)) + net.group
    assert address.write_masked(family, net.rp, bits, 7) == bytes((number, 0, 7, bits)) + net.rp
    for bidir, zone, flags in ((False, False, 0), (True, False, 0x80), (False, True, 0x01), (True, True, 0x81)):
        data = address.write_range(family, net.range, bidir, zone)
        assert data == bytes((number, 0, flags, net.range.length)) + net.range.network


def test_either_family_is_read_by_its_own_length(family: Family) -> None:
    other = FOREIGN[family]
    data = unicast(family, NETS[family].rp) + masked(other, NETS[other].group, 5, 9) + unicast(family, family.any)
    reader = Reader(data)
    assert address.read_unicast(reader) == (family, NETS[family].rp, family.bits, 0)
    assert address.read_masked(reader) == (other, NETS[other].group, 9, 5)
    assert address.read_own(reader, family) == family.any
    assert reader.left == 0


def test_only_one_length_is_the_full_mask(family: Family) -> None:
    net = NETS[family]
    full = [length for length in range(256) if address.EncodedAddress(family, net.rp, length, 0).is_full]
    assert full == [family.bits]


def test_V9_unknown_family_and_encoding(family: Family) -> None:
    net = NETS[family]
    for number in set(range(256)) - {1, 2}:
        data = bytes((number, 0, 0, 8)) + net.group * 2
        for read in (address.read_unicast, address.read_masked):
            assert reason_of(read, Reader(data)) == "bad_address_family"
    for encoding in range(1, 256):
        data = bytes((family.pim_number, encoding, 0, 8)) + net.group
        for read in (address.read_unicast, address.read_masked):
            assert reason_of(read, Reader(data)) == "bad_encoding"


def test_own_family_only(family: Family) -> None:
    other = FOREIGN[family]
    single, prefix = masked(other, NETS[other].group), NETS[other].range
    ranged = masked(other, prefix.network, 0, prefix.length)
    for call in (
        lambda: address.read_own(Reader(unicast(other, NETS[other].rp)), family),
        lambda: address.read_single_group(Reader(single), family),
        lambda: address.read_range(Reader(ranged), family, "bsm_bad_addr"),
    ):
        assert reason_of(call) == "bad_address_family"


def test_truncated_at_every_offset(family: Family) -> None:
    net = NETS[family]
    data = unicast(family, net.rp)
    for size in range(len(data)):
        assert reason_of(address.read_unicast, Reader(data[:size])) == "truncated"
    data = masked(family, net.group)
    for size in range(len(data)):
        assert reason_of(address.read_masked, Reader(data[:size])) == "truncated"


@given(st.data())
def test_ranges_and_back(data: st.DataObject) -> None:
    family = data.draw(st.sampled_from(FAMILIES))
    prefix: Prefix = data.draw(group_ranges(family))
    bidir, zone = data.draw(st.booleans()), data.draw(st.booleans())
    encoded = address.write_range(family, prefix, bidir, zone)
    assert address.read_range(Reader(encoded), family, "x") == (prefix, 0x80 * bidir | zone)
    router = data.draw(unicast_addresses(family))
    assert address.read_own(Reader(address.write_unicast(family, router)), family) == router


def test_addresses_of_the_other_family_cannot_be_written(family: Family) -> None:
    other = NETS[FOREIGN[family]]
    with pytest.raises(ValueError):
        address.write_unicast(family, other.rp)
    with pytest.raises(ValueError):
        address.write_single_group(family, other.group)
    with pytest.raises(ValueError):
        address.write_range(family, other.range, False, False)
