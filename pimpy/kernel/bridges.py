"""The snooping bridges that interfaces are or lead to, out of link messages (IFLA_BR_*, IFLA_BRPORT_*).

Who asks on a bridge changes without a notice of the kernel's, so it is looked at now and then, and only where there
is a bridge that snoops. Which ports a bridge takes for a router's is in its multicast database (RTM_GETMDB).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable

from pimpy.core.engine.events import BridgeChanged
from pimpy.kernel.attributes import attributes, each
from pimpy.kernel.rtnl import HEADER
from pimpy.wire.family import Address, Family

_LINK_BODY = 16
_IFLA_IFNAME, _IFLA_LINK, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_LINK_NETNSID = 3, 5, 10, 18, 37
_INFO_KIND, _INFO_DATA, _INFO_SLAVE_KIND, _INFO_SLAVE_DATA = 1, 2, 4, 5
_BR_MCAST_ROUTER, _BR_MCAST_SNOOPING, _BR_MCAST_QUERIER, _BR_MCAST_QUERIER_STATE = 22, 23, 25, 47
_BRPORT_MULTICAST_ROUTER = 25
_QUERIER_ADDRESS = {4: 1, 16: 5}
"""BRIDGE_QUERIER_IP_ADDRESS and _IPV6_ADDRESS."""
GETMDB, AF_BRIDGE = 86, 7
"""What a dump of the multicast databases is asked for by."""
_PORT_BODY = 8
_MDBA_ROUTER, _MDBA_ROUTER_PORT = 2, 1
_ROUTER_TIMER = {4: 3, 16: 4}
"""MDBA_ROUTER_PATTR_INET_TIMER and _INET6_TIMER: there where the port counts as a router's for that family."""
_SET = {0: False, 2: True}
"""What multicast_router says that is not left to what the bridge hears: never, always."""


class _Link:
    """What of a link message concerns bridges."""

    def __init__(self, message: bytes) -> None:
        (self.ifindex,) = struct.unpack_from("=i", message, HEADER.size + 4)
        told = attributes(message[HEADER.size + _LINK_BODY :])
        self.name = told.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace")
        self.master = _number(told.get(_IFLA_MASTER, b""))
        # The other end of a veth pair, what a VLAN or macvlan is made on; 0 if it is in another namespace.
        self.lower = _number(told.get(_IFLA_LINK, b"")) if _IFLA_LINK_NETNSID not in told else 0
        info = attributes(told.get(_IFLA_LINKINFO, b""))
        self.is_veth = info.get(_INFO_KIND, b"").rstrip(b"\0") == b"veth"
        self.bridge = attributes(info.get(_INFO_DATA, b"")) if _is_bridge(info.get(_INFO_KIND)) else None
        self.port = attributes(info.get(_INFO_SLAVE_DATA, b"")) if _is_bridge(info.get(_INFO_SLAVE_KIND)) else None


def _number(data: bytes) -> int:
    """An attribute of 32 bits; 0 if it is cut."""
    return int(struct.unpack_from("=I", data)[0]) if len(data) >= 4 else 0


def _is_bridge(kind: bytes | None) -> bool:
    return kind is not None and kind.rstrip(b"\0") == b"bridge"


def read(messages: Iterable[bytes], family: Family, databases: Callable[[], Iterable[bytes]]) -> list[BridgeChanged]:
    """Of each interface that is a snooping bridge, a port of one, or leads to either, what is known of the bridge.

    `databases` dumps the multicast databases; it is called if there is a port to look for.
    """
    whole = [message for message in messages if len(message) >= HEADER.size + _LINK_BODY]
    links = {link.ifindex: link for link in map(_Link, whole)}
    ends = [(link, end) for link in links.values() if (end := _end(link, links)) is not None]
    known = [(link, end, above) for link, end in ends if (above := _snooping(end, links)) is not None]
    routers = router_ports(databases(), family) if any(end.bridge is None for _, end, _ in known) else None
    return [_told(link.ifindex, end, above, family, routers) for link, end, above in known]


def _end(link: _Link, links: dict[int, _Link]) -> _Link | None:
    """The bridge or the port of one that a link is, or that is right below it; None if it is in no bridge."""
    if link.bridge is not None or link.port is not None:
        return link
    lower = links.get(link.lower)
    if lower is not None and (lower.bridge is not None or (link.is_veth and lower.port is not None)):
        return lower
    return None


def _snooping(end: _Link, links: dict[int, _Link]) -> _Link | None:
    """The bridge that `end` is or is a port of, if it is here and snoops."""
    above = end if end.bridge is not None else links.get(end.master)
    if above is None or above.bridge is None or above.bridge.get(_BR_MCAST_SNOOPING, b"\0") == b"\0":
        return None
    return above


def _told(ifindex: int, end: _Link, above: _Link, family: Family, routers: set[int] | None) -> BridgeChanged:
    told, itself = above.bridge or {}, end is above
    setting = told.get(_BR_MCAST_ROUTER) if itself else (end.port or {}).get(_BRPORT_MULTICAST_ROUTER)
    # A bridge does not tell what it has heard from its own host.
    is_router = _SET.get(setting[0]) if itself and setting else None
    if not itself and routers is not None:
        is_router = end.ifindex in routers
    return BridgeChanged(
        ifindex=ifindex,
        name=above.name,
        itself=itself,
        querier=_querier(told, family),
        asks=told.get(_BR_MCAST_QUERIER, b"\0") != b"\0",
        router_port=setting[0] if setting else None,
        is_router_port=is_router,
    )


def router_ports(messages: Iterable[bytes], family: Family) -> set[int]:
    """The ports that bridges take for a router's just now, by what they are set to or heard.

    Kernels before 5.14 tell it for both families together.
    """
    found = set()
    for message in messages:
        for kind, ports in each(message[HEADER.size + _PORT_BODY :]):
            if kind != _MDBA_ROUTER:
                continue
            for inner, port in each(ports):
                timers = attributes(port[4:]).keys()
                by_family = timers & set(_ROUTER_TIMER.values())
                if inner == _MDBA_ROUTER_PORT and (_ROUTER_TIMER[family.size] in timers or not by_family):
                    found.add(_number(port))
    return found - {0}


def _querier(bridge: dict[int, bytes], family: Family) -> Address | None:
    """Who asks, as the bridge knows; None for nobody, or for one without an address."""
    state = attributes(bridge.get(_BR_MCAST_QUERIER_STATE, b""))
    address = state.get(_QUERIER_ADDRESS[family.size], b"")
    return address if len(address) == family.size and address != family.any else None
