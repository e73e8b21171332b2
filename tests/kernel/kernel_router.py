"""An adapter in a namespace, driven as the daemon drives it, and hosts that send and hear streams."""

from __future__ import annotations

import select
import struct
import time
from pathlib import Path
from socket import (
    IP_ADD_MEMBERSHIP,
    IP_MULTICAST_TTL,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPV6_JOIN_GROUP,
    IPV6_MULTICAST_HOPS,
    SOCK_DGRAM,
    inet_ntop,
    socket,
)

from kernel_namespaces import Namespace, Trio

from pimpy.core.engine.effects import AddVif, Effect
from pimpy.core.engine.events import Event
from pimpy.kernel.adapter import Adapter
from pimpy.kernel.netlink import Netlink
from pimpy.kernel.sockets import open_sockets
from pimpy.wire.family import IPV4, IPV6, Address, Family

PORT = 5000


class Router:
    """An adapter in a namespace, and what it told."""

    def __init__(self, namespace: Namespace, family: Family, paused: bool = False) -> None:
        with namespace:
            self.sockets = open_sockets(family)
            self.netlink = Netlink(family)
            self.adapter = Adapter(family, self.sockets, self.netlink, paused=paused)
        self.namespace = namespace
        self.family = family
        self.events: list[Event] = self.adapter.start()

    def apply(self, *effects: Effect) -> list[Event]:
        with self.namespace:
            return self.adapter.apply(effects)

    def turn(self, wait: float = 0.0) -> list[Event]:
        """One turn of the daemon's loop: the events of every descriptor that is readable."""
        readable, _, _ = select.select(self.adapter.filenos(), (), (), wait)
        found = [event for fd in readable for event in self.adapter.receive(fd)]
        self.events += found
        return found

    def until(self, wanted: type | tuple[type, ...], count: int = 1, timeout: float = 5.0) -> list[Event]:
        """Wait for `count` events of these types, of this family's streams; they are taken out of `events`."""
        end = time.monotonic() + timeout
        while True:
            found = [event for event in self.events if isinstance(event, wanted)]
            if len(found) >= count:
                self.events = [event for event in self.events if not isinstance(event, wanted)]
                return found
            assert time.monotonic() < end, self.events
            self.turn(0.05)

    def close(self) -> None:
        self.adapter.close()
        self.sockets.close()
        self.netlink.close()


class Sender:
    """Sends a stream from the host on the left."""

    def __init__(self, namespace: Namespace, family: Family, ttl: int = 8) -> None:
        with namespace:
            self._socket = socket(family.number, SOCK_DGRAM)
        if family is IPV4:
            self._socket.setsockopt(IPPROTO_IP, IP_MULTICAST_TTL, ttl)
        else:
            self._socket.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, ttl)
        self._family = family

    def send(self, to: Address, text: bytes) -> None:
        self._socket.sendto(text, (inet_ntop(self._family.number, to), PORT))


class Receiver:
    """Hears a group on a host."""

    def __init__(self, namespace: Namespace, family: Family, to: Address) -> None:
        with namespace:
            self._socket = socket(family.number, SOCK_DGRAM)
            ifindex = struct.pack("=i", namespace.ifindex("eth"))
        self._socket.bind(("", PORT))
        if family is IPV4:
            self._socket.setsockopt(IPPROTO_IP, IP_ADD_MEMBERSHIP, to + bytes(4) + ifindex)
        else:
            self._socket.setsockopt(IPPROTO_IPV6, IPV6_JOIN_GROUP, to + ifindex)
        self._socket.setblocking(False)

    def heard(self) -> list[bytes]:
        found = []
        while True:
            try:
                found.append(self._socket.recv(65536))
            except BlockingIOError:
                return found


def vifs(trio: Trio) -> list[Effect]:
    return [AddVif(0, trio.l, 1), AddVif(1, trio.r, 1)]


def joined(namespace: Namespace, family: Family, name: str) -> set[Address]:
    """The groups of an interface that programs have joined, as the kernel tells."""
    found: set[Address] = set()
    with namespace:
        if family is IPV6:
            for line in Path("/proc/thread-self/net/igmp6").read_text().splitlines():
                _, device, address, *_ = line.split()
                found |= {bytes.fromhex(address)} if device == name else set()
            return found
        device = ""
        for line in Path("/proc/thread-self/net/igmp").read_text().splitlines()[1:]:
            if not line.startswith("\t"):
                device = line.split()[1]
            elif device == name:
                found.add(bytes.fromhex(line.split()[0])[::-1])
    return found
