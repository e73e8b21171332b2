"""Bridges in link messages: what is told of them, and what bytes that make no sense do."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from socket import AF_PACKET, SOCK_RAW, socket

import pytest
from kernel_frames import ALERT4, ALERT6, attribute, checksum, ether, ip4, ip6, netlink
from kernel_namespaces import Namespace, eventually, families

from pimpy.core.engine.events import BridgeChanged
from pimpy.kernel import bridges
from pimpy.kernel.bridges import router_ports
from pimpy.kernel.netlink import Netlink
from pimpy.wire import igmp, mld
from pimpy.wire.family import IPV4, IPV6, Family, parse_address
from pimpy.wire.membership import Query

OURS, PORT, PEER, VLAN = 7, 8, 9, 10
QUERIERS = {IPV4: parse_address("10.0.0.1"), IPV6: parse_address("fe80::1")}


def link(ifindex: int, *parts: bytes) -> bytes:
    return netlink(16, struct.pack("=BxHiII", 0, 1, ifindex, 0x11043, 0) + b"".join(parts))


def bridge(*, snooping: int = 1, asks: int = 0, router: int = 1, queriers: bool = True) -> bytes:
    state = attribute(1, QUERIERS[IPV4]) + attribute(5, QUERIERS[IPV6]) if queriers else b""
    data = attribute(22, bytes((router,))) + attribute(23, bytes((snooping,))) + attribute(25, bytes((asks,)))
    info = attribute(1, b"bridge\0") + attribute(2 | 0x8000, data + attribute(47 | 0x8000, state))
    return link(OURS, attribute(3, b"br0\0"), attribute(18 | 0x8000, info))


def port(router: int = 1) -> bytes:
    info = attribute(4, b"bridge\0") + attribute(5, attribute(25, bytes((router,))))
    return link(PORT, attribute(3, b"eth0\0"), attribute(10, struct.pack("=I", OURS)), attribute(18, info))


def above(ifindex: int, lower: int, kind: bytes, *more: bytes) -> bytes:
    """A link on top of another one, or the other end of a veth pair."""
    return link(ifindex, attribute(5, struct.pack("=I", lower)), attribute(18, attribute(1, kind + b"\0")), *more)


def database(*ports: bytes) -> bytes:
    """A bridge's multicast database with one entry, and these router ports."""
    groups = attribute(1, attribute(1, attribute(1, bytes(40))))
    body = struct.pack("=BxxxI", 7, OURS)
    return netlink(86, body + groups + (attribute(2, b"".join(ports)) if ports else b""))


def router_port(ifindex: int, *kinds: int) -> bytes:
    """A port of a router, with the timers of these numbers."""
    timers = b"".join(attribute(kind, struct.pack("=I", 25_000)) for kind in kinds)
    return attribute(1, struct.pack("=I", ifindex) + timers + attribute(2, b"\1"))


def read(links: list[bytes], family: Family, databases: Iterable[bytes] = ()) -> dict[int, BridgeChanged]:
    return {told.ifindex: told for told in bridges.read(links, family, lambda: databases)}


@families()
def test_a_bridge_and_its_port(family: Family) -> None:
    querier = QUERIERS[family]
    assert read([bridge(), port(router=0)], family) == {
        OURS: BridgeChanged(OURS, "br0", True, querier, False, 1, None),
        PORT: BridgeChanged(PORT, "br0", False, querier, False, 0, False),
    }
    found = read([bridge(asks=1, queriers=False, router=2)], family)
    assert found == {OURS: BridgeChanged(OURS, "br0", True, None, True, 2, True)}
    assert read([bridge(router=0)], family)[OURS].is_router_port is False


@families()
def test_router_ports_by_family(family: Family) -> None:
    """A port may count as a router's for one family; older kernels tell of both at once."""
    ours, others = (3, 4) if family is IPV4 else (4, 3)
    assert router_ports([database(router_port(PORT, 1, ours), router_port(99, 1, others))], family) == {PORT}
    assert router_ports([database(router_port(PORT, 1))], family) == {PORT}
    assert router_ports([database(), database(router_port(11, ours)), database(router_port(12, 3, 4))], family) == {
        11,
        12,
    }
    told = read([bridge(), port()], family, [database(router_port(PORT, ours))])
    assert told[PORT].is_router_port is True
    assert read([bridge(), port()], family, [database(router_port(PORT, others))])[PORT].is_router_port is False


def test_databases_are_asked_for_only_where_there_is_a_port() -> None:
    def never() -> list[bytes]:
        raise AssertionError("nobody needs it")

    assert len(bridges.read([bridge()], IPV4, never)) == 1
    assert bridges.read([bridge(snooping=0), port()], IPV4, never) == []


def test_an_interface_that_leads_to_a_bridge() -> None:
    """The other end of the veth pair that is a port, and a VLAN on the bridge; not what is in another namespace."""
    links = [bridge(), port(), above(PEER, PORT, b"veth"), above(VLAN, OURS, b"vlan")]
    found = read(links, IPV4, [database(router_port(PORT, 3))])
    querier = QUERIERS[IPV4]
    assert found[PEER] == BridgeChanged(PEER, "br0", False, querier, False, 1, True)
    assert found[VLAN] == BridgeChanged(VLAN, "br0", True, querier, False, 1, None)
    elsewhere = above(PEER, PORT, b"veth", attribute(37, struct.pack("=i", 0)))
    vlan_of_a_port = above(VLAN, PORT, b"vlan")
    assert read([bridge(), port(), elsewhere, vlan_of_a_port], IPV4).keys() == {OURS, PORT}


def test_what_is_no_snooping_bridge() -> None:
    veth = link(9, attribute(3, b"v0\0"), attribute(18, attribute(1, b"veth\0")))
    assert read([bridge(snooping=0), port(), veth], IPV4) == {}
    assert read([port()], IPV4) == {}, "its bridge is in another namespace"


def test_cut_anywhere_it_tells_less_and_raises_nothing() -> None:
    for whole in (bridge(), above(VLAN, OURS, b"vlan")):
        for end in range(len(whole)):
            assert set(read([whole[:end]], IPV4)) <= {OURS}
    whole = database(router_port(PORT, 1, 3))
    for end in range(len(whole)):
        assert router_ports([whole[:end]], IPV4) <= {PORT}


def advertisement(family: Family) -> bytes:
    """What `phyint IF mrdisc` sends, as a frame."""
    return _frame(
        family, "224.0.0.106" if family is IPV4 else "ff02::6a", CODEC[family].encode_advertisement(20, 125, 2)
    )


def query(family: Family) -> bytes:
    """A General Query, as a frame."""
    asked = Query(3 if family is IPV4 else 2, family.any, 10.0)
    return _frame(family, "224.0.0.1" if family is IPV4 else "ff02::1", CODEC[family].encode(asked))


CODEC = {IPV4: igmp, IPV6: mld}
SOURCES = {IPV4: parse_address("10.0.0.1"), IPV6: parse_address("fe80::1")}


def _frame(family: Family, to: str, data: bytes) -> bytes:
    source, destination = SOURCES[family], parse_address(to)
    if family is IPV4:
        return ether(destination, ip4(source, destination, 2, data, options=ALERT4))
    pseudo = source + destination + struct.pack("!II", len(data), 58)
    data = data[:2] + checksum(pseudo + data[:2] + b"\0\0" + data[4:]) + data[4:]
    return ether(destination, ip6(source, destination, 58, data, options=ALERT6))


@pytest.mark.parametrize("what", [advertisement, query], ids=["mrdisc", "query"])
@families()
def test_a_real_bridge_learns_our_port_and_forgets_it(namespace: Namespace, family: Family, what: object) -> None:
    """`ours` leads to the bridge by its port `port`: nobody, then a router, then nobody again, and set by hand."""
    namespace.ip(
        "link add br0 type bridge mcast_snooping 1 mcast_querier_interval 100",
        "link add ours type veth peer name port",
        "link set dev port master br0",
        *(f"link set dev {name} up" for name in ("br0", "ours", "port")),
    )
    with namespace:
        netlink, frames = Netlink(family), socket(AF_PACKET, SOCK_RAW)
        frames.bind(("ours", 0))
    netlink.start()
    known: dict[int, BridgeChanged] = {}
    ours = namespace.ifindex("ours")

    def told() -> BridgeChanged:
        known.update({event.ifindex: event for event in netlink.look_at_bridges() if isinstance(event, BridgeChanged)})
        return known[ours]

    try:
        assert (told().name, told().itself, told().is_router_port) == ("br0", False, False)
        frame = advertisement(family) if what is advertisement else query(family)

        def learnt() -> bool:
            frames.send(frame)
            return told().is_router_port is True

        eventually(learnt)
        assert told().querier == (None if what is advertisement else SOURCES[family])
        eventually(lambda: told().is_router_port is False)
        namespace.ip("link set dev port type bridge_slave mcast_router 2")
        assert (told().router_port, told().is_router_port) == (2, True)
        namespace.ip("link set dev port type bridge_slave mcast_router 0")
        assert (told().router_port, told().is_router_port) == (0, False)
    finally:
        netlink.close()
        frames.close()
