"""The Tree Information Base (RFC 7761 4.1): all state that joins, members and data have made, by entry.

Base state is kept here as bit masks over vifs; what follows from it (olists, JoinDesired, RPF') is worked
out in `macros.py` and never copied into another entry. (S,G) and (S,G,rpt) are separate slots: what concerns
a source on the shared tree is in `SGRpt`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import TYPE_CHECKING

from pimpy.core.engine.machine import Word
from pimpy.core.engine.timers import Timer
from pimpy.core.rpf import Path
from pimpy.wire.family import Address, Prefix
from pimpy.wire.record import define, field

if TYPE_CHECKING:
    from pimpy.core.pim.asserts import AssertState
    from pimpy.core.pim.instance import Pim
    from pimpy.core.pim.neighbor import Neighbor, PimInterface
    from pimpy.core.pim.register import Registering


class RptState(Word):
    """The upstream (S,G,rpt) machine (4.5.7)."""

    NOT_JOINED = "rpt_not_joined"
    PRUNED = "pruned"
    NOT_PRUNED = "not_pruned"


@define
class SGRpt:
    """What concerns S on the shared tree of G (4.1.4)."""

    prunes: int = 0
    """prunes(S,G,rpt): the vifs on which the downstream machine is in state Prune or PruneTmp."""
    pending: int = 0
    """The vifs on which it is in state Prune-Pending or Prune-Pending-Tmp."""
    excludes: int = 0
    """The vifs I with local_receiver_exclude(S,G,I)."""
    state: RptState = RptState.NOT_JOINED
    rpf: Neighbor | None = None
    """RPF'(S,G,rpt) as the machine last saw it."""
    diverged: bool = False
    """Whether that was another one than RPF'(*,G)."""
    override_timer: Timer | None = None
    """OT(S,G,rpt); made when it is first needed."""


@define
class Window:
    """How much data of a flow came lately, as far as `spt-threshold` wants to know."""

    since: float
    """Seconds of the core's clock."""
    counted: int = 0
    """The kernel's packets or bytes of the entry then."""
    full: bool = False
    """Whether the threshold was reached when last it was looked at."""


@define
class Flow:
    """Data of (S,G) that passes here, or wants to."""

    vif: int
    """Where it comes in: by RPF_interface(S) once it was seen there, else where it was last seen."""
    arrived: int
    """Where the packet came in that the rules of 4.2 are to be applied to."""
    timer: Timer
    """When it counts as ended, unless the kernel's counters grow."""
    window: Window
    counted: int = 0
    """The kernel's packets of the entry when it was last looked at."""
    unread: bool = True
    """Whether the rules of 4.2 still have to be applied to its arrival."""
    found: bool = False
    """Whether an earlier run of this daemon left its entry, and it is not known yet which tree it was on."""
    own_tree: bool = False
    """Whether that was S's own tree: the entry came in where only that tree does."""
    last_hop: bool = False
    """Whether a member here wanted it when the entry was last settled."""


@define
class SG:
    """The (S,G) entry (RFC 7761 4.1.3), and with `rpt` the (S,G,rpt) entry (4.1.4)."""

    pim: Pim
    key: bytes
    """`source + group`, as all tables have it."""
    source: Address
    group: Address
    tree: Group | None
    """The group's shared tree; None in the SSM range, where there is none (4.8)."""
    created: float
    """Seconds of the core's clock."""
    path: Path = field(init=False)
    """The way towards S, RPF_interface(S) and MRIB.next_hop(S)."""
    joins: int = 0
    """joins(S,G): the vifs on which the downstream machine is in state Join or Prune-Pending, and the register
    tunnel while the Register machine wants it there (4.4.1)."""
    members: int = 0
    """The vifs I with local_receiver_include(S,G,I)."""
    joined: bool = False
    """Whether the upstream machine is in state Joined (4.5.5)."""
    spt_bit: bool = False
    """SPTbit(S,G) (4.2.2)."""
    rpf: Neighbor | None = None
    """RPF'(S,G) as the upstream machine last acted on it."""
    rpf_by_assert: bool = False
    """Whether that was the winner of an Assert."""
    join_timer: Timer | None = None
    """JT(S,G); made when it is first needed."""
    keepalive: Timer | None = None
    """KAT(S,G); made when data is first seen, never in the SSM range."""
    rpt: SGRpt | None = None
    register: Registering | None = None
    """The Register machine, if it is not in state NoInfo (4.4.1)."""
    asserts: dict[PimInterface, AssertState] | None = None
    """The (S,G) Assert machines that are not in state NoInfo (4.6.1)."""
    flow: Flow | None = None
    touched: bool = False


@define
class StarG:
    """The (*,G) entry (RFC 7761 4.1.2)."""

    pim: Pim
    tree: Group
    created: float
    joins: int = 0
    """joins(*,G)."""
    members: int = 0
    """The vifs I with local_receiver_include(*,G,I)."""
    joined: bool = False
    """Whether the upstream machine is in state Joined (4.5.4)."""
    rpf: Neighbor | None = None
    """RPF'(*,G) as the upstream machine last acted on it."""
    rpf_by_assert: bool = False
    """Whether that was the winner of an Assert."""
    join_timer: Timer | None = None
    """JT(*,G)."""
    asserts: dict[PimInterface, AssertState] | None = None
    """The (*,G) Assert machines that are not in state NoInfo (4.6.2)."""
    touched: bool = False
    rp_told: Address | None = None
    """The RP that our last Join named, or would have."""
    seen: tuple[object, ...] = ()
    """What the (S,G) entries of the group last had to know of this one."""

    @property
    def group(self) -> Address:
        """The group's address."""
        return self.tree.group


@define
class Group:
    """All state of one group outside the SSM range, and its RP."""

    group: Address
    rp: Address | None = None
    """RP(G), None if none is known."""
    i_am_rp: bool = False
    """I_am_RP(G)."""
    path: Path | None = None
    """The way towards RP(G); after a change of the RP that to the former one, until the kernel tells of the new."""
    coming: Path | None = None
    """The way towards a new RP that the kernel has not told of yet."""
    star: StarG | None = None
    sources: dict[SG, None] = field(factory=dict)
    mapped: tuple[Prefix, Address] | None = None
    """The mapping that gave it its RP: (range, RP)."""


class Tib:
    """The entries, found by key."""

    def __init__(self) -> None:
        self.sg: dict[bytes, SG] = {}
        """(S,G) entries by `source + group`."""
        self.groups: dict[Address, Group] = {}
        """The groups outside the SSM range that have any entry."""
        self._in_order: list[Address] = []

    def add_group(self, tree: Group) -> None:
        """A group that was not there."""
        self.groups[tree.group] = tree
        insort(self._in_order, tree.group)

    def remove_group(self, tree: Group) -> None:
        """A group that was there."""
        del self.groups[tree.group]
        del self._in_order[bisect_left(self._in_order, tree.group)]

    def groups_in(self, prefix: Prefix) -> list[Group]:
        """The groups of a range, found without looking at the others."""
        size = len(prefix.network)
        last = int.from_bytes(prefix.network, "big") | (1 << (8 * size - prefix.length)) - 1
        low = bisect_left(self._in_order, prefix.network)
        high = bisect_right(self._in_order, last.to_bytes(size, "big"))
        return [self.groups[group] for group in self._in_order[low:high]]
