"""Group records, source records and the record tables of a router (RFC 9776 6.2 to 6.5, RFC 9777 7.2 to 7.5).

A source record with a running timer is in INCLUDE's list A or EXCLUDE's requested list X; one without is in
EXCLUDE's exclude list Y. So what a source is does not depend on the filter mode, and a change of mode
touches no source but those that the tables name.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

from pimpy.core.engine.timers import NEVER, Timer
from pimpy.core.gmp import queries, tracking
from pimpy.core.gmp.few import Few
from pimpy.core.gmp.link import Link
from pimpy.wire.family import Address
from pimpy.wire.membership import RECORD_TYPES, RecordType
from pimpy.wire.record import define, field, frozen

INCLUDE = False
EXCLUDE = True


@define
class SourceRecord:
    """A source of a group (6.2.3). Its timer runs while some member wants it."""

    group: GroupRecord
    address: Address
    since: float
    timer: Timer = field(init=False)
    queries: int = field(init=False, default=0)
    """Sendings left of a query for it (6.6.3.2)."""

    def __post_init__(self) -> None:
        self.timer = Timer(self.group.link.heap, self, source_expired)


@define
class GroupRecord:
    """What the members of one group want (6.2)."""

    link: Link
    address: Address
    since: float
    mode: bool = field(init=False, default=INCLUDE)
    """The router filter mode: INCLUDE or EXCLUDE."""
    sources: Few[Address, SourceRecord] = field(init=False, factory=Few)
    reporter: Address | None = field(init=False, default=None)
    """Who sent the last record of it that counted."""
    version1_until: float = field(init=False, default=0.0)
    version2_until: float = field(init=False, default=0.0)
    """When the older version host present timers end (7.3.2); MLD has but the first."""
    asking: queries.Asking | None = field(init=False, default=None)
    """While queries are sent, which is seldom: there may be 100,000 groups."""
    asked_until: float = field(init=False, default=0.0)
    """What the group timer was lowered to when the group was last asked for."""
    hosts: tracking.Hosts | None = field(init=False, default=None)
    """Its hosts, with explicit tracking."""
    blind_until: float = field(init=False, default=0.0)
    """Until then there may be hosts that are not known; NEVER: as long as the record stands."""
    _timer: Timer | None = field(init=False, default=None)

    @property
    def timer(self) -> Timer:
        """The group timer (MLD: filter timer); runs in mode EXCLUDE only, and is made when it first does."""
        if self._timer is None:
            self._timer = Timer(self.link.heap, self, group_expired)
        return self._timer

    @property
    def deadline(self) -> float:
        """When the group timer ends, NEVER if it does not run."""
        return NEVER if self._timer is None else self._timer.deadline

    def version(self) -> int:
        """The group compatibility mode (Table 12), or the configured version if that is older."""
        now = self.link.heap.now
        heard = self.link.traits.newest
        if self.version1_until > now:
            heard = 1
        elif self.version2_until > now:
            heard = 2
        return min(heard, self.link.version)

    def remove(self, address: Address) -> None:
        """A source record goes."""
        self.sources.pop(address).timer.close()
        queries.forget_source(self, address)
        self.link.totals.sources -= 1

    def close(self) -> None:
        """The record goes, and everything that could still come with it."""
        queries.forget(self)
        if self._timer is not None:
            self._timer.close()
        tracking.forget(self)
        for address in list(self.sources):
            self.remove(address)
        if self.link.groups.pop(self.address, None) is not None:
            self.link.totals.groups -= 1


def obtain(link: Link, address: Address) -> GroupRecord:
    """The record of a group, made if there is none."""
    group = link.groups.get(address)
    if group is None:
        group = link.groups[address] = GroupRecord(link, address, link.heap.now)
        link.totals.groups += 1
    return group


def source_expired(source: SourceRecord) -> None:
    """No member wants this source any more (Table 7): gone in mode INCLUDE, excluded in mode EXCLUDE (6.3)."""
    group = source.group
    queries.forget_source(group, source.address)
    if group.mode is INCLUDE:
        group.remove(source.address)
        delete_if_empty(group)
    group.link.changed(group.address, source.address)


def group_expired(group: GroupRecord) -> None:
    """No member in mode EXCLUDE is left: EXCLUDE (X,Y) becomes INCLUDE (X) (Table 6, 6.5)."""
    group.mode = INCLUDE
    if group.asking is not None:
        group.asking.queries = 0
    group.timer.cancel()
    gone = [source.address for source in group.sources.values() if not source.timer.running]
    for address in gone:
        group.remove(address)
    delete_if_empty(group)
    group.link.changed(group.address, None)
    for address in gone:
        group.link.changed(group.address, address)


def delete_if_empty(group: GroupRecord) -> None:
    """INCLUDE () is the same as no record (Table 7)."""
    if group.mode is INCLUDE and not group.sources:
        group.close()


@define
class Step:
    """One record being applied to one group."""

    group: GroupRecord
    membership: float
    """When a timer that is set to GMI ends."""
    group_timer: float
    """When the group timer, as it stood before, ends."""
    changed: list[Address] = field(init=False, factory=list)
    """Sources that came, went, or moved between the lists."""
    queried: list[SourceRecord] = field(init=False, factory=list)
    """The X of "Send Q(G,X)"."""
    refused: str = field(init=False, default="")
    """Why a source was not taken: `source_limit` or `bad_source`."""

    def create(self, address: Address, deadline: float) -> SourceRecord | None:
        """A new source record, its timer ending at `deadline` (NEVER: not running); None if it is refused."""
        group = self.group
        link = group.link
        if not link.family.is_unicast(address):
            self.refused = self.refused or "bad_source"
            return None
        if len(group.sources) >= link.settings.max_sources or link.totals.sources >= link.totals.max_sources:
            self.refused = "source_limit"
            return None
        link.totals.sources += 1
        source = group.sources[address] = SourceRecord(group, address, link.heap.now)
        source.timer.at(deadline)
        self.changed.append(address)
        return source


Cell = Callable[[Step, Address, SourceRecord | None], None]
"""What happens to one source: its address, and its record if it has one."""


def keep(step: Step, address: Address, source: SourceRecord | None) -> None:
    """Nothing."""


def refresh(step: Step, address: Address, source: SourceRecord | None) -> None:
    """(S)=GMI: it is wanted."""
    if source is None:
        step.create(address, step.membership)
        return
    timer = source.timer
    if timer.deadline == NEVER:
        step.changed.append(address)
    timer.at(step.membership)


def exclude(step: Step, address: Address, source: SourceRecord | None) -> None:
    """(S)=0: a new source in the exclude list."""
    step.create(address, NEVER)


def request_query(step: Step, address: Address, source: SourceRecord | None) -> None:
    """(S)=Group Timer and Q(G,S): a new source in the requested list, until it is known who wants it."""
    source = step.create(address, step.group_timer)
    if source is not None:
        step.queried.append(source)


def query(step: Step, address: Address, source: SourceRecord | None) -> None:
    """Q(G,S): some member wants it no more."""
    assert source is not None
    step.queried.append(source)


def delete(step: Step, address: Address, source: SourceRecord | None) -> None:
    """The record goes."""
    assert source is not None
    step.group.remove(address)
    step.changed.append(address)


@frozen
class Row:
    """One row of Tables 8 and 9 (RFC 9777 Tables 7 and 8): what happens to each kind of source, and to the group."""

    new: Cell
    """In the record, and in no list."""
    wanted: Cell
    """In the record, and in A or X."""
    excluded: Cell = keep
    """In the record, and in Y."""
    other_wanted: Cell = keep
    """Not in the record, and in A or X."""
    other_excluded: Cell = keep
    """Not in the record, and in Y."""
    to_exclude: bool = False
    """The new mode is EXCLUDE, and Group Timer=GMI."""
    query_group: bool = False
    """Send Q(G)."""


_IS_IN = RecordType.MODE_IS_INCLUDE
_IS_EX = RecordType.MODE_IS_EXCLUDE
_TO_IN = RecordType.CHANGE_TO_INCLUDE_MODE
_TO_EX = RecordType.CHANGE_TO_EXCLUDE_MODE
_ALLOW = RecordType.ALLOW_NEW_SOURCES
_BLOCK = RecordType.BLOCK_OLD_SOURCES

TABLE: dict[tuple[bool, int], Row] = {
    # INCLUDE (A), 6.4.1 and 6.4.2. There is no Y; an excluded source can only be one that the record names twice.
    (INCLUDE, _IS_IN): Row(refresh, refresh),
    (INCLUDE, _IS_EX): Row(exclude, keep, other_wanted=delete, to_exclude=True),
    (INCLUDE, _ALLOW): Row(refresh, refresh),
    (INCLUDE, _BLOCK): Row(keep, query),
    (INCLUDE, _TO_EX): Row(exclude, query, other_wanted=delete, to_exclude=True),
    (INCLUDE, _TO_IN): Row(refresh, refresh, other_wanted=query),
    # EXCLUDE (X,Y), 6.4.1 and 6.4.2.
    (EXCLUDE, _IS_IN): Row(refresh, refresh, refresh),
    (EXCLUDE, _IS_EX): Row(refresh, keep, other_wanted=delete, other_excluded=delete, to_exclude=True),
    (EXCLUDE, _ALLOW): Row(refresh, refresh, refresh),
    (EXCLUDE, _BLOCK): Row(request_query, query),
    (EXCLUDE, _TO_EX): Row(request_query, query, other_wanted=delete, other_excluded=delete, to_exclude=True),
    (EXCLUDE, _TO_IN): Row(refresh, refresh, refresh, other_wanted=query, query_group=True),
}
assert set(TABLE) == set(product((INCLUDE, EXCLUDE), RECORD_TYPES)), "a cell of the record tables is missing"


def apply(group: GroupRecord, kind: int, listed: tuple[Address, ...], reporter: Address | None = None) -> str:
    """Apply a record of type `kind` with the sources `listed` to `group`; why a source was refused, or "".

    `reporter` is the host that sent it. The group may be empty afterwards only if it was before, or if nobody
    known wants it any more.
    """
    link = group.link
    untracked = ""
    if link.settings.tracking and reporter is not None:
        new = group.mode is INCLUDE and not group.sources
        untracked = tracking.hear(group, kind, listed, reporter, new=new)
    row = TABLE[group.mode, kind]
    step = Step(group, link.heap.after(link.variables.group_membership_interval), group.deadline)
    _classify(step, row, listed)
    switched = row.to_exclude and group.mode is INCLUDE
    if row.to_exclude:
        group.mode = EXCLUDE
        group.timer.at(step.membership)
    ending, ends = tracking.unwanted(group, step.queried, row.query_group)
    if step.queried or row.query_group:
        asked = [source for source in step.queried if source not in ending] if ending else step.queried
        queries.ask(group, asked, row.query_group and not ends)
    if switched:
        link.changed(group.address, None)
    for address in step.changed:
        link.changed(group.address, address)
    if ending or ends:
        _end_at_once(group, ending, ends)
    return step.refused or untracked


def _end_at_once(group: GroupRecord, sources: set[SourceRecord], whole: bool) -> None:
    """What nobody known wants ends now, not after LMQT; one query, in case that somebody was never heard."""
    queries.ask_once(group, sorted(source.address for source in sources), whole)
    for source in sorted(sources, key=lambda source: source.address):
        source.timer.cancel()
        source_expired(source)
    if whole and group.mode is EXCLUDE:
        _name_what_is_wanted(group)
        group_expired(group)


def _name_what_is_wanted(group: GroupRecord) -> None:
    """Sources that hosts in mode INCLUDE named get a record again: beside one in mode EXCLUDE they need none."""
    step = Step(group, membership=NEVER, group_timer=NEVER)
    for address, until in tracking.named(group).items():
        source = group.sources.get(address) or step.create(address, until)
        if source is not None and not source.timer.running:
            source.timer.at(until)
            step.changed.append(address)
    for address in step.changed:
        group.link.changed(group.address, address)


def _classify(step: Step, row: Row, listed: tuple[Address, ...]) -> None:
    """Hand every source to the cell of its kind."""
    sources = step.group.sources
    if row.other_wanted is not keep or row.other_excluded is not keep:
        named = set(listed)
        for address, source in list(sources.items()):
            if address not in named:
                (row.other_wanted if source.timer.running else row.other_excluded)(step, address, source)
    for address in listed:
        found = sources.get(address)
        if found is None:
            row.new(step, address, None)
        elif found.timer.deadline != NEVER:
            row.wanted(step, address, found)
        else:
            row.excluded(step, address, found)
