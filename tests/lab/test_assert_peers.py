"""A LAN onto which ours and a foreign router forward one stream: their Assert (RFC 7761 4.6).

    src - r1 -+- r2 -+- lan -+- r4 - h4     r4 reaches the source by r2, which is ours,
              |      |       |
              +- p  -+       +- r5 - h5     r5 by p: FRR 10.3 or pimd 2.3.2

The last hops join the channel (pimd takes Joins for 232/8 too), so that both forward until one has lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from .capture import Capture, assert_clean
from .frr import Frr
from .kernel import forwards
from .pimd import Pimd
from .pimpyd import QUICK, Pimpyd
from .shell import wait_until
from .topology import Lab, Node
from .traffic import Receiver, Sender, ssm_group

RATE = 500
JOINS = 3
"""Seconds between our Joins; they are held for three and a half of it."""
BOUND = 5.0
"""Seconds of two forwarders, at most: a kernel tells of a packet from a wrong interface once in three."""
UNTIL_EXPIRY = 3.5 * JOINS + BOUND
DEAR, CHEAP = (f"default-route-distance {number}\ndefault-route-metric {number}\n" for number in (255, 1))
Metric = tuple[int, int, int]


class Scene:
    """The network above, its nodes' names ending in `suffix`; `winner` is who is to have the better metric."""

    def __init__(self, lab: Lab, winner: str, suffix: str) -> None:
        self.lab = lab
        self.src, self.h4, self.h5 = (lab.host(name + suffix) for name in ("src", "h4", "h5"))
        self.r1, self.r2, self.p, self.r4, self.r5 = (
            lab.router(name + suffix) for name in ("r1", "r2", "p", "r4", "r5")
        )
        lab.link(self.src, self.r1)
        lab.link(self.r1, self.r2)
        lab.link(self.r1, self.p)
        self.lan = lab.lan(f"lan{suffix}", self.r2, self.p, self.r4, self.r5)
        lab.link(self.r4, self.h4)
        lab.link(self.r5, self.h5)
        self.winner, self.loser = (self.r2, self.p) if winner == "ours" else (self.p, self.r2)
        self.daemons: dict[Node, Pimpyd] = {}

    def launch(self) -> None:
        """Ours, once the lab stands."""
        for family in (4, 6):
            for node, way in ((self.r4, self.r2), (self.r5, self.p)):
                node.route(family, self.src.port(self.r1).link.prefix(family), way.port(self.lan))
        text = f"{QUICK}join-prune-interval {JOINS}\n"
        texts = {self.r2: text + (CHEAP if self.winner is self.r2 else DEAR)}
        self.daemons = {
            node: Pimpyd(node, texts.get(node, text)).launch() for node in (self.r1, self.r2, self.r4, self.r5)
        }

    def wait_neighbors(self, family: int, theirs: Callable[[], set[str]]) -> None:
        """Until the foreign router and ours know each other on the LAN."""
        for daemon in self.daemons.values():
            daemon.wait_ready()
        at_lan = [daemon for node, daemon in self.daemons.items() if node in self.lan.ports]
        p = self.p.port(self.lan).pim_address(family)
        for daemon in at_lan:
            wait_until(lambda d=daemon: p in d.neighbors(family), 60, f"{daemon.node} knows p")  # type: ignore[misc]
        ours = {self.lan.ports[daemon.node].pim_address(family) for daemon in at_lan}
        wait_until(lambda: ours & theirs(), 60, "p knows ours")

    def play(self, families: Iterable[int], bound: float = BOUND, look: Callable[[], object] = lambda: None) -> None:
        """Both forward, until they have agreed who does; `look` is called when ours have."""
        contests = [Contest(self, family) for family in families]
        for contest in contests:
            contest.begin()
        for contest in contests:
            contest.wait_decided()
        look()
        for contest in contests:
            contest.end(bound)


class Contest:
    """One stream onto the LAN, of one family."""

    def __init__(self, scene: Scene, family: int) -> None:
        self.scene, self.family = scene, family
        self.group, self.source = ssm_group(family), scene.src.port(scene.r1).address(family)
        self.receivers: list[Receiver] = []
        self.sender: Sender
        self.capture: Capture

    def begin(self) -> None:
        scene = self.scene
        ends = ((scene.h4, scene.r4), (scene.h5, scene.r5))
        self.receivers = [Receiver(host.port(router), [(self.source, self.group)]) for host, router in ends]
        for node in (scene.r2, scene.p):
            wait_until(lambda n=node.name: n in self.outgoing_of_r1(), 30, f"{node} has joined")  # type: ignore[misc]
        self.capture = scene.lan.capture()
        self.sender = Sender(scene.src.port(scene.r1), [self.group], rate=RATE)

    def wait_decided(self) -> None:
        """Until ours has won or lost, as it should."""
        state = "winner" if self.scene.winner is self.scene.r2 else "loser"
        wait_until(lambda: self.assert_state() == state, 10, f"ours is {state}")

    def end(self, bound: float) -> None:
        """One is left; nothing was lost, and came twice for no longer than `bound` seconds."""
        winner = self.scene.winner
        wait_until(lambda: self.forwarders() == {winner.name}, 30, f"{winner} forwards alone")
        for receiver in self.receivers:
            receiver.wait_for(RATE)
            found = receiver.stream(self.source, self.group)
            assert found.lost == 0, found
            assert 0 < found.duplicates < RATE * bound, found
            print(f"{self.scene.p}, IPv{self.family}: {found.duplicates / RATE:.2f} s of duplicates")
        self.assert_elected()
        for receiver in self.receivers:
            receiver.reset()
        for receiver in self.receivers:
            receiver.wait_for(2 * RATE)
            found = receiver.stream(self.source, self.group)
            assert (found.lost, found.duplicates) == (0, 0), found
        asked = winner.port(self.scene.lan).pim_address(self.family)
        for node in (self.scene.r4, self.scene.r5):
            entry = self.scene.daemons[node].entry(self.source, self.group)
            assert entry is not None and entry["rpf_neighbor"] == asked, entry
        self.sender.stop()
        for receiver in self.receivers:
            receiver.stop()

    def outgoing_of_r1(self) -> frozenset[str]:
        return self.scene.daemons[self.scene.r1].outgoing(self.source, self.group)

    def forwarders(self) -> set[str]:
        """Whose kernel sends the stream onto the LAN."""
        lan = self.scene.lan.name
        return {n.name for n in (self.scene.r2, self.scene.p) if lan in forwards(n, self.source, self.group)}

    def assert_state(self) -> str | None:
        """Our part in it."""
        for row in self.scene.daemons[self.scene.r2].show("mroute", self.family):
            key = row.get("source_address"), row["group"], row.get("outgoing_interface")
            if row["row"] == "outgoing" and key == (self.source, self.group, self.scene.lan.name):
                return str(row["assert_state"])
        return None

    def assert_elected(self) -> None:
        """Of the metrics that both told the better one won, as 4.6.3 has it."""
        scene, only = self.scene, f"pim.type == 5 && {'ip' if self.family == 4 else 'ipv6'}"
        told: dict[str, list[Metric]] = {}
        for mac, rpt, preference, metric in self.capture.fields(
            only, "eth.src", "pim.rpt", "pim.metric_pref", "pim.metric"
        ):
            node = next(node for node, port in scene.lan.ports.items() if port.mac == mac)
            told.setdefault(node.name, []).append((rpt not in ("0", "False"), int(preference), int(metric)))
        print(f"{scene.p}, IPv{self.family}: {told}")
        best = [metric for metric in told[scene.winner.name] if metric[0] == 0]
        assert best, "the winner said so"
        assert all(metric > best[-1] for metric in told.get(scene.loser.name, ())), "who lost had a worse metric"


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("frr", "pimd", "pimpyd", "captures")
def test_ours_and_the_others_elect_one(lab: Lab) -> None:
    """All at the same time, for pimd's beginning is long.

    FRR 10.3 sends no Assert here, and does not stop at ours, though it tells itself that it lost (#21980, #22636). What
    must work does: ours asserts, the last hops ask ours from then on, and so FRR's Join ends with its hold time.
    """
    ours, theirs, beside_frr = Scene(lab, "ours", "1"), Scene(lab, "theirs", "2"), Scene(lab, "ours", "3")
    scenes = (ours, theirs, beside_frr)
    lab.start()
    lab.capture_all()
    for scene in scenes:
        scene.launch()
    pimds = [Pimd(scene.p).start() for scene in (ours, theirs)]
    frr = Frr(beside_frr.p, lines={4: ["ip pim hello 1 4"], 6: ["ipv6 pim hello 1 4"]}).start()
    for family in (4, 6):
        beside_frr.wait_neighbors(family, lambda f=family: frr.neighbors(f))  # type: ignore[misc]
    said: list[str] = []
    beside_frr.play((4, 6), UNTIL_EXPIRY, lambda: said.append(frr.vtysh("show ip pim assert", "pimd")))
    print(f"FRR, whose kernel forwarded on: {said[0]}")
    assert "LOSER" in said[0]
    for scene, pimd in zip((ours, theirs), pimds, strict=True):
        scene.wait_neighbors(4, pimd.neighbors)
        scene.play((4,))
    assert_clean(lab, *(node for scene in scenes for node in scene.daemons))
