"""Two RPs that share an address (RFC 4610), with a source and a receiver at each.

src1, h1 - a - x - y - b - h2, src2      x and y are the RPs, each with a host beside it: near at x, far at y
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest

from .capture import assert_clean
from .helpers import reconfigure
from .kernel import forwards
from .pimpyd import QUICK, Pimpyd, wait_neighbors
from .shell import LabError, wait_until
from .topology import Lab
from .traffic import Receiver, Sender

SHARED = {4: "10.99.0.1", 6: "fd00:99::1"}
BITS = {4: 32, 6: 128}
GROUPS = {4: "239.1.1.{}", 6: "ff1e::1:{}"}
RATE = 200
UNDER_WAY = 2
"""Packets that may be in Registers still while the other RP's entry turns to the source's own tree (ARCHITECTURE)."""


class Scene:
    """The network above with its daemons."""

    def __init__(self, lab: Lab) -> None:
        names = ("src1", "h1", "a", "x", "y", "b", "h2", "src2", "near", "far")
        row, beside = ("src1", *"axyb", "h2"), (("h1", "a"), ("b", "src2"), ("near", "x"), ("y", "far"))
        self.nodes = nodes = {name: lab.router(name) if len(name) == 1 else lab.host(name) for name in names}
        for left, right in (*pairwise(row), *beside):
            lab.link(nodes[left], nodes[right])
        lab.start()
        lab.capture_all()
        self.text = QUICK
        for family, address in SHARED.items():
            prefix = f"{address}/{BITS[family]}"
            for name in "xy":
                nodes[name].ip("addr", "add", prefix, "dev", "lo")
            for name, via in (("a", "x"), ("b", "y"), ("x", "y"), ("y", "x")):
                nodes[name].route(family, prefix, nodes[via].port(name))
            members = " ".join(nodes[one].port(other).address(family) for one, other in ("xy", "yx"))
            self.text += f"rp-address {address}\nanycast-rp {address} member {members}\n"
        self.daemons = {name: Pimpyd(nodes[name], self.text).launch() for name in "axyb"}
        for daemon in self.daemons.values():
            daemon.wait_ready()
        wait_neighbors(self.daemons.values())

        self.numbers = itertools.count(1)
        self.tools: list[Receiver | Sender] = []

    def new_groups(self) -> dict[int, str]:
        """One of each family that nobody has used."""
        number = next(self.numbers)
        return {family: group.format(number) for family, group in GROUPS.items()}

    def receive(self, host: str, router: str, group: str) -> Receiver:
        self.tools.append(receiver := Receiver(self.nodes[host].port(router), [(None, group)]))
        return receiver

    def send(self, host: str, router: str, group: str) -> Sender:
        self.tools.append(sender := Sender(self.nodes[host].port(router), [group], rate=RATE))
        return sender

    def end(self) -> None:
        """Whatever a test has left running."""
        for tool in self.tools:
            with contextlib.suppress(LabError):  # it has ended
                tool.stop()
        self.tools.clear()

    def configure(self, more: str = "") -> None:
        for daemon in self.daemons.values():
            if daemon.config.read_text() != self.text + more:
                reconfigure(daemon, self.text + more)


@pytest.fixture(scope="module")
def standing_scene(standing_lab: Lab) -> Iterator[Scene]:
    one = Scene(standing_lab)
    yield one
    assert_clean(standing_lab, *(one.nodes[name] for name in "axyb"))


@pytest.fixture
def scene(standing_scene: Scene) -> Iterator[Scene]:
    yield standing_scene
    standing_scene.end()


def entries(daemon: Pimpyd, family: int) -> set[tuple[str, str]]:
    """The entries of a daemon: (source or *, group)."""
    return {(row["source_address"], row["group"]) for row in daemon.show("mroute", family) if row["row"] == "entry"}


@dataclass
class Event:
    """A source and a receiver at each RP, in one family."""

    scene: Scene
    family: int
    group: str
    tree: str
    """Receivers stay on the `shared` tree, or take each source's `own`."""

    def __post_init__(self) -> None:
        self.daemons = self.scene.daemons
        places = (("h1", "a"), ("h2", "b"))
        self.receivers = [self.scene.receive(h, r, self.group) for h, r in places]
        self.senders: list[Sender] = []

    def begin(self) -> None:
        """Both sources speak, once the shared trees stand; everybody gets everything once."""
        for name in "xy":
            wait_until(lambda n=name: ("*", self.group) in entries(self.daemons[n], self.family), 15, f"{name}'s tree")  # type: ignore[misc]
        self.senders = [self.send(src) for src in ("src1", "src2")]
        for receiver in self.receivers:
            receiver.wait_for(RATE, 30)
        self.assert_whole()

    def send(self, src: str) -> Sender:
        return self.scene.send(src, "a" if src == "src1" else "b", self.group)

    def reset(self) -> None:
        for receiver in self.receivers:
            receiver.reset()

    def assert_whole(self) -> None:
        """From now on everything arrives once."""
        self.reset()
        for receiver in self.receivers:
            receiver.wait_for(RATE, 30)
            for sender in self.senders:
                stream = receiver.stream(sender.source, self.group)
                assert stream.received > RATE // 4 and (stream.lost, stream.duplicates) == (0, 0), stream

    def on_tree(self, name: str, source: str) -> bool:
        """Whether a last hop gets a source by the tree that it should."""
        entry = self.daemons[name].entry(source, self.group)
        return entry is not None and entry["is_spt"] == (self.tree == "own")

    def outage(self) -> float:
        """The longest that any receiver was without any source since the last reset, in seconds."""
        for receiver in self.receivers:
            receiver.wait_for(3 * RATE, 30)
        return max(r.stream(s.source, self.group).outage for r in self.receivers for s in self.senders)


def test_K6_a_source_beside_an_rp_reaches_those_behind_the_other_from_its_first_packet_on(scene: Scene) -> None:
    """near - x - y - far: x is the source's DR and one of the RPs, and registers with y."""
    groups, x = scene.new_groups(), scene.nodes["x"]
    receivers = {family: scene.receive("far", "y", group) for family, group in groups.items()}
    for family, group in groups.items():
        wait_until(lambda f=family, g=group: ("*", g) in entries(scene.daemons["y"], f), 15, "y has the shared tree")  # type: ignore[misc]
    senders = {family: scene.send("near", "x", group) for family, group in groups.items()}
    for family, receiver in receivers.items():
        receiver.wait_for(2 * RATE, 30)
        stream = receiver.stream(senders[family].source, groups[family])
        assert stream.first_seq == 0 and stream.lost <= UNDER_WAY, stream
        assert stream.duplicates < RATE // 2, stream
    for family, receiver in receivers.items():
        key = senders[family].source, groups[family]
        wait_until(lambda k=key: forwards(x, *k) == {"y"}, 20, "and then by its own tree alone")  # type: ignore[misc]
        receiver.reset()
        receiver.wait_for(RATE)
        stream = receiver.stream(*key)
        assert (stream.lost, stream.duplicates) == (0, 0), stream


def test_everyone_gets_everything_once_and_one_rp_carries_on_alone(scene: Scene) -> None:
    """Where receivers take each source's own tree; then, with y an RP again, where they stay on the shared one."""
    scene.configure()
    play(scene, "own")
    scene.configure("spt-threshold infinity\n")
    play(scene, "shared")


def play(scene: Scene, tree: str) -> None:
    """Streams of both families with two RPs, and with x alone; at the end both are RPs again."""
    y, daemons = scene.nodes["y"], scene.daemons
    streams = [Event(scene, family, group, tree) for family, group in scene.new_groups().items()]
    for one in streams:
        one.begin()
        assert one.on_tree("a", one.senders[1].source) and one.on_tree("b", one.senders[0].source), one.group
        one.reset()
    for family, address in SHARED.items():
        y.ip("addr", "del", f"{address}/{BITS[family]}", "dev", "lo")
    for one in streams:
        wait_until(lambda f=one.family, g=one.group: ("*", g) in daemons["y"].joined(f), 30, "y joins x like others")  # type: ignore[misc]
        outage = one.outage()
        print(f"one RP's address goes, IPv{one.family}, {tree} tree: {outage:.3f} s without the stream")
        assert outage < 10
        one.assert_whole()
        for sender in one.senders:
            sender.stop()
        again = one.send("src2")
        one.receivers[0].reset()
        one.receivers[0].wait_for(RATE, 40)
        again.stop()
        for receiver in one.receivers:
            receiver.stop()
    for family, address in SHARED.items():
        y.ip("addr", "add", f"{address}/{BITS[family]}", "dev", "lo")
