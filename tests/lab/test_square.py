"""A square of routers: the way to the source changes, or breaks, while the stream flows.

            r2
           /  \\
    src - r1   r4 - h          the way leads over r2, as long as nothing else is said
           \\  /
            r3
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest

from .pimpyd import Pimpyd
from .scenes import AT_ONCE, FAMILIES, Flow, Net, assert_ends, hellos, join_prunes
from .shell import wait_until
from .topology import Lab
from .traffic import Receiver

pytestmark = FAMILIES

RATE = 1000
T_OVERRIDE = 2.5
"""t_override_default (RFC 7761 4.11): within it a router joins again at a neighbour that restarted."""
FLOATING = 2000
"""The metric of a route that is used when the better one is gone."""


class Square:
    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.src, self.host = lab.host("src"), lab.host("h")
        self.r1, self.r2, self.r3, self.r4 = (lab.router(f"r{number}") for number in (1, 2, 3, 4))
        self.first = lab.link(self.src, self.r1)
        for one, other in ((self.r1, self.r2), (self.r1, self.r3), (self.r3, self.r4), (self.r4, self.host)):
            lab.link(one, other)
        self.west_link = lab.link(self.r2, self.r4)
        self.net = Net(lab)
        self.west = {self.r1: ("src", {"r2"}), self.r2: ("r1", {"r4"}), self.r4: ("r2", {"h"})}
        self.east = {self.r1: ("src", {"r3"}), self.r3: ("r1", {"r4"}), self.r4: ("r3", {"h"})}
        self.groups = itertools.count(1)

    def start_stream(self, flow: Flow) -> Receiver:
        """The stream flows over r2."""
        receiver = flow.join(self.host)
        flow.wait_tree(self.west)
        flow.send(RATE)
        receiver.wait_for(RATE // 10)
        return receiver

    def lay_floating(self, family: int) -> None:
        """r4's other way to the source, taken as soon as the link to r2 has no carrier or is down."""
        self.r4.sysctl(ipv4__conf__all__ignore_routes_with_linkdown=1, ipv6__conf__all__ignore_routes_with_linkdown=1)
        self.r4.sysctl(ipv4__conf__r2__ignore_routes_with_linkdown=1, ipv6__conf__r2__ignore_routes_with_linkdown=1)
        self.r4.route(family, self.first.prefix(family), self.r3.port("r4"), metric=FLOATING)

    def repair(self) -> None:
        """The link between r2 and r4 is up, and all routes are as at the beginning; all routers run."""
        for node, other in ((self.r2, "r4"), (self.r4, "r2")):
            node.port(other).set_up(True)
        self.lab.reroute()
        self.net.mend()


@pytest.fixture(scope="module")
def square(standing_lab: Lab) -> Iterator[Square]:
    scene = Square(standing_lab)
    yield scene
    scene.net.assert_clean()


@pytest.fixture
def flow(square: Square, family: int) -> Iterator[Flow]:
    square.repair()
    one = Flow(square.net, family, square.src, next(square.groups))
    yield one
    one.stop()


def outage_of(receiver: Receiver, what: str) -> float:
    """Seconds without the stream, by the sender's clock; printed for whoever wants to know."""
    receiver.wait_for(RATE // 2)
    stream = receiver.stream()
    family = 6 if ":" in stream.group else 4
    print(
        f"{what}, IPv{family}: {stream.outage * 1000:.0f} ms without the stream, {stream.lost} packets of 1,000/s lost"
    )
    assert stream.duplicates == 0, stream
    return stream.outage


def test_the_way_to_the_source_moves(square: Square, flow: Flow) -> None:
    receiver = square.start_stream(flow)
    prefix, family = square.first.prefix(flow.family), flow.family
    ways = [(square.r3, square.east, square.r2), (square.r2, square.west, square.r3)]
    for new, tree, old in ways:
        receiver.reset()
        old_links = flow.watch(square.r4, old.name), flow.watch(old, "r1")
        moved = time.time()
        square.r4.route(family, prefix, new.port("r4"))
        assert outage_of(receiver, f"the way moves to {new}") < AT_ONCE
        for link in old_links:
            assert_ends(link, moved, AT_ONCE)
        flow.wait_tree(tree)
        assert flow.key not in square.net.daemons[old].joined(family)


@pytest.mark.parametrize("failure", ["carrier", "admin"])
def test_the_link_to_the_upstream_router_fails(square: Square, flow: Flow, failure: str) -> None:
    """No routing protocol says anything: the kernel drops the route over that link (IPv4: without a notice)."""
    square.lay_floating(flow.family)
    receiver = square.start_stream(flow)
    receiver.reset()
    port = square.r4.port("r2")
    if failure == "carrier":
        port.set_carrier(False)
    else:
        port.set_up(False)
    assert outage_of(receiver, f"the link fails ({failure})") < AT_ONCE
    flow.wait_tree(square.east)
    assert flow.key not in square.net.daemons[square.r2].joined(flow.family)
    receiver.reset()
    square.repair()
    assert outage_of(receiver, "and is repaired") < AT_ONCE
    flow.wait_tree(square.west)


def test_the_upstream_router_is_killed_and_restarts(square: Square, flow: Flow) -> None:
    """Its GenID is another one, so r4 greets it and joins again within the override interval."""
    receiver, family = square.start_stream(flow), flow.family
    capture, daemon = square.west_link.capture(), square.net.daemons[square.r2]
    old = genid(daemon, family)
    daemon.kill()
    receiver.wait_silent(0.2)
    daemon.start()
    wait_until(lambda: genid(daemon, family) not in (None, old), 10, "it has another GenID")
    receiver.wait_for(RATE // 2, 10 * T_OVERRIDE)
    flow.wait_tree(square.west)
    new = genid(daemon, family)
    restarted = next(time for time, _, number in hellos(capture, family, square.r2) if number == new)
    joined = next(
        one.time
        for one in join_prunes(capture, family)
        if one.sender is square.r4 and one.joins and one.time > restarted
    )
    print(f"IPv{family}: joined again {joined - restarted:.3f} s after the first Hello of the restarted router")
    assert joined - restarted < T_OVERRIDE + AT_ONCE
    greeted = [time for time, _, _ in hellos(capture, family, square.r4) if restarted < time < joined]
    assert greeted, "no Join comes before a Hello that makes its sender known"


def genid(daemon: Pimpyd, family: int) -> int | None:
    """The GenID that it sends towards r4."""
    return next((row["gen_id"] for row in daemon.show("interfaces", family) if row["interface"] == "r4"), None)
