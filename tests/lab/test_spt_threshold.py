"""`spt-threshold`: when a last hop, or an RP, takes a source's own tree. Both families stream at once."""

from __future__ import annotations

import time

import pytest

from .kernel import forwards
from .pimpyd import QUICK, Pimpyd, wait_neighbors
from .shell import wait_until
from .test_asm import GROUPS, row_of_three
from .topology import Lab, Node
from .traffic import Receiver, Sender

SLOW, FAST = 4, 200
"""Packets a second: below and above the thresholds here, which speak of 10 packets or 64 kbit/s."""
INTERVAL = 5
TWO_INTERVALS = 2 * INTERVAL + 2
SIZE = 200
"""Bytes of a packet: 4 a second are 6 kbit/s, 200 a second 320 kbit/s."""
MEASURED = ["packets 50 interval 5", "rate 64 interval 5"]


class Streams:
    """src - r1 - r2 - r3 - h, r2 being the RP; a source and a receiver in each family. `words` hold on one router."""

    def __init__(self, lab: Lab, place: int, words: str) -> None:
        self.src, self.routers, self.h = row_of_three(lab)
        self.daemons = [
            Pimpyd(router, self._text(f"spt-threshold {words}" if number == place else "spt-threshold infinity"))
            for number, router in enumerate(self.routers)
        ]
        for daemon in self.daemons:
            daemon.start()
        wait_neighbors(self.daemons)
        self.judge = self.daemons[place]
        self.senders: list[Sender] = []

    def _text(self, line: str) -> str:
        port = self.routers[1].port("r1")
        return f"{QUICK}rp-address {port.ipv4}\nrp-address {port.ipv6}\n{line}\n"

    def receive(self) -> None:
        """A receiver in each family."""
        self.receivers = {f: Receiver(self.h.port("r3"), [(None, group)]) for f, group in GROUPS.items()}
        for family, group in GROUPS.items():
            self.daemons[1].wait_for(lambda one, f=family, g=group: ("*", g) in one.joined(f))  # type: ignore[misc]

    def send(self, rate: int) -> None:
        """A source in each family, so many packets a second, instead of what it sent before."""
        for sender in self.senders:
            sender.stop()
        port = self.src.port("r1")
        self.senders = [Sender(port, [group], rate=rate, size=SIZE) for group in GROUPS.values()]

    def switched(self) -> set[int]:
        """The families whose source the router under test has joined."""
        port = self.src.port("r1")
        return {f for f, group in GROUPS.items() if (port.address(f), group) in self.judge.joined(f)}

    def arrives(self, router: Node, where: str) -> None:
        """The kernel forwards both streams to `where`."""
        port = self.src.port("r1")
        for family, group in GROUPS.items():
            wait_until(lambda f=family, g=group: where in forwards(router, port.address(f), g), 10)  # type: ignore[misc]


@pytest.mark.parametrize("place", [2, 1], ids=["last_hop", "rp"])
def test_infinity_is_never(lab: Lab, place: int) -> None:
    streams = Streams(lab, place, "infinity")
    streams.receive()
    streams.send(FAST)
    streams.arrives(streams.routers[2], "h")
    for receiver in streams.receivers.values():
        receiver.wait_for(10 * FAST)
    assert streams.switched() == set()


@pytest.mark.parametrize("place", [2, 1], ids=["last_hop", "rp"])
def test_zero_is_with_the_first_packet(lab: Lab, place: int) -> None:
    streams = Streams(lab, place, "packets 0 interval 100")
    streams.receive()
    streams.send(SLOW)
    wait_until(lambda: streams.switched() == {4, 6}, 10)


@pytest.mark.parametrize("words", MEASURED, ids=["packets", "rate"])
@pytest.mark.parametrize("place", [2, 1], ids=["last_hop", "rp"])
def test_a_threshold_is_reached_by_fast_streams_alone(lab: Lab, place: int, words: str) -> None:
    streams = Streams(lab, place, words)
    streams.receive()
    streams.send(SLOW)
    streams.arrives(streams.routers[2], "h")
    end = time.monotonic() + TWO_INTERVALS
    while time.monotonic() < end:
        assert streams.switched() == set()
        time.sleep(0.5)
    streams.send(FAST)
    wait_until(lambda: streams.switched() == {4, 6}, 10 * INTERVAL)
    for receiver in streams.receivers.values():
        receiver.reset()
        receiver.wait_for(FAST)
