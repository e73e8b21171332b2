"""The whole public face of the core: one `Router` for each address family and table.

It alone sees all rooms: events are handed to the machines they concern, what PIM and the membership
protocols want is joined, and what has to be done piles up as effects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from pimpy.config.model import Config
from pimpy.core import adoption, drift, gmp_interfaces, lifecycle, members, upcalls
from pimpy.core.announcing import Announcements
from pimpy.core.engine import events
from pimpy.core.engine.counters import Counters
from pimpy.core.engine.effects import DelVif, Effect, Notice
from pimpy.core.engine.timers import Timer, TimerHeap
from pimpy.core.forwarding import Forwarding
from pimpy.core.gmp import Membership, Totals
from pimpy.core.gmp.bridge import Bridge
from pimpy.core.interface import REGISTER_VIF, Interface, VifTable
from pimpy.core.pim import joinprune, receipt, trees, unreachable
from pimpy.core.pim.anycast import Anycast
from pimpy.core.pim.bootstrap import BootstrapRouting
from pimpy.core.pim.candidate_rp import CandidateRp
from pimpy.core.pim.instance import Pim
from pimpy.core.pim.neighbor import PimInterface
from pimpy.core.pim.repeats import Repeats
from pimpy.core.proxy import Proxies
from pimpy.core.rpf import Rpf
from pimpy.core.ssm import SsmRanges
from pimpy.core.static import StaticRoutes
from pimpy.core.traffic import Traffic
from pimpy.core.watches import Watches
from pimpy.wire.family import Address, Family, format_address

if TYPE_CHECKING:
    from random import Random

    from pimpy.core.rows import Row


class Router:
    """A multicast router of one family, as a function of (state, event, now).

    `now` is always an argument: seconds of a clock that never goes back. `random` makes every random choice.
    """

    def __init__(self, family: Family, random: Random) -> None:
        self.family = family
        self.heap = TimerHeap()
        self.counters = Counters()
        self.config = Config()
        self.interfaces: dict[int, Interface] = {}
        """All interfaces of the host, by ifindex."""
        self.memberships: dict[int, Membership] = {}
        """IGMP or MLD on the interfaces that take part, by ifindex."""
        self.gmp_totals = Totals()
        self.bridges: dict[int, Bridge] = {}
        """The snooping bridges below interfaces, by ifindex."""
        self.vifs = VifTable()
        self.traffic: dict[tuple[Address, Address], Traffic] = {}
        """What the kernel counts by (source, group), lent by whoever asks for rows."""
        self.registered: dict[tuple[Address, Address], tuple[int, int]] = {}
        """(packets, bytes) that left in Registers, lent likewise."""
        self.waiting: dict[int, Interface] = {}
        """Interfaces that wait for a vif to become free."""
        self._vifs_released = Timer(self.heap, self, _let_waiting_in)
        self._effects: list[Effect] = []
        self.forwarding = Forwarding(self.heap, self.emit)
        self.adoption: adoption.Adoption | None = None
        """What is still held of an earlier run's entries; None if nothing is."""
        self.health = drift.Health()
        self.drift_timer = Timer(self.heap, self, drift.look)
        self.static = StaticRoutes(family, self.heap, self.forwarding, self.interfaces, self.counters, self.emit)
        bind = partial(gmp_interfaces.of_proxy, self)
        self.proxies = Proxies(family, self.heap, random, self.forwarding, self.counters, self.emit, bind)
        self.announcements = Announcements(self)
        self.watches = Watches(self)
        self.rpf = Rpf(self.emit)
        self.ssm = SsmRanges(family, family.ssm_ranges)
        self.pim = Pim(family, self.heap, random, self.rpf, self.counters, self.emit, self.ssm, self.forwarding)
        self.pim.outbox = joinprune.Outbox(self.pim)
        self.pim.excludes = partial(members.excluding, self)
        self.pim.rp_set.changed = partial(trees.remap, self.pim)
        self.pim.look_for_members = partial(members.look_for, self)
        self.pim.neighbors_changed = self.watches.neighbors_changed
        self.pim.anycast = Anycast(self.pim)
        self.pim.repeats = Repeats(self.pim)
        self.pim.bootstrap = BootstrapRouting(self.pim)
        self.pim.candidate_rp = CandidateRp(self.pim, self.pim.bootstrap)
        self.pim.bootstrap.new_bsr = self.pim.candidate_rp.new_bsr
        self.pim.bootstrap.zone_gone = self.pim.candidate_rp.zone_gone

    def handle(self, event: events.Event, now: float) -> None:
        """Let `event` happen at `now`. Never raises for anything that came from outside."""
        self.heap.now = max(self.heap.now, now)
        _HANDLERS[type(event)](self, event)
        self.settle()

    def next_deadline(self) -> float | None:
        """When `advance` is to be called at the latest, None for never."""
        return self.heap.next_deadline()

    def advance(self, now: float) -> None:
        """Let all timers fire that are due at `now`."""
        while self.heap.fire_next(now):
            self.settle()

    @property
    def unsettled(self) -> bool:
        """Whether more follows from the events so far than was worked out yet: then `drain` is to be called again."""
        return self.pim.touched.queued > 0

    def drain(self) -> list[Effect]:
        """What has to be done, in order, since the last call. Call it after each batch of events until all is settled.

        A part of what queues is settled each time, so that its Joins leave before the next part is worked out.
        """
        if self.unsettled:
            self.settle()
        if self.proxies.ports:
            self.proxies.flush()
        self.forwarding.flush()
        self.pim.outbox.flush(more=self.unsettled)
        if self.vifs.resting and not self.unsettled:  # what queues may name one of them
            for vif in self.vifs.release():
                self.emit(DelVif(vif))
            if self.waiting:
                self._vifs_released.at(self.heap.now)
        effects, self._effects = self._effects, []
        return effects

    def rows(self, kind: str) -> Iterator[Row]:
        """The rows of one kind (`views.KINDS`); KeyError for a kind that is not."""
        from pimpy.core import views  # no router needs them until somebody asks

        return views.KINDS[kind](self)

    def emit(self, effect: Effect) -> None:
        """Have something done."""
        self._effects.append(effect)

    def notice(self, level: str, reason: str, text: str) -> None:
        """Tell the operator."""
        self._effects.append(Notice(level, reason, text))

    def settle(self) -> None:
        """Work out what follows from what was touched."""
        self.pim.touched.settle(trees.settle)
        if self.proxies.ports:
            self.proxies.settle()


def _let_waiting_in(router: Router) -> None:
    for interface in list(router.waiting.values()):
        lifecycle.reconsider(router, interface)


def _configured(router: Router, event: events.Configured) -> None:
    lifecycle.configure(router, event.config)


def _static_edited(router: Router, event: events.StaticEdited) -> None:
    router.static.edit(event.change, add=event.add)
    lifecycle.vifs_wanted(router)


def _flush_idle(router: Router, _: events.FlushIdle) -> None:
    router.static.flush()


def _link_changed(router: Router, event: events.LinkChanged) -> None:
    lifecycle.link_changed(router, event)
    router.watches.neighbors_changed()


def _link_gone(router: Router, event: events.LinkGone) -> None:
    lifecycle.link_gone(router, event.ifindex)


def _addresses_changed(router: Router, event: events.AddressesChanged) -> None:
    lifecycle.addresses_changed(router, event)
    router.watches.neighbors_changed()


def _stands_in(router: Router, destination: Address) -> PimInterface | None:
    """Where a Register or a Register-Stop counts that came in by an interface on which no multicast is routed.

    Both are addressed to us and routed as any unicast packet, by whatever way; RFC 7761 4.4 asks of neither by which
    interface it came, and a DR that were not answered would go on for ever. A passive interface is another thing: it
    has hosts only, who have no Registers to send (RFC 5294 3.2.1).
    """
    active = [interface for interface in router.pim.interfaces.values() if not interface.passive]
    return next((interface for interface in active if interface.owns(destination)), next(iter(active), None))


_REGISTERS = (b"\x21", b"\x22")
"""The first byte of a Register and of a Register-Stop: version and type (RFC 7761 4.9)."""


def _packet_received(router: Router, packet: events.PacketReceived) -> None:
    if router.proxies.ports and router.proxies.receive(packet):
        return
    pim_interface = router.pim.interfaces.get(packet.ifindex)
    if pim_interface is None and packet.protocol == "pim" and packet.data[:1] in _REGISTERS:
        pim_interface = _stands_in(router, packet.destination) if router.pim.is_mine(packet.destination) else None
    if pim_interface is None and router.announcements.receive(packet):
        return
    if pim_interface is None or (packet.protocol == "pim" and pim_interface.passive):
        known = router.interfaces.get(packet.ifindex)
        if known is not None and router.proxies.elsewhere_at(known.name) is not None:
            return  # every table hears it; the router of that one takes it
        name = known.name if known is not None else "-"
        router.counters.add(name, packet.protocol, "rx", "any", "if_not_enabled")
    elif packet.protocol == "pim":
        receipt.receive(pim_interface, packet)
    elif packet.protocol == router.family.gmp:
        membership = router.memberships[packet.ifindex]
        if not membership.is_our_query(packet.source, packet.data):
            membership.receive(packet.source, packet.destination, packet.ttl, packet.router_alert, packet.data)


def _registers_repeated(router: Router, event: events.RegistersRepeated) -> None:
    interface = router.pim.interfaces.get(event.ifindex) or _stands_in(router, event.destination)
    router.counters.add(interface.name if interface is not None else "-", "pim", "rx", "register", "", event.count)


def _route_resolved(router: Router, event: events.RouteResolved) -> None:
    path = router.rpf.resolved(event)
    if path is not None:
        trees.path_moved(router.pim, path)


_REFUSALS = {
    "EOVERFLOW": "its index is above 65535, the largest that the kernel takes for IPv6; remove it and make it anew",
}
"""Errors of AddVif in words, with a remedy."""


def _effect_failed(router: Router, event: events.EffectFailed) -> None:
    interface = router.interfaces.get(event.ifindex) if event.ifindex is not None else None
    name = interface.name if interface is not None else "-"
    router.counters.add(name, "kernel", "tx", event.effect, event.error)
    if event.effect == "AddVif" and interface is not None:
        why = _REFUSALS.get(event.error, event.error)
        lifecycle.refused(router, interface, f"the kernel refused it a virtual interface: {why}")
        return
    if event.effect == "SetMfc" and event.source is not None and event.group is not None:
        router.forwarding.refused[event.source + event.group] = event.error
    if event.effect == "AddRegisterVif":
        router.pim.retry_register_vif()
    what = " ".join(format_address(a) for a in (event.source, event.group) if a is not None)
    router.notice("warning", "kernel_refused", f"{name}: {event.effect} {what} failed: {event.error}")


def _vif_gone(router: Router, event: events.VifGone) -> None:
    if event.vif == REGISTER_VIF:
        router.pim.renew_register_vif()
        return
    owner = router.vifs.owner(event.vif)
    if owner is not None:
        lifecycle.stop(router, owner, reachable=False, give_up_vif=True)
        lifecycle.reconsider(router, owner)


def _shutdown(router: Router, _: events.Shutdown) -> None:
    lifecycle.shutdown(router)


def _register_unreachable(router: Router, event: events.RegisterUnreachable) -> None:
    unreachable.receive(router.pim, event)


_HANDLERS: dict[type, Callable[[Router, Any], None]] = {
    events.Configured: _configured,
    events.StaticEdited: _static_edited,
    events.FlushIdle: _flush_idle,
    events.LinkChanged: _link_changed,
    events.LinkGone: _link_gone,
    events.AddressesChanged: _addresses_changed,
    events.PacketReceived: _packet_received,
    events.NoCache: upcalls.no_cache,
    events.WrongVif: upcalls.wrong_vif,
    events.WholePacket: upcalls.whole_packet,
    events.RegisterUnreachable: _register_unreachable,
    events.RouteResolved: _route_resolved,
    events.EffectFailed: _effect_failed,
    events.CountersRead: upcalls.counters_read,
    events.RegistersRepeated: _registers_repeated,
    events.VifGone: _vif_gone,
    events.TableFound: adoption.begin,
    events.TableRead: drift.compare,
    events.EntryGone: drift.gone,
    events.BridgeChanged: gmp_interfaces.bridge_changed,
    events.ClearMembership: gmp_interfaces.clear,
    events.Shutdown: _shutdown,
}
