"""Interfaces come, go, are renamed, flap, lose and change addresses while streams of both families flow past them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pytest

from .capture import assert_clean
from .helpers import (
    Flow,
    Route,
    eventually,
    interface_row,
    is_up,
    kernel_forwards,
    our_route,
    plug,
    reconfigure,
    start_flow,
    unplug,
)
from .kernel import vifs
from .pimpyd import QUICK, Pimpyd, Row, wait_neighbors
from .sharing import Shared, shared_by_a_file
from .shell import LabError
from .topology import Lab, Link, Node, Port
from .traffic import Receiver, Watcher

pytestmark = pytest.mark.usefixtures("pimpyd", "captures")
FAMILIES = (4, 6)
RATE = 500


class Scene:
    """src - r1 - r2 - h, and calm at r1 too: things happen to r1's other interfaces, and calm must not notice.

    A stream of each family flows; what happens to a link happens to both. Each test leaves it as it was.
    """

    def __init__(self, lab: Lab) -> None:
        self.lab, self.intact = lab, False
        self.src, self.h, self.calm = (lab.host(name) for name in ("src", "h", "calm"))
        self.r1, self.r2 = lab.router("r1"), lab.router("r2")
        self.far, self.host, self.guest = lab.router("far"), lab.host("host"), lab.host("guest")  # not linked yet
        for one, other in ((self.src, self.r1), (self.r1, self.r2), (self.r2, self.h), (self.r1, self.calm)):
            lab.link(one, other)
        lab.start()
        lab.capture_all()
        self.more: list[Link] = []
        self.guests: list[Watcher] = []
        self.ours, self.below = Pimpyd(self.r1).launch(), Pimpyd(self.r2).launch()
        for daemon in (self.ours, self.below):
            daemon.wait_ready()
        wait_neighbors([self.ours, self.below])
        ends = self.src.port("r1"), self.h.port("r2")
        self.flows = {family: start_flow(*ends, family, RATE) for family in FAMILIES}
        self.elsewhere = {family: self.join(self.calm.port("r1"), family) for family in FAMILIES}
        self.guests.clear()

    @property
    def core(self) -> Port:
        """The end at r1 of the link to r2, to which things happen."""
        return self.r1.port("r2")

    def join(self, port: Port, family: int) -> Flow:
        """One more receiver of the stream; until it gets it."""
        flow = self.flows[family]
        receiver = Receiver(port, [flow.key])
        self.guests.append(receiver)
        receiver.wait_for(20, 60)
        return Flow(*flow.key, flow.sender, receiver)

    def join_both(self, port: Port) -> list[Flow]:
        """One more receiver of each stream."""
        return [self.join(port, family) for family in FAMILIES]

    def watch(self, port: Port) -> list[Watcher]:
        """Counts what passes there in each family."""
        watchers = [Watcher(port, family) for family in FAMILIES]
        self.guests += watchers
        return watchers

    def route(self, family: int) -> Route | None:
        return our_route(self.ours, *self.flows[family].key)

    def wait_route(self, *outgoing: str, families: Iterable[int] = FAMILIES) -> None:
        """Until r1 and its kernel forward to exactly these."""
        wanted = Route("src", None, frozenset(outgoing))
        for family in families:
            what = f"r1 forwards IPv{family} to {sorted(outgoing)}"
            eventually(self.ours, lambda f=family: self.route(f) == wanted, what)  # type: ignore[misc]
            assert kernel_forwards(self.r1, *self.flows[family].key) == ("src", frozenset(outgoing)), what

    def wait_vifs(self, *names: str) -> None:
        """Until these are the interfaces of the kernel's tables at r1."""
        for family in FAMILIES:
            what = f"IPv{family} vifs {names}"
            eventually(self.ours, lambda f=family: sorted(vifs(self.r1, f).values()) == sorted(names), what)  # type: ignore[misc]

    def wait_used(self, name: str) -> None:
        """Until r1 uses an interface in both families."""
        for family in FAMILIES:
            eventually(self.ours, lambda f=family: is_up(self.ours, f, name), f"IPv{family} is up on {name}")  # type: ignore[misc]

    def rows(self, name: str) -> list[Row]:
        """What r1 says of an interface, in each family; without those where it says nothing."""
        return [row for family in FAMILIES if (row := interface_row(self.ours, family, name))]

    def assert_calm(self) -> None:
        """That the receivers elsewhere have got everything since they joined."""
        for flow in self.elsewhere.values():
            flow.receiver.wait_for(50)
            assert_whole(flow)

    def assert_knows_only_r2(self) -> None:
        """That r2 is the only neighbour of r1."""
        for family in FAMILIES:
            assert self.ours.neighbors(family) == {self.r2.port("r1").pim_address(family)}, family

    def assert_end(self) -> None:
        """That all is as it was at the beginning, once the further links and receivers are gone."""
        while self.guests:
            self.guests.pop().stop()
        for link in self.more:
            self.remove(link)
        if self.ours.config.read_text() != QUICK:
            reconfigure(self.ours, QUICK)
        self.lab.reroute()
        self.wait_vifs("src", "r2", "calm")
        self.wait_route("r2", "calm")
        for flow in self.flows.values():
            flow.receiver.wait_for(50, 60)
            flow.assert_arrived(hops=2)
        self.assert_calm()
        self.intact = True

    def add(self, one: Node, other: Node, index: int = 0) -> Link:
        """Another link; `index` is that of its interface at `one`, if it matters."""
        found = [link for link in self.more if set(link.ports) == {one, other}]
        link = found[0] if found else self.lab.link(one, other)
        self.more += [] if found else [link]
        link.up = True
        plug(link, index).capture()
        return link

    def remove(self, link: Link) -> None:
        """One that was added, wherever its first end is by now."""
        if link.up:
            *_, port = link.ports.values()
            port.node.ip("link", "delete", port.name)
            link.up = False


shared = shared_by_a_file(Scene, lambda scene: assert_clean(scene.lab, scene.r1, scene.r2))


@pytest.fixture
def scene(shared: Shared[Scene]) -> Scene:
    return shared.take()


def assert_whole(flow: Flow) -> None:
    """That nothing of the stream was lost, doubled or reordered since the receiver's last reset."""
    stream = flow.receiver.stream(*flow.key)
    assert (stream.lost, stream.duplicates, stream.reordered) == (0, 0, 0), stream


def test_interfaces_come_and_go(scene: Scene) -> None:
    """A neighbour and a host appear on new links and are served; the links go, one of them to another namespace."""
    r1, far = scene.r1, scene.far
    links = [scene.add(r1, far), scene.add(far, scene.host), scene.add(r1, scene.guest)]
    scene.lab.reroute()
    daemon = Pimpyd(far).start()
    wait_neighbors([scene.ours, daemon])
    behind, guest = scene.join_both(scene.host.port("far")), scene.join_both(scene.guest.port("r1"))
    scene.wait_route("r2", "calm", "far", "guest")
    for one, other in zip(behind, guest, strict=True):
        one.assert_arrived(hops=2)
        other.assert_arrived(hops=1)
    scene.remove(links[0])
    r1.ip("link", "set", "guest", "netns", far.namespace)
    scene.wait_route("r2", "calm")
    scene.wait_vifs("src", "r2", "calm")
    assert scene.rows("far") == scene.rows("guest") == []
    scene.assert_knows_only_r2()
    assert daemon.stop() == 0
    scene.assert_end()


def test_a_new_name(scene: Scene) -> None:
    """Not a packet is lost, and the file's line for the new name holds."""
    reconfigure(scene.ours, f"{QUICK}phyint uplink dr-priority 5\n")
    indexes = [row["ifindex"] for row in scene.rows("r2")]
    for flow in scene.flows.values():
        flow.receiver.reset()
    rename(scene, "uplink")
    scene.wait_route("uplink", "calm")
    found = [(row["ifindex"], row["dr_priority"], row["neighbor_count"]) for row in scene.rows("uplink")]
    assert found == [(index, 5, 1) for index in indexes] and len(found) == 2
    assert scene.rows("r2") == []
    for family, flow in scene.flows.items():
        eventually(scene.below, lambda f=family: neighbor_priority(scene, f) == 5, f"IPv{family}: r2 is told")  # type: ignore[misc]
        flow.receiver.wait_for(100)
        assert_whole(flow)
    rename(scene, "r2")
    scene.assert_end()


def rename(scene: Scene, name: str) -> None:
    """The interface to r2. Kernels before 6.2 rename only what is down: of the streams is counted what comes then."""
    core = scene.core
    try:
        scene.r1.ip("link", "set", core.name, "name", name)
        core.name = name
    except LabError:
        core.set_up(False)
        scene.r1.ip("link", "set", core.name, "name", name)
        core.name = name
        core.set_up(True)
        for flow in scene.flows.values():
            flow.receiver.wait_for(20, 60)
            flow.receiver.reset()


def neighbor_priority(scene: Scene, family: int) -> int | None:
    """The DR priority that r2 has heard of r1."""
    rows = scene.below.show("neighbors", family)
    return rows[0]["dr_priority"] if rows else None


def test_twenty_flaps(scene: Scene) -> None:
    """Down and up, with and without carrier, slowly and then as fast as it goes: it ends in the right state."""
    for number in range(20):
        flap = scene.core.set_carrier if number % 2 else scene.core.set_up
        flap(False)
        if number < 2:
            scene.wait_route("calm")
            for family in FAMILIES:
                assert scene.ours.neighbors(family) == set() and not is_up(scene.ours, family, "r2"), family
        flap(True)
        if number < 2:
            scene.lab.reroute(scene.r2)
            scene.wait_route("calm", "r2")
    scene.lab.reroute(scene.r2)
    wait_neighbors([scene.ours, scene.below])
    scene.wait_vifs("src", "r2", "calm")
    assert [len(scene.below.neighbors(family)) for family in FAMILIES] == [1, 1]
    scene.assert_end()


def test_addresses_are_lost_and_regained(scene: Scene) -> None:
    """Without an address there is no PIM on a link; with it there is again. The other family does not notice."""
    core = scene.core
    reasons = {4: "no address", 6: "no usable link-local address"}
    addresses = {4: [f"{core.ipv4}/24"], 6: [f"{core.ipv6}/64", f"{core.link_local}/64"]}
    for family, other in ((4, 6), (6, 4)):
        scene.flows[other].receiver.reset()
        scene.r1.ip(f"-{family}", "address", "flush", "dev", "r2")
        scene.wait_route("calm", families=[family])
        row = interface_row(scene.ours, family, "r2")
        assert (row["oper_status"], row["reason"], row["neighbor_count"]) == ("down", reasons[family], 0)
        assert is_up(scene.ours, other, "r2")
        for address in addresses[family]:
            scene.r1.ip("address", "add", address, "dev", "r2", *(["nodad"] if family == 6 else []))
        wait_neighbors([scene.ours, scene.below], [family])
        scene.wait_route("r2", "calm", families=[family])
        scene.flows[other].receiver.wait_for(50)
        assert_whole(scene.flows[other])
    scene.assert_end()


def test_another_primary_address(scene: Scene) -> None:
    """Good-bye comes from the old address and a Hello from the new one, both at once; the stream goes on."""
    capture = scene.core.link.capture()
    scene.r1.sysctl(ipv4__conf__all__promote_secondaries=1)
    changes = [(4, "10.0.2.77"), (6, "fe80::77")]
    for family, new in changes:
        old, below = scene.core.pim_address(family), Below(scene, family)
        scene.flows[family].receiver.reset()
        below.move(old, new)
        assert interface_row(scene.ours, family, "r2")["address"] == new
        scene.wait_route("calm", "r2")
        scene.flows[family].receiver.wait_for(100)
        assert_whole(scene.flows[family])
    names = ("ip.src", "ipv6.src", "pim.holdtime", "frame.time_relative")
    rows = capture.fields(f"pim.type == 0 and eth.src == {scene.core.mac}", *names)
    for family, new in changes:
        old = scene.core.pim_address(family)
        column = 0 if family == 4 else 1
        told = [(row[column], row[2], float(row[3])) for row in rows if row[column]]
        goodbye = next(number for number, row in enumerate(told) if row[:2] == (old, "0"))
        assert all(row[0] == old for row in told[:goodbye]) and all(row[0] == new for row in told[goodbye + 1 :])
        assert told[goodbye + 1][1] == "17" and told[goodbye + 1][2] - told[goodbye][2] < 1
        Below(scene, family).move(new, old)
    scene.assert_end()


@dataclass(frozen=True)
class Below:
    """What r2 holds of r1, in one family."""

    scene: Scene
    family: int

    def wait(self, look: Callable[[], object], what: str) -> None:
        eventually(self.scene.below, look, f"IPv{self.family}: {what}")

    def move(self, old: str, new: str) -> None:
        """r1 gets another primary address towards r2, which finds the source by it."""
        r1, length, core = self.scene.r1, 24 if self.family == 4 else 64, self.scene.core
        r1.ip("address", "add", f"{new}/{length}", "dev", core.name, *(["nodad"] if self.family == 6 else []))
        self.wait(lambda: new in self.secondary_addresses(), "the second address is known")
        way = self.scene.lab.links[0].prefix(self.family)
        self.scene.r2.ip(f"-{self.family}", "route", "replace", way, "via", new, "dev", "r1")
        self.wait(lambda: self.rpf_neighbor() == old, "the way over it is the same neighbour's")
        r1.ip("address", "delete", f"{old}/{length}", "dev", core.name)
        self.wait(lambda: self.neighbors() == {new}, "the neighbour has the new address")
        self.wait(lambda: self.rpf_neighbor() == new, "and is asked there")

    def neighbors(self) -> set[str]:
        return self.scene.below.neighbors(self.family)

    def secondary_addresses(self) -> list[str]:
        """Those that it has heard of."""
        rows = self.scene.below.show("neighbors", self.family)
        return rows[0]["secondary_addresses"].split() if rows else []

    def rpf_neighbor(self) -> str | None:
        """Whom it asks for the stream."""
        entry = self.scene.below.entry(*self.scene.flows[self.family].key)
        return entry["rpf_neighbor"] if entry else None


def test_made_anew(scene: Scene) -> None:
    """An interface of the same name with another index is served, but only once somebody there has asked."""
    link = scene.add(scene.r1, scene.guest)
    scene.lab.reroute(scene.guest)
    joined = scene.join_both(scene.guest.port("r1"))
    index = scene.rows("guest")[0]["ifindex"]
    for _ in range(3):
        for flow in joined:
            flow.receiver.stop()
        unplug(link)
        plug(link)
        watchers = scene.watch(scene.guest.port("r1"))
        scene.wait_used("guest")
        scene.elsewhere[4].receiver.wait_for(RATE // 3)
        for watcher in watchers:
            assert watcher.received() == 0, watcher.port
            watcher.stop()
        scene.lab.reroute(scene.guest)
        joined = scene.join_both(scene.guest.port("r1"))
        for flow in joined:
            flow.assert_arrived(hops=1)
    assert all(row["ifindex"] > index for row in scene.rows("guest"))
    scene.wait_route("r2", "calm", "guest")
    scene.wait_vifs("src", "r2", "calm", "guest")
    scene.assert_end()


def test_no_stream_leaks_into_a_used_vif(scene: Scene) -> None:
    """Where an interface with receivers goes and another one comes in the same moment, nothing flows there."""
    link = scene.add(scene.r1, scene.guest)
    scene.lab.reroute(scene.guest)
    for flow in scene.join_both(scene.guest.port("r1")):
        flow.receiver.stop()
    scene.remove(link)
    fresh = scene.add(scene.r1, scene.host)
    watchers = scene.watch(scene.host.port("r1"))
    scene.wait_used("host")
    scene.wait_route("r2", "calm")
    scene.elsewhere[4].receiver.wait_for(RATE // 2)
    assert [watcher.received() for watcher in watchers] == [0, 0]
    scene.lab.reroute(scene.host)
    for flow in scene.join_both(fresh.ports[scene.host]):
        flow.assert_arrived(hops=1)
    scene.assert_end()


def test_an_index_that_is_too_large(scene: Scene) -> None:
    """The kernel takes no index above 65535 for IPv6: a message names cause and remedy, and IPv4 is served there."""
    link = scene.add(scene.r1, scene.guest, index=70000)
    scene.lab.reroute(scene.guest)
    eventually(scene.ours, lambda: is_up(scene.ours, 4, "guest"), "IPv4 is up there")
    scene.join(link.ports[scene.guest], 4).assert_arrived(hops=1)
    row = interface_row(scene.ours, 6, "guest")
    assert row["oper_status"] == "off" and "65535" in row["reason"]
    assert "ipv6 guest: not used" in scene.ours.log() and "65535" in scene.ours.log()
    scene.assert_end()


def test_an_interface_that_is_waited_for(scene: Scene) -> None:
    """With `no phyint` only named ones are used; one that is named and not there yet is, once it is."""
    named = "".join(f"phyint {name} enable\n" for name in ("src", "r2", "calm"))
    reconfigure(scene.ours, f"{QUICK}no phyint\n{named}phyint guest enable dr-priority 42\n")
    assert scene.rows("guest") == []
    scene.add(scene.r1, scene.host)
    scene.add(scene.r1, scene.guest)
    scene.lab.reroute()
    scene.wait_used("guest")
    assert [row["dr_priority"] for row in scene.rows("guest")] == [42, 42]
    found = [(row["oper_status"], row["reason"], row["vif"]) for row in scene.rows("host")]
    assert found == [("off", "disabled by the configuration", None)] * 2
    scene.wait_vifs("src", "r2", "calm", "guest")
    for flow in scene.join_both(scene.guest.port("r1")):
        flow.assert_arrived(hops=1)
    reconfigure(scene.ours, f"{QUICK}no phyint\n{named}phyint guest disable\n")
    scene.wait_vifs("src", "r2", "calm")
    scene.assert_end()


def test_a_passive_interface(scene: Scene) -> None:
    """Hosts are served there, but no PIM is spoken, and none is heard."""
    reconfigure(scene.ours, f"{QUICK}phyint guest passive\nphyint far passive\n")
    link = scene.add(scene.r1, scene.far)
    capture = scene.lab.captures[-1]
    scene.add(scene.r1, scene.guest)
    scene.lab.reroute()
    stranger = Pimpyd(scene.far, f"{QUICK}phyint r1 hello-interval 1\n").start()
    for family in FAMILIES:
        what = f"a router speaks PIM of IPv{family} there"
        eventually(stranger, lambda f=family: hellos_sent(stranger, f, "r1") >= 3, what)  # type: ignore[misc]
        assert stranger.neighbors(family) == set(), what
    names = ("oper_status", "mode", "is_dr", "neighbor_count")
    assert [tuple(row[name] for name in names) for row in scene.rows("far")] == [("up", "passive", True, 0)] * 2
    scene.assert_knows_only_r2()
    for flow in scene.join_both(scene.guest.port("r1")):
        flow.assert_arrived(hops=1)
    hellos = capture.fields("pim", "eth.src")
    assert {row[0] for row in hellos} == {link.ports[scene.far].mac}
    assert stranger.stop() == 0
    scene.assert_end()


def hellos_sent(daemon: Pimpyd, family: int, interface: str) -> int:
    rows = daemon.show("counters", family)
    kind = (interface, "tx", "hello")
    return sum(row["count"] for row in rows if (row["interface"], row["direction"], row["type"]) == kind)
