"""One interface's membership machine on a bench: virtual time, messages in, messages and changes out.

Addresses are named: `G`, `G2` groups, `S(n)` sources, `US` our address, `LOW` and `HIGH` other routers, `HOST` a
host; each in the family of the bench. `newest` is the version that knows sources.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from functools import cache

from pimpy.core.engine.timers import TimerHeap
from pimpy.core.gmp import GmpSettings, Membership
from pimpy.core.rows import GmpInterfaceRow
from pimpy.core.views.members import group_rows, interface_row
from pimpy.wire import igmp, mld
from pimpy.wire.family import IPV4, IPV6, Address, Family, parse_address
from pimpy.wire.membership import Leave, Message, OldReport, Query, Record, RecordType, Report

IS_IN = RecordType.MODE_IS_INCLUDE
IS_EX = RecordType.MODE_IS_EXCLUDE
TO_IN = RecordType.CHANGE_TO_INCLUDE_MODE
TO_EX = RecordType.CHANGE_TO_EXCLUDE_MODE
ALLOW = RecordType.ALLOW_NEW_SOURCES
BLOCK = RecordType.BLOCK_OLD_SOURCES

NAMES = {
    IPV4: ("239.1.1.1", "239.2.2.2", "232.1.1.1", "10.0.0.5", "10.0.0.2", "10.0.0.9", "10.0.0.77", "10.9.0.0"),
    IPV6: ("ff05::1", "ff05::2", "ff35::1", "fe80::5", "fe80::2", "fe80::9", "fe80::77", "2001:db8::"),
}
ADDRESSES = {family: [parse_address(name) for name in names] for family, names in NAMES.items()}
CODECS = {IPV4: igmp, IPV6: mld}


@cache
def numbered(base: Address, number: int) -> Address:
    """The address that many after another one."""
    return (int.from_bytes(base, "big") + number).to_bytes(len(base), "big")


class Bench:
    """A started machine (unless `start` is false) at time 0, with what it sent so far forgotten."""

    def __init__(self, family: Family, settings: GmpSettings | None = None, start: bool = True, **more: object) -> None:
        self.family = family
        self.codec = CODECS[family]
        self.newest = 3 if family is IPV4 else 2
        self.G, self.G2, self.SSM, self.US, self.LOW, self.HIGH, self.HOST, self._source = ADDRESSES[family]
        self.OUR_GLOBAL = self.US if family is IPV4 else parse_address("2001:db8::5")
        self.heap = TimerHeap()
        self.sent: list[tuple[float, Address, Query]] = []
        self.discovery: list[tuple[float, Address, bytes]] = []
        """Messages of router discovery that were sent."""
        self.changes: list[tuple[float, Address, Address | None]] = []
        self.counts: list[tuple[str, str]] = []
        self.notices: list[tuple[str, str, str]] = []
        self.ssm = {self.SSM}
        more.setdefault("is_own", lambda address: address in (self.US, self.OUR_GLOBAL))
        self.m = Membership(
            family,
            self.heap,
            random.Random(1),
            settings or GmpSettings(),
            self._send,
            lambda group, source: self.changes.append((self.heap.now, group, source)),
            lambda group: group in self.ssm,
            lambda level, reason, text: self.notices.append((level, reason, text)),
            lambda name, reason: self.counts.append((name, reason)),
            **more,  # type: ignore[arg-type]
        )
        if start:
            self.m.start(self.US)
            self.sent.clear()

    def S(self, number: int) -> Address:
        """A source."""
        return numbered(self._source, number)

    def _send(self, destination: Address, data: bytes) -> None:
        message = self.codec.decode(data)
        if message is None:
            self.discovery.append((self.heap.now, destination, data))
            return
        assert isinstance(message, Query)
        self.sent.append((self.heap.now, destination, message))

    @property
    def now(self) -> float:
        return self.heap.now

    def to(self, time: float) -> None:
        """Let time pass until `time`, each timer firing when it is due."""
        while (deadline := self.heap.next_deadline()) is not None and deadline <= time:
            self.heap.fire(deadline)
        self.heap.fire(time)

    def receive(self, message: Message, source: Address, destination: Address, **header: object) -> str:
        """Take a message; the reason it was counted under."""
        before = len(self.counts)
        ttl, alert = header.get("ttl", 1), header.get("alert", True)
        self.m.receive(source, destination, ttl, alert, self.codec.encode(message))  # type: ignore[arg-type]
        assert len(self.counts) > before
        return self.counts[-1][1]

    def record(
        self, kind: int, sources: Iterable[int] = (), group: Address | None = None, by: Address | None = None
    ) -> str:
        """A report of one record, by HOST if nobody else is named."""
        listed = tuple(self.S(number) for number in sources)
        report = Report((Record(kind, self.G if group is None else group, listed),))
        return self.receive(report, by or self.HOST, self.family.all_reports)

    def old_report(self, version: int, group: Address | None = None, by: Address | None = None) -> str:
        group = self.G if group is None else group
        return self.receive(OldReport(version, group), by or self.HOST, group)

    def leave(self, group: Address | None = None, by: Address | None = None) -> str:
        return self.receive(Leave(self.G if group is None else group), by or self.HOST, self.family.all_routers)

    def host(self, number: int) -> Address:
        """The address of a host."""
        return self.HOST[:-2] + number.to_bytes(2, "big")

    def query(
        self, source: Address, group: Address | None = None, sources: Iterable[int] = (), **fields: object
    ) -> str:
        """A query of another router, of the newest version unless `version` is given; general without a group."""
        defaults: dict[str, object] = {"version": self.newest, "max_response": 1.0 if group else 10.0}
        listed = tuple(self.S(number) for number in sources)
        query = Query(group=group or self.family.any, sources=listed, **(defaults | fields))  # type: ignore[arg-type]
        return self.receive(query, source, group or self.family.all_hosts)

    def take_sent(self) -> list[Query]:
        """The queries sent since the last time."""
        messages = [query for _, _, query in self.sent]
        self.sent.clear()
        return messages

    def asked(self) -> list[tuple[float, bool, set[int]]]:
        """Of the specific queries sent so far: when, the S flag, the numbers of the sources (none: the group)."""
        base = int.from_bytes(self._source, "big")
        found = []
        for time, _, query in self.sent:
            if query.group != self.family.any:
                numbers = {int.from_bytes(source, "big") - base for source in query.sources}
                found.append((time, query.suppress, numbers))
        return found

    def lists(self, group: Address | None = None) -> tuple[str, set[int], set[int]]:
        """("include" or "exclude", A or X, Y) as the public face tells it, by the numbers of sources 1 to 9."""
        group = self.G if group is None else group
        wanted = {number for number in range(1, 10) if self.m.wants(group, self.S(number))}
        excluded = {number for number in range(1, 10) if self.m.excludes(group, self.S(number))}
        return ("exclude" if self.m.wants_any(group) else "include", wanted, excluded)

    def timers(self, group: Address | None = None) -> tuple[float | None, dict[int, float | None]]:
        """Seconds left of the group timer and of each source's; (None, {}) without a record."""
        record = self.m.link.groups.get(self.G if group is None else group)
        if record is None:
            return None, {}
        base = int.from_bytes(self._source, "big")
        sources = record.sources.values()
        left = {int.from_bytes(one.address, "big") - base: one.timer.left(self.now) for one in sources}
        return record.timer.left(self.now), left

    def rows(self) -> list:  # type: ignore[type-arg]
        return list(group_rows(self.m, "eth0", self.now))

    def interface_row(self) -> GmpInterfaceRow:
        """The row of the interface."""
        return interface_row(self.m, "eth0", self.now)

    def status(self) -> dict[tuple[Address, Address | None], str]:
        """Everything that `changed` is about, by (group, source), as the public face tells it."""
        found: dict[tuple[Address, Address | None], str] = {}
        for group, record in self.m.link.groups.items():
            if self.m.wants_any(group):
                found[group, None] = "any"
            for source in record.sources:
                found[group, source] = "wanted" if self.m.wants(group, source) else "excluded"
                assert self.m.excludes(group, source) is not self.m.wants(group, source)
        return found
