"""What stands in the kernel's forwarding cache. This module alone emits SetMfc and DelMfc.

Whoever routes (PIM today) says what it wants of an (S,G); a batch's changes are put together and leave
once, the last word counting. Streams that nobody wants get an entry without outgoing interfaces, so that
the kernel stops asking (conformance F21).
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

from pimpy.core.engine.effects import DelMfc, Effect, SetMfc
from pimpy.core.engine.timers import Timer, TimerHeap
from pimpy.wire.family import Address

NEGATIVE_LIFE = 30.0
"""Seconds that an entry for an unwanted stream stands; then the kernel asks again if the stream still flows."""
MAX_NEGATIVE = 8192
"""Entries for unwanted streams; more are left to the kernel's own queue, which is bounded."""

WRONG_VIF_PACE = 3.0
"""Seconds in which the kernel tells of one packet from a wrong interface, of each entry (MFC_ASSERT_THRESH)."""


@define(eq=False, weakref_slot=False)
class Negative:
    """An unwanted stream that comes in by `vif`."""

    forwarding: Forwarding
    source: Address
    group: Address
    vif: int
    timer: Timer = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.timer = Timer(self.forwarding.heap, self, _negative_expired)


class Forwarding:
    """The entries that the kernel has or is about to have."""

    def __init__(self, heap: TimerHeap, emit: Callable[[Effect], None]) -> None:
        self.heap = heap
        self._emit = emit
        self._wanted: dict[bytes, tuple[int, int]] = {}
        """(incoming vif, mask of outgoing vifs) by `source + group`."""
        self._changed: dict[bytes, tuple[Address, Address]] = {}
        """What has to be told to the kernel: (source, group) by key."""
        self._negatives: dict[bytes, Negative] = {}
        self._told_wrong: dict[bytes, float] = {}
        """When the kernel last told of a packet from a wrong interface, of entries that it has."""
        self._anew: set[bytes] = set()
        """The entries to be made anew."""

    def set(self, source: Address, group: Address, iif: int, oifs: int) -> None:
        """Forward what comes in by vif `iif` to the vifs in `oifs`; never back to where it came from (4.2)."""
        key = source + group
        wanted = (iif, oifs & ~(1 << iif))
        standing = self._wanted.get(key, (None, 0))
        if standing != wanted:
            if wanted[1] & ~standing[1]:
                self.expect_wrong_vif(source, group)
            self._wanted[key] = wanted
            self._changed[key] = source, group
            self._drop_negative(key)

    def remove(self, source: Address, group: Address) -> None:
        """Nobody wants to route (source, group) any more."""
        key = source + group
        if self._wanted.pop(key, None) is not None:
            self._changed[key] = source, group

    def wrong_vif(self, source: Address, group: Address) -> None:
        """The kernel told of a packet from a wrong interface."""
        key = source + group
        if key in self._wanted or key in self._negatives:
            self._told_wrong[key] = self.heap.now

    def expect_wrong_vif(self, source: Address, group: Address) -> None:
        """The next packet from a wrong interface matters: data goes to a further one, where it may be already (4.6.1),
        or is to come by its own tree (4.2.2). The kernel, which may just have told of another, tells of it at once."""
        key = source + group
        told = self._told_wrong.pop(key, None)
        if told is not None and self.heap.now < told + WRONG_VIF_PACE:
            self._anew.add(key)
            self._changed[key] = source, group

    def no_cache(self, vif: int, source: Address, group: Address) -> bool:
        """The kernel asks what to do with (source, group) from `vif`; whether the entry it should have stands already.

        If so it is written once more, else a negative entry answers.
        """
        key = source + group
        if key in self._wanted:
            self._changed[key] = source, group
            return True
        negative = self._negatives.get(key)
        if negative is None:
            if len(self._negatives) >= MAX_NEGATIVE:
                return False
            negative = self._negatives[key] = Negative(self, source, group, vif)
        negative.vif = vif
        negative.timer.at(self.heap.now + NEGATIVE_LIFE)
        self._changed[key] = source, group
        return False

    def tell_again(self, source: Address, group: Address) -> None:
        """The kernel asked for an entry that stands: it is written once more."""
        key = source + group
        if key in self._wanted:
            self._changed[key] = source, group

    def entry(self, source: Address, group: Address) -> tuple[int, int] | None:
        """(incoming vif, mask of outgoing vifs) as wanted, None if nothing is."""
        return self._wanted.get(source + group)

    def entries(self) -> int:
        """How many entries are wanted, negative ones apart."""
        return len(self._wanted)

    def negatives(self) -> list[Negative]:
        """The unwanted streams."""
        return list(self._negatives.values())

    def negatives_of(self, group: Address) -> list[Negative]:
        """The unwanted streams of one group."""
        return [negative for negative in self._negatives.values() if negative.group == group]

    def forget_vif(self, vif: int) -> None:
        """`vif` is about to go: no negative entry may name it."""
        for key, negative in list(self._negatives.items()):
            if negative.vif == vif:
                self._drop_negative(key)
                self._changed[key] = negative.source, negative.group

    def forget_negatives(self) -> None:
        """The kernel is to ask again for every unwanted stream."""
        for key, negative in list(self._negatives.items()):
            self._drop_negative(key)
            self._changed[key] = negative.source, negative.group

    def rewrite(self) -> None:
        """Somebody emptied the kernel's table: tell it everything again."""
        for key in (*self._wanted, *self._negatives):
            half = len(key) // 2
            self._changed[key] = key[:half], key[half:]

    def clear(self) -> None:
        """Take everything back."""
        self.rewrite()
        self._wanted.clear()
        for key in list(self._negatives):
            self._drop_negative(key)

    def flush(self) -> None:
        """Emit what changed since the last time."""
        changed, self._changed = self._changed, {}
        anew, self._anew = self._anew, set()
        for key, (source, group) in changed.items():
            wanted = self._wanted.get(key)
            if wanted is not None:
                self._emit(SetMfc(source, group, *wanted, key in anew))
            elif (negative := self._negatives.get(key)) is not None:
                self._emit(SetMfc(source, group, negative.vif, 0))
            else:
                self._told_wrong.pop(key, None)
                self._emit(DelMfc(source, group))

    def _drop_negative(self, key: bytes) -> None:
        negative = self._negatives.pop(key, None)
        if negative is not None:
            negative.timer.cancel()


def _negative_expired(negative: Negative) -> None:
    forwarding, key = negative.forwarding, negative.source + negative.group
    forwarding._drop_negative(key)
    forwarding._changed[key] = negative.source, negative.group
