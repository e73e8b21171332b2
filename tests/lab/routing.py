"""Shortest paths over a lab's links, for its static routes."""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .topology import Link, Node, Port


def shortest_paths(start: Node) -> dict[Link, Port]:
    """For each link that `start` is not on: the port, on a link that it is on, of the next hop towards it.

    Hosts forward nothing; links that are down are not there.
    Among equally long ways the one through the neighbour with the lowest number is taken.
    """
    heap: list[tuple[int, int, int, Node, Port | None]] = [(0, 0, 0, start, None)]
    pushed = itertools.count(1)
    done: set[Node] = set()
    found: dict[Link, Port] = {}
    while heap:
        length, _, _, node, first = heapq.heappop(heap)
        if node in done:
            continue
        done.add(node)
        ports = [port for port in node.ports.values() if port.link.up]
        for port in ports:
            if first is not None and start not in port.link.ports:
                found.setdefault(port.link, first)
        if node is not start and not node.forwards:
            continue
        for port in ports:
            for other, far in port.link.ports.items():
                hop = first or far
                heapq.heappush(heap, (length + port.link.cost, hop.node.number, next(pushed), other, hop))
    return found
