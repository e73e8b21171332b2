"""What comes in on one interface: which packets count, and what each message means (RFC 9776 6.4, 6.6 and 7.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pimpy.core.gmp import queries, tracking
from pimpy.core.gmp.link import WARNINGS
from pimpy.core.gmp.membership import GroupRecord, apply, delete_if_empty, obtain
from pimpy.wire.family import Address, format_address
from pimpy.wire.membership import Leave, Message, OldReport, Query, RecordType, Report, Solicitation
from pimpy.wire.reader import Malformed

if TYPE_CHECKING:
    from pimpy.core.gmp.interface import Membership

_TO_EXCLUDE = (RecordType.MODE_IS_EXCLUDE, RecordType.CHANGE_TO_EXCLUDE_MODE)


def receive(m: Membership, source: Address, destination: Address, ttl: int, router_alert: bool, data: bytes) -> None:
    """Take a message that came in, from its IGMP or ICMPv6 header on. Raises on no bytes."""
    codec = m.link.traits.codec
    name = codec.type_name(data)
    if name is None:
        m.count("other", "unknown_type" if data else "truncated")
        return
    reason = _admission(m, source, ttl, router_alert)
    if not reason:
        try:
            message = codec.decode(data)
        except Malformed as error:
            reason = error.reason
        else:
            reason = _take(m, name, message, source, destination)
    m.count(name, reason)
    if reason == m.link.traits.bad_source and name == "query":
        m.link.notice("warning", reason, f"a query from {format_address(source)} is dropped")


def _admission(m: Membership, source: Address, ttl: int, router_alert: bool) -> str:
    """Why the packet's header forbids to look further, or "" (TH5 to TH8; RFC 9777 7.4, 7.6)."""
    traits = m.link.traits
    if not m.listens:
        return "if_not_enabled"
    if ttl != 1:
        return traits.bad_ttl
    if not router_alert and (traits.router_alert or m.settings.require_router_alert):
        return traits.no_router_alert
    if traits.link_local_source:
        return "" if m.family.is_link_local(source) else traits.bad_source
    return "" if source == m.family.any or m.family.is_unicast(source) else "bad_source"


def _take(m: Membership, name: str, message: Message | None, source: Address, destination: Address) -> str:
    """Act on a message; why it was not accepted, or ""."""
    if isinstance(message, Query):
        return _query(m, message, source, destination)
    if isinstance(message, Solicitation):
        return _solicitation(m, destination)
    if m.settings.on_link_only and _is_off_link(m, source):
        return m.link.traits.bad_source
    if isinstance(message, Report):
        return _report(m, name, message, source, destination)
    if isinstance(message, OldReport):
        return _old_report(m, message, source, destination)
    if isinstance(message, Leave):
        return _leave(m, message, source, destination)
    return "unknown_type"


def _solicitation(m: Membership, destination: Address) -> str:
    """A switch asks which routers there are (RFC 4286 4.2); only those that advertise answer."""
    if not _is_for_us(m, destination, None, unicast=False):
        return "bad_dest"
    m.advertiser.solicited()
    return ""


def _is_off_link(m: Membership, source: Address) -> bool:
    """Whether `source` can be told not to be on the link. Link-local ones are, and so is 0.0.0.0 (I16)."""
    return not m.link.traits.link_local_source and source != m.family.any and not m.on_link(source)


def _is_for_us(m: Membership, destination: Address, group: Address | None, unicast: bool = True) -> bool:
    """Whether a packet is sent to `group`, to the routers' groups or, if allowed, to an address of ours (I24)."""
    return destination == group or destination in m.joined or (unicast and m.is_own(destination))


def _query(m: Membership, query: Query, source: Address, destination: Address) -> str:
    """A query (RFC 9776 6.6): first the election, which may change the variables, then the timers."""
    general = query.group == m.family.any
    if source == m.querier.address or m.is_own(source):
        return "own_packet"
    if _is_off_link(m, source):
        return m.link.traits.bad_source
    if bool(query.sources) if general else not m.family.is_multicast(query.group):
        return "bad_group"
    if not _is_for_us(m, destination, query.group):
        return "bad_dest"
    if general and query.version != m.link.version:
        _warn_of_version(m, query.version, source)
    m.querier.heard(source, query, general)
    group = m.link.groups.get(query.group)
    if group is not None and not query.suppress and query.version > m.link.traits.leaveless:
        queries.heard(group, query.sources)
    return "query_src_zero" if source == m.family.any else ""


def _warn_of_version(m: Membership, version: int, source: Address) -> None:
    """Another router asks in another version: the administrator's business (RFC 9776 7.3.1, RFC 9777 8.3.1)."""
    name = m.link.traits.name
    text = f"{format_address(source)} sends queries of {name}v{version}, we are set to {name}v{m.link.version}"
    m.link.notice("warning", "query_version", text)


def _report(m: Membership, name: str, report: Report, source: Address, destination: Address) -> str:
    """A report of the newest version: record by record (RFC 9776 6.4)."""
    if not _is_for_us(m, destination, None):
        return "bad_dest"
    for record in report.records:
        reason = _record(m, record.group, record.type, record.sources, source)
        if reason:
            m.count(name, reason)
    return "truncated" if report.cut else ""


def _old_report(m: Membership, report: OldReport, source: Address, destination: Address) -> str:
    """A report of an older version is IS_EX({}), and sets the group to that version (7.3.2)."""
    if not _is_for_us(m, destination, report.group):
        return "bad_dest"
    if report.version < m.settings.oldest_version:
        return "old_version"
    if m.is_ssm(report.group) and (mapped := m.settings.mapped(report.group)):
        leaveless = report.version if report.version <= m.link.traits.leaveless else 0
        return _record(m, report.group, RecordType.MODE_IS_INCLUDE, mapped, source, leaveless, older=True)
    return _record(m, report.group, RecordType.MODE_IS_EXCLUDE, (), source, report.version, older=True)


def _leave(m: Membership, leave: Leave, source: Address, destination: Address) -> str:
    """A leave is TO_IN({}) (7.3.2); of a channel that was mapped, it blocks the sources that a report asked for."""
    if not _is_for_us(m, destination, leave.group, unicast=False):
        return "bad_dest"
    if m.settings.oldest_version >= m.link.traits.newest:
        return "old_version"
    if not m.is_ssm(leave.group):
        return _record(m, leave.group, RecordType.CHANGE_TO_INCLUDE_MODE, (), source)
    mapped = m.settings.mapped(leave.group)
    if not mapped:
        return _tell(m, "ssm_bad_record", leave.group)
    group = m.link.groups.get(leave.group)
    named = tuple(address for address in mapped if group is not None and address in group.sources)
    return _record(m, leave.group, RecordType.BLOCK_OLD_SOURCES, named, source)


def _record(
    m: Membership,
    address: Address,
    kind: int,
    listed: tuple[Address, ...],
    source: Address,
    version: int = 0,
    older: bool = False,
) -> str:
    """One record of `address`; why it is ignored, or "".

    `older`: it stands for a report of an older version, to which the group changes if `version` is given.
    """
    to_exclude = kind in _TO_EXCLUDE
    group = m.link.groups.get(address)
    if group is None:
        if not m.family.is_multicast(address):
            return "bad_group"
        wishes = to_exclude or (listed and kind != RecordType.BLOCK_OLD_SOURCES)
        if not wishes or not m.is_usable(address):
            return ""
    if to_exclude and m.is_ssm(address):
        return _tell(m, "ssm_bad_record", address)
    if group is None:
        if not m.settings.allows(address):
            return _tell(m, "group_denied", address)
        if len(m.link.groups) >= m.settings.max_groups or m.link.totals.groups >= m.link.totals.max_groups:
            return _tell(m, "group_limit", address)
        group = obtain(m.link, address)
    if older:
        tracking.heard_older(group)
    if version:
        _hear_older(m, group, version)
    reason = _translate(m, group, kind, listed, source)
    group.reporter = source
    delete_if_empty(group)
    return _tell(m, reason, address) if reason in WARNINGS else reason


def _tell(m: Membership, reason: str, group: Address) -> str:
    m.link.refuse(reason, group)
    return reason


def _hear_older(m: Membership, group: GroupRecord, version: int) -> None:
    """Start the older version host present timer (7.3.2, 8.13)."""
    before = group.version()
    until = m.heap.now + m.link.variables.older_host_present_interval
    if version == 1:
        group.version1_until = until
    else:
        group.version2_until = until
    if group.version() < before:
        text = f"{format_address(group.address)} has a member that speaks {m.link.traits.name}v{version}"
        m.link.notice("info", "compat_change", text)


def _translate(m: Membership, group: GroupRecord, kind: int, listed: tuple[Address, ...], source: Address) -> str:
    """Apply a record as the version of the group has it (7.3.2); why a source was refused, or ""."""
    version = group.version()
    if version < m.link.traits.newest:
        if kind == RecordType.BLOCK_OLD_SOURCES:
            return ""
        if kind == RecordType.CHANGE_TO_INCLUDE_MODE and version <= m.link.traits.leaveless:
            return ""
        if kind == RecordType.CHANGE_TO_EXCLUDE_MODE:
            listed = ()
    return apply(group, kind, listed, source)
