"""Multicast Router Discovery (RFC 4286): telling snooping switches that a router is here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import define, field

from pimpy.core.engine.timers import Timer, TimerHeap
from pimpy.core.gmp.link import Traits
from pimpy.wire.family import Address

if TYPE_CHECKING:
    import random

ADVERTISEMENT_INTERVAL = 20.0
"""Seconds between two advertisements, if the configuration says nothing (RFC 4286 3.1)."""
JITTER = 0.025
"""The part of the interval by which it is varied."""
MAX_INITIAL_ADVERTISEMENT_INTERVAL = 2.0
MAX_INITIAL_ADVERTISEMENTS = 3
MAX_RESPONSE_DELAY = 2.0
"""Seconds in which a solicitation is answered."""


def _no_querier() -> tuple[int, int]:
    return 0, 0


@define(eq=False)
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

    def __attrs_post_init__(self) -> None:
        self.timer = Timer(self.heap, self, advertise)

    def start(self) -> None:
        """Advertise, closer together at first."""
        self.initial = MAX_INITIAL_ADVERTISEMENTS
        advertise(self)

    def stop(self, *, reachable: bool = True) -> None:
        """Say that the router is no more, if it was said that it is and the link still takes packets."""
        running = self.timer.running
        self.timer.cancel()
        if running and reachable:
            self.send(self.traits.all_snoopers, self.traits.codec.encode_termination())

    def solicited(self) -> None:
        """A switch asks: answer soon, but not with all other routers at once."""
        if self.timer.running:
            self.timer.no_later_than(self.heap.now + self.rng.uniform(0, MAX_RESPONSE_DELAY))


def advertise(advertiser: Advertiser) -> None:
    """Send an advertisement, and schedule the next one."""
    query_interval, robustness = advertiser.variables()
    codec, interval = advertiser.traits.codec, advertiser.interval
    message = codec.encode_advertisement(int(interval), query_interval, robustness)
    advertiser.send(advertiser.traits.all_snoopers, message)
    wait = interval * (1 + advertiser.rng.uniform(-JITTER, JITTER))
    if advertiser.initial > 1:
        wait = min(wait, advertiser.rng.uniform(0, MAX_INITIAL_ADVERTISEMENT_INTERVAL))
    advertiser.initial = max(0, advertiser.initial - 1)
    advertiser.timer.at(advertiser.heap.now + wait)
