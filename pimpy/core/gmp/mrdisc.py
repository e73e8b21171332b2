"""Multicast Router Discovery (RFC 4286): telling snooping switches that a router is here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pimpy.core.engine.timers import Timer, TimerHeap
from pimpy.core.gmp.link import Traits
from pimpy.wire.family import Address
from pimpy.wire.record import define, field

if TYPE_CHECKING:
    import random

ADVERTISEMENT_INTERVAL = 20.0
"""Seconds between two advertisements, if the configuration says nothing: the default of 4 to 180 (RFC 4286 3.1.1)."""
JITTER = 0.025
"""The part of the interval by which it is varied (3.1.2)."""
MAX_INITIAL_ADVERTISEMENT_INTERVAL = 2.0
"""Seconds in which the first advertisement leaves, and each of the next few after the one before it (3.1.3)."""
MAX_INITIAL_ADVERTISEMENTS = 3
"""3.1.4."""
MAX_RESPONSE_DELAY = 2.0
"""Seconds in which a solicitation is answered (section 6)."""


def _no_querier() -> tuple[int, int]:
    return 0, 0


@define
class Advertiser:
    """The router's part on one link. `send` gets (destination, complete message)."""

    heap: TimerHeap
    rng: random.Random
    traits: Traits
    send: Callable[[Address, bytes], None]
    interval: float = ADVERTISEMENT_INTERVAL
    """Seconds, 4 to 180; another one holds from the next advertisement on."""
    variables: Callable[[], tuple[int, int]] = _no_querier
    """(query interval in seconds, robustness) of the link's querier; (0, 0) if the protocol does not run."""
    initial: int = field(init=False, default=0)
    """Initial advertisements still to be sent."""
    timer: Timer = field(init=False)
    """When the next advertisement is due."""

    def __post_init__(self) -> None:
        self.timer = Timer(self.heap, self, advertise)

    def start(self) -> None:
        """Advertise, closer together at first; not at once, as other routers may have started with us (3.4)."""
        self.initial = MAX_INITIAL_ADVERTISEMENTS
        self.wait(self.interval)

    def wait(self, seconds: float) -> None:
        """Send the next one after `seconds`, or sooner if it is one of the initial ones."""
        if self.initial:
            self.initial -= 1
            seconds = self.rng.uniform(0, MAX_INITIAL_ADVERTISEMENT_INTERVAL)
        self.timer.at(self.heap.now + seconds)

    def stop(self, *, reachable: bool = True) -> None:
        """Say that the router is no more, if it was said that it is and the link still takes packets."""
        running = self.timer.running
        self.timer.cancel()
        if running and reachable:
            self.send(self.traits.all_snoopers, self.traits.codec.encode_termination())

    def solicited(self) -> None:
        """A switch asks: answer soon, but not with all other routers at once.

        While an answer is pending, further solicitations are ignored (3.4), so that a flood of them hastens nothing.
        """
        now = self.heap.now
        if self.timer.running and self.timer.deadline > now + MAX_RESPONSE_DELAY:
            self.timer.at(now + self.rng.uniform(0, MAX_RESPONSE_DELAY))


def advertise(advertiser: Advertiser) -> None:
    """Send an advertisement, solicited or not, and schedule the next one anew (3.4)."""
    query_interval, robustness = advertiser.variables()
    codec, interval = advertiser.traits.codec, advertiser.interval
    message = codec.encode_advertisement(int(interval), query_interval, robustness)
    advertiser.send(advertiser.traits.all_snoopers, message)
    advertiser.wait(interval * (1 + advertiser.rng.uniform(-JITTER, JITTER)))
