"""Any-source multicast: a source nobody named reaches its receivers by Register, shared tree and its own tree."""

from __future__ import annotations

import pytest

from .capture import assert_clean
from .kernel import forwards
from .pimpyd import QUICK, Pimpyd, wait_neighbors
from .shell import wait_until
from .topology import Lab, Node
from .traffic import Receiver, Sender

GROUPS = {4: "239.1.1.1", 6: "ff0e::1234"}
AT_ONCE = 40
"""Packets that may pass before the path stands: the kernel holds the first four of an unresolved stream itself."""


def row_of_three(lab: Lab) -> tuple[Node, list[Node], Node]:
    """src - r1 - r2 - r3 - h."""
    src, h = lab.host("src"), lab.host("h")
    routers = [lab.router(f"r{number}") for number in (1, 2, 3)]
    for left, right in zip([src, *routers], [*routers, h], strict=True):
        lab.link(left, right)
    lab.start()
    return src, routers, h


def start(lab: Lab, routers: list[Node], rp: int) -> list[Pimpyd]:
    """pimpyd on each router; `routers[rp]` is the RP of all groups."""
    towards = routers[rp - 1] if rp else routers[1]
    port = routers[rp].port(towards.name)
    text = QUICK + f"rp-address {port.ipv4}\nrp-address {port.ipv6}\n"
    daemons = [Pimpyd(router, text).start() for router in routers]
    wait_neighbors(daemons)
    return daemons


@pytest.mark.parametrize("rp", [0, 1, 2], ids=["rp_first_hop", "rp_between", "rp_last_hop"])
def test_receiver_first(lab: Lab, rp: int) -> None:
    src, routers, h = row_of_three(lab)
    lab.capture_all()
    daemons = start(lab, routers, rp)
    for family, group in GROUPS.items():
        receiver = Receiver(h.port("r3"), [(None, group)])
        joined = ("*", group)
        daemons[rp].wait_for(lambda one, f=family, g=joined: g in one.joined(f), 10, "the shared tree stands")  # type: ignore[misc]
        sender = Sender(src.port("r1"), [group], rate=500, count=1500)
        sender.wait_done()
        wait_until(lambda r=receiver: r.received() >= 1500 - AT_ONCE, 10, "the stream arrives")  # type: ignore[misc]
        stream = receiver.stream(sender.source, group)
        assert stream.duplicates <= AT_ONCE
        assert forwards(routers[2], sender.source, group) == {"h"}
    assert_clean(lab, *routers)


def test_source_first(lab: Lab) -> None:
    src, routers, h = row_of_three(lab)
    daemons = start(lab, routers, 1)
    senders = [Sender(src.port("r1"), [group], rate=500) for group in GROUPS.values()]
    receivers = []
    for sender, group in zip(senders, GROUPS.values(), strict=True):
        daemons[1].wait_for(lambda one, s=sender, g=group: one.entry(s.source, g), 10, "the RP has heard of the source")  # type: ignore[misc]
        receivers.append(Receiver(h.port("r3"), [(None, group)]))
    for receiver in receivers:
        receiver.wait_for(500)
        receiver.reset()
    for receiver in receivers:
        receiver.wait_for(1000)
        stream = receiver.stream()
        assert (stream.lost, stream.duplicates) == (0, 0), stream
        receiver.leave()
    for sender, group in zip(senders, GROUPS.values(), strict=True):
        wait_until(lambda s=sender, g=group: not forwards(routers[2], s.source, g), 40, "it stops at the last hop")  # type: ignore[misc]
        sender.stop()
