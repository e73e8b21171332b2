"""The little that is done to IP headers of data packets: their TTL, on the way into a Register."""

from __future__ import annotations

from pimpy.wire.family import Family


def decrement_ttl(family: Family, packet: bytes) -> bytes | None:
    """The packet with a TTL or hop limit less by one, IPv4's header checksum updated (RFC 1624).

    None if it may not go on: its TTL is 1 or 0, or it is too short to be a packet.
    """
    if len(packet) < family.ip_header:
        return None
    at = 8 if family.size == 4 else 7
    if packet[at] <= 1:
        return None
    changed = bytearray(packet)
    changed[at] -= 1
    if family.size == 4:
        total = int.from_bytes(packet[10:12], "big") + 0x0100
        total = (total & 0xFFFF) + (total >> 16)
        changed[10:12] = total.to_bytes(2, "big")
    return bytes(changed)
