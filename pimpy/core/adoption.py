"""A new run of the daemon takes over what the one before it left in the kernel: nothing that is right is ever removed.

The entries go on as they are: their ways out stay until members and neighbours have confirmed them, and no longer
than it takes those to do so; what is new is added from the first second; where a stream comes in follows RPF. Hellos
with a new Generation_ID and General Queries leave at once, so that neighbours join (RFC 7761 4.3.1, 4.5.5) and
members answer (RFC 9776 4.2.1, 8.6). When all is confirmed or given up, this ends.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from pimpy.core import borders, upcalls
from pimpy.core.engine.effects import DelVif
from pimpy.core.engine.events import TableFound
from pimpy.core.engine.timers import Timer
from pimpy.core.held import Held
from pimpy.core.interface import REGISTER_MASK, REGISTER_VIF, USABLE_VIFS
from pimpy.core.pim import data, macros, trees
from pimpy.core.pim.instance import HOLDTIME_FACTOR, HOLDTIME_FOREVER
from pimpy.wire.family import Address
from pimpy.wire.join_prune import STAR_G, GroupSet, JoinPrune
from pimpy.wire.record import define, field

if TYPE_CHECKING:
    from pimpy.core.pim.neighbor import PimInterface
    from pimpy.core.router import Router

MARGIN = 3.75
"""Seconds that members' answers to the second query may be late."""
REPEATS = 1.1
"""After so many of its Join/Prune intervals, a neighbour has said again all that it wants."""
LOOK = 15.0
"""Seconds between two looks at what nobody has confirmed."""


@define
class Adoption:
    """What is left to be confirmed, and until when."""

    router: Router
    began: float
    count: int
    """Entries that were taken over."""
    known: Timer = field(init=False)
    """Fires when all interfaces have been told of."""
    sweep: Timer = field(init=False)
    """When what nobody has confirmed is looked at next."""
    overridden: Timer = field(init=False)
    """When the first of `pruned` is given up, unless somebody has joined meanwhile."""
    pruned: list[tuple[float, bytes, int]] = field(factory=list)
    """(when, source and group, vifs) that a Prune concerns."""
    heard: dict[tuple[int, Address], float] = field(factory=dict)
    """(ifindex, neighbour) -> when it will have said all that it wants."""

    def __post_init__(self) -> None:
        heap = self.router.heap
        self.known = Timer(heap, self, _interfaces_known)
        self.sweep = Timer(heap, self, _sweep)
        self.overridden = Timer(heap, self, _overridden)

    def join_prune(self, interface: PimInterface, source: Address, message: JoinPrune) -> None:
        """A neighbour tells what it wants.

        Its first Join/Prune proves nothing yet, as Joins for a restarted router are spread over time (4.5.5); one
        interval later all has been said. A Prune ends what is held at once, or when nobody has overridden it (4.5.2).
        """
        now = self.router.heap.now
        if message.holdtime and message.holdtime != HOLDTIME_FOREVER:
            all_said = now + REPEATS * message.holdtime / HOLDTIME_FACTOR
            self.heard.setdefault((interface.ifindex, source), all_said)
        if message.upstream_neighbor == interface.address:
            alone = len(interface.neighbors) <= 1
            when = now + (0.0 if alone else interface.jp_override_interval())
            for group_set in message.groups:
                self._prune(interface, group_set, when)

    def _prune(self, interface: PimInterface, group_set: GroupSet, when: float) -> None:
        held = self.router.forwarding.held
        for address, flags in group_set.prunes:
            if flags == STAR_G:
                entries = held.of_group(group_set.group)
            else:
                found = held.get(address + group_set.group)
                entries = [] if found is None else [found]
            for entry in entries:
                self.pruned.append((when, entry.key, interface.mask))
                self.overridden.no_later_than(when)

    def asserted(self, interface: PimInterface, source: Address, group: Address) -> None:
        """Another router forwards onto that link too, and we do not know that we should (4.6): it goes on alone."""
        held = self.router.forwarding.held
        if source != self.router.family.any:
            held.give_up(held.get(source + group), interface.mask)
            return
        for entry in held.of_group(group):
            held.give_up(entry, interface.mask)


def begin(router: Router, found: TableFound) -> None:
    """Take over a table; the interfaces are told of next."""
    adoption = router.adoption = router.pim.takeover = Adoption(router, router.heap.now, len(found.entries))
    router.health.adopted += len(found.entries)
    router.pim.takes_over = True
    router.pim.register_vif = found.register_vif
    router.forwarding.held.let_go = partial(_release, router)
    router.forwarding.held.look_again = partial(_look_again, router)
    vifs = {ifindex: vif for vif, ifindex in found.vifs if vif < USABLE_VIFS}
    router.vifs.find(vifs)
    for vif, _ in found.vifs:
        if vif >= USABLE_VIFS:
            router.emit(DelVif(vif))
    usable = sum(1 << vif for vif in vifs.values()) | (REGISTER_MASK if found.register_vif else 0)
    follow = partial(_follow, router)
    for source, group, iif, oifs in found.entries:
        known = iif if iif is not None and usable >> iif & 1 else None
        _take_over(router, source, group, known, oifs & usable, follow)
    adoption.known.at(router.heap.now)
    adoption.sweep.at(router.heap.now + members_answer(router))


def _take_over(
    router: Router, source: Address, group: Address, iif: int | None, oifs: int, follow: Callable[[Held], None]
) -> None:
    forwarding = router.forwarding
    if iif is not None:
        oifs &= ~(1 << iif)
    if not router.family.is_unicast(source) or not router.ssm.usable(group):
        forwarding.put_right([source + group])
    elif oifs:
        held = Held(source, group, iif, oifs, not router.ssm.holds(group), follow)
        held.path = router.rpf.track(source, held)
        forwarding.held.add(held)
    elif iif is not None:
        forwarding.no_cache(iif, source, group)
    else:
        forwarding.put_right([source + group])


def _release(router: Router, held: Held) -> None:
    if held.path is not None:
        path, held.path = held.path, None
        router.rpf.release(path, held)
    adoption = router.adoption
    if adoption is not None and not router.forwarding.held.any():
        adoption.sweep.no_later_than(router.heap.now)


def _follow(router: Router, held: Held) -> None:
    """Where the stream comes in follows RPF of its source, unless it came by the shared tree: there it stays."""
    interface = macros.rpf_interface(router.pim, held.path)
    if interface is None or interface.vif is None:
        return
    if held.iif is None or held.from_source is None:
        held.from_source = held.iif is None or not held.any_source or held.iif == interface.vif
    if held.from_source:
        router.forwarding.held.move(held, interface.vif)


def members_answer(router: Router) -> float:
    """Seconds within which every member has answered one of two queries, at the default intervals 45 (8.6, 8.3)."""
    interval = float(router.config.igmp_query_interval)
    response = 10.0 if interval > 10 else interval / 2
    return interval / 4 + response + MARGIN


def neighbors_expire(router: Router) -> float:
    """Seconds after which whoever has not joined again wants nothing: the hold time of a Join, 210 by default."""
    return HOLDTIME_FACTOR * router.config.join_prune_interval


def _interfaces_known(adoption: Adoption) -> None:
    """All interfaces have been told of: what is left of the vifs belongs to nobody any more."""
    router = adoption.router
    router.pim.takes_over = False
    for vif in router.vifs.disown():
        router.forwarding.forget_vif(vif)
    borders.let_go(router)
    _look_again(router, router.forwarding.held.all())
    _finish(adoption)


def _look_again(router: Router, entries: list[Held]) -> None:
    """Of streams that the kernel knows it does not ask: those outside the SSM range may be of interest here (4.2)."""
    if router.pim.takes_over:
        return  # that is done for all of them when all interfaces are known
    others = bool(router.static.rules or router.proxies.ports)
    for held in entries:
        if held.iif is None or not (held.any_source or others):
            continue
        if others and upcalls.is_claimed(router, held.iif, held.source, held.group):
            continue
        if held.any_source and upcalls.is_of_interest(router, held.iif, held.source, held.group):
            sg = trees.obtain_limited(router.pim, held.source, held.group, trees.DATA)
            if sg is not None and sg.flow is None:
                data.arrives(sg, held.iif)


def _overridden(adoption: Adoption) -> None:
    """Nobody overrode these Prunes."""
    router, held = adoption.router, adoption.router.forwarding.held
    now = router.heap.now
    for when, key, mask in adoption.pruned:
        if when <= now:
            held.give_up(held.get(key), mask)
    adoption.pruned = [waiting for waiting in adoption.pruned if waiting[0] > now]
    if adoption.pruned:
        adoption.overridden.at(min(when for when, _, _ in adoption.pruned))
    _finish(adoption)


def _sweep(adoption: Adoption) -> None:
    """Give up what nobody confirmed in the time that it takes."""
    router, now = adoption.router, adoption.router.heap.now
    deadlines = {vif: _deadline(adoption, vif) for vif in (*range(USABLE_VIFS), REGISTER_VIF)}
    over = sum(1 << vif for vif, deadline in deadlines.items() if deadline <= now)
    swept = 0
    for held in router.forwarding.held.all():
        swept += router.forwarding.held.give_up(held, over).bit_count()
    if swept:
        router.health.swept += swept
        router.notice("info", "swept", f"{swept} outgoing interfaces of an earlier run are given up: nobody wants them")
    adoption.sweep.at(min([now + LOOK, *(deadline for deadline in deadlines.values() if deadline > now)]))
    _finish(adoption)


def _deadline(adoption: Adoption, vif: int) -> float:
    """Until when the ways out by a vif are held."""
    router = adoption.router
    members = adoption.began + members_answer(router)
    last = max(members, adoption.began + neighbors_expire(router))
    if vif == REGISTER_VIF:
        return last
    interface = router.pim.by_vif(vif)
    if interface is None or not interface.neighbors:
        return members
    said = [adoption.heard.get((interface.ifindex, address)) for address in interface.neighbors]
    return last if None in said else min(last, max(members, *(when for when in said if when is not None)))


def _finish(adoption: Adoption) -> None:
    """End, if nothing is held any more."""
    router = adoption.router
    if not router.forwarding.held.any() and not adoption.known.running:
        router.adoption = router.pim.takeover = None
        for timer in (adoption.known, adoption.sweep, adoption.overridden):
            timer.close()
        if adoption.count:
            seconds = router.heap.now - adoption.began
            text = f"{adoption.count} entries of an earlier run are confirmed or given up after {seconds:.0f} s"
            router.notice("info", "adopted", text)
