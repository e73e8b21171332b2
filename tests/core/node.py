"""A router of the fake network: the real `Router`, its fake kernel, its ports and what they tell it."""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING, Any

from datagrams import Channel, Datagram, datagram_of
from fake_kernel import REGISTER_DEVICE, FakeKernel, Upcall
from speakers import Packet

from pimpy.config.model import Config
from pimpy.core.engine.effects import (
    Effect,
    ForgetRpf,
    ForwardPacket,
    HearRegister,
    Notice,
    QuietRegister,
    ReadCounters,
    ReadTable,
    ResolveRpf,
    SendPacket,
    SetMfc,
)
from pimpy.core.engine.events import (
    AddressesChanged,
    Configured,
    Event,
    LinkChanged,
    LinkGone,
    NoCache,
    PacketReceived,
    RouteResolved,
    Shutdown,
    TableFound,
    WholePacket,
    WrongVif,
)
from pimpy.core.router import Router
from pimpy.kernel.quiet import QuietRegisters
from pimpy.wire import pim
from pimpy.wire.family import Address
from pimpy.wire.ip import decrement_ttl
from pimpy.wire.record import define, evolve, field, frozen
from pimpy.wire.value import Value

if TYPE_CHECKING:
    from network import Link, Net

LOOPBACK = 1
PIM = 103
"""The IP protocol number, by which the extension tells a PIM message."""


@define
class Port:
    """A router's interface to a link."""

    node: Node
    link: Link
    ifindex: int
    addresses: tuple[tuple[Address, int], ...]
    up: bool = True
    multicast: bool = True

    @property
    def running(self) -> bool:
        """Whether packets can pass."""
        return self.up and self.link.up

    @property
    def address(self) -> Address:
        """The one that Hellos should come from."""
        return self.addresses[0][0]

    def link_changed(self) -> LinkChanged:
        """The facts of the interface, as the kernel tells them."""
        link = self.link
        return LinkChanged(self.ifindex, link.name, self.running, self.multicast, False, link.p2p, link.mtu)

    def tell(self) -> None:
        """Tell the router how the interface is now."""
        self.node.handle(self.link_changed())

    def readdress(self, *addresses: tuple[Address, int]) -> None:
        """Have other addresses."""
        self.addresses = addresses
        self.node.handle(AddressesChanged(self.ifindex, addresses))


@frozen
class StaticRoute(Value):
    """A route that a test lays down: by which link, and over which next hop."""

    link: str | None
    next_hop: Address | None = None


@define
class Node:
    """One router. `router` is None while its daemon does not run; the host underneath routes unicast all the same."""

    net: Net
    name: str
    number: int
    config: Config
    random: Random
    ports: dict[str, Port] = field(factory=dict)
    """By link."""
    router: Router | None = None
    kernel: FakeKernel = field(init=False)
    quiet: QuietRegisters = field(init=False)
    """What the daemon's adapter only counts."""
    notices: list[Notice] = field(factory=list)
    statics: dict[Address, StaticRoute] = field(factory=dict)
    loopback: list[Address] = field(factory=list)
    """Addresses of the loopback interface; who is to reach them needs a static route."""
    waiting: list[Event] | None = None
    """What the sockets of a daemon that died have received; None if nobody keeps them."""
    told: dict[Address, RouteResolved | None] = field(factory=dict)
    """The addresses whose routes the router wants to hear of, and what it was told last."""
    done: int = 0
    """Effects that were carried out: neither packets nor questions."""
    _next_ifindex: int = 2
    _link_at: dict[int, str] = field(factory=dict)

    def __post_init__(self) -> None:
        self._new_kernel()
        self._new_adapter()

    def _new_adapter(self) -> None:
        self.quiet = QuietRegisters(self.net.family, lambda: self.net.now)

    def _new_kernel(self) -> None:
        self.kernel = FakeKernel(self.net.family, {port.ifindex for port in self.ports.values()})

    # Interfaces.

    def attach(self, link: Link) -> Port:
        """A port on a link, with the addresses that go with the router's number."""
        port = Port(self, link, self._next_ifindex, self.net.addresses(link.name, self.number))
        self._next_ifindex += 1
        self._link_at[port.ifindex] = link.name
        self.ports[link.name] = link.ports[self.name] = port
        assert isinstance(self.kernel.devices, set)
        self.kernel.devices.add(port.ifindex)
        if self.router is not None:
            self._introduce(port)
        return port

    def detach(self, link: str) -> None:
        """The interface is no more."""
        port = self.ports.pop(link)
        del self._link_at[port.ifindex]
        del port.link.ports[self.name]
        assert isinstance(self.kernel.devices, set)
        self.kernel.devices.discard(port.ifindex)
        self.kernel.device_gone(port.ifindex)
        if self.router is not None:
            self.handle(LinkGone(port.ifindex))

    def address(self, link: str) -> Address:
        """Where our Hellos on a link should come from."""
        return self.ports[link].address

    def link_at(self, ifindex: int) -> str:
        """The name of the link behind an interface."""
        return self._link_at.get(ifindex, f"gone-{ifindex}")

    def vif(self, link: str) -> int | None:
        """The kernel's vif of a port."""
        return self.kernel.vif_of(self.ports[link].ifindex)

    # The life of the daemon.

    def start(self) -> None:
        """A new daemon, on an empty kernel table."""
        self._new_kernel()
        self.told = {}
        self._new_adapter()
        self.router = Router(self.net.family, Random(self.random.getrandbits(32)))
        self.net.checker.begins(self)
        self.handle(Configured(self.config))
        self.handle(LinkChanged(LOOPBACK, "lo", True, True, True, False, 65536))
        self.handle(AddressesChanged(LOOPBACK, tuple((address, self.net.family.bits) for address in self.loopback)))
        for port in self.ports.values():
            self._introduce(port)

    def _introduce(self, port: Port) -> None:
        self.handle(port.link_changed())
        self.handle(AddressesChanged(port.ifindex, port.addresses))

    def crash(self) -> None:
        """The daemon dies without a word, and the kernel's table goes with it."""
        self.router = None
        self.net.touch(self)
        self._new_kernel()

    def die(self) -> None:
        """The daemon dies without a word; its sockets are kept, and with them the table, and what they receive."""
        self.router = None
        self.net.touch(self)
        self.waiting = []
        self.kernel.registers.clear()  # the extension's, and with it the process's

    def resume(self) -> None:
        """A new daemon takes over the table, and then what has waited in the sockets."""
        kernel = self.kernel
        self.told = {}
        self.router = router = Router(self.net.family, Random(self.random.getrandbits(32)))
        self.net.checker.begins(self)
        vifs = tuple((vif, device) for vif, (device, _) in kernel.vifs.items() if device > 0)
        tunnel = kernel.vif_of(REGISTER_DEVICE) is not None
        entries = [(*key, iif, oifs) for key, (iif, oifs) in kernel.mfc.items()]
        there = sum(1 << vif for vif in kernel.vifs)
        found = [(s, g, iif if there >> iif & 1 else None, oifs & there) for s, g, iif, oifs in entries]
        now = self.net.now
        router.handle(Configured(self.config), now)
        router.handle(TableFound(vifs, tunnel, tuple(found)), now)
        router.handle(LinkChanged(LOOPBACK, "lo", True, True, True, False, 65536), now)
        for port in self.ports.values():
            router.handle(port.link_changed(), now)
            router.handle(AddressesChanged(port.ifindex, port.addresses), now)
        self.net.touch(self)
        waiting, self.waiting = self.waiting or [], None
        for event in waiting:
            self.net.later(0.001, self._take if isinstance(event, WholePacket) else self.handle, event)

    def shutdown(self) -> None:
        """The daemon ends in good order; what is left in the kernel stays to be looked at."""
        self.handle(Shutdown())
        self.drain()
        self.router = None

    def configure(self, **changes: Any) -> None:
        """Follow another configuration."""
        self.config = evolve(self.config, **changes)
        self.handle(Configured(self.config))

    # Events and effects.

    def handle(self, event: Event) -> None:
        """Let an event happen to the daemon, if it runs."""
        if self.router is not None:
            self.router.handle(event, self.net.now)
            self.net.touch(self)
        elif self.waiting is not None and isinstance(event, (PacketReceived, NoCache, WrongVif, WholePacket)):
            self.waiting.append(event)

    def receive(self, port: Port, packet: Packet) -> None:
        """A packet from the link, if the kernel listens to its destination."""
        if (self.router is None and self.waiting is None) or not port.running:
            return
        wanted = not self.net.family.is_multicast(packet.destination) or packet.destination == self.net.family.all_hosts
        if wanted or (port.ifindex, packet.destination) in self.kernel.joined or packet.protocol != "pim":
            where = port.ifindex, packet.source, packet.destination, packet.ttl, packet.router_alert
            if packet.protocol == "pim" and self.waiting is None:
                _, repeated = self.quiet.sift([(PIM, *where, packet.data)])
                if repeated:
                    self.handle(repeated[0])
                    return
            self.handle(PacketReceived(packet.protocol, *where, packet.data))

    def deadline(self) -> float:
        """When the daemon wants to be woken; never if it does not run."""
        when = None if self.router is None else self.router.next_deadline()
        return math.inf if when is None else when

    def advance(self) -> None:
        """Wake the daemon if it is time."""
        if self.router is not None and self.deadline() <= self.net.now:
            self.router.advance(self.net.now)
            self.net.touch(self)

    def drain(self) -> None:
        """Apply the daemon's effects, and once more to see that it changes nothing."""
        if self.router is None:
            return
        effects = self.router.drain()
        if effects:
            self._carry_out(effects)
        while self.router.unsettled:
            further = self.router.drain()
            self._carry_out(further)
            effects += further
        if any(isinstance(effect, ReadTable) for effect in effects):
            self.handle(self.kernel.contents_read())  # what is put right is looked at then
        else:
            self.net.checker.check(self)

    def _carry_out(self, effects: list[Effect]) -> None:
        assert self.router is not None
        for effect in effects:
            self._apply(effect)
        lasting = [effect for effect in effects if not isinstance(effect, (SendPacket, ReadCounters, ReadTable))]
        if lasting:
            self.done += len(lasting)
            before = self.kernel.contents()
            for effect in lasting:
                self.kernel.apply(effect, strict=False)
            assert self.kernel.contents() == before, f"{self.name}: twice is not once: {effects}"

    def _apply(self, effect: Effect) -> None:
        match effect:
            case SendPacket():
                self._send(effect)
            case ResolveRpf(address):
                self.told.setdefault(address, None)
                self.net.later(0.0, self._tell_route, address)
            case ForgetRpf(address):
                self.told.pop(address, None)
            case Notice():
                self.notices.append(effect)
            case ForwardPacket(oifs, packet):
                self._forward_packet(oifs, datagram_of(self.net.family, packet))
            case ReadCounters():
                self.net.later(0.0, self._tell_counters)
            case ReadTable():
                pass  # answered when all effects are applied
            case QuietRegister():
                self.quiet.set(effect)
            case HearRegister(source, group):
                self.quiet.delete(source, group)
            case SetMfc():
                for vif, datagram in self.kernel.apply(effect):
                    self.net.later(0.0, self._release, datagram, vif)
            case _:
                self.kernel.apply(effect)

    def _tell_counters(self) -> None:
        self.handle(self.kernel.counters())

    def _release(self, datagram: Datagram, vif: int) -> None:
        """A held packet goes on, if the entry that was made has the interface it came in by."""
        if datagram.channel in self.kernel.mfc:
            for upcall in self.kernel.for_tunnel(datagram, vif):
                self._take(upcall)
        self.net.carry(datagram.hop(), [(link, self) for link in self._outgoing(datagram, vif)])

    def _forward_packet(self, oifs: int, datagram: Datagram) -> None:
        """The daemon itself sends a packet on."""
        for vif, (device, _) in self.kernel.vifs.items():
            if oifs >> vif & 1:
                assert device > 0, "sent into the tunnel"
                self.net.later(0.0, self.net.carry, datagram.hop(), [(self.link_at(device), self)])

    def _send(self, effect: SendPacket) -> None:
        self.net.checker.sent(self, effect)
        if not self.net.family.is_multicast(effect.destination):
            self.net.unicast(
                self, Packet(effect.protocol, effect.source, effect.destination, effect.data, effect.ttl or 64)
            )
            return
        link = self.link_at(effect.ifindex)
        if link in self.ports and self.ports[link].running:
            packet = Packet(effect.protocol, effect.source, effect.destination, effect.data)
            self.ports[link].link.transmit(self, packet)

    def owns(self, address: Address) -> bool:
        """Whether a unicast packet to `address` is for this host."""
        return address in self.loopback or any(
            address == own for port in self.ports.values() for own, _ in port.addresses
        )

    def receive_unicast(self, link: str, packet: Packet) -> None:
        """A PIM message to this host; what is in a Register comes in again by the register tunnel."""
        port = self.ports.get(link)
        if port is None or not port.running or (self.router is None and self.waiting is None):
            return
        self.receive(port, packet)
        tunnel = self.kernel.vif_of(REGISTER_DEVICE)
        message = packet.pim(self.net.family)
        if isinstance(message, pim.Register) and not message.null and tunnel is not None:
            self.net.carry_on(self, datagram_of(self.net.family, message.packet), tunnel)

    def reasons(self) -> list[str]:
        """The reason words of all notices."""
        return [notice.reason for notice in self.notices]

    # Routes.

    def static_route(self, address: Address, link: str | None, next_hop: Address | None = None) -> None:
        """Lay down how an address is reached; link None: not at all."""
        self.statics[address] = StaticRoute(link, next_hop)
        self._tell_route(address)

    def routes_changed(self) -> None:
        """Tell the daemon of every route that is another one now."""
        for address in list(self.told):
            self._tell_route(address)

    def _tell_route(self, address: Address) -> None:
        if self.router is None or address not in self.told:
            return
        route = self.route(address)
        if route != self.told[address]:
            self.told[address] = route
            self.handle(route)

    def route(self, address: Address) -> RouteResolved:
        """What the kernel answers for an address."""
        static = self.statics.get(address)
        if static is not None:
            ifindex = None if static.link is None else self.ports[static.link].ifindex
            return RouteResolved(address, ifindex, static.next_hop)
        if self.owns(address):
            return RouteResolved(address, LOOPBACK, None, local=True)
        target = self.net.link_of(address)
        hop = None if target is None else self.net.hop(self, target)
        if hop is None:
            return RouteResolved(address, None, None)
        link, via = hop
        return RouteResolved(address, self.ports[link].ifindex, None if via is None else self._next_hop(link, via))

    def _next_hop(self, link: str, via: str) -> Address:
        addresses = self.net.links[link].ports[via].addresses
        return addresses[-1 if self.net.global_next_hops else 0][0]

    # Data.

    def forwarded(self, channel: Channel, link: str) -> set[str]:
        """Where a packet of `channel` goes that comes in from `link`."""
        port = self.ports.get(link)
        if port is None or not port.running:
            return set()
        devices = self.kernel.outgoing(channel, self.kernel.vif_of(port.ifindex))
        return {self.link_at(device) for device in devices if self._can_send(device)}

    def data(self, datagram: Datagram, link: str) -> list[str]:
        """A data packet comes in from `link`: where it goes; the daemon hears what the kernel tells of it."""
        port = self.ports.get(link)
        vif = None if port is None else self.kernel.vif_of(port.ifindex)
        if port is None or vif is None or not port.running:
            return []
        return self.arrive(datagram, vif)

    def arrive(self, datagram: Datagram, vif: int) -> list[str]:
        """A data packet comes in by a vif."""
        out = self._outgoing(datagram, vif)
        for upcall in self.kernel.packet(datagram, vif, self.net.now):
            self._take(upcall)
        return out

    def _take(self, upcall: Upcall) -> None:
        """As the extension does: what the register table knows leaves as a Register, all else is told to the daemon."""
        entry = self.kernel.registers.get((upcall.source, upcall.group))
        if not isinstance(upcall, WholePacket) or upcall.wrong_vif or entry is None or self.router is None:
            self.handle(upcall)
            return
        inner = decrement_ttl(self.net.family, upcall.packet)
        if inner is not None and not entry.stopped:
            for rp in (entry.rp, *entry.others):
                data = pim.encode(self.net.family, entry.address, rp, pim.Register(False, False, inner))
                self.net.unicast(self, Packet("pim", entry.address, rp, data, 64))

    def _outgoing(self, datagram: Datagram, vif: int) -> list[str]:
        if datagram.ttl <= 1:
            return []
        return [self.link_at(d) for d in self.kernel.outgoing(datagram.channel, vif) if self._can_send(d)]

    def _can_send(self, ifindex: int) -> bool:
        port = self.ports.get(self.link_at(ifindex))
        return port is not None and port.running
