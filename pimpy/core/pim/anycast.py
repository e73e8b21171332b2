"""Anycast RP by PIM: several RPs share an address and tell each other of sources (RFC 4610).

A Register that a DR sends to the shared address is copied to the other members, from our own address to theirs; one
that comes from a member is used and never copied. A member that has heard enough says so to us alone. Sources on our
own links, which nobody registers here, are told of by Null-Registers: the others join them by their own trees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field, frozen

from pimpy.core.engine.timers import Timer
from pimpy.core.pim import macros
from pimpy.wire import pim as wire
from pimpy.wire.family import Address, Family

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pimpy.config.model import AnycastRp
    from pimpy.core.pim.instance import Pim
    from pimpy.core.pim.neighbor import PimInterface
    from pimpy.core.pim.tib import SG

STOP_TIME = 60.0
"""Seconds that a member's Register-Stop holds back data to it: Register_Suppression_Time (RFC 7761 4.11)."""
TELL_INTERVAL = 60.0
"""Seconds between two Null-Registers for a source of our own; its (S,G) at the others lives for three of them."""
MAX_STOPS = 100_000
"""(S,G) and member pairs whose Register-Stop is remembered."""


@frozen
class AnycastSet:
    """The RPs of one shared address, of which we are one."""

    address: Address
    mine: Address
    """Our own address among the members."""
    others: tuple[Address, ...]


@define(eq=False)
class Telling:
    """Null-Registers for a source on a link of ours (4610 3, the DR that is an RP itself)."""

    sg: SG
    members: AnycastSet
    timer: Timer = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.timer = Timer(self.sg.pim.heap, self, _tell)


@define(eq=False)
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
                others = tuple(member for member in wish.members if not self.pim.is_mine(member))
                found[wish.address] = AnycastSet(wish.address, mine, others)
        if found != self.sets:
            self.sets = found
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

    def copy(self, interface: PimInterface, dr: Address, rp: Address, key: bytes, message: wire.Register) -> None:
        """A DR's Register to the shared address: a copy to each other member, the packet inside unchanged (K1, K3)."""
        members = self.sets.get(rp)
        if members is None or dr in members.others:
            return
        now = self.pim.now
        for member in members.others:
            if message.null or self.stopped.get((key, member), now) <= now:
                self.pim.send_unicast(interface, members.mine, member, message)

    def receive_stop(self, source: Address, message: wire.RegisterStop) -> bool:
        """A Register-Stop from a member for our copies: it holds for the data to that member only (K4).

        Whether it was one.
        """
        if not any(source in members.others for members in self.sets.values()):
            return False
        key = message.source + message.group
        if key in self.pim.tib.sg:
            if len(self.stopped) >= MAX_STOPS:
                self._forget_old()
            if len(self.stopped) < MAX_STOPS:
                self.stopped[key, source] = self.pim.now + STOP_TIME
        return True

    def _forget_old(self) -> None:
        self.stopped = {pair: until for pair, until in self.stopped.items() if until > self.pim.now}

    # Sources of our own.

    def settle(self, sg: SG) -> None:
        """Whether the other members are to be told of a source: we are the RP, and its DR (K6)."""
        tree = sg.tree
        members = self.sets.get(tree.rp) if tree is not None and tree.rp is not None else None
        wanted = members is not None and bool(members.others) and macros.could_register(sg)
        telling = self.told.get(sg)
        if not wanted and telling is not None:
            self._end(telling)
        elif wanted and members is not None and telling is None:
            telling = self.told[sg] = Telling(sg, members)
            _tell(telling)

    def forget(self, sg: SG) -> None:
        """The entry is no more."""
        if (telling := self.told.get(sg)) is not None:
            self._end(telling)

    def _end(self, telling: Telling) -> None:
        telling.timer.close()
        del self.told[telling.sg]


def _tell(telling: Telling) -> None:
    """A Null-Register to each other member, and again later."""
    sg, members = telling.sg, telling.members
    pim = sg.pim
    telling.timer.at(pim.now + TELL_INTERVAL)
    interface = macros.rpf_interface(pim, sg.path)
    if interface is None:
        return
    message = wire.Register(False, True, wire.dummy_header(pim.family, sg.source, sg.group))
    for member in members.others:
        pim.send_unicast(interface, members.mine, member, message)
