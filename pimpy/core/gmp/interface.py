"""The router side of IGMP and MLD on one interface: what comes in, and what others may ask of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from attrs import define, field

from pimpy.core.engine.timers import TimerHeap
from pimpy.core.gmp import queries
from pimpy.core.gmp.link import GmpSettings, Link
from pimpy.core.gmp.membership import EXCLUDE, GroupRecord, SourceRecord, apply, delete_if_empty, group_expired
from pimpy.core.gmp.querier import Querier, general_query
from pimpy.core.rows import GmpGroupRow, GmpInterfaceRow, GmpSourceRow
from pimpy.wire.family import Address, Family, format_address
from pimpy.wire.membership import Leave, Message, OldReport, Query, RecordType, Report
from pimpy.wire.reader import Malformed

if TYPE_CHECKING:
    import random

_TO_EXCLUDE = (RecordType.MODE_IS_EXCLUDE, RecordType.CHANGE_TO_EXCLUDE_MODE)
_WARNINGS = {
    "ssm_bad_record": "is in the SSM range, where a wish for any source does not count (RFC 9776 6.4)",
    "group_limit": "is refused: the limit of groups is reached",
    "source_limit": "has sources that are refused: the limit of sources is reached",
}


def _everything(address: Address) -> bool:
    return True


@define(eq=False)
class Membership:
    """The members of one interface in one family.

    `send` gets (destination, complete message). `changed` is told (group, source) when what is wanted of a
    source, or (group, None) when the wish for any source, has changed; everything is in its new state by
    then. `notice` gets (level, reason, text). `count` gets (message name, reason): "" once for each message
    that was accepted, a word for each that was dropped, and for each record of a report that was ignored;
    `query_src_zero` and `truncated` mark messages that were accepted as far as they go. `on_link` tells
    whether an address lies in a subnet of the interface, `usable` whether a group may have state (by
    default: if it may cross a router). `rng` is for the host side; nothing here is left to chance.
    """

    family: Family
    heap: TimerHeap
    rng: random.Random
    settings: GmpSettings
    send: Callable[[Address, bytes], None]
    changed: Callable[[Address, Address | None], None]
    is_ssm: Callable[[Address], bool]
    notice: Callable[[str, str, str], None]
    count: Callable[[str, str], None]
    on_link: Callable[[Address], bool] = _everything
    usable: Callable[[Address], bool] | None = None
    link: Link = field(init=False)
    querier: Querier = field(init=False)
    running: bool = field(init=False, default=False)
    joined: frozenset[Address] = field(init=False)
    """The groups of routers, of which every interface is a member."""

    def __attrs_post_init__(self) -> None:
        family = self.family
        self.link = Link(family, self.heap, self.settings, self.send, self.changed, self.notice)
        self.querier = Querier(self.link, family.any)
        self.usable = self.usable or family.is_routable_group
        self.joined = frozenset((family.all_hosts, family.all_routers, family.all_reports, family.all_pim_routers))

    # What the interface goes through.

    def start(self, address: Address) -> None:
        """Ask and listen; `address` is ours on the link (IPv4: the primary, IPv6: a link-local one)."""
        if self.running:
            self.readdress(address)
            return
        self.running = True
        self.querier.address = address
        self.querier.start()

    def stop(self) -> None:
        """All records go, all timers stop; `changed` is told of each."""
        if not self.running:
            return
        self.running = False
        self.querier.stop()
        groups = list(self.link.groups.values())
        self.link.groups.clear()
        for group in groups:
            group.close()
            if group.mode is EXCLUDE:
                self.changed(group.address, None)
            for source in group.sources:
                self.changed(group.address, source)

    def readdress(self, address: Address) -> None:
        """Our address on the link is `address` now."""
        if self.running:
            self.querier.readdress(address)

    def reconfigure(self, settings: GmpSettings) -> None:
        """Follow `settings`. Records stay; timers that run are not changed. ValueError: a version there is not."""
        if settings != self.settings:
            self.querier.reconfigure(settings)
            self.settings = settings

    def ssm_changed(self) -> None:
        """The SSM range is another one (conformance S8).

        A group that is in it now keeps the sources that are asked for by name. Whoever was ignored because
        a group was in it is asked at once.
        """
        for group in list(self.link.groups.values()):
            if self.is_ssm(group.address):
                group.version1_until = group.version2_until = 0.0
                if group.mode is EXCLUDE:
                    group_expired(group)
        if self.running and self.link.is_querier:
            general_query(self.querier)

    def wishes(self) -> list[tuple[Address, Address | None]]:
        """(group, source) of all that is asked for by name, and (group, None) of each group."""
        groups = list(self.link.groups.values())
        return [(g.address, source) for g in groups for source in (None, *g.sources)]

    # What is wanted (RFC 9776 6.3, RFC 7761 4.1.5).

    def wants(self, group: Address, source: Address) -> bool:
        """local_receiver_include(S,G,I): some member names `source`, in whatever filter mode."""
        record = self.link.groups.get(group)
        if record is None:
            return False
        found = record.sources.get(source)
        return found is not None and found.timer.running

    def wants_any(self, group: Address) -> bool:
        """local_receiver_include(*,G,I): the filter mode is EXCLUDE."""
        record = self.link.groups.get(group)
        return record is not None and record.mode is EXCLUDE

    def excludes(self, group: Address, source: Address) -> bool:
        """Whether `source` is in the exclude list: all members that want any source but this one agree on it."""
        record = self.link.groups.get(group)
        if record is None:
            return False
        found = record.sources.get(source)
        return found is not None and not found.timer.running

    # What comes in.

    def receive(self, source: Address, destination: Address, ttl: int, router_alert: bool, data: bytes) -> None:
        """Take a message that came in on this interface, from its IGMP or ICMPv6 header on. Raises on no bytes."""
        codec = self.link.traits.codec
        name = codec.type_name(data)
        if name is None:
            self.count("other", "unknown_type" if data else "truncated")
            return
        reason = self._admission(source, ttl, router_alert)
        if not reason:
            try:
                message = codec.decode(data)
            except Malformed as error:
                reason = error.reason
            else:
                reason = self._take(name, message, source, destination)
        self.count(name, reason)
        if reason == self.link.traits.bad_source and name == "query":
            self.link.notice("warning", reason, f"a query from {format_address(source)} is dropped")

    def _admission(self, source: Address, ttl: int, router_alert: bool) -> str:
        """Why the packet's header forbids to look further, or "" (TH5 to TH8; RFC 9777 7.4, 7.6)."""
        traits = self.link.traits
        if not self.running:
            return "if_not_enabled"
        if ttl != 1:
            return traits.bad_ttl
        if not router_alert and (traits.router_alert or self.settings.require_router_alert):
            return traits.no_router_alert
        if traits.link_local_source:
            return "" if self.family.is_link_local(source) else traits.bad_source
        return "" if source == self.family.any or self.family.is_unicast(source) else "bad_source"

    def _take(self, name: str, message: Message | None, source: Address, destination: Address) -> str:
        """Act on a message; why it was not accepted, or ""."""
        if isinstance(message, Query):
            return self._query(message, source, destination)
        if self.settings.on_link_only and self._is_off_link(source):
            return self.link.traits.bad_source
        if isinstance(message, Report):
            return self._report(name, message, source, destination)
        if isinstance(message, OldReport):
            return self._old_report(message, source, destination)
        if isinstance(message, Leave):
            return self._leave(message, source, destination)
        return "unknown_type"

    def _is_off_link(self, source: Address) -> bool:
        """Whether `source` can be told not to be on the link. Link-local ones are, and so is 0.0.0.0 (I16)."""
        return not self.link.traits.link_local_source and source != self.family.any and not self.on_link(source)

    def _is_for_us(self, destination: Address, group: Address | None, unicast: bool = True) -> bool:
        """Whether a packet is sent to `group`, to the routers' groups or, if allowed, to one host (I24)."""
        return destination == group or destination in self.joined or (unicast and self.family.is_unicast(destination))

    def _query(self, query: Query, source: Address, destination: Address) -> str:
        """A query (RFC 9776 6.6): first the election, which may change the variables, then the timers."""
        general = query.group == self.family.any
        if source == self.querier.address:
            return "own_packet"
        if self._is_off_link(source):
            return self.link.traits.bad_source
        if bool(query.sources) if general else not self.family.is_multicast(query.group):
            return "bad_group"
        if not self._is_for_us(destination, query.group):
            return "bad_dest"
        if general and query.version != self.link.version:
            self._warn_of_version(query.version, source)
        self.querier.heard(source, query, general)
        group = self.link.groups.get(query.group)
        if group is not None and not query.suppress and query.version > self.link.traits.leaveless:
            queries.heard(group, query.sources)
        return "query_src_zero" if source == self.family.any else ""

    def _warn_of_version(self, version: int, source: Address) -> None:
        """Another router asks in another version: the administrator's business (RFC 9776 7.3.1, RFC 9777 8.3.1)."""
        name = self.link.traits.name
        text = f"{format_address(source)} sends queries of {name}v{version}, we are set to {name}v{self.link.version}"
        self.link.notice("warning", "query_version", text)

    def _report(self, name: str, report: Report, source: Address, destination: Address) -> str:
        """A report of the newest version: record by record (RFC 9776 6.4)."""
        if not self._is_for_us(destination, None):
            return "bad_dest"
        for record in report.records:
            reason = self._record(record.group, record.type, record.sources, source)
            if reason:
                self.count(name, reason)
        return "truncated" if report.cut else ""

    def _old_report(self, report: OldReport, source: Address, destination: Address) -> str:
        """A report of an older version is IS_EX({}), and sets the group to that version (7.3.2)."""
        if not self._is_for_us(destination, report.group):
            return "bad_dest"
        if report.version < self.settings.oldest_version:
            return "old_version"
        return self._record(report.group, RecordType.MODE_IS_EXCLUDE, (), source, report.version)

    def _leave(self, leave: Leave, source: Address, destination: Address) -> str:
        """A leave is TO_IN({}) (7.3.2)."""
        if not self._is_for_us(destination, leave.group, unicast=False):
            return "bad_dest"
        if self.settings.oldest_version >= self.link.traits.newest:
            return "old_version"
        if self.is_ssm(leave.group):
            return self._tell("ssm_bad_record", leave.group)
        return self._record(leave.group, RecordType.CHANGE_TO_INCLUDE_MODE, (), source)

    def _record(
        self, address: Address, kind: int, listed: tuple[Address, ...], source: Address, version: int = 0
    ) -> str:
        """One record of `address`, from a host of an older version if one is given; why it is ignored, or ""."""
        to_exclude = kind in _TO_EXCLUDE
        group = self.link.groups.get(address)
        if group is None:
            if not self.family.is_multicast(address):
                return "bad_group"
            wishes = to_exclude or (listed and kind != RecordType.BLOCK_OLD_SOURCES)
            if not wishes or not self._is_usable(address):
                return ""
        if to_exclude and self.is_ssm(address):
            return self._tell("ssm_bad_record", address)
        if group is None:
            if len(self.link.groups) >= self.settings.max_groups:
                return self._tell("group_limit", address)
            group = self.link.groups[address] = GroupRecord(self.link, address, self.heap.now)
        if version:
            self._hear_older(group, version)
        reason = self._translate(group, kind, listed)
        group.reporter = source
        delete_if_empty(group)
        return self._tell(reason, address) if reason in _WARNINGS else reason

    def _is_usable(self, address: Address) -> bool:
        assert self.usable is not None
        return self.usable(address)

    def _tell(self, reason: str, group: Address) -> str:
        """A record does not count, or not all of it: tell the operator now and then (S5, I22)."""
        self.link.notice("warning", reason, f"{format_address(group)} {_WARNINGS[reason]}")
        return reason

    def _hear_older(self, group: GroupRecord, version: int) -> None:
        """Start the older version host present timer (7.3.2, 8.13)."""
        before = group.version()
        until = self.heap.now + self.link.variables.older_host_present_interval
        if version == 1:
            group.version1_until = until
        else:
            group.version2_until = until
        if group.version() < before:
            text = f"{format_address(group.address)} has a member that speaks {self.link.traits.name}v{version}"
            self.link.notice("info", "compat_change", text)

    def _translate(self, group: GroupRecord, kind: int, listed: tuple[Address, ...]) -> str:
        """Apply a record as the version of the group has it (7.3.2); why a source was refused, or ""."""
        version = group.version()
        if version < self.link.traits.newest:
            if kind == RecordType.BLOCK_OLD_SOURCES:
                return ""
            if kind == RecordType.CHANGE_TO_INCLUDE_MODE and version <= self.link.traits.leaveless:
                return ""
            if kind == RecordType.CHANGE_TO_EXCLUDE_MODE:
                listed = ()
        return apply(group, kind, listed)

    # What is shown.

    def interface_row(self, interface: str, now: float) -> GmpInterfaceRow:
        """The row of this interface, which is called `interface`."""
        querier = self.querier.address if self.link.is_querier else self.querier.other
        return GmpInterfaceRow(
            address_family=self.family.name,
            interface=interface,
            oper_status="up" if self.running else "down",
            version=self.link.version,
            querier=None if querier is None else format_address(querier),
            is_querier=self.link.is_querier,
            querier_expiration=self.querier.present_timer.left(now),
            query_expiration=self.querier.general_timer.left(now),
            query_interval=self.link.variables.query_interval,
            query_max_response_time=self.settings.query_response_interval,
            robustness_variable=self.link.variables.robustness,
            groups_count=len(self.link.groups),
        )

    def group_rows(self, interface: str, now: float) -> Iterator[GmpGroupRow | GmpSourceRow]:
        """A row of each group, and behind it one of each of its sources."""
        for group in list(self.link.groups.values()):
            yield GmpGroupRow(
                row="group",
                address_family=self.family.name,
                interface=interface,
                group_address=format_address(group.address),
                filter_mode="exclude" if group.mode is EXCLUDE else "include",
                version=group.version(),
                up_time=now - group.since,
                expire=group.timer.left(now),
                last_reporter=None if group.reporter is None else format_address(group.reporter),
                sources_count=len(group.sources),
            )
            for source in list(group.sources.values()):
                yield self._source_row(interface, source, now)

    def _source_row(self, interface: str, source: SourceRecord, now: float) -> GmpSourceRow:
        return GmpSourceRow(
            row="source",
            address_family=self.family.name,
            interface=interface,
            group_address=format_address(source.group.address),
            source_address=format_address(source.address),
            forwarding=source.timer.running,
            up_time=now - source.since,
            expire=source.timer.left(now),
        )
