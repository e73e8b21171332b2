"""The (S,G,rpt) entries of `show mroute`: sources that somebody does not want from the shared tree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pimpy.core.pim import macros
from pimpy.core.pim.tib import SG, RptState, SGRpt
from pimpy.core.rows import RptOutgoingRow, RptRow
from pimpy.wire.family import format_address

if TYPE_CHECKING:
    from pimpy.core.pim.neighbor import PimInterface
    from pimpy.core.router import Router


def rpt_rows(router: Router, sg: SG) -> Iterator[RptRow | RptOutgoingRow]:
    """The (S,G,rpt) entry of a source and its interfaces, if it says anything that (*,G) does not."""
    rpt, tree = sg.rpt, sg.tree
    if rpt is None or tree is None or not _tells(router, rpt):
        return
    interface = macros.rpf_interface(router.pim, tree.path)
    neighbor = macros.rpf_prime_rpt(sg)
    override = rpt.override_timer
    yield RptRow(
        row="rpt",
        address_family=router.family.name,
        group=format_address(sg.group),
        source_address=format_address(sg.source),
        rp_address=None if tree.rp is None else format_address(tree.rp),
        upstream_state=rpt.state.value,
        incoming_interface="register" if tree.i_am_rp else None if interface is None else interface.name,
        rpf_neighbor=None if neighbor is None else format_address(neighbor.address),
        override_expiration=None if override is None else override.left(router.heap.now),
    )
    told = rpt.prunes | rpt.pending | rpt.excludes
    inherited = macros.inherited_olist_rpt(sg)
    for each in router.pim.interfaces.values():
        if each.mask & told:
            yield _outgoing(router, sg, rpt, each, inherited)


def _tells(router: Router, rpt: SGRpt) -> bool:
    if rpt.prunes or rpt.pending or rpt.excludes or rpt.state is RptState.PRUNED:
        return True
    return rpt.override_timer is not None and rpt.override_timer.running


def _outgoing(router: Router, sg: SG, rpt: SGRpt, interface: PimInterface, inherited: int) -> RptOutgoingRow:
    machine, now = interface.downstream_rpt.get(sg), router.heap.now
    return RptOutgoingRow(
        row="rpt_outgoing",
        address_family=router.family.name,
        group=format_address(sg.group),
        source_address=format_address(sg.source),
        outgoing_interface=interface.name,
        prune_state="no_info" if machine is None else machine.state.value,
        excluded=bool(rpt.excludes & interface.mask),
        inherited=bool(inherited & interface.mask),
        prune_expiration=None if machine is None else machine.prune_pending.left(now),
        expiration=None if machine is None else machine.expiry.left(now),
        up_time=None if machine is None else now - machine.since,
    )
