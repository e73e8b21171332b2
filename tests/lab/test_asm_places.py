"""Where the RP is, and what happens when that changes: beside the way, on a loopback, gone, back, another one.

    near, src - r1 - r2 - r3 - h         near and src share r1's LAN
                     |
                     r4                  on a stick: the RP of 239.1/16 and ff0e:1::/32

The RP of 239.2/16 and ff0e:2::/32 is a loopback address of r2. A test plays a stream of each family at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from .helpers import reconfigure
from .scenes import AT_ONCE, Net
from .shell import wait_until
from .topology import Lab, Node
from .traffic import Receiver, Sender

RATE = 500
TEXT = "hello-interval 1\ntriggered-hello-delay 0\nigmp-query-interval 4\n"
LOOPBACK = {4: "10.99.0.1", 6: "fd99::1"}
RANGES = {4: "239.{}.0.0/16", 6: "ff0e:{}::/32"}
STICK, ON_LOOPBACK, LATER = 1, 2, 3
"""The ranges of groups: that of r4, that of the loopback, and one without an RP at first."""


class Places:
    """The network above."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.src, self.near, self.h = (lab.host(name) for name in ("src", "near", "h"))
        self.r1, self.r2, self.r3, self.r4 = (lab.router(f"r{number}") for number in range(1, 5))
        lab.lan("edge", self.src, self.near, self.r1)
        for one, other in ((self.r1, self.r2), (self.r2, self.r3), (self.r3, self.h)):
            lab.link(one, other)
        self.stick = lab.link(self.r2, self.r4)
        self.routers = (self.r4, self.r2, self.r3, self.r1)
        """In the order in which they are configured anew: who does not know yet that it is an RP stops Registers."""
        self.net = Net(lab, dict.fromkeys(self.routers, self.text()))
        for prefix in self.loopbacks().values():
            self.r2.ip("address", "add", prefix, "dev", "lo")
        self.reroute()
        self.groups = itertools.count(1)

    def loopbacks(self) -> dict[int, str]:
        return {family: f"{address}/{32 if family == 4 else 128}" for family, address in LOOPBACK.items()}

    def reroute(self) -> None:
        """Lays all routes as the links are now."""
        self.lab.reroute()
        for family, prefix in self.loopbacks().items():
            for router in (self.r1, self.r3, *([self.r4] if self.stick.up else [])):
                router.route(family, prefix, self.r2.port(router))

    def stick_rp(self, family: int) -> str:
        return self.r4.port("r2").address(family)

    def text(self, *more: str) -> str:
        """The configuration of all routers: the two RPs, and further lines."""
        lines = [
            f"rp-address {rp} {RANGES[family].format(number)}"
            for family in (4, 6)
            for number, rp in ((STICK, self.stick_rp(family)), (ON_LOOPBACK, LOOPBACK[family]))
        ]
        return TEXT + "\n".join([*lines, *more]) + "\n"

    def configure(self, text: str, *nodes: Node) -> None:
        for node in nodes or self.routers:
            daemon = self.net.daemons[node]
            if daemon.config.read_text() != text:
                reconfigure(daemon, text)


class Flow:
    """A stream from src to a new group of a range, and its receiver h."""

    def __init__(self, places: Places, family: int, number: int) -> None:
        self.places, self.family = places, family
        last = next(places.groups)
        self.group = f"239.{number}.0.{last}" if family == 4 else f"ff0e:{number}::{last:x}"
        self.source = places.src.port("edge").address(family)
        self.rp = {STICK: places.r4, ON_LOOPBACK: places.r2}.get(number)
        self.receiver = self.join(places.h)
        self.senders: list[Sender] = []

    def join(self, host: Node) -> Receiver:
        (port,) = host.ports.values()
        return Receiver(port, [(None, self.group)])

    def send(self) -> None:
        """Once the shared tree stands, where there is an RP."""
        if self.rp is not None:
            self.wait_state(self.rp, "*", "upstream_state", "joined")
        self.senders.append(Sender(self.places.src.port("edge"), [self.group], rate=RATE))

    def state(self, node: Node, source: str, field: str) -> object:
        entry = self.places.net.daemons[node].entry(source, self.group)
        return None if entry is None else entry[field]

    def wait_state(self, node: Node, source: str, field: str, value: object) -> None:
        wait_until(lambda: self.state(node, source, field) == value, 20, f"{node}: {field} is {value}")

    def stop(self) -> None:
        self.receiver.stop()
        for sender in self.senders:
            sender.stop()


@pytest.fixture(scope="module")
def places(standing_lab: Lab) -> Iterator[Places]:
    scene = Places(standing_lab)
    yield scene
    scene.net.assert_clean()


@pytest.fixture
def flows(places: Places, request: pytest.FixtureRequest) -> Iterator[list[Flow]]:
    """One of each family for each of the ranges that the test names; ended after it. The configuration is the first one
    again."""
    made = [Flow(places, family, number) for number in request.param for family in (4, 6)]
    yield made
    for flow in made:
        flow.stop()
    places.configure(places.text())


def of_ranges(*numbers: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("flows", [numbers], indirect=True, ids=["both_families"])


def assert_steady(flows: list[Flow]) -> None:
    """From now on all arrive, and once."""
    for flow in flows:
        flow.receiver.reset()
    for flow in flows:
        flow.receiver.wait_for(RATE)
        stream = flow.receiver.stream()
        assert (stream.lost, stream.duplicates) == (0, 0), stream


@of_ranges(STICK, ON_LOOPBACK)
def test_the_rp_is_beside_the_way_or_on_a_loopback(places: Places, flows: list[Flow]) -> None:
    for flow in flows:
        flow.send()
    for flow in flows:
        flow.receiver.wait_for(RATE)
        stream = flow.receiver.stream()
        assert stream.received - stream.duplicates == stream.last_seq + 1, (
            f"all of a new source, the first too: {stream}"
        )
        flow.wait_state(places.r1, flow.source, "register_state", "prune")
    assert_steady(flows)
    for flow in flows:
        for router in (places.r1, places.r3):
            assert flow.state(router, flow.source, "rp_address") == (
                places.stick_rp(flow.family) if flow.rp is places.r4 else LOOPBACK[flow.family]
            )


@of_ranges(STICK)
def test_source_and_receiver_on_one_link(places: Places, flows: list[Flow]) -> None:
    beside = [flow.join(places.near) for flow in flows]
    for flow in flows:
        flow.send()
    for near, flow in zip(beside, flows, strict=True):
        for receiver in (near, flow.receiver):
            receiver.wait_for(RATE)
    assert_steady(flows)
    for near in beside:
        found = near.stream()
        assert (found.lost, found.duplicates, found.ttls) == (0, 0, (16,)), "as it is on the link, and nothing returns"
        near.stop()


@of_ranges(STICK)
def test_the_rp_is_cut_off_and_comes_back(places: Places, flows: list[Flow]) -> None:
    places.configure(places.text("spt-threshold infinity"), places.r3, places.r4)
    for flow in flows:
        flow.send()
    for flow in flows:
        flow.receiver.wait_for(RATE)
    places.stick.set_up(False)
    places.reroute()
    for flow in flows:
        flow.receiver.wait_silent(1)
    places.stick.set_up(True)
    places.reroute()
    for flow in flows:
        flow.receiver.wait_for(RATE, 30)
    assert_steady(flows)


@of_ranges(LATER)
def test_an_rp_is_added_changed_and_removed(places: Places, flows: list[Flow]) -> None:
    def rps(address: Callable[[int], str]) -> str:
        lines = [f"rp-address {address(family)} {RANGES[family].format(LATER)}" for family in (4, 6)]
        return places.text(*lines)

    for flow in flows:
        flow.send()
    for flow in flows:
        flow.receiver.wait_silent(0.5)
        assert flow.receiver.received() == 0, "no RP"
    places.configure(rps(places.stick_rp))
    for flow in flows:
        flow.receiver.wait_for(RATE)
    assert_steady(flows)
    for flow in flows:
        flow.receiver.reset()
    places.configure(rps(LOOPBACK.__getitem__))
    for flow in flows:
        flow.wait_state(places.r3, "*", "rp_address", LOOPBACK[flow.family])
    for flow in flows:
        flow.receiver.wait_for(int(RATE * AT_ONCE))
        stream = flow.receiver.stream()
        assert stream.lost == 0, f"the source's own tree goes on: {stream}"
    places.configure(places.text())
    for flow in flows:
        flow.wait_state(places.r3, "*", "rp_address", None)
    assert_steady(flows)
