"""Bridges in link messages: what is told of them, and what bytes that make no sense do."""

from __future__ import annotations

import struct

import pytest
from kernel_frames import attribute, netlink

from pimpy.core.engine.events import BridgeChanged
from pimpy.kernel.bridges import read
from pimpy.wire.family import FAMILIES, IPV4, IPV6, Family, parse_address

OURS, PORT = 7, 8
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


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_bridge_and_its_port(family: Family) -> None:
    querier = QUERIERS[family]
    assert read([bridge(), port(router=0)], family) == {
        OURS: BridgeChanged(OURS, "br0", True, querier, False, 1),
        PORT: BridgeChanged(PORT, "br0", False, querier, False, 0),
    }
    found = read([bridge(asks=1, queriers=False, router=2)], family)
    assert found == {OURS: BridgeChanged(OURS, "br0", True, None, True, 2)}


def test_what_is_no_snooping_bridge() -> None:
    veth = link(9, attribute(3, b"v0\0"), attribute(18, attribute(1, b"veth\0")))
    assert read([bridge(snooping=0), port(), veth], IPV4) == {}
    assert read([port()], IPV4) == {}, "its bridge is in another namespace"


def test_cut_anywhere_it_tells_less_and_raises_nothing() -> None:
    whole = bridge()
    for end in range(len(whole)):
        assert set(read([whole[:end]], IPV4)) <= {OURS}
