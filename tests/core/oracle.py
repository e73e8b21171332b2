"""Where each stream must flow, worked out from the topology alone. Imports nothing of pimpy (a test holds this).

Written from the prose of RFC 7761 and 4607, with no state, no timers and no messages: it says where a network
ends up that has been left alone for long enough.

- A router reaches the source's link by the shortest path, costs being added per link; of equal paths the one over
  the link whose name sorts first, then over the router whose name sorts first. That link is RPF_interface(S), that
  router RPF'(S,G); where the source is on a link of the router's own, that link is RPF_interface(S) and there is
  no RPF'. A router whose daemon is dead still routes unicast, so it can be RPF' of others, who join in vain.
- The DR of a link is, of the live routers on it, the one with the highest priority, then the highest address; on a
  port where a router is passive it sees nobody and is the DR itself.
- A router wants a channel if it is the DR of a link with a member, or if a router wants it whose RPF' it is. It
  forwards what comes in by RPF_interface(S) to the links of both kinds, but not back to RPF_interface(S).

Without Assert (which comes with a later issue) two routers may forward onto one link: the stream is there, twice.
The oracle speaks of the set of links, so LANs with many routers and hosts are judged like all others. A packet
cannot go in circles: costs are the same in both directions and ties are broken by the link.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product


@dataclass(frozen=True)
class Port:
    """A router's interface, if it is up."""

    router: str
    link: str
    priority: int
    address: bytes
    passive: bool = False


@dataclass(frozen=True)
class World:
    """All that decides where streams go. Links, ports and members that are down are not in it."""

    costs: Mapping[str, int]
    """link -> cost."""
    ports: tuple[Port, ...]
    alive: frozenset[str]
    """The routers whose daemon runs."""
    members: frozenset[tuple[str, str]] = field(default_factory=frozenset)
    """(link, channel) of every host that wants a channel."""


def flows(world: World, channel: str, source_link: str) -> set[str]:
    """The links on which the channel is present, the source's own link included."""
    if source_link not in world.costs:
        return set()
    rpf = rpf_of_all(world, source_link)
    outgoing = olists(world, channel, rpf)
    present = {source_link}
    while True:
        new = {
            link
            for router, links in outgoing.items()
            if router in rpf and rpf[router][0] in present
            for link in links - {rpf[router][0]}
        }
        if new <= present:
            return present
        present |= new


def rpf_of_all(world: World, source_link: str) -> dict[str, tuple[str, str | None]]:
    """router -> (RPF_interface(S), RPF'(S,G)), by Bellman and Ford's algorithm."""
    links_of: dict[str, set[str]] = {}
    for port in world.ports:
        links_of.setdefault(port.router, set()).add(port.link)
    distance = {router: 0 for router, links in links_of.items() if source_link in links}
    for _ in links_of:
        for (router, links), (other, others) in product(links_of.items(), repeat=2):
            if router != other and other in distance:
                for link in links & others:
                    cost = distance[other] + world.costs[link]
                    if cost < distance.get(router, cost + 1):
                        distance[router] = cost
    result: dict[str, tuple[str, str | None]] = {}
    for router, cost in distance.items():
        if source_link in links_of[router]:
            result[router] = (source_link, None)
            continue
        result[router] = min(
            (link, other)
            for other, others in links_of.items()
            if other != router and other in distance
            for link in links_of[router] & others
            if distance[other] + world.costs[link] == cost
        )
    return result


def olists(world: World, channel: str, rpf: dict[str, tuple[str, str | None]]) -> dict[str, set[str]]:
    """router -> the links where somebody wants the channel from it, RPF_interface(S) possibly among them."""
    outgoing: dict[str, set[str]] = {}
    for router, link in served(world, channel):
        outgoing.setdefault(router, set()).add(link)
    passive = {(port.router, port.link) for port in world.ports if port.passive}
    while True:
        joins = [
            (rpf_prime, link)
            for router in outgoing
            if router in rpf
            for link, rpf_prime in [rpf[router]]
            if rpf_prime in world.alive and not {(router, link), (rpf_prime, link)} & passive
        ]
        before = sum(map(len, outgoing.values()))
        for rpf_prime, link in joins:
            assert rpf_prime is not None
            outgoing.setdefault(rpf_prime, set()).add(link)
        if sum(map(len, outgoing.values())) == before:
            return outgoing


def served(world: World, channel: str) -> Iterator[tuple[str, str]]:
    """(router, link) where a router serves members as the DR."""
    for link, wanted in world.members:
        here = [port for port in world.ports if port.link == link and port.router in world.alive]
        if wanted != channel:
            continue
        for port in here:
            if port.passive:
                yield port.router, link
        speaking = [port for port in here if not port.passive]
        if speaking:
            yield max(speaking, key=lambda port: (port.priority, port.address)).router, link
