"""One multicast forwarding table as Linux keeps it; any misuse of it is an AssertionError.

The rules are those of net/ipv4/ipmr.c: an unknown stream is held (four packets, ten seconds) and told once
(NOCACHE); a packet from a wrong interface is told, and handed up, once in three seconds (WRONGVIF, WRVIFWHOLE) and
never forwarded; what is forwarded to the register tunnel is handed up whole (WHOLEPKT); a device that goes takes its
vif with it and leaves the entries that name it.
"""

from __future__ import annotations

from collections.abc import Container

from datagrams import Channel, Datagram

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
    LeaveSource,
    SetMfc,
    SetRegister,
)
from pimpy.core.engine.events import CountersRead, NoCache, TableRead, WholePacket, WrongVif
from pimpy.wire.family import Address, Family
from pimpy.wire.record import define, field

REGISTER_DEVICE = -1
"""The register tunnel's place among the devices."""
Upcall = NoCache | WrongVif | WholePacket
HELD_SECONDS = 10.0
HELD_PACKETS = 4
"""Where there is no register tunnel; with one, the extension holds them all."""
WRONG_VIF_SECONDS = 3.0
SIZE = 1000
"""Bytes of a packet, as the counters have it."""


@define
class Held:
    """Packets of a stream that waits for an entry."""

    since: float
    packets: list[tuple[int, Datagram]]
    """Where each of them came in."""


@define
class Counts:
    """The counters of an entry."""

    packets: int = 0
    """Those from a wrong interface too."""
    wrong: int = 0


@define
class FakeKernel:
    """The table, and the link-scope groups that its owner joined."""

    family: Family
    devices: Container[int]
    """The interfaces of the host, by ifindex."""
    vifs: dict[int, tuple[int, int]] = field(factory=dict)
    """vif -> (ifindex, threshold)."""
    mfc: dict[Channel, tuple[int, int]] = field(factory=dict)
    """(source, group) -> (incoming vif, mask of outgoing vifs)."""
    joined: set[tuple[int, Address]] = field(factory=set)
    """(ifindex, group)."""
    members: set[tuple[int, Address, Address]] = field(factory=set)
    """(ifindex, group, source) of the host's own memberships."""
    registers: dict[Channel, SetRegister] = field(factory=dict)
    """The extension's register table."""
    behind: set[Channel] = field(factory=set)
    """Entries that the kernel itself has with the register tunnel alone: the extension sends the other copies."""
    held: dict[Channel, Held] = field(factory=dict)
    told_wrong: dict[Channel, float] = field(factory=dict)
    counts: dict[Channel, Counts] = field(factory=dict)
    upcalls: int = 0
    writes: int = 0
    """How often an entry was written or removed."""

    def apply(self, effect: Effect, strict: bool = True) -> list[tuple[int, Datagram]]:
        """Do what an effect asks for; the held packets, with their vifs, that may leave now. Checks it if `strict`."""
        if strict:
            self.check(effect)
            self.writes += isinstance(effect, (SetMfc, DelMfc))
        match effect:
            case AddVif(vif, ifindex, threshold):
                self.vifs[vif] = (ifindex, threshold)
            case AddRegisterVif(vif):
                self.vifs[vif] = (REGISTER_DEVICE, 1)
            case DelVif(vif):
                self.vifs.pop(vif, None)
            case JoinGroup(ifindex, group):
                self.joined.add((ifindex, group))
            case LeaveGroup(ifindex, group):
                self.joined.discard((ifindex, group))
            case JoinSource(ifindex, group, source):
                self.members.add((ifindex, group, source))
            case LeaveSource(ifindex, group, source):
                self.members.discard((ifindex, group, source))
            case SetRegister(source, group):
                self.registers[source, group] = effect
            case DelRegister(source, group):
                self.registers.pop((source, group), None)
            case SetMfc(source, group, iif, oifs, anew, behind):
                (self.behind.add if behind else self.behind.discard)((source, group))
                if anew:
                    self.counts.pop((source, group), None)
                    self.told_wrong.pop((source, group), None)
                self.mfc[source, group] = (iif, oifs)
                counts = self.counts.setdefault((source, group), Counts())
                held = self.held.pop((source, group), None)
                if held is None:
                    return []
                counts.packets += len(held.packets)
                counts.wrong += sum(vif != iif for vif, _ in held.packets)
                return held.packets
            case DelMfc(source, group):
                self.behind.discard((source, group))
                for table in (self.mfc, self.counts, self.told_wrong):
                    table.pop((source, group), None)
        return []

    def check(self, effect: Effect) -> None:
        """Refuse what no careful program asks of the kernel."""
        match effect:
            case AddVif(vif, ifindex, threshold):
                assert 0 <= vif < 32 and 1 <= threshold <= 255, effect
                assert ifindex in self.devices, f"{effect}: no such interface"
                assert self.vifs.get(vif, (ifindex, 0))[0] == ifindex, f"{effect}: the vif is in use"
                others = [v for v, (device, _) in self.vifs.items() if device == ifindex and v != vif]
                assert not others, f"{effect}: the interface is vif {others} already"
                assert vif in self.vifs or not self.naming(vif), f"{effect}: reused while entries name it"
            case AddRegisterVif(vif):
                assert self.vif_of(REGISTER_DEVICE) in (None, vif), f"{effect}: there is a register vif"
                assert self.vifs.get(vif, (REGISTER_DEVICE, 0))[0] == REGISTER_DEVICE, f"{effect}: the vif is in use"
            case DelVif(vif):
                assert not self.naming(vif), f"{effect}: entries name it: {self.naming(vif)}"
            case SetRegister(source, group, address, rp):
                assert self.family.is_unicast(source) and self.family.is_multicast(group), effect
                assert self.family.is_unicast(address) and not self.family.is_link_local(address), effect
                assert all(self.family.is_unicast(each) for each in (rp, *effect.others)), effect
            case JoinGroup(_, group) | LeaveGroup(_, group):
                assert self.family.is_multicast(group), effect
            case SetMfc(source, group, iif, oifs):
                assert self.family.is_unicast(source) and self.family.is_multicast(group), effect
                assert iif in self.vifs, f"{effect}: no such incoming vif"
                missing = [vif for vif in range(32) if oifs >> vif & 1 and vif not in self.vifs]
                assert not missing, f"{effect}: no such outgoing vifs: {missing}"
                assert not oifs >> iif & 1, f"{effect}: back to where it came from"
                tunnel = self.vif_of(REGISTER_DEVICE)
                both = tunnel is not None and oifs >> tunnel & 1 and oifs != 1 << tunnel
                known = (source, group) in self.registers
                assert not effect.behind_registers or (both and known), f"{effect}: behind nothing"

    def naming(self, vif: int) -> list[Channel]:
        """The entries that name a vif."""
        return [channel for channel, (iif, oifs) in self.mfc.items() if vif == iif or oifs >> vif & 1]

    def vif_of(self, ifindex: int) -> int | None:
        """The vif of an interface."""
        return next((vif for vif, (device, _) in self.vifs.items() if device == ifindex), None)

    def device_gone(self, ifindex: int) -> None:
        """A device is no more: its vif and memberships go, the entries that name the vif stay."""
        vif = self.vif_of(ifindex)
        if vif is not None:
            del self.vifs[vif]
        self.joined = {(device, group) for device, group in self.joined if device != ifindex}
        self.members = {member for member in self.members if member[0] != ifindex}

    def outgoing(self, channel: Channel, vif: int | None) -> list[int]:
        """The interfaces to which a packet leaves that comes in by `vif`."""
        entry = self.mfc.get(channel)
        if entry is None or vif is None or entry[0] != vif:
            return []
        return [device for out, (device, _) in sorted(self.vifs.items()) if entry[1] >> out & 1 and device > 0]

    def packet(self, datagram: Datagram, vif: int, now: float) -> list[Upcall]:
        """A packet comes in: what the kernel tells of it. Where it leaves to is in `outgoing`."""
        told = self._judge(datagram, vif, now)
        self.upcalls += any(not isinstance(upcall, WholePacket) for upcall in told)
        return told

    def _judge(self, datagram: Datagram, vif: int, now: float) -> list[Upcall]:
        channel = datagram.channel
        entry = self.mfc.get(channel)
        if entry is None:
            return self._hold(datagram, vif, now)
        counts = self.counts[channel]
        counts.packets += 1
        if entry[0] == vif:
            return self.for_tunnel(datagram, vif)
        counts.wrong += 1
        if now < self.told_wrong.get(channel, float("-inf")) + WRONG_VIF_SECONDS:
            return []
        self.told_wrong[channel] = now
        return [WrongVif(vif, *channel), WholePacket(vif, *channel, True, datagram.to_bytes())]

    def for_tunnel(self, datagram: Datagram, vif: int) -> list[Upcall]:
        """What is handed up of a packet that is forwarded: all of it, if the register tunnel is among its ways out."""
        tunnel = self.vif_of(REGISTER_DEVICE)
        iif, oifs = self.mfc[datagram.channel]
        if tunnel is None or iif != vif or not oifs >> tunnel & 1 or datagram.ttl <= self.vifs[tunnel][1]:
            return []
        return [WholePacket(tunnel, *datagram.channel, False, datagram.to_bytes())]

    def _hold(self, datagram: Datagram, vif: int, now: float) -> list[Upcall]:
        held = self.held.get(datagram.channel)
        if held is not None and now < held.since + HELD_SECONDS:
            if len(held.packets) < HELD_PACKETS or self.vif_of(REGISTER_DEVICE) is not None:
                held.packets.append((vif, datagram))
            return []
        self.held[datagram.channel] = Held(now, [(vif, datagram)])
        return [NoCache(vif, *datagram.channel)]

    def counters(self) -> CountersRead:
        """All entries' packets, less those from a wrong interface, and their bytes."""
        return CountersRead(
            tuple((*channel, c.packets - c.wrong, SIZE * (c.packets - c.wrong)) for channel, c in self.counts.items())
        )

    def contents_read(self) -> TableRead:
        """The whole table, as it is told to who asks."""
        there = sum(1 << vif for vif in self.vifs)
        alone = there & ~sum(1 << vif for vif, (device, _) in self.vifs.items() if device != REGISTER_DEVICE)
        entries = (
            (*channel, iif if there >> iif & 1 else None, oifs & (alone if channel in self.behind else there))
            for channel, (iif, oifs) in self.mfc.items()
        )
        return TableRead(there, tuple(entries))

    def contents(self) -> tuple[object, ...]:
        """All that effects can change, as a value that compares."""
        return dict(self.vifs), dict(self.mfc), set(self.joined), set(self.members), dict(self.registers)
