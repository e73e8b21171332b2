"""What stands on the links of the fake network beside routers: hosts that want channels, and scripted PIM speakers."""

from __future__ import annotations

from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING, Any

from pimpy.wire import igmp, mld, pim
from pimpy.wire.family import Address, Family
from pimpy.wire.join_prune import SG, GroupSet, JoinPrune, SourceEntry
from pimpy.wire.membership import Query, Record, RecordType, Report
from pimpy.wire.record import define, evolve, field, frozen
from pimpy.wire.value import Value

if TYPE_CHECKING:
    from network import Link, Net

CODECS = {"igmp": igmp, "mld": mld}
Channel = tuple[Address, Address]
"""(source, group)."""


@lru_cache(maxsize=256)
def _decoded(protocol: str, data: bytes) -> Query | Report:
    """A message, read once for all hosts on a link."""
    return CODECS[protocol].decode(data)


@frozen
class Packet(Value):
    """A PIM, IGMP or MLD packet on a link."""

    protocol: str
    source: Address
    destination: Address
    data: bytes
    ttl: int = 1
    router_alert: bool = True

    @property
    def is_query(self) -> bool:
        """Whether it asks who is a member."""
        codec = CODECS.get(self.protocol)
        return codec is not None and codec.type_name(self.data) == "query"

    def pim(self, family: Family) -> pim.Message:
        """The PIM message in it."""
        return pim.decode(family, self.source, self.destination, self.data)


@define
class Host:
    """A host that speaks IGMPv3 or MLDv2 in mode INCLUDE, with a robustness of 2 (RFC 9776 5, RFC 9777 6)."""

    net: Net
    link: Link
    address: Address
    random: Random
    wants: dict[Address, set[Address]] = field(factory=dict)
    """group -> sources."""
    anything: dict[Address, tuple[Address, ...]] = field(factory=dict)
    """group -> the sources that it does not want, of groups that it wants otherwise (mode EXCLUDE)."""

    def want_any(self, group: Address, *excluded: Address) -> None:
        """Want `group` from whoever sends to it, but not from `excluded`."""
        self.anything[group] = excluded
        for delay in (0.0, self.random.uniform(0, 1)):
            self.net.later(delay, self._report_mode, group)

    def want_no_more(self, group: Address) -> None:
        """Leave a group that was wanted from anybody."""
        del self.anything[group]
        for delay in (0.0, self.random.uniform(0, 1)):
            self.net.later(delay, self._report_mode, group)

    def _report_mode(self, group: Address) -> None:
        wanted = self.anything.get(group)
        if wanted is None:
            self.send(Report((Record(RecordType.CHANGE_TO_INCLUDE_MODE, group, ()),)))
        else:
            self.send(Report((Record(RecordType.CHANGE_TO_EXCLUDE_MODE, group, wanted),)))

    def join(self, group: Address, *sources: Address) -> None:
        """Want `sources` of `group` from now on."""
        new = set(sources) - self.wants.get(group, set())
        self.wants.setdefault(group, set()).update(sources)
        self._tell(group, new)

    def leave(self, group: Address, *sources: Address) -> None:
        """Want them no more."""
        old = set(sources) & self.wants.get(group, set())
        self.wants[group] = self.wants.get(group, set()) - old
        self._tell(group, old)

    def channels(self) -> set[Channel]:
        """All that it wants."""
        return {(source, group) for group, sources in self.wants.items() for source in sources}

    def _tell(self, group: Address, sources: set[Address]) -> None:
        """A state change report, and once more within a second; each says what holds when it is sent."""
        self._report_change(group, sources)
        self.net.later(self.random.uniform(0, 1), self._report_change, group, sources)

    def _report_change(self, group: Address, sources: set[Address]) -> None:
        wanted = self.wants.get(group, set())
        self.report(
            Record(RecordType.ALLOW_NEW_SOURCES, group, tuple(sorted(sources & wanted))),
            Record(RecordType.BLOCK_OLD_SOURCES, group, tuple(sorted(sources - wanted))),
        )

    def report(self, *records: Record) -> None:
        """Send those records that say something."""
        kept = tuple(record for record in records if record.sources)
        if kept:
            self.send(Report(kept))

    def send(self, report: Report) -> None:
        """Send any report."""
        family = self.net.family
        data = CODECS[family.gmp].encode(report)
        self.link.transmit(self, Packet(family.gmp, self.address, family.all_reports, data))

    def receive(self, packet: Packet) -> None:
        """Answer queries, after a random time."""
        family = self.net.family
        if packet.protocol != family.gmp:
            return
        query = _decoded(family.gmp, packet.data)
        if isinstance(query, Query):
            delay = self.random.uniform(0, query.max_response)
            if self.anything or any(self.wants.values()):
                self.net.later(delay, self._answer, query)

    def _answer(self, query: Query) -> None:
        general = query.group == self.net.family.any
        groups = list(self.wants) if general else [query.group]
        for group, excluded in self.anything.items():
            if general or group == query.group:
                self.send(Report((Record(RecordType.MODE_IS_EXCLUDE, group, excluded),)))
        for group in groups:
            sources = self.wants.get(group, set())
            asked = sources & set(query.sources) if query.sources else sources
            self.report(Record(RecordType.MODE_IS_INCLUDE, group, tuple(sorted(asked))))


DEFAULT_HELLO = pim.Hello(105, pim.LanPruneDelay(False, 500, 2500), 1, 0x1111)


@define
class Peer:
    """A PIM router that says just what a test has it say."""

    net: Net
    link: Link
    address: Address
    hello_said: pim.Hello = DEFAULT_HELLO

    def hello(self, **changes: Any) -> None:
        """Send a Hello: the default one, with `changes` to it for this time only."""
        self.send(evolve(self.hello_said, **changes))

    def keep_saying_hello(self, **changes: Any) -> None:
        """Send a Hello now and every 30 s."""
        self.hello_said = evolve(self.hello_said, **changes)
        self._say()

    def _say(self) -> None:
        self.hello()
        self.net.later(30.0, self._say)

    def join(self, to: Address, *channels: Channel, holdtime: int = 210) -> None:
        """Send Join(S,G) of `channels` to the upstream neighbour `to`."""
        self.send(JoinPrune(to, holdtime, group_sets(joins=channels)))

    def prune(self, to: Address, *channels: Channel, holdtime: int = 210) -> None:
        """Send Prune(S,G) of `channels` to the upstream neighbour `to`."""
        self.send(JoinPrune(to, holdtime, group_sets(prunes=channels)))

    def send(self, message: pim.Message, *, to: Address | None = None, source: Address | None = None) -> None:
        """Send any message to ALL-PIM-ROUTERS, or elsewhere."""
        destination = self.net.family.all_pim_routers if to is None else to
        source = self.address if source is None else source
        self.send_bytes(pim.encode(self.net.family, source, destination, message), to=destination, source=source)

    def send_bytes(
        self, data: bytes, *, to: Address | None = None, source: Address | None = None, ttl: int = 1
    ) -> None:
        """Send anything under PIM's protocol number."""
        destination = self.net.family.all_pim_routers if to is None else to
        self.link.transmit(self, Packet("pim", source or self.address, destination, data, ttl, False))

    def receive(self, packet: Packet) -> None:
        """A scripted router does nothing by itself; what it heard stands in the log of the link."""


def group_sets(
    joins: tuple[Channel, ...] = (), prunes: tuple[Channel, ...] = (), flags: int = SG
) -> tuple[GroupSet, ...]:
    """Channels as the group sets of a Join/Prune message."""
    groups: dict[Address, tuple[list[SourceEntry], list[SourceEntry]]] = {}
    for place, channels in enumerate((joins, prunes)):
        for source, group in channels:
            groups.setdefault(group, ([], []))[place].append((source, flags))
    return tuple(GroupSet(group, tuple(joined), tuple(pruned)) for group, (joined, pruned) in groups.items())
