"""Rtnetlink by sockets of our own: requests, dumps, notices, links and addresses. Routes are decoded in `routes.py`.

What the daemon needs is a descriptor to watch and a function that drains it, and of messages a name, an MTU and an
address; pyroute2, which has all of Rtnetlink, takes longer to import than all of that to write.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator, Sequence
from socket import (
    AF_INET,
    AF_INET6,
    AF_NETLINK,
    AF_UNSPEC,
    MSG_DONTWAIT,
    MSG_TRUNC,
    SO_RCVBUF,
    SO_RCVTIMEO,
    SOCK_CLOEXEC,
    SOCK_RAW,
    SOL_SOCKET,
    socket,
)

from pimpy.core.engine.events import LinkChanged
from pimpy.kernel.attributes import attributes
from pimpy.kernel.sockets import enlarge
from pimpy.wire.family import Address

NEWLINK, DELLINK = 16, 17
NEWADDR, DELADDR, GETADDR = 20, 21, 22
NEWROUTE, DELROUTE, GETROUTE = 24, 25, 26
NEWRULE, DELRULE = 32, 33
NEWNEXTHOP, DELNEXTHOP = 104, 105
GETLINK = 18

ERROR, DONE = 2, 3
REQUEST = 1
DUMP = 0x300
DUMP_INTERRUPTED = 0x10

HEADER = struct.Struct("=IHHII")
ATTRIBUTE = struct.Struct("=HH")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ERRNO = struct.Struct("=i")
_NUMBER = struct.Struct("=I")

_SOL_NETLINK = 270
_NETLINK_ADD_MEMBERSHIP = 1
_BUFFER = 1 << 16
_TIMEOUT = struct.pack("=qq", 5, 0)
_TRIES = 8

_UP, _LOOPBACK, _POINT_TO_POINT, _RUNNING, _MULTICAST = 0x1, 0x8, 0x10, 0x40, 0x1000
_ARPHRD_PIMREG = 779
_IFNAME, _MTU = 3, 4
"""IFLA_: attributes of a link."""
_ADDRESS_OF_PEER, _LOCAL, _FLAGS = 1, 2, 8
"""IFA_: attributes of an address; the first is the peer's where there is one."""
_OPTIMISTIC, _DAD_FAILED, _TENTATIVE = 0x04, 0x08, 0x40
_SIZES = {AF_INET: 4, AF_INET6: 16}

Message = tuple[int, int, int, bytes]
"""Type, flags, sequence number, and the whole message with its header."""


def hear(notices: socket, groups: tuple[int, ...], buffer: int | None = None) -> socket:
    """Let a netlink socket hear notices of these groups; `buffer` is for tests that want it to overrun."""
    if buffer is not None:
        notices.setsockopt(SOL_SOCKET, SO_RCVBUF, buffer)
    notices.bind((0, 0))
    for group in groups:
        try:
            notices.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, group)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a kernel that does not know the group has no such objects either
                raise
    return notices


def receive(opened: socket, how: int = 0) -> bytes | None:
    """The next datagram of the kernel's, None if none is left; OSError with ENOBUFS if some were lost."""
    while True:
        try:
            data, _, flags, (sender, _) = opened.recvmsg(_BUFFER, 0, how)
        except BlockingIOError:
            return None
        if sender != 0:
            continue  # anybody may send to a netlink socket
        if flags & MSG_TRUNC:
            raise OSError(errno.ENOBUFS, "netlink message longer than the buffer")
        return data


def split(data: bytes) -> Iterator[Message]:
    """The messages of a datagram; what is malformed ends it."""
    offset, end = 0, len(data)
    while offset + HEADER.size <= end:
        length, kind, flags, sequence, _ = HEADER.unpack_from(data, offset)
        if length < HEADER.size or offset + length > end:
            return
        yield kind, flags, sequence, data[offset : offset + length]
        offset += (length + 3) & ~3


def error_of(message: bytes) -> int:
    """The errno of an ERROR or DONE message, 0 for none."""
    if len(message) < HEADER.size + _ERRNO.size:
        return 0
    return -int(_ERRNO.unpack_from(message, HEADER.size)[0])


class Query:
    """Asks and waits for the answer, which the kernel gives before `send` returns: the time limit is for faults."""

    def __init__(self) -> None:
        self._socket = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0)
        enlarge(self._socket, 1 << 20)
        self._socket.bind((0, 0))
        self._socket.setsockopt(SOL_SOCKET, SO_RCVTIMEO, _TIMEOUT)
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def ask(self, questions: Sequence[bytes], kind: int) -> list[bytes | None]:
        """Send requests in one datagram: for each the kernel's one answer, None if it was lost."""
        first = self._number(len(questions))
        self._socket.send(b"".join(_request(kind, first + i, question) for i, question in enumerate(questions)))
        answers: list[bytes | None] = [None] * len(questions)
        waiting = len(questions)
        try:
            while waiting and (data := receive(self._socket)) is not None:
                for _, _, sequence, message in split(data):
                    if first <= sequence < first + len(questions):
                        answers[sequence - first] = message
                        waiting -= 1
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
        return answers

    def dump(self, kind: int, family: int) -> list[bytes]:
        """All objects of a kind; asked again as long as changes meanwhile interrupt it."""
        for _ in range(_TRIES):
            while receive(self._socket, MSG_DONTWAIT) is not None:
                pass  # what is left of a dump that failed would forbid another one
            sequence = self._number(1)
            self._socket.send(_request(kind, sequence, bytes((family,)) + bytes(15), DUMP))
            found = self._read_dump(sequence)
            if found is not None:
                return found
        raise OSError(errno.EAGAIN, "netlink dump interrupted again and again")

    def _number(self, count: int) -> int:
        first = self._sequence % 0x7FFF0000 + 1
        self._sequence = first + count - 1
        return first

    def _read_dump(self, wanted: int) -> list[bytes] | None:
        """The answers to dump number `wanted`; None if it was interrupted."""
        found: list[bytes] = []
        interrupted = False
        while (data := receive(self._socket)) is not None:
            for kind, flags, sequence, message in split(data):
                if sequence != wanted:
                    continue
                interrupted = interrupted or bool(flags & DUMP_INTERRUPTED)
                if kind in (DONE, ERROR):
                    if error := error_of(message):
                        raise OSError(error, "netlink dump failed")
                    return None if interrupted else found
                found.append(message)
        raise OSError(errno.EAGAIN, "netlink dump stopped half-way")


def _request(kind: int, sequence: int, body: bytes, flags: int = 0) -> bytes:
    return HEADER.pack(HEADER.size + len(body), kind, REQUEST | flags, sequence, 0) + body


def read_link(message: bytes) -> LinkChanged | None:
    """A link's state; None for what is none: bridge ports and protocols send messages of the same type.

    The tunnel device that the kernel makes for PIM Registers is left out too: it is no interface to run on.
    """
    if len(message) < HEADER.size + _LINK.size:
        return None
    family, hardware, ifindex, flags, _ = _LINK.unpack_from(message, HEADER.size)
    if family != AF_UNSPEC or hardware == _ARPHRD_PIMREG:
        return None
    found = attributes(message, HEADER.size + _LINK.size)
    return LinkChanged(
        ifindex=ifindex,
        name=found.get(_IFNAME, b"").rstrip(b"\0").decode(errors="replace"),
        running=flags & (_UP | _RUNNING) == _UP | _RUNNING,
        multicast=bool(flags & _MULTICAST),
        loopback=bool(flags & _LOOPBACK),
        point_to_point=bool(flags & _POINT_TO_POINT),
        mtu=_number(found.get(_MTU)) or 0,
    )


def address_index(message: bytes) -> tuple[int, int]:
    """The family and the ifindex of an address message."""
    if len(message) < HEADER.size + _ADDRESS.size:
        return 0, 0
    family, _, _, _, ifindex = _ADDRESS.unpack_from(message, HEADER.size)
    return family, ifindex


def read_address(message: bytes) -> tuple[Address, int] | None:
    """An address of this host with its prefix length; None for one that cannot be used (yet)."""
    if len(message) < HEADER.size + _ADDRESS.size:
        return None
    family, length, flags, _, _ = _ADDRESS.unpack_from(message, HEADER.size)
    found = attributes(message, HEADER.size + _ADDRESS.size)
    all_flags = _number(found.get(_FLAGS))
    if all_flags is not None:
        flags = all_flags
    if family == AF_INET6 and (flags & _DAD_FAILED or flags & (_TENTATIVE | _OPTIMISTIC) == _TENTATIVE):
        return None
    # Of a point-to-point address, IFA_ADDRESS is the peer's. IPv6 has IFA_LOCAL in that case only.
    address = found.get(_LOCAL) or found.get(_ADDRESS_OF_PEER) or b""
    return (address, length) if len(address) == _SIZES.get(family) else None


def _number(value: bytes | None) -> int | None:
    """An attribute's 32 bits; None for one that is not there, or is none."""
    return int(_NUMBER.unpack(value)[0]) if value is not None and len(value) == _NUMBER.size else None
