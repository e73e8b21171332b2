"""A look at the wire: which multicast arrives on an interface, and with which TTL.

The kernel tells nobody that a packet was too old to be forwarded: only a look at packets does. Needs CAP_NET_RAW.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Iterable

from pimpy.wire.family import IPV4, IPV6, Address, format_address
from pimpy.wire.record import define

_ETH_P_ALL = 0x0003
_ETH_IPV4, _ETH_IPV6 = 0x0800, 0x86DD
_OUTGOING = 4
_BYTES = 128
"""Of each packet: the headers."""
MOST = 5000
"""Packets of one look."""
_IGMP, _ICMPV6 = 2, 58
_IGMP_QUERY, _MLD_QUERY = 0x11, 130


@define
class Heard:
    """Packets of one stream on one interface."""

    interface: str
    source: str
    group: str
    protocol: int
    """The IP protocol, or the last next header that is known."""
    ttl: int
    """The smallest TTL or hop limit."""
    count: int = 0
    query: bool = False
    """Whether these are general or group queries of IGMP or MLD."""


def look(interfaces: Iterable[str], seconds: float, key: tuple[str, str] | None = None) -> list[Heard]:
    """What multicast comes in on these interfaces in so much time; with `key`, (source, group), only until it came.

    OSError if this process may not look.
    """
    sockets = _open(interfaces)
    found: dict[tuple[str, str, str, int], Heard] = {}
    deadline, left = time.monotonic() + seconds, MOST
    try:
        while sockets and left > 0 and (wait := deadline - time.monotonic()) > 0:
            ready, _, _ = select.select(list(sockets), [], [], wait)
            for sock in ready:
                left -= 1
                heard = _take(sock, sockets[sock], found)
                if key is not None and heard == key:
                    return [one for one in found.values() if (one.source, one.group) == key]
    finally:
        for sock in sockets:
            sock.close()
    return [one for one in found.values() if key is None or (one.source, one.group) == key]


def _open(interfaces: Iterable[str]) -> dict[socket.socket, str]:
    sockets: dict[socket.socket, str] = {}
    for name in interfaces:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, socket.htons(_ETH_P_ALL))
        try:
            sock.bind((name, _ETH_P_ALL))
        except OSError:
            sock.close()  # it went away, or is down
            continue
        sockets[sock] = name
    return sockets


def _take(sock: socket.socket, name: str, found: dict[tuple[str, str, str, int], Heard]) -> tuple[str, str] | None:
    """Count one packet; its stream, None if it is none."""
    try:
        data, address = sock.recvfrom(_BYTES)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError:
        return None
    kind, direction = address[1], address[2]
    if direction == _OUTGOING:
        return None
    read = _ipv4(data) if kind == _ETH_IPV4 else _ipv6(data) if kind == _ETH_IPV6 else None
    if read is None:
        return None
    source, group, protocol, ttl, query = read
    key = name, format_address(source), format_address(group), protocol
    heard = found.get(key)
    if heard is None:
        heard = found[key] = Heard(*key, ttl)
    heard.ttl = min(heard.ttl, ttl)
    heard.count += 1
    heard.query = heard.query or query
    return key[1], key[2]


def _ipv4(data: bytes) -> tuple[Address, Address, int, int, bool] | None:
    if len(data) < 20 or data[0] >> 4 != 4:
        return None
    source, group = data[12:16], data[16:20]
    if not IPV4.is_multicast(group):
        return None
    header = (data[0] & 15) * 4
    query = data[9] == _IGMP and len(data) > header and data[header] == _IGMP_QUERY
    return source, group, data[9], data[8], query


def _ipv6(data: bytes) -> tuple[Address, Address, int, int, bool] | None:
    if len(data) < 40 or data[0] >> 4 != 6:
        return None
    source, group, protocol, at = data[8:24], data[24:40], data[6], 40
    if not IPV6.is_multicast(group):
        return None
    if protocol == 0 and len(data) >= 48:  # hop-by-hop options, as MLD has them
        protocol, length = struct.unpack_from("BB", data, 40)
        at += 8 + length * 8
    query = protocol == _ICMPV6 and len(data) > at and data[at] == _MLD_QUERY
    return source, group, protocol, data[7], query
