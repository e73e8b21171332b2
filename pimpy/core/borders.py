"""Borders of admin-scope zones: what stands is judged anew when an interface becomes one, or is one no more.

What is asked or comes in later is judged where it arrives: `PimInterface.bars`, `macros.rpf_interface`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pimpy.core import members
from pimpy.core.pim import asserts, downstream, downstream_rpt, trees

if TYPE_CHECKING:
    from pimpy.core.pim.neighbor import PimInterface
    from pimpy.core.router import Router


def changed(router: Router, interface: PimInterface) -> None:
    """An interface is the border of other scopes than before: all that came by it is looked at again."""
    for entry, machine in list(interface.downstream.items()):
        if interface.bars(entry.group):
            downstream.close(machine)
    for sg, rpt in list(interface.downstream_rpt.items()):
        if interface.bars(sg.group):
            downstream_rpt.close(rpt)
    for state in list(interface.asserts):
        if interface.bars(state.entry.group):
            asserts.withdraw(state)
    _ask_members(router, interface)
    let_go(router)
    for tree in router.pim.tib.groups.values():
        trees.touch_tree(router.pim, tree)
    for sg in router.pim.tib.sg.values():
        router.pim.touched.touch(sg)
    if interface.vif is not None:
        router.forwarding.forget_negatives_by(interface.vif)


def _ask_members(router: Router, interface: PimInterface) -> None:
    """What members there want may count now, or no longer."""
    for group, record in list(router.memberships[interface.ifindex].link.groups.items()):
        members.changed(router, interface, group, None)
        for source in list(record.sources):
            members.changed(router, interface, group, source)


def let_go(router: Router) -> None:
    """Entries of an earlier run go on by no border of their scope."""
    held = router.forwarding.held
    for entry in held.all() if router.pim.borders else ():
        for interface in router.pim.borders:
            if interface.bars(entry.group):
                held.give_up(entry, entry.oifs if entry.iif == interface.vif else interface.mask)
