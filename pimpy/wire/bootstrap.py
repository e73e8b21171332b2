"""Bootstrap and Candidate-RP-Advertisement messages (RFC 5059 4.1, 4.2)."""

from __future__ import annotations

from struct import error, pack

from pimpy.wire.address import BIDIR, ZONE, read_own, read_range, write_range, write_unicast
from pimpy.wire.family import IPV4, IPV6, Address, Family, Prefix
from pimpy.wire.reader import Malformed, Reader
from pimpy.wire.record import frozen
from pimpy.wire.value import Value

NO_FORWARD = 0x80
"""The N bit, in the second byte of the message (RFC 9436: flag bit 7)."""
_MIN_ZONE_LENGTH = {IPV4: 0, IPV6: 16}
"""The shortest mask, in bits, of the first range of a scoped message: an IPv6 zone is known by its scope ID."""


@frozen
class RpEntry(Value):
    """One RP of a group range."""

    address: Address
    holdtime: int
    """Seconds, 0 to 0xffff; 0 takes the mapping back."""
    priority: int
    """0 to 255, lower is better."""


@frozen
class RpRange(Value):
    """A group range with those of its RPs that this fragment lists."""

    group: Prefix
    bidir: bool
    zone: bool
    rp_count: int
    """RPs of the range in the whole Bootstrap message, 0 to 255; never fewer than `rps` has."""
    rps: tuple[RpEntry, ...]


@frozen
class Bootstrap(Value):
    """A Bootstrap message, or one semantic fragment of it (RFC 5059 4.1.1)."""

    fragment_tag: int
    """0 to 0xffff."""
    hash_mask_length: int
    """Bits, 0 to 32 or 128."""
    priority: int
    """The BSR's, 0 to 255, higher is better."""
    bsr: Address
    no_forward: bool
    ranges: tuple[RpRange, ...]


@frozen
class GroupRange(Value):
    """A group range that a candidate RP offers itself for."""

    group: Prefix
    bidir: bool = False
    zone: bool = False


@frozen
class CandidateRpAdvertisement(Value):
    """A Candidate-RP-Advertisement message."""

    rp: Address
    priority: int
    """0 to 255, lower is better."""
    holdtime: int
    """Seconds, 0 to 0xffff; 0 takes the advertisement back."""
    groups: tuple[GroupRange, ...]
    """Empty (prefix count 0) stands for all multicast groups; it is accepted but must not be sent (RFC 5059 4.2)."""


def read_bootstrap(family: Family, reader: Reader) -> Bootstrap:
    """The Bootstrap message whose body `reader` stands before.

    Malformed: `truncated`, `bsm_hashlen`, `bsm_scope_mask` (RFC 5059 3.1.2), `bsm_bad_addr` (an RP or the BSR
    that is not unicast, a group that is not multicast), `bsm_rp_count` (more RPs in the fragment than in the
    whole message), `bad_mask`, `bad_address_family`, `bad_encoding`.
    """
    fragment_tag, hash_mask_length, priority = reader.u16(), reader.u8(), reader.u8()
    if hash_mask_length > family.bits:
        raise Malformed("bsm_hashlen")
    bsr = _read_router(reader, family, "bsm_bad_addr")
    ranges: list[RpRange] = []
    while reader.left:
        ranges.append(_read_rp_range(reader, family))
    if ranges and ranges[0].zone and ranges[0].group.length < _MIN_ZONE_LENGTH[family]:
        raise Malformed("bsm_scope_mask")
    return Bootstrap(fragment_tag, hash_mask_length, priority, bsr, bool(reader.data[1] & NO_FORWARD), tuple(ranges))


def _read_rp_range(reader: Reader, family: Family) -> RpRange:
    group, flags = read_range(reader, family, "bsm_bad_addr")
    rp_count, here = reader.u8(), reader.u8()
    reader.skip(2)
    if here > rp_count:
        raise Malformed("bsm_rp_count")
    rps: list[RpEntry] = []
    for _ in range(here):
        address = _read_router(reader, family, "bsm_bad_addr")
        holdtime, priority = reader.u16(), reader.u8()
        reader.skip(1)
        rps.append(RpEntry(address, holdtime, priority))
    return RpRange(group, bool(flags & BIDIR), bool(flags & ZONE), rp_count, tuple(rps))


def _read_router(reader: Reader, family: Family, reason: str) -> Address:
    address = read_own(reader, family)
    if not family.is_unicast(address):
        raise Malformed(reason)
    return address


def write_bootstrap(family: Family, message: Bootstrap) -> bytes:
    """The body; ValueError if a number does not fit its field or an address is of another family."""
    try:
        parts = [pack(">HBB", message.fragment_tag, message.hash_mask_length, message.priority)]
        parts.append(write_unicast(family, message.bsr))
        for each in message.ranges:
            parts.append(write_range(family, each.group, each.bidir, each.zone))
            parts.append(pack(">BBxx", each.rp_count, len(each.rps)))
            for rp in each.rps:
                parts += (write_unicast(family, rp.address), pack(">HBx", rp.holdtime, rp.priority))
    except error as problem:
        raise ValueError(f"a Bootstrap field is out of range: {problem}") from None
    return b"".join(parts)


def bootstrap_flags(message: Bootstrap) -> int:
    """The second byte of the message."""
    return NO_FORWARD * message.no_forward


def read_candidate_rp(family: Family, reader: Reader) -> CandidateRpAdvertisement:
    """The Candidate-RP-Advertisement whose body `reader` stands before.

    Malformed: `truncated`, `crp_bad_addr` (an RP that is not unicast, a group that is not multicast),
    `bad_mask`, `bad_address_family`, `bad_encoding`. Trailing bytes are ignored.
    """
    count, priority, holdtime = reader.u8(), reader.u8(), reader.u16()
    rp = _read_router(reader, family, "crp_bad_addr")
    groups: list[GroupRange] = []
    for _ in range(count):
        group, flags = read_range(reader, family, "crp_bad_addr")
        groups.append(GroupRange(group, bool(flags & BIDIR), bool(flags & ZONE)))
    return CandidateRpAdvertisement(rp, priority, holdtime, tuple(groups))


def write_candidate_rp(family: Family, message: CandidateRpAdvertisement) -> bytes:
    """The body; ValueError if a number does not fit its field or an address is of another family."""
    try:
        head = pack(">BBH", len(message.groups), message.priority, message.holdtime)
    except error as problem:
        raise ValueError(f"a Candidate-RP-Advertisement field is out of range: {problem}") from None
    groups = [write_range(family, each.group, each.bidir, each.zone) for each in message.groups]
    return head + write_unicast(family, message.rp) + b"".join(groups)
