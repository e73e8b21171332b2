"""One router, and everything that can happen to it in any order (reliability.md, G2 and G10).

Hypothesis draws stories of Hellos, Joins, Asserts, Registers, reports, data, routes, failing links, changed addresses,
RPs and configurations and passing time. After every event the invariants hold, nothing is raised, and the fake kernel
has no complaint. In the end everybody falls silent, and the router is as it was: no state is left of all that. `make
test` tells the same stories each time, `make soak` thousands of new ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from datagrams import Datagram
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from speakers import Channel, Packet, Peer, group_sets
from stand import Stand

from pimpy.config.model import Config, Phyint, StaticRp
from pimpy.core import drift
from pimpy.core.engine.events import EffectFailed, NoCache, VifGone, WrongVif
from pimpy.wire import pim
from pimpy.wire.family import FAMILIES, Address, Family, parse_address, parse_prefix
from pimpy.wire.join_prune import SG_RPT, STAR_G, GroupSet, JoinPrune
from pimpy.wire.membership import Record, Report
from pimpy.wire.pim import Assert, Hello, LanPruneDelay
from pimpy.wire.record import field, frozen
from pimpy.wire.value import Value

LINKS = ("up", "down", "side")
PEERS = (2, 3, 9)


@frozen
class Act(Value):
    """Something that happens, and how a failure tells of it."""

    name: str
    details: tuple[object, ...]
    act: Callable[[Story], None] = field(repr=False)


class Story:
    """A router with three links, two or three neighbours and a host on each."""

    def __init__(self, family: Family) -> None:
        self.stand = Stand(family, up=(), down=(), warm_up=0.0)
        self.net = self.stand.net
        self.net.batches = False
        self.net.link("side", "r1")
        self.net.start()
        self.hosts = {link: self.net.host(link) for link in LINKS}
        self.sources = [self.stand.channel(n)[0] for n in range(1, 4)] + [
            self.net.source("up"),
            self.net.source("side"),
        ]
        any_source = parse_address("239.1.1.1" if family.size == 4 else "ff1e::1")
        self.groups = [self.stand.group(1), self.stand.group(2), any_source]
        self.rps = [self.net.address("side", 9), self.stand.channel(9)[0], self.net.address("down", 5)]
        """Behind a neighbour on `side`, behind one on `up`, and the router itself."""
        self.base = Config()
        self.have_rp(0, "immediate")

    def peer(self, link: str, number: int) -> Peer:
        return self.stand.peer(link, number)

    def channel(self, picked: tuple[int, int]) -> Channel:
        return self.sources[picked[0]], self.groups[picked[1]]

    def have_rp(self, number: int | None, threshold: str) -> None:
        """All any-source groups have this RP from now on, or none."""
        static = () if number is None else (StaticRp(self.rps[number], self.stand.family.multicast),)
        self.base = Config(rp_addresses=static, spt_threshold=threshold)
        self.stand.r1.config = self.base
        self.stand.r1.configure()

    def us(self, link: str) -> Address:
        port = self.stand.r1.ports.get(link)
        return port.address if port is not None and port.addresses else self.stand.family.any

    def vif(self, link: str) -> int:
        port = self.stand.r1.ports.get(link)
        found = None if port is None else self.stand.r1.kernel.vif_of(port.ifindex)
        return 0 if found is None else found


links = st.sampled_from(LINKS)
peers = st.sampled_from(PEERS)
channels = st.tuples(st.integers(0, 4), st.integers(0, 2))
holdtimes = st.sampled_from((0, 1, 5, 105, 210, 0xFFFF))


@st.composite
def hellos(draw: st.DrawFn) -> Act:
    link, number, holdtime = draw(links), draw(peers), draw(st.sampled_from((None, 0, 1, 105, 0xFFFF)))
    delay = draw(st.sampled_from((None, LanPruneDelay(False, 500, 2500), LanPruneDelay(True, 0, 100))))
    priority, genid = draw(st.sampled_from((None, 0, 1, 9))), draw(st.sampled_from((None, 1, 2)))
    listed = draw(st.lists(st.integers(70, 72), max_size=3))

    def act(story: Story) -> None:
        addresses = tuple(story.net.address(link, n) for n in listed) or None
        story.peer(link, number).send(Hello(holdtime, delay, priority, genid, addresses))

    return Act("hellos", (link, number, holdtime, delay, priority, genid, listed), act)


@st.composite
def joins_and_prunes(draw: st.DrawFn) -> Act:
    link, number, holdtime = draw(links), draw(peers), draw(holdtimes)
    joined, pruned = draw(st.lists(channels, max_size=3)), draw(st.lists(channels, max_size=3))
    to = draw(st.sampled_from((0, 0, 0, *PEERS)))

    def act(story: Story) -> None:
        upstream = story.us(link) if to == 0 else story.peer(link, to).address
        sets = group_sets(
            tuple(map(story.channel, dict.fromkeys(joined))), tuple(map(story.channel, dict.fromkeys(pruned)))
        )
        story.peer(link, number).send(JoinPrune(upstream, holdtime, sets))

    return Act("joins_and_prunes", (link, number, holdtime, joined, pruned, to), act)


@st.composite
def shared_tree_entries(draw: st.DrawFn) -> Act:
    link, number, (source, group) = draw(links), draw(peers), draw(channels)
    flags, to, prune = draw(st.sampled_from((STAR_G, SG_RPT))), draw(st.sampled_from((0, *PEERS))), draw(st.booleans())

    def act(story: Story) -> None:
        upstream = story.us(link) if to == 0 else story.peer(link, to).address
        entries = ((story.sources[source], flags),)
        sets = GroupSet(story.groups[group], () if prune else entries, entries if prune else ())
        story.peer(link, number).send(JoinPrune(upstream, 210, (sets,)))

    return Act("shared_tree_entries", (link, number, source, group, flags, to, prune), act)


@st.composite
def shared_trees(draw: st.DrawFn) -> Act:
    """Joins and Prunes of the any-source group as routers say them: (*,G) with its (S,G,rpt) entries."""
    link, number, holdtime = draw(links), draw(peers), draw(st.sampled_from((5, 105, 210)))
    join, rp = draw(st.sampled_from((True, True, False, None))), draw(st.integers(0, 2))
    joined, pruned = draw(st.sets(st.integers(0, 4), max_size=2)), draw(st.sets(st.integers(0, 4), max_size=3))
    to = draw(st.sampled_from((0, 0, 0, *PEERS)))

    def act(story: Story) -> None:
        upstream = story.us(link) if to == 0 else story.peer(link, to).address
        star = () if join is None else ((story.rps[rp], STAR_G),)
        joins, prunes = ([(story.sources[n], SG_RPT) for n in sorted(some)] for some in (joined - pruned, pruned))
        sets = GroupSet(story.groups[2], (*(star if join else ()), *joins), (*(() if join else star), *prunes))
        story.peer(link, number).send(JoinPrune(upstream, holdtime, (sets,)))

    return Act("shared_trees", (link, number, holdtime, join, rp, joined, pruned, to), act)


@st.composite
def asserts(draw: st.DrawFn) -> Act:
    link, number, (source, group) = draw(links), draw(peers), draw(channels)
    metric = draw(st.sampled_from(((0, 0), (101, 0), (200, 5), (0x7FFFFFFF, 0xFFFFFFFF))))
    rpt, star = draw(st.booleans()), draw(st.booleans())

    def act(story: Story) -> None:
        named = story.stand.family.any if star else story.sources[source]
        story.peer(link, number).send(Assert(story.groups[group], named, rpt or star, *metric))

    return Act("asserts", (link, number, source, group, metric, rpt, star), act)


@st.composite
def data(draw: st.DrawFn) -> Act:
    """A packet on a link: where the source is, where it could come from, or where it cannot."""
    link, picked = draw(links), draw(channels)

    def act(story: Story) -> None:
        story.stand.data(story.channel(picked), link)

    return Act("data", (link, picked), act)


@st.composite
def registers(draw: st.DrawFn) -> Act:
    """A Register or Register-Stop comes in, from wherever, to one of our addresses."""
    link, picked, what = draw(links), draw(channels), draw(st.sampled_from(("data", "null", "stop", "stop all")))
    sender, to = draw(st.integers(0, 2)), draw(st.integers(0, 2))

    def act(story: Story) -> None:
        family, (source, group) = story.stand.family, story.channel(picked)
        message: pim.Message = pim.RegisterStop(group, family.any if what == "stop all" else source)
        if what in ("data", "null"):
            inner = pim.dummy_header(family, source, group) if what == "null" else Datagram(source, group, 1).to_bytes()
            message = pim.Register(False, what == "null", inner)
        target = story.rps[2] if to == 0 else story.net.address(LINKS[to], 5)
        encoded = pim.encode(family, story.rps[sender], target, message)
        if story.stand.r1.owns(target):
            story.stand.r1.receive_unicast(link, Packet("pim", story.rps[sender], target, encoded, 60, False))

    return Act("registers", (link, picked, what, sender, to), act)


@st.composite
def rps(draw: st.DrawFn) -> Act:
    number, threshold = draw(st.sampled_from((0, 1, 2, 2, None))), draw(st.sampled_from(("immediate", "infinity")))
    return Act("rps", (number, threshold), lambda story: story.have_rp(number, threshold))


@st.composite
def reports(draw: st.DrawFn) -> Act:
    link, kind, group = draw(links), draw(st.integers(1, 6)), draw(st.integers(0, 2))
    listed = draw(st.lists(st.integers(0, 4), max_size=3, unique=True))

    def act(story: Story) -> None:
        sources = tuple(story.sources[number] for number in listed)
        story.hosts[link].send(Report((Record(kind, story.groups[group], sources),)))

    return Act("reports", (link, kind, group, listed), act)


@st.composite
def routes(draw: st.DrawFn) -> Act:
    source, link = draw(st.integers(0, 4)), draw(st.sampled_from((*LINKS, None)))
    hop = draw(st.sampled_from((None, *PEERS, 70, 71)))

    def act(story: Story) -> None:
        if link is None or link in story.stand.r1.ports:
            make = story.net.link_local if hop in PEERS else story.net.address
            next_hop = None if hop is None or link is None else make(link, hop)
            story.stand.r1.static_route(story.sources[source], link, next_hop)

    return Act("routes", (source, link, hop), act)


@st.composite
def accidents(draw: st.DrawFn) -> Act:
    link, what = draw(links), draw(st.sampled_from(("down", "up", "gone", "address", "none", "more")))

    def act(story: Story) -> None:
        stand, port = story.stand, story.stand.r1.ports.get(link)
        if port is None:
            stand.r1.statics.clear()
            stand.r1.attach(story.net.links[link])
        elif what in ("down", "up"):
            story.net.set_port("r1", link, what == "up")
        elif what == "gone":
            stand.r1.statics.clear()
            stand.r1.detach(link)
            story.net.topology_changed()
        else:
            more = (story.net.address(link, 33), story.net.subnet_bits)
            changed = (story.net.link_local(link, 44), story.net.subnet_bits)
            port.readdress(*{"address": (changed,), "none": (), "more": (changed, more)}[what])

    return Act("accidents", (link, what), act)


@st.composite
def configurations(draw: st.DrawFn) -> Act:
    link = draw(links)
    line = draw(
        st.sampled_from(
            (
                {},
                {"enabled": False},
                {"passive": True},
                {"nolistener": True},
                {"dr_priority": 0},
                {"dr_priority": 9},
                {"hello_interval": 5},
                {"ttl_threshold": 4},
                {"igmp_version": 2, "mld_version": 1},
            )
        )
    )
    interval = draw(st.sampled_from((60, 20, 120)))
    wide = draw(st.booleans())

    def act(story: Story) -> None:
        ranges = {
            "ssm_ranges4": tuple(map(parse_prefix, ("232.0.0.0/8", "239.0.0.0/8")[: 1 + wide])),
            "ssm_ranges6": tuple(map(parse_prefix, ("ff3e::/32", "ff1e::/32")[: 1 + wide])),
        }
        story.stand.r1.config = story.base
        story.stand.r1.configure(phyints=(Phyint(link, **line),), join_prune_interval=interval, **ranges)  # type: ignore[arg-type]

    return Act("configurations", (link, line, interval, wide), act)


@st.composite
def words_of_the_kernel(draw: st.DrawFn) -> Act:
    link, picked, what = draw(links), draw(channels), draw(st.integers(0, 4))

    def act(story: Story) -> None:
        node, vif = story.stand.r1, story.vif(link)
        port = node.ports.get(link)
        if what == 0:
            node.handle(NoCache(vif, *story.channel(picked)))
        elif what == 1:
            node.handle(WrongVif(vif, *story.channel(picked)))
        elif what == 2 and port is not None and node.kernel.vifs.pop(vif, None) is not None:
            node.handle(VifGone(vif))
        elif what == 3 and port is not None:
            node.handle(EffectFailed("AddVif", "ENFILE", vif=vif, ifindex=port.ifindex))
        elif what == 4:
            node.kernel.mfc.popitem() if node.kernel.mfc else None
            drift.look(story.stand.router)

    return Act("words_of_the_kernel", (link, picked, what), act)


def restarts() -> Act:
    """The daemon dies, and the next one takes over what it left."""

    def act(story: Story) -> None:
        story.stand.r1.die()
        story.stand.r1.resume()
        story.stand.run(0)

    return Act("restarts", (), act)


def waits(seconds: float) -> Act:
    return Act("waits", (seconds,), lambda story: story.stand.run(seconds))


acts = st.one_of(
    hellos(),
    hellos(),
    joins_and_prunes(),
    joins_and_prunes(),
    joins_and_prunes(),
    st.builds(restarts),
    shared_tree_entries(),
    shared_trees(),
    shared_trees(),
    asserts(),
    asserts(),
    data(),
    data(),
    registers(),
    rps(),
    reports(),
    reports(),
    routes(),
    accidents(),
    configurations(),
    words_of_the_kernel(),
    st.sampled_from((0.0, 0.7, 2.6, 61.0, 215.0)).map(waits),
)


def tell(family: Family, story_told: list[Act]) -> None:
    """Play a story, then let everybody fall silent."""
    story = Story(family)
    for act in story_told:
        act.act(story)
        story.stand.run(0)
    end(story)


def end(story: Story) -> None:
    """Who holds for ever says good-bye; time does the rest, and nothing is left."""
    node = story.stand.r1
    for link in LINKS:
        for number in PEERS:
            everything = tuple((source, group) for source in story.sources for group in story.groups)
            peer = story.peer(link, number)
            peer.hello()
            for upstream in [story.us(link)]:
                peer.prune(upstream, *everything)
                tree = GroupSet(story.groups[2], (), ((story.rps[0], STAR_G),))
                peer.send(JoinPrune(upstream, 210, (tree,)))
            peer.hello(holdtime=0)
    story.stand.run(800)
    router = story.stand.router
    assert not router.pim.tib.sg and not router.pim.tib.groups and not router.rpf.paths and not node.told
    assert not router.forwarding.entries() and not router.forwarding.negatives() and not node.kernel.mfc
    for interface in router.pim.interfaces.values():
        assert not interface.neighbors and not interface.secondary_of and not interface.downstream
        assert not interface.members
        assert not router.memberships[interface.ifindex].link.groups
    node.shutdown()
    assert node.kernel.contents() == ({}, {}, set(), set(), {})


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@settings(
    derandomize="PIMPY_SOAK" not in os.environ,
    suppress_health_check=list(HealthCheck),
    phases=[phase for phase in Phase if phase is not Phase.explain],
)
@given(story_told=st.lists(acts, max_size=40))
def test_anything_in_any_order(family: Family, story_told: list[Act]) -> None:
    tell(family, story_told)
