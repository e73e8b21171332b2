"""Encoded unicast, group and source addresses (RFC 7761 4.9.1).

The readers take any family that they know, so that a caller can skip an address of the other one by its right
length; those whose `family` is given take that one only. An unknown address family cannot be skipped, its
length is not known: Malformed(`bad_address_family`), and Malformed(`bad_encoding`) for a non-native encoding.
"""

from __future__ import annotations

from typing import NamedTuple

from pimpy.wire.family import FAMILIES, Address, Family, Prefix
from pimpy.wire.reader import Malformed, Reader

BIDIR = 0x80
"""The B bit of an encoded group: the range is Bidirectional PIM's."""
ZONE = 0x01
"""The Z bit of an encoded group: the range is an admin scope zone (RFC 5059 4.1)."""
SPARSE = 0x04
"""The S bit of an encoded source: always sent set, ignored on receipt."""
WILDCARD = 0x02
"""The W (WC) bit of an encoded source."""
RPT = 0x01
"""The R bit of an encoded source."""

_BY_NUMBER = {family.pim_number: family for family in FAMILIES}


class EncodedAddress(NamedTuple):
    """An address as it was encoded. An encoded unicast address has the full `length` and no `flags`."""

    family: Family
    address: Address
    length: int
    """Bits of the mask, 0 to 255 as received."""
    flags: int
    """The whole byte, reserved bits included."""

    @property
    def is_full(self) -> bool:
        """Whether the mask covers the whole address, so that it names one address."""
        return self.length == self.family.bits


def _read_family(reader: Reader) -> Family:
    number = reader.u8()
    encoding = reader.u8()
    family = _BY_NUMBER.get(number)
    if family is None:
        raise Malformed("bad_address_family")
    if encoding != 0:
        raise Malformed("bad_encoding")
    return family


def read_unicast(reader: Reader) -> EncodedAddress:
    """The next encoded unicast address, of any known family."""
    family = _read_family(reader)
    return EncodedAddress(family, reader.take(family.size), family.bits, 0)


def read_masked(reader: Reader) -> EncodedAddress:
    """The next encoded group or encoded source address (one layout), of any known family; the mask is not checked."""
    family = _read_family(reader)
    flags = reader.u8()
    length = reader.u8()
    return EncodedAddress(family, reader.take(family.size), length, flags)


def read_own(reader: Reader, family: Family) -> Address:
    """The next encoded unicast address, which must be of `family`."""
    encoded = read_unicast(reader)
    if encoded.family is not family:
        raise Malformed("bad_address_family")
    return encoded.address


def read_single_group(reader: Reader, family: Family) -> Address:
    """The next encoded group, which must be of `family` and name one address: Malformed(`bad_mask`) else."""
    encoded = read_masked(reader)
    if encoded.family is not family:
        raise Malformed("bad_address_family")
    if not encoded.is_full:
        raise Malformed("bad_mask")
    return encoded.address


def read_range(reader: Reader, family: Family, reason: str) -> tuple[Prefix, int]:
    """The next encoded group as (range of groups, flags byte), for the messages of RFC 5059.

    Bits of the address beyond the mask are cleared. Malformed(`bad_mask`) if the mask is longer than the
    address, Malformed(`reason`) if the range holds an address that is not multicast.
    """
    encoded = read_masked(reader)
    if encoded.family is not family:
        raise Malformed("bad_address_family")
    if encoded.length > family.bits:
        raise Malformed("bad_mask")
    if encoded.length < family.multicast.length or not family.is_multicast(encoded.address):
        raise Malformed(reason)
    host_bits = family.bits - encoded.length
    number = int.from_bytes(encoded.address, "big") >> host_bits << host_bits
    return Prefix(number.to_bytes(family.size, "big"), encoded.length), encoded.flags


def write_unicast(family: Family, address: Address) -> bytes:
    """An encoded unicast address; ValueError if `address` is not of `family`."""
    return bytes((family.pim_number, 0)) + _checked(family, address)


def write_masked(family: Family, address: Address, length: int, flags: int) -> bytes:
    """An encoded group or encoded source address; ValueError if `address` is not of `family`."""
    return bytes((family.pim_number, 0, flags, length)) + _checked(family, address)


def write_single_group(family: Family, group: Address) -> bytes:
    """The encoded group that names `group` alone."""
    return write_masked(family, group, family.bits, 0)


def write_range(family: Family, group: Prefix, bidir: bool, zone: bool) -> bytes:
    """The encoded group of a range, with its B and Z bits."""
    return write_masked(family, group.network, group.length, BIDIR * bidir | ZONE * zone)


def _checked(family: Family, address: Address) -> Address:
    if len(address) != family.size:
        raise ValueError(f"an {family.name} address has {family.size} bytes, not {len(address)}")
    return address
