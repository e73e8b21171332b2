"""The stand with a shared tree: one router between scripted neighbours, an RP somewhere, and an any-source group.

    up     9, and who else is asked for: the way to the sources
    rpt    7: the way to the RP, unless `rp` says otherwise
    src    nobody: where sources are our own to speak for
    down   2 and 3: those who want things

What was said is told in the RFC's words: `(0.0, "Join(*,G)")`, `(3.0, "Prune(S,G,rpt)")`, S being the first source that
the test spoke of, S2 the second.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from speakers import Channel, Packet
from stand import UPSTREAM, Stand

from pimpy.config.model import Config, StaticRp
from pimpy.core.pim.tib import SG as Entry
from pimpy.core.pim.tib import StarG
from pimpy.wire import pim
from pimpy.wire.family import Address, Family, parse_address
from pimpy.wire.join_prune import SG, SG_RPT, STAR_G, GroupSet, JoinPrune, SourceEntry
from pimpy.wire.record import evolve

KINDS = {SG: "S,G", SG_RPT: "S,G,rpt", STAR_G: "*,G"}
RPT = 7
Told = tuple[float, str]
"""(seconds since `mark`, what was said)."""


class AsmStand(Stand):
    """A router, its RP being `rp`: behind 7 on `rpt`, behind 9 on `up`, the router itself (`me`), or `none`."""

    def __init__(self, family: Family, rp: str = "rpt", down: Iterable[int] = (2, 3), **settings: Any) -> None:
        config = settings.pop("config", Config())
        super().__init__(family, down=down, warm_up=0.0, config=config, **settings)
        self.rpt = self.net.link("rpt", "r1")
        self.net.link("src", "r1")
        self.run(0)
        self.peer("rpt", RPT).keep_saying_hello()
        self.names: dict[Address, str] = {}
        self.rp = parse_address("10.8.0.1" if family.size == 4 else "2001:db8:8::1")
        if rp == "me":
            self.rp = self.net.address("rpt", 5)
        elif rp == "up":
            self.r1.static_route(self.rp, "up", self.nine)
        else:
            self.r1.static_route(self.rp, "rpt", self.seven)
        self.r1.static_route(self.dr, "rpt", self.seven)
        if rp != "none":
            self.r1.configure(rp_addresses=(StaticRp(self.rp, family.multicast),))
        self.run(20)
        self.mark()

    @property
    def seven(self) -> Address:
        """The neighbour towards the RP."""
        return self.peer("rpt", RPT).address

    def mark(self) -> None:
        """Count time from now on, and forget what was said."""
        super().mark()
        for link in self.net.links.values():
            link.forget()

    # Names.

    def group(self, number: int = 1) -> Address:
        """An any-source group."""
        return parse_address(f"239.1.1.{number}" if self.family.size == 4 else f"ff1e::{number:x}")

    def far(self, number: int = 1, by: int = UPSTREAM, link: str = "up") -> Channel:
        """A source behind a neighbour, sending to the group."""
        text = f"10.9.1.{number}" if self.family.size == 4 else f"2001:db8:9::{number:x}"
        source = parse_address(text)
        self.r1.static_route(source, link, self.peer(link, by).address)
        return self._named(source)

    def near(self, link: str = "src", number: int = 200) -> Channel:
        """A source on a link of the router's own."""
        return self._named(self.net.source(link, number))

    def data(self, channel: Channel, link: str | None = None, ttl: int = 32) -> int:
        """A data packet of a channel is on a link, of a near source its own, else `up`; its number."""
        return super().data(channel, link or self.net.sources.get(channel[0], "up"), ttl)

    def _named(self, source: Address) -> Channel:
        if source not in self.names:
            self.names[source] = "S" if not self.names else f"S{len(self.names) + 1}"
        return source, self.group()

    # What neighbours say.

    def say(self, *words: str, by: int = 2, link: str = "down", to: Address | None = None, holdtime: int = 210) -> None:
        """A neighbour sends one message, `say("Join(*,G)", "Prune(S,G,rpt)")`, to us or to another router."""
        joins, prunes = (tuple(self._entry(word) for word in words if word.startswith(verb)) for verb in ("J", "P"))
        message = JoinPrune(to or self.us(link), holdtime, (GroupSet(self.group(), joins, prunes),))
        self.peer(link, by).send(message)
        self.run(0)

    def _entry(self, word: str) -> SourceEntry:
        name, *rest = word[word.index("(") + 1 : -1].split(",")
        if name == "*":
            return self.rp, STAR_G
        source = next(address for address, known in self.names.items() if known == name)
        return source, SG_RPT if rest == ["G", "rpt"] else SG

    def member(self, link: str = "down", excluding: tuple[Address, ...] = ()) -> Any:
        """A host that wants the group, whoever sends it, but not from some."""
        host = self.net.host(link)
        host.want_any(self.group(), *excluding)
        self.run(0)
        return host

    def hear_assert(
        self, source: Address, metric: tuple[bool, int, int], by: int = 3, link: str = "down", group: int = 1
    ) -> None:
        """A neighbour sends an Assert: (RPTbit, preference, metric); `source` all zero for (*,G)."""
        self.peer(link, by).send(pim.Assert(self.group(group), source, *metric))
        self.run(0)

    def register(self, channel: Channel, *, null: bool = False, to: Address | None = None, number: int = 0) -> None:
        """The DR 10.7.7.7 sends a Register to us."""
        from datagrams import Datagram

        self.net.sent += 1
        inner = pim.dummy_header(self.family, *channel) if null else Datagram(*channel, self.net.sent).to_bytes()
        self.unicast(pim.Register(False, null, inner), self.dr, to or self.rp)

    @property
    def dr(self) -> Address:
        """Where Registers come from."""
        return parse_address("10.7.7.7" if self.family.size == 4 else "2001:db8:7::7")

    def unicast(self, message: pim.Message, source: Address, to: Address) -> None:
        """A unicast PIM message comes in by `rpt`."""
        data = pim.encode(self.family, source, to, message)
        self.r1.receive_unicast("rpt", Packet("pim", source, to, data, 60, False))
        self.run(0)

    def register_stop(self, channel: Channel, source: Address | None = None) -> None:
        """The RP, or another one, has heard enough; it is told to the address that our Registers come from."""
        to = self.net.address("src", 5)
        self.unicast(pim.RegisterStop(channel[1], channel[0]), source or self.rp, to)

    # What the router says.

    def told(self, link: str = "up", to: Address | None = None) -> list[Told]:
        """Each Join and Prune that the router sent on a link."""
        return [
            (when, f"{verb}({self._word(source, flags)})")
            for when, message in self.messages(link)
            if to is None or message.upstream_neighbor == to
            for group_set in message.groups
            for verb, entries in (("Join", group_set.joins), ("Prune", group_set.prunes))
            for source, flags in entries
        ]

    def _word(self, source: Address, flags: int) -> str:
        if flags == STAR_G:
            assert source in (self.rp, self.family.any), "(*,G) names the RP"
            return "*,G"
        return KINDS[flags].replace("S", self.names[source], 1)

    def messages_of(self, kind: type) -> list[tuple[float, Any]]:
        """(time, message) of all messages of a kind that the router sent, on whatever link."""
        found = [
            (round(when - self.zero, 6), message)
            for link in self.net.links.values()
            for when, message in link.pim("r1", kind)
        ]
        return sorted(found, key=lambda pair: pair[0])

    def registers(self) -> list[tuple[float, str]]:
        """(time, `data` or `null`) of the Registers that the router sent."""
        return [(when, "null" if m.null else "data") for when, m in self.messages_of(pim.Register)]

    def stops(self) -> list[float]:
        """When the router sent Register-Stops."""
        return [when for when, _ in self.messages_of(pim.RegisterStop)]

    # What the router thinks.

    @property
    def star(self) -> StarG | None:
        """The (*,G) entry."""
        tree = self.router.pim.tib.groups.get(self.group())
        return tree.star if tree is not None else None

    def sg(self, channel: Channel) -> Entry:
        """The (S,G) entry, which is there."""
        entry = self.entry(channel)
        assert entry is not None, "no (S,G) entry"
        return entry

    def keepalive(self, channel: Channel) -> float | None:
        """Seconds left on KAT(S,G)."""
        entry = self.entry(channel)
        timer = entry.keepalive if entry is not None else None
        return None if timer is None else timer.left(self.net.now)

    def configure(self, **changes: object) -> None:
        """Another configuration, and its consequences."""
        self.r1.configure(**changes)
        self.run(0)

    def hello(self, link: str, by: int, **changes: object) -> None:
        """A neighbour says Hello, and means it from now on."""
        peer = self.peer(link, by)
        peer.hello_said = evolve(peer.hello_said, **changes)
        peer.hello()
        self.run(0)

    def assert_state(self, channel: Channel | None, link: str = "down") -> str:
        """`no_info`, `winner` or `loser`: of a channel, or None for (*,G)."""
        state = self._assert(channel, link)
        return "no_info" if state is None else "winner" if state.won else "loser"

    def assert_timer(self, channel: Channel | None, link: str = "down") -> float | None:
        """Seconds left on AT."""
        state = self._assert(channel, link)
        return None if state is None else state.timer.left(self.net.now)

    def assert_winner(self, channel: Channel | None, link: str = "down") -> Address | None:
        """AssertWinner."""
        state = self._assert(channel, link)
        return None if state is None else state.winner

    def _assert(self, channel: Channel | None, link: str) -> Any:
        entry = self.star if channel is None else self.entry(channel)
        interface = self.router.pim.interfaces[self.r1.ports[link].ifindex]
        return next((state for state in interface.asserts if state.entry is entry), None)
