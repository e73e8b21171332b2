"""SwitchToSptDesired(S,G), the policy of RFC 7761 4.2.1: at once, never, or from so much data in an interval on.

How much data there is the kernel's counters tell. They are read together for all entries, so an interval is one of
the reader's, not one of each source: what began in the middle of one is judged by the end of the next at the latest.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from pimpy.core.engine.effects import ReadCounters
from pimpy.core.pim import macros
from pimpy.wire.record import frozen
from pimpy.wire.value import Value

if TYPE_CHECKING:
    from pimpy.core.pim.instance import Pim
    from pimpy.core.pim.tib import SG


@frozen
class SptThreshold(Value):
    """From how much data on a source's own tree is wanted."""

    quota: float = 0
    """Packets, or bytes, in one interval; 0 means from the first packet on, infinity never."""
    interval: float = 100.0
    """Seconds."""
    of_bytes: bool = False

    @property
    def measured(self) -> bool:
        """Whether it hangs on how much data there is."""
        return 0 < self.quota < inf


def threshold(word: str, number: int, interval: int) -> SptThreshold:
    """`immediate`, `infinity`, `packets` or `bytes` in an interval of seconds, or `rate` in kbit/s."""
    if word == "rate":
        return SptThreshold(number * 1000 // 8 * interval, interval, True)
    if word == "bytes":
        return SptThreshold(number, interval, True)
    return SptThreshold({"infinity": inf, "packets": number}.get(word, 0), interval)


def threshold_of(sg: SG) -> SptThreshold:
    """What holds for an entry: the RP may have a threshold of its own."""
    return sg.pim.rp_spt_threshold if sg.tree is not None and sg.tree.i_am_rp else sg.pim.spt_threshold


def switch_to_spt_desired(sg: SG) -> bool:
    """SwitchToSptDesired(S,G): whether data of S should come by its own tree (4.2.1)."""
    wanted = threshold_of(sg)
    if wanted.measured:
        return sg.flow is not None and sg.flow.window.full
    return wanted.quota == 0


def measure(sg: SG, packets: int, octets: int) -> None:
    """The kernel has forwarded so much of the flow in all: compare what was added with the threshold."""
    wanted = threshold_of(sg)
    if sg.flow is None or not wanted.measured:
        return
    window, now = sg.flow.window, sg.pim.now
    total = octets if wanted.of_bytes else packets
    added = total - window.counted if total >= window.counted else total  # less: the entry was made anew
    elapsed = now - window.since
    full = added >= wanted.quota * max(1.0, elapsed / wanted.interval)
    if full or elapsed >= wanted.interval:
        window.since, window.counted, window.full = now, total, full


def watch(sg: SG) -> None:
    """Have the flow measured, if something hangs on that."""
    wanted = threshold_of(sg)
    if wanted.measured and _undecided(sg):
        sg.pim.measuring.no_later_than(sg.pim.now + wanted.interval)


def interval_ends(pim: Pim) -> None:
    """Ask for the counters; their answer comes to `measure`."""
    if not (pim.spt_threshold.measured or pim.rp_spt_threshold.measured):
        return
    wanted = {threshold_of(sg) for sg in pim.tib.sg.values() if _undecided(sg)}
    intervals = [one.interval for one in wanted if one.measured]
    if intervals:
        pim.emit(ReadCounters())
        pim.measuring.at(pim.now + min(intervals))


def _undecided(sg: SG) -> bool:
    """Whether data comes by the shared tree to a router that may join the source: a last hop, or the RP."""
    if sg.tree is None or not macros.on_shared_tree(sg):
        return False
    return sg.tree.i_am_rp or macros.last_hop_wants(sg)
