"""Anycast RP by PIM: several RPs share an address and tell each other of sources (RFC 4610).

A Register that a DR sends to the shared address is copied to the other members, from our own address to theirs; one
that comes from a member is used and never copied. A member that has heard enough says so to us alone. Sources on our
own links, which nobody registers here, we register with the other members as their DR.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pimpy.core.engine.effects import DelRegister, SetRegister
from pimpy.core.engine.timers import Timer
from pimpy.core.interface import REGISTER_MASK
from pimpy.core.pim import macros
from pimpy.core.pim.register import REGISTER_PROBE_TIME
from pimpy.wire import pim as wire
from pimpy.wire.family import Address, Family
from pimpy.wire.record import define, field, frozen
from pimpy.wire.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pimpy.config.model import AnycastRp
    from pimpy.core.engine.events import PacketReceived
    from pimpy.core.pim.instance import Pim
    from pimpy.core.pim.neighbor import PimInterface
    from pimpy.core.pim.tib import SG

STOP_TIME = 60.0
"""Seconds that a member's Register-Stop holds back copies of data to it: Register_Suppression_Time (RFC 7761 4.11)."""
TELL_INTERVAL = 60.0
"""Seconds between two Null-Registers for a source of our own; its (S,G) at the others lives for three of them."""
MAX_STOPS = 100_000
"""(S,G) and member pairs whose Register-Stop is remembered."""
MAX_OTHERS = 15
"""Members of a set beside ourselves: what the register table has room for, and more than anybody builds."""


@frozen
class AnycastSet(Value):
    """The RPs of one shared address, of which we are one."""

    address: Address
    mine: Address
    """Our own address among the members."""
    others: tuple[Address, ...]


@define
class Telling:
    """Registers for a source on a link of ours (4610 3, the DR that is an RP itself).

    Its data goes to each other member until that one has said to stop, and again if it does not answer a later
    Null-Register within Register_Probe_Time: the Register machine of RFC 7761 4.4.1 for each member.
    """

    sg: SG
    members: AnycastSet
    until: dict[Address, float] = field(factory=dict)
    """When a member is to get data again that has said to stop."""
    told: SetRegister | None = None
    """What the register table has of it."""
    null_timer: Timer = field(init=False)
    """When Null-Registers leave next."""
    data_timer: Timer = field(init=False)
    """When the first of `until` is over."""

    def __post_init__(self) -> None:
        self.null_timer = Timer(self.sg.pim.heap, self, _send_null_registers)
        self.data_timer = Timer(self.sg.pim.heap, self, _write_table)

    def begin(self) -> None:
        """The source speaks: its first packet goes to all."""
        self.sg.pim.need_register_vif()
        self.null_timer.at(self.sg.pim.now + TELL_INTERVAL)
        _write_table(self)

    def stop(self, member: Address) -> None:
        """A member's Register-Stop."""
        self.until[member] = self.sg.pim.now + TELL_INTERVAL + REGISTER_PROBE_TIME
        _write_table(self)

    def end(self) -> None:
        """Nothing more is told."""
        self.null_timer.close()
        self.data_timer.close()
        _set_tunnel(self.sg, wanted=False)
        if self.told is not None:
            self.sg.pim.emit(DelRegister(self.sg.source, self.sg.group))


@define
class Anycast:
    """The shared addresses of one family that are ours."""

    pim: Pim
    sets: dict[Address, AnycastSet] = field(factory=dict)
    stopped: dict[tuple[bytes, Address], float] = field(factory=dict)
    """Until when data of an (S,G) is not copied to a member."""
    told: dict[SG, Telling] = field(factory=dict)

    def configure(self, family: Family, wishes: Iterable[AnycastRp]) -> None:
        """Follow the configuration and our addresses: a set counts where the shared address and one member are ours."""
        found: dict[Address, AnycastSet] = {}
        for wish in wishes:
            mine = next((member for member in wish.members if self.pim.is_mine(member)), None)
            if len(wish.address) == family.size and mine is not None and self.pim.is_mine(wish.address):
                others = tuple(member for member in wish.members if not self.pim.is_mine(member))[:MAX_OTHERS]
                found[wish.address] = AnycastSet(wish.address, mine, others)
        if found != self.sets:
            self.sets = found
            self.pim.repeats.forget_all()  # each Register is copied to the other members
            for telling in list(self.told.values()):
                self._end(telling)
            for address in found:
                for tree in self.pim.rp_set.trees_of(address):
                    for sg in tree.sources:
                        self.pim.touched.touch(sg)

    # What comes in.

    def takes(self, rp: Address | None, source: Address, destination: Address) -> bool:
        """Whether a Register to an address that is not RP(G) is a member's copy to us."""
        members = self.sets.get(rp) if rp is not None else None
        return members is not None and destination == members.mine and source in members.others

    def is_stray(self, rp: Address | None, destination: Address) -> bool:
        """Whether a DR sent a Register to our own address instead of the shared one (K5)."""
        members = self.sets.get(rp) if rp is not None else None
        return members is not None and destination == members.mine

    def copy(self, interface: PimInterface, outer: PacketReceived, key: bytes, message: wire.Register) -> None:
        """A DR's Register to the shared address: a copy to each other member, the packet inside unchanged (K1, K3).

        Its TTL is one less than the Register's, so that members whose lists differ cannot pass it round for ever.
        """
        members = self.sets.get(outer.destination)
        if members is None or outer.source in members.others:
            return
        if outer.ttl <= 1:
            self.pim.refuse(interface.name, "register", "anycast_ttl")
            return
        now = self.pim.now
        for member in members.others:
            if message.null or self.stopped.get((key, member), now) <= now:
                self.pim.send_unicast(interface, members.mine, member, message, outer.ttl - 1)

    def receive_stop(self, source: Address, message: wire.RegisterStop) -> bool:
        """A Register-Stop from a member for our copies: it holds for the data to that member only (K4).

        Whether it was one.
        """
        if not any(source in members.others for members in self.sets.values()):
            return False
        key = message.source + message.group
        sg = self.pim.tib.sg.get(key)
        if sg is not None and (telling := self.told.get(sg)) is not None:
            if source in telling.members.others:
                telling.stop(source)
        elif sg is not None:
            if len(self.stopped) >= MAX_STOPS:
                self._forget_old()
            if len(self.stopped) < MAX_STOPS:
                self.stopped[key, source] = self.pim.now + STOP_TIME
        return True

    def _forget_old(self) -> None:
        self.stopped = {pair: until for pair, until in self.stopped.items() if until > self.pim.now}

    # Sources of our own.

    def end_unwanted(self, sg: SG) -> None:
        """Before an RP elsewhere is told of a source: the other members are not any more, if we are not of them."""
        if self.told and sg in self.told and self._set_for(sg) is None:
            self.forget(sg)

    def settle(self, sg: SG) -> None:
        """Whether the other members are to be told of a source: we are the RP, and its DR (K6)."""
        if self.sets and sg not in self.told and (members := self._set_for(sg)) is not None:
            telling = self.told[sg] = Telling(sg, members)
            telling.begin()

    def _set_for(self, sg: SG) -> AnycastSet | None:
        tree = sg.tree
        members = self.sets.get(tree.rp) if tree is not None and tree.rp is not None else None
        return members if members is not None and members.others and macros.could_register(sg) else None

    def forget(self, sg: SG) -> None:
        """The entry is no more."""
        if (telling := self.told.get(sg)) is not None:
            self._end(telling)

    def _end(self, telling: Telling) -> None:
        telling.end()
        del self.told[telling.sg]


def _write_table(telling: Telling) -> None:
    """Keep the register table's entry true: to which members data goes."""
    sg, members = telling.sg, telling.members
    now = sg.pim.now
    later = [until for until in telling.until.values() if until > now]
    if later:
        telling.data_timer.at(min(later))
    goes = [member for member in members.others if telling.until.get(member, now) <= now]
    first, *rest = goes or members.others
    wanted = SetRegister(sg.source, sg.group, members.mine, first, not goes, tuple(rest))
    if wanted != telling.told:
        telling.told = wanted
        sg.pim.emit(wanted)
    _set_tunnel(sg, wanted=bool(goes))


def _set_tunnel(sg: SG, *, wanted: bool) -> None:
    """Whether the register tunnel is in joins(S,G), as the Register machine has it at another DR (RFC 7761 4.4.1)."""
    if bool(sg.joins & REGISTER_MASK) != wanted:
        sg.joins ^= REGISTER_MASK
        sg.pim.touched.touch(sg)


def _send_null_registers(telling: Telling) -> None:
    """A Null-Register to each other member, and again later."""
    sg, members = telling.sg, telling.members
    pim = sg.pim
    telling.null_timer.at(pim.now + TELL_INTERVAL)
    interface = macros.rpf_interface(pim, sg.path)
    if interface is None:
        return
    message = wire.Register(False, True, wire.dummy_header(pim.family, sg.source, sg.group))
    for member in members.others:
        pim.send_unicast(interface, members.mine, member, message)
