"""2,000 streams joined at once: none is lost, and the Joins are packed. 10,000 groups answered for at once.

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
from .waves import SUBNET, Hosts, longest_silence

COUNT = 2000
SAMPLE = 100
MTU = 1500
IN_A_PACKET = {4: 73, 6: 32}
"""Groups with one source each that fit into a Join/Prune of an MTU of 1500."""
WITHIN = 20.0
"""Seconds until all of it stands; about one is expected."""
WAVES = 3
HOLD = 3.5
"""Seconds after which a neighbour gives up a router that says Hello every second."""


def test_2000_streams_joined_at_once(lab: Lab) -> None:
    src, host = lab.host("src"), lab.host("h")
    r1, r2, r3 = (lab.router(f"r{number}") for number in (1, 2, 3))
    links = [lab.link(one, other) for one, other in itertools.pairwise([src, r1, r2, r3, host])]
    net = Net(lab)
    for family in (4, 6):
        join_at_once(net, family)
    for family in (4, 6):
        assert_packed(net, links[2], r3, family)
        assert_packed(net, links[1], r2, family)
    net.assert_clean()


def join_at_once(net: Net, family: int) -> None:
    """All streams of a family: each kernel has all of them and no others, and what is sent of some arrives once."""
    src, host = net.lab.nodes[0].port("r1"), net.lab.nodes[1].port("r3")
    source, groups = src.address(family), [ssm_group(family, number) for number in range(COUNT)]
    began = reports(host, source, groups[0], COUNT, times=1, pause=0.0)
    late = lateness(net, family, began)
    print(f"IPv{family}: {COUNT} entries stand " + ", ".join(f"at {node} after {s:.2f} s" for node, s in late.items()))
    wanted = {(source, group) for group in groups}
    for node, daemon in net.daemons.items():
        assert set(mfc(node, family)) == wanted, f"{node}: all of them, and no others"
        assert daemon.joined(family) == wanted
    assert not disagreements(net.living(), family)

    sample = groups[:: COUNT // SAMPLE]
    watcher = Watcher(host, family)
    Sender(src, sample, rate=1000, count=2 * SAMPLE).wait_done()
    assert {key: stream.received for key, stream in watcher.streams().items()} == {(source, one): 2 for one in sample}


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


@FAMILIES
def test_a_wave_of_answers_delays_no_hello(lab: Lab, family: int) -> None:
    """1,000 hosts answer each General Query for 10,000 groups, and a neighbour that waits 3.5 s never loses us.

    n - r - edge - h (all the hosts), and the source at r
    """
    src, n, r, h = lab.host("src"), lab.router("n"), lab.router("r"), lab.host("h")
    lab.link(src, r)
    watched, edge = lab.link(n, r), lab.lan("edge", r, h)
    net = Net(lab, dict.fromkeys((n, r), "hello-interval 1\ntriggered-hello-delay 0\nigmp-query-interval 2\n"))
    r.ip("address", "add", SUBNET, "dev", "edge")
    capture = net.capture(watched)
    hosts = Hosts(h.port(edge), src.port(r).address(family))
    waves = [hosts.answer() for _ in range(WAVES)]
    protocol = "igmp" if family == 4 else "mld"
    rows = {row["interface"]: row for row in net.daemons[r].show(f"{protocol} interfaces")}
    assert rows["edge"]["groups_count"] == 10_000
    for node, other in ((n, r), (r, n)):
        (row,) = net.daemons[node].show("neighbors", family)
        assert row["up_time"] > time.time() - waves[0].asked, f"{node} never lost {other}"
    count, silence = longest_silence(capture, family, r, waves[0].asked, waves[-1].done)
    print(
        f"IPv{family}: {count} Hellos in {waves[-1].done - waves[0].asked:.1f} s, {silence:.2f} s between two at most"
    )
    assert silence < HOLD
    net.assert_clean()
