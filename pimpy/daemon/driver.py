"""Turns the core: events in, effects out, one timer. The only place where a router meets a clock.

A packet that the core cannot handle, for an error of its own or for want of memory, is dropped and counted. What else
fails (a timer, a link that changed, effects that cannot be applied) leaves the core other than the world is: then the
process ends, and the next one takes over what there is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from pimpy.core.engine.effects import Effect, Installed, Notice
from pimpy.core.engine.events import Event, NoCache, PacketReceived, RegisterUnreachable, WholePacket, WrongVif
from pimpy.core.router import Router

if TYPE_CHECKING:
    from pimpy.daemon.recorder import Recorder

log = logging.getLogger("pimpy.driver")

SLICE = 0.02
"""Seconds that one batch of events should take at most: so long Hellos and the other family may have to wait, and
neighbours for what follows from the first of them."""
PORTIONS = (4, 256)
"""The least and the most that is read at once."""
PACKETS = (PacketReceived, NoCache, WrongVif, WholePacket, RegisterUnreachable)
"""Events of which any may be lost: all protocols bear that."""
ROUNDS = 16
"""How often what the kernel answers to effects is handled at once, or a part of what queues is settled; what is left
then waits for the next turn."""


class Kernel(Protocol):
    """What a driver needs of `kernel.adapter.Adapter`."""

    def apply(self, effects: list[Effect]) -> list[Event]:
        """Do these, in order; what failed and what is already answered."""


def clock() -> float:
    """Seconds of a clock that never goes back, and goes on while the host sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Driver:
    """One router and its kernel."""

    def __init__(
        self,
        router: Router,
        kernel: Kernel,
        notice: Callable[[Notice], None],
        recorder: Recorder | None = None,
        now: Callable[[], float] = clock,
        watch: Callable[[Router, list[Effect]], None] | None = None,
    ) -> None:
        """`watch` sees the effects before they are applied."""
        self.router = router
        self.kernel = kernel
        self.now = now
        self._notice = notice
        self._watch = watch
        self.installed: Callable[[Installed], None] | None = None
        """Told of streams that got an entry by a static route of several."""
        self.broken: Callable[[], None] | None = None
        """Ends the process; without it, the error is raised."""
        self._recorder = recorder
        self._timer: asyncio.TimerHandle | None = None
        self._armed: float | None = None
        self.portion = PORTIONS[0]
        """How many datagrams to read at once, by what the last ones cost: a report may hold one group or hundreds."""

    def feed(self, events: Sequence[Event]) -> None:
        """Handle a batch of events and do what follows from them."""
        began = self.now()
        self._whole(lambda: self._handle(events))
        self._measure(len(events), self.now() - began)

    def _measure(self, count: int, seconds: float) -> None:
        """Set the portion to what fits into a slice; it grows at most to the double of what was really read."""
        least, most = PORTIONS
        fits = int(count * SLICE / max(seconds, 1e-6))
        self.portion = max(least, min(most, fits, max(self.portion, 2 * count)))

    def catch_up(self) -> None:
        """Do what is due at once: more of it may follow from the first events than one batch of them."""
        self._due()

    def close(self) -> None:
        """No timer fires any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _handle(self, events: Iterable[Event]) -> None:
        router, recorder = self.router, self._recorder
        for event in events:
            now = self.now()
            if recorder is not None:
                recorder.event(router, event, now)
            try:
                router.handle(event, now)
            except Exception as error:
                if not isinstance(event, PACKETS):
                    raise
                reason = "no_memory" if isinstance(error, MemoryError) else "internal_error"
                router.counters.add("-", "kernel", "rx", "message", reason)
                log.exception("a packet could not be handled", extra={"reason": reason})

    def _follow(self) -> None:
        """Apply effects, and handle what the kernel says to them, until nothing is left."""
        self._whole(lambda: None)

    def _whole(self, first: Callable[[], None]) -> None:
        """Do something and what follows from it; if that cannot be done whole, it is for another worker to go on."""
        try:
            first()
            self._apply()
        except Exception:
            if self.broken is None:
                raise
            log.exception("an error of our own: another worker takes over", extra={"reason": "broken"})
            self.broken()
        self._arm()

    def _apply(self) -> None:
        for _ in range(ROUNDS):
            drained = self.router.drain()
            if self._recorder is not None:
                self._recorder.drained(self.router, drained)
            if self._watch is not None and drained:
                self._watch(self.router, drained)
            answers = self.kernel.apply(self._without_notices(drained)) if drained else []
            if not answers and not self.router.unsettled:
                break
            self._handle(answers)
        else:
            asyncio.get_running_loop().call_soon(self._follow)

    def _without_notices(self, drained: list[Effect]) -> list[Effect]:
        rest: list[Effect] = []
        for effect in drained:
            if type(effect) is Notice:
                self._notice(effect)
            elif type(effect) is not Installed:
                rest.append(effect)
            elif self.installed is not None:
                self.installed(effect)
        return rest

    def _arm(self) -> None:
        """Come back at the router's next deadline."""
        deadline = self.router.next_deadline()
        if deadline == self._armed and self._timer is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed = deadline
        self._timer = None
        if deadline is not None:
            delay = max(0.0, deadline - self.now())
            self._timer = asyncio.get_running_loop().call_later(delay, self._due)

    def _due(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self.now()
        if self._recorder is not None:
            self._recorder.advance(self.router, now)
        self._whole(lambda: self.router.advance(now))
