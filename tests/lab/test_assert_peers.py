"""A LAN onto which ours and a foreign router forward one stream: their Assert (RFC 7761 4.6).

    src - r1 -+- r2 -+- lan -+- r4 - h4     r4 reaches the source by r2, which is ours,
              |      |       |
              +- p  -+       +- r5 - h5     r5 by p: FRR 10.3 or pimd 2.3.2

Three such LANs begin at r1, each with groups of its own. The last hops join the channel (pimd takes Joins for 232/8
too), or an any-source group whose RP is r1 and stay on the shared tree, so that both forward until one has lost.
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

RATE = 250
JOINS = 3
"""Seconds between our Joins; they are held for three and a half of it."""
BOUND = 5.0
"""Seconds of two forwarders, at most: a kernel tells of a packet from a wrong interface once in three."""
UNTIL_EXPIRY = 3.5 * JOINS + BOUND
DEAR, CHEAP = (f"default-route-distance {number}\ndefault-route-metric {number}\n" for number in (255, 1))
ASM_GROUPS = {4: "239.6.{}.6", 6: "ff1e::{}:6"}
Metric = tuple[int, int, int]


class Start:
    """Where all begin: the source and its router, which is the RP. Holds the daemons that are ours."""

    def __init__(self, lab: Lab) -> None:
        self.src, self.r1 = lab.host("src"), lab.router("r1")
        lab.link(self.src, self.r1)
        self.rp = self.r1.port(self.src)
        """The RP's address is the one on the source's link: the way to the RP is the one to the source."""
        text = f"{QUICK}join-prune-interval {JOINS}\nspt-threshold infinity\n"
        self.text = f"{text}rp-address {self.rp.ipv4}\nrp-address {self.rp.ipv6}\n"
        self.daemons: dict[Node, Pimpyd] = {}

    def launch(self, scenes: Iterable[Scene]) -> None:
        """Ours, once the lab stands."""
        texts = {self.r1: self.text}
        for scene in scenes:
            scene.lay_routes()
            texts |= dict.fromkeys((scene.r2, scene.r4, scene.r5), self.text)
            texts[scene.r2] += CHEAP if scene.winner is scene.r2 else DEAR
        self.daemons |= {node: Pimpyd(node, text).launch() for node, text in texts.items()}


class Scene:
    """One LAN, its nodes' names ending in its number; `winner` is who is to have the better metric."""

    def __init__(self, lab: Lab, start: Start, winner: str, number: int) -> None:
        self.number = number
        self.src, self.r1, self.rp, self.daemons = start.src, start.r1, start.rp, start.daemons
        self.h4, self.h5 = (lab.host(f"{name}{number}") for name in ("h4", "h5"))
        self.r2, self.p, self.r4, self.r5 = (lab.router(f"{name}{number}") for name in ("r2", "p", "r4", "r5"))
        lab.link(self.r1, self.r2)
        lab.link(self.r1, self.p)
        self.lan = lab.lan(f"lan{number}", self.r2, self.p, self.r4, self.r5)
        lab.link(self.r4, self.h4)
        lab.link(self.r5, self.h5)
        self.winner, self.loser = (self.r2, self.p) if winner == "ours" else (self.p, self.r2)

    def pimd(self) -> Pimd:
        return Pimd(self.p, f"rp-address {self.rp.ipv4} 224.0.0.0/4\nspt-threshold infinity\n").start()

    def frr(self) -> Frr:
        words = {4: ("ip", "pim", "224.0.0.0/4"), 6: ("ipv6", "pim6", "ff00::/8")}
        lines = {family: [f"{ip} pim hello 1 4"] for family, (ip, _, _) in words.items()}
        stay = " spt-switchover infinity-and-beyond"
        settings = {
            family: [f"router {router}", f" rp {self.rp.address(family)} {every}", stay, "exit"]
            for family, (_, router, every) in words.items()
        }
        return Frr(self.p, lines=lines, settings=settings).start()

    def lay_routes(self) -> None:
        """r4 reaches the source by ours, r5 by the other."""
        for family in (4, 6):
            for node, way in ((self.r4, self.r2), (self.r5, self.p)):
                node.route(family, self.rp.link.prefix(family), way.port(self.lan))

    def wait_neighbors(self, family: int, theirs: Callable[[], set[str]]) -> None:
        """Until the foreign router and ours know each other on the LAN."""
        at_lan = [daemon for node, daemon in self.daemons.items() if node in self.lan.ports]
        p = self.p.port(self.lan).pim_address(family)
        for daemon in at_lan:
            wait_until(lambda d=daemon: p in d.neighbors(family), 60, f"{daemon.node} knows p")  # type: ignore[misc]
        ours = {self.lan.ports[daemon.node].pim_address(family) for daemon in at_lan}
        wait_until(lambda: ours & theirs(), 60, "p knows ours")


def play(contests: list[Contest], look: Callable[[], object] = lambda: None) -> None:
    """Both forward, until they have agreed who does, on all of them at once; `look` is called when ours have."""
    for contest in contests:
        contest.begin()
    for contest in contests:
        contest.wait_decided()
    look()
    for contest in contests:
        contest.end()


class Contest:
    """One stream onto the LAN, of one family: a channel, or on the RP's tree (`SG`, `WG`: whose Asserts are meant)."""

    def __init__(self, scene: Scene, family: int, tree: str, bound: float = BOUND) -> None:
        self.scene, self.family, self.shared, self.bound = scene, family, tree == "WG", bound
        self.group = ASM_GROUPS[family].format(scene.number) if self.shared else ssm_group(family, scene.number)
        self.source = scene.src.port(scene.r1).address(family)
        self.joined = "*" if self.shared else self.source
        self.receivers: list[Receiver] = []
        self.sender: Sender
        self.capture: Capture

    def begin(self) -> None:
        scene = self.scene
        wanted = None if self.shared else self.source
        ends = ((scene.h4, scene.r4), (scene.h5, scene.r5))
        self.receivers = [Receiver(host.port(router), [(wanted, self.group)]) for host, router in ends]
        for node in (scene.r2, scene.p):
            wait_until(lambda n=node.name: n in self.outgoing_of_r1(), 30, f"{node} has joined")  # type: ignore[misc]
        self.capture = scene.lan.capture()
        port = scene.src.port(scene.r1)
        if self.shared:  # the first packets make the kernels' entries; no more than four can wait for that
            Sender(port, [self.group], rate=20, count=10).wait_done()
            for receiver in self.receivers:
                receiver.reset()
        self.sender = Sender(port, [self.group], rate=RATE)

    def wait_decided(self) -> None:
        """Until ours has won or lost, as it should."""
        state = "winner" if self.scene.winner is self.scene.r2 else "loser"
        wait_until(lambda: state in self.assert_states(), 10, f"ours is {state} of {self.group}")

    def end(self) -> None:
        """One is left; nothing was lost, and came twice for no longer than `bound` seconds."""
        winner = self.scene.winner
        wait_until(self.settled, 30, f"{winner} forwards {self.group} alone")
        for receiver in self.receivers:
            receiver.wait_for(RATE)
            found = receiver.stream(self.source, self.group)
            assert found.lost == 0, found
            assert found.duplicates < RATE * self.bound, found
            print(f"{self.scene.p}, IPv{self.family}, {self.joined}: {found.duplicates / RATE:.2f} s of duplicates")
        self.assert_elected()
        for receiver in self.receivers:
            receiver.reset()
        for receiver in self.receivers:
            receiver.wait_for(2 * RATE)
            found = receiver.stream(self.source, self.group)
            assert (found.lost, found.duplicates) == (0, 0), found
        if self.all_turn:
            self.assert_asked(winner)
        self.sender.stop()
        for receiver in self.receivers:
            receiver.stop()

    @property
    def all_turn(self) -> bool:
        """Whether both last hops ask the winner in the end: not where pimd's Asserts are of the source."""
        return not self.shared or self.scene.winner is self.scene.r2

    def settled(self) -> bool:
        """Whether the winner alone forwards, and nobody else has reason to begin again."""
        winner = {self.scene.winner.name}
        return self.forwarders() == winner and (not self.all_turn or self.outgoing_of_r1() == winner)

    def assert_asked(self, winner: Node) -> None:
        """That both last hops ask the winner."""
        asked = winner.port(self.scene.lan).pim_address(self.family)
        for node in (self.scene.r4, self.scene.r5):
            entry = self.scene.daemons[node].entry(self.joined, self.group)
            assert entry is not None and entry["rpf_neighbor"] == asked, entry

    def outgoing_of_r1(self) -> set[str]:
        """Where r1 has a Join from."""
        rows = self.scene.daemons[self.scene.r1].show("mroute", self.family)
        found = [row for row in rows if row["row"] == "outgoing" and row["jp_state"] != "no_info"]
        key = self.joined, self.group
        return {row["outgoing_interface"] for row in found if (row["source_address"], row["group"]) == key}

    def forwarders(self) -> set[str]:
        """Whose kernel sends the stream onto the LAN."""
        lan = self.scene.lan.name
        return {n.name for n in (self.scene.r2, self.scene.p) if lan in forwards(n, self.source, self.group)}

    def assert_states(self) -> set[str]:
        """Our part in it, by the tree's Asserts and the source's."""
        rows = self.scene.daemons[self.scene.r2].show("mroute", self.family)
        keys = [(source, self.group, self.scene.lan.name) for source in {self.joined, self.source}]
        found = [row for row in rows if row["row"] == "outgoing"]
        names = ("source_address", "group", "outgoing_interface")
        return {str(row["assert_state"]) for row in found if tuple(row[name] for name in names) in keys}

    def assert_elected(self) -> None:
        """Of the metrics that both told the better one won, as 4.6.3 has it."""
        scene = self.scene
        only = f"pim.type == 5 && {'pim.group' if self.family == 4 else 'pim.group_ip6'} == {self.group}"
        told: dict[str, list[Metric]] = {}
        for mac, rpt, preference, metric in self.capture.fields(
            only, "eth.src", "pim.rpt", "pim.metric_pref", "pim.metric"
        ):
            node = next(node for node, port in scene.lan.ports.items() if port.mac == mac)
            told.setdefault(node.name, []).append((rpt not in ("0", "False"), int(preference), int(metric)))
        print(f"{scene.p}, IPv{self.family}, {self.joined}: {told}")
        best = [metric for metric in told[scene.winner.name] if metric[0] == self.shared or not self.all_turn]
        assert best, "the winner said so, which it does only where another one's packets came"
        assert all(metric > best[-1] for metric in told.get(scene.loser.name, ())), "who lost had a worse metric"


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("frr", "pimd", "pimpyd", "captures")
def test_ours_and_the_others_elect_one(lab: Lab) -> None:
    """All at the same time, for pimd's beginning is long.

    FRR 10.3 sends no Assert here, and does not stop at ours, though it tells itself that it lost (#21980, #22636). What
    must work does: ours asserts, the last hops ask ours from then on, and so FRR's Join ends with its hold time. So it
    is with a channel's Asserts, and with those of the RP's tree, (*,G), where nobody takes a source's own tree.

    pimd 2.3.2 says in an Assert that it is on the source's own tree (RPT bit 0) when it is on the RP's alone, to which
    any metric of the RP's tree loses, and says the other in its answer to an Assert that has the bit. Where it is to
    win, it does. Where ours is to win on the RP's tree, that is left out: the last hops have turned to ours by our
    Assert, ours has lost the source to pimd's (4.6.1) and forwards it no more, and pimd, whose Joins have ended, does
    not either and sends no AssertCancel (4.6.4), so that nobody does until our Assert Timer of three minutes expires.
    """
    start = Start(lab)
    ours, theirs, beside_frr = (
        Scene(lab, start, who, number) for number, who in enumerate(("ours", "theirs", "ours"), 1)
    )
    lab.start()
    lab.capture_all()
    start.launch((ours, theirs, beside_frr))
    pimds = [scene.pimd() for scene in (ours, theirs)]
    frr = beside_frr.frr()
    for daemon in start.daemons.values():
        daemon.wait_ready()
    for family in (4, 6):
        beside_frr.wait_neighbors(family, lambda f=family: frr.neighbors(f))  # type: ignore[misc]
    said: list[str] = []
    channels = [Contest(beside_frr, family, "SG", UNTIL_EXPIRY) for family in (4, 6)]
    play(channels, lambda: said.append(frr.ask("pimd", "show ip pim assert")))
    print(f"FRR, whose kernel forwarded on: {said[0]}")
    assert "LOSER" in said[0]
    play([Contest(beside_frr, family, "WG", UNTIL_EXPIRY) for family in (4, 6)])
    for scene, pimd in zip((ours, theirs), pimds, strict=True):
        scene.wait_neighbors(4, pimd.neighbors)
    play([Contest(scene, 4, "SG") for scene in (ours, theirs)])
    play([Contest(theirs, 4, "WG")])
    assert_clean(lab, *start.daemons)
