"""What turns a router: how much it takes at once."""

from __future__ import annotations

import asyncio
from random import Random

from pimpy.core.engine.effects import Effect
from pimpy.core.engine.events import Event, LinkGone
from pimpy.core.router import Router
from pimpy.daemon.driver import PORTIONS, SLICE, Driver
from pimpy.wire.family import IPV4


class Slow(Router):
    """A router that takes so many seconds for each event, by its own clock."""

    def __init__(self) -> None:
        super().__init__(IPV4, Random(1))
        self.seconds = self.clock = 0.0

    def handle(self, event: Event, now: float) -> None:
        self.clock += self.seconds


class Silent:
    """A kernel that does nothing."""

    def apply(self, effects: list[Effect]) -> list[Event]:
        return []


def test_a_portion_is_what_fits_into_a_slice() -> None:
    """Cheap messages are taken by the hundred, costly ones a few at a time, so that no timer waits for long."""

    async def play() -> None:
        router = Slow()
        driver = Driver(router, Silent(), print, now=lambda: router.clock)

        def read(seconds: float, times: int) -> int:
            router.seconds = seconds
            for _ in range(times):
                driver.feed([LinkGone(1)] * driver.portion)
            return driver.portion

        least, most = PORTIONS
        assert driver.portion == least
        assert read(0.0, 1) == 2 * least, "it grows step by step, as little is known yet"
        assert read(0.0, 9) == most
        assert read(SLICE / 20, 1) in (19, 20), "as few as fit, at once"
        assert read(SLICE / 40, 1) in (39, 40)
        assert read(2 * SLICE, 1) == least
        assert read(0.0, 9) == most
        driver.feed([LinkGone(1)])
        assert driver.portion == most, "a single cheap one tells nothing of many"
        driver.close()

    asyncio.run(play())
