"""Which RP a group has: RFC 7761 4.7.1 and 4.7.2, from static lines, Bootstrap messages and the group itself.

The order, which all routers must follow alike: an embedded RP (RFC 3956) for the groups that carry one; else the
longest range, static or learned from the zone that the group is in (RFC 5059 1.3); in it, static RPs with `override`,
then learned ones, then other static ones; of these the lowest priority, the highest hash value, the highest address.
Of several static RPs of one range those without a route are passed over, as long as one has a route.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

from pimpy.core.engine.timers import Timer, TimerHeap
from pimpy.core.pim.embedded import EMBEDDED_RANGE, embedded_rp, is_embedded
from pimpy.core.pim.scope import GLOBAL, Zone
from pimpy.wire.family import Address, Family, Prefix
from pimpy.wire.record import define, field, frozen
from pimpy.wire.value import Value

if TYPE_CHECKING:
    from pimpy.core.pim.tib import Group
    from pimpy.core.rpf import Path, Rpf
    from pimpy.wire.bootstrap import RpEntry

DEFAULT_HASH_MASK = {4: 30, 16: 126}
"""Hash mask lengths by the size of an address (RFC 5059 4.1)."""
Dirty = tuple[Prefix, Address | None]
"""Where the RP of groups may have changed: in a range, or for those in it that had this RP."""
T = TypeVar("T")


@frozen
class Mapping(Value):
    """One RP that the configuration names for a range of groups; of several priorities the lowest wins."""

    prefix: Prefix
    rp: Address
    priority: int = 0
    override: bool = False
    """Whether it comes before what Bootstrap messages say of the same range."""


def hash_value(group: Address, mask_length: int, candidate: Address) -> int:
    """Value(G,M,C) = (1103515245 * ((1103515245 * (G&M)+12345) XOR C) + 12345) mod 2^31 (4.7.2).

    IPv6: G&M and C are first folded to 32 bits, exclusive-or of their four words.
    """
    masked = int.from_bytes(group, "big") >> (8 * len(group) - mask_length) << (8 * len(group) - mask_length)
    seed = 1103515245 * _fold(masked) + 12345
    return (1103515245 * (seed ^ _fold(int.from_bytes(candidate, "big"))) + 12345) % (1 << 31)


def _fold(number: int) -> int:
    folded = 0
    while number:
        folded ^= number & 0xFFFFFFFF
        number >>= 32
    return folded


class Ranges(Generic[T]):
    """Ranges by length, longest first: a look-up costs as many steps as there are lengths."""

    def __init__(self) -> None:
        self.by_prefix: dict[Prefix, T] = {}
        self._networks: dict[int, dict[int, Prefix]] = {}
        self._lengths: list[int] = []

    def add(self, prefix: Prefix, value: T) -> T:
        """A range that was not there."""
        self.by_prefix[prefix] = value
        if prefix.length not in self._networks:
            self._networks[prefix.length] = {}
            self._lengths = sorted(self._networks, reverse=True)
        self._networks[prefix.length][_bits(prefix.network, prefix.length)] = prefix
        return value

    def remove(self, prefix: Prefix) -> None:
        """A range that was there."""
        del self.by_prefix[prefix]
        networks = self._networks[prefix.length]
        del networks[_bits(prefix.network, prefix.length)]
        if not networks:
            del self._networks[prefix.length]
            self._lengths.remove(prefix.length)

    def longest(self, group: Address) -> Prefix | None:
        """The longest range that holds `group`."""
        for length in self._lengths:
            found = self._networks[length].get(_bits(group, length))
            if found is not None:
                return found
        return None


def _bits(address: Address, length: int) -> int:
    return int.from_bytes(address, "big") >> (8 * len(address) - length)


@define
class Static:
    """A mapping of the configuration; its path is watched where another one could take its place."""

    rp_set: RpSet
    mapping: Mapping
    path: Path | None = None
    usable: bool = True
    """False if there is no route; True as long as the kernel has not told."""

    def path_changed(self) -> None:
        """The route to the RP came, went or changed."""
        assert self.path is not None
        route = self.path.route
        usable = route is None or route.ifindex is not None
        if usable != self.usable:
            self.usable = usable
            self.rp_set.touch(self.mapping.prefix, None if usable else self.mapping.rp)
            self.rp_set.changed()


@define
class Learned:
    """A group-to-RP mapping of a Bootstrap message."""

    range: Range
    rp: Address
    priority: int
    holdtime: int
    """Seconds, as the message said."""
    since: float
    expiry: Timer = field(init=False)
    """GET(M,Z), the Group-to-RP mapping Expiry Timer."""

    def __post_init__(self) -> None:
        self.expiry = Timer(self.range.zone.rp_set.heap, self, _expired)


@define
class Range:
    """A range of groups that Bootstrap messages of one zone have told of."""

    zone: ZoneSet
    prefix: Prefix
    bidir: bool
    rps: dict[Address, Learned] = field(factory=dict)


@define
class ZoneSet:
    """What the Bootstrap messages of one zone said."""

    rp_set: RpSet
    zone: Zone
    hash_mask: int
    ranges: Ranges[Range] = field(factory=Ranges)


@frozen
class Choice(Value):
    """RP(G), and how it was found."""

    rp: Address | None
    rule: str
    """`embedded`, `static`, `override`, `bsr`, `bidir` (no RP, the range is Bidirectional PIM's) or `none`."""
    prefix: Prefix | None = None
    """The range that decided."""
    hash_mask: int = 0
    zone: Zone = GLOBAL
    contenders: tuple[tuple[Address, int], ...] = ()
    """(RP, priority) of those that stood for choice, the unusable ones left out."""


class RpSet:
    """All mappings of one family."""

    def __init__(self, family: Family, heap: TimerHeap | None = None, rpf: Rpf | None = None) -> None:
        self.family = family
        self.heap = heap or TimerHeap()
        self.rpf = rpf
        self.hash_mask = DEFAULT_HASH_MASK[family.size]
        """For static RPs."""
        self.embedded = True
        """Whether groups may name their RP themselves (RFC 3956)."""
        self.mappings: tuple[Mapping, ...] = ()
        """The static ones."""
        self.zones: dict[Zone, ZoneSet] = {}
        """The zones that are known, each with what was learned of it."""
        self.learned = 0
        """How many mappings were learned."""
        self.changed: Callable[[], None] = lambda: None
        """Called when timers or routes, not messages, changed the mappings."""
        self._static: Ranges[list[Static]] = Ranges()
        self._dirty: dict[Dirty, None] = {}
        self._users: dict[Dirty, dict[Group, None]] = {}

    # RP(G).

    def rp(self, group: Address) -> Address | None:
        """RP(G), None if there is none."""
        return self.choose(group).rp

    def choose(self, group: Address) -> Choice:
        """RP(G) by the order that stands at the top of this file."""
        if self.embedded and is_embedded(group):
            return Choice(embedded_rp(group), "embedded", self.family.host(group))
        zone = self._zone(group)
        static = self._static.longest(group)
        learned = zone.ranges.longest(group) if zone is not None else None
        if learned is None or (static is not None and static.length > learned.length):
            return Choice(None, "none") if static is None else self._of_static(group, static)
        assert zone is not None
        chosen = zone.ranges.by_prefix[learned]
        if static == learned and self._static.by_prefix[learned][0].mapping.override:
            return self._of_static(group, learned)
        if chosen.bidir:
            return Choice(None, "bidir", learned, zone=zone.zone)
        rps = [(each.rp, each.priority) for each in chosen.rps.values()]
        return self._best(group, "bsr", learned, zone.hash_mask, rps, zone.zone)

    def _of_static(self, group: Address, prefix: Prefix) -> Choice:
        statics = self._static.by_prefix[prefix]
        override = statics[0].mapping.override
        statics = [each for each in statics if each.mapping.override == override]
        usable = [each for each in statics if each.usable] or statics
        rps = [(each.mapping.rp, each.mapping.priority) for each in usable]
        return self._best(group, "override" if override else "static", prefix, self.hash_mask, rps, GLOBAL)

    def _best(
        self, group: Address, rule: str, prefix: Prefix, mask: int, rps: list[tuple[Address, int]], zone: Zone
    ) -> Choice:
        """The lowest priority, then the highest hash value, then the highest address (4.7.1)."""
        if len(rps) == 1:
            return Choice(rps[0][0], rule, prefix, mask, zone, tuple(rps))
        lowest = min(priority for _, priority in rps)
        contenders = [rp for rp, priority in rps if priority == lowest]
        best = max(contenders, key=lambda rp: (hash_value(group, mask, rp), rp))
        return Choice(best, rule, prefix, mask, zone, tuple(rps))

    def _zone(self, group: Address) -> ZoneSet | None:
        """The smallest known zone that `group` is in (RFC 5059 1.3; conformance B18)."""
        if len(self.zones) <= 1:
            return self.zones.get(GLOBAL) if GLOBAL in self.zones else self._only_zone(group)
        held = [zone for zone in self.zones if zone.holds(group)]
        return self.zones[max(held, key=_narrowness)] if held else None

    def _only_zone(self, group: Address) -> ZoneSet | None:
        return next((found for zone, found in self.zones.items() if zone.holds(group)), None)

    # Who goes by it.

    def uses(self, tree: Group, choice: Choice) -> None:
        """A group goes by `choice` now, so that it is found when that changes."""
        self.leaves(tree)
        if choice.prefix is not None and choice.rp is not None:
            tree.mapped = (choice.prefix, choice.rp)
            self._users.setdefault(tree.mapped, {})[tree] = None

    def leaves(self, tree: Group) -> None:
        """A group is no more, or goes by another choice."""
        if tree.mapped is None:
            return
        users = self._users[tree.mapped]
        del users[tree]
        if not users:
            del self._users[tree.mapped]
        tree.mapped = None

    def users(self, prefix: Prefix, rp: Address) -> list[Group]:
        """The groups that have `rp` because of `prefix`."""
        return list(self._users.get((prefix, rp), ()))

    def trees_of(self, rp: Address) -> list[Group]:
        """The groups that have `rp`, because of whatever range."""
        return [tree for (_, known), trees in self._users.items() if known == rp for tree in trees]

    def touch(self, prefix: Prefix, rp: Address | None) -> None:
        """The RP of groups in `prefix` may have changed; if `rp` is given only of those that had it."""
        self._dirty[prefix, rp] = None

    def take_dirty(self) -> list[Dirty]:
        """What was touched since the last time."""
        dirty, self._dirty = list(self._dirty), {}
        return dirty

    def set_embedded(self, on: bool) -> None:
        """Whether groups may name their RP themselves (RFC 3956)."""
        if self.embedded != on:
            self.embedded = on
            if self.family.size == 16:
                self.touch(EMBEDDED_RANGE, None)

    # Static mappings.

    def replace(self, mappings: Iterable[Mapping]) -> None:
        """These are all static mappings now."""
        wanted: dict[Prefix, list[Mapping]] = {}
        self.mappings = tuple(mappings)
        for mapping in self.mappings:
            wanted.setdefault(mapping.prefix, []).append(mapping)
        for prefix in list(self._static.by_prefix):
            if [each.mapping for each in self._static.by_prefix[prefix]] != _in_order(wanted.get(prefix, [])):
                self._drop_static(prefix)
        for prefix, lines in wanted.items():
            if prefix not in self._static.by_prefix:
                self._add_static(prefix, lines)

    def _add_static(self, prefix: Prefix, lines: list[Mapping]) -> None:
        statics = self._static.add(prefix, [Static(self, line) for line in _in_order(lines)])
        self.touch(prefix, None)
        if self.rpf is not None and len(statics) > 1:
            for static in statics:
                static.path = self.rpf.track(static.mapping.rp, static)
                route = static.path.route
                static.usable = route is None or route.ifindex is not None

    def _drop_static(self, prefix: Prefix) -> None:
        for static in self._static.by_prefix[prefix]:
            if static.path is not None and self.rpf is not None:
                self.rpf.release(static.path, static)
        self._static.remove(prefix)
        self.touch(prefix, None)

    def statics(self) -> Iterator[Static]:
        """The static mappings, range by range."""
        for statics in self._static.by_prefix.values():
            yield from statics

    # Learned mappings: Store RP-Set (RFC 5059 3.1.5).

    def zone(self, zone: Zone) -> ZoneSet:
        """What was learned of a zone, which is known from now on."""
        found = self.zones.get(zone)
        if found is None:
            found = self.zones[zone] = ZoneSet(self, zone, self.hash_mask)
            for prefix in zone.ranges():
                self.touch(prefix, None)
        return found

    def forget_zone(self, zone: Zone) -> None:
        """The zone is no more: its groups are in a wider one."""
        found = self.zones.get(zone)
        if found is None:
            return
        for known in list(found.ranges.by_prefix.values()):
            self._drop_range(known)
        del self.zones[zone]
        for prefix in zone.ranges():
            self.touch(prefix, None)

    def set_hash_mask(self, zone: Zone, length: int) -> None:
        """All mappings of a zone hash with `length` bits (3.1.5)."""
        found = self.zone(zone)
        if found.hash_mask != length:
            found.hash_mask = length
            for known in found.ranges.by_prefix.values():
                if len(known.rps) > 1:
                    self.touch(known.prefix, None)

    def store(self, zone: Zone, prefix: Prefix, bidir: bool, entries: Iterable[RpEntry], limit: int) -> int:
        """`prefix` has these RPs now and no others; how many new ones were refused because `limit` are known.

        An entry with holdtime 0 takes its mapping back.
        """
        found = self.zone(zone)
        known = found.ranges.by_prefix.get(prefix)
        if known is None:
            known = found.ranges.add(prefix, Range(found, prefix, bidir))
        elif known.bidir != bidir:
            known.bidir = bidir
            self.touch(prefix, None)
        listed = {entry.address: entry for entry in entries if entry.holdtime > 0}
        for mapping in [each for each in known.rps.values() if each.rp not in listed]:
            self._drop(mapping)
        refused = sum(not self._store_one(known, entry, limit) for entry in listed.values())
        if not known.rps:
            self._drop_range(known)
        return refused

    def _store_one(self, known: Range, entry: RpEntry, limit: int) -> bool:
        mapping = known.rps.get(entry.address)
        now = self.heap.now
        if mapping is None:
            if self.learned >= limit:
                return False
            mapping = known.rps[entry.address] = Learned(known, entry.address, entry.priority, entry.holdtime, now)
            self.learned += 1
            self.touch(known.prefix, None)
        elif mapping.priority != entry.priority:
            worse = entry.priority > mapping.priority
            mapping.priority = entry.priority
            self.touch(known.prefix, mapping.rp if worse else None)
        mapping.holdtime = entry.holdtime
        mapping.expiry.at(now + entry.holdtime)
        return True

    def remove(self, zone: Zone, prefix: Prefix) -> None:
        """`prefix` has no RP any more."""
        found = self.zones.get(zone)
        known = found.ranges.by_prefix.get(prefix) if found is not None else None
        if known is not None:
            self._drop_range(known)

    def _drop_range(self, known: Range) -> None:
        for mapping in list(known.rps.values()):
            self._drop(mapping)
        if known.prefix in known.zone.ranges.by_prefix:
            known.zone.ranges.remove(known.prefix)
            if known.bidir:
                self.touch(known.prefix, None)

    def _drop(self, mapping: Learned) -> None:
        """The mapping is no more; the groups that had it are to look again."""
        mapping.expiry.close()
        del mapping.range.rps[mapping.rp]
        self.learned -= 1
        self.touch(mapping.range.prefix, mapping.rp)


def _expired(mapping: Learned) -> None:
    """GET(M,Z) expired: the mapping is removed from the RP-Set."""
    known, rp_set = mapping.range, mapping.range.zone.rp_set
    rp_set._drop(mapping)
    if not known.rps:
        rp_set._drop_range(known)
    rp_set.changed()


def _in_order(lines: list[Mapping]) -> list[Mapping]:
    """Those with `override` first."""
    return sorted(lines, key=lambda mapping: not mapping.override)


def _narrowness(zone: Zone) -> int:
    """Of the zones that hold a group the smallest one has the longest range."""
    return -1 if zone.range is None else zone.range.length
