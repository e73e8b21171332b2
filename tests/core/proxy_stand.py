"""A proxy between scripted hosts and a scripted querier: `up` and `up2` lead to sources, `d1` and `d2` to members."""

from __future__ import annotations

from typing import Any

from datagrams import Datagram
from network import Link, Net
from node import Node
from speakers import CODECS, Host, Packet

from pimpy.config.model import Config, Phyint
from pimpy.config.proxies import Proxy, ProxyInterface
from pimpy.core.router import Router
from pimpy.wire.family import Address, Family, parse_address
from pimpy.wire.membership import Leave, Message, OldReport, Query, Record, RecordType, Report
from pimpy.wire.record import define, field

TYPES = {value: name for name, value in vars(RecordType).items() if isinstance(value, int)}


@define
class Asker:
    """Another router on a link, which asks."""

    stand: ProxyStand
    link: Link
    address: Address

    def query(self, group: Address | None = None, *sources: Address, version: int | None = None) -> None:
        """Send a query, a general one without a group."""
        family = self.stand.family
        newest = 3 if family.size == 4 else 2
        query = Query(version or newest, group or family.any, 1.0, False, 2, 125.0, sources)
        data = CODECS[family.gmp].encode_query(query)
        to = family.all_hosts if group is None else group
        self.link.transmit(self, Packet(family.gmp, self.address, to, data))

    def receive(self, packet: Packet) -> None:
        """It does not care."""


@define
class ProxyStand:
    """The proxy `r1`."""

    family: Family
    said: dict[str, Any] = field(factory=dict)
    proxies: tuple[Proxy, ...] = ()
    phyints: tuple[Phyint, ...] = ()
    ups: tuple[str, ...] = ("up",)
    downs: tuple[str, ...] = ("d1", "d2")
    pim: bool = False
    net: Net = field(init=False)
    r1: Node = field(init=False)
    _hosts: dict[tuple[str, int], Host] = field(init=False, factory=dict)

    def __post_init__(self) -> None:
        self.net = Net(self.family)
        found = self.proxies or (
            Proxy("tv", tuple(map(ProxyInterface, self.ups)), tuple(map(ProxyInterface, self.downs)), **self.said),
        )
        config = Config(phyints=self.phyints, phyints_enabled=self.pim, proxies=found)
        self.r1 = self.net.router("r1", config, 5)
        for name in ("up", "up2", "d1", "d2", "other"):
            self.net.link(name, "r1")
        self.net.start()
        self.net.run(60)
        self.forget()

    @property
    def router(self) -> Router:
        assert self.r1.router is not None
        return self.r1.router

    def forget(self) -> None:
        for link in self.net.links.values():
            link.forget()

    def host(self, link: str = "d1", number: int = 100) -> Host:
        """A host on a link, the same one each time."""
        if (link, number) not in self._hosts:
            self._hosts[link, number] = self.net.host(link, number)
        return self._hosts[link, number]

    def asker(self, link: str = "up", number: int = 9) -> Asker:
        """Another router on a link."""
        found = Asker(self, self.net.links[link], self.net.link_local(link, number))
        self.net.links[link].others.append(found)  # type: ignore[arg-type]
        return found

    def group(self, number: int = 1) -> Address:
        text = f"239.1.0.{number}" if self.family.size == 4 else f"ff0e::1:{number:x}"
        return parse_address(text)

    def source(self, number: int = 1) -> Address:
        """Far upstream."""
        text = f"10.9.0.{number}" if self.family.size == 4 else f"2001:db8:9::{number:x}"
        return parse_address(text)

    def old_report(self, group: Address, version: int, link: str = "d1") -> None:
        """A host of an older version wants a group."""
        family = self.family
        data = CODECS[family.gmp].encode(OldReport(version, group))
        self.host(link).link.transmit(self.host(link), Packet(family.gmp, self.host(link).address, group, data))

    # What happens.

    def run(self, seconds: float) -> None:
        self.net.run(seconds)

    def data(self, source: Address, group: Address, link: str = "up") -> set[str]:
        """A packet is on a link: all links that it reaches, at once."""
        self.net.sent += 1
        self.net.carry(Datagram(source, group, self.net.sent, 32), [(link, None)])
        self.net.run(0)
        return {name for name, number in self.net.seen if number == self.net.sent} - {link}

    def sent(self, link: str = "up") -> list[tuple[Packet, Message]]:
        """The membership messages that the proxy sent on a link."""
        family = self.family
        found = []
        for _, name, packet in self.net.links[link].log:
            if name == "r1" and packet.protocol == family.gmp:
                message = CODECS[family.gmp].decode(packet.data)
                assert message is not None
                found.append((packet, message))
        return found

    def records(self, link: str = "up") -> list[tuple[str, Address, set[Address]]]:
        """(type, group, sources) of all records that the proxy sent on a link."""
        found: list[tuple[str, Address, set[Address]]] = []
        for _, message in self.sent(link):
            if isinstance(message, Report):
                found += [(TYPES[record.type], record.group, set(record.sources)) for record in message.records]
        return found

    def queries(self, link: str) -> int:
        return sum(isinstance(message, Query) for _, message in self.sent(link))

    def leaves(self, link: str = "up") -> list[Address]:
        return [message.group for _, message in self.sent(link) if isinstance(message, Leave)]

    def report(self, link: str, kind: int, group: Address, *sources: Address) -> None:
        """A host says this once."""
        self.host(link).send(Report((Record(kind, group, sources),)))
