"""RPs found by Bootstrap messages, with shortened intervals: election, failure, graceful leaving, streams meanwhile.

src - a - c - d - h      x and y hang on c; x and y are candidate BSRs and candidate RPs
"""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass

from .capture import assert_clean
from .pimpyd import QUICK, Pimpyd, wait_neighbors
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


def star(lab: Lab) -> dict[str, Node]:
    """The network above."""
    nodes = {name: lab.host(name) if name in ("src", "h") else lab.router(name) for name in ("src", "h", *"acdxy")}
    for left, right in (("src", "a"), ("a", "c"), ("c", "d"), ("d", "h"), ("c", "x"), ("c", "y")):
        lab.link(nodes[left], nodes[right])
    lab.start()
    return nodes


def start(lab: Lab, nodes: dict[str, Node]) -> dict[str, Pimpyd]:
    """pimpyd on all five, x the BSR and both RPs known everywhere, in both families."""
    texts = {"x": candidate(nodes["x"], "c", 65), "y": candidate(nodes["y"], "c", 64)}
    daemons = {name: Pimpyd(nodes[name], texts.get(name, COMMON)).launch() for name in "acdxy"}
    for daemon in daemons.values():
        daemon.wait_ready()
    wait_neighbors(list(daemons.values()))
    for family in (4, 6):
        both = {nodes[name].port("c").address(family) for name in "xy"}
        wait_until(lambda f=family, b=both: agreed(daemons.values(), f) == b, 40, "all know the RPs")  # type: ignore[misc]
    return daemons


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
    """Each group's RP, asked of the daemon one by one over one connection."""
    found: dict[str, str | None] = {}
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(daemon.socket))
        with client.makefile("rwb") as stream:
            for group in groups:
                stream.write(json.dumps({"command": f"show rp {group}"}).encode() + b"\n")
                stream.flush()
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


def assert_agreed(nodes: dict[str, Node], daemons: dict[str, Pimpyd]) -> None:
    """That all routers have the same RP for a thousand groups of each family."""
    assert "elected" in daemons["x"].pimctl("show", "bsr")
    for family in (4, 6):
        groups = random_groups(family)
        first = chosen(daemons["a"], groups)
        assert chosen(daemons["x"], groups) == first
        for name in "cdy":  # what these go by is the same, and so is what they make of some
            assert rp_set(daemons[name], family) == rp_set(daemons["a"], family)
            assert chosen(daemons[name], groups[:100]) == {group: first[group] for group in groups[:100]}
        shares = [list(first.values()).count(rp) for rp in set(first.values())]
        assert len(shares) == 2 and min(shares) > 10, "the hash spreads them"
        group, rp = next(iter(first.items()))
        text = daemons["d"].pimctl("show", "rp", group)
        assert str(rp) in text and "bsr" in text
        x = nodes["x"].port("c").address(family)
        (way,) = daemons["a"].show(f"rpf {x}", family)
        assert (way["rpf_interface"], way["rpf_state"]) == ("c", "neighbor"), way
        assert way["rpf_neighbor"] == nodes["c"].port("a").pim_address(family)


@dataclass
class Stream:
    """From src to h, of a group whose RP is x; y is the RP to come."""

    nodes: dict[str, Node]
    daemons: dict[str, Pimpyd]
    family: int

    def __post_init__(self) -> None:
        self.x, self.y = (self.nodes[name].port("c").address(self.family) for name in "xy")
        told = chosen(self.daemons["d"], random_groups(self.family, 100))
        self.group, self.later = [group for group, rp in told.items() if rp == self.x][:2]
        self.receiver, self.sender = self.begin(self.group)
        self.receiver.reset()

    def begin(self, group: str) -> tuple[Receiver, Sender]:
        receiver = Receiver(self.nodes["h"].port("d"), [(None, group)])
        sender = Sender(self.nodes["src"].port("a"), [group], rate=200)
        receiver.wait_for(200, 30)
        return receiver, sender

    def assert_nothing_lost(self) -> None:
        self.receiver.wait_for(200)
        assert self.receiver.stream(self.sender.source, self.group).lost == 0

    def assert_moved(self) -> None:
        """y is BSR and the only RP, the group's RP too, and a stream that begins now arrives by it."""
        ours = self.daemons.values()
        wait_until(lambda: {bsr(daemon, self.family) for daemon in ours} == {self.y}, 60, "y is the BSR")
        wait_until(lambda: agreed(ours, self.family) == {self.y}, 60, "x is no RP any more")
        assert chosen(self.daemons["a"], [self.group]) == {self.group: self.y}
        self.begin(self.later)[1].stop()


def test_bsr_and_rp_die_the_others_take_over_and_streams_go_on(lab: Lab) -> None:
    nodes = star(lab)
    daemons = start(lab, nodes)
    streams = [Stream(nodes, daemons, family) for family in (4, 6)]
    daemons.pop("x").kill()
    for stream in streams:
        stream.assert_moved()
        stream.assert_nothing_lost()


def test_all_routers_agree_on_a_thousand_groups_and_bsr_and_rp_leave_gracefully(lab: Lab) -> None:
    nodes = star(lab)
    lab.capture_all()
    daemons = start(lab, nodes)
    assert_agreed(nodes, daemons)
    streams = [Stream(nodes, daemons, family) for family in (4, 6)]
    assert daemons.pop("x").stop() == 0
    left = time.monotonic()
    for stream in streams:
        stream.assert_moved()
        stream.assert_nothing_lost()
    assert time.monotonic() - left < 25 + 20, "at once, but for the election"
    assert_clean(lab, *(nodes[name] for name in "acdxy"))


def test_two_halves_that_are_joined_agree(lab: Lab) -> None:
    """a - c - d, x at c and y at d; c and d do not see each other to begin with."""
    nodes = {name: lab.router(name) for name in "acdxy"}
    between = {pair: lab.link(nodes[pair[0]], nodes[pair[1]]) for pair in ("ac", "cx", "cd", "dy")}
    lab.start()
    between["cd"].set_up(False)
    lab.reroute()
    texts = {"x": candidate(nodes["x"], "c", 65), "y": candidate(nodes["y"], "d", 64)}
    daemons = {name: Pimpyd(nodes[name], texts.get(name, COMMON)).launch() for name in "acdxy"}
    for daemon in daemons.values():
        daemon.wait_ready()
    x, y = ({family: nodes[name].port(at).address(family) for family in (4, 6)} for name, at in ("xc", "yd"))
    halves = ([daemons[name] for name in "acx"], x), ([daemons[name] for name in "dy"], y)
    for family in (4, 6):
        for half, alone in halves:
            wait_until(lambda h=half, f=family, r=alone: agreed(h, f) == {r[f]}, 40, "each half has its own RP")  # type: ignore[misc]
            assert {bsr(daemon, family) for daemon in half} == {alone[family]}
    between["cd"].set_up(True)
    lab.reroute()
    for family in (4, 6):
        both = {x[family], y[family]}
        wait_until(lambda f=family, b=both: agreed(daemons.values(), f) == b, 60, "all know both RPs")  # type: ignore[misc]
        assert {bsr(daemon, family) for daemon in daemons.values()} == {x[family]}, "x has the higher priority"
        groups = random_groups(family, 200)
        told = [chosen(daemon, groups) for daemon in daemons.values()]
        assert all(one == told[0] for one in told) and set(told[0].values()) == both
