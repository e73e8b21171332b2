"""Join/Prune messages (RFC 7761 4.9.5): reading, writing, and packing many group sets into few messages.

A router with 20,000 (S,G) entries reads and writes as many source entries a minute, so both have a short
way for what every router sends (one family, full masks) and a careful one for everything else. On whatever
the short way takes, the careful one gives the same result.

Source addresses are not judged here beyond their encoding: the core does that once, when it makes state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat
from operator import itemgetter
from struct import Struct, error
from typing import NamedTuple

from pimpy.wire.address import RPT, SPARSE, WILDCARD, read_masked, read_own, write_unicast
from pimpy.wire.family import FAMILIES, Address, Family
from pimpy.wire.reader import Malformed, Reader
from pimpy.wire.record import field, frozen
from pimpy.wire.value import Value

SG = SPARSE
"""The flags of an (S,G) source entry."""
SG_RPT = SPARSE | RPT
"""The flags of an (S,G,rpt) source entry."""
STAR_G = SPARSE | WILDCARD | RPT
"""The flags of a (*,G) source entry, whose address is that of the RP."""

MAX_GROUPS = 255
"""What the field Num groups can tell."""

SourceEntry = tuple[Address, int]
"""(source, flags), where flags is SG, SG_RPT or STAR_G."""


class GroupSet(NamedTuple):
    """What is joined and pruned of one group."""

    group: Address
    joins: tuple[SourceEntry, ...]
    prunes: tuple[SourceEntry, ...]


@frozen
class JoinPrune(Value):
    """A Join/Prune message."""

    upstream_neighbor: Address
    holdtime: int
    """Seconds, 0 to 0xffff; 0xffff is for ever."""
    groups: tuple[GroupSet, ...]
    notes: tuple[str, ...] = field(default=(), eq=False)
    """What was left out or was odd in a received message, each reason word once; never sent.

    `jp_mixed_af`, `jp_bad_flags` (WC without RPT), `jp_bad_group` (a set for a range, (*,*,RP) included, or for
    no multicast address): left out. `jp_odd_combo` (a combination that RFC 7761 4.9.5.1 forbids): kept.
    """


class _Layout:
    """Sizes, structures and encoded constants of one family."""

    def __init__(self, family: Family) -> None:
        size, prefix = family.size, family.pim_number << 24 | family.bits
        self.entry = 4 + size
        """Bytes of a source entry."""
        self.head = 8 + size
        """Bytes of a group set without its entries."""
        self.base = 2 + size + 4
        """Bytes of a message's body without group sets."""
        self.set_start = Struct(f">I{size}sHH")
        self.entries = Struct(f">I{size}s")
        self.single = Struct(f">I{size}sII{size}s")
        """A group set of one entry; its two counts are one number."""
        self.one_join = frozenset((1 << 16,))
        """The two counts of a set with one Join."""
        self.group_words = frozenset(prefix | flags << 8 for flags in range(256))
        """The four bytes in front of a group with full mask; its flags mean nothing here."""
        self.kinds = {prefix | flags << 8: _KINDS[flags & 3] for flags in range(256) if flags & 3 in _KINDS}
        """The four bytes in front of a source, to its kind: those with full mask, without WC but not RPT."""
        self.group_prefix = prefix.to_bytes(4, "big")
        self.source_prefixes = {kind: (prefix | kind << 8).to_bytes(4, "big") for kind in _KINDS.values()}
        self.multicast = frozenset(first for first in range(256) if family.is_multicast(bytes((first,)) * size))
        """The first bytes of multicast addresses."""


_PIM_HEADER = 4
_KINDS = {0: SG, RPT: SG_RPT, WILDCARD | RPT: STAR_G}
_LAYOUTS = {family: _Layout(family) for family in FAMILIES}
_ONE_JOIN = bytes((0, 1, 0, 0))
_COUNTS = Struct(">HH")
_TAIL = Struct(">xBH")
_new = tuple.__new__
_first = itemgetter(0)


# Reading


def read(family: Family, reader: Reader) -> JoinPrune:
    """The message whose body `reader` stands before.

    A bad encoding anywhere makes the whole message Malformed: `jp_bad_mask`, `bad_address_family`,
    `bad_encoding`, and the reader's own reason where it ends too early. Trailing bytes are ignored.
    """
    upstream_neighbor = read_own(reader, family)
    reader.skip(1)
    count = reader.u8()
    holdtime = reader.u16()
    layout, data, pos = _LAYOUTS[family], reader.data[: reader.end], reader.pos
    notes: list[str] = []
    singles: list[GroupSet] = []
    try:
        singles = _read_single(layout, data, pos, count)
        groups = singles or _read_plain(layout, data, pos, count)
    except (KeyError, error):
        groups = list(_read_careful(family, reader, count, notes))
    # A group stands there twice, or the table of RFC 7761 4.9.5.1 says `no`.
    if len(set(map(_first, groups))) != len(groups) or (not singles and _contradict(groups)):
        notes.append("jp_odd_combo")
    return JoinPrune(upstream_neighbor, holdtime, tuple(groups), tuple(dict.fromkeys(notes)))


def _read_single(layout: _Layout, data: bytes, pos: int, count: int) -> list[GroupSet]:
    """`count` group sets of one Join each, from `pos` on; an empty list, or KeyError, if they are not that.

    The periodic Joins of many (S,G) are such messages. They are read column by column, without a loop of our own.
    """
    end = pos + count * (layout.head + layout.entry)
    if count == 0 or end > len(data):
        return []
    group_words, groups, counts, words, sources = zip(*layout.single.iter_unpack(data[pos:end]), strict=True)
    plain = (
        layout.group_words.issuperset(group_words)
        and layout.multicast.issuperset(map(_first, groups))
        and layout.one_join.issuperset(counts)
    )
    if not plain:
        return []
    joins = zip(zip(sources, map(layout.kinds.__getitem__, words), strict=True), strict=True)
    return list(map(_new, repeat(GroupSet), zip(groups, joins, repeat(()))))


def _read_plain(layout: _Layout, data: bytes, pos: int, count: int) -> list[GroupSet]:
    """`count` group sets that hold nothing unusual, from `pos` on; KeyError or struct.error if they do."""
    unpack, iterate, kinds = layout.set_start.unpack_from, layout.entries.iter_unpack, layout.kinds
    groups: list[GroupSet] = []
    for _ in range(count):
        group_word, group, joined, pruned = unpack(data, pos)
        if group_word not in layout.group_words or group[0] not in layout.multicast:
            raise KeyError
        pos += layout.head
        end = pos + (joined + pruned) * layout.entry
        if end > len(data):
            raise KeyError
        entries = tuple([(source, kinds[word]) for word, source in iterate(data[pos:end])])
        groups.append(_new(GroupSet, (group, entries[:joined], entries[joined:])))
        pos = end
    return groups


def _read_careful(family: Family, reader: Reader, count: int, notes: list[str]) -> Iterator[GroupSet]:
    """The usable ones of the next `count` group sets; `notes` gets why others were left out."""
    for _ in range(count):
        group = read_masked(reader)
        joined, pruned = reader.u16(), reader.u16()
        joins = tuple(_read_entries(family, reader, joined, notes))
        prunes = tuple(_read_entries(family, reader, pruned, notes))
        if group.family is not family:
            notes.append("jp_mixed_af")
        elif not group.is_full or not family.is_multicast(group.address):
            notes.append("jp_bad_group")
        else:
            yield GroupSet(group.address, joins, prunes)


def _read_entries(family: Family, reader: Reader, count: int, notes: list[str]) -> Iterator[SourceEntry]:
    for _ in range(count):
        source = read_masked(reader)
        if not source.is_full:
            raise Malformed("jp_bad_mask")
        kind = _KINDS.get(source.flags & (WILDCARD | RPT))
        if source.family is not family:
            notes.append("jp_mixed_af")
        elif kind is None:
            notes.append("jp_bad_flags")
        else:
            yield source.address, kind


def _contradict(groups: list[GroupSet]) -> bool:
    """Whether a set joins and prunes the same: a (*,G) of any RP, or an (S,G) or (S,G,rpt) of one source."""
    for _, joins, prunes in groups:
        if joins and prunes and (not set(joins).isdisjoint(prunes) or (_has_star(joins) and _has_star(prunes))):
            return True
    return False


def _has_star(entries: Iterable[SourceEntry]) -> bool:
    return any(kind == STAR_G for _, kind in entries)


# Writing


def write(family: Family, message: JoinPrune) -> bytes:
    """The body of `message`; ValueError if a number does not fit its field or an address is of another family."""
    layout = _LAYOUTS[family]
    group_prefix, prefixes = layout.group_prefix, layout.source_prefixes
    parts = [write_unicast(family, message.upstream_neighbor)]
    size = layout.base + len(message.groups) * layout.head
    try:
        parts.append(_TAIL.pack(len(message.groups), message.holdtime))
        for group, joins, prunes in message.groups:
            size += (len(joins) + len(prunes)) * layout.entry
            if len(joins) == 1 and not prunes:
                ((source, kind),) = joins
                parts += (group_prefix, group, _ONE_JOIN, prefixes[kind], source)
                continue
            parts += (group_prefix, group, _COUNTS.pack(len(joins), len(prunes)))
            for source, kind in joins + prunes:
                parts += (prefixes[kind], source)
    except (KeyError, error) as problem:
        raise ValueError(f"a Join/Prune field is out of range: {problem}") from None
    body = b"".join(parts)
    if len(body) != size:
        raise ValueError(f"an address of the Join/Prune message is not {family.name}")
    return body


# Packing


def pack(
    family: Family, upstream_neighbor: Address, holdtime: int, sets: Iterable[GroupSet], limit: int
) -> list[JoinPrune]:
    """The messages, of at most `limit` bytes each, that tell `upstream_neighbor` all of `sets` (RFC 7761 4.9.5).

    `limit` counts the whole PIM message: the MTU less the IP header. Sets of one group are made one. What
    4.9.5.1 forbids is removed (a Join goes before the same Prune), and what it advises against is removed or
    told in another message. Join(*,G) with its Prune(S,G,rpt) stays in one set: of those too many for a message
    the numerically smallest sources are kept (4.9.5.2); other sets too long for a message are split.

    ValueError if not even one entry fits into `limit`.
    """
    packer = _Packer(_LAYOUTS[family], limit)
    apart: list[GroupSet] = []
    for group_set in _merge(sets):
        _, joins, prunes = group_set
        if len(joins) + len(prunes) > 1:
            group_set, separate = _settle(group_set)
            if separate:
                apart.append(_new(GroupSet, (group_set.group, (), separate)))
        packer.add(group_set)
    if apart:
        packer.close()
    for group_set in apart:
        packer.add(group_set)
    packer.close()
    return [JoinPrune(upstream_neighbor, holdtime, tuple(groups)) for groups in packer.messages]


class _Packer:
    """Fills messages one after the other."""

    __slots__ = ("current", "empty", "entry", "head", "left", "messages")

    def __init__(self, layout: _Layout, limit: int) -> None:
        self.entry = layout.entry
        self.head = layout.head
        self.empty = limit - _PIM_HEADER - layout.base
        """Bytes for group sets in a message."""
        self.left = self.empty
        """Bytes left in the current one."""
        self.current: list[GroupSet] = []
        self.messages: list[list[GroupSet]] = []
        if self.empty < self.head + self.entry:
            raise ValueError(f"{limit} bytes are too few for a Join/Prune message")

    def close(self) -> None:
        """Go on with a new message, if the current one holds anything."""
        if self.current:
            self.messages.append(self.current)
            self.current = []
            self.left = self.empty

    def add(self, group_set: GroupSet) -> None:
        """Place a set whose group is not in the current message yet; one without entries is left out."""
        entries = len(group_set[1]) + len(group_set[2])
        if not entries:
            return
        size = self.head + entries * self.entry
        if size > self.left or len(self.current) == MAX_GROUPS:
            if size > self.empty:
                self._split(group_set)
                return
            self.close()
        self.current.append(group_set)
        self.left -= size

    def _split(self, group_set: GroupSet) -> None:
        """Place a set that is longer than a message."""
        group, joins, prunes = group_set
        if _has_star(joins):
            self.close()
            bound = [entry for entry in joins if entry[1] == STAR_G]
            rpt = sorted(entry for entry in prunes if entry[1] == SG_RPT)[: self._room() - len(bound)]
            others = tuple(entry for entry in joins if entry[1] != STAR_G)
            take = self._room() - len(bound) - len(rpt)
            self.add(GroupSet(group, (*bound, *others[:take]), tuple(rpt)))
            joins, prunes = others[take:], tuple(entry for entry in prunes if entry[1] != SG_RPT)
            if joins or prunes:
                self.close()
        while joins or prunes:  # A round that leaves any has filled its message, so no message gets the group twice.
            if self._room() < 1 or len(self.current) == MAX_GROUPS:
                self.close()
            room = self._room()
            more = max(0, room - len(joins))
            self.add(GroupSet(group, joins[:room], prunes[:more]))
            joins, prunes = joins[room:], prunes[more:]

    def _room(self) -> int:
        """Entries of one more set that fit into the current message; below 1 if none does."""
        return (self.left - self.head) // self.entry


def _merge(sets: Iterable[GroupSet]) -> Iterable[GroupSet]:
    """The sets, with those of one group made one, each entry once."""
    merged: dict[Address, GroupSet] = {}
    several: dict[Address, tuple[list[SourceEntry], list[SourceEntry]]] = {}
    for group_set in sets:
        group = group_set[0]
        first = merged.setdefault(group, group_set)
        if first is not group_set:
            if group not in several:
                several[group] = (list(first.joins), list(first.prunes))
            several[group][0].extend(group_set.joins)
            several[group][1].extend(group_set.prunes)
    for group, (joins, prunes) in several.items():
        merged[group] = GroupSet(group, tuple(dict.fromkeys(joins)), tuple(dict.fromkeys(prunes)))
    return merged.values()


def _settle(group_set: GroupSet) -> tuple[GroupSet, tuple[SourceEntry, ...]]:
    """The set without combinations that are not to be sent (4.9.5.1), and the Prunes to send apart from it."""
    group, joins, prunes = group_set
    kinds = {kind for _, kind in joins + prunes}
    if len(kinds) == 1 and not (joins and prunes) and STAR_G not in kinds:
        return group_set, ()
    joins, prunes = _last_star(joins), _last_star(prunes)
    if _has_star(joins):
        # Join(*,G) without Prune(S,G,rpt) says what Join(S,G,rpt) would.
        joins = tuple(entry for entry in joins if entry[1] != SG_RPT)
        prunes = tuple(entry for entry in prunes if entry[1] != STAR_G)
    elif _has_star(prunes):
        # Without the shared tree there is nothing that (S,G,rpt) could tell.
        joins = tuple(entry for entry in joins if entry[1] != SG_RPT)
        prunes = tuple(entry for entry in prunes if entry[1] != SG_RPT)
    joined = set(joins)
    off_tree = {source for source, kind in joins + prunes if kind == SG_RPT}
    separate = tuple(entry for entry in prunes if entry[1] == SG and entry[0] in off_tree and entry not in joined)
    dropped = joined.union(separate)
    return GroupSet(group, joins, tuple(entry for entry in prunes if entry not in dropped)), separate


def _last_star(entries: tuple[SourceEntry, ...]) -> tuple[SourceEntry, ...]:
    """The entries, with the last (*,G) if there are several: a list may have one only, and the newest RP counts."""
    stars = [entry for entry in entries if entry[1] == STAR_G]
    if len(stars) < 2:
        return entries
    return (stars[-1], *(entry for entry in entries if entry[1] != STAR_G))
