"""A last hop that takes a source's own tree prunes it off the shared one (RFC 7761 4.5.7), beside foreign peers.

    src - r1 --------- lh - h       the RP is between, on a way of its own: with the source's own tree
           `--- rp ---'              lh gets nothing from there any more

Four such ways begin at r1, each with groups of its own. The last hop or the RP is FRR 10.3 (both families) or pimd
2.3.2 (IPv4). FRR sends Prune(S,G,rpt) with its next periodic message (#22776), which is why that comes each 5 s here.
Copies by both ways are none for h, as lh forwards what comes in by the one interface alone; so it is the RP's kernel
that tells of the Prune, and h of losses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import pytest

from .capture import assert_clean, tshark_fields
from .frr import Frr
from .kernel import forwards, mfc
from .pimd import Pimd
from .pimpyd import QUICK, Pimpyd
from .shell import wait_until
from .topology import Lab, Node
from .traffic import Receiver, Sender

RATE = 200
JOINS, FRR_JOINS = 3, 5
GROUPS = {4: "239.7.{}.7", 6: "ff1e:{}::7"}
RANGES = {4: "239.7.{}.0/24", 6: "ff1e:{}::/32"}
PIMD_BEGINS = 22.0
"""Seconds in which a pimd that has just started takes no Join for a source that is not on a link of its own."""


class Start:
    """Where all ways begin: the source and its router. Holds the daemons that are ours."""

    def __init__(self, lab: Lab) -> None:
        self.src, self.r1 = lab.host("src"), lab.router("r1")
        lab.link(self.src, self.r1)
        self.daemons: dict[Node, Pimpyd] = {}

    def launch(self, scenes: Iterable[Scene]) -> None:
        """Ours, once the lab stands: r1 knows the RPs of all."""
        common = f"{QUICK}join-prune-interval {JOINS}\n"
        lines = {scene: scene.rp_lines() for scene in scenes}
        texts = {scene.ours: common + text for scene, text in lines.items()}
        texts[self.r1] = common + "".join(lines.values())
        self.daemons |= {node: Pimpyd(node, text).launch() for node, text in texts.items()}


class Scene:
    """One way, its nodes' names ending in its number, `foreign` being lh or rp."""

    def __init__(self, lab: Lab, start: Start, foreign: str, number: int) -> None:
        self.number = number
        self.src, self.r1, self.daemons = start.src, start.r1, start.daemons
        self.h = lab.host(f"h{number}")
        self.rp, self.lh = (lab.router(f"{name}{number}") for name in ("rp", "lh"))
        for left, right in ((self.r1, self.lh), (self.r1, self.rp), (self.rp, self.lh), (self.lh, self.h)):
            lab.link(left, right)
        self.foreign, self.ours = (self.lh, self.rp) if foreign == "lh" else (self.rp, self.lh)
        self.address = self.rp.port(self.lh)

    def prefix(self, family: int) -> str:
        """The groups whose RP is this way's."""
        return RANGES[family].format(self.number)

    def rp_lines(self) -> str:
        """The RP in our configuration."""
        return "".join(f"rp-address {self.address.address(family)} {self.prefix(family)}\n" for family in (4, 6))

    def frr(self) -> Frr:
        """FRR at its place, with short intervals."""
        lines, settings = {}, {}
        for family in (4, 6):
            ip, gmp, router = ("ip", "ip igmp", "pim") if family == 4 else ("ipv6", "ipv6 mld", "pim6")
            lines[family] = [f"{ip} pim hello 1 4", f"{gmp} query-max-response-time 10", f"{gmp} query-interval 2", gmp]
            rp = f" rp {self.address.address(family)} {self.prefix(family)}"
            settings[family] = [f"router {router}", rp, f" join-prune-interval {FRR_JOINS}", "exit"]
        return Frr(self.foreign, lines=lines, settings=settings).start()

    def pimd(self) -> Pimd:
        """pimd at its place."""
        rp = f"rp-address {self.address.ipv4} {self.prefix(4)}\n"
        return Pimd(self.foreign, f"{rp}spt-threshold packets 0 interval 5\nigmp-query-interval 12\n").start()

    def wait_neighbors(self, family: int, theirs: Callable[[], set[str]]) -> None:
        for port in self.foreign.ports.values():
            for node, other in port.link.ports.items():
                if (ours := self.daemons.get(node)) is not None:
                    them, us = port.pim_address(family), other.pim_address(family)
                    wait_until(lambda d=ours, a=them: a in d.neighbors(family), 60, f"{node} knows it")  # type: ignore[misc]
                    wait_until(lambda a=us: a in theirs(), 60, f"it knows {node}")  # type: ignore[misc]


class Flow:
    """A stream of one family over a scene: it begins by the RP and moves to its own tree."""

    def __init__(self, scene: Scene, family: int) -> None:
        self.scene, self.family = scene, family
        self.group, self.source = GROUPS[family].format(scene.number), scene.src.port(scene.r1).address(family)
        self.receiver: Receiver
        self.sender: Sender

    def join(self) -> None:
        self.receiver = Receiver(self.scene.h.port(self.scene.lh), [(None, self.group)])

    def send(self) -> None:
        """Once the shared tree stands."""
        wait_until(self.has_tree, 60, f"the shared tree of {self.scene.foreign} stands")
        self.sender = Sender(self.scene.src.port(self.scene.r1), [self.group], rate=RATE)

    def wait_pruned(self) -> None:
        """lh gets the stream from r1 alone, and the RP sends it no more."""
        self.receiver.wait_for(RATE, 60)
        wait_until(self.comes_from_r1, 60, f"{self.scene.lh} gets it from r1 alone")
        wait_until(lambda: not self.rp_forwards(), 60, f"{self.scene.rp} sends it no more")

    def check(self) -> None:
        """It stayed so, and nothing was lost or doubled since the last reset."""
        assert not self.rp_forwards(), "nor after the next periodic Joins"
        self.receiver.wait_for(RATE)
        found = self.receiver.stream(self.source, self.group)
        assert (found.lost, found.duplicates, found.reordered) == (0, 0, 0), found
        if self.scene.foreign is self.scene.lh:
            self.assert_ours_tells()
        self.sender.stop()
        self.receiver.stop()

    def has_tree(self) -> bool:
        """Whether lh has joined the RP, as far as ours can tell."""
        rp, lh = (self.scene.daemons.get(node) for node in (self.scene.rp, self.scene.lh))
        if rp is not None:
            rows = rp.show("mroute", self.family)
            return any(r["row"] == "outgoing" and (r["group"], r["source_address"]) == (self.group, "*") for r in rows)
        assert lh is not None
        return ("*", self.group) in lh.joined(self.family)

    def comes_from_r1(self) -> bool:
        entry = mfc(self.scene.lh, self.family).get((self.source, self.group))
        return entry is not None and entry.iif == self.scene.r1.name and self.scene.h.name in entry.oifs

    def rp_forwards(self) -> bool:
        return self.scene.lh.name in forwards(self.scene.rp, self.source, self.group)

    def assert_ours_tells(self) -> None:
        """Our RP has the downstream (S,G,rpt) machine in state Prune."""
        rows = [r for r in self.scene.daemons[self.scene.rp].show("mroute", self.family) if r["row"] == "rpt_outgoing"]
        (row,) = [row for row in rows if (row["source_address"], row["group"]) == (self.source, self.group)]
        told = row["outgoing_interface"], row["prune_state"], row["inherited"]
        assert told == (self.scene.lh.name, "prune", False), row


def assert_seen(lab: Lab, flows: list[Flow]) -> None:
    """That on the wire each lh told its RP to prune the source off the shared tree."""
    files = [capture.stop() for capture in lab.captures]
    rows = tshark_fields(files, "pim.type == 3", "eth.src", "pim.prune_ip", "pim.prune_ip6")
    pruned = {(mac, source) for mac, *lists in rows for text in lists for source in text.split(",")}
    for flow in flows:
        assert (flow.scene.lh.port(flow.scene.rp).mac, flow.source) in pruned, f"the Prune(S,G,rpt) of {flow.group}"


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("frr", "pimd", "pimpyd", "captures")
def test_the_last_hop_prunes_the_source_off_the_shared_tree(lab: Lab) -> None:
    """Each foreign router as last hop and as RP, all at the same time, for pimd's beginning is long."""
    start = Start(lab)
    frr = [Scene(lab, start, "lh", 1), Scene(lab, start, "rp", 2)]
    pimd = [Scene(lab, start, "lh", 3), Scene(lab, start, "rp", 4)]
    scenes = [*frr, *pimd]
    lab.start()
    lab.capture_all()
    start.launch(scenes)
    for daemon in start.daemons.values():
        daemon.wait_ready()
    started = time.monotonic()
    pimds = [scene.pimd() for scene in pimd]
    for scene in frr:
        router = scene.frr()
        for family in (4, 6):
            scene.wait_neighbors(family, lambda r=router, f=family: r.neighbors(f))  # type: ignore[misc]
    for scene, peer in zip(pimd, pimds, strict=True):
        scene.wait_neighbors(4, peer.neighbors)
    time.sleep(max(0.0, started + PIMD_BEGINS - time.monotonic()))
    flows = [Flow(scene, family) for scene in frr for family in (4, 6)] + [Flow(scene, 4) for scene in pimd]
    for step in (Flow.join, Flow.send, Flow.wait_pruned):
        for flow in flows:
            step(flow)
    for flow in flows:
        flow.receiver.reset()
    time.sleep(2 * FRR_JOINS)
    for flow in flows:
        flow.check()
    assert_seen(lab, flows)
    assert_clean(lab, *start.daemons)
