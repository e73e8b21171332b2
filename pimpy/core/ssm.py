"""Which groups are source-specific (RFC 4607; conformance S1, S8, S9)."""

from __future__ import annotations

from pimpy.wire.family import Address, Family, Prefix
from pimpy.wire.record import define

_RESERVED4 = bytes((232, 0, 0, 0))
_RESERVED6_TAIL = bytes((0,) * 10 + (0x40, 0, 0, 0))  # ff3x::4000:0000, whatever the scope x


@define
class SsmRanges:
    """The SSM range of one family, which the configuration may change."""

    family: Family
    prefixes: tuple[Prefix, ...]

    def holds(self, group: Address) -> bool:
        """Whether `group` lies in the SSM range."""
        for prefix in self.prefixes:  # noqa: SIM110  (asked of every entry: an any() would cost as much again)
            if prefix.covers(group):
                return True
        return False

    def usable(self, group: Address) -> bool:
        """Whether state may be made for `group`: it may cross a router, and is not reserved by RFC 4607 4.3 (S9)."""
        if group == _RESERVED4 or (group[:1] == b"\xff" and group[1] >> 4 == 3 and group[2:] == _RESERVED6_TAIL):
            return False
        return self.family.is_routable_group(group)
