"""Unicast routes to the addresses that somebody wants to reach: asking the kernel, and whom a change concerns.

The kernel is asked for each address (RTM_GETROUTE), many questions in one datagram. With RTM_F_FIB_MATCH it
answers with the matched route itself: prefix, protocol, metric and all legs. Of several legs the one with the
numerically highest next hop is taken, of those that are alive; a leg without next hop is the lowest, and the
higher ifindex decides between equals. So all routers and all restarts choose alike.
"""

from __future__ import annotations

import errno
import struct
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence

from pimpy.core.engine.events import RouteResolved
from pimpy.kernel import rtnl
from pimpy.wire.family import Address, Family, Prefix
from pimpy.wire.record import frozen
from pimpy.wire.value import Value

_ROUTE = struct.Struct("=BBBBBBBBI")
_HOP = struct.Struct("=HBBi")
_U32 = struct.Struct("=I")

_DST, _OIF, _GATEWAY, _PRIORITY, _PREFSRC, _MULTIPATH, _TABLE, _VIA, _NH_ID = 1, 4, 5, 6, 7, 9, 15, 18, 30
_TYPE_MASK = 0x3FFF
_UNICAST, _LOCAL, _ANYCAST = 1, 2, 4
_LOOKUP_TABLE, _FIB_MATCH, _CLONED = 0x1000, 0x2000, 0x200
_DEAD, _LINKDOWN = 0x01, 0x10
_TRANSIENT = frozenset((errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN, errno.EINTR, errno.EBUSY))
_NEWROUTE = struct.pack("=H", rtnl.NEWROUTE)
_IN_ONE_DATAGRAM = 64
"""Questions asked at once: their answers fit into the smallest receive buffer that is common."""


@frozen
class Leg(Value):
    """One way of a route."""

    ifindex: int
    next_hop: Address | None
    alive: bool


@frozen
class Answer(Value):
    """What the kernel said about an address, and what its changes hang on."""

    event: RouteResolved
    legs: tuple[int, ...]
    """The interfaces of all legs, the dead ones too: they may come back."""
    table: int
    by_object: bool
    """Whether the route uses a nexthop object, whose removal takes the route away without a notice."""
    by_source: bool
    """Whether the route prefers one of this host's addresses, whose removal takes an IPv4 route away likewise."""


def _attributes(data: bytes, offset: int, end: int) -> dict[int, tuple[int, int]]:
    """Where each attribute's value begins and ends."""
    found = {}
    while offset + 4 <= end:
        length, kind = rtnl.ATTRIBUTE.unpack_from(data, offset)
        if length < 4 or offset + length > end:
            break
        found[kind & _TYPE_MASK] = (offset + 4, offset + length)
        offset += (length + 3) & ~3
    return found


def _number(data: bytes, attributes: dict[int, tuple[int, int]], kind: int) -> int:
    start, end = attributes.get(kind, (0, 0))
    return int(_U32.unpack_from(data, start)[0]) if end - start >= 4 else 0


def _next_hop(data: bytes, attributes: dict[int, tuple[int, int]]) -> Address | None:
    """The gateway, which may be of the other family (RTA_VIA: two bytes of family before the address)."""
    if _GATEWAY in attributes:
        start, end = attributes[_GATEWAY]
        return data[start:end]
    if _VIA in attributes:
        start, end = attributes[_VIA]
        return data[start + 2 : end]
    return None


def _legs(data: bytes, attributes: dict[int, tuple[int, int]], flags: int) -> list[Leg]:
    if _MULTIPATH not in attributes:
        oif = _number(data, attributes, _OIF)
        return [Leg(oif, _next_hop(data, attributes), not flags & (_DEAD | _LINKDOWN))] if oif else []
    legs = []
    offset, end = attributes[_MULTIPATH]
    while offset + _HOP.size <= end:
        length, hop_flags, _, ifindex = _HOP.unpack_from(data, offset)
        if length < _HOP.size or offset + length > end:
            break
        inner = _attributes(data, offset + _HOP.size, offset + length)
        legs.append(Leg(ifindex, _next_hop(data, inner), not hop_flags & (_DEAD | _LINKDOWN)))
        offset += (length + 3) & ~3
    return legs


def choose(legs: Sequence[Leg]) -> Leg:
    """The leg to use: alive, then highest next hop, then highest ifindex."""
    return max(legs, key=lambda leg: (leg.alive, leg.next_hop or b"", leg.ifindex))


def unreachable(address: Address) -> Answer:
    """The answer where there is no route."""
    return Answer(RouteResolved(address, None, None), (), 0, False, False)


def read_answer(address: Address, body: bytes, resolved: bytes = b"") -> Answer | None:
    """What a route message (behind its netlink header) says about `address`.

    None if the route names a nexthop object that is not spelled out (`nexthop_compat_mode` 0): then the leg is
    to be read from `resolved`, which is the answer to the same question without RTM_F_FIB_MATCH.
    """
    if len(body) < _ROUTE.size:
        return unreachable(address)
    _, length, _, _, table, protocol, _, kind, flags = _ROUTE.unpack_from(body)
    attributes = _attributes(body, _ROUTE.size, len(body))
    if kind not in (_UNICAST, _LOCAL, _ANYCAST):
        return unreachable(address)
    legs = _legs(body, attributes, flags)
    if not legs and _NH_ID in attributes:
        if not resolved:
            return None
        legs = _legs(resolved, _attributes(resolved, _ROUTE.size, len(resolved)), 0)
    if not legs:
        return unreachable(address)
    leg = choose(legs)
    start, end = attributes.get(_DST, (0, 0))
    network = body[start:end] if end - start == len(address) else bytes(len(address))
    event = RouteResolved(
        address=address,
        ifindex=leg.ifindex,
        next_hop=leg.next_hop,
        local=kind != _UNICAST,
        prefix=Prefix(network, length),
        protocol=protocol,
        metric=_number(body, attributes, _PRIORITY),
    )
    return Answer(
        event=event,
        legs=tuple(leg.ifindex for leg in legs),
        table=_number(body, attributes, _TABLE) or table,
        by_object=_NH_ID in attributes,
        by_source=_PREFSRC in attributes,
    )


def read_notice(message: bytes, family: Family) -> tuple[Prefix, int] | None:
    """The prefix and the table that a route notice is about; None for one that is about no route of `family`."""
    if len(message) < rtnl.HEADER.size + _ROUTE.size:
        return None
    number, length, _, _, table, _, _, _, flags = _ROUTE.unpack_from(message, rtnl.HEADER.size)
    if number != family.number or flags & _CLONED or length > family.bits:
        return None
    attributes = _attributes(message, rtnl.HEADER.size + _ROUTE.size, len(message))
    start, end = attributes.get(_DST, (0, 0))
    network = message[start:end] if end - start == family.size else family.any
    return Prefix(network, length), _number(message, attributes, _TABLE) or table


class Lookup:
    """Asks the kernel for routes."""

    def __init__(self, query: rtnl.Query, family: Family) -> None:
        self._query = query
        attribute = rtnl.ATTRIBUTE.pack(4 + family.size, _DST)
        route = (family.number, family.bits, 0, 0, 0, 0, 0, 0)
        self._matched = _ROUTE.pack(*route, _LOOKUP_TABLE | _FIB_MATCH) + attribute
        self._resolved = _ROUTE.pack(*route, _LOOKUP_TABLE) + attribute
        self._last: tuple[bytes, Answer] = (b"", unreachable(family.any))

    def ask(self, addresses: Sequence[Address]) -> dict[Address, bytes]:
        """The kernel's answer for each address: a message without its header, empty where there is no route.

        An address whose question failed for the moment is missing.
        """
        return self._ask(addresses, self._matched)

    def answer(self, address: Address, body: bytes) -> Answer:
        """Read what `ask` brought. A route whose nexthop object is not spelled out is asked for once more.

        All addresses under one route have the same message, and are often asked for one after the other.
        """
        last_body, last = self._last
        if body == last_body:
            said = last.event
            event = RouteResolved(
                address, said.ifindex, said.next_hop, said.local, said.prefix, said.protocol, said.metric
            )
            return Answer(event, last.legs, last.table, last.by_object, last.by_source)
        answer = read_answer(address, body)
        if answer is None:
            resolved = self._ask([address], self._resolved).get(address, b"")
            return read_answer(address, body, resolved) or unreachable(address)
        self._last = body, answer
        return answer

    def _ask(self, addresses: Sequence[Address], question: bytes) -> dict[Address, bytes]:
        found: dict[Address, bytes] = {}
        for start in range(0, len(addresses), _IN_ONE_DATAGRAM):
            some = addresses[start : start + _IN_ONE_DATAGRAM]
            answers = self._query.ask([question + address for address in some], rtnl.GETROUTE)
            for address, message in zip(some, answers, strict=True):
                if message is None:
                    continue
                if message[4:6] == _NEWROUTE:
                    found[address] = message[rtnl.HEADER.size :]
                elif rtnl.error_of(message) not in _TRANSIENT:
                    found[address] = b""
        return found


class Tracked:
    """The addresses that are asked about, their answers, and indexes of what concerns them."""

    def __init__(self) -> None:
        self._answers: dict[Address, Answer] = {}
        self._bodies: dict[Address, bytes] = {}
        self._sorted: list[Address] = []
        self._by_interface: dict[int, set[Address]] = {}
        self._unreachable: set[Address] = set()
        self._by_object: set[Address] = set()
        self._by_source: set[Address] = set()

    def __contains__(self, address: object) -> bool:
        return address in self._answers

    def __len__(self) -> int:
        return len(self._answers)

    def __getitem__(self, address: Address) -> Answer:
        return self._answers[address]

    def addresses(self) -> list[Address]:
        """All of them."""
        return list(self._sorted)

    def is_same(self, address: Address, body: bytes) -> bool:
        """Whether this is, byte for byte, what the kernel said before. What a nexthop object holds may not be in it."""
        return self._bodies.get(address) == body and address not in self._by_object

    def store(self, address: Address, body: bytes, answer: Answer) -> bool:
        """Keep an answer; whether its event differs from the last one."""
        old = self._answers.get(address)
        if old is None:
            insort(self._sorted, address)
        else:
            self._take_out(address, old)
        self._answers[address], self._bodies[address] = answer, body
        for ifindex in answer.legs:
            self._by_interface.setdefault(ifindex, set()).add(address)
        if answer.event.ifindex is None:
            self._unreachable.add(address)
        if answer.by_object:
            self._by_object.add(address)
        if answer.by_source:
            self._by_source.add(address)
        return old is None or old.event != answer.event

    def remove(self, address: Address) -> None:
        """No longer of interest; nothing if it was not."""
        answer = self._answers.pop(address, None)
        if answer is not None:
            self._take_out(address, answer)
            del self._bodies[address]
            del self._sorted[bisect_left(self._sorted, address)]

    def by_interface(self, ifindex: int) -> Iterable[Address]:
        """Those with a leg by an interface, and those that have none at all."""
        return self._by_interface.get(ifindex, set()) | self._unreachable

    def by_source(self) -> Iterable[Address]:
        """Those whose route prefers one of this host's addresses."""
        return self._by_source

    def by_object(self) -> Iterable[Address]:
        """Those whose route uses a nexthop object, and those that have no route."""
        return self._by_object | self._unreachable

    def covered(self, prefix: Prefix, table: int) -> list[Address]:
        """Those whose answer a change of a route to `prefix` in `table` can alter.

        Within one table the longest prefix wins, so a shorter one than the answer's alters nothing.
        """
        low = prefix.network
        high = (int.from_bytes(low, "big") | (1 << (8 * len(low) - prefix.length)) - 1).to_bytes(len(low), "big")
        answers = self._answers
        found = []
        for address in self._sorted[bisect_left(self._sorted, low) : bisect_right(self._sorted, high)]:
            answer = answers[address]
            matched = answer.event.prefix
            if matched is None or answer.table != table or matched.length <= prefix.length:
                found.append(address)
        return found

    def _take_out(self, address: Address, answer: Answer) -> None:
        for ifindex in set(answer.legs):
            members = self._by_interface[ifindex]
            members.discard(address)
            if not members:
                del self._by_interface[ifindex]
        self._unreachable.discard(address)
        self._by_object.discard(address)
        self._by_source.discard(address)
