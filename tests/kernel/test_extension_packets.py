"""The extension's receive and send against the kernel: who sent what by which interface, and what leaves how."""

from __future__ import annotations

import errno
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socket import (
    AF_INET,
    AF_INET6,
    AF_PACKET,
    AF_UNIX,
    SOCK_DGRAM,
    SOCK_RAW,
    htons,
    socket,
    socketpair,
)

import pytest
from kernel_frames import ALERT4, ALERT6, ether, ip4, ip6, mld, upcall
from kernel_namespaces import Namespace, Trio, eventually, families, group, host

from pimpy.kernel import _mroute
from pimpy.kernel.sockets import Memberships, Sockets, open_sockets
from pimpy.wire.family import IPV4, IPV6, Address, Family

Message = tuple[int, int, bytes, bytes, int, bool, bytes]


@contextmanager
def opened(trio: Trio, family: Family) -> Iterator[Sockets]:
    """The router's sockets, with the groups joined that routers join."""
    with trio.router:
        sockets = open_sockets(family)
        memberships = Memberships(family)
        for ifindex in (trio.l, trio.r):
            for address in (family.all_pim_routers, family.all_reports, family.all_routers):
                memberships.join(ifindex, address)
    yield sockets
    memberships.close()
    sockets.close()


def packet_socket(namespace: Namespace, name: str = "eth") -> socket:
    """Sends and hears whole frames on an interface."""
    with namespace:
        made = socket(AF_PACKET, SOCK_RAW, htons(3))
    made.bind((name, 3))
    made.setblocking(False)
    return made


def frames(capture: socket) -> list[bytes]:
    """All frames that came in, without the link's header."""
    found = []
    while True:
        try:
            data, (_, _, kind, _, _) = capture.recvfrom(65536)
        except BlockingIOError:
            return found
        if kind != 4:  # PACKET_OUTGOING
            found.append(data[14:])


def messages(fd: int, family: Family, protocol: int, source: Address) -> list[Message]:
    """What comes from `source`: the kernels of both ends have messages of their own."""
    found, truncated, malformed = _mroute.receive(fd, family.number, protocol, 100)
    assert (truncated, malformed) == (0, 0)
    return [message for message in found if message[2] == source]


def test_igmp_is_received_with_its_interface(trio: Trio) -> None:
    source, to = host(IPV4, 1, 77), group(IPV4)
    with opened(trio, IPV4) as sockets, packet_socket(trio.left) as left, packet_socket(trio.right) as right:
        # Reports to groups that this host has not joined come up where there is a virtual interface.
        _mroute.add_vif(sockets.mroute, AF_INET, 0, trio.l, 1, False)
        _mroute.add_vif(sockets.mroute, AF_INET, 1, trio.r, 1, False)
        report = b"\x16\x00" + b"\xf9\xfc" + to
        left.send(ether(to, ip4(source, to, 2, report, 1, ALERT4)))
        (message,) = eventually(lambda: messages(sockets.mroute, IPV4, 2, source))
        assert message == (2, trio.l, source, to, 1, True, report)
        right.send(ether(to, ip4(source, to, 2, report, 9)))
        (message,) = eventually(lambda: messages(sockets.mroute, IPV4, 2, source))
        assert message == (2, trio.r, source, to, 9, False, report)
        left.send(ether(to, ip4(bytes(4), to, 2, report, 1, ALERT4)))
        (message,) = eventually(lambda: messages(sockets.mroute, IPV4, 2, bytes(4)))
        assert message[:4] == (2, trio.l, bytes(4), to)


def test_mld_is_received_with_its_interface(trio: Trio) -> None:
    source, to = bytes.fromhex("fe80") + bytes(13) + b"\x4d", group(IPV6)
    with opened(trio, IPV6) as sockets, packet_socket(trio.left) as left, packet_socket(trio.right) as right:
        report = mld(source, to, 131, bytes(4) + to)
        left.send(ether(to, ip6(source, to, 58, report, 1, ALERT6)))
        (message,) = eventually(lambda: messages(sockets.mroute, IPV6, 58, source))
        assert message == (58, trio.l, source, to, 1, True, report)
        reports = IPV6.all_reports
        report = mld(source, reports, 143, bytes(4))
        right.send(ether(reports, ip6(source, reports, 58, report, 255)))
        (message,) = eventually(lambda: messages(sockets.mroute, IPV6, 58, source))
        assert message == (58, trio.r, source, reports, 255, False, report)


def test_other_icmp6_is_not_received(trio: Trio) -> None:
    source = host(IPV6, 1)
    with opened(trio, IPV6) as sockets, packet_socket(trio.left) as left:
        everyone = IPV6.all_reports
        for kind in (0, 1, 128, 129, 133, 134, 144, 255, 130):
            body = mld(source, everyone, kind, bytes(20))
            left.send(ether(everyone, ip6(source, everyone, 58, body, 1, ALERT6)))
        found = eventually(lambda: messages(sockets.mroute, IPV6, 58, source))
        assert [message[6][0] for message in found] == [130]


@pytest.mark.parametrize("kind", [130, 143], ids=["2.16_query", "2.24_report"])
def test_mld_with_a_wrong_checksum_is_not_received(trio: Trio, kind: int) -> None:
    """The kernel checks it, so the core need not (RFC 9777 5.1.4, 5.2.3)."""
    source = host(IPV6, 1)
    with opened(trio, IPV6) as sockets, packet_socket(trio.left) as left:
        to = IPV6.all_reports
        body = mld(source, to, kind, bytes(24))
        wrong = body[:2] + bytes((body[2] ^ 0x55, body[3])) + body[4:]
        for data in (wrong, body):
            left.send(ether(to, ip6(source, to, 58, data, 1, ALERT6)))
        found = eventually(lambda: messages(sockets.mroute, IPV6, 58, source))
        assert [message[6] for message in found] == [body]


def test_mld_solicitations_of_routers_are_received(trio: Trio) -> None:
    source = host(IPV6, 1)
    with opened(trio, IPV6) as sockets, packet_socket(trio.left) as left:
        to = IPV6.all_reports
        body = mld(source, to, 152, b"")
        left.send(ether(to, ip6(source, to, 58, body, 1, ALERT6)))
        (message,) = eventually(lambda: messages(sockets.mroute, IPV6, 58, source))
        assert message[6] == body


@families()
def test_pim_is_received_with_its_interface(trio: Trio, family: Family) -> None:
    data = b"\x20\x00\xdf\xff" + b"option"
    to = family.all_pim_routers
    make = ip4 if family is IPV4 else ip6
    with opened(trio, family) as sockets, packet_socket(trio.left) as left, packet_socket(trio.right) as right:
        source = host(family, 9)
        left.send(ether(to, make(source, to, 103, data, 1)))
        (message,) = eventually(lambda: messages(sockets.pim, family, 103, source))
        assert message == (103, trio.l, source, to, 1, False, data)
        right.send(ether(to, make(source, to, 103, b"", 64)))
        (message,) = eventually(lambda: messages(sockets.pim, family, 103, source))
        assert message == (103, trio.r, source, to, 64, False, b"")


@families()
def test_unicast_pim_names_its_destination(trio: Trio, family: Family) -> None:
    with opened(trio, family) as sockets, trio.left, socket(family.number, SOCK_RAW, 103) as sender:
        text = "10.0.2.1" if family is IPV4 else "2001:db8:2::1"
        sender.sendto(b"\x22\x00\xdd\xff" + bytes(10), (text, 0))
        (message,) = eventually(lambda: messages(sockets.pim, family, 103, host(family, 1)))
        assert message[:4] == (103, trio.l, host(family, 1), host(family, 2, 1))
        assert message[4] == 64


@families()
def test_a_fragmented_message_comes_whole(trio: Trio, family: Family) -> None:
    data = bytes(range(256)) * 200
    with opened(trio, family) as sockets, trio.left, socket(family.number, SOCK_RAW, 103) as sender:
        sender.sendto(data, ("10.0.1.1" if family is IPV4 else "2001:db8:1::1", 0))
        (message,) = eventually(lambda: messages(sockets.pim, family, 103, host(family, 1)))
        assert message[6] == data


@families()
def test_upcalls(trio: Trio, family: Family) -> None:
    """NOCACHE from a new stream, then WRONGVIF and the packet itself from the wrong side."""
    source, to, number = host(family, 1, 77), group(family), family.number
    protocol = 2 if family is IPV4 else 58
    make = ip4 if family is IPV4 else ip6
    with opened(trio, family) as sockets, packet_socket(trio.left) as left, packet_socket(trio.right) as right:
        _mroute.add_vif(sockets.mroute, number, 4, trio.l, 1, False)
        _mroute.add_vif(sockets.mroute, number, 5, trio.r, 1, False)
        packet = make(source, to, 17, b"\x00\x05\x00\x05\x00\x0c\x12\x34data", 7)
        left.send(ether(to, packet))
        (message,) = eventually(lambda: messages(sockets.mroute, family, protocol, source))
        assert message == (_mroute.NOCACHE, 4, source, to, 0, False, b"")
        _mroute.change_mfc(sockets.mroute, number, [(source, to, 4, 1 << 5)], b"\x01" * 32)
        right.send(ether(to, packet))
        found = eventually(lambda: messages(sockets.mroute, family, protocol, source))
        assert found == [
            (_mroute.WRONGVIF, 5, source, to, 0, False, b""),
            (_mroute.WRVIFWHOLE, 5, source, to, 7, False, packet),
        ]


@families()
def test_the_register_tunnel_brings_whole_packets(trio: Trio, family: Family) -> None:
    source, to, number = host(family, 1, 77), group(family), family.number
    protocol = 2 if family is IPV4 else 58
    make = ip4 if family is IPV4 else ip6
    with opened(trio, family) as sockets, packet_socket(trio.left) as left:
        _mroute.add_vif(sockets.mroute, number, 4, trio.l, 1, False)
        _mroute.add_vif(sockets.mroute, number, 9, 0, 1, True)
        _mroute.change_mfc(sockets.mroute, number, [(source, to, 4, 1 << 9)], b"\x01" * 32)
        packet = make(source, to, 17, b"\x00\x05\x00\x05\x00\x0c\x12\x34data", 7)
        left.send(ether(to, packet))
        (message,) = eventually(lambda: messages(sockets.mroute, family, protocol, source))
        assert message[:4] == (_mroute.WHOLEPKT, 9, source, to)
        assert message[6][-12:] == packet[-12:]


@families()
def test_a_burst_is_received_in_bounded_batches(trio: Trio, family: Family) -> None:
    protocol = 2 if family is IPV4 else 58
    make = ip4 if family is IPV4 else ip6
    with opened(trio, family) as sockets, packet_socket(trio.left) as left:
        _mroute.add_vif(sockets.mroute, family.number, 0, trio.l, 1, False)
        left.setblocking(True)
        source = host(family, 1, 77)
        for i in range(3000):
            to = group(family, i + 1)
            left.send(ether(to, make(source, to, 17, bytes(12), 7)))
        groups = []
        while len(groups) < 3000:
            found, _, _ = _mroute.receive(sockets.mroute, family.number, protocol, 100)
            assert len(found) <= 100
            assert found
            groups += [message[3] for message in found if message[0] == _mroute.NOCACHE]
        assert groups == [group(family, i + 1) for i in range(3000)]
        assert sockets.lost() == 0


@families()
def test_nothing_to_receive(trio: Trio, family: Family) -> None:
    with opened(trio, family) as sockets:
        assert _mroute.receive(sockets.pim, family.number, 103, 10) == ([], 0, 0)


def test_TH63_what_is_malformed_or_too_long_is_counted_and_dropped() -> None:
    """Over a pair of local sockets, which bring whatever bytes there are."""
    one, other = socketpair(AF_UNIX, SOCK_DGRAM)
    with one, other:
        good = upcall(IPV4, 1, 3, host(IPV4, 1), group(IPV4))
        other.setsockopt(1, 7, 1 << 20)
        for data in (good, b"", b"\x45", bytes(66000), good, ip4(bytes(4), bytes(4), 2, b"no interface"), good[:19]):
            other.send(data)
        found, truncated, malformed = _mroute.receive(one.fileno(), AF_INET, 2, 100)
        assert [message[0] for message in found] == [_mroute.NOCACHE] * 2
        assert (truncated, malformed) == (1, 4)
        other.send(upcall(IPV6, 2, 3, host(IPV6, 1), group(IPV6)))
        other.send(b"\x82 no interface told")
        assert _mroute.receive(one.fileno(), AF_INET6, 58, 100)[1:] == (0, 1)


def test_other_threads_run_while_one_receives() -> None:
    """Several threads on one socket: each message goes to one of them, nothing is lost or doubled."""
    one, other = socketpair(AF_UNIX, SOCK_DGRAM)
    found: list[bytes] = []

    def take() -> None:
        while len(found) < 1000:
            found.extend(message[3] for message in _mroute.receive(one.fileno(), AF_INET, 2, 7)[0])

    with one, other:
        threads = [threading.Thread(target=take) for _ in range(3)]
        for thread in threads:
            thread.start()
        for i in range(1000):
            other.send(upcall(IPV4, 1, 3, host(IPV4, 1), group(IPV4, i)))
        for thread in threads:
            thread.join()
    assert sorted(found) == [group(IPV4, i) for i in range(1000)]


def test_igmp_leaves_with_ttl_1_and_router_alert(trio: Trio) -> None:
    with opened(trio, IPV4) as sockets, packet_socket(trio.left) as left:
        query = b"\x11\x64\xee\x9b" + bytes(4)
        assert _mroute.send(sockets.mroute, AF_INET, [(trio.l, host(IPV4, 1, 1), IPV4.all_hosts, query)]) == [0]
        (packet,) = eventually(lambda: [frame for frame in frames(left) if frame[16:20] == IPV4.all_hosts])
        assert packet[0] == 0x46
        assert packet[1] == 0xC0
        assert (packet[8], packet[9]) == (1, 2)
        assert packet[12:24] == host(IPV4, 1, 1) + IPV4.all_hosts + ALERT4
        assert packet[24:] == query


def test_mld_leaves_with_hop_limit_1_router_alert_and_checksum(trio: Trio) -> None:
    with opened(trio, IPV6) as sockets, packet_socket(trio.left) as left:
        source = trio.link_local(trio.router, "toleft")
        query = b"\x82\x00\x00\x00\x27\x10\x00\x00" + bytes(20)
        assert _mroute.send(sockets.mroute, AF_INET6, [(trio.l, source, IPV6.all_hosts, query)]) == [0]
        (packet,) = eventually(
            lambda: [frame for frame in frames(left) if frame[24:40] == IPV6.all_hosts and frame[6] == 0]
        )
        assert packet[6:8] == b"\x00\x01"
        assert struct.unpack_from("!I", packet)[0] >> 20 & 0xFF == 0xC0
        assert packet[8:24] == source
        assert packet[40:48] == ALERT6
        assert packet[48:] == mld(source, IPV6.all_hosts, 130, query[4:])


@families()
def test_pim_leaves_with_ttl_1_by_its_interface(trio: Trio, family: Family) -> None:
    with opened(trio, family) as sockets, packet_socket(trio.left) as left, packet_socket(trio.right) as right:
        for capture, ifindex, network in ((left, trio.l, 1), (right, trio.r, 2)):
            source, data = host(family, network, 1), b"\x20\x00" + bytes((network,)) * 30
            packets = [(ifindex, source, family.all_pim_routers, data)]
            assert _mroute.send(sockets.pim, family.number, packets) == [0]
            (packet,) = eventually(lambda c=capture, d=data: [frame for frame in frames(c) if frame[-32:] == d])
            if family is IPV4:
                assert (packet[0], packet[1], packet[8], packet[9]) == (0x45, 0xC0, 1, 103)
                assert packet[12:20] == source + family.all_pim_routers
            else:
                assert struct.unpack_from("!I", packet)[0] >> 20 & 0xFF == 0xC0
                assert packet[6:8] == b"\x67\x01"
                assert packet[8:40] == source + family.all_pim_routers
        assert not [frame for frame in frames(left) if frame[-30:] == b"\x02" * 30]


@families()
def test_unicast_pim_leaves_by_the_routes_with_a_usual_ttl(trio: Trio, family: Family) -> None:
    with opened(trio, family) as sockets, packet_socket(trio.right) as right:
        packets = [(0, host(family, 1, 1), host(family, 2), b"\x22\x00\xdd\xff")]
        assert _mroute.send(sockets.pim, family.number, packets) == [0]
        (packet,) = eventually(lambda: [frame for frame in frames(right) if frame[-4:] == b"\x22\x00\xdd\xff"])
        assert packet[8 if family is IPV4 else 7] == 64


@families()
def test_each_packet_has_its_own_errno(trio: Trio, family: Family) -> None:
    """The ones between those that fail leave, across the borders of the kernel's batches."""
    with opened(trio, family) as sockets, packet_socket(trio.left) as left:
        source, to = host(family, 1, 1), family.all_pim_routers
        packets, expected = [], []
        for i in range(200):
            good = i % 7 != 3
            packets.append((trio.l if good else 9999, source, to, b"\x20" + bytes((i,)) * 40))
            expected.append(0 if good else errno.ENODEV)
        errors = _mroute.send(sockets.pim, family.number, packets)
        assert [bool(error) for error in errors] == [bool(error) for error in expected]
        arrived = sorted(frame[-1] for frame in frames(left) if frame[-41:-40] == b"\x20")
        assert arrived == [i for i in range(200) if i % 7 != 3]


@families()
def test_an_address_that_was_removed_can_still_take_leave(trio: Trio, family: Family) -> None:
    with opened(trio, family) as sockets, packet_socket(trio.left) as left:
        source = host(family, 1, 1)
        trio.router.ip(f"addr del {'10.0.1.1/24' if family is IPV4 else '2001:db8:1::1/64'} dev toleft")
        data = b"\x20\x00good-bye"
        assert _mroute.send(sockets.pim, family.number, [(trio.l, source, family.all_pim_routers, data)]) == [0]
        (packet,) = eventually(lambda: [frame for frame in frames(left) if frame[-10:] == data])
        assert packet[12:16] == source if family is IPV4 else packet[8:24] == source


@families()
def test_sending_on_an_interface_that_is_down_fails(trio: Trio, family: Family) -> None:
    with opened(trio, family) as sockets:
        trio.router.ip("link set toleft down")
        packets = [(trio.l, host(family, 1, 1), family.all_pim_routers, b"data")]
        (error,) = _mroute.send(sockets.pim, family.number, packets)
        assert error in (errno.ENETDOWN, errno.ENETUNREACH, errno.ENODEV, errno.EADDRNOTAVAIL, errno.EHOSTUNREACH)


@families()
def test_a_packet_longer_than_ip_can_be_is_refused_by_the_kernel(trio: Trio, family: Family) -> None:
    with opened(trio, family) as sockets:
        packets = [(trio.l, host(family, 1, 1), family.all_pim_routers, bytes(65535))]
        assert _mroute.send(sockets.pim, family.number, packets) == [errno.EMSGSIZE] or family is IPV6
        assert os.fstat(sockets.pim)


def test_a_full_send_buffer_is_told(trio: Trio) -> None:
    with opened(trio, IPV4) as sockets:
        with socket(fileno=os.dup(sockets.pim)) as borrowed:
            borrowed.setsockopt(1, 7, 4608)
        trio.router.ip("link set toleft txqueuelen 1000")
        packets = [(trio.l, host(IPV4, 1, 1), IPV4.all_pim_routers, bytes(20000))]
        assert _mroute.send(sockets.pim, AF_INET, packets)[0] in (errno.EAGAIN, errno.ENOBUFS, errno.EMSGSIZE)


@pytest.mark.parametrize("count", [1, 63, 64, 65, 129])
def test_every_size_of_a_batch(trio: Trio, count: int) -> None:
    with opened(trio, IPV4) as sockets, packet_socket(trio.left) as left:
        packets = [(trio.l, host(IPV4, 1, 1), IPV4.all_pim_routers, b"\x20" + bytes((i,))) for i in range(count)]
        assert _mroute.send(sockets.pim, AF_INET, packets) == [0] * count
        data = [frame[20:22] for frame in frames(left) if frame[9] == 103]
        assert data == [packet[3] for packet in packets]
