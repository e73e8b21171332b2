"""What a Netlink tells, followed as the core would follow it, and compared with what a fresh one sees."""

from __future__ import annotations

import select
import time
from collections.abc import Callable

from kernel_namespaces import Namespace

from pimpy.core.engine.events import AddressesChanged, Event, LinkChanged, LinkGone, RouteResolved
from pimpy.kernel.netlink import Netlink
from pimpy.wire.family import Address, Family

State = tuple[dict[int, LinkChanged], dict[int, tuple[tuple[Address, int], ...]], dict[Address, RouteResolved]]


class Watch:
    """A Netlink of a namespace, its events in order, and the state that they add up to."""

    def __init__(self, namespace: Namespace, family: Family, buffer: int | None = None) -> None:
        self.namespace = namespace
        self.family = family
        with namespace:
            self.netlink = Netlink(family, buffer)
        self.links: dict[int, LinkChanged] = {}
        self.addresses: dict[int, tuple[tuple[Address, int], ...]] = {}
        self.routes: dict[Address, RouteResolved] = {}
        self.events: list[Event] = []
        self.take(self.netlink.start())

    def take(self, events: list[Event]) -> list[Event]:
        for event in events:
            if isinstance(event, LinkChanged):
                assert self.links.get(event.ifindex) != event, "an event without a difference"
                self.links[event.ifindex] = event
            elif isinstance(event, LinkGone):
                del self.links[event.ifindex]
                self.addresses.pop(event.ifindex, None)
            elif isinstance(event, AddressesChanged):
                assert event.ifindex in self.links, "addresses of an unknown interface"
                assert self.addresses.get(event.ifindex) != event.addresses, "an event without a difference"
                self.addresses[event.ifindex] = event.addresses
            elif isinstance(event, RouteResolved):
                self.routes[event.address] = event
        self.events += events
        return events

    def resolve(self, *addresses: Address) -> list[Event]:
        return self.take(self.netlink.resolve(addresses))

    def turn(self, wait: float = 0.0) -> list[Event]:
        """One turn of the daemon's loop."""
        readable, _, _ = select.select(self.netlink.filenos(), (), (), wait)
        return self.take([event for fd in readable for event in self.netlink.receive(fd)])

    def settle(self, quiet: float = 0.12) -> list[Event]:
        """Until nothing comes for a while: all events since."""
        found: list[Event] = []
        end = time.monotonic() + quiet
        while time.monotonic() < end:
            readable, _, _ = select.select(self.netlink.filenos(), (), (), max(0.0, end - time.monotonic()))
            for fd in readable:
                found += self.take(self.netlink.receive(fd))
                end = time.monotonic() + quiet
        return found

    def until(self, look: Callable[[], object], timeout: float = 20.0) -> None:
        """Turn until something is true."""
        end = time.monotonic() + timeout
        while not look():
            assert time.monotonic() < end, self.events[-20:]
            self.turn(0.05)

    @property
    def state(self) -> State:
        return self.links, self.addresses, self.routes

    def fresh(self) -> State:
        """What a new one sees, asked for the same routes."""
        other = Watch(self.namespace, self.family)
        other.resolve(*self.routes)
        state = other.state
        other.close()
        return state

    def close(self) -> None:
        self.netlink.close()
