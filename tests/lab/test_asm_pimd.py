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

from .asm_rows import Foreign, Row, Stream, launch, make_rows, play
from .capture import assert_clean
from .helpers import eventually
from .pimd import Pimd
from .pimpyd import QUICK, Pimpyd
from .topology import Lab

BEGINNING = 22.0

pytestmark = pytest.mark.usefixtures("pimd", "pimpyd", "captures")


class Way:
    """A row with pimd at one place and ours at the others."""

    def __init__(self, role: str, row: Row, daemons: list[Pimpyd]) -> None:
        self.role, self.row, self.daemons = role, row, daemons
        nodes = [row.src, *row.routers, row.host]
        place = nodes.index(row.foreign)
        self.left, self.right = nodes[place - 1].name, nodes[place + 1].name
        rp = f"rp-address {row.rp.ipv4} {row.prefix(4)}\nspt-threshold packets 0 interval 5\n"
        self.pimd = Pimd(row.foreign, f"{rp}igmp-query-interval 12\n").start()

    def wait_neighbors(self) -> None:
        by_node = {daemon.node: daemon for daemon in self.daemons}
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
    rows = make_rows(lab)
    lab.start()
    lab.capture_all()
    started = time.monotonic()
    daemons = launch(rows.values(), f"{QUICK}join-prune-interval 5\n")
    ways = [Way(role, row, [daemons[node] for node in row.ours]) for role, row in rows.items()]
    for daemon in daemons.values():
        daemon.wait_ready()
    for way in ways:
        way.wait_neighbors()
    time.sleep(max(0.0, started + BEGINNING - time.monotonic()))
    for way in ways:
        print(f"pimd is the {way.role}")
        way.play()
    assert_clean(lab, *daemons)
