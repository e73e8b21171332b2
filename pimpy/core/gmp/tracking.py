"""Explicit tracking: what each host of a group reported, so that the last one's leave can count at once.

Hosts of IGMPv3 and MLDv2 never suppress their reports (RFC 9776 A.2), so all of them are known. Those of older
versions do, those without an address cannot be told apart, and a full table forgets: then the group counts as
not fully known, and its members are asked as ever. What is not certain errs to the side of wanting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pimpy.core.engine.timers import NEVER
from pimpy.wire.family import Address
from pimpy.wire.membership import RecordType
from pimpy.wire.record import define, field

if TYPE_CHECKING:
    from pimpy.core.gmp.membership import GroupRecord, SourceRecord

_IS_IN = RecordType.MODE_IS_INCLUDE
_ALLOW = RecordType.ALLOW_NEW_SOURCES
_BLOCK = RecordType.BLOCK_OLD_SOURCES
_EXCLUDING = (RecordType.MODE_IS_EXCLUDE, RecordType.CHANGE_TO_EXCLUDE_MODE)


@define
class Host:
    """One host's wishes for one group."""

    excludes: bool
    """Its filter mode is EXCLUDE: it wants every source but those listed. Otherwise it wants those listed."""
    sources: frozenset[Address]
    until: float
    """When it counts as gone if it is not heard again."""

    @property
    def weight(self) -> int:
        """What it costs of the limit."""
        return 1 + len(self.sources)


@define
class Hosts:
    """The hosts of one group, and how many of them want what."""

    known: dict[Address, Host] = field(factory=dict)
    """By address, the one heard longest ago first."""
    excluding: int = 0
    """How many are in mode EXCLUDE."""
    naming: dict[Address, int] = field(factory=dict)
    """How many hosts in mode INCLUDE list a source."""
    blocking: dict[Address, int] = field(factory=dict)
    """How many hosts in mode EXCLUDE list a source."""

    def count(self, host: Host, by: int) -> None:
        """Put a host into the counts (`by` 1) or take it out (-1)."""
        if host.excludes:
            self.excluding += by
        table = self.blocking if host.excludes else self.naming
        for source in host.sources:
            number = table.get(source, 0) + by
            if number:
                table[source] = number
            else:
                table.pop(source, None)

    def want(self, source: Address) -> bool:
        """Whether some known host wants `source`."""
        return source in self.naming or self.excluding > self.blocking.get(source, 0)


def hear(group: GroupRecord, kind: int, listed: tuple[Address, ...], reporter: Address, *, new: bool) -> str:
    """A host sent a record of type `kind`; `host_limit` if it cannot be remembered, or "".

    `new`: the group had no record before.
    """
    link = group.link
    now, until = link.heap.now, link.heap.now + link.variables.group_membership_interval
    if group.hosts is None:
        group.hosts = Hosts()
        if not new:
            group.blind_until = max(group.blind_until, until)
    hosts = group.hosts
    _forget_expired(group, now)
    before = hosts.known.get(reporter)
    if before is not None:
        _remove(group, reporter, before)
    if reporter == link.family.any:
        group.blind_until = max(group.blind_until, until)
        return ""
    after = _after(before, kind, frozenset(listed), until)
    if not after.excludes and not after.sources:
        return ""
    if link.totals.hosts + after.weight > link.totals.max_hosts:
        group.blind_until = max(group.blind_until, until)
        return "host_limit"
    link.totals.hosts += after.weight
    hosts.known[reporter] = after
    hosts.count(after, 1)
    return ""


def _after(before: Host | None, kind: int, listed: frozenset[Address], until: float) -> Host:
    """What a host wants after its record. IS_IN may answer a query for some sources only (RFC 9776 Table 5)."""
    if kind in _EXCLUDING:
        return Host(True, listed, until)
    if kind not in (_IS_IN, _ALLOW, _BLOCK):
        return Host(False, listed, until)
    excludes = before is not None and before.excludes
    sources = before.sources if before is not None else frozenset()
    adds = (kind == _BLOCK) == excludes
    return Host(excludes, sources | listed if adds else sources - listed, until)


def _forget_expired(group: GroupRecord, now: float) -> None:
    """Hosts that were not heard for a Group Membership Interval are gone."""
    assert group.hosts is not None
    gone = []
    for address, host in group.hosts.known.items():
        if host.until > now:
            break
        gone.append((address, host))
    for address, host in gone:
        _remove(group, address, host)


def _remove(group: GroupRecord, address: Address, host: Host) -> None:
    assert group.hosts is not None
    del group.hosts.known[address]
    group.hosts.count(host, -1)
    group.link.totals.hosts -= host.weight


def forget(group: GroupRecord) -> None:
    """The group's record goes."""
    if group.hosts is not None:
        group.link.totals.hosts -= sum(host.weight for host in group.hosts.known.values())
        group.hosts = None


def unwanted(group: GroupRecord, sources: list[SourceRecord], whole: bool) -> tuple[set[SourceRecord], bool]:
    """Of what would be asked for, what need not be: the sources, and whether any source at all, nobody wants."""
    settings = group.link.settings
    if settings.forced_leave:
        return set(sources), whole
    if not settings.immediate_leave or group.hosts is None or group.link.heap.now < group.blind_until:
        return set(), False
    hosts = group.hosts
    return {source for source in sources if not hosts.want(source.address)}, whole and not hosts.excluding


def named(group: GroupRecord) -> dict[Address, float]:
    """The sources that hosts in mode INCLUDE want, and until when; none if leaves end it for everybody."""
    found: dict[Address, float] = {}
    if group.hosts is not None and not group.link.settings.forced_leave:
        for host in group.hosts.known.values():
            if not host.excludes:
                found |= {source: max(host.until, found.get(source, host.until)) for source in host.sources}
    return found


def heard_older(group: GroupRecord) -> None:
    """A host of an older version: others of its kind may be there that keep quiet, as long as the record stands."""
    group.blind_until = NEVER
