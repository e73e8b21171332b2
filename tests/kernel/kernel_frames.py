"""Packets and netlink messages built by hand, independently of what reads them."""

from __future__ import annotations

import struct

from pimpy.wire.family import IPV4, Address, Family

ALERT4 = b"\x94\x04\x00\x00"
ALERT6 = b"\x3a\x00\x05\x02\x00\x00\x01\x00"


def checksum(data: bytes) -> bytes:
    """The Internet checksum."""
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    return struct.pack("!H", ~total & 0xFFFF)


def ip4(source: Address, destination: Address, protocol: int, data: bytes, ttl: int = 1, options: bytes = b"") -> bytes:
    """An IPv4 packet with its checksum."""
    words = 5 + len(options) // 4
    length = words * 4 + len(data)
    header = (
        struct.pack("!BBHHHBBH", 0x40 | words, 0xC0, length, 0, 0, ttl, protocol, 0) + source + destination + options
    )
    return header[:10] + checksum(header) + header[12:] + data


def ip6(source: Address, destination: Address, protocol: int, data: bytes, ttl: int = 1, options: bytes = b"") -> bytes:
    """An IPv6 packet; `options` is a whole Hop-by-Hop header."""
    first = 0 if options else protocol
    return (
        struct.pack("!IHBB16s16s", 6 << 28, len(options) + len(data), first, ttl, source, destination) + options + data
    )


def mld(source: Address, destination: Address, kind: int, rest: bytes) -> bytes:
    """An ICMPv6 message with its checksum: type, then `rest` behind the checksum."""
    body = struct.pack("!BBH", kind, 0, 0) + rest
    pseudo = source + destination + struct.pack("!II", len(body), 58)
    return body[:2] + checksum(pseudo + body) + body[4:]


def ether(destination: Address, packet: bytes) -> bytes:
    """An Ethernet frame to the multicast address of `destination`."""
    if len(destination) == 4:
        head = bytes((1, 0, 0x5E, destination[1] & 0x7F)) + destination[2:]
        kind = b"\x08\x00"
    else:
        head, kind = b"\x33\x33" + destination[12:], b"\x86\xdd"
    return head + b"\x02\x00\x00\x00\x00\x77" + kind + packet


def ip(family: Family, source: Address, destination: Address, protocol: int, data: bytes, ttl: int = 1) -> bytes:
    """An IP packet of either family, without options."""
    return (ip4 if family is IPV4 else ip6)(source, destination, protocol, data, ttl)


def upcall(family: Family, kind: int, vif: int, source: Address, destination: Address, packet: bytes = b"") -> bytes:
    """What the kernel writes to the mroute socket."""
    if family is IPV4:
        head = struct.pack("!BBHHHBBBB", 0x45, 0, 20 + len(packet), 0, 0, kind, 0, vif, 0)
        return head + source + destination + packet
    return struct.pack("=BBHI", 0, kind, vif, 0) + source + destination + packet


def attribute(kind: int, value: bytes) -> bytes:
    """A netlink attribute, padded."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def netlink(kind: int, body: bytes, flags: int = 2, sequence: int = 1) -> bytes:
    """A netlink message, padded."""
    return struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, 0) + body + bytes(-len(body) % 4)


def mfc_entry(
    family: Family,
    source: Address,
    destination: Address,
    iif: int | None,
    oifs: tuple[int, ...] = (),
    stats: tuple[int, int, int] = (0, 0, 0),
    table: int = 253,
) -> bytes:
    """An entry as a netlink dump has it; `iif` None is an unresolved one."""
    flags = 0x20 if iif is None else 0
    number = 128 if family is IPV4 else 129
    body = struct.pack("=BBBBBBBBI", number, family.bits, family.bits, 0, 0, 17, 0, 5, flags)
    body += attribute(15, struct.pack("=I", table)) + attribute(2, source) + attribute(1, destination)
    if iif:
        body += attribute(3, struct.pack("=I", iif))
    if iif is not None:
        hops = b"".join(struct.pack("=HBBi", 8, 0, 1, oif) for oif in oifs)
        body += attribute(9, hops) + attribute(17, struct.pack("=QQQ", *stats))
    return netlink(24, body)
