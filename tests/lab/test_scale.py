"""2,000 streams joined at once: none is lost, and the Joins are packed.

src - r1 - r2 - r3 - h
"""

from __future__ import annotations

import itertools
import math
import time
from pathlib import Path

from .kernel import mfc
from .pimpyd import Pimpyd
from .scenes import FAMILIES, Net, disagreements, join_prunes
from .shell import wait_until
from .topology import Lab, Link, Node
from .traffic import Sender, Watcher, reports, ssm_group

COUNT = 2000
SAMPLE = 100
MTU = 1500
IN_A_PACKET = {4: 73, 6: 32}
"""Groups with one source each that fit into a Join/Prune of an MTU of 1500."""
WITHIN = 20.0
"""Seconds until all of it stands; about one is expected."""


@FAMILIES
def test_2000_streams_joined_at_once(lab: Lab, family: int) -> None:
    src, host = lab.host("src"), lab.host("h")
    r1, r2, r3 = (lab.router(f"r{number}") for number in (1, 2, 3))
    links = [lab.link(one, other) for one, other in itertools.pairwise([src, r1, r2, r3, host])]
    net = Net(lab)
    source, groups = src.port(r1).address(family), [ssm_group(family, number) for number in range(COUNT)]

    began = reports(host.port(r3), source, groups[0], COUNT, times=1, pause=0.0)
    late = lateness(net, family, began)
    print(f"IPv{family}: {COUNT} entries stand " + ", ".join(f"at {node} after {s:.2f} s" for node, s in late.items()))
    wanted = {(source, group) for group in groups}
    for node, daemon in net.daemons.items():
        assert set(mfc(node, family)) == wanted, f"{node}: all of them, and no others"
        assert daemon.joined(family) == wanted
    assert not disagreements(net.living(), family)

    sample = groups[:: COUNT // SAMPLE]
    watcher = Watcher(host.port(r3), family)
    Sender(src.port(r1), sample, rate=1000, count=2 * SAMPLE).wait_done()
    assert {key: stream.received for key, stream in watcher.streams().items()} == {(source, one): 2 for one in sample}
    assert_packed(net, links[2], r3, family)
    assert_packed(net, links[1], r2, family)
    net.assert_clean()


def lateness(net: Net, family: int, began: float) -> dict[Node, float]:
    """Seconds from `began` until each router's kernel has all entries."""
    late: dict[Node, float] = {}

    def all_stand() -> bool:
        for node, daemon in net.daemons.items():
            if node not in late and entries(daemon, family) >= COUNT:
                late[node] = time.time() - began
        return len(late) == len(net.daemons)

    wait_until(all_stand, WITHIN, f"{COUNT} entries stand everywhere")
    return late


def entries(daemon: Pimpyd, family: int) -> int:
    """How many entries its kernel has; quicker than to read them."""
    name = "ip_mr_cache" if family == 4 else "ip6_mr_cache"
    return Path(f"/proc/{daemon.process.pid}/net/{name}").read_bytes().count(b"\n") - 1


def assert_packed(net: Net, link: Link, sender: Node, family: int) -> None:
    """That the Joins of `sender` are hardly more messages than must be, and none is longer than the MTU."""
    messages = [one for one in join_prunes(net.capture(link), family) if one.sender is sender]
    joins, longest = sum(one.joins for one in messages), max(one.length for one in messages)
    least = math.ceil(COUNT / IN_A_PACKET[family])
    print(
        f"IPv{family}: {sender} said {joins} Joins in {len(messages)} messages, at least {least}; longest {longest} B"
    )
    assert joins == COUNT
    assert longest <= MTU
    assert len(messages) <= 1.5 * least
