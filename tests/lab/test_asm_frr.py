"""FRR 10.3 in each place of an any-source stream's way, ours in the others: src - a - b - c - h.

What it does in its own way: as the RP it forwards nothing of what comes in Registers, so that the first packets of a
new stream are missing until its Join has brought the source's own tree; the capture shows ours in Registers all the
while. It takes nothing off the TTL of what it puts into a Register. And it repeats Joins, and sends the Prune off the
shared tree, with its next periodic message only (#22776), which is why that comes each 5 s here.
"""

from __future__ import annotations

import pytest

from .asm_rows import RATE, ROLES, Foreign, Row, Stream, make_row, play
from .capture import assert_clean
from .frr import Frr
from .helpers import eventually
from .pimpyd import QUICK, Pimpyd
from .topology import Lab

FAMILIES = pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
pytestmark = pytest.mark.usefixtures("frr", "pimpyd", "captures")


def frr_of(row: Row, family: int) -> Frr:
    """FRR with short intervals, knowing the RP; it repeats Joins each 5 s, for it sends some no sooner (#22776)."""
    ip, gmp, router = ("ip", "ip igmp", "pim") if family == 4 else ("ipv6", "ipv6 mld", "pim6")
    ranges = {4: "224.0.0.0/4", 6: "ff00::/8"}
    lines = [f"{ip} pim hello 1 4", f"{gmp} query-max-response-time 10", f"{gmp} query-interval 2", gmp]
    settings = [f"router {router}", f" rp {row.rp.address(family)} {ranges[family]}", " join-prune-interval 5", "exit"]
    return Frr(row.foreign, [], [family], {family: lines}, {family: settings})


def start(row: Row, family: int) -> tuple[Frr, list[Pimpyd]]:
    """All of them; neighbours know each other."""
    text = f"{QUICK}join-prune-interval 5\n{row.rp_lines()}"
    daemons = [Pimpyd(node, text).launch() for node in row.ours]
    frr = frr_of(row, family).start()
    for daemon in daemons:
        daemon.wait_ready()
    by_node = {daemon.node: daemon for daemon in daemons}
    for port in frr.node.ports.values():
        for node, other in port.link.ports.items():
            if (one := by_node.get(node)) is not None:
                theirs, ours = port.pim_address(family), other.pim_address(family)
                eventually(one, lambda d=one, a=theirs: a in d.neighbors(family), "FRR is a neighbour")  # type: ignore[misc]
                eventually(one, lambda a=ours: a in frr.neighbors(family), "we are FRR's")  # type: ignore[misc]
    return frr, daemons


@FAMILIES
@pytest.mark.parametrize("role", list(ROLES))
def test_frr_in_each_place(lab: Lab, family: int, role: str) -> None:
    row = make_row(lab, role)
    lab.start()
    lab.capture_all()
    frr, daemons = start(row, family)

    def agrees(stream: Stream) -> bool:
        found = frr.show(family, "mroute").get(stream.group, {}).get(stream.source, {})
        left = "src" if role == "first_hop" else "b" if role == "last_hop" else "a"
        right = {"first_hop": "b", "last_hop": "h"}.get(role, "c")
        return bool(found.get("iif") == left and right in found.get("oil", {}))

    def has_tree(stream: Stream) -> bool:
        return "*" in frr.show(family, "pim upstream").get(stream.group, {})

    streams = play(row, family, daemons, Foreign(agrees, has_tree))
    for stream in streams:
        stream.end()
    if role in ("last_hop", "middle"):
        assert streams[0].began.first_seq == 0, "who registers and who takes it out are ours: the first packet arrives"
    if role == "rp":
        assert_registered(row, streams[0])
    assert_clean(lab, *row.ours)


def assert_registered(row: Row, stream: Stream) -> None:
    """That our first hop put the first packets into Registers, and stopped when it was told to."""
    link = row.routers[0].port("b").link
    capture = next(one for one in row.lab.captures if one.link is link)
    data = capture.fields("pim.type == 1 and pim.register_flag.null_register == 0", "frame.time_epoch")
    stops = capture.fields("pim.type == 2", "frame.time_epoch")
    assert data and stops, "Registers and a Register-Stop"
    assert float(data[0][0]) < float(stops[0][0]) < stream.began.last_time
    assert float(data[0][0]) < stream.began.first_time, "before anything arrived"
    assert len(data) < RATE, "no more than passed until the stop"
