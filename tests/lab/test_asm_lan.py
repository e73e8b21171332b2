"""Any-source streams over a LAN that two routers could forward onto: Asserts, Prunes that are overridden.

    src - r1 (RP) -+- r2 -+- lan -+- r4 - h4        r4 reaches the source and the RP by r2, r5 by r3
                   |      |       |
                   +- r3 -+       +- r5 - h5
                   +--------------- r4              a dear link, which r4 takes to the source where a test wants it

r2 and r3 have the same metrics, so r3 wins: it has the higher address. r4 and r5 are the last hops: whether the Assert
is of (S,G) or of (*,G) hangs on whether they switch to the source's tree. A test plays a stream of each family at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from .helpers import reconfigure
from .kernel import mfc
from .pimpyd import Row
from .scenes import AT_ONCE, LAST_LISTENER, JoinPrune, Net, join_prunes
from .shell import wait_until
from .topology import Lab, Node
from .traffic import Receiver, Sender

RATE = 500
TEXT = "hello-interval 1\ntriggered-hello-delay 0\nigmp-query-interval 4\n"
SWITCH = {"sg": "", "star": "spt-threshold infinity\n"}
KINDS = pytest.mark.parametrize("kind", list(SWITCH))
NEIGHBOR_TIMES_OUT = 3.5
T_OVERRIDE = 2.5
PRUNE_PENDS = 3.0


class Lan:
    """The routers and hosts above."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.src, self.h4, self.h5 = (lab.host(name) for name in ("src", "h4", "h5"))
        self.r1, self.r2, self.r3, self.r4, self.r5 = (lab.router(f"r{number}") for number in range(1, 6))
        lab.link(self.src, self.r1)
        lab.link(self.r1, self.r2)
        lab.link(self.r1, self.r3)
        self.lan = lab.lan("lan", self.r2, self.r3, self.r4, self.r5)
        lab.link(self.r4, self.h4)
        lab.link(self.r5, self.h5)
        self.dear = lab.link(self.r1, self.r4, cost=10)
        self.rp = self.r1.port("src")
        self.text = f"{TEXT}rp-address {self.rp.ipv4}\nrp-address {self.rp.ipv6}\n"
        self.net = Net(lab, dict.fromkeys((self.r1, self.r2, self.r3, self.r4, self.r5), self.text))
        self.reach_rp_by(self.r3)
        self.groups = itertools.count(1)

    def reach_rp_by(self, router: Node) -> None:
        """r5's way to the RP and the source."""
        for family in (4, 6):
            self.r5.route(family, self.rp.link.prefix(family), router.port("lan"))

    def configure(self, **switch: str) -> None:
        """All run, r4 and r5 with these words, and know each other."""
        self.net.mend()
        for name in ("r4", "r5"):
            node = getattr(self, name)
            daemon, text = self.net.daemons[node], self.text + switch[name]
            if daemon.config.read_text() != text:
                reconfigure(daemon, text)


class Flow:
    """A stream of a new group from src, and its receivers."""

    def __init__(self, lan: Lan, family: int) -> None:
        self.lan, self.family = lan, family
        number = next(lan.groups)
        self.group = f"239.1.{number}.1" if family == 4 else f"ff0e::{number:x}"
        self.source = lan.src.port("r1").address(family)
        self.receivers: list[Receiver] = []
        self.senders: list[Sender] = []

    def join(self, host: Node) -> Receiver:
        (port,) = host.ports.values()
        receiver = Receiver(port, [(None, self.group)])
        self.receivers.append(receiver)
        return receiver

    def send(self) -> None:
        self.senders.append(Sender(self.lan.src.port("r1"), [self.group], rate=RATE))

    def rows(self, node: Node) -> list[Row]:
        """What a router tells of the group."""
        daemon = self.lan.net.daemons[node]
        return [row for row in daemon.show("mroute", self.family) if row["group"] == self.group]

    def assert_state(self, node: Node, kind: str) -> str | None:
        """A router's part in the Assert on the LAN, of its (S,G) or (*,G) entry."""
        source = "*" if kind == "star" else self.source
        for row in self.rows(node):
            if row["row"] == "outgoing" and (row["source_address"], row["outgoing_interface"]) == (source, "lan"):
                return str(row["assert_state"])
        return None

    def rpf_neighbor(self, node: Node, kind: str) -> str | None:
        source = "*" if kind == "star" else self.source
        entries = [row for row in self.rows(node) if row["row"] == "entry" and row["source_address"] == source]
        return entries[0]["rpf_neighbor"] if entries else None

    def wait_joined(self, *nodes: Node) -> None:
        """Until the RP forwards the shared tree to these."""
        wait_until(lambda: {node.name for node in nodes} <= self.joined_at_rp(), 20, "the shared tree stands")

    def joined_at_rp(self) -> set[str]:
        rows = [row for row in self.rows(self.lan.r1) if row["row"] == "outgoing" and row["source_address"] == "*"]
        return {row["outgoing_interface"] for row in rows if row["jp_state"] == "join"}

    def wait_settled(self, kind: str, winner: Node) -> None:
        """Until `winner` has won, the other one lost, and both last hops ask the winner."""
        loser = self.lan.r2 if winner is self.lan.r3 else self.lan.r3
        states = {winner: "winner", loser: "loser"}
        for node, state in states.items():
            wait_until(lambda n=node, s=state: self.assert_state(n, kind) == s, 20, f"{node} is {state}")  # type: ignore[misc]
        address = winner.port("lan").pim_address(self.family)
        for node in (self.lan.r4, self.lan.r5):
            wait_until(lambda n=node: self.rpf_neighbor(n, kind) == address, 20, f"{node} asks {winner}")  # type: ignore[misc]

    def comes_from(self, node: Node, interface: str) -> bool:
        """Whether the kernel of a router takes the stream in by an interface, and sends it on."""
        entry = mfc(node, self.family).get((self.source, self.group))
        return entry is not None and entry.iif == interface and bool(entry.oifs)

    def said(self, messages: list[JoinPrune], node: Node) -> list[JoinPrune]:
        """What a router said about the group."""
        return [one for one in messages if one.sender is node and self.group in one.groups]

    def stop(self) -> None:
        for receiver in self.receivers:
            receiver.stop()
        for sender in self.senders:
            sender.stop()


@pytest.fixture(scope="module")
def lan(standing_lab: Lab) -> Iterator[Lan]:
    scene = Lan(standing_lab)
    yield scene
    scene.net.assert_clean()


@pytest.fixture
def flows(lan: Lan) -> Iterator[list[Flow]]:
    """One of each family."""
    both = [Flow(lan, family) for family in (4, 6)]
    yield both
    for flow in both:
        flow.stop()


def assert_steady(flows: list[Flow]) -> None:
    """From now on nothing is lost and nothing comes twice."""
    receivers = [receiver for flow in flows for receiver in flow.receivers]
    for receiver in receivers:
        receiver.reset()
    for receiver in receivers:
        receiver.wait_for(RATE)
        stream = receiver.stream()
        assert (stream.lost, stream.duplicates) == (0, 0), stream


def outage_of(flow: Flow) -> float:
    """The longest time without the stream since the last reset; it is there again."""
    for receiver in flow.receivers:
        receiver.wait_for(RATE // 2, 30)
    return max(receiver.stream().outage for receiver in flow.receivers)


def begin(lan: Lan, flows: list[Flow], kind: str) -> None:
    """Both hosts join, both routers forward the shared tree to the LAN, and with the streams one of them wins."""
    lan.configure(r4=SWITCH[kind], r5=SWITCH[kind])
    for flow in flows:
        for host in (lan.h4, lan.h5):
            flow.join(host)
    for flow in flows:
        flow.wait_joined(lan.r2, lan.r3)
    for flow in flows:
        flow.send()
    for flow in flows:
        flow.wait_settled(kind, lan.r3)


@KINDS
def test_one_forwards_and_the_other_takes_over(lan: Lan, flows: list[Flow], kind: str) -> None:
    """Two forwarders become one without a loss; the other one takes over when it says good-bye, or is killed."""
    begin(lan, flows, kind)
    for receiver in (receiver for flow in flows for receiver in flow.receivers):
        stream = receiver.stream()
        assert stream.lost == 0 and stream.duplicates < RATE * AT_ONCE, stream
    assert_steady(flows)
    daemon = lan.net.daemons[lan.r3]
    ends = (
        ("it says good-bye", daemon.stop, AT_ONCE),
        ("it is killed", daemon.kill, NEIGHBOR_TIMES_OUT + T_OVERRIDE + AT_ONCE),
    )
    for what, end, limit in ends:
        end()
        for flow in flows:
            outage = outage_of(flow)
            print(f"IPv{flow.family} {kind}: {what}: {outage:.3f} s without the stream")
            assert outage < limit, what
        assert_steady(flows)
        daemon.start()
        lan.net.wait_neighbors()
        for flow in flows:
            flow.wait_settled(kind, lan.r3)
        assert_steady(flows)


@KINDS
def test_who_leaves_takes_nothing_from_the_other(lan: Lan, flows: list[Flow], kind: str) -> None:
    """Both last hops ask the same router; r4 prunes, r5 overrides, and h5 loses nothing."""
    begin(lan, flows, kind)
    for flow in flows:
        flow.receivers[1].reset()
    capture = lan.lan.capture()
    left = [flow.receivers[0].leave() for flow in flows]
    for flow in flows:
        staying = flow.receivers[1]
        staying.wait_for(int(RATE * (LAST_LISTENER + PRUNE_PENDS + AT_ONCE)))
        assert staying.stream().lost == 0 == staying.stream().duplicates, staying.stream()
    messages = join_prunes(capture)
    for flow, began in zip(flows, left, strict=True):
        prunes = [one.time for one in flow.said(messages, lan.r4) if one.prunes]
        joins = [one.time for one in flow.said(messages, lan.r5) if one.joins]
        assert prunes and prunes[0] > began, "r4 prunes"
        assert any(prunes[0] < join < prunes[0] + T_OVERRIDE + AT_ONCE for join in joins), "and r5 overrides"


def test_a_source_is_pruned_off_the_shared_tree_and_another_keeps_it(lan: Lan, flows: list[Flow]) -> None:
    """r4 gets the source over the dear link and prunes it off the LAN's tree; r5 stays, and overrides (4.5.7)."""
    lan.reach_rp_by(lan.r2)
    hosts = {flow: f"{flow.source}/{32 if flow.family == 4 else 128}" for flow in flows}
    for flow, host in hosts.items():
        lan.r4.route(flow.family, host, lan.dear.ports[lan.r1])
    lan.configure(r4=SWITCH["sg"], r5=SWITCH["star"])
    try:
        for flow in flows:
            for node in (lan.h4, lan.h5):
                flow.join(node)
        for flow in flows:
            flow.wait_joined(lan.r2)
        capture = lan.lan.capture()
        for flow in flows:
            flow.send()
        for flow in flows:
            wait_until(lambda one=flow: one.comes_from(lan.r4, "r1"), 20, "r4 gets the source over the dear link")  # type: ignore[misc]
        for flow in flows:
            flow.receivers[1].wait_for(int(RATE * (PRUNE_PENDS + AT_ONCE)))
        for receiver in (receiver for flow in flows for receiver in flow.receivers):
            assert receiver.stream().lost == 0, receiver.stream()
        assert_steady(flows)
        messages = join_prunes(capture)
        for flow in flows:
            # r4 has no (S,G) to prune on the LAN, r5 none to join: what names the source there is of (S,G,rpt).
            prunes = [one.time for one in flow.said(messages, lan.r4) if flow.source in one.pruned]
            joins = [one.time for one in flow.said(messages, lan.r5) if flow.source in one.joined]
            assert prunes, "Prune(S,G,rpt) of r4"
            assert any(prunes[0] < join < prunes[0] + T_OVERRIDE + AT_ONCE for join in joins), "Join(S,G,rpt) of r5"
    finally:
        for flow, host in hosts.items():
            lan.r4.ip(f"-{flow.family}", "route", "del", host)
        lan.reach_rp_by(lan.r3)
