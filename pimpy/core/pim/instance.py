"""What the PIM machines of one family share: its settings, interfaces, entries, timers and ways out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from pimpy.core.engine.counters import Counters
from pimpy.core.engine.effects import Effect, Notice, SendPacket
from pimpy.core.engine.settle import Worklist
from pimpy.core.engine.timers import TimerHeap
from pimpy.core.pim.tib import SG, Tib
from pimpy.core.rpf import Rpf
from pimpy.core.ssm import SsmRanges
from pimpy.wire import pim as wire
from pimpy.wire.family import Address, Family

if TYPE_CHECKING:
    from random import Random

    from pimpy.core.pim.joinprune import Outbox
    from pimpy.core.pim.neighbor import PimInterface


@frozen
class PimSettings:
    """The numbers of RFC 7761 4.11 and our limits, in force on all interfaces. Times are in seconds."""

    triggered_hello_delay: float = 5.0
    """Triggered_Hello_Delay, also the time within which the first Hello of an interface leaves."""
    propagation_delay: float = 0.5
    """Propagation_delay_default, and what our Hellos say (0 to 32.767)."""
    override_interval: float = 2.5
    """t_override_default, and what our Hellos say (0 to 65.535)."""
    t_bit: bool = False
    """Whether our Hellos offer to do without join suppression."""
    max_neighbors: int = 1024
    """On one interface."""
    max_secondary: int = 64
    """Addresses of one neighbour's Address List."""
    max_sg: int = 65536
    """(S,G) entries in all."""


DEFAULT_HELLO_HOLDTIME = 105.0
"""What a Hello without the option means (4.3.2, 4.11), in seconds."""
HOLDTIME_FACTOR = 3.5
"""Hold times are this many intervals (4.11)."""
HOLDTIME_FOREVER = 0xFFFF
"""In a Hello or a Join/Prune: never times out (4.9.2, 4.9.5)."""
GENID_PACE = 5.0
"""A neighbour's further changes of its GenID make us send something this often, in seconds (TH19)."""
WARNING_PACE = 60.0
"""A warning that somebody else's messages cause is repeated this often, in seconds."""


@define(eq=False)
class Pim:
    """The PIM routing of one family and table."""

    family: Family
    heap: TimerHeap
    random: Random
    rpf: Rpf
    counters: Counters
    emit: Callable[[Effect], None]
    ssm: SsmRanges
    settings: PimSettings = field(factory=PimSettings)
    interfaces: dict[int, PimInterface] = field(factory=dict)
    """The interfaces that take part, passive ones included, by ifindex."""
    tib: Tib = field(factory=Tib)
    dr: int = 0
    """{ I: I_am_DR(I) } as a bit mask of vifs (4.3.2)."""
    touched: Worklist[SG] = field(factory=Worklist)
    outbox: Outbox = field(init=False)
    """The Joins and Prunes of this batch."""
    quiet: dict[tuple[str, str], float] = field(factory=dict)
    """Until when a warning is not repeated, by interface and reason."""

    @property
    def now(self) -> float:
        """The time of the event in hand, in seconds of a clock that never goes back."""
        return self.heap.now

    def send(self, interface: PimInterface, message: wire.Message, source: Address | None = None) -> None:
        """Send a message to ALL-PIM-ROUTERS, from our Hello address or from `source`."""
        source = interface.address if source is None else source
        group = self.family.all_pim_routers
        data = wire.encode(self.family, source, group, message)
        self.emit(SendPacket("pim", interface.ifindex, source, group, data))
        self.counters.add(interface.name, "pim", "tx", wire.MESSAGE_NAMES[type(message)])

    def refuse(self, interface: str, kind: str, reason: str) -> None:
        """Count a received message, or an entry of one, that is not used."""
        self.counters.add(interface, "pim", "rx", kind, reason)

    def notice(self, level: str, reason: str, text: str) -> None:
        """Tell the operator."""
        self.emit(Notice(level, reason, text))

    def warn(self, interface: str, reason: str, text: str) -> None:
        """Warn the operator of what others can cause at will: once in WARNING_PACE for each interface and reason."""
        if self.now >= self.quiet.get((interface, reason), self.now):
            self.quiet[interface, reason] = self.now + WARNING_PACE
            self.notice("warning", reason, f"{interface}: {text}")
