"""Embedded RP: the address of the RP stands in the group's own address (RFC 3956)."""

from __future__ import annotations

from pimpy.wire.family import IPV6, Address, Prefix

EMBEDDED_RANGE = Prefix(bytes((0xFF, 0x70, *bytes(14))), 12)
"""Groups with the flags R, P and T set, and the unassigned one clear (RFC 3956 4)."""
MAX_PREFIX = 64
"""The longest network prefix that a group can carry, bits."""


def is_embedded(group: Address) -> bool:
    """Whether `group` says that its RP stands in it."""
    return len(group) == IPV6.size and EMBEDDED_RANGE.covers(group)


def embedded_rp(group: Address) -> Address | None:
    """The RP of a group for which `is_embedded` holds; None if what stands there is no RP (RFC 3956 3, 4, 6.3).

    The layout is ff, flags and scope, reserved and RIID (4 bits each), plen, 64 bits of network prefix, 32 bits of
    group ID. The RP is the first `plen` bits of the prefix, then zeros, RIID in the last four.
    """
    riid, prefix_length = group[2] & 0x0F, group[3]
    if riid == 0 or not 0 < prefix_length <= MAX_PREFIX:
        return None
    unused = MAX_PREFIX - prefix_length
    prefix = int.from_bytes(group[4:12], "big") >> unused << unused
    rp = prefix.to_bytes(8, "big") + bytes((0, 0, 0, 0, 0, 0, 0, riid))
    if not IPV6.is_unicast(rp) or IPV6.is_link_local(rp) or rp[:2] == b"\0\0":
        return None
    return rp
