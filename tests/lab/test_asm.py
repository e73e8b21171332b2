"""Any-source multicast: a source nobody named reaches its receivers by Register, shared tree and its own tree."""

from __future__ import annotations

import pytest

from .capture import assert_clean
from .kernel import forwards
from .pimpyd import QUICK, Pimpyd, wait_neighbors
from .shell import wait_until
from .topology import Lab, Node
from .traffic import Receiver, Sender

FAMILIES = pytest.mark.parametrize("family", [4, 6])
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


@FAMILIES
@pytest.mark.parametrize("rp", [0, 1, 2], ids=["rp_first_hop", "rp_between", "rp_last_hop"])
def test_receiver_first(lab: Lab, family: int, rp: int) -> None:
    src, routers, h = row_of_three(lab)
    lab.capture_all()
    daemons = start(lab, routers, rp)
    group = GROUPS[family]
    receiver = Receiver(h.port("r3"), [(None, group)])
    wait_until(lambda: ("*", group) in daemons[rp].joined(family), 10, "the shared tree stands")
    sender = Sender(src.port("r1"), [group], rate=500, count=1500)
    sender.wait_done()
    wait_until(lambda: receiver.stream(sender.source, group).received >= 1500 - AT_ONCE, 10, "the stream arrives")
    stream = receiver.stream(sender.source, group)
    assert stream.duplicates <= AT_ONCE
    assert forwards(routers[2], sender.source, group) == {"h"}
    assert_clean(lab, *routers)


@FAMILIES
def test_source_first(lab: Lab, family: int) -> None:
    src, routers, h = row_of_three(lab)
    daemons = start(lab, routers, 1)
    group = GROUPS[family]
    sender = Sender(src.port("r1"), [group], rate=500)
    wait_until(lambda: daemons[1].entry(sender.source, group), 10, "the RP has heard of the source")
    receiver = Receiver(h.port("r3"), [(None, group)])
    receiver.wait_for(500)
    receiver.reset()
    receiver.wait_for(1000)
    stream = receiver.stream(sender.source, group)
    assert (stream.lost, stream.duplicates) == (0, 0)
    receiver.leave()
    wait_until(lambda: not forwards(routers[2], sender.source, group), 40, "the stream stops at the last hop")
    sender.stop()
