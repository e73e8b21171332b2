"""What the rules look at, as values that compare: what is as it was when it was last checked need not be checked again.

The invariants of an entry are a function of its own fields, of the machines, Asserts and memberships that it has on
each interface, and of what all entries have in common. Taking that down costs a tenth of asking all the rules. Nothing
here relies on what the router itself believes to have changed: an entry that it forgot to settle is found.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pimpy.core.engine.timers import Timer
from pimpy.core.gmp import Membership
from pimpy.core.pim.neighbor import PimInterface
from pimpy.core.pim.rp_set import Range, RpSet
from pimpy.core.pim.tib import SG, Group, StarG
from pimpy.core.router import Router
from pimpy.core.rpf import Path
from pimpy.wire.family import Address
from pimpy.wire.record import define, field

Outline = tuple[Any, ...]
Unit = Group | SG
"""What is checked as one: a group with its sources, or a channel of the SSM range."""


@define
class Outlines:
    """Takes down the state of a router as it is now."""

    router: Router
    places: list[tuple[PimInterface, Membership]] = field(init=False)
    """Each interface, and its members."""
    machines: dict[SG | StarG, list[Outline]] = field(init=False, factory=dict)
    """The states of the machines that entries have on interfaces."""
    members: dict[Address, list[tuple[PimInterface, Membership]]] = field(init=False, factory=dict)
    """Where hosts said something of a group."""
    everywhere: list[tuple[PimInterface, Membership]] = field(init=False)
    """Where the configuration may have, of any group."""

    def __post_init__(self) -> None:
        memberships = self.router.memberships
        self.places = [(each, memberships[each.ifindex]) for each in self.router.pim.interfaces.values()]
        self.everywhere = [place for place in self.places if place[1].static]
        for interface, members in self.places:
            for entry, machine in interface.downstream.items():
                self.machines.setdefault(entry, []).append((interface, machine.state))
            for sg, pruned in interface.downstream_rpt.items():
                self.machines.setdefault(sg, []).append((interface, "rpt", pruned.state))
            for state in interface.asserts:
                self.machines.setdefault(state.entry, []).append((interface, state.winner, state.metric))
            for group in members.link.groups:
                self.members.setdefault(group, []).append((interface, members))

    def common(self) -> Outline:
        """What more than one entry depends on."""
        pim = self.router.pim
        places = [(_of_interface(interface), tuple(members.static)) for interface, members in self.places]
        return (*places, pim.dr, frozenset(pim.own), self.router.ssm.prefixes, *_of_rp_set(pim.rp_set))

    def unit(self, unit: Unit, sources: Iterable[SG]) -> Outline:
        """What the invariants of a group and its sources, or of one channel, depend on."""
        outline = [] if isinstance(unit, SG) else self._tree(unit)
        for sg in sources:
            outline.append(self._sg(sg))
        return tuple(outline)

    def _tree(self, tree: Group) -> list[Outline]:
        star = tree.star
        way = (tree.rp, tree.i_am_rp, *_of_path(tree.path, tree), *_of_path(tree.coming, tree), len(tree.sources))
        if star is None:
            return [way]
        wanted = [(interface, members.wants_any(tree.group)) for interface, members in self._asked(tree.group)]
        upstream = (star, star.joins, star.members, star.joined, _of_rpf(star), _runs(star.join_timer))
        return [way, upstream, tuple(wanted), *self.machines.get(star, ())]

    def _sg(self, sg: SG) -> Outline:
        router, group, source, key = self.router, sg.group, sg.source, sg.source + sg.group
        tib, rpt, register, flow, tree = router.pim.tib, sg.rpt, sg.register, sg.flow, sg.tree
        wanted = [
            (interface, members.wants(group, source), members.excludes(group, source))
            for interface, members in self._asked(group)
        ]
        telling = router.pim.anycast.told.get(sg)
        told = None if telling is None else [router.heap.now < until for until in telling.until.values()]
        return (
            *(sg, sg.joins, sg.members, sg.joined, sg.spt_bit, _of_rpf(sg), _runs(sg.join_timer), _runs(sg.keepalive)),
            *(tib.sg.get(key) is sg, tib.groups.get(group) is tree, tree is None or sg in tree.sources),
            *(*_of_path(sg.path, sg), router.rpf.paths.get(source) is sg.path),
            None if rpt is None else (rpt.prunes, rpt.pending, rpt.excludes, rpt.state, _runs(rpt.override_timer)),
            None if register is None else (register.rp, register.state),
            None if flow is None else (flow.vif, flow.arrived),
            None if telling is None else (telling.members, told),
            *(len(wanted), *wanted, *self.machines.get(sg, ())),
        )

    def _asked(self, group: Address) -> list[tuple[PimInterface, Membership]]:
        """Where somebody may want a group."""
        found = self.members.get(group, [])
        return [*found, *self.everywhere] if self.everywhere else found


def _runs(timer: Timer | None) -> bool:
    return timer is not None and timer.running


def _of_path(path: Path | None, user: Unit) -> Outline:
    return () if path is None else (path, path.route, user in path.users)


def _of_rpf(entry: SG | StarG) -> Outline:
    rpf = entry.rpf
    return () if rpf is None else (rpf, rpf.interface.neighbors.get(rpf.address) is rpf)


def _of_interface(interface: PimInterface) -> Outline:
    link = interface.link
    neighbors = tuple((address, each, each.hello.dr_priority) for address, each in interface.neighbors.items())
    facts = (link.vif, link.link, link.addresses, link.phyint, interface.address, interface.dr_priority)
    return interface, facts, neighbors, tuple(interface.secondary_of.items())


def _of_rp_set(rp_set: RpSet) -> Outline:
    statics = tuple((each.mapping, each.usable) for each in rp_set.statics())
    zones = [(zone, found.hash_mask) for zone, found in rp_set.zones.items()]
    ranges = [known for found in rp_set.zones.values() for known in found.ranges.by_prefix.values()]
    learned = [(each.zone.zone, each.prefix, each.bidir, *_of_rps(each)) for each in ranges]
    return rp_set.embedded, rp_set.hash_mask, statics, zones, learned


def _of_rps(known: Range) -> Outline:
    return tuple((each.rp, each.priority) for each in known.rps.values())
