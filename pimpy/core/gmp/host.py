"""The host side of IGMP and MLD on one interface: what we say as a member (RFC 9776 5 and 7.2, RFC 9777 6 and 8.2).

A proxy says on its upstream interface what its downstream hosts want, and so does `pimctl join`. Who uses it hands
in, for each group, the interface's whole reception state: a filter mode and a list of sources.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pimpy.core.engine.timers import Timer, TimerHeap
from pimpy.core.gmp.link import TRAITS, Traits
from pimpy.core.gmp.packing import packed
from pimpy.wire.family import Address, Family
from pimpy.wire.membership import Leave, Message, OldReport, Query, Record, RecordType
from pimpy.wire.reader import Malformed
from pimpy.wire.record import define, field, frozen
from pimpy.wire.value import Value

if TYPE_CHECKING:
    import random

UNSOLICITED_REPORT_INTERVAL = 1.0
"""Seconds within which a state change is said again (8.11)."""
_DEFAULT_QUERY_INTERVAL = 125.0
_DEFAULT_RESPONSE = 10.0
"""Hosts do not know what the querier is set to (8.12)."""
MAX_RECORDED_SOURCES = 4096
"""Sources of queries that a pending answer keeps; of more all are told (RFC 9776 9.1)."""


@frozen
class Reception(Value):
    """The reception state of one group: mode EXCLUDE or INCLUDE, and its list of sources (3.2)."""

    excludes: bool
    sources: frozenset[Address]

    def lets_through(self, source: Address) -> bool:
        """Whether `source` must be forwarded."""
        return (source in self.sources) != self.excludes


NOTHING = Reception(False, frozenset())
"""The state of a group of which nothing is wanted: there is none."""


@define
class HostGroup:
    """One group that we are a member of, or were until the last report of it is sent."""

    host: Host
    address: Address
    state: Reception = NOTHING
    mode_reports: int = field(init=False, default=0)
    """Reports still to be sent with a Filter-Mode-Change Record."""
    source_reports: dict[Address, int] = field(init=False, factory=dict)
    """For each source that changed: reports still to be sent with it."""
    answer_timer: Timer = field(init=False)
    """When a query for the group is answered."""
    asked: set[Address] = field(init=False, factory=set)
    """The sources of the queries that will be answered; empty: the whole group."""

    def __post_init__(self) -> None:
        self.answer_timer = Timer(self.host.heap, self, _answer)


@define
class Host:
    """What we say as a member on one interface.

    `send` gets (destination, complete message). `count` gets (message name, reason): "" for a message that was
    taken, a word for one that was dropped. `robustness` is 1 or more.
    """

    family: Family
    heap: TimerHeap
    rng: random.Random
    send: Callable[[Address, bytes], None]
    count: Callable[[str, str], None]
    robustness: int = 2
    mtu: int = 1500
    traits: Traits = field(init=False)
    groups: dict[Address, HostGroup] = field(init=False, factory=dict)
    general_timer: Timer = field(init=False)
    """When a General Query is answered."""
    unsaid: dict[Address, HostGroup] = field(init=False, factory=dict)
    """Groups of which a change is to be said once more."""
    change_timer: Timer = field(init=False)
    """When that is done, in as few reports as hold them all."""
    version1_until: float = field(init=False, default=0.0)
    version2_until: float = field(init=False, default=0.0)
    """When the older version querier present timers end (7.2.1); MLD has but the first."""

    def __post_init__(self) -> None:
        self.traits = TRAITS[self.family]
        self.general_timer = Timer(self.heap, self, _answer_all)
        self.change_timer = Timer(self.heap, self, _say_again)

    # What is wanted.

    def listen(self, group: Address, excludes: bool, sources: tuple[Address, ...] = ()) -> None:
        """Want this of `group` from now on; (False, ()) leaves it. Groups that no report may name are passed over."""
        if group == self.family.all_hosts or _is_of_this_host(self.family, group):
            return
        known = self.groups.get(group)
        old = NOTHING if known is None else known.state
        new = Reception(excludes, frozenset(sources))
        if new == old:
            return
        if known is None:
            known = self.groups[group] = HostGroup(self, group)
        known.state = new
        if self.version() == self.traits.newest:
            _change(known, old, new)
        else:
            _change_as_older(known, old, new)

    def stop(self) -> None:
        """Say nothing more; what is wanted is kept, and said anew by `restart`."""
        self.general_timer.cancel()
        for group in list(self.groups.values()):
            _be_quiet(group)

    def restart(self) -> None:
        """The interface is another one, or came back: say all that is wanted as if it were new (conformance X7)."""
        self.stop()
        self.version1_until = self.version2_until = 0.0
        wanted = {group.address: group.state for group in self.groups.values()}
        self.groups.clear()
        for address, state in wanted.items():
            self.listen(address, state.excludes, tuple(state.sources))

    def version(self) -> int:
        """The host compatibility mode (Table 11)."""
        if self.version1_until > self.heap.now:
            return 1
        if self.version2_until > self.heap.now:
            return 2
        return self.traits.newest

    # What comes in.

    def receive(self, source: Address, destination: Address, ttl: int, router_alert: bool, data: bytes) -> None:
        """Take a message that came in on the interface, from its IGMP or ICMPv6 header on. Raises on no bytes."""
        name = self.traits.codec.type_name(data)
        if name is None:
            self.count("other", "unknown_type" if data else "truncated")
            return
        try:
            message = self.traits.codec.decode(data)
        except Malformed as error:
            self.count(name, error.reason)
            return
        self.count(name, self._take(message, source, destination, ttl, router_alert))

    def _take(self, message: Message | None, source: Address, destination: Address, ttl: int, alert: bool) -> str:
        if ttl != 1:
            return self.traits.bad_ttl
        if self.traits.link_local_source and not self.family.is_link_local(source):
            return self.traits.bad_source
        if isinstance(message, Query):
            return self._query(message, destination, alert)
        if isinstance(message, OldReport) and self.version() < self.traits.newest:
            _suppress(self.groups.get(message.group))
        return ""

    def _query(self, query: Query, destination: Address, alert: bool) -> str:
        """A query (5.2); of older versions it may change ours (7.2.1)."""
        general = query.group == self.family.any
        if not alert and query.version > self.traits.leaveless:
            return self.traits.no_router_alert  # 9.1
        if general and self.family.is_multicast(destination) and destination != self.family.all_hosts:
            return "bad_dest"  # 9.1
        if general and query.version < self.traits.newest:
            self._hear_older_querier(query)
        longest = max(query.max_response, 1.0 / (10 if self.family.size == 4 else 1000))
        if self.version() == self.traits.newest:
            self._schedule(query, general, longest)
        else:
            for group in list(self.groups.values()):
                if general or group.address == query.group:
                    group.answer_timer.no_later_than(self.heap.now + self.rng.uniform(0, longest))
        return ""

    def _hear_older_querier(self, query: Query) -> None:
        """Start the older version querier present timer; who changes mode forgets what it would have said."""
        before = self.version()
        response = 10 * query.max_response if self.family.size == 4 else _DEFAULT_RESPONSE
        until = self.heap.now + self.robustness * _DEFAULT_QUERY_INTERVAL + response  # 8.12; RFC 9777 9.12
        if query.version == 1:
            self.version1_until = until
        else:
            self.version2_until = until
        if self.version() != before:
            self.stop()

    def _schedule(self, query: Query, general: bool, longest: float) -> None:
        """When to answer: the five rules of 5.2, of which the first that matches applies."""
        when = self.heap.now + self.rng.uniform(0, longest)
        if self.general_timer.deadline < when:
            return
        if general:
            if self.groups:
                self.general_timer.at(when)
            return
        group = self.groups.get(query.group)
        if group is None:
            return
        if not group.answer_timer.running:
            group.asked = set(query.sources)
        elif not query.sources or not group.asked or len(group.asked) + len(query.sources) > MAX_RECORDED_SOURCES:
            group.asked = set()
        else:
            group.asked.update(query.sources)
        group.answer_timer.no_later_than(when)

    # What goes out.

    def report(self, records: list[Record]) -> None:
        """Send records of the newest version, in as many reports as the MTU asks for (4.2.17)."""
        for report in packed(self.family, records, self.mtu):
            self.send(self.family.all_reports, self.traits.codec.encode(report))

    def old_report(self, group: Address) -> None:
        """Send a report of the version in force, which is an older one."""
        self.send(group, self.traits.codec.encode(OldReport(self.version(), group)))


def _is_of_this_host(family: Family, group: Address) -> bool:
    """Whether an IPv6 group has scope 0 or 1: it never leaves the host (RFC 9777 6)."""
    return family.size == 16 and group[1] & 0x0F <= 1


# State changes (5.1).


def _change(group: HostGroup, old: Reception, new: Reception) -> None:
    """Merge what changed with what is still to be said, and say it at once; RV reports tell of each change."""
    robustness = group.host.robustness
    if old.excludes != new.excludes:
        group.mode_reports = robustness
        group.source_reports.clear()
    else:
        for source in old.sources ^ new.sources:
            group.source_reports[source] = robustness
    _say_change(group)


def _say_change(group: HostGroup) -> None:
    """Send the state change report as the state is now; come back if there is more to be said."""
    if group.host.version() != group.host.traits.newest:
        _say_older_change(group)
    else:
        group.host.report(_changes(group))
        _come_back(group, bool(group.mode_reports or group.source_reports))


def _changes(group: HostGroup) -> list[Record]:
    """The records of a state change report (Table 4), which count as said."""
    state = group.state
    if group.mode_reports:
        kind = RecordType.CHANGE_TO_EXCLUDE_MODE if state.excludes else RecordType.CHANGE_TO_INCLUDE_MODE
        found = [Record(kind, group.address, tuple(sorted(state.sources)))]
    else:
        allowed = tuple(sorted(source for source in group.source_reports if state.lets_through(source)))
        blocked = tuple(sorted(source for source in group.source_reports if not state.lets_through(source)))
        records = ((RecordType.ALLOW_NEW_SOURCES, allowed), (RecordType.BLOCK_OLD_SOURCES, blocked))
        found = [Record(kind, group.address, sources) for kind, sources in records if sources]
    group.mode_reports = max(0, group.mode_reports - 1)
    group.source_reports = {source: left - 1 for source, left in group.source_reports.items() if left > 1}
    return found


def _say_again(host: Host) -> None:
    """Say all changes once more: a thousand groups are in as few reports as when they came together (4.2.17)."""
    groups, host.unsaid = list(host.unsaid.values()), {}
    if host.version() != host.traits.newest:
        for group in groups:
            _say_older_change(group)
        return
    host.report([record for group in groups for record in _changes(group)])
    for group in groups:
        _come_back(group, bool(group.mode_reports or group.source_reports))


def _come_back(group: HostGroup, more: bool) -> None:
    """Say it again within the Unsolicited Report Interval; or, if all is said, forget a group that is left.

    A change that is to be said again anyway, by a timer that was chosen for another group, goes along with it.
    """
    host = group.host
    if more:
        host.unsaid[group.address] = group
        if not host.change_timer.running:
            host.change_timer.at(host.heap.now + host.rng.uniform(0, UNSOLICITED_REPORT_INTERVAL))
        return
    host.unsaid.pop(group.address, None)
    if group.state == NOTHING:
        group.answer_timer.cancel()
        host.groups.pop(group.address, None)


def _change_as_older(group: HostGroup, old: Reception, new: Reception) -> None:
    """Only that a group is wanted, or is no more, can be said (conformance X10)."""
    host = group.host
    if old == NOTHING:
        group.mode_reports = host.robustness
        _say_older_change(group)
    elif new == NOTHING:
        _be_quiet(group)
        if host.version() > host.traits.leaveless:
            host.send(host.family.all_routers, host.traits.codec.encode(Leave(group.address)))
        host.groups.pop(group.address, None)


def _say_older_change(group: HostGroup) -> None:
    """An unsolicited report of an older version (RFC 2236 3, RFC 2710 4)."""
    group.host.old_report(group.address)
    group.mode_reports = max(0, group.mode_reports - 1)
    _come_back(group, group.mode_reports > 0)


def _be_quiet(group: HostGroup) -> None:
    """Forget what would have been said; a group that is left is forgotten too."""
    group.host.unsaid.pop(group.address, None)
    if not group.host.unsaid:
        group.host.change_timer.cancel()
    group.answer_timer.cancel()
    group.mode_reports = 0
    group.source_reports.clear()
    group.asked.clear()
    if group.state == NOTHING:
        group.host.groups.pop(group.address, None)


# Answers (5.2).


def _answer_all(host: Host) -> None:
    """A Current-State Record of each group."""
    found = [group for group in host.groups.values() if group.state != NOTHING]
    host.report([_current(group) for group in found])
    for group in found:
        group.asked.clear()
        group.answer_timer.cancel()


def _current(group: HostGroup) -> Record:
    state = group.state
    kind = RecordType.MODE_IS_EXCLUDE if state.excludes else RecordType.MODE_IS_INCLUDE
    return Record(kind, group.address, tuple(sorted(state.sources)))


def _answer(group: HostGroup) -> None:
    """The answer to queries for one group; for sources, those of them that are wanted (Table 5)."""
    host, asked = group.host, group.asked
    group.asked = set()
    if group.state == NOTHING:
        return
    if host.version() != host.traits.newest:
        host.old_report(group.address)
    elif not asked:
        host.report([_current(group)])
    elif wanted := tuple(sorted(source for source in asked if group.state.lets_through(source))):
        host.report([Record(RecordType.MODE_IS_INCLUDE, group.address, wanted)])


def _suppress(group: HostGroup | None) -> None:
    """Another member answered: in an older version one answer is enough (RFC 2236 3, RFC 2710 4)."""
    if group is not None:
        group.answer_timer.cancel()
