"""Any-source multicast: a source nobody named reaches its receivers by Register, shared tree and its own tree.

src - r1 - r2 - r3 - h      each router is the RP of a range of groups
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from itertools import pairwise

import pytest

from .kernel import forwards
from .pimpyd import QUICK
from .scenes import Net
from .shell import wait_until
from .topology import Lab
from .traffic import Receiver, Sender

RANGES = {4: "239.{}.0.0/16", 6: "ff0e:{}::/32"}
GROUPS = {4: "239.{}.1.{}", 6: "ff0e:{}::{}"}
"""By the number of the RP's range and one of their own."""
AT_ONCE = 40
"""Packets that may pass before the path stands: the kernel holds the first four of an unresolved stream itself."""


class Scene:
    """The row, with pimpyd at each router."""

    def __init__(self, lab: Lab) -> None:
        self.src, self.h = lab.host("src"), lab.host("h")
        self.routers = [lab.router(f"r{number}") for number in (1, 2, 3)]
        for left, right in pairwise((self.src, *self.routers, self.h)):
            lab.link(left, right)
        ports = [router.port(towards) for router, towards in zip(self.routers, ("r2", "r1", "r2"), strict=True)]
        lines = [
            f"rp-address {port.address(family)} {RANGES[family].format(rp)}\n"
            for rp, port in enumerate(ports, 1)
            for family in (4, 6)
        ]
        self.net = Net(lab, dict.fromkeys(self.routers, QUICK + "".join(lines)))

        self.numbers = itertools.count(1)

    def new_groups(self, rp: int) -> dict[int, str]:
        """One of each family of an RP's range."""
        number = next(self.numbers)
        return {family: GROUPS[family].format(rp, number) for family in (4, 6)}

    def joined(self, rp: int, family: int) -> set[tuple[str, str]]:
        """What the RP of a range has joined."""
        return self.net.daemons[self.routers[rp - 1]].joined(family)

    def send(self, group: str, count: int | None = None) -> Sender:
        return Sender(self.src.port("r1"), [group], rate=500, count=count)

    def receive(self, group: str) -> Receiver:
        return Receiver(self.h.port("r3"), [(None, group)])


@pytest.fixture(scope="module")
def scene(standing_lab: Lab) -> Iterator[Scene]:
    one = Scene(standing_lab)
    yield one
    one.net.assert_clean()


@pytest.mark.parametrize("rp", [1, 2, 3], ids=["rp_first_hop", "rp_between", "rp_last_hop"])
def test_receiver_first(scene: Scene, rp: int) -> None:
    groups = scene.new_groups(rp)
    receivers = [scene.receive(group) for group in groups.values()]
    for family, group in groups.items():
        wait_until(lambda f=family, g=group: ("*", g) in scene.joined(rp, f), 10, "the shared tree stands")  # type: ignore[misc]
    senders = [scene.send(group, count=1500) for group in groups.values()]
    for sender, receiver in zip(senders, receivers, strict=True):
        sender.wait_done()
        wait_until(lambda r=receiver: r.received() >= 1500 - AT_ONCE, 10, "the stream arrives")  # type: ignore[misc]
        (group,) = sender.groups
        stream = receiver.stream(sender.source, group)
        assert stream.duplicates <= AT_ONCE
        assert forwards(scene.routers[2], sender.source, group) == {"h"}
        receiver.stop()


def test_source_first(scene: Scene) -> None:
    groups = list(scene.new_groups(2).values())
    senders = [scene.send(group) for group in groups]
    rp = scene.net.daemons[scene.routers[1]]
    receivers = []
    for sender, group in zip(senders, groups, strict=True):
        rp.wait_for(lambda one, s=sender, g=group: one.entry(s.source, g), 10, "the RP has heard of the source")  # type: ignore[misc]
        receivers.append(scene.receive(group))
    for receiver in receivers:
        receiver.wait_for(500)
        receiver.reset()
    for receiver in receivers:
        receiver.wait_for(1000)
        stream = receiver.stream()
        assert (stream.lost, stream.duplicates) == (0, 0), stream
        receiver.leave()
    last = scene.routers[2]
    for sender, group in zip(senders, groups, strict=True):
        wait_until(lambda s=sender, g=group: not forwards(last, s.source, g), 40, "it stops at the last hop")  # type: ignore[misc]
        sender.stop()
