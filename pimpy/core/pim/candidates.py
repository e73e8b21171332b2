"""What the configuration wants this router to be a candidate for, as far as it has the addresses for it."""

from __future__ import annotations

from collections.abc import Collection

from pimpy.config.model import BsrCandidate, Config, RpCandidate
from pimpy.core.interface import Interface
from pimpy.core.pim.bsr import CandidateBsr
from pimpy.core.pim.candidate_rp import Candidacy
from pimpy.core.pim.rp_set import DEFAULT_HASH_MASK
from pimpy.core.pim.scope import GLOBAL, Zone, zone_of
from pimpy.wire.family import Address, Family


def address_of(
    family: Family, interfaces: Collection[Interface], taking_part: Collection[int], wish: BsrCandidate | RpCandidate
) -> Address | None:
    """The address of a candidate: the one named, while it is ours; the first routable one of the interface named, a
    loopback too; without either the highest routable one of those that take part (given by ifindex)."""
    if wish.interface is not None:
        named = [interface for interface in interfaces if interface.name == wish.interface]
        return next((address for interface in named for address in _routable(family, interface)), None)
    if wish.address is not None:
        ours = any(wish.address == own for interface in interfaces for own, _ in interface.addresses)
        return wish.address if ours else None
    members = [interface for interface in interfaces if interface.ifindex in taking_part]
    return max((address for interface in members for address in _routable(family, interface)), default=None)


def _routable(family: Family, interface: Interface) -> list[Address]:
    return [a for a, _ in interface.addresses if family.is_unicast(a) and not family.is_link_local(a)]


def bsr_candidacies(
    family: Family, config: Config, interfaces: Collection[Interface], taking_part: Collection[int]
) -> dict[Zone, CandidateBsr]:
    """For which zones we stand for BSR; of two lines for one zone the later one counts."""
    found: dict[Zone, CandidateBsr] = {}
    for wish in config.bsr_candidates:
        if wish.scope is not None and len(wish.scope.network) != family.size:
            continue
        address = address_of(family, interfaces, taking_part, wish)
        if address is None:
            continue
        zone = GLOBAL if wish.scope is None else zone_of(family, wish.scope)
        mask = DEFAULT_HASH_MASK[family.size] if wish.hash_mask is None else min(wish.hash_mask, family.bits)
        found[zone] = CandidateBsr(address, wish.priority, mask)
    return found


def rp_candidacies(
    family: Family, config: Config, interfaces: Collection[Interface], taking_part: Collection[int]
) -> tuple[Candidacy, ...]:
    """As which RPs we offer ourselves, and for what."""
    ranges = tuple(prefix for prefix in config.group_prefixes if len(prefix.network) == family.size)
    found: dict[Address, Candidacy] = {}
    for wish in config.rp_candidates:
        address = address_of(family, interfaces, taking_part, wish)
        if address is not None:
            found[address] = Candidacy(address, wish.priority, float(wish.interval), ranges or (family.multicast,))
    return tuple(found.values())


def borders(family: Family, interfaces: Collection[Interface]) -> set[Zone]:
    """The zones whose borders we know of (RFC 5059 3.1.2: explicitly configured on the router)."""
    scopes = (scope for interface in interfaces for scope in interface.phyint.scoped)
    return {zone_of(family, scope) for scope in scopes if len(scope.network) == family.size}
