"""Bootstrap messages as a whole: made as semantic fragments that fit a link, and put together again (RFC 5059 4.1)."""

from __future__ import annotations

from collections.abc import Iterable

from pimpy.core.pim.scope import Zone, zone_of
from pimpy.wire.bootstrap import Bootstrap, RpEntry, RpRange
from pimpy.wire.family import Address, Family, Prefix
from pimpy.wire.record import define, evolve, field

MAX_FRAGMENTS = 128
"""Fragments of one message that are kept."""
MAX_RPS = 255
"""RPs of one range: the field RP Count has a byte."""
PIM_HEADER = 4


def scope_of(family: Family, message: Bootstrap) -> Zone:
    """The zone that a message belongs to, told by its first range (3.1)."""
    if message.ranges and message.ranges[0].zone:
        return zone_of(family, message.ranges[0].group)
    return Zone()


def is_foreign(family: Family, message: Bootstrap) -> bool:
    """Whether a scoped message has a range outside its own zone (4.1)."""
    zone = scope_of(family, message)
    return any(not zone.contains(each.group) for each in message.ranges)


def is_empty(message: Bootstrap) -> bool:
    """Whether the message has no mappings to tell, nor ranges to take back (Store RP-Set, 3.1.5)."""
    if not message.ranges:
        return True
    return len(message.ranges) == 1 and message.ranges[0].zone and message.ranges[0].rp_count == 0


def complete(group: Prefix, bidir: bool, rps: Iterable[RpEntry]) -> RpRange:
    """A range with all of its RPs, the first 255 by priority and address."""
    best = sorted(rps, key=lambda rp: (rp.priority, rp.address))[:MAX_RPS]
    return RpRange(group, bidir, False, len(best), tuple(best))


def fragments(family: Family, zone: Zone, message: Bootstrap, room: int) -> list[Bootstrap]:
    """`message`, whose ranges are complete, as fragments of at most `room` bytes each, the PIM header included.

    Each range is kept in one piece if it fits. A scoped message has its zone marked in the first range of every
    fragment (4.1): in IPv4 that is the whole scope's.
    """
    ranges = list(message.ranges)
    head: tuple[RpRange, ...] = ()
    if zone.range is not None and family.size == 4:
        whole = next((each for each in ranges if each.group == zone.range), None)
        ranges = [each for each in ranges if each is not whole]
        head = (RpRange(zone.range, False, True, 0, ()) if whole is None else evolve(whole, zone=True),)
    elif zone.range is not None and not ranges:
        ranges = [RpRange(zone.range, False, True, 0, ())]
    packer = _Packer(family, room - _fixed(family), head)
    for each in ranges:
        packer.add(each)
    mark = zone.range is not None
    return [evolve(message, ranges=_marked(part, mark)) for part in packer.parts()]


def _marked(part: tuple[RpRange, ...], mark: bool) -> tuple[RpRange, ...]:
    """The first range of a scoped fragment has the Z bit, no other one (3.3)."""
    return (evolve(part[0], zone=True), *part[1:]) if mark and part else part


def _fixed(family: Family) -> int:
    return PIM_HEADER + 4 + 2 + family.size


@define
class _Packer:
    """Fills fragments with ranges."""

    family: Family
    room: int
    head: tuple[RpRange, ...]
    """What every fragment begins with, one range at most; its RPs are in the first ones."""
    done: list[tuple[RpRange, ...]] = field(factory=list)
    part: list[RpRange] = field(init=False)

    def __post_init__(self) -> None:
        wanted, self.head = self.head, tuple(evolve(each, rps=()) for each in self.head)
        self.part = list(self.head)
        for each in wanted:
            self._fill_head(each)

    def _fill_head(self, head: RpRange) -> None:
        """The RPs of the range that all fragments begin with stand there, in as many fragments as they need."""
        most = max(1, (self.room - self._range_size) // self._rp_size)
        for at in range(0, len(head.rps), most):
            if self._begun():
                self._next()
            self.part = [evolve(head, rps=head.rps[at : at + most])]

    def _begun(self) -> bool:
        """Whether the fragment in hand has more than what all begin with."""
        return self.part != list(self.head)

    def add(self, each: RpRange) -> None:
        """Put a range where it fits: whole into this fragment or the next, else in pieces."""
        if self._size(self.part) + self._size([each]) > self.room and self._begun():
            self._next()
        rest = each
        while self._size(self.part) + self._size([rest]) > self.room:
            count = self._fitting()
            if count < 1:
                if not self._begun():
                    break  # a link with no room for a single RP: sent as it is
                self._next()
                continue
            self.part.append(evolve(rest, rps=rest.rps[:count]))
            rest = evolve(rest, rps=rest.rps[count:])
            self._next()
        self.part.append(rest)

    def parts(self) -> list[tuple[RpRange, ...]]:
        """All fragments; one without ranges if there are none."""
        if self._begun() or not self.done:
            self.done.append(tuple(self.part))
        return self.done

    def _next(self) -> None:
        self.done.append(tuple(self.part))
        self.part = list(self.head)

    def _fitting(self) -> int:
        """How many RPs of a further range this fragment has room for."""
        free = self.room - self._size(self.part) - self._range_size
        return free // self._rp_size

    @property
    def _range_size(self) -> int:
        return 4 + self.family.size + 4

    @property
    def _rp_size(self) -> int:
        return 2 + self.family.size + 4

    def _size(self, ranges: Iterable[RpRange]) -> int:
        return sum(self._range_size + self._rp_size * len(each.rps) for each in ranges)


@define
class LastBsm:
    """The last Bootstrap message from the current BSR, as far as its fragments have come (2, 4.1.1)."""

    bsr: Address
    fragment_tag: int
    received: float
    """When its last fragment came."""
    messages: list[Bootstrap] = field(factory=list)
    data: list[bytes] = field(factory=list)
    """The fragments as they came, PIM header included."""
    pending: dict[Prefix, dict[Address, RpEntry]] = field(factory=dict)
    """The RPs so far of ranges that are spread over fragments."""

    def is_of(self, message: Bootstrap, now: float, pause: float) -> bool:
        """Whether `message` is a further fragment: the same tag, and not so late that it must be a new message."""
        same = message.bsr == self.bsr and message.fragment_tag == self.fragment_tag
        return same and now - self.received < pause

    def add(self, message: Bootstrap, data: bytes, now: float) -> None:
        """A fragment; one that is here already counts once."""
        self.received = now
        if data not in self.data and len(self.data) < MAX_FRAGMENTS:
            self.messages.append(message)
            self.data.append(data)

    def whole(self, each: RpRange) -> tuple[RpEntry, ...] | None:
        """All RPs of a range, if RP Count of them have come; None as long as some are missing (4.1)."""
        if len(each.rps) == each.rp_count:
            self.pending.pop(each.group, None)
            return each.rps
        known = self.pending.setdefault(each.group, {})
        known.update({rp.address: rp for rp in each.rps})
        if len(known) < each.rp_count:
            return None
        del self.pending[each.group]
        return tuple(known.values())
