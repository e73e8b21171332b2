"""The timers that have an owner: those of everything that a router has, found by walking through it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pimpy.core.engine.timers import Timer

if TYPE_CHECKING:
    from pimpy.core.pim.instance import Pim
    from pimpy.core.router import Router


def timers_of(router: Router) -> list[Timer | None]:
    """Every timer that has a living owner. Most tables are empty most of the time, and this is done after each event:
    so a table is asked whether anything is in it before it is walked."""
    pim = router.pim
    timers: list[Timer | None] = [router._vifs_released, pim.poll, pim.measuring, router.drift_timer]
    if (adoption := router.adoption) is not None:
        timers += (adoption.known, adoption.sweep, adoption.overridden)
    if router.watches.streams or router.watches.neighbors:
        timers += [stream.timer for stream in router.watches.streams.values()]
        timers += [neighbor.timer for neighbor in router.watches.neighbors.values()]
    timers += (router.static._flush_timer, router.proxies.streams.timer)
    memberships = list(router.memberships.values())
    for proxied in router.proxies.ports.values():
        if proxied.host is not None:
            timers += (proxied.host.general_timer, proxied.host.change_timer)
            timers += [wish.answer_timer for wish in proxied.host.groups.values()]
        if proxied.membership is not None:
            memberships.append(proxied.membership)
    for membership in memberships:
        timers += (membership.querier.general_timer, membership.querier.present_timer, membership.advertiser.timer)
        for group in membership.link.groups.values():
            timers += (group.timer, group.asking and group.asking.timer)
            timers += [source.timer for source in group.sources.values()]
    for interface in pim.interfaces.values():
        timers += (interface.hello_timer, interface.triggered_hello)
        for neighbor in interface.neighbors.values():
            timers += (neighbor.liveness, neighbor.restart_answer)
        for machines in (interface.downstream, interface.downstream_rpt):
            for machine in machines.values():
                timers += (machine.expiry, machine.prune_pending)
        for state in interface.asserts:
            timers.append(state.timer)
    if router.forwarding._negatives:
        timers += [negative.timer for negative in router.forwarding._negatives.values()]
    timers += [advertiser.timer for advertiser in router.announcements.advertisers.values()]
    timers += timers_of_entries(pim)
    timers += timers_of_rps(pim)
    return timers


def timers_of_entries(pim: Pim) -> Iterator[Timer | None]:
    """Those of (S,G) and (*,G) entries."""
    for sg in pim.tib.sg.values():
        yield sg.join_timer
        yield sg.keepalive
        if sg.rpt is not None:
            yield sg.rpt.override_timer
        if sg.register is not None:
            yield sg.register.timer
            yield sg.register.behind
        if sg.flow is not None:
            yield sg.flow.timer
    for tree in pim.tib.groups.values():
        if tree.star is not None:
            yield tree.star.join_timer


def timers_of_rps(pim: Pim) -> Iterator[Timer | None]:
    """Those of RPs: of BSRs, of what they say, of candidates, of what does not answer, of what shares an address."""
    for hold in pim.unreachable.values():
        yield hold.timer
    for zone in pim.bootstrap.zones.values():
        yield zone.bst
        yield zone.szt
        for offered in zone.crp_set.ranges.values():
            for mapping in offered.values():
                yield mapping.expiry
    for telling in pim.anycast.told.values():
        yield telling.null_timer
        yield telling.data_timer
    for advertiser in pim.candidate_rp.advertisers:
        yield advertiser.crpt
    for learned in pim.rp_set.zones.values():
        for known in learned.ranges.by_prefix.values():
            for rp in known.rps.values():
                yield rp.expiry
