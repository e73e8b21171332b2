"""Streams that must flow and neighbours that must be there: looked at, told when that changes.

The kernel forwards, so a stream is seen by its counters: each watch has them read once in its interval.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from pimpy.config.model import Config, ExpectedNeighbor, Watch
from pimpy.core.engine.effects import ReadCounters
from pimpy.core.engine.timers import Timer
from pimpy.wire.family import Address, format_address
from pimpy.wire.record import define, field

if TYPE_CHECKING:
    from pimpy.core.router import Router

Counted = tuple[int, int]
"""(packets, bytes) of one entry, as the kernel counts them."""


@define
class WatchedStream:
    """One watch, and what was seen of its stream."""

    router: Router
    watch: Watch
    since: float
    """When it began to flow, or to be silent; or to be watched."""
    flows: bool | None = field(init=False, default=None)
    """Whether the last interval had packets enough; None before the first is over."""
    packets: int = field(init=False, default=0)
    octets: int = field(init=False, default=0)
    """All since it is watched."""
    recent: int | None = field(init=False, default=None)
    """Packets of the last interval."""
    last_packet: float | None = field(init=False, default=None)
    """When the counters were seen to have grown last."""
    asked: bool = field(init=False, default=False)
    """Whether the next counters are for it."""
    before: Mapping[Address, Counted] | None = field(init=False, default=None)
    """By source, at the last look; None before the first."""
    timer: Timer = field(init=False)

    def __post_init__(self) -> None:
        self.timer = Timer(self.router.heap, self, _ask)

    @property
    def words(self) -> str:
        """The stream, for people."""
        source = "" if self.watch.source is None else f" from {format_address(self.watch.source)}"
        return f"{self.watch.name}: {format_address(self.watch.group)}{source}"

    def seen(self, counted: Mapping[Address, Counted]) -> None:
        """The counters of its entries are these now, by source."""
        before, self.before, self.asked = self.before, counted, False
        if before is None:
            return
        self.recent = 0
        for source, now in counted.items():
            old = before.get(source, (0, 0))
            packets, octets = (new - was if now[0] >= old[0] else new for new, was in zip(now, old, strict=True))
            self.recent += packets
            self.octets += max(0, octets)
        self.packets += self.recent
        if self.recent:
            self.last_packet = self.router.heap.now
        self._judge(self.recent)

    def _judge(self, packets: int) -> None:
        flows, was = packets >= self.watch.min_packets, self.flows
        if flows == was:
            return
        self.flows, self.since = flows, self.router.heap.now
        if not flows:
            wanted = f"{packets} packets in {self.watch.interval} s, at least {self.watch.min_packets} are wanted"
            self.router.notice("warning", "watch_silent", f"watch {self.words}: {wanted}")
        elif was is not None:
            self.router.notice("notice", "watch_flows", f"watch {self.words}: it flows again")


def _ask(stream: WatchedStream) -> None:
    """Have the counters read."""
    stream.asked = True
    stream.router.emit(ReadCounters())
    stream.timer.at(stream.router.heap.now + stream.watch.interval)


@define
class WatchedNeighbor:
    """One expected neighbour."""

    router: Router
    expected: ExpectedNeighbor
    since: float
    """When it came, or went; or began to be expected."""
    up: bool | None = field(init=False, default=None)
    """None as long as it may still say its first Hello."""
    timer: Timer = field(init=False)
    """When that is over."""

    def __post_init__(self) -> None:
        self.timer = Timer(self.router.heap, self, _waited)

    def look(self, *, waited: bool = False) -> None:
        """See whether it is there; `waited`: that it is not there counts even if it never was."""
        up = self._is_there()
        if up == self.up or (not up and self.up is None and not waited):
            return
        was, self.up, self.since = self.up, up, self.router.heap.now
        self.timer.cancel()
        where = f"{format_address(self.expected.address)} on {self.expected.interface}"
        if not up:
            self.router.notice("warning", "expected_neighbor_missing", f"the neighbour {where} is missing")
        elif was is False:
            self.router.notice("notice", "expected_neighbor_up", f"the neighbour {where} is there again")

    def _is_there(self) -> bool:
        address, word = self.expected.address, self.expected.interface
        return any(
            address in interface.neighbors or address in interface.secondary_of
            for interface in self.router.pim.interfaces.values()
            if word == interface.name or word in interface.link.texts()
        )


def _waited(neighbor: WatchedNeighbor) -> None:
    neighbor.look(waited=True)


@define
class Watches:
    """All of one family."""

    router: Router
    streams: dict[Watch, WatchedStream] = field(init=False, factory=dict)
    neighbors: dict[ExpectedNeighbor, WatchedNeighbor] = field(init=False, factory=dict)

    def configure(self, config: Config) -> None:
        """Follow these from now on; what is watched already goes on."""
        router, size = self.router, self.router.family.size
        old_streams, old_neighbors = self.streams, self.neighbors
        self.streams, self.neighbors = {}, {}
        for watch in config.watches:
            if len(watch.group) == size:
                known = watch in old_streams
                self.streams[watch] = old_streams.pop(watch) if known else self._new_stream(watch)
        for expected in config.expected_neighbors:
            if len(expected.address) == size:
                there = expected in old_neighbors
                new = old_neighbors.pop(expected) if there else WatchedNeighbor(router, expected, router.heap.now)
                self.neighbors[expected] = new
        _close(old_streams, old_neighbors)
        patience = config.hello_interval + config.triggered_hello_delay
        for one in self.neighbors.values():
            one.look()
            if one.up is None:
                one.timer.no_later_than(router.heap.now + patience)

    def _new_stream(self, watch: Watch) -> WatchedStream:
        made = WatchedStream(self.router, watch, self.router.heap.now)
        _ask(made)
        return made

    def counted(self, entries: Iterable[tuple[Address, Address, int, int]]) -> None:
        """The kernel's counters, (source, group, packets, bytes) of each entry."""
        asked = [stream for stream in self.streams.values() if stream.asked]
        if not asked:
            return
        groups: dict[Address, dict[Address, Counted]] = {stream.watch.group: {} for stream in asked}
        for source, group, packets, octets in entries:
            if (found := groups.get(group)) is not None:
                found[source] = (packets, octets)
        for stream in asked:
            of_group, only = groups[stream.watch.group], stream.watch.source
            stream.seen({s: counted for s, counted in of_group.items() if only is None or s == only})

    def neighbors_changed(self) -> None:
        """A neighbour came or went, or has other addresses; or an interface has."""
        for one in self.neighbors.values():
            one.look()

    def stop(self) -> None:
        """Nothing is watched any more."""
        _close(self.streams, self.neighbors)
        self.streams, self.neighbors = {}, {}


def _close(streams: Mapping[Watch, WatchedStream], neighbors: Mapping[ExpectedNeighbor, WatchedNeighbor]) -> None:
    for stream in streams.values():
        stream.timer.close()
    for neighbor in neighbors.values():
        neighbor.timer.close()
