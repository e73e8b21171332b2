"""RPs that ICMP says are no use: data is not registered to them for a while (RFC 5059 6.2; conformance Y7).

Anybody can send such a message. One counts only if it quotes a Register of ours with the data in it: who can do that
has seen the data on its way. Nothing of it stops Registers for good, and the Register machine is not touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pimpy.core.engine.events import RegisterUnreachable
from pimpy.core.engine.timers import Timer
from pimpy.wire import pim as wire
from pimpy.wire.family import Address, format_address
from pimpy.wire.record import define, field

if TYPE_CHECKING:
    from pimpy.core.pim.instance import Pim
    from pimpy.core.pim.tib import SG

HOLD_TIME = 5.0
"""Seconds until Registers to that RP are tried again (5059 6.2: a short period)."""
_REGISTER = b"\x21"
"""Version 2 and type 1, a Register's first byte (RFC 7761 4.9)."""


@define
class Hold:
    """Registers to `rp` wait."""

    pim: Pim
    rp: Address
    why: str
    """`host` or `protocol`: what ICMP says cannot be reached."""
    timer: Timer = field(init=False)

    def __post_init__(self) -> None:
        self.timer = Timer(self.pim.heap, self, _try_again)


def receive(pim: Pim, event: RegisterUnreachable) -> None:
    """Hold Registers to an RP, if it is a Register of ours that did not reach it."""
    sg = _quoted(pim, event)
    if sg is None or sg.register is None or sg.register.rp != event.destination:
        pim.refuse("-", "icmp", "icmp_not_ours")
        return
    pim.counters.add("-", "pim", "rx", "icmp")
    rp = event.destination
    if rp in pim.unreachable:
        return
    hold = pim.unreachable[rp] = Hold(pim, rp, event.why)
    hold.timer.at(pim.now + HOLD_TIME)
    _touch(pim, rp)
    what = "knows no PIM" if event.why == "protocol" else "cannot be reached"
    text = f"the RP {format_address(rp)} {what}, says ICMP: Registers to it wait, {HOLD_TIME:.0f} s at a time"
    pim.warn("-", "rp_refuses", text)


def _quoted(pim: Pim, event: RegisterUnreachable) -> SG | None:
    """The entry whose data is in the Register that came back."""
    if event.quoted[:1] != _REGISTER:
        return None
    return pim.tib.sg.get(event.quoted[wire.inner_channel(pim.family)])  # one that is cut short is no entry's


def _try_again(hold: Hold) -> None:
    hold.timer.close()
    del hold.pim.unreachable[hold.rp]
    _touch(hold.pim, hold.rp)


def _touch(pim: Pim, rp: Address) -> None:
    for sg in pim.tib.sg.values():
        if sg.register is not None and sg.register.rp == rp:
            pim.touched.touch(sg)
