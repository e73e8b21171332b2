"""Effects sorted into batches, in which the kernel is told them."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define, field

from pimpy.core.engine.effects import (
    AddRegisterVif,
    AddVif,
    DelMfc,
    DelRegister,
    DelVif,
    Effect,
    ForgetRpf,
    ForwardPacket,
    HearRegister,
    JoinGroup,
    JoinSource,
    LeaveGroup,
    LeaveSource,
    QuietRegister,
    ReadCounters,
    ReadTable,
    ResolveRpf,
    SendPacket,
    SetMfc,
    SetRegister,
)
from pimpy.wire.family import Address


@define
class Plan:
    """Effects sorted into batches; of several for the same thing the last one counts."""

    joins: dict[tuple[int, Address], JoinGroup | LeaveGroup] = field(factory=dict)
    members: dict[tuple[int, Address, Address], JoinSource | LeaveSource] = field(factory=dict)
    vifs: dict[int, AddVif | AddRegisterVif | DelVif] = field(factory=dict)
    mfc: dict[tuple[Address, Address], SetMfc | DelMfc] = field(factory=dict)
    registers: dict[tuple[Address, Address], SetRegister | DelRegister] = field(factory=dict)
    quiet: dict[tuple[Address, Address], QuietRegister | HearRegister] = field(factory=dict)
    packets: dict[str, list[SendPacket]] = field(factory=dict)
    forwards: list[ForwardPacket] = field(factory=list)
    counters: bool = False
    table: bool = False
    routes: dict[Address, ResolveRpf | ForgetRpf] = field(factory=dict)

    def sort(self, effects: Sequence[Effect]) -> None:
        """Take effects in; a Notice is not for the kernel."""
        mfc = self.mfc
        for effect in effects:
            kind = type(effect)
            if kind is SetMfc or kind is DelMfc:
                mfc[effect.source, effect.group] = effect  # type: ignore[union-attr,assignment]
            elif isinstance(effect, SendPacket):
                self.packets.setdefault(effect.protocol, []).append(effect)
            elif isinstance(effect, (ResolveRpf, ForgetRpf)):
                self.routes[effect.address] = effect
            elif isinstance(effect, (SetRegister, DelRegister)):
                self.registers[effect.source, effect.group] = effect
            elif isinstance(effect, (QuietRegister, HearRegister)):
                self.quiet[effect.source, effect.group] = effect
            elif isinstance(effect, ForwardPacket):
                self.forwards.append(effect)
            elif isinstance(effect, ReadCounters):
                self.counters = True
            elif isinstance(effect, ReadTable):
                self.table = True
            elif isinstance(effect, (AddVif, AddRegisterVif, DelVif)):
                self.vifs[effect.vif] = effect
            elif isinstance(effect, (JoinGroup, LeaveGroup)):
                self.joins[effect.ifindex, effect.group] = effect
            elif isinstance(effect, (JoinSource, LeaveSource)):
                self.members[effect.ifindex, effect.group, effect.source] = effect
