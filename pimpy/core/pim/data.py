"""Data packets: RFC 7761 4.2, of which the kernel forwards and we decide; and the Keepalive Timer.

The kernel tells of a packet that it has no entry for (NoCache) or that came in on a wrong interface
(WrongVif); of all others its counters tell, which are read in one dump for all entries together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pimpy.core.engine.timers import Timer
from pimpy.core.pim import asserts, macros, spt_threshold
from pimpy.core.pim.spt_threshold import switch_to_spt_desired
from pimpy.core.pim.tib import Flow, Window

if TYPE_CHECKING:
    from pimpy.core.pim.tib import SG


def set_keepalive(sg: SG, period: float) -> None:
    """set KeepaliveTimer(S,G) to `period` seconds; a longer rest is kept (R12)."""
    if sg.keepalive is None:
        sg.keepalive = Timer(sg.pim.heap, sg, _keepalive_expires)
    started = not sg.keepalive.running
    sg.keepalive.no_sooner_than(sg.pim.now + period)
    if started:
        sg.pim.touched.touch(sg)


def arrives(sg: SG, vif: int) -> None:
    """A packet of (S,G) came in by `vif`; its rules are applied when the entry is settled."""
    pim = sg.pim
    if sg.flow is None:
        sg.flow = Flow(vif, vif, Timer(pim.heap, sg, _flow_ends), Window(pim.now))
        sg.flow.found = pim.forwarding.held.get(sg.key) is not None
        pim.watch_counters()
    if 1 << sg.flow.vif != macros.rpf_mask(sg):
        sg.flow.vif = vif
    sg.flow.arrived = vif
    sg.flow.unread = True
    sg.flow.timer.at(pim.now + pim.settings.keepalive_period)
    pim.touched.touch(sg)


def forget(sg: SG) -> None:
    """The flow counts as ended, whatever the kernel counts."""
    if sg.flow is not None:
        sg.flow.timer.close()
        sg.flow = None
        sg.pim.touched.touch(sg)


def restart_keepalive(sg: SG, vif: int) -> None:
    """The first part of "On receipt of data from S to G on interface iif" (4.2; F1, F2)."""
    if sg.tree is None or 1 << vif != macros.rpf_mask(sg):
        return
    if macros.source_connected(sg) or (sg.joined and macros.inherited_olist(sg)):
        set_keepalive(sg, sg.pim.settings.keepalive_period)


def look_at_found(sg: SG) -> None:
    """The kernel has an entry of an earlier run: if it is one of S's own tree, the Keepalive Timer ran (4.2, 4.4.2).

    So it does now, and the SPTbit is set as soon as somebody wants the stream again: in between nothing is lost.
    """
    flow, tree = sg.flow, sg.tree
    if flow is None or tree is None or not flow.found or sg.path.route is None:
        return
    if tree.path is not None and tree.path.route is None:
        return
    flow.found = False
    iif = 1 << flow.vif
    if iif == macros.rpf_mask(sg) and iif != macros.rp_mask(sg.pim, tree):
        flow.own_tree = True
        set_keepalive(sg, sg.pim.settings.keepalive_period)


def apply_rules(sg: SG) -> None:
    """The rest of it: Update_SPTbit, CheckSwitchToSpt, and Asserts on what came in wrong (4.2, 4.2.1, 4.2.2)."""
    flow, tree = sg.flow, sg.tree
    if flow is None or tree is None:
        return
    iif = 1 << flow.arrived
    if macros.spt_bit_may_be_set(sg, iif):
        sg.spt_bit = True
    if iif == macros.rpf_mask(sg) and sg.spt_bit:
        return
    if iif == macros.rp_mask(sg.pim, tree) and not sg.spt_bit:
        check_switch_to_spt(sg)
        return
    interface = sg.pim.by_vif(flow.arrived)
    if interface is not None:
        asserts.data_arrives(sg, interface)


def expect_next_packet(sg: SG) -> None:
    """Data passes, and the kernel tells of no further packet: what the next one would do to the SPTbit is done now.

    Only where nothing can be lost by it: the source is connected, nobody wants it from the shared tree, both trees
    come from the same neighbour, or we lost the Assert where it comes in. A packet that proves the SPT complete is
    waited for (4.2.2).
    """
    flow = sg.flow
    if flow is None:
        return
    spt_threshold.watch(sg)
    last_hop, flow.last_hop = flow.last_hop, macros.last_hop_wants(sg)
    if flow.last_hop and not last_hop and macros.on_shared_tree(sg):
        check_switch_to_spt(sg)  # a member came to what others have already
    if sg.spt_bit or not macros.spt_bit_may_be_set(sg, 1 << flow.vif):
        return
    same_way = flow.own_tree or macros.both_trees_meet(sg) or bool(1 << flow.vif & macros.assert_lost(sg))
    sg.spt_bit = macros.source_connected(sg) or macros.inherited_olist_rpt(sg) == 0 or same_way


def check_switch_to_spt(sg: SG) -> None:
    """CheckSwitchToSpt(S,G) (4.2.1): restarting the Keepalive Timer results in the SPT switch."""
    if macros.last_hop_wants(sg) and switch_to_spt_desired(sg):
        set_keepalive(sg, sg.pim.settings.keepalive_period)


def counted(sg: SG, packets: int, octets: int) -> None:
    """The kernel has forwarded so many packets and bytes of the entry in all, those from a wrong interface apart."""
    flow = sg.flow
    if flow is None:
        return
    spt_threshold.measure(sg, packets, octets)
    if packets == flow.counted:
        return
    flow.counted = packets
    if packets == 0:
        return  # the entry was made anew, and counts from the beginning
    flow.timer.at(sg.pim.now + sg.pim.settings.keepalive_period)
    entry = sg.pim.forwarding.entry(sg.key)
    if entry is None:
        return
    flow.vif = entry[0]
    restart_keepalive(sg, flow.vif)
    if macros.on_shared_tree(sg):
        check_switch_to_spt(sg)
        at_rp = sg.tree is not None and sg.tree.i_am_rp
        if at_rp and spt_threshold.threshold_of(sg).measured and switch_to_spt_desired(sg):
            set_keepalive(sg, sg.pim.settings.keepalive_period)  # what was counted came in Registers (4.4.2)


def _keepalive_expires(sg: SG) -> None:
    sg.pim.touched.touch(sg)


def _flow_ends(sg: SG) -> None:
    """Nothing was counted for so long that the source counts as silent."""
    sg.flow = None
    sg.pim.touched.touch(sg)
