"""What the kernel says of the data that it forwards, or could not: upcalls, and counters that were asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pimpy.core.engine import events
from pimpy.core.engine.counters import CounterKey
from pimpy.core.engine.effects import ForwardPacket
from pimpy.core.interface import REGISTER_MASK, REGISTER_VIF
from pimpy.core.pim import asserts, data, macros, trees
from pimpy.wire.family import Address

if TYPE_CHECKING:
    from pimpy.core.router import Router


REGISTER_PATIENCE = 1.0
"""Seconds that the kernel holds a packet out of a Register until the Register itself is read and judged."""


_NOCACHE: CounterKey = ("-", "kernel", "rx", "nocache", "")


def no_cache(router: Router, event: events.NoCache) -> None:
    router.counters.count(_NOCACHE)
    tunnel = event.vif == REGISTER_VIF and router.pim.register_vif
    known = tunnel or router.vifs.owner(event.vif) is not None
    if not known or not router.ssm.usable(event.group):
        return
    if is_claimed(router, event.vif, event.source, event.group):
        return
    sg = router.pim.tib.sg.get(event.source + event.group)
    patience = 0.0
    if event.vif == REGISTER_VIF and not router.pim.is_mine(trees.rp(router.pim, event.group)):
        sg = None  # the kernel takes any Register apart, but only the RP may use what is in it (4.4.2)
    elif router.pim.is_barred(event.vif, event.group):
        sg = None
    elif sg is None and is_of_interest(router, event.vif, event.source, event.group):
        if event.vif != REGISTER_VIF:
            sg = trees.obtain_limited(router.pim, event.source, event.group, trees.DATA)
        else:
            patience = REGISTER_PATIENCE  # the kernel does not say who sent it, and to which address of ours
    if sg is None or (sg.tree is None and sg.path.route is not None):
        router.forwarding.no_cache(event.vif, event.source, event.group, patience)
    if sg is None or sg.tree is None:
        return  # a channel's entry follows when its route is known; until then the kernel holds the packet
    data.arrives(sg, event.vif)
    router.settle()
    router.forwarding.tell_again(event.source, event.group)


def is_claimed(router: Router, vif: int, source: Address, group: Address) -> bool:
    """Whether a static route or a proxy takes a stream, before PIM is asked."""
    return router.static.no_cache(vif, source, group) or router.proxies.no_cache(vif, source, group)


def is_of_interest(router: Router, vif: int, source: Address, group: Address) -> bool:
    """Whether data without an entry makes one: there is a shared tree, or the source is ours to register (4.2, 4.4).

    A source on a link that it cannot be on makes neither (Y8, TH47).
    """
    if router.ssm.holds(group) or not router.family.is_unicast(source) or router.pim.is_barred(vif, group):
        return False
    pim, tree = router.pim, router.pim.tib.groups.get(group)
    if tree is not None and tree.star is not None:
        return True
    interface = pim.by_vif(vif)
    connected = macros.directly_connected(interface, source)
    if interface is None:
        return vif == REGISTER_VIF
    return connected and trees.rp(pim, group) is not None


def wrong_vif(router: Router, event: events.WrongVif) -> None:
    router.counters.add("-", "kernel", "rx", "wrongvif")
    router.forwarding.wrong_vif(event.source, event.group)
    if router.static.wrong_vif(event.vif, event.source, event.group):
        return
    if router.proxies.wrong_vif(event.vif, event.source, event.group):
        return
    if router.pim.is_barred(event.vif, event.group):
        return
    sg = router.pim.tib.sg.get(event.source + event.group)
    if sg is not None and sg.tree is not None:
        data.arrives(sg, event.vif)
    elif sg is not None and (interface := router.pim.by_vif(event.vif)) is not None:
        asserts.data_arrives(sg, interface)


def whole_packet(router: Router, event: events.WholePacket) -> None:
    """The packet that the WrongVif before it spoke of, or one for the register tunnel that nobody registers any more.

    The former, if it made us take the entry's incoming interface to be its own, would be lost: it is sent on
    by us, since the kernel did not. That may be in a later batch than the WrongVif's.
    """
    if not event.wrong_vif:
        router.counters.add("-", "kernel", "rx", "wholepkt", "not_registered")
        return
    router.counters.add("-", "kernel", "rx", "wrvifwhole")
    entry = router.forwarding.standing(event.source, event.group)
    if entry is not None and entry[0] == event.vif:
        oifs = entry[1] & ~REGISTER_MASK
        if oifs:
            router.emit(ForwardPacket(oifs, event.packet))


def counters_read(router: Router, event: events.CountersRead) -> None:
    router.static.counted(event.entries)
    router.proxies.streams.counted(event.entries)
    router.watches.counted(event.entries)
    entries = router.pim.tib.sg
    for source, group, packets, octets in event.entries:
        sg = entries.get(source + group)
        if sg is not None:
            data.counted(sg, packets, octets)
