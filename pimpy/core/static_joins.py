"""Static joins: memberships of this host that the configuration asks for, so that networks send it the streams."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from pimpy.config.routes import StaticJoin, matches
from pimpy.core.engine.effects import Effect, JoinSource, LeaveSource, Notice
from pimpy.core.interface import Interface
from pimpy.wire.family import Address, Family, Prefix

MAX_JOINS = 131_072
"""Memberships of all interfaces together."""

Membership = tuple[int, Address, Address]
"""(ifindex, group, source)."""


class StaticJoins:
    """The joins of one family, and which of them stand."""

    def __init__(self, family: Family, interfaces: Mapping[int, Interface], emit: Callable[[Effect], None]) -> None:
        self.family = family
        self.interfaces = interfaces
        self.emit = emit
        self.wanted: dict[StaticJoin, set[int]] = {}
        """Each with the interfaces on which it stands."""
        self.joined: dict[Membership, int] = {}
        """How many of the joins stand for a membership."""

    def configure(self, joins: Iterable[StaticJoin]) -> None:
        """Follow these from now on; memberships that stand are not touched."""
        wanted = dict.fromkeys(joins)
        gone = [join for join in self.wanted if join not in wanted]
        for join in wanted:
            self.add(join)
        for join in gone:
            self.remove(join)

    def add(self, join: StaticJoin) -> None:
        """A join, if it is new."""
        if join not in self.wanted:
            self.wanted[join] = set()
            self._look_at(join)

    def remove(self, join: StaticJoin) -> None:
        """A join goes, if it was there."""
        for ifindex in self.wanted.pop(join, ()):
            self._leave(join, ifindex)

    def interfaces_changed(self) -> None:
        """An interface came or went, or has another name."""
        for join in self.wanted:
            self._look_at(join)

    def pending(self) -> list[StaticJoin]:
        """Those whose interface is not there."""
        return [join for join, interfaces in self.wanted.items() if not interfaces]

    def _look_at(self, join: StaticJoin) -> None:
        there = {i.ifindex for i in self.interfaces.values() if matches(join.interface, i.name)}
        stands = self.wanted[join]
        for ifindex in stands - there:
            stands.discard(ifindex)
            self._leave(join, ifindex)
        for ifindex in sorted(there - stands):
            if len(self.joined) + join.size > MAX_JOINS:
                text = f"{join.interface}: not joined, there are {len(self.joined)} static memberships already"
                self.emit(Notice("error", "join_limit", f"{text} (limit {MAX_JOINS})"))
                return
            stands.add(ifindex)
            for group, source in self._each(join):
                key = ifindex, group, source
                count = self.joined.get(key, 0)
                self.joined[key] = count + 1
                if not count:
                    self.emit(JoinSource(ifindex, group, source))

    def _leave(self, join: StaticJoin, ifindex: int) -> None:
        for group, source in self._each(join):
            key = ifindex, group, source
            count = self.joined.get(key, 0)
            if count > 1:
                self.joined[key] = count - 1
            elif count:
                del self.joined[key]
                self.emit(LeaveSource(ifindex, group, source))

    def _each(self, join: StaticJoin) -> Iterator[tuple[Address, Address]]:
        sources = _addresses(join.source) if join.source is not None else [self.family.any]
        for group in _addresses(join.group):
            for source in sources:
                yield group, source


def _addresses(prefix: Prefix) -> list[Address]:
    """Every address of a range that is known to be small enough."""
    size = len(prefix.network)
    first = int.from_bytes(prefix.network, "big")
    return [(first + number).to_bytes(size, "big") for number in range(1 << 8 * size - prefix.length)]
