"""The macros of RFC 7761, each once: the formula as docstring, the same line as body, over bit masks of vifs.

Everybody calls the macro; nobody keeps a copy of what it said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pimpy.core.pim.tib import SG
from pimpy.core.rpf import Path
from pimpy.wire.family import Prefix

if TYPE_CHECKING:
    from pimpy.core.pim.instance import Pim
    from pimpy.core.pim.neighbor import Neighbor, PimInterface
    from pimpy.wire.family import Address


def joins(sg: SG) -> int:
    """joins(S,G) = { all interfaces I such that DownstreamJPState(S,G,I) is either Join or Prune-Pending } (4.1.5)."""
    return sg.joins


def pim_include(sg: SG) -> int:
    """pim_include(S,G) = { all interfaces I such that I_am_DR( I ) AND local_receiver_include(S,G,I) } (4.1.5)."""
    return sg.pim.dr & sg.members


def immediate_olist(sg: SG) -> int:
    """immediate_olist(S,G) = joins(S,G) (+) pim_include(S,G) (4.1.5)."""
    return joins(sg) | pim_include(sg)


def inherited_olist(sg: SG) -> int:
    """inherited_olist(S,G) = joins(S,G) (+) pim_include(S,G), with no shared tree to inherit from (4.1.5, 4.8)."""
    return joins(sg) | pim_include(sg)


def join_desired(sg: SG) -> bool:
    """JoinDesired(S,G) = ( immediate_olist(S,G) != NULL ) (4.5.5; SSM has no Keepalive Timer: 4.8)."""
    return immediate_olist(sg) != 0


def rpf_interface(pim: Pim, path: Path) -> PimInterface | None:
    """RPF_interface(S): the interface the MRIB indicates would be used to route packets to S (4.1.5)."""
    if path.route is None:
        return None
    if path.route.local:
        return next((i for i in pim.interfaces.values() if i.owns(path.address)), None)
    return pim.interfaces.get(path.route.ifindex) if path.route.ifindex is not None else None


def nbr(interface: PimInterface | None, address: Address | None) -> Neighbor | None:
    """NBR( I, A ): the neighbor on I with A as primary or secondary address; NBR( I, NULL ) = NULL (4.3.4)."""
    if interface is None or address is None:
        return None
    return interface.neighbor(address)


def rpf_prime(sg: SG) -> Neighbor | None:
    """RPF'(S,G) = NBR( RPF_interface(S), MRIB.next_hop( S ) ), NULL where S is directly connected (4.1.5)."""
    interface = rpf_interface(sg.pim, sg.path)
    if interface is None or sg.path.route is None:
        return None
    if sg.path.route.next_hop is None and not directly_connected(interface, sg.source):
        return _far_end(interface)
    return nbr(interface, sg.path.route.next_hop)


def directly_connected(interface: PimInterface, address: Address) -> bool:
    """DirectlyConnected(S): `address` lies in a subnet of `interface`, or is its own (4.2)."""
    return any(Prefix(own, length).covers(address) for own, length in interface.link.addresses)


def _far_end(interface: PimInterface) -> Neighbor | None:
    """The next hop of a route that names only a point-to-point interface: whoever is there (N20)."""
    if interface.link.link.point_to_point and len(interface.neighbors) == 1:
        return next(iter(interface.neighbors.values()))
    return None
