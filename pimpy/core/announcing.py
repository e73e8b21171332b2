"""Multicast Router Discovery (RFC 4286) where only static routes are: smcroute's `phyint IF mrdisc`.

An interface with PIM or a proxy's members advertises by its membership machine. One that has a vif only because a
static route names it has none: it is advertised here, with a query interval and robustness of 0, as no querier runs
(RFC 4286 3.2.4, 3.2.5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pimpy.core.engine.effects import JoinGroup, LeaveGroup, SendPacket
from pimpy.core.gmp.link import TRAITS
from pimpy.core.gmp.mrdisc import Advertiser
from pimpy.core.interface import Interface
from pimpy.wire.family import Address
from pimpy.wire.membership import Solicitation
from pimpy.wire.reader import Malformed

if TYPE_CHECKING:
    from pimpy.core.engine.events import PacketReceived
    from pimpy.core.router import Router


class Announcements:
    """The advertisers of one router."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.advertisers: dict[int, Advertiser] = {}
        """By ifindex."""

    def follow(self, interface: Interface) -> None:
        """An interface, its vif or what the configuration says of it may have changed."""
        running = self.advertisers.get(interface.ifindex)
        if not self._is_wanted(interface):
            self.stop(interface, reachable=interface.link.running)
        elif running is None:
            self._start(interface)
        else:
            running.interval = float(self.router.config.mrdisc_interval)

    def _is_wanted(self, interface: Interface) -> bool:
        can = interface.vif is not None and interface.link.running and interface.address() is not None
        return interface.phyint.mrdisc and can and not self._has_membership(interface)

    def _has_membership(self, interface: Interface) -> bool:
        """Whether a membership machine runs there, PIM's or a proxy's, which advertises by itself."""
        port = self.router.proxies.ports.get(interface.ifindex)
        return interface.ifindex in self.router.memberships or (port is not None and port.membership is not None)

    def _start(self, interface: Interface) -> None:
        router = self.router

        def send(destination: Address, data: bytes) -> None:
            source = interface.address()
            if source is not None:
                router.emit(SendPacket(router.family.gmp, interface.ifindex, source, destination, data))
                name = TRAITS[router.family].codec.sent_name(data)
                router.counters.add(interface.name, router.family.gmp, "tx", name)

        interval = float(router.config.mrdisc_interval)
        made = Advertiser(router.heap, router.pim.random, TRAITS[router.family], send, interval)
        self.advertisers[interface.ifindex] = made
        router.emit(JoinGroup(interface.ifindex, router.family.all_routers))
        made.start()

    def stop(self, interface: Interface, *, reachable: bool) -> None:
        """The last word on the link, if it still takes packets, is that the router is no more."""
        advertiser = self.advertisers.pop(interface.ifindex, None)
        if advertiser is None:
            return
        advertiser.stop(reachable=reachable)
        if not self._has_membership(interface):
            self.router.emit(LeaveGroup(interface.ifindex, self.router.family.all_routers))

    def receive(self, packet: PacketReceived) -> bool:
        """A message of the membership protocol; whether the interface is advertised here and it was a solicitation."""
        advertiser = self.advertisers.get(packet.ifindex)
        if advertiser is None or packet.protocol != self.router.family.gmp:
            return False
        try:
            message = TRAITS[self.router.family].codec.decode(packet.data)
        except Malformed:
            return False
        if not isinstance(message, Solicitation) or packet.ttl != 1:
            return False
        self.router.counters.add(self.router.interfaces[packet.ifindex].name, packet.protocol, "rx", "mrd_solicitation")
        advertiser.solicited()
        return True
