"""Notices of entries that are removed from the multicast routing table, whoever removes them."""

from __future__ import annotations

import errno
import struct
import sys
from array import array
from socket import AF_NETLINK, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_RAW, SOL_SOCKET, socket

from pimpy.core.engine.events import EntryGone
from pimpy.kernel import rtnl
from pimpy.kernel.attributes import attributes
from pimpy.kernel.sockets import enlarge
from pimpy.wire.family import Family

_GROUPS = {4: 6, 16: 10}
"""RTNLGRP_IPV4_MROUTE and RTNLGRP_IPV6_MROUTE."""
_KINDS = {4: 128, 16: 129}
"""RTNL_FAMILY_IPMR and RTNL_FAMILY_IP6MR."""
_BATCH = 1024
"""Notices that one call of `receive` takes."""
_RTMSG = 12
_DST, _SRC, _TABLE = 1, 2, 15
_SO_ATTACH_FILTER = 26
_INSTRUCTION = struct.Struct("=HBBI")
_LOAD_BYTE, _IF_EQUAL, _RETURN = 0x30, 0x15, 0x06


class Watch:
    """Hears of removed entries only: the kernel itself filters out those that are made or changed."""

    def __init__(self, family: Family, table: int) -> None:
        """`table` is the number by which the kernel knows it."""
        self._family = family
        self._table = table
        self._socket = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)
        enlarge(self._socket, 1 << 20)
        _only_removals(self._socket)
        rtnl.hear(self._socket, (_GROUPS[family.size],))

    def fileno(self) -> int:
        """The descriptor to watch for reading."""
        return self._socket.fileno()

    def receive(self) -> list[EntryGone]:
        """What was removed, a bounded part of it. Where notices were lost, one of them names no entry."""
        gone: list[EntryGone] = []
        try:
            for _ in range(_BATCH):
                data = rtnl.receive(self._socket)
                if data is None:
                    break
                gone += [found for kind, _, _, message in rtnl.split(data) if (found := self._read(kind, message))]
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            gone.append(EntryGone(None, None))
        return gone

    def close(self) -> None:
        """Close the descriptor."""
        self._socket.close()

    def _read(self, kind: int, message: bytes) -> EntryGone | None:
        size = self._family.size
        start = rtnl.HEADER.size
        if kind != rtnl.DELROUTE or len(message) < start + _RTMSG or message[start] != _KINDS[size]:
            return None
        told = attributes(message, start + _RTMSG)
        table = told.get(_TABLE, b"")
        source, group = told.get(_SRC, b""), told.get(_DST, b"")
        if len(source) != size or len(group) != size:
            return None
        if len(table) == 4 and int.from_bytes(table, sys.byteorder) != self._table:
            return None
        return EntryGone(source, group)


def _only_removals(opened: socket) -> None:
    """A filter: of a message's type, a number below 256 in the order of this processor, the low byte decides."""
    where = 4 if sys.byteorder == "little" else 5
    program = array("B")
    for words in (
        (_LOAD_BYTE, 0, 0, where),
        (_IF_EQUAL, 0, 1, rtnl.DELROUTE),
        (_RETURN, 0, 0, 1 << 18),
        (_RETURN, 0, 0, 0),
    ):
        program.frombytes(_INSTRUCTION.pack(*words))
    address, length = program.buffer_info()
    opened.setsockopt(SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", length // _INSTRUCTION.size, address))
