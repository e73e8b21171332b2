"""Interfaces come, go, are renamed, flap, lose and change addresses while 1,000 packets/s flow past them."""

from __future__ import annotations

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
from .pimpyd import QUICK, Pimpyd, wait_neighbors
from .shell import LabError
from .topology import Lab, Link, Node, Port
from .traffic import Receiver, Watcher

FAMILIES = pytest.mark.parametrize("family", [4, 6])
pytestmark = pytest.mark.usefixtures("pimpyd", "captures")
RATE = 1000


class Scene:
    """src - r1 - r2 - h, and calm at r1 too: things happen to r1's other interfaces, and calm must not notice."""

    def __init__(self, lab: Lab, family: int, text: str = "") -> None:
        self.lab, self.family = lab, family
        self.src, self.h, self.calm = (lab.host(name) for name in ("src", "h", "calm"))
        self.r1, self.r2 = lab.router("r1"), lab.router("r2")
        self.far, self.host, self.guest = lab.router("far"), lab.host("host"), lab.host("guest")  # not linked yet
        for one, other in ((self.src, self.r1), (self.r1, self.r2), (self.r2, self.h), (self.r1, self.calm)):
            lab.link(one, other)
        lab.start()
        lab.capture_all()
        self.ours, self.below = Pimpyd(self.r1, QUICK + text).launch(), Pimpyd(self.r2).launch()
        for daemon in (self.ours, self.below):
            daemon.wait_ready()
        wait_neighbors([self.ours, self.below], [family])
        self.flow = start_flow(self.src.port("r1"), self.h.port("r2"), family, RATE)
        self.elsewhere = self.join(self.calm.port("r1"))

    @property
    def core(self) -> Port:
        """The end at r1 of the link to r2, to which things happen."""
        return self.r1.port("r2")

    def join(self, port: Port) -> Flow:
        """One more receiver of the stream; until it gets it."""
        receiver = Receiver(port, [self.flow.key])
        receiver.wait_for(20, 60)
        return Flow(*self.flow.key, self.flow.sender, receiver)

    def route(self) -> Route | None:
        return our_route(self.ours, *self.flow.key)

    def wait_route(self, *outgoing: str) -> None:
        """Until r1 and its kernel forward to exactly these."""
        wanted = Route("src", None, frozenset(outgoing))
        eventually(self.ours, lambda: self.route() == wanted, f"r1 forwards to {sorted(outgoing)}")
        assert kernel_forwards(self.r1, *self.flow.key) == ("src", frozenset(outgoing))

    def wait_vifs(self, *names: str) -> None:
        """Until these are the interfaces of the kernel's table at r1."""
        eventually(self.ours, lambda: sorted(vifs(self.r1, self.family).values()) == sorted(names), f"vifs {names}")

    def assert_calm(self) -> None:
        """That the receiver elsewhere has got everything since it joined."""
        self.elsewhere.receiver.wait_for(100)
        stream = self.elsewhere.receiver.stream(*self.flow.key)
        assert (stream.lost, stream.duplicates, stream.reordered) == (0, 0, 0), stream

    def assert_end(self) -> None:
        """That all is as it was at the beginning."""
        self.wait_route("r2", "calm")
        self.flow.receiver.wait_for(50, 60)
        self.flow.assert_arrived(hops=2)
        self.assert_calm()
        assert_clean(self.lab, self.r1, self.r2)

    def add(self, one: Node, other: Node) -> Link:
        """A new link."""
        link = plug(self.lab.link(one, other))
        link.capture()
        return link


@FAMILIES
def test_interfaces_come_and_go(lab: Lab, family: int) -> None:
    """A neighbour and a host appear on new links and are served; the links go, one of them to another namespace."""
    scene = Scene(lab, family)
    r1, far = scene.r1, scene.far
    links = [scene.add(r1, far), scene.add(far, scene.host), scene.add(r1, scene.guest)]
    lab.reroute()
    daemon = Pimpyd(far).start()
    wait_neighbors([scene.ours, daemon], [family])
    behind, guest = scene.join(scene.host.port("far")), scene.join(scene.guest.port("r1"))
    scene.wait_route("r2", "calm", "far", "guest")
    behind.assert_arrived(hops=2)
    guest.assert_arrived(hops=1)
    unplug(links[0])
    r1.ip("link", "set", "guest", "netns", far.namespace)
    scene.wait_route("r2", "calm")
    scene.wait_vifs("src", "r2", "calm")
    assert interface_row(scene.ours, family, "far") == interface_row(scene.ours, family, "guest") == {}
    assert scene.ours.neighbors(family) == {scene.r2.port("r1").pim_address(family)}
    assert daemon.stop() == 0
    scene.assert_end()


@FAMILIES
def test_a_new_name(lab: Lab, family: int) -> None:
    """Not a packet is lost, and the file's line for the new name holds."""
    scene = Scene(lab, family, "phyint uplink dr-priority 5\n")
    core = scene.core
    index = interface_row(scene.ours, family, core.name)["ifindex"]
    try:
        scene.r1.ip("link", "set", core.name, "name", "uplink")
    except LabError:  # kernels before 6.2 rename only what is down
        core.set_up(False)
        scene.r1.ip("link", "set", core.name, "name", "uplink")
        core.name = "uplink"
        core.set_up(True)
        scene.flow.receiver.wait_for(20, 60)
        scene.flow.receiver.reset()
    scene.wait_route("uplink", "calm")
    row = interface_row(scene.ours, family, "uplink")
    assert (row["ifindex"], row["dr_priority"], row["neighbor_count"]) == (index, 5, 1)
    assert interface_row(scene.ours, family, "r2") == {}
    eventually(scene.below, lambda: neighbor_priority(scene) == 5, "the neighbour is told")
    scene.flow.receiver.wait_for(100)
    stream = scene.flow.receiver.stream(*scene.flow.key)
    assert (stream.lost, stream.duplicates, stream.reordered) == (0, 0, 0), stream
    scene.assert_calm()
    assert_clean(lab, scene.r1)


def neighbor_priority(scene: Scene) -> int | None:
    """The DR priority that r2 has heard of r1."""
    rows = scene.below.show("neighbors", scene.family)
    return rows[0]["dr_priority"] if rows else None


@FAMILIES
def test_twenty_flaps(lab: Lab, family: int) -> None:
    """Down and up, with and without carrier, slowly and then as fast as it goes: it ends in the right state."""
    scene = Scene(lab, family)
    for number in range(20):
        flap = scene.core.set_carrier if number % 2 else scene.core.set_up
        flap(False)
        if number < 2:
            scene.wait_route("calm")
            assert scene.ours.neighbors(family) == set() and not is_up(scene.ours, family, "r2")
        flap(True)
        if number < 2:
            lab.reroute(scene.r2)
            scene.wait_route("calm", "r2")
    lab.reroute(scene.r2)
    wait_neighbors([scene.ours, scene.below], [family])
    scene.wait_vifs("src", "r2", "calm")
    assert len(scene.below.neighbors(family)) == 1
    scene.assert_end()


@FAMILIES
def test_addresses_are_lost_and_regained(lab: Lab, family: int) -> None:
    """Without an address there is no PIM on a link; with it there is again. The others do not notice."""
    scene = Scene(lab, family)
    scene.r1.ip(f"-{family}", "address", "flush", "dev", "r2")
    scene.wait_route("calm")
    reason = "no address" if family == 4 else "no usable link-local address"
    row = interface_row(scene.ours, family, "r2")
    assert (row["oper_status"], row["reason"], row["neighbor_count"]) == ("down", reason, 0)
    other = 10 - family
    assert is_up(scene.ours, other, "r2")
    for address in (
        [f"{scene.core.ipv4}/24"] if family == 4 else [f"{scene.core.ipv6}/64", f"{scene.core.link_local}/64"]
    ):
        scene.r1.ip("address", "add", address, "dev", "r2", *(["nodad"] if family == 6 else []))
    wait_neighbors([scene.ours, scene.below], [family])
    scene.assert_end()


@FAMILIES
def test_another_primary_address(lab: Lab, family: int) -> None:
    """Good-bye comes from the old address and a Hello from the new one, both at once; the stream goes on."""
    scene = Scene(lab, family)
    capture = scene.core.link.capture()
    old, new = scene.core.pim_address(family), "10.0.2.77" if family == 4 else "fe80::77"
    length = 24 if family == 4 else 64
    scene.r1.sysctl(ipv4__conf__all__promote_secondaries=1)
    scene.r1.ip("address", "add", f"{new}/{length}", "dev", "r2", *(["nodad"] if family == 6 else []))
    eventually(scene.below, lambda: new in secondary_addresses(scene), "the neighbour knows the second address")
    scene.r2.ip(f"-{family}", "route", "replace", lab.links[0].prefix(family), "via", new, "dev", "r1")
    eventually(
        scene.below, lambda: rpf_neighbor(scene) == old, "the way over the second address is the same neighbour's"
    )
    scene.r1.ip("address", "delete", f"{old}/{length}", "dev", "r2")
    eventually(scene.below, lambda: scene.below.neighbors(family) == {new}, "the neighbour has the new address")
    eventually(scene.below, lambda: rpf_neighbor(scene) == new, "and is asked there")
    assert interface_row(scene.ours, family, "r2")["address"] == new
    scene.wait_route("calm", "r2")
    scene.flow.receiver.wait_for(100)
    stream = scene.flow.receiver.stream(*scene.flow.key)
    assert (stream.lost, stream.duplicates, stream.reordered) == (0, 0, 0), stream
    scene.assert_calm()
    source = "ip.src" if family == 4 else "ipv6.src"
    mine = f"pim.type == 0 and eth.src == {scene.core.mac} and {source}"
    rows = capture.fields(mine, source, "pim.holdtime", "frame.time_relative")
    goodbye = next(number for number, row in enumerate(rows) if row[:2] == [old, "0"])
    assert all(row[0] == old for row in rows[:goodbye]) and all(row[0] == new for row in rows[goodbye + 1 :])
    assert rows[goodbye + 1][1] == "17" and float(rows[goodbye + 1][2]) - float(rows[goodbye][2]) < 1
    assert_clean(lab, scene.r1)


def secondary_addresses(scene: Scene) -> list[str]:
    """Those that r2 has heard of r1."""
    rows = scene.below.show("neighbors", scene.family)
    return rows[0]["secondary_addresses"].split() if rows else []


def rpf_neighbor(scene: Scene) -> str | None:
    """Whom r2 asks for the stream."""
    entry = scene.below.entry(*scene.flow.key)
    return entry["rpf_neighbor"] if entry else None


@FAMILIES
def test_made_anew(lab: Lab, family: int) -> None:
    """An interface of the same name with another index is served, but only once somebody there has asked."""
    scene = Scene(lab, family)
    link = scene.add(scene.r1, scene.guest)
    lab.reroute(scene.guest)
    first = scene.join(scene.guest.port("r1"))
    index = interface_row(scene.ours, family, "guest")["ifindex"]
    for _ in range(3):
        first.receiver.stop()
        unplug(link)
        plug(link)
        watcher = Watcher(scene.guest.port("r1"), family)
        eventually(scene.ours, lambda: is_up(scene.ours, family, "guest"), "the new one is up")
        scene.elsewhere.receiver.wait_for(300)
        assert watcher.received() == 0
        watcher.stop()
        lab.reroute(scene.guest)
        first = scene.join(scene.guest.port("r1"))
        first.assert_arrived(hops=1)
    assert interface_row(scene.ours, family, "guest")["ifindex"] > index
    scene.wait_route("r2", "calm", "guest")
    scene.wait_vifs("src", "r2", "calm", "guest")
    scene.assert_calm()
    assert_clean(lab, scene.r1)


@FAMILIES
def test_no_stream_leaks_into_a_used_vif(lab: Lab, family: int) -> None:
    """Where an interface with receivers goes and another one comes in the same moment, nothing flows there."""
    scene = Scene(lab, family)
    link = scene.add(scene.r1, scene.guest)
    lab.reroute(scene.guest)
    joined = scene.join(scene.guest.port("r1"))
    joined.receiver.stop()
    unplug(link)
    link.up = False
    fresh = scene.add(scene.r1, scene.host)
    watcher = Watcher(scene.host.port("r1"), family)
    eventually(scene.ours, lambda: is_up(scene.ours, family, "host"), "the new one is up")
    scene.wait_route("r2", "calm")
    scene.elsewhere.receiver.wait_for(500)
    assert watcher.received() == 0
    lab.reroute(scene.host)
    scene.join(fresh.ports[scene.host]).assert_arrived(hops=1)
    scene.assert_calm()
    assert_clean(lab, scene.r1)


@FAMILIES
def test_an_index_that_is_too_large(lab: Lab, family: int) -> None:
    """The kernel takes no index above 65535 for IPv6: a message names cause and remedy, and IPv4 is served there."""
    scene = Scene(lab, family)
    link = lab.link(scene.r1, scene.guest)
    plug(link, index=70000)
    lab.reroute(scene.guest)
    eventually(scene.ours, lambda: is_up(scene.ours, 4, "guest"), "IPv4 is up there")
    if family == 4:
        scene.join(link.ports[scene.guest]).assert_arrived(hops=1)
    else:
        row = interface_row(scene.ours, 6, "guest")
        assert row["oper_status"] == "off" and "65535" in row["reason"]
        assert "ipv6 guest: not used" in scene.ours.log() and "65535" in scene.ours.log()
    scene.assert_calm()


@FAMILIES
def test_an_interface_that_is_waited_for(lab: Lab, family: int) -> None:
    """With `no phyint` only named ones are used; one that is named and not there yet is, once it is."""
    named = "".join(f"phyint {name} enable\n" for name in ("src", "r2", "calm"))
    scene = Scene(lab, family, f"no phyint\n{named}phyint guest enable dr-priority 42\n")
    assert interface_row(scene.ours, family, "guest") == {}
    scene.add(scene.r1, scene.host)
    scene.add(scene.r1, scene.guest)
    lab.reroute()
    eventually(scene.ours, lambda: is_up(scene.ours, family, "guest"), "what is named is used")
    assert interface_row(scene.ours, family, "guest")["dr_priority"] == 42
    row = interface_row(scene.ours, family, "host")
    assert (row["oper_status"], row["reason"], row["vif"]) == ("off", "disabled by the configuration", None)
    scene.wait_vifs("src", "r2", "calm", "guest")
    scene.join(scene.guest.port("r1")).assert_arrived(hops=1)
    reconfigure(scene.ours, f"{QUICK}no phyint\n{named}phyint guest disable\n")
    scene.wait_vifs("src", "r2", "calm")
    scene.assert_end()


@FAMILIES
def test_a_passive_interface(lab: Lab, family: int) -> None:
    """Hosts are served there, but no PIM is spoken, and none is heard."""
    scene = Scene(lab, family, "phyint calm passive\nphyint far passive\n")
    link = scene.add(scene.r1, scene.far)
    capture = link.capture()
    lab.reroute()
    stranger = Pimpyd(scene.far, f"{QUICK}phyint r1 hello-interval 1\n").start()
    eventually(stranger, lambda: hellos_sent(stranger, family, "r1") >= 3, "a router speaks PIM there")
    row = interface_row(scene.ours, family, "far")
    assert (row["oper_status"], row["mode"], row["is_dr"], row["neighbor_count"]) == ("up", "passive", True, 0)
    assert scene.ours.neighbors(family) == {scene.r2.port("r1").pim_address(family)}
    assert stranger.neighbors(family) == set()
    scene.elsewhere.assert_arrived(hops=1)
    hellos = capture.fields("pim", "eth.src")
    assert {row[0] for row in hellos} == {link.ports[scene.far].mac}
    scene.assert_end()


def hellos_sent(daemon: Pimpyd, family: int, interface: str) -> int:
    rows = daemon.show("counters", family)
    kind = (interface, "tx", "hello")
    return sum(row["count"] for row in rows if (row["interface"], row["direction"], row["type"]) == kind)
