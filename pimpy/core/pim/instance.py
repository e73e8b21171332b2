"""What the PIM machines of one family share: its settings, interfaces, entries, timers and ways out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from pimpy.core.engine.counters import Counters
from pimpy.core.engine.effects import AddRegisterVif, Effect, Notice, ReadCounters, SendPacket
from pimpy.core.engine.settle import Worklist
from pimpy.core.engine.timers import Timer, TimerHeap
from pimpy.core.forwarding import Forwarding
from pimpy.core.interface import REGISTER_VIF
from pimpy.core.pim import spt_threshold
from pimpy.core.pim.filters import RegisterPolicy
from pimpy.core.pim.policy import KEEPALIVE_PERIOD, POLL
from pimpy.core.pim.rp_set import RpSet
from pimpy.core.pim.spt_threshold import SptThreshold
from pimpy.core.pim.tib import SG, StarG, Tib
from pimpy.core.rpf import Rpf
from pimpy.core.ssm import SsmRanges
from pimpy.wire import pim as wire
from pimpy.wire.family import Address, Family
from pimpy.wire.join_prune import JoinPrune
from pimpy.wire.record import define, field, frozen
from pimpy.wire.value import Value

if TYPE_CHECKING:
    from random import Random

    from pimpy.core.pim.anycast import Anycast
    from pimpy.core.pim.bootstrap import BootstrapRouting
    from pimpy.core.pim.candidate_rp import CandidateRp
    from pimpy.core.pim.joinprune import Outbox
    from pimpy.core.pim.neighbor import PimInterface
    from pimpy.core.pim.repeats import Repeats
    from pimpy.core.pim.unreachable import Hold


class Takeover(Protocol):
    """The taking over of an earlier run's entries, as PIM sees it."""

    def join_prune(self, interface: PimInterface, source: Address, message: JoinPrune) -> None:
        """A neighbour sent a Join/Prune."""

    def asserted(self, interface: PimInterface, source: Address, group: Address) -> None:
        """A neighbour sent an Assert."""


@frozen
class PimSettings(Value):
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
    max_zones: int = 64
    """Scope zones."""
    max_rp_mappings: int = 4096
    """(range of groups, RP) that are learned from Bootstrap messages, and as many from candidate RPs at a BSR."""
    max_groups: int = 65536
    """Groups outside the SSM range that have any entry, in all."""
    keepalive_period: float = KEEPALIVE_PERIOD
    """Keepalive_Period (4.11), seconds; more than POLL, for it is by the counters that data is seen."""
    distance: int | None = None
    """The preference of our Asserts, instead of what the route's protocol stands for (0 to 2^31 - 2)."""
    metric: int | None = None
    """Their metric, instead of the route's (0 to 2^32 - 1)."""


DEFAULT_HELLO_HOLDTIME = 105.0
"""What a Hello without the option means (4.3.2, 4.11), in seconds."""
HOLDTIME_FACTOR = 3.5
"""Hold times are this many intervals (4.11)."""
HOLDTIME_FOREVER = 0xFFFF
"""In a Hello or a Join/Prune: never times out (4.9.2, 4.9.5)."""
GENID_PACE = 5.0
"""A neighbour's further changes of its GenID make us send something this often, in seconds (TH19)."""
RETRY = 10.0
"""Seconds after which the kernel is asked again for what it refused."""
WARNING_PACE = 60.0
"""A warning that somebody else's messages cause is repeated this often, in seconds."""


@define
class Pim:
    """The PIM routing of one family and table."""

    family: Family
    heap: TimerHeap
    random: Random
    rpf: Rpf
    counters: Counters
    emit: Callable[[Effect], None]
    ssm: SsmRanges
    forwarding: Forwarding
    settings: PimSettings = field(factory=PimSettings)
    interfaces: dict[int, PimInterface] = field(factory=dict)
    """The interfaces that take part, passive ones included, by ifindex."""
    tib: Tib = field(factory=Tib)
    rp_set: RpSet = field(init=False)
    spt_threshold: SptThreshold = field(factory=SptThreshold)
    rp_spt_threshold: SptThreshold = field(factory=SptThreshold)
    """The same where this router is the RP."""
    message_rates: dict[str, int] = field(factory=dict)
    """How many messages of a type a second are taken, where the configuration says so; 0: any number."""
    registers: RegisterPolicy = field(factory=RegisterPolicy)
    register_source: Address | None = None
    """The address of ours that Registers come from, if the configuration names one."""
    own: set[Address] = field(factory=set)
    """All addresses of this host."""
    dr: int = 0
    """{ I: I_am_DR(I) } as a bit mask of vifs (4.3.2)."""
    touched: Worklist[SG | StarG] = field(factory=Worklist)
    outbox: Outbox = field(init=False)
    """The Joins and Prunes of this batch."""
    bootstrap: BootstrapRouting = field(init=False)
    candidate_rp: CandidateRp = field(init=False)
    anycast: Anycast = field(init=False)
    repeats: Repeats = field(init=False)
    excludes: Callable[[Address, Address], int] = field(default=lambda source, group: 0)
    """{ I: local_receiver_exclude(S,G,I) } as the membership protocol has it."""
    borders: dict[PimInterface, None] = field(factory=dict)
    """The interfaces that are a border of any scope: most of the time none."""
    turned_away: bool = False
    """Whether a member ever found no room for its entry: only then a new one has to look for members that wait."""
    look_for_members: Callable[[SG | StarG], None] = field(default=lambda entry: None)
    """Give a new entry the members that wait for it."""
    neighbors_changed: Callable[[], None] = field(default=lambda: None)
    """Told when a neighbour came or went, or has other addresses."""
    takes_over: bool = False
    """Whether interfaces that start now go on with what an earlier run of this daemon did: they say Hello at once."""
    takeover: Takeover | None = None
    """Who wants to know what neighbours say, while entries of an earlier run are held."""
    told: Callable[[str, Address, Address | None, str | None, Address | None], None] | None = None
    """Who is told of changes of state (`tell`), while somebody watches; it must not change anything."""
    register_vif: bool = False
    """Whether the register tunnel's vif exists."""
    unreachable: dict[Address, Hold] = field(factory=dict)
    """The RPs to which no data is registered for a while; each of them has been one of ours."""
    quiet: dict[tuple[str, str], float] = field(factory=dict)
    """Until when a warning is not repeated, by interface and reason."""
    register_retry: Timer = field(init=False)
    """When the register tunnel is tried again that the kernel refused."""
    poll: Timer = field(init=False)
    """When the kernel's counters are looked at next; runs while data passes."""
    measuring: Timer = field(init=False)
    """When the interval of `spt-threshold` ends; runs while something hangs on that."""

    def __post_init__(self) -> None:
        self.rp_set = RpSet(self.family, self.heap, self.rpf)
        self.poll = Timer(self.heap, self, _read_counters)
        self.register_retry = Timer(self.heap, self, Pim.renew_register_vif)
        self.measuring = Timer(self.heap, self, spt_threshold.interval_ends)

    @property
    def now(self) -> float:
        """The time of the event in hand, in seconds of a clock that never goes back."""
        return self.heap.now

    def is_mine(self, address: Address | None) -> bool:
        """Whether `address` is one of this host's."""
        return address in self.own

    def by_vif(self, vif: int) -> PimInterface | None:
        """The interface behind a vif; None for the register tunnel's."""
        return next((interface for interface in self.interfaces.values() if interface.vif == vif), None)

    def is_barred(self, vif: int, group: Address) -> bool:
        """Whether `vif` is a border of the group's scope: what comes in there is of another zone."""
        interface = self.by_vif(vif) if self.borders else None
        return interface is not None and interface.bars(group)

    def send(self, interface: PimInterface, message: wire.Message, source: Address | None = None) -> None:
        """Send a message to ALL-PIM-ROUTERS, from our Hello address or from `source`."""
        source = interface.address if source is None else source
        self._send(interface, source, self.family.all_pim_routers, message)

    def send_bytes(self, interface: PimInterface, data: bytes, kind: str) -> None:
        """Send a message that is bytes already to ALL-PIM-ROUTERS, from our Hello address, its checksum made anew."""
        source, destination = interface.address, self.family.all_pim_routers
        sealed = wire.seal(self.family, source, destination, data)
        self.emit(SendPacket("pim", interface.ifindex, source, destination, sealed))
        self.counters.add(interface.name, "pim", "tx", kind)

    def send_unicast(
        self, interface: PimInterface, source: Address, destination: Address, message: wire.Message, ttl: int = 0
    ) -> None:
        """Send a message to one router, wherever it is; `interface` is what it is counted for. `ttl` 0: as usual."""
        self._send(interface, source, destination, message, ttl)

    def _send(
        self, interface: PimInterface, source: Address, destination: Address, message: wire.Message, ttl: int = 0
    ) -> None:
        data = wire.encode(self.family, source, destination, message)
        self.emit(SendPacket("pim", interface.ifindex, source, destination, data, ttl))
        self.counters.add(interface.name, "pim", "tx", wire.message_name(message))

    def source_towards(self, sg: SG) -> Address | None:
        """The address that our Registers for `sg` come from: a routable one of ours, on the source's link if there
        is one (4.4.1), unless the configuration names another."""
        if self.register_source is not None:
            return self.register_source
        on_link = self.interfaces.get(sg.path.ifindex) if sg.path.ifindex is not None else None
        if on_link is not None and on_link.link.routable is not None:
            return on_link.link.routable
        others = (self.interfaces[ifindex].link.routable for ifindex in sorted(self.interfaces))
        return next((address for address in others if address is not None), None)

    def need_register_vif(self) -> None:
        """The register tunnel is wanted: this router is a DR with a source, or an RP (4.4)."""
        if not self.register_vif:
            self.register_vif = True
            self.emit(AddRegisterVif(REGISTER_VIF))

    def expect_sources(self) -> None:
        """Where this router is a DR and RPs are known, the register tunnel exists before the first source speaks.

        Its first packets are then held for it, however many (`kernel/native/hold.c`).
        """
        if self.dr and (self.rp_set.mappings or self.rp_set.learned):
            self.need_register_vif()

    def renew_register_vif(self) -> None:
        """The register tunnel is gone, or could not be made: make it, and tell the entries that lead there again."""
        if self.register_vif:
            self.emit(AddRegisterVif(REGISTER_VIF))
            self.forwarding.rewrite()

    def retry_register_vif(self) -> None:
        """The kernel refused the register tunnel: try again in a while."""
        self.register_retry.at(self.now + RETRY)

    def watch_counters(self) -> None:
        """Data passes: look at the kernel's counters from now on."""
        if not self.poll.running:
            self.poll.at(self.now + POLL)

    def refuse(self, interface: str, kind: str, reason: str) -> None:
        """Count a received message, or an entry of one, that is not used."""
        self.counters.add(interface, "pim", "rx", kind, reason)

    def tell(
        self, what: str, group: Address, source: Address | None, interface: str | None, address: Address | None = None
    ) -> None:
        """Tell who watches that an entry changed: `what` is a word of `daemon.monitor.EVENTS`."""
        if self.told is not None:
            self.told(what, group, source, interface, address)

    def notice(self, level: str, reason: str, text: str) -> None:
        """Tell the operator."""
        self.emit(Notice(level, reason, text))

    def warn(self, interface: str, reason: str, text: str) -> None:
        """Warn the operator of what others can cause at will: once in WARNING_PACE for each interface and reason."""
        if self.now >= self.quiet.get((interface, reason), self.now):
            self.quiet[interface, reason] = self.now + WARNING_PACE
            self.notice("warning", reason, f"{interface}: {text}")


def _read_counters(pim: Pim) -> None:
    """Ask for the kernel's counters, in one dump for all entries."""
    if any(sg.flow is not None for sg in pim.tib.sg.values()):
        pim.emit(ReadCounters())
        pim.poll.at(pim.now + POLL)
