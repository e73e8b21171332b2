"""What must hold of every router after every event, its effects drained and applied (reliability.md, section 6).

Each invariant is a function of one router, and is written from the RFC's words, not from the code's: masks are
worked out again from the machines and the memberships, the kernel's table from both. Entries that are in all respects
as they were when they were last checked (`outlines.py`) are not checked again.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from outlines import Outline, Outlines, Unit
from owned_timers import timers_of
from rules import TUNNEL, Rules, mask, star_of

from pimpy.core.engine.counters import CounterKey
from pimpy.core.engine.effects import SendPacket
from pimpy.core.engine.timers import NEVER, Timer
from pimpy.core.pim.downstream import Downstream
from pimpy.core.pim.downstream import State as DownstreamState
from pimpy.core.pim.downstream_rpt import RptDownstream
from pimpy.core.pim.downstream_rpt import State as RptDownstreamState
from pimpy.core.pim.neighbor import Neighbor, PimInterface
from pimpy.core.pim.tib import SG, Group, RptState, SGRpt, StarG
from pimpy.wire import pim
from pimpy.wire.bootstrap import Bootstrap, CandidateRpAdvertisement
from pimpy.wire.family import Address, Family
from pimpy.wire.join_prune import SG as SG_FLAGS
from pimpy.wire.join_prune import SG_RPT, STAR_G, JoinPrune
from pimpy.wire.record import define, field

if TYPE_CHECKING:
    from node import Node

    from pimpy.core.router import Router

HOLD_FOREVER = 0xFFFF
MANY = 250
"""Entries: a router with N times as many is checked after each Nth event only, or a test of thousands takes minutes."""


Entry = tuple[int, int]
"""What the kernel is to have of a channel: the incoming vif, and a mask of the outgoing ones."""
Wanted = dict[tuple[bytes, bytes], Entry]
"""(source, group) -> its entry."""


@define
class Checked:
    """The entries of one router that were found right, as they were then."""

    router: Router
    common: Outline = ()
    units: dict[Unit, tuple[Outline, Wanted]] = field(factory=dict)


@define
class Checker:
    """Checks routers as they go, and remembers what must not go back."""

    on: bool = True
    _checked: dict[str, Checked] = field(factory=dict)
    _counters: dict[str, dict[CounterKey, int]] = field(factory=dict)
    _events: dict[str, int] = field(factory=dict)

    def begins(self, node: Node) -> None:
        """A new daemon counts from nothing."""
        self._counters[node.name] = {}
        self._checked.pop(node.name, None)

    def check(self, node: Node) -> None:
        """All invariants of one router."""
        router = node.router
        if not self.on or router is None or not self._is_due(node.name, len(router.pim.tib.sg)):
            return
        rules = Rules(router)
        check_kernel(node, router, rules, self.check_entries(node, router, rules))
        for interface in router.pim.interfaces.values():
            check_interface(node, router, rules, interface)
        assert len(router.pim.tib.sg) <= router.pim.settings.max_sg
        check_timers(router)
        check_nothing_left(router)
        self.check_counters(node, router)

    def check_entries(self, node: Node, router: Router, rules: Rules) -> Wanted:
        """All entries, those that changed since the last time in earnest; what the kernel is to have of them."""
        units: dict[Unit, list[SG]] = {tree: [] for tree in router.pim.tib.groups.values()}
        for sg in router.pim.tib.sg.values():
            units.setdefault(sg if sg.tree is None else sg.tree, []).append(sg)
        if not units:
            self._checked.pop(node.name, None)
            return {}
        outlines = Outlines(router)
        known, common = self._checked.get(node.name), outlines.common()
        if known is None or known.router is not router or known.common != common:
            known = Checked(router, common)
        wanted: Wanted = {}
        found = Checked(router, common)
        for unit, sources in units.items():
            outline = outlines.unit(unit, sources)
            before = known.units.get(unit)
            if before is None or before[0] != outline:
                before = outline, check_unit(router, rules, unit, sources)
            found.units[unit] = before
            wanted.update(before[1])
        self._checked[node.name] = found
        return wanted

    def _is_due(self, name: str, entries: int) -> bool:
        self._events[name] = self._events.get(name, 0) + 1
        return self._events[name] % (1 + entries // MANY) == 0

    def check_counters(self, node: Node, router: Router) -> None:
        """Counters only grow."""
        before, now = self._counters[node.name], router.counters.values
        if before != now:
            for key, value in before.items():
                assert now.get(key, 0) >= value, f"{node.name}: the counter {key} went from {value} to {now.get(key)}"
            self._counters[node.name] = dict(now)

    def sent(self, node: Node, effect: SendPacket) -> None:
        """What may leave a router at all."""
        if self.on:
            check_sent(node, effect)


# The kernel's table.


def check_kernel(node: Node, router: Router, rules: Rules, wanted: Wanted) -> None:
    """The MFC is what the machines want, names only vifs that are there, and never sends back where it came from."""
    wanted |= {(source, group): (iif, oifs) for source, group, _, iif, oifs in router.forwarding.claimed()}
    negatives = {(n.source, n.group): (n.vif, 0) for n in router.forwarding.negatives()}
    assert not wanted.keys() & negatives.keys(), f"{node.name}: wanted and unwanted at once"
    for held in router.forwarding.held.all():
        assert held.oifs and router.adoption is not None and held.key not in negatives, f"{node.name}: nothing is held"
        iif, oifs = wanted.get((held.source, held.group), (held.iif, 0))
        if iif is not None:
            wanted[held.source, held.group] = iif, (oifs | held.oifs) & ~(1 << iif)
    wanted |= negatives
    kernel = node.kernel
    assert kernel.mfc == wanted, f"{node.name}: the kernel has {kernel.mfc}, wanted is {wanted}"
    if kernel.registers or router.pim.tib.sg or router.pim.anycast.told:
        check_registers(node, router, rules)
    there = mask(set(kernel.vifs)) if kernel.mfc else 0
    for channel, (iif, oifs) in kernel.mfc.items():
        assert not oifs >> iif & 1, f"{node.name}: {channel} goes back to where it came from"
        strange = (oifs | 1 << iif) & ~there
        assert not strange, f"{node.name}: {channel} names the vifs {strange:#b}, there are {kernel.vifs}"
        if iif == TUNNEL and oifs:
            at_rp = router.pim.rp_set.rp(channel[1]) in router.pim.own
            assert at_rp, f"{node.name}: {channel} from the tunnel, but this is not the RP"
    for interface in router.pim.interfaces.values():
        link = interface.link
        assert link.vif is not None and kernel.vifs[link.vif][0] == link.ifindex, f"{node.name}: {link.name} has no vif"


def check_registers(node: Node, router: Router, rules: Rules) -> None:
    """The extension's register table is what the Register machines and the anycast RPs want."""
    kernel = node.kernel
    registered = {(sg.source, sg.group): sg.register for sg in router.pim.tib.sg.values() if sg.register is not None}
    shared = {(sg.source, sg.group): sg for sg in router.pim.anycast.told}
    known = registered.keys() | shared.keys()
    assert kernel.registers.keys() == known, f"{node.name}: the table has {kernel.registers.keys()}"
    assert not registered.keys() & shared.keys(), f"{node.name}: registers with an RP and with its likes"
    for channel, entry in kernel.registers.items():
        assert entry.address in router.pim.own, f"{node.name}: registers from {entry.address}"
        if channel in shared:
            members = rules.members_told(shared[channel])
            assert entry.stopped == (not members), f"{node.name}: {entry}"
            assert entry.stopped or [entry.rp, *entry.others] == members, f"{node.name}: {entry}"
            continue
        machine = registered[channel]
        stopped = machine.state.value != "join" or machine.rp in router.pim.unreachable
        assert (entry.rp, entry.stopped) == (machine.rp, stopped), f"{node.name}: {entry}"


# Entries.


def check_unit(router: Router, rules: Rules, unit: Unit, sources: list[SG]) -> Wanted:
    """A group and its sources, or one channel; what the kernel is to have of them."""
    if isinstance(unit, Group):
        check_tree(router, rules, unit)
    for sg in sources:
        check_sg(router, rules, sg)
    entries = {(sg.source, sg.group): rules.kernel_entry(sg) for sg in sources}
    return {channel: (entry[0], mask(entry[1])) for channel, entry in entries.items() if entry is not None}


def check_sg(router: Router, rules: Rules, sg: SG) -> None:
    """Its masks say what its machines and members say; its upstream machines are where the macros want them."""
    assert router.pim.tib.sg[sg.source + sg.group] is sg
    downstream = {vif for vif in rules.vifs if rules.joined(sg, vif)}
    assert sg.joins == mask(downstream | rules.tunnel(sg)), "joins(S,G) is not what the machines say"
    assert sg.members == mask({v for v in rules.vifs if rules.wants(sg, v)}), "the members are not the memberships'"
    assert sg.joined == rules.join_desired(sg), "Joined <=> JoinDesired"
    assert sg in sg.path.users and router.rpf.paths[sg.source] is sg.path, "its path is not kept up"
    assert sg.rpf is rules.rpf_prime(sg) or point_to_point(sg.rpf), "RPF' is not what the macro says"
    check_join_timer(sg)
    if sg.tree is None:
        assert sg.joins or sg.members or sg.asserts, "an entry that nobody wants"
        assert sg.rpt is None and sg.register is None and sg.flow is None and sg.keepalive is None, "S3, S6"
        assert router.ssm.holds(sg.group) and sg.group not in router.pim.tib.groups, "a shared tree in the SSM range"
        return
    assert not router.ssm.holds(sg.group) and router.pim.tib.groups[sg.group] is sg.tree and sg in sg.tree.sources
    assert (sg.register is not None) == rules.could_register(sg), "registers <=> CouldRegister"
    assert not sg.spt_bit or sg.joined, "the SPTbit outlives JoinDesired (F9)"
    check_rpt(rules, sg)


def check_rpt(rules: Rules, sg: SG) -> None:
    """The (S,G,rpt) state of an entry."""
    prunes = {vif for vif in rules.vifs if rules.pruned_rpt(sg, vif)}
    pending = {vif for vif in rules.vifs if sg in rules.by_vif[vif].downstream_rpt} - prunes
    excludes = {vif for vif in rules.vifs if rules.refuses(sg, vif)} if star_of(sg) is not None else None
    rpt = sg.rpt or SGRpt()
    assert (rpt.prunes, rpt.pending) == (mask(prunes), mask(pending)), "prunes(S,G,rpt) is not what the machines say"
    assert excludes is None or rpt.excludes == mask(excludes), "local_receiver_exclude is not the memberships'"
    if not rules.join_desired_star(star_of(sg)):
        expected = RptState.NOT_JOINED
    else:
        expected = RptState.PRUNED if rules.prune_desired_rpt(sg) else RptState.NOT_PRUNED
    assert rpt.state is expected, f"the (S,G,rpt) machine is in {rpt.state}, not in {expected}"
    runs = rpt.override_timer is not None and rpt.override_timer.running
    assert not runs or rpt.state is RptState.NOT_PRUNED, "OT runs in NotPruned only"


def check_tree(router: Router, rules: Rules, tree: Group) -> None:
    """The shared tree of a group, and its (*,G) entry if there is one."""
    star = tree.star
    assert star is not None or tree.sources, "a tree of nobody"
    assert tree.rp == router.pim.rp_set.rp(tree.group) and tree.i_am_rp == (tree.rp in router.pim.own)
    assert all(router.pim.tib.sg.get(sg.source + sg.group) is sg and sg.tree is tree for sg in tree.sources)
    if tree.rp is not None and not tree.i_am_rp:
        known = tree.path if tree.coming is None else tree.coming
        assert known is not None and tree in known.users and known.address == tree.rp
        assert tree.coming is None or tree.coming.route is None, "the new way is known"
    else:
        assert tree.path is None and tree.coming is None
    if star is None:
        return
    assert star.joins == mask({v for v in rules.vifs if rules.joined(star, v)}), "joins(*,G) is not the machines'"
    assert star.members == mask({v for v in rules.vifs if rules.wants_any(tree.group, v)}), "nor are the members"
    assert star.joined == rules.join_desired_star(star), "Joined <=> JoinDesired(*,G)"
    assert star.joined or star.joins or star.members or star.asserts, "a (*,G) that nobody wants"
    assert star.rpf is rules.rpf_prime_star(star) or point_to_point(star.rpf), "RPF'(*,G) is not what the macro says"
    check_join_timer(star)


def point_to_point(neighbor: Neighbor | None) -> bool:
    """Whether RPF' may be whoever is at the other end (N20)."""
    return neighbor is not None and neighbor.interface.link.link.point_to_point


def check_join_timer(entry: SG | StarG) -> None:
    """JT runs exactly in state Joined with an RPF', which is a neighbour."""
    runs = entry.join_timer is not None and entry.join_timer.running
    assert runs == (entry.joined and entry.rpf is not None), "the Join Timer runs exactly in Joined with an RPF'"
    if entry.rpf is not None:
        assert entry.rpf.interface.neighbors.get(entry.rpf.address) is entry.rpf, "RPF' is no neighbour"


def check_asserts(rules: Rules, vif: int, interface: PimInterface) -> None:
    """A winner could assert, a loser has a reason to follow; each has its timer and stands with its entry."""
    for state in interface.asserts:
        entry = state.entry
        assert state.interface is interface and entry.asserts is not None and entry.asserts[interface] is state
        assert state.timer.running and state.won == (state.winner == interface.address)
        if isinstance(entry, SG):
            held = rules.could_assert(entry, vif) if state.won else rules.tracking(entry, vif)
        else:
            held = rules.could_assert_star(entry, vif) if state.won else rules.tracking_star(entry, vif)
        assert held, f"an Assert {'winner' if state.won else 'loser'} without a reason"
        root = rules.rpf_of_source(entry) if isinstance(entry, SG) else rules.rpf_of_rp(entry.tree)
        assert not state.won or root is not None, "an Assert winner without a route"
        assert state.won or state.winner in interface.neighbors, "lost to nobody"


# An interface.


def check_interface(node: Node, router: Router, rules: Rules, interface: PimInterface) -> None:
    """Each state on it has its one expiry, and the counts stay below their caps."""
    settings, neighbors, link = router.pim.settings, interface.neighbors, interface.link
    vif = link.vif
    assert node.ports[node.link_at(link.ifindex)].running, f"{node.name}: PIM runs on {link.name}, it is down"
    assert len(neighbors) <= settings.max_neighbors, "too many neighbours"
    assert not (interface.passive and neighbors), "a passive interface has no neighbours"
    assert vif is not None
    assert bool(router.pim.dr & link.mask) == rules.i_am_dr(vif), "the DR is not who it should be"
    for address, neighbor in neighbors.items():
        assert neighbor.address == address and neighbor.interface is interface, "a neighbour in another's place"
        forever = neighbor.hello.holdtime == HOLD_FOREVER
        assert (neighbor.liveness.deadline == NEVER) == forever, "a neighbour without its liveness timer"
    for neighbor in interface.secondary_of.values():
        assert interface.neighbors.get(neighbor.address) is neighbor, "a secondary address of nobody"
    for entry, machine in interface.downstream.items():
        check_downstream(router, interface, entry, machine)
    for sg, rpt in interface.downstream_rpt.items():
        check_downstream_rpt(router, interface, sg, rpt)
    for entry in interface.members:
        assert entry.members & link.mask and lives(router, entry)
    if interface.asserts:
        check_asserts(rules, vif, interface)


def lives(router: Router, entry: SG | StarG) -> bool:
    """Whether an entry is part of the TIB."""
    if isinstance(entry, SG):
        return router.pim.tib.sg.get(entry.source + entry.group) is entry
    tree = router.pim.tib.groups.get(entry.group)
    return tree is not None and tree.star is entry


def check_downstream(router: Router, interface: PimInterface, entry: SG | StarG, machine: Downstream) -> None:
    """A machine in Join or Prune-Pending, of a living entry; a PPT runs in Prune-Pending and nowhere else."""
    assert machine.entry is entry and machine.interface is interface and machine.state is not DownstreamState.NO_INFO
    assert lives(router, entry), "a machine of a dead entry"
    pending = machine.prune_pending is not None and machine.prune_pending.running
    assert pending == (machine.state is DownstreamState.PRUNE_PENDING), "PPT <=> Prune-Pending"


def check_downstream_rpt(router: Router, interface: PimInterface, sg: SG, machine: RptDownstream) -> None:
    """A machine in Prune or Prune-Pending: no message leaves one behind in a Tmp state."""
    assert machine.sg is sg and machine.interface is interface and lives(router, sg)
    assert machine.state in (RptDownstreamState.PRUNE, RptDownstreamState.PRUNE_PENDING), machine.state
    assert machine.prune_pending.running == (machine.state is RptDownstreamState.PRUNE_PENDING)


# All together.


def check_timers(router: Router) -> None:
    """No timer runs without an owner that lives, none is overdue, and one that runs is in the heap in time."""
    heap = router.heap
    now, running = heap.now, {timer for timer in timers_of(router) if timer is not None and timer.deadline != NEVER}
    found: set[Timer] = set()
    assert len(heap._times) == len(heap._buckets), "a bucket that will not come up"
    for when, bucket in heap._buckets.items():
        for timer in bucket:
            deadline = timer.deadline
            if deadline != NEVER and timer.queued == when:
                assert timer in running, f"a timer of nobody: {timer.owner}"
                assert now <= deadline, f"overdue: {timer.owner}"
                assert when <= deadline, "a timer that the heap will miss"
                found.add(timer)
    assert running == found, "timers that the heap does not know"


def check_nothing_left(router: Router) -> None:
    """What points to entries points to living ones, and each path has a user."""
    pim = router.pim
    if router.rpf.paths:
        finders = (*pim.bootstrap.zones.values(), *pim.bootstrap.held, *pim.rp_set.statics())
        needed = {*pim.tib.sg.values(), *pim.tib.groups.values(), *finders, *router.forwarding.held.all()}
        for path in router.rpf.paths.values():
            assert path.users and path.users.keys() <= needed, "a path that nobody needs"
    masks = 0
    for interface in pim.interfaces.values():
        masks |= interface.link.mask
    assert not pim.dr & ~masks, "the DR of an interface that is gone"


# What leaves.


@lru_cache(maxsize=4096)
def decoded(family: Family, source: Address, destination: Address, data: bytes) -> pim.Message:
    """What a router sends it mostly sends again, byte for byte."""
    return pim.decode(family, source, destination, data)


def check_sent(node: Node, effect: SendPacket) -> None:
    """Only onto links that are up, from an own address, no larger than the MTU; PIM not where it is passive."""
    link = node.link_at(effect.ifindex)
    assert link in node.ports, f"{node.name}: sent on {link}"
    port = node.ports[link]
    fits = len(effect.data) + node.net.family.ip_header <= port.link.mtu
    assert fits or is_passed_on(node, effect), f"{node.name}: larger than the MTU"
    if effect.protocol != "pim":
        assert node.net.family.is_multicast(effect.destination), f"{node.name}: unicast"
        return
    message = decoded(node.net.family, effect.source, effect.destination, effect.data)
    if isinstance(message, (pim.Register, pim.RegisterStop)):
        assert node.net.family.is_unicast(effect.destination), f"{node.name}: a Register to a group"
        return
    if isinstance(message, CandidateRpAdvertisement):
        assert node.net.family.is_unicast(effect.destination) and message.groups, f"{node.name}: {message}"
        return
    # A link that becomes passive is told so: a good-bye, and an AssertCancel where we were the forwarder (A16).
    good_bye = isinstance(message, pim.Hello) and message.holdtime == 0
    cancel = isinstance(message, pim.Assert) and message.rpt and message.preference == 0x7FFFFFFF
    assert good_bye or cancel or not node.config.phyint(link).passive, f"{node.name}: PIM on the passive {link}"
    assert effect.destination == node.net.family.all_pim_routers
    if isinstance(message, JoinPrune):
        check_join_prune(node, message)


def is_passed_on(node: Node, effect: SendPacket) -> bool:
    """Whether it is a Bootstrap message of another router, which is passed on as it is (RFC 5059 3.4)."""
    if effect.protocol != "pim":
        return False
    message = decoded(node.net.family, effect.source, effect.destination, effect.data)
    return isinstance(message, Bootstrap) and not node.owns(message.bsr)


def check_join_prune(node: Node, message: JoinPrune) -> None:
    """Sound encoding, no contradictions, and for SSM nothing of a shared tree (S3, U23)."""
    assert not message.notes, message.notes
    assert message.groups and len(message.groups) <= 255
    assert len({group for group, _, _ in message.groups}) == len(message.groups), "a group twice"
    router = node.router
    assert router is not None
    for group, joins, prunes in message.groups:
        assert joins or prunes
        assert len(set(joins)) == len(joins) and len(set(prunes)) == len(prunes), "an entry twice"
        assert not set(joins) & set(prunes), "Join and Prune of one source"
        kinds = {flags for _, flags in joins + prunes}
        assert kinds == {SG_FLAGS} or not router.ssm.holds(group), "of a shared tree in the SSM range"
        stars = [flags for _, flags in joins + prunes].count(STAR_G)
        assert stars <= 1, "several (*,G), or Join(*,G) with Prune(*,G)"
        assert not (stars and SG_RPT in {flags for _, flags in joins}), "Join(S,G,rpt) beside (*,G)"
