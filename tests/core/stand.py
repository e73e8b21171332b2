"""One router between scripted neighbours: what most conformance rows need.

The router `r1` has number 5 on every link. `up` leads to the sources, through the neighbour with number 9;
`down` leads to those who want them. Links are LANs unless a test says otherwise. Nothing on them takes time, so
what is due at once is seen at once. Times are counted from `mark()`, in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from datagrams import Datagram
from network import Net
from node import Node
from speakers import Channel, Host, Peer

from pimpy.config.model import Config
from pimpy.core.pim.neighbor import PimInterface
from pimpy.core.pim.tib import SG
from pimpy.core.router import Router
from pimpy.wire.family import Address, Family, parse_address
from pimpy.wire.join_prune import STAR_G, JoinPrune
from pimpy.wire.pim import Assert, Hello

US = 5
UPSTREAM = 9
WARM_UP = 20.0
"""Seconds in which everybody has said Hello."""

Said = tuple[float, str, Channel]
"""(time, `join` or `prune`, channel)."""


class Stand:
    """The router, its links and the neighbours on them."""

    def __init__(
        self,
        family: Family,
        up: Iterable[int] = (UPSTREAM,),
        down: Iterable[int] = (2,),
        config: Config | None = None,
        seed: int = 1,
        warm_up: float = WARM_UP,
        **link_settings: Any,
    ) -> None:
        self.family = family
        self.net = Net(family, seed)
        self.r1: Node = self.net.router("r1", config, US)
        self.up = self.net.link("up", "r1", **link_settings)
        self.down = self.net.link("down", "r1", **link_settings)
        self.peers: dict[tuple[str, int], Peer] = {}
        self.net.start()
        for link, numbers in (("up", up), ("down", down)):
            for number in numbers:
                self.peer(link, number).keep_saying_hello()
        self.zero = self.net.now
        self.run(warm_up)
        self.mark()

    # Who is there.

    def peer(self, link: str, number: int) -> Peer:
        """A neighbour, made if it is not there yet; a new one has not said Hello."""
        if (link, number) not in self.peers:
            self.peers[link, number] = self.net.peer(link, number)
        return self.peers[link, number]

    def host(self, link: str = "down", number: int = 100) -> Host:
        """A host on a link."""
        return self.net.host(link, number)

    @property
    def router(self) -> Router:
        """The router under test."""
        assert self.r1.router is not None
        return self.r1.router

    @property
    def nine(self) -> Address:
        """The upstream neighbour's primary address."""
        return self.peer("up", UPSTREAM).address

    def us(self, link: str = "down") -> Address:
        """Our primary address on a link."""
        return self.r1.address(link)

    # What is wanted.

    def group(self, number: int = 1) -> Address:
        """A group of the SSM range."""
        text = f"232.1.{number >> 8}.{number & 255}" if self.family.size == 4 else f"ff3e::8000:{number:x}"
        return parse_address(text)

    def channel(self, number: int = 1, group: int | None = None) -> Channel:
        """A channel whose source is reached through number 9 on `up`."""
        text = f"10.9.{number >> 8}.{number & 255}" if self.family.size == 4 else f"2001:db8:9::{number:x}"
        source = parse_address(text)
        if source not in self.r1.statics:
            self.r1.static_route(source, "up", self.nine)
        return source, self.group(number if group is None else group)

    def joined(self, *numbers: int, by: int = 2, link: str = "down", holdtime: int = 210) -> list[Channel]:
        """Channels that a downstream neighbour has joined now; the log begins anew."""
        channels = [self.channel(number) for number in numbers or (1,)]
        self.peer(link, by).join(self.us(link), *channels, holdtime=holdtime)
        self.run(0)
        self.mark()
        return channels

    def data(self, channel: Channel, link: str = "up", ttl: int = 32) -> int:
        """A data packet of a channel is on a link; its number."""
        self.net.sent += 1
        self.net.carry(Datagram(*channel, self.net.sent, ttl), [(link, None)])
        self.run(0)
        return self.net.sent

    # Time, and what was said.

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.net.run(seconds)

    def mark(self) -> None:
        """Count time from now on, and forget what was said."""
        self.zero = self.net.now
        self.up.forget()
        self.down.forget()

    @property
    def now(self) -> float:
        """Seconds since `mark`."""
        return round(self.net.now - self.zero, 6)

    def hellos(self, link: str = "down") -> list[tuple[float, Hello]]:
        """The Hellos that the router sent."""
        return [(round(when - self.zero, 6), hello) for when, hello in self.net.links[link].pim("r1", Hello)]

    def messages(self, link: str = "up") -> list[tuple[float, JoinPrune]]:
        """The Join/Prune messages that the router sent."""
        return [(round(when - self.zero, 6), message) for when, message in self.net.links[link].pim("r1", JoinPrune)]

    def asserts(self, link: str = "down") -> list[tuple[float, Assert]]:
        """The Asserts that the router sent."""
        return [(round(when - self.zero, 6), message) for when, message in self.net.links[link].pim("r1", Assert)]

    def said(self, link: str = "up", to: Address | None = None) -> list[Said]:
        """Each Join and Prune that the router sent on a link, to `to` if that is given."""
        return [
            (when, verb, (source, group_set.group))
            for when, message in self.messages(link)
            if to is None or message.upstream_neighbor == to
            for group_set in message.groups
            for verb, entries in (("join", group_set.joins), ("prune", group_set.prunes))
            for source, _ in entries
        ]

    # What the router thinks.

    def entry(self, channel: Channel) -> SG | None:
        """Its (S,G) entry."""
        return self.router.pim.tib.sg.get(channel[0] + channel[1])

    def join_timer(self, channel: Channel) -> float | None:
        """Seconds left on JT(S,G), None if it does not run."""
        entry = self.entry(channel)
        assert entry is not None
        return None if entry.join_timer is None else entry.join_timer.left(self.net.now)

    def forwards(self, channel: Channel) -> set[str]:
        """The links to which the stream goes."""
        return self.net.forwards("r1", *channel)

    def row(self, kind: str, **wanted: object) -> Any:
        """The one row of a kind whose fields are these."""
        rows = [row for row in self.router.rows(kind) if all(getattr(row, k) == v for k, v in wanted.items())]
        assert len(rows) == 1, rows
        return rows[0]

    def rows(self, kind: str) -> list[Any]:
        """All rows of a kind."""
        return list(self.router.rows(kind))

    def pim_interface(self, link: str = "down") -> PimInterface:
        """PIM on a link."""
        return self.router.pim.interfaces[self.r1.ports[link].ifindex]

    def neighbors(self, link: str = "down") -> set[int]:
        """The numbers of the neighbours on a link."""
        return {address[-1] for address in self.pim_interface(link).neighbors}

    def counted(self, reason: str, kind: str = "join_prune", protocol: str = "pim") -> int:
        """How often something received was refused for a reason."""
        return self.router.counters.total(protocol, "rx", kind, reason)

    def i_am_dr(self, link: str = "down") -> bool:
        """Whether we are the DR of a link."""
        row = self.row("interfaces", interface=link)
        assert row.is_dr == (row.dr_address == row.address)
        return bool(row.is_dr)


def lonely(family: Family, seed: int = 1, config: Config | None = None) -> Stand:
    """A router that nobody has spoken to yet, just started."""
    return Stand(family, up=(), down=(), seed=seed, warm_up=0.0, config=config)


def secondaries(stand: Stand, link: str = "down") -> tuple[Address, ...] | None:
    """What our Address List should be: all but the primary address, None if there are no others."""
    return tuple(address for address, _ in stand.r1.ports[link].addresses[1:]) or None


def star_entries(rp: Address) -> tuple[tuple[Address, int], ...]:
    """The source entry of (*,G)."""
    return ((rp, STAR_G),)
