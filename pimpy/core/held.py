"""Entries of the kernel's cache that an earlier run of this daemon left, until they are confirmed or given up."""

from __future__ import annotations

from collections.abc import Callable

from pimpy.core.rpf import Path
from pimpy.wire.family import Address
from pimpy.wire.record import define, field


@define
class Held:
    """An entry that forwards on as it was found, as far as nobody has said otherwise."""

    source: Address
    group: Address
    iif: int | None
    """Its incoming vif; None while that is not known, and the kernel has no entry."""
    oifs: int
    """The outgoing vifs that nobody has confirmed yet."""
    any_source: bool
    """Whether it may be of a shared tree: its group is not in the SSM range."""
    follow: Callable[[Held], None]
    """Called when the way towards the source is another one."""
    key: bytes = field(init=False)
    """Source and group, as entries are found by."""
    path: Path | None = None
    """The way towards the source."""
    from_source: bool | None = None
    """Whether it comes from there, and not from the RP; None until it is known where that is."""

    def __post_init__(self) -> None:
        self.key = self.source + self.group

    def path_changed(self) -> None:
        """The way towards the source is another one."""
        self.follow(self)


@define
class HeldEntries:
    """All of them, found by key and by group. `changed` is told of each whose kernel entry has to be written."""

    changed: Callable[[Held], None]
    let_go: Callable[[Held], None] = field(default=lambda held: None)
    """Called when an entry is held no longer."""
    look_again: Callable[[list[Held]], None] = field(default=lambda entries: None)
    """Called when it may be another matter whether these, which the kernel does not ask about, are of interest."""
    _entries: dict[bytes, Held] = field(factory=dict)
    _groups: dict[Address, dict[bytes, None]] = field(factory=dict)

    def add(self, held: Held) -> None:
        """Let an entry stand as it was found; it is written once more, as it may name vifs that are gone."""
        self._entries[held.key] = held
        self._groups.setdefault(held.group, {})[held.key] = None
        self.changed(held)

    def get(self, key: bytes) -> Held | None:
        """The held entry of a source and group, None if there is none."""
        return self._entries.get(key)

    def all(self) -> list[Held]:
        """All entries with ways out that are neither confirmed nor given up."""
        return list(self._entries.values())

    def any(self) -> bool:
        """Whether there are any."""
        return bool(self._entries)

    def of_group(self, group: Address) -> list[Held]:
        """Those of one group."""
        return [self._entries[key] for key in self._groups.get(group, ())]

    def move(self, held: Held, iif: int) -> None:
        """Its stream comes in by another vif now."""
        if held.iif != iif:
            held.iif = iif
            self.changed(held)

    def give_up(self, held: Held | None, mask: int) -> int:
        """Hold these ways out of an entry no longer; which of them had been held."""
        if held is None:
            return 0
        given = held.oifs & mask
        if given:
            held.oifs &= ~mask
            self.changed(held)
            if not held.oifs:
                self.drop(held)
        return given

    def drop(self, held: Held) -> None:
        """Hold nothing of an entry any more."""
        if self._entries.pop(held.key, None) is None:
            return
        group = self._groups[held.group]
        del group[held.key]
        if not group:
            del self._groups[held.group]
        self.changed(held)
        self.let_go(held)

    def forget_vif(self, vif: int) -> None:
        """`vif` is about to go: none may name it."""
        for held in self.all():
            if held.iif == vif:
                held.iif = None
                self.changed(held)
            self.give_up(held, 1 << vif)
