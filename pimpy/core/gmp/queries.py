"""Group specific and group-and-source specific queries (RFC 9776 6.6.3, RFC 9777 7.6.3).

One schedule a group: an action of the record tables sets counts, on the group and on single sources, and
whatever has a count left leaves together, at once and then every Last Member Query Interval (conformance I26).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pimpy.core.engine.timers import NEVER, Timer
from pimpy.wire.family import Address
from pimpy.wire.record import define, field

if TYPE_CHECKING:
    from pimpy.core.gmp.membership import GroupRecord, SourceRecord


@define
class Asking:
    """What is asked of a group's members, and again each Last Member Query Interval (6.6.3)."""

    group: GroupRecord
    queries: int = field(init=False, default=0)
    """Sendings left of a query for the group (6.6.3.1)."""
    pending: dict[Address, SourceRecord] = field(init=False, factory=dict)
    """The sources that have sendings left."""
    timer: Timer = field(init=False)
    """When the next sending is due."""

    def __post_init__(self) -> None:
        self.timer = Timer(self.group.link.heap, self.group, retransmit)


def ask(group: GroupRecord, sources: Iterable[SourceRecord], whole: bool) -> None:
    """The table actions "Send Q(G,X)" for `sources` and, if `whole`, "Send Q(G)"; nothing if we are not the querier.

    A source whose timer is not larger than LMQT is being asked for already, or ends as soon (6.6.3.2). In the
    same way a group that was asked for and has not been heard of since is not asked for anew, so that a
    thousand members that leave together cost no more queries than one.
    """
    link = group.link
    if not link.is_querier:
        return
    limit = link.heap.now + link.variables.last_member_query_time
    count = link.variables.last_member_query_count
    fresh = False
    if whole and not (link.heap.now < group.asked_until and group.deadline <= group.asked_until):
        group.timer.no_later_than(limit)
        group.asked_until = limit
        _asking(group).queries = count
        fresh = True
    if link.version == link.traits.newest:
        for source in sources:
            if source.timer.running and source.timer.deadline > limit:
                source.timer.at(limit)
                source.queries = count
                _asking(group).pending[source.address] = source
                fresh = True
    if fresh:
        transmit(group)


def _asking(group: GroupRecord) -> Asking:
    if group.asking is None:
        group.asking = Asking(group)
    return group.asking


def ask_once(group: GroupRecord, sources: list[Address], whole: bool) -> None:
    """Ask for what was ended without waiting for an answer; nothing if we are not the querier."""
    if group.link.is_querier:
        if whole:
            _send_group(group, False)
        elif group.link.version == group.link.traits.newest:
            _send_sources(group, sources, False)


def retransmit(group: GroupRecord) -> None:
    """The schedule of a group has come round. One who lost the election meanwhile is silent (RFC 9777 7.6.2)."""
    if group.link.is_querier:
        transmit(group)
    else:
        forget(group)


def transmit(group: GroupRecord) -> None:
    """Send all that has a count left, and come back if some still has.

    The S flag tells how the timers stand now, after they were lowered (6.6.3.1, 6.6.3.2). Beside Q(G) the
    half of Q(G,X) with the S flag is not sent (note in 6.6.3.2).
    """
    link, asking = group.link, group.asking
    if asking is None:
        return
    limit = link.heap.now + link.variables.last_member_query_time
    whole = asking.queries > 0
    if whole:
        asking.queries -= 1
        _send_group(group, group.deadline > limit)
    if asking.pending:
        late: list[Address] = []
        soon: list[Address] = []
        for source in list(asking.pending.values()):
            (late if source.timer.deadline > limit else soon).append(source.address)
            source.queries -= 1
            if not source.queries:
                del asking.pending[source.address]
        if not whole:
            _send_sources(group, late, True)
        _send_sources(group, soon, False)
    if asking.queries or asking.pending:
        asking.timer.at(link.heap.now + link.settings.last_member_query_interval)
    else:
        forget(group)


def forget(group: GroupRecord) -> None:
    """Send no more of what is scheduled."""
    if group.asking is not None:
        group.asking.timer.close()
        group.asking = None


def forget_source(group: GroupRecord, address: Address) -> None:
    """Ask no more for one source."""
    if group.asking is not None:
        group.asking.pending.pop(address, None)


def _send_group(group: GroupRecord, suppress: bool) -> None:
    """Q(G). Older versions have no S flag: there the member that answered ends the asking (RFC 2236 7)."""
    link = group.link
    if not suppress or link.version == link.traits.newest:
        link.query(group.address, link.settings.last_member_query_interval, suppress)


def _send_sources(group: GroupRecord, sources: list[Address], suppress: bool) -> None:
    """Q(G,X), in as many messages as the MTU asks for (RFC 9776 4.1.8)."""
    link = group.link
    step = link.traits.codec.query_capacity(link.settings.mtu)
    for first in range(0, len(sources), step):
        part = tuple(sources[first : first + step])
        link.query(group.address, link.settings.last_member_query_interval, suppress, part)


def heard(group: GroupRecord, sources: tuple[Address, ...]) -> None:
    """Another router asks, S flag clear, for the group or, if any are given, for `sources` (Table 10)."""
    limit = group.link.heap.now + group.link.variables.last_member_query_time
    if not sources:
        if group.deadline != NEVER:
            group.timer.no_later_than(limit)
        return
    for address in sources:
        source = group.sources.get(address)
        if source is not None and source.timer.running:
            source.timer.no_later_than(limit)
