"""The streams of proxies that the kernel told of, and their entries."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pimpy.core.engine.effects import ReadCounters
from pimpy.core.engine.timers import Timer
from pimpy.core.forwarding import PROXY
from pimpy.wire.family import Address
from pimpy.wire.record import define

if TYPE_CHECKING:
    from pimpy.core.proxy.instance import Instance
    from pimpy.core.proxy.ports import Port
    from pimpy.core.proxy.proxies import Proxies

MAX_STREAMS = 65536
"""Entries of proxies; further streams get none, and are counted."""
IDLE = 60.0
"""Seconds of silence, at least, after which an entry goes."""


@define
class Stream:
    """A stream that has an entry, wanted or not: who wants it may change while it flows."""

    source: Address
    group: Address
    instance: Instance
    port: Port
    """Where it comes in."""
    counted: int = -1
    """The kernel's packets when they were last looked at; -1: not yet."""
    silent_since: float = 0.0
    """When they were last seen to have changed."""
    rival: Port | None = None
    """Another upstream that brings it too, and may take over (`mutex`)."""


class Streams:
    """All streams of the proxies of one family."""

    def __init__(self, proxies: Proxies) -> None:
        self.proxies = proxies
        self.by_key: dict[bytes, Stream] = {}
        self.by_group: dict[Address, dict[bytes, Stream]] = {}
        self.timer = Timer(proxies.heap, self, _sweep)
        self._sweeping = False
        self._asked = False

    def no_cache(self, port: Port, source: Address, group: Address) -> bool:
        """The kernel asks for a stream that came in by `port`; whether some proxy takes it."""
        known = self.by_key.get(source + group)
        if known is not None:
            self.proxies.forwarding.tell_again(source, group)
            return True
        for instance in port.users:
            mask = instance.forwards(source, group, port)
            if mask is None:
                continue
            if len(self.by_key) >= MAX_STREAMS:
                self.proxies.counters.add(port.name, "proxy", "rx", "data", "stream_limit")
                return False
            stream = Stream(source, group, instance, port, silent_since=self.proxies.heap.now)
            self.by_key[source + group] = stream
            self.by_group.setdefault(group, {})[source + group] = stream
            self._claim(stream, mask)
            if not self.timer.running:
                self.timer.at(self.proxies.heap.now + IDLE)
            return True
        return False

    def wrong_vif(self, port: Port | None, source: Address, group: Address) -> bool:
        """A stream came in by another interface than its entry's; whether the entry is ours.

        With `first` it moves if that is where it is to come from now, with `mutex` once the one taken fell silent.
        """
        stream = self.by_key.get(source + group)
        if stream is None:
            return False
        if port is None or stream.instance.forwards(source, group, port) is None:
            return True
        if stream.instance.forwards(source, group, stream.port) is None:
            self._move(stream, port)
        elif stream.instance.said.matching == "mutex":
            stream.rival = port
            if not self._asked:
                self._asked = True
                self.proxies.emit(ReadCounters())
        return True

    def _move(self, stream: Stream, port: Port) -> None:
        mask = stream.instance.forwards(stream.source, stream.group, port)
        assert mask is not None, "who moves a stream has asked"
        stream.port, stream.counted, stream.silent_since = port, -1, self.proxies.heap.now
        self._claim(stream, mask)

    def counted(self, entries: Iterable[tuple[Address, Address, int, int]]) -> None:
        """The kernel's packet counters: what is silent goes, and rivals of what is silent take over."""
        now, sweeping = self.proxies.heap.now, self._sweeping
        self._sweeping = self._asked = False
        if not self.by_key:
            return
        for source, group, packets, _ in entries:
            stream = self.by_key.get(source + group)
            if stream is None:
                continue
            rival, stream.rival = stream.rival, None
            if packets != stream.counted:
                stream.counted, stream.silent_since = packets, now
            elif rival is not None and now - stream.silent_since >= stream.instance.said.mutex_time / 1000:
                if stream.instance.forwards(source, group, rival) is not None:
                    self._move(stream, rival)
            elif sweeping and now - stream.silent_since >= IDLE:
                self.end(stream)

    def refresh(self, group: Address) -> None:
        """Members of a group came or went: its entries follow."""
        for stream in list(self.by_group.get(group, {}).values()):
            self._refresh(stream)

    def refresh_all(self) -> None:
        """An interface came or went, or a querier changed."""
        for stream in list(self.by_key.values()):
            self._refresh(stream)

    def _refresh(self, stream: Stream) -> None:
        alive = stream.instance in stream.port.users and stream.port.interface.vif is not None
        mask = stream.instance.forwards(stream.source, stream.group, stream.port) if alive else None
        if mask is None:
            self.end(stream)
        else:
            self._claim(stream, mask)

    def _claim(self, stream: Stream, mask: int) -> None:
        self.proxies.forwarding.claim(PROXY, stream.source, stream.group, stream.port.vif, mask)

    def end(self, stream: Stream) -> None:
        """The entry goes; the kernel asks again if the stream still flows."""
        key = stream.source + stream.group
        del self.by_key[key]
        of_group = self.by_group[stream.group]
        del of_group[key]
        if not of_group:
            del self.by_group[stream.group]
        self.proxies.forwarding.release(PROXY, stream.source, stream.group)

    def sweep(self) -> None:
        """Look for streams that fell silent."""
        if self.by_key:
            self._sweeping = True
            self.proxies.emit(ReadCounters())
            self.timer.at(self.proxies.heap.now + IDLE)


def _sweep(streams: Streams) -> None:
    streams.sweep()
