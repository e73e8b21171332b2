"""Multicast data packets of the fake network, numbered, so that losses and duplicates can be told apart."""

from __future__ import annotations

from struct import pack

from pimpy.wire.checksum import internet_checksum
from pimpy.wire.family import Address, Family
from pimpy.wire.record import evolve, frozen
from pimpy.wire.value import Value

Channel = tuple[Address, Address]
"""(source, group)."""
HEADER = {4: 20, 16: 40}


@frozen
class Datagram(Value):
    """One data packet with the TTL it has on its link."""

    source: Address
    group: Address
    number: int = 0
    ttl: int = 32

    @property
    def channel(self) -> Channel:
        """What it belongs to."""
        return self.source, self.group

    def hop(self) -> Datagram:
        """The packet behind one more router."""
        return evolve(self, ttl=self.ttl - 1)

    def to_bytes(self) -> bytes:
        """As the kernel hands it up: an IP header and eight bytes."""
        body = self.number.to_bytes(8, "big")
        if len(self.source) == 16:
            return pack(">IHBB", 0x60000000, len(body), 17, self.ttl) + self.source + self.group + body
        head = pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, self.ttl, 17, 0) + self.source + self.group
        return head[:10] + internet_checksum(head).to_bytes(2, "big") + head[12:] + body


def datagram_of(family: Family, packet: bytes) -> Datagram:
    """The datagram in an IP packet that `to_bytes` made, and others may have changed the TTL of."""
    at = 12 if family.size == 4 else 8
    source, group = packet[at : at + family.size], packet[at + family.size : at + 2 * family.size]
    ttl = packet[8 if family.size == 4 else 7]
    if family.size == 4:
        assert internet_checksum(packet[:20]) == 0, "a broken IPv4 header"
    return Datagram(source, group, int.from_bytes(packet[HEADER[family.size] :][:8], "big"), ttl)
