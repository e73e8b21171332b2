"""How long a stream goes on after the last member's leave, on the link and at the first hop (RFC 9776 6.6.3).

    src - r1 - r2 - r3 - lan (two hosts)

What `python tests/bench/membership_cost.py` prints of one router is held here for the whole way, in virtual time.
"""

from __future__ import annotations

import pytest
from network import Net

from pimpy.config.model import Config, Phyint
from pimpy.wire.family import Address, Family, parse_address

LAST_MEMBER_QUERY_TIME = 2.0
"""Seconds with defaults: two queries, one second apart (RFC 9776 8.10, RFC 9777 9.10)."""
FIRST_HOP = 0.1
"""Seconds that the Prunes may take on the way to the first hop, over two links of 10 ms."""
STEP = 0.01


class Way:
    """The routers, a stream, and two hosts of which only those that join want it."""

    def __init__(self, family: Family, *, tracked: bool) -> None:
        phyint = Phyint("lan", immediate_leave="tracked" if tracked else None)
        self.net = Net(family)
        for name in ("r1", "r2", "r3"):
            self.net.router(name, Config(phyints=(phyint,) if name == "r3" else ()))
        self.net.link("src", "r1")
        for one, other in (("r1", "r2"), ("r2", "r3")):
            self.net.link(f"{one}-{other}", one, other, p2p=True, delay=STEP)
        self.net.link("lan", "r3")
        self.source = self.net.source("src")
        self.one, self.two = self.net.host("lan", 100), self.net.host("lan", 101)
        self.group: Address = parse_address("232.1.1.1" if family.size == 4 else "ff3e::8000:1")
        self.net.start()
        self.net.run(60)

    def ends(self, seconds: float) -> dict[str, float | None]:
        """When the last hop and the first hop stop forwarding, in seconds from now; None if they go on."""
        found: dict[str, float | None] = {"r3": None, "r1": None}
        for number in range(int(seconds / STEP)):
            for name in found:
                if found[name] is None and not self.net.forwards(name, self.source, self.group):
                    found[name] = number * STEP
            self.net.run(STEP)
        return found


@pytest.mark.parametrize("tracked", [False, True], ids=["asked", "tracked"])
def test_I9_silence_on_the_link_and_at_the_first_hop_after_the_last_leave(family: Family, tracked: bool) -> None:
    way = Way(family, tracked=tracked)
    way.one.join(way.group, way.source)
    way.net.run(5)
    assert way.net.flows(way.source, way.group) == {"src", "r1-r2", "r2-r3", "lan"}
    way.one.leave(way.group, way.source)
    ends = way.ends(4.0)
    last, first = ends["r3"], ends["r1"]
    assert last is not None and first is not None
    expected = 0.0 if tracked else LAST_MEMBER_QUERY_TIME
    assert last == pytest.approx(expected, abs=1.5 * STEP)
    assert last < first <= last + FIRST_HOP


@pytest.mark.parametrize("tracked", [False, True], ids=["asked", "tracked"])
def test_I9_a_member_that_answers_never_misses_a_packet(family: Family, tracked: bool) -> None:
    """The other one's leave, and its repeats, cut nobody: a packet every 10 ms arrives once."""
    way = Way(family, tracked=tracked)
    for host in (way.one, way.two):
        host.join(way.group, way.source)
    way.net.run(5)
    way.one.leave(way.group, way.source)
    for number in range(int(5.0 / STEP)):
        assert way.net.packet(way.source, way.group).count("lan") == 1, f"{number * STEP:.2f} s after the leave"
        way.net.run(STEP)
    way.two.leave(way.group, way.source)
    assert None not in way.ends(4.0).values(), "without a member it ends: the control"
