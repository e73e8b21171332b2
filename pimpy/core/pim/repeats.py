"""Registers that say what an earlier one said: the RP need not look at each (RFC 7761 4.4.2).

The kernel takes Registers apart and forwards what is in them. What is left to do for one is to answer it with a
Register-Stop or not, and to restart the Keepalive Timer. A DR that has not got the Register-Stop yet, or gets none as
data is to come in Registers for now, sends many to the same end: who receives them only counts those (QuietRegister),
until what is to be done is another thing, and for a short time at most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pimpy.core.engine.effects import HearRegister, QuietRegister
from pimpy.core.pim import macros
from pimpy.core.pim.spt_threshold import switch_to_spt_desired
from pimpy.wire.family import Address
from pimpy.wire.record import define, field

if TYPE_CHECKING:
    from pimpy.core.pim.instance import Pim
    from pimpy.core.pim.tib import SG

STOP_PACE = (0.1, 3.2)
"""Seconds in which a DR gets one Register-Stop for an (S,G): it answers all Registers that are under way.

Twice as long each time, up to the second: a DR that has more to do than it can is not helped by more of them.
"""
KEEPALIVE_PACE = 10.0
"""Seconds in which one Register restarts the Keepalive Timer: so much sooner than after 210 s it may end."""


def answered_by_stop(sg: SG) -> bool:
    """SPTbit(S,G) OR ( SwitchToSptDesired(S,G) AND ( inherited_olist(S,G) == NULL ) ) (4.4.2)"""
    return sg.spt_bit or (switch_to_spt_desired(sg) and macros.inherited_olist(sg) == 0)


@define
class Said:
    """What the last Register with data of an (S,G) said."""

    dr: Address
    rp: Address
    stop: bool
    """Whether a Register-Stop was the answer."""
    pace: float = 0.0
    """For how many seconds those that say the same are counted only."""
    until: float = 0.0
    """When that ends."""


@define
class Repeats:
    """Of the (S,G) for which we are the RP."""

    pim: Pim
    said: dict[SG, Said] = field(factory=dict)

    def is_one(self, sg: SG | None, dr: Address, rp: Address) -> bool:
        """Whether a Register with data of `dr` to `rp` is only to be counted, and came before that was known below."""
        said = self.said.get(sg) if sg is not None else None
        return said is not None and self.pim.now < said.until and (said.dr, said.rp) == (dr, rp)

    def register(self, sg: SG, dr: Address, rp: Address, stop: bool) -> None:
        """A Register with data of `dr` to `rp` was obeyed; the second that says the same has a third only counted."""
        said = self.said.get(sg)
        if said is None or (said.dr, said.rp, said.stop) != (dr, rp, stop):
            self.forget(sg)
            self.said[sg] = Said(dr, rp, stop)
        else:
            first, longest = STOP_PACE
            said.pace = min(max(first, 2 * said.pace), longest) if stop else KEEPALIVE_PACE
            said.until = self.pim.now + said.pace
            self.pim.emit(QuietRegister(sg.source, sg.group, dr, rp, said.pace))

    def settle(self, sg: SG) -> None:
        """Hear the next Register, if what is to be done for it is another thing now."""
        said, tree = self.said.get(sg), sg.tree
        if said is None:
            return
        for_us = tree is not None and tree.i_am_rp and tree.rp == said.rp and sg.flow is not None
        if not for_us or answered_by_stop(sg) != said.stop:
            self.forget(sg)

    def forget(self, sg: SG) -> None:
        """Hear the next Register."""
        said = self.said.pop(sg, None)
        if said is not None and said.pace:
            self.pim.emit(HearRegister(sg.source, sg.group))

    def forget_all(self) -> None:
        """What is let in, and when S's own tree is wanted, may be another thing now."""
        for sg in list(self.said):
            self.forget(sg)
