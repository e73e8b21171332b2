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

from .asm_rows import ROLES, Foreign, Row, Stream, make_row, play
from .capture import assert_clean
from .helpers import eventually
from .pimd import Pimd
from .pimpyd import QUICK, Pimpyd
from .topology import Lab

BEGINNING = 22.0

pytestmark = pytest.mark.usefixtures("pimd", "pimpyd", "captures")


def start(row: Row) -> tuple[Pimd, list[Pimpyd]]:
    """All of them; neighbours know each other, and pimd takes Joins."""
    started = time.monotonic()
    text = f"{QUICK}join-prune-interval 5\n{row.rp_lines()}"
    daemons = [Pimpyd(node, text).launch() for node in row.ours]
    spt = "spt-threshold packets 0 interval 5\n"
    pimd = Pimd(row.foreign, f"rp-address {row.rp.ipv4} 224.0.0.0/4\n{spt}igmp-query-interval 12\n").start()
    by_node = {daemon.node: daemon for daemon in daemons}
    for daemon in daemons:
        daemon.wait_ready()
    for port in pimd.node.ports.values():
        for node, other in port.link.ports.items():
            if (one := by_node.get(node)) is not None:
                theirs, ours = port.ipv4, other.ipv4
                eventually(one, lambda d=one, a=theirs: a in d.neighbors(4), "pimd is a neighbour")  # type: ignore[misc]
                eventually(one, lambda a=ours: a in pimd.neighbors(), "we are pimd's")  # type: ignore[misc]
    time.sleep(max(0.0, started + BEGINNING - time.monotonic()))
    return pimd, daemons


@pytest.mark.parametrize("role", list(ROLES))
def test_pimd_in_each_place(lab: Lab, role: str) -> None:
    row = make_row(lab, role)
    pimd, daemons = start(row)
    left = {"first_hop": "src", "last_hop": "b"}.get(role, "a")
    right = {"first_hop": "b", "last_hop": "h"}.get(role, "c")

    def agrees(stream: Stream) -> bool:
        route = pimd.route(*stream.key, row.rp.ipv4)
        return route is not None and route[0] == left and right in route[1]

    def has_tree(stream: Stream) -> bool:
        return re.search(rf"^INADDR_ANY +{re.escape(stream.group)} ", pimd.dump(), re.MULTILINE) is not None

    streams = play(row, 4, daemons, Foreign(agrees, has_tree), source_first=role != "rp")
    if role in ("last_hop", "middle"):
        assert streams[0].began.first_seq == 0, "who registers and who takes it out are ours: the first packet arrives"
    for stream in streams:
        stream.end()
    assert_clean(lab, *row.ours)
