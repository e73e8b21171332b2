"""`spt-threshold`: when a last hop, or an RP, takes a source's own tree. Both families stream at once."""

from __future__ import annotations

import itertools
import time

import pytest

from .helpers import in_a_row, reconfigure
from .kernel import forwards
from .pimpyd import QUICK, Pimpyd, wait_neighbors
from .shell import wait_until
from .topology import Lab
from .traffic import Receiver, Sender

SLOW, FAST = 4, 50
"""Packets a second: below and above the thresholds here, which speak of 10 packets or 64 kbit/s."""
INTERVAL = 5
TWO_INTERVALS = 2 * INTERVAL + 2
SIZE = 500
"""Bytes of a packet: 4 a second are 16 kbit/s, 50 a second 200 kbit/s."""
MEASURED = ["packets 50 interval 5", "rate 64 interval 5"]


class Row:
    """src - r1 - r2 - r3 - h, r2 being the RP. One router has the threshold under test, the others never switch."""

    def __init__(self, lab: Lab) -> None:
        self.src, *self.routers, self.h = in_a_row(lab, "src", "r1", "r2", "r3", "h")
        self.daemons = [Pimpyd(router, self.text("infinity")).start() for router in self.routers]
        wait_neighbors(self.daemons)
        self.judge = self.daemons[0]
        self.numbers = itertools.count(1)

    def test(self, place: int) -> None:
        """From now on this router is under test; all begin with infinity."""
        for daemon in self.daemons:
            reconfigure(daemon, self.text("infinity"))
        self.judge = self.daemons[place]

    def text(self, words: str) -> str:
        port = self.routers[1].port("r1")
        return f"{QUICK}rp-address {port.ipv4}\nrp-address {port.ipv6}\nspt-threshold {words}\n"

    def configure(self, words: str) -> None:
        """`words` are the threshold from now on, where it is under test."""
        reconfigure(self.judge, self.text(words))


class Streams:
    """A stream of a new group in each family, its source and its receiver."""

    def __init__(self, row: Row) -> None:
        self.row = row
        number = next(row.numbers)
        self.groups = {4: f"239.1.1.{number}", 6: f"ff0e::{number:x}"}
        self.receivers = [Receiver(row.h.port("r3"), [(None, group)]) for group in self.groups.values()]
        for family, group in self.groups.items():
            row.daemons[1].wait_for(lambda one, f=family, g=group: ("*", g) in one.joined(f))  # type: ignore[misc]
        self.senders: list[Sender] = []

    def send(self, rate: int) -> None:
        """A source in each family, so many packets a second, instead of what it sent before."""
        self.stop()
        port = self.row.src.port("r1")
        self.senders = [Sender(port, [group], rate=rate, size=SIZE) for group in self.groups.values()]

    def stop(self) -> None:
        for sender in self.senders:
            sender.stop()
        self.senders = []

    def end(self) -> None:
        self.stop()
        for receiver in self.receivers:
            receiver.stop()

    def switched(self) -> set[int]:
        """The families whose source the router under test has joined."""
        port = self.row.src.port("r1")
        return {f for f, group in self.groups.items() if (port.address(f), group) in self.row.judge.joined(f)}

    def wait_arrive(self) -> None:
        """The kernel of the last hop forwards both streams."""
        last, port = self.row.routers[2], self.row.src.port("r1")
        for family, group in self.groups.items():
            wait_until(lambda f=family, g=group: "h" in forwards(last, port.address(f), g), 10)  # type: ignore[misc]


def infinity_is_never(row: Row) -> None:
    streams = Streams(row)
    streams.send(FAST)
    streams.wait_arrive()
    for receiver in streams.receivers:
        receiver.wait_for(5 * FAST)
    assert streams.switched() == set()
    streams.end()


def zero_is_with_the_first_packet(row: Row) -> None:
    row.configure("packets 0 interval 100")
    streams = Streams(row)
    streams.send(SLOW)
    wait_until(lambda: streams.switched() == {4, 6}, 10)
    streams.end()


def a_threshold_is_reached_by_fast_streams_alone(row: Row, words: str) -> None:
    row.configure(words)
    streams = Streams(row)
    streams.send(SLOW)
    streams.wait_arrive()
    end = time.monotonic() + TWO_INTERVALS
    while time.monotonic() < end:
        assert streams.switched() == set()
        time.sleep(0.5)
    streams.send(FAST)
    wait_until(lambda: streams.switched() == {4, 6}, 10 * INTERVAL)
    for receiver in streams.receivers:
        receiver.reset()
        receiver.wait_for(FAST)
    streams.end()


@pytest.fixture(scope="module")
def row(standing_lab: Lab) -> Row:
    return Row(standing_lab)


@pytest.mark.parametrize("place", [2, 1], ids=["last_hop", "rp"])
def test_infinity_zero_packets_and_rate(row: Row, place: int) -> None:
    """One after the other, each by a reload and with streams of its own."""
    row.test(place)
    infinity_is_never(row)
    zero_is_with_the_first_packet(row)
    for words in MEASURED:
        a_threshold_is_reached_by_fast_streams_alone(row, words)
