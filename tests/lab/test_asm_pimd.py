"""pimd 2.3.2 in each place of an any-source stream's way, ours in the others: src - a - b - c - h. It knows IPv4 only.

It ticks every 5 s, so ours repeat their Joins that often, and for its first 20 s it takes no Join for a source that is
not on a link of its own, which is waited for. As the RP it forgets a source that nobody wants yet, and stops its
Registers: a receiver that comes later waits for the next one, after the suppression time of half a minute or more. That
is left out.
"""

from __future__ import annotations

import re
import time

import pytest

from .asm_rows import ROLES, Foreign, Stream, make_row, play
from .capture import assert_clean
from .helpers import eventually
from .pimd import Pimd
from .pimpyd import QUICK, Pimpyd
from .topology import Lab

BEGINNING = 22.0

pytestmark = pytest.mark.usefixtures("pimd", "pimpyd", "captures")


class Way:
    """A row with pimd at one place and ours at the others."""

    def __init__(self, lab: Lab, role: str, suffix: str) -> None:
        self.role = role
        self.row = make_row(lab, role, suffix)
        before = [self.row.src, *self.row.routers][self.row.routers.index(self.row.foreign)]
        behind = [*self.row.routers, self.row.host][self.row.routers.index(self.row.foreign) + 1]
        self.left, self.right = before.name, behind.name
        self.daemons: list[Pimpyd] = []
        self.pimd: Pimd

    def launch(self) -> None:
        text = f"{QUICK}join-prune-interval 5\n{self.row.rp_lines()}"
        self.daemons = [Pimpyd(node, text).launch() for node in self.row.ours]
        rp = f"rp-address {self.row.rp.ipv4} 224.0.0.0/4\nspt-threshold packets 0 interval 5\n"
        self.pimd = Pimd(self.row.foreign, f"{rp}igmp-query-interval 12\n").start()

    def wait_neighbors(self) -> None:
        by_node = {daemon.node: daemon for daemon in self.daemons}
        for daemon in self.daemons:
            daemon.wait_ready()
        for port in self.pimd.node.ports.values():
            for node, other in port.link.ports.items():
                if (one := by_node.get(node)) is not None:
                    theirs, ours = port.ipv4, other.ipv4
                    eventually(one, lambda d=one, a=theirs: a in d.neighbors(4), "pimd is a neighbour")  # type: ignore[misc]
                    eventually(one, lambda a=ours: a in self.pimd.neighbors(), "we are pimd's")  # type: ignore[misc]

    def agrees(self, stream: Stream) -> bool:
        route = self.pimd.route(*stream.key, self.row.rp.ipv4)
        return route is not None and route[0] == self.left and self.right in route[1]

    def has_tree(self, stream: Stream) -> bool:
        return re.search(rf"^INADDR_ANY +{re.escape(stream.group)} ", self.pimd.dump(), re.MULTILINE) is not None

    def play(self) -> None:
        foreign = Foreign(self.agrees, self.has_tree)
        streams = play(self.row, 4, self.daemons, foreign, source_first=self.role != "rp")
        if self.role in ("last_hop", "middle"):
            assert streams[0].began.first_seq == 0, "the first packet arrives: registered by ours, taken out by ours"
        for stream in streams:
            stream.end()


@pytest.mark.timeout(240)
def test_pimd_in_each_place(lab: Lab) -> None:
    """All four at the same time, for pimd's beginning is long."""
    ways = [Way(lab, role, str(number)) for number, role in enumerate(ROLES, 1)]
    lab.start()
    lab.capture_all()
    started = time.monotonic()
    for way in ways:
        way.launch()
    for way in ways:
        way.wait_neighbors()
    time.sleep(max(0.0, started + BEGINNING - time.monotonic()))
    for way in ways:
        print(f"pimd is the {way.role}")
        way.play()
    assert_clean(lab, *(node for way in ways for node in way.row.ours))
