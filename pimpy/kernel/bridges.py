"""The snooping bridges that interfaces are or lead to, out of link messages (IFLA_BR_*, IFLA_BRPORT_*).

Who asks on a bridge changes without a notice of the kernel's, so it is looked at now and then, and only where there
is a bridge that snoops.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from pimpy.core.engine.events import BridgeChanged
from pimpy.kernel.rtnl import ATTRIBUTE, HEADER
from pimpy.wire.family import Address, Family

_LINK_BODY = 16
_NESTED = 0x3FFF
"""What of an attribute's type is its number."""
_IFLA_IFNAME, _IFLA_MASTER, _IFLA_LINKINFO = 3, 10, 18
_INFO_KIND, _INFO_DATA, _INFO_SLAVE_KIND, _INFO_SLAVE_DATA = 1, 2, 4, 5
_BR_MCAST_ROUTER, _BR_MCAST_SNOOPING, _BR_MCAST_QUERIER, _BR_MCAST_QUERIER_STATE = 22, 23, 25, 47
_BRPORT_MULTICAST_ROUTER = 25
_QUERIER_ADDRESS = {4: 1, 16: 5}
"""BRIDGE_QUERIER_IP_ADDRESS and _IPV6_ADDRESS."""


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes of a message or of a nest by number; what is malformed ends it."""
    found: dict[int, bytes] = {}
    offset = 0
    while offset + ATTRIBUTE.size <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, offset)
        if length < ATTRIBUTE.size or offset + length > len(data):
            break
        found[kind & _NESTED] = data[offset + ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3
    return found


class _Link:
    """What of a link message concerns bridges."""

    def __init__(self, message: bytes) -> None:
        (self.ifindex,) = struct.unpack_from("=i", message, HEADER.size + 4)
        told = attributes(message[HEADER.size + _LINK_BODY :])
        self.name = told.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace")
        self.master = int.from_bytes(told.get(_IFLA_MASTER, b"")[:4], "little" if _LITTLE else "big")
        info = attributes(told.get(_IFLA_LINKINFO, b""))
        self.bridge = attributes(info.get(_INFO_DATA, b"")) if _is_bridge(info.get(_INFO_KIND)) else None
        self.port = attributes(info.get(_INFO_SLAVE_DATA, b"")) if _is_bridge(info.get(_INFO_SLAVE_KIND)) else None


_LITTLE = struct.pack("=H", 1) == b"\1\0"


def _is_bridge(kind: bytes | None) -> bool:
    return kind is not None and kind.rstrip(b"\0") == b"bridge"


def read(messages: Iterable[bytes], family: Family) -> dict[int, BridgeChanged]:
    """The bridges that snoop, by the ifindex of each interface that is one or a port of one."""
    whole = [message for message in messages if len(message) >= HEADER.size + _LINK_BODY]
    links = [link for link in map(_Link, whole) if link.bridge is not None or link.port is not None]
    bridges = {link.ifindex: link for link in links if link.bridge is not None}
    found: dict[int, BridgeChanged] = {}
    for link in links:
        above = link if link.bridge is not None else bridges.get(link.master)
        if above is None or above.bridge is None or above.bridge.get(_BR_MCAST_SNOOPING, b"\0") == b"\0":
            continue
        router = link.bridge.get(_BR_MCAST_ROUTER) if link.bridge is not None else None
        if link.port is not None:
            router = link.port.get(_BRPORT_MULTICAST_ROUTER)
        found[link.ifindex] = BridgeChanged(
            ifindex=link.ifindex,
            name=above.name,
            itself=link is above,
            querier=_querier(above.bridge, family),
            asks=above.bridge.get(_BR_MCAST_QUERIER, b"\0") != b"\0",
            router_port=router[0] if router else None,
        )
    return found


def _querier(bridge: dict[int, bytes], family: Family) -> Address | None:
    """Who asks, as the bridge knows; None for nobody, or for one without an address."""
    state = attributes(bridge.get(_BR_MCAST_QUERIER_STATE, b""))
    address = state.get(_QUERIER_ADDRESS[family.size], b"")
    return address if len(address) == family.size and address != family.any else None
