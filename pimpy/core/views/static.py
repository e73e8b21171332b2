"""Rows of static routes, and of the entries that are not PIM's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pimpy.config.routes import StaticJoin
from pimpy.core.forwarding import OWNERS
from pimpy.core.interface import REGISTER_VIF
from pimpy.core.rows import MrouteRow, OutgoingRow, StaticRow
from pimpy.core.static import Rule
from pimpy.core.traffic import NOTHING
from pimpy.wire.family import Address, format_address

if TYPE_CHECKING:
    from pimpy.core.router import Router


def static(router: Router) -> Iterator[StaticRow]:
    """The static routes and joins, in the order in which they came."""
    for rule in router.static.rules.values():
        yield _rule(router, rule)
    for join, interfaces in router.static.joins.wanted.items():
        yield _join(router, join, len(interfaces))


def _rule(router: Router, rule: Rule) -> StaticRow:
    route = rule.route
    return StaticRow(
        kind="mroute",
        address_family=router.family.name,
        interface=route.interface,
        source_prefix=None if route.source is None else str(route.source),
        group_prefix=str(route.group),
        outgoing_interfaces=" ".join(route.outgoing),
        pending=not rule.iifs,
        entries=len(rule.flows),
    )


def _join(router: Router, join: StaticJoin, interfaces: int) -> StaticRow:
    return StaticRow(
        kind="join",
        address_family=router.family.name,
        interface=join.interface,
        source_prefix=None if join.source is None else str(join.source),
        group_prefix=str(join.group),
        outgoing_interfaces="",
        pending=not interfaces,
        entries=interfaces * join.size,
    )


def claimed(router: Router) -> Iterator[MrouteRow | OutgoingRow]:
    """The entries that are not PIM's."""
    for source, group, owner, iif, oifs in sorted(router.forwarding.claimed()):
        yield from _claimed(router, source, group, OWNERS[owner], iif, oifs)


def _claimed(
    router: Router, source: Address, group: Address, owner: str, iif: int, oifs: int
) -> Iterator[MrouteRow | OutgoingRow]:
    count = oifs.bit_count()
    yield entry_without_state(router, source, group, iif, mode=owner, rpf_state="local", outgoing_count=count)
    for name in router.vifs.names(oifs & ~(1 << REGISTER_VIF)):
        yield OutgoingRow(
            row="outgoing",
            address_family=router.family.name,
            group=format_address(group),
            source_address=format_address(source),
            outgoing_interface=name,
            jp_state="no_info",
            member=False,
            inherited=False,
            rpt_pruned=False,
            assert_state=None,
            rpt_assert_state=None,
            forwarding=True,
            expiration=None,
            up_time=None,
        )


def entry_without_state(
    router: Router, source: Address, group: Address, iif: int, *, mode: str, rpf_state: str, outgoing_count: int
) -> MrouteRow:
    """An entry of the kernel's behind which there is no (S,G) entry of PIM's."""
    names = router.vifs.names(1 << iif)
    traffic = router.traffic.get((source, group), NOTHING)
    return MrouteRow(
        row="entry",
        address_family=router.family.name,
        group=format_address(group),
        source_address=format_address(source),
        is_rpt=False,
        mode=mode,
        rp_address=None,
        upstream_state="not_joined",
        is_spt=False,
        incoming_interface=names[0] if names else None,
        rpf_neighbor=None,
        rpf_state=rpf_state,
        join_expiration=None,
        keepalive_expiration=None,
        register_state=None,
        registered_packets=None,
        registered_bytes=None,
        up_time=0.0,
        outgoing_count=outgoing_count,
        **traffic._asdict(),
    )
