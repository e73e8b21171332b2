"""The register table against the kernel: data goes to the RP (conformance R8, R9, R16, R19 to R21)."""

from __future__ import annotations

import os
import select
import struct
import time
from socket import IP_TOS, IPPROTO_IP, IPPROTO_IPV6, IPV6_TCLASS, SOCK_DGRAM, inet_ntop, socket
from typing import Any

import pytest
from kernel_frames import checksum, ether
from kernel_namespaces import Trio, eventually, families, group
from kernel_registers import TTLS, Bench, at_work, fragments, frames, udp

from pimpy.kernel import _mroute
from pimpy.wire import pim
from pimpy.wire.family import IPV4, IPV6, Family
from pimpy.wire.ip import decrement_ttl


@families()
def test_R8_R9_R16_R19_a_packet_goes_to_the_rp(trio: Trio, family: Family) -> None:
    with at_work(trio, family) as bench:
        bench.register()
        packet = bench.udp(b"data", ttl=9, tos=0xBB)
        bench.send(packet)
        (outer,) = bench.arrived()
        assert bench.inner(outer) == decrement_ttl(family, packet), "the inner TTL is one less, all else is the same"
        if family is IPV4:
            assert (outer[1], outer[8]) == (0xBB, 64), "DSCP and ECN are the packet's, the TTL is the system's"
        else:
            assert (int.from_bytes(outer[:2], "big") >> 4 & 0xFF, outer[7]) == (0xBB, 64)
        assert bench.table.counters() == {(bench.source, bench.group): (1, len(packet))}
        assert bench.messages() == [] and bench.total("sent") == 1


@families()
def test_R8_a_ttl_of_1_goes_nowhere(trio: Trio, family: Family) -> None:
    with at_work(trio, family) as bench:
        bench.register()
        bench.send(bench.udp(b"one", ttl=1))
        bench.send(bench.udp(b"two", ttl=2))
        (outer,) = bench.arrived()
        assert bench.inner(outer)[-3:] == b"two"
        assert bench.table.counters() == {(bench.source, bench.group): (1, len(bench.udp(b"two")))}


@families()
def test_a_checksum_that_was_left_to_the_interface_is_finished(trio: Trio, family: Family) -> None:
    """A socket's packet crosses a veth pair with half a checksum, which a receiver behind the RP would refuse."""
    with at_work(trio, family) as bench, trio.left, socket(family.number, SOCK_DGRAM) as sender:
        bench.register()
        if family is IPV4:
            sender.setsockopt(IPPROTO_IP, 33, 9)
            sender.setsockopt(IPPROTO_IP, IP_TOS, 0x28)
        else:
            sender.setsockopt(IPPROTO_IPV6, 18, 9)
            sender.setsockopt(IPPROTO_IPV6, IPV6_TCLASS, 0x28)
        for size in (0, 1, 2, 700, 701):
            sender.sendto(os.urandom(size), (inet_ntop(family.number, bench.group), 7))
            (outer,) = bench.arrived()
            packet = bench.inner(outer)
            body = packet[20 if family is IPV4 else 40 :]
            length = struct.pack("!HH", 17, len(body)) if family is IPV4 else struct.pack("!II", len(body), 17)
            addresses = packet[12:20] if family is IPV4 else packet[8:40]
            assert checksum(addresses + length + body) == b"\0\0"


@families()
def test_register_stop_flips_one_entry(trio: Trio, family: Family) -> None:
    with at_work(trio, family) as bench:
        bench.register(stopped=True)
        bench.send(bench.udp(b"stopped"))
        eventually(lambda: bench.total("stopped") == 1)
        bench.register()
        bench.send(bench.udp(b"on"))
        (outer,) = bench.arrived()
        assert bench.inner(outer).endswith(b"on") and bench.messages() == []


@families()
def test_K6_a_packet_goes_to_each_of_several_rps_its_hop_taken_once(trio: Trio, family: Family) -> None:
    with at_work(trio, family) as bench:
        bench.table.set(bench.source, bench.group, bench.us, bench.rp * 2, False)
        bench.into_tunnel()
        packet = bench.udp(b"data", ttl=9)
        bench.send(packet)
        assert [bench.inner(outer) for outer in bench.arrived(2)] == [decrement_ttl(family, packet)] * 2
        assert bench.table.counters() == {(bench.source, bench.group): (1, len(packet))}
        assert bench.total("sent") == 2
        bench.register()
        bench.send(bench.udp(b"one"))
        assert [bench.inner(outer)[-3:] for outer in bench.arrived()] == [b"one"] and bench.outer() == []


@families()
def test_K1_a_message_leaves_with_the_ttl_that_is_wanted(trio: Trio, family: Family) -> None:
    with at_work(trio, family) as bench:
        for ttl, expected in ((0, 64), (1, 1), (59, 59), (255, 255)):
            message = pim.encode(family, bench.us, bench.rp, pim.Register(False, True, b"\x45" + bytes(40)))
            packet = (0, bench.us, bench.rp, message, ttl)
            assert _mroute.send(bench.sockets.pim, family.number, [packet, packet]) == [0, 0]
            assert [outer[8 if family is IPV4 else 7] for outer in bench.arrived(2)] == [expected] * 2


@families()
def test_what_is_not_in_the_table_waits_for_its_owner(trio: Trio, family: Family) -> None:
    with at_work(trio, family) as bench:
        bench.send(bench.udp(b"first"))
        (message,) = eventually(bench.messages)
        assert message[:2] == (_mroute.NOCACHE, 0)
        bench.into_tunnel()
        (message,) = eventually(bench.messages)
        assert message[:2] == (_mroute.WHOLEPKT, 31) and message[6].endswith(b"first")
        bench.register()
        bench.send(bench.udp(b"second"))
        bench.arrived()
        assert bench.messages() == []
        bench.table.delete(bench.source, bench.group)
        bench.send(bench.udp(b"third"))
        (message,) = eventually(bench.messages)
        assert message[6].endswith(b"third")
        readable, _, _ = select.select([bench.table.fileno()], [], [], 0)
        assert not readable or bench.table.receive(1000)


@families()
def test_messages_wait_in_order_and_up_to_a_bound(trio: Trio, family: Family) -> None:
    with at_work(trio, family) as bench:
        bench.into_tunnel()
        bench.left.setblocking(True)
        count = 8000
        for i in range(count):
            bench.send(bench.udp(i.to_bytes(4, "big") + bytes(1300)))
        eventually(lambda: bench.total("queue_full") > 0, 20)
        found: list[int] = []
        while messages := bench.table.receive(7):
            assert len(messages) <= 7
            found += [int.from_bytes(m[6][-1304:-1300], "big") for m in messages if m[0] == _mroute.WHOLEPKT]
        assert found == sorted(found) and 5000 < len(found) < count
        bench.send(bench.udp(b"again"))
        assert any(message[6].endswith(b"again") for message in eventually(bench.messages))


def test_R20_large_packets_are_fragmented_before(trio: Trio) -> None:
    with at_work(trio, IPV4) as bench:
        trio.router.ip("route change 10.0.2.0/24 dev toright mtu 628")
        bench.register()
        packet = bench.udp(bytes(range(256)) * 5, ttl=9)
        bench.send(packet)
        parts = [bench.inner(outer) for outer in bench.arrived(3)]
        assert [len(part) for part in parts] == [596, 596, 156] and all(len(part) <= 628 - 28 for part in parts)
        assert parts == list(fragments(decrement_ttl(IPV4, packet) or b"", 600))
        assert b"".join(part[20:] for part in parts) == packet[20:]
        small = bench.udp(bytes(572), ttl=9)
        bench.send(small)
        assert bench.inner(*bench.arrived()) == decrement_ttl(IPV4, small), "what fits stays whole"


def test_R20_a_packet_that_may_not_be_fragmented_is_not_lost(trio: Trio) -> None:
    with at_work(trio, IPV4) as bench:
        trio.router.ip("route change 10.0.2.0/24 dev toright mtu 628")
        bench.register()
        packet = bench.udp(bytes(1000), ttl=9, flags=0x4000)
        bench.send(packet)
        outer = bench.arrived(2)
        whole = b"".join(part[20:] for part in sorted(outer, key=lambda part: part[6:8]) if not part[6] & 0x20)
        first = b"".join(part[20:] for part in outer if part[6] & 0x20)
        message = pim.decode(IPV4, bench.us, bench.rp, first + whole)
        assert isinstance(message, pim.Register) and message.packet == decrement_ttl(IPV4, packet)


def too_big(bench: Bench) -> list[tuple[int, bytes]]:
    """(MTU, what is quoted) of each Packet Too Big that arrived at the source, its checksum right."""
    found = []
    for data in frames(bench.left):
        if data[6] == 58 and data[40] == 2:
            body = data[40:]
            assert checksum(data[8:40] + struct.pack("!II", len(body), 58) + body) == b"\0\0"
            assert data[8:24] == bench.us and data[24:40] == bench.source and len(data) <= 1280
            found.append((int.from_bytes(body[4:8], "big"), body[8:]))
    return found


def test_R21_packet_too_big(trio: Trio) -> None:
    with at_work(trio, IPV6) as bench:
        trio.router.ip("route add 2001:db8:2::/64 dev toright metric 9 mtu 1400")
        bench.register()
        packet = bench.udp(bytes(1352 - 48 + 1), ttl=9)
        bench.send(packet)
        ((mtu, quoted),) = eventually(lambda: too_big(bench))
        assert mtu == 1352 and packet.startswith(quoted) and len(quoted) == 1280 - 48
        assert bench.total("too_big") == 1 and bench.table.counters() == {(bench.source, bench.group): (0, 0)}
        for _ in range(20):
            bench.send(packet)
        eventually(lambda: bench.total("too_big") == 21)
        assert too_big(bench) == [], "once a second"
        fits = bench.udp(bytes(1352 - 48), ttl=9)
        bench.send(fits)
        assert bench.inner(*bench.arrived()) == decrement_ttl(IPV6, fits)


def test_R21_below_1280_the_register_is_fragmented(trio: Trio) -> None:
    with at_work(trio, IPV6) as bench:
        trio.router.ip("route add 2001:db8:2::/64 dev toright metric 9 mtu 1300")
        bench.register()
        bench.send(bench.udp(bytes(1280 - 48 + 1), ttl=9))
        ((mtu, _),) = eventually(lambda: too_big(bench))
        assert mtu == 1280
        packet = bench.udp(bytes(1280 - 48), ttl=9)
        bench.send(packet)
        outer = bench.arrived(2)
        assert all(part[6] == 44 and len(part) <= 1300 for part in outer)
        joined = b"".join(part[48:] for part in sorted(outer, key=lambda part: part[42:44]))
        message = pim.decode(IPV6, bench.us, bench.rp, joined)
        assert isinstance(message, pim.Register) and message.packet == decrement_ttl(IPV6, packet)


@families()
def test_an_rp_that_cannot_be_reached_is_counted(trio: Trio, family: Family) -> None:
    with at_work(trio, family) as bench:
        bench.register()
        trio.router.ip("link set toright down")
        for i in range(100):
            bench.send(bench.udp(b"%d" % i))
        eventually(lambda: bench.total("refused") == 100)
        assert bench.total("sent") == 0
        trio.router.ip("link set toright up")
        if family is IPV6:
            trio.router.ip("addr replace 2001:db8:2::1/64 dev toright nodad")
        end = time.monotonic() + 10
        while not bench.outer():
            assert time.monotonic() < end
            bench.send(bench.udp(b"again"))
            time.sleep(0.05)


@families()
def test_a_burst_is_registered_whole(trio: Trio, family: Family) -> None:
    with at_work(trio, family) as bench:
        bench.register()
        bench.left.setblocking(True)
        for i in range(5000):
            bench.send(bench.udp(i.to_bytes(4, "big")))
        eventually(lambda: bench.table.counters()[bench.source, bench.group][0] == 5000, 20)
        assert bench.messages() == []


# Streams that the kernel has no entry for yet.


def numbers(bench: Bench, outer: list[bytes]) -> list[int]:
    return [int.from_bytes(bench.inner(one)[-4:], "big") for one in outer]


def answer(bench: Bench, *change: int, devices: dict[int, int] | None = None) -> None:
    """The core's entry, written and told of: iif and oifs, or nothing for none."""
    made: Any = (bench.source, bench.group, *change)
    assert bench.table.holding()
    assert _mroute.change_mfc(bench.sockets.mroute, bench.family.number, [made], TTLS) == [0]
    bench.vifs(devices or {})
    bench.table.release([made])


def begin(bench: Bench, count: int = 100) -> None:
    """A new stream begins, and it takes us a long while to think about it."""
    bench.table.hold(31)
    bench.left.setblocking(True)
    for i in range(count):
        bench.send(bench.udp(i.to_bytes(4, "big")))
        if not i:
            eventually(bench.table.holding)
    (message,) = eventually(bench.messages)
    assert message[:2] == (_mroute.NOCACHE, 0)
    time.sleep(0.1)
    assert bench.table.holding() == 1 and bench.messages() == []


def both_ways(bench: Bench, count: int, registered: int, ours: int) -> tuple[list[bytes], list[bytes]]:
    """The packets themselves and the Registers at the right, once so many of each are there.

    `ours` is how many the thread sent both ways.
    """
    native: list[bytes] = []
    registers: list[bytes] = []
    at, where = (9, slice(12, 16)) if bench.family is IPV4 else (6, slice(8, 24))

    def look() -> bool:
        for data in frames(bench.right):
            if data[at] == 17 and data[where] == bench.source:
                native.append(data)
            elif data[at] == 103 and data[where] == bench.us:
                registers.append(data)
                before.append(len(native))
        return len(native) >= count and len(registers) >= registered

    before: list[int] = []
    eventually(look)
    assert before[:ours] == list(range(len(before)))[:ours], "each Register goes first"
    return native, registers


@families()
def test_F1_the_first_packets_of_a_stream_are_all_registered(trio: Trio, family: Family) -> None:
    with at_work(trio, family) as bench:
        begin(bench)
        bench.table.set(bench.source, bench.group, bench.us, bench.rp, False)
        answer(bench, 0, 1 << 31)
        bench.send(bench.udp((100).to_bytes(4, "big")))
        assert numbers(bench, bench.arrived(101)) == list(range(101))
        assert bench.table.holding() == 0 and bench.table.counters()[bench.source, bench.group][0] == 101


@families()
def test_F1_the_first_packets_of_a_stream_all_reach_the_members(trio: Trio, family: Family) -> None:
    with at_work(trio, family) as bench:
        _mroute.add_vif(bench.sockets.mroute, family.number, 1, trio.r, 1, False)
        begin(bench)
        bench.table.set(bench.source, bench.group, bench.us, bench.rp, False)
        answer(bench, 0, 1 << 31 | 1 << 1, devices={0: trio.l, 1: trio.r})
        time.sleep(0.1)  # the kernel sends what comes now, and is faster than we
        bench.send(bench.udp((100).to_bytes(4, "big")))
        native, registers = both_ways(bench, 101, 101, 100)
        assert [int.from_bytes(data[-4:], "big") for data in native] == list(range(101))
        assert {data[8 if family is IPV4 else 7] for data in native} == {8}, "the TTL is one less"
        assert numbers(bench, registers) == list(range(101))
        at = 20 if family is IPV4 else 40  # the kernel gives an IPv4 packet an identification where it has none
        assert native[5][at:] == bench.udp((5).to_bytes(4, "big"))[at:]


@families()
def test_F1_what_the_thread_has_yet_to_read_when_the_entry_stands_goes_by_it_too(trio: Trio, family: Family) -> None:
    """The kernel handed it up by the entry before, and the thread comes to it when nothing is held any more."""
    with at_work(trio, family) as bench:
        _mroute.add_vif(bench.sockets.mroute, family.number, 1, trio.r, 1, False)
        begin(bench, 3)
        for i in range(3, 103):  # some of them come while the entry is written
            bench.send(bench.udp(i.to_bytes(4, "big")))
            if i == 50:
                answer(bench, 0, 1 << 1, devices={1: trio.r})
        native, _ = both_ways(bench, 103, 0, 0)
        assert sorted(int.from_bytes(data[-4:], "big") for data in native) == list(range(103))
        assert bench.messages() == [] and bench.total("held_full") == 0
        time.sleep(0.1)
        bench.into_tunnel()
        bench.send(bench.udp(b"late"))
        (message,) = eventually(bench.messages)
        assert message[6].endswith(b"late"), "by then it is nobody's"


@families()
@pytest.mark.parametrize("stopped", [False, True])
def test_copies_leave_behind_their_registers(trio: Trio, family: Family, stopped: bool) -> None:
    with at_work(trio, family) as bench:
        bench.vifs({0: trio.l, 1: trio.r, 31: 0})
        bench.register(stopped)
        assert bench.table.follow(bench.source, bench.group, 1 << 1 | 1 << 5)
        bench.left.setblocking(True)
        for i in range(50):
            bench.send(bench.udp(i.to_bytes(4, "big")))
        native, registers = both_ways(bench, 50, 0 if stopped else 50, 50)
        assert [int.from_bytes(data[-4:], "big") for data in native] == list(range(50))
        assert {data[8 if family is IPV4 else 7] for data in native} == {8}, "the TTL is one less"
        assert numbers(bench, registers) == ([] if stopped else list(range(50)))
        bench.register()
        assert bench.table.follow(bench.source, bench.group, 0)
        time.sleep(0.05)  # until the socket was seen empty, there may be something in it that the kernel has not copied
        bench.send(bench.udp(b"registered alone"))
        (register,) = bench.arrived()
        time.sleep(0.05)
        assert bench.inner(register).endswith(b"alone")
        assert not [data for data in frames(bench.right) if data.endswith(b"alone")]


@families()
def test_copies_heed_the_threshold_of_their_interface(trio: Trio, family: Family) -> None:
    """As the kernel's own do: it compares the TTL that a packet arrives with."""
    with at_work(trio, family) as bench:
        bench.vifs({1: trio.r}, threshold=8)
        bench.register()
        bench.table.follow(bench.source, bench.group, 1 << 1)
        for ttl in (8, 9):
            bench.send(bench.udp(bytes((ttl,)), ttl))
        native, _ = both_ways(bench, 1, 2, 0)
        assert [data[-1] for data in native] == [9]


@families()
@pytest.mark.parametrize("how", ["wrong interface", "nobody", "deleted"])
def test_what_nobody_wants_goes_nowhere(trio: Trio, family: Family, how: str) -> None:
    with at_work(trio, family) as bench:
        _mroute.add_vif(bench.sockets.mroute, family.number, 1, trio.r, 1, False)
        begin(bench, 10)
        bench.table.set(bench.source, bench.group, bench.us, bench.rp, False)
        change = {"wrong interface": (1, 1 << 31), "nobody": (0, 0), "deleted": ()}[how]
        answer(bench, *change, devices={0: trio.l, 1: trio.r})
        time.sleep(0.05)
        assert bench.outer() == [] and bench.table.holding() == 0 and bench.total("sent") == 0


@families()
def test_without_an_answer_the_kernel_asks_again(trio: Trio, family: Family) -> None:
    with at_work(trio, family) as bench:
        begin(bench, 3)
        eventually(lambda: bench.table.holding() == 0, 15)
        time.sleep(0.1)  # the stream is forgotten first, and then its entry removed
        bench.send(bench.udp(b"again"))
        (message,) = eventually(bench.messages)
        assert message[0] == _mroute.NOCACHE and bench.table.holding() == 1


@families()
def test_what_is_held_is_bounded(trio: Trio, family: Family) -> None:
    with at_work(trio, family) as bench:
        bench.table.hold(31)
        bench.left.setblocking(True)
        for i in range(1200):
            to = group(family, 1 + i)
            bench.left.send(ether(to, udp(family, bench.source, to, b"x", 9)))
        told = 0
        while told < 1200:
            told += sum(message[0] == _mroute.NOCACHE for message in eventually(lambda: bench.table.receive(1000)))
        assert bench.table.holding() == 1024
        changes = [(bench.source, group(family, 1 + i)) for i in range(1200)]
        assert bench.table.holding() == 1024
        bench.table.release(list(changes))
        assert bench.table.holding() == 0
        _mroute.change_mfc(bench.sockets.mroute, family.number, list(changes), TTLS)
        bench.group = group(family, 3000)
        bench.send(bench.udp(b"first"))
        eventually(lambda: bench.table.holding() == 1)
        for _ in range(1000):
            bench.send(bench.udp(bytes(1300)))
        eventually(lambda: bench.total("held_full") > 100)
        assert bench.table.holding() == 1


def test_release_refuses() -> None:
    table: Any = _mroute.Registers(1 << 20, 1 << 20, 1 << 20, 2, 2, 10)
    good = (bytes(4), bytes(4), 0, 0)
    for bad in (None, [], "x", 1):
        with pytest.raises(TypeError):
            table.release([good, bad])
    for bad in ((), (bytes(4),), (bytes(4), bytes(4), 0), (*good, 0), (bytes(3), bytes(4)), (*good[:3], 1 << 32)):
        with pytest.raises(ValueError):
            table.release([bad])
    for devices, expected in ((bytes(127), ValueError), (b"", ValueError), (None, TypeError), ("x" * 128, TypeError)):
        with pytest.raises(expected):
            table.vifs(devices, TTLS)
        with pytest.raises(expected):
            table.vifs(bytes(128), devices and devices[:31])
    with pytest.raises(TypeError):
        table.release((good,))
    for arguments, expected in (
        ((bytes(4), bytes(4), -1), ValueError),
        ((bytes(4), bytes(4), 1 << 32), ValueError),
        ((bytes(4), bytes(4), None), TypeError),
        ((bytes(3), bytes(4), 1), ValueError),
        ((bytes(4), bytes(5), 1), ValueError),
    ):
        with pytest.raises(expected):
            table.follow(*arguments)
    assert table.follow(bytes(4), bytes(4), 1) is False, "there is no such entry"
    for vif, expected in ((-2, ValueError), (32, ValueError), (None, TypeError), ("1", TypeError)):
        with pytest.raises(expected):
            table.hold(vif)
    table.release([good, (bytes(4), bytes(4))])
    table.vifs(bytes(128), TTLS)
    table.close()
    closed = (lambda: table.vifs(bytes(128), TTLS), lambda: table.follow(bytes(4), bytes(4), 1))
    for call in (lambda: table.hold(1), table.holding, lambda: table.release([]), *closed):
        with pytest.raises(ValueError, match="closed"):
            call()
