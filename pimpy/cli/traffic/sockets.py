"""UDP sockets that join and send on one interface, whatever the routes say."""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_address

_JOIN_GROUP, _JOIN_SOURCE_GROUP = 42, 46
_IPV4_ALL, _IPV6_ALL = 49, 29
_IP_PKTINFO = 8
_IP_RECVTTL, _IPV6_RECVHOPLIMIT = 12, 51
_TIMESTAMP = 35
"""SO_TIMESTAMPNS, also the type of its message."""
_BUFFER = 4 << 20


class NoInterfaceError(Exception):
    """Which interface is meant cannot be told; the text says what to do."""


def family_of(address: str) -> socket.AddressFamily:
    """AF_INET or AF_INET6."""
    return socket.AF_INET if ip_address(address).version == 4 else socket.AF_INET6


def index_of(name: str | None, towards: str) -> int:
    """The index of the interface `name`; without a name of the one that the route to `towards` leads over."""
    if name is not None:
        try:
            return socket.if_nametoindex(name)
        except OSError:
            known = ", ".join(found for _, found in socket.if_nameindex())
            raise NoInterfaceError(f"no interface is called {name!r}; there are {known}") from None
    address = _own_address(towards)
    if address is not None:
        from pimpy.kernel.host import read_links

        for link in read_links():
            if any(text.partition("/")[0] == address for text in link.addresses):
                return link.ifindex
    raise NoInterfaceError(f"no route tells the interface for {towards}: name it with -I, as in -I eth0")


def _own_address(towards: str) -> str | None:
    """The address that packets to `towards` would come from."""
    with socket.socket(family_of(towards), socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((towards, 9))
        except OSError:
            return None
        return str(sock.getsockname()[0]).partition("%")[0]


def _unbound(family: socket.AddressFamily) -> socket.socket:
    """A socket that gets no group which others here have joined, and is told when and with which TTL packets came."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, _TIMESTAMP, 1)
    if family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, _IPV4_ALL, 0)
        sock.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_ALL, 0)
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVHOPLIMIT, 1)
    return sock


def receiver(group: str, source: str | None, index: int, port: int) -> socket.socket:
    """A socket that gets what is sent to (group, port), from `source` or from anybody, on one interface alone."""
    sock = _unbound(family_of(group))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    sock.bind((group, port))
    join(sock, group, source, index)
    return sock


def asker(family: socket.AddressFamily) -> socket.socket:
    """A socket for unicast alone, at a port that a `receiver` may have too."""
    sock = _unbound(family)
    sock.bind(("", 0))
    return sock


def join(sock: socket.socket, group: str, source: str | None, index: int) -> None:
    """Join on an interface, by IGMP or MLD."""
    level = socket.IPPROTO_IP if sock.family == socket.AF_INET else socket.IPPROTO_IPV6
    if source is None:
        sock.setsockopt(level, _JOIN_GROUP, struct.pack("=I4x128s", index, _sockaddr(group)))
    else:
        request = struct.pack("=I4x128s128s", index, _sockaddr(group), _sockaddr(source))
        sock.setsockopt(level, _JOIN_SOURCE_GROUP, request)


def answerer(family: socket.AddressFamily, port: int) -> socket.socket:
    """A socket that waits for requests, and tells by which interface they came."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
    sock.bind(("", port))
    return sock


def request(sock: socket.socket) -> tuple[bytes, tuple[str, int], int]:
    """(data, who asks, the index of the interface) of one request."""
    data, control, _, address = sock.recvmsg(2048, 256)
    index = 0
    for level, kind, value in control:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO) and len(value) >= 12:
            index = struct.unpack_from("=i", value)[0]
        elif (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO) and len(value) >= 20:
            index = struct.unpack_from("=i", value, 16)[0]
    return data, (str(address[0]), int(address[1])), index


def sender(group: str, index: int, ttl: int) -> socket.socket:
    """A socket whose packets to `group` leave by one interface."""
    sock = socket.socket(family_of(group), socket.SOCK_DGRAM)
    set_way_out(sock, index, ttl)
    return sock


def set_way_out(sock: socket.socket, index: int, ttl: int) -> None:
    """Multicast leaves by this interface, with this TTL."""
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("=4s4si", b"", b"", index))
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, ttl)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)


def take(sock: socket.socket) -> tuple[bytes, str, int, float | None, int | None]:
    """(data, source, its port, when the kernel got it, TTL) of one packet."""
    data, control, _, address = sock.recvmsg(65536, 256)
    when, ttl = None, None
    for level, kind, value in control:
        if level == socket.SOL_SOCKET and kind == _TIMESTAMP and len(value) >= 16:
            seconds, nanoseconds = struct.unpack_from("=qq", value)
            when = seconds + nanoseconds / 1e9
        elif (level, kind) in ((socket.IPPROTO_IP, 2), (socket.IPPROTO_IPV6, 52)) and len(value) >= 4:
            ttl = struct.unpack_from("=i", value)[0]
    return data, str(address[0]).partition("%")[0], int(address[1]), when, ttl


def _sockaddr(address: str) -> bytes:
    """A struct sockaddr_storage."""
    if family_of(address) == socket.AF_INET:
        packed = struct.pack("=HH4s", socket.AF_INET, 0, socket.inet_aton(address))
    else:
        packed = struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, socket.inet_pton(socket.AF_INET6, address), 0)
    return packed.ljust(128, b"\0")
