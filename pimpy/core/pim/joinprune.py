"""Join/Prune messages: taken apart for the machines they concern, packed from what those say (4.5, 4.9.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pimpy.core.pim import asserts, downstream, downstream_rpt, trees, upstream, upstream_rpt
from pimpy.core.pim.instance import HOLDTIME_FACTOR, HOLDTIME_FOREVER
from pimpy.core.pim.tib import SG, Group, StarG
from pimpy.wire.family import Address
from pimpy.wire.join_prune import SG as SG_FLAGS
from pimpy.wire.join_prune import SG_RPT, STAR_G, GroupSet, JoinPrune, SourceEntry, pack
from pimpy.wire.record import define, field

if TYPE_CHECKING:
    from pimpy.core.pim.instance import Pim
    from pimpy.core.pim.neighbor import Neighbor, PimInterface


def receive(interface: PimInterface, message: JoinPrune) -> None:
    """A Join/Prune from a neighbour: to us it moves downstream machines, to another router our upstream ones."""
    if message.holdtime < interface.jp_override_interval():
        interface.pim.refuse(interface.name, "join_prune", "jp_short_holdtime")
    if _is_mine(interface, message.upstream_neighbor):
        joined = [g.group for g in message.groups if _to_me(interface, g, float(message.holdtime))]
        for group in joined:
            _to_all_rpt(interface, group, downstream_rpt.Event.END_OF_MESSAGE)
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


# To us: RFC 7761 4.5.1 to 4.5.3


def _to_me(interface: PimInterface, group_set: GroupSet, holdtime: float) -> bool:
    """First the Joins of a group, then its Prunes (U23); whether its (S,G,rpt) machines wait for the message's end."""
    pim, group = interface.pim, group_set.group
    of_tree = False
    if pim.borders and interface.bars(group):
        pim.refuse(interface.name, "join_prune", "jp_scope")
        return False
    if not interface.join_filter.groups.passes(group):
        pim.refuse(interface.name, "join_prune", "jp_filtered")
        return False
    for source, flags in group_set.joins:
        if flags == SG_FLAGS and not interface.join_filter.sources.passes(source):
            pim.refuse(interface.name, "join_prune", "jp_filtered")
        elif flags == SG_FLAGS:
            sg = pim.tib.sg.get(source + group) or _new_entry(interface, source, group)
            if sg is not None:
                downstream.receive(interface, sg, downstream.Event.RECEIVE_JOIN, holdtime)
                asserts.join_received(sg, interface)
        elif _has_tree(interface, group):
            of_tree = True
            _join_of_tree(interface, group, source, flags, holdtime)
    for source, flags in group_set.prunes:
        if flags == SG_FLAGS:
            if (sg := pim.tib.sg.get(source + group)) is not None:
                downstream.receive(interface, sg, downstream.Event.RECEIVE_PRUNE, holdtime)
        elif _has_tree(interface, group):
            _prune_of_tree(interface, group, source, flags, holdtime)
    return of_tree


def _has_tree(interface: PimInterface, group: Address) -> bool:
    """Whether there may be a shared tree: never in the SSM range (4.8, S3), whose entries are ignored singly."""
    pim = interface.pim
    if pim.ssm.holds(group):
        pim.refuse(interface.name, "join_prune", "jp_ssm")
        return False
    if not pim.ssm.usable(group):
        pim.refuse(interface.name, "join_prune", "jp_bad_group")
        return False
    return True


def _join_of_tree(interface: PimInterface, group: Address, source: Address, flags: int, holdtime: float) -> None:
    """Join(*,G), whose source is the RP, or Join(S,G,rpt)."""
    pim = interface.pim
    if flags != STAR_G:
        if (sg := pim.tib.sg.get(source + group)) is not None:
            downstream_rpt.receive(interface, sg, downstream_rpt.Event.RECEIVE_JOIN_RPT)
        return
    if source != trees.rp(pim, group):
        pim.refuse(interface.name, "join_prune", "jp_wrong_rp")  # silently dropped, the rest is used (J8)
        return
    star = trees.obtain_star_limited(pim, group, _asker(interface))
    if star is None:
        return
    downstream.receive(interface, star, downstream.Event.RECEIVE_JOIN, holdtime)
    asserts.join_received(star, interface)
    _to_all_rpt(interface, group, downstream_rpt.Event.RECEIVE_JOIN_STAR)


def _prune_of_tree(interface: PimInterface, group: Address, source: Address, flags: int, holdtime: float) -> None:
    """Prune(*,G), whatever RP it names (J9), or Prune(S,G,rpt)."""
    pim = interface.pim
    if flags == STAR_G:
        tree = pim.tib.groups.get(group)
        if tree is not None and tree.star is not None:
            downstream.receive(interface, tree.star, downstream.Event.RECEIVE_PRUNE, holdtime)
        return
    sg = pim.tib.sg.get(source + group) or _new_entry(interface, source, group)
    if sg is not None:
        downstream_rpt.receive(interface, sg, downstream_rpt.Event.RECEIVE_PRUNE_RPT, holdtime)
        pim.touched.touch(sg)


def _to_all_rpt(interface: PimInterface, group: Address, event: downstream_rpt.Event) -> None:
    """An event for the (S,G,rpt) machines of all sources of a group on this interface (J15)."""
    tree = interface.pim.tib.groups.get(group)
    if tree is None or not interface.downstream_rpt:
        return
    for sg in [sg for sg in tree.sources if sg in interface.downstream_rpt]:
        downstream_rpt.receive(interface, sg, event)


def _new_entry(interface: PimInterface, source: Address, group: Address) -> SG | None:
    """The entry that a Join makes; None if there may be none, which is counted."""
    pim = interface.pim
    if not pim.ssm.usable(group):
        pim.refuse(interface.name, "join_prune", "jp_bad_group")
    elif not pim.family.is_unicast(source):
        pim.refuse(interface.name, "join_prune", "jp_bad_source")
    else:
        return trees.obtain_limited(pim, source, group, _asker(interface))
    return None


def _asker(interface: PimInterface) -> trees.Asker:
    return trees.Asker(interface.name, "join_prune", "jp_limit")


# To another router: RFC 7761 4.5.4, 4.5.5, 4.5.7


def _to_another(neighbor: Neighbor, group_set: GroupSet, holdtime: float) -> None:
    """See Join or Prune to RPF': suppress our own Join, or override somebody's Prune."""
    pim, group = neighbor.interface.pim, group_set.group
    ssm = pim.ssm.holds(group)
    tree = pim.tib.groups.get(group)
    for source, flags in group_set.joins:
        if flags == SG_FLAGS:
            _see(pim.tib.sg.get(source + group), neighbor, upstream.Event.SEE_JOIN, holdtime)
        elif ssm:
            pim.refuse(neighbor.interface.name, "join_prune", "jp_ssm")
        elif flags == STAR_G:
            if tree is not None and tree.rp == source:  # one that names another RP suppresses nothing (U3)
                _see(tree.star, neighbor, upstream.Event.SEE_JOIN, holdtime)
        else:
            _see_rpt(pim.tib.sg.get(source + group), neighbor, upstream_rpt.Event.SEE_JOIN_RPT)
    for source, flags in group_set.prunes:
        if flags == SG_FLAGS:
            sg = pim.tib.sg.get(source + group)
            _see(sg, neighbor, upstream.Event.SEE_PRUNE)
            _see_rpt(sg, neighbor, upstream_rpt.Event.SEE_PRUNE)
        elif ssm:
            pim.refuse(neighbor.interface.name, "join_prune", "jp_ssm")
        elif flags == STAR_G:
            _see_prune_star(tree, neighbor)
        else:
            sg = pim.tib.sg.get(source + group)
            _see(sg, neighbor, upstream.Event.SEE_PRUNE_RPT)
            _see_rpt(sg, neighbor, upstream_rpt.Event.SEE_PRUNE_RPT)


def _see_prune_star(tree: Group | None, neighbor: Neighbor) -> None:
    """Prune(*,G) concerns the (*,G) machine, whatever RP it names (U4), and every (S,G) machine of the group (U5)."""
    if tree is None:
        return
    _see(tree.star, neighbor, upstream.Event.SEE_PRUNE)
    for sg in tree.sources:
        _see(sg, neighbor, upstream.Event.SEE_PRUNE_STAR)


def _see(entry: SG | StarG | None, neighbor: Neighbor, event: upstream.Event, holdtime: float = 0.0) -> None:
    if entry is not None and entry.rpf is neighbor:
        upstream.step(entry, event, holdtime)


def _see_rpt(sg: SG | None, neighbor: Neighbor, event: upstream_rpt.Event) -> None:
    if sg is not None and sg.rpt is not None and sg.rpt.rpf is neighbor:
        upstream_rpt.step(sg, event)


@define
class Outbox:
    """The Joins and Prunes of one batch, by upstream neighbour; of an entry the last word counts.

    Everything that one batch of events or timers says to a neighbour leaves packed (U21, U27).
    """

    pim: Pim
    interval: int = 60
    """What the configuration wants of t_periodic, seconds."""
    _boxes: dict[tuple[PimInterface, Address], dict[tuple[SG | StarG, bool], bool]] = field(factory=dict)
    """(interface, upstream neighbour; our own address for a PruneEcho) -> (entry, whether of (S,G,rpt)) -> whether
    it is joined."""
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

    def add(self, neighbor: Neighbor, entry: SG | StarG, *, join: bool, rpt: bool = False) -> None:
        """Say Join or Prune of `entry`, or with `rpt` of (S,G,rpt), to `neighbor`."""
        self._boxes.setdefault((neighbor.interface, neighbor.address), {})[entry, rpt] = join

    def echo(self, interface: PimInterface, entry: SG | StarG) -> None:
        """Send a PruneEcho: a Prune that names ourselves (4.5.1, 4.5.2)."""
        self._boxes.setdefault((interface, interface.address), {})[entry, False] = False

    def flush(self, *, more: bool = False) -> None:
        """Send what was said, a Hello before it where one is due (N7), and nothing to who is gone meanwhile.

        With `more` to follow at once, what does not fill a message waits for it, and so do Prunes: before a neighbour
        ends a branch, the other is to have begun its own.
        """
        if not self._boxes:
            return
        boxes, self._boxes = self._boxes, {}
        for (interface, address), said in boxes.items():
            neighbor = interface.neighbors.get(address)
            hearers = () if neighbor is None else (neighbor,)
            is_here = self.pim.interfaces.get(interface.ifindex) is interface
            if not is_here or not (hearers or address == interface.address):
                continue
            if more and not any(said.values()):
                self._boxes[interface, address] = said
                continue
            messages = self._pack(interface, address, said)
            if more and messages:
                groups = {group_set.group for group_set in messages.pop().groups}
                self._boxes[interface, address] = {what: join for what, join in said.items() if what[0].group in groups}
            if messages:
                interface.say_hello_first(*hearers)
            for message in messages:
                self.pim.send(interface, message)

    def _pack(
        self, interface: PimInterface, address: Address, said: dict[tuple[SG | StarG, bool], bool]
    ) -> list[JoinPrune]:
        pim = self.pim
        groups: dict[Address, tuple[list[SourceEntry], list[SourceEntry]]] = {}
        for (entry, rpt), join in said.items():
            if pim.ssm.holds(entry.group) and (rpt or not isinstance(entry, SG)):
                continue  # the range was changed: "MUST NOT send a (*,G) Join/Prune message for any reason" (4.8.1)
            lists = groups.setdefault(entry.group, ([], []))
            if isinstance(entry, SG):
                lists[not join].append((entry.source, SG_RPT if rpt else SG_FLAGS))
            else:
                self._say_star(entry, join, lists)
        sets = (
            GroupSet(group, tuple(joins), tuple(dict.fromkeys(prunes))) for group, (joins, prunes) in groups.items()
        )
        return pack(pim.family, address, self.holdtime(), sets, interface.link.messages)

    def _say_star(self, star: StarG, join: bool, lists: tuple[list[SourceEntry], list[SourceEntry]]) -> None:
        """Join(*,G) with its Prune(S,G,rpt) (4.5.6), or Prune(*,G); both name RP(G), zeros if there is none (U8)."""
        rp = star.tree.rp or self.pim.family.any
        lists[not join].append((rp, STAR_G))
        if join:
            pruned = (sg for sg in star.tree.sources if upstream_rpt.is_pruned_with_star(sg, star))
            lists[1].extend((sg.source, SG_RPT) for sg in pruned)
