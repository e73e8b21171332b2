"""RPs found by Bootstrap messages, with shortened intervals: election, failure, graceful leaving, streams meanwhile.

src - a - c - d - h      x hangs on c and y on d; both are candidate BSRs and candidate RPs
"""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Iterable, Iterator
from itertools import pairwise

import pytest

from .pimpyd import QUICK, Pimpyd
from .scenes import Net
from .shell import wait_until
from .topology import Lab, Node
from .traffic import Receiver, Sender

PERIOD = 3
"""BS_Period in these labs: a BSR counts as silent after 16 s, its messages are half a second apart at least."""
COMMON = f"{QUICK}bsr-interval {PERIOD}\n"
ANY = {4: "224.0.0.0/4", 6: "ff00::/8"}
KIND = {4: "ipv4", 6: "ipv6"}


def candidate(node: Node, towards: str, bsr: int | None, rp: int | None = 192) -> str:
    """The lines of a candidate of both families with its addresses on a link."""
    text = COMMON
    for address in (node.port(towards).ipv4, node.port(towards).ipv6):
        text += "" if bsr is None else f"bsr-candidate {address} priority {bsr}\n"
        text += "" if rp is None else f"rp-candidate {address} priority {rp} interval 3\n"
    return text


class Star:
    """The network above, with both candidates known everywhere in both families, x being the BSR."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.src, self.h = lab.host("src"), lab.host("h")
        self.a, self.c, self.d, self.x, self.y = (lab.router(name) for name in "acdxy")
        for left, right in pairwise((self.src, self.a, self.c, self.d, self.h)):
            lab.link(left, right)
        lab.link(self.c, self.x)
        lab.link(self.d, self.y)
        self.between = self.c.port("d").link
        self.addresses = {
            family: {node: node.port(at).address(family) for node, at in ((self.x, "c"), (self.y, "d"))}
            for family in (4, 6)
        }
        texts = dict.fromkeys((self.a, self.c, self.d), COMMON)
        self.net = Net(lab, texts | {self.x: candidate(self.x, "c", 65), self.y: candidate(self.y, "d", 64)})
        self.daemons = self.net.daemons
        self.used: set[str] = set()

    def connect(self, up: bool) -> None:
        """The link between c and d goes up or down, as routing sees it too."""
        self.between.set_up(up)
        self.lab.reroute()

    def mend(self) -> None:
        """All is as at the beginning."""
        if not self.between.up:
            self.connect(True)
        self.net.mend()
        self.wait_agreed()

    def wait_agreed(self) -> None:
        """Until x is the BSR of all, and both RPs are known everywhere."""
        for family, addresses in self.addresses.items():
            both = set(addresses.values())
            wait_until(lambda f=family, b=both: agreed(self.daemons.values(), f) == b, 60, "all know the RPs")  # type: ignore[misc]
            assert {bsr(daemon, family) for daemon in self.daemons.values()} == {addresses[self.x]}, (
                "of higher priority"
            )

    def new_groups(self, family: int) -> tuple[str, str]:
        """Two groups whose RP is x."""
        told = chosen(self.daemons[self.d], random_groups(family, 100))
        found = [group for group, rp in told.items() if rp == self.addresses[family][self.x] and group not in self.used]
        self.used |= {*found[:2]}
        return found[0], found[1]


def rps(daemon: Pimpyd, family: int) -> frozenset[str]:
    """The RPs that it learned for all groups."""
    rows = daemon.show("rp-set", family)
    return frozenset(row["rp_address"] for row in rows if row["group_prefix"] == ANY[family])


def rp_set(daemon: Pimpyd, family: int) -> set[tuple[object, ...]]:
    """All that decides about RPs: ranges, RPs, priorities, hash masks, zones."""
    names = ("zone", "group_prefix", "rp_address", "info_source", "mode", "priority", "hash_mask_length", "usable")
    return {tuple(row[name] for name in names) for row in daemon.show("rp-set", family)}


def bsr(daemon: Pimpyd, family: int) -> str | None:
    """Whom it takes for the BSR."""
    rows = daemon.show("bsr", family)
    return next((row["bsr_address"] for row in rows if row["row"] == "zone" and row["zone"] == "global"), None)


def agreed(daemons: Iterable[Pimpyd], family: int) -> set[str] | None:
    """The RPs, if all know the same ones and the same BSR; else None."""
    told = {(bsr(daemon, family), rps(daemon, family)) for daemon in daemons}
    return set(told.pop()[1]) if len(told) == 1 else None


def chosen(daemon: Pimpyd, groups: Iterable[str]) -> dict[str, str | None]:
    """Each group's RP, asked of the daemon over one connection, a hundred questions at a time."""
    found: dict[str, str | None] = {}
    left = list(groups)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(daemon.socket))
        with client.makefile("rwb") as stream:
            while left:
                some, left = left[:100], left[100:]
                stream.write(b"".join(json.dumps({"command": f"show rp {group}"}).encode() + b"\n" for group in some))
                stream.flush()
                for group in some:
                    rows = json.loads(stream.readline())["rows"]
                    found[group] = next((row["rp_address"] for row in rows if row["is_selected"]), None)
    return found


def random_groups(family: int, count: int = 1000) -> list[str]:
    """Groups outside the SSM ranges."""
    draw = random.Random(1)
    if family == 4:
        return [
            f"{draw.choice((225, 239))}.{draw.randrange(256)}.{draw.randrange(256)}.{draw.randrange(256)}"
            for _ in range(count)
        ]
    return [f"ff1e::{draw.randrange(1, 65536):x}:{draw.randrange(1, 65536):x}" for _ in range(count)]


def assert_agreed(star: Star) -> None:
    """That all routers have the same RP for a thousand groups of each family."""
    daemons, first_hop = star.daemons, star.daemons[star.a]
    assert "elected" in daemons[star.x].pimctl("show", "bsr")
    for family in (4, 6):
        groups = random_groups(family)
        first = chosen(first_hop, groups)
        assert chosen(daemons[star.x], groups) == first
        for node in (star.c, star.d, star.y):  # what these go by is the same, and so is what they make of some
            assert rp_set(daemons[node], family) == rp_set(first_hop, family)
            assert chosen(daemons[node], groups[:100]) == {group: first[group] for group in groups[:100]}
        shares = [list(first.values()).count(rp) for rp in set(first.values())]
        assert len(shares) == 2 and min(shares) > 10, "the hash spreads them"
        group, rp = next(iter(first.items()))
        text = daemons[star.d].pimctl("show", "rp", group)
        assert str(rp) in text and "bsr" in text
        (way,) = first_hop.show(f"rpf {star.addresses[family][star.x]}", family)
        assert (way["rpf_interface"], way["rpf_state"]) == ("c", "neighbor"), way
        assert way["rpf_neighbor"] == star.c.port("a").pim_address(family)


class Stream:
    """From src to h, of a group whose RP is x; y is the RP to come."""

    def __init__(self, star: Star, family: int) -> None:
        self.star, self.family = star, family
        self.y = star.addresses[family][star.y]
        self.group, self.later = star.new_groups(family)
        self.tools: list[Receiver | Sender] = []
        self.receiver, self.sender = self.begin(self.group)
        self.receiver.reset()

    def begin(self, group: str) -> tuple[Receiver, Sender]:
        receiver = Receiver(self.star.h.port("d"), [(None, group)])
        sender = Sender(self.star.src.port("a"), [group], rate=200)
        self.tools += [receiver, sender]
        receiver.wait_for(200, 30)
        return receiver, sender

    def assert_nothing_lost(self) -> None:
        self.receiver.wait_for(200)
        assert self.receiver.stream(self.sender.source, self.group).lost == 0

    def assert_moved(self) -> None:
        """y is BSR and the only RP, the group's RP too, and a stream that begins now arrives by it."""
        ours = self.star.net.living()
        wait_until(lambda: {bsr(daemon, self.family) for daemon in ours} == {self.y}, 60, "y is the BSR")
        wait_until(lambda: agreed(ours, self.family) == {self.y}, 60, "x is no RP any more")
        assert chosen(self.star.daemons[self.star.a], [self.group]) == {self.group: self.y}
        self.begin(self.later)

    def stop(self) -> None:
        for tool in self.tools:
            tool.stop()


@pytest.fixture(scope="module")
def standing_star(standing_lab: Lab) -> Iterator[Star]:
    scene = Star(standing_lab)
    yield scene
    scene.net.assert_clean()


@pytest.fixture
def star(standing_star: Star) -> Star:
    standing_star.mend()
    return standing_star


@pytest.fixture
def streams(star: Star) -> Iterator[list[Stream]]:
    """One of each family, flowing."""
    both = [Stream(star, family) for family in (4, 6)]
    yield both
    for stream in both:
        stream.stop()


def test_two_halves_that_are_joined_agree(star: Star) -> None:
    """a - c, x at c and d, y at d: first they do not see each other."""
    star.connect(False)
    halves = ((star.a, star.c, star.x), star.x), ((star.d, star.y), star.y)
    for family, addresses in star.addresses.items():
        for nodes, candidate in halves:
            half, alone = [star.daemons[node] for node in nodes], addresses[candidate]
            wait_until(lambda h=half, f=family, r=alone: agreed(h, f) == {r}, 60, "each half has its own RP")  # type: ignore[misc]
            assert {bsr(daemon, family) for daemon in half} == {alone}
    star.connect(True)
    star.wait_agreed()
    for family, addresses in star.addresses.items():
        groups = random_groups(family, 200)
        told = [chosen(daemon, groups) for daemon in star.daemons.values()]
        assert all(one == told[0] for one in told) and set(told[0].values()) == set(addresses.values())


def test_all_routers_agree_on_a_thousand_groups_and_bsr_and_rp_leave_gracefully(
    star: Star, streams: list[Stream]
) -> None:
    assert_agreed(star)
    assert star.daemons[star.x].stop() == 0
    left = time.monotonic()
    for stream in streams:
        stream.assert_moved()
        stream.assert_nothing_lost()
    assert time.monotonic() - left < 25 + 20, "at once, but for the election"


def test_bsr_and_rp_die_the_others_take_over_and_streams_go_on(star: Star, streams: list[Stream]) -> None:
    star.daemons[star.x].kill()
    for stream in streams:
        stream.assert_moved()
        stream.assert_nothing_lost()
