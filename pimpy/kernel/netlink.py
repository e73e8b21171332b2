"""Links, addresses and routes of one address family, as events; nothing is polled.

Notices are read when the socket has some. Where the kernel had to drop notices (ENOBUFS), everything is dumped
again and what differs becomes events. A change that can concern a route somebody wants to know is acted on at
once, further ones within 50 ms together; each is looked at once more 50 ms later, because the kernel announces
the removal of an IPv4 route shortly before it takes place. An event is made only where the answer differs.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from contextlib import suppress
from socket import socket

from pimpy.core.engine.events import AddressesChanged, BridgeChanged, Event, LinkChanged, LinkGone
from pimpy.kernel import _mroute, bridges, rtnl
from pimpy.kernel.routes import Lookup, Tracked, read_notice, unreachable
from pimpy.kernel.sockets import open_notices
from pimpy.wire.family import Address, Family

_GROUPS = {4: (1, 5, 7, 8, 32), 16: (1, 9, 11, 19, 32)}
"""RTNLGRP_LINK, then of the family _IFADDR, _ROUTE and _RULE, then RTNLGRP_NEXTHOP."""

DATAGRAMS = 256
"""Notices that one call of `receive` takes."""

LOOKUPS = 1024
"""Routes that one call of `receive` asks for."""

COALESCE = 50
"""Milliseconds within which changes are taken together."""


class Netlink:
    """What the kernel tells about one family's links, addresses and routes."""

    def __init__(self, family: Family, buffer: int | None = None, notices: socket | None = None) -> None:
        """`buffer` is the size of the receive buffer, for tests that want it to overrun.

        `notices` is a socket with room for many, from somebody who may make it so large (`sockets.open_notices`).
        """
        self.family = family
        self._notices = rtnl.hear(notices or open_notices(), _GROUPS[family.size], buffer)
        self._query = rtnl.Query()
        self._timer = _mroute.timer_open()
        self._lookup = Lookup(self._query, family)
        self._links: dict[int, LinkChanged] = {}
        self._bridges: dict[int, BridgeChanged] = {}
        self._addresses: dict[int, tuple[tuple[Address, int], ...]] = {}
        self._tracked = Tracked()
        self._stale_addresses: set[int] = set()
        self._stale = False
        self._changed: dict[Address, None] = {}
        self._again: dict[Address, None] = {}
        self._armed = False
        self.overruns = 0
        """How often notices were lost and everything was dumped again."""

    def filenos(self) -> tuple[int, int]:
        """The descriptors to watch for reading: notices, and the timer that takes changes together."""
        return self._notices.fileno(), self._timer

    def start(self) -> list[Event]:
        """Every interface with its addresses, as they are now."""
        events: list[Event] = []
        self._resync(events)
        return events

    def receive(self, fd: int) -> list[Event]:
        """What a readable descriptor has to say: a bounded part, the rest makes it readable again."""
        events: list[Event] = []
        if fd == self._timer:
            with suppress(BlockingIOError):
                os.read(fd, 8)
            self._armed = False
        else:
            self._read(events)
        self._dump(events)
        if not self._armed:
            events += self._look()
        return events

    def resolve(self, addresses: Iterable[Address]) -> list[Event]:
        """The route to each address, now, and as long as it is not forgotten an event after each change."""
        wanted = list(addresses)
        new = [address for address in dict.fromkeys(wanted) if address not in self._tracked]
        self._ask(new)
        return [self._tracked[address].event for address in wanted]

    def look_up(self, address: Address) -> Event:
        """The route to an address, once."""
        known = address in self._tracked
        (event,) = self.resolve([address])
        if not known:
            self.forget(address)
        return event

    def look_at_bridges(self) -> list[Event]:
        """What is different now about snooping bridges; call it now and then, the kernel gives no notice."""
        links = self._query.dump(rtnl.GETLINK, 0)
        found = {told.ifindex: told for told in bridges.read(links, self.family, self._multicast_databases)}
        gone: list[Event] = [BridgeChanged(i, "") for i in self._bridges if i not in found and i in self._links]
        changed: list[Event] = [bridge for i, bridge in found.items() if self._bridges.get(i) != bridge]
        self._bridges = found
        return gone + changed

    def _multicast_databases(self) -> list[bytes]:
        """The multicast databases of all bridges."""
        return self._query.dump(bridges.GETMDB, bridges.AF_BRIDGE)

    def forget(self, address: Address) -> None:
        """No longer interested in the route to `address`; nothing if nobody was."""
        self._tracked.remove(address)
        self._changed.pop(address, None)
        self._again.pop(address, None)

    def close(self) -> None:
        """Close all descriptors."""
        self._notices.close()
        self._query.close()
        os.close(self._timer)

    # Notices

    def _read(self, events: list[Event]) -> None:
        try:
            for _ in range(DATAGRAMS):
                data = rtnl.receive(self._notices)
                if data is None:
                    break
                for kind, _, _, message in rtnl.split(data):
                    self._take(kind, message, events)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            self.overruns += 1
            self._stale = True
            self._drain()

    def _drain(self) -> None:
        """Throw queued notices away. The kernel drops further ones, without another word, until none is left."""
        while True:
            try:
                if rtnl.receive(self._notices) is None:
                    return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise

    def _take(self, kind: int, message: bytes, events: list[Event]) -> None:
        if kind in (rtnl.NEWROUTE, rtnl.DELROUTE):
            found = read_notice(message, self.family)
            if found is not None and len(self._tracked):
                self._mark(self._tracked.covered(*found))
        elif kind in (rtnl.NEWADDR, rtnl.DELADDR):
            family, ifindex = rtnl.address_index(message)
            if family == self.family.number:
                self._stale_addresses.add(ifindex)
                self._mark(self._tracked.by_interface(ifindex))
                if kind == rtnl.DELADDR:
                    self._mark(self._tracked.by_source())
        elif kind in (rtnl.NEWLINK, rtnl.DELLINK):
            self._take_link(kind, message, events)
        elif kind in (rtnl.NEWRULE, rtnl.DELRULE):
            self._mark(self._tracked.addresses())
        elif kind in (rtnl.NEWNEXTHOP, rtnl.DELNEXTHOP):
            self._mark(self._tracked.by_object())

    def _take_link(self, kind: int, message: bytes, events: list[Event]) -> None:
        link = rtnl.read_link(message)
        if link is None:
            return
        if kind == rtnl.DELLINK:
            self._remove_link(link.ifindex, events)
        else:
            self._set_link(link, events)

    def _set_link(self, link: LinkChanged, events: list[Event]) -> None:
        old = self._links.get(link.ifindex)
        if old == link:
            return
        self._links[link.ifindex] = link
        events.append(link)
        if old is None:
            self._stale_addresses.add(link.ifindex)
        # What comes up may give a better way to any address, without a notice; what goes down only takes ways away.
        came_up = link.running and (old is None or not old.running)
        self._mark(self._tracked.addresses() if came_up else self._tracked.by_interface(link.ifindex))

    def _remove_link(self, ifindex: int, events: list[Event]) -> None:
        if self._links.pop(ifindex, None) is not None:
            self._addresses.pop(ifindex, None)
            events.append(LinkGone(ifindex))
        self._mark(self._tracked.by_interface(ifindex))

    # Dumps

    def _dump(self, events: list[Event]) -> None:
        """Dump what notices made stale. If changes keep interrupting it, it is done a little later."""
        try:
            if self._stale:
                self._resync(events)
                self._stale = False
            else:
                self._dump_addresses(self._stale_addresses, events)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EBUSY, errno.ENOBUFS, errno.EINTR):
                raise
            self._stale = True
            self._arm(COALESCE)

    def _resync(self, events: list[Event]) -> None:
        """Dump links and addresses, ask for every route again: events for what differs from before."""
        found = [rtnl.read_link(message) for message in self._query.dump(rtnl.GETLINK, 0)]
        links = {link.ifindex: link for link in found if link is not None}
        for ifindex in [ifindex for ifindex in self._links if ifindex not in links]:
            self._remove_link(ifindex, events)
        for link in links.values():
            self._set_link(link, events)
        self._mark(self._tracked.addresses())
        self._dump_addresses(set(links), events)

    def _dump_addresses(self, stale: set[int], events: list[Event]) -> None:
        """Read the addresses of these interfaces, in the kernel's order: events for those that differ."""
        self._stale_addresses = set()
        wanted = stale & self._links.keys()
        if not wanted:
            return
        found: dict[int, list[tuple[Address, int]]] = {ifindex: [] for ifindex in wanted}
        for message in self._query.dump(rtnl.GETADDR, self.family.number):
            family, ifindex = rtnl.address_index(message)
            address = rtnl.read_address(message) if ifindex in found and family == self.family.number else None
            if address is not None:
                found[ifindex].append(address)
        for ifindex, addresses in sorted(found.items()):
            if self._addresses.get(ifindex) != tuple(addresses):
                self._addresses[ifindex] = tuple(addresses)
                events.append(AddressesChanged(ifindex, tuple(addresses)))

    # Routes

    def _mark(self, addresses: Iterable[Address]) -> None:
        self._changed.update(dict.fromkeys(addresses))

    def _look(self) -> list[Event]:
        """Ask again for the routes that may have changed, a bounded number; the rest follows soon."""
        first = list(self._changed)[:LOOKUPS]
        second = [address for address in list(self._again)[: LOOKUPS - len(first)] if address not in self._changed]
        for address in first:
            del self._changed[address]
        for address in second:
            del self._again[address]
        events = self._ask(first + second)
        self._again.update(dict.fromkeys(first))
        if self._changed or self._again:
            self._arm(1 if self._changed else COALESCE)
        return events

    def _ask(self, addresses: list[Address]) -> list[Event]:
        """Ask for routes and keep the answers: events for those that differ."""
        events: list[Event] = []
        bodies = self._lookup.ask(addresses)
        for address in addresses:
            body = bodies.get(address)
            if body is None:  # the kernel was short of memory
                self._later(address)
            elif not self._tracked.is_same(address, body):
                answer = self._lookup.answer(address, body)
                if self._tracked.store(address, body, answer):
                    events.append(answer.event)
        return events

    def _later(self, address: Address) -> None:
        if address not in self._tracked:
            self._tracked.store(address, b"", unreachable(address))
        self._again[address] = None
        if not self._armed:
            self._arm(COALESCE)

    def _arm(self, milliseconds: int) -> None:
        _mroute.timer_set(self._timer, milliseconds)
        self._armed = True
