"""Y3: floods of messages of each type: neighbours stay, timers are in time, memory is bounded.

    x - r1 - r2      x sends; r1 is the RP, and r1 and r2 say Hello each second

Here other tests share the processors, and a flood is short; PIMPY_FLOOD_RATE=10000 PIMPY_FLOOD_SECONDS=60 makes it what
the row says, on a machine that does nothing else.
"""

from __future__ import annotations

import os
import struct
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from pimpy.wire import pim
from pimpy.wire.bootstrap import Bootstrap, RpEntry, RpRange
from pimpy.wire.checksum import internet_checksum
from pimpy.wire.family import IPV4, IPV6, Address, Family, parse_address
from pimpy.wire.join_prune import SG, STAR_G, GroupSet, JoinPrune

from .pimpyd import Pimpyd, wait_neighbors
from .scenes import hellos
from .topology import Lab, Port

RATE = float(os.environ.get("PIMPY_FLOOD_RATE", "2000"))
"""Messages a second, in each family."""
SECONDS = float(os.environ.get("PIMPY_FLOOD_SECONDS", "1.5"))
DISTINCT = 4000
"""Different messages of a flood, which come again and again."""
GROWTH = 120 << 20
"""Bytes by which the daemon may grow over all floods: what the limits below have room for, and buffers."""
TEXT = """hello-interval 1
triggered-hello-delay 0
state-limit sg 20000
state-limit groups 20000
state-limit members 20000
"""
SEND = """
import socket, sys, time
name, path, rate, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
frames = [bytes.fromhex(line) for line in open(path)]
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
    link.bind((name, 0))
    began, sent = time.monotonic(), 0
    while sent < rate * seconds:
        due = (time.monotonic() - began) * rate
        while sent < due and sent < rate * seconds:
            try:
                link.send(frames[sent % len(frames)])
            except OSError:
                time.sleep(0.001)
            sent += 1
        time.sleep(0.002)
print(sent / (time.monotonic() - began))
"""
ROUTER_ALERT6 = bytes.fromhex("050200000100")


class Maker:
    """Frames that x sends to r1, in one family."""

    def __init__(self, family: Family, x: Port, r1: Port) -> None:
        self.family, self.x, self.r1 = family, x, r1
        version = 4 if family is IPV4 else 6
        self.me = parse_address(x.pim_address(version))
        self.us = parse_address(r1.pim_address(version))
        self.rp = parse_address(r1.address(version))

    def group(self, number: int) -> Address:
        if self.family is IPV4:
            return bytes((239, 9, number >> 8, number & 255))
        return bytes.fromhex("ff1e" + "00" * 12) + number.to_bytes(2, "big")

    def source(self, number: int) -> Address:
        text = bytes((10, 200, number >> 8, number & 255))
        return text if self.family is IPV4 else bytes.fromhex("fd0000c8" + "00" * 10) + number.to_bytes(2, "big")

    def frame(self, destination: Address, protocol: int, data: bytes, source: Address | None = None) -> bytes:
        """Ethernet and IP around it; hop limit 1 to groups."""
        source, ttl = source or self.me, 1 if protocol != 17 and self.family.is_multicast(destination) else 16
        if not self.family.is_multicast(destination):
            mac = bytes.fromhex(self.r1.mac.replace(":", ""))
        elif self.family is IPV4:
            mac = b"\x01\x00\x5e" + bytes((destination[1] & 0x7F,)) + destination[2:]
        else:
            mac = b"\x33\x33" + destination[12:]
        head = mac + bytes.fromhex(self.x.mac.replace(":", ""))
        if self.family is IPV4:
            ip = struct.pack("!BBHHHBBH", 0x45, 0xC0, 20 + len(data), 0, 0, ttl, protocol, 0) + source + destination
            return head + b"\x08\x00" + ip[:10] + internet_checksum(ip).to_bytes(2, "big") + ip[12:] + data
        ip = struct.pack("!IHBB", 0x60000000, len(data), protocol, ttl) + source + destination
        return head + b"\x86\xdd" + ip + data

    def pim(self, message: pim.Message, destination: Address | None = None, source: Address | None = None) -> bytes:
        to, of = destination or self.family.all_pim_routers, source or self.me
        return self.frame(to, 103, pim.encode(self.family, of, to, message), of)

    def hello(self, number: int) -> bytes:
        return self.pim(pim.Hello(holdtime=105, lan_prune_delay=None, dr_priority=1, generation_id=number))

    def join_prune(self, number: int) -> bytes:
        group = self.group(number % 1000)
        joins = ((self.source(number), SG), (self.rp, STAR_G))
        return self.pim(JoinPrune(self.us, 210, (GroupSet(group, joins, ()),)))

    def register(self, number: int) -> bytes:
        dummy = pim.dummy_header(self.family, self.source(number), self.group(number % 1000))
        stranger = parse_address(self.x.address(4 if self.family is IPV4 else 6))
        return self.pim(pim.Register(False, True, dummy), self.rp, stranger)

    def bootstrap(self, number: int) -> bytes:
        bsr = self.source(number)
        ranges = (RpRange(self.family.host(self.group(number)), False, False, 1, (RpEntry(bsr, 150, 1),)),)
        return self.pim(Bootstrap(number & 0xFFFF, self.family.bits - 2, number & 255, bsr, False, ranges))

    def report(self, number: int) -> bytes:
        """IGMPv3 or MLDv2: EXCLUDE{} of a group."""
        record = struct.pack("!BBH", 4, 0, 0) + self.group(number)
        if self.family is IPV4:
            data = struct.pack("!BBHHH", 0x22, 0, 0, 0, 1) + record
            data = data[:2] + internet_checksum(data).to_bytes(2, "big") + data[4:]
            return self.frame(self.family.all_reports, 2, data)
        data = struct.pack("!BBHHH", 143, 0, 0, 0, 1) + record
        pseudo = self.me + self.family.all_reports + struct.pack("!II", len(data), 58)
        data = data[:2] + internet_checksum(pseudo + data).to_bytes(2, "big") + data[4:]
        return self.frame(self.family.all_reports, 0, b"\x3a\x00" + ROUTER_ALERT6 + data)

    def data(self, number: int) -> bytes:
        """A packet of a stream of its own, which makes the kernel ask."""
        group, own = self.group(number), parse_address(self.x.address(4 if self.family is IPV4 else 6))
        udp = struct.pack("!HHHH", 5000, 5000, 12, 0) + bytes(4)
        if self.family is IPV6:
            pseudo = own + group + struct.pack("!II", len(udp), 17)
            udp = udp[:6] + internet_checksum(pseudo + udp).to_bytes(2, "big") + udp[8:]
        return self.frame(group, 17, udp, own)


KINDS: dict[str, Callable[[Maker, int], bytes]] = {
    "hello": Maker.hello,
    "join_prune": Maker.join_prune,
    "register": Maker.register,
    "bootstrap": Maker.bootstrap,
    "report": Maker.report,
    "data": Maker.data,
}


def memory(daemon: Pimpyd) -> int:
    """Resident bytes of all its processes."""
    pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in daemon.pids())
    return sum(pages) * os.sysconf("SC_PAGESIZE")


def arrivals(daemon: Pimpyd) -> int:
    """PIM, IGMP, MLD messages and upcalls that the daemon has looked at."""
    return sum(int(row["count"]) for row in daemon.show("counters") if row["direction"] == "rx")


@pytest.mark.timeout(300 + 24 * SECONDS)
@pytest.mark.usefixtures("pimpyd", "captures")
def test_Y3_floods_leave_neighbours_timers_and_memory_alone(lab: Lab) -> None:
    x, r1, r2 = lab.host("x"), lab.router("r1"), lab.router("r2")
    for left, right in pairwise((x, r1, r2)):
        lab.link(left, right)
    lab.start()
    rps = "".join(f"rp-address {r1.port('x').address(family)}\n" for family in (4, 6))
    one, two = Pimpyd(r1, TEXT + rps).start(), Pimpyd(r2, TEXT + rps).start()
    wait_neighbors([one, two])
    capture = r1.port("r2").link.capture()
    before, looked = memory(one), arrivals(one)
    for kind, make in KINDS.items():
        senders = []
        for family in (IPV4, IPV6):
            maker = Maker(family, x.port("r1"), r1.port("x"))
            path = x.folder / f"{kind}-{family.name}"
            path.write_text("".join(f"{make(maker, number).hex()}\n" for number in range(DISTINCT)))
            words = (sys.executable, "-I", "-S", "-c", SEND, "r1", str(path), str(RATE), str(SECONDS))
            senders.append(x.start(f"flood-{kind}-{family.name}", *words))
        for sender in senders:
            sender.wait(SECONDS + 20)
        rates = [float(sender.output().split()[-1]) for sender in senders]
        for daemon, neighbor in ((one, r2.port("r1")), (two, r1.port("r2"))):
            for version in (4, 6):
                rows = [
                    row for row in daemon.show("neighbors", version) if row["address"] == neighbor.pim_address(version)
                ]
                assert rows and rows[0]["up_time"] > SECONDS, f"{kind}: {daemon.node} lost {neighbor}"
        seen = arrivals(one)
        print(f"{kind}: {rates[0]:.0f} and {rates[1]:.0f}/s sent, {seen - looked} looked at, {memory(one) >> 20} MiB")
        assert seen > looked, "they arrive"
        looked = seen
    time.sleep(1)
    for version in (4, 6):
        times = [when for when, *_ in hellos(capture, version, r1)]
        late = max(after - first for first, after in pairwise(times)) - 1
        print(f"IPv{version}: the latest of {len(times)} Hellos came {late:.3f} s late")
        assert late < 1, "timers are in time"
    assert memory(one) - before < GROWTH
