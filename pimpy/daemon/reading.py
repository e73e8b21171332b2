"""Datagrams read: one that comes alone at once, those of a rush together.

To wake up for a datagram costs more than most of them: a thousand that come one by one in a second keep a processor
busy that is idle if they come by the dozen. So who had just read when the next one comes lets some gather first, and
reads no sooner again than a while later, until nothing has come meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from pimpy.core.engine.events import Event, RegistersRepeated
from pimpy.wire.record import define, field

GATHER = 0.002
"""Seconds that datagrams are left to gather at most. Of a stream that it has no entry for the kernel keeps four packets
where nobody else does: half as long as these last at 1,000 a second."""
REST = 3
"""They gather for so many times as long as it took to deal with those before them."""


@define
class Reading:
    """The descriptors `datagrams` of a table read, from `start` to `stop`."""

    datagrams: Sequence[int]
    receive: Callable[[int, int], list[Event]]
    """What a descriptor has to say, of datagrams at most so many."""
    portion: Callable[[], int]
    """How many are to be read at once."""
    feed: Callable[[list[Event]], None]
    """Deals with events."""
    now: Callable[[], float]
    """The time in seconds."""
    _rests_until: float = field(init=False, default=0.0)
    """Who is woken before that is in a rush."""
    _gathering: asyncio.TimerHandle | None = field(init=False, default=None)
    """Runs while nothing is told of the descriptors."""
    _reads: bool = field(init=False, default=False)
    _watches: bool = field(init=False, default=False)
    """The loop tells when one of the descriptors is readable."""

    def start(self) -> None:
        """Read from now on."""
        self._reads = self._watches = True
        for fd in self.datagrams:
            asyncio.get_running_loop().add_reader(fd, self._readable, fd)

    def stop(self) -> None:
        """Read no more."""
        self._reads = False
        self._turn_away()
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None

    def instead(self, before: int, after: int) -> None:
        """Read the descriptor `after` in the place of `before` from now on."""
        self.datagrams = [after if fd == before else fd for fd in self.datagrams]
        if self._watches:
            asyncio.get_running_loop().remove_reader(before)
            asyncio.get_running_loop().add_reader(after, self._readable, after)

    def _readable(self, fd: int) -> None:
        began = self.now()
        in_a_rush = began < self._rests_until
        self._read((fd,), began)
        if in_a_rush and self._reads:
            self._turn_away()
            self._gather()

    def _read(self, fds: Sequence[int], began: float) -> bool:
        """Deal with what there is; whether there was anything."""
        limit, events, more = self.portion(), [], False
        for fd in fds:
            told = self.receive(fd, limit)
            more |= _datagrams(told) >= limit
            events += told
        if events:
            self.feed(events)
        ended = self.now()
        self._rests_until = ended if more else ended + min(GATHER, REST * (ended - began))
        return bool(events)

    def _turn_away(self) -> None:
        self._watches = False
        for fd in self.datagrams:
            asyncio.get_running_loop().remove_reader(fd)

    def _gather(self) -> None:
        rest = max(0.0, self._rests_until - self.now())
        self._gathering = asyncio.get_running_loop().call_later(rest, self._gathered)

    def _gathered(self) -> None:
        self._gathering = None
        if self._read(self.datagrams, self.now()) and self._reads:
            self._gather()
        elif self._reads:
            self.start()


def _datagrams(events: Sequence[Event]) -> int:
    """How many were read for these events."""
    return sum(event.count if type(event) is RegistersRepeated else 1 for event in events)
