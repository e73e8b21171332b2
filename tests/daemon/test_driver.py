"""What turns a router: how much it takes at once."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from pimpy.config.model import Config
from pimpy.core.engine.effects import Effect
from pimpy.core.engine.events import Configured, Event, LinkGone, NoCache
from pimpy.core.router import Router
from pimpy.daemon.driver import PORTIONS, ROUNDS, SLICE, Driver
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
        assert read(SLICE / 40, 1) in (38, 39, 40)
        assert read(2 * SLICE, 1) == least
        assert read(0.0, 9) == most
        driver.feed([LinkGone(1)])
        assert driver.portion == most, "a single cheap one tells nothing of many"
        driver.close()

    asyncio.run(play())


class Failing(Router):
    """A router that fails where it is told to."""

    def __init__(self) -> None:
        super().__init__(IPV4, Random(1))
        self.fails: BaseException | None = None
        self.where = "handle"
        self.clock = 1000.0

    def handle(self, event: Event, now: float) -> None:
        if self.fails is not None and self.where == "handle":
            raise self.fails
        super().handle(event, now)

    def advance(self, now: float) -> None:
        if self.fails is not None and self.where == "advance":
            raise self.fails
        super().advance(now)

    def drain(self) -> list[Effect]:
        if self.fails is not None and self.where == "drain":
            raise self.fails
        return super().drain()


def play(script: Callable[[Failing, Driver, list[str]], None]) -> None:
    """Run a script with a driver that is about to work."""

    async def run() -> None:
        router, ended = Failing(), list[str]()
        driver = Driver(router, Silent(), lambda notice: None, now=lambda: router.clock)
        driver.broken = lambda: ended.append("ended")
        driver.feed([Configured(Config())])
        script(router, driver, ended)
        driver.close()

    asyncio.run(run())


class Long(Router):
    """A router that has so many parts yet to settle."""

    left = 0
    drains = 0

    @property
    def unsettled(self) -> bool:
        return self.left > 0

    def drain(self) -> list[Effect]:
        self.drains += 1
        self.left = max(0, self.left - 1)
        return super().drain()


def test_a_router_is_drained_until_it_is_settled_and_others_get_their_turn() -> None:
    async def run() -> None:
        router = Long(IPV4, Random(1))
        driver = Driver(router, Silent(), lambda notice: None)
        driver.feed([Configured(Config())])
        router.drains, router.left = 0, 2 * ROUNDS + 1
        driver.feed([LinkGone(1)])
        assert router.drains == ROUNDS, "then something else may come first"
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not router.unsettled and router.drains == 2 * ROUNDS + 1
        driver.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("error", "reason"), [(MemoryError(), "no_memory"), (KeyError("x"), "internal_error")], ids=["memory", "error"]
)
def test_a_packet_that_cannot_be_handled_is_dropped_and_counted(error: Exception, reason: str) -> None:
    """reliability.md, section 5, out of memory: that input is lost, and nothing else."""
    packet = NoCache(3, bytes((10, 0, 0, 1)), bytes((232, 1, 1, 1)))

    def script(router: Failing, driver: Driver, ended: list[str]) -> None:
        router.fails = error
        driver.feed([packet, packet])
        assert router.counters.total("kernel", "rx", "message", reason) == 2 and not ended
        router.fails = None
        driver.feed([packet])
        assert driver._timer is not None, "the timers go on"

    play(script)


@pytest.mark.parametrize("where", ["handle", "advance", "drain"])
def test_what_fails_halfway_ends_the_worker(where: str) -> None:
    """A link that changed, a timer, effects: without them the core is not what the world is."""

    def script(router: Failing, driver: Driver, ended: list[str]) -> None:
        router.fails, router.where = MemoryError(), where
        driver.feed([LinkGone(1)]) if where != "advance" else driver.catch_up()
        assert ended == ["ended"]

    play(script)


def test_after_a_sleep_what_is_overdue_happens_once() -> None:
    """The clock goes on while the host sleeps: afterwards each timer fires once, not once for each time it missed."""

    def script(router: Failing, driver: Driver, ended: list[str]) -> None:
        for hours in (0, 1, 24 * 365):
            router.clock += 3600 * hours
            driver.catch_up()
            deadline = router.next_deadline()
            assert deadline is not None and router.clock < deadline < router.clock + 3600
            assert driver._timer is not None
        router.clock -= 3600  # no clock of ours goes back; if it did, nothing would be undone
        driver.feed([NoCache(3, bytes((10, 0, 0, 1)), bytes((232, 1, 1, 1)))])
        assert router.heap.now == router.clock + 3600 and not ended

    play(script)


WALL_CLOCK = {
    ("pimpy/daemon/app.py", "config_time"): "told to people: when the file was read",
    ("pimpy/daemon/exposition.py", "last_packet"): "when a watched stream flowed last, in seconds since 1970",
    ("pimpy/daemon/logs.py", "now"): "the time of a line in the log",
    ("pimpy/daemon/metrics.py", "StreamSeries"): "when a stream's last packet was, in seconds since 1970",
    ("pimpy/daemon/monitor.py", "EventRow"): "the time of an event",
}
"""Where the wall clock is asked, which may jump: (file, a word of the statement), and what for."""


def test_a_wall_clock_that_jumps_moves_no_timer() -> None:
    """reliability.md, section 5, clock jumps: what the wall clock says is shown to people and used for nothing else."""
    root = Path(__file__).resolve().parents[2]
    asked = set()
    for room in ("core", "kernel", "daemon"):
        for path in sorted((root / "pimpy" / room).rglob("*.py")):
            for statement in ast.walk(ast.parse(path.read_text())):
                if isinstance(statement, ast.stmt) and not hasattr(statement, "body"):
                    text = ast.unparse(statement)
                    if any(word in text for word in ("time.time(", "datetime.now", "CLOCK_REALTIME", "localtime(")):
                        asked.add((str(path.relative_to(root)), text))
    unknown = {
        (path, text) for path, text in asked if not any(path == file and word in text for file, word in WALL_CLOCK)
    }
    assert asked and not unknown
