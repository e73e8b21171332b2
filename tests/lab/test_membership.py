"""Hosts as the Linux kernel makes them, of every version of IGMP and MLD, alone and mixed on one link.

    one, two - up (a LAN) - r - edge (a LAN) - a, b, c

r is the RP of its any-source groups. Both sources send to every group; what arrives on `edge` is what r lets onto it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial

import pytest

from .helpers import eventually
from .kernel import forwards
from .pimpyd import Pimpyd
from .shell import wait_until
from .topology import Lab, Node
from .traffic import Receiver, Sender, Watcher

QUERIES = "igmp-query-interval 4\n"
"""So that members are asked again and again while a test looks."""
RATE = 200
VERSIONS = {4: (1, 2, 3), 6: (1, 2)}
TEN_TIMES = 30.0
"""Seconds: ten times what a leave may take, and more."""


class Edge:
    """The lab and its daemon, with the two sources of a family."""

    def __init__(self, daemon: Pimpyd, family: int) -> None:
        self.daemon, self.family = daemon, family
        lab = daemon.node.lab
        self.one, self.two, self.r, *self.hosts = lab.nodes
        self.watcher = Watcher(self.hosts[2].port("edge"), family)
        self.senders: list[Sender] = []
        self.numbers: Iterator[int] = itertools.count(1)

    def force(self, host: Node, version: int) -> None:
        """Let the kernel of a host speak this version only."""
        name = "force_igmp_version" if self.family == 4 else "force_mld_version"
        host.set_sysctls({f"ipv{self.family}/conf/{where}/{name}": version for where in ("all", "edge")})

    def group(self, *, ssm: bool = False) -> str:
        """A group of its own."""
        number = next(self.numbers)
        if self.family == 4:
            return f"{'232' if ssm else '239'}.7.0.{number}"
        return f"ff3e::8000:{number:x}" if ssm else f"ff0e::7:{number:x}"

    def send(self, *groups: str) -> dict[str, str]:
        """Both sources send to these; {"one": address, "two": address}."""
        nodes = (self.one, self.two)
        self.senders += [Sender(node.port("up"), groups, rate=RATE) for node in nodes]
        return {node.name: node.port("up").address(self.family) for node in nodes}

    def receive(self, host: Node, group: str, source: str | None = None) -> Receiver:
        return Receiver(host.port("edge"), [(source, group)])

    def arriving(self, group: str) -> set[str]:
        """The sources that r lets onto the edge, as its kernel has it."""
        sources = [self.one.port("up").address(self.family), self.two.port("up").address(self.family)]
        return {source for source in sources if forwards(self.r, source, group) == {"edge"}}

    def wait(self, group: str, sources: set[str]) -> None:
        """Until just these sources are let onto the edge."""
        eventually(self.daemon, lambda: self.arriving(group) == sources, f"{group} from {sources}", TEN_TIMES)

    def seen(self, group: str) -> set[str]:
        """The sources that pass on the edge from now on."""
        self.watcher.reset()
        self.watcher.wait_for(RATE // 4)
        return {source for source, of_group in self.watcher.streams() if of_group == group}

    def stop(self) -> None:
        """Both sources."""
        for sender in self.senders:
            sender.stop()


def edges(lab: Lab, text: str = QUERIES) -> Iterator[Edge]:
    """Makes the lab, and gives the edge as it is for IPv4, then for IPv6."""
    one, two, r = lab.host("one"), lab.host("two"), lab.router("r")
    hosts = [lab.host(name) for name in ("a", "b", "c")]
    lab.lan("up", one, two, r)
    lab.lan("edge", r, *hosts)
    lab.start()
    port = r.port("up")
    rp = f"rp-address {port.ipv4}\nrp-address {port.ipv6}\n"
    daemon = Pimpyd(r, "triggered-hello-delay 0\n" + rp + text).start()
    for family in (4, 6):
        edge = Edge(daemon, family)
        yield edge
        edge.stop()


def test_every_version_alone_and_all_of_them_on_one_link(lab: Lab) -> None:
    for edge in edges(lab):
        play_every_version(edge)


def play_every_version(edge: Edge) -> None:
    family = edge.family
    oldest, newest = VERSIONS[family][0], VERSIONS[family][-1]
    groups = {version: edge.group() for version in VERSIONS[family]}
    common, channel, refused, include = edge.group(), edge.group(ssm=True), edge.group(ssm=True), edge.group()
    both = edge.send(*groups.values(), common, channel, refused, include)
    receivers: dict[int, Receiver] = {}
    members = dict(zip(VERSIONS[family], edge.hosts, strict=False))
    for version, host in members.items():
        edge.force(host, version)
    # Alone, on a group of its own.
    for version, host in members.items():
        receivers[version] = edge.receive(host, groups[version])
        edge.wait(groups[version], {*both.values()})
        (row,) = [
            row
            for row in edge.daemon.show(f"{'igmp' if family == 4 else 'mld'} groups")
            if row["row"] == "group" and row["group_address"] == groups[version]
        ]
        assert row["version"] == version
        receivers[version].wait_for(RATE // 2)
        assert {source for source, _ in receivers[version].streams()} == {*both.values()}
    # Sources by name: in the SSM range and outside of it; there the older versions count for nothing.
    young = members[newest]
    channel_receiver = edge.receive(young, channel, both["one"])
    include_receiver = edge.receive(young, include, both["two"])
    edge.receive(members[oldest], refused)
    edge.wait(channel, {both["one"]})
    edge.wait(include, {both["two"]})
    channel_receiver.wait_for(20)
    include_receiver.wait_for(20)
    assert edge.arriving(refused) == set()
    # Mixed: the newest leaves and then all but the oldest, who is not cut off.
    mixed = {version: edge.receive(host, common) for version, host in members.items()}
    edge.wait(common, {*both.values()})
    for version in reversed(VERSIONS[family][1:]):
        mixed[version].leave((None, common))
    mixed[oldest].reset()
    mixed[oldest].wait_for(RATE * 4)
    streams = mixed[oldest].streams()
    assert {source for source, _ in streams} == {*both.values()}
    assert all(stream.lost == 0 for stream in streams.values())
    mixed[oldest].leave((None, common))
    if (family, oldest) != (
        4,
        1,
    ):  # version 1 has no leaves: it ends with the membership, of that the core's tests tell
        edge.wait(common, set())


def test_exclude_lists_change_while_both_sources_send(lab: Lab) -> None:
    for edge in edges(lab):
        play_exclude_lists(edge)


def play_exclude_lists(edge: Edge) -> None:
    group = edge.group()
    both = edge.send(group)
    one, two = both["one"], both["two"]
    a, b = edge.hosts[:2]
    first = edge.receive(a, group)
    edge.wait(group, {one, two})
    first.block((one, group))
    edge.wait(group, {two})
    assert edge.seen(group) == {two}
    # Another member wants both: nobody is left out, whatever the first one excludes.
    second = edge.receive(b, group)
    edge.wait(group, {one, two})
    first.block((two, group))
    second.reset()
    second.wait_for(RATE * 3)
    streams = second.streams()
    assert {source for source, _ in streams} == {one, two}
    assert all(stream.lost == 0 for stream in streams.values()), "who answers a query misses nothing"
    # Both exclude one of the sources, then one of them names it in another socket's INCLUDE.
    second.block((one, group))
    edge.wait(group, {two})
    first.block((one, group), on=False)
    edge.wait(group, {one, two})
    first.leave((None, group))
    second.leave((None, group))
    edge.wait(group, set())


@pytest.mark.parametrize("tracked", [False, True], ids=["asked", "tracked"])
def test_a_leave_ends_a_stream_and_cuts_nobody_else(lab: Lab, tracked: bool) -> None:
    for edge in edges(lab, "phyint edge immediate-leave\n" if tracked else ""):
        play_leaves(edge, tracked)


def play_leaves(edge: Edge, tracked: bool) -> None:
    family = edge.family
    group = edge.group(ssm=True)
    both = edge.send(group)
    a, b = edge.hosts[:2]
    first, second = (edge.receive(host, group, both["one"]) for host in (a, b))
    for receiver in (first, second):
        receiver.wait_for(RATE // 4)
    name = "igmp" if family == 4 else "mld"
    rows = edge.daemon.show(f"{name} groups detail")
    found = {row["reporter_address"] for row in rows if row["row"] == "reporter" and row["group_address"] == group}
    assert found == ({host.port("edge").pim_address(family) for host in (a, b)} if tracked else set())
    second.reset()
    first.leave()
    second.wait_for(RATE * 3)
    assert second.stream(both["one"], group).lost == 0
    command = f"{name} interfaces"
    asked = partial(_queries, edge.daemon, command)
    before = asked()
    left = second.leave()
    edge.wait(group, set())
    edge.watcher.wait_silent(1.0)
    silent_after = edge.watcher.stream(both["one"], group).last_time - left
    print(f"silence {silent_after:.2f} s after the last leave, {asked() - before} queries")
    assert silent_after < TEN_TIMES
    if tracked:
        assert asked() - before <= 2, "one for somebody who was never heard, and perhaps a general one"
    else:
        wait_until(lambda: asked() - before >= 2, TEN_TIMES, "it was asked for twice")


def _queries(daemon: Pimpyd, command: str) -> int:
    (row,) = [row for row in daemon.show(command) if row["interface"] == "edge"]
    count: int = row["queries_sent"]
    return count


STATIC = {4: ("239.7.9.9", "239.7.9.8"), 6: ("ff0e::7:9999", "ff0e::7:9998")}
"""A group with a static member, and one that the router itself is to be a member of."""


def test_static_members_and_members_on_the_router_itself(lab: Lab) -> None:
    """Who is a member on the router hears the router's own queries, and answers them."""
    lines = (f"static-group edge group {one}\nmgroup from edge group {other}\n" for one, other in STATIC.values())
    for edge in edges(lab, QUERIES + "".join(lines)):
        play_members_of_the_router(edge)


def play_members_of_the_router(edge: Edge) -> None:
    family = edge.family
    static, joined = STATIC[family]
    gmp, own = "igmp" if family == 4 else "mld", edge.group()
    both = edge.send(static, joined, own)
    edge.wait(static, {*both.values()})
    edge.wait(joined, {*both.values()})
    reporters = {row["group_address"]: row["last_reporter"] for row in edge.daemon.show(f"{gmp} groups")}
    assert reporters[static] is None and reporters[joined] is not None
    assert edge.seen(static) == {*both.values()}
    receiver = Receiver(edge.r.port("edge"), [(None, own)])
    edge.wait(own, {*both.values()})
    assert edge.daemon.pimctl("clear", gmp, own) == f"{own} forgotten on edge\n"
    edge.wait(own, {*both.values()})
    receiver.leave()
    edge.wait(own, set())
    assert edge.daemon.pimctl("show", gmp, "groups", static).count(static) == 1
