"""Unicast routing for the fake network: shortest paths by Dijkstra. Imports nothing of pimpy.

Of paths of equal length the one over the link whose name sorts first is taken, then the one over the router
whose name sorts first. The oracle follows the same rule by another algorithm.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heappop, heappush

Attachment = Mapping[str, Mapping[str, int]]
"""router -> link -> cost, of the links that are up and to which the router's port is up."""

Hop = tuple[str, str | None]
"""(link, next router); the next router is None where the destination is on the link itself."""


def shortest_paths(attached: Attachment, target: str) -> dict[str, Hop]:
    """How each router reaches the link `target`; a router that cannot is left out."""
    members: dict[str, list[str]] = {}
    for router, links in attached.items():
        for link in links:
            members.setdefault(link, []).append(router)
    distance: dict[str, int] = {}
    hops: dict[str, Hop] = {}
    heap: list[tuple[int, str, str, str, str | None]] = [
        (0, target, "", router, None) for router in members.get(target, ())
    ]
    while heap:
        cost, link, _, router, via = heappop(heap)
        if router in distance:
            continue
        distance[router] = cost
        hops[router] = (link, via)
        for onward, price in attached[router].items():
            for other in members[onward]:
                if other not in distance:
                    heappush(heap, (cost + price, onward, router, other, router))
    return hops
