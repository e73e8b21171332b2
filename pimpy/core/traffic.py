"""What the kernel counts of each stream, and how fast it flows: two looks at the counters make a rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import add
from typing import NamedTuple

from pimpy.wire.family import Address
from pimpy.wire.record import define, field

Key = tuple[Address, Address]
"""(source, group)."""
Counted = tuple[int, int, int, int]
"""(packets, bytes, wrong_if, idle): what one dump of the kernel's cache tells of an entry; `idle` in 1/100 s."""

INTERVAL = 10.0
"""Seconds between two looks while nobody asks."""
SHORTEST = 2.0
"""Seconds that an interval has at least: over shorter ones a rate says little."""


class Traffic(NamedTuple):
    """What is known of the packets of one entry; None where nothing is."""

    packets: int | None = None
    bytes: int | None = None
    wrong_if: int | None = None
    last_packet: float | None = None
    """Seconds since the last one; None before the first."""
    packet_rate: float | None = None
    """Per second over the last interval, those of a wrong interface not among them."""
    bit_rate: float | None = None
    """Bits of IP packets per second over the last interval."""


NOTHING = Traffic()


_NEVER: Counted = (0, 0, 0, 0)


class Sum(NamedTuple):
    """What came in by one interface, all entries together."""

    packets: int = 0
    """Of wanted streams, those of a wrong interface not among them."""
    bytes: int = 0
    """Of wanted streams, as the kernel counts them: those of a wrong interface too."""
    wrong_if: int = 0
    unwanted: int = 0
    """Packets of streams that nobody wants."""


@define
class Sums:
    """Sums of the kernel's counters by incoming interface, which do not fall when entries go."""

    by_interface: dict[str, Sum] = field(init=False, factory=dict)
    _before: Mapping[Key, Counted] = field(init=False, factory=dict)

    def take(self, counters: Mapping[Key, Counted], incoming: Callable[[Key], tuple[str, bool] | None]) -> None:
        """Add what has come since the last time. `incoming` names an entry's interface, and whether it is wanted.

        An entry whose count stands still costs a look at it, no more.
        """
        before, self._before = self._before, counters
        for key, (packets, octets, wrong, _) in counters.items():
            old = before.get(key, _NEVER)
            if packets == old[0] or (found := incoming(key)) is None:
                continue
            if packets < old[0]:
                old = _NEVER  # the kernel's entry is a new one
            name, wanted = found
            strays = max(0, wrong - old[2])
            data, size = max(0, packets - old[0] - strays), max(0, octets - old[1])
            more = Sum(data, size, strays, 0) if wanted else Sum(0, 0, strays, data)
            self.by_interface[name] = Sum(*map(add, self.by_interface.get(name, Sum()), more))


@define
class Meter:
    """The last look at the counters of one family, and the rates between it and the one before."""

    sums: Sums = field(init=False, factory=Sums)
    _before: Mapping[Key, Counted] | None = field(init=False, default=None)
    _when: float = field(init=False, default=0.0)
    _rates: dict[Key, tuple[float, float]] = field(init=False, factory=dict)

    def look(self, counters: Mapping[Key, Counted], now: float) -> None:
        """The kernel's counters are these at `now`. Nothing happens within SHORTEST of the last look."""
        before, passed = self._before, now - self._when
        if before is not None and passed < SHORTEST:
            return
        self._before, self._when, self._rates = counters, now, {}
        if before is None:
            return
        for key, (packets, octets, wrong, _) in counters.items():
            old = before.get(key)
            if old is None:
                continue
            more = packets - wrong - old[0] + old[2]
            if more >= 0 and octets >= old[1]:  # else the entry was made anew, and counts from the beginning
                self._rates[key] = more / passed, (octets - old[1]) * 8 / passed

    def tell(self, counters: Mapping[Key, Counted], now: float) -> dict[Key, Traffic]:
        """The counters with the rates; they count as a look."""
        self.look(counters, now)
        rates = self._rates
        return {
            key: Traffic(packets, octets, wrong, idle / 100 if packets else None, *rates.get(key, (None, None)))
            for key, (packets, octets, wrong, idle) in counters.items()
        }
