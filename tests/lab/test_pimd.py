"""pimd 2.3.2 as the router above ours, below ours, between two of ours, and beside ours on a LAN; it knows IPv4 only.

What it does in its own way: it ticks every 5 s; for its first 20 s it takes no Join for a source that is not on a link
of its own, so ours repeat theirs every 5 s here; it drops a Hello whose first option it does not know; as a first hop
it sends SSM streams to its register interface too; it serves the members of a link whoever is the DR, and leaves it to
Asserts to end that; and as a querier it asks for a group without a source.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Set

import pytest

from .capture import assert_clean
from .helpers import (
    Flow,
    Route,
    eventually,
    interface_row,
    kernel_forwards,
    our_route,
    querier,
    start_flow,
    wait_gone,
)
from .pimd import Pimd
from .pimpyd import QUICK, Pimpyd
from .sharing import Shared, shared_by_a_file
from .topology import Lab, Node, Port
from .traffic import Watcher

pytestmark = pytest.mark.usefixtures("pimd", "pimpyd", "captures")
OFTEN = f"{QUICK}join-prune-interval 5\n"


def start_beside(daemons: list[Pimpyd], pimd: Pimd) -> None:
    """Starts all; until pimd and each of ours know each other, and tell the same of each other."""
    for daemon in daemons:
        daemon.launch()
    pimd.start()
    for daemon in daemons:
        daemon.wait_ready()
        theirs, ours = pimd.node.port(daemon.node).ipv4, daemon.node.port(pimd.node)
        eventually(daemon, lambda one=daemon, a=theirs: a in one.neighbors(4), "pimd is a neighbour")  # type: ignore[misc]
        eventually(daemon, lambda a=ours.ipv4: a in pimd.neighbors(), "pimd has a neighbour")  # type: ignore[misc]
        (row,) = daemon.show("neighbors", 4)
        assert (row["interface"], row["address"], row["dr_priority"]) == (ours.name, theirs, 1)
        assert not row["lan_prune_delay"] and row["gen_id"]
        # Without LAN Prune Delay at the neighbour the defaults hold (RFC 7761 4.3.3).
        interface = interface_row(daemon, 4, ours.name)
        assert (interface["propagation_delay"], interface["override_interval"]) == (0.5, 2.5)
        assert interface["is_dr"] == (daemon.node.number > pimd.node.number) == (pimd_flags(pimd, theirs) == "PIM")


def pimd_flags(pimd: Pimd, address: str) -> str:
    """The flags of one of its interfaces: `DR PIM`, `PIM`, `DR NO-NBR`."""
    (row,) = re.findall(rf"^ *\d+  {re.escape(address)} +\S+/\d+ +\d+  (.*)$", pimd.dump(), re.MULTILINE)
    return " ".join(word for word in row.split() if not re.match(r"\d", word))


def pimd_forwards(node: Node, flow: Flow) -> tuple[str | None, Set[str]]:
    """What the kernel does there, the register interface left out."""
    incoming, outgoing = kernel_forwards(node, *flow.key)
    return incoming, outgoing - {"pimreg"}


def wait_all_gone(flow: Flow, pimd: Pimd, *ours: Pimpyd) -> None:
    """Until nobody forwards the stream any more. pimd keeps an entry that goes nowhere for a while."""
    wait_gone(flow, *ours)
    pimd.node.lab.wait(lambda: not pimd_forwards(pimd.node, flow)[1], 60, "pimd forwards no more")
    route = pimd.route(*flow.key)
    assert route is None or not route[1]


class Chain:
    """src - r1 - p - r2 - h, a source `above` at p and a receiver `below` at p."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.intact = lab, False
        self.src, self.above, self.below, self.h = (lab.host(name) for name in ("src", "above", "below", "h"))
        self.r1, self.p, self.r2 = (lab.router(name) for name in ("r1", "p", "r2"))
        for one, other in itertools.pairwise((self.src, self.r1, self.p, self.r2, self.h)):
            lab.link(one, other)
        lab.link(self.above, self.p), lab.link(self.below, self.p)
        lab.start()
        lab.capture_all()
        self.pimd, self.ours = Pimd(self.p), [Pimpyd(router, OFTEN) for router in (self.r1, self.r2)]
        start_beside(self.ours, self.pimd)

    def end(self, flow: Flow, *watched: Port) -> None:
        """The last receiver leaves: everywhere the stream ends, and is seen no more at these ports."""
        watchers = [Watcher(port, 4) for port in watched]
        flow.receiver.leave()
        wait_all_gone(flow, self.pimd, *self.ours)
        for watcher in watchers:
            watcher.wait_silent(0.5)
            watcher.stop()
        flow.sender.stop()
        flow.receiver.stop()
        self.intact = True


shared = shared_by_a_file(Chain, lambda chain: assert_clean(chain.lab, chain.r1, chain.r2))


@pytest.fixture
def chain(shared: Shared[Chain]) -> Chain:
    return shared.take()


def test_pimd_above_ours(chain: Chain) -> None:
    """above - p - r2 - h: pimd is the first hop and takes our Join and our Prune."""
    p, r2 = chain.p, chain.r2
    flow = start_flow(chain.above.port(p), chain.h.port(r2), 4, number=1)
    assert our_route(chain.ours[1], *flow.key) == Route("p", p.port(r2).ipv4, frozenset({"h"}))
    assert chain.pimd.route(*flow.key) == pimd_forwards(p, flow) == ("above", frozenset({"r2"}))
    flow.assert_arrived(hops=2)
    chain.end(flow, r2.port(p))


def test_pimd_below_ours(chain: Chain) -> None:
    """src - r1 - p - below: pimd is the last hop; we take its Join and its Prune."""
    r1, p = chain.r1, chain.p
    flow = start_flow(chain.src.port(r1), chain.below.port(p), 4, number=2)
    assert our_route(chain.ours[0], *flow.key) == Route("src", None, frozenset({"p"}))
    assert chain.pimd.route(*flow.key) == pimd_forwards(p, flow) == ("r1", frozenset({"below"}))
    flow.assert_arrived(hops=2)
    chain.end(flow, p.port(r1))


def test_pimd_between_ours(chain: Chain) -> None:
    """src - r1 - p - r2 - h: pimd passes on what we ask for, and what we no longer want."""
    r1, p, r2 = chain.r1, chain.p, chain.r2
    flow = start_flow(chain.src.port(r1), chain.h.port(r2), 4, number=3)
    assert our_route(chain.ours[0], *flow.key) == Route("src", None, frozenset({"p"}))
    assert chain.pimd.route(*flow.key) == pimd_forwards(p, flow) == ("r1", frozenset({"r2"}))
    assert our_route(chain.ours[1], *flow.key) == Route("p", p.port(r2).ipv4, frozenset({"h"}))
    flow.assert_arrived(hops=3)
    chain.end(flow)


def test_our_hello_begins_with_what_pimd_knows(chain: Chain) -> None:
    """Holdtime comes first: pimd drops a Hello whose first option it does not know, LAN Prune Delay say."""
    ours, at = chain.ours[0], chain.r1.port(chain.p)
    capture = at.link.capture()
    assert at.ipv4 in chain.pimd.neighbors()
    assert ours.stop() == 0
    chain.lab.wait(lambda: at.ipv4 not in chain.pimd.neighbors(), 30, "pimd forgets us")
    ours.start()
    chain.lab.wait(lambda: at.ipv4 in chain.pimd.neighbors(), 30, "and knows us again")
    hellos = capture.fields(f"pim.type == 0 and eth.src == {at.mac} and ip", "pim.optiontype", "pim.holdtime")
    assert len(hellos) >= 2
    assert all(options.split(",")[0] == "1" for options, _ in hellos), hellos
    assert "0" in [holdtime for _, holdtime in hellos], "the good-bye"
    chain.intact = True


class SharedLan:
    """src - r0 - LAN with pimd and ours - LAN with h. `low` queries, having the lower address, and has to be the DR."""

    def __init__(self, lab: Lab, ours_low: bool) -> None:
        self.src, self.r0 = lab.host("src"), lab.router("r0")
        self.low, self.high = (lab.router(name) for name in ("rp" if ours_low else "pr"))
        self.r, self.p = (self.low, self.high) if ours_low else (self.high, self.low)
        self.h = lab.host("h")
        lab.link(self.src, self.r0)
        lab.lan("up", self.r0, self.low, self.high)
        lab.lan("lan", self.low, self.high, self.h)
        lab.start()
        lab.capture_all()
        priority = f"phyint lan dr-priority {10 if ours_low else 0}\n"
        self.first, self.daemon = Pimpyd(self.r0, OFTEN).launch(), Pimpyd(self.r, OFTEN + priority)
        self.pimd = Pimd(self.p)
        for one in (self.pimd, self.daemon) if ours_low else (self.daemon, self.pimd):
            one.start()  # the querier last, so that the other hears its first query

    def wait_agreed(self) -> None:
        """Until all three know each other, and ours and pimd name the same DR and querier."""
        address = {node: node.port("lan").ipv4 for node in (self.r, self.p)}
        self.first.wait_ready()
        for daemon in (self.first, self.daemon):
            eventually(daemon, lambda one=daemon: len(one.neighbors(4)) > 1, "the neighbours")  # type: ignore[misc]
        eventually(self.daemon, lambda: address[self.r] in self.pimd.neighbors(), "pimd has a neighbour")
        eventually(self.daemon, lambda: querier(self.daemon, 4, "lan") == address[self.low], "the lowest queries")
        assert interface_row(self.daemon, 4, "lan")["dr_address"] == address[self.low]
        assert pimd_flags(self.pimd, address[self.p]) == ("DR PIM" if self.p is self.low else "PIM")


def test_pimd_beside_ours(lab: Lab) -> None:
    """pimd is the DR by priority and forwards alone."""
    lan = SharedLan(lab, ours_low=False)
    lan.wait_agreed()
    flow = start_flow(lan.src.port("r0"), lan.h.port("lan"), 4)
    flow.assert_arrived(hops=2)
    assert pimd_forwards(lan.p, flow) == ("up", frozenset({"lan"}))
    assert our_route(lan.first, *flow.key) == Route("src", None, frozenset({"up"}))
    assert our_route(lan.daemon, *flow.key) is None and pimd_forwards(lan.r, flow)[1] == frozenset()
    watcher = Watcher(lan.h.port("lan"), 4)
    flow.receiver.leave()
    wait_all_gone(flow, lan.pimd, lan.daemon, lan.first)
    watcher.wait_silent(0.5)
    assert_clean(lab, lan.r, lan.r0)


def test_ours_is_the_dr_beside_pimd(lab: Lab) -> None:
    """Ours is the DR by priority and forwards each packet once, whatever pimd forwards too; its Asserts do no harm."""
    lan = SharedLan(lab, ours_low=True)
    lan.wait_agreed()
    ours = lan.r.port("lan")
    data = ours.link.capture("udp port 5000")
    flow = start_flow(lan.src.port("r0"), lan.h.port("lan"), 4)
    assert our_route(lan.daemon, *flow.key) == Route("up", lan.r0.port("up").ipv4, frozenset({"lan"}))
    flow.receiver.reset()
    flow.receiver.wait_for(200)
    assert flow.receiver.stream(*flow.key).lost == 0
    flow.receiver.leave()
    wait_gone(flow, lan.daemon)
    assert kernel_forwards(lan.r, *flow.key)[1] == frozenset()
    sent = [row[0] for row in data.fields(f"eth.src == {ours.mac}", "data.data")]
    assert len(sent) > 200 and len(set(sent)) == len(sent)
    assert_clean(lab, lan.r, lan.r0)
