"""Admin-scope zones: which groups, ranges and Bootstrap messages belong to which (RFC 5059 1.3, 3.1; RFC 4007)."""

from __future__ import annotations

from pimpy.wire.family import Address, Family, Prefix
from pimpy.wire.record import frozen
from pimpy.wire.value import Value

IPV6_SCOPE_BITS = 16
"""An IPv6 range has one scope ID if its mask is at least so long."""


@frozen
class Zone(Value):
    """A scope zone; without a range it is the global one of the non-scoped BSR.

    An IPv4 zone is a range of groups. An IPv6 zone is a scope ID, written as the range ff0S::/16, and holds the
    groups of that scope whatever their flags (RFC 5059 1.3).
    """

    range: Prefix | None = None

    def holds(self, group: Address) -> bool:
        """Whether `group`, an address or the network of a range, is one of the zone's."""
        if self.range is None:
            return True
        if len(self.range.network) == 4:
            return self.range.covers(group)
        return group[1] & 0x0F == self.scope_id

    def contains(self, prefix: Prefix) -> bool:
        """Whether all groups of `prefix` are the zone's."""
        if self.range is None:
            return True
        return prefix.length >= self.range.length and self.holds(prefix.network)

    def ranges(self) -> tuple[Prefix, ...]:
        """The zone as ranges: one for IPv4, ff[0-f]S::/16 for IPv6; none for the global zone."""
        if self.range is None:
            return ()
        if len(self.range.network) == 4:
            return (self.range,)
        return tuple(_scope_range(flags << 4 | self.scope_id) for flags in range(16))

    def stays_inside(self, boundary: Prefix) -> bool:
        """Whether a border configured as `boundary` holds back this zone's messages: equal or smaller scope (3.4)."""
        if self.range is None or len(boundary.network) != len(self.range.network):
            return False
        if len(boundary.network) == 4:
            return self.range.length >= boundary.length and boundary.covers(self.range.network)
        return self.scope_id <= boundary.network[1] & 0x0F

    @property
    def scope_id(self) -> int:
        """The scope ID of an IPv6 zone, 0 to 15."""
        assert self.range is not None
        return self.range.network[1] & 0x0F

    def __str__(self) -> str:
        return "global" if self.range is None else str(self.range)


GLOBAL = Zone()
"""The zone of the non-scoped BSR."""


def holds_back(boundary: Prefix, group: Address) -> bool:
    """Whether a border configured as `boundary` lets no packet of `group` through: it is of that scope, or in IPv6 of a
    smaller one, whose zones lie inside (RFC 2365 5; RFC 4007 5)."""
    if len(group) == 4:
        return boundary.covers(group)
    return len(boundary.network) == len(group) and group[1] & 0x0F <= boundary.network[1] & 0x0F


def zone_of(family: Family, prefix: Prefix) -> Zone:
    """The zone that the first range of a scoped Bootstrap message names; IPv6 needs a mask of at least 16 bits."""
    if family.size == 4:
        return Zone(prefix)
    return Zone(_scope_range(prefix.network[1] & 0x0F))


def _scope_range(second: int) -> Prefix:
    return Prefix(bytes((0xFF, second, *bytes(14))), IPV6_SCOPE_BITS)
