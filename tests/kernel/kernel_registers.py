"""A register table at work between two hosts, and packets to send through it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from socket import AF_PACKET, SOCK_DGRAM, SOCK_RAW, htons, inet_ntop, socket
from typing import Any

from kernel_frames import checksum, ether, ip4, ip6
from kernel_namespaces import Trio, eventually, group, host

from pimpy.kernel import _mroute
from pimpy.kernel.sockets import Sockets, open_sockets
from pimpy.wire import pim
from pimpy.wire.family import IPV4, IPV6, Address, Family

TTLS = b"\x01" * 32


class Bench:
    """left (a source) --- router --- right (the RP), the router's register table at work."""

    def __init__(self, trio: Trio, family: Family, limit: int = 100) -> None:
        self.trio = trio
        self.family = family
        with trio.router:
            self.sockets: Sockets = open_sockets(family)
            protocol = _mroute.IGMP if family is IPV4 else _mroute.MLD
            fds = (self.sockets.mroute, self.sockets.pim, self.sockets.raw)
            self.table = _mroute.Registers(*fds, family.number, protocol, limit)
        self.right = packet_socket(trio, "right")
        self.left = packet_socket(trio, "left")
        _mroute.add_vif(self.sockets.mroute, family.number, 0, trio.l, 1, False)
        _mroute.add_vif(self.sockets.mroute, family.number, 31, 0, 1, True)
        self.source, self.group = host(family, 1), group(family)
        self.us, self.rp = host(family, 1, 1), host(family, 2)
        with trio.router, socket(family.number, SOCK_DGRAM) as opened:  # so that the next hop is known
            opened.sendto(b"x", (inet_ntop(family.number, self.rp), 9))

    def vifs(self, devices: dict[int, int], threshold: int = 1) -> None:
        """The interfaces by which copies may leave, by vif."""
        self.table.vifs(struct.pack("=32I", *[devices.get(vif, 0) for vif in range(32)]), bytes((threshold,)) * 32)

    def register(self, stopped: bool = False) -> None:
        """The stream of the left is registered from now on."""
        self.table.set(self.source, self.group, self.us, self.rp, stopped)
        self.into_tunnel()

    def into_tunnel(self) -> None:
        entry = (self.source, self.group, 0, 1 << 31)
        assert _mroute.change_mfc(self.sockets.mroute, self.family.number, [entry], TTLS) == [0]

    def send(self, packet: bytes) -> None:
        """The source sends a whole packet."""
        self.left.send(ether(self.group, packet))

    def udp(self, data: bytes, ttl: int = 9, **changes: int) -> bytes:
        """A packet of the source."""
        return udp(self.family, self.source, self.group, data, ttl, **changes)

    def outer(self) -> list[bytes]:
        """The IP packets with Registers, or with fragments of one, that arrived at the RP."""
        at, protocols = (9, {103}) if self.family is IPV4 else (6, {103, 44})
        return [data for data in frames(self.right) if data[at] in protocols and self.from_us(data)]

    def from_us(self, data: bytes) -> bool:
        at, size = (12, 4) if self.family is IPV4 else (8, 16)
        return data[at : at + size] == self.us

    def arrived(self, count: int = 1) -> list[bytes]:
        """Waits for so many of them."""
        found: list[bytes] = []
        eventually(lambda: found.extend(self.outer()) or len(found) >= count)
        return found

    def inner(self, outer: bytes) -> bytes:
        """The packet in a Register, which is sound."""
        header = 20 if self.family is IPV4 else 40
        message = pim.decode(self.family, self.us, self.rp, outer[header:])
        assert isinstance(message, pim.Register) and not message.border and not message.null
        assert checksum_covers_the_header_alone(self.family, self.us, self.rp, outer[header:])
        return message.packet

    def total(self, name: str) -> int:
        return self.table.totals()[name]

    def messages(self) -> list[Any]:
        """What waits, of this stream."""
        return [message for message in self.table.receive(1000) if message[3] == self.group]

    def close(self) -> None:
        self.table.close()
        self.sockets.close()
        self.left.close()
        self.right.close()


@contextmanager
def at_work(trio: Trio, family: Family, limit: int = 100) -> Iterator[Bench]:
    bench = Bench(trio, family, limit)
    try:
        yield bench
    finally:
        bench.close()


def packet_socket(trio: Trio, side: str) -> socket:
    with trio.left if side == "left" else trio.right:
        made = socket(AF_PACKET, SOCK_RAW, htons(3))
    made.bind(("eth", 3))
    made.setblocking(False)
    return made


def frames(capture: socket) -> list[bytes]:
    """All IP packets that came in."""
    found = []
    while True:
        try:
            data, (_, _, kind, _, _) = capture.recvfrom(65536)
        except BlockingIOError:
            return found
        if kind != 4:
            found.append(data[14:])


def checksum_covers_the_header_alone(family: Family, source: Address, to: Address, message: bytes) -> bool:
    pseudo = b"" if family is IPV4 else source + to + struct.pack("!II", 8, 103)
    return checksum(pseudo + message[:8]) == b"\0\0"


def udp(
    family: Family, source: Address, to: Address, data: bytes, ttl: int, tos: int = 0xC0, flags: int = 0, part: int = 0
) -> bytes:
    """A UDP packet with its checksum; `tos` is the whole traffic class, `flags` and `part` are IPv4's."""
    length = 8 + len(data)
    body = struct.pack("!HHHH", 5000, 5000, length, 0) + data
    pseudo = source + to + (struct.pack("!HH", 17, length) if family is IPV4 else struct.pack("!II", length, 17))
    body = body[:6] + (checksum(pseudo + body) if not part else b"\0\0") + body[8:]
    if family is IPV6:
        packet = ip6(source, to, 17, body, ttl)
        return (6 << 28 | tos << 20).to_bytes(4, "big") + packet[4:]
    packet = ip4(source, to, 17, body, ttl)
    field = struct.pack("!H", flags | part)
    head = packet[:1] + bytes((tos,)) + packet[2:6] + field + packet[8:10] + b"\0\0" + packet[12:20]
    return head[:10] + checksum(head) + head[12:] + body


def fragments(packet: bytes, room: int) -> Iterator[bytes]:
    """RFC 791 3.2."""
    told = int.from_bytes(packet[6:8], "big")
    body, step = packet[20:], (room - 20) // 8 * 8
    for at in range(0, len(body), step):
        part = body[at : at + step]
        more = 0x2000 if at + step < len(body) else told & 0x2000
        field = more | (told & 0x1FFF) + at // 8
        head = packet[:2] + struct.pack("!H", 20 + len(part)) + packet[4:6] + struct.pack("!H", field) + packet[8:10]
        head += b"\0\0" + packet[12:20]
        yield head[:10] + checksum(head) + head[12:] + part
