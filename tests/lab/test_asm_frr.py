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

FAMILIES = (4, 6)
pytestmark = pytest.mark.usefixtures("frr", "pimpyd", "captures")


def frr_of(row: Row) -> Frr:
    """FRR with short intervals, knowing the RP; it repeats Joins each 5 s, for it sends some no sooner (#22776)."""
    lines, settings = {}, {}
    for family in FAMILIES:
        ip, gmp, router = ("ip", "ip igmp", "pim") if family == 4 else ("ipv6", "ipv6 mld", "pim6")
        rp = f" rp {row.rp.address(family)} {'224.0.0.0/4' if family == 4 else 'ff00::/8'}"
        lines[family] = [f"{ip} pim hello 1 4", f"{gmp} query-max-response-time 10", f"{gmp} query-interval 2", gmp]
        settings[family] = [f"router {router}", rp, " join-prune-interval 5", "exit"]
    return Frr(row.foreign, lines=lines, settings=settings)


def start(row: Row) -> tuple[Frr, list[Pimpyd]]:
    """All of them; neighbours know each other."""
    text = f"{QUICK}join-prune-interval 5\n{row.rp_lines()}"
    daemons = [Pimpyd(node, text).launch() for node in row.ours]
    frr = frr_of(row).start()
    for daemon in daemons:
        daemon.wait_ready()
    for daemon in daemons:
        for family in FAMILIES:
            wait_adjacent(daemon, frr, family)
    return frr, daemons


def wait_adjacent(daemon: Pimpyd, frr: Frr, family: int) -> None:
    """Until they know each other, if they have a link."""
    for port in frr.node.ports.values():
        if (other := port.link.ports.get(daemon.node)) is not None:
            theirs, ours = port.pim_address(family), other.pim_address(family)
            eventually(daemon, lambda a=theirs: a in daemon.neighbors(family), f"{theirs} is a neighbour")  # type: ignore[misc]
            eventually(daemon, lambda a=ours: a in frr.neighbors(family), f"{ours} is FRR's")  # type: ignore[misc]


@pytest.mark.parametrize("role", list(ROLES))
def test_frr_in_each_place(lab: Lab, role: str) -> None:
    row = make_row(lab, role)
    lab.start()
    lab.capture_all()
    frr, daemons = start(row)
    played = [play_beside(row, family, frr, daemons, role) for family in FAMILIES]
    for streams in played:
        if role in ("last_hop", "middle"):
            what = "who registers and who takes it out are ours: the first packet arrives"
            assert streams[0].began.first_seq == 0, (streams[0].key, what)
        if role == "rp":
            assert_registered(row, streams[0])
    assert_clean(lab, *row.ours)


def play_beside(row: Row, family: int, frr: Frr, daemons: list[Pimpyd], role: str) -> list[Stream]:
    """The streams of one family, to their end."""

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
    return streams


def assert_registered(row: Row, stream: Stream) -> None:
    """That our first hop put the first packets into Registers, and stopped when it was told to."""
    link = row.routers[0].port("b").link
    capture = next(one for one in row.lab.captures if one.link is link)
    name = "ip" if stream.family == 4 else "ipv6"
    data = capture.fields(f"{name} and pim.type == 1 and pim.register_flag.null_register == 0", "frame.time_epoch")
    stops = capture.fields(f"{name} and pim.type == 2", "frame.time_epoch")
    assert data and stops, f"Registers and a Register-Stop for {stream.key}"
    assert float(data[0][0]) < float(stops[0][0]) < stream.began.last_time
    assert float(data[0][0]) < stream.began.first_time, "before anything arrived"
    assert len(data) < RATE, "no more than passed until the stop"
