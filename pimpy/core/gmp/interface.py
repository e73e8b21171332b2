"""The router side of IGMP and MLD on one interface: its life, and what others may ask of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pimpy.core.engine.timers import TimerHeap
from pimpy.core.gmp import queries, reception
from pimpy.core.gmp.bridge import Bridge
from pimpy.core.gmp.link import Link
from pimpy.core.gmp.membership import EXCLUDE, GroupRecord, group_expired
from pimpy.core.gmp.mrdisc import Advertiser
from pimpy.core.gmp.querier import Querier, general_query
from pimpy.core.gmp.settings import GmpSettings, Totals
from pimpy.wire.family import Address, Family, format_address
from pimpy.wire.record import define, field

if TYPE_CHECKING:
    import random


def _everything(address: Address) -> bool:
    return True


def _nothing(address: Address) -> bool:
    return False


@define
class Membership:
    """The members of one interface in one family.

    `send` gets (destination, complete message). `changed` is told (group, source) when what is wanted of a
    source, or (group, None) when the wish for any source, has changed; everything is in its new state by
    then. `notice` gets (level, reason, text). `count` gets (message name, reason): "" once for each message
    that was accepted, a word for each that was dropped, and for each record of a report that was ignored;
    `query_src_zero` and `truncated` mark messages that were accepted as far as they go. `on_link` tells
    whether an address lies in a subnet of the interface, `is_own` whether it is one of ours there, `usable`
    whether a group may have state (by default: if it may cross a router). `totals` is common to all interfaces.
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
    is_own: Callable[[Address], bool] = _nothing
    usable: Callable[[Address], bool] | None = None
    totals: Totals = field(factory=Totals)
    link: Link = field(init=False)
    querier: Querier = field(init=False)
    advertiser: Advertiser = field(init=False)
    bridge: Bridge | None = field(init=False, default=None)
    """The snooping bridge that the interface is or leads to, if any."""
    running: bool = field(init=False, default=False)
    static: dict[tuple[Address, Address | None], float] = field(init=False, factory=dict)
    """What the configuration wants, and since when; nothing for any source of a source-specific group."""
    joined: frozenset[Address] = field(init=False)
    """The groups of routers, of which every interface is a member."""
    _address: Address = field(init=False)
    """The interface's own, whatever our queries carry."""

    def __post_init__(self) -> None:
        family = self.family
        self.link = Link(family, self.heap, self.settings, self.send, self.changed, self.notice, self.totals)
        self.querier = Querier(self.link, family.any)
        self.advertiser = Advertiser(
            self.heap, self.rng, self.link.traits, self.send, self.settings.mrdisc_interval, self._advertised
        )
        self.joined = frozenset((family.all_hosts, family.all_routers, family.all_reports, family.all_pim_routers))
        self._address = family.any

    @property
    def listens(self) -> bool:
        """Whether hosts are asked and heard."""
        return self.running and self.settings.listener

    # What the interface goes through.

    def start(self, address: Address) -> None:
        """Ask and listen; `address` is ours on the link (IPv4: the primary, IPv6: a link-local one)."""
        if self.running:
            self.readdress(address)
            return
        self.running = True
        self._address = address
        if self.settings.listener:
            self._listen()
        self._follow_static()

    def stop(self, *, reachable: bool = True) -> None:
        """All records go, all timers stop; `changed` is told of each. `reachable`: the link still takes packets."""
        if not self.running:
            return
        self.running = False
        self._fall_silent(reachable=reachable)
        self._follow_static()
        self._drop(list(self.link.groups.values()))

    def readdress(self, address: Address) -> None:
        """Our address on the link is `address` now."""
        self._address = address
        if self.listens:
            self.querier.readdress(self._querier_address())

    def reconfigure(self, settings: GmpSettings) -> None:
        """Follow `settings`. Records that may stay do; timers that run are not changed. ValueError: no such version."""
        if settings == self.settings:
            return
        before, self.settings = self.settings, settings
        self.querier.reconfigure(settings)
        self.advertiser.interval = settings.mrdisc_interval
        if not self.running:
            return
        if before.listener and not settings.listener:
            self._fall_silent()
            self._drop(list(self.link.groups.values()))
        elif settings.listener and not before.listener:
            self._listen()
        elif settings.listener:
            self._follow_settings(before)
        self._follow_static()

    def _listen(self) -> None:
        self.querier.address = self._querier_address()
        self.querier.start()
        if self.settings.mrdisc:
            self.advertiser.start()

    def _fall_silent(self, *, reachable: bool = True) -> None:
        self.querier.stop()
        self.advertiser.stop(reachable=reachable)

    def _follow_settings(self, before: GmpSettings) -> None:
        settings = self.settings
        self.querier.readdress(self._querier_address())
        if before.mrdisc != settings.mrdisc:
            (self.advertiser.start if settings.mrdisc else self.advertiser.stop)()
        if before.allowed != settings.allowed:
            self._drop([group for group in self.link.groups.values() if not settings.allows(group.address)])
            general_query_if_ours(self)

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
        self._follow_static()
        general_query_if_ours(self)

    def clear(self, group: Address) -> bool:
        """Forget the record of `group` and, as the querier, ask who wants it; whether there was one."""
        record = self.link.groups.get(group)
        if record is None:
            return False
        queries.ask_once(record, [], whole=True)
        self._drop([record])
        return True

    def set_bridge(self, bridge: Bridge | None) -> None:
        """The bridge below is like this now."""
        before, self.bridge = self.bridge, bridge
        warning = None if bridge is None else bridge.warning()
        if warning is not None and (before is None or before.warning() != warning):
            self.link.notice("warning", "bridge_snooping", warning)

    def _advertised(self) -> tuple[int, int]:
        """What advertisements tell of the querier."""
        return int(self.link.variables.query_interval), self.link.variables.robustness

    def _drop(self, records: list[GroupRecord]) -> None:
        """Records go at once, and `changed` is told when all of them are gone."""
        gone: list[tuple[Address, Address | None]] = []
        for record in records:
            gone += [(record.address, None)] if record.mode is EXCLUDE else []
            gone += [(record.address, source) for source in record.sources]
            record.close()
        for group, source in gone:
            self.changed(group, source)

    def _follow_static(self) -> None:
        """Want what the settings say now, as if hosts were there."""
        wanted = {
            (group, source): self.static.get((group, source), self.heap.now)
            for group, source in (self.settings.static if self.running else ())
            if self.is_usable(group) and (source is not None or not self.is_ssm(group))
        }
        before, self.static = self.static, wanted
        for group, source in before.keys() ^ wanted.keys():
            self.changed(group, source)
            if source is None:
                record = self.link.groups.get(group)
                for excluded in list(record.sources) if record is not None else ():
                    self.changed(group, excluded)

    def _querier_address(self) -> Address:
        """What our queries carry: the configured address if hosts can believe it, else the interface's own."""
        wanted = self.settings.querier_address
        if wanted is None:
            return self._address
        if self.link.traits.link_local_source:
            why = None if self.family.is_link_local(wanted) else "it is not link-local"
        else:
            why = None if self.family.is_unicast(wanted) and self.on_link(wanted) else "it is in no subnet of the link"
        if why is None:
            return wanted
        text = f"querier-address {format_address(wanted)} is not used: {why}, and hosts would drop our queries"
        self.link.notice("warning", "querier_address", text)
        return self._address

    def is_usable(self, group: Address) -> bool:
        """Whether `group` may have state."""
        return self.family.is_routable_group(group) if self.usable is None else self.usable(group)

    # What is wanted (RFC 9776 6.3, RFC 7761 4.1.5).

    def wishes(self) -> list[tuple[Address, Address | None]]:
        """(group, source) of all that is asked for by name, and (group, None) of each group."""
        groups = list(self.link.groups.values())
        found = dict.fromkeys((g.address, source) for g in groups for source in (None, *g.sources))
        return list(found | dict.fromkeys(self.static))

    def wants(self, group: Address, source: Address) -> bool:
        """local_receiver_include(S,G,I): some member names `source`, in whatever filter mode."""
        record = self.link.groups.get(group)
        found = record.sources.get(source) if record is not None else None
        return (found is not None and found.timer.running) or (group, source) in self.static

    def wants_any(self, group: Address) -> bool:
        """local_receiver_include(*,G,I): the filter mode is EXCLUDE."""
        record = self.link.groups.get(group)
        return (record is not None and record.mode is EXCLUDE) or (group, None) in self.static

    def excludes(self, group: Address, source: Address) -> bool:
        """Whether `source` is in the exclude list: all members that want any source but this one agree on it."""
        record = self.link.groups.get(group)
        if record is None:
            return False
        found = record.sources.get(source)
        if found is None or found.timer.running:
            return False
        return not self.static or ((group, None) not in self.static and (group, source) not in self.static)

    # What comes in.

    def is_our_query(self, source: Address, data: bytes) -> bool:
        """Whether this is a query that we sent: the kernel shows it to this host's own members, and so to us."""
        return self.link.traits.codec.type_name(data) == "query" and self.is_own(source)

    def receive(self, source: Address, destination: Address, ttl: int, router_alert: bool, data: bytes) -> None:
        """Take a message that came in on this interface, from its IGMP or ICMPv6 header on. Raises on no bytes."""
        reception.receive(self, source, destination, ttl, router_alert, data)


def general_query_if_ours(membership: Membership) -> None:
    """Ask everybody, if that is our part."""
    if membership.running and membership.link.is_querier:
        general_query(membership.querier)
