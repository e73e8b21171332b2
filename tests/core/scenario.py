"""Random networks and what befalls them; all of it follows from one number, the seed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from random import Random

import oracle
from network import Net
from node import Node
from speakers import Channel, Host

from pimpy.config.model import Config, Phyint
from pimpy.wire.family import Address, Family, parse_address
from pimpy.wire.record import define, field

QUIET = 295.0
"""Seconds after the last mishap by which all is as it should be: a member whose report was lost is heard of, or
forgotten, 270 s later (T27), and what follows from that is pruned and joined without loss."""


@define
class Scenario:
    """A network of routers, sources and hosts, and a while of joins, leaves, failures and lost packets."""

    family: Family
    seed: int
    random: Random = field(init=False)
    net: Net = field(init=False)
    channels: list[Channel] = field(init=False)
    hosts: list[Host] = field(init=False)
    story: list[str] = field(factory=list)
    """What happened, for the reader of a failure."""

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.net = Net(self.family, self.seed)
        self.net.logging = False
        self.net.batches = self.random.random() < 0.7
        self.net.route_delay = self.random.choice((0.0, 0.05, 2.0))
        self.net.global_next_hops = self.random.random() < 0.3
        self._build()

    # The network.

    def _build(self) -> None:
        names = [f"r{number}" for number in range(1, self.random.randint(2, 10) + 1)]
        numbers = self.random.sample(range(1, 50), len(names))
        for name, number in zip(names, numbers, strict=True):
            self.net.router(name, self._config(), number)
        self._connect(names)
        edges = self._edges(names)
        sources = [self.net.source(self.random.choice(edges), 200 + n) for n in range(self.random.randint(1, 3))]
        self.channels = [(source, group) for source in sources for group in self._groups()]
        places = edges + [link for link in self.net.links if self.random.random() < 0.15 and link not in edges]
        self.hosts = [self.net.host(link, 100 + n) for n in range(2) for link in places if self.random.random() < 0.8]

    def _groups(self) -> list[Address]:
        texts = ("232.1.1.1", "232.1.1.2") if self.family.size == 4 else ("ff3e::8000:1", "ff3e::8000:2")
        return [parse_address(text) for text in texts[: self.random.randint(1, 2)]]

    def _config(self) -> Config:
        return Config(triggered_hello_delay=self.random.choice((0.0, 5.0, 5.0)))

    def _connect(self, names: list[str]) -> None:
        """A tree, mostly of point-to-point links, some chords, now and then a LAN of several routers, or of all."""
        if self.random.random() < 0.1:
            self._link(*names)
            return
        for number, name in enumerate(names[1:], start=1):
            self._link(self.random.choice(names[:number]), name)
        for one, other in combinations(names, 2):
            if self.random.random() < 1.5 / len(names):
                self._link(one, other)
        for _ in range(self.random.choice((0, 0, 1, 2))):
            self._link(*self.random.sample(names, self.random.randint(2, min(4, len(names)))))

    def _link(self, *routers: str) -> str:
        name = f"n{self.random.randrange(100):02}-{len(self.net.links)}"
        self.net.link(
            name,
            *routers,
            cost=self.random.choice((1, 1, 1, 2, 5)),
            p2p=len(routers) == 2 and self.random.random() < 0.7,
            delay=self.random.choice((0.0, 0.001, 0.02)),
            jitter=self.random.choice((0.0, 0.0, 0.03)),
        )
        return name

    def _edges(self, names: list[str]) -> list[str]:
        """LANs with hosts: of one router, sometimes two."""
        edges: list[str] = []
        for name in names:
            if self.random.random() < 0.6 or not edges:
                others = [other for other in names if other != name]
                backup = [self.random.choice(others)] if self.random.random() < 0.3 else []
                edges.append(self._link(name, *backup))
                phyint = Phyint(
                    edges[-1],
                    passive=not backup and self.random.random() < 0.3,
                    dr_priority=self.random.choice((None, 0, 1, 7)),
                )
                node = self.net.nodes[name]
                node.config = Config(phyints=(*node.config.phyints, phyint))
        return edges

    # What happens.

    def play(self) -> None:
        """Start, let things happen for a while, make an end of all mishaps, and wait until all has settled."""
        self.net.start()
        self._lossy(True)
        for _ in range(self.random.randint(2, 14)):
            self.net.run(self.random.choice((0.0, 0.01, 0.3, 2.0, 8.0, 40.0)) * self.random.random())
            self._event()
        self.net.run(self.random.uniform(0, 10))
        self._lossy(False)
        self.net.run(QUIET)

    def _lossy(self, on: bool) -> None:
        kind = self.random.choice(("none", "some", "much")) if on else "none"
        for link in self.net.links.values():
            link.loss = {"none": 0.0, "some": 0.1, "much": 0.4}[kind]
            link.duplicate = 0.1 if on and kind != "none" else 0.0
            if not on:
                link.jitter = 0.0
        self.story.append(f"loss: {kind}")

    def _event(self) -> None:
        events: list[tuple[int, Callable[[], str]]] = [
            (8, self._join),
            (4, self._leave),
            (2, self._link_fails_or_heals),
            (2, self._port_fails_or_heals),
            (1, self._cost_changes),
            (2, self._crash_or_restart),
            (1, self._shut_down),
            (1, self._flap),
            (1, self._replug),
            (1, self._renumber),
            (1, self._reconfigure),
            (1, self._data),
        ]
        weights, choices = zip(*events, strict=True)
        (what,) = self.random.choices(choices, weights)
        self.story.append(f"{self.net.now:9.3f} {what()}")

    def _join(self) -> str:
        host, (source, group) = self.random.choice(self.hosts or [self._some_host()]), self.random.choice(self.channels)
        host.join(group, source)
        return f"join at {host.link.name}"

    def _some_host(self) -> Host:
        self.hosts.append(self.net.host(self.random.choice(list(self.net.links)), 150))
        return self.hosts[-1]

    def _leave(self) -> str:
        wanting = [(host, channel) for host in self.hosts for channel in sorted(host.channels())]
        if not wanting:
            return "nobody leaves"
        host, (source, group) = self.random.choice(wanting)
        host.leave(group, source)
        return f"leave at {host.link.name}"

    def _link_fails_or_heals(self) -> str:
        link = self.random.choice(list(self.net.links.values()))
        self.net.set_link(link.name, not link.up)
        return f"link {link.name} {'up' if link.up else 'down'}"

    def _port_fails_or_heals(self) -> str:
        node = self.random.choice(list(self.net.nodes.values()))
        port = self.random.choice(list(node.ports.values()))
        self.net.set_port(node.name, port.link.name, not port.up)
        return f"port of {node.name} on {port.link.name} {'up' if port.up else 'down'}"

    def _cost_changes(self) -> str:
        link = self.random.choice(list(self.net.links))
        self.net.set_cost(link, self.random.randint(1, 9))
        return f"cost of {link}"

    def _crash_or_restart(self) -> str:
        node = self.random.choice(list(self.net.nodes.values()))
        running = node.router is not None
        if running:
            node.crash()
        if not running or self.random.random() < 0.7:
            node.start()
            return f"{node.name} restarts"
        return f"{node.name} crashes"

    def _shut_down(self) -> str:
        node = self.random.choice(list(self.net.nodes.values()))
        if node.router is not None:
            node.shutdown()
            assert node.kernel.contents() == ({}, {}, set(), set(), {}), f"{node.name} left something behind"
        return f"{node.name} shuts down"

    def _flap(self) -> str:
        link = self.random.choice(list(self.net.links))
        for up in (False, True):
            self.net.set_link(link, up)
        return f"{link} flaps"

    def _replug(self) -> str:
        node, link = self._some_port()
        node.detach(link)
        self.net.topology_changed()
        self.net.run(self.random.choice((0.0, 0.0, 1.0, 20.0)) * self.random.random())
        node.attach(self.net.links[link])
        self.net.topology_changed()
        return f"{link} of {node.name} goes and comes"

    def _renumber(self) -> str:
        node, link = self._some_port()
        number = self.random.randrange(50, 90)
        if any(port.address == self.net.link_local(link, number) for port in self.net.links[link].ports.values()):
            return "nothing"
        node.ports[link].readdress(*self.net.addresses(link, number))
        self.net.topology_changed()
        return f"{node.name} is number {number} on {link}"

    def _reconfigure(self) -> str:
        node, link = self._some_port()
        others = tuple(line for line in node.config.phyints if line.name != link)
        priority, passive = self.random.choice((None, 0, 1, 9)), self.random.random() < 0.2
        node.configure(phyints=(*others, Phyint(link, dr_priority=priority, passive=passive)))
        return f"{node.name}: priority {priority}{', passive' if passive else ''} on {link}"

    def _some_port(self) -> tuple[Node, str]:
        node = self.random.choice(list(self.net.nodes.values()))
        return node, self.random.choice(list(node.ports))

    def _data(self) -> str:
        source, group = self.random.choice(self.channels)
        self.net.packet(source, group)
        return "data"

    # What should have come of it.

    def world(self) -> oracle.World:
        """The topology as it is now, in the oracle's plain words."""
        links = {name: link for name, link in self.net.links.items() if link.up}
        ports = tuple(
            oracle.Port(
                node.name,
                name,
                1 if (phyint := node.config.phyint(name)).dr_priority is None else phyint.dr_priority,
                port.address,
                phyint.passive,
            )
            for node in self.net.nodes.values()
            for name, port in node.ports.items()
            if port.running
        )
        return oracle.World(
            {name: link.cost for name, link in links.items()},
            ports,
            frozenset(name for name, node in self.net.nodes.items() if node.router is not None),
            frozenset((host.link.name, name_of(channel)) for host in self.hosts for channel in host.channels()),
        )


def name_of(channel: Channel) -> str:
    """A channel as the oracle calls it."""
    return channel[0].hex() + channel[1].hex()
