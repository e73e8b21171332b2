"""A router with static routes only: nobody speaks PIM, streams come from links, and rules say where they go."""

from __future__ import annotations

from typing import Any

from datagrams import Datagram
from network import Net
from node import Node

from pimpy.config.model import Config
from pimpy.config.routes import Static, StaticJoin, StaticRoute
from pimpy.core.engine.events import StaticEdited
from pimpy.core.router import Router
from pimpy.wire.family import Address, Family, Prefix, parse_address


class StaticStand:
    """The router `r1` with the links `a`, `b`, `c` and `d`."""

    def __init__(self, family: Family, *routes: StaticRoute, pim: bool = False, **said: Any) -> None:
        self.family = family
        self.net = Net(family)
        static = Static(routes, **said)
        self.r1: Node = self.net.router("r1", Config(phyints_enabled=pim, static=static))
        for name in ("a", "b", "c", "d"):
            self.net.link(name, "r1")
        self.net.start()
        self.net.run(0)

    @property
    def router(self) -> Router:
        assert self.r1.router is not None
        return self.r1.router

    # Addresses.

    def source(self, number: int = 1, net: int = 9) -> Address:
        """Of a sender somewhere: its subnet is `net`."""
        text = f"10.{net}.0.{number}" if self.family.size == 4 else f"2001:db8:{net:x}::{number:x}"
        return parse_address(text)

    def group(self, number: int = 1, net: int = 1) -> Address:
        text = f"239.{net}.{number >> 8}.{number & 255}" if self.family.size == 4 else f"ff0e:{net:x}::{number:x}"
        return parse_address(text)

    def one(self, address: Address) -> Prefix:
        """The range of one address."""
        return self.family.host(address)

    def groups(self, net: int = 1) -> Prefix:
        """All groups of `group(..., net)`."""
        return Prefix(self.group(0, net), 16 if self.family.size == 4 else 32)

    def sources(self, net: int = 9) -> Prefix:
        """All sources of `source(..., net)`."""
        return Prefix(self.source(0, net), 16 if self.family.size == 4 else 48)

    def any(self, group: Prefix | Address, *to: str, by: str = "a") -> StaticRoute:
        """(*,G), or of a range of groups."""
        return StaticRoute(by, None, group if isinstance(group, Prefix) else self.one(group), to)

    def exact(self, source: Address, group: Address, *to: str, by: str = "a") -> StaticRoute:
        """(S,G)."""
        return StaticRoute(by, self.one(source), self.one(group), to)

    # What happens.

    def send(self, source: Address, group: Address, link: str = "a") -> int:
        """A packet is on a link; its number."""
        self.net.sent += 1
        self.net.carry(Datagram(source, group, self.net.sent, 32), [(link, None)])
        self.net.run(0)
        return self.net.sent

    def reached(self, number: int) -> set[str]:
        """The links that a packet was on."""
        return {link for link, sent in self.net.seen if sent == number}

    def follow(self, *routes: StaticRoute, joins: tuple[StaticJoin, ...] = (), **said: Any) -> None:
        """The configuration is read again and says this."""
        self.r1.configure(static=Static(routes, joins, **said))
        self.net.run(0)

    def edit(self, *routes: StaticRoute, joins: tuple[StaticJoin, ...] = (), add: bool = True) -> None:
        """An operator says this."""
        self.r1.handle(StaticEdited(Static(routes, joins), add))
        self.net.run(0)

    def entry(self, source: Address, group: Address) -> tuple[str, set[str]] | None:
        """The kernel's entry: the links it leads from and to."""
        found = self.r1.kernel.mfc.get((source, group))
        if found is None:
            return None
        vifs = {vif: self.r1.link_at(device) for vif, (device, _) in self.r1.kernel.vifs.items()}
        return vifs[found[0]], {link for vif, link in vifs.items() if found[1] >> vif & 1}
