"""All proxies of one family: their interfaces come and go, and what members want is said upstream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pimpy.config.proxies import Proxy
from pimpy.core.engine.counters import Counters
from pimpy.core.engine.effects import Effect, JoinGroup, LeaveGroup, SendPacket
from pimpy.core.engine.events import PacketReceived
from pimpy.core.engine.timers import TimerHeap
from pimpy.core.forwarding import Forwarding
from pimpy.core.gmp.interface import Membership
from pimpy.core.gmp.settings import GmpSettings
from pimpy.core.interface import Interface
from pimpy.core.proxy.instance import Instance
from pimpy.core.proxy.merge import merged
from pimpy.core.proxy.ports import Port, Speaker
from pimpy.core.proxy.streams import Streams
from pimpy.wire.family import Address, Family

if TYPE_CHECKING:
    from random import Random

Changed = Callable[[Address, Address | None], None]
Bind = Callable[[Interface, Address, Changed], Membership]
"""Makes the router side of an interface: (interface, our address, who is told of changes)."""


class Proxies:
    """The proxies of one family. `bind` makes the router side of a downstream interface."""

    def __init__(
        self,
        family: Family,
        heap: TimerHeap,
        random: Random,
        forwarding: Forwarding,
        counters: Counters,
        emit: Callable[[Effect], None],
        bind: Bind,
    ) -> None:
        self.family = family
        self.heap = heap
        self.random = random
        self.forwarding = forwarding
        self.counters = counters
        self.emit = emit
        self.bind = bind
        self.instances: list[Instance] = []
        self.elsewhere: tuple[Proxy, ...] = ()
        """Those of other tables: another router serves them, and this one leaves their interfaces alone."""
        self.ports: dict[int, Port] = {}
        """The interfaces that take part, by ifindex."""
        self.streams = Streams(self)
        self.robustness = 2
        self._touched: dict[Address, None] = {}
        """Groups of which something else may be wanted."""

    # What the configuration says.

    def configure(self, said: tuple[Proxy, ...], robustness: int, interfaces: Mapping[int, Interface]) -> None:
        """Follow these from now on: a proxy that is said as before is not touched."""
        self.robustness = robustness
        ours = [proxy for proxy in said if self.family.name in proxy.families]
        self.elsewhere = tuple(proxy for proxy in ours if proxy.table is not None)
        wanted = [proxy for proxy in ours if proxy.table is None]
        known = {instance.said: instance for instance in self.instances}
        if [instance.said for instance in self.instances] == wanted:
            return
        self.instances = [known.get(proxy) or Instance(proxy) for proxy in wanted]
        for ifindex, port in list(self.ports.items()):
            self._place(port)
            if not port.users:
                self.stop(interfaces[ifindex], reachable=True)
            else:
                self._equip(port)
        self._everything_changed()

    def names(self, name: str) -> Proxy | None:
        """The first proxy that the interface `name` belongs to."""
        return next((one.said for one in self.instances if one.said.names(name)), None)

    def elsewhere_at(self, name: str) -> Proxy | None:
        """The proxy of another table that the interface `name` belongs to."""
        return next((proxy for proxy in self.elsewhere if proxy.names(name)), None) if self.elsewhere else None

    # Interfaces.

    def start(self, interface: Interface, address: Address) -> None:
        """An interface that belongs to a proxy is up and has a vif."""
        port = self.ports.get(interface.ifindex)
        if port is not None:
            self._follow(port, address)
            return
        port = self.ports[interface.ifindex] = Port(interface, address)
        self._place(port)
        self._equip(port)
        self._everything_changed()

    def reconfigure(self, interface: Interface, settings: GmpSettings) -> None:
        """The configuration says this of the membership protocol on an interface now."""
        port = self.ports.get(interface.ifindex)
        if port is not None and port.membership is not None:
            port.membership.reconfigure(settings)
        if port is not None and port.host is not None:
            port.host.robustness = settings.robustness

    def _follow(self, port: Port, address: Address) -> None:
        """The interface may have another name, address or MTU."""
        if port.host is not None:
            port.host.mtu = port.interface.link.mtu
        if port.address != address:
            port.address = address
            if port.membership is not None:
                port.membership.readdress(address)
        if port.placed_as != port.name:
            self._place(port)
            self._equip(port)
            self._everything_changed()

    def stop(self, interface: Interface, *, reachable: bool) -> None:
        """It is down, gone, or no proxy's any more."""
        port = self.ports.pop(interface.ifindex, None)
        if port is None:
            return
        port.users = []
        for instance in self.instances:
            instance.upstreams = [pair for pair in instance.upstreams if pair[0] is not port]
            instance.downstreams = [pair for pair in instance.downstreams if pair[0] is not port]
        self._take_from(port, reachable=reachable)
        self._everything_changed()

    def _place(self, port: Port) -> None:
        """Find out which proxies an interface belongs to, and as what."""
        port.users, port.placed_as = [], port.name
        for instance in self.instances:
            said = instance.said
            instance.upstreams = [pair for pair in instance.upstreams if pair[0] is not port]
            instance.downstreams = [pair for pair in instance.downstreams if pair[0] is not port]
            order = [upstream.name for upstream in said.upstreams]
            if said.is_upstream(port.name):
                instance.upstreams.append((port, said.upstreams[order.index(port.name)]))
                instance.upstreams.sort(key=lambda pair: order.index(pair[1].name))
            if (downstream := said.downstream(port.name)) is not None:
                instance.downstreams.append((port, downstream))
            if said.names(port.name):
                port.users.append(instance)

    def _equip(self, port: Port) -> None:
        """Give an interface the host's side, the router's, or both."""
        up = any(pair[0] is port for one in self.instances for pair in one.upstreams)
        down = any(pair[0] is port for one in self.instances for pair in one.downstreams)
        ifindex = port.interface.ifindex
        if down and port.membership is None:
            for group in (self.family.all_reports, self.family.all_routers):
                self.emit(JoinGroup(ifindex, group))
            port.membership = self.bind(port.interface, port.address, self._changed)
            port.membership.start(port.address)
            port.was_querier = port.membership.link.is_querier
        if up and port.host is None:
            port.host = self._host(port)
        if not down and port.membership is not None:
            self._stop_router_side(port, reachable=True)
        if not up and port.host is not None:
            self._stop_host_side(port, reachable=True)

    def _take_from(self, port: Port, *, reachable: bool) -> None:
        if port.membership is not None:
            self._stop_router_side(port, reachable=reachable)
        if port.host is not None:
            self._stop_host_side(port, reachable=reachable)

    def _stop_router_side(self, port: Port, *, reachable: bool) -> None:
        assert port.membership is not None
        membership, port.membership = port.membership, None
        membership.stop(reachable=reachable)  # which tells of every group that goes
        for group in (self.family.all_reports, self.family.all_routers):
            self.emit(LeaveGroup(port.interface.ifindex, group))

    def _stop_host_side(self, port: Port, *, reachable: bool) -> None:
        """Leave everything, if the link still takes packets."""
        assert port.host is not None
        host, port.host = port.host, None
        if reachable:
            for group in list(host.groups):
                host.listen(group, False)
        host.flush()
        host.stop()

    def _host(self, port: Port) -> Speaker:
        name, ifindex = port.name, port.interface.ifindex

        def send(destination: Address, data: bytes) -> None:
            self.emit(SendPacket(self.family.gmp, ifindex, port.address, destination, data))
            self.counters.add(name, self.family.gmp, "tx", "report")

        def count(kind: str, reason: str) -> None:
            self.counters.add(name, self.family.gmp, "rx", kind, reason)

        return Speaker(self.family, self.heap, self.random, send, count, self.robustness, port.interface.link.mtu)

    # What members want.

    def _changed(self, group: Address, source: Address | None) -> None:
        self._touched[group] = None

    def _everything_changed(self) -> None:
        """Upstreams are chosen anew, and say all that is wanted (conformance X7)."""
        for port in self.ports.values():
            if port.membership is not None:
                self._touched.update(dict.fromkeys(port.membership.link.groups))
            if port.host is not None:
                self._touched.update(dict.fromkeys(port.host.groups))
        self.streams.refresh_all()

    def settle(self) -> None:
        """Say upstream what changed, and let the entries follow."""
        for port in self.ports.values():
            if port.membership is not None and port.membership.link.is_querier != port.was_querier:
                port.was_querier = port.membership.link.is_querier
                self.streams.refresh_all()
        touched, self._touched = self._touched, {}
        hosts = [(port, port.host) for port in self.ports.values() if port.host is not None]
        for group in touched:
            for port, host in hosts:
                state = merged(one.wish(port, group) for one in port.users if one.said.is_upstream(port.name))
                host.listen(group, state.excludes, tuple(state.sources))
            self.streams.refresh(group)

    def flush(self) -> None:
        """Send what came together in a batch of events, in as few reports as hold it."""
        for port in self.ports.values():
            if port.host is not None:
                port.host.flush()

    def concerns(self, source: Address | None, group: Address) -> bool:
        """Whether a stream has an entry here, or some member said something of its group."""
        if source is not None and source + group in self.streams.by_key:
            return True
        found = (port.membership for port in self.ports.values())
        return any(one is not None and group in one.link.groups for one in found)

    # What comes in.

    def receive(self, packet: PacketReceived) -> bool:
        """A message of the membership protocol; whether the interface is one of ours."""
        port = self.ports.get(packet.ifindex)
        if port is None or packet.protocol != self.family.gmp:
            return False
        if any(packet.source == own for own, _ in port.interface.addresses):
            return True
        said = (packet.source, packet.destination, packet.ttl, packet.router_alert, packet.data)
        if port.host is not None:
            port.host.receive(*said)
        if port.membership is not None:
            port.membership.receive(*said)
        return True

    def port(self, vif: int) -> Port | None:
        """The interface behind a vif, if it is one of ours."""
        return next((port for port in self.ports.values() if port.interface.vif == vif), None)

    def no_cache(self, vif: int, source: Address, group: Address) -> bool:
        """The kernel asks for a stream; whether some proxy takes it."""
        port = self.port(vif) if self.ports else None
        if port is None or not self.family.is_unicast(source):
            return False
        return self.streams.no_cache(port, source, group)

    def wrong_vif(self, vif: int, source: Address, group: Address) -> bool:
        """A stream came in by another interface than its entry's; whether the entry is ours."""
        return bool(self.streams.by_key) and self.streams.wrong_vif(self.port(vif), source, group)
