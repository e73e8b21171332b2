"""The Tree Information Base (RFC 7761 4.1): all state that joins, members and data have made, by entry.

Base state is kept here as bit masks over vifs; what follows from it (olists, JoinDesired, RPF') is worked
out in `macros.py` and never copied into another entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

from pimpy.core.engine.timers import Timer
from pimpy.core.rpf import Path
from pimpy.wire.family import Address

if TYPE_CHECKING:
    from pimpy.core.pim.instance import Pim
    from pimpy.core.pim.neighbor import Neighbor


@define(eq=False, weakref_slot=False)
class SG:
    """The (S,G) entry (RFC 7761 4.1.3)."""

    pim: Pim
    source: Address
    group: Address
    path: Path = field(init=False)
    """The way towards S, RPF_interface(S) and MRIB.next_hop(S)."""
    created: float
    """Seconds of the core's clock."""
    joins: int = 0
    """joins(S,G): the vifs on which the downstream machine is in state Join or Prune-Pending."""
    members: int = 0
    """The vifs I with local_receiver_include(S,G,I)."""
    joined: bool = False
    """Whether the upstream machine is in state Joined (4.5.5)."""
    rpf: Neighbor | None = None
    """RPF'(S,G) as the upstream machine last acted on it."""
    join_timer: Timer | None = None
    """JT(S,G); made when it is first needed."""
    touched: bool = False


class Tib:
    """The entries, found by key."""

    def __init__(self) -> None:
        self.sg: dict[bytes, SG] = {}
        """(S,G) entries by `source + group`."""
        self.groups: dict[Address, dict[SG, None]] = {}
        """The (S,G) entries of each group outside the SSM range: what a Prune(*,G) concerns."""
