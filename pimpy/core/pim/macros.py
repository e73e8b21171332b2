"""The macros of RFC 7761, each once: the formula as docstring, the same line as body, over bit masks of vifs.

(+) is a union, (-) a difference of interface sets. Everybody calls the macro; nobody keeps a copy of what it
said. In the SSM range there is no shared tree, so every term of (*,G) and (S,G,rpt) is empty there (4.8).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pimpy.core.interface import REGISTER_MASK
from pimpy.core.pim import metric
from pimpy.core.pim.tib import SG, Group, StarG
from pimpy.core.rpf import Path

if TYPE_CHECKING:
    from pimpy.core.pim.instance import Pim
    from pimpy.core.pim.neighbor import Neighbor, PimInterface
    from pimpy.wire.family import Address

# Interfaces, and who is on them (4.1.5, 4.3.4)


def rpf_interface(pim: Pim, path: Path | None, group: Address | None = None) -> PimInterface | None:
    """RPF_interface(X): the interface the MRIB indicates would be used to route packets to X (4.1.5).

    For packets of `group` none where it is a border of the group's scope: they do not leave their zone.
    """
    if path is None or path.route is None:
        return None
    if path.route.local:
        found = next((i for i in pim.interfaces.values() if i.owns(path.address)), None)
    else:
        found = pim.interfaces.get(path.route.ifindex) if path.route.ifindex is not None else None
    if found is not None and pim.borders and group is not None and found.bars(group):
        return None
    return found


def rpf_mask(sg: SG) -> int:
    """{ RPF_interface(S) }"""
    interface = rpf_interface(sg.pim, sg.path, sg.group)
    return interface.mask if interface is not None else 0


def rp_mask(pim: Pim, tree: Group) -> int:
    """{ RPF_interface(RP(G)) }, which at the RP is the register tunnel (4.2)."""
    if tree.i_am_rp:
        return REGISTER_MASK
    interface = rpf_interface(pim, tree.path, tree.group)
    return interface.mask if interface is not None else 0


def nbr(interface: PimInterface | None, address: Address | None) -> Neighbor | None:
    """NBR( I, A ): the neighbor on I with A as primary or secondary address; NBR( I, NULL ) = NULL (4.3.4)."""
    if interface is None or address is None:
        return None
    return interface.neighbor(address)


def directly_connected(interface: PimInterface | None, address: Address) -> bool:
    """DirectlyConnected(S): `address` lies in a subnet of its RPF interface, or is its own (4.2)."""
    return interface is not None and interface.link.holds(address)


def source_connected(sg: SG) -> bool:
    """DirectlyConnected(S) for the source of an entry (4.2)."""
    return sg.path.connected and directly_connected(rpf_interface(sg.pim, sg.path, sg.group), sg.source)


# Members (4.1.5)


def pim_include_star(star: StarG | None) -> int:
    """pim_include(*,G) =
    { all interfaces I such that:
      ( ( I_am_DR( I ) AND lost_assert(*,G,I) == FALSE ) OR AssertWinner(*,G,I) == me )
      AND local_receiver_include(*,G,I) }
    """
    if star is None or not star.members:
        return 0
    return ((star.pim.dr & ~lost_assert_star(star)) | assert_won(star)) & star.members


def pim_include(sg: SG) -> int:
    """pim_include(S,G) =
    { all interfaces I such that:
      ( ( I_am_DR( I ) AND lost_assert(S,G,I) == FALSE ) OR AssertWinner(S,G,I) == me )
      AND local_receiver_include(S,G,I) }
    """
    if not sg.members:
        return 0
    return ((sg.pim.dr & ~lost_assert(sg)) | assert_won(sg)) & sg.members


def pim_exclude(sg: SG) -> int:
    """pim_exclude(S,G) =
    { all interfaces I such that:
      ( ( I_am_DR( I ) AND lost_assert(*,G,I) == FALSE ) OR AssertWinner(*,G,I) == me )
      AND local_receiver_exclude(S,G,I) }
    """
    if sg.rpt is None or not sg.rpt.excludes:
        return 0
    star = _star(sg)
    lost = 0 if star is None else lost_assert_star(star)
    won = 0 if star is None else assert_won(star)
    return ((sg.pim.dr & ~lost) | won) & sg.rpt.excludes


# Downstream state (4.1.5)


def joins_star(star: StarG | None) -> int:
    """joins(*,G) = { all interfaces I such that DownstreamJPState(*,G,I) is either Join or Prune-Pending }"""
    return 0 if star is None else star.joins


def joins(sg: SG) -> int:
    """joins(S,G) = { all interfaces I such that DownstreamJPState(S,G,I) is either Join or Prune-Pending }"""
    return sg.joins


def prunes_rpt(sg: SG) -> int:
    """prunes(S,G,rpt) = { all interfaces I such that DownstreamJPState(S,G,rpt,I) is Prune or PruneTmp }"""
    return 0 if sg.rpt is None else sg.rpt.prunes


# Outgoing interface lists (4.1.5)


def immediate_olist_star(star: StarG) -> int:
    """immediate_olist(*,G) = joins(*,G) (+) pim_include(*,G) (-) lost_assert(*,G)"""
    return (joins_star(star) | pim_include_star(star)) & ~lost_assert_star(star)


def immediate_olist(sg: SG) -> int:
    """immediate_olist(S,G) = joins(S,G) (+) pim_include(S,G) (-) lost_assert(S,G)"""
    return (joins(sg) | pim_include(sg)) & ~lost_assert(sg)


def inherited_olist_rpt(sg: SG) -> int:
    """inherited_olist(S,G,rpt) =
    ( joins(*,G) (-) prunes(S,G,rpt) ) (+) ( pim_include(*,G) (-) pim_exclude(S,G) )
    (-) ( lost_assert(*,G) (+) lost_assert(S,G,rpt) )
    """
    star = _star(sg)
    if star is None:
        return 0
    return ((joins_star(star) & ~prunes_rpt(sg)) | (pim_include_star(star) & ~pim_exclude(sg))) & ~(
        lost_assert_star(star) | lost_assert_rpt(sg)
    )


def inherited_olist(sg: SG) -> int:
    """inherited_olist(S,G) = inherited_olist(S,G,rpt) (+) joins(S,G) (+) pim_include(S,G) (-) lost_assert(S,G)"""
    return (inherited_olist_rpt(sg) | joins(sg) | pim_include(sg)) & ~lost_assert(sg)


# RPF' (4.1.5)


def rpf_prime_star(star: StarG) -> Neighbor | None:
    """RPF'(*,G) =
    AssertWinner(*, G, RPF_interface(RP(G)) ) if I_Am_Assert_Loser(*, G, RPF_interface(RP(G)) )
    else NBR( RPF_interface(RP(G)), MRIB.next_hop( RP(G) ) ), NULL at the RP
    """
    tree = star.tree
    if tree.i_am_rp or tree.path is None:
        return None
    interface = rpf_interface(star.pim, tree.path, tree.group)
    winner = _assert_winner_there(star, interface)
    if winner is not None:
        return winner
    hop = tree.path.hop
    neighbor = nbr(interface, hop[1] if hop is not None else None)
    if neighbor is None and not directly_connected(interface, tree.path.address):
        return _far_end(interface, tree.path)
    return neighbor


def rpf_prime(sg: SG) -> Neighbor | None:
    """RPF'(S,G) =
    AssertWinner(S, G, RPF_interface(S) ) if I_Am_Assert_Loser(S, G, RPF_interface(S) )
    else NBR( RPF_interface(S), MRIB.next_hop( S ) ), NULL where S is directly connected
    """
    interface = rpf_interface(sg.pim, sg.path, sg.group)
    if interface is None or sg.path.route is None:
        return None
    winner = _assert_winner_there(sg, interface)
    if winner is not None:
        return winner
    if sg.path.route.next_hop is None and not directly_connected(interface, sg.source):
        return _far_end(interface, sg.path)
    return nbr(interface, sg.path.route.next_hop)


def rpf_prime_rpt(sg: SG) -> Neighbor | None:
    """RPF'(S,G,rpt) =
    AssertWinner(S, G, RPF_interface(RP(G)) ) if I_Am_Assert_Loser( S, G, RPF_interface(RP(G)) )
    else RPF'(*,G)
    """
    star = _star(sg)
    if star is None:
        return None
    interface = None if star.tree.i_am_rp else rpf_interface(sg.pim, star.tree.path, sg.group)
    return _assert_winner_there(sg, interface) or rpf_prime_star(star)


def _far_end(interface: PimInterface | None, path: Path) -> Neighbor | None:
    """The next hop of a route that names only a point-to-point interface: whoever is there (N20)."""
    if interface is None or path.route is None or path.route.next_hop is not None:
        return None
    if interface.link.link.point_to_point and len(interface.neighbors) == 1:
        return next(iter(interface.neighbors.values()))
    return None


def rpf_neighbor(pim: Pim, path: Path) -> Neighbor | None:
    """RPF_neighbor(X) of RFC 5059 3.1.3 = NBR( RPF_interface(X), MRIB.next_hop(X) ); NULL if X is our own address"""
    hop = path.hop
    if path.route is None or path.route.local or hop is None:
        return None
    interface = rpf_interface(pim, path)
    neighbor = nbr(interface, hop[1])
    if neighbor is None and not directly_connected(interface, path.address):
        return _far_end(interface, path)
    return neighbor


# What is wanted from upstream (4.5.4, 4.5.5, 4.5.7)


def join_desired_star(star: StarG) -> bool:
    """JoinDesired(*,G) = ( immediate_olist(*,G) != NULL ) (4.5.4)"""
    return immediate_olist_star(star) != 0


def rpt_join_desired(sg: SG) -> bool:
    """RPTJoinDesired(G) = JoinDesired(*,G) (4.5.7)"""
    star = _star(sg)
    return star is not None and join_desired_star(star)


def join_desired(sg: SG) -> bool:
    """JoinDesired(S,G) = ( immediate_olist(S,G) != NULL OR
    ( KeepaliveTimer(S,G) is running AND inherited_olist(S,G) != NULL ) ) (4.5.5)
    """
    return immediate_olist(sg) != 0 or (keepalive_running(sg) and inherited_olist(sg) != 0)


def keepalive_running(sg: SG) -> bool:
    """KeepaliveTimer(S,G) is running"""
    return sg.keepalive is not None and sg.keepalive.running


def prune_desired_rpt(sg: SG) -> bool:
    """PruneDesired(S,G,rpt) = RPTJoinDesired(G) AND ( inherited_olist(S,G,rpt) == NULL
    OR ( SPTbit(S,G)==TRUE AND RPF'(*,G) != RPF'(S,G) ) ) (4.5.7)
    """
    star = _star(sg)
    if star is None or not join_desired_star(star):
        return False
    return inherited_olist_rpt(sg) == 0 or (sg.spt_bit and rpf_prime_star(star) is not rpf_prime(sg))


# Data (4.2, 4.4)


def could_register(sg: SG) -> bool:
    """CouldRegister(S,G) = ( I_am_DR( RPF_interface(S) ) AND KeepaliveTimer(S,G) is running AND
    DirectlyConnected(S) == TRUE ) (4.4.1)
    """
    return bool(sg.pim.dr & rpf_mask(sg)) and keepalive_running(sg) and source_connected(sg)


def spt_bit_may_be_set(sg: SG, iif: int) -> bool:
    """The condition of Update_SPTbit(S,G,iif), `iif` as a mask (4.2.2):
    iif == RPF_interface(S) AND JoinDesired(S,G) == TRUE AND ( DirectlyConnected(S) == TRUE
    OR RPF_interface(S) != RPF_interface(RP(G)) OR inherited_olist(S,G,rpt) == NULL
    OR ( ( RPF'(S,G) == RPF'(*,G) ) AND ( RPF'(S,G) != NULL ) ) OR ( I_Am_Assert_Loser(S,G,iif) ) )
    """
    if not iif or iif != rpf_mask(sg) or not join_desired(sg):
        return False
    return (
        source_connected(sg)
        or sg.tree is None
        or iif != rp_mask(sg.pim, sg.tree)
        or inherited_olist_rpt(sg) == 0
        or both_trees_meet(sg)
        or bool(iif & assert_lost(sg))
    )


def both_trees_meet(sg: SG) -> bool:
    """( RPF'(S,G) == RPF'(*,G) ) AND ( RPF'(S,G) != NULL ) (4.2.2)"""
    star = _star(sg)
    return star is not None and rpf_prime(sg) is not None and rpf_prime(sg) is rpf_prime_star(star)


def last_hop_wants(sg: SG) -> bool:
    """pim_include(*,G) (-) pim_exclude(S,G) (+) pim_include(S,G) != NULL, of CheckSwitchToSpt(S,G) (4.2.1)"""
    return ((pim_include_star(_star(sg)) & ~pim_exclude(sg)) | pim_include(sg)) != 0


def on_shared_tree(sg: SG) -> bool:
    """iif == RPF_interface(RP(G)) AND SPTbit(S,G) == FALSE, for the data that passes (4.2)"""
    if sg.flow is None or sg.tree is None or sg.spt_bit:
        return False
    return 1 << sg.flow.vif == rp_mask(sg.pim, sg.tree)


# Asserts (4.6)


def assert_won(entry: SG | StarG) -> int:
    """{ all interfaces I such that AssertWinner(entry,I) == me }"""
    if not entry.asserts:
        return 0
    return _union(interface.mask for interface, state in entry.asserts.items() if state.won)


def assert_lost(entry: SG | StarG) -> int:
    """{ all interfaces I such that I_Am_Assert_Loser(entry,I) }: AssertWinner(entry,I) is neither NULL nor me"""
    if not entry.asserts:
        return 0
    return _union(interface.mask for interface, state in entry.asserts.items() if not state.won)


def lost_assert_star(star: StarG) -> int:
    """lost_assert(*,G,I) = RPF_interface(RP(G)) != I AND AssertWinner(*,G,I) is neither NULL nor me (4.6.5)"""
    return assert_lost(star) & ~rp_mask(star.pim, star.tree) if star.asserts else 0


def lost_assert_rpt(sg: SG) -> int:
    """lost_assert(S,G,rpt,I) = NOT ( RPF_interface(RP(G)) == I OR ( RPF_interface(S) == I AND SPTbit(S,G) == TRUE ) )
    AND AssertWinner(S,G,I) is neither NULL nor me (4.6.5)
    """
    if not sg.asserts or sg.tree is None:
        return 0
    return assert_lost(sg) & ~(rp_mask(sg.pim, sg.tree) | (rpf_mask(sg) if sg.spt_bit else 0))


def lost_assert(sg: SG) -> int:
    """lost_assert(S,G,I) = RPF_interface(S) != I AND AssertWinner(S,G,I) is neither NULL nor me
    AND AssertWinnerMetric(S,G,I) is better than spt_assert_metric(S,I) (4.6.5)
    """
    if not sg.asserts:
        return 0
    return _union(
        interface.mask
        for interface, state in sg.asserts.items()
        if not state.won and metric.better(state.metric, metric.spt_assert_metric(sg, interface))
    ) & ~rpf_mask(sg)


def could_assert(sg: SG) -> int:
    """{ I: CouldAssert(S,G,I) } = SPTbit(S,G)==TRUE AND RPF_interface(S) != I AND
    I in ( ( joins(*,G) (-) prunes(S,G,rpt) ) (+) ( pim_include(*,G) (-) pim_exclude(S,G) )
    (-) lost_assert(*,G) (+) joins(S,G) (+) pim_include(S,G) ) (4.6.1)
    """
    if not sg.spt_bit:
        return 0
    return (_downstream_of_both(sg) | joins(sg) | pim_include(sg)) & ~rpf_mask(sg) & ~REGISTER_MASK


def could_assert_star(star: StarG) -> int:
    """{ I: CouldAssert(*,G,I) } = I in ( joins(*,G) (+) pim_include(*,G) ) AND RPF_interface(RP(G)) != I (4.6.2)"""
    return (joins_star(star) | pim_include_star(star)) & ~rp_mask(star.pim, star.tree)


def assert_tracking_desired(sg: SG) -> int:
    """{ I: AssertTrackingDesired(S,G,I) } =
    I in ( ( joins(*,G) (-) prunes(S,G,rpt) ) (+) ( pim_include(*,G) (-) pim_exclude(S,G) ) (-) lost_assert(*,G)
    (+) joins(S,G) )
    OR ( local_receiver_include(S,G,I) AND ( I_am_DR(I) OR AssertWinner(S,G,I) == me ) )
    OR ( RPF_interface(S) == I AND JoinDesired(S,G) )
    OR ( RPF_interface(RP(G)) == I AND JoinDesired(*,G) AND SPTbit(S,G) == FALSE ) (4.6.1)
    """
    tracked = _downstream_of_both(sg) | joins(sg) | (sg.members & (sg.pim.dr | assert_won(sg)))
    if join_desired(sg):
        tracked |= rpf_mask(sg)
    if sg.tree is not None and not sg.spt_bit and rpt_join_desired(sg):
        tracked |= rp_mask(sg.pim, sg.tree)
    return tracked & ~REGISTER_MASK


def assert_tracking_desired_star(star: StarG) -> int:
    """{ I: AssertTrackingDesired(*,G,I) } = CouldAssert(*,G,I)
    OR ( local_receiver_include(*,G,I) AND ( I_am_DR(I) OR AssertWinner(*,G,I) == me ) )
    OR ( RPF_interface(RP(G)) == I AND RPTJoinDesired(G) ) (4.6.2)
    """
    tracked = could_assert_star(star) | (star.members & (star.pim.dr | assert_won(star)))
    if join_desired_star(star):
        tracked |= rp_mask(star.pim, star.tree)
    return tracked & ~REGISTER_MASK


def my_assert_metric(sg: SG, interface: PimInterface) -> metric.Metric:
    """my_assert_metric(S,G,I): spt_assert_metric(S,I) if CouldAssert(S,G,I), else rpt_assert_metric(G,I)
    if CouldAssert(*,G,I), else infinite_assert_metric() (4.6.3)
    """
    if could_assert(sg) & interface.mask:
        return metric.spt_assert_metric(sg, interface)
    star = _star(sg)
    return my_assert_metric_star(star, interface) if star is not None else metric.INFINITE


def my_assert_metric_star(star: StarG, interface: PimInterface) -> metric.Metric:
    """my_assert_metric(*,G,I): rpt_assert_metric(G,I) if CouldAssert(*,G,I), else infinite_assert_metric() (4.6.3)"""
    if could_assert_star(star) & interface.mask:
        return metric.rpt_assert_metric(star, interface)
    return metric.INFINITE


def _downstream_of_both(sg: SG) -> int:
    """( joins(*,G) (-) prunes(S,G,rpt) ) (+) ( pim_include(*,G) (-) pim_exclude(S,G) ) (-) lost_assert(*,G)"""
    star = _star(sg)
    if star is None:
        return 0
    return ((joins_star(star) & ~prunes_rpt(sg)) | (pim_include_star(star) & ~pim_exclude(sg))) & ~lost_assert_star(
        star
    )


def _assert_winner_there(entry: SG | StarG, interface: PimInterface | None) -> Neighbor | None:
    """AssertWinner(entry,I) if I_Am_Assert_Loser(entry,I)"""
    if interface is None or not entry.asserts:
        return None
    state = entry.asserts.get(interface)
    return interface.neighbors.get(state.winner) if state is not None and not state.won else None


def _star(sg: SG) -> StarG | None:
    return sg.tree.star if sg.tree is not None else None


def _union(masks: Iterable[int]) -> int:
    union = 0
    for mask in masks:
        union |= mask
    return union
