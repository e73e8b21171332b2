"""Rows of RPs, Bootstrap routers, and of how an address is reached."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pimpy.core.engine.events import RouteResolved
from pimpy.core.pim import macros
from pimpy.core.pim.candidate_rp import HOLDTIME_FACTOR
from pimpy.core.pim.embedded import is_embedded
from pimpy.core.pim.rp_set import Choice, Learned, Static, hash_value
from pimpy.core.rows import BsrRow, CandidateRpRow, OfferRow, RpChoiceRow, RpfRow, RpRow, RpSetRow
from pimpy.core.rpf import Path
from pimpy.core.views.mroute import rpf_state
from pimpy.wire.family import Address, format_address

if TYPE_CHECKING:
    from pimpy.core.pim.bsr import BsrZone
    from pimpy.core.router import Router


def rp(router: Router) -> Iterator[RpRow]:
    """Each RP that is known, and where groups have none a row without an RP."""
    rp_set = router.pim.rp_set
    sources: dict[Address, set[str]] = {}
    for each in rp_set.statics():
        sources.setdefault(each.mapping.rp, set()).add("static")
    for zone in rp_set.zones.values():
        for known in zone.ranges.by_prefix.values():
            for address in known.rps:
                sources.setdefault(address, set()).add("bsr")
    groups: dict[Address | None, int] = {}
    for tree in router.pim.tib.groups.values():
        groups[tree.rp] = groups.get(tree.rp, 0) + 1
        if tree.rp is not None and is_embedded(tree.group) and rp_set.choose(tree.group).rule == "embedded":
            sources.setdefault(tree.rp, set()).add("embedded")
    for address in sorted(sources):
        yield _rp(router, address, " ".join(sorted(sources[address])), groups.get(address, 0))
    if groups.get(None):
        yield _rp(router, None, "none", groups[None])


def _rp(router: Router, address: Address | None, source: str, count: int) -> RpRow:
    path = router.rpf.paths.get(address) if address is not None else None
    neighbor = macros.rpf_neighbor(router.pim, path) if path is not None else None
    interface = macros.rpf_interface(router.pim, path)
    return RpRow(
        address_family=router.family.name,
        rp_address=_text(address),
        info_source=source,
        is_local=router.pim.is_mine(address),
        group_count=count,
        rpf_interface=None if interface is None else interface.name,
        rpf_neighbor=_text(None if neighbor is None else neighbor.address),
        rpf_state=None if path is None else rpf_state(router, path, neighbor),
    )


def rp_set(router: Router) -> Iterator[RpSetRow]:
    """Each mapping of a range to an RP."""
    for each in router.pim.rp_set.statics():
        yield _static(router, each)
    for zone in router.pim.rp_set.zones.values():
        for known in zone.ranges.by_prefix.values():
            for mapping in known.rps.values():
                yield _learned(router, mapping)


def _static(router: Router, static: Static) -> RpSetRow:
    mapping = static.mapping
    return RpSetRow(
        address_family=router.family.name,
        zone="global",
        group_prefix=str(mapping.prefix),
        rp_address=format_address(mapping.rp),
        info_source="static",
        mode="pim_sm",
        priority=mapping.priority,
        override=mapping.override,
        is_local=router.pim.is_mine(mapping.rp),
        usable=static.usable,
        hash_mask_length=router.pim.rp_set.hash_mask,
        holdtime=None,
        expiration=None,
        up_time=None,
    )


def _learned(router: Router, mapping: Learned) -> RpSetRow:
    zone = mapping.range.zone
    return RpSetRow(
        address_family=router.family.name,
        zone=str(zone.zone),
        group_prefix=str(mapping.range.prefix),
        rp_address=format_address(mapping.rp),
        info_source="bsr",
        mode="pim_bidir" if mapping.range.bidir else "pim_sm",
        priority=mapping.priority,
        override=False,
        is_local=router.pim.is_mine(mapping.rp),
        usable=not mapping.range.bidir,
        hash_mask_length=zone.hash_mask,
        holdtime=float(mapping.holdtime),
        expiration=mapping.expiry.left(router.heap.now),
        up_time=router.heap.now - mapping.since,
    )


def bsr(router: Router) -> Iterator[BsrRow | CandidateRpRow | OfferRow]:
    """Each scope zone with its BSR; who offers itself as RP where that is us; and what we offer."""
    zones = sorted(router.pim.bootstrap.zones.values(), key=lambda zone: str(zone.zone))
    for zone in zones:
        yield _bsr(router, zone)
    for zone in zones:
        yield from _candidates(router, zone)
    for each in router.pim.candidate_rp.advertisers:
        yield OfferRow(
            row="offer",
            address_family=router.family.name,
            zone=str(each.zone.zone),
            rp_address=format_address(each.candidacy.rp),
            priority=each.candidacy.priority,
            holdtime=HOLDTIME_FACTOR * each.candidacy.period,
            group_prefixes=" ".join(map(str, each.candidacy.ranges)),
            advertisement_expiration=each.crpt.left(router.heap.now),
        )


def _bsr(router: Router, zone: BsrZone) -> BsrRow:
    current, mine, now = zone.current, zone.mine, router.heap.now
    started = zone.routing.started
    return BsrRow(
        row="zone",
        address_family=router.family.name,
        zone=str(zone.zone),
        state=zone.state.value,
        bsr_address=_text(None if current is None else current[1]),
        bsr_priority=None if current is None else current[0],
        hash_mask_length=None if current is None else zone.hash_mask,
        bootstrap_expiration=zone.bst.left(now),
        up_time=now - max(zone.since, now if started is None else started),
        candidate_address=_text(None if mine is None else mine.address),
        candidate_priority=None if mine is None else mine.priority,
    )


def _candidates(router: Router, zone: BsrZone) -> Iterator[CandidateRpRow]:
    for known in zone.crp_set.ranges.values():
        for each in known.values():
            yield CandidateRpRow(
                row="candidate_rp",
                address_family=router.family.name,
                zone=str(zone.zone),
                group_prefix=str(each.prefix),
                rp_address=format_address(each.rp),
                mode="pim_bidir" if each.bidir else "pim_sm",
                priority=each.priority,
                holdtime=float(each.holdtime),
                expiration=each.expiry.left(router.heap.now),
                up_time=router.heap.now - each.since,
            )


def rp_of(router: Router, group: Address) -> Iterator[RpChoiceRow]:
    """Which RP a group has, by which rule, and the hash values of those that stood for choice."""
    if router.ssm.holds(group):
        yield _choice(router, group, Choice(None, "ssm"), None, None)
        return
    choice = router.pim.rp_set.choose(group)
    if not choice.contenders:
        yield _choice(router, group, choice, choice.rp, None)
    for address, priority in sorted(choice.contenders):
        yield _choice(router, group, choice, address, priority)


def _choice(
    router: Router, group: Address, choice: Choice, address: Address | None, priority: int | None
) -> RpChoiceRow:
    return RpChoiceRow(
        row="choice",
        address_family=router.family.name,
        group=format_address(group),
        zone=str(choice.zone),
        rule=choice.rule,
        group_prefix=None if choice.prefix is None else str(choice.prefix),
        hash_mask_length=choice.hash_mask if priority is not None else None,
        rp_address=_text(address),
        priority=priority,
        hash_value=None if priority is None or address is None else hash_value(group, choice.hash_mask, address),
        is_selected=address is not None and address == choice.rp,
        is_local=router.pim.is_mine(address),
    )


def rpf(router: Router, route: RouteResolved) -> RpfRow:
    """How an address is reached, `route` being what the kernel says."""
    route = router.rpf.effective(route)
    path = Path(route.address, route)
    neighbor = macros.rpf_neighbor(router.pim, path)
    interface = macros.rpf_interface(router.pim, path)
    known = router.interfaces.get(route.ifindex) if route.ifindex is not None else None
    name = interface.name if interface is not None else None if known is None else known.name
    return RpfRow(
        address_family=router.family.name,
        address=format_address(route.address),
        prefix=None if route.prefix is None else str(route.prefix),
        rpf_interface=name,
        next_hop=_text(route.next_hop),
        rpf_neighbor=_text(None if neighbor is None else neighbor.address),
        rpf_state=rpf_state(router, path, neighbor),
        protocol=route.protocol,
        metric=route.metric,
        users=len(found.users) if (found := router.rpf.paths.get(route.address)) is not None else 0,
    )


def _text(address: Address | None) -> str | None:
    return None if address is None else format_address(address)
