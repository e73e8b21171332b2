"""The kernel's table is compared with what it should be, each minute and when somebody took an entry away.

Nobody but us should write there, but anybody with the right may: a flush, `ip mroute`, another daemon. What differs is
put right, counted, and told with its cause.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pimpy.core.engine.effects import AddRegisterVif, AddVif, ReadTable
from pimpy.core.engine.events import EntryGone, TableRead
from pimpy.core.interface import REGISTER_MASK, REGISTER_VIF
from pimpy.wire.record import define

if TYPE_CHECKING:
    from pimpy.core.router import Router

INTERVAL = 60.0
"""Seconds between two comparisons."""
GATHER = 0.1
"""Seconds within which entries that vanish are looked at together."""


@define
class Health:
    """What befell the table, in numbers that only grow."""

    adopted: int = 0
    """Entries that were taken over from an earlier run."""
    swept: int = 0
    """Outgoing interfaces of those that nobody confirmed in time."""
    drift: int = 0
    """Entries and vifs that somebody else had changed."""


def look(router: Router) -> None:
    """Have the kernel's table read, now."""
    router.emit(ReadTable())
    router.drift_timer.at(router.heap.now + INTERVAL)


def gone(router: Router, event: EntryGone) -> None:
    """An entry was removed: by ourselves, or it should still be there."""
    if event.source is None or event.group is None or router.forwarding.installed(event.source + event.group):
        router.drift_timer.no_later_than(router.heap.now + GATHER)


def compare(router: Router, event: TableRead) -> None:
    """Put right what is not as it should be."""
    vifs = _restore_vifs(router, event.vifs)
    if vifs:
        router.forwarding.rewrite()
    found = {source + group: (iif, oifs) for source, group, iif, oifs in event.entries}
    lacking, others, too_much = router.forwarding.differences(found)
    router.forwarding.put_right([*lacking, *others, *too_much])
    count = vifs + len(lacking) + len(others) + len(too_much)
    if not count:
        return
    router.health.drift += count
    parts = (
        (vifs, "virtual interfaces and what they forward were removed"),
        (len(lacking), "entries were removed"),
        (len(others), "entries were changed"),
        (len(too_much), "entries are not ours"),
    )
    what = ", ".join(f"{number} {words}" for number, words in parts if number)
    text = f"another program changed the kernel's table: {what}; all is put right"
    router.notice("warning", "mroute_kernel_drift", text)


def _restore_vifs(router: Router, there: int) -> int:
    """Make the vifs again that are gone though their interfaces are not; how many those were."""
    lost = 0
    for interface in router.interfaces.values():
        if interface.vif is not None and not there >> interface.vif & 1:
            router.emit(AddVif(interface.vif, interface.ifindex, interface.phyint.ttl_threshold or 1))
            lost += 1
    if router.pim.register_vif and not there & REGISTER_MASK:
        router.emit(AddRegisterVif(REGISTER_VIF))
        lost += 1
    return lost
