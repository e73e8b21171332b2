"""Static multicast routes and static joins as a configuration says them, whatever grammar it was written in."""

from __future__ import annotations

from pimpy.wire.family import Prefix
from pimpy.wire.record import frozen
from pimpy.wire.value import Value

WILDCARD = "+"
"""At the end of an interface's name: every interface whose name begins so (smcroute's `eth+`)."""
FLUSH_INTERVAL = 60
"""Seconds after which the entry of a stream that fell silent goes, if nothing else is said."""
MAX_RANGE = 65536
"""Memberships that one `mgroup` line may stand for."""


def matches(pattern: str, name: str) -> bool:
    """Whether `pattern`, a name or the beginning of one with a `+` behind it, means the interface `name`."""
    return name.startswith(pattern[:-1]) if pattern.endswith(WILDCARD) else name == pattern


@frozen
class StaticRoute(Value):
    """Forward what comes in by `interface` from `source` (None: from anybody) to `group` out of `outgoing`.

    Interfaces are names, or beginnings of names with a `+`. A route of one source and one group stands in the kernel
    as soon as its interface is there; of the others each stream gets an entry with its first packet.
    """

    interface: str
    source: Prefix | None
    group: Prefix
    outgoing: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, Prefix | None, Prefix]:
        """What makes it this route: two with one key are one, with the outgoing interfaces of both."""
        return self.interface, self.source, self.group

    @property
    def exact(self) -> bool:
        """Whether it is of one source and one group."""
        bits = 8 * len(self.group.network)
        return self.source is not None and self.source.length == bits == self.group.length


@frozen
class StaticJoin(Value):
    """Be a member of `group` on `interface`, of `source` alone if one is named: every address of the ranges."""

    interface: str
    source: Prefix | None
    group: Prefix

    @property
    def size(self) -> int:
        """How many memberships it stands for."""
        bits = 8 * len(self.group.network)
        sources = 1 << bits - self.source.length if self.source is not None else 1
        return sources << bits - self.group.length


@frozen
class Static(Value):
    """All static routes and joins, in the order of the file: of the routes that match a stream the first holds."""

    routes: tuple[StaticRoute, ...] = ()
    joins: tuple[StaticJoin, ...] = ()
    flush_interval: int = FLUSH_INTERVAL
    """Seconds; entries that were made for a stream go when it was silent for one whole interval. 0: never."""


def merge(routes: list[StaticRoute]) -> tuple[StaticRoute, ...]:
    """The routes, those of one key made one at the place of the first."""
    found: dict[tuple[str, Prefix | None, Prefix], StaticRoute] = {}
    for route in routes:
        before = found.get(route.key)
        if before is not None:
            outgoing = tuple(dict.fromkeys(before.outgoing + route.outgoing))
            route = StaticRoute(route.interface, route.source, route.group, outgoing)
        found[route.key] = route
    return tuple(found.values())
