"""What must hold of every router after every event, its effects drained and applied (reliability.md, section 6).

Each invariant is a function of one router, and is written from the RFC's words, not from the code's: masks are
worked out again from the machines and the memberships, the kernel's table from both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

from pimpy.core.engine.counters import CounterKey
from pimpy.core.engine.effects import SendPacket
from pimpy.core.engine.timers import NEVER, Timer
from pimpy.core.pim.downstream import Downstream
from pimpy.core.pim.downstream import State as DownstreamState
from pimpy.core.pim.neighbor import PimInterface
from pimpy.core.pim.tib import SG
from pimpy.wire import pim
from pimpy.wire.join_prune import SG as SG_FLAGS
from pimpy.wire.join_prune import JoinPrune

if TYPE_CHECKING:
    from node import Node

    from pimpy.core.router import Router

HOLD_FOREVER = 0xFFFF


@define(eq=False)
class Checker:
    """Checks routers as they go, and remembers what must not go back."""

    on: bool = True
    _counters: dict[str, dict[CounterKey, int]] = field(factory=dict)

    def begins(self, node: Node) -> None:
        """A new daemon counts from nothing."""
        self._counters[node.name] = {}

    def check(self, node: Node) -> None:
        """All invariants of one router."""
        router = node.router
        if not self.on or router is None:
            return
        drs = dr_mask(router)
        check_kernel(node, router, drs)
        for sg in router.pim.tib.sg.values():
            check_entry(router, sg, drs)
        assert router.pim.dr == drs, "the DR of some link is not who it should be"
        for interface in router.pim.interfaces.values():
            check_interface(node, router, interface)
        check_timers(router)
        check_nothing_left(router)
        self.check_counters(node, router)

    def check_counters(self, node: Node, router: Router) -> None:
        """Counters only grow."""
        before = self._counters[node.name]
        now = router.counters.values
        for key, value in before.items():
            assert now.get(key, 0) >= value, f"{node.name}: the counter {key} went from {value} to {now.get(key)}"
        self._counters[node.name] = dict(now)

    def sent(self, node: Node, effect: SendPacket) -> None:
        """What may leave a router at all."""
        if self.on:
            check_sent(node, effect)


# The kernel's table.


def check_kernel(node: Node, router: Router, drs: int) -> None:
    """The MFC is what the machines want, names only vifs that are there, and never sends back where it came from."""
    wanted = {
        (sg.source, sg.group): entry for sg in router.pim.tib.sg.values() if (entry := wanted_entry(router, sg, drs))
    }
    negatives = {(n.source, n.group): (n.vif, 0) for n in router.forwarding.negatives()}
    assert not wanted.keys() & negatives.keys(), f"{node.name}: wanted and unwanted at once"
    kernel = node.kernel
    assert kernel.mfc == wanted | negatives, f"{node.name}: the kernel has {kernel.mfc}, wanted is {wanted | negatives}"
    for channel, (iif, oifs) in kernel.mfc.items():
        assert not oifs >> iif & 1, f"{node.name}: {channel} goes back to where it came from"
        named = {vif for vif in range(32) if oifs >> vif & 1} | {iif}
        assert named <= kernel.vifs.keys(), f"{node.name}: {channel} names the vifs {named}, there are {kernel.vifs}"
    for interface in router.pim.interfaces.values():
        assert interface.vif is not None and kernel.vifs[interface.vif][0] == interface.ifindex, (
            f"{node.name}: {interface.name} has no vif"
        )


def wanted_entry(router: Router, sg: SG, drs: int) -> tuple[int, int] | None:
    """(iif, oifs) for an (S,G): forwarded once it is joined and RPF_interface(S) is there (RFC 7761 4.2, 4.8)."""
    iif = rpf_vif(router, sg)
    olist = downstream_mask(router, sg) | member_mask(router, sg) & drs
    return None if iif is None or not olist else (iif, olist & ~(1 << iif))


def rpf_vif(router: Router, sg: SG) -> int | None:
    """The vif of RPF_interface(S), None without a route or if PIM does not run there."""
    route = sg.path.route
    if route is None or route.ifindex is None:
        return None
    if route.local:
        holders = [i for i in router.pim.interfaces.values() if sg.source in [a for a, _ in i.link.addresses]]
        return holders[0].vif if holders else None
    interface = router.pim.interfaces.get(route.ifindex)
    return None if interface is None else interface.vif


# An entry.


def downstream_mask(router: Router, sg: SG) -> int:
    """joins(S,G), from the machines."""
    joined = (DownstreamState.JOIN, DownstreamState.PRUNE_PENDING)
    return sum(
        1 << interface.vif
        for interface in router.pim.interfaces.values()
        if interface.vif is not None and sg in interface.downstream and interface.downstream[sg].state in joined
    )


def member_mask(router: Router, sg: SG) -> int:
    """The interfaces with local_receiver_include(S,G,I), from the memberships."""
    return sum(
        1 << interface.vif
        for ifindex, interface in router.pim.interfaces.items()
        if interface.vif is not None and router.memberships[ifindex].wants(sg.group, sg.source)
    )


def dr_mask(router: Router) -> int:
    """The interfaces where I am the DR, whose members are pim_include(S,G)."""
    return sum(interface.mask for interface in router.pim.interfaces.values() if i_am_dr(interface))


def i_am_dr(interface: PimInterface) -> bool:
    """DR(I) == me, as the loop of RFC 7761 4.3.2 finds it."""
    priorities = [neighbor.hello.dr_priority for neighbor in interface.neighbors.values()]
    mine = (interface.dr_priority, interface.address)
    for neighbor in interface.neighbors.values():
        if None in priorities:
            if neighbor.address > interface.address:
                return False
        elif (neighbor.hello.dr_priority, neighbor.address) > mine:
            return False
    return True


def check_entry(router: Router, sg: SG, drs: int) -> None:
    """Its masks say what its machines and members say; upstream it is Joined exactly if that is desired."""
    assert router.pim.tib.sg[sg.source + sg.group] is sg
    members = member_mask(router, sg)
    assert sg.joins == downstream_mask(router, sg), "joins(S,G) is not what the machines say"
    assert sg.members == members, "the members are not what the memberships say"
    assert sg.joins or sg.members, "an entry that nobody wants"
    assert sg.joined == bool(sg.joins | members & drs), "Joined <=> JoinDesired"
    assert sg in sg.path.users and router.rpf.paths[sg.source] is sg.path, "its path is not kept up"
    timer = sg.join_timer
    runs = timer is not None and timer.running
    assert runs == (sg.joined and sg.rpf is not None), "the Join Timer runs exactly in Joined with an RPF'"
    if sg.rpf is not None:
        neighbors = sg.rpf.interface.neighbors
        assert neighbors.get(sg.rpf.address) is sg.rpf, "RPF' is no neighbour"
        assert sg.rpf.interface.vif == rpf_vif(router, sg), "RPF' is not on RPF_interface(S)"
    if router.ssm.holds(sg.group):
        assert sg.group not in router.pim.tib.groups, "shared-tree state in the SSM range (S3)"


# An interface.


def check_interface(node: Node, router: Router, interface: PimInterface) -> None:
    """Each state on it has its one expiry, and the counts stay below their caps."""
    settings = router.pim.settings
    assert node.ports[node.link_at(interface.ifindex)].running, f"{node.name}: PIM runs on {interface.name}, it is down"
    assert len(interface.neighbors) <= settings.max_neighbors and len(router.pim.tib.sg) <= settings.max_sg
    assert not (interface.passive and interface.neighbors), "a passive interface has no neighbours"
    for address, neighbor in interface.neighbors.items():
        assert neighbor.address == address and neighbor.interface is interface
        forever = neighbor.hello.holdtime == HOLD_FOREVER
        assert neighbor.liveness.running != forever, "a neighbour without its liveness timer"
    for neighbor in interface.secondary_of.values():
        assert interface.neighbors.get(neighbor.address) is neighbor, "a secondary address of nobody"
    for sg, machine in interface.downstream.items():
        check_downstream(router, interface, sg, machine)
    for sg in interface.members:
        assert sg.members & interface.mask and router.pim.tib.sg.get(sg.source + sg.group) is sg


def check_downstream(router: Router, interface: PimInterface, sg: SG, machine: Downstream) -> None:
    """A machine in Join or Prune-Pending, of a living entry; a PPT runs in Prune-Pending and nowhere else."""
    assert machine.sg is sg and machine.interface is interface and machine.state is not DownstreamState.NO_INFO
    assert router.pim.tib.sg.get(sg.source + sg.group) is sg, "a machine of a dead entry"
    pending = machine.prune_pending is not None and machine.prune_pending.running
    assert pending == (machine.state is DownstreamState.PRUNE_PENDING), "PPT <=> Prune-Pending"


# All together.


def check_timers(router: Router) -> None:
    """No timer runs without an owner that lives, none is overdue, and one that runs is in the heap in time."""
    heap = router.heap
    running = {id(timer): timer for timer in timers_of(router) if timer is not None and timer.deadline != NEVER}
    found: set[int] = set()
    assert len(heap._times) == len(heap._buckets), "a bucket that will not come up"
    for when, bucket in heap._buckets.items():
        for timer in bucket:
            if timer.deadline != NEVER:
                assert id(timer) in running or timer.queued != when, f"a timer of nobody: {timer.owner}"
                if timer.queued == when:
                    assert heap.now <= timer.deadline, f"overdue: {timer.owner}"
                    assert when <= timer.deadline, "a timer that the heap will miss"
                    found.add(id(timer))
    assert running.keys() == found, "timers that the heap does not know"


def timers_of(router: Router) -> list[Timer | None]:
    """Every timer that has a living owner."""
    timers: list[Timer | None] = [sg.join_timer for sg in router.pim.tib.sg.values()]
    for interface in router.pim.interfaces.values():
        timers += (interface.hello_timer, interface.triggered_hello)
        for neighbor in interface.neighbors.values():
            timers += (neighbor.liveness, neighbor.restart_answer)
        for machine in interface.downstream.values():
            timers += (machine.expiry, machine.prune_pending)
    for membership in router.memberships.values():
        timers += (membership.querier.general_timer, membership.querier.present_timer)
        for group in membership.link.groups.values():
            timers += (group.timer, group.query_timer, *(source.timer for source in group.sources.values()))
    timers += [negative.timer for negative in router.forwarding.negatives()]
    timers.append(router._vifs_released)
    return timers


def check_nothing_left(router: Router) -> None:
    """What points to entries points to living ones, and each path has a user."""
    entries = set(router.pim.tib.sg.values())
    for path in router.rpf.paths.values():
        assert path.users and set(path.users) <= entries, "a path that nobody needs"
    for group, members in router.pim.tib.groups.items():
        assert members and all(sg in entries and sg.group == group for sg in members)


# What leaves.


def check_sent(node: Node, effect: SendPacket) -> None:
    """Only onto links that are up, from an own address, no larger than the MTU; PIM not where it is passive."""
    link = node.link_at(effect.ifindex)
    assert link in node.ports, f"{node.name}: sent on {link}"
    port = node.ports[link]
    config = node.config.phyint(link)
    assert len(effect.data) + node.net.family.ip_header <= port.link.mtu, f"{node.name}: larger than the MTU"
    assert node.net.family.is_multicast(effect.destination), f"{node.name}: unicast"
    if effect.protocol != "pim":
        return
    message = pim.decode(node.net.family, effect.source, effect.destination, effect.data)
    good_bye = isinstance(message, pim.Hello) and message.holdtime == 0  # on a link that becomes passive
    assert good_bye or not config.passive, f"{node.name}: PIM on the passive {link}"
    assert effect.destination == node.net.family.all_pim_routers
    if isinstance(message, JoinPrune):
        check_join_prune(message)


def check_join_prune(message: JoinPrune) -> None:
    """Sound encoding, no contradictions, and for SSM nothing of a shared tree (S3, U23)."""
    assert not message.notes, message.notes
    assert message.groups and len(message.groups) <= 255
    for _, joins, prunes in message.groups:
        assert joins or prunes
        assert len(set(joins)) == len(joins) and len(set(prunes)) == len(prunes), "an entry twice"
        assert not set(joins) & set(prunes), "Join and Prune of one source"
        assert {flags for _, flags in joins + prunes} == {SG_FLAGS}
