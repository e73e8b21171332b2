"""The whole public face of the core: one `Router` for each address family and table.

It alone sees all rooms: events are handed to the machines they concern, what PIM and the membership
protocols want is joined, and what has to be done piles up as effects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from pimpy.config.model import Config
from pimpy.core import lifecycle, views
from pimpy.core.engine import events
from pimpy.core.engine.counters import Counters
from pimpy.core.engine.effects import DelVif, Effect, Notice
from pimpy.core.engine.timers import Timer, TimerHeap
from pimpy.core.forwarding import Forwarding
from pimpy.core.gmp import Membership
from pimpy.core.interface import Interface, VifTable
from pimpy.core.pim import joinprune, macros, neighbor, upstream
from pimpy.core.pim.instance import Pim
from pimpy.core.pim.neighbor import PimInterface
from pimpy.core.pim.tib import SG
from pimpy.core.rpf import Rpf
from pimpy.core.ssm import SsmRanges
from pimpy.wire import pim as wire
from pimpy.wire.family import Address, Family, format_address
from pimpy.wire.join_prune import JoinPrune
from pimpy.wire.reader import Malformed

if TYPE_CHECKING:
    from random import Random


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
        self.vifs = VifTable()
        self.traffic: dict[tuple[Address, Address], tuple[int, int, int]] = {}
        """The kernel's (packets, bytes, wrong interface) by (source, group), lent by whoever asks for rows."""
        self.waiting: dict[int, Interface] = {}
        """Interfaces that wait for a vif to become free."""
        self._vifs_released = Timer(self.heap, self, _let_waiting_in)
        self._effects: list[Effect] = []
        self.forwarding = Forwarding(self.heap, self.emit)
        self.rpf = Rpf(self.emit)
        self.ssm = SsmRanges(family, family.ssm_ranges)
        self.pim = Pim(family, self.heap, random, self.rpf, self.counters, self.emit, self.ssm)
        self.pim.outbox = joinprune.Outbox(self.pim)

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

    def drain(self) -> list[Effect]:
        """What has to be done, in order, since the last call. Call it once after each batch of events."""
        self.forwarding.flush()
        self.pim.outbox.flush()
        if self.vifs.resting:
            for vif in self.vifs.release():
                self.emit(DelVif(vif))
            if self.waiting:
                self._vifs_released.at(self.heap.now)
        effects, self._effects = self._effects, []
        return effects

    def rows(self, kind: str) -> Iterator[views.Row]:
        """The rows of one kind (`views.KINDS`); KeyError for a kind that is not."""
        return views.KINDS[kind](self)

    def emit(self, effect: Effect) -> None:
        """Have something done."""
        self._effects.append(effect)

    def notice(self, level: str, reason: str, text: str) -> None:
        """Tell the operator."""
        self._effects.append(Notice(level, reason, text))

    def settle(self) -> None:
        """Work out what follows from what was touched."""
        self.pim.touched.settle(self._settle_sg)

    def _settle_sg(self, sg: SG) -> None:
        if self.pim.tib.sg.get(sg.source + sg.group) is not sg:
            return
        upstream.settle(sg)
        interface = macros.rpf_interface(self.pim, sg.path)
        if sg.joined and interface is not None and interface.vif is not None:
            self.forwarding.set(sg.source, sg.group, interface.vif, macros.inherited_olist(sg))
        else:
            self.forwarding.remove(sg.source, sg.group)
        if not sg.joins and not sg.members:
            joinprune.discard(sg)

    def member_changed(self, interface: PimInterface, group: Address, source: Address | None) -> None:
        """local_receiver_include(S,G,I) may have changed (4.1.5); the any-source wish (None) makes no (S,G) state."""
        if source is None:
            return
        wanted = self.memberships[interface.ifindex].wants(group, source)
        sg = self.pim.tib.sg.get(source + group)
        if not wanted:
            if sg is not None and sg in interface.members:
                sg.members &= ~interface.mask
                del interface.members[sg]
                self.pim.touched.touch(sg)
            return
        if sg is None:
            if not self._may_be_made(interface, group, source):
                return
            sg = joinprune.obtain(self.pim, source, group)
        if sg not in interface.members:
            sg.members |= interface.mask
            interface.members[sg] = None
            self.pim.touched.touch(sg)

    def _may_be_made(self, interface: PimInterface, group: Address, source: Address) -> bool:
        if not self.ssm.usable(group) or not self.family.is_unicast(source):
            return False
        if len(self.pim.tib.sg) >= self.pim.settings.max_sg:
            self.counters.add(interface.name, self.family.gmp, "rx", "report", "sg_limit")
            self.pim.warn(interface.name, "sg_limit", f"{self.pim.settings.max_sg} (S,G) entries, no more are taken")
            return False
        return True


def _let_waiting_in(router: Router) -> None:
    for interface in list(router.waiting.values()):
        lifecycle.reconsider(router, interface)


def _configured(router: Router, event: events.Configured) -> None:
    lifecycle.configure(router, event.config)


def _link_changed(router: Router, event: events.LinkChanged) -> None:
    lifecycle.link_changed(router, event)


def _link_gone(router: Router, event: events.LinkGone) -> None:
    lifecycle.link_gone(router, event.ifindex)


def _addresses_changed(router: Router, event: events.AddressesChanged) -> None:
    lifecycle.addresses_changed(router, event)


def _packet_received(router: Router, packet: events.PacketReceived) -> None:
    pim_interface = router.pim.interfaces.get(packet.ifindex)
    if pim_interface is None or (packet.protocol == "pim" and pim_interface.passive):
        known = router.interfaces.get(packet.ifindex)
        name = known.name if known is not None else "-"
        router.counters.add(name, packet.protocol, "rx", "any", "if_not_enabled")
    elif packet.protocol == "pim":
        _pim_received(router, pim_interface, packet)
    elif packet.protocol == router.family.gmp and not pim_interface.owns(packet.source):
        router.memberships[packet.ifindex].receive(
            packet.source, packet.destination, packet.ttl, packet.router_alert, packet.data
        )


def _pim_received(router: Router, interface: PimInterface, packet: events.PacketReceived) -> None:
    """RFC 7761 4.9: everything is checked before anything is done."""
    kind = _kind(packet.data)
    if interface.owns(packet.source):
        router.pim.refuse(interface.name, kind, "own_packet")
        _look_for_a_double(router, interface, packet)
        return
    try:
        message = wire.decode(router.family, packet.source, packet.destination, packet.data)
    except Malformed as bad:
        router.pim.refuse(interface.name, kind, bad.reason)
        return
    reason = _not_admitted(router, interface, packet, message)
    if reason is not None:
        router.pim.refuse(interface.name, kind, reason)
        return
    router.counters.add(interface.name, "pim", "rx", kind)
    if packet.ttl != 1:
        router.pim.refuse(interface.name, kind, "ttl_not_1")  # counted, and taken all the same (V4)
    for note in message.notes if isinstance(message, (wire.Hello, JoinPrune)) else ():
        router.pim.refuse(interface.name, kind, note)
    if isinstance(message, wire.Hello):
        neighbor.receive_hello(interface, packet.source, message)
    elif isinstance(message, JoinPrune):
        joinprune.receive(interface, message)


def _look_for_a_double(router: Router, interface: PimInterface, packet: events.PacketReceived) -> None:
    """A Hello from our address that we did not send: somebody else on the link has it (TH17)."""
    try:
        message = wire.decode(router.family, packet.source, packet.destination, packet.data)
    except Malformed:
        return
    if isinstance(message, wire.Hello) and message.generation_id != interface.generation_id:
        text = f"another router sends Hellos from our address {format_address(packet.source)}"
        router.pim.warn(interface.name, "own_addr", text)


def _kind(data: bytes) -> str:
    """The name of a message for the counters, whatever the rest of it is worth."""
    row = wire.ROWS.get(data[0] & 0x0F) if data else None
    return wire.MESSAGE_NAMES[row.message] if row is not None else "unknown"


def _not_admitted(
    router: Router, interface: PimInterface, packet: events.PacketReceived, message: wire.Message
) -> str | None:
    """Why a well-formed message is not for us, as a reason word; None if it is."""
    if not isinstance(message, (wire.Hello, JoinPrune)):
        return "unsupported_type"
    if packet.destination != router.family.all_pim_routers:
        return "bad_dest"
    if not router.family.is_unicast(packet.source) or (
        router.family.size == 16 and not router.family.is_link_local(packet.source)
    ):
        return "bad_source"
    if isinstance(message, JoinPrune) and packet.source not in interface.neighbors:
        return "jp_non_nbr"
    return None


def _no_cache(router: Router, event: events.NoCache) -> None:
    router.counters.add("-", "kernel", "rx", "nocache")
    sg = router.pim.tib.sg.get(event.source + event.group)
    if sg is not None and sg.path.route is None:
        return  # the entry follows when the route is known; until then the kernel holds the packet
    if router.vifs.owner(event.vif) is not None and router.ssm.usable(event.group):
        router.forwarding.no_cache(event.vif, event.source, event.group)


def _wrong_vif(router: Router, event: events.WrongVif) -> None:
    router.counters.add("-", "kernel", "rx", "wrongvif")


def _whole_packet(router: Router, event: events.WholePacket) -> None:
    router.counters.add("-", "kernel", "rx", "wrvifwhole" if event.wrong_vif else "wholepkt")


def _route_resolved(router: Router, event: events.RouteResolved) -> None:
    path = router.rpf.resolved(event)
    if path is not None:
        for sg in path.users:
            router.pim.touched.touch(sg)


def _effect_failed(router: Router, event: events.EffectFailed) -> None:
    interface = router.interfaces.get(event.ifindex) if event.ifindex is not None else None
    name = interface.name if interface is not None else "-"
    router.counters.add(name, "kernel", "tx", event.effect, event.error)
    if event.effect == "AddVif" and interface is not None:
        lifecycle.refused(router, interface, f"the kernel refused it a virtual interface: {event.error}")
        return
    what = " ".join(format_address(a) for a in (event.source, event.group) if a is not None)
    router.notice("warning", "kernel_refused", f"{name}: {event.effect} {what} failed: {event.error}")


def _vif_gone(router: Router, event: events.VifGone) -> None:
    owner = router.vifs.owner(event.vif)
    if owner is not None:
        lifecycle.stop(router, owner, reachable=False, give_up_vif=True)
        lifecycle.reconsider(router, owner)


def _table_adopted(router: Router, _: events.TableAdopted) -> None:
    router.forwarding.rewrite()


def _shutdown(router: Router, _: events.Shutdown) -> None:
    lifecycle.shutdown(router)


_HANDLERS: dict[type, Callable[[Router, Any], None]] = {
    events.Configured: _configured,
    events.LinkChanged: _link_changed,
    events.LinkGone: _link_gone,
    events.AddressesChanged: _addresses_changed,
    events.PacketReceived: _packet_received,
    events.NoCache: _no_cache,
    events.WrongVif: _wrong_vif,
    events.WholePacket: _whole_packet,
    events.RouteResolved: _route_resolved,
    events.EffectFailed: _effect_failed,
    events.VifGone: _vif_gone,
    events.TableAdopted: _table_adopted,
    events.Shutdown: _shutdown,
}
