"""Hellos, neighbours and the DR: RFC 7761 4.3."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pimpy.core.engine.timers import NEVER, Timer
from pimpy.core.interface import Interface
from pimpy.core.pim import asserts, trees, upstream
from pimpy.core.pim.filters import Filter, JoinFilter
from pimpy.core.pim.instance import (
    DEFAULT_HELLO_HOLDTIME,
    GENID_PACE,
    HOLDTIME_FACTOR,
    HOLDTIME_FOREVER,
    Pim,
)
from pimpy.core.pim.scope import holds_back
from pimpy.core.pim.tib import SG, Group, StarG
from pimpy.core.rpf import Path
from pimpy.wire.family import Address, format_address
from pimpy.wire.pim import Hello, LanPruneDelay
from pimpy.wire.record import define, evolve, field

if TYPE_CHECKING:
    from pimpy.core.pim.asserts import AssertState
    from pimpy.core.pim.downstream import Downstream
    from pimpy.core.pim.downstream_rpt import RptDownstream
    from pimpy.core.pim.limits import Bucket

DEFAULT_DR_PRIORITY = 1
HELLO_SIZE = 38
"""Bytes of our Hello with an empty Address List."""


@define
class Neighbor:
    """A PIM router on one of our links, keyed by that link: fe80::1 on two links is two neighbours (N12)."""

    interface: PimInterface
    address: Address
    since: float
    hello: Hello
    """What it last said: its options, those it left out being None (4.3.2, 4.3.3)."""
    liveness: Timer = field(init=False)
    """NLT(N,I), the Neighbor Liveness Timer."""
    hello_owed: bool = True
    """Whether it has not heard a Hello of ours since it came or restarted."""
    restart_answer: Timer = field(init=False)
    """When a restart is answered that followed too soon on another one (TH19)."""
    rates: dict[str, Bucket] = field(factory=dict)
    """How many of its messages of each type may come yet."""
    paced_until: float = 0.0
    """Until when a further change of its GenID makes us send nothing."""
    heard: tuple[bytes, Hello] | None = None
    """The bytes of its last Hello, and what they say: most are the same as the one before."""

    def __post_init__(self) -> None:
        self.liveness = Timer(self.interface.pim.heap, self, _liveness_expired)
        self.restart_answer = Timer(self.interface.pim.heap, self, _answer_restart)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Its primary address, and the secondary ones that are its own and nobody else's (4.3.4)."""
        interface = self.interface
        own = (a for a in self.hello.addresses or () if interface.secondary_of.get(a) is self)
        return (self.address, *own)


@define
class PimInterface:
    """PIM on one interface; exists as long as PIM runs there."""

    pim: Pim
    link: Interface
    address: Address
    """The source of our Hellos, our primary address."""
    passive: bool
    """No PIM message is sent or taken (Y6); we are the DR for the hosts there."""
    dr_priority: int
    hello_interval: float
    """Hello_Period, seconds."""
    generation_id: int = field(init=False)
    neighbors: dict[Address, Neighbor] = field(factory=dict)
    secondary_of: dict[Address, Neighbor] = field(factory=dict)
    """Whose secondary address it is; of two that claim one, the last to announce it (N15)."""
    downstream: dict[SG | StarG, Downstream] = field(factory=dict)
    """The downstream (*,G) and (S,G) machines on this interface that are not in state NoInfo."""
    downstream_rpt: dict[SG, RptDownstream] = field(factory=dict)
    """The downstream (S,G,rpt) machines that are not in state NoInfo."""
    asserts: dict[AssertState, None] = field(factory=dict)
    """The Assert machines that are not in state NoInfo."""
    assert_forgotten: SG | StarG | None = None
    """The entry that the Assert in hand took to state NoInfo."""
    members: dict[SG | StarG, None] = field(factory=dict)
    """The entries with a member here."""
    dr: Neighbor | None = None
    """DR(I); None is me (4.3.2)."""
    hello_timer: Timer = field(init=False)
    """HT(I)."""
    triggered_hello: Timer = field(init=False)
    """When a new or restarted neighbour gets its Hello."""
    rates: dict[str, Bucket] = field(factory=dict)
    """How many messages of each type from others than neighbours may come yet."""
    neighbor_filter: Filter = field(factory=Filter)
    """Whom Hellos, Joins, Prunes and Asserts are taken from."""
    join_filter: JoinFilter = field(factory=JoinFilter)
    """What neighbours may join here."""
    hello_sent: bool = False
    """Whether a Hello left from the present address."""
    lan_delay_enabled: bool = True
    """lan_delay_enabled(I): all neighbours sent the LAN Prune Delay option (4.3.3)."""

    def __post_init__(self) -> None:
        self.generation_id = self.pim.random.getrandbits(32)
        self.hello_timer = Timer(self.pim.heap, self, _hello_timer_expired)
        self.triggered_hello = Timer(self.pim.heap, self, send_hello)

    @property
    def name(self) -> str:
        """The name that the interface has now."""
        return self.link.name

    @property
    def ifindex(self) -> int:
        """The kernel's index."""
        return self.link.ifindex

    @property
    def vif(self) -> int | None:
        """The kernel's virtual interface, None if there is none left."""
        return self.link.vif

    @property
    def mask(self) -> int:
        """1 << vif, 0 without one."""
        return self.link.mask

    def say_hello_first(self, *neighbors: Neighbor) -> None:
        """Before a message that these neighbours must not drop for want of a Hello of ours (4.3.1, N7)."""
        if not self.hello_sent or any(neighbor.hello_owed for neighbor in neighbors):
            send_hello(self)

    def owns(self, address: Address) -> bool:
        """Whether `address` is one of ours on this interface."""
        return address in self.link.own

    def bars(self, group: Address) -> bool:
        """Whether this is a border of a scope that `group` is in: nothing of it passes, Joins and data alike."""
        scoped = self.link.phyint.scoped
        return bool(scoped) and any(holds_back(boundary, group) for boundary in scoped)

    def neighbor(self, address: Address) -> Neighbor | None:
        """NBR(I, A) of 4.3.4: by primary address first."""
        return self.neighbors.get(address) or self.secondary_of.get(address)

    def effective_propagation_delay(self) -> float:
        """Effective_Propagation_Delay(I) of 4.3.3, seconds."""
        settings = self.pim.settings
        if not self.lan_delay_enabled:
            return 0.5  # Propagation_delay_default
        return max((settings.propagation_delay, *(d.propagation_delay / 1000 for d in self._delays())))

    def effective_override_interval(self) -> float:
        """Effective_Override_Interval(I) of 4.3.3, seconds."""
        settings = self.pim.settings
        if not self.lan_delay_enabled:
            return 2.5  # t_override_default
        return max((settings.override_interval, *(d.override_interval / 1000 for d in self._delays())))

    def suppression_enabled(self) -> bool:
        """Suppression_Enabled(I) of 4.3.3; off only if all neighbours set the T bit, and we do (N14)."""
        if not self.lan_delay_enabled or not self.pim.settings.t_bit:
            return True
        return not all(delay.t_bit for delay in self._delays())

    def jp_override_interval(self) -> float:
        """J/P_Override_Interval(I) = Effective_Propagation_Delay(I) + Effective_Override_Interval(I) (4.11)."""
        return self.effective_propagation_delay() + self.effective_override_interval()

    def would_be_dr(self, others: Iterable[Neighbor]) -> bool:
        """Whether we are the DR if only `others` are on the link (4.3.2; RFC 5059 3.5)."""
        return _elected(self, others) is None

    def _delays(self) -> Iterator[LanPruneDelay]:
        return (n.hello.lan_prune_delay for n in self.neighbors.values() if n.hello.lan_prune_delay is not None)


def start(interface: PimInterface) -> None:
    """PIM begins on an interface: the first Hello leaves within Triggered_Hello_Delay (4.3.1)."""
    pim = interface.pim
    elect_dr(interface)
    if not interface.passive:
        delay = 0.0 if pim.takes_over else pim.random.uniform(0, pim.settings.triggered_hello_delay)
        interface.hello_timer.at(pim.now + delay)


def stop(interface: PimInterface, *, reachable: bool) -> None:
    """PIM ends on an interface; its neighbours are told if it is `reachable` (4.3.1)."""
    if reachable:
        send_goodbye(interface)
    interface.hello_timer.cancel()
    interface.triggered_hello.cancel()
    for neighbor in list(interface.neighbors.values()):
        remove(neighbor, "the interface stopped")
    interface.pim.dr &= ~interface.mask


def send_hello(interface: PimInterface) -> None:
    """Send a Hello now (4.3.1); it serves every neighbour that waits for one."""
    pim, settings = interface.pim, interface.pim.settings
    interface.triggered_hello.cancel()
    interface.hello_sent = True
    newcomers = [neighbor for neighbor in interface.neighbors.values() if neighbor.hello_owed]
    for neighbor in newcomers:
        neighbor.hello_owed = False
    hello = Hello(
        holdtime=min(int(HOLDTIME_FACTOR * interface.hello_interval), HOLDTIME_FOREVER - 1),
        lan_prune_delay=LanPruneDelay(
            settings.t_bit, round(settings.propagation_delay * 1000), round(settings.override_interval * 1000)
        ),
        dr_priority=interface.dr_priority,
        generation_id=interface.generation_id,
        addresses=_address_list(interface) or None,
    )
    pim.send(interface, hello)
    if newcomers:
        pim.bootstrap.greet(interface, newcomers)


def _address_list(interface: PimInterface) -> tuple[Address, ...]:
    """Our other addresses (4.3.4), as many as fit into a packet."""
    room = interface.link.messages - HELLO_SIZE
    return interface.link.secondary()[: room // (2 + interface.pim.family.size)]


def send_goodbye(interface: PimInterface, address: Address | None = None) -> None:
    """A Hello with holdtime 0: neighbours forget us, or our old `address`, at once (4.3.1, N19)."""
    if interface.hello_sent and not interface.passive:
        hello = Hello(holdtime=0, lan_prune_delay=None, dr_priority=None, generation_id=interface.generation_id)
        interface.pim.send(interface, hello, address)
        interface.hello_sent = False


def _hello_timer_expired(interface: PimInterface) -> None:
    interface.hello_timer.at(interface.pim.now + interface.hello_interval)
    send_hello(interface)


def readdress(interface: PimInterface, address: Address) -> None:
    """Our addresses on the interface changed; `address` is the primary one now (4.3.1, N16, N19)."""
    if address != interface.address:
        asserts.our_address_changes(interface)
        send_goodbye(interface, interface.address)
        interface.address = address
        elect_dr(interface)
    if not interface.passive:
        send_hello(interface)


def receive_hello(interface: PimInterface, source: Address, hello: Hello) -> None:
    """A Hello has arrived (4.3.2)."""
    neighbor = interface.neighbors.get(source)
    if hello.holdtime == 0:
        if neighbor is not None:
            remove(neighbor, "it said good-bye")
        return
    hello = _with_usable_addresses(interface, source, hello)
    if neighbor is None:
        neighbor = _new_neighbor(interface, source, hello)
        if neighbor is None:
            return
    else:
        _refreshed(neighbor, hello)
    holdtime = DEFAULT_HELLO_HOLDTIME if hello.holdtime is None else float(hello.holdtime)
    neighbor.liveness.at(NEVER if holdtime == HOLDTIME_FOREVER else interface.pim.now + holdtime)


def _with_usable_addresses(interface: PimInterface, source: Address, hello: Hello) -> Hello:
    """The Hello with each address of its list once, without the sender's primary one (N15) and ours (TH17, Y2)."""
    listed = dict.fromkeys(hello.addresses or ())
    listed.pop(source, None)
    kept = tuple(a for a in listed if not interface.owns(a))[: interface.pim.settings.max_secondary]
    if len(kept) < len(listed):
        interface.pim.refuse(interface.name, "hello", "secondary_conflict")
    return hello if kept == (hello.addresses or ()) else evolve(hello, addresses=kept)


def _new_neighbor(interface: PimInterface, source: Address, hello: Hello) -> Neighbor | None:
    pim = interface.pim
    if len(interface.neighbors) >= pim.settings.max_neighbors:
        pim.refuse(interface.name, "hello", "nbr_limit")
        pim.warn(interface.name, "nbr_limit", f"{pim.settings.max_neighbors} neighbours, no more are taken")
        return None
    neighbor = Neighbor(interface, source, pim.now, hello)
    interface.neighbors[source] = neighbor
    pim.notice("info", "neighbor_up", f"{interface.name}: neighbour {format_address(source)} up")
    _hello_changed(neighbor)
    _trigger_hello(neighbor)
    return neighbor


def _refreshed(neighbor: Neighbor, hello: Hello) -> None:
    """A further Hello of a known neighbour: what it says replaces what it said before."""
    old, neighbor.hello = neighbor.hello, hello
    if (old is not hello and old != hello) or not _has_its_addresses(neighbor):
        _hello_changed(neighbor, old.addresses or ())
    if old.generation_id != hello.generation_id:
        _restarted(neighbor)


def _restarted(neighbor: Neighbor) -> None:
    """Its GenID changed: it lost what we told it (4.3.1, 4.5.5)."""
    pim = neighbor.interface.pim
    name = neighbor.interface.name
    neighbor.hello_owed = True
    asserts.winner_gone(neighbor)
    if pim.now < neighbor.paced_until:
        pim.refuse(name, "hello", "genid_suppressed")
        neighbor.restart_answer.no_later_than(neighbor.paced_until)
        return
    pim.notice("notice", "genid_change", f"{name}: neighbour {format_address(neighbor.address)} restarted")
    _answer_restart(neighbor)


def _answer_restart(neighbor: Neighbor) -> None:
    """Greet it and join again what we had joined, at most once in GENID_PACE (N6, U7, TH19)."""
    pim = neighbor.interface.pim
    neighbor.paced_until = pim.now + GENID_PACE
    _trigger_hello(neighbor)
    for path in _paths_over(neighbor.interface, neighbor.addresses):
        for user in path.users:
            entry = user.star if isinstance(user, Group) else user
            if isinstance(entry, (SG, StarG)) and entry.rpf is neighbor:
                upstream.step(entry, upstream.Event.RPF_PRIME_GENID_CHANGES)


def _trigger_hello(neighbor: Neighbor) -> None:
    """Greet a new or restarted neighbour within Triggered_Hello_Delay; a Hello that is due sooner serves too (N6)."""
    interface, pim = neighbor.interface, neighbor.interface.pim
    neighbor.hello_owed = True
    interface.triggered_hello.no_later_than(pim.now + pim.random.uniform(0, pim.settings.triggered_hello_delay))


def _liveness_expired(neighbor: Neighbor) -> None:
    remove(neighbor, "its holdtime is over")


def remove(neighbor: Neighbor, why: str) -> None:
    """The neighbour is gone: holdtime over, good-bye, or our interface stopped."""
    interface, pim = neighbor.interface, neighbor.interface.pim
    addresses = neighbor.addresses
    neighbor.liveness.close()
    neighbor.restart_answer.close()
    del interface.neighbors[neighbor.address]
    for address in addresses[1:]:
        del interface.secondary_of[address]
    pim.notice("notice", "neighbor_down", f"{interface.name}: neighbour {format_address(neighbor.address)} down: {why}")
    asserts.winner_gone(neighbor)
    _next_hops_changed(interface, addresses)
    _derive(interface)
    pim.neighbors_changed()


def _hello_changed(neighbor: Neighbor, old_addresses: tuple[Address, ...] = ()) -> None:
    """What a neighbour says of itself is new: its addresses, delays or priority."""
    interface = neighbor.interface
    for address in old_addresses:
        if interface.secondary_of.get(address) is neighbor:
            del interface.secondary_of[address]
    for address in neighbor.hello.addresses or ():
        other = interface.secondary_of.get(address)
        if other is not None and other is not neighbor:
            interface.pim.refuse(interface.name, "hello", "secondary_conflict")
            interface.pim.warn(
                interface.name,
                "secondary_conflict",
                f"{format_address(address)} is claimed by {format_address(other.address)} "
                f"and {format_address(neighbor.address)}; the latter has it now",
            )
        interface.secondary_of[address] = neighbor
    _next_hops_changed(interface, (neighbor.address, *old_addresses, *(neighbor.hello.addresses or ())))
    _derive(interface)
    interface.pim.neighbors_changed()


def _has_its_addresses(neighbor: Neighbor) -> bool:
    """Whether nobody else has announced an address of its list since (N15)."""
    owners = neighbor.interface.secondary_of
    return all(owners.get(address) is neighbor for address in neighbor.hello.addresses or ())


def _paths_over(interface: PimInterface, addresses: Iterable[Address]) -> list[Path]:
    """The paths whose RPF' may be the neighbour with these addresses.

    On a point-to-point link that is all of them: routes there may name the link alone.
    """
    rpf = interface.pim.rpf
    if interface.link.link.point_to_point:
        return rpf.by_interface(interface.ifindex)
    return rpf.by_next_hop(interface.ifindex, dict.fromkeys(addresses))


def _next_hops_changed(interface: PimInterface, addresses: tuple[Address, ...]) -> None:
    """Who NBR(I, A) is may have changed for these addresses: their entries have to look again."""
    for path in _paths_over(interface, addresses):
        trees.path_moved(interface.pim, path)


def _derive(interface: PimInterface) -> None:
    """What follows from all neighbours together."""
    interface.lan_delay_enabled = all(n.hello.lan_prune_delay is not None for n in interface.neighbors.values())
    elect_dr(interface)


def elect_dr(interface: PimInterface) -> None:
    """DR(I) of 4.3.2: the highest priority if all neighbours sent one, then the highest address; me included."""
    interface.dr = _elected(interface, interface.neighbors.values())
    _set_i_am_dr(interface, interface.dr is None)


def _elected(interface: PimInterface, neighbors: Iterable[Neighbor]) -> Neighbor | None:
    """DR(I) among us and these; None is me."""
    neighbors = list(neighbors)
    by_priority = all(n.hello.dr_priority is not None for n in neighbors)

    def metric(neighbor: Neighbor | None) -> tuple[int, Address]:
        priority = interface.dr_priority if neighbor is None else neighbor.hello.dr_priority or 0
        address = interface.address if neighbor is None else neighbor.address
        return (priority if by_priority else 0, address)

    everybody: list[Neighbor | None] = [None, *neighbors]
    return max(everybody, key=metric)


def _set_i_am_dr(interface: PimInterface, i_am: bool) -> None:
    """Keep the mask of { I: I_am_DR(I) }; on an edge the entries with members there are settled (N10, N11)."""
    pim = interface.pim
    if bool(pim.dr & interface.mask) == i_am:
        return
    pim.dr ^= interface.mask
    pim.expect_sources()
    who = "this router" if i_am else f"{format_address(interface.dr.address)}" if interface.dr else ""
    pim.notice("info", "dr_change", f"{interface.name}: the DR is {who}")
    for entry in interface.members:
        pim.touched.touch(entry)
    for path in pim.rpf.by_interface(interface.ifindex):
        if path.connected:
            trees.touch_path(pim, path)  # CouldRegister(S,G) of its sources hangs on it
    if interface.vif is not None:
        pim.forwarding.forget_negatives_by(interface.vif)  # sources that nobody spoke for are looked at again
