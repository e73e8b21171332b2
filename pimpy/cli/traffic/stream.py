"""Numbered packets: what `pimctl send` puts into them, and what `pimctl join` makes of those that arrive."""

from __future__ import annotations

import struct

from pimpy.wire.record import define, field

PACKET = struct.Struct("!4sQd")
"""Magic word, sequence number, time of sending (seconds since 1970)."""
MAGIC = b"pmpy"
WINDOW = 1024
"""So far back a late packet can be told from one that came twice."""


def packet(sequence: int, now: float, size: int) -> bytes:
    """One of `size` bytes, at least those of the header."""
    return PACKET.pack(MAGIC, sequence, now).ljust(size, b"\0")


def read(data: bytes) -> tuple[int, float] | None:
    """(sequence number, time of sending); None if it is no packet of ours."""
    if len(data) < PACKET.size or not data.startswith(MAGIC):
        return None
    _, sequence, sent = PACKET.unpack_from(data)
    return sequence, sent


@define
class Arrivals:
    """What came of one source; of packets without numbers only how many and how much."""

    received: int = 0
    octets: int = 0
    numbered: int = 0
    first: int = -1
    highest: int = -1
    duplicates: int = 0
    reordered: int = 0
    ttl: int | None = None
    delays: list[float] = field(factory=lambda: [0.0, 0.0, 0.0])
    """Least, sum and most, in seconds; they mean something where the clocks agree."""
    _recent: dict[int, None] = field(factory=dict)

    def take(self, data: bytes, when: float, ttl: int | None) -> None:
        """A packet arrived."""
        self.received += 1
        self.octets += len(data)
        self.ttl = ttl if self.ttl is None or ttl is None else min(ttl, self.ttl)
        found = read(data)
        if found is None:
            return
        sequence, sent = found
        if self._again(sequence):
            return
        delay = when - sent
        least, total, most = self.delays
        self.delays = [delay if not self.numbered else min(least, delay), total + delay, max(most, delay)]
        self.numbered += 1

    def _again(self, sequence: int) -> bool:
        """Whether it came before; the order is noted."""
        if sequence in self._recent:
            self.duplicates += 1
            return True
        self._recent[sequence] = None
        if len(self._recent) > WINDOW:
            del self._recent[next(iter(self._recent))]
        if self.first < 0:
            self.first = self.highest = sequence
        elif sequence > self.highest:
            self.highest = sequence
        else:
            self.reordered += 1
            self.first = min(self.first, sequence)
        return False

    @property
    def lost(self) -> int:
        """Missing between the first and the last."""
        return max(0, self.highest - self.first + 1 - self.numbered) if self.numbered else 0

    @property
    def delay(self) -> float | None:
        """The mean, in seconds."""
        return self.delays[1] / self.numbered if self.numbered else None
