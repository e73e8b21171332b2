"""Any-source streams over a LAN that two routers could forward onto: Asserts, Prunes that are overridden.

    src - r1 (RP) -+- r2 -+- lan -+- r4 - h4        r4 reaches the source and the RP by r2, r5 by r3
                   |      |       |
                   +- r3 -+       +- r5 - h5
                   +--------------- r4              a dear link, which r4 takes to the source where a test wants it

r2 and r3 have the same metrics, so r3 wins: it has the higher address. r4 and r5 are the last hops: whether the Assert
is of (S,G) or of (*,G) hangs on whether they switch to the source's tree.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest

from .capture import Capture
from .kernel import mfc
from .pimpyd import Row
from .scenes import AT_ONCE, FAMILIES, LAST_LISTENER, Net
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
        for family in (4, 6):
            self.r5.route(family, self.rp.link.prefix(family), self.r3.port("lan"))
        self.groups = itertools.count(1)

    def configure(self, **switch: str) -> None:
        """All run, r4 and r5 with these words, and know each other."""
        self.net.mend()
        for name in ("r4", "r5"):
            node = getattr(self, name)
            daemon, text = self.net.daemons[node], self.text + switch[name]
            if daemon.config.read_text() != text:
                daemon.config.write_text(text)
                daemon.pimctl("reload")


class Flow:
    """A stream of a new group from src, and its receivers."""

    def __init__(self, lan: Lan, family: int) -> None:
        self.lan, self.family = lan, family
        number = next(lan.groups)
        self.group = f"239.1.{number}.1" if family == 4 else f"ff0e::{number:x}"
        self.source = lan.src.port("r1").address(family)
        self.tools: list[Receiver | Sender] = []

    def join(self, host: Node) -> Receiver:
        (port,) = host.ports.values()
        receiver = Receiver(port, [(None, self.group)])
        self.tools.append(receiver)
        return receiver

    def send(self) -> Sender:
        sender = Sender(self.lan.src.port("r1"), [self.group], rate=RATE)
        self.tools.append(sender)
        return sender

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

    def said(self, capture: Capture, node: Node, what: str) -> list[float]:
        """When a router sent Join/Prune messages about the group for which `what` holds, in tshark's words."""
        group = "pim.group" if self.family == 4 else "pim.group_ip6"
        mac = capture.link.ports[node].mac
        found = capture.fields(
            f"pim.type == 3 and eth.src == {mac} and {group} == {self.group} and {what}", "frame.time_epoch"
        )
        return [float(row[0]) for row in found]

    def stop(self) -> None:
        for tool in self.tools:
            tool.stop()


@pytest.fixture(scope="module")
def lan(standing_lab: Lab) -> Iterator[Lan]:
    scene = Lan(standing_lab)
    yield scene
    scene.net.assert_clean()


@pytest.fixture
def flow(lan: Lan, family: int) -> Iterator[Flow]:
    one = Flow(lan, family)
    yield one
    one.stop()


def assert_steady(*receivers: Receiver) -> None:
    """From now on nothing is lost and nothing comes twice."""
    for receiver in receivers:
        receiver.reset()
    for receiver in receivers:
        receiver.wait_for(RATE)
        stream = receiver.stream()
        assert (stream.lost, stream.duplicates) == (0, 0), stream


def outage_of(*receivers: Receiver) -> float:
    """The longest time without the stream since the last reset; it is there again."""
    for receiver in receivers:
        receiver.wait_for(RATE // 2, 30)
    return max(receiver.stream().outage for receiver in receivers)


@FAMILIES
@KINDS
def test_one_forwards_and_the_other_takes_over(lan: Lan, flow: Flow, kind: str) -> None:
    """Two forwarders become one without a loss; the other one takes over when it says good-bye, or is killed."""
    lan.configure(r4=SWITCH[kind], r5=SWITCH[kind])
    receivers = [flow.join(lan.h4), flow.join(lan.h5)]
    flow.wait_joined(lan.r2, lan.r3)
    flow.send()
    flow.wait_settled(kind, lan.r3)
    for receiver in receivers:
        stream = receiver.stream()
        assert stream.lost == 0 and stream.duplicates < RATE * AT_ONCE, stream
    assert_steady(*receivers)
    daemon = lan.net.daemons[lan.r3]
    ends = (
        ("it says good-bye", daemon.stop, AT_ONCE),
        ("it is killed", daemon.kill, NEIGHBOR_TIMES_OUT + T_OVERRIDE + AT_ONCE),
    )
    for what, end, limit in ends:
        end()
        outage = outage_of(*receivers)
        print(f"IPv{flow.family} {kind}: {what}: {outage:.3f} s without the stream")
        assert outage < limit, what
        assert_steady(*receivers)
        daemon.start()
        lan.net.wait_neighbors()
        flow.wait_settled(kind, lan.r3)
        assert_steady(*receivers)


@FAMILIES
@KINDS
def test_who_leaves_takes_nothing_from_the_other(lan: Lan, flow: Flow, kind: str) -> None:
    """Both last hops ask the same router; r4 prunes, r5 overrides, and h5 loses nothing."""
    lan.configure(r4=SWITCH[kind], r5=SWITCH[kind])
    leaving, staying = flow.join(lan.h4), flow.join(lan.h5)
    flow.wait_joined(lan.r2, lan.r3)
    flow.send()
    flow.wait_settled(kind, lan.r3)
    staying.reset()
    capture, began = lan.lan.capture(), time.time()
    leaving.leave()
    staying.wait_for(int(RATE * (LAST_LISTENER + PRUNE_PENDS + AT_ONCE)))
    assert staying.stream().lost == 0 == staying.stream().duplicates, staying.stream()
    prunes = flow.said(capture, lan.r4, "pim.numprunes > 0")
    joins = flow.said(capture, lan.r5, "pim.numjoins > 0")
    assert prunes and prunes[0] > began, "r4 prunes"
    assert any(prunes[0] < join < prunes[0] + T_OVERRIDE + AT_ONCE for join in joins), "and r5 overrides"


@FAMILIES
def test_a_source_is_pruned_off_the_shared_tree_and_another_keeps_it(lan: Lan, flow: Flow) -> None:
    """r4 gets the source over the dear link and prunes it off the LAN's tree; r5 stays, and overrides (4.5.7)."""
    for family in (4, 6):
        lan.r5.route(family, lan.rp.link.prefix(family), lan.r2.port("lan"))
    host = f"{flow.source}/{32 if flow.family == 4 else 128}"
    lan.r4.route(flow.family, host, lan.dear.ports[lan.r1])
    lan.configure(r4=SWITCH["sg"], r5=SWITCH["star"])
    try:
        switching, staying = flow.join(lan.h4), flow.join(lan.h5)
        flow.wait_joined(lan.r2)
        capture = lan.lan.capture()
        flow.send()
        wait_until(lambda: flow.comes_from(lan.r4, "r1"), 20, "r4 gets the source over the dear link")
        staying.wait_for(int(RATE * (PRUNE_PENDS + AT_ONCE)))
        for receiver in (switching, staying):
            assert receiver.stream().lost == 0, receiver.stream()
        assert_steady(switching, staying)
        six = "6" if flow.family == 6 else ""
        # r4 has no (S,G) to prune on the LAN, r5 none to join: what names the source there is of (S,G,rpt).
        prunes = flow.said(capture, lan.r4, f"pim.prune_ip{six} == {flow.source}")
        joins = flow.said(capture, lan.r5, f"pim.join_ip{six} == {flow.source}")
        assert prunes, "Prune(S,G,rpt) of r4"
        assert any(prunes[0] < join < prunes[0] + T_OVERRIDE + AT_ONCE for join in joins), "Join(S,G,rpt) of r5"
    finally:
        lan.r4.ip(f"-{flow.family}", "route", "del", host)
        for family in (4, 6):
            lan.r5.route(family, lan.rp.link.prefix(family), lan.r3.port("lan"))
