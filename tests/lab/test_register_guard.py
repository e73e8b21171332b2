"""Y5, TH39, TH40: Registers that an RP does not want, and what the kernel makes of them with and without a guard.

src - r1 - r2 - h, r2 being the RP and taking Registers from r1 alone; x, a host beside r2, sends forged ones.
"""

from __future__ import annotations

import struct
import sys
import time

import pytest

from pimpy.wire import pim
from pimpy.wire.checksum import internet_checksum
from pimpy.wire.family import IPV4, IPV6, parse_address

from .paths import PIMPYD
from .pimpyd import QUICK, Pimpyd, wait_neighbors
from .shell import wait_until
from .tools.mcast import MAGIC, PACKET
from .topology import Lab
from .traffic import PORT, Receiver, Sender

GROUPS = {4: "239.1.1.1", 6: "ff0e::1234"}
FORGED = 1_000_000
"""Sequence numbers from here on are of forged packets."""
SEND = """
import socket, sys, time
family, to, *messages = sys.argv[1:]
with socket.socket(int(family), socket.SOCK_RAW, 103) as raw:
    for message in messages:
        raw.sendto(bytes.fromhex(message), (to, 0))
        time.sleep(0.005)
"""


def packet(source: str, group: str, sequence: int) -> bytes:
    """A packet of a lab's stream, IP header included."""
    s, g = parse_address(source), parse_address(group)
    body = PACKET.pack(MAGIC, sequence, time.time())
    udp = struct.pack(">HHHH", PORT, PORT, 8 + len(body), 0) + body
    if len(s) == 4:
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 16, 17, 0) + s + g
        return head[:10] + internet_checksum(head).to_bytes(2, "big") + head[12:] + udp
    pseudo = s + g + struct.pack(">II", len(udp), 17)
    udp = udp[:6] + internet_checksum(pseudo + udp).to_bytes(2, "big") + udp[8:]
    return struct.pack(">IHBB", 0x60000000, len(udp), 17, 16) + s + g + udp


class Scene:
    """The routers, and who is the RP of both families. `guard` is `none`, `printed` or `kept`."""

    def __init__(self, lab: Lab, guard: str) -> None:
        self.src, self.h, self.x = lab.host("src"), lab.host("h"), lab.host("x")
        self.r1, self.r2 = lab.router("r1"), lab.router("r2")
        for left, right in ((self.src, self.r1), (self.r1, self.r2), (self.r2, self.h), (self.x, self.r2)):
            lab.link(left, right)
        lab.start()
        rp = self.r2.port("r1")
        common = f"{QUICK}rp-address {rp.ipv4}\nrp-address {rp.ipv6}\nspt-threshold infinity\n"
        allowed = " ".join(port.address(f) for port in self.r1.ports.values() for f in (4, 6))
        lines = f"register-accept-from {allowed}\n" + ("register-guard\n" if guard == "kept" else "")
        self.d1, self.d2 = Pimpyd(self.r1, common).launch(), Pimpyd(self.r2, common + lines).launch()
        for daemon in (self.d1, self.d2):
            daemon.wait_ready()
        wait_neighbors([self.d1, self.d2])
        if guard == "printed":
            rules = self.r2.folder / "guard.nft"
            rules.write_text(self.r2.run(str(PIMPYD), "--print-guard", "-f", str(self.d2.config)))
            self.r2.run("nft", "-f", str(rules))
        self.streams = [Stream(self, family) for family in (4, 6)]


class Stream:
    """A stream of one family that is registered, and its forger."""

    def __init__(self, scene: Scene, family: int) -> None:
        self.scene, self.family, self.group = scene, family, GROUPS[family]
        self.rp, self.stranger = scene.r2.port("r1").address(family), scene.x.port("r2").address(family)
        self.source = scene.src.port("r1").address(family)
        self.receiver = Receiver(scene.h.port("r2"), [(None, self.group)])
        scene.d2.wait_for(lambda one: one.entry("*", self.group), what=f"the shared tree of {self.group}")
        self.sender = Sender(scene.src.port("r1"), [self.group], rate=100)
        self.receiver.wait_for(50)

    def forge(self, source: str, *, null: bool = False, count: int = 20) -> None:
        """x sends Registers of a source to the RP."""
        family = IPV4 if self.family == 4 else IPV6
        own, to = parse_address(self.stranger), parse_address(self.rp)
        s, g = parse_address(source), parse_address(self.group)
        messages = []
        for number in range(count):
            inner = pim.dummy_header(family, s, g) if null else packet(source, self.group, FORGED + number)
            messages.append(pim.encode(family, own, to, pim.Register(False, null, inner)).hex())
        self.scene.x.run(sys.executable, "-I", "-S", "-c", SEND, str(family.number), self.rp, *messages)

    def refused(self) -> int:
        """Registers that the RP's daemon refused."""
        found = self.scene.d2.show("counters", self.family)
        return sum(int(row["count"]) for row in found if row["reason"] == "reg_filtered")

    def wait_refused(self, count: int, what: str) -> None:
        wait_until(lambda: self.refused() >= count, 10, f"IPv{self.family}: {what}")

    def forged_arrived(self) -> bool:
        """Whether the receiver got a forged packet of the stream: then all numbers before it seem to be lost."""
        return self.receiver.stream(self.source, self.group).lost > FORGED // 2

    def goes_on(self) -> None:
        """The stream itself still arrives."""
        self.receiver.wait_for(50)


def test_without_a_guard_a_forged_source_makes_nothing_but_a_running_one_can_be_forged(lab: Lab) -> None:
    scene = Scene(lab, "none")
    for stream in scene.streams:
        stream.forge(stream.stranger)
        stream.wait_refused(20, "each is refused")
        assert scene.d2.entry(stream.stranger, stream.group) is None
        assert (stream.stranger, stream.group) not in stream.receiver.streams()
        assert not stream.forged_arrived(), stream.group
        stream.forge(stream.source)
        what = f"the kernel takes forged packets of {stream.group}, which runs: what the guard is for"
        wait_until(stream.forged_arrived, 10, what)
        stream.goes_on()


@pytest.mark.parametrize("guard", ["printed", "kept"])
def test_with_a_guard_forged_packets_go_nowhere(lab: Lab, guard: str) -> None:
    scene = Scene(lab, guard)
    for stream in scene.streams:
        stream.forge(stream.source)
        stream.forge(stream.stranger)
        stream.goes_on()
        assert not stream.forged_arrived(), stream.group
        assert stream.refused() == 0, f"the daemon does not even see them, of {stream.group}"
        stream.forge(stream.source, null=True, count=3)
        stream.wait_refused(3, "Null-Registers carry no data: they are refused by the daemon")
        stream.goes_on()
    if guard == "kept":
        assert_kept(scene)


def assert_kept(scene: Scene) -> None:
    """That the daemon's rules come and go with their line, and with the daemon."""
    text = scene.d2.config.read_text()
    scene.d2.config.write_text(text.replace("register-guard\n", ""))
    scene.d2.ask("reload")
    assert "pimpyd" not in scene.r2.run("nft", "list", "tables")
    scene.d2.config.write_text(text)
    scene.d2.ask("reload")
    assert "table inet pimpyd" in scene.r2.run("nft", "list", "tables")
    scene.d2.stop()
    assert "pimpyd" not in scene.r2.run("nft", "list", "tables"), "and nothing is left behind"
