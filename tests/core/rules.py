"""The macros of RFC 7761 once more, for the tests: sets of vifs, worked out from the machines and the memberships.

Written from the prose of 4.1.5, 4.2, 4.4 to 4.6, not from `pimpy/core/pim/macros.py`, and of another make: interface by
interface, so that a term that is lost there is missed here. `Rules` speaks of one router as it is now.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from pimpy.core.pim.asserts import AssertState
from pimpy.core.pim.downstream import State as JoinState
from pimpy.core.pim.downstream_rpt import State as RptState
from pimpy.core.pim.register import State as RegisterState
from pimpy.core.pim.tib import SG, Group, StarG
from pimpy.core.rpf import Path

if TYPE_CHECKING:
    from pimpy.core.pim.neighbor import Neighbor
    from pimpy.core.router import Router

TUNNEL = 31
PREFERENCE_OF_NO_ROUTE = (0x7FFFFFFF, 0xFFFFFFFF)


Told = TypeVar("Told")


def once(rule: Callable[..., Told]) -> Callable[..., Told]:
    """A rule that is worked out once for the same words: nothing changes while `Rules` are asked."""

    @wraps(rule)
    def asked(self: Rules, *words: Any) -> Told:
        key = (rule, *words)
        known = self.known
        if key not in known:
            known[key] = rule(self, *words)
        told: Told = known[key]
        return told

    return asked


class Rules:
    """What follows from the state of a router as it is now. An interface is called by its vif; `vifs` have PIM."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.known: dict[tuple[Any, ...], Any] = {}
        self.by_vif = {i.vif: i for i in router.pim.interfaces.values() if i.vif is not None}
        self.vifs = sorted(self.by_vif)

    # Routes, DRs, members.

    @once
    def rpf_vif(self, path: Path | None, group: bytes) -> int | None:
        """RPF_interface(X); None without a route, if PIM does not run there, or if it is a border for the group."""
        vif = self._route_vif(path)
        return None if vif is not None and self.is_border(group, vif) else vif

    def _route_vif(self, path: Path | None) -> int | None:
        route = path.route if path is not None else None
        if path is None or route is None or route.ifindex is None:
            return None
        if route.local:
            return next((v for v, i in self.by_vif.items() if path.address in [a for a, _ in i.link.addresses]), None)
        return next((vif for vif, i in self.by_vif.items() if i.ifindex == route.ifindex), None)

    def rpf_of_source(self, sg: SG) -> int | None:
        """RPF_interface(S)"""
        return self.rpf_vif(sg.path, sg.group)

    @once
    def is_border(self, group: bytes, vif: int) -> bool:
        """Whether the zone of the group's scope ends there: RFC 2365 by range, RFC 4007 by the scope's four bits."""
        for boundary in self.by_vif[vif].link.phyint.scoped:
            if len(boundary.network) != len(group):
                continue
            if len(group) == 16 and group[1] % 16 <= boundary.network[1] % 16:
                return True
            if len(group) == 4 and same_subnet(group, boundary.network, boundary.length):
                return True
        return False

    @once
    def rpf_of_rp(self, tree: Group) -> int | None:
        """RPF_interface(RP(G)): at the RP "the register tunnel"."""
        return TUNNEL if tree.i_am_rp else self.rpf_vif(tree.path, tree.group)

    def i_am_dr(self, vif: int) -> bool:
        """DR(I) == me, as the loop of 4.3.2 finds it."""
        interface = self.by_vif[vif]
        neighbors = [(neighbor.hello.dr_priority, neighbor.address) for neighbor in interface.neighbors.values()]
        for priority, _ in neighbors:
            if priority is None:
                return all(address <= interface.address for _, address in neighbors)
        return not neighbors or max(neighbors) <= (interface.dr_priority, interface.address)

    def wants_any(self, group: bytes, vif: int) -> bool:
        """local_receiver_include(*,G,I)"""
        return self._membership(vif).wants_any(group) and not self.is_border(group, vif)

    def wants(self, sg: SG, vif: int) -> bool:
        """local_receiver_include(S,G,I)"""
        return self._membership(vif).wants(sg.group, sg.source) and not self.is_border(sg.group, vif)

    def refuses(self, sg: SG, vif: int) -> bool:
        """local_receiver_exclude(S,G,I)"""
        return self._membership(vif).excludes(sg.group, sg.source)

    def _membership(self, vif: int):  # type: ignore[no-untyped-def]
        return self.router.memberships[self.by_vif[vif].ifindex]

    # Machines.

    def joined(self, entry: SG | StarG, vif: int) -> bool:
        """Whether the machine there is in state Join or Prune-Pending; of the tunnel: whether data is registered."""
        if vif == TUNNEL:
            machine = entry.register if isinstance(entry, SG) else None
            return (machine is not None and machine.state is RegisterState.JOIN) or bool(self.members_told(entry))
        found = self.by_vif[vif].downstream.get(entry)
        return found is not None and found.state in (JoinState.JOIN, JoinState.PRUNE_PENDING)

    def members_told(self, entry: SG | StarG) -> list[bytes]:
        """The other members of an anycast set that get a source of our own: who has not said to stop (RFC 4610 3)."""
        telling = self.router.pim.anycast.told.get(entry) if isinstance(entry, SG) else None
        if telling is None:
            return []
        now = self.router.heap.now
        return [member for member in telling.members.others if telling.until.get(member, 0.0) <= now]

    def pruned_rpt(self, sg: SG, vif: int) -> bool:
        """Whether the downstream (S,G,rpt) machine is in state Prune or PruneTmp."""
        found = self.by_vif[vif].downstream_rpt.get(sg)
        return found is not None and found.state in (RptState.PRUNE, RptState.PRUNE_TMP)

    @once
    def assert_state(self, entry: SG | StarG | None, vif: int) -> AssertState | None:
        """The Assert machine of an entry; None in NoInfo."""
        if entry is None or vif not in self.by_vif:
            return None
        return next((state for state in self.by_vif[vif].asserts if state.entry is entry), None)

    def i_won(self, entry: SG | StarG | None, vif: int) -> bool:
        """AssertWinner(I) == me"""
        state = self.assert_state(entry, vif)
        return state is not None and state.winner == self.by_vif[vif].address

    def i_lost(self, entry: SG | StarG | None, vif: int) -> bool:
        """AssertWinner(I) is neither NULL nor me: I_Am_Assert_Loser"""
        state = self.assert_state(entry, vif)
        return state is not None and state.winner != self.by_vif[vif].address

    # lost_assert (4.6.5).

    @once
    def lost_assert_star(self, star: StarG, vif: int) -> bool:
        """lost_assert(*,G,I)"""
        return self.rpf_of_rp(star.tree) != vif and self.i_lost(star, vif)

    @once
    def lost_assert_rpt(self, sg: SG, vif: int) -> bool:
        """lost_assert(S,G,rpt,I)"""
        if sg.tree is None or self.rpf_of_rp(sg.tree) == vif:
            return False
        if self.rpf_of_source(sg) == vif and sg.spt_bit:
            return False
        return self.i_lost(sg, vif)

    @once
    def lost_assert(self, sg: SG, vif: int) -> bool:
        """lost_assert(S,G,I)"""
        state = self.assert_state(sg, vif)
        if state is None or self.rpf_of_source(sg) == vif or not self.i_lost(sg, vif):
            return False
        theirs = (state.metric.rpt, state.metric.preference, state.metric.metric)
        mine = (False, *self.route_metric(sg.path))
        return theirs < mine or (theirs == mine and state.metric.address > self.by_vif[vif].address)

    def route_metric(self, path: Path) -> tuple[int, int]:
        """(MRIB.pref, MRIB.metric): 0, 0 on the link itself; the routes of these tests are of no known protocol."""
        route = path.route
        if route is None or route.ifindex is None:
            return PREFERENCE_OF_NO_ROUTE
        return (0, 0) if route.next_hop is None else (PREFERENCE_OF.get(route.protocol, 101), route.metric)

    # pim_include, pim_exclude (4.1.5).

    @once
    def serves_any(self, star: StarG, vif: int) -> bool:
        """I in pim_include(*,G)"""
        responsible = (self.i_am_dr(vif) and not self.lost_assert_star(star, vif)) or self.i_won(star, vif)
        return responsible and self.wants_any(star.group, vif)

    @once
    def serves(self, sg: SG, vif: int) -> bool:
        """I in pim_include(S,G)"""
        responsible = (self.i_am_dr(vif) and not self.lost_assert(sg, vif)) or self.i_won(sg, vif)
        return responsible and self.wants(sg, vif)

    @once
    def spares(self, sg: SG, vif: int) -> bool:
        """I in pim_exclude(S,G)"""
        star = star_of(sg)
        lost = star is not None and self.lost_assert_star(star, vif)
        won = star is not None and self.i_won(star, vif)
        return ((self.i_am_dr(vif) and not lost) or won) and self.refuses(sg, vif)

    # Outgoing interfaces (4.1.5).

    @once
    def immediate_star(self, star: StarG) -> set[int]:
        """immediate_olist(*,G)"""
        wanted = {v for v in self.vifs if self.joined(star, v) or self.serves_any(star, v)}
        return {v for v in wanted if not self.lost_assert_star(star, v)}

    @once
    def immediate(self, sg: SG) -> set[int]:
        """immediate_olist(S,G)"""
        wanted = {v for v in self.vifs if self.joined(sg, v) or self.serves(sg, v)}
        return {v for v in wanted if not self.lost_assert(sg, v)} | self.tunnel(sg)

    def tunnel(self, sg: SG) -> set[int]:
        """The register tunnel, while the Register machine is in state Join (4.4.1)."""
        return {TUNNEL} if self.joined(sg, TUNNEL) else set()

    @once
    def from_shared_tree(self, sg: SG, vif: int) -> bool:
        """I in (joins(*,G) - prunes(S,G,rpt)) + (pim_include(*,G) - pim_exclude(S,G))"""
        star = star_of(sg)
        if star is None:
            return False
        by_join = self.joined(star, vif) and not self.pruned_rpt(sg, vif)
        return by_join or (self.serves_any(star, vif) and not self.spares(sg, vif))

    @once
    def inherited_rpt(self, sg: SG) -> set[int]:
        """inherited_olist(S,G,rpt)"""
        star = star_of(sg)
        if star is None:
            return set()
        lost = {v for v in self.vifs if self.lost_assert_star(star, v) or self.lost_assert_rpt(sg, v)}
        return {v for v in self.vifs if self.from_shared_tree(sg, v)} - lost

    @once
    def inherited(self, sg: SG) -> set[int]:
        """inherited_olist(S,G)"""
        wanted = self.inherited_rpt(sg) | {v for v in self.vifs if self.joined(sg, v) or self.serves(sg, v)}
        return {v for v in wanted if not self.lost_assert(sg, v)} | self.tunnel(sg)

    # What is wanted from upstream (4.5), and of data (4.2, 4.4).

    def join_desired_star(self, star: StarG | None) -> bool:
        """JoinDesired(*,G), RPTJoinDesired(G)"""
        return star is not None and bool(self.immediate_star(star))

    def join_desired(self, sg: SG) -> bool:
        """JoinDesired(S,G)"""
        alive = sg.keepalive is not None and sg.keepalive.running
        return bool(self.immediate(sg)) or (alive and bool(self.inherited(sg)))

    def prune_desired_rpt(self, sg: SG) -> bool:
        """PruneDesired(S,G,rpt)"""
        star = star_of(sg)
        if star is None or not self.join_desired_star(star):
            return False
        return not self.inherited_rpt(sg) or (sg.spt_bit and self.rpf_prime_star(star) is not self.rpf_prime(sg))

    def connected(self, sg: SG) -> bool:
        """DirectlyConnected(S)"""
        vif, route = self.rpf_of_source(sg), sg.path.route
        if vif is None or route is None or route.next_hop is not None:
            return False
        link = self.by_vif[vif].link
        subnets = [*link.addresses, *((net.network, net.length) for net in link.phyint.altnets)]
        return any(len(own) == len(sg.source) and same_subnet(sg.source, own, bits) for own, bits in subnets)

    def could_register(self, sg: SG) -> bool:
        """CouldRegister(S,G), where there is an RP to register with that is not ourselves."""
        vif = self.rpf_of_source(sg)
        alive = sg.keepalive is not None and sg.keepalive.running
        remote = sg.tree is not None and sg.tree.rp is not None and not sg.tree.i_am_rp
        return remote and alive and vif is not None and self.i_am_dr(vif) and self.connected(sg)

    # RPF' (4.1.5).

    def rpf_prime(self, sg: SG) -> Neighbor | None:
        """RPF'(S,G)"""
        return self._rpf_prime(sg, self.rpf_of_source(sg), sg.path)

    def rpf_prime_star(self, star: StarG) -> Neighbor | None:
        """RPF'(*,G)"""
        return self._rpf_prime(star, self.rpf_vif(star.tree.path, star.group), star.tree.path)

    def _rpf_prime(self, entry: SG | StarG, vif: int | None, path: Path | None) -> Neighbor | None:
        if vif is None or path is None or path.route is None:
            return None
        interface = self.by_vif[vif]
        if self.i_lost(entry, vif):
            state = self.assert_state(entry, vif)
            return interface.neighbors.get(state.winner) if state is not None else None
        hop = path.route.next_hop
        if hop is None:
            if isinstance(entry, StarG) and not path.route.local:
                return interface.neighbors.get(path.address) or interface.secondary_of.get(path.address)
            return None
        return interface.neighbors.get(hop) or interface.secondary_of.get(hop)

    # Asserts (4.6).

    def could_assert(self, sg: SG, vif: int) -> bool:
        """CouldAssert(S,G,I)"""
        if not sg.spt_bit or self.rpf_of_source(sg) == vif:
            return False
        return self._downstream(sg, vif) or self.serves(sg, vif)

    def could_assert_star(self, star: StarG, vif: int) -> bool:
        """CouldAssert(*,G,I)"""
        return self.rpf_of_rp(star.tree) != vif and (self.joined(star, vif) or self.serves_any(star, vif))

    def tracking(self, sg: SG, vif: int) -> bool:
        """AssertTrackingDesired(S,G,I)"""
        if self._downstream(sg, vif):
            return True
        if self.wants(sg, vif) and (self.i_am_dr(vif) or self.i_won(sg, vif)):
            return True
        if self.rpf_of_source(sg) == vif and self.join_desired(sg):
            return True
        on_shared_tree = sg.tree is not None and self.rpf_of_rp(sg.tree) == vif
        return on_shared_tree and self.join_desired_star(star_of(sg)) and not sg.spt_bit

    def tracking_star(self, star: StarG, vif: int) -> bool:
        """AssertTrackingDesired(*,G,I)"""
        if self.could_assert_star(star, vif):
            return True
        if self.wants_any(star.group, vif) and (self.i_am_dr(vif) or self.i_won(star, vif)):
            return True
        return self.rpf_of_rp(star.tree) == vif and self.join_desired_star(star)

    def _downstream(self, sg: SG, vif: int) -> bool:
        star = star_of(sg)
        inherited = self.from_shared_tree(sg, vif) and not (star is not None and self.lost_assert_star(star, vif))
        return inherited or self.joined(sg, vif)

    # The kernel's entry (4.2).

    def kernel_entry(self, sg: SG) -> tuple[int, set[int]] | None:
        """(iif, oifs); None if there is to be none. A flow that goes nowhere has an entry without oifs (F21)."""
        if sg.tree is None:
            iif, oifs = self.rpf_of_source(sg), self.inherited(sg)
            return None if iif is None or not self.join_desired(sg) else (iif, oifs - {iif})
        if sg.flow is None:
            return None
        if sg.spt_bit:
            iif, oifs = self.rpf_of_source(sg), self.inherited(sg)
        else:
            iif, oifs = self.rpf_of_rp(sg.tree), self.inherited_rpt(sg)
        if iif is not None and oifs - {iif}:
            waits = sg.path.route is None and iif != sg.flow.arrived
            return None if waits else (iif, oifs - {iif})
        return (sg.flow.vif, set()) if sg.path.route is not None else None


PREFERENCE_OF = {2: 0, 3: 1, 4: 1, 186: 20, 187: 115, 188: 110, 189: 120, 192: 90, 196: 1}
"""rtnetlink's protocol numbers and the usual administrative distances."""


def star_of(sg: SG) -> StarG | None:
    """The (*,G) entry of a source's group."""
    return sg.tree.star if sg.tree is not None else None


def same_subnet(one: bytes, other: bytes, bits: int) -> bool:
    """Whether two addresses have their first bits in common."""
    shift = 8 * len(one) - bits
    return int.from_bytes(one, "big") >> shift == int.from_bytes(other, "big") >> shift


def mask(vifs: set[int]) -> int:
    """A set of vifs as a bit mask."""
    return sum(1 << vif for vif in vifs)
