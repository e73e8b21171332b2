"""Whom and what the operator lets in: ranges of addresses. Where none is named, everything passes (RFC 7761 6.2)."""

from __future__ import annotations

from collections.abc import Iterable

from pimpy.core.pim.limits import Shares
from pimpy.wire.family import Address, Family, Prefix
from pimpy.wire.record import define, field, frozen
from pimpy.wire.value import Value


@frozen
class Filter(Value):
    """Ranges of one family; an address passes that lies in one of them, and any if there is none."""

    ranges: tuple[Prefix, ...] = ()

    def passes(self, address: Address) -> bool:
        """Whether `address` is let in."""
        return not self.ranges or any(prefix.covers(address) for prefix in self.ranges)


@frozen
class JoinFilter(Value):
    """What neighbours may join: the groups, and the sources of them."""

    groups: Filter = Filter()
    sources: Filter = Filter()


@define
class RegisterPolicy:
    """Whose Registers are taken where we are the RP, and how many new ones."""

    sources: Filter = field(factory=Filter)
    """Who may be registered."""
    routers: Filter = field(factory=Filter)
    """Who may register."""
    shares: Shares[Address] = field(factory=lambda: Shares(0))
    """New (S,G) a second, by DR."""


def filter_of(family: Family, ranges: Iterable[Prefix]) -> Filter:
    """Those ranges that are of `family`."""
    return Filter(tuple(prefix for prefix in ranges if len(prefix.network) == family.size))


def join_filter_of(family: Family, ranges: Iterable[Prefix]) -> JoinFilter:
    """Ranges of groups and of sources, told apart by their addresses."""
    own = filter_of(family, ranges).ranges
    return JoinFilter(
        Filter(tuple(prefix for prefix in own if family.multicast.covers(prefix.network))),
        Filter(tuple(prefix for prefix in own if not family.multicast.covers(prefix.network))),
    )
