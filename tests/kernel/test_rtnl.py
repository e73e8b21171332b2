"""Messages of Rtnetlink taken apart; what a whole host's come to stands in test_netlink.py."""

from __future__ import annotations

import struct
import subprocess
import sys
from random import Random
from socket import AF_INET, AF_INET6

from kernel_frames import attribute

from pimpy.kernel import rtnl
from pimpy.wire.family import Address

OURS, PEER = b"\x0a\0\0\1", b"\x0a\0\0\2"
SIX = bytes(15) + b"\1"


def message(kind: int, body: bytes) -> bytes:
    """A message with its header."""
    return rtnl.HEADER.pack(rtnl.HEADER.size + len(body), kind, 2, 1, 0) + body


def address(family: int, flags: int, *parts: bytes) -> bytes:
    """An address of interface 7, its prefix 24 bits long."""
    return message(rtnl.NEWADDR, struct.pack("=BBBBI", family, 24, flags, 0, 7) + b"".join(parts))


def link(*parts: bytes) -> bytes:
    """Interface 7, up, running and with multicast."""
    return message(rtnl.NEWLINK, struct.pack("=BxHiII", 0, 1, 7, 0x1041, 0) + b"".join(parts))


def test_of_a_point_to_point_address_our_end_counts() -> None:
    assert rtnl.read_address(address(AF_INET, 0, attribute(1, PEER), attribute(2, OURS))) == (OURS, 24)
    assert rtnl.read_address(address(AF_INET, 0, attribute(1, OURS))) == (OURS, 24)


def test_an_address_that_may_not_be_used_yet_is_left_out() -> None:
    for flags, usable in ((0, True), (0x40, False), (0x44, True), (0x08, False), (0x80, True)):
        expected = (SIX, 24) if usable else None
        assert rtnl.read_address(address(AF_INET6, flags, attribute(1, SIX))) == expected
        whole = attribute(8, struct.pack("=I", flags | 0x200))
        assert rtnl.read_address(address(AF_INET6, 0, attribute(1, SIX), whole)) == expected
    assert rtnl.read_address(address(AF_INET6, 0x40, attribute(1, SIX), attribute(8, bytes(4)))) == (SIX, 24)


def test_an_address_that_is_none_is_left_out() -> None:
    for bad in (attribute(1, OURS[:3]), attribute(1, SIX), attribute(4, OURS), attribute(1, b""), b""):
        assert rtnl.read_address(address(AF_INET, 0, bad)) is None
    for family, bad in ((AF_INET6, OURS), (17, OURS)):
        assert rtnl.read_address(address(family, 0, attribute(1, bad))) is None
    assert rtnl.read_address(message(rtnl.NEWADDR, b"\2\x18")) is None


def test_a_link_has_a_name_and_an_mtu() -> None:
    found = rtnl.read_link(link(attribute(4, struct.pack("=I", 1400)), attribute(3, b"eth0\0")))
    assert found is not None
    assert (found.name, found.mtu, found.ifindex, found.running, found.multicast) == ("eth0", 1400, 7, True, True)
    assert not found.loopback and not found.point_to_point
    bare = rtnl.read_link(link(attribute(4, b"\1\2")))
    assert bare is not None and (bare.name, bare.mtu) == ("", 0)
    strange = rtnl.read_link(link(attribute(3, b"\xff\0")))
    assert strange is not None and strange.name == "\ufffd"


def test_messages_of_other_things_are_no_links() -> None:
    for family, hardware in ((7, 1), (0, 779)):
        assert rtnl.read_link(message(rtnl.NEWLINK, struct.pack("=BxHiII", family, hardware, 7, 1, 0))) is None
    assert rtnl.read_link(message(rtnl.NEWLINK, bytes(15))) is None


def test_malformed_netlink_is_no_exception() -> None:
    random = Random(3)
    good = message(24, bytes(28)) + link(attribute(3, b"eth0\0"), attribute(4, bytes(4)))
    good += address(AF_INET6, 0, attribute(1, SIX), attribute(8, bytes(4)))
    whole: list[Address] = []
    for _ in range(5000):
        data = bytearray(good)
        for _ in range(random.randrange(4)):
            data[random.randrange(len(data))] = random.randrange(256)
        del data[random.randrange(len(data) + 1) :]
        for _, _, _, one in rtnl.split(bytes(data)):
            rtnl.error_of(one)
            rtnl.address_index(one)
            rtnl.read_link(one)
            found = rtnl.read_address(one)
            if found is not None:
                whole.append(found[0])
    assert whole and {len(one) for one in whole} <= {4, 16}


def test_the_daemon_does_without_pyroute2() -> None:
    """To import it takes longer than the whole start."""
    code = "import sys, pimpy.daemon.app\nprint([name for name in sys.modules if name.startswith('pyroute2')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
