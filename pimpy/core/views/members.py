"""`show igmp` and `show mld`: what hosts asked for, by interface."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pimpy.core.gmp.interface import Membership
from pimpy.core.gmp.membership import GroupRecord, SourceRecord
from pimpy.core.rows import GmpGroupRow, GmpInterfaceRow, GmpReporterRow, GmpRow, GmpSourceRow
from pimpy.wire.family import format_address

if TYPE_CHECKING:
    from pimpy.core.router import Router


def _served(router: Router) -> list[tuple[str, Membership]]:
    """The interfaces with members, PIM's and the proxies', by name."""
    found = [(router.pim.interfaces[ifindex].name, one) for ifindex, one in router.memberships.items()]
    proxied = router.proxies.ports.values()
    found += [(port.name, port.membership) for port in proxied if port.membership is not None]
    return sorted(found, key=lambda pair: pair[0])


def gmp_interfaces(router: Router) -> Iterator[GmpInterfaceRow]:
    tallies = _tallies(router)
    for name, membership in _served(router):
        yield interface_row(membership, name, router.heap.now, tallies.get(name, {}))


def gmp_groups(router: Router) -> Iterator[GmpRow]:
    for name, membership in _served(router):
        yield from group_rows(membership, name, router.heap.now)


def gmp_hosts(router: Router) -> Iterator[GmpRow]:
    """The groups with the hosts that are known to want them."""
    for name, membership in _served(router):
        yield from group_rows(membership, name, router.heap.now, hosts=True)


def gmp_sources(router: Router) -> Iterator[GmpRow]:
    """Of the groups only their sources."""
    return (row for row in gmp_groups(router) if isinstance(row, GmpSourceRow))


def _tallies(router: Router) -> dict[str, Counter[str]]:
    """Messages of the membership protocol by interface: by way and type, and how many were refused."""
    found: dict[str, Counter[str]] = {}
    for (interface, protocol, way, kind, reason), count in router.counters.values.items():
        if protocol == router.family.gmp:
            tally = found.setdefault(interface, Counter())
            tally["refused" if reason else f"{way}_{kind}"] += count
    return found


def interface_row(
    membership: Membership, interface: str, now: float, tally: Mapping[str, int] | None = None
) -> GmpInterfaceRow:
    """The row of an interface, which is called `interface`."""
    link, settings, found = membership.link, membership.settings, membership.querier
    querier = found.address if link.is_querier else found.other
    bridge, tally = membership.bridge, tally or {}
    leave = "leave" if membership.family.size == 4 else "done"
    return GmpInterfaceRow(
        address_family=membership.family.name,
        interface=interface,
        oper_status="up" if membership.listens else "down",
        version=link.version,
        querier=None if querier is None else format_address(querier),
        is_querier=link.is_querier,
        querier_expiration=found.present_timer.left(now),
        query_expiration=found.general_timer.left(now),
        query_interval=link.variables.query_interval,
        query_max_response_time=settings.query_response_interval,
        robustness_variable=link.variables.robustness,
        groups_count=len(link.groups),
        sources_count=sum(len(group.sources) for group in link.groups.values()),
        max_groups=settings.max_groups,
        queries_sent=tally.get("tx_query", 0),
        queries_received=tally.get("rx_query", 0),
        reports_v1_received=tally.get("rx_report_v1", 0),
        reports_v2_received=tally.get("rx_report_v2", 0),
        reports_v3_received=tally.get("rx_report_v3", 0),
        leaves_received=tally.get(f"rx_{leave}", 0),
        refused=tally.get("refused", 0),
        immediate_leave="forced" if settings.forced_leave else "tracked" if settings.immediate_leave else "off",
        bridge=None if bridge is None else bridge.name,
        bridge_querier=None if bridge is None or bridge.querier is None else format_address(bridge.querier),
        bridge_router_port=None if bridge is None else bridge.is_router_port,
        bridge_warning=None if bridge is None else bridge.warning(),
    )


def group_rows(membership: Membership, interface: str, now: float, *, hosts: bool = False) -> Iterator[GmpRow]:
    """A row of each group, and behind it one of each of its sources and, with `hosts`, of each known host."""
    for group in list(membership.link.groups.values()):
        yield _group(membership, group, interface, now)
        for source in list(group.sources.values()):
            yield _source(membership, source, interface, now)
        if hosts:
            yield from _reporters(group, interface, now)
    yield from _static(membership, interface, now)


def _group(membership: Membership, group: GroupRecord, interface: str, now: float) -> GmpGroupRow:
    static = (group.address, None) in membership.static
    return GmpGroupRow(
        row="group",
        address_family=membership.family.name,
        interface=interface,
        group_address=format_address(group.address),
        filter_mode="exclude" if group.mode or static else "include",
        version=group.version(),
        up_time=now - group.since,
        expire=None if static else group.timer.left(now),
        last_reporter=None if group.reporter is None else format_address(group.reporter),
        sources_count=len(group.sources),
        hosts_count=None if group.hosts is None else sum(host.until > now for host in group.hosts.known.values()),
        static=static,
    )


def _source(membership: Membership, source: SourceRecord, interface: str, now: float) -> GmpSourceRow:
    group = source.group.address
    static = (group, source.address) in membership.static
    return GmpSourceRow(
        row="source",
        address_family=membership.family.name,
        interface=interface,
        group_address=format_address(group),
        source_address=format_address(source.address),
        forwarding=not membership.excludes(group, source.address),
        up_time=now - source.since,
        expire=None if static else source.timer.left(now),
        static=static,
    )


def _reporters(group: GroupRecord, interface: str, now: float) -> Iterator[GmpReporterRow]:
    for address, host in list(group.hosts.known.items()) if group.hosts is not None else ():
        if host.until > now:
            yield GmpReporterRow(
                row="reporter",
                address_family=group.link.family.name,
                interface=interface,
                group_address=format_address(group.address),
                reporter_address=format_address(address),
                filter_mode="exclude" if host.excludes else "include",
                sources=" ".join(format_address(source) for source in sorted(host.sources)),
                expire=host.until - now,
            )


def _static(membership: Membership, interface: str, now: float) -> Iterator[GmpRow]:
    """What the configuration wants and no host has a record of."""
    told: set[bytes] = set(membership.link.groups)
    named = Counter(group for group, source in membership.static if source is not None)
    for (group, source), since in membership.static.items():
        if group not in told:
            told.add(group)
            yield GmpGroupRow(
                row="group",
                address_family=membership.family.name,
                interface=interface,
                group_address=format_address(group),
                filter_mode="exclude" if (group, None) in membership.static else "include",
                version=membership.link.version,
                up_time=now - since,
                expire=None,
                last_reporter=None,
                sources_count=named[group],
                hosts_count=None,
                static=(group, None) in membership.static,
            )
        record = membership.link.groups.get(group)
        if source is not None and (record is None or source not in record.sources):
            yield GmpSourceRow(
                row="source",
                address_family=membership.family.name,
                interface=interface,
                group_address=format_address(group),
                source_address=format_address(source),
                forwarding=True,
                up_time=now - since,
                expire=None,
                static=True,
            )
