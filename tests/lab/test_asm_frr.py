"""FRR 10.3 in each place of an any-source stream's way, ours in the others: src - a - b - c - h.

What it does in its own way: as the RP it forwards nothing of what comes in Registers, so that the first packets of a
new stream are missing until its Join has brought the source's own tree; the capture shows ours in Registers all the
while. It takes nothing off the TTL of what it puts into a Register. And it repeats Joins, and sends the Prune off the
shared tree, with its next periodic message only (#22776), which is why that comes each 5 s here.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .asm_rows import RATE, ROLES, Foreign, Row, Stream, launch, make_rows, play
from .capture import Capture, assert_clean
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
        rp = f" rp {row.rp.address(family)} {row.prefix(family)}"
        lines[family] = [f"{ip} pim hello 1 4", f"{gmp} query-max-response-time 10", f"{gmp} query-interval 2", gmp]
        settings[family] = [f"router {router}", rp, " join-prune-interval 5", "exit"]
    return Frr(row.foreign, lines=lines, settings=settings)


class Scene:
    """A row for each place of FRR, and ours at all other places."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.rows = lab, make_rows(lab)
        lab.start()
        lab.capture_all()
        self.daemons = launch(self.rows.values(), f"{QUICK}join-prune-interval 5\n")
        for daemon in self.daemons.values():
            daemon.wait_ready()


@pytest.fixture(scope="module")
def scene(standing_lab: Lab) -> Iterator[Scene]:
    one = Scene(standing_lab)
    yield one
    assert_clean(standing_lab, *one.daemons)


def wait_adjacent(daemon: Pimpyd, frr: Frr, family: int) -> None:
    """Until they know each other, if they have a link."""
    for port in frr.node.ports.values():
        if (other := port.link.ports.get(daemon.node)) is not None:
            theirs, ours = port.pim_address(family), other.pim_address(family)
            eventually(daemon, lambda a=theirs: a in daemon.neighbors(family), f"{theirs} is a neighbour")  # type: ignore[misc]
            eventually(daemon, lambda a=ours: a in frr.neighbors(family), f"{ours} is FRR's")  # type: ignore[misc]


@pytest.mark.parametrize("role", list(ROLES))
def test_frr_in_each_place(scene: Scene, role: str) -> None:
    row = scene.rows[role]
    daemons = [scene.daemons[node] for node in row.ours]
    frr, capture = frr_of(row).start(), row.routers[0].port(row.routers[1]).link.capture()
    try:
        for daemon in daemons:
            for family in FAMILIES:
                wait_adjacent(daemon, frr, family)
        played = [play_beside(row, family, frr, daemons) for family in FAMILIES]
    finally:
        frr.stop()
        row.end()
    for streams in played:
        if role in ("last_hop", "middle"):
            what = "who registers and who takes it out are ours: the first packet arrives"
            assert streams[0].began.first_seq == 0, (streams[0].key, what)
    if role == "rp":
        assert_registered(capture, [streams[0] for streams in played])


def play_beside(row: Row, family: int, frr: Frr, daemons: list[Pimpyd]) -> list[Stream]:
    """The streams of one family, to their end."""

    def agrees(stream: Stream) -> bool:
        found = frr.show(family, "mroute").get(stream.group, {}).get(stream.source, {})
        nodes = [row.src, *row.routers, row.host]
        place = nodes.index(row.foreign)
        return bool(found.get("iif") == nodes[place - 1].name and nodes[place + 1].name in found.get("oil", {}))

    def has_tree(stream: Stream) -> bool:
        return "*" in frr.show(family, "pim upstream").get(stream.group, {})

    streams = play(row, family, daemons, Foreign(agrees, has_tree))
    for stream in streams:
        stream.end()
    return streams


def assert_registered(capture: Capture, streams: list[Stream]) -> None:
    """That our first hop put the first packets of each into Registers, and stopped when it was told to."""
    what = "pim.type == 2 or (pim.type == 1 and pim.register_flag.null_register == 0)"
    rows = capture.fields(what, "frame.time_epoch", "pim.type", "eth.type")
    for stream in streams:
        protocol = 0x0800 if stream.family == 4 else 0x86DD
        told = [(float(when), kind) for when, kind, found in rows if int(found, 16) == protocol]
        data, stops = ([when for when, found in told if found == kind] for kind in "12")
        assert data and stops, f"Registers and a Register-Stop for {stream.key}"
        assert data[0] < stops[0] < stream.began.last_time
        assert data[0] < stream.began.first_time, "before anything arrived"
        assert len(data) < RATE, "no more than passed until the stop"
