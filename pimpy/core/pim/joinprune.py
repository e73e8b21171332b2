"""Join/Prune messages: taken apart for the machines they concern, packed from what those say (4.5, 4.9.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

from pimpy.core.pim import downstream, upstream
from pimpy.core.pim.instance import HOLDTIME_FACTOR, HOLDTIME_FOREVER
from pimpy.core.pim.neighbor import say_hello_first
from pimpy.core.pim.tib import SG
from pimpy.wire.family import Address
from pimpy.wire.join_prune import SG as SG_FLAGS
from pimpy.wire.join_prune import STAR_G, GroupSet, JoinPrune, pack

if TYPE_CHECKING:
    from pimpy.core.pim.instance import Pim
    from pimpy.core.pim.neighbor import Neighbor, PimInterface


def receive(interface: PimInterface, message: JoinPrune) -> None:
    """A Join/Prune from a neighbour: to us it moves downstream machines, to another router our upstream ones."""
    if message.holdtime < interface.jp_override_interval():
        interface.pim.refuse(interface.name, "join_prune", "jp_short_holdtime")
    if _is_mine(interface, message.upstream_neighbor):
        for group_set in message.groups:
            _to_me(interface, group_set, float(message.holdtime))
        return
    neighbor = interface.neighbor(message.upstream_neighbor)
    if neighbor is not None:
        for group_set in message.groups:
            _to_another(neighbor, group_set, float(message.holdtime))


def _is_mine(interface: PimInterface, upstream_neighbor: Address) -> bool:
    """Our primary address on that interface (J6), or on a point-to-point link none at all (J7)."""
    if upstream_neighbor == interface.address:
        return True
    return interface.link.link.point_to_point and upstream_neighbor == interface.pim.family.any


def _to_me(interface: PimInterface, group_set: GroupSet, holdtime: float) -> None:
    """First the Joins of a group, then its Prunes (U23)."""
    pim, group = interface.pim, group_set.group
    for source, flags in group_set.joins:
        if flags != SG_FLAGS:
            _refuse_rpt(interface, group)
            continue
        sg = pim.tib.sg.get(source + group) or _new_entry(interface, source, group)
        if sg is not None:
            downstream.receive(interface, sg, downstream.Event.RECEIVE_JOIN, holdtime)
    for source, flags in group_set.prunes:
        if flags != SG_FLAGS:
            _refuse_rpt(interface, group)
        elif (sg := pim.tib.sg.get(source + group)) is not None:
            downstream.receive(interface, sg, downstream.Event.RECEIVE_PRUNE)


def _refuse_rpt(interface: PimInterface, group: Address) -> None:
    """An entry of a shared tree: never made in the SSM range (4.8, S3), and elsewhere no RP is known (J8)."""
    pim = interface.pim
    pim.refuse(interface.name, "join_prune", "jp_ssm" if pim.ssm.holds(group) else "jp_wrong_rp")


def _new_entry(interface: PimInterface, source: Address, group: Address) -> SG | None:
    """The entry that a Join makes; None if there may be none, which is counted."""
    pim = interface.pim
    if not pim.ssm.usable(group):
        pim.refuse(interface.name, "join_prune", "jp_bad_group")
    elif not pim.family.is_unicast(source):
        pim.refuse(interface.name, "join_prune", "jp_bad_source")
    elif len(pim.tib.sg) >= pim.settings.max_sg:
        pim.refuse(interface.name, "join_prune", "jp_limit")
        pim.warn(interface.name, "jp_limit", f"{pim.settings.max_sg} (S,G) entries, no more are taken")
    else:
        return obtain(pim, source, group)
    return None


def obtain(pim: Pim, source: Address, group: Address) -> SG:
    """The (S,G) entry, made if it is not there; whoever gives it no state must touch it."""
    key = source + group
    sg = pim.tib.sg.get(key)
    if sg is None:
        sg = pim.tib.sg[key] = SG(pim, source, group, pim.now)
        sg.path = pim.rpf.track(source, sg)
        if not pim.ssm.holds(group):
            pim.tib.groups.setdefault(group, {})[sg] = None
    return sg


def discard(sg: SG) -> None:
    """Nobody wants the entry any more."""
    pim = sg.pim
    del pim.tib.sg[sg.source + sg.group]
    if sg.join_timer is not None:
        sg.join_timer.close()
    pim.rpf.release(sg.path, sg)
    entries = pim.tib.groups.get(sg.group)
    if entries is not None:
        entries.pop(sg, None)
        if not entries:
            del pim.tib.groups[sg.group]


def _to_another(neighbor: Neighbor, group_set: GroupSet, holdtime: float) -> None:
    """See Join or Prune to RPF'(S,G): suppress our own Join, or override somebody's Prune (4.5.5)."""
    pim, group = neighbor.interface.pim, group_set.group
    for source, flags in group_set.joins:
        if flags == SG_FLAGS:
            _see(pim.tib.sg.get(source + group), neighbor, upstream.Event.SEE_JOIN, holdtime)
    ssm = pim.ssm.holds(group)
    for source, flags in group_set.prunes:
        if flags == SG_FLAGS:
            _see(pim.tib.sg.get(source + group), neighbor, upstream.Event.SEE_PRUNE)
        elif ssm:
            pim.refuse(neighbor.interface.name, "join_prune", "jp_ssm")
        elif flags == STAR_G:
            for sg in pim.tib.groups.get(group, ()):
                _see(sg, neighbor, upstream.Event.SEE_PRUNE_STAR)
        else:
            _see(pim.tib.sg.get(source + group), neighbor, upstream.Event.SEE_PRUNE_RPT)


def _see(sg: SG | None, neighbor: Neighbor, event: upstream.Event, holdtime: float = 0.0) -> None:
    if sg is not None and sg.rpf is neighbor:
        upstream.step(sg, event, holdtime)


@define(eq=False)
class Outbox:
    """The Joins and Prunes of one batch, by upstream neighbour; of an entry the last word counts.

    Everything that one batch of events or timers says to a neighbour leaves packed (U21, U27).
    """

    pim: Pim
    interval: int = 60
    """What the configuration wants of t_periodic, seconds."""
    _boxes: dict[tuple[PimInterface, Address], dict[Address, dict[Address, bool]]] = field(factory=dict)
    """(interface, upstream neighbour or, for a PruneEcho, we) -> group -> source -> whether it is joined."""
    _kept: tuple[int, float] = (60, 0.0)
    """A shorter t_periodic that stays in force until a time (U26)."""

    def t_periodic(self) -> float:
        """The interval of periodic Joins in force (4.11), seconds."""
        kept, until = self._kept
        return float(kept if self.pim.now < until else self.interval)

    def holdtime(self) -> int:
        """The HoldTime of our messages: 3.5 * t_periodic as configured (4.11)."""
        return min(int(HOLDTIME_FACTOR * self.interval), HOLDTIME_FOREVER - 1)

    def reconfigure(self, interval: int) -> None:
        """Take another t_periodic. After a raise the old one lasts as long as peers hold what we said (U26)."""
        if interval > self.interval:
            self._kept = (int(self.t_periodic()), self.pim.now + self.holdtime())
        elif interval < self.interval:
            self._kept = (interval, 0.0)
        self.interval = interval

    def add(self, interface: PimInterface, upstream_neighbor: Address, sg: SG, *, join: bool) -> None:
        """Say Join or Prune of `sg` to `upstream_neighbor` on `interface`."""
        box = self._boxes.setdefault((interface, upstream_neighbor), {})
        box.setdefault(sg.group, {})[sg.source] = join

    def flush(self) -> None:
        """Send what was said, a Hello before it where one is due (N7), and nothing to who is gone meanwhile."""
        boxes, self._boxes = self._boxes, {}
        for (interface, address), groups in boxes.items():
            neighbor = interface.neighbors.get(address)
            if self.pim.interfaces.get(interface.ifindex) is not interface:
                continue
            if neighbor is not None or address == interface.address:
                say_hello_first(interface, neighbor)
                self._send(interface, address, groups)

    def _send(self, interface: PimInterface, address: Address, groups: dict[Address, dict[Address, bool]]) -> None:
        pim = self.pim
        sets = [
            GroupSet(
                group,
                tuple([(source, SG_FLAGS) for source, join in sources.items() if join]),
                tuple([(source, SG_FLAGS) for source, join in sources.items() if not join]),
            )
            for group, sources in groups.items()
        ]
        for message in pack(pim.family, address, self.holdtime(), sets, interface.link.messages):
            pim.send(interface, message)
