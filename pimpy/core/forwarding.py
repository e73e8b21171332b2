"""What stands in the kernel's forwarding cache. This module alone emits SetMfc and DelMfc.

Whoever routes says what it wants of an (S,G); of several the static routes hold before the proxy, and both before
PIM. A batch's changes are put together and leave once, the last word counting. Streams that nobody wants get an
entry without outgoing interfaces, so that the kernel stops asking (conformance F21).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import lru_cache

from pimpy.core.engine.effects import DelMfc, Effect, SetMfc
from pimpy.core.engine.timers import Timer, TimerHeap
from pimpy.core.held import Held, HeldEntries
from pimpy.core.interface import REGISTER_MASK
from pimpy.wire.family import Address, Prefix
from pimpy.wire.record import define, field

STATIC = 0
PROXY = 1
OWNERS = ("static", "proxy")
"""Those who hold before PIM, the first of them before the other."""

NEGATIVE_LIFE = 30.0
"""Seconds that an entry for an unwanted stream stands; then the kernel asks again if the stream still flows."""
MAX_NEGATIVE = 8192
"""Entries for unwanted streams; more are left to the kernel's own queue, which is bounded."""

WRONG_VIF_PACE = 3.0
"""Seconds in which the kernel tells of one packet from a wrong interface, of each entry (MFC_ASSERT_THRESH)."""


@lru_cache(maxsize=1024)
def _entry(iif: int, oifs: int) -> tuple[int, int]:
    """(iif, oifs): one value for all entries that are alike, of 50,000 most."""
    return iif, oifs


@define
class Negative:
    """An unwanted stream that comes in by `vif`."""

    forwarding: Forwarding
    source: Address
    group: Address
    vif: int
    told: bool = True
    """Whether the kernel has the entry, or is about to; until then it holds the first packets."""
    timer: Timer = field(init=False)

    def __post_init__(self) -> None:
        self.timer = Timer(self.forwarding.heap, self, _negative_expired)

    def stand(self) -> None:
        """Have the kernel drop the stream for NEGATIVE_LIFE from now on."""
        self.told = True
        self.timer.at(self.forwarding.heap.now + NEGATIVE_LIFE)
        self.forwarding._changed[self.source + self.group] = None


class Forwarding:
    """The entries that the kernel has or is about to have."""

    def __init__(self, heap: TimerHeap, emit: Callable[[Effect], None]) -> None:
        self.heap = heap
        self._emit = emit
        self._wanted: dict[bytes, tuple[int, int]] = {}
        """(incoming vif, mask of outgoing vifs) by `source + group`, as PIM wants it."""
        self._claims: tuple[dict[bytes, tuple[int, int]], dict[bytes, tuple[int, int]]] = ({}, {})
        """The same as others want it, of STATIC and of PROXY: these hold before what PIM wants."""
        self._changed: dict[bytes, None] = {}
        """What has to be told to the kernel."""
        self._negatives: dict[bytes, Negative] = {}
        self.held = HeldEntries(self._held_changed)
        """What an earlier run of this daemon left, until it is confirmed or given up."""
        self._told_wrong: dict[bytes, float] = {}
        """When the kernel last told of a packet from a wrong interface, of entries that it has."""
        self._anew: set[bytes] = set()
        """The entries to be made anew."""
        self._behind: set[bytes] = set()
        """Entries of PIM's whose packets leave behind their Registers."""
        self._before: dict[bytes, int] = {}
        """Where packets were to come in, of entries that have turned since the kernel was last told of changes."""
        self.refused: dict[bytes, str] = {}
        """The errno's name for entries that the kernel refused, by `source + group`, until they are told again."""

    def claim(self, owner: int, source: Address, group: Address, iif: int, oifs: int) -> None:
        """As `set`, for STATIC or PROXY."""
        key = source + group
        wanted = (iif, oifs & ~(1 << iif))
        claims = self._claims[owner]
        if claims.get(key) != wanted:
            claims[key] = wanted
            self._changed[key] = None
            if self._negatives:
                self._drop_negative(key)
            if owner == STATIC and (held := self.held.get(key)) is not None:
                self.held.drop(held)
            elif owner == PROXY:  # members that have not answered yet may want the rest
                self.held.give_up(self.held.get(key), wanted[1])

    def release(self, owner: int, source: Address, group: Address) -> None:
        """`owner` does not want to route (source, group) any more; the next one's wish holds."""
        key = source + group
        if self._claims[owner].pop(key, None) is not None:
            self._changed[key] = None

    def owner(self, source: Address, group: Address) -> int | None:
        """Who of STATIC and PROXY has the entry, None if neither."""
        key = source + group
        return next((owner for owner, claims in enumerate(self._claims) if key in claims), None)

    def claimed(self) -> list[tuple[Address, Address, int, int, int]]:
        """(source, group, owner, iif, oifs) of all entries that are not PIM's."""
        static, _ = self._claims
        found = []
        for owner, claims in enumerate(self._claims):
            for key, wanted in claims.items():
                if claims is static or key not in static:
                    half = len(key) // 2
                    found.append((key[:half], key[half:], owner, *wanted))
        return found

    def standing(self, source: Address, group: Address) -> tuple[int, int] | None:
        """(incoming vif, mask of outgoing vifs) of the entry that the kernel should have, whoever owns it."""
        return self._standing(source + group)

    def installed(self, key: bytes) -> tuple[int, int] | None:
        """The same with what is still held, and with negative entries: all that the kernel is to have."""
        wanted, held = self._standing(key), self.held.get(key)
        if wanted is not None:
            return wanted if held is None else (wanted[0], (wanted[1] | held.oifs) & ~(1 << wanted[0]))
        if held is not None:
            return None if held.iif is None else (held.iif, held.oifs & ~(1 << held.iif))
        negative = self._negatives.get(key)
        return None if negative is None or not negative.told else (negative.vif, 0)

    def incoming(self, source: Address, group: Address) -> tuple[int, bool] | None:
        """By which vif the kernel takes a stream in, and whether anybody wants it; None if it is not to have it."""
        key = source + group
        entry = self.installed(key)
        return None if entry is None else (entry[0], key not in self._negatives)

    def _standing(self, key: bytes) -> tuple[int, int] | None:
        return self._claimed(key) or self._wanted.get(key)

    def _claimed(self, key: bytes) -> tuple[int, int] | None:
        static, proxy = self._claims
        return static.get(key) or proxy.get(key)

    def set(self, key: bytes, iif: int, oifs: int, behind_registers: bool = False) -> None:
        """PIM wants what comes in by vif `iif` forwarded to the vifs in `oifs`; never back to where it came from (4.2).

        With `behind_registers` it goes to the register tunnel first. `key` is `source + group`.
        """
        if behind_registers != (key in self._behind):
            self._behind ^= {key}
            self._changed[key] = None
        wanted = _entry(iif, oifs & ~(1 << iif))
        standing = self._wanted.get(key, (None, 0))
        if standing != wanted:
            if key in self._changed and standing[0] not in (None, iif):
                self._before.setdefault(key, standing[0])
            if wanted[1] & ~standing[1]:
                self.expect_wrong_vif(key)
            self._wanted[key] = wanted
            self._changed[key] = None
            self._drop_negative(key)
            self.held.give_up(self.held.get(key), wanted[1])  # confirmed: from now on the protocol alone decides

    def remove(self, key: bytes) -> None:
        """PIM does not want to route `source + group` any more."""
        if self._wanted.pop(key, None) is not None:
            self._behind.discard(key)
            self._changed[key] = None

    def wrong_vif(self, source: Address, group: Address) -> None:
        """The kernel told of a packet from a wrong interface."""
        key = source + group
        if self.installed(key) is not None:
            self._told_wrong[key] = self.heap.now

    def expect_wrong_vif(self, key: bytes) -> None:
        """The next packet from a wrong interface matters: data goes to a further one, where it may be already (4.6.1),
        or is to come by its own tree (4.2.2). The kernel, which may just have told of another, tells of it at once."""
        if not self._told_wrong:
            return  # most of the time
        told = self._told_wrong.pop(key, None)
        if told is not None and self.heap.now < told + WRONG_VIF_PACE:
            self._anew.add(key)
            self._changed[key] = None

    def no_cache(self, vif: int, source: Address, group: Address, patience: float = 0.0) -> bool:
        """The kernel asks what to do with (source, group) from `vif`; whether the entry it should have stands already.

        If so it is written once more, else a negative entry answers, after `patience` seconds.
        """
        key = source + group
        if self._standing(key) is not None:
            self._changed[key] = None
            return True
        negative = self._negatives.get(key)
        if negative is None:
            if len(self._negatives) >= MAX_NEGATIVE:
                return False
            negative = self._negatives[key] = Negative(self, source, group, vif, not patience)
            negative.timer.at(self.heap.now + patience)
        negative.vif = vif
        if negative.told:
            negative.stand()
        return False

    def tell_again(self, source: Address, group: Address) -> None:
        """The kernel asked for an entry that stands: it is written once more."""
        key = source + group
        if self._standing(key) is not None:
            self._changed[key] = None

    def entry(self, key: bytes) -> tuple[int, int] | None:
        """(incoming vif, mask of outgoing vifs) as PIM wants it of `source + group`, None if it wants nothing."""
        return self._wanted.get(key)

    def others(self) -> frozenset[bytes]:
        """The entries that are not PIM's, as `source + group`."""
        return frozenset().union(*self._claims)

    def unwanted(self) -> Collection[bytes]:
        """The entries for streams that nobody wants, as `source + group`."""
        return self._negatives.keys()

    def entries(self) -> int:
        """How many entries are wanted, negative ones apart."""
        return len(self._wanted)

    def negatives(self) -> list[Negative]:
        """The unwanted streams."""
        return [negative for negative in self._negatives.values() if negative.told]

    def stream(self, source: Address, group: Address) -> int | None:
        """Where a stream comes in that the kernel knows, and nobody here routes; None if there is none such."""
        key = source + group
        if (negative := self._negatives.get(key)) is not None:
            return negative.vif
        held = self.held.get(key)
        return held.iif if held is not None and key not in self._wanted else None

    def streams_of(self, group: Address) -> list[tuple[Address, int]]:
        """The same of a whole group: (source, vif)."""
        streams = [(n.source, n.vif) for n in self._negatives.values() if n.group == group]
        held = self.held.of_group(group)
        return streams + [(h.source, h.iif) for h in held if h.iif is not None and h.key not in self._wanted]

    def forget_negative(self, source: Address, group: Address) -> None:
        """The kernel is to ask again for one unwanted stream."""
        key = source + group
        if key in self._negatives:
            self._drop_negative(key)
            self._changed[key] = None

    def forget_vif(self, vif: int) -> None:
        """`vif` is about to go: no negative entry may name it, nor one of an earlier run."""
        self.held.forget_vif(vif)
        self.forget_negatives_by(vif)

    def forget_negatives_by(self, vif: int) -> None:
        """The kernel is to ask again for every unwanted stream that comes in by `vif`."""
        for key, negative in list(self._negatives.items()):
            if negative.vif == vif:
                self._drop_negative(key)
                self._changed[key] = None
        self.held.look_again([held for held in self.held.all() if held.iif == vif])

    def forget_negatives(self, ranges: Collection[Prefix]) -> None:
        """The kernel is to ask again for every unwanted stream whose group is in one of these."""
        for key, negative in list(self._negatives.items()):
            if not any(prefix.covers(negative.group) for prefix in ranges):
                continue
            self._drop_negative(key)
            self._changed[key] = None
        held = self.held.all()
        self.held.look_again([entry for entry in held if any(prefix.covers(entry.group) for prefix in ranges)])

    def rewrite(self) -> None:
        """Tell the kernel everything again."""
        self.put_right(self._ours())

    def clear(self) -> None:
        """Take everything back."""
        self.rewrite()
        self._wanted.clear()
        self._behind.clear()
        for claims in self._claims:
            claims.clear()
        for key in list(self._negatives):
            self._drop_negative(key)
        for held in self.held.all():
            self.held.drop(held)

    def _ours(self) -> dict[bytes, None]:
        held = [held.key for held in self.held.all() if held.iif is not None]
        negatives = [key for key, negative in self._negatives.items() if negative.told]
        return dict.fromkeys((*self._wanted, *self._claims[STATIC], *self._claims[PROXY], *held, *negatives))

    def differences(self, found: dict[bytes, tuple[int | None, int]]) -> tuple[list[bytes], list[bytes], list[bytes]]:
        """Where the kernel's table, `found`, is not as it should be: what it lacks, what is other, what is too much.

        What has changed since the kernel was told is left out.
        """
        ours, pending = self._ours(), self._changed
        lacking = [key for key in ours if key not in found and key not in pending]
        known = {key: entry for key, entry in found.items() if key not in pending}
        others = [key for key, entry in known.items() if key in ours and entry != self._in_kernel(key)]
        return lacking, others, [key for key in known if key not in ours]

    def _leaves_behind(self, key: bytes) -> bool:
        return key in self._behind and self._claimed(key) is None

    def _in_kernel(self, key: bytes) -> tuple[int, int] | None:
        """The entry as the kernel itself has it."""
        entry = self.installed(key)
        return (entry[0], entry[1] & REGISTER_MASK) if entry is not None and self._leaves_behind(key) else entry

    def put_right(self, keys: Iterable[bytes]) -> None:
        """Tell the kernel again what these entries should be."""
        self._changed.update(dict.fromkeys(keys))

    def flush(self) -> None:
        """Emit what changed since the last time."""
        if not self._changed:
            return
        changed, self._changed = self._changed, {}
        anew, self._anew = self._anew, set()
        before, self._before = self._before, {}
        if self.refused:
            for key in changed.keys() & self.refused.keys():
                del self.refused[key]
        behind = self._behind
        half = len(next(iter(changed))) // 2
        for key in changed:
            source, group, entry = key[:half], key[half:], self.installed(key)
            if entry is None:
                self._told_wrong.pop(key, None)
                self._emit(DelMfc(source, group))
            elif anew or behind or before:
                leaves_behind = self._leaves_behind(key)
                self._emit(SetMfc(source, group, *entry, key in anew, leaves_behind, before.get(key)))
            else:
                self._emit(SetMfc(source, group, *entry))

    def _held_changed(self, held: Held) -> None:
        self._changed[held.key] = None

    def _drop_negative(self, key: bytes) -> None:
        negative = self._negatives.pop(key, None)
        if negative is not None:
            negative.timer.cancel()


def _negative_expired(negative: Negative) -> None:
    if not negative.told:
        negative.stand()
        return
    forwarding, key = negative.forwarding, negative.source + negative.group
    forwarding._drop_negative(key)
    forwarding._changed[key] = None
