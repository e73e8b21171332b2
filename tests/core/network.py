"""A multicast network in virtual time: real routers, and fakes of everything around them.

    net = Net(IPV4)
    r1, r2 = net.router("r1"), net.router("r2")
    net.link("src", "r1"), net.link("r1-r2", "r1", "r2", p2p=True), net.link("lan", "r2")
    source, host = net.source("src"), net.host("lan")
    net.start()
    host.join(GROUP, source)
    net.run(1.0)
    assert net.flows(source, GROUP) == {"src", "r1-r2", "lan"}

Time goes from one deadline to the next, never past one, so what is due at 60 s happens at 60 s. A link can
lose, delay, duplicate and reorder packets; all chance comes from the seed. After every batch of events the
effects are applied to a fake kernel, which refuses misuse, and a second time, which must change nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from random import Random
from typing import Any

from datagrams import Channel, Datagram
from fake_routing import shortest_paths
from invariants import Checker
from node import Node, Port
from speakers import Host, Packet, Peer

from pimpy.config.model import Config
from pimpy.wire import pim
from pimpy.wire.family import Address, Family, format_address, parse_address
from pimpy.wire.record import define, evolve, field

START = 1000.0
"""When the world begins: no clock of a real host starts at zero."""
FOREVER = float("inf")
STORM = 20_000
"""So many events at one instant are no honest work."""

HOPS = 32
"""A unicast packet goes no further."""

Attached = Node | Host | Peer


@define
class Link:
    """What routers, hosts and scripted speakers are attached to: a LAN, or a point-to-point link."""

    net: Net
    name: str
    number: int
    cost: int = 1
    p2p: bool = False
    mtu: int = 1500
    delay: float = 0.0
    jitter: float = 0.0
    """Seconds that a packet may take longer, at random: so packets overtake each other."""
    loss: float = 0.0
    duplicate: float = 0.0
    up: bool = True
    ports: dict[str, Port] = field(factory=dict)
    """Of routers, by name."""
    hosts: list[Host] = field(factory=list)
    others: list[Peer] = field(factory=list)
    log: list[tuple[float, str, Packet]] = field(factory=list)
    """What was sent here: (time, name of the router or "", packet)."""

    def transmit(self, sender: Attached, packet: Packet) -> None:
        """Bring a packet to everybody else on the link."""
        if self.net.logging:
            self.log.append((self.net.now, sender.name if isinstance(sender, Node) else "", packet))
        if not self.up:
            return
        if not (self.loss or self.duplicate or self.jitter):
            self.net.later(self.delay, self._to_all, sender, packet)
            return
        for name, port in self.ports.items():
            if port.node is not sender:
                self._carry(self._to_router, name, packet)
        for other in (*self.hosts, *self.others):
            if other is not sender:
                self._carry(self._to_other, other, packet)

    def _to_all(self, sender: Attached, packet: Packet) -> None:
        """Everybody gets it at once: one event, where it would be fifty on a LAN with many hosts."""
        if self.up:
            for port in list(self.ports.values()):
                if port.node is not sender:
                    port.node.receive(port, packet)
            hosts = self.hosts if packet.is_query else ()  # nothing else is of interest to them
            for other in (*hosts, *self.others):
                if other is not sender:
                    other.receive(packet)

    def _carry(self, deliver: Callable[..., object], to: object, packet: Packet) -> None:
        """Deliver once, twice or not at all, now or later."""
        random = self.net.random
        if self.loss and random.random() < self.loss:
            return
        copies = 2 if self.duplicate and random.random() < self.duplicate else 1
        for _ in range(copies):
            delay = self.delay + (random.uniform(0, self.jitter) if self.jitter else 0.0)
            self.net.later(delay, deliver, to, packet)

    def _to_router(self, name: str, packet: Packet) -> None:
        port = self.ports.get(name)
        if port is not None and self.up:
            port.node.receive(port, packet)

    def _to_other(self, other: Host | Peer, packet: Packet) -> None:
        if self.up and (other in self.hosts or other in self.others):
            other.receive(packet)

    def spoken(self, sender: str) -> list[tuple[float, Packet, pim.Message]]:
        """(time, packet, message) of the PIM messages that a router sent here."""
        family = self.net.family
        return [
            (when, packet, packet.pim(family))
            for when, name, packet in self.log
            if name == sender and packet.protocol == "pim"
        ]

    def pim(self, sender: str, kind: type = object) -> list[tuple[float, Any]]:
        """(time, message) of those of one kind."""
        return [(when, message) for when, _, message in self.spoken(sender) if isinstance(message, kind)]

    def forget(self) -> None:
        """Begin the log anew."""
        self.log.clear()


class Net:
    """The whole world."""

    def __init__(self, family: Family, seed: int = 1) -> None:
        self.family = family
        self.random = Random(seed)
        self.now = START
        self.nodes: dict[str, Node] = {}
        self.links: dict[str, Link] = {}
        self.sources: dict[Address, str] = {}
        """The link of each source."""
        self.logging = True
        self.route_delay = 0.0
        """Seconds that a change of the topology takes to reach the routes, at most."""
        self.global_next_hops = False
        """Whether routes name global IPv6 next hops (N17)."""
        self.batches = True
        """Whether effects are drained once for all events of one instant, or after each event."""
        self.checker = Checker()
        self.sent = 0
        """The number of the last data packet."""
        self.seen: dict[tuple[str, int], list[int]] = {}
        """(link, number) of a data packet -> the TTL of each copy that was there."""
        self._queue: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._order = count()
        self._dirty: dict[str, Node] = {}
        self._moved: dict[Node, None] = {}
        """Routers whose next deadline may be another one."""
        self._due: list[tuple[float, str, Node]] = []
        """When routers want to be woken, a heap: (deadline, name, router). What is not so any more may be in it."""
        self._distances: dict[str, dict[str, tuple[str, str | None]]] = {}
        self._subnets: dict[bytes, str] = {}

    # Building.

    def router(self, name: str, config: Config | None = None, number: int | None = None) -> Node:
        """A router, not started yet. `number` is in its addresses and decides the DR."""
        number = len(self.nodes) + 1 if number is None else number
        node = Node(self, name, number, config or Config(), Random(self.random.getrandbits(32)))
        self.nodes[name] = node
        return node

    def link(self, name: str, *routers: str, **settings: Any) -> Link:
        """A link between routers (it may be none or one); hosts and speakers can be attached to it later."""
        link = Link(self, name, len(self.links) + 1, **settings)
        self.links[name] = link
        for router in routers:
            self.nodes[router].attach(link)
        return link

    def host(self, link: str, number: int = 100) -> Host:
        """A host on a link."""
        host = Host(self, self.links[link], self.link_local(link, number), Random(self.random.getrandbits(32)))
        self.links[link].hosts.append(host)
        return host

    def peer(self, link: str, number: int) -> Peer:
        """A scripted PIM speaker on a link."""
        peer = Peer(self, self.links[link], self.link_local(link, number))
        self.links[link].others.append(peer)
        return peer

    def source(self, link: str, number: int = 200) -> Address:
        """The address of a sender on a link."""
        address = self.address(link, number)
        self.sources[address] = link
        return address

    def address(self, link: str, number: int) -> Address:
        """A routable address on a link."""
        net = self.links[link].number
        text = f"10.0.{net}.{number}" if self.family.size == 4 else f"2001:db8:0:{net:x}::{number:x}"
        return parse_address(text)

    def link_local(self, link: str, number: int) -> Address:
        """The address that Hellos come from: in IPv6 a link-local one, the same on all links (N12)."""
        return self.address(link, number) if self.family.size == 4 else parse_address(f"fe80::{number:x}")

    @property
    def subnet_bits(self) -> int:
        """The length of the subnets of `address`."""
        return 24 if self.family.size == 4 else 64

    def addresses(self, link: str, number: int) -> tuple[tuple[Address, int], ...]:
        """What a router has on a link, each address with the length of its subnet: the one of its Hellos first."""
        routable = (self.address(link, number), self.subnet_bits)
        return (routable,) if self.family.size == 4 else ((self.link_local(link, number), 64), routable)

    def start(self) -> None:
        """Start all routers that are not started."""
        for node in self.nodes.values():
            if node.router is None:
                node.start()
        self._settle()

    # Time.

    def later(self, delay: float, action: Callable[..., object], *arguments: Any) -> None:
        """Call `action` in `delay` seconds."""
        heappush(self._queue, (self.now + delay, next(self._order), action, arguments))

    def run(self, seconds: float) -> None:
        """Let time pass, from deadline to deadline."""
        self.run_until(self.now + seconds)

    def run_until(self, end: float) -> None:
        """Let time pass until `end`; everything that is due at `end` has happened then."""
        self._settle()
        self._due = [(node.deadline(), node.name, node) for node in self.nodes.values()]
        heapify(self._due)
        self._moved.clear()
        while (when := min(self._queue[0][0] if self._queue else FOREVER, self._next_deadline())) <= end:
            self.now = max(self.now, when)
            while self._due and self._due[0][0] <= self.now:
                heappop(self._due)[2].advance()
            self._settle()
        self.now = end

    def _next_deadline(self) -> float:
        """When the first router wants to be woken."""
        for node in self._moved:
            heappush(self._due, (node.deadline(), node.name, node))
        self._moved.clear()
        while self._due and self._due[0][0] != self._due[0][2].deadline():
            heappop(self._due)
        return self._due[0][0] if self._due else FOREVER

    def _settle(self) -> None:
        """Let everything happen that is due now."""
        for _ in range(STORM):
            if self._queue and self._queue[0][0] <= self.now:
                _, _, action, arguments = heappop(self._queue)
                action(*arguments)
            elif self._dirty:
                name = next(iter(self._dirty))
                self._dirty.pop(name).drain()
            else:
                return
        raise AssertionError(f"a storm at {self.now}: {self._queue[:3]}")

    def touch(self, node: Node) -> None:
        """A router has effects to be drained, now or once the events of this instant are handled."""
        self._moved[node] = None
        if self.batches:
            self._dirty[node.name] = node
        else:
            node.drain()

    # Unicast routing.

    def hop(self, node: Node, link: str) -> tuple[str, str | None] | None:
        """How a router reaches a link: (first link, next router), None if not at all."""
        paths = self._distances.get(link)
        if paths is None:
            paths = self._distances[link] = shortest_paths(self.attached(), link)
        return paths.get(node.name)

    def attached(self) -> dict[str, dict[str, int]]:
        """router -> link -> cost of all that is up; a router whose daemon is dead routes unicast all the same."""
        return {
            name: {link: port.link.cost for link, port in node.ports.items() if port.running}
            for name, node in self.nodes.items()
        }

    def link_of(self, address: Address) -> str | None:
        """The link whose subnet an address is in."""
        if len(self._subnets) != len(self.links):
            self._subnets = {self._subnet(self.address(name, 1)): name for name in self.links}
        return self._subnets.get(self._subnet(address))

    def _subnet(self, address: Address) -> bytes:
        return address[:3] if self.family.size == 4 else address[:8]

    def topology_changed(self) -> None:
        """Links or ports came or went: routes follow, each router's in its own time."""
        self._distances.clear()
        for node in self.nodes.values():
            delay = self.random.uniform(0, self.route_delay) if self.route_delay else 0.0
            self.later(delay, node.routes_changed)

    # What befalls links and routers.

    def set_link(self, name: str, up: bool) -> None:
        """A link fails or comes back; all its ports see it."""
        self.links[name].up = up
        for port in self.links[name].ports.values():
            port.tell()
        self.topology_changed()

    def set_port(self, router: str, link: str, up: bool) -> None:
        """One router's port fails or comes back; the others on the link see nothing of it."""
        port = self.nodes[router].ports[link]
        port.up = up
        port.tell()
        self.topology_changed()

    def set_cost(self, link: str, cost: int) -> None:
        """A link becomes more or less attractive."""
        self.links[link].cost = cost
        self.topology_changed()

    # The data plane.

    def forwards(self, router: str, source: Address, group: Address) -> set[str]:
        """The links to which a router forwards what comes in where its entry wants it."""
        kernel = self.nodes[router].kernel
        iif, _ = kernel.mfc.get((source, group), (None, 0))
        return {self.nodes[router].link_at(device) for device in kernel.outgoing((source, group), iif)}

    def flows(self, source: Address, group: Address) -> set[str]:
        """The links on which a stream is present, followed through the kernels from the source's link."""
        start = self.sources[source]
        present = {start} if self.links[start].up else set()
        reached = list(present)
        while reached:
            link = reached.pop()
            for node in self.nodes.values():
                for onward in node.forwarded((source, group), link) - present:
                    present.add(onward)
                    reached.append(onward)
        return present

    def packet(self, source: Address, group: Address, ttl: int = 32) -> list[str]:
        """Send one data packet; the links it reaches at once, once for each copy. Kernels tell of what is new.

        All copies of it, those too that reach a link later, are found in `seen` by its number, `self.sent`.
        """
        start = self.sources[source]
        self.sent += 1
        datagram = Datagram(source, group, self.sent, ttl)
        return self.carry(datagram, [(start, None)] if self.links[start].up else [])

    def stream(self, source: Address, group: Address, seconds: float, interval: float = 0.1) -> range:
        """Send a packet each `interval` and let time pass; their numbers."""
        first, end = self.sent + 1, self.now + seconds
        while self.now < end - 1e-9:
            self.packet(source, group)
            self.run(interval)
        return range(first, self.sent + 1)

    def carry(self, datagram: Datagram, links: list[tuple[str, Node | None]]) -> list[str]:
        """A data packet is on links, each with the router that sent it there: the links that it reaches."""
        reached: list[str] = []
        for _ in range(datagram.ttl + 1):
            for link, _ in links:
                reached.append(link)
                self.seen.setdefault((link, datagram.number), []).append(datagram.ttl)
            links = [
                (onward, node)
                for link, sender in links
                for node in self.nodes.values()
                if node is not sender
                for onward in node.data(datagram, link)
            ]
            if not links:
                return reached
            datagram = datagram.hop()
        raise AssertionError(f"{describe(datagram.channel)} goes round in circles")

    def carry_on(self, node: Node, datagram: Datagram, vif: int) -> None:
        """A data packet comes in to a router by a vif that is no link."""
        self.carry(datagram.hop(), [(link, node) for link in node.arrive(datagram, vif)])

    def copies(self, link: str, number: int) -> int:
        """How often a data packet was on a link."""
        return len(self.seen.get((link, number), ()))

    # Unicast packets.

    def unicast(self, node: Node, packet: Packet) -> None:
        """Bring a packet of a router to the host it is addressed to, hop by hop; every link notes it."""
        self._unicast_hop(node, None, packet, node.name, HOPS)

    def _unicast_hop(self, node: Node, came_by: str | None, packet: Packet, origin: str, hops: int) -> None:
        if node.owns(packet.destination):
            node.receive_unicast(came_by or next(iter(node.ports)), packet)
            return
        route = node.route(packet.destination)
        if route.ifindex is None or not hops:
            return
        link = self.links[node.link_at(route.ifindex)]
        if self.logging:
            link.log.append((self.now, origin, packet))
        if not node.ports[link.name].running or (link.loss and self.random.random() < link.loss):
            return
        target = packet.destination if route.next_hop is None else route.next_hop
        if packet.ttl <= 1:
            return
        packet = evolve(packet, ttl=packet.ttl - 1)
        following = next((p.node for p in link.ports.values() if target in [a for a, _ in p.addresses]), None)
        if following is not None:
            self.later(link.delay, self._unicast_hop, following, link.name, packet, origin, hops - 1)


def describe(channel: Channel) -> str:
    """A channel in words."""
    return f"({format_address(channel[0])}, {format_address(channel[1])})"
