"""The paths that somebody needs: which interface and next hop lead to an address, kept up by events.

The kernel is asked once for each address (ResolveRpf) and answers whenever the answer changes
(RouteResolved). The core never waits for it, never polls, and never mirrors the routing table. Routes that are for
RPF alone (pim6sd's `static`) hold before the kernel's, as long as their interface is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pimpy.config.model import RpfRoute
from pimpy.core.engine.effects import Effect, ForgetRpf, ResolveRpf
from pimpy.core.engine.events import RouteResolved
from pimpy.core.prefixes import PrefixTree
from pimpy.wire.family import Address
from pimpy.wire.record import define, field

RTPROT_STATIC = 4
"""The kernel's number for routes of an administrator."""


@define
class Path:
    """How `address` is reached. The MRIB of RFC 7761 4.1.1, one row; `route` is None until the kernel answered."""

    address: Address
    route: RouteResolved | None = None
    told: RouteResolved | None = None
    """The kernel's own answer."""
    users: dict[Any, None] = field(factory=dict)
    """Who needs it, in order of arrival."""

    @property
    def ifindex(self) -> int | None:
        """The index of RPF_interface, None without a route."""
        return self.route.ifindex if self.route is not None else None

    @property
    def connected(self) -> bool:
        """DirectlyConnected(S): the route has no gateway, or the address is our own."""
        return self.route is not None and self.route.ifindex is not None and self.route.next_hop is None

    @property
    def hop(self) -> tuple[int, Address] | None:
        """(ifindex, next hop), the next hop being the address itself on its own link; None without a route."""
        route = self.route
        if route is None or route.ifindex is None:
            return None
        return route.ifindex, self.address if route.next_hop is None else route.next_hop


class Rpf:
    """All paths in use, found by address, by next hop and by interface, so that a change walks only what it touches."""

    def __init__(self, emit: Callable[[Effect], None]) -> None:
        self._emit = emit
        self.paths: dict[Address, Path] = {}
        self._hops: dict[tuple[int, Address], dict[Path, None]] = {}
        self._interfaces: dict[int, dict[Path, None]] = {}
        self._routes: PrefixTree[RpfRoute] = PrefixTree()
        self._said: tuple[RpfRoute, ...] = ()
        self._names: dict[str, int] = {}
        """Of the interfaces that those routes name and that are there, the ifindex."""

    def follow(self, routes: tuple[RpfRoute, ...], names: Mapping[str, int]) -> list[Path]:
        """Go by these routes before the kernel's, over interfaces that have these indices; the paths that it moved."""
        here = {route.interface: names[route.interface] for route in routes if route.interface in names}
        if routes == self._said and here == self._names:
            return []
        self._routes, self._said, self._names = PrefixTree(), routes, here
        for route in routes:
            self._routes.set(route.prefix, route)
        return [path for path in self.paths.values() if path.told is not None and self._lead(path, path.told)]

    def effective(self, told: RouteResolved) -> RouteResolved:
        """The route that counts where the kernel says `told`: the longest of ours whose interface is there, or that."""
        if not self._said or told.local:
            return told
        for route in self._routes.covering(told.address):
            ifindex = self._names.get(route.interface)
            if ifindex is not None:
                return RouteResolved(told.address, ifindex, route.next_hop, False, route.prefix, RTPROT_STATIC, 0)
        return told

    def track(self, address: Address, user: object) -> Path:
        """The path to `address`, kept up to date until `release`; asks the kernel for an address that is new."""
        path = self.paths.get(address)
        if path is None:
            path = self.paths[address] = Path(address)
            self._emit(ResolveRpf(address))
        path.users[user] = None
        return path

    def release(self, path: Path, user: object) -> None:
        """`user` needs the path no longer."""
        del path.users[user]
        if not path.users:
            self._unindex(path)
            del self.paths[path.address]
            self._emit(ForgetRpf(path.address))

    def resolved(self, route: RouteResolved) -> Path | None:
        """Take the kernel's answer; the path if that changed how it leads, None if not (or nobody asks any more)."""
        path = self.paths.get(route.address)
        if path is None:
            return None
        path.told = route
        return path if self._lead(path, route) else None

    def _lead(self, path: Path, told: RouteResolved) -> bool:
        """Let a path lead as it does now; whether that is another way than before."""
        route = self.effective(told)
        if path.route == route:
            return False
        before = path.route
        self._unindex(path)
        path.route = route
        if (hop := path.hop) is not None:
            self._hops.setdefault(hop, {})[path] = None
            self._interfaces.setdefault(hop[0], {})[path] = None
        return before is None or _leads(before) != _leads(route)

    def _unindex(self, path: Path) -> None:
        if (hop := path.hop) is None:
            return
        for index, key in ((self._hops, hop), (self._interfaces, hop[0])):
            paths = index[key]  # type: ignore[index]
            del paths[path]
            if not paths:
                del index[key]  # type: ignore[arg-type]

    def by_next_hop(self, ifindex: int, next_hops: Iterable[Address]) -> list[Path]:
        """The paths that lead over one of `next_hops` on `ifindex`."""
        return [path for next_hop in next_hops for path in self._hops.get((ifindex, next_hop), ())]

    def by_interface(self, ifindex: int) -> list[Path]:
        """The paths that lead over `ifindex`."""
        return list(self._interfaces.get(ifindex, ()))


def _leads(route: RouteResolved) -> tuple[object, ...]:
    """What of a route decides where RPF goes, and what Asserts say of it."""
    return route.ifindex, route.next_hop, route.local, route.protocol, route.metric
