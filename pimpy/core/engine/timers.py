"""One timer heap with lazy extension: a refresh only writes a later deadline.

Refreshing 100,000 states costs 100,000 attribute writes, no heap operation: a timer that was extended is
found in the heap at its old deadline, and only then put back at its new one. Timers of one deadline share
a bucket, and fire in the order in which they were put there, so a run is the same each time.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

NEVER = float("inf")
"""The deadline of a timer that does not run."""


class Timer:
    """A timer is an attribute of its owner. `deadline` is in seconds of the core's clock, NEVER if not running.

    `action` is called with the owner when the deadline has come (a plain function, not a bound method: one
    object less an owner).
    """

    __slots__ = ("action", "deadline", "heap", "owner", "queued")

    def __init__(self, heap: TimerHeap, owner: Any, action: Callable[[Any], None]) -> None:
        self.heap = heap
        self.owner = owner
        self.action = action
        self.deadline = NEVER
        self.queued = NEVER  # the bucket that will look at this timer; never later than the deadline

    @property
    def running(self) -> bool:
        """Whether a deadline is set, however far."""
        return self.deadline != NEVER

    def left(self, now: float) -> float | None:
        """Seconds until it fires, None if it does not run."""
        return None if self.deadline == NEVER else max(0.0, self.deadline - now)

    def at(self, deadline: float) -> None:
        """Fire at `deadline`, instead of at any other time set before. NEVER cancels."""
        self.deadline = deadline
        if deadline < self.queued:
            self.heap.enqueue(self, deadline)

    def no_later_than(self, deadline: float) -> None:
        """Fire at `deadline` unless it fires sooner: the RFC's "decrease timer to"; starts one that does not run."""
        if deadline < self.deadline:
            self.at(deadline)

    def no_sooner_than(self, deadline: float) -> None:
        """Fire at `deadline` unless it runs longer: the RFC's "increase timer to". Starts one that does not run."""
        if self.deadline == NEVER or deadline > self.deadline:
            self.at(deadline)

    def cancel(self) -> None:
        """Do not fire."""
        self.deadline = NEVER

    def close(self) -> None:
        """Never fire again: the owner is gone, and is not kept alive by its place in the heap."""
        self.deadline = NEVER
        self.owner = None


class TimerHeap:
    """All timers of one core. `now` is the time of the event in hand, in seconds of a clock that never goes back."""

    __slots__ = ("_buckets", "_last", "_times", "now")

    def __init__(self) -> None:
        self.now = 0.0
        self._last = NEVER
        self._times: list[float] = []
        self._buckets: dict[float, list[Timer]] = {}

    def after(self, seconds: float) -> float:
        """The deadline that comes in `seconds`. Timers that are set alike one after the other share the number itself:
        there may be 100,000 of them."""
        deadline = self.now + seconds
        if deadline != self._last:
            self._last = deadline
        return self._last

    def enqueue(self, timer: Timer, deadline: float) -> None:
        """Look at `timer` when `deadline` has come (Timer's own business)."""
        timer.queued = deadline
        bucket = self._buckets.get(deadline)
        if bucket is None:
            self._buckets[deadline] = [timer]
            heappush(self._times, deadline)
        else:
            bucket.append(timer)

    def next_deadline(self) -> float | None:
        """When to come back, None for never. May be early for timers that were extended since, never late."""
        return self._times[0] if self._times else None

    def fire_next(self, now: float) -> bool:
        """Call the timers of the earliest deadline if it has come; whether it had.

        What they see as `now` is the time of the call, not their deadline: a host that slept does not make
        up for the messages that it missed.
        """
        self.now = max(self.now, now)
        if not self._times or self._times[0] > now:
            return False
        when = heappop(self._times)
        for timer in self._buckets.pop(when):
            if timer.queued != when:
                continue
            timer.queued = NEVER
            if timer.deadline <= when:
                timer.deadline = NEVER
                timer.action(timer.owner)
            elif timer.deadline != NEVER:
                self.enqueue(timer, timer.deadline)
        return True

    def fire(self, now: float) -> None:
        """Call every timer that is due at `now`, in the order of their deadlines."""
        while self.fire_next(now):
            pass
