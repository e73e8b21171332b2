"""The C-RP-Set at an elected BSR, and the RP-Set made from it (RFC 5059 3.3)."""

from __future__ import annotations

from collections.abc import Callable

from pimpy.core.engine.timers import Timer, TimerHeap
from pimpy.core.pim.bsm import complete
from pimpy.wire.bootstrap import RpEntry, RpRange
from pimpy.wire.family import Address, Prefix
from pimpy.wire.record import define, field


@define
class CandidateRp:
    """One group-to-C-RP mapping."""

    crp_set: CandidateRpSet
    prefix: Prefix
    rp: Address
    bidir: bool
    priority: int
    holdtime: int
    since: float
    expiry: Timer = field(init=False)
    """CGET(M,Z), the Group-to-C-RP mapping Expiry Timer."""

    def __post_init__(self) -> None:
        self.expiry = Timer(self.crp_set.heap, self, _expired)


@define
class CandidateRpSet:
    """All group-to-C-RP mappings of one zone."""

    heap: TimerHeap
    changed: Callable[[], None]
    """Called when a mapping timed out."""
    ranges: dict[Prefix, dict[Address, CandidateRp]] = field(factory=dict)
    leaving: dict[Prefix, dict[Address, CandidateRp]] = field(factory=dict)
    """What was taken back and is told once with holdtime 0 (3.2)."""
    removed: dict[Prefix, float] = field(factory=dict)
    """Ranges without any RP, and until when messages take them back (4.1.1)."""

    def __len__(self) -> int:
        return sum(map(len, self.ranges.values()))

    def store(self, prefix: Prefix, rp: Address, bidir: bool, priority: int, holdtime: int) -> bool:
        """A candidate offers itself; whether that changes the RP-Set."""
        now = self.heap.now
        known = self.ranges.setdefault(prefix, {})
        mapping = known.get(rp)
        if mapping is None:
            mapping = known[rp] = CandidateRp(self, prefix, rp, bidir, priority, holdtime, now)
            changed = True
        else:
            before = (mapping.bidir, mapping.priority, mapping.holdtime)
            changed = before != (bidir, priority, holdtime)
            mapping.bidir, mapping.priority, mapping.holdtime = bidir, priority, holdtime
        mapping.expiry.at(now + holdtime)
        self.removed.pop(prefix, None)
        self.leaving.get(prefix, {}).pop(rp, None)
        return changed

    def withdraw(self, prefix: Prefix, rp: Address) -> bool:
        """A candidate takes its offer back, holdtime 0; whether there was any."""
        mapping = self.ranges.get(prefix, {}).get(rp)
        if mapping is None:
            return False
        self.leaving.setdefault(prefix, {})[rp] = mapping
        self.drop(mapping)
        return True

    def drop(self, mapping: CandidateRp) -> None:
        """The mapping is no more."""
        mapping.expiry.close()
        known = self.ranges[mapping.prefix]
        del known[mapping.rp]
        if not known:
            del self.ranges[mapping.prefix]
            self.removed[mapping.prefix] = 0.0

    def clear(self) -> None:
        """This router is the BSR no longer."""
        for known in list(self.ranges.values()):
            for mapping in list(known.values()):
                self.drop(mapping)
        self.leaving.clear()
        self.removed.clear()

    def take(self, until: float, shortest: int, replacement: int) -> tuple[RpRange, ...]:
        """The ranges of the next message. A range that lost its last RP is taken back until `until`.

        Hold times from 1 to less than `shortest` seconds are replaced (3.3).
        """
        now = self.heap.now
        found = []
        for prefix in dict.fromkeys((*self.ranges, *self.leaving)):
            rps = self._of_one_kind(prefix)
            gone = self.leaving.get(prefix, {}).values()
            entries = [RpEntry(m.rp, replacement if m.holdtime < shortest else m.holdtime, m.priority) for m in rps]
            entries += [RpEntry(m.rp, 0, m.priority) for m in gone]
            bidir = rps[0].bidir if rps else any(m.bidir for m in gone)
            found.append(complete(prefix, bidir, entries))
        self.leaving.clear()
        for prefix, end in list(self.removed.items()):
            self.removed[prefix] = end = end or until
            if end <= now:
                del self.removed[prefix]
            elif all(each.group != prefix for each in found):
                found.append(RpRange(prefix, False, False, 0, ()))
        return tuple(found)

    def _of_one_kind(self, prefix: Prefix) -> list[CandidateRp]:
        """The RPs of a range: Bidirectional PIM's if there are any, else sparse mode's (3.3)."""
        rps = list(self.ranges.get(prefix, {}).values())
        bidir = [each for each in rps if each.bidir]
        return bidir or rps


def _expired(mapping: CandidateRp) -> None:
    """CGET expired: the mapping is removed from the C-RP-Set."""
    mapping.crp_set.drop(mapping)
    mapping.crp_set.changed()
