"""`show watches`: streams that must flow, neighbours that must be there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pimpy.core.watch_rows import ExpectedNeighborRow, WatchRow
from pimpy.wire.family import format_address

if TYPE_CHECKING:
    from pimpy.core.router import Router


def watches(router: Router) -> Iterator[WatchRow | ExpectedNeighborRow]:
    """All of this family: streams by name, then neighbours."""
    now, family = router.heap.now, router.family.name
    for watch, stream in sorted(router.watches.streams.items(), key=lambda item: item[0].name):
        yield WatchRow(
            row="watch",
            address_family=family,
            watch=watch.name,
            source_address="*" if watch.source is None else format_address(watch.source),
            group=format_address(watch.group),
            state={None: "pending", True: "flowing", False: "silent"}[stream.flows],
            since=now - stream.since,
            recent_packets=stream.recent,
            min_packets=watch.min_packets,
            interval=watch.interval,
            packets=stream.packets,
            bytes=stream.octets,
            last_packet=None if stream.last_packet is None else now - stream.last_packet,
        )
    for expected, neighbor in sorted(router.watches.neighbors.items(), key=lambda n: (n[0].interface, n[0].address)):
        yield ExpectedNeighborRow(
            row="neighbor",
            address_family=family,
            interface=expected.interface,
            address=format_address(expected.address),
            state={None: "pending", True: "up", False: "missing"}[neighbor.up],
            since=now - neighbor.since,
        )
