"""One address family and table of the kernel, as events and effects.

The adapter decides nothing: it batches effects, and says who sent what by which interface.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from contextlib import suppress
from socket import socket
from struct import pack

from pimpy.core.engine.effects import (
    AddRegisterVif,
    AddVif,
    DelMfc,
    DelRegister,
    DelVif,
    Effect,
    JoinGroup,
    JoinSource,
    LeaveGroup,
    QuietRegister,
    ResolveRpf,
    SendPacket,
    SetMfc,
)
from pimpy.core.engine.events import (
    CountersRead,
    EffectFailed,
    Event,
    LinkChanged,
    LinkGone,
    NoCache,
    PacketReceived,
    RegisterUnreachable,
    TableFound,
    TableRead,
    VifGone,
    WholePacket,
    WrongVif,
)
from pimpy.kernel import _mroute
from pimpy.kernel.icmp import read_errors
from pimpy.kernel.memberships import StaticMemberships
from pimpy.kernel.mroute import REGISTER, VIFS, Change, Table
from pimpy.kernel.netlink import Netlink
from pimpy.kernel.onward import Onward
from pimpy.kernel.plan import Plan
from pimpy.kernel.quiet import Message, QuietRegisters
from pimpy.kernel.sockets import Memberships, Sockets
from pimpy.kernel.watch import Watch
from pimpy.wire.family import Address, Family

BATCH = 256
"""Messages of one socket that one call of `receive` takes."""
REGISTERS = 65536
"""Entries of the register table: as many as the core has (S,G)."""


def _packet(protocol: str) -> Callable[[Message], Event]:
    def make(message: Message) -> Event:
        _, ifindex, source, destination, ttl, router_alert, data = message
        return PacketReceived(protocol, ifindex, source, destination, ttl, router_alert, data)

    return make


_EVENTS: dict[int, Callable[[Message], Event]] = {
    _mroute.PIM: _packet("pim"),
    _mroute.IGMP: _packet("igmp"),
    _mroute.MLD: _packet("mld"),
    _mroute.NOCACHE: lambda message: NoCache(message[1], message[2], message[3]),
    _mroute.WRONGVIF: lambda message: WrongVif(message[1], message[2], message[3]),
    _mroute.WHOLEPKT: lambda message: WholePacket(message[1], message[2], message[3], False, message[6]),
    _mroute.WRVIFWHOLE: lambda message: WholePacket(message[1], message[2], message[3], True, message[6]),
}


def _changes(effects: Sequence[SetMfc | DelMfc]) -> tuple[list[SetMfc | DelMfc], list[Change]]:
    """What the kernel is to be told, in front of it the removals that entries made anew begin with, and those removals.

    A packet that comes in between waits in the kernel for the new entry.
    """
    anew: list[SetMfc | DelMfc] = []
    changes: list[Change] = []
    for effect in effects:
        if type(effect) is SetMfc:
            if effect.anew:
                anew.append(DelMfc(effect.source, effect.group))
            changes.append((effect.source, effect.group, effect.iif, effect.oifs))
        else:
            changes.append((effect.source, effect.group))
    return anew, [*((gone.source, gone.group) for gone in anew), *changes] if anew else changes


def _any_behind(effects: Sequence[SetMfc | DelMfc]) -> bool:
    for effect in effects:  # noqa: SIM110  (asked of every entry: an any() would cost as much again)
        if type(effect) is SetMfc and effect.behind_registers:
            return True
    return False


def _answer(effect: SetMfc | DelMfc) -> Change:
    """What becomes of packets of a stream that had no entry."""
    if type(effect) is not SetMfc:
        return effect.source, effect.group
    iif = effect.iif if effect.before is None else effect.before
    return effect.source, effect.group, iif, effect.oifs


def _name(number: int | None) -> str:
    return errno.errorcode.get(number or 0, str(number))


class Adapter:
    """The kernel's side of one family and table.

    `sockets` stay the property of whoever opened them, and so does `netlink`, which must be of the same
    family. `start()` comes first, and its events before all others.
    """

    def __init__(
        self,
        family: Family,
        sockets: Sockets,
        netlink: Netlink,
        memberships: Memberships | None = None,
        errors: socket | None = None,
        paused: bool = False,
    ) -> None:
        """`errors` is from `open_errors`. While `paused`, what waits in `sockets.mroute` waits until `begin`."""
        self.family = family
        self.table = Table(sockets)
        self._dropped = {"truncated": 0, "malformed": 0}
        self._sockets = sockets
        self._netlink = netlink
        self._onward = Onward(family, sockets.raw)
        self._errors = errors
        self._watch = Watch(family, sockets.kernel_table)
        self._memberships = memberships or Memberships(family)
        self._static_joins = StaticMemberships(family)
        self._protocol = _mroute.IGMP if family.gmp == "igmp" else _mroute.MLD
        self.registers = _mroute.Registers(
            sockets.mroute, sockets.pim, sockets.raw, family.number, self._protocol, REGISTERS, True
        )
        """The register table; its thread reads `sockets.mroute` once there is a register tunnel."""
        self._paused = paused
        self._left_to_thread = False
        self.make_room: Callable[[str], None] = lambda name: None
        """Asked to let the descriptor of this name hold the packets for the register tunnel, too."""
        self.moved: Callable[[int, int], None] | None = None
        """Told that the second descriptor is to be watched in the place of the first."""
        self._quiet = QuietRegisters(family)
        self._tunnel: int | None = None
        """The register tunnel's vif."""
        self._behind: set[tuple[Address, Address]] = set()
        """(source, group) of the entries that lead to the tunnel alone, the extension sending the other copies."""

    def filenos(self) -> tuple[int, ...]:
        """The descriptors to watch for reading."""
        errors = () if self._errors is None else (self._errors.fileno(),)
        return (*self.datagrams(), self._watch.fileno(), *self._netlink.filenos(), *errors)

    def datagrams(self) -> tuple[int, int]:
        """Those of them that messages and data of the network come by."""
        return self.registers.fileno() if self._left_to_thread else self._sockets.mroute, self._sockets.pim

    def begin(self) -> None:
        """The core knows what there is: let what waits come up."""
        self._paused = False
        if self._tunnel is not None:
            self._leave_to_thread()

    def adopt(self) -> list[Event]:
        """What an earlier process left in the table; nothing if that is nothing. Comes before `start`."""
        rows = self.table.find()
        if not rows and not self.table.vifs:
            return []
        self._tell_vifs()
        if REGISTER in self.table.vifs:
            self._have_tunnel(REGISTER)
        vifs = tuple((vif, held.ifindex) for vif, held in self.table.vifs.items() if held.ifindex)
        return [TableFound(vifs, REGISTER in self.table.vifs, tuple(self.table.by_vif(rows)))]

    def start(self) -> list[Event]:
        """What there is at the start: each interface, and its addresses."""
        events = self._netlink.start()
        self._memberships.forget_others(event.ifindex for event in events if isinstance(event, LinkChanged))
        return events

    def receive(self, fd: int, limit: int = BATCH) -> list[Event]:
        """What a readable descriptor has to say, of datagrams at most `limit`: the rest makes it readable again."""
        if fd == self._sockets.pim:
            return self._pim_messages(limit)
        if fd == self._sockets.mroute:
            waits = self._paused or self._left_to_thread
            messages = [] if waits else self._messages(fd, self._protocol, limit)
            return [_EVENTS[message[0]](message) for message in messages]
        if fd == self.registers.fileno():
            return [_EVENTS[message[0]](message) for message in self.registers.receive(limit)]
        if fd == self._watch.fileno():
            return list(self._watch.receive())
        if self._errors is not None and fd == self._errors.fileno():
            return [RegisterUnreachable(*found) for found in read_errors(self._errors, self.family, limit)]
        return self._notices(fd)

    def look_at_bridges(self) -> list[Event]:
        """What is different now about the snooping bridges below interfaces."""
        return self._netlink.look_at_bridges()

    def apply(self, effects: Sequence[Effect]) -> list[Event]:
        """Carry effects out, in batches: what failed, and the answers to new ResolveRpf.

        Whatever their order in `effects`: groups are joined first, virtual interfaces made before entries
        name them and removed after, the register table written before entries lead to the register tunnel, packets
        sent when all that stands.
        """
        if len(effects) == 1 and type(effects[0]) in (SetMfc, DelMfc):
            return self._write(effects)  # type: ignore[arg-type]  # a stream that came by itself needs no plan
        plan = Plan()
        plan.sort(effects)
        events = self._join(plan, JoinGroup) if plan.joins else []
        if plan.registers:
            events += self._change_registers(plan)
        for quiet in plan.quiet.values():
            if isinstance(quiet, QuietRegister):
                self._quiet.set(quiet)
            else:
                self._quiet.delete(quiet.source, quiet.group)
        events += self._change_table(plan) if plan.vifs else self._write(list(plan.mfc.values()))
        for protocol, packets in plan.packets.items():
            events += self._send(protocol, packets)
        for forward in plan.forwards:
            vifs = self.table.vifs.items()
            self._onward.send(forward.packet, [v.ifindex for n, v in vifs if forward.oifs >> n & 1 and v.ifindex])
        if plan.joins:
            events += self._join(plan, LeaveGroup)
        if plan.members:
            events += self._be_members(plan)
        if plan.routes:
            events += self._route(plan)
        if plan.counters:
            events.append(self._count())
        if plan.table:
            events.append(TableRead(self.table.check_vifs(), tuple(self.table.rows())))
        return events

    def counters(self) -> dict[tuple[Address, Address], tuple[int, int, int, int]]:
        """{(source, group): (packets, bytes, wrong_if, 1/100 s since the last packet)}, in one dump.

        The packets of the wrong interface are among the packets; so are those whose TTL was too small.
        """
        return self.table.counters()

    def registered(self) -> dict[tuple[Address, Address], tuple[int, int]]:
        """{(source, group): (packets, bytes)} that left in Registers since they were first set."""
        return self.registers.counters()

    def totals(self) -> dict[str, int]:
        """Packets that left in Registers (`sent`), and what was not sent on, by reason.

        `stopped`, `ttl`, `too_big` and `refused` (by the kernel) are of packets for the register tunnel, `held_full`
        of streams that wait for their entry; `truncated`, `malformed` and `queue_full` of messages that were received.
        """
        return {name: count + self._dropped.get(name, 0) for name, count in self.registers.totals().items()}

    def route(self, address: Address) -> Event:
        """The route to an address as it is now, a RouteResolved."""
        return self._netlink.look_up(address)

    def lost(self) -> int:
        """Messages and upcalls that the kernel dropped because a receive buffer was full."""
        return self._sockets.lost()

    def close(self) -> None:
        """Take back what this process put into the kernel: entries, virtual interfaces, the table, memberships."""
        self.registers.close()
        self.table.close()
        self._watch.close()
        self._memberships.close()
        self._static_joins.close()
        self._onward.close()
        if self._errors is not None:
            self._errors.close()

    def _have_tunnel(self, vif: int) -> None:
        """There is a register tunnel: what comes up for it is the thread's, and so are a new stream's first packets."""
        self._tunnel = vif
        self.registers.hold(vif)
        self._leave_to_thread()

    def _leave_to_thread(self) -> None:
        """Have the extension's thread read what comes up: packets for the register tunnel are from now on among it."""
        if self._paused or self._left_to_thread:
            return
        self.make_room(self._sockets.owner_name)
        self.registers.begin()
        self._left_to_thread = True
        if self.moved is not None:
            self.moved(self._sockets.mroute, self.registers.fileno())

    def _messages(self, fd: int, protocol: int, limit: int) -> list[Message]:
        messages, truncated, malformed = _mroute.receive(fd, self.family.number, protocol, limit)
        self._dropped["truncated"] += truncated
        self._dropped["malformed"] += malformed
        return messages

    def _pim_messages(self, limit: int) -> list[Event]:
        heard, repeated = self._quiet.sift(self._messages(self._sockets.pim, _mroute.PIM, limit))
        return [*(_EVENTS[message[0]](message) for message in heard), *repeated]

    def _notices(self, fd: int) -> list[Event]:
        events: list[Event] = []
        for event in self._netlink.receive(fd):
            events.append(event)
            if isinstance(event, LinkGone):
                self._memberships.forget(event.ifindex)
                self._static_joins.forget(event.ifindex)
                events += [VifGone(vif) for vif in self.table.forget_device(event.ifindex)]
                self._tell_vifs()
        return events

    def _join(self, plan: Plan, kind: type[JoinGroup | LeaveGroup]) -> list[Event]:
        failed: list[Event] = []
        act = self._memberships.join if kind is JoinGroup else self._memberships.leave
        for effect in plan.joins.values():
            if type(effect) is kind:
                try:
                    act(effect.ifindex, effect.group)
                except OSError as error:
                    if kind is JoinGroup:
                        failed.append(
                            EffectFailed("JoinGroup", _name(error.errno), ifindex=effect.ifindex, group=effect.group)
                        )
        return failed

    def _be_members(self, plan: Plan) -> list[Event]:
        failed: list[Event] = []
        for effect in plan.members.values():
            try:
                if isinstance(effect, JoinSource):
                    self._static_joins.join(effect.ifindex, effect.group, effect.source)
                else:
                    self._static_joins.leave(effect.ifindex, effect.group, effect.source)
            except OSError as error:
                if isinstance(effect, JoinSource):
                    name = _name(error.errno)
                    failed.append(EffectFailed("JoinSource", name, None, effect.ifindex, effect.source, effect.group))
        return failed

    def _change_registers(self, plan: Plan) -> list[Event]:
        failed: list[Event] = []
        for effect in plan.registers.values():
            if isinstance(effect, DelRegister):
                self.registers.delete(effect.source, effect.group)
                continue
            try:
                rps = b"".join((effect.rp, *effect.others))
                self.registers.set(effect.source, effect.group, effect.address, rps, effect.stopped)
            except OSError as error:
                failed.append(EffectFailed("SetRegister", _name(error.errno), source=effect.source, group=effect.group))
        return failed

    def _change_table(self, plan: Plan) -> list[Event]:
        """Old entries go, virtual interfaces come, entries are set, virtual interfaces go."""
        adds = [effect for effect in plan.vifs.values() if isinstance(effect, (AddVif, AddRegisterVif))]
        failed: list[Event] = []
        changes = list(plan.mfc.values())
        if adds:  # one of them may take over an index that entries to be deleted still name
            failed += self._write([effect for effect in changes if type(effect) is DelMfc])
            changes = [effect for effect in changes if type(effect) is SetMfc]
            failed += self._change_vifs(adds)
        failed += self._write(changes)
        failed += self._change_vifs([effect for effect in plan.vifs.values() if isinstance(effect, DelVif)])
        return failed

    def _change_vifs(self, effects: Sequence[AddVif | AddRegisterVif | DelVif]) -> list[Event]:
        failed: list[Event] = []
        for effect in effects:
            ifindex = effect.ifindex if isinstance(effect, AddVif) else None
            try:
                if isinstance(effect, AddVif):
                    self.table.add_vif(effect.vif, effect.ifindex, effect.threshold)
                elif isinstance(effect, AddRegisterVif):
                    self.table.add_register_vif(effect.vif)
                    self._have_tunnel(effect.vif)
                else:
                    if effect.vif == self._tunnel:
                        self.registers.hold(-1)
                    self.table.del_vif(effect.vif)
            except OSError as error:
                failed.append(EffectFailed(type(effect).__name__, _name(error.errno), effect.vif, ifindex))
        if effects:
            self._tell_vifs()
        return failed

    def _tell_vifs(self) -> None:
        vifs = self.table.vifs
        devices = [vifs[vif].ifindex if vif in vifs else 0 for vif in range(VIFS)]
        self.registers.vifs(pack(f"={VIFS}I", *devices), self.table.thresholds)

    def _write(self, effects: Sequence[SetMfc | DelMfc]) -> list[Event]:
        if not effects:
            return []
        anew, changes = _changes(effects)
        effects = [*anew, *effects] if anew else effects
        before = self._behind.copy() if self._behind else self._behind
        holding = self.registers.holding()
        errors = self.table.change(self._lead_behind(effects, changes))
        if before:
            for source, group in before - self._behind:
                self.registers.follow(source, group, 0)  # after the write: copies of what came before are still ours
        if holding:
            self.registers.release([_answer(effect) for effect in effects[len(anew) :]])
        if not any(errors):
            return []
        return [
            EffectFailed(type(effect).__name__, _name(error), source=effect.source, group=effect.group)
            for effect, error in zip(effects, errors, strict=True)
            if error
        ]

    def _lead_behind(self, effects: Sequence[SetMfc | DelMfc], changes: list[Change]) -> list[Change]:
        """The changes as the kernel is to have them: what leaves behind its Registers leads to the tunnel alone."""
        if not self._behind and not _any_behind(effects):
            return changes
        written, tunnel = changes.copy(), 0 if self._tunnel is None else 1 << self._tunnel
        for at, effect in enumerate(effects):
            key = (effect.source, effect.group)
            self._behind.discard(key)
            if type(effect) is not SetMfc or not effect.behind_registers or not effect.oifs & tunnel:
                continue
            if self.registers.follow(*key, effect.oifs & ~tunnel):
                self._behind.add(key)
                written[at] = (*key, effect.iif, tunnel)
        return written

    def _send(self, protocol: str, packets: Sequence[SendPacket]) -> list[Event]:
        fd = self._sockets.pim if protocol == "pim" else self._sockets.mroute
        batch = [(self._leaves_by(p), p.source, p.destination, p.data, p.ttl) for p in packets]
        errors = _mroute.send(fd, self.family.number, batch)
        return [
            EffectFailed("SendPacket", _name(error), None, packet.ifindex, packet.source, packet.destination)
            for packet, error in zip(packets, errors, strict=True)
            if error
        ]

    def _leaves_by(self, packet: SendPacket) -> int:
        """Unicast goes by the routes, as its next hop may lie elsewhere; the rest by its interface."""
        destination = packet.destination
        on_link = self.family.is_multicast(destination) or self.family.is_link_local(destination)
        return packet.ifindex if on_link else 0

    def _count(self) -> CountersRead:
        """The kernel's counters, packets of the wrong interface left out, and of the bytes as much in proportion."""
        return CountersRead(
            tuple(
                (*key, packets - wrong, octets * (packets - wrong) // packets if wrong else octets)
                for key, (packets, octets, wrong, _) in self.counters().items()
            )
        )

    def _route(self, plan: Plan) -> list[Event]:
        wanted = []
        for address, effect in plan.routes.items():
            if type(effect) is ResolveRpf:
                wanted.append(address)
            else:
                with suppress(KeyError):
                    self._netlink.forget(address)
        return self._netlink.resolve(wanted) if wanted else []
