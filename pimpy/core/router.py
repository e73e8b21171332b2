"""The whole public face of the core: one `Router` for each address family and table.

It alone sees all rooms: events are handed to the machines they concern, what PIM and the membership
protocols want is joined, and what has to be done piles up as effects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from pimpy.config.model import Config
from pimpy.core import lifecycle, views
from pimpy.core.engine import events
from pimpy.core.engine.counters import Counters
from pimpy.core.engine.effects import DelVif, Effect, ForwardPacket, Notice
from pimpy.core.engine.timers import Timer, TimerHeap
from pimpy.core.forwarding import Forwarding
from pimpy.core.gmp import Membership
from pimpy.core.interface import REGISTER_MASK, REGISTER_VIF, Interface, VifTable
from pimpy.core.pim import asserts, data, joinprune, macros, neighbor, register, trees
from pimpy.core.pim.instance import Pim
from pimpy.core.pim.neighbor import PimInterface
from pimpy.core.pim.tib import SG, SGRpt, StarG
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
        self.pim = Pim(family, self.heap, random, self.rpf, self.counters, self.emit, self.ssm, self.forwarding)
        self.pim.outbox = joinprune.Outbox(self.pim)
        self.pim.rp_set.changed = partial(trees.remap, self.pim)
        self.pim.excludes = self.excluding

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
        self.pim.touched.settle(trees.settle)

    def member_changed(self, interface: PimInterface, group: Address, source: Address | None) -> None:
        """local_receiver_include or local_receiver_exclude may have changed on an interface (4.1.5)."""
        membership = self.memberships[interface.ifindex]
        if source is None:
            self._star_member_changed(interface, group, wanted=membership.wants_any(group))
            return
        wanted = membership.wants(group, source)
        sg = self.pim.tib.sg.get(source + group)
        if sg is None and wanted and self._may_be_made(interface, group, source):
            sg = trees.obtain(self.pim, source, group)
        if sg is None:
            return
        _set_member(interface, sg, wanted)
        self._exclude_changed(interface, sg, membership.excludes(group, source))

    def _star_member_changed(self, interface: PimInterface, group: Address, *, wanted: bool) -> None:
        tree = self.pim.tib.groups.get(group)
        star = tree.star if tree is not None else None
        if star is None:
            if not wanted or not self.ssm.usable(group) or self.ssm.holds(group):
                return
            star = trees.obtain_star(self.pim, group)
        _set_member(interface, star, wanted)
        for sg in star.tree.sources:
            self._exclude_changed(interface, sg, self.memberships[interface.ifindex].excludes(group, sg.source))

    def _exclude_changed(self, interface: PimInterface, sg: SG, excluded: bool) -> None:
        """Keep local_receiver_exclude(S,G,I) true to what the members say."""
        if sg.tree is None or bool(sg.rpt is not None and sg.rpt.excludes & interface.mask) == excluded:
            return
        if sg.rpt is None:
            sg.rpt = SGRpt()
        sg.rpt.excludes ^= interface.mask
        self.pim.touched.touch(sg)

    def excluding(self, source: Address, group: Address) -> int:
        """{ I: local_receiver_exclude(S,G,I) }"""
        mask = 0
        for ifindex, membership in self.memberships.items():
            if membership.excludes(group, source):
                mask |= self.pim.interfaces[ifindex].mask
        return mask

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


def _set_member(interface: PimInterface, entry: SG | StarG, wanted: bool) -> None:
    """Keep local_receiver_include of an entry true to what the members say."""
    if (entry in interface.members) == wanted:
        interface.pim.touched.touch(entry)
        return
    if wanted:
        interface.members[entry] = None
    else:
        del interface.members[entry]
    entry.members ^= interface.mask
    interface.pim.touched.touch(entry)


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
    _act_on(interface, packet, message)


def _act_on(interface: PimInterface, packet: events.PacketReceived, message: wire.Message) -> None:
    if isinstance(message, wire.Hello):
        neighbor.receive_hello(interface, packet.source, message)
    elif isinstance(message, JoinPrune):
        joinprune.receive(interface, message)
    elif isinstance(message, wire.Assert):
        asserts.receive(interface, packet.source, message)
    elif isinstance(message, wire.Register):
        register.receive(interface, packet.source, packet.destination, message)
    elif isinstance(message, wire.RegisterStop):
        register.receive_stop(interface, packet.source, message)


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
    family = router.family
    if isinstance(message, (wire.Register, wire.RegisterStop)):
        if not router.pim.is_mine(packet.destination):
            return "bad_dest" if family.is_multicast(packet.destination) else "reg_not_local"
        return None if family.is_unicast(packet.source) else "bad_source"
    if not isinstance(message, (wire.Hello, JoinPrune, wire.Assert)):
        return "unsupported_type"
    if packet.destination != family.all_pim_routers:
        return "bad_dest"
    if not family.is_unicast(packet.source) or (family.size == 16 and not family.is_link_local(packet.source)):
        return "bad_source"
    if isinstance(message, JoinPrune) and packet.source not in interface.neighbors:
        return "jp_non_nbr"
    if isinstance(message, wire.Assert):
        return _assert_not_admitted(router, interface, packet.source, message)
    return None


def _assert_not_admitted(router: Router, interface: PimInterface, source: Address, message: wire.Assert) -> str | None:
    """Why an Assert is not for us (A22, TH32, TH34)."""
    if source not in interface.neighbors:
        return "assert_non_nbr"
    any_source = message.source == router.family.any and message.rpt
    if not router.ssm.usable(message.group) or not (any_source or router.family.is_unicast(message.source)):
        return "assert_bad_addr"
    return None


def _no_cache(router: Router, event: events.NoCache) -> None:
    router.counters.add("-", "kernel", "rx", "nocache")
    tunnel = event.vif == REGISTER_VIF and router.pim.register_vif
    known = tunnel or router.vifs.owner(event.vif) is not None
    if not known or not router.ssm.usable(event.group):
        return
    sg = router.pim.tib.sg.get(event.source + event.group)
    if event.vif == REGISTER_VIF and not router.pim.is_mine(router.pim.rp_set.rp(event.group)):
        sg = None  # the kernel takes any Register apart, but only the RP may use what is in it (4.4.2)
    elif sg is None and _is_of_interest(router, event.vif, event.source, event.group):
        sg = trees.obtain_limited(router.pim, event.source, event.group, "-", "data", "sg_limit")
    if sg is None or (sg.tree is None and sg.path.route is not None):
        router.forwarding.no_cache(event.vif, event.source, event.group)
    if sg is None or sg.tree is None:
        return  # a channel's entry follows when its route is known; until then the kernel holds the packet
    data.arrives(sg, event.vif)
    router.settle()
    router.forwarding.tell_again(event.source, event.group)


def _is_of_interest(router: Router, vif: int, source: Address, group: Address) -> bool:
    """Whether data without an entry makes one: there is a shared tree, or the source is ours to register (4.2, 4.4).

    A source on a link that it cannot be on makes neither (Y8, TH47).
    """
    if router.ssm.holds(group) or not router.family.is_unicast(source):
        return False
    pim, tree = router.pim, router.pim.tib.groups.get(group)
    interface = pim.by_vif(vif)
    if tree is not None and tree.star is not None:
        return True
    connected = macros.directly_connected(interface, source)
    if interface is None:
        return vif == REGISTER_VIF
    return connected and pim.rp_set.rp(group) is not None


def _wrong_vif(router: Router, event: events.WrongVif) -> None:
    router.counters.add("-", "kernel", "rx", "wrongvif")
    sg = router.pim.tib.sg.get(event.source + event.group)
    if sg is not None and sg.tree is not None:
        data.arrives(sg, event.vif)
    elif sg is not None and (interface := router.pim.by_vif(event.vif)) is not None:
        asserts.data_arrives(sg, interface)


def _whole_packet(router: Router, event: events.WholePacket) -> None:
    """For the register tunnel, or the packet that the WrongVif before it spoke of.

    The latter, if it made us take the entry's incoming interface to be its own, would be lost: it is sent on
    by us, since the kernel did not. That may be in a later batch than the WrongVif's.
    """
    router.counters.add("-", "kernel", "rx", "wrvifwhole" if event.wrong_vif else "wholepkt")
    if not event.wrong_vif:
        register.whole_packet(router.pim, event.source, event.group, event.packet)
        return
    entry = router.forwarding.entry(event.source, event.group)
    if entry is not None and entry[0] == event.vif:
        oifs = entry[1] & ~REGISTER_MASK
        if oifs:
            router.emit(ForwardPacket(oifs, event.packet))


def _counters_read(router: Router, event: events.CountersRead) -> None:
    entries = router.pim.tib.sg
    for source, group, packets in event.entries:
        sg = entries.get(source + group)
        if sg is not None:
            data.counted(sg, packets)


def _route_resolved(router: Router, event: events.RouteResolved) -> None:
    path = router.rpf.resolved(event)
    if path is not None:
        trees.touch_path(router.pim, path)


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
    events.CountersRead: _counters_read,
    events.VifGone: _vif_gone,
    events.TableAdopted: _table_adopted,
    events.Shutdown: _shutdown,
}
