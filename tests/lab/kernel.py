"""The kernel's multicast routing tables, read over netlink: a lab looks often, and a program for each look is dear."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .namespace import inside
from .topology import Node

FAMILIES = {4: 128, 6: 129}
"""RTNL_FAMILY_IPMR and RTNL_FAMILY_IP6MR."""
ASK = struct.Struct("=IHHIIB11x")
"""struct nlmsghdr and struct rtmsg."""
RTM_GETROUTE, DUMP = 26, 0x301
NLMSG_ERROR, NLMSG_DONE = 2, 3
RTA_DST, RTA_SRC, RTA_IIF, RTA_MULTIPATH, RTA_MFC_STATS = 1, 2, 3, 9, 17
RTNH_F_UNRESOLVED = 32


@dataclass(frozen=True)
class Mfc:
    """An (S,G) entry of the kernel; interfaces are their names."""

    source: str
    group: str
    iif: str | None
    """None while it is unresolved."""
    oifs: frozenset[str]
    packets: int
    bytes: int
    wrong_if: int


def mfc(node: Node, family: int) -> dict[tuple[str, str], Mfc]:
    """All entries of all tables, by (source, group)."""
    entries = inside(node.namespace, lambda: [_entry(family, message) for message in _dump(FAMILIES[family])])
    return {(entry.source, entry.group): entry for entry in entries}


def _dump(family: int) -> Iterator[bytes]:
    """The answers to RTM_GETROUTE for all routes, without their struct nlmsghdr."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as netlink:
        netlink.send(ASK.pack(ASK.size, RTM_GETROUTE, DUMP, 1, 0, family))
        while True:
            data = netlink.recv(1 << 17)
            while data:
                length, kind = struct.unpack_from("=IH", data)
                if kind == NLMSG_DONE:
                    return
                if kind == NLMSG_ERROR:
                    raise OSError(-struct.unpack_from("=i", data, 16)[0], "RTM_GETROUTE")
                yield data[16:length]
                data = data[length + 3 & ~3 :]


def _entry(family: int, message: bytes) -> Mfc:
    (flags,) = struct.unpack_from("=I", message, 8)
    found = dict(_attributes(message[12:]))
    iif = _name(found[RTA_IIF]) if RTA_IIF in found and not flags & RTNH_F_UNRESOLVED else None
    packets, octets, wrong_if = struct.unpack("=QQQ", found.get(RTA_MFC_STATS, bytes(24)))
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    source, group = (socket.inet_ntop(kind, found[name]) for name in (RTA_SRC, RTA_DST))
    return Mfc(source, group, iif, frozenset(_hops(found.get(RTA_MULTIPATH, b""))), packets, octets, wrong_if)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        length, kind = struct.unpack_from("=HH", data)
        yield kind, data[4:length]
        data = data[length + 3 & ~3 :]


def _hops(data: bytes) -> Iterator[str]:
    """The interfaces of each struct rtnexthop."""
    while data:
        (length,) = struct.unpack_from("=H", data)
        yield _name(data[4:8])
        data = data[length + 3 & ~3 :]


def _name(index: bytes) -> str:
    return socket.if_indextoname(struct.unpack("=i", index)[0])


def forwards(node: Node, source: str, group: str) -> frozenset[str]:
    """The interfaces that the kernel sends (source, group) out of."""
    family = 6 if ":" in group else 4
    entry = mfc(node, family).get((source, group))
    return entry.oifs if entry is not None and entry.iif is not None else frozenset()


def vifs(node: Node, family: int) -> dict[int, str]:
    """The multicast interfaces of the default table: index -> name."""
    path = Path("/proc/thread-self/net", "ip_mr_vif" if family == 4 else "ip6_mr_vif")
    rows = [line.split() for line in inside(node.namespace, path.read_text).splitlines()[1:]]
    return {int(row[0]): row[1] for row in rows if row}
