"""Bootstrap messages in and out: RFC 5059 3.1.3 to 3.6. Who is the BSR is decided in `bsr.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from pimpy.core.pim import bsm, macros, trees
from pimpy.core.pim.bsr import BsrTimes, BsrZone, CandidateBsr, Received, State
from pimpy.core.pim.filters import Filter
from pimpy.core.pim.scope import GLOBAL, Zone
from pimpy.wire import pim as wire
from pimpy.wire.bootstrap import NO_FORWARD, Bootstrap
from pimpy.wire.family import Address
from pimpy.wire.record import define, field

if TYPE_CHECKING:
    from pimpy.core.pim.instance import Pim
    from pimpy.core.pim.neighbor import Neighbor, PimInterface
    from pimpy.core.rpf import Path

MAX_HELD = 64
"""Messages that wait until it is known how their BSR is reached."""
RATE = 100
"""Accepted messages of one interface in a second, from which on repetitions are dropped (TH56)."""


@define
class Held:
    """A message whose BSR's path is asked for."""

    routing: BootstrapRouting
    interface: PimInterface
    source: Address
    destination: Address
    received: Received
    path: Path = field(init=False)

    def path_changed(self) -> None:
        """The kernel told of the way: the message is judged now."""
        self.routing.resume(self)


@define
class BootstrapRouting:
    """The Bootstrap mechanism of one family."""

    pim: Pim
    new_bsr: Callable[[BsrZone], None] = field(default=lambda zone: None)
    """Called when a zone has another BSR."""
    zone_gone: Callable[[BsrZone], None] = field(default=lambda zone: None)
    """Called when a zone is no more."""
    times: BsrTimes = field(factory=BsrTimes)
    started: float | None = None
    """When the router began, seconds of the core's clock."""
    unicast: bool = False
    """Whether unicast Bootstrap messages are accepted (3.5.2)."""
    accept: Filter = field(factory=Filter)
    """Who may be the BSR."""
    zones: dict[Zone, BsrZone] = field(factory=dict)
    held: dict[Held, None] = field(factory=dict)
    accepted_lately: dict[int, tuple[float, int]] = field(factory=dict)
    """By ifindex: the second in hand began when, and how many messages were accepted in it."""

    def __post_init__(self) -> None:
        self.zone(GLOBAL).configured = True

    def zone(self, zone: Zone) -> BsrZone:
        """The state of a zone, made if there is none."""
        found = self.zones.get(zone)
        if found is None:
            found = self.zones[zone] = BsrZone(self, zone, self.pim.now)
            found.hash_mask = self.pim.rp_set.hash_mask
        return found

    def know(self, zone: BsrZone) -> None:
        """The zone has a BSR: its groups take no mapping of a wider one from now on (1.3; conformance B18)."""
        self.pim.rp_set.zone(zone.zone)
        trees.remap(self.pim)

    def remove_zone(self, zone: BsrZone) -> None:
        """Remove scope zone state (3.1.5): its groups are in a wider zone now."""
        zone.close()
        del self.zones[zone.zone]
        self.zone_gone(zone)
        self.pim.rp_set.forget_zone(zone.zone)
        trees.remap(self.pim)

    def configure(self, candidacies: Mapping[Zone, CandidateBsr], borders: set[Zone]) -> None:
        """We stand for BSR in these zones; they, and those whose borders we know, are configured ones."""
        if self.started is None:
            self.started = self.pim.now
        kept = {GLOBAL, *candidacies, *borders}
        for zone in kept:
            self.zone(zone).configured = True
            self.zones[zone].szt.cancel()
        for state in list(self.zones.values()):
            state.stand(candidacies.get(state.zone))
            if state.configured and state.zone not in kept:
                state.configured = False
                if state.state is State.ACCEPT_ANY:
                    state.szt.at(self.pim.now + self.times.zone_timeout)

    # Bootstrap Message Processing Checks (3.1.3).

    def not_admitted(
        self, interface: PimInterface, source: Address, destination: Address, message: Bootstrap
    ) -> str | None:
        """Why a message is dropped whatever the way to its BSR is, as a reason word; None if it is not."""
        if source not in interface.neighbors:
            return "bsm_non_nbr"
        if destination != self.pim.family.all_pim_routers:
            if not self.pim.is_mine(destination):
                return "bad_dest"
            if not self.unicast:
                return "bsm_unicast"
        if interface.link.phyint.bsr_border:
            return "bsm_border"
        zone = bsm.scope_of(self.pim.family, message)
        if _is_border(interface, zone):
            return "bsm_scope"
        if bsm.is_foreign(self.pim.family, message):
            return "bsm_scope_range"
        if not self.accept.passes(message.bsr):
            return "bsm_filtered"
        if self._quick_refresh(destination, message) and self._too_late(zone, message):
            return "bsm_unicast_late"
        return self._over_a_limit(interface, zone, message)

    def _quick_refresh(self, destination: Address, message: Bootstrap) -> bool:
        """Whether this is what a new router is told at once, unicast or with the No-Forward bit (3.5)."""
        return message.no_forward or destination != self.pim.family.all_pim_routers

    def _too_late(self, zone: Zone, message: Bootstrap) -> bool:
        """Any previous BSM for this scope has been accepted, or more than BS_Period has elapsed since startup.

        Further fragments of the message that was accepted are part of it.
        """
        if self.started is None or self.pim.now - self.started > self.times.period:
            return True
        state = self.zones.get(zone)
        if state is None or not state.accepted:
            return False
        fragment = state.last is not None and state.last.is_of(message, self.pim.now, self.times.min_interval)
        return not (fragment and state.last is not None and state.last.messages[-1].no_forward == message.no_forward)

    def _over_a_limit(self, interface: PimInterface, zone: Zone, message: Bootstrap) -> str | None:
        if zone not in self.zones and len(self.zones) >= self.pim.settings.max_zones:
            self.pim.warn(interface.name, "bsm_limit", f"{self.pim.settings.max_zones} scope zones, no more are taken")
            return "bsm_limit"
        began, count = self.accepted_lately.get(interface.ifindex, (self.pim.now, 0))
        if count < RATE or self.pim.now - began >= 1.0:
            return None
        state = self.zones.get(zone)
        if state is None or state.last is None or self.pim.now - state.heard >= self.times.min_interval:
            return None
        return "bsm_rate" if message in state.last.messages else None

    def receive(
        self, interface: PimInterface, source: Address, destination: Address, message: Bootstrap, data: bytes
    ) -> None:
        """An admitted message: what is left is where it came from, and for that its BSR's path must be known."""
        received = Received(message, data, not self._quick_refresh(destination, message))
        if not received.forward:
            self._take(interface, received)
            return
        path = self.pim.rpf.paths.get(message.bsr)
        if path is not None and path.route is not None:
            self._judge(interface, source, received, path)
        elif len(self.held) >= MAX_HELD:
            self.pim.refuse(interface.name, "bootstrap", "bsm_limit")
        else:
            held = Held(self, interface, source, destination, received)
            self.held[held] = None
            held.path = self.pim.rpf.track(message.bsr, held)

    def resume(self, held: Held) -> None:
        """The way to the BSR of a message that waited is known."""
        interface, received = held.interface, held.received
        if held not in self.held:
            return
        del self.held[held]
        path = held.path
        alive = self.pim.interfaces.get(interface.ifindex) is interface
        reason = (
            self.not_admitted(interface, held.source, held.destination, received.message) if alive else "if_not_enabled"
        )
        if reason is not None:
            self.pim.refuse(interface.name, "bootstrap", reason)
        else:
            self._judge(interface, held.source, received, path)
        self.pim.rpf.release(path, held)

    def _judge(self, interface: PimInterface, source: Address, received: Received, path: Path) -> None:
        neighbor = macros.rpf_neighbor(self.pim, path)
        if neighbor is None or neighbor is not interface.neighbors.get(source):
            self.pim.refuse(interface.name, "bootstrap", "bsm_rpf")
            return
        self._take(interface, received)

    def _take(self, interface: PimInterface, received: Received) -> None:
        """The message passed all checks."""
        if self.zone(bsm.scope_of(self.pim.family, received.message)).receive(received):
            began, count = self.accepted_lately.get(interface.ifindex, (self.pim.now, 0))
            fresh = self.pim.now - began >= 1.0
            self.accepted_lately[interface.ifindex] = (self.pim.now, 1) if fresh else (began, count + 1)

    # Store RP-Set (3.1.5).

    def store(self, zone: BsrZone, message: Bootstrap, data: bytes) -> None:
        """Store RP-Set: the mappings, and the message itself; nothing of an empty one."""
        if bsm.is_empty(message):
            return
        now = self.pim.now
        if zone.last is None or not zone.last.is_of(message, now, self.times.min_interval):
            if zone.last is not None and zone.last.pending:
                self.pim.counters.add("-", "pim", "rx", "bootstrap", "bsm_incomplete", len(zone.last.pending))
            zone.last = bsm.LastBsm(message.bsr, message.fragment_tag, now)
        zone.last.add(message, data, now)
        self.store_mappings(zone, message)

    def store_mappings(self, zone: BsrZone, message: Bootstrap) -> None:
        """The mappings of a message, as far as its ranges are complete (4.1.1)."""
        rp_set, limit = self.pim.rp_set, self.pim.settings.max_rp_mappings
        zone.hash_mask = message.hash_mask_length
        rp_set.set_hash_mask(zone.zone, message.hash_mask_length)
        refused = 0
        for each in message.ranges:
            if each.rp_count == 0:
                rp_set.remove(zone.zone, each.group)
                continue
            rps = each.rps if zone.last is None else zone.last.whole(each)
            if rps is not None:
                refused += rp_set.store(zone.zone, each.group, each.bidir, rps, limit)
        if refused:
            self.pim.counters.add("-", "pim", "rx", "bootstrap", "bsm_limit", refused)
            self.pim.warn("-", "bsm_limit", f"{limit} group-to-RP mappings, no more are taken")
        trees.remap(self.pim)

    # Forward BSM, Originate BSM (3.1.5, 3.3, 3.4).

    def interfaces(self, zone: Zone) -> Iterator[PimInterface]:
        """Where messages of a zone go: all interfaces with PIM neighbours but the zone's borders."""
        for interface in list(self.pim.interfaces.values()):
            border = interface.link.phyint.bsr_border or _is_border(interface, zone)
            if interface.neighbors and not interface.passive and not border:
                yield interface

    def forward(self, zone: Zone, data: bytes) -> None:
        """Re-send a message unchanged, the interface included that it came by (3.4)."""
        for interface in self.interfaces(zone):
            interface.say_hello_first()
            self.pim.send_bytes(interface, data, "bootstrap")

    def originate(self, zone: BsrZone, priority: int | None = None) -> None:
        """Originate BSM: our RP-Set, with our own `priority` or another one; we use it as everybody else does."""
        assert zone.mine is not None
        now, times = self.pim.now, self.times
        shortest, replacement = int(times.period) + 1, int(2.5 * times.period) + 1
        ranges = zone.crp_set.take(now + times.timeout, shortest, replacement)
        message = Bootstrap(
            fragment_tag=self.pim.random.getrandbits(16),
            hash_mask_length=zone.mine.hash_mask,
            priority=zone.mine.priority if priority is None else priority,
            bsr=zone.mine.address,
            no_forward=False,
            ranges=ranges,
        )
        targets = list(self.interfaces(zone.zone))
        room = min((interface.link.messages for interface in targets), default=1400)
        zone.sent = now
        zone.last = bsm.LastBsm(message.bsr, message.fragment_tag, now)
        for fragment in bsm.fragments(self.pim.family, zone.zone, message, room):
            data = wire.encode(self.pim.family, self.pim.family.any, self.pim.family.any, fragment)
            zone.last.add(fragment, data, now)
            for interface in targets:
                interface.say_hello_first()
                self.pim.send_bytes(interface, data, "bootstrap")
            if not bsm.is_empty(fragment):
                self.store_mappings(zone, fragment)

    def greet(self, interface: PimInterface, newcomers: list[Neighbor]) -> None:
        """New or restarted neighbours have just had our Hello: the DR tells them of the RP-Set (3.5)."""
        if interface.link.phyint.bsr_border or not self._tells(interface, newcomers):
            return
        for zone in self.zones.values():
            current = zone.current[1] if zone.current is not None else None
            if zone.last is None or zone.last.bsr != current or _is_border(interface, zone.zone):
                continue
            for data in zone.last.data:
                self.pim.send_bytes(interface, data[:1] + bytes((data[1] | NO_FORWARD,)) + data[2:], "bootstrap")

    def _tells(self, interface: PimInterface, newcomers: list[Neighbor]) -> bool:
        """Whether we are the DR, or would be without the newcomers."""
        if interface.dr is None:
            return True
        others = [each for each in interface.neighbors.values() if each not in newcomers]
        return interface.dr in newcomers and interface.would_be_dr(others)

    def shutdown(self) -> None:
        """The elected BSR leaves: its RP-Set once more, with the lowest priority (3.3)."""
        for zone in self.zones.values():
            if zone.elected:
                self.originate(zone, priority=0)
            zone.bst.cancel()
            zone.szt.cancel()

    def close(self) -> None:
        """All timers and paths go."""
        for held in list(self.held):
            self.pim.rpf.release(held.path, held)
        self.held.clear()
        for zone in list(self.zones.values()):
            zone.close()
            self.pim.rp_set.forget_zone(zone.zone)
        self.zones.clear()


def _is_border(interface: PimInterface, zone: Zone) -> bool:
    """Whether the interface is a border of a zone as large as this one, or larger (3.4)."""
    return any(zone.stays_inside(boundary) for boundary in interface.link.phyint.scoped)
